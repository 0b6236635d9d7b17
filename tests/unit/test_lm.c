/* Where keys go, what an answer means, what a minute may hold. */
#include "configs.h"

#include "base/secret.h"
#include "json/json.h"
#include "lm/openai.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- keys ---- */

Test(lm, same_origin)
{
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"https://api.openai.com/v1", "https://api.openai.com", true},
        {"https://API.OpenAI.com:443/v1", "https://api.openai.com", true},
        {"https://api.openai.com:8443/v1", "https://api.openai.com", false},
        {"http://api.openai.com/v1", "https://api.openai.com", false},
        {"http://api.openai.com:443/v1", "https://api.openai.com", false},
        {"https://api.openai.com.evil.org/v1", "https://api.openai.com", false},
        {"https://api.openai.comx/v1", "https://api.openai.com", false},
        {"https://evil.org/https://api.openai.com", "https://api.openai.com", false},
        {"https://api.openai.com@evil.org/v1", "https://api.openai.com", false},
        {"https://evil.org#@api.openai.com", "https://api.openai.com", false},
        {"http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/other", true},
        {"http://127.0.0.1:8000/v1", "http://127.0.0.1:80001/v1", false},
        {"http://127.0.0.1/v1", "http://127.0.0.1:80/v1", true},
        {"http://[::1]:8000/v1", "http://[::1]:8000", true},
        {"nonsense:/", "nonsense:/", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(dm_same_origin(rows[i].a, rows[i].b), rows[i].same, "%s and %s", rows[i].a,
                     rows[i].b);
}

