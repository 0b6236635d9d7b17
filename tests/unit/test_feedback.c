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
    cr_expect(is(dm_feedback_on(a, NULL, DM_STR("answer")), NULL));
    cr_expect(is(dm_feedback_on(a, "{\"answer\": 1}", DM_STR("answer")), "{\"answer\": 1}"));
    dm_value_set(a, each, DM_STR("query[0].predict"), dm_value_text(a, "too \"long\"\n"));
    dm_value_set(a, each, DM_STR("self"), dm_value_text(a, "alone"));
    const char *said = dm_feedback_on_each(a, each);
    cr_expect(is(dm_feedback_on(a, said, DM_STR("query[0].predict")), "too \"long\"\n"));
    cr_expect(is(dm_feedback_on(a, said, DM_STR("")), "alone")); /* a bare predict has no path */
    cr_expect(is(dm_feedback_on(a, said, DM_STR("answer")), NULL));
    dm_value_set(a, each, DM_STR(""), dm_value_text(a, "on the whole"));
    said = dm_feedback_on_each(a, each);
    cr_expect(is(dm_feedback_on(a, said, DM_STR("answer")), "on the whole"));
    cr_expect(is(dm_feedback_on(a, said, DM_STR("self")), "alone"));
    dm_arena_free(a);
}
