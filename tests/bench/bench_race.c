/* Races against full evaluation on the same cells, and what a decision of factor costs. */
#include "bench.h"
#include "world.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct field {
    size_t n, examples;
    double *y; /* [n][examples] */
    double *sum, best;
} field;

/* Different candidates of one world, all their cells. */
static field draw_field(const world *w, size_t n)
{
    field f = {n, w->N, malloc(n * w->N * sizeof(double)), calloc(n, sizeof(double)), -1};
    uint16_t(*x)[WORLD_S] = malloc(n * sizeof *x);
    stream r = stream_of(w->seed, 501, n);
    for (size_t m = 0; m < n;) {
        bool again = false;
        world_random(w, &r, x[m]);
        for (size_t q = 0; q < m; q++)
            again |= memcmp(x[q], x[m], sizeof *x) == 0;
        m += !again;
    }
    for (size_t j = 0; j < n; j++) {
        double theta[WORLD_TYPES];
        world_ability(w, x[j], theta);
        for (size_t i = 0; i < w->N; i++)
            f.sum[j] += f.y[j * w->N + i] = world_cell(w, x[j], theta, i);
        f.best = fmax(f.best, f.sum[j]);
    }
    free(x);
    return f;
}

typedef struct score {
    double calls, lost, points;
} score;

static void race_once(const field *f, dm_race_rule rule, double alpha, uint64_t seed, score *s)
{
    dm_race_options o;
    dm_race_defaults(&o, f->n, f->examples);
    o.rule = rule;
    o.alpha = alpha;
    o.seed = seed;
    dm_race *r = dm_race_new(&o, NULL, 0);
    if (!r)
        exit(70);
    dm_race_unit *air = malloc(f->n * f->examples * sizeof *air), u;
    double *scores = malloc(f->examples * sizeof *scores);
    size_t n = 0;
    for (dm_search_answer a; (a = dm_race_ask(r, &u)) != DM_SEARCH_DONE || n;) {
        if (a == DM_SEARCH_UNIT) {
            air[n++] = u;
            s->calls += (double)u.n / (double)(f->n * f->examples);
            continue;
        }
        u = air[--n];
        for (size_t i = 0; i < u.n; i++)
            scores[i] = f->y[u.candidate * f->examples + u.examples[i]];
        if (!dm_race_tell(r, u.id, scores, NULL))
            exit(70);
    }
    double sum = f->sum[dm_race_winner(r)];
    s->lost += sum < f->best - 1e-6;
    s->points += 100 * (f->best - sum) / (double)f->examples;
    free(air);
    free(scores);
    dm_race_free(r);
}

int bench_races(const settings *o)
{
    static const char *const families[] = {"typ", "noisy", "flat", "skew", "graded"};
    static const struct {
        const char *name;
        dm_race_rule rule;
        double alpha;
    } rule[] = {{"betting .05", DM_RACE_BETTING, .05},
                {"betting .10", DM_RACE_BETTING, .10},
                {"halving", DM_RACE_HALVING, .05}};
    static const size_t N[] = {16, 32, 64}, E[] = {100, 200, 500};
    size_t inst = o->n ? o->n : 60, races = 0;
    score all[3] = {{0}};
    printf("\nraces, 5 families x %zu instances: share of full evaluation's calls, races that lost "
           "its "
           "winner, points lost\n",
           inst);
    for (size_t a = 0; a < 3; a++)
        for (size_t b = 0; b < 3; b++) {
            score sum[3] = {{0}};
            for (size_t g = 0; g < 5; g++)
                for (size_t k = 0; k < inst; k++) {
                    world w;
                    world_make(&w, family_named(families[g]), 2, 1, 18, E[b], 200000 + k);
                    field f = draw_field(&w, N[a]);
                    for (int q = 0; q < 3; q++)
                        race_once(&f, rule[q].rule, rule[q].alpha, k + 1, &sum[q]);
                    free(f.y);
                    free(f.sum);
                    world_free(&w);
                }
            double n = 5 * (double)inst;
            races += (size_t)n;
            for (int q = 0; q < 3; q++) {
                printf("N=%-2zu n=%-3zu %-12s calls %.3f  lost %.4f  points %.3f\n", N[a], E[b],
                       rule[q].name, sum[q].calls / n, sum[q].lost / n, sum[q].points / n);
                all[q].calls += sum[q].calls / n / 9;
                all[q].lost += sum[q].lost;
            }
            fflush(stdout);
        }
    for (int q = 0; q < 3; q++)
        printf("all %zu races: %-12s calls %.3f, winner lost in %.0f (%.2f %%)\n", races,
               rule[q].name, all[q].calls, all[q].lost, 100 * all[q].lost / (double)races);
    return all[0].lost > .05 * (double)races;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#define FIRST_FITS 4 /* of factor, with more passes */

/* 400 candidates x 1,000 examples, all cells given before the search: the first fits, then refits.
 */
int bench_time(void)
{
    world w;
    world_make(&w, family_named("typ"), 4, 9, 18, 1000, 400000);
    dm_search_options o = {.n_slots = w.S, .levels = w.L};
    dm_search_defaults(&o, DM_SEARCH_FACTOR, w.N, 500000);
    o.constants.start = 1;
    dm_search *s = dm_search_new(&o, NULL, 0);
    if (!s)
        return 70;
    stream r = stream_of(1, 502, 0);
    for (size_t j = 0; j < 400; j++) {
        uint16_t x[WORLD_S];
        double theta[WORLD_TYPES];
        world_random(&w, &r, x);
        world_ability(&w, x, theta);
        for (size_t i = 0; i < (j % 5 ? 1000u : 900u); i++)
            dm_search_known(s, x, i, world_cell(&w, x, theta, i));
    }
    double fit = 0, first = 0, plain = 0, scores[64] = {0};
    size_t fits = 0, plains = 0;
    dm_search_unit u;
    for (;;) {
        double theta[WORLD_TYPES], t0 = seconds();
        if (fits == FIRST_FITS + 6 || dm_search_ask(s, &u) != DM_SEARCH_UNIT)
            break;
        double t = seconds() - t0;
        if (t < 2e-3) { /* nothing but a fit takes so long */
            plain += t;
            plains++;
        } else if (fits++ < FIRST_FITS) {
            first += t / FIRST_FITS;
        } else {
            fit += t;
        }
        world_ability(&w, u.levels, theta);
        for (size_t i = 0; i < u.n; i++)
            scores[i] = world_cell(&w, u.levels, theta, u.examples[i]);
        dm_search_tell(s, u.id, scores, NULL);
    }
    fits = fits > FIRST_FITS ? fits - FIRST_FITS : 0;
    printf("\n400 candidates x 1,000 examples (392,000 cells), 108 levels: %.3f ms a decision "
           "without a fit (%zu), %.1f ms a refit (%zu); the first four, from far away, %.1f ms\n",
           1e3 * plain / (double)plains, plains, fits ? 1e3 * fit / (double)fits : 0, fits,
           1e3 * first);
    dm_search_free(s);
    world_free(&w);
    return 0;
}
