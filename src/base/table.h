/* A hash table from content keys to numbers; the keys stay with their owner. {key_of, owner} is an
 * empty one. */
#ifndef DM_BASE_TABLE_H
#define DM_BASE_TABLE_H

#include "base/hash.h"

typedef struct dm_table {
    const dm_hash *(*key_of)(const void *owner, uint32_t value);
    const void *owner;
    struct dm_slot {
        uint32_t start; /* of the key: tells most others without a look at them */
        uint32_t value; /* number + 1; 0: free */
    } * slots;
    size_t n, cap;
} dm_table;

bool dm_table_get(const dm_table *t, const dm_hash *key, uint32_t *value);
void dm_table_put(dm_table *t, uint32_t value); /* its key is not in the table yet */
void dm_table_free(dm_table *t);

#endif
