/* The way to servers: one attempt of a request at a time, from "send this" to status and bytes.
 * What follows from them (another attempt, a pause, a lower limit, what is counted) is the
 * engine's, and is the same over every transport: curl's (curl.c), or one that a simulation brings.
 */
#ifndef DM_LM_TRANSPORT_H
#define DM_LM_TRANSPORT_H

#include "lm/lm.h"
#include "lm/told.h"

#include <curl/curl.h>

typedef struct dm_attempt dm_attempt;
struct dm_attempt { /* first in its owner, who uses it again for his next one */
    /* The owner's. */
    const dm_lm_config *config; /* time-outs, certificates */
    const char *url;
    struct curl_slist *headers;
    const char *proxy;               /* ""; NULL: none */
    double connect_timeout, timeout; /* s, in place of the config's; 0: those */
    const dm_buf *body;              /* sent by POST; NULL: a GET */
    const dm_lm_request *request;    /* what is asked; NULL: no call of a model */
    void *user;                      /* of the call (dm_lm_submit) */
    int64_t before;                  /* requests of the call's earlier attempts */
    /* Asked before a request leaves, and before one leaves again since its connection was closed:
     * false: it is not to. NULL: always. */
    bool (*may_send)(const dm_attempt *a);
    void (*ended)(dm_attempt *a); /* may send it again */

    /* The transport's. */
    int sends; /* requests that went out, from 0 on at each attempt */
    CURLcode code;
    long connect_status;         /* of a proxy that refused to connect; 0: none did */
    char error[CURL_ERROR_SIZE]; /* more of what went wrong, in curl's words; "": no more */
    long status;                 /* 0: none came */
    dm_told_limits told;         /* by the head */
    const char *content_type;    /* of the reply, until the next attempt; NULL: none */
    const char *redirect;        /* likewise, where it leads */
    dm_buf reply;                /* initialised by the owner: its ceiling ends the attempt */
    size_t given;                /* bytes of body that went out of the newest request */
    void *handle;                /* kept from one attempt to the next; NULL to begin with */
    const void *set_for;
    double set_timeout;
};

typedef struct dm_transport dm_transport;

typedef struct dm_transport_ops {
    void (*send)(dm_transport *t, dm_attempt *a);   /* ended is called later, never from here */
    void (*drop)(dm_transport *t, dm_attempt *a);   /* under way: ended is not called */
    void (*forget)(dm_transport *t, dm_attempt *a); /* not under way: frees what was kept */
    /* Does what can be done without waiting, calls ended of what has. True: of any. */
    bool (*turn)(dm_transport *t);
    /* Waits until something can be done, one of fds is readable, or timeout (s) has passed; then
     * as turn. */
    void (*wait)(dm_transport *t, dm_wait_fd *fds, size_t n, double timeout);
    void (*close)(dm_transport *t); /* frees it; nothing is under way */
} dm_transport_ops;

struct dm_transport { /* first in its implementation */
    const dm_transport_ops *ops;
};

/* NULL: no way to wait for connections; errno says why. */
dm_transport *dm_transport_curl(const dm_clock *clock);
const char *dm_transport_library(void); /* "libcurl/7.88.1 OpenSSL/3.0.17 ..." */
/* What every handle of ours has. proxy: "" or NULL: none, whatever the environment says. */
void dm_easy_defaults(CURL *easy, const dm_lm_config *c, const char *proxy);

#endif
