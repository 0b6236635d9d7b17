#include "cmd/job_plan.h"
#include "cmd/estimate.h"
#include "metric/judge.h"
#include "optimizer/judge_ask.h"

#include <math.h>

size_t dm_plan_demos(const dm_job *job)
{
    return job->optimizer ? job->optimizer->class->demos(job->optimizer) : 0;
}

/* Start and winner on validation and test set, but for what the search has scored already. */
static void plan_score(dm_plan *plan, const dm_job *job)
{
    double test = job->testset ? (double)job->testset->n : 0;
    double most = (double)dm_plan_demos(job);
    dm_range val = plan->unscored;
    dm_plan_phase *score = dm_plan_add(plan, "score", DM_TASK);
    dm_plan_runs(plan, score, val.low + test, val.expected + 2 * test, val.high + 2 * test);
    score->fill = val.high + 2 * test;
    score->demos = (dm_range){0, plan->winner_demos * most, most};
}

/* Every run of the program is judged; of a compilation some answers twice. */
static void plan_judge(dm_plan *plan, const dm_job *job)
{
    double each = (double)dm_metric_asks(job->setup.metric) / plan->predictors;
    if (each == 0)
        return;
    dm_plan_phase *judge = dm_plan_add(plan, "judge", DM_JUDGE);
    for (size_t i = 0; i + 1 < plan->n; i++) {
        const dm_plan_phase *p = &plan->phases[i];
        if (p->asks)
            continue;
        dm_range calls = {each * p->calls.low, each * p->calls.expected, each * p->calls.high};
        dm_range_add(&judge->calls, &calls);
        judge->fill = fmax(judge->fill, p->fill);
    }
    double again = job->optimizer ? DM_JUDGED_TWICE * (double)dm_metric_asks(job->setup.metric) : 0;
    dm_range_add(&judge->calls, &(dm_range){0, again, again});
}

dm_plan dm_plan_of(const dm_job *job)
{
    const dm_compile_input in = dm_job_input(job);
    double v = (double)in.valset->n;
    dm_plan plan = {.predictors = dm_program_calls(job->program),
                    .unscored = {v, 2 * v, 2 * v},
                    .winner_demos = .5};
    if (!job->optimizer) { /* what eval does */
        double set = job->testset ? (double)job->testset->n : v > 0 ? v : (double)in.trainset->n;
        dm_plan_phase *score = dm_plan_add(&plan, "score", DM_TASK);
        dm_plan_runs(&plan, score, set, set, set);
        score->fill = set;
        plan_judge(&plan, job);
        return plan;
    }
    if (job->optimizer->class->plan)
        job->optimizer->class->plan(job->arena, &in, &plan);
    plan_score(&plan, job);
    plan_judge(&plan, job);
    return plan;
}

/* What so many calls of the start program come to, of a role's model. */
static dm_amount start_costs(const dm_job *job, double calls, dm_role role)
{
    dm_plan plan = {.predictors = dm_program_calls(job->program)};
    dm_plan_phase *phase = dm_plan_add(&plan, "start", role);
    phase->calls = (dm_range){calls, calls, calls};
    phase->fill = calls;
    dm_calibration c = dm_calibration_assumed();
    dm_estimate e = dm_estimate_of(job, &plan, &c);
    return (dm_amount){calls, e.all.prompt.expected + e.all.completion.expected,
                       e.has_cost ? e.all.cost.expected : 0};
}

/* Whether the cap holds the start program's scores in each share. What tokens and money they take
 * is known as well as plan knows it. */
static dm_status check_least(const dm_job *job, const dm_compile_input *members, size_t k,
                             double calls, dm_error *err)
{
    const dm_amount *cap = &job->cap;
    dm_amount least = start_costs(job, calls, DM_TASK);
    for (size_t i = 0; i < k; i++) /* shares are equal: the dearest model tells */
        if (members[i].roles)
            least = dm_amount_most(least, start_costs(job, calls, members[i].roles[DM_TASK]));
    const struct {
        const char *name, *unit, *about, *reckoned;
        double cap, least;
        int digits;
    } measures[] = {{"calls", "", "", "at least", cap->calls, least.calls, 0},
                    {"tokens", "", "about ", "as plan estimates", cap->tokens, least.tokens, 0},
                    {"cost", "$", "about ", "as plan estimates", cap->cost, least.cost,
                     least.cost < 1 ? 4 : 2}};
    for (size_t i = 0; i < sizeof measures / sizeof *measures; i++)
        if (measures[i].cap < measures[i].least)
            return dm_fail(err, DM_E_JOB,
                           "%s: budget.%s: %s%.*f is too little for the start program's scores in "
                           "the shares of %zu members and of the committee: that takes %s%s%.*f %s",
                           job->file, measures[i].name, measures[i].unit, measures[i].digits,
                           measures[i].cap, k, measures[i].about, measures[i].unit,
                           measures[i].digits, measures[i].least, measures[i].reckoned);
    return DM_OK;
}

/* Each has its share of the cap, and one more is the committee's. */
static dm_status limit_members(dm_job *job, const dm_compile_input *in, dm_error *err)
{
    dm_compile_input *members;
    size_t k = job->optimizer->class->inner(job->arena, in, &members);
    dm_status st = check_least(job, members, k, job->optimizer->class->least(job->arena, in), err);
    for (size_t i = 0; i < k && st == DM_OK; i++) {
        dm_job alone = *job;
        alone.optimizer = (dm_params *)(uintptr_t)members[i].params;
        alone.student = members[i].student;
        alone.trainset = members[i].trainset;
        alone.cap.calls = job->cap.calls / (double)(k + 1);
        st = dm_plan_limit(&alone, err);
    }
    return st;
}

/* Of those that run one after the other the first have the least, which all can count on. */
static dm_status limit_parts(dm_job *job, dm_error *err)
{
    const dm_optimizer *o = job->optimizer->class;
    dm_status st = DM_OK;
    size_t n = 0;
    while (o->part(job->optimizer, n))
        n++;
    for (size_t i = 0; i < n && st == DM_OK; i++) {
        dm_job alone = *job;
        alone.optimizer = (dm_params *)(uintptr_t)o->part(job->optimizer, i);
        alone.cap.calls = job->cap.calls / (double)n;
        st = dm_plan_limit(&alone, err);
    }
    return st;
}

dm_status dm_plan_limit(dm_job *job, dm_error *err)
{
    const dm_optimizer *o = job->optimizer->class;
    const dm_compile_input in = dm_job_input(job);
    if (o->inner)
        return limit_members(job, &in, err);
    if (o->part)
        return limit_parts(job, err);
    if (o->limit && !isinf(job->cap.calls)) {
        dm_plan plan = dm_plan_of(job);
        double left = job->cap.calls;
        double run = plan.predictors + (double)dm_metric_asks(job->setup.metric);
        for (size_t i = 0; i < plan.n; i++) {
            const dm_plan_phase *p = &plan.phases[i];
            if (!p->limited && p->role != DM_JUDGE)
                left -= p->calls.expected * (p->asks ? 1 : run / plan.predictors);
        }
        o->limit(job->optimizer, (int64_t)fmax(1, floor(left / run)));
    }
    return o->fits ? o->fits(job->arena, &in, err) : DM_OK;
}
