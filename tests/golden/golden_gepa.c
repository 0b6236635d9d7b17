/* Whole runs of dspy.GEPA (gepa.json), replayed: the planted model and metric of its _rule answer,
 * the search has to make the same decisions in each iteration. */
#include "gepa/gepa.h"
#include "golden.h"

#include <stdio.h>
#include <string.h>

enum { MOST_TOKENS = 16, MOST_STEPS = 4, MOST_COMPONENTS = 3 };

typedef struct planted_program {
    const char *name;
    size_t n;
    const char *components[MOST_COMPONENTS];
    size_t shape[MOST_COMPONENTS];
} planted_program;

static const planted_program programs[] = {{"one", 1, {"self"}, {0}},
                                           {"cot", 1, {"predict"}, {0}},
                                           {"boom", 1, {"p"}, {0}},
                                           {"loop", 1, {"p"}, {0}},
                                           {"two", 2, {"a", "b"}, {0, 1}},
                                           {"three", 3, {"a", "b", "c"}, {0, 1, 2}},
                                           {"twins", 2, {"a", "b"}, {0, 0}}};

typedef struct planted {
    dm_arena *arena;
    const dm_value *run; /* of gepa.json */
    const char *name;
    const planted_program *program;
    bool graded, centred, fmt, reflect_fails, metric_fails, cached;
    double failure_score;
    int64_t train, train_step, val, val_step;
    size_t iterations, metric_calls;
} planted;

/* What a step was: its outputs, or why there are none. */
typedef struct planted_step {
    const dm_value *inputs, *outputs;
} planted_step;

/* ---- the planted model ---- */

typedef struct tokens {
    int64_t k[MOST_TOKENS], sum;
    size_t n;
} tokens;

static bool has(const tokens *t, int64_t k)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->k[i] == k)
            return true;
    return false;
}

static tokens tokens_of(dm_str s)
{
    tokens t = {{0}, 0, 0};
    for (const char *p = s.p, *end = s.p + s.n; p + 2 < end; p++) {
        char *behind;
        if (p[0] != '<' || p[1] != 'k')
            continue;
        int64_t k = strtoll(p + 2, &behind, 10);
        if (behind == p + 2 || *behind != '>' || has(&t, k))
            continue;
        t.k[t.n++] = k;
        t.sum += k;
    }
    return t;
}

static bool has_fmt(dm_str s)
{
    return memmem(s.p, s.n, "<fmt>", 5) != NULL;
}

static bool good(int64_t n, const tokens *t)
{
    return (has(t, n % 7) && (n + t->sum) % 5 != 0) || n % (3 + (int64_t)t->n) == 0;
}

static const dm_value *dict(dm_arena *a, const char *key, const char *value)
{
    dm_value *d = dm_value_dict(a);
    dm_value_set(a, d, dm_str_of(key), dm_value_text(a, value));
    return d;
}

static const char *get(const dm_value *d, const char *key)
{
    const dm_value *v = dm_value_get(d, key);
    return v && v->kind == DM_STRING ? v->text.p : NULL;
}

static int64_t question(const dm_value *inputs)
{
    return strtoll(get(inputs, "question") + 1, NULL, 10);
}

static const char *hint_of(const planted *p, int64_t n, const tokens *t)
{
    if (strcmp(p->program->name, "three") == 0)
        return (has(t, n % 5) && (n + t->sum) % 4 != 0) || n % 4 == 0 ? "1" : "0";
    if (t->n && (n + t->sum) % 6 == 0)
        return "odd";
    return has(t, n % 5) || n % 4 == 0 ? "good" : "bad";
}

static bool is_right(int64_t n, const tokens *t, const char *hint, const char *hint2)
{
    if (hint2)
        return (int)strtol(hint2, NULL, 10) +
                   ((has(t, n % 6) && (n + t->sum) % 4 != 0) || n % 3 == 0) >=
               2;
    if (hint && strcmp(hint, "odd") == 0)
        return t->n < 2 && n % 2 == 1;
    return good(n, t) && (!hint || strcmp(hint, "good") == 0 || n % 2 == 0);
}

