/* A committee: which candidates vote together, and whether they are worth more than the best of
 * them alone. Numbers in, choices out; what it rests on is measured (src/ensemble/README.md §2).
 *
 * Candidates come in an order, the best first by the search's own estimate: it decides ties, and
 * the first DM_COMMITTEE_POOL are those that may be members. */
#ifndef DM_ENSEMBLE_COMMITTEE_H
#define DM_ENSEMBLE_COMMITTEE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DM_COMMITTEE_POOL = 8,  /* candidates that are looked at: they need complete rows */
    DM_COMMITTEE_SIZE = 5,  /* votes, where no size is given */
    DM_COMMITTEE_MOST = 64, /* votes that a size may ask for */
    DM_COMMITTEE_ROWS = 30, /* with fewer usable rows no committee is chosen */
    DM_COMMITTEE_FOLDS = 5
};
#define DM_COMMITTEE_SE 1.64 /* standard errors that a gain has to pass: one-sided 95 % */

/* What m candidates gave on n rows. */
typedef struct dm_ballots {
    size_t m, n;
    const int *class;    /* [m * n] by candidate: DM_NO_VOTE, DM_NO_ANSWER, or the number of the
                            value that it gave for this row (dm_vote_classes over the candidates) */
    const double *score; /* [m * n] 0 to 1, failure_score and NAN included */
    const bool *usable;  /* [n] rows that count, see dm_ballots_usable; NULL: all */
} dm_ballots;

/* usable[i]: all m candidates count on row i (present), and it is in no demonstration of any:
 * such a row is left out for all, because a member that has seen the answer would be judged on it.
 * present, in_demos: [m * n], in_demos NULL: none. How many there are. */
size_t dm_ballots_usable(const bool *present, const bool *in_demos, size_t m, size_t n,
                         bool *usable);

typedef struct dm_committee {
    size_t n;                          /* members; 0: none was chosen */
    size_t member[DM_COMMITTEE_MOST];  /* candidates, most votes first, then as they were chosen:
                                          the order of the vote */
    uint32_t votes[DM_COMMITTEE_MOST]; /* 1 or more; their sum is the size */
} dm_committee;

/* Greedy selection with replacement: `size` times the candidate after which the Brier score of the
 * shares of votes is lowest, that is the sum over rows of (share of each value - 1 if it is right)
 * squared. For scores between 0 and 1 a value is right by its score. A prediction that votes for
 * nothing is a value of its own. Over the usable rows for which `in` (NULL: all) is true. */
void dm_committee_choose(const dm_ballots *b, const bool *in, size_t size, dm_committee *c);
/* The `size` candidates with the best mean scores, a vote each. Measured to lose 4.8 points where
 * candidates are alike: by name only. */
void dm_committee_top(const dm_ballots *b, const bool *in, size_t size, dm_committee *c);
/* The candidate with the best mean score on these rows. */
size_t dm_committee_single(const dm_ballots *b, const bool *in);
/* What the committee's answer on a row scores: that of the member whose prediction is returned;
 * where all failed, that of the first. */
double dm_committee_score(const dm_ballots *b, const dm_committee *c, size_t row);

typedef void dm_committee_rule(const dm_ballots *b, const bool *in, size_t size, dm_committee *c);

typedef enum dm_guard_verdict {
    DM_GUARD_GAINS,    /* outside the noise: the committee is worth more */
    DM_GUARD_NOISE,    /* no gain, or one inside the noise: the best single */
    DM_GUARD_FEW_ROWS, /* fewer than DM_COMMITTEE_ROWS usable rows: not looked at */
    DM_GUARD_ONE       /* the rule chose one candidate alone */
} dm_guard_verdict;

typedef struct dm_guard {
    dm_guard_verdict verdict;
    double gain; /* mean over rows of committee less single, -1 to 1; NAN: not looked at */
    double se;   /* its standard error */
    size_t n;    /* usable rows */
} dm_guard;

/* Rows in DM_COMMITTEE_FOLDS parts by `seed`: committee and single are chosen on the others of a
 * part and compared on it. The committee itself, from all rows, goes to c, and is there whatever
 * the verdict is (c->n 0: no row is usable). */
dm_guard dm_committee_guarded(const dm_ballots *b, dm_committee_rule *rule, size_t size,
                              uint64_t seed, dm_committee *c);

/* What is known before any committee is tried, from the best candidates (at most 5, by mean
 * score). From .7 and .8 on no rule gained. */
typedef struct dm_forecast {
    double correlation; /* of rightness (a score of .5 or more), mean over pairs; NAN: unknown, as
                           where each is always right or always wrong */
    double same_wrong;  /* of the rows that both of two get wrong, the share with the same value;
                           NAN: there are none */
    size_t candidates;
} dm_forecast;
dm_forecast dm_committee_forecast(const dm_ballots *b);
bool dm_forecast_is_poor(const dm_forecast *f); /* a committee has little to add */

#endif
