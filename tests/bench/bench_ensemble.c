/* Committees of five: what the default gains on fresh examples, and what it would without a guard.
 *
 * A family says how alike candidates are: whether they are right on the same examples, and whether
 * they give the same wrong answers. 40 candidates, EXAMPLES examples to choose on, TEST fresh ones.
 * The recorded matrices are split in halves at random: one chooses, the other scores. */
#include "bench.h"
#include "world.h"

#include "ensemble/committee.h"
#include "ensemble/route.h"
#include "ensemble/vote.h"
#include "json/json.h"
#include "metric/metric.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CANDIDATES = 40, EXAMPLES = 100, TEST = 2000, GROUPS = 6, TYPES = 4, INSTANCES = 200 };
enum { ALL = EXAMPLES + TEST, WORDS = 24, VOCABULARY = 60 };

typedef struct kind {
    const char *name;
    size_t classes;
    double base, spread, dev; /* ability for a type of example: N(base, spread^2) + N(0, dev^2) */
    double rho, trap; /* share of an example's shock that all have; a wrong answer is its trap */
    double copy;      /* clones: share of ability, shock and wrong answer that is the group's */
} kind;

static const kind KINDS[] = {
    {"similar", 4, .6, .15, .10, .6, .6, 0},
    {"diverse", 4, .6, .15, .50, .2, .3, 0},
    {"special", 4, .4, .15, 1.2, .2, .3, 0},
    {"oneStar", 4, .2, .40, .30, .3, .4, 0},
    {"manyClass", 20, .3, .20, .40, .3, .3, 0},
    {"binary", 2, .6, .20, .40, .3, 1, 0},
    {"clones.8", 4, .6, .15, .50, .2, .3, .8},
    {"clones.95", 4, .6, .15, .50, .2, .3, .95},
    /* as the recorded ones: a few candidates decide nearly all, wrong answers repeat */
    {"ladder", 20, -.4, .9, .25, .5, .6, 0},
    {"twins", 14, -.3, .35, .12, .8, .9, 0},
    {"twinsBinary", 2, .3, .3, .12, .85, 1, 0},
    {.name = NULL}};

typedef struct field { /* an instance: [CANDIDATES][ALL], class 0 is right */
    int *class;
    double *score;
    dm_features *features; /* [ALL] */
    dm_arena *arena;
} field;

static double mixed(double share, double common, double own)
{
    return sqrt(share) * common + sqrt(1 - share) * own;
}

static int wrong(stream *q, size_t classes)
{
    return 1 + (int)below(q, classes - 1);
}

/* Half of an example's words are of its type. */
static dm_features words(dm_arena *a, stream *q, size_t type)
{
    uint32_t count[DM_ROUTE_DIMS] = {0};
    dm_features f = {dm_arena_alloc_n(a, WORDS, sizeof *f.dim),
                     dm_arena_alloc_n(a, WORDS, sizeof *f.count), 0};
    for (size_t k = 0; k < WORDS; k++)
        count[(k % 2 ? type + 1 : 0) * VOCABULARY + below(q, VOCABULARY)]++;
    for (size_t d = 0; d < (TYPES + 1) * VOCABULARY; d++)
        if (count[d]) {
            f.dim[f.n] = (uint16_t)d;
            f.count[f.n++] = count[d];
        }
    return f;
}