/* NULL: the answer cannot be read. */
static const dm_value *call(const planted *p, const char *out, dm_str text, const dm_value *inputs)
{
    int64_t n = question(inputs);
    tokens t = tokens_of(text);
    const char *hint = get(inputs, "hint"), *hint2 = get(inputs, "hint2");
    if (p->fmt && n % 6 == 5 && !has_fmt(text))
        return NULL;
    if (strcmp(out, "hint") == 0)
        return dict(p->arena, "hint", hint_of(p, n, &t));
    if (strcmp(out, "hint2") == 0)
        return dict(p->arena, "hint2",
                    dm_arena_printf(p->arena, "%d", (int)strtol(hint, NULL, 10) + good(n, &t)));
    bool ok = is_right(n, &t, hint, hint2);
    if (p->graded)
        return dict(p->arena, "answer",
                    dm_arena_printf(p->arena, "%d", ok ? 10 : (int)(3 * n % 8)));
    return dict(p->arena, "answer", ok ? "yes" : "no");
}

/* ---- the planted programs ---- */

typedef struct execution {
    const planted *p;
    const dm_str *texts;
    int64_t question;
    dm_gepa_step *steps;
    size_t n;
    bool failed;
} execution;

static const dm_value *inputs_of(dm_arena *a, int64_t q, const char *key, const char *value)
{
    dm_value *d = dm_value_dict(a);
    dm_value_set(a, d, DM_STR("question"),
                 dm_value_text(a, dm_arena_printf(a, "q%lld", (long long)q)));
    if (key)
        dm_value_set(a, d, dm_str_of(key), dm_value_text(a, value));
    return d;
}

static const char *step(execution *x, size_t component, const char *out, const dm_value *inputs)
{
    const planted_program *program = x->p->program;
    if (x->failed)
        return "";
    planted_step *s = dm_arena_alloc(x->p->arena, sizeof *s);
    *s = (planted_step){inputs, call(x->p, out, x->texts[component], inputs)};
    x->failed = !s->outputs;
    if (x->failed) { /* booked under the first with that signature, with the program's inputs */
        s->inputs = inputs_of(x->p->arena, x->question, NULL, NULL);
        for (size_t c = component; c-- > 0;)
            if (program->shape[c] == program->shape[component] &&
                dm_str_eq(x->texts[c], x->texts[component]))
                component = c;
    }
    x->steps[x->n++] = (dm_gepa_step){component, x->failed, s};
    return x->failed ? "" : get(s->outputs, out);
}

static const char *run_program(execution *x)
{
    dm_arena *a = x->p->arena;
    int64_t n = x->question;
    const dm_value *q = inputs_of(a, n, NULL, NULL);
    const char *name = x->p->program->name;
    if (strcmp(name, "two") == 0)
        return step(x, 1, "answer", inputs_of(a, n, "hint", step(x, 0, "hint", q)));
    if (strcmp(name, "three") == 0) {
        const char *hint = step(x, 0, "hint", q);
        const char *hint2 = step(x, 1, "hint2", inputs_of(a, n, "hint", hint));
        return step(x, 2, "answer", inputs_of(a, n, "hint2", hint2));
    }
    if (strcmp(name, "twins") == 0) {
        const char *of_a = step(x, 0, "answer", q), *of_b = step(x, 1, "answer", q);
        return n % 2 == 0 ? of_a : of_b;
    }
    if (strcmp(name, "loop") == 0) {
        int yes = 0;
        for (int64_t i = 0; i < 3; i++)
            yes += strcmp(step(x, 0, "answer", inputs_of(a, n + i, NULL, NULL)), "yes") == 0;
        return yes >= 2 ? "yes" : "no";
    }
    return step(x, 0, "answer", q);
}

static dm_gepa_run run_on(planted *p, const dm_str *texts, int64_t n)
{
    dm_gepa_run r = {.score = p->failure_score};
    execution x = {p, texts, n, dm_arena_alloc_n(p->arena, MOST_STEPS, sizeof(dm_gepa_step)),
                   0, false};
    r.crashed = strcmp(p->program->name, "boom") == 0 && n % 11 == 10;
    if (r.crashed)
        return r;
    const char *answer = run_program(&x);
    r.steps = x.steps;
    r.n_steps = x.n;
    r.answered = !x.failed;
    if (!r.answered)
        return r;
    p->metric_calls++;
    if (p->metric_fails && n % 9 == 4)
        return (dm_gepa_run){.score = p->failure_score, .crashed = true};
    r.score = p->centred  ? (double)(strtol(answer, NULL, 10) - 5) / 4
              : p->graded ? (double)strtol(answer, NULL, 10) / 10
                          : strcmp(answer, "yes") == 0;
    return r;
}

