#include "optimizer/optimizer.h"

#include <stdint.h>

dm_status dm_compile(dm_pool *p, const dm_compile_input *in, dm_compile_output *out, dm_error *err)
{
    *out = (dm_compile_output){.best = in->student, .best_index = SIZE_MAX};
    dm_status st = in->params->class->run(p, in, out, err);
    if (st > 0)
        out->stopped = st;
    return st;
}
