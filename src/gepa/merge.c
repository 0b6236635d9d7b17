/* Merge: two undominated candidates with a common ancestor, each component from the one that has
 * changed it (A.7). */
#include "gepa/inside.h"

#include <math.h>

enum { ATTEMPTS = 10, OF_A_BUCKET = 2 };

static void add_ancestors(const dm_gepa *g, size_t x, dm_gepa_set *found)
{
    for (size_t k = 0; k < g->candidates[x].n_parents; k++) {
        size_t p = g->candidates[x].parents[k];
        if (dm_gepa_set_has(found, p))
            continue;
        dm_gepa_set_add(g->arena, found, p);
        add_ancestors(g, p, found);
    }
}

static dm_gepa_set ancestors(const dm_gepa *g, size_t x)
{
    dm_gepa_set found = dm_gepa_set_new(g->arena), ordered = dm_gepa_set_new(g->arena);
    add_ancestors(g, x, &found);
    for (size_t i = 0; i < found.size; i++)
        if (found.slots[i])
            dm_gepa_set_add(g->arena, &ordered, found.slots[i] - 1);
    return ordered;
}

static bool was_tried(const dm_gepa *g, size_t i, size_t j, size_t ancestor)
{
    for (size_t k = 0; k < g->n_tried; k++)
        if (g->tried[k].i == i && g->tried[k].j == j && g->tried[k].ancestor == ancestor)
            return true;
    return false;
}

static bool was_built(const dm_gepa *g, size_t i, size_t j, const size_t *sources)
{
    for (size_t k = 0; k < g->n_tried; k++) {
        bool same = g->tried[k].i == i && g->tried[k].j == j;
        for (size_t c = 0; c < g->o->n_components && same; c++)
            same = g->tried[k].sources[c] == sources[c];
        if (same)
            return true;
    }
    return false;
}

static dm_str text(const dm_gepa *g, size_t candidate, size_t component)
{
    return g->candidates[candidate].texts[component];
}

/* There is a component that one of the two has from the ancestor and the other has changed. */
static bool differ(const dm_gepa *g, size_t i, size_t j, size_t ancestor)
{
    for (size_t c = 0; c < g->o->n_components; c++) {
        dm_str a = text(g, ancestor, c), x = text(g, i, c), y = text(g, j, c);
        if ((dm_str_eq(a, x) || dm_str_eq(a, y)) && !dm_str_eq(x, y))
            return true;
    }
    return false;
}

static bool find_ancestor(dm_gepa *g, const double *mean, dm_gepa_merge *m, bool *no_weight)
{
    dm_gepa_set of_i = ancestors(g, m->i), of_j = ancestors(g, m->j);
    if (dm_gepa_set_has(&of_i, m->j) || dm_gepa_set_has(&of_j, m->i))
        return false;
    dm_gepa_set both = dm_gepa_set_meet(g->arena, &of_i, &of_j);
    const size_t *common = dm_gepa_set_items(g->arena, &both);
    size_t *fit = dm_arena_alloc_n(g->arena, both.n, sizeof *fit), n = 0;
    double *weight = dm_arena_alloc_n(g->arena, both.n, sizeof *weight), total = 0;
    for (size_t k = 0; k < both.n; k++) {
        size_t x = common[k];
        if (was_tried(g, m->i, m->j, x) || mean[x] > mean[m->i] || mean[x] > mean[m->j] ||
            !differ(g, m->i, m->j, x))
            continue;
        total += mean[x];
        fit[n] = x;
        weight[n++] = mean[x];
    }
    if (n == 0)
        return false;
    *no_weight = !(total > 0) && !g->o->wide;
    if (!(total > 0) && g->o->wide)
        m->ancestor = fit[dm_pyrandom_below(g->merger, n)];
    else if (!*no_weight)
        m->ancestor = fit[dm_pyrandom_choices(g->merger, weight, n)];
    return !*no_weight;
}

static bool find_pair(dm_gepa *g, const size_t *who, size_t n, const double *mean, dm_gepa_merge *m,
                      bool *no_weight)
{
    for (int t = 0; t < ATTEMPTS && !*no_weight; t++) {
        size_t two[2];
        dm_pyrandom_sample(g->merger, n, 2, two);
        size_t x = who[two[0]], y = who[two[1]];
        m->i = x < y ? x : y;
        m->j = x < y ? y : x;
        if (find_ancestor(g, mean, m, no_weight))
            return true;
    }
    return false;
}

/* Whose text a component gets. */
static size_t source_of(dm_gepa *g, const double *mean, const dm_gepa_merge *m, size_t component)
{
    dm_str a = text(g, m->ancestor, component), x = text(g, m->i, component),
           y = text(g, m->j, component);
    bool is_x = dm_str_eq(a, x), is_y = dm_str_eq(a, y);
    if ((is_x || is_y) && !dm_str_eq(x, y))
        return is_x ? m->j : m->i;
    if (is_x || is_y)
        return m->i;
    if (mean[m->i] != mean[m->j])
        return mean[m->i] > mean[m->j] ? m->i : m->j;
    return dm_pyrandom_below(g->merger, 2) == 0 ? m->i : m->j;
}

