#include "program/signature.h"
#include "base/utf8.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- prefix: question -> "Question:" (contract 1.3) ---- */

static bool upper(uint32_t c)
{
    return c >= 'A' && c <= 'Z';
}

static bool lower(uint32_t c)
{
    return c >= 'a' && c <= 'z';
}

static bool digit(uint32_t c)
{
    return c >= '0' && c <= '9';
}

/* The four regular expressions as passes over bytes; what is not ASCII never matches a class. */
static void pass(dm_buf *out, const char *in, int which)
{
    size_t n = strlen(in);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)in[i], next = (unsigned char)in[i + 1];
        dm_buf_char(out, (char)c);
        if (i + 1 >= n)
            break;
        bool here = false;
        switch (which) {
        case 1: /* (.)([A-Z][a-z]+) */
            if (upper(next) && i + 2 < n && lower((unsigned char)in[i + 2])) {
                dm_buf_char(out, '_');
                dm_buf_char(out, (char)next);
                for (i += 2; i < n && lower((unsigned char)in[i]); i++)
                    dm_buf_char(out, in[i]);
                i--;
            }
            break;
        case 2: /* ([a-z0-9])([A-Z]) */
            here = (lower(c) || digit(c)) && upper(next);
            break;
        case 3: /* ([a-zA-Z])(\d) */
            here = (lower(c) || upper(c)) && digit(next);
            break;
        default: /* (\d)([a-zA-Z]) */
            here = digit(c) && (lower(next) || upper(next));
        }
        if (here) {
            dm_buf_char(out, '_');
            dm_buf_char(out, (char)next);
            i++;
        }
    }
}

static void add_word(dm_buf *out, const char *p, size_t n)
{
    bool any_upper = false, any_lower = false;
    for (size_t i = 0; i < n; i++) {
        any_upper |= upper((unsigned char)p[i]);
        any_lower |= lower((unsigned char)p[i]);
    }
    bool keep = any_upper && !any_lower;
    for (size_t i = 0; i < n; i++) {
        int c = (unsigned char)p[i];
        dm_buf_char(out, (char)(keep ? c : i == 0 ? toupper(c) : tolower(c)));
    }
}

dm_str dm_signature_prefix(dm_arena *a, dm_str name)
{
    dm_buf x, y, out;
    dm_buf_init(&x, 65536);
    dm_buf_init(&out, 65536);
    dm_buf_str(&x, name);
    for (int which = 1; which <= 4; which++) {
        dm_buf_init(&y, 65536);
        pass(&y, x.data ? x.data : "", which);
        dm_buf_free(&x);
        x = y;
    }
    const char *p = x.data ? x.data : "";
    for (;;) {
        size_t n = strcspn(p, "_");
        add_word(&out, p, n);
        if (!p[n])
            break;
        dm_buf_char(&out, ' ');
        p += n + 1;
    }
    dm_buf_char(&out, ':');
    dm_str r = {dm_arena_string(a, out.data, out.len), out.len};
    dm_buf_free(&x);
    dm_buf_free(&out);
    return r;
}

/* ---- the string syntax (contract 1.1) ---- */

typedef struct parser {
    dm_arena *arena;
    dm_str all, rest;
    dm_error *err;
} parser;

static dm_status syntax(const parser *p, const char *what)
{
    size_t at = (size_t)(p->rest.p - p->all.p);
    return dm_fail(p->err, DM_E_JOB, "%s, at character %zu: %.*s<here>%.*s", what,
                   dm_utf8_length((dm_str){p->all.p, at}) + 1, (int)at, p->all.p,
                   (int)(p->all.n - at), p->all.p + at);
}

static void skip_space(parser *p)
{
    while (p->rest.n && strchr(" \t\r\n", p->rest.p[0]))
        p->rest = (dm_str){p->rest.p + 1, p->rest.n - 1};
}

static bool take(parser *p, const char *token)
{
    size_t n = strlen(token);
    skip_space(p);
    if (!dm_str_starts(p->rest, token))
        return false;
    p->rest = (dm_str){p->rest.p + n, p->rest.n - n};
    return true;
}

