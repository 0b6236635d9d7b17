#include "cmd/evidence.h"
#include "base/clock.h"
#include "base/show.h"
#include "cmd/job_models.h"
#include "data/csv.h"
#include "cmd/trials.h"
#include "json/json.h"
#include "optimizer/ensemble.h"

#include <math.h>
#include <stdio.h>

#define MOST_DISAGREE 200

static const dm_value *count(dm_arena *a, size_t n)
{
    return dm_value_int(a, (int64_t)n);
}

/* ---- prompts ---- */

static const dm_value *prompt_tokens(dm_arena *a, const dm_job *job, const dm_candidate *c)
{
    return count(a, dm_prompt_tokens(job, c));
}

/* ---- what was spent, and how long it took ---- */

static dm_value *usage_json(dm_arena *a, const dm_watch *w, const dm_pool_stats *s)
{
    dm_value *list = dm_value_list(a);
    for (size_t i = 0; i < s->n_spent; i++) {
        const dm_spent *p = &s->spent[i];
        dm_value *d = dm_value_dict(a);
        dm_value_set(a, d, DM_STR("phase"), dm_value_text(a, p->phase));
        dm_value_set(a, d, DM_STR("role"), dm_value_text(a, dm_job_role_name(w->job, p->role)));
        dm_value_set(a, d, DM_STR("runs"), count(a, p->runs));
        dm_value_set(a, d, DM_STR("calls"), dm_value_int(a, p->usage.requests));
        dm_value_set(a, d, DM_STR("answers"), dm_value_int(a, p->usage.answers));
        dm_value_set(a, d, DM_STR("retries"), dm_value_int(a, p->usage.retries));
        dm_value_set(a, d, DM_STR("tokens"), dm_tokens_json(a, &p->usage));
        dm_value_set(a, d, DM_STR("cost"), dm_value_finite(a, p->cost));
        dm_value_append(a, list, d);
    }
    return list;
}

static dm_value *ranks_json(dm_arena *a, const dm_watch *w)
{
    size_t n;
    const dm_rank_stats *r = dm_pool_ranks(w->pool, a, &n);
    dm_value *list = dm_value_list(a);
    for (size_t i = 0; i < n; i++) {
        dm_value *d = dm_value_dict(a);
        dm_value_set(a, d, DM_STR("rank"), count(a, i + 1));
        dm_value_set(a, d, DM_STR("runs"), count(a, r[i].runs));
        dm_value_set(a, d, DM_STR("busy_seconds"), dm_value_finite(a, r[i].busy));
        dm_value_set(a, d, DM_STR("median"), dm_value_finite(a, r[i].half));
        dm_value_set(a, d, DM_STR("p95"), dm_value_finite(a, r[i].most));
        dm_value_set(a, d, DM_STR("p99"), dm_value_finite(a, r[i].nearly_all));
        dm_value_append(a, list, d);
    }
    return list;
}

static dm_value *errors_json(dm_arena *a, const dm_pool_stats *s)
{
    dm_value *d = dm_value_dict(a);
    for (size_t k = 1; k < DM_FAULTS; k++) {
        const char *name = dm_fault_name((dm_fault)k);
        const dm_value *old = dm_value_get(d, name);
        if (s->faults[k])
            dm_value_set(a, d, dm_str_of(name),
                         count(a, s->faults[k] + (old ? (size_t)old->number : 0)));
    }
    return d;
}

static dm_value *points_json(dm_arena *a, const dm_watch *w)
{
    dm_value *list = dm_value_list(a);
    for (size_t i = 0; i < w->n_points; i++) {
        const dm_point *p = &w->points[i];
        dm_value *one = dm_value_list(a);
        dm_value_append(a, one, dm_value_float(a, round(1000 * p->seconds) / 1000));
        dm_value_append(a, one, dm_value_int(a, p->calls));
        dm_value_append(a, one, count(a, p->busy));
        dm_value_append(a, one, count(a, p->done));
        dm_value_append(a, one, dm_value_finite(a, p->best));
        dm_value_append(a, list, one);
    }
    return list;
}

/* ---- candidates ---- */

/* The row that tells of it, by its name and program. */
static const dm_tried_row *row_of(const dm_pool_stats *s, const dm_scored *c, size_t at)
{
    for (size_t i = 0; i < s->n_tried; i++) { /* most often it is the one at the same place */
        const dm_tried_row *row = s->tried[(at + i) % s->n_tried];
        if (!row->what.part && row->what.candidate == c->candidate)
            return row;
    }
    return NULL;
}

