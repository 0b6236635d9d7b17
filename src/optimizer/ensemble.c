/* Several compilations as strands of one run, then the committee. */
#include "optimizer/ensemble.h"
#include "optimizer/inside.h"

const char *dm_ensemble_chosen(const dm_ensemble_output *o)
{
    if (!o->chosen)
        return "best single";
    return o->ensemble->reduce == DM_REDUCE_BEST_PER_INPUT ? "best_per_input" : "committee";
}

static dm_status run_member(dm_pool *p, void *arg, dm_error *err)
{
    dm_compiled_member *m = arg;
    if (m->in->roles)
        dm_strand_roles(p, m->in->roles);
    dm_status st = dm_compile(p, m->in, &m->out, err);
    if (st == DM_OK)
        st = dm_score_splits(p, m->in, &m->out, m->splits, &m->n_splits, err);
    return st;
}

/* Each on a share of what there is; one more stays here. */
static void start_members(dm_pool *p, dm_ensemble_output *o)
{
    dm_pool_split(p, o->n + 1, 1);
    for (size_t i = 0; i < o->n; i++)
        o->members[i].strand =
            dm_strand_start(p, o->members[i].in->name, run_member, &o->members[i]);
}

/* All are waited for, also where one has failed. *stopped: the first reason that one was cut for.
 */
static dm_status join_members(dm_pool *p, dm_ensemble_output *o, dm_status *stopped, dm_error *err)
{
    dm_status failed = DM_OK;
    dm_error own = {DM_OK, ""};
    for (size_t i = 0; i < o->n; i++) {
        dm_compiled_member *m = &o->members[i];
        m->status = dm_strand_join(p, m->strand, &own);
        m->charged = dm_pool_charged(p, m->strand);
        if (m->status < 0 && failed == DM_OK) {
            failed = m->status;
            *err = own;
        }
        if (m->status > 0 && *stopped == DM_OK)
            *stopped = m->status;
    }
    dm_pool_split(p, 0, 0); /* from here on all that is left is the committee's */
    return failed;
}

/* Where the run was stopped before there was a choice: the best of what the members know. */
static dm_nominee best_so_far(const dm_ensemble_output *o, const dm_candidate *start)
{
    dm_nominee best = {.candidate = start, .role = DM_TASK};
    double most = -1;
    for (size_t i = 0; i < o->n; i++) {
        const dm_compile_output *m = &o->members[i].out;
        double score = m->best_index < m->n_scored ? m->scored[m->best_index].score : 0;
        if (m->best && score > most) {
            const dm_ensemble_params *p = (const dm_ensemble_params *)o->params;
            most = score;
            best.candidate = m->best;
            best.lm = dm_ensemble_of_member(p, i)->lm;
            best.role = dm_ensemble_task_of(o->members[i].in);
        }
    }
    return best;
}

static dm_status run(dm_pool *p, const dm_compile_input *in, dm_compile_output *out, dm_error *err)
{
    dm_arena *a = dm_pool_arena(p);
    dm_ensemble_output *o = dm_arena_alloc(a, sizeof *o);
    dm_compile_input *inputs;
    dm_status stopped = DM_OK;
    o->n = dm_ensemble_inner(a, in, &inputs);
    o->members = dm_arena_alloc_n(a, o->n, sizeof *o->members);
    o->params = in->params;
    o->rows = in->valset->n;
    o->why = "the run was stopped before there was a choice";
    for (size_t i = 0; i < o->n; i++)
        o->members[i] = (dm_compiled_member){.number = i + 1,
                                             .in = &inputs[i],
                                             .out = {.best = inputs[i].student}};
    if (o->n)
        start_members(p, o);
    dm_status st = join_members(p, o, &stopped, err);
    out->ensemble = o;
    o->best = best_so_far(o, in->student);
    if (st == DM_OK && stopped && stopped != DM_STOP_BUDGET)
        st = stopped;
    if (st == DM_OK)
        st = dm_committee_run(p, in, o, err);
    if (st >= 0 && o->n_pool)
        o->best = o->pool[o->single];
    out->best = o->best.candidate;
    return st == DM_OK ? stopped : st;
}

const dm_optimizer dm_optimizer_ensemble = {
    .name = "ensemble",
    .aliases = (const char *const[]){"Ensemble", NULL},
    .size = sizeof(dm_ensemble_params),
    .params = dm_ensemble_table,
    .defaults = dm_ensemble_defaults,
    .few_val = 50,
    .demos = dm_ensemble_demos,
    .check = dm_ensemble_check,
    .fits = dm_ensemble_fits,
    .plan = dm_ensemble_plan,
    .announce = dm_ensemble_announce,
    .part = dm_ensemble_part,
    .inner = dm_ensemble_inner,
    .least = dm_ensemble_least,
    .asks = dm_ensemble_asks,
    .run = run,
};
