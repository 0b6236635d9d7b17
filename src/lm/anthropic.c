/* Anthropic's Messages, as DSPy's anthropic/NAME sends them, with marks for the server's cache on
 * what all prompts of a candidate begin with. */
#include "json/json.h"
#include "lm/openai.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_TOKENS 16384 /* of an answer, where the job does not say: it has to be said */
#define CACHE_MARK  ",\"cache_control\":{\"type\":\"ephemeral\"}"

/* ---- what the job does not say ---- */

static bool begins_with_one_of(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (strncmp(name, *names, strlen(*names)) == 0)
            return true;
    return false;
}

/* A variable is read as other programs do, without the version. */
static void complete_base(dm_arena *a, dm_lm_config *c)
{
    char *own = dm_base_in_env(c->provider, NULL);
    size_t n = strlen(c->api_base[0]);
    bool from_it = own && c->n_base == 1 && n && strncmp(own, c->api_base[0], n) == 0;
    from_it = from_it && own[n + strspn(own + n, "/")] == 0;
    free(own);
    if (from_it && (n < 3 || strcmp(c->api_base[0] + n - 3, "/v1") != 0))
        c->api_base[0] = dm_arena_printf(a, "%s/v1", c->api_base[0]);
}

static void complete(dm_arena *a, dm_lm_config *c)
{
    dm_value *sampling = dm_value_dict(a);
    complete_base(a, c);
    if (!c->has_max_tokens) {
        c->has_max_tokens = true;
        c->max_tokens = MOST_TOKENS;
        dm_value_set(a, sampling, DM_STR("max_tokens"), dm_value_int(a, MOST_TOKENS));
    }
    for (size_t i = 0; i < c->sampling->n; i++) {
        const dm_member *m = &c->sampling->members[i];
        const dm_value *v = m->value;
        if (dm_str_is(m->key, "stop_sequences") && v->kind == DM_STRING) {
            dm_value *list = dm_value_list(a);
            dm_value_append(a, list, v);
            v = list;
        }
        dm_value_set(a, sampling, m->key, v);
    }
    c->sampling = sampling;
}

static const char *sampling_name(const dm_lm_config *c, const char *key)
{
    (void)c;
    return strcmp(key, "stop") == 0                    ? "stop_sequences"
           : strcmp(key, "max_completion_tokens") == 0 ? "max_tokens"
                                                       : key;
}

/* A shorter prefix is not kept, whatever its marks. */
static int64_t cached_from(const dm_lm_config *c)
{
    static const char *const most[] = {"claude-opus-4-5", "claude-opus-4-6", "claude-haiku-4-5",
                                       NULL};
    static const char *const more[] = {"claude-sonnet-4-6", "claude-3-haiku", "claude-3-5-haiku",
                                       NULL};
    return begins_with_one_of(c->name, most)   ? 4096
           : begins_with_one_of(c->name, more) ? 2048
                                               : 1024;
}

/* ---- requests ---- */

static void url(dm_buf *b, const dm_lm_config *c, const char *base)
{
    dm_buf_printf(b, "%s/messages", base);
    dm_openai_query(b, c);
}

/* A schema or nothing: there is no other JSON mode, and older models have none. */
static dm_response_format format(const dm_lm_config *c, dm_response_format wanted)
{
    static const char *const older[] = {"claude-2",        "claude-3",
                                        "claude-instant",  "claude-sonnet-4-0",
                                        "claude-opus-4-0", "claude-sonnet-4-2",
                                        "claude-opus-4-2", NULL};
    return wanted == DM_FORMAT_SCHEMA && !begins_with_one_of(c->name, older) ? wanted
                                                                             : DM_FORMAT_NONE;
}

static void put_block(dm_buf *b, dm_str text, bool mark)
{
    dm_buf_text(b, "{\"type\":\"text\",\"text\":");
    dm_json_write_string(b, text);
    dm_buf_text(b, mark ? CACHE_MARK "}" : "}");
}

