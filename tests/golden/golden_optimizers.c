/* The optimizers choose what DSPy's choose: the runs of optimizers.json, whole. */
#include "../unit/world.h"
#include "optimizer/mipro.h"
#include "golden.h"

static dm_compile_output compile(world *w, dm_pool *pool, const dm_params *params)
{
    dm_compile_input in = {.params = params,
                           .student = dm_candidate_seal(dm_candidate_new(w->arena, w->program)),
                           .trainset = w->train,
                           .valset = w->val};
    dm_compile_output out;
    dm_error err = {DM_OK, ""};
    cr_assert_eq(dm_compile(pool, &in, &out, &err), DM_OK, "%s", err.text);
    return out;
}

/* DSPy's percentage, over those that were run. */
static double percent(const dm_result *r, size_t n)
{
    double sum = 0, present = 0;
    for (size_t i = 0; i < n; i++) {
        present += r[i].present;
        sum += r[i].present ? r[i].score : 0;
    }
    return dm_py_round2(100 * sum / present);
}

static void expect_demos(const char *name, const dm_candidate *c, const dm_value *want)
{
    cr_assert_eq(c->program->n, want->n, "%s", name);
    for (size_t i = 0; i < want->n; i++) {
        dm_buf got, wanted;
        dm_buf_init(&got, 65536);
        dm_buf_init(&wanted, 65536);
        demo_names(&got, &c->parts[i]);
        for (size_t k = 0; k < want->items[i]->n; k++)
            dm_buf_printf(&wanted, "%s%s", k ? " " : "", want->items[i]->items[k]->text.p);
        cr_expect(dm_str_eq(dm_buf_view(&got), dm_buf_view(&wanted)), "%s: %s, not %s", name,
                  got.data, wanted.data);
        dm_buf_free(&got);
        dm_buf_free(&wanted);
    }
}

static void check_in(world w, const char *name, const dm_params *params)
{
    const dm_value *want = dm_value_get(golden(w.arena, "optimizers.json"), name);
    dm_error err = {DM_OK, ""};
    dm_pool *pool = dm_pool_simulated_new(&w.setup, &w.sim, &w.stats, &err);
    cr_assert_not_null(pool, "%s", err.text);
    dm_compile_output out = compile(&w, pool, params);
    expect_demos(name, out.best, want);
    dm_pool_free(pool);
    dm_arena_free(w.arena);
}

static void check(const char *name, const char *program, const dm_params *params)
{
    check_in(world_new(program), name, params);
}

Test(golden_optimizers, labeled_few_shot)
{
    dm_labeled_params p;
    dm_params_init(&p.base, &dm_optimizer_labeled_few_shot);
    p.k = 4;
    check("labeled_k4", ONE_PREDICTOR, &p.base);
    p.k = 3;
    check("labeled_two_predictors_k3", TWO_PREDICTORS, &p.base);
    p.sample = false;
    check("labeled_k3_nosample", ONE_PREDICTOR, &p.base);
}

Test(golden_optimizers, bootstrap_few_shot)
{
    static const struct {
        const char *name, *program;
        int bootstrapped, labeled;
    } cases[] = {{"bootstrap_b4_l16", ONE_PREDICTOR, 4, 16},
                 {"bootstrap_b4_l4", ONE_PREDICTOR, 4, 4},
                 {"bootstrap_b3_l3", ONE_PREDICTOR, 3, 3},
                 {"bootstrap_b8_l4", ONE_PREDICTOR, 8, 4},
                 {"bootstrap_two_predictors_b3_l5", TWO_PREDICTORS, 3, 5}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dm_bootstrap_params p;
        dm_params_init(&p.base, &dm_optimizer_bootstrap_few_shot);
        p.max_bootstrapped_demos = cases[i].bootstrapped;
        p.max_labeled_demos = cases[i].labeled;
        check(cases[i].name, cases[i].program, &p.base);
    }
}

/* No answer to every fourth question can be read, and what else is answered hangs on how many
 * demonstrations are shown: those of the examples that failed are not any more. */
static void failing_rule(void *user, const dm_work *work, const dm_value *row, dm_arena *a,
                         dm_run_result *out)
{
    int64_t n = strtoll(dm_value_get(row, "question")->text.p + 1, NULL, 10), shown = 0;
    const dm_candidate_part *part = &work->candidate->parts[0];
    golden_rule(user, work, row, a, out);
    for (size_t k = 0; k < part->n_demos; k++)
        shown += !work->drop_own_demo || !dm_value_equal(part->demos[k], row);
    dm_value *outputs = dm_value_copy(a, out->outputs);
    bool yes = (n + shown) % 3 == 0;
    dm_value_set(a, outputs, DM_STR("answer"), dm_value_text(a, yes ? "yes" : "no"));
    if (out->steps)
        ((dm_step *)out->steps)->outputs = outputs;
    out->outputs = outputs;
    out->score = yes;
    if (n % 4 != 1)
        return;
    out->fault = DM_FAULT_PARSE;
    out->score = NAN;
    out->error = "no fields";
    out->n_steps = 0;
}