static void make(field *w, const kind *k, uint64_t seed)
{
    double ability[CANDIDATES][TYPES], group[GROUPS], dev[GROUPS][TYPES];
    stream r = stream_of(seed, 900, 0);
    for (size_t g = 0; g < GROUPS; g++) {
        group[g] = normal(&r);
        for (size_t t = 0; t < TYPES; t++)
            dev[g][t] = normal(&r);
    }
    for (size_t j = 0; j < CANDIDATES; j++) {
        size_t g = j % GROUPS;
        double mean = k->base + k->spread * mixed(k->copy, group[g], normal(&r));
        for (size_t t = 0; t < TYPES; t++)
            ability[j][t] = mean + k->dev * mixed(k->copy, dev[g][t], normal(&r));
    }
    for (size_t i = 0; i < ALL; i++) {
        stream q = stream_of(seed, 901, i);
        double hard = normal(&q), common = normal(&q), shock[GROUPS];
        size_t type = below(&q, TYPES);
        int trap = wrong(&q, k->classes), label[GROUPS];
        for (size_t g = 0; g < GROUPS; g++) {
            shock[g] = normal(&q);
            label[g] = draw(&q) < k->trap ? trap : wrong(&q, k->classes);
        }
        for (size_t j = 0; j < CANDIDATES; j++) {
            size_t g = j % GROUPS;
            double e = mixed(k->rho, common, mixed(k->copy, shock[g], normal(&q)));
            bool right = ability[j][type] - hard + e > 0, copied = draw(&q) < k->copy;
            int own = draw(&q) < k->trap ? trap : wrong(&q, k->classes);
            w->class[j * ALL + i] = right ? 0 : copied ? label[g] : own;
            w->score[j * ALL + i] = right;
        }
        w->features[i] = words(w->arena, &q, type);
    }
}

typedef struct outcome { /* of one instance or split, points above the best single */
    double single, five, guarded, top, routed;
    double correlation, same_wrong;
    bool used, asked;
} outcome;

/* The ballots of the best candidates on the rows `choose`, most right ones first, as the search
 * would give them, and of the same ones on the rows `fresh`. */
typedef struct halves {
    dm_ballots choose, fresh;
    size_t order[DM_COMMITTEE_POOL];
} halves;

static dm_ballots picked(dm_arena *a, const int *class, const double *score, size_t width,
                         const size_t *order, size_t m, const size_t *rows, size_t n)
{
    int *c = dm_arena_alloc_n(a, m * n, sizeof *c);
    double *s = dm_arena_alloc_n(a, m * n, sizeof *s);
    for (size_t j = 0; j < m; j++)
        for (size_t i = 0; i < n; i++) {
            c[j * n + i] = class[order[j] * width + rows[i]];
            s[j * n + i] = score[order[j] * width + rows[i]];
        }
    return (dm_ballots){.m = m, .n = n, .class = c, .score = s};
}

static void split(dm_arena *a, halves *h, const int *class, const double *score, size_t candidates,
                  size_t width, const size_t *rows, size_t n, size_t n_fresh)
{
    double *sum = dm_arena_alloc_n(a, candidates, sizeof *sum);
    size_t m = 0;
    for (size_t j = 0; j < candidates; j++) {
        for (size_t i = 0; i < n; i++)
            sum[j] += score[j * width + rows[i]];
        size_t at = m < DM_COMMITTEE_POOL ? m++ : m;
        if (at == DM_COMMITTEE_POOL && sum[h->order[at - 1]] >= sum[j])
            continue;
        if (at == DM_COMMITTEE_POOL)
            at--;
        for (; at > 0 && sum[h->order[at - 1]] < sum[j]; at--)
            h->order[at] = h->order[at - 1];
        h->order[at] = j;
    }
    h->choose = picked(a, class, score, width, h->order, m, rows, n);
    h->fresh = picked(a, class, score, width, h->order, m, rows + n, n_fresh);
}

static double scored(const dm_ballots *b, const dm_committee *c)
{
    double sum = 0;
    for (size_t i = 0; i < b->n; i++)
        sum += dm_committee_score(b, c, i);
    return 100 * sum / (double)b->n;
}

static outcome compare(const halves *h, uint64_t seed)
{
    outcome o = {0};
    dm_committee five, top, single = {.n = 1, .votes = {1}};
    dm_guard g =
        dm_committee_guarded(&h->choose, dm_committee_choose, DM_COMMITTEE_SIZE, seed, &five);
    dm_forecast f = dm_committee_forecast(&h->choose);
    dm_committee_top(&h->choose, NULL, DM_COMMITTEE_SIZE, &top);
    single.member[0] = dm_committee_single(&h->choose, NULL);
    o.single = scored(&h->fresh, &single);
    o.five = scored(&h->fresh, &five) - o.single;
    o.top = scored(&h->fresh, &top) - o.single;
    o.used = g.verdict == DM_GUARD_GAINS;
    o.guarded = o.used ? o.five : 0;
    o.correlation = f.correlation;
    o.same_wrong = f.same_wrong;
    return o;
}

