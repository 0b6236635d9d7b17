/* Which candidates are undominated, and which of them is the next parent (A.4). */
#include "gepa/inside.h"

typedef struct count {
    size_t candidate, fronts;
} count;

/* Candidates in the order in which they first appear, and how many fronts each has. */
static count *count_fronts(dm_arena *a, const dm_gepa_set *fronts, size_t n, size_t *n_out)
{
    size_t cap = 0;
    count *all = NULL;
    *n_out = 0;
    for (size_t f = 0; f < n; f++) {
        const size_t *who = dm_gepa_set_items(a, &fronts[f]);
        for (size_t i = 0; i < fronts[f].n; i++) {
            size_t k = 0;
            while (k < *n_out && all[k].candidate != who[i])
                k++;
            if (k == *n_out) {
                all = dm_arena_room(a, all, *n_out, &cap, sizeof *all);
                all[(*n_out)++] = (count){who[i], 0};
            }
            all[k].fronts++;
        }
    }
    return all;
}

static void sort_by_mean(count *c, size_t n, const double *mean) /* ascending, stable */
{
    for (size_t i = 1; i < n; i++) {
        count moved = c[i];
        size_t k = i;
        for (; k > 0 && mean[c[k - 1].candidate] > mean[moved.candidate]; k--)
            c[k] = c[k - 1];
        c[k] = moved;
    }
}

/* Every front that it is in has another candidate that is not removed. */
static bool is_dominated(const dm_gepa_set *fronts, size_t n, size_t candidate, const bool *removed)
{
    for (size_t f = 0; f < n; f++) {
        bool other = false;
        if (!dm_gepa_set_has(&fronts[f], candidate))
            continue;
        for (size_t i = 0; i < fronts[f].size && !other; i++) {
            size_t x = fronts[f].slots[i];
            other = x && x - 1 != candidate && !removed[x - 1];
        }
        if (!other)
            return false;
    }
    return true;
}

static size_t largest(const count *c, size_t n)
{
    size_t most = 0;
    for (size_t i = 0; i < n; i++)
        most = c[i].candidate > most ? c[i].candidate : most;
    return most;
}

/* The package begins again after each removal. One pass gives the same: removals only take
 * others away, so a candidate that was found not to be dominated never is later. */
static bool *removed_of(dm_arena *a, const dm_gepa_set *fronts, size_t n, const double *mean)
{
    size_t n_count;
    count *c = count_fronts(a, fronts, n, &n_count);
    bool *removed = dm_arena_alloc_n(a, largest(c, n_count) + 1, sizeof *removed);
    sort_by_mean(c, n_count, mean);
    for (size_t i = 0; i < n_count; i++)
        removed[c[i].candidate] = is_dominated(fronts, n, c[i].candidate, removed);
    return removed;
}

void dm_gepa_undominated(dm_arena *a, const dm_gepa_set *fronts, size_t n, const double *mean,
                         dm_gepa_set *out)
{
    const bool *removed = removed_of(a, fronts, n, mean);
    for (size_t f = 0; f < n; f++) {
        out[f] = dm_gepa_set_new(a);
        for (size_t i = 0; i < fronts[f].size; i++)
            if (fronts[f].slots[i] && !removed[fronts[f].slots[i] - 1])
                dm_gepa_set_add(a, &out[f], fronts[f].slots[i] - 1);
    }
}

const size_t *dm_gepa_survivors(dm_arena *a, const dm_gepa_set *fronts, size_t n,
                                const double *mean, size_t *n_out)
{
    dm_gepa_set *reduced = dm_arena_alloc_n(a, n, sizeof *reduced), all = dm_gepa_set_new(a);
    dm_gepa_undominated(a, fronts, n, mean, reduced);
    for (size_t f = 0; f < n; f++) {
        const size_t *who = dm_gepa_set_items(a, &reduced[f]);
        for (size_t i = 0; i < reduced[f].n; i++)
            dm_gepa_set_add(a, &all, who[i]);
    }
    *n_out = all.n;
    return dm_gepa_set_items(a, &all);
}

size_t dm_gepa_choose_pareto(dm_arena *a, dm_pyrandom *stream, const dm_gepa_set *fronts, size_t n,
                             const double *mean)
{
    dm_gepa_set *reduced = dm_arena_alloc_n(a, n, sizeof *reduced);
    size_t n_count, all = 0, i = 0;
    dm_gepa_undominated(a, fronts, n, mean, reduced);
    const count *c = count_fronts(a, reduced, n, &n_count);
    for (size_t k = 0; k < n_count; k++)
        all += c[k].fronts;
    if (all == 0) /* no row has a score */
        return 0;
    size_t drawn = dm_pyrandom_below(stream, all);
    while (drawn >= c[i].fronts)
        drawn -= c[i++].fronts;
    return c[i].candidate;
}
