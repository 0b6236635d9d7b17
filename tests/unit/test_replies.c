/* What stands in an answer beside its content: how it ended, what it cost, how it was packed. */
#include "configs.h"

#include "lm/as_json.h"
#include "lm/inside.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static const char good[] = "{\"choices\": [{\"message\": {\"content\": \"yes\"}, "
                           "\"finish_reason\": \"stop\"}]}";
#define WITH(reason, content)                                                                      \
    "{\"choices\": [{\"message\": {\"content\": " content "}, \"finish_reason\": \"" reason "\"}]" \
    "}"
/* As a router tells of one of its providers that failed. */
#define IN_CHOICE(code, content)                                                                   \
    "{\"choices\": [{\"error\": {\"code\": " code ", \"message\": \"it went away\"}, "             \
    "\"finish_reason\": \"error\", \"message\": {\"content\": " content "}}]}"

Test(replies, an_answer_that_was_cut)
{
    static const char *const reasons[] = {"length", "max_tokens", "MAX_TOKENS", "model_length",
                                          "model_context_window_exceeded"};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        char body[200];
        snprintf(body, sizeof body, WITH("%s", "\"a\""), reasons[i]);
        dm_reply r = {.status = 200, .body = dm_str_of(body)};
        cr_expect_eq(dm_judge_reply(&dm_provider_openai, &r), DM_GOOD);
        cr_expect(r.truncated, "%s", reasons[i]);
        free(r.content);
    }
}

Test(replies, what_failed_in_a_choice_is_told)
{
    dm_reply r = {.status = 200, .body = DM_STR(IN_CHOICE("502", "\"\""))};
    (void)dm_judge_reply(&dm_provider_openai, &r);
    cr_expect(strstr(r.text, "it went away"), "%s", r.text);
    r = (dm_reply){.status = 200, .body = DM_STR(WITH("abort", "\"half\""))};
    (void)dm_judge_reply(&dm_provider_openai, &r);
    cr_expect(strstr(r.text, "abort"), "%s", r.text);
}

/* A key for errors that is there with nothing in it is none. */
Test(replies, an_empty_error_in_a_choice_is_none)
{
    static const char *const empty[] = {"null", "{}", "\"\"", "false"};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        char body[200];
        snprintf(body, sizeof body,
                 "{\"choices\": [{\"error\": %s, \"message\": {\"content\": \"a\"}}]}", empty[i]);
        dm_reply r = {.status = 200, .body = dm_str_of(body)};
        cr_expect_eq(dm_judge_reply(&dm_provider_openai, &r), DM_GOOD, "%s", empty[i]);
        free(r.content);
    }
}

