/* Whether it is worth it: the interval of five looks, gains, the verdict, and what is found in
 * data. */
#include "advice/advice.h"
#include "advice/data.h"
#include "advice/guess.h"
#include "base/random.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static dm_arena *arena;

static void set_up(void)
{
    arena = dm_arena_new(0);
}

static void tear_down(void)
{
    dm_arena_free(arena);
}

TestSuite(advice, .init = set_up, .fini = tear_down);

/* ---- the looks ---- */

/* What one run of advise would say of a model that is right with chance p, whatever it is shown:
 * the start in looks, then three probes on its first 20 examples. */
static dm_worth advised(double p, size_t calls, uint64_t run)
{
    enum { MOST = 400 };
    double scores[MOST];
    size_t planned = calls - 60, n = 0, counter = 0;
    dm_mean gains[3];
    dm_known k = {.n_train = 200, .gains = gains, .needed = NAN};
    for (size_t look = 1; look <= DM_LOOKS; look++) {
        for (size_t next = dm_look_at(planned, look); n < next; n++)
            scores[n] = dm_draw_double(run, 1, counter++) < p;
        k.start = dm_mean_of(scores, n, dm_look_width(n, planned));
        if (dm_side_of(&k.start) != DM_SIDE_OPEN)
            break;
    }
    for (; k.n_gains < 3 && dm_side_of(&k.start) != DM_SIDE_ABOVE; k.n_gains++) {
        double other[20];
        for (size_t i = 0; i < 20; i++)
            other[i] = dm_draw_double(run, 2, counter++) < p;
        gains[k.n_gains] = dm_gain_of(scores, other, 20, 3);
    }
    return dm_advise(&k);
}

/* At each baseline: how often it is wrong (little to gain below 80, worth it above 90), and how
 * often right. */
Test(advice, baselines)
{
    static const struct {
        double p;
        size_t calls;
        double right;
    } table[] = {{.50, 160, .98}, {.70, 160, .55}, {.80, 160, 0}, {.85, 160, .90},
                 {.90, 160, 0},   {.92, 160, 0},   {.95, 160, 0}, {.99, 160, .85},
                 {.70, 400, .95}, {.95, 400, .88}};
    enum { RUNS = 2000 };
    for (size_t t = 0; t < sizeof table / sizeof *table; t++) {
        size_t says[5] = {0};
        double p = table[t].p;
        for (uint64_t run = 0; run < RUNS; run++)
            says[advised(p, table[t].calls, 1000 * t + run * 7919)]++;
        double worth = (double)says[DM_ADVICE_WORTH_IT] / RUNS,
               little = (double)says[DM_ADVICE_LITTLE] / RUNS,
               unclear = (double)says[DM_ADVICE_UNCLEAR] / RUNS;
        double right = p < .8 ? worth : p > .9 ? little : unclear;
        printf("# start %.0f %%, %zu calls: worth it %.1f %%, little to gain %.1f %%, unclear %.1f "
               "%%\n",
               100 * p, table[t].calls, 100 * worth, 100 * little, 100 * unclear);
        cr_expect(p > .8 || little <= .05, "little to gain at %g: %g", p, little);
        cr_expect(p < .9 || worth <= .05, "worth it at %g: %g", p, worth);
        cr_expect(right >= table[t].right, "right at %g: %g", p, right);
    }
}

/* All five intervals hold the truth together in 95 % of runs, whatever it is. */
Test(advice, looks_together)
{
    enum { RUNS = 4000, PLANNED = 100 };
    static const double truths[] = {.3, .5, .8, .9};
    for (size_t t = 0; t < sizeof truths / sizeof *truths; t++) {
        size_t missed = 0;
        for (uint64_t run = 0; run < RUNS; run++) {
            double scores[PLANNED];
            bool out = false;
            for (size_t i = 0; i < PLANNED; i++)
                scores[i] = dm_draw_double(run, 10 + t, i) < truths[t];
            for (size_t look = 1; look <= DM_LOOKS; look++) {
                size_t n = dm_look_at(PLANNED, look);
                dm_mean m = dm_mean_of(scores, n, dm_look_width(n, PLANNED));
                out = out || m.low > truths[t] || m.high < truths[t];
            }
            missed += out;
        }
        cr_expect(missed < RUNS * .065, "at %g missed in %zu of %d runs", truths[t], missed, RUNS);
        cr_expect(missed > RUNS * .01, "at %g the intervals are too wide: missed %zu", truths[t],
                  missed);
    }
}

Test(advice, sizes_of_looks)
{
    static const struct {
        size_t planned, at[DM_LOOKS];
    } table[] = {{100, {20, 40, 60, 80, 100}},
                 {1, {1, 1, 1, 1, 1}},
                 {7, {2, 3, 5, 6, 7}},
                 {60, {12, 24, 36, 48, 60}}};
    for (size_t t = 0; t < sizeof table / sizeof *table; t++)
        for (size_t k = 1; k <= DM_LOOKS; k++)
            cr_expect_eq(dm_look_at(table[t].planned, k), table[t].at[k - 1]);
    cr_expect_float_eq(dm_look_width(100, 100), 2.113, 1e-9);
    cr_expect_float_eq(dm_look_width(20, 100), 3.1597, 1e-3);
}

