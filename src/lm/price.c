/* What calls cost. */
#include "lm/provider.h"

#include <math.h>

double dm_price_of(const dm_price *p, int64_t prompt, int64_t completion, int64_t cached)
{
    if (!p->known)
        return NAN;
    return ((double)(prompt - cached) * p->prompt + (double)cached * p->cached +
            (double)completion * p->completion) /
           1e6;
}

bool dm_free_on_own(const dm_lm_config *c, dm_price *out)
{
    (void)c;
    *out = (dm_price){.known = true};
    return true;
}
