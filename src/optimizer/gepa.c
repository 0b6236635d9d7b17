/* GEPA (src/gepa/README.md): instructions that learn from feedback. The search is src/gepa's; here
 * its candidates become programs, its rows examples, and its questions work for the pool.
 *
 * With search = gepa it makes every decision of gepa 0.1.4 as DSPy drives it, defects included
 * (A.10): only so can the two be compared. The default proposes several children from one state at
 * the same time, and validates the most promising one (src/gepa/README.md). */
#include "optimizer/gepa.h"
#include "adapter/adapter.h"
#include "base/log.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct searching {
    dm_pool *pool;
    const dm_compile_input *in;
    const dm_gepa_options *o;
    size_t best; /* the candidate that was told last */
    size_t told; /* candidates that people know of */
    dm_gepa_asking asking;
} searching;

static const dm_candidate *program_of(const searching *s, const dm_str *texts)
{
    dm_candidate *c = dm_candidate_copy(dm_pool_arena(s->pool), s->in->student);
    for (size_t i = 0; i < c->program->n; i++)
        c->parts[i].instructions = texts[i];
    return dm_candidate_seal(c);
}

/* ---- runs ---- */

static dm_future *submit(const searching *s, const dm_gepa_batch *b)
{
    dm_arena *a = dm_pool_arena(s->pool);
    const dm_dataset *set = b->val ? s->in->valset : s->in->trainset;
    const dm_example **examples = dm_arena_alloc_n(a, b->n, sizeof *examples);
    dm_work w = dm_work_of(program_of(s, b->texts));
    w.steps = !b->val;
    for (size_t i = 0; i < b->n; i++)
        examples[i] = &set->examples[b->rows[i]];
    return dm_pool_submit(s->pool, &w, examples, b->n);
}

/* A step that failed is booked under the first predictor with its signature, as DSPy does it. */
static size_t booked_under(const searching *s, const dm_str *texts, size_t predictor)
{
    for (size_t k = 0; k < predictor; k++)
        if (s->o->shape[k] == s->o->shape[predictor] && dm_str_eq(texts[k], texts[predictor]))
            return k;
    return predictor;
}

/* Whether DSPy has no trajectory of it, as of all runs that raise. Of an answer that cannot be read
 * it has one, unless some of the fields were read: there it fails itself. */
static bool raises(const dm_result *r)
{
    if (r->fault == DM_FAULT_PARSE && (r->n_steps == 0 || r->steps[r->n_steps - 1].outputs))
        return true; /* in a program in Python, which predictor's answer it was is not known */
    if (r->fault == DM_FAULT_PARSE)
        return r->error && dm_parse_found_some(dm_str_of(r->error));
    return r->fault != DM_FAULT_NONE;
}

static dm_gepa_run run_of(const searching *s, const dm_str *texts, const dm_result *r)
{
    dm_gepa_step *steps = dm_arena_alloc_n(dm_pool_arena(s->pool), r->n_steps, sizeof *steps);
    for (size_t i = 0; i < r->n_steps; i++) {
        bool failed = !r->steps[i].outputs;
        size_t k = r->steps[i].predictor;
        steps[i] = (dm_gepa_step){failed ? booked_under(s, texts, k) : k, failed, &r->steps[i]};
    }
    /* A score that is NAN could not be had. */
    return (dm_gepa_run){.score = isnan(r->score) ? dm_pool_failure_score(s->pool) : r->score,
                         .answered = r->fault == DM_FAULT_NONE,
                         .crashed = s->o->wide ? r->n_steps == 0 : raises(r),
                         .absent = isnan(r->score),
                         .steps = steps,
                         .n_steps = r->n_steps,
                         .of = r};
}

static dm_status evaluate(void *user, dm_gepa_batch *b, size_t n, dm_error *err)
{
    searching *s = user;
    dm_future **futures = dm_arena_alloc_n(dm_pool_arena(s->pool), n, sizeof(dm_future *));
    const dm_result *r;
    for (size_t k = 0; k < n; k++)
        futures[k] = submit(s, &b[k]);
    for (size_t k = 0; k < n; k++) {
        dm_status st = dm_pool_wait(s->pool, futures[k], &r, err);
        if (st != DM_OK)
            return st;
        for (size_t i = 0; i < b[k].n; i++)
            b[k].runs[i] = run_of(s, b[k].texts, &r[i]);
    }
    return DM_OK;
}

