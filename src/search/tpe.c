#include "search/tpe.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STARTUP   10 /* n_startup_trials */
#define EI_DRAWS  24 /* n_ei_candidates */
#define BELOW_MAX 25 /* default_gamma: at most so many good trials */
#define NEWEST    25 /* default_weights: the newest trials that weigh 1 */

typedef struct trial {
    uint16_t *x; /* [n] */
    double value;
    bool complete;
} trial;

struct dm_tpe {
    size_t n;
    size_t *choices; /* [n] */
    size_t *active;  /* [n_active] parameters with a choice, sorted by name */
    size_t n_active;
    dm_nprandom startup, model; /* Optuna keeps two generators, both seeded with the seed */
    trial *trials;
    size_t n_trials, cap;
};

/* A mixture of m + 1 kernels over the joint choices: one an observed trial, oldest first, then the
 * prior. table[q] is [m + 1][choices of active[q]]. */
typedef struct parzen {
    size_t m;
    size_t *trial;   /* [m] */
    double *weight;  /* [m + 1] */
    double **table;  /* [n_active] */
    double *scratch; /* [m + 1] */
} parzen;

double dm_numpy_sum(const double *a, size_t n)
{
    double sum = 0, r[8];
    size_t i = 0;
    if (n < 8) {
        for (; i < n; i++)
            sum += a[i];
        return sum;
    }
    if (n > 128) {
        size_t half = n / 2 - n / 2 % 8;
        return dm_numpy_sum(a, half) + dm_numpy_sum(a + half, n - half);
    }
    for (; i < 8; i++)
        r[i] = a[i];
    for (; i < n - n % 8; i += 8)
        for (size_t k = 0; k < 8; k++)
            r[k] += a[i + k];
    sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
    for (; i < n; i++)
        sum += a[i];
    return sum;
}

dm_tpe *dm_tpe_new(size_t n, const size_t *choices, const char *const *names, uint32_t seed)
{
    dm_tpe *t = dm_alloc(sizeof *t);
    t->n = n;
    t->choices = dm_alloc_n(n, sizeof *t->choices);
    t->active = dm_alloc_n(n, sizeof *t->active);
    for (size_t p = 0; p < n; p++) {
        t->choices[p] = choices[p];
        if (choices[p] < 2)
            continue;
        size_t q = t->n_active++;
        for (; q > 0 && strcmp(names[t->active[q - 1]], names[p]) > 0; q--)
            t->active[q] = t->active[q - 1];
        t->active[q] = p;
    }
    dm_nprandom_seed(&t->startup, seed);
    dm_nprandom_seed(&t->model, seed);
    return t;
}

void dm_tpe_free(dm_tpe *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n_trials; i++)
        free(t->trials[i].x);
    free(t->trials);
    free(t->choices);
    free(t->active);
    free(t);
}

static size_t new_trial(dm_tpe *t, const uint16_t *x)
{
    t->trials = dm_room(t->trials, t->n_trials, &t->cap, sizeof *t->trials);
    t->trials[t->n_trials] = (trial){dm_copy_bytes(x, t->n * sizeof *x), 0, false};
    return t->n_trials++;
}

void dm_tpe_tell(dm_tpe *t, size_t number, double value)
{
    t->trials[number].value = value;
    t->trials[number].complete = true;
}

size_t dm_tpe_add(dm_tpe *t, const uint16_t *x, double value)
{
    size_t number = new_trial(t, x);
    dm_tpe_tell(t, number, value);
    return number;
}

/* RandomSampler: one uniform a choice, the first largest wins. */
static void draw_startup(dm_tpe *t, uint16_t *x)
{
    for (size_t p = 0; p < t->n; p++) {
        double top = -1;
        for (size_t c = 0; t->choices[p] > 1 && c < t->choices[p]; c++) {
            double u = dm_nprandom_double(&t->startup);
            if (u > top) {
                top = u;
                x[p] = (uint16_t)c;
            }
        }
    }
}

/* Weights of 8.4.1 step 2: the oldest ramp up from 1/m (numpy.linspace), the newest 25 weigh 1, so
 * does the prior; divided by their sum. */
static void weigh(double *w, size_t m)
{
    size_t ramp = m > NEWEST ? m - NEWEST : 0;
    for (size_t i = 0; i <= m; i++)
        w[i] = 1;
    for (size_t i = 0; i < ramp; i++)
        w[i] = 1.0 / (double)m +
               (ramp > 1 ? (double)i * ((1 - 1.0 / (double)m) / (double)(ramp - 1)) : 0);
    if (ramp > 1)
        w[ramp - 1] = 1;
    double sum = dm_numpy_sum(w, m + 1);
    for (size_t i = 0; i <= m; i++)
        w[i] /= sum;
}

