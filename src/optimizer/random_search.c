/* BootstrapFewShotWithRandomSearch (contract 8.3): candidates -3 (as written), -2 (labelled), -1
 * (bootstrapped) and 0 ... N-1 (bootstrapped on a shuffled training set, to a random number of
 * demonstrations), each scored on the whole validation set; the earliest of the best wins.
 *
 * Each candidate is a strand: nothing it does depends on another. With stop_at_score DSPy's loop
 * may end early, so there they run one after another and no call is made that DSPy would not make.
 *
 * With `race` (ours) the candidates are made first, then raced (race.c). */
#include "base/log.h"
#include "base/random.h"
#include "optimizer/inside.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>

#define SHARE_OF_MAKING .5 /* of what a cap leaves: for bootstrapping; the rest passes on */

typedef struct trial {
    dm_pool *pool;
    const dm_compile_input *in;
    int64_t number; /* -3 ... N-1 */
    dm_strand *strand;
    const dm_candidate *candidate;
    const dm_result *results;
} trial;

static const dm_random_search_params *params_of(const trial *t)
{
    return (const dm_random_search_params *)t->in->params;
}

static dm_status bootstrap(trial *t, dm_train train, int64_t size, dm_error *err)
{
    const dm_bootstrap_params *p = &params_of(t)->demos;
    dm_bootstrap b = {.params = p,
                      .student = t->in->student,
                      .teacher = t->in->teacher,
                      .teacher_compiled = t->in->teacher_compiled,
                      .train = train,
                      .max_bootstrapped_demos = size,
                      .max_labeled_demos = p->max_labeled_demos,
                      .max_rounds = p->max_rounds,
                      .seed = dm_seed_of(t->in->params)};
    return dm_bootstrap_few_shot(t->pool, &b, &t->candidate, err);
}

static dm_status bootstrap_shuffled(trial *t, dm_train train, dm_error *err)
{
    const dm_bootstrap_params *p = &params_of(t)->demos;
    dm_arena *a = dm_pool_arena(t->pool);
    size_t *order = dm_arena_alloc_n(a, train.n, sizeof *order);
    /* Random(k) becomes Random(1000 s + k) when a seed s is given (src/README.md §1). */
    int64_t seed = 1000 * dm_seed_of(t->in->params) + t->number, size = 0;
    dm_pyrandom rng;
    for (size_t i = 0; i < train.n; i++)
        order[i] = i;
    dm_pyrandom_seed(&rng, seed);
    dm_pyrandom_shuffle(&rng, order, train.n);
    dm_train shuffled = dm_train_in_order(a, train, order);
    dm_pyrandom_seed(&rng, seed);
    if (p->max_bootstrapped_demos > 0) /* DSPy raises on 0 (contract 10.6, trap 5) */
        size = dm_pyrandom_randint(&rng, 1, p->max_bootstrapped_demos);
    return bootstrap(t, shuffled, size, err);
}

/* Seed -2. */
static const dm_candidate *labeled(dm_arena *a, const dm_compile_input *in)
{
    const dm_random_search_params *p = (const dm_random_search_params *)in->params;
    return dm_label(a, in->student, dm_train_of(a, in->trainset), p->demos.max_labeled_demos,
                    p->labeled_sample, dm_seed_of(in->params));
}

static dm_status make_candidate(dm_pool *pool, void *arg, dm_error *err)
{
    trial *t = arg;
    const dm_random_search_params *p = params_of(t);
    dm_arena *a = dm_pool_arena(pool);
    dm_train train = dm_train_of(a, t->in->trainset);
    dm_status st = DM_OK;
    if (t->number == -3)
        t->candidate = dm_candidate_seal(dm_reset_copy(a, t->in->student));
    else if (t->number == -2)
        t->candidate = labeled(a, t->in);
    else if (t->number == -1)
        st = bootstrap(t, train, p->demos.max_bootstrapped_demos, err);
    else
        st = bootstrap_shuffled(t, train, err);
    return st;
}

static dm_future *evaluate(dm_pool *pool, const trial *t)
{
    dm_work w = dm_work_of(t->candidate);
    return dm_pool_evaluate(pool, &w, t->in->valset);
}

static dm_status take_results(dm_pool *pool, trial *t, dm_future *f, dm_error *err)
{
    int64_t errors = 0;
    dm_status st = dm_pool_wait(pool, f, &t->results, err);
    if (st == DM_OK && t->number == -3)
        dm_tell_start(t->in, t->results, t->in->valset->n);
    return st == DM_OK
               ? dm_count_errors(pool, t->in->params, t->results, t->in->valset->n, &errors, err)
               : st;
}

static dm_status run_trial(dm_pool *pool, void *arg, dm_error *err)
{
    dm_status st = make_candidate(pool, arg, err);
    if (st != DM_OK)
        return st;
    dm_strand_take_turn(pool);
    return take_results(pool, arg, evaluate(pool, arg), err);
}

static void name_trial(dm_scored *s, const trial *t)
{
    snprintf(s->name, sizeof s->name, "seed %lld", (long long)t->number);
}

/* Records a finished trial; the best is the earliest of the highest. start: the start program's
 * results; NULL: it does not run here. */
