#include "program/type.h"
#include "base/utf8.h"
#include "json/json.h"

#include <string.h>

static const dm_type *parse_union(dm_arena *a, dm_str *rest, int depth, dm_error *err);

static void skip_space(dm_str *s)
{
    while (s->n && strchr(" \t\r\n", s->p[0]))
        *s = (dm_str){s->p + 1, s->n - 1};
}

static bool take(dm_str *s, char c)
{
    skip_space(s);
    if (s->n == 0 || s->p[0] != c)
        return false;
    *s = (dm_str){s->p + 1, s->n - 1};
    return true;
}

static dm_type *make(dm_arena *a, dm_type_kind kind)
{
    dm_type *t = dm_arena_alloc(a, sizeof *t);
    t->kind = kind;
    return t;
}

/* A name, dots included: the part behind the last dot is what counts (typing.List). */
static dm_str take_name(dm_str *s)
{
    skip_space(s);
    size_t pos = 0;
    while (pos < s->n) {
        size_t at = pos;
        uint32_t cp = dm_utf8_next(*s, &pos);
        if (!dm_py_isword(cp) && cp != '.') {
            pos = at;
            break;
        }
    }
    dm_str name = {s->p, pos};
    *s = (dm_str){s->p + pos, s->n - pos};
    return name;
}

static const struct {
    const char *name;
    dm_type_kind kind;
} names[] = {{"str", DM_T_STR},
             {"int", DM_T_INT},
             {"float", DM_T_FLOAT},
             {"bool", DM_T_BOOL},
             {"Any", DM_T_ANY},
             {"None", DM_T_NONE},
             {"list", DM_T_LIST},
             {"List", DM_T_LIST},
             {"set", DM_T_SET},
             {"Set", DM_T_SET},
             {"frozenset", DM_T_FROZENSET},
             {"FrozenSet", DM_T_FROZENSET},
             {"dict", DM_T_DICT},
             {"Dict", DM_T_DICT},
             {"tuple", DM_T_TUPLE},
             {"Tuple", DM_T_TUPLE},
             {"Union", DM_T_UNION},
             {"Optional", DM_T_UNION},
             {"Literal", DM_T_LITERAL}};

static bool find_kind(dm_str name, dm_type_kind *kind)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (dm_str_is(name, names[i].name)) {
            *kind = names[i].kind;
            return true;
        }
    return false;
}

/* ---- Literal ---- */

static const dm_value *take_quoted(dm_arena *a, dm_str *s, dm_error *err)
{
    size_t i = 1;
    while (i < s->n && s->p[i] != s->p[0])
        i += s->p[i] == '\\' ? 2 : 1;
    dm_str text = {s->p, i + 1};
    if (i >= s->n) {
        dm_fail(err, DM_E_JOB, "a string in Literal[...] does not end");
        *s = (dm_str){s->p + s->n, 0};
        return NULL;
    }
    *s = (dm_str){s->p + text.n, s->n - text.n};
    const dm_value *v = dm_py_literal(a, text);
    if (!v || v->kind != DM_STRING) {
        dm_fail(err, DM_E_JOB, "a string in Literal[...] is not valid in Python");
        return NULL;
    }
    return v;
}

static const dm_value *take_member(dm_arena *a, dm_str *s, dm_error *err)
{
    skip_space(s);
    if (s->n && (s->p[0] == '\'' || s->p[0] == '"'))
        return take_quoted(a, s, err);
    size_t sign = s->n && s->p[0] == '-', n = sign;
    while (n < s->n && s->p[n] >= '0' && s->p[n] <= '9')
        n++;
    if (n > sign) {
        dm_str digits = {s->p, n};
        *s = (dm_str){s->p + n, s->n - n};
        return dm_value_digits(a, digits);
    }
    dm_str name = take_name(s);
    if (dm_str_is(name, "True") || dm_str_is(name, "False"))
        return dm_value_bool(a, name.p[0] == 'T');
    if (dm_str_is(name, "None"))
        return dm_value_null(a);
    dm_fail(err, DM_E_JOB,
            "Literal[...] takes strings in quotes, whole numbers, True, False and None");
    return NULL;
}

