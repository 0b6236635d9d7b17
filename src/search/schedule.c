/* MIPROv2's schedule, and the plain one: every trial on all examples. */
#include "search/schedule.h"
#include "search/core.h"
#include "search/tpe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Plain schedule: so many draws in a row of candidates known already end it. */
#define REPEATS 1000

typedef struct pending {
    size_t optuna, candidate;
} pending;

typedef struct schedule {
    dm_tpe *tpe; /* NULL: random */
    dm_stream random;
    dm_pyrandom minibatches;
    dm_trial *trials;
    size_t n_trials, cap;
    size_t drawn;     /* candidates drawn so far, T at most */
    size_t number;    /* Optuna's next number */
    pending *pending; /* trials that run, mostly one */
    size_t n_pending;
    double *batch_sum; /* [arms] of minibatch scores */
    size_t *batch_n;   /* [arms] */
    bool *full;        /* [arms] was fully evaluated in a trial of its own */
    size_t *seen;      /* [n_seen] arms in order of their first minibatch */
    size_t n_seen, n_arms;
    bool written_apart; /* dm_search_written_apart */
    size_t best;
    double best_score; /* per cent */
} schedule;

/* Python's round(v, 2): printf rounds the exact value half to even. */
static double round2(double v)
{
    char text[400];
    snprintf(text, sizeof text, "%.2f", v);
    return strtod(text, NULL);
}

size_t dm_search_mipro_runs(size_t trials, size_t n, bool minibatch, size_t minibatch_size,
                            size_t steps)
{
    if (!minibatch)
        return n * (1 + trials);
    size_t full = steps ? trials / steps + (trials % steps != 0) : 0;
    return trials * (minibatch_size < n ? minibatch_size : n) + n * (1 + full);
}

size_t dm_mipro_trials(size_t predictors, size_t sets, bool zero_shot)
{
    double variables = (double)predictors * (zero_shot ? 1 : 2);
    return (size_t)fmax(2 * variables * log2((double)sets), 1.5 * (double)sets);
}

static void *make(dm_search *s)
{
    schedule *z = dm_alloc(sizeof *z);
    bool mipro = s->o.method == DM_SEARCH_MIPRO;
    if (s->o.method == DM_SEARCH_TPE || (mipro && !s->o.random_sampler))
        z->tpe = dm_tpe_new(s->o.n_slots, s->o.levels, s->o.names, (uint32_t)s->o.seed);
    z->random = dm_stream_of(s->o.seed, DM_STREAM_SAMPLE, 0);
    dm_pyrandom_seed(&z->minibatches, (int64_t)s->o.seed);
    z->best_score = -INFINITY;
    return z;
}

static void free_state(void *state)
{
    schedule *z = state;
    dm_tpe_free(z->tpe);
    free(z->trials);
    free(z->pending);
    free(z->batch_sum);
    free(z->batch_n);
    free(z->full);
    free(z->seen);
    free(z);
}

/* Room for what is kept by arm. */
static void fit_arms(schedule *z, const dm_search *s)
{
    if (z->n_arms == s->n_arms)
        return;
    z->batch_sum = dm_grow(z->batch_sum, s->n_arms, sizeof *z->batch_sum);
    z->batch_n = dm_grow(z->batch_n, s->n_arms, sizeof *z->batch_n);
    z->full = dm_grow(z->full, s->n_arms, sizeof *z->full);
    z->seen = dm_grow(z->seen, s->n_arms, sizeof *z->seen);
    for (; z->n_arms < s->n_arms; z->n_arms++) {
        z->batch_sum[z->n_arms] = 0;
        z->batch_n[z->n_arms] = 0;
        z->full[z->n_arms] = false;
    }
}

/* The next drawn candidate; its trial runs until every pending trial of the candidate is told. */
static size_t draw(dm_search *s, schedule *z)
{
    uint16_t *x = dm_alloc_n(s->o.n_slots, sizeof *x);
    size_t optuna = 0;
    if (z->tpe) {
        optuna = dm_tpe_ask(z->tpe, x);
        for (size_t i = 0; i < s->o.n_slots; i++)
            if (s->dropped[s->offset[i] + x[i]])
                x[i] = 0;
    } else {
        dm_search_random(s, &z->random, x);
    }
    size_t arm = dm_search_arm(s, x);
    free(x);
    fit_arms(z, s);
    z->pending = dm_grow(z->pending, z->n_pending + 1, sizeof *z->pending);
    z->pending[z->n_pending++] = (pending){optuna, arm};
    z->drawn++;
    return arm;
}

