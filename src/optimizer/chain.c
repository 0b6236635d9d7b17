/* Optimizers one after the other: each starts from what the one before it has found.
 *
 * Each is a strand with a share of what is left of the cap: of three the first has a third, the
 * second half of what the first left, the last all. So one that is cut leaves the others theirs. */
#include "optimizer/chain.h"
#include "base/log.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MOST 8 /* in a row */

static const dm_chain_params *params_of(const dm_params *p)
{
    return (const dm_chain_params *)p;
}

/* ---- parameters ---- */

/* Files are found by who reads the job, and not in here. */
static dm_status refuse(const dm_at *at, const dm_params *p, dm_error *err)
{
    if (p->class == &dm_optimizer_chain)
        return dm_at_fail(
            at, err, "a list of optimizers cannot hold another list: write all of them in one");
    for (const dm_param *param = p->class->params; param->name; param++) {
        dm_at value = dm_at_key(at, param->name);
        if (value.v && param->kind == DM_PARAM_FILE)
            return dm_at_fail(&value, err,
                              "a file cannot be given for one optimizer of a list: leave it out");
    }
    return DM_OK;
}

dm_status dm_chain_check(dm_arena *a, const dm_at *at, dm_params *params, dm_error *err)
{
    const dm_param_optimizers *of = &params_of(params)->of;
    dm_at list = at->v->kind == DM_LIST ? *at : dm_at_key(at, "of");
    dm_status st = DM_OK;
    (void)a;
    if (of->n == 0)
        return dm_at_fail(at, err,
                          "it needs a list of optimizers, such as [\"mipro_v2\", \"gepa\"]");
    for (size_t i = 0; i < of->n && st == DM_OK; i++) {
        dm_at item = list.v->kind == DM_LIST ? dm_at_item(&list, i) : list;
        st = refuse(&item, of->params[i], err);
    }
    return st;
}

static const dm_param table[] = {
    {.name = "of",
     .kind = DM_PARAM_OPTIMIZERS,
     .low = 1,
     .high = MOST,
     .at = offsetof(dm_chain_params, of),
     .value = "JSON",
     .help = "what runs, one after the other; a list in place of a name is the same",
     .absent = "needed"},
    DM_PARAM_SEED,
    DM_PARAM_MAX_ERRORS,
    {.name = NULL},
};

static const dm_params *part(const dm_params *p, size_t i)
{
    return i < params_of(p)->of.n ? params_of(p)->of.params[i] : NULL;
}

static size_t demos(const dm_params *p)
{
    size_t most = 0;
    for (size_t i = 0; part(p, i); i++) {
        size_t n = part(p, i)->class->demos ? part(p, i)->class->demos(part(p, i)) : 0;
        most = n > most ? n : most;
    }
    return most;
}

/* The input of optimizer i, without the program that it starts from. */
static dm_compile_input input_of(dm_arena *a, const dm_compile_input *in, size_t i)
{
    const dm_params *given = part(in->params, i), *all = in->params;
    dm_params *own = dm_arena_alloc(a, given->class->size);
    dm_compile_input one = *in;
    memcpy(own, given, given->class->size);
    if (all->has_seed && !own->has_seed) {
        own->has_seed = true;
        own->seed = all->seed;
    }
    if (all->has_max_errors && !own->has_max_errors && dm_param_named(own->class, "max_errors")) {
        own->has_max_errors = true;
        own->max_errors = all->max_errors;
    }
    one.params = own;
    one.who = dm_who_of(in);
    one.step = i;
    return one;
}

static const dm_dataset *validates(dm_arena *a, const dm_compile_input *in)
{
    dm_compile_input *first = dm_arena_alloc(a, sizeof *first);
    *first = input_of(a, in, 0);
    const dm_optimizer *o = first->params->class;
    return o->validates ? o->validates(a, first) : in->valset;
}

static dm_status fits(dm_arena *a, const dm_compile_input *in, dm_error *err)
{
    dm_status st = DM_OK;
    for (size_t i = 0; part(in->params, i) && st == DM_OK; i++) {
        dm_compile_input *one = dm_arena_alloc(a, sizeof *one);
        *one = input_of(a, in, i);
        st = one->params->class->fits ? one->params->class->fits(a, one, err) : DM_OK;
        if (st != DM_OK)
            (void)dm_error_wrap(err, st, "optimizer %zu", i + 1);
    }
    return st;
}

static void announce(dm_buf *b, dm_arena *a, const dm_compile_input *in, int64_t concurrency)
{
    for (size_t i = 0; part(in->params, i); i++) {
        dm_compile_input *one = dm_arena_alloc(a, sizeof *one);
        *one = input_of(a, in, i);
        dm_buf_printf(b, "%zu. %s\n", i + 1, one->params->class->name);
        if (one->params->class->announce)
            one->params->class->announce(b, a, one, concurrency);
    }
}

/* ---- the plan ---- */

/* An optimizer that starts from the winner of another has that one's scores already: those on
 * the validation set are the last ones of the search before. */
