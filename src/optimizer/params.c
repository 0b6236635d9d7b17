/* The list of optimizers, and the reading of their parameters by their tables. */
#include "base/utf8.h"
#include "optimizer/optimizer.h"

#include <string.h>

#define ADDRESS(id) &dm_optimizer_##id,
const dm_optimizer *const dm_optimizers[] = {DM_OPTIMIZERS(ADDRESS)};
const size_t dm_n_optimizers = sizeof dm_optimizers / sizeof *dm_optimizers;
#define N_OPTIMIZERS (sizeof dm_optimizers / sizeof *dm_optimizers)

void dm_params_init(dm_params *p, const dm_optimizer *o)
{
    memset(p, 0, o->size);
    p->class = o;
    dm_params_default(o->params, p);
    if (o->defaults)
        o->defaults(p);
}

unsigned dm_roles_of(const dm_params *p)
{
    const dm_optimizer *o = p->class;
    unsigned roles = 0;
    if (!o->part)
        return o->roles;
    for (size_t i = 0; o->part(p, i); i++)
        roles |= dm_roles_of(o->part(p, i));
    return roles;
}

dm_valset_rule dm_valset_rule_of(const dm_params *p)
{
    const dm_optimizer *o = p->class;
    const dm_params *first = o->part ? o->part(p, 0) : NULL;
    if (!first)
        return o->valset;
    dm_valset_rule rule = dm_valset_rule_of(first);
    for (size_t i = 1; o->part(p, i); i++) {
        dm_valset_rule other = dm_valset_rule_of(o->part(p, i));
        if (other != rule && o->inner)
            return DM_VALSET_NONE;
        rule = other > rule ? other : rule;
    }
    return rule;
}

/* ---- names ---- */

static bool is_called(const dm_optimizer *o, dm_str name)
{
    bool yes = dm_str_is(name, o->name);
    for (const char *const *alias = o->aliases; *alias && !yes; alias++)
        yes = dm_str_is(name, *alias);
    return yes;
}

static dm_status no_such(const dm_at *at, dm_str name, dm_error *err)
{
    const char *all[N_OPTIMIZERS];
    for (size_t i = 0; i < N_OPTIMIZERS; i++) /* our own names are suggested */
        all[i] = dm_optimizers[i]->name;
    const char *near = dm_nearest(name.p, all, N_OPTIMIZERS);
    if (near)
        return dm_at_fail(at, err, "no optimizer is called \"%.*s\"; did you mean \"%s\"?",
                          DM_STR_ARG(name), near);
    dm_buf b;
    dm_buf_init(&b, 4096);
    for (size_t i = 0; i < N_OPTIMIZERS; i++)
        dm_buf_printf(&b, "%s%s", i == 0 ? "" : i + 1 == N_OPTIMIZERS ? " and " : ", ", all[i]);
    dm_status st = dm_at_fail(at, err, "no optimizer is called \"%.*s\"; there are %s",
                              DM_STR_ARG(name), b.data);
    dm_buf_free(&b);
    return st;
}

static dm_status read_name(const dm_at *at, const dm_optimizer **out, dm_error *err)
{
    dm_str name = {NULL, 0};
    dm_status st = dm_get_string(at, &name, err);
    if (st != DM_OK)
        return st;
    if (!name.p)
        return dm_at_fail(at, err, "an optimizer needs a name, such as \"bootstrap_few_shot\"");
    for (size_t i = 0; i < N_OPTIMIZERS; i++)
        if (is_called(dm_optimizers[i], name)) {
            *out = dm_optimizers[i];
            return DM_OK;
        }
    return no_such(at, name, err);
}

/* ---- values ---- */

static dm_status read_file(const dm_at *at, dm_param_file *out, dm_error *err)
{
    dm_str text = {NULL, 0};
    dm_status st = dm_get_string(at, &text, err);
    out->name = text.p;
    return st;
}

static dm_status read_programs(dm_arena *a, const dm_at *at, dm_param_programs *out, dm_error *err)
{
    dm_str *names = NULL;
    dm_status st = dm_get_strings(at, a, &names, &out->n, err);
    out->names = names;
    return st;
}

/* Without the holder's own keys, where it has any. */
static const dm_value *without(dm_arena *a, const dm_value *v, const char *const *keys)
{
    dm_value *d = dm_value_dict(a);
    if (v->kind != DM_DICT)
        return v;
    for (size_t i = 0; i < v->n; i++) {
        bool own = false;
        for (const char *const *key = keys; key && *key; key++)
            own |= dm_str_is(v->members[i].key, *key);
        if (!own)
            dm_value_set(a, d, v->members[i].key, v->members[i].value);
    }
    d->line = v->line;
    d->column = v->column;
    return d;
}

