#include "ensemble/file.h"
#include "json/json.h"

#include <stdlib.h>
#include <string.h>

static const char *const draws[] = {"hash", "dspy"};

/* ---- rules ---- */

static dm_status read_reduce(const dm_at *at, dm_ensemble_rule *rule, dm_error *err)
{
    static const char *const never[] = {"weighted", "weights", "score", "log_odds", "stacked",
                                        "all",      "cascade", "lead",  "first_two"};
    dm_str name = {NULL, 0};
    dm_status st = dm_get_string(at, &name, err);
    if (st != DM_OK || !name.p)
        return st;
    rule->has_reduce = true;
    if (dm_reduce_named(name, &rule->reduce))
        return DM_OK;
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (dm_str_is(name, never[i]))
            return dm_at_fail(at, err,
                              "weights by score, all candidates and cascades that lose answers "
                              "were measured and never gained: majority, exact, unanimous or "
                              "best_per_input");
    return dm_at_fail(at, err,
                      "majority, exact, unanimous, best_per_input or best_of, not \"%.*s\"",
                      DM_STR_ARG(name));
}

dm_status dm_ensemble_rule_read(const dm_at *at, dm_ensemble_rule *rule, dm_error *err)
{
    dm_at reduce = dm_at_key(at, "reduce"), field = dm_at_key(at, "field"),
          size = dm_at_key(at, "size"), draw = dm_at_key(at, "size_draw");
    int64_t n = 0;
    dm_str how = DM_STR("hash");
    *rule = (dm_ensemble_rule){0};
    dm_status st = read_reduce(&reduce, rule, err);
    if (st == DM_OK)
        st = dm_get_string(&field, &rule->field, err);
    if (st == DM_OK && size.v && size.v->kind != DM_NULL)
        st = dm_get_int(&size, 0, DM_COMMITTEE_MOST, &n, err);
    if (st == DM_OK)
        st = dm_get_string(&draw, &how, err);
    if (st == DM_OK && !dm_str_is(how, draws[0]) && !dm_str_is(how, draws[1]))
        st = dm_at_fail(&draw, err, "hash or dspy, not \"%.*s\"", DM_STR_ARG(how));
    rule->size = (size_t)n;
    rule->dspy_draw = dm_str_is(how, draws[1]);
    return st;
}

/* ---- models of their own ---- */

bool dm_own_model_named(const dm_own_models *m, dm_str name, dm_role *role)
{
    size_t i = 0;
    *role = DM_TASK;
    if (!name.p)
        return true;
    while (m && i < m->n && !dm_str_is(name, m->name[i]))
        i++;
    *role = (dm_role)(DM_OWN + i);
    return m && i < m->n;
}

bool dm_ensemble_find_models(dm_arena *a, dm_ensemble *e, const dm_own_models *own, dm_str *missing)
{
    dm_role *roles = dm_arena_alloc_n(a, e->n, sizeof *roles);
    for (size_t k = 0; e->lm && k < e->n; k++)
        if (!dm_own_model_named(own, e->lm[k], &roles[k])) {
            *missing = e->lm[k];
            return false;
        }
    e->role = e->lm ? roles : NULL;
    return true;
}

/* ---- members ---- */

static const dm_signature *last_signature(const dm_candidate *c)
{
    return c->program->predictors[c->program->n - 1].signature;
}

static const dm_field *output_named(const dm_candidate *c, dm_str name)
{
    const dm_signature *s = last_signature(c);
    for (size_t i = s->n_inputs; i < s->n_inputs + s->n_outputs; i++)
        if (dm_str_eq(s->fields[i].name, name))
            return &s->fields[i];
    return NULL;
}

/* lms [n]; NULL: the job's for all. */
static void take_members(dm_arena *a, const dm_candidate *const *programs, const dm_str *lms,
                         size_t n, dm_ensemble *e)
{
    dm_str *lm = dm_arena_alloc_n(a, n, sizeof *lm);
    bool own = false;
    e->members = dm_arena_alloc_n(a, n, sizeof *e->members);
    e->votes = dm_arena_alloc_n(a, n, sizeof *e->votes);
    e->list = dm_arena_alloc_n(a, n, sizeof *e->list);
    e->all = n;
    for (size_t i = 0; i < n; i++) {
        dm_str name = lms ? lms[i] : (dm_str){NULL, 0};
        size_t k = 0;
        while (k < e->n &&
               !(dm_hash_eq(&e->members[k]->hash, &programs[i]->hash) && dm_str_eq(lm[k], name)))
            k++;
        e->n += k == e->n;
        e->members[k] = programs[i];
        lm[k] = name;
        own |= name.p != NULL;
        e->votes[k]++;
        e->list[i] = k;
    }
    e->lm = own ? lm : NULL;
}

