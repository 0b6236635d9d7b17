/* Racing fixed candidates: the betting test (9) of dspy_mpi/search.h, and halving. */
#include "search/core.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEAST 4 /* examples of halving's first round */

enum { BETS = 8 };
static const double LAMBDA[BETS] = {.02, .05, .1, .2, .35, .5, .7, .9};

typedef struct racer {
    uint64_t *barred;  /* bits [n_examples] */
    uint64_t *refused; /* bits [n_examples] in race order: y stands only against a rival's answer */
    double *y;         /* [n_examples] in race order; NAN: absent, or not told */
    double sum;        /* of the blocks looked at, without what was refused */
    size_t known;
    bool has_refused, alive;
} racer;

/* What a bettor who believes that j beats c has made of 1, as logarithms. */
typedef struct duel {
    double wealth[BETS];
    double S;     /* sum of the differences so far */
    size_t both;  /* examples still to come that neither is barred from */
    bool skipped; /* an example was absent: `both` may be too large */
    bool decided; /* c cannot catch up any more */
} duel;

typedef struct place {
    size_t candidate, block;
    size_t *examples; /* as handed out */
    bool told;        /* or not waited for: the candidate was dropped */
} place;

struct dm_race {
    dm_race_options o;
    size_t *order; /* [n_examples] shuffled */
    size_t *end;   /* [n_blocks] of a block in the order */
    size_t n_blocks;
    racer *racers;         /* [n] */
    duel *duels;           /* [n][n] j against c at j * n + c; betting only */
    double (*chase)[BETS]; /* [n] the bettor against c with the leader's results */
    size_t *rank;          /* [n_left] halving: the order of those alive */
    size_t n_left, leader, second;
    size_t block, next; /* the next unit: its block, its candidate */
    size_t looked;      /* blocks looked at */
    place *places;      /* [n_places] units handed out, by id */
    size_t n_places, cap;
    size_t *waiting; /* [n_blocks] units handed out and not told, of those alive */
};

void dm_race_defaults(dm_race_options *o, size_t n_candidates, size_t n_examples)
{
    *o = (dm_race_options){.rule = DM_RACE_BETTING,
                           .n_candidates = n_candidates,
                           .n_examples = n_examples,
                           .alpha = .05,
                           .block = 10,
                           .window = 1};
}

static void cut_blocks(dm_race *r)
{
    size_t n = r->o.n_examples, rounds = 0;
    r->end = dm_alloc_n(n + 64, sizeof *r->end);
    if (r->o.rule == DM_RACE_BETTING) {
        for (size_t to = 0; to < n;) {
            to = to + r->o.block < n ? to + r->o.block : n;
            r->end[r->n_blocks++] = to;
        }
        return;
    }
    while ((size_t)1 << rounds < r->o.n_candidates)
        rounds++;
    for (size_t k = rounds; k-- > 0;) { /* n / 2^k examples, rounded up */
        size_t to = (n + ((size_t)1 << k) - 1) >> k;
        to = to < LEAST ? LEAST : to;
        r->end[r->n_blocks++] = to < n ? to : n;
    }
    if (!rounds)
        r->end[r->n_blocks++] = n;
}

static const char *wrong(const dm_race_options *o)
{
    if (o->n_candidates < 1 || o->n_candidates > 4096)
        return "n_candidates: from 1 to 4096";
    if (o->n_examples < 1)
        return "n_examples: from 1 on";
    if (!(o->alpha > 0 && o->alpha < 1))
        return "alpha: between 0 and 1";
    if (o->block < 1 || o->window < 1)
        return "block and window: from 1 on";
    return NULL;
}

