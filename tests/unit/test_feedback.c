#include "adapter/media.h"
#include "json/json.h"
#include "pool/question.h"
#include "runner/runner.h"
#include "world.h"

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

/* ---- images and the like ---- */

#define MARKED(parts) "<<CUSTOM-TYPE-START-IDENTIFIER>>" parts "<<CUSTOM-TYPE-END-IDENTIFIER>>"
#define PICTURE                                                                                    \
    "[{\"type\": \"image_url\", \"image_url\": {\"url\": "                                         \
    "\"data:image/png;base64,iVBORw0KGgo=\"}}]"

Test(feedback, what_is_no_text_is_not_shown_as_text)
{
    static const char *const texts[][2] = {
        {"plain", "plain"},
        {"", ""},
        {MARKED(PICTURE), "[an image that is not shown]"},
        {"see " MARKED(PICTURE) " and " MARKED(PICTURE) ".",
         "see [an image that is not shown] and [an image that is not shown]."},
        {MARKED("[{\"type\": \"image_url\", \"image_url\": {\"url\": \"https://a.b/c.png\"}}]"),
         "[an image that is not shown: https://a.b/c.png]"},
        {MARKED("[{\"type\": \"input_audio\", \"input_audio\": {\"data\": \"UklGRg==\", "
                "\"format\": \"wav\"}}, {\"type\": \"text\", \"text\": \"so\"}]"),
         "[a recording that is not shown]so"},
        {MARKED("[{\"type\": \"file\", \"file\": {\"file_data\": \"JVBERi0=\"}}]"),
         "[a file that is not shown]"},
        {MARKED("[{\"type\": \"tool_calls\", \"tool_calls\": []}]"),
         "{\"type\": \"tool_calls\", \"tool_calls\": []}"},
        {MARKED("[{\"type\": \"image_url"), "[something that is not shown]"},
        {"<<CUSTOM-TYPE-START-IDENTIFIER>>" PICTURE, "<<CUSTOM-TYPE-START-IDENTIFIER>>" PICTURE},
    };
    dm_arena *a = dm_arena_new(0);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const dm_value *got = dm_without_media(a, dm_value_text(a, texts[i][0]));
        cr_expect(dm_str_is(got->text, texts[i][1]), "%zu: %s", i, got->text.p);
    }
    dm_value *deep = dm_value_dict(a), *list = dm_value_list(a);
    dm_value_append(a, list, dm_value_text(a, MARKED(PICTURE)));
    dm_value_set(a, deep, DM_STR("of"), list);
    const dm_value *json = dm_value_string(a, dm_json_text(a, deep, DM_JSON_PYTHON));
    static const char shown[] = "{\"of\": [\"[an image that is not shown]\"]}";
    cr_expect(dm_str_is(dm_json_text(a, dm_without_media(a, deep), DM_JSON_PYTHON), shown));
    cr_expect(dm_str_is(dm_without_media(a, json)->text, shown)); /* rows that are shown as JSON */
    const dm_value *plain = dm_json_read(a, DM_STR("{\"a\": [1, null, \"b\"]}"), NULL);
    cr_expect_eq(dm_without_media(a, plain), plain);
    dm_arena_free(a);
}

/* Neither in a reflection nor in what a proposer is asked. */
Test(feedback, no_question_to_a_model_has_the_bytes_of_an_image)
{
    world w = world_new(ONE_PREDICTOR);
    dm_pool *p = pool_of(&w);
    dm_model_question q = dm_model_question_new(p, "Say it.");
    dm_value *cases = dm_value_list(w.arena);
    dm_value_append(w.arena, cases, dm_value_text(w.arena, MARKED(PICTURE)));
    dm_model_question_show_value(&q, "cases", "list[str]", "cases", cases);
    dm_model_question_show(&q, "data", "data", DM_STR("a: " MARKED(PICTURE)));
    dm_str row = dm_json_text(w.arena, q.row, DM_JSON_PYTHON);
    cr_expect(dm_str_is(row, "{\"cases\": [\"[an image that is not shown]\"], \"data\": \"a: [an "
                             "image that is not shown]\"}"),
              "%s", row.p);
    dm_buf_free(&q.signature);
    dm_pool_free(p);
    dm_arena_free(w.arena);
}
