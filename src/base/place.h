/* What is at a path before a file of ours is written there. People keep their own files in
 * the same folders: a file that we did not write is refused by name, or moved aside, and never
 * overwritten, cut or followed to elsewhere. */
#ifndef DM_BASE_PLACE_H
#define DM_BASE_PLACE_H

#include "base/status.h"

#include <limits.h>

/* What to do about a foreign file; ends each sentence about one. */
#define DM_MOVE_IT "move it elsewhere, or give --force to have it moved aside"

/* DM_OK: nothing, or a regular file. DM_E_OUTPUT: a symbolic link, a folder, a FIFO or the like. */
dm_status dm_place_check(const char *path, dm_error *err) DM_MUST_USE;
/* Opens a file that is written in place, after dm_place_check; it is made where there is none.
 * DM_E_OUTPUT also where the file has a second name, behind which somebody else may rely on it.
 * Returns a file descriptor; -1: failed. */
int dm_place_open(const char *path, dm_error *err) DM_MUST_USE;
/* Whether the open file is still what is found at the path. */
bool dm_place_holds(int fd, const char *path);
/* Renames path to path.1, or to the first number behind it that is free; aside gets the name. */
dm_status dm_place_move_aside(const char *path, char aside[PATH_MAX], dm_error *err) DM_MUST_USE;

#endif
