/* Minibatches: slices of the training set in an order that is shuffled again in each epoch
 * (A.4). */
#include "gepa/inside.h"

#include <string.h>

/* Pads to a multiple of b with the row that is there the fewest times; of several, the one that
 * is latest in the shuffled order. */
static void pad(dm_gepa_sampler *s, size_t *times)
{
    for (; s->length % s->b; s->length++) {
        size_t pick = 0;
        for (size_t i = 1; i < s->n; i++)
            pick = times[i] <= times[pick] ? i : pick;
        times[pick]++;
        s->shuffled[s->length] = s->shuffled[pick];
    }
}

static void shuffle(dm_arena *a, dm_gepa_sampler *s, dm_pyrandom *stream)
{
    size_t *times = dm_arena_alloc_n(a, s->n, sizeof *times);
    s->shuffled = dm_arena_alloc_n(a, s->n + s->b, sizeof *s->shuffled);
    for (size_t i = 0; i < s->n; i++)
        s->shuffled[i] = i;
    dm_pyrandom_shuffle(stream, s->shuffled, s->n);
    s->length = s->n;
    pad(s, times);
}

const size_t *dm_gepa_minibatch(dm_arena *a, dm_gepa_sampler *s, dm_pyrandom *stream,
                                size_t iteration)
{
    s->nth = s->begun && iteration == s->iteration ? s->nth + 1 : 0;
    s->begun = true;
    s->iteration = iteration;
    size_t base = iteration * s->b, epoch = s->shuffled ? base / s->length : 0;
    if (!s->shuffled || epoch > s->epoch) {
        s->epoch = epoch;
        shuffle(a, s, stream);
    }
    return s->shuffled + (base + s->nth * s->b) % s->length;
}
