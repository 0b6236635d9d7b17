/* Inside of the pool: the coordinator's state machine, the same behind every link.
 *
 * A cell is one program state on one example: the unit of work, of the journal, and of what is
 * never paid for twice. A future is a list of cells. Cells of a model wait in a queue of their own;
 * workers take from it as they have places. */
#ifndef DM_POOL_INSIDE_H
#define DM_POOL_INSIDE_H

#include "base/queue.h"
#include "base/table.h"
#include "metric/judge.h"
#include "pool/ledger.h"
#include "pool/link.h"
#include "pool/pace.h"
#include "pool/wire.h"

#include <pthread.h>
#include <signal.h>

typedef enum dm_cell_phase {
    DM_CELL_IDLE,
    DM_CELL_QUEUED,
    DM_CELL_SENT,
    DM_CELL_DONE
} dm_cell_phase;

typedef struct dm_waiter {
    struct dm_waiter *next;
    dm_future *future;
} dm_waiter;

typedef struct dm_tries {          /* of a request that failed: they are its own, whoever made it */
    double failed_at, failed_last; /* the first and the last time */
    double not_before;             /* when it may be made again */
    int64_t odd;                   /* replies to it that were no answers */
    int denied;                    /* goes that ended at a 403 or 404 to it */
    int n;                         /* goes that failed */
    bool seen;                     /* the model has answered something else since */
    bool due;                      /* it may be made again as far as doubts go */
} dm_tries;

struct dm_bill;

/* Of a cell that goes out for one call of a judge after another. */
struct dm_legs {
    dm_arena *arena;
    uint32_t state; /* the cell's own, with its example and row */
    const dm_example *example;
    int32_t row;
    size_t at;                   /* judgements that are there */
    uint16_t earlier;            /* tries of earlier legs */
    dm_str first;                /* what its program came to */
    const dm_value **judgements; /* [calls] */
    dm_hash *keys;               /* [n_keys] of the judge's requests */
    size_t n_keys;
};

typedef struct dm_cell {
    dm_hash key;
    const dm_example *example;
    dm_str result; /* the bytes of dm_write_result, once done; owned */
    dm_waiter *waiters;
    struct dm_bill *bill;  /* what it spent beside its result, else NULL */
    struct dm_legs *legs;  /* while a judge is asked (legs.c), else NULL */
    struct dm_cell_way {   /* of one that went back, else NULL: there are many cells */
        double not_before; /* when it may go out again */
        dm_tries *tries;   /* of the request that it needs */
        bool finds_out;    /* it is out for another cell's call: does the model answer that? */
    } * way;
    uint32_t state;
    uint32_t asks; /* the key whose request its run is to make, + 1; 0: none, or it ended */
    int32_t row;   /* in one process its number in the setup; -1: it travels with the cell */
    int32_t worker;
    float sent_at; /* s since the pool was made, of one that is at a worker: for people only */
    uint16_t tries;
    uint8_t phase;
    bool replayed : 1;
    bool good : 1;     /* it is done, without a fault */
    bool replied : 1;  /* it is done, and the model replied to its last call */
    bool answered : 1; /* the model has answered a call of it */
    bool out : 1;      /* it is at worker; also when it is done by another's late result */
    bool parked : 1;   /* its run waits for another's call: it takes no slot */
} dm_cell;

/* A task's id: the cell's number, and which try it is, so that late results of an earlier try are
 * recognised. */
static inline int64_t dm_task_of(uint32_t number, const dm_cell *c)
{
    return (int64_t)c->tries << 32 | number;
}

typedef struct dm_state { /* a candidate with how it is run */
    dm_hash key;
    dm_work work;
    int model;
    uint8_t *sent;  /* [n_workers] bits: the worker knows it */
    double bytes;   /* of its prompts together, about, without the example; 0: not estimated yet */
    double longest; /* of them, of any adapter */
    bool prefixes_known;
    const uint32_t *prefixes; /* [n predictors] prefix.c; NULL: none */
} dm_state;

