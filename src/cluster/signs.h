/* Signs of life of other ranks, by two roads: datagrams and messages. A rank that is heard by one
 * of them lives. One that is heard by messages alone cannot wake us either, for the bell is a
 * datagram: then we look for messages ourselves (src/cluster/README.md §2). Numbers in, numbers
 * out: it knows neither MPI nor sockets, and the time is its caller's. */
#ifndef DM_CLUSTER_SIGNS_H
#define DM_CLUSTER_SIGNS_H

#include <stdbool.h>

typedef struct dm_signs dm_signs;

typedef enum dm_road { DM_ROAD_DATAGRAM, DM_ROAD_MESSAGE, DM_ROADS } dm_road;

/* size: ranks; now: s, as in all that follows. No rank is expected to be heard yet. */
dm_signs *dm_signs_new(int size, double now);
void dm_signs_free(dm_signs *s);

/* Whether signs of this rank are expected; what is not expected makes nobody deaf. */
void dm_signs_expect(dm_signs *s, int rank, bool expected);
/* At each turn: moves the clock by which silence is measured. Time in which we were away ourselves
 * says nothing of the others. */
void dm_signs_listen(dm_signs *s, double now);
void dm_signs_heard(dm_signs *s, int rank, dm_road road);
/* s since the rank was last heard, by whatever road. */
double dm_signs_silence(const dm_signs *s, int rank);
/* Whether the rank was heard on this road in the last seconds. */
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