static int64_t question_of(const planted *p, bool val, size_t row)
{
    return val ? p->val + (int64_t)row * p->val_step : p->train + (int64_t)row * p->train_step;
}

static dm_status evaluate(void *user, dm_gepa_batch *b, size_t n, dm_error *err)
{
    planted *p = user;
    (void)err;
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < b[k].n; i++)
            b[k].runs[i] = run_on(p, b[k].texts, question_of(p, b[k].val, b[k].rows[i]));
    return DM_OK;
}

/* ---- the planted reflection ---- */

static int64_t modulus(const planted_step *s)
{
    if (get(s->outputs, "hint"))
        return 5;
    return get(s->outputs, "answer") && get(s->inputs, "hint2") ? 6 : 7;
}

static const char *write_tokens(const planted *p, dm_str c, int64_t k)
{
    tokens t = tokens_of(c);
    size_t from = t.n && (t.n >= 4 || k < 0);
    dm_buf b;
    dm_buf_init(&b, 4096);
    dm_buf_text(&b, "Answer.");
    for (size_t i = from; i < t.n; i++)
        dm_buf_printf(&b, " <k%lld>", (long long)t.k[i]);
    if (k >= 0)
        dm_buf_printf(&b, " <k%lld>", (long long)k);
    if (has_fmt(c))
        dm_buf_text(&b, " <fmt>");
    const char *text = dm_arena_string(p->arena, b.data, b.len);
    dm_buf_free(&b);
    return text;
}

static dm_status reflect(void *user, const dm_gepa_question *q, size_t n_asked, dm_str *text,
                         dm_error *err)
{
    planted *p = user;
    dm_str c = q->texts[q->component];
    tokens t = tokens_of(c);
    int64_t sum = 0, k = -1;
    bool unread = false;
    (void)err;
    cr_assert_eq(n_asked, 1);
    for (size_t i = 0; i < q->n_shown; i++) {
        const planted_step *s = q->shown[i].step->of;
        int64_t n = question(s->inputs);
        sum += n;
        unread = unread || !s->outputs;
        if (k < 0 && !has(&t, n % modulus(s)))
            k = n % modulus(s);
    }
    *text = (dm_str){NULL, 0};
    if (p->reflect_fails && sum % 3 == 0)
        return DM_OK;
    if (unread && !has_fmt(c))
        *text = dm_str_of(dm_arena_printf(p->arena, "%.*s <fmt>", DM_STR_ARG(c)));
    else
        *text = dm_str_of(write_tokens(p, c, k));
    return DM_OK;
}

/* ---- comparing ---- */

static bool is_number(const dm_value *v, double x)
{
    return v && (v->kind == DM_BOOL ? v->boolean == x : v->number == x);
}

static bool is_index(const dm_value *v, size_t x)
{
    int64_t n;
    return dm_value_to_int(v, &n) && n >= 0 && (size_t)n == x;
}

static bool are_scores(const dm_value *want, const dm_gepa_run *got, size_t n)
{
    for (size_t i = 0; i < n && want && want->n == n; i++)
        if (!is_number(want->items[i], got[i].score))
            return false;
    return want && want->n == n;
}

static bool are_ids(const dm_value *want, const size_t *got, size_t n)
{
    for (size_t i = 0; i < n && want && want->n == n; i++)
        if (!is_index(want->items[i], got[i]))
            return false;
    return want && want->n == n;
}

static const dm_value *feedback(planted *p, size_t component, const planted_step *s,
                                const dm_gepa_shown *shown)
{
    if (!s->outputs)
        return dm_value_null(p->arena);
    int64_t n = question_of(p, false, shown->row);
    const char *name = p->program->components[component];
    if (strcmp(get(p->run, "metric"), "feedback") == 0) {
        int64_t m = strcmp(name, "a") == 0 ? 5 : strcmp(name, "c") == 0 ? 6 : 7;
        return dm_value_text(p->arena, dm_arena_printf(p->arena, "kind %d", (int)(n % m)));
    }
    dm_buf b;
    dm_buf_init(&b, 64);
    dm_py_str(&b, p->graded ? dm_value_float(p->arena, shown->run->score)
                            : dm_value_bool(p->arena, shown->run->score == 1));
    const dm_value *d = dict(p->arena, "score", b.data);
    dm_buf_free(&b);
    return d;
}