Test(lm, bad_base)
{
    static const struct {
        const char *base, *why; /* NULL: a good one */
    } rows[] = {
        {"http://node07:8000/v1", NULL},           {"HTTPS://node07/v1", NULL},
        {"http://[fe80::1]:8000/v1", NULL},        {"node07:8000", "begin with http"},
        {"ftp://node07", "begin with http"},       {"https://api.openai.com@node07/v1", "a user"},
        {"https://me:secret@node07/v1", "a user"}, {"http://node07:99999/v1", "not an address"},
        {"http://node 07/v1", "not an address"},   {"http://node07/v1?key=1", "before ?"},
        {"http://node07/v1#x", "before ?"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *why = dm_bad_base(rows[i].base);
        cr_expect(rows[i].why ? why && strstr(why, rows[i].why) : !why, "%s: %s", rows[i].base,
                  why ? why : "good");
    }
}

static bool carries_key(const char *json)
{
    dm_arena *a = dm_arena_new(0);
    dm_lm_config *c = config(a, json);
    dm_error err = {DM_OK, ""};
    dm_endpoint e;
    bool carries = false;
    cr_assert_eq(dm_endpoint_init(&e, c, c->api_base[0], 1, 8, &err), DM_OK, "%s", err.text);
    for (const struct curl_slist *h = e.headers; h; h = h->next)
        carries |= strcmp(h->data, "Authorization: Bearer a-secret-of-mine") == 0;
    dm_endpoint_free(&e);
    dm_arena_free(a);
    return carries;
}

Test(lm, where_a_key_goes)
{
    setenv("OPENAI_API_KEY", "a-secret-of-mine", 1);
    unsetenv("OPENAI_BASE_URL");
    cr_expect(carries_key("\"openai/gpt-4o\""));
    cr_expect_not(carries_key("{\"model\": \"openai/x\", \"api_base\": \"http://node07/v1\"}"));
    cr_expect_not(
        carries_key("{\"model\": \"openai/x\", \"api_base\": \"http://api.openai.com\"}"));
    cr_expect_not(
        carries_key("{\"model\": \"openai/x\", \"api_base\": \"https://api.openai.com.x.org\"}"));
    cr_expect_not(carries_key("\"hosted_vllm/x\""));
    setenv("OPENAI_BASE_URL", "http://node07:8000/v1", 1);
    cr_expect(carries_key("\"openai/x\""));
    cr_expect(carries_key("{\"model\": \"openai/x\", \"api_base\": \"http://node07:8000\"}"));
    cr_expect_not(carries_key("{\"model\": \"openai/x\", \"api_base\": \"http://node07:8001\"}"));
    cr_expect_not(carries_key("{\"model\": \"openai/x\", \"api_base\": \"http://node071:8000\"}"));
    cr_expect_not(carries_key("{\"model\": \"hosted_vllm/x\", \"api_base\": \"http://n:8000\"}"));
    cr_expect(carries_key("{\"model\": \"hosted_vllm/x\", \"api_base\": \"http://n:8000\", "
                          "\"api_key_env\": \"OPENAI_API_KEY\"}"));
}

/* ---- what makes a provider ---- */

Test(lm, a_providers_class_is_whole)
{
    for (size_t i = 0; i < dm_n_providers; i++) {
        const dm_provider *p = dm_providers[i];
        cr_expect(p->name && (p->base || p->wants_base) && p->price && p->head, "%zu", i);
        cr_expect(p->answer || (p->url && p->sampling && p->body && p->read && p->complain &&
                                p->key_header && (!p->base || !dm_bad_base(p->base))),
                  "%s asks servers, and does not say all that it takes", p->name);
        cr_expect(!p->models == !p->models_url, "%s", p->name);
        cr_expect(!p->key_envs == !(p->key_host || p->key_domains || p->base_envs), "%s", p->name);
        for (size_t k = 0; k < i; k++)
            cr_expect_str_neq(p->name, dm_providers[k]->name);
    }
}

/* Kept answers are found by a hash of this, so that it is the same in all versions. */
Test(lm, the_head_of_a_request)
{
    dm_message m[] = {{DM_SYSTEM, DM_STR("a \"b\"\n\xC3\xBC")},
                      {DM_USER, DM_STR("")},
                      {DM_ASSISTANT, {"\0", 1}}};
    dm_prefix prefix = {m, 3}, none = {NULL, 0};
    for (size_t i = 0; i < dm_n_providers; i++) {
        dm_arena *a = dm_arena_new(0);
        const char *json = dm_arena_printf(a, "\"%s/x\"", dm_providers[i]->name);
        setenv("AZURE_API_BASE", "https://x.openai.azure.com", 1);
        const dm_lm_config *c = config(a, json);
        if (c->provider->head != dm_openai_head) { /* a form of its own: golden_wire.c */
            dm_arena_free(a);
            continue;
        }
        cr_expect_str_eq(dm_lm_head(a, c, &prefix).p,
                         "{\"role\":\"system\",\"content\":\"a \\\"b\\\"\\n\xC3\xBC\"},"
                         "{\"role\":\"user\",\"content\":\"\"},"
                         "{\"role\":\"assistant\",\"content\":\"\\u0000\"}");
        cr_expect_eq(dm_lm_head(a, c, &none).n, 0);
        dm_arena_free(a);
    }
}

/* As LiteLLM 1.110 says of them (scripts/check-dspy-providers). */
Test(lm, formats_of_deployments)
{
    static const struct {
        const char *name;
        dm_response_format is;
    } rows[] = {{"azure/gpt-4o", DM_FORMAT_SCHEMA},
                {"azure/gpt-4o-2024-08-06", DM_FORMAT_SCHEMA},
                {"azure/gpt-5-mini", DM_FORMAT_SCHEMA},
                {"azure/o3", DM_FORMAT_SCHEMA},
                {"azure/gpt-4", DM_FORMAT_JSON_OBJECT},
                {"azure/gpt-35-turbo", DM_FORMAT_JSON_OBJECT},
                {"azure/my-deployment", DM_FORMAT_JSON_OBJECT},
                {"openai/my-model", DM_FORMAT_NONE}};
    setenv("AZURE_API_BASE", "https://x.openai.azure.com", 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_arena *a = dm_arena_new(0);
        const dm_lm_config *c = config(a, dm_arena_printf(a, "\"%s\"", rows[i].name));
        cr_expect_eq(c->provider->format(c, DM_FORMAT_SCHEMA), rows[i].is, "%s", rows[i].name);
        cr_expect_eq(c->provider->format(c, DM_FORMAT_NONE), DM_FORMAT_NONE);
        dm_arena_free(a);
    }
}

Test(lm, what_a_server_says_that_it_serves)
{
    static const struct {
        const char *json;
        bool has_list, lists;
        const char *first, *root;
        int64_t len;
    } rows[] = {
        {"{\"data\": [{\"id\": \"x\", \"root\": \"/w\", \"max_model_len\": 4096}]}", true, true,
         "x", "/w", 4096},
        {"{\"data\": [{\"id\": \"other\", \"root\": \"/o\"}, {\"id\": \"x\"}]}", true, true,
         "other", "", 0},
        {"{\"data\": [{\"id\": \"other\"}, 7, {\"id\": 8}]}", true, false, "other", "", 0},
        /* no cut at NUL, and a lone surrogate does not hide the list */
        {"{\"data\": [{\"id\": \"x\\u0000y\", \"root\": \"/w\"}]}", true, false, "x", "", 0},
        {"{\"data\": [{\"id\": \"\\ud800\"}, {\"id\": \"x\"}]}", true, true, NULL, "", 0},
        {"{\"data\": [{\"id\": \"x\", \"max_model_len\": -1}]}", true, true, "x", "", 0},
        {"{\"data\": []}", false, false, "", "", 0},
        {"{\"data\": {\"id\": \"x\"}}", false, false, "", "", 0},
        {"[]", false, false, "", "", 0},
        {"{\"data\": [", false, false, "", "", 0},
        {"", false, false, "", "", 0},
    };
    dm_arena *a = dm_arena_new(0);
    const dm_lm_config *c = config(a, "\"hosted_vllm/x\"");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_served s = dm_serves_read(a, c, dm_str_of(rows[i].json));
        cr_expect(s.has_list == rows[i].has_list && s.lists == rows[i].lists, "%s", rows[i].json);
        cr_expect_eq(s.max_model_len, rows[i].len, "%s", rows[i].json);
        cr_expect_str_eq(s.root.p, rows[i].root);
        if (rows[i].first)
            cr_expect_str_eq(s.first.p, rows[i].first);
    }
    dm_arena_free(a);
}

