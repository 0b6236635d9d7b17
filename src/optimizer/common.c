#include "optimizer/inside.h"
#include "base/interval.h"
#include "base/log.h"
#include "json/value.h"
#include "program/python_program.h"

#include <math.h>
#include <string.h>

int64_t dm_seed_of(const dm_params *p)
{
    return p->has_seed ? p->seed : 0;
}

const dm_param *dm_param_named(const dm_optimizer *o, const char *name)
{
    for (const dm_param *p = o->params; p->name; p++)
        if (strcmp(p->name, name) == 0)
            return p;
    return NULL;
}

dm_train dm_train_of(dm_arena *a, const dm_dataset *d)
{
    dm_train t = {dm_arena_alloc_n(a, d->n, sizeof *t.examples), d->n};
    for (size_t i = 0; i < d->n; i++)
        t.examples[i] = &d->examples[i];
    return t;
}

dm_train dm_train_in_order(dm_arena *a, dm_train t, const size_t *order)
{
    dm_train o = {dm_arena_alloc_n(a, t.n, sizeof *o.examples), t.n};
    for (size_t i = 0; i < t.n; i++)
        o.examples[i] = t.examples[order ? order[i] : i];
    return o;
}

dm_candidate *dm_reset_copy(dm_arena *a, const dm_candidate *c)
{
    dm_candidate *copy = dm_candidate_copy(a, c);
    for (size_t i = 0; i < copy->program->n; i++) {
        dm_part_set_demos(&copy->parts[i], NULL, 0);
        copy->parts[i].without_lm = dm_python_has_lm(&copy->program->predictors[i]);
    }
    return copy;
}

/* ---- the leak guard ---- */

typedef enum match { NOT_THERE, SAME, OTHER } match;

static match compare_field(const dm_value *a, const dm_value *b, dm_str name)
{
    const dm_value *x = dm_value_get_str(a, name), *y = dm_value_get_str(b, name);
    if (!x || !y)
        return NOT_THERE;
    return dm_value_equal(x, y) ? SAME : OTHER;
}

bool dm_same_inputs(const dm_program *p, const dm_value *a, const dm_value *b)
{
    size_t same = 0;
    for (size_t i = 0; i < p->n_inputs; i++) {
        match m = compare_field(a, b, p->inputs[i]);
        if (m == OTHER)
            return false;
        same += m == SAME;
    }
    return same > 0 || p->n_inputs == 0; /* rows in Python may have none of the first one's */
}

/* A demonstration made from this row shows the same inputs, as far as its step has any of the
 * program's. */
static bool shows(const dm_predictor *step, const dm_value *demo, const dm_value *row)
{
    size_t same = 0;
    for (size_t i = 0; i < step->signature->n_inputs; i++) {
        match m = compare_field(row, demo, step->signature->fields[i].name);
        if (m == OTHER)
            return false;
        same += m == SAME;
    }
    return same > 0;
}

bool dm_stands_in_demos(const dm_candidate *c, size_t predictor, const dm_example *e)
{
    const dm_candidate_part *part = &c->parts[predictor];
    for (size_t d = 0; d < part->n_demos; d++)
        if (dm_demo_is_sent(c->program->predictors[predictor].signature, part->demos[d]) &&
            shows(&c->program->predictors[predictor], part->demos[d], e->row))
            return true;
    return false;
}

/* ---- scores ---- */

bool dm_beats(const dm_result *challenger, const dm_result *champion, size_t n)
{
    double a = 0, b = 0;
    size_t both = 0;
    for (size_t i = 0; i < n; i++) {
        const dm_result *other = champion ? &champion[i] : NULL;
        if (!dm_counts_against(&challenger[i], other) ||
            (other && !dm_counts_against(other, &challenger[i])))
            continue;
        a += challenger[i].score;
        b += other ? other->score : 0;
        both++;
    }
    if (both == 0)
        return false;
    if (!champion)
        return true;
    return dm_py_round2(100 * a / (double)both) > dm_py_round2(100 * b / (double)both);
}

bool dm_is_refused_too_often(const dm_result *r, const dm_result *start, size_t n)
{
    size_t refused = 0;
    for (size_t i = 0; i < n; i++)
        refused += r[i].refused && !(start && start[i].refused);
    return 20 * refused > n;
}

void dm_tell_dropped(const char *name)
{
    dm_log(DM_WARN,
           "%s is dropped: the server refuses more than 5 %% of its prompts; they may be too long",
           name);
}

