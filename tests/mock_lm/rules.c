#include "rules.h"
#include "base/mem.h"
#include "base/random.h"
#include "lm/lm.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading a request ---- */

/* A text, or the texts of blocks, one after the other. The caller frees it. */
static char *text_of(const cJSON *c)
{
    dm_buf b;
    const cJSON *block;
    if (cJSON_IsString(c))
        return dm_copy_string(c->valuestring);
    dm_buf_init(&b, (size_t)64 << 20);
    cJSON_ArrayForEach(block, c)
    {
        const cJSON *text = cJSON_GetObjectItemCaseSensitive(block, "text");
        dm_buf_text(&b, cJSON_IsString(text) ? text->valuestring : "");
    }
    char *s = dm_copy_string(b.data ? b.data : "");
    dm_buf_free(&b);
    return s;
}

static char *content_of(const cJSON *message)
{
    return text_of(cJSON_GetObjectItemCaseSensitive(message, "content"));
}

static const char *role_of(const cJSON *message)
{
    const cJSON *r = cJSON_GetObjectItemCaseSensitive(message, "role");
    return cJSON_IsString(r) ? r->valuestring : "";
}

static void copy_part(char *out, size_t room, const char *from, size_t n)
{
    n = n < room ? n : room - 1;
    memcpy(out, from, n);
    out[n] = 0;
}

static const char *last_of(const char *text, const char *part)
{
    const char *found = NULL;
    for (const char *p = text; (p = strstr(p, part)); p++)
        found = p;
    return found;
}

static const char *nearest(const char *p, const char *a, const char *b)
{
    const char *x = strstr(p, a), *y = strstr(p, b);
    return !x || (y && y < x) ? y : x;
}

/* The output fields and their types, from the requirements sentence (contract 2.6, 3.5). */
static void read_fields(mock_request *r)
{
    static const char as[] = " (must be formatted as a valid Python ";
    const char *p = last_of(r->user, "in the following order of fields: ");
    const char *chat = last_of(r->user, "starting with the field ");
    r->json = p != NULL && (!chat || p > chat);
    p = r->json ? p : chat;
    const char *open = r->json ? "`" : "`[[ ## ", *close = r->json ? "`" : " ## ]]`";
    while (p && (p = strstr(p, open)) && r->n_fields < MAX_FIELDS) {
        p += strlen(open);
        const char *end = strstr(p, close);
        if (!end)
            return;
        if (strncmp(p, "completed ", 10) == 0)
            return;
        struct mock_field *f = &r->fields[r->n_fields++];
        copy_part(f->name, sizeof f->name, p, (size_t)(end - p));
        p = end + strlen(close);
        if (strncmp(p, as, sizeof as - 1) != 0)
            continue;
        p += sizeof as - 1;
        end = nearest(p, "), ", ").");
        if (end)
            copy_part(f->type, sizeof f->type, p, (size_t)(end - p));
    }
}

static bool ended(const char *p, const char *end)
{
    while (p < end && strchr(" \t\r\n", *p))
        p++;
    return p == end;
}

/* 64 bits of a body, for tables and draws: SHA-256 would be the most of a request's cost. The
 * mixing step is MurmurHash3's finalizer. */
static uint64_t hash_body(dm_str body)
{
    uint64_t h = body.n, word;
    for (size_t i = 0; i < body.n; i += 8) {
        size_t left = body.n - i;
        word = 0;
        memcpy(&word, body.p + i, left < 8 ? left : 8);
        h = (h ^ word) * 0xff51afd7ed558ccdU;
        h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53U;
        h ^= h >> 33;
    }
    return h;
}

