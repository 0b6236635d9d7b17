/* What MIPROv2 decides before its first call: a pure function of the settings and of the sizes of
 * program and data. One stream of random numbers serves all, in DSPy's order (contract 8.4): (b)
 * the validation subset, (c) orders and sizes of the demo sets, (d) tips and rollout ids of the
 * proposals, (e) what is left draws the minibatches. */
#include "optimizer/mipro.h"
#include "search/schedule.h"

#include <math.h>

#define DEFAULT_SEED    9  /* DSPy's */
#define MOST_WITHOUT    50 /* auto: minibatches from one more on */
#define ZERO_SHOT_DEMOS 3  /* bootstrapped only to inform instructions */

static const struct {
    size_t candidates, val_size;
} autos[] = {
    [DM_AUTO_LIGHT] = {6, 100}, [DM_AUTO_MEDIUM] = {12, 300}, [DM_AUTO_HEAVY] = {18, 1000}};

/* (b): always drawn with auto, also where it only reorders. */
static void draw_validation(dm_arena *a, dm_pyrandom *rng, const dm_mipro_params *p, size_t n,
                            dm_mipro_plan *out)
{
    size_t *val = dm_arena_alloc_n(a, n, sizeof *val);
    out->val = val;
    out->n_val = n;
    for (size_t i = 0; i < n; i++)
        val[i] = i;
    if (p->auto_mode == DM_AUTO_NONE)
        return;
    size_t most = autos[p->auto_mode].val_size;
    out->n_val = n < most ? n : most;
    dm_pyrandom_sample(rng, n, out->n_val, val);
}

static void set_sizes(const dm_mipro_params *p, size_t predictors, dm_mipro_plan *out)
{
    bool automatic = p->auto_mode != DM_AUTO_NONE;
    out->zero_shot = p->demos.max_bootstrapped_demos == 0 && p->demos.max_labeled_demos == 0;
    out->max_bootstrapped = out->zero_shot ? ZERO_SHOT_DEMOS : p->demos.max_bootstrapped_demos;
    out->max_labeled = out->zero_shot ? 0 : p->demos.max_labeled_demos;
    out->n_sets = automatic ? autos[p->auto_mode].candidates : (size_t)p->num_candidates;
    out->n_instructions = automatic && !out->zero_shot ? out->n_sets / 2 : out->n_sets;
    out->trials = automatic ? dm_mipro_trials(predictors, out->n_sets, out->zero_shot)
                            : (size_t)p->num_trials;
    out->minibatch = automatic ? out->n_val > MOST_WITHOUT : p->minibatch;
    out->minibatch_size = (size_t)p->minibatch_size;
    out->full_eval_steps = (size_t)p->minibatch_full_eval_steps;
}

/* (c): sets -3, -2, -1, 0, ... of DSPy. A maximum of 0 bootstrapped ones is a size of 0, where DSPy
 * raises (contract 10.6, trap 5). */
static void draw_sets(dm_arena *a, dm_pyrandom *rng, size_t n_train, dm_mipro_plan *out)
{
    out->sets = dm_arena_alloc_n(a, out->n_sets, sizeof *out->sets);
    for (size_t i = 0; i < out->n_sets; i++) {
        dm_set_plan *s = &out->sets[i];
        *s = (dm_set_plan){DM_SET_BOOTSTRAPPED, NULL, out->max_bootstrapped};
        if (i == 0)
            s->kind = DM_SET_OWN;
        else if (i == 1 && out->max_labeled > 0)
            s->kind = DM_SET_LABELED;
        if (i == 2 || s->kind != DM_SET_BOOTSTRAPPED)
            continue;
        size_t *order = dm_arena_alloc_n(a, n_train, sizeof *order);
        for (size_t k = 0; k < n_train; k++)
            order[k] = k;
        dm_pyrandom_shuffle(rng, order, n_train);
        s->order = order;
        if (out->max_bootstrapped > 0)
            s->size = dm_pyrandom_randint(rng, 1, out->max_bootstrapped);
    }
}

/* (d) */
static void draw_proposals(dm_arena *a, dm_pyrandom *rng, const dm_mipro_params *p,
                           size_t predictors, dm_mipro_plan *out)
{
    size_t n = predictors * out->n_instructions;
    out->proposals = dm_arena_alloc_n(a, n, sizeof *out->proposals);
    for (size_t i = 0; i < n; i++) {
        out->proposals[i].tip = p->tip_aware_proposer ? dm_pyrandom_below(rng, DM_TIPS) : 0;
        out->proposals[i].rollout = dm_pyrandom_randint(rng, 0, 1000000000);
    }
}

static size_t between(size_t v, size_t low, size_t high)
{
    return v < low ? low : v > high ? high : v;
}

/* How far ahead the search decides: cells in flight over the cells of a unit. */
static void set_window(const dm_mipro_params *p, dm_mipro_plan *out)
{
    out->in_flight = p->has_in_flight ? (size_t)p->in_flight : between(out->runs / 20, 32, 256);
    switch (p->search) {
    case DM_MIPRO_FACTOR:
        dm_search_units(out->runs - out->n_val, out->in_flight, &out->block, &out->block_max,
                        &out->window);
        break;
    case DM_MIPRO_RANDOM:
        out->window = between(out->in_flight / out->n_val, 1, 1000000);
        break;
    case DM_MIPRO_TPE: /* one after another, as Optuna draws, unless asked */
        out->window = p->has_in_flight ? between(out->in_flight / out->n_val, 1, 1000000) : 1;
        break;
    case DM_MIPRO_HALVING: /* rounds wait by themselves */
        out->window = 4096;
        break;
    case DM_MIPRO_SCHEDULE:
        out->window = 1;
        break;
    }
}

