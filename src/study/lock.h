/* One writer at a time, also where fcntl locks do not reach other hosts: a lock that the file
 * system keeps, where it has any, and a file that says who writes, with a counter that a thread
 * rewrites every 2 s (src/README.md §2). */
#ifndef DM_STUDY_LOCK_H
#define DM_STUDY_LOCK_H

#include "base/status.h"

typedef struct dm_lock dm_lock;

/* Takes the lock file at path. The lock of a process of this host is taken over unless pid and
 * start time are those of a live one; that of another host when its counter has not moved for 15 s
 * of our own clock, which it waits for and reports. DM_E_OUTPUT names who holds it. */
dm_lock *dm_lock_take(const char *path, dm_error *err) DM_MUST_USE;
/* Whether what is at path may be a lock: nothing, or one that dspy-mpi wrote. DM_E_OUTPUT: it
 * is somebody's file. Changes nothing. */
dm_status dm_lock_look(const char *path, dm_error *err) DM_MUST_USE;
typedef enum dm_lock_state {
    DM_LOCK_FREE,  /* nobody has it, or who had it is dead */
    DM_LOCK_HELD,  /* by a process of this host that lives, or by one elsewhere whose counter moves
                    */
    DM_LOCK_UNSURE /* by a process of another host, whose counter has not moved for 5 s */
} dm_lock_state;
/* Who holds the lock at path; looks for 5 s where that is another host. Changes nothing. */
dm_lock_state dm_lock_state_of(const char *path);
/* DM_E_OUTPUT where nothing may be written any more to the file `what`: somebody else has taken the
 * lock over (this process had been stopped for too long), or its file was removed, so that others
 * may begin. */
dm_status dm_lock_check(const dm_lock *l, const char *what, dm_error *err) DM_MUST_USE;
void dm_lock_free(dm_lock *l); /* removes the file if it is still ours; NULL is fine */

#endif
