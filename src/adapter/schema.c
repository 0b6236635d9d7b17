/* The structured-output schema of JSON mode (contract 3.5 c): a pydantic model of the output fields
 * with every property required and no other allowed. */
#include "adapter/adapter.h"
#include "json/json.h"

#include <ctype.h>
#include <string.h>

/* "my_field" -> "My Field" */
static void put_title(dm_buf *b, dm_str name)
{
    bool start = true;
    dm_buf_char(b, '"');
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (c == '_') {
            dm_buf_char(b, ' ');
            start = true;
        } else {
            dm_buf_char(b, (char)(start ? toupper((unsigned char)c) : tolower((unsigned char)c)));
            start = false;
        }
    }
    dm_buf_char(b, '"');
}

/* Objects without declared properties are closed as well: no key is allowed in them. */
static dm_value *close_objects(dm_arena *a, const dm_value *v)
{
    if (v->kind == DM_LIST) {
        dm_value *list = dm_value_list(a);
        for (size_t i = 0; i < v->n; i++)
            dm_value_append(a, list, close_objects(a, v->items[i]));
        return list;
    }
    if (v->kind != DM_DICT)
        return dm_value_copy(a, v);
    dm_value *d = dm_value_dict(a);
    const dm_value *type = dm_value_get(v, "type");
    for (size_t i = 0; i < v->n; i++)
        dm_value_set(a, d, v->members[i].key, close_objects(a, v->members[i].value));
    if (type && type->kind == DM_STRING && dm_str_is(type->text, "object")) {
        dm_value_set(a, d, DM_STR("additionalProperties"), dm_value_bool(a, false));
        dm_value_set(a, d, DM_STR("properties"), dm_value_dict(a));
        dm_value_set(a, d, DM_STR("required"), dm_value_list(a));
    }
    return d;
}

static dm_value *property(dm_arena *a, const dm_field *f)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_type_schema(&b, f->type);
    const dm_value *schema = dm_json_read(a, dm_buf_view(&b), NULL);
    dm_value *p = close_objects(a, schema);
    dm_buf_reset(&b);
    put_title(&b, f->name);
    dm_value_set(a, p, DM_STR("title"), dm_json_read(a, dm_buf_view(&b), NULL));
    dm_buf_free(&b);
    return p;
}

void dm_adapter_schema(dm_buf *b, const dm_signature *s)
{
    dm_arena *a = dm_arena_new(0);
    dm_value *d = dm_value_dict(a), *properties = dm_value_dict(a), *required = dm_value_list(a);
    for (size_t i = s->n_inputs; i < s->n_inputs + s->n_outputs; i++) {
        dm_value_set(a, properties, s->fields[i].name, property(a, &s->fields[i]));
        dm_value_append(a, required, dm_value_string(a, s->fields[i].name));
    }
    dm_value_set(a, d, DM_STR("additionalProperties"), dm_value_bool(a, false));
    dm_value_set(a, d, DM_STR("properties"), properties);
    dm_value_set(a, d, DM_STR("required"), required);
    dm_value_set(a, d, DM_STR("title"), dm_value_text(a, "DSPyProgramOutputs"));
    dm_value_set(a, d, DM_STR("type"), dm_value_text(a, "object"));
    dm_json_write(b, d, DM_JSON_COMPACT);
    dm_arena_free(a);
}
