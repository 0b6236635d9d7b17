/* Metrics: the built-in ones as a table, what they refuse, and commands with every way to
 * misbehave.
 */
#include "base/clock.h"
#include "base/log.h"
#include "cmd/columns.h"
#include "metrics.h"

#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <unistd.h>

static dm_metric *metric(dm_arena *a, const char *spec, const char *signature, const char *rows,
                         const char *file, dm_error *err)
{
    dm_at at = dm_at_root(json(a, spec), file, DM_E_JOB);
    const dm_dataset *set = rows ? dm_dataset_of(a, "train.jsonl", json(a, rows)) : NULL;
    return dm_metric_new(a, &at, program(a, signature), &set, set != NULL, err);
}

/* ---- built in ---- */

static const struct row {
    const char *spec, *signature, *example, *prediction;
    double score; /* NAN: an error that says text */
    const char *text;
} table[] = {
    {"\"answer_exact_match\"", "q -> answer", "{\"q\":1,\"answer\":\"Eiffel Tower\"}",
     "{\"answer\":\"the eiffel tower.\"}", 1, NULL},
    {"\"answer_exact_match\"", "q -> answer", "{\"answer\":[\"x\",\"Paris\"]}",
     "{\"answer\":\"paris\"}", 1, NULL},
    {"\"answer_exact_match\"", "q -> answer", "{\"answer\":\"Paris\"}",
     "{\"answer\":\"Paris, France\"}", 0, NULL},
    {"{\"name\":\"answer_exact_match\",\"frac\":0.6}", "q -> answer", "{\"answer\":\"Paris\"}",
     "{\"answer\":\"Paris, France\"}", 1, NULL},
    {"{\"name\":\"answer_exact_match\",\"frac\":0.7}", "q -> answer", "{\"answer\":\"Paris\"}",
     "{\"answer\":\"Paris, France\"}", 0, NULL},
    {"\"answer_exact_match\"", "q -> answer", "{\"answer\":5}", "{\"answer\":\"5\"}", NAN,
     "a string or a list"},
    {"\"exact_match\"", "q -> label", "{\"label\":\"Refund\"}", "{\"label\":\" refund \"}", 1,
     NULL},
    {"\"exact_match\"", "q -> label", "{\"label\":\"Refund\"}", "{\"label\":\"refund.\"}", 0, NULL},
    {"\"exact_match\"", "q -> n: int", "{\"n\":\"4\"}", "{\"n\":4}", 1, NULL},
    {"\"exact_match\"", "q -> b: bool", "{\"b\":true}", "{\"b\":true}", 1, NULL},
    {"\"exact_match\"", "q -> b: bool", "{\"b\":\"True\"}", "{\"b\":true}", 1, NULL},
    {"\"exact_match\"", "q -> b: bool", "{\"b\":false}", "{\"b\":true}", 0, NULL},
    {"\"f1\"", "q -> a", "{\"a\":\"the tower in paris\"}", "{\"a\":\"Paris\"}", 0.5, NULL},
    {"\"f1\"", "q -> a", "{\"a\":[\"no\",\"Paris\"]}", "{\"a\":\"Paris\"}", 1, NULL},
    {"\"hotpot_f1\"", "q -> answer", "{\"answer\":\"yes\"}", "{\"answer\":\"yes it is\"}", 0, NULL},
    {"\"answer_passage_match\"", "q -> context: list[str]", "{\"answer\":\"Mont Blanc\"}",
     "{\"context\":[\"Nothing.\",\"The Mont-Blanc\",\"on Mont Blanc.\"]}", 1, NULL},
    {"\"answer_passage_match\"", "q -> context: list[str]", "{\"answer\":\"Mont Blanc\"}",
     "{\"context\":[\"blanc mont\",\"montblanc\"]}", 0, NULL},
    {"\"rouge_l\"", "q -> a", "{\"a\":\"The cat sat.\"}", "{\"a\":\"the dog sat\"}", 2.0 / 3, NULL},
    {"\"rouge_l\"", "q -> a", "{\"a\":[\"none\",\"sat\"]}", "{\"a\":\"(sat)\"}", 1, NULL},
    {"\"contains\"", "q -> a", "{\"a\":\"42\"}", "{\"a\":\"It is 42.\"}", 1, NULL},
    {"\"contains\"", "q -> a", "{\"a\":\"42\"}", "{\"a\":\"It is 4 2.\"}", 0, NULL},
    {"{\"name\":\"regex\",\"pattern\":\"^\\\\d{4}$\"}", "q -> a", "{\"a\":\"\"}",
     "{\"a\":\"2024\"}", 1, NULL},
    {"{\"name\":\"regex\",\"pattern\":\"^\\\\d{4}$\"}", "q -> a", "{\"a\":\"\"}",
     "{\"a\":\"20245\"}", 0, NULL},
    {"\"regex\"", "q -> a", "{\"a\":\"gr[ae]y\"}", "{\"a\":\"a grey one\"}", 1, NULL},
    {"\"regex\"", "q -> a", "{\"a\":\"(a+)+$\"}",
     "{\"a\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\"}", NAN, "too long"},
    {"\"numeric\"", "q -> a", "{\"a\":\"#### 1,234\"}", "{\"a\":\"so it is $1234.00\"}", 1, NULL},
    {"\"numeric\"", "q -> a", "{\"a\":-3}", "{\"a\":\"minus: -3\"}", 1, NULL},
    {"\"numeric\"", "q -> a", "{\"a\":3}", "{\"a\":\"5-3\"}", 1, NULL},
    {"\"numeric\"", "q -> a", "{\"a\":1500}", "{\"a\":\"1.5e3\"}", 1, NULL},
    {"\"numeric\"", "q -> a", "{\"a\":3}", "{\"a\":\"none\"}", 0, NULL},
    {"\"numeric\"", "q -> a", "{\"a\":\"none\"}", "{\"a\":\"3\"}", NAN, "no number in the label"},
    {"{\"name\":\"numeric\",\"tolerance\":0.05}", "q -> a: float", "{\"a\":1.0}", "{\"a\":1.05}", 1,
     NULL},
    {"{\"name\":\"numeric\",\"tolerance\":0.05}", "q -> a: float", "{\"a\":1.0}", "{\"a\":1.06}", 0,
     NULL},
    {"\"json_fields\"", "q -> a: dict", "{\"a\":{\"x\":1,\"y\":\"B\",\"z\":[1]}}",
     "{\"a\":{\"x\":1.0,\"y\":\" b\",\"z\":[2],\"w\":0}}", 2.0 / 3, NULL},
    {"\"json_fields\"", "q -> a", "{\"a\":\"{\\\"x\\\": 1}\"}", "{\"a\":\"say {'x': 1}\"}", 1,
     NULL},
    {"\"json_fields\"", "q -> a", "{\"a\":\"{\\\"x\\\": 1}\"}", "{\"a\":\"no idea\"}", 0, NULL},
    {"\"any_of\"", "q -> a", "{\"a\":[\"x\",\"Y\"]}", "{\"a\":\"y \"}", 1, NULL},
    {"\"any_of\"", "q -> a", "{\"a\":[\"x\",\"Y\"]}", "{\"a\":\"z\"}", 0, NULL},
#define SAME(spec, type, label, output)                                                            \
    {                                                                                              \
        "\"" spec "\"", "q -> a: " type, "{\"a\":" label "}", "{\"a\":" output "}", 1, NULL        \
    }
#define OTHER(spec, type, label, output)                                                           \
    {                                                                                              \
        "\"" spec "\"", "q -> a: " type, "{\"a\":" label "}", "{\"a\":" output "}", 0, NULL        \
    }
    /* Labels of another type than the output, as JSON, CSV and pandas have them. */
    SAME("exact_match", "float", "1", "1.0"),
    SAME("exact_match", "float", "\"1\"", "1.0"),
    SAME("exact_match", "float", "\" 1e2 \"", "100.0"),
    OTHER("exact_match", "float", "1", "1.5"),
    SAME("exact_match", "int", "1.0", "1"),
    SAME("exact_match", "int", "\"1.0\"", "1"),
    SAME("exact_match", "int", "true", "1"),
    OTHER("exact_match", "int", "1.5", "1"),
    SAME("exact_match", "bool", "1", "true"),
    SAME("exact_match", "bool", "0.0", "false"),
    SAME("exact_match", "bool", "\"yes\"", "true"),
    SAME("exact_match", "bool", "\"FALSE\"", "false"),
    OTHER("exact_match", "bool", "0", "true"),
    OTHER("exact_match", "bool", "\"no\"", "true"),
    SAME("exact_match", "list[str]", "\"[\\\"a\\\",\\\"b\\\"]\"", "[\"a\",\"b\"]"),
    SAME("exact_match", "list[str]", "\"['a', 'b']\"", "[\"a\",\"b\"]"),
    SAME("exact_match", "list[str]", "[\"A\"]", "[\"a\"]"),
    SAME("exact_match", "list[float]", "[1, 2]", "[1.0, 2.0]"),
    OTHER("exact_match", "list[str]", "[\"b\",\"a\"]", "[\"a\",\"b\"]"),
    SAME("exact_match", "set[int]", "[2, 1, 2]", "[1, 2]"),
    SAME("exact_match", "set[str]", "\"['b', 'a']\"", "[\"a\",\"b\"]"),
    OTHER("exact_match", "set[int]", "[2, 3]", "[1, 2]"),
    SAME("exact_match", "tuple[int, str]", "\"[1, 'x']\"", "[1, \"x\"]"),
    SAME("exact_match", "dict[str, float]", "\"{\\\"x\\\": 1}\"", "{\"x\": 1.0}"),
    SAME("exact_match", "dict[str, set[int]]", "{\"y\": [], \"x\": [2, 1]}",
         "{\"x\": [1, 2], \"y\": []}"),
    OTHER("exact_match", "dict[str, int]", "{\"x\": 1}", "{\"x\": 1, \"y\": 2}"),
    SAME("exact_match", "Literal['1', '2']", "1", "\"1\""),
    SAME("exact_match", "Literal['1', '2']", "2.0", "\"2\""),
    SAME("exact_match", "Literal[1, 2]", "\"2\"", "2"),
    SAME("exact_match", "Literal[1, 2]", "2.0", "2"),
    SAME("exact_match", "Literal['yes', 'no']", "\" 'yes' \"", "\"yes\""),
    OTHER("exact_match", "Literal['1', '2']", "1", "\"2\""),
    SAME("exact_match", "Optional[int]", "\"\"", "null"),
    SAME("exact_match", "Optional[int]", "\"3\"", "3"),
    SAME("exact_match", "Optional[float]", "3", "3.0"),
    SAME("exact_match", "Optional[str]", "\"\"", "null"),
    SAME("exact_match", "Optional[str]", "5", "\"5\""),
    OTHER("exact_match", "Optional[int]", "\"\"", "0"),
    SAME("exact_match", "int | list[int]", "\"[1]\"", "[1]"),
    SAME("exact_match", "str", "5", "\"5\""),
    SAME("exact_match", "str", "5.0", "\"5\""),
    SAME("exact_match", "str", "1234567890123456789012", "\"1234567890123456789012\""),
    OTHER("exact_match", "str", "5", "\"6\""),
    OTHER("exact_match", "str", "\"5.0\"", "\"5\""),
    SAME("any_of", "float", "[1, 2]", "2.0"),
    SAME("any_of", "float", "1", "1.0"),
    SAME("any_of", "Literal['1', '2']", "[1, 2]", "\"2\""),
    SAME("any_of", "list[int]", "[[1], [2]]", "[2]"),
    SAME("any_of", "list[int]", "\"[1, 2]\"", "[1, 2]"),
    OTHER("any_of", "float", "[1, 2]", "3.0"),
    SAME("f1", "float", "1", "1.0"),
    SAME("f1", "list[str]", "\"['a b', 'c']\"", "[\"a b\",\"c\"]"),
    SAME("rouge_l", "bool", "\"yes\"", "true"),
    SAME("contains", "bool", "1", "true"),
    SAME("numeric", "float", "\"1,234.5\"", "1234.5"),
    SAME("json_fields", "dict[str, float]", "\"{'x': 1}\"", "{\"x\": 1.0}"),
    SAME("json_fields", "dict", "{\"x\": \"1.0\"}", "{\"x\": 1}"),
    {"{\"name\":\"f1\",\"field\":\"b\"}", "q -> a, b", "{\"a\":\"1\",\"b\":\"u v\"}",
     "{\"a\":\"2\",\"b\":\"u v\"}", 1, NULL},
};

