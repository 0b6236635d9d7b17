/* Fits the model of (1)-(5): block Newton steps to the mode, alternating between the examples'
 * difficulties and the candidates, new cells far more often than old ones; then a Gaussian around
 * it. delta is integrated out, so the matrix is M x M whatever the number of candidates. All sums
 * run in a fixed order. */
#include "search/factor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STEP_B    1.5 /* largest Newton step of a difficulty */
#define STEP_F    3.0 /* of a candidate */
#define LEAST     .05 /* least information of a candidate's cells */
#define FIRST     4   /* fits that start from far away: */
#define SETTLED   .02 /* a candidate that moved by less is not looked at again in this fit */
#define FEW       .1  /* of all cells: where those that moved have fewer, difficulties stand */
#define FIRST_RUN 8   /* passes they get at least */

static double clamp(double v, double most)
{
    return v > most ? most : v < -most ? -most : v;
}

/* exp(x) = 2^k exp(r), |r| <= ln 2 / 2; Taylor to r^8 is exact to 3e-10, far below what scores can
 * tell; by arithmetic alone. */
static double exponential(double x) /* -700 <= x <= 700 */
{
    double k = (x * 1.4426950408889634 + 0x1.8p52) - 0x1.8p52; /* the nearest whole number */
    double r = (x - k * 0.693147180369123816490) - k * 1.90821492927058770002e-10;
    double p = 1 + r * (1.0 / 8);
    p = 1 + r * (1.0 / 7) * p;
    p = 1 + r * (1.0 / 6) * p;
    p = 1 + r * (1.0 / 5) * p;
    p = 1 + r * (1.0 / 4) * p;
    p = 1 + r * (1.0 / 3) * p;
    p = 1 + r * (1.0 / 2) * p;
    p = 1 + r * p;
    union {
        double d;
        uint64_t u;
    } two = {.d = k + (1023 + 0x1p52)}; /* k + 1023 in the low bits, shifted to the exponent */
    two.u <<= 52;
    return p * two.d;
}

double dm_sigma(double t)
{
    return 1 / (1 + exponential(-clamp(t, 700)));
}

#define SIDE 8   /* cells side by side */
#define FAR  300 /* |f|, |b| beyond which sigma is 0 or 1 in any sum */

/* p[i] = sigma(f - b of the arm's cell from + i) = 1 / (1 + exp(-f) exp(b)), for the cells that
 * there are. No call and no branch, so that a fixed number of them is done side by side. */
static size_t side(const dm_factor *f, const dm_arm *a, double exp_f, size_t from, double p[SIDE])
{
    double t[SIDE] = {0};
    size_t n = a->known - from < SIDE ? a->known - from : SIDE;
    for (size_t i = 0; i < n; i++)
        t[i] = f->exp_b[a->example[from + i]];
    for (size_t i = 0; i < SIDE; i++)
        p[i] = 1 / (1 + exp_f * t[i]);
    return n;
}

/* Four partial sums: faster, and still one fixed order. */
static double dot(const double *a, const double *b, size_t n)
{
    double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    size_t i = 0;
    for (; i + 3 < n; i += 4) {
        s0 += a[i] * b[i];
        s1 += a[i + 1] * b[i + 1];
        s2 += a[i + 2] * b[i + 2];
        s3 += a[i + 3] * b[i + 3];
    }
    for (; i < n; i++)
        s0 += a[i] * b[i];
    return (s0 + s1) + (s2 + s3);
}

static void cholesky(double *L, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double *row = L + i * n;
        for (size_t j = 0; j < i; j++)
            row[j] = (row[j] - dot(row, L + j * n, j)) / L[j * n + j];
        double t = row[i] - dot(row, row, i);
        row[i] = sqrt(t > 1e-12 ? t : 1e-12);
    }
}

static void forward(const double *L, double *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (x[i] - dot(L + i * n, x, i)) / L[i * n + i];
}

void dm_factor_backward(const dm_factor *f, double *x)
{
    for (size_t i = f->M; i-- > 0;) {
        const double *row = f->A + i * f->M;
        double t = x[i] /= row[i];
        for (size_t k = 0; k < i; k++)
            x[k] -= t * row[k];
    }
}

static double additive(const dm_search *s, const dm_factor *f, const uint16_t *x)
{
    double t = f->beta[0];
    for (size_t i = 0; i < s->o.n_slots; i++)
        t += f->beta[1 + s->offset[i] + x[i]];
    return t;
}

