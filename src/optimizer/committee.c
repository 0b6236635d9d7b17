/* From the candidates of all members to a committee, or none: src/ensemble/README.md §2. */
#include "optimizer/ensemble.h"
#include "optimizer/inside.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct choosing {
    dm_pool *pool;
    dm_arena *a;
    const dm_compile_input *in;
    const dm_ensemble_params *params;
    dm_ensemble_output *o;
    const dm_str *inputs; /* [n_inputs] */
    size_t n_inputs;
    dm_nominee *all; /* [n] different candidates */
    size_t n;
    dm_ballots ballots;    /* of the pool */
    dm_ensemble_rule rule; /* of params; with the field of a program in Python, which its forward
                              makes */
    dm_ensemble probe;     /* what the vote goes by: field, reduce */
} choosing;

/* What was learnt is kept where a share is used up; another stop ends it all. */
static bool goes_on(const dm_pool *p, dm_status st)
{
    return st == DM_OK || (st == DM_STOP_BUDGET && dm_pool_share_is_used(p));
}

/* ---- who is nominated ---- */

/* Of equal candidates that ask the same model, the one with the highest estimate. */
static void nominate(choosing *c, dm_nominee n)
{
    size_t k = 0;
    if (isnan(n.estimate))
        return;
    while (k < c->n && !(dm_hash_eq(&c->all[k].candidate->hash, &n.candidate->hash) &&
                         c->all[k].role == n.role))
        k++;
    if (k == c->n)
        c->all[c->n++] = n;
    else if (n.estimate > c->all[k].estimate)
        c->all[k] = n;
}

/* The winner's own score where the optimizer scored no candidates. */
static double winners_score(const dm_compiled_member *m)
{
    for (size_t i = 0; i < m->n_splits; i++)
        if (strcmp(m->splits[i].name, "valset") == 0)
            return dm_mean_against(m->splits[i].compiled, m->splits[i].baseline,
                                   m->splits[i].set->n);
    return NAN;
}

static void nominate_members(choosing *c)
{
    for (size_t i = 0; i < c->o->n; i++) {
        const dm_compiled_member *m = &c->o->members[i];
        dm_nominee n = {.candidate = m->out.best,
                        .from = dm_arena_printf(c->a, "member %zu", m->number),
                        .lm = dm_ensemble_of_member(c->params, i)->lm,
                        .role = dm_ensemble_task_of(m->in),
                        .estimate = m->out.n_scored ? NAN : winners_score(m)};
        nominate(c, n);
        for (size_t k = 0; k < m->out.n_scored; k++) {
            const dm_scored *s = &m->out.scored[k];
            n.candidate = s->candidate;
            n.from = dm_arena_printf(c->a, "member %zu, %s", m->number, s->name);
            n.estimate = isnan(s->estimate) ? s->score : s->estimate;
            nominate(c, n);
        }
    }
}

/* Programs of files have no estimate: they are scored first. */
static dm_status nominate_files(choosing *c, const dm_param_programs *files, dm_error *err)
{
    size_t n = files->n_programs;
    dm_future **futures = dm_arena_alloc_n(c->a, n, sizeof *futures);
    dm_role *roles = dm_arena_alloc_n(c->a, n, sizeof *roles);
    dm_status st = DM_OK;
    for (size_t i = 0; i < n; i++) {
        dm_work w = dm_work_of(files->programs[i]);
        (void)dm_own_model_named(c->in->own, files->lms[i], &roles[i]); /* dm_ensemble_fits */
        w.role = roles[i];
        futures[i] = dm_pool_evaluate(c->pool, &w, c->in->valset);
    }
    for (size_t i = 0; i < n && goes_on(c->pool, st); i++) {
        const dm_result *row;
        st = dm_pool_wait(c->pool, futures[i], &row, err);
        if (st == DM_OK)
            nominate(c, (dm_nominee){.candidate = files->programs[i],
                                     .from = files->from[i],
                                     .lm = files->lms[i],
                                     .role = roles[i],
                                     .estimate = dm_mean_score(row, c->in->valset->n)});
    }
    return st;
}

