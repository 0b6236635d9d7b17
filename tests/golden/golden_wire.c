/* What goes out to Anthropic, Azure, Gemini and OpenAI, against the requests of the real DSPy
 * (wire.json), and what is made of the replies. */
#include "../unit/configs.h"
#include "golden.h"
#include "lm/openai.h"

#include <math.h>
#include <string.h>

static const dm_value *at(const dm_value *v, const char *key)
{
    return dm_value_get(v, key);
}

/* ---- the recorded request as messages ---- */

/* A text, or text parts in a list. */
static dm_str text_of(dm_arena *a, const dm_value *content)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_openai_content(&b, content);
    dm_str s = {dm_arena_string(a, b.data ? b.data : "", b.len), b.len};
    dm_buf_free(&b);
    return s;
}

static size_t messages_of(dm_arena *a, const dm_value *body, dm_message out[20])
{
    size_t n = 0;
    const dm_value *system = at(body, "system"), *list = at(body, "messages");
    if (system)
        out[n++] = (dm_message){DM_SYSTEM, text_of(a, system)};
    for (size_t i = 0; i < list->n; i++) {
        const char *role = at(list->items[i], "role")->text.p;
        out[n++] = (dm_message){strcmp(role, "system") == 0      ? DM_SYSTEM
                                : strcmp(role, "assistant") == 0 ? DM_ASSISTANT
                                                                 : DM_USER,
                                text_of(a, at(list->items[i], "content"))};
    }
    return n;
}

static dm_lm_config *config_of(dm_arena *a, const dm_value *c, const char *base)
{
    dm_value *d = dm_value_dict(a);
    dm_error err = {DM_OK, ""};
    const dm_value *kwargs = at(c, "kwargs");
    dm_value_set(a, d, DM_STR("model"), at(c, "model"));
    dm_value_set(a, d, DM_STR("api_base"), dm_value_text(a, base));
    for (size_t i = 0; i < kwargs->n; i++)
        if (!dm_str_is(kwargs->members[i].key, "num_retries"))
            dm_value_set(a, d, kwargs->members[i].key, kwargs->members[i].value);
    dm_at root = dm_at_root(d, "lm", DM_E_JOB);
    dm_lm_config *config = dm_lm_config_read(a, &root, &err);
    cr_assert_not_null(config, "%s", err.text);
    return config;
}

static const dm_value *our_body(dm_arena *a, const dm_lm_config *c, dm_message *m, size_t n,
                                const dm_value *schema)
{
    dm_buf sampling, b, s;
    dm_prefix prefix = {m, n - 1};
    dm_error err = {DM_OK, ""};
    dm_buf_init(&sampling, DM_MAX_TEXT);
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_buf_init(&s, DM_MAX_TEXT);
    c->provider->sampling(&sampling, c, NAN);
    if (schema)
        dm_json_write(&s, schema, DM_JSON_COMPACT);
    dm_response_format wanted = schema ? DM_FORMAT_SCHEMA : DM_FORMAT_NONE;
    dm_outgoing o = {.config = c,
                     .head = dm_lm_head(a, c, &prefix),
                     .user = m[n - 1].content,
                     .sampling = sampling.data ? sampling.data : "",
                     .format =
                         c->provider->format ? c->provider->format(c, wanted) : DM_FORMAT_NONE,
                     .schema = s.data ? dm_buf_view(&s) : DM_STR("")};
    c->provider->body(&b, &o);
    const dm_value *v = dm_json_read(a, dm_buf_view(&b), &err);
    cr_assert_not_null(v, "%s: %s", err.text, b.data);
    dm_buf_free(&sampling);
    dm_buf_free(&b);
    dm_buf_free(&s);
    return v;
}

static size_t marks_in(const char *text)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, "cache_control")); p++)
        n++;
    return n;
}

/* Equal but for our marks, and for the system text, which is a list of blocks here. */
static void expect_request(dm_arena *a, const dm_value *c, const dm_value *theirs,
                           const dm_value *ours)
{
    const char *name = at(c, "name")->text.p;
    dm_message x[20], y[20];
    size_t n = messages_of(a, theirs, x), k = messages_of(a, ours, y);
    cr_expect_eq(n, k, "%s: %zu messages, not %zu", name, k, n);
    for (size_t i = 0; i < n && i < k; i++)
        cr_expect(x[i].role == y[i].role && dm_str_eq(x[i].content, y[i].content),
                  "%s: message %zu", name, i);
    for (size_t i = 0; i < theirs->n; i++) {
        dm_str key = theirs->members[i].key;
        const dm_value *v = dm_value_get_str(ours, key);
        if (dm_str_is(key, "system") || dm_str_is(key, "messages"))
            continue;
        cr_expect(v && strcmp(golden_text(a, v), golden_text(a, theirs->members[i].value)) == 0,
                  "%s: %s is %s, not %s", name, key.p, v ? golden_text(a, v) : "not there",
                  golden_text(a, theirs->members[i].value));
    }
    for (size_t i = 0; i < ours->n; i++)
        cr_expect(dm_value_get_str(theirs, ours->members[i].key), "%s: %s is not DSPy's", name,
                  ours->members[i].key.p);
}

