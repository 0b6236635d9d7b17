#include "cmd/metric_trial.h"
#include "base/clock.h"
#include "base/secret.h"
#include "json/json.h"

#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define MOST                                                                                       \
    8 /* examples: enough to see what is wrong with all of them, cheap if it takes seconds */

typedef struct trial {
    bool done, ok, ended;
    double score;
    char text[700]; /* why not ok */
} trial;

static void take(void *user, const dm_metric_score *s)
{
    trial *t = user;
    t->done = true;
    t->ok = s->ok;
    t->score = s->score;
    t->ended = s->ended;
    if (!s->ok)
        snprintf(t->text, sizeof t->text, "%s", s->text ? s->text : "");
}

/* The labels of a row that are outputs of the program; NULL: none. */
static const dm_value *labels(dm_arena *a, const dm_program *p, const dm_value *row)
{
    dm_value *d = dm_value_dict(a);
    for (size_t k = 0; k < p->n; k++) {
        const dm_signature *s = p->predictors[k].signature;
        for (size_t i = s->n_inputs; i < s->n_inputs + s->n_outputs; i++) {
            const dm_value *v = dm_value_get_str(row, s->fields[i].name);
            if (v)
                dm_value_set(a, d, s->fields[i].name, v);
        }
    }
    return d->n ? d : NULL;
}

static void wait_for(dm_metric *m, const trial *trials, size_t n, double until)
{
    for (;;) {
        dm_wait_fd fds[64];
        struct pollfd polls[64];
        size_t left = 0;
        dm_metric_poll(m);
        for (size_t i = 0; i < n; i++)
            left += !trials[i].done;
        double now = dm_now();
        if (left == 0 || now >= until || dm_metric_trouble(m))
            return;
        size_t n_fds = dm_metric_fds(m, fds, 64);
        for (size_t i = 0; i < n_fds; i++)
            polls[i] = (struct pollfd){.fd = fds[i].fd, .events = POLLIN};
        double pause = fmax(0, fmin(until, dm_metric_due(m)) - now);
        (void)poll(polls, (nfds_t)n_fds, (int)ceil(1000 * fmin(pause, 3600)));
    }
}

static const char *verdict(dm_arena *a, const trial *right, const trial *wrong, size_t n)
{
    size_t answered = 0, failed = 0, not_one = 0, pairs = 0, same = 0;
    const trial *failure = NULL, *low = NULL;
    for (size_t i = 0; i < n; i++) {
        answered += right[i].done;
        if (right[i].done && !right[i].ok) {
            failed++;
            failure = failure ? failure : &right[i];
        }
        if (right[i].ok && right[i].score != 1) {
            not_one++;
            low = low ? low : &right[i];
        }
        if (right[i].ok && wrong[i].ok) {
            pairs++;
            same += right[i].score == wrong[i].score;
        }
    }
    if (answered == 0)
        return NULL;
    if (2 * failed > answered)
        return dm_arena_printf(a,
                               "the labels themselves, given as answers, fail in %zu of %zu "
                               "examples: %s",
                               failed, answered, failure->text);
    if (pairs >= 2 && same == pairs)
        return dm_arena_printf(a,
                               "right and wrong answers score the same (%.3g) in all %zu pairs "
                               "tried: nothing can be learned from that",
                               right[0].ok ? right[0].score : 0.0, pairs);
    if (2 * not_one > answered)
        return dm_arena_printf(a,
                               "the labels themselves, given as answers, score below 1 in %zu of "
                               "%zu examples (%.3g): does it look at the right fields?",
                               not_one, answered, low->score);
    return NULL;
}

static bool silent(const trial *trials, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (trials[i].done)
            return false;
    return true;
}

static const char *no_answer(dm_arena *a, const dm_metric *m, double seconds)
{
    const char *odd = dm_metric_odd(m);
    return dm_arena_printf(a, "no answer came within %.3g s%s%s", seconds, odd ? "; " : "",
                           odd ? odd : "");
}

static const trial *never_ran(const trial *trials, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!trials[i].done || !trials[i].ended)
            return NULL;
    return n ? trials : NULL;
}

dm_status dm_metric_trial(dm_arena *a, const dm_job *job, dm_metric *metric, double seconds,
                          const char **odd, dm_error *err)
{
    const dm_dataset *set = job->valset ? job->valset : job->testset ? job->testset : job->trainset;
    trial *right = dm_arena_alloc_n(a, MOST, sizeof *right),
          *wrong = dm_arena_alloc_n(a, MOST, sizeof *wrong);
    size_t n = 0;
    for (size_t k = 0; set && k < MOST && k < set->n; k++) {
        const dm_value *row = set->examples[set->n <= MOST ? k : k * set->n / MOST].row;
        const dm_value *own = labels(a, job->program, row), *other = NULL;
        if (!own)
            continue;
        for (size_t i = 0; i < set->n && !other; i++) {
            other = labels(a, job->program, set->examples[i].row);
            if (other && dm_value_equal(own, other))
                other = NULL;
        }
        dm_metric_submit(metric, row, own, NULL, 0, job->program, take, &right[n]);
        if (other)
            dm_metric_submit(metric, row, other, NULL, 0, job->program, take, &wrong[n]);
        else
            wrong[n].done = true;
        n++;
    }
    double until = dm_now() + seconds;
    wait_for(metric, right, n, until);
    wait_for(metric, wrong, n, until);
    const trial *dead = never_ran(right, n);
    const char *trouble = dead ? dead->text : dm_metric_trouble(metric);
    if (trouble)
        return dm_fail(err, DM_E_DATA, "%s: metric: %s", job->file, trouble);
    *odd = n > 0 && silent(right, n) ? no_answer(a, metric, seconds) : verdict(a, right, wrong, n);
    return DM_OK;
}

/* Several answers may be right: a list of labels stands for any one of them. */
static bool fits(const dm_type *t, const dm_value *label)
{
    const dm_value *out;
    dm_arena *a = dm_arena_new(4096);
    bool list = label->kind == DM_LIST && (t->kind == DM_T_STR || t->kind == DM_T_LITERAL);
    bool ok = list || dm_coerce(a, t, label, &out, NULL) == DM_OK;
    dm_arena_free(a);
    return ok;
}

static void put_misfits(dm_buf *b, const dm_field *f, const dm_dataset *set)
{
    size_t n = 0, first = 0;
    for (size_t i = 0; i < set->n; i++) {
        const dm_value *v = dm_value_get_str(set->examples[i].row, f->name);
        if (!v || fits(f->type, v))
            continue;
        first = n++ ? first : i;
    }
    if (n == 0)
        return;
    dm_buf_printf(b, "  %.*s: %zu of %zu labels are no ", DM_STR_ARG(f->name), n, set->n);
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
    for (size_t i = s->n_inputs; i < s->n_inputs + s->n_outputs; i++)
        put_misfits(b, &s->fields[i], set);
}
