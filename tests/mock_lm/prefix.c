#include "prefix.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN 4 /* bytes */

static struct mock_block *slot(struct mock_block *blocks, size_t cap, uint64_t hash)
{
    size_t k = hash & (cap - 1);
    while (blocks[k].hash && blocks[k].hash != hash)
        k = (k + 1) & (cap - 1);
    return &blocks[k];
}

static struct mock_block *find(mock_prefixes *p, uint64_t hash)
{
    if (2 * (p->n + 1) > p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 1024;
        struct mock_block *bigger = dm_alloc_n(cap, sizeof *bigger);
        for (size_t i = 0; i < p->cap; i++)
            if (p->blocks[i].hash)
                *slot(bigger, cap, p->blocks[i].hash) = p->blocks[i];
        free(p->blocks);
        p->blocks = bigger;
        p->cap = cap;
    }
    return slot(p->blocks, p->cap, hash);
}

typedef struct reading {
    mock_prefixes *prefixes;
    double now, begins;
    uint64_t hash;
    size_t bytes;
    size_t cached, possible; /* blocks */
    bool all_known, all_seen;
} reading;

static void end_block(reading *r)
{
    mock_prefixes *p = r->prefixes;
    struct mock_block *b = find(p, r->hash | 1);
    bool seen = b->hash != 0;
    r->all_seen &= seen;
    r->all_known &= seen && b->known <= r->now;
    r->possible += r->all_seen;
    r->cached += r->all_known;
    b->known = seen ? fmin(b->known, r->begins) : r->begins;
    b->hash = r->hash | 1;
    p->n += !seen;
}

/* FNV-1a, over all that was read so far; a message ends with a zero. */
static void read_message(reading *r, const char *text)
{
    size_t block = (size_t)r->prefixes->block * TOKEN, n = strlen(text) + 1;
    for (size_t i = 0; i < n; i++) {
        r->hash = (r->hash ^ (unsigned char)text[i]) * 0x100000001b3u;
        if (++r->bytes % block == 0)
            end_block(r);
    }
}

size_t mock_prefix_read(mock_prefixes *p, const mock_request *request, double now, double begins,
                        size_t *possible)
{
    reading r = {.prefixes = p,
                 .now = now,
                 .begins = begins,
                 .hash = 0xcbf29ce484222325u,
                 .all_known = true,
                 .all_seen = true};
    *possible = 0;
    if (p->block <= 0)
        return 0;
    read_message(&r, request->model);
    read_message(&r, request->system);
    for (size_t i = 0; i < request->n_demos; i++) {
        read_message(&r, request->demo_users[i]);
        read_message(&r, request->demo_answers[i]);
    }
    read_message(&r, request->user);
    size_t cached = r.cached * (size_t)p->block, least = (size_t)p->least;
    *possible = r.possible * (size_t)p->block;
    *possible = *possible >= least ? *possible : 0;
    return cached >= least ? cached : 0;
}

void mock_prefixes_free(mock_prefixes *p)
{
    free(p->blocks);
    p->blocks = NULL;
    p->n = p->cap = 0;
}
