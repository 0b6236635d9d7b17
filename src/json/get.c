#include "json/get.h"
#include "base/secret.h"
#include "base/utf8.h"
#include "json/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

dm_at dm_at_root(const dm_value *v, const char *file, dm_status status)
{
    return (dm_at){.v = v, .file = file, .status = status};
}

dm_at dm_at_key(const dm_at *at, const char *key)
{
    dm_at k = *at;
    size_t n = strlen(k.path);
    snprintf(k.path + n, sizeof k.path - n, "%s%s", n ? "." : "", key);
    k.v = dm_value_get(at->v, key);
    return k;
}

dm_at dm_at_item(const dm_at *at, size_t i)
{
    dm_at k = *at;
    size_t n = strlen(k.path);
    snprintf(k.path + n, sizeof k.path - n, "[%zu]", i);
    k.v = at->v && at->v->kind == DM_LIST && i < at->v->n ? at->v->items[i] : NULL;
    return k;
}

dm_status dm_at_fail(const dm_at *at, dm_error *err, const char *fmt, ...)
{
    char *text, where[64] = ""; /* whole: dm_fail masks before it cuts */
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        text = dm_copy_string(fmt);
    va_end(ap);
    bool flag = at->v && at->v->line == DM_LINE_FLAG;
    if (at->v && at->v->line && !flag)
        snprintf(where, sizeof where, ":%u:%u", at->v->line, at->v->column);
    dm_status st = flag ? dm_fail(err, DM_E_USAGE, "--%s: %s", at->path, text)
                        : dm_fail(err, at->status, "%s%s: %s%s%s", at->file, where, at->path,
                                  at->path[0] ? ": " : "", text);
    free(text);
    return st;
}

/* "..., not "three"", as it stands in the file. */
static dm_status not_this(const dm_at *at, dm_error *err, const char *wanted)
{
    dm_buf b;
    dm_buf_init(&b, 4096);
    dm_json_write(&b, at->v, DM_JSON_PYTHON);
    char *shown = dm_outside(dm_buf_view(&b), 63);
    dm_status st = dm_at_fail(at, err, "%s, not %s", wanted, shown);
    free(shown);
    dm_buf_free(&b);
    return st;
}

dm_status dm_get_bool(const dm_at *at, bool *out, dm_error *err)
{
    if (!at->v)
        return DM_OK;
    if (at->v->kind != DM_BOOL)
        return not_this(at, err, "true or false");
    *out = at->v->boolean;
    return DM_OK;
}

static void range_text(char *text, size_t n, const char *what, double low, double high)
{
    bool any_low = low <= -1e15, any_high = high >= 1e15;
    if (any_low && any_high)
        snprintf(text, n, "%s", what);
    else if (any_high)
        snprintf(text, n, "%s from %.15g on", what, low);
    else if (any_low)
        snprintf(text, n, "%s up to %.15g", what, high);
    else
        snprintf(text, n, "%s from %.15g to %.15g", what, low, high);
}

dm_status dm_get_int(const dm_at *at, int64_t low, int64_t high, int64_t *out, dm_error *err)
{
    int64_t v;
    if (!at->v)
        return DM_OK;
    if (dm_value_to_int(at->v, &v) && v >= low && v <= high) {
        *out = v;
        return DM_OK;
    }
    char wanted[96];
    range_text(wanted, sizeof wanted, "a whole number", (double)low, (double)high);
    return not_this(at, err, wanted);
}

dm_status dm_get_number(const dm_at *at, double low, double high, double *out, dm_error *err)
{
    if (!at->v)
        return DM_OK;
    bool number = at->v->kind == DM_INT || at->v->kind == DM_FLOAT;
    if (number && at->v->number >= low && at->v->number <= high) {
        *out = at->v->number;
        return DM_OK;
    }
    char wanted[96];
    range_text(wanted, sizeof wanted, "a number", low, high);
    return not_this(at, err, wanted);
}

dm_status dm_get_string(const dm_at *at, dm_str *out, dm_error *err)
{
    if (!at->v)
        return DM_OK;
    if (at->v->kind != DM_STRING)
        return not_this(at, err, "a string");
    if (at->v->text.n && memchr(at->v->text.p, 0, at->v->text.n))
        return not_this(at, err, "a string without U+0000");
    *out = at->v->text;
    return DM_OK;
}

dm_status dm_get_strings(const dm_at *at, dm_arena *a, dm_str **out, size_t *n, dm_error *err)
{
    if (!at->v)
        return DM_OK;
    bool one = at->v->kind == DM_STRING;
    if (!one && at->v->kind != DM_LIST)
        return not_this(at, err, "a string or a list of strings");
    size_t count = one ? 1 : at->v->n;
    dm_str *list = dm_arena_alloc_n(a, count, sizeof *list);
    for (size_t i = 0; i < count; i++) {
        dm_at item = one ? *at : dm_at_item(at, i);
        dm_status st = dm_get_string(&item, &list[i], err);
        if (st != DM_OK)
            return st;
    }
    *out = list;
    *n = count;
    return DM_OK;
}

dm_status dm_get_known(const dm_at *at, const char *const *names, size_t n, dm_error *err)
{
    return dm_get_known_by(at, names, n, NULL, err);
}

dm_status dm_get_known_by(const dm_at *at, const char *const *names, size_t n,
                          const char *(*near_to)(const char *key), dm_error *err)
{
    if (!at->v)
        return DM_OK;
    if (at->v->kind != DM_DICT)
        return not_this(at, err, "an object {...}");
    for (size_t i = 0; i < at->v->n; i++) {
        dm_str key = at->v->members[i].key;
        size_t k = 0;
        while (k < n && !dm_str_is(key, names[k]))
            k++;
        if (k < n)
            continue;
        dm_at bad = dm_at_key(at, key.p);
        const char *near = near_to ? near_to(key.p) : dm_nearest(key.p, names, n);
        return near ? dm_at_fail(&bad, err, "unknown key; did you mean \"%s\"?", near)
                    : dm_at_fail(&bad, err, "unknown key");
    }
    return DM_OK;
}
