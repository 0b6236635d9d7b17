/* One example through a program: a small state machine over LM calls. Many run side by side in a
 * process; each moves when an answer comes. */
#ifndef DM_RUNNER_RUNNER_H
#define DM_RUNNER_RUNNER_H

#include "host/host.h"
#include "metric/metric.h"

/* A program state made ready to run: what does not depend on the example is rendered once. */
typedef struct dm_prepared dm_prepared;

/* The one kind of work (src/README.md §2). */
typedef struct dm_work {
    const dm_candidate *candidate; /* sealed */
    dm_role role;
    bool scored;        /* the metric is run */
    bool trace;         /* steps come back, and the metric is given the trace (bootstrapping) */
    bool steps;         /* steps come back, and the metric is not given them */
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

/* What a request came to, for all who make the same one. */
typedef struct dm_answer {
    dm_fault fault; /* NONE: the model answered */
    bool final;     /* nobody asks again; else it is only what a try cost */
    dm_str content; /* the answer, or why there is none */
    bool truncated;
    dm_usage usage; /* of the requests that were made for it now */
} dm_answer;

typedef struct dm_run_result { /* valid during the callback */
    dm_fault fault;
    double score; /* as the metric says; NAN when not scored or with a fault */
    const dm_value *outputs;
    /* [n_steps], with work.trace or .steps: also those before a failure, and the one that could not
     * be read */
    const dm_step *steps;
    size_t n_steps;
    const char *feedback; /* the metric's, with steps; NULL: none; see dm_feedback_on */
    dm_str parts;         /* of a metric of parts, JSON text of a list; .p NULL */
    size_t n_judged;      /* of the keys, the last ones: a judge's */
    /* Outputs of the steps that ended before the last, or before the one that failed, by the
     * steps' names; NULL: there are none, or they are in steps. */
    const dm_value *before;
    /* The requests that it used, by dm_lm_key; with a fault of a call the last one is that call's.
     */
    const dm_hash *keys; /* [n_keys] */
    size_t n_keys;
    dm_usage call;  /* of that call, where it was the run's own to make */
    dm_usage usage; /* of requests that have no key */
    bool fallback, truncated;
    /* What it found out (dm_run_formats): those that are refused, and DM_FORMATS_ASKED when that is
     * all of them. */
    unsigned formats;
    /* It does not parse since it was cut at max_tokens while the model was still thinking: after so
     * many tokens, of them reasoning (0: not reported). */
    bool starved;
    int64_t cut, reasoning;
    const char *error; /* NULL: none */
} dm_run_result;

/* Feedback that is another one for each predictor, as one text: {path: text}, or {path: [text or
 * null, ...]} with one for each step of the run, since a predictor may have several; "" being what
 * was said on the whole. Lives in a. */
const char *dm_feedback_on_each(dm_arena *a, const dm_value *each);
/* What a result's feedback says on the predictor, which is that of this step of the run or is
 * judged by it; .p NULL: nothing. Lives in a or in feedback. */
dm_str dm_feedback_on(dm_arena *a, const char *feedback, dm_str path, size_t step);

/* Response formats that a model's servers refuse, as bits, and that they were asked. */
#define DM_FORMAT_BIT(format) (1u << (format))
#define DM_FORMATS_ASKED      1u /* DM_FORMAT_NONE is never refused */
#define DM_FORMATS            8u /* all sets are below */

/* Whether others have asked the same. user is the run's. */
typedef struct dm_known_answers {
    /* Before a call is made; dm_run_found goes on with it, later. call: 0, 1, ... in the order in
     * which the run asks. */
    void (*find)(void *user, uint32_t call, const dm_hash *key);
    /* [role] dm_lm_scope; NULL: its requests have no keys, and each is made. */
    const dm_hash *scope[DM_ROLES];
} dm_known_answers;

typedef struct dm_runner {
    dm_lm *lm;
    dm_metric *metric; /* NULL: nothing is scored */
    dm_hosts *hosts;   /* of a Python program; NULL: there is none */
    bool any_score;    /* the metric's are not 0 to 1 alone */
    size_t swallowed;  /* runs of it that went on after a request of theirs had been refused */
    size_t unsaid;     /* that have a score, and on some predictor no feedback: the metric failed */
    dm_known_answers known; /* all NULL: each request is made */
} dm_runner;

typedef struct dm_run dm_run;

/* Who makes a call, for a transport that answers by that: dm_attempt's user is the run. */
typedef struct dm_run_place {
    const dm_work *work;
    const dm_value *row;
    dm_adapter adapter; /* in whose form an answer is expected now */
    size_t predictor;
    uint32_t call;
    dm_hash key;    /* of the request; zeros where it has none */
    bool first;     /* no request of the run went out before this call's */
    bool asks_only; /* dm_run_ask_only */
    void *user;     /* of the run */
} dm_run_place;
dm_run_place dm_run_place_of(const dm_run *run);

typedef void dm_run_done(void *user, const dm_run_result *r); /* the run is freed after it */
/* A call with a key that the run made itself is answered; called before the run goes on. Not final:
 * it goes on all the same, and others may make the call. */
typedef void dm_run_answered(void *user, const dm_hash *key, const dm_answer *answer);

/* row must stay alive. Nothing happens before dm_run_go, from which done may already be called. */
dm_run *dm_run_new(dm_runner *r, dm_prepared *p, const dm_value *row, const dm_hash *fingerprint,
                   dm_run_answered *answered, dm_run_done *done, void *user);
/* So many requests at most, all attempts counted (0: any number); then it ends with
 * DM_FAULT_TRANSPORT, to be gone on with. Before dm_run_go. */
void dm_run_limit(dm_run *run, int64_t requests);
/* refused: the formats that are not sent, as others are, or none, and then no JSON mode follows a
 * chat answer that does not parse. asks: it is to find out, by one more call of its first step, in
 * JSON mode, of which nothing but that it was answered is taken. Before dm_run_go. */
void dm_run_formats(dm_run *run, unsigned refused, bool asks);
/* Its first call is made, though its answer may be known, and that it is answered is all that is
 * wanted: a result without outputs. Before dm_run_go. */
void dm_run_ask_only(dm_run *run);
void dm_run_go(dm_run *run);
/* Whether it waits for what find comes to for this call. */
bool dm_run_finds(const dm_run *run, uint32_t call);
/* If so: what it came to; NULL: the model is asked, after so many replies that were no answers. */
void dm_run_found(dm_run *run, uint32_t call, const dm_answer *answer, int64_t odd_before);
void dm_run_cancel(dm_run *run); /* frees it; no callback */

#endif