static const dm_value *schema_of(const dm_value *body)
{
    const dm_value *s = at(at(at(body, "output_config"), "format"), "schema");
    return s ? s : at(at(at(body, "response_format"), "json_schema"), "schema");
}

Test(wire, requests_are_dspys)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *cases = at(golden(a, "wire.json"), "cases");
    size_t checked = 0;
    for (size_t i = 0; i < cases->n; i++) {
        const dm_value *c = cases->items[i], *requests = at(c, "requests");
        const char *name = at(c, "name")->text.p;
        bool known = strncmp(name, "anthropic_", 10) == 0 || strncmp(name, "azure_", 6) == 0 ||
                     strncmp(name, "openai_gpt", 10) == 0 ||
                     strcmp(name, "openai_json_schema") == 0 ||
                     strncmp(name, "hosted_vllm", 11) == 0;
        for (size_t r = 0; known && r < requests->n; r++) {
            const dm_value *body = at(requests->items[r], "body");
            const char *path = at(requests->items[r], "path")->text.p;
            bool v1 = strncmp(path, "/v1/", 4) == 0;
            dm_message m[20];
            dm_buf url;
            dm_lm_config *config = config_of(a, c, v1 ? "http://host:1/v1" : "http://host:1");
            size_t n = messages_of(a, body, m);
            expect_request(a, c, body, our_body(a, config, m, n, schema_of(body)));
            dm_buf_init(&url, 4096);
            config->provider->url(&url, config, config->api_base[0]);
            cr_expect_str_eq(url.data + strlen("http://host:1"), path, "%s", name);
            dm_buf_free(&url);
            checked++;
        }
    }
    cr_expect_geq(checked, 14, "%zu requests", checked);
    dm_arena_free(a);
}

/* One on the system text, one on the last demonstration: what all rows of a candidate share. */
Test(wire, marks_of_anthropics_cache)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *cases = at(golden(a, "wire.json"), "cases");
    for (size_t i = 0; i < cases->n; i++) {
        const dm_value *c = cases->items[i];
        const char *name = at(c, "name")->text.p;
        bool demos = strcmp(name, "anthropic_demos_temperature_max_tokens") == 0;
        if (!demos && strcmp(name, "anthropic_plain") != 0)
            continue;
        const dm_value *body = at(at(c, "requests")->items[0], "body");
        dm_message m[20];
        dm_lm_config *config = config_of(a, c, "http://host:1");
        size_t n = messages_of(a, body, m);
        const dm_value *ours = our_body(a, config, m, n, NULL), *list = at(ours, "messages");
        cr_expect_eq(marks_in(golden_text(a, ours)), demos ? 2 : 1, "%s", name);
        cr_expect_eq(marks_in(golden_text(a, at(ours, "system"))), 1);
        cr_expect_eq(marks_in(golden_text(a, list->items[list->n - 1])), 0, "the row has none");
        if (demos)
            cr_expect_eq(marks_in(golden_text(a, list->items[list->n - 2])), 1);
    }
    dm_arena_free(a);
}

/* Turns of one role in a row are one; no messages at all are a user's turn. */
Test(wire, odd_turns_for_anthropic)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *cases = at(golden(a, "wire.json"), "cases");
    dm_lm_config *config = config_of(a, cases->items[0], "http://host:1");
    dm_message m[] = {{DM_SYSTEM, DM_STR("one")},  {DM_SYSTEM, DM_STR("two")},
                      {DM_USER, DM_STR("a")},      {DM_USER, DM_STR("b")},
                      {DM_ASSISTANT, DM_STR("c")}, {DM_USER, DM_STR("d")},
                      {DM_USER, DM_STR("row")}};
    const dm_value *v = our_body(a, config, m, 7, NULL), *list = at(v, "messages");
    cr_expect_eq(at(v, "system")->n, 2);
    cr_expect_eq(list->n, 3);
    for (size_t i = 0; i < list->n; i++)
        cr_expect_str_eq(at(list->items[i], "role")->text.p, i == 1 ? "assistant" : "user");
    cr_expect_eq(at(list->items[0], "content")->n, 2);
    cr_expect_eq(at(list->items[2], "content")->n, 2);
    v = our_body(a, config, m + 6, 1, NULL);
    cr_expect(!at(v, "system") && at(v, "messages")->n == 1);
    dm_arena_free(a);
}

