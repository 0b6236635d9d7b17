/* What servers and addresses look like: how people write api_base, in which forms errors come, what
 * stands in a body that is no JSON. */
#include "configs.h"

#include "json/json.h"
#include "lm/authorities.h"
#include "lm/nearby.h"
#include "lm/proxy.h"
#include "lm/words.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- addresses ---- */

static const char *base_of(dm_arena *a, const char *model, const char *base)
{
    const char *json = dm_arena_printf(a, "{\"model\": \"%s\", \"api_base\": \"%s\"}", model, base);
    return config(a, json)->api_base[0];
}

Test(servers, an_address_as_people_write_it)
{
    static const struct {
        const char *base, *ollama, *vllm, *openai; /* NULL: as given */
    } rows[] = {
        {"http://host:11434", "http://host:11434/v1", "http://host:11434/v1", NULL},
        {"http://host:11434/", "http://host:11434/v1", "http://host:11434/v1", "http://host:11434"},
        {"http://host:11434/v1", NULL, NULL, NULL},
        {"http://host:11434/v1//", "http://host:11434/v1", "http://host:11434/v1",
         "http://host:11434/v1"},
        {"http://host:11434/api", "http://host:11434/v1", NULL, NULL},
        {"http://host:11434/api/", "http://host:11434/v1", "http://host:11434/api",
         "http://host:11434/api"},
        {"http://host:11434/api/chat", "http://host:11434/v1", NULL, NULL},
        {"http://host:11434/api/generate", "http://host:11434/v1", NULL, NULL},
        {"http://host/v1/chat/completions", "http://host/v1", "http://host/v1", NULL},
        {"http://host/chat/completions/", "http://host/v1", "http://host/v1",
         "http://host/chat/completions"},
        {"https://gate.example.org/ollama", "https://gate.example.org/ollama/v1", NULL, NULL},
        {"https://gate.example.org/ollama/api", "https://gate.example.org/ollama/v1", NULL, NULL},
        {"https://gate.example.org/openai/v1beta", NULL, NULL, NULL},
        {"http://[::1]:8000", "http://[::1]:8000/v1", "http://[::1]:8000/v1", NULL},
        {"HTTP://LOCALHOST", "HTTP://LOCALHOST/v1", "HTTP://LOCALHOST/v1", NULL},
        {"http://vllm", "http://vllm/v1", "http://vllm/v1", NULL},
        {"http://host/vllm", "http://host/vllm/v1", NULL, NULL},
        {" http://host:8000/v1\\n", "http://host:8000/v1", "http://host:8000/v1",
         "http://host:8000/v1"},
        {"http://host:8000/v1/\\r\\n", "http://host:8000/v1", "http://host:8000/v1",
         "http://host:8000/v1"},
    };
    dm_arena *a = dm_arena_new(0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *base = rows[i].base;
        cr_expect_str_eq(base_of(a, "ollama_chat/m", base), rows[i].ollama ? rows[i].ollama : base);
        cr_expect_str_eq(base_of(a, "hosted_vllm/m", base), rows[i].vllm ? rows[i].vllm : base);
        cr_expect_str_eq(base_of(a, "openai/m", base), rows[i].openai ? rows[i].openai : base);
    }
    dm_arena_free(a);
}

