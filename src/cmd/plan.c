/* dspy-mpi plan: calls before a cent is spent (contract 9). */
#include "base/clock.h"
#include "cmd/commands.h"
#include "cmd/job_plan.h"
#include "cmd/plan_text.h"
#include "cmd/say.h"
#include "cmd/session.h"

#include <math.h>
#include <stdio.h>

static dm_value *rounded(dm_arena *a, double v)
{
    return dm_value_float(a, round(1e4 * v) / 1e4);
}

static dm_value *range_json(dm_arena *a, const dm_range *r, bool whole)
{
    dm_value *d = dm_value_dict(a);
    const double v[] = {whole ? floor(r->low) : r->low, whole ? round(r->expected) : r->expected,
                        whole ? ceil(r->high) : r->high};
    static const char *const names[] = {"low", "expected", "high"};
    for (int i = 0; i < 3; i++)
        dm_value_set(a, d, dm_str_of(names[i]),
                     whole ? dm_value_int(a, (int64_t)v[i]) : rounded(a, v[i]));
    return d;
}

/* How long the answers to the optimizer's own questions are, from one of them. */
static dm_status measure_question(dm_pool *pool, dm_job *job, dm_calibration *c, dm_error *err)
{
    const dm_compile_input in = dm_job_input(job);
    const dm_optimizer *o = in.params->class;
    const dm_result *r;
    dm_usage before = dm_pool_stats_of(pool).usage;
    dm_future *f = o->sample ? o->sample(pool, &in) : NULL;
    dm_status st = f ? dm_pool_wait(pool, f, &r, err) : DM_OK;
    dm_usage u = dm_pool_stats_of(pool).usage;
    if (st == DM_OK && u.answers > before.answers)
        c->proposal =
            (double)(u.completion - before.completion) / (double)(u.answers - before.answers);
    return st;
}

static bool asks_questions(const dm_job *job)
{
    dm_plan plan = dm_plan_of(job);
    for (size_t i = 0; i < plan.n; i++)
        if (plan.phases[i].asks && plan.phases[i].calls.high > 0)
            return true;
    return false;
}

/* Runs the start program on the first n examples of the training set, and one with demonstrations
 * on a few; and asks one of the optimizer's own questions where it has any. */
static size_t count_failed(const dm_result *r, size_t n)
{
    size_t failed = 0;
    for (size_t i = 0; i < n; i++)
        failed += r[i].fault != DM_FAULT_NONE;
    return failed;
}

static dm_status measure(dm_job *job, size_t n, dm_calibration *c, dm_error *err)
{
    dm_session s;
    const dm_result *r[2];
    size_t few = n < 5 ? n : 5, most = job->trainset->n;
    const dm_dataset *set[] = {dm_dataset_slice(job->arena, job->trainset, 0, n < most ? n : most),
                               dm_dataset_slice(job->arena, job->trainset, most - few, few)};
    dm_usage u[2] = {{0}, {0}};
    dm_status st = dm_job_settle(job->arena, job, err);
    if (st == DM_OK)
        st = dm_session_open(&s, job, err);
    if (st != DM_OK)
        return st;
    *c = dm_calibration_assumed();
    c->demos = dm_plan_demos(job);
    double began = dm_now(), took = 0;
    bool asks = asks_questions(job);
    dm_pool_phase(s.pool, "measure", set[0]->n + few + asks);
    for (int i = 0; i < 2 && st == DM_OK; i++) {
        dm_work w = dm_work_of(i ? dm_estimate_candidate(job->arena, job, c->demos) : job->student);
        st = dm_pool_wait(s.pool, dm_pool_evaluate(s.pool, &w, set[i]), &r[i], err);
        u[i] = dm_pool_stats_of(s.pool).usage;
        took = i ? took : dm_now() - began;
    }
    double first = (double)u[0].answers, second = (double)(u[1].answers - u[0].answers);
    if (st == DM_OK && first > 0 && second > 0) {
        c->n = set[0]->n;
        c->prompt[0] = (double)u[0].prompt / first;
        c->prompt[1] = (double)(u[1].prompt - u[0].prompt) / second;
        c->completion = (double)u[1].completion / (double)u[1].answers;
        c->reasoning = (double)u[1].reasoning / (double)u[1].answers;
        c->seconds = took * fmin((double)job->concurrency, first) / first;
        c->score = dm_mean_score(r[0], set[0]->n);
        c->failed = count_failed(r[0], set[0]->n);
    }
    if (st == DM_OK && asks)
        st = measure_question(s.pool, job, c, err);
    dm_session_close(&s);
    return st;
}

