/* Parameters of the optimizers that choose demonstrations, with DSPy's names, units and defaults.
 */
#ifndef DM_OPTIMIZER_FEW_SHOT_H
#define DM_OPTIMIZER_FEW_SHOT_H

#include "optimizer/optimizer.h"

#include <math.h>
#include <stddef.h>

typedef struct dm_labeled_params { /* labeled_few_shot */
    dm_params base;
    int64_t k;   /* 16 */
    bool sample; /* true */
} dm_labeled_params;

typedef struct dm_bootstrap_params { /* bootstrap_few_shot, and all that bootstrap */
    dm_params base;
    int64_t max_bootstrapped_demos; /* 4 */
    int64_t max_labeled_demos;      /* 16; mipro_v2: 4 */
    int64_t max_rounds;             /* 1 */
    bool has_metric_threshold;
    double metric_threshold; /* 0 to 1; 0 is a threshold here (contract 10.6, trap 6) */
} dm_bootstrap_params;

typedef enum dm_races { DM_RACES_OFF, DM_RACES_BETTING, DM_RACES_HALVING } dm_races;

typedef struct dm_random_search_params {
    dm_bootstrap_params demos;
    int64_t num_candidate_programs; /* 16 */
    bool has_stop_at_score;
    double stop_at_score;   /* per cent */
    bool labeled_sample;    /* true */
    dm_ints restrict_seeds; /* DSPy's `restrict`; not given: all */
    dm_races race;          /* ours: true or "halving"; off is DSPy's */
    bool has_race_alpha;
    double race_alpha; /* .05; chance that race = true loses full evaluation's winner */
} dm_random_search_params;

/* Rows that tables share. All these structs begin with dm_params, or with dm_bootstrap_params. */
#define DM_PARAM_SEED                                                                              \
    {                                                                                              \
        .name = "seed", .kind = DM_PARAM_INT, .low = 0, .high = 1e15,                              \
        .at = offsetof(dm_params, seed), .given = offsetof(dm_params, has_seed), .value = "N",     \
        .help = "the same as seed", .absent = "DSPy's own"                                         \
    }
#define DM_PARAM_MAX_ERRORS                                                                        \
    {                                                                                              \
        .name = "max_errors", .kind = DM_PARAM_INT, .low = 1, .high = 1e15,                        \
        .at = offsetof(dm_params, max_errors), .given = offsetof(dm_params, has_max_errors),       \
        .value = "N", .help = "the same as max_errors", .absent = "10 in a bootstrapping pass"     \
    }
#define DM_PARAM_MAX_BOOTSTRAPPED                                                                  \
    {                                                                                              \
        .name = "max_bootstrapped_demos", .kind = DM_PARAM_INT, .low = 0, .high = 1e15,            \
        .at = offsetof(dm_bootstrap_params, max_bootstrapped_demos), .value = "N",                 \
        .help = "demonstrations made by running the teacher", .fallback = "4"                      \
    }
#define DM_PARAM_MAX_LABELED(most)                                                                 \
    {                                                                                              \
        .name = "max_labeled_demos", .kind = DM_PARAM_INT, .low = 0, .high = 1e15,                 \
        .at = offsetof(dm_bootstrap_params, max_labeled_demos), .value = "N",                      \
        .help = "demonstrations in all, filled up from the data", .fallback = (most)               \
    }
#define DM_PARAM_MAX_ROUNDS                                                                        \
    {                                                                                              \
        .name = "max_rounds", .kind = DM_PARAM_INT, .low = 1, .high = 1e15,                        \
        .at = offsetof(dm_bootstrap_params, max_rounds), .value = "N",                             \
        .help = "attempts at each example", .fallback = "1"                                        \
    }
#define DM_PARAM_METRIC_THRESHOLD                                                                  \
    {                                                                                              \
        .name = "metric_threshold", .kind = DM_PARAM_NUMBER, .low = -HUGE_VAL, .high = HUGE_VAL,   \
        .at = offsetof(dm_bootstrap_params, metric_threshold),                                     \
        .given = offsetof(dm_bootstrap_params, has_metric_threshold), .value = "S",                \
        .help = "score from which on an answer becomes a demonstration", .absent = "any but 0"     \
    }
/* Those of all that bootstrap, but for max_rounds, which mipro_v2 does not have. */
#define DM_PARAMS_OF_BOOTSTRAPPING(most)                                                           \
    DM_PARAM_MAX_BOOTSTRAPPED, DM_PARAM_MAX_LABELED(most), DM_PARAM_METRIC_THRESHOLD,              \
        DM_PARAM_MAX_ERRORS

/* What they have in common with the other optimizers that bootstrap: demonstrations of a candidate,
 * and the plan of a bootstrapping with a teacher's labelled demonstrations. */
size_t dm_bootstrap_demos(const dm_params *p);
dm_plan_phase *dm_bootstrap_phase(dm_plan *plan, const dm_bootstrap_params *p);

#endif
