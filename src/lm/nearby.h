/* What was meant by an address or a model's name that a server does not know. */
#ifndef DM_LM_NEARBY_H
#define DM_LM_NEARBY_H

#include "lm/provider.h"

/* Other addresses on the same server that may have been meant by base, the likeliest first; live in
 * a. Returns how many. */
size_t dm_nearby_bases(dm_arena *a, const char *base, const char *out[DM_NEARBY_BASES]);
/* Whether a reply to GET .../models is one. */
bool dm_nearby_answers(long status, dm_str reply);
/* Appends what the server serves in place of the model; false: it lists the model, or nothing. */
bool dm_nearby_serves(dm_buf *b, const dm_lm_config *c, dm_str reply);

/* The same within the engine: a call to e that has failed, as a server fails that does not know the
 * address or the model, ends with text and what the server says that it has. It asks the server
 * once, while the call is held. */
void dm_nearby_fail(dm_call *c, dm_fault fault, const char *text, int status);
void dm_nearby_free(dm_lm *lm, dm_nearby *n);

#endif
