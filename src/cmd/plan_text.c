#include "cmd/plan_text.h"
#include "base/clock.h"

#include <math.h>
#include <stdio.h>

#define CALLS_A_RANK 256 /* in flight; ranks do I/O (src/README.md §4) */

/* ---- the plan ---- */

/* Ranks that run models. */
static double useful_ranks(const dm_job *job, const dm_plan *plan)
{
    double most = fmin(dm_plan_most_in_flight(plan), (double)job->concurrency);
    return fmax(1, ceil(most / CALLS_A_RANK));
}

void dm_plan_fill_text(dm_buf *b, const dm_job *job, const dm_plan *plan)
{
    double most = dm_plan_most_in_flight(plan), asked = (double)job->concurrency;
    const char *comma = "";
    dm_buf_printf(b, "%.0f calls in flight allowed (lm.concurrency), this job fills at most",
                  asked);
    for (size_t i = 0; i < plan->n; i++)
        if (plan->phases[i].fill > 0) {
            dm_buf_printf(b, "%s %.0f (%s)", comma, plan->phases[i].fill, plan->phases[i].name);
            comma = ",";
        }
    if (most == 0)
        dm_buf_text(b, " none");
    else if (job->stand_in)
        return;
    else if (most < asked)
        dm_buf_text(b, ": more examples or candidates would fill it");
    else if (most > asked)
        dm_buf_text(b, ": raise concurrency as far as the servers can take it");
}

void dm_plan_ranks_text(dm_buf *b, const dm_job *job, const dm_plan *plan, size_t ranks)
{
    double useful = useful_ranks(job, plan);
    const char *s = useful > 1 ? "s" : "", *are = useful > 1 ? "are" : "is";
    if (ranks == 0)
        dm_buf_printf(b, "%.0f beside the coordinator %s plenty (launch -n %.0f)", useful, are,
                      useful + 1);
    else if ((double)ranks > useful)
        dm_buf_printf(b, "%zu for models; %.0f would do, unless the metric needs the CPU", ranks,
                      useful);
    else if ((double)ranks < useful)
        dm_buf_printf(b, "%zu for models; %.0f rank%s would be better: launch -n %.0f", ranks,
                      useful, s, useful + 1);
    else
        dm_buf_printf(b, "%zu for models, which is right", ranks);
}

/* ---- with what it comes to ---- */

static void put_count(dm_buf *b, double n, int width)
{
    dm_buf t;
    dm_buf_init(&t, 64);
    dm_print_count(&t, round(n));
    dm_buf_printf(b, " %*.*s", width, (int)t.len, t.data);
    dm_buf_free(&t);
}

static void put_row(dm_buf *b, const char *name, const dm_range *calls,
                    const struct dm_estimate_phase *x, bool cost)
{
    dm_buf_printf(b, "%-10s %8.0f %8.0f %8.0f ", name, calls->low, calls->expected, calls->high);
    put_count(b, x->prompt.expected, 8);
    put_count(b, x->completion.expected, 8);
    if (cost)
        dm_buf_printf(b, " %8.2f", x->cost.expected);
    dm_buf_text(b, "   ");
    dm_print_seconds(b, x->seconds.expected);
    dm_buf_char(b, '\n');
}

void dm_estimate_table(dm_buf *b, const dm_plan *plan, const dm_estimate *e)
{
    bool cost = e->has_cost && e->all.cost.high > 0;
    dm_range all = dm_plan_together(plan);
    dm_buf_printf(b, "%-10s %8s %8s %8s  %8s %8s%s   %s\n", "calls", "low", "expected", "high",
                  "prompt", "answers", cost ? "     cost" : "", "time, expected");
    for (size_t i = 0; i < plan->n; i++)
        if (plan->phases[i].calls.high > 0)
            put_row(b, plan->phases[i].name, &plan->phases[i].calls, &e->phase[i], cost);
    put_row(b, "together", &all, &e->all, cost);
}

