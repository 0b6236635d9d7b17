/* Fields from a completion (contract 3.1, 3.5). */
#include "adapter/inside.h"
#include "base/utf8.h"
#include "json/json.h"

#include <stdlib.h>
#include <string.h>

/* ---- chat: sections behind [[ ## name ## ]] ---- */

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

void dm_chat_sections(dm_arena *a, const dm_signature *s, dm_str completion, dm_str *sections)
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

/* ---- errors, in DSPy's words (contract 3.1) ---- */

static void put_names(dm_buf *b, const dm_signature *s, const dm_value *found)
{
    bool first = true;
    dm_buf_char(b, '[');
    for (size_t i = s->n_inputs; i < s->n_inputs + s->n_outputs; i++) {
        if (found && !dm_value_get_str(found, s->fields[i].name))
            continue;
        dm_buf_printf(b, "%s%.*s", first ? "" : ", ", DM_STR_ARG(s->fields[i].name));
        first = false;
    }
    dm_buf_char(b, ']');
}

static dm_status parse_error(const char *message, const char *adapter, const dm_signature *s,
                             dm_str completion, const dm_value *found, dm_error *err)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    if (*message)
        dm_buf_printf(&b, "%s\n\n", message);
    completion = dm_utf8_head(completion, 600);
    dm_buf_printf(&b, "Adapter %s failed to parse the LM response. \n\nLM Response: %.*s \n\n",
                  adapter, DM_STR_ARG(completion));
    dm_buf_text(&b, "Expected to find output fields in the LM response: ");
    put_names(&b, s, NULL);
    dm_buf_text(&b, " \n\n");
    if (found) {
        dm_buf_text(&b, "Actual output fields parsed from the LM response: ");
        put_names(&b, s, found);
        dm_buf_text(&b, " \n\n");
    }
    dm_fail(err, DM_E_PARSE, "%s", b.data);
    dm_buf_free(&b);
    return DM_E_PARSE;
}

static dm_status coercion_error(const char *adapter, const dm_signature *s, const dm_field *f,
                                const dm_value *v, const dm_error *why, dm_str completion,
                                const dm_value *found, dm_error *err)
{
    dm_buf value, b;
    dm_buf_init(&value, DM_MAX_TEXT);
    dm_py_str(&value, v);
    dm_buf_init(&b, 1000);
    dm_str shown = dm_utf8_head(dm_buf_view(&value), 300);
    dm_buf_printf(
        &b, "Failed to parse field %.*s with value %.*s from the LM response. Error message: %s",
        DM_STR_ARG(f->name), DM_STR_ARG(shown), why->text);
    dm_status st = parse_error(b.data ? b.data : "", adapter, s, completion, found, err);
    dm_buf_free(&value);
    dm_buf_free(&b);
    return st;
}

/* Adds what may be missing (None where the type allows it); then the signature's order. */
static const dm_value *complete(dm_arena *a, const dm_signature *s, const dm_value *found)
{
    dm_value *all = dm_value_dict(a);
    for (size_t i = s->n_inputs; i < s->n_inputs + s->n_outputs; i++) {
        const dm_field *f = &s->fields[i];
        const dm_value *v = dm_value_get_str(found, f->name);
        if (!v && !dm_type_allows_none(f->type))
            return NULL;
        dm_value_set(a, all, f->name, v ? v : dm_value_null(a));
    }
    return all;
}

static dm_status parse_chat(dm_arena *a, const dm_signature *s, dm_str completion,
                            const dm_value **fields, dm_error *err)
{
    dm_value *found = dm_value_dict(a);
    dm_str *sections = dm_arena_alloc_n(a, s->n_outputs, sizeof *sections);
    dm_chat_sections(a, s, completion, sections);
    for (size_t i = 0; i < s->n_outputs; i++) {
        const dm_field *f = &s->fields[s->n_inputs + i];
        const dm_value *v;
        dm_error why = {DM_OK, ""};
        if (!sections[i].p)
            continue;
        const dm_value *text = dm_value_string_kept(a, sections[i]);
        if (dm_coerce(a, f->type, text, &v, &why) != DM_OK)
            return coercion_error("ChatAdapter", s, f, text, &why, completion, NULL, err);
        dm_value_set(a, found, f->name, v);
    }
    *fields = complete(a, s, found);
    return *fields ? DM_OK : parse_error("", "ChatAdapter", s, completion, found, err);
}

/* ---- JSON ---- */

/* The first {...} whose braces balance. */
static bool find_object(dm_str text, dm_str *object)
{
    for (size_t i = 0; i < text.n; i++) {
        size_t depth = 0;
        if (text.p[i] != '{')
            continue;
        for (size_t k = i; k < text.n; k++) {
            depth += text.p[k] == '{';
            depth -= text.p[k] == '}';
            if (depth == 0) {
                *object = (dm_str){text.p + i, k + 1 - i};
                return true;
            }
        }
        return false; /* what begins later ends no later */
    }
    return false;
}

static dm_status parse_json(dm_arena *a, const dm_signature *s, dm_str completion,
                            const dm_value **fields, dm_error *err)
{
    const dm_value *v = dm_json_repair(a, completion);
    dm_str object;
    if (v->kind != DM_DICT && find_object(completion, &object))
        v = dm_json_repair(a, object);
    if (v->kind != DM_DICT)
        return parse_error("LM response cannot be serialized to a JSON object.", "JSONAdapter", s,
                           completion, NULL, err);
    dm_value *found = dm_value_dict(a);
    for (size_t i = s->n_inputs; i < s->n_inputs + s->n_outputs; i++) {
        const dm_field *f = &s->fields[i];
        const dm_value *given = dm_value_get_str(v, f->name), *out;
        dm_error why = {DM_OK, ""};
        if (!given)
            continue;
        if (dm_coerce(a, f->type, given, &out, &why) != DM_OK)
            return coercion_error("JSONAdapter", s, f, given, &why, completion, v, err);
        dm_value_set(a, found, f->name, out);
    }
    *fields = complete(a, s, found);
    return *fields ? DM_OK : parse_error("", "JSONAdapter", s, completion, found, err);
}

dm_status dm_adapter_parse(dm_arena *a, dm_adapter kind, const dm_signature *s, dm_str completion,
                           const dm_value **fields, dm_error *err)
{
    return kind == DM_JSON ? parse_json(a, s, completion, fields, err)
                           : parse_chat(a, s, completion, fields, err);
}
