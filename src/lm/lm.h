/* The engine that calls language models: many requests in flight over libcurl's multi interface,
 * with retries, one limiter an endpoint, and the error table of src/README.md §5. One engine a
 * process; it does nothing between calls of dm_lm_poll. */
#ifndef DM_LM_LM_H
#define DM_LM_LM_H

#include "adapter/adapter.h"
#include "base/clock.h"
#include "lm/config.h"
#include "lm/told.h"

/* Whose fault it is that there is no score (src/README.md §5). The names are in
 * predictions.jsonl. */
typedef enum dm_fault {
    DM_FAULT_NONE,
    DM_FAULT_TRANSPORT, /* "transport": the way; retries spent, the work goes back */
    DM_FAULT_OVERFLOW,  /* "context_overflow": a refusal, too long in the server's words */
    DM_FAULT_PARSE,   /* "parse": the candidate; an answer that does not parse after the fallback */
    DM_FAULT_REFUSED, /* "refused": 400, 413, 422 and most other 4xx */
    DM_FAULT_FILTER,  /* "content_filter": a refusal, by the provider's filter */
    DM_FAULT_ENDPOINT, /* "endpoint": 401, 402, redirect, certificate, quota; no endpoint is left */
    DM_FAULT_PROGRAM,  /* "program": an input that cannot be rendered (DSPy's TypeError) */
    DM_FAULT_METRIC,   /* "metric": the metric raised, timed out, or gave no score */
    DM_FAULT_SERVER,   /* "server": a live server's replies to this request were no answers (500, an
                          odd body, an error object); until the pool has found that it answers
                          others, the work goes back */
    DM_FAULT_DENIED,   /* "refused": 403, 404. Until the pool has found that the server answers
                          others, the work goes back; if it does not, it is the endpoint */
    DM_FAULT_JUDGE     /* "judge": the judge's answer was refused, or is no judgement */
} dm_fault;
#define DM_FAULTS 12
const char *dm_fault_name(dm_fault f);
/* The server refused this request, whatever its words: the candidate's fault or the example's, as
 * two results tell that are compared. */
bool dm_is_refusal(dm_fault f);
/* A sampling key (as it is sent) that the model refuses, as the server says: which one of the job's
 * it is, and what to do. */
void dm_lm_unfit_text(dm_buf *b, const dm_lm_config *c, const char *param, const char *text);
/* What DM_FAULT_DENIED's text means where it is the endpoint's fault: a sentence with address,
 * status and what to do. */
void dm_lm_denied_text(dm_buf *b, const dm_lm_config *c, const char *text);

typedef struct dm_usage {
    int64_t requests;                   /* sent, all attempts, refused ones and resends too */
    int64_t answers;                    /* usable completions */
    int64_t prompt, completion, cached; /* tokens, as the server counts */
    int64_t retries;                    /* attempts after the first */
    /* Of requests, those whose tokens no server reported: the answer was lost, or came without
     * usage, or was an error of unknown cost. They may have been billed their prompt and up to
     * max_tokens, and a cap on tokens or money charges that. A refusal (3xx, 4xx but 408, 503, 529)
     * costs nothing. */
    int64_t untold;
    int64_t odd;       /* replies of a live server that were not answers */
    int64_t written;   /* prompt tokens that servers put into their caches, at a separate price */
    int64_t reasoning; /* of completion, what a model used for reasoning, as far as reported */
    int64_t flex;      /* of answers, those that were served as flex, as their servers reported */
} dm_usage;
void dm_usage_add(dm_usage *to, const dm_usage *u);
/* NAN: the price is not known. */
double dm_cost_of(const dm_lm_config *c, const dm_usage *u);

typedef struct dm_lm_request {
    dm_role role;
    const dm_prefix *prefix; /* borrowed until the answer */
    dm_str head;             /* the same by dm_lm_head; borrowed until the answer */
    uint64_t head_hash;      /* of head */
    dm_str user;             /* final user message; borrowed until the answer */
    double temperature;      /* NAN: the model's own */
    int64_t rollout;         /* -1: none. Never sent; makes equal requests distinct */
    /* Requests that may go out, all attempts and curl's own resends counted; 0: any number. When
     * they are spent the call ends as a transport fault, whatever num_retries says. */
    int64_t most_sends;
    /* Each of the model's servers that is there is asked, one after another, as far as most_sends
     * allows; the first answer counts, and a refusal by any of them: what all are sent later has to
     * be what the weakest takes. */
    bool of_all;
    int64_t odd_before; /* replies that were no answers, when it was tried before */
    int64_t asker;      /* the run that asks, for a way that asks back (host/way.h); 0: whoever */
    dm_response_format
        format;    /* JSON mode; lowered to what the model supports (contract 3.5 a-c) */
    dm_str schema; /* for DM_FORMAT_SCHEMA */
    /* A program's own request, sent unchanged to a model that takes such (dm_lm_takes_json):
     * messages in OpenAI's form, and settings that go before the model's own. Prefix, user and
     * format are empty then, and content of the answer is the reply, with its choices. messages
     * NULL: it is not one. Borrowed until the answer. */
    struct dm_lm_json {
        const dm_value *messages, *settings;
    } json;
} dm_lm_request;

typedef struct dm_lm_answer { /* valid during the callback */
    dm_fault fault;
    dm_str content; /* choices[0].message.content when fault is NONE; never NULL */
    bool truncated; /* finish_reason "length" */
    dm_usage usage;
    int http_status;  /* of the last attempt; 0: none */
    const char *text; /* for faults: one sentence with endpoint, status and what to do */
} dm_lm_answer;