static void record(dm_pool *pool, dm_compile_output *out, const trial *t, const dm_result *start)
{
    dm_scored *s = &out->scored[out->n_scored];
    size_t n = t->in->valset->n;
    *s = (dm_scored){.candidate = t->candidate, .results = t->results, .estimate = NAN};
    name_trial(s, t);
    s->score = dm_mean_against(t->results, start, n);
    dm_tell_tried(pool, t->in, out->n_scored, s, t->results, n, start, NULL);
    const dm_result *best =
        out->best_index != SIZE_MAX ? out->scored[out->best_index].results : NULL;
    if (t->number != -3 && dm_is_refused_too_often(t->results, start, n)) {
        dm_tell_dropped(s->name);
    } else if (dm_beats(t->results, best, n)) {
        out->best_index = out->n_scored;
        out->best = t->candidate;
        dm_tell_best(pool, t->in, out->n_scored, s->score);
    }
    out->n_scored++;
}

/* > 0: nothing is scored yet, the start program is the best known. */
static dm_status make_all(dm_pool *p, trial *trials, size_t n, dm_error *err)
{
    dm_status stopped = DM_OK;
    dm_pool_split(p, n, SHARE_OF_MAKING);
    for (size_t i = 0; i < n; i++)
        trials[i].strand = dm_strand_start(p, "candidate", make_candidate, &trials[i]);
    for (size_t i = 0; i < n; i++) {
        dm_status st = dm_strand_join(p, trials[i].strand, err);
        if (st < 0)
            return st;
        stopped = stopped ? stopped : st;
    }
    return stopped;
}

static dm_status race(dm_pool *p, const dm_compile_input *in, trial *trials, size_t n,
                      dm_compile_output *out, dm_error *err)
{
    const dm_candidate **candidates = dm_arena_alloc_n(dm_pool_arena(p), n, sizeof *candidates);
    out->stopped = make_all(p, trials, n, err);
    if (out->stopped)
        return out->stopped;
    for (size_t i = 0; i < n; i++) {
        candidates[i] = trials[i].candidate;
        out->scored[i] = (dm_scored){.candidate = candidates[i], .score = NAN, .estimate = NAN};
        name_trial(&out->scored[i], &trials[i]);
    }
    out->n_scored = n;
    return dm_race_candidates(p, in, candidates, out, err);
}

/* Each candidate is made on its own share, and scored in its turn. With stop_at_score they come one
 * after another. */
static dm_status search(dm_pool *p, trial *trials, size_t n, dm_compile_output *out, dm_error *err)
{
    const dm_random_search_params *params = params_of(&trials[0]);
    size_t at_once = params->has_stop_at_score ? 1 : n;
    for (size_t i = 0; i < n; i++) {
        if (i % at_once == 0)
            dm_pool_split(p, at_once, SHARE_OF_MAKING);
        for (size_t k = i; k < i + at_once && i % at_once == 0; k++)
            trials[k].strand = dm_strand_start(p, "candidate", run_trial, &trials[k]);
        dm_status st = dm_strand_join(p, trials[i].strand, err);
        if (st < 0)
            return st;
        if (st > 0) {
            out->stopped = st;
            if (at_once == 1)
                break;
            continue; /* what is already there still counts */
        }
        record(p, out, &trials[i], trials[0].number == -3 ? trials[0].results : NULL);
        if (params->has_stop_at_score &&
            100 * out->scored[out->n_scored - 1].score >= params->stop_at_score)
            break;
    }
    return out->stopped;
}

static dm_status run(dm_pool *p, const dm_compile_input *in, dm_compile_output *out, dm_error *err)
{
    const dm_random_search_params *params = (const dm_random_search_params *)in->params;
    dm_arena *a = dm_pool_arena(p);
    size_t n = 0, all = (size_t)params->num_candidate_programs + 3;
    trial *trials = dm_arena_alloc_n(a, all, sizeof *trials);
    for (int64_t k = -3; k < params->num_candidate_programs; k++)
        if (dm_is_restricted_to(params, k))
            trials[n++] = (trial){.pool = p, .in = in, .number = k};
    if (n == 0)
        return dm_fail(err, DM_E_JOB,
                       "optimizer.restrict: no candidate has one of these numbers (-3 to %lld)",
                       (long long)params->num_candidate_programs - 1);
    out->scored = dm_arena_alloc_n(a, n, sizeof *out->scored);
    dm_pool_phase(p, "search", n * in->valset->n);
    if (params->race != DM_RACES_OFF)
        return race(p, in, trials, n, out, err);
    return search(p, trials, n, out, err);
}

static bool any_score(const dm_params *p)
{
    return ((const dm_random_search_params *)p)->race == DM_RACES_OFF;
}

const dm_optimizer dm_optimizer_random_search = {
    .name = "bootstrap_few_shot_with_random_search",
    .aliases = (const char *const[]){"BootstrapFewShotWithRandomSearch", "BootstrapRS", NULL},
    .size = sizeof(dm_random_search_params),
    .params = dm_random_search_table,
    .roles = 1u << DM_TEACHER,
    .valset = DM_VALSET_TRAINSET,
    .few_train = 20,
    .few_val = 50,
    .demos = dm_bootstrap_demos,
    .labeled = labeled,
    .check = dm_random_search_check,
    .plan = dm_random_search_plan,
    .any_score = any_score,
    .run = run,
};
