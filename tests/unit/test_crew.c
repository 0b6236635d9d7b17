/* The coordinator with real workers, runs and calls, in this process and at a server by hand: what
 * is in flight at once, what a lost rank leaves, what a cap lets out, counted at the server. */
#include "by_hand.h"
#include "world.h"

#include "base/clock.h"

#include <criterion/criterion.h>

#define ONE_STEP "{\"predict\": \"question -> answer\"}"
#define TWO_STEPS                                                                                  \
    "{\"steps\": [{\"name\": \"a\", \"predict\": \"question -> hint\"},"                           \
    " {\"name\": \"b\", \"predict\": \"question, hint -> answer\"}]}"

typedef struct play {
    world w;
    hand_server *server;
    crew *crew;
    dm_pool *pool;
    int64_t concurrency;
    size_t answered, most, step;
} play;

static void set(const play *p, const char *key, dm_value *v)
{
    dm_value_set(p->w.arena, (dm_value *)(uintptr_t)p->w.setup.lm[0], dm_str_of(key), v);
}

/* The world's program and data at a server by hand; open_crew makes the workers. */
static play *new_play(const char *program, int64_t concurrency, int examples)
{
    play *p = calloc(1, sizeof *p);
    hand_clock_stop();
    p->w = world_new(program);
    dm_arena *a = p->w.arena;
    p->w.val = questions(a, 100, examples);
    p->w.setup.sets[1] = p->w.val;
    p->server = hand_server_new();
    p->concurrency = concurrency;
    set(p, "model", dm_value_text(a, "hosted_vllm/any"));
    set(p, "api_base", dm_value_text(a, dm_arena_printf(a, "%s", p->server->base)));
    set(p, "concurrency", dm_value_int(a, concurrency));
    set(p, "outage", dm_value_int(a, 600));
    return p;
}

static void open_crew(play *p, int workers, void (*act)(crew *c))
{
    p->pool = crew_pool(&p->crew, workers, &p->w.setup, p->server, act, p);
}

static dm_status evaluate(play *p, const dm_result **r)
{
    dm_error err = {DM_OK, ""};
    dm_work work = dm_work_of(dm_candidate_seal(dm_candidate_new(p->w.arena, p->w.program)));
    dm_status st = dm_pool_wait(p->pool, dm_pool_evaluate(p->pool, &work, p->w.val), r, &err);
    cr_assert_geq(st, 0, "%s", err.text);
    return st;
}

static void end(play *p)
{
    dm_pool_free(p->pool);
    hand_server_free(p->server);
    dm_arena_free(p->w.arena);
    free(p);
}

static const char yes[] = "[[ ## answer ## ]]\nyes\n\n[[ ## completed ## ]]";

static void say_yes(play *p, size_t i)
{
    hand_answer(p->server, i, yes, 100, 10);
    p->answered++;
}

/* ---- in flight ---- */

/* One answer at a time, when all places are taken or nobody comes any more. */
static void one_at_a_time(crew *c)
{
    play *p = c->user;
    size_t n = p->server->n_held;
    cr_assert_leq(n, (size_t)p->concurrency, "%zu in flight, %d asked for, %d ranks", n,
                  (int)p->concurrency, c->link.n_workers);
    if (n && (n == (size_t)p->concurrency || c->idle > 60))
        say_yes(p, 0);
}

Test(crew, never_more_in_flight_than_asked_for_and_all_of_it)
{
    static const int ranks[] = {1, 2, 5, 7};
    static const int64_t concurrency[] = {1, 3, 6, 16};
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++)
        for (size_t k = 0; k < sizeof concurrency / sizeof *concurrency; k++) {
            const dm_result *r;
            play *p = new_play(ONE_STEP, concurrency[k], 40);
            open_crew(p, ranks[i], one_at_a_time);
            cr_expect_eq(evaluate(p, &r), DM_OK);
            cr_expect_eq(p->server->peak, (size_t)concurrency[k], "%d ranks, %d asked for: %zu",
                         ranks[i], (int)concurrency[k], p->server->peak);
            cr_expect_eq(p->server->n_came, 40, "each once");
            end(p);
        }
}

/* Ranks that join when one has all the places get theirs as it gives them up, not before. */
static void two_join_late(crew *c)
{
    play *p = c->user;
    size_t n = p->server->n_held, all = (size_t)p->concurrency;
    cr_assert_leq(n, all, "%zu in flight, %zu asked for", n, all);
    if (c->idle < 60)
        return;
    c->idle = 0;
    if (n == all && p->step++ == 0)
        c->member[1].late = c->member[2].late = false;
    else if (n)
        say_yes(p, p->answered % n);
    cr_assert(n > 0 || p->answered >= p->w.val->n || p->most++ < 100, "nothing goes out");
}