typedef void dm_lm_done(void *user, const dm_lm_answer *answer);

/* The prefix as it goes out to this model, for all calls that begin with it; lives in a. Equal ones
 * are the same question to the model. */
dm_str dm_lm_head(dm_arena *a, const dm_lm_config *c, const dm_prefix *prefix);

/* ---- asked.c: which requests are equal ---- */

/* What of the model all its answers depend on: model and sampling, but for the temperature. */
dm_hash dm_lm_scope(const dm_lm_config *c);
/* What the request is found by: scope, the rest of the sampling as it is sent, response format, n
 * (which is 1), rollout and messages; never an address. All requests with one head begin alike. */
dm_sha256 dm_lm_key_begin(const dm_hash *scope, dm_str head);
dm_hash dm_lm_key(const dm_lm_config *c, const dm_sha256 *begun, const dm_lm_request *r);
/* The same for answers that are kept across runs, where servers of one model are distinguished by
 * their addresses in any order, or by the model's cache_tag. */
dm_hash dm_lm_key_at_servers(const dm_lm_config *c, const dm_hash *key);

typedef struct dm_lm dm_lm;
struct dm_transport; /* lm/transport.h */

typedef struct dm_lm_options {
    const dm_lm_config *role[DM_ROLES]; /* roles may share one config (same pointer: one model) */
    int64_t slots; /* calls in flight in this process, over all models; more are queued here */
    uint64_t seed; /* of the jitter */
    bool probe; /* servers are asked what they serve before they get a call: all where a model has
                 * several, one of each model where there are several models */
    /* A server asked for fewer calls (429, 529), and for a pause of seconds (0: none): called so
     * that other processes learn of it by dm_lm_slow. NULL: not wanted. */
    void (*slowed)(void *user, dm_role role, size_t endpoint, double seconds);
    /* A server reported its limits, and others than before: a minute, 0: not reported. Other
     * processes learn of them by dm_lm_learn. NULL: not wanted. */
    void (*told)(void *user, dm_role role, size_t endpoint, const double limit[DM_RATES]);
    /* A server refuses for speed and reports no limits: what it answered and what it refused since
     * the last call, a refusal at once. dm_lm_pace is what comes back. NULL: not wanted. */
    void (*tally)(void *user, dm_role role, size_t endpoint, int64_t answered, int64_t refused);
    /* A sampling key of the job is refused by the model, in one sentence: every call will be. NULL:
     * not wanted. */
    void (*unfit)(void *user, const char *text);
    /* An attempt failed in transport, and none was answered since this was last called: about once
     * a second at most. NULL: not wanted. */
    void (*failing)(void *user, dm_role role);
    void *user;     /* of all five */
    int rank;       /* for messages only: "rank 12 on node07 has no OPENAI_API_KEY" */
    dm_clock clock; /* {NULL}: the system's */
    struct dm_transport *transport; /* taken, whatever comes of it; NULL: curl */
} dm_lm_options;

/* Reads the keys from environment and files (base/secret.h); DM_E_MODEL when one that is asked for
 * is missing or can be none. */
dm_lm *dm_lm_new(const dm_lm_options *o, dm_error *err) DM_MUST_USE;
void dm_lm_free(dm_lm *lm); /* calls in flight are dropped without a callback */

/* Whether JSON mode sends this model's servers a response_format that they may not take: all but
 * the provider's own. */
bool dm_lm_asks_format(const dm_lm_config *c);

/* Whether it can be sent a program's own requests unchanged. */
bool dm_lm_takes_json(const dm_lm_config *c);

/* The role's model; NULL: there is none. */
const dm_lm_config *dm_lm_config_of(const dm_lm *lm, dm_role role);

/* This process's part, (0, 1], of the rpm and tpm of the role's model; 1 to begin with. */
void dm_lm_share(dm_lm *lm, dm_role role, double share);

/* What the server said to another process: half as many calls at once, and a pause (0: none). */
void dm_lm_slow(dm_lm *lm, dm_role role, size_t endpoint, double seconds);

/* What another process learned of a server's limits. */
void dm_lm_learn(dm_lm *lm, dm_role role, size_t endpoint, const double limit[DM_RATES]);

/* The pool's pace for a server, requests a minute of the whole job; 0: none. offset: limits.h. */
void dm_lm_pace(dm_lm *lm, dm_role role, size_t endpoint, double pace, double offset);

/* Queues a call. done is called once, from dm_lm_poll (never from here). Returns an id for cancel.
 */
uint64_t dm_lm_submit(dm_lm *lm, const dm_lm_request *r, dm_lm_done *done, void *user);
void dm_lm_cancel(dm_lm *lm, uint64_t id); /* no callback; what was sent may still be billed */

/* From now on nothing is sent any more; what is in flight goes on. */
void dm_lm_drain(dm_lm *lm);
size_t dm_lm_in_flight(const dm_lm *lm);

typedef struct dm_wait_fd {
    int fd;
    bool readable; /* out */
} dm_wait_fd;

/* Does what can be done, then waits until a call makes progress, a timer is due, one of fds is
 * readable, or timeout (s; 0: do not wait) has passed; calls the callbacks of what is done. */
void dm_lm_poll(dm_lm *lm, dm_wait_fd *fds, size_t n, double timeout);

/* A model that no call has asked yet and whose servers are not there, or refuse us: one sentence;
 * NULL: nothing of that kind is known. */
const char *dm_lm_trouble(dm_lm *lm);

/* The stand-in (lm/embedded.c): a pure function of the messages, integer arithmetic. */
void dm_embedded_answer(dm_buf *out, const dm_message *messages, size_t n, int64_t rollout);

#endif
