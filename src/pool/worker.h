/* A worker: takes shards, runs their examples, returns answers and results. It does not know
 * how its messages travel. */
#ifndef DM_POOL_WORKER_H
#define DM_POOL_WORKER_H

#include "pool/shared.h"
#include "pool/wire.h"

typedef struct dm_worker dm_worker;

typedef struct dm_worker_port {
    void (*send)(void *user, dm_buf *msg); /* takes the bytes */
    void *user;
    /* What a worker has of the world, where it is not the system's own. */
    dm_clock clock;                 /* {NULL}: the system's */
    struct dm_transport *transport; /* to its models, taken; NULL: curl (lm/transport.h) */
    dm_shared *shared; /* of several workers of this process, with their metric; NULL: its own */
} dm_worker_port;

/* Nothing but the port's table is asked for time, models and scores. setup NULL: it comes in a
 * message. Else it is borrowed (one process). */
dm_worker *dm_worker_new(dm_worker_port port, const dm_setup *setup);
void dm_worker_free(dm_worker *w);

void dm_worker_receive(dm_worker *w, dm_str bytes);
/* Goes on with what can go on; waits at most timeout (s) for a call, a metric or one of fds. False:
 * there is nothing to wait in (no setup yet, or it cannot go on); the caller waits itself. */
bool dm_worker_step(dm_worker *w, dm_wait_fd *fds, size_t n, double timeout);
int64_t dm_worker_task_of(const void *user);    /* user of a run of a worker: the task's id */
bool dm_worker_told_to_end(const dm_worker *w); /* BYE came */

#endif
