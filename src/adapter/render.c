/* Messages of a predictor's state, as far as adapters have them in common (contract 2). */
#include "adapter/inside.h"
#include "base/utf8.h"
#include "json/json.h"

#include <string.h>

const char *dm_message_role_name(dm_message_role r)
{
    static const char *const names[] = {"system", "user", "assistant"};
    return names[r];
}

bool dm_message_role_read(const dm_value *message, dm_message_role *out)
{
    const dm_value *v = dm_value_get(message, "role");
    for (dm_message_role r = DM_SYSTEM; r <= DM_ASSISTANT; r++)
        if (v && v->kind == DM_STRING && dm_str_is(v->text, dm_message_role_name(r))) {
            *out = r;
            return true;
        }
    return false;
}

static dm_str keep(dm_arena *a, dm_buf *b)
{
    dm_str s = {dm_arena_string(a, b->data ? b->data : "", b->len), b->len};
    dm_buf_free(b);
    return s;
}

static const dm_field *input(const dm_signature *s, size_t i)
{
    return &s->fields[i];
}

const dm_field *dm_adapter_output(const dm_signature *s, size_t i)
{
    return &s->fields[s->n_inputs + i];
}

/* ---- values (contract 2.5) ---- */

static void put_blob(dm_buf *b, dm_str s)
{
    bool plain = true;
    for (size_t pos = 0; pos < s.n && plain;) {
        uint32_t cp = dm_utf8_next(s, &pos);
        plain = cp != '\n' && cp != 0xAB && cp != 0xBB;
    }
    if (plain) {
        dm_buf_text(b, "«");
        dm_buf_str(b, s); /* text may hold U+0000: no printf */
        dm_buf_text(b, "»");
        return;
    }
    dm_buf_text(b, "«««\n    ");
    for (size_t i = 0; i < s.n; i++) {
        dm_buf_char(b, s.p[i]);
        if (s.p[i] == '\n')
            dm_buf_text(b, "    ");
    }
    dm_buf_text(b, "\n»»»");
}

static dm_status put_blobs(dm_buf *b, const dm_field *f, const dm_value *list, dm_error *err)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->items[i]->kind != DM_STRING)
            return dm_fail(err, DM_E_DATA,
                           "field \"%.*s\": a list in a str field may hold strings only",
                           DM_STR_ARG(f->name));
    if (list->n == 0)
        dm_buf_text(b, "N/A");
    for (size_t i = 0; i < list->n; i++) {
        if (list->n > 1)
            dm_buf_printf(b, "%s[%zu] ", i ? "\n" : "", i + 1);
        put_blob(b, list->items[i]->text);
    }
    return DM_OK;
}

dm_status dm_format_value(dm_buf *b, const dm_field *f, const dm_value *v, dm_error *err)
{
    if (v->kind == DM_LIST && f->type->kind == DM_T_STR)
        return put_blobs(b, f, v, err);
    if (v->kind == DM_LIST || v->kind == DM_DICT)
        dm_json_write(b, v, DM_JSON_PYTHON);
    else
        dm_py_str(b, v);
    return DM_OK;
}

/* ---- the system message (contract 2.2) ---- */

void dm_format_trim(dm_buf *b, size_t start)
{
    dm_str all = {b->data + start, b->len - start}, s = dm_py_strip(all);
    memmove(b->data + start, s.p, s.n);
    b->len = start + s.n;
    b->data[b->len] = 0;
}

static void put_list(dm_buf *b, const dm_field *fields, size_t n)
{
    size_t start = b->len;
    for (size_t i = 0; i < n; i++) {
        const dm_field *f = &fields[i];
        dm_buf_printf(b, "%s%zu. `%.*s` (", i ? "\n" : "", i + 1, DM_STR_ARG(f->name));
        dm_type_name(b, f->type);
        dm_buf_text(b, "): ");
        bool own = f->desc.n == f->name.n + 3 && dm_str_starts(f->desc, "${") &&
                   memcmp(f->desc.p + 2, f->name.p, f->name.n) == 0 &&
                   f->desc.p[f->desc.n - 1] == '}';
        if (!own)
            dm_buf_str(b, f->desc);
        if (f->constraints.n)
            dm_buf_printf(b, "\nConstraints: %.*s", DM_STR_ARG(f->constraints));
    }
    if (b->len > start)
        dm_format_trim(b, start);
}

void dm_format_note(dm_buf *b, const dm_type *t)
{
    if (t->kind == DM_T_STR)
        return;
    dm_buf_text(b, DM_ADAPTER_INDENT "# note: the value you produce ");
    if (t->kind == DM_T_BOOL) {
        dm_buf_text(b, "must be True or False");
    } else if (t->kind == DM_T_INT || t->kind == DM_T_FLOAT) {
        dm_buf_printf(b, "must be a single %s value", t->kind == DM_T_INT ? "int" : "float");
    } else if (t->kind == DM_T_LITERAL) {
        dm_buf_text(b, "must exactly match (no extra characters) one of: ");
        for (size_t i = 0; i < t->n; i++) {
            dm_buf_text(b, i ? "; " : "");
            dm_py_str(b, t->members[i]);
        }
    } else {
        dm_buf_text(b, "must adhere to the JSON schema: ");
        dm_type_schema(b, t);
    }
}

void dm_format_python_type(dm_buf *b, const dm_type *t)
{
    if (t->kind == DM_T_STR)
        return;
    dm_buf_text(b, " (must be formatted as a valid Python ");
    dm_type_name(b, t);
    dm_buf_char(b, ')');
}

static void put_structure(dm_buf *b, dm_arena *a, const dm_adapter_class *c, const dm_signature *s)
{
    size_t start = b->len;
    dm_buf_text(
        b, "All interactions will be structured in the following way, with the appropriate values "
           "filled in.\n\n");
    c->structure(b, a, s);
    dm_format_trim(b, start);
}