/* Scores between 0 and 1 that differ little have a shorter interval, and one that is not zero. */
Test(advice, graded_scores)
{
    double even[40], spread[40], same[40], few[4] = {.5, .6, .5, .6};
    for (size_t i = 0; i < 40; i++) {
        even[i] = i % 2 ? .45 : .55;
        spread[i] = i % 2 ? 1 : 0;
        same[i] = .5;
    }
    dm_mean a = dm_mean_of(even, 40, 2), b = dm_mean_of(spread, 40, 2), c = dm_mean_of(same, 40, 2),
            d = dm_mean_of(few, 4, 2), none = dm_mean_of(few, 0, 2);
    cr_expect(a.high - a.low < .05 && a.low < .5 && a.high > .5);
    cr_expect(b.high - b.low > .25);
    cr_expect(c.high - c.low > .25, "scores that are all the same prove nothing of the next one");
    cr_expect(d.high - d.low > .5);
    cr_expect(none.n == 0 && isnan(none.mean) && dm_side_of(&none) == DM_SIDE_OPEN);
}

/* ---- gains ---- */

Test(advice, smallest_gain)
{
    static const struct {
        size_t n;
        double gain;
    } table[] = {{20, .35}, {50, .14}, {100, .07}, {200, .035}, {9, 7.0 / 9}};
    for (size_t t = 0; t < sizeof table / sizeof *table; t++)
        cr_expect_float_eq(dm_smallest_gain(table[t].n), table[t].gain, 1e-12);
    cr_expect(isnan(dm_smallest_gain(8)) && isnan(dm_smallest_gain(0)));
}

/* Bonett and Price's interval by hand: 8 gained, 1 lost of 20, one test. */
Test(advice, paired_gain)
{
    double a[20] = {0}, b[20] = {0}, half;
    for (size_t i = 0; i < 8; i++)
        b[i] = 1;
    a[8] = 1;
    dm_mean one = dm_gain_of(a, b, 20, 1), three = dm_gain_of(a, b, 20, 3);
    double p = 9.0 / 22, q = 2.0 / 22, d = p - q;
    half = 1.959964 * sqrt((p + q - d * d) / 22);
    cr_expect_float_eq(one.mean, .35, 1e-12);
    cr_expect_float_eq(one.low, d - half, 1e-6);
    cr_expect_float_eq(one.high, d + half, 1e-6);
    half = 2.393980 * sqrt((p + q - d * d) / 22);
    cr_expect_float_eq(three.low, d - half, 1e-5);
    for (size_t i = 0; i < 20; i++) {
        a[i] = .1 * (double)(i % 5);
        b[i] = a[i] + .2 + .01 * (double)(i % 2);
    }
    dm_mean graded = dm_gain_of(a, b, 20, 1);
    cr_expect(graded.low > .19 && graded.high < .22);
    /* that no score of 20 changed does not prove that none would */
    dm_mean none = dm_gain_of(a, a, 20, 1);
    cr_expect(fabs(none.mean) < 1e-12 && none.low < -.1 && none.high > .1, "%g %g", none.low,
              none.high);
}

/* Of two programs that are alike, three probes seem to gain in at most 2.5 % of runs. */
Test(advice, no_gain_is_none)
{
    enum { RUNS = 4000 };
    static const double truths[] = {.2, .5, .85, .95};
    for (size_t t = 0; t < sizeof truths / sizeof *truths; t++) {
        size_t gained = 0;
        for (uint64_t run = 0; run < RUNS; run++) {
            double a[20], b[20];
            bool any = false;
            for (size_t i = 0; i < 20; i++)
                a[i] = dm_draw_double(run, 50 + t, i) < truths[t];
            for (size_t probe = 0; probe < 3; probe++) {
                for (size_t i = 0; i < 20; i++)
                    b[i] = dm_draw_double(run, 60 + t, 100 * probe + i) < truths[t];
                any = any || dm_gain_of(a, b, 20, 3).low > 0;
            }
            gained += any;
        }
        cr_expect(gained <= RUNS * .03, "at %g: %zu of %d", truths[t], gained, RUNS);
    }
}

/* ---- the verdict ---- */

