/* What the optimizer needs of the search beyond the public face: DSPy's MIPROv2 search as a
 * schedule (contract 8.4, Search), and the size of a unit. */
#ifndef DM_SEARCH_SCHEDULE_H
#define DM_SEARCH_SCHEDULE_H

#include "dspy_mpi/search.h"

#include "base/random.h"

typedef enum dm_trial_kind {
    DM_TRIAL_DEFAULT,   /* the program as written on all examples, Optuna's trial 0 */
    DM_TRIAL_MINIBATCH, /* a drawn candidate on a minibatch */
    DM_TRIAL_FULL,      /* the best mean among minibatches so far on all examples, an added trial */
    DM_TRIAL_WHOLE      /* a drawn candidate on all examples (no minibatches) */
} dm_trial_kind;

typedef struct dm_trial {
    size_t number; /* Optuna's; DSPy logs number + 1 */
    dm_trial_kind kind;
    size_t candidate;
    double score;  /* round(100 * sum / n, 2) over the examples that were answered; 0 if none was */
    size_t n;      /* answered */
    bool improved; /* became the best: strictly greater than every full score before */
} dm_trial;

/* Trials told so far, in order; borrowed until the next ask or tell. Methods mipro, tpe and random.
 */
const dm_trial *dm_search_trials(const dm_search *s, size_t *n);
/* Minibatches are drawn from this stream as it stands (copied); before the first ask. Else from
 * Random(seed). mipro only. */
void dm_search_use_random(dm_search *s, const dm_pyrandom *r);
/* The program as written is no choice of levels: the sampler is told its score as that of level 0
 * in all slots, and a draw of these is another candidate. Before the first ask. mipro only. */
void dm_search_written_apart(dm_search *s);
/* DSPy's number of trials T for a size of program (contract 8.4 b): predictors P, demo sets n. */
size_t dm_mipro_trials(size_t predictors, size_t sets, bool zero_shot);

/* DM_SEARCH_FACTOR's units for a budget and about that many examples in flight: cells of a first
 * unit, 2 to 4; of a later one, twice as many, but two where a window of them would be a twentieth
 * of the budget, since what is in flight is decided without its answer; and how many units ahead.
 * 1 <= window, block <= block_max. */
void dm_search_units(size_t budget, size_t in_flight, size_t *block, size_t *block_max,
                     size_t *window);

#endif
