/* The texts of damaged JSON: with quotes or without, up to what ends them.
 *
 * The hard question is whether a quote ends its string or belongs to the text. It is answered by
 * what follows: the next two quotes tell whether a key comes next (dm_repair_look). */
#include "json/repair.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

/* A comment ends with its line, or where a container that is open ends. */
static void skip_comment(dm_repair *s)
{
    if (s->end - s->p >= 2 && s->p[0] == '/' && s->p[1] == '*') {
        s->p += 2;
        while (s->end - s->p >= 2 && !(s->p[0] == '*' && s->p[1] == '/'))
            s->p++;
        s->p = s->end - s->p >= 2 ? s->p + 2 : s->end;
        return;
    }
    while (!dm_repair_at_end(s) && *s->p != '\n' && *s->p != '\r' && !(*s->p == ']' && s->lists) &&
           !(*s->p == '}' && s->dicts))
        s->p++;
}

static bool is_comment(const dm_repair *s)
{
    return dm_repair_peek(s) == '#' ||
           (s->end - s->p >= 2 && s->p[0] == '/' && (s->p[1] == '/' || s->p[1] == '*'));
}

bool dm_repair_skip_slashes(dm_repair *s)
{
    if (!is_comment(s) || *s->p == '#')
        return false;
    skip_comment(s);
    return true;
}

void dm_repair_skip_blank(dm_repair *s)
{
    while (!dm_repair_at_end(s)) {
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

const char *dm_repair_skip_spaces(const dm_repair *s, const char *p)
{
    while (p < s->end && strchr(" \t\r\n", *p) && *p)
        p++;
    return p;
}

/* ---- quotes ---- */

/* The length of the quote at p, 0 for none: ' " and the curly ones; family: what closes it. */
size_t dm_repair_quote_at(const dm_repair *s, const char *p, char *family)
{
    if (p >= s->end)
        return 0;
    if (*p == '"' || *p == '\'') {
        *family = *p;
        return 1;
    }
    if (s->end - p >= 3 && memcmp(p, "\xE2\x80", 2) == 0 && (p[2] == '\x9C' || p[2] == '\x9D')) {
        *family = 'c';
        return 3;
    }
    return 0;
}

/* The same for one that can close a string of this family. */
static size_t closer_at(const dm_repair *s, const char *p, char family)
{
    char f;
    size_t n = dm_repair_quote_at(s, p, &f);
    return n && f == family && (family != 'c' || p[2] == '\x9D') ? n : 0;
}

static const char *next_quote(const dm_repair *s, const char *p, char family)
{
    char f;
    for (; p < s->end; p++) {
        if (*p == '\\')
            p++;
        else if (dm_repair_quote_at(s, p, &f) && f == family)
            return p;
    }
    return s->end;
}

const dm_ahead *dm_repair_look(dm_repair *s, const char *p, char family)
{
    dm_ahead *a = &s->seen;
    char f;
    if (a->from && a->family == family && p >= a->from && p <= a->quote)
        return a;
    a->from = p;
    a->family = family;
    a->quote = next_quote(s, p, family);
    a->second = a->quote < s->end
                    ? next_quote(s, a->quote + dm_repair_quote_at(s, a->quote, &f), family)
                    : s->end;
    const char *behind =
        a->second < s->end
            ? dm_repair_skip_spaces(s, a->second + dm_repair_quote_at(s, a->second, &f))
            : s->end;
    a->key = behind < s->end && *behind == ':';
    return a;
}

static bool contains(const char *from, const char *to, char c)
{
    return to > from && memchr(from, c, (size_t)(to - from)) != NULL;
}

/* Whether what separates values, or the end, follows. */
bool dm_repair_separates(const dm_repair *s, const char *p)
{
    p = dm_repair_skip_spaces(s, p);
    return p >= s->end || strchr(",]}):", *p);
}

/* Past closers and blanks, at the end of a text. */
static const char *skip_closers(const dm_repair *s, const char *p)
{
    while (p < s->end && strchr("]}) \t\r\n", *p) && *p)
        p++;
    return p;
}

/* Whether the quote before `after` ends a key. */
static bool ends_key(dm_repair *s, const char *after, char family)
{
    const char *p = dm_repair_skip_spaces(s, after);
    char f;
    return p >= s->end || *p == ':' || dm_repair_quote_at(s, p, &f) ||
           dm_repair_look(s, after, family)->quote >= s->end;
}

/* Whether it ends the value of a member. open: a quote of the text's own is not closed yet. */
static bool ends_member(dm_repair *s, const char *after, char family, bool open)
{
    const char *p = dm_repair_skip_spaces(s, after);
    if (p >= s->end || *p == ']')
        return true;
    if (*p ==
        '}') /* at the end of the whole text it closes the quote that is open, not the string */
        return !open || skip_closers(s, p) < s->end;
    const dm_ahead *a = dm_repair_look(s, after, family);
    if (a->quote >= s->end || a->key)
        return true;
    return *p == ',' && !open;
}

/* Whether it ends an item of a list: what follows it, or the quote behind it, separates items. */
static bool ends_item(dm_repair *s, const char *after, char family, bool open)
{
    const char *p = dm_repair_skip_spaces(s, after), *next;
    char f;
    if (p >= s->end || strchr("]})", *p))
        return true;
    if (*p == ',')
        return !open || dm_repair_quote_at(s, dm_repair_skip_spaces(s, p + 1), &f);
    const dm_ahead *a = dm_repair_look(s, after, family);
    if (a->quote >= s->end || *p == ':')
        return true;
    if (open)
        return false;
    if (a->quote == p) /* a comma is missing, or the quote of a quoted word at the end */
        return p > after || !dm_repair_separates(s, p + dm_repair_quote_at(s, p, &f));
    next = a->quote + dm_repair_quote_at(s, a->quote, &f);
    return contains(after, a->quote, ',') || dm_repair_separates(s, next);
}

static bool ends_text(dm_repair *s, dm_place where, const char *after, char family, bool open)
{
    switch (where) {
    case DM_KEY:
        return ends_key(s, after, family);
    case DM_MEMBER:
        return ends_member(s, after, family, open);
    case DM_ITEM:
        return ends_item(s, after, family, open);
    case DM_TOP:
        break;
    }
    return true;
}

/* ---- texts ---- */

/* \u1234 and \x12; what is none stays as it stands. */
static void put_hex(dm_repair *s, dm_buf *b, char kind, size_t digits)
{
    char hex[5] = "", *stop = hex;
    unsigned long cp = 0;
    if ((size_t)(s->end - s->p) >= digits) {
        memcpy(hex, s->p, digits);
        cp = strtoul(hex, &stop, 16);
    }
    if (stop == hex + digits && dm_repair_word_char(hex[0]) && (cp < 0xD800 || cp > 0xDFFF)) {
        s->p += digits;
        dm_utf8_put(b, (uint32_t)cp);
        return;
    }
    dm_buf_char(b, '\\');
    dm_buf_char(b, kind);
}

static void put_escape(dm_repair *s, dm_buf *b)
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
    case 'u':
    case 'x':
        put_hex(s, b, c, c == 'u' ? 4 : 2);
        return;
    case '"':
    case '\'':
    case '\\':
        dm_buf_char(b, c);
        return;
    default:
        dm_buf_char(b, '\\');
        dm_buf_char(b, c);
    }
}

