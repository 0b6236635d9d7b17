/* The budget, on the simulated pool: the cap is never passed, what is under it is used, and the
 * program under a calls cap is the same at any number of ranks. */
#include "world.h"

#include "base/random.h"
#include "optimizer/mipro.h"

#include <criterion/criterion.h>

typedef struct outcome {
    dm_hash program;
    dm_status status;
    double calls;
} outcome;

/* Every seventh question takes twice the calls, as one that needs the JSON fallback does. */
static void uneven_rule(void *user, const dm_work *work, const dm_value *row, dm_arena *a,
                        dm_run_result *out)
{
    golden_rule(user, work, row, a, out);
    int64_t n = strtoll(dm_value_get(row, "question")->text.p + 1, NULL, 10);
    if (n % 7 == 0)
        out->usage.requests *= 2;
}

static outcome compile(const char *program, const dm_params *params, double cap, int ranks)
{
    world w = world_new(program);
    dm_amount amount = DM_NO_CAP;
    dm_error err = {DM_OK, ""};
    dm_compile_output out;
    amount.calls = cap;
    w.setup.cap = isinf(cap) ? NULL : &amount;
    w.sim.ranks = ranks;
    bool proposes = params->class == &dm_optimizer_mipro_v2;
    w.sim.run = proposes ? golden_rule_and_proposals : uneven_rule;
    w.sim.user = &w;
    dm_pool *pool = dm_pool_simulated_new(&w.setup, &w.sim, &w.stats, &err);
    cr_assert_not_null(pool, "%s", err.text);
    dm_compile_input in = {.params = params,
                           .student = dm_candidate_seal(dm_candidate_new(w.arena, w.program)),
                           .trainset = w.train,
                           .valset = w.val};
    outcome o = {.status = dm_compile(pool, &in, &out, &err)};
    cr_assert_geq(o.status, 0, "%s", err.text);
    o.program = out.best->hash;
    o.calls = (double)dm_pool_stats_of(pool).usage.requests;
    dm_pool_free(pool);
    dm_arena_free(w.arena);
    return o;
}

static dm_random_search_params draw(uint64_t seed)
{
    dm_random_search_params p;
    dm_params_init(&p.demos.base, &dm_optimizer_random_search);
    p.num_candidate_programs = (int64_t)(1 + dm_draw(7, seed, 0) % 12);
    p.demos.max_bootstrapped_demos = (int64_t)(dm_draw(7, seed, 1) % 6);
    p.demos.max_labeled_demos = (int64_t)(dm_draw(7, seed, 2) % 12);
    p.demos.max_rounds = (int64_t)(1 + dm_draw(7, seed, 3) % 2);
    p.race = dm_draw(7, seed, 4) % 4 == 0 ? DM_RACES_BETTING : DM_RACES_OFF;
    if (p.race == DM_RACES_OFF && dm_draw(7, seed, 5) % 5 == 0) {
        p.has_stop_at_score = true;
        p.stop_at_score = 100;
    }
    return p;
}

Test(budget, is_never_passed_and_is_used)
{
    size_t cut = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        bool one = dm_draw(7, seed, 6) % 3 != 0;
        const char *program = one ? ONE_PREDICTOR : TWO_PREDICTORS;
        double reserve = one ? 2 : 4;
        dm_random_search_params p = draw(seed);
        outcome whole = compile(program, &p.demos.base, INFINITY, 3);
        double cap = floor(whole.calls * (.1 + 1.1 * dm_draw_double(7, seed, 7)));
        cap = fmax(cap, 50 * reserve);
        outcome o = compile(program, &p.demos.base, cap, 3);
        cr_expect_leq(o.calls, cap, "seed %llu: %.0f calls, %.0f allowed", (unsigned long long)seed,
                      o.calls, cap);
        if (o.status == DM_STOP_BUDGET) {
            cut++;
            cr_expect_geq(o.calls, .97 * cap, "seed %llu: %.0f calls of %.0f",
                          (unsigned long long)seed, o.calls, cap);
        } else {
            cr_expect(dm_hash_eq(&o.program, &whole.program) || whole.calls > cap,
                      "seed %llu: another program without a cut", (unsigned long long)seed);
        }
        for (int ranks = 1; ranks <= 64; ranks *= 8) {
            outcome other = compile(program, &p.demos.base, cap, ranks);
            cr_expect(dm_hash_eq(&other.program, &o.program) && other.calls == o.calls,
                      "seed %llu: %d ranks: %.0f calls, %.0f at 3", (unsigned long long)seed, ranks,
                      other.calls, o.calls);
        }
    }
    cr_expect_gt(cut, 60);
}

