/* What an ensemble calls: its members, less what they share, and the committee's rows. */
#include "optimizer/ensemble.h"
#include "optimizer/inside.h"

#include <math.h>
#include <string.h>

#define OPEN .3 /* of the pool's cells that a search leaves open, measured on mipro_v2 */
/* Of the votes that two waves ask for, in the mean (src/ensemble/README.md §1). */
#define WAVES .65

size_t dm_ensemble_demos(const dm_params *params)
{
    size_t most = 0;
    for (size_t i = 0; dm_ensemble_part(params, i); i++) {
        const dm_params *part = dm_ensemble_part(params, i);
        size_t n = part->class->demos ? part->class->demos(part) : 0;
        most = n > most ? n : most;
    }
    return most;
}

/* Runs of the start program that a member's search begins with. */
static double start_runs(dm_arena *a, const dm_compile_input *m)
{
    const dm_dataset *set =
        m->params->class->validates ? m->params->class->validates(a, m) : m->valset;
    return set ? (double)set->n : 0;
}

double dm_ensemble_least(dm_arena *a, const dm_compile_input *in)
{
    dm_compile_input *members;
    size_t k = dm_ensemble_inner(a, in, &members);
    double most = k ? 0 : (double)in->valset->n;
    for (size_t i = 0; i < k; i++)
        most = fmax(most, start_runs(a, &members[i]));
    return (double)(k + 1) * (double)in->student->program->n * most;
}

static dm_plan_phase *phase_like(dm_plan *plan, const dm_plan_phase *like)
{
    for (size_t i = 0; i < plan->n; i++)
        if (plan->phases[i].role == like->role && strcmp(plan->phases[i].name, like->name) == 0)
            return &plan->phases[i];
    dm_plan_phase *phase = dm_plan_add(plan, like->name, like->role);
    *phase = *like;
    phase->calls = (dm_range){0, 0, 0};
    phase->fill = 0;
    phase->rows = 0;
    return phase;
}

/* Phases of members that ask other models are others. */
static void add_member(dm_plan *plan, dm_plan *member, const dm_role *roles)
{
    for (size_t i = 0; i < member->n; i++) {
        dm_plan_phase *from = &member->phases[i];
        from->role = roles ? roles[from->role] : from->role;
        dm_plan_phase *to = phase_like(plan, from);
        double low = fmax(to->calls.low, from->calls.low); /* all may ask the same */
        dm_range_add(&to->calls, &from->calls);
        to->calls.low = low;
        to->fill += from->fill;
        to->rows += from->rows;
        to->demos.high = fmax(to->demos.high, from->demos.high);
    }
}

/* The rows that the pool lacks, and what the programs take on the test set, beside one of them. */
static void plan_committee(const dm_compile_input *in, size_t k, bool open, dm_plan *plan)
{
    const dm_ensemble_params *p = (const dm_ensemble_params *)in->params;
    double v = (double)in->valset->n, test = in->testset ? (double)in->testset->n : 0;
    double files = (double)(p->members.n + p->from.n), m = (double)k, size = (double)p->size;
    dm_plan_phase *phase = dm_plan_add(plan, "committee", DM_TASK);
    double expected = files * v + (open ? OPEN * DM_COMMITTEE_POOL * v : 0);
    dm_plan_runs(plan, phase, 0, expected + test * fmax(0, m + WAVES * size - 1),
                 files * v + DM_COMMITTEE_POOL * v + test * (m + size));
    phase->fill = DM_COMMITTEE_POOL * v;
    if (p->rule.has_reduce && p->rule.reduce == DM_REDUCE_BEST_OF) {
        dm_plan_phase *pick = dm_plan_add(plan, "pick", DM_JUDGE);
        pick->asks = true;
        pick->calls = (dm_range){0, .5 * (v + test), 2 * (v + test)}; /* twice: in JSON mode */
        pick->fill = v + test;
    }
    double most = (double)dm_ensemble_demos(in->params);
    phase->demos = (dm_range){0, .75 * most, most};
}

