/* The vote of several programs on one input.
 *
 * A vote returns one member's prediction as it is, never a mixture: so its score is the score that
 * this member has. Members have an order, which decides ties. A member counts as often as it
 * has votes; DSPy has no votes, there it is in the list that many times. */
#ifndef DM_ENSEMBLE_VOTE_H
#define DM_ENSEMBLE_VOTE_H

#include "json/value.h"

typedef enum dm_reduce {
    DM_REDUCE_MAJORITY,  /* dspy.majority: most votes, texts as DSPy normalises answers */
    DM_REDUCE_EXACT,     /* most votes, equality of values: dspy.majority with normalize=None */
    DM_REDUCE_UNANIMOUS, /* the one value that all gave who voted, else no answer */
    DM_REDUCE_BEST_PER_INPUT, /* no vote: one member is asked, by likeness of inputs (route.h) */
    DM_REDUCE_BEST_OF,        /* a judge picks among the values; else the one with the most votes */
    DM_REDUCES
} dm_reduce;
const char *dm_reduce_name(dm_reduce r);              /* "majority", ... */
bool dm_reduce_named(dm_str name, dm_reduce *reduce); /* false: there is none */

/* What a member gave: a class from 0 on, or one of these. */
enum {
    DM_NO_VOTE = -1,  /* a prediction that votes for nothing: null, or a text of articles,
                         punctuation and blanks alone ("A" too, as with DSPy) */
    DM_NO_ANSWER = -2 /* no prediction: the member failed, or was not asked */
};

/* class[i] of values[i] (NULL: no prediction): equal values have one class; classes are numbered
 * as they first appear, so that what comes later in the list changes none.
 * as_text: texts are compared as DSPy normalises answers; else, and for what is no text, values are
 * equal as in Python (1, 1.0 and true are one), where dspy.majority raises TypeError. */
void dm_vote_classes(const dm_value *const *values, size_t n, bool as_text, int *class);

/* Whether the rule tells values apart by their text. exact_field: the output is no str, or a
 * Literal, for which `unanimous` goes by equality of values. */
bool dm_reduce_as_text(dm_reduce r, bool exact_field);

#define DM_NOBODY   SIZE_MAX       /* no member has a prediction */
#define DM_ABSTAINS (SIZE_MAX - 1) /* unanimous: not all gave the same, or nobody voted */
/* The member whose prediction is the answer: the first with the value that has the most votes; of
 * values with equally many, the one that comes first. If no member voted, the first that has a
 * prediction. votes [n]; NULL: one each. */
size_t dm_vote(dm_reduce r, const int *class, const uint32_t *votes, size_t n);

/* ---- two waves: the same answers, fewer calls ----
 * First are asked the first members that make more than half of the votes; the others only for
 * inputs whose answer they can still change. */
size_t dm_vote_first_wave(const uint32_t *votes, size_t n); /* how many; n at the most */
/* Whether members asked, asked + 1, ..., n - 1 can change what dm_vote says of the first ones.
 * class [asked]. */
bool dm_vote_is_open(dm_reduce r, const int *class, const uint32_t *votes, size_t asked, size_t n);

/* ---- size: only some members are asked for an input ---- */

/* k <= n of n members by hash of the input, in the order of the list: the same input has the same
 * members always, and each member is drawn equally often. input: dm_json_hash of its fields. What
 * DSPy leaves undone (deterministic=True is an assertion there); DSPy draws from Python's global
 * stream, which dm_pyrandom_sample gives draw for draw. */
void dm_vote_draw(const dm_hash *input, size_t n, size_t k, size_t *members);

#endif
