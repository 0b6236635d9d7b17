#include "world.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FAR 4.0 /* easy and hard examples sit at -FAR and FAR */

/* clang-format off */
const family FAMILY[] = {
    /* name     spread sd  inter cross idio  dev  tau kappa  bad  swing    sd  judges brk unl */
    {"typ",     .40, .45,  .35,  .25,  .20, .50,  .7, .60, .06, .30, .70, 1.2,  0, .00, .00, true},
    {"inter",   .40, .45, 1.00,  .60,  .50, .50,  .7, .60, .06, .30, .70, 1.2,  0, .00, .00, true},
    {"flat",    .15, .35,  .35,  .25,  .20, .50,  .7, .60, .06, .30, .70, 1.2,  0, .00, .00, true},
    {"noisy",   .40, .45,  .35,  .25,  .20, .50, 1.2, 1.00, .06, .95, 1.0, 0.8, 0, .00, .00, true},
    {"skew",    .80, .45,  .35,  .25,  .20, .80,  .9, .60, .22, .30, .70, 1.2,  0, .00, .00, true},
    {"graded",  .40, .45,  .35,  .25,  .20, .50,  .7, .60, .06, .30, .70, 1.2,  5, .00, .00, true},
    {"break",   .40, .45,  .35,  .25,  .20, .50,  .7, .60, .00, .30, .70, 1.2,  0, .20, .00, true},
    {"unlock",  .30, .45,  .35,  .25,  .20, .50,  .7, .60, .06, .30, .50, 1.2,  0, .10, .12, true},
    {"none",    .40, .45,  .00,  .00, 1.10, .50,  .7, .60, .00, .30, .70, 1.2,  0, .00, .00, false},
    {"xinter",  .40, .45, 1.60, 1.20,  .80, .50,  .7, .60, .06, .30, .70, 1.2,  0, .00, .00, true},
    {"float",   .40, .45,  .35,  .25,  .20, .50,  .7, .60, .06, .30, .70, 1.2, -1, .00, .00, true},
    {0}};
/* clang-format on */

const family *family_named(const char *name)
{
    for (const family *g = FAMILY; g->name; g++)
        if (strcmp(g->name, name) == 0)
            return g;
    return NULL;
}

/* ---- random numbers: splitmix64 in streams ---- */