dm_race *dm_race_new(const dm_race_options *o, char *why, size_t size)
{
    if (wrong(o)) {
        if (why && size)
            snprintf(why, size, "%s", wrong(o));
        return NULL;
    }
    dm_race *r = dm_alloc(sizeof *r);
    size_t n = o->n_candidates;
    r->o = *o;
    if (o->rule == DM_RACE_HALVING) /* a round is ranked before the next begins */
        r->o.window = 1;
    r->order = dm_alloc_n(o->n_examples, sizeof *r->order);
    for (size_t i = 0; i < o->n_examples; i++)
        r->order[i] = i;
    dm_stream stream = dm_stream_of(o->seed, DM_STREAM_RACE, 0);
    dm_stream_shuffle(&stream, r->order, o->n_examples);
    cut_blocks(r);
    r->waiting = dm_alloc_n(r->n_blocks, sizeof *r->waiting);
    r->racers = dm_alloc_n(n, sizeof *r->racers);
    r->rank = dm_alloc_n(n, sizeof *r->rank);
    for (size_t c = 0; c < n; c++) {
        r->racers[c].alive = true;
        r->racers[c].barred = dm_alloc_n((o->n_examples + 63) / 64, sizeof(uint64_t));
        r->racers[c].refused = dm_alloc_n((o->n_examples + 63) / 64, sizeof(uint64_t));
        r->racers[c].y = dm_alloc_n(o->n_examples, sizeof(double));
        for (size_t t = 0; t < o->n_examples; t++)
            r->racers[c].y[t] = NAN;
        r->rank[c] = c;
    }
    if (o->rule == DM_RACE_BETTING) {
        r->duels = dm_alloc_n(n * n, sizeof *r->duels);
        r->chase = dm_alloc_n(n, sizeof *r->chase);
        for (size_t k = 0; k < n * n; k++)
            r->duels[k].both = o->n_examples;
    }
    r->n_left = n;
    r->leader = r->second = DM_NONE;
    return r;
}

void dm_race_free(dm_race *r)
{
    if (!r)
        return;
    for (size_t c = 0; c < r->o.n_candidates; c++) {
        free(r->racers[c].barred);
        free(r->racers[c].refused);
        free(r->racers[c].y);
    }
    free(r->racers);
    free(r->order);
    free(r->end);
    free(r->waiting);
    free(r->duels);
    free(r->chase);
    free(r->rank);
    for (size_t id = 0; id < r->n_places; id++)
        free(r->places[id].examples);
    free(r->places);
    free(r);
}

void dm_race_leak(dm_race *r, size_t candidate, size_t example)
{
    racer *a = &r->racers[candidate];
    size_t n = r->o.n_candidates;
    if (dm_bit(a->barred, example))
        return;
    dm_set_bit(a->barred, example);
    for (size_t j = 0; j < n && r->duels; j++)
        if (j != candidate && !dm_bit(r->racers[j].barred, example)) {
            r->duels[j * n + candidate].both--;
            r->duels[candidate * n + j].both--;
        }
}

static double log_mean_exp(const double *l, size_t n)
{
    double top = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++)
        top = l[i] > top ? l[i] : top;
    if (isinf(top))
        return top;
    for (size_t i = 0; i < n; i++)
        sum += exp(l[i] - top);
    return top + log(sum / (double)n);
}

/* Example t of the order enters the duel of j against c; chase: j is the leader, c's own bettor
 * too. */
static void bet(dm_race *r, duel *d, size_t j, size_t c, size_t t, bool chase)
{
    size_t example = r->order[t];
    if (dm_bit(r->racers[j].barred, example) || dm_bit(r->racers[c].barred, example))
        return;
    double left = (double)d->both--, diff = r->racers[j].y[t] - r->racers[c].y[t];
    if (isnan(diff) || (dm_bit(r->racers[j].refused, t) && dm_bit(r->racers[c].refused, t))) {
        d->skipped = true;
        return;
    }
    double m = -d->S / left;
    bool unsafe = d->skipped && d->S < 0;
    d->S += diff;
    if (m <= -1)
        d->decided = true;
    if (d->decided || unsafe)
        return;
    for (size_t k = 0; k < BETS; k++) {
        double gain = log1p(LAMBDA[k] * (diff - m) / (1 + m));
        d->wealth[k] += gain;
        if (chase)
            r->chase[c][k] += gain;
    }
}

