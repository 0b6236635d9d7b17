/* A strict JSON reader in one pass: RFC 8259, and Python's NaN and Infinity. */
#include "base/log.h"
#include "base/utf8.h"
#include "json/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct reader {
    dm_arena *arena;
    const char *p, *end;
    const char *line_start, *counted;
    uint32_t line, column;
    int depth;
    dm_error *err;
    bool failed;
    bool halves;       /* an unpaired surrogate is U+FFFD */
    bool valid;        /* the text is known to be UTF-8 */
    bool counts;       /* values are to say in which column they stand */
    const char *named; /* of the text: a key that comes twice is said, once. NULL: it is not */
} reader;

/* In characters, from 1; counted on from where it was asked last, so that a long line costs once.
 */
static uint32_t column_of(reader *r, const char *p)
{
    if (r->counted < r->line_start || r->counted > p) {
        r->counted = r->line_start;
        r->column = 1;
    }
    r->column += (uint32_t)dm_utf8_length((dm_str){r->counted, (size_t)(p - r->counted)});
    r->counted = p;
    return r->column;
}

static dm_value *fail(reader *r, const char *what)
{
    if (!r->failed)
        dm_fail(r->err, DM_E_DATA, "%u:%u: %s", r->line, column_of(r, r->p), what);
    r->failed = true;
    return NULL;
}

static void skip_space(reader *r)
{
    for (; r->p < r->end; r->p++) {
        if ((unsigned char)*r->p > ' ')
            return;
        if (*r->p == '\n') {
            r->line++;
            r->line_start = r->p + 1;
        } else if (*r->p != ' ' && *r->p != '\t' && *r->p != '\r') {
            return;
        }
    }
}

static int hex4(const char *p, const char *end)
{
    int v = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0)
            return -1;
        v = v * 16 + d;
    }
    return v;
}

/* After "\u": one code point, of one or two escapes. */
static bool read_escaped_code(reader *r, dm_buf *b)
{
    int high = hex4(r->p, r->end);
    if (high < 0) {
        fail(r, "four hexadecimal digits have to follow \\u");
        return false;
    }
    r->p += 4;
    uint32_t cp = (uint32_t)high;
    if (high >= 0xD800 && high < 0xDC00 && r->end - r->p >= 6 && r->p[0] == '\\' &&
        r->p[1] == 'u') {
        int low = hex4(r->p + 2, r->end);
        if (low >= 0xDC00 && low < 0xE000) {
            cp = 0x10000 + (((uint32_t)high - 0xD800) << 10) + ((uint32_t)low - 0xDC00);
            r->p += 6;
        }
    }
    if (cp >= 0xD800 && cp < 0xE000 && r->halves) {
        cp = 0xFFFD;
    } else if (cp >= 0xD800 && cp < 0xE000) {
        fail(r, "an unpaired surrogate escape");
        return false;
    }
    dm_utf8_put(b, cp);
    return true;
}

static bool read_escape(reader *r, dm_buf *b)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (++r->p >= r->end) {
        fail(r, "the text ends within a string");
        return false;
    }
    char c = *r->p++;
    if (c == 'u')
        return read_escaped_code(r, b);
    const char *at = memchr(from, c, sizeof from - 1);
    if (!at) {
        r->p--;
        fail(r, "no such escape in a string");
        return false;
    }
    dm_buf_char(b, to[at - from]);
    return true;
}

#define EACH(byte) (0x0101010101010101u * (byte))

/* The high bit of each byte that is 0, and maybe of some behind the first of them. */
static uint64_t zeros(uint64_t eight)
{
    return (eight - EACH(0x01)) & ~eight & EACH(0x80);
}

