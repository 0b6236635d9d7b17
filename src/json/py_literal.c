/* ast.literal_eval: Python's literals, as a language model may write them. */
#include "base/utf8.h"
#include "json/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 100

typedef struct scanner {
    dm_arena *arena;
    const char *p, *end;
    int depth;
} scanner;

static dm_value *expression(scanner *s);

static bool at_end(const scanner *s)
{
    return s->p >= s->end;
}

/* Blanks and comments; line ends only inside of brackets. */
static void skip(scanner *s)
{
    while (!at_end(s)) {
        if (*s->p == '#')
            while (!at_end(s) && *s->p != '\n')
                s->p++;
        else if (*s->p == ' ' || *s->p == '\t' || *s->p == '\f' ||
                 (s->depth && (*s->p == '\n' || *s->p == '\r')))
            s->p++;
        else
            return;
    }
}

static bool take(scanner *s, char c)
{
    skip(s);
    if (at_end(s) || *s->p != c)
        return false;
    s->p++;
    return true;
}

static bool word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (c & 0x80);
}

static dm_value *word(scanner *s)
{
    const char *start = s->p;
    while (!at_end(s) && word_char(*s->p))
        s->p++;
    dm_str t = {start, (size_t)(s->p - start)};
    if (dm_str_is(t, "True") || dm_str_is(t, "False"))
        return dm_value_bool(s->arena, t.p[0] == 'T');
    return dm_str_is(t, "None") ? dm_value_null(s->arena) : NULL;
}

/* ---- numbers: 5 +3 1_000 0x10 0b11 0o17 .5 5. 1e3 ---- */

static bool digit_of(char c, int base)
{
    if (base == 16)
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    return c >= '0' && c < '0' + base;
}

/* A letter or digit right behind a number. */
static bool joined(const scanner *s)
{
    return !at_end(s) && word_char(*s->p);
}

/* Digits with single _ between them; false: none, or a misplaced _. */
static bool digits(scanner *s, int base, dm_buf *out)
{
    bool any = false, gap = false;
    while (!at_end(s) && (digit_of(*s->p, base) || (*s->p == '_' && any && !gap))) {
        gap = *s->p == '_';
        if (!gap)
            dm_buf_char(out, *s->p);
        any = true;
        s->p++;
    }
    return any && !gap;
}

#define MAX_DIGITS 4300 /* of an int's decimal text, as Python has it */

