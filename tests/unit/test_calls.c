/* Amounts and times of calls, counted at a server whose answers the test gives one by one, on a
 * clock that the test moves: attempts, backoff, Retry-After, what is in flight, what is billed. */
#include "by_hand.h"

#include "base/clock.h"
#include "base/random.h"
#include "json/json.h"
#include "lm/inside.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SERVERS 4
#define SEED    7

typedef struct bench {
    dm_arena *arena;
    hand_server *server[SERVERS];
    size_t n;
    dm_lm *lm;
    dm_prefix prefix;
    dm_lm_request request;
    size_t done, good, told_slow;
    dm_usage usage; /* of all that are done */
    dm_fault fault; /* of the last */
    double paused;  /* s, as told last */
    char text[512];
} bench;

static void slowed(void *user, dm_role role, size_t endpoint, double seconds)
{
    bench *b = user;
    (void)role;
    (void)endpoint;
    b->told_slow++;
    b->paused = seconds;
}

/* n servers of one model, slots calls at once; more: keys of the model. */
static bench open_bench(size_t n, int64_t slots, int rank, const char *more)
{
    bench b = {.arena = dm_arena_new(0), .n = n};
    dm_error err = {DM_OK, ""};
    dm_buf json;
    hand_clock_stop();
    dm_buf_init(&json, 65536);
    dm_buf_text(&json, "{\"model\": \"hosted_vllm/any\", \"api_base\": [");
    for (size_t i = 0; i < n; i++) {
        b.server[i] = hand_server_new();
        dm_buf_printf(&json, "%s\"%s\"", i ? ", " : "", b.server[i]->base);
    }
    dm_buf_printf(&json, "]%s}", more);
    const dm_value *v = dm_json_read(b.arena, dm_buf_view(&json), &err);
    cr_assert_not_null(v, "%s", err.text);
    dm_at at = dm_at_root(v, "test", DM_E_JOB);
    dm_lm_options o = {.slots = slots, .seed = SEED, .rank = rank, .slowed = slowed};
    o.role[DM_TASK] = dm_lm_config_read(b.arena, &at, &err);
    cr_assert_not_null(o.role[DM_TASK], "%s", err.text);
    b.lm = dm_lm_new(&o, &err);
    cr_assert_not_null(b.lm, "%s", err.text);
    b.request = (dm_lm_request){.user = DM_STR("item 1"), .temperature = NAN, .rollout = -1};
    dm_buf_free(&json);
    return b;
}

static void close_bench(bench *b)
{
    dm_lm_free(b->lm);
    for (size_t i = 0; i < b->n; i++)
        hand_server_free(b->server[i]);
    dm_arena_free(b->arena);
}

static void done(void *user, const dm_lm_answer *a)
{
    bench *b = user;
    b->done++;
    b->good += a->fault == DM_FAULT_NONE;
    b->fault = a->fault;
    dm_usage_add(&b->usage, &a->usage);
    snprintf(b->text, sizeof b->text, "%s", a->text ? a->text : "");
}

static void submit(bench *b, size_t n)
{
    b->lm->user = b;
    b->request.prefix = &b->prefix;
    for (size_t i = 0; i < n; i++)
        dm_lm_submit(b->lm, &b->request, done, b);
}

static size_t came(const bench *b)
{
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++)
        n += b->server[i]->n_came;
    return n;
}

static size_t held(const bench *b)
{
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++)
        n += b->server[i]->n_held;
    return n;
}

/* Until nothing moves any more: what was sent has come, and what was answered has arrived. The
 * clock stands, so what waits for a time goes on waiting. */
static void settle(bench *b)
{
    size_t before = SIZE_MAX;
    for (int quiet = 0, turns = 0; quiet < 3; turns++) {
        bool under_way = held(b) != b->lm->active.n;
        dm_lm_poll(b->lm, NULL, 0, under_way ? .001 : 0);
        for (size_t i = 0; i < b->n; i++)
            hand_server_turn(b->server[i]);
        size_t state = came(b) * 1000000 + held(b) * 1000 + b->done;
        quiet = state == before && !under_way ? quiet + 1 : 0;
        before = state;
        cr_assert_lt(turns, 20000, "what was sent does not arrive");
    }
}

static void pass(bench *b, double seconds)
{
    hand_clock_go(seconds);
    settle(b);
}

/* ---- attempts and what lies between them ---- */

