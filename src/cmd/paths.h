/* Paths that a job file names. */
#ifndef DM_CMD_PATHS_H
#define DM_CMD_PATHS_H

#include "json/get.h"

/* Paths in a file are relative to it. The result lives in a, and is shown to people: folders that
 * ".." leads back out of are left away. */
const char *dm_path_beside(dm_arena *a, const char *file, const char *path);
/* A key that is a path, beside its file; *out stays where the key is absent. */
dm_status dm_path_read(dm_arena *a, const dm_at *at, const char **out, dm_error *err) DM_MUST_USE;
/* The same for several keys of an object, whose values become such paths; those of flags stay. */
void dm_paths_of(dm_arena *a, const dm_at *at, const char *const *keys, size_t n);
/* text with the environment's values for each ${VAR}. DM_E_JOB at `at`: there is no such variable.
 */
dm_status dm_path_expand(dm_arena *a, const dm_at *at, const char *text, const char **out,
                         dm_error *err) DM_MUST_USE;

#endif
