/* One example through a program: a small state machine over LM calls. Many run side by side in a
 * process; each moves when an answer comes. */
#ifndef DM_RUNNER_RUNNER_H
#define DM_RUNNER_RUNNER_H

#include "metric/metric.h"

/* A program state made ready to run: what does not depend on the example is rendered once. */
typedef struct dm_prepared dm_prepared;

/* The one kind of work (src/README.md §2). */
typedef struct dm_work {
    const dm_candidate *candidate; /* sealed */
    dm_role role;
    bool scored;        /* the metric is run */
    bool trace;         /* steps come back, and the metric is given the trace (bootstrapping) */
    bool drop_own_demo; /* demos equal to the example's row are left out (contract 8.2, 4) */
    int64_t rollout;    /* -1: none */
    double temperature; /* NAN: the model's own */
} dm_work;

typedef struct dm_run_spec {
    dm_work work;
    dm_adapter adapter;
    bool json_fallback; /* chat: one JSON call after an answer that does not parse (contract 3.5) */
    const dm_str *inputs; /* [n_inputs] the columns that a program of one module is called with */
    size_t n_inputs;
} dm_run_spec;

dm_prepared *dm_prepared_new(const dm_run_spec *spec); /* borrows what spec points to */
void dm_prepared_free(dm_prepared *p);

/* One answer of a run, by its place: enough to go on from there without asking again. */
typedef struct dm_answer {
    uint32_t call;  /* 0, 1, ... in the order in which the run asks; or DM_NO_CALL */
    uint64_t asked; /* hash of what was asked */
    dm_str content;
    bool truncated;
    dm_usage usage;
} dm_answer;
/* In the journal: what a run cost that failed on the way, and is tried again. No answer. */
#define DM_NO_CALL UINT32_MAX

typedef struct dm_run_result { /* valid during the callback */
    dm_fault fault;
    double score; /* as the metric says; NAN when not scored or with a fault */
    const dm_value *outputs;
    const dm_step *steps; /* [n_steps], when spec.trace */
    size_t n_steps;
    dm_usage usage; /* of the calls made now, beside answers that were told ahead */
    bool fallback, truncated;
    /* What it found out (dm_run_formats): those that are refused, and DM_FORMATS_ASKED when that is
     * all of them. */
    unsigned formats;
    /* It does not parse since it was cut at max_tokens while the model was still thinking: after so
     * many tokens, of them reasoning (0: not told). */
    bool starved;
    int64_t cut, reasoning;
    const char *error; /* NULL: none */
} dm_run_result;

/* Response formats that a model's servers refuse, as bits, and that they were asked. */
#define DM_FORMAT_BIT(format) (1u << (format))
#define DM_FORMATS_ASKED      1u /* DM_FORMAT_NONE is never refused */
#define DM_FORMATS            8u /* all sets are below */

/* Where answers may be known from elsewhere. user is the run's. */
typedef struct dm_known_answers {
    /* Before a call is made; dm_run_found goes on with it, later. */
    void (*find)(void *user, const dm_hash *key);
    /* A call that was made has ended; content.p NULL: without an answer. */
    void (*keep)(void *user, const dm_hash *key, dm_str content, bool truncated);
    /* [role] what of the model its answers depend on; NULL: its answers are not kept. */
    const dm_hash *scope[DM_ROLES];
} dm_known_answers;

typedef struct dm_runner {
    dm_lm *lm;
    dm_metric *metric;      /* NULL: nothing is scored */
    dm_known_answers known; /* all NULL: no cache */
} dm_runner;

typedef struct dm_run dm_run;

/* Who makes a call, for a transport that answers by that: dm_attempt's user is the run. */
typedef struct dm_run_place {
    const dm_work *work;
    const dm_value *row;
    dm_adapter adapter; /* in whose form an answer is expected now */
    size_t predictor;
    uint32_t call;
    uint64_t asked;
    bool first;     /* no request of the run went out before this call's */
    bool asks_only; /* dm_run_ask_only */
    void *user;     /* of the run */
} dm_run_place;
dm_run_place dm_run_place_of(const dm_run *run);

typedef void dm_run_done(void *user, const dm_run_result *r); /* the run is freed after it */
/* A new usable answer after which the run goes on (to another call, or a metric that takes its
 * time). */
typedef void dm_run_answered(void *user, const dm_answer *answer);

/* given: answers of an earlier, unfinished run of the same work, used as far as they fit (copied).
 * row must stay alive. Nothing happens before dm_run_go, from which done may already be called. */
dm_run *dm_run_new(dm_runner *r, dm_prepared *p, const dm_value *row, const dm_hash *fingerprint,
                   const dm_answer *given, size_t n_given, dm_run_answered *answered,
                   dm_run_done *done, void *user);
/* So many requests at most, all attempts counted (0: any number); then it ends with
 * DM_FAULT_TRANSPORT, to be gone on with. Before dm_run_go. */
void dm_run_limit(dm_run *run, int64_t requests);
/* So many replies to its first call that were no answers came before. Before dm_run_go. */
void dm_run_tried(dm_run *run, int64_t odd_before);
/* refused: the formats that are not sent, as others are, or none, and then no JSON mode follows a
 * chat answer that does not parse. asks: it is to find out, by one more call of its first step, in
 * JSON mode, of which nothing but that it was answered is taken. Before dm_run_go. */
void dm_run_formats(dm_run *run, unsigned refused, bool asks);
/* Its first call is made, though its answer may be known, and that it is answered is all that is
 * wanted: a result without outputs. Before dm_run_go. */
void dm_run_ask_only(dm_run *run);
void dm_run_go(dm_run *run);
/* What find came to; content.p NULL: not known, the model is asked. */
void dm_run_found(dm_run *run, dm_str content, bool truncated);
void dm_run_cancel(dm_run *run); /* frees it; no callback */

#endif