static const size_t *build(dm_gepa *g, const double *mean, const dm_gepa_merge *m,
                           const dm_str **out)
{
    size_t n = g->o->n_components, *sources = dm_arena_alloc_n(g->arena, n, sizeof *sources);
    dm_str *texts = dm_arena_alloc_n(g->arena, n, sizeof *texts);
    for (size_t c = 0; c < n; c++) {
        sources[c] = source_of(g, mean, m, c);
        texts[c] = text(g, sources[c], c);
    }
    *out = texts;
    return sources;
}

static void remember(dm_gepa *g, const dm_gepa_merge *m, const size_t *sources)
{
    g->tried = dm_arena_room(g->arena, g->tried, g->n_tried, &g->cap_tried, sizeof *g->tried);
    g->tried[g->n_tried++] = (dm_gepa_pair){m->i, m->j, m->ancestor, sources};
}

typedef struct test_rows {
    dm_arena *arena;
    dm_pyrandom *stream;
    size_t *ids, n; /* of DM_GEPA_TEST_ROWS */
} test_rows;

/* k of the n rows, drawn without replacement. */
static void draw(test_rows *t, const size_t *from, size_t n, size_t k)
{
    size_t *which = dm_arena_alloc_n(t->arena, k, sizeof *which);
    dm_pyrandom_sample(t->stream, n, k, which);
    for (size_t i = 0; i < k; i++)
        t->ids[t->n++] = from[which[i]];
}

static void draw_of_the_rest(test_rows *t, size_t n_rows, size_t *some)
{
    size_t n = 0, k = DM_GEPA_TEST_ROWS - t->n;
    for (size_t v = 0; v < n_rows; v++) {
        bool there = false;
        for (size_t i = 0; i < t->n && !there; i++)
            there = t->ids[i] == v;
        if (!there)
            some[n++] = v;
    }
    if (n >= k)
        draw(t, some, n, k);
    while (t->n < DM_GEPA_TEST_ROWS) /* too few rows: any, with replacement */
        t->ids[t->n++] = (size_t)(dm_pyrandom_random(t->stream) * (double)n_rows);
}

void dm_gepa_merge_rows(dm_arena *a, dm_pyrandom *stream, const double *x, const double *y,
                        size_t n_rows, size_t ids[DM_GEPA_TEST_ROWS])
{
    test_rows t = {a, stream, ids, 0};
    size_t *some = dm_arena_alloc_n(a, n_rows, sizeof *some);
    for (int bucket = 0; bucket < 3 && t.n < DM_GEPA_TEST_ROWS; bucket++) {
        size_t n = 0, left = DM_GEPA_TEST_ROWS - t.n;
        for (size_t v = 0; v < n_rows; v++)
            if (bucket == 0 ? x[v] > y[v] : bucket == 1 ? y[v] > x[v] : x[v] == y[v])
                some[n++] = v;
        size_t k = n < OF_A_BUCKET ? n : OF_A_BUCKET;
        draw(&t, some, n, k < left ? k : left);
    }
    if (t.n < DM_GEPA_TEST_ROWS)
        draw_of_the_rest(&t, n_rows, some);
}

static void choose_rows(dm_gepa *g, dm_gepa_merge *m)
{
    const double *x = g->candidates[m->i].scores, *y = g->candidates[m->j].scores;
    size_t *ids = dm_arena_alloc_n(g->arena, DM_GEPA_TEST_ROWS, sizeof *ids);
    dm_gepa_merge_rows(g->arena, g->merger, x, y, g->o->n_val, ids);
    m->ids = ids;
    m->n_ids = DM_GEPA_TEST_ROWS;
    for (size_t k = 0; k < m->n_ids; k++) {
        m->before_i += x[ids[k]];
        m->before_j += y[ids[k]];
    }
}

bool dm_gepa_merge_is_good(const dm_gepa *g, const dm_gepa_merge *m)
{
    const double *x = g->candidates[m->i].scores, *y = g->candidates[m->j].scores;
    double of_x = 0, of_y = 0, of_child = 0;
    for (size_t k = 0; k < m->n_ids; k++) {
        size_t v = m->ids[k];
        if (isnan(x[v]) || isnan(y[v]) || (g->o->wide && m->after[k].absent))
            continue;
        of_x += x[v];
        of_y += y[v];
        of_child += m->after[k].score;
    }
    return of_child >= (of_x > of_y ? of_x : of_y);
}

bool dm_gepa_find_merge(dm_gepa *g, dm_gepa_merge *m, const dm_str **texts, bool *no_weight)
{
    const double *mean = dm_gepa_means(g);
    size_t n;
    const size_t *who = dm_gepa_survivors(g->arena, dm_gepa_front_copies(g), g->o->n_val, mean, &n);
    *no_weight = false;
    if (n < 2 || g->n < 3)
        return false;
    for (int t = 0; t < ATTEMPTS && !*no_weight; t++) {
        *m = (dm_gepa_merge){.candidate = SIZE_MAX};
        if (!find_pair(g, who, n, mean, m, no_weight))
            continue;
        const size_t *sources = build(g, mean, m, texts);
        if (was_built(g, m->i, m->j, sources) || g->o->n_val < DM_GEPA_TEST_ROWS)
            continue;
        remember(g, m, sources);
        choose_rows(g, m);
        return true;
    }
    return false;
}