Test(calls, backoff_is_full_jitter_of_twice_as_much_each_time)
{
    static const double longest[] = {1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60};
    for (int64_t k = 1; k <= 12; k++) {
        double most = 0, least = INFINITY, sum = 0;
        for (uint64_t i = 0; i < 1000; i++) {
            double d = dm_backoff(k, 0, dm_draw_double(3, (uint64_t)k, i));
            most = fmax(most, d);
            least = fmin(least, d);
            sum += d / 1000;
        }
        double all = longest[k - 1];
        cr_expect(most < all && most > .98 * all, "after %d: at most %g", (int)k, most);
        cr_expect(least >= 0 && least < .02 * all, "after %d: at least %g", (int)k, least);
        cr_expect(fabs(sum - all / 2) < .05 * all, "after %d: %g on average", (int)k, sum);
        cr_expect_eq(dm_backoff(k, 7, .5), 7, "what the server asks for");
    }
}

/* num_retries more than the first one; between them what the seed says, not a moment earlier. */
Test(calls, tries_and_the_time_between_them)
{
    for (int retries = 0; retries < 6; retries++) {
        char more[64];
        snprintf(more, sizeof more, ", \"num_retries\": %d", retries);
        bench b = open_bench(1, 4, 0, more);
        submit(&b, 1);
        for (int k = 0; k <= retries; k++) {
            settle(&b);
            cr_assert_eq(held(&b), 1, "%d retries: attempt %d", retries, k + 1);
            hand_refuse(b.server[0], 0, 502, "");
            settle(&b);
            if (k == retries)
                break;
            double wait = dm_draw_double(SEED, 0x6a69, (uint64_t)k) * ldexp(1, k);
            pass(&b, wait - .001);
            cr_expect_eq(came(&b), (size_t)k + 1, "attempt %d is early", k + 2);
            pass(&b, .001);
            cr_expect_eq(came(&b), (size_t)k + 2, "attempt %d is late", k + 2);
        }
        cr_expect_eq(b.done, 1, "%d retries: it goes on", retries);
        cr_expect_eq(b.fault, DM_FAULT_TRANSPORT);
        cr_expect(b.usage.requests == retries + 1 && b.usage.retries == retries &&
                      b.usage.answers == 0,
                  "%d retries: %d requests, %d retries", retries, (int)b.usage.requests,
                  (int)b.usage.retries);
        pass(&b, 1000);
        cr_expect_eq(came(&b), (size_t)retries + 1, "nothing goes out after the end");
        close_bench(&b);
    }
}

/* A server that still loads its model is asked again each half second until `wait` is over; only
 * then the attempts count. */
Test(calls, a_server_that_loads_is_waited_for)
{
    bench b = open_bench(1, 4, 0, ", \"num_retries\": 1, \"wait\": 5");
    submit(&b, 1);
    settle(&b);
    for (size_t k = 1; k <= 10; k++) {
        cr_assert_eq(came(&b), k);
        hand_refuse(b.server[0], 0, 503, "");
        settle(&b);
        pass(&b, .51);
    }
    cr_expect_eq(came(&b), 11);
    hand_refuse(b.server[0], 0, 503, ""); /* 5.1 s */
    settle(&b);
    cr_expect_eq(b.done, 0);
    pass(&b, 1);
    cr_assert_eq(came(&b), 12, "one retry");
    hand_refuse(b.server[0], 0, 503, "");
    settle(&b);
    cr_expect_eq(b.done, 1);
    close_bench(&b);
}

/* What a budget set aside for a run is not passed, however many retries are allowed. */
Test(calls, no_more_requests_than_were_set_aside)
{
    bench b = open_bench(1, 4, 0, ", \"num_retries\": 9");
    b.request.most_sends = 3;
    submit(&b, 1);
    settle(&b);
    for (int k = 0; k < 3; k++) {
        cr_assert_eq(held(&b), 1);
        hand_refuse(b.server[0], 0, 500, "");
        settle(&b);
        pass(&b, 61);
    }
    cr_expect(b.done == 1 && b.usage.requests == 3 && came(&b) == 3, "%zu came", came(&b));
    close_bench(&b);
}

/* Every request that went out counts, refused ones too; those whose tokens nobody knows are told
 * apart. */
Test(calls, what_counts)
{
    static const struct {
        int status;
        int64_t untold;
    } row[] = {{400, 0}, {422, 0}, {500, 1}, {408, 1}, {502, 1}, {401, 0}, {429, 0}, {503, 0}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        bench b = open_bench(1, 4, 0, ", \"num_retries\": 0");
        submit(&b, 1);
        settle(&b);
        hand_refuse(b.server[0], 0, row[i].status, "");
        settle(&b);
        cr_expect(b.done == 1 && b.usage.requests == 1 && b.usage.untold == row[i].untold,
                  "HTTP %d: %d requests, %d untold", row[i].status, (int)b.usage.requests,
                  (int)b.usage.untold);
        close_bench(&b);
    }
    bench b = open_bench(1, 4, 0, "");
    submit(&b, 2);
    settle(&b);
    hand_answer(b.server[0], 0, "yes", 100, 7);
    hand_answer(b.server[0], 0, "no", 50, 3);
    settle(&b);
    cr_expect(b.usage.requests == 2 && b.usage.answers == 2 && b.usage.prompt == 150 &&
              b.usage.completion == 10);
    close_bench(&b);
}

