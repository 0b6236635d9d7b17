/* Whole optimizers on the planted worlds of facts.h, in the simulated pool, at equal calls of any
 * model, bootstrapping, proposals and reflections among them: GEPA's two searches, MIPROv2 by
 * DSPy's schedule, by `factor`, and by `factor` with reflections in its search, whose parents are
 * the default GEPA and `factor`.
 *
 * A demonstration teaches the fact of its kind, as the instruction does; in tokens it teaches
 * nothing. A proposer that is shown demonstrations learns from them as a reflection does from
 * failures. Numbers are the true means of the program that is returned, in per cent. */
#include "bench.h"
#include "facts.h"
#include "questions.h"

#include "json/json.h"
#include "optimizer/optimizer.h"
#include "pool/simulated.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TRAIN = 100, VAL = 50, LOOKS_AT = 2 };
static const double requests[LOOKS_AT] = {500, 1000};

typedef struct way {
    const char *name, *json;
} way;

static const way ways[] = {
    {"gepa", "{\"name\": \"gepa\", \"search\": \"gepa\", \"max_metric_calls\": 1000}"},
    {"parallel", "{\"name\": \"gepa\", \"max_metric_calls\": 1000}"},
    {"mipro", "{\"name\": \"mipro_v2\", \"auto\": \"medium\", \"search\": \"mipro\"}"},
    {"factor", "{\"name\": \"mipro_v2\", \"auto\": \"medium\"}"},
    {"reflective", "{\"name\": \"mipro_v2\", \"auto\": \"medium\", \"proposer\": \"reflective\"}"}};
enum { WAYS = sizeof ways / sizeof *ways, PARALLEL = 1, FACTOR = 3, REFLECTIVE = 4 };

typedef struct trial {
    const facts_world *w;
    uint64_t seed;
    dm_arena *arena;
    dm_program *program;
    dm_dataset *train, *val;
    dm_setup setup;
    dm_simulation sim;
    dm_simulated_stats stats;
} trial;

static uint64_t row_in(const char *text)
{
    return strtoull(strchr(text, 'q') + 1, NULL, 10);
}

/* ---- the task ---- */

static facts_known known_of(const trial *x, const dm_candidate *c, const dm_value *row,
                            bool drop_own, uint64_t *prompt)
{
    const dm_candidate_part *p = &c->parts[0];
    facts_known t = facts_read(p->instructions);
    dm_hash hash = dm_hash_of(p->instructions.p, p->instructions.n);
    *prompt = dm_hash_u64(&hash);
    for (size_t k = 0; k < p->n_demos; k++) {
        uint64_t shown = row_in(dm_value_get(p->demos[k], "question")->text.p);
        if (drop_own && row && shown == row_in(dm_value_get(row, "question")->text.p))
            continue;
        *prompt = *prompt * 1000003 + shown + 1;
        if (!x->w->tokens)
            facts_learn(&t, (long)facts_kind(x->w, x->seed, shown));
    }
    return t;
}

static const char *answer(const trial *x, const dm_work *work, const dm_value *row)
{
    uint64_t prompt;
    facts_known t = known_of(x, work->candidate, row, work->drop_own_demo, &prompt);
    uint64_t n = row_in(dm_value_get(row, "question")->text.p);
    return facts_right(x->w, x->seed, prompt, &t, n) ? "yes" : "no";
}

/* ---- the prompt model ---- */

static dm_str reflected(const trial *x, dm_arena *a, const dm_value *row)
{
    const dm_value *cases = dm_value_get(row, "cases");
    uint64_t *rows = dm_arena_alloc_n(a, cases->n, sizeof *rows);
    bool *failed = dm_arena_alloc_n(a, cases->n, sizeof *failed);
    dm_hash hash = dm_json_hash(row);
    for (size_t i = 0; i < cases->n; i++) {
        const dm_value *in = dm_value_get(cases->items[i], "inputs"),
                       *out = dm_value_get(cases->items[i], "outputs");
        rows[i] = row_in(dm_value_get(in, "question")->text.p);
        failed[i] = dm_str_is(dm_value_get(out, "answer")->text, "no");
    }
    return facts_reflect(a, x->w, x->seed, dm_hash_u64(&hash),
                         dm_value_get(row, "current_instruction")->text, rows, failed, cases->n);
}