static dm_value *candidates_json(dm_arena *a, const dm_watch *w, const dm_pool_stats *s,
                                 const dm_compile_output *result)
{
    dm_value *list = dm_value_list(a);
    size_t at = 0;
    for (size_t i = 0; i < result->n_scored; i++) {
        const dm_scored *c = &result->scored[i];
        const dm_tried_row *row = row_of(s, c, at);
        dm_value *d = dm_value_dict(a);
        at += row != NULL;
        dm_value_set(a, d, DM_STR("trial"), count(a, i));
        dm_value_set(a, d, DM_STR("name"), dm_value_text(a, c->name));
        if (row) {
            dm_value_set(a, d, DM_STR("calls"), dm_value_int(a, row->calls));
            dm_value_set(a, d, DM_STR("seconds"),
                         dm_value_float(a, round(1000 * row->seconds) / 1000));
        }
        if (isfinite(c->estimate) && result->searched.method)
            dm_value_set(a, d, DM_STR("estimate"), dm_value_finite(a, c->estimate));
        dm_value_set(a, d, DM_STR("prompt_tokens"), prompt_tokens(a, w->job, c->candidate));
        dm_value_append(a, list, d);
    }
    return list;
}

/* ---- an ensemble ---- */

static const dm_value *answer_of(dm_arena *a, const dm_result *r, dm_str field)
{
    const dm_value *v = r->outputs.p ? dm_json_read(a, r->outputs, NULL) : NULL;
    const dm_value *answer = v && v->kind == DM_DICT ? dm_value_get_str(v, field) : NULL;
    return answer ? answer : dm_value_null(a);
}

static const dm_nominee *nominee_of(const dm_ensemble_output *o, size_t member)
{
    const dm_ensemble *e = o->ensemble;
    for (size_t j = 0; j < o->n_pool; j++)
        if (dm_hash_eq(&o->pool[j].candidate->hash, &e->members[member]->hash) &&
            dm_str_eq(o->pool[j].lm, e->lm ? e->lm[member] : (dm_str){NULL, 0}))
            return &o->pool[j];
    return NULL;
}

static void put_disagreement(dm_arena *a, dm_value *d, const dm_ensemble_output *o,
                             const dm_nominee *const *voters, const dm_dataset *set)
{
    dm_value *list = dm_value_list(a);
    const dm_ensemble *e = o->ensemble;
    size_t differ = 0, n = 0;
    for (size_t i = 0; i < set->n; i++) {
        dm_value *answers = dm_value_list(a), *scores = dm_value_list(a), *one = dm_value_dict(a);
        const dm_value *votes[DM_COMMITTEE_MOST];
        int class[DM_COMMITTEE_MOST];
        bool same = true;
        for (size_t k = 0; k < e->n; k++) {
            if (!voters[k] || !voters[k]->row)
                return;
            votes[k] = dm_answer_of(a, &voters[k]->row[i], e->field);
            dm_value_append(a, answers, answer_of(a, &voters[k]->row[i], e->field));
            dm_value_append(a, scores, dm_value_finite(a, voters[k]->row[i].score));
        }
        dm_vote_classes(votes, e->n, dm_reduce_as_text(e->reduce, e->exact_field), class);
        for (size_t k = 1; k < e->n; k++)
            same &= class[k] == class[0];
        differ += !same;
        if (same || n++ >= MOST_DISAGREE)
            continue;
        dm_value_set(a, one, DM_STR("id"), dm_value_text(a, set->examples[i].id));
        dm_value_set(a, one, DM_STR("answers"), answers);
        dm_value_set(a, one, DM_STR("scores"), scores);
        const dm_value *label = dm_value_get_str(set->examples[i].row, e->field);
        dm_value_set(a, one, DM_STR("label"), label ? label : dm_value_null(a));
        dm_value_append(a, list, one);
    }
    dm_value_set(a, d, DM_STR("rows"), count(a, set->n));
    dm_value_set(a, d, DM_STR("differ"), count(a, differ));
    dm_value_set(a, d, DM_STR("disagree"), list);
}

static dm_value *ensemble_json(dm_arena *a, const dm_watch *w, const dm_ensemble_output *o)
{
    const dm_ensemble *e = o->ensemble;
    const dm_dataset *set = w->job->valset;
    const dm_nominee **voters = dm_arena_alloc_n(a, e->n + 1, sizeof *voters);
    dm_value *d = dm_value_dict(a), *members = dm_value_list(a);
    for (size_t k = 0; k < e->n; k++) {
        dm_value *m = dm_value_dict(a);
        voters[k] = nominee_of(o, k);
        dm_value_set(a, m, DM_STR("from"),
                     dm_value_text(a, voters[k] ? voters[k]->from : "not known"));
        dm_value_set(a, m, DM_STR("votes"), count(a, e->votes[k]));
        if (voters[k] && voters[k]->row) {
            dm_score s = dm_score_of(voters[k]->row, set->n);
            dm_value_set(a, m, DM_STR("score"), dm_value_finite(a, s.score));
            dm_value_set(a, m, DM_STR("low"), dm_value_finite(a, s.low));
            dm_value_set(a, m, DM_STR("high"), dm_value_finite(a, s.high));
            dm_value_set(a, m, DM_STR("n"), count(a, s.n));
        }
        dm_value_set(a, m, DM_STR("prompt_tokens"), prompt_tokens(a, w->job, e->members[k]));
        dm_value_append(a, members, m);
    }
    dm_value_set(a, d, DM_STR("field"), dm_value_string(a, e->field));
    dm_value_set(a, d, DM_STR("reduce"), dm_value_text(a, dm_reduce_name(e->reduce)));
    dm_value_set(a, d, DM_STR("chosen"), dm_value_text(a, dm_ensemble_chosen(o)));
    dm_value_set(a, d, DM_STR("members"), members);
    put_disagreement(a, d, o, voters, set);
    return d;
}

