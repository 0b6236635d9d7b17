/* Token counts of servers: which are believed, what they cost, and what goes out so that prompts
 * are cached. */
#include "configs.h"

#include "lm/provider.h"
#include "json/json.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SENT 2000 /* bytes of the request */

static dm_reply reply(dm_arena *a, const dm_lm_config *c, const char *content, const char *usage)
{
    const char *body = dm_arena_printf(
        a, "{\"choices\": [{\"message\": {\"content\": \"%s\"}, \"finish_reason\": \"stop\"}]%s%s}",
        content, usage ? ", \"usage\": " : "", usage ? usage : "");
    dm_reply r = {.status = 200, .body = dm_str_of(body), .config = c, .sent = SENT};
    cr_assert_eq(dm_judge_reply(c->provider, &r), DM_GOOD, "%s: %s", usage, r.text);
    free(r.content);
    return r;
}

#define P(prompt, completion)                                                                      \
    "{\"prompt_tokens\": " prompt ", \"completion_tokens\": " completion "}"
#define CACHED(cached)                                                                             \
    "{\"prompt_tokens\": 500, \"completion_tokens\": 20, \"prompt_tokens_details\": "              \
    "{\"cached_tokens\": " cached "}}"
#define REASONING(completion, reasoning)                                                           \
    "{\"prompt_tokens\": 500, \"completion_tokens\": " completion                                  \
    ", \"completion_tokens_details\": {\"reasoning_tokens\": " reasoning "}}"

/* A count is a whole number that a prompt or an answer can have, whatever else is known of it. */
Test(counts, a_number_of_tokens)
{
    static const struct {
        const char *usage;
        int64_t tokens;
    } rows[] = {{"{\"n\": 16777216}", 16777216},
                {"{\"n\": 16777217}", DM_NO_COUNT},
                {"{\"n\": 900000000000000}", DM_NO_COUNT},
                {"{\"n\": 1e300}", DM_NO_COUNT},
                {"{\"n\": -1}", DM_NO_COUNT},
                {"{\"n\": 0}", 0},
                {"{\"n\": null}", 0},
                {"{}", 0}};
    dm_arena *a = dm_arena_new(0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(dm_reply_tokens(dm_json_read(a, dm_str_of(rows[i].usage), NULL), "n"),
                     rows[i].tokens, "%s", rows[i].usage);
    dm_arena_free(a);
}

Test(counts, of_a_reply)
{
    static const struct {
        const char *usage;
        bool believed;
        int64_t prompt, completion, cached;
    } rows[] = {
        {P("500", "20"), true, 500, 20, 0},
        {P("500.0", "20.0"), true, 500, 20, 0}, /* as some proxies have it */
        {NULL, true, 0, 0, 0},
        {"null", true, 0, 0, 0},
        {"{}", true, 0, 0, 0},
        {"[]", true, 0, 0, 0},
        {P("null", "null"), true, 0, 0, 0},
        {P("6096", "20"), true, 6096, 20, 0}, /* a byte each, and what a template adds */
        /* no counts */
        {P("900000000000000", "20"), false, 0, 0, 0},
        {P("500", "900000000000000"), false, 0, 0, 0},
        {P("1e300", "20"), false, 0, 0, 0},
        {P("16777217", "20"), false, 0, 0, 0},
        {P("-1", "20"), false, 0, 0, 0},
        {P("500", "-20"), false, 0, 0, 0},
        {P("500.5", "20"), false, 0, 0, 0},
        {P("500", "0.1"), false, 0, 0, 0},
        {P("\"500\"", "20"), false, 0, 0, 0},
        {P("500", "\"20\""), false, 0, 0, 0},
        {P("true", "20"), false, 0, 0, 0},
        {P("[500]", "20"), false, 0, 0, 0},
        {P("500", "{}"), false, 0, 0, 0},
        /* counts of something else */
        {P("6097", "20"), false, 0, 0, 0},
        {P("100000", "20"), false, 0, 0, 0},
        {P("0", "20"), false, 0, 0, 0},
        {P("500", "0"), false, 0, 0, 0},
        {"{\"completion_tokens\": 20}", false, 0, 0, 0},
        {"{\"prompt_tokens\": 500}", false, 0, 0, 0},
        {P("500", "376"), true, 500, 376, 0}, /* max_tokens is 60: not all servers count alike */
        {P("500", "377"), false, 0, 0, 0},
        {P("500", "6000"), false, 0, 0, 0},
        /* what of the answer was thought may stand beside max_tokens */
        {REASONING("30000", "29950"), true, 500, 30000, 0},
        {REASONING("30000", "1000"), false, 0, 0, 0},
        {REASONING("20", "3000"), true, 500, 20, 0}, /* counted beside it, as some have it */
        {REASONING("20", "-5"), true, 500, 20, 0},
        {REASONING("30000", "\"29950\""), false, 0, 0, 0},
        /* the rest holds where only what is cached cannot be true */
        {CACHED("384"), true, 500, 20, 384},
        {CACHED("500"), true, 500, 20, 500},
        {CACHED("501"), false, 500, 20, 0},
        {CACHED("-1"), false, 500, 20, 0},
        {CACHED("1.5"), false, 500, 20, 0},
        {CACHED("\"384\""), false, 500, 20, 0},
        {CACHED("900000000000000"), false, 500, 20, 0},
        {CACHED("null"), true, 500, 20, 0},
    };
    dm_arena *a = dm_arena_new(0);
    const dm_lm_config *c = config(a, "{\"model\": \"hosted_vllm/x\", \"max_tokens\": 60}");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_reply r = reply(a, c, "Yes.", rows[i].usage);
        cr_expect(r.prompt == rows[i].prompt && r.completion == rows[i].completion &&
                      r.cached == rows[i].cached && !r.doubt == rows[i].believed,
                  "%s: %d prompt, %d completion, %d cached; %s", rows[i].usage, (int)r.prompt,
                  (int)r.completion, (int)r.cached, r.doubt ? r.doubt : "believed");
    }
    dm_arena_free(a);
}

