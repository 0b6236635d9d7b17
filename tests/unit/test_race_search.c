/* Random search with a race: full evaluation's winner for fewer program runs, the same course at
 * any number of ranks and through disasters, examples in demonstrations left out. */
#include "world.h"

#include <criterion/criterion.h>

typedef struct outcome {
    dm_hash best;
    char name[24];
    size_t complete, runs; /* rows that are whole; cells with a score */
} outcome;

static outcome compile(world *w, const dm_optimizer_params *params)
{
    dm_error err = {DM_OK, ""};
    dm_pool *pool = dm_pool_simulated_new(&w->setup, &w->sim, &w->stats, &err);
    cr_assert_not_null(pool, "%s", err.text);
    dm_compile_input in = {.params = params,
                           .student = dm_candidate_seal(dm_candidate_new(w->arena, w->program)),
                           .trainset = w->train,
                           .valset = w->val};
    dm_compile_output out;
    cr_assert_eq(dm_compile(pool, &in, &out, &err), DM_OK, "%s", err.text);
    outcome o = {.best = out.best->hash};
    snprintf(o.name, sizeof o.name, "%s", out.scored[out.best_index].name);
    for (size_t i = 0; i < out.n_scored; i++) {
        size_t n = 0;
        for (size_t k = 0; k < w->val->n; k++)
            n += out.scored[i].results[k].present;
        o.complete += n == w->val->n;
        o.runs += n;
        cr_expect(i != out.best_index || n == w->val->n || w->val == w->train,
                  "the winner's row is whole");
    }
    dm_pool_free(pool);
    return o;
}

/* Six or more demonstrations help (world.h), so candidates differ: as written and those with few
 * are behind. */
static dm_optimizer_params search(dm_races race)
{
    dm_optimizer_params p;
    dm_optimizer_defaults(&p, DM_RANDOM_SEARCH);
    p.max_labeled_demos = 8;
    p.num_candidate_programs = 8;
    p.race = race;
    return p;
}

static world wide(void)
{
    world w = world_new(ONE_PREDICTOR);
    w.val = questions(w.arena, 100, 300);
    w.setup.sets[1] = w.val;
    return w;
}

Test(race_search, full_evaluations_winner_with_fewer_runs)
{
    static const dm_races race[] = {DM_RACES_OFF, DM_RACES_BETTING, DM_RACES_HALVING};
    outcome o[3];
    for (size_t i = 0; i < 3; i++) {
        world w = wide();
        dm_optimizer_params p = search(race[i]);
        o[i] = compile(&w, &p);
        dm_arena_free(w.arena);
    }
    cr_expect_eq(o[0].runs, (size_t)11 * 300);
    cr_expect_str_eq(o[1].name, o[0].name);
    cr_expect(dm_hash_eq(&o[1].best, &o[0].best));
    cr_expect_lt(o[1].complete, (size_t)11, "somebody was dropped");
    cr_expect_lt(o[1].runs, o[0].runs);
    cr_expect_lt(o[2].runs, o[1].runs);
}

Test(race_search, the_same_program_at_any_rank_count_and_through_disasters)
{
    static const dm_races race[] = {DM_RACES_BETTING, DM_RACES_HALVING};
    for (size_t i = 0; i < 2; i++) {
        dm_optimizer_params p = search(race[i]);
        outcome first = {.runs = 0};
        for (uint64_t seed = 0; seed < 40; seed++) {
            world w = wide();
            w.sim.ranks = (int[]){1, 4, 16, 256}[seed % 4];
            if (seed >= 4) {
                w.sim.seed = seed;
                w.sim.ranks += 8;
                w.sim.death = 0.005;
                w.sim.slow = 0.02;
                w.sim.duplicate = 0.1;
                w.sim.transport = 0.05;
            }
            outcome o = compile(&w, &p);
            if (seed == 0)
                first = o;
            cr_expect(dm_hash_eq(&o.best, &first.best), "race %zu, seed %d", i, (int)seed);
            cr_expect_eq(o.runs, first.runs, "race %zu, seed %d", i, (int)seed);
            dm_arena_free(w.arena);
        }
    }
}