void dm_factor_beliefs(dm_search *s, dm_factor *f)
{
    if (f->n_belief == s->n_arms)
        return;
    f->belief = dm_grow(f->belief, s->n_arms, sizeof *f->belief);
    for (; f->n_belief < s->n_arms; f->n_belief++) {
        double part = additive(s, f, s->arms[f->n_belief].x);
        f->belief[f->n_belief] = (dm_belief){0, 1 / LEAST, part, part, 0, false};
    }
}

/* One Newton step for every example's difficulty, given f. */
static void step_examples(dm_search *s, dm_factor *f)
{
    size_t n = s->o.n_examples;
    memset(f->grad, 0, n * sizeof *f->grad);
    memset(f->hess, 0, n * sizeof *f->hess);
    for (size_t j = 0; j < s->n_arms; j++) {
        const dm_arm *a = &s->arms[j];
        double exp_f = exponential(-clamp(f->belief[j].f, FAR)), p[SIDE];
        for (size_t k = 0, m; k < a->known; k += m) {
            m = side(f, a, exp_f, k, p);
            for (size_t q = 0; q < m; q++) {
                size_t i = a->example[k + q];
                f->grad[i] += p[q] - a->score[k + q];
                f->hess[i] += p[q] * (1 - p[q]);
            }
        }
    }
    for (size_t i = 0; i < n; i++) {
        double h = f->hess[i] + 1 / f->c->difficulty;
        f->b[i] += clamp((f->grad[i] - f->b[i] / f->c->difficulty) / h, STEP_B);
        f->b_var[i] = 1 / h;
        f->exp_b[i] = exponential(clamp(f->b[i], FAR));
    }
}

/* (4); an example whose difficulty is uncertain says less (u). */
static void observe(const dm_factor *f, const dm_arm *a, dm_belief *t)
{
    double gain = 0, info = 0, p[SIDE], u[SIDE], exp_f = exponential(-clamp(t->f, FAR));
    for (size_t k = 0, n; k < a->known; k += n) {
        double b_var[SIDE] = {0};
        n = side(f, a, exp_f, k, p);
        for (size_t q = 0; q < n; q++)
            b_var[q] = f->b_var[a->example[k + q]];
        for (size_t q = 0; q < SIDE; q++)
            u[q] = 1 / (1 + p[q] * (1 - p[q]) * b_var[q]);
        for (size_t q = 0; q < n; q++) {
            gain += (a->score[k + q] - p[q]) * u[q];
            info += p[q] * (1 - p[q]) * u[q];
        }
    }
    if (info < LEAST)
        info = LEAST;
    t->z = t->f + clamp(gain / info, STEP_F);
    t->D = 1 / info;
}

/* Ridge regression of z on levels: A = diag(1 / prior) + sum phi phi' / (w + D). all: every
 * candidate's cells are looked at anew, else those of candidates that moved. */
static void regress(dm_search *s, dm_factor *f, bool all)
{
    size_t M = f->M, S = s->o.n_slots;
    memset(f->A, 0, M * M * sizeof *f->A);
    memset(f->rhs, 0, M * sizeof *f->rhs);
    f->A[0] = 1 / DM_BETA_0;
    for (size_t i = 0; i < S; i++)
        for (size_t q = 1 + s->offset[i]; q < 1 + s->offset[i + 1]; q++)
            f->A[q * M + q] = 1 / f->slot_var[i];
    size_t row[257] = {0};
    for (size_t j = 0; j < s->n_arms; j++) {
        const dm_arm *a = &s->arms[j];
        dm_belief *t = &f->belief[j];
        if (!a->known)
            continue;
        if (all || t->moved)
            observe(f, a, t);
        double q = 1 / (f->rest_var + t->D);
        for (size_t i = 0; i < S; i++)
            row[i + 1] = 1 + s->offset[i] + a->x[i];
        for (size_t i = 0; i <= S; i++) {
            f->rhs[row[i]] += q * t->z;
            for (size_t k = 0; k <= i; k++)
                f->A[row[i] * M + row[k]] += q;
        }
    }
    cholesky(f->A, M);
    forward(f->A, f->rhs, M);
    dm_factor_backward(f, f->rhs);
    memcpy(f->beta, f->rhs, M * sizeof *f->beta);
}