/* A demo set, a description or a proposal that its share does not pay for ends nothing: the search
 * goes on without it, to the end of the cap. */
Test(budget, mipro_uses_what_its_strands_could_not)
{
    size_t cut = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        static const dm_mipro_search searches[] = {DM_MIPRO_FACTOR, DM_MIPRO_SCHEDULE, DM_MIPRO_TPE,
                                                   DM_MIPRO_HALVING};
        bool one = dm_draw(9, seed, 0) % 2;
        const char *program = one ? ONE_PREDICTOR : TWO_PREDICTORS;
        dm_mipro_params p;
        dm_params_init(&p.demos.base, &dm_optimizer_mipro_v2);
        p.search = searches[dm_draw(9, seed, 1) % 4];
        p.minibatch_size = 10;
        p.demos.max_bootstrapped_demos = 2;
        p.demos.max_labeled_demos = 2;
        double reserve = one ? 2 : 4, cap = 30 + (double)(dm_draw(9, seed, 2) % 270);
        outcome o = compile(program, &p.demos.base, cap, 3);
        cr_expect_leq(o.calls, cap, "seed %llu: %.0f calls, %.0f allowed", (unsigned long long)seed,
                      o.calls, cap);
        cut += o.status == DM_STOP_BUDGET;
        if (o.status == DM_STOP_BUDGET)
            cr_expect_lt(cap - o.calls, reserve, "seed %llu: %.0f calls of %.0f",
                         (unsigned long long)seed, o.calls, cap);
        outcome other = compile(program, &p.demos.base, cap, 8);
        cr_expect(dm_hash_eq(&other.program, &o.program) && other.calls == o.calls,
                  "seed %llu: 8 ranks: %.0f calls, %.0f at 3", (unsigned long long)seed,
                  other.calls, o.calls);
    }
    cr_expect_gt(cut, 40);
}

/* ---- calls, tokens and money, with and without faults ---- */

#define MOST_TOKENS 20

typedef struct priced {
    dm_status status;
    dm_amount billed; /* by the servers */
    dm_amount left, told;
    double longest; /* prompt, tokens */
} priced;

static void price(world *w)
{
    dm_value *lm = (dm_value *)(uintptr_t)w->setup.lm[0], *p = dm_value_dict(w->arena);
    dm_value_set(w->arena, p, DM_STR("prompt"), dm_value_int(w->arena, 10));
    dm_value_set(w->arena, p, DM_STR("completion"), dm_value_int(w->arena, 30));
    dm_value_set(w->arena, lm, DM_STR("price"), p);
    dm_value_set(w->arena, lm, DM_STR("max_tokens"), dm_value_int(w->arena, MOST_TOKENS));
}

