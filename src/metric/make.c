/* A metric of any kind, as a job says it. */
#include "metric/judge_inside.h"

static dm_metric *make_parts(dm_arena *a, const dm_at *at, const dm_judging *j,
                             const dm_program *program, const dm_dataset *const *sets,
                             size_t n_sets, dm_error *err)
{
    dm_metric **local = dm_arena_alloc_n(a, j->n, sizeof *local);
    dm_metric *m = dm_judging_metric(a, at, j, local);
    for (size_t i = 0; i < j->n; i++) {
        if (j->parts[i].class)
            continue;
        local[i] = dm_metric_single(a, &j->parts[i].at, program, true, sets, n_sets, err);
        if (local[i])
            continue;
        dm_metric_free(m);
        return NULL;
    }
    return m;
}

dm_metric *dm_metric_new(dm_arena *a, const dm_at *at, const dm_program *program,
                         const dm_dataset *const *sets, size_t n_sets, dm_error *err)
{
    dm_error local = {DM_OK, ""};
    if (!at->v) {
        dm_at_fail(at, err, "a metric is missing, such as \"exact_match\"");
        return NULL;
    }
    const dm_judging *j = dm_judging_read(a, at, program, sets, n_sets, &local);
    if (local.status != DM_OK) {
        if (err)
            *err = local;
        return NULL;
    }
    return j ? make_parts(a, at, j, program, sets, n_sets, err)
             : dm_metric_single(a, at, program, false, sets, n_sets, err);
}
