#include "json/value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Only lists and dicts have what is behind the text; for the others, which are many, it is not
 * allocated. */
static size_t size_of(dm_kind kind)
{
    bool all = kind == DM_LIST || kind == DM_DICT;
    return all ? sizeof(dm_value) : offsetof(dm_value, text) + sizeof(dm_str);
}

static dm_value *make(dm_arena *a, dm_kind kind)
{
    dm_value *v = dm_arena_alloc(a, size_of(kind));
    v->kind = kind;
    return v;
}

dm_value *dm_value_null(dm_arena *a)
{
    return make(a, DM_NULL);
}

dm_value *dm_value_bool(dm_arena *a, bool b)
{
    dm_value *v = make(a, DM_BOOL);
    v->boolean = b;
    return v;
}

dm_value *dm_value_digits(dm_arena *a, dm_str digits)
{
    dm_value *v = make(a, DM_INT);
    bool negative = digits.n > 0 && digits.p[0] == '-';
    if (digits.n > 0 && (digits.p[0] == '-' || digits.p[0] == '+'))
        digits = (dm_str){digits.p + 1, digits.n - 1};
    while (digits.n > 1 && digits.p[0] == '0')
        digits = (dm_str){digits.p + 1, digits.n - 1};
    if (digits.n == 1 && digits.p[0] == '0')
        negative = false;
    char *text = dm_arena_alloc(a, digits.n + negative + 1);
    if (negative)
        text[0] = '-';
    memcpy(text + negative, digits.p, digits.n);
    v->text = (dm_str){text, digits.n + negative};
    v->number = strtod(text, NULL);
    return v;
}

dm_value *dm_value_int(dm_arena *a, int64_t i)
{
    char text[24];
    size_t n = sizeof text;
    uint64_t u = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    do
        text[--n] = (char)('0' + u % 10);
    while (u /= 10);
    if (i < 0)
        text[--n] = '-';
    dm_value *v = make(a, DM_INT);
    v->text = (dm_str){dm_arena_string(a, text + n, sizeof text - n), sizeof text - n};
    v->number = (double)i;
    return v;
}

dm_value *dm_value_float(dm_arena *a, double d)
{
    dm_value *v = make(a, DM_FLOAT);
    v->number = d;
    return v;
}

dm_value *dm_value_finite(dm_arena *a, double v)
{
    return isfinite(v) ? dm_value_float(a, v) : dm_value_null(a);
}

dm_value *dm_value_string(dm_arena *a, dm_str s)
{
    dm_value *v = make(a, DM_STRING);
    v->text = (dm_str){dm_arena_string(a, s.p, s.n), s.n};
    return v;
}

dm_value *dm_value_string_kept(dm_arena *a, dm_str s)
{
    dm_value *v = make(a, DM_STRING);
    v->text = s;
    return v;
}

dm_value *dm_value_text(dm_arena *a, const char *s)
{
    return dm_value_string(a, dm_str_of(s));
}

dm_value *dm_value_list(dm_arena *a)
{
    return make(a, DM_LIST);
}

dm_value *dm_value_dict(dm_arena *a)
{
    return make(a, DM_DICT);
}

void dm_value_append(dm_arena *a, dm_value *list, const dm_value *item)
{
    list->items = dm_arena_room(a, list->items, list->n, &list->cap, sizeof *list->items);
    list->items[list->n++] = item;
}

dm_value *dm_value_strings(dm_arena *a, const dm_str *s, size_t n)
{
    dm_value *list = dm_value_list(a);
    for (size_t i = 0; i < n; i++)
        dm_value_append(a, list, dm_value_string(a, s[i]));
    return list;
}

/* ---- keys: one by one while they are few, by hash when they are many ---- */

#define FEW 64

static uint64_t hash_of_key(dm_str key) /* FNV-1a */
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < key.n; i++)
        h = (h ^ (unsigned char)key.p[i]) * 0x100000001b3u;
    return h ^ (h >> 32);
}

/* The slot of the key, or the free one where it belongs. */
static size_t slot_of(const dm_value *dict, dm_str key)
{
    size_t k = hash_of_key(key) & (dict->slots - 1);
    while (dict->index[k] && !dm_str_eq(dict->members[dict->index[k] - 1].key, key))
        k = (k + 1) & (dict->slots - 1);
    return k;
}

/* SIZE_MAX: it has none. */
static size_t place_of(const dm_value *dict, dm_str key)
{
    if (dict->slots)
        return (size_t)dict->index[slot_of(dict, key)] - 1;
    for (size_t i = 0; i < dict->n; i++)
        if (dict->members[i].key.n == key.n && dm_str_eq(dict->members[i].key, key))
            return i;
    return SIZE_MAX;
}

static void add_to_index(dm_arena *a, dm_value *dict)
{
    if (dict->n <= FEW || dict->n > UINT32_MAX / 2)
        return;
    if (2 * dict->n <= dict->slots) {
        dict->index[slot_of(dict, dict->members[dict->n - 1].key)] = (uint32_t)dict->n;
        return;
    }
    for (dict->slots = 4 * FEW; dict->slots < 4 * dict->n;)
        dict->slots *= 2;
    dict->index = dm_arena_alloc_n(a, dict->slots, sizeof *dict->index);
    for (size_t i = 0; i < dict->n; i++)
        dict->index[slot_of(dict, dict->members[i].key)] = (uint32_t)(i + 1);
}

