/* MIPROv2 on the simulated pool: cells that cannot be had, whatever is tried. */
#include "optimizer/mipro.h"
#include "world.h"

#include <criterion/criterion.h>

/* The golden rule; three of ten examples are refused, whatever the candidate. */
static void failing_rule(void *user, const dm_work *work, const dm_value *row, dm_arena *a,
                         dm_run_result *out)
{
    const world *w = user;
    dm_hash row_hash = dm_json_hash(row);
    uint64_t draw = dm_hash_u64(&row_hash);
    if (work->candidate->program == w->program && dm_draw(draw, 1, 2) % 10 < 3) {
        out->fault = DM_FAULT_REFUSED;
        out->score = NAN;
        out->error = "refused for good";
        return;
    }
    golden_rule_and_proposals(user, work, row, a, out);
}

/* 30 % of the examples are out: they are not 0, and the search ends with a winner. */
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
    size_t absent = 0, counted = 0, cells = 0;
    for (size_t i = 0; i < out.n_scored; i++)
        for (size_t k = 0; out.scored[i].results && k < w.val->n; k++) {
            const dm_result *r = &out.scored[i].results[k];
            if (r->fault == DM_FAULT_NONE && !r->present)
                continue; /* was not run */
            cells++;
            absent += !r->present;
            counted += !r->present && dm_counts_against(r, &out.start[k]);
        }
    cr_expect_gt(absent, cells / 6, "%zu of %zu", absent, cells);
    cr_expect_lt(absent, cells / 2, "%zu of %zu", absent, cells);
    cr_expect_eq(counted, 0, "an example that nobody answered counts");
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

typedef struct long_prompts {
    const world *w;
    dm_fault fault;
    size_t too_many; /* demonstrations */
} long_prompts;

/* The golden rule; with so many demonstrations every third prompt is refused, and those that are
 * not are answered right. */
static void refusing_rule(void *user, const dm_work *work, const dm_value *row, dm_arena *a,
                          dm_run_result *out)
{
    const long_prompts *l = user;
    const dm_candidate *c = work->candidate;
    int64_t n = c->program == l->w->program
                    ? strtoll(dm_value_get(row, "question")->text.p + 1, NULL, 10)
                    : 1;
    bool many = c->program == l->w->program && c->parts[0].n_demos >= l->too_many;
    golden_rule_and_proposals((void *)(uintptr_t)l->w, work, row, a, out);
    if (many && n % 3 == 0) {
        *out = (dm_run_result){.fault = l->fault, .score = NAN, .error = "refused"};
        return;
    }
}

static double refused_by(dm_params *p, dm_fault fault, dm_hash *winner, double *score)
{
    world w = world_new(ONE_PREDICTOR);
    dm_error err = {DM_OK, ""};
    long_prompts l = {&w, fault, 2};
    w.sim.run = refusing_rule;
    w.sim.user = &l;
    dm_pool *pool = dm_pool_simulated_new(&w.setup, &w.sim, &w.stats, &err);
    dm_compile_input in = {.params = p,
                           .student = dm_candidate_seal(dm_candidate_new(w.arena, w.program)),
                           .trainset = w.train,
                           .valset = w.val};
    dm_compile_output out = {.best = in.student, .best_index = SIZE_MAX};
    cr_assert_eq(dm_compile(pool, &in, &out, &err), DM_OK, "%s", err.text);
    size_t refused = 0;
    double most = 0;
    for (size_t i = 0; i < out.n_scored; i++) {
        size_t known = 0;
        for (size_t k = 0; out.scored[i].results && k < w.val->n; k++) {
            refused += out.scored[i].results[k].refused;
            known += out.scored[i].results[k].present || out.scored[i].results[k].refused;
        }
        if (known == w.val->n)
            most = fmax(most, out.scored[i].score);
    }
    cr_expect_gt(refused, 0, "nothing was refused: nothing is tested");
    *winner = out.best->hash;
    *score = out.best_index == SIZE_MAX ? NAN : out.scored[out.best_index].score;
    dm_pool_free(pool);
    dm_arena_free(w.arena);
    return most;
}