/* One optimizer, or a list of them. */
static dm_status read_optimizers(dm_arena *a, const dm_param *param, const dm_at *at,
                                 dm_param_optimizers *out, dm_error *err)
{
    bool several = at->v->kind == DM_LIST;
    dm_status st = DM_OK;
    out->n = several ? at->v->n : 1;
    if (out->n < (size_t)param->low || out->n > (size_t)param->high)
        return dm_at_fail(at, err, "%.0f to %.0f optimizers", param->low, param->high);
    dm_params **params = dm_arena_alloc_n(a, out->n, sizeof *params);
    const dm_value **json = dm_arena_alloc_n(a, out->n, sizeof *json);
    for (size_t i = 0; i < out->n && st == DM_OK; i++) {
        dm_at item = several ? dm_at_item(at, i) : *at, own = item;
        json[i] = own.v = without(a, item.v, param->beside);
        st = dm_optimizer_read(a, &own, &params[i], err);
        if (st == DM_OK && params[i]->class->inner)
            st = dm_at_fail(
                &item, err,
                "an ensemble cannot be part of another optimizer: list its own optimizers instead");
    }
    out->params = params;
    out->json = json;
    return st;
}

static dm_status read_param(dm_arena *a, const dm_param *param, const dm_at *at, dm_params *p,
                            dm_error *err)
{
    void *value = (char *)p + param->at;
    bool null = !at->v || at->v->kind == DM_NULL; /* Python's None: not given */
    if (!at->v || (null && param->kind != DM_PARAM_WORD && param->kind != DM_PARAM_FILE))
        return DM_OK;
    switch (param->kind) {
    case DM_PARAM_FILE:
        return read_file(at, value, err);
    case DM_PARAM_PROGRAMS:
        return read_programs(a, at, value, err);
    case DM_PARAM_OPTIMIZERS:
        return read_optimizers(a, param, at, value, err);
    default:
        return dm_param_read(a, param, at, p, err);
    }
}

/* ---- the whole ---- */

/* A key of another optimizer is not unknown: it has no reader here. */
static dm_status refuse_others(const dm_at *at, const dm_optimizer *o, dm_error *err)
{
    for (size_t i = 0; i < N_OPTIMIZERS; i++)
        for (const dm_param *param = dm_optimizers[i]->params; param->name; param++) {
            dm_at value = dm_at_key(at, param->name);
            if (value.v && !dm_param_named(o, param->name))
                return dm_at_fail(&value, err, "%s does not read it: leave it out", o->name);
        }
    return DM_OK;
}

static dm_status refuse_unknown(dm_arena *a, const dm_at *at, const dm_optimizer *o, dm_error *err)
{
    size_t n = 0;
    dm_at failure_score = dm_at_key(at, "failure_score");
    if (failure_score.v) /* DSPy's GEPA has it */
        return dm_at_fail(&failure_score, err,
                          "it holds for the whole job: write it beside optimizer");
    while (o->params[n].name)
        n++;
    const char **known = dm_arena_alloc_n(a, n + 2, sizeof *known);
    known[0] = "name";
    known[1] = "num_threads"; /* DSPy's name for a model's concurrency */
    for (size_t i = 0; i < n; i++)
        known[i + 2] = o->params[i].name;
    return dm_get_known(at, known, n + 2, err);
}

/* A list is a chain. */
static dm_status read_list(dm_arena *a, const dm_at *at, dm_params **out, dm_error *err)
{
    const dm_optimizer *o = &dm_optimizer_chain;
    dm_params *p = *out = dm_arena_alloc(a, o->size);
    dm_params_init(p, o);
    dm_status st = read_param(a, dm_param_named(o, "of"), at, p, err);
    return st == DM_OK ? o->check(a, at, p, err) : st;
}

dm_status dm_optimizer_read(dm_arena *a, const dm_at *at, dm_params **out, dm_error *err)
{
    if (at->v && at->v->kind == DM_LIST)
        return read_list(a, at, out, err);
    bool object = at->v && at->v->kind == DM_DICT;
    dm_at name_at = object ? dm_at_key(at, "name") : *at;
    const dm_optimizer *o = NULL;
    dm_status st = read_name(&name_at, &o, err);
    if (st != DM_OK)
        return st;
    dm_params *p = *out = dm_arena_alloc(a, o->size);
    dm_params_init(p, o);
    if (!object)
        return DM_OK;
    st = refuse_others(at, o, err);
    if (st == DM_OK)
        st = refuse_unknown(a, at, o, err);
    for (const dm_param *param = o->params; param->name && st == DM_OK; param++) {
        dm_at value = dm_at_key(at, param->name);
        st = read_param(a, param, &value, p, err);
    }
    return st == DM_OK && o->check ? o->check(a, at, p, err) : st;
}