static dm_status reflect(void *user, const dm_gepa_question *q, size_t n, dm_str *texts,
                         dm_error *err)
{
    searching *s = user;
    return dm_gepa_ask(&s->asking, q, n, texts, err);
}

/* ---- what is said and kept ---- */

/* For people; their scores are all that is at hand. */
static void tell_tried(searching *s, const dm_gepa_iteration *it)
{
    size_t n = s->in->valset->n;
    dm_result *r = dm_alloc_n(n, sizeof *r);
    for (; s->told < it->n_candidates; s->told++) {
        const dm_gepa_candidate *c = &it->candidates[s->told];
        dm_scored t = {.candidate = program_of(s, c->texts)};
        snprintf(t.name, sizeof t.name, "%zu", s->told);
        for (size_t i = 0; i < n; i++)
            r[i] = c->runs && c->runs[i].of ? *(const dm_result *)c->runs[i].of
                                            : (dm_result){.score = c->scores[i], .present = true};
        dm_tell_tried(s->pool, s->in, s->told, &t, r, n, NULL, NULL);
        if (s->told == 0)
            dm_tell_best(s->pool, s->in, 0, c->mean);
    }
    free(r);
}

static void tell(void *user, const dm_gepa_iteration *it)
{
    searching *s = user;
    tell_tried(s, it);
    for (size_t k = 0; k < it->n_accepted; k++) {
        const dm_gepa_candidate *c = &it->candidates[it->accepted[k]];
        if (!(c->value > it->candidates[s->best].value))
            continue;
        s->best = it->accepted[k];
        dm_tell_best(s->pool, s->in, s->best, c->mean);
        dm_log(DM_INFO,
               "iteration %zu: candidate %zu scores %.1f %% on the validation set, the best so far",
               it->number + 1, s->best, 100 * c->mean);
    }
}

/* The results that the runs hold, in one array; NULL: not all of them are there. */
static const dm_result *results_of(const searching *s, const dm_gepa_candidate *c)
{
    size_t n = s->in->valset->n;
    if (!c->runs)
        return NULL;
    dm_result *all = dm_arena_alloc_n(dm_pool_arena(s->pool), n, sizeof *all);
    for (size_t i = 0; i < n; i++)
        all[i] = *(const dm_result *)c->runs[i].of;
    return all;
}

static void record(const searching *s, const dm_gepa_result *g, dm_compile_output *out)
{
    size_t n = s->in->valset->n;
    out->scored = dm_arena_alloc_n(dm_pool_arena(s->pool), g->n, sizeof *out->scored);
    for (size_t k = 0; k < g->n; k++) {
        dm_scored *c = &out->scored[out->n_scored++];
        c->candidate = program_of(s, g->candidates[k].texts);
        c->results = results_of(s, &g->candidates[k]);
        c->score = g->candidates[k].mean;
        snprintf(c->name, sizeof c->name, "%zu", k);
    }
    if (g->n == 0)
        return;
    out->best_index = g->best;
    out->best = out->scored[g->best].candidate;
    out->start = out->scored[0].results;
    out->winner = out->scored[g->best].results;
    out->valset = s->in->valset;
    if (g->best == 0 && g->iterations > 0)
        dm_log(DM_WARN,
               "no proposal was better than the start program on its %zu validation examples", n);
}

static void tell_end(const dm_gepa_result *g)
{
    dm_log(DM_INFO,
           "gepa: %zu iterations, %zu reflections, %zu children validated, %zu merges taken, %zu "
           "minibatches that were perfect; %lld program runs, as it counts them",
           g->iterations, g->reflections, g->accepted, g->merges, g->perfect_batches,
           (long long)g->counted);
    if (g->end == DM_GEPA_END_DRY)
        dm_log(DM_WARN, "gepa: reflections give no new instructions any more, so the search ends "
                        "before its budget is used up");
    if (g->end == DM_GEPA_END_ANCESTOR)
        dm_log(DM_WARN, "the ancestors of a merge all score 0, where gepa 0.1.4 ends with an "
                        "error: the search ends with the best so far");
}