/* Returns how many cells the candidates have that moved. */
static size_t update_beliefs(dm_search *s, dm_factor *f)
{
    size_t cells = 0;
    for (size_t j = 0; j < s->n_arms; j++) {
        dm_belief *t = &f->belief[j];
        double before = t->f;
        t->part = additive(s, f, s->arms[j].x);
        t->f = t->part; /* (5) */
        if (s->arms[j].known)
            t->f += (t->z - t->part) * f->rest_var / (f->rest_var + t->D);
        t->moved = fabs(t->f - before) > SETTLED;
        cells += t->moved ? s->arms[j].known : 0;
    }
    return cells;
}

/* P = A^-1 from the Cholesky factor: columns of L^-1 first (kept as rows, upper), then P = L'^-1
 * L^-1; the lower half of P. */
static void invert(dm_factor *f)
{
    size_t M = f->M;
    double *P = f->P;
    for (size_t c = 0; c < M; c++) { /* row c of P: column c of L^-1, from c on */
        double *x = P + c * M;
        x[c] = 1 / f->A[c * M + c];
        for (size_t i = c + 1; i < M; i++)
            x[i] = -dot(f->A + i * M + c, x + c, i - c) / f->A[i * M + i];
    }
    for (size_t i = 0; i < M; i++)
        for (size_t k = 0; k <= i; k++) /* entries before i are not read again but as P */
            P[i * M + k] = dot(P + i * M + i, P + k * M + i, M - i);
}

/* phi' A^-1 phi */
static double additive_variance(const dm_search *s, const dm_factor *f, const uint16_t *x)
{
    double sum = f->P[0];
    for (size_t i = 0; i < s->o.n_slots; i++) {
        const double *row = f->P + (1 + s->offset[i] + x[i]) * f->M;
        double cross = row[0];
        for (size_t k = 0; k < i; k++)
            cross += row[1 + s->offset[k] + x[k]];
        sum += 2 * cross + row[1 + s->offset[i] + x[i]];
    }
    return sum;
}

/* One EM step for (3)'s variances: v_s from what its levels turned out to be, w from the
 * candidates' deviations from the sum of their parts. */
static void learn_scales(dm_search *s, dm_factor *f)
{
    const dm_search_constants *c = f->c;
    for (size_t i = 0; i < s->o.n_slots && c->trust_effect > 0; i++) {
        double sum = c->trust_effect * c->effect * c->effect;
        for (size_t q = 1 + s->offset[i]; q < 1 + s->offset[i + 1]; q++)
            sum += f->beta[q] * f->beta[q] + f->P[q * f->M + q];
        f->slot_var[i] = sum / (c->trust_effect + (double)s->o.levels[i]);
    }
    if (c->trust_rest <= 0)
        return;
    double n = c->trust_rest, sum = n * c->rest * c->effect * c->effect;
    for (size_t j = 0; j < s->n_arms; j++) {
        const dm_belief *t = &f->belief[j];
        if (!s->arms[j].known)
            continue;
        double k = f->rest_var / (f->rest_var + t->D), d = k * (t->z - t->part);
        sum += d * d + k * t->D + k * k * additive_variance(s, f, s->arms[j].x);
        n++;
    }
    f->rest_var = sum / n;
}

double dm_factor_variance(const dm_search *s, const dm_factor *f, size_t arm)
{
    double p = additive_variance(s, f, s->arms[arm].x);
    if (!s->arms[arm].known)
        return p + f->rest_var;
    double D = f->belief[arm].D, k = f->rest_var / (f->rest_var + D);
    return (1 - k) * (1 - k) * p + k * D;
}

void dm_factor_fit(dm_search *s, dm_factor *f)
{
    dm_factor_beliefs(s, f);
    size_t passes = f->c->passes;
    if (f->fits++ < FIRST && passes < FIRST_RUN)
        passes = FIRST_RUN;
    bool all = true;
    for (size_t k = 0; k < passes; k++) {
        if (all)
            step_examples(s, f);
        regress(s, f, all);
        all = (double)update_beliefs(s, f) > FEW * (double)s->known_told;
    }
    for (size_t i = 0; i < s->o.n_examples; i++)
        f->b_scale[i] = 1 / sqrt(1 + .39 * f->b_var[i]);
    f->fitted = s->known_told;
    invert(f);
    learn_scales(s, f);
    f->best = DM_NONE;
    for (size_t j = 0; j < s->n_arms; j++)
        if (s->arms[j].known && (f->best == DM_NONE || f->belief[j].f > f->belief[f->best].f))
            f->best = j;
    for (size_t j = 0; j < s->n_arms; j++)
        if (s->arms[j].known && f->belief[f->best].f - f->belief[j].f <= f->c->contender)
            f->belief[j].var = dm_factor_variance(s, f, j);
}
