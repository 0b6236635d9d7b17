/* A tolerant scanner for what language models write when asked for JSON (contract 3.4, after the
 * behaviour of Python's json_repair): closers and commas may be missing, quotes of any kind or
 * none, comments, code fences and prose around. */
#include "base/utf8.h"
#include "json/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 200

typedef struct scanner {
    dm_arena *arena;
    const char *p, *end;
    int depth;
} scanner;

static dm_value *scan_value(scanner *s, char closer);

static bool at_end(const scanner *s)
{
    return s->p >= s->end;
}

static char peek(const scanner *s)
{
    return at_end(s) ? 0 : *s->p;
}

static void skip_comment(scanner *s)
{
    if (s->end - s->p >= 2 && s->p[0] == '/' && s->p[1] == '*') {
        s->p += 2;
        while (s->end - s->p >= 2 && !(s->p[0] == '*' && s->p[1] == '/'))
            s->p++;
        s->p = s->end - s->p >= 2 ? s->p + 2 : s->end;
        return;
    }
    while (!at_end(s) && *s->p != '\n' && *s->p != '\r')
        s->p++;
}

static bool is_comment(const scanner *s)
{
    return peek(s) == '#' ||
           (s->end - s->p >= 2 && s->p[0] == '/' && (s->p[1] == '/' || s->p[1] == '*'));
}

static void skip_blank(scanner *s)
{
    while (!at_end(s)) {
        size_t pos = 0;
        if (is_comment(s)) {
            skip_comment(s);
            continue;
        }
        if (!dm_py_isspace(dm_utf8_next((dm_str){s->p, (size_t)(s->end - s->p)}, &pos)))
            return;
        s->p += pos;
    }
}

/* Opening quotes: ' " and the curly ones; 0: none. The closing quote is of the same family. */
static size_t quote_at(const scanner *s, const char *p, char *family)
{
    if (p >= s->end)
        return 0;
    if (*p == '"' || *p == '\'') {
        *family = *p;
        return 1;
    }
    if (s->end - p >= 3 && memcmp(p, "\xE2\x80", 2) == 0) {
        if (p[2] == '\x9C' || p[2] == '\x9D') {
            *family = 'c';
            return 3;
        }
    }
    return 0;
}

static const char *skip_spaces(const scanner *s, const char *p)
{
    while (p < s->end && strchr(" \t\r\n", *p))
        p++;
    return p;
}

/* Whether what follows a quote is what follows a string: then the quote ends it, else it is one of
 * the text's own. */
static bool ends_string(const scanner *s, const char *after, bool key, char closer)
{
    const char *p = skip_spaces(s, after);
    char family;
    if (p >= s->end)
        return true;
    if (key)
        return *p == ':';
    if (*p == closer || strchr("]}", *p))
        return true;
    if (*p == ',') {
        if (closer == ']' || closer == ')')
            return true;
        p = skip_spaces(s, p + 1); /* in an object a key has to follow, or the end */
        if (p >= s->end || *p == '}')
            return true;
        size_t q = quote_at(s, p, &family);
        if (q == 0)
            return true;
        for (const char *k = p + q; k < s->end && *k != '\n'; k++) {
            char f;
            size_t m = quote_at(s, k, &f);
            if (m && f == family) {
                k = skip_spaces(s, k + m);
                return k < s->end && *k == ':';
            }
        }
        return false;
    }
    if (quote_at(s, p, &family) && p > after) /* a comma is missing: the next string begins here */
        return closer == ']' || closer == ')' || closer == 0;
    return closer == 0;
}

static void put_escape(scanner *s, dm_buf *b)
{
    char c = s->p[1];
    s->p += 2;
    switch (c) {
    case 'n':
        dm_buf_char(b, '\n');
        return;
    case 't':
        dm_buf_char(b, '\t');
        return;
    case 'r':
        dm_buf_char(b, '\r');
        return;
    case 'b':
        dm_buf_char(b, '\b');
        return;
    case 'f':
        dm_buf_char(b, '\f');
        return;
    case 'u':
        if (s->end - s->p >= 4) {
            char hex[5] = {s->p[0], s->p[1], s->p[2], s->p[3], 0}, *stop;
            unsigned long cp = strtoul(hex, &stop, 16);
            if (*stop == 0 && (cp < 0xD800 || cp > 0xDFFF)) {
                s->p += 4;
                dm_utf8_put(b, (uint32_t)cp);
                return;
            }
        }
        dm_buf_text(b, "\\u");
        return;
    case '"':
    case '\'':
    case '\\':
    case '/':
        dm_buf_char(b, c);
        return;
    default:
        dm_buf_char(b, '\\');
        dm_buf_char(b, c);
    }
}

static dm_str keep_text(scanner *s, dm_buf *b)
{
    dm_str t = {dm_arena_string(s->arena, b->data ? b->data : "", b->len), b->len};
    dm_buf_free(b);
    return t;
}

