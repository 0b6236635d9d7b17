/* What json_repair 0.64.6 makes of damaged JSON, row by row as it answered (contract 3.4). */
#include "json/json.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *text, *want; /* want: as Python's json.dumps writes it */
} rows[] = {
    {"{\"city\": \"Oslo\", \"note\": \"the \"old\" town\", \"n\": 3}",
     "{\"city\": \"Oslo\", \"note\": \"the \\\"old\\\" town\", \"n\": 3}"},
    {"{\"city\": \"Oslo\", \"note\": \"they call it \"old\"\"}",
     "{\"city\": \"Oslo\", \"note\": \"they call it \\\"old\\\"\"}"},
    {"{\"note\": \"5\" wide, not 6\", \"n\": 3}", "{\"note\": \"5\\\" wide, not 6\", \"n\": 3}"},
    {"{\"note\": \"say \"go\", then wait\", \"n\": 3}",
     "{\"note\": \"say \\\"go\\\", then wait\", \"n\": 3}"},
    {"{\"note\": \"use {\"k\": 1} here\", \"n\": 3}",
     "{\"note\": \"use {\\\"k\\\": 1} here\", \"n\": 3}"},
    {"{\"note\": \"a \"b\" and \"c\" d\"}", "{\"note\": \"a \\\"b\\\" and \\\"c\\\" d\"}"},
    {"{\"note\": \"\"Go\" is a game\", \"n\": 1}",
     "{\"note\": \"\\\"Go\\\" is a game\", \"n\": 1}"},
    {"{\"\"city\": \"Oslo\", \"n\": 3}", "{\"city\": \"Oslo\", \"n\": 3}"},
    {"{\"city\"\": \"Oslo\", \"n\": 3}", "{\"city\": \"Oslo\", \"n\": 3}"},
    {"{\"city\": \"\"Oslo\", \"n\": 3}", "{\"city\": \"Oslo\", \"n\": 3}"},
    {"{\"city\": \"Oslo, \"n\": 3}", "{\"city\": \"Oslo\", \"n\": 3}"},
    {"{\"city\": \"Oslo, Bergen, \"n\": 3}", "{\"city\": \"Oslo\", \"n\": 3}"},
    {"{\"city\": Oslo\", \"n\": 3}", "{\"city\": \"Oslo\", \"n\": 3}"},
    {"{\"city\": \"Oslo\" (Norway), \"n\": 3}", "{\"city\": \"Oslo\", \"n\": 3}"},
    {"{\"city\": \"Oslo\" \"n\": 3}", "{\"city\": \"Oslo\", \"n\": 3}"},
    {"{\"city\": \"Oslo\"\n\"n\": 3}", "{\"city\": \"Oslo\", \"n\": 3}"},
    {"{\"city\": \"Oslo\" # the capital\n, \"n\": 3}", "{\"city\": \"Oslo\", \"n\": 3}"},
    {"{\"city\": Oslo, \"n\": 3}", "{\"city\": \"Oslo\", \"n\": 3}"},
    {"{\"city\": Oslo, n: 3}", "{\"city\": \"Oslo\", \"n\": 3}"},
    {"{city: Oslo in Norway, n: 3}", "{\"city\": \"Oslo in Norway\", \"n\": 3}"},
    {"{\"city\": Oslo, Bergen, \"n\": 3}", "{\"city\": \"Oslo\", \"n\": 3}"},
    {"{\"tex\": \\frac{1}{2} of it, \"n\": 3}", "{\"tex\": \"frac{1}{2} of it\", \"n\": 3}"},
    {"{\"url\": http://x.org/a?b=1, \"n\": 3}", "{\"url\": \"http://x.org/a?b=1\", \"n\": 3}"},
    {"{\"city: \"Oslo\", \"n\": 3}", "{\"city\": \"Oslo\", \"n\": 3}"},
    {"{\"n: 3}", "{\"n\": 3}"},
    {"{\"city\" \"Oslo\", \"n\": 3}", "{\"city\": \"Oslo\", \"n\": 3}"},
    {"{\"n\":: 3}", "{\"n\": 3}"},
    {"{\"n\": , \"m\": 2}", "{\"n\": \"\", \"m\": 2}"},
    {"{\"share\": 45%, \"n\": 3}", "{\"share\": 45, \"n\": 3}"},
    {"{\"share\": 45 %, \"n\": 3}", "{\"share\": 45, \"n\": 3}"},
    {"{\"price\": $5, \"n\": 3}", "{\"price\": 5, \"n\": 3}"},
    {"{\"size\": 5 cm, \"n\": 3}", "{\"size\": 5, \"n\": 3}"},
    {"{\"size\": 5cm, \"n\": 3}", "{\"size\": \"5cm\", \"n\": 3}"},
    {"{\"n\": 1,000, \"m\": 2}", "{\"n\": \"1,000\", \"m\": 2}"},
    {"{\"n\": 1_000, \"m\": +2, \"k\": .5, \"j\": 5.}",
     "{\"n\": 1000, \"m\": 2, \"k\": 0.5, \"j\": 5.0}"},
    {"{\"day\": 2024-01-05, \"part\": 1/2, \"v\": 1.2.3}",
     "{\"day\": \"2024-01-05\", \"part\": \"1/2\", \"v\": \"1.2.3\"}"},
    {"{\"n\": ~5, \"m\": ≈6}", "{\"n\": 5, \"m\": 6}"},
    {"{\"ok\": True, \"no\": FALSE, \"x\": None}", "{\"ok\": true, \"no\": false, \"x\": null}"},
    {"{\"ok\": true (sure), \"n\": 3}", "{\"ok\": true, \"n\": 3}"},
    {"{\"ok\": truly, \"n\": 3}", "{\"ok\": \"truly\", \"n\": 3}"},
    {"{\"n\": 1; \"m\": 2}", "{\"n\": 1, \"m\": 2}"},
    {"{\"n\": 3, ..., \"m\": 4}", "{\"n\": 3, \"m\": 4}"},
    {"{\"n\": 3, ...}", "{\"n\": 3}"},
    {"{\"a\": [1, 2, \"b\": 3}", "{\"a\": [1, 2], \"b\": 3}"},
    {"{\"a\": [\"x\", \"y\", \"b\": 3}", "{\"a\": [\"x\", \"y\"], \"b\": 3}"},
    {"{\"a\": [\"x\", \"y\"}, \"b\": 3}", "{\"a\": [\"x\", \"y\"], \"b\": 3}"},
    {"{\"a\": {\"x\": 1, \"b\": 3", "{\"a\": {\"x\": 1, \"b\": 3}}"},
    {"[{\"a\": 1}, {\"a\": 2]", "[{\"a\": 1}, {\"a\": 2}]"},
    {"[{\"a\": 1, \"b\": 2", "[{\"a\": 1, \"b\": 2}]"},
    {"{\"a\": \"x\", \"b", "{\"a\": \"x\"}"},
    {"{\"a\": \"x\", \"b\":", "{\"a\": \"x\", \"b\": \"\"}"},
    {"{\"a\": \"x\", \"b\": \"", "{\"a\": \"x\", \"b\": \"\"}"},
    {"{\"a\": \"x\", \"b\": \"some te", "{\"a\": \"x\", \"b\": \"some te\"}"},
    {"{\"a\": \"x\", \"b\": [\"y\", \"z", "{\"a\": \"x\", \"b\": [\"y\", \"z\"]}"},
    {"{\"a\": \"x\", \"b\": [", "{\"a\": \"x\", \"b\": []}"},
    {"{\"a\": [1, 2], \"b\": {\"c\": \"d\"", "{\"a\": [1, 2], \"b\": {\"c\": \"d\"}}"},
    {"[\"x\", \"y", "[\"x\", \"y\"]"},
    {"[\"x\", \"", "[\"x\"]"},
    {"[\"a \"b\" c\", \"d\"]", "[\"a \\\"b\\\" c\", \"d\"]"},
    {"[\"a \"b\"\", \"d\"]", "[\"a \\\"b\\\"\", \"d\"]"},
    {"[\"a\" \"b\" \"c\"]", "[\"a\", \"b\", \"c\"]"},
    {"[\"a\"\n\"b\"]", "[\"a\", \"b\"]"},
    {"[\"a\" b\", \"c\"]", "[\"a\", \"b\", \"c\"]"},
    {"[\"a, \"b\", \"c\"]", "[\"a, \", \"b\", \"c\"]"},
    {"[\"a\" and \"b\", \"c\"]", "[\"a\\\" and \\\"b\", \"c\"]"},
    {"[\"a\", b, 'c', “d”]", "[\"a\", \"b\", \"c\", \"d\"]"},
    {"[a b, c]", "[\"a b\", \"c\"]"},
    {"[- a, - b]", "[\"a\", \"b\"]"},
    {"[5 apples, 2]", "[5, \"apples\", 2]"},
    {"[45%, 2]", "[45, 2]"},
    {"[1; 2]", "[1, 2]"},
    {"[\"a\", \"b\": \"c\"]", "[\"a\", {\"b\": \"c\"}]"},
    {"[\"don't\", \"it's\"]", "[\"don't\", \"it's\"]"},
    {"{'a': 'I don't, really', 'b': 1}", "{\"a\": \"I don't, really\", \"b\": 1}"},
    {"{'a': \"it's\", 'b': 'x \"y\" z'}", "{\"a\": \"it's\", \"b\": \"x \\\"y\\\" z\"}"},
    {"{“a”: “x”, “b”: 1}", "{\"a\": \"x\", \"b\": 1}"},
    {"{\\\"a\\\": \\\"x\\\", \\\"b\\\": [1]}", "{\"a\": \"x\", \"b\": [1]}"},
    {"{\"a\": \"x \\\"y\\\" z \\'w\\' \\x41 \\u00e9 \\d \\n\"}",
     "{\"a\": \"x \\\"y\\\" z 'w' A é \\\\d\"}"},
    {"{\"a\": \"\\(x\\) \\frac{1}{2}\"}", "{\"a\": \"\\\\(x\\\\) \\\\frac{1}{2}\"}"},
    {"{\"a\": \"x\"} and {\"b\": 1}", "[{\"a\": \"x\"}, {\"b\": 1}]"},
    {"{\"a\": \"x\"} then {\"a\": \"y\"}", "{\"a\": \"y\"}"},
    {"{\"a\": \"x\"}, {\"a\": \"y\"}", "[{\"a\": \"x\"}, {\"a\": \"y\"}]"},
    {"[1] [2, 3]", "[[1], [2, 3]]"},
    {"[1], [2]", "[[1], [2]]"},
    {"[] {\"a\": 1}", "{\"a\": 1}"},
    {"{\"a\": 1}\n\n[[ ## b ## ]]\nx\n\n[[ ## completed ## ]]", "[{\"a\": 1}, [[]]]"},
    {"Sure! {\"a\": 1} Hope it helps.", "{\"a\": 1}"},
    {"```json\n{\"a\": \"x\ny\"}\n```\nDone.", "{\"a\": \"x\\ny\"}"},
    {"{\"a\": 1}}", "{\"a\": 1}"},
    {"[\"a\"]]", "[\"a\"]"},
    {"][\"a\"]", "[\"a\"]"},
    {"\"a\": [\"x\"], \"b\": 1", "[\"x\"]"},
    {"{\"a\": (1, 2)}", "{\"a\": [1, 2]}"},
    {"(\"a\")", "\"a\""},
    {"(5)", "5"},
    {"{\"a\", \"b\"}", "[\"a\", \"b\"]"},
    {"{\"a", "[\"a\"]"},
};