Test(crew, ranks_that_join_late_take_no_more_than_is_free)
{
    for (int64_t concurrency = 1; concurrency <= 8; concurrency += 7) {
        const dm_result *r;
        play *p = new_play(ONE_STEP, concurrency, 50);
        open_crew(p, 3, two_join_late);
        p->crew->member[1].late = p->crew->member[2].late = true;
        cr_expect_eq(evaluate(p, &r), DM_OK);
        cr_expect_eq(p->server->n_came, 50);
        cr_expect_gt(p->step, 0);
        end(p);
    }
}

/* A model's first piece of work is alone until it is answered, also when it was lost with its rank
 * and another has it: whether there is a model is not known before. */
static void lose_the_first(crew *c)
{
    play *p = c->user;
    hand_server *s = p->server;
    if (p->step < 2 && c->idle < 60)
        return;
    switch (p->step) {
    case 0:
        cr_assert_eq(s->n_came, 1, "%zu went out before the first was answered", s->n_came);
        crew_lose(c, 0);
        c->idle = 0;
        p->step++;
        break;
    case 1:
        cr_assert_eq(s->n_came, 2, "%zu went out before any was answered", s->n_came);
        p->step++;
        break;
    default:
        if (s->n_held > 1)
            say_yes(p, 1); /* the lost rank's own is never answered */
    }
}

Test(crew, a_lost_first_piece_of_work_proves_nothing)
{
    const dm_result *r;
    play *p = new_play(ONE_STEP, 8, 30);
    open_crew(p, 3, lose_the_first);
    cr_expect_eq(evaluate(p, &r), DM_OK);
    cr_expect_eq(p->server->n_came, 31);
    end(p);
}

/* A rank that was given work and has lost its places to others all the same does the work. */
static void take_places_away(crew *c)
{
    play *p = c->user;
    if (c->idle < 60)
        return;
    c->idle = 0;
    cr_assert_lt(p->step, (size_t)100, "nothing happens any more");
    if (p->step++ == 1) { /* one is out, and one is ahead at the rank */
        c->member[0].late = false;
        return;
    }
    if (p->server->n_held)
        say_yes(p, 0);
}

Test(crew, a_rank_without_places_does_the_work_that_it_has)
{
    const dm_result *r;
    play *p = new_play(ONE_STEP, 1, 12);
    open_crew(p, 2, take_places_away);
    p->crew->member[0].late = true;
    cr_expect_eq(evaluate(p, &r), DM_OK);
    cr_expect_eq(p->server->n_came, 12);
    end(p);
}

/* ---- what one rank was told, and what was answered wrongly ---- */

/* Retry-After to one rank holds for all: none sends anything before its end. */
static void one_is_told_to_wait(crew *c)
{
    play *p = c->user;
    hand_server *s = p->server;
    static double until;
    switch (p->step) {
    case 0: /* the first piece of work is alone */
        if (s->n_held == 1 && c->idle > 60) {
            say_yes(p, 0);
            p->step++;
        }
        break;
    case 1:
        if (s->n_held < (size_t)p->concurrency)
            break;
        hand_refuse(s, 0, 429, "Retry-After: 20\r\n");
        until = dm_now() + 20;
        p->step++;
        break;
    case 2: /* the word is on its way; the others' calls are answered */
        if (c->idle > 30)
            p->step++;
        break;
    case 3:
        while (s->n_held)
            say_yes(p, 0);
        p->most = s->n_came;
        p->step++;
        break;
    default:
        if (dm_now() < until - .1)
            cr_assert_eq(s->n_came, p->most, "a call %g s before the end", until - dm_now());
        while (s->n_held)
            say_yes(p, 0);
    }
}

Test(crew, retry_after_holds_for_all_ranks)
{
    const dm_result *r;
    play *p = new_play(ONE_STEP, 8, 40);
    open_crew(p, 3, one_is_told_to_wait);
    cr_expect_eq(evaluate(p, &r), DM_OK);
    cr_expect_eq(p->server->n_came, 41);
    end(p);
}

/* An answer without the marks is asked for once more, in JSON mode; then the failure stands. */
static void never_parses(crew *c)
{
    play *p = c->user;
    cr_assert_leq(p->server->n_came, (size_t)(2 * p->w.val->n), "it is asked again and again");
    while (p->server->n_held)
        hand_answer(p->server, 0, "I would rather not.", 100, 10);
}

Test(crew, an_answer_that_does_not_parse_is_asked_for_once_more)
{
    for (int fallback = 0; fallback < 2; fallback++) {
        const dm_result *r;
        play *p = new_play(ONE_STEP, 4, 10);
        p->w.setup.json_fallback = fallback;
        p->w.setup.failure_score = .25;
        open_crew(p, 2, never_parses);
        cr_expect_eq(evaluate(p, &r), DM_OK);
        cr_expect_eq(p->server->n_came, fallback ? 20 : 10);
        for (size_t i = 0; i < p->w.val->n; i++)
            cr_expect(r[i].fault == DM_FAULT_PARSE && r[i].present && r[i].score == .25 &&
                      r[i].fallback == fallback);
        end(p);
    }
}

/* A server that for a while answers nobody is to blame itself, however many replies that are none
 * an example gets: none fails. */
