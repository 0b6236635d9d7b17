/* MIPROv2 (contract 8.4): what is decided before the first call, demo sets, instructions. */
#ifndef DM_OPTIMIZER_MIPRO_H
#define DM_OPTIMIZER_MIPRO_H

#include "base/random.h"
#include "optimizer/inside.h"

/* ---- mipro_params.c ---- */

typedef enum dm_auto { DM_AUTO_NONE, DM_AUTO_LIGHT, DM_AUTO_MEDIUM, DM_AUTO_HEAVY } dm_auto;

/* How it searches (dspy_mpi/search.h); in the order of dm_search_method. */
typedef enum dm_mipro_search {
    DM_MIPRO_FACTOR,
    DM_MIPRO_SCHEDULE, /* "mipro": DSPy's own */
    DM_MIPRO_TPE,
    DM_MIPRO_RANDOM,
    DM_MIPRO_HALVING
} dm_mipro_search;

/* Where instructions come from: DSPy's proposer before the search, or reflections during it too. */
enum { DM_PROPOSER_GROUNDED, DM_PROPOSER_REFLECTIVE };

typedef struct dm_mipro_params {
    dm_bootstrap_params demos;
    bool has_stop_at_score;
    double stop_at_score; /* per cent */
    dm_auto auto_mode;    /* light; none: num_candidates and num_trials are given */
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
    int proposer;          /* grounded */
    bool has_reflections;
    int64_t reflections;     /* 2: new instructions of each predictor, in each of two rounds */
    dm_param_file proposals; /* the user's own instructions, see dm_proposals_check */
} dm_mipro_params;

static inline const dm_mipro_params *dm_mipro_params_of(const dm_compile_input *in)
{
    return (const dm_mipro_params *)in->params;
}

/* "2.0 1.3": instruction and demonstration set of each predictor (per: 2), or instructions alone
 * (1). Lives in a. */
const char *dm_mipro_levels_text(dm_arena *a, const uint16_t *levels, size_t n, size_t per);
/* Whether it evaluates whole candidates or minibatches of them, as DSPy's schedules do; else row by
 * row. */
bool dm_mipro_whole(dm_mipro_search s);
const char *dm_mipro_search_name(dm_mipro_search s); /* "factor", ... */
extern const dm_param dm_mipro_table[];
dm_status dm_mipro_check(dm_arena *a, const dm_at *at, dm_params *p, dm_error *err);

/* ---- mipro_plan.c: all that is drawn from DSPy's stream, a pure function of the settings ---- */

typedef enum dm_set_kind {
    DM_SET_OWN,         /* the program's own demonstrations; in DSPy's schedule always none */
    DM_SET_LABELED,     /* needs no call */
    DM_SET_BOOTSTRAPPED /* from the training set in an order of its own */
} dm_set_kind;

typedef struct dm_set_plan {
    dm_set_kind kind;
    const size_t *order; /* [n_train]; NULL: as it is */
    int64_t size;        /* demonstrations to bootstrap at most */
} dm_set_plan;

typedef struct dm_proposal_plan {
    size_t tip; /* 0: none, below DM_TIPS */
    int64_t rollout;
} dm_proposal_plan;
#define DM_TIPS 6

typedef struct dm_mipro_plan {
    bool zero_shot;                        /* no demonstrations: sets only inform instructions */
    int64_t max_bootstrapped, max_labeled; /* of the sets: 3 and 0 when zero_shot */
    const size_t *val;                     /* [n_val] of the validation set, in this order */
    size_t n_val;
    dm_set_plan *sets; /* [n_sets] */
    size_t n_sets;
    size_t n_instructions;       /* of each predictor, the program's own first */
    dm_proposal_plan *proposals; /* [predictor][n_instructions]; those of number 0 are not used */
    size_t trials;
    bool minibatch;
    size_t minibatch_size, full_eval_steps;
    size_t runs;             /* program runs of the search, the start's n_val among them */
    size_t in_flight;        /* examples in flight, as far as decisions go */
    size_t window;           /* units in flight */
    size_t block, block_max; /* examples of a first unit, of a later one */
    dm_pyrandom minibatches; /* the stream where the search begins */
} dm_mipro_plan;

/* Everything lives in a. DM_E_JOB: the settings do not fit the data, in one sentence. */
dm_status dm_mipro_plan_make(dm_arena *a, const dm_mipro_params *p, size_t predictors,
                             size_t n_train, size_t n_val, dm_mipro_plan *out,
                             dm_error *err) DM_MUST_USE;

/* Whether demo sets are made at all: for the search, or to be shown to the proposer. */
bool dm_mipro_needs_sets(const dm_mipro_params *p, const dm_mipro_plan *plan,
                         const dm_program *program);

/* Its phases (mipro_calls.c). */
void dm_mipro_plan_calls(dm_arena *a, const dm_compile_input *in, dm_plan *plan);