Test(advice, verdicts)
{
    const dm_mean low = {.5, .3, .7, 20}, high = {.97, .93, .99, 100}, open = {.85, .77, .92, 100},
                  between = {.85, .82, .88, 900}, none = {NAN, NAN, NAN, 0},
                  better = {.3, .1, .5, 20}, same = {.1, -.2, .3, 20};
    const struct {
        bool fix;
        size_t n;
        dm_mean start;
        const dm_mean *gain;
        double needed;
        dm_worth want;
    } table[] = {{true, 200, low, NULL, NAN, DM_ADVICE_FIX_FIRST},
                 {true, 5, high, NULL, NAN, DM_ADVICE_FIX_FIRST},
                 {false, 200, low, NULL, NAN, DM_ADVICE_WORTH_IT},
                 {false, 200, low, &same, NAN, DM_ADVICE_WORTH_IT},
                 {false, 20, low, NULL, NAN, DM_ADVICE_WORTH_IT},
                 {false, 19, low, NULL, NAN, DM_ADVICE_MORE_EXAMPLES},
                 {false, 19, high, NULL, NAN, DM_ADVICE_LITTLE},
                 {false, 200, high, &better, NAN, DM_ADVICE_LITTLE},
                 {false, 200, open, NULL, NAN, DM_ADVICE_UNCLEAR},
                 {false, 200, open, &same, NAN, DM_ADVICE_UNCLEAR},
                 {false, 200, open, &better, NAN, DM_ADVICE_WORTH_IT},
                 {false, 200, between, NULL, NAN, DM_ADVICE_UNCLEAR},
                 {false, 200, none, NULL, NAN, DM_ADVICE_UNCLEAR},
                 {false, 5, none, NULL, NAN, DM_ADVICE_MORE_EXAMPLES},
                 {false, 200, low, NULL, .2, DM_ADVICE_WORTH_IT},
                 {false, 200, low, NULL, .71, DM_ADVICE_LITTLE}};
    for (size_t t = 0; t < sizeof table / sizeof *table; t++) {
        dm_known k = {.fix = table[t].fix,
                      .n_train = table[t].n,
                      .start = table[t].start,
                      .gains = table[t].gain,
                      .n_gains = table[t].gain != NULL,
                      .needed = table[t].needed};
        cr_expect_str_eq(dm_advice_name(dm_advise(&k)), dm_advice_name(table[t].want), "row %zu",
                         t);
    }
}

Test(advice, more_examples_decide)
{
    size_t at70 = dm_examples_to_decide(.7), at79 = dm_examples_to_decide(.79);
    cr_expect(at70 >= 80 && at70 <= 140, "%zu", at70);
    cr_expect(at79 > 1000, "%zu", at79);
    cr_expect_eq(dm_examples_to_decide(.8), 0);
    cr_expect(dm_examples_to_decide(.85) > 100, "it would lie between the two");
    cr_expect_str_eq(dm_fitting_optimizer(49, 300), "bootstrap_few_shot");
    cr_expect_str_eq(dm_fitting_optimizer(99, 300), "bootstrap_few_shot_with_random_search");
    cr_expect_str_eq(dm_fitting_optimizer(100, 49), "bootstrap_few_shot_with_random_search");
    cr_expect_str_eq(dm_fitting_optimizer(100, 50), "mipro_v2");
}

/* ---- data ---- */

static const dm_dataset *rows(const char *text)
{
    dm_dataset *d = NULL;
    dm_error err = {DM_OK, ""};
    cr_assert_eq(dm_dataset_parse(arena, "d.jsonl", dm_str_of(text), DM_JSON_LINES, &d, &err),
                 DM_OK, "%s", err.text);
    return d;
}

/* n rows by a printf format that takes the row's number, times over. */
static const dm_dataset *made(const char *format_even, const char *format_odd, int from, int n,
                              int of)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    for (int i = 0; i < n; i++) {
        char line[400];
        int k = from + i % of;
        snprintf(line, sizeof line, k % 2 ? format_odd : format_even, k, k);
        dm_buf_printf(&b, "%s\n", line);
    }
    const dm_dataset *d = rows(b.data);
    dm_buf_free(&b);
    return d;
}

#define GOOD "{\"id\": \"r%d\", \"q\": \"lovely soup %d\", \"a\": \"good\"}"
#define BAD  "{\"id\": \"r%d\", \"q\": \"cold soup %d\", \"a\": \"bad\"}"

static const dm_str q[] = {{"q", 1}}, a[] = {{"a", 1}};

static dm_findings look(const dm_dataset *train, const dm_dataset *val, const dm_dataset *test)
{
    dm_data d = {.sets = {train, val, test},
                 .inputs = q,
                 .n_inputs = 1,
                 .labels = a,
                 .n_labels = 1,
                 .exact = true,
                 .similar = true};
    return dm_data_look(arena, &d);
}

static const dm_finding *found(const dm_findings *f, const char *code)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->list[i].code, code) == 0)
            return &f->list[i];
    return NULL;
}

static void says(const dm_findings *f, const char *code, bool fix, const char *part)
{
    const dm_finding *x = found(f, code);
    cr_assert(x != NULL, "%s is not found", code);
    cr_expect_eq(x->fix, fix, "%s", code);
    cr_expect(strstr(x->text, part) != NULL, "%s: \"%s\" does not say \"%s\"", code, x->text, part);
}

Test(advice, nothing_wrong)
{
    dm_findings f = look(made(GOOD, BAD, 0, 60, 60), made(GOOD, BAD, 100, 40, 40),
                         made(GOOD, BAD, 200, 40, 40));
    for (size_t i = 0; i < f.n; i++)
        cr_expect(false, "%s: %s", f.list[i].code, f.list[i].text);
    cr_expect_eq(f.n_classes, 2);
    cr_expect_eq(f.sets[DM_TRAIN].distinct, 60);
    cr_expect_eq(f.classes[0].count[DM_TEST], 20);
}

