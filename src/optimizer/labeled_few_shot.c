/* LabeledFewShot (contract 8.1): k labelled examples as demonstrations, as the data set has them.
 * One random stream serves all predictors, so each gets a sample of its own. No model is called. */
#include "base/random.h"
#include "optimizer/inside.h"

const dm_candidate *dm_label(dm_arena *a, const dm_candidate *student, dm_train train, int64_t k,
                             bool sample, int64_t seed)
{
    dm_candidate *c = dm_reset_copy(a, student);
    size_t n = (size_t)k < train.n ? (size_t)k : train.n;
    size_t *chosen = dm_arena_alloc_n(a, n, sizeof *chosen);
    dm_pyrandom rng;
    dm_pyrandom_seed(&rng, seed);
    for (size_t i = 0; i < c->program->n; i++) {
        dm_candidate_part *part = &c->parts[i];
        if (sample)
            dm_pyrandom_sample(&rng, train.n, n, chosen);
        part->demos = dm_arena_alloc_n(a, n, sizeof *part->demos);
        part->n_demos = n;
        for (size_t j = 0; j < n; j++)
            part->demos[j] = train.examples[sample ? chosen[j] : j]->row;
    }
    return dm_candidate_seal(c);
}

static size_t demos(const dm_params *p)
{
    return (size_t)((const dm_labeled_params *)p)->k;
}

static const dm_candidate *labeled(dm_arena *a, const dm_compile_input *in)
{
    const dm_labeled_params *l = (const dm_labeled_params *)in->params;
    return dm_label(a, in->student, dm_train_of(a, in->trainset), l->k, l->sample,
                    dm_seed_of(in->params));
}

static dm_status run(dm_pool *p, const dm_compile_input *in, dm_compile_output *out, dm_error *err)
{
    (void)err;
    out->best = labeled(dm_pool_arena(p), in);
    return DM_OK;
}

static const dm_param params[] = {
    DM_PARAM_SEED,
    {.name = "k",
     .kind = DM_PARAM_INT,
     .low = 0,
     .high = 1e15,
     .at = offsetof(dm_labeled_params, k),
     .value = "N",
     .help = "demonstrations",
     .fallback = "16"},
    {.name = "sample",
     .kind = DM_PARAM_BOOL,
     .at = offsetof(dm_labeled_params, sample),
     .value = "BOOL",
     .help = "drawn at random, not the first k",
     .fallback = "true"},
    {.name = NULL},
};

static bool any_score(const dm_params *p)
{
    (void)p;
    return true; /* it scores nothing */
}

const dm_optimizer dm_optimizer_labeled_few_shot = {
    .name = "labeled_few_shot",
    .aliases = (const char *const[]){"LabeledFewShot", NULL},
    .size = sizeof(dm_labeled_params),
    .params = params,
    .demos = demos,
    .labeled = labeled,
    .any_score = any_score,
    .run = run,
};