/* ---- replies ---- */

#define ANSWER(reason)                                                                             \
    "{\"type\": \"message\", \"content\": [{\"type\": \"thinking\", \"thinking\": \"hm\"}, "       \
    "{\"type\": \"text\", \"text\": \"ye\"}, {\"type\": \"text\", \"text\": \"s\"}], "             \
    "\"stop_reason\": \"" reason "\", \"usage\": {\"input_tokens\": 10, \"output_tokens\": 5, "    \
    "\"cache_creation_input_tokens\": 3, \"cache_read_input_tokens\": 7}}"
#define ERROR(type, more)                                                                          \
    "{\"type\": \"error\", \"error\": {\"type\": \"" type "\", \"message\": " more                 \
    "}, \"request_id\": \"req_1\"}"

Test(wire, what_anthropics_replies_mean)
{
    static const struct {
        long status;
        const char *body;
        dm_verdict verdict;
        dm_fault fault;
        bool cut;
        const char *unfit;
    } rows[] = {
        {200, ANSWER("end_turn"), DM_GOOD, DM_FAULT_NONE, false, ""},
        {200, ANSWER("stop_sequence"), DM_GOOD, DM_FAULT_NONE, false, ""},
        {200, ANSWER("max_tokens"), DM_GOOD, DM_FAULT_NONE, true, ""},
        {200, ANSWER("model_context_window_exceeded"), DM_GOOD, DM_FAULT_NONE, true, ""},
        {200, ANSWER("refusal"), DM_FINAL, DM_FAULT_FILTER, false, ""},
        {200, ANSWER("tool_use"), DM_ODD, DM_FAULT_NONE, false, ""},
        {200, ANSWER("pause_turn"), DM_ODD, DM_FAULT_NONE, false, ""},
        {200, "{\"content\": [], \"stop_reason\": \"end_turn\"}", DM_GOOD, DM_FAULT_NONE, false,
         ""},
        {200, "{\"choices\": []}", DM_ODD, DM_FAULT_NONE, false, ""},
        {200, ERROR("overloaded_error", "\"Overloaded\""), DM_SLOW_DOWN, DM_FAULT_NONE, false, ""},
        {400,
         ERROR("invalid_request_error", "\"prompt is too long: 250000 tokens > 200000 maximum\""),
         DM_FINAL, DM_FAULT_OVERFLOW, false, ""},
        {400, ERROR("invalid_request_error", "\"`temperature` is deprecated for this model.\""),
         DM_FINAL, DM_FAULT_REFUSED, false, "temperature"},
        {400, ERROR("invalid_request_error", "\"seed: Extra inputs are not permitted\""), DM_FINAL,
         DM_FAULT_REFUSED, false, "seed"},
        {400,
         ERROR(
             "invalid_request_error",
             "\"max_tokens: 99999 > 64000, which is the maximum allowed number of output tokens\""),
         DM_FINAL, DM_FAULT_REFUSED, false, "max_tokens"},
        {400, ERROR("invalid_request_error", "\"messages: text content blocks must be non-empty\""),
         DM_FINAL, DM_FAULT_REFUSED, false, ""},
        {400,
         ERROR("invalid_request_error", "\"Your credit balance is too low to access the API\""),
         DM_EJECT, DM_FAULT_NONE, false, ""},
        {401, ERROR("authentication_error", "\"invalid x-api-key\""), DM_EJECT, DM_FAULT_NONE,
         false, ""},
        {402, ERROR("billing_error", "\"pay\""), DM_EJECT, DM_FAULT_NONE, false, ""},
        {403, ERROR("permission_error", "\"no\""), DM_DENIED, DM_FAULT_NONE, false, ""},
        {404, ERROR("not_found_error", "\"model: claude-x\""), DM_DENIED, DM_FAULT_NONE, false, ""},
        {413, ERROR("request_too_large", "\"no\""), DM_FINAL, DM_FAULT_OVERFLOW, false, ""},
        {429, ERROR("rate_limit_error", "\"slow\""), DM_SLOW_DOWN, DM_FAULT_NONE, false, ""},
        {429,
         ERROR("rate_limit_error",
               "\"spent\", \"details\": {\"error_code\": \"enforced_spend_limit_reached\"}"),
         DM_EJECT, DM_FAULT_NONE, false, ""},
        {500, ERROR("api_error", "\"oops\""), DM_ODD, DM_FAULT_NONE, false, ""},
        {504, ERROR("timeout_error", "\"late\""), DM_RETRY, DM_FAULT_NONE, false, ""},
        {529, ERROR("overloaded_error", "\"Overloaded\""), DM_SLOW_DOWN, DM_FAULT_NONE, false, ""},
        {529, "<html>", DM_SLOW_DOWN, DM_FAULT_NONE, false, ""},
    };
    dm_arena *a = dm_arena_new(0);
    const dm_lm_config *c =
        config(a, "{\"model\": \"anthropic/claude-x\", \"temperature\": 0, \"seed\": 1}");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_reply r = {.status = rows[i].status, .body = dm_str_of(rows[i].body), .config = c};
        dm_verdict v = dm_judge_reply(c->provider, &r);
        cr_expect(v == rows[i].verdict && r.fault == rows[i].fault && r.truncated == rows[i].cut,
                  "row %zu (%ld): %d %s: %s", i, rows[i].status, v, dm_fault_name(r.fault), r.text);
        cr_expect_str_eq(r.param, rows[i].unfit, "row %zu: %s", i, r.text);
        if (i == 0)
            cr_expect(r.prompt == 20 && r.completion == 5 && r.cached == 7 && r.written == 3 &&
                      strcmp(r.content, "yes") == 0);
        free(r.content);
    }
    dm_arena_free(a);
}

