/* Program file, --job and inputs of `run` and `show`. */
#ifndef DM_CMD_INPUTS_H
#define DM_CMD_INPUTS_H

#include "cmd/job.h"

/* The file named on the command line is a program file, the folder OUT of a compile, or a job file
 * whose program is taken as written; with --job alone it is that job's. Signature and types, model
 * and adapter come from --job, else from the file itself. */
dm_status dm_program_job(dm_arena *a, const dm_command_line *line, bool model, dm_job *job,
                         dm_error *err) DM_MUST_USE;
/* --input, --input-json; *given tells whether there were any. Missing inputs are named on stderr;
 * DM_E_USAGE: one that the program does not have. */
dm_status dm_inputs_read(dm_arena *a, const dm_command_line *line, const dm_program *p,
                         dm_value **out, bool *given, dm_error *err) DM_MUST_USE;

#endif
