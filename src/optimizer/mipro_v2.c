/* MIPROv2 (contract 8.4): demo sets are bootstrapped, instructions are proposed, and a search
 * chooses one of each for every predictor by scores on the validation set.
 *
 * The start's score, every demo set and the proposer's descriptions run side by side; the search
 * begins as soon as the start is scored, with what needs no call (mipro_search.c). */
#include "optimizer/mipro.h"

dm_status dm_mipro_v2(dm_pool *p, const dm_compile_input *in, dm_compile_output *out, dm_error *err)
{
    dm_arena *a = dm_pool_arena(p);
    const dm_program *program = in->student->program;
    /* Strands may outlive this function where the run is stopped: all that they read is in a. */
    dm_mipro_plan *plan = dm_arena_alloc(a, sizeof *plan);
    dm_compile_input *kept = dm_arena_alloc(a, sizeof *kept);
    *kept = *in;
    dm_status st =
        dm_mipro_plan_make(a, in->params, program->n, in->trainset->n, in->valset->n, plan, err);
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
    if (dm_mipro_needs_sets(in->params, plan, program))
        m.sets = dm_demo_sets_start(p, kept, plan);
    m.proposer = dm_propose_start(p, kept, plan, m.sets);
    return dm_mipro_search_run(&m, out, err);
}
