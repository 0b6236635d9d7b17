#include "base/queue.h"
#include "base/mem.h"

#include <stdlib.h>

static void make_room(dm_queue *q)
{
    size_t n = dm_queue_length(q);
    if (n < q->cap)
        return;
    size_t cap = q->cap ? 2 * q->cap : 64;
    uint32_t *items = dm_alloc_n(cap, sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = dm_queue_at(q, i);
    free(q->items);
    *q = (dm_queue){items, 0, n, cap};
}

void dm_queue_push(dm_queue *q, uint32_t item)
{
    make_room(q);
    q->items[q->tail++ % q->cap] = item;
}

bool dm_queue_pop(dm_queue *q, uint32_t *item)
{
    if (q->head == q->tail)
        return false;
    *item = q->items[q->head++ % q->cap];
    return true;
}

void dm_queue_free(dm_queue *q)
{
    free(q->items);
}
