/* dspy-mpi ensemble: one file of several programs that vote. */
#include "cmd/commands.h"
#include "cmd/say.h"
#include "cmd/program_file.h"
#include "cmd/session.h"
#include "json/json.h"

#include <stdio.h>

typedef struct members {
    const dm_candidate *programs[DM_COMMITTEE_MOST];
    dm_str lms[DM_COMMITTEE_MOST];             /* names of models of their own; .p NULL: none */
    const dm_value *models[DM_COMMITTEE_MOST]; /* what the files say of these */
    size_t n;
    const dm_ensemble **nested; /* [files] what each is, or NULL */
    dm_value *from;             /* list of the files */
    dm_value *common;           /* model and adapter that all of them name */
} members;

/* What a file says of its own run is kept where all say the same. */
static void take_common(dm_arena *a, const dm_value *provenance, bool first, members *m)
{
    static const char *const keys[] = {"model", "adapter"};
    dm_value *d = dm_value_dict(a);
    for (size_t i = 0; i < 2; i++) {
        const dm_value *v = dm_value_get(provenance, keys[i]);
        const dm_value *before = dm_value_get(m->common, keys[i]);
        if (v && (first || (before && dm_value_equal(v, before))))
            dm_value_set(a, d, dm_str_of(keys[i]), v);
    }
    m->common = d;
}

/* lm: the name of its model, or no text. */
static dm_status add(members *m, const char *path, const dm_candidate *c, const dm_value *lm,
                     const dm_value *model, dm_error *err)
{
    if (m->n == DM_COMMITTEE_MOST)
        return dm_fail(err, DM_E_USAGE, "%s: more than %d programs", path, DM_COMMITTEE_MOST);
    m->lms[m->n] = lm && lm->kind == DM_STRING ? lm->text : (dm_str){NULL, 0};
    m->models[m->n] = model;
    m->programs[m->n++] = c;
    return DM_OK;
}

static dm_status add_members(dm_arena *a, members *m, const char *path, const dm_ensemble *e,
                             dm_error *err)
{
    const dm_value *models = e->more ? dm_value_get(e->more, "lms") : NULL;
    dm_status st = DM_OK;
    if (models && (!e->lm || models->kind != DM_LIST || models->n != e->all))
        return dm_fail(err, DM_E_DATA,
                       "%s: its members have models of their own that have no names, which would "
                       "be lost",
                       path);
    for (size_t i = 0; i < e->all && st == DM_OK; i++) {
        dm_str name = e->lm ? e->lm[e->list[i]] : (dm_str){NULL, 0};
        st = add(m, path, e->members[e->list[i]], name.p ? dm_value_string(a, name) : NULL,
                 models ? models->items[i] : NULL, err);
    }
    return st;
}

/* A file named twice has two votes; of an ensemble come all its members. */
static dm_status read_files(dm_arena *a, const dm_command_line *line, const dm_program *program,
                            members *m, dm_error *err)
{
    dm_status st = DM_OK;
    m->from = dm_value_list(a);
    m->nested = dm_arena_alloc_n(a, line->n_files, sizeof(dm_ensemble *));
    for (size_t i = 0; i < line->n_files && st == DM_OK; i++) {
        const dm_candidate *one;
        const dm_ensemble *several = NULL;
        const dm_value *provenance = NULL;
        st = dm_program_file_any(a, line->files[i], program, &one, &several, &provenance, err);
        m->nested[i] = several;
        if (st == DM_OK && several)
            st = add_members(a, m, line->files[i], several, err);
        else if (st == DM_OK)
            st = add(m, line->files[i], one, dm_value_get(provenance, "role"),
                     dm_value_get(provenance, "model"), err);
        if (st == DM_OK)
            take_common(a, provenance, i == 0, m);
        dm_value_append(a, m->from, dm_value_text(a, line->files[i]));
    }
    return st;
}

/* The flags as the object that they are in a job. */
static dm_status read_rule(dm_arena *a, const dm_command_line *line, dm_ensemble_rule *rule,
                           dm_error *err)
{
    enum { SIZE };
    static const char *const flags[] = {[SIZE] = "size", "reduce", "field", "size_draw"};
    dm_value *d = dm_value_dict(a);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        const dm_value *v = dm_value_get(line->flags, flags[i]);
        dm_value *number = v && i == SIZE ? dm_json_read(a, v->text, NULL) : NULL;
        dm_value *given = number ? number : v ? dm_value_string(a, v->text) : NULL;
        if (!given)
            continue;
        given->line = DM_LINE_FLAG;
        dm_value_set(a, d, dm_str_of(flags[i]), given);
    }
    dm_at at = dm_at_root(d, "command line", DM_E_USAGE);
    dm_status st = dm_ensemble_rule_read(&at, rule, err);
    if (st == DM_OK && rule->has_reduce && rule->reduce == DM_REDUCE_BEST_PER_INPUT)
        return dm_fail(
            err, DM_E_USAGE,
            "--reduce: best_per_input needs the members' scores: only a compilation has them");
    return st;
}