/* A row as gepa.json has it: whole, or the question's name, with ! where it failed. */
static const dm_value *shown_row(planted *p, size_t component, const dm_gepa_shown *shown,
                                 bool whole)
{
    const planted_step *s = shown->step->of;
    const char *q = get(s->inputs, "question");
    if (!whole)
        return dm_value_text(p->arena, dm_arena_printf(p->arena, "%s%s", q, s->outputs ? "" : "!"));
    dm_value *d = dm_value_dict(p->arena);
    dm_value_set(p->arena, d, DM_STR("inputs"), s->inputs);
    dm_value_set(p->arena, d, DM_STR("outputs"),
                 s->outputs
                     ? s->outputs
                     : dict(p->arena, "unparsed", dm_arena_printf(p->arena, "garbage %s", q)));
    dm_value_set(p->arena, d, DM_STR("feedback"), feedback(p, component, s, shown));
    return d;
}

static bool are_rows(planted *p, const dm_value *want, const dm_gepa_proposal *got)
{
    size_t n = 0;
    for (size_t k = 0; k < got->n_components; k++) {
        size_t c = got->components[k];
        const dm_value *rows = dm_value_get(want, p->program->components[c]);
        if (!got->shown[c])
            continue;
        n++;
        if (!rows || rows->n != got->n_shown[c])
            return false;
        for (size_t i = 0; i < rows->n; i++)
            if (!dm_value_equal(rows->items[i], shown_row(p, c, &got->shown[c][i],
                                                          rows->items[i]->kind == DM_DICT)))
                return false;
    }
    return want && want->n == n;
}

static bool are_texts(const planted *p, const dm_value *want, const dm_gepa_proposal *got,
                      const dm_str *texts)
{
    size_t n = 0;
    for (size_t k = 0; k < got->n_components; k++) {
        size_t c = got->components[k];
        const dm_value *text = dm_value_get(want, p->program->components[c]);
        if (!got->shown[c])
            continue;
        n++;
        if (!text || !dm_str_eq(text->text, texts[c]))
            return false;
    }
    return want && want->n == n;
}

static bool are_components(const planted *p, const dm_value *want, const dm_gepa_proposal *got)
{
    for (size_t k = 0; k < got->n_components && want && want->n == got->n_components; k++)
        if (!dm_str_is(want->items[k]->text, p->program->components[got->components[k]]))
            return false;
    return want && want->n == got->n_components;
}

static const dm_value *nth(const dm_value *list, size_t k)
{
    return list && k < list->n ? list->items[k] : NULL;
}

static size_t count(const dm_value *list)
{
    return list && list->kind == DM_LIST ? list->n : 0;
}

