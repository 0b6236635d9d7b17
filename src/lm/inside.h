/* Inside of the LM engine. */
#ifndef DM_LM_INSIDE_H
#define DM_LM_INSIDE_H

#include "base/log.h"
#include "lm/limits.h"
#include "lm/transport.h"

typedef struct dm_probe { /* GET base/models: who is there, and what does it serve? */
    dm_attempt attempt;   /* first */
    char *url;
    dm_lm *lm;
    struct dm_lm_model *model;
    bool asking;
    bool wanted;          /* nothing is sent to the server before it has answered this */
    bool loading;         /* the last try: it is there, and its model is not */
    bool has_list, lists; /* it says what it serves; the model is among it */
    char serves[128];     /* the first of it */
    char root[256];       /* of the model: vLLM's path of the weights; "" not said */
    int64_t max_model_len;
    char failure[400]; /* of the last try; "": it was not tried, or it answered */
    double again_at;
} dm_probe;

#define DM_NEARBY_BASES 3
typedef struct dm_nearby { /* what a server has in place of what it does not know: nearby.h */
    dm_attempt attempt;    /* first */
    dm_lm *lm;
    struct dm_endpoint *endpoint;
    bool asking, done;
    dm_arena *arena;                    /* of what follows, while it is asked */
    const char *bases[DM_NEARBY_BASES]; /* [n_bases] */
    size_t n_bases, step;
    char *base, *old_url; /* where it is asked from now on; NULL: as before */
    char text[600];       /* what there is; "": nothing is known */
} dm_nearby;

typedef struct dm_heard { /* since the last report: what the pool makes a pace of */
    int64_t answered, refused;
    double told_at;
    bool of_refusal; /* what came last then */
    bool wanted;     /* the server has refused something for speed */
} dm_heard;

typedef struct dm_endpoint {
    const dm_lm_config *config;
    const char *base;           /* "http://node07:8000/v1" */
    char *url;                  /* of calls */
    struct curl_slist *headers; /* the key is in here and nowhere else */
    char *proxy, *shown_proxy;  /* "": none; without its password */
    const char *proxy_named_by;
    size_t in_flight;
    double limit;      /* calls in flight that it bears; AIMD on 429 */
    double cut_at;     /* when the limit was last cut */
    double down_until; /* set aside after a transport failure, or by Retry-After */
    int failures;      /* of the way, in a row */
    int times_aside;   /* since it last answered */
    int denials;       /* 403 and 404 to calls that another one answered, in a row */
    bool aside;        /* it was set aside: one call at a time until one is answered */
    double aside_at;   /* when */
    bool ejected, answered;
    bool told_doubt;         /* that its counts are not believed was said */
    double loading_from;     /* when it first said that it loads its model; 0: it did not */
    bool told_room;          /* that it has no room for flex was said */
    char reason[1024];       /* why ejected */
    double requests, tokens; /* token buckets; may be negative as curl's rate limits */
    double filled;           /* when the buckets were last filled */
    dm_limits limits;        /* that no job names */
    dm_heard tally;
    dm_probe probe;
    dm_nearby nearby;
} dm_endpoint;

typedef struct dm_lm_model { /* one distinct config */
    const dm_lm_config *config;
    dm_endpoint *endpoints; /* [n] */
    size_t n, turn;         /* turn: where the next pick begins */
    size_t asking;          /* probes under way */
    double told_failing;    /* when it was last reported */
    bool settled;           /* all were asked once, and compared */
    char *sampling;         /* as the provider puts it into a request */
    double share;           /* this process's part of rpm and tpm, (0, 1] */
} dm_lm_model;

typedef enum dm_verdict {
    DM_GOOD,      /* an answer */
    DM_RETRY,     /* a transport failure */
    DM_SLOW_DOWN, /* 429, 529: a transport failure, and too fast */
    DM_NO_ROOM,   /* no capacity for flex now: nothing was billed, and the request waits */
    DM_ODD,       /* a live server's reply that is not an answer: this request */
    DM_FINAL,     /* the answer's fault is final */
    DM_DENIED,    /* 403, 404: this request's or the endpoint's fault, as other replies show */
    DM_EJECT      /* the endpoint's fault */
} dm_verdict;

