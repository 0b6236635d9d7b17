/* Messages between coordinator and workers: one msgpack array each, [DM_WIRE_VERSION, type, ...].
 * This file owns their layout: a struct for each, a function that writes it (dm_wire_put_) and one
 * that reads it (dm_wire_get_). Writers initialise b, which the caller then sends or frees. Readers
 * are given the items of an opened message; false: the message is not as it should be, and what was
 * read is of no use. Strings point into the message's bytes, a .p of NULL is "none". */
#ifndef DM_POOL_WIRE_H
#define DM_POOL_WIRE_H

#include "base/log.h"
#include "pool/result.h"
#include "pool/setup.h"

#define DM_WIRE_VERSION  4
#define DM_WIRE_TEXT(v)  DM_WIRE_TEXT_(v)
#define DM_WIRE_TEXT_(v) #v
/* What has to be the same on all ranks, in words. */
#define DM_BUILD "dspy-mpi " DM_VERSION " (wire " DM_WIRE_TEXT(DM_WIRE_VERSION) ")"

typedef enum dm_message_type {
    /* coordinator to worker */
    DM_MSG_SETUP = 1, /* dm_wire_setup */
    DM_MSG_SHARD,     /* dm_wire_state ..., dm_wire_task ... */
    DM_MSG_SLOTS,     /* dm_wire_slots */
    DM_MSG_BYE,       /* nothing: the run is over */
    DM_MSG_FOUND,     /* dm_wire_found ... */
    DM_MSG_PACE,      /* dm_wire_pace */
    /* worker to coordinator */
    DM_MSG_HELLO,   /* dm_wire_hello */
    DM_MSG_RESULTS, /* dm_wire_item ... */
    DM_MSG_FAILED,  /* dm_wire_failed: this rank cannot go on */
    DM_MSG_LOG,     /* dm_wire_log */
    DM_MSG_FAILING, /* dm_wire_failing: a call failed on its way and goes on trying */
    DM_MSG_TALLY,   /* dm_wire_tally */
    DM_MSG_DRAIN,   /* nothing. To a worker: no new calls; back: none is in flight any more */
    /* either way: a worker to the coordinator, which hands it on to the others */
    DM_MSG_SLOW,   /* dm_wire_slow */
    DM_MSG_LIMITS, /* dm_wire_limits */
    DM_MESSAGE_TYPES
} dm_message_type;

typedef struct dm_wire_message {
    dm_record record;
    dm_message_type type;
    dm_reader items; /* behind the type */
} dm_wire_message;

/* False: not a message, or of another wire version. Those of SETUP and HELLO are read in any
 * version, up to the build, so that ranks of another one can be named. m is to be closed either
 * way. */
bool dm_wire_open(dm_wire_message *m, dm_str bytes) DM_MUST_USE;
void dm_wire_close(dm_wire_message *m);

/* A message without items: BYE, DRAIN. */
void dm_wire_put_empty(dm_buf *b, dm_message_type type);

/* A list that is put together item by item before its message leaves. */
typedef struct dm_wire_list {
    dm_buf bytes;
    size_t n;
} dm_wire_list;
void dm_wire_list_init(dm_wire_list *l);
void dm_wire_list_free(dm_wire_list *l);

/* ---- SETUP: the first message to a worker ---- */

typedef struct dm_wire_setup {
    dm_str build;  /* of the coordinator: DM_BUILD */
    size_t worker; /* its number, from 0 */
    dm_str json;   /* of dm_setup_write; empty in one process */
} dm_wire_setup;
void dm_wire_put_setup(dm_buf *b, size_t worker, dm_str json);
/* Of another build only that is read, and the rest is 0. */
bool dm_wire_get_setup(dm_wire_message *m, dm_wire_setup *out) DM_MUST_USE;

/* ---- SHARD: work ---- */

typedef struct dm_wire_state { /* a program state that tasks name from now on */
    size_t id;
    dm_str program;   /* JSON; none: the setup's */
    dm_str candidate; /* JSON */
    dm_work work;     /* its candidate is NULL */
} dm_wire_state;

typedef struct dm_wire_task { /* a run of a state on an example */
    int64_t id;
    size_t state;
    int64_t most;     /* requests that it may send; 0: any number */
    bool asks_only;   /* to find out whether its first call is answered */
    int64_t row;      /* in one process: its number (dm_setup_rows); else -1 */
    dm_str json;      /* else the row itself */
    unsigned formats; /* that its model refuses (runner.h) */
    bool asks_format; /* it is to find out */
} dm_wire_task;

void dm_wire_add_state(dm_wire_list *states, const dm_wire_state *s);
void dm_wire_add_task(dm_wire_list *tasks, const dm_wire_task *t);
/* Empties the lists. b is full (dm_buf) when it would be over DM_MAX_MESSAGE. */
void dm_wire_put_shard(dm_buf *b, dm_wire_list *states, dm_wire_list *tasks);
bool dm_wire_get_shard(dm_wire_message *m, dm_reader *states, dm_reader *tasks) DM_MUST_USE;
/* The next of the list; false: it is at its end, or bad. */
bool dm_wire_next_state(dm_reader *states, dm_wire_state *out) DM_MUST_USE;
bool dm_wire_next_task(dm_reader *tasks, dm_wire_task *out) DM_MUST_USE;

/* ---- SLOTS: runs at once of each role's model ---- */