static dm_str scan_quoted(scanner *s, bool key, char closer)
{
    char family = 0, f;
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    s->p += quote_at(s, s->p, &family);
    const char *start = s->p;
    while (!at_end(s)) {
        size_t q = quote_at(s, s->p, &f);
        if (q && f == family && ends_string(s, s->p + q, key, closer)) {
            s->p += q;
            return keep_text(s, &b);
        }
        if (*s->p == '\\' && s->end - s->p >= 2)
            put_escape(s, &b);
        else
            dm_buf_char(&b, *s->p++);
    }
    /* No closing quote: in a list or an object the closer that ends the text is not part of it. */
    dm_str t = keep_text(s, &b);
    (void)start;
    if (closer && t.n) {
        dm_str cut = dm_py_rstrip(t);
        while (cut.n && strchr("]})", cut.p[cut.n - 1]))
            cut = dm_py_rstrip((dm_str){cut.p, cut.n - 1});
        t = (dm_str){dm_arena_string(s->arena, cut.p, cut.n), cut.n};
    }
    return t;
}

static dm_value *number_of(scanner *s, dm_str t)
{
    size_t i = t.n && (t.p[0] == '-'), whole = i;
    bool real = false;
    while (i < t.n && t.p[i] >= '0' && t.p[i] <= '9')
        i++;
    if (i == whole && !(i < t.n && t.p[i] == '.'))
        return NULL;
    size_t digits = i - whole;
    if (i < t.n && t.p[i] == '.') {
        real = true;
        for (i++; i < t.n && t.p[i] >= '0' && t.p[i] <= '9'; i++)
            digits++;
    }
    if (digits == 0)
        return NULL;
    if (i < t.n && (t.p[i] == 'e' || t.p[i] == 'E')) {
        size_t e = i + 1;
        e += e < t.n && (t.p[e] == '+' || t.p[e] == '-');
        size_t from = e;
        while (e < t.n && t.p[e] >= '0' && t.p[e] <= '9')
            e++;
        if (e == from)
            return NULL;
        real = true;
        i = e;
    }
    if (i != t.n)
        return NULL;
    char *copy = dm_arena_string(s->arena, t.p, t.n);
    return real ? dm_value_float(s->arena, strtod(copy, NULL)) : dm_value_digits(s->arena, t);
}

static dm_value *word_of(scanner *s, dm_str t)
{
    char low[8] = "";
    for (size_t i = 0; i < t.n && t.n < 8; i++)
        low[i] = (char)(t.p[i] >= 'A' && t.p[i] <= 'Z' ? t.p[i] + 32 : t.p[i]);
    if (strcmp(low, "true") == 0 || strcmp(low, "false") == 0)
        return dm_value_bool(s->arena, low[0] == 't');
    if (strcmp(low, "null") == 0 || strcmp(low, "none") == 0)
        return dm_value_null(s->arena);
    return NULL;
}

/* Text without quotes, up to what can end it here. */
static dm_str scan_bare(scanner *s, bool key, char closer)
{
    const char *start = s->p;
    while (!at_end(s)) {
        char c = *s->p;
        if (key ? c == ':' || c == '}' || c == ','
                : c == ',' || c == closer || (closer && strchr("]}", c)))
            break;
        if (!key && c == '\n' && closer)
            break;
        s->p++;
    }
    return dm_py_strip((dm_str){start, (size_t)(s->p - start)});
}

static dm_value *scan_bare_value(scanner *s, char closer)
{
    const char *start = s->p;
    dm_str t = scan_bare(s, false, closer);
    dm_value *v = number_of(s, t);
    if (!v) { /* numbers side by side: a comma is missing */
        const char *p = start;
        while (p < s->p && !strchr(" \t\r\n", *p))
            p++;
        dm_str first = {start, (size_t)(p - start)};
        if (first.n < t.n && (v = number_of(s, first)))
            s->p = p;
    }
    if (!v)
        v = word_of(s, t);
    if (v)
        return v;
    if (t.n == 0)
        return NULL;
    dm_value *text = dm_value_string(s->arena, t);
    return text;
}

static dm_value *scan_list(scanner *s, char closer)
{
    dm_value *list = dm_value_list(s->arena);
    s->p++;
    for (;;) {
        skip_blank(s);
        if (at_end(s))
            return list;
        if (*s->p == closer) {
            s->p++;
            return list;
        }
        if (*s->p == '}' || *s->p == ']' || *s->p == ')') { /* somebody else's closer */
            if (*s->p == '}' || s->depth > 1)
                return list;
            s->p++;
            continue;
        }
        if (*s->p == ',') {
            s->p++;
            continue;
        }
        const char *before = s->p;
        char family;
        bool quoted = quote_at(s, s->p, &family) != 0;
        dm_value *v = scan_value(s, closer);
        bool dots = v && !quoted && v->kind == DM_STRING && dm_str_is(v->text, "...");
        if (v && !dots)
            dm_value_append(s->arena, list, v);
        if (s->p == before)
            s->p++;
    }
}

