/* The optimizers: straight-line functions over futures (contract 8), and what one is.
 *
 * To add one: a file with its parameters (a struct that begins with dm_params, and a table of
 * them), its plan and its run, made known by a dm_optimizer; and a row of DM_OPTIMIZERS. The job
 * file, the flags, --help, the plan and the error texts come from these; nobody else knows its
 * name. */
#ifndef DM_OPTIMIZER_OPTIMIZER_H
#define DM_OPTIMIZER_OPTIMIZER_H

#include "advice/advice.h"
#include "ensemble/file.h"
#include "json/param.h"
#include "optimizer/plan.h"
#include "pool/pool.h"

typedef struct dm_optimizer dm_optimizer;
typedef struct dm_compile_input dm_compile_input;
typedef struct dm_compile_output dm_compile_output;
typedef struct dm_ensemble_output dm_ensemble_output; /* ensemble.h */

/* What the parameters of every optimizer begin with. */
typedef struct dm_params {
    const dm_optimizer *class;
    bool has_seed;
    int64_t seed;
    bool has_max_errors;
    /* Examples that may fail, but for the server's fault: in each bootstrapping pass (10 where it
     * is not given), and in each candidate's evaluation where it is. */
    int64_t max_errors;
} dm_params;

/* ---- the table of an optimizer's parameters ---- */

typedef struct dm_param_file {
    const char *name;     /* as written; NULL: not given */
    const dm_value *json; /* what is in it, set by the caller, who finds it */
} dm_param_file;

typedef struct dm_param_programs {
    const dm_str *names; /* [n] files, or folders with a program.json, as written */
    size_t n;
    const dm_candidate **programs; /* [n_programs] what is in them, set by the caller */
    const char **from;             /* [n_programs] the name that it came by */
    dm_str *
        lms; /* [n_programs] the model that the file says it asks, `lms.NAME`; .p NULL: the job's */
    size_t n_programs;
    const dm_ensemble **ensembles; /* [n] of a name that is one, whose members are all among the
                                      programs, what it is; else NULL */
} dm_param_programs;

typedef struct dm_param_optimizers {
    dm_params **params;          /* [n] */
    const dm_value *const *json; /* [n] as each would be under `optimizer` */
    size_t n;
} dm_param_optimizers;

/* ---- an optimizer ---- */

/* What is the validation set where the job gives none. */
typedef enum dm_valset_rule {
    DM_VALSET_NONE,     /* it does not validate */
    DM_VALSET_TRAINSET, /* the training set (DSPy's rule for random search) */
    DM_VALSET_SPLIT /* the last four fifths of the training set, 1000 at most (contract 8.4 a) */
} dm_valset_rule;

