/* Disasters by the hundred: the program that comes out is the one that comes out without them. */
#include "world.h"

#include <criterion/criterion.h>

static dm_hash compile(world *w, const dm_params *params, dm_usage *usage)
{
    dm_error err = {DM_OK, ""};
    dm_pool *pool = dm_pool_simulated_new(&w->setup, &w->sim, &w->stats, &err);
    cr_assert_not_null(pool, "%s", err.text);
    dm_compile_input in = {.params = params,
                           .student = dm_candidate_seal(dm_candidate_new(w->arena, w->program)),
                           .trainset = w->train,
                           .valset = w->val};
    dm_compile_output out;
    cr_assert_eq(dm_compile(pool, &in, &out, &err), DM_OK, "seed %llu: %s",
                 (unsigned long long)w->sim.seed, err.text);
    dm_hash h = out.best->hash;
    for (size_t i = 0; i < out.n_scored; i++)
        for (size_t k = 0; k < w->val->n; k++)
            cr_assert(out.scored[i].results[k].present, "seed %llu: an example is lost",
                      (unsigned long long)w->sim.seed);
    if (usage)
        *usage = dm_pool_stats_of(pool).usage;
    dm_pool_free(pool);
    return h;
}

static dm_random_search_params search(void)
{
    dm_random_search_params p;
    dm_params_init(&p.demos.base, &dm_optimizer_random_search);
    p.demos.max_labeled_demos = 8;
    p.num_candidate_programs = 5;
    return p;
}

Test(simulated, same_program_at_any_rank_count)
{
    dm_random_search_params p = search();
    dm_hash first = {{0}};
    for (int ranks = 1; ranks <= 4096; ranks *= 4) {
        world w = world_new(ONE_PREDICTOR);
        w.sim.ranks = ranks;
        dm_hash h = compile(&w, &p.demos.base, NULL);
        if (ranks == 1)
            first = h;
        cr_expect(dm_hash_eq(&h, &first), "%d ranks", ranks);
        dm_arena_free(w.arena);
    }
}

/* The seed alone reproduces a run: SIMULATED_SEED=n runs that one, SIMULATED_RUNS how many. */
Test(simulated, disasters)
{
    const char *one = getenv("SIMULATED_SEED"), *many = getenv("SIMULATED_RUNS");
    uint64_t from = one ? strtoull(one, NULL, 10) : 1, runs = one    ? 1
                                                              : many ? strtoull(many, NULL, 10)
                                                                     : 200;
    dm_random_search_params p = search();
    world calm = world_new(ONE_PREDICTOR);
    dm_hash wanted = compile(&calm, &p.demos.base, NULL);
    dm_arena_free(calm.arena);
    size_t deaths = 0, hangs = 0, twice = 0;
    for (uint64_t seed = from; seed < from + runs; seed++) {
        world w = world_new(ONE_PREDICTOR);
        w.sim.seed = seed;
        w.sim.ranks = 3 + (int)(seed * 37 % 60);
        w.sim.death = 0.02;
        w.sim.hang = 0.01;
        w.sim.slow = 0.02;
        w.sim.duplicate = 0.1;
        w.sim.transport = 0.05;
        dm_hash h = compile(&w, &p.demos.base, NULL);
        cr_expect(dm_hash_eq(&h, &wanted), "seed %llu: another program", (unsigned long long)seed);
        cr_expect_lt(w.stats.seconds, 3000, "seed %llu: %.0f virtual seconds",
                     (unsigned long long)seed, w.stats.seconds);
        deaths += w.stats.deaths;
        hangs += w.stats.hangs;
        twice += w.stats.duplicates;
        dm_arena_free(w.arena);
    }
    if (!one)
        cr_expect(deaths > 0 && hangs > 0 && twice > 0, "nothing happened");
}

/* The model's server is away for a time that is shorter than the outage that ends a run: nothing is
 * lost, and the program is the same. */
Test(simulated, a_server_that_restarts)
{
    dm_random_search_params p = search();
    world calm = world_new(ONE_PREDICTOR);
    dm_hash wanted = compile(&calm, &p.demos.base, NULL);
    dm_arena_free(calm.arena);
    static const double away[] = {5, 60, 110};
    for (size_t i = 0; i < sizeof away / sizeof *away; i++) {
        world w = world_new(ONE_PREDICTOR);
        dm_value_set(w.arena, (dm_value *)(uintptr_t)w.setup.lm[0], DM_STR("outage"),
                     dm_value_int(w.arena, 120));
        w.sim.down_from = 4;
        w.sim.down_to = 4 + away[i];
        dm_hash h = compile(&w, &p.demos.base, NULL);
        cr_expect(dm_hash_eq(&h, &wanted), "%.0f s: another program", away[i]);
        cr_expect_gt(w.stats.seconds, away[i]);
        dm_arena_free(w.arena);
    }
}