/* ---- what a call costs ---- */

static const struct {
    const char *model, *base;
    bool known;
} priced[] = {
    {"hosted_vllm/x", NULL, true},
    {"ollama_chat/x", NULL, true},
    {"hosted_vllm/x", "http://127.0.0.1:8000/v1", true},
    {"hosted_vllm/x", "http://127.9.8.7:8000/v1", true},
    {"hosted_vllm/x", "http://localhost:8000/v1", true},
    {"hosted_vllm/x", "http://LOCALHOST./v1", true},
    {"hosted_vllm/x", "http://node07:8000/v1", true},
    {"hosted_vllm/x", "http://gpu.local/v1", true},
    {"hosted_vllm/x", "http://vllm.ns.svc.cluster.local:8000/v1", true},
    {"hosted_vllm/x", "http://vm.c.project.internal/v1", true},
    {"hosted_vllm/x", "http://0.0.0.0:8000/v1", true},
    {"hosted_vllm/x", "http://10.1.2.3/v1", true},
    {"hosted_vllm/x", "http://172.16.0.1/v1", true},
    {"hosted_vllm/x", "http://172.31.255.1/v1", true},
    {"hosted_vllm/x", "http://192.168.7.7/v1", true},
    {"hosted_vllm/x", "http://169.254.1.1/v1", true},
    {"hosted_vllm/x", "http://100.64.0.1/v1", true},
    {"hosted_vllm/x", "http://[::1]:8000/v1", true},
    {"hosted_vllm/x", "http://[fe80::1]:8000/v1", true},
    {"hosted_vllm/x", "http://[fd00:1::2]/v1", true},
    {"hosted_vllm/x", "http://[::ffff:10.0.0.1]/v1", true},
    {"hosted_vllm/x", "https://api.together.xyz/v1", false},
    {"ollama_chat/x", "https://ollama.com/v1", false},
    {"hosted_vllm/x", "https://api.openai.com/v1", false},
    {"hosted_vllm/x", "https://localhost.example.com/v1", false},
    {"hosted_vllm/x", "https://10.example.com/v1", false},
    {"hosted_vllm/x", "https://notlocal/v1\", \"https://api.together.xyz/v1", false},
    {"hosted_vllm/x", "https://api.together.xyz/v1\", \"http://127.0.0.1/v1", false},
    {"hosted_vllm/x", "http://8.8.8.8/v1", false},
    {"hosted_vllm/x", "http://172.15.0.1/v1", false},
    {"hosted_vllm/x", "http://172.32.0.1/v1", false},
    {"hosted_vllm/x", "http://192.169.0.1/v1", false},
    {"hosted_vllm/x", "http://100.128.0.1/v1", false},
    {"hosted_vllm/x", "http://11.0.0.1/v1", false},
    {"hosted_vllm/x", "http://[2001:db8::1]/v1", false},
    {"hosted_vllm/x", "http://[::ffff:8.8.8.8]/v1", false},
    {"openai/gpt-4o", NULL, true},
    {"openai/gpt-4o", "http://node07/v1", true},
    {"openai/unheard-of", NULL, false},
    {"openai/unheard-of", "http://127.0.0.1/v1", false},
    {"embedded/stand-in", NULL, true},
};

