/* Answers of models, kept across runs in a folder (job key `cache`).
 *
 * What an answer is found by is a hash of all that was asked: model, sampling, rollout, messages,
 * format, and a tag for the servers; no secret is in it. Failed answers are never kept.
 *
 * A run appends to one file of its own, so runs may share a folder; each sees what was there when
 * it began, and its own. Records are framed as in the journal; what is torn or damaged is skipped,
 * since a cache may forget. A file *.answers that does not begin with such a record is not ours:
 * it is refused, and never written to or removed. Content stays on the disk: an answer
 * that is known costs some 40 bytes of memory. Only the coordinator opens it. */
#ifndef DM_STUDY_CACHE_H
#define DM_STUDY_CACHE_H

#include "base/hash.h"
#include "base/mem.h"
#include "base/status.h"

typedef struct dm_cache dm_cache;

/* Makes the folder if it is missing. force: files in the way are moved aside. NULL: it cannot
 * be read or written to, there are foreign files in it, or (DM_STOP_SIGNAL) a signal asked to end.
 */
dm_cache *dm_cache_open(const char *folder, bool force, dm_error *err) DM_MUST_USE;
/* Flushes and frees; NULL is fine. DM_E_OUTPUT: some answers could not be written. */
dm_status dm_cache_close(dm_cache *c, dm_error *err);
/* The content lives in a. */
bool dm_cache_get(dm_cache *c, const dm_hash *key, dm_arena *a, dm_str *content, bool *truncated);
void dm_cache_put(dm_cache *c, const dm_hash *key, dm_str content, bool truncated);
/* Writes what was put. A cache that cannot be written goes on without; it is said once. */
void dm_cache_flush(dm_cache *c);

typedef struct dm_cache_stats {
    size_t files, answers; /* answers: of different keys */
    uint64_t bytes;
    double oldest, newest; /* wall time, s since 1970; 0 without files */
} dm_cache_stats;
dm_status dm_cache_stats_of(const char *folder, dm_cache_stats *out, dm_error *err) DM_MUST_USE;
/* Removes files that were last written before `before` (wall time), then the oldest until at most
 * max_bytes are left. */
dm_status dm_cache_prune(const char *folder, double before, double max_bytes,
                         dm_cache_stats *removed, dm_error *err) DM_MUST_USE;

#endif
