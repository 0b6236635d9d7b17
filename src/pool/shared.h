/* What a worker received and may share: setup, models, metric, program states with their
 * rendered prompts. Virtual ranks of one process share one of these; any other worker has its own.
 */
#ifndef DM_POOL_SHARED_H
#define DM_POOL_SHARED_H

#include "pool/wire.h"

typedef struct dm_shared_state { /* a program state that the coordinator named */
    dm_prepared *prepared;
    int model;
    bool python; /* its runs take a place for each call alone */
} dm_shared_state;

typedef struct dm_shared {
    dm_arena *arena;
    dm_setup own;          /* where it came in a message */
    const dm_setup *setup; /* NULL: not received yet */
    bool started;
    dm_rows rows;
    const dm_lm_config *config[DM_ROLES];
    int model_of[DM_ROLES];  /* roles of one model share its slots: the first role that has it */
    dm_hash scope[DM_ROLES]; /* dm_lm_scope */
    dm_metric *metric;       /* NULL: nothing is scored */
    dm_hosts *hosts;         /* the setup's, or own_hosts; NULL: there are none */
    dm_hosts *own_hosts;
    dm_shared_state **states; /* [n_states] by id; NULL where there is none */
    size_t n_states;
} dm_shared;

/* setup NULL: it comes in a message; else it is borrowed (one process). metric: in place of the
 * setup's, taken; NULL: that one. */
dm_shared *dm_shared_new(const dm_setup *setup, dm_metric *metric);
void dm_shared_free(dm_shared *s);
/* Reads what a setup message says, unless there is a setup, then models and metric, all once. */
dm_status dm_shared_start(dm_shared *s, dm_str json, dm_error *err) DM_MUST_USE;
dm_status dm_shared_learn(dm_shared *s, const dm_wire_state *state, dm_error *err) DM_MUST_USE;
/* NULL: there is none. */
const dm_shared_state *dm_shared_find(const dm_shared *s, size_t id);

#endif