#define SAME(what)                                                                                 \
    cr_expect(what, "%s, iteration %zu: not the same: %s", p->name, it->number + 1, #what)

static void check_proposals(planted *p, const dm_gepa_iteration *it, const dm_value *want)
{
    static const char *const words[] = {"", "no_trajectories", "all_scores_perfect"};
    const dm_value *tasks = dm_value_get(want, "tasks"), *rows = dm_value_get(want, "rows"),
                   *component = dm_value_get(want, "component"), *texts = dm_value_get(want, "new"),
                   *after = dm_value_get(want, "after"), *skipped = dm_value_get(want, "skipped");
    size_t jobs = 0, kids = 0, skips = 0;
    for (size_t k = 0; k < it->n_proposals; k++) {
        const dm_gepa_proposal *t = &it->proposals[k];
        const dm_value *task = nth(tasks, k);
        SAME(is_index(dm_value_get(task, "parent"), t->parent));
        SAME(are_ids(dm_value_get(task, "ids"), t->ids, t->n_ids));
        SAME(are_scores(dm_value_get(task, "before"), t->before, t->n_ids));
        if (t->skip) {
            const dm_value *word = nth(skipped, skips++);
            SAME(word && dm_str_is(word->text, words[t->skip]));
        }
        if (t->asked) {
            SAME(are_components(p, nth(component, jobs), t));
            SAME(are_rows(p, nth(rows, jobs++), t));
        }
        if (t->texts) {
            SAME(are_texts(p, nth(texts, kids), t, t->texts));
            SAME(are_scores(nth(after, kids++), t->after, t->n_ids));
        }
    }
    SAME(count(tasks) == it->n_proposals && count(rows) == jobs && count(after) == kids);
    SAME(count(skipped) == skips && count(texts) == kids);
}

static void check_merge(planted *p, const dm_gepa_iteration *it, const dm_value *want)
{
    const dm_gepa_merge *m = it->merge;
    if (!m || !want || want->kind != DM_DICT) {
        SAME(it->merge_due == (want != NULL) && !m == (!want || want->kind == DM_NULL));
        return;
    }
    const dm_value *before = dm_value_get(want, "before"), *k = dm_value_get(want, "accepted");
    const size_t pair[2] = {m->i, m->j};
    SAME(are_ids(dm_value_get(want, "pair"), pair, 2));
    SAME(is_index(dm_value_get(want, "ancestor"), m->ancestor));
    SAME(are_ids(dm_value_get(want, "ids"), m->ids, m->n_ids));
    SAME(is_number(nth(before, 0), m->before_i) && is_number(nth(before, 1), m->before_j));
    SAME(are_scores(dm_value_get(want, "after"), m->after, m->n_ids));
    SAME(m->candidate == SIZE_MAX ? k->kind == DM_NULL : is_index(k, m->candidate));
}

static void check_validations(planted *p, const dm_gepa_iteration *it, const dm_value *val)
{
    SAME(count(val) == it->n_accepted);
    for (size_t k = 0; k < it->n_accepted; k++) {
        const dm_value *scores = dm_value_get(nth(val, k), "scores");
        const dm_gepa_candidate *c = &it->candidates[it->accepted[k]];
        for (size_t v = 0; v < count(scores); v++)
            SAME(is_number(scores->items[v], c->scores[v]));
    }
}

static void check_iteration(void *user, const dm_gepa_iteration *it)
{
    planted *p = user;
    const dm_value *want = nth(dm_value_get(p->run, "iterations"), p->iterations++);
    cr_assert_not_null(want, "%s: iteration %zu is one too many", p->name, it->number + 1);
    dm_pyrandom stream = it->stream;
    for (size_t k = 0; k < it->n_proposals; k++) /* the metric is asked again for feedback */
        for (size_t i = 0; it->proposals[k].asked && i < it->proposals[k].n_components; i++) {
            size_t c = it->proposals[k].components[i];
            for (size_t s = 0; s < it->proposals[k].n_shown[c]; s++)
                p->metric_calls += !it->proposals[k].shown[c][s].step->failed;
        }
    SAME(is_index(dm_value_get(want, "i"), it->number + 1));
    check_merge(p, it, dm_value_get(want, "merge"));
    if (!it->merge) {
        check_proposals(p, it, want);
        SAME(are_ids(dm_value_get(want, "accepted"), it->accepted, it->n_accepted));
    }
    if (!p->cached) /* there gepa.json has the order of the cache */
        check_validations(p, it, dm_value_get(want, "val"));
    SAME(is_index(dm_value_get(want, "total"), (size_t)it->counted));
    SAME(is_index(dm_value_get(want, "rng"), dm_pyrandom_bits(&stream, 32)));
}

/* ---- the result ---- */

#define ALIKE(what) cr_expect(what, "%s: not the same: %s", p->name, #what)

static void check_candidate(const planted *p, const dm_gepa_candidate *c, const dm_value *want)
{
    const dm_value *parents = dm_value_get(want, "parents"),
                   *texts = dm_value_get(want, "instructions");
    ALIKE(c->n_parents ? are_ids(parents, c->parents, c->n_parents)
                       : parents->n == 1 && parents->items[0]->kind == DM_NULL);
    ALIKE(is_number(dm_value_get(want, "average"), c->mean));
    ALIKE(is_index(dm_value_get(want, "discovered_at"), (size_t)c->found));
    for (size_t k = 0; k < p->program->n; k++)
        ALIKE(dm_str_eq(dm_value_get(texts, p->program->components[k])->text, c->texts[k]));
}

/* Both as sets: gepa.json sorts. */
static bool is_front(const dm_value *want, const size_t *got, size_t n)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < count(want); k++)
            found += is_index(want->items[k], got[i]);
    return count(want) == n && found == n;
}

