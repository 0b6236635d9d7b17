/* DSPy's XMLAdapter: each field as <name>value</name>, lists and dicts of outputs as elements in
 * elements (contract 2, C.6). A completion is read as one XML document, as expat reads it. Ours
 * differs: namespaces are left as they are written. */
#include "adapter/inside.h"
#include "adapter/xml.h"
#include "base/utf8.h"
#include "json/json.h"

#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

/* ---- prompts ---- */

/* list[...] and dict[...], also where None may stand instead: outputs of these are nested. */
static bool is_nested(const dm_type *t)
{
    const dm_type *only = NULL;
    size_t n = 0;
    for (size_t i = 0; t->kind == DM_T_UNION && i < t->n; i++)
        if (t->args[i]->kind != DM_T_NONE) {
            only = t->args[i];
            n++;
        }
    t = n == 1 ? only : t;
    return (t->kind == DM_T_LIST || t->kind == DM_T_DICT) && t->n > 0;
}

static void put_tag(dm_buf *b, const char *open, dm_str name, const char *close)
{
    dm_buf_text(b, open);
    dm_buf_str(b, name);
    dm_buf_text(b, close);
}

/* What < and & stand for; > and quotes may stand. */
static void put_escaped(dm_buf *b, dm_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '&')
            dm_buf_text(b, "&amp;");
        else if (s.p[i] == '<')
            dm_buf_text(b, "&lt;");
        else
            dm_buf_char(b, s.p[i]);
}

static const dm_value *schema_of(dm_arena *a, const dm_type *t)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_type_schema(&b, t);
    const dm_value *v = dm_json_read(a, dm_buf_view(&b), NULL);
    dm_buf_free(&b);
    return v;
}

static bool has_type(const dm_value *schema, const char *type)
{
    const dm_value *v = dm_value_get(schema, "type");
    return v && v->kind == DM_STRING && dm_str_is(v->text, type);
}

/* <tag><item>...</item></tag> */
static void put_schema(dm_buf *b, dm_str tag, const dm_value *schema)
{
    const dm_value *choices = dm_value_get(schema, "anyOf"), *first = NULL;
    for (size_t i = 0; choices && i < choices->n && !first; i++)
        first = has_type(choices->items[i], "null") ? NULL : choices->items[i];
    if (first) {
        put_schema(b, tag, first);
        return;
    }
    put_tag(b, "<", tag, ">");
    if (has_type(schema, "array"))
        put_schema(b, DM_STR("item"), dm_value_get(schema, "items"));
    else
        dm_buf_text(b, "...");
    put_tag(b, "</", tag, ">");
}

static void put_nested_schema(dm_buf *b, dm_arena *a, const dm_field *f)
{
    put_schema(b, f->name, schema_of(a, f->type));
}

static void structure(dm_buf *b, dm_arena *a, const dm_signature *s)
{
    for (size_t i = 0; i < s->n_inputs + s->n_outputs; i++) {
        const dm_field *f = &s->fields[i];
        dm_buf_text(b, i ? "\n\n" : "");
        if (i >= s->n_inputs && is_nested(f->type)) {
            put_nested_schema(b, a, f);
            continue;
        }
        put_tag(b, "<", f->name, ">\n{");
        dm_buf_str(b, f->name);
        dm_buf_char(b, '}');
        if (i >= s->n_inputs)
            dm_format_note(b, f->type);
        put_tag(b, "\n</", f->name, ">");
    }
}

static dm_status put_input(dm_buf *b, const dm_field *f, const dm_value *v, dm_error *err)
{
    put_tag(b, "<", f->name, ">\n");
    dm_status st = dm_format_value(b, f, v, err);
    put_tag(b, "\n</", f->name, ">");
    return st;
}

