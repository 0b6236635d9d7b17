#include "cmd/metric_trial.h"
#include "base/clock.h"
#include "base/secret.h"
#include "base/utf8.h"
#include "json/json.h"
#include "metric/judge.h"

#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define DECIDE    8 /* right answers that decide whether it can work: cheap if each takes seconds */
#define NEARLY    .9 /* of the mean score of right answers: wrong ones that reach it are too good */
#define REFUSED   .2 /* of the labels */
#define LOOKED_AT 500 /* rows, for a wrong answer that is wrong in all outputs */
#define DEAD      3 /* of them, from the first on, that end its program before any answer: enough */

typedef struct trial {
    size_t set, row;
    bool whole; /* the answer has all outputs that a model's would have */
    bool empty; /* its labels are */
    bool done, ok, ended, explained;
    double score;
    char text[700]; /* why not ok */
} trial;

typedef struct trying {
    const dm_dataset *sets[3];
    size_t n_sets;
    trial *right;    /* [n] spread over the first set, then the others in order */
    trial *wrong;    /* [n_wrong] against the same examples as the first of right */
    trial *again[2]; /* [n_wrong] of these right ones and of the wrong ones, scored once more; NULL:
                        they are not */
    size_t n, n_wrong;
    bool misfits; /* a row has labels that no answer could be like */
} trying;

static void take(void *user, const dm_metric_score *s)
{
    trial *t = user;
    t->done = true;
    t->ok = s->ok;
    t->score = s->score;
    t->ended = s->ended;
    t->explained = s->feedback && *s->feedback;
    if (!s->ok)
        snprintf(t->text, sizeof t->text, "%s", s->text ? s->text : "");
}

/* ---- answers that are right ---- */

/* The label as an answer of the model's would have it; NULL: no answer can be like that. */
static const dm_value *as_answer(dm_arena *a, const dm_type *t, const dm_value *label)
{
    const dm_value *out;
    bool text = t->kind == DM_T_STR || t->kind == DM_T_LITERAL;
    if (label->kind == DM_LIST && text) /* any one of them is right */
        label = label->n ? label->items[0] : label;
    if (t->kind == DM_T_STR)
        return dm_coerce(a, t, label, &out, NULL) == DM_OK ? out : NULL;
    return dm_metric_label(a, t, label);
}

/* The labels of a row as the program's last step would answer; NULL: it has none, or one that fits
 * no answer (*misfit). What a step only thinks is filled in; *whole: nothing else is missing. */
static const dm_value *right_answer(dm_arena *a, const dm_program *p, const dm_value *row,
                                    bool *whole, bool *misfit)
{
    const dm_predictor *last = &p->predictors[p->n - 1];
    const dm_signature *s = last->signature;
    dm_value *d = dm_value_dict(a);
    size_t labels = 0;
    *whole = true;
    *misfit = false;
    for (size_t i = s->n_inputs; i < s->n_inputs + s->n_outputs; i++) {
        const dm_value *label = dm_value_get_str(row, s->fields[i].name), *v = NULL;
        bool thought =
            last->module == DM_CHAIN_OF_THOUGHT && dm_str_is(s->fields[i].name, "reasoning");
        if (label && !(v = as_answer(a, s->fields[i].type, label))) {
            *misfit = true;
            return NULL;
        }
        if (!v && thought)
            v = dm_value_text(a, "Because it is so.");
        labels += label != NULL;
        *whole &= v != NULL;
        if (v)
            dm_value_set(a, d, s->fields[i].name, v);
    }
    return labels ? d : NULL;
}

/* Equal, or texts that are but for case and punctuation. */
static bool is_alike(dm_arena *a, const dm_value *x, const dm_value *y)
{
    if (!y || dm_value_equal(x, y))
        return y != NULL;
    return x->kind == DM_STRING && y->kind == DM_STRING &&
           dm_str_eq(dm_normalize_text(a, x->text), dm_normalize_text(a, y->text));
}