Test(advice, leaks)
{
    dm_findings f =
        look(made(GOOD, BAD, 0, 60, 60), made(GOOD, BAD, 20, 60, 60), made(GOOD, BAD, 70, 40, 40));
    says(&f, "leak_validation", true,
         "40 of 60 validation examples are also in the training set: r20, r21, r22, ...");
    says(&f, "leak_test", true, "10 of 40 test examples are also in the validation set: r70");
    f = look(made(GOOD, BAD, 0, 60, 60), made(GOOD, BAD, 59, 60, 60), NULL);
    says(&f, "leak_validation", false,
         "1 of 60 validation examples is also in the training set: r59");
}

/* Case, blanks and the punctuation of sentences make no other example; signs and numbers do. */
Test(advice, the_same_but_for_case)
{
    const dm_dataset *train =
        rows("{\"q\": \"Is it  warm?\", \"a\": \"yes\"}\n{\"q\": \"7 - 3.5 = ?\", \"a\": \"3.5\"}\n"
             "{\"q\": \"is it warm\", \"a\": \"Yes\"}\n{\"q\": \"7 + 3.5 = ?\", \"a\": \"10.5\"}\n"
             "{\"q\": \"7 + 35 = ?\", \"a\": \"42\"}\n{\"q\": \"IS IT WARM\", \"a\": \"no\"}\n");
    dm_findings f = look(train, rows("{\"q\": \"‘Is it warm!’\", \"a\": \"yes\"}\n"), NULL);
    cr_expect_eq(f.sets[DM_TRAIN].distinct, 5);
    says(&f, "duplicates", false,
         "only 5 of 6 training examples are distinct; the others repeat them: row 3");
    says(&f, "leak_validation", true, "1 of 1 validation example is also");
    cr_expect(!found(&f, "contradictions"), "what differs in case may well differ in its label");
}

Test(advice, duplicates_and_contradictions)
{
    dm_findings f = look(made(GOOD, BAD, 0, 120, 10), made(GOOD, BAD, 100, 40, 40), NULL);
    says(&f, "duplicates", false, "only 10 of 120 training examples are distinct");
    f = look(made(GOOD, GOOD, 0, 40, 40), NULL, NULL);
    says(&f, "one_label", true, "all 40 training examples have the label good");
    f = look(rows("{\"id\": 1, \"q\": \"x\", \"a\": \"b\"}\n{\"id\": 2, \"q\": \"x\", \"a\": "
                  "\"c\"}\n{\"id\": 3, \"q\": \"y\", \"a\": \"c\"}\n"),
             NULL, NULL);
    says(&f, "contradictions", true,
         "1 input of the training set has two labels, 2 of 3 rows: 1, 2");
    cr_expect(!found(&f, "duplicates"));
}

/* Two labels of one input contradict each other where the metric takes them for two. */
Test(advice, labels_are_compared_as_the_metric_does)
{
    static const dm_str both[] = {{"a", 1}, {"b", 1}};
    static const struct {
        const char *x, *y; /* labels */
        size_t scored;
        bool exact;
        dm_label_as as;
        bool contradict;
    } table[] = {
        {"\"a\": {\"k\": 1, \"m\": \"x\"}", "\"a\": {\"m\": \"x\", \"k\": 1}", 1, true,
         DM_LABEL_AS_TEXT, false},
        {"\"a\": {\"k\": 1, \"m\": 2}", "\"a\": {\"k\": 2, \"m\": 1}", 1, true, DM_LABEL_AS_TEXT,
         true},
        {"\"a\": \"1,200\"", "\"a\": \"8 of 9 make it $1200.0.\"", 1, false, DM_LABEL_AS_NUMBER,
         false},
        {"\"a\": 5", "\"a\": \"-5\"", 1, false, DM_LABEL_AS_NUMBER, true},
        {"\"a\": \"1e3\"", "\"a\": 1000", 1, false, DM_LABEL_AS_NUMBER, false},
        {"\"a\": \"3-5\"", "\"a\": 5", 1, false, DM_LABEL_AS_NUMBER, false},
        {"\"a\": \".5\"", "\"a\": 0.5", 1, false, DM_LABEL_AS_NUMBER, false},
        {"\"a\": \"5\"", "\"a\": \"5.0\"", 1, true, DM_LABEL_AS_TEXT, true},
        {"\"a\": [\"u\", \"v\"]", "\"a\": [\"V\", \"u\"]", 1, true, DM_LABEL_AS_SET, false},
        {"\"a\": [\"u\", \"v\"]", "\"a\": [\"v\", \"u\"]", 1, true, DM_LABEL_AS_TEXT, true},
        {"\"a\": \"x\", \"b\": 1", "\"a\": \"x\", \"b\": 2", 1, true, DM_LABEL_AS_TEXT, false},
        {"\"a\": \"x\", \"b\": 1", "\"a\": \"x\", \"b\": 2", 0, false, DM_LABEL_AS_TEXT, true},
        {"\"a\": \"she went out to sea\"", "\"a\": \"out to sea she went\"", 1, false,
         DM_LABEL_AS_TEXT, false},
        {"\"a\": \"she went out to sea\"", "\"a\": \"out to sea she went\"", 1, true,
         DM_LABEL_AS_TEXT, true},
        /* the reason is prose, the label is not */
        {"\"a\": \"x\", \"b\": \"for it is so here\"",
         "\"a\": \"x\", \"b\": \"it can be no other\"", 0, false, DM_LABEL_AS_TEXT, false},
        {"\"a\": \"x\", \"b\": \"for it is so here\"",
         "\"a\": \"y\", \"b\": \"it can be no other\"", 0, false, DM_LABEL_AS_TEXT, true},
    };
    for (size_t t = 0; t < sizeof table / sizeof *table; t++) {
        dm_buf text;
        dm_buf_init(&text, DM_MAX_TEXT);
        dm_buf_printf(&text, "{\"q\": \"one\", %s}\n{\"q\": \"one\", %s}\n", table[t].x,
                      table[t].y);
        dm_data d = {.sets = {rows(text.data), NULL, NULL},
                     .inputs = q,
                     .n_inputs = 1,
                     .labels = both,
                     .n_labels = strstr(table[t].x, "\"b\"") ? 2 : 1,
                     .n_scored = table[t].scored,
                     .compared = table[t].as,
                     .exact = table[t].exact};
        dm_findings f = dm_data_look(arena, &d);
        cr_expect_eq(found(&f, "contradictions") != NULL, table[t].contradict, "row %zu", t);
        dm_buf_free(&text);
    }
}