static void route(dm_arena *a, const halves *h, const dm_features *features, const size_t *rows,
                  outcome *o)
{
    dm_features *seen = dm_arena_alloc_n(a, h->choose.n, sizeof *seen);
    double sum = 0;
    for (size_t i = 0; i < h->choose.n; i++)
        seen[i] = features[rows[i]];
    const dm_router *r = dm_router_new(a, seen, h->choose.score, h->choose.m, h->choose.n);
    dm_guard g = dm_router_guarded(r);
    o->asked = g.verdict == DM_GUARD_GAINS;
    for (size_t i = 0; o->asked && i < h->fresh.n; i++)
        sum +=
            h->fresh.score[dm_router_choose(r, &features[rows[h->choose.n + i]]) * h->fresh.n + i];
    o->routed = o->asked ? 100 * sum / (double)h->fresh.n - o->single : 0;
}

typedef struct sums {
    outcome o;
    double square, used, asked;
    size_t n, known;
} sums;

static void add(sums *s, const outcome *o)
{
    s->n++;
    s->o.single += o->single;
    s->o.five += o->five;
    s->o.top += o->top;
    s->o.guarded += o->guarded;
    s->o.routed += o->routed;
    s->square += o->guarded * o->guarded;
    s->used += o->used;
    s->asked += o->asked;
    if (!isnan(o->correlation) && !isnan(o->same_wrong)) {
        s->o.correlation += o->correlation;
        s->o.same_wrong += o->same_wrong;
        s->known++;
    }
}

/* Whether the default keeps what is promised of it. */
static bool report(const char *name, const sums *s, bool keeps_half, bool routed)
{
    double n = (double)s->n, mean = s->o.guarded / n, known = (double)s->known;
    double se = sqrt(fmax(0, s->square / n - mean * mean) / n);
    bool good = mean >= -.1 && (!keeps_half || mean >= s->o.five / n / 2);
    printf("%-31s %5.1f  %+5.2f  %+5.2f  %+5.2f +-%.2f (%3.0f %%)", name, s->o.single / n,
           s->o.top / n, s->o.five / n, mean, se, 100 * s->used / n);
    if (routed)
        printf("  %+5.2f (%3.0f %%)", s->o.routed / n, 100 * s->asked / n);
    else
        printf("                ");
    printf("  %.2f  %3.0f %%%s\n", s->o.correlation / known, 100 * s->o.same_wrong / known,
           good ? "" : "  BELOW WHAT IS PROMISED");
    fflush(stdout);
    return good;
}

static bool families(const settings *o)
{
    size_t n = o->n ? o->n : INSTANCES, *rows = dm_alloc_n(ALL, sizeof *rows);
    field w = {dm_alloc_n(CANDIDATES * ALL, sizeof *w.class),
               dm_alloc_n(CANDIDATES * ALL, sizeof *w.score), dm_alloc_n(ALL, sizeof *w.features),
               NULL};
    bool good = true;
    for (size_t i = 0; i < ALL; i++)
        rows[i] = i;
    for (const kind *k = KINDS; k->name; k++) {
        sums s = {0};
        bool half = k == &KINDS[1] || k == &KINDS[2] || k == &KINDS[4];
        for (size_t i = 0; i < n; i++) {
            halves h;
            w.arena = dm_arena_new(0);
            make(&w, k, o->seed + i);
            split(w.arena, &h, w.class, w.score, CANDIDATES, ALL, rows, EXAMPLES, TEST);
            outcome one = compare(&h, o->run_seed);
            if (i < n / 5 || n < 5) /* it is slow */
                route(w.arena, &h, w.features, rows, &one);
            add(&s, &one);
            dm_arena_free(w.arena);
        }
        double routed = (double)(n < 5 ? n : n / 5) / (double)n;
        s.o.routed /= routed;
        s.asked /= routed;
        good &= report(k->name, &s, half, true);
    }
    free(w.class);
    free(w.score);
    free(w.features);
    free(rows);
    return good;
}