static dm_status take_field(const char *file, dm_str field, dm_ensemble *e, dm_error *err)
{
    const dm_signature *s = last_signature(e->members[0]);
    e->field = field.p ? field : s->fields[s->n_inputs + s->n_outputs - 1].name;
    for (size_t k = 0; k < e->n; k++) {
        const dm_field *f = output_named(e->members[k], e->field);
        if (!f && field.p && e->members[k]->program->python) { /* forward may make outputs */
            e->exact_field = true;
            continue;
        }
        if (!f)
            return dm_fail(err, DM_E_DATA,
                           "%s: member %zu has no output \"%.*s\" to vote on: give one that all "
                           "have as field",
                           file, k + 1, DM_STR_ARG(e->field));
        e->exact_field |= f->type->kind != DM_T_STR;
    }
    return DM_OK;
}

dm_status dm_ensemble_new(dm_arena *a, const char *file, const dm_candidate *const *programs,
                          size_t n, const dm_ensemble_rule *rule, dm_ensemble *out, dm_error *err)
{
    *out = (dm_ensemble){0};
    if (n == 0)
        return dm_fail(err, DM_E_DATA, "%s: an ensemble without members", file);
    take_members(a, programs, rule->lms, n, out);
    dm_status st = take_field(file, rule->field, out, err);
    if (st != DM_OK)
        return st;
    out->reduce = rule->has_reduce   ? rule->reduce
                  : out->exact_field ? DM_REDUCE_EXACT
                                     : DM_REDUCE_MAJORITY;
    out->size = rule->size;
    out->dspy_draw = rule->dspy_draw;
    if (out->size > n)
        return dm_fail(err, DM_E_DATA, "%s: size %zu of %zu members", file, out->size, n);
    if (out->size && out->reduce == DM_REDUCE_BEST_PER_INPUT)
        return dm_fail(err, DM_E_DATA, "%s: best_per_input asks one member: leave size out", file);
    return DM_OK;
}

bool dm_ensemble_inputs(dm_arena *a, const dm_candidate *const *programs, size_t n,
                        const dm_str **inputs, size_t *n_inputs)
{
    size_t all = 0, found = 0;
    for (size_t k = 0; k < n; k++) {
        if (programs[k]->program->python)
            return false;
        all += programs[k]->program->n_inputs;
    }
    dm_str *list = dm_arena_alloc_n(a, all, sizeof *list);
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < programs[k]->program->n_inputs; i++) {
            size_t at = 0;
            while (at < found && !dm_str_eq(list[at], programs[k]->program->inputs[i]))
                at++;
            list[at] = programs[k]->program->inputs[i];
            found += at == found;
        }
    *inputs = list;
    *n_inputs = found;
    return true;
}

/* ---- writing ---- */

static bool same_program(dm_arena *a, const dm_candidate *x, const dm_candidate *y)
{
    dm_hash hx = dm_json_hash(dm_program_write(a, x->program)),
            hy = dm_json_hash(dm_program_write(a, y->program));
    return dm_hash_eq(&hx, &hy);
}

static bool one_program(dm_arena *a, const dm_ensemble *e)
{
    for (size_t k = 1; k < e->n; k++)
        if (!same_program(a, e->members[0], e->members[k]))
            return false;
    return true;
}

static void set_int(dm_arena *a, dm_value *d, const char *key, size_t v)
{
    dm_value_set(a, d, dm_str_of(key), dm_value_int(a, (int64_t)v));
}

static dm_value *write_roles(dm_arena *a, const dm_ensemble *e)
{
    dm_value *roles = dm_value_list(a);
    for (size_t i = 0; i < e->all; i++) {
        dm_str name = e->lm[e->list[i]];
        dm_value_append(a, roles, name.p ? dm_value_string(a, name) : dm_value_null(a));
    }
    return roles;
}

