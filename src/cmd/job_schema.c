#include "cmd/job_schema.h"
#include "cmd/job_table.h"
#include "cmd/option_text.h"
#include "cmd/options.h"
#include "json/json.h"
#include "lm/config.h"
#include "metric/metric.h"
#include "optimizer/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static dm_value *parsed(dm_arena *a, const char *json)
{
    dm_value *v = dm_json_read(a, dm_str_of(json), NULL);
    if (!v)
        abort(); /* a table has no JSON where it should */
    return v;
}

static void set(dm_arena *a, dm_value *d, const char *key, const dm_value *v)
{
    dm_value_set(a, d, dm_str_of(key), v);
}

static dm_value *number(dm_arena *a, double v)
{
    return v == floor(v) && fabs(v) < 1e15 ? dm_value_int(a, (int64_t)v) : dm_value_float(a, v);
}

/* What the kind says; bounds that are none are left out. */
static const char *type_of(const dm_param *row, bool *bounded)
{
    *bounded =
        row->kind == DM_PARAM_INT || row->kind == DM_PARAM_NUMBER || row->kind == DM_PARAM_AMOUNT;
    switch (row->kind) {
    case DM_PARAM_BOOL:
        return "\"boolean\"";
    case DM_PARAM_INT:
        return "\"integer\"";
    case DM_PARAM_NUMBER:
        return "\"number\"";
    case DM_PARAM_AMOUNT:
        return "\"number\", \"string\"";
    case DM_PARAM_TEXT:
    case DM_PARAM_FILE:
        return "\"string\"";
    case DM_PARAM_INTS:
        return "\"array\"";
    case DM_PARAM_PROGRAMS:
        return "\"string\", \"array\"";
    case DM_PARAM_OPTIMIZERS:
    case DM_PARAM_WORD:
    case DM_PARAM_ANY:
    case DM_PARAM_OWN:
        break;
    }
    return NULL;
}

static dm_value *words_of(dm_arena *a, const dm_param *row, bool nullable)
{
    dm_value *list = dm_value_list(a);
    for (const char *const *word = row->words; *word; word++)
        dm_value_append(a, list, dm_value_text(a, *word));
    if (nullable || row->null_is_0)
        dm_value_append(a, list, dm_value_null(a));
    return list;
}

/* nullable: null says as much as nothing there. */
static dm_value *schema_of(dm_arena *a, const dm_param *row, bool nullable)
{
    bool bounded;
    const char *type = type_of(row, &bounded);
    dm_value *d =
        row->schema ? parsed(a, dm_arena_printf(a, "{%s}", row->schema)) : dm_value_dict(a);
    if (type)
        set(a, d, "type",
            parsed(a, dm_arena_printf(a, "[%s%s]", type, nullable ? ", \"null\"" : "")));
    if (row->words)
        set(a, d, "enum", words_of(a, row, nullable));
    if (bounded && row->low > -1e15)
        set(a, d, "minimum", number(a, row->low));
    if (bounded && row->high < 1e15)
        set(a, d, "maximum", number(a, row->high));
    if (row->kind == DM_PARAM_OPTIMIZERS)
        d = parsed(a,
                   "{\"anyOf\": [{\"$ref\": \"#/$defs/member\"}, {\"type\": \"array\", "
                   "\"items\": {\"anyOf\": [{\"$ref\": \"#/$defs/member\"}, {\"type\": \"array\", "
                   "\"items\": {\"$ref\": \"#/$defs/member\"}}]}}]}");
    set(a, d, "description", dm_value_text(a, dm_option_text(a, row)));
    if (row->fallback)
        set(a, d, "default", parsed(a, row->fallback));
    return d;
}

static void add_rows(dm_arena *a, dm_value *properties, const dm_param *table, bool nullable)
{
    for (const dm_param *row = table; row && row->name; row++)
        set(a, properties, row->name, schema_of(a, row, nullable));
}

/* An object that has no other keys than these. */
static dm_value *object_of(dm_arena *a, const dm_value *properties, const char *required)
{
    dm_value *d = parsed(a, "{\"type\": \"object\"}");
    set(a, d, "properties", properties);
    if (required)
        set(a, d, "required", parsed(a, dm_arena_printf(a, "[\"%s\"]", required)));
    set(a, d, "patternProperties", parsed(a, "{\"^//\": {}}")); /* for who reads it */
    set(a, d, "additionalProperties", dm_value_bool(a, false));
    return d;
}

static dm_value *of_table(dm_arena *a, const dm_param *table, const char *required, bool nullable)
{
    dm_value *properties = dm_value_dict(a);
    add_rows(a, properties, table, nullable);
    return object_of(a, properties, required);
}

static dm_value *names_of(dm_arena *a, const dm_optimizer *o)
{
    dm_value *d = dm_value_dict(a), *names = dm_value_list(a);
    dm_value_append(a, names, dm_value_text(a, o->name));
    for (const char *const *alias = o->aliases; *alias; alias++)
        dm_value_append(a, names, dm_value_text(a, *alias));
    set(a, d, "enum", names);
    return d;
}

/* The keys that a holder reads among its members' (dm_param's beside). */
static void add_beside(dm_arena *a, dm_value *properties)
{
    for (size_t i = 0; i < dm_n_optimizers; i++)
        for (const dm_param *p = dm_optimizers[i]->params; p->name; p++)
            for (const char *const *key = p->beside; key && *key; key++)
                set(a, properties, *key, dm_value_dict(a));
}

