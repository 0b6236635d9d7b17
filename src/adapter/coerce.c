/* From a completion's text, or a JSON value, to a field's type (contract 3.3): what DSPy's
 * parse_value and pydantic's lax mode do for the types that there are. */
#include "adapter/inside.h"
#include "base/utf8.h"
#include "json/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const dm_value *validate(dm_arena *a, const dm_type *t, const dm_value *v, bool strict);

/* ---- text to numbers, as pydantic reads strings ---- */

/* Copies digits without single _ between them; NULL: something else is in it. */
static char *plain_number(dm_arena *a, dm_str s)
{
    char *out = dm_arena_alloc(a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool between = i > 0 && i + 1 < s.n && s.p[i - 1] >= '0' && s.p[i - 1] <= '9' &&
                       s.p[i + 1] >= '0' && s.p[i + 1] <= '9';
        if (c == '_' && !between)
            return NULL;
        if (c != '_')
            out[n++] = c;
    }
    return out;
}

static const dm_value *int_of_text(dm_arena *a, dm_str text)
{
    dm_str s = dm_py_strip(text);
    char *p = s.n ? plain_number(a, s) : NULL;
    if (!p)
        return NULL;
    size_t i = p[0] == '-' || p[0] == '+', start = i;
    while (p[i] >= '0' && p[i] <= '9')
        i++;
    size_t end = i;
    if (p[i] == '.') /* 5.0 and 5. are whole */
        for (i++; p[i] == '0'; i++)
            ;
    if (p[i] || end == start || end - start > 4300)
        return NULL;
    return dm_value_digits(a, (dm_str){p, end});
}

static const dm_value *float_of_text(dm_arena *a, dm_str text)
{
    dm_str s = dm_py_strip(text);
    char *p = s.n ? plain_number(a, s) : NULL, *end;
    if (!p || strpbrk(p, "xXpP"))
        return NULL;
    const char *word = p + (*p == '-' || *p == '+');
    bool named = strcasecmp(word, "nan") == 0 || strcasecmp(word, "inf") == 0 ||
                 strcasecmp(word, "infinity") == 0;
    if (!named && strspn(word, "0123456789.eE+-") != strlen(word))
        return NULL;
    double v = strtod(p, &end);
    return *end || end == p ? NULL : dm_value_float(a, v);
}

static const dm_value *bool_of_text(dm_arena *a, dm_str s)
{
    static const char *const yes[] = {"true", "yes", "on", "t", "y", "1"};
    static const char *const no[] = {"false", "no", "off", "f", "n", "0"};
    for (size_t i = 0; i < 6; i++) {
        if (dm_str_is_any_case(s, yes[i]))
            return dm_value_bool(a, true);
        if (dm_str_is_any_case(s, no[i]))
            return dm_value_bool(a, false);
    }
    return NULL;
}

/* ---- one type each; strict: only what is of the type already ---- */

static const dm_value *validate_int(dm_arena *a, const dm_value *v, bool strict)
{
    if (v->kind == DM_INT)
        return v;
    if (strict)
        return NULL;
    if (v->kind == DM_BOOL)
        return dm_value_int(a, v->boolean);
    if (v->kind == DM_STRING)
        return int_of_text(a, v->text);
    if (v->kind != DM_FLOAT || !isfinite(v->number) || v->number != trunc(v->number))
        return NULL;
    char *digits = dm_arena_printf(a, "%.0f", v->number);
    return dm_value_digits(a, dm_str_of(digits));
}

static const dm_value *validate_float(dm_arena *a, const dm_value *v, bool strict)
{
    if (v->kind == DM_FLOAT)
        return v;
    if (v->kind == DM_INT)
        return dm_value_float(a, v->number);
    if (strict)
        return NULL;
    if (v->kind == DM_BOOL)
        return dm_value_float(a, v->boolean);
    return v->kind == DM_STRING ? float_of_text(a, v->text) : NULL;
}

static const dm_value *validate_bool(dm_arena *a, const dm_value *v, bool strict)
{
    if (v->kind == DM_BOOL)
        return v;
    if (strict)
        return NULL;
    if (v->kind == DM_STRING)
        return bool_of_text(a, v->text);
    if ((v->kind == DM_INT || v->kind == DM_FLOAT) && (v->number == 0 || v->number == 1))
        return dm_value_bool(a, v->number == 1);
    return NULL;
}

/* The member that v equals: of its own kind first, so that true is True and not 1. */
static const dm_value *member_of(const dm_type *t, const dm_value *v)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->members[i]->kind == v->kind && dm_value_equal(t->members[i], v))
            return t->members[i];
    for (size_t i = 0; i < t->n; i++)
        if (dm_value_equal(t->members[i], v))
            return t->members[i];
    return NULL;
}

static const dm_value *validate_list(dm_arena *a, const dm_type *t, const dm_value *v, bool strict)
{
    if (v->kind != DM_LIST)
        return NULL;
    bool fixed = t->kind == DM_T_TUPLE && t->n && !t->variadic;
    bool set = t->kind == DM_T_SET || t->kind == DM_T_FROZENSET;
    if (fixed && v->n != t->n)
        return NULL;
    dm_value *out = dm_value_list(a);
    for (size_t i = 0; i < v->n; i++) {
        const dm_value *item =
            t->n ? validate(a, t->args[fixed ? i : 0], v->items[i], strict) : v->items[i];
        bool again = false;
        if (!item || (set && out->n >= DM_SET_MEMBERS))
            return NULL;
        for (size_t k = 0; set && k < out->n; k++)
            again |= dm_value_equal(out->items[k], item);
        if (!again)
            dm_value_append(a, out, item);
    }
    return out;
}