static dm_value *write_rule(dm_arena *a, const dm_ensemble *e)
{
    dm_value *d = dm_value_dict(a), *votes = dm_value_list(a), *programs = dm_value_list(a);
    dm_value_set(a, d, DM_STR("reduce"), dm_value_text(a, dm_reduce_name(e->reduce)));
    dm_value_set(a, d, DM_STR("field"), dm_value_string(a, e->field));
    for (size_t k = 0; k < e->n; k++)
        dm_value_append(a, votes, dm_value_int(a, e->votes[k]));
    for (size_t i = 0; i < e->all; i++)
        dm_value_append(a, programs, dm_program_write(a, e->members[e->list[i]]->program));
    dm_value_set(a, d, DM_STR("votes"), votes);
    if (e->size) {
        set_int(a, d, "size", e->size);
        dm_value_set(a, d, DM_STR("size_draw"), dm_value_text(a, draws[e->dspy_draw]));
    }
    if (!one_program(a, e))
        dm_value_set(a, d, DM_STR("programs"), programs);
    if (e->lm)
        dm_value_set(a, d, DM_STR("roles"), write_roles(a, e));
    if (e->router)
        dm_value_set(a, d, DM_STR("router"), dm_router_write(a, e->router));
    for (size_t i = 0; e->more && i < e->more->n; i++)
        dm_value_set(a, d, e->more->members[i].key, e->more->members[i].value);
    return d;
}

void dm_ensemble_write(dm_buf *b, dm_arena *a, const dm_ensemble *e, const dm_value *provenance)
{
    dm_value *d = dm_value_dict(a), *metadata = dm_value_dict(a), *own = dm_value_dict(a);
    for (size_t i = 0; i < e->all; i++)
        dm_state_put(a, d, dm_arena_printf(a, "programs[%zu]", i), e->members[e->list[i]]);
    if (one_program(a, e))
        dm_value_set(a, own, DM_STR("program"), dm_program_write(a, e->members[0]->program));
    dm_value_set(a, own, DM_STR("ensemble"), write_rule(a, e));
    for (size_t i = 0; provenance && i < provenance->n; i++)
        dm_value_set(a, own, provenance->members[i].key, provenance->members[i].value);
    dm_value_set(a, metadata, DM_STR("dependency_versions"), dm_value_dict(a));
    dm_value_set(a, metadata, DM_STR("dspy_mpi"), own);
    dm_value_set(a, d, DM_STR("metadata"), metadata);
    dm_json_write(b, d, DM_JSON_ORJSON_INDENT);
    dm_buf_char(b, '\n');
}

/* ---- reading ---- */

/* The number in "programs[3]..."; false: another key. *rest: what follows the bracket. */
static bool number_in(dm_str key, size_t *number, dm_str *rest)
{
    size_t i = sizeof "programs[" - 1, from = i;
    if (!dm_str_starts(key, "programs["))
        return false;
    for (*number = 0; i < key.n && key.p[i] >= '0' && key.p[i] <= '9' && i < from + 9; i++)
        *number = *number * 10 + (size_t)(key.p[i] - '0');
    if (i == from || i == key.n || key.p[i] != ']')
        return false;
    *rest = (dm_str){key.p + i + 1, key.n - i - 1};
    return rest->n == 0 || rest->p[0] == '.';
}

static bool has_keys_of(const dm_value *file, const dm_program *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (!dm_value_get_str(file, p->predictors[i].path))
            return false;
    return true;
}

bool dm_ensemble_is(const dm_value *file, const dm_program *program)
{
    const dm_value *own = dm_value_get(dm_value_get(file, "metadata"), "dspy_mpi");
    size_t number;
    dm_str rest;
    if (dm_value_get(own, "ensemble"))
        program = NULL;
    else if (dm_value_get(own, "program"))
        return false;
    if (file && program && has_keys_of(file, program))
        return false;
    for (size_t i = 0; file && file->kind == DM_DICT && i < file->n; i++)
        if (number_in(file->members[i].key, &number, &rest))
            return true;
    return false;
}

