/* The ensemble's parameters, and what each of its members is given. */
#include "json/json.h"
#include "optimizer/ensemble.h"
#include "optimizer/inside.h"

#include <string.h>

#define MOST DM_COMMITTEE_MOST /* members */

size_t dm_ensemble_k(const dm_ensemble_params *p)
{
    if (p->n_of == 0)
        return 0;
    return p->has_k ? (size_t)p->k : p->n_of > 1 ? p->n_of : 4;
}

const dm_ensemble_of *dm_ensemble_of_member(const dm_ensemble_params *p, size_t member)
{
    return &p->of[member % p->n_of];
}

/* ---- `of` ---- */

/* The keys of a member that are none of its optimizer's. */
static dm_status read_own(const dm_at *at, dm_ensemble_of *of, dm_error *err)
{
    dm_at module = dm_at_key(at, "module"), rows = dm_at_key(at, "rows"), lm = dm_at_key(at, "lm"),
          lms = dm_at_key(at, "lms"), threads = dm_at_key(at, "num_threads");
    dm_str name = {NULL, 0};
    int64_t row[2] = {0, 0};
    if (lms.v)
        return dm_at_fail(&lms, err,
                          "a member names one of the job's models: add it to the job's lms, as "
                          "\"lms\": {\"NAME\": ...}, and write \"lm\": \"NAME\" here");
    if (threads.v)
        return dm_at_fail(&threads, err, "one limit holds for all members: put it beside `of`");
    dm_status st = dm_get_string(&lm, &of->lm, err);
    if (st == DM_OK && of->lm.p && dm_str_starts(of->lm, "lms."))
        of->lm = (dm_str){of->lm.p + 4, of->lm.n - 4};
    if (st == DM_OK)
        st = dm_get_string(&module, &name, err);
    of->has_module = name.p != NULL;
    of->module = dm_str_is(name, "predict") ? DM_PREDICT : DM_CHAIN_OF_THOUGHT;
    if (st == DM_OK && name.p && of->module != DM_PREDICT && !dm_str_is(name, "chain_of_thought"))
        return dm_at_fail(&module, err, "predict or chain_of_thought, not \"%.*s\"",
                          DM_STR_ARG(name));
    if (st != DM_OK || !rows.v)
        return st;
    if (rows.v->kind != DM_LIST || rows.v->n != 2)
        return dm_at_fail(&rows, err,
                          "the first row of the training set and the one behind the last, such as "
                          "[0, 100]");
    for (size_t i = 0; i < 2 && st == DM_OK; i++) {
        dm_at item = dm_at_item(&rows, i);
        st = dm_get_int(&item, i ? row[0] + 1 : 0, INT32_MAX, &row[i], err);
    }
    of->has_rows = true;
    of->from = (size_t)row[0];
    of->behind = (size_t)row[1];
    return st;
}

/* Files are found by who reads the job, and not in here. */
static dm_status refuse_files(const dm_at *at, const dm_params *p, dm_error *err)
{
    for (const dm_param *param = p->class->params; param->name; param++) {
        dm_at value = dm_at_key(at, param->name);
        if (value.v && param->kind == DM_PARAM_FILE)
            return dm_at_fail(&value, err, "a file cannot be given for one member: leave it out");
    }
    return DM_OK;
}

static void make_members(dm_arena *a, dm_ensemble_params *p)
{
    p->each = dm_arena_alloc_n(a, MOST, sizeof *p->each);
    for (size_t i = 0; i < MOST; i++) {
        const dm_params *one = dm_ensemble_of_member(p, i)->params;
        p->each[i] = dm_arena_alloc(a, one->class->size);
        memcpy(p->each[i], one, one->class->size);
    }
}

/* What was read of `of`, with the keys that are the ensemble's own. */
static dm_status take_of(dm_arena *a, const dm_at *at, dm_ensemble_params *p, dm_error *err)
{
    size_t n = p->given.n;
    dm_ensemble_of *of = dm_arena_alloc_n(a, n, sizeof *of);
    dm_status st = DM_OK;
    for (size_t i = 0; i < n && st == DM_OK; i++) {
        dm_at item = at->v->kind == DM_LIST ? dm_at_item(at, i) : *at;
        of[i].params = p->given.params[i];
        of[i].json = p->given.json[i];
        if (item.v->kind == DM_DICT)
            st = read_own(&item, &of[i], err);
        if (st == DM_OK && item.v->kind == DM_DICT)
            st = refuse_files(&item, of[i].params, err);
    }
    p->of = of;
    p->n_of = n;
    if (st == DM_OK && n)
        make_members(a, p);
    return st;
}

