/* Foreign text as it is shown to people: nothing in it moves a cursor, rings, hides or turns
 * letters around. Each character that does stands there in the notation of Python: "\x1b",
 * "\u202e",
 * "\U000e0041", and each byte that is not UTF-8 as "\x9b". Those are
 *   - control characters: U+0000 to U+001F, U+007F to U+009F,
 *   - marks of direction, line and paragraph separators,
 *   - what is not seen: zero-width and tag characters, fillers, soft hyphens. The variation
 * selectors U+FE00 to U+FE0F are let through: they are part of many an emoji. A backslash stays
 * what it is, so that a text that has been shown already does not change. Keys are masked first
 * (base/secret.h).
 *
 * It is always done, on a terminal or not: a log is read on one later. What a program reads is
 * JSON, where the same characters are escaped as JSON does it, which changes no value.
 *
 * dm_fail, dm_log and dm_outside do it to what they are given; all else that people see goes out
 * through src/cmd/say.h, and what mpirun says through src/cluster/launch.c. */
#ifndef DM_BASE_SHOW_H
#define DM_BASE_SHOW_H

#include "base/buf.h"

typedef enum dm_layout {
    DM_SHOW_LINE,  /* one line: line ends and tabs become a blank */
    DM_SHOW_LINES, /* line ends and tabs stay */
    DM_SHOW_JSON /* a JSON text, which stays one of the same value; a byte that is not UTF-8, which
                    none may hold, becomes "\ufffd" */
} dm_layout;

void dm_show(dm_buf *out, dm_str text, dm_layout layout);

/* printf whose texts (%s) are shown, in one line: line ends are those of the format alone. Knows
 * the conversions d i u x g f e c s % with their flags, widths and lengths; a width of %s counts
 * characters. */
void dm_show_printf(dm_buf *out, const char *fmt, ...) DM_PRINTF(2, 3);
void dm_show_vprintf(dm_buf *out, const char *fmt, va_list ap) DM_PRINTF(2, 0);

/* A word as a shell takes it: in quotes where it has to be. */
void dm_put_word(dm_buf *b, const char *word);

/* A terminal on which a line can be written again: one that says it is dumb (TERM=dumb: an editor's
 * shell, some consoles) would show the codes for it, and so may one that says nothing. */
bool dm_is_screen(int fd);

#endif
