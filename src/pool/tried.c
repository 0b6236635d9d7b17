/* Candidates as they are scored, for people: it decides nothing. */
#include "pool/inside.h"

#include <math.h>

typedef struct place {
    const void *who;
    size_t number;
} place;

static bool is_row(const void *owner, uint32_t value, const void *key)
{
    const dm_pool *p = owner;
    const place *k = key;
    const dm_tried *t = &p->trials.rows[value]->what;
    return t->who == k->who && t->number == k->number;
}

static uint64_t hash_of(const place *k)
{
    return ((uint64_t)(uintptr_t)k->who ^ ((uint64_t)k->number << 20)) * 0x9E3779B97F4A7C15u;
}

static dm_tried_row *find_row(const dm_pool *p, const void *who, size_t number)
{
    place k = {who, number};
    uint32_t i;
    return dm_index_get(&p->trials.index, hash_of(&k), is_row, p, &k, &i) ? p->trials.rows[i]
                                                                          : NULL;
}

static dm_tried_row *make_row(dm_pool *p, const dm_tried *t)
{
    place k = {t->who, t->number};
    dm_tried_row *row = dm_arena_alloc(p->arena, sizeof *row);
    row->what = *t;
    row->what.name = dm_arena_printf(p->arena, "%s", t->name);
    if (t->levels)
        row->what.levels = dm_arena_printf(p->arena, "%s", t->levels);
    p->trials.rows = dm_room(p->trials.rows, p->trials.n, &p->trials.cap, sizeof(dm_tried_row *));
    p->trials.rows[p->trials.n] = row;
    dm_index_put(&p->trials.index, hash_of(&k), (uint32_t)p->trials.n++);
    return row;
}

void dm_tally_add(dm_tally *t, const dm_result *r, const dm_result *against)
{
    t->failed += r->fault != DM_FAULT_NONE;
    t->fallback += r->fallback;
    t->truncated += r->truncated;
    t->parse += r->fault == DM_FAULT_PARSE;
    t->refused += r->refused;
    if (!dm_counts_against(r, against))
        return;
    t->n++;
    t->sum += r->score;
    t->squares += r->score * r->score;
    t->graded |= r->score != 0 && r->score != 1;
    t->beyond |= r->score < 0 || r->score > 1;
}

void dm_pool_tried(dm_pool *p, const dm_tried *t, const dm_result *r, size_t n,
                   const dm_result *against, const size_t *rows)
{
    dm_tried_row *row = find_row(p, t->who, t->number);
    if (!row)
        row = make_row(p, t);
    row->what.candidate = t->candidate;
    for (size_t i = 0; i < n; i++)
        dm_tally_add(&row->tally, &r[i], against ? &against[rows ? rows[i] : i] : NULL);
    row->calls = p->usage.requests;
    row->seconds = p->link->ops->now(p->link) - p->began;
    if (p->trials.news)
        p->trials.news(p->trials.user, NULL, NULL, 0, row);
}

void dm_pool_best(dm_pool *p, const void *who, size_t number, double score)
{
    dm_tried_row *row = who ? find_row(p, who, number) : NULL;
    for (size_t i = 0; row && !row->best && i < p->trials.n; i++)
        if (p->trials.rows[i]->what.who == who)
            p->trials.rows[i]->best = false;
    if (row)
        row->best = true;
    p->has_best = !isnan(score);
    p->best = score;
    p->trials.leader = row;
}

void dm_pool_on_news(dm_pool *p,
                     void (*fn)(void *user, const char *part, const char *phase, size_t total,
                                const dm_tried_row *row),
                     void *user)
{
    p->trials.news = fn;
    p->trials.user = user;
}
