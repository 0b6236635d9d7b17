/* A tolerant scanner for what language models write when asked for JSON (contract 3.4, after the
 * behaviour of Python's json_repair): closers, commas, colons and quotes may be missing, quotes of
 * any kind may stand inside of text, comments, code fences, units and prose around. */
#include "base/utf8.h"
#include "json/json.h"
#include "json/repair.h"

#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 200

static dm_value *scan_value(dm_repair *s, dm_place where);

/* ---- numbers and words ---- */

/* The number that t is, with + and _ as Python has them; NULL: none. */
static dm_value *number_of(dm_repair *s, dm_str t)
{
    dm_buf b;
    bool real = false, sign = t.n && (t.p[0] == '-' || t.p[0] == '+');
    char *end;
    dm_buf_init(&b, DM_MAX_TEXT);
    for (size_t i = sign && t.p[0] == '+'; i < t.n; i++) {
        bool between =
            i && i + 1 < t.n && dm_repair_digit(t.p[i - 1]) && dm_repair_digit(t.p[i + 1]);
        real |= strchr(".eE", t.p[i]) != NULL;
        if (t.p[i] != '_' || !between)
            dm_buf_char(&b, t.p[i]);
    }
    dm_str plain = dm_repair_keep(s, &b);
    if (plain.n == 0 || strpbrk(plain.p, "_/,") || (sign && plain.n > 1 && plain.p[1] == '-'))
        return NULL;
    double v = strtod(plain.p, &end);
    if (*end || end == plain.p)
        return NULL;
    return real ? dm_value_float(s->arena, v) : dm_value_digits(s->arena, plain);
}

static dm_value *word_of(dm_repair *s, dm_str t)
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

/* Digits and what stands in numbers, dates and fractions; in a member commas too: 1,000. */
static dm_str number_like(const dm_repair *s, dm_place where)
{
    const char *p = s->p;
    if (p < s->end && !dm_repair_digit(*p) && !strchr("+-.", *p))
        return (dm_str){p, 0};
    while (p < s->end &&
           (dm_repair_digit(*p) || (*p && strchr("+-._/eE", *p)) ||
            (*p == ',' && where == DM_MEMBER && p + 1 < s->end && dm_repair_digit(p[1]))))
        p++;
    return (dm_str){s->p, (size_t)(p - s->p)};
}

/* What stands before a value and is none: $5, ~5, **word**. */
static void skip_signs(dm_repair *s)
{
    char f;
    while (!dm_repair_at_end(s) && !strchr("+-.,:]})", *s->p) && !dm_repair_quote_at(s, s->p, &f)) {
        size_t n = 0;
        uint32_t cp = dm_utf8_next((dm_str){s->p, (size_t)(s->end - s->p)}, &n);
        bool sign =
            cp < 128 ? !dm_repair_word_char((char)cp) : cp <= 0xBF || (cp >= 0x2000 && cp < 0x2C00);
        if (!sign)
            return;
        s->p += n;
    }
}

/* A value without quotes. NULL: there is none here. */
static dm_value *scan_plain(dm_repair *s, dm_place where)
{
    skip_signs(s);
    if (dm_repair_at_end(s) || strchr(",:]})\"'", *s->p))
        return NULL;
    dm_str t = number_like(s, where);
    if (t.n && (t.p + t.n >= s->end || !dm_repair_letter(t.p[t.n]))) {
        dm_value *v = number_of(s, t);
        s->p += t.n;
        return v || where != DM_ITEM || t.p[0] != '-' || t.n > 1
                   ? v ? v : dm_value_string(s->arena, t)
                   : NULL;
    }
    const char *p = s->p;
    while (p < s->end && dm_repair_word_char(*p))
        p++;
    dm_value *v = word_of(s, (dm_str){s->p, (size_t)(p - s->p)});
    if (v) {
        s->p = p;
        return v;
    }
    return dm_value_string(s->arena, dm_repair_unquoted(s, where));
}

/* ---- containers ---- */

/* Whether nothing but closers, or the end, comes next. */
static bool closes(const dm_repair *s)
{
    const char *p = dm_repair_skip_spaces(s, s->p);
    return p >= s->end || *p == ']' || *p == '}';
}

static dm_value *scan_members(dm_repair *s, bool one);

/* Whether the quoted text that begins here is a key. */
static bool key_here(dm_repair *s, char family)
{
    const dm_ahead *a = dm_repair_look(s, s->p, family);
    return a->quote == s->p && a->key;
}