/* By the demonstrations that it is shown, "Question: q17 ...". */
static dm_str proposed(const trial *x, dm_arena *a, const dm_value *row, int64_t rollout)
{
    enum { MOST = 8 };
    uint64_t rows[MOST];
    bool failed[MOST];
    size_t n = 0;
    const dm_value *demos = dm_value_get(row, "task_demos");
    for (const char *q = demos ? strstr(demos->text.p, " q") : NULL; q && n < MOST;
         q = strstr(q + 1, " q"))
        if (q[2] >= '0' && q[2] <= '9') {
            rows[n] = row_in(q);
            failed[n++] = true;
        }
    return facts_reflect(a, x->w, x->seed, (uint64_t)rollout, DM_STR(""), rows, failed, n);
}

static void rule(void *user, const dm_work *work, const dm_value *row, dm_arena *a,
                 dm_run_result *out)
{
    const trial *x = user;
    const dm_program *p = work->candidate->program;
    const dm_signature *s = p->predictors[0].signature;
    dm_value *outputs = dm_value_dict(a);
    dm_str name = s->fields[s->n_inputs].name;
    dm_str text = p == x->program                           ? dm_str_of(answer(x, work, row))
                  : dm_value_get(row, "cases")              ? reflected(x, a, row)
                  : dm_str_is(name, "proposed_instruction") ? proposed(x, a, row, work->rollout)
                                                            : DM_STR("COMPLETE");
    dm_value_set(a, outputs, name, dm_value_string(a, text));
    out->outputs = outputs;
    out->usage.requests = out->usage.answers = 1;
}

/* ---- one compilation ---- */

static dm_value *read_json(dm_arena *a, const char *text)
{
    return (dm_value *)(uintptr_t)dm_json_read(a, dm_str_of(text), NULL);
}

static void must(bool ok, const dm_error *err)
{
    if (ok)
        return;
    fprintf(stderr, "bench: %s\n", err->text);
    abort();
}

static void set_up(trial *x, dm_amount *cap)
{
    dm_error err = {DM_OK, ""};
    dm_arena *a = x->arena;
    dm_at at = dm_at_root(read_json(a, "{\"predict\": {\"signature\": \"question -> answer\", "
                                       "\"instructions\": \"Answer.\"}}"),
                          "bench", DM_E_JOB);
    dm_str *inputs = dm_arena_alloc(a, sizeof *inputs);
    *inputs = DM_STR("question");
    x->program = dm_program_read(a, &at, &err);
    must(x->program, &err);
    x->train = questions(a, 0, TRAIN);
    x->val = questions(a, FACTS_VAL, VAL);
    x->setup = (dm_setup){.program = x->program,
                          .job_file = "bench",
                          .json_fallback = true,
                          .metric = dm_value_text(a, "exact_match"),
                          .sets = {x->train, x->val, NULL},
                          .inputs = inputs,
                          .n_inputs = 1,
                          .cap = cap,
                          .deadline = INFINITY};
    for (int i = 0; i < DM_ROLES; i++)
        x->setup.lm[i] = read_json(a, "{\"model\": \"embedded/stand-in\", \"outage\": 100000}");
    x->sim = (dm_simulation){.seed = x->seed,
                             .ranks = 1,
                             .latency = 1,
                             .steady = true,
                             .survivors = 1,
                             .run = rule,
                             .user = x};
}

/* As `compile` does it under a cap on calls (dm_plan_limit). */
static void limit(trial *x, const dm_compile_input *in, double calls)
{
    dm_plan plan = {.predictors = 1};
    if (!in->params->class->limit)
        return;
    in->params->class->plan(x->arena, in, &plan);
    for (size_t i = 0; i < plan.n; i++)
        calls -= plan.phases[i].limited ? 0 : plan.phases[i].calls.expected;
    in->params->class->limit((dm_params *)(uintptr_t)in->params, (int64_t)fmax(1, calls));
}