Test(metric, built_in)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct row *r = &table[i];
        dm_arena *a = dm_arena_new(0);
        dm_error err = {DM_OK, ""};
        got g = {.n = 0};
        dm_value *rows = dm_value_list(a);
        dm_value_append(a, rows, json(a, r->example));
        const dm_dataset *set = dm_dataset_of(a, "train.jsonl", rows);
        dm_at at = dm_at_root(json(a, r->spec), "job.json", DM_E_JOB);
        const dm_program *p = program(a, r->signature);
        dm_metric *m = dm_metric_new(a, &at, p, &set, 1, &err);
        cr_assert_not_null(m, "row %zu: %s", i, err.text);
        dm_metric_submit(m, json(a, r->example), json(a, r->prediction), NULL, 0, p, take, &g);
        cr_expect_eq(g.n, 1);
        cr_expect_eq(g.ok, !isnan(r->score), "row %zu: %s", i, g.text);
        if (g.ok)
            cr_expect_float_eq(g.score, r->score, 1e-15, "row %zu: %.17g", i, g.score);
        else
            cr_expect_not_null(strstr(g.text, r->text ? r->text : "?"), "row %zu: %s", i, g.text);
        dm_metric_free(m);
        dm_arena_free(a);
    }
}

/* ---- columns of a CSV ---- */

