#include "base/random.h"
#include "golden.h"

#include <math.h>

static int64_t int_of(const dm_value *v)
{
    int64_t i = 0;
    cr_assert(dm_value_to_int(v, &i));
    return i;
}

static dm_pyrandom seeded(dm_str key)
{
    dm_pyrandom r;
    dm_pyrandom_seed(&r, strtoll(key.p, NULL, 10));
    return r;
}

Test(golden_rng, words)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *all = golden(a, "rng.json"), *bits = dm_value_get(all, "getrandbits32");
    for (size_t i = 0; i < bits->n; i++) {
        dm_pyrandom r = seeded(bits->members[i].key);
        for (size_t k = 0; k < bits->members[i].value->n; k++)
            cr_expect_eq(dm_pyrandom_bits(&r, 32), int_of(bits->members[i].value->items[k]));
    }
    const dm_value *doubles = dm_value_get(all, "random");
    for (size_t i = 0; i < doubles->n; i++) {
        dm_pyrandom r = seeded(doubles->members[i].key);
        for (size_t k = 0; k < doubles->members[i].value->n; k++)
            cr_expect_eq(dm_pyrandom_random(&r), doubles->members[i].value->items[k]->number);
    }
    dm_arena_free(a);
}

Test(golden_rng, choices_of_items)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *all = golden(a, "rng.json"), *sample = dm_value_get(all, "sample");
    size_t out[2000];
    dm_pyrandom r;
    for (size_t i = 0; i < sample->n; i++) {
        const dm_value *e = sample->items[i], *want = dm_value_get(e, "out");
        dm_pyrandom_seed(&r, int_of(dm_value_get(e, "seed")));
        dm_pyrandom_sample(&r, (size_t)int_of(dm_value_get(e, "n")),
                           (size_t)int_of(dm_value_get(e, "k")), out);
        for (size_t k = 0; k < want->n; k++)
            cr_expect_eq(out[k], (size_t)int_of(want->items[k]));
    }
    const dm_value *shuffle = dm_value_get(all, "shuffle");
    for (size_t i = 0; i < shuffle->n; i++) {
        const dm_value *e = shuffle->items[i], *want = dm_value_get(e, "out");
        for (size_t k = 0; k < want->n; k++)
            out[k] = k;
        dm_pyrandom_seed(&r, int_of(dm_value_get(e, "seed")));
        dm_pyrandom_shuffle(&r, out, want->n);
        for (size_t k = 0; k < want->n; k++)
            cr_expect_eq(out[k], (size_t)int_of(want->items[k]));
    }
    dm_arena_free(a);
}

Test(golden_rng, ranges)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *all = golden(a, "rng.json"), *small = dm_value_get(all, "randint_1_4");
    for (size_t i = 0; i < small->n; i++) {
        dm_pyrandom r = seeded(small->members[i].key);
        cr_expect_eq(dm_pyrandom_randint(&r, 1, 4), int_of(small->members[i].value));
    }
    const dm_value *large = dm_value_get(all, "randint_0_1e9");
    for (size_t i = 0; i < large->n; i++) {
        dm_pyrandom r = seeded(large->members[i].key);
        for (size_t k = 0; k < large->members[i].value->n; k++)
            cr_expect_eq(dm_pyrandom_randint(&r, 0, 1000000000),
                         int_of(large->members[i].value->items[k]));
    }
    dm_pyrandom r;
    const dm_value *weighted = dm_value_get(all, "choices_seed3_w127"),
                   *six = dm_value_get(all, "choice6_seed9");
    dm_pyrandom_seed(&r, 3);
    for (size_t k = 0; k < weighted->n; k++)
        cr_expect_eq(dm_pyrandom_choices(&r, (double[]){1, 2, 7}, 3),
                     (size_t)int_of(weighted->items[k]));
    const dm_value *below_0 = dm_value_get(all, "choices_seed5_below_0");
    dm_pyrandom_seed(&r, 5);
    for (size_t k = 0; k < below_0->n; k++)
        cr_expect_eq(dm_pyrandom_choices(&r, (double[]){.4, -.3, .2, -.1, .3}, 5),
                     (size_t)int_of(below_0->items[k]));
    dm_pyrandom_seed(&r, 9);
    for (size_t k = 0; k < six->n; k++)
        cr_expect_eq(dm_pyrandom_below(&r, 6), (size_t)int_of(six->items[k]));
    dm_arena_free(a);
}

