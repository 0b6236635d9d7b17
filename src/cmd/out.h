/* The folder OUT: whose it is, and what is written there. */
#ifndef DM_CMD_OUT_H
#define DM_CMD_OUT_H

#include "cmd/session.h"

#include <time.h>

/* Makes the folder, or finds it, and looks at all that a compile would write there. *finished gets
 * the last line of a finished run of the same job, else NULL. DM_E_OUTPUT: it is another job's,
 * files that we did not write are in the way, or it cannot be written. --fresh moves an old one
 * aside, --force moves the files that are in the way. */
dm_status dm_out_open(dm_arena *a, const dm_job *job, const dm_command_line *line,
                      const dm_value **finished, dm_error *err) DM_MUST_USE;
/* The same for what an eval keeps: predictions.jsonl and score.json, of an earlier one too. The OUT
 * of a compile is refused. */
dm_status dm_out_open_eval(dm_arena *a, const dm_job *job, dm_error *err) DM_MUST_USE;
typedef struct dm_out_state { /* what status.json says beside host, process and time of writing */
    const char *status, *reason; /* "running", "done", "stopped", "failed"; reason NULL: none */
    bool failed;
    int code;                 /* exit code, where it has failed or has a last line */
    const dm_value *last;     /* the last line; NULL while the run goes on */
    const dm_value *progress; /* NULL: nothing is known yet */
    const dm_value *started;  /* when the first attempt began; NULL: not known */
    const dm_value *identity; /* of the job; NULL: is found anew */
} dm_out_state;
dm_status dm_out_status(dm_arena *a, const dm_job *job, const dm_out_state *s,
                        dm_error *err) DM_MUST_USE;
dm_value *dm_time_text(dm_arena *a, time_t t); /* "2026-11-28T15:04:05Z" */
/* DM_E_OUTPUT also where somebody's file of that name has come there. */
dm_status dm_out_write(const dm_job *job, const char *name, dm_str text, dm_error *err) DM_MUST_USE;
/* The same without waiting for the disk: for what is renewed while the run goes on. */
dm_status dm_out_put(const dm_job *job, const char *name, dm_str text, dm_error *err) DM_MUST_USE;

#endif
