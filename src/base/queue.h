/* A growing queue of numbers, first in first out. {0} is an empty one. */
#ifndef DM_BASE_QUEUE_H
#define DM_BASE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct dm_queue {
    uint32_t *items; /* [cap] a ring: those from head to tail, each at its number modulo cap */
    size_t head, tail, cap;
} dm_queue;

void dm_queue_push(dm_queue *q, uint32_t item);
bool dm_queue_pop(dm_queue *q, uint32_t *item); /* false: there is none */
void dm_queue_free(dm_queue *q);

static inline size_t dm_queue_length(const dm_queue *q)
{
    return q->tail - q->head;
}
/* The i-th of them, i < length. */
static inline uint32_t dm_queue_at(const dm_queue *q, size_t i)
{
    return q->items[(q->head + i) % q->cap];
}

#endif
