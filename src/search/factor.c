/* DM_SEARCH_FACTOR: what to run next, from the model's last fit. */
#include "search/factor.h"
#include "search/schedule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TRIES 200 /* random candidates before every known one is looked at */

static size_t first_unit(size_t budget)
{
    size_t q = budget / 1200;
    return q < 2 ? 2 : q > 4 ? 4 : q;
}

static size_t later_unit(size_t budget, size_t block, size_t window)
{
    size_t most = budget / 20 / window;
    return most < 2 ? 2 : most > 2 * block ? 2 * block : most;
}

void dm_search_units(size_t budget, size_t in_flight, size_t *block, size_t *block_max,
                     size_t *window)
{
    *block_max = first_unit(budget);
    do {
        *block = *block_max;
        *window = in_flight / *block ? in_flight / *block : 1;
        *block_max = later_unit(budget, *block, *window);
    } while (*block_max < *block);
}

static void *make(dm_search *s)
{
    dm_factor *f = dm_alloc(sizeof *f);
    size_t n = s->o.n_examples, slots = s->o.n_slots;
    dm_search_constants *c = &s->o.constants;
    if (!c->block) {
        c->block = first_unit(s->o.budget);
        c->block_max = 0;
    }
    if (!c->block_max)
        c->block_max = later_unit(s->o.budget, c->block, s->o.window);
    if (c->block > c->block_max)
        c->block = c->block_max;
    f->c = c;
    f->M = 1 + s->offset[slots];
    f->A = dm_alloc_n(f->M * f->M, sizeof *f->A);
    f->P = dm_alloc_n(f->M * f->M, sizeof *f->P);
    f->beta = dm_alloc_n(f->M, sizeof *f->beta);
    f->rhs = dm_alloc_n(f->M, sizeof *f->rhs);
    f->slot_var = dm_alloc_n(slots, sizeof *f->slot_var);
    for (size_t i = 0; i < slots; i++)
        f->slot_var[i] = c->effect * c->effect;
    f->rest_var = c->rest * c->effect * c->effect;
    double **column[] = {&f->b, &f->exp_b, &f->b_var, &f->b_scale, &f->grad, &f->hess, &f->worth};
    for (size_t k = 0; k < sizeof column / sizeof *column; k++)
        *column[k] = dm_alloc_n(n, sizeof(double));
    f->P[0] = DM_BETA_0;
    for (size_t i = 0; i < slots; i++)
        for (size_t q = 1 + s->offset[i]; q < 1 + s->offset[i + 1]; q++)
            f->P[q * f->M + q] = f->slot_var[i];
    f->news = dm_alloc_n(s->offset[slots] * n, sizeof *f->news);
    for (size_t q = 0; q < s->offset[slots] * n; q++)
        f->news[q] = 1;
    f->pick = dm_alloc_n(n, sizeof *f->pick);
    f->order = dm_alloc_n(n, sizeof *f->order);
    for (size_t i = 0; i < n; i++) {
        f->order[i] = i;
        f->exp_b[i] = 1;
        f->b_var[i] = c->difficulty;
        f->b_scale[i] = 1 / sqrt(1 + .39 * c->difficulty);
    }
    dm_stream r = dm_stream_of(s->o.seed, DM_STREAM_ORDER, 0);
    dm_stream_shuffle(&r, f->order, n);
    f->walk = dm_alloc_n(f->M, sizeof *f->walk);
    f->walk_n = dm_alloc_n(slots, sizeof *f->walk_n);
    f->walk_stream = dm_stream_of(s->o.seed, DM_STREAM_START, 0);
    f->finalist = dm_alloc_n(c->finalists, sizeof *f->finalist);
    f->best = f->completing = DM_NONE;
    return f;
}

static void free_state(void *state)
{
    dm_factor *f = state;
    double *column[] = {f->A,     f->P,     f->beta,    f->rhs,  f->slot_var, f->b,
                        f->exp_b, f->b_var, f->b_scale, f->grad, f->hess,     f->worth};
    for (size_t k = 0; k < sizeof column / sizeof *column; k++)
        free(column[k]);
    free(f->belief);
    free(f->news);
    free(f->pick);
    free(f->order);
    free(f->walk);
    free(f->walk_n);
    free(f->finalist);
    free(f);
}

static void fit(dm_search *s, dm_factor *f)
{
    dm_factor_fit(s, f);
    if (f->best != s->last_best) {
        s->last_best = f->best;
        s->best_since = s->known_told;
    }
}