/* Of the classes that have one kind of address, as DSPy and the makers' own pages write it. */
Test(servers, an_address_of_a_provider)
{
    static const struct {
        const char *model, *base, *is;
    } rows[] = {
        {"anthropic/x", "https://api.anthropic.com", "https://api.anthropic.com/v1"},
        {"anthropic/x", "https://api.anthropic.com/", "https://api.anthropic.com/v1"},
        {"anthropic/x", "https://api.anthropic.com/v1", "https://api.anthropic.com/v1"},
        {"anthropic/x", "https://api.anthropic.com/v1/messages", "https://api.anthropic.com/v1"},
        {"anthropic/x", "https://gate.example.org/anthropic",
         "https://gate.example.org/anthropic"}, /* as DSPy */
        {"anthropic/x", "http://gate:1", "http://gate:1"},
        {"anthropic/x", "https://gate.example.org/v1/messages/", "https://gate.example.org/v1"},
        {"azure/x", "https://me.openai.azure.com/", "https://me.openai.azure.com"},
        {"azure/x", "https://me.openai.azure.com/openai", "https://me.openai.azure.com"},
        {"azure/x", "https://me.openai.azure.com/openai/", "https://me.openai.azure.com"},
        {"azure/x", "https://me.openai.azure.com/openai/deployments",
         "https://me.openai.azure.com"},
        {"azure/x", "https://me.openai.azure.com/openai/deployments/x/chat/completions",
         "https://me.openai.azure.com/openai/deployments/x"},
        {"azure/x", "https://me.openai.azure.com/openai/v1/chat/completions",
         "https://me.openai.azure.com/openai/v1"},
        {"azure/x", "https://gate.example.org/openai",
         "https://gate.example.org/openai"}, /* a gateway's own path, as DSPy takes it */
        {"azure/x", "https://gate.example.org/team/openai/deployments/x/chat/completions",
         "https://gate.example.org/team/openai/deployments/x"},
        {"gemini/x", "https://generativelanguage.googleapis.com",
         "https://generativelanguage.googleapis.com/v1beta/openai"},
        {"gemini/x", "https://generativelanguage.googleapis.com/v1beta",
         "https://generativelanguage.googleapis.com/v1beta/openai"},
        {"gemini/x", "https://generativelanguage.googleapis.com/v1beta/openai/",
         "https://generativelanguage.googleapis.com/v1beta/openai"},
        {"gemini/x", "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
         "https://generativelanguage.googleapis.com/v1beta/openai"},
        {"gemini/x", "https://gate.example.org/g/v1", "https://gate.example.org/g/v1"},
    };
    dm_arena *a = dm_arena_new(0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_str_eq(base_of(a, rows[i].model, rows[i].base), rows[i].is, "%s: %s",
                         rows[i].base, base_of(a, rows[i].model, rows[i].base));
    dm_arena_free(a);
}

/* A variable comes from a file or a shell, with what stood around it; its key goes where it leads.
 */
Test(servers, an_address_in_a_variable)
{
    static const char *const values[] = {"http://node07:8000/v1\n", " http://node07:8000/v1/ ",
                                         "http://node07:8000/v1\r\n"};
    dm_error err = {DM_OK, ""};
    dm_arena *a = dm_arena_new(0);
    setenv("OPENAI_API_KEY", "a-secret-of-mine", 1);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char *key = NULL;
        setenv("OPENAI_BASE_URL", values[i], 1);
        const dm_lm_config *c = config(a, "\"openai/x\"");
        cr_expect_str_eq(c->api_base[0], "http://node07:8000/v1");
        cr_expect_eq(dm_key_find(c, c->api_base[0], 0, &key, &err), DM_OK);
        cr_expect(key, "%s", values[i]);
        free(key);
    }
    setenv("ANTHROPIC_BASE_URL", "http://gate:1/anthropic/\n", 1);
    cr_expect_str_eq(config(a, "\"anthropic/x\"")->api_base[0], "http://gate:1/anthropic/v1");
    setenv("ANTHROPIC_BASE_URL", "http://gate:1/v1", 1);
    cr_expect_str_eq(config(a, "\"anthropic/x\"")->api_base[0], "http://gate:1/v1");
    setenv("OPENAI_BASE_URL", " \n", 1);
    cr_expect_str_eq(config(a, "\"openai/x\"")->api_base[0], "https://api.openai.com/v1");
    setenv("OPENAI_BASE_URL", "\"http://node07:8000/v1\"", 1);
    dm_value *v = dm_value_text(a, "openai/x");
    const dm_at at = dm_at_root(v, "lm", DM_E_JOB);
    cr_expect_eq(dm_lm_config_read(a, &at, &err), NULL);
    cr_expect(strstr(err.text,
                     "\"\"http://node07:8000/v1\"\" (from OPENAI_BASE_URL): it is in quotes"),
              "%s", err.text);
    dm_arena_free(a);
}

