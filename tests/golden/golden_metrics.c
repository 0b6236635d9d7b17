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

typedef struct given_score {
    bool ok;
    double score;
} given_score;

static void take_score(void *user, const dm_metric_score *s)
{
    *(given_score *)user = (given_score){s->ok, s->score};
}

/* By the package rouge-score. */
Test(golden_metrics, rouge_l)
{
    dm_arena *a = dm_arena_new(0);
    dm_error err = {DM_OK, ""};
    const dm_value *all = golden(a, "rouge_l.json"),
                   *job = dm_json_read(a,
                                       DM_STR("{\"program\": {\"predict\": \"q -> a\"}, "
                                              "\"metric\": {\"name\": \"rouge_l\", "
                                              "\"field\": \"a\"}}"),
                                       &err);
    dm_at root = dm_at_root(job, "job.json", DM_E_JOB), at = dm_at_key(&root, "program");
    const dm_program *p = dm_program_read(a, &at, &err);
    cr_assert_not_null(p, "%s", err.text);
    at = dm_at_key(&root, "metric");
    dm_metric *m = dm_metric_new(a, &at, p, NULL, 0, &err);
    cr_assert_not_null(m, "%s", err.text);
    cr_assert_geq(all->n, 60);
    for (size_t i = 0; i < all->n; i++) {
        const dm_value *e = all->items[i];
        dm_value *example = dm_value_dict(a), *prediction = dm_value_dict(a);
        given_score got = {false, 0};
        dm_value_set(a, example, DM_STR("a"), e->items[0]);
        dm_value_set(a, prediction, DM_STR("a"), e->items[1]);
        dm_metric_submit(m, example, prediction, NULL, 0, p, take_score, &got);
        cr_expect(got.ok && got.score == e->items[2]->number, "row %zu: %.17g, not %.17g", i,
                  got.score, e->items[2]->number);
    }
    dm_metric_free(m);
    dm_arena_free(a);
}
