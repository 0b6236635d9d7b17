/* What the files of this room share. */
#ifndef DM_GEPA_INSIDE_H
#define DM_GEPA_INSIDE_H

#include "gepa/gepa.h"

/* ---- the order in which CPython iterates over a set of small whole numbers (A.11) ---- */

typedef struct dm_gepa_set {
    size_t *slots; /* [size] number + 1; 0: free */
    size_t size, n;
} dm_gepa_set;

dm_gepa_set dm_gepa_set_new(dm_arena *a);
void dm_gepa_set_add(dm_arena *a, dm_gepa_set *s, size_t x);
bool dm_gepa_set_has(const dm_gepa_set *s, size_t x);
dm_gepa_set dm_gepa_set_copy(dm_arena *a, const dm_gepa_set *s);                       /* set(s) */
dm_gepa_set dm_gepa_set_meet(dm_arena *a, const dm_gepa_set *x, const dm_gepa_set *y); /* x & y */
/* Its numbers in its order; the number of them is s->n. */
const size_t *dm_gepa_set_items(dm_arena *a, const dm_gepa_set *s);

/* ---- fronts (A.4) ---- */

/* One for each validation row: the best score so far and the candidates that have it. */
typedef struct dm_gepa_front {
    double best;
    dm_gepa_set who;
} dm_gepa_front;

/* out[n]: the fronts without dominated candidates. mean: by candidate. */
void dm_gepa_undominated(dm_arena *a, const dm_gepa_set *fronts, size_t n, const double *mean,
                         dm_gepa_set *out);
/* The candidates of all fronts, in the order of a set that they are added to one by one. */
const size_t *dm_gepa_survivors(dm_arena *a, const dm_gepa_set *fronts, size_t n,
                                const double *mean, size_t *n_out);
/* Draws a parent: each undominated candidate is in the draw once for each of its fronts. */
size_t dm_gepa_choose_pareto(dm_arena *a, dm_pyrandom *stream, const dm_gepa_set *fronts, size_t n,
                             const double *mean);

/* ---- minibatches (A.4) ---- */

typedef struct dm_gepa_sampler {
    size_t n, b;      /* rows in all, rows of a minibatch */
    size_t *shuffled; /* [length], a multiple of b; NULL: nothing was shuffled yet */
    size_t length, epoch, iteration, nth;
    bool begun;
} dm_gepa_sampler;

/* b rows for the iteration; the next b when it is asked again in the same iteration. */
const size_t *dm_gepa_minibatch(dm_arena *a, dm_gepa_sampler *s, dm_pyrandom *stream,
                                size_t iteration);

/* ---- the state of a search ---- */

typedef struct dm_gepa_pair { /* of a merge that was tried */
    size_t i, j, ancestor;
    const size_t *sources; /* [n_components] */
} dm_gepa_pair;

typedef struct dm_gepa_cells { /* runs of a text, by row; as many as there are, of however many rows
                                */
    struct dm_gepa_cell {
        size_t row;
        dm_gepa_run run;
    } * all; /* [n] */
    size_t n, cap;
    uint32_t *places; /* [size] number + 1 in all; 0: free */
    size_t size;
} dm_gepa_cells;

typedef struct dm_gepa_known { /* what is kept of a text */
    const dm_str *texts;
    /* Of the training set, of the validation set. Where scores are kept by the number of the row,
     * the first is for both. */
    dm_gepa_cells cells[2];
} dm_gepa_known;

typedef struct dm_gepa {
    dm_arena *arena;
    const dm_gepa_options *o;
    const dm_gepa_world *world;
    dm_pyrandom stream;            /* selection; minibatches and merge too, unless wide */
    dm_pyrandom own[2];            /* of minibatches and of merges, when wide */
    dm_pyrandom *batches, *merger; /* theirs */
    dm_pyrandom picks;             /* which call of a predictor is shown */
    dm_gepa_sampler sampler;
    dm_gepa_candidate *candidates;
    size_t n, cap;
    dm_gepa_front *fronts; /* [n_val] */
    size_t merges_due, merges;
    bool fresh; /* the iteration before accepted a proposal */
    dm_gepa_pair *tried;
    size_t n_tried, cap_tried;
    dm_gepa_known *known;
    size_t n_known, cap_known;
    size_t failed_in_a_row;
    dm_gepa_result result;
} dm_gepa;