/* A program that fails on a third of the examples, being refused there, and answers only the
 * others, is no winner, by whatever words, in whatever search; and no mean is above what the
 * answers say. */
Test(mipro, a_refused_candidate_is_no_winner)
{
    static const dm_mipro_search searches[] = {DM_MIPRO_FACTOR, DM_MIPRO_SCHEDULE, DM_MIPRO_TPE,
                                               DM_MIPRO_RANDOM, DM_MIPRO_HALVING};
    static const dm_races races[] = {DM_RACES_OFF, DM_RACES_BETTING, DM_RACES_HALVING};
    static const dm_fault words[] = {DM_FAULT_OVERFLOW, DM_FAULT_REFUSED, DM_FAULT_FILTER};
    dm_hash winner[3];
    double score[3], most;
    for (size_t k = 0; k < 8; k++) {
        dm_mipro_params mipro;
        dm_random_search_params random;
        dm_params_init(&mipro.demos.base, &dm_optimizer_mipro_v2);
        dm_params_init(&random.demos.base, &dm_optimizer_random_search);
        random.demos.max_labeled_demos = 4;
        mipro.search = searches[k % 5];
        random.race = races[k % 3];
        dm_params *p = k < 5 ? &mipro.demos.base : &random.demos.base;
        for (size_t i = 0; i < 3; i++) {
            most = refused_by(p, words[i], &winner[i], &score[i]);
            cr_expect_float_eq(most, 20. / 30, 1e-12, "%zu: %s: %g", k, dm_fault_name(words[i]),
                               most);
            cr_expect(dm_hash_eq(&winner[i], &winner[0]) && score[i] == score[0],
                      "%zu: %s: another winner, or %g", k, dm_fault_name(words[i]), score[i]);
        }
    }
}

/* A program that had demonstrations before is scored with them, and DSPy's schedule has no set with
 * them: its first is none, whatever the search draws with it (contract 8.4 c). */
static void preset_demos(const char *program, size_t *drawn_as_zero)
{
    world w = world_new(program);
    dm_error err = {DM_OK, ""};
    dm_mipro_params p;
    dm_params_init(&p.demos.base, &dm_optimizer_mipro_v2);
    p.search = DM_MIPRO_SCHEDULE;
    p.auto_mode = DM_AUTO_NONE;
    p.num_candidates = 2;
    p.num_trials = 12;
    p.minibatch_size = 10;
    w.sim.run = golden_rule_and_proposals;
    dm_pool *pool = pool_of(&w);
    dm_candidate *student = dm_candidate_new(w.arena, w.program);
    const dm_value *preset = w.train->examples[0].row;
    student->parts[w.program->n - 1].demos = &preset;
    student->parts[w.program->n - 1].n_demos = 1;
    dm_compile_input in = {.params = &p.demos.base,
                           .student = dm_candidate_seal(student),
                           .trainset = w.train,
                           .valset = w.val};
    dm_compile_output out = {.best = in.student, .best_index = SIZE_MAX};
    cr_assert_eq(dm_compile(pool, &in, &out, &err), DM_OK, "%s", err.text);
    for (size_t i = 0; i < out.n_scored; i++) {
        const dm_scored *s = &out.scored[i];
        const dm_candidate_part *last = &s->candidate->parts[w.program->n - 1];
        bool none = s->levels[strlen(s->levels) - 1] == '0';
        if (i == 0)
            cr_expect(dm_hash_eq(&s->candidate->hash, &in.student->hash), "the start is another");
        else if (none)
            cr_expect_eq(last->n_demos, 0, "%s, %s: %zu demonstrations", s->name, s->levels,
                         last->n_demos);
        *drawn_as_zero += i > 0 && strspn(s->levels, "0. ") == strlen(s->levels);
    }
    dm_pool_free(pool);
    dm_arena_free(w.arena);
}

Test(mipro, preset_demonstrations_are_no_set)
{
    size_t drawn_as_zero = 0;
    preset_demos(ONE_PREDICTOR, &drawn_as_zero);
    cr_expect_gt(drawn_as_zero, 0, "no trial has level 0 in all slots");
    preset_demos(TWO_PREDICTORS, &drawn_as_zero);
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