bool mock_request_read(mock_request *r, dm_str body)
{
    const char *end = NULL;
    *r = (mock_request){.temperature = -1, .max_tokens = -1};
    cJSON *root = cJSON_ParseWithLengthOpts(body.p, body.n, &end, false);
    if (root && !ended(end, body.p + body.n)) {
        cJSON_Delete(root);
        root = NULL;
    }
    const cJSON *messages = cJSON_GetObjectItemCaseSensitive(root, "messages"), *m;
    const cJSON *model = cJSON_GetObjectItemCaseSensitive(root, "model");
    const cJSON *t = cJSON_GetObjectItemCaseSensitive(root, "temperature");
    const cJSON *most = cJSON_GetObjectItemCaseSensitive(root, "max_tokens");
    if (!most)
        most = cJSON_GetObjectItemCaseSensitive(root, "max_completion_tokens");
    size_t n = (size_t)cJSON_GetArraySize(messages);
    r->format = cJSON_GetObjectItemCaseSensitive(root, "response_format") != NULL;
    r->hash = hash_body(body);
    r->system = text_of(cJSON_GetObjectItemCaseSensitive(root, "system"));
    r->user = dm_copy_string("");
    r->model = dm_copy_string(cJSON_IsString(model) ? model->valuestring : "");
    r->max_tokens = cJSON_IsNumber(most) ? (long)most->valuedouble : -1;
    r->temperature = cJSON_IsNumber(t) ? t->valuedouble : -1;
    r->demo_users = dm_alloc_n(n + 1, sizeof *r->demo_users);
    r->demo_answers = dm_alloc_n(n + 1, sizeof *r->demo_answers);
    cJSON_ArrayForEach(m, messages)
    {
        const char *role = role_of(m);
        if (strcmp(role, "system") == 0) {
            free(r->system);
            r->system = content_of(m);
        } else if (strcmp(role, "assistant") == 0) {
            r->demo_users[r->n_demos] = r->user;
            r->demo_answers[r->n_demos++] = content_of(m);
            r->user = dm_copy_string("");
        } else {
            free(r->user);
            r->user = content_of(m);
        }
    }
    read_fields(r);
    cJSON_Delete(root);
    return n > 0;
}

void mock_request_free(mock_request *r)
{
    for (size_t i = 0; i < r->n_demos; i++) {
        free(r->demo_users[i]);
        free(r->demo_answers[i]);
    }
    free(r->demo_users);
    free(r->demo_answers);
    free(r->system);
    free(r->user);
    free(r->model);
}

/* ---- writing an answer ---- */

static void put_json_string(dm_buf *b, const char *s)
{
    dm_buf_char(b, '"');
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            dm_buf_printf(b, "\\%c", *s);
        else if ((unsigned char)*s < 0x20)
            dm_buf_printf(b, "\\u%04x", *s);
        else
            dm_buf_char(b, *s);
    }
    dm_buf_char(b, '"');
}

/* A value: text, or raw JSON and Python alike. */
typedef struct value {
    const char *text;
    bool raw;
} value;

typedef value value_of(const void *user, const mock_request *r, const struct mock_field *f);

static void put_fields(const mock_request *r, mock_reply *out, value_of *of, const void *user)
{
    dm_buf *b = &out->content;
    if (r->json)
        dm_buf_char(b, '{');
    for (size_t i = 0; i < r->n_fields; i++) {
        value v = of(user, r, &r->fields[i]);
        if (r->json) {
            dm_buf_text(b, i ? ", " : "");
            put_json_string(b, r->fields[i].name);
            dm_buf_text(b, ": ");
            if (v.raw)
                dm_buf_text(b, v.text);
            else
                put_json_string(b, v.text);
        } else {
            dm_buf_printf(b, "[[ ## %s ## ]]\n%s\n\n", r->fields[i].name, v.text);
        }
    }
    dm_buf_text(b, r->json ? "}" : "[[ ## completed ## ]]");
}

/* The text of a section of a message, up to the next header or the closing sentence. */
static void section(const char *text, const char *name, char *out, size_t room)
{
    char header[96];
    snprintf(header, sizeof header, "[[ ## %s ## ]]\n", name);
    const char *p = strstr(text, header), *end;
    *out = 0;
    if (!p)
        return;
    p += strlen(header);
    end = strstr(p, "\n\n");
    size_t n = end ? (size_t)(end - p) : strlen(p);
    n = n < room - 1 ? n : room - 1;
    memcpy(out, p, n);
    out[n] = 0;
}

/* ---- echo ---- */