static size_t count_candidates(const choosing *c)
{
    size_t n = c->params->members.n_programs + c->params->from.n_programs + c->o->n;
    for (size_t i = 0; i < c->o->n; i++)
        n += c->o->members[i].out.n_scored;
    return n;
}

static dm_status nominate_all(choosing *c, dm_error *err)
{
    size_t files = c->params->members.n_programs + c->params->from.n_programs;
    c->all = dm_arena_alloc_n(c->a, count_candidates(c), sizeof *c->all);
    nominate_members(c);
    dm_pool_phase(c->pool, "committee", (files + DM_COMMITTEE_POOL) * c->in->valset->n);
    dm_status st = nominate_files(c, &c->params->members, err);
    return goes_on(c->pool, st) ? nominate_files(c, &c->params->from, err) : st;
}

/* ---- their rows ---- */

static dm_work work_of(const dm_nominee *n)
{
    dm_work w = dm_work_of(n->candidate);
    w.role = n->role;
    return w;
}

/* The best come first; of equals, the one that was nominated first. */
static void take_pool(choosing *c)
{
    dm_ensemble_output *o = c->o;
    bool *taken = dm_arena_alloc_n(c->a, c->n, sizeof *taken);
    o->of = c->n;
    o->n_pool = c->n < DM_COMMITTEE_POOL ? c->n : DM_COMMITTEE_POOL;
    o->pool = dm_arena_alloc_n(c->a, o->n_pool, sizeof *o->pool);
    for (size_t j = 0; j < o->n_pool; j++) {
        size_t best = SIZE_MAX;
        for (size_t k = 0; k < c->n; k++)
            if (!taken[k] && (best == SIZE_MAX || c->all[k].estimate > c->all[best].estimate))
                best = k;
        taken[best] = true;
        o->pool[j] = c->all[best];
    }
}

/* Those whose rows a cap does not hold are left out. */
static dm_status complete_rows(choosing *c, dm_error *err)
{
    dm_ensemble_output *o = c->o;
    dm_future *futures[DM_COMMITTEE_POOL];
    dm_status st = DM_OK;
    size_t kept = 0;
    for (size_t j = 0; j < o->n_pool; j++) {
        dm_work w = work_of(&o->pool[j]);
        futures[j] = dm_pool_evaluate(c->pool, &w, c->in->valset);
    }
    for (size_t j = 0; j < o->n_pool && goes_on(c->pool, st); j++) {
        st = dm_pool_wait(c->pool, futures[j], &o->pool[j].row, err);
        if (st == DM_OK)
            o->pool[kept++] = o->pool[j];
    }
    if (kept) /* else the estimates alone say who is best */
        o->n_pool = kept;
    return st;
}

/* ---- choosing ---- */

static bool *rows_in_demos(const choosing *c)
{
    size_t n = c->in->valset->n, m = c->o->n_pool;
    bool *in = dm_arena_alloc_n(c->a, m * n, sizeof *in);
    for (size_t j = 0; j < m; j++)
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; k < c->o->pool[j].candidate->program->n; k++)
                in[j * n + i] |=
                    dm_stands_in_demos(c->o->pool[j].candidate, k, &c->in->valset->examples[i]);
    return in;
}

/* A file's program may have another one last. */
static dm_str last_output(const dm_candidate *c)
{
    const dm_signature *s = c->program->predictors[c->program->n - 1].signature;
    return s->fields[s->n_inputs + s->n_outputs - 1].name;
}

static dm_status count_ballots(choosing *c, dm_error *err)
{
    dm_ensemble_output *o = c->o;
    const dm_candidate *programs[DM_COMMITTEE_POOL];
    const dm_result *rows[DM_COMMITTEE_POOL];
    for (size_t j = 0; j < o->n_pool; j++) {
        programs[j] = o->pool[j].candidate;
        rows[j] = o->pool[j].row;
    }
    c->rule = c->params->rule;
    if (!c->rule.field.p && o->n_pool && programs[0]->program->python && rows[0])
        c->rule.field = dm_last_output(c->a, rows[0], c->in->valset->n);
    else if (!c->rule.field.p && !c->in->student->program->python)
        c->rule.field = last_output(c->in->student);
    dm_status st =
        dm_ensemble_new(c->a, "optimizer", programs, o->n_pool, &c->rule, &c->probe, err);
    if (st != DM_OK)
        return st;
    c->ballots =
        dm_ballots_of(c->a, rows, o->n_pool, c->in->valset->n, c->probe.field,
                      dm_reduce_as_text(c->probe.reduce, c->probe.exact_field), rows_in_demos(c));
    for (size_t i = 0; i < c->ballots.n; i++)
        o->usable += c->ballots.usable[i];
    return DM_OK;
}

