/* How good the samplers are, on synthetic problems with known true means, on recorded score
 * matrices, and in races. make bench-search prints everything; build/tests/bench-search SECTION ...
 * KEY=VALUE ... a part. sections: fingerprints heavy medium light window none races recorded time
 * planted
 *   keys: n=, seed=, run_seed=, families=typ,flat, methods=mipro,halving,factor:16,factor:64@33,
 * raw=FILE, folder= (of the recorded matrices), and factor's constants by name */
#include "bench.h"
#include "world.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const int LOOK[LOOKS] = {5, 10, 20, 33, 50, 100};
decision_time decisions;

static double process_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- one search ---- */

bool method_read(method *m, const char *text, const settings *o)
{
    static const char *const names[] = {"factor", "mipro", "tpe", "random", "halving"};
    size_t k = 0, n = strcspn(text, ":@");
    *m = (method){.window = 1, .share = 1, .constants = o->constants};
    snprintf(m->name, sizeof m->name, "%s", text);
    while (k < 5 && (strlen(names[k]) != n || strncmp(names[k], text, n) != 0))
        k++;
    m->m = (dm_search_method)k;
    m->missing_is_zero = k == DM_SEARCH_MIPRO;
    if (strchr(text, ':'))
        m->window = strtoul(strchr(text, ':') + 1, NULL, 10);
    if (strchr(text, '@'))
        m->share = strtod(strchr(text, '@') + 1, NULL) / 100;
    return k < 5;
}

