/* DSPy's ChatAdapter: each field under a header [[ ## name ## ]]. */
#include "adapter/inside.h"
#include "base/utf8.h"

#include <string.h>

/* ---- prompts (contract 2.4 to 2.8) ---- */

/* The line that a field's value stands under; each call renders one, so no printf. */
static void put_mark(dm_buf *b, dm_str name)
{
    dm_buf_text(b, "[[ ## ");
    dm_buf_str(b, name);
    dm_buf_text(b, " ## ]]\n");
}

void dm_chat_structure(dm_buf *b, const dm_field *fields, size_t n, bool notes)
{
    for (size_t i = 0; i < n; i++) {
        dm_buf_text(b, i ? "\n\n" : "");
        put_mark(b, fields[i].name);
        dm_buf_printf(b, "{%.*s}", DM_STR_ARG(fields[i].name));
        if (notes)
            dm_format_note(b, fields[i].type);
    }
}

static void structure(dm_buf *b, dm_arena *a, const dm_signature *s)
{
    (void)a;
    dm_chat_structure(b, s->fields, s->n_inputs, false);
    dm_buf_text(b, "\n\n");
    dm_chat_structure(b, s->fields + s->n_inputs, s->n_outputs, true);
    dm_buf_text(b, "\n\n[[ ## completed ## ]]");
}

dm_status dm_chat_input(dm_buf *b, const dm_field *f, const dm_value *v, dm_error *err)
{
    put_mark(b, f->name);
    return dm_format_value(b, f, v, err);
}

static void requirements(dm_buf *b, const dm_signature *s)
{
    dm_buf_text(b, "Respond with the corresponding output fields, starting with the field ");
    for (size_t i = 0; i < s->n_outputs; i++) {
        const dm_field *f = dm_adapter_output(s, i);
        dm_buf_text(b, i ? ", then `[[ ## " : "`[[ ## ");
        dm_buf_str(b, f->name);
        dm_buf_text(b, " ## ]]`");
        dm_format_python_type(b, f->type);
    }
    dm_buf_text(b, ", and then ending with the marker for `[[ ## completed ## ]]`.");
}

static dm_status outputs(dm_buf *b, dm_arena *a, const dm_signature *s, const dm_value *demo,
                         dm_error *err)
{
    (void)a;
    for (size_t i = 0; i < s->n_outputs; i++) {
        const dm_field *f = dm_adapter_output(s, i);
        const dm_value *v = dm_value_get_str(demo, f->name);
        dm_buf_text(b, i ? "\n\n" : "");
        put_mark(b, f->name);
        dm_status st = v ? dm_format_value(b, f, v, err) : DM_OK;
        if (st != DM_OK)
            return st;
        dm_buf_text(b, v ? "" : dm_adapter_missing);
    }
    if (b->len)
        dm_format_trim(b, 0);
    dm_buf_text(b, "\n\n[[ ## completed ## ]]\n");
    return DM_OK;
}

/* ---- completions: sections behind [[ ## name ## ]] (contract 3.1) ---- */

/* The name in a header at the start of line; *rest is what follows the header. */
static bool is_header(dm_str line, dm_str *name, dm_str *rest)
{
    static const char open[] = "[[ ## ", close[] = " ## ]]";
    dm_str s =
        dm_py_strip(line); /* DSPy measures on the stripped line and cuts the other one: fixed */
    if (!dm_str_starts(s, open))
        return false;
    size_t from = sizeof open - 1, pos = from;
    while (pos < s.n) {
        size_t at = pos;
        if (!dm_py_isword(dm_utf8_next(s, &pos))) {
            pos = at;
            break;
        }
    }
    *name = (dm_str){s.p + from, pos - from};
    *rest = (dm_str){s.p + pos, s.n - pos};
    if (name->n == 0 || !dm_str_starts(*rest, close))
        return false;
    *rest = dm_py_strip((dm_str){rest->p + sizeof close - 1, rest->n - (sizeof close - 1)});
    return true;
}

static void close_section(dm_arena *a, dm_str *slot, dm_buf *b)
{
    if (slot && !slot->p) { /* the first section of a name counts */
        dm_str s = dm_py_strip(dm_buf_view(b));
        *slot = (dm_str){dm_arena_string(a, s.p, s.n), s.n};
    }
    dm_buf_reset(b);
}

/* Section texts by output field, the first of each name; .p NULL: none. */
static void read_sections(dm_arena *a, const dm_signature *s, dm_str completion, dm_str *sections)
{
    dm_str line, name, rest, *slot = NULL;
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    while (dm_py_next_line(&completion, &line)) {
        if (is_header(line, &name, &rest)) {
            close_section(a, slot, &b);
            slot = NULL;
            for (size_t i = 0; i < s->n_outputs; i++)
                if (dm_str_eq(s->fields[s->n_inputs + i].name, name))
                    slot = &sections[i];
            dm_buf_str(&b, rest);
            if (rest.n)
                dm_buf_char(&b, '\n');
        } else if (slot) {
            dm_buf_str(&b, line);
            dm_buf_char(&b, '\n');
        }
    }
    close_section(a, slot, &b);
    dm_buf_free(&b);
}

static dm_status parse(dm_arena *a, const dm_signature *s, dm_str completion,
                       const dm_value **fields, dm_error *err)
{
    dm_value *found = dm_value_dict(a);
    dm_str *sections = dm_arena_alloc_n(a, s->n_outputs, sizeof *sections);
    read_sections(a, s, completion, sections);
    for (size_t i = 0; i < s->n_outputs; i++) {
        const dm_field *f = &s->fields[s->n_inputs + i];
        const dm_value *v;
        dm_error why = {DM_OK, ""};
        if (!sections[i].p)
            continue;
        const dm_value *text = dm_value_string_kept(a, sections[i]);
        if (dm_coerce(a, f->type, text, &v, &why) != DM_OK)
            return dm_parse_misfit(&dm_adapter_chat, s, f, text, &why, completion, NULL, err);
        dm_value_set(a, found, f->name, v);
    }
    return dm_parse_complete(&dm_adapter_chat, a, s, completion, found, fields, err);
}

const dm_adapter_class dm_adapter_chat = {
    .name = "chat",
    .shown = "chat adapter",
    .dspy = "ChatAdapter",
    .structure = structure,
    .input = dm_chat_input,
    .requirements = requirements,
    .outputs = outputs,
    .parse = parse,
    .fallback = DM_JSON,
};
