/* Limits that no job names: what heads tell, and what a cluster makes of it in virtual minutes. */
#include "world.h"
#include "base/random.h"
#include "lm/limits.h"
#include "pool/pace.h"

#include <criterion/criterion.h>

/* ---- heads ---- */

#define NOW 1764331200.0 /* 2025-11-28 12:00:00 UTC */

static dm_told_limits told(const char *head)
{
    dm_told_limits t;
    dm_told_init(&t);
    while (*head) {
        size_t n = strcspn(head, "\n");
        dm_told_header(&t, (dm_str){head, n}, NOW);
        head += n + (head[n] == '\n');
    }
    return t;
}

Test(limits, how_long_a_head_says_to_wait)
{
    static const struct {
        const char *head;
        double wait;
    } rows[] = {
        {"", 0},
        {"Retry-After: 7", 7},
        {"retry-after: 0.5", 0.5},
        {"Retry-After: Fri, 28 Nov 2025 12:01:30 GMT", 90},
        {"Retry-After: Fri, 28 Nov 2025 11:00:00 GMT", 0},
        {"Retry-After: soon", 0},
        {"Retry-After: -5", 0},
        {"Retry-After: 30s", 30},
        {"Retry-After: 1m30s", 90},
        {"Retry-After: 2 minutes", 120},
        {"Retry-After: 2025-11-28T12:01:00Z", 60},
        {"Retry-After: 1764331245", 45},
        {"Retry-After: Friday, 28-Nov-25 12:01:30 GMT", 90},
        {"x-ratelimit-remaining-requests: 0\nx-ratelimit-reset-requests: 1m 30s", 90},
        {"x-ratelimit-remaining-requests: 0\nx-ratelimit-reset-requests: 2025-11-28T12:00:10.25Z",
         10.25},
        {"x-ratelimit-remaining-requests: 0\nx-ratelimit-reset-requests: 17.25", 17.25},
        {"retry-after-ms: 120", 0.12},
        {"retry-after: 1\nretry-after-ms: 120", 0.12},
        {"retry-after-ms: 120\nretry-after: 1", 0.12},
        {"x-ms-retry-after-ms: 2500", 2.5},
        {"x-ratelimit-remaining-requests: 0\nx-ratelimit-reset-requests: 6m0s", 360},
        {"x-ratelimit-remaining-requests: 0\nx-ratelimit-reset-requests: 1s", 1},
        {"x-ratelimit-remaining-requests: 0\nx-ratelimit-reset-requests: 120ms", 0.12},
        {"X-RateLimit-Remaining-Tokens: 0\r\nX-RateLimit-Reset-Tokens: 1h2m3.5s", 3723.5},
        {"x-ratelimit-reset-requests: 1s\nx-ratelimit-reset-tokens: 6m0s\n"
         "x-ratelimit-remaining-tokens: 0",
         360},
        {"x-ratelimit-reset-requests: 1s\nx-ratelimit-reset-tokens: 6m0s", 1},
        {"x-ratelimit-reset: 1764331260000", 60},
        {"RateLimit: \"default\";r=0;t=30", 30},
        {"RateLimit: \"burst\";r=9;t=1, \"daily\";r=0;t=7200", 7200},
        {"RateLimit: limit=100, remaining=0, reset=5", 5},
        {"RateLimit-Remaining: 0\nRateLimit-Reset: 12", 12},
        {"ratelimit-reset: 12", 12},
        {"X-RateLimit-Limit: 60\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1764331245", 45},
        {"X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 7\nX-RateLimit-Limit: 60", 7},
        {"anthropic-ratelimit-input-tokens-remaining: 0\n"
         "anthropic-ratelimit-input-tokens-reset: 2025-11-28T12:00:20Z",
         20},
        {"anthropic-ratelimit-requests-remaining: 0\n"
         "anthropic-ratelimit-requests-reset: 2025-11-28T14:00:30.5+02:00",
         30.5},
        {"anthropic-ratelimit-requests-reset: nonsense", 0},
        {"retry-after: 3\nanthropic-ratelimit-requests-remaining: 0\n"
         "anthropic-ratelimit-requests-reset: 2025-11-28T13:00:00Z",
         3},
        /* an empty bucket that fills, one request after the other, is not to be waited for whole */
        {"x-ratelimit-limit-requests: 600\nx-ratelimit-remaining-requests: 0\n"
         "x-ratelimit-reset-requests: 59.9s",
         0},
        /* of two heads (100 Continue, a request sent again) the last one counts */
        {"HTTP/1.1 429 Slow\nretry-after: 9\nHTTP/1.1 200 OK\nContent-Length: 2", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_told_limits t = told(rows[i].head);
        cr_expect_float_eq(dm_told_wait(&t), rows[i].wait, 1e-6, "%s: %g", rows[i].head,
                           dm_told_wait(&t));
    }
}

Test(limits, what_a_head_says_of_limits)
{
    dm_told_limits t =
        told("x-ratelimit-limit-requests: 600\r\nx-ratelimit-remaining-requests: 599\r\n"
             "x-ratelimit-limit-tokens: 90000\r\nx-ratelimit-reset-tokens: 8ms\r\n"
             "x-ratelimit-limit-requests-day: 14400\r\nx-ratelimit-limit-input-images: 5");
    cr_expect(t.rate[DM_RATE_REQUESTS].limit == 600 && t.rate[DM_RATE_REQUESTS].remaining == 599 &&
              t.rate[DM_RATE_TOKENS].limit == 90000 && t.rate[DM_RATE_TOKENS].remaining < 0);
    cr_expect_float_eq(t.rate[DM_RATE_TOKENS].reset, 0.008, 1e-9);
    t = told(
        "x-ratelimit-limit-req-minute: 60\nx-ratelimit-remaining-req-minute: 59\n"
        "x-ratelimit-limit-tokens-minute: 500000\nx-ratelimit-remaining-tokens-minute: 499000\n"
        "x-ratelimit-limit-req-10-second: 5");
    cr_expect(t.rate[DM_RATE_REQUESTS].limit == 60 && t.rate[DM_RATE_REQUESTS].remaining == 59 &&
              t.rate[DM_RATE_TOKENS].limit == 500000 && t.rate[DM_RATE_TOKENS].remaining == 499000);
    t = told("anthropic-ratelimit-input-tokens-limit: 40000\n"
             "anthropic-ratelimit-output-tokens-limit: 8000\n"
             "anthropic-ratelimit-tokens-limit: 48000\nanthropic-ratelimit-requests-limit: 50");
    cr_expect(t.rate[DM_RATE_INPUT].limit == 40000 && t.rate[DM_RATE_OUTPUT].limit == 8000 &&
              t.rate[DM_RATE_TOKENS].limit == 48000 && t.rate[DM_RATE_REQUESTS].limit == 50);
}

/* The IETF's headers in the forms that its drafts had, and limits that do not say of what. */
Test(limits, what_other_heads_say_of_limits)
{
    static const struct {
        const char *head;
        double limit, remaining, tokens; /* 0, -1, 0: not told */
    } rows[] = {
        {"RateLimit-Policy: \"default\";q=100;w=60\nRateLimit: \"default\";r=50;t=30", 100, 50, 0},
        {"RateLimit: \"default\";r=50;t=30\nRateLimit-Policy: \"default\";q=100;w=60", 100, 50, 0},
        {"ratelimit-policy: 10;w=1", 600, -1, 0},
        {"ratelimit-policy: 10;w=1\nratelimit: \"x\";r=3;t=1", 600, -1, 0}, /* comes and goes */
        {"RateLimit-Policy: \"a\";q=10;w=1, \"b\";q=100;w=60, \"c\";q=1000;w=86400", 100, -1, 0},
        {"RateLimit-Policy: \"t\";q=90000;w=60;qu=\"tokens\", \"r\";q=600;w=60;qu=\"requests\"",
         600, -1, 90000},
        {"RateLimit-Policy: \"x\";q=5;qu=\"concurrent-requests\";w=60", 0, -1, 0},
        {"RateLimit-Policy: \"day\";q=50;w=86400", 0, -1, 0},
        {"RateLimit-Limit: 100, 100;w=60\nRateLimit-Remaining: 40\nRateLimit-Reset: 9", 100, 40, 0},
        {"RateLimit-Limit: 100\nRateLimit-Policy: 100;w=900\nRateLimit-Remaining: 40\n"
         "RateLimit-Reset: 30",
         100 / 15.0, 40, 0},
        {"RateLimit-Policy: 100;w=900\nRateLimit-Limit: 100\nRateLimit-Reset: 30\n"
         "RateLimit-Remaining: 40",
         100 / 15.0, 40, 0},
        {"RateLimit-Limit: 100\nRateLimit-Remaining: 40\nRateLimit-Reset: 30\n"
         "RateLimit-Policy: 100;w=10",
         600, 40, 0},
        {"RateLimit: limit=100, remaining=50, reset=5\nRateLimit-Policy: 100;w=10", 600, 50, 0},
        {"x-ratelimit-limit: 60\nx-ratelimit-remaining: 10\nx-ratelimit-reset: 34", 60, 10, 0},
        {"x-ratelimit-reset: 1764331234\nx-ratelimit-remaining: 10\nx-ratelimit-limit: 60", 60, 10,
         0},
        /* of an hour or a day, or of an unknown time: no pace is made of it */
        {"x-ratelimit-limit: 50\nx-ratelimit-remaining: 10\nx-ratelimit-reset: 30000", 0, -1, 0},
        {"x-ratelimit-limit: 5\nx-ratelimit-remaining: 4\nx-ratelimit-reset: 1", 0, -1, 0},
        {"x-ratelimit-limit: 60", 0, -1, 0},
        {"x-ratelimit-limit-minute: 60\nx-ratelimit-remaining-minute: 12", 60, 12, 0},
        {"x-ratelimit-limit-second: 2\nx-ratelimit-remaining-second: 1", 120, -1, 0},
        {"x-ratelimit-limit-day: 60\nx-ratelimit-remaining-day: 1", 0, -1, 0},
        /* what is said of requests counts before what is said of nothing */
        {"x-ratelimit-limit-requests: 600\nx-ratelimit-remaining-requests: 500", 600, 500, 0},
        {"RateLimit-Policy: nonsense\nRateLimit: ;;=,,\nRateLimit-Limit: -3", 0, -1, 0},
        {"RateLimit-Policy: \"x\";q=0;w=60, \"y\";q=5;w=0", 0, -1, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_told_limits t = told(rows[i].head);
        const dm_told_rate *r = &t.rate[DM_RATE_REQUESTS];
        cr_expect(fabs(r->limit - rows[i].limit) < 1e-9 && r->remaining == rows[i].remaining &&
                      t.rate[DM_RATE_TOKENS].limit == rows[i].tokens,
                  "%s: %g, %g left, %g tokens", rows[i].head, r->limit, r->remaining,
                  t.rate[DM_RATE_TOKENS].limit);
    }
}

Test(limits, waits_in_words)
{
    static const struct {
        const char *words;
        double wait;
    } rows[] = {{"Rate limit reached. Please try again in 20s. Visit", 20},
                {"Please try again in 120ms.", 0.12},
                {"Please try again in 6m0s.", 360},
                {"Please retry in 34.07s.", 34.07},
                {"Please retry after 10 seconds.", 10},
                {"try again in 2 minutes", 120},
                {"try again in 500 ms", 0.5},
                {"try again in 250 milliseconds", 0.25},
                {"Please wait and retry in 1 day.", 86400},
                {"Rate limited. Retry after 3min", 180},
                {"try again in 1 hour", 3600},
                {"retry in 2 hrs", 7200},
                {"try again in 1 min 30 s", 90},
                {"Try again in a while", 0},
                {"", 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_float_eq(dm_told_in_words(rows[i].words), rows[i].wait, 1e-6, "%s",
                           rows[i].words);
}

/* ---- clusters, in virtual minutes ---- */

typedef struct outcome {
    double refused, used; /* of the calls; of what the server allowed meanwhile */
} outcome;

/* n rows against 600 requests and 90,000 tokens a minute; nothing is set in the job. */
static outcome spend(int ranks, size_t n, const dm_simulation *how)
{
    world w = world_new(ONE_PREDICTOR);
    dm_value *lm = (dm_value *)(uintptr_t)w.setup.lm[0];
    dm_error err = {DM_OK, ""};
    const dm_result *r;
    dm_value_set(w.arena, lm, DM_STR("model"), dm_value_text(w.arena, "hosted_vllm/limited"));
    w.sim = *how;
    w.sim.seed = 1;
    w.sim.ranks = ranks;
    w.sim.rpm = 600;
    w.sim.tpm = 90000;
    w.sim.run = golden_rule;
    w.sim.limit = 36000;
    dm_pool *pool = dm_pool_simulated_new(&w.setup, &w.sim, &w.stats, &err);
    cr_assert_not_null(pool, "%s", err.text);
    dm_work work = dm_work_of(dm_candidate_seal(dm_candidate_new(w.arena, w.program)));
    dm_dataset *set = questions(w.arena, 0, (int)n);
    dm_status st = dm_pool_wait(pool, dm_pool_evaluate(pool, &work, set), &r, &err);
    cr_assert_eq(st, DM_OK, "%d ranks: %s", ranks, err.text);
    double seconds = w.stats.last - w.stats.first;
    double minutes = seconds / 60;
    outcome o = {(double)w.stats.limited / (double)w.stats.calls,
                 fmax((double)(w.stats.calls - w.stats.limited) / (600 * minutes),
                      w.stats.let_through / (90000 * minutes))};
    dm_pool_free(pool);
    dm_arena_free(w.arena);
    return o;
}

static const int crews[] = {1, 4, 16};

Test(limits, with_heads_few_are_refused_and_nearly_all_is_used)
{
    static const dm_simulation how[] = {
        {.latency = 0.05, .kept = 1, .headers = true},
        {.latency = 0.05, .kept = 60, .headers = true},
        {.latency = 0.05, .fixed = true, .headers = true},
        {.latency = 2, .kept = 10, .headers = true},
    };
    for (size_t h = 0; h < sizeof how / sizeof *how; h++)
        for (size_t i = 0; i < sizeof crews / sizeof *crews; i++) {
            outcome o = spend(crews[i], 3000, &how[h]);
            cr_expect(o.refused <= 0.02 && o.used >= 0.9,
                      "way %zu, %d ranks: %.1f %% refused, %.1f %% used", h, crews[i],
                      100 * o.refused, 100 * o.used);
            if (getenv("LIMITS_SAY"))
                fprintf(stderr, "heads %zu, %2d ranks: %5.2f %% refused, %5.1f %% used\n", h,
                        crews[i], 100 * o.refused, 100 * o.used);
        }
}

/* Without heads a pace is made of the refusals: of those that all ranks met. */
Test(limits, without_heads_a_pace_is_found)
{
    static const dm_simulation how[] = {
        {.latency = 0.05, .kept = 1},
        {.latency = 0.05, .kept = 60},
        {.latency = 0.05, .fixed = true},
        {.latency = 2, .kept = 10},
    };
    for (size_t h = 0; h < sizeof how / sizeof *how; h++)
        for (size_t i = 0; i < sizeof crews / sizeof *crews; i++) {
            outcome o = spend(crews[i], 2000, &how[h]);
            if (getenv("LIMITS_SAY"))
                fprintf(stderr, "no heads %zu, %2d ranks: %5.2f %% refused, %5.1f %% used\n", h,
                        crews[i], 100 * o.refused, 100 * o.used);
            cr_expect(o.refused <= 0.2 && o.used >= 0.75,
                      "way %zu, %d ranks: %.1f %% refused, %.1f %% used", h, crews[i],
                      100 * o.refused, 100 * o.used);
        }
}

/* A quarter that is refused at random sets no pace. Of six in ten it looks like a rate, and the
 * pace that does not help is given up, after so many seconds. */
static double until_given_up(double part, size_t most)
{
    dm_pace p = {0};
    double now = 1;
    for (size_t i = 0; i < most; i++) {
        bool refused = dm_draw_double(7, 1, i) < part;
        bool had = p.rate > 0;
        now += had ? 60 / p.rate : 0.02;
        (void)dm_pace_saw(&p, now, !refused, refused);
        if (had && p.rate == 0)
            return now;
        if (part < 0.5)
            cr_assert(p.rate == 0, "a pace after %zu requests", i);
    }
    return 0;
}

Test(limits, refusals_at_random_are_no_pace)
{
    until_given_up(0.25, 4000);
    double seconds = until_given_up(0.6, 1000);
    cr_expect(seconds > 0 && seconds < 400, "given up after %.0f s", seconds);
}
