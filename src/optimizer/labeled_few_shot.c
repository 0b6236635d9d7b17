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