/* curl sends again when a kept connection ends without a byte: the first may have been billed, so
 * both count; it does not do so a third time, though more connections were kept. */
Test(calls, curl_sends_twice_at_most)
{
    bench b = open_bench(1, 8, 0, ", \"num_retries\": 0");
    submit(&b, 5);
    settle(&b);
    cr_assert_eq(held(&b), 5);
    while (held(&b))
        hand_answer(b.server[0], 0, "yes", 1, 1);
    settle(&b);
    cr_assert_eq(b.good, 5);
    submit(&b, 1);
    for (size_t n = 6; b.done < 6 && n < 20; n++) {
        settle(&b);
        if (held(&b))
            hand_close(b.server[0], 0);
        settle(&b);
    }
    cr_expect(came(&b) == 7 && b.usage.requests == 7 && b.fault == DM_FAULT_TRANSPORT,
              "%zu came, %d counted", came(&b), (int)b.usage.requests);
    close_bench(&b);
}

/* ---- what is in flight ---- */

static dm_endpoint *only(const bench *b)
{
    return b->lm->models[0].endpoints;
}

/* 429: half of what is in flight; of many that were sent together the first one counts. Each
 * success raises it by 1 / limit, so by one in as many as are in flight. */
Test(calls, half_as_many_after_429_and_one_more_after_so_many_successes)
{
    bench b = open_bench(1, 16, 0, ", \"num_retries\": 5");
    submit(&b, 60);
    settle(&b);
    cr_assert_eq(held(&b), 16);
    hand_clock_go(.01);
    hand_refuse(b.server[0], 0, 429, "");
    settle(&b);
    cr_expect_eq(only(&b)->limit, 8);
    hand_refuse(b.server[0], 0, 429, "");
    settle(&b);
    cr_expect_eq(only(&b)->limit, 8, "sent together with the first: %g", only(&b)->limit);
    cr_expect_eq(b.told_slow, 1, "told %zu times", b.told_slow);
    double limit = 8;
    while (came(&b) == 16) {
        cr_assert(held(&b) > 0, "nothing goes out");
        hand_answer(b.server[0], 0, "yes", 1, 1);
        limit += 1 / limit;
        settle(&b);
        cr_expect_eq(only(&b)->limit, limit);
    }
    cr_expect_eq(held(&b), 8, "%zu in flight", held(&b));
    for (int k = 0; k < 20; k++) {
        hand_answer(b.server[0], 0, "yes", 1, 1);
        limit += 1 / limit;
        settle(&b);
        cr_expect_eq(held(&b), (size_t)floor(limit), "%zu in flight, %g allowed", held(&b), limit);
    }
    hand_refuse(b.server[0], held(&b) - 1, 529, ""); /* sent since */
    settle(&b);
    cr_expect_eq(only(&b)->limit, floor(limit) / 2);
    for (size_t k = b.done; k < 60; k = b.done) {
        if (held(&b))
            hand_answer(b.server[0], 0, "yes", 1, 1);
        pass(&b, .5);
    }
    cr_expect(only(&b)->limit > 8 && only(&b)->limit <= 16);
    close_bench(&b);
}

Test(calls, never_less_than_one_and_never_more_than_the_slots)
{
    bench b = open_bench(1, 4, 0, ", \"num_retries\": 50");
    submit(&b, 100);
    settle(&b);
    for (int k = 0; k < 6; k++) { /* each sent after the one before */
        while (held(&b) > 1)
            hand_answer(b.server[0], 0, "yes", 1, 1);
        settle(&b);
        pass(&b, .01);
        hand_refuse(b.server[0], held(&b) - 1, 429, "");
        settle(&b);
        pass(&b, 61);
    }
    cr_expect_geq(only(&b)->limit, 1);
    cr_expect_geq(held(&b), 1, "it is never given up");
    while (b.done < 100) {
        while (held(&b))
            hand_answer(b.server[0], 0, "yes", 1, 1);
        pass(&b, 1);
    }
    cr_expect_eq(only(&b)->limit, 4);
    cr_expect_eq(b.server[0]->peak, 4);
    close_bench(&b);
}