static void keep_line(void *user, dm_level level, const char *line)
{
    if (level == DM_WARN)
        dm_buf_printf(user, "%s\n", line);
}

Test(metric, columns_of_text_take_the_signatures_types)
{
    static const char signature[] = "q, n: int, c: list[str] -> a: float, b: bool, o: "
                                    "Optional[int], l: Literal['1', '2'], x: int",
                      text[] = "q,n,c,a,b,o,l,x,extra\n"
                               "1,7,\"['u', 'v']\",1,TRUE,,1,1,5\n"
                               "2,8,[],0.5,no,3,2,one,6\n"
                               "3,9,\"[\"\"w\"\"]\",2,0,4,1,two,7\n";
    dm_arena *a = dm_arena_new(0);
    dm_error err = {DM_OK, ""};
    dm_dataset *set;
    dm_buf said, rows;
    dm_buf_init(&said, 10000);
    dm_buf_init(&rows, 10000);
    dm_log_set(keep_line, &said, DM_WARN);
    cr_assert_eq(dm_dataset_parse(a, "d.csv", DM_STR(text), DM_CSV, &set, &err), DM_OK);
    const dm_dataset *typed = dm_columns_typed(a, program(a, signature), set);
    dm_json_write(&rows, typed->examples[0].row, DM_JSON_COMPACT);
    dm_json_write(&rows, typed->examples[1].row, DM_JSON_COMPACT);
    cr_expect_str_eq(rows.data,
                     "{\"q\":\"1\",\"n\":7,\"c\":[\"u\",\"v\"],\"a\":1.0,\"b\":true,\"o\":null,"
                     "\"l\":\"1\",\"x\":\"1\",\"extra\":\"5\"}"
                     "{\"q\":\"2\",\"n\":8,\"c\":[],\"a\":0.5,\"b\":false,\"o\":3,\"l\":\"2\","
                     "\"x\":\"one\",\"extra\":\"6\"}");
    cr_expect_str_eq(said.data,
                     "d.csv: the column \"x\" is left as text: 2 of 3 cells are not of type int, "
                     "first in row 2: \"one\"\n");
    cr_expect_eq(dm_columns_typed(a, program(a, "q, n -> a"), set), set, "texts stay as they are");
    cr_expect_eq(dm_columns_typed(a, program(a, signature), typed), typed, "and so does JSON");
    dm_log_set(NULL, NULL, DM_WARN);
    dm_buf_free(&said);
    dm_buf_free(&rows);
    dm_arena_free(a);
}

