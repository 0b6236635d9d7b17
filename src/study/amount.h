/* What work costs, in the three measures that a budget may cap. */
#ifndef DM_STUDY_AMOUNT_H
#define DM_STUDY_AMOUNT_H

#include <math.h>
#include <stdbool.h>

typedef struct dm_amount {
    double calls;  /* requests that were sent */
    double tokens; /* prompt and completion */
    double cost;   /* money, as the prices are given */
} dm_amount;

#define DM_NO_CAP ((dm_amount){INFINITY, INFINITY, INFINITY})

static inline dm_amount dm_amount_plus(dm_amount a, dm_amount b)
{
    return (dm_amount){a.calls + b.calls, a.tokens + b.tokens, a.cost + b.cost};
}

static inline dm_amount dm_amount_minus(dm_amount a, dm_amount b)
{
    return (dm_amount){a.calls - b.calls, a.tokens - b.tokens, a.cost - b.cost};
}

static inline dm_amount dm_amount_times(dm_amount a, double f)
{
    return (dm_amount){a.calls * f, a.tokens * f, a.cost * f};
}

static inline dm_amount dm_amount_most(dm_amount a, dm_amount b)
{
    return (dm_amount){fmax(a.calls, b.calls), fmax(a.tokens, b.tokens), fmax(a.cost, b.cost)};
}

/* In every measure; a millionth is lost in sums of money. */
static inline bool dm_amount_within(dm_amount a, dm_amount cap)
{
    return a.calls <= cap.calls && a.tokens <= cap.tokens && a.cost <= cap.cost * (1 + 1e-9);
}

#endif