/* The first quote, backslash or control character from p on; end if there is none. */
static const char *plain_end(const char *p, const char *end)
{
    uint64_t eight;
    for (; end - p >= (ptrdiff_t)sizeof eight; p += sizeof eight) {
        memcpy(&eight, p, sizeof eight);
        uint64_t control = (eight - EACH(0x20)) & ~eight & EACH(0x80);
        uint64_t hits = control | zeros(eight ^ EACH('"')) | zeros(eight ^ EACH('\\'));
        if (hits && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
            return p + __builtin_ctzll(hits) / 8;
        if (hits)
            break;
    }
    while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
        p++;
    return p;
}

static bool read_long_string(reader *r, const char *start, dm_str *out)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_FILE);
    dm_buf_add(&b, start, (size_t)(r->p - start));
    while (r->p < r->end && *r->p != '"') {
        const char *from = r->p;
        r->p = plain_end(r->p, r->end);
        dm_buf_add(&b, from, (size_t)(r->p - from));
        if (r->p >= r->end || *r->p == '"')
            break;
        if (*r->p != '\\') {
            fail(r, "a control character in a string has to be escaped");
            break;
        }
        if (!read_escape(r, &b))
            break;
    }
    if (!r->failed && r->p >= r->end)
        fail(r, "the text ends within a string");
    if (!r->failed)
        *out = (dm_str){dm_arena_string(r->arena, b.data ? b.data : "", b.len), b.len};
    dm_buf_free(&b);
    return !r->failed;
}

/* At the opening quote; ends behind the closing one. */
static bool read_string(reader *r, dm_str *out)
{
    const char *start = ++r->p;
    r->p = plain_end(r->p, r->end);
    if (r->p < r->end && *r->p == '"')
        *out = (dm_str){dm_arena_string(r->arena, start, (size_t)(r->p - start)),
                        (size_t)(r->p - start)};
    else if (!read_long_string(r, start, out))
        return false;
    if (!r->valid && dm_utf8_valid(*out) < out->n) {
        r->p = start;
        fail(r, "a string with invalid UTF-8");
        return false;
    }
    r->p++;
    return true;
}

static const char *digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

static dm_value *read_number(reader *r)
{
    const char *start = r->p, *p = start + (*start == '-'), *whole = p;
    p = digits(p, r->end);
    if (p == whole)
        return fail(r, "a value is missing here");
    if (*whole == '0' && p > whole + 1)
        return fail(r, "a number must not begin with 0");
    bool fraction = false;
    if (p < r->end && *p == '.') {
        const char *after = digits(p + 1, r->end);
        if (after == p + 1)
            return fail(r, "digits have to follow the point of a number");
        p = after;
        fraction = true;
    }
    if (p < r->end && (*p == 'e' || *p == 'E')) {
        const char *e = p + 1;
        e += e < r->end && (*e == '+' || *e == '-');
        const char *after = digits(e, r->end);
        if (after == e)
            return fail(r, "digits have to follow the e of a number");
        p = after;
        fraction = true;
    }
    dm_str text = {start, (size_t)(p - start)};
    r->p = p;
    if (!fraction)
        return dm_value_digits(r->arena, text);
    char small[64], *copy = small; /* strtod wants an end, the text has none */
    if (text.n >= sizeof small)
        copy = dm_copy_bytes(text.p, text.n);
    else
        *(char *)mempcpy(small, text.p, text.n) = 0;
    double v = strtod(copy, NULL);
    if (copy != small)
        free(copy);
    return dm_value_float(r->arena, v);
}

static bool word(reader *r, const char *name)
{
    size_t n = strlen(name);
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, name, n) != 0)
        return false;
    r->p += n;
    return true;
}

static dm_value *read_value(reader *r);

static dm_value *read_list(reader *r)
{
    dm_value *list = dm_value_list(r->arena);
    r->p++;
    skip_space(r);
    if (r->p < r->end && *r->p == ']') {
        r->p++;
        return list;
    }
    for (;;) {
        const dm_value *item = read_value(r);
        if (!item)
            return NULL;
        dm_value_append(r->arena, list, item);
        skip_space(r);
        if (r->p < r->end && *r->p == ',') {
            r->p++;
        } else if (r->p < r->end && *r->p == ']') {
            r->p++;
            return list;
        } else {
            return fail(r, "a list goes on with , or ends with ]");
        }
    }
}