/* In how many outputs they differ. */
static size_t differences(const dm_value *right, const dm_value *other)
{
    dm_arena *a = dm_arena_new(1024);
    size_t n = 0;
    for (size_t i = 0; i < right->n; i++)
        n += !is_alike(a, right->members[i].value, dm_value_get_str(other, right->members[i].key));
    dm_arena_free(a);
    return n;
}

/* Another row's answer that is wrong in as many outputs as possible: the metric may look at one of
 * them alone. */
static const dm_value *wrong_answer(dm_arena *a, const dm_program *p, const dm_dataset *set,
                                    const dm_value *right)
{
    const dm_value *best = NULL, *unequal = NULL;
    size_t most = 0;
    bool whole, misfit;
    for (size_t i = 0; i < set->n && most < right->n && !(best && i >= LOOKED_AT); i++) {
        const dm_value *other = right_answer(a, p, set->examples[i].row, &whole, &misfit);
        size_t n = other ? differences(right, other) : 0;
        best = n > most ? other : best;
        most = n > most ? n : most;
        if (!unequal && other && !dm_value_equal(right, other))
            unequal = other;
    }
    return best ? best : unequal;
}

size_t dm_trial_answers(dm_arena *a, const dm_job *job, const dm_dataset *set, dm_trial_answer *out,
                        size_t most)
{
    size_t n = 0, step = set->n > most ? set->n / most : 1;
    bool whole, misfit;
    for (size_t i = 0; i < set->n && n < most && !job->program->python; i += step) {
        const dm_value *row = set->examples[i].row;
        const dm_value *right = right_answer(a, job->program, row, &whole, &misfit);
        if (right)
            out[n++] = (dm_trial_answer){row, right, wrong_answer(a, job->program, set, right)};
    }
    return n;
}

/* Labels of nothing but empty texts and lists, as of a question without an answer. */
static bool is_empty(const dm_value *row, const dm_value *answer)
{
    for (size_t i = 0; i < answer->n; i++) {
        const dm_value *v = dm_value_get_str(row, answer->members[i].key);
        if (v &&
            (v->kind == DM_STRING ? dm_py_strip(v->text).n > 0 : v->kind != DM_LIST || v->n > 0))
            return false;
    }
    return true;
}

static void add_right(dm_arena *a, trying *y, const dm_program *p, size_t set, size_t row,
                      dm_metric *metric)
{
    trial *t = &y->right[y->n];
    bool misfit;
    const dm_value *example = y->sets[set]->examples[row].row,
                   *answer = right_answer(a, p, example, &t->whole, &misfit);
    y->misfits |= misfit;
    if (!answer)
        return;
    t->empty = is_empty(example, answer);
    t->set = set;
    t->row = row;
    y->n++;
    dm_metric_submit(metric, example, answer, NULL, 0, p, take, t);
}

static bool is_spread(const dm_dataset *set, size_t row)
{
    for (size_t k = 0; k < DECIDE && set->n > DECIDE; k++)
        if (k * set->n / DECIDE == row)
            return true;
    return set->n <= DECIDE;
}

static void submit_spread(dm_arena *a, trying *y, const dm_program *p, dm_metric *metric)
{
    for (size_t i = 0; i < y->sets[0]->n; i++)
        if (is_spread(y->sets[0], i))
            add_right(a, y, p, 0, i, metric);
}

static void submit_wrong(dm_arena *a, trying *y, const dm_program *p, dm_metric *metric)
{
    size_t n = y->n;
    for (y->n_wrong = 0; y->n_wrong < n; y->n_wrong++) {
        const trial *r = &y->right[y->n_wrong];
        const dm_value *row = y->sets[r->set]->examples[r->row].row;
        bool whole, misfit;
        const dm_value *right = right_answer(a, p, row, &whole, &misfit),
                       *other = wrong_answer(a, p, y->sets[r->set], right);
        if (other)
            dm_metric_submit(metric, row, other, NULL, 0, p, take, &y->wrong[y->n_wrong]);
        else
            y->wrong[y->n_wrong].done = true;
        for (int i = 0; i < 2 && y->again[i]; i++)
            if (i == 0 || other)
                dm_metric_submit(metric, row, i ? other : right, NULL, 0, p, take,
                                 &y->again[i][y->n_wrong]);
            else
                y->again[i][y->n_wrong].done = true;
    }
}