/* ---- recorded ---- */

typedef struct answers {
    int *class; /* [m * n] */
    double *score;
    size_t m, n;
} answers;

static bool read_answers(dm_arena *a, const char *path, answers *z)
{
    dm_error err;
    dm_str text;
    if (dm_read_file(a, path, DM_MAX_FILE, &text, &err) != DM_OK)
        return false;
    const dm_value *v = dm_json_read(a, text, &err), *cells = v ? dm_value_get(v, "cells") : NULL;
    const dm_value *all = v ? dm_value_get(v, "answers") : NULL;
    if (!cells || !all || !cells->n || all->n != cells->n)
        return false;
    z->m = cells->n;
    z->n = cells->items[0]->n;
    z->class = dm_arena_alloc_n(a, z->m * z->n, sizeof *z->class);
    z->score = dm_arena_alloc_n(a, z->m * z->n, sizeof *z->score);
    const dm_value **values = dm_arena_alloc_n(a, z->m, sizeof *values);
    int *class = dm_arena_alloc_n(a, z->m, sizeof *class);
    for (size_t i = 0; i < z->n; i++) {
        for (size_t j = 0; j < z->m; j++) {
            const dm_value *given = all->items[j]->items[i], *cell = cells->items[j]->items[i];
            values[j] = given->kind == DM_NULL ? NULL : given; /* did not parse: no vote */
            z->score[j * z->n + i] = cell->kind == DM_NULL ? 0 : cell->number;
        }
        dm_vote_classes(values, z->m, true, class);
        for (size_t j = 0; j < z->m; j++)
            z->class[j * z->n + i] = class[j];
    }
    return true;
}

static bool replay(const char *name, const answers *z, const settings *o)
{
    size_t n = o->n ? o->n : INSTANCES, half = z->n / 2;
    sums s = {0};
    for (size_t k = 0; k < n; k++) {
        dm_arena *a = dm_arena_new(0);
        size_t *rows = dm_arena_alloc_n(a, z->n, sizeof *rows);
        stream r = stream_of(o->seed + k, 960, 0);
        halves h;
        for (size_t i = 0; i < z->n; i++) { /* shuffled as it grows */
            size_t at = below(&r, i + 1);
            rows[i] = rows[at];
            rows[at] = i;
        }
        split(a, &h, z->class, z->score, z->m, z->n, rows, half, z->n - half);
        outcome one = compare(&h, o->run_seed);
        add(&s, &one);
        dm_arena_free(a);
    }
    return report(name, &s, false, false);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool recorded(const settings *o, const char *folder)
{
    struct dirent **entry;
    bool good = true;
    size_t found = 0;
    int n = scandir(folder, &entry, NULL, by_name);
    for (int i = 0; i < n; i++) {
        dm_arena *a = dm_arena_new(0);
        size_t len = strlen(entry[i]->d_name);
        answers z;
        if (len > 5 && strcmp(entry[i]->d_name + len - 5, ".json") == 0 &&
            read_answers(a, dm_arena_printf(a, "%s/%s", folder, entry[i]->d_name), &z)) {
            found++;
            good &= replay(entry[i]->d_name, &z, o);
        }
        dm_arena_free(a);
        free(entry[i]);
    }
    if (n >= 0)
        free(entry);
    if (!found)
        printf("%s: no recorded matrices there, skipped\n", folder);
    return good;
}

int bench_ensemble(const settings *o, const char *folder)
{
    printf("\ncommittees of %d from the best %d of %d candidates, %d examples to choose on; points "
           "above the best single on fresh ones\n"
           "                               single  top 5  unguarded  default (used)    "
           "best per input   correlation, same wrong answers\n",
           DM_COMMITTEE_SIZE, DM_COMMITTEE_POOL, CANDIDATES, EXAMPLES);
    bool good = families(o);
    good &= recorded(o, folder);
    printf("%s\n", good ? "the default loses no more than .1 point anywhere, and keeps half of the "
                          "gain in diverse, special and manyClass"
                        : "the default does not keep what is promised");
    return good ? 0 : 1;
}
