/* A job's models: `lm`, `lms` by role, and those that `lms` names for members of an ensemble. */
#ifndef DM_CMD_JOB_MODELS_H
#define DM_CMD_JOB_MODELS_H

#include "cmd/job.h"

/* Program and optimizer are read before. The model of a program file's `role` is the task's, but
 * where an optimizer is wanted, which starts with the job's. */
dm_status dm_job_read_models(dm_arena *a, const dm_at *root, dm_job_wants wants, dm_job *job,
                             dm_error *err) DM_MUST_USE;
/* Whether a role is asked something; every model given has a reader or is refused. */
bool dm_job_asks_role(const dm_job *job, int role);
/* "teacher", or the name that the job has for it. */
const char *dm_job_role_name(const dm_job *job, int role);
int dm_job_roles(const dm_job *job); /* how many there are */

/* For a cap of a Python program that asks models of its own: nobody can say before which of them
 * its next call is for. So each of its calls is reckoned as the dearest of them all. */
void dm_job_reckon_dearest(dm_arena *a, dm_job *job);

#endif
