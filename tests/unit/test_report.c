/* Scores, intervals, the verdict, the table's words and the line of progress. */
#include "report/report.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 400 };

static dm_result scored(double score)
{
    return (dm_result){.score = score, .present = true};
}

static dm_result absent(dm_fault fault)
{
    return (dm_result){.score = NAN, .fault = fault};
}

static dm_result refused(dm_fault fault, double failure_score)
{
    return (dm_result){.score = failure_score, .fault = fault, .refused = true};
}

/* n results, the first `right` of them 1. */
static const dm_result *rights(dm_result *r, size_t right, size_t n)
{
    for (size_t i = 0; i < n; i++)
        r[i] = scored(i < right);
    return r;
}

static void near_to(double got, double want, double by, const char *what)
{
    cr_expect(fabs(got - want) <= by, "%s: %.6f, not %.6f", what, got, want);
}

Test(report, wilson)
{
    static const struct {
        size_t right, n;
        double low, high; /* Wilson's, from statsmodels' proportion_confint */
    } table[] = {{0, 10, 0, .277535},
                 {10, 10, .722465, 1},
                 {5, 10, .236593, .763407},
                 {1, 1, .206549, 1},
                 {81, 263, .255289, .366205}};
    dm_result r[MOST];
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        dm_score s = dm_score_of(rights(r, table[i].right, table[i].n), table[i].n);
        near_to(s.low, table[i].low, 1e-5, "low");
        near_to(s.high, table[i].high, 1e-5, "high");
        near_to(s.score, (double)table[i].right / (double)table[i].n, 1e-12, "score");
    }
}

/* .29 and .31: half of the interval is t * s / sqrt(n), with the t of statistical tables. */
Test(report, student)
{
    static const struct {
        size_t n;
        double t;
    } table[] = {{2, 12.706}, {3, 4.303},  {4, 3.182},  {6, 2.571},
                 {11, 2.228}, {31, 2.042}, {201, 1.972}};
    dm_result a[MOST], b[MOST];
    for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
        size_t n = table[k].n;
        double mean = 0, squares = 0;
        for (size_t i = 0; i < n; i++) {
            a[i] = scored(.3);
            b[i] = scored(i % 2 ? .29 : .31);
            mean += b[i].score / (double)n;
        }
        for (size_t i = 0; i < n; i++)
            squares += (b[i].score - mean) * (b[i].score - mean);
        double half = table[k].t * sqrt(squares / (double)(n - 1) / (double)n);
        dm_difference d = dm_paired(a, b, n);
        near_to((d.high - d.low) / 2, half, .002 * half, "half");
        near_to(d.mean, mean - .3, 1e-12, "mean");
    }
}

Test(report, what_is_absent_does_not_count)
{
    dm_result a[] = {scored(1), absent(DM_FAULT_TRANSPORT), scored(0), scored(1)},
              b[] = {scored(1), scored(1), absent(DM_FAULT_REFUSED), scored(0)};
    b[0].fallback = b[3].truncated = true;
    dm_score s = dm_score_of(a, 4), t = dm_score_of(b, 4), none = dm_score_of(NULL, 4);
    dm_difference d = dm_paired(a, b, 4);
    near_to(s.score, 2. / 3, 1e-12, "score");
    cr_expect(s.n == 3 && s.failed == 1 && t.fallback == 1 && t.truncated == 1);
    cr_expect(d.n == 2 && d.down == 1 && d.up == 0, "%zu %zu %zu", d.n, d.up, d.down);
    cr_expect(none.n == 0 && isnan(none.score));
}

static void has(const char *text, const char *words, bool wanted)
{
    cr_expect((strstr(text, words) != NULL) == wanted, "%s \"%s\" in:\n%s",
              wanted ? "no" : "there is", words, text);
}

/* On the same examples: where one was refused and the other answered it is a failure, where both
 * were it is out, and so it is in the table, the last line and predictions.jsonl alike. */
