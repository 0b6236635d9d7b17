/* The JSON schema of a type, as pydantic makes it and DSPy sorts it: `type` first, then the other
 * keys by name (contract 2.4). */
#include "json/json.h"
#include "program/type.h"

static void schema(dm_buf *b, const dm_type *t);

static void literal_schema(dm_buf *b, const dm_type *t)
{
    dm_kind kind = t->members[0]->kind;
    bool same = true;
    for (size_t i = 0; i < t->n; i++)
        same = same && t->members[i]->kind == kind;
    const char *type = kind == DM_STRING ? "string"
                       : kind == DM_INT  ? "integer"
                       : kind == DM_BOOL ? "boolean"
                                         : "null";
    dm_buf_char(b, '{');
    if (same)
        dm_buf_printf(b, "\"type\": \"%s\", ", type);
    if (t->n == 1) {
        dm_buf_text(b, "\"const\": ");
        dm_json_write(b, t->members[0], DM_JSON_PYTHON);
    } else {
        dm_buf_text(b, "\"enum\": [");
        for (size_t i = 0; i < t->n; i++) {
            dm_buf_text(b, i ? ", " : "");
            dm_json_write(b, t->members[i], DM_JSON_PYTHON);
        }
        dm_buf_char(b, ']');
    }
    dm_buf_char(b, '}');
}

static void list_of(dm_buf *b, const dm_type *const *types, size_t n)
{
    dm_buf_char(b, '[');
    for (size_t i = 0; i < n; i++) {
        dm_buf_text(b, i ? ", " : "");
        schema(b, types[i]);
    }
    dm_buf_char(b, ']');
}

static void tuple_schema(dm_buf *b, const dm_type *t)
{
    dm_buf_text(b, "{\"type\": \"array\", ");
    if (t->n == 0 || t->variadic) {
        dm_buf_text(b, "\"items\": ");
        if (t->n)
            schema(b, t->args[0]);
        else
            dm_buf_text(b, "{}");
    } else {
        dm_buf_printf(b, "\"maxItems\": %zu, \"minItems\": %zu, \"prefixItems\": ", t->n, t->n);
        list_of(b, t->args, t->n);
    }
    dm_buf_char(b, '}');
}

static void schema(dm_buf *b, const dm_type *t)
{
    switch (t->kind) {
    case DM_T_STR:
        dm_buf_text(b, "{\"type\": \"string\"}");
        break;
    case DM_T_INT:
        dm_buf_text(b, "{\"type\": \"integer\"}");
        break;
    case DM_T_FLOAT:
        dm_buf_text(b, "{\"type\": \"number\"}");
        break;
    case DM_T_BOOL:
        dm_buf_text(b, "{\"type\": \"boolean\"}");
        break;
    case DM_T_ANY:
        dm_buf_text(b, "{}");
        break;
    case DM_T_NONE:
        dm_buf_text(b, "{\"type\": \"null\"}");
        break;
    case DM_T_LITERAL:
        literal_schema(b, t);
        break;
    case DM_T_LIST:
    case DM_T_SET:
    case DM_T_FROZENSET:
        dm_buf_text(b, "{\"type\": \"array\", \"items\": ");
        if (t->n)
            schema(b, t->args[0]);
        else
            dm_buf_text(b, "{}");
        dm_buf_text(b, t->kind == DM_T_LIST ? "}" : ", \"uniqueItems\": true}");
        break;
    case DM_T_DICT:
        dm_buf_text(b, "{\"type\": \"object\", \"additionalProperties\": ");
        if (t->n == 2 && t->args[1]->kind != DM_T_ANY)
            schema(b, t->args[1]);
        else
            dm_buf_text(b, "true");
        dm_buf_char(b, '}');
        break;
    case DM_T_TUPLE:
        tuple_schema(b, t);
        break;
    case DM_T_UNION:
        dm_buf_text(b, "{\"anyOf\": ");
        list_of(b, t->args, t->n);
        dm_buf_char(b, '}');
        break;
    }
}

void dm_type_schema(dm_buf *b, const dm_type *t)
{
    schema(b, t);
}
