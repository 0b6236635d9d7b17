#include "json/param.h"
#include "json/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- values ---- */

static dm_status read_amount(const dm_param *row, const dm_at *at, double *out, dm_error *err)
{
    dm_error why = {DM_OK, ""};
    if (at->v->kind != DM_STRING)
        return dm_get_number(at, row->low, row->high, out, err);
    if (row->parse(at->v->text.p, out, &why) != DM_OK)
        return dm_at_fail(at, err, "%s", why.text);
    return *out > 0 || row->low <= 0 ? DM_OK : dm_at_fail(at, err, "more than 0");
}

static dm_status read_word(const dm_param *row, const dm_at *at, unsigned *out, dm_error *err)
{
    dm_str word = {NULL, 0};
    if (at->v->kind == DM_NULL && row->null_is_0) {
        *out = 0;
        return DM_OK;
    }
    dm_status st = dm_get_string(at, &word, err);
    if (st != DM_OK)
        return st;
    char text[200] = "";
    size_t used = 0;
    for (unsigned i = 0; row->words[i]; i++) {
        if (dm_str_is(word, row->words[i])) {
            *out = i + row->null_is_0;
            return DM_OK;
        }
        used +=
            (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? ", " : "", row->words[i]);
    }
    return dm_at_fail(at, err, "one of %s, not \"%.*s\"", text, DM_STR_ARG(word));
}

static dm_status read_text(dm_arena *a, const dm_param *row, const dm_at *at, const char **out,
                           dm_error *err)
{
    dm_str text = {NULL, 0};
    dm_status st = dm_get_string(at, &text, err);
    const char *bad = st == DM_OK && row->bad ? row->bad(a, text.p) : NULL;
    if (st == DM_OK)
        *out = text.p;
    return bad ? dm_at_fail(at, err, "%s", bad) : st;
}

static dm_status read_ints(dm_arena *a, const dm_param *row, const dm_at *at, dm_ints *out,
                           dm_error *err)
{
    if (at->v->kind != DM_LIST)
        return dm_at_fail(at, err, "a list of whole numbers, each at least %.0f", row->low);
    int64_t *list = dm_arena_alloc_n(a, at->v->n, sizeof *list);
    for (size_t i = 0; i < at->v->n; i++) {
        dm_at item = dm_at_item(at, i);
        dm_status st = dm_get_int(&item, (int64_t)row->low, (int64_t)row->high, &list[i], err);
        if (st != DM_OK)
            return st;
    }
    *out = (dm_ints){list, at->v->n};
    return DM_OK;
}

dm_status dm_param_read(dm_arena *a, const dm_param *row, const dm_at *at, void *into,
                        dm_error *err)
{
    void *value = (char *)into + row->at;
    if (row->given)
        *(bool *)((char *)into + row->given) = true;
    switch (row->kind) {
    case DM_PARAM_BOOL:
        return dm_get_bool(at, value, err);
    case DM_PARAM_INT:
        return dm_get_int(at, (int64_t)row->low, (int64_t)row->high, value, err);
    case DM_PARAM_NUMBER:
        return dm_get_number(at, row->low, row->high, value, err);
    case DM_PARAM_AMOUNT:
        return read_amount(row, at, value, err);
    case DM_PARAM_WORD:
        return read_word(row, at, value, err);
    case DM_PARAM_TEXT:
        return read_text(a, row, at, value, err);
    case DM_PARAM_INTS:
        return read_ints(a, row, at, value, err);
    case DM_PARAM_OWN:
        return row->read(a, at, into, err);
    case DM_PARAM_ANY:
    case DM_PARAM_FILE:
    case DM_PARAM_PROGRAMS:
    case DM_PARAM_OPTIMIZERS:
        break;
    }
    return DM_OK;
}

/* ---- tables ---- */

dm_status dm_params_read(dm_arena *a, const dm_param *table, const dm_at *at, bool null_absent,
                         void *into, dm_error *err)
{
    dm_status st = DM_OK;
    for (const dm_param *row = table; row->name && st == DM_OK; row++) {
        dm_at value = dm_at_key(at, row->name);
        if (value.v && !(null_absent && value.v->kind == DM_NULL))
            st = dm_param_read(a, row, &value, into, err);
    }
    return st;
}

void dm_params_default(const dm_param *table, void *into)
{
    dm_arena *a = dm_arena_new(1024);
    for (const dm_param *row = table; row->name; row++) {
        dm_param absent = *row;
        if (!row->fallback)
            continue;
        dm_at at = dm_at_root(dm_json_read(a, dm_str_of(row->fallback), NULL), row->name, DM_E_JOB);
        absent.given = 0; /* nobody gave it */
        if (!at.v || dm_param_read(a, &absent, &at, into, NULL) != DM_OK)
            abort(); /* the table refuses its own default */
        dm_arena_reset(a);
    }
    dm_arena_free(a);
}

dm_status dm_params_known(dm_arena *a, const dm_param *table, const dm_at *at,
                          const char *(*near)(const char *key), dm_error *err)
{
    size_t n = 0;
    while (table[n].name)
        n++;
    const char **names = dm_arena_alloc_n(a, n + 1, sizeof *names);
    for (size_t i = 0; i < n; i++)
        names[i] = table[i].name;
    return dm_get_known_by(at, names, n, near, err);
}

const dm_param *dm_param_find(const dm_param *table, const char *name)
{
    for (const dm_param *row = table; row->name; row++)
        if (strcmp(row->name, name) == 0)
            return row;
    return NULL;
}

/* ---- for people ---- */

const char *dm_param_value(dm_arena *a, const dm_param *row)
{
    if (row->value || !row->words)
        return row->value ? row->value : "";
    const char *text = row->words[0];
    for (size_t i = 1; row->words[i]; i++)
        text = dm_arena_printf(a, "%s|%s", text, row->words[i]);
    return row->null_is_0 ? dm_arena_printf(a, "%s|null", text) : text;
}

const char *dm_param_default(dm_arena *a, const dm_param *row)
{
    const char *text = row->fallback ? row->fallback : row->absent;
    size_t n = text ? strlen(text) : 0;
    if (row->fallback && n > 1 && text[0] == '"')
        return dm_arena_string(a, text + 1, n - 2);
    return text ? text : "";
}