#define ODD "{\"id\": \"t%d\", \"q\": \"warm beer %d\", \"a\": \"odd\"}"

Test(advice, labels_of_one_set)
{
    dm_findings f = look(made(GOOD, BAD, 0, 60, 60), made(GOOD, BAD, 100, 40, 40),
                         made(GOOD, ODD, 200, 40, 40));
    says(&f, "unseen_labels", true,
         "20 of 40 test examples have a label that the training set never has: odd");
    says(&f, "label_shares", true, "50 % of");
    f = look(made(GOOD, BAD, 0, 60, 60), made(GOOD, GOOD, 100, 40, 40),
             made(GOOD, BAD, 200, 40, 40));
    says(&f, "one_label_rules", true, "40 of 40 validation examples have the label good");
    f = look(made(GOOD, BAD, 0, 60, 60), made(GOOD, BAD, 100, 40, 40), NULL);
    cr_expect(!found(&f, "one_label_rules") && !found(&f, "label_shares"));
    f = look(made(GOOD, ODD, 0, 60, 60), made(GOOD, GOOD, 101, 40, 40), NULL);
    says(&f, "unscored_labels", false,
         "30 of 60 training examples have a label that the validation set never has: odd");
}

/* Numbers that come again are no classes, so that one that is new is no finding. */
Test(advice, numbers_are_no_classes)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    for (int i = 0; i < 300; i++)
        dm_buf_printf(&b, "{\"q\": \"case %d\", \"a\": \"%d\"}\n", i, i % 20);
    dm_findings f = look(rows(b.data), rows("{\"q\": \"n\", \"a\": \"77\"}\n"), NULL);
    cr_expect_eq(f.n_classes, 0);
    cr_expect(!found(&f, "unseen_labels"));
    dm_buf_free(&b);
}

Test(advice, prose_under_exact_match)
{
    dm_buf b, c;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_buf_init(&c, DM_MAX_TEXT);
    for (int i = 0; i < 30; i++) {
        dm_buf_printf(&b,
                      "{\"q\": \"sum up %d\", \"a\": \"one two three %d four five six seven eight "
                      "nine ten %d\"}\n",
                      i, i, i * 7);
        dm_buf_printf(&c,
                      "{\"q\": \"sort nine ten one two %d three four five six seven eight\", "
                      "\"a\": \"one two three four five six seven eight nine ten %d\"}\n",
                      i, i);
    }
    dm_findings f = look(rows(b.data), NULL, NULL);
    says(&f, "open_ended", true, "12 words at the median");
    f = look(rows(c.data), NULL, NULL);
    cr_expect(!found(&f, "open_ended"), "words that stand in the input are not written freely");
    dm_buf_free(&b);
    dm_buf_free(&c);
}

#define STORY "a man with a red hat walks slowly through the old town and looks for his lost dog "

Test(advice, nearly_the_same)
{
    const dm_dataset *train =
        rows("{\"id\": 1, \"q\": \"" STORY "every morning\", \"a\": \"x\"}\n"
             "{\"id\": 2, \"q\": \"" STORY "every evening\", \"a\": \"x\"}\n"
             "{\"id\": 3, \"q\": \"" STORY "at 7 every morning\", \"a\": \"x\"}\n"
             "{\"id\": 4, \"q\": \"quite another story of a woman who has neither hat nor dog nor "
             "a town\", \"a\": \"y\"}\n");
    dm_findings f =
        look(train, rows("{\"id\": 5, \"q\": \"" STORY "every day\", \"a\": \"x\"}\n"), NULL);
    says(&f, "near_duplicates", false,
         "1 of 4 training examples are nearly the same as an earlier one: 2");
    says(&f, "near_leak", false,
         "1 of 1 validation examples are nearly the same as an example of the training set: 5");
}

