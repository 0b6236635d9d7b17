/* What a launched run has on this host besides its results: a folder in the temporary folder,
 * processes, shared memory. All of it goes when the run ends, however that comes about. */
#ifndef DM_CLUSTER_REMAINS_H
#define DM_CLUSTER_REMAINS_H

#include "base/status.h"

#include <limits.h>

/* The folder holds `status` (the exit code that rank 0 writes down; its path, in DM_STATUS_FILE, is
 * what the processes of the run are known by), `status.alive` (rank 0's watchdog), `status.jobs`
 * (names of shared memory, or the parts of them that Open MPI gives an attempt) and `tmp`, which is
 * mpirun's temporary folder. */
typedef struct dm_run_folder {
    char path[PATH_MAX], status[PATH_MAX + 8], tmp[PATH_MAX + 8];
    int lock;  /* held by the launcher and its guard: as long as one lives, the folder is in use */
    int guard; /* a connection to the guard */
} dm_run_folder;

/* Makes the folder, and removes those of launchers that were killed together with their guards.
 * Then starts the guard: a process of its own session that does dm_run_folder_remove if the caller
 * dies before it has done so itself. */
dm_status dm_run_folder_new(dm_run_folder *f, dm_error *err) DM_MUST_USE;
/* Between two attempts: ends what is left of the run's processes, which get patience seconds to end
 * by themselves, and removes all that they made. */
void dm_run_folder_clear(const dm_run_folder *f, double patience);
void dm_run_folder_remove(dm_run_folder *f); /* clears, and is gone, with the guard */

/* A rank: what Open MPI will call its shared memory, for the time when nobody is left to ask. */
void dm_run_note_job(void);
/* The same after MPI has started: what there is of other libraries, whose names nobody foretells.
 */
void dm_run_note_memory(void);

#endif