Test(report, a_refusal_is_a_failure_beside_an_answer)
{
    static const char *const words[] = {"context_overflow", "refused", "content_filter"};
    static const dm_fault faults[] = {DM_FAULT_OVERFLOW, DM_FAULT_REFUSED, DM_FAULT_FILTER};
    for (size_t k = 0; k < 3; k++) {
        dm_result a[40], b[40];
        for (size_t i = 0; i < 40; i++) {
            a[i] = i < 10 ? scored(1) : i < 30 ? scored(0) : refused(DM_FAULT_REFUSED, 0);
            b[i] = i < 20 ? scored(1) : refused(faults[k], 0);
        }
        b[30] = scored(1);
        dm_score start = dm_score_against(a, b, 40), end = dm_score_against(b, a, 40);
        dm_difference d = dm_paired(a, b, 40);
        near_to(start.score, 10. / 31, 1e-12, "start");
        near_to(end.score, 21. / 31, 1e-12, "compiled");
        near_to(d.mean, 11. / 31, 1e-12, "difference");
        cr_expect(start.n == 31 && end.n == 31 && d.n == 31 && d.up == 11 && d.down == 0);
        cr_expect(start.refused == 10 && end.refused == 19 && end.failed == 19);
        near_to(dm_score_of(b, 40).score, 1, 1e-12, "alone");
        for (size_t i = 0; i < 11; i++) /* it was no better than its answers */
            b[i] = refused(faults[k], 0);
        d = dm_paired(a, b, 40);
        cr_expect_str_eq(dm_verdict_text(&d), "no difference outside the noise");
        near_to(d.mean, 0, 1e-12, "10 of 31 and 10 of 31");

        dm_arena *arena = dm_arena_new(0);
        dm_value *rows = dm_value_list(arena);
        for (int i = 0; i < 40; i++)
            dm_value_append(arena, rows, dm_value_dict(arena));
        dm_split_report split = {"valset", dm_dataset_of(arena, "rows", rows), a, b};
        dm_buf text;
        char line[200];
        dm_buf_init(&text, 1 << 20);
        dm_report_predictions(&text, &(dm_setup){0}, &split, 1);
        snprintf(line, sizeof line, "\"score\": 0.0, \"error\": \"%s\"", words[k]);
        has(text.data, line, true); /* where the start answered */
        snprintf(line, sizeof line, "\"score\": null, \"error\": \"%s\"", words[k]);
        has(text.data, line, true); /* where it did not either */
        dm_buf_free(&text);
        dm_arena_free(arena);
    }
}

/* up examples got right, down got wrong, of n. */
static const char *verdict(size_t up, size_t down, size_t n)
{
    dm_result a[MOST], b[MOST];
    for (size_t i = 0; i < n; i++) {
        a[i] = scored(i >= up && i < up + down);
        b[i] = scored(i < up);
    }
    dm_difference d = dm_paired(a, b, n);
    return dm_verdict_text(&d);
}

