/* Inside of the runner: the rendered parts of a program state. */
#ifndef DM_RUNNER_PREPARED_H
#define DM_RUNNER_PREPARED_H

#include "runner/runner.h"

typedef struct dm_rendered {
    bool made;
    dm_status status;
    dm_error error;
    dm_prefix prefix;
    dm_str head;   /* of prefix, as the model is sent it */
    dm_sha256 key; /* dm_lm_key_begin, where requests have keys */
    uint64_t hash; /* of model and head; 0: requests have no keys */
} dm_rendered;

typedef struct dm_prepared_part { /* one predictor */
    dm_rendered by_adapter[DM_N_ADAPTERS];
    dm_str schema;
    dm_hash *demo_hash; /* [n_demos], with drop_own_demo */
} dm_prepared_part;

struct dm_prepared {
    dm_run_spec spec;
    dm_arena *arena;
    dm_prepared_part *parts; /* [program->n] */
    dm_host_state *host;     /* of a Python program, once it was wanted; else NULL */
};

/* scope: dm_lm_scope, or NULL. System message and demonstrations of predictor i, rendered for lm's
 * model at the first use; without the demos that equal the example where the spec says so (then
 * they live in a). Never NULL; see its status.
 */
const dm_rendered *dm_prepared_prefix(dm_prepared *p, const dm_lm *lm, size_t i, dm_adapter kind,
                                      const dm_hash *scope, const dm_hash *fingerprint,
                                      dm_arena *a);
dm_str dm_prepared_schema(dm_prepared *p, size_t i);
/* Of a Python program: the state as it is sent to its processes. */
const dm_host_state *dm_prepared_host_state(dm_prepared *p, dm_hosts *hosts);

#endif