Test(lm, a_price_is_known_or_it_is_not)
{
    unsetenv("OPENAI_BASE_URL");
    for (size_t i = 0; i < sizeof priced / sizeof *priced; i++) {
        dm_arena *a = dm_arena_new(0);
        const char *base = priced[i].base;
        const char *json =
            dm_arena_printf(a, "{\"model\": \"%s\"%s%s%s}", priced[i].model,
                            base ? ", \"api_base\": [\"" : "", base ? base : "", base ? "\"]" : "");
        cr_expect_eq(config(a, json)->price.known, priced[i].known, "%s", json);
        dm_arena_free(a);
    }
    dm_arena *a = dm_arena_new(0);
    dm_lm_config *c = config(a, "{\"model\": \"hosted_vllm/x\", \"api_base\": "
                                "\"https://api.together.xyz/v1\", \"price\": {\"prompt\": 0, "
                                "\"completion\": 2}}");
    cr_expect(c->price.known && c->price.prompt == 0 && c->price.completion == 2);
    dm_arena_free(a);
}

Test(lm, who_has_no_key)
{
    dm_arena *a = dm_arena_new(0);
    dm_error err = {DM_OK, ""};
    dm_endpoint e;
    unsetenv("OPENAI_API_KEY");
    dm_lm_config *c = config(a, "\"openai/gpt-4o\"");
    cr_expect_eq(dm_endpoint_init(&e, c, c->api_base[0], 12, 8, &err), DM_E_MODEL);
    cr_expect(strstr(err.text, "rank 12 on ") && strstr(err.text, " has no OPENAI_API_KEY") &&
                  strstr(err.text, "mpirun -x OPENAI_API_KEY") && strstr(err.text, "api_key_file"),
              "%s", err.text);
    dm_arena_free(a);
}

/* ---- the table of src/README.md §5 ---- */

static const char good[] = "{\"choices\": [{\"message\": {\"content\": \"yes\"}, "
                           "\"finish_reason\": \"stop\"}]}";
#define WITH(reason, content)                                                                      \
    "{\"choices\": [{\"message\": {\"content\": " content "}, \"finish_reason\": \"" reason "\"}]" \
    "}"
#define ERROR(code, message)                                                                       \
    "{\"error\": {\"message\": \"" message "\", \"type\": \"t\", \"code\": " code "}}"

/* As a router tells of one of its providers that failed. */
#define IN_CHOICE(code, content)                                                                   \
    "{\"choices\": [{\"error\": {\"code\": " code ", \"message\": \"it went away\"}, "             \
    "\"finish_reason\": \"error\", \"message\": {\"content\": " content "}}]}"

