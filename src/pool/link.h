/* What the coordinator needs of the link to its workers. Three implementations: MPI (src/cluster),
 * one process (local.c), simulated. */
#ifndef DM_POOL_LINK_H
#define DM_POOL_LINK_H

#include "pool/setup.h"

typedef struct dm_link dm_link;

typedef struct dm_link_ops {
    /* Takes the bytes of msg. Never blocks. */
    void (*send)(dm_link *l, int worker, dm_buf *msg);
    size_t (*pending)(dm_link *l, int worker); /* messages sent that have not left yet */
    /* The next message from a worker; bytes are valid until the next call. False: none now. */
    bool (*receive)(dm_link *l, int *worker, dm_str *bytes);
    /* The next worker that is lost since the last call; -1: none. */
    int (*lost)(dm_link *l);
    /* Sleeps until a message may be there or timeout (s) has passed. */
    void (*wait)(dm_link *l, double timeout);
    double (*now)(dm_link *l); /* s, never goes back */
    void (*close)(dm_link *l); /* after the last message has left; frees it */
} dm_link_ops;

struct dm_link {
    const dm_link_ops *ops;
    int n_workers;    /* 0 ... n_workers - 1 */
    bool one_process; /* the workers have the setup already */
};

dm_pool *dm_pool_new(dm_link *link, const dm_setup *setup,
                     dm_error *err) DM_MUST_USE; /* takes the link */

#endif
