/* Parts of GEPA as the real package has them (gepa_units.json): fronts and the order of sets,
 * minibatches, the rows of a merge. */
#include "gepa/inside.h"
#include "golden.h"

static size_t number(const dm_value *v)
{
    int64_t n = -1;
    cr_assert(dm_value_to_int(v, &n) && n >= 0);
    return (size_t)n;
}

static double *numbers(dm_arena *a, const dm_value *list)
{
    double *x = dm_arena_alloc_n(a, list->n, sizeof *x);
    for (size_t i = 0; i < list->n; i++)
        x[i] = list->items[i]->number;
    return x;
}

static const dm_value *section(dm_arena *a, const char *name)
{
    const dm_value *v = dm_value_get(golden(a, "gepa_units.json"), name);
    cr_assert(v && v->n > 0, "%s", name);
    return v;
}

static void check_list(const char *what, size_t k, const size_t *got, size_t n,
                       const dm_value *want)
{
    cr_expect_eq(n, want->n, "%s %zu: %zu items, not %zu", what, k, n, want->n);
    for (size_t i = 0; i < n && i < want->n; i++)
        cr_expect_eq(got[i], number(want->items[i]), "%s %zu, item %zu: %zu", what, k, i, got[i]);
}

static void check_sets(dm_arena *a, const char *what, size_t k, const dm_gepa_set *sets,
                       const dm_value *want)
{
    for (size_t f = 0; f < want->n; f++)
        check_list(what, k, dm_gepa_set_items(a, &sets[f]), sets[f].n, want->items[f]);
}

Test(golden_gepa, fronts)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *all = section(a, "fronts");
    cr_assert_eq(all->n, 40);
    for (size_t k = 0; k < all->n; k++) {
        const dm_value *c = all->items[k], *inserted = dm_value_get(c, "inserted");
        const double *mean = numbers(a, dm_value_get(c, "means"));
        size_t n = inserted->n, n_who;
        dm_gepa_set *kept = dm_arena_alloc_n(a, n, sizeof *kept);
        dm_gepa_set *copies = dm_arena_alloc_n(a, n, sizeof *copies);
        dm_gepa_set *reduced = dm_arena_alloc_n(a, n, sizeof *reduced);
        for (size_t f = 0; f < n; f++) {
            kept[f] = dm_gepa_set_new(a);
            for (size_t i = 0; i < inserted->items[f]->n; i++)
                dm_gepa_set_add(a, &kept[f], number(inserted->items[f]->items[i]));
            copies[f] = dm_gepa_set_copy(a, &kept[f]);
        }
        dm_gepa_undominated(a, copies, n, mean, reduced);
        check_sets(a, "kept", k, kept, dm_value_get(c, "iterates"));
        check_sets(a, "copy", k, copies, dm_value_get(c, "copy_iterates"));
        check_sets(a, "reduced", k, reduced, dm_value_get(c, "reduced_iterates"));
        const size_t *who = dm_gepa_survivors(a, copies, n, mean, &n_who);
        check_list("survivors", k, who, n_who, dm_value_get(c, "survivors"));
        dm_pyrandom stream;
        dm_pyrandom_seed(&stream, (int64_t)number(dm_value_get(c, "seed")));
        cr_expect_eq(dm_gepa_choose_pareto(a, &stream, copies, n, mean),
                     number(dm_value_get(c, "choice")), "choice %zu", k);
        cr_expect_eq(dm_pyrandom_bits(&stream, 32), number(dm_value_get(c, "next32")), "%zu", k);
    }
    dm_arena_free(a);
}

typedef struct sampling {
    dm_gepa_sampler sampler;
    dm_pyrandom stream;
} sampling;

static sampling start(const dm_value *c)
{
    sampling s = {{.n = number(dm_value_get(c, "n")), .b = number(dm_value_get(c, "b"))},
                  {{{0}, 0}}};
    dm_pyrandom_seed(&s.stream, (int64_t)number(dm_value_get(c, "seed")));
    return s;
}

Test(golden_gepa, minibatches)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *all = section(a, "sampler");
    cr_assert_eq(all->n, 9);
    for (size_t k = 0; k < all->n; k++) {
        const dm_value *c = all->items[k], *each = dm_value_get(c, "minibatches"),
                       *even = dm_value_get(c, "skipping_odd_iterations"),
                       *two = dm_value_get(c, "two_per_iteration");
        sampling s = start(c);
        for (size_t i = 0; i < each->n; i++)
            check_list("minibatch", k, dm_gepa_minibatch(a, &s.sampler, &s.stream, i), s.sampler.b,
                       each->items[i]);
        s = start(c);
        for (size_t i = 0; i < even->n; i++)
            check_list("even", k, dm_gepa_minibatch(a, &s.sampler, &s.stream, 2 * i), s.sampler.b,
                       even->items[i]);
        s = start(c);
        for (size_t i = 0; i < 2 * two->n; i++)
            check_list("two", k, dm_gepa_minibatch(a, &s.sampler, &s.stream, i / 2), s.sampler.b,
                       two->items[i / 2]->items[i % 2]);
    }
    dm_arena_free(a);
}

Test(golden_gepa, merge_rows)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *all = section(a, "merge_rows");
    cr_assert_eq(all->n, 25);
    for (size_t k = 0; k < all->n; k++) {
        const dm_value *c = all->items[k], *x = dm_value_get(c, "scores1");
        size_t ids[DM_GEPA_TEST_ROWS];
        dm_pyrandom stream;
        dm_pyrandom_seed(&stream, (int64_t)number(dm_value_get(c, "seed")));
        dm_gepa_merge_rows(a, &stream, numbers(a, x), numbers(a, dm_value_get(c, "scores2")), x->n,
                           ids);
        check_list("rows", k, ids, DM_GEPA_TEST_ROWS, dm_value_get(c, "ids"));
    }
    dm_arena_free(a);
}

Test(golden_gepa, fences)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *all = section(a, "fences");
    cr_assert_eq(all->n, 20);
    for (size_t k = 0; k < all->n; k++) {
        dm_str got = dm_gepa_fenced(all->items[k]->items[0]->text);
        cr_expect(dm_str_eq(got, all->items[k]->items[1]->text), "%zu: '%.*s'", k, DM_STR_ARG(got));
    }
    dm_arena_free(a);
}
