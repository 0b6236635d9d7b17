/* The options of a search as a struct, for those who are built with it. Others set them by name
 * (dspy_mpi/search.h). A new one has a row in options.c. */
#ifndef DM_SEARCH_OPTIONS_H
#define DM_SEARCH_OPTIONS_H

#include "dspy_mpi/search.h"

/* The constants of DM_SEARCH_FACTOR; dm_search_defaults sets them. Logits where no unit is named.
 */
typedef struct dm_search_constants {
    size_t block, block_max; /* cells of a first unit, of a later one; 0: from the budget, 2-4 and
                                twice that, less where the window is wide */
    size_t start; /* balanced random units before the model decides, the first is the program as
                     written */
    size_t refit_percent;            /* the model is fitted when the known cells grew by so much */
    size_t passes;                   /* Newton passes of a fit */
    double effect;                   /* prior standard deviation of a level's effect */
    double rest;                     /* prior variance of delta over effect^2 */
    double trust_effect, trust_rest; /* weight of those priors against what is seen, in levels and
                                        candidates; 0: never learn */
    double difficulty;               /* prior variance of an example's difficulty */
    double explore_until;            /* share of the budget in which units may explore, 0 to 1 */
    double explore;                  /* chance that such a unit explores, 0 to 1 */
    double temperature;              /* of the Thompson draw; 1 is the posterior itself */
    double informed;  /* share of a unit's examples that are chosen by (8); the rest by its S_i */
    double contender; /* further than this behind the leader a candidate gets no more cells */
    size_t finalists; /* the best so many are completed on all examples at the end; 0: none */
    double finals_share; /* at most this share of the budget is kept for that */
} dm_search_constants;

struct dm_search_options {
    dm_search_method method;
    size_t n_slots;       /* 1 to 256 */
    const size_t *levels; /* [n_slots] 1 to 65535 each; copied */
    const char *const
        *names;        /* [n_slots] Optuna's parameter names (tpe, mipro); NULL: the slots' order */
    size_t n_examples; /* from 1 on */
    size_t budget;     /* cells that may be handed out (mipro: follows from its trials) */
    size_t window;     /* units in flight, from 1 on; part of the search, not of the cluster */
    uint64_t seed;

    size_t trials;          /* mipro */
    bool minibatch;         /* mipro; false: every trial on all examples */
    size_t minibatch_size;  /* mipro: 35 */
    size_t full_eval_steps; /* mipro: a full evaluation after so many minibatches, 5 */
    bool random_sampler;    /* mipro: draw candidates at random in place of TPE */

    double stop_at_score; /* mean over all examples, 0 to 1; above 1: never */
    size_t patience; /* stop when the best candidate has not changed for so many cells; 0: never */
    dm_search_constants constants;
};

/* Sets every field but slots, levels and names, which are set before: defaults of the method for
 * this size of problem. For mipro the budget is what the schedule runs (dm_search_mipro_runs). */
void dm_search_defaults(dm_search_options *o, dm_search_method method, size_t n_examples,
                        size_t budget);

#endif