/* {1, 2}: a set. Told from an object by the first item, behind which no : stands. */
static bool is_set(const scanner *s)
{
    scanner look = *s;
    char family;
    look.p++;
    skip_blank(&look);
    if (at_end(&look) || peek(&look) == '}' || peek(&look) == '{' || peek(&look) == '[')
        return false;
    if (quote_at(&look, look.p, &family)) {
        size_t q = quote_at(&look, look.p, &family), m = 0;
        char f;
        look.p += q;
        while (!at_end(&look)) {
            m = quote_at(&look, look.p, &f);
            if (m && f == family)
                break;
            look.p += *look.p == '\\' && look.end - look.p > 1 ? 2 : 1;
        }
        if (at_end(&look))
            return false;
        look.p += m;
        skip_blank(&look);
        return peek(&look) == ',' || peek(&look) == '}';
    }
    while (!at_end(&look) && !strchr(":,}\n", *look.p))
        look.p++;
    return peek(&look) == ',' || peek(&look) == '}';
}

static dm_value *scan_dict(scanner *s)
{
    dm_value *dict = dm_value_dict(s->arena);
    s->p++;
    for (;;) {
        char family;
        skip_blank(s);
        if (at_end(s))
            return dict;
        if (*s->p == '}') {
            s->p++;
            return dict;
        }
        if (*s->p == ']' && s->depth > 1)
            return dict;
        if (strchr(",:;]", *s->p)) {
            s->p++;
            continue;
        }
        const char *before = s->p;
        dm_str key =
            quote_at(s, s->p, &family) ? scan_quoted(s, true, '}') : scan_bare(s, true, '}');
        skip_blank(s);
        dm_value *v = NULL;
        if (peek(s) == ':') {
            s->p++;
            skip_blank(s);
            if (!at_end(s) && *s->p != '}' && *s->p != ',')
                v = scan_value(s, '}');
            dm_value_set(s->arena, dict, key, v ? v : dm_value_text(s->arena, ""));
        } else if (key.n) {
            dm_value_set(s->arena, dict, key, dm_value_text(s->arena, ""));
        }
        if (s->p == before)
            s->p++;
    }
}

static dm_value *scan_value(scanner *s, char closer)
{
    char family;
    dm_value *v;
    skip_blank(s);
    if (at_end(s))
        return NULL;
    if (quote_at(s, s->p, &family))
        return dm_value_string(s->arena, scan_quoted(s, false, closer));
    if (*s->p != '{' && *s->p != '[' && *s->p != '(')
        return scan_bare_value(s, closer);
    if (s->depth >= MAX_DEPTH) {
        s->p = s->end;
        return NULL;
    }
    s->depth++;
    if (*s->p == '[')
        v = scan_list(s, ']');
    else if (*s->p == '(')
        v = scan_list(s, ')');
    else
        v = is_set(s) ? scan_list(s, '}') : scan_dict(s);
    s->depth--;
    return v;
}

/* ---- the top level ---- */

static bool same_shape(const dm_value *a, const dm_value *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == DM_LIST)
        return true;
    if (a->kind != DM_DICT || a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!dm_value_get_str(b, a->members[i].key))
            return false;
    return true;
}

/* Where the next value begins: a bracket, or "quoted" text before anything else. */
static bool find_start(scanner *s)
{
    while (!at_end(s)) {
        if (is_comment(s) && *s->p != '#')
            skip_comment(s);
        else if (*s->p == '{' || *s->p == '[')
            return true;
        else
            s->p++;
    }
    return false;
}

static dm_value *top_level(scanner *s)
{
    dm_value *all = dm_value_list(s->arena);
    while (find_start(s)) {
        dm_value *v = scan_value(s, 0);
        if (!v)
            continue;
        if (all->n && same_shape(all->items[all->n - 1], v) && v->kind == DM_LIST)
            all->items[all->n - 1] = v;
        else
            dm_value_append(s->arena, all, v);
    }
    if (all->n == 0)
        return NULL;
    return all->n == 1 ? (dm_value *)(uintptr_t)all->items[0] : all;
}

/* A tuple, a bare quoted string: what begins before any { or [. */
static dm_value *leading_value(scanner *s)
{
    scanner look = *s;
    skip_blank(&look);
    if (peek(&look) == '"') {
        dm_value *v = dm_value_string(s->arena, scan_quoted(&look, false, 0));
        skip_blank(&look);
        return at_end(&look) ? v : NULL;
    }
    if (peek(&look) != '(')
        return NULL;
    const char *inner = look.p + 1;
    bool comma = false;
    for (; inner < look.end && *inner != ')'; inner++)
        comma |= *inner == ',';
    if (!comma)
        return NULL;
    dm_value *v = scan_value(&look, 0);
    skip_blank(&look);
    return at_end(&look) ? v : NULL;
}

dm_value *dm_json_repair(dm_arena *a, dm_str text)
{
    dm_value *v = dm_json_read(a, text, NULL);
    if (v)
        return v;
    scanner s = {a, text.p, text.p + text.n, 0};
    v = leading_value(&s);
    if (!v)
        v = top_level(&s);
    return v ? v : dm_value_text(a, "");
}
