/* Inside DM_SEARCH_FACTOR: the model of (1)-(5) in dspy_mpi/search.h and what is decided from it.
 */
#ifndef DM_SEARCH_FACTOR_H
#define DM_SEARCH_FACTOR_H

#include "search/core.h"

#define DM_BETA_0 4.0 /* prior variance of beta_0 */

typedef struct dm_belief { /* about one candidate; logits */
    double z, D;           /* its cells as one Gaussian observation (4) and its variance */
    double f, part;        /* posterior mean (5) and its additive part p_j */
    double var;            /* posterior variance of f at the last fit; contenders only */
    bool moved;            /* f, by the last pass of a fit */
} dm_belief;

typedef struct dm_factor {
    const dm_search_constants *c;
    size_t M;          /* 1 + all levels: beta_0, then slot by slot */
    double *A;         /* [M][M] its Cholesky factor, lower */
    double *P;         /* [M][M] its inverse A^-1, lower */
    double *beta;      /* [M] */
    double *rhs;       /* [M] scratch */
    double *slot_var;  /* [n_slots] v_s of (3) */
    double rest_var;   /* w of (3) */
    double *b, *b_var; /* [n_examples] difficulty, its variance */
    double *exp_b;     /* [n_examples] exp(b) */
    double
        *b_scale; /* [n_examples] 1 / sqrt(1 + .39 b_var): a logistic blurred by the difficulty */
    double *grad, *hess, *worth; /* [n_examples] scratch */
    float *news;                 /* [all levels][n_examples] 1 / (1 + n) of (8) */
    bool counted;                /* the cells that were known before are in it */
    size_t *order;               /* [n_examples] shuffled */
    size_t *pick;                /* [n_examples] scratch */
    dm_belief *belief;           /* [arms] */
    size_t n_belief;
    size_t fitted, fits; /* cells known at the last fit, their number */
    size_t best;         /* largest f among arms with a known cell; DM_NONE before the first fit */
    size_t start_units;  /* balanced units handed out */
    size_t *walk;        /* [all levels] each slot a permutation of its early levels */
    size_t *walk_n;      /* [n_slots] how many these are */
    dm_stream walk_stream;
    size_t *finalist; /* [n_finalists] best first, by the last fit */
    size_t n_finalists;
    dm_search_end closing; /* the finals run, for this reason */
    size_t completing;     /* stop_at_score is in sight of this arm, or DM_NONE */
} dm_factor;

void dm_factor_fit(dm_search *s, dm_factor *f);
void dm_factor_beliefs(dm_search *s, dm_factor *f); /* room and a first belief for new arms */
void dm_factor_reopen(dm_search *s);                /* one that has ended goes on */
double dm_factor_variance(const dm_search *s, const dm_factor *f,
                          size_t arm); /* of f_j, from the last fit */
/* x = L'^-1 x */
void dm_factor_backward(const dm_factor *f, double *x);
double dm_sigma(double t); /* 1 / (1 + exp(-t)), by arithmetic alone: the same bits with any libm */

#endif
