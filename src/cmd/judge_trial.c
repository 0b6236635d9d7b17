#include "cmd/judge_trial.h"
#include "base/clock.h"
#include "cmd/metric_trial.h"
#include "cmd/say.h"
#include "cmd/session.h"

#include <math.h>

enum { PAIRS = 8 }; /* of a right and a wrong answer */

const dm_judging *dm_job_judging(dm_arena *a, const dm_job *job)
{
    dm_at at = dm_at_root(job->setup.metric, job->file, DM_E_JOB);
    const dm_dataset *sets[3];
    dm_error unsaid = {DM_OK, ""};
    size_t n = 0;
    if (!dm_metric_asks(job->setup.metric))
        return NULL;
    for (size_t i = 0; i < 3; i++)
        if (job->setup.sets[i])
            sets[n++] = job->setup.sets[i];
    return dm_judging_read(a, &at, job->program, sets, n, &unsaid);
}

/* ---- the answers ---- */

typedef struct trial {
    size_t n, n_right;    /* cases: the right ones, then the wrong ones */
    dm_judge_case *cases; /* [2 * PAIRS] */
    size_t *pair;         /* [2 * PAIRS] the number of the right answer that it goes with */
    dm_judge_opinion *once, *twice; /* [n] */
} trial;

static void add(trial *t, const dm_trial_answer *of, const dm_value *outputs, size_t pair)
{
    t->pair[t->n] = pair;
    t->cases[t->n++] = (dm_judge_case){.example = of->example, .outputs = outputs};
}

static trial cases_of(dm_arena *a, const dm_job *job)
{
    dm_trial_answer answers[PAIRS];
    trial t = {.cases = dm_arena_alloc_n(a, (size_t)2 * PAIRS, sizeof *t.cases),
               .pair = dm_arena_alloc_n(a, (size_t)2 * PAIRS, sizeof *t.pair)};
    const dm_dataset *set = job->valset ? job->valset : job->testset ? job->testset : job->trainset;
    t.n_right = set ? dm_trial_answers(a, job, set, answers, PAIRS) : 0;
    for (size_t i = 0; i < t.n_right; i++)
        add(&t, &answers[i], answers[i].right, i);
    for (size_t i = 0; i < t.n_right; i++)
        if (answers[i].wrong)
            add(&t, &answers[i], answers[i].wrong, i);
    t.once = dm_arena_alloc_n(a, t.n, sizeof *t.once);
    t.twice = dm_arena_alloc_n(a, t.n, sizeof *t.twice);
    return t;
}

/* The parts that ask no model; the arena keeps what they came to. */
typedef struct scored {
    dm_arena *arena;
    dm_judge_case *of;
    bool done, ok;
    const char *why;
} scored;

static void take(void *user, const dm_metric_score *s)
{
    scored *x = user;
    x->done = true;
    x->ok = s->ok;
    if (s->parts.p)
        x->of->parts = (dm_str){dm_arena_string(x->arena, s->parts.p, s->parts.n), s->parts.n};
    x->why = s->ok ? NULL : dm_arena_printf(x->arena, "%s", s->text ? s->text : "");
}

static dm_status score_parts(dm_arena *a, const dm_job *job, dm_metric *metric, trial *t,
                             dm_error *err)
{
    scored *x = dm_arena_alloc_n(a, t->n, sizeof *x);
    for (size_t i = 0; i < t->n; i++) {
        x[i] = (scored){.arena = a, .of = &t->cases[i]};
        dm_metric_submit(metric, t->cases[i].example, t->cases[i].outputs, NULL, 0, job->program,
                         take, &x[i]);
    }
    for (size_t i = 0; i < t->n; i++) {
        while (!x[i].done && !dm_asked_to_stop && !dm_metric_trouble(metric))
            dm_metric_turn(metric, INFINITY);
        if (!x[i].done && !dm_asked_to_stop)
            return dm_fail(err, DM_E_DATA, "%s: metric: %s", job->file, dm_metric_trouble(metric));
        if (!x[i].done)
            return dm_stopped(err, "trying the metric");
        if (!x[i].ok)
            return dm_fail(err, DM_E_DATA, "%s: metric: %s", job->file, x[i].why);
    }
    return DM_OK;
}

/* ---- what it says ---- */

