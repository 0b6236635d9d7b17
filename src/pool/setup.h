/* What a run is about: made once by src/cmd from the job, sent once to every rank. */
#ifndef DM_POOL_SETUP_H
#define DM_POOL_SETUP_H

#include "pool/pool.h"
#include "study/amount.h"
#include "study/cache.h"
#include "study/replay.h"

typedef struct dm_setup {
    const dm_program *program;
    const dm_value *host; /* how a Python program's processes are started (host/host.h); NULL: it
                             is no Python program, or there is nothing to run */
    dm_hosts *hosts;      /* those of this process, borrowed; NULL: they are made of host */
    dm_adapter adapter;
    bool json_fallback;   /* chat: one JSON call after an answer that does not parse; true */
    bool any_score;       /* a Python metric's are not 0 to 1 alone */
    const char *job_file; /* what errors call the source of lm and metric */
    const dm_value *lm[DM_ROLES]; /* the JSON of each role's model; the same pointer: one model */
    const dm_lm_config *model[DM_ROLES]; /* what it says; see dm_setup_models */
    const dm_value *metric;              /* its JSON; NULL: nothing is scored (run) */
    const dm_dataset *sets[3];           /* train, validation, test; NULL where there is none */
    const dm_str *inputs;                /* [n_inputs] the job's `inputs` */
    size_t n_inputs;
    double failure_score; /* 0 */
    uint64_t seed;        /* of jitter and the like; decides nothing */
    double deadline;      /* dm_now() time; INFINITY: none */
    const char *out;      /* folder for journal, status and stop file; NULL: none */
    dm_journal *journal;  /* NULL: none; results are in it before anybody acts on them */
    dm_replay *replay;    /* what it knew when it was opened; NULL: nothing */
    dm_replay *earlier;   /* of another job in this OUT: its answers are taken; NULL: none */
    dm_cache *cache;      /* answers across runs, the coordinator's alone; NULL: none */
    const dm_amount *cap; /* on all that the job may spend; NULL: none */
    double time_cap;      /* dm_now() time at which the budget's time is over; 0: none */
    bool offline;         /* no model is asked: what is not known ends the run */
} dm_setup;

/* Roles with one model share its places: the first role that has this one's. */
int dm_setup_model_of(const dm_setup *s, int role);
/* Each role's model into out, NULL where there is none: s->model where it was read, else it is read
 * now, and lives in a. In a process it is read once: by src/cmd, or with the setup that came. */
dm_status dm_setup_models(dm_arena *a, const dm_setup *s, const dm_lm_config *out[DM_ROLES],
                          dm_error *err) DM_MUST_USE;

/* The setup as JSON text for workers in other processes: all that they need, and of the data one
 * example, which tells a metric its field; rows travel with the work. What is read lives in a. */
void dm_setup_write(dm_buf *b, const dm_setup *s);
dm_status dm_setup_read(dm_arena *a, dm_str text, dm_setup *out, dm_error *err) DM_MUST_USE;

/* In one process rows go by number: those of the sets in order, sets given twice counted once. */
typedef struct dm_rows {
    const dm_dataset *sets[3]; /* [n_sets] */
    size_t n_sets, n;
} dm_rows;
dm_rows dm_setup_rows(const dm_setup *s);
const dm_example *dm_row(const dm_rows *r, size_t i); /* i < n */

/* Sums of scores, that mean and interval are made of. */
typedef struct dm_tally {
    double sum, squares;
    size_t n; /* results with a score */
    size_t failed, fallback, truncated, parse, refused;
    bool graded; /* some score is neither 0 nor 1 */
    bool beyond; /* some is below 0 or above 1 */
} dm_tally;
/* against: the other program's result on the same example, as dm_counts_against has it; NULL: none.
 */
void dm_tally_add(dm_tally *t, const dm_result *r, const dm_result *against);

typedef struct dm_tried_row { /* what dm_pool_tried has reported of a candidate so far */
    dm_tried what;
    dm_tally tally;
    int64_t calls;  /* of the whole run when the newest result was reported */
    double seconds; /* since the pool was made, likewise */
    bool best;      /* of its compilation, by dm_pool_best */
} dm_tried_row;

typedef struct dm_spent { /* by role and phase */
    int role;
    const char *phase;
    dm_usage usage;
    double cost; /* NAN: not known */
    size_t runs; /* that came to a result, those of an earlier attempt too */
} dm_spent;

typedef struct dm_rank_stats {     /* of a rank that runs models, from 1 on; 1 where there is one
                                      process */
    size_t runs;                   /* whose results it sent */
    double busy;                   /* s, of all its places together */
    double half, most, nearly_all; /* s of a run from going out to its result: median, 95 %, 99 %,
                                      to within a tenth */
} dm_rank_stats;

/* Progress, for the live line and the end's table. */
typedef struct dm_pool_stats {
    const char *phase;
    size_t done, total;      /* examples of the phase; total 0: not known */
    double mean;             /* of the newest evaluation; NAN */
    double best;             /* of the candidates so far (dm_pool_best); NAN */
    size_t errors;           /* absent and failed examples so far */
    const char *first_error; /* what the one that came first says; NULL: there is none */
    size_t in_flight, slots; /* examples running and places for them, over all ranks */
    dm_usage usage;
    dm_usage judge;                   /* of it, the judge's */
    double cost;                      /* NAN: not known */
    dm_amount left;                   /* of each cap; INFINITY: there is none */
    size_t ranks;                     /* that run models */
    const dm_tried_row *const *tried; /* [n_tried] in the order in which they were first reported */
    size_t n_tried;
    const dm_tried_row *leader; /* whose score best is; NULL: not known */
    const dm_spent *spent;      /* [n_spent] */
    size_t n_spent;
    size_t faults[DM_FAULTS]; /* examples that ended so */
} dm_pool_stats;

/* Places that are taken: some examples are sent ahead and wait at their rank. */
static inline size_t dm_pool_busy(const dm_pool_stats *s)
{
    return s->in_flight < s->slots ? s->in_flight : s->slots;
}

/* One process: the coordinator and one worker in the same loop; MPI_Init is never called. */
dm_pool *dm_pool_local_new(const dm_setup *s, dm_error *err) DM_MUST_USE;
/* Ends workers; in-flight calls are dropped. NULL is fine. */
void dm_pool_free(dm_pool *p);

dm_pool_stats dm_pool_stats_of(const dm_pool *p);
dm_rank_stats *dm_pool_ranks(const dm_pool *p, dm_arena *a, size_t *n); /* [*n], in a */
/* fn is called when a phase begins (row NULL) and when a candidate's row has changed, from whatever
 * strand did it. part: the strand of the main thread's whose phase it is; NULL: its own. */
void dm_pool_on_news(dm_pool *p,
                     void (*fn)(void *user, const char *part, const char *phase, size_t total,
                                const dm_tried_row *row),
                     void *user);
/* fn is called about every seconds, from within dm_pool_wait. */
void dm_pool_on_tick(dm_pool *p, double seconds, void (*fn)(void *user, const dm_pool_stats *s),
                     void *user);
/* After a stop: nothing new goes out; what is in flight is waited for, at most seconds, and what it
 * gives is journaled. */
void dm_pool_drain(dm_pool *p, double seconds);
void dm_pool_hurry(dm_pool *p); /* a drain ends at once. Async-signal-safe */
/* Asks the run to stop: waits in progress and later ones return reason (> 0). Async-signal-safe. */
void dm_pool_stop(dm_pool *p, dm_status reason);

#endif
