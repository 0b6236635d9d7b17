/* A job's program run on a set: one program, or an ensemble that votes. */
#ifndef DM_CMD_ASKED_H
#define DM_CMD_ASKED_H

#include "cmd/session.h"
#include "ensemble/ask.h"

/* --waves, and what an ensemble of the job needs to be asked; scored and strict stay as they are.
 * DM_E_USAGE: --waves is no number of waves, or the program is no ensemble. */
dm_status dm_asking_read(const dm_command_line *line, const dm_job *job, dm_asking *how,
                         dm_error *err) DM_MUST_USE;
/* (*results)[set->n]; asked is set for an ensemble alone. */
dm_status dm_ask(dm_session *s, const dm_asking *how, const dm_dataset *set,
                 const dm_result **results, dm_asked *asked, dm_error *err) DM_MUST_USE;

#endif
