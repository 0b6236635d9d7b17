/* Search over a grid of choices from single scores: ask what to run next, tell the result.
 *
 *   A candidate is a vector of levels, one per slot: which instruction and which demo set each
 * predictor of a program gets. Level 0 of every slot is the program as written. A cell is the score
 * of one candidate on one example, between 0 and 1; it costs one program run. The search hands out
 * units (a candidate and some examples), receives their scores, and names the candidate with the
 * best mean over all examples.
 *
 * Nothing here knows of processes, clocks or models. The course of a search is a function of the
 * options, of what was declared before the first ask, and of the scores. Decision k reads only the
 * results of units 0 .. k - window, in the order of the units, whenever they were told. So any
 * number of workers, and a run that is resumed by replaying its scores, decide alike. This holds
 * across machines with the same floating-point arithmetic and math library. Build without
 * -ffast-math and with -ffp-contract=off.
 *
 * One thread at a time may use a handle; handles are independent. If memory runs out, the process
 * ends. Ownership: what dm_search_new and dm_race_new return belongs to the caller until the _free.
 * All other pointers that are returned are borrowed, for as long as stated.
 *
 * Equations (1)-(8), the model of DM_SEARCH_FACTOR:
 *   (1) P(score of candidate j on example i = 1) = sigma(f_j - b_i),  sigma(t) = 1 / (1 + exp(-t))
 *   (2) f_j = beta_0 + sum over slots s of beta_s[level of j in s] + delta_j
 *   (3) beta_0 ~ N(0, 4),  beta_s[l] ~ N(0, v_s),  delta_j ~ N(0, w),  b_i ~ N(0, difficulty)
 *       v_s and w are learned while the search runs, from scaled inverse chi-squared priors around
 *       effect^2 and rest * effect^2
 *   (4) the cells of candidate j are one Gaussian observation z_j of f_j with variance D_j (a
 * Newton step at the mode), so given z the levels are a ridge regression, whatever the number of
 *       candidates
 *
 *   (5) f_j = p_j + (z_j - p_j) w / (w + D_j),  p_j = beta_0 + sum beta: known cells pull a
 * candidate away from the sum of its parts as far as their evidence goes
 *
 *   (6) exploring: the best candidate under one draw of beta and of the known candidates' delta
 * from their posterior (Thompson 1933), a new one or a known one: where levels have no effects,
 *       exploring goes on with what is known to be good
 *
 *   (7) deciding among contenders: the knowledge gradient E max(gain of candidate j from
 * `block_max` more cells, 0) (Frazier, Powell, Dayanik 2008)
 *
 *   (8) examples for candidate j: those with the largest S_i p(1 - p) / (1 + p(1 - p) var b_i),
 *       S_i = sum over slots s of var beta_s[level of j in s] / (1 + n),  n the cells that were
 *       handed out with that level on example i: candidates that share a level fail and succeed
 *       together there, so one more such cell says less, and a level that was unlucky with its
 *       first examples is tried on others
 *
 * Fractional scores enter the same formulas (quasi-likelihood).
 */
#ifndef DSPY_MPI_SEARCH_H
#define DSPY_MPI_SEARCH_H

#include "dspy_mpi/version.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ------------------------------------------------------------------------------ search */

typedef enum dm_search_method {
    DM_SEARCH_FACTOR, /* cell by cell, by the model above */
    DM_SEARCH_MIPRO,  /* the schedule of DSPy's MIPROv2: minibatches, every few a full evaluation */
    DM_SEARCH_TPE,    /* Optuna's TPE, every trial on all examples */
    DM_SEARCH_RANDOM, /* random candidates, every trial on all examples */
    DM_SEARCH_HALVING /* random candidates, successive halving */
} dm_search_method;

/* The options of a search, each set by name:
 *
 *     dm_search_options *o = dm_search_options_new(DM_SEARCH_FACTOR, levels, 2, 50, 300);
 *     dm_search_option_set(o, "window", 8, why, sizeof why);
 *
 * A later version may have more of them, which breaks no caller. dm_search_option_at lists them. */
typedef struct dm_search_options dm_search_options;

/* levels[n_slots]: how many choices each slot has, 1 to 65535; 1 to 256 slots. n_examples: at least
 * 1. budget: cells that may be handed out; mipro's follow from its trials. Everything else has the
 * method's defaults for a problem of this size. The result is the caller's until
 * dm_search_options_free. */
dm_search_options *dm_search_options_new(dm_search_method method, const size_t *levels,
                                         size_t n_slots, size_t n_examples, size_t budget)
    __attribute__((warn_unused_result));
void dm_search_options_free(dm_search_options *o); /* NULL is fine */
/* false: there is no such option, or it cannot have this value; why (if not NULL, of that size)
 * then says so in one sentence. Booleans are 0 and 1, counts are whole numbers up to 2^53. */
bool dm_search_option_set(dm_search_options *o, const char *name, double value, char *why,
                          size_t size);