/* ---- the files ---- */

static void put_result(dm_arena *a, dm_value *d, const dm_watch *w, const dm_pool_stats *stats,
                       const dm_compile_output *result)
{
    dm_value *compiled = dm_value_dict(a);
    dm_value_set(a, d, DM_STR("candidates"), candidates_json(a, w, stats, result));
    if (result->searched.levels)
        dm_value_set(a, d, DM_STR("levels"), result->searched.levels);
    dm_value_set(a, compiled, DM_STR("prompt_tokens"), prompt_tokens(a, w->job, result->best));
    dm_value_set(a, d, DM_STR("compiled"), compiled);
    if (result->ensemble && result->ensemble->ensemble)
        dm_value_set(a, d, DM_STR("ensemble"), ensemble_json(a, w, result->ensemble));
}

void dm_evidence_write(const dm_watch *w, const dm_pool_stats *stats,
                       const dm_compile_output *result)
{
    dm_arena *a = dm_arena_new(0);
    dm_value *d = dm_value_dict(a), *start = dm_candidate_write(a, w->job->student);
    dm_buf b, shown;
    dm_error unsaid;
    dm_value_set(a, d, DM_STR("dspy_mpi"), dm_value_text(a, DM_VERSION));
    dm_value_set(a, d, DM_STR("started"), w->started);
    dm_value_set(a, d, DM_STR("ended"), result ? dm_time_text(a, time(NULL)) : dm_value_null(a));
    dm_value_set(a, d, DM_STR("seconds"),
                 dm_value_float(a, round(1000 * (dm_now() - w->opened)) / 1000));
    dm_value_set(a, d, DM_STR("ranks"), count(a, stats->ranks));
    dm_value_set(a, d, DM_STR("places"), count(a, stats->slots));
    dm_value_set(a, d, DM_STR("stand_in"), dm_value_bool(a, w->job->stand_in));
    dm_value_set(a, d, DM_STR("model"), dm_value_text(a, w->job->model));
    dm_value_set(a, d, DM_STR("job_file"), dm_value_text(a, w->job->file));
    dm_value_set(a, d, DM_STR("options"), w->options);
    dm_value_set(a, d, DM_STR("usage"), usage_json(a, w, stats));
    dm_value_set(a, d, DM_STR("rank"), ranks_json(a, w));
    dm_value_set(a, d, DM_STR("errors"), errors_json(a, stats));
    dm_value_set(a, d, DM_STR("points"), points_json(a, w));
    dm_value_set(a, start, DM_STR("prompt_tokens"), prompt_tokens(a, w->job, w->job->student));
    dm_value_set(a, d, DM_STR("start"), start);
    if (result)
        put_result(a, d, w, stats, result);
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_buf_init(&shown, DM_MAX_FILE);
    dm_json_write(&b, d, DM_JSON_PYTHON);
    dm_show(&shown, dm_buf_view(&b), DM_SHOW_JSON);
    dm_buf_char(&shown, '\n');
    if (!b.full && !shown.full)
        (void)!dm_out_put(w->job, "evidence.json", dm_buf_view(&shown), &unsaid);
    dm_buf_free(&b);
    dm_buf_free(&shown);
    dm_arena_free(a);
}

void dm_scores_write(const dm_job *job, const dm_compile_output *result, const dm_dataset *valset,
                     const dm_result *start)
{
    dm_buf b;
    dm_error unsaid;
    dm_buf_init(&b, DM_MAX_FILE);
    dm_buf_text(&b, DM_SCORES_START);
    for (size_t i = 0; i < valset->n; i++) {
        dm_buf_char(&b, ',');
        dm_csv_put(&b, dm_str_of(valset->examples[i].id));
    }
    dm_buf_char(&b, '\n');
    for (size_t k = 0; k < result->n_scored; k++) {
        const dm_result *r = result->scored[k].results;
        dm_buf_printf(&b, "%zu", k);
        for (size_t i = 0; i < valset->n; i++) {
            dm_buf_char(&b, ',');
            if (!r || !dm_counts_against(&r[i], start ? &start[i] : NULL))
                continue;
            if (r[i].score == 0 || r[i].score == 1)
                dm_buf_char(&b, r[i].score == 1 ? '1' : '0');
            else
                dm_buf_printf(&b, "%.6g", r[i].score);
        }
        dm_buf_char(&b, '\n');
    }
    if (!b.full)
        (void)!dm_out_put(job, "scores.csv", dm_buf_view(&b), &unsaid);
    dm_buf_free(&b);
}
