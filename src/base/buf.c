#include "base/buf.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

dm_str dm_str_of(const char *s)
{
    return (dm_str){s, s ? strlen(s) : 0};
}

bool dm_str_eq(dm_str a, dm_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool dm_str_is(dm_str a, const char *b)
{
    return dm_str_eq(a, dm_str_of(b));
}

bool dm_str_is_any_case(dm_str a, const char *b)
{
    return strlen(b) == a.n && strncasecmp(a.p, b, a.n) == 0;
}

dm_str dm_str_past_mark(dm_str s)
{
    return dm_str_starts(s, "\xEF\xBB\xBF") ? (dm_str){s.p + 3, s.n - 3} : s;
}

bool dm_str_starts(dm_str a, const char *prefix)
{
    size_t n = strlen(prefix);
    return a.n >= n && memcmp(a.p, prefix, n) == 0;
}

bool dm_str_is_whole(dm_str s)
{
    size_t minus = s.n && s.p[0] == '-', i = minus;
    while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
        i++;
    return i == s.n && i > minus;
}

int dm_str_cmp(dm_str a, dm_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

void dm_buf_init(dm_buf *b, size_t max)
{
    *b = (dm_buf){.max = max};
}

void dm_buf_free(dm_buf *b)
{
    free(b->data);
    *b = (dm_buf){.max = b->max};
}

void dm_buf_reset(dm_buf *b)
{
    b->len = 0;
    b->full = false;
    if (b->data)
        b->data[0] = 0;
}

char *dm_buf_take(dm_buf *b, size_t *n)
{
    char *data = b->data ? b->data : dm_copy_bytes("", 0);
    if (n)
        *n = b->len;
    *b = (dm_buf){.max = b->max};
    return data;
}

char *dm_buf_room(dm_buf *b, size_t n)
{
    if (b->full || n > b->max || b->len > b->max - n) {
        b->full = true;
        return NULL;
    }
    size_t need = b->len + n + 1;
    if (need > b->cap) {
        size_t cap = b->cap ? b->cap : 192;
        while (cap < need)
            cap += cap / 2 + 64;
        b->data = dm_grow(b->data, cap, 1);
        b->cap = cap;
    }
    b->data[b->len + n] = 0;
    return b->data + b->len;
}

/* Whether they go into what is there already, the 0 behind them too: most additions do. */
static bool has_room(const dm_buf *b, size_t n)
{
    return !b->full && n < b->cap - b->len && n <= b->max - b->len;
}

void dm_buf_add(dm_buf *b, const void *p, size_t n)
{
    char *to = has_room(b, n) ? b->data + b->len : dm_buf_room(b, n);
    if (!to)
        return;
    to[n] = 0;
    if (n)
        memcpy(to, p, n);
    b->len += n;
}

void dm_buf_str(dm_buf *b, dm_str s)
{
    dm_buf_add(b, s.p, s.n);
}

void dm_buf_text(dm_buf *b, const char *s)
{
    dm_buf_add(b, s, strlen(s));
}

void dm_buf_char(dm_buf *b, char c)
{
    if (!has_room(b, 1)) {
        dm_buf_add(b, &c, 1);
        return;
    }
    b->data[b->len++] = c;
    b->data[b->len] = 0;
}

void dm_buf_printf(dm_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *to = n < 0 ? NULL : dm_buf_room(b, (size_t)n);
    if (!to)
        return;
    va_start(ap, fmt);
    vsnprintf(to, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

dm_str dm_buf_view(const dm_buf *b)
{
    return (dm_str){b->data ? b->data : "", b->len};
}
