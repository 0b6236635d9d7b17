/* GEPA, reflective prompt evolution with Pareto fronts (Agrawal et al., arXiv 2507.19457), decision
 * for decision as the package gepa 0.1.4 runs it under DSPy 3.4.1 (src/gepa/README.md): the same
 * parents, minibatches, acceptances, merges, fronts and winner for the same answers.
 *
 * This is the search alone. It knows candidates as texts, one for each component (a predictor), and
 * rows as numbers. What a candidate scores on a row, and what a reflection model makes of the rows
 * that it is shown, it asks of a dm_gepa_world. Nothing here looks at time, ranks or completion
 * order. All that it returns lives in the arena that it is given. */
#ifndef DM_GEPA_GEPA_H
#define DM_GEPA_GEPA_H

#include "base/buf.h"
#include "base/mem.h"
#include "base/random.h"

#include <stdint.h>

/* ---- what it is asked to do ---- */

typedef enum dm_gepa_parents { /* candidate_selection_strategy */
                               DM_GEPA_PARETO,
                               DM_GEPA_CURRENT_BEST,
                               DM_GEPA_EPSILON_GREEDY, /* with probability .1 any, else the best */
                               DM_GEPA_TOP_K_PARETO    /* the fronts of the 5 best */
} dm_gepa_parents;

typedef enum dm_gepa_sampling { /* proposals of one iteration: parents x minibatches */
                                DM_GEPA_ONE,
                                DM_GEPA_INDEPENDENT, /* n times a parent and a minibatch */
                                DM_GEPA_SAME_PARENT, /* a parent, n minibatches */
                                DM_GEPA_P_X_N        /* p parents with n minibatches each */
} dm_gepa_sampling;

typedef enum dm_gepa_keep { /* which improvements of one iteration go on to validation */
                            DM_GEPA_ALL,
                            DM_GEPA_BEST,
                            DM_GEPA_TOP_K
} dm_gepa_keep;

typedef struct dm_gepa_options {
    size_t n_components; /* 1 or more */
    /* [n_components] a number for each component's signature without its instruction. Components
     * with the same number and the same text share their steps, as in DSPy. */
    const size_t *shape;
    size_t n_train, n_val; /* rows; 1 or more */
    int64_t seed;
    size_t minibatch; /* rows; 1 or more */
    int64_t budget;   /* runs of an example, as GEPA counts them; looked at between iterations */
    bool skip_perfect;
    double perfect;
    bool format_feedback; /* add_format_failure_as_feedback */
    bool merge;
    size_t max_merges;
    dm_gepa_parents parents;
    bool all_components;  /* component_selector "all" */
    bool equal_is_enough; /* acceptance_criterion "improvement_or_equal" */
    dm_gepa_sampling sampling;
    size_t sampled_parents, sampled_batches; /* p, n */
    dm_gepa_keep keep;
    size_t keep_k;
    /* Scores of rows are kept by candidate and number of the row, whichever set the row is in.
     * This is a defect of the package, repeated so that the two can be compared (A.10, 1). */
    bool cache;
    /* Ours, not the package's. Selection, minibatches and merges each have a stream. All
     * reflections of an iteration are asked for at once, and one that fails is no proposal. A
     * minibatch that is all perfect is drawn again. A text that is already a candidate is not
     * validated. Children are ranked by their parents' value and a part of their gain. No
     * iteration begins that the budget does not cover. A text is run on a row once, and counted
     * once. The budget is one of runs and reflections together. */
    bool wide;
    /* Points, in per cent, that 100 tokens of instructions cost a candidate, at four bytes a
     * token: when a child is compared with its parent, and when the best is chosen. When wide. */
    double length_weight;
    size_t asks;        /* calls that a reflection may take at the most; 0: 1 */
    const size_t *more; /* calls that the world has made beside one a question; NULL: none ever */
    size_t max_reflection_failures; /* iterations in a row without any answer; 0: no limit */
} dm_gepa_options;

size_t dm_gepa_width(const dm_gepa_options *o); /* proposals of an iteration */
/* The budget that auto stands for: n is 6, 12 or 18 for light, medium and heavy (A.1). */
int64_t dm_gepa_auto_budget(size_t n, size_t n_components, size_t n_val);

/* The text between the first and the last fence (three back-ticks) of an answer, without the
 * name of a language, stripped; where there is none, the whole answer (A.5). Within s. */
dm_str dm_gepa_fenced(dm_str s);
/* A text without the fences that it stands in as a whole, stripped; fences that are part of it, as
 * around an example, stay. Within s. */
dm_str dm_gepa_unwrapped(dm_str s);

/* ---- what it asks ---- */

typedef struct dm_gepa_step { /* a call of a predictor in a run */
    size_t component;
    bool failed;    /* its answer could not be read */
    const void *of; /* the world's own */
} dm_gepa_step;

typedef struct dm_gepa_run { /* of a candidate on a row */
    double score;            /* failure_score where it failed */
    bool answered;           /* the program came to its end */
    bool crashed;            /* it left no trace */
    /* It has no score, through no fault of the candidate's. score is failure_score, since the
     * package knows no such rows. When wide such rows are left out of comparisons. */
    bool absent;
    const dm_gepa_step *steps;
    size_t n_steps;
    const void *of; /* the world's own */
} dm_gepa_run;

