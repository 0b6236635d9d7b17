/* The one place that writes to stdout and stderr (scripts/check-style refuses others): whatever is
 * said, it is shown as src/base/show.h says. */
#ifndef DM_CMD_SAY_H
#define DM_CMD_SAY_H

#include "base/buf.h"

#include <stdio.h>

/* A line end that was not in the format is not on the screen: texts (%s) are shown in one line. */
void dm_say(FILE *to, const char *fmt, ...) DM_PRINTF(2, 3);
void dm_say_text(FILE *to, dm_str text); /* its line ends and tabs stay */
void dm_say_json(FILE *to, dm_str text); /* a JSON text; its value stays */

/* While it is on, dm_say_clock gives the time of day, "15:04:05 ", else "": what lines of a long
 * run begin with. */
void dm_say_dated(bool on);
const char *dm_say_clock(char text[16]);

/* A line that the next one replaces; "" is its end. All that is said by the functions above clears
 * it first, so that no message shares a line with it. dm_say_live_drop is its end too, and
 * async-signal-safe: before an _exit. */
void dm_say_live(FILE *to, dm_str line);
void dm_say_live_drop(void);
/* Columns of the terminal on stderr; where there is none, those that told says (NULL: nothing),
 * else 80. */
size_t dm_say_columns(const char *told);

/* Puts something harmless in the place of stdin, stdout or stderr that is closed: a file that is
 * opened later would get its number, and what is said or answered would be written into that file.
 * A closed stdout stays one that cannot be written. Before any file is opened. */
void dm_say_close_gaps(void);

#endif
