#include "optimizer/inside.h"

#include <stdint.h>

dm_status dm_compile(dm_pool *p, const dm_compile_input *in, dm_compile_output *out, dm_error *err)
{
    *out = (dm_compile_output){.best = in->student, .best_index = SIZE_MAX};
    const dm_result *unused;
    /* An optimizer of others tries nothing itself: each of its parts does. */
    dm_future *tried = NULL;
    dm_status st = in->params->class->part ? DM_OK : dm_try_start(p, in, &tried, err);
    if (st == DM_OK)
        st = in->params->class->run(p, in, out, err);
    if (st == DM_OK && tried)
        st = dm_pool_wait(p, tried, &unused, err); /* so that what it cost is charged by now */
    if (st > 0)
        out->stopped = st;
    return st;
}

dm_status dm_score_splits(dm_pool *p, const dm_compile_input *in, const dm_compile_output *out,
                          dm_split *splits, size_t *n, dm_error *err)
{
    const dm_dataset *val = out->valset ? out->valset : in->valset;
    bool scored = out->start && out->winner;
    const dm_dataset *sets[DM_SPLITS] = {val->n ? val : NULL, in->testset};
    dm_future *futures[DM_SPLITS][2];
    size_t total = 0;
    dm_status st = DM_OK;
    *n = 0;
    for (int i = 0; i < DM_SPLITS; i++)
        total += sets[i] && !(i == 0 && scored) ? 2 * sets[i]->n : 0;
    dm_pool_phase(p, "score", total);
    for (int i = 0; i < DM_SPLITS; i++) {
        dm_work start = dm_work_of(in->student), winner = dm_work_of(out->best);
        if (!sets[i] || (i == 0 && scored))
            continue;
        futures[i][0] = dm_pool_evaluate(p, &start, sets[i]);
        futures[i][1] = dm_pool_evaluate(p, &winner, sets[i]);
    }
    for (int i = 0; i < DM_SPLITS && st == DM_OK; i++) {
        dm_split *s = &splits[*n];
        if (!sets[i])
            continue;
        *s = (dm_split){i ? "testset" : "valset", sets[i], out->start, out->winner};
        if (i == 1 || !scored)
            st = dm_pool_wait(p, futures[i][0], &s->baseline, err);
        if (st == DM_OK && (i == 1 || !scored))
            st = dm_pool_wait(p, futures[i][1], &s->compiled, err);
        *n += st == DM_OK;
    }
    return st;
}
