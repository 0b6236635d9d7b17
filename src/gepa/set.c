/* The order of CPython's sets of small whole numbers (A.11): a table of 8 slots, a number's hash is
 * itself, nine more slots are looked at before the hash is perturbed. */
#include "gepa/inside.h"

#include <string.h>

enum { FIRST_SIZE = 8, PROBES = 9 };

dm_gepa_set dm_gepa_set_new(dm_arena *a)
{
    return (dm_gepa_set){dm_arena_alloc_n(a, FIRST_SIZE, sizeof(size_t)), FIRST_SIZE, 0};
}

/* The slot that holds x, or the free one where it goes. */
static size_t *slot_of(const dm_gepa_set *s, size_t x)
{
    size_t mask = s->size - 1, i = x & mask, perturb = x;
    for (;;) {
        size_t last = i + PROBES <= mask ? i + PROBES : i;
        for (size_t k = i; k <= last; k++)
            if (s->slots[k] == 0 || s->slots[k] == x + 1)
                return &s->slots[k];
        perturb >>= 5;
        i = (i * 5 + 1 + perturb) & mask;
    }
}

static void put_all(dm_gepa_set *to, const size_t *slots, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (slots[i])
            *slot_of(to, slots[i] - 1) = slots[i];
}

/* The smallest power of two above least, from 8 on. */
static void resize(dm_arena *a, dm_gepa_set *s, size_t least)
{
    dm_gepa_set old = *s;
    for (s->size = FIRST_SIZE; s->size <= least;)
        s->size <<= 1;
    s->slots = dm_arena_alloc_n(a, s->size, sizeof *s->slots);
    put_all(s, old.slots, old.size);
}

void dm_gepa_set_add(dm_arena *a, dm_gepa_set *s, size_t x)
{
    size_t *slot = slot_of(s, x);
    if (*slot)
        return;
    *slot = x + 1;
    s->n++;
    if (s->n * 5 >= (s->size - 1) * 3)
        resize(a, s, s->n * 4);
}

bool dm_gepa_set_has(const dm_gepa_set *s, size_t x)
{
    return *slot_of(s, x) != 0;
}

dm_gepa_set dm_gepa_set_copy(dm_arena *a, const dm_gepa_set *s)
{
    dm_gepa_set c = dm_gepa_set_new(a);
    if (s->n * 5 >= (FIRST_SIZE - 1) * 3)
        resize(a, &c, s->n * 2);
    if (c.size == s->size)
        memcpy(c.slots, s->slots, s->size * sizeof *s->slots);
    else
        put_all(&c, s->slots, s->size);
    c.n = s->n;
    return c;
}

dm_gepa_set dm_gepa_set_meet(dm_arena *a, const dm_gepa_set *x, const dm_gepa_set *y)
{
    const dm_gepa_set *small = y->n > x->n ? x : y, *big = small == x ? y : x;
    dm_gepa_set both = dm_gepa_set_new(a);
    for (size_t i = 0; i < small->size; i++)
        if (small->slots[i] && dm_gepa_set_has(big, small->slots[i] - 1))
            dm_gepa_set_add(a, &both, small->slots[i] - 1);
    return both;
}

const size_t *dm_gepa_set_items(dm_arena *a, const dm_gepa_set *s)
{
    size_t *items = dm_arena_alloc_n(a, s->n, sizeof *items), n = 0;
    for (size_t i = 0; i < s->size; i++)
        if (s->slots[i])
            items[n++] = s->slots[i] - 1;
    return items;
}
