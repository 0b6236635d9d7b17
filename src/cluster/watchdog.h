/* A child of each rank that ends it when it stands still: what the heartbeats cannot tell of the
 * coordinator, and what frees a stopped worker's place (src/cluster/README.md §7.2). */
#ifndef DM_CLUSTER_WATCHDOG_H
#define DM_CLUSTER_WATCHDOG_H

/* Before MPI_Init: later a fork copies MPI's state. The rank ends with its parent (mpirun), the
 * child with the rank. */
void dm_watchdog_start(void);
/* The rank moves; if it does not say so again within seconds, it is killed. A rank that is stopped
 * (SIGSTOP) is killed after 8 s whatever it said. Nothing happens without a watchdog. */
void dm_watchdog_expect(double seconds);

/* What may pass between two turns of the loop, and elsewhere. */
#define DM_TURN_SECONDS 8.0
#define DM_WORK_SECONDS 600.0

#endif
