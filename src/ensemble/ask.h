/* An ensemble asked: its members' cells are ordinary cells, found, journaled and paid for as those
 * of any program, and the vote makes no call. */
#ifndef DM_ENSEMBLE_ASK_H
#define DM_ENSEMBLE_ASK_H

#include "ensemble/results.h"

typedef struct dm_asking {
    bool scored; /* the metric is run on what members answer */
    /* A member that got no answer because of a transport failure makes the example absent, as for
     * a single program; else those that answered vote. */
    bool strict;
    bool at_once;         /* all members in one wave: quicker, dearer, the same answers */
    const dm_str *inputs; /* [n_inputs] the columns that are inputs; size and router go by those of
                             them that members read, or by all where these are in Python */
    size_t n_inputs;
    int64_t seed;  /* of Python's stream, where the ensemble draws as DSPy does */
    size_t before; /* inputs that were asked already: the stream goes on behind them */
} dm_asking;

typedef struct dm_asked {
    /* [n] of the member whose prediction is the answer. Where there is none: the result of a member
     * that says why, or, where unanimous abstains, one that is not present and has no fault. */
    dm_result *results;
    size_t *member; /* [n] which member that is; DM_ABSTAINS; DM_NOBODY: no prediction */
    size_t runs;    /* of members on inputs; a member is asked once, however many its votes */
    double calls;   /* that these make where each answer can be read */
    size_t all;     /* what it would have been in one wave */
    size_t second;  /* inputs that needed the second wave */
    size_t abstained;
    size_t picked,
        unread;     /* best_of: inputs on which the judge was asked; it said nothing usable */
    size_t without; /* inputs for which a member that was asked got no answer by the way */
} dm_asked;

/* > 0: the run is stopping, and nothing is in out. Results live as long as the pool. */
dm_status dm_ensemble_ask(dm_pool *p, const dm_ensemble *e, const dm_asking *how,
                          const dm_dataset *set, dm_asked *out, dm_error *err) DM_MUST_USE;

/* "3 members, 5 votes, majority on answer: 2.38 asked an input, 3.00 in one wave; a second wave for
 * 37.5 %": a line. */
void dm_asked_text(dm_buf *b, const dm_ensemble *e, const dm_asked *r, size_t n);
dm_value *dm_asked_json(dm_arena *a, const dm_ensemble *e, const dm_asked *r, size_t n);

#endif