double dm_search_option_get(const dm_search_options *o, const char *name); /* NAN: no such option */
/* Optuna's parameter names (tpe, mipro), which set the order of its draws: names[n_slots], copied.
 * Without them it is the slots' order. */
void dm_search_options_names(dm_search_options *o, const char *const *names);

typedef enum dm_search_option_kind {
    DM_SEARCH_BOOL,
    DM_SEARCH_WHOLE,
    DM_SEARCH_REAL
} dm_search_option_kind;

typedef struct dm_search_option {
    const char *name, *help; /* static */
    dm_search_option_kind kind;
    bool constant; /* one of the model's constants, which rarely need to be changed */
} dm_search_option;

/* Option i, from 0; false: i is past the last. */
bool dm_search_option_at(size_t i, dm_search_option *out);

/* Why nothing more is handed out. */
typedef enum dm_search_end {
    DM_SEARCH_GOES_ON,
    DM_SEARCH_BUDGET,  /* the budget, or all trials of a schedule */
    DM_SEARCH_KNOWN,   /* every cell of every candidate is known */
    DM_SEARCH_SCORE,   /* stop_at_score is reached on all examples */
    DM_SEARCH_STALE,   /* no other best candidate for `patience` cells */
    DM_SEARCH_CERTAIN, /* the best can no longer change within the budget */
    DM_SEARCH_STOPPED  /* dm_search_stop */
} dm_search_end;

typedef enum dm_search_kind {
    DM_SEARCH_START,   /* the program as written, and the balanced random start */
    DM_SEARCH_EXPLORE, /* a draw of the model, or of a sampler */
    DM_SEARCH_DECIDE,  /* a contender gets more examples */
    DM_SEARCH_COMPLETE /* a row is completed: full evaluation, finals */
} dm_search_kind;

typedef struct dm_search_unit {
    size_t id;    /* 0, 1, 2, ... in the order of asking */
    size_t trial; /* mipro, tpe, random: Optuna's trial number; others: id */
    dm_search_kind kind;
    size_t
        candidate; /* its number: 0 is the program as written, others in order of first mention */
    const uint16_t *levels; /* [n_slots], borrowed until dm_search_free */
    const size_t *examples; /* [n], borrowed until the unit is told */
    size_t n;
} dm_search_unit;

typedef struct dm_search_estimate {
    size_t candidate;
    const uint16_t *levels; /* [n_slots], borrowed until dm_search_free */
    size_t known;           /* cells with a score */
    double raw; /* their mean; NAN without any. If the cells were chosen, it is not a sample */
    double mean,
        error; /* model's mean over all examples and its standard error, 0 to 1. For stopping
                * and progress; do not print it as a result: it is too high (3 points on average
                * in the winner). Complete the row and print that. Methods without a model: raw */
    double logit, logit_error; /* f_j of (5) and its standard error; factor only */
    bool complete;             /* the scores of all examples that may be scored were told */
} dm_search_estimate;

typedef enum dm_search_answer {
    DM_SEARCH_UNIT, /* a unit was handed out */
    DM_SEARCH_TELL, /* the window is full: the oldest unit must be told first */
    DM_SEARCH_DONE  /* nothing more is handed out (what is in flight may still be told) */
} dm_search_answer;

typedef struct dm_search dm_search;

/* NULL: an option is out of range; why (if not NULL, of that size) then says which, in one
 * sentence. */
dm_search *dm_search_new(const dm_search_options *o, char *why, size_t size)
    __attribute__((warn_unused_result));
void dm_search_free(dm_search *s); /* NULL is fine */

/* Program runs of MIPROv2's schedule: the program as written and `trials` trials. */
size_t dm_search_mipro_runs(size_t trials, size_t n_examples, bool minibatch, size_t minibatch_size,
                            size_t full_eval_steps);

/* Declarations. They may be made until the first unit that could use what they name: the start
 * draws only levels that are early; from unit `constants.start` on every level may be drawn. */

/* Only early levels are drawn in the start. Without any call all levels are early. factor only. */
void dm_search_early(dm_search *s, size_t slot, size_t level);
/* The level cannot be used after all (a proposal that failed). Level 0 cannot be dropped. */
void dm_search_drop_level(dm_search *s, size_t slot, size_t level);
/* A level that was dropped before any unit could use it may be drawn from now on: one that is made
 * while the search goes on. Say it between two asks, as a function of what was told; a search that
 * has ended by DM_SEARCH_KNOWN or DM_SEARCH_CERTAIN goes on then. factor only. */
void dm_search_add_level(dm_search *s, size_t slot, size_t level);
/* Candidates with this level are never run on this example (it is in their demos). */
void dm_search_leak(dm_search *s, size_t slot, size_t level, size_t example);
/* A cell that is already known, at no cost to the budget (factor only); before the first ask. */
void dm_search_known(dm_search *s, const uint16_t *levels, size_t example, double score);

