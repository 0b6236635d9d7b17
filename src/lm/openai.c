/* OpenAI, and the form of its chat completions (contract 4.2). */
#include "lm/openai.h"
#include "json/json.h"
#include "lm/words.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- requests ---- */

static void put_part(dm_buf *b, const char *comma, dm_str name, dm_str value)
{
    dm_str parts[2] = {name, value};
    dm_buf_text(b, comma);
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; i < parts[k].n; i++) {
            unsigned char c = (unsigned char)parts[k].p[i];
            if (isalnum(c) || (c && strchr("-._~", c)))
                dm_buf_char(b, (char)c);
            else
                dm_buf_printf(b, "%%%02X", c);
        }
        if (k == 0)
            dm_buf_char(b, '=');
    }
}

void dm_openai_query(dm_buf *b, const dm_lm_config *c)
{
    const char *comma = "?";
    if (c->api_version) {
        put_part(b, comma, DM_STR("api-version"), dm_str_of(c->api_version));
        comma = "&";
    }
    for (size_t i = 0; c->query && i < c->query->n; i++) {
        put_part(b, comma, c->query->members[i].key, c->query->members[i].value->text);
        comma = "&";
    }
}

void dm_openai_url(dm_buf *b, const dm_lm_config *c, const char *base)
{
    dm_buf_printf(b, "%s/chat/completions", base);
    dm_openai_query(b, c);
}

/* Elements of the array, with a comma behind each: the last message follows. */
void dm_openai_head(dm_buf *b, const dm_message *messages, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        dm_buf_printf(b, "%s{\"role\":\"%s\",\"content\":", i ? "," : "",
                      dm_message_role_name(messages[i].role));
        dm_json_write_string(b, messages[i].content);
        dm_buf_char(b, '}');
    }
}

void dm_openai_sampling(dm_buf *b, const dm_lm_config *c, double temperature)
{
    bool put = isnan(temperature);
    for (size_t i = 0; i < c->sampling->n; i++) {
        const dm_member *m = &c->sampling->members[i];
        dm_buf_char(b, ',');
        dm_json_write_string(b, m->key);
        dm_buf_char(b, ':');
        if (dm_str_is(m->key, "temperature") && !isnan(temperature)) {
            dm_py_float(b, temperature);
            put = true;
        } else {
            dm_json_write(b, m->value, DM_JSON_COMPACT);
        }
    }
    if (!put) {
        dm_buf_text(b, ",\"temperature\":");
        dm_py_float(b, temperature);
    }
}

/* Without the brace at the end. What is the same for all examples of a candidate comes first. */
static void open_body(dm_buf *b, const dm_outgoing *o)
{
    dm_buf_text(b, "{\"model\":");
    dm_json_write_string(b, dm_str_of(o->config->name));
    dm_buf_text(b, ",\"messages\":[");
    dm_buf_str(b, o->head);
    dm_buf_text(b,
                o->head.n ? ",{\"role\":\"user\",\"content\":" : "{\"role\":\"user\",\"content\":");
    dm_json_write_string(b, o->user);
    dm_buf_text(b, "}]");
    dm_buf_text(b, o->sampling);
    if (o->format == DM_FORMAT_JSON_OBJECT)
        dm_buf_text(b, ",\"response_format\":{\"type\":\"json_object\"}");
    else if (o->format == DM_FORMAT_SCHEMA)
        dm_buf_printf(b,
                      ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":"
                      "\"DSPyProgramOutputs\",\"schema\":%.*s,\"strict\":true}}",
                      DM_STR_ARG(o->schema));
    dm_openai_extra(b, o);
}

void dm_openai_extra(dm_buf *b, const dm_outgoing *o)
{
    const dm_value *extra = o->config->extra_body;
    for (size_t i = 0; extra && i < extra->n; i++) {
        dm_buf_char(b, ',');
        dm_json_write_string(b, extra->members[i].key);
        dm_buf_char(b, ':');
        dm_json_write(b, extra->members[i].value, DM_JSON_COMPACT);
    }
}

void dm_openai_body(dm_buf *b, const dm_outgoing *o)
{
    open_body(b, o);
    dm_buf_char(b, '}');
}

static void put_member(dm_buf *b, const dm_lm_config *c, dm_str key, const dm_value *v)
{
    const char *name = c->provider->sampling_name ? c->provider->sampling_name(c, key.p) : key.p;
    dm_buf_char(b, ',');
    dm_json_write_string(b, dm_str_of(name));
    dm_buf_char(b, ':');
    dm_json_write(b, v, DM_JSON_COMPACT);
}

