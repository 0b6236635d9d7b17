#include "metric/judge.h"
#include "adapter/media.h"
#include "json/json.h"
#include "metric/judge_inside.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

static dm_str name_of(const dm_value *spec)
{
    const dm_value *name = spec && spec->kind == DM_DICT ? dm_value_get(spec, "name") : spec;
    return name && name->kind == DM_STRING ? name->text : (dm_str){NULL, 0};
}

static const dm_judge_class *class_of(const dm_value *spec)
{
    dm_str name = name_of(spec);
    if (spec && dm_value_get(spec, "judge"))
        return &dm_judge_own;
    return name.p ? dm_judge_named(name) : NULL;
}

static size_t calls_of(const dm_value *spec)
{
    const dm_judge_class *class = class_of(spec);
    return class ? class->n_calls : 0;
}

size_t dm_metric_asks(const dm_value *spec)
{
    const dm_value *sum = spec ? dm_value_get(spec, "sum") : NULL;
    size_t n = 0;
    if (!sum)
        return calls_of(spec);
    for (size_t i = 0; sum->kind == DM_LIST && i < sum->n; i++) {
        const dm_value *inner = dm_value_get(sum->items[i], "metric");
        n += calls_of(inner ? inner : sum->items[i]);
    }
    return n;
}

/* at: of a part, {"metric": ..., "weight"} or {"judge": ..., "weight"}, or a metric alone. */
static dm_status read_part(const dm_judge_world *w, const dm_at *at, dm_judging *j,
                           dm_judge_part *p, dm_error *err)
{
    double threshold = 0;
    p->at = *at;
    p->first = j->n_calls;
    p->class = class_of(at->v);
    if (!p->class) {
        const dm_value *function = dm_metric_python(at->v);
        dm_str name = function ? function->text : name_of(at->v);
        if (at->v && dm_value_get(at->v, "sum"))
            return dm_at_fail(at, err,
                              "a sum cannot be part of another sum: list its parts there instead");
        p->name = name.p ? dm_arena_string(w->a, name.p, name.n) : "command";
        return DM_OK;
    }
    j->n_calls += p->class->n_calls;
    dm_judge_call *calls = &j->calls[p->first];
    dm_status st = p->class == &dm_judge_own
                       ? dm_judge_read_own(w, at, p, calls, err)
                       : dm_judge_read_named(w, at, p, calls, &threshold, err);
    dm_at given = dm_at_key(at, "threshold");
    if (st == DM_OK)
        st = dm_get_number(&given, 0, 1, &threshold, err);
    if (given.v && j->is_sum && st == DM_OK)
        st = dm_at_fail(&given, err, "a part of a sum has no threshold: leave it out");
    if (st == DM_OK && !j->is_sum && (given.v || threshold > 0))
        j->threshold = threshold;
    return st;
}

static dm_status read_item(const dm_judge_world *w, const dm_at *at, dm_judging *j, dm_error *err)
{
    static const char *const keys[] = {"metric", "weight"};
    dm_judge_part *p = &j->parts[j->n++];
    dm_at metric = dm_at_key(at, "metric"), weight = dm_at_key(at, "weight");
    if (at->v->kind != DM_DICT || (!metric.v && !dm_value_get(at->v, "judge")))
        return dm_at_fail(at, err,
                          "a part of a sum is {\"metric\": ..., \"weight\": ...} or {\"judge\": "
                          "..., \"weight\": ...}");
    if (!weight.v)
        return dm_at_fail(at, err, "a part of a sum needs a weight");
    dm_status st = dm_get_number(&weight, 1e-9, 1e9, &p->weight, err);
    if (st == DM_OK && metric.v)
        st = dm_get_known(at, keys, 2, err);
    return st == DM_OK ? read_part(w, metric.v ? &metric : at, j, p, err) : st;
}