double *dm_gepa_means(const dm_gepa *g);                       /* [n] in the arena */
double *dm_gepa_values(const dm_gepa *g);                      /* likewise */
double dm_gepa_cost_of(const dm_gepa *g, const dm_str *texts); /* of their length, 0 to 1 */
size_t dm_gepa_best(const double *mean, size_t n);             /* the first of the largest */
dm_gepa_set *dm_gepa_front_copies(const dm_gepa *g);
bool dm_gepa_same_texts(const dm_gepa *g, const dm_str *x, const dm_str *y);
double dm_gepa_sum(const dm_gepa_run *runs, size_t n); /* from left to right (A.3) */
/* The sums of two on the same rows: when wide, of those on which neither is absent. */
void dm_gepa_sums(const dm_gepa *g, const dm_gepa_run *x, const dm_gepa_run *y, size_t n,
                  double *of_x, double *of_y);

/* The proposals of an iteration, at most so many, a parent and a minibatch each; it->proposals is
 * set. */
dm_gepa_proposal *dm_gepa_sample(dm_gepa *g, dm_gepa_iteration *it, size_t most);
dm_gepa_skip dm_gepa_skip_of(const dm_gepa *g, const dm_gepa_proposal *p); /* its parent has run */
/* Another minibatch for a proposal; its parent has not run on it. */
void dm_gepa_draw_again(dm_gepa *g, const dm_gepa_iteration *it, dm_gepa_proposal *p);
/* Once the parents have run: which are skipped, which components are to be changed, and what a
 * reflection is shown. */
void dm_gepa_prepare(dm_gepa *g, dm_gepa_proposal *all, size_t n);
/* Asks for the texts. */
dm_status dm_gepa_reflect(dm_gepa *g, const dm_gepa_iteration *it, dm_gepa_proposal *all,
                          dm_error *err);

enum { DM_GEPA_TEST_ROWS = 5 };

/* The rows that a merge is tested on, chosen by the scores of its two parents on n_rows: up to
 * two where the first is better, up to two where the second is, up to two where they are equal,
 * then any others (A.7). */
void dm_gepa_merge_rows(dm_arena *a, dm_pyrandom *stream, const double *x, const double *y,
                        size_t n_rows, size_t ids[DM_GEPA_TEST_ROWS]);

/* ---- runs, and what is kept of them (cells.c) ---- */

/* rows: NULL: all rows of the validation set, except those whose score is kept by number. */
dm_gepa_batch dm_gepa_batch_of(dm_gepa *g, const dm_str *texts, bool val, const size_t *rows,
                               size_t n);
/* Runs all batches. Where a text is run on a row once, only what is missing is run. */
dm_status dm_gepa_evaluate(dm_gepa *g, dm_gepa_batch *batches, size_t n, dm_error *err);
/* Runs a merge on the rows that it is tested on. Unlike minibatches these are looked up where
 * scores are kept by number. */
dm_status dm_gepa_evaluate_merge(dm_gepa *g, dm_gepa_batch *b, dm_error *err);
/* The rows of the training set that the text is known to have failed, ascending, when wide. */
const size_t *dm_gepa_known_failures(dm_gepa *g, const dm_str *texts, size_t *n);
void dm_gepa_keep_scores(dm_gepa *g, const dm_gepa_batch *b); /* where they are kept */
/* The scores of a whole validation, those that were kept before among them. */
const double *dm_gepa_validation_scores(dm_gepa *g, const dm_gepa_batch *b);

/* Builds a merge of two undominated candidates that have not been merged like this before. It is
 * not tested yet. false: no pair was found. *no_weight: the package would end with an error
 * here. */
bool dm_gepa_find_merge(dm_gepa *g, dm_gepa_merge *m, const dm_str **texts, bool *no_weight);
/* It is as good as the better of its two on the rows that it was tested on (m->after). */
bool dm_gepa_merge_is_good(const dm_gepa *g, const dm_gepa_merge *m);

#endif