typedef struct dm_progress { /* of a phase, for people only */
    struct dm_progress *next;
    const char *phase;
    unsigned number;    /* of the phase: what is left of an earlier one counts no more */
    size_t done, total; /* examples; total 0: not known */
    double mean_sum;    /* of the newest evaluations */
    size_t mean_n;
} dm_progress;

struct dm_future {
    size_t n, n_done;
    uint32_t *cells;    /* [n] */
    dm_result *results; /* [n], made at the first wait */
    uint32_t state;
    bool cancelled;
    dm_account *account;
    dm_progress *progress;
    unsigned phase;         /* of progress, when it was submitted */
    const char *phase_name; /* likewise */
    bool chain;             /* not scored, or traced: what a phase's total does not count */
};

typedef enum dm_model_phase { DM_MODEL_UNTRIED, DM_MODEL_PROBED, DM_MODEL_GOOD } dm_model_phase;

/* Of calls that were answered in the end: how often a reply was no answer, by chance. */
typedef struct dm_replies {
    bool odd[100]; /* the newest, in a ring */
    size_t n, at;
    double all, all_odd; /* over the last thousands */
} dm_replies;

typedef struct dm_server {  /* as it reported to some rank */
    double limit[DM_RATES]; /* a minute; 0: not reported */
    double until;           /* it takes no request before */
    dm_pace pace;           /* by its refusals, where it reports no limits */
} dm_server;

typedef struct dm_model {       /* one distinct model; roles may share it */
    const dm_lm_config *config; /* NULL: no role has this number */
    dm_value *identity;
    dm_server *servers; /* [config->n_base]; NULL: none reported anything */
    dm_queue first;     /* cells to be sent before all others: a strand waits for each in turn */
    dm_queue queue;     /* cells to be sent */
    dm_queue released;  /* cells to be sent before those: they waited for a prefix */
    dm_queue holding;   /* prefixes that others wait for */
    size_t n_held;      /* cells that wait so */
    dm_queue delayed;   /* cells that wait for their not_before */
    dm_model_phase phase;
    size_t in_flight; /* cells sent */
    size_t over;      /* of all workers; 0: slots are what limits */
    double ratio;     /* largest seen, tokens of a prompt to its bytes, about */
    size_t measured;
    double last_answer;
    bool kept;       /* it has answered in an earlier attempt, says the journal: it is down, not
                      * misnamed */
    int64_t in_vain; /* requests before the first answer */
    int tries;       /* runs that had no more of them to send, before the first answer */
    double first_asked, not_before;
    bool failing; /* a transport failure since then: a dead model has one, a slow one does not */
    dm_replies replies;
    double answered_at; /* by the model itself, not from what is kept; -1: not yet */
    size_t doubted;     /* cells that wait until it is known whether it answers others */
    int64_t first_odd;  /* replies that were none before it had answered anything */
    int first_denied;   /* goes that ended at a 403 or 404 before that */
    uint32_t asks;      /* the cell that goes out to find out, + 1; 0: none */
    /* Response formats that it refuses (runner.h), 0: not known yet; and the cell that is out to
     * find out, + 1, 0: none. No other goes out meanwhile, so that all are asked alike. */
    unsigned formats;
    uint32_t asks_format;
    int format_tries;
} dm_model;

/* Cells that may be sent. */
static inline size_t dm_model_queued(const dm_model *m)
{
    return dm_queue_length(&m->first) + dm_queue_length(&m->released) + dm_queue_length(&m->queue) +
           m->n_held;
}

/* How long a worker's runs took, by an eighth of a power of two from 1 ms on: for people only. */
#define DM_TIMES 192
typedef struct dm_times {
    uint32_t n[DM_TIMES];
    size_t all;
    double sum; /* s */
} dm_times;

typedef struct dm_peer { /* a worker as the coordinator sees it */
    bool ready, lost, drained;
    size_t in_flight[DM_ROLES]; /* [model] cells sent */
    size_t slots[DM_ROLES];     /* [model] */
    size_t over[DM_ROLES];      /* [model] cells that may run beyond its places: it had more */
    size_t parked[DM_ROLES];    /* [model] cells there that wait for another's call */
    dm_wire_list states, tasks; /* the shard that is being put together */
    dm_wire_list found;         /* what came of the keys it asked for, to be sent */
    dm_times times;
} dm_peer;