void dm_estimate_otherwise(dm_buf *b, const dm_job *job, const dm_estimate *e,
                           const dm_calibration *c)
{
    const dm_lm_config *model = job->setup.model[DM_TASK];
    if (e->has_cost && e->uncached > 0)
        dm_buf_printf(b, "cost %.2f with the server's cache of prompts, %.2f without\n",
                      e->all.cost.expected, e->uncached);
    else if (e->has_cost && e->all.cost.expected > 0 && model && dm_lm_cached_from(model) > 0)
        dm_buf_printf(b,
                      "cost %.2f with and without the server's cache of prompts, which keeps "
                      "shared beginnings of %lld tokens or more\n",
                      e->all.cost.expected, (long long)dm_lm_cached_from(model));
    if (e->has_cost && e->untiered > 0)
        dm_buf_printf(b, "cost %.2f with service_tier flex, %.2f without\n", e->all.cost.expected,
                      e->untiered);
    if (c->n == 0 && model && dm_value_get(model->sampling, "reasoning_effort"))
        dm_buf_text(b, "reasoning tokens count as answers and are not included here: plan "
                       "--measure 8 measures them\n");
}

void dm_estimate_line(dm_buf *b, const dm_plan *plan, const dm_estimate *e)
{
    dm_range all = dm_plan_together(plan);
    dm_buf_printf(b, "plan: %.0f calls (%.0f to %.0f),", all.expected, all.low, all.high);
    put_count(b, e->all.prompt.expected, 0);
    dm_buf_text(b, " prompt and");
    put_count(b, e->all.completion.expected, 0);
    dm_buf_text(b, " completion tokens");
    if (e->has_cost && e->all.cost.high > 0)
        dm_buf_printf(b, ", cost %.2f (%.2f to %.2f)", e->all.cost.expected, e->all.cost.low,
                      e->all.cost.high);
}

static void short_budget(dm_buf *b, const char *key, const char *cap, const char *least)
{
    dm_buf_printf(b,
                  "budget.%s: %s is not enough for one round of the optimizer, which takes at "
                  "least %s: the best program found is written\n",
                  key, cap, least);
}

static void advise_budget(dm_buf *b, const dm_amount *cap, const dm_range *calls,
                          const dm_estimate *e)
{
    char have[40], least[40];
    double tokens = e->all.prompt.low + e->all.completion.low;
    if (cap->calls < calls->low) {
        snprintf(have, sizeof have, "%.0f", cap->calls);
        snprintf(least, sizeof least, "%.0f", calls->low);
        short_budget(b, "calls", have, least);
    }
    if (cap->tokens < tokens) {
        snprintf(have, sizeof have, "%.0f", cap->tokens);
        snprintf(least, sizeof least, "%.0f", tokens);
        short_budget(b, "tokens", have, least);
    }
    if (e->has_cost && cap->cost < e->all.cost.low) {
        snprintf(have, sizeof have, "$%.2f", cap->cost);
        snprintf(least, sizeof least, "$%.2f", e->all.cost.low);
        short_budget(b, "cost", have, least);
    }
}

void dm_plan_advice(dm_buf *b, const dm_job *job, const dm_plan *plan, const dm_estimate *e,
                    double start, size_t n)
{
    size_t train = job->trainset ? job->trainset->n : 0, val = job->valset ? job->valset->n : 0;
    if (!job->optimizer)
        return;
    const dm_optimizer *o = job->optimizer->class;
    if (train < o->few_train)
        dm_buf_printf(b, "%zu examples to train on: with %zu or more the choice gets better\n",
                      train, o->few_train);
    if (val > 0 && val < o->few_val)
        dm_buf_printf(
            b, "%zu examples to validate: with %zu or more candidates are easier to tell apart\n",
            val, o->few_val);
    dm_range all = dm_plan_together(plan);
    advise_budget(b, &job->cap, &all, e);
    dm_mean known;
    dm_worth advice;
    if (!dm_worth_of(start, n, train, &known, &advice))
        return;
    dm_buf_printf(b, "the start scores %.0f %% (%.0f to %.0f of %zu)", 100 * start, 100 * known.low,
                  100 * known.high, n);
    if (advice == DM_ADVICE_MORE_EXAMPLES)
        dm_buf_printf(b, ", with %zu examples", train);
    dm_buf_printf(b, ": %s\n",
                  advice == DM_ADVICE_UNCLEAR ? "unclear, dspy-mpi advise says what would decide"
                                              : dm_advice_words(advice));
}

void dm_plan_suggestion(dm_buf *b, const dm_job *job, const dm_plan *plan, const dm_estimate *e)
{
    double hours = ceil(e->all.seconds.high * 1.5 / 60) / 60;
    dm_buf_printf(
        b, "suggested: launch -n %.0f, lm.concurrency up to %.0f, SLURM --time=%02d:%02d:00\n",
        useful_ranks(job, plan) + 1, dm_plan_most_in_flight(plan), (int)hours,
        (int)fmax(1, round(60 * (hours - floor(hours)))));
}
