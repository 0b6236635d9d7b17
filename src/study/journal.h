/* The journal: every answer and result that was paid for, before anything acts on it (src/README.md
 * §2).
 *
 * Append-only, one writer. A record is
 *     "DMJ1", length of the payload (u32), type (u32), CRC-32C over length, type and payload (u32),
 *     payload
 * with little-endian numbers; the first record is the header. A file that does not begin with such
 * a header must not be written to: it is refused and left as it is. A tail that was torn by a crash
 * is cut off when the journal is opened, and reported; damage in the middle, or what somebody else
 * appended, is refused, with its offset. Reading takes a megabyte or the largest record; only
 * read(2) and write(2) are used, no mmap, so NFS and Lustre are fine. While it is open the file
 * path.lock says who writes (lock.h); a file that vanishes, is replaced or changed by others ends
 * the writing. */
#ifndef DM_STUDY_JOURNAL_H
#define DM_STUDY_JOURNAL_H

#include "json/value.h"

/* What may be lost when the machine (not only the program) goes down. */
typedef enum dm_fsync {
    DM_FSYNC_EACH, /* nothing that was acted on */
    DM_FSYNC_1S,   /* a second's results */
    DM_FSYNC_NONE  /* what the system had not written yet, some 30 s; a cap may be passed by that */
} dm_fsync;

typedef enum dm_journal_type {
    DM_JOURNAL_HEADER = 1, /* JSON text: what the run is about */
    DM_JOURNAL_ATTEMPT, /* a process began to write; JSON text: version, and what servers serve */
    DM_JOURNAL_CACHED,  /* in files of the answer cache (cache.h); no journal has it any more */
    DM_JOURNAL_RESULT,  /* cell key, result bytes */
    DM_JOURNAL_USAGE,   /* usage of an attempt that gave no result */
    DM_JOURNAL_END,     /* the run is finished: its last line */
    DM_JOURNAL_ANSWER,  /* key of a request (or of a cell, for what it cost beside), dm_answer */
    DM_JOURNAL_TAKEN    /* the cap, and what of it was taken from all accounts on resuming */
} dm_journal_type;

typedef struct dm_journal dm_journal;

/* payload is valid during the call. < 0 ends the reading with that status. */
typedef dm_status dm_journal_visit(void *user, dm_journal_type type, dm_str payload, dm_error *err);

/* Whether what is at path may be opened as this journal, by its kind and its first record:
 * DM_E_OUTPUT with what is wrong and what to do; nothing there is fine. Changes nothing. */
dm_status dm_journal_look(const char *path, const dm_value *header, const dm_value *free,
                          dm_error *err) DM_MUST_USE;
/* Whether a journal of any job begins there. */
bool dm_journal_is_one(const char *path);
/* What its header says; NULL: there is none. Lives in a. */
const dm_value *dm_journal_header(dm_arena *a, const char *path);
/* Opens or makes the journal at path. header: a dict; each of its keys must have the same value in
 * the header of a journal that is there already, else DM_E_OUTPUT naming the key. keys in `free`
 * (dict or NULL) are written too but may differ. All records are given to visit in order. NULL:
 * err has the status; DM_STOP_SIGNAL where a signal asked to end while it was read. */
dm_journal *dm_journal_open(const char *path, dm_fsync fsync, const dm_value *header,
                            const dm_value *free, dm_journal_visit *visit, void *user,
                            dm_error *err) DM_MUST_USE;

/* Puts a record into the buffer. */
void dm_journal_add(dm_journal *j, dm_journal_type type, dm_str payload);
/* Writes what is buffered, and syncs as asked for; looks at each write, and once a second, whether
 * the file is still in its place and as long as it was left. DM_E_OUTPUT when it is not, or the
 * disk is full or broken: then nothing that was added since the last good flush may be acted on. */
dm_status dm_journal_flush(dm_journal *j, double now, dm_error *err) DM_MUST_USE;
/* The same, and synced now, but for DM_FSYNC_NONE. */
dm_status dm_journal_sync(dm_journal *j, double now, dm_error *err) DM_MUST_USE;
dm_status dm_journal_close(dm_journal *j, dm_error *err); /* flushes, syncs, frees; NULL is fine */
/* Where the next record will be, and the payload of one that is there, in the file or not
 * yet; it lives in a. False: it cannot be read. */
uint64_t dm_journal_next(const dm_journal *j);
bool dm_journal_read(const dm_journal *j, uint64_t at, dm_arena *a, dm_str *payload);
/* Bytes in the file, and of them those that stay if the machine goes down. */
uint64_t dm_journal_size(const dm_journal *j);
uint64_t dm_journal_safe(const dm_journal *j);

/* Appends one record to b: for files that are framed alike. */
void dm_journal_frame(dm_buf *b, dm_journal_type type, dm_str payload);
/* The same over bytes, for tests, fuzzers and such files: calls visit for each whole record and
 * returns how many bytes are good; *damaged tells whether a whole record follows after that (damage
 * in the middle). */
size_t dm_journal_scan(dm_str bytes, dm_journal_visit *visit, void *user, bool *damaged,
                       dm_status *status, dm_error *err);

#endif