typedef bool dm_ready(const dm_pool *p, const void *what);

struct dm_strand {
    dm_strand *next, *parent; /* parent NULL: the main thread started it */
    dm_pool *pool;
    char name[32];
    dm_strand_main *main;
    void *arg;
    pthread_t thread;
    pthread_cond_t wake;
    dm_ready *ready; /* what it waits for; NULL: it can go on */
    const void *what;
    dm_account *own;     /* its share */
    dm_account *account; /* what it asks for is charged to it: own, in its turn its parent's */
    dm_progress *progress;
    const dm_role *roles; /* [DM_ROLES] whom it asks in their place; NULL: them */
    bool in_turn, started, finished;
    dm_status status;
    dm_error error;
};

typedef struct dm_asker { /* a task that wants to know an answer */
    struct dm_asker *next;
    int worker;
    int64_t task;
    uint32_t call;
} dm_asker;

typedef enum dm_key_phase {
    DM_KEY_OPEN,  /* nobody knows, nobody asks */
    DM_KEY_ASKED, /* a worker makes the request: others wait for its answer */
    DM_KEY_KNOWN
} dm_key_phase;

typedef enum dm_kept { DM_KEPT_JOURNAL, DM_KEPT_REPLAY, DM_KEPT_HERE } dm_kept;

typedef struct dm_key { /* a request; there are as many as answers */
    dm_hash hash;
    union {
        uint64_t at;            /* KNOWN, DM_KEPT_JOURNAL: its record */
        const dm_answer *here;  /* KNOWN, DM_KEPT_HERE */
        struct dm_asked *asked; /* ASKED */
    } u;
    dm_tries *tries; /* NULL: it has not failed */
    uint32_t cost;   /* in the ledger */
    uint8_t phase, kept, role;
} dm_key;

typedef struct dm_asked {
    uint32_t key;
    size_t at; /* in the pool's list */
    int worker;
    int64_t task;
    dm_asker *first, **end; /* who waits, in their order */
} dm_asked;

struct dm_pool {
    dm_link *link;
    const dm_setup *setup;
    dm_arena *arena;
    dm_peer *peers; /* [link->n_workers] */
    int n_ready, cursor;
    bool slots_stale; /* ranks have come or gone since the places were shared out */
    dm_model models[DM_ROLES];
    int model_of[DM_ROLES];
    const dm_judging *judging; /* NULL: the metric asks no model */
    uint32_t *judges;          /* [its calls] their states */
    dm_rows rows;
    dm_table row_table, cell_table, state_table, key_table;
    dm_cell **cells; /* [n_cells] */
    size_t n_cells, cap_cells;
    dm_state *states; /* [n_states] */
    size_t n_states, cap_states;
    size_t n_sent; /* cells at workers */
    dm_key *keys;  /* [n_keys] */
    size_t n_keys, cap_keys;
    dm_asked **asked; /* [n_asked] owned */
    size_t n_asked, cap_asked;
    struct dm_prefixes {              /* prefix.c */
        struct dm_shared_prefix *all; /* [n] */
        size_t n, cap;
        dm_table table;
    } prefixes;
    uint32_t n_costs; /* numbers given in the ledger: to keys, and to cells */

    struct { /* budget.c */
        dm_ledger *ledger;
        dm_amount cap;               /* DM_NO_CAP for none */
        dm_amount mark_found, known; /* of earlier attempts: their mark, and what is recorded */
        dm_amount lost;              /* that they may have spent without a result */
        dm_amount mark;              /* in the journal; without a cap none is needed */
    } budget;
    struct dm_resume *resume; /* resume.c; NULL: there is nothing to go on from, or no cap */
    uint64_t taken_until; /* what comes before that in the journal and is not asked for again was
                             taken from all accounts */

    dm_status failed; /* < 0: the run is over */
    dm_error error;
    volatile sig_atomic_t hurry; /* no drain */
    double looked_for_file;      /* the stop file */
    volatile sig_atomic_t stop;  /* > 0: why the run is stopping */