/* ---- candidates ---- */

/* Balanced random start: every slot walks through permutations of the levels that are there early.
 */
static size_t start_arm(dm_search *s, dm_factor *f)
{
    uint16_t x[256] = {0};
    size_t unit = f->start_units++;
    if (unit == 0)
        return dm_search_arm(s, x); /* the program as written */
    for (size_t i = 0; i < s->o.n_slots; i++) {
        size_t *walk = f->walk + s->offset[i], at = 0;
        if (unit == 1) {
            for (size_t l = 0; l < s->o.levels[i]; l++) {
                size_t q = s->offset[i] + l;
                if (!s->dropped[q] && (l == 0 || !s->has_early || s->early[q]))
                    walk[f->walk_n[i]++] = l;
            }
        }
        at = (unit - 1) % f->walk_n[i];
        if (at == 0)
            dm_stream_shuffle(&f->walk_stream, walk, f->walk_n[i]);
        x[i] = (uint16_t)walk[at];
    }
    return dm_search_arm(s, x);
}

/* The known candidate that beats `fresh` under the same draw of beta, its delta drawn too; DM_NONE
 * if none does. Where levels have effects, the sum of the best ones is hard to beat; where they
 * have none, exploring goes on with what is known to be good. */
static size_t best_of_draw(const dm_search *s, const dm_factor *f, const double *b, double fresh,
                           dm_stream *r)
{
    size_t top = DM_NONE;
    for (size_t j = 0; j < s->n_arms; j++) {
        const dm_arm *a = &s->arms[j];
        const dm_belief *t = &f->belief[j];
        if (!a->known || !dm_search_left(s, j))
            continue;
        double k = f->rest_var / (f->rest_var + t->D), part = b[0];
        for (size_t i = 0; i < s->o.n_slots; i++)
            part += b[1 + s->offset[i] + a->x[i]];
        double v = part + k * (t->z - part), sd = f->c->temperature * sqrt(k * t->D);
        if (v + 6 * sd < fresh) /* no draw will do: a normal one costs more than all else here */
            continue;
        v += sd * dm_stream_normal(r);
        if (v > fresh) {
            fresh = v;
            top = j;
        }
    }
    return top;
}

/* (6): slot by slot the best level of one draw beta + T L'^-1 xi; the lowest level wins ties. */
static size_t thompson(dm_search *s, dm_factor *f, dm_stream *r)
{
    uint16_t x[256] = {0};
    double *b = f->rhs;
    for (size_t i = 0; i < f->M; i++)
        b[i] = f->c->temperature * dm_stream_normal(r);
    dm_factor_backward(f, b);
    for (size_t i = 0; i < f->M; i++)
        b[i] += f->beta[i];
    double fresh = b[0];
    for (size_t i = 0; i < s->o.n_slots; i++)
        for (size_t l = 1, q = s->offset[i] + 1; l < s->o.levels[i]; l++, q++)
            if (!s->dropped[q] && b[1 + q] > b[1 + s->offset[i] + x[i]])
                x[i] = (uint16_t)l;
    for (size_t i = 0; i < s->o.n_slots; i++)
        fresh += b[1 + s->offset[i] + x[i]];
    size_t known = best_of_draw(s, f, b, fresh, r);
    return known == DM_NONE ? dm_search_arm(s, x) : known;
}

/* (7): expected gain of the best from `info` more precision on a candidate `gap` behind it. */
static double knowledge_gradient(double gap, double var, double info)
{
    double sd = sqrt(var - 1 / (1 / var + info)), t = -gap / sd;
    return sd * (t * .5 * erfc(-t * M_SQRT1_2) + exp(-.5 * t * t) * .3989422804014327);
}

static size_t contender(dm_search *s, dm_factor *f)
{
    double first = -INFINITY, second = -INFINITY, most = -1;
    size_t leader = DM_NONE, chosen = DM_NONE;
    for (size_t j = 0; j < s->n_arms; j++) {
        if (!s->arms[j].known)
            continue;
        double v = f->belief[j].f;
        if (v > first) {
            second = first;
            first = v;
            leader = j;
        } else if (v > second) {
            second = v;
        }
    }
    for (size_t j = 0; j < s->n_arms; j++) {
        const dm_arm *a = &s->arms[j];
        const dm_belief *t = &f->belief[j];
        if (!a->known || first - t->f > f->c->contender || t->var <= 0 || !dm_search_left(s, j))
            continue;
        double cell = 1 / (t->D * (double)a->known); /* precision that one cell brings */
        double var = 1 / (1 / t->var + cell * (double)(a->issued - a->told));
        double gain = knowledge_gradient(j == leader ? first - second : first - t->f, var,
                                         cell * (double)f->c->block_max);
        if (gain > most) {
            most = gain;
            chosen = j;
        }
    }
    return chosen;
}