/* ---- the others ---- */

static dm_status read_select(dm_arena *a, const dm_at *at, void *params, dm_error *err)
{
    dm_ensemble_params *p = params;
    dm_str name = DM_STR("brier");
    dm_status st = dm_get_string(at, &name, err);
    (void)a;
    if (st != DM_OK)
        return st;
    p->select = dm_str_is(name, "top_k") ? DM_SELECT_TOP : DM_SELECT_BRIER;
    if (p->select == DM_SELECT_TOP || dm_str_is(name, "brier"))
        return DM_OK;
    return dm_at_fail(at, err,
                      "brier or top_k, not \"%.*s\": all candidates and weights by score were "
                      "measured and never gained",
                      DM_STR_ARG(name));
}

/* What dm_ensemble_check reads, all together. */
static dm_status read_later(dm_arena *a, const dm_at *at, void *p, dm_error *err)
{
    (void)a;
    (void)at;
    (void)p;
    (void)err;
    return DM_OK;
}

void dm_ensemble_defaults(dm_params *params)
{
    dm_ensemble_params *p = (dm_ensemble_params *)params;
    p->size = DM_COMMITTEE_SIZE;
}

dm_status dm_ensemble_check(dm_arena *a, const dm_at *at, dm_params *params, dm_error *err)
{
    dm_ensemble_params *p = (dm_ensemble_params *)params;
    dm_at of = dm_at_key(at, "of"), k = dm_at_key(at, "k"), reduce = dm_at_key(at, "reduce");
    dm_status st = take_of(a, &of, p, err);
    if (st == DM_OK)
        st = dm_ensemble_rule_read(at, &p->rule, err);
    if (st != DM_OK)
        return st;
    if (p->rule.size) /* here: how many votes the committee has */
        p->size = p->rule.size;
    p->rule.size = 0;
    if (k.v && p->n_of == 0)
        return dm_at_fail(&k, err, "there is nothing to compile: `of` is missing");
    if (p->has_k && (size_t)p->k < p->n_of)
        return dm_at_fail(&k, err,
                          "`of` lists %zu optimizers, and each has to be compiled once at least: "
                          "%zu or more, or leave it out",
                          p->n_of, p->n_of);
    if (p->rule.has_reduce && p->rule.reduce == DM_REDUCE_BEST_OF && p->guard)
        return dm_at_fail(&reduce, err,
                          "the test whether a committee gains needs votes, and here a judge picks: "
                          "set \"guard\": false, or make it with `dspy-mpi ensemble`");
    if (p->rule.has_reduce && p->rule.reduce == DM_REDUCE_UNANIMOUS && p->guard)
        return dm_at_fail(&reduce, err,
                          "a program that abstains cannot be compared with one that does not: set "
                          "\"guard\": false, or make it with `dspy-mpi ensemble`");
    return DM_OK;
}

#define OWN(key, reader, shown, text, otherwise)                                                   \
    {                                                                                              \
        .name = (key), .kind = DM_PARAM_OWN, .read = (reader), .value = (shown), .help = (text),   \
        .absent = (otherwise)                                                                      \
    }
static const char *const own_keys[] = {"module", "rows", "lm", "lms", "num_threads", NULL};
#define AT(field) .at = offsetof(dm_ensemble_params, field)

const dm_param dm_ensemble_table[] = {
    {.name = "of",
     .kind = DM_PARAM_OPTIMIZERS,
     .low = 1,
     .high = MOST,
     AT(given),
     .beside = own_keys,
     .value = "JSON",
     .help = "the optimizer of its members, or a list of them",
     .absent = "none: `members` or `from` name the programs"},
    {.name = "k",
     .kind = DM_PARAM_INT,
     .low = 1,
     .high = MOST,
     AT(k),
     .given = offsetof(dm_ensemble_params, has_k),
     .value = "N",
     .help = "compilations",
     .absent = "4, or one for each optimizer of `of`"},
    {.name = "members",
     .kind = DM_PARAM_PROGRAMS,
     AT(members),
     .value = "JSON",
     .help = "program files that may vote too",
     .absent = "none"},
    {.name = "from",
     .kind = DM_PARAM_PROGRAMS,
     AT(from),
     .value = "JSON",
     .help = "OUT folders of earlier runs whose programs may vote too",
     .absent = "none"},
    OWN("size", read_later, "N", "votes of the committee", "5"),
    OWN("reduce", read_later, "majority|exact|unanimous|best_per_input|best_of",
        "how the votes become one answer; best_of: a judge picks among them",
        "majority; exact where the output is not a str"),
    OWN("field", read_later, "NAME", "the output that is voted on", "the last"),
    OWN("select", read_select, "brier|top_k",
        "how the committee is chosen; top_k loses where candidates are alike", "brier"),
    {.name = "guard",
     .kind = DM_PARAM_BOOL,
     AT(guard),
     .value = "BOOL",
     .help = "the committee is the program only where its gain is outside the noise",
     .fallback = "true"},
    DM_PARAM_SEED,
    DM_PARAM_MAX_ERRORS,
    {.name = NULL},
};

