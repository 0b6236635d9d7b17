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

const char *dm_lm_unpriced_at(const dm_lm_config *c)
{
    for (size_t i = 0; i < c->n_base; i++)
        if (!dm_is_own_machine(c->api_base[i]))
            return c->api_base[i];
    return c->api_base[0];
}

bool dm_free_on_own(const dm_lm_config *c, dm_price *out)
{
    for (size_t i = 0; i < c->n_base; i++)
        if (!dm_is_own_machine(c->api_base[i]))
            return false;
    *out = (dm_price){.known = true};
    return true;
}