struct dm_optimizer {
    const char *name;           /* in job files */
    const char *const *aliases; /* DSPy's class names, up to a NULL */
    size_t size;                /* of its parameters, in bytes */
    const dm_param *params;
    void (*defaults)(dm_params *p); /* beside those of the table; NULL: there are none */
    unsigned roles; /* 1u << DM_TEACHER, ...: models that it asks beside the task's */
    dm_valset_rule valset;
    size_t few_train, few_val; /* fewer examples than these are few; 0: any number will do */
    size_t (*demos)(const dm_params *p); /* that its candidates show at the most */
    /* The examples that the start program is scored on, in the data's order. NULL: the validation
     * set. */
    const dm_dataset *(*validates)(dm_arena *a, const dm_compile_input *in);
    /* A candidate with demonstrations that takes no call to make. NULL, or without any: it makes
     * none. */
    const dm_candidate *(*labeled)(dm_arena *a, const dm_compile_input *in);
    /* Once all are read: what goes together among them, and defaults that depend on others. at:
     * their object. NULL: nothing to do. */
    dm_status (*check)(dm_arena *a, const dm_at *at, dm_params *p, dm_error *err);
    /* Whether they fit program and data: DM_E_JOB in one sentence. NULL: any do. */
    dm_status (*fits)(dm_arena *a, const dm_compile_input *in, dm_error *err);
    /* A cap on calls leaves so many program runs to its search, 1 at least. NULL: it cuts itself.
     */
    void (*limit)(dm_params *p, int64_t runs);
    /* Adds its phases, and says what it leaves to score (plan.h). NULL: it calls nothing. */
    void (*plan)(dm_arena *a, const dm_compile_input *in, dm_plan *plan);
    /* Lines for a person before it runs; concurrency: calls in flight that are asked for, 0 for the
     * stand-in. NULL: nothing to say. */
    void (*announce)(dm_buf *b, dm_arena *a, const dm_compile_input *in, int64_t concurrency);
    /* Of an optimizer that holds others: theirs (NULL: there are no more); its own roles, valset
     * and few_... stand for nothing then. NULL: it holds none. */
    const dm_params *(*part)(const dm_params *p, size_t i);
    /* What each is given, where they run side by side, each with a part of the results. */
    size_t (*inner)(dm_arena *a, const dm_compile_input *in, dm_compile_input **out);
    /* With inner: the calls below which none of them can score its start. */
    double (*least)(dm_arena *a, const dm_compile_input *in);
    /* Whether any of them asks the job's `lms.NAME`. NULL: there are no such. */
    bool (*asks)(const dm_params *p, dm_str name);
    /* A single one of its own questions to a model, to estimate from; NULL: it asks none, or cannot
     * yet. */
    dm_future *(*sample)(dm_pool *p, const dm_compile_input *in);
    /* Whether a metric's scores may be any numbers, as in DSPy; else they are 0 to 1. NULL: they
     * are 0 to 1. */
    bool (*any_score)(const dm_params *p);
    /* out is set up: the student is the best, nothing is scored. */
    dm_status (*run)(dm_pool *p, const dm_compile_input *in, dm_compile_output *out, dm_error *err);
};

/* In the order in which users see the names. */
#define DM_OPTIMIZERS(ROW)                                                                         \
    ROW(labeled_few_shot)                                                                          \
    ROW(bootstrap_few_shot)                                                                        \
    ROW(random_search)                                                                             \
    ROW(mipro_v2)                                                                                  \
    ROW(ensemble)                                                                                  \
    ROW(gepa)                                                                                      \
    ROW(chain)

#define DM_OPTIMIZER_DECLARE(id) extern const dm_optimizer dm_optimizer_##id;
DM_OPTIMIZERS(DM_OPTIMIZER_DECLARE)

extern const dm_optimizer *const dm_optimizers[]; /* [dm_n_optimizers] */
extern const size_t dm_n_optimizers;

/* p, o->size bytes large, gets the defaults. */
void dm_params_init(dm_params *p, const dm_optimizer *o);
/* Reads {"name": ..., ...} or a name, or a list of such, which is a chain. Unknown keys are
 * refused, also keys of another optimizer. */
dm_status dm_optimizer_read(dm_arena *a, const dm_at *at, dm_params **out,
                            dm_error *err) DM_MUST_USE;
const dm_param *dm_param_named(const dm_optimizer *o, const char *name); /* NULL: it has none */
/* Of an optimizer that holds others: the roles that any of them asks; the validation rule that they
 * share. Where they differ it is DM_VALSET_NONE, and of a chain the last in the order of the rules.
 */
unsigned dm_roles_of(const dm_params *p);
dm_valset_rule dm_valset_rule_of(const dm_params *p);

typedef struct dm_told { /* what members of one run have said already of their start */
    double score;
    size_t n;
} dm_told;

struct dm_compile_input {
    const dm_params *params;
    const char *name;            /* "member 2", where it is one of several; else NULL */
    dm_told *told;               /* common to these; NULL: it says all */
    const dm_compile_input *who; /* of a chain, whose part it is; NULL: nobody's */
    size_t step, first;          /* which of the chain it is, and candidates that came before */
    const dm_own_models *own;    /* that the job has; NULL: none */
    const dm_role *roles; /* [DM_ROLES] of a member with a model of its own: whom it asks in their
                             place; NULL: them */
    const dm_candidate *student;
    const dm_candidate *teacher; /* NULL: the student */
    bool teacher_compiled; /* the teacher comes from a program file: its demos are used as they are
                            */
    const dm_str *inputs;  /* [n_inputs] columns that are inputs; NULL: the program's own */
    size_t n_inputs;
    const dm_dataset *trainset, *valset; /* the same: there is no other */
    const dm_dataset
        *testset; /* what start and winner are scored on at the end; NULL: there is none
                   */
};