/* Without a limit, with one that is not max_tokens, and where the answer itself is longer. */
Test(counts, of_long_answers)
{
    dm_arena *a = dm_arena_new(0);
    char text[9001] = {0};
    memset(text, 'x', 9000);
    const dm_lm_config *any = config(a, "\"hosted_vllm/x\""),
                       *own = config(a, "{\"model\": \"hosted_vllm/x\", \"max_tokens\": 60, "
                                        "\"extra_body\": {\"max_tokens\": 9000}}"),
                       *few = config(a, "{\"model\": \"hosted_vllm/x\", \"max_tokens\": 60}");
    cr_expect_eq(reply(a, any, "Yes.", P("500", "130000")).completion, 130000);
    cr_expect_eq(reply(a, own, "Yes.", P("500", "9000")).completion, 9000);
    cr_expect_eq(reply(a, few, text, P("500", "9000")).completion, 9000, "max_tokens was not kept");
    cr_expect_eq(reply(a, few, text, P("500", "90000")).completion, 0);
    cr_expect_eq(reply(a, few, "", P("500", "0")).prompt, 500, "an empty answer has no tokens");
    dm_arena_free(a);
}

/* ---- money ---- */

Test(counts, a_price_has_two_numbers_or_four)
{
    static const struct {
        const char *price;
        double prompt, cached, cache_write, completion;
    } rows[] = {
        {"{\"prompt\": 3, \"completion\": 15}", 3, 3, 3, 15},
        {"{\"prompt\": 3, \"cached\": 0.3, \"completion\": 15}", 3, .3, 3, 15},
        {"{\"prompt\": 3, \"cached\": 0.3, \"cache_write\": 3.75, \"completion\": 15}", 3, .3, 3.75,
         15},
        {"{\"completion\": 15, \"cache_write\": 0, \"cached\": 0, \"prompt\": 3}", 3, 0, 0, 15},
    };
    static const char *const refused[] = {
        "{\"prompt\": 3}",
        "{\"prompt\": 3, \"cached\": 1}",
        "{\"cached\": 1, \"completion\": 15}",
        "{\"prompt\": 3, \"completion\": 15, \"cache\": 1}",
        "{\"prompt\": 3, \"completion\": 15, \"cached\": -1}",
        "{\"prompt\": 3, \"completion\": 15, \"cached\": \"1\"}",
        "{\"prompt\": 3, \"completion\": 15, \"cache_write\": []}",
        "3"};
    dm_arena *a = dm_arena_new(0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const dm_price p =
            config(a, dm_arena_printf(a, "{\"model\": \"hosted_vllm/x\", \"price\": %s}",
                                      rows[i].price))
                ->price;
        cr_expect(p.known && p.prompt == rows[i].prompt && p.cached == rows[i].cached &&
                      p.cache_write == rows[i].cache_write && p.completion == rows[i].completion,
                  "%s", rows[i].price);
    }
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        dm_error err = {DM_OK, ""};
        const char *json =
            dm_arena_printf(a, "{\"model\": \"hosted_vllm/x\", \"price\": %s}", refused[i]);
        dm_at at = dm_at_root(dm_json_read(a, dm_str_of(json), &err), "lm", DM_E_JOB);
        cr_expect_null(dm_lm_config_read(a, &at, &err), "%s", refused[i]);
    }
    const dm_price openai = config(a, "\"openai/gpt-4o-mini\"")->price;
    cr_expect(openai.cached < openai.prompt && openai.cache_write == openai.prompt);
    dm_arena_free(a);
}

