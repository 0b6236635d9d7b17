/* Texts without what does not matter, and findings in their order. */
#include "advice/inside.h"
#include "base/utf8.h"

#include <string.h>

const char *dm_set_name(int set)
{
    static const char *const names[] = {"training", "validation", "test"};
    return names[set];
}

/* ---- texts ---- */

void dm_data_text(dm_buf *b, const dm_value *row, const dm_str *columns, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const dm_value *v = dm_value_get_str(row, columns[i]);
        if (v)
            dm_py_str(b, v);
        dm_buf_char(b, '\n');
    }
}

static bool is_digit(uint32_t cp)
{
    return cp >= '0' && cp <= '9';
}

static bool is_quote(uint32_t cp)
{
    return cp == '\'' || cp == '"' || cp == '`' || (cp >= 0x2018 && cp <= 0x201f);
}

static bool is_stop(uint32_t cp)
{
    return cp == '.' || cp == ',' || cp == ';' || cp == ':' || cp == '!' || cp == '?' ||
           cp == 0x2026;
}

dm_str dm_loose_text(dm_arena *a, dm_str text)
{
    dm_str s = dm_py_lower(a, text);
    uint32_t before = ' ';
    dm_buf b;
    dm_buf_init(&b, SIZE_MAX / 2);
    for (size_t pos = 0; pos < s.n;) {
        uint32_t cp = dm_utf8_next(s, &pos);
        size_t ahead = pos;
        uint32_t next = pos < s.n ? dm_utf8_next(s, &ahead) : ' ';
        bool number = is_digit(next) && (is_digit(before) || cp == '.');
        before = cp;
        if (is_quote(cp))
            continue;
        bool blank = dm_py_isspace(cp) || (is_stop(cp) && !number);
        if (!blank)
            dm_utf8_put(&b, cp);
        else if (b.len && b.data[b.len - 1] != ' ')
            dm_buf_char(&b, ' ');
    }
    while (b.len && b.data[b.len - 1] == ' ')
        b.len--;
    dm_str out = {dm_arena_string(a, b.data ? b.data : "", b.len), b.len};
    dm_buf_free(&b);
    return out.n ? out : text; /* of nothing but punctuation */
}

size_t dm_count_words(dm_str text)
{
    size_t n = 0;
    bool within = false;
    for (size_t pos = 0; pos < text.n;) {
        bool space = dm_py_isspace(dm_utf8_next(text, &pos));
        n += !space && !within;
        within = !space;
    }
    return n;
}

/* ---- findings ---- */

void dm_find(dm_looking *l, const char *code, bool fix, const char *text)
{
    dm_findings *f = l->out;
    size_t at = 0;
    if (f->n == DM_MOST_FINDINGS)
        return;
    for (at = 0; at < f->n && (!fix || f->list[at].fix);)
        at++;
    memmove(f->list + at + 1, f->list + at, (f->n - at) * sizeof *f->list);
    f->list[at] = (dm_finding){code, fix, text};
    f->n++;
}
