/* Inside of the LM engine. */
#ifndef DM_LM_INSIDE_H
#define DM_LM_INSIDE_H

#include "lm/lm.h"

#include <curl/curl.h>

typedef struct dm_endpoint {
    const dm_lm_config *config;
    const char *base;           /* "http://node07:8000/v1" */
    char *url;                  /* base + "/chat/completions" */
    struct curl_slist *headers; /* the key is in here and nowhere else */
    size_t in_flight;
    double limit;      /* calls in flight that it bears; AIMD on 429 */
    double down_until; /* set aside after a failure of the way, or by Retry-After */
    int failures;      /* of the way, in a row */
    bool ejected, answered;
    char reason[400];        /* why ejected */
    double requests, tokens; /* token buckets; may be negative (STYLE.md: curl's RATELIMITS) */
    double filled;           /* when the buckets were last filled */
} dm_endpoint;

typedef struct dm_lm_model { /* one distinct config */
    const dm_lm_config *config;
    dm_endpoint *endpoints; /* [n] */
    size_t n;
    char *sampling; /* ",\"temperature\":0.5,..." */
} dm_lm_model;

typedef enum dm_verdict {
    DM_GOOD,      /* an answer */
    DM_RETRY,     /* the way */
    DM_SLOW_DOWN, /* 429, 529: the way, and too fast */
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
    int64_t prompt, completion, cached;
    dm_fault fault; /* with DM_FINAL */
    char text[400]; /* what went wrong, with status and the server's words */
} dm_reply;

/* The table of DESIGN.md §5. Fills content, usage, fault and text. */
dm_verdict dm_judge_reply(dm_reply *r);

/* Key and headers; DM_E_MODEL when a key that is asked for is not there. */
dm_status dm_endpoint_init(dm_endpoint *e, const dm_lm_config *c, const char *base, int rank,
                           double slots, dm_error *err) DM_MUST_USE;
void dm_endpoint_free(dm_endpoint *e);
/* Seconds until the endpoint can take a call (0: now; INFINITY: ejected). */
double dm_endpoint_wait(dm_endpoint *e, double now, double rate_share);
void dm_endpoint_charge(dm_endpoint *e, double tokens);

/* What the model is known to support of what JSON mode would like (contract 3.5). */
dm_response_format dm_supported_format(const dm_lm_config *c, dm_response_format wanted);

#endif
