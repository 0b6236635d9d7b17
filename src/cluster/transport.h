/* Messages between ranks: non-blocking point-to-point, and a bell that wakes the receiver. */
#ifndef DM_CLUSTER_TRANSPORT_H
#define DM_CLUSTER_TRANSPORT_H

#include "base/buf.h"
#include "cluster/doorbell.h"
#include "cluster/post.h"

/* All calls come from the thread that started MPI (MPI_THREAD_FUNNELED); others abort. */
typedef struct dm_transport dm_transport;

/* Collective; post: started. */
dm_transport *dm_transport_new(const dm_post *post, int rank, int size, dm_error *err) DM_MUST_USE;
void dm_transport_free(dm_transport *t);
/* Rank 0: how many of the others could not ring it, or be rung, at the start; *one of them. */
int dm_transport_apart(const dm_transport *t, int *one);

void dm_transport_send(dm_transport *t, int rank, dm_buf *msg); /* takes the bytes; never blocks */
size_t dm_transport_pending(const dm_transport *t, int rank);   /* sends that MPI still holds */
/* The next whole message, in the order in which each rank sent; bytes belong to the transport until
 * the next call. */
bool dm_transport_receive(dm_transport *t, int *rank, dm_str *bytes);
/* How long one may sleep on the bell (s) without missing what MPI moves only when asked. */
double dm_transport_patience(const dm_transport *t);
int dm_transport_bell(const dm_transport *t); /* its file descriptor */
/* Signs of life go to and from rank `other`, by datagrams and by messages (cluster/signs.h).
 * heartbeat sends them when it is time; false: nobody is there any more. silence: s since it was
 * last sign on either channel, not counting the time in which we did not listen ourselves. */
bool dm_transport_heartbeat(dm_transport *t, int other);
double dm_transport_silence(const dm_transport *t, int other);
/* Nobody waits for what was sent to it any more. */
void dm_transport_forget(dm_transport *t, int rank);
void dm_transport_hear(dm_transport *t, bool rang); /* after a sleep */
/* Moves what is under way until all sends have left, at most seconds. */
void dm_transport_drain(dm_transport *t, double seconds);

#endif
