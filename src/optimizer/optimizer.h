/* The optimizers: straight-line functions over futures (contract 8). */
#ifndef DM_OPTIMIZER_OPTIMIZER_H
#define DM_OPTIMIZER_OPTIMIZER_H

#include "pool/pool.h"

typedef enum dm_optimizer {
    DM_LABELED_FEW_SHOT,
    DM_BOOTSTRAP_FEW_SHOT,
    DM_RANDOM_SEARCH, /* bootstrap_few_shot_with_random_search */
    DM_MIPRO_V2
} dm_optimizer;

typedef enum dm_races { DM_RACES_OFF, DM_RACES_BETTING, DM_RACES_HALVING } dm_races;

/* Parameters with DSPy's names, units and defaults. Which of them an optimizer has: the option
 * table. */
typedef struct dm_optimizer_params {
    dm_optimizer name;
    bool has_seed;
    int64_t seed;
    int64_t k;                      /* labeled_few_shot: 16 */
    bool sample;                    /* labeled_few_shot: true */
    int64_t max_bootstrapped_demos; /* 4 */
    int64_t max_labeled_demos;      /* 16; mipro_v2: 4 */
    int64_t max_rounds;             /* 1 */
    bool has_metric_threshold;
    double metric_threshold; /* 0 to 1; 0 is a threshold here (contract 10.6, trap 6) */
    bool has_max_errors;
    int64_t max_errors;             /* program and metric errors, never transport; default none */
    int64_t num_candidate_programs; /* 16 */
    bool has_stop_at_score;
    double stop_at_score;          /* per cent */
    bool labeled_sample;           /* true */
    const int64_t *restrict_seeds; /* [n_restrict] DSPy's `restrict`; NULL: all */
    size_t n_restrict;
    dm_races race; /* random search, ours: true or "halving"; off is DSPy's */
    bool has_race_alpha;
    double race_alpha; /* .05; chance that race = true loses full evaluation's winner */
} dm_optimizer_params;

/* Sets the defaults of the optimizer named. */
void dm_optimizer_defaults(dm_optimizer_params *p, dm_optimizer name);
/* Reads {"name": ..., ...} or a name; DSPy's class names are aliases. Unknown keys are refused,
 * also keys of another optimizer. */
dm_status dm_optimizer_read(dm_arena *a, const dm_at *at, dm_optimizer_params *p,
                            dm_error *err) DM_MUST_USE;
const char *dm_optimizer_name(dm_optimizer o);

typedef struct dm_compile_input {
    const dm_optimizer_params *params;
    const dm_candidate *student;
    const dm_candidate *teacher; /* NULL: the student */
    bool teacher_compiled; /* the teacher comes from a program file: its demos are used as they are
                            */
    const dm_dataset *trainset, *valset;
} dm_compile_input;

typedef struct dm_scored {
    const dm_candidate *candidate;
    char name[24];            /* "seed -2", "trial 7" */
    const dm_result *results; /* [valset->n] or NULL: not evaluated on the whole validation set */
    double score;             /* mean over the present examples, 0 to 1; NAN */
} dm_scored;

typedef struct dm_compile_output {
    const dm_candidate
        *best;         /* set also when the run was stopped: the best known, the student if none */
    dm_scored *scored; /* [n_scored], in the order they were tried */
    size_t n_scored, best_index; /* best_index SIZE_MAX: best was not scored */
    dm_status stopped;           /* DM_OK, or the reason > 0 */
} dm_compile_output;

/* DM_OK or a reason > 0 (out is whole), or a failure. Results live in the pool's arena. */
dm_status dm_compile(dm_pool *p, const dm_compile_input *in, dm_compile_output *out,
                     dm_error *err) DM_MUST_USE;

#endif
