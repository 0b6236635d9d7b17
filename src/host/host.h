/* Processes that run a Python program's examples (scripts/dspy-host), and the messages to and from
 * them (README.md here). A process has a guard like a metric's (metric/child.h), so that nothing of
 * it is left behind, and neither side ever waits for the other to read.
 *
 * A process that hangs or dies is replaced. Its examples begin anew in another one, where what they
 * asked before is known by content; an example that was there each time runs alone, and what
 * happens then is its own failure. */
#ifndef DM_HOST_HOST_H
#define DM_HOST_HOST_H

#include "lm/lm.h"

typedef struct dm_hosts dm_hosts;
typedef struct dm_host_run dm_host_run;
typedef struct dm_host_state dm_host_state;

/* spec: {"interpreter", "script", "folder", "processes": 0, "timeout": 60, "hello": {...},
 * "expect":
 * {...}}; copied. processes 0: one a core that this process may use. timeout: s without a call in
 * flight after which a run hangs. expect: what `ready` has to say in each process; NULL: anything.
 * Starts nothing. */
dm_hosts *dm_hosts_new(const dm_value *spec);
void dm_hosts_free(dm_hosts *h); /* ends all processes; runs have no end any more */

/* What the first process says once it has the program: {"predictors", ...}, README.md; lives in a.
 * Waits for it. NULL: it cannot be had, and why. */
const dm_value *dm_hosts_ready(dm_hosts *h, dm_arena *a, dm_error *err) DM_MUST_USE;

/* What each other process has to say, after the first one said this: the spec's expect; lives in a.
 */
dm_value *dm_hosts_expected(dm_arena *a, const dm_value *ready);

/* A state of the program: {predictor: {"demos", "signature", ...}}. Told to each process once. */
dm_host_state *dm_host_state_new(dm_hosts *h, const dm_value *state);
void dm_host_state_free(dm_host_state *s);

typedef struct dm_host_events {
    /* It asks a model: {"role", "messages", "kwargs", "rollout", "predictor", "phase"}, which lives
     * in a. a is taken. */
    void (*asked)(void *user, int64_t call, const dm_value *request, dm_arena *a);
    /* {"outputs", "score", "feedback", "steps", ...} or {"error": {"class", "type", "message",
     * "where"}}, valid meanwhile. The run is freed after it. */
    void (*ended)(void *user, const dm_value *result);
    /* It begins anew: calls that were not answered are nobody's. */
    void (*again)(void *user);
} dm_host_events;

/* message: the members of `run` but for op, id and candidate, as JSON without its braces; copied.
 */
dm_host_run *dm_host_begin(dm_hosts *h, const dm_host_state *s, dm_str message,
                           const dm_host_events *events, void *user);
/* members: those of `answer` but for op and id, likewise. Calls that are nobody's are left alone.
 */
void dm_host_answer(dm_host_run *r, int64_t call, dm_str members);
void dm_host_drop(dm_host_run *r);            /* frees it; no event */
int64_t dm_host_number(const dm_host_run *r); /* no other run has it */

size_t dm_hosts_fds(dm_hosts *h, dm_wait_fd *fds, size_t max);
double dm_hosts_due(const dm_hosts *h); /* dm_now() time; INFINITY: never */
void dm_hosts_poll(dm_hosts *h);
/* A host's error for a person: "KeyError: 'x' (m.py:3)". Lives in a. */
const char *dm_host_error_text(dm_arena *a, const dm_value *error);
/* Why nothing is to be hoped for any more; NULL: nothing of that kind is known. */
const char *dm_hosts_trouble(const dm_hosts *h);
/* No more can be hoped for, since the metric's scores are not what the optimizer takes. */
void dm_hosts_refuse_score(dm_hosts *h, double score);
/* Whether the trouble is that. */
bool dm_hosts_blame_metric(const dm_hosts *h);

#endif