static size_t any_arm(dm_search *s, dm_stream *r)
{
    uint16_t x[256] = {0};
    for (int k = 0; k < TRIES; k++) {
        dm_search_random(s, r, x);
        size_t j = dm_search_arm(s, x);
        if (dm_search_left(s, j))
            return j;
    }
    for (size_t j = 0; j < s->n_arms; j++)
        if (dm_search_left(s, j))
            return j;
    return DM_NONE;
}

static size_t choose_arm(dm_search *s, dm_factor *f, dm_stream *r, dm_search_kind *kind)
{
    size_t j = DM_NONE;
    if (f->start_units < f->c->start || !f->fits) {
        *kind = DM_SEARCH_START;
        for (int k = 0; k < TRIES; k++) /* what was known before is passed over */
            if (dm_search_left(s, j = start_arm(s, f)))
                return j;
        return any_arm(s, r);
    }
    if (f->completing != DM_NONE && dm_search_left(s, f->completing)) {
        *kind = DM_SEARCH_COMPLETE;
        return f->completing;
    }
    *kind = DM_SEARCH_EXPLORE;
    if ((double)s->issued < f->c->explore_until * (double)s->o.budget &&
        dm_stream_uniform(r) < f->c->explore) {
        j = thompson(s, f, r);
        if (dm_search_left(s, j))
            return j;
    }
    j = contender(s, f);
    if (j == DM_NONE)
        return any_arm(s, r);
    *kind = DM_SEARCH_DECIDE;
    return j;
}

/* ---- examples ---- */

/* One more cell of each of the candidate's levels on this example: n of (8). */
static void count(const dm_search *s, dm_factor *f, const dm_arm *a, size_t example)
{
    for (size_t k = 0; k < s->o.n_slots; k++) {
        float *v = &f->news[(s->offset[k] + a->x[k]) * s->o.n_examples + example];
        *v /= 1 + *v; /* 1 / (1 + n) */
    }
}

/* Hands out the m examples of the largest worth above 0, the first in list order among equals. */
static void take_worthiest(dm_search *s, dm_factor *f, dm_unit *u, size_t m)
{
    size_t n = 0;
    for (size_t q = 0; q < s->o.n_examples && m; q++) {
        size_t i = f->order[q], at = n;
        double worth = f->worth[i];
        if (worth <= 0 || (n == m && worth <= f->worth[f->pick[n - 1]]))
            continue;
        if (n < m)
            n++;
        else
            at--;
        for (; at > 0 && f->worth[f->pick[at - 1]] < worth; at--)
            f->pick[at] = f->pick[at - 1];
        f->pick[at] = i;
    }
    for (size_t k = 0; k < n; k++) {
        dm_search_take(s, u, f->pick[k]);
        count(s, f, &s->arms[u->u.candidate], f->pick[k]);
    }
}

/* `informed` of them by all of (8), the rest by S alone, so that a candidate that fails on easy
 * examples is seen. */
static void choose_examples(dm_search *s, dm_factor *f, dm_unit *u, size_t m, size_t informed)
{
    size_t n = s->o.n_examples;
    const dm_arm *a = &s->arms[u->u.candidate];
    double fj = f->belief[u->u.candidate].f, *sum = f->grad, *worth = f->worth;
    memset(sum, 0, n * sizeof *sum);
    for (size_t k = 0; k < s->o.n_slots; k++) {
        size_t q = s->offset[k] + a->x[k];
        const float *news = f->news + q * n;
        double var = f->P[(1 + q) * (f->M + 1)];
        for (size_t i = 0; i < n; i++)
            sum[i] += var * (double)news[i];
    }
    for (size_t i = 0; i < n && informed; i++) {
        double p = dm_sigma((fj - f->b[i]) * f->b_scale[i]), v = p * (1 - p) * f->b_scale[i];
        worth[i] = dm_bit(a->taken, i) ? 0 : sum[i] * v / (1 + v * f->b_var[i]);
    }
    take_worthiest(s, f, u, informed);
    for (size_t i = 0; i < n && u->u.n < m; i++)
        worth[i] = dm_bit(a->taken, i) ? 0 : sum[i];
    take_worthiest(s, f, u, m - u->u.n);
}

