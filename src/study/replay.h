/* What a journal knows: results by cell key, answers by the key of their request. Resume is replay
 * (src/README.md §2): the optimizer starts again from the top, and work that is found here
 * completes at once. */
#ifndef DM_STUDY_REPLAY_H
#define DM_STUDY_REPLAY_H

#include "study/amount.h"
#include "study/journal.h"

typedef struct dm_replay dm_replay;

dm_replay *dm_replay_new(void); /* keeps a copy of all that it is given */
/* Keeps 16 bytes a record, and reads what is asked for from the journal at path: it has to be given
 * all records of that file, from the first on. */
dm_replay *dm_replay_of_file(const char *path);
/* What the journal at path knows, to which nobody writes; NULL: it cannot be read. */
dm_replay *dm_replay_open(const char *path, dm_error *err) DM_MUST_USE;
void dm_replay_free(dm_replay *r);
/* A dm_journal_visit that keeps what is of use; user is the dm_replay. */
dm_status dm_replay_visit(void *user, dm_journal_type type, dm_str payload, dm_error *err);

size_t dm_replay_results(const dm_replay *r); /* how many cells are done */
/* The result bytes of a cell, until the next result is asked for; .p NULL: it is not done. */
dm_str dm_replay_result(dm_replay *r, const dm_hash *key);
/* The i-th answer under a key, as bytes, until the next one is asked for; .p NULL: no more. */
dm_str dm_replay_answer(dm_replay *r, const dm_hash *key, size_t i);

/* Where the answer is that was returned last. */
uint64_t dm_replay_place(const dm_replay *r);
/* Only records from there on, and before `until`, are found; at first all are. */
void dm_replay_window(dm_replay *r, uint64_t from, uint64_t until);

typedef struct dm_replayed {
    dm_journal_type type; /* RESULT or ANSWER */
    dm_hash key;
    uint64_t at; /* where it is */
    dm_str bytes;
} dm_replayed;
/* The result of each cell that is done, and all answers: each cost is in one of them only, so the
 * sum is that of all attempts. */
void dm_replay_each(dm_replay *r, void (*visit)(void *user, const dm_replayed *record), void *user);
/* Where the result of a cell is, by dm_hash_mix of its key; UINT64_MAX: it is not done. */
uint64_t dm_replay_done_at(dm_replay *r, uint64_t mix);

/* What the attempts so far may have spent at the most; zeros where no cap was set. */
dm_amount dm_replay_mark(const dm_replay *r);
typedef struct dm_replay_taken { /* a DM_JOURNAL_TAKEN */
    uint64_t at;
    dm_amount cap, gone;
} dm_replay_taken;
/* [*n], in their order; it lives as long as r. */
const dm_replay_taken *dm_replay_all_taken(const dm_replay *r, size_t *n);

/* Records: [key, bytes]. */
bool dm_journal_cell_read(dm_str payload, dm_hash *key, dm_str *bytes); /* false: it is none */
void dm_journal_cell(dm_journal *j, dm_journal_type type, const dm_hash *key, dm_str bytes);

#endif
