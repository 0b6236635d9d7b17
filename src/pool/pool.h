/* Work and futures: all that an optimizer sees of the cluster (src/README.md §2).
 *
 * One kind of work: run this program state on these examples with this model role and rollout id,
 * and give back for each example the score, the outputs, the trace, the usage, or the error.
 * Submitting never blocks; waiting does, in an order of the caller's choosing. Nothing here tells
 * time, rank or completion order, so what an optimizer does depends on its seed and on the answers
 * alone. */
#ifndef DM_POOL_POOL_H
#define DM_POOL_POOL_H

#include "runner/runner.h"
#include "study/amount.h"

typedef struct dm_pool dm_pool;
typedef struct dm_future dm_future;
typedef struct dm_strand dm_strand;

dm_work dm_work_of(const dm_candidate *c); /* task role, scored, nothing else */

typedef struct dm_result {
    double score;         /* 0 to 1 as the metric says, failure_score, or NAN: it has none */
    dm_str outputs;       /* JSON text of a dict; .p NULL with a fault before the last step's end */
    const dm_step *steps; /* [n_steps], when work.trace or .steps; with a fault those up to it */
    dm_str before;        /* JSON text of a dict, runner.h; .p NULL: there is none */
    const char *error;    /* NULL, or what went wrong */
    const char *feedback; /* the metric's, with steps; NULL: none */
    dm_str parts;         /* JSON text: what each part of a metric of parts came to; .p NULL */
    int64_t cut, reasoning; /* tokens, with starved */
    uint32_t n_steps;
    dm_fault fault : 8;
    /* Whether it has a score by itself. False where the example could not be had (src/README.md
     * §5: transport, the endpoint, the judge; then score is NAN), and where the request was
     * refused.
     */
    bool present : 1;
    /* The server refused the request. Whose fault that is shows when two results are compared
     * (dm_counts_against): score is failure_score, for where the other one has a score. */
    bool refused : 1;
    /* JSON fallback used; finish_reason length; from the journal */
    bool fallback : 1, truncated : 1, replayed : 1;
    uint8_t formats : 3; /* what it found out of its model, see runner.h */
    bool starved : 1;    /* cut while the model was still thinking (runner.h) */
} dm_result;

/* Runs work on n examples. Equal work on an equal example is done once in a run. The future and its
 * results live as long as the pool. */
dm_future *dm_pool_submit(dm_pool *p, const dm_work *w, const dm_example *const *examples,
                          size_t n);
dm_future *dm_pool_evaluate(dm_pool *p, const dm_work *w, const dm_dataset *set);

/* Waits for f. DM_OK: (*results)[n], in the order of the examples. > 0: the run is stopping for
 * that reason: return what is best so far. < 0: the run has failed. */
dm_status dm_pool_wait(dm_pool *p, dm_future *f, const dm_result **results,
                       dm_error *err) DM_MUST_USE;
/* Waits until one of f's examples came to an answer, or all have come to none: which of the two is
 * a matter of the answers alone, only how long it takes is not. Under a cap it waits for all, so
 * that what is left to others is the same too. */
dm_status dm_pool_wait_for_one(dm_pool *p, dm_future *f, bool *one, dm_error *err) DM_MUST_USE;
void dm_pool_cancel(dm_pool *p, dm_future *f); /* nobody will wait for f */

/* A strand: a straight-line function of its own beside the caller, resumed when the future that it
 * waits for is done. Strands share nothing but finished futures. */
typedef dm_status dm_strand_main(dm_pool *p, void *arg, dm_error *err);
dm_strand *dm_strand_start(dm_pool *p, const char *name, dm_strand_main *main, void *arg);
dm_status dm_strand_join(dm_pool *p, dm_strand *s,
                         dm_error *err) DM_MUST_USE; /* its return value */

/* From a strand: what it, and the strands that it starts from here on, ask of a role goes to the
 * model of roles[role] ([DM_ROLES], as long as the pool lives), and that one is their
 * dm_pool_model. */
void dm_strand_roles(dm_pool *p, const dm_role *roles);

/* Under a cap on calls, tokens or money (src/README.md §4) a strand has a share of what its caller
 * has, so that where each is cut depends on no other. What it does not use is its caller's again
 * when it has ended. Without a cap a share is everything. */

/* The next n strands that are started have part (0 to 1) of what the caller has left, in equal
 * shares. Nothing may be under way on the caller's own account: call it before the first wait, or
 * when all was waited for. */
void dm_pool_split(dm_pool *p, size_t n, double part);
/* From a strand: what it asks for from now on is on its caller's account, in the order in which the
 * strands were started. */
void dm_strand_take_turn(dm_pool *p);
/* Whether a wait or a join gave DM_STOP_BUDGET because a share is used up (the caller's, that of
 * the strand it joined, or of one that strand needs), and not the run's time: the caller may go on
 * with what it has. */
bool dm_pool_share_is_used(const dm_pool *p);

/* What s (NULL: the whole run) and all that it started were charged, each piece of work once,
 * whoever had it made. In a join's wake: what comes later of it is not there. */
dm_amount dm_pool_charged(const dm_pool *p, const dm_strand *s);

const dm_lm_config *dm_pool_model(const dm_pool *p, dm_role role);

double dm_pool_failure_score(const dm_pool *p);
dm_arena *dm_pool_arena(dm_pool *p); /* lives as long as the pool: candidates, demos */

/* Whether r's score counts beside the other program's result on the same example, from these
 * two alone (src/README.md §5): where it was refused, only if the other one has a score. other
 * NULL: there is no other. */
bool dm_counts_against(const dm_result *r, const dm_result *other);
/* Mean over the examples that count against the other program's results, in their order; NAN if
 * there is none. other NULL: over the present ones. */
double dm_mean_against(const dm_result *r, const dm_result *other, size_t n);
double dm_mean_score(const dm_result *r, size_t n); /* without another program */

/* What the phase now running is called and how much of it there is to do: for progress and plan
 * only. */
void dm_pool_phase(dm_pool *p, const char *name, size_t units);
/* The best score so far of a candidate that the optimizer may return, 0 to 1: for progress only.
 * NAN: not known. who and number: that of dm_pool_tried, if it was given there; else NULL. */
void dm_pool_best(dm_pool *p, const void *who, size_t number, double score);

/* A candidate that is scored, as far as it is: for people only, and decides nothing. */
typedef struct dm_tried {
    const void *who;  /* tells the compilations of one run apart */
    const char *part; /* "member 2", where there are several; else NULL */
    size_t number;    /* of the candidate there */
    const char *name; /* as in dm_scored; copied */
    const dm_candidate *candidate;
    const char *levels; /* as in dm_scored; NULL: none. Copied */
} dm_tried;
/* n further results of it, each beside the start program's on the same example: against[rows[i]],
 * or against[i] where rows is NULL; against NULL: beside nobody's. */
void dm_pool_tried(dm_pool *p, const dm_tried *t, const dm_result *r, size_t n,
                   const dm_result *against, const size_t *rows);

#endif
