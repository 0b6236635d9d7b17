/* Scores with what they are worth: means, 95 % intervals, paired differences. */
#ifndef DM_REPORT_SCORE_H
#define DM_REPORT_SCORE_H

#include "pool/setup.h"

typedef struct dm_score {
    double score, low, high; /* 0 to 1; NAN when n is 0 */
    double corrected;        /* of a selected winner: what low and high lie around; else NAN */
    size_t n;                /* examples that count */
    size_t failed;           /* examples with an error: absent, or counted with failure_score */
    size_t fallback, truncated, parse, refused; /* of all examples (src/README.md §5) */
} dm_score;

/* Scores of 0 and 1 have Wilson's interval (1927), others Student's for a mean. */
dm_score dm_score_of(const dm_result *r, size_t n); /* r NULL: nothing was scored */
/* Beside the other program's results on the same examples: a refusal counts, with failure_score,
 * where the other one has a score (dm_counts_against). other NULL: as dm_score_of. */
dm_score dm_score_against(const dm_result *r, const dm_result *other, size_t n);
dm_score dm_score_of_tally(const dm_tally *t);
/* A winner that was selected by this score: it is then se standard errors too high in the mean.
 * Sets corrected and moves the interval, which need not contain the score any more; the score
 * stays. Does nothing where se is 0. */
void dm_score_selected(dm_score *s, double se);
dm_value *dm_score_json(dm_arena *a, const dm_score *s); /* {"score", "low", "high", "n", "failed",
                                                          * "parse", "refused", "fallback",
                                                          * "truncated"}, and "corrected" where
                                                          * there is one */

typedef struct dm_difference {
    double mean, low, high; /* b - a over the examples that count for both; 95 %, Student's */
    size_t n, up, down;     /* examples that count for both; where b is better, worse */
    bool binary;            /* all scores are 0 or 1 */
} dm_difference;
/* Of two programs on the same examples, each against the other (dm_counts_against). */
dm_difference dm_paired(const dm_result *a, const dm_result *b, size_t n);
/* Scores of 0 and 1: McNemar's exact test (1947) at 5 %, as Student's interval is too short where
 * few examples differ. Others: Student's interval, and at least 6 examples that differ: the signs
 * of fewer can be one-sided by chance in more than 5 %. */
double dm_sign_test(const dm_difference *d); /* p, two-sided, of the examples that differ */
const char *
dm_verdict_text(const dm_difference *d); /* "better", "worse", "no difference outside the noise" */
/* {"mean", "low", "high", "n", "better", "worse", "test", "p", "verdict"}; p null: the interval is
 * all there is. */
dm_value *dm_difference_json(dm_arena *a, const dm_difference *d);

#endif