/* By OpenAI's, vLLM's and Gemini's words; what is too long for the context is the request's. */
Test(wire, keys_that_models_refuse)
{
    static const struct {
        const char *body, *unfit;
    } rows[] = {
        {"{\"error\": {\"message\": \"Unsupported parameter: 'max_tokens' is not supported with "
         "this "
         "model. Use 'max_completion_tokens' instead.\", \"type\": \"invalid_request_error\", "
         "\"param\": \"max_tokens\", \"code\": \"unsupported_parameter\"}}",
         "max_tokens"},
        {"{\"error\": {\"message\": \"Unsupported value: 'temperature' does not support 0 with "
         "this "
         "model.\", \"param\": \"temperature\", \"code\": \"unsupported_value\"}}",
         "temperature"},
        {"{\"error\": {\"message\": \"Unsupported value: 'temperature' does not support 0 with "
         "this "
         "model.\", \"param\": null, \"code\": \"unsupported_value\"}}",
         "temperature"},
        {"[{\"error\": {\"code\": 400, \"message\": \"Invalid JSON payload received. Unknown name "
         "\\\"seed\\\": Cannot find field.\"}}]",
         "seed"},
        {"{\"error\": {\"message\": \"'max_tokens' is too large: 500. This model's maximum context "
         "length is 512 tokens and your request has 100 input tokens\", \"param\": "
         "\"max_tokens\"}}",
         ""},
        {"{\"error\": {\"message\": \"this request is refused\"}}", ""},
        {"{\"error\": {\"message\": \"Invalid value for 'messages'\", \"param\": \"messages\"}}",
         ""},
        {"{\"error\": {\"message\": \"Unrecognized request argument supplied: wild\", \"param\": "
         "\"wild\"}}",
         "wild"},
    };
    dm_arena *a = dm_arena_new(0);
    const dm_lm_config *c =
        config(a, "{\"model\": \"openai/x\", \"api_base\": \"http://n:1/v1\", \"temperature\": 0, "
                  "\"max_tokens\": 9, \"seed\": 1, \"extra_body\": {\"wild\": 1}}");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_reply r = {.status = 400, .body = dm_str_of(rows[i].body), .config = c};
        cr_expect_eq(dm_judge_reply(c->provider, &r), DM_FINAL);
        cr_expect_str_eq(r.param, rows[i].unfit, "%s: %s", rows[i].body, r.text);
    }
    dm_arena_free(a);
}

/* ---- addresses, headers, prices ---- */

static bool has_header(const dm_lm_config *c, const char *line)
{
    dm_endpoint e;
    dm_error err = {DM_OK, ""};
    bool has = false;
    cr_assert_eq(dm_endpoint_init(&e, c, c->api_base[0], 0, 8, &err), DM_OK, "%s", err.text);
    for (const struct curl_slist *h = e.headers; h; h = h->next)
        has |= strcmp(h->data, line) == 0;
    dm_endpoint_free(&e);
    return has;
}