static void requirements(dm_buf *b, const dm_signature *s)
{
    dm_arena *a = dm_arena_new(0);
    bool any = false;
    dm_buf_text(b, "Respond with the corresponding output fields wrapped in XML tags ");
    for (size_t i = 0; i < s->n_outputs; i++)
        put_tag(b, i ? ", then `<" : "`<", dm_adapter_output(s, i)->name, ">`");
    dm_buf_char(b, '.');
    for (size_t i = 0; i < s->n_outputs; i++) {
        if (!is_nested(dm_adapter_output(s, i)->type))
            continue;
        dm_buf_text(b, any ? " " : " Use this nested XML structure: ");
        put_nested_schema(b, a, dm_adapter_output(s, i));
        any = true;
    }
    dm_arena_free(a);
}

/* str.isidentifier() of a key whose - and . behind its first character count as _. */
static bool is_element_name(dm_str key)
{
    for (size_t pos = 0; pos < key.n;) {
        bool first = pos == 0;
        uint32_t cp = dm_utf8_next(key, &pos);
        utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
        bool letter = (c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO) || cp == '_' ||
                      c == UTF8PROC_CATEGORY_NL;
        bool later = c == UTF8PROC_CATEGORY_MN || c == UTF8PROC_CATEGORY_MC ||
                     c == UTF8PROC_CATEGORY_ND || c == UTF8PROC_CATEGORY_PC || cp == '-' ||
                     cp == '.';
        if (!letter && (first || !later))
            return false;
    }
    return key.n > 0;
}

/* xml.sax.saxutils.quoteattr */
static void put_quoted(dm_buf *b, dm_str s)
{
    bool both = s.n && memchr(s.p, '"', s.n) && memchr(s.p, '\'', s.n);
    char quote = s.n && memchr(s.p, '"', s.n) && !both ? '\'' : '"';
    dm_buf_char(b, quote);
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        const char *as = c == '&'           ? "&amp;"
                         : c == '<'         ? "&lt;"
                         : c == '>'         ? "&gt;"
                         : c == '\n'        ? "&#10;"
                         : c == '\r'        ? "&#13;"
                         : c == '\t'        ? "&#9;"
                         : c == '"' && both ? "&quot;"
                                            : NULL;
        if (as)
            dm_buf_text(b, as);
        else
            dm_buf_char(b, c);
    }
    dm_buf_char(b, quote);
}

static void put_element(dm_buf *b, dm_str tag, const dm_str *key, const dm_value *v)
{
    dm_str item = DM_STR("item"), entry = DM_STR("entry");
    put_tag(b, "<", tag, "");
    if (key) {
        dm_buf_text(b, " key=");
        put_quoted(b, *key);
    }
    if (v->kind == DM_NULL || (v->kind == DM_LIST && v->n == 0)) {
        dm_buf_text(b, " />");
        return;
    }
    dm_buf_char(b, '>');
    for (size_t i = 0; (v->kind == DM_LIST || v->kind == DM_DICT) && i < v->n; i++)
        if (v->kind == DM_LIST)
            put_element(b, item, NULL, v->items[i]);
        else if (is_element_name(v->members[i].key))
            put_element(b, v->members[i].key, NULL, v->members[i].value);
        else
            put_element(b, entry, &v->members[i].key, v->members[i].value);
    if (v->kind != DM_LIST && v->kind != DM_DICT) {
        dm_buf text;
        dm_buf_init(&text, DM_MAX_TEXT);
        dm_py_str(&text, v);
        put_escaped(b, dm_buf_view(&text));
        dm_buf_free(&text);
    }
    put_tag(b, "</", tag, ">");
}

static dm_status put_output(dm_buf *b, const dm_field *f, const dm_value *v, dm_error *err)
{
    dm_buf text;
    if (is_nested(f->type) && (v->kind == DM_LIST || v->kind == DM_DICT)) {
        put_element(b, f->name, NULL, v);
        return DM_OK;
    }
    if (f->type->kind != DM_T_STR)
        return put_input(b, f, v, err);
    dm_buf_init(&text, DM_MAX_TEXT);
    dm_status st = dm_format_value(&text, f, v, err);
    put_tag(b, "<", f->name, ">\n");
    put_escaped(b, dm_buf_view(&text));
    put_tag(b, "\n</", f->name, ">");
    dm_buf_free(&text);
    return st;
}

