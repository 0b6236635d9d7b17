/* trials.csv and candidates/ while a compile runs, of its members too: what is known of candidates
 * so far (pool/setup.h). At the end they are written again, in the optimizer's own order. */
#ifndef DM_CMD_GROWTH_H
#define DM_CMD_GROWTH_H

#include "cmd/job.h"

typedef struct dm_book { /* of one compilation */
    const void *who;
    dm_job job;
    size_t n; /* lines */
    bool news;
    dm_buf text;
} dm_book;

typedef struct dm_growth {
    dm_arena *arena;
    const dm_job *job;
    dm_book *books; /* [n_books] */
    size_t n_books, cap_books;
    size_t *seen; /* [n_seen] of each row: what was known of it when it was written */
    size_t n_seen, cap_seen;
    double at, took; /* dm_now() of the last time, and how long it took */
} dm_growth;

/* Writes what is new, at most every two seconds and for a fiftieth of the time. */
void dm_growth_write(dm_growth *g, const dm_pool_stats *stats);
void dm_growth_free(dm_growth *g);
/* Removes the files of candidates from number n on, which the final list does not have. */
void dm_growth_trim(dm_arena *a, const dm_job *job, size_t n);

#endif