/* For the last line. */
static const dm_value *told_of(dm_arena *a, const dm_gepa_result *g, const dm_gepa_asking *asked)
{
    dm_value *d = dm_value_dict(a), *named = dm_value_dict(a);
    const struct {
        const char *key;
        size_t n;
    } rows[] = {{"iterations", g->iterations},
                {"reflections", g->reflections + asked->more},
                {"failed_reflections", g->failed_reflections},
                {"validated", g->full_evaluations},
                {"accepted", g->accepted},
                {"merges", g->merges},
                {"perfect_minibatches", g->perfect_batches},
                {"metric_calls", (size_t)g->counted},
                {"too_long", asked->too_long},
                {"leaks", asked->leaks},
                {"leaks_dropped", asked->dropped}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        dm_value_set(a, d, dm_str_of(rows[i].key), dm_value_int(a, (int64_t)rows[i].n));
    dm_value_set(a, named, DM_STR("gepa"), d);
    return named;
}

static dm_status check_end(const dm_compile_input *in, const dm_gepa_result *g,
                           const dm_gepa_asking *asked, dm_error *err)
{
    if (g->end != DM_GEPA_END_REFLECTION)
        return DM_OK;
    return dm_fail(err, DM_E_MODEL,
                   "gepa: %lld iterations in a row without a usable reflection of the prompt "
                   "model: check lms.prompt, or allow more with "
                   "optimizer.max_reflection_failures; the last: %s",
                   (long long)dm_gepa_params_of(in)->max_reflection_failures,
                   asked->why ? asked->why : "it gave no text");
}

static void announce(dm_buf *b, dm_arena *a, const dm_compile_input *in, int64_t concurrency)
{
    dm_gepa_options o = dm_gepa_options_of(a, in);
    (void)concurrency;
    dm_buf_printf(b, "search = %s: %lld program runs, reflections %scounted; ",
                  o.wide ? "parallel" : "gepa", (long long)o.budget, o.wide ? "" : "not ");
    if (o.wide)
        dm_buf_printf(b, "%zu proposals at a time; optimizer.search = gepa decides as gepa 0.1.4\n",
                      dm_gepa_width(&o));
    else
        dm_buf_printf(b,
                      "every decision is that of gepa 0.1.4 under DSPy, defects included; its "
                      "last iteration may run %zu more\n",
                      dm_gepa_width(&o) * (o.n_val + 2 * o.minibatch) - 1);
}

static dm_status run(dm_pool *p, const dm_compile_input *in, dm_compile_output *out, dm_error *err)
{
    dm_arena *a = dm_pool_arena(p);
    dm_gepa_options o = dm_gepa_options_of(a, in);
    const dm_gepa_params *params = dm_gepa_params_of(in);
    searching s = {.pool = p,
                   .in = in,
                   .o = &o,
                   .asking = {.pool = p,
                              .in = in,
                              .max_chars = (size_t)params->max_chars,
                              .drop_leaks = params->leak == 1,
                              .verbatim = !o.wide}};
    const dm_gepa_world world = {&s, evaluate, reflect, tell};
    o.more = &s.asking.more;
    dm_str *start = dm_arena_alloc_n(a, o.n_components, sizeof *start);
    dm_gepa_result g;
    for (size_t i = 0; i < o.n_components; i++)
        start[i] = in->student->parts[i].instructions;
    dm_pool_phase(p, "search", (size_t)o.budget);
    dm_status st = dm_gepa_search(a, &o, start, &world, &g, err);
    if (st != DM_OK)
        return st;
    record(&s, &g, out);
    tell_end(&g);
    out->told = told_of(a, &g, &s.asking);
    st = check_end(in, &g, &s.asking, err);
    return st == DM_OK ? g.stopped : st;
}

static size_t demos(const dm_params *p) /* it adds none */
{
    (void)p;
    return 0;
}

static bool any_score(const dm_params *p)
{
    return ((const dm_gepa_params *)p)->search == DM_GEPA_EXACT;
}

const dm_optimizer dm_optimizer_gepa = {
    .name = "gepa",
    .aliases = (const char *const[]){"GEPA", NULL},
    .size = sizeof(dm_gepa_params),
    .params = dm_gepa_table,
    .roles = 1u << DM_PROMPT,
    .valset = DM_VALSET_TRAINSET,
    .few_train = 20,
    .few_val = 50,
    .demos = demos,
    .check = dm_gepa_check,
    .plan = dm_gepa_plan,
    .announce = announce,
    .any_score = any_score,
    .run = run,
};