/* ---- members ---- */

const dm_params *dm_ensemble_part(const dm_params *params, size_t i)
{
    const dm_ensemble_params *p = (const dm_ensemble_params *)params;
    return i < p->n_of ? p->of[i].params : NULL;
}

/* The same signature as another module. */
static const dm_candidate *as_module(dm_arena *a, const dm_candidate *c, dm_module module)
{
    dm_candidate *other = dm_candidate_new(a, dm_program_as(a, c->program, module));
    other->parts[0] = c->parts[0];
    return dm_candidate_seal(other);
}

dm_role dm_ensemble_task_of(const dm_compile_input *member)
{
    return member->roles ? member->roles[DM_TASK] : DM_TASK;
}

bool dm_ensemble_asks(const dm_params *params, dm_str name)
{
    const dm_ensemble_params *p = (const dm_ensemble_params *)params;
    const dm_param_programs *files[] = {&p->members, &p->from};
    bool asks = false;
    for (size_t i = 0; i < p->n_of; i++)
        asks |= p->of[i].lm.p && dm_str_eq(p->of[i].lm, name);
    for (size_t f = 0; f < 2; f++)
        for (size_t i = 0; i < files[f]->n_programs; i++)
            asks |= files[f]->lms[i].p && dm_str_eq(files[f]->lms[i], name);
    return asks;
}

/* Its model is the task's, and that of each role for which the job names none: as if the job's `lm`
 * were this one. NULL: the job's as they are. */
static const dm_role *roles_of(dm_arena *a, const dm_compile_input *in, const dm_ensemble_of *of)
{
    dm_role own, *roles;
    if (!of->lm.p || !dm_own_model_named(in->own, of->lm, &own))
        return NULL;
    roles = dm_arena_alloc_n(a, DM_ROLES, sizeof *roles);
    for (int r = 0; r < DM_ROLES; r++)
        roles[r] = r == DM_TASK || (r < DM_OWN && !in->own->given[r]) ? own : (dm_role)r;
    return roles;
}

static void settle_params(const dm_ensemble_params *p, size_t i)
{
    const dm_params *own = dm_ensemble_of_member(p, i)->params;
    dm_params *m = p->each[i];
    /* A seed in `of` is that of its first member; the next ones count on. */
    m->has_seed = true;
    m->seed =
        own->has_seed ? own->seed + (int64_t)(i / p->n_of) : dm_seed_of(&p->base) + (int64_t)i + 1;
    if (p->base.has_max_errors && !own->has_max_errors &&
        dm_param_named(own->class, "max_errors")) {
        m->has_max_errors = true;
        m->max_errors = p->base.max_errors;
    }
}

size_t dm_ensemble_inner(dm_arena *a, const dm_compile_input *in, dm_compile_input **out)
{
    const dm_ensemble_params *p = (const dm_ensemble_params *)in->params;
    size_t k = dm_ensemble_k(p);
    dm_told *told = dm_arena_alloc(a, sizeof *told);
    *out = dm_arena_alloc_n(a, k, sizeof **out);
    for (size_t i = 0; i < k; i++) {
        const dm_ensemble_of *of = dm_ensemble_of_member(p, i);
        dm_compile_input *m = &(*out)[i];
        settle_params(p, i);
        *m = *in;
        m->params = p->each[i];
        m->name = dm_arena_printf(a, "member %zu", i + 1);
        m->told = told;
        m->roles = roles_of(a, in, of);
        if (of->has_module && of->module != in->student->program->predictors[0].module) {
            m->student = as_module(a, in->student, of->module);
            m->teacher = in->teacher ? as_module(a, in->teacher, of->module) : NULL;
        }
        if (of->has_rows)
            m->trainset = dm_dataset_slice(a, in->trainset, of->from, of->behind - of->from);
    }
    return k;
}