static dm_status check_sizes(const dm_mipro_plan *out, dm_error *err)
{
    if (out->n_val == 0)
        return dm_fail(err, DM_E_JOB, "valset: there is nothing to score candidates on");
    if (out->minibatch && out->minibatch_size > out->n_val)
        return dm_fail(err, DM_E_JOB,
                       "optimizer.minibatch_size: minibatches of %zu are larger than the "
                       "validation set of %zu examples: make them smaller",
                       out->minibatch_size, out->n_val);
    if (out->runs <= out->n_val)
        return dm_fail(err, DM_E_JOB,
                       "optimizer.runs: %zu runs are spent by scoring the start program on the %zu "
                       "validation examples: ask for more, or give fewer examples",
                       out->runs, out->n_val);
    return DM_OK;
}

dm_status dm_mipro_plan_make(dm_arena *a, const dm_mipro_params *p, size_t predictors,
                             size_t n_train, size_t n_val, dm_mipro_plan *out, dm_error *err)
{
    dm_pyrandom rng;
    *out = (dm_mipro_plan){0};
    dm_pyrandom_seed(&rng, p->demos.base.has_seed ? p->demos.base.seed : DEFAULT_SEED);
    draw_validation(a, &rng, p, n_val, out);
    set_sizes(p, predictors, out);
    out->runs = p->has_runs ? (size_t)p->runs
                            : dm_search_mipro_runs(out->trials, out->n_val, out->minibatch,
                                                   out->minibatch_size, out->full_eval_steps);
    dm_status st = check_sizes(out, err);
    if (st != DM_OK)
        return st;
    set_window(p, out); /* by the whole job: a raised cap leaves it as it is */
    if (p->runs_that_fit > 0 && p->search != DM_MIPRO_SCHEDULE)
        out->runs = between((size_t)p->runs_that_fit, out->n_val + 1, out->runs);
    draw_sets(a, &rng, n_train, out);
    draw_proposals(a, &rng, p, predictors, out);
    out->minibatches = rng;
    return DM_OK;
}

/* ---- the user's own instructions ---- */

static bool is_name(dm_str key, const dm_predictor *p)
{
    return dm_str_eq(key, p->path) || (p->path.n == 0 && dm_str_is(key, "self"));
}

static const dm_value *list_of(const dm_value *v, bool *instead)
{
    *instead = v && v->kind == DM_DICT;
    return *instead ? dm_value_get(v, "instead") : v;
}

const dm_value *dm_proposals_of(const dm_value *file, const dm_predictor *p, bool *instead)
{
    *instead = false;
    for (size_t i = 0; file && i < file->n; i++)
        if (is_name(file->members[i].key, p))
            return list_of(file->members[i].value, instead);
    return NULL;
}

dm_status dm_proposals_check(const dm_value *file, const char *name, const dm_program *program,
                             dm_error *err)
{
    if (file->kind != DM_DICT)
        return dm_fail(err, DM_E_JOB,
                       "%s: an object of lists by predictor: {\"predict\": [\"Answer ...\"]}",
                       name);
    for (size_t i = 0; i < file->n; i++) {
        dm_str key = file->members[i].key;
        bool known = false, instead;
        const dm_value *list = list_of(file->members[i].value, &instead);
        for (size_t k = 0; k < program->n; k++)
            known |= is_name(key, &program->predictors[k]);
        if (!known)
            return dm_fail(err, DM_E_JOB,
                           "%s: the program has no predictor \"%.*s\"; one is \"%s\"", name,
                           DM_STR_ARG(key),
                           program->predictors[0].path.n ? program->predictors[0].path.p : "self");
        if (!list || list->kind != DM_LIST || (instead && file->members[i].value->n != 1))
            return dm_fail(err, DM_E_JOB,
                           "%s: %.*s: a list of instructions, or {\"instead\": [...]}", name,
                           DM_STR_ARG(key));
        for (size_t k = 0; k < list->n; k++)
            if (list->items[k]->kind != DM_STRING || list->items[k]->text.n == 0)
                return dm_fail(err, DM_E_JOB, "%s: %.*s: item %zu is not a string", name,
                               DM_STR_ARG(key), k + 1);
    }
    return DM_OK;
}

size_t dm_proposals_asked(const dm_mipro_params *p, const dm_mipro_plan *plan,
                          const dm_predictor *predictor)
{
    bool instead;
    const dm_value *own = dm_proposals_of(p->proposals.json, predictor, &instead);
    size_t have = 1 + (own ? own->n : 0);
    return instead || have >= plan->n_instructions ? 0 : plan->n_instructions - have;
}

size_t dm_proposals_asked_in_all(const dm_mipro_params *p, const dm_mipro_plan *plan,
                                 const dm_program *program)
{
    size_t n = 0;
    for (size_t i = 0; i < program->n; i++)
        n += dm_proposals_asked(p, plan, &program->predictors[i]);
    return n;
}

bool dm_mipro_needs_sets(const dm_mipro_params *p, const dm_mipro_plan *plan,
                         const dm_program *program)
{
    return !plan->zero_shot ||
           (p->fewshot_aware_proposer && dm_proposals_asked_in_all(p, plan, program) > 0);
}
