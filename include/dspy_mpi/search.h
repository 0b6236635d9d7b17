/* Search over a grid of choices from single scores: ask what to run next, tell what came out.
 *
 *   A candidate is a vector of levels, one a slot: which instruction and which demo set each
 * predictor of a program gets. Level 0 of every slot is the program as written. A cell is the score
 * of one candidate on one example, between 0 and 1; it costs one program run. The search hands out
 * units (a candidate and some examples), is told their scores, and names the candidate with the
 * best mean over all examples.
 *
 * Nothing here knows of processes, clocks or models. The course of a search is a function of the
 * options, of what was declared before the first ask, and of the scores: decision k reads the
 * results of units 0 .. k - window only, in the order of the units, whenever they were told. So any
 * number of workers, and a run that is resumed by replaying its scores, decide alike. That holds
 * across machines with the same floating-point arithmetic and math library; build without
 * -ffast-math and with -ffp-contract=off.
 *
 * One thread at a time may use a handle; handles are independent. Memory that runs out ends the
 * process. Ownership: what dm_search_new and dm_race_new return is the caller's until the _free;
 * all pointers that are handed out are borrowed, for as long as said.
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
 * candidate away from the sum of its parts as far as they are worth it
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

typedef struct dm_search_options {
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
} dm_search_options;

/* Why nothing more is handed out. */
typedef enum dm_search_end {
    DM_SEARCH_GOES_ON,
    DM_SEARCH_BUDGET,  /* the budget, or all trials of a schedule */
    DM_SEARCH_KNOWN,   /* every cell of every candidate is known */
    DM_SEARCH_SCORE,   /* stop_at_score is reached on all examples */
    DM_SEARCH_STALE,   /* no other best candidate for `patience` cells */
    DM_SEARCH_CERTAIN, /* the best cannot change any more within the budget */
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
    double raw; /* their mean; NAN without any. Where the cells were chosen it is no sample */
    double mean,
        error; /* model's mean over all examples and its standard error, 0 to 1. For stopping
                * and progress; do not print it as a result: it is too high (3 points on average
                * in the winner). Complete the row and print that. Methods without a model: raw */
    double logit, logit_error; /* f_j of (5) and its standard error; factor only */
    bool complete;             /* every example that may be scored was told */
} dm_search_estimate;

typedef enum dm_search_answer {
    DM_SEARCH_UNIT, /* a unit was handed out */
    DM_SEARCH_TELL, /* the window is full: the oldest unit must be told first */
    DM_SEARCH_DONE  /* nothing more is handed out (what is in flight may still be told) */
} dm_search_answer;

typedef struct dm_search dm_search;

/* Sets every field but slots and levels, which are set before: defaults of the method for this size
 * of problem. For mipro the budget is what the schedule runs (dm_search_mipro_runs). */
void dm_search_defaults(dm_search_options *o, dm_search_method method, size_t n_examples,
                        size_t budget);
/* NULL: an option is out of range; why (if not NULL, of that size) then says which, in one
 * sentence. */
dm_search *dm_search_new(const dm_search_options *o, char *why, size_t size)
    __attribute__((warn_unused_result));
void dm_search_free(dm_search *s); /* NULL is fine */

/* Program runs of MIPROv2's schedule: the program as written and `trials` trials. */
size_t dm_search_mipro_runs(size_t trials, size_t n_examples, bool minibatch, size_t minibatch_size,
                            size_t full_eval_steps);

/* Declarations. They may come until the first unit that could use what they name: the start draws
 * only levels that are early; from unit `constants.start` on every level may be drawn. */

/* Only early levels are drawn in the start. Without any call all levels are early. factor only. */
void dm_search_early(dm_search *s, size_t slot, size_t level);
/* The level cannot be used after all (a proposal that failed). Level 0 stays. */
void dm_search_drop_level(dm_search *s, size_t slot, size_t level);
/* A level that was dropped before any unit could use it may be drawn from now on: one that is made
 * while the search goes on. Say it between two asks, as a function of what was told; a search that
 * has ended by DM_SEARCH_KNOWN or DM_SEARCH_CERTAIN goes on then. factor only. */
void dm_search_add_level(dm_search *s, size_t slot, size_t level);
/* Candidates with this level are never asked on this example (it sits in their demos). */
void dm_search_leak(dm_search *s, size_t slot, size_t level, size_t example);
/* A cell that is known already, at no cost to the budget (factor only); before the first ask. */
void dm_search_known(dm_search *s, const uint16_t *levels, size_t example, double score);

/* Fills *u on DM_SEARCH_UNIT. Which of its cells are unanswered is remembered: no cell is ever
 * handed out twice (mipro: repeated cells are asked again, as DSPy does). */
dm_search_answer dm_search_ask(dm_search *s, dm_search_unit *u);
/* scores[n] of unit id, in the order of its examples, each 0 to 1; a score that is no number is
 * absent. absent[n] (or NULL): cells that will never have a score; they count as handed out and
 * stay out of every sum. Units may be told in any order, each once; false: no such unit is in
 * flight. */
bool dm_search_tell(dm_search *s, size_t id, const double *scores, const bool *absent);
/* Nothing more is handed out; the best of what is known stands (call dm_search_best after the last
 * tell). */
void dm_search_stop(dm_search *s);
dm_search_end dm_search_why(const dm_search *s);

/* The candidate to return; before any score, the program as written. Asking changes nothing. */
size_t dm_search_best(const dm_search *s);
double
dm_search_best_mean(const dm_search *s); /* its estimate's mean: for progress; NAN: unknown */
size_t dm_search_candidates(const dm_search *s); /* mentioned so far */
void dm_search_estimate_of(const dm_search *s, size_t candidate, dm_search_estimate *e);
/* Examples of the candidate's row that were neither handed out nor barred: what is left to run
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
 * ahead for all that are alive by the results of block b - window. A unit of a dropped candidate
 * may be cancelled: it need not be told. */
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
/* Candidate c is never asked on this example; before the first ask. */
void dm_race_leak(dm_race *r, size_t candidate, size_t example);
dm_search_answer dm_race_ask(dm_race *r, dm_race_unit *u);
/* As dm_search_tell. What is told of a dropped candidate changes nothing. */
bool dm_race_tell(dm_race *r, size_t id, const double *scores, const bool *absent);
/* refused[n] (or NULL): cells without an answer, whose score stands only against a rival that has
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
