/* best_per_input: which one member to ask for an input, by what members scored on inputs like it.
 *
 * An input is its counts of hashed groups of 3 to 5 characters and words. Likeness is the cosine of
 * log(1 + count), each weighted by how rare the group is. The member asked is the one with the best
 * sum of its scores on the 25 likest rows and of 10 times its mean. */
#ifndef DM_ENSEMBLE_ROUTE_H
#define DM_ENSEMBLE_ROUTE_H

#include "ensemble/committee.h"
#include "json/get.h"

enum { DM_ROUTE_DIMS = 2048, DM_ROUTE_NEAR = 25, DM_ROUTE_SHRINK = 10 };

typedef struct dm_features {
    uint16_t *dim;   /* [n] rising, below DM_ROUTE_DIMS */
    uint32_t *count; /* [n] 1 or more */
    size_t n;
} dm_features;

/* Of the values of the inputs, as Python's str(), joined by lines; in lower case, blanks collapsed.
 */
dm_features dm_features_of(dm_arena *a, const dm_value *row, const dm_str *inputs, size_t n_inputs);

typedef struct dm_router dm_router;

/* rows [n]: the inputs of usable rows; score [m * n] by member, 0 to 1 (NAN: 0). All is copied. */
dm_router *dm_router_new(dm_arena *a, const dm_features *rows, const double *score, size_t m,
                         size_t n);
size_t dm_router_choose(const dm_router *r, const dm_features *input); /* a member, below m */

/* Each row is given to the member that is chosen without it, and compared with the best single
 * member. Accepted (DM_GUARD_GAINS) where the mean gain is above DM_COMMITTEE_SE standard errors;
 * DM_GUARD_ONE: one member is chosen for all rows. */
dm_guard dm_router_guarded(const dm_router *r);

/* {"rows": ["12:1 90:2", ...], "scores": [[...], ...]}: hashed counts, no text of an input. */
dm_value *dm_router_write(dm_arena *a, const dm_router *r);
dm_status dm_router_read(dm_arena *a, const dm_at *at, size_t m, dm_router **out,
                         dm_error *err) DM_MUST_USE;

#endif
