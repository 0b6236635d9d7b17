/* Hash tables of numbers: open addressing, and what a number stands for stays with its owner. */
#ifndef DM_BASE_TABLE_H
#define DM_BASE_TABLE_H

#include "base/hash.h"

/* From hashes of any keys. {0} is an empty one. */
typedef struct dm_index {
    struct dm_slot {
        uint32_t start; /* of the hash: tells most others without a look at them */
        uint32_t value; /* number + 1; 0: free */
    } * slots;
    size_t n, cap;
} dm_index;

/* Whether it is this number's key. */
typedef bool dm_index_is(const void *owner, uint32_t value, const void *key);
bool dm_index_get(const dm_index *x, uint64_t hash, dm_index_is *is, const void *owner,
                  const void *key, uint32_t *value);
void dm_index_put(dm_index *x, uint64_t hash, uint32_t value); /* its key is not there yet */
void dm_index_free(dm_index *x);

/* From content keys. {.key_of, .owner} is an empty one. */
typedef struct dm_table {
    const dm_hash *(*key_of)(const void *owner, uint32_t value);
    const void *owner;
    dm_index index;
} dm_table;

bool dm_table_get(const dm_table *t, const dm_hash *key, uint32_t *value);
void dm_table_put(dm_table *t, uint32_t value); /* its key is not in the table yet */
void dm_table_free(dm_table *t);

#endif
