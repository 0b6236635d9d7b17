#include "data/shapes.h"
#include "base/utf8.h"

#include <string.h>

#define AS_ONE "if it is one example, write it as [{...}]"

typedef struct sheet {
    dm_arena *arena; /* of the rows */
    const char *name;
    const dm_value *v;
    dm_arena *list;
    dm_value *rows;
    dm_error *err;
} sheet;

static dm_status refuse(const sheet *s, const dm_value *at, const char *what)
{
    return dm_fail(s->err, DM_E_DATA, "%s:%u:%u: %s", s->name, at->line, at->column, what);
}

static void add_row(const sheet *s, const dm_value *row)
{
    dm_value_append(s->list, s->rows, row);
}

/* ---- pandas, orient="split": {"columns": [...], "index": [...], "data": [[...], ...]} ---- */

static bool is_split(const dm_value *v)
{
    const dm_value *columns = dm_value_get(v, "columns"), *data = dm_value_get(v, "data");
    size_t index = dm_value_get(v, "index") != NULL;
    return columns && data && v->n == 2 + index && columns->kind == DM_LIST &&
           data->kind == DM_LIST;
}

static dm_status split_rows(const sheet *s)
{
    const dm_value *columns = dm_value_get(s->v, "columns"), *data = dm_value_get(s->v, "data");
    for (size_t i = 0; i < columns->n; i++)
        if (columns->items[i]->kind != DM_STRING && columns->items[i]->kind != DM_INT)
            return refuse(s, columns->items[i], "a column's name has to be a string");
    for (size_t i = 0; i < data->n; i++) {
        const dm_value *cells = data->items[i];
        if (cells->kind != DM_LIST || cells->n != columns->n)
            return refuse(s, cells,
                          "each row of `data` has to be a list with a value for each of "
                          "`columns`");
        dm_value *row = dm_value_dict(s->arena);
        for (size_t k = 0; k < cells->n; k++)
            dm_value_set(s->arena, row, columns->items[k]->text, cells->items[k]);
        add_row(s, row);
    }
    return DM_OK;
}

/* ---- orient="table": {"schema": {"fields": [...], "primaryKey": ["index"]}, "data": [{...}]} ----
 */

static bool is_table(const dm_value *v)
{
    const dm_value *schema = dm_value_get(v, "schema"), *data = dm_value_get(v, "data");
    const dm_value *fields = schema ? dm_value_get(schema, "fields") : NULL;
    return data && v->n == 2 && data->kind == DM_LIST && fields && fields->kind == DM_LIST;
}

/* An index without a name of its own is called "index". */
static bool has_nameless_index(const dm_value *v)
{
    const dm_value *key = dm_value_get(dm_value_get(v, "schema"), "primaryKey");
    return key && key->kind == DM_LIST && key->n == 1 && key->items[0]->kind == DM_STRING &&
           dm_str_is(key->items[0]->text, "index");
}

static dm_status table_rows(const sheet *s)
{
    const dm_value *data = dm_value_get(s->v, "data");
    bool drop = has_nameless_index(s->v);
    for (size_t i = 0; i < data->n; i++) {
        const dm_value *from = data->items[i];
        if (from->kind != DM_DICT)
            return refuse(s, from, "each row of `data` has to be an object {...}");
        dm_value *row = dm_value_dict(s->arena);
        for (size_t k = 0; k < from->n; k++)
            if (!drop || !dm_str_is(from->members[k].key, "index"))
                dm_value_set(s->arena, row, from->members[k].key, from->members[k].value);
        add_row(s, row);
    }
    return DM_OK;
}

/* ---- an object of objects: orient="columns", the default, or "index" ---- */

static bool all_numbers(const dm_value *v)
{
    for (size_t i = 0; i < v->n; i++)
        if (!dm_str_is_whole(v->members[i].key))
            return false;
    return v->n > 0;
}

static bool same_keys(const dm_value *a, const dm_value *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!dm_str_eq(a->members[i].key, b->members[i].key))
            return false;
    return true;
}

static bool all_of_kind(const dm_value *v, dm_kind kind)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->members[i].value->kind != kind)
            return false;
    return v->n > 0;
}

static bool is_grid(const dm_value *v)
{
    if (!all_of_kind(v, DM_DICT) || v->members[0].value->n == 0)
        return false;
    for (size_t i = 1; i < v->n; i++)
        if (!same_keys(v->members[0].value, v->members[i].value))
            return false;
    return true;
}

static void column_rows(const sheet *s)
{
    const dm_value *v = s->v, *first = v->members[0].value;
    for (size_t i = 0; i < first->n; i++) {
        dm_value *row = dm_value_dict(s->arena);
        for (size_t k = 0; k < v->n; k++)
            dm_value_set(s->arena, row, v->members[k].key, v->members[k].value->members[i].value);
        add_row(s, row);
    }
}