static bool is_reserved(dm_str name)
{
    static const char *const words[] = {"False", "None", "True", "and", "as", "assert", "async",
                                        "await", "break", "class", "continue", "def", "del", "elif",
                                        "else", "except", "finally", "for", "from", "global", "if",
                                        "import", "in", "is", "lambda", "nonlocal", "not", "or",
                                        "pass", "raise", "return", "try", "while", "with", "yield",
                                        /* these shadow what DSPy's class has of its own */
                                        "fields", "instructions", "signature", "input_fields",
                                        "output_fields", "model_config"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (dm_str_is(name, words[i]))
            return true;
    return false;
}

static dm_status take_field_name(parser *p, dm_str *name)
{
    skip_space(p);
    size_t pos = 0;
    while (pos < p->rest.n) {
        size_t at = pos;
        if (!dm_py_isword(dm_utf8_next(p->rest, &pos))) {
            pos = at;
            break;
        }
    }
    *name = (dm_str){p->rest.p, pos};
    if (pos == 0)
        return syntax(p, "a field's name is missing");
    if (digit((unsigned char)name->p[0]))
        return syntax(p, "a field's name must not begin with a digit");
    if (name->p[0] == '_')
        return syntax(p, "a field's name must not begin with _");
    if (is_reserved(*name))
        return syntax(p, "this word cannot be a field's name");
    p->rest = (dm_str){p->rest.p + pos, p->rest.n - pos};
    return DM_OK;
}

/* A default is accepted and dropped, as in DSPy: everything up to the next , outside of brackets.
 */
static void skip_default(parser *p)
{
    int depth = 0;
    char quote = 0;
    while (p->rest.n) {
        char c = p->rest.p[0];
        if (quote) {
            quote = c == quote ? 0 : quote;
        } else if (c == '\'' || c == '"') {
            quote = c;
        } else if (strchr("([{", c)) {
            depth++;
        } else if (strchr(")]}", c)) {
            depth--;
        } else if (depth == 0 && (c == ',' || dm_str_starts(p->rest, "->"))) {
            return;
        }
        p->rest = (dm_str){p->rest.p + 1, p->rest.n - 1};
    }
}

static dm_field make_field(dm_arena *a, dm_str name, const dm_type *type, bool typed)
{
    dm_str own = {dm_arena_string(a, name.p, name.n), name.n};
    char *desc = dm_arena_printf(a, "${%s}", own.p);
    return (dm_field){.name = own,
                      .type = type,
                      .typed = typed,
                      .desc = dm_str_of(desc),
                      .prefix = dm_signature_prefix(a, own),
                      .constraints = {"", 0}};
}

static const dm_type *str_type(dm_arena *a)
{
    dm_type *t = dm_arena_alloc(a, sizeof *t);
    t->kind = DM_T_STR;
    return t;
}

static dm_status add_field(parser *p, dm_field *fields, size_t *n, size_t side_start)
{
    dm_str name;
    bool typed = false;
    dm_status st = take_field_name(p, &name);
    if (st != DM_OK)
        return st;
    const dm_type *type = NULL;
    if (take(p, ":")) {
        dm_error why = {DM_OK, ""};
        typed = true;
        type = dm_type_parse(p->arena, &p->rest, &why);
        if (!type)
            return syntax(p, why.text);
    }
    if (take(p, "="))
        skip_default(p);
    if (!type || type->kind == DM_T_NONE)
        type = str_type(p->arena);
    for (size_t i = 0; i < *n; i++)
        if (dm_str_eq(fields[i].name, name)) {
            if (i < side_start)
                return dm_fail(
                    p->err, DM_E_JOB,
                    "\"%.*s\" is both an input and an output field; give one of them another name",
                    DM_STR_ARG(name));
            fields[i] = make_field(p->arena, name, type,
                                   typed); /* the later one counts, in its first place */
            return DM_OK;
        }
    fields[(*n)++] = make_field(p->arena, name, type, typed);
    return DM_OK;
}

static dm_status parse_side(parser *p, const char *end, dm_field *fields, size_t *n)
{
    size_t side_start = *n;
    for (;;) {
        skip_space(p);
        if ((*end && take(p, end)) || (!*end && p->rest.n == 0))
            return DM_OK;
        dm_status st = add_field(p, fields, n, side_start);
        if (st != DM_OK)
            return st;
        skip_space(p);
        if (take(p, ","))
            continue;
        if ((*end && take(p, end)) || (!*end && p->rest.n == 0))
            return DM_OK;
        return syntax(p, "a , is due");
    }
}

static size_t count_arrows(dm_str s)
{
    size_t n = 0;
    for (size_t i = 0; i + 1 < s.n; i++)
        n += s.p[i] == '-' && s.p[i + 1] == '>';
    return n;
}

static dm_str default_instructions(dm_arena *a, const dm_signature *s)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_buf_text(&b, "Given the fields ");
    for (size_t i = 0; i < s->n_inputs + s->n_outputs; i++) {
        if (i == s->n_inputs)
            dm_buf_text(&b, ", produce the fields ");
        else if (i)
            dm_buf_text(&b, ", ");
        dm_buf_printf(&b, "`%.*s`", DM_STR_ARG(s->fields[i].name));
    }
    if (s->n_outputs == 0)
        dm_buf_text(&b, ", produce the fields ");
    dm_buf_char(&b, '.');
    dm_str r = {dm_arena_string(a, b.data, b.len), b.len};
    dm_buf_free(&b);
    return r;
}