static dm_status outputs(dm_buf *b, dm_arena *a, const dm_signature *s, const dm_value *demo,
                         dm_error *err)
{
    dm_status st = DM_OK;
    for (size_t i = 0; i < s->n_outputs && st == DM_OK; i++) {
        const dm_field *f = dm_adapter_output(s, i);
        const dm_value *v = dm_value_get_str(demo, f->name);
        dm_buf_text(b, i ? "\n\n" : "");
        st = put_output(b, f, v ? v : dm_value_text(a, dm_adapter_missing), err);
    }
    return st;
}

/* ---- completions ---- */

/* Elements that stand for one value. */
typedef struct group {
    dm_str name;
    const dm_element **items; /* [n] */
    size_t n, cap;
} group;

typedef struct groups {
    group *items; /* [n] in the order of the first of each name */
    size_t n;
    const dm_value *places; /* dict of numbers by name */
} groups;

static dm_str name_of(const dm_element *e)
{
    const dm_value *key = dm_str_is(e->tag, "entry") ? dm_value_get(e->attributes, "key") : NULL;
    return key ? key->text : e->tag;
}

static void add(dm_arena *a, group *g, const dm_element *e)
{
    g->items = dm_arena_room(a, g->items, g->n, &g->cap, sizeof *g->items);
    g->items[g->n++] = e;
}

static groups groups_of(dm_arena *a, const dm_element *parent)
{
    dm_value *places = dm_value_dict(a);
    size_t n = 0;
    for (const dm_element *e = parent->first; e; e = e->next)
        n++;
    groups all = {dm_arena_alloc_n(a, n, sizeof *all.items), 0, places};
    for (const dm_element *e = parent->first; e; e = e->next) {
        const dm_value *place = dm_value_get_str(places, name_of(e));
        size_t k = place ? (size_t)place->number : all.n++;
        all.items[k].name = name_of(e);
        if (!place)
            dm_value_set(a, places, name_of(e), dm_value_int(a, (int64_t)k));
        add(a, &all.items[k], e);
    }
    return all;
}

static const group *group_named(const groups *all, dm_str name)
{
    const dm_value *place = dm_value_get_str(all->places, name);
    return place ? &all->items[(size_t)place->number] : NULL;
}

static dm_str stripped(const dm_element *e)
{
    return dm_py_strip(e->text);
}

/* The choice of anyOf that fits what is there; NULL: None does. */
static const dm_value *choose(const dm_value *choices, const dm_element *e)
{
    const dm_value *first = NULL, *rich = NULL;
    for (size_t i = 0; i < choices->n; i++) {
        const dm_value *c = choices->items[i];
        if (has_type(c, "null")) {
            if (!e->first && stripped(e).n == 0)
                return NULL;
            continue;
        }
        first = first ? first : c;
        rich = rich || has_type(c, "string") ? rich : c;
    }
    return e->first && rich ? rich : first;
}

static const dm_value *value_of(dm_arena *a, const group *g, const dm_value *schema);

static const dm_value *list_of(dm_arena *a, const group *g, const dm_value *schema)
{
    const dm_element *e = g->items[0];
    dm_value *list = dm_value_list(a);
    group items = *g;
    if (g->n == 1 && !e->first) {
        dm_str text = stripped(e);
        if (text.n == 0)
            return list;
        if (text.p[0] == '[')
            return dm_value_string(a, text);
    }
    if (g->n == 1) {
        groups inner = groups_of(a, e);
        const group *named = group_named(&inner, DM_STR("item"));
        items = named ? *named : items;
    }
    for (size_t i = 0; i < items.n; i++) {
        group one = {items.name, &items.items[i], 1, 1};
        dm_value_append(a, list, value_of(a, &one, dm_value_get(schema, "items")));
    }
    return list;
}

/* The text of an element with the elements in it, which are part of a string. */
static const dm_value *markup_of(dm_arena *a, const dm_element *e)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_buf_str(&b, e->text);
    for (const dm_element *c = e->first; c; c = c->next)
        dm_xml_write(&b, c);
    const dm_value *v = dm_value_string(a, dm_buf_view(&b));
    dm_buf_free(&b);
    return v;
}