/* The first member of Literal['a', "b"], without its quotes. */
static value first_literal(const char *type, char *room, size_t n)
{
    const char *p = strchr(type, '[') + 1;
    bool quoted = *p == '\'' || *p == '"';
    const char *end = quoted ? strchr(p + 1, *p) : strpbrk(p, ",]");
    p += quoted;
    copy_part(room, n, p, end ? (size_t)(end - p) : strlen(p));
    return (value){room, !quoted};
}

static value echo_value(const void *user, const mock_request *r, const struct mock_field *f)
{
    static char literal[sizeof f->type];
    static const struct {
        const char *start, *python, *json;
    } types[] = {
        {"int", "1", "1"},           {"float", "0.5", "0.5"},   {"bool", "True", "true"},
        {"list", "[]", "[]"},        {"set", "[]", "[]"},       {"frozenset", "[]", "[]"},
        {"dict", "{}", "{}"},        {"Union", "None", "null"}, {"Optional", "None", "null"},
        {"NoneType", "None", "null"}};
    (void)user;
    if (strncmp(f->type, "Literal[", 8) == 0)
        return first_literal(f->type, literal, sizeof literal);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strncmp(f->type, types[i].start, strlen(types[i].start)) == 0)
            return (value){r->json ? types[i].json : types[i].python, true};
    return (value){f->name, false};
}

/* ---- the rule of the golden optimizer runs ---- */

typedef struct golden {
    char reason[48], answer[8];
} golden;

static value golden_value(const void *user, const mock_request *r, const struct mock_field *f)
{
    const golden *g = user;
    (void)r;
    return (value){strcmp(f->name, "reasoning") == 0 ? g->reason : g->answer, false};
}

static void answer_golden(const mock_request *r, mock_reply *out)
{
    golden g;
    char question[64];
    section(r->user, "question", question, sizeof question);
    long n = strtol(question + (*question == 'q'), NULL, 10);
    bool yes = n % 3 != 0 || (n % 6 == 0 && r->n_demos >= 6);
    snprintf(g.reason, sizeof g.reason, "r%ld", n);
    snprintf(g.answer, sizeof g.answer, "%s", yes ? "yes" : "no");
    put_fields(r, out, golden_value, &g);
}

/* ---- the planted world ---- */

static const char *const labels[] = {"red", "green", "blue", "grey"};

const char *mock_planted_label(uint64_t seed, long item)
{
    return labels[dm_draw(seed, 1, (uint64_t)item) % 4];
}

int mock_planted_noise(uint64_t seed, long item)
{
    return (int)(dm_draw(seed, 2, (uint64_t)item) % 1000);
}

int mock_planted_skill(uint64_t seed, const char *instruction, const long *items, const bool *right,
                       size_t n)
{
    static const struct {
        const char *word;
        int effect;
    } words[] = {{"carefully", 120}, {"exactly", 60}, {"quickly", -90}, {"please", 0}};
    int skill = 250;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(instruction, words[i].word))
            skill += words[i].effect;
    for (size_t i = 0; i < n && i < 16; i++)
        skill += right[i] ? (int)(dm_draw(seed, 3, (uint64_t)items[i]) % 81) - 10 : -120;
    return skill;
}

static long item_of(const char *text)
{
    const char *p = strstr(text, "item ");
    return p ? strtol(p + 5, NULL, 10) : 0;
}

static bool says(const char *answer, const char *label)
{
    const char *p = strstr(answer, "answer");
    p = p ? strstr(p, label) : NULL;
    return p != NULL;
}

typedef struct planted {
    const mock_rule *rule;
    const char *say;
} planted;

static const char *const proposals[] = {
    "Look at the item and name its label.",
    "Look at the item carefully and name its label.",
    "Look at the item and name its label exactly.",
    "Look at the item carefully and name its label exactly.",
    "Look at the item quickly and name its label.",
    "Look at the item quickly but carefully and name its label.",
    "Look at the item quickly and name its label exactly.",
    "Look at the item quickly but carefully and name its label exactly."};

