/* The cluster: rank 0 coordinates, the other ranks run models. The only room that knows MPI. */
#ifndef DM_CLUSTER_CLUSTER_H
#define DM_CLUSTER_CLUSTER_H

#include "pool/setup.h"

/* First of all, before any of those below: what an earlier launcher has left in the environment to
 * a process of another one goes. */
void dm_cluster_tidy(void);
/* Whether this process was started as one of several that MPI can join (by mpirun, or srun with
 * PMIx). Then, and only then, dm_cluster_start may be called; it is to be called for a command that
 * runs on all of them alone (src/cluster/README.md §6). */
bool dm_cluster_is_rank(void);
/* "MPI: Open MPI v4.1.4, table openmpi 1, library linked", or why there is none; MPI is not
 * started. */
void dm_cluster_library(char *text, size_t room);
/* Its number among the *size that were started together, whether MPI can join them or not. *by:
 * what started them, in words; NULL where it is alone. */
long dm_cluster_task(long *size, const char **by);
/* Whether what started it is seen to be there, so that others run beside it. Its variables alone
 * may be left over, in a shell that outlived a run. gone: it is seen to be gone. */
bool dm_cluster_has_starter(bool *gone);
/* Not DM_OK: several were started by the mpirun of another MPI than the library here is of, so that
 * each would run the whole by itself, and none is to. Returns for one of them, which says so; the
 * others end here, unless nothing is seen of that mpirun, when each says so. */
dm_status dm_cluster_apart(dm_error *err) DM_MUST_USE;
/* In place of dm_cluster_start, without MPI: what the launcher, if there is one, expects to hear.
 */
dm_status dm_cluster_start_alone(dm_error *err) DM_MUST_USE;

/* MPI_Init, doorbells. After it no MPI call blocks. */
dm_status dm_cluster_start(int *argc, char ***argv, int *rank, int *size,
                           dm_error *err) DM_MUST_USE;

/* Rank 0: a pool over ranks 1 ... size - 1, or a local one when it is alone. */
dm_pool *dm_cluster_pool_new(const dm_setup *s, dm_error *err) DM_MUST_USE;
/* Other ranks: works until rank 0 says that it is over. */
void dm_cluster_worker(void);

/* Rank 0: whether all the others are lost, so that another attempt may do better. */
bool dm_cluster_alone(void);
/* Rank 0 without a pool: tells the other ranks that it is over. */
void dm_cluster_dismiss(void);
/* Leaves MPI; bounded in time. Does not return if that fails: then it exits with code. */
void dm_cluster_end(int code);

#endif