static void check_result(const planted *p, const dm_gepa_options *o, const dm_gepa_result *r)
{
    const dm_value *candidates = dm_value_get(p->run, "candidates"),
                   *fronts = dm_value_get(p->run, "fronts");
    ALIKE(p->iterations == count(dm_value_get(p->run, "iterations")));
    ALIKE(is_index(dm_value_get(p->run, "budget"), (size_t)o->budget));
    ALIKE(is_index(dm_value_get(p->run, "counted"), (size_t)r->counted));
    ALIKE(is_index(dm_value_get(p->run, "reflection_calls"), r->reflections));
    ALIKE(is_index(dm_value_get(p->run, "full_evals"), r->full_evaluations));
    ALIKE(is_index(dm_value_get(p->run, "metric_called"), p->metric_calls));
    ALIKE(is_index(dm_value_get(p->run, "best"), r->best));
    ALIKE(count(candidates) == r->n);
    for (size_t k = 0; k < r->n && k < count(candidates); k++)
        check_candidate(p, &r->candidates[k], candidates->items[k]);
    for (size_t v = 0; v < o->n_val; v++)
        ALIKE(is_front(dm_value_get(fronts, dm_arena_printf(p->arena, "%zu", v)), r->fronts[v],
                       r->n_front[v]));
}

/* ---- the options of a run ---- */

static int64_t int_of(const dm_value *d, const char *key, int64_t otherwise)
{
    int64_t n = otherwise;
    const dm_value *v = dm_value_get(d, key);
    cr_assert(!v || dm_value_to_int(v, &n), "%s", key);
    return n;
}

static double number_of(const dm_value *d, const char *key, double otherwise)
{
    const dm_value *v = dm_value_get(d, key);
    return v ? v->number : otherwise;
}

static bool bool_of(const dm_value *d, const char *key, bool otherwise)
{
    const dm_value *v = dm_value_get(d, key);
    return v ? v->boolean : otherwise;
}

static bool is_word(const dm_value *d, const char *key, const char *word)
{
    const char *s = get(d, key);
    return s && strcmp(s, word) == 0;
}

static int64_t budget_of(const dm_value *q, const dm_gepa_options *o, bool own_valset)
{
    const char *level = get(q, "auto");
    if (level)
        return dm_gepa_auto_budget(level[0] == 'l'   ? 6
                                   : level[0] == 'm' ? 12
                                                     : 18,
                                   o->n_components, o->n_val);
    int64_t full = int_of(q, "max_full_evals", 0);
    if (full)
        return full * (int64_t)(o->n_train + (own_valset ? o->n_val : 0));
    return int_of(q, "max_metric_calls", 0);
}

static void read_strategies(const dm_value *q, dm_gepa_options *o)
{
    const char *sampling = get(q, "sampling_strategy"), *keep = get(q, "selection_strategy");
    if (sampling) {
        unsigned p = 1, n = 0;
        bool same = sscanf(sampling, "SameParentSampling{'n': %u}", &n) == 1,
             grid = sscanf(sampling, "PxNSampling{'p': %u, 'n': %u}", &p, &n) == 2;
        cr_assert(same || grid || sscanf(sampling, "IndependentSampling{'n': %u}", &n) == 1);
        o->sampling = same ? DM_GEPA_SAME_PARENT : grid ? DM_GEPA_P_X_N : DM_GEPA_INDEPENDENT;
        o->sampled_parents = p;
        o->sampled_batches = n;
    }
    if (keep) {
        unsigned k = 0;
        bool top = sscanf(keep, "TopKImprovements{'k': %u}", &k) == 1;
        o->keep = strncmp(keep, "Best", 4) == 0 ? DM_GEPA_BEST : top ? DM_GEPA_TOP_K : DM_GEPA_ALL;
        o->keep_k = k;
    }
    o->equal_is_enough = is_word(q, "acceptance_criterion", "improvement_or_equal");
    o->parents = is_word(q, "candidate_selection_strategy", "current_best") ? DM_GEPA_CURRENT_BEST
                 : is_word(q, "candidate_selection_strategy", "epsilon_greedy")
                     ? DM_GEPA_EPSILON_GREEDY
                 : is_word(q, "candidate_selection_strategy", "top_k_pareto") ? DM_GEPA_TOP_K_PARETO
                                                                              : DM_GEPA_PARETO;
}

