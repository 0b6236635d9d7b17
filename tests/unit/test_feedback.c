#include "json/json.h"
#include "runner/runner.h"

#include <criterion/criterion.h>

static bool is(dm_str s, const char *text)
{
    return text ? s.p && dm_str_is(s, text) : s.p == NULL;
}

Test(feedback, on_the_whole_or_on_each)
{
    dm_arena *a = dm_arena_new(0);
    dm_value *each = dm_value_dict(a);
    cr_expect(is(dm_feedback_on(a, NULL, DM_STR("answer"), 0), NULL));
    cr_expect(is(dm_feedback_on(a, "{\"answer\": 1}", DM_STR("answer"), 0), "{\"answer\": 1}"));
    dm_value_set(a, each, DM_STR("query[0].predict"), dm_value_text(a, "too \"long\"\n"));
    dm_value_set(a, each, DM_STR("self"), dm_value_text(a, "alone"));
    const char *said = dm_feedback_on_each(a, each);
    cr_expect(is(dm_feedback_on(a, said, DM_STR("query[0].predict"), 0), "too \"long\"\n"));
    cr_expect(is(dm_feedback_on(a, said, DM_STR(""), 0), "alone")); /* a bare predict has no path */
    cr_expect(is(dm_feedback_on(a, said, DM_STR("answer"), 0), NULL));
    dm_value_set(a, each, DM_STR(""), dm_value_text(a, "on the whole"));
    said = dm_feedback_on_each(a, each);
    cr_expect(is(dm_feedback_on(a, said, DM_STR("answer"), 0), "on the whole"));
    cr_expect(is(dm_feedback_on(a, said, DM_STR("self"), 0), "alone"));
    dm_arena_free(a);
}

/* A predictor that was asked several times has another one on each step. */
Test(feedback, on_each_step)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *each =
        dm_json_read(a, DM_STR("{\"ask\": [\"one\", null, \"three\"], \"say\": [null, \"two\"]}"),
                     NULL);
    const char *said = dm_feedback_on_each(a, each);
    cr_expect(is(dm_feedback_on(a, said, DM_STR("ask"), 0), "one"));
    cr_expect(is(dm_feedback_on(a, said, DM_STR("ask"), 1), NULL));
    cr_expect(is(dm_feedback_on(a, said, DM_STR("ask"), 2), "three"));
    cr_expect(is(dm_feedback_on(a, said, DM_STR("ask"), 3), NULL));
    cr_expect(is(dm_feedback_on(a, said, DM_STR("say"), 1), "two"));
    dm_arena_free(a);
}