/* Digits of base 2, 8 or 16 as decimal text, nine decimal digits a limb. */
static dm_value *to_decimal(dm_arena *a, dm_str digits, uint32_t base)
{
    uint32_t limbs[MAX_DIGITS / 9 + 2] = {0}; /* the lowest first */
    size_t n = 1, most = sizeof limbs / sizeof *limbs;
    for (size_t i = 0; i < digits.n; i++) {
        char c = digits.p[i];
        uint64_t carry = (uint64_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
        for (size_t k = 0; k < n; k++) {
            carry += (uint64_t)limbs[k] * base;
            limbs[k] = (uint32_t)(carry % 1000000000);
            carry /= 1000000000;
        }
        if (carry && n == most)
            return NULL;
        if (carry)
            limbs[n++] = (uint32_t)carry;
    }
    dm_buf b;
    dm_buf_init(&b, 9 * most + 1);
    dm_buf_printf(&b, "%u", limbs[n - 1]);
    for (size_t k = n - 1; k-- > 0;)
        dm_buf_printf(&b, "%09u", limbs[k]);
    dm_value *v = b.len <= MAX_DIGITS ? dm_value_digits(a, dm_buf_view(&b)) : NULL;
    dm_buf_free(&b);
    return v;
}

static dm_value *based(scanner *s, int base)
{
    dm_buf b;
    dm_value *v = NULL;
    dm_buf_init(&b, 4 * MAX_DIGITS);
    s->p += 2;
    if (!at_end(s) && *s->p == '_')
        s->p++;
    if (digits(s, base, &b) && !b.full && !joined(s))
        v = to_decimal(s->arena, dm_buf_view(&b), (uint32_t)base);
    dm_buf_free(&b);
    return v;
}

static dm_value *decimal(scanner *s)
{
    dm_buf b;
    dm_buf_init(&b, 100000);
    bool real = false, ok = true;
    const char *start = s->p;
    bool whole = digits(s, 10, &b);
    if (!whole && b.len)
        ok = false;
    if (ok && !at_end(s) && *s->p == '.') {
        real = true;
        dm_buf_char(&b, '.');
        s->p++;
        size_t before = b.len;
        bool fraction = digits(s, 10, &b);
        ok = fraction || (b.len == before && whole);
    }
    if (ok && !at_end(s) && (*s->p == 'e' || *s->p == 'E')) {
        real = true;
        dm_buf_char(&b, 'e');
        s->p++;
        if (!at_end(s) && (*s->p == '+' || *s->p == '-'))
            dm_buf_char(&b, *s->p++);
        ok = digits(s, 10, &b);
    }
    ok = ok && b.len && !b.full && !joined(s);
    if (ok && !real && start[0] == '0') /* 007 is an error, 000 is not */
        for (size_t i = 0; i < b.len; i++)
            ok = ok && b.data[i] == '0';
    if (ok && !real && b.len > MAX_DIGITS)
        ok = false; /* Python's limit of digits */
    dm_value *v = !ok    ? NULL
                  : real ? dm_value_float(s->arena, strtod(b.data, NULL))
                         : dm_value_digits(s->arena, dm_buf_view(&b));
    dm_buf_free(&b);
    return v;
}

static dm_value *number(scanner *s)
{
    if (s->end - s->p > 2 && s->p[0] == '0') {
        char c = (char)(s->p[1] | 32);
        if (c == 'x' || c == 'b' || c == 'o')
            return based(s, c == 'x' ? 16 : c == 'b' ? 2 : 8);
    }
    return decimal(s);
}

static dm_value *signed_number(scanner *s)
{
    bool negative = false;
    if (*s->p == '+' || *s->p == '-') { /* one at most: literal_eval takes no --5 */
        negative = *s->p++ == '-';
        skip(s);
    }
    if (at_end(s) || !(*s->p == '.' || (*s->p >= '0' && *s->p <= '9')))
        return NULL;
    dm_value *v = number(s);
    if (!v || !negative)
        return v;
    if (v->kind == DM_FLOAT)
        return dm_value_float(s->arena, -v->number);
    char *text = dm_arena_printf(s->arena, "-%s", v->text.p);
    return dm_value_digits(s->arena, dm_str_of(text));
}

/* ---- strings ---- */

static bool escape(scanner *s, dm_buf *b)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    char c = *++s->p;
    const char *at = memchr(from, c, sizeof from - 1);
    s->p++;
    if (at) {
        dm_buf_char(b, to[at - from]);
    } else if (c == '\n') {
        ; /* a line that goes on */
    } else if (c == 'x' || c == 'u' || c == 'U') {
        size_t n = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        char hex[9] = "", *stop;
        if ((size_t)(s->end - s->p) < n)
            return false;
        memcpy(hex, s->p, n);
        unsigned long cp = strtoul(hex, &stop, 16);
        if (*stop || cp > 0x10FFFF || (cp >= 0xD800 && cp < 0xE000))
            return false;
        s->p += n;
        dm_utf8_put(b, (uint32_t)cp);
    } else if (c >= '0' && c <= '7') {
        uint32_t v = (uint32_t)(c - '0');
        for (int i = 0; i < 2 && !at_end(s) && *s->p >= '0' && *s->p <= '7'; i++)
            v = v * 8 + (uint32_t)(*s->p++ - '0');
        dm_utf8_put(b, v);
    } else {
        dm_buf_char(b, '\\');
        dm_buf_char(b, c);
    }
    return true;
}

/* Where a string begins, with u or r before it or without: the place of its quote, else NULL. */
static const char *string_start(const scanner *s)
{
    const char *p = s->p;
    if (p < s->end && *p && strchr("uUrR", *p))
        p++;
    return p < s->end && (*p == '\'' || *p == '"') ? p : NULL;
}

static bool one_string(scanner *s, dm_buf *b)
{
    bool raw = (*s->p | 32) == 'r';
    s->p = string_start(s);
    char q = *s->p;
    bool triple = s->end - s->p >= 3 && s->p[1] == q && s->p[2] == q;
    s->p += triple ? 3 : 1;
    while (!at_end(s)) {
        if (*s->p == q && (!triple || (s->end - s->p >= 3 && s->p[1] == q && s->p[2] == q))) {
            s->p += triple ? 3 : 1;
            return true;
        }
        if ((*s->p == '\n' || *s->p == '\r') && !triple)
            return false;
        if (*s->p == '\\') {
            if (s->end - s->p < 2)
                return false;
            if (raw) {
                dm_buf_add(b, s->p, 2);
                s->p += 2;
            } else if (!escape(s, b)) {
                return false;
            }
        } else {
            dm_buf_char(b, *s->p++);
        }
    }
    return false;
}

