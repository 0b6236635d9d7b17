#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* ---- code points ---- */

/* Length of the valid sequence at p (n >= 1 bytes left) and its code point; 0: not valid. */
static size_t decode(const unsigned char *p, size_t n, uint32_t *cp)
{
    if (p[0] < 0x80) {
        *cp = p[0];
        return 1;
    }
    size_t len = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    if (p[0] < 0xC2 || p[0] > 0xF4 || n < len)
        return 0;
    uint32_t v = p[0] & (0x7Fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
        v = v << 6 | (p[i] & 0x3Fu);
    }
    if ((len == 3 && v < 0x800) || (len == 4 && (v < 0x10000 || v > 0x10FFFF)) ||
        (v >= 0xD800 && v <= 0xDFFF))
        return 0;
    *cp = v;
    return len;
}

/* How many bytes of s are ASCII before the first that is not. Eight at a time. */
static size_t ascii_start(dm_str s)
{
    size_t i = 0;
    uint64_t eight;
    for (; i + sizeof eight <= s.n; i += sizeof eight) {
        memcpy(&eight, s.p + i, sizeof eight);
        if (eight & 0x8080808080808080)
            break;
    }
    while (i < s.n && (unsigned char)s.p[i] < 0x80)
        i++;
    return i;
}

size_t dm_utf8_valid(dm_str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t i = 0;
    uint32_t cp;
    for (;;) {
        i += ascii_start((dm_str){s.p + i, s.n - i});
        size_t len = i < s.n ? decode(p + i, s.n - i, &cp) : 0;
        if (len == 0)
            return i;
        i += len;
    }
}

uint32_t dm_utf8_next(dm_str s, size_t *pos)
{
    uint32_t cp;
    size_t len = decode((const unsigned char *)s.p + *pos, s.n - *pos, &cp);
    *pos += len ? len : 1;
    return len ? cp : 0xFFFD;
}

void dm_utf8_put(dm_buf *b, uint32_t cp)
{
    char out[4];
    if (cp < 0x80) {
        dm_buf_char(b, (char)cp);
    } else if (cp < 0x800) {
        out[0] = (char)(0xC0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3F));
        dm_buf_add(b, out, 2);
    } else if (cp < 0x10000) {
        out[0] = (char)(0xE0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (char)(0x80 | (cp & 0x3F));
        dm_buf_add(b, out, 3);
    } else {
        out[0] = (char)(0xF0 | cp >> 18);
        out[1] = (char)(0x80 | (cp >> 12 & 0x3F));
        out[2] = (char)(0x80 | (cp >> 6 & 0x3F));
        out[3] = (char)(0x80 | (cp & 0x3F));
        dm_buf_add(b, out, 4);
    }
}

size_t dm_utf8_length(dm_str s)
{
    size_t n = 0, i = 0;
    uint64_t eight;
    for (; i + sizeof eight <= s.n; i += sizeof eight) {
        memcpy(&eight, s.p + i, sizeof eight);
        uint64_t inner = eight & ~(eight << 1) & 0x8080808080808080; /* bytes 10xxxxxx */
        n += sizeof eight - (inner ? (size_t)__builtin_popcountll(inner) : 0);
    }
    for (; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    return n;
}

dm_str dm_utf8_head(dm_str s, size_t most)
{
    size_t n = s.n < most ? s.n : most;
    while (n < s.n && n && ((unsigned char)s.p[n] & 0xC0) == 0x80)
        n--;
    return (dm_str){s.p, n};
}

/* ---- Python's text ---- */

bool dm_py_isspace(uint32_t cp)
{
    if (cp < 0x80)
        return (cp >= 9 && cp <= 13) || (cp >= 0x1C && cp <= 0x20);
    return cp == 0x85 || cp == 0xA0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) ||
           cp == 0x2028 || cp == 0x2029 || cp == 0x202F || cp == 0x205F || cp == 0x3000;
}