static const dm_value *validate_dict(dm_arena *a, const dm_type *t, const dm_value *v, bool strict)
{
    if (v->kind != DM_DICT)
        return NULL;
    if (t->n == 0)
        return v;
    dm_value *out = dm_value_dict(a);
    for (size_t i = 0; i < v->n; i++) {
        const dm_value *key = validate(a, t->args[0], dm_value_string(a, v->members[i].key), false);
        const dm_value *item = validate(a, t->args[1], v->members[i].value, strict);
        if (!key || !item)
            return NULL;
        dm_buf b;
        dm_buf_init(&b, DM_MAX_TEXT);
        dm_py_str(&b, key);
        dm_value_set(a, out, dm_buf_view(&b), item);
        dm_buf_free(&b);
    }
    return out;
}

/* pydantic's smart mode: the member that fits without conversion, else the first that fits at all.
 */
static const dm_value *validate_union(dm_arena *a, const dm_type *t, const dm_value *v, bool strict)
{
    for (int pass = 0; pass < (strict ? 1 : 2); pass++)
        for (size_t i = 0; i < t->n; i++) {
            if (pass == 0 && t->args[i]->kind == DM_T_FLOAT && v->kind == DM_INT && t->n > 1)
                continue; /* an int is a float only if nothing is nearer */
            const dm_value *out = validate(a, t->args[i], v, pass == 0);
            if (out)
                return out;
        }
    return NULL;
}

static const dm_value *validate(dm_arena *a, const dm_type *t, const dm_value *v, bool strict)
{
    switch (t->kind) {
    case DM_T_STR:
        return v->kind == DM_STRING ? v : NULL;
    case DM_T_INT:
        return validate_int(a, v, strict);
    case DM_T_FLOAT:
        return validate_float(a, v, strict);
    case DM_T_BOOL:
        return validate_bool(a, v, strict);
    case DM_T_ANY:
        return v;
    case DM_T_NONE:
        return v->kind == DM_NULL ? v : NULL;
    case DM_T_LITERAL:
        return member_of(t, v);
    case DM_T_LIST:
    case DM_T_SET:
    case DM_T_FROZENSET:
    case DM_T_TUPLE:
        return validate_list(a, t, v, strict);
    case DM_T_DICT:
        return validate_dict(a, t, v, strict);
    case DM_T_UNION:
        return validate_union(a, t, v, strict);
    }
    return NULL;
}

const dm_value *dm_validate(dm_arena *a, const dm_type *t, const dm_value *v)
{
    return validate(a, t, v, false);
}

/* ---- DSPy's steps before pydantic ---- */

/* json_repair, then literal_eval, then the text itself. */
static const dm_value *guess_value(dm_arena *a, dm_str text)
{
    const dm_value *v = dm_json_repair(a, text);
    if (v->kind != DM_STRING || v->text.n > 0 || text.n == 0)
        return v;
    v = dm_py_literal(a, text);
    return v ? v : dm_value_string(a, text);
}

static bool has_kind(const dm_type *t, dm_type_kind kind)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->args[i]->kind == kind)
            return true;
    return false;
}

/* 'a', "a", Literal[a], str[a] -> a */
static dm_str unwrap_literal(dm_str s)
{
    s = dm_py_strip(s);
    for (const char *const *w = (const char *const[]){"Literal[", "str[", NULL}; *w; w++)
        if (dm_str_starts(s, *w) && s.n && s.p[s.n - 1] == ']') {
            s = (dm_str){s.p + strlen(*w), s.n - strlen(*w) - 1};
            break;
        }
    if (s.n >= 2 && (s.p[0] == '\'' || s.p[0] == '"') && s.p[s.n - 1] == s.p[0])
        s = (dm_str){s.p + 1, s.n - 2};
    return s;
}

static const dm_value *coerce_literal(dm_arena *a, const dm_type *t, const dm_value *in)
{
    for (size_t i = 0; i < t->n; i++)
        if (dm_value_equal(t->members[i], in))
            return in; /* as it was given: 1.0 for 1 stays 1.0 */
    if (in->kind != DM_STRING)
        return NULL;
    dm_str text = unwrap_literal(in->text);
    const dm_value *v = dm_value_string(a, text), *m = member_of(t, v);
    return m ? m : member_of(t, guess_value(a, text));
}

static dm_status mismatch(const dm_type *t, dm_error *err)
{
    dm_buf b;
    dm_buf_init(&b, 600);
    dm_type_name(&b, t);
    dm_status st = dm_fail(err, DM_E_PARSE, "it is no %s", b.full ? "value of the type" : b.data);
    dm_buf_free(&b);
    return st;
}

dm_status dm_coerce(dm_arena *a, const dm_type *t, const dm_value *in, const dm_value **out,
                    dm_error *err)
{
    const dm_value *v;
    if (t->kind == DM_T_STR) {
        dm_buf b;
        if (in->kind == DM_STRING) {
            *out = in;
            return DM_OK;
        }
        dm_buf_init(&b, DM_MAX_TEXT);
        dm_py_str(&b, in);
        *out = dm_value_string(a, dm_buf_view(&b));
        dm_buf_free(&b);
        return DM_OK;
    }
    if (t->kind == DM_T_LITERAL)
        v = coerce_literal(a, t, in);
    else if (in->kind != DM_STRING)
        v = validate(a, t, in, false);
    else if (t->kind == DM_T_UNION && has_kind(t, DM_T_STR) && has_kind(t, DM_T_NONE))
        v = validate(a, t, in, false); /* the raw text: no JSON step */
    else
        v = validate(a, t, guess_value(a, in->text), false);
    *out = v;
    return v ? DM_OK : mismatch(t, err);
}