static const char *url(dm_arena *a, const dm_lm_config *c)
{
    dm_buf b;
    dm_buf_init(&b, 4096);
    c->provider->url(&b, c, c->api_base[0]);
    const char *s = dm_arena_string(a, b.data, b.len);
    dm_buf_free(&b);
    return s;
}

Test(wire, addresses_and_headers)
{
    dm_arena *a = dm_arena_new(0);
    setenv("ANTHROPIC_API_KEY", "an-anthropic-key-1", 1);
    setenv("AZURE_API_KEY", "an-azure-key-1", 1);
    setenv("GEMINI_API_KEY", "a-gemini-key-1", 1);
    setenv("GATE", "a-gateway-token-1", 1);
    unsetenv("ANTHROPIC_BASE_URL");
    unsetenv("AZURE_API_VERSION");
    const dm_lm_config *c = config(a, "\"anthropic/claude-sonnet-4-6\"");
    cr_expect_str_eq(url(a, c), "https://api.anthropic.com/v1/messages");
    cr_expect(has_header(c, "x-api-key: an-anthropic-key-1") &&
              has_header(c, "anthropic-version: 2023-06-01"));
    cr_expect_eq(c->max_tokens, 16384);
    c = config(a, "{\"model\": \"anthropic/x\", \"api_base\": \"http://gate:1/v1\"}");
    cr_expect_not(has_header(c, "x-api-key: an-anthropic-key-1"), "the key stays at home");
    c = config(a, "{\"model\": \"azure/dep\", \"api_base\": \"https://me.openai.azure.com/\"}");
    cr_expect_str_eq(url(a, c), "https://me.openai.azure.com/openai/deployments/dep/chat/"
                                "completions?api-version=2024-10-21");
    cr_expect(has_header(c, "api-key: an-azure-key-1"));
    c = config(
        a, "{\"model\": \"azure/dep\", \"api_base\": \"https://me.openai.azure.com.evil.org\"}");
    cr_expect_not(has_header(c, "api-key: an-azure-key-1"));
    c = config(
        a, "{\"model\": \"azure/dep\", \"api_base\": \"https://me.openai.azure.com/openai/v1\", "
           "\"query\": {\"api-version\": \"preview\", \"x\": \"a b&c\"}}");
    cr_expect_str_eq(url(a, c), "https://me.openai.azure.com/openai/v1/chat/"
                                "completions?api-version=preview&x=a%20b%26c");
    c = config(a, "\"gemini/gemini-2.5-flash\"");
    cr_expect_str_eq(url(a, c),
                     "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions");
    cr_expect(has_header(c, "Authorization: Bearer a-gemini-key-1"));
    c = config(a, "{\"model\": \"openai/x\", \"api_base\": \"http://gate:1/v1\", \"headers\": "
                  "{\"X-Team\": \"a-team-of-ours\"}, \"headers_env\": {\"X-Gate\": \"GATE\"}}");
    cr_expect(has_header(c, "X-Team: a-team-of-ours") &&
              has_header(c, "X-Gate: a-gateway-token-1"));
    dm_arena_free(a);
}

Test(wire, prices_from_the_table)
{
    dm_arena *a = dm_arena_new(0);
    dm_price p = config(a, "\"anthropic/claude-sonnet-4-6\"")->price;
    cr_expect(p.known && p.prompt == 3 && p.cached == .3 && p.cache_write == 3.75 &&
              p.completion == 15);
    cr_expect(config(a, "\"anthropic/claude-haiku-4-5-20251001\"")->price.known);
    cr_expect(config(a, "\"openai/gpt-5-mini-2025-08-07\"")->price.known);
    cr_expect_not(config(a, "\"openai/gpt-5-mini-preview\"")->price.known);
    cr_expect_eq(config(a, "\"openai/gpt-5-mini\"")->price.flex, .5);
    dm_lm_config *c = config(a, "{\"model\": \"openai/gpt-5-mini\", \"service_tier\": \"flex\"}");
    cr_expect(c->flex && c->timeout == 900);
    dm_usage u = {.answers = 1, .prompt = 1000000, .flex = 1};
    cr_expect_float_eq(dm_cost_of(c, &u), .125, 1e-9);
    u.flex = 0; /* served as something else */
    cr_expect_float_eq(dm_cost_of(c, &u), .25, 1e-9);
    c = config(a,
               "{\"model\": \"openai/gpt-5-mini\", \"service_tier\": \"flex\", \"timeout\": 30}");
    cr_expect_eq(c->timeout, 30);
    dm_arena_free(a);
}
