/* Program files: of one program, or of several that vote. */
#ifndef DM_CMD_PROGRAM_FILE_H
#define DM_CMD_PROGRAM_FILE_H

#include "ensemble/file.h"

/* path, or of a folder that a compile writes its program: OUT/program.json. DM_E_DATA: it has none
 * yet. */
dm_status dm_program_path(dm_arena *a, const char *path, const char **out,
                          dm_error *err) DM_MUST_USE;
/* Candidate number `pick` of such a folder; path NULL: none was given. DM_E_USAGE: it is no number,
 * or there is no such. */
dm_status dm_program_picked(dm_arena *a, const char *path, const char *pick, const char **out,
                            dm_error *err) DM_MUST_USE;
/* Whether what stands in the place of a job file is something else that a compile makes: v, read
 * from path; NULL: it cannot be read, and err says why. DM_E_JOB with what to do. */
dm_status dm_no_job(const char *path, const dm_value *v, dm_error *err) DM_MUST_USE;
/* path may be such a folder. program: as dm_state_read and dm_ensemble_read have it. *out: the
 * program, or of an ensemble, which then goes to *ensemble (NULL else), the member with the most
 * inputs. ensemble NULL: an ensemble is refused. */
dm_status dm_program_file_read(dm_arena *a, const char *path, const dm_program *program,
                               const dm_candidate **out, const dm_ensemble **ensemble,
                               const dm_value **provenance, dm_error *err) DM_MUST_USE;
/* The same for a program that is asked, and not compiled further. A file that is not the job's
 * program's is read by the program that it names, or, of DSPy, as the job's signature in the other
 * module; it has to give the outputs of the job's. */
dm_status dm_program_file_any(dm_arena *a, const char *path, const dm_program *program,
                              const dm_candidate **out, const dm_ensemble **ensemble,
                              const dm_value **provenance, dm_error *err) DM_MUST_USE;

#endif