/* ---- the end ---- */

/* The best few by the last fit, best first; returns the cells that their rows still miss. */
static size_t name_finalists(const dm_search *s, dm_factor *f)
{
    size_t missing = 0;
    f->n_finalists = 0;
    for (size_t j = 0; j < s->n_arms; j++) {
        if (!s->arms[j].known)
            continue;
        size_t q = f->n_finalists;
        if (q == f->c->finalists) {
            if (q == 0 || f->belief[j].f <= f->belief[f->finalist[q - 1]].f)
                continue;
            q--;
        } else {
            f->n_finalists++;
        }
        for (; q > 0 && f->belief[f->finalist[q - 1]].f < f->belief[j].f; q--)
            f->finalist[q] = f->finalist[q - 1];
        f->finalist[q] = j;
    }
    for (size_t k = 0; k < f->n_finalists; k++)
        missing += dm_search_left(s, f->finalist[k]);
    return missing;
}

static size_t finals_reserve(const dm_search *s, dm_factor *f)
{
    size_t missing = f->fits ? name_finalists(s, f) : f->c->finalists * s->o.n_examples;
    double most = f->c->finals_share * (double)s->o.budget;
    return (double)missing < most ? missing : (size_t)most;
}

static bool is_certain(const dm_search *s, const dm_factor *f)
{
    const dm_arm *best = &s->arms[f->best];
    double raw = dm_search_raw(best);
    if (best->told + best->barred < s->o.n_examples)
        return false;
    if (raw < 1 && (double)s->n_arms < dm_search_space(s))
        return false;
    for (size_t j = 0; j < s->n_arms && raw < 1; j++) {
        const dm_arm *a = &s->arms[j];
        double open = (double)(s->o.n_examples - a->barred - a->told);
        double known = a->known ? dm_search_raw(a) * (double)a->known : 0;
        if (j != f->best && open + (double)a->known > 0 &&
            (known + open) / ((double)a->known + open) > raw)
            return false;
    }
    return true;
}

static void check_stop(dm_search *s, dm_factor *f)
{
    f->completing = DM_NONE;
    if (f->closing != DM_SEARCH_GOES_ON || f->best == DM_NONE)
        return;
    if (s->o.patience && s->known_told - s->best_since >= s->o.patience)
        f->closing = DM_SEARCH_STALE;
    else if (is_certain(s, f))
        f->closing = DM_SEARCH_CERTAIN;
    else if (s->o.stop_at_score <= 1) {
        dm_search_estimate e;
        dm_search_estimate_of(s, f->best, &e);
        if (e.complete && e.raw >= s->o.stop_at_score)
            s->end = DM_SEARCH_SCORE;
        else if (!e.complete && e.mean >= s->o.stop_at_score)
            f->completing = f->best;
    }
}

static dm_search_answer finals(dm_search *s, dm_factor *f, dm_unit *u)
{
    u->u.kind = DM_SEARCH_COMPLETE;
    for (size_t k = 0; k < f->n_finalists; k++) {
        size_t j = u->u.candidate = f->finalist[k], left = dm_search_left(s, j);
        if (left > s->o.budget - s->issued)
            left = s->o.budget - s->issued;
        if (!left)
            continue;
        choose_examples(s, f, u, left < f->c->block_max ? left : f->c->block_max, 0);
        return DM_SEARCH_UNIT;
    }
    if (s->committed < s->next)
        return DM_SEARCH_TELL;
    if (s->known_told > f->fitted)
        fit(s, f);
    s->end = f->closing;
    return DM_SEARCH_DONE;
}

void dm_factor_reopen(dm_search *s)
{
    dm_factor *f = s->state;
    f->closing = s->end = DM_SEARCH_GOES_ON;
    f->n_finalists = 0;
}

/* ---- the method ---- */