static void plan(dm_arena *a, const dm_compile_input *in, dm_plan *whole)
{
    double v = (double)in->valset->n;
    dm_range first = {0, 0, 0}, last = {0, 0, 0};
    for (size_t i = 0; part(in->params, i); i++) {
        dm_compile_input *one = dm_arena_alloc(a, sizeof *one);
        dm_plan its = {.predictors = whole->predictors, .unscored = {v, 2 * v, 2 * v}};
        *one = input_of(a, in, i);
        const dm_optimizer *o = one->params->class;
        if (o->plan)
            o->plan(a, one, &its);
        for (size_t k = 0; k < its.n && whole->n < DM_MOST_PHASES; k++) {
            its.phases[k].name = dm_arena_printf(a, "%s, %s", its.phases[k].name, o->name);
            whole->phases[whole->n++] = its.phases[k];
        }
        first = i == 0 ? its.unscored : first;
        last = its.unscored;
    }
    whole->unscored = (dm_range){fmin(first.low, last.low), (first.expected + last.expected) / 2,
                                 (first.high + last.high) / 2};
}

/* ---- running ---- */

typedef struct chained { /* one of them */
    dm_compile_input in;
    dm_compile_output out;
} chained;

static dm_status run_link(dm_pool *p, void *arg, dm_error *err)
{
    chained *l = arg;
    return dm_compile(p, &l->in, &l->out, err);
}

/* Which row of the validation set each row of another one is; SIZE_MAX: none. */
static const size_t *rows_of(dm_arena *a, const dm_dataset *set, const dm_dataset *in)
{
    size_t *rows = dm_arena_alloc_n(a, set->n, sizeof *rows);
    for (size_t i = 0; i < set->n; i++) {
        rows[i] = i < in->n && in->examples[i].row == set->examples[i].row ? i : SIZE_MAX;
        for (size_t k = 0; k < in->n && rows[i] == SIZE_MAX; k++)
            if (in->examples[k].row == set->examples[i].row)
                rows[i] = k;
    }
    return rows;
}

/* Appends the candidates of one optimizer to those of the ones before it, with all results on
 * one set. */
static void add_scored(dm_arena *a, const dm_dataset *valset, const chained *l,
                       dm_compile_output *out)
{
    const dm_dataset *own = l->out.valset ? l->out.valset : valset;
    const size_t *rows = rows_of(a, own, valset);
    size_t n = out->n_scored + l->out.n_scored;
    dm_scored *all = dm_arena_alloc_n(a, n, sizeof *all);
    if (out->n_scored)
        memcpy(all, out->scored, out->n_scored * sizeof *all);
    for (size_t i = 0; i < l->out.n_scored; i++) {
        dm_scored *s = &all[out->n_scored + i];
        *s = l->out.scored[i];
        snprintf(s->name, sizeof s->name, "%s", dm_step_name(a, &l->in, l->out.scored[i].name));
        if (!s->results)
            continue;
        dm_result *r = dm_arena_alloc_n(a, valset->n, sizeof *r);
        for (size_t k = 0; k < valset->n; k++)
            r[k].score = NAN;
        for (size_t k = 0; k < own->n; k++)
            if (rows[k] != SIZE_MAX)
                r[rows[k]] = s->results[k];
        s->results = r;
    }
    if (l->out.best_index != SIZE_MAX)
        out->best_index = out->n_scored + l->out.best_index;
    else
        out->best_index = SIZE_MAX;
    out->scored = all;
    out->n_scored = n;
}

static void take(dm_arena *a, const dm_compile_input *in, const chained *l, dm_compile_output *out)
{
    add_scored(a, in->valset, l, out);
    out->best = l->out.best;
    out->told = l->out.told ? l->out.told : out->told;
    if (l->out.searched.method)
        out->searched = l->out.searched;
    out->searched.in_demos = NULL; /* of a set and a winner that may be others by now */
    out->searched.optimism = 0;
}

/* Start and winner are scored at the end, on the whole validation set; most of that is known. */
static dm_status run(dm_pool *p, const dm_compile_input *in, dm_compile_output *out, dm_error *err)
{
    dm_arena *a = dm_pool_arena(p);
    size_t n = params_of(in->params)->of.n;
    dm_status st = DM_OK;
    for (size_t i = 0; i < n && st == DM_OK; i++) {
        chained *l = dm_arena_alloc(a, sizeof *l);
        l->in = input_of(a, in, i);
        l->in.student = out->best;
        l->in.first = out->n_scored;
        l->out = (dm_compile_output){.best = out->best, .best_index = SIZE_MAX};
        const char *name = l->in.params->class->name;
        dm_log(DM_INFO, "optimizer %zu of %zu: %s", i + 1, n, name);
        dm_pool_split(p, 1, 1 / (double)(n - i));
        st = dm_strand_join(p, dm_strand_start(p, name, run_link, l), err);
        if (st < 0)
            break;
        take(a, in, l, out);
        if (st > 0 && dm_pool_share_is_used(p) && i + 1 < n) {
            dm_log(DM_WARN, "%s has used up its share of the budget: the next one begins", name);
            st = DM_OK;
        }
    }
    dm_pool_split(p, 0, 0);
    return st;
}

const dm_optimizer dm_optimizer_chain = {
    .name = "chain",
    .aliases = (const char *const[]){NULL},
    .size = sizeof(dm_chain_params),
    .params = table,
    .demos = demos,
    .validates = validates,
    .check = dm_chain_check,
    .fits = fits,
    .plan = plan,
    .announce = announce,
    .part = part,
    .run = run,
};
