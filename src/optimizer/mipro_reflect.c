/* proposer = reflective: instructions that are written while the search runs, from what the best
 * candidate so far does on examples of the training set. The validation set chooses among them,
 * so it is never shown. */
#include "base/log.h"
#include "optimizer/gepa.h"
#include "optimizer/mipro.h"

#include <math.h>

enum { ROWS = 8 }; /* of the training set, that one reflection sees (src/gepa/README.md) */

size_t dm_mipro_reflections(const dm_compile_input *in)
{
    const dm_mipro_params *p = dm_mipro_params_of(in);
    return p->proposer == DM_PROPOSER_REFLECTIVE ? (size_t)p->reflections : 0;
}

size_t dm_mipro_reflective_calls(const dm_compile_input *in)
{
    size_t k = dm_mipro_reflections(in), rows = in->trainset->n < ROWS ? in->trainset->n : ROWS;
    return DM_REFLECTIVE_ROUNDS * k * (rows + in->student->program->n);
}

size_t dm_mipro_reflections_that_fit(const dm_compile_input *in, const dm_mipro_plan *plan)
{
    size_t calls = dm_mipro_reflective_calls(in);
    if (calls == 0 || 2 * (calls + plan->n_val) <= plan->runs)
        return dm_mipro_reflections(in);
    dm_log(DM_WARN,
           "proposer = reflective: the search has %zu program runs, and reflections would take %zu "
           "of them: none are made",
           plan->runs, calls);
    return 0;
}

/* ---- one round ---- */

typedef struct seen {   /* a minibatch */
    const size_t *rows; /* [n] of the training set */
    size_t n;
    dm_future *future;
    dm_gepa_run *runs; /* [n] */
} seen;

static seen draw(const dm_mipro *m, const dm_candidate *best, dm_pyrandom *rng)
{
    dm_arena *a = dm_pool_arena(m->pool);
    const dm_dataset *train = m->in->trainset;
    seen s = {.n = train->n < ROWS ? train->n : ROWS};
    size_t *rows = dm_arena_alloc_n(a, s.n, sizeof *rows);
    const dm_example **examples = dm_arena_alloc_n(a, s.n, sizeof *examples);
    dm_work w = dm_work_of(best);
    w.steps = true;
    dm_pyrandom_sample(rng, train->n, s.n, rows);
    for (size_t i = 0; i < s.n; i++)
        examples[i] = &train->examples[rows[i]];
    s.rows = rows;
    s.future = dm_pool_submit(m->pool, &w, examples, s.n);
    return s;
}

static dm_status await(const dm_mipro *m, seen *s, dm_error *err)
{
    dm_arena *a = dm_pool_arena(m->pool);
    const dm_result *r;
    dm_status st = dm_pool_wait(m->pool, s->future, &r, err);
    if (st != DM_OK)
        return st;
    s->runs = dm_arena_alloc_n(a, s->n, sizeof *s->runs);
    for (size_t i = 0; i < s->n; i++) {
        dm_gepa_step *steps = dm_arena_alloc_n(a, r[i].n_steps, sizeof *steps);
        for (size_t k = 0; k < r[i].n_steps; k++)
            steps[k] =
                (dm_gepa_step){r[i].steps[k].predictor, !r[i].steps[k].outputs, &r[i].steps[k]};
        s->runs[i] = (dm_gepa_run){.score = isnan(r[i].score) ? 0 : r[i].score,
                                   .absent = isnan(r[i].score),
                                   .answered = r[i].fault == DM_FAULT_NONE,
                                   .steps = steps,
                                   .n_steps = r[i].n_steps,
                                   .of = &r[i]};
    }
    return DM_OK;
}

/* What the predictor did on these rows; its last call where it has several. */
static size_t show(dm_arena *a, const seen *s, size_t predictor, const dm_gepa_shown **out)
{
    dm_gepa_shown *shown = dm_arena_alloc_n(a, s->n, sizeof *shown);
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        const dm_gepa_run *r = &s->runs[i];
        const dm_gepa_step *step = NULL;
        for (size_t k = 0; k < r->n_steps && !r->absent; k++)
            if (r->steps[k].component == predictor)
                step = &r->steps[k];
        if (step)
            shown[n++] = (dm_gepa_shown){s->rows[i], r, step};
    }
    *out = shown;
    return n;
}

dm_status dm_mipro_reflect(const dm_mipro *m, const dm_candidate *best, size_t round, dm_str *texts,
                           dm_error *err)
{
    dm_arena *a = dm_pool_arena(m->pool);
    size_t k = dm_mipro_reflections(m->in), predictors = best->program->n, n = 0;
    seen *batches = dm_arena_alloc_n(a, k, sizeof *batches);
    dm_gepa_question *q = dm_arena_alloc_n(a, k * predictors, sizeof *q);
    size_t *of = dm_arena_alloc_n(a, k * predictors, sizeof *of);
    dm_str *now = dm_arena_alloc_n(a, predictors, sizeof *now),
           *said = dm_arena_alloc_n(a, k * predictors, sizeof *said);
    dm_gepa_asking asking = {.pool = m->pool, .in = m->in};
    dm_pyrandom rng;
    dm_status st = DM_OK;
    dm_pyrandom_seed(&rng, (int64_t)DM_REFLECTIVE_ROUNDS * dm_seed_of(m->in->params) +
                               (int64_t)round + 1);
    for (size_t p = 0; p < predictors; p++)
        now[p] = best->parts[p].instructions;
    for (size_t i = 0; i < k; i++)
        batches[i] = draw(m, best, &rng);
    for (size_t i = 0; i < k && st == DM_OK; i++)
        st = await(m, &batches[i], err);
    for (size_t i = 0; i < k && st == DM_OK; i++)
        for (size_t p = 0; p < predictors; p++) {
            const dm_gepa_shown *shown;
            size_t n_shown = show(a, &batches[i], p, &shown);
            of[n] = p * k + i;
            if (n_shown)
                q[n++] = (dm_gepa_question){.iteration = round,
                                            .proposal = i,
                                            .texts = now,
                                            .component = p,
                                            .shown = shown,
                                            .n_shown = n_shown};
        }
    if (st == DM_OK)
        st = dm_gepa_ask(&asking, q, n, said, err);
    for (size_t i = 0; i < k * predictors; i++)
        texts[i] = (dm_str){NULL, 0};
    for (size_t i = 0; i < n && st == DM_OK; i++)
        texts[of[i]] = said[i];
    return st;
}