typedef struct dm_scored {
    const dm_candidate *candidate;
    char name[24];            /* "seed -2", "trial 7" */
    const dm_result *results; /* [valset->n] or NULL: not evaluated on the whole validation set */
    double score;             /* mean against the start program's results, 0 to 1; NAN */
    double estimate;          /* the search's own, 0 to 1; NAN: it has none but the score */
    const char *levels; /* mipro_v2: "1.0 2.3", instruction and demo set of each predictor; NULL */
} dm_scored;

typedef struct dm_searched { /* what mipro_v2's search did */
    const char *method;      /* "factor"; NULL: no such search */
    const char *end;         /* why it ended: "budget", "score", ... (dm_search_end_name) */
    size_t runs;             /* program runs, the start's and the winner's rest included */
    size_t candidates;       /* that were run on something */
    size_t learned;          /* instructions that came of reflections while it ran */
    size_t barred;           /* cells left out by the leak guard */
    /* {step: {"instructions": [...], "demos": [[...], ...]}}: what the numbers of levels stand for;
     * null: could not be had. NULL: they were not all there. */
    const dm_value *levels;
    const bool *in_demos; /* [valset->n] examples that are in the winner's demos; NULL: none */
    double optimism;      /* by how many standard errors the winner's score is too high in the mean,
                             src/search/README.md §7.4 */
} dm_searched;

struct dm_compile_output {
    const dm_candidate
        *best;         /* set also when the run was stopped: the best known, the student if none */
    dm_scored *scored; /* [n_scored], in the order they were tried */
    size_t n_scored, best_index; /* best_index SIZE_MAX: best was not scored */
    dm_status stopped;           /* DM_OK, or the reason > 0 */
    /* Where the optimizer has scored start and winner itself; else NULL. Present examples count. */
    const dm_dataset *valset;        /* what results are on, when it is not the input's */
    const dm_result *start, *winner; /* [valset->n] */
    dm_searched searched;
    const dm_ensemble_output *ensemble; /* of several compilations; else NULL */
    const dm_value *told; /* {"gepa": {...}}: what it did, for the last line; NULL: nothing */
};

/* Start and winner on a data set. */
typedef struct dm_split {
    const char *name; /* "valset", "testset" */
    const dm_dataset *set;
    const dm_result *baseline, *compiled; /* [set->n] */
} dm_split;
#define DM_SPLITS 2
/* Scores start and winner on validation and test set, as far as the optimizer has not done so.
 * splits [DM_SPLITS], *n of them are known, also after a stop. */
dm_status dm_score_splits(dm_pool *p, const dm_compile_input *in, const dm_compile_output *out,
                          dm_split *splits, size_t *n, dm_error *err) DM_MUST_USE;

/* Whether a compilation is worth it, by the start program's mean score (0 to 1) on n examples, of
 * which the interval tells (*start gets it), and by the number of examples to train on. Nothing is
 * said of a score that is NAN: false. */
bool dm_worth_of(double score, size_t n, size_t n_train, dm_mean *start, dm_worth *out);

/* A failure when no answer of a program to the first 20 examples can be used, and none for its
 * form: its evaluation could come to nothing else. A stop of the run is DM_OK here. */
dm_status dm_try_program(dm_pool *p, const dm_candidate *c, const dm_dataset *set,
                         dm_error *err) DM_MUST_USE;

/* DM_OK or a reason > 0 (out is whole), or a failure. Results live in the pool's arena. */
dm_status dm_compile(dm_pool *p, const dm_compile_input *in, dm_compile_output *out,
                     dm_error *err) DM_MUST_USE;

#endif
