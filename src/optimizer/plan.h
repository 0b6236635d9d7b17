/* What a job will call, before it calls anything (contract 9): phases with names. */
#ifndef DM_OPTIMIZER_PLAN_H
#define DM_OPTIMIZER_PLAN_H

#include "lm/config.h"

typedef struct dm_range {
    double low, expected, high;
} dm_range;
void dm_range_add(dm_range *to, const dm_range *more);

typedef struct dm_plan_phase {
    const char *name;
    dm_role role;   /* of the model that is asked */
    dm_range calls; /* without attempts that fail in transport */
    double fill;    /* calls in flight that the phase can keep going */
    dm_range demos; /* that its prompts show */
    bool asks;      /* questions of the optimizer's own, no runs of the program */
    double rows;    /* with asks: of the training set, in all its prompts together */
    bool limited;   /* it makes do with what a cap leaves of the other phases' calls */
} dm_plan_phase;

#define DM_MOST_PHASES 40
typedef struct dm_plan {
    dm_plan_phase phases[DM_MOST_PHASES]; /* [n] in the order of their beginning */
    size_t n;
    double predictors;   /* calls of a program run */
    dm_range unscored;   /* program runs that start and winner still take on the validation set */
    double winner_demos; /* share of the most demonstrations that the start and the winner show */
} dm_plan;

dm_plan_phase *dm_plan_add(dm_plan *p, const char *name, dm_role role);
/* Program runs as calls: twice as many if every answer needs another adapter. */
void dm_plan_runs(const dm_plan *p, dm_plan_phase *phase, double low, double expected, double high);
/* One bootstrapping of at most `size` demonstrations on n examples: it stops at the size-th
 * success, so there are at least that many attempts; that every other one succeeds is an
 * assumption. */
void dm_plan_bootstrap(const dm_plan *p, dm_plan_phase *phase, double n, double size,
                       double rounds);
dm_range dm_plan_together(const dm_plan *p);     /* calls of all phases */
double dm_plan_most_in_flight(const dm_plan *p); /* of any phase */

#endif