/* Without a validation set the training set is used: an example is not scored for a candidate that
 * shows it. */
Test(race_search, examples_in_demonstrations_are_left_out)
{
    world w = world_new(TWO_PREDICTORS);
    w.val = w.train;
    w.setup.sets[1] = w.train;
    dm_optimizer_params p = search(DM_RACES_BETTING);
    dm_error err = {DM_OK, ""};
    dm_pool *pool = dm_pool_simulated_new(&w.setup, &w.sim, &w.stats, &err);
    cr_assert_not_null(pool, "%s", err.text);
    dm_compile_input in = {.params = &p,
                           .student = dm_candidate_seal(dm_candidate_new(w.arena, w.program)),
                           .trainset = w.train,
                           .valset = w.train};
    dm_compile_output out;
    cr_assert_eq(dm_compile(pool, &in, &out, &err), DM_OK, "%s", err.text);
    size_t left_out = 0;
    for (size_t i = 0; i < out.n_scored; i++) {
        const dm_candidate_part *parts = out.scored[i].candidate->parts;
        for (size_t k = 0; k < w.train->n; k++) {
            const dm_value *question = dm_value_get(w.train->examples[k].row, "question");
            bool shown = false;
            for (size_t q = 0; q < 2; q++)
                for (size_t d = 0; d < parts[q].n_demos; d++)
                    shown |= dm_value_equal(dm_value_get(parts[q].demos[d], "question"), question);
            cr_expect(!shown || !out.scored[i].results[k].present, "candidate %zu, example %zu", i,
                      k);
            left_out += shown;
        }
    }
    cr_expect_gt(left_out, 0);
    dm_pool_free(pool);
    dm_arena_free(w.arena);
}

Test(race_search, parameters)
{
    static const struct {
        const char *json;
        dm_races race;
        double alpha;
        const char *error;
    } row[] = {
        {"{\"name\": \"BootstrapRS\"}", DM_RACES_OFF, .05, NULL},
        {"{\"name\": \"BootstrapRS\", \"race\": false}", DM_RACES_OFF, .05, NULL},
        {"{\"name\": \"BootstrapRS\", \"race\": null}", DM_RACES_OFF, .05, NULL},
        {"{\"name\": \"BootstrapRS\", \"race\": true}", DM_RACES_BETTING, .05, NULL},
        {"{\"name\": \"BootstrapRS\", \"race\": true, \"race_alpha\": 0.1}", DM_RACES_BETTING, .1,
         NULL},
        {"{\"name\": \"BootstrapRS\", \"race\": \"halving\"}", DM_RACES_HALVING, .05, NULL},
        {"{\"name\": \"BootstrapRS\", \"race\": \"fast\"}", DM_RACES_OFF, 0,
         "true, false or \"halving\""},
        {"{\"name\": \"BootstrapRS\", \"race\": true, \"stop_at_score\": 90}", DM_RACES_OFF, 0,
         "leave out race or stop_at_score"},
        {"{\"name\": \"BootstrapRS\", \"race\": \"halving\", \"race_alpha\": 0.1}", DM_RACES_OFF, 0,
         "only race = true reads it"},
        {"{\"name\": \"BootstrapRS\", \"race_alpha\": 0.1}", DM_RACES_OFF, 0,
         "only race = true reads it"},
        {"{\"name\": \"bootstrap_few_shot\", \"race\": true}", DM_RACES_OFF, 0,
         "bootstrap_few_shot does not read it"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        dm_arena *a = dm_arena_new(0);
        dm_error err = {DM_OK, ""};
        dm_optimizer_params p;
        const dm_value *json = dm_json_read(a, dm_str_of(row[i].json), NULL);
        dm_at at = dm_at_root(json, "job.json", DM_E_JOB);
        dm_status st = dm_optimizer_read(a, &at, &p, &err);
        cr_expect_eq(st == DM_OK, row[i].error == NULL, "row %zu: %s", i, err.text);
        if (row[i].error)
            cr_expect(strstr(err.text, row[i].error), "row %zu: %s", i, err.text);
        else
            cr_expect(p.race == row[i].race && p.race_alpha == row[i].alpha, "row %zu", i);
        dm_arena_free(a);
    }
}
