/* Labels as values of the output's type, and when two values are the same one. */
#include "adapter/adapter.h"
#include "base/utf8.h"
#include "json/json.h"
#include "metric/inside.h"

#include <math.h>
#include <stdlib.h>

dm_str dm_metric_text(dm_arena *a, const dm_value *v)
{
    dm_buf b;
    if (v->kind == DM_STRING)
        return v->text;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_py_str(&b, v);
    dm_str s = {dm_arena_string(a, b.data ? b.data : "", b.len), b.len};
    dm_buf_free(&b);
    return s;
}

/* A number as text where the type takes text alone, as Literal['1', '2'] does; of a whole float
 * also without its point, as pandas makes floats of the integers in a column that has gaps. */
static const dm_value *fit_text(dm_arena *a, const dm_type *t, const dm_value *label)
{
    const dm_value *out;
    if (label->kind != DM_INT && label->kind != DM_FLOAT && label->kind != DM_BOOL)
        return NULL;
    const dm_value *text = dm_value_string(a, dm_metric_text(a, label));
    if (dm_coerce(a, t, text, &out, NULL) == DM_OK)
        return out;
    bool whole = label->kind == DM_FLOAT && fabs(label->number) < 1e15 &&
                 label->number == trunc(label->number);
    return whole ? fit_text(a, t, dm_value_int(a, (int64_t)label->number)) : NULL;
}

const dm_value *dm_metric_label(dm_arena *a, const dm_type *t, const dm_value *label)
{
    const dm_value *out;
    if (t->kind == DM_T_STR)
        return label;
    if (label->kind == DM_STRING && dm_py_strip(label->text).n == 0 && dm_type_allows_none(t))
        return dm_value_null(a); /* the empty cell of a table */
    return dm_coerce(a, t, label, &out, NULL) == DM_OK ? out : fit_text(a, t, label);
}

const dm_value *dm_metric_typed(dm_arena *a, const dm_type *t, const dm_value *label)
{
    const dm_value *one = t ? dm_metric_label(a, t, label) : label;
    if (one || label->kind != DM_LIST)
        return one ? one : label;
    dm_value *several = dm_value_list(a); /* any one of them is right, for some metrics */
    for (size_t i = 0; i < label->n; i++) {
        one = dm_metric_label(a, t, label->items[i]);
        dm_value_append(a, several, one ? one : label->items[i]);
    }
    return several;
}

/* ---- equality ---- */

static const dm_type *item_type(const dm_type *t, size_t i)
{
    if (t->n == 0)
        return NULL;
    return t->args[t->kind == DM_T_TUPLE && !t->variadic && i < t->n ? i : 0];
}

static bool has_equal(const dm_type *t, const dm_value *list, const dm_value *item)
{
    for (size_t i = 0; i < list->n; i++)
        if (dm_metric_same(t, list->items[i], item))
            return true;
    return false;
}

static bool same_items(const dm_type *t, const dm_value *x, const dm_value *y)
{
    bool set = t->kind == DM_T_SET || t->kind == DM_T_FROZENSET;
    if (x->n != y->n || (set && x->n > DM_SET_MEMBERS))
        return false;
    for (size_t i = 0; i < x->n; i++)
        if (set ? !has_equal(item_type(t, i), y, x->items[i])
                : !dm_metric_same(item_type(t, i), x->items[i], y->items[i]))
            return false;
    return true;
}

static bool same_members(const dm_type *t, const dm_value *x, const dm_value *y)
{
    if (x->n != y->n)
        return false;
    for (size_t i = 0; i < x->n; i++) {
        const dm_value *other = dm_value_get_str(y, x->members[i].key);
        if (!other || !dm_metric_same(t->n > 1 ? t->args[1] : NULL, x->members[i].value, other))
            return false;
    }
    return true;
}

bool dm_metric_same(const dm_type *t, const dm_value *x, const dm_value *y)
{
    if (dm_value_equal(x, y))
        return true;
    if (!t || x->kind != y->kind)
        return false;
    if (t->kind == DM_T_UNION) {
        for (size_t i = 0; i < t->n; i++)
            if (dm_metric_same(t->args[i], x, y))
                return true;
        return false;
    }
    bool list = t->kind == DM_T_LIST || t->kind == DM_T_TUPLE || t->kind == DM_T_SET ||
                t->kind == DM_T_FROZENSET;
    if (list && x->kind == DM_LIST)
        return same_items(t, x, y);
    return t->kind == DM_T_DICT && x->kind == DM_DICT && same_members(t, x, y);
}

/* "Paris " and "paris" are the same: str(), trimmed, in lower case. */
dm_str dm_metric_plain(dm_arena *a, const dm_value *v)
{
    return dm_py_lower(a, dm_py_strip(dm_metric_text(a, v)));
}

/* A text that reads as the number. */
static bool is_number_in_text(dm_arena *a, const dm_value *number, const dm_value *text)
{
    static const dm_type types[] = {{.kind = DM_T_INT}, {.kind = DM_T_FLOAT}};
    const dm_value *v;
    if ((number->kind != DM_INT && number->kind != DM_FLOAT) || text->kind != DM_STRING)
        return false;
    for (size_t i = 0; i < 2; i++)
        if (dm_coerce(a, &types[i], text, &v, NULL) == DM_OK && dm_value_equal(v, number))
            return true;
    return false;
}

bool dm_metric_alike(dm_arena *a, const dm_type *t, const dm_value *x, const dm_value *y)
{
    return dm_metric_same(t, x, y) || dm_str_eq(dm_metric_plain(a, x), dm_metric_plain(a, y)) ||
           is_number_in_text(a, x, y) || is_number_in_text(a, y, x);
}