Test(lm, whose_fault)
{
    static const struct {
        long status;
        const char *body;
        dm_verdict verdict;
        dm_fault fault;
    } rows[] = {
        {200, good, DM_GOOD, DM_FAULT_NONE},
        {200, WITH("length", "\"\""), DM_GOOD, DM_FAULT_NONE},
        {200, WITH("stop", "[{\"type\": \"text\", \"text\": \"yes\"}]"), DM_GOOD, DM_FAULT_NONE},
        /* the way */
        {408, ERROR("null", "late"), DM_RETRY, DM_FAULT_NONE},
        {425, ERROR("null", "early"), DM_RETRY, DM_FAULT_NONE},
        {429, ERROR("\"rate_limit_exceeded\"", "slow"), DM_SLOW_DOWN, DM_FAULT_NONE},
        {429, "slow down", DM_SLOW_DOWN, DM_FAULT_NONE},
        {502, "<html>", DM_RETRY, DM_FAULT_NONE},
        {503, ERROR("null", "loading"), DM_RETRY, DM_FAULT_NONE},
        {504, "", DM_RETRY, DM_FAULT_NONE},
        {529, ERROR("null", "overloaded"), DM_SLOW_DOWN, DM_FAULT_NONE},
        {200, ERROR("\"rate_limit_exceeded\"", "slow"), DM_SLOW_DOWN, DM_FAULT_NONE},
        {200, ERROR("429", "slow"), DM_SLOW_DOWN, DM_FAULT_NONE},
        /* this request */
        {500, "", DM_ODD, DM_FAULT_NONE},
        {500, "<html>", DM_ODD, DM_FAULT_NONE},
        {500, ERROR("500", "Failed to parse input"), DM_ODD, DM_FAULT_NONE},
        {501, "", DM_ODD, DM_FAULT_NONE},
        {520, "error code: 520", DM_ODD, DM_FAULT_NONE},
        {204, "", DM_ODD, DM_FAULT_NONE},
        {200, "{\"choices\": [{\"mess", DM_ODD, DM_FAULT_NONE},
        {200, "<html>", DM_ODD, DM_FAULT_NONE},
        {200, "data: {\"choices\": []}\n\n", DM_ODD, DM_FAULT_NONE},
        {200, "", DM_ODD, DM_FAULT_NONE},
        {200, "null", DM_ODD, DM_FAULT_NONE},
        {200, "[]", DM_ODD, DM_FAULT_NONE},
        {200, "{\"choices\": []}", DM_ODD, DM_FAULT_NONE},
        {200, "{\"choices\": null}", DM_ODD, DM_FAULT_NONE},
        {200, "{\"choices\": [null]}", DM_ODD, DM_FAULT_NONE},
        {200, "{}", DM_ODD, DM_FAULT_NONE},
        {200, ERROR("500", "backend died"), DM_ODD, DM_FAULT_NONE},
        {200, ERROR("502", "flagged"), DM_ODD, DM_FAULT_NONE},
        {200, ERROR("503", "no provider"), DM_ODD, DM_FAULT_NONE},
        {200, ERROR("null", "flagged"), DM_ODD, DM_FAULT_NONE},
        {200, "{\"error\": \"flagged\"}", DM_ODD, DM_FAULT_NONE},
        /* an answer, which does not parse */
        {200, WITH("stop", "\"\""), DM_GOOD, DM_FAULT_NONE},
        {200, WITH("stop", "null"), DM_GOOD, DM_FAULT_NONE},
        {200, WITH("stop", "null, \"reasoning_content\": \"let me\""), DM_GOOD, DM_FAULT_NONE},
        {200, WITH("stop", "null, \"refusal\": \"no\""), DM_GOOD, DM_FAULT_NONE},
        {200, WITH("tool_calls", "null, \"tool_calls\": []"), DM_GOOD, DM_FAULT_NONE},
        {200, WITH("stop", "[]"), DM_GOOD, DM_FAULT_NONE},
        {200, WITH("stop", "5"), DM_GOOD, DM_FAULT_NONE},
        {200, "{\"choices\": [{\"message\": {}}]}", DM_GOOD, DM_FAULT_NONE},
        {200, "{\"choices\": [{\"message\": null}]}", DM_GOOD, DM_FAULT_NONE},
        {200, "{\"choices\": [{}]}", DM_GOOD, DM_FAULT_NONE},
        {201, good, DM_GOOD, DM_FAULT_NONE},
        {200, WITH("max_tokens", "\"a\""), DM_GOOD, DM_FAULT_NONE},
        /* the server gave up in the middle of it: no answer */
        {200, WITH("error", "\"\""), DM_ODD, DM_FAULT_NONE},
        {200, WITH("error", "\"half of an\""), DM_ODD, DM_FAULT_NONE},
        {200, WITH("abort", "\"half of an\""), DM_ODD, DM_FAULT_NONE},
        {200, WITH("insufficient_system_resource", "\"\""), DM_ODD, DM_FAULT_NONE},
        {200, WITH("network_error", "\"\""), DM_ODD, DM_FAULT_NONE},
        {200, IN_CHOICE("502", "\"\""), DM_ODD, DM_FAULT_NONE},
        {200, IN_CHOICE("429", "null"), DM_SLOW_DOWN, DM_FAULT_NONE},
        {200, IN_CHOICE("402", "\"\""), DM_EJECT, DM_FAULT_NONE},
        {200, IN_CHOICE("400", "\"\""), DM_FINAL, DM_FAULT_REFUSED},
        {200, "{\"choices\": [{\"message\": {\"content\": \"yes\"}, \"error\": null}]}", DM_GOOD,
         DM_FAULT_NONE},
        /* a status as text */
        {200, ERROR("\"429\"", "slow"), DM_SLOW_DOWN, DM_FAULT_NONE},
        {200, ERROR("\"401\"", "no"), DM_EJECT, DM_FAULT_NONE},
        {200, "{\"error\": {\"message\": \"slow\", \"status\": 429}}", DM_SLOW_DOWN, DM_FAULT_NONE},
        {200, "{\"message\": \"slow\", \"status_code\": 429}", DM_SLOW_DOWN, DM_FAULT_NONE},
        {200, "{\"detail\": \"slow\", \"statusCode\": \"429\"}", DM_SLOW_DOWN, DM_FAULT_NONE},
        /* the candidate or the example, as a comparison tells */
        {400, ERROR("\"context_length_exceeded\"", "too long"), DM_FINAL, DM_FAULT_OVERFLOW},
        {400, ERROR("400", "This model's maximum context length is 10 tokens."), DM_FINAL,
         DM_FAULT_OVERFLOW},
        {400, ERROR("\"bad\"", "no"), DM_FINAL, DM_FAULT_REFUSED},
        {413, "", DM_FINAL, DM_FAULT_REFUSED},
        {409, "", DM_FINAL, DM_FAULT_REFUSED},
        {410, "", DM_FINAL, DM_FAULT_REFUSED},
        {418, "no", DM_FINAL, DM_FAULT_REFUSED},
        {431, "<html>", DM_FINAL, DM_FAULT_REFUSED},
        {451, "", DM_FINAL, DM_FAULT_REFUSED},
        {499, "", DM_FINAL, DM_FAULT_REFUSED},
        {422, ERROR("\"invalid\"", "`inputs` tokens + `max_new_tokens` must be <= 2048"), DM_FINAL,
         DM_FAULT_REFUSED},
        {400, "[" ERROR("400", "The input token count (9) exceeds the maximum") "]", DM_FINAL,
         DM_FAULT_REFUSED},
        {413, ERROR("\"rate_limit_exceeded\"", "too large for tokens per minute"), DM_FINAL,
         DM_FAULT_REFUSED}, /* waiting does not help */
        {400, ERROR("\"model_not_found\"", "no"), DM_FINAL, DM_FAULT_REFUSED},
        {400, ERROR("\"insufficient_quota\"", "no"), DM_FINAL, DM_FAULT_REFUSED},
        {422, "{\"detail\": \"no\"}", DM_FINAL, DM_FAULT_REFUSED},
        {400, ERROR("\"content_filter\"", "no"), DM_FINAL, DM_FAULT_FILTER},
        {200, WITH("content_filter", "null"), DM_FINAL, DM_FAULT_FILTER},
        {200, WITH("content_filter: PROHIBITED_CONTENT", "null"), DM_FINAL, DM_FAULT_FILTER},
        {200, WITH("SAFETY", "null"), DM_FINAL, DM_FAULT_FILTER},
        {200, WITH("sensitive", "\"\""), DM_FINAL, DM_FAULT_FILTER},
        {200, ERROR("400", "no"), DM_FINAL, DM_FAULT_REFUSED},
        /* the endpoint or this request, as other replies tell */
        {200, ERROR("403", "no"), DM_DENIED, DM_FAULT_NONE},
        {403, "<html>", DM_DENIED, DM_FAULT_NONE},
        {404, ERROR("404", "The model `x` does not exist."), DM_DENIED, DM_FAULT_NONE},
        /* the endpoint */
        {301, "", DM_EJECT, DM_FAULT_NONE},
        {308, good, DM_EJECT, DM_FAULT_NONE},
        {401, ERROR("\"invalid_api_key\"", "no"), DM_EJECT, DM_FAULT_NONE},
        {402, "", DM_EJECT, DM_FAULT_NONE},
        {200, ERROR("401", "no"), DM_EJECT, DM_FAULT_NONE},
        {200, ERROR("402", "no"), DM_EJECT, DM_FAULT_NONE},
        {404, ERROR("\"model_not_found\"", "no"), DM_EJECT, DM_FAULT_NONE},
        {429, ERROR("\"insufficient_quota\"", "spent"), DM_EJECT, DM_FAULT_NONE},
        {429, ERROR("\"billing_not_active\"", "check your billing details"), DM_EJECT,
         DM_FAULT_NONE},
        {429, ERROR("\"billing_hard_limit_reached\"", "spent"), DM_EJECT, DM_FAULT_NONE},
        {429,
         "{\"error\": {\"message\": \"suspended\", \"type\": "
         "\"exceeded_current_quota_error\"}}",
         DM_EJECT, DM_FAULT_NONE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_reply r = {.status = rows[i].status, .body = dm_str_of(rows[i].body)};
        dm_verdict v = dm_judge_reply(&dm_provider_openai, &r);
        cr_expect(v == rows[i].verdict && r.fault == rows[i].fault, "row %zu (%ld %s): %d %s: %s",
                  i, rows[i].status, rows[i].body, v, dm_fault_name(r.fault), r.text);
        cr_expect_eq(v == DM_GOOD, r.content != NULL, "row %zu", i);
        cr_expect((v == DM_GOOD) == (*r.text == 0), "row %zu: %s", i, r.text);
        free(r.content);
    }
}

/* What DSPy reads of a body, byte by byte; what Python keeps as half of a surrogate pair is U+FFFD.
 */
Test(lm, odd_text)
{
#define BODY(content) DM_STR("{\"choices\": [{\"message\": {\"content\": " content "}}]}")
    static const struct {
        dm_str body;
        dm_str content; /* .p NULL: it is no text, or no JSON */
    } rows[] = {
        {BODY("\"a\\u0000b\""), DM_STR("a\0b")},
        {BODY("\"\\u0000\""), DM_STR("\0")},
        {BODY("\"a\\ud800b\""), DM_STR("a\xEF\xBF\xBD"
                                       "b")},
        {BODY("\"a\\udc00b\""), DM_STR("a\xEF\xBF\xBD"
                                       "b")},
        {BODY("\"a\\ud83d\\u0041\""), DM_STR("a\xEF\xBF\xBD"
                                             "A")},
        {BODY("\"\\ud83d\\ude00\""), DM_STR("\xF0\x9F\x98\x80")},
        {BODY("\"a\xED\xA0\x80"
              "b\""),
         DM_STR("a\xEF\xBF\xBD"
                "b")},
        {BODY("\"\xED\xA0\xBD\xED\xB8\x80\""), DM_STR("\xEF\xBF\xBD\xEF\xBF\xBD")},
        {BODY("\"ok \xEF\xBF\xBD\""), DM_STR("ok \xEF\xBF\xBD")},
        {BODY("[{\"type\": \"text\", \"text\": \"a\\u0000\"}, {\"type\": \"text\", \"text\": "
              "\"b\"}]"),
         DM_STR("a\0b")},
        {BODY(
             "[{\"type\": \"thinking\", \"text\": \"hm\"}, {\"type\": \"text\", \"text\": \"b\"}]"),
         DM_STR("b")},
        {BODY("\"first\", \"content\": \"last\""), DM_STR("last")},
        {DM_STR("\xEF\xBB\xBF{\"choices\": [{\"message\": {\"content\": \"x\"}}]}\n\n"),
         DM_STR("x")},
        {BODY("\"ok \xE2\x9C\""), {NULL, 0}},
        {BODY("\"caf\xE9\""), {NULL, 0}},
        {BODY("\"\xC0\xAF\""), {NULL, 0}},
        {BODY("\"\xF5\x80\x80\x80\""), {NULL, 0}},
        {BODY("\"a\0b\""), {NULL, 0}},
        {BODY("\"a\nb\""), {NULL, 0}},
        {DM_STR("{\"choices\": [{\"message\": {\"content\": \"x\"}}], \"x\": \"\xFF\"}"),
         {NULL, 0}},
        {DM_STR("{\"choices\": [{\"message\": {\"content\": \"x\"}}]} more"), {NULL, 0}},
    };
#undef BODY
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_reply r = {.status = 200, .body = rows[i].body};
        dm_verdict v = dm_judge_reply(&dm_provider_openai, &r);
        cr_expect_eq(v, rows[i].content.p ? DM_GOOD : DM_ODD, "row %zu: %s", i, r.text);
        if (v == DM_GOOD)
            cr_expect(dm_str_eq((dm_str){r.content, r.n}, rows[i].content), "row %zu: %s", i,
                      r.content);
        free(r.content);
    }
}

