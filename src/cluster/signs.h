/* Signs of life of other ranks, over two channels: datagrams and messages. A rank whose signs
 * arrive on either is alive. One whose signs arrive by messages only cannot wake us, because the
 * bell is a datagram: then we poll for messages (src/cluster/README.md §2). Numbers in, numbers
 * out: it knows neither MPI nor sockets, and the caller gives the time. */
#ifndef DM_CLUSTER_SIGNS_H
#define DM_CLUSTER_SIGNS_H

#include <stdbool.h>

typedef struct dm_signs dm_signs;

typedef enum dm_road { DM_ROAD_DATAGRAM, DM_ROAD_MESSAGE, DM_ROADS } dm_road;

/* size: ranks; now: s, as in all that follows. No rank is expected to be heard yet. */
dm_signs *dm_signs_new(int size, double now);
void dm_signs_free(dm_signs *s);

/* Whether signs of this rank are expected; a rank that is not expected never counts as deaf. */
void dm_signs_expect(dm_signs *s, int rank, bool expected);
/* At each turn: moves the clock by which silence is measured. Time in which we were away ourselves
 * says nothing of the others. */
void dm_signs_listen(dm_signs *s, double now);
void dm_signs_heard(dm_signs *s, int rank, dm_road road);
/* s since the last sign of the rank, on either channel. */
double dm_signs_silence(const dm_signs *s, int rank);
/* Whether signs of the rank arrived on this channel in the last seconds. */
bool dm_signs_hears(const dm_signs *s, int rank, dm_road road);
/* Whether the bell of one that is expected may not reach us. */
bool dm_signs_deaf(const dm_signs *s);

/* A message came or went (not a mere sign of life), or the bell rang. */
void dm_signs_traffic(dm_signs *s, double now);
/* A turn went by without one. */
void dm_signs_idle(dm_signs *s);
/* s that one may sleep on the bell: until it rings, where it does; else 1 ms after traffic, growing
 * to 50. under_way: MPI holds something that it moves only when it is asked. */
double dm_signs_patience(const dm_signs *s, double now, bool under_way);

#endif