static void submit_others(dm_arena *a, trying *y, const dm_program *p, dm_metric *metric,
                          size_t most)
{
    for (size_t s = 0; s < y->n_sets; s++)
        for (size_t i = 0; i < y->sets[s]->n && y->n < most; i++)
            if (s > 0 || !is_spread(y->sets[0], i))
                add_right(a, y, p, s, i, metric);
}

/* ---- waiting ---- */

typedef enum decision { UNDECIDED, WORKS, NEVER_RAN, ALWAYS_FAILS } decision;

/* By the right answers in their order alone, whoever is scored first: a slow machine decides as a
 * fast one does. */
static decision decide(const trying *y, size_t n)
{
    size_t ended = 0, whole = 0;
    for (size_t i = 0; i < n; i++) {
        const trial *t = &y->right[i];
        if (!t->done)
            return UNDECIDED;
        if (t->ok)
            return WORKS;
        ended += t->ended;
        whole += t->whole;
        if (ended == i + 1 && (ended == DEAD || ended == n))
            return NEVER_RAN;
    }
    return whole > 0 ? ALWAYS_FAILS : WORKS; /* what was missing may have been why */
}

void dm_metric_turn(dm_metric *m, double until)
{
    dm_wait_fd fds[64];
    struct pollfd polls[64];
    size_t n = dm_metric_fds(m, fds, 64);
    for (size_t i = 0; i < n; i++)
        polls[i] = (struct pollfd){.fd = fds[i].fd, .events = POLLIN};
    double pause = fmax(0, fmin(until, dm_metric_due(m)) - dm_now());
    (void)poll(polls, (nfds_t)n, (int)ceil(1000 * fmin(pause, 3600)));
    dm_metric_poll(m);
}

/* For as long as the metric itself allows: what is decided must not depend on the clock. */
static decision await_decision(const trying *y, dm_metric *m)
{
    size_t n = y->n < DECIDE ? y->n : DECIDE;
    decision d = n ? UNDECIDED : WORKS;
    for (dm_metric_poll(m);
         n && (d = decide(y, n)) == UNDECIDED && !dm_asked_to_stop && !dm_metric_trouble(m);)
        dm_metric_turn(m, INFINITY);
    return d;
}

static bool all_done(const trial *t, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!t[i].done)
            return false;
    return true;
}

static void await_rest(const trying *y, dm_metric *m, double until)
{
    for (dm_metric_poll(m); dm_now() < until && !dm_asked_to_stop;) {
        if (all_done(y->right, y->n) && all_done(y->wrong, y->n_wrong) &&
            (!y->again[0] ||
             (all_done(y->again[0], y->n_wrong) && all_done(y->again[1], y->n_wrong))))
            return;
        dm_metric_turn(m, until);
    }
}

/* ---- what it says ---- */

typedef struct counts {
    size_t answered, failed, not_one, zero, empty, pairs, same, as_good, twice, changed;
    double right, wrong; /* sums over the pairs */
    bool explains;
    const trial *failure, *low, *before, *after; /* before, after: of the first that changed */
} counts;

static void count_twice(const trial *first, const trial *again, size_t n, counts *c)
{
    for (size_t i = 0; i < n; i++) {
        if (!first[i].ok || !again[i].ok)
            continue;
        c->twice++;
        if (fabs(first[i].score - again[i].score) <= 1e-9)
            continue;
        c->changed++;
        c->before = c->before ? c->before : &first[i];
        c->after = c->after ? c->after : &again[i];
    }
}