    /* strands: one thread at a time has the baton */
    pthread_mutex_t baton;
    pthread_cond_t main_wake;
    dm_strand *strands, *running; /* running NULL: the main thread */

    /* progress */
    dm_usage usage, judge; /* in all; of the judge */
    double cost;           /* of it, at each model's prices; NAN: one is not known */
    dm_progress progress;  /* the main thread's; those of strands follow it */
    bool has_best;
    double best; /* what an optimizer says, see dm_pool_best */
    double began;
    struct dm_trials {       /* tried.c */
        dm_tried_row **rows; /* [n] */
        size_t n, cap;
        dm_index index;
        const dm_tried_row *leader;
        dm_spent *spent; /* [n_spent] */
        size_t n_spent, cap_spent;
        size_t faults[DM_FAULTS];
        void (*news)(void *user, const char *part, const char *phase, size_t total,
                     const dm_tried_row *row);
        void *user;
    } trials;
    size_t n_errors;
    const char *first_error; /* what the one that came first says; NULL */
    double last_tick, tick_every;
    void (*tick)(void *user, const dm_pool_stats *s);
    void *tick_user;
};

/* cells.c: what there is. Nothing here changes the phase of a cell. */
void dm_tables_init(dm_pool *p);
uint32_t dm_pool_state(dm_pool *p, const dm_work *w); /* number of the state, made if new */
uint32_t dm_pool_cell(dm_pool *p, uint32_t state, const dm_example *e, bool *made);
struct dm_cell_way *dm_way_of(dm_pool *p, dm_cell *c);
/* Each go is a task of its own. */
static inline void dm_cell_next_go(dm_cell *c)
{
    if (c->tries < UINT16_MAX)
        c->tries++;
}
/* a NULL: without steps and error text. */
dm_result dm_cell_result(const dm_pool *p, const dm_cell *c, dm_arena *a);
void dm_pool_flush_journal(dm_pool *p); /* before anybody acts on what is in it */
/* What an answer or a run took, in this role, is added to the whole job's usage and cost. c: whose
 * it is; NULL: an earlier attempt's. */
void dm_pool_count(dm_pool *p, const dm_cell *c, dm_role role, const dm_usage *usage);
void dm_pool_fail(dm_pool *p, dm_status status, const char *fmt, ...) DM_PRINTF(3, 4);
void dm_answer_came(dm_pool *p, const dm_cell *c);
/* by: the cell whose run asked for it */
void dm_journal_answer(dm_pool *p, const dm_cell *by, const dm_hash *key, const dm_answer *a);

/* spent.c: for people only */
void dm_spent_count(dm_pool *p, const dm_cell *c, dm_role role, const dm_usage *usage, double cost);
void dm_spent_run(dm_pool *p, const dm_cell *c, dm_fault fault); /* it came to a result */
void dm_times_sent(const dm_pool *p, dm_cell *c);
void dm_times_left(dm_pool *p, const dm_cell *c); /* the worker has it no more */

/* budget.c */
void dm_budget_begin(dm_pool *p);
/* What a record of the journal says, at the price of the dearest model: whose it was shows only
 * when the work is asked for again. In all, the journal says that so much was spent. */
dm_amount dm_amount_at_most(const dm_pool *p, const dm_usage *u);
void dm_budget_found(dm_pool *p, dm_amount known);
/* A record of amounts, where there is a journal; not synced. */
void dm_budget_record(dm_pool *p, dm_journal_type type, const dm_amount *amounts, size_t n);
void dm_budget_end(dm_pool *p);
dm_amount dm_amount_of(const dm_pool *p, int model, const dm_usage *u);
dm_amount dm_budget_reserve(const dm_pool *p, const dm_cell *c); /* the most that a run can cost */
int64_t dm_budget_allowance(const dm_pool *p, const dm_cell *c); /* its requests; 0: any */
void dm_budget_sent(dm_pool *p, uint32_t number);
/* What the cell's run spent on a request. now: the run is out, and has not ended. */
void dm_budget_paid(dm_pool *p, uint32_t number, uint32_t cost, const dm_usage *usage, bool now);
/* What an earlier attempt of the job spent on a request, as its record at that point says; on
 * something else of the cell. */
