/* Runs of texts on rows, and which of them are kept. The package keeps none. With its
 * cache_evaluation (A.10) it keeps scores by the number of the row, whichever set the row is in.
 * When wide, all runs are kept. */
#include "gepa/inside.h"

#include <math.h>
#include <stdlib.h>

static dm_gepa_known *known_of(dm_gepa *g, const dm_str *texts)
{
    for (size_t k = 0; k < g->n_known; k++)
        if (dm_gepa_same_texts(g, g->known[k].texts, texts))
            return &g->known[k];
    g->known = dm_arena_room(g->arena, g->known, g->n_known, &g->cap_known, sizeof *g->known);
    dm_gepa_known *k = &g->known[g->n_known++];
    *k = (dm_gepa_known){.texts = texts};
    return k;
}

/* Where the row is, or the free place for it; size is a power of two. */
static uint32_t *place_of(const dm_gepa_cells *c, size_t row)
{
    size_t i = (size_t)(row * UINT64_C(0x9E3779B97F4A7C15) >> 32) & (c->size - 1);
    while (c->places[i] && c->all[c->places[i] - 1].row != row)
        i = (i + 1) & (c->size - 1);
    return &c->places[i];
}

static dm_gepa_run *find(const dm_gepa_cells *c, size_t row)
{
    uint32_t at = c->n ? *place_of(c, row) : 0;
    return at ? &c->all[at - 1].run : NULL;
}

static dm_gepa_run *find_or_add(dm_gepa *g, dm_gepa_cells *c, size_t row)
{
    dm_gepa_run *run = find(c, row);
    if (run)
        return run;
    c->all = dm_arena_room(g->arena, c->all, c->n, &c->cap, sizeof *c->all);
    if (2 * (c->n + 1) > c->size) {
        c->size = c->size ? 2 * c->size : 16;
        c->places = dm_arena_alloc_n(g->arena, c->size, sizeof *c->places);
        for (size_t i = 0; i < c->n; i++)
            *place_of(c, c->all[i].row) = (uint32_t)i + 1;
    }
    c->all[c->n].row = row;
    *place_of(c, row) = (uint32_t)c->n + 1;
    return &c->all[c->n++].run;
}

static int by_number(const void *x, const void *y)
{
    size_t a = *(const size_t *)x, b = *(const size_t *)y;
    return a < b ? -1 : a > b;
}

const size_t *dm_gepa_known_failures(dm_gepa *g, const dm_str *texts, size_t *n)
{
    const dm_gepa_cells *c = &known_of(g, texts)->cells[0];
    size_t *rows = dm_arena_alloc_n(g->arena, c->n, sizeof *rows);
    *n = 0;
    for (size_t i = 0; i < c->n; i++)
        if (!c->all[i].run.absent && c->all[i].run.score < g->o->perfect)
            rows[(*n)++] = c->all[i].row;
    qsort(rows, *n, sizeof *rows, by_number);
    return rows;
}

/* Which of the two that known texts have. */
static size_t set_of(const dm_gepa *g, const dm_gepa_batch *b)
{
    return g->o->wide && b->val;
}

static void keep(dm_gepa *g, const dm_gepa_batch *b)
{
    dm_gepa_cells *c = &known_of(g, b->texts)->cells[set_of(g, b)];
    for (size_t i = 0; i < b->n; i++)
        *find_or_add(g, c, b->rows[i]) = b->runs[i];
}

dm_gepa_batch dm_gepa_batch_of(dm_gepa *g, const dm_str *texts, bool val, const size_t *rows,
                               size_t n)
{
    if (!rows) {
        size_t *all = dm_arena_alloc_n(g->arena, g->o->n_val, sizeof *all);
        const dm_gepa_known *k = g->o->cache ? known_of(g, texts) : NULL;
        n = 0;
        for (size_t v = 0; v < g->o->n_val; v++)
            if (!k || !find(&k->cells[0], v))
                all[n++] = v;
        rows = all;
    }
    return (dm_gepa_batch){.texts = texts,
                           .val = val,
                           .rows = rows,
                           .n = n,
                           .runs = dm_arena_alloc_n(g->arena, n, sizeof(dm_gepa_run))};
}

/* What is missing of b, each row once. */
static dm_gepa_batch missing(dm_gepa *g, const dm_gepa_batch *b)
{
    dm_gepa_cells *c = &known_of(g, b->texts)->cells[set_of(g, b)];
    size_t *rows = dm_arena_alloc_n(g->arena, b->n, sizeof *rows), n = 0;
    for (size_t i = 0; i < b->n; i++)
        if (!find(c, b->rows[i])) {
            find_or_add(g, c, b->rows[i]); /* it will be there when it is looked at */
            rows[n++] = b->rows[i];
        }
    return dm_gepa_batch_of(g, b->texts, b->val, rows, n);
}

static dm_status run_missing(dm_gepa *g, dm_gepa_batch *b, size_t n, dm_error *err)
{
    dm_gepa_batch *asked = dm_arena_alloc_n(g->arena, n, sizeof *asked);
    for (size_t k = 0; k < n; k++)
        asked[k] = missing(g, &b[k]);
    dm_status st = g->world->evaluate(g->world->user, asked, n, err);
    for (size_t k = 0; k < n && st == DM_OK; k++)
        keep(g, &asked[k]);
    for (size_t k = 0; k < n && st == DM_OK; k++) {
        const dm_gepa_cells *c = &known_of(g, b[k].texts)->cells[set_of(g, &b[k])];
        b[k].paid = asked[k].n;
        for (size_t i = 0; i < b[k].n; i++)
            b[k].runs[i] = *find(c, b[k].rows[i]);
    }
    return st;
}

dm_status dm_gepa_evaluate(dm_gepa *g, dm_gepa_batch *b, size_t n, dm_error *err)
{
    if (n == 0)
        return DM_OK;
    if (g->o->wide)
        return run_missing(g, b, n, err);
    for (size_t k = 0; k < n; k++)
        b[k].paid = b[k].n;
    return g->world->evaluate(g->world->user, b, n, err);
}

dm_status dm_gepa_evaluate_merge(dm_gepa *g, dm_gepa_batch *b, dm_error *err)
{
    return g->o->cache ? run_missing(g, b, 1, err) : dm_gepa_evaluate(g, b, 1, err);
}

void dm_gepa_keep_scores(dm_gepa *g, const dm_gepa_batch *b)
{
    if (g->o->cache)
        keep(g, b);
}

const double *dm_gepa_validation_scores(dm_gepa *g, const dm_gepa_batch *b)
{
    double *scores = dm_arena_alloc_n(g->arena, g->o->n_val, sizeof *scores);
    dm_gepa_keep_scores(g, b);
    for (size_t v = 0; v < g->o->n_val && g->o->cache; v++)
        scores[v] = find(&known_of(g, b->texts)->cells[0], v)->score;
    for (size_t i = 0; i < b->n; i++)
        scores[b->rows[i]] = g->o->wide && b->runs[i].absent ? NAN : b->runs[i].score;
    return scores;
}