Test(servers, what_may_be_meant_by_an_address)
{
    static const struct {
        const char *base, *meant[DM_NEARBY_BASES];
    } rows[] = {
        {"http://h:1", {"http://h:1/v1"}},
        {"http://h:1/v1", {NULL}},
        {"http://h/api", {"http://h/api/v1", "http://h/v1"}},
        {"http://h/v1/chat/completions", {"http://h/v1"}},
        {"http://h/gate/v1/chat/completions", {"http://h/gate/v1", "http://h/v1"}},
        {"http://h/gate/v1", {"http://h/v1"}},
        {"http://h/v1/models", {"http://h/v1"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_arena *a = dm_arena_new(0);
        const char *meant[DM_NEARBY_BASES] = {NULL};
        size_t n = dm_nearby_bases(a, rows[i].base, meant), k = 0;
        for (; k < DM_NEARBY_BASES && rows[i].meant[k]; k++)
            cr_expect(k < n && strcmp(meant[k], rows[i].meant[k]) == 0, "%s: %s", rows[i].base,
                      rows[i].meant[k]);
        cr_expect_eq(n, k, "%s", rows[i].base);
        dm_arena_free(a);
    }
}

/* ---- errors ---- */

Test(servers, the_words_of_an_error_in_any_form)
{
    static const struct {
        const char *body, *words;
    } rows[] = {
        {"{\"error\": {\"message\": \"no such model\", \"type\": \"x\"}}", "no such model"},
        {"{\"error\": \"no such model\"}", "no such model"},
        {"\"no such model\"", "no such model"},
        {"{\"detail\": \"Not Found\"}", "Not Found"},
        {"{\"detail\": [{\"loc\": [\"body\", \"messages\", 0, \"role\"], \"msg\": \"field "
         "required\", \"type\": \"value_error\"}]}",
         "body.messages.0.role: field required"},
        {"{\"detail\": [{\"loc\": [\"body\"], \"msg\": \"a\"}, {\"msg\": \"b\"}]}", "body: a; b"},
        {"{\"detail\": {\"error\": \"no\"}}", "no"},
        {"{\"message\": \"no route\"}", "no route"},
        {"{\"Message\": \"no route\"}", "no route"},
        {"{\"msg\": \"no route\"}", "no route"},
        {"[{\"error\": {\"code\": 400, \"message\": \"bad\", \"status\": \"INVALID\"}}]", "bad"},
        {"[{\"error\": \"bad\"}, {\"error\": \"worse\"}]", "bad; worse"},
        {"[\"bad\"]", "bad"},
        {"{\"errors\": [{\"message\": \"bad\"}]}", "bad"},
        {"{\"errors\": [\"bad\", \"worse\"]}", "bad; worse"},
        {"{\"errors\": {\"temperature\": [\"at most 2\"]}}", "temperature: at most 2"},
        {"{\"errors\": [{\"detail\": \"bad\", \"status\": \"400\"}]}", "bad"},
        {"{\"error\": [\"bad\"]}", "bad"},
        {"{\"error\": [{\"message\": \"bad\"}]}", "bad"},
        {"{\"error\": true, \"message\": \"bad\"}", "bad"},
        {"{\"error\": null, \"message\": \"bad\"}", "bad"},
        {"{\"error\": {\"code\": \"model_not_found\"}}", "code: model_not_found"},
        {"{\"error\": {\"message\": \" \", \"code\": \"x\"}}", "code: x"},
        {"{\"error\": {\"message\": {\"detail\": \"deep\"}}}", "deep"},
        {"{\"object\": \"error\", \"message\": \"bad\", \"code\": 404}", "bad"},
        {"{\"error\": \"invalid_token\", \"error_description\": \"it ran out\"}", "invalid_token"},
        {"{\"title\": \"Bad Request\", \"status\": 400}", "Bad Request"},
        {"{\"fault\": {\"faultstring\": \"quota\"}}", "quota"},
        {"{\"errorMessage\": \"bad\"}", "bad"},
        {"{\"code\": 7, \"info\": \"odd\"}", "\"info\": \"odd\""},
        {"{\"errors\": [\"a\", \"b\", \"c\", \"d\"]}", "a; b; c; and 1 more"},
        {"[[[[[[[[[[[[\"deep\"]]]]]]]]]]]]", "deep"},
        {"{\"error\": \"caf\xC3\xA9\\u0000x\"}", "caf\xC3\xA9"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int s = 0; s < 2; s++) {
            long status = s ? 404 : 400;
            dm_reply r = {.status = status, .body = dm_str_of(rows[i].body)};
            (void)dm_judge_reply(&dm_provider_openai, &r);
            char head[32];
            snprintf(head, sizeof head, "HTTP %ld: ", status);
            cr_expect(strncmp(r.text, head, strlen(head)) == 0 && strstr(r.text, rows[i].words),
                      "%s: %s", rows[i].body, r.text);
        }
}

Test(servers, an_error_in_any_form_in_a_200)
{
    static const char *const bodies[] = {"{\"error\": \"it broke\"}",
                                         "[{\"error\": {\"message\": \"it broke\"}}]",
                                         "{\"detail\": \"it broke\"}",
                                         "{\"message\": \"it broke\"}",
                                         "\"it broke\"",
                                         "{\"choices\": [], \"errors\": [\"it broke\"]}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        dm_reply r = {.status = 200, .body = dm_str_of(bodies[i])};
        cr_expect_eq(dm_judge_reply(&dm_provider_openai, &r), DM_ODD, "%s", bodies[i]);
        cr_expect(strstr(r.text, "it broke"), "%s: %s", bodies[i], r.text);
    }
}

Test(servers, the_kind_of_a_refusal_is_read_in_any_form)
{
    static const char *const bodies[] = {
        "{\"detail\": \"This model's maximum context length is 10 tokens\"}",
        "[{\"error\": {\"message\": \"maximum context length\"}}]",
        "{\"error\": \"maximum context length\"}", "maximum context length exceeded",
        "{\"message\": \"no\", \"code\": \"context_length_exceeded\"}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        dm_reply r = {.status = 400, .body = dm_str_of(bodies[i])};
        cr_expect_eq(dm_judge_reply(&dm_provider_openai, &r), DM_FINAL);
        cr_expect_eq(r.fault, DM_FAULT_OVERFLOW, "%s", bodies[i]);
    }
}

/* ---- no JSON ---- */

Test(servers, a_body_that_is_no_json)
{
    static const char page[] =
        "<!DOCTYPE html>\r\n<html>\n<head><title> Sign in\n </title></head><body>x</body></html>";
    static const struct {
        long status;
        const char *type, *body, *said[4];
    } rows[] = {
        {200,
         "text/html; charset=utf-8",
         page,
         {"HTTP 200, ", "text/html", "83 bytes",
          "\"Sign in\", that begins \"<!DOCTYPE html> <html>"}},
        {502,
         "text/html",
         "<html><h1>502 Bad Gateway</h1></html>",
         {"HTTP 502, ", "37 bytes", "\"502 Bad Gateway\""}},
        {404,
         "text/plain",
         "404 page not found\n",
         {"HTTP 404, ", "text/plain", "19 bytes", "\"404 page not found\""}},
        {404, NULL, "nope", {"HTTP 404, ", "without a content type", "4 bytes", "\"nope\""}},
        {200,
         "text/event-stream",
         "data: {\"choices\": []}\n\n",
         {"text/event-stream", "\"data: {"}},
        {200, "application/json", "{\"choices\": [", {"application/json", "13 bytes"}},
        {200, "application/json", "", {"HTTP 200, an empty body"}},
        {200, "application/json", " \r\n", {"HTTP 200, an empty body"}},
        {403,
         "application/xml",
         "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>",
         {"HTTP 403, ", "AccessDenied"}},
        {500, "text/plain", "x", {"1 byte,"}},
        {413,
         "text/html",
         "<html><head><title>413 Request Entity Too Large</title>",
         {"\"413 Request Entity Too Large\""}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_reply r = {.status = rows[i].status,
                      .content_type = rows[i].type,
                      .body = dm_str_of(rows[i].body)};
        (void)dm_judge_reply(&dm_provider_openai, &r);
        for (size_t k = 0; k < 4 && rows[i].said[k]; k++)
            cr_expect(strstr(r.text, rows[i].said[k]), "row %zu: %s: not %s", i, r.text,
                      rows[i].said[k]);
        cr_expect(strstr(r.text, "; a gateway or proxy in front?"), "row %zu: %s", i, r.text);
        cr_expect_null(strchr(r.text, '\n'), "row %zu: %s", i, r.text);
    }
}

Test(servers, a_long_body_is_cut_and_its_size_told)
{
    size_t n = 5000000;
    char *body = malloc(n + 1);
    memset(body, 'x', n);
    body[n] = 0;
    dm_reply r = {.status = 200, .content_type = "text/plain", .body = {body, n}};
    (void)dm_judge_reply(&dm_provider_openai, &r);
    cr_expect(strstr(r.text, "text/plain of 5,000,000 bytes, \"xxx"), "%s", r.text);
    cr_expect(strstr(r.text, "...\"; a gateway or proxy in front?"), "%s", r.text);
    free(body);
}

/* ---- proxies ---- */

Test(servers, whom_no_proxy_names)
{
    static const struct {
        const char *list, *base;
        bool spared;
    } rows[] = {
        {"example.com", "http://example.com/v1", true},
        {"example.com", "https://api.example.com/v1", true},
        {".example.com", "https://api.example.com/v1", true},
        {".example.com", "https://example.com/v1", true},
        {"*.example.com", "https://api.example.com/v1", true},
        {"example.com", "https://notexample.com/v1", false},
        {"api.example.com", "https://example.com/v1", false},
        {"EXAMPLE.com", "https://Api.Example.COM./v1", true},
        {"example.com.", "https://api.example.com/v1", true},
        {"a.org,example.com", "http://example.com", true},
        {"a.org, example.com", "http://example.com", true},
        {"a.org example.com", "http://example.com", true},
        {" ,, ", "http://example.com", false},
        {"", "http://example.com", false},
        {"*", "http://example.com", true},
        {"example.com:8000", "http://example.com:8000/v1", true},
        {"example.com:8000", "http://example.com/v1", false},
        {"example.com:443", "https://example.com/v1", true},
        {"8.8.8.8", "http://8.8.8.8:80/v1", true},
        {"8.8.8.8", "http://8.8.8.80/v1", false},
        {"8.8.8.0/24", "http://8.8.8.80/v1", true},
        {"8.8.8.0/25", "http://8.8.8.200/v1", false},
        {"8.8.0.0/15", "http://8.9.1.1/v1", true},
        {"0.0.0.0/0", "http://8.9.1.1/v1", true},
        {"8.8.8.0/33", "http://8.8.8.0/v1", false},
        {"8.8.8.0/x", "http://8.8.8.0/v1", false},
        {"2001:db8::1", "http://[2001:db8::1]:8000/v1", true},
        {"[2001:db8::1]", "http://[2001:db8::1]:8000/v1", true},
        {"[2001:db8::1]:8000", "http://[2001:db8::1]:8000/v1", true},
        {"[2001:db8::1]:8001", "http://[2001:db8::1]:8000/v1", false},
        {"2001:db8::/32", "http://[2001:db8:7::1]/v1", true},
        {"2001:db8::/32", "http://[2001:db9::1]/v1", false},
        {"8.8.8.8", "http://x.8.8.8.8.org/v1", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(dm_proxy_spares(rows[i].list, rows[i].base), rows[i].spared, "%s: %s",
                     rows[i].list, rows[i].base);
}

static void set_only(const char *name, const char *value)
{
    static const char *const all[] = {"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY",
                                      "all_proxy",  "ALL_PROXY",  "no_proxy",    "NO_PROXY"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        unsetenv(all[i]);
    if (name)
        setenv(name, value, 1);
}

Test(servers, which_proxy_the_environment_names)
{
    static const char far[] = "http://8.8.8.8/v1", far_tls[] = "https://8.8.8.8/v1";
    static const struct {
        const char *name, *base;
        bool used;
    } rows[] = {
        {"http_proxy", far, true},
        {"HTTP_PROXY", far, false},
        {"https_proxy", far, false},
        {"all_proxy", far, true},
        {"ALL_PROXY", far, true},
        {"http_proxy", far_tls, false},
        {"https_proxy", far_tls, true},
        {"HTTPS_PROXY", far_tls, true},
        {"all_proxy", far_tls, true},
        {"ALL_PROXY", far_tls, true},
        {NULL, far, false},
        /* never: loopback, private addresses, names that only one's own network has */
        {"all_proxy", "http://127.0.0.1:8000/v1", false},
        {"all_proxy", "http://127.8.8.8/v1", false},
        {"all_proxy", "http://localhost/v1", false},
        {"all_proxy", "http://[::1]:8000/v1", false},
        {"all_proxy", "https://10.1.2.3/v1", false},
        {"all_proxy", "https://172.20.2.3/v1", false},
        {"all_proxy", "https://192.168.2.3/v1", false},
        {"all_proxy", "https://169.254.2.3/v1", false},
        {"all_proxy", "https://[fd00::1]/v1", false},
        {"all_proxy", "https://[fe80::1]/v1", false},
        {"all_proxy", "http://node07:8000/v1", false},
        {"all_proxy", "http://gpu.cluster.local/v1", false},
    };
    dm_lm_config c = {.proxy = NULL};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        set_only(rows[i].name, "http://p:3128");
        dm_proxy p = dm_proxy_of(&c, rows[i].base);
        cr_expect_str_eq(p.url, rows[i].used ? "http://p:3128" : "", "%s: %s", rows[i].name,
                         rows[i].base);
        cr_expect_str_eq(p.named_by, rows[i].used ? rows[i].name : "");
    }
    set_only("https_proxy", "");
    setenv("HTTPS_PROXY", "http://q", 1);
    setenv("ALL_PROXY", "http://r", 1);
    cr_expect_str_eq(dm_proxy_of(&c, far_tls).url, "http://q", "an empty one is none");
    setenv("https_proxy", "http://p", 1);
    cr_expect_str_eq(dm_proxy_of(&c, far_tls).url, "http://p");
    cr_expect_str_eq(dm_proxy_of(&c, far).url, "http://r");
    setenv("NO_PROXY", "8.0.0.0/8", 1);
    cr_expect_str_eq(dm_proxy_of(&c, far).url, "");
    setenv("no_proxy", "9.9.9.9", 1);
    cr_expect_str_eq(dm_proxy_of(&c, far).url, "http://r", "no_proxy comes first");
    c.proxy = "http://own";
    cr_expect_str_eq(dm_proxy_of(&c, "http://127.0.0.1/v1").url, "http://own", "the job's word");
    set_only(NULL, NULL);
}

/* The job's own nodes, by their names, and names that lead to this machine. */
Test(servers, no_proxy_for_the_jobs_own_nodes)
{
    dm_lm_config c = {.proxy = NULL};
    set_only("all_proxy", "http://p");
    cr_expect_str_eq(dm_proxy_of(&c, "http://node07.cluster.example/v1").url, "http://p");
    dm_proxy_know_node("node07.cluster.example");
    cr_expect_str_eq(dm_proxy_of(&c, "http://node07.cluster.example/v1").url, "");
    cr_expect_str_eq(dm_proxy_of(&c, "http://NODE07.cluster.example:8000/v1").url, "");
    cr_expect_str_eq(dm_proxy_of(&c, "http://node07.other.example/v1").url, "http://p");
    dm_proxy_know_node("node07");
    cr_expect_str_eq(dm_proxy_of(&c, "http://node07.other.example/v1").url, "http://p");
    set_only(NULL, NULL);
}

/* A key goes to an http:// address through a proxy only where the job names the proxy. */
Test(servers, a_key_and_a_proxy)
{
    static const struct {
        const char *more, *base;
        bool refused;
    } rows[] = {{"", "http://8.8.8.8/v1", false},
                {", \"api_key_env\": \"MY_KEY\"", "http://8.8.8.8/v1", true},
                {", \"api_key_env\": \"MY_KEY\"", "https://8.8.8.8/v1", false},
                {", \"api_key_env\": \"MY_KEY\"", "http://127.0.0.1/v1", false},
                {", \"api_key_env\": \"MY_KEY\", \"proxy\": \"p:1\"", "http://8.8.8.8/v1", false}};
    set_only("all_proxy", "http://me:a-word-of-9@p:3128");
    setenv("MY_KEY", "sk-of-mine", 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_arena *a = dm_arena_new(0);
        dm_error err = {DM_OK, ""};
        dm_endpoint e;
        const char *json =
            dm_arena_printf(a, "{\"model\": \"hosted_vllm/m\", \"api_base\": \"%s\"%s}",
                            rows[i].base, rows[i].more);
        const dm_lm_config *c = config(a, json);
        dm_status st = dm_endpoint_init(&e, c, c->api_base[0], 0, 1, &err);
        cr_expect_eq(st, rows[i].refused ? DM_E_MODEL : DM_OK, "row %zu: %s", i, err.text);
        if (rows[i].refused)
            cr_expect(strstr(err.text,
                             "the proxy http://***@p:3128 in the clear, as all_proxy says"),
                      "%s", err.text);
        dm_endpoint_free(&e);
        dm_arena_free(a);
    }
    set_only(NULL, NULL);
}

Test(servers, what_a_proxy_says_in_its_own_name)
{
    static const char page[] = "<html><title>Denied</title></html>";
    static const struct {
        long status;
        const char *type, *body;
        bool tls, own;
        dm_verdict verdict; /* where it says it */
    } rows[] = {
        {407, "text/html", page, false, true, DM_EJECT},
        {407, "application/json", "{\"error\": \"who?\"}", false, true, DM_EJECT},
        {403, "text/html", page, false, true, DM_EJECT},
        {403, "text/plain", "denied", false, true, DM_EJECT},
        {200, "text/html", page, false, true, DM_ODD},
        {404, "text/html", page, false, true, DM_EJECT},
        {502, "text/html", page, false, true, DM_RETRY},
        {504, "text/plain", "no answer", false, true, DM_RETRY},
        /* the server's own */
        {403, "application/json", "{\"error\": \"no\"}", false, false, DM_DENIED},
        {404, "text/plain", "404 page not found", false, false, DM_DENIED},
        {502, "application/json", "{\"error\": \"no\"}", false, false, DM_RETRY},
        {403, "text/html", page, true, false, DM_DENIED},
        {200, "text/html", page, true, false, DM_ODD},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_reply r = {.status = rows[i].status,
                      .content_type = rows[i].type,
                      .body = dm_str_of(rows[i].body),
                      .proxy = "http://p:3128",
                      .tls = rows[i].tls};
        dm_verdict v = dm_judge_reply(&dm_provider_openai, &r);
        bool own = strncmp(r.text, "the proxy http://p:3128 says: HTTP ", 35) == 0;
        cr_expect_eq(own, rows[i].own, "row %zu: %s", i, r.text);
        cr_expect_eq(v, rows[i].verdict, "row %zu: %d", i, v);
        cr_expect(v != DM_EJECT || (r.advice && *r.advice), "row %zu", i);
    }
    static const struct {
        long status;
        dm_verdict verdict;
        const char *says;
    } connect[] = {{403, DM_EJECT, "does not allow connections"},
                   {407, DM_EJECT, "a user and a password"},
                   {502, DM_RETRY, "cannot reach"},
                   {503, DM_RETRY, "cannot reach"},
                   {429, DM_RETRY, "HTTP 429"}};
    for (size_t i = 0; i < sizeof connect / sizeof *connect; i++) {
        dm_reply r = {.code = CURLE_RECV_ERROR,
                      .connect_status = connect[i].status,
                      .proxy = "p:1",
                      .tls = true};
        cr_expect_eq(dm_judge_reply(&dm_provider_openai, &r), connect[i].verdict);
        cr_expect(strstr(r.text, "the proxy p:1 says: HTTP ") && strstr(r.text, connect[i].says),
                  "%s", r.text);
    }
    dm_reply r = {.status = 407, .body = dm_str_of("{}")};
    cr_expect_eq(dm_judge_reply(&dm_provider_openai, &r), DM_EJECT, "nobody's request");
    r = (dm_reply){.code = CURLE_COULDNT_CONNECT, .proxy = "http://p:1"};
    cr_expect_eq(dm_judge_reply(&dm_provider_openai, &r), DM_RETRY);
    cr_expect(strstr(r.text, ", by the proxy http://p:1"), "%s", r.text);
}

/* ---- certificates ---- */

Test(servers, whose_certificates_are_believed)
{
    dm_lm_config c = {.ca_file = NULL};
    static const char *const names[] = {"SSL_CERT_FILE", "CURL_CA_BUNDLE", "SSL_CERT_DIR"};
    for (int i = 0; i < 3; i++)
        unsetenv(names[i]);
    cr_expect(!dm_authorities_of(&c).file && !dm_authorities_of(&c).folder);
    setenv("SSL_CERT_DIR", "/dir", 1);
    cr_expect_str_eq(dm_authorities_of(&c).folder, "/dir");
    setenv("CURL_CA_BUNDLE", "/curl", 1);
    cr_expect_str_eq(dm_authorities_of(&c).file, "/curl");
    cr_expect_null(dm_authorities_of(&c).folder);
    setenv("SSL_CERT_FILE", "", 1);
    cr_expect_str_eq(dm_authorities_of(&c).named_by, "CURL_CA_BUNDLE", "an empty one is none");
    setenv("SSL_CERT_FILE", "/ssl", 1);
    cr_expect_str_eq(dm_authorities_of(&c).file, "/ssl");
    c.ca_file = "/own";
    cr_expect_str_eq(dm_authorities_of(&c).file, "/own");
    for (int i = 0; i < 3; i++)
        unsetenv(names[i]);
}

static void put(const char *root, const char *path)
{
    char whole[300], found[300];
    snprintf(whole, sizeof whole, "%s%s", root, path);
    for (char *slash = whole + strlen(root); (slash = strchr(slash + 1, '/'));) {
        *slash = 0;
        (void)mkdir(whole, 0700);
        *slash = '/';
    }
    char before[300];
    dm_authorities_look(root, "/venv/bin", before, sizeof before);
    cr_assert_eq(mkdir(whole, 0700), 0);
    dm_authorities_look(root, "/venv/bin", found, sizeof found);
    cr_expect_str_eq(found, before, "a folder is no file, as where a container mounted none");
    cr_assert_eq(rmdir(whole), 0);
    int fd = open(whole, O_CREAT | O_WRONLY, 0600);
    dm_authorities_look(root, "/venv/bin", found, sizeof found);
    cr_expect_str_eq(found, before, "an empty one has none");
    cr_assert(fd >= 0 && write(fd, "x", 1) == 1);
    close(fd);
    dm_authorities_look(root, "/venv/bin", found, sizeof found);
    char *real = realpath(found, NULL);
    cr_expect(real && strcmp(real, whole) == 0, "%s is taken, not %s", whole, found);
    free(real);
}

static int drop(const char *path, const struct stat *s, int kind, struct FTW *f)
{
    (void)s;
    (void)kind;
    (void)f;
    return remove(path);
}

/* From the last place to the first: each that comes is taken from then on. */
Test(servers, where_certificates_are_looked_for)
{
    char root[] = "/tmp/dm-authorities-XXXXXX", found[300];
    cr_assert(mkdtemp(root));
    dm_authorities_look(root, "/venv/bin", found, sizeof found);
    cr_expect_str_empty(found);
    char bin[300];
    snprintf(bin, sizeof bin, "%s/venv", root);
    cr_assert_eq(mkdir(bin, 0700), 0);
    snprintf(bin, sizeof bin, "%s/venv/bin", root);
    cr_assert_eq(mkdir(bin, 0700), 0);
    put(root, "/venv/certifi/cacert.pem");
    put(root, "/venv/lib/python3.12/site-packages/certifi/cacert.pem");
    put(root, "/etc/ssl/cert.pem");
    put(root, "/etc/ssl/ca-bundle.pem");
    put(root, "/etc/pki/tls/certs/ca-bundle.crt");
    put(root, "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem");
    put(root, "/etc/ssl/certs/ca-certificates.crt");
    nftw(root, drop, 8, FTW_DEPTH | FTW_PHYS);
}

Test(servers, who_we_are_is_asked_in_many_words)
{
    static const struct {
        CURLcode code;
        const char *error;
        dm_verdict verdict;
        const char *says; /* in the advice */
    } rows[] = {
        {CURLE_RECV_ERROR,
         "OpenSSL SSL_read: error:0A00045C:SSL routines::tlsv13 alert certificate required, errno "
         "0",
         DM_EJECT, "cert_file"},
        {CURLE_SSL_CONNECT_ERROR,
         "error:14094410:SSL routines:ssl3_read_bytes:sslv3 alert handshake failure", DM_EJECT,
         "cert_file"},
        {CURLE_SEND_ERROR, "error:0A000412:SSL routines::sslv3 alert bad certificate", DM_EJECT,
         "cert_file"},
        {CURLE_RECV_ERROR, "error:0A000418:SSL routines::tlsv1 alert unknown ca", DM_EJECT,
         "cert_file"},
        {CURLE_RECV_ERROR, "Recv failure: Connection reset by peer", DM_RETRY, NULL},
        {CURLE_SSL_CERTPROBLEM, "unable to set private key file", DM_EJECT, "without a password"},
        {CURLE_SSL_CONNECT_ERROR, "wrong version number", DM_RETRY, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_reply r = {.code = rows[i].code, .error = rows[i].error, .tls = true};
        cr_expect_eq(dm_judge_reply(&dm_provider_openai, &r), rows[i].verdict, "row %zu", i);
        cr_expect_eq(strcmp(rows[i].error, "wrong version number") == 0,
                     strstr(r.text, "is it an http:// address?") != NULL, "row %zu: %s", i, r.text);
        cr_expect(rows[i].says ? r.advice && strstr(r.advice, rows[i].says) : !r.advice, "row %zu",
                  i);
    }
}

/* What is wrong is said, and ca_file where that would help. */
Test(servers, a_certificate_may_be_wrong_in_several_ways)
{
    static const struct {
        const char *error, *advice; /* NULL: dm_advice's, ca_file */
    } rows[] = {{"SSL certificate problem: self-signed certificate", NULL},
                {"SSL certificate problem: unable to get local issuer certificate", NULL},
                {"server certificate verification failed. CAfile: none CRLfile: none", NULL},
                {"SSL certificate problem: certificate has expired", "clock"},
                {"server certificate expiration date verify FAILED", "clock"},
                {"SSL certificate problem: certificate is not yet valid", "clock"},
                {"server certificate activation date verify FAILED", "clock"},
                {"SSL: no alternative certificate subject name matches target host name 'a'",
                 "api_base"},
                {"SSL: certificate subject name (a) does not match target host name 'b'",
                 "api_base"},
                {"", NULL},
                {NULL, NULL}};
    dm_lm_config c = {.ca_file = "/own"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_reply r = {.code = CURLE_PEER_FAILED_VERIFICATION, .error = rows[i].error, .tls = true};
        r.config = &c;
        cr_expect_eq(dm_judge_reply(&dm_provider_openai, &r), DM_EJECT);
        cr_expect(strstr(r.text, "certificate"), "%s", r.text);
        cr_expect(!rows[i].error || strstr(r.text, rows[i].error), "%s", r.text);
        cr_expect_eq(strstr(r.text, "with the authorities of ca_file") != NULL, !rows[i].advice,
                     "%s", r.text);
        cr_expect(rows[i].advice ? r.advice && strstr(r.advice, rows[i].advice) : !r.advice, "%s",
                  r.text);
    }
    cr_expect(strstr(dm_advice(CURLE_PEER_FAILED_VERIFICATION, 0), "ca_file"));
}