static double compile(const facts_world *world, uint64_t seed, const char *json, double calls)
{
    dm_error err = {DM_OK, ""};
    dm_amount cap = DM_NO_CAP;
    trial x = {.w = world, .seed = seed, .arena = dm_arena_new(0)};
    cap.calls = calls;
    set_up(&x, &cap);
    dm_at at = dm_at_root(read_json(x.arena, json), "optimizer", DM_E_JOB);
    dm_params *params;
    must(dm_optimizer_read(x.arena, &at, &params, &err) == DM_OK, &err);
    params->has_seed = true;
    params->seed = (int64_t)seed;
    dm_compile_input in = {.params = params,
                           .student = dm_candidate_seal(dm_candidate_new(x.arena, x.program)),
                           .trainset = x.train,
                           .valset = x.val};
    limit(&x, &in, calls);
    dm_pool *p = dm_pool_simulated_new(&x.setup, &x.sim, &x.stats, &err);
    must(p, &err);
    dm_compile_output out;
    must(dm_compile(p, &in, &out, &err) >= DM_OK, &err);
    uint64_t prompt;
    facts_known t = known_of(&x, out.best, NULL, false, &prompt);
    double mean = facts_mean(world, &t);
    dm_pool_free(p);
    dm_arena_free(x.arena);
    return 100 * mean;
}

/* ---- the table ---- */

static void print_less(const double *v, const double *other, size_t n)
{
    double *less = dm_alloc_n(n, sizeof *less);
    for (size_t i = 0; i < n; i++)
        less[i] = v[i] - other[i];
    printf("  %+5.1f +- %-4.1f", facts_mean_of(less, n), facts_half_of(less, n));
    free(less);
}

static void compare(const facts_world *world, uint64_t first, size_t n)
{
    double *at[WAYS][LOOKS_AT];
    for (size_t w = 0; w < WAYS; w++)
        for (size_t l = 0; l < LOOKS_AT; l++) {
            at[w][l] = dm_alloc_n(n, sizeof **at[w]);
            for (size_t i = 0; i < n; i++)
                at[w][l][i] = compile(world, first + i, ways[w].json, requests[l]);
        }
    printf("%-24s", world->name);
    for (size_t l = 0; l < LOOKS_AT; l++)
        printf("  %5.0f calls  ", requests[l]);
    printf("\n");
    for (size_t w = 0; w < WAYS; w++) {
        printf("  %-22s", ways[w].name);
        for (size_t l = 0; l < LOOKS_AT; l++)
            printf("  %5.1f +- %-4.1f", facts_mean_of(at[w][l], n), facts_half_of(at[w][l], n));
        printf("\n");
    }
    for (int parent = PARALLEL; parent <= FACTOR; parent += FACTOR - PARALLEL) {
        printf("  reflective less %-6s", ways[parent].name);
        for (size_t l = 0; l < LOOKS_AT; l++)
            print_less(at[REFLECTIVE][l], at[parent][l], n);
        printf("\n");
    }
    for (size_t w = 0; w < WAYS; w++)
        for (size_t l = 0; l < LOOKS_AT; l++)
            free(at[w][l]);
}

void bench_reflect(const settings *o)
{
    size_t n = o->n ? o->n : 200;
    uint64_t first = o->seed == 400000 ? 101 : o->seed;
    printf("%zu worlds each, seeds %llu to %llu, %d to train on, %d to validate; +- half of the 95 "
           "%% interval\n",
           n, (unsigned long long)first, (unsigned long long)(first + n - 1), TRAIN, VAL);
    for (size_t k = 0; k < FACTS_WORLDS; k++)
        if (!o->families || strcmp(o->families, facts_worlds[k].name) == 0)
            compare(&facts_worlds[k], first, n);
}