Test(metric, refusals)
{
    static const struct {
        const char *spec, *signature, *rows, *says;
    } refused[] = {
        {"\"exact_mach\"", "q -> a", "[{\"a\":1}]", "did you mean \"exact_match\"?"},
        {"\"perplexity\"", "q -> a", "[{\"a\":1}]",
         "there are answer_exact_match, exact_match, f1, hotpot_f1, rouge_l, "
         "answer_passage_match, "},
        {"\"answer_passage_match\"", "q -> a", "[{\"a\":1,\"answer\":2}]",
         "answer_passage_match needs an output \"context\""},
        {"{\"name\":\"numeric\",\"tolerance\":-1}", "q -> a", "[{\"a\":1}]", "a number from 0"},
        {"{\"name\":\"answer_exact_match\",\"frac\":2}", "q -> answer", "[{\"answer\":1}]",
         "a number from 0 to 1"},
        {"{\"name\":\"f1\",\"feild\":\"a\"}", "q -> a", "[{\"a\":1}]", "\"field\""},
        {"{\"name\":\"f1\",\"tolerance\":1}", "q -> a", "[{\"a\":1}]", "tolerance"},
        {"{\"name\":\"regex\",\"pattern\":\"(\"}", "q -> a", "[{\"a\":1}]", "pattern"},
        {"\"exact_match\"", "q -> a, b", "[{\"a\":1,\"b\":2}]", "several labels"},
        {"\"exact_match\"", "q -> a", "[{\"c\":1}]", "no column of the data"},
        {"{\"name\":\"f1\",\"field\":\"c\"}", "q -> a", "[{\"c\":1}]", "not an output"},
        {"\"exact_match\"", "q -> a", "[{\"a\":1},{\"c\":1}]",
         "train.jsonl: example 2 has no column \"a\""},
        {"\"answer_exact_match\"", "q -> answer: int", "[{\"answer\":1}]", "use exact_match"},
        {"{\"field\":\"a\"}", "q -> a", "[{\"a\":1}]", "a name, a command or a library"},
        {"{\"command\":\"python3 m.py\"}", "q -> a", NULL, "a list"},
        {"{\"command\":[]}", "q -> a", NULL, "missing"},
        {"{\"command\":[\"no-such-program-here\"]}", "q -> a", NULL,
         "no program \"no-such-program-here\""},
        {"{\"command\":[\"sh\"],\"processes\":0}", "q -> a", NULL, "processes"},
        {"{\"command\":[\"sh\"],\"time_out\":1}", "q -> a", NULL, "\"timeout\""},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        dm_arena *a = dm_arena_new(0);
        dm_error err = {DM_OK, ""};
        dm_metric *m =
            metric(a, refused[i].spec, refused[i].signature, refused[i].rows, "job.json", &err);
        cr_expect_null(m, "row %zu was taken", i);
        cr_expect_not_null(strstr(err.text, refused[i].says), "row %zu: %s", i, err.text);
        dm_arena_free(a);
    }
}

