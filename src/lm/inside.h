/* Inside of the LM engine. */
#ifndef DM_LM_INSIDE_H
#define DM_LM_INSIDE_H

#include "base/log.h"
#include "lm/transport.h"

typedef struct dm_probe { /* GET base/models: who is there, and what does it serve? */
    dm_attempt attempt;   /* first */
    char *url;
    dm_lm *lm;
    struct dm_lm_model *model;
    bool asking;
    bool wanted;          /* nothing is sent to the server before it has answered this */
    bool has_list, lists; /* it says what it serves; the model is among it */
    char serves[128];     /* the first of it */
    char root[256];       /* of the model: vLLM's path of the weights; "" not said */
    int64_t max_model_len;
    char failure[200]; /* of the last try; "": it was not tried, or it answered */
    double again_at;
} dm_probe;

typedef struct dm_endpoint {
    const dm_lm_config *config;
    const char *base;           /* "http://node07:8000/v1" */
    char *url;                  /* of calls */
    struct curl_slist *headers; /* the key is in here and nowhere else */
    size_t in_flight;
    double limit;      /* calls in flight that it bears; AIMD on 429 */
    double cut_at;     /* when the limit was last cut */
    double down_until; /* set aside after a failure of the way, or by Retry-After */
    int failures;      /* of the way, in a row */
    int times_aside;   /* since it last answered */
    bool aside;        /* it was set aside: one call at a time until one is answered */
    double aside_at;   /* when */
    bool ejected, answered;
    char reason[1024];       /* why ejected */
    double requests, tokens; /* token buckets; may be negative as curl's rate limits */
    double filled;           /* when the buckets were last filled */
    dm_probe probe;
} dm_endpoint;

typedef struct dm_lm_model { /* one distinct config */
    const dm_lm_config *config;
    dm_endpoint *endpoints; /* [n] */
    size_t n, turn;         /* turn: where the next pick begins */
    size_t asking;          /* probes under way */
    double told_failing;    /* when it was told last */
    bool settled;           /* all were asked once, and compared */
    char *sampling;         /* as the provider puts it into a request */
    double share;           /* this process's part of rpm and tpm, (0, 1] */
} dm_lm_model;

typedef enum dm_verdict {
    DM_GOOD,      /* an answer */
    DM_RETRY,     /* the way */
    DM_SLOW_DOWN, /* 429, 529: the way, and too fast */
    DM_ODD,       /* a live server's reply that is no answer: this request */
    DM_FINAL,     /* the answer's fault stands */
    DM_EJECT      /* the endpoint's fault */
} dm_verdict;

typedef struct dm_reply { /* what an attempt gave */
    CURLcode code;
    long status;
    double retry_after; /* s; 0: none */
    dm_str body;
    char *content; /* out: owned, of n bytes */
    size_t n;
    bool truncated;
    int64_t prompt, completion, cached, reasoning;
    dm_fault fault; /* with DM_FINAL */
    char text[400]; /* what went wrong, with status and the server's words */
} dm_reply;

typedef struct dm_call {         /* one that was submitted */
    dm_attempt attempt;          /* first */
    struct dm_call *next, *prev; /* ready, waiting, active or idle */
    uint64_t id;
    dm_lm *lm;
    dm_lm_model *model;
    dm_lm_request request;
    dm_lm_done *done;
    void *user;
    dm_usage usage;
    int64_t attempts;       /* that failed on the way */
    const dm_endpoint *but; /* its last reply was no answer: another one, if there is one */
    double not_before;
    dm_endpoint *endpoint;
    dm_buf body;
    double estimate; /* tokens charged before the answer */
    double sent_at;
} dm_call;

typedef struct dm_call_list {
    dm_call *first, *last;
    size_t n;
} dm_call_list;

