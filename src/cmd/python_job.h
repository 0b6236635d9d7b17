/* A job whose program is Python: its host is started while the job is read, and says what the
 * program is. */
#ifndef DM_CMD_PYTHON_JOB_H
#define DM_CMD_PYTHON_JOB_H

#include "cmd/job.h"

/* Whether `program` says {"python": ...}. */
bool dm_is_python_job(const dm_at *program);
/* Starts the host with all that the job names in Python (program, metric, data sets), and sets
 * program, setup.host and setup.hosts. root: the job. */
dm_status dm_python_job_open(dm_arena *a, const dm_at *root, dm_job *job,
                             dm_error *err) DM_MUST_USE;
/* The data set of this name where it is {"python": ...}; *out stays where it is not. */
dm_status dm_python_job_set(dm_arena *a, const dm_at *at, const char *name, const dm_job *job,
                            const dm_dataset **out, dm_error *err) DM_MUST_USE;

/* Runs a few examples with the stand-in: how many calls there are, and whether the program asks the
 * same twice. Of other programs: nothing. Where OUT has a journal that this run goes on with, the
 * number stands in its header under DM_CALLS_TRIED: what was decided by it is decided again.
 * identity: the job's. */
#define DM_CALLS_TRIED "calls_each"
void dm_python_job_try(dm_arena *a, const dm_command_line *line, dm_job *job,
                       const dm_value *identity);

/* Says which predictors' own models the optimizer took away, as DSPy's does. */
void dm_python_job_tell_models(const dm_candidate *start, const dm_candidate *best);

#endif