static bool has_answer(const dm_race *r, const racer *a, size_t t)
{
    return !dm_bit(a->barred, r->order[t]) && !isnan(a->y[t]) && !dm_bit(a->refused, t);
}

/* Of the blocks looked at; what was refused counts where the rival has an answer. */
static double mean_against(const dm_race *r, size_t c, size_t rival)
{
    const racer *a = &r->racers[c];
    double sum = a->sum;
    size_t known = a->known, to = r->looked ? r->end[r->looked - 1] : 0;
    for (size_t t = 0; a->has_refused && t < to; t++)
        if (dm_bit(a->refused, t) && has_answer(r, &r->racers[rival], t)) {
            sum += a->y[t];
            known++;
        }
    return known ? sum / (double)known : -1;
}

static bool is_ahead(const dm_race *r, size_t c, size_t rival)
{
    return rival == DM_NONE || mean_against(r, c, rival) > mean_against(r, rival, c);
}

static void find_leaders(dm_race *r)
{
    r->leader = r->second = DM_NONE;
    for (size_t c = 0; c < r->o.n_candidates; c++) {
        if (!r->racers[c].alive)
            continue;
        if (is_ahead(r, c, r->leader)) {
            r->second = r->leader;
            r->leader = c;
        } else if (is_ahead(r, c, r->second)) {
            r->second = c;
        }
    }
}

/* E_c: half the mean over all rivals (a dropped one keeps its last value), half the chase. */
static double evidence_against(const dm_race *r, size_t c, double *scratch)
{
    size_t n = r->o.n_candidates, q = 0;
    for (size_t j = 0; j < n; j++) {
        const duel *d = &r->duels[j * n + c];
        if (j == c)
            continue;
        if (d->decided)
            return INFINITY;
        scratch[q++] = log_mean_exp(d->wealth, BETS);
    }
    double half[2] = {log_mean_exp(scratch, q), log_mean_exp(r->chase[c], BETS)};
    return log_mean_exp(half, 2);
}

static void drop(dm_race *r, size_t c)
{
    r->racers[c].alive = false;
    r->n_left--;
    for (size_t id = 0; id < r->n_places; id++)
        if (r->places[id].candidate == c && !r->places[id].told) {
            r->places[id].told = true;
            r->waiting[r->places[id].block]--;
        }
}

static void look_betting(dm_race *r, size_t from, size_t to)
{
    size_t n = r->o.n_candidates;
    for (size_t j = 0; j < n; j++)
        for (size_t c = 0; c < n && r->racers[j].alive; c++) {
            if (c == j || !r->racers[c].alive)
                continue;
            bool chase = j == (c == r->leader ? r->second : r->leader);
            for (size_t t = from; t < to; t++)
                bet(r, &r->duels[j * n + c], j, c, t, chase);
        }
    find_leaders(r);
    double *scratch = dm_alloc_n(n, sizeof *scratch);
    for (size_t c = 0; c < n; c++)
        if (r->racers[c].alive && c != r->leader &&
            evidence_against(r, c, scratch) >= -log(r->o.alpha))
            drop(r, c);
    free(scratch);
}

static void look_halving(dm_race *r) /* stable: ties stay in their order */
{
    size_t n = r->n_left;
    for (size_t a = 1; a < n; a++) {
        size_t c = r->rank[a], q = a;
        for (; q > 0 && is_ahead(r, c, r->rank[q - 1]); q--)
            r->rank[q] = r->rank[q - 1];
        r->rank[q] = c;
    }
    for (size_t a = (n + 1) / 2; a < n; a++)
        drop(r, r->rank[a]);
}