bool dm_py_isword(uint32_t cp)
{
    if (cp < 0x80)
        return (cp >= '0' && cp <= '9') || (cp >= 'A' && cp <= 'Z') || (cp >= 'a' && cp <= 'z') ||
               cp == '_';
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL: /* isnumeric */
    case UTF8PROC_CATEGORY_NO:
        return true;
    default:
        return false;
    }
}

bool dm_is_of_word(uint32_t cp)
{
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    bool mark = c == UTF8PROC_CATEGORY_MN || c == UTF8PROC_CATEGORY_MC || c == UTF8PROC_CATEGORY_ME;
    return mark || (cp != '_' && dm_py_isword(cp));
}

uint32_t dm_lower(uint32_t cp)
{
    return (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp);
}

dm_str dm_py_lstrip(dm_str s)
{
    size_t pos = 0;
    while (pos < s.n) {
        size_t at = pos;
        if (!dm_py_isspace(dm_utf8_next(s, &pos))) {
            pos = at;
            break;
        }
    }
    return (dm_str){s.p + pos, s.n - pos};
}

dm_str dm_py_rstrip(dm_str s)
{
    while (s.n > 0) {
        size_t at = s.n - 1, pos;
        while (at > 0 && ((unsigned char)s.p[at] & 0xC0) == 0x80)
            at--;
        pos = at;
        if (!dm_py_isspace(dm_utf8_next(s, &pos)))
            break;
        s.n = at;
    }
    return s;
}

dm_str dm_py_strip(dm_str s)
{
    return dm_py_rstrip(dm_py_lstrip(s));
}

static bool is_line_end(uint32_t cp)
{
    return (cp >= 0x0A && cp <= 0x0D) || (cp >= 0x1C && cp <= 0x1E) || cp == 0x85 || cp == 0x2028 ||
           cp == 0x2029;
}

bool dm_py_next_line(dm_str *rest, dm_str *line)
{
    size_t pos = 0;
    if (rest->n == 0)
        return false;
    while (pos < rest->n) {
        unsigned char c = (unsigned char)rest->p[pos];
        size_t at = pos;
        if (c >= 0x20 && c < 0x80) {
            pos++;
            continue;
        }
        uint32_t cp = dm_utf8_next(*rest, &pos);
        if (!is_line_end(cp))
            continue;
        if (cp == '\r' && pos < rest->n && rest->p[pos] == '\n')
            pos++;
        *line = (dm_str){rest->p, at};
        *rest = (dm_str){rest->p + pos, rest->n - pos};
        return true;
    }
    *line = *rest;
    *rest = (dm_str){rest->p + rest->n, 0};
    return true;
}

static void expand_tabs(dm_buf *b, dm_str s)
{
    size_t column = 0;
    for (size_t pos = 0; pos < s.n;) {
        size_t at = pos;
        uint32_t cp = dm_utf8_next(s, &pos);
        if (cp == '\t') {
            do
                dm_buf_char(b, ' ');
            while (++column % 8);
            continue;
        }
        dm_buf_add(b, s.p + at, pos - at);
        column = cp == '\n' || cp == '\r' ? 0 : column + 1;
    }
}

static bool split_newline(dm_str *rest, bool *more, dm_str *line)
{
    if (!*more)
        return false;
    const char *end = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;
    size_t n = end ? (size_t)(end - rest->p) : rest->n;
    *line = (dm_str){rest->p, n};
    *more = end != NULL;
    if (end)
        *rest = (dm_str){end + 1, rest->n - n - 1};
    return true;
}