static priced compile_priced(uint64_t seed, const dm_amount *cap, bool faults)
{
    bool one = dm_draw(7, seed, 6) % 3 != 0;
    world w = world_new(one ? ONE_PREDICTOR : TWO_PREDICTORS);
    dm_error err = {DM_OK, ""};
    dm_compile_output out;
    dm_random_search_params params = draw(seed);
    params.race = DM_RACES_OFF;
    params.has_stop_at_score = false;
    params.num_candidate_programs += 8;
    w.val = questions(w.arena, 100, 60);
    w.setup.sets[1] = w.val;
    price(&w);
    w.setup.cap = cap;
    w.sim.seed = seed;
    w.sim.ranks = 1 + (int)(dm_draw(8, seed, 1) % 5);
    w.sim.run = uneven_rule;
    w.sim.refused = faults ? 0.2 * dm_draw_double(8, seed, 2) : 0;
    w.sim.unanswered = faults ? 0.2 * dm_draw_double(8, seed, 3) : 0;
    w.sim.death = faults ? 0.001 : 0;
    dm_pool *pool = dm_pool_simulated_new(&w.setup, &w.sim, &w.stats, &err);
    cr_assert_not_null(pool, "%s", err.text);
    dm_compile_input in = {.params = &params.demos.base,
                           .student = dm_candidate_seal(dm_candidate_new(w.arena, w.program)),
                           .trainset = w.train,
                           .valset = w.val};
    priced o = {.status = dm_compile(pool, &in, &out, &err)};
    cr_assert_geq(o.status, 0, "%s", err.text);
    dm_pool_stats s = dm_pool_stats_of(pool);
    o.left = s.left;
    o.told = (dm_amount){(double)s.usage.requests, (double)(s.usage.prompt + s.usage.completion),
                         s.cost};
    dm_pool_free(pool);
    o.billed = (dm_amount){(double)w.stats.calls, w.stats.tokens, w.stats.cost};
    o.longest = w.stats.longest;
    dm_arena_free(w.arena);
    return o;
}

static double part_of(const dm_amount *a, const dm_amount *cap, int which)
{
    return which == 0   ? a->calls / cap->calls
           : which == 1 ? a->tokens / cap->tokens
                        : a->cost / cap->cost;
}

/* Nothing failed: the next run would not have fitted. */
static void expect_used_up(uint64_t seed, const priced *o)
{
    double n = dm_draw(7, seed, 6) % 3 != 0 ? 1 : 2, calls = 2 * n;
    double prompt = 1.3 * 1.15 * o->longest + n * MOST_TOKENS;
    double tokens = calls * (prompt + MOST_TOKENS), cost = calls * (prompt * 10 + MOST_TOKENS * 30);
    bool used = o->left.calls < calls || o->left.tokens < tokens || o->left.cost < cost / 1e6;
    cr_expect(used, "seed %llu: %.0f calls, %.0f tokens, %f are left", (unsigned long long)seed,
              o->left.calls, o->left.tokens, o->left.cost);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void many_jobs(bool faults, double least)
{
    static double used[3][200];
    size_t n[3] = {0, 0, 0};
    for (uint64_t seed = 0; seed < 60; seed++) {
        priced whole = compile_priced(seed, NULL, false);
        for (int which = 0; which < 3; which++) {
            double part = .2 + .7 * dm_draw_double(7, seed, 10 + (uint64_t)which);
            dm_amount cap = DM_NO_CAP;
            if (which == 0)
                cap.calls = floor(whole.billed.calls * part);
            else if (which == 1)
                cap.tokens = floor(whole.billed.tokens * part);
            else
                cap.cost = whole.billed.cost * part;
            priced o = compile_priced(seed, &cap, faults);
            cr_expect(dm_amount_within(o.billed, cap),
                      "seed %llu, cap %d: %.0f calls, %.0f tokens, %f were billed",
                      (unsigned long long)seed, which, o.billed.calls, o.billed.tokens,
                      o.billed.cost);
            cr_expect(dm_amount_within(o.told, o.billed), "seed %llu: more is told than was billed",
                      (unsigned long long)seed);
            if (o.status != DM_STOP_BUDGET)
                continue; /* fewer demonstrations, shorter prompts: it came through */
            if (!faults)
                expect_used_up(seed, &o);
            if (o.billed.calls >= 500)
                used[which][n[which]++] = part_of(&o.billed, &cap, which);
        }
    }
    for (int which = 0; which < 3; which++) {
        cr_assert_gt(n[which], 10);
        qsort(used[which], n[which], sizeof(double), ascending);
        double median = used[which][n[which] / 2];
        fprintf(stderr, "%s, %s: %zu jobs of 500 calls or more, the median used %.1f %%\n",
                faults ? "faults" : "no faults",
                which == 0   ? "calls"
                : which == 1 ? "tokens"
                             : "money",
                n[which], 100 * median);
        cr_expect_geq(median, least);
    }
}

Test(budget, calls_tokens_and_money, .timeout = 300)
{
    many_jobs(false, .97);
}

Test(budget, calls_tokens_and_money_under_faults, .timeout = 300)
{
    many_jobs(true, .9);
}