Test(golden_optimizers, bootstrap_few_shot_whose_teacher_fails)
{
    world w = world_new(ONE_PREDICTOR);
    dm_bootstrap_params p;
    dm_params_init(&p.base, &dm_optimizer_bootstrap_few_shot);
    p.max_bootstrapped_demos = 5;
    p.max_labeled_demos = 12;
    w.sim.run = failing_rule;
    check_in(w, "bootstrap_failing_b5_l12", &p.base);
}

/* DSPy lists candidates by score, descending and stable; ours keep the order of trial. */
Test(golden_optimizers, random_search)
{
    world w = world_new(ONE_PREDICTOR);
    const dm_value *want =
        dm_value_get(golden(w.arena, "optimizers.json"), "random_search_b4_l8_n5");
    const dm_value *sorted = dm_value_get(want, "candidates_sorted");
    dm_random_search_params p;
    dm_error err = {DM_OK, ""};
    dm_params_init(&p.demos.base, &dm_optimizer_random_search);
    p.demos.max_labeled_demos = 8;
    p.num_candidate_programs = 5;
    dm_pool *pool = dm_pool_simulated_new(&w.setup, &w.sim, &w.stats, &err);
    dm_compile_output out = compile(&w, pool, &p.demos.base);
    expect_demos("best", out.best, dm_value_get(want, "best"));
    cr_assert_eq(out.n_scored, sorted->n);
    for (size_t i = 0; i < sorted->n; i++) {
        const dm_value *e = sorted->items[i];
        int64_t seed = 0;
        cr_assert(dm_value_to_int(dm_value_get(e, "seed"), &seed));
        const dm_scored *s = &out.scored[seed + 3];
        expect_demos(s->name, s->candidate, dm_value_get(e, "demos"));
        cr_expect_eq(percent(s->results, w.val->n), dm_value_get(e, "score")->number, "%s",
                     s->name);
    }
    dm_pool_free(pool);
    dm_arena_free(w.arena);
}

/* ---- MIPROv2: demo sets, trials, scores and winner, with search = mipro ---- */

static double number_of(const dm_value *log, const char *key)
{
    const dm_value *v = dm_value_get(log, key);
    return v ? v->number : NAN;
}

/* The levels as "i.d i.d" from DSPy's parameters, or "" where the log does not name them. */
static void logged_levels(dm_buf *b, const dm_value *log, size_t predictors)
{
    for (size_t p = 0; p < predictors; p++) {
        char key[64];
        snprintf(key, sizeof key, "%zu_predictor_instruction", p);
        if (!dm_value_get(log, key))
            return;
        dm_buf_printf(b, "%s%.0f", p ? " " : "", number_of(log, key));
        snprintf(key, sizeof key, "%zu_predictor_demos", p);
        if (dm_value_get(log, key))
            dm_buf_printf(b, ".%.0f", number_of(log, key));
    }
}

static void check_trial(const char *name, const dm_value *logs, const dm_scored *s, size_t n_val,
                        size_t predictors)
{
    char number[20];
    dm_buf levels;
    unsigned long trial = strtoul(s->name + strlen("trial "), NULL, 10);
    snprintf(number, sizeof number, "%lu", trial);
    const dm_value *log = dm_value_get(logs, number);
    cr_assert_not_null(log, "%s: %s is not in DSPy's log", name, s->name);
    double want = dm_value_get(log, "mb_score") ? number_of(log, "mb_score")
                                                : number_of(log, "full_eval_score");
    cr_expect_eq(percent(s->results, n_val), want, "%s: %s: %g, not %g", name, s->name,
                 percent(s->results, n_val), want);
    dm_buf_init(&levels, 1000);
    logged_levels(&levels, log, predictors);
    if (levels.len)
        cr_expect_str_eq(s->levels, levels.data, "%s: %s: %s, not %s", name, s->name, s->levels,
                         levels.data);
    dm_buf_free(&levels);
}

