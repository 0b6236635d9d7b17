/* Reading and writing XML (xml.h). */
#include "adapter/xml.h"
#include "base/utf8.h"

#include <string.h>

#define DEEPEST 400 /* elements in elements */

/* ---- reading ---- */

typedef struct reader {
    dm_arena *arena;
    dm_str s;
    size_t pos;
    dm_element *open; /* the innermost */
    size_t depth;
    dm_buf text; /* since the last tag */
    const char *wrong;
} reader;

static bool fail(reader *r, const char *wrong)
{
    r->wrong = r->wrong ? r->wrong : wrong;
    return false;
}

#define MALFORMED "not well-formed"

static bool is_at(const reader *r, const char *mark)
{
    return dm_str_starts((dm_str){r->s.p + r->pos, r->s.n - r->pos}, mark);
}

/* Moves behind mark; false: it does not come any more. */
static bool skip_past(reader *r, const char *mark)
{
    const char *p = memmem(r->s.p + r->pos, r->s.n - r->pos, mark, strlen(mark));
    if (!p)
        return fail(r, "unclosed token");
    r->pos = (size_t)(p - r->s.p) + strlen(mark);
    return true;
}

static bool skip_spaces(reader *r)
{
    size_t start = r->pos;
    while (r->pos < r->s.n && strchr(" \t\r\n", r->s.p[r->pos]))
        r->pos++;
    return r->pos > start;
}

static bool is_name_character(uint32_t cp, bool first)
{
    bool plain = cp == '_' || cp == ':' || (cp != 0xAA && dm_py_isword(cp));
    bool later = (cp >= '0' && cp <= '9') || cp == '-' || cp == '.' || cp == 0xB7;
    return first ? plain && !later : plain || later;
}

static bool read_name(reader *r, dm_str *out)
{
    size_t start = r->pos;
    while (r->pos < r->s.n) {
        size_t next = r->pos;
        if (!is_name_character(dm_utf8_next(r->s, &next), r->pos == start))
            break;
        r->pos = next;
    }
    *out = (dm_str){r->s.p + start, r->pos - start};
    const char *colon = out->n ? memchr(out->p, ':', out->n) : NULL;
    bool halves = !colon || (colon > out->p && colon + 1 < out->p + out->n);
    return (out->n && halves) || fail(r, MALFORMED);
}

static bool is_character(uint32_t cp)
{
    return cp >= 0x20
               ? (cp < 0xD800 || cp > 0xDFFF) && cp != 0xFFFE && cp != 0xFFFF && cp < 0x110000
               : cp == '\t' || cp == '\n' || cp == '\r';
}

