/* dspy-mpi plan: calls before a cent is spent (contract 9). */
#include "cmd/commands.h"
#include "cmd/session.h"

#include <math.h>
#include <stdio.h>

typedef struct range {
    double low, expected, high; /* calls */
} range;

static void add(range *r, double low, double expected, double high)
{
    r->low += low;
    r->expected += expected;
    r->high += high;
}

/* c calls a run, twice as many if every answer needs the JSON fallback. */
static void add_runs(range *r, double c, double low, double expected, double high)
{
    add(r, c * low, c * expected, 2 * c * high);
}

/* One bootstrapping of at most `size` demonstrations from n examples: at least `size` attempts;
 * half of them fail in the expectation that is put here. */
static void add_bootstrap(range *r, double c, double n, double size, double rounds)
{
    add_runs(r, c, fmin(size, n), fmin(2 * size, n), n * rounds);
}

static range search_calls(const dm_job *job, double c, double n, double v)
{
    const dm_optimizer_params *p = &job->optimizer;
    double rounds = (double)p->max_rounds, most = (double)p->max_bootstrapped_demos;
    range r = {0, 0, 0};
    if (p->name == DM_BOOTSTRAP_FEW_SHOT)
        add_bootstrap(&r, c, n, most, rounds);
    if (p->name != DM_RANDOM_SEARCH)
        return r;
    add_bootstrap(&r, c, n, most, rounds);
    for (int64_t k = 0; k < p->num_candidate_programs; k++)
        add_bootstrap(&r, c, n, (1 + most) / 2, rounds);
    double candidates = (double)p->num_candidate_programs + 3;
    add_runs(&r, c, candidates * v, candidates * v, candidates * v);
    return r;
}

static dm_value *range_json(dm_arena *a, const range *r)
{
    dm_value *d = dm_value_dict(a);
    dm_value_set(a, d, DM_STR("low"), dm_value_int(a, (int64_t)floor(r->low)));
    dm_value_set(a, d, DM_STR("expected"), dm_value_int(a, (int64_t)round(r->expected)));
    dm_value_set(a, d, DM_STR("high"), dm_value_int(a, (int64_t)ceil(r->high)));
    return d;
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
    double c = (double)job.program->n, v = job.valset ? (double)job.valset->n : 0;
    double test = job.testset ? (double)job.testset->n : 0,
           own = job.optimizer.name == DM_RANDOM_SEARCH ? 0 : 2 * v;
    range search = search_calls(&job, c, (double)job.trainset->n, v), score = {0, 0, 0},
          all = search;
    add_runs(&score, c, own + test, own + 2 * test,
             own + 2 * test); /* the winner may be the start */
    add(&all, score.low, score.expected, score.high);
    fprintf(stderr, "%-10s %10s %10s %10s\n", "calls", "low", "expected", "high");
    fprintf(stderr, "%-10s %10.0f %10.0f %10.0f\n", "search", search.low, search.expected,
            search.high);
    fprintf(stderr, "%-10s %10.0f %10.0f %10.0f\n", "score", score.low, score.expected, score.high);
    dm_value *last = dm_value_dict(a);
    dm_value_set(a, last, DM_STR("status"), dm_value_text(a, "done"));
    dm_value_set(a, last, DM_STR("calls"), range_json(a, &all));
    dm_print_json(last);
    return 0;
}