static void tell_pending(schedule *z, size_t arm, double score)
{
    size_t kept = 0;
    for (size_t i = 0; i < z->n_pending; i++)
        if (z->pending[i].candidate != arm)
            z->pending[kept++] = z->pending[i];
        else if (z->tpe)
            dm_tpe_tell(z->tpe, z->pending[i].optuna, score);
    z->n_pending = kept;
}

static dm_trial *new_trial(schedule *z, dm_trial_kind kind, size_t arm)
{
    z->trials = dm_room(z->trials, z->n_trials, &z->cap, sizeof *z->trials);
    dm_trial *t = &z->trials[z->n_trials++];
    *t = (dm_trial){z->number++, kind, arm, NAN, 0, false};
    return t;
}

static dm_search_answer hand_out(schedule *z, dm_unit *u, dm_trial_kind kind)
{
    dm_trial *t = new_trial(z, kind, u->u.candidate);
    u->u.trial = t->number;
    u->u.kind = kind == DM_TRIAL_DEFAULT ? DM_SEARCH_START
                : kind == DM_TRIAL_FULL  ? DM_SEARCH_COMPLETE
                                         : DM_SEARCH_EXPLORE;
    return DM_SEARCH_UNIT;
}

/* Hands out one cell, new or known, unless it leaks into the candidate. */
static void give(dm_search *s, dm_unit *u, size_t example)
{
    uint64_t *const *leak = s->leak;
    for (size_t k = 0; k < s->o.n_slots; k++) {
        const uint64_t *b = leak[s->offset[k] + s->arms[u->u.candidate].x[k]];
        if (b && dm_bit(b, example))
            return;
    }
    dm_search_repeat(s, u, example);
}

static void whole_row(dm_search *s, dm_unit *u)
{
    for (size_t i = 0; i < s->o.n_examples; i++)
        give(s, u, i);
}

static dm_search_answer start(dm_search *s, schedule *z, dm_unit *u)
{
    static const uint16_t written[256];
    u->u.candidate = z->written_apart ? dm_search_arm_apart(s, written) : dm_search_arm(s, written);
    fit_arms(z, s);
    whole_row(s, u);
    return hand_out(z, u, DM_TRIAL_DEFAULT);
}

/* Highest mean of minibatch scores among those not fully evaluated, the first seen wins ties. */
static size_t best_unevaluated(const schedule *z)
{
    size_t best = DM_NONE;
    double top = -INFINITY;
    for (size_t i = 0; i < z->n_seen; i++) {
        size_t arm = z->seen[i];
        double mean = z->batch_sum[arm] / (double)z->batch_n[arm];
        if (!z->full[arm] && mean > top) {
            top = mean;
            best = arm;
        }
    }
    return best;
}

static void take_minibatch(dm_search *s, schedule *z, dm_unit *u)
{
    size_t n = s->o.n_examples, m = s->o.minibatch_size;
    if (m >= n) {
        whole_row(s, u);
        return;
    }
    size_t *sample = dm_alloc_n(m, sizeof *sample);
    dm_pyrandom_sample(&z->minibatches, n, m, sample);
    for (size_t i = 0; i < m; i++)
        give(s, u, sample[i]);
    free(sample);
}

static dm_search_answer decide_mipro(dm_search *s, dm_unit *u)
{
    schedule *z = s->state;
    if (z->n_trials == 0)
        return start(s, z, u);
    const dm_trial *last = &z->trials[z->n_trials - 1];
    bool due = s->o.minibatch && last->kind == DM_TRIAL_MINIBATCH &&
               (z->drawn % s->o.full_eval_steps == 0 || z->drawn == s->o.trials);
    if (due) {
        size_t arm = best_unevaluated(z); /* none: DSPy raises here, we go on (contract 10.6) */
        if (arm != DM_NONE) {
            u->u.candidate = arm;
            z->full[arm] = true;
            whole_row(s, u);
            return hand_out(z, u, DM_TRIAL_FULL);
        }
    }
    if (z->drawn >= s->o.trials) {
        s->end = DM_SEARCH_BUDGET;
        return DM_SEARCH_DONE;
    }
    u->u.candidate = draw(s, z);
    if (s->o.minibatch)
        take_minibatch(s, z, u);
    else
        whole_row(s, u);
    return hand_out(z, u, s->o.minibatch ? DM_TRIAL_MINIBATCH : DM_TRIAL_WHOLE);
}

