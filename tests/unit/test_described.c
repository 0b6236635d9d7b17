/* Every key of every table says what it takes and does, and what holds without it. */
#include "cmd/job_table.h"
#include "cmd/option_text.h"
#include "cmd/options.h"
#include "metric/metric.h"
#include "optimizer/optimizer.h"

#include <criterion/criterion.h>

#include <string.h>

static dm_arena *a;

static void looks_at(const char *owner, const dm_param *table)
{
    for (const dm_param *p = table; p && p->name; p++) {
        cr_expect(p->help && *p->help, "%s: %s has no help", owner, p->name);
        cr_expect(*dm_param_value(a, p), "%s: nothing stands for the value of %s", owner, p->name);
        cr_expect(*dm_param_default(a, p), "%s: %s has no default (fallback, or absent)", owner,
                  p->name);
        cr_expect(!p->fallback || !p->absent, "%s: %s has two defaults", owner, p->name);
        size_t n = strlen(owner);
        cr_expect(!p->help || strncmp(p->help, owner, n) != 0 || p->help[n] != ':',
                  "%s: %s: whose it is, is added", owner, p->name);
        for (const dm_param *q = table; q < p; q++)
            cr_expect_str_neq(q->name, p->name, "%s: %s stands twice", owner, p->name);
    }
}

Test(described, tables)
{
    dm_metric_about m;
    a = dm_arena_new(0);
    looks_at("lm", dm_lm_table);
    looks_at("budget", dm_budget_table);
    looks_at("job", dm_job_table);
    looks_at("metric", dm_metric_common);
    for (size_t i = 0; dm_metric_about_of(i, &m); i++) {
        cr_expect(m.help && *m.help, "%s has no help", m.name);
        looks_at(m.name, m.options);
    }
    for (size_t i = 0; i < dm_n_optimizers; i++)
        looks_at(dm_optimizers[i]->name, dm_optimizers[i]->params);
    dm_arena_free(a);
}

/* The flags too; a job's keys that are numbers of its own, with their defaults. */
Test(described, options)
{
    for (size_t i = 0; dm_option_at(i); i++) {
        const dm_option *o = dm_option_at(i);
        cr_expect(o->help && *o->help, "--%s has no help", o->name);
        cr_expect_eq(o->kind == DM_OPT_SWITCH, o->value == NULL, "--%s: its value", o->name);
        cr_expect(o->commands != 0, "--%s is for no command", o->name);
    }
    for (const dm_param *p = dm_job_table; p->name; p++) {
        const dm_option *o = NULL;
        for (size_t i = 0; dm_option_at(i); i++)
            if (strcmp(dm_option_at(i)->name, p->name) == 0)
                o = dm_option_at(i);
        cr_assert(o, "%s is no option", p->name);
        cr_expect(strstr(o->help, p->help), "--%s: %s", p->name, o->help);
    }
}

static double number_at(const dm_param *p, const dm_params *params)
{
    const char *at = (const char *)params + p->at;
    switch (p->kind) {
    case DM_PARAM_BOOL:
        return *(const bool *)at;
    case DM_PARAM_INT:
        return (double)*(const int64_t *)(const void *)at;
    case DM_PARAM_NUMBER:
        return *(const double *)(const void *)at;
    case DM_PARAM_WORD:
        return *(const unsigned *)(const void *)at;
    default:
        return -1;
    }
}

/* DSPy's (contract 8 and A.1); what nobody gave is not called given. */
Test(described, defaults)
{
    static const struct {
        const char *optimizer, *name;
        double value;
    } facts[] = {
        {"labeled_few_shot", "k", 16},
        {"labeled_few_shot", "sample", 1},
        {"bootstrap_few_shot", "max_bootstrapped_demos", 4},
        {"bootstrap_few_shot", "max_labeled_demos", 16},
        {"bootstrap_few_shot", "max_rounds", 1},
        {"bootstrap_few_shot_with_random_search", "max_labeled_demos", 16},
        {"bootstrap_few_shot_with_random_search", "num_candidate_programs", 16},
        {"bootstrap_few_shot_with_random_search", "labeled_sample", 1},
        {"bootstrap_few_shot_with_random_search", "race_alpha", .05},
        {"mipro_v2", "max_bootstrapped_demos", 4},
        {"mipro_v2", "max_labeled_demos", 4},
        {"mipro_v2", "auto", 1},
        {"mipro_v2", "minibatch", 1},
        {"mipro_v2", "minibatch_size", 35},
        {"mipro_v2", "minibatch_full_eval_steps", 5},
        {"mipro_v2", "view_data_batch_size", 10},
        {"mipro_v2", "init_temperature", 1},
        {"mipro_v2", "search", 0},
        {"ensemble", "guard", 1},
        {"gepa", "skip_perfect_score", 1},
        {"gepa", "perfect_score", 1},
        {"gepa", "use_merge", 1},
        {"gepa", "max_merge_invocations", 5},
        {"gepa", "cache_evaluation", 0},
    };
    size_t n = sizeof facts / sizeof *facts, seen = 0;
    a = dm_arena_new(0);
    for (size_t i = 0; i < dm_n_optimizers; i++) {
        const dm_optimizer *o = dm_optimizers[i];
        dm_params *params = dm_arena_alloc(a, o->size);
        dm_params_init(params, o);
        for (const dm_param *p = o->params; p->name; p++) {
            cr_expect_not(p->given && *((bool *)params + p->given), "%s: %s is given by nobody",
                          o->name, p->name);
            for (size_t k = 0; k < n; k++) {
                if (strcmp(facts[k].optimizer, o->name) != 0 || strcmp(facts[k].name, p->name) != 0)
                    continue;
                cr_expect_eq(number_at(p, params), facts[k].value, "%s: %s", o->name, p->name);
                seen++;
            }
        }
    }
    cr_expect_eq(seen, n, "%zu of %zu were looked at", seen, n);
    dm_lm_config c = {.connect_timeout = 10};
    dm_params_default(dm_lm_table, &c);
    cr_expect(c.timeout == 600 && c.num_retries == 3 && c.outage == 120 && c.cache && !c.has_wait);
    dm_arena_free(a);
}