void dm_budget_before(dm_pool *p, dm_role role, uint32_t cost, const dm_usage *usage, uint64_t at);
void dm_budget_before_own(dm_pool *p, uint32_t number, dm_role role, const dm_usage *usage,
                          uint64_t at);
/* A leg of the cell (legs.c) is over, and what is set aside stays so for the others; usage: of
 * requests without a key. */
void dm_budget_leg_done(dm_pool *p, uint32_t number, const dm_usage *usage);
/* Whether what is still set aside covers the legs to come. */
bool dm_budget_covers_legs(dm_pool *p, uint32_t number);
/* usage: of requests without a key. The item's uses are in the ledger. */
void dm_budget_done(dm_pool *p, uint32_t number, const dm_usage *usage, dm_settled *settled);
/* A run failed in transport, or was lost with its worker (usage NULL: all of it may be billed).
 * What it cost is booked, and it is back in line in its accounts, where it was. */
void dm_budget_again(dm_pool *p, uint32_t number, const dm_usage *usage);
/* Whether the run has made all requests that it had; usage: beside what was paid. */
bool dm_budget_is_spent(const dm_pool *p, const dm_cell *c, const dm_usage *usage);
dm_amount dm_budget_left(const dm_pool *p); /* of the cap; INFINITY where there is none */
/* How many requests of the other's run are covered by what is reserved for the cell, which is
 * released. */
int64_t dm_budget_covers(const dm_pool *p, uint32_t number, const dm_cell *other);

/* judged.c: a judge after the program */
bool dm_is_judged(const dm_pool *p, const dm_cell *c);
size_t dm_legs_left(const dm_pool *p, const dm_cell *c); /* calls of the judge after this leg */
bool dm_leg_is_over(const dm_cell *c, int64_t task);     /* the task was of an earlier leg */
const dm_example *dm_leg_example(const dm_cell *c);      /* the cell's own */
int dm_leg_model(const dm_pool *p, const dm_cell *c);    /* the number of its program's model */
int dm_leg_tries(const dm_cell *c);                      /* of this leg */
/* By which records tell the cell's own spending; judged: of the judge's legs. */
dm_hash dm_leg_key(const dm_cell *c, bool judged);
void dm_legs_free(dm_cell *c);

/* legs.c: one leg after another */
dm_status dm_legs_begin(dm_pool *p, dm_error *err) DM_MUST_USE;
typedef enum dm_leg {
    DM_LEG_NONE, /* it has no others: the result is the cell's */
    DM_LEG_NEXT, /* the cell goes out again, for its next leg */
    DM_LEG_LAST  /* the cell's result is *out */
} dm_leg;
typedef struct dm_composed {
    dm_str bytes;
    dm_result r;
    dm_paid paid;
} dm_composed;
/* A leg has come to a result, which is final; what it cost is booked except for DM_LEG_NONE. *out
 * lives until dm_legs_free. */
dm_leg dm_legs_take(dm_pool *p, uint32_t number, dm_str bytes, const dm_result *r,
                    const dm_paid *paid, dm_composed *out);

/* scheduler.c: what goes out. It alone changes the phase of a cell. */
void dm_schedule_want(dm_pool *p, dm_future *f, uint32_t number); /* f waits for the cell */
void dm_schedule_replay(dm_pool *p, uint32_t number); /* a new cell that the journal may know */
bool dm_schedule_release(dm_pool *p); /* queues what may go out; true: somebody can go on */
void dm_schedule(dm_pool *p);         /* sends what can be sent */
/* bytes are copied; r and paid are what dm_read_result read there. */
void dm_schedule_done(dm_pool *p, uint32_t number, dm_str bytes, const dm_result *r,
                      const dm_paid *paid);
