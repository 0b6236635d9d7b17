/* Random streams. dm_pyrandom is Python's random.Random, draw for draw (contract 0.6);
 * dm_nprandom is numpy's RandomState (contract 8.4.1); dm_draw is counter-based: a pure function of
 * its keys, so that what it gives depends on no order of calls. */
#ifndef DM_BASE_RANDOM_H
#define DM_BASE_RANDOM_H

#include "base/buf.h"

typedef struct dm_mt19937 {
    uint32_t state[624];
    int index;
} dm_mt19937;

typedef struct dm_pyrandom {
    dm_mt19937 mt;
} dm_pyrandom;

void dm_pyrandom_seed(dm_pyrandom *r, int64_t seed); /* abs(seed), as Python */
double dm_pyrandom_random(dm_pyrandom *r);           /* [0, 1) */
uint32_t dm_pyrandom_bits(dm_pyrandom *r, int k);    /* getrandbits(k), 1 <= k <= 32 */
size_t dm_pyrandom_below(dm_pyrandom *r, size_t n);  /* n >= 1 */
int64_t dm_pyrandom_randint(dm_pyrandom *r, int64_t low, int64_t high); /* inclusive, low <= high */
void dm_pyrandom_shuffle(dm_pyrandom *r, size_t *items, size_t n);      /* in place */
void dm_pyrandom_sample(dm_pyrandom *r, size_t n, size_t k,
                        size_t *out); /* k <= n indices of 0..n-1 */
/* choices(range(n), weights, k=1)[0] */
size_t dm_pyrandom_choices(dm_pyrandom *r, const double *weights, size_t n);

typedef struct dm_nprandom {
    dm_mt19937 mt;
} dm_nprandom;

void dm_nprandom_seed(dm_nprandom *r, uint32_t seed); /* RandomState(seed): init_genrand */
double dm_nprandom_double(dm_nprandom *r);            /* [0, 1) */

uint64_t dm_draw(uint64_t seed, uint64_t stream, uint64_t counter);      /* 64 random bits */
double dm_draw_double(uint64_t seed, uint64_t stream, uint64_t counter); /* [0, 1) */

#endif