/* Estimator of the trials listed in `trials` (in number order). */
static void parzen_build(parzen *z, dm_arena *a, const dm_tpe *t, size_t *trials, size_t m)
{
    z->m = m;
    z->trial = trials;
    z->weight = dm_arena_alloc_n(a, m + 1, sizeof *z->weight);
    z->scratch = dm_arena_alloc_n(a, m + 1, sizeof *z->scratch);
    z->table = dm_arena_alloc_n(a, t->n_active, sizeof *z->table);
    weigh(z->weight, m);
    for (size_t q = 0; q < t->n_active; q++) {
        size_t p = t->active[q], n = t->choices[p];
        double *row = z->table[q] = dm_arena_alloc_n(a, (m + 1) * n, sizeof *row);
        for (size_t k = 0; k <= m; k++, row += n) {
            for (size_t c = 0; c < n; c++)
                row[c] = 1.0 / (double)(m + 1);
            if (k < m)
                row[t->trials[trials[k]].x[p]] += 1;
            double sum = dm_numpy_sum(row, n);
            for (size_t c = 0; c < n; c++)
                row[c] /= sum;
        }
    }
}

static double parzen_log(const parzen *z, const dm_tpe *t, const uint16_t *x)
{
    double top = -INFINITY;
    for (size_t k = 0; k <= z->m; k++) {
        double v = 0;
        for (size_t q = 0; q < t->n_active; q++) {
            size_t p = t->active[q];
            v += log(z->table[q][k * t->choices[p] + x[p]]);
        }
        z->scratch[k] = v + log(z->weight[k]);
        top = fmax(top, z->scratch[k]);
    }
    for (size_t k = 0; k <= z->m; k++)
        z->scratch[k] = exp(z->scratch[k] - top);
    return top + log(dm_numpy_sum(z->scratch, z->m + 1));
}

/* 24 joint draws from the good trials' estimator: y[draw][parameter]. */
static void draw_below(dm_tpe *t, dm_arena *a, const parzen *below, uint16_t *y)
{
    size_t kernel[EI_DRAWS];
    double *cdf = dm_arena_alloc_n(a, below->m + 1, sizeof *cdf), sum = 0;
    for (size_t k = 0; k <= below->m; k++)
        cdf[k] = sum += below->weight[k];
    for (size_t e = 0; e < EI_DRAWS; e++) {
        double u = dm_nprandom_double(&t->model);
        kernel[e] = 0;
        while (kernel[e] < below->m && cdf[kernel[e]] / sum <= u)
            kernel[e]++;
    }
    for (size_t q = 0; q < t->n_active; q++)
        for (size_t e = 0; e < EI_DRAWS; e++) {
            size_t p = t->active[q], n = t->choices[p], choice = 0;
            const double *row = below->table[q] + kernel[e] * n;
            double u = dm_nprandom_double(&t->model), run = 0;
            for (size_t c = 0; c < n; c++) {
                run += row[c];
                choice += (c + 1 == n ? 1.0 : run) < u;
            }
            y[e * t->n + p] = (uint16_t)choice;
        }
}

/* Complete trials into good and others, both in number order; running ones are among the others. */
static size_t split(const dm_tpe *t, size_t complete, size_t *below, size_t *above, size_t *n_above)
{
    size_t want = (complete + 9) / 10, n_below = 0; /* ceil(0.1 n) */
    if (want > BELOW_MAX)
        want = BELOW_MAX;
    for (size_t i = 0; i < t->n_trials; i++) {
        size_t better = 0; /* larger value, or as large and older */
        for (size_t j = 0; j < t->n_trials && t->trials[i].complete; j++)
            better +=
                t->trials[j].complete && (t->trials[j].value > t->trials[i].value ||
                                          (t->trials[j].value == t->trials[i].value && j < i));
        if (t->trials[i].complete && better < want)
            below[n_below++] = i;
        else
            above[(*n_above)++] = i;
    }
    return n_below;
}

static void draw_model(dm_tpe *t, size_t complete, uint16_t *x)
{
    dm_arena *a = dm_arena_new(0);
    size_t *below = dm_arena_alloc_n(a, t->n_trials, sizeof *below), n_above = 0;
    size_t *above = dm_arena_alloc_n(a, t->n_trials, sizeof *above);
    size_t n_below = split(t, complete, below, above, &n_above), best = 0;
    parzen good, rest;
    parzen_build(&good, a, t, below, n_below);
    parzen_build(&rest, a, t, above, n_above);
    uint16_t *y = dm_arena_alloc_n(a, EI_DRAWS * t->n, sizeof *y); /* [draw][parameter] */
    draw_below(t, a, &good, y);
    double top = -INFINITY;
    for (size_t e = 0; e < EI_DRAWS; e++) { /* the acquisition log l(x) - log g(x) */
        double v = parzen_log(&good, t, y + e * t->n) - parzen_log(&rest, t, y + e * t->n);
        if (v > top) {
            top = v;
            best = e;
        }
    }
    memcpy(x, y + best * t->n, t->n * sizeof *x);
    dm_arena_free(a);
}

size_t dm_tpe_ask(dm_tpe *t, uint16_t *x)
{
    size_t complete = 0;
    for (size_t i = 0; i < t->n_trials; i++)
        complete += t->trials[i].complete;
    memset(x, 0, t->n * sizeof *x);
    if (complete < STARTUP)
        draw_startup(t, x);
    else if (t->n_active)
        draw_model(t, complete, x);
    return new_trial(t, x);
}