typedef struct dm_wire_slots {
    int64_t n[DM_ROLES];
} dm_wire_slots;
void dm_wire_put_slots(dm_buf *b, const dm_wire_slots *s);
bool dm_wire_get_slots(dm_wire_message *m, dm_wire_slots *out) DM_MUST_USE;

/* ---- FOUND: what is known of the keys that a worker asked for ---- */

typedef enum dm_found {
    DM_FOUND_ASK,    /* nobody knows: the worker asks the model */
    DM_FOUND_ANSWER, /* answer, or why there is none */
    DM_FOUND_BACK,   /* the run is to be dropped: its cell goes out again later */
    DM_FOUND_KINDS
} dm_found;

typedef struct dm_wire_found {
    int64_t task;
    uint32_t call; /* as it was asked */
    dm_found kind;
    int64_t odd; /* ASK: replies that were no answers so far */
    dm_answer answer;
} dm_wire_found;
void dm_wire_add_found(dm_wire_list *l, const dm_wire_found *f);
void dm_wire_put_found(dm_buf *b, dm_wire_list *l); /* empties the list */
bool dm_wire_get_found(dm_wire_message *m, dm_reader *list) DM_MUST_USE;
bool dm_wire_next_found(dm_reader *list, dm_wire_found *out) DM_MUST_USE;

/* ---- HELLO: a worker has read its setup, or will not ---- */

typedef struct dm_wire_hello {
    dm_str build; /* DM_BUILD; of another one it is all that is read */
    dm_str host;
    int64_t pid;
} dm_wire_hello;
void dm_wire_put_hello(dm_buf *b, dm_str host, int64_t pid);
bool dm_wire_get_hello(dm_wire_message *m, dm_wire_hello *out) DM_MUST_USE;
bool dm_wire_same_build(dm_str build);

/* ---- RESULTS: what tasks came to, in the order in which it came ---- */

typedef enum dm_item_kind {
    DM_ITEM_ANSWER, /* key, answer: what a model said */
    DM_ITEM_RESULT, /* result, usage unless it is none: the run has ended */
    DM_ITEM_FIND,   /* key, call: is the answer to this known? */
    DM_ITEM_KINDS
} dm_item_kind;

typedef struct dm_wire_item {
    dm_item_kind kind;
    int64_t task;
    dm_answer answer;
    dm_str result;  /* the bytes of dm_write_result */
    dm_usage usage; /* of the call that the run failed at, if it made it itself */
    dm_hash key;
    uint32_t call;
    uint32_t predictor; /* whose request was answered */
} dm_wire_item;
void dm_wire_add_item(dm_wire_list *l, const dm_wire_item *it);
void dm_wire_put_results(dm_buf *b, dm_wire_list *l); /* empties the list */
bool dm_wire_get_results(dm_wire_message *m, dm_reader *list) DM_MUST_USE;
bool dm_wire_next_item(dm_reader *list, dm_wire_item *out) DM_MUST_USE;

/* ---- what a worker says of itself ---- */

typedef struct dm_wire_failed {
    dm_status status; /* < 0 */
    dm_str text;      /* one sentence */
} dm_wire_failed;
void dm_wire_put_failed(dm_buf *b, dm_status status, dm_str text);
bool dm_wire_get_failed(dm_wire_message *m, dm_wire_failed *out) DM_MUST_USE;

typedef struct dm_wire_log {
    dm_level level;
    dm_str line;
} dm_wire_log;
void dm_wire_put_log(dm_buf *b, dm_level level, dm_str line);
bool dm_wire_get_log(dm_wire_message *m, dm_wire_log *out) DM_MUST_USE;

void dm_wire_put_failing(dm_buf *b, dm_role role);
bool dm_wire_get_failing(dm_wire_message *m, dm_role *out) DM_MUST_USE;

typedef struct dm_wire_slow { /* a server asked for fewer calls, and for a pause */
    dm_role role;
    size_t endpoint; /* of the role's model, from 0 */
    double seconds;  /* 0: none */
} dm_wire_slow;
void dm_wire_put_slow(dm_buf *b, const dm_wire_slow *s);
bool dm_wire_get_slow(dm_wire_message *m, dm_wire_slow *out) DM_MUST_USE;

typedef struct dm_wire_limits { /* what a server reported of its limits */
    dm_role role;
    size_t endpoint;
    double limit[DM_RATES]; /* a minute; 0: not reported */
} dm_wire_limits;
void dm_wire_put_limits(dm_buf *b, const dm_wire_limits *l);
bool dm_wire_get_limits(dm_wire_message *m, dm_wire_limits *out) DM_MUST_USE;

typedef struct dm_wire_tally { /* of a server that refuses for speed and tells no limits */
    dm_role role;
    size_t endpoint;
    size_t answered, refused; /* since the last one */
} dm_wire_tally;
void dm_wire_put_tally(dm_buf *b, const dm_wire_tally *t);
bool dm_wire_get_tally(dm_wire_message *m, dm_wire_tally *out) DM_MUST_USE;

typedef struct dm_wire_pace { /* what the coordinator makes of them */
    dm_role role;
    size_t endpoint;
    double pace;   /* requests a minute of the whole job; 0: none */
    double offset; /* (0, 1]: this rank's, of its own interval */
} dm_wire_pace;
void dm_wire_put_pace(dm_buf *b, const dm_wire_pace *p);
bool dm_wire_get_pace(dm_wire_message *m, dm_wire_pace *out) DM_MUST_USE;

#endif
