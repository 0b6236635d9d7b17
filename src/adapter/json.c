/* DSPy's JSONAdapter: inputs as the chat adapter has them, outputs as one JSON object (contract
 * 3.5). */
#include "adapter/inside.h"
#include "json/json.h"

/* ---- prompts ---- */

static void structure(dm_buf *b, dm_arena *a, const dm_signature *s)
{
    dm_value *d = dm_value_dict(a);
    dm_buf text;
    dm_buf_init(&text, DM_MAX_TEXT);
    for (size_t i = 0; i < s->n_outputs; i++) {
        const dm_field *f = dm_adapter_output(s, i);
        dm_buf_reset(&text);
        dm_buf_printf(&text, "{%.*s}", DM_STR_ARG(f->name));
        dm_format_note(&text, f->type);
        dm_value_set(a, d, f->name, dm_value_string(a, dm_buf_view(&text)));
    }
    dm_buf_free(&text);
    dm_buf_text(b, "Inputs will have the following structure:\n\n");
    dm_chat_structure(b, s->fields, s->n_inputs, false);
    dm_buf_text(b, "\n\nOutputs will be a JSON object with the following fields.\n\n");
    dm_json_write(b, d, DM_JSON_PYTHON_INDENT);
}

static void requirements(dm_buf *b, const dm_signature *s)
{
    dm_buf_text(b, "Respond with a JSON object in the following order of fields: ");
    for (size_t i = 0; i < s->n_outputs; i++) {
        const dm_field *f = dm_adapter_output(s, i);
        dm_buf_text(b, i ? ", then `" : "`");
        dm_buf_str(b, f->name);
        dm_buf_char(b, '`');
        dm_format_python_type(b, f->type);
    }
    dm_buf_char(b, '.');
}

static dm_status outputs(dm_buf *b, dm_arena *a, const dm_signature *s, const dm_value *demo,
                         dm_error *err)
{
    dm_value *d = dm_value_dict(a);
    (void)err;
    for (size_t i = 0; i < s->n_outputs; i++) {
        dm_str name = dm_adapter_output(s, i)->name;
        const dm_value *v = dm_value_get_str(demo, name);
        dm_value_set(a, d, name, v ? v : dm_value_text(a, dm_adapter_missing));
    }
    dm_json_write(b, d, DM_JSON_PYTHON_INDENT);
    return DM_OK;
}

/* json_object where an output's annotation is dict[...], else schema. */
static dm_response_format format(const dm_signature *s)
{
    for (size_t i = 0; i < s->n_outputs; i++) {
        const dm_type *t = dm_adapter_output(s, i)->type;
        if (t->kind == DM_T_DICT && t->n)
            return DM_FORMAT_JSON_OBJECT;
    }
    return DM_FORMAT_SCHEMA;
}

/* ---- completions ---- */

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

static dm_status parse(dm_arena *a, const dm_signature *s, dm_str completion,
                       const dm_value **fields, dm_error *err)
{
    const dm_value *v = dm_json_repair(a, completion);
    dm_str object;
    if (v->kind != DM_DICT && find_object(completion, &object))
        v = dm_json_repair(a, object);
    if (v->kind != DM_DICT)
        return dm_parse_error(&dm_adapter_json,
                              "LM response cannot be serialized to a JSON object.", s, completion,
                              NULL, err);
    dm_value *found = dm_value_dict(a);
    for (size_t i = s->n_inputs; i < s->n_inputs + s->n_outputs; i++) {
        const dm_field *f = &s->fields[i];
        const dm_value *given = dm_value_get_str(v, f->name), *out;
        dm_error why = {DM_OK, ""};
        if (!given)
            continue;
        if (dm_coerce(a, f->type, given, &out, &why) != DM_OK)
            return dm_parse_misfit(&dm_adapter_json, s, f, given, &why, completion, v, err);
        dm_value_set(a, found, f->name, out);
    }
    return dm_parse_complete(&dm_adapter_json, a, s, completion, found, fields, err);
}

const dm_adapter_class dm_adapter_json = {
    .name = "json",
    .shown = "JSON adapter",
    .dspy = "JSONAdapter",
    .structure = structure,
    .input = dm_chat_input,
    .requirements = requirements,
    .outputs = outputs,
    .parse = parse,
    .format = format,
    .fallback = DM_JSON,
};