static counts count(const trying *y)
{
    counts c = {0};
    for (size_t i = 0; i < y->n; i++) {
        const trial *t = &y->right[i];
        c.answered += t->done;
        c.explains = c.explains || t->explained;
        if (t->done && !t->ok) {
            c.failed++;
            c.failure = c.failure ? c.failure : t;
        }
        if (t->ok && t->score != 1) {
            c.not_one++;
            c.zero += t->score == 0 && t->whole;
            c.empty += t->score == 0 && t->whole && t->empty;
            c.low = c.low ? c.low : t;
        }
    }
    for (size_t i = 0; i < y->n_wrong; i++)
        if (y->right[i].ok && y->wrong[i].ok) {
            c.pairs++;
            c.same += y->right[i].score == y->wrong[i].score;
            c.as_good += y->right[i].score <= y->wrong[i].score;
            c.right += y->right[i].score;
            c.wrong += y->wrong[i].score;
        }
    for (int i = 0; i < 2 && y->again[i]; i++)
        count_twice(i ? y->wrong : y->right, y->again[i], y->n_wrong, &c);
    return c;
}

/* Wrong answers are worth as much as right ones in most pairs, or nearly as much in the mean. */
static bool hardly_tells(const counts *c)
{
    return c->pairs >= 2 && (2 * c->as_good > c->pairs || c->wrong >= NEARLY * c->right);
}

/* A metric that is right about its labels seldom gives one of them nothing. */
static bool refuses_labels(const counts *c)
{
    return c->zero >= 2 && (double)c->zero >= REFUSED * (double)c->answered;
}

static const char *verdict(dm_arena *a, const trying *y, const counts *c)
{
    if (c->changed)
        return dm_arena_printf(a,
                               "it is not repeatable: %zu of %zu answers that it was given twice "
                               "got another score the second time (%.3g and %.3g)",
                               c->changed, c->twice, c->before->score, c->after->score);
    if (c->failed)
        return dm_arena_printf(a,
                               "it fails on %zu of %zu right answers, the labels themselves; "
                               "example %zu of %s: %s",
                               c->failed, c->answered, c->failure->row + 1,
                               y->sets[c->failure->set]->path, c->failure->text);
    if (c->pairs >= 2 && c->same == c->pairs)
        return dm_arena_printf(a,
                               "right and wrong answers score the same (%.3g) in all %zu pairs "
                               "tried: nothing can be learned from that",
                               y->right[0].ok ? y->right[0].score : 0.0, c->pairs);
    if (c->pairs >= 2 && c->right <= c->wrong)
        return dm_arena_printf(a,
                               "right answers score no better than wrong ones (%.3g and %.3g in "
                               "the mean of %zu pairs): nothing can be learned from that",
                               c->right / (double)c->pairs, c->wrong / (double)c->pairs, c->pairs);
    if (hardly_tells(c))
        return dm_arena_printf(a,
                               "it hardly tells right answers from wrong ones: wrong ones score as "
                               "much in %zu of %zu pairs tried, and %.3g in the mean where right "
                               "ones score %.3g",
                               c->as_good, c->pairs, c->wrong / (double)c->pairs,
                               c->right / (double)c->pairs);
    if (refuses_labels(c))
        return dm_arena_printf(a,
                               "the labels themselves, given as answers, score 0 in %zu of %zu "
                               "examples: %s",
                               c->zero, c->answered,
                               c->empty == c->zero
                                   ? "they are empty there, so no answer can be right; write a "
                                     "word such as none, or take a metric that knows empty labels"
                                   : "does it look at the right fields?");
    if (2 * c->not_one > c->answered)
        return dm_arena_printf(a,
                               "the labels themselves, given as answers, score below 1 in %zu of "
                               "%zu examples (%.3g): does it look at the right fields?",
                               c->not_one, c->answered, c->low->score);
    return NULL;
}