static void tell_same_scores(const dm_result *start, size_t n)
{
    size_t first = 0, same = 0, present = 0;
    while (first < n && !start[first].present)
        first++;
    for (size_t i = first; i < n; i++) {
        present += start[i].present;
        same += start[i].present && start[i].score == start[first].score;
    }
    if (present >= 8 && same == present)
        dm_log(
            DM_WARN,
            "every score of the start program is the same (%.3g on %zu examples): unless that is "
            "meant, look at an answer with `run` and at the metric with `check`",
            start[first].score, present);
}

bool dm_worth_of(double score, size_t n, size_t n_train, dm_mean *start, dm_worth *out)
{
    *start = dm_mean_known(score, n, DM_Z95);
    const dm_known k = {.n_train = n_train, .start = *start, .needed = NAN};
    *out = dm_advise(&k);
    return start->n > 0;
}

/* Failures are mended first: what a compilation is worth is not to be seen over them. */
static bool tell_failures(const dm_result *start, size_t n, double percent)
{
    size_t failed = 0, kinds[DM_FAULTS] = {0};
    dm_buf b;
    for (size_t i = 0; i < n; i++)
        if (start[i].fault != DM_FAULT_NONE) {
            failed++;
            kinds[start[i].fault]++;
        }
    if (failed == 0)
        return false;
    dm_buf_init(&b, 1000);
    for (size_t k = 0; k < DM_FAULTS; k++)
        if (kinds[k])
            dm_buf_printf(&b, "%s%zu %s", b.len ? ", " : "", kinds[k], dm_fault_name((dm_fault)k));
    dm_log(
        DM_WARN,
        "the start program scores %.1f %%, and fails on %zu of %zu examples (%s): fix these first",
        percent, failed, n, b.data);
    dm_buf_free(&b);
    return true;
}

static size_t n_present(const dm_result *r, size_t n)
{
    size_t present = 0;
    for (size_t i = 0; i < n; i++)
        present += r[i].present;
    return present;
}

/* Of members that start with the same scores only the first says it. */
static bool is_told(const dm_compile_input *in, size_t n, double score)
{
    dm_told *t = in->told;
    if (!t)
        return false;
    bool again = t->n == n && !(t->score < score) && !(t->score > score);
    *t = (dm_told){score, n};
    return again;
}

void dm_tell_start(const dm_compile_input *in, const dm_result *start, size_t n)
{
    double score = dm_mean_score(start, n), percent = 100 * score;
    const char *who = in->name ? in->name : "", *colon = in->name ? ": " : "";
    size_t n_train = in->trainset->n;
    dm_mean known;
    dm_worth advice;
    static const char unclear[] = "whether compiling is worth it is not clear; dspy-mpi advise "
                                  "says what would decide that";
    static const char *const words[] = {[DM_ADVICE_WORTH_IT] = "worth it",
                                        [DM_ADVICE_LITTLE] = "there is little to gain",
                                        [DM_ADVICE_UNCLEAR] = unclear};
    if (in->step > 0 || is_told(in, n, score)) /* in a chain the first tells of the start */
        return;
    tell_same_scores(start, n);
    if (tell_failures(start, n, percent))
        return;
    if (!dm_worth_of(score, n_present(start, n), n_train, &known, &advice))
        return;
    if (advice == DM_ADVICE_MORE_EXAMPLES)
        dm_log(
            DM_WARN,
            "%s%sthe start program scores %.1f %%, with %zu examples: collect more of them first",
            who, colon, percent, n_train);
    else
        dm_log(DM_WARN, "%s%sthe start program scores %.1f %% (%.1f to %.1f)%s: %s", who, colon,
               percent, 100 * known.low, 100 * known.high,
               advice == DM_ADVICE_LITTLE ? " already" : "", words[advice]);
}

const dm_compile_input *dm_who_of(const dm_compile_input *in)
{
    return in->who ? in->who : in;
}

const char *dm_step_name(dm_arena *a, const dm_compile_input *in, const char *name)
{
    return in->who ? dm_arena_printf(a, "%s %s", in->params->class->name, name) : name;
}

void dm_tell_best(dm_pool *p, const dm_compile_input *in, size_t number, double score)
{
    dm_pool_best(p, dm_who_of(in), number == SIZE_MAX ? number : in->first + number, score);
}

void dm_tell_tried(dm_pool *p, const dm_compile_input *in, size_t number, const dm_scored *s,
                   const dm_result *r, size_t n, const dm_result *start, const size_t *rows)
{
    dm_tried t = {.who = dm_who_of(in),
                  .part = in->name,
                  .number = in->first + number,
                  .name = dm_step_name(dm_pool_arena(p), in, s->name),
                  .candidate = s->candidate,
                  .levels = s->levels};
    dm_pool_tried(p, &t, r, n, start, rows);
}
