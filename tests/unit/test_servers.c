/* What servers and addresses look like: how people write api_base, in which forms errors come, what
 * stands in a body that is no JSON. */
#include "json/json.h"
#include "lm/nearby.h"
#include "lm/words.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* ---- addresses ---- */

static const char *base_of(dm_arena *a, const char *model, const char *base)
{
    dm_error err = {DM_OK, ""};
    const char *json = dm_arena_printf(a, "{\"model\": \"%s\", \"api_base\": \"%s\"}", model, base);
    dm_at at = dm_at_root(dm_json_read(a, dm_str_of(json), &err), "test", DM_E_JOB);
    const dm_lm_config *c = dm_lm_config_read(a, &at, &err);
    cr_assert_not_null(c, "%s", err.text);
    return c->api_base[0];
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