void dm_schedule_park(dm_pool *p, dm_cell *c); /* its run waits: a slot is free */
void dm_schedule_unpark(dm_pool *p, dm_cell *c);
void dm_schedule_left(dm_pool *p, dm_cell *c); /* its worker no longer has it: a slot is free */
/* It goes out again, not before then (0: at once); usage as in dm_budget_again. */
void dm_schedule_again(dm_pool *p, uint32_t number, const dm_usage *usage, double not_before);
/* Nothing is out yet: what is queued goes back in line. */
void dm_schedule_take_back(dm_pool *p);
void dm_release_delayed(dm_pool *p);
double dm_pool_next_due(dm_pool *p); /* s from now to the next timer */

/* doubt.c: is it the server or this request? */
/* The model replied to a call of the cell, as usage tells; t: the request's tries, may be NULL. */
void dm_doubt_answered(dm_pool *p, const dm_cell *c, dm_tries *t, const dm_usage *usage);
/* A run of the cell ended at replies to that request that were no answers (usage: of it): whether
 * that is the request's own failure by now. */
bool dm_doubt_decided(dm_pool *p, const dm_cell *c, const dm_tries *t, const dm_usage *usage);
typedef enum dm_doubt {
    DM_DOUBT_GO,   /* it may go out again */
    DM_DOUBT_LATER /* others will tell, or it goes out to find out */
} dm_doubt;
/* A cell that is due. LATER: *again is when to look again; 0: the model's `asks` names it. */
dm_doubt dm_doubt_of(dm_pool *p, uint32_t number, double *again);
/* Whether the request waits until the model is known to answer others. */
bool dm_doubt_waits(const dm_model *m, const dm_tries *t);
bool dm_doubt_holds(const dm_model *m); /* no new work meanwhile */
/* The cell whose call shows whether the model answers, within what is reserved for the one of that
 * number; NULL: none. */
const dm_cell *dm_doubt_witness(const dm_pool *p, uint32_t number);

/* prefix.c: prompts that begin alike */
/* Whether the cell had better wait until a prefix of its prompts has been answered for the first
 * time; then it is kept here, until that has come to something (m->released, m->first) or there is
 * nothing else to do. */
bool dm_prefix_holds(dm_pool *p, uint32_t number);
bool dm_prefix_next(dm_pool *p, dm_model *m, uint32_t *number); /* one that waits; false: none */
void dm_prefix_sent(dm_pool *p, uint32_t number);
void dm_prefix_answered(dm_pool *p, const dm_cell *c, size_t predictor); /* by the model itself */
void dm_prefix_left(dm_pool *p, uint32_t number);                        /* its run has ended */
void dm_prefixes_free(dm_pool *p);

/* back.c: what goes out again */
/* Whether a run that failed in transport, of a model that may have answered nothing yet, may go
 * back. */
bool dm_may_ask_again(dm_pool *p, dm_cell *c, const dm_usage *usage);
typedef struct dm_ended { /* a run that came to an end */
    const dm_result *r;
    dm_usage usage; /* of its requests without a key */
    dm_usage call;  /* of the one that it failed at */
    uint32_t key;   /* of that one; DM_NO_KEY */
    bool now;       /* it was out, and not given up for lost */
} dm_ended;
#define DM_NO_KEY UINT32_MAX
/* Whether a cell whose run ended so goes out again; its result is not kept then. */
bool dm_goes_back(dm_pool *p, uint32_t number, const dm_ended *e);
/* The cell was out for a call that the model had answered before. */
void dm_found_out(dm_pool *p, uint32_t number, const dm_ended *e);
/* A model that has answered nothing yet spoilt a go: others are tried, and a few goes must do.
 * True: the run has failed. */
bool dm_model_given_up(dm_pool *p, dm_model *m, const dm_usage *usage, const char *error);

/* A run of the cell ended at a 403 or 404: whether that is the endpoint's fault. True: the run has
 * failed. */
bool dm_model_denies_all(dm_pool *p, uint32_t number, const char *text);

/* inbox.c: what comes in. */
void dm_pool_receive(dm_pool *p, int worker, dm_str bytes);
void dm_pool_lost(dm_pool *p, int worker);
void dm_check_outage(dm_pool *p);

