#include "optimizer/inside.h"

#include <stdint.h>

dm_status dm_compile(dm_pool *p, const dm_compile_input *in, dm_compile_output *out, dm_error *err)
{
    *out = (dm_compile_output){.best = in->student, .best_index = SIZE_MAX};
    const dm_result *unused;
    dm_future *tried;
    dm_status st = dm_try_start(p, in, &tried, err);
    if (st == DM_OK)
        st = in->params->class->run(p, in, out, err);
    if (st == DM_OK && tried)
        st = dm_pool_wait(p, tried, &unused, err); /* so that what it cost is charged by now */
    if (st > 0)
        out->stopped = st;
    return st;
}