static void bad_for_a_while(crew *c)
{
    play *p = c->user;
    while (p->server->n_held) {
        if (p->answered < 30 || p->step == 200) {
            say_yes(p, 0);
            continue;
        }
        hand_refuse(p->server, 0, 500, "");
        p->step++;
    }
}

Test(crew, a_server_that_answers_nobody_is_no_fault_of_the_requests)
{
    for (int ranks = 1; ranks <= 4; ranks += 3) {
        const dm_result *r;
        play *p = new_play(ONE_STEP, 4, 60);
        open_crew(p, ranks, bad_for_a_while);
        cr_expect_eq(evaluate(p, &r), DM_OK);
        cr_expect_eq(p->step, 200);
        for (size_t i = 0; i < p->w.val->n; i++)
            cr_expect(r[i].fault == DM_FAULT_NONE && r[i].present, "row %zu: %s", i,
                      dm_fault_name(r[i].fault));
        end(p);
    }
}

/* ---- caps, as the server bills ---- */

/* The first twelve examples get a word, the others as much as max_tokens allow, from both steps;
 * the second is shown what the first wrote. */
static void words(play *p, size_t i, bool error)
{
    const char *body = p->server->held[i].body, *q = strstr(body, "\\nq");
    char text[24000];
    bool second = strstr(body, "[[ ## answer ## ]]") != NULL;
    size_t n = 0, most = q && strtol(q + 3, NULL, 10) >= 112 ? 19000 : 8;
    if (error) {
        hand_refuse(p->server, i, 500, "");
        return;
    }
    n += (size_t)snprintf(text, sizeof text, "[[ ## %s ## ]]\n", second ? "answer" : "hint");
    for (; n < most; n++)
        text[n] = 'w';
    snprintf(text + n, sizeof text - n, "w\n\n[[ ## completed ## ]]");
    hand_answer(p->server, i, text, (long)strlen(body) / 4, (long)strlen(text) / 4);
}

static void answer_all(crew *c)
{
    play *p = c->user;
    while (p->server->n_held)
        words(p, 0, false);
}

static void third_of_them_fails(crew *c)
{
    play *p = c->user;
    while (p->server->n_held)
        words(p, 0, p->server->held[0].number % 3 == 2);
}

static void under_cap(dm_amount cap, void (*act)(crew *c), bool fallback)
{
    for (int ranks = 1; ranks <= 5; ranks += 2) {
        const dm_result *r;
        play *p = new_play(TWO_STEPS, 8, 150);
        dm_arena *a = p->w.arena;
        dm_value *price = dm_value_dict(a);
        set(p, "max_tokens", dm_value_int(a, 5000));
        if (!isinf(cap.cost)) {
            dm_value_set(a, price, DM_STR("prompt"), dm_value_int(a, 10));
            dm_value_set(a, price, DM_STR("completion"), dm_value_int(a, 30));
            set(p, "price", price);
        }
        p->server->prompt_price = 10;
        p->server->completion_price = 30;
        p->w.setup.json_fallback = fallback;
        p->w.setup.cap = &cap;
        open_crew(p, ranks, act);
        cr_expect_eq(evaluate(p, &r), DM_STOP_BUDGET, "%g calls, %g tokens, %g money", cap.calls,
                     cap.tokens, cap.cost);
        dm_amount billed = {(double)p->server->n_came, p->server->tokens, p->server->cost};
        cr_expect(dm_amount_within(billed, cap),
                  "%d ranks: billed %g calls, %g tokens, %g money; allowed %g, %g, %g", ranks,
                  billed.calls, billed.tokens, billed.cost, cap.calls, cap.tokens, cap.cost);
        double used = fmax(fmax(billed.calls / cap.calls, billed.tokens / cap.tokens),
                           billed.cost / cap.cost);
        cr_expect_gt(used, fallback ? .5 : .85, "%d ranks: only %g of it was used", ranks, used);
        end(p);
    }
}

Test(crew, a_cap_on_tokens_with_two_predictors)
{
    static const double caps[] = {300000, 600000, 1200000};
    for (size_t i = 0; i < sizeof caps / sizeof *caps; i++)
        under_cap((dm_amount){INFINITY, caps[i], INFINITY}, answer_all, false);
    under_cap((dm_amount){INFINITY, 600000, INFINITY}, answer_all, true);
}

Test(crew, a_cap_on_money_with_two_predictors)
{
    static const double caps[] = {7, 15, 25};
    for (size_t i = 0; i < sizeof caps / sizeof *caps; i++)
        under_cap((dm_amount){INFINITY, INFINITY, caps[i]}, answer_all, false);
}

/* Requests that fail and are tried again are billed as well. */
Test(crew, a_cap_on_calls_where_a_third_fails)
{
    under_cap((dm_amount){100, INFINITY, INFINITY}, third_of_them_fails, false);
    under_cap((dm_amount){100, INFINITY, INFINITY}, third_of_them_fails, true);
}