static dm_status grid_rows(const sheet *s)
{
    bool columns = all_numbers(s->v->members[0].value), index = all_numbers(s->v);
    if (columns && index)
        return refuse(s, s->v,
                      "an object of objects whose keys are numbers at both levels: which are the "
                      "columns? With pandas, to_json(FILE, orient=\"records\", lines=True)");
    if (!columns && !index)
        return refuse(s, s->v,
                      "an object of objects: which are the columns, which the rows? With pandas, "
                      "to_json(FILE, orient=\"records\", lines=True); " AS_ONE);
    if (columns)
        column_rows(s);
    for (size_t i = 0; index && i < s->v->n; i++)
        add_row(s, s->v->members[i].value);
    return DM_OK;
}

/* ---- what is no table ---- */

/* All values are lists, as long as each other, and that at least so. */
static bool is_lists(const dm_value *v, size_t least)
{
    if (v->n < 2 || !all_of_kind(v, DM_LIST) || v->members[0].value->n < least)
        return false;
    for (size_t i = 1; i < v->n; i++)
        if (v->members[i].value->n != v->members[0].value->n)
            return false;
    return true;
}

/* What the web API of Hugging Face's data sets gives: {"features": [...], "rows": [{"row_idx": 0,
 * "row": {...}}, ...]} */
static bool is_wrapped(const dm_member *m)
{
    const dm_value *row = dm_value_get(m->value->items[0], "row");
    return row && row->kind == DM_DICT;
}

/* The member that is a list of objects: the longest, or the first of equals; NULL: there is none.
 */
static const dm_member *nested(const dm_value *v)
{
    const dm_member *best = NULL;
    for (size_t i = 0; i < v->n; i++) {
        const dm_member *m = &v->members[i];
        const dm_value *list = m->value;
        if (list->kind != DM_LIST || !list->n || list->items[0]->kind != DM_DICT)
            continue;
        if (is_wrapped(m))
            return m;
        if (!best || list->n > best->value->n)
            best = m;
    }
    return best;
}

static dm_status refuse_nested(const sheet *s, const dm_member *m)
{
    return dm_fail(
        s->err, DM_E_DATA,
        "%s:%u:%u: one object, and `%.*s` in it is a list of %zu: if those are the "
        "examples, jq -c '.[\"%.*s\"][]%s' OLD > NEW.jsonl writes them one a line; " AS_ONE,
        s->name, s->v->line, s->v->column, DM_STR_ARG(m->key), m->value->n, DM_STR_ARG(m->key),
        is_wrapped(m) ? ".row" : "");
}

dm_status dm_rows_of_object(dm_arena *a, const char *name, const dm_value *v, bool one_line,
                            dm_arena *list, dm_value *rows, dm_error *err)
{
    const sheet s = {a, name, v, list, rows, err};
    const dm_member *inner = nested(v);
    if (is_split(v))
        return split_rows(&s);
    if (is_table(v))
        return table_rows(&s);
    if (is_grid(v) && (v->n > 1 || all_numbers(v) || all_numbers(v->members[0].value)))
        return grid_rows(&s);
    if (!inner && is_lists(v, one_line ? 2 : 1))
        return refuse(&s, v,
                      "an object of lists of equal length: are they columns? With pandas, "
                      "to_json(FILE, orient=\"records\", lines=True); " AS_ONE);
    if (inner && !one_line)
        return refuse_nested(&s, inner);
    add_row(&s, v);
    return DM_OK;
}

dm_status dm_rows_of_value(dm_arena *list, const char *name, const dm_value *v, dm_value *rows,
                           dm_error *err)
{
    const sheet s = {list, name, v, list, rows, err};
    if (v->kind == DM_STRING && v->text.n && strchr("[{", v->text.p[0]))
        return refuse(&s, v,
                      "JSON inside a JSON string: it was written twice (json.dumps of what "
                      "to_json() gave); write that text itself");
    if (v->kind != DM_LIST)
        return refuse(&s, v, "a data set is an array of objects [{...}, ...]");
    for (size_t i = 0; i < v->n; i++) {
        const dm_value *row = v->items[i];
        if (row->kind == DM_LIST)
            return refuse(
                &s, row,
                "a row without the names of its columns: each element has to be an object "
                "{...} (with pandas, orient=\"records\")");
        if (row->kind != DM_DICT)
            return refuse(&s, row, "each element has to be an object {...}");
        add_row(&s, row);
    }
    return DM_OK;
}
