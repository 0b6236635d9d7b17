/* Status codes and the one error object.
 *
 * Every function that can fail returns dm_status (or a pointer that is NULL on failure) and takes a
 * dm_error * last, which may be NULL. DM_OK is 0, failures are negative, reasons for stopping
 * positive: a stop is a result, not an error. Nothing below src/cmd prints or exits.
 *
 * Ownership, said once for the whole code base: what a function named *_new, *_take or *_copy
 * returns belongs to the caller; what lives in a dm_arena belongs to the arena; all else is
 * borrowed until the call returns. */
#ifndef DM_BASE_STATUS_H
#define DM_BASE_STATUS_H

#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#define DM_MUST_USE          __attribute__((warn_unused_result))
#define DM_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

typedef enum dm_status {
    DM_OK = 0,

    /* reasons for stopping */
    DM_STOP_BUDGET = 1,   /* a --budget cap; exit 0 */
    DM_STOP_SIGNAL = 2,   /* USR1, TERM, INT; exit 75 */
    DM_STOP_DEADLINE = 3, /* --deadline; exit 75 */
    DM_STOP_FILE = 4,     /* dspy-mpi stop OUT; exit 75 */
    DM_STOP_OUTAGE = 5,   /* no answer from any endpoint for lm.outage; exit 75 */

    /* failures, with the exit code of sysexits.h that src/cmd gives them */
    DM_E_USAGE = -1,    /* 64: command line */
    DM_E_DATA = -2,     /* 65: data file, program file, answer of a metric */
    DM_E_MODEL = -3,    /* 69: model not to be had */
    DM_E_INTERNAL = -4, /* 70: our own fault */
    DM_E_OUTPUT = -5,   /* 73: cannot write, or another job's OUT */
    DM_E_JOB = -6,      /* 78: job file */
    DM_E_PARSE = -7,    /* 65: a completion does not parse (DSPy's AdapterParseError) */
    DM_E_LIMIT = -8     /* 65: a ceiling was reached (dm_buf, depth, size) */
} dm_status;

/* What failed, in one sentence made of links: "job.json: metric: exact_match needs a field 'label',
 * the data has 'question, answer': name it with {\"field\": ...}". */
typedef struct dm_error {
    dm_status status;
    char text[1536]; /* as it is shown (base/show.h), cut with "..." when longer */
} dm_error;

/* Sets err (if not NULL) and returns status. */
dm_status dm_fail(dm_error *err, dm_status status, const char *fmt, ...) DM_PRINTF(3, 4);

/* Where a function has nothing to clean up: returns the status of a step that is not DM_OK. */
#define DM_TRY(step)                                                                               \
    do {                                                                                           \
        dm_status tried_ = (step);                                                                 \
        if (tried_ != DM_OK)                                                                       \
            return tried_;                                                                         \
    } while (0)

/* Puts "what we were doing: " before the text; returns err->status (status if err is NULL). */
dm_status dm_error_wrap(dm_error *err, dm_status status, const char *fmt, ...) DM_PRINTF(3, 4);

/* Set by the handler of a signal that asks the program to end. What may take long before a run has
 * begun (reading a journal, waiting for a lock) looks at it and gives up with DM_STOP_SIGNAL. */
extern volatile sig_atomic_t dm_asked_to_stop;
dm_status dm_stopped(dm_error *err, const char *what); /* its error: "WHAT was interrupted ..." */

int dm_exit_code(dm_status status);           /* sysexits code of a status, see above */
const char *dm_status_name(dm_status status); /* "budget", "signal", "data", ... */

#endif
