#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void (*nomem)(void) = abort;

void dm_set_nomem(void (*handler)(void))
{
    nomem = handler;
}

static void *must(void *p)
{
    if (!p) {
        nomem();
        abort();
    }
    return p;
}

static size_t product(size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        must(NULL);
    return bytes;
}

void *dm_alloc(size_t size)
{
    return must(calloc(1, size ? size : 1));
}

void *dm_alloc_n(size_t n, size_t size)
{
    return dm_alloc(product(n, size));
}

void *dm_grow(void *p, size_t n, size_t size)
{
    size_t bytes = product(n, size);
    return must(realloc(p, bytes ? bytes : 1));
}

void *dm_room(void *p, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return p;
    *cap = *cap ? 2 * *cap : 64;
    return dm_grow(p, *cap, size);
}

void *dm_copy_bytes(const void *p, size_t n)
{
    char *copy = must(malloc(n + 1));
    if (n)
        memcpy(copy, p, n);
    copy[n] = 0;
    return copy;
}

char *dm_copy_string(const char *s)
{
    return dm_copy_bytes(s, strlen(s));
}

/* ---- arena ---- */

typedef struct block {
    struct block *next;
    size_t size, used;
    double bytes[];
} block;

struct dm_arena {
    block *blocks; /* the newest first */
    size_t block_size;
};

#define ALIGN sizeof(double)

dm_arena *dm_arena_new(size_t block_size)
{
    dm_arena *a = dm_alloc(sizeof *a);
    a->block_size = block_size ? block_size : 65536;
    return a;
}

static void free_blocks(block *b)
{
    while (b) {
        block *next = b->next;
        free(b);
        b = next;
    }
}

void dm_arena_free(dm_arena *a)
{
    if (!a)
        return;
    free_blocks(a->blocks);
    free(a);
}

void dm_arena_reset(dm_arena *a)
{
    if (!a->blocks)
        return;
    block *keep = a->blocks;
    free_blocks(keep->next);
    keep->next = NULL;
    keep->used = 0;
    if (keep->size > 4 * a->block_size) { /* a big one for a big request is not worth keeping */
        free(keep);
        a->blocks = NULL;
    }
}

/* Not zeroed. */
static void *take(dm_arena *a, size_t size)
{
    if (size > SIZE_MAX / 2)
        must(NULL);
    size_t n = (size + ALIGN - 1) / ALIGN * ALIGN;
    block *b = a->blocks;
    if (!b || b->size - b->used < n) {
        size_t room = n > a->block_size ? n : a->block_size;
        block *fresh = must(malloc(sizeof *fresh + room));
        fresh->size = room;
        fresh->used = 0;
        if (b &&
            n > a->block_size / 2) { /* a big one goes behind, the current block stays in use */
            fresh->next = b->next;
            b->next = fresh;
        } else {
            fresh->next = b;
            a->blocks = fresh;
        }
        b = fresh;
    }
    void *p = (char *)b->bytes + b->used;
    b->used += n;
    return p;
}

void *dm_arena_alloc(dm_arena *a, size_t size)
{
    return memset(take(a, size), 0, size);
}

void *dm_arena_alloc_n(dm_arena *a, size_t n, size_t size)
{
    return dm_arena_alloc(a, product(n, size));
}

void *dm_arena_room(dm_arena *a, void *p, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return p;
    *cap = *cap ? 2 * *cap : 2;
    void *more = dm_arena_alloc_n(a, *cap, size);
    if (n)
        memcpy(more, p, n * size);
    return more;
}

char *dm_arena_string(dm_arena *a, const char *s, size_t n)
{
    char *copy = take(a, n + 1);
    if (n)
        memcpy(copy, s, n);
    copy[n] = 0;
    return copy;
}

char *dm_arena_printf(dm_arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *text = dm_arena_alloc(a, (size_t)(n < 0 ? 0 : n) + 1);
    va_start(ap, fmt);
    vsnprintf(text, (size_t)(n < 0 ? 0 : n) + 1, fmt, ap);
    va_end(ap);
    return text;
}