/* How many members there are: one more than the highest number. All of them have to be there. */
static dm_status count_members(const dm_at *root, size_t *n, dm_error *err)
{
    bool there[DM_COMMITTEE_MOST + 1] = {false};
    size_t number;
    dm_str rest;
    *n = 0;
    for (size_t i = 0; i < root->v->n; i++) {
        if (!number_in(root->v->members[i].key, &number, &rest))
            continue;
        if (number >= DM_COMMITTEE_MOST)
            return dm_at_fail(root, err, "more than %d members", DM_COMMITTEE_MOST);
        there[number] = true;
        *n = number + 1 > *n ? number + 1 : *n;
    }
    if (*n == 0)
        return dm_at_fail(root, err,
                          "there is no member in it: DSPy leaves out what BootstrapFewShot and "
                          "others marked as compiled; load members from files of their own first");
    for (size_t i = 0; i < *n; i++)
        if (!there[i])
            return dm_at_fail(root, err,
                              "programs[%zu] is missing: DSPy writes a program that is in the list "
                              "twice only once, and leaves out some that are compiled",
                              i);
    return DM_OK;
}

/* Whether the keys of member i are those of the program's predictors. */
static bool keys_fit(const dm_value *file, size_t i, const dm_program *p)
{
    size_t number, found = 0;
    dm_str rest;
    for (size_t k = 0; k < file->n; k++) {
        bool known = false;
        if (!number_in(file->members[k].key, &number, &rest) || number != i)
            continue;
        if (rest.n)
            rest = (dm_str){rest.p + 1, rest.n - 1};
        for (size_t q = 0; q < p->n; q++)
            known |= dm_str_eq(rest, p->predictors[q].path);
        if (!known)
            return false;
        found++;
    }
    return found == p->n;
}

static const dm_program *as_other_module(dm_arena *a, const dm_program *p)
{
    bool plain = p->predictors[0].module == DM_PREDICT;
    return dm_program_as(a, p, plain ? DM_CHAIN_OF_THOUGHT : DM_PREDICT);
}

typedef struct programs_of_file {
    const dm_program *any[2]; /* what each may be, in the order of trying; [1] may be NULL */
    dm_at each;               /* a list with one for each; .v NULL: there is none */
} programs_of_file;

static dm_status read_member(dm_arena *a, const dm_at *root, size_t i, const programs_of_file *from,
                             const dm_candidate **out, dm_error *err)
{
    const char *prefix = dm_arena_printf(a, "programs[%zu]", i);
    const dm_program *p = NULL;
    if (from->each.v) {
        dm_at at = dm_at_item(&from->each, i);
        p = dm_program_read(a, &at, err);
        return p ? dm_state_take(a, root, prefix, p, out, err) : DM_E_DATA;
    }
    for (int k = 0; k < 2 && !p; k++)
        if (from->any[k] && keys_fit(root->v, i, from->any[k]))
            p = from->any[k];
    return dm_state_take(a, root, prefix, p ? p : from->any[0], out, err);
}

/* A file of ours that somebody has changed by hand: its votes say how many programs it has. */
static dm_status check_votes(const dm_at *at, size_t n, dm_error *err)
{
    size_t all = 0;
    if (!at->v)
        return DM_OK;
    if (at->v->kind != DM_LIST)
        return dm_at_fail(at, err, "a list of numbers");
    for (size_t k = 0; k < at->v->n; k++) {
        dm_at item = dm_at_item(at, k);
        int64_t votes = 0;
        dm_status st = dm_get_int(&item, 1, DM_COMMITTEE_MOST, &votes, err);
        if (st != DM_OK)
            return st;
        all += (size_t)votes;
    }
    return all == n ? DM_OK
                    : dm_at_fail(at, err, "%zu votes, but the file has %zu programs", all, n);
}

/* Names or null, one for each program. */
static dm_status read_roles(dm_arena *a, const dm_at *at, size_t n, dm_ensemble_rule *rule,
                            dm_error *err)
{
    dm_str *names = dm_arena_alloc_n(a, n, sizeof *names);
    dm_status st = DM_OK;
    if (!at->v)
        return DM_OK;
    if (at->v->kind != DM_LIST || at->v->n != n)
        return dm_at_fail(at, err, "a list of %zu, one for each program of the file", n);
    for (size_t i = 0; i < n && st == DM_OK; i++) {
        dm_at item = dm_at_item(at, i);
        if (item.v->kind != DM_NULL)
            st = dm_get_string(&item, &names[i], err);
    }
    rule->lms = names;
    return st;
}

