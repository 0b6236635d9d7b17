/* From results of programs to votes: no call is made here. */
#ifndef DM_ENSEMBLE_RESULTS_H
#define DM_ENSEMBLE_RESULTS_H

#include "ensemble/file.h"
#include "pool/pool.h"

/* What m candidates gave on n rows as ballots for a committee: results[j][n] of candidate j. field
 * and as_text: as the vote will go by. in_demos [m * n] (NULL: none): rows that are in a
 * candidate's demonstrations. All lives in a. */
dm_ballots dm_ballots_of(dm_arena *a, const dm_result *const *results, size_t m, size_t n,
                         dm_str field, bool as_text, const bool *in_demos);

/* A member that got no answer because of a transport failure, which is not its fault: no
 * connection, outage, endpoint. Other faults are its own: it has no vote. */
bool dm_got_nothing(const dm_result *r);

typedef struct dm_verdict {
    size_t voter;     /* whose prediction is the answer; DM_ABSTAINS; DM_NOBODY: there is none */
    bool open;        /* voters that were not asked can change it (of two waves) */
    bool absent;      /* strict, and a voter got nothing: the example does not count */
    dm_result result; /* that voter's; without one, of a voter that says why; where unanimous
                         abstains, one that is not present and has no fault */
} dm_verdict;

/* What it answered; NULL: nothing. */
const dm_value *dm_answer_of(dm_arena *a, const dm_result *r, dm_str field);
/* The last output of the first of [n] that answered, which is what DSPy votes on; NULL: of none. */
dm_str dm_last_output(dm_arena *a, const dm_result *results, size_t n);
/* results[asked] of the first of n voters, by the ensemble's rule; votes [n]. strict: see ask.h. */
dm_verdict dm_ensemble_verdict(const dm_ensemble *e, const dm_result *const *results,
                               const uint32_t *votes, size_t asked, size_t n, bool strict);

#endif