/* One of them by its name, or as an object; members hold no other optimizers. */
static dm_value *optimizers(dm_arena *a, bool members)
{
    dm_value *any = dm_value_list(a), *d = dm_value_dict(a);
    for (size_t i = 0; i < dm_n_optimizers; i++) {
        const dm_optimizer *o = dm_optimizers[i];
        dm_value *properties = dm_value_dict(a);
        if (members && o->inner)
            continue;
        dm_value_append(a, any, names_of(a, o));
        set(a, properties, "name", names_of(a, o));
        set(a, properties, "num_threads",
            parsed(a, "{\"type\": [\"integer\", \"null\"], \"minimum\": 1, \"description\": "
                      "\"DSPy's name for lm.concurrency\"}"));
        add_rows(a, properties, o->params, true);
        if (members)
            add_beside(a, properties);
        dm_value_append(a, any, object_of(a, properties, "name"));
    }
    if (!members)
        dm_value_append(a, any,
                        parsed(a, "{\"type\": \"array\", \"items\": {\"$ref\": "
                                  "\"#/$defs/member\"}}"));
    set(a, d, "anyOf", any);
    return d;
}

static dm_value *metrics(dm_arena *a)
{
    dm_value *any = dm_value_list(a), *d = dm_value_dict(a);
    dm_metric_about m;
    for (size_t i = 0; dm_metric_about_of(i, &m); i++) {
        dm_value *properties = dm_value_dict(a), *name = dm_value_dict(a);
        bool command = dm_param_find(m.options ? m.options : dm_metric_common, m.name) != NULL;
        set(a, name, "const", dm_value_text(a, m.name));
        if (!command) {
            dm_value_append(a, any, name);
            add_rows(a, properties, dm_metric_common, false);
            set(a, properties, "name", name);
        }
        add_rows(a, properties, m.options, false);
        dm_value_append(a, any, object_of(a, properties, command ? m.name : "name"));
    }
    dm_value *function = dm_value_dict(a);
    set(a, function, "type", dm_value_text(a, "string"));
    set(a, function, "pattern", dm_value_text(a, ".:[^:]+$"));
    set(a, function, "description", dm_value_text(a, "a function in Python, module:function"));
    dm_value_append(a, any, function);
    set(a, d, "anyOf", any);
    return d;
}

/* A file, or data of a program in Python. */
#define DATA                                                                                       \
    "{\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"object\", \"required\": [\"python\"], "     \
    "\"properties\": {\"python\": {\"type\": \"string\"}}}]}"

/* What no table says: keys that are objects of their own. NULL: no such key. */
static dm_value *special(dm_arena *a, const char *name)
{
    static const char *const rows[][2] = {
        {"program", "{\"type\": [\"object\", \"string\"]}"},
        {"inputs", "{\"type\": [\"array\", \"string\"], \"items\": {\"type\": \"string\"}}"},
        {"lm", "{\"$ref\": \"#/$defs/model\"}"},
        {"lms", "{\"type\": \"object\", \"additionalProperties\": {\"$ref\": \"#/$defs/model\"}}"},
        {"optimizer", "{\"$ref\": \"#/$defs/optimizer\"}"},
        {"metric", "{\"$ref\": \"#/$defs/metric\"}"},
        {"trainset", DATA},
        {"valset", DATA},
        {"testset", DATA},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i][0], name) == 0)
            return parsed(a, rows[i][1]);
    return strcmp(name, "budget") == 0 ? of_table(a, dm_budget_table, NULL, true) : NULL;
}

/* "chat|json" */
static dm_value *one_of(dm_arena *a, const char *words)
{
    dm_value *d = dm_value_dict(a), *list = dm_value_list(a);
    for (size_t n; *words; words += n + (words[n] == '|')) {
        n = strcspn(words, "|");
        dm_value_append(a, list, dm_value_string(a, (dm_str){words, n}));
    }
    set(a, d, "enum", list);
    return d;
}

static dm_value *of_option(dm_arena *a, const dm_option *o)
{
    const dm_param *row = dm_param_find(dm_job_table, o->name);
    dm_value *d = special(a, o->name);
    if (row)
        return schema_of(a, row, false);
    if (!d && o->kind == DM_OPT_PATH)
        d = parsed(a, "{\"type\": \"string\"}");
    if (!d)
        d = o->value && strchr(o->value, '|') ? one_of(a, o->value) : dm_value_dict(a);
    set(a, d, "description", dm_value_text(a, o->help));
    return d;
}

void dm_put_job_schema(dm_buf *b)
{
    dm_arena *a = dm_arena_new(0);
    dm_value *properties = dm_value_dict(a), *defs = dm_value_dict(a), *model = dm_value_dict(a),
             *any = parsed(a, "[{\"type\": \"string\"}]");
    set(a, properties, "$schema", parsed(a, "{\"type\": \"string\"}"));
    for (size_t i = 0; dm_option_at(i); i++) {
        const dm_option *o = dm_option_at(i);
        if (o->kind <= DM_OPT_PATH && !strchr(o->name, '.') && !dm_value_get(properties, o->name))
            set(a, properties, o->name, of_option(a, o));
    }
    dm_value *job = object_of(a, properties, NULL), *root = dm_value_dict(a);
    set(a, root, "$schema", dm_value_text(a, "https://json-schema.org/draft/2020-12/schema"));
    set(a, root, "title", dm_value_text(a, "a job of dspy-mpi"));
    for (size_t i = 0; i < job->n; i++)
        dm_value_set(a, root, job->members[i].key, job->members[i].value);
    dm_value_append(a, any, of_table(a, dm_lm_table, "model", false));
    set(a, model, "anyOf", any);
    set(a, defs, "model", model);
    set(a, defs, "metric", metrics(a));
    set(a, defs, "optimizer", optimizers(a, false));
    set(a, defs, "member", optimizers(a, true));
    set(a, root, "$defs", defs);
    dm_json_write(b, root, DM_JSON_PYTHON_INDENT);
    dm_buf_char(b, '\n');
    dm_arena_free(a);
}