static void print_plan(const dm_job *job, const dm_plan *plan, const dm_estimate *e,
                       const dm_calibration *c)
{
    dm_buf b;
    char reasoning[60] = "";
    if (c->reasoning > 0)
        snprintf(reasoning, sizeof reasoning, " (%.0f of them reasoning)", c->reasoning);
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_estimate_table(&b, plan, e);
    dm_estimate_otherwise(&b, job, e, c);
    if (c->n)
        dm_buf_printf(
            &b,
            "measured on %zu examples: %.0f tokens a prompt, %.0f with %zu demonstrations, %.0f an "
            "answer%s, %.2f s a call\n",
            c->n, c->prompt[0], c->prompt[1], c->demos, c->completion, reasoning, c->seconds);
    const dm_compile_input in = dm_job_input(job);
    const dm_optimizer *o = in.params ? in.params->class : NULL;
    if (o && o->inner && o->announce) /* what a use will cost depends on what they come to */
        o->announce(&b, job->arena, &in, job->stand_in ? 0 : job->concurrency);
    dm_plan_fill_text(&b, job, plan);
    dm_buf_char(&b, '\n');
    if (c->failed)
        dm_buf_printf(&b,
                      "the start program fails on %zu of these: fix that first (`eval` says why)\n",
                      c->failed);
    dm_plan_advice(&b, job, plan, e, c->failed ? NAN : c->score, c->n);
    dm_plan_suggestion(&b, job, plan, e);
    dm_say_text(stderr, dm_buf_view(&b));
    dm_buf_free(&b);
}

static void print_line(dm_arena *a, const dm_command_line *line, const dm_plan *plan,
                       const dm_estimate *e, const dm_calibration *c)
{
    dm_value *last = dm_value_dict(a), *tokens = dm_value_dict(a);
    dm_range all = dm_plan_together(plan);
    dm_value_set(a, tokens, DM_STR("prompt"), range_json(a, &e->all.prompt, true));
    dm_value_set(a, tokens, DM_STR("completion"), range_json(a, &e->all.completion, true));
    dm_value_set(a, last, DM_STR("status"), dm_value_text(a, "done"));
    dm_value_set(a, last, DM_STR("calls"), range_json(a, &all, true));
    dm_value_set(a, last, DM_STR("tokens"), tokens);
    dm_value_set(a, last, DM_STR("cost"),
                 e->has_cost ? range_json(a, &e->all.cost, false) : dm_value_null(a));
    if (e->has_cost && e->uncached > 0)
        dm_value_set(a, last, DM_STR("cost_uncached"), rounded(a, e->uncached));
    if (e->has_cost && e->untiered > 0)
        dm_value_set(a, last, DM_STR("cost_without_flex"), rounded(a, e->untiered));
    if (c->reasoning > 0)
        dm_value_set(a, tokens, DM_STR("reasoning_an_answer"), rounded(a, c->reasoning));
    dm_value_set(a, last, DM_STR("seconds"), range_json(a, &e->all.seconds, false));
    dm_print_last_line(last, line);
}

int dm_cmd_plan(dm_arena *a, const dm_command_line *line)
{
    dm_job job;
    dm_error err = {DM_OK, ""};
    dm_job_wants wants = {.data = true, .metric = true, .optimizer = true, .model = true};
    dm_status st = dm_job_read(a, line, wants, &job, &err);
    dm_metric *metric = st == DM_OK ? dm_job_metric(a, &job, &err) : NULL;
    if (!metric)
        return dm_say_failure(&err);
    dm_metric_free(metric);
    dm_calibration c = dm_calibration_assumed();
    const dm_value *n = dm_value_get(line->flags, "measure");
    double count = 0;
    if (n)
        st = dm_parse_count(n->text.p, &count, &err);
    if (st != DM_OK)
        dm_error_wrap(&err, DM_E_USAGE, "--measure");
    if (st == DM_OK && n && count < 1)
        st = dm_fail(&err, DM_E_USAGE, "--measure needs a number of examples");
    if (st == DM_OK && n)
        st = measure(&job, (size_t)count, &c, &err);
    if (st < 0)
        return dm_say_failure(&err);
    if (st > 0)
        return dm_exit_code(st);
    if (dm_plan_limit(&job, &err) != DM_OK)
        return dm_say_failure(&err);
    dm_plan plan = dm_plan_of(&job);
    dm_estimate e = dm_estimate_of(&job, &plan, &c);
    print_plan(&job, &plan, &e, &c);
    print_line(a, line, &plan, &e, &c);
    return 0;
}
