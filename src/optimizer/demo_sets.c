/* Demo sets: for each predictor the same number of lists of demonstrations, of which the search
 * chooses one (contract 8.4 c). Each set that runs the teacher is a strand. */
#include "optimizer/mipro.h"

struct dm_demo_sets {
    const dm_compile_input *in;
    const dm_mipro_plan *plan;
    dm_demo_set *sets; /* [n_sets] */
    struct making {
        dm_demo_sets *all;
        size_t number;
        dm_strand *strand;
    } * making; /* [n_sets] */
};

static dm_status make_set(dm_pool *p, void *arg, dm_error *err)
{
    struct making *m = arg;
    const dm_demo_sets *s = m->all;
    const dm_set_plan *set = &s->plan->sets[m->number];
    dm_arena *a = dm_pool_arena(p);
    dm_demo_set *out = &s->sets[m->number];
    dm_bootstrap b = {.params = &dm_mipro_params_of(s->in)->demos,
                      .student = s->in->student,
                      .teacher = s->in->teacher,
                      .teacher_compiled = s->in->teacher_compiled,
                      .train = dm_train_in_order(a, dm_train_of(a, s->in->trainset), set->order),
                      .max_bootstrapped_demos = set->size,
                      .max_labeled_demos = s->plan->max_labeled,
                      .max_rounds = 1,
                      .seed = 0};
    bool *used = b.used = dm_arena_alloc_n(a, b.train.n, sizeof *b.used);
    dm_status st = dm_bootstrap_few_shot(p, &b, &out->candidate, err);
    out->used = dm_arena_alloc_n(a, b.train.n, sizeof *out->used);
    for (size_t i = 0; i < b.train.n; i++)
        out->used[set->order ? set->order[i] : i] = used[i];
    return st;
}

dm_demo_sets *dm_demo_sets_start(dm_pool *p, const dm_compile_input *in, const dm_mipro_plan *plan)
{
    dm_arena *a = dm_pool_arena(p);
    dm_demo_sets *s = dm_arena_alloc(a, sizeof *s);
    *s = (dm_demo_sets){in, plan, dm_arena_alloc_n(a, plan->n_sets, sizeof *s->sets),
                        dm_arena_alloc_n(a, plan->n_sets, sizeof *s->making)};
    for (size_t i = 0; i < plan->n_sets; i++) {
        struct making *m = &s->making[i];
        *m = (struct making){s, i, NULL};
        if (plan->sets[i].kind == DM_SET_OWN) /* DSPy's first set is none, whatever it had */
            s->sets[i].candidate = dm_mipro_params_of(in)->search == DM_MIPRO_SCHEDULE
                                       ? dm_candidate_seal(dm_reset_copy(a, in->student))
                                       : in->student;
        else if (plan->sets[i].kind == DM_SET_LABELED)
            s->sets[i].candidate =
                dm_label(a, in->student, dm_train_of(a, in->trainset), plan->max_labeled, true, 0);
        else
            m->strand = dm_strand_start(p, "demo set", make_set, m);
    }
    return s;
}

dm_status dm_demo_sets_join(dm_pool *p, dm_demo_sets *s, dm_error *err)
{
    for (size_t i = 0; i < s->plan->n_sets; i++) {
        dm_status st = s->making[i].strand ? dm_strand_join(p, s->making[i].strand, err) : DM_OK;
        if (st != DM_OK)
            return st;
    }
    return DM_OK;
}

const dm_demo_set *dm_demo_sets_get(const dm_demo_sets *s, size_t set)
{
    return &s->sets[set];
}
