/* The folder OUT: whose it is, and what is written there. */
#ifndef DM_CMD_OUT_H
#define DM_CMD_OUT_H

#include "cmd/session.h"

/* Makes the folder, or finds it, and looks at all that a compile would write there. *finished gets
 * the last line of a finished run of the same job, else NULL. DM_E_OUTPUT: another job's,
 * somebody's files are in the way, or it cannot be written. --fresh moves an old one aside, --force
 * the files that are in the way. */
dm_status dm_out_open(dm_arena *a, const dm_job *job, const dm_command_line *line,
                      const dm_value **finished, dm_error *err) DM_MUST_USE;
/* The same for what an eval keeps: predictions.jsonl and score.json, of an earlier one too. The OUT
 * of a compile is refused. */
dm_status dm_out_open_eval(dm_arena *a, const dm_job *job, dm_error *err) DM_MUST_USE;
/* status.json, with host and number of this process and the time of writing; last: the last line,
 * or NULL while the run goes on. */
dm_status dm_out_status(dm_arena *a, const dm_job *job, const char *status, const char *reason,
                        int code, const dm_value *last, dm_error *err) DM_MUST_USE;
/* DM_E_OUTPUT also where somebody's file of that name has come there. */
dm_status dm_out_write(const dm_job *job, const char *name, dm_str text, dm_error *err) DM_MUST_USE;

#endif