/* After the first quote of a string comes another: it is doubled if what follows the next is. */
static bool doubled(dm_repair *s, dm_place where, char family)
{
    size_t n = closer_at(s, s->p, family);
    if (n == 0)
        return false;
    const dm_ahead *a = dm_repair_look(s, s->p + n, family);
    char f;
    if (a->quote >= s->end || where == DM_KEY)
        return true;
    const char *p = dm_repair_skip_spaces(s, a->quote + dm_repair_quote_at(s, a->quote, &f));
    return p >= s->end || strchr(",]})", *p) || closer_at(s, a->quote + n, family);
}

/* "" is the empty string if what separates follows it, or, with a comma missing, a key or an item.
 */
static bool empty_text(dm_repair *s, dm_place where, char family)
{
    size_t n = closer_at(s, s->p, family);
    if (n == 0)
        return false;
    const char *after = s->p + n, *p = dm_repair_skip_spaces(s, after);
    const dm_ahead *a = dm_repair_look(s, after, family);
    return dm_repair_separates(s, after) ||
           (p > after && a->quote == p && (where == DM_ITEM || a->key));
}

/* In a member a comma ends a text whose closing quote is missing, or that never had one, if a key
 * follows. */
static bool comma_ends(dm_repair *s, dm_place where, char family, bool quoted, bool *first)
{
    if (where == DM_ITEM)
        return !quoted;
    if (where != DM_MEMBER)
        return false;
    const dm_ahead *a = dm_repair_look(s, s->p + 1, family);
    bool is_first = *first;
    *first = false;
    if (a->key)
        return true;
    if (quoted || !is_first)
        return false;
    const char *p = dm_repair_skip_spaces(s, s->p + 1);
    if (p >= s->end || *p == '}')
        return true;
    const char *word = p;
    while (p < s->end && dm_repair_word_char(*p))
        p++;
    return p > word && p < s->end && *p == ':';
}

