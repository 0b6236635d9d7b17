/* The bell: datagrams that wake a rank which sleeps in poll (src/cluster/README.md §2). They carry
 * no data; a lost or forged one costs nothing but time. Unix datagrams when all ranks share a host,
 * else UDP. */
#ifndef DM_CLUSTER_DOORBELL_H
#define DM_CLUSTER_DOORBELL_H

#include "base/status.h"

#include <stdint.h>

typedef struct dm_doorbell dm_doorbell;

/* interface_address: own IPv4 address for UDP; NULL: the first interface that is up and no
 * loopback. */
dm_doorbell *dm_doorbell_new(bool one_host, const char *interface_address,
                             dm_error *err) DM_MUST_USE;
void dm_doorbell_free(dm_doorbell *b);
const void *dm_doorbell_address(const dm_doorbell *b,
                                size_t *len); /* opaque bytes, for the others */
/* addresses: [n][len_each], padded with zeros; copied. */
void dm_doorbell_peers(dm_doorbell *b, const void *addresses, size_t len_each, int n);
void dm_doorbell_ring(dm_doorbell *b, int peer); /* never blocks, never fails */
int dm_doorbell_fd(const dm_doorbell *b);
/* Empties it; whether it had rung. heard [n] (or NULL) gets now where a peer's beat was in it. */
bool dm_doorbell_hush(dm_doorbell *b, double *heard, double now);

/* A sign of life: wakes the peer, but is no ring. rank: who we are. */
typedef enum dm_beat {
    DM_BEAT_SENT,
    DM_BEAT_FULL, /* its queue is full: again later */
    DM_BEAT_GONE  /* nobody is there any more (known on one host only) */
} dm_beat;
dm_beat dm_doorbell_beat(dm_doorbell *b, int peer, int rank);
/* Beats of others than this run's ranks are none. */
void dm_doorbell_token(dm_doorbell *b, uint64_t token);

#endif