/* What the request says goes before what the job says of the model. */
void dm_openai_json(dm_buf *b, const dm_lm_config *c, const dm_lm_request *r)
{
    const dm_value *own = r->json.settings;
    dm_buf_text(b, "{\"model\":");
    dm_json_write_string(b, dm_str_of(c->name));
    dm_buf_text(b, ",\"messages\":");
    dm_json_write(b, r->json.messages, DM_JSON_COMPACT);
    for (size_t i = 0; i < c->sampling->n; i++) {
        dm_str key = c->sampling->members[i].key;
        bool limit = dm_str_is(key, "max_tokens") || dm_str_is(key, "max_completion_tokens");
        bool said =
            dm_value_get(own, key.p) || (limit && (dm_value_get(own, "max_tokens") ||
                                                   dm_value_get(own, "max_completion_tokens")));
        if (!said)
            put_member(b, c, key, c->sampling->members[i].value);
    }
    for (size_t i = 0; own && i < own->n; i++)
        if (!dm_str_is(own->members[i].key, "stream"))
            put_member(b, c, own->members[i].key, own->members[i].value);
    for (size_t i = 0; c->extra_body && i < c->extra_body->n; i++)
        if (!dm_value_get(own, c->extra_body->members[i].key.p))
            put_member(b, c, c->extra_body->members[i].key, c->extra_body->members[i].value);
    dm_buf_char(b, '}');
}

/* ---- replies ---- */

/* A string, or a list of parts of which those of type "text" count; all else is as good as empty,
 * for DSPy too (contract 4.2). */
void dm_openai_content(dm_buf *b, const dm_value *content)
{
    if (content && content->kind == DM_STRING)
        dm_buf_str(b, content->text);
    for (size_t i = 0; content && content->kind == DM_LIST && i < content->n; i++) {
        const dm_value *part = content->items[i], *text = dm_value_get(part, "text");
        if (text && text->kind == DM_STRING &&
            strcmp(dm_reply_word(dm_value_get(part, "type")), "text") == 0)
            dm_buf_str(b, text->text);
    }
}

/* In OpenAI's place, or in DeepSeek's or Moonshot's. */
static int64_t cached_of(const dm_value *usage)
{
    const dm_value *details = dm_value_get(usage, "prompt_tokens_details");
    return dm_value_get(details, "cached_tokens") ? dm_reply_tokens(details, "cached_tokens")
           : dm_value_get(usage, "prompt_cache_hit_tokens")
               ? dm_reply_tokens(usage, "prompt_cache_hit_tokens")
               : dm_reply_tokens(usage, "cached_tokens");
}

/* Where the sum shows that reasoning was not counted among the answer's tokens, as xAI's, it is
 * added: it is billed as they are. */
static void take_usage(dm_reply *r, const dm_value *usage)
{
    int64_t all = dm_reply_tokens(usage, "total_tokens");
    r->prompt = dm_reply_tokens(usage, "prompt_tokens");
    r->completion = dm_reply_tokens(usage, "completion_tokens");
    r->cached = cached_of(usage);
    r->reasoning =
        dm_reply_tokens(dm_value_get(usage, "completion_tokens_details"), "reasoning_tokens");
    if (r->prompt > 0 && r->completion >= 0 && r->reasoning > 0 &&
        all == r->prompt + r->completion + r->reasoning)
        r->completion += r->reasoning;
}

static bool is_one_of(const char *reason, const char *const *words)
{
    while (*words && strcasecmp(reason, *words) != 0)
        words++;
    return *words != NULL;
}

/* By OpenAI's word, or another server's. */
static bool is_cut(const char *reason)
{
    static const char *const words[] = {"length", "max_tokens", "model_length",
                                        "model_context_window_exceeded", NULL};
    return is_one_of(reason, words);
}

/* Gemini's endpoint says why behind the word: "content_filter: PROHIBITED_CONTENT". */
static bool is_filtered(const char *reason)
{
    static const char *const words[] = {"safety", "prohibited_content", "blocklist",
                                        "spii",   "sensitive",          NULL};
    return strncmp(reason, "content_filter", 14) == 0 || is_one_of(reason, words);
}

