/* Optuna's TPESampler(seed, multivariate=True) over categorical parameters, to maximize: the same
 * draws, trial for trial, as optuna 3.4 to 5.0 (contract 8.4.1). Bergstra et al., Algorithms
 * for Hyper-Parameter Optimization (2011); Falkner et al. (2018) for the joint kernels. */
#ifndef DM_SEARCH_TPE_H
#define DM_SEARCH_TPE_H

#include "base/random.h"

typedef struct dm_tpe dm_tpe;

/* choices[n]: 1 to 65535 each. names[n]: what Optuna would call the parameters; the model draws
 * them in the order of these texts. Suggest order, and the order of every vector, is that of the
 * arrays. */
dm_tpe *dm_tpe_new(size_t n, const size_t *choices, const char *const *names, uint32_t seed);
void dm_tpe_free(dm_tpe *t); /* NULL is fine */

/* Draws x[n] and returns the number of the trial, which runs until it is told. Running trials count
 * among the bad ones (Optuna's constant_liar; with one trial at a time there are none). */
size_t dm_tpe_ask(dm_tpe *t, uint16_t *x);
void dm_tpe_tell(dm_tpe *t, size_t trial, double value); /* value is finite */
/* study.add_trial: a complete trial that was not asked for takes the next number. */
size_t dm_tpe_add(dm_tpe *t, const uint16_t *x, double value);

/* numpy's sum of a contiguous array of doubles: pairwise, in blocks of eight accumulators. Ties
 * between candidates are common, and the order of the additions decides them. */
double dm_numpy_sum(const double *a, size_t n);

#endif