typedef struct dm_gepa_batch {
    const dm_str *texts; /* the candidate, [n_components] */
    bool val;            /* the rows are the validation set's, and steps are not wanted */
    const size_t *rows;  /* [n] */
    size_t n;
    dm_gepa_run *runs; /* [n] out */
    size_t paid;       /* rows that were run for it; the search's own */
} dm_gepa_batch;

typedef struct dm_gepa_shown { /* what a reflection is shown of a row */
    size_t row;                /* of the training set */
    const dm_gepa_run *run;
    const dm_gepa_step *step;
} dm_gepa_shown;

typedef struct dm_gepa_question {
    size_t iteration, proposal; /* from 0 */
    bool again; /* a reflection of the iteration failed, so it is asked for a second time */
    const dm_str *texts; /* the parent */
    size_t component;
    const dm_gepa_shown *shown; /* [n_shown] */
    size_t n_shown;
} dm_gepa_question;

typedef struct dm_gepa_iteration dm_gepa_iteration;

typedef struct dm_gepa_world {
    void *user;
    /* Fills runs of all batches, which do not depend on each other. */
    dm_status (*evaluate)(void *user, dm_gepa_batch *batches, size_t n, dm_error *err);
    /* texts[n]: the new instructions, stripped. .p NULL: there was no usable answer. .n 0 with
     * another .p: there was one, and it is to be dropped. */
    dm_status (*reflect)(void *user, const dm_gepa_question *q, size_t n, dm_str *texts,
                         dm_error *err);
    void (*tell)(void *user, const dm_gepa_iteration *it); /* at its end; NULL: nobody listens */
} dm_gepa_world;

/* ---- what it did ---- */

typedef struct dm_gepa_candidate {
    const dm_str *texts;     /* [n_components] */
    const dm_gepa_run *runs; /* [n_val] of its validation; NULL: some rows have only scores */
    size_t parents[2];       /* candidates */
    size_t n_parents;        /* 0: the start program */
    const double *scores;    /* [n_val]; NAN: it is absent there */
    double mean;             /* of them, summed from left to right; 0: all are absent */
    double value;            /* the mean less what its length costs */
    int64_t found;           /* runs that were counted before its validation */
    size_t next;             /* component that is changed next, by round robin */
} dm_gepa_candidate;

typedef enum dm_gepa_skip {
    DM_GEPA_NOT_SKIPPED,
    DM_GEPA_NO_TRAJECTORIES,
    DM_GEPA_ALL_PERFECT
} dm_gepa_skip;

typedef struct dm_gepa_proposal {
    size_t parent;
    const size_t *ids; /* [n_ids] rows of the training set */
    size_t n_ids;
    const dm_gepa_run *before; /* [n_ids] the parent's */
    dm_gepa_skip skip;
    size_t *components; /* [n_components], those that were to be changed */
    size_t n_components;
    const dm_gepa_shown **shown; /* [all components] what a reflection saw; NULL: nothing */
    size_t *n_shown;             /* [all components] */
    bool asked;                  /* it had something to reflect on */
    bool dropped;                /* a text of it was */
    const dm_str *texts;         /* the child; NULL: no answer */
    const dm_gepa_run *after;    /* [n_ids] the child's; NULL: there is none */
    size_t candidate;            /* that it became; SIZE_MAX: none */
} dm_gepa_proposal;

typedef struct dm_gepa_merge {
    size_t i, j, ancestor;
    const size_t *ids; /* [n_ids] rows of the validation set */
    size_t n_ids;
    double before_i, before_j; /* sums */
    const dm_gepa_run *after;
    size_t candidate; /* SIZE_MAX: refused */
} dm_gepa_merge;

struct dm_gepa_iteration {
    size_t number; /* from 0 */
    const dm_gepa_proposal *proposals;
    size_t n_proposals;
    const size_t *accepted; /* [n_accepted] candidates, in their order */
    size_t n_accepted;
    bool merge_due;
    const dm_gepa_merge *merge; /* NULL: no pair was found, or none was due */
    int64_t counted;            /* runs up to its end */
    dm_pyrandom stream;         /* of the engine, at its end */
    const dm_gepa_candidate *candidates;
    size_t n_candidates;
};

typedef enum dm_gepa_end {
    DM_GEPA_END_BUDGET,
    DM_GEPA_END_STOPPED,    /* the run stops: the best known */
    DM_GEPA_END_REFLECTION, /* max_reflection_failures */
    DM_GEPA_END_DRY,        /* for many iterations no reflection gave a new text; when wide */
    DM_GEPA_END_ANCESTOR /* a merge whose ancestors all score 0: the package ends with an error */
} dm_gepa_end;

typedef struct dm_gepa_result {
    const dm_gepa_candidate *candidates; /* [n], the start program first; none: stopped before */
    size_t n, best;                      /* best: the first with the largest value */
    size_t iterations, accepted, merges, perfect_batches, failed_reflections, reflections;
    size_t full_evaluations;
    int64_t counted;
    const size_t *const *fronts; /* [n_val] candidates that are best on the row, as a set */
    const size_t *n_front;       /* [n_val] */
    dm_gepa_end end;
    dm_status stopped; /* DM_OK, or the reason > 0 */
} dm_gepa_result;

/* DM_OK, also where the run was stopped (result->stopped), or a failure. start: [n_components]. */
dm_status dm_gepa_search(dm_arena *a, const dm_gepa_options *o, const dm_str *start,
                         const dm_gepa_world *world, dm_gepa_result *result,
                         dm_error *err) DM_MUST_USE;

#endif
