/* Requests by their keys, and what they came to. An answer's text stays in the journal, so that a
 * key costs about 100 bytes here, whatever was said. */
#include "pool/inside.h"

#include <math.h>

/* ---- keys ---- */

static const dm_lm_config *config_of(const dm_pool *p, uint32_t state)
{
    return p->models[p->states[state].model].config;
}

/* What earlier attempts of the job spent on it, and whether they got an answer. */
void dm_key_recall(dm_pool *p, uint32_t key)
{
    dm_key *k = &p->keys[key];
    dm_str bytes;
    for (size_t i = 0; (bytes = dm_replay_answer(p->setup->replay, &k->hash, i)).p; i++) {
        dm_record rec;
        dm_answer a;
        if (dm_open_answer(&rec, bytes, &a, NULL)) {
            if (a.usage.requests > 0)
                dm_budget_before(p, (dm_role)k->role, k->cost, &a.usage,
                                 dm_replay_place(p->setup->replay));
            if (a.final)
                k->phase = DM_KEY_KNOWN;
        }
        dm_record_free(&rec);
    }
    if (k->phase == DM_KEY_KNOWN)
        k->kept = DM_KEPT_REPLAY;
}

uint32_t dm_key_of_record(dm_pool *p, uint32_t state, const dm_hash *key)
{
    uint32_t number;
    if (dm_table_get(&p->key_table, key, &number))
        return number;
    p->keys = dm_room(p->keys, p->n_keys, &p->cap_keys, sizeof *p->keys);
    number = (uint32_t)p->n_keys++;
    p->keys[number] =
        (dm_key){.hash = *key, .cost = p->n_costs++, .role = (uint8_t)p->states[state].work.role};
    dm_table_put(&p->key_table, number);
    if (p->setup->replay)
        dm_key_recall(p, number);
    return number;
}

uint32_t dm_key_of(dm_pool *p, const dm_cell *c, uint32_t state, const dm_hash *key)
{
    dm_hash own = *key;
    const dm_lm_config *config = config_of(p, state);
    if (config && !config->cache) { /* it is no other cell's */
        dm_sha256 s;
        dm_sha256_init(&s);
        dm_sha256_add(&s, c->key.b, sizeof c->key.b);
        dm_sha256_add(&s, key->b, sizeof key->b);
        own = dm_sha256_end(&s);
    }
    return dm_key_of_record(p, state, &own);
}

dm_tries *dm_key_tries(dm_pool *p, uint32_t key)
{
    dm_key *k = &p->keys[key];
    if (!k->tries)
        k->tries = dm_arena_alloc(p->arena, sizeof *k->tries);
    return k->tries;
}

/* ---- answers ---- */

void dm_key_keep(dm_pool *p, const dm_cell *by, uint32_t key, const dm_answer *a)
{
    dm_key *k = &p->keys[key];
    k->phase = DM_KEY_KNOWN;
    if (p->setup->journal) {
        k->kept = DM_KEPT_JOURNAL;
        k->u.at = dm_journal_next(p->setup->journal);
        dm_journal_answer(p, by, &k->hash, a);
        return;
    }
    dm_answer *copy = dm_arena_alloc(p->arena, sizeof *copy);
    *copy = *a;
    copy->content.p = dm_arena_string(p->arena, a->content.p, a->content.n);
    k->kept = DM_KEPT_HERE;
    k->u.here = copy;
}

static bool open_final(dm_str bytes, dm_arena *arena, dm_answer *a)
{
    dm_record rec;
    bool ok = dm_open_answer(&rec, bytes, a, NULL) && a->final && a->content.p;
    if (ok)
        a->content.p = dm_arena_string(arena, a->content.p, a->content.n);
    dm_record_free(&rec);
    return ok;
}

static bool find_final(dm_replay *replay, const dm_hash *key, dm_arena *arena, dm_answer *a)
{
    dm_str bytes;
    for (size_t i = 0; (bytes = dm_replay_answer(replay, key, i)).p; i++)
        if (open_final(bytes, arena, a))
            return true;
    return false;
}

bool dm_key_read(const dm_pool *p, uint32_t key, dm_arena *arena, dm_answer *a)
{
    const dm_key *k = &p->keys[key];
    dm_str payload, bytes;
    dm_hash found;
    switch ((dm_kept)k->kept) {
    case DM_KEPT_HERE:
        *a = *k->u.here;
        return true;
    case DM_KEPT_REPLAY:
        return find_final(p->setup->replay, &k->hash, arena, a);
    case DM_KEPT_JOURNAL:
        break;
    }
    return dm_journal_read(p->setup->journal, k->u.at, arena, &payload) &&
           dm_journal_cell_read(payload, &found, &bytes) && dm_hash_eq(&found, &k->hash) &&
           open_final(bytes, arena, a);
}

void dm_key_look_elsewhere(dm_pool *p, const dm_cell *c, uint32_t key)
{
    const dm_hash *hash = &p->keys[key].hash;
    dm_answer a = {.final = true};
    const dm_lm_config *config = config_of(p, c->state);
    if (!config || !config->cache || (!p->setup->cache && !p->setup->earlier))
        return;
    dm_arena *arena = dm_arena_new(4096);
    dm_hash there = dm_lm_key_at_servers(config, hash);
    if (p->setup->cache && dm_cache_get(p->setup->cache, &there, arena, &a.content, &a.truncated)) {
        dm_key_keep(p, c, key, &a);
    } else if (p->setup->earlier && find_final(p->setup->earlier, hash, arena, &a) &&
               a.fault == DM_FAULT_NONE) {
        a.usage = (dm_usage){0};
        dm_key_keep(p, c, key, &a);
    }
    dm_arena_free(arena);
}

void dm_key_share(dm_pool *p, const dm_cell *c, uint32_t key, const dm_answer *a)
{
    const dm_lm_config *config = config_of(p, c->state);
    if (!p->setup->cache || !config || !config->cache)
        return;
    dm_hash there = dm_lm_key_at_servers(config, &p->keys[key].hash);
    dm_cache_put(p->setup->cache, &there, a->content, a->truncated);
}
