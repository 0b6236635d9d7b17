/* The JSON schema of a type, as pydantic makes it and DSPy sorts it: `type` first, then the other
 * keys by name (contract 2.4). */
#include "json/json.h"
#include "program/type.h"

static void schema(dm_buf *b, const dm_type *t);

static bool of_one_kind(const dm_type *literal)
{
    for (size_t i = 1; i < literal->n; i++)
        if (literal->members[i]->kind != literal->members[0]->kind)
            return false;
    return true;
}

static void members_schema(dm_buf *b, const dm_type *t)
{
    if (t->n == 1) {
        dm_buf_text(b, "\"const\": ");
        dm_json_write(b, t->members[0], DM_JSON_PYTHON);
        return;
    }
    dm_buf_text(b, "\"enum\": [");
    for (size_t i = 0; i < t->n; i++) {
        dm_buf_text(b, i ? ", " : "");
        dm_json_write(b, t->members[i], DM_JSON_PYTHON);
    }
    dm_buf_char(b, ']');
}

static void literal_schema(dm_buf *b, const dm_type *t)
{
    dm_kind kind = t->members[0]->kind;
    const char *type = kind == DM_STRING ? "string"
                       : kind == DM_INT  ? "integer"
                       : kind == DM_BOOL ? "boolean"
                                         : "null";
    dm_buf_char(b, '{');
    if (of_one_kind(t))
        dm_buf_printf(b, "\"type\": \"%s\", ", type);
    members_schema(b, t);
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

/* null comes last, wherever None stands; what looks alike stands once. */
static void union_schema(dm_buf *b, const dm_type *t)
{
    dm_arena *a = dm_arena_new(0);
    dm_str *parts = dm_arena_alloc_n(a, t->n + 1, sizeof *parts);
    size_t n = 0;
    bool null = false;
    for (size_t i = 0; i < t->n; i++) {
        dm_buf one;
        dm_buf_init(&one, DM_MAX_TEXT);
        schema(&one, t->args[i]);
        parts[n] = (dm_str){dm_arena_string(a, one.data, one.len), one.len};
        bool again = t->args[i]->kind == DM_T_NONE;
        null |= again;
        for (size_t k = 0; k < n; k++)
            again |= dm_str_eq(parts[k], parts[n]);
        n += !again;
        dm_buf_free(&one);
    }
    if (null)
        parts[n++] = DM_STR("{\"type\": \"null\"}");
    dm_buf_text(b, n > 1 ? "{\"anyOf\": [" : "");
    for (size_t i = 0; i < n; i++) {
        dm_buf_text(b, i ? ", " : "");
        dm_buf_str(b, parts[i]);
    }
    dm_buf_text(b, n > 1 ? "]}" : "");
    dm_arena_free(a);
}

static void dict_schema(dm_buf *b, const dm_type *t)
{
    dm_buf_text(b, "{\"type\": \"object\", \"additionalProperties\": ");
    if (t->n == 2 && t->args[1]->kind != DM_T_ANY)
        schema(b, t->args[1]);
    else
        dm_buf_text(b, "true");
    const dm_type *key = t->n == 2 ? t->args[0] : NULL;
    if (key && key->kind == DM_T_LITERAL && of_one_kind(key) &&
        key->members[0]->kind == DM_STRING) {
        dm_buf_text(b, ", \"propertyNames\": {");
        members_schema(b, key);
        dm_buf_char(b, '}');
    }
    dm_buf_char(b, '}');
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
        dict_schema(b, t);
        break;
    case DM_T_TUPLE:
        tuple_schema(b, t);
        break;
    case DM_T_UNION:
        union_schema(b, t);
        break;
    }
}

void dm_type_schema(dm_buf *b, const dm_type *t)
{
    schema(b, t);
}
