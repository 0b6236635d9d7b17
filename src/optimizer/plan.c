#include "optimizer/plan.h"

#include <math.h>
#include <stdlib.h>

void dm_range_add(dm_range *to, const dm_range *more)
{
    to->low += more->low;
    to->expected += more->expected;
    to->high += more->high;
}

dm_plan_phase *dm_plan_add(dm_plan *p, const char *name, dm_role role)
{
    if (p->n == DM_MOST_PHASES)
        abort(); /* an optimizer of more phases than there is room for */
    dm_plan_phase *phase = &p->phases[p->n++];
    *phase = (dm_plan_phase){.name = name, .role = role};
    return phase;
}

void dm_plan_runs(const dm_plan *p, dm_plan_phase *phase, double low, double expected, double high)
{
    double c = p->predictors;
    phase->calls.low += c * low;
    phase->calls.expected += c * expected;
    phase->calls.high += 2 * c * high;
}

void dm_plan_bootstrap(const dm_plan *p, dm_plan_phase *phase, double n, double size, double rounds)
{
    dm_plan_runs(p, phase, fmin(size, n), fmin(2 * size, n), size > 0 ? n * rounds : 0);
    phase->fill += fmin(size, n); /* looks ahead as far as successes are missing */
}

dm_range dm_plan_together(const dm_plan *p)
{
    dm_range all = {0, 0, 0};
    for (size_t i = 0; i < p->n; i++)
        dm_range_add(&all, &p->phases[i].calls);
    return all;
}

double dm_plan_most_in_flight(const dm_plan *p)
{
    double most = 0;
    for (size_t i = 0; i < p->n; i++)
        most = fmax(most, p->phases[i].fill);
    return most;
}