static dm_value *scan_list(dm_repair *s, char closer)
{
    dm_value *list = dm_value_list(s->arena);
    s->p++;
    for (;;) {
        char family;
        dm_repair_skip_blank(s);
        if (dm_repair_at_end(s))
            return list;
        if (*s->p == closer) {
            s->p++;
            return list;
        }
        if (*s->p == '}' || *s->p == ']' || *s->p == ')') { /* somebody else's closer */
            s->p += *s->p == '}';
            return list;
        }
        if (strchr(",:;", *s->p)) {
            s->p++;
            continue;
        }
        const char *before = s->p;
        bool quoted = dm_repair_quote_at(s, s->p, &family) != 0;
        if (quoted && key_here(s, family)) { /* "k": v among the items */
            bool all_plain = list->n && list->items[list->n - 1]->kind < DM_LIST;
            if (s->dicts && all_plain)
                return list;
            dm_value_append(s->arena, list, scan_members(s, true));
            continue;
        }
        dm_value *v = scan_value(s, DM_ITEM);
        bool dots = v && !quoted && v->kind == DM_STRING && dm_str_is(v->text, "...");
        bool blank = v && v->kind == DM_STRING && v->text.n == 0 &&
                     (dm_repair_at_end(s) || strchr(" \t\r\n", *s->p)) && closes(s);
        bool cut = v && dm_repair_at_end(s) && !dm_value_truthy(v) && v->kind >= DM_STRING;
        if (v && !dots && !blank && !cut)
            dm_value_append(s->arena, list, v);
        if (s->p == before)
            s->p++;
    }
}

/* {1, 2}: a set: no colon in it. */
static bool is_set(const dm_repair *s)
{
    const char *p = dm_repair_skip_spaces(s, s->p + 1);
    if (p >= s->end || strchr("{}[:", *p))
        return false;
    bool comma = false;
    while (p < s->end && !strchr(":}{", *p))
        comma |= *p++ == ',';
    if (p < s->end && *p != '}')
        return false;
    const char *first = dm_repair_skip_spaces(s, s->p + 1);
    if (p == s->end && p - first < 2)
        return false;
    const dm_ahead *a = NULL;
    char f;
    if (!comma && dm_repair_quote_at(s, first, &f)) { /* {"a" "b"} is none */
        dm_repair look_only = *s;
        a = dm_repair_look(&look_only, first, f);
        return a->second >= s->end ||
               dm_repair_separates(s, a->second + dm_repair_quote_at(s, a->second, &f));
    }
    return true;
}

/* A key without quotes: the last word before the colon. */
static dm_str scan_bare_key(dm_repair *s)
{
    const char *start = s->p;
    while (!dm_repair_at_end(s) && !strchr(":},\"", *s->p) && !strchr(" \t\r\n", *s->p))
        s->p++;
    dm_str key = {start, (size_t)(s->p - start)};
    if (dm_repair_peek(s) == '"' && s->p + 1 < s->end && s->p[1] == ':')
        s->p++; /* its opening quote is missing */
    if (key.n && key.p[key.n - 1] == '\'')
        key.n--;
    return key;
}

/* The members up to the closer; from a list (one): a single one. */
static dm_value *scan_members(dm_repair *s, bool one)
{
    dm_value *dict = dm_value_dict(s->arena);
    for (;;) {
        char family;
        dm_repair_skip_blank(s);
        if (dm_repair_at_end(s))
            return dict;
        if (*s->p == '}') {
            s->p += !one;
            return dict;
        }
        if (*s->p == ']' && s->lists)
            return dict;
        const char *before = s->p;
        if (strchr(",:;]{[(", *s->p)) {
            s->p++;
            continue;
        }
        bool quoted = dm_repair_quote_at(s, s->p, &family) != 0;
        dm_str key = quoted ? dm_repair_quoted(s, DM_KEY) : scan_bare_key(s);
        bool value = false;
        dm_repair_skip_blank(s);
        while (dm_repair_peek(s) == ':') {
            value = true;
            s->p++;
            dm_repair_skip_blank(s);
        }
        char f;
        if (value || (quoted && dm_repair_quote_at(s, s->p, &f))) {
            dm_value *v =
                dm_repair_at_end(s) || strchr("},", *s->p) ? NULL : scan_value(s, DM_MEMBER);
            dm_value_set(s->arena, dict, key, v ? v : dm_value_text(s->arena, ""));
            if (one)
                return dict;
        }
        if (s->p == before)
            s->p++;
    }
}