/* The job's program, for files that do not say theirs. */
static dm_status read_job(dm_arena *a, const dm_command_line *line, const dm_program **program,
                          dm_error *err)
{
    const dm_value *file = dm_value_get(line->flags, "job");
    dm_command_line own = *line;
    dm_job job;
    *program = NULL;
    if (!file)
        return DM_OK;
    own.job_file = file->text.p;
    dm_status st = dm_job_read(a, &own, (dm_job_wants){.model = false}, &job, err);
    if (st == DM_OK)
        *program = job.program;
    return st;
}

static bool has_input(const dm_program *p, dm_str name)
{
    for (size_t i = 0; i < p->n_inputs; i++)
        if (dm_str_eq(p->inputs[i], name))
            return true;
    return false;
}

/* Whoever asks the ensemble gives it what its first member reads: another would go without. */
static dm_status check_inputs(const dm_command_line *line, const members *m, dm_error *err)
{
    const dm_program *first = m->programs[0]->program;
    for (size_t k = 1; k < m->n; k++) {
        const dm_program *p = m->programs[k]->program;
        for (size_t i = 0; i < p->n_inputs && !p->python && !first->python; i++)
            if (!has_input(first, p->inputs[i]))
                return dm_fail(err, DM_E_DATA,
                               "%s: it has no input \"%.*s\", which another member reads: name a "
                               "program with all inputs first",
                               line->files[0], DM_STR_ARG(p->inputs[i]));
    }
    return DM_OK;
}

static bool same_rule(const dm_ensemble *x, const dm_ensemble *y)
{
    return x->reduce == y->reduce && dm_str_eq(x->field, y->field) && x->size == y->size &&
           (x->size == 0 || (x->all == y->all && x->dspy_draw == y->dspy_draw));
}

/* A file that votes by a rule of its own loses it: its members vote one by one. */
static void tell_rules(const members *m, const dm_ensemble *e)
{
    for (size_t i = 0; i < m->from->n; i++) {
        const dm_ensemble *own = m->nested[i];
        if (!own || same_rule(own, e))
            continue;
        dm_say(stderr, "%s: its own rule, %s on %.*s", m->from->items[i]->text.p,
               dm_reduce_name(own->reduce), DM_STR_ARG(own->field));
        if (own->size)
            dm_say(stderr, " with %zu of %zu drawn", own->size, own->all);
        dm_say(stderr, ", does not hold here: its members vote one by one\n");
    }
}

static void write_file(dm_arena *a, const members *m, dm_ensemble *e)
{
    dm_value *more = dm_value_dict(a);
    dm_buf b;
    dm_value_set(a, more, DM_STR("members"), m->from);
    dm_value *lms = dm_value_list(a);
    for (size_t i = 0; i < m->n; i++)
        dm_value_append(a, lms, m->lms[i].p && m->models[i] ? m->models[i] : dm_value_null(a));
    if (e->lm)
        dm_value_set(a, more, DM_STR("lms"), lms);
    e->more = more;
    dm_buf_init(&b, DM_MAX_FILE);
    dm_ensemble_write(&b, a, e, m->common);
    dm_say_json(stdout, dm_buf_view(&b));
    dm_say(stderr, "%zu member%s, %zu vote%s, %s on %.*s\n", e->n, e->n == 1 ? "" : "s", e->all,
           e->all == 1 ? "" : "s", dm_reduce_name(e->reduce), DM_STR_ARG(e->field));
    tell_rules(m, e);
    dm_buf_free(&b);
}

int dm_cmd_ensemble(dm_arena *a, const dm_command_line *line)
{
    dm_error err = {DM_OK, ""};
    dm_ensemble_rule rule;
    dm_ensemble e;
    members m = {.n = 0};
    const dm_program *program;
    dm_status st = line->n_files ? DM_OK
                                 : dm_fail(&err, DM_E_USAGE,
                                           "program files are missing: dspy-mpi ensemble A.json "
                                           "B.json > BOTH.json");
    if (st == DM_OK)
        st = read_rule(a, line, &rule, &err);
    if (st == DM_OK)
        st = read_job(a, line, &program, &err);
    if (st == DM_OK)
        st = read_files(a, line, program, &m, &err);
    if (st == DM_OK)
        st = check_inputs(line, &m, &err);
    if (st == DM_OK)
        rule.lms = m.lms;
    if (st == DM_OK)
        st = dm_ensemble_new(a, "ensemble", m.programs, m.n, &rule, &e, &err);
    if (st != DM_OK)
        return dm_say_failure(&err);
    write_file(a, &m, &e);
    return 0;
}