/* Fills *u on DM_SEARCH_UNIT. Which of its cells are unanswered is remembered: no cell is ever
 * handed out twice (mipro: repeated cells are asked again, as DSPy does). */
dm_search_answer dm_search_ask(dm_search *s, dm_search_unit *u);
/* scores[n] of unit id, in the order of its examples, each 0 to 1; a score that is NaN is
 * absent. absent[n] (or NULL): cells that will never have a score; they count as handed out and
 * stay out of every sum. Units may be told in any order, each once; false: no such unit is in
 * flight. */
bool dm_search_tell(dm_search *s, size_t id, const double *scores, const bool *absent);
/* Nothing more is handed out; the best of what is known is the result (call dm_search_best after
 * the last tell). */
void dm_search_stop(dm_search *s);
dm_search_end dm_search_why(const dm_search *s);

/* The candidate to return; before any score, the program as written. Asking changes nothing. */
size_t dm_search_best(const dm_search *s);
double
dm_search_best_mean(const dm_search *s); /* mean of its estimate, for progress; NAN: unknown */
size_t dm_search_candidates(const dm_search *s); /* mentioned so far */
void dm_search_estimate_of(const dm_search *s, size_t candidate, dm_search_estimate *e);
/* Examples of the candidate's row that were neither handed out nor barred: those still to be run
 * before its score may be printed. out[n_examples] or NULL; returns how many. */
size_t dm_search_missing(const dm_search *s, size_t candidate, size_t *out);
/* Score of a cell that was told, or NAN. */
double dm_search_score(const dm_search *s, size_t candidate, size_t example);
const char *dm_search_end_name(dm_search_end e); /* "budget", "score", ... */

/* ------------------------------------------------------------------------------ race */

/* n fixed candidates on the same examples; the aim is the one with the best mean over all of them.
 *
 * DM_RACE_BETTING drops a candidate when it can no longer be the best, except with probability
 * alpha over the whole race and all candidates, however often it looks. For candidate c, null
 * hypothesis "c has the best mean": for each rival j the differences d = y_j - y_c come without
 * replacement from a list with mean <= 0, so given the past E d <= m = -S / (n - t), S the sum of d
 * so far, t the examples seen, and (9)  prod over examples of 1 + lambda (d - m) / (1 + m),  0 <=
 * lambda < 1 is a non-negative supermartingale that starts at 1; it reaches 1 / alpha with
 * probability at most alpha (Ville 1939; Waudby-Smith and Ramdas 2024). Means of such products are
 * such products: over lambda, over rivals, and with a bettor against the leader. Absent cells: the
 * pair skips the example. DM_RACE_HALVING keeps the better half at n / 2^r examples, without any
 * claim.
 *
 * The examples come in one order, shuffled by the seed, in blocks. Blocks are handed out `window`
 * ahead for all candidates that are alive after the results of block b - window. A unit of a
 * dropped candidate may be cancelled: it need not be told. */
typedef enum dm_race_rule { DM_RACE_BETTING, DM_RACE_HALVING } dm_race_rule;

typedef struct dm_race_options {
    dm_race_rule rule;
    size_t n_candidates, n_examples; /* from 1 on */
    double alpha;                    /* .05 */
    size_t block;                    /* 10 examples between looks */
    size_t window;                   /* blocks in flight, from 1 on */
    uint64_t seed;
} dm_race_options;

typedef struct dm_race_unit {
    size_t id, candidate, block;
    const size_t *examples; /* [n], borrowed until dm_race_free */
    size_t n;
} dm_race_unit;

typedef struct dm_race dm_race;

void dm_race_defaults(dm_race_options *o, size_t n_candidates, size_t n_examples);
dm_race *dm_race_new(const dm_race_options *o, char *why, size_t size)
    __attribute__((warn_unused_result));
void dm_race_free(dm_race *r);
/* The candidate is never run on this example; before the first ask. */
void dm_race_leak(dm_race *r, size_t candidate, size_t example);
dm_search_answer dm_race_ask(dm_race *r, dm_race_unit *u);
/* As dm_search_tell. Results of a dropped candidate change nothing. */
bool dm_race_tell(dm_race *r, size_t id, const double *scores, const bool *absent);
/* refused[n] (or NULL): cells without an answer, whose score counts only against a rival that has
 * one; where the rival's is refused or absent too, the pair skips the example. */
bool dm_race_tell_refused(dm_race *r, size_t id, const double *scores, const bool *absent,
                          const bool *refused);
bool dm_race_alive(const dm_race *r, size_t candidate);
/* Best mean of those alive, ties to the first; final once dm_race_ask says DONE and all is told. */
size_t dm_race_winner(const dm_race *r);
/* Mean of the candidate's told cells that were not refused (NAN without any) and their number. */
double dm_race_mean(const dm_race *r, size_t candidate, size_t *known);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
