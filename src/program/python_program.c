#include "program/python_program.h"

static dm_status read_text(const dm_at *at, const char *key, dm_str *out, dm_error *err)
{
    dm_at text = dm_at_key(at, key);
    if (!text.v || text.v->kind != DM_STRING)
        return dm_at_fail(at, err, "%s: a text is missing", key);
    *out = text.v->text; /* of any characters, U+0000 too: it is the user's */
    return DM_OK;
}

static dm_status read_field(dm_arena *a, const dm_at *at, const dm_type *type, dm_field *f,
                            bool *input, dm_error *err)
{
    dm_at is_input = dm_at_key(at, "input");
    dm_status st = read_text(at, "name", &f->name, err);
    if (st == DM_OK)
        st = read_text(at, "prefix", &f->prefix, err);
    if (st == DM_OK)
        st = read_text(at, "desc", &f->desc, err);
    if (st == DM_OK)
        st = dm_get_bool(&is_input, input, err);
    if (st == DM_OK && f->prefix.n == 0)
        f->prefix = dm_signature_prefix(a, f->name);
    f->type = type;
    return st;
}

/* Fields come as the signature declares them, inputs and outputs in their orders. */
static dm_status read_fields(dm_arena *a, const dm_at *at, dm_signature *s, dm_error *err)
{
    dm_str str = DM_STR("str");
    const dm_type *type = dm_type_parse(a, &str, err);
    if (!type || !at->v || at->v->kind != DM_LIST)
        return dm_at_fail(at, err, "a list of fields is missing");
    dm_field *outputs = dm_arena_alloc_n(a, at->v->n, sizeof *outputs);
    s->fields = dm_arena_alloc_n(a, at->v->n, sizeof *s->fields);
    for (size_t i = 0; i < at->v->n; i++) {
        dm_at item = dm_at_item(at, i);
        dm_field f = {.typed = false};
        bool input = false;
        dm_status st = read_field(a, &item, type, &f, &input, err);
        if (st != DM_OK)
            return st;
        if (input)
            s->fields[s->n_inputs++] = f;
        else
            outputs[s->n_outputs++] = f;
    }
    for (size_t i = 0; i < s->n_outputs; i++)
        s->fields[s->n_inputs + i] = outputs[i];
    return DM_OK;
}

static dm_status read_predictor(dm_arena *a, const dm_at *at, dm_predictor *p, dm_error *err)
{
    dm_signature *s = dm_arena_alloc(a, sizeof *s);
    dm_at fields = dm_at_key(at, "fields"), state = dm_at_key(at, "state");
    dm_str name = {NULL, 0};
    dm_status st = read_text(at, "name", &name, err);
    if (st == DM_OK)
        st = read_text(at, "instructions", &s->instructions, err);
    if (st == DM_OK)
        st = read_fields(a, &fields, s, err);
    if (st == DM_OK && (!state.v || state.v->kind != DM_DICT))
        st = dm_at_fail(at, err, "state: what DSPy saves of the predictor is missing");
    if (st != DM_OK)
        return st;
    p->path = p->step = dm_str_is(name, "self") ? (dm_str){"", 0} : name; /* a bare Predict */
    p->module = DM_PREDICT;
    p->signature = s;
    p->state = state.v;
    return DM_OK;
}

dm_program *dm_python_program_read(dm_arena *a, const dm_at *at, dm_error *err)
{
    dm_program *p = dm_arena_alloc(a, sizeof *p);
    dm_at list = dm_at_key(at, "predictors"), inputs = dm_at_key(at, "inputs");
    if (!list.v || list.v->kind != DM_LIST || list.v->n == 0) {
        dm_at_fail(at, err, "what was found in the Python program is missing");
        return NULL;
    }
    p->python = at->v;
    p->n = list.v->n;
    p->predictors = dm_arena_alloc_n(a, p->n, sizeof *p->predictors);
    for (size_t i = 0; i < p->n; i++) {
        dm_at item = dm_at_item(&list, i);
        if (read_predictor(a, &item, &p->predictors[i], err) != DM_OK)
            return NULL;
    }
    if (dm_get_strings(&inputs, a, &p->inputs, &p->n_inputs, err) != DM_OK)
        return NULL;
    return p;
}

void dm_python_demos(const dm_predictor *p, dm_candidate_part *part)
{
    const dm_value *demos = dm_value_get(p->state, "demos");
    if (!demos || demos->kind != DM_LIST)
        return;
    part->demos = demos->items;
    part->n_demos = demos->n;
}

bool dm_python_has_lm(const dm_predictor *p)
{
    const dm_value *lm = dm_value_get(p->state, "lm");
    return lm && lm->kind != DM_NULL;
}

void dm_python_put_parameters(dm_arena *a, dm_value *file, const char *prefix, const dm_program *p,
                              size_t after)
{
    const dm_value *list = p->python ? dm_value_get(p->python, "parameters") : NULL;
    for (size_t i = 0; list && list->kind == DM_LIST && i < list->n; i++) {
        const dm_value *name = dm_value_get(list->items[i], "name"),
                       *state = dm_value_get(list->items[i], "state");
        int64_t at = -1;
        if (!name || name->kind != DM_STRING || !state ||
            !dm_value_to_int(dm_value_get(list->items[i], "after"), &at) || at != (int64_t)after)
            continue;
        dm_value_set(a, file,
                     dm_str_of(dm_arena_printf(a, "%s%s%.*s", prefix, *prefix ? "." : "",
                                               DM_STR_ARG(name->text))),
                     state);
    }
}

dm_value *dm_python_state(dm_arena *a, const dm_predictor *p, const dm_candidate_part *part)
{
    if (!p->state)
        return NULL;
    dm_value *d = dm_value_copy(a, p->state), *demos = dm_value_list(a);
    const dm_value *signature = dm_value_get(d, "signature");
    for (size_t i = 0; i < part->n_demos; i++)
        dm_value_append(a, demos, part->demos[i]);
    dm_value_set(a, d, DM_STR("demos"), demos);
    if (part->without_lm)
        dm_value_set(a, d, DM_STR("lm"), dm_value_null(a));
    if (signature && signature->kind == DM_DICT) {
        dm_value *own = dm_value_copy(a, signature);
        dm_value_set(a, own, DM_STR("instructions"), dm_value_string(a, part->instructions));
        dm_value_set(a, d, DM_STR("signature"), own);
    }
    return d;
}