/* Some servers count what they reason beside the answer's tokens: it is billed as them. */
Test(replies, reasoning_that_is_counted_apart)
{
    static const struct {
        const char *usage;
        int64_t completion, reasoning;
    } rows[] = {
        {"{\"prompt_tokens\": 32, \"completion_tokens\": 9, \"total_tokens\": 135, "
         "\"completion_tokens_details\": {\"reasoning_tokens\": 94}}",
         103, 94},
        {"{\"prompt_tokens\": 32, \"completion_tokens\": 103, \"total_tokens\": 135, "
         "\"completion_tokens_details\": {\"reasoning_tokens\": 94}}",
         103, 94},
        {"{\"prompt_tokens\": 32, \"completion_tokens\": 9, \"total_tokens\": 41, "
         "\"completion_tokens_details\": {\"reasoning_tokens\": 5}}",
         9, 5},
        {"{\"prompt_tokens\": 32, \"completion_tokens\": 9, \"total_tokens\": 41, "
         "\"completion_tokens_details\": null}",
         9, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char body[400];
        snprintf(body, sizeof body,
                 "{\"choices\": [{\"message\": {\"content\": \"a\"}}], \"usage\": %s}",
                 rows[i].usage);
        dm_reply r = {.status = 200, .body = dm_str_of(body)};
        cr_expect_eq(dm_judge_reply(&dm_provider_openai, &r), DM_GOOD);
        cr_expect(r.completion == rows[i].completion && r.reasoning == rows[i].reasoning,
                  "%s: %ld, %ld", rows[i].usage, (long)r.completion, (long)r.reasoning);
        free(r.content);
    }
}

Test(replies, where_cached_tokens_are_told)
{
    static const char *const told[] = {
        "\"prompt_tokens_details\": {\"cached_tokens\": 64}",
        "\"prompt_cache_hit_tokens\": 64, \"prompt_cache_miss_tokens\": 6",
        "\"cached_tokens\": 64, \"prompt_tokens_details\": null"};
    for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
        char body[400];
        snprintf(body, sizeof body,
                 "{\"choices\": [{\"message\": {\"content\": \"a\"}}], \"usage\": "
                 "{\"prompt_tokens\": 70, \"completion_tokens\": 3, %s}}",
                 told[i]);
        dm_reply r = {.status = 200, .body = dm_str_of(body)};
        cr_expect_eq(dm_judge_reply(&dm_provider_openai, &r), DM_GOOD);
        cr_expect_eq(r.cached, 64, "%s", told[i]);
        free(r.content);
    }
}

Test(replies, where_a_redirect_leads_is_told)
{
    dm_reply r = {.status = 308,
                  .body = {"", 0},
                  .redirect = "https://api.example.com/v1/chat/completions?token=abcdefgh"};
    cr_expect_eq(dm_judge_reply(&dm_provider_openai, &r), DM_EJECT);
    cr_expect(strstr(r.text, "not followed: https://api.example.com/v1/chat/completions?***"), "%s",
              r.text);
}

static size_t pack(unsigned char *to, size_t room, const char *from, size_t n)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)from,
                  .avail_in = (uInt)n,
                  .next_out = to,
                  .avail_out = (uInt)room};
    cr_assert_eq(deflateInit2(&z, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    cr_assert_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    n = z.total_out;
    deflateEnd(&z);
    return n;
}

/* The limit of an answer holds for what is unpacked: a small body may be a large answer. */
Test(replies, a_packed_reply_beyond_the_limit)
{
    static unsigned char packed[1 << 17];
    const size_t sizes[] = {DM_MAX_ANSWER, DM_MAX_ANSWER + 1};
    for (size_t i = 0; i < 2; i++) {
        char *text = malloc(sizes[i]);
        memset(text, ' ', sizes[i]);
        memcpy(text, good, sizeof good - 1);
        dm_reply r = {.status = 200, .body = {(const char *)packed, 0}};
        r.body.n = pack(packed, sizeof packed, text, sizes[i]);
        cr_expect_eq(dm_judge_reply(&dm_provider_openai, &r), i ? DM_ODD : DM_GOOD);
        cr_expect(!i || strstr(r.text, "more than 16 MiB"), "%s", r.text);
        free(r.content);
        free(text);
    }
}

/* Compressed without having been asked for it, as some gateways send all they send. */
Test(replies, a_packed_reply)
{
    unsigned char packed[400];
    size_t n = pack(packed, sizeof packed, good, sizeof good - 1);
    dm_reply r = {.status = 200, .body = {(const char *)packed, n}};
    cr_expect_eq(dm_judge_reply(&dm_provider_openai, &r), DM_GOOD, "%s", r.text);
    cr_expect(r.content && strcmp(r.content, "yes") == 0);
    dm_json_answer(&r); /* as a program in Python is told it */
    cr_expect(strstr(r.content, "\"content\":\"yes\""), "%s", r.content);
    free(r.content);
    r = (dm_reply){.status = 200, .body = {(const char *)packed, n / 2}};
    cr_expect_eq(dm_judge_reply(&dm_provider_openai, &r), DM_ODD);
    cr_expect_eq(r.content, NULL);
}
