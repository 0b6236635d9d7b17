/* DSPy's state file (contract 5): what program.save("x.json") writes and program.load reads. */
#ifndef DM_PROGRAM_STATE_FILE_H
#define DM_PROGRAM_STATE_FILE_H

#include "program/program.h"

/* The file's text. provenance (NULL: none) becomes metadata.dspy_mpi, with `program`
 * (dm_program_write) added to it, so that the file alone suffices for `run` and `show`. */
void dm_state_write(dm_buf *b, dm_arena *a, const dm_candidate *c, const dm_value *provenance);

/* program NULL: taken from metadata.dspy_mpi.program; absent there: an error that says to give
 * --job. Checks what DSPy checks, and also that field prefixes fit the program ("state file of
 * another program": DM_E_DATA). provenance (may be NULL) gets metadata.dspy_mpi or NULL. */
dm_status dm_state_read(dm_arena *a, dm_str text, const char *name, const dm_program *program,
                        const dm_candidate **out, const dm_value **provenance,
                        dm_error *err) DM_MUST_USE;

/* The same for a program that is one of several in a file, as the members of DSPy's Ensemble: the
 * keys of its predictors begin with prefix, "programs[0]". put adds them to the dict `file`. */
void dm_state_put(dm_arena *a, dm_value *file, const char *prefix, const dm_candidate *c);
dm_status dm_state_take(dm_arena *a, const dm_at *root, const char *prefix,
                        const dm_program *program, const dm_candidate **out,
                        dm_error *err) DM_MUST_USE;

#endif