uint64_t mix(uint64_t z)
{
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static double unit(uint64_t h)
{
    return ((double)(h >> 11) + 0.5) * 0x1p-53;
}

stream stream_of(uint64_t seed, uint64_t purpose, uint64_t index)
{
    return (stream){mix(mix(mix(seed) + purpose) + index)};
}

double draw(stream *r)
{
    double u = unit(mix(r->state));
    r->state += 0x9e3779b97f4a7c15u;
    return u;
}

static double box_muller(double u, double v)
{
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

double normal(stream *r)
{
    double u = draw(r), v = draw(r);
    return box_muller(u, v);
}

size_t below(stream *r, size_t n)
{
    return (size_t)(draw(r) * (double)n);
}

static double hash_normal(uint64_t h)
{
    return box_muller(unit(mix(h)), unit(mix(h ^ 0xabcdef1234567u)));
}

/* ---- what a candidate can do ---- */

static uint64_t code_of(const world *w, const uint16_t *x)
{
    uint64_t h = 0;
    for (size_t s = 0; s < w->S; s++)
        h = h * 19 + x[s] + 1u;
    return h;
}

static float *cross_at(const world *w, size_t a, size_t b, size_t u, size_t v)
{
    return &w->cross[((a * WORLD_S + b) * WORLD_L + u) * WORLD_L + v];
}

void world_ability(const world *w, const uint16_t *x, double theta[WORLD_TYPES])
{
    double t = 0;
    for (size_t s = 0; s < w->S; s++)
        t += w->effect[s][x[s]];
    for (size_t p = 0; p < w->P; p++)
        t += w->pair[p][x[2 * p]][x[2 * p + 1]];
    for (size_t a = 0; w->cross && a < w->S; a++)
        for (size_t b = (a / 2 + 1) * 2; b < w->S; b++)
            t += *cross_at(w, a, b, x[a], x[b]);
    uint64_t c = mix(mix(w->seed * 77 + 5) ^ mix(code_of(w, x)));
    t += w->g->idio * w->s * hash_normal(c);
    for (size_t y = 0; y < WORLD_TYPES; y++) {
        theta[y] = t;
        for (size_t s = 0; w->g->structure && s < w->S; s++)
            theta[y] += w->dev[s][x[s]][y];
        if (!w->g->structure)
            theta[y] += w->g->type_dev * w->s * hash_normal(c + 1 + y);
    }
}

static double curve_at(const double *curve, double ability)
{
    double q = (ability + 8) * 25;
    q = q < 0 ? 0 : q > WORLD_GRID - 2 ? WORLD_GRID - 2 : q;
    size_t k = (size_t)q;
    return curve[k] + (curve[k + 1] - curve[k]) * (q - (double)k);
}

double world_mean(const world *w, const uint16_t *x)
{
    double theta[WORLD_TYPES], mean = 0, whole = 1;
    unsigned solved = 0;
    world_ability(w, x, theta);
    for (size_t s = 0; s < w->S; s++) {
        if (w->unlock[s][x[s]] >= 0)
            solved |= 1u << w->unlock[s][x[s]];
        whole *= 1 - w->broken[s][x[s]];
    }
    for (size_t t = 0; t < WORLD_TYPES; t++)
        mean += w->share[t] * curve_at(solved >> t & 1 ? w->unlocked : w->curve, theta[t]);
    return mean * whole;
}

double world_cell(const world *w, const uint16_t *x, const double theta[WORLD_TYPES], size_t i)
{
    const family *g = w->g;
    uint64_t code = code_of(w, x);
    double b = w->difficulty[i];
    if (w->missing > 0 && unit(mix(mix(w->seed * 59 + 11) ^ mix(code * 7577u + i))) < w->missing)
        return NAN;
    for (size_t s = 0; s < w->S; s++) {
        double broken = w->broken[s][x[s]];
        if (w->hard[i] && w->unlock[s][x[s]] == w->type[i])
            b = w->difficulty[i] - FAR - 1.5;
        if (broken > 0 &&
            unit(mix(mix(w->seed * 131 + s * 17 + x[s]) ^ mix(i * 7919u + 3))) < broken)
            return 0;
    }
    double z = theta[w->type[i]] - b;
    for (size_t s = 0; s < w->S; s++)
        z += g->tau / sqrt((double)w->S) * w->noise[(s * WORLD_L + x[s]) * w->N + i];
    uint64_t h = mix(mix(w->seed * 31 + 7) ^ mix(code * 1000003u + i));
    double u = unit(mix(h)), right = 0;
    if (g->judges < 0)
        return 1 / (1 + exp(-(z + g->kappa * log(u / (1 - u)))));
    if (g->judges == 0)
        return z + g->kappa * log(u / (1 - u)) > 0;
    for (unsigned q = 0; q < (unsigned)g->judges; q++) {
        u = unit(mix(h + 1 + q));
        right += z + 2 * g->kappa * log(u / (1 - u)) > 0;
    }
    return right / g->judges;
}

/* ---- making one ---- */

/* Mean cell score at an ability over difficulties b ~ N(m, sd^2). */
static double expected(const family *g, double ability, double m, double sd)
{
    double sum = 0, weights = 0, kappa = g->judges > 0 ? 2 * g->kappa : g->kappa;
    for (int j = -40; j <= 40; j++) {
        double q = j * .1, weight = exp(-.5 * q * q), z = ability - m + sd * q, p = 0;
        if (g->judges >= 0)
            p = 1 / (1 + exp(-z / kappa));
        for (int k = 0; g->judges < 0 && k < 32; k++) {
            double u = (k + .5) / 32;
            p += 1 / (1 + exp(-(z + g->kappa * log(u / (1 - u))))) / 32;
        }
        sum += weight * p;
        weights += weight;
    }
    return sum / weights;
}

typedef struct scales {
    double weight[WORLD_P], part[WORLD_P]; /* of a predictor; of its instruction */
    double swing, easy, hard, centre;
} scales;

static scales draw_scales(world *w)
{
    const family *g = w->g;
    scales k;
    stream r = stream_of(w->seed, 1, 0);
    double norm = 0, total = 0;
    w->s = g->spread * exp(g->spread_sd * normal(&r));
    for (size_t p = 0; p < w->P; p++) {
        k.weight[p] = exp(.6 * normal(&r));
        norm += k.weight[p] * k.weight[p];
    }
    for (size_t p = 0; p < w->P; p++) {
        k.weight[p] /= sqrt(norm);
        k.part[p] = .3 + .4 * draw(&r);
    }
    for (size_t t = 0; t < WORLD_TYPES; t++)
        total += w->share[t] = .3 + draw(&r);
    for (size_t t = 0; t < WORLD_TYPES; t++)
        w->share[t] /= total;
    k.swing = g->swing_low + (g->swing_high - g->swing_low) * draw(&r);
    double easy = .25 + .5 * draw(&r);
    k.easy = (1 - k.swing) * easy;
    k.hard = (1 - k.swing) * (1 - easy);
    k.centre = -.6 + .56 * normal(&r);
    return k;
}

static void draw_levels(world *w, const scales *k)
{
    const family *g = w->g;
    for (size_t s = 0; s < w->S; s++) {
        bool demos = s % 2;
        double part = k->part[s / 2], sd = w->s * k->weight[s / 2] * sqrt(demos ? 1 - part : part);
        stream a = stream_of(w->seed, 2, s), z = stream_of(w->seed, 5, s);
        for (size_t l = 0; l < w->L[s]; l++) {
            double effect = sd * normal(&a), bad = draw(&a), depth = fabs(normal(&a));
            if (bad < g->bad)
                effect -= 3 * sd * depth;
            if (l == 0)
                effect -= (demos ? .7 : .3) * sd;
            w->effect[s][l] = g->structure ? effect : 0;
            for (size_t t = 0; t < WORLD_TYPES; t++)
                w->dev[s][l][t] = g->type_dev * sd * normal(&a);
            double u = draw(&z), v = draw(&z), y = draw(&z);
            size_t type = below(&z, WORLD_TYPES);
            w->broken[s][l] = u < g->breaks ? .05 + .35 * v : 0;
            w->unlock[s][l] = l > 0 && y < g->unlocks ? (int)type : -1;
        }
    }
}

static void draw_pairs(world *w, const scales *k)
{
    const family *g = w->g;
    for (size_t p = 0; p < w->P; p++) {
        stream a = stream_of(w->seed, 3, p);
        for (size_t u = 0; u < w->L[2 * p]; u++)
            for (size_t v = 0; v < w->L[2 * p + 1]; v++)
                w->pair[p][u][v] = g->inter * w->s * k->weight[p] * normal(&a);
    }
    if (w->P < 2 || g->cross <= 0)
        return;
    w->cross = calloc((size_t)WORLD_S * WORLD_S * WORLD_L * WORLD_L, sizeof *w->cross);
    double sd = g->cross * w->s / sqrt(2.0 * (double)w->P * (double)(w->P - 1));
    stream a = stream_of(w->seed, 4, 0);
    for (size_t x = 0; x < w->S; x++)
        for (size_t y = (x / 2 + 1) * 2; y < w->S; y++)
            for (size_t u = 0; u < w->L[x]; u++)
                for (size_t v = 0; v < w->L[y]; v++)
                    *cross_at(w, x, y, u, v) = (float)(sd * normal(&a));
}

static void draw_examples(world *w, const scales *k)
{
    w->difficulty = malloc(w->N * sizeof *w->difficulty);
    w->type = malloc(w->N);
    w->hard = malloc(w->N);
    w->noise = malloc(w->S * WORLD_L * w->N * sizeof *w->noise);
    for (size_t i = 0; i < w->N; i++) {
        stream a = stream_of(w->seed, 6, i);
        double u = draw(&a), z = normal(&a), v = draw(&a);
        size_t t = 0;
        w->hard[i] = u >= k->easy && u < k->easy + k->hard;
        w->difficulty[i] = u < k->easy  ? -FAR + z
                           : w->hard[i] ? FAR + z
                                        : k->centre + w->g->swing_sd * z;
        while (t < WORLD_TYPES - 1 && v > w->share[t])
            v -= w->share[t++];
        w->type[i] = (unsigned char)t;
    }
    for (size_t s = 0; s < w->S; s++) {
        stream a = stream_of(w->seed, 7, s);
        for (size_t l = 0; l < w->L[s]; l++)
            for (size_t i = 0; i < w->N; i++)
                w->noise[(s * WORLD_L + l) * w->N + i] = (float)normal(&a);
    }
}

static void draw_curves(world *w, const scales *k)
{
    const family *g = w->g;
    double tau2 = g->tau * g->tau, sd = sqrt(1 + tau2);
    for (size_t q = 0; q < WORLD_GRID; q++) {
        double a = -8 + .04 * (double)q, hard = expected(g, a, FAR, sd);
        w->curve[q] = k->easy * expected(g, a, -FAR, sd) + k->hard * hard +
                      k->swing * expected(g, a, k->centre, sqrt(g->swing_sd * g->swing_sd + tau2));
        w->unlocked[q] = w->curve[q] + k->hard * (expected(g, a, -1.5, sd) - hard);
    }
}

void world_random(const world *w, stream *r, uint16_t *x)
{
    memset(x, 0, WORLD_S * sizeof *x);
    for (size_t s = 0; s < w->S; s++)
        x[s] = (uint16_t)below(r, w->L[s]);
}

/* Predictor by predictor the best pair of levels, until nothing gets better. */
static double ascend(const world *w, uint16_t *x)
{
    double top = world_mean(w, x);
    for (bool moved = true; moved;) {
        moved = false;
        for (size_t p = 0; p < w->P; p++) {
            uint16_t *pair = x + 2 * p, kept[2] = {pair[0], pair[1]};
            for (uint16_t a = 0; a < w->L[2 * p]; a++)
                for (uint16_t b = 0; b < w->L[2 * p + 1]; b++) {
                    pair[0] = a;
                    pair[1] = b;
                    double v = world_mean(w, x);
                    if (v > top + 1e-12) {
                        top = v;
                        kept[0] = a;
                        kept[1] = b;
                        moved = true;
                    }
                }
            pair[0] = kept[0];
            pair[1] = kept[1];
        }
    }
    return top;
}

void world_make(world *w, const family *g, size_t P, size_t instructions, size_t sets, size_t N,
                uint64_t seed)
{
    memset(w, 0, sizeof *w);
    w->g = g;
    w->P = P;
    w->S = 2 * P;
    w->N = N;
    w->seed = seed;
    for (size_t s = 0; s < w->S; s++)
        w->L[s] = s % 2 ? sets : instructions;
    scales k = draw_scales(w);
    draw_levels(w, &k);
    draw_pairs(w, &k);
    draw_examples(w, &k);
    draw_curves(w, &k);
    uint16_t x[WORLD_S] = {0};
    w->written = world_mean(w, x);
    stream r = stream_of(seed, 8, 0);
    int starts = !g->structure ? 4000 : P == 1 ? 1 : P == 2 ? 20 : 30;
    w->best = -1;
    for (int t = 0; t < starts; t++) {
        world_random(w, &r, x);
        double v = g->structure ? ascend(w, x) : world_mean(w, x);
        w->best = v > w->best ? v : w->best;
    }
}

void world_free(world *w)
{
    free(w->cross);
    free(w->difficulty);
    free(w->type);
    free(w->hard);
    free(w->noise);
}