static dm_status find_programs(dm_arena *a, const dm_at *root, const dm_at *own, size_t n,
                               const dm_program *program, programs_of_file *from, dm_error *err)
{
    dm_at written = dm_at_key(own, "program"), ensemble = dm_at_key(own, "ensemble");
    *from = (programs_of_file){.each = dm_at_key(&ensemble, "programs")};
    if (from->each.v && (from->each.v->kind != DM_LIST || from->each.v->n != n))
        return dm_at_fail(&from->each, err, "a list of %zu, one for each program of the file", n);
    if (from->each.v)
        return DM_OK;
    if (written.v)
        program = dm_program_read(a, &written, err);
    else if (!program)
        return dm_at_fail(root, err,
                          "the file does not say which signature its members belong to (DSPy "
                          "wrote it): give a job file that does, with --job");
    if (!program)
        return DM_E_DATA;
    from->any[0] = program;
    from->any[1] = written.v ? NULL : as_other_module(a, program);
    return DM_OK;
}

/* What is not read here is kept: select, guard, where members come from. */
static const dm_value *others(dm_arena *a, const dm_value *ensemble)
{
    static const char *const read[] = {"reduce",    "field",    "votes",  "size",
                                       "size_draw", "programs", "router", "roles"};
    dm_value *d = dm_value_dict(a);
    for (size_t i = 0; ensemble && ensemble->kind == DM_DICT && i < ensemble->n; i++) {
        bool known = false;
        for (size_t k = 0; k < sizeof read / sizeof *read; k++)
            known |= dm_str_is(ensemble->members[i].key, read[k]);
        if (!known)
            dm_value_set(a, d, ensemble->members[i].key, ensemble->members[i].value);
    }
    return d->n ? d : NULL;
}

static dm_status read_router(dm_arena *a, const dm_at *ensemble, dm_ensemble *e, dm_error *err)
{
    dm_at at = dm_at_key(ensemble, "router");
    dm_router *router = NULL;
    if (e->reduce != DM_REDUCE_BEST_PER_INPUT)
        return DM_OK;
    if (!at.v)
        return dm_at_fail(ensemble, err,
                          "best_per_input needs a router made from its members' scores: only a "
                          "compilation makes one");
    dm_status st = dm_router_read(a, &at, e->n, &router, err);
    e->router = router;
    return st;
}

dm_status dm_ensemble_read(dm_arena *a, dm_str text, const char *name, const dm_program *program,
                           dm_ensemble *out, const dm_value **provenance, dm_error *err)
{
    const dm_value *v = dm_json_read(a, text, err);
    const dm_candidate *programs[DM_COMMITTEE_MOST];
    size_t n;
    programs_of_file from;
    dm_ensemble_rule rule;
    if (!v)
        return dm_json_error_in(err, DM_E_DATA, name);
    dm_at root = dm_at_root(v, name, DM_E_DATA);
    if (v->kind != DM_DICT)
        return dm_at_fail(&root, err, "a program file is an object {...}");
    dm_at metadata = dm_at_key(&root, "metadata"), own = dm_at_key(&metadata, "dspy_mpi"),
          ensemble = dm_at_key(&own, "ensemble"), votes = dm_at_key(&ensemble, "votes"),
          roles = dm_at_key(&ensemble, "roles");
    if (provenance)
        *provenance = own.v;
    DM_TRY(count_members(&root, &n, err));
    DM_TRY(dm_ensemble_rule_read(&ensemble, &rule, err));
    DM_TRY(check_votes(&votes, n, err));
    DM_TRY(read_roles(a, &roles, n, &rule, err));
    DM_TRY(find_programs(a, &root, &own, n, program, &from, err));
    for (size_t i = 0; i < n; i++)
        DM_TRY(read_member(a, &root, i, &from, &programs[i], err));
    DM_TRY(dm_ensemble_new(a, name, programs, n, &rule, out, err));
    DM_TRY(read_router(a, &ensemble, out, err));
    out->more = others(a, ensemble.v);
    return DM_OK;
}
