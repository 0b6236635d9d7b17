/* Inside of the runner: what a run is made of. */
#ifndef DM_RUNNER_INSIDE_H
#define DM_RUNNER_INSIDE_H

#include "runner/prepared.h"

/* What asks, and what takes answers: steps.c, where the program is a line of them; python.c, where
 * a host runs it. */
typedef struct dm_run_kind {
    void (*go)(dm_run *run); /* it begins */
    /* An answer: content lives as long as the run. made: by a call of its own. */
    void (*answer)(dm_run *run, dm_str content, bool truncated, const dm_usage *usage);
    void (*no_answer)(dm_run *run, dm_fault fault, const char *text);
    /* Whether a refusal of its newest call is not the end of the run. */
    bool (*bears)(const dm_run *run, dm_fault refusal);
    void (*end)(dm_run *run); /* before its memory goes; NULL: nothing to do */
} dm_run_kind;
extern const dm_run_kind dm_run_steps, dm_run_python;

struct dm_run {
    const dm_run_kind *kind;
    dm_runner *runner;
    dm_prepared *prepared;
    const dm_value *row;
    dm_hash fingerprint;
    dm_arena *arena;
    dm_run_answered *answered;
    dm_run_done *done;
    void *user;

    uint32_t call;
    uint64_t lm_id; /* of the call in flight; 0: none */
    dm_lm_request request;
    dm_hash *keys; /* [result.n_keys] of its requests, the last one asked for now */
    size_t cap_keys;
    int64_t most;       /* requests; 0: any number */
    int64_t requests;   /* made so far */
    int64_t odd_before; /* replies to this request that were no answers */
    bool asks_only;     /* see dm_run_ask_only */
    bool finding;       /* whether others have asked the same */
    bool made;          /* the newest answer is to a call of its own, so it has its place */
    bool scoring;       /* the metric has the prediction */
    bool cancelled;
    size_t predictor; /* the one that is asking */
    dm_run_result result;

    /* ---- steps ---- */
    dm_adapter mode;      /* the fallback once an answer did not parse */
    const char *unparsed; /* what was wrong with that answer; NULL: it has not come to that */
    dm_str unread;        /* that answer */
    unsigned refused;     /* formats, as dm_run_formats says */
    bool asks_format;
    const dm_value *held;   /* outputs of the first step, while its question is out; else NULL */
    const dm_value *fields; /* the row, and the outputs so far */
    dm_step *steps;         /* [program->n] */

    /* ---- python ---- */
    struct dm_python_run *python;
};

static inline bool dm_run_has_steps(const dm_run *run)
{
    const dm_work *w = &run->prepared->spec.work;
    return w->trace || w->steps;
}

/* call.c */
void dm_run_finish(dm_run *run); /* the result is whole */
void dm_run_fail(dm_run *run, dm_fault fault, const char *text);
void dm_run_score(dm_run *run, const dm_value *outputs, const dm_step *trace, size_t n_steps);
/* NULL: its requests have no keys. */
const dm_hash *dm_run_scope(const dm_run *run, dm_role role);
/* run->request is made: it is asked whether others have made it, and else it is sent. begun: its
 * key's beginning, dm_lm_key_begin; not read where it has no scope. */
void dm_run_ask(dm_run *run, const dm_sha256 *begun);
bool dm_run_has_requests_left(const dm_run *run);
void dm_run_free(dm_run *run);

#endif