static value planted_value(const void *user, const mock_request *r, const struct mock_field *f)
{
    static const char *const about[] = {"summary", "description", "observations"};
    const planted *p = user;
    if (strstr(f->name, "instruction"))
        return (value){proposals[dm_draw(p->rule->seed, 5, r->hash) % 8], false};
    for (size_t i = 0; i < sizeof about / sizeof *about; i++)
        if (strstr(f->name, about[i]))
            return (value){"Numbered items, each with one of four colours as its label.", false};
    return (value){strcmp(f->name, "reasoning") == 0 ? "It looks that way." : p->say, false};
}

/* Everything that the answer may depend on, as one number. */
static uint64_t all_of(const mock_rule *rule, const char *objective, long item, const long *items,
                       const bool *right, size_t n)
{
    dm_hash h = dm_hash_of(objective, strlen(objective));
    uint64_t all = dm_draw(rule->seed, dm_hash_u64(&h), (uint64_t)item);
    for (size_t i = 0; i < n; i++)
        all = dm_draw(rule->seed, all, 2 * (uint64_t)items[i] + right[i]);
    return all;
}

static int noise_of(const mock_rule *rule, long item, uint64_t all)
{
    bool mixed = (int)(dm_draw(rule->seed, 6, all) % 1000) < rule->mix;
    return mixed ? (int)(dm_draw(rule->seed, 7, all) % 1000) : mock_planted_noise(rule->seed, item);
}

static void answer_planted(const mock_rule *rule, const mock_request *r, mock_reply *out)
{
    long *items = dm_alloc_n(r->n_demos + 1, sizeof *items), item = item_of(r->user);
    bool *right = dm_alloc_n(r->n_demos + 1, sizeof *right);
    for (size_t i = 0; i < r->n_demos; i++) {
        items[i] = item_of(r->demo_users[i]);
        right[i] = says(r->demo_answers[i], mock_planted_label(rule->seed, items[i]));
    }
    const char *objective = strstr(r->system, "your objective is");
    objective = objective ? objective : "";
    int skill = mock_planted_skill(rule->seed, objective, items, right, r->n_demos);
    /* A rollout at a temperature is another attempt: a little luck of its own. */
    int luck = r->temperature > 0 ? (int)(dm_draw(rule->seed, 4, r->hash) % 100) : 0;
    const char *gold = mock_planted_label(rule->seed, item);
    planted p = {rule, gold};
    uint64_t all = rule->mix ? all_of(rule, objective, item, items, right, r->n_demos) : 0;
    if (noise_of(rule, item, all) >= skill + luck + rule->base - 250)
        for (size_t i = 0; i < 4; i++)
            if (strcmp(labels[i], gold) == 0)
                p.say = labels[(i + 1) % 4];
    put_fields(r, out, planted_value, &p);
    free(items);
    free(right);
}

/* ---- the product's own stand-in ---- */

static void answer_stand_in(const mock_request *r, mock_reply *out)
{
    size_t n = 0;
    dm_message *messages = dm_alloc_n(2 * r->n_demos + 2, sizeof *messages);
    messages[n++] = (dm_message){DM_SYSTEM, dm_str_of(r->system)};
    for (size_t i = 0; i < r->n_demos; i++) {
        messages[n++] = (dm_message){DM_USER, dm_str_of(r->demo_users[i])};
        messages[n++] = (dm_message){DM_ASSISTANT, dm_str_of(r->demo_answers[i])};
    }
    messages[n++] = (dm_message){DM_USER, dm_str_of(r->user)};
    dm_embedded_answer(&out->content, messages, n, 0);
    free(messages);
}

/* ---- scripts: {"match": ..., "and": ..., "content": ..., "finish_reason": ..., "status": ...} a
 * line ---- */

static char *text_at(const cJSON *o, const char *key, const char *otherwise)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    return dm_copy_string(cJSON_IsString(v) ? v->valuestring : otherwise);
}