typedef struct dm_reply { /* what an attempt gave */
    CURLcode code;
    long status;
    double retry_after; /* s; 0: none */
    dm_str body;
    const char *content_type;   /* NULL: none */
    const char *redirect;       /* where a 3xx leads; NULL: nowhere */
    const char *proxy;          /* that it came through, as it may be shown; "", NULL: none */
    bool tls;                   /* so that no proxy says anything in the server's place */
    long connect_status;        /* of the proxy, where it opened no way; 0: none */
    const char *error;          /* curl's own words; "", NULL: none */
    const dm_lm_config *config; /* of what was asked; NULL: not known */
    size_t sent;                /* bytes of the request; 0: not known */
    char *content;              /* out: owned, of n bytes */
    size_t n;
    bool truncated;
    /* Tokens. All of the prompt, what of it was read from the server's cache, and what was written
     * there; all of the answer, and what of it was reasoning. A class's read may leave DM_NO_COUNT.
     */
    int64_t prompt, completion, cached, written, reasoning;
    char tier[24];  /* that it was served as; "": not reported */
    char param[64]; /* the request's key that the model does not take, or whose value; "": none */
    const char *doubt;  /* why counts are not believed; NULL: they are */
    bool loading;       /* it is there, and says that its model is not yet */
    dm_fault fault;     /* with DM_FINAL */
    const char *advice; /* what the user can do; NULL: dm_advice tells it */
    char text[400];     /* what went wrong, with status and the server's words */
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
    int64_t attempts;       /* that failed in transport */
    const dm_endpoint *but; /* its last reply was no answer: another one, if there is one */
    uint64_t denied;        /* bits, by number modulo 64: endpoints that said 403 or 404 to it */
    uint64_t asked;         /* bits, likewise: endpoints that a call of all has been to */
    char *kept;             /* the first answer to a call of all, of n_kept bytes; NULL: none yet */
    size_t n_kept;
    bool kept_truncated;
    double not_before;
    dm_endpoint *endpoint;
    dm_buf body;
    char *held; /* what it ends with when nearby.h has asked the server; NULL: not held */
    dm_fault held_fault;
    int held_status;
    double estimate;  /* tokens charged before the answer */
    dm_taking taking; /* the same for limits that no job names */
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
    void (*told)(void *user, dm_role role, size_t endpoint, const double limit[DM_RATES]);
    void (*tally)(void *user, dm_role role, size_t endpoint, int64_t answered, int64_t refused);
    void (*unfit)(void *user, const char *text);
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
void dm_call_finish_kept(dm_call *c);

/* What to say of servers with: all ranks meet the same ones, one of them speaks. */
dm_level dm_lm_level(const dm_lm *lm);
/* What the job calls a sampling key that is sent. */
const char *dm_job_key(const dm_lm_config *c, const char *param);
const char *dm_advice(CURLcode code, long status); /* what the user can do */
#define DM_HTTP        "HTTP "                     /* what the text of an error reply begins with */
#define DM_HTTP_STATUS DM_HTTP "%ld"

/* Whether the call may go to the endpoint, as far as its refusals of it tell. */
static inline uint64_t dm_endpoint_bit(const dm_call *c, const dm_endpoint *e)
{
    return (uint64_t)1 << ((size_t)(e - c->model->endpoints) % 64);
}

/* Seconds to wait for a server that is loading its model: what the job says, or a minute. */
double dm_loading_wait(const dm_lm_config *c);
/* The server has said that it is loading its model: noted, and reported once. */
void dm_lm_loads(dm_lm *lm, dm_endpoint *e);
#define DM_WAIT_LONGER                                                                             \
    "the server still loads its model: lm.wait says how long to wait for it, such as \"10 min\""

/* request.c */
void dm_call_send(dm_call *c, dm_endpoint *e);
dm_taking dm_call_taking(const dm_call *c, const dm_endpoint *e);

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

/* What the attempt to e came to, but for what is read of it. */
dm_reply dm_reply_of(const dm_attempt *a, const dm_endpoint *e);
/* Statuses that do not come from the model but from what is in front of it: no server is there, or
 * none is ready. */
bool dm_is_of_the_way(long status);
#define DM_NO_COUNT (-1) /* what was reported as a number of tokens is not one */
/* counts.c: what cannot be true counts as not reported, and doubt says why. */
void dm_reply_check_counts(dm_reply *r);
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
/* Of headers_env: what the variable holds; DM_E_MODEL when there is nothing. */
dm_status dm_header_find(const char *name, int rank, dm_str *out, dm_error *err) DM_MUST_USE;
const char *dm_bad_header(dm_str name, dm_str value); /* why it can be none; NULL: it can */
/* The model's keys and its proxy's are secrets from now on, and in no variable any more. */
void dm_key_know(const dm_lm_config *c);

/* origin.c */
bool dm_same_origin(const char *a,
                    const char *b); /* scheme, host and port; false: not an address */
bool dm_in_domain(const char *base, const char *domain); /* over https, at ".openai.azure.com" */
const char *dm_bad_base(const char *base); /* why it cannot be an api_base; NULL: it can */
/* The address without user, password, query and fragment, for messages. */
const char *dm_shown_url(dm_arena *a, const char *url);
/* Whether it is the user's own machine, as far as the address shows: loopback, a private network's
 * address, or a name that no public name server has. */
bool dm_is_own_machine(const char *base);
void dm_url_secrets(const char *url); /* its password (its user, if alone) is a secret */

#endif