/* Case alone hides neither a leak nor, of many rows, labels that disagree; blanks hide nothing. */
Test(advice, labels_that_disagree_but_for_case)
{
    dm_buf b, v;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_buf_init(&v, DM_MAX_TEXT);
    for (int i = 0; i < 40; i++)
        dm_buf_printf(&b, "{\"q\": \"%s soup %d%s\", \"a\": \"%s\"}\n", i < 20 ? "Cold" : "cold",
                      i % 20, i < 20 ? "" : " !", i < 20 ? "good" : "bad");
    for (int i = 0; i < 10; i++)
        dm_buf_printf(&v, "{\"q\": \"COLD SOUP %d\", \"a\": \"good\"}\n", i);
    dm_findings f = look(rows(b.data), rows(v.data), NULL);
    says(&f, "near_contradictions", true, "40 of 40 training examples have the inputs of another");
    says(&f, "leak_validation", true, "10 of 10 validation examples are also in the training set");
    f = look(rows("{\"q\": \"a  b\", \"a\": \"x\"}\n{\"q\": \" a\\tb\", \"a\": \"y\"}\n"
                  "{\"q\": \"c\", \"a\": \"x\"}\n"),
             NULL, NULL);
    says(&f, "contradictions", true, "1 input of the training set has two labels, 2 of 3 rows");
    cr_expect(!found(&f, "near_contradictions"), "it is said once");
    dm_buf_free(&b);
    dm_buf_free(&v);
}

/* Of short labels another one says that case decides: such a row gives nothing away. Of prose it is
 * another wording. */
Test(advice, case_that_decides_is_no_leak)
{
    static const char *const labels[][2] = {{"lower", "upper"},
                                            {"it is a small cup of tea",
                                             "a cup of tea, and a small one"}};
    dm_buf b, v;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_buf_init(&v, DM_MAX_TEXT);
    for (int k = 0; k < 2; k++) {
        dm_buf_reset(&b);
        dm_buf_reset(&v);
        for (int i = 0; i < 20; i++) {
            dm_buf_printf(&b, "{\"q\": \"cup %d\", \"a\": \"%s\"}\n", i, labels[k][0]);
            dm_buf_printf(&v, "{\"q\": \"CUP %d\", \"a\": \"%s\"}\n", i, labels[k][1]);
        }
        dm_findings f = look(rows(b.data), rows(v.data), NULL);
        cr_expect_eq(found(&f, "leak_validation") != NULL, k == 1, "%s", labels[k][0]);
    }
    dm_buf_free(&b);
    dm_buf_free(&v);
}

#define HAN "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏"

/* Scripts without blanks, their punctuation, and accents in either form. */
Test(advice, other_scripts)
{
    dm_findings f = look(rows("{\"id\": 1, \"q\": \"" HAN "。\", \"a\": \"x\"}\n"
                              "{\"id\": 2, \"q\": \"" HAN "！\", \"a\": \"x\"}\n"
                              "{\"id\": 3, \"q\": \"" HAN "闰余\", \"a\": \"x\"}\n"
                              "{\"id\": 4, \"q\": \"caf\\u00e9\", \"a\": \"x\"}\n"
                              "{\"id\": 5, \"q\": \"كيف حالك؟\", \"a\": \"x\"}\n"),
                         rows("{\"id\": 6, \"q\": \"cafe\\u0301\", \"a\": \"x\"}\n"
                              "{\"id\": 7, \"q\": \"كيف حالك\", \"a\": \"x\"}\n"
                              "{\"id\": 8, \"q\": \"" HAN "成岁\", \"a\": \"x\"}\n"),
                         NULL);
    says(&f, "duplicates", false,
         "only 4 of 5 training examples are distinct; the others repeat them: 2");
    says(&f, "near_duplicates", false, "1 of 5 training examples are nearly");
    says(&f, "leak_validation", true,
         "2 of 3 validation examples are also in the training set: 6, 7");
    says(&f, "near_leak", false, "1 of 3 validation examples are nearly");
    dm_buf b, list;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_buf_init(&list, DM_MAX_TEXT);
    for (int i = 0; i < 30; i++) {
        dm_buf_printf(&b, "{\"q\": \"no. %d\", \"a\": \"" HAN "%d\"}\n", i, i);
        dm_buf_printf(&list, "{\"q\": \"no. %d\", \"a\": [\"%s %d\", \"x\"]}\n", i,
                      "one two three four five six seven eight nine ten", i);
    }
    f = look(rows(b.data), NULL, NULL);
    says(&f, "open_ended", true, "the labels are prose, 13 words");
    f = look(rows(list.data), NULL, NULL);
    says(&f, "open_ended", true, "the labels are prose, 11 words");
    dm_buf_free(&b);
    dm_buf_free(&list);
}

