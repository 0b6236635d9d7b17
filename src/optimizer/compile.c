#include "optimizer/mipro.h"

#include <stdint.h>

dm_status dm_compile(dm_pool *p, const dm_compile_input *in, dm_compile_output *out, dm_error *err)
{
    const dm_optimizer_params *params = in->params;
    dm_arena *a = dm_pool_arena(p);
    int64_t seed = params->has_seed ? params->seed : 0;
    *out = (dm_compile_output){.best = in->student, .best_index = SIZE_MAX};
    dm_status st = DM_OK;
    if (params->name == DM_LABELED_FEW_SHOT) {
        out->best =
            dm_label(a, in->student, dm_train_of(a, in->trainset), params->k, params->sample, seed);
    } else if (params->name == DM_BOOTSTRAP_FEW_SHOT) {
        dm_bootstrap b = {.params = params,
                          .student = in->student,
                          .teacher = in->teacher,
                          .teacher_compiled = in->teacher_compiled,
                          .train = dm_train_of(a, in->trainset),
                          .max_bootstrapped_demos = params->max_bootstrapped_demos,
                          .max_labeled_demos = params->max_labeled_demos,
                          .max_rounds = params->max_rounds,
                          .seed = seed};
        dm_pool_phase(p, "bootstrap", 0);
        st = dm_bootstrap_few_shot(p, &b, &out->best, err);
    } else if (params->name == DM_RANDOM_SEARCH) {
        st = dm_random_search(p, in, out, err);
    } else {
        st = dm_mipro_v2(p, in, out, err);
    }
    if (st > 0)
        out->stopped = st;
    return st;
}