static dm_status fits_member(const dm_ensemble_of *of, const dm_compile_input *in, dm_error *err)
{
    const dm_program *program = in->student->program;
    dm_role role;
    if (!dm_own_model_named(in->own, of->lm, &role))
        return dm_fail(err, DM_E_JOB, "optimizer.of: lm: the job has no model lms.%.*s",
                       DM_STR_ARG(of->lm));
    if (of->has_module && (program->n != 1 || program->predictors[0].step.n))
        return dm_fail(err, DM_E_JOB,
                       "optimizer.of: a module is chosen for a program of one: this one has steps");
    if (of->has_rows && of->behind > in->trainset->n)
        return dm_fail(err, DM_E_JOB, "optimizer.of: rows up to %zu, but the training set has %zu",
                       of->behind, in->trainset->n);
    return DM_OK;
}

static bool is_among(dm_str name, const dm_str *names, size_t n)
{
    size_t i = 0;
    while (i < n && !dm_str_eq(names[i], name))
        i++;
    return i < n;
}

static bool gives(const dm_program *p, dm_str field)
{
    const dm_signature *s = p->predictors[p->n - 1].signature;
    for (size_t i = s->n_inputs; i < s->n_inputs + s->n_outputs; i++)
        if (dm_str_eq(s->fields[i].name, field))
            return true;
    return p->python != NULL; /* its forward may */
}

/* field: what the vote goes by. */
static dm_status files_fit(const dm_param_programs *files, const dm_compile_input *in, dm_str field,
                           dm_error *err)
{
    const dm_str *inputs = in->inputs ? in->inputs : in->student->program->inputs;
    size_t n = in->inputs ? in->n_inputs : in->student->program->n_inputs;
    dm_role role;
    for (size_t i = 0; i < files->n_programs; i++) {
        const dm_program *p = files->programs[i]->program;
        if (!dm_own_model_named(in->own, files->lms[i], &role))
            return dm_fail(
                err, DM_E_JOB,
                "optimizer: the program of %s asks lms.%.*s, which the job does not have",
                files->from[i], DM_STR_ARG(files->lms[i]));
        for (size_t k = 0; k < p->n_inputs && !p->python; k++)
            if (!is_among(p->inputs[k], inputs, n))
                return dm_fail(err, DM_E_JOB,
                               "optimizer: the program of %s reads \"%.*s\", which is no input of "
                               "the job",
                               files->from[i], DM_STR_ARG(p->inputs[k]));
        if (!gives(p, field))
            return dm_fail(err, DM_E_JOB,
                           "optimizer: the program of %s has no output \"%.*s\" to vote on",
                           files->from[i], DM_STR_ARG(field));
    }
    return DM_OK;
}

dm_status dm_ensemble_fits(dm_arena *a, const dm_compile_input *in, dm_error *err)
{
    const dm_ensemble_params *p = (const dm_ensemble_params *)in->params;
    dm_compile_input *members;
    dm_status st = DM_OK;
    if (p->n_of == 0 && p->members.n == 0 && p->from.n == 0)
        return dm_fail(err, DM_E_JOB,
                       "optimizer: an ensemble needs `of`, such as {\"name\": \"mipro_v2\"}, or "
                       "program files as `members` or `from`");
    if (in->valset->n == 0)
        return dm_fail(err, DM_E_JOB,
                       "valset: an ensemble chooses by the validation set: give one, or "
                       "valset_size");
    for (size_t i = 0; i < p->n_of && st == DM_OK; i++)
        st = fits_member(&p->of[i], in, err);
    if (st != DM_OK)
        return st;
    dm_ensemble vote; /* by what it goes, before anything is paid */
    st = dm_ensemble_new(a, "optimizer", &in->student, 1, &p->rule, &vote, err);
    if (st != DM_OK)
        return err->status = DM_E_JOB;
    st = files_fit(&p->members, in, vote.field, err);
    if (st == DM_OK)
        st = files_fit(&p->from, in, vote.field, err);
    size_t k = dm_ensemble_inner(a, in, &members);
    for (size_t i = 0; i < k && st == DM_OK; i++) {
        const dm_optimizer *o = members[i].params->class;
        st = o->fits ? o->fits(a, &members[i], err) : DM_OK;
        if (st != DM_OK)
            (void)dm_error_wrap(err, st, "%s", members[i].name);
    }
    return st;
}