/* The server did not come to the end of its answer: what there is of it is none. */
static bool gave_up(const char *reason)
{
    static const char *const words[] = {"error", "abort", "network_error",
                                        "insufficient_system_resource", NULL};
    return is_one_of(reason, words);
}

/* The status that a 2xx hides: 400 to 599, as a number or as text. 0: none. */
static long status_told(const dm_value *error)
{
    static const char *const names[] = {"code", "status", "status_code", "statusCode"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const dm_value *v = dm_value_get(error, names[i]);
        bool text = v && v->kind == DM_STRING && v->text.n == 3 && dm_str_is_whole(v->text);
        int64_t n = text ? strtol(v->text.p, NULL, 10) : dm_reply_count(error, names[i]);
        if (n >= 400 && n < 600)
            return (long)n;
    }
    return 0;
}

static dm_verdict no_choices(const dm_provider *p, dm_reply *r, const dm_value *root)
{
    dm_buf words;
    if (dm_value_get(dm_said_object(root), "error") || status_told(dm_said_object(root)))
        return dm_reply_error(p, r, root);
    dm_buf_init(&words, DM_MAX_ANSWER);
    dm_said_words(&words, root);
    dm_verdict v = dm_reply_end(r, DM_ODD, DM_FAULT_NONE, "an answer without choices",
                                words.data ? words.data : "");
    dm_buf_free(&words);
    return v;
}

/* An answer without content is one that does not parse: that is for whoever asked. */
dm_verdict dm_openai_read(const dm_provider *p, dm_reply *r, const dm_value *root)
{
    const dm_value *choices = dm_value_get(root, "choices");
    if (!choices || choices->kind != DM_LIST || choices->n == 0 ||
        choices->items[0]->kind != DM_DICT)
        return no_choices(p, r, root);
    const dm_value *choice = choices->items[0], *error = dm_value_get(choice, "error");
    const char *reason = dm_reply_word(dm_value_get(choice, "finish_reason"));
    take_usage(r, dm_value_get(root, "usage"));
    snprintf(r->tier, sizeof r->tier, "%s", dm_reply_word(dm_value_get(root, "service_tier")));
    if (error && dm_value_truthy(error)) /* a router's, of the provider that it asked */
        return dm_reply_error(p, r, choice);
    if (gave_up(reason))
        return dm_reply_end(r, DM_ODD, DM_FAULT_NONE,
                            "the server gave up before the end of the answer: finish_reason",
                            reason);
    r->truncated = is_cut(reason);
    if (is_filtered(reason))
        return dm_reply_end(r, DM_FINAL, DM_FAULT_FILTER,
                            "the provider's content filter stopped the answer", "");
    dm_buf b;
    dm_buf_init(&b, 2 * DM_MAX_ANSWER);
    dm_openai_content(&b, dm_value_get(dm_value_get(choice, "message"), "content"));
    r->content = dm_buf_take(&b, &r->n);
    return DM_GOOD;
}

static dm_meaning meaning_of(const char *code, const char *message)
{
    static const char *const overflow[] = {"maximum context length", "context length",
                                           "context window",         "context size",
                                           "too many tokens",        "prompt is too long",
                                           "max_model_len",          NULL};
    static const char *const no_room[] = {"resource unavailable", "resource_unavailable", NULL};
    static const char *const filter[] = {"content_filter", "content_policy", NULL};
    static const char *const final[] = {"insufficient_quota",
                                        "model_not_found",
                                        "billing_not_active",
                                        "billing_hard_limit_reached",
                                        "exceeded_current_quota_error",
                                        NULL};
    if (strcmp(code, "resource_unavailable") == 0 || dm_reply_says(message, no_room))
        return DM_MEANS_NO_ROOM;
    if (is_one_of(code, final))
        return DM_MEANS_REFUSED;
    if (strcmp(code, "rate_limit_exceeded") == 0)
        return DM_MEANS_TOO_FAST;
    if (strcmp(code, "context_length_exceeded") == 0 ||
        strcmp(code, "exceed_context_size_error") == 0 || dm_reply_says(message, overflow))
        return DM_MEANS_TOO_LONG;
    return dm_reply_says(code, filter) ? DM_MEANS_FILTERED : DM_MEANS_STATUS;
}

