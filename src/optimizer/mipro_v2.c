/* MIPROv2 (contract 8.4): demo sets are bootstrapped, instructions are proposed, and a search
 * chooses one of each for every predictor by scores on the validation set.
 *
 * The start's score, every demo set and the proposer's descriptions run side by side; the search
 * begins as soon as the start is scored, with what needs no call (mipro_search.c). */
#include "optimizer/mipro.h"

#include <stdlib.h>

static dm_status make_plan(dm_arena *a, const dm_compile_input *in, dm_mipro_plan *plan,
                           dm_error *err)
{
    return dm_mipro_plan_make(a, dm_mipro_params_of(in), in->student->program->n, in->trainset->n,
                              in->valset->n, plan, err);
}

static dm_status fits(dm_arena *a, const dm_compile_input *in, dm_error *err)
{
    dm_mipro_plan plan;
    return make_plan(a, in, &plan, err);
}

static void limit(dm_params *params, int64_t runs)
{
    dm_mipro_params *p = (dm_mipro_params *)params;
    if (!p->has_runs)
        p->runs_that_fit = runs;
}

/* Which search runs, how to have the other, and how far ahead it decides. */
static void announce(dm_buf *b, dm_arena *a, const dm_compile_input *in, int64_t concurrency)
{
    const dm_mipro_params *p = dm_mipro_params_of(in);
    dm_mipro_plan plan;
    bool schedule = p->search == DM_MIPRO_SCHEDULE;
    if (make_plan(a, in, &plan, NULL) != DM_OK)
        return; /* said before */
    dm_buf_printf(b, "search = %s%s: %zu program runs on %zu validation examples; %s\n",
                  dm_mipro_search_name(p->search), schedule ? " (DSPy's schedule)" : "", plan.runs,
                  plan.n_val,
                  schedule ? "optimizer.search = factor uses every score that is paid for"
                           : "optimizer.search = mipro is DSPy's own schedule");
    if (p->search == DM_MIPRO_FACTOR && (int64_t)plan.in_flight < concurrency)
        dm_buf_printf(
            b,
            "the search keeps %zu to %zu examples in flight, %lld calls are asked for: raise "
            "optimizer.in_flight (early results then decide less)\n",
            plan.in_flight, 2 * plan.in_flight, (long long)concurrency);
}

static dm_future *sample(dm_pool *p, const dm_compile_input *in)
{
    dm_mipro_plan plan;
    if (make_plan(dm_pool_arena(p), in, &plan, NULL) != DM_OK)
        return NULL;
    return dm_propose_sample(p, in, &plan);
}

static int by_number(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

/* What the plan picked of the validation set, in the set's own order. */
static const dm_dataset *validates(dm_arena *a, const dm_compile_input *in)
{
    dm_mipro_plan plan;
    if (make_plan(a, in, &plan, NULL) != DM_OK)
        return NULL;
    size_t *rows = dm_arena_alloc_n(a, plan.n_val, sizeof *rows);
    for (size_t i = 0; i < plan.n_val; i++)
        rows[i] = plan.val[i];
    qsort(rows, plan.n_val, sizeof *rows, by_number);
    return dm_dataset_pick(a, in->valset, rows, plan.n_val);
}

static dm_status run(dm_pool *p, const dm_compile_input *in, dm_compile_output *out, dm_error *err)
{
    dm_arena *a = dm_pool_arena(p);
    const dm_program *program = in->student->program;
    /* Strands may outlive this function where the run is stopped: all that they read is in a. */
    dm_mipro_plan *plan = dm_arena_alloc(a, sizeof *plan);
    dm_compile_input *kept = dm_arena_alloc(a, sizeof *kept);
    *kept = *in;
    dm_status st = make_plan(a, in, plan, err);
    if (st != DM_OK)
        return st;
    dm_mipro m = {.pool = p,
                  .in = kept,
                  .plan = plan,
                  .valset = dm_dataset_pick(a, in->valset, plan->val, plan->n_val)};
    out->valset = m.valset;
    dm_pool_phase(p, "start, demos, proposals", 0);
    dm_work start = dm_work_of(in->student);
    m.start = dm_pool_evaluate(p, &start, m.valset);
    /* What the strands have at the most; what they leave is the search's. */
    dm_pool_split(p, plan->n_sets + program->n + 2, .5);
    if (dm_mipro_needs_sets(dm_mipro_params_of(in), plan, program))
        m.sets = dm_demo_sets_start(p, kept, plan);
    m.proposer = dm_propose_start(p, kept, plan, m.sets);
    return dm_mipro_search_run(&m, out, err);
}

static bool any_score(const dm_params *p)
{
    return dm_mipro_whole(((const dm_mipro_params *)p)->search);
}

const dm_optimizer dm_optimizer_mipro_v2 = {
    .name = "mipro_v2",
    .aliases = (const char *const[]){"MIPROv2", NULL},
    .size = sizeof(dm_mipro_params),
    .params = dm_mipro_table,
    .roles = 1u << DM_TEACHER | 1u << DM_PROMPT,
    .valset = DM_VALSET_SPLIT,
    .few_train = 100,
    .few_val = 50,
    .demos = dm_bootstrap_demos,
    .validates = validates,
    .labeled = dm_bootstrap_labeled,
    .check = dm_mipro_check,
    .fits = fits,
    .limit = limit,
    .plan = dm_mipro_plan_calls,
    .announce = announce,
    .sample = sample,
    .any_score = any_score,
    .run = run,
};