Test(advice, a_constant_answer_under_any_metric)
{
    const dm_dataset *train = made(GOOD, BAD, 0, 40, 40), *val = made(GOOD, GOOD, 100, 40, 40);
    dm_data d = {
        .sets = {train, val, NULL}, .inputs = q, .n_inputs = 1, .labels = a, .n_labels = 1};
    dm_findings f = dm_data_look(arena, &d);
    cr_expect(!found(&f, "one_label_rules"), "nothing is known of the metric");
    d.full = true;
    d.misfits[DM_VALIDATION] = 7;
    d.misfit[DM_VALIDATION] = 2;
    f = dm_data_look(arena, &d);
    says(&f, "one_label_rules", true, "40 of 40 validation examples have the label good");
    says(&f, "label_type", true, "7 of 40 validation labels are not of the output's type");
}

/* Test rows beside those of the validation set, too. */
Test(advice, nearly_the_validation_set)
{
    dm_findings f =
        look(NULL, rows("{\"id\": 1, \"q\": \"" STORY "every morning\", \"a\": \"x\"}\n"),
             rows("{\"id\": 2, \"q\": \"" STORY "every evening\", \"a\": \"x\"}\n"));
    says(&f, "near_leak", false,
         "1 of 1 test examples are nearly the same as an example of the validation set: 2");
}

/* ---- what init guesses ---- */

static dm_guess guessed(const dm_dataset *train)
{
    const dm_dataset *sets[DM_SETS] = {train, NULL, NULL};
    dm_error err = {DM_OK, ""};
    dm_guess g;
    cr_assert_eq(dm_guess_job(arena, sets, &g, &err), DM_OK, "%s", err.text);
    return g;
}

/* 60 rows by a format that takes the row's number twice. */
static dm_guess guessed_of(const char *even, const char *odd)
{
    return guessed(made(even, odd, 0, 60, 60));
}

Test(advice, guesses)
{
    static const struct {
        const char *even, *odd, *signature, *metric;
        bool thinks;
    } table[] = {
        {GOOD, BAD, "q -> a: Literal['bad', 'good']", "exact_match", false},
        {"{\"label\": \"yes\", \"text\": \"t %d\", \"n\": %d}",
         "{\"label\": \"no\", \"text\": \"t %d\", \"n\": %d}",
         "text -> label: Literal['no', 'yes']", "exact_match", true},
        {"{\"question\": \"is %d\", \"answer\": \"%d\"}",
         "{\"question\": \"is %d\", \"answer\": \"-%d,5\"}", "question -> answer", "numeric", true},
        {"{\"question\": \"is %d\", \"answer\": %d}", "{\"question\": \"is %d\", \"answer\": %d}",
         "question -> answer: int", "exact_match", true},
        {"{\"text\": \"t %d\", \"score\": %d}", "{\"text\": \"t %d\", \"score\": %d.5}",
         "text -> score: float", "numeric", true},
        {"{\"text\": \"t %d\", \"label\": true, \"n\": %d}",
         "{\"text\": \"t %d\", \"label\": false, \"n\": %d}", "text -> label: bool", "exact_match",
         false},
        {"{\"text\": \"t %d\", \"slots\": {\"a\": \"%d\"}}",
         "{\"text\": \"t %d\", \"slots\": {}, \"n\": %d}", "text -> slots: dict[str, str]",
         "json_fields", false},
        {"{\"question\": \"t %d\", \"answers\": [\"a %d\"]}",
         "{\"question\": \"t %d\", \"answers\": [\"b\", \"c %d\"]}", "question -> answers",
         "any_of", false},
        {"{\"question\": \"t %d\", \"answer\": \"name %d\"}",
         "{\"question\": \"t %d\", \"answer\": \"other %d\"}", "question -> answer",
         "answer_exact_match", false},
        {"{\"text\": \"t %d\", \"label\": \"it's\", \"n\": %d}",
         "{\"text\": \"t %d\", \"label\": \"that\", \"n\": %d}",
         "text -> label: Literal[\"it's\", 'that']", "exact_match", false},
        {"{\"id\": %d, \"first\": \"t %d\", \"last\": \"x\"}",
         "{\"id\": %d, \"first\": \"t %d\", \"last\": \"y\"}", "first -> last: Literal['x', 'y']",
         "exact_match", false},
        /* dates and versions are no numbers, thousands are */
        {"{\"text\": \"t %d\", \"due\": \"%d.01.2024\"}",
         "{\"text\": \"t %d\", \"due\": \"%d.2.0\"}", "text -> due", "answer_exact_match", false},
        {"{\"text\": \"t %d\", \"due\": \"%d,000.5\"}",
         "{\"text\": \"t %d\", \"due\": \"%d.000,5\"}", "text -> due", "numeric", true},
        /* what names the row is no input, and what names a class is no id */
        {"{\"ticket_id\": \"T-%d\", \"text\": \"t %d\", \"label\": \"x\"}",
         "{\"ticket_id\": \"T-%d\", \"text\": \"t %d\", \"label\": \"y\"}",
         "text -> label: Literal['x', 'y']", "exact_match", false},
        {"{\"text\": \"t %d\", \"kind\": \"x\", \"rowId\": %d}",
         "{\"text\": \"t %d\", \"kind\": \"y\", \"rowId\": %d}", "text -> kind: Literal['x', 'y']",
         "exact_match", false},
        {"{\"text\": \"t %d %d\", \"class_id\": \"c3\"}",
         "{\"text\": \"t %d %d\", \"class_id\": \"c4\"}", "text -> class_id: Literal['c3', 'c4']",
         "exact_match", false},
        /* the label is first */
        {"{\"v1\": \"ham\", \"v2\": \"t %d %d\"}", "{\"v1\": \"spam\", \"v2\": \"t %d %d\"}",
         "v2 -> v1: Literal['ham', 'spam']", "exact_match", false},
        {"{\"airline_sentiment\": \"bad\", \"text\": \"t %d\", \"city\": \"c %d\"}",
         "{\"airline_sentiment\": \"good\", \"text\": \"t %d\", \"city\": \"c %d\"}",
         "text -> airline_sentiment: Literal['bad', 'good']", "exact_match", false},
        {"{\"mood\": \"bad\", \"text\": \"t %d %d\"}",
         "{\"mood\": \"good\", \"text\": \"t %d %d\"}", "text -> mood: Literal['bad', 'good']",
         "exact_match", false},
    };
    for (size_t t = 0; t < sizeof table / sizeof *table; t++) {
        dm_guess g = guessed_of(table[t].even, table[t].odd);
        cr_expect_str_eq(g.signature, table[t].signature, "row %zu: %s", t, g.signature);
        cr_expect_str_eq(g.metric, table[t].metric, "row %zu: %s", t, g.metric);
        cr_expect_eq(g.thinks, table[t].thinks, "row %zu", t);
    }
}