/* servers.c: what a server reported to one rank, passed on to all others. False: not such a
 * message. */
bool dm_servers_slow(dm_pool *p, int from, dm_wire_message *m);
bool dm_servers_limits(dm_pool *p, int from, dm_wire_message *m);
bool dm_servers_tally(dm_pool *p, dm_wire_message *m);
void dm_servers_greet(dm_pool *p, int worker); /* a new rank is informed of it */
double dm_servers_rpm(const dm_model *m);      /* of a server, the lowest known; 0: none is */

/* keys.c: requests by their keys. What earlier attempts paid for one is booked when it is made. */
/* As a run of the cell names it that asks as the state does; as the journal does. */
uint32_t dm_key_of(dm_pool *p, const dm_cell *c, uint32_t state, const dm_hash *key);
uint32_t dm_key_of_record(dm_pool *p, uint32_t state, const dm_hash *key);
void dm_key_recall(dm_pool *p, uint32_t key);     /* what is found of it in the replay's window */
dm_tries *dm_key_tries(dm_pool *p, uint32_t key); /* made if there are none */
/* It is final, and goes into the journal; by: the cell whose run asked for it. */
void dm_key_keep(dm_pool *p, const dm_cell *by, uint32_t key, const dm_answer *a);
/* It is known; into an arena. False: a file was changed meanwhile. */
bool dm_key_read(const dm_pool *p, uint32_t key, dm_arena *arena, dm_answer *a);
/* In a cache that runs share, and in the journal of an earlier job in this OUT. Nothing was paid
 * for what is there in this job. */
void dm_key_look_elsewhere(dm_pool *p, const dm_cell *c, uint32_t key);
void dm_key_share(dm_pool *p, const dm_cell *c, uint32_t key, const dm_answer *a);

/* known.c: equal requests */
void dm_known_find(dm_pool *p, int worker, int64_t task, uint32_t call, const dm_hash *key);
/* A model has answered the cell's call. now: its run is out, and was to make that call. False: that
 * was known, and is booked. */
bool dm_known_answered(dm_pool *p, uint32_t number, uint32_t key, const dm_answer *a, bool now);
/* What came of it is not final, and the run goes on without it: the next one makes the call. */
void dm_known_open(dm_pool *p, uint32_t number, uint32_t key, const dm_answer *a);
/* The call of the cell's run failed, and that is final: it is not made again. */
void dm_known_refused(dm_pool *p, uint32_t number, const dm_ended *e);
/* The same, but the request may be made again, by its tries: all who wait go out again then. */
void dm_known_failed(dm_pool *p, uint32_t number, const dm_ended *e);
/* The run ended without having made the request that it was to make: the next one makes it. */
void dm_known_let_go(dm_pool *p, uint32_t key, int worker, int64_t task);
void dm_known_lost(dm_pool *p, int worker); /* others make its calls */
void dm_known_send(dm_pool *p);             /* what was found since the last time */
void dm_known_free(dm_pool *p);

/* resume.c: a capped run that goes on from what earlier attempts left */
void dm_resume_begin(dm_pool *p);
/* Nothing that is known can be asked for any more: the next thing to do before work goes out.
 * False: it may. */
bool dm_resume_next(dm_pool *p);
void dm_resume_free(dm_pool *p);

/* turn.c */
void dm_pool_pump(dm_pool *p, double timeout); /* one turn of the event loop */

/* strand.c */
void dm_strands_init(dm_pool *p);
void dm_strands_end(dm_pool *p); /* runs all to their end; waits fail by then */
/* The only place where anybody waits: a strand until it is its turn again, the main thread by
 * running strands and turns of the loop. Returns when ready says so, or, unless patient, when the
 * run has failed or is stopping. */
void dm_wait_until(dm_pool *p, dm_ready *ready, const void *what, bool patient);

/* Bootstrapping, proposals and reflection are chains of calls, evaluations are wide: chains go
 * first. */
static inline bool dm_is_chain(const dm_work *w)
{
    return w->trace || w->steps || !w->scored;
}

#endif
