/* The budget, on the simulated pool: the cap is never passed, what is under it is used, and the
 * program under a calls cap is the same at any number of ranks. */
#include "world.h"

#include "base/random.h"

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
    w.sim.run = uneven_rule;
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
