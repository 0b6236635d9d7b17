/* Inside of the pool: the coordinator's state machine, the same behind every link.
 *
 * A cell is one program state on one example: the unit of work, of the journal, and of what is
 * never paid for twice. A future is a list of cells. Cells of a model wait in a queue of their own;
 * workers take from it as they have places. */
#ifndef DM_POOL_INSIDE_H
#define DM_POOL_INSIDE_H

#include "pool/link.h"
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

typedef struct dm_kept_answer { /* of a cell that is not done: where it goes on (DESIGN.md §2) */
    struct dm_kept_answer *next;
    dm_answer answer;
} dm_kept_answer;

struct dm_bill;
typedef struct dm_account dm_account;

typedef struct dm_cell {
    dm_hash key;
    const dm_example *example;
    dm_str result; /* the bytes of dm_write_result, once done; owned */
    dm_waiter *waiters;
    dm_kept_answer *answers;
    struct dm_bill *bill; /* under a cap, else NULL */
    struct dm_cell_way {  /* of one that failed on the way, else NULL: there are many cells */
        double failed_at, not_before; /* the first time; when it may go out again */
    } * way;
    uint32_t state;
    int32_t row; /* its number in the setup; -1: sent whole */
    int32_t worker;
    uint8_t tries, phase;
    bool replayed;
    bool out; /* it takes a place at worker; also when it is done by another's late result */
} dm_cell;

/* A task's id: the cell's number, and which try it is, so that what comes late of an earlier one is
 * told apart. */
static inline int64_t dm_task_of(uint32_t number, const dm_cell *c)
{
    return (int64_t)c->tries << 32 | number;
}

typedef struct dm_state { /* a candidate with how it is run */
    dm_hash key;
    dm_work work;
    int model;
    uint8_t *sent; /* [n_workers] bits: the worker knows it */
    double bytes;  /* of a prompt, about, without the example; 0: not reckoned yet */
} dm_state;

struct dm_future {
    size_t n, n_done;
    uint32_t *cells;    /* [n] */
    dm_result *results; /* [n], made at the first wait */
    uint32_t state;
    bool cancelled;
    dm_account *account; /* under a cap, else NULL */
};

/* A growing array of cell numbers, first in first out. */
typedef struct dm_queue {
    uint32_t *items;
    size_t head, tail, cap;
} dm_queue;
void dm_queue_push(dm_queue *q, uint32_t cell);
bool dm_queue_pop(dm_queue *q, uint32_t *cell);
size_t dm_queue_length(const dm_queue *q);

/* Hash table from content keys to numbers; the keys stay with their owners. */
typedef struct dm_table {
    const dm_hash *(*key_of)(const dm_pool *p, uint32_t value);
    struct dm_slot {
        uint32_t start; /* of the key: tells most others without a look at them */
        uint32_t value; /* number + 1; 0: free */
    } * slots;
    size_t n, cap;
} dm_table;
bool dm_table_get(const dm_pool *p, const dm_table *t, const dm_hash *key, uint32_t *value);
void dm_table_put(const dm_pool *p, dm_table *t, uint32_t value); /* its key is not in it */
void dm_tables_init(dm_pool *p);

typedef enum dm_model_phase { DM_MODEL_UNTRIED, DM_MODEL_PROBED, DM_MODEL_GOOD } dm_model_phase;

typedef struct dm_model {       /* one distinct model; roles may share it */
    const dm_lm_config *config; /* NULL: no role has this number */
    dm_value *identity;
    dm_queue first;   /* cells to be sent before all others: a strand waits for each in turn */
    dm_queue queue;   /* cells to be sent */
    dm_queue delayed; /* cells that wait for their not_before */
    dm_model_phase phase;
    size_t in_flight; /* cells sent */
    size_t over;      /* of all workers; 0: places are what limits */
    double ratio;     /* largest seen, tokens of a prompt to its bytes, about */
    size_t measured;
    double last_answer;
    bool failing; /* something failed on the way since then: a slow model does not, a dead one does
                   */
} dm_model;

typedef struct dm_peer { /* a worker as the coordinator sees it */
    bool ready, lost, drained;
    size_t in_flight[DM_ROLES]; /* [model] cells sent */
    size_t slots[DM_ROLES];     /* [model] */
    size_t over[DM_ROLES];      /* [model] cells that may run beyond its places: it had more */
    dm_buf states, tasks;       /* the shard that is being put together */
    size_t n_states, n_tasks;
    dm_buf found; /* what is known of the keys it asked for, to be sent */
    size_t n_found;
} dm_peer;

struct dm_strand {
    dm_strand *next;
    dm_pool *pool;
    char name[32];
    dm_strand_main *main;
    void *arg;
    pthread_t thread;
    pthread_cond_t wake;
    dm_future *awaits; /* NULL: ready to go on (or awaits_strand) */
    dm_strand *awaits_strand;
    dm_account *account; /* under a cap, else NULL */
    bool started, finished;
    dm_status status;
    dm_error error;
};