/* Under every second instruction half of the answers cannot be read. */
static void breaking_rule(void *user, const dm_work *work, const dm_value *row, dm_arena *a,
                          dm_run_result *out)
{
    const world *w = user;
    static const char begins[] = "Answer, number ";
    golden_rule_and_proposals(user, work, row, a, out);
    if (work->candidate->program != w->program)
        return;
    dm_str text = work->candidate->parts[0].instructions;
    bool proposed = text.n > strlen(begins) && memcmp(text.p, begins, strlen(begins)) == 0;
    int64_t n = strtoll(dm_value_get(row, "question")->text.p + 1, NULL, 10);
    if (!proposed || strtoll(text.p + strlen(begins), NULL, 10) % 2 != 0 || n % 2 != 0)
        return;
    out->fault = DM_FAULT_PARSE;
    out->score = NAN;
    out->error = "no fields";
    out->n_steps = 0;
}

static void check_mipro_by(dm_simulated_run *rule, const char *name, const char *program,
                           dm_mipro_params params, bool more_than_dspy)
{
    world w = world_new(program);
    w.sim.run = rule;
    w.sim.user = &w;
    const dm_value *want = dm_value_get(golden(w.arena, "optimizers.json"), name),
                   *logs = dm_value_get(want, "trial_logs");
    dm_error err = {DM_OK, ""};
    dm_pool *pool = dm_pool_simulated_new(&w.setup, &w.sim, &w.stats, &err);
    cr_assert_not_null(pool, "%s", err.text);
    dm_compile_output out = compile(&w, pool, &params.demos.base);
    if (!more_than_dspy)
        cr_expect_eq(out.n_scored, logs->n, "%s: %zu trials, not %zu", name, out.n_scored, logs->n);
    for (size_t i = 0; i < out.n_scored && i < logs->n; i++)
        check_trial(name, logs, &out.scored[i], w.val->n, w.program->n);
    expect_demos(name, out.best, dm_value_get(want, "best_demos"));
    cr_expect_eq(percent(out.winner, w.val->n), number_of(want, "score"), "%s", name);
    dm_pool_free(pool);
    dm_arena_free(w.arena);
}

static void check_mipro(const char *name, const char *program, dm_mipro_params params,
                        bool more_than_dspy)
{
    check_mipro_by(golden_rule_and_proposals, name, program, params, more_than_dspy);
}

static dm_mipro_params mipro(int candidates, int trials, int size, int steps, int seed)
{
    dm_mipro_params p;
    dm_params_init(&p.demos.base, &dm_optimizer_mipro_v2);
    p.auto_mode = DM_AUTO_NONE;
    p.num_candidates = candidates;
    p.num_trials = trials;
    p.minibatch_size = size;
    p.minibatch_full_eval_steps = steps;
    p.demos.base.has_seed = seed >= 0;
    p.demos.base.seed = seed;
    p.search = DM_MIPRO_SCHEDULE;
    return p;
}

Test(golden_optimizers, mipro)
{
    check_mipro("mipro_auto_none_k4_T7_mb10_s3_seed9", ONE_PREDICTOR, mipro(4, 7, 10, 3, -1),
                false);
    check_mipro("mipro_auto_none_k5_T24_mb10_s4_seed3", ONE_PREDICTOR, mipro(5, 24, 10, 4, 3),
                false);
    check_mipro("mipro_two_predictors_auto_none_k4_T14_mb12_s5_seed9", TWO_PREDICTORS,
                mipro(4, 14, 12, 5, 9), false);
}

/* Without minibatches DSPy's schedule is TPE on full evaluations; `tpe` goes on with its budget. */
Test(golden_optimizers, mipro_without_minibatches)
{
    dm_mipro_params p = mipro(6, 15, 35, 5, 9);
    p.demos.max_bootstrapped_demos = p.demos.max_labeled_demos = 0;
    p.minibatch = false;
    check_mipro("mipro_zeroshot_auto_none_k6_T15_full_seed9", ONE_PREDICTOR, p, false);
    p.search = DM_MIPRO_TPE;
    check_mipro("mipro_zeroshot_auto_none_k6_T15_full_seed9", ONE_PREDICTOR, p, true);
}

/* An evaluation with more failures than max_errors allows scores 0, and the search goes on. */
Test(golden_optimizers, mipro_whose_candidates_fail)
{
    dm_mipro_params p = mipro(6, 10, 35, 5, 9);
    p.demos.max_bootstrapped_demos = p.demos.max_labeled_demos = 0;
    p.minibatch = false;
    check_mipro_by(breaking_rule, "mipro_failing_k6_T10_full_seed9", ONE_PREDICTOR, p, false);
    p = mipro(6, 12, 22, 4, 9);
    p.demos.max_bootstrapped_demos = p.demos.max_labeled_demos = 0;
    check_mipro_by(breaking_rule, "mipro_failing_k6_T12_mb22_s4_seed9", ONE_PREDICTOR, p, false);
}