dm_str dm_repair_keep(dm_repair *s, dm_buf *b)
{
    dm_str t = {dm_arena_string(s->arena, b->data ? b->data : "", b->len), b->len};
    dm_buf_free(b);
    return t;
}

/* No quote closed it: the closers at its end are those of what is open. */
static dm_str without_closers(dm_repair *s, dm_str t)
{
    t = dm_py_rstrip(t);
    if (s->depth)
        while (t.n && strchr("]}", t.p[t.n - 1]))
            t = dm_py_rstrip((dm_str){t.p, t.n - 1});
    return t;
}

/* A key whose closing quote is missing ends at the colon before a value. */
static bool colon_ends(dm_repair *s, dm_place where, char family)
{
    const char *p = dm_repair_skip_spaces(s, s->p + 1);
    char f;
    if (where != DM_KEY || p >= s->end)
        return false;
    return *p == '[' || (dm_repair_quote_at(s, p, &f) && !dm_repair_separates(s, p + 1)) ||
           dm_repair_look(s, p, family)->quote >= s->end;
}

/* The text whose closing quote is missing goes up to the closers before s->p, and so does s->p. */
static dm_str before_closers(dm_repair *s, dm_buf *b)
{
    size_t n = b->len;
    while (n && strchr("]} \t\r\n", b->data[n - 1]) &&
           s->p[(ptrdiff_t)(n - b->len) - 1] == b->data[n - 1])
        n--;
    if (n == b->len || !strchr(" \t\r\n", b->data[n]))
        n = b->len; /* {x} is the text's own */
    s->p -= b->len - n;
    b->len = n;
    return dm_py_rstrip(dm_repair_keep(s, b));
}

/* A text in quotes. */
dm_str dm_repair_quoted(dm_repair *s, dm_place where)
{
    char family = '"';
    bool open = false, first = true, twice = false;
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    s->p += dm_repair_quote_at(s, s->p, &family);
    if (empty_text(s, where, family)) {
        s->p += closer_at(s, s->p, family);
        return dm_repair_keep(s, &b);
    }
    if ((twice = doubled(s, where, family)))
        s->p += closer_at(s, s->p, family);
    while (!dm_repair_at_end(s)) {
        size_t n = closer_at(s, s->p, family);
        const char *after = s->p + n;
        bool again = n && closer_at(s, after, family);
        if (again && (twice || (where == DM_KEY && after + n < s->end && after[n] == ':')))
            after += n;
        if (n && ends_text(s, where, after, family, open)) {
            s->p = after;
            dm_str t = dm_repair_keep(s, &b);
            return t.n && t.p[t.n - 1] == '\n' ? dm_py_rstrip(t) : t;
        }
        open ^= n != 0;
        if (*s->p == ':' && colon_ends(s, where, family))
            return dm_py_rstrip(dm_repair_keep(s, &b));
        if (*s->p == ',' && comma_ends(s, where, family, true, &first))
            return before_closers(s, &b);
        if (*s->p == '\\' && s->end - s->p >= 2)
            put_escape(s, &b);
        else
            dm_buf_char(&b, *s->p++);
    }
    return without_closers(s, dm_repair_keep(s, &b));
}

/* A text without quotes, up to what can end it here. The quote that ends it is read too: the one
 * at its beginning was missing. */
dm_str dm_repair_unquoted(dm_repair *s, dm_place where)
{
    bool first = true;
    size_t braces = 0;
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    while (!dm_repair_at_end(s)) {
        if (*s->p == '"') {
            s->p++;
            break;
        }
        if (*s->p == ',' && comma_ends(s, where, '"', false, &first))
            break;
        if ((*s->p == '}' && braces == 0) || (*s->p == ']' && where == DM_ITEM))
            break;
        braces += (*s->p == '{') - (*s->p == '}');
        if (*s->p == '\\' && s->end - s->p >= 2)
            put_escape(s, &b);
        else
            dm_buf_char(&b, *s->p++);
    }
    dm_str t = dm_repair_keep(s, &b);
    return dm_repair_at_end(s) ? without_closers(s, t) : dm_py_rstrip(t);
}
