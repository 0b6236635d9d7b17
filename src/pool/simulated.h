/* A cluster that is simulated: a virtual clock, virtual ranks, disasters on demand. The coordinator
 * is the real one, and so are the workers, their engines and their metric; only the link, the clock
 * and the servers are not. Everything follows from the seed. A model of the setup may be any: none
 * of its servers is asked. */
#ifndef DM_POOL_SIMULATED_H
#define DM_POOL_SIMULATED_H

#include "pool/setup.h"
#include "runner/runner.h"

/* What a run of a program state on a row comes to: fills *out, whose values live in a. The servers
 * answer so that the real worker gets there: work->trace is true, and the steps tell what each
 * predictor's call is answered (without steps: the outputs); usage.requests beyond one a predictor
 * are calls in JSON mode after answers that do not parse; formats are those that the servers refuse
 * for this row; a fault is one that a server can cause
 * (not DM_FAULT_PROGRAM, DM_FAULT_METRIC). It is asked once a call, at its first request; the score
 * is the metric's own. A call's answer may follow from nothing but what the call shows: equal ones
 * are made once, and which run makes it depends on the ranks. */
typedef void dm_simulated_run(void *user, const dm_work *work, const dm_value *row, dm_arena *a,
                              dm_run_result *out);

typedef struct dm_simulation {
    uint64_t seed;
    int ranks;        /* workers, from 1 on */
    double latency;   /* mean seconds of a run, pauses apart; each takes 0.2 to 5 times as long */
    bool steady;      /* a call takes as long whatever goes on beside it, so that runs compare */
    double death;     /* chance that a shard kills its worker, at some time */
    double hang;      /* chance that it stops its worker for good */
    double slow;      /* chance that a worker is taken for lost, and answers after all */
    double duplicate; /* chance that a message of results comes twice */
    double transport; /* chance that a run fails in transport */
    /* Chances that a request is refused (429, 503, 529), which costs nothing; that its answer gets
     * lost, which the server bills all the same, and curl may send it again where the connection
     * was a kept one. */
    double refused, unanswered;
    /* Chance that a reply is no answer (a 500, an odd body), and share of the rows whose replies
     * never are. */
    double odd, poison;
    /* Servers that limit requests and tokens a minute, refusals counted too; 0: they do not. What
     * is not used is kept, or may be asked for, for so many seconds (60: a minute's at once);
     * fixed: by the minute, from its beginning. headers: they tell what is left. */
    double rpm, tpm, kept;
    bool fixed, headers;
    double down_from, down_to; /* s: meanwhile no server is there */
    /* Chances that a message to or from a worker gets lost. As on the real way that is no silence
     * for ever: nothing of that worker comes through any more, and its heartbeats are missed. */
    double lost_to, lost_from;
    int survivors;    /* workers that nothing happens to; 0: all may be lost, which ends the run */
    uint64_t dies_at; /* the turn at which the coordinator is killed; 0: never */
    uint64_t dies_behind; /* it is killed once its journal has so many bytes; 0: never */
    double limit;         /* virtual s after which the run fails: it would never end; 0: none */
    dm_simulated_run *run;
    void *user;
} dm_simulation;

typedef struct dm_simulated_stats {
    double seconds;      /* virtual */
    size_t runs;         /* that sent anything, also those whose results were lost */
    size_t calls;        /* requests that the servers saw */
    size_t different;    /* calls that they were asked for, equal ones once */
    dm_hash asked;       /* of the set of these, in whatever order they came */
    double tokens, cost; /* that they billed */
    size_t spent;        /* calls that failed with the last request that they had */
    size_t limited;      /* calls that were refused for going too fast */
    double let_through;  /* tokens of the others, as the limit counts */
    double first, last;  /* virtual s, of the first and the last call */
    size_t poisoned;     /* requests for rows that are never answered */
    double longest;      /* tokens of a prompt */
    /* Tokens of prefixes long enough to be cached: of all calls, of those behind another call with
     * the prefix, and of those behind another one's answer. */
    double prefixed, cachable, cached;
    size_t deaths, hangs, duplicates, lost_messages;
    uint64_t turns;
    bool died;              /* the coordinator, at dies_at or dies_behind */
    uint64_t journal_bytes; /* in the file at that moment */
    uint64_t journal_safe;  /* of them synced */
    size_t repeated;        /* calls that were made again though the journal had them: a fault */
} dm_simulated_stats;

dm_pool *dm_pool_simulated_new(const dm_setup *s, const dm_simulation *sim,
                               dm_simulated_stats *stats, dm_error *err) DM_MUST_USE;

#endif
