/* A growing byte buffer with a ceiling, and a view of bytes.
 *
 * Appends return nothing: the first one that would pass the ceiling sets `full` and all later ones
 * do nothing, so a writer checks once, at its end. data is always NUL-terminated (the NUL not
 * counted). */
#ifndef DM_BASE_BUF_H
#define DM_BASE_BUF_H

#include "base/status.h"

#include <stdint.h>

/* The ceilings of the program, one name each. */
#define DM_MAX_LINE    ((size_t)16 << 20)  /* a line of a data file */
#define DM_MAX_ANSWER  ((size_t)16 << 20)  /* an HTTP answer */
#define DM_MAX_REQUEST ((size_t)64 << 20)  /* an HTTP request */
#define DM_MAX_MESSAGE ((size_t)256 << 20) /* a message between ranks */
#define DM_MAX_FILE    ((size_t)1 << 30)   /* a file that is read whole */
#define DM_MAX_DATA    ((size_t)256 << 20) /* a data file: ranks get the sets in one message */
#define DM_MAX_TEXT    ((size_t)64 << 20)  /* a rendered prompt, a table, a program file */

typedef struct dm_str {
    const char *p; /* not NUL-terminated in general; NULL means absent where a header says so */
    size_t n;
} dm_str;

#define DM_STR(literal) ((dm_str){(literal), sizeof(literal) - 1})
#define DM_STR_ARG(s)   (int)(s).n, (s).p /* for "%.*s" */

dm_str dm_str_of(const char *s);
bool dm_str_eq(dm_str a, dm_str b);
bool dm_str_is(dm_str a, const char *b);
bool dm_str_is_any_case(dm_str a, const char *b); /* but for the case of ASCII letters */
bool dm_str_starts(dm_str a, const char *prefix);
dm_str dm_str_past_mark(dm_str s);  /* without a byte order mark of UTF-8 before it */
bool dm_str_is_whole(dm_str s);     /* decimal digits, perhaps behind a minus */
int dm_str_cmp(dm_str a, dm_str b); /* bytewise, then shorter first */

typedef struct dm_buf {
    char *data;
    size_t len, cap, max;
    bool full;
} dm_buf;

void dm_buf_init(dm_buf *b, size_t max); /* allocates nothing */
void dm_buf_free(dm_buf *b);
void dm_buf_reset(dm_buf *b); /* keeps the memory */
char *dm_buf_take(dm_buf *b,
                  size_t *n); /* the bytes belong to the caller (free), b is empty again */
void dm_buf_add(dm_buf *b, const void *p, size_t n);
void dm_buf_str(dm_buf *b, dm_str s);
void dm_buf_text(dm_buf *b, const char *s);
void dm_buf_char(dm_buf *b, char c);
void dm_buf_printf(dm_buf *b, const char *fmt, ...) DM_PRINTF(2, 3);
char *dm_buf_room(dm_buf *b,
                  size_t n); /* n writable bytes at the end (then add to len); NULL: full */
dm_str dm_buf_view(const dm_buf *b);

#endif
