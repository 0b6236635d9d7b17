/* What a server says in its headers of waiting and of its limits. */
#ifndef DM_LM_TOLD_H
#define DM_LM_TOLD_H

#include "base/buf.h"

/* What servers limit. Tokens are those of prompt and answer together, where the two are not
 * limited separately. */
typedef enum dm_rate_kind {
    DM_RATE_REQUESTS,
    DM_RATE_TOKENS,
    DM_RATE_INPUT,
    DM_RATE_OUTPUT,
    DM_RATES
} dm_rate_kind;

typedef struct dm_told_rate {
    double limit;     /* a minute; 0: not reported */
    double remaining; /* of it, now; negative: not reported */
    double reset;     /* s until nothing of it is used; negative: not reported */
} dm_told_rate;

typedef struct dm_told_limits {
    double retry_after; /* s; 0: not reported */
    dm_told_rate rate[DM_RATES];
    dm_told_rate plain; /* x-ratelimit-limit and its kin, which do not say of what */
    double windowed;    /* of requests: the limit of a window that is said; 0: none was */
} dm_told_limits;

void dm_told_init(dm_told_limits *t);
/* A line of a reply's head. A status line starts over: of several heads the last one counts. wall:
 * seconds since 1970, for what is given as a time of day. */
void dm_told_header(dm_told_limits *t, dm_str line, double wall);
/* What an error's words say: "try again in 6m0s", "retry in 34.07s"; 0: nothing. */
double dm_told_in_words(const char *message);
/* Seconds that a 429 with this head is to be waited for: Retry-After, else until the limit that is
 * used up is there again; 0: it does not say. A minute that has just begun to be filled again (as
 * OpenAI tells it) is not waited for to its end. */
double dm_told_wait(const dm_told_limits *t);

#endif