Test(counts, what_is_cached_and_written_has_its_own_price)
{
    const dm_price p = {true, 3, 15, .3, 3.75, 1}, odd = {true, 1, 4, 2, .5, 1}, none = {0};
    cr_expect_float_eq(dm_price_of(&p, 1000000, 1000000, 0, 0), 18, 1e-9);
    cr_expect_float_eq(dm_price_of(&p, 1000000, 0, 1000000, 0), .3, 1e-9);
    cr_expect_float_eq(dm_price_of(&p, 1000000, 0, 0, 1000000), 3.75, 1e-9);
    cr_expect_float_eq(dm_price_of(&p, 1000000, 100000, 500000, 250000), .75 + .15 + .9375 + 1.5,
                       1e-9);
    cr_expect_float_eq(dm_price_most(&p, 1000000, 100000), 3.75 + 1.5, 1e-9,
                       "it may all be written to the cache");
    cr_expect_float_eq(dm_price_most(&odd, 1000000, 1000000), 2 + 4, 1e-9);
    cr_expect(isnan(dm_price_of(&none, 1, 1, 0, 0)) && isnan(dm_price_most(&none, 1, 1)));
}

/* ---- what goes out ---- */

static const char *body(dm_arena *a, const dm_lm_config *c, const char *system, const char *user)
{
    dm_message m[] = {{DM_SYSTEM, dm_str_of(system)},
                      {DM_USER, DM_STR("a demonstration's")},
                      {DM_ASSISTANT, DM_STR("its answer")}};
    dm_prefix prefix = {m, 3};
    dm_buf sampling, b;
    dm_buf_init(&sampling, DM_MAX_TEXT);
    dm_buf_init(&b, DM_MAX_TEXT);
    c->provider->sampling(&sampling, c, NAN);
    dm_outgoing o = {.config = c,
                     .head = dm_lm_head(a, c, &prefix),
                     .user = dm_str_of(user),
                     .sampling = sampling.data ? sampling.data : ""};
    dm_hash h = dm_hash_of(o.head.p, o.head.n);
    o.head_hash = dm_hash_u64(&h);
    c->provider->body(&b, &o);
    const char *text = dm_arena_string(a, b.data, b.len);
    cr_expect(dm_json_read(a, dm_buf_view(&b), NULL) != NULL, "%s", text);
    dm_buf_free(&sampling);
    dm_buf_free(&b);
    return text;
}

