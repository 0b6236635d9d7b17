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
    return cp == '\'' || cp == '"' || cp == '`' || (cp >= 0x2018 && cp <= 0x201f) || cp == 0xab ||
           cp == 0xbb || (cp >= 0x300c && cp <= 0x300f);
}

/* Of sentences, in Latin and Greek, Arabic, Devanagari and Chinese. */
static bool is_stop(uint32_t cp)
{
    static const uint32_t stops[] = {'.',    ',',    ';',    ':',    '!',    '?',
                                     0xa1,   0xbf,   0x2026, 0x37e,  0x60c,  0x61b,
                                     0x61f,  0x6d4,  0x964,  0x965,  0x3001, 0x3002,
                                     0xff01, 0xff0c, 0xff0e, 0xff1a, 0xff1b, 0xff1f};
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++)
        if (cp == stops[i])
            return true;
    return false;
}

/* A letter of a script that has no blanks between words: Thai to Burmese, Khmer, kana, Chinese. */
static bool is_unspaced(uint32_t cp)
{
    return (cp >= 0xe00 && cp <= 0xeff) || (cp >= 0x1000 && cp <= 0x109f) ||
           (cp >= 0x1780 && cp <= 0x17ff) || (cp >= 0x3040 && cp <= 0x30ff) ||
           (cp >= 0x3400 && cp <= 0x9fff) || (cp >= 0xf900 && cp <= 0xfaff) ||
           (cp >= 0x20000 && cp <= 0x3ffff);
}

dm_str dm_loose_text(dm_arena *a, dm_str text)
{
    dm_str s = dm_py_lower(a, dm_nfd(a, text));
    uint32_t before = ' ';
    bool apart = false; /* the one before is a word of its own */
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
        bool unspaced = is_unspaced(cp);
        if ((blank || unspaced || apart) && b.len && b.data[b.len - 1] != ' ')
            dm_buf_char(&b, ' ');
        if (!blank)
            dm_utf8_put(&b, cp);
        apart = unspaced;
    }
    while (b.len && b.data[b.len - 1] == ' ')
        b.len--;
    dm_str out = {dm_arena_string(a, b.data ? b.data : "", b.len), b.len};
    dm_buf_free(&b);
    return out.n ? out : text; /* of nothing but punctuation */
}

bool dm_is_latin(dm_str text)
{
    size_t ascii = 0, all = 0;
    for (size_t pos = 0; pos < text.n;) {
        uint32_t cp = dm_utf8_next(text, &pos);
        bool blank = dm_py_isspace(cp);
        ascii += !blank && cp < 128;
        all += !blank;
    }
    return 2 * ascii >= all;
}

size_t dm_count_words(dm_str text)
{
    size_t n = 0, unspaced = 0;
    bool within = false;
    for (size_t pos = 0; pos < text.n;) {
        uint32_t cp = dm_utf8_next(text, &pos);
        bool own = is_unspaced(cp), between = own || dm_py_isspace(cp);
        unspaced += own;
        n += !between && !within;
        within = !between;
    }
    return n + (unspaced + 1) / 2;
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
