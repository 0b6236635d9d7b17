/* Framed records (journal.h), read from a file of any size with a window of a megabyte, or from
 * bytes. Reading is linear in the length whatever the bytes are. */
#ifndef DM_STUDY_FRAMES_H
#define DM_STUDY_FRAMES_H

#include "study/journal.h"

#define DM_FRAME_MARK "DMJ1"
#define DM_FRAME_HEAD 16 /* bytes before the payload */
#define DM_FRAME_MOST ((uint32_t)256 << 20)

typedef struct dm_frames {
    int fd;        /* -1: bytes */
    dm_str bytes;  /* all of them; fd: the window */
    uint64_t at;   /* where bytes begin */
    uint64_t size; /* of the whole */
    uint64_t read; /* bytes that were read or checked so far: what the work is counted in */
    size_t step;   /* that are read at once; a megabyte */
    dm_buf window;
    int failed; /* errno of a read; EIO: shorter than it was */
} dm_frames;

dm_frames dm_frames_of_bytes(dm_str bytes);
dm_frames dm_frames_of_file(int fd, uint64_t size); /* the file stays open and the caller's */
void dm_frames_free(dm_frames *f);

typedef struct dm_frame {
    uint64_t at, end; /* of head and payload */
    dm_journal_type type;
    dm_str payload; /* until the next call */
} dm_frame;

/* The whole record at `at`; false: there is none. */
bool dm_frame_read(dm_frames *f, uint64_t at, dm_frame *out);
/* The n bytes at `at`, which are there, until the next call; NULL: a failed read. */
const char *dm_frames_view(dm_frames *f, uint64_t at, size_t n);

/* What is where no whole record is. */
typedef enum dm_tail {
    DM_TAIL_NONE,   /* the end */
    DM_TAIL_TORN,   /* the beginning of a record, or zeros: what a crash leaves */
    DM_TAIL_MIDDLE, /* damage, with whole records behind it (or too much to tell) */
    DM_TAIL_FOREIGN /* bytes that no crash of ours leaves */
} dm_tail;
dm_tail dm_frames_tail(dm_frames *f, uint64_t at);

/* Gives each whole record from the start on to visit, until one that is not whole; the bytes
 * before it are returned. *status: visit's, DM_E_OUTPUT for a failed read, or DM_STOP_SIGNAL. */
uint64_t dm_frames_scan(dm_frames *f, dm_journal_visit *visit, void *user, dm_status *status,
                        dm_error *err);

#endif
