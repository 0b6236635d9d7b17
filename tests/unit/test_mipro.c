/* MIPROv2 on the simulated pool: cells that cannot be had, whatever is tried. */
#include "optimizer/mipro.h"
#include "world.h"

#include <criterion/criterion.h>

/* The golden rule; three of ten cells fail for good by no fault of the candidate. */
static void failing_rule(void *user, const dm_work *work, const dm_value *row, dm_arena *a,
                         dm_run_result *out)
{
    const world *w = user;
    dm_hash row_hash = dm_json_hash(row);
    uint64_t draw = dm_hash_u64(&row_hash) ^ dm_hash_u64(&work->candidate->hash);
    if (work->candidate->program == w->program && dm_draw(draw, 1, 2) % 10 < 3) {
        out->fault = DM_FAULT_REFUSED;
        out->score = NAN;
        out->error = "refused for good";
        return;
    }
    golden_rule_and_proposals(user, work, row, a, out);
}

/* 30 % of the cells are absent: they are not 0, and the search ends with a winner. */
static void search_with_failures(dm_mipro_search method)
{
    world w = world_new(ONE_PREDICTOR);
    dm_error err = {DM_OK, ""};
    dm_mipro_params p;
    dm_params_init(&p.demos.base, &dm_optimizer_mipro_v2);
    p.search = method;
    w.sim.run = failing_rule;
    w.sim.user = &w;
    dm_pool *pool = dm_pool_simulated_new(&w.setup, &w.sim, &w.stats, &err);
    dm_compile_input in = {.params = &p.demos.base,
                           .student = dm_candidate_seal(dm_candidate_new(w.arena, w.program)),
                           .trainset = w.train,
                           .valset = w.val};
    dm_compile_output out = {.best = in.student, .best_index = SIZE_MAX};
    cr_assert_eq(dm_compile(pool, &in, &out, &err), DM_OK, "%s", err.text);
    size_t absent = 0, wrong = 0, cells = 0;
    for (size_t i = 0; i < out.n_scored; i++)
        for (size_t k = 0; out.scored[i].results && k < w.val->n; k++) {
            const dm_result *r = &out.scored[i].results[k];
            if (r->fault == DM_FAULT_NONE && !r->present)
                continue; /* was not run */
            cells++;
            absent += !r->present;
            wrong += !r->present && !isnan(r->score);
        }
    cr_expect_gt(absent, cells / 6, "%zu of %zu", absent, cells);
    cr_expect_lt(absent, cells / 2, "%zu of %zu", absent, cells);
    cr_expect_eq(wrong, 0, "an absent cell has a score");
    size_t present = 0;
    for (size_t k = 0; k < w.val->n; k++)
        present += out.winner[k].present;
    cr_expect_gt(present, 0);
    cr_expect_lt(present, w.val->n);
    double mean = dm_mean_score(out.winner, w.val->n);
    cr_expect(mean >= .6, "the winner scores %g on what is there: absent cells are not 0", mean);
    dm_pool_free(pool);
    dm_arena_free(w.arena);
}

Test(mipro, absent_cells_are_no_zeros)
{
    search_with_failures(DM_MIPRO_FACTOR);
    search_with_failures(DM_MIPRO_SCHEDULE);
    search_with_failures(DM_MIPRO_RANDOM);
    search_with_failures(DM_MIPRO_HALVING);
}

/* Cleaning (contract 8.4): up to five words and a colon go, then quotes at both ends. */
Test(mipro, strip_prefix)
{
    static const struct {
        const char *in, *out;
    } rows[] = {{"Instruction: do it", "do it"},
                {"**Description:** The text", "** The text"},
                {"\"do it\"", "do it"},
                {"one two three four five: x", "x"},
                {"one two three four five six: x", "one two three four five six: x"},
                {"Do it. Then: stop", "Do it. Then: stop"},
                {"* the user's low-cost plan: \"x\"", "x"},
                {"", ""}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_str got = dm_strip_prefix(dm_str_of(rows[i].in));
        cr_expect(dm_str_is(got, rows[i].out), "%s: %.*s", rows[i].in, DM_STR_ARG(got));
    }
}
