/* Judges: what they are shown, and how their words become a score. */
#include "json/json.h"
#include "metric/judge.h"
#include "optimizer/judge_ask.h"

#include <criterion/criterion.h>
#include <math.h>

typedef struct asked {
    dm_arena *a;
    const dm_judging *j;
    dm_error err;
} asked;

static const dm_value *json(dm_arena *a, const char *text)
{
    const dm_value *v = dm_json_read(a, dm_str_of(text), NULL);
    cr_assert_not_null(v, "%s", text);
    return v;
}

static asked read_metric(const char *metric, const char *signature, const char *row)
{
    asked x = {.a = dm_arena_new(0)};
    dm_value *program = dm_value_dict(x.a), *rows = dm_value_list(x.a);
    dm_value_set(x.a, program, DM_STR("predict"), dm_value_text(x.a, signature));
    dm_at at = dm_at_root(program, "test", DM_E_JOB);
    const dm_program *p = dm_program_read(x.a, &at, &x.err);
    cr_assert_not_null(p);
    dm_value_append(x.a, rows, json(x.a, row));
    const dm_dataset *set = dm_dataset_of(x.a, "rows", rows);
    at = dm_at_root(json(x.a, metric), "job.json", DM_E_JOB);
    x.j = dm_judging_read(x.a, &at, p, &set, 1, &x.err);
    return x;
}

static dm_status score(asked *x, const char *parts, const char *first, const char *second,
                       bool trace, dm_judged *out)
{
    const dm_value *said[] = {json(x->a, first), second ? json(x->a, second) : NULL};
    return dm_judging_score(x->a, x->j, dm_str_of(parts), said, trace, out, &x->err);
}

#define QA  "question -> answer"
#define ROW "{\"question\": \"q\", \"answer\": \"a\", \"context\": \"c\"}"

/* The values of dspy.evaluate.SemanticF1 and CompleteAndGrounded of DSPy 3.4.1 for these. */
Test(judge, the_formulas_are_those_of_dspy)
{
    static const struct {
        const char *metric, *first, *second;
        double score, traced;
    } row[] = {
        {"\"semantic_f1\"", "{\"recall\": 1.0, \"precision\": 1.0}", NULL, 1, 1},
        {"\"semantic_f1\"", "{\"recall\": 0.5, \"precision\": 1.0}", NULL, 0.6666666666666666, 1},
        {"\"semantic_f1\"", "{\"recall\": 0.4, \"precision\": 0.9}", NULL, 0.5538461538461539, 0},
        {"\"semantic_f1\"", "{\"recall\": 0.0, \"precision\": 0.0}", NULL, 0, 0},
        {"\"semantic_f1\"", "{\"recall\": 1.7, \"precision\": -0.2}", NULL, 0, 0},
        {"\"semantic_f1\"", "{\"recall\": 1.7, \"precision\": 0.5}", NULL, 0.6666666666666666, 1},
        {"\"semantic_f1\"", "{\"recall\": Infinity, \"precision\": 0.5}", NULL, 0.6666666666666666,
         1},
        {"\"semantic_f1\"", "{\"recall\": -Infinity, \"precision\": 0.5}", NULL, 0, 0},
        {"\"semantic_f1\"", "{\"recall\": true, \"precision\": 3}", NULL, 1, 1},
        {"\"semantic_f1\"", "{\"recall\": 5e-324, \"precision\": 0.5}", NULL, 0, 0},
        {"{\"name\": \"semantic_f1\", \"threshold\": 0.5}", "{\"recall\": 0.4, \"precision\": 0.9}",
         NULL, 0.5538461538461539, 1},
        {"\"complete_and_grounded\"", "{\"completeness\": 0.5}", "{\"groundedness\": 1}",
         0.6666666666666666, 1},
        {"\"complete_and_grounded\"", "{\"completeness\": Infinity}", "{\"groundedness\": 0.25}",
         0.4, 0},
        {"\"complete_and_grounded\"", "{\"completeness\": 0}", "{\"groundedness\": 0}", 0, 0},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        asked x = read_metric(row[i].metric, QA, ROW);
        dm_judged out;
        cr_assert_not_null(x.j, "%s", x.err.text);
        cr_expect_eq(score(&x, "[{}]", row[i].first, row[i].second, false, &out), DM_OK);
        cr_expect(out.score == row[i].score, "%zu: %.17g", i, out.score);
        cr_expect_eq(score(&x, "[{}]", row[i].first, row[i].second, true, &out), DM_OK);
        cr_expect(out.score == row[i].traced, "%zu, with a trace: %.17g", i, out.score);
        dm_arena_free(x.a);
    }
}

