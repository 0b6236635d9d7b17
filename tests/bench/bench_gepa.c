/* GEPA's two searches on planted worlds at equal requests (program runs and reflections):
 *
 *   facts    twelve kinds of rows; each wants a fact of its own in the instruction, which a failure
 *            of its kind reveals to the reflection half of the time
 *   formats  four kinds; without its format a row is nearly always wrong, and a failure tells it
 *   nothing  no instruction is better than another
 *   tokens   the world of tests/golden/data/gepa.json (its _rule)
 *
 * Half of the rows are right or wrong by a draw of their own, whatever the wording; for the others
 * it is drawn anew for each text. A reflection loses each fact that it has with probability .06.
 * Numbers are the true means of the candidate that would be taken, in per cent. run_seed=K: other
 * searches of the same worlds; families=tokens: of one world alone. */
#include "base/hash.h"
#include "base/interval.h"
#include "base/random.h"
#include "bench.h"
#include "gepa/gepa.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LOOKS_AT = 4, TRAIN = 100, VAL = 50, REQUESTS = 1000 };
static const double look_at[LOOKS_AT] = {.25, .5, .75, 1};

typedef struct world {
    const char *name;
    size_t kinds;
    double without, with; /* right without the kind's fact, and with it */
    double revealed;
    bool tokens;
} gepa_world;

static const gepa_world worlds[] = {{"facts", 12, .2, .85, .5, false},
                                    {"formats", 4, .05, .75, 1, false},
                                    {"nothing", 12, .55, .55, .5, false},
                                    {"tokens", 7, 0, 0, 1, true}};

typedef struct trial {
    const gepa_world *w;
    dm_arena *arena;
    uint64_t seed, search; /* of the world, and of the search and what is reflected in it */
    size_t reflections;
    double at[LOOKS_AT]; /* true means */
} trial;

static uint64_t hash_of(dm_str text)
{
    dm_hash h = dm_hash_of(text.p, text.n);
    return dm_hash_u64(&h);
}

/* ---- texts: "v123 k3 k7": a wording, and what it knows ---- */

typedef struct known {
    long k[32], sum;
    size_t n;
} known;

static bool has(const known *t, long k)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->k[i] == k)
            return true;
    return false;
}

static known read_text(dm_str text)
{
    known t = {{0}, 0, 0};
    for (const char *p = text.p; (p = strchr(p, 'k')) && t.n < 32; p++) {
        t.k[t.n] = strtol(p + 1, NULL, 10);
        t.sum += t.k[t.n++];
    }
    return t;
}

static dm_str write_text(const trial *x, const known *t, uint64_t wording)
{
    dm_buf b;
    dm_buf_init(&b, 4096);
    if (wording)
        dm_buf_printf(&b, "v%llu", (unsigned long long)wording % 1000000);
    for (size_t i = 0; i < t->n; i++)
        dm_buf_printf(&b, " k%ld", t->k[i]);
    dm_str s = {dm_arena_string(x->arena, b.data ? b.data : "", b.len), b.len};
    dm_buf_free(&b);
    return s;
}

/* ---- the model ---- */

static uint64_t row_of(bool val, size_t row)
{
    return val ? 1000 + row : row;
}

static size_t kind_of(const trial *x, uint64_t row)
{
    return x->w->tokens ? row % 7 : dm_draw(x->seed, 1, row) % x->w->kinds;
}

static bool tokens_right(const known *t, long n)
{
    return (has(t, n % 7) && (n + t->sum) % 5 != 0) || n % (3 + (long)t->n) == 0;
}

static bool is_right(const trial *x, dm_str text, const known *t, uint64_t row)
{
    if (x->w->tokens)
        return tokens_right(t, (long)(row + 7 * x->seed));
    double p = has(t, (long)kind_of(x, row)) ? x->w->with : x->w->without;
    bool own = dm_draw(x->seed, 2, row) % 2 == 0;
    return (own ? dm_draw_double(x->seed, 3, row)
                : dm_draw_double(x->seed ^ hash_of(text), 4, row)) < p;
}