static dm_value *read_dict(reader *r)
{
    dm_value *dict = dm_value_dict(r->arena);
    r->p++;
    skip_space(r);
    if (r->p < r->end && *r->p == '}') {
        r->p++;
        return dict;
    }
    for (;;) {
        dm_str key;
        skip_space(r);
        if (r->p >= r->end || *r->p != '"')
            return fail(r, "a key in double quotes is missing here");
        const char *start = r->p;
        if (!read_string(r, &key))
            return NULL;
        if (r->named && !dm_str_starts(key, "//") && dm_value_get_str(dict, key)) {
            dm_log(DM_WARN, "%s:%u:%u: this key is here for the second time: the last one counts",
                   r->named, r->line, column_of(r, start));
            r->named = NULL;
        }
        skip_space(r);
        if (r->p >= r->end || *r->p != ':')
            return fail(r, "a : has to follow the key");
        r->p++;
        const dm_value *value = read_value(r);
        if (!value)
            return NULL;
        dm_value_set_kept(r->arena, dict, key, value);
        skip_space(r);
        if (r->p < r->end && *r->p == ',') {
            r->p++;
        } else if (r->p < r->end && *r->p == '}') {
            r->p++;
            return dict;
        } else {
            return fail(r, "an object goes on with , or ends with }");
        }
    }
}

static dm_value *read_plain(reader *r)
{
    dm_str s;
    if (*r->p == '"') {
        if (!read_string(r, &s))
            return NULL;
        return dm_value_string_kept(r->arena, s);
    }
    if (*r->p >= '0' && *r->p <= '9')
        return read_number(r);
    if (word(r, "true"))
        return dm_value_bool(r->arena, true);
    if (word(r, "false"))
        return dm_value_bool(r->arena, false);
    if (word(r, "null"))
        return dm_value_null(r->arena);
    if (word(r, "NaN"))
        return dm_value_float(r->arena, NAN);
    if (word(r, "Infinity"))
        return dm_value_float(r->arena, INFINITY);
    if (word(r, "-Infinity"))
        return dm_value_float(r->arena, -INFINITY);
    return read_number(r);
}

static dm_value *read_value(reader *r)
{
    skip_space(r);
    if (r->p >= r->end)
        return fail(r, "the text ends where a value is due");
    uint32_t line = r->line, column = r->counts ? column_of(r, r->p) : 0;
    dm_value *v;
    if (*r->p == '[' || *r->p == '{') {
        if (r->depth >= DM_JSON_DEPTH)
            return fail(r, "nested too deeply");
        r->depth++;
        v = *r->p == '[' ? read_list(r) : read_dict(r);
        r->depth--;
    } else {
        v = read_plain(r);
    }
    if (v) {
        v->line = line;
        v->column = column;
    }
    return v;
}

dm_value *dm_json_read_next(dm_arena *a, dm_str *rest, uint32_t *line, dm_error *err)
{
    reader r = {.arena = a,
                .p = rest->p,
                .end = rest->p + rest->n,
                .line_start = rest->p,
                .line = *line,
                .err = err,
                .counts = true};
    dm_value *v = read_value(&r);
    *line = r.line;
    *rest = (dm_str){r.p, (size_t)(r.end - r.p)};
    return v;
}

static dm_value *read_whole(dm_arena *a, dm_str text, bool decoded, const char *named,
                            dm_error *err)
{
    if (!text.p)
        text = DM_STR("");
    reader r = {.arena = a,
                .p = text.p,
                .end = text.p + text.n,
                .line_start = text.p,
                .line = 1,
                .err = err,
                .halves = decoded,
                .valid = decoded,
                .counts = !decoded,
                .named = named};
    dm_value *v = read_value(&r);
    if (!v)
        return NULL;
    skip_space(&r);
    return r.p == r.end ? v : fail(&r, "there is more text after the value");
}

dm_value *dm_json_read(dm_arena *a, dm_str text, dm_error *err)
{
    return read_whole(a, text, false, NULL, err);
}

dm_value *dm_json_read_written(dm_arena *a, dm_str text, const char *name, dm_error *err)
{
    return read_whole(a, text, false, name, err);
}

dm_value *dm_json_read_bytes(dm_arena *a, dm_str bytes, dm_error *err)
{
    dm_str text;
    if (dm_json_decode(a, bytes, &text, err) != DM_OK)
        return NULL;
    return read_whole(a, text, true, NULL, err);
}
