/* What a run's answers and its result look like as bytes: in messages and in the journal alike. */
#ifndef DM_POOL_RESULT_H
#define DM_POOL_RESULT_H

#include "pool/pool.h"
#include "study/record.h"

/* How work is run: its fields but the candidate and the role, one item. A cell's key is made of
 * these bytes, so a field that is added here tells cells apart as well. */
void dm_write_how(dm_writer *w, const dm_work *work);
void dm_read_how(dm_reader *r, dm_work *out);

void dm_write_answer(dm_writer *w, const dm_answer *a); /* one item */
dm_answer dm_read_answer(dm_reader *r);                 /* content points into the bytes */
/* A record of the journal: an answer, and the cell whose run asked for it, by dm_hash_mix of its
 * key (0: not known). by may be NULL. False: it is none. */
void dm_write_answer_record(dm_writer *w, const dm_answer *a, uint64_t by);
bool dm_open_answer(dm_record *rec, dm_str bytes, dm_answer *out, uint64_t *by) DM_MUST_USE;
void dm_write_usage(dm_writer *w, const dm_usage *u); /* one item */
dm_usage dm_read_usage(dm_reader *r);

/* A run's result, one item. Kept by the coordinator and the journal as these bytes. */
void dm_write_result(dm_writer *w, const dm_run_result *r);
typedef struct dm_paid { /* what a result says of its requests */
    dm_usage usage;      /* of those without a key */
    dm_hash *keys;       /* [n_keys] of the others; NULL where no arena was given */
    size_t n_keys;
    size_t n_judged; /* of them, the last ones: a judge's */
} dm_paid;
/* Strings point into the bytes; steps and keys (if a is not NULL) are read into a. present and
 * score are as src/README.md §5 says, with failure_score. False: not a result. */
bool dm_read_result(dm_str bytes, double failure_score, dm_arena *a, dm_result *out,
                    dm_paid *paid) DM_MUST_USE;

#endif