static const dm_type *parse_literal(dm_arena *a, dm_str *rest, dm_error *err)
{
    dm_type *t = make(a, DM_T_LITERAL);
    dm_value *list = dm_value_list(a);
    if (!take(rest, '[')) {
        dm_fail(err, DM_E_JOB, "Literal needs its values: Literal['a', 'b']");
        return NULL;
    }
    do {
        skip_space(rest);
        if (list->n && rest->n && rest->p[0] == ']')
            break;
        const dm_value *m = take_member(a, rest, err);
        if (!m)
            return NULL;
        bool again = false; /* typing drops what stands twice */
        for (size_t i = 0; i < list->n; i++)
            again |= list->items[i]->kind == m->kind && dm_value_equal(list->items[i], m);
        if (!again)
            dm_value_append(a, list, m);
    } while (take(rest, ','));
    if (!take(rest, ']')) {
        dm_fail(err, DM_E_JOB, "a ] is missing after Literal[");
        return NULL;
    }
    t->members = list->items;
    t->n = list->n;
    return t;
}

/* ---- unions ---- */

static void add_arg(dm_arena *a, dm_type *t, const dm_type *arg)
{
    const dm_type **args = dm_arena_alloc_n(a, t->n + 1, sizeof *args);
    if (t->n)
        memcpy(args, t->args, t->n * sizeof *args);
    args[t->n++] = arg;
    t->args = args;
}

static void add_to_union(dm_arena *a, dm_type *t, const dm_type *arg)
{
    if (arg->kind == DM_T_UNION) {
        for (size_t i = 0; i < arg->n; i++)
            add_to_union(a, t, arg->args[i]);
        return;
    }
    for (size_t i = 0; i < t->n; i++)
        if (dm_type_equal(t->args[i], arg))
            return;
    add_arg(a, t, arg);
}

static const dm_type *simplest(const dm_type *t)
{
    return t->kind == DM_T_UNION && t->n == 1 ? t->args[0] : t;
}

/* ---- the grammar: union of terms; term = name, name[...], None ---- */

static bool check_arity(const dm_type *t, dm_str name, dm_error *err)
{
    bool ok = t->kind == DM_T_DICT                                                       ? t->n == 2
              : t->kind == DM_T_LIST || t->kind == DM_T_SET || t->kind == DM_T_FROZENSET ? t->n == 1
              : t->kind == DM_T_TUPLE                                                    ? t->n >= 1
                                                                                         : true;
    if (!ok)
        dm_fail(err, DM_E_JOB, "%.*s[...] does not take %zu types", DM_STR_ARG(name), t->n);
    return ok;
}

static const dm_type *parse_args(dm_arena *a, dm_type *t, dm_str name, dm_str *rest, int depth,
                                 dm_error *err)
{
    do {
        skip_space(rest);
        if (t->n && rest->n && rest->p[0] == ']')
            break;
        if (t->kind == DM_T_TUPLE && t->n == 1 && dm_str_starts(*rest, "...")) {
            *rest = (dm_str){rest->p + 3, rest->n - 3};
            t->variadic = true;
            break;
        }
        const dm_type *arg = parse_union(a, rest, depth + 1, err);
        if (!arg)
            return NULL;
        if (t->kind == DM_T_UNION)
            add_to_union(a, t, arg);
        else
            add_arg(a, t, arg);
    } while (take(rest, ','));
    if (!take(rest, ']')) {
        dm_fail(err, DM_E_JOB, "a ] is missing after %.*s[", DM_STR_ARG(name));
        return NULL;
    }
    if (dm_str_is(name, "Optional"))
        add_to_union(a, t, make(a, DM_T_NONE));
    return check_arity(t, name, err) ? simplest(t) : NULL;
}

static const dm_type *parse_term(dm_arena *a, dm_str *rest, int depth, dm_error *err)
{
    dm_type_kind kind;
    dm_str name = take_name(rest), last = name;
    if (depth > 32) {
        dm_fail(err, DM_E_JOB, "a type nested too deeply");
        return NULL;
    }
    if (name.n == 0) {
        dm_fail(err, DM_E_JOB,
                rest->n && strchr("'\"", rest->p[0]) ? "a type must not be in quotes"
                                                     : "a type is missing here");
        return NULL;
    }
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] == '.')
            last = (dm_str){name.p + i + 1, name.n - i - 1};
    if (!find_kind(last, &kind)) {
        dm_fail(
            err, DM_E_JOB,
            "unknown type %.*s; there are str, int, float, bool, Literal, list, dict, tuple, set, "
            "frozenset, Optional, Union and Any",
            DM_STR_ARG(name));
        return NULL;
    }
    if (kind == DM_T_LITERAL)
        return parse_literal(a, rest, err);
    dm_type *t = make(a, kind);
    if (kind < DM_T_LITERAL)
        return t;
    if (!take(rest, '[')) {
        if (kind == DM_T_UNION) {
            dm_fail(err, DM_E_JOB, "%.*s needs its types in [...]", DM_STR_ARG(name));
            return NULL;
        }
        return t;
    }
    return parse_args(a, t, last, rest, depth, err);
}