static double true_mean(const trial *x, dm_str text)
{
    known t = read_text(text);
    double sum = 0;
    if (!x->w->tokens) {
        for (size_t k = 0; k < x->w->kinds; k++)
            sum += has(&t, (long)k) ? x->w->with : x->w->without;
        return sum / (double)x->w->kinds;
    }
    for (long n = 0; n < 840; n++)
        sum += tokens_right(&t, n);
    return sum / 840;
}

static dm_status evaluate(void *user, dm_gepa_batch *b, size_t n, dm_error *err)
{
    const trial *x = user;
    (void)err;
    for (size_t k = 0; k < n; k++) {
        known t = read_text(b[k].texts[0]);
        for (size_t i = 0; i < b[k].n; i++) {
            dm_gepa_step *s = dm_arena_alloc(x->arena, sizeof *s);
            bool right = is_right(x, b[k].texts[0], &t, row_of(b[k].val, b[k].rows[i]));
            b[k].runs[i] =
                (dm_gepa_run){.score = right, .answered = true, .steps = s, .n_steps = 1};
        }
    }
    return DM_OK;
}

/* ---- the reflection ---- */

static void learn(known *t, long k)
{
    if (has(t, k) || t->n == 32)
        return;
    t->k[t->n++] = k;
    t->sum += k;
}

/* As gepa.json has it: the first failure's token; the oldest goes where there are four. */
static dm_str reflect_tokens(trial *x, const dm_gepa_question *q)
{
    known t = read_text(q->texts[0]), next = {{0}, 0, 0};
    long add = -1;
    for (size_t i = 0; i < q->n_shown && add < 0; i++) {
        long k = (long)((q->shown[i].row + 7 * x->seed) % 7);
        add = has(&t, k) ? -1 : k;
    }
    for (size_t i = t.n && (t.n >= 4 || add < 0); i < t.n; i++)
        learn(&next, t.k[i]);
    if (add >= 0)
        learn(&next, add);
    return write_text(x, &next, 0);
}

static dm_str reflect_one(trial *x, const dm_gepa_question *q)
{
    known t = read_text(q->texts[0]), next = {{0}, 0, 0};
    uint64_t draw = x->search * 1000003 + q->iteration * 1009 + q->proposal;
    if (x->w->tokens)
        return reflect_tokens(x, q);
    for (size_t i = 0; i < t.n; i++)
        if (dm_draw_double(draw, 5, (uint64_t)t.k[i]) >= .06)
            learn(&next, t.k[i]);
    for (size_t i = 0; i < q->n_shown; i++)
        if (q->shown[i].run->score < 1 && dm_draw_double(draw, 6, i) < x->w->revealed)
            learn(&next, (long)kind_of(x, row_of(false, q->shown[i].row)));
    return write_text(x, &next, dm_draw(draw, 7, 0) | 1);
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
static const way ways[] = {{"gepa", false, 1, 3},         {"parallel 2, 8", true, 2, 8},
                           {"parallel 1, 8", true, 1, 8}, {"parallel 4, 8", true, 4, 8},
                           {"parallel 2, 6", true, 2, 6}, {"parallel 2, 3", true, 2, 3}};
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

static double mean_of(const double *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[i];
    return sum / (double)n;
}

/* Half of the 95 % interval of their mean. */
static double half_of(const double *v, size_t n)
{
    double mean = mean_of(v, n), square = 0;
    for (size_t i = 0; i < n; i++)
        square += (v[i] - mean) * (v[i] - mean);
    return n < 2 ? 0 : dm_student(DM_Z95, n) * sqrt(square / (double)(n - 1) / (double)n);
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
        printf("  %5.1f", mean_of(at[l], n));
        if (at != base)
            printf(" (%+5.1f +- %3.1f)", mean_of(less, n), half_of(less, n));
        else
            printf("               ");
    }
    printf("\n");
    free(less);
}

static void compare(const gepa_world *world, const settings *o, uint64_t first, size_t n)
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
    for (size_t k = 0; k < sizeof worlds / sizeof *worlds; k++)
        if (!o->families || strcmp(o->families, worlds[k].name) == 0)
            compare(&worlds[k], o, first, n);
    return 0;
}