void dm_value_set_kept(dm_arena *a, dm_value *dict, dm_str key, const dm_value *value)
{
    size_t i = place_of(dict, key);
    if (i != SIZE_MAX) {
        dict->members[i].value = value;
        return;
    }
    dict->members = dm_arena_room(a, dict->members, dict->n, &dict->cap, sizeof *dict->members);
    dict->members[dict->n++] = (dm_member){key, value};
    add_to_index(a, dict);
}

void dm_value_set(dm_arena *a, dm_value *dict, dm_str key, const dm_value *value)
{
    dm_value_set_kept(a, dict, (dm_str){dm_arena_string(a, key.p, key.n), key.n}, value);
}

/* Exactly as large as it has to be. Keys that `like` has at the same places are shared with it. */
dm_value *dm_value_copy_like(dm_arena *a, const dm_value *v, const dm_value *like)
{
    dm_value *c = make(a, v->kind);
    memcpy(c, v, size_of(v->kind));
    if (v->kind == DM_INT || v->kind == DM_STRING)
        c->text.p = dm_arena_string(a, v->text.p, v->text.n);
    if (v->kind != DM_LIST && v->kind != DM_DICT)
        return c;
    c->cap = c->n;
    if (v->slots) {
        c->index = dm_arena_alloc_n(a, v->slots, sizeof *c->index);
        memcpy(c->index, v->index, v->slots * sizeof *c->index);
    }
    if (v->kind == DM_LIST) {
        c->items = dm_arena_alloc_n(a, v->n, sizeof *c->items);
        for (size_t i = 0; i < v->n; i++)
            c->items[i] = dm_value_copy_like(a, v->items[i], NULL);
        return c;
    }
    c->members = dm_arena_alloc_n(a, v->n, sizeof *c->members);
    for (size_t i = 0; i < v->n; i++) {
        dm_str key = v->members[i].key;
        bool same =
            like && like->kind == DM_DICT && i < like->n && dm_str_eq(like->members[i].key, key);
        c->members[i].key =
            same ? like->members[i].key : (dm_str){dm_arena_string(a, key.p, key.n), key.n};
        c->members[i].value = dm_value_copy_like(a, v->members[i].value, NULL);
    }
    return c;
}

dm_value *dm_value_copy(dm_arena *a, const dm_value *v)
{
    return dm_value_copy_like(a, v, NULL);
}

const dm_value *dm_value_get_str(const dm_value *dict, dm_str key)
{
    if (!dict || dict->kind != DM_DICT)
        return NULL;
    size_t i = place_of(dict, key);
    return i == SIZE_MAX ? NULL : dict->members[i].value;
}

const dm_value *dm_value_get(const dm_value *dict, const char *key)
{
    return dm_value_get_str(dict, dm_str_of(key));
}

dm_str dm_value_text_of(const dm_value *v)
{
    return v && v->kind == DM_STRING ? v->text : DM_STR("");
}

bool dm_value_to_int(const dm_value *v, int64_t *out)
{
    if (!v || v->kind != DM_INT || v->text.n > 20)
        return false;
    bool negative = v->text.p[0] == '-';
    uint64_t u = 0;
    for (size_t i = negative; i < v->text.n; i++)
        if (__builtin_mul_overflow(u, (uint64_t)10, &u) ||
            __builtin_add_overflow(u, (uint64_t)(v->text.p[i] - '0'), &u))
            return false;
    if (u > (uint64_t)INT64_MAX + negative)
        return false;
    *out = negative ? (int64_t)(0 - u) : (int64_t)u;
    return true;
}

static bool is_number(const dm_value *v)
{
    return v->kind == DM_BOOL || v->kind == DM_INT || v->kind == DM_FLOAT;
}

static double number_of(const dm_value *v)
{
    return v->kind == DM_BOOL ? v->boolean : v->number;
}

static bool is_exactly(double v, dm_str digits)
{
    char text[400];
    snprintf(text, sizeof text, "%.0f", v);
    return dm_str_is(digits, text);
}

bool dm_value_equal(const dm_value *a, const dm_value *b)
{
    if (is_number(a) && is_number(b)) {
        if (a->kind == DM_INT && b->kind == DM_INT)
            return dm_str_eq(a->text, b->text);
        if (number_of(a) != number_of(b))
            return false;
        const dm_value *whole = a->kind == DM_INT ? a : b; /* Python compares exactly */
        return whole->kind != DM_INT || fabs(number_of(a)) < 0x1p53 ||
               is_exactly(number_of(a), whole->text);
    }
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case DM_STRING:
        return dm_str_eq(a->text, b->text);
    case DM_LIST:
        if (a->n != b->n)
            return false;
        for (size_t i = 0; i < a->n; i++)
            if (!dm_value_equal(a->items[i], b->items[i]))
                return false;
        return true;
    case DM_DICT:
        if (a->n != b->n)
            return false;
        for (size_t i = 0; i < a->n; i++) {
            const dm_value *v = dm_value_get_str(b, a->members[i].key);
            if (!v || !dm_value_equal(a->members[i].value, v))
                return false;
        }
        return true;
    default:
        return true;
    }
}

bool dm_value_truthy(const dm_value *v)
{
    switch (v->kind) {
    case DM_NULL:
        return false;
    case DM_BOOL:
        return v->boolean;
    case DM_INT:
        return !(v->text.n == 1 && v->text.p[0] == '0');
    case DM_FLOAT:
        return v->number != 0;
    case DM_STRING:
        return v->text.n > 0;
    case DM_LIST:
    case DM_DICT:
        break;
    }
    return v->n > 0;
}