Test(counts, rows_differ_in_the_last_message_alone)
{
    dm_arena *a = dm_arena_new(0);
    for (size_t i = 0; i < dm_n_providers; i++) {
        if (!dm_providers[i]->body)
            continue;
        setenv("AZURE_API_BASE", "https://x.openai.azure.com", 1);
        const dm_lm_config *c =
            config(a, dm_arena_printf(a,
                                      "{\"model\": \"%s/x\", \"temperature\": 0.5, \"max_tokens\": "
                                      "9, \"extra_body\": {\"x\": 1}}",
                                      dm_providers[i]->name));
        const char *one = body(a, c, "do it", "first"), *two = body(a, c, "do it", "second");
        size_t same = 0;
        while (one[same] == two[same])
            same++;
        cr_expect(strncmp(one + same, "first", 5) == 0 && strncmp(two + same, "second", 6) == 0 &&
                      strcmp(one + same + 5, two + same + 6) == 0,
                  "%s\n%s", one, two);
        cr_expect(strstr(one, "its answer") < one + same);
    }
    dm_arena_free(a);
}

Test(counts, a_key_of_the_prefix_goes_to_openai_alone)
{
    static const struct {
        const char *lm;
        bool goes;
    } rows[] = {
        {"\"openai/gpt-4o-mini\"", true},
        {"{\"model\": \"openai/x\", \"api_base\": \"https://API.openai.com:443/v1/\"}", true},
        {"{\"model\": \"openai/x\", \"api_base\": \"http://api.openai.com/v1\"}", false},
        {"{\"model\": \"openai/x\", \"api_base\": \"https://api.openai.com.example.org/v1\"}",
         false},
        {"{\"model\": \"openai/x\", \"api_base\": \"https://eu.api.openai.com/v1\"}", false},
        {"{\"model\": \"openai/x\", \"api_base\": \"http://127.0.0.1:8000/v1\"}", false},
        {"{\"model\": \"openai/x\", \"api_base\": [\"https://api.openai.com/v1\", "
         "\"https://proxy/v1\"]}",
         false},
        {"{\"model\": \"openai/x\", \"api_base\": [\"https://proxy/v1\", "
         "\"https://api.openai.com/v1\"]}",
         false},
        {"\"hosted_vllm/x\"", false},
        {"\"ollama_chat/x\"", false},
    };
    dm_arena *a = dm_arena_new(0);
    unsetenv("OPENAI_BASE_URL");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(strstr(body(a, config(a, rows[i].lm), "do it", "q"), "prompt_cache_key") !=
                         NULL,
                     rows[i].goes, "%s", rows[i].lm);
    setenv("OPENAI_BASE_URL", "http://node07:8000/v1", 1);
    cr_expect_not(strstr(body(a, config(a, "\"openai/x\""), "do it", "q"), "prompt_cache_key"));
    unsetenv("OPENAI_BASE_URL");
    const dm_lm_config *c = config(a, "\"openai/x\"");
    cr_expect_str_eq(body(a, c, "do it", "q"), body(a, c, "do it", "q"));
    cr_expect_str_neq(strstr(body(a, c, "do it", "q"), "prompt_cache_key"),
                      strstr(body(a, c, "do that", "q"), "prompt_cache_key"));
    const char *own = body(a,
                           config(a, "{\"model\": \"openai/x\", \"extra_body\": "
                                     "{\"prompt_cache_key\": \"mine\"}}"),
                           "do it", "q");
    cr_expect(strstr(own, "\"prompt_cache_key\":\"mine\"") && !strstr(own, "dspy-mpi-"), "%s", own);
    dm_arena_free(a);
}
