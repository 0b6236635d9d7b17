#include "cmd/trials.h"
#include "adapter/adapter.h"
#include "cmd/owned.h"
#include "data/csv.h"
#include "optimizer/ensemble.h"
#include "program/state_file.h"

#include <math.h>

dm_value *dm_provenance(dm_arena *a, const dm_job *job, const dm_value *scores)
{
    const dm_value *identity = dm_job_identity(a, job);
    dm_value *d = dm_value_dict(a);
    dm_value_set(a, d, DM_STR("adapter"), dm_value_get(identity, "adapter"));
    dm_value_set(a, d, DM_STR("model"), dm_value_text(a, job->model));
    if (job->lm.p)
        dm_value_set(a, d, DM_STR("role"), dm_value_string(a, job->lm));
    dm_value_set(a, d, DM_STR("optimizer"), dm_value_get(identity, "optimizer"));
    dm_value_set(a, d, DM_STR("seed"), dm_value_get(identity, "seed"));
    if (scores)
        dm_value_set(a, d, DM_STR("scores"), scores);
    return d;
}

void dm_program_text(dm_buf *b, dm_arena *a, const dm_job *job, const dm_candidate *c,
                     const dm_value *scores)
{
    dm_state_write(b, a, c, dm_provenance(a, job, scores));
}

const dm_value *dm_trial_scores(dm_arena *a, const dm_score *s)
{
    dm_value *v = dm_value_dict(a);
    dm_value_set(a, v, DM_STR("valset"), dm_score_json(a, s));
    return v;
}

/* Of "1.0 2.3", the instruction and the demonstration set of each predictor: "1 2" and "0 3". */
static void put_levels(dm_buf *b, const char *levels)
{
    dm_buf column[2];
    dm_buf_init(&column[0], DM_MAX_TEXT);
    dm_buf_init(&column[1], DM_MAX_TEXT);
    for (int at = 0; levels && *levels; levels++) {
        at = *levels == '.' ? 1 : *levels == ' ' ? 0 : at;
        if (*levels == ' ') {
            dm_buf_char(&column[0], ' ');
            if (column[1].len)
                dm_buf_char(&column[1], ' ');
        } else if (*levels != '.') {
            dm_buf_char(&column[at], *levels);
        }
    }
    for (int i = 0; i < 2; i++) {
        dm_buf_char(b, ',');
        dm_csv_put(b, dm_buf_view(&column[i]));
        dm_buf_free(&column[i]);
    }
}

#define BYTES_A_TOKEN 4 /* where nothing was measured */

size_t dm_prompt_tokens(const dm_job *job, const dm_candidate *c)
{
    size_t bytes = 0;
    dm_arena *own = dm_arena_new(0);
    for (size_t i = 0; i < c->program->n; i++) {
        dm_prefix p = {NULL, 0};
        if (dm_adapter_prefix(own, job->setup.adapter, c->program->predictors[i].signature,
                              c->parts[i].instructions, c->parts[i].demos, c->parts[i].n_demos, &p,
                              NULL) != DM_OK)
            continue;
        for (size_t k = 0; k < p.n; k++)
            bytes += p.messages[k].content.n;
        dm_arena_reset(own);
    }
    dm_arena_free(own);
    return (bytes + BYTES_A_TOKEN / 2) / BYTES_A_TOKEN;
}

/* Two that are alike: the first is on it. */
static bool is_beaten_by(const dm_length_point *x, const dm_length_point *y, bool y_is_first)
{
    if (y->n < x->n || !(y->score >= x->score) || y->tokens > x->tokens)
        return false;
    return y->score > x->score || y->tokens < x->tokens || y_is_first;
}

void dm_front_of(const dm_length_point *points, size_t n, bool *on)
{
    size_t most = 0;
    for (size_t i = 0; i < n; i++)
        most = points[i].n > most ? points[i].n : most;
    for (size_t i = 0; i < n; i++) {
        on[i] = points[i].n == most && most > 0 && !isnan(points[i].score);
        for (size_t k = 0; k < n && on[i]; k++)
            on[i] = k == i || !is_beaten_by(&points[i], &points[k], k < i);
    }
}

void dm_front_text(dm_buf *b, const dm_length_point *points, size_t n, const bool *on,
                   const char *out)
{
    enum { LINES = 8 };
    size_t all = 0, said = 0;
    for (size_t i = 0; i < n; i++)
        all += on[i];
    if (all < 2)
        return;
    dm_buf_printf(b, "%zu candidates that no other beats both in score and in length:\n", all);
    for (size_t i = 0; i < n && said < LINES; i++)
        if (on[i]) {
            dm_buf_printf(b, "  %-6zu %5.1f %%  %5zu tokens of prompt\n", i, 100 * points[i].score,
                          points[i].tokens);
            said++;
        }
    if (said < all)
        dm_buf_text(b, "  the others stand in trials.csv, front = 1\n");
    dm_buf_printf(b, "  one of them instead of the best: dspy-mpi export %s --pick=N\n", out);
}

/* What is not known is an empty cell. */
static void put_score_cells(dm_buf *b, const dm_score *s)
{
    const double v[] = {s->score, s->low, s->high};
    for (int i = 0; i < 3; i++)
        dm_buf_printf(b, isnan(v[i]) ? "," : ",%.6f", v[i]);
}

void dm_put_trial(dm_buf *b, size_t i, const char *name, const dm_score *s, bool best,
                  const char *levels, const dm_length_point *point, bool front)
{
    dm_buf_printf(b, "%zu,", i);
    dm_csv_put(b, dm_str_of(name));
    put_score_cells(b, s);
    dm_buf_printf(b, ",%zu,%zu,%zu,%zu,%zu,%d,candidates/%03zu.json", s->n, s->failed, s->fallback,
                  s->truncated, s->parse, best, i);
    put_levels(b, levels);
    if (point)
        dm_buf_printf(b, ",%zu,%d\n", point->tokens, front);
    else
        dm_buf_text(b, ",,\n");
}

/* ---- members ---- */

void dm_job_name_model(dm_job *job, dm_str lm, dm_role role)
{
    if (!lm.p)
        return;
    job->lm = lm;
    job->model = job->setup.model[role]->model;
}

dm_job dm_job_of_member(dm_arena *a, const dm_job *whole, size_t number, const dm_compile_input *in)
{
    const dm_ensemble_params *p = (const dm_ensemble_params *)whole->optimizer;
    const dm_ensemble_of *of = dm_ensemble_of_member(p, number - 1);
    dm_value *json = dm_value_copy(a, whole->json);
    dm_job job = *whole;
    dm_value_set(a, json, DM_STR("optimizer"), of->json);
    job.json = json;
    job.optimizer = (dm_params *)(uintptr_t)in->params;
    job.has_seed = true;
    job.seed = in->params->seed;
    job.student = in->student;
    dm_job_name_model(&job, of->lm, dm_ensemble_task_of(in));
    job.out = dm_arena_printf(a, "%s/members/%zu", whole->out, number);
    return job;
}