typedef struct dm_asker { /* a task that wants to know an answer */
    struct dm_asker *next;
    int worker;
    int64_t task;
} dm_asker;

typedef struct dm_asked { /* a request that a worker is making: others wait for its answer */
    dm_hash key;
    int worker;
    dm_asker *waiting; /* in their order */
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
    dm_rows rows;
    dm_table row_table, cell_table, state_table;
    dm_cell **cells; /* [n_cells] */
    size_t n_cells, cap_cells;
    dm_state *states; /* [n_states] */
    size_t n_states, cap_states;
    size_t n_sent;   /* cells at workers */
    dm_asked *asked; /* [n_asked] */
    size_t n_asked, cap_asked;

    struct {                  /* budget.c */
        dm_account *accounts; /* main first, in the order they were opened */
        dm_account *main;     /* the optimizer's own; NULL: no cap */
        dm_amount cap;
        dm_amount lost;    /* that earlier attempts may have spent without a result */
        dm_amount spent;   /* of results and answers, all attempts */
        dm_amount out;     /* reserved for what is released */
        dm_amount sent;    /* of it, what is at workers */
        dm_amount charged; /* of what this run has asked for so far, once each */
        dm_amount mark;    /* in the journal */
        dm_amount each;    /* share of the next n_each strands */
        size_t n_each;
    } budget;

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
    dm_usage usage;
    const char *phase;
    size_t phase_total, phase_done, n_errors;
    double mean_sum, last_tick, tick_every;
    size_t mean_n;
    void (*tick)(void *user, const dm_pool_stats *s);
    void *tick_user;
};

/* cells.c */
uint32_t dm_pool_state(dm_pool *p, const dm_work *w); /* number of the state, made if new */
uint32_t dm_pool_cell(dm_pool *p, uint32_t state, const dm_example *e);
void dm_cell_keep_answer(dm_pool *p, uint32_t number, const dm_answer *a); /* copies it */
/* bytes are copied; r and usage are what dm_read_result read there. */
void dm_cell_done(dm_pool *p, uint32_t number, dm_str bytes, const dm_result *r,
                  const dm_usage *usage);
void dm_cell_requeue(dm_pool *p, uint32_t number, double not_before);
/* a NULL: without steps and error text. */
dm_result dm_cell_result(const dm_pool *p, const dm_cell *c, dm_arena *a, dm_usage *usage);

/* scheduler.c */
void dm_pool_fail(dm_pool *p, dm_status status, const char *fmt, ...) DM_PRINTF(3, 4);
void dm_schedule(dm_pool *p); /* sends what can be sent */
void dm_pool_receive(dm_pool *p, int worker, dm_str bytes);
void dm_pool_lost(dm_pool *p, int worker);
void dm_release_delayed(dm_pool *p);
void dm_check_outage(dm_pool *p);
double dm_pool_next_due(dm_pool *p); /* s from now to the next timer */

/* known.c: answers across runs */
void dm_known_find(dm_pool *p, int worker, dm_reader *in);
void dm_known_keep(dm_pool *p, dm_reader *in);
void dm_known_lost(dm_pool *p, int worker); /* others make its calls */
void dm_known_send(dm_pool *p);             /* what was found since the last time */
void dm_known_free(dm_pool *p);

/* budget.c */
void dm_budget_begin(dm_pool *p);
void dm_budget_end(dm_pool *p);
void dm_budget_strand(dm_pool *p, dm_strand *s); /* opens its account */
void dm_budget_want(dm_pool *p, uint32_t number, dm_future *f);
bool dm_budget_release(dm_pool *p); /* what may go out is queued; true: somebody can go on */
void dm_budget_sent(dm_pool *p, dm_cell *c);
/* An answer of the cell: of an earlier attempt of the job, or told ahead of the result. */
void dm_budget_before(dm_pool *p, dm_cell *c, const dm_usage *usage);
void dm_budget_told(dm_pool *p, dm_cell *c, const dm_usage *usage);
/* usage: beside what was told. */
void dm_budget_done(dm_pool *p, dm_cell *c, const dm_usage *usage);
/* A run failed on the way, or was lost with its worker (usage NULL: all of it may be billed);
 * false: there is nothing left to try again with. */
bool dm_budget_again(dm_pool *p, dm_cell *c, const dm_usage *usage);
bool dm_budget_cut(const dm_account *a);
int64_t dm_budget_allowance(const dm_pool *p, const dm_cell *c); /* requests of a run; 0: any */

/* pool.c */
dm_pool *dm_pool_new(dm_link *link, const dm_setup *setup, dm_error *err); /* takes the link */
void dm_pool_pump(dm_pool *p, double timeout); /* one turn of the event loop */

/* strand.c */
void dm_strands_init(dm_pool *p);
void dm_strands_end(dm_pool *p); /* runs all to their end; waits fail by then */
bool dm_strands_run(
    dm_pool *p); /* gives the baton to every strand that can go on; true: there was one */
void dm_strand_yield(dm_pool *p, dm_future *f,
                     dm_strand *s); /* from a strand: until f or s is done */

#endif