/* {\"a\": 1}: the quotes of the whole object are escaped. One level of that is taken away. */
static bool unescape(dm_repair *s)
{
    const char *p = dm_repair_skip_spaces(s, s->p + 1);
    if (s->end - p < 2 || p[0] != '\\' || p[1] != '"')
        return false;
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    for (p = s->p; p < s->end; p++) {
        if (*p == '\\' && p + 1 < s->end && (p[1] == '"' || p[1] == '\\'))
            p++;
        dm_buf_char(&b, *p);
    }
    dm_str t = dm_repair_keep(s, &b);
    s->p = t.p;
    s->end = t.p + t.n;
    s->seen = (dm_ahead){0};
    return true;
}

static dm_value *scan_container(dm_repair *s)
{
    dm_value *v;
    if (*s->p == '[' || *s->p == '(') {
        s->lists++;
        bool paren = *s->p == '(';
        v = scan_list(s, paren ? ')' : ']');
        s->lists--;
        return paren && v->n == 1 ? (dm_value *)(uintptr_t)v->items[0] : v; /* (5) */
    }
    if (s->depth == 1)
        unescape(s);
    s->dicts++;
    if (is_set(s)) {
        v = scan_list(s, '}');
    } else {
        s->p++;
        v = scan_members(s, false);
    }
    s->dicts--;
    return v;
}

static dm_value *scan_value(dm_repair *s, dm_place where)
{
    char family;
    dm_repair_skip_blank(s);
    if (dm_repair_at_end(s))
        return NULL;
    if (dm_repair_quote_at(s, s->p, &family))
        return dm_value_string(s->arena, dm_repair_quoted(s, where));
    if (*s->p != '{' && *s->p != '[' && *s->p != '(')
        return scan_plain(s, where);
    if (s->depth >= MAX_DEPTH) {
        s->p = s->end;
        return NULL;
    }
    s->depth++;
    dm_value *v = scan_container(s);
    s->depth--;
    return v;
}

/* ---- the top level ---- */

static bool same_shape(const dm_value *a, const dm_value *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind != DM_LIST && a->kind != DM_DICT)
        return true;
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        const dm_value *other =
            a->kind == DM_LIST ? b->items[i] : dm_value_get_str(b, a->members[i].key);
        const dm_value *own = a->kind == DM_LIST ? a->items[i] : a->members[i].value;
        if (!other || !same_shape(own, other))
            return false;
    }
    return true;
}

/* Where the next value begins: a bracket, or "quoted" text before anything else. */
static bool find_start(dm_repair *s)
{
    while (!dm_repair_at_end(s)) {
        if (dm_repair_skip_slashes(s))
            continue;
        if (*s->p == '{' || *s->p == '[')
            return true;

        s->p++;
    }
    return false;
}

/* Of values one after the other those of one shape give way to the last, unless a comma joins
 * them; empty ones do not count. */
static dm_value *top_level(dm_repair *s)
{
    dm_value *all = dm_value_list(s->arena), *empty = NULL;
    bool joined = false;
    while (find_start(s)) {
        dm_value *v = scan_value(s, DM_TOP);
        const char *p = dm_repair_skip_spaces(s, s->p);
        if (!v)
            continue;
        if (!dm_value_truthy(v)) {
            empty = v;
            continue;
        }
        if (all->n && !joined && same_shape(all->items[all->n - 1], v))
            all->items[all->n - 1] = v;
        else
            dm_value_append(s->arena, all, v);
        joined = p < s->end && *p == ',';
    }
    if (all->n == 0)
        return empty;
    return all->n == 1 ? (dm_value *)(uintptr_t)all->items[0] : all;
}

/* A tuple, a bare quoted string: what begins before any { or [. */
static dm_value *leading_value(dm_repair *s)
{
    dm_repair first = *s;
    dm_repair_skip_blank(&first);
    if (dm_repair_peek(&first) != '"' && dm_repair_peek(&first) != '(')
        return NULL;
    dm_value *v = scan_value(&first, DM_TOP);
    dm_repair_skip_blank(&first);
    return dm_repair_at_end(&first) ? v : NULL;
}

dm_value *dm_json_repair(dm_arena *a, dm_str text)
{
    dm_value *v = dm_json_read(a, text, NULL);
    if (v)
        return v;
    dm_repair s = {.arena = a, .p = text.p, .end = text.p + text.n};
    v = leading_value(&s);
    if (!v)
        v = top_level(&s);
    return v ? v : dm_value_text(a, "");
}