static dm_value *string(scanner *s)
{
    dm_buf b;
    bool ok = true;
    dm_buf_init(&b, DM_MAX_TEXT);
    do { /* strings side by side are one */
        ok = one_string(s, &b);
        skip(s);
    } while (ok && string_start(s));
    dm_value *v = ok ? dm_value_string(s->arena, dm_buf_view(&b)) : NULL;
    dm_buf_free(&b);
    return v;
}

/* ---- containers ---- */

static dm_str key_text(scanner *s, const dm_value *key)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_py_str(&b, key);
    dm_str t = {dm_arena_string(s->arena, b.data ? b.data : "", b.len), b.len};
    dm_buf_free(&b);
    return t;
}

static dm_value *items(scanner *s, char closer, bool *comma)
{
    dm_value *list = dm_value_list(s->arena);
    *comma = false;
    for (;;) {
        if (take(s, closer))
            return list;
        const dm_value *v = expression(s);
        if (!v)
            return NULL;
        dm_value_append(s->arena, list, v);
        if (take(s, ',')) {
            *comma = true;
            continue;
        }
        return take(s, closer) ? list : NULL;
    }
}

static dm_value *braces(scanner *s)
{
    dm_value *dict = dm_value_dict(s->arena), *set = dm_value_list(s->arena);
    for (;;) {
        if (take(s, '}'))
            return set->n ? set : dict;
        const dm_value *key = expression(s), *v = NULL;
        if (!key)
            return NULL;
        bool pair = take(s, ':');
        if ((pair ? set->n : dict->n) || set->n >= DM_SET_MEMBERS)
            return NULL;
        if (pair) {
            v = expression(s);
            if (!v)
                return NULL;
            dm_value_set(s->arena, dict, key_text(s, key), v);
        } else {
            bool again = false;
            for (size_t i = 0; i < set->n; i++)
                again |= dm_value_equal(set->items[i], key);
            if (!again)
                dm_value_append(s->arena, set, key);
        }
        if (!take(s, ','))
            return take(s, '}') ? (set->n ? set : dict) : NULL;
    }
}

static dm_value *container(scanner *s)
{
    bool comma;
    dm_value *v;
    if (s->depth >= MAX_DEPTH)
        return NULL;
    char open = *s->p++;
    s->depth++;
    if (open == '{') {
        v = braces(s);
    } else {
        v = items(s, open == '[' ? ']' : ')', &comma);
        if (v && open == '(' && v->n == 1 && !comma)
            v = (dm_value *)(uintptr_t)v->items[0]; /* (5) is 5 */
    }
    s->depth--;
    return v;
}

static dm_value *expression(scanner *s)
{
    skip(s);
    if (at_end(s))
        return NULL;
    char c = *s->p;
    if (string_start(s))
        return string(s);
    if (c == '[' || c == '(' || c == '{')
        return container(s);
    if (c == '+' || c == '-' || c == '.' || (c >= '0' && c <= '9'))
        return signed_number(s);
    return word_char(c) ? word(s) : NULL;
}

/* Blank lines and lines of comment; ends at the start of a line, true if it passed one. */
static bool skip_lines(scanner *s)
{
    bool any = false;
    for (;;) {
        scanner look = *s;
        skip(&look);
        if (at_end(&look) || (*look.p != '\n' && *look.p != '\r'))
            return any;
        s->p = look.p + 1;
        any = true;
    }
}

dm_value *dm_py_literal(dm_arena *a, dm_str text)
{
    if (text.n && memchr(text.p, 0, text.n))
        return NULL;
    /* Leading blanks and tabs are dropped; lines without code may stand before and behind. */
    while (text.n && (text.p[0] == ' ' || text.p[0] == '\t'))
        text = (dm_str){text.p + 1, text.n - 1};
    scanner s = {a, text.p, text.p + text.n, 0};
    if (skip_lines(&s) && !at_end(&s) && (*s.p == ' ' || *s.p == '\t'))
        return NULL; /* an indented line */
    dm_value *v = expression(&s);
    if (!v)
        return NULL;
    skip(&s);
    if (!at_end(&s) && *s.p == ',') { /* 1, 2 is a tuple */
        dm_value *tuple = dm_value_list(a);
        dm_value_append(a, tuple, v);
        while (take(&s, ',')) {
            skip(&s);
            if (at_end(&s) || *s.p == '\n')
                break;
            v = expression(&s);
            if (!v)
                return NULL;
            dm_value_append(a, tuple, v);
        }
        v = tuple;
    }
    skip_lines(&s);
    skip(&s);
    return at_end(&s) ? v : NULL;
}
