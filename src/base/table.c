#include "base/table.h"
#include "base/mem.h"

#include <stdlib.h>

#define SMALLEST 64

static size_t next(const dm_index *x, size_t i)
{
    return (i + 1) & (x->cap - 1);
}

/* Where a search for the hash begins: what of it a slot keeps is enough to grow by. */
static size_t first(const dm_index *x, uint32_t start)
{
    return start & (x->cap - 1);
}

bool dm_index_get(const dm_index *x, uint64_t hash, dm_index_is *is, const void *owner,
                  const void *key, uint32_t *value)
{
    uint32_t start = (uint32_t)(hash >> 32);
    if (x->cap == 0)
        return false;
    for (size_t i = first(x, start); x->slots[i].value; i = next(x, i)) {
        if (x->slots[i].start != start || !is(owner, x->slots[i].value - 1, key))
            continue;
        *value = x->slots[i].value - 1;
        return true;
    }
    return false;
}

static void enter(dm_index *x, struct dm_slot s)
{
    size_t i = first(x, s.start);
    while (x->slots[i].value)
        i = next(x, i);
    x->slots[i] = s;
}

void dm_index_put(dm_index *x, uint64_t hash, uint32_t value)
{
    if (3 * (x->n + 1) > 2 * x->cap) {
        dm_index bigger = *x;
        bigger.cap = x->cap ? 2 * x->cap : SMALLEST;
        bigger.slots = dm_alloc_n(bigger.cap, sizeof *bigger.slots);
        for (size_t i = 0; i < x->cap; i++)
            if (x->slots[i].value)
                enter(&bigger, x->slots[i]);
        free(x->slots);
        *x = bigger;
    }
    enter(x, (struct dm_slot){(uint32_t)(hash >> 32), value + 1});
    x->n++;
}

void dm_index_free(dm_index *x)
{
    free(x->slots);
}

/* ---- by content ---- */

static bool has_key(const void *owner, uint32_t value, const void *key)
{
    const dm_table *t = owner;
    return dm_hash_eq(t->key_of(t->owner, value), key);
}

bool dm_table_get(const dm_table *t, const dm_hash *key, uint32_t *value)
{
    return dm_index_get(&t->index, dm_hash_u64(key), has_key, t, key, value);
}

void dm_table_put(dm_table *t, uint32_t value)
{
    dm_index_put(&t->index, dm_hash_u64(t->key_of(t->owner, value)), value);
}

void dm_table_free(dm_table *t)
{
    dm_index_free(&t->index);
}