Test(report, verdict_on_0_and_1)
{
    static const struct {
        size_t up, down, n;
        const char *words;
    } table[] = {
        {0, 0, 40, "no difference outside the noise"},
        {3, 0, 3, "no difference outside the noise"},  /* p = 0.25 */
        {5, 0, 20, "no difference outside the noise"}, /* 0.0625; Student's t would say better */
        {6, 0, 6, "better"},                           /* 0.031 */
        {0, 6, 300, "worse"},
        {9, 2, 100, "no difference outside the noise"},   /* 0.065 */
        {10, 2, 100, "better"},                           /* 0.039 */
        {60, 40, 400, "no difference outside the noise"}, /* 0.057 */
        {61, 39, 400, "better"},                          /* 0.035 */
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        cr_expect_str_eq(verdict(table[i].up, table[i].down, table[i].n), table[i].words,
                         "%zu up, %zu down of %zu", table[i].up, table[i].down, table[i].n);
}

/* Without any true difference "better" or "worse" may be said in at most 5 % of the cases: exactly,
 * over all splits of m examples that differ. */
Test(report, verdict_is_rarely_wrong)
{
    for (size_t m = 1; m <= 60; m++) {
        double wrong = 0, weight = pow(.5, (double)m);
        for (size_t up = 0; up <= m; up++) {
            if (strcmp(verdict(up, m - up, 100), "no difference outside the noise") != 0)
                wrong += weight;
            weight *= (double)(m - up) / (double)(up + 1);
        }
        cr_expect(wrong < .05, "%zu examples differ: wrong in %.4f", m, wrong);
    }
}

Test(report, verdict_on_fractions)
{
    dm_result a[20], b[20];
    for (size_t i = 0; i < 20; i++) {
        a[i] = scored(.5);
        b[i] = scored(i < 5 ? .75 : .5);
    }
    dm_difference d = dm_paired(a, b, 5);
    cr_expect_str_eq(dm_verdict_text(&d),
                     "no difference outside the noise"); /* no variance at all */
    b[5] = b[6] = scored(.7);
    d = dm_paired(a, b, 20);
    cr_expect_str_eq(dm_verdict_text(&d), "better");
    d = dm_paired(b, a, 20);
    cr_expect_str_eq(dm_verdict_text(&d), "worse");
}

static char *table_of(const dm_report *r)
{
    dm_buf b;
    size_t n;
    dm_buf_init(&b, 100000);
    dm_report_table(&b, r);
    return dm_buf_take(&b, &n);
}

Test(report, table)
{
    dm_result a[100], b[100];
    dm_dataset set = {.n = 100};
    dm_split_report splits[] = {{"valset", &set, rights(a, 40, 100), rights(b, 70, 100)},
                                {"testset", &set, rights(a, 40, 100), rights(b, 70, 100)}};
    dm_report r = {.splits = splits,
                   .n_splits = 1,
                   .selected = true,
                   .cost = NAN,
                   .program = "o/program.json"};
    r.usage.requests = 1234;
    char *text = table_of(&r);
    has(text, "40.0 % (30.9 to 49.8)", true);
    has(text, "70.0 % (60.4 to 78.1)  +30.0  better", true);
    has(text, "1234 calls", true);
    has(text, "o/program.json\n", true);
    has(text, "validation score of a selected winner, optimistic\n", true);
    has(text, "stand-in", false);
    has(text, "$", false);
    has(text, "failed", false);
    free(text);
    r.optimism = .65; /* the interval is moved, and does not stand beside the raw score alone */
    text = table_of(&r);
    has(text, "70.0 %, corrected 67.1 (57.5 to 75.2)  +30.0  better", true);
    free(text);
    r.optimism = 0;
    r.n_splits = 2;
    r.stand_in = true;
    dm_example examples[100] = {0};
    examples[3].id = "row 4";
    set.examples = examples;
    b[3] = absent(DM_FAULT_PARSE);
    b[3].error = "no field answer\nin it";
    text = table_of(&r);
    has(text, "\n  the first: row 4: no field answer in it\n", true);
    has(text, "optimistic", false);
    has(text, "(stand-in, not a language model)", true);
    has(text, "compiled: 1.0 % failed (1 of 100; 1 did not parse, 0 refused)", true);
    free(text);
}

Test(report, no_answer_at_all)
{
    dm_result a[2] = {absent(DM_FAULT_TRANSPORT), absent(DM_FAULT_TRANSPORT)};
    dm_dataset set = {.n = 2};
    dm_split_report split = {"testset", &set, a, NULL};
    dm_report r = {.splits = &split, .n_splits = 1, .cost = .5};
    char *text = table_of(&r);
    has(text, "no answer", true);
    has(text, "nan", false);
    has(text, "$0.50", true);
    free(text);
}

Test(report, predictions)
{
    static const char data[] = "{\"id\": 7, \"q\": \"x\", \"a\": [\"y\"], \"note\": null}\n"
                               "{\"q\": \"z\", \"a\": 1}\n{\"q\": \"z\", \"id\": \"a\\\"b\"}\n";
    dm_arena *arena = dm_arena_new(0);
    dm_dataset *set;
    dm_error err = {DM_OK, ""};
    cr_assert_eq(dm_dataset_parse(arena, "d", DM_STR(data), DM_JSON_LINES, &set, &err), DM_OK);
    dm_predictor steps[2] = {{.step = DM_STR("find")}, {.step = DM_STR("say")}};
    dm_program p = {.predictors = steps, .n = 2};
    dm_str inputs[] = {DM_STR("q")};
    dm_setup setup = {.program = &p, .inputs = inputs, .n_inputs = 1};
    dm_result a[3] = {scored(1), scored(0), absent(DM_FAULT_REFUSED)};
    dm_split_report split = {"valset", set, a, NULL};
    dm_buf b;
    a[0].outputs = DM_STR("{\"a\": \"x\"}");
    a[0].before = DM_STR("{\"find\": {\"query\": \"w\"}}");
    a[1].outputs = DM_STR("{\"a\": \"x\"}");
    a[2].before = a[0].before;
    a[2].error = "too\nlong";
    dm_buf_init(&b, 10000);
    dm_report_predictions(&b, &setup, &split, 1);
#define START "{\"split\": \"valset\", \"program\": \"start\", \"id\": "
    cr_expect_str_eq(
        b.data, START
        "7, \"inputs\": {\"q\": \"x\"}, \"label\": {\"a\": [\"y\"], \"note\": null}, "
        "\"outputs\": {\"a\": \"x\"}, \"steps\": {\"find\": {\"query\": \"w\"}, \"say\": {\"a\": "
        "\"x\"}}, \"score\": 1.0, \"error\": null}\n" START
        "\"row 2\", \"inputs\": {\"q\": \"z\"}, \"label\": {\"a\": 1}, \"outputs\": {\"a\": "
        "\"x\"}, \"score\": 0.0, \"error\": null}\n" START
        "\"a\\\"b\", \"inputs\": {\"q\": \"z\"}, \"label\": {}, \"outputs\": null, \"steps\": "
        "{\"find\": {\"query\": \"w\"}}, \"score\": null, \"error\": \"refused\", "
        "\"message\": \"too\\nlong\"}\n");
    dm_buf_free(&b);
    dm_arena_free(arena);
}

/* The time that is left is reckoned for the phase, not for the run. */
Test(report, progress)
{
    dm_progress p = {.started = 100};
    dm_pool_stats s = {
        .phase = "search", .done = 50, .total = 200, .mean = .713, .best = NAN, .errors = 2};
    static const struct {
        const char *phase;
        double now;
        size_t done;
        int64_t calls;
        double best;
        const char *words;
    } table[] = {
        {"search", 110, 0, 0, NAN,
         "search 0 of 200 runs, mean 71.3 %  0.0 calls/s  0 tokens  2 errors"},
        {"search", 120, 50, 500, .845,
         "search 50 of 200 runs, best 84.5 %  50.0 calls/s  0 tokens  2 errors  1 min 0 s left"},
        {"search", 180, 200, 3500, .845,
         "search 200 of 200 runs, best 84.5 %  50.0 calls/s  0 tokens  2 errors"},
        {"score", 190, 100, 4000, .845,
         "score 100 of 200 runs, best 84.5 %  50.0 calls/s  0 tokens  2 errors  10.0 s left"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        dm_buf b;
        dm_buf_init(&b, 1000);
        s.phase = table[i].phase;
        s.done = table[i].done;
        s.best = table[i].best;
        s.usage.requests = table[i].calls;
        dm_progress_line(&b, &p, &s, table[i].now, SIZE_MAX);
        cr_expect_str_eq(b.data, table[i].words);
        dm_buf_free(&b);
    }
}

/* What is worth least goes first; the count stays, if need be cut. */
Test(report, progress_fits_the_terminal)
{
    static const struct {
        size_t width;
        const char *words;
    } table[] = {
        {200, "search 1,040 of 2,080 runs, best 84.5 %  42.0 calls/s  1.2 M tokens  1 error  10.0 "
              "s left"},
        {79, "search 1,040 of 2,080 runs, best 84.5 %  42.0 calls/s  1 error  10.0 s left"},
        {70, "search 1,040 of 2,080 runs, best 84.5 %  1 error  10.0 s left"},
        {55, "search 1,040 of 2,080 runs, best 84.5 %  10.0 s left"},
        {40, "search 1,040 of 2,080 runs, best 84.5 %"},
        {38, "search 1,040 of 2,080 runs  1 error"},
        {30, "search 1,040 of 2,080 runs"},
        {12, "search 1,040"},
        {0, ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        dm_progress p = {
            .started = 100, .last = 110, .rate = 42, .phase = "search", .phase_started = 100};
        dm_pool_stats s = {
            .phase = "search", .done = 1040, .total = 2080, .best = .845, .errors = 1};
        dm_buf b;
        s.usage.prompt = 1230000;
        dm_buf_init(&b, 1000);
        dm_progress_line(&b, &p, &s, 110, table[i].width);
        cr_expect_str_eq(b.data ? b.data : "", table[i].words);
        dm_buf_free(&b);
    }
}

/* A resumed run has much done when it starts: that says nothing of its speed. */
Test(report, progress_of_a_resumed_run)
{
    dm_progress p = {.started = 100};
    dm_pool_stats s = {.phase = "search", .done = 900, .total = 1000, .mean = NAN, .best = NAN};
    dm_buf b;
    dm_buf_init(&b, 1000);
    dm_progress_line(&b, &p, &s, 101, SIZE_MAX);
    cr_expect_null(strstr(b.data, "left"));
    dm_buf_reset(&b);
    s.done = 910;
    dm_progress_line(&b, &p, &s, 110, SIZE_MAX);
    cr_expect_not_null(strstr(b.data, "1 min 30 s left"), "%s", b.data);
    dm_buf_free(&b);
}

/* Sums that come bit by bit give the score of all results at once. */
Test(report, tallied)
{
    static const double graded[] = {.25, .5, 1, 0, .75, .125, 1};
    dm_result r[MOST];
    for (int kind = 0; kind < 3; kind++)
        for (size_t n = 0; n <= 40; n += 5) {
            dm_tally t = {0};
            for (size_t i = 0; i < n; i++) {
                r[i] = kind == 0 ? scored(i % 3 == 0) : scored(graded[i % 7]);
                if (kind == 2 && i % 4 == 1)
                    r[i] = absent(DM_FAULT_PARSE);
                t.failed += r[i].fault != DM_FAULT_NONE;
                t.parse += r[i].fault == DM_FAULT_PARSE;
                if (!r[i].present)
                    continue;
                t.n++;
                t.sum += r[i].score;
                t.squares += r[i].score * r[i].score;
                t.graded |= r[i].score > 0 && r[i].score < 1;
            }
            dm_score whole = dm_score_of(r, n), tallied = dm_score_of_tally(&t);
            cr_expect_eq(tallied.n, whole.n);
            cr_expect_eq(tallied.failed, whole.failed);
            cr_expect_eq(tallied.parse, whole.parse);
            if (whole.n == 0) {
                cr_expect(isnan(tallied.score) && isnan(tallied.low) && isnan(tallied.high));
                continue;
            }
            near_to(tallied.score, whole.score, 1e-12, "score");
            near_to(tallied.low, whole.low, 1e-9, "low");
            near_to(tallied.high, whole.high, 1e-9, "high");
        }
}

/* One pair, or two that disagree: the interval is all that a difference of scores can be. */
Test(report, differences_stay_within_scores)
{
    dm_result a[2] = {{.score = 1, .present = true}, {.score = 0, .present = true}},
              b[2] = {{.score = 1, .present = true}, {.score = 1, .present = true}};
    dm_difference one = dm_paired(a, b, 1), two = dm_paired(a, b, 2);
    cr_expect(one.n == 1 && one.low >= -1 && one.high <= 1, "%g to %g", one.low, one.high);
    cr_expect(two.n == 2 && two.low >= -1 && two.high <= 1, "%g to %g", two.low, two.high);
}

/* What is left is reckoned from where this attempt found the phase, and not known before it moves.
 */
Test(report, left)
{
    dm_progress p = {.started = 100};
    dm_pool_stats s = {.phase = "search", .done = 200, .total = 1000, .best = NAN, .mean = NAN};
    dm_progress_note(&p, &s, 101);
    cr_expect(isnan(dm_progress_left(&p, &s, 101)), "nothing of it was done here");
    s.done = 400;
    dm_progress_note(&p, &s, 120);
    near_to(dm_progress_left(&p, &s, 120), 20 * 600. / 200, 1e-9, "left");
    s.done = s.total = 1000;
    cr_expect(isnan(dm_progress_left(&p, &s, 130)), "nothing is left");
}