/* One of the pool's members is asked for an input, by the usable rows that are like it. */
static dm_router *make_router(const choosing *c)
{
    size_t m = c->ballots.m, n = c->o->usable, k = 0, n_inputs = c->n_inputs;
    const dm_candidate **programs = dm_arena_alloc_n(c->a, m, sizeof *programs);
    const dm_str *inputs = c->inputs;
    for (size_t j = 0; j < m; j++)
        programs[j] = c->o->pool[j].candidate;
    (void)dm_ensemble_inputs(c->a, programs, m, &inputs, &n_inputs);
    dm_features *rows = dm_arena_alloc_n(c->a, n, sizeof *rows);
    double *score = dm_arena_alloc_n(c->a, m * n, sizeof *score);
    for (size_t i = 0; i < c->ballots.n; i++) {
        if (!c->ballots.usable[i])
            continue;
        rows[k] = dm_features_of(c->a, c->in->valset->examples[i].row, inputs, n_inputs);
        for (size_t j = 0; j < m; j++)
            score[j * n + k] = c->ballots.score[j * c->ballots.n + i];
        k++;
    }
    return dm_router_new(c->a, rows, score, m, n);
}

/* The committee in the order of the vote, repeats written out. */
static size_t write_out(const dm_committee *k, size_t *which)
{
    size_t n = 0;
    for (size_t i = 0; i < k->n; i++)
        for (uint32_t v = 0; v < k->votes[i]; v++)
            which[n++] = k->member[i];
    return n;
}

static const char *in_words(const choosing *c, const dm_guard *g)
{
    const char *ensemble =
        c->probe.reduce == DM_REDUCE_BEST_PER_INPUT ? "one member for each input" : "the committee";
    if (g->verdict == DM_GUARD_FEW_ROWS)
        return dm_arena_printf(c->a,
                               "%zu validation examples are usable, and %d are needed to tell "
                               "whether a committee gains",
                               c->o->usable, DM_COMMITTEE_ROWS);
    if (g->verdict == DM_GUARD_ONE)
        return "no other candidate adds anything to the best one";
    bool gains = g->verdict == DM_GUARD_GAINS;
    return dm_arena_printf(c->a,
                           "on examples that did not choose it %s gains %+.1f points over the best "
                           "single program, with a standard error of %.1f%s%s",
                           ensemble, 100 * g->gain, 100 * g->se,
                           gains ? "" : ": that is not outside the noise",
                           c->params->guard ? "" : "; guard is off");
}

/* which [n]: of the pool. */
static dm_status build(choosing *c, const size_t *which, size_t n, const dm_router *router,
                       dm_error *err)
{
    dm_ensemble *e = dm_arena_alloc(c->a, sizeof *e);
    dm_ensemble_rule rule = c->rule;
    const dm_candidate **programs = dm_arena_alloc_n(c->a, n, sizeof *programs);
    dm_str *lms = dm_arena_alloc_n(c->a, n, sizeof *lms), missing;
    for (size_t i = 0; i < n; i++) {
        programs[i] = c->o->pool[which[i]].candidate;
        lms[i] = c->o->pool[which[i]].lm;
    }
    rule.lms = lms;
    dm_status st = dm_ensemble_new(c->a, "optimizer", programs, n, &rule, e, err);
    if (st == DM_OK)
        (void)dm_ensemble_find_models(c->a, e, c->in->own, &missing); /* they are there */
    e->router = router;
    c->o->ensemble = e;
    return st;
}

