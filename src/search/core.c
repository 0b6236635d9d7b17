#include "search/core.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

dm_stream dm_stream_of(uint64_t seed, int purpose, uint64_t index)
{
    return (dm_stream){seed, dm_draw((uint64_t)purpose, index, 0), 0};
}

double dm_stream_uniform(dm_stream *r)
{
    uint64_t h = dm_draw(r->seed, r->stream, r->counter++);
    return ((double)(h >> 11) + 0.5) * 0x1p-53;
}

double dm_stream_normal(dm_stream *r) /* Box and Muller, the cosine half */
{
    double u = dm_stream_uniform(r), v = dm_stream_uniform(r);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

size_t dm_stream_below(dm_stream *r, size_t n)
{
    size_t k = (size_t)(dm_stream_uniform(r) * (double)n);
    return k < n ? k : n - 1;
}

void dm_stream_shuffle(dm_stream *r, size_t *items, size_t n)
{
    for (size_t i = n; i-- > 1;) {
        size_t j = dm_stream_below(r, i + 1), x = items[i];
        items[i] = items[j];
        items[j] = x;
    }
}

static uint64_t hash_of(const dm_search *s, const uint16_t *x)
{
    uint64_t h = s->o.n_slots;
    for (size_t i = 0; i < s->o.n_slots; i++)
        h = dm_draw(h, 0, x[i]);
    return h;
}

static bool is_arm(const void *owner, uint32_t number, const void *x)
{
    const dm_search *s = owner;
    return memcmp(s->arms[number].x, x, s->o.n_slots * sizeof(uint16_t)) == 0;
}

static void bar_leaks(const dm_search *s, dm_arm *a)
{
    size_t words = (s->o.n_examples + 63) / 64;
    for (size_t i = 0; i < s->o.n_slots; i++) {
        const uint64_t *leak = s->leak[s->offset[i] + a->x[i]];
        for (size_t w = 0; leak && w < words; w++)
            a->taken[w] |= leak[w];
    }
    for (size_t w = 0; w < words; w++)
        a->barred += (size_t)__builtin_popcountll(a->taken[w]);
}

size_t dm_search_arm_apart(dm_search *s, const uint16_t *x)
{
    s->arms = dm_room(s->arms, s->n_arms, &s->cap_arms, sizeof *s->arms);
    size_t words = (s->o.n_examples + 63) / 64;
    dm_arm *a = &s->arms[s->n_arms];
    *a = (dm_arm){.x = dm_copy_bytes(x, s->o.n_slots * sizeof *x),
                  .taken = dm_alloc_n(words, sizeof(uint64_t)),
                  .scored = dm_alloc_n(words, sizeof(uint64_t))};
    bar_leaks(s, a);
    return s->n_arms++;
}

size_t dm_search_arm(dm_search *s, const uint16_t *x)
{
    uint64_t hash = hash_of(s, x);
    uint32_t number;
    if (dm_index_get(&s->index, hash, is_arm, s, x, &number))
        return number;
    dm_index_put(&s->index, hash, (uint32_t)s->n_arms);
    return dm_search_arm_apart(s, x);
}

static void put(dm_unit *u, size_t example)
{
    u->examples = dm_grow(u->examples, u->u.n + 1, sizeof *u->examples);
    u->examples[u->u.n++] = example;
}

void dm_search_take(dm_search *s, dm_unit *u, size_t example)
{
    dm_arm *a = &s->arms[u->u.candidate];
    dm_set_bit(a->taken, example);
    a->issued++;
    s->issued++;
    put(u, example);
}

void dm_search_repeat(dm_search *s, dm_unit *u, size_t example)
{
    dm_arm *a = &s->arms[u->u.candidate];
    if (!dm_bit(a->taken, example)) {
        dm_search_take(s, u, example);
        return;
    }
    s->issued++;
    put(u, example);
}

void dm_search_random(const dm_search *s, dm_stream *r, uint16_t *x)
{
    for (size_t i = 0; i < s->o.n_slots; i++)
        do
            x[i] = (uint16_t)dm_stream_below(r, s->o.levels[i]);
        while (s->dropped[s->offset[i] + x[i]]);
}

double dm_search_space(const dm_search *s)
{
    double n = 1;
    for (size_t i = 0; i < s->o.n_slots; i++) {
        size_t levels = 0;
        for (size_t l = s->offset[i]; l < s->offset[i + 1]; l++)
            levels += !s->dropped[l];
        n *= (double)levels;
    }
    return n;
}

double dm_search_raw(const dm_arm *a)
{
    double sum = 0;
    for (size_t k = 0; k < a->known; k++)
        sum += a->score[k];
    return a->known ? sum / (double)a->known : NAN;
}

void dm_search_estimate_of(const dm_search *s, size_t candidate, dm_search_estimate *e)
{
    const dm_arm *a = &s->arms[candidate];
    double raw = dm_search_raw(a), n = (double)a->known, square = 0;
    for (size_t k = 0; k < a->known; k++)
        square += (a->score[k] - raw) * (a->score[k] - raw);
    *e = (dm_search_estimate){.candidate = candidate,
                              .levels = a->x,
                              .known = a->known,
                              .raw = raw,
                              .mean = raw,
                              .error = a->known > 1 ? sqrt(square / (n - 1) / n) : NAN,
                              .logit = NAN,
                              .logit_error = NAN,
                              .complete = a->told + a->barred >= s->o.n_examples &&
                                          dm_search_left(s, candidate) == 0};
    if (s->method->estimate)
        s->method->estimate(s, e);
}