dm_signature *dm_signature_parse(dm_arena *a, dm_str text, dm_error *err)
{
    parser p = {a, text, text, err};
    size_t valid = dm_utf8_valid(text), commas = 2;
    if (valid < text.n || (text.n && memchr(text.p, 0, text.n))) {
        dm_fail(err, DM_E_JOB, "a signature has to be UTF-8 text");
        return NULL;
    }
    if (count_arrows(text) != 1) {
        dm_str shown = dm_utf8_head(text, 200);
        dm_fail(err, DM_E_JOB,
                "a signature has exactly one ->, as in \"question -> answer\"; this is \"%.*s\"",
                DM_STR_ARG(shown));
        return NULL;
    }
    for (size_t i = 0; i < text.n; i++)
        commas += text.p[i] == ',';
    dm_signature *s = dm_arena_alloc(a, sizeof *s);
    s->fields = dm_arena_alloc_n(a, commas, sizeof *s->fields);
    if (parse_side(&p, "->", s->fields, &s->n_inputs) != DM_OK)
        return NULL;
    size_t n = s->n_inputs;
    if (parse_side(&p, "", s->fields, &n) != DM_OK)
        return NULL;
    s->n_outputs = n - s->n_inputs;
    if (s->n_outputs == 0) {
        dm_fail(err, DM_E_JOB, "a signature needs an output field: \"%.*s\"", DM_STR_ARG(text));
        return NULL;
    }
    s->instructions = default_instructions(a, s);
    return s;
}

/* ---- from the job file ---- */

static const struct {
    const char *key, *text;
} constraints[] = {{"gt", "greater than: "},
                   {"ge", "greater than or equal to: "},
                   {"lt", "less than: "},
                   {"le", "less than or equal to: "},
                   {"min_length", "minimum length: "},
                   {"max_length", "maximum length: "},
                   {"multiple_of", "a multiple of the given number: "}};
#define N_CONSTRAINTS (sizeof constraints / sizeof *constraints)

static dm_status read_field(dm_arena *a, const dm_at *at, dm_field *f, dm_error *err)
{
    const char *known[N_CONSTRAINTS + 1] = {"desc"};
    for (size_t i = 0; i < N_CONSTRAINTS; i++)
        known[i + 1] = constraints[i].key;
    dm_status st = dm_get_known(at, known, N_CONSTRAINTS + 1, err);
    if (st != DM_OK)
        return st;
    dm_at desc = dm_at_key(at, "desc");
    st = dm_get_string(&desc, &f->desc, err);
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    for (size_t i = 0; i < at->v->n && st == DM_OK;
         i++) /* in the order in which they are written */
        for (size_t k = 0; k < N_CONSTRAINTS; k++) {
            if (!dm_str_is(at->v->members[i].key, constraints[k].key))
                continue;
            const dm_value *v = at->v->members[i].value;
            dm_at where = dm_at_key(at, constraints[k].key);
            if (v->kind != DM_INT && v->kind != DM_FLOAT) {
                st = dm_at_fail(&where, err, "a number");
                break;
            }
            dm_buf_printf(&b, "%s%s", b.len ? ", " : "", constraints[k].text);
            dm_py_str(&b, v);
        }
    f->constraints = (dm_str){dm_arena_string(a, b.data ? b.data : "", b.len), b.len};
    dm_buf_free(&b);
    return st;
}

static dm_status read_fields(dm_arena *a, const dm_at *at, dm_signature *s, dm_error *err)
{
    size_t n = s->n_inputs + s->n_outputs;
    const char **known = dm_arena_alloc_n(a, n, sizeof *known);
    for (size_t i = 0; i < n; i++)
        known[i] = s->fields[i].name.p;
    dm_status st = dm_get_known(at, known, n, err);
    for (size_t i = 0; i < n && st == DM_OK; i++) {
        dm_at field = dm_at_key(at, known[i]);
        if (field.v)
            st = read_field(a, &field, &s->fields[i], err);
    }
    return st;
}

