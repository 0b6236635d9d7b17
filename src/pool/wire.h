/* Messages between coordinator and workers: one msgpack array each, [version, type, ...]. */
#ifndef DM_POOL_WIRE_H
#define DM_POOL_WIRE_H

#include "pool/setup.h"
#include "runner/runner.h"
#include "study/record.h"

#define DM_WIRE_VERSION 1

typedef enum dm_message_type {
    /* coordinator to worker */
    DM_MSG_SETUP = 1, /* worker number, JSON of the setup */
    DM_MSG_SHARD,     /* new states: [[id, program JSON or nil (the setup's), candidate JSON, work],
                       * ...],     tasks: [[task, state id, requests at most (0: any), row id or -1,
                       * row JSON or nil, [answer ...]], ...] */
    DM_MSG_SLOTS,     /* [runs at once of each role's model] */
    DM_MSG_BYE,
    DM_MSG_FOUND, /* [[task, content or nil, truncated] ...]: what is known of the keys asked for */
    /* worker to coordinator */
    DM_MSG_HELLO,   /* host name, pid */
    DM_MSG_RESULTS, /* [item ...]: [0, task, answer], [1, task, result]; with a cache also [2, task,
                     * key]: is its answer known? and [3, task, [key, content or nil, truncated]]:
                     * what the model said */
    DM_MSG_FAILED,  /* status, sentence: this rank cannot go on */
    DM_MSG_LOG,     /* level, line */
    DM_MSG_FAILING, /* role: a call of it failed on the way and goes on trying */
    DM_MSG_DRAIN,   /* to a worker: no new calls; back, empty: none is in flight any more */
    /* either way: a worker to the coordinator, which hands it on to the others */
    DM_MSG_SLOW /* role, server's number, seconds: it asked for fewer calls, and for a pause */
} dm_message_type;

/* Starts a message in b (which is initialised here) with n items after the type. */
void dm_message_begin(dm_buf *b, dm_writer *w, dm_message_type type, size_t n);
/* Checks version and type; false: not a message of ours. The record is to be freed either way. */
bool dm_message_open(dm_record *r, dm_str bytes, dm_message_type *type,
                     dm_reader *items) DM_MUST_USE;

/* The setup as JSON text, and back. What is read lives in a. */
void dm_setup_write(dm_buf *b, const dm_setup *s);
dm_status dm_setup_read(dm_arena *a, dm_str text, dm_setup *out, dm_error *err) DM_MUST_USE;
/* Rows that every rank knows by number: those of the sets in order, sets given twice counted once.
 */
typedef struct dm_rows {
    const dm_dataset *sets[3]; /* [n_sets] */
    size_t n_sets, n;
} dm_rows;
dm_rows dm_setup_rows(const dm_setup *s);
const dm_example *dm_row(const dm_rows *r, size_t i); /* i < n */

void dm_write_work(dm_writer *w, const dm_work *work); /* one item; without the candidate */
dm_work dm_read_work(dm_reader *r);
void dm_write_answer(dm_writer *w, const dm_answer *a); /* one item */
dm_answer dm_read_answer_fields(dm_reader *in);         /* of the item that in stands in */
dm_answer dm_read_answer(dm_reader *r);                 /* content points into the message */
/* A run's result, one item. Kept by the coordinator and the journal as these bytes. */
void dm_write_result(dm_writer *w, const dm_run_result *r);
/* Strings point into the bytes; steps (if any and if a is not NULL) are parsed into a. present and
 * score are as src/README.md §5 says, with failure_score. False: not a result. */
bool dm_read_result(dm_str bytes, double failure_score, dm_arena *a, dm_result *out,
                    dm_usage *usage) DM_MUST_USE;

#endif
