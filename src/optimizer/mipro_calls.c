/* What MIPROv2 calls, in expected figures, for the plan of a job; what it does is decided in
 * mipro_plan.c. */
#include "optimizer/mipro.h"

#include <math.h>

/* One predictor call each. low: no duplicate; high: all are asked again. */
static dm_range proposer_calls(const dm_mipro_params *p, const dm_mipro_plan *plan,
                               const dm_program *program, size_t n_train)
{
    dm_range c = {0, 0, 0};
    double asked = (double)dm_proposals_asked_in_all(p, plan, program), described = 0;
    if (asked == 0)
        return c;
    if (p->data_aware_proposer) {
        double more = fmin(9, ceil((double)n_train / (double)p->view_data_batch_size) - 1);
        c = (dm_range){2 + fmin(5, more), 2 + more, 2 + more};
    }
    for (size_t i = 0; i < program->n && p->program_aware_proposer; i++)
        described += dm_proposals_asked(p, plan, &program->predictors[i]) > 0;
    described += p->program_aware_proposer;
    c.low += described + asked;
    c.expected += described + asked;
    c.high += described + 2 * asked;
    return c;
}

/* SPREAD is the share of a search's runs that spread over all variants of a step. The others
 * belong to a few candidates that have most steps in common. Measured on jobs of two steps,
 * light and medium, with 30 to 120 validation examples. */
#define SPREAD 0.6
#define ANEW   0.35

/* The calls that these runs make, equal ones once. Two calls of a step are equal where the step
 * and its inputs are the same. So each step's instructions and demonstrations count separately,
 * as far as what earlier steps answer does not depend on theirs. */
static double different_calls(const dm_mipro_params *p, const dm_mipro_plan *m, double predictors,
                              double runs)
{
    double v = (double)m->n_val;
    double all = v * (double)m->n_instructions * (m->zero_shot ? 1 : (double)m->n_sets);
    double wide = p->search == DM_MIPRO_RANDOM ? runs : SPREAD * runs;
    double each = all * (1 - exp(-wide / all)) + ANEW * (runs - wide);
    return predictors > 1 ? predictors * fmin(fmin(runs, all), each) : runs;
}

/* The search with the start's score in it; the winner's row may be completed beyond that. */
static void plan_search(const dm_compile_input *in, const dm_mipro_plan *m, dm_plan *plan)
{
    const dm_mipro_params *p = dm_mipro_params_of(in);
    const dm_program *program = in->student->program;
    dm_plan_phase *search = dm_plan_add(plan, "search", DM_TASK);
    double v = (double)m->n_val, runs = (double)m->runs, space = 1, expected = runs;
    /* A draw that comes again costs nothing, and the best may be certain early. */
    bool schedule = p->search == DM_MIPRO_SCHEDULE;
    for (size_t i = 0; i < program->n; i++)
        space *= (double)m->n_instructions * (m->zero_shot ? 1 : (double)m->n_sets);
    if (schedule) /* the share that is not asked a second time, src/search/README.md §7.1 */
        expected = runs * (p->auto_mode == DM_AUTO_HEAVY    ? .97
                           : p->auto_mode == DM_AUTO_MEDIUM ? .93
                                                            : .78);
    expected = fmin(expected, .94 * space * v);
    dm_plan_runs(plan, search, schedule ? v : fmin(2 * v, runs), 0, schedule ? runs : runs + v);
    search->calls.expected = different_calls(p, m, (double)program->n, expected);
    if (program->n > 1 && !schedule) /* the second candidate may differ in one step alone */
        search->calls.low = fmin(search->calls.low, (double)(program->n + 1) * v);
    double fill = p->search == DM_MIPRO_HALVING  ? runs - v
                  : p->search == DM_MIPRO_FACTOR ? (double)(m->window * m->block_max)
                                                 : (double)m->window * v;
    search->fill = fmax(v, fill);
    search->limited = true;
    /* all sets but one show demonstrations, some only as many as are labelled */
    double most = (double)dm_bootstrap_demos(in->params),
           labeled = (double)p->demos.max_labeled_demos;
    search->demos = (dm_range){0, most > 0 ? .75 * (most + labeled) / (2 * most) * most : 0, most};
}

/* Demo sets, proposals, and the search, which scores start and winner. */
void dm_mipro_plan_calls(dm_arena *a, const dm_compile_input *in, dm_plan *plan)
{
    const dm_mipro_params *p = dm_mipro_params_of(in);
    const dm_program *program = in->student->program;
    double n = (double)in->trainset->n;
    dm_mipro_plan m;
    plan->unscored = (dm_range){0, 0, 0};
    plan->winner_demos = .4;
    if (dm_mipro_plan_make(a, p, program->n, in->trainset->n, in->valset->n, &m, NULL) != DM_OK)
        return; /* said when the job was read */
    dm_plan_phase *bootstrap = dm_bootstrap_phase(plan, &p->demos);
    for (size_t i = 0; i < m.n_sets && dm_mipro_needs_sets(p, &m, program); i++)
        if (m.sets[i].kind == DM_SET_BOOTSTRAPPED)
            dm_plan_bootstrap(plan, bootstrap, n, (double)m.sets[i].size, 1);
    dm_range calls = proposer_calls(p, &m, program, in->trainset->n);
    dm_plan_phase *propose = dm_plan_add(plan, "propose", DM_PROMPT);
    propose->asks = true;
    propose->calls = (dm_range){calls.low, calls.expected, 2 * calls.high};
    propose->fill = calls.high > 0 ? (double)(program->n * m.n_instructions) : 0;
    propose->rows = p->data_aware_proposer ? fmin(n, 10 * (double)p->view_data_batch_size) : 0;
    plan_search(in, &m, plan);
    double reflections = (double)(DM_REFLECTIVE_ROUNDS * dm_mipro_reflections(in) * program->n);
    if (reflections > 0) {
        dm_plan_phase *reflect = dm_plan_add(plan, "reflect", DM_PROMPT);
        reflect->asks = true;
        reflect->calls = (dm_range){0, reflections, 2 * reflections};
        reflect->fill = reflections / DM_REFLECTIVE_ROUNDS;
        reflect->rows = 8 * reflections;
    }
}