/* Looks at the blocks before `limit` that are there whole, in order. */
static void look(dm_race *r, size_t limit)
{
    while (r->looked < limit && r->waiting[r->looked] == 0) {
        size_t from = r->looked ? r->end[r->looked - 1] : 0, to = r->end[r->looked];
        for (size_t c = 0; c < r->o.n_candidates; c++)
            for (size_t t = from; t < to && r->racers[c].alive; t++)
                if (!isnan(r->racers[c].y[t]) && !dm_bit(r->racers[c].refused, t)) {
                    r->racers[c].sum += r->racers[c].y[t];
                    r->racers[c].known++;
                }
        r->looked++;
        if (r->n_left > 1 && r->o.rule == DM_RACE_BETTING)
            look_betting(r, from, to);
        else if (r->n_left > 1)
            look_halving(r);
    }
}

/* Hands out candidate c's part of the block; false: it is barred from all of it. */
static bool hand_out(dm_race *r, size_t c, dm_race_unit *u)
{
    size_t from = r->block ? r->end[r->block - 1] : 0, to = r->end[r->block], n = 0;
    size_t *examples = dm_alloc_n(to - from, sizeof *examples);
    for (size_t t = from; t < to; t++)
        if (!dm_bit(r->racers[c].barred, r->order[t]))
            examples[n++] = r->order[t];
    if (n == 0) {
        free(examples);
        return false;
    }
    r->places = dm_room(r->places, r->n_places, &r->cap, sizeof *r->places);
    r->places[r->n_places] = (place){c, r->block, examples, false};
    r->waiting[r->block]++;
    *u = (dm_race_unit){r->n_places++, c, r->block, examples, n};
    return true;
}

dm_search_answer dm_race_ask(dm_race *r, dm_race_unit *u)
{
    while (r->block < r->n_blocks) {
        if (r->next == 0 && r->block >= r->o.window)
            look(r, r->block + 1 - r->o.window); /* no further: that would depend on who was fast */
        if (r->n_left > 1 && r->looked + r->o.window <= r->block)
            return DM_SEARCH_TELL;
        while (r->next < r->o.n_candidates) {
            size_t c = r->next++;
            if (r->racers[c].alive && hand_out(r, c, u))
                return DM_SEARCH_UNIT;
        }
        r->block++;
        r->next = 0;
    }
    look(r, r->n_blocks);
    return DM_SEARCH_DONE;
}

bool dm_race_tell(dm_race *r, size_t id, const double *scores, const bool *absent)
{
    return dm_race_tell_refused(r, id, scores, absent, NULL);
}

bool dm_race_tell_refused(dm_race *r, size_t id, const double *scores, const bool *absent,
                          const bool *refused)
{
    if (id >= r->n_places)
        return false;
    place *p = &r->places[id];
    racer *a = &r->racers[p->candidate];
    if (!a->alive)
        return true;
    if (p->told)
        return false;
    for (size_t t = p->block ? r->end[p->block - 1] : 0, i = 0; t < r->end[p->block]; t++)
        if (!dm_bit(a->barred, r->order[t])) {
            a->y[t] = absent && absent[i] ? NAN : scores[i];
            if (refused && refused[i]) {
                dm_set_bit(a->refused, t);
                a->has_refused = true;
            }
            i++;
        }
    p->told = true;
    r->waiting[p->block]--;
    if (r->block == r->n_blocks)
        look(r, r->n_blocks);
    return true;
}

bool dm_race_alive(const dm_race *r, size_t candidate)
{
    return r->racers[candidate].alive;
}

size_t dm_race_winner(const dm_race *r)
{
    size_t top = DM_NONE;
    for (size_t c = 0; c < r->o.n_candidates; c++)
        if (r->racers[c].alive && is_ahead(r, c, top))
            top = c;
    return top;
}

double dm_race_mean(const dm_race *r, size_t candidate, size_t *known)
{
    const racer *a = &r->racers[candidate];
    if (known)
        *known = a->known;
    return a->known ? a->sum / (double)a->known : NAN;
}