/* What the elements say, as JSON would: texts, lists and dicts. The schema tells where one element
 * is a list of one, and where markup is text; NULL: nothing is known. */
static const dm_value *value_of(dm_arena *a, const group *g, const dm_value *schema)
{
    const dm_value *choices = dm_value_get(schema, "anyOf");
    const dm_element *e = g->items[0];
    if (choices && !(schema = choose(choices, e)))
        return dm_value_null(a);
    if (has_type(schema, "array"))
        return list_of(a, g, schema);
    if (has_type(schema, "string") && e->first)
        return markup_of(a, e);
    if (!e->first && has_type(schema, "object") && stripped(e).n == 0)
        return dm_value_dict(a);
    if (!e->first && g->n == 1)
        return dm_value_string(a, stripped(e));
    if (!e->first) {
        dm_value *list = dm_value_list(a);
        for (size_t i = 0; i < g->n; i++)
            dm_value_append(a, list, dm_value_string(a, stripped(g->items[i])));
        return list;
    }
    dm_value *d = dm_value_dict(a);
    groups inner = groups_of(a, e);
    for (size_t i = 0; i < inner.n; i++)
        dm_value_set(a, d, inner.items[i].name,
                     value_of(a, &inner.items[i], dm_value_get(schema, "additionalProperties")));
    return d;
}

/* By the type's schema, else by those of its choices; each as DSPy reads a value, else as it is. */
static const dm_value *field_of(dm_arena *a, const dm_type *t, const group *g,
                                const dm_value **given, dm_error *why)
{
    const dm_value *schema = schema_of(a, t), *choices = dm_value_get(schema, "anyOf"), *v;
    for (size_t i = 0; i <= (choices ? choices->n : 0); i++) {
        *given = value_of(a, g, i ? choices->items[i - 1] : schema);
        if (dm_coerce(a, t, *given, &v, why) == DM_OK || (v = dm_validate(a, t, *given)))
            return v;
    }
    return NULL;
}

static dm_status malformed(const dm_signature *s, dm_str completion, const char *wrong,
                           size_t where, dm_error *err)
{
    char message[160];
    size_t line = 1, start = 0;
    for (size_t i = 0; i < where && i < completion.n; i++)
        if (completion.p[i] == '\n') {
            line++;
            start = i + 1;
        }
    snprintf(message, sizeof message, "Failed to parse XML: %s: line %zu, column %zu", wrong, line,
             where - start);
    return dm_parse_error(&dm_adapter_xml, message, s, completion, NULL, err);
}

static dm_status parse(dm_arena *a, const dm_signature *s, dm_str completion,
                       const dm_value **fields, dm_error *err)
{
    dm_element root;
    size_t where;
    const char *wrong = dm_xml_read(a, completion, &root, &where);
    if (wrong)
        return malformed(s, completion, wrong, where, err);
    groups all = groups_of(a, &root);
    dm_value *found = dm_value_dict(a);
    for (size_t i = 0; i < s->n_outputs; i++) {
        const dm_field *f = dm_adapter_output(s, i);
        const group *g = group_named(&all, f->name);
        const dm_value *given = NULL;
        dm_error why = {DM_OK, ""};
        if (!g)
            continue;
        const dm_value *v = field_of(a, f->type, g, &given, &why);
        if (!v)
            return dm_parse_misfit(&dm_adapter_xml, s, f, given, &why, completion, NULL, err);
        dm_value_set(a, found, f->name, v);
    }
    return dm_parse_complete(&dm_adapter_xml, a, s, completion, found, fields, err);
}

const dm_adapter_class dm_adapter_xml = {
    .name = "xml",
    .shown = "XML adapter",
    .dspy = "XMLAdapter",
    .structure = structure,
    .input = put_input,
    .requirements = requirements,
    .outputs = outputs,
    .parse = parse,
    .fallback = DM_JSON,
};