Test(judge, what_is_no_judgement_is_no_score)
{
    static const struct {
        const char *metric, *said;
    } row[] = {
        {"\"semantic_f1\"", "{\"recall\": 1.0}"},
        {"\"semantic_f1\"", "{\"recall\": \"high\", \"precision\": 1}"},
        {"\"semantic_f1\"", "{\"recall\": NaN, \"precision\": 1}"},
        {"\"semantic_f1\"", "{\"recall\": 1, \"precision\": null}"},
        {"\"semantic_f1\"", "{\"recall\": [1], \"precision\": 1}"},
        {"{\"judge\": \"question, predicted_answer -> s: float\"}", "{\"s\": 1.5}"},
        {"{\"judge\": \"question, predicted_answer -> s: float\"}", "{\"s\": -0.1}"},
        {"{\"judge\": \"question, predicted_answer -> s: float\"}", "{\"s\": Infinity}"},
        {"{\"judge\": \"question, predicted_answer -> s: int\", \"range\": [1, 5]}", "{\"s\": 0}"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        asked x = read_metric(row[i].metric, QA, ROW);
        dm_judged out;
        cr_assert_not_null(x.j, "%s", x.err.text);
        cr_expect_eq(score(&x, "[{}]", row[i].said, NULL, false, &out), DM_E_DATA, "%s",
                     row[i].said);
        dm_arena_free(x.a);
    }
}

Test(judge, what_it_is_shown_and_what_it_says)
{
    static const struct {
        const char *metric, *row, *said, *feedback;
        double score;
    } row[] = {
        {"{\"judge\": \"question, answer, predicted_answer -> right: bool\"}",
         "{\"question\": \"q\", \"answer\": \"a\", \"predicted_answer\": \"p\"}",
         "{\"right\": true}", NULL, 1},
        {"{\"judge\": \"expected_answer, predicted_answer -> why, s: int\", \"range\": [1, 5], "
         "\"feedback\": \"why\"}",
         "{\"expected_answer\": \"a\", \"predicted_answer\": \"p\"}", "{\"why\": \"w\", \"s\": 4}",
         "w", .75},
        {"{\"judge\": \"expected_answer, predicted_answer -> s: Literal[1, 2, 3]\", \"range\": "
         "[1, 3]}",
         "{\"expected_answer\": \"a\", \"predicted_answer\": \"p\"}", "{\"s\": 2}", NULL, .5},
        {"{\"judge\": {\"chain_of_thought\": \"truth, said -> s: float, t: float\"}, \"score\": "
         "\"t\", \"inputs\": {\"truth\": \"example.answer\", \"said\": \"prediction.answer\"}}",
         "{\"truth\": \"a\", \"said\": \"p\"}", "{\"reasoning\": \"r\", \"s\": 0, \"t\": 0.5}", "r",
         .5},
        {"\"semantic_f1\"", "{\"question\": \"q\", \"expected\": \"a\", \"given\": \"p\"}",
         "{\"reasoning\": \"r\", \"recall\": 1, \"precision\": 1}", "r\nrecall: 1\nprecision: 1",
         1},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        asked x = read_metric(row[i].metric, QA, ROW);
        dm_judged out;
        cr_assert_not_null(x.j, "%s", x.err.text);
        const dm_value *shown =
            dm_judging_row(x.a, x.j, 0, json(x.a, ROW), json(x.a, "{\"answer\": \"p\"}"), &x.err);
        cr_expect(shown && dm_value_equal(shown, json(x.a, row[i].row)), "row %zu", i);
        cr_expect_eq(score(&x, "[{}]", row[i].said, NULL, false, &out), DM_OK);
        cr_expect(out.score == row[i].score, "%zu: %g", i, out.score);
        cr_expect(row[i].feedback ? out.feedback && !strcmp(out.feedback, row[i].feedback)
                                  : !out.feedback,
                  "%zu: %s", i, out.feedback ? out.feedback : "nothing");
        dm_arena_free(x.a);
    }
}

/* A judge reads text. */
Test(judge, an_image_is_named_to_it)
{
    asked x = read_metric("{\"judge\": \"context, predicted_answer -> right: bool\"}", QA, ROW);
    cr_assert_not_null(x.j, "%s", x.err.text);
    const dm_value *row =
        dm_judging_row(x.a, x.j, 0,
                       json(x.a, "{\"context\": \"<<CUSTOM-TYPE-START-IDENTIFIER>>[{\\\"type\\\": "
                                 "\\\"image_url\\\", \\\"image_url\\\": {\\\"url\\\": "
                                 "\\\"data:image/png;base64,iVBORw0KGgo=\\\"}}]"
                                 "<<CUSTOM-TYPE-END-IDENTIFIER>>\"}"),
                       json(x.a, "{\"answer\": \"p\"}"), &x.err);
    cr_assert_not_null(row);
    cr_expect(dm_str_is(dm_value_get(row, "context")->text, "[an image that is not shown]"));
    dm_arena_free(x.a);
}

Test(judge, a_sum_weighs_its_parts)
{
    asked x = read_metric("{\"sum\": [{\"metric\": \"f1\", \"weight\": 0.7}, {\"judge\": "
                          "\"predicted_answer -> right: bool\", \"weight\": 0.3}]}",
                          QA, ROW);
    dm_judged out;
    cr_assert_not_null(x.j, "%s", x.err.text);
    cr_expect_eq(dm_judging_calls(x.j), 1);
    cr_expect_eq(score(&x, "[{\"metric\": \"f1\", \"weight\": 0.7, \"score\": 0.5}, {}]",
                       "{\"right\": true}", NULL, true, &out),
                 DM_OK);
    cr_expect_float_eq(out.score, .65, 1e-15);
    cr_expect_eq(score(&x, "[{\"score\": 0.5}]", "{\"right\": true}", NULL, false, &out),
                 DM_E_DATA);
    dm_arena_free(x.a);
}

/* What the others said is kept where one gave no score, and its own words above all. */
Test(judge, parts_of_an_example_without_a_score)
{
    asked x = read_metric("{\"sum\": [{\"judge\": \"predicted_answer -> s: float, why\", "
                          "\"feedback\": \"why\", \"weight\": 1}, {\"metric\": "
                          "\"complete_and_grounded\", \"weight\": 3}, {\"metric\": \"f1\", "
                          "\"weight\": 1}]}",
                          QA, ROW);
    static const char local[] = "[{}, {}, {\"metric\": \"f1\", \"weight\": 1.0, \"score\": 0.5}]";
    dm_judged out;
    cr_assert_not_null(x.j, "%s", x.err.text);
    const dm_value *said[] = {json(x.a, "{\"s\": 0.5, \"why\": \"\"}"),
                              json(x.a, "{\"completeness\": NaN}"), NULL};
    cr_expect_eq(dm_judging_score(x.a, x.j, DM_STR(local), said, false, &out, &x.err), DM_E_DATA);
    cr_expect_str_eq(x.err.text, "the judge's `completeness` is not a number");
    cr_expect(isnan(out.score) && !out.feedback);
    cr_expect_str_eq(out.parts.p,
                     "[{\"metric\": \"judge\", \"weight\": 1.0, \"score\": 0.5, \"judgement\": "
                     "{\"s\": 0.5, \"why\": \"\"}}, {\"metric\": \"complete_and_grounded\", "
                     "\"weight\": 3.0, \"judgement\": [{\"completeness\": NaN}]}, {\"metric\": "
                     "\"f1\", \"weight\": 1.0, \"score\": 0.5}]");
    said[0] = said[1] = NULL; /* the first was never read */
    cr_expect_eq(dm_judging_score(x.a, x.j, DM_STR(local), said, false, &out, &x.err), DM_E_DATA);
    cr_expect(strstr(x.err.text, "`s`"), "%s", x.err.text);
    cr_expect(strstr(out.parts.p, "{\"metric\": \"judge\", \"weight\": 1.0}, "), "%s", out.parts.p);
    said[0] = json(x.a, "{\"s\": 0.5, \"why\": \"\"}"); /* empty words are no feedback */
    said[1] = json(x.a, "{\"completeness\": 0.5}");
    said[2] = json(x.a, "{\"groundedness\": 0.5, \"reasoning\": \"\"}");
    cr_expect_eq(dm_judging_score(x.a, x.j, DM_STR(local), said, false, &out, &x.err), DM_OK);
    cr_expect(out.feedback && !strcmp(out.feedback, "completeness: 0.5\ngroundedness: 0.5"), "%s",
              out.feedback);
    dm_arena_free(x.a);
}

Test(judge, what_a_job_gets_wrong_is_named)
{
    static const struct {
        const char *metric, *text;
    } row[] = {
        {"{\"judge\": \"question, nobody -> s: bool\"}",
         "neither a column of the data nor an output"},
        {"{\"judge\": \"question, answer -> s: bool\"}", "nothing of what the program answers"},
        {"{\"judge\": \"question, predicted_answer -> s\"}", "a bool, an int, a float"},
        {"{\"judge\": \"question, predicted_answer -> s: bool, t: bool\"}", "name an output"},
        {"{\"judge\": \"question, predicted_answer -> s: bool\", \"score\": \"t\"}",
         "name an output"},
        {"{\"judge\": \"question, predicted_answer -> s: Literal['1', 2]\"}", "name an output"},
        {"{\"sum\": [{\"metric\": \"f1\", \"weight\": 0}]}", "weight"},
        {"{\"sum\": [{\"metric\": \"f1\", \"weight\": -1}]}", "weight"},
        {"{\"sum\": [{\"metric\": \"f1\", \"weight\": true}]}", "weight"},
        {"{\"judge\": \"question, predicted_answer -> s: bool\", \"feedback\": \"why\"}",
         "not an output of the judge"},
        {"{\"judge\": \"question, predicted_answer -> s: int\", \"range\": [5, 1]}", "[1, 5]"},
        {"{\"judge\": \"question, predicted_answer -> s: Literal[1, 2, 3]\"}", "`s` may be 2"},
        {"{\"judge\": \"question, predicted_answer -> s: Literal[0, 1, 2]\", \"range\": [1, 2]}",
         "`s` may be 0"},
        {"{\"judge\": \"question, predicted_answer -> s: bool\", \"scores\": \"s\"}", "score"},
        {"{\"judge\": \"question, predicted_answer -> s: bool\", \"weight\": 1}", "part of a sum"},
        {"{\"judge\": \"q, predicted_answer -> s: bool\", \"inputs\": {\"q\": \"example.no\"}}",
         "example.COLUMN"},
        {"{\"name\": \"complete_and_grounded\", \"context\": \"no\"}", "passages"},
        {"{\"sum\": []}", "a list of parts"},
        {"{\"sum\": [{\"metric\": \"f1\"}]}", "needs a weight"},
        {"{\"sum\": [{\"name\": \"f1\", \"weight\": 1}]}", "a part of a sum is"},
        {"{\"sum\": [{\"metric\": {\"sum\": []}, \"weight\": 1}]}",
         "cannot be part of another sum"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        asked x = read_metric(row[i].metric, QA, ROW);
        cr_expect(!x.j && strstr(x.err.text, row[i].text), "%s: %s", row[i].metric,
                  x.j ? "taken" : x.err.text);
        dm_arena_free(x.a);
    }
}

Test(judge, how_many_calls_a_metric_makes)
{
    static const struct {
        const char *metric;
        size_t n;
    } row[] = {{"\"f1\"", 0},
               {"\"semantic_f1\"", 1},
               {"{\"name\": \"complete_and_grounded\"}", 2},
               {"{\"judge\": \"a -> b: bool\"}", 1},
               {"{\"command\": [\"x\"]}", 0},
               {"{\"sum\": [{\"metric\": \"f1\", \"weight\": 1}]}", 0},
               {"{\"sum\": [{\"metric\": \"complete_and_grounded\", \"weight\": 1}, {\"judge\": "
                "\"a -> b: bool\", \"weight\": 1}]}",
                3},
               {"{\"sum\": 3}", 0}};
    dm_arena *a = dm_arena_new(0);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        cr_expect_eq(dm_metric_asks(json(a, row[i].metric)), row[i].n, "%s", row[i].metric);
    cr_expect_eq(dm_metric_asks(NULL), 0);
    dm_arena_free(a);
}

Test(judge, the_noise_of_one_that_is_asked_twice)
{
    dm_judge_noise noise = {0};
    for (int i = 0; i < 3; i++)
        dm_judge_noise_add(&noise, .5, .5);
    cr_expect_eq(noise.changed, 0);
    cr_expect_eq(noise.sd, 0);
    dm_judge_noise_add(&noise, 0, 1);
    cr_expect_eq(noise.n, 4);
    cr_expect_eq(noise.changed, 1);
    cr_expect_float_eq(noise.sd, sqrt(1. / 8), 1e-15); /* half the mean square of the difference */
}