dm_signature *dm_signature_read(dm_arena *a, const dm_at *at, dm_error *err)
{
    static const char *const known[] = {"signature", "instructions", "fields"};
    dm_error why = {DM_OK, ""};
    dm_str text = {NULL, 0}, instructions = {NULL, 0};
    bool object = at->v && at->v->kind == DM_DICT;
    dm_at sig = object ? dm_at_key(at, "signature") : *at;
    if ((object && dm_get_known(at, known, 3, err) != DM_OK) ||
        dm_get_string(&sig, &text, err) != DM_OK)
        return NULL;
    if (!text.p) {
        dm_at_fail(at, err, "a signature is missing, such as \"question -> answer\"");
        return NULL;
    }
    dm_signature *s = dm_signature_parse(a, text, &why);
    if (!s) {
        dm_at_fail(&sig, err, "%s", why.text);
        return NULL;
    }
    if (!object)
        return s;
    dm_at i = dm_at_key(at, "instructions"), f = dm_at_key(at, "fields");
    if (dm_get_string(&i, &instructions, err) != DM_OK || read_fields(a, &f, s, err) != DM_OK)
        return NULL;
    if (instructions.n > 0)
        s->instructions = dm_py_cleandoc(a, instructions);
    return s;
}

dm_signature *dm_signature_with_reasoning(dm_arena *a, const dm_signature *s)
{
    dm_signature *c = dm_arena_alloc(a, sizeof *c);
    size_t n = s->n_inputs + s->n_outputs, k = s->n_inputs;
    *c = *s;
    c->fields = dm_arena_alloc_n(a, n + 1, sizeof *c->fields);
    memcpy(c->fields, s->fields, k * sizeof *c->fields);
    size_t own = n;
    for (size_t i = k; i < n; i++)
        if (dm_str_is(s->fields[i].name, "reasoning"))
            own = i;
    c->fields[k++] =
        own < n ? s->fields[own] : make_field(a, DM_STR("reasoning"), str_type(a), true);
    for (size_t i = s->n_inputs; i < n; i++)
        if (i != own)
            c->fields[k++] = s->fields[i];
    c->n_outputs = k - s->n_inputs;
    return c;
}

/* ---- back to JSON ---- */

static const dm_value *constraint_number(dm_arena *a, dm_str text)
{
    bool whole = true;
    for (size_t i = 0; i < text.n; i++)
        whole = whole && (digit((unsigned char)text.p[i]) || text.p[i] == '-');
    if (whole)
        return dm_value_digits(a, text);
    char *copy = dm_arena_string(a, text.p, text.n);
    return dm_value_float(a, strtod(copy, NULL));
}

static void write_constraints(dm_arena *a, dm_value *d, dm_str text)
{
    while (text.n) {
        for (size_t k = 0; k < N_CONSTRAINTS; k++) {
            size_t head = strlen(constraints[k].text), n = 0;
            if (!dm_str_starts(text, constraints[k].text))
                continue;
            while (head + n < text.n && text.p[head + n] != ',')
                n++;
            dm_value_set(a, d, dm_str_of(constraints[k].key),
                         constraint_number(a, (dm_str){text.p + head, n}));
            break;
        }
        const char *comma = memchr(text.p, ',', text.n);
        size_t used = comma ? (size_t)(comma - text.p) + 2 : text.n;
        text = (dm_str){text.p + used, text.n - used};
    }
}

static dm_str signature_text(dm_arena *a, const dm_signature *s)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    for (size_t i = 0; i < s->n_inputs + s->n_outputs; i++) {
        const dm_field *f = &s->fields[i];
        dm_buf_text(&b, i == s->n_inputs ? " -> " : i ? ", " : "");
        dm_buf_str(&b, f->name);
        if (f->typed) {
            dm_buf_text(&b, ": ");
            dm_type_python(&b, f->type);
        }
    }
    dm_str r = {dm_arena_string(a, b.data ? b.data : "", b.len), b.len};
    dm_buf_free(&b);
    return r;
}

dm_value *dm_signature_write(dm_arena *a, const dm_signature *s)
{
    dm_value *d = dm_value_dict(a), *fields = dm_value_dict(a);
    dm_value_set(a, d, DM_STR("signature"), dm_value_string(a, signature_text(a, s)));
    dm_value_set(a, d, DM_STR("instructions"), dm_value_string(a, s->instructions));
    for (size_t i = 0; i < s->n_inputs + s->n_outputs; i++) {
        const dm_field *f = &s->fields[i];
        dm_value *v = dm_value_dict(a);
        char *plain = dm_arena_printf(a, "${%s}", f->name.p);
        if (!dm_str_is(f->desc, plain))
            dm_value_set(a, v, DM_STR("desc"), dm_value_string(a, f->desc));
        write_constraints(a, v, f->constraints);
        if (v->n)
            dm_value_set(a, fields, f->name, v);
    }
    if (fields->n)
        dm_value_set(a, d, DM_STR("fields"), fields);
    return d;
}