/* &#10; &#xA; &amp; at pos. */
static bool read_reference(reader *r, dm_buf *b)
{
    static const struct {
        const char *text;
        char c;
    } known[] = {{"&lt;", '<'}, {"&gt;", '>'}, {"&amp;", '&'}, {"&quot;", '"'}, {"&apos;", '\''}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (is_at(r, known[i].text)) {
            r->pos += strlen(known[i].text);
            dm_buf_char(b, known[i].c);
            return true;
        }
    if (!is_at(r, "&#"))
        return fail(r, "undefined entity");
    bool hex = is_at(r, "&#x");
    const char *digits = "0123456789abcdefABCDEF";
    uint32_t cp = 0;
    r->pos += hex ? 3 : 2;
    size_t start = r->pos;
    for (; r->pos < r->s.n && r->s.p[r->pos] != ';'; r->pos++) {
        const char *d = r->s.p[r->pos] ? strchr(digits, r->s.p[r->pos]) : NULL;
        uint32_t value = d ? (uint32_t)(d - digits) : 99;
        value = value > 15 && value < 22 ? value - 6 : value;
        if (value >= (hex ? 16u : 10u))
            return fail(r, MALFORMED);
        cp = cp < 0x110000 ? cp * (hex ? 16u : 10u) + value : cp;
    }
    if (r->pos >= r->s.n || r->pos == start || !is_character(cp))
        return fail(r, "reference to invalid character number");
    r->pos++;
    dm_utf8_put(b, cp);
    return true;
}

static dm_str kept(dm_arena *a, const dm_buf *b)
{
    dm_str s = dm_buf_view(b);
    return (dm_str){dm_arena_string(a, s.p ? s.p : "", s.n), s.n};
}

static bool read_attribute(reader *r, dm_element *e)
{
    dm_str name;
    dm_buf b;
    if (!read_name(r, &name))
        return false;
    skip_spaces(r);
    if (!is_at(r, "="))
        return fail(r, MALFORMED);
    r->pos++;
    skip_spaces(r);
    if (!is_at(r, "\"") && !is_at(r, "'"))
        return fail(r, MALFORMED);
    char quote = r->s.p[r->pos++];
    dm_buf_init(&b, DM_MAX_TEXT);
    bool ok = true;
    while (ok && r->pos < r->s.n && r->s.p[r->pos] != quote) {
        char c = r->s.p[r->pos];
        if (c == '<')
            ok = fail(r, MALFORMED);
        else if (c == '&')
            ok = read_reference(r, &b);
        else if (is_at(r, "\r\n")) /* a line's end is a space, once */
            r->pos++;
        else {
            dm_buf_char(&b, c == '\n' || c == '\r' || c == '\t' ? ' ' : c);
            r->pos++;
        }
    }
    if (ok && r->pos >= r->s.n)
        ok = fail(r, "unclosed token");
    r->pos++;
    if (ok && dm_value_get_str(e->attributes, name))
        ok = fail(r, "duplicate attribute");
    if (ok)
        dm_value_set(r->arena, e->attributes, name,
                     dm_value_string_kept(r->arena, kept(r->arena, &b)));
    dm_buf_free(&b);
    return ok;
}

/* The prefix of a name is xml, or an element around declares it. */
static bool is_bound(reader *r, const dm_element *e, dm_str name)
{
    const char *colon = memchr(name.p, ':', name.n);
    dm_str prefix = {name.p, colon ? (size_t)(colon - name.p) : 0};
    if (!colon || dm_str_is(prefix, "xml") || dm_str_is(prefix, "xmlns"))
        return true;
    const char *key = dm_arena_printf(r->arena, "xmlns:%.*s", DM_STR_ARG(prefix));
    for (; e; e = e->parent)
        if (dm_value_get(e->attributes, key))
            return true;
    return fail(r, "unbound prefix");
}

/* What stood since the last tag is the text of the innermost element, or its last child's tail. */
static void end_text(reader *r)
{
    dm_element *last = r->open->last;
    dm_str s = r->text.len ? kept(r->arena, &r->text) : (dm_str){"", 0};
    *(last ? &last->tail : &r->open->text) = s;
    dm_buf_reset(&r->text);
}

static void close_element(reader *r)
{
    end_text(r);
    r->open = r->open->parent;
    r->depth--;
}

static bool read_start(reader *r)
{
    dm_element *e = dm_arena_alloc(r->arena, sizeof *e);
    r->pos++;
    if (!read_name(r, &e->tag))
        return false;
    e->parent = r->open;
    e->attributes = dm_value_dict(r->arena);
    while (skip_spaces(r) && r->pos < r->s.n && !is_at(r, ">") && !is_at(r, "/"))
        if (!read_attribute(r, e))
            return false;
    bool empty = is_at(r, "/>");
    if (!empty && !is_at(r, ">"))
        return fail(r, MALFORMED);
    r->pos += empty ? 2 : 1;
    if (!is_bound(r, e, e->tag))
        return false;
    for (size_t i = 0; i < e->attributes->n; i++)
        if (!is_bound(r, e, e->attributes->members[i].key))
            return false;
    if (++r->depth > DEEPEST)
        return fail(r, "too many elements in elements");
    end_text(r);
    if (r->open->last)
        r->open->last->next = e;
    else
        r->open->first = e;
    r->open->last = e;
    r->open = e;
    if (empty)
        close_element(r);
    return true;
}

static bool read_end(reader *r)
{
    dm_str name;
    r->pos += 2;
    if (!read_name(r, &name))
        return false;
    skip_spaces(r);
    if (!is_at(r, ">"))
        return fail(r, MALFORMED);
    r->pos++;
    if (!r->open->parent || !dm_str_eq(name, r->open->tag))
        return fail(r, "mismatched tag");
    close_element(r);
    return true;
}

static void put_text(reader *r, dm_str s) /* every line's end is a newline */
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != '\r')
            dm_buf_char(&r->text, s.p[i]);
        else if (i + 1 >= s.n || s.p[i + 1] != '\n')
            dm_buf_char(&r->text, '\n');
}

