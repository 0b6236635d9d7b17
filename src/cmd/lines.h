/* Where `run` writes its lines: standard output, or a file that a later run goes on with. */
#ifndef DM_CMD_LINES_H
#define DM_CMD_LINES_H

#include "base/buf.h"

#include <stdio.h>

typedef struct dm_lines {
    FILE *to;         /* NULL: standard output */
    const char *path; /* of the file */
    size_t n;         /* lines written, or found there already */
    size_t found;     /* of them, those that were there already */
    bool reading;     /* what an earlier run wrote is not passed yet */
    bool left;        /* standard output takes no more */
} dm_lines;

/* path NULL: standard output. A file goes on being one that an earlier run of the same command
 * wrote: `begun` says that there was one; else it has to be empty or not there. DM_E_OUTPUT. */
dm_status dm_lines_open(dm_lines *l, const char *path, bool begun, dm_error *err) DM_MUST_USE;
/* The next line, a JSON text, which is handed to the system at once. One that is in the file
 * already is passed over. From a line on that says "error", or is torn, the file is written anew;
 * any other that differs is DM_E_OUTPUT. */
dm_status dm_lines_put(dm_lines *l, dm_str json, dm_error *err) DM_MUST_USE;
/* After the last line of all: what a kill tore behind it is cut off; more lines are DM_E_OUTPUT. */
dm_status dm_lines_end(dm_lines *l, dm_error *err) DM_MUST_USE;
dm_status dm_lines_close(dm_lines *l, dm_error *err) DM_MUST_USE;

#endif
