#include "base/table.h"
#include "base/mem.h"

#include <stdlib.h>

static struct dm_slot *find_slot(const dm_table *t, const dm_hash *key)
{
    uint64_t h = dm_hash_u64(key);
    size_t i = (h >> 32) & (t->cap - 1);
    while (t->slots[i].value && (t->slots[i].start != (uint32_t)h ||
                                 !dm_hash_eq(t->key_of(t->owner, t->slots[i].value - 1), key)))
        i = (i + 1) & (t->cap - 1);
    return &t->slots[i];
}

bool dm_table_get(const dm_table *t, const dm_hash *key, uint32_t *value)
{
    if (t->cap == 0)
        return false;
    const struct dm_slot *s = find_slot(t, key);
    if (!s->value)
        return false;
    *value = s->value - 1;
    return true;
}

void dm_table_put(dm_table *t, uint32_t value)
{
    if (3 * (t->n + 1) > 2 * t->cap) {
        dm_table bigger = *t;
        bigger.cap = t->cap ? 2 * t->cap : 64;
        bigger.slots = dm_alloc_n(bigger.cap, sizeof *bigger.slots);
        for (size_t i = 0; i < t->cap; i++)
            if (t->slots[i].value)
                *find_slot(&bigger, t->key_of(t->owner, t->slots[i].value - 1)) = t->slots[i];
        free(t->slots);
        *t = bigger;
    }
    const dm_hash *key = t->key_of(t->owner, value);
    *find_slot(t, key) = (struct dm_slot){(uint32_t)dm_hash_u64(key), value + 1};
    t->n++;
}

void dm_table_free(dm_table *t)
{
    free(t->slots);
}
