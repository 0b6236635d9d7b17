/* Answers across runs, on the coordinator's side: a worker asks by key before it calls a model; it
 * is told the answer, or that it is not known and the call is its own to make. Who asks for what is
 * being asked already waits for that answer, so equal requests are made once in a run. */
#include "pool/inside.h"

#include <stdlib.h>

static void tell(dm_pool *p, int worker, int64_t task, dm_str content, bool truncated)
{
    dm_peer *peer = &p->peers[worker];
    if (!peer->lost)
        dm_wire_add_found(&peer->found, &(dm_wire_found){task, content, truncated});
}

static dm_asked *being_asked(dm_pool *p, const dm_hash *key)
{
    for (size_t i = 0; i < p->n_asked; i++)
        if (dm_hash_eq(&p->asked[i].key, key))
            return &p->asked[i];
    return NULL;
}

static void wait_for(dm_pool *p, dm_asked *asked, int worker, int64_t task)
{
    dm_asker *w = dm_arena_alloc(p->arena, sizeof *w), **end = &asked->waiting;
    *w = (dm_asker){NULL, worker, task};
    while (*end)
        end = &(*end)->next;
    *end = w;
}

void dm_known_find(dm_pool *p, int worker, int64_t task, const dm_hash *key)
{
    dm_str content = {NULL, 0};
    bool truncated = false;
    if (!p->setup->cache)
        return;
    dm_arena *a = dm_arena_new(4096);
    dm_asked *asked = being_asked(p, key);
    if (dm_cache_get(p->setup->cache, key, a, &content, &truncated)) {
        tell(p, worker, task, content, truncated);
    } else if (p->setup->offline) {
        dm_pool_fail(
            p, DM_E_MODEL,
            "--offline: the cache does not know an answer that is needed (example %s); run "
            "without --offline to ask the model",
            (uint32_t)task < p->n_cells ? p->cells[(uint32_t)task]->example->id : "?");
    } else if (asked) {
        wait_for(p, asked, worker, task);
    } else {
        p->asked = dm_room(p->asked, p->n_asked, &p->cap_asked, sizeof *p->asked);
        p->asked[p->n_asked++] = (dm_asked){*key, worker, NULL};
        tell(p, worker, task, (dm_str){NULL, 0}, false);
    }
    dm_arena_free(a);
}

/* The next of those who wait makes the call; the others go on waiting. */
static void pass_on(dm_pool *p, dm_asked *asked)
{
    while (asked->waiting && p->peers[asked->waiting->worker].lost)
        asked->waiting = asked->waiting->next;
    if (!asked->waiting) {
        *asked = p->asked[--p->n_asked];
        return;
    }
    dm_asker *next = asked->waiting;
    asked->worker = next->worker;
    asked->waiting = next->next;
    tell(p, next->worker, next->task, (dm_str){NULL, 0}, false);
}

void dm_known_keep(dm_pool *p, const dm_hash *key, dm_str content, bool truncated)
{
    if (!p->setup->cache)
        return;
    dm_asked *asked = being_asked(p, key);
    if (content.p) {
        dm_cache_put(p->setup->cache, key, content, truncated);
        for (dm_asker *w = asked ? asked->waiting : NULL; w; w = w->next)
            tell(p, w->worker, w->task, content, truncated);
        if (asked)
            *asked = p->asked[--p->n_asked];
    } else if (asked) {
        pass_on(p, asked);
    }
}

void dm_known_lost(dm_pool *p, int worker)
{
    for (size_t i = p->n_asked; i-- > 0;)
        if (p->asked[i].worker == worker)
            pass_on(p, &p->asked[i]);
}

void dm_known_send(dm_pool *p)
{
    if (!p->setup->cache)
        return;
    for (int w = 0; w < p->link->n_workers; w++) {
        dm_peer *peer = &p->peers[w];
        if (peer->found.n == 0)
            continue;
        dm_buf msg;
        dm_wire_put_found(&msg, &peer->found);
        p->link->ops->send(p->link, w, &msg);
    }
    dm_cache_flush(p->setup->cache);
}

void dm_known_free(dm_pool *p)
{
    free(p->asked);
}