Test(golden_optimizers, mipro_demo_sets)
{
    world w = world_new(ONE_PREDICTOR);
    const dm_value *want =
        dm_value_get(golden(w.arena, "optimizers.json"), "mipro_demo_sets_n6_rng9_fresh");
    dm_mipro_params p = mipro(6, 1, 10, 5, 9);
    dm_mipro_plan plan;
    dm_error err = {DM_OK, ""};
    dm_pool *pool = dm_pool_simulated_new(&w.setup, &w.sim, &w.stats, &err);
    dm_compile_input in = {.params = &p.demos.base,
                           .student = dm_candidate_seal(dm_candidate_new(w.arena, w.program)),
                           .trainset = w.train,
                           .valset = w.val};
    cr_assert_eq(dm_mipro_plan_make(w.arena, &p, 1, w.train->n, w.val->n, &plan, &err), DM_OK);
    dm_demo_sets *sets = dm_demo_sets_start(pool, &in, &plan);
    cr_assert_eq(dm_demo_sets_join(pool, sets, &err), DM_OK);
    for (size_t i = 0; i < want->n; i++) {
        dm_value *one = dm_value_list(w.arena);
        dm_value_append(w.arena, one, want->items[i]);
        expect_demos("demo set", dm_demo_sets_get(sets, i)->candidate, one);
    }
    dm_pool_free(pool);
    dm_arena_free(w.arena);
}

/* The plan draws what rng.json says MIPROv2 draws: subset, orders, sizes, tips, rollouts. */
static void check_plan(const char *name, dm_auto mode, size_t n, size_t predictors, bool zero_shot)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *e = dm_value_get(golden(a, "rng.json"), name);
    dm_mipro_params p;
    dm_mipro_plan plan;
    dm_error err = {DM_OK, ""};
    size_t val = (size_t)(0.8 * (double)n), batch[1000];
    dm_params_init(&p.demos.base, &dm_optimizer_mipro_v2);
    p.auto_mode = mode;
    if (zero_shot)
        p.demos.max_bootstrapped_demos = p.demos.max_labeled_demos = 0;
    cr_assert_eq(dm_mipro_plan_make(a, &p, predictors, n - val, val, &plan, &err), DM_OK, "%s",
                 err.text);
    cr_expect_eq((double)plan.n_val, number_of(e, "valset_len"), "%s", name);
    const dm_value *first = dm_value_get(e, "valset_first10"), *sets = dm_value_get(e, "sets"),
                   *proposals = dm_value_get(e, "proposals");
    for (size_t i = 0; i < first->n; i++)
        cr_expect_eq((double)(n - val + plan.val[i]), first->items[i]->number, "%s", name);
    size_t drawn = 0;
    for (size_t i = 0; i < plan.n_sets; i++) {
        if (!plan.sets[i].order)
            continue;
        const dm_value *want = sets->items[drawn++];
        for (size_t k = 0; k < want->items[1]->n; k++)
            cr_expect_eq((double)plan.sets[i].order[k], want->items[1]->items[k]->number);
        cr_expect_eq((double)plan.sets[i].size, want->items[2]->number, "%s: set %zu", name, i);
    }
    cr_expect_eq(drawn, sets->n);
    cr_expect_eq(predictors * plan.n_instructions, proposals->n, "%s", name);
    for (size_t i = 0; i < proposals->n; i++)
        cr_expect_eq((double)plan.proposals[i].rollout, proposals->items[i]->items[3]->number);
    const dm_value *minibatch = dm_value_get(e, "minibatch1_idx");
    if (minibatch)
        dm_pyrandom_sample(&plan.minibatches, plan.n_val, 35, batch);
    for (size_t i = 0; minibatch && i < minibatch->n; i++)
        cr_expect_eq((double)batch[i], minibatch->items[i]->number);
    dm_arena_free(a);
}

Test(golden_optimizers, mipro_plan)
{
    check_plan("mipro_light_130", DM_AUTO_LIGHT, 130, 1, false);
    check_plan("mipro_light_30", DM_AUTO_LIGHT, 30, 1, false);
    check_plan("mipro_medium_600_2preds", DM_AUTO_MEDIUM, 600, 2, false);
    check_plan("mipro_zeroshot_130", DM_AUTO_LIGHT, 130, 1, true);
}
