/* The bell: datagrams that wake a rank which sleeps in poll (src/cluster/README.md §2). They carry
 * no data; a lost or forged one costs nothing but time. Unix datagrams when all ranks share a host,
 * else UDP. */
#ifndef DM_CLUSTER_DOORBELL_H
#define DM_CLUSTER_DOORBELL_H

#include "base/status.h"

#include <stdint.h>

typedef struct dm_doorbell dm_doorbell;

/* interface_address: own IPv4 address for UDP; NULL, or one that this host does not have: all of
 * the host's. If the host gives no socket at all, the bell never rings and is never received. */
dm_doorbell *dm_doorbell_new(bool one_host, const char *interface_address,
                             dm_error *err) DM_MUST_USE;
void dm_doorbell_free(dm_doorbell *b);
const void *dm_doorbell_address(const dm_doorbell *b,
                                size_t *len); /* opaque bytes, for the others */
/* addresses: [n][len_each], as the others gave them; copied. */
void dm_doorbell_peers(dm_doorbell *b, const void *addresses, size_t len_each, int n);
/* Never blocks, never fails. A host has many addresses, and we do not know which of them are
 * reachable from here. A peer whose datagrams have arrived is rung at the address that they come
 * from, since that is a working route; until then all its addresses are tried. */
void dm_doorbell_ring(dm_doorbell *b, int peer);
int dm_doorbell_fd(const dm_doorbell *b); /* readable when it rang */
/* Empties it; whether it had rung. heard (or NULL) is called with each rank whose beat was in it.
 */
bool dm_doorbell_hush(dm_doorbell *b, void (*heard)(void *user, int rank), void *user);

/* A sign of life: wakes the peer, but is no ring. rank: who we are. */
typedef enum dm_beat {
    DM_BEAT_SENT, /* or it cannot be: whether it arrives only the other side knows */
    DM_BEAT_FULL, /* its queue is full: again later */
    DM_BEAT_GONE  /* nobody is there any more (known on one host only) */
} dm_beat;
dm_beat dm_doorbell_beat(dm_doorbell *b, int peer, int rank);
/* It has been silent for long: all its addresses are tried again. */
void dm_doorbell_search(dm_doorbell *b, int peer);
/* Beats of others than this run's ranks are none. */
void dm_doorbell_token(dm_doorbell *b, uint64_t token);

#endif