/* inspect.cleandoc, step by step as contract 0.3 lists them. */
dm_str dm_py_cleandoc(dm_arena *a, dm_str text)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    expand_tabs(&b, text);
    dm_str all = dm_buf_view(&b), rest = all, line;
    size_t n = 0, margin = SIZE_MAX;
    bool more = true;
    for (; split_newline(&rest, &more, &line); n++) {
        dm_str content = dm_py_lstrip(line);
        if (n > 0 && content.n > 0) {
            size_t indent = dm_utf8_length((dm_str){line.p, line.n - content.n});
            margin = indent < margin ? indent : margin;
        }
    }
    dm_str *lines = dm_alloc_n(n, sizeof *lines);
    rest = all;
    more = true;
    for (size_t i = 0; split_newline(&rest, &more, &line); i++) {
        if (i == 0) {
            line = dm_py_lstrip(line);
        } else if (margin != SIZE_MAX) {
            size_t pos = 0;
            for (size_t k = 0; k < margin && pos < line.n; k++)
                dm_utf8_next(line, &pos);
            line = (dm_str){line.p + pos, line.n - pos};
        }
        lines[i] = line;
    }
    size_t from = 0;
    while (n > 0 && lines[n - 1].n == 0)
        n--;
    while (from < n && lines[from].n == 0)
        from++;
    dm_buf out;
    dm_buf_init(&out, DM_MAX_TEXT);
    for (size_t i = from; i < n; i++) {
        if (i > from)
            dm_buf_char(&out, '\n');
        dm_buf_str(&out, lines[i]);
    }
    dm_str result = {dm_arena_string(a, out.data ? out.data : "", out.len), out.len};
    free(lines);
    dm_buf_free(&b);
    dm_buf_free(&out);
    return result;
}

static bool is_cased(uint32_t cp)
{
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    if (c == UTF8PROC_CATEGORY_LU || c == UTF8PROC_CATEGORY_LL || c == UTF8PROC_CATEGORY_LT)
        return true; /* and Other_Lowercase, Other_Uppercase of PropList.txt */
    static const uint32_t other[][2] = {{0xAA, 0xAA},       {0xBA, 0xBA},      {0x2B0, 0x2B8},
                                        {0x2C0, 0x2C1},     {0x2E0, 0x2E4},    {0x345, 0x345},
                                        {0x37A, 0x37A},     {0x1D2C, 0x1D6A},  {0x1D78, 0x1D78},
                                        {0x1D9B, 0x1DBF},   {0x2071, 0x2071},  {0x207F, 0x207F},
                                        {0x2090, 0x209C},   {0x2160, 0x217F},  {0x24B6, 0x24E9},
                                        {0x2C7C, 0x2C7D},   {0xA69C, 0xA69D},  {0xA770, 0xA770},
                                        {0xA7F8, 0xA7F9},   {0xAB5C, 0xAB5F},  {0x1F130, 0x1F149},
                                        {0x1F150, 0x1F169}, {0x1F170, 0x1F189}};
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (cp >= other[i][0] && cp <= other[i][1])
            return true;
    return false;
}

static bool is_case_ignorable(uint32_t cp)
{
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
        return true;
    default: /* Word_Break of MidLetter, MidNumLet, Single_Quote */
        return cp == '\'' || cp == '.' || cp == ':' || cp == 0xB7 || cp == 0x387 || cp == 0x55F ||
               cp == 0x5F4 || cp == 0x2018 || cp == 0x2019 || cp == 0x2024 || cp == 0x2027 ||
               cp == 0xFE13 || cp == 0xFE52 || cp == 0xFE55 || cp == 0xFF07 || cp == 0xFF0E ||
               cp == 0xFF1A;
    }
}

/* Unicode's Final_Sigma: a cased letter before, none after, case-ignorable ones skipped. */
static bool is_final_sigma(dm_str s, size_t at, size_t after)
{
    bool before = false;
    for (size_t i = at; i > 0 && !before;) {
        size_t j = i - 1, pos;
        while (j > 0 && ((unsigned char)s.p[j] & 0xC0) == 0x80)
            j--;
        pos = j;
        uint32_t cp = dm_utf8_next(s, &pos);
        i = j;
        if (is_case_ignorable(cp))
            continue;
        if (!is_cased(cp))
            break;
        before = true;
    }
    while (before && after < s.n) {
        uint32_t cp = dm_utf8_next(s, &after);
        if (!is_case_ignorable(cp))
            return !is_cased(cp);
    }
    return before;
}

