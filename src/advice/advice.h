/* Whether a compilation is worth it: from scores and counts alone, without a call or a clock.
 *
 * Sources: below 80 % worth it, above 90 % little to gain, from 20 examples on: the rules that the
 * DSPy project and its users go by, here with the interval in the place of the score. */
#ifndef DM_ADVICE_ADVICE_H
#define DM_ADVICE_ADVICE_H

#include "base/buf.h"

#define DM_WORTH_BELOW  .8 /* of the start's score */
#define DM_LITTLE_ABOVE .9
#define DM_FEW_TRAIN    20 /* examples to train on: fewer are too few */
#define DM_SOME_TRAIN   50 /* from here on a choice among candidates means something */
#define DM_MANY_TRAIN   100

/* ---- scores, looked at several times ---- */

#define DM_LOOKS 5

/* A mean of scores in 0 to 1 with an interval. n 0: nothing is known, all is NAN. */
typedef struct dm_mean {
    double mean, low, high;
    size_t n;
} dm_mean;

/* How many of `planned` examples are known at look 1 ... DM_LOOKS; never 0. Rising, the last one is
 * planned. */
size_t dm_look_at(size_t planned, size_t look);
/* Half-width, in standard errors, of an interval that is taken after n of planned examples, so that
 * the intervals of all five looks hold the truth together at 95 %: repeated confidence intervals
 * (Jennison and Turnbull 1989, JRSS B 51:305) by the boundary of Wang and Tsiatis (1987, Biometrics
 * 43:193) with shape 1/4, 2.113 (planned / n)^(1/4); the constant is that of Jennison and Turnbull
 * (2000), table 2.11, for five looks. Fewer looks make it only wider than need be. */
double dm_look_width(size_t n, size_t planned);
/* Wilson's score interval (1927, JASA 22:209) of half-width z. Scores between 0 and 1 have no
 * larger variance than mean (1 - mean) (Bhatia and Davis 2000, Am. Math. Monthly 107:353), so it
 * holds for these too; where their own variance is smaller it is Student's (Abramowitz and Stegun
 * 26.7.5), if at least 20 are known and they differ. */
dm_mean dm_mean_of(const double *scores, size_t n, double z);

dm_mean dm_mean_known(double mean, size_t n, double z); /* the same, Wilson's, of a mean alone */

typedef enum dm_side { DM_SIDE_OPEN, DM_SIDE_BELOW, DM_SIDE_BETWEEN, DM_SIDE_ABOVE } dm_side;
/* Where the interval lies against the two thresholds; open: a threshold is in it. */
dm_side dm_side_of(const dm_mean *start);
/* How many examples a look would need to decide, if the score stays as it is; 0: no number of at
 * most 10,000 would. */
size_t dm_examples_to_decide(double score);

/* ---- gains ---- */

/* b - a on the same n examples, at 95 % for `tests` such differences together (Bonferroni). Of 0
 * and 1: the adjusted Wald interval of Bonett and Price (2012, J. Educ. Behav. Stat. 37:479), which
 * holds its level where few examples differ; else Student's. */
dm_mean dm_gain_of(const double *a, const double *b, size_t n, size_t tests);
/* The smallest gain that McNemar's exact test (1947, Psychometrika 12:153) at 5 % can show on n
 * examples where one is lost: 7 of n, as 8 gained and 1 lost are outside chance. NAN: none can. */
double dm_smallest_gain(size_t n);

/* ---- the verdict ---- */

typedef enum dm_worth {
    DM_ADVICE_WORTH_IT,
    DM_ADVICE_LITTLE,
    DM_ADVICE_FIX_FIRST,
    DM_ADVICE_MORE_EXAMPLES,
    DM_ADVICE_UNCLEAR
} dm_worth;
const char *dm_advice_name(dm_worth a);  /* "worth_it", ... */
const char *dm_advice_words(dm_worth a); /* "worth it", ... */

typedef struct dm_known {
    bool fix;             /* something has to be mended first */
    size_t n_train;       /* different examples to train on */
    dm_mean start;        /* n 0: it was not asked */
    const dm_mean *gains; /* [n_gains] of the probes against the start */
    size_t n_gains;
    double needed; /* gain in score from which on it pays; NAN: not asked */
} dm_known;
/* First what has to be mended, then a start above 90 % or a gain that cannot pay, then too few
 * examples, then a start below 80 % or a probe that gains for sure. */
dm_worth dm_advise(const dm_known *k);

/* Name of the optimizer for so many different examples to train and to validate on. */
const char *dm_fitting_optimizer(size_t n_train, size_t n_val);

#endif
