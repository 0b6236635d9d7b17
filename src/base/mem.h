/* Memory. Running out of it is not handled call by call: what is on disk is whole at any moment, so
 * the process may end. dm_alloc and friends never return NULL; on failure they call the handler
 * that src/cmd sets (default: abort). Sizes are checked for overflow. */
#ifndef DM_BASE_MEM_H
#define DM_BASE_MEM_H

#include <stddef.h>

void dm_set_nomem(void (*handler)(void)); /* must not return */

void *dm_alloc(size_t size);                   /* zeroed; size 0 gives a unique pointer */
void *dm_alloc_n(size_t n, size_t size);       /* zeroed array */
void *dm_grow(void *p, size_t n, size_t size); /* realloc of an array; new part is not zeroed */
/* The array p with room for one more than its n items; *cap, which doubles, is how many fit. */
void *dm_room(void *p, size_t n, size_t *cap, size_t size);
char *dm_copy_string(const char *s);
void *dm_copy_bytes(const void *p, size_t n); /* n + 1 bytes, the last one 0 */

/* An arena: allocations that end together (a job, a candidate, a request). Not thread-safe. */
typedef struct dm_arena dm_arena;

dm_arena *dm_arena_new(size_t block);           /* bytes a block; 0: 64 KiB */
void dm_arena_free(dm_arena *a);                /* NULL is fine */
void dm_arena_reset(dm_arena *a);               /* empties it, keeps one block */
void *dm_arena_alloc(dm_arena *a, size_t size); /* zeroed, aligned for doubles and pointers */
void *dm_arena_alloc_n(dm_arena *a, size_t n, size_t size);
/* As dm_room; what was there before stays in the arena. */
void *dm_arena_room(dm_arena *a, void *p, size_t n, size_t *cap, size_t size);
char *dm_arena_string(dm_arena *a, const char *s, size_t n); /* copy, NUL-terminated */
char *dm_arena_printf(dm_arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
