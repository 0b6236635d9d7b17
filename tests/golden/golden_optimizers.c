/* The optimizers choose what DSPy's choose: the runs of optimizers.json, whole. */
#include "../unit/world.h"
#include "golden.h"

static dm_compile_output compile(world *w, dm_pool *pool, const dm_optimizer_params *params)
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

static void check(const char *name, const char *program, dm_optimizer_params params)
{
    world w = world_new(program);
    const dm_value *want = dm_value_get(golden(w.arena, "optimizers.json"), name);
    dm_error err = {DM_OK, ""};
    dm_pool *pool = dm_pool_simulated_new(&w.setup, &w.sim, &w.stats, &err);
    cr_assert_not_null(pool, "%s", err.text);
    dm_compile_output out = compile(&w, pool, &params);
    expect_demos(name, out.best, want);
    dm_pool_free(pool);
    dm_arena_free(w.arena);
}

static dm_optimizer_params params_of(dm_optimizer o)
{
    dm_optimizer_params p;
    dm_optimizer_defaults(&p, o);
    return p;
}

Test(golden_optimizers, labeled_few_shot)
{
    dm_optimizer_params p = params_of(DM_LABELED_FEW_SHOT);
    p.k = 4;
    check("labeled_k4", ONE_PREDICTOR, p);
    p.k = 3;
    check("labeled_two_predictors_k3", TWO_PREDICTORS, p);
    p.sample = false;
    check("labeled_k3_nosample", ONE_PREDICTOR, p);
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
        dm_optimizer_params p = params_of(DM_BOOTSTRAP_FEW_SHOT);
        p.max_bootstrapped_demos = cases[i].bootstrapped;
        p.max_labeled_demos = cases[i].labeled;
        check(cases[i].name, cases[i].program, p);
    }
}

/* DSPy lists candidates by score, descending and stable; ours keep the order of trial. */
Test(golden_optimizers, random_search)
{
    world w = world_new(ONE_PREDICTOR);
    const dm_value *want =
        dm_value_get(golden(w.arena, "optimizers.json"), "random_search_b4_l8_n5");
    const dm_value *sorted = dm_value_get(want, "candidates_sorted");
    dm_optimizer_params p = params_of(DM_RANDOM_SEARCH);
    dm_error err = {DM_OK, ""};
    p.max_labeled_demos = 8;
    p.num_candidate_programs = 5;
    dm_pool *pool = dm_pool_simulated_new(&w.setup, &w.sim, &w.stats, &err);
    dm_compile_output out = compile(&w, pool, &p);
    expect_demos("best", out.best, dm_value_get(want, "best"));
    cr_assert_eq(out.n_scored, sorted->n);
    for (size_t i = 0; i < sorted->n; i++) {
        const dm_value *e = sorted->items[i];
        int64_t seed = 0;
        cr_assert(dm_value_to_int(dm_value_get(e, "seed"), &seed));
        const dm_scored *s = &out.scored[seed + 3];
        expect_demos(s->name, s->candidate, dm_value_get(e, "demos"));
        cr_expect_eq(dm_percent_score(s->results, w.val->n), dm_value_get(e, "score")->number, "%s",
                     s->name);
    }
    dm_pool_free(pool);
    dm_arena_free(w.arena);
}