/* ---- commands ---- */

static void wait_for(dm_metric *m, const got *g, size_t n_done, size_t n)
{
    double end = dm_now() + 20;
    for (;;) {
        size_t done = 0;
        for (size_t i = 0; i < n; i++)
            done += g[i].n > 0;
        if (done >= n_done)
            return;
        cr_assert(dm_now() < end, "%zu of %zu scores came", done, n_done);
        dm_wait_fd fds[16];
        size_t n_fds = dm_metric_fds(m, fds, 16);
        double left = dm_metric_due(m) - dm_now();
        left = left > 0 ? left : 0;
        fd_set set;
        int top = -1;
        FD_ZERO(&set);
        for (size_t i = 0; i < n_fds; i++) {
            FD_SET(fds[i].fd, &set);
            top = fds[i].fd > top ? fds[i].fd : top;
        }
        left = fmin(left, 5);
        struct timeval t = {.tv_sec = (time_t)left, .tv_usec = (suseconds_t)(fmod(left, 1) * 1e6)};
        select(top + 1, &set, NULL, NULL, &t);
        dm_metric_poll(m);
    }
}

static dm_metric *shell(dm_arena *a, const char *script, const char *options)
{
    dm_value *d = dm_value_copy(a, json(a, options)), *list = dm_value_list(a);
    dm_error err = {DM_OK, ""};
    dm_value_append(a, list, dm_value_text(a, "sh"));
    dm_value_append(a, list, dm_value_text(a, "-c"));
    dm_value_append(a, list, dm_value_text(a, script));
    dm_value_set(a, d, DM_STR("command"), list);
    dm_at at = dm_at_root(d, "job.json", DM_E_JOB);
    dm_metric *m = dm_metric_new(a, &at, program(a, "q -> a"), NULL, 0, &err);
    cr_assert_not_null(m, "%s", err.text);
    return m;
}