void dm_openai_complain(dm_complaint *c, const dm_value *root)
{
    const dm_value *error = dm_value_get(root, "error"), *code = dm_value_get(error, "code");
    if (!error || error->kind != DM_DICT) /* as older servers have it */
        error = root, code = dm_value_get(root, "code");
    c->param = dm_reply_word(dm_value_get(error, "param"));
    c->code = dm_reply_word(code);
    if (!*c->code)
        c->code = dm_reply_word(dm_value_get(error, "type"));
    long status = status_told(error);
    if (c->status < 300 && status)
        c->status = status;
    c->means = meaning_of(c->code, c->message);
}

/* ---- what is served ---- */

void dm_openai_models_url(dm_buf *b, const dm_lm_config *c, const char *base)
{
    dm_buf_printf(b, "%s/models", base);
    dm_openai_query(b, c);
}

void dm_openai_models(dm_served *s, const dm_value *root, const char *name)
{
    const dm_value *data = dm_value_get(root, "data");
    s->has_list = data && data->kind == DM_LIST && data->n > 0;
    s->list = s->has_list ? data : NULL;
    for (size_t i = 0; s->has_list && i < data->n; i++) {
        const dm_value *item = data->items[i];
        dm_str id = dm_value_text_of(dm_value_get(item, "id"));
        if (s->first.n == 0)
            s->first = id;
        if (!dm_str_is(id, name))
            continue;
        s->lists = true;
        s->root = dm_value_text_of(dm_value_get(item, "root"));
        s->max_model_len = dm_reply_count(item, "max_model_len");
    }
}

/* ---- OpenAI itself ---- */

static bool asks_openai_alone(const dm_lm_config *c)
{
    for (size_t i = 0; i < c->n_base; i++) /* a request may go to any of them */
        if (!dm_same_origin(c->api_base[i], c->provider->key_host))
            return false;
    return true;
}

/* Requests that begin alike are sent to the machine that has read the beginning. Other servers may
 * refuse a key that they do not know. */
static void body(dm_buf *b, const dm_outgoing *o)
{
    open_body(b, o);
    if (o->head.n && asks_openai_alone(o->config) &&
        !dm_value_get(o->config->extra_body, "prompt_cache_key"))
        dm_buf_printf(b, ",\"prompt_cache_key\":\"dspy-mpi-%016llx\"",
                      (unsigned long long)o->head_hash);
    dm_buf_char(b, '}');
}

/* Models that reason before they answer, by OpenAI's names. */
static bool reasons(const char *name)
{
    return (name[0] == 'o' && isdigit((unsigned char)name[1])) ||
           (strncmp(name, "gpt-", 4) == 0 && strtol(name + 4, NULL, 10) >= 5);
}

/* Its own server and its models that reason know max_tokens as max_completion_tokens alone
 * (contract 4.2). */
static const char *sampling_name(const dm_lm_config *c, const char *key)
{
    bool its_own = dm_same_origin(c->api_base[0], c->provider->key_host) || reasons(c->name);
    return its_own && strcmp(key, "max_tokens") == 0 ? "max_completion_tokens" : key;
}

dm_response_format dm_openai_format(const dm_lm_config *c, dm_response_format wanted)
{
    static const char *const schema[] = {"gpt-4o", "gpt-4.1", "gpt-5", "gpt-6", "o1", "o3", "o4"};
    static const char *const object[] = {"gpt-3.5-turbo", "gpt-4"};
    if (wanted == DM_FORMAT_NONE)
        return DM_FORMAT_NONE;
    for (size_t i = 0; i < sizeof schema / sizeof *schema; i++)
        if (strncmp(c->name, schema[i], strlen(schema[i])) == 0)
            return wanted;
    for (size_t i = 0; i < sizeof object / sizeof *object; i++)
        if (strncmp(c->name, object[i], strlen(object[i])) == 0)
            return DM_FORMAT_JSON_OBJECT;
    return DM_FORMAT_NONE;
}

static const char *const bases[] = {"OPENAI_BASE_URL", "OPENAI_API_BASE", NULL};
static const char *const keys[] = {"OPENAI_API_KEY", NULL};

const dm_provider dm_provider_openai = {.name = "openai",
                                        .base = "https://api.openai.com/v1",
                                        .base_envs = bases,
                                        .key_envs = keys,
                                        .key_host = "https://api.openai.com",
                                        DM_BEARER,
                                        .cached_from = 1024,
                                        .price = dm_price_listed,
                                        .sampling_name = sampling_name,
                                        .format = dm_openai_format,
                                        DM_OPENAI_WIRE_BUT_BODY,
                                        .body = body};
