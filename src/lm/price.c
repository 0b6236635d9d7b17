/* What calls cost. */
#include "lm/provider.h"

#include <math.h>

double dm_price_of(const dm_price *p, int64_t prompt, int64_t completion, int64_t cached,
                   int64_t written)
{
    if (!p->known)
        return NAN;
    return ((double)(prompt - cached - written) * p->prompt + (double)cached * p->cached +
            (double)written * p->cache_write + (double)completion * p->completion) /
           1e6;
}

double dm_price_most(const dm_price *p, int64_t prompt, int64_t completion)
{
    double dearest = fmax(p->prompt, fmax(p->cached, p->cache_write));
    return p->known ? ((double)prompt * dearest + (double)completion * p->completion) / 1e6 : NAN;
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