static void put_system(dm_buf *b, const dm_message *messages, size_t n)
{
    size_t last = n, count = 0;
    for (size_t i = 0; i < n; i++)
        if (messages[i].role == DM_SYSTEM)
            last = i;
    if (last == n)
        return;
    dm_buf_text(b, "\"system\":[");
    for (size_t i = 0; i <= last; i++)
        if (messages[i].role == DM_SYSTEM) {
            dm_buf_text(b, count++ ? "," : "");
            put_block(b, messages[i].content, i == last);
        }
    dm_buf_text(b, "],");
}

/* System messages go apart, turns of one role in a row are one; the last demonstration's answer has
 * the second mark. The user's turn follows, in body: it is opened here where it is one with the
 * last. */
static void head(dm_buf *b, const dm_message *messages, size_t n)
{
    const dm_message *before = NULL, *last = NULL;
    put_system(b, messages, n);
    dm_buf_text(b, "\"messages\":[");
    for (size_t i = 0; i < n; i++)
        if (messages[i].role != DM_SYSTEM)
            last = &messages[i];
    for (size_t i = 0; i < n; i++) {
        const dm_message *m = &messages[i];
        if (m->role == DM_SYSTEM)
            continue;
        if (before && before->role == m->role)
            dm_buf_char(b, ',');
        else
            dm_buf_printf(b, "%s{\"role\":\"%s\",\"content\":[", before ? "]}," : "",
                          dm_message_role_name(m->role));
        put_block(b, m->content, m == last && m->role == DM_ASSISTANT);
        before = m;
    }
    if (before && before->role == DM_USER)
        dm_buf_char(b, ',');
    else
        dm_buf_printf(b, "%s{\"role\":\"user\",\"content\":[", before ? "]}," : "");
}

static const dm_value *effort_of(const dm_lm_config *c)
{
    return dm_value_get(c->sampling, "reasoning_effort");
}

/* All but the effort, which stands with the format. */
static void sampling(dm_buf *b, const dm_lm_config *c, double temperature)
{
    dm_arena *a = dm_arena_new(1024);
    dm_lm_config plain = *c;
    dm_value *rest = dm_value_dict(a);
    for (size_t i = 0; i < c->sampling->n; i++)
        if (!dm_str_is(c->sampling->members[i].key, "reasoning_effort"))
            dm_value_set(a, rest, c->sampling->members[i].key, c->sampling->members[i].value);
    plain.sampling = rest;
    dm_openai_sampling(b, &plain, temperature);
    dm_arena_free(a);
}

static void put_output_config(dm_buf *b, const dm_outgoing *o)
{
    const dm_value *effort = effort_of(o->config);
    bool schema = o->format == DM_FORMAT_SCHEMA;
    if (!effort && !schema)
        return;
    dm_buf_text(b, ",\"output_config\":{");
    if (effort) {
        dm_buf_text(b, "\"effort\":");
        dm_json_write(b, effort, DM_JSON_COMPACT);
    }
    if (schema)
        dm_buf_printf(b, "%s\"format\":{\"type\":\"json_schema\",\"schema\":%.*s}",
                      effort ? "," : "", DM_STR_ARG(o->schema));
    dm_buf_char(b, '}');
}

static void body(dm_buf *b, const dm_outgoing *o)
{
    dm_buf_text(b, "{\"model\":");
    dm_json_write_string(b, dm_str_of(o->config->name));
    dm_buf_char(b, ',');
    if (o->head.n)
        dm_buf_str(b, o->head);
    else
        head(b, NULL, 0);
    put_block(b, o->user, false);
    dm_buf_text(b, "]}],\"stream\":false");
    dm_buf_text(b, o->sampling);
    put_output_config(b, o);
    dm_openai_extra(b, o);
    dm_buf_char(b, '}');
}

/* ---- replies ---- */

/* The prompt's tokens are told in three parts. */
static void take_usage(dm_reply *r, const dm_value *usage)
{
    const dm_value *details = dm_value_get(usage, "output_tokens_details");
    int64_t rest = dm_reply_tokens(usage, "input_tokens");
    r->cached = dm_reply_tokens(usage, "cache_read_input_tokens");
    r->written = dm_reply_tokens(usage, "cache_creation_input_tokens");
    r->completion = dm_reply_tokens(usage, "output_tokens");
    r->reasoning = dm_reply_tokens(details, "thinking_tokens");
    r->prompt =
        rest < 0 || r->cached < 0 || r->written < 0 ? DM_NO_COUNT : rest + r->cached + r->written;
}

