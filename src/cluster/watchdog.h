/* A child of each rank that ends it when it makes no progress: this covers the coordinator, which
 * heartbeats cannot, and frees a stopped worker's slot (src/cluster/README.md §7.2). */
#ifndef DM_CLUSTER_WATCHDOG_H
#define DM_CLUSTER_WATCHDOG_H

#include "base/status.h"

/* Before MPI_Init: later a fork copies MPI's state. The rank ends with its parent (mpirun), the
 * child with the rank. That of rank 0 tells the launcher, if there is one. */
dm_status dm_watchdog_start(long rank, dm_error *err) DM_MUST_USE;
/* The start is over: the rank works. */
void dm_watchdog_begun(void);
/* The rank moves; if it does not say so again within seconds, it is killed. A rank that is stopped
 * (SIGSTOP) is killed after 8 s whatever it said. Nothing happens without a watchdog. */
void dm_watchdog_expect(double seconds);

/* What rank 0's watchdog writes into `DM_STATUS_FILE.alive` each second: a word and a counter, so
 * that the launcher sees that the host is there and the rank moves. */
#define DM_PULSE       20 /* bytes */
#define DM_PULSE_NONE  "nothing  0000000000\n"
#define DM_PULSE_START "starting"
#define DM_PULSE_WORKS "working "

/* s that mpirun may take to start rank 0, and MPI_Init all ranks: 180; tests shorten it by the
 * variable DM_BEGIN_SECONDS. */
double dm_watchdog_longest_start(void);

/* What may pass between two turns of the loop, and elsewhere. */
#define DM_TURN_SECONDS 8.0
#define DM_WORK_SECONDS 600.0

#endif
