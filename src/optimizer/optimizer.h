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
typedef enum dm_auto { DM_AUTO_NONE, DM_AUTO_LIGHT, DM_AUTO_MEDIUM, DM_AUTO_HEAVY } dm_auto;

/* How mipro_v2 searches (dspy_mpi/search.h); in the order of dm_search_method. */
typedef enum dm_mipro_search {
    DM_MIPRO_FACTOR,
    DM_MIPRO_SCHEDULE, /* "mipro": DSPy's own */
    DM_MIPRO_TPE,
    DM_MIPRO_RANDOM,
    DM_MIPRO_HALVING
} dm_mipro_search;

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

    /* mipro_v2 (contract 8.4) */
    dm_auto auto_mode; /* light; none: num_candidates and num_trials are given */
    bool has_num_candidates, has_num_trials, has_minibatch;
    int64_t num_candidates, num_trials;
    bool minibatch;                                    /* true */
    int64_t minibatch_size, minibatch_full_eval_steps; /* 35, 5 */
    bool program_aware_proposer, data_aware_proposer, tip_aware_proposer,
        fewshot_aware_proposer;   /* true */
    int64_t view_data_batch_size; /* 10 */
    double init_temperature;      /* 1.0; of proposals */
    dm_mipro_search search;       /* ours from here on: factor */
    bool has_runs, has_in_flight, has_patience, has_leak_guard;
    int64_t runs; /* program runs of the search with the start's; those of DSPy's schedule */
    int64_t runs_that_fit; /* under a cap on calls, by the plan's estimate; 0: all */
    int64_t in_flight;     /* examples in flight; a twentieth of the runs, 32 to 256 */
    int64_t patience;      /* runs without another best candidate after which it ends; never */
    bool leak_guard;       /* examples in a candidate's demos are not scored for it: true, but for
                              DSPy's schedules */
    const char *proposals_file; /* as written; NULL: none */
    const dm_value *proposals;  /* what stands in it (optimizer/mipro.h), set by the caller */
} dm_optimizer_params;

/* Sets the defaults of the optimizer named. */
void dm_optimizer_defaults(dm_optimizer_params *p, dm_optimizer name);
/* Reads {"name": ..., ...} or a name; DSPy's class names are aliases. Unknown keys are refused,
 * also keys of another optimizer. */
dm_status dm_optimizer_read(dm_arena *a, const dm_at *at, dm_optimizer_params *p,
                            dm_error *err) DM_MUST_USE;
const char *dm_optimizer_name(dm_optimizer o);
const char *dm_mipro_search_name(dm_mipro_search s); /* "factor", ... */

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
    const char *levels; /* mipro_v2: "1.0 2.3", instruction and demo set of each predictor; NULL */
} dm_scored;

typedef struct dm_searched { /* what mipro_v2's search did */
    const char *method;      /* "factor"; NULL: no such search */
    const char *end;         /* why it ended: "budget", "score", ... (dm_search_end_name) */
    size_t runs;             /* program runs, the start's and the winner's rest included */
    size_t candidates;       /* that were run on something */
    size_t barred;           /* cells left out by the leak guard */
    const bool *in_demos;    /* [valset->n] examples that stand in the winner's demos; NULL: none */
    double optimism; /* by how many standard errors the winner's score is too high in the mean,
                        src/search/README.md §7.4 */
} dm_searched;

typedef struct dm_compile_output {
    const dm_candidate
        *best;         /* set also when the run was stopped: the best known, the student if none */
    dm_scored *scored; /* [n_scored], in the order they were tried */
    size_t n_scored, best_index; /* best_index SIZE_MAX: best was not scored */
    dm_status stopped;           /* DM_OK, or the reason > 0 */
    /* Where the optimizer has scored start and winner itself; else NULL. Present examples count. */
    const dm_dataset *valset;        /* what results are on, when it is not the input's */
    const dm_result *start, *winner; /* [valset->n] */
    dm_searched searched;
} dm_compile_output;

/* Whether a compilation is worth it, by the start program's mean score (0 to 1; NAN: unsaid) and
 * the number of examples to train on. */
typedef enum dm_worth {
    DM_WORTH_UNSAID,
    DM_WORTH_IT,
    DM_WORTH_MORE_EXAMPLES, /* first */
    DM_WORTH_LITTLE         /* to gain */
} dm_worth;
dm_worth dm_worth_of(double score, size_t n_train);

/* DM_OK or a reason > 0 (out is whole), or a failure. Results live in the pool's arena. */
dm_status dm_compile(dm_pool *p, const dm_compile_input *in, dm_compile_output *out,
                     dm_error *err) DM_MUST_USE;

#endif