/* The startup draws of Optuna: n uniforms a parameter, the first largest (contract 8.4.1). */
Test(golden_rng, optuna_startup)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *want = dm_value_get(golden(a, "rng.json"), "optuna_startup_seed9_3x6");
    dm_nprandom r;
    dm_nprandom_seed(&r, 9);
    for (size_t i = 0; i < want->n; i++)
        for (size_t p = 0; p < 2; p++) {
            size_t n = p ? 6 : 3, best = 0;
            double top = -1;
            for (size_t k = 0; k < n; k++) {
                double u = dm_nprandom_double(&r);
                if (u > top) {
                    top = u;
                    best = k;
                }
            }
            cr_expect_eq(best, (size_t)int_of(want->items[i]->items[p]));
        }
    dm_arena_free(a);
}

/* MIPROv2's stream (contract 8.4, a to e). train: the size of the training part. */
static void replay(dm_arena *a, const char *name, size_t n, size_t subset, bool zeroshot)
{
    const char *tips[] = {"none", "creative", "simple", "description", "high_stakes", "persona"};
    const dm_value *e = dm_value_get(golden(a, "rng.json"), name);
    size_t val = (size_t)(0.8 * (double)n), train = n - val,
           *order = dm_arena_alloc_n(a, n, sizeof *order);
    dm_pyrandom r;
    dm_pyrandom_seed(&r, 9);
    const dm_value *first = dm_value_get(e, "valset_first10");
    if (subset > val)
        subset = val;
    dm_pyrandom_sample(&r, val, subset, order);
    cr_expect_eq((size_t)int_of(dm_value_get(e, "valset_len")), subset);
    for (size_t k = 0; k < first->n; k++)
        cr_expect_eq(train + order[k], (size_t)int_of(first->items[k]), "%s: valset %zu", name, k);
    const dm_value *sets = dm_value_get(e, "sets");
    for (size_t i = 0; i < sets->n; i++) {
        const dm_value *want = sets->items[i]->items[1];
        for (size_t k = 0; k < train; k++)
            order[k] = k;
        dm_pyrandom_shuffle(&r, order, train);
        for (size_t k = 0; k < want->n; k++)
            cr_expect_eq(order[k], (size_t)int_of(want->items[k]), "%s: set %zu", name, i);
        int64_t size = dm_pyrandom_randint(&r, 1, zeroshot ? 3 : 4);
        cr_expect_eq(size, int_of(sets->items[i]->items[2]), "%s: size %zu", name, i);
    }
    const dm_value *proposals = dm_value_get(e, "proposals");
    for (size_t i = 0; i < proposals->n; i++) {
        const dm_value *want = proposals->items[i];
        const char *tip = tips[dm_pyrandom_below(&r, 6)];
        cr_expect_str_eq(tip, want->items[2]->text.p, "%s: tip %zu", name, i);
        cr_expect_eq(dm_pyrandom_randint(&r, 0, 1000000000), int_of(want->items[3]),
                     "%s: rollout %zu", name, i);
    }
    for (int which = 1; which <= 2; which++) {
        const dm_value *want = dm_value_get(e, which == 1 ? "minibatch1_idx" : "minibatch2_idx");
        if (!want)
            continue;
        dm_pyrandom_sample(&r, subset, 35, order);
        for (size_t k = 0; k < want->n; k++)
            cr_expect_eq(order[k], (size_t)int_of(want->items[k]), "%s: minibatch %d", name, which);
    }
}

Test(golden_rng, mipro_streams)
{
    dm_arena *a = dm_arena_new(0);
    replay(a, "mipro_light_130", 130, 100, false);
    replay(a, "mipro_light_30", 30, 100, false);
    replay(a, "mipro_medium_600_2preds", 600, 300, false);
    replay(a, "mipro_zeroshot_130", 130, 100, true);
    dm_arena_free(a);
}