/* With the same model: what it asks first is what another member asks. */
static bool starts_like_another(const dm_compile_input *members, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (dm_ensemble_task_of(&members[k]) == dm_ensemble_task_of(&members[i]))
            return true;
    return false;
}

void dm_ensemble_plan(dm_arena *a, const dm_compile_input *in, dm_plan *plan)
{
    dm_compile_input *members;
    size_t k = dm_ensemble_inner(a, in, &members);
    bool open = false;
    double v = (double)in->valset->n, shared[DM_ROLES] = {0}, all_shared = 0;
    dm_range unscored = {0, 0, 0};
    for (size_t i = 0; i < k; i++) {
        const dm_optimizer *o = members[i].params->class;
        dm_plan one = {.predictors = plan->predictors, .unscored = {v, 2 * v, 2 * v}};
        if (o->plan)
            o->plan(a, &members[i], &one);
        for (size_t j = 0; j < one.n; j++)
            open |= one.phases[j].limited;
        add_member(plan, &one, members[i].roles);
        unscored.low = fmax(unscored.low, one.unscored.low);
        unscored.expected += one.unscored.expected;
        unscored.high += one.unscored.high;
        double again = starts_like_another(members, i) ? start_runs(a, &members[i]) : 0;
        shared[dm_ensemble_task_of(&members[i])] += again;
        all_shared += again;
    }
    /* What the cells of one tell: the start's are shared, wherever they are run. */
    for (size_t i = 0; i < plan->n; i++)
        if (strcmp(plan->phases[i].name, "search") == 0) {
            dm_range *calls = &plan->phases[i].calls;
            calls->expected =
                fmax(calls->low, calls->expected - plan->predictors * shared[plan->phases[i].role]);
        }
    unscored.expected = fmax(unscored.low, unscored.expected - (unscored.low > 0 ? all_shared : 0));
    plan->unscored = k ? unscored : (dm_range){0, v, v};
    plan_committee(in, k, open, plan);
    for (size_t i = 0; i < plan->n; i++)
        if (plan->phases[i].role >= DM_OWN)
            plan->phases[i].name = dm_arena_printf(a, "%s, %s", plan->phases[i].name,
                                                   in->own->name[plan->phases[i].role - DM_OWN]);
}

/* Files that are ensembles: their rules do not hold here. */
static void tell_rules(dm_buf *b, const dm_param_programs *files)
{
    for (size_t i = 0; i < files->n; i++) {
        const dm_ensemble *e = files->ensembles ? files->ensembles[i] : NULL;
        if (e)
            dm_buf_printf(
                b,
                "%.*s is an ensemble, %s on %.*s: here its %zu members are candidates one "
                "by one, without that rule\n",
                DM_STR_ARG(files->names[i]), dm_reduce_name(e->reduce), DM_STR_ARG(e->field), e->n);
    }
}

void dm_ensemble_announce(dm_buf *b, dm_arena *a, const dm_compile_input *in, int64_t concurrency)
{
    const dm_ensemble_params *p = (const dm_ensemble_params *)in->params;
    dm_compile_input *members;
    size_t k = dm_ensemble_inner(a, in, &members), c = in->student->program->n;
    for (size_t i = 0; i < k && i < p->n_of; i++)
        if (members[i].params->class->announce)
            members[i].params->class->announce(b, a, &members[i], concurrency);
    if (p->rule.has_reduce && p->rule.reduce == DM_REDUCE_BEST_PER_INPUT)
        dm_buf_printf(b, "calls a use: %zu, of one member for each input\n", c);
    else
        dm_buf_printf(b,
                      "calls a use: %zu of one program; of a committee of %zu votes about %.1f in "
                      "two waves, %zu at most\n",
                      c, p->size, WAVES * (double)(c * p->size), c * p->size);
    tell_rules(b, &p->members);
    tell_rules(b, &p->from);
}