static dm_verdict read_reply(const dm_provider *p, dm_reply *r, const dm_value *root)
{
    const dm_value *content = dm_value_get(root, "content");
    const char *reason = dm_reply_word(dm_value_get(root, "stop_reason"));
    if (!content || content->kind != DM_LIST)
        return dm_value_get(root, "error")
                   ? dm_reply_error(p, r, root)
                   : dm_reply_end(r, DM_ODD, DM_FAULT_NONE, "an answer without content", "");
    take_usage(r, dm_value_get(root, "usage"));
    snprintf(r->tier, sizeof r->tier, "%s",
             dm_reply_word(dm_value_get(dm_value_get(root, "usage"), "service_tier")));
    r->truncated =
        strcmp(reason, "max_tokens") == 0 || strcmp(reason, "model_context_window_exceeded") == 0;
    if (strcmp(reason, "refusal") == 0)
        return dm_reply_end(r, DM_FINAL, DM_FAULT_FILTER, "the model refused to answer",
                            "stop_reason refusal");
    if (strcmp(reason, "tool_use") == 0 || strcmp(reason, "pause_turn") == 0)
        return dm_reply_end(r, DM_ODD, DM_FAULT_NONE,
                            "it stopped for a reason that was not asked for: stop_reason", reason);
    dm_buf b;
    dm_buf_init(&b, 2 * DM_MAX_ANSWER);
    dm_openai_content(&b, content);
    r->content = dm_buf_take(&b, &r->n);
    return DM_GOOD;
}

static dm_meaning meaning_of(const dm_complaint *c, const dm_value *error)
{
    static const char *const too_long[] = {"prompt is too long", "context window",
                                           "exceed context limit", NULL};
    const char *code = dm_reply_word(dm_value_get(dm_value_get(error, "details"), "error_code"));
    if (strcmp(code, "enforced_spend_limit_reached") == 0)
        return DM_MEANS_REFUSED;
    if (c->status == 413 || strcmp(c->code, "request_too_large") == 0 ||
        dm_reply_says(c->message, too_long))
        return DM_MEANS_TOO_LONG;
    return DM_MEANS_STATUS;
}

/* In a 200 an error has no status but its type's. */
static long status_of(const char *type)
{
    static const struct {
        const char *type;
        long status;
    } rows[] = {{"invalid_request_error", 400}, {"authentication_error", 401},
                {"billing_error", 402},         {"permission_error", 403},
                {"not_found_error", 404},       {"request_too_large", 413},
                {"rate_limit_error", 429},      {"api_error", 500},
                {"timeout_error", 504},         {"overloaded_error", 529}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(type, rows[i].type) == 0)
            return rows[i].status;
    return 500;
}

static void complain(dm_complaint *c, const dm_value *root)
{
    static const char *const money[] = {"credit balance is too low", NULL};
    const dm_value *error = dm_value_get(root, "error");
    c->code = dm_reply_word(dm_value_get(error, "type"));
    if (c->status < 300)
        c->status = status_of(c->code);
    if (strcmp(c->code, "billing_error") == 0 || dm_reply_says(c->message, money))
        c->status = 402;
    c->means = meaning_of(c, error);
}

static const char *const headers[] = {"anthropic-version: 2023-06-01", NULL};

static const char *const bases[] = {"ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL", NULL};
static const char *const keys[] = {"ANTHROPIC_API_KEY", NULL};

const dm_provider dm_provider_anthropic = {.name = "anthropic",
                                           .base = DM_ANTHROPIC_HOST "/v1",
                                           .base_envs = bases,
                                           .base_of = dm_base_of_anthropic,
                                           .key_envs = keys,
                                           .key_host = DM_ANTHROPIC_HOST,
                                           .key_header = "x-api-key: ",
                                           .headers = headers,
                                           .price = dm_price_listed,
                                           .cached_from_of = cached_from,
                                           .complete = complete,
                                           .url = url,
                                           .sampling_name = sampling_name,
                                           .format = format,
                                           .head = head,
                                           .sampling = sampling,
                                           .body = body,
                                           .read = read_reply,
                                           .complain = complain,
                                           .models_url = dm_openai_models_url,
                                           .models = dm_openai_models};
