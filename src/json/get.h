/* Typed getters with the path in the error: "job.json:4:12: optimizer.max_rounds: a whole number
 * from 1 on, not \"three\"". A dm_at is a value and the path to it. */
#ifndef DM_JSON_GET_H
#define DM_JSON_GET_H

#include "json/value.h"

typedef struct dm_at {
    const dm_value *v; /* NULL: absent */
    const char *file;  /* what to call the source */
    char path[192];    /* "optimizer.max_rounds", "steps[1].predict"; "" at the top */
    dm_status status;  /* the class of an error found here: DM_E_JOB, DM_E_DATA */
} dm_at;

dm_at dm_at_root(const dm_value *v, const char *file, dm_status status);
dm_at dm_at_key(const dm_at *at, const char *key); /* .v NULL if absent */
dm_at dm_at_item(const dm_at *at, size_t i);
/* "file:line:column: path: " and the text; returns at->status. A value that was given on the
 * command line is called so, and is DM_E_USAGE. */
dm_status dm_at_fail(const dm_at *at, dm_error *err, const char *fmt, ...) DM_PRINTF(3, 4);

/* Absent values leave *out as it is (the default) and give DM_OK. */
dm_status dm_get_bool(const dm_at *at, bool *out, dm_error *err) DM_MUST_USE;
dm_status dm_get_int(const dm_at *at, int64_t low, int64_t high, int64_t *out,
                     dm_error *err) DM_MUST_USE;
dm_status dm_get_number(const dm_at *at, double low, double high, double *out,
                        dm_error *err) DM_MUST_USE;
dm_status dm_get_string(const dm_at *at, dm_str *out, dm_error *err) DM_MUST_USE;
/* A list of strings, or one string for a list of one. */
dm_status dm_get_strings(const dm_at *at, dm_arena *a, dm_str **out, size_t *n,
                         dm_error *err) DM_MUST_USE;
/* at must be an object (or absent) whose keys are all among names; the error suggests the nearest.
 */
dm_status dm_get_known(const dm_at *at, const char *const *names, size_t n,
                       dm_error *err) DM_MUST_USE;
/* The same; near gives the name that is suggested for a key that is none of them, or NULL. */
dm_status dm_get_known_by(const dm_at *at, const char *const *names, size_t n,
                          const char *(*near)(const char *key), dm_error *err) DM_MUST_USE;

#endif
