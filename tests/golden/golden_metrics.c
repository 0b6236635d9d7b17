#include "golden.h"
#include "metric/metric.h"

#include <string.h>

Test(golden_metrics, normalize)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *all = dm_value_get(golden(a, "metrics.json"), "normalize");
    for (size_t i = 0; i < all->n; i++) {
        dm_str in = all->items[i]->items[0]->text, want = all->items[i]->items[1]->text;
        dm_str got = dm_normalize_text(a, in);
        cr_expect(dm_str_eq(got, want), "%s: <%s>, not <%s>", in.p, got.p, want.p);
    }
    dm_arena_free(a);
}

static void scores(const char *name, double (*score)(dm_arena *, dm_str, dm_str))
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *all = dm_value_get(golden(a, "metrics.json"), name);
    for (size_t i = 0; i < all->n; i++) {
        const dm_value *e = all->items[i];
        double got = score(a, e->items[0]->text, e->items[1]->text);
        cr_expect_eq(got, e->items[2]->number, "%s(%s, %s): %.17g", name, e->items[0]->text.p,
                     e->items[1]->text.p, got);
    }
    dm_arena_free(a);
}

Test(golden_metrics, f1)
{
    scores("f1", dm_f1);
}

Test(golden_metrics, hotpot)
{
    scores("hotpot", dm_hotpot_f1);
}

Test(golden_metrics, em)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *all = dm_value_get(golden(a, "metrics.json"), "em");
    for (size_t i = 0; i < all->n; i++) {
        const dm_value *e = all->items[i];
        bool got = dm_str_eq(dm_normalize_text(a, e->items[0]->text),
                             dm_normalize_text(a, e->items[1]->text));
        cr_expect_eq(got, e->items[2]->boolean, "%s, %s", e->items[0]->text.p, e->items[1]->text.p);
    }
    dm_arena_free(a);
}
