/* Random candidates and successive halving (Jamieson and Talwalkar 2016) on one shuffled list:
 * every round gives all candidates left as many further examples as an equal share of the budget
 * buys, then keeps the better half. */
#include "search/core.h"

#include <math.h>
#include <stdlib.h>

#define MOST 2000 /* candidates of the first round */

typedef struct halving {
    size_t *order; /* [n_examples] shuffled */
    size_t *left;  /* [n_left] arms, best first after a round */
    size_t n_left;
    size_t round, rounds;
    size_t from, to; /* examples of this round in the shuffled list */
    size_t next;     /* place in left of the next unit */
    size_t spent;    /* cells, as if every row were whole */
} halving;

static void *make(dm_search *s)
{
    halving *h = dm_alloc(sizeof *h);
    h->order = dm_alloc_n(s->o.n_examples, sizeof *h->order);
    for (size_t i = 0; i < s->o.n_examples; i++)
        h->order[i] = i;
    dm_stream r = dm_stream_of(s->o.seed, DM_STREAM_ORDER, 0);
    dm_stream_shuffle(&r, h->order, s->o.n_examples);
    return h;
}

static void free_state(void *state)
{
    halving *h = state;
    free(h->order);
    free(h->left);
    free(h);
}

/* sqrt(budget) different candidates, the program as written first. */
static void draw_field(dm_search *s, halving *h)
{
    double space = dm_search_space(s), want = fmax(8, sqrt((double)s->o.budget));
    size_t n = (size_t)fmin(fmin(want, space), MOST), misses = 0;
    uint16_t *x = dm_alloc_n(s->o.n_slots, sizeof *x);
    dm_stream r = dm_stream_of(s->o.seed, DM_STREAM_SAMPLE, 0);
    h->left = dm_alloc_n(n, sizeof *h->left);
    h->left[h->n_left++] = dm_search_arm(s, x);
    while (h->n_left < n && misses < 100000) {
        size_t before = s->n_arms;
        dm_search_random(s, &r, x);
        size_t arm = dm_search_arm(s, x);
        if (s->n_arms > before)
            h->left[h->n_left++] = arm;
        else
            misses++;
    }
    h->rounds = (size_t)ceil(log2((double)h->n_left));
    free(x);
}

static void open_round(const dm_search *s, halving *h)
{
    size_t share = h->spent < s->o.budget ? s->o.budget - h->spent : 0;
    size_t add = h->rounds > h->round ? share / (h->rounds - h->round) / h->n_left
                                      : s->o.n_examples; /* one candidate in all: its whole row */
    h->from = h->to;
    h->to = h->from + add < s->o.n_examples ? h->from + add : s->o.n_examples;
    h->spent += (h->to - h->from) * h->n_left;
    h->next = 0;
}

static double mean_of(const dm_search *s, size_t arm)
{
    double raw = dm_search_raw(&s->arms[arm]);
    return isnan(raw) ? -1 : raw;
}

static void rank(const dm_search *s, halving *h) /* stable: ties stay in their order */
{
    for (size_t a = 1; a < h->n_left; a++) {
        size_t arm = h->left[a], q = a;
        double v = mean_of(s, arm);
        for (; q > 0 && mean_of(s, h->left[q - 1]) < v; q--)
            h->left[q] = h->left[q - 1];
        h->left[q] = arm;
    }
}

static dm_search_answer decide(dm_search *s, dm_unit *u)
{
    halving *h = s->state;
    if (!h->left) {
        draw_field(s, h);
        open_round(s, h);
    }
    for (;;) {
        while (h->next < h->n_left) {
            size_t arm = h->left[h->next++];
            u->u.candidate = arm;
            u->u.kind = h->round == 0 ? DM_SEARCH_START : DM_SEARCH_DECIDE;
            for (size_t i = h->from; i < h->to && s->issued < s->o.budget; i++)
                if (!dm_bit(s->arms[arm].taken, h->order[i]))
                    dm_search_take(s, u, h->order[i]);
            if (u->u.n)
                return DM_SEARCH_UNIT;
        }
        if (s->committed < s->next) /* the round is ranked when all of it is there */
            return DM_SEARCH_TELL;
        rank(s, h);
        if (h->n_left == 1 || ++h->round >= h->rounds) {
            s->end = DM_SEARCH_BUDGET;
            return DM_SEARCH_DONE;
        }
        h->n_left = (h->n_left + 1) / 2;
        open_round(s, h);
    }
}

static size_t best(const dm_search *s)
{
    const halving *h = s->state;
    size_t top = 0;
    for (size_t i = 0; i < h->n_left; i++)
        if (i == 0 || mean_of(s, h->left[i]) > mean_of(s, top))
            top = h->left[i];
    return top;
}

const dm_method dm_method_halving = {make, free_state, decide, NULL, best, NULL, false};