static dm_status read_sum(const dm_judge_world *w, const dm_at *at, dm_judging *j, dm_error *err)
{
    static const char *const keys[] = {"sum"};
    dm_at sum = dm_at_key(at, "sum");
    dm_status st = dm_get_known(at, keys, 1, err);
    if (st == DM_OK && (sum.v->kind != DM_LIST || sum.v->n == 0))
        st = dm_at_fail(&sum, err,
                        "a list of parts, such as [{\"metric\": \"f1\", \"weight\": 0.7}, "
                        "{\"judge\": ..., \"weight\": 0.3}]");
    if (st != DM_OK)
        return st;
    j->is_sum = true;
    j->parts = dm_arena_alloc_n(w->a, sum.v->n, sizeof *j->parts);
    j->calls = dm_arena_alloc_n(w->a, DM_JUDGE_CALLS * sum.v->n, sizeof *j->calls);
    for (size_t i = 0; i < sum.v->n && st == DM_OK; i++) {
        dm_at item = dm_at_item(&sum, i);
        st = read_item(w, &item, j, err);
    }
    return st;
}

const dm_judging *dm_judging_read(dm_arena *a, const dm_at *at, const dm_program *program,
                                  const dm_dataset *const *sets, size_t n_sets, dm_error *err)
{
    dm_judge_world w = {a, program, sets, n_sets};
    dm_judging *j = dm_arena_alloc(a, sizeof *j);
    dm_status st;
    err->status = DM_OK;
    j->threshold = NAN;
    if (at->v && dm_value_get(at->v, "sum")) {
        st = read_sum(&w, at, j, err);
    } else if (class_of(at->v)) {
        j->parts = dm_arena_alloc(a, sizeof *j->parts);
        j->calls = dm_arena_alloc_n(a, DM_JUDGE_CALLS, sizeof *j->calls);
        j->parts[j->n++].weight = 1;
        st = read_part(&w, at, j, &j->parts[0], err);
        if (st == DM_OK && dm_value_get(at->v, "weight")) {
            dm_at weight = dm_at_key(at, "weight");
            st = dm_at_fail(&weight, err, "only a part of a sum has a weight: leave it out");
        }
    } else {
        return NULL;
    }
    return st == DM_OK ? j : NULL;
}

size_t dm_judging_calls(const dm_judging *j)
{
    return j->n_calls;
}

const dm_candidate *dm_judging_candidate(const dm_judging *j, size_t k)
{
    return j->calls[k].candidate;
}

size_t dm_judging_shown(const dm_judging *j, size_t k)
{
    size_t n = 0;
    for (size_t i = 0; i < j->calls[k].n; i++)
        n += j->calls[k].inputs[i].of_prediction;
    return n;
}

const dm_value *dm_judging_row(dm_arena *a, const dm_judging *j, size_t k, const dm_value *example,
                               const dm_value *outputs, dm_error *err)
{
    const dm_judge_call *call = &j->calls[k];
    dm_value *row = dm_value_dict(a);
    for (size_t i = 0; i < call->n; i++) {
        const dm_judge_input *in = &call->inputs[i];
        const dm_value *v = dm_value_get_str(in->of_prediction ? outputs : example, in->from);
        if (!v) {
            (void)dm_fail(err, DM_E_DATA, "the %s has no `%.*s` for the judge",
                          in->of_prediction ? "prediction" : "example", DM_STR_ARG(in->from));
            return NULL;
        }
        dm_value_set(a, row, in->name, dm_without_media(a, v));
    }
    return row;
}

/* ---- scores ---- */

/* What a judge says beside the score: the field that is named, else all of its outputs that are
 * none of its lists. */
static void put_said(dm_buf *b, const dm_judge_part *p, const dm_value *const *judgements)
{
    for (size_t k = 0; k < p->class->n_calls; k++)
        for (size_t i = 0; judgements[k] && i < judgements[k]->n; i++) {
            const dm_member *m = &judgements[k]->members[i];
            bool own = p->class == &dm_judge_own;
            if (own && !(p->feedback.p && dm_str_eq(m->key, p->feedback)))
                continue;
            if (m->value->kind == DM_STRING && m->value->text.n == 0)
                continue;
            if (!own && m->value->kind == DM_STRING && !dm_str_is(m->key, "reasoning") &&
                !dm_str_is(m->key, "discussion"))
                continue;
            if (b->len)
                dm_buf_char(b, '\n');
            if (!own && m->value->kind != DM_STRING)
                dm_buf_printf(b, "%.*s: ", DM_STR_ARG(m->key));
            dm_py_str(b, m->value);
        }
}