/* Python's json takes UTF-16 and UTF-32, with a mark or without. */
Test(lm, wide_text)
{
    static const char text[] = "{\"choices\": [{\"message\": {\"content\": \"yes\"}}]}";
    for (int width = 2; width <= 4; width += 2)
        for (int big = 0; big < 2; big++)
            for (int mark = 0; mark < 2; mark++) {
                char body[4 * sizeof text + 4] = {0};
                size_t n = 0;
                for (size_t i = mark ? 0 : 1; i < sizeof text; i++) {
                    unsigned unit = i ? (unsigned char)text[i - 1] : 0xFEFF;
                    for (int k = 0; k < width; k++)
                        body[n++] = (char)(unit >> 8 * (big ? width - 1 - k : k));
                }
                dm_reply r = {.status = 200, .body = {body, n}};
                cr_expect_eq(dm_judge_reply(&dm_provider_openai, &r), DM_GOOD, "%d bytes, %d: %s",
                             width, big, r.text);
                cr_expect_str_eq(r.content, "yes");
                free(r.content);
                r = (dm_reply){.status = 200, .body = {body, n - 1}};
                cr_expect_eq(dm_judge_reply(&dm_provider_openai, &r), DM_ODD);
            }
}

/* Servers like to quote the key that they refuse. */
Test(lm, a_key_in_an_answer_is_not_said)
{
    dm_secret_add(DM_STR("sk-a-secret-of-mine"));
    dm_reply r = {.status = 401,
                  .body = DM_STR(ERROR("null", "Incorrect API key: sk-a-secret-of-mine."))};
    cr_expect_eq(dm_judge_reply(&dm_provider_openai, &r), DM_EJECT);
    cr_expect(strstr(r.text, "Incorrect API key: ***"), "%s", r.text);
}

