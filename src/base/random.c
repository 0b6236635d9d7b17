/* The Mersenne twister of Matsumoto and Nishimura (1998), seeded and read as Python's random and as
 * numpy's RandomState do (contract 0.6, 8.4.1), and a counter-based generator. */
#include "base/random.h"
#include "base/hash.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define N 624
#define M 397

static void seed_word(dm_mt19937 *mt, uint32_t seed) /* init_genrand */
{
    mt->state[0] = seed;
    for (uint32_t i = 1; i < N; i++)
        mt->state[i] = 1812433253u * (mt->state[i - 1] ^ (mt->state[i - 1] >> 30)) + i;
    mt->index = N;
}

static void seed_array(dm_mt19937 *mt, const uint32_t *key, size_t n) /* init_by_array */
{
    size_t i = 1, j = 0;
    uint32_t *s = mt->state;
    seed_word(mt, 19650218u);
    for (size_t k = n > N ? n : N; k; k--) {
        s[i] = (s[i] ^ ((s[i - 1] ^ (s[i - 1] >> 30)) * 1664525u)) + key[j] + (uint32_t)j;
        if (++i >= N) {
            s[0] = s[N - 1];
            i = 1;
        }
        if (++j >= n)
            j = 0;
    }
    for (size_t k = N - 1; k; k--) {
        s[i] = (s[i] ^ ((s[i - 1] ^ (s[i - 1] >> 30)) * 1566083941u)) - (uint32_t)i;
        if (++i >= N) {
            s[0] = s[N - 1];
            i = 1;
        }
    }
    s[0] = 0x80000000u;
}

static void refill(dm_mt19937 *mt)
{
    uint32_t *s = mt->state;
    for (int k = 0; k < N; k++) {
        uint32_t y = (s[k] & 0x80000000u) | (s[(k + 1) % N] & 0x7fffffffu);
        s[k] = s[(k + M) % N] ^ (y >> 1) ^ ((y & 1) ? 0x9908b0dfu : 0);
    }
    mt->index = 0;
}

static uint32_t next(dm_mt19937 *mt)
{
    if (mt->index >= N)
        refill(mt);
    uint32_t y = mt->state[mt->index++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

static double next_double(dm_mt19937 *mt)
{
    uint32_t a = next(mt) >> 5, b = next(mt) >> 6;
    return (a * 67108864.0 + b) / 9007199254740992.0;
}

void dm_pyrandom_seed(dm_pyrandom *r, int64_t seed)
{
    uint64_t v = seed < 0 ? 0 - (uint64_t)seed : (uint64_t)seed;
    uint32_t key[2] = {(uint32_t)v, (uint32_t)(v >> 32)};
    seed_array(&r->mt, key, key[1] ? 2 : 1);
}

double dm_pyrandom_random(dm_pyrandom *r)
{
    return next_double(&r->mt);
}

uint32_t dm_pyrandom_bits(dm_pyrandom *r, int k)
{
    return next(&r->mt) >> (32 - k);
}

size_t dm_pyrandom_below(dm_pyrandom *r, size_t n)
{
    int k = 64 - __builtin_clzll(n);
    uint64_t v;
    do {
        if (k <= 32) {
            v = dm_pyrandom_bits(r, k);
        } else { /* words from the low end, the last one cut */
            v = next(&r->mt);
            v |= (uint64_t)(next(&r->mt) >> (64 - k)) << 32;
        }
    } while (v >= n);
    return v;
}

int64_t dm_pyrandom_randint(dm_pyrandom *r, int64_t low, int64_t high)
{
    return low + (int64_t)dm_pyrandom_below(r, (size_t)(high - low) + 1);
}

void dm_pyrandom_shuffle(dm_pyrandom *r, size_t *items, size_t n)
{
    for (size_t i = n; i-- > 1;) {
        size_t j = dm_pyrandom_below(r, i + 1), x = items[i];
        items[i] = items[j];
        items[j] = x;
    }
}

static void sample_pool(dm_pyrandom *r, size_t n, size_t k, size_t *out)
{
    size_t *pool = dm_alloc_n(n, sizeof *pool);
    for (size_t i = 0; i < n; i++)
        pool[i] = i;
    for (size_t i = 0; i < k; i++) {
        size_t j = dm_pyrandom_below(r, n - i);
        out[i] = pool[j];
        pool[j] = pool[n - i - 1];
    }
    free(pool);
}

static void sample_set(dm_pyrandom *r, size_t n, size_t k, size_t *out)
{
    bool *seen = dm_alloc_n(n, sizeof *seen);
    for (size_t i = 0; i < k; i++) {
        size_t j = dm_pyrandom_below(r, n);
        while (seen[j])
            j = dm_pyrandom_below(r, n);
        seen[j] = true;
        out[i] = j;
    }
    free(seen);
}

void dm_pyrandom_sample(dm_pyrandom *r, size_t n, size_t k, size_t *out)
{
    double set_size = 21;
    if (k > 5)
        set_size += pow(4, ceil(log((double)k * 3) / log(4)));
    if ((double)n <= set_size)
        sample_pool(r, n, k, out);
    else
        sample_set(r, n, k, out);
}

static double sum_to(const double *x, size_t last)
{
    double sum = 0;
    for (size_t i = 0; i <= last; i++)
        sum += x[i];
    return sum;
}

size_t dm_pyrandom_choices(dm_pyrandom *r, const double *weights, size_t n)
{
    double u = next_double(&r->mt) * sum_to(weights, n - 1);
    size_t low = 0, high = n - 1;
    while (low < high) { /* bisect_right: with weights below 0 the running sums do not ascend */
        size_t middle = (low + high) / 2;
        if (u < sum_to(weights, middle))
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

void dm_nprandom_seed(dm_nprandom *r, uint32_t seed)
{
    seed_word(&r->mt, seed);
}

double dm_nprandom_double(dm_nprandom *r)
{
    return next_double(&r->mt);
}

/* SplitMix64's finaliser (Steele, Lea, Flood 2014), three rounds over the keys. */
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t dm_draw(uint64_t seed, uint64_t stream, uint64_t counter)
{
    uint64_t h = mix(seed + 0x9e3779b97f4a7c15u);
    h = mix(h ^ (stream + 0xd1b54a32d192ed03u));
    return mix(h + counter * 0x9e3779b97f4a7c15u);
}

double dm_draw_double(uint64_t seed, uint64_t stream, uint64_t counter)
{
    return (double)(dm_draw(seed, stream, counter) >> 11) / 9007199254740992.0;
}