static dm_search_answer decide(dm_search *s, dm_unit *u)
{
    dm_factor *f = s->state;
    if (!f->counted) /* what was known before */
        for (size_t j = 0; j < s->n_arms; j++)
            for (size_t k = 0; k < s->arms[j].known; k++)
                count(s, f, &s->arms[j], s->arms[j].example[k]);
    f->counted = true;
    if (f->closing != DM_SEARCH_GOES_ON && f->n_finalists)
        return finals(s, f, u);
    if (s->known_told > f->fitted &&
        (s->known_told - f->fitted) * 100 >= s->known_told * f->c->refit_percent) {
        fit(s, f);
        check_stop(s, f);
        if (s->end != DM_SEARCH_GOES_ON)
            return DM_SEARCH_DONE;
    }
    dm_stream r = dm_stream_of(s->o.seed, DM_STREAM_DECIDE, s->next);
    size_t j = DM_NONE, reserve = finals_reserve(s, f);
    bool open = f->closing == DM_SEARCH_GOES_ON && s->issued + reserve < s->o.budget;
    if (open) {
        j = choose_arm(s, f, &r, &u->u.kind);
        dm_factor_beliefs(s, f);
    }
    if (j == DM_NONE) { /* name the finalists from all that is known */
        if (s->committed < s->next)
            return DM_SEARCH_TELL;
        if (s->known_told > f->fitted) {
            fit(s, f);
            return decide(s, u);
        }
        if (f->closing == DM_SEARCH_GOES_ON)
            f->closing = open ? DM_SEARCH_KNOWN : DM_SEARCH_BUDGET;
        name_finalists(s, f);
        return finals(s, f, u);
    }
    const dm_arm *a = &s->arms[j];
    size_t m = a->issued > f->c->block ? a->issued : f->c->block;
    m = m > f->c->block_max ? f->c->block_max : m;
    m = m > dm_search_left(s, j) ? dm_search_left(s, j) : m;
    m = m > s->o.budget - reserve - s->issued ? s->o.budget - reserve - s->issued : m;
    u->u.candidate = j;
    choose_examples(s, f, u, m, (size_t)((double)m * f->c->informed + dm_stream_uniform(&r)));
    return DM_SEARCH_UNIT;
}

static void commit(dm_search *s, const dm_unit *u)
{
    dm_factor *f = s->state;
    if (s->end != DM_SEARCH_GOES_ON && u->u.id + 1 == s->next) /* stopped: what came late counts */
        fit(s, f);
}

/* Mean over the examples that every complete finalist has; the model's order where there are none.
 */
static size_t best(const dm_search *s)
{
    const dm_factor *f = s->state;
    size_t n_common = 0, top = f->best == DM_NONE ? 0 : f->best, full[64], n = 0;
    if (s->end == DM_SEARCH_GOES_ON || s->end == DM_SEARCH_STOPPED)
        return top;
    uint64_t *common = dm_alloc_n((s->o.n_examples + 63) / 64, sizeof *common);
    memset(common, 0xff, (s->o.n_examples + 63) / 64 * sizeof *common);
    for (size_t k = 0; k < f->n_finalists && n < 64; k++) {
        const dm_arm *a = &s->arms[f->finalist[k]];
        if (a->told + a->barred < s->o.n_examples || !a->known)
            continue;
        full[n++] = f->finalist[k];
        for (size_t w = 0; w < (s->o.n_examples + 63) / 64; w++)
            common[w] &= a->scored[w];
    }
    double most = -1;
    for (size_t k = 0; k < n; k++) {
        const dm_arm *a = &s->arms[full[k]];
        double sum = 0;
        n_common = 0;
        for (size_t q = 0; q < a->known; q++)
            if (dm_bit(common, a->example[q])) {
                sum += a->score[q];
                n_common++;
            }
        if (n_common && sum > most + 1e-9) {
            most = sum;
            top = full[k];
        }
    }
    free(common);
    return top;
}

static void estimate(const dm_search *s, dm_search_estimate *e)
{
    const dm_factor *f = s->state;
    if (!f->fits || e->candidate >= f->n_belief)
        return;
    const dm_arm *a = &s->arms[e->candidate];
    double fj = f->belief[e->candidate].f, mean = 0, slope = 0, n = (double)s->o.n_examples;
    for (size_t i = 0; i < s->o.n_examples; i++)
        if (!dm_bit(a->scored, i)) {
            double p = dm_sigma(fj - f->b[i]);
            mean += p;
            slope += p * (1 - p);
        }
    for (size_t k = 0; k < a->known; k++)
        mean += a->score[k];
    e->logit = fj;
    e->logit_error = sqrt(dm_factor_variance(s, f, e->candidate));
    e->mean = mean / n;
    e->error = e->logit_error * slope / n;
}

const dm_method dm_method_factor = {make, free_state, decide, commit, best, estimate, true};
