/* GEPA's two searches on planted worlds (facts.h) at equal requests, program runs and reflections.
 * Numbers are the true means of the candidate that would be taken, in per cent. run_seed=K: other
 * searches of the same worlds; families=tokens: one world alone. */
#include "base/hash.h"
#include "bench.h"
#include "facts.h"
#include "gepa/gepa.h"

#include <stdlib.h>
#include <string.h>

enum { LOOKS_AT = 4, TRAIN = 100, VAL = 50, REQUESTS = 1000 };
static const double look_at[LOOKS_AT] = {.25, .5, .75, 1};

typedef struct trial {
    const facts_world *w;
    dm_arena *arena;
    uint64_t seed, search; /* of the world, and of the search and what is reflected in it */
    size_t reflections;
    double at[LOOKS_AT]; /* true means */
} trial;

/* ---- the world's side ---- */

static double true_mean(const trial *x, dm_str text)
{
    const facts_known t = facts_read(text);
    return facts_mean(x->w, &t);
}

static dm_status evaluate(void *user, dm_gepa_batch *b, size_t n, dm_error *err)
{
    const trial *x = user;
    (void)err;
    for (size_t k = 0; k < n; k++) {
        const facts_known t = facts_read(b[k].texts[0]);
        dm_hash hash = dm_hash_of(b[k].texts[0].p, b[k].texts[0].n);
        for (size_t i = 0; i < b[k].n; i++) {
            dm_gepa_step *s = dm_arena_alloc(x->arena, sizeof *s);
            uint64_t row = b[k].rows[i] + (b[k].val ? FACTS_VAL : 0);
            bool right = facts_right(x->w, x->seed, dm_hash_u64(&hash), &t, row);
            b[k].runs[i] =
                (dm_gepa_run){.score = right, .answered = true, .steps = s, .n_steps = 1};
        }
    }
    return DM_OK;
}

static dm_str reflect_one(const trial *x, const dm_gepa_question *q)
{
    uint64_t draw = x->search * 1000003 + q->iteration * 1009 + q->proposal;
    uint64_t *rows = dm_arena_alloc_n(x->arena, q->n_shown, sizeof *rows);
    bool *failed = dm_arena_alloc_n(x->arena, q->n_shown, sizeof *failed);
    for (size_t i = 0; i < q->n_shown; i++) {
        rows[i] = q->shown[i].row;
        failed[i] = q->shown[i].run->score < 1;
    }
    return facts_reflect(x->arena, x->w, x->seed, draw, q->texts[0], rows, failed, q->n_shown);
}

static dm_status reflect(void *user, const dm_gepa_question *q, size_t n, dm_str *texts,
                         dm_error *err)
{
    trial *x = user;
    (void)err;
    for (size_t i = 0; i < n; i++)
        texts[i] = reflect_one(x, &q[i]);
    x->reflections += n;
    return DM_OK;
}

/* What would be taken by then stays what it was until more was asked for. */
static void tell(void *user, const dm_gepa_iteration *it)
{
    trial *x = user;
    size_t best = 0;
    for (size_t k = 1; k < it->n_candidates; k++)
        best = it->candidates[k].mean > it->candidates[best].mean ? k : best;
    double now = true_mean(x, it->candidates[best].texts[0]);
    double asked = (double)it->counted + (double)x->reflections;
    for (size_t l = 0; l < LOOKS_AT; l++)
        if (asked <= look_at[l] * REQUESTS)
            x->at[l] = now;
}

/* ---- the table ---- */

typedef struct way {
    const char *name;
    bool wide;
    size_t proposals, minibatch;
} way;

/* The package; ours by default; more and fewer proposals at a time; smaller minibatches. */
static const way ways[] = {{"gepa", false, 1, 3},         {"parallel 4, 8", true, 4, 8},
                           {"parallel 2, 8", true, 2, 8}, {"parallel 6, 8", true, 6, 8},
                           {"parallel 4, 6", true, 4, 6}, {"parallel 4, 3", true, 4, 3}};
enum { WAYS = sizeof ways / sizeof *ways };

static void run(trial *x, const way *w)
{
    static const size_t shape[1] = {0};
    const dm_gepa_options o = {.n_components = 1,
                               .shape = shape,
                               .n_train = TRAIN,
                               .n_val = VAL,
                               .seed = (int64_t)x->search,
                               .minibatch = w->minibatch,
                               .budget = REQUESTS,
                               .skip_perfect = true,
                               .perfect = 1,
                               .merge = true,
                               .max_merges = 5,
                               .sampling = w->wide ? DM_GEPA_INDEPENDENT : DM_GEPA_ONE,
                               .sampled_batches = w->proposals,
                               .keep = w->wide ? DM_GEPA_BEST : DM_GEPA_ALL,
                               .wide = w->wide};
    const dm_str start = DM_STR("");
    const dm_gepa_world world = {x, evaluate, reflect, tell};
    dm_gepa_result r;
    for (size_t l = 0; l < LOOKS_AT; l++)
        x->at[l] = true_mean(x, start);
    if (dm_gepa_search(x->arena, &o, &start, &world, &r, NULL) != DM_OK)
        abort();
}

/* at[look][n]: what a way came to, world by world; base: what the package did there. */
static void print_row(const char *name, double *const at[LOOKS_AT], double *const base[LOOKS_AT],
                      size_t n)
{
    double *less = dm_alloc_n(n, sizeof *less);
    printf("  %-14s", name);
    for (size_t l = 0; l < LOOKS_AT; l++) {
        for (size_t i = 0; i < n; i++)
            less[i] = at[l][i] - base[l][i];
        printf("  %5.1f", facts_mean_of(at[l], n));
        if (at != base)
            printf(" (%+5.1f +- %3.1f)", facts_mean_of(less, n), facts_half_of(less, n));
        else
            printf("               ");
    }
    printf("\n");
    free(less);
}

static void compare(const facts_world *world, const settings *o, uint64_t first, size_t n)
{
    double *at[WAYS][LOOKS_AT];
    printf("%s\n", world->name);
    for (size_t w = 0; w < WAYS; w++) {
        for (size_t l = 0; l < LOOKS_AT; l++)
            at[w][l] = dm_alloc_n(n, sizeof **at[w]);
        for (size_t i = 0; i < n; i++) {
            trial x = {.w = world, .arena = dm_arena_new(0), .seed = first + i};
            x.search = x.seed + (o->run_seed - 1) * 1000;
            run(&x, &ways[w]);
            for (size_t l = 0; l < LOOKS_AT; l++)
                at[w][l][i] = 100 * x.at[l];
            dm_arena_free(x.arena);
        }
        print_row(ways[w].name, at[w], at[0], n);
    }
    for (size_t w = 0; w < WAYS; w++)
        for (size_t l = 0; l < LOOKS_AT; l++)
            free(at[w][l]);
}

int bench_gepa(const settings *o)
{
    size_t n = o->n ? o->n : 200;
    uint64_t first = o->seed == 400000 ? 101 : o->seed;
    printf("%zu worlds each, seeds %llu to %llu, %d requests, %d to train on, %d to validate; in "
           "brackets: less the package's, with the half of the 95 %% interval\n"
           "                 25 %%                  50 %%                  75 %%                 "
           "100 %%\n",
           n, (unsigned long long)first, (unsigned long long)(first + n - 1), REQUESTS, TRAIN, VAL);
    for (size_t k = 0; k < FACTS_WORLDS; k++)
        if (!o->families || strcmp(o->families, facts_worlds[k].name) == 0)
            compare(&facts_worlds[k], o, first, n);
    return 0;
}
