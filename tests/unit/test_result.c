/* A result's bytes, as a worker writes and rank 0 and the journal read them. */
#include "json/json.h"
#include "pool/result.h"

#include <criterion/criterion.h>
#include <math.h>

static const dm_value *json(dm_arena *a, const char *text)
{
    return dm_json_read(a, dm_str_of(text), NULL);
}

static dm_result there_and_back(dm_arena *a, const dm_run_result *r)
{
    dm_writer w;
    dm_result got;
    dm_paid paid;
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_writer_init(&w, &b);
    dm_write_result(&w, r);
    dm_str bytes = {dm_arena_string(a, b.data, b.len), b.len};
    dm_buf_free(&b);
    cr_assert(dm_read_result(bytes, .25, a, &got, &paid));
    return got;
}

/* Feedback, and being cut while thinking, are told only where there is any. */
Test(result, feedback_and_unread_answers_come_back)
{
    dm_arena *a = dm_arena_new(0);
    dm_step steps[2] = {{.inputs = json(a, "{\"q\": 1}"), .outputs = json(a, "{\"h\": \"x\"}")},
                        {.predictor = 1,
                         .inputs = json(a, "{\"h\": \"x\"}"),
                         .unread = DM_STR("so")}};
    dm_run_result r = {.score = .5,
                       .outputs = json(a, "{\"answer\": 1}"),
                       .steps = steps,
                       .n_steps = 1,
                       .feedback = "say yes"};
    dm_result got = there_and_back(a, &r);
    cr_expect(got.score == .5 && got.n_steps == 1 && !got.starved);
    cr_expect_str_eq(got.feedback, "say yes");
    r.feedback = NULL;
    got = there_and_back(a, &r);
    cr_expect(!got.feedback && !got.starved && got.steps[0].outputs && !got.steps[0].unread.p);
    cr_expect(!got.steps[0].live.p);
    steps[0].live = DM_STR("gAR");
    got = there_and_back(a, &r);
    cr_expect(dm_str_is(got.steps[0].live, "gAR") && !got.steps[0].unread.p);
    cr_expect(dm_value_equal(got.steps[0].outputs, steps[0].outputs));
    steps[0].live = (dm_str){NULL, 0};
    r = (dm_run_result){.fault = DM_FAULT_PARSE,
                        .score = NAN,
                        .steps = steps,
                        .n_steps = 2,
                        .error = "no field",
                        .starved = true,
                        .cut = 60,
                        .reasoning = 50};
    got = there_and_back(a, &r);
    cr_expect(got.starved && got.cut == 60 && got.reasoning == 50 && !got.feedback);
    cr_expect(got.score == .25 && got.n_steps == 2 && got.steps[0].outputs);
    cr_expect(!got.steps[1].outputs && dm_str_is(got.steps[1].unread, "so"));
    cr_expect(dm_value_equal(got.steps[1].inputs, steps[1].inputs));
    dm_arena_free(a);
}