static bool load_script(mock_rule *rule, const char *path)
{
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t room = 0, n = 0;
    bool good = f != NULL;
    while (good && getline(&line, &room, f) > 0) {
        cJSON *o = cJSON_Parse(line);
        const cJSON *status = cJSON_GetObjectItemCaseSensitive(o, "status");
        n++;
        good = cJSON_IsObject(o);
        rule->lines = dm_grow(rule->lines, rule->n_lines + 1, sizeof *rule->lines);
        rule->lines[rule->n_lines++] =
            (struct mock_line){text_at(o, "match", ""),
                               text_at(o, "and", ""),
                               text_at(o, "content", ""),
                               text_at(o, "then", ""),
                               text_at(o, "finish_reason", "stop"),
                               cJSON_IsNumber(status) ? status->valueint : 200};
        cJSON_Delete(o);
    }
    if (!good)
        fprintf(stderr, "mock-lm: %s:%zu: no such file, or no JSON object\n", path, n);
    free(line);
    if (f)
        fclose(f);
    return good;
}

/* ---- rules by name ---- */

void mock_rule_init(mock_rule *rule)
{
    *rule = (mock_rule){.name = "echo", .seed = 1, .base = 250};
}

void mock_rule_free(mock_rule *rule)
{
    for (size_t i = 0; i < rule->n_lines; i++) {
        free(rule->lines[i].match);
        free(rule->lines[i].and);
        free(rule->lines[i].content);
        free(rule->lines[i].then);
        free(rule->lines[i].finish);
    }
    free(rule->lines);
    mock_rule_init(rule);
}

static bool set_param(mock_rule *rule, const char *text)
{
    if (strncmp(text, "seed=", 5) == 0)
        rule->seed = strtoull(text + 5, NULL, 10);
    else if (strncmp(text, "base=", 5) == 0)
        rule->base = (int)strtol(text + 5, NULL, 10);
    else if (strncmp(text, "mix=", 4) == 0)
        rule->mix = (int)strtol(text + 4, NULL, 10);
    else
        return false;
    return true;
}

bool mock_rule_parse(mock_rule *rule, char *text)
{
    static const char *const names[] = {"echo",     "golden", "planted",
                                        "stand-in", "tokens", "script"};
    size_t i = 0;
    char *params = strchr(text, ':'), *next;
    if (params)
        *params++ = 0;
    while (i < 6 && strcmp(text, names[i]) != 0)
        i++;
    rule->name = text;
    if (i == 5 && params)
        return load_script(rule, params);
    bool good = i < 5;
    for (char *p = params; good && p && *p; p = next) {
        next = strchr(p, ',');
        if (next)
            *next++ = 0;
        good = set_param(rule, p);
    }
    if (!good)
        fprintf(stderr, "mock-lm: --rule %s: no such rule or parameter\n", text);
    return good;
}

static bool stands_in(const char *text, const mock_request *r)
{
    return strstr(r->user, text) || strstr(r->system, text);
}

static value tokens_value(const void *user, const mock_request *r, const struct mock_field *f)
{
    static char text[1024];
    (void)user;
    mock_tokens_value(r, f->name, text, sizeof text);
    return (value){text, false};
}

static int answer_script(const mock_rule *rule, const mock_request *r, mock_reply *out)
{
    for (size_t i = 0; i < rule->n_lines; i++)
        if (stands_in(rule->lines[i].match, r) && stands_in(rule->lines[i].and, r)) {
            bool again = r->before > 0 && rule->lines[i].then[0];
            dm_buf_text(&out->content, again ? rule->lines[i].then : rule->lines[i].content);
            out->finish = rule->lines[i].finish;
            return rule->lines[i].status;
        }
    put_fields(r, out, echo_value, NULL);
    return 200;
}

int mock_answer(const mock_rule *rule, const mock_request *r, mock_reply *out)
{
    out->finish = "stop";
    if (strcmp(rule->name, "script") == 0)
        return answer_script(rule, r, out);
    if (strcmp(rule->name, "golden") == 0)
        answer_golden(r, out);
    else if (strcmp(rule->name, "planted") == 0)
        answer_planted(rule, r, out);
    else if (strcmp(rule->name, "tokens") == 0)
        put_fields(r, out, tokens_value, NULL);
    else if (strcmp(rule->name, "stand-in") == 0)
        answer_stand_in(r, out);
    else
        put_fields(r, out, echo_value, NULL);
    return 200;
}