Test(repair, as_json_repair_does)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_arena *a = dm_arena_new(0);
        dm_buf b;
        dm_buf_init(&b, DM_MAX_TEXT);
        dm_json_write(&b, dm_json_repair(a, dm_str_of(rows[i].text)), DM_JSON_PYTHON);
        cr_expect(dm_str_is(dm_buf_view(&b), rows[i].want), "%s: %.*s, not %s", rows[i].text,
                  (int)b.len, b.data, rows[i].want);
        dm_buf_free(&b);
        dm_arena_free(a);
    }
}

/* Looking ahead must not cost a look at the whole rest for each quote, comma or brace. */
Test(repair, long_damage_takes_no_long_time, .timeout = 20)
{
    static const char *const units[] = {
        "{", "[", "(", "\"", ", ", "x\" y", "{\"a\": \"x, ", "{a, ", "[{\"a\":[", "'\","};
    enum { LONG = 1 << 20 };
    char *text = malloc(LONG + 1);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        dm_arena *a = dm_arena_new(0);
        size_t n = strlen(units[i]);
        memcpy(text, "{\"a\": \"", 7);
        for (size_t k = 7; k < LONG; k++)
            text[k] = units[i][k % n];
        cr_expect_not_null(dm_json_repair(a, (dm_str){text, LONG}));
        cr_expect_not_null(dm_json_repair(a, (dm_str){text + 7, LONG - 7}));
        dm_arena_free(a);
    }
    free(text);
}

/* Objects of many keys are no slower a key than small ones; the last of two equal ones counts. */
Test(repair, many_keys_take_no_long_time, .timeout = 30)
{
    dm_arena *a = dm_arena_new(0);
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_buf_text(&b, "{'k7': 0, ");
    for (int i = 0; i < 300000; i++)
        dm_buf_printf(&b, "'k%d': 1, ", i);
    cr_expect_eq(dm_json_repair(a, dm_buf_view(&b))->n, 300000);
    dm_buf_text(&b, "}");
    const dm_value *v = dm_py_literal(a, dm_buf_view(&b));
    cr_assert(v && v->n == 300000);
    for (int i = 0; i < 300000; i += 1000)
        cr_expect(dm_value_get(v, dm_arena_printf(a, "k%d", i)));
    cr_expect_null(dm_value_get(v, "k300000"));
    cr_expect(dm_value_equal(v, dm_value_copy(a, dm_json_repair(a, dm_buf_view(&b)))));
    dm_buf_free(&b);
    dm_arena_free(a);
}