/* ---- proposals of the user's own: {"query.predict": ["Answer ...", ...], ...} by the predictors'
 * names in DSPy's files ("self" for a bare one), or {"query.predict": {"instead": [...]}}. They
 * come after the program's own instruction; the model fills up a list to the number that
 * the settings say, but not "instead". ---- */
dm_status dm_proposals_check(const dm_value *file, const char *name, const dm_program *program,
                             dm_error *err) DM_MUST_USE;
const dm_value *dm_proposals_of(const dm_value *file, const dm_predictor *p,
                                bool *instead); /* a list, or NULL */
/* Instructions that the model is asked for. */
size_t dm_proposals_asked(const dm_mipro_params *p, const dm_mipro_plan *plan,
                          const dm_predictor *predictor);
size_t dm_proposals_asked_in_all(const dm_mipro_params *p, const dm_mipro_plan *plan,
                                 const dm_program *program);

/* ---- demo_sets.c ---- */

typedef struct dm_demo_set {
    const dm_candidate *candidate; /* demonstrations of each predictor */
    bool *used; /* [n_train] examples behind bootstrapped ones; NULL: none bootstrapped */
} dm_demo_set;
typedef struct dm_demo_sets dm_demo_sets;
/* A strand for each set that calls; the others are there at once. */
dm_demo_sets *dm_demo_sets_start(dm_pool *p, const dm_compile_input *in, const dm_mipro_plan *plan);
/* From any strand, any number of times. */
dm_status dm_demo_sets_join(dm_pool *p, dm_demo_sets *s, dm_error *err) DM_MUST_USE;
const dm_demo_set *dm_demo_sets_get(const dm_demo_sets *s, size_t set); /* set 0: the student's */

/* ---- propose.c ---- */

typedef struct dm_instructions { /* of one predictor */
    dm_str *text;                /* [n] the program's own first; .p NULL: could not be had */
    size_t n;
    size_t ready; /* the first so many need no call */
} dm_instructions;
typedef struct dm_proposer dm_proposer;
/* sets NULL: not shown. n and ready are right at once, the texts after the join. */
dm_proposer *dm_propose_start(dm_pool *p, const dm_compile_input *in, const dm_mipro_plan *plan,
                              dm_demo_sets *sets);
dm_status dm_propose_join(dm_pool *p, dm_proposer *r, dm_error *err) DM_MUST_USE;
const dm_instructions *dm_propose_get(const dm_proposer *r, size_t predictor);
/* One of the proposer's questions alone, the description of the program: to estimate from. */
dm_future *dm_propose_sample(dm_pool *p, const dm_compile_input *in, const dm_mipro_plan *plan);

/* ---- propose_text.c: what the proposer is shown, and how its answers are cleaned ---- */

const char *dm_tip(size_t tip);                              /* "" for 0 */
dm_str dm_program_outline(dm_arena *a, const dm_program *p); /* pseudo-code */
dm_str dm_module_line(dm_arena *a, const dm_predictor *p);   /* "Predict(question) -> answer" */
dm_str dm_rows_text(dm_arena *a, const dm_dataset *d, size_t from, size_t n); /* JSON Lines */
/* Up to three demonstrations, bootstrapped ones from set `from` on, wrapping; "" without any. */
dm_str dm_task_demos(dm_arena *a, const dm_program *program, size_t predictor,
                     const dm_demo_sets *sets, size_t n_sets, size_t from);
/* Without "Instruction:" or the like at the start and quotes around it (contract 8.4). */
dm_str dm_strip_prefix(dm_str s);

/* ---- mipro_reflect.c ---- */

typedef struct dm_mipro dm_mipro;
#define DM_REFLECTIVE_ROUNDS 2 /* after a third of the budget, and after two */

/* New instructions of each predictor in a round; 0: proposer = grounded. */
size_t dm_mipro_reflections(const dm_compile_input *in);
/* The same, 0 also where the search's budget has no room for them, which is said. */
size_t dm_mipro_reflections_that_fit(const dm_compile_input *in, const dm_mipro_plan *plan);
/* Program runs and reflections that all rounds take; they are part of the search's budget. */
size_t dm_mipro_reflective_calls(const dm_compile_input *in);
/* texts[predictor * reflections + i]: what reflections on the candidate gave; .p NULL: nothing. */
dm_status dm_mipro_reflect(const dm_mipro *m, const dm_candidate *best, size_t round, dm_str *texts,
                           dm_error *err) DM_MUST_USE;

/* ---- mipro_search.c ---- */

struct dm_mipro {
    dm_pool *pool;
    const dm_compile_input *in;
    const dm_mipro_plan *plan;
    const dm_dataset *valset;
    dm_demo_sets *sets; /* NULL: none are made */
    dm_proposer *proposer;
    dm_future *start; /* the program as written on valset */
};
dm_status dm_mipro_search_run(dm_mipro *m, dm_compile_output *out, dm_error *err) DM_MUST_USE;

#endif