struct dm_lm {
    dm_transport *transport;
    dm_clock clock;
    dm_lm_model models[DM_ROLES];
    dm_lm_model *of_role[DM_ROLES];
    size_t n_models;
    size_t slots;
    double started;
    uint64_t seed, n_draws, next_id;
    dm_call_list ready;   /* may be sent, first in first out */
    dm_call_list waiting; /* for their not_before */
    dm_call_list active;  /* sent */
    dm_call_list idle;    /* to be used again */
    int rank;
    bool probes;
    bool draining; /* nothing is sent any more */
    void (*slowed)(void *user, dm_role role, size_t endpoint, double seconds);
    void (*failing)(void *user, dm_role role);
    void *user;
    char trouble[1536];
};

static inline double dm_lm_now(const dm_lm *lm)
{
    return dm_clock_now(&lm->clock);
}

/* ---- call.c: the ground of engine, outcome, probe and request ---- */

void dm_call_add(dm_call_list *l, dm_call *c);
void dm_call_take_out(dm_call_list *l, dm_call *c);
/* The end of a call; done is called, and the call is idle after it. */
void dm_call_finish(dm_call *c, const dm_lm_answer *answer);
void dm_call_fail(dm_call *c, dm_fault fault, const char *text, int status);

/* What to say of servers with: all ranks meet the same ones, one of them speaks. */
dm_level dm_lm_level(const dm_lm *lm);
const char *dm_advice(CURLcode code, long status); /* what the user can do */

/* request.c */
void dm_call_send(dm_call *c, dm_endpoint *e);

/* outcome.c: an active call's attempt has ended. */
void dm_call_attempted(dm_attempt *a);
bool dm_nobody_there(CURLcode code);
/* Seconds until the next attempt after `failed` of them, from 1 on: what the server asks for, else
 * full jitter: the draw, [0, 1), of twice as much each time. */
double dm_backoff(int64_t failed, double retry_after, double draw);

/* probe.c */
void dm_probe_start(dm_lm *lm, dm_lm_model *m, dm_endpoint *e);
void dm_probe_free(dm_lm *lm, dm_probe *p);
/* Whether the model's servers were all asked in vain, and are not to be waited for any longer. */
bool dm_probes_failed(const dm_lm *lm, const dm_lm_model *m, double now, char *text, size_t room);

/* Statuses that do not come from the model but from what stands before it: nobody is there, or
 * is ready. */
bool dm_is_of_the_way(long status);
/* The table of src/README.md §5. Fills content, usage, fault and text. */
dm_verdict dm_judge_reply(const dm_provider *p, dm_reply *r);

/* Key and headers; DM_E_MODEL when a key that is asked for is not there. */
dm_status dm_endpoint_init(dm_endpoint *e, const dm_lm_config *c, const char *base, int rank,
                           double slots, dm_error *err) DM_MUST_USE;
void dm_endpoint_free(dm_endpoint *e);
/* Seconds until the endpoint can take a call (0: now; INFINITY: ejected). */
double dm_endpoint_wait(dm_endpoint *e, double now, double rate_share);
void dm_endpoint_charge(dm_endpoint *e, double tokens);

/* key.c: the key for this endpoint, owned by the caller, NULL where none is to be sent; DM_E_MODEL
 * when one that is asked for is not there, or cannot be a key. A provider's own key goes to its own
 * server and where its variable of addresses leads, or where a model names it (src/README.md §1).
 */
dm_status dm_key_find(const dm_lm_config *c, const char *base, int rank, char **key,
                      dm_error *err) DM_MUST_USE;
const char *dm_bad_key_name(const char *name); /* why it cannot be api_key_env; NULL: it can */
/* The model's keys and its proxy's are secrets from now on, and in no variable any more. */
void dm_key_know(const dm_lm_config *c);

/* origin.c */
bool dm_same_origin(const char *a,
                    const char *b);        /* scheme, host and port; false: not an address */
const char *dm_bad_base(const char *base); /* why it cannot be an api_base; NULL: it can */
/* The address without user, password, query and fragment, for messages. */
const char *dm_shown_url(dm_arena *a, const char *url);
/* Whether it is a machine of one's own, as far as the address tells: loopback, a private network's
 * address, or a name that no public name server has. */
bool dm_is_own_machine(const char *base);
void dm_url_secrets(const char *url); /* its password (its user, if alone) is a secret */

#endif