static dm_gepa_options options_of(planted *p)
{
    const dm_value *q = dm_value_get(p->run, "params"), *train = dm_value_get(p->run, "train"),
                   *val = dm_value_get(p->run, "val");
    int64_t last = (int64_t)train->items[1]->number,
            step = train->n > 2 ? (int64_t)train->items[2]->number : 1;
    p->train = (int64_t)train->items[0]->number;
    p->train_step = step;
    p->val = val->n ? (int64_t)val->items[0]->number : p->train;
    p->val_step = val->n ? 1 : step;
    dm_gepa_options o = {.n_components = p->program->n,
                         .shape = p->program->shape,
                         .n_train = (size_t)((last - p->train + step - 1) / step),
                         .seed = int_of(q, "seed", 0),
                         .minibatch = (size_t)int_of(q, "reflection_minibatch_size", 3),
                         .skip_perfect = bool_of(q, "skip_perfect_score", true),
                         .perfect = number_of(q, "perfect_score", 1),
                         .format_feedback = bool_of(q, "add_format_failure_as_feedback", false),
                         .merge = bool_of(q, "use_merge", true),
                         .max_merges = (size_t)int_of(q, "max_merge_invocations", 5),
                         .all_components = is_word(q, "component_selector", "all"),
                         .cache = bool_of(q, "cache_evaluation", false)};
    o.n_val =
        val->kind == DM_NULL ? o.n_train : (size_t)(val->items[1]->number - val->items[0]->number);
    o.budget = budget_of(q, &o, val->kind != DM_NULL);
    read_strategies(q, &o);
    p->failure_score = number_of(q, "failure_score", 0);
    p->cached = o.cache;
    return o;
}

static void replay(dm_arena *a, const dm_value *run)
{
    planted world = {.arena = a, .run = run, .name = get(run, "name")}, *p = &world;
    for (size_t k = 0; k < sizeof programs / sizeof *programs; k++)
        if (strcmp(programs[k].name, get(run, "program")) == 0)
            p->program = &programs[k];
    cr_assert_not_null(p->program, "%s", p->name);
    p->centred = is_word(run, "metric", "centred");
    p->graded = p->centred || is_word(run, "metric", "graded");
    p->metric_fails = bool_of(run, "metric_fails", false);
    p->fmt = bool_of(run, "fmt", false);
    p->reflect_fails = bool_of(run, "reflect_fail", false) || bool_of(run, "reflect_empty", false);
    const dm_gepa_options o = options_of(p);
    const dm_str start[MOST_COMPONENTS] = {DM_STR("Answer."), DM_STR("Answer."), DM_STR("Answer.")};
    const dm_gepa_world w = {p, evaluate, reflect, check_iteration};
    dm_gepa_result r;
    dm_error err = {DM_OK, ""};
    cr_assert_eq(dm_gepa_search(a, &o, start, &w, &r, &err), DM_OK, "%s: %s", p->name, err.text);
    if (dm_value_get(run, "raises")) {
        ALIKE(r.end == DM_GEPA_END_ANCESTOR);
        ALIKE(p->iterations == count(dm_value_get(run, "iterations")));
        return;
    }
    check_result(p, &o, &r);
}

static void replay_all(const char *file, size_t least)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *runs = dm_value_get(golden(a, file), "runs");
    cr_assert_geq(runs->n, least, "%s", file);
    for (size_t k = 0; k < runs->n; k++)
        replay(a, runs->items[k]);
    dm_arena_free(a);
}

Test(golden_gepa, whole_runs)
{
    replay_all("gepa.json", 25);
}

Test(golden_gepa, more_whole_runs)
{
    replay_all("gepa_more.json", 5);
}