dm_str dm_py_lower(dm_arena *a, dm_str s)
{
    if (ascii_start(s) == s.n) {
        char *lower = dm_arena_string(a, s.p, s.n);
        for (size_t i = 0; i < s.n; i++)
            lower[i] = (char)(lower[i] >= 'A' && lower[i] <= 'Z' ? lower[i] + 32 : lower[i]);
        return (dm_str){lower, s.n};
    }
    dm_buf b;
    dm_buf_init(&b, DM_MAX_FILE);
    for (size_t pos = 0; pos < s.n;) {
        size_t at = pos;
        uint32_t cp = dm_utf8_next(s, &pos);
        if (cp == 0x130)
            dm_buf_text(&b, "i\xCC\x87");
        else if (cp == 0x3A3)
            dm_utf8_put(&b, is_final_sigma(s, at, pos) ? 0x3C2 : 0x3C3);
        else
            dm_utf8_put(&b, (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp));
    }
    dm_str out = {dm_arena_string(a, b.data ? b.data : "", b.len), b.len};
    dm_buf_free(&b);
    return out;
}

dm_str dm_nfd(dm_arena *a, dm_str s)
{
    if (ascii_start(s) == s.n)
        return s;
    utf8proc_uint8_t *out = NULL;
    utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)s.p, (utf8proc_ssize_t)s.n, &out,
                                      UTF8PROC_STABLE | UTF8PROC_DECOMPOSE);
    if (n < 0)
        return (dm_str){dm_arena_string(a, s.p, s.n), s.n};
    dm_str r = {dm_arena_string(a, (const char *)out, (size_t)n), (size_t)n};
    free(out);
    return r;
}

/* ---- the nearest name ---- */

static size_t edit_distance(const char *a, const char *b) /* Levenshtein, a row at a time */
{
    size_t n = strlen(a), m = strlen(b), row[65];
    if (n > 64 || m > 64)
        return SIZE_MAX;
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    return row[m];
}

/* As names are compared: "MIPROv2" is mipro_v2, "API-Base" api_base. */
static void fold(const char *name, char out[128])
{
    size_t n = 0;
    for (; *name && n + 1 < 128; name++)
        if (*name != '_' && *name != '-' && *name != ' ')
            out[n++] = (char)(*name >= 'A' && *name <= 'Z' ? *name - 'A' + 'a' : *name);
    out[n] = 0;
}

/* A word that is the beginning or the end of one name alone, such as "exact", or that begins with
 * one, such as "evaluate", means it. */
static const char *only_part(const char *word, const char *const *names, size_t n)
{
    const char *found = NULL;
    size_t length = strlen(word);
    char name[128];
    for (size_t i = 0; i < n && length >= 3; i++) {
        fold(names[i], name);
        size_t all = strlen(name), least = all < length ? all : length;
        bool begins = least >= 3 && strncmp(name, word, least) == 0;
        if (!begins && (all < length || strcmp(name + all - length, word) != 0))
            continue;
        if (found)
            return NULL;
        found = names[i];
    }
    return found;
}

const char *dm_nearest(const char *word, const char *const *names, size_t n)
{
    const char *best = NULL;
    char folded[128] = "", name[128] = "";
    fold(word, folded);
    size_t limit = strlen(folded) / 3 + 1, distance = limit + 1;
    for (size_t i = 0; i < n; i++) {
        fold(names[i], name);
        size_t d = edit_distance(folded, name);
        if (d < distance) {
            distance = d;
            best = names[i];
        }
    }
    return best ? best : only_part(folded, names, n);
}