/* Retry-After holds for all calls of the server, to the moment; another process that was told by
 * the same server has us wait and halve as well, once. */
Test(calls, retry_after_is_obeyed)
{
    bench b = open_bench(1, 8, 0, ", \"num_retries\": 5");
    submit(&b, 12);
    settle(&b);
    hand_clock_go(.01);
    hand_refuse(b.server[0], 0, 429, "Retry-After: 7\r\n");
    settle(&b);
    cr_expect(b.told_slow == 1 && b.paused == 7, "told %zu times, %g s", b.told_slow, b.paused);
    while (held(&b))
        hand_answer(b.server[0], 0, "yes", 1, 1);
    pass(&b, 6.99);
    cr_expect_eq(came(&b), 8, "%zu calls within the pause", came(&b) - 8);
    pass(&b, .011);
    cr_expect_eq(came(&b), 12 + 1, "the pause is over: %zu", came(&b));
    double limit = only(&b)->limit;
    size_t in_flight = held(&b);
    pass(&b, 1);
    dm_lm_slow(b.lm, DM_TASK, 0, 5);
    dm_lm_slow(b.lm, DM_TASK, 0, 5); /* the same, by another rank */
    cr_expect_eq(only(&b)->limit, fmax(1, fmin(limit, (double)in_flight + 1) / 2));
    submit(&b, 3);
    while (held(&b))
        hand_answer(b.server[0], 0, "yes", 1, 1);
    pass(&b, 4.99);
    cr_expect_eq(came(&b), 13, "another rank's pause holds here too");
    pass(&b, .011);
    cr_expect_gt(came(&b), 13);
    close_bench(&b);
}

/* ---- several servers ---- */

/* Each call goes to the server with the fewest in flight; of equals the next in turn, and each rank
 * begins at another. So the load is equal however long answers take: no time decides. */
Test(calls, the_server_with_the_fewest_in_flight)
{
    for (int rank = 0; rank < 5; rank++) {
        bench b = open_bench(SERVERS, 64, rank, "");
        submit(&b, 1);
        settle(&b);
        for (int i = 0; i < SERVERS; i++)
            cr_expect_eq(b.server[i]->n_held, i == rank % SERVERS, "rank %d: its first", rank);
        submit(&b, 39);
        settle(&b);
        for (int i = 0; i < SERVERS; i++)
            cr_expect_eq(b.server[i]->n_held, 10, "rank %d: %zu at server %d", rank,
                         b.server[i]->n_held, i);
        for (int k = 0; k < 7; k++)
            hand_answer(b.server[2], 0, "yes", 1, 1);
        settle(&b);
        submit(&b, 7);
        settle(&b);
        cr_expect_eq(b.server[2]->n_held, 10, "%zu at the one that was quick", b.server[2]->n_held);
        for (int k = 0; k < 200; k++) { /* only one answers: it gets all */
            hand_answer(b.server[1], 0, "yes", 1, 1);
            settle(&b);
            submit(&b, 1);
            settle(&b);
        }
        cr_expect_eq(b.server[1]->n_came, 210, "%zu", b.server[1]->n_came);
        close_bench(&b);
    }
}

/* Three failures in a row set a server aside for a second; then it gets one call at a time until
 * one is answered. */
Test(calls, a_server_that_fails_is_set_aside)
{
    bench b = open_bench(2, 64, 0, ", \"num_retries\": 9");
    submit(&b, 8);
    settle(&b);
    cr_assert(b.server[0]->n_held == 4 && b.server[1]->n_held == 4);
    for (size_t k = 1; k <= 3; k++) {
        cr_expect_eq(only(&b)->aside, false, "after %zu failures", k - 1);
        hand_clock_go(.01);
        hand_refuse(b.server[0], 0, 502, "");
        settle(&b);
    }
    cr_expect(only(&b)->aside);
    size_t at_first = b.server[0]->n_came;
    submit(&b, 20);
    settle(&b);
    cr_expect_eq(b.server[0]->n_came, at_first, "nothing more goes there");
    while (b.server[0]->n_held)
        hand_refuse(b.server[0], 0, 502, ""); /* sent before: nothing new */
    settle(&b);
    pass(&b, 1.01);
    submit(&b, 5);
    settle(&b);
    cr_expect_eq(b.server[0]->n_held, 1, "one at a time: %zu", b.server[0]->n_held);
    hand_answer(b.server[0], 0, "yes", 1, 1);
    settle(&b);
    submit(&b, 5);
    settle(&b);
    cr_expect_eq(b.server[0]->n_held, 5, "it is well again: %zu", b.server[0]->n_held);
    close_bench(&b);
}
