/* Replay over recorded score matrices: a cell is looked up, not run. Regret against the best row.
 */
#include "bench.h"

#include "json/json.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct matrix {
    const char *name;
    size_t instructions, sets, n;
    double *cell; /* [instruction * sets + set][example] */
    double *mean; /* [instruction * sets + set] */
} matrix;

static double matrix_cell(void *self, size_t candidate, const uint16_t *x, size_t i)
{
    const matrix *z = self;
    (void)candidate;
    return z->cell[(x[0] * z->sets + x[1]) * z->n + i];
}

static double matrix_mean(void *self, const uint16_t *x)
{
    const matrix *z = self;
    return z->mean[x[0] * z->sets + x[1]];
}

static void matrix_forget(void *self)
{
    (void)self;
}

static bool read_matrix(dm_arena *a, const char *path, matrix *z)
{
    dm_error err;
    dm_str text;
    if (dm_read_file(a, path, DM_MAX_FILE, &text, &err) != DM_OK)
        return false;
    const dm_value *v = dm_json_read(a, text, &err), *cells = v ? dm_value_get(v, "cells") : NULL;
    const dm_value *ins = v ? dm_value_get(v, "instructions") : NULL;
    if (!cells || !ins || !cells->n || !ins->n || cells->n % ins->n)
        return false;
    z->instructions = ins->n;
    z->sets = cells->n / ins->n;
    z->n = cells->items[0]->n;
    z->cell = dm_arena_alloc_n(a, cells->n * z->n, sizeof *z->cell);
    z->mean = dm_arena_alloc_n(a, cells->n, sizeof *z->mean);
    for (size_t j = 0; j < cells->n; j++) {
        size_t there = 0;
        for (size_t i = 0; i < z->n; i++) { /* null: never answered */
            const dm_value *c = cells->items[j]->items[i];
            z->cell[j * z->n + i] = c->kind == DM_NULL ? NAN : c->number;
            z->mean[j] += c->kind == DM_NULL ? 0 : c->number;
            there += c->kind != DM_NULL;
        }
        z->mean[j] /= there ? (double)there : 1;
    }
    return true;
}

static double variance(const double *v, size_t n)
{
    double mean = 0, sum = 0;
    for (size_t i = 0; i < n; i++)
        mean += v[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        sum += (v[i] - mean) * (v[i] - mean);
    return sum / (double)n;
}

/* What the matrix says of the model's priors: variances of the candidates' means in logits,
 * two-way, and of the examples'. Means are moved half a cell away from 0 and 1. */
static void priors(const matrix *z)
{
    size_t m = z->instructions * z->sets;
    double *logit = malloc((m + z->n) * sizeof *logit), *row = calloc(z->instructions, sizeof *row);
    double *column = calloc(z->sets, sizeof *column), all = 0, rest = 0, sampling = 0;
    for (size_t j = 0; j < m; j++) {
        double n = (double)z->n, p = (z->mean[j] * n + .5) / (n + 1);
        logit[j] = log(p / (1 - p));
        sampling += 1 / (n * p * (1 - p)) / (double)m;
        row[j / z->sets] += logit[j] / (double)z->sets;
        column[j % z->sets] += logit[j] / (double)z->instructions;
        all += logit[j] / (double)m;
    }
    for (size_t j = 0; j < m; j++) {
        double d = logit[j] - row[j / z->sets] - column[j % z->sets] + all;
        rest += d * d / (double)((z->instructions - 1) * (z->sets - 1));
    }
    for (size_t i = 0; i < z->n; i++) {
        double sum = 0;
        for (size_t j = 0; j < m; j++)
            sum += isnan(z->cell[j * z->n + i]) ? z->mean[j] : z->cell[j * z->n + i];
        double p = (sum + .5) / ((double)m + 1);
        logit[m + i] = log(p / (1 - p));
    }
    printf("  variances, logits^2: instructions %.3f, demo sets %.3f, rest %.3f (of which sampling "
           "%.3f), examples %.2f\n",
           variance(row, z->instructions), variance(column, z->sets), rest, sampling,
           variance(logit + m, z->n));
    free(logit);
    free(row);
    free(column);
}

static void replay(matrix *z, const settings *o)
{
    method m[MAX_METHODS];
    size_t n_methods =
        methods_read(o, "mipro,random,halving,factor:1,factor:8,factor:16,factor:16@33", m);
    size_t trials = (size_t)fmax(4 * log2((double)z->sets), 1.5 * (double)z->sets);
    size_t runs = dm_search_mipro_runs(trials, z->n, z->n > 50, 35, 5);
    size_t levels[2] = {z->instructions, z->sets}, seeds = o->n ? o->n : 200;
    double best = 0;
    for (size_t j = 0; j < z->instructions * z->sets; j++)
        best = fmax(best, z->mean[j]);
    printf(
        "\n%s: %zu instructions x %zu demo sets x %zu examples, best row %.1f %%, written %.1f %%, "
        "B = %zu\n",
        z->name, z->instructions, z->sets, z->n, 100 * best, 100 * z->mean[0], runs);
    priors(z);
    problem p = {2, z->n, levels, runs, trials, best, z, matrix_cell, matrix_mean, matrix_forget};
    for (size_t k = 0; k < n_methods; k++) {
        tally t = {0};
        for (size_t s = 0; s < seeds; s++) {
            double regret[LOOKS];
            search_once(&p, &m[k], 1000 * o->run_seed + s, regret);
            tally_add(&t, regret);
        }
        printf("  %-13s at 20, 33, 50, 100 %%:", m[k].name);
        for (int i = 2; i < LOOKS; i++)
            printf("  %5.2f +-%.2f", tally_mean(&t, i), tally_error(&t, i));
        printf("\n");
    }
    fflush(stdout);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

int bench_recorded(const settings *o, const char *folder)
{
    struct dirent **entry;
    int n = scandir(folder, &entry, NULL, by_name);
    if (n < 0) {
        printf("\n%s is not here: no recorded matrices\n", folder);
        return 0;
    }
    printf("\nrecorded matrices: regret in points on the matrix, %zu seeds. Some thirty candidates "
           "of one "
           "small model tell little.\n",
           o->n ? o->n : (size_t)200);
    for (int i = 0; i < n; i++) {
        size_t len = strlen(entry[i]->d_name);
        dm_arena *a = dm_arena_new(0);
        matrix z = {.name = entry[i]->d_name};
        if (len > 5 && strcmp(entry[i]->d_name + len - 5, ".json") == 0 &&
            read_matrix(a, dm_arena_printf(a, "%s/%s", folder, z.name), &z))
            replay(&z, o);
        dm_arena_free(a);
        free(entry[i]);
    }
    free(entry);
    return 0;
}
