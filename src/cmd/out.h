/* The folder OUT: whose it is, and what is written there. */
#ifndef DM_CMD_OUT_H
#define DM_CMD_OUT_H

#include "cmd/session.h"

/* Makes the folder, or finds it. *finished gets the last line of a finished run of the same job,
 * else NULL. DM_E_OUTPUT: another job's, or it cannot be written. fresh moves an old one aside. */
dm_status dm_out_open(dm_arena *a, const dm_job *job, bool fresh, const dm_value **finished,
                      dm_error *err) DM_MUST_USE;
/* status.json; last: the last line, or NULL while the run goes on. */
dm_status dm_out_status(dm_arena *a, const dm_job *job, const char *status, const char *reason,
                        int code, const dm_value *last, dm_error *err) DM_MUST_USE;
dm_status dm_out_write(const dm_job *job, const char *name, dm_str text, dm_error *err) DM_MUST_USE;

#endif
