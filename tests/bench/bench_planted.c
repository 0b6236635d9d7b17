/* The mock server's planted worlds (tests/mock_lm/rules.h) without a server, and many of them:
 * programs of one predictor, and of two of which the first does not matter. There candidates that
 * differ in it alone have the same cells: evidence that looks like more than it is. */
#include "bench.h"
#include "world.h"

#include <math.h>

enum { INSTRUCTIONS = 8, SETS = 18, POOL = 100, DEMOS = 4, EXAMPLES = 300, MIXED = 300 };

typedef struct planted_world {
    size_t predictors;
    int set[SETS]; /* what the demo set adds to the skill, per mille */
    uint64_t seed;
} planted_world;

static const int INSTRUCTION[INSTRUCTIONS] = {0, 120, 60, 180, -90, 60, -30, 30};

static int skill(const planted_world *w, const uint16_t *x)
{
    const uint16_t *last = x + 2 * (w->predictors - 1);
    return 250 + INSTRUCTION[last[0]] + w->set[last[1]];
}

/* Right iff the example's noise is below the skill; of MIXED per mille the noise is the
 * combination's own. */
static double cell(void *self, size_t candidate, const uint16_t *x, size_t i)
{
    const planted_world *w = self;
    const uint16_t *last = x + 2 * (w->predictors - 1);
    uint64_t own = mix(mix(mix(w->seed * 5 + last[0]) + last[1]) + i);
    uint64_t shared = mix(mix(w->seed + 99) + i);
    (void)candidate;
    return (int)((mix(own + 1) % 1000 < MIXED ? mix(own + 2) : shared) % 1000) < skill(w, x);
}

static double mean(void *self, const uint16_t *x)
{
    return fmin(1, fmax(0, skill(self, x) / 1000.0));
}

static void forget(void *self)
{
    (void)self;
}

static double make_world(planted_world *w)
{
    int worth[POOL], best = 0;
    stream r = stream_of(w->seed, 1, 0);
    for (size_t i = 0; i < POOL; i++)
        worth[i] = (int)below(&r, 81) - 10;
    for (size_t s = 1; s < SETS; s++) {
        for (size_t d = 0; d < DEMOS; d++)
            w->set[s] += worth[below(&r, POOL)];
        best = w->set[s] > best ? w->set[s] : best;
    }
    return fmin(1, (250 + 180 + best) / 1000.0);
}

void bench_planted(const settings *o)
{
    static const size_t levels[4] = {INSTRUCTIONS, SETS, INSTRUCTIONS, SETS};
    method m[MAX_METHODS];
    size_t n = methods_read(o, "mipro,halving,factor:16,factor:16@28", m);
    size_t worlds = o->n ? o->n : 200;
    for (size_t p = 1; p <= 2; p++) {
        tally t[MAX_METHODS] = {0}, gain[MAX_METHODS] = {0};
        size_t trials = (size_t)fmax(4 * (double)p * log2(SETS), 1.5 * SETS);
        size_t runs = dm_search_mipro_runs(trials, EXAMPLES, true, 35, 5);
        for (size_t k = 0; k < worlds; k++) {
            planted_world w = {.predictors = p, .seed = o->seed + k};
            double best = make_world(&w), first[LOOKS], regret[LOOKS], d[LOOKS] = {0};
            problem q = {2 * p, EXAMPLES, levels, runs, trials, best, &w, cell, mean, forget};
            for (size_t a = 0; a < n; a++) {
                search_once(&q, &m[a], o->run_seed + k, a ? regret : first);
                for (int i = 0; i < LOOKS && a; i++)
                    d[i] = first[i] - regret[i];
                tally_add(&t[a], a ? regret : first);
                tally_add(&gain[a], d);
            }
        }
        printf(
            "\nplanted worlds, %zu predictor%s, %zu of them: regret in points after 5 10 20 33 50 "
            "100 %% of %zu runs, and gain over %s\n",
            p, p > 1 ? "s of which the last counts" : "", worlds, runs, m[0].name);
        for (size_t a = 0; a < n; a++) {
            printf("  %-14s", m[a].name);
            for (int i = 0; i < LOOKS; i++)
                printf(" %6.2f", tally_mean(&t[a], i));
            printf("  %+.2f +-%.2f\n", tally_mean(&gain[a], LOOKS - 1),
                   tally_error(&gain[a], LOOKS - 1));
        }
    }
    fflush(stdout);
}