static void ask(dm_arena *a, dm_metric *m, const char *q, got *g)
{
    dm_value *d = dm_value_dict(a);
    dm_value_set(a, d, DM_STR("q"), dm_value_text(a, q));
    dm_metric_submit(m, d, json(a, "{\"a\":\"x\"}"), NULL, 0, program(a, "q -> a"), take, g);
}

/* Each script sees three questions, one, two and three. */
Test(metric, commands)
{
    static const struct {
        const char *script, *options;
        double score[3];
        const char *says; /* in the error of what has no score */
    } rows[] = {
        {"while read -r l; do echo '{\"score\": true}'; done", "{}", {1, 1, 1}, NULL},
        {"while read -r l; do case $l in *two*) echo '{\"score\": 0.25}';; *) echo '{\"score\": 0, "
         "\"error\": null}';; esac; done",
         "{}",
         {0, 0.25, 0},
         NULL},
        {"while read -r l; do echo noise; echo '{\"progress\": 1}'; echo '{\"score\": 1}'; done",
         "{}",
         {1, 1, 1},
         NULL},
        {"while read -r l; do case $l in *two*) echo '{\"error\": \"odd input\"}';; *) echo "
         "'{\"score\": 1}';; esac; done",
         "{}",
         {1, NAN, 1},
         "odd input"},
        {"while read -r l; do echo '{\"score\": 2}'; done", "{}", {NAN, NAN, NAN}, "from 0 to 1"},
        {"while read -r l; do echo '{\"score\": \"1\"}'; done",
         "{}",
         {NAN, NAN, NAN},
         "not a number"},
        /* dies of one example only: the others get theirs, from a new child */
        {"while read -r l; do case $l in *two*) echo 'last words' >&2; exit 1;; *) echo "
         "'{\"score\": 1}';; esac; done",
         "{}",
         {1, NAN, 1},
         "its last words: last words"},
        /* ends after each answer: nobody suffers for it */
        {"read -r l; echo '{\"score\": 0.5}'", "{}", {0.5, 0.5, 0.5}, NULL},
        {"while read -r l; do case $l in *two*) exec sleep 100;; *) echo '{\"score\": 1}';; esac; "
         "done",
         "{\"timeout\": 2}",
         {1, NAN, 1},
         "did not answer within 2 s"},
        /* takes longer than that to load what it imports, and is not blamed for it */
        {"sleep 2.5; while read -r l; do echo '{\"score\": 1}'; done",
         "{\"timeout\": 2}",
         {1, 1, 1},
         NULL},
        /* a fork holds the pipes when the child itself is gone */
        {"sleep 100 & exit 3", "{}", {NAN, NAN, NAN}, "ended before it answered"},
        /* answers twice at once: the second one is nobody's */
        {"while read -r l; do case $l in *one*) printf '{\"score\": 1}\\n{\"score\": 1}\\n';; *) "
         "echo '{\"score\": 0}';; esac; done",
         "{}",
         {1, 0, 0},
         NULL},
        /* more on stderr than a pipe holds */
        {"while read -r l; do head -c 300000 /dev/zero | tr '\\0' x >&2; echo '{\"score\": 1}'; "
         "done",
         "{}",
         {1, 1, 1},
         NULL},
        {"while read -r l; do echo '{\"score\": 1}'; done", "{\"processes\": 3}", {1, 1, 1}, NULL},
        {"printf 'caf\\351 \\377' >&2; exit 1", "{}", {NAN, NAN, NAN}, "caf\\xe9 \\xff"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_arena *a = dm_arena_new(0);
        dm_metric *m = shell(a, rows[i].script, rows[i].options);
        got g[3] = {{.n = 0}};
        ask(a, m, "one", &g[0]);
        ask(a, m, "two", &g[1]);
        ask(a, m, "three", &g[2]);
        wait_for(m, g, 3, 3);
        for (int k = 0; k < 3; k++) {
            cr_expect_eq(g[k].n, 1);
            cr_expect_eq(g[k].ok, !isnan(rows[i].score[k]), "row %zu, %d: %s", i, k, g[k].text);
            if (g[k].ok)
                cr_expect_eq(g[k].score, rows[i].score[k], "row %zu, %d: %g", i, k, g[k].score);
            else
                cr_expect_not_null(strstr(g[k].text, rows[i].says ? rows[i].says : "?"),
                                   "row %zu, %d: %s", i, k, g[k].text);
        }
        dm_metric_free(m);
        dm_arena_free(a);
    }
}

Test(metric, command_sees_no_key_and_no_rank)
{
    setenv("OPENAI_API_KEY", "sk-none-of-its-business", 1);
    setenv("OMPI_COMM_WORLD_RANK", "3", 1);
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    setenv("PMIX_RANK", "3", 1);
    setenv("MPI_LOCALRANKID", "3", 1);
    setenv("HYDI_CONTROL_FD", "9", 1);
    setenv("I_MPI_HYDRA_UUID", "x", 1);
    setenv("PLAIN", "stays", 1);
    dm_arena *a = dm_arena_new(0);
    dm_metric *m = shell(a,
                         "while read -r l; do echo \"{\\\"error\\\": \\\"$OPENAI_API_KEY|"
                         "$OMPI_COMM_WORLD_RANK|$PMIX_RANK$MPI_LOCALRANKID$HYDI_CONTROL_FD$I_MPI_"
                         "HYDRA_UUID|$OMPI_ALLOW_RUN_AS_ROOT|$PLAIN\\\"}\"; "
                         "done",
                         "{}");
    got g = {.n = 0};
    ask(a, m, "one", &g);
    wait_for(m, &g, 1, 1);
    cr_expect_str_eq(g.text, "|||1|stays");
    dm_metric_free(m);
    dm_arena_free(a);
}

/* Sockets of MPI are not closed by an exec: the guard does it, whatever the C library can do. */
Test(metric, command_has_three_descriptors)
{
    for (int fd = 200; fd < 203; fd++)
        cr_assert_eq(dup2(0, fd), fd);
    dm_arena *a = dm_arena_new(0);
    dm_metric *m = shell(a,
                         "while read -r l; do s=; for f in 0 1 2 3 4 5 6 7 8 9 200 201 202; do "
                         "[ ! -e /proc/$$/fd/$f ] || s=\"$s $f\"; "
                         "[ $f -lt 9 ] || [ ! -e /proc/$PPID/fd/$f ] || s=\"$s guard:$f\"; done; "
                         "echo \"{\\\"error\\\": \\\"$s\\\"}\"; done",
                         "{}");
    got g = {.n = 0};
    ask(a, m, "one", &g);
    wait_for(m, &g, 1, 1);
    cr_expect_str_eq(g.text, "0 1 2");
    dm_metric_free(m);
    dm_arena_free(a);
}

static void starts_with(const char *text, const char *start)
{
    cr_expect(strncmp(text, start, strlen(start)) == 0, "%s", text);
}

/* The trace is null when nothing is bootstrapped, else the steps with their predictor's name. */
Test(metric, command_is_asked_in_lines)
{
    dm_arena *a = dm_arena_new(0);
    dm_metric *m = shell(a,
                         "while read -r l; do echo \"$l\" | sed 's/\"/./g; s/.*/{\"error\": "
                         "\"&\"}/'; done",
                         "{}");
    got g[2] = {{.n = 0}};
    dm_step step = {.inputs = json(a, "{\"q\":\"é\"}"), .outputs = json(a, "{\"a\":1}")};
    ask(a, m, "one", &g[0]);
    dm_metric_submit(m, json(a, "{\"q\":\"é\"}"), json(a, "{\"a\":1}"), &step, 1,
                     program(a, "q -> a"), take, &g[1]);
    wait_for(m, g, 2, 2);
    starts_with(g[0].text,
                "{.example.: {.q.: .one.}, .prediction.: {.a.: .x.}, .trace.: null, .id.: ");
    starts_with(g[1].text,
                "{.example.: {.q.: .é.}, .prediction.: {.a.: 1}, .trace.: [{.predictor.: .., "
                ".inputs.: {.q.: .é.}, .outputs.: {.a.: 1}}], .id.: ");
    cr_expect_str_neq(strstr(g[0].text, ".id.: "), strstr(g[1].text, ".id.: "));
    dm_metric_free(m);
    dm_arena_free(a);
}

/* What the child forked ends with it, at a time-out and at the end. */
Test(metric, command_leaves_nothing_behind)
{
    dm_arena *a = dm_arena_new(0);
    dm_metric *m = shell(a,
                         "while read -r l; do sleep 1000 & echo \"{\\\"error\\\": "
                         "\\\"$!\\\"}\"; done",
                         "{}");
    got g = {.n = 0};
    ask(a, m, "one", &g);
    wait_for(m, &g, 1, 1);
    pid_t forked = (pid_t)strtol(g.text, NULL, 10);
    cr_assert(forked > 1 && kill(forked, 0) == 0);
    dm_metric_free(m);
    char path[64], state = 'R';
    snprintf(path, sizeof path, "/proc/%d/stat", (int)forked);
    for (double end = dm_now() + 5; dm_now() < end;) { /* gone, or dead and not yet collected */
        FILE *f = fopen(path, "r");
        if (!f || fscanf(f, "%*d %*s %c", &state) != 1)
            state = 'Z';
        if (f)
            fclose(f);
        if (state == 'Z')
            break;
    }
    cr_expect_eq(state, 'Z');
    dm_arena_free(a);
}

static double cpu(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* At most 150 us of ours a score (twice that here: sanitizers). Others on the machine make the same
 * work take more, so the least of five rounds counts. */
Test(metric, command_costs_little)
{
    enum { N = 400, ROUNDS = 5 };
    dm_arena *a = dm_arena_new(0);
    dm_metric *m = shell(a, "exec sed -u 's/.*/{\"score\": 1}/'", "{}");
    got *g = dm_alloc_n(N * ROUNDS, sizeof *g);
    double each = INFINITY;
    for (size_t r = 0; r < ROUNDS; r++) {
        double from = cpu();
        for (size_t i = r * N; i < (r + 1) * N; i++)
            ask(a, m, "A question of usual length, about a kettle that did not arrive in time.",
                &g[i]);
        for (size_t i = r * N; i < (r + 1) * N; i++)
            wait_for(m, &g[i], 1, 1);
        each = fmin(each, (cpu() - from) / N);
    }
    cr_log_info("%.0f us of CPU a score", 1e6 * each);
    cr_expect(each < 300e-6, "%.0f us of CPU a score", 1e6 * each);
    free(g);
    dm_metric_free(m);
    dm_arena_free(a);
}