/* What the judge said is recorded even where it is no score: that is what one wants to see then. */
static dm_status judge_part(dm_arena *a, const dm_judge_part *p, const dm_value *const *judgements,
                            dm_value *out, double *score, dm_buf *said, dm_error *err)
{
    dm_status st = p->class->score(p, judgements, score, err);
    dm_value *all = dm_value_list(a);
    if (st == DM_OK)
        dm_value_set(a, out, DM_STR("score"), dm_value_float(a, *score));
    for (size_t k = 0; k < p->class->n_calls && judgements[k]; k++)
        dm_value_append(a, all, judgements[k]);
    if (all->n)
        dm_value_set(a, out, DM_STR("judgement"), p->class->n_calls == 1 ? judgements[0] : all);
    if (st == DM_OK)
        put_said(said, p, judgements);
    return st;
}

static dm_value *head_of(dm_arena *a, const dm_judging *j, const dm_judge_part *p)
{
    dm_value *d = dm_value_dict(a);
    dm_value_set(a, d, DM_STR("metric"), dm_value_text(a, p->name));
    if (j->is_sum)
        dm_value_set(a, d, DM_STR("weight"), dm_value_float(a, p->weight));
    return d;
}

/* What the worker made of a part: the number and the words that are there. */
static double scored_before(const dm_value *part, dm_buf *said)
{
    const dm_value *score = dm_value_get(part, "score"), *words = dm_value_get(part, "feedback");
    if (words && words->kind == DM_STRING) {
        if (said->len)
            dm_buf_char(said, '\n');
        dm_buf_str(said, words->text);
    }
    return score ? score->number : NAN;
}

dm_status dm_judging_score(dm_arena *a, const dm_judging *j, dm_str parts,
                           const dm_value *const *judgements, bool trace, dm_judged *out,
                           dm_error *err)
{
    const dm_value *given = parts.p ? dm_json_read(a, parts, NULL) : NULL;
    dm_value *list = dm_value_list(a);
    dm_buf said;
    double sum = 0, weights = 0;
    dm_status st = DM_OK;
    *out = (dm_judged){.score = NAN};
    if (!given || given->kind != DM_LIST || given->n != j->n)
        return dm_fail(err, DM_E_DATA, "the parts of the score are not there");
    dm_buf_init(&said, DM_MAX_TEXT);
    for (size_t i = 0; i < j->n; i++) { /* the first that has no score is the one that is told */
        const dm_judge_part *p = &j->parts[i];
        double score = 0;
        if (p->class) {
            dm_value *d = head_of(a, j, p);
            dm_status own =
                judge_part(a, p, judgements + p->first, d, &score, &said, st == DM_OK ? err : NULL);
            st = st == DM_OK ? own : st;
            dm_value_append(a, list, d);
        } else {
            score = scored_before(given->items[i], &said);
            dm_value_append(a, list, given->items[i]);
        }
        sum += p->weight * score;
        weights += p->weight;
    }
    if (st == DM_OK)
        out->score = sum / weights;
    if (st == DM_OK && trace && !isnan(j->threshold))
        out->score = out->score >= j->threshold ? 1 : 0;
    out->feedback = st == DM_OK && said.len ? dm_arena_string(a, said.data, said.len) : NULL;
    out->parts = dm_json_text(a, list, DM_JSON_PYTHON);
    dm_buf_free(&said);
    return st;
}

/* ---- the worker's side: parts that ask no model ---- */

typedef struct local {
    const dm_judging *j;
    dm_metric **metrics; /* [j->n] NULL: a judge's */
} local;

typedef struct scoring { /* one prediction */
    local *of;
    dm_arena *a;
    const dm_value *example, *prediction;
    const dm_step *trace;
    size_t n_steps;
    const dm_program *program;
    dm_metric_done *done;
    void *user;
    size_t at;       /* the part that is scored now */
    dm_value *parts; /* so far */
} scoring;

static void end(scoring *s, dm_metric_score *out)
{
    s->done(s->user, out);
    dm_arena_free(s->a);
}

