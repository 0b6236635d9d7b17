/* Which files of an OUT are a run's own. People keep DSPy's program.json and others there; what no
 * run of this job wrote is refused with its name, or moved aside by --force. */
#ifndef DM_CMD_OWNED_H
#define DM_CMD_OWNED_H

#include "cmd/job.h"

#define DM_TRIALS_COLUMNS                                                                          \
    "trial,name,score,low,high,n,failed,fallback,truncated,parse,best,file,instructions,demos"
#define DM_TRIALS_HEADER DM_TRIALS_COLUMNS ",prompt_tokens,front\n"

/* Whether what is at path may be overwritten with our file of that name ("program.json",
 * "candidates/000.json", ...): nothing, an empty file, or one that looks like ours. */
dm_status dm_owned_file(const char *path, const char *name, dm_error *err) DM_MUST_USE;
/* Moves path aside and says so. */
dm_status dm_owned_move_aside(const char *path, dm_error *err) DM_MUST_USE;
/* All that a compile writes to job->out, but for status.json. begun: a run of this job wrote there
 * before; else no result may be there. force moves aside what is in the way. */
dm_status dm_owned_check(dm_arena *a, const dm_job *job, bool begun, bool force,
                         dm_error *err) DM_MUST_USE;

#endif