static bool set_constant(dm_search_constants *c, const char *key)
{
    const char *value = strchr(key, '=') + 1;
    const struct {
        const char *name;
        size_t *n;
        double *d;
    } row[] = {{"block", &c->block, NULL},
               {"block_max", &c->block_max, NULL},
               {"start", &c->start, NULL},
               {"refit_percent", &c->refit_percent, NULL},
               {"passes", &c->passes, NULL},
               {"finalists", &c->finalists, NULL},
               {"effect", NULL, &c->effect},
               {"rest", NULL, &c->rest},
               {"trust_effect", NULL, &c->trust_effect},
               {"trust_rest", NULL, &c->trust_rest},
               {"difficulty", NULL, &c->difficulty},
               {"explore_until", NULL, &c->explore_until},
               {"explore", NULL, &c->explore},
               {"temperature", NULL, &c->temperature},
               {"informed", NULL, &c->informed},
               {"contender", NULL, &c->contender},
               {"finals_share", NULL, &c->finals_share}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (strncmp(row[i].name, key, strlen(row[i].name)) == 0 &&
            key[strlen(row[i].name)] == '=') {
            if (row[i].n)
                *row[i].n = strtoul(value, NULL, 10);
            else
                *row[i].d = strtod(value, NULL);
            return true;
        }
    return false;
}

typedef struct flight {
    dm_search_unit u;
    size_t *examples;
} flight;

static dm_search *open_search(const problem *p, const method *m, uint64_t seed, double budget)
{
    static const char *const names[] = {"0_predictor_instruction", "0_predictor_demos",
                                        "1_predictor_instruction", "1_predictor_demos",
                                        "2_predictor_instruction", "2_predictor_demos",
                                        "3_predictor_instruction", "3_predictor_demos"};
    dm_search_options o = {.n_slots = p->n_slots, .levels = p->levels, .names = names};
    dm_search_defaults(&o, m->m, p->n_examples, (size_t)budget);
    o.window = m->window;
    o.seed = seed;
    o.trials = p->trials;
    for (size_t i = 0; i < MAX_CONSTANTS && m->constants[i]; i++)
        set_constant(&o.constants, m->constants[i]);
    char why[200];
    dm_search *s = dm_search_new(&o, why, sizeof why);
    if (!s) {
        fprintf(stderr, "%s\n", why);
        exit(70);
    }
    return s;
}

static double regret_now(const problem *p, dm_search *s)
{
    dm_search_estimate e;
    dm_search_estimate_of(s, dm_search_best(s), &e);
    return p->best - p->mean(p->self, e.levels);
}

/* A cell is counted once: what MIPROv2 asks again comes from the cache. The program as written
 * stands until the first result. */
static void run_search(const problem *p, const method *m, uint64_t seed, double budget,
                       double regret[LOOKS])
{
    dm_search *s = open_search(p, m, seed, budget);
    flight *air = malloc(m->window * sizeof *air);
    double *scores = malloc(p->n_examples * sizeof *scores);
    unsigned char **paid = NULL;
    size_t head = 0, tail = 0, cells = 0, n_paid = 0;
    int look = 0;
    p->forget(p->self);
    for (;;) {
        flight *f = &air[tail % m->window];
        double t0 = process_seconds();
        dm_search_answer a = tail - head < m->window ? dm_search_ask(s, &f->u) : DM_SEARCH_TELL;
        if (m->m == DM_SEARCH_FACTOR) {
            double t = process_seconds() - t0;
            decisions.sum += t;
            decisions.n++;
            decisions.worst = fmax(decisions.worst, t);
        }
        if (a == DM_SEARCH_UNIT) {
            tail++;
            continue;
        }
        if (head == tail)
            break;
        f = &air[head++ % m->window];
        for (; n_paid <= f->u.candidate; n_paid++) {
            paid = realloc(paid, (n_paid + 1) * sizeof *paid);
            paid[n_paid] = calloc(p->n_examples, 1);
        }
        for (size_t i = 0; i < f->u.n; i++) {
            size_t e = f->u.examples[i];
            cells += !paid[f->u.candidate][e];
            paid[f->u.candidate][e] = 1;
            scores[i] = p->cell(p->self, f->u.candidate, f->u.levels, e);
            if (isnan(scores[i]) && m->missing_is_zero)
                scores[i] = 0;
        }
        for (; look < LOOKS && (double)cells > LOOK[look] / 100.0 * (double)p->runs + 1e-9; look++)
            regret[look] = regret_now(p, s);
        dm_search_tell(s, f->u.id, scores, NULL);
    }
    for (; look < LOOKS; look++)
        regret[look] = regret_now(p, s);
    regret[LOOKS - 1] = regret_now(p, s);
    for (size_t j = 0; j < n_paid; j++)
        free(paid[j]);
    free(paid);
    free(air);
    free(scores);
    dm_search_free(s);
}

void search_once(const problem *p, const method *m, uint64_t seed, double regret[LOOKS])
{
    if (m->m != DM_SEARCH_HALVING) {
        run_search(p, m, seed, m->share * (double)p->runs, regret);
        return;
    }
    for (int k = 0; k < LOOKS; k++) { /* halving must know its budget: one run a look */
        double r[LOOKS];
        run_search(p, m, seed, LOOK[k] / 100.0 * (double)p->runs, r);
        regret[k] = r[LOOKS - 1];
    }
}

void tally_add(tally *t, const double regret[LOOKS])
{
    t->n++;
    for (int k = 0; k < LOOKS; k++) {
        t->sum[k] += regret[k];
        t->square[k] += regret[k] * regret[k];
    }
}

double tally_mean(const tally *t, int k)
{
    return 100 * t->sum[k] / (double)t->n;
}

double tally_error(const tally *t, int k)
{
    double m = t->sum[k] / (double)t->n, v = t->square[k] / (double)t->n - m * m;
    return 100 * sqrt(fmax(0, v) / (double)t->n);
}

/* ---- the generator's problems ---- */

typedef struct planted {
    world w;
    double (*theta)[WORLD_TYPES]; /* [n_theta] abilities by candidate */
    size_t n_theta;
} planted;

static double planted_cell(void *self, size_t candidate, const uint16_t *x, size_t i)
{
    planted *z = self;
    if (candidate >= z->n_theta) {
        size_t n = candidate + 1 > 2 * z->n_theta ? candidate + 1 : 2 * z->n_theta;
        z->theta = realloc(z->theta, n * sizeof *z->theta);
        for (; z->n_theta < n; z->n_theta++)
            z->theta[z->n_theta][0] = NAN;
    }
    if (isnan(z->theta[candidate][0]))
        world_ability(&z->w, x, z->theta[candidate]);
    return world_cell(&z->w, x, z->theta[candidate], i);
}

static double planted_mean(void *self, const uint16_t *x)
{
    return world_mean(&((planted *)self)->w, x);
}

static void planted_forget(void *self)
{
    planted *z = self;
    for (size_t j = 0; j < z->n_theta; j++)
        z->theta[j][0] = NAN;
}

typedef struct size {
    const char *name;
    size_t P, instructions, sets, N, trials, runs, instances;
} size;

static const size SIZES[] = {{"light", 1, 3, 6, 100, 10, 650, 200},
                             {"medium", 2, 6, 12, 300, 28, 3080, 200},
                             {"heavy", 4, 9, 18, 1000, 66, 17310, 100}};

static void print_row(const char *name, const size *z, const method *m, const tally *t)
{
    printf("%-7s %-7s %-14s", name, z->name, m->name);
    for (int k = 0; k < LOOKS; k++)
        printf(" %6.2f", tally_mean(t, k));
    printf("  +-%.2f  n=%zu  %.3f s\n", tally_error(t, LOOKS - 1), t->n, t->seconds / (double)t->n);
    fflush(stdout);
}

static void one_family(const family *g, const size *z, const settings *o, const method *m,
                       size_t n_m, tally *t)
{
    size_t n = o->n ? o->n : z->instances;
    for (size_t k = 0; k < n; k++) {
        planted p = {0};
        world_make(&p.w, g, z->P, z->instructions, z->sets, z->N, o->seed + k);
        problem q = {p.w.S,    p.w.N, p.w.L,        z->runs,      z->trials,
                     p.w.best, &p,    planted_cell, planted_mean, planted_forget};
        for (size_t a = 0; a < n_m; a++) {
            double regret[LOOKS], t0 = process_seconds();
            search_once(&q, &m[a], o->run_seed + k, regret);
            t[a].seconds += process_seconds() - t0;
            tally_add(&t[a], regret);
            if (o->raw) {
                fprintf(o->raw, "%s %s %s %zu", g->name, z->name, m[a].name, (size_t)o->seed + k);
                for (int i = 0; i < LOOKS; i++)
                    fprintf(o->raw, " %.5f", regret[i]);
                fprintf(o->raw, "\n");
            }
        }
        free(p.theta);
        world_free(&p.w);
    }
}

size_t methods_read(const settings *o, const char *def, method *m)
{
    char list[256];
    size_t n = 0;
    snprintf(list, sizeof list, "%s", o->methods ? o->methods : def);
    for (char *at = list; *at && n < MAX_METHODS;) {
        size_t k = strcspn(at, ",");
        char end = at[k];
        at[k] = 0;
        if (!method_read(&m[n++], at, o)) {
            fprintf(stderr, "unknown method %s\n", at);
            exit(64);
        }
        at += k + (end != 0);
    }
    return n;
}

/* Families of one size; below, each method's regret over the first method's final one. */
static void table(const size *z, const settings *o, const char *families, const char *def)
{
    method m[MAX_METHODS];
    size_t n = methods_read(o, def, m), rows = 0;
    tally all[MAX_METHODS] = {0};
    double final[MAX_METHODS][16] = {{0}}, third[MAX_METHODS][16] = {{0}};
    const char *wanted = o->families ? o->families : families;
    printf("\nregret, points of true mean, after 5 10 20 33 50 100 %% of %zu runs\n", z->runs);
    for (const family *g = FAMILY; g->name; g++) {
        const char *at = strstr(wanted, g->name);
        bool whole = at && (at == wanted || at[-1] == ',') && strchr(",", at[strlen(g->name)]);
        if (!whole && !(strcmp(wanted, "all") == 0 && g < FAMILY + FAMILIES))
            continue;
        tally t[MAX_METHODS] = {0};
        one_family(g, z, o, m, n, t);
        for (size_t a = 0; a < n; a++) {
            print_row(g->name, z, &m[a], &t[a]);
            final[a][rows] = tally_mean(&t[a], LOOKS - 1) / tally_mean(&t[0], LOOKS - 1);
            third[a][rows] = tally_mean(&t[a], 3) / tally_mean(&t[0], LOOKS - 1);
            for (int k = 0; k < LOOKS; k++)
                all[a].sum[k] += t[a].sum[k] / (double)t[a].n;
            all[a].n++;
        }
        rows++;
    }
    for (size_t a = 0; a < n && rows; a++) {
        printf("mean    %-7s %-14s", z->name, m[a].name);
        for (int k = 0; k < LOOKS; k++)
            printf(" %6.2f", tally_mean(&all[a], k));
        double low[2] = {9, 9}, sum[2] = {0}, high[2] = {0};
        for (size_t i = 0; i < rows; i++)
            for (int k = 0; k < 2; k++) {
                double v = k ? third[a][i] : final[a][i];
                low[k] = fmin(low[k], v);
                high[k] = fmax(high[k], v);
                sum[k] += v / (double)rows;
            }
        printf("  / %s: final %.2f (%.2f-%.2f), at 33 %% %.2f (%.2f-%.2f)\n", m[0].name, sum[0],
               low[0], high[0], sum[1], low[1], high[1]);
    }
    fflush(stdout);
}

static void fingerprints(void)
{
    printf(
        "best mean, written, candidate (1,2,3,4), sums of 300 cells (P=2, 6 x 12, seed 100000)\n");
    for (const family *g = FAMILY; g->name; g++) {
        world w;
        uint16_t x[WORLD_S] = {0}, y[WORLD_S] = {1, 2, 3, 4};
        double a[WORLD_TYPES], b[WORLD_TYPES], sum[2] = {0};
        world_make(&w, g, 2, 6, 12, 300, 100000);
        world_ability(&w, x, a);
        world_ability(&w, y, b);
        for (size_t i = 0; i < w.N; i++) {
            sum[0] += world_cell(&w, x, a, i);
            sum[1] += world_cell(&w, y, b, i);
        }
        printf("%s %.6f %.6f %.6f %.4g %.4g\n", g->name, w.best, w.written, world_mean(&w, y),
               sum[0], sum[1]);
        world_free(&w);
    }
}

/* ---- options ---- */

static bool add_constant(settings *o, const char *text)
{
    dm_search_constants c;
    size_t k = 0;
    while (o->constants[k])
        k++;
    o->constants[k] = text;
    return k < MAX_CONSTANTS && set_constant(&c, text);
}

static bool set(settings *o, const char **folder, const char *text)
{
    const char *value = strchr(text, '=') + 1;
    if (strncmp(text, "n=", 2) == 0)
        o->n = strtoul(value, NULL, 10);
    else if (strncmp(text, "seed=", 5) == 0)
        o->seed = strtoul(value, NULL, 10);
    else if (strncmp(text, "run_seed=", 9) == 0)
        o->run_seed = strtoul(value, NULL, 10);
    else if (strncmp(text, "families=", 9) == 0)
        o->families = value;
    else if (strncmp(text, "methods=", 8) == 0)
        o->methods = value;
    else if (strncmp(text, "folder=", 7) == 0)
        *folder = value;
    else if (strncmp(text, "raw=", 4) == 0)
        o->raw = fopen(value, "a");
    else
        return add_constant(o, text);
    return true;
}

int main(int argc, char **argv)
{
    static const char *const sections[] = {"fingerprints", "heavy", "medium",   "light", "window",
                                           "none",         "races", "recorded", "time",  "planted",
                                           "ensemble",     "gepa",  "reflect"};
    enum { SECTIONS = sizeof sections / sizeof *sections };
    bool want[SECTIONS] = {false}, any = false;
    settings o = {.seed = 400000, .run_seed = 1};
    const char *folder = "../shared/recorded";
    for (int i = 1; i < argc; i++) {
        size_t k = 0;
        while (k < SECTIONS && strcmp(sections[k], argv[i]) != 0)
            k++;
        if (k < SECTIONS)
            any = want[k] = true;
        else if (!strchr(argv[i], '=') || !set(&o, &folder, argv[i])) {
            fprintf(stderr, "unknown: %s\n", argv[i]);
            return 64;
        }
    }
    for (size_t k = 0; k < SECTIONS && !any; k++)
        want[k] = true;
    static const char methods[] = "mipro,random,halving,factor:1,factor:16,factor:64";
    int bad = 0;
    if (want[0])
        fingerprints();
    if (want[1])
        table(&SIZES[2], &o, "all", methods);
    if (want[2])
        table(&SIZES[1], &o, "all", methods);
    if (want[3])
        table(&SIZES[0], &o, "all", methods);
    for (int k = 2; k >= 0 && want[4]; k--)
        table(&SIZES[k], &o, "all", "factor:1,factor:16,factor:64");
    for (int k = 2; k >= 1 && want[5]; k--)
        table(&SIZES[k], &o, "none,xinter,float", methods);
    if (decisions.n)
        printf("factor: %.3f ms a decision in the mean over %zu, fits included; %.1f ms at worst\n",
               1e3 * decisions.sum / (double)decisions.n, decisions.n, 1e3 * decisions.worst);
    if (want[6])
        bad |= bench_races(&o);
    if (want[7])
        bad |= bench_recorded(&o, folder);
    if (want[8])
        bad |= bench_time();
    if (want[9])
        bench_planted(&o);
    if (want[10])
        bad |= bench_ensemble(&o, folder);
    if (want[11])
        bad |= bench_gepa(&o);
    if (want[12])
        bench_reflect(&o);
    if (o.raw)
        fclose(o.raw);
    return bad;
}