/* With fewer rows than it takes to tell, no committee is made. */
static dm_status choose(choosing *c, dm_error *err)
{
    dm_ensemble_output *o = c->o;
    size_t which[DM_COMMITTEE_MOST];
    const dm_router *router = NULL;
    dm_committee k = {0};
    size_t n = 0;
    o->forecast = dm_committee_forecast(&c->ballots);
    o->guard = (dm_guard){DM_GUARD_FEW_ROWS, NAN, NAN, o->usable};
    if (o->usable >= DM_COMMITTEE_ROWS)
        o->single = dm_committee_single(&c->ballots, NULL);
    if (o->usable >= DM_COMMITTEE_ROWS && c->probe.reduce == DM_REDUCE_BEST_PER_INPUT) {
        router = make_router(c);
        o->guard = dm_router_guarded(router);
        for (; n < o->n_pool; n++)
            which[n] = n;
    } else if (o->usable >= DM_COMMITTEE_ROWS) {
        o->guard =
            dm_committee_guarded(&c->ballots,
                                 c->params->select == DM_SELECT_TOP ? dm_committee_top
                                                                    : dm_committee_choose,
                                 c->params->size, (uint64_t)dm_seed_of(&c->params->base), &k);
        n = write_out(&k, which);
    }
    o->why = in_words(c, &o->guard);
    dm_status st = n ? build(c, which, n, router, err) : DM_OK;
    o->chosen = o->ensemble && (o->guard.verdict == DM_GUARD_GAINS || !c->params->guard);
    return st;
}

/* ---- what it comes to ---- */

static dm_status score(choosing *c, const char *name, const dm_dataset *set, dm_error *err)
{
    dm_ensemble_output *o = c->o;
    dm_ensemble_split s = {.name = name, .set = set};
    dm_work start = dm_work_of(c->in->student), single = work_of(&o->pool[o->single]);
    dm_asking how = {.scored = true, .strict = true, .inputs = c->inputs, .n_inputs = c->n_inputs};
    dm_future *futures[] = {dm_pool_evaluate(c->pool, &start, set),
                            dm_pool_evaluate(c->pool, &single, set)};
    dm_status st = DM_OK, asked = DM_OK;
    if (o->ensemble) /* before the others are waited for: its waves take the longest */
        asked = dm_ensemble_ask(c->pool, o->ensemble, &how, set, &s.committee, err);
    if (asked != DM_OK)
        s.committee.results = NULL;
    if (goes_on(c->pool, asked))
        st = dm_pool_wait(c->pool, futures[0], &s.start, err);
    if (st == DM_OK && goes_on(c->pool, asked))
        st = dm_pool_wait(c->pool, futures[1], &s.single, err);
    st = st ? st : asked;
    if (s.start && s.single)
        o->splits[o->n_splits++] = s;
    return st;
}

dm_status dm_committee_run(dm_pool *p, const dm_compile_input *in, dm_ensemble_output *o,
                           dm_error *err)
{
    choosing c = {.pool = p,
                  .a = dm_pool_arena(p),
                  .in = in,
                  .params = (const dm_ensemble_params *)in->params,
                  .o = o,
                  .inputs = in->inputs ? in->inputs : in->student->program->inputs,
                  .n_inputs = in->inputs ? in->n_inputs : in->student->program->n_inputs};
    dm_status stopped = nominate_all(&c, err), st = stopped;
    o->why = "the run ended before any candidate was scored";
    if (goes_on(p, st) && c.n) {
        take_pool(&c);
        st = complete_rows(&c, err);
        stopped = stopped ? stopped : st;
    }
    if (!goes_on(p, st) || !o->n_pool)
        return stopped < 0 ? stopped : st < 0 ? st : stopped;
    if (o->pool[0].row) {
        st = count_ballots(&c, err);
        if (st == DM_OK)
            st = choose(&c, err);
        if (st < 0)
            return st;
    } else {
        o->why = "the budget does not cover the validation examples of any candidate";
    }
    st = score(&c, "valset", in->valset, err);
    stopped = stopped ? stopped : st;
    if (goes_on(p, st) && in->testset) {
        dm_pool_phase(p, "score", 0);
        st = score(&c, "testset", in->testset, err);
        stopped = stopped ? stopped : st;
    }
    return st < 0 ? st : stopped;
}