/* ---- rates ---- */

/* Calls as fast as n ranks may, for ten minutes, with a pause at the fifth: the most of any minute.
 */
static int most_in_a_minute(double rpm, size_t n, double *mean)
{
    dm_lm_config c = {.rpm = rpm};
    dm_endpoint e[16] = {0};
    double sent[20000];
    size_t count = 0, most = 0, from = 0;
    for (size_t i = 0; i < n; i++)
        e[i] = (dm_endpoint){.config = &c, .limit = 1000, .requests = 1};
    for (int ms = 0; ms < 600000; ms += 10)
        for (size_t i = 0; i < n; i++)
            while ((ms < 240000 || ms > 300000) &&
                   dm_endpoint_wait(&e[i], ms / 1e3, 1.0 / (double)n) == 0 && count < 20000) {
                dm_endpoint_charge(&e[i], 0);
                sent[count++] = ms / 1e3;
            }
    for (size_t i = 0; i < count; i++) {
        while (sent[i] - sent[from] >= 60)
            from++;
        most = i + 1 - from > most ? i + 1 - from : most;
    }
    *mean = (double)count / 9;
    return (int)most;
}

Test(lm, requests_a_minute)
{
    static const struct {
        double rpm;
        size_t ranks;
    } rows[] = {{600, 1}, {600, 4}, {600, 10}, {60, 1}, {20, 1}, {2, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double mean;
        int most = most_in_a_minute(rows[i].rpm, rows[i].ranks, &mean);
        cr_expect(most <= rows[i].rpm, "%.0f a minute on %zu ranks: %d", rows[i].rpm, rows[i].ranks,
                  most);
        cr_expect(mean >= 0.9 * rows[i].rpm || rows[i].rpm < 20, "%.0f a minute: %.1f", rows[i].rpm,
                  mean);
    }
}

/* Calls that are thought to take 300 tokens and take 500: what was too little is waited for. */
Test(lm, tokens_a_minute)
{
    dm_lm_config c = {.tpm = 60000};
    dm_endpoint e = {.config = &c, .limit = 1000};
    double tokens = 0;
    for (int ms = 0; ms < 300000; ms += 10)
        while (dm_endpoint_wait(&e, ms / 1e3, 1) == 0) {
            dm_endpoint_charge(&e, 300);
            e.tokens += 300 - 500;
            tokens += 500;
        }
    cr_expect(tokens / 5 <= 60000 + 500 && tokens / 5 >= 0.95 * 60000, "%.0f a minute", tokens / 5);
}

/* As it stands in the job: a sampling key by the job's name, one of extra_body by its own. */
Test(lm, a_refused_key_is_named_as_the_job_has_it)
{
    static const struct {
        const char *job, *param, *says, *take;
    } rows[] = {
        {"{\"model\": \"openai/any\", \"max_tokens\": 9}", "max_completion_tokens",
         "lm.max_tokens: model", "take `max_tokens` out"},
        {"{\"model\": \"openai/any\", \"extra_body\": {\"max_tokens\": 9}}", "max_tokens",
         "lm.extra_body.max_tokens: model", "take `max_tokens` out"},
        {"{\"model\": \"openai/any\", \"extra_body\": {\"stop_sequences\": []}}", "stop_sequences",
         "lm.extra_body.stop_sequences: model", "take `stop_sequences` out"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_arena *a = dm_arena_new(0);
        dm_buf b;
        dm_buf_init(&b, 4096);
        dm_lm_unfit_text(&b, config(a, rows[i].job), rows[i].param, "HTTP 400");
        cr_expect(strstr(b.data, rows[i].says) && strstr(b.data, rows[i].take), "%s", b.data);
        dm_buf_free(&b);
        dm_arena_free(a);
    }
}

/* No byte 0 in a header's name, and none raw in a query. */
Test(lm, a_zero_byte_is_no_letter)
{
    cr_expect_null(dm_bad_header(DM_STR("X-a_b.c~1"), DM_STR("v")));
    cr_expect_not_null(dm_bad_header(DM_STR("a\0b"), DM_STR("v")));
}