dm_status dm_metric_trial(dm_arena *a, const dm_job *job, dm_metric *metric, size_t most,
                          bool twice, double seconds, dm_trial_verdict *out, dm_error *err)
{
    const dm_dataset *const sets[] = {job->valset, job->testset, job->trainset};
    trying y = {.n = 0};
    double until = dm_now() + seconds;
    *out = (dm_trial_verdict){.right = NAN, .wrong = NAN};
    if (job->program->python) /* what its metric looks at only a run of it tells */
        return DM_OK;
    for (size_t i = 0; i < 3; i++)
        if (sets[i] && (y.n_sets == 0 || sets[i] != y.sets[0]))
            y.sets[y.n_sets++] = sets[i];
    if (y.n_sets == 0)
        return DM_OK;
    if (dm_metric_asks(job->setup.metric))
        return DM_OK; /* what it says to an answer costs a call: `check --live` tries it */
    most = most > DECIDE ? most : DECIDE;
    y.right = dm_arena_alloc_n(a, most, sizeof *y.right);
    y.wrong = dm_arena_alloc_n(a, DECIDE, sizeof *y.wrong);
    for (int i = 0; i < 2 && twice; i++)
        y.again[i] = dm_arena_alloc_n(a, DECIDE, sizeof *y.again[i]);
    submit_spread(a, &y, job->program, metric);
    decision d = await_decision(&y, metric);
    if (d == NEVER_RAN)
        return dm_fail(err, DM_E_DATA, "%s: metric: %s", job->file, y.right[0].text);
    if (d == ALWAYS_FAILS)
        return dm_fail(
            err, DM_E_DATA,
            "%s: metric: it fails on the labels themselves, given as answers, in all %zu "
            "examples tried: %s",
            job->file, y.n, y.right[0].text);
    if (dm_metric_trouble(metric))
        return dm_fail(err, DM_E_DATA, "%s: metric: %s", job->file, dm_metric_trouble(metric));
    if (dm_asked_to_stop)
        return dm_stopped(err, "trying the metric");
    submit_wrong(a, &y, job->program, metric);
    submit_others(a, &y, job->program, metric, most);
    await_rest(&y, metric, until);
    counts c = count(&y);
    out->odd = verdict(a, &y, &c);
    out->pairs = c.pairs;
    out->twice = c.twice;
    out->changed = c.changed;
    out->explains = c.explains;
    if (c.pairs) {
        out->right = c.right / (double)c.pairs;
        out->wrong = c.wrong / (double)c.pairs;
    }
    out->useless = 20 * c.failed > c.answered || c.changed || hardly_tells(&c) ||
                   (refuses_labels(&c) && c.zero < c.answered);
    out->full = c.answered > 0 && c.failed == 0 && c.not_one == 0;
    out->no_label_fits = y.n == 0 && y.misfits;
    out->no_label_scores = c.answered > 0 && c.zero == c.answered;
    return DM_OK;
}

/* Several answers may be right: a list of labels stands for any one of them. */
static bool fits(const dm_type *t, const dm_value *label)
{
    dm_arena *a = dm_arena_new(4096);
    bool list = label->kind == DM_LIST && (t->kind == DM_T_STR || t->kind == DM_T_LITERAL);
    bool ok = list || dm_metric_label(a, t, label);
    dm_arena_free(a);
    return ok;
}

size_t dm_label_misfits(const dm_field *f, const dm_dataset *set, size_t *first)
{
    size_t n = 0;
    for (size_t i = 0; i < set->n; i++) {
        const dm_value *v = dm_value_get_str(set->examples[i].row, f->name);
        if (!v || fits(f->type, v))
            continue;
        *first = n++ ? *first : i;
    }
    return n;
}

static void put_misfits(dm_buf *b, const dm_field *f, const dm_dataset *set)
{
    size_t first = 0, n = dm_label_misfits(f, set, &first);
    if (n == 0)
        return;
    dm_buf_printf(b, "  %.*s: %zu of %zu labels are not of type ", DM_STR_ARG(f->name), n, set->n);
    dm_type_python(b, f->type);
    dm_buf label;
    dm_buf_init(&label, DM_MAX_TEXT);
    dm_py_str(&label, dm_value_get_str(set->examples[first].row, f->name));
    char *shown = dm_outside(dm_buf_view(&label), 100);
    dm_buf_printf(b, " (example %zu: %s): no answer can be right there\n", first + 1, shown);
    free(shown);
    dm_buf_free(&label);
}

void dm_label_trial(dm_buf *b, const dm_job *job, const dm_dataset *set)
{
    const dm_signature *s = job->program->predictors[job->program->n - 1].signature;
    for (size_t i = s->n_inputs; i < s->n_inputs + s->n_outputs && !job->program->python; i++)
        put_misfits(b, &s->fields[i], set);
}
