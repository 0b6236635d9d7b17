#include "pool/pace.h"

#include <math.h>

#define RECENT  (1.0 / 32)
#define ENOUGH  30    /* requests, before a rate is made of them */
#define MUCH    0.5   /* refused of them: less may be a server that refuses at random */
#define HARDLY  0.08  /* refused: slowing down has helped */
#define IN_VAIN 24    /* cuts that did not help: it does not refuse for speed */
#define REST    60.0  /* s, after those */
#define LEAST   10.0  /* a minute */
#define FIRST   600.0 /* likewise, at the least, to begin with: it falls quickly */
#define LOWER   0.9
#define LONG_SHUT                                                                                  \
    10.0               /* s: it counts over a minute or so, and what went through tells how much   \
                        */
#define NEAR       0.9 /* of the level: from there on slowly */
#define SOON       1.0 /* s between raises below it */
#define LATER      5.0 /* s, above it */
#define FEW        3   /* answers between raises below it */
#define SOME       10  /* above it */
#define FAST       1.5
#define FIRST_STEP 1.03
#define BOLDEST    1.5
#define UNUSED     4 /* times what is asked for: the rate limits nothing */

static void note(dm_pace *p, double n, double refused)
{
    /* more of them would change nothing */
    for (int i = 0; i < n && i < 1 / RECENT; i++) {
        p->recent = fmin(p->recent + 1, 1 / RECENT);
        p->share += (refused - p->share) / p->recent;
    }
}

static bool set(dm_pace *p, double now, double rate)
{
    double old = p->rate;
    p->rate = fmax(LEAST, rate);
    p->raised_at = now;
    p->answered = 0;
    return p->rate != old;
}

/* ---- what was let through ---- */

static void forget(dm_pace *p, double now)
{
    double second = floor(now), first = fmax(p->second, second - DM_PACE_SECONDS) + 1;
    for (int k = 0; first + k <= second; k++)
        p->of_second[(int)fmod(first + k, DM_PACE_SECONDS)] = 0;
    p->second = fmax(p->second, second);
}

static double let_through(const dm_pace *p)
{
    double n = 0;
    for (int i = 0; i < DM_PACE_SECONDS; i++)
        n += p->of_second[i];
    return n;
}

/* ---- refusals ---- */

static bool begin(dm_pace *p, double now)
{
    if (p->recent < ENOUGH || p->share < MUCH || now < p->until)
        return false;
    p->shut_at = p->cut_at = now;
    p->step = FIRST_STEP;
    p->row = 1;
    p->level = INFINITY;
    return set(p, now, fmax(FIRST, let_through(p)));
}

/* The next one is not made before it can be known what this one did. */
static bool cut(dm_pace *p, double now)
{
    if (now < p->cut_at + 30 / p->rate)
        return false;
    if (p->share < HARDLY)
        p->vain = 0;
    else if ((p->row == 0 || p->rate > LEAST) && ++p->vain > IN_VAIN) {
        *p = (dm_pace){.until = now + REST};
        return true;
    }
    p->cut_at = now;
    p->step = FIRST_STEP;
    if (p->row++ > 0)
        return set(p, now, p->rate / 2);
    p->level = p->rate * LOWER;
    p->shut_at = now;
    return set(p, now, p->level);
}

/* ---- answers ---- */

/* It lets something through again. */
static bool open_again(dm_pace *p, double now)
{
    p->row = 0;
    if (now < p->shut_at + LONG_SHUT)
        return false;
    p->level = let_through(p) * 60 / DM_PACE_SECONDS;
    return set(p, now, p->level * NEAR);
}

static bool raise(dm_pace *p, double now)
{
    double passed = now - p->raised_at;
    bool far = p->rate < NEAR * p->level;
    if (passed < (far ? SOON : LATER) || p->answered < (far ? FEW : SOME))
        return false;
    if (far)
        return set(p, now, fmin(p->rate * FAST, NEAR * p->level));
    if (p->share < HARDLY && p->rate > UNUSED * 60 * p->answered / passed) {
        *p = (dm_pace){0};
        return true;
    }
    double factor = p->step;
    p->step = fmin(BOLDEST, 1 + 2 * (p->step - 1));
    return set(p, now, p->rate * factor);
}

bool dm_pace_saw(dm_pace *p, double now, double answered, double refused)
{
    bool changed = false;
    forget(p, now);
    note(p, answered, 0);
    note(p, refused, 1);
    if (p->row > 0 && answered > 0)
        changed |= open_again(p, now);
    p->of_second[(int)fmod(p->second, DM_PACE_SECONDS)] += answered;
    p->answered += answered;
    if (refused > 0)
        changed |= p->rate > 0 ? cut(p, now) : begin(p, now);
    else if (p->rate > 0)
        changed |= raise(p, now);
    return changed;
}