static void all_scored(scoring *s)
{
    const dm_judging *j = s->of->j;
    dm_metric_score out = {.ok = true, .parts = dm_json_text(s->a, s->parts, DM_JSON_PYTHON)};
    dm_judged sum;
    dm_error err = {DM_OK, ""};
    if (j->n_calls == 0) {
        out.ok = dm_judging_score(s->a, j, out.parts, NULL, false, &sum, &err) == DM_OK;
        out.text = out.ok ? NULL : err.text;
        out.score = out.ok ? sum.score : 0;
        out.feedback = out.ok ? sum.feedback : NULL;
    }
    end(s, &out);
}

static void score_next(scoring *s);

static void part_scored(void *user, const dm_metric_score *score)
{
    scoring *s = user;
    const dm_judge_part *p = &s->of->j->parts[s->at];
    if (!score->ok) {
        dm_metric_score out = *score;
        out.text = dm_arena_printf(s->a, "%s: %s", p->name, score->text ? score->text : "");
        end(s, &out);
        return;
    }
    dm_value *d = head_of(s->a, s->of->j, p);
    dm_value_set(s->a, d, DM_STR("score"), dm_value_float(s->a, score->score));
    if (score->feedback)
        dm_value_set(s->a, d, DM_STR("feedback"), dm_value_text(s->a, score->feedback));
    dm_value_append(s->a, s->parts, d);
    s->at++;
    score_next(s);
}

static void score_next(scoring *s)
{
    const dm_judging *j = s->of->j;
    while (s->at < j->n && j->parts[s->at].class) {
        dm_value_append(s->a, s->parts, head_of(s->a, j, &j->parts[s->at]));
        s->at++;
    }
    if (s->at == j->n)
        all_scored(s);
    else
        dm_metric_submit(s->of->metrics[s->at], s->example, s->prediction, s->trace, s->n_steps,
                         s->program, part_scored, s);
}

static void submit(void *self, const dm_value *example, const dm_value *prediction,
                   const dm_step *trace, size_t n_steps, const dm_program *program,
                   dm_metric_done *done, void *user)
{
    dm_arena *a = dm_arena_new(2048);
    scoring *s = dm_arena_alloc(a, sizeof *s);
    *s = (scoring){.of = self,
                   .a = a,
                   .example = example,
                   .prediction = prediction,
                   .trace = trace,
                   .n_steps = n_steps,
                   .program = program,
                   .done = done,
                   .user = user,
                   .parts = dm_value_list(a)};
    score_next(s);
}

static size_t fds(void *self, dm_wait_fd *out, size_t max)
{
    local *l = self;
    size_t n = 0;
    for (size_t i = 0; i < l->j->n && n < max; i++)
        n += l->metrics[i] ? dm_metric_fds(l->metrics[i], out + n, max - n) : 0;
    return n;
}

static double due(const void *self)
{
    const local *l = self;
    double first = INFINITY;
    for (size_t i = 0; i < l->j->n; i++)
        first = l->metrics[i] ? fmin(first, dm_metric_due(l->metrics[i])) : first;
    return first;
}

static void poll_all(void *self)
{
    local *l = self;
    for (size_t i = 0; i < l->j->n; i++)
        if (l->metrics[i])
            dm_metric_poll(l->metrics[i]);
}

static const char *trouble(const void *self)
{
    const local *l = self;
    const char *found = NULL;
    for (size_t i = 0; i < l->j->n && !found; i++)
        found = l->metrics[i] ? dm_metric_trouble(l->metrics[i]) : NULL;
    return found;
}

static void free_all(void *self)
{
    local *l = self;
    for (size_t i = 0; i < l->j->n; i++)
        dm_metric_free(l->metrics[i]);
}

static const dm_metric_ops ops = {submit, fds, due, poll_all, trouble, free_all};

dm_metric *dm_judging_metric(dm_arena *a, const dm_at *at, const dm_judging *j, dm_metric **metrics)
{
    local *l = dm_arena_alloc(a, sizeof *l);
    *l = (local){j, metrics};
    dm_metric *m = dm_metric_of(a, j->is_sum ? "sum" : j->parts[0].name, &ops, l);
    m->spec = at->v;
    return m;
}