typedef struct counts {
    size_t read, pairs, zero; /* zero: right answers that scored 0 */
    double right, wrong;      /* sums over the pairs */
    const char *why;          /* the first judgement that could not be had */
    dm_judge_noise noise;
} counts;

static counts count(const trial *t)
{
    counts c = {0};
    for (size_t i = 0; i < t->n; i++) {
        const dm_judge_opinion *right = &t->once[t->pair[i]], *o = &t->once[i];
        c.read += o->has;
        c.why = c.why || o->has ? c.why : o->why;
        c.zero += i < t->n_right && o->has && o->score == 0;
        if (o->has && t->twice[i].has)
            dm_judge_noise_add(&c.noise, o->score, t->twice[i].score);
        if (i < t->n_right || !o->has || !right->has)
            continue;
        c.pairs++;
        c.right += right->score;
        c.wrong += o->score;
    }
    return c;
}

void dm_judge_noise_text(dm_buf *b, const dm_judge_noise *noise)
{
    dm_buf_printf(b, "asked twice about %zu answers, ", noise->n);
    if (noise->changed == 0)
        dm_buf_text(b, "it said the same each time");
    else
        dm_buf_printf(b,
                      "it scored %zu of them otherwise: one judgement is off by %.1f points, the "
                      "mean of 100 by %.2f",
                      noise->changed, 100 * noise->sd, 10 * noise->sd);
}

dm_value *dm_judge_noise_json(dm_arena *a, const dm_judge_noise *noise)
{
    dm_value *d = dm_value_dict(a);
    dm_value_set(a, d, DM_STR("answers"), dm_value_int(a, (int64_t)noise->n));
    dm_value_set(a, d, DM_STR("changed"), dm_value_int(a, (int64_t)noise->changed));
    dm_value_set(a, d, DM_STR("sd"), dm_value_float(a, noise->sd));
    return d;
}

static dm_status tell(const dm_job *job, const trial *t, dm_error *err)
{
    counts c = count(t);
    size_t right = 0;
    dm_buf b;
    for (size_t i = 0; i < t->n_right; i++)
        right += t->once[i].has;
    if (c.read == 0)
        return dm_fail(err, DM_E_MODEL, "%s: metric: no judgement could be had: %s", job->file,
                       c.why ? c.why : "");
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_buf_text(&b, "judge     ");
    if (c.pairs)
        dm_buf_printf(&b, "right answers score %.3g, wrong ones %.3g, in the mean of %zu pairs; ",
                      c.right / (double)c.pairs, c.wrong / (double)c.pairs, c.pairs);
    if (c.noise.n)
        dm_judge_noise_text(&b, &c.noise);
    dm_buf_char(&b, '\n');
    if (c.read < t->n)
        dm_buf_printf(&b, "          %zu of %zu judgements could not be had: %s\n", t->n - c.read,
                      t->n, c.why);
    if (c.pairs >= 2 && c.right <= c.wrong)
        dm_buf_text(&b, "          right answers score no better than wrong ones: nothing can be "
                        "learned from that\n");
    dm_say_text(stdout, dm_buf_view(&b));
    dm_buf_free(&b);
    if (right > 0 && c.zero == right)
        return dm_fail(err, DM_E_DATA,
                       "%s: metric: the judge scores every label 0 when it is given as the answer: "
                       "nothing can come of that",
                       job->file);
    return DM_OK;
}

dm_status dm_judge_trial(dm_arena *a, dm_job *job, dm_metric *metric, dm_error *err)
{
    const dm_judging *j = dm_job_judging(a, job);
    dm_session s;
    trial t = j ? cases_of(a, job) : (trial){0};
    if (t.n == 0)
        return DM_OK;
    dm_status st = score_parts(a, job, metric, &t, err);
    if (st == DM_OK)
        st = dm_session_open(&s, job, err);
    if (st != DM_OK)
        return st;
    st = dm_judge_ask(s.pool, j, t.cases, t.n, -1, t.once, err);
    if (st == DM_OK)
        st = dm_judge_ask(s.pool, j, t.cases, t.n, 1, t.twice, err);
    if (st > 0)
        (void)dm_fail(err, st, "the judge was not tried to the end");
    if (st == DM_OK)
        st = tell(job, &t, err);
    dm_session_close(&s);
    return st;
}
