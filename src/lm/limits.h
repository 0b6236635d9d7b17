/* Limits of a server that no job names: what its replies' heads tell of requests and tokens a
 * minute, and the pace that the pool makes of refusals where they tell nothing (pool/pace.h). Each
 * process keeps its part of them, as of rpm and tpm. */
#ifndef DM_LM_LIMITS_H
#define DM_LM_LIMITS_H

#include "lm/told.h"

/* A bucket holds what a second brings, and `least` at least. What it gives in any minute is no more
 * than the limit: its rate is lower by what it may hold. */
double dm_bucket_per_second(double per_minute, double least);
/* After so many seconds at this pace (0, 1] of the rate. */
double dm_bucket_filled(double level, double passed, double per_minute, double least, double pace);

typedef struct dm_rate {
    double limit;   /* a minute, of the whole job; 0: not known */
    double level;   /* of this process's bucket; below 0 after a large call */
    double burst;   /* this process's part of what the server has plenty of, to be used at once */
    double pace;    /* (0, 1]: of the limit; lower when the server has little left */
    double typical; /* what a call takes of it: moving mean; 0: not measured yet */
    double most;    /* the largest remainder that the server reported */
    double out;     /* charged for calls under way */
} dm_rate;

typedef struct dm_limits {
    dm_rate rate[DM_RATES];
    double per_byte; /* tokens of a prompt, as measured; 0: not yet */
    double filled;   /* when the buckets were last filled */
    double known_to; /* until when paces hold */
    double pace;     /* requests a minute of the whole job, by refusals; 0: none is set */
    double level;    /* of the pace's bucket, in this process */
    double paced_at; /* when the pace was last lowered */
} dm_limits;

typedef struct dm_taking { /* what a call takes, or is thought to */
    double of[DM_RATES];
    double bytes; /* of the request */
} dm_taking;

void dm_limits_init(dm_limits *l, double now);
/* What a call of so many bytes is thought to take; most_tokens: of its answer, 0: any number. */
dm_taking dm_limits_guess(const dm_limits *l, double bytes, double most_tokens);
/* Seconds until this process, which has this part (0, 1] of the limits, may send such a call. */
double dm_limits_wait(dm_limits *l, double now, double share, const dm_taking *t);
void dm_limits_charge(dm_limits *l, const dm_taking *t);
/* The call has come back; really NULL: what it took is not known. */
void dm_limits_settle(dm_limits *l, const dm_taking *t, const dm_taking *really);
/* What a reply's head reported. True: other processes should know of it. */
bool dm_limits_hear(dm_limits *l, double now, double share, const dm_told_limits *told);
/* What a server reported to another process: requests and tokens a minute; 0: not reported. */
void dm_limits_learn(dm_limits *l, const double limit[DM_RATES]);
/* The pool's pace, requests a minute of the whole job; 0: none any more. A lower one begins anew:
 * the first request of this process may go after the part offset, in (0, 1], of its own interval,
 * so that processes do not send all at one moment. */
void dm_limits_pace(dm_limits *l, double now, double pace, double offset);

#endif
