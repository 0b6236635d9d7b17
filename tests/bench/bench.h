/* A problem to search, a method to search it with, and the regret on the way. */
#ifndef DM_BENCH_BENCH_H
#define DM_BENCH_BENCH_H

#include "search/options.h"

#include <stdio.h>

enum { LOOKS = 6, MAX_METHODS = 12, MAX_CONSTANTS = 16 };
extern const int LOOK[LOOKS]; /* 5, 10, 20, 33, 50, 100 per cent of MIPROv2's program runs */

typedef struct problem {
    size_t n_slots, n_examples;
    const size_t *levels;
    size_t runs;   /* B: the runs of MIPROv2's schedule */
    size_t trials; /* its trials */
    double best;   /* true mean of the best candidate */
    void *self;
    /* Both are called once a candidate is met; candidate counts from 0. NAN: no answer. */
    double (*cell)(void *self, size_t candidate, const uint16_t *x, size_t example);
    double (*mean)(void *self, const uint16_t *x);
    void (*forget)(void *self); /* a new search begins: candidate numbers start again */
} problem;

typedef struct method {
    char name[40];
    dm_search_method m;
    size_t window;
    double share;                 /* of B that it is given */
    bool missing_is_zero;         /* MIPROv2, as DSPy */
    const char *const *constants; /* factor: "name=value" over its defaults; NULL ends */
} method;

typedef struct tally { /* mean and standard error of the regret at each look */
    double sum[LOOKS], square[LOOKS], seconds;
    size_t n;
} tally;

typedef struct settings {
    size_t n;          /* instances a family; 0: the section's own number */
    uint64_t seed;     /* first generator seed */
    uint64_t run_seed; /* first seed of the methods */
    const char *families, *methods;
    const char *constants[MAX_CONSTANTS + 1]; /* factor's, "name=value"; NULL ends */
    FILE *raw;
} settings;

/* "mipro", "random", "tpe", "halving", "factor:W", "factor:W@33" (told 33 % of B). */
bool method_read(method *m, const char *text, const settings *o);
size_t methods_read(const settings *o, const char *def, method *m); /* o->methods or def */
void search_once(const problem *p, const method *m, uint64_t seed, double regret[LOOKS]);
void tally_add(tally *t, const double regret[LOOKS]);
double tally_mean(const tally *t, int look); /* points */
double tally_error(const tally *t, int look);

typedef struct decision_time {
    double sum, worst;
    size_t n;
} decision_time;
extern decision_time decisions; /* of factor, process time */

int bench_recorded(const settings *o, const char *folder);
int bench_gepa(const settings *o);
void bench_reflect(const settings *o);
int bench_ensemble(const settings *o, const char *folder); /* 1: below what is promised */
int bench_races(const settings *o);
int bench_time(void);
void bench_planted(const settings *o);

#endif