static const dm_type *parse_union(dm_arena *a, dm_str *rest, int depth, dm_error *err)
{
    const dm_type *first = parse_term(a, rest, depth, err);
    if (!first || !take(rest, '|'))
        return first;
    dm_type *t = make(a, DM_T_UNION);
    add_to_union(a, t, first);
    do {
        const dm_type *next = parse_term(a, rest, depth, err);
        if (!next)
            return NULL;
        add_to_union(a, t, next);
    } while (take(rest, '|'));
    return simplest(t);
}

const dm_type *dm_type_parse(dm_arena *a, dm_str *rest, dm_error *err)
{
    return parse_union(a, rest, 0, err);
}

/* ---- use ---- */

bool dm_type_equal(const dm_type *a, const dm_type *b)
{
    if (a->kind != b->kind || a->n != b->n || a->variadic != b->variadic)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        if (a->kind == DM_T_LITERAL) {
            if (a->members[i]->kind != b->members[i]->kind ||
                !dm_value_equal(a->members[i], b->members[i]))
                return false;
        } else if (!dm_type_equal(a->args[i], b->args[i])) {
            return false;
        }
    }
    return true;
}

bool dm_type_allows_none(const dm_type *t)
{
    if (t->kind == DM_T_NONE)
        return true;
    for (size_t i = 0; t->kind == DM_T_UNION && i < t->n; i++)
        if (dm_type_allows_none(t->args[i]))
            return true;
    return false;
}

/* Quotes as DSPy chooses them (contract 2.3); other members as Python prints them. */
static void member_text(dm_buf *b, const dm_value *m)
{
    if (m->kind != DM_STRING) {
        dm_py_repr(b, m);
        return;
    }
    bool single = m->text.n && memchr(m->text.p, '\'', m->text.n);
    bool twice = m->text.n && memchr(m->text.p, '"', m->text.n);
    char quote = single && !twice ? '"' : '\'';
    dm_buf_char(b, quote);
    for (size_t i = 0; i < m->text.n; i++) {
        if (m->text.p[i] == '\'' && quote == '\'')
            dm_buf_char(b, '\\');
        dm_buf_char(b, m->text.p[i]);
    }
    dm_buf_char(b, quote);
}

static const char *bare_name(dm_type_kind k)
{
    static const char *const bare[] = {"str",      "int",     "float", "bool", "Any",
                                       "NoneType", "Literal", "list",  "set",  "frozenset",
                                       "dict",     "tuple",   "Union"};
    return bare[k];
}

static void print(dm_buf *b, const dm_type *t, bool python)
{
    if (python && t->kind == DM_T_NONE) {
        dm_buf_text(b, "None");
        return;
    }
    bool bars = python && t->kind == DM_T_UNION;
    if (!bars)
        dm_buf_text(b, bare_name(t->kind));
    if (t->n == 0)
        return;
    dm_buf_text(b, bars ? "" : "[");
    for (size_t i = 0; i < t->n; i++) {
        dm_buf_text(b, i == 0 ? "" : bars ? " | " : ", ");
        if (t->kind != DM_T_LITERAL)
            print(b, t->args[i], python);
        else if (python)
            dm_py_repr(b, t->members[i]);
        else
            member_text(b, t->members[i]);
    }
    if (t->variadic)
        dm_buf_text(b, python ? ", ..." : ", Ellipsis");
    dm_buf_text(b, bars ? "" : "]");
}

void dm_type_name(dm_buf *b, const dm_type *t)
{
    print(b, t, false);
}

void dm_type_python(dm_buf *b, const dm_type *t)
{
    print(b, t, true);
}
