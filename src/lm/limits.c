#include "lm/limits.h"

#include <math.h>

#define BURST_SECONDS 1.0  /* what a bucket holds of its rate */
#define PLENTY        0.5  /* of a limit: above it the server's rest is used at once */
#define LITTLE        0.05 /* of the largest rest: below it the pace falls with the rest */
#define LITTLE_CALLS  8    /* and never with less than so many calls left */
#define SLOWEST       0.05 /* of a limit: a rest that is wrong must not stop everything */
#define RECENT        (1.0 / 32)
#define ANSWER_TOKENS 256  /* until one was measured */
#define PER_BYTE      0.25 /* likewise, tokens of a prompt */

void dm_limits_init(dm_limits *l, double now)
{
    *l = (dm_limits){.filled = now};
    for (int k = 0; k < DM_RATES; k++)
        l->rate[k].pace = 1;
    l->rate[DM_RATE_REQUESTS].level = 1;
}

/* ---- what a call takes ---- */

dm_taking dm_limits_guess(const dm_limits *l, double bytes, double most_tokens)
{
    const dm_rate *r = l->rate;
    double input = bytes * (l->per_byte > 0 ? l->per_byte : PER_BYTE);
    double output = r[DM_RATE_OUTPUT].typical > 0 ? r[DM_RATE_OUTPUT].typical : ANSWER_TOKENS;
    if (most_tokens > 0)
        output = fmin(output, most_tokens);
    return (dm_taking){{1, input + output, input, output}, bytes};
}

static double moved(double mean, double value)
{
    return mean > 0 ? mean + (value - mean) * RECENT : value;
}

static void measure(dm_limits *l, const dm_taking *t, const dm_taking *really)
{
    double input = really->of[DM_RATE_TOKENS] - really->of[DM_RATE_OUTPUT];
    if (t->bytes > 0 && input > 0)
        l->per_byte = moved(l->per_byte, input / t->bytes);
    for (int k = 0; k < DM_RATES; k++)
        if (really->of[k] > 0)
            l->rate[k].typical = moved(l->rate[k].typical, really->of[k]);
}

/* ---- buckets ---- */

static double least_of(int k)
{
    return k == DM_RATE_REQUESTS ? 1 : 0;
}

static double size_of(double per_minute, double least)
{
    return fmax(least, per_minute / 60 * BURST_SECONDS);
}

double dm_bucket_per_second(double per_minute, double least)
{
    return fmax(per_minute - size_of(per_minute, least), per_minute / 2) / 60;
}

double dm_bucket_filled(double level, double passed, double per_minute, double least, double pace)
{
    return fmin(level + passed * pace * dm_bucket_per_second(per_minute, least),
                size_of(per_minute, least));
}

static void fill(dm_limits *l, double now, double share)
{
    double passed = now - l->filled;
    l->filled = now;
    for (int k = 0; k < DM_RATES; k++) {
        dm_rate *r = &l->rate[k];
        if (now >= l->known_to) /* what was little then is full again */
            r->pace = 1;
        if (r->limit > 0)
            r->level = dm_bucket_filled(r->level, passed, r->limit * share, least_of(k), r->pace);
    }
    if (l->pace > 0)
        l->level = fmin(l->level + passed * l->pace * share / 60, size_of(l->pace * share, 1));
}

/* Requests are had before they are sent, tokens may be owed. */
static double wait_of(const dm_rate *r, int k, double share, double takes)
{
    double needs = least_of(k) - r->level;
    if (r->limit <= 0 || needs <= 0 || r->burst >= fmax(takes, 1))
        return 0;
    return needs / (r->pace * dm_bucket_per_second(r->limit * share, least_of(k)));
}

double dm_limits_wait(dm_limits *l, double now, double share, const dm_taking *t)
{
    double wait = 0;
    fill(l, now, share);
    for (int k = 0; k < DM_RATES; k++)
        wait = fmax(wait, wait_of(&l->rate[k], k, share, t->of[k]));
    if (l->pace > 0 && l->level < 1)
        wait = fmax(wait, (1 - l->level) * 60 / (l->pace * share));
    return wait;
}

void dm_limits_charge(dm_limits *l, const dm_taking *t)
{
    for (int k = 0; k < DM_RATES; k++) {
        dm_rate *r = &l->rate[k];
        r->out += t->of[k];
        if (r->limit <= 0)
            continue;
        if (r->burst >= fmax(t->of[k], 1))
            r->burst -= t->of[k];
        else
            r->level -= t->of[k];
    }
    if (l->pace > 0)
        l->level--;
}

void dm_limits_settle(dm_limits *l, const dm_taking *t, const dm_taking *really)
{
    for (int k = 0; k < DM_RATES; k++)
        l->rate[k].out = fmax(0, l->rate[k].out - t->of[k]);
    if (!really)
        return;
    measure(l, t, really);
    for (int k = DM_RATE_TOKENS; k < DM_RATES; k++)
        if (l->rate[k].limit > 0)
            l->rate[k].level += t->of[k] - really->of[k];
}

/* ---- what is told ---- */

/* All processes hear of the same rest: each uses its part of what is above plenty, less what it has
 * on its way, and all slow down alike when there is little. */
static void take_rest(dm_rate *r, const dm_told_rate *told, double share)
{
    r->most = fmax(r->most, told->remaining); /* it may be much less than a minute's */
    double few = fmin(PLENTY * r->most, LITTLE_CALLS * r->typical);
    double little = fmax(1, fmax(LITTLE * r->most, few));
    r->burst = fmax(0, (told->remaining - PLENTY * r->limit) * share - r->out);
    r->pace = fmax(SLOWEST, fmin(1, told->remaining / little));
}

static void set_limit(dm_rate *r, int k, double limit)
{
    if (r->limit <= 0)
        r->level = least_of(k);
    r->limit = limit;
}

bool dm_limits_hear(dm_limits *l, double now, double share, const dm_told_limits *told)
{
    bool news = false;
    double reset = 0;
    for (int k = 0; k < DM_RATES; k++) {
        const dm_told_rate *t = &told->rate[k];
        dm_rate *r = &l->rate[k];
        if (t->limit > 0) {
            news |= fabs(t->limit - r->limit) > 0.01 * t->limit;
            set_limit(r, k, t->limit);
        }
        if (r->limit > 0 && t->remaining >= 0)
            take_rest(r, t, share);
        if (r->pace < 1)
            reset = fmax(reset, t->reset);
    }
    l->known_to = now + (reset > 0 ? reset : 60);
    return news;
}

void dm_limits_learn(dm_limits *l, const double limit[DM_RATES])
{
    for (int k = 0; k < DM_RATES; k++)
        if (limit[k] > 0)
            set_limit(&l->rate[k], k, limit[k]);
}

void dm_limits_pace(dm_limits *l, double now, double pace, double offset)
{
    if (pace > 0 && (l->pace <= 0 || pace < l->pace)) {
        l->level = 1 - offset;
        l->paced_at = now;
    }
    l->pace = pace;
}
