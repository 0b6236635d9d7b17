/* Files that an optimizer's parameters name: read beside the job, known by what is in them. */
#ifndef DM_CMD_PARAM_FILES_H
#define DM_CMD_PARAM_FILES_H

#include "cmd/job.h"

/* job->program is known. */
dm_status dm_param_files_read(dm_arena *a, const dm_at *root, dm_job *job,
                              dm_error *err) DM_MUST_USE;
/* Puts hashes in the places of their names. */
void dm_param_files_identity(dm_arena *a, const dm_job *job, dm_value *d);

#endif
