#include "rules.h"
#include "base/mem.h"
#include "base/random.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading a request ---- */

static const char *content_of(const cJSON *message)
{
    const cJSON *c = cJSON_GetObjectItemCaseSensitive(message, "content");
    return cJSON_IsString(c) ? c->valuestring : "";
}

static const char *role_of(const cJSON *message)
{
    const cJSON *r = cJSON_GetObjectItemCaseSensitive(message, "role");
    return cJSON_IsString(r) ? r->valuestring : "";
}

static void add_field(mock_request *r, const char *from, size_t n)
{
    if (r->n_fields < MAX_FIELDS && n < sizeof *r->fields) {
        memcpy(r->fields[r->n_fields], from, n);
        r->fields[r->n_fields++][n] = 0;
    }
}

/* The output fields, from the last sentence of the last message. */
static void read_fields(mock_request *r)
{
    const char *chat = "starting with the field ", *json = "in the following order of fields: ";
    const char *p = strstr(r->user, json);
    r->json = p != NULL;
    if (!p)
        p = strstr(r->user, chat);
    const char *open = r->json ? "`" : "`[[ ## ", *close = r->json ? "`" : " ## ]]`";
    while (p && (p = strstr(p, open))) {
        p += strlen(open);
        const char *end = strstr(p, close);
        if (!end)
            return;
        if (strncmp(p, "completed ", 10) != 0)
            add_field(r, p, (size_t)(end - p));
        p = end + strlen(close);
    }
}

bool mock_request_read(mock_request *r, dm_str body)
{
    *r = (mock_request){.temperature = -1};
    cJSON *root = cJSON_ParseWithLength(body.p, body.n);
    const cJSON *messages = cJSON_GetObjectItemCaseSensitive(root, "messages"), *m;
    const cJSON *model = cJSON_GetObjectItemCaseSensitive(root, "model");
    const cJSON *t = cJSON_GetObjectItemCaseSensitive(root, "temperature");
    size_t n = (size_t)cJSON_GetArraySize(messages);
    dm_hash h = dm_hash_of(body.p, body.n);
    r->hash = dm_hash_u64(&h);
    r->system = dm_copy_string("");
    r->user = dm_copy_string("");
    r->model = dm_copy_string(cJSON_IsString(model) ? model->valuestring : "");
    r->temperature = cJSON_IsNumber(t) ? t->valuedouble : -1;
    r->demo_users = dm_alloc_n(n + 1, sizeof *r->demo_users);
    r->demo_answers = dm_alloc_n(n + 1, sizeof *r->demo_answers);
    cJSON_ArrayForEach(m, messages)
    {
        const char *role = role_of(m);
        if (strcmp(role, "system") == 0) {
            free(r->system);
            r->system = dm_copy_string(content_of(m));
        } else if (strcmp(role, "assistant") == 0) {
            r->demo_users[r->n_demos] = r->user;
            r->demo_answers[r->n_demos++] = dm_copy_string(content_of(m));
            r->user = dm_copy_string("");
        } else {
            free(r->user);
            r->user = dm_copy_string(content_of(m));
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

static void put_fields(const mock_request *r, mock_reply *out,
                       const char *(*value)(const void *user, const char *field), const void *user)
{
    dm_buf *b = &out->content;
    if (r->json)
        dm_buf_char(b, '{');
    for (size_t i = 0; i < r->n_fields; i++) {
        const char *v = value(user, r->fields[i]);
        if (r->json) {
            dm_buf_text(b, i ? ", " : "");
            put_json_string(b, r->fields[i]);
            dm_buf_text(b, ": ");
            put_json_string(b, v);
        } else {
            dm_buf_printf(b, "[[ ## %s ## ]]\n%s\n\n", r->fields[i], v);
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

static const char *echo_value(const void *user, const char *field)
{
    (void)user;
    return field;
}

/* ---- the rule of the golden optimizer runs ---- */

typedef struct golden {
    char reason[48], answer[8];
} golden;

static const char *golden_value(const void *user, const char *field)
{
    const golden *g = user;
    return strcmp(field, "reasoning") == 0 ? g->reason : g->answer;
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

static const char *planted_value(const void *user, const char *field)
{
    if (strstr(field, "instruction"))
        return "Look at the item carefully and name its label exactly.";
    return strcmp(field, "reasoning") == 0 ? "It looks that way." : (const char *)user;
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
    int skill =
        mock_planted_skill(rule->seed, objective ? objective : "", items, right, r->n_demos);
    /* A rollout at a temperature is another attempt: a little luck of its own. */
    int luck = r->temperature > 0 ? (int)(dm_draw(rule->seed, 4, r->hash) % 100) : 0;
    const char *gold = mock_planted_label(rule->seed, item), *say = gold;
    if (mock_planted_noise(rule->seed, item) >= skill + luck)
        for (size_t i = 0; i < 4; i++)
            if (strcmp(labels[i], gold) == 0)
                say = labels[(i + 1) % 4];
    put_fields(r, out, planted_value, say);
    free(items);
    free(right);
}

/* ---- scripts: {"match": ..., "content": ..., "finish_reason": ..., "status": ...} a line ---- */

static char *text_at(const cJSON *o, const char *key, const char *otherwise)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    return dm_copy_string(cJSON_IsString(v) ? v->valuestring : otherwise);
}

bool mock_rule_load_script(mock_rule *rule, const char *path)
{
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    if (!f)
        return false;
    while (getline(&line, &room, f) > 0) {
        cJSON *o = cJSON_Parse(line);
        const cJSON *status = cJSON_GetObjectItemCaseSensitive(o, "status");
        if (!o)
            continue;
        rule->lines = dm_grow(rule->lines, rule->n_lines + 1, sizeof *rule->lines);
        rule->lines[rule->n_lines++] =
            (struct mock_line){text_at(o, "match", ""), text_at(o, "content", ""),
                               text_at(o, "finish_reason", "stop"),
                               cJSON_IsNumber(status) ? status->valueint : 200};
        cJSON_Delete(o);
    }
    free(line);
    fclose(f);
    return true;
}

static int answer_script(const mock_rule *rule, const mock_request *r, mock_reply *out)
{
    for (size_t i = 0; i < rule->n_lines; i++)
        if (strstr(r->user, rule->lines[i].match) || strstr(r->system, rule->lines[i].match)) {
            dm_buf_text(&out->content, rule->lines[i].content);
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
    else
        put_fields(r, out, echo_value, NULL);
    return 200;
}
