/* A judge that picks among answers (reduce = best_of). */
#ifndef DM_ENSEMBLE_PICK_H
#define DM_ENSEMBLE_PICK_H

#include "pool/pool.h"

/* Asks the judge, at its own temperature or 0, which of n answers fits the inputs best, without a
 * label; inputs: a dict. NULL: it cannot be asked, which is our own fault. */
dm_future *dm_pick_ask(dm_pool *p, const dm_value *inputs, const dm_value *const *answers,
                       size_t n);
/* Which it picked, from 0; SIZE_MAX: what it said is none of them. */
size_t dm_pick_of(const dm_result *r, size_t n);

#endif