/* Comments and instructions leave nothing behind. */
static bool read_mark(reader *r)
{
    size_t start = r->pos;
    if (is_at(r, "<!--")) {
        r->pos += 4;
        return skip_past(r, "--") && (is_at(r, ">") ? (r->pos++, true) : fail(r, MALFORMED));
    }
    if (is_at(r, "<![CDATA[")) {
        r->pos += 9;
        if (!skip_past(r, "]]>"))
            return false;
        put_text(r, (dm_str){r->s.p + start + 9, r->pos - start - 12});
        return true;
    }
    if (is_at(r, "<?")) {
        dm_str name;
        r->pos += 2;
        if (!read_name(r, &name))
            return false;
        if (name.n == 3 && strncasecmp(name.p, "xml", 3) == 0)
            return fail(r, "XML or text declaration not at start of entity");
        if (!is_at(r, "?>") && !skip_spaces(r))
            return fail(r, MALFORMED);
        return skip_past(r, "?>");
    }
    if (is_at(r, "</"))
        return read_end(r);
    return is_at(r, "<!") ? fail(r, MALFORMED) : read_start(r);
}

static bool read_all(reader *r)
{
    for (size_t pos = 0; pos < r->s.n;) {
        r->pos = pos;
        if (!is_character(dm_utf8_next(r->s, &pos)))
            return fail(r, MALFORMED);
    }
    for (r->pos = 0; r->pos < r->s.n;) {
        size_t start = r->pos;
        while (r->pos < r->s.n && r->s.p[r->pos] != '<' && r->s.p[r->pos] != '&') {
            if (is_at(r, "]]>"))
                return fail(r, MALFORMED);
            r->pos++;
        }
        put_text(r, (dm_str){r->s.p + start, r->pos - start});
        if (r->pos >= r->s.n)
            break;
        if (!(is_at(r, "&") ? read_reference(r, &r->text) : read_mark(r)))
            return false;
    }
    if (r->open->parent)
        return fail(r, "mismatched tag");
    end_text(r);
    return true;
}

const char *dm_xml_read(dm_arena *a, dm_str s, dm_element *root, size_t *where)
{
    reader r = {.arena = a, .s = s, .open = root};
    *root = (dm_element){.attributes = dm_value_dict(a)};
    dm_buf_init(&r.text, DM_MAX_TEXT);
    (void)!read_all(&r);
    dm_buf_free(&r.text);
    *where = r.pos;
    return r.wrong;
}

/* ---- writing ---- */

static void put_escaped(dm_buf *b, dm_str s, bool attribute)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        const char *as = c == '&'     ? "&amp;"
                         : c == '<'   ? "&lt;"
                         : c == '>'   ? "&gt;"
                         : !attribute ? NULL
                         : c == '"'   ? "&quot;"
                         : c == '\r'  ? "&#13;"
                         : c == '\n'  ? "&#10;"
                         : c == '\t'  ? "&#09;"
                                      : NULL;
        if (as)
            dm_buf_text(b, as);
        else
            dm_buf_char(b, c);
    }
}

void dm_xml_write(dm_buf *b, const dm_element *e)
{
    dm_buf_char(b, '<');
    dm_buf_str(b, e->tag);
    for (size_t i = 0; i < e->attributes->n; i++) {
        dm_buf_char(b, ' ');
        dm_buf_str(b, e->attributes->members[i].key);
        dm_buf_text(b, "=\"");
        put_escaped(b, e->attributes->members[i].value->text, true);
        dm_buf_char(b, '"');
    }
    if (e->text.n || e->first) {
        dm_buf_char(b, '>');
        put_escaped(b, e->text, false);
        for (const dm_element *c = e->first; c; c = c->next)
            dm_xml_write(b, c);
        dm_buf_text(b, "</");
        dm_buf_str(b, e->tag);
        dm_buf_char(b, '>');
    } else {
        dm_buf_text(b, " />");
    }
    put_escaped(b, e->tail, false);
}
