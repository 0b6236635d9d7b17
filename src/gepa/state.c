/* What the parts of the search ask about its state. */
#include "gepa/inside.h"

double dm_gepa_sum(const dm_gepa_run *runs, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += runs[i].score;
    return sum;
}

void dm_gepa_sums(const dm_gepa *g, const dm_gepa_run *x, const dm_gepa_run *y, size_t n,
                  double *of_x, double *of_y)
{
    *of_x = *of_y = 0;
    for (size_t i = 0; i < n; i++)
        if (!g->o->wide || (!x[i].absent && !y[i].absent)) {
            *of_x += x[i].score;
            *of_y += y[i].score;
        }
}

bool dm_gepa_same_texts(const dm_gepa *g, const dm_str *x, const dm_str *y)
{
    for (size_t c = 0; c < g->o->n_components; c++)
        if (!dm_str_eq(x[c], y[c]))
            return false;
    return true;
}

double *dm_gepa_means(const dm_gepa *g)
{
    double *mean = dm_arena_alloc_n(g->arena, g->n, sizeof *mean);
    for (size_t i = 0; i < g->n; i++)
        mean[i] = g->candidates[i].mean;
    return mean;
}

double *dm_gepa_values(const dm_gepa *g)
{
    double *value = dm_arena_alloc_n(g->arena, g->n, sizeof *value);
    for (size_t i = 0; i < g->n; i++)
        value[i] = g->candidates[i].value;
    return value;
}

double dm_gepa_cost_of(const dm_gepa *g, const dm_str *texts)
{
    enum { BYTES_A_TOKEN = 4, TOKENS = 100, PER_CENT = 100 };
    size_t bytes = 0;
    for (size_t c = 0; c < g->o->n_components; c++)
        bytes += texts[c].n;
    return g->o->length_weight / PER_CENT * (double)bytes / (BYTES_A_TOKEN * TOKENS);
}

size_t dm_gepa_best(const double *mean, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        best = mean[i] > mean[best] ? i : best;
    return best;
}

dm_gepa_set *dm_gepa_front_copies(const dm_gepa *g)
{
    dm_gepa_set *copies = dm_arena_alloc_n(g->arena, g->o->n_val, sizeof *copies);
    for (size_t v = 0; v < g->o->n_val; v++)
        copies[v] = dm_gepa_set_copy(g->arena, &g->fronts[v].who);
    return copies;
}