/* rouge_l has no word in another script: each answer would score 0. */
Test(advice, prose_of_other_scripts)
{
    dm_guess g = guessed_of("{\"question\": \"t %d\", \"answer\": \"он пошёл в старый город и "
                            "искал там свою собаку с утра до вечера %d\"}",
                            "{\"question\": \"t %d\", \"answer\": \"она осталась дома и "
                            "ждала его весь день до самого вечера %d\"}");
    cr_expect_str_eq(g.metric, "f1");
    g = guessed_of(
        "{\"question\": \"t %d\", \"answer\": \"he went to the old town and looked for his dog "
        "until it was dark %d\"}",
        "{\"question\": \"t %d\", \"answer\": \"she stayed at home and waited for him for the "
        "whole day %d\"}");
    cr_expect_str_eq(g.metric, "rouge_l");
}

/* A column of nulls or of empty texts is there in name alone. */
Test(advice, empty_columns)
{
    cr_expect_str_eq(guessed_of("{\"text\": \"t %d\", \"kind\": \"x%d\", \"answer\": null}",
                                "{\"text\": \"t %d\", \"kind\": \"y%d\", \"answer\": \" \"}")
                         .signature,
                     "text -> kind");
}

/* A label that may have others beside it that did not come yet is a text. */
Test(advice, open_lists_are_texts)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    for (int i = 0; i < 60; i++)
        dm_buf_printf(&b, "{\"text\": \"t %d\", \"label\": \"kind %d\"}\n", i, i < 55 ? i % 5 : i);
    cr_expect_str_eq(guessed(rows(b.data)).signature, "text -> label");
    dm_buf_free(&b);
}

/* An empty label is none of the classes, and is told. */
Test(advice, empty_labels)
{
    static const char *const labels[] = {"", "a", "b"};
    dm_buf b, numbers;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_buf_init(&numbers, DM_MAX_TEXT);
    for (int i = 0; i < 60; i++) {
        dm_buf_printf(&b, "{\"text\": \"t %d\", \"label\": \"%s\"}\n", i, labels[i % 3]);
        dm_buf_printf(&numbers, "{\"text\": \"t %d\", \"label\": \"%.*d\"}\n", i, i % 9 ? 1 : 0,
                      i % 9 ? i : 0);
    }
    dm_guess g = guessed(rows(b.data));
    cr_expect_str_eq(g.signature, "text -> label: Literal['a', 'b']");
    cr_expect(strstr(g.why_columns, "In 20 rows the label is empty") != NULL, "%s", g.why_columns);
    cr_expect_str_eq(guessed(rows(numbers.data)).metric, "numeric");
    dm_buf_free(&b);
    dm_buf_free(&numbers);
}

/* However many columns there are. */
Test(advice, wide_tables)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    for (int i = 0; i < 20; i++) {
        dm_buf_printf(&b, "{\"text\": \"t %d\"", i);
        for (int k = 0; k < 200; k++)
            dm_buf_printf(&b, ", \"c%d\": %d", k, i * k);
        dm_buf_printf(&b, ", \"label\": \"%s\"}\n", i % 2 ? "a" : "b");
    }
    dm_guess g = guessed(rows(b.data));
    cr_expect_str_eq(g.label, "label");
    cr_expect_eq(g.n_inputs, 201);
    dm_buf_free(&b);
}

Test(advice, one_column_is_no_data)
{
    const dm_dataset *sets[DM_SETS] = {rows("{\"a\": 1}\n{\"a\": 2}\n"), NULL, NULL};
    dm_error err = {DM_OK, ""};
    dm_guess g;
    cr_expect_eq(dm_guess_job(arena, sets, &g, &err), DM_E_DATA);
    cr_expect(strstr(err.text, "no two columns") != NULL, "%s", err.text);
}
