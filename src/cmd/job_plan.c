#include "cmd/job_plan.h"

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

dm_plan dm_plan_of(const dm_job *job)
{
    const dm_compile_input in = dm_job_input(job);
    double v = (double)in.valset->n;
    dm_plan plan = {.predictors = (double)job->program->n,
                    .unscored = {v, 2 * v, 2 * v},
                    .winner_demos = .5};
    if (!job->optimizer) { /* what eval does */
        double set = job->testset ? (double)job->testset->n : v > 0 ? v : (double)in.trainset->n;
        dm_plan_phase *score = dm_plan_add(&plan, "score", DM_TASK);
        dm_plan_runs(&plan, score, set, set, set);
        score->fill = set;
        return plan;
    }
    if (job->optimizer->class->plan)
        job->optimizer->class->plan(job->arena, &in, &plan);
    plan_score(&plan, job);
    return plan;
}

/* Each has its share of the cap, and one more is the committee's. */
static dm_status limit_members(dm_job *job, const dm_compile_input *in, dm_error *err)
{
    const dm_optimizer *o = job->optimizer->class;
    dm_compile_input *members;
    size_t k = o->inner(job->arena, in, &members);
    double least = o->least(job->arena, in);
    dm_status st = DM_OK;
    if (job->cap.calls < least)
        return dm_fail(err, DM_E_JOB,
                       "%s: budget.calls: %.0f do not hold the start program's scores in the "
                       "shares of %zu members and of the committee: that takes %.0f at least",
                       job->file, job->cap.calls, k, least);
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

dm_status dm_plan_limit(dm_job *job, dm_error *err)
{
    const dm_optimizer *o = job->optimizer->class;
    const dm_compile_input in = dm_job_input(job);
    if (o->inner)
        return limit_members(job, &in, err);
    if (o->limit && !isinf(job->cap.calls)) {
        dm_plan plan = dm_plan_of(job);
        double left = job->cap.calls;
        for (size_t i = 0; i < plan.n; i++)
            if (!plan.phases[i].limited)
                left -= plan.phases[i].calls.expected;
        o->limit(job->optimizer, (int64_t)fmax(1, floor(left / plan.predictors)));
    }
    return o->fits ? o->fits(job->arena, &in, err) : DM_OK;
}