static double percent(const dm_unit *u, size_t *answered)
{
    double sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < u->u.n; i++)
        if (!isnan(u->scores[i])) {
            sum += u->scores[i];
            n++;
        }
    *answered = n;
    return n ? round2(100 * sum / (double)n) : 0;
}

static void commit(dm_search *s, const dm_unit *u)
{
    schedule *z = s->state;
    dm_trial *t = NULL; /* the newest trial of this number */
    for (size_t i = z->n_trials; !t && i-- > 0;)
        if (z->trials[i].number == u->u.trial)
            t = &z->trials[i];
    size_t arm = u->u.candidate;
    t->score = percent(u, &t->n);
    if (t->kind == DM_TRIAL_MINIBATCH && t->n == 0) {
        ; /* all of it barred or absent: it says nothing of the candidate */
    } else if (t->kind == DM_TRIAL_MINIBATCH) {
        if (z->batch_n[arm]++ == 0)
            z->seen[z->n_seen++] = arm;
        z->batch_sum[arm] += t->score;
    } else if (t->score > z->best_score) {
        t->improved = true;
        z->best_score = t->score;
        z->best = arm;
        if (t->n == u->u.n && t->score / 100 >= s->o.stop_at_score)
            s->end = DM_SEARCH_SCORE;
    }
    if (t->kind == DM_TRIAL_DEFAULT || t->kind == DM_TRIAL_FULL) {
        if (z->tpe)
            dm_tpe_add(z->tpe, s->arms[arm].x, t->score);
    } else {
        tell_pending(z, arm, t->score);
    }
}

/* tpe, random: every new candidate on all examples, as long as a whole row fits the budget. */
static dm_search_answer decide_full(dm_search *s, dm_unit *u)
{
    schedule *z = s->state;
    if (z->n_trials == 0)
        return start(s, z, u);
    for (int k = 0; k < REPEATS && (double)s->n_arms <= dm_search_space(s); k++) {
        if (s->issued + s->o.n_examples > s->o.budget)
            break;
        size_t before = s->n_arms;
        u->u.candidate = draw(s, z);
        if (s->n_arms > before) {
            whole_row(s, u);
            return hand_out(z, u, DM_TRIAL_WHOLE);
        }
        size_t arm = u->u.candidate;
        for (size_t i = 0; i < z->n_trials; i++) /* known: its score is told again, unpaid */
            if (z->trials[i].candidate == arm && !isnan(z->trials[i].score)) {
                double score = z->trials[i].score;
                dm_trial *t = new_trial(z, DM_TRIAL_WHOLE, arm);
                t->score = score;
                t->n = s->arms[arm].known;
                tell_pending(z, arm, score);
                break;
            }
    }
    s->end = s->issued + s->o.n_examples > s->o.budget ? DM_SEARCH_BUDGET : DM_SEARCH_KNOWN;
    return DM_SEARCH_DONE;
}

static size_t best(const dm_search *s)
{
    return ((const schedule *)s->state)->best;
}

const dm_trial *dm_search_trials(const dm_search *s, size_t *n)
{
    const schedule *z = s->state;
    *n = z->n_trials;
    while (*n > 0 && isnan(z->trials[*n - 1].score))
        --*n;
    return z->trials;
}

void dm_search_written_apart(dm_search *s)
{
    ((schedule *)s->state)->written_apart = true;
}

void dm_search_use_random(dm_search *s, const dm_pyrandom *r)
{
    ((schedule *)s->state)->minibatches = *r;
}

const dm_method dm_method_mipro = {make, free_state, decide_mipro, commit, best, NULL, false};
const dm_method dm_method_full = {make, free_state, decide_full, commit, best, NULL, false};