static bool only_blanks(dm_str line)
{
    for (size_t i = 0; i < line.n; i++)
        if (line.p[i] != ' ' && line.p[i] != '\t')
            return false;
    return true;
}

/* textwrap.dedent of text that cleandoc has been through empties blank lines (contract 2.2, Block
 * C). */
static void put_objective(dm_buf *b, dm_str instructions)
{
    dm_buf dedented;
    dm_buf_init(&dedented, DM_MAX_TEXT);
    for (size_t at = 0; at <= instructions.n;) {
        const char *end = memchr(instructions.p + at, '\n', instructions.n - at);
        size_t n = end ? (size_t)(end - instructions.p) - at : instructions.n - at;
        dm_str line = {instructions.p + at, n};
        dm_buf_str(&dedented, only_blanks(line) ? (dm_str){"", 0} : line);
        if (!end)
            break;
        dm_buf_char(&dedented, '\n');
        at += n + 1;
    }
    dm_buf_text(b, "In adhering to this structure, your objective is: ");
    dm_str rest = dm_buf_view(&dedented), line;
    while (dm_py_next_line(&rest, &line)) {
        dm_buf_text(b, "\n" DM_ADAPTER_INDENT);
        dm_buf_str(b, line);
    }
    dm_buf_free(&dedented);
}

static dm_str system_message(dm_arena *a, const dm_adapter_class *c, const dm_signature *s,
                             dm_str instructions)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_buf_text(&b, "Your input fields are:\n");
    put_list(&b, s->fields, s->n_inputs);
    dm_buf_text(&b, "\nYour output fields are:\n");
    put_list(&b, s->fields + s->n_inputs, s->n_outputs);
    dm_buf_char(&b, '\n');
    put_structure(&b, a, c, s);
    dm_buf_char(&b, '\n');
    put_objective(&b, instructions);
    return keep(a, &b);
}

/* ---- user messages (contract 2.6) ---- */

static dm_status put_user(dm_buf *b, const dm_adapter_class *c, const dm_signature *s,
                          const dm_value *values, const char *before, bool last, dm_error *err)
{
    bool first = !*before;
    dm_buf_text(b, before);
    for (size_t i = 0; i < s->n_inputs; i++) {
        const dm_value *v = dm_value_get_str(values, input(s, i)->name);
        if (!v)
            continue;
        dm_buf_text(b, first ? "" : "\n\n");
        first = false;
        dm_status st = c->input(b, input(s, i), v, err);
        if (st != DM_OK)
            return st;
    }
    if (last) {
        dm_buf_text(b, first ? "" : "\n\n");
        c->requirements(b, s);
    }
    if (b->len)
        dm_format_trim(b, 0);
    return DM_OK;
}

dm_status dm_render_user(dm_arena *a, const dm_adapter_class *c, const dm_signature *s,
                         const dm_value *inputs, dm_str *out, dm_error *err)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_status st = put_user(&b, c, s, inputs, "", true, err);
    if (st == DM_OK && b.full)
        st = dm_fail(err, DM_E_LIMIT, "a prompt of more than %zu bytes", b.max);
    *out = keep(a, &b);
    return st;
}

/* ---- demonstrations (contract 2.7, 2.8) ---- */

const char dm_adapter_missing[] = "Not supplied for this particular example. ";

typedef enum completeness { DROPPED, INCOMPLETE, COMPLETE } completeness;

static completeness complete(const dm_signature *s, const dm_value *demo)
{
    bool all = true;
    for (size_t i = 0; i < s->n_inputs + s->n_outputs; i++) {
        const dm_value *v = dm_value_get_str(demo, s->fields[i].name);
        all = all && v && v->kind != DM_NULL;
    }
    return all ? COMPLETE : dm_demo_is_sent(s, demo) ? INCOMPLETE : DROPPED;
}

static dm_status add_demo(dm_arena *a, const dm_adapter_class *c, const dm_signature *s,
                          const dm_value *demo, bool incomplete, dm_prefix *out, dm_error *err)
{
    dm_buf user, assistant;
    dm_buf_init(&user, DM_MAX_TEXT);
    dm_buf_init(&assistant, DM_MAX_TEXT);
    dm_status st =
        put_user(&user, c, s, demo,
                 incomplete ? "This is an example of the task, though some input or output fields "
                              "are not supplied."
                            : "",
                 false, err);
    if (st == DM_OK)
        st = c->outputs(&assistant, a, s, demo, err);
    out->messages[out->n++] = (dm_message){DM_USER, keep(a, &user)};
    out->messages[out->n++] = (dm_message){DM_ASSISTANT, keep(a, &assistant)};
    return st;
}

dm_status dm_render_prefix(dm_arena *a, const dm_adapter_class *c, const dm_signature *s,
                           dm_str instructions, const dm_value *const *demos, size_t n_demos,
                           dm_prefix *out, dm_error *err)
{
    *out = (dm_prefix){.messages = dm_arena_alloc_n(a, 2 * n_demos + 1, sizeof *out->messages)};
    out->messages[out->n++] = (dm_message){DM_SYSTEM, system_message(a, c, s, instructions)};
    for (int wanted = INCOMPLETE; wanted <= COMPLETE; wanted++)
        for (size_t i = 0; i < n_demos; i++) {
            if ((int)complete(s, demos[i]) != wanted)
                continue;
            dm_status st = add_demo(a, c, s, demos[i], wanted == INCOMPLETE, out, err);
            if (st != DM_OK)
                return dm_error_wrap(err, st, "demonstration %zu", i + 1);
        }
    return DM_OK;
}
