#include "json/get.h"
#include "base/log.h"
#include "json/json.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

static dm_arena *arena;

static void set_up(void)
{
    arena = dm_arena_new(0);
}

static void tear_down(void)
{
    dm_arena_free(arena);
}

TestSuite(json, .init = set_up, .fini = tear_down);

static const char *text_of(const dm_value *v, dm_json_style style)
{
    dm_buf b;
    if (!v)
        return "(none)";
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_json_write(&b, v, style);
    const char *s = dm_arena_string(arena, b.data, b.len);
    dm_buf_free(&b);
    return s;
}

static const dm_value *read_text(const char *text)
{
    dm_error err = {DM_OK, ""};
    const dm_value *v = dm_json_read(arena, dm_str_of(text), &err);
    cr_assert_not_null(v, "%s: %s", text, err.text);
    return v;
}

/* ---- reading ---- */

Test(json, reads_and_writes_again)
{
    static const char *const same[] = {"null",
                                       "true",
                                       "[]",
                                       "{}",
                                       "[1, -2, 1.0, 0.1, 1e-07, 1e+20, -0.0]",
                                       "123456789012345678901234567890",
                                       "[NaN, Infinity, -Infinity]",
                                       "\"\\u0000\\u001f\\n\\\"\\\\/\x7F\xC3\xA9\"",
                                       "{\"b\": 1, \"a\": {\"b\": [true, null]}}"};
    for (size_t i = 0; i < COUNT(same); i++)
        cr_expect_str_eq(text_of(read_text(same[i]), DM_JSON_PYTHON), same[i]);
    static const struct {
        const char *text, *want;
    } table[] = {{" \t\r\n[ 1 ,2 ] \n", "[1, 2]"},
                 {"{\"k\": 1, \"l\": 2, \"k\": 3}", "{\"k\": 3, \"l\": 2}"},
                 {"-0", "0"},
                 {"1E400", "Infinity"},
                 {"\"\\ud83d\\ude00\\/\"", "\"\xF0\x9F\x98\x80/\""}};
    for (size_t i = 0; i < COUNT(table); i++)
        cr_expect_str_eq(text_of(read_text(table[i].text), DM_JSON_PYTHON), table[i].want);
}

Test(json, refuses_with_line_and_column)
{
    static const struct {
        const char *text, *want;
    } table[] = {{"", "1:1: the text ends where a value is due"},
                 {"[1,\n 2,]", "2:4: a value is missing here"},
                 {"{\"\xC3\xA9\xC3\xA9\": x}", "1:8: a value is missing here"},
                 {"[1 2]", "1:4: a list goes on with , or ends with ]"},
                 {"{\"a\" 1}", "1:6: a : has to follow the key"},
                 {"{'a': 1}", "1:2: a key in double quotes is missing here"},
                 {"{\"a\": 1", "1:8: an object goes on with , or ends with }"},
                 {"01", "1:1: a number must not begin with 0"},
                 {"1.", "1:1: digits have to follow the point of a number"},
                 {"1e+", "1:1: digits have to follow the e of a number"},
                 {"\"abc", "1:5: the text ends within a string"},
                 {"\"a\nb\"", "1:3: a control character in a string has to be escaped"},
                 {"\"\\x\"", "1:3: no such escape in a string"},
                 {"\"\\u12g4\"", "1:4: four hexadecimal digits have to follow \\u"},
                 {"\"\\ud800\"", "1:8: an unpaired surrogate escape"},
                 {"\"\xFF\"", "1:2: a string with invalid UTF-8"},
                 {"1 2", "1:3: there is more text after the value"},
                 {"nul", "1:1: a value is missing here"}};
    for (size_t i = 0; i < COUNT(table); i++) {
        dm_error err = {DM_OK, ""};
        cr_expect_null(dm_json_read(arena, dm_str_of(table[i].text), &err), "row %zu", i);
        cr_expect_str_eq(err.text, table[i].want);
        cr_expect_eq(err.status, DM_E_DATA);
    }
}

static char warned[200];

static void keep_line(void *user, dm_level level, const char *line)
{
    (void)user;
    (void)level;
    snprintf(warned, sizeof warned, "%s", line);
}

Test(json, a_key_that_comes_twice_is_said)
{
    static const struct {
        const char *text, *want, *said;
    } table[] = {{"{\"a\": 1, \"b\": {\"a\": 2}}", "{\"a\": 1, \"b\": {\"a\": 2}}", ""},
                 {"[{\"a\": 1}, {\"a\": 1}]", "[{\"a\": 1}, {\"a\": 1}]", ""},
                 {"{\"//\": 1, \"//\": 2, \"a\": \"a\"}", "{\"//\": 2, \"a\": \"a\"}", ""},
                 {"{\"a\": 1,\n  \"b\": 2, \"a\": 3}", "{\"a\": 3, \"b\": 2}",
                  "f:2:11: this key is here for the second time: the last one counts"},
                 {"{\"o\": [{\"k\": 1, \"\\u006b\": 2}]}", "{\"o\": [{\"k\": 2}]}",
                  "f:1:17: this key is here for the second time: the last one counts"}};
    dm_log_set(keep_line, NULL, DM_WARN);
    for (size_t i = 0; i < COUNT(table); i++) {
        dm_error err = {DM_OK, ""};
        warned[0] = 0;
        const dm_value *v = dm_json_read_written(arena, dm_str_of(table[i].text), "f", &err);
        cr_expect_str_eq(text_of(v, DM_JSON_PYTHON), table[i].want);
        cr_expect_str_eq(warned, table[i].said);
    }
    cr_expect_null(dm_json_read_written(arena, DM_STR("{\"a\": 1, \"a\""), "f", NULL));
}

Test(json, depth_is_bounded)
{
    enum { MANY = 1 << 20 };
    char *text = dm_arena_alloc(arena, MANY + 1);
    memset(text, '[', DM_JSON_DEPTH);
    memset(text + DM_JSON_DEPTH, ']', DM_JSON_DEPTH);
    const dm_value *deep = read_text(text);
    dm_json_hash(dm_value_copy(arena, deep));
    memset(text, '[', MANY);
    dm_error err = {DM_OK, ""};
    cr_expect_null(dm_json_read(arena, (dm_str){text, MANY}, &err));
    cr_expect(strstr(err.text, "nested too deeply"), "%s", err.text);
    cr_expect_null(dm_py_literal(arena, (dm_str){text, MANY}));
    cr_expect_not_null(dm_json_repair(arena, (dm_str){text, MANY}));
}

Test(json, reads_value_by_value)
{
    dm_str rest = DM_STR(" 1\n\n[2,\n3] {} x");
    uint32_t line = 10;
    dm_error err = {DM_OK, ""};
    static const uint32_t lines[] = {10, 12, 13};
    for (size_t i = 0; i < COUNT(lines); i++) {
        const dm_value *v = dm_json_read_next(arena, &rest, &line, &err);
        cr_assert_not_null(v);
        cr_expect_eq(v->line, lines[i]);
    }
    cr_expect_null(dm_json_read_next(arena, &rest, &line, &err));
    cr_expect(strncmp(err.text, "13:", 3) == 0, "%s", err.text);
}

/* ---- writing ---- */

Test(json, four_styles)
{
    const dm_value *v = read_text("{\"a\":[1,{}],\"b\":[],\"c\":1e16,\"d\":1e-7,\"e\":NaN}");
    cr_expect_str_eq(text_of(v, DM_JSON_COMPACT),
                     "{\"a\":[1,{}],\"b\":[],\"c\":1e+16,\"d\":1e-7,\"e\":null}");
    cr_expect_str_eq(text_of(v, DM_JSON_PYTHON),
                     "{\"a\": [1, {}], \"b\": [], \"c\": 1e+16, \"d\": 1e-07, \"e\": NaN}");
    cr_expect_str_eq(text_of(v, DM_JSON_PYTHON_INDENT),
                     "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": [],\n  \"c\": 1e+16,\n"
                     "  \"d\": 1e-07,\n  \"e\": NaN\n}");
    cr_expect_str_eq(text_of(v, DM_JSON_ORJSON_INDENT),
                     "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": [],\n  \"c\": 1e+16,\n"
                     "  \"d\": 1e-7,\n  \"e\": null\n}");
}

/* Contract 0.4; the last rows are where %.17g alone goes wrong. */
Test(json, number_text)
{
    static const struct {
        double v;
        const char *python, *orjson;
    } table[] = {{1, "1.0", "1.0"},
                 {-0.0, "-0.0", "-0.0"},
                 {0.1, "0.1", "0.1"},
                 {100, "100.0", "100.0"},
                 {0.0001, "0.0001", "0.0001"},
                 {0.00001, "1e-05", "0.00001"},
                 {1e-7, "1e-07", "1e-7"},
                 {1.2345e-6, "1.2345e-06", "1.2345e-6"},
                 {1e15, "1000000000000000.0", "1000000000000000.0"},
                 {1e16, "1e+16", "1e+16"},
                 {123456789012345680.0, "1.2345678901234568e+17", "1.2345678901234568e+17"},
                 {1.5e300, "1.5e+300", "1.5e+300"},
                 {5e-324, "5e-324", "5e-324"},
                 {1.0 / 3, "0.3333333333333333", "0.3333333333333333"},
                 {0x1p-44, "5.684341886080802e-14", "5.684341886080802e-14"},
                 {9007199254740993.0, "9007199254740992.0", "9007199254740992.0"},
                 {1.7976931348623157e308, "1.7976931348623157e+308", "1.7976931348623157e+308"}};
    for (size_t i = 0; i < COUNT(table); i++) {
        const dm_value *v = dm_value_float(arena, table[i].v);
        cr_expect_str_eq(text_of(v, DM_JSON_PYTHON), table[i].python);
        cr_expect_str_eq(text_of(v, DM_JSON_COMPACT), table[i].orjson);
    }
    static const struct {
        double v, want;
    } rounds[] = {{2.675, 2.67}, {0.125, 0.12}, {66.666666, 66.67}, {-1.005, -1.0}, {1e300, 1e300}};
    for (size_t i = 0; i < COUNT(rounds); i++)
        cr_expect_eq(dm_py_round2(rounds[i].v), rounds[i].want, "%g", rounds[i].v);
}

Test(json, python_repr)
{
    static const struct {
        const char *json, *repr;
    } table[] = {{"null", "None"},
                 {"[true, false, 1, 1.0, NaN, -Infinity]", "[True, False, 1, 1.0, nan, -inf]"},
                 {"\"it's\"", "\"it's\""},
                 {"\"a\\\"b\"", "'a\"b'"},
                 {"\"it's \\\"x\\\"\"", "'it\\'s \"x\"'"},
                 {"\"\\n\\t\\r\\\\\\u0000\\u007f\"", "'\\n\\t\\r\\\\\\x00\\x7f'"},
                 {"\"\xC3\xA9\\u00a0\\u200b\\ue000\\ud83d\\ude00\"",
                  "'\xC3\xA9\\xa0\\u200b\\ue000\xF0\x9F\x98\x80'"},
                 {"{\"a\": [], \"b\": {}}", "{'a': [], 'b': {}}"}};
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    for (size_t i = 0; i < COUNT(table); i++) {
        dm_buf_reset(&b);
        dm_py_repr(&b, read_text(table[i].json));
        cr_expect_str_eq(b.data, table[i].repr);
    }
    dm_buf_reset(&b);
    dm_py_str(&b, read_text("\"it's\""));
    cr_expect_str_eq(b.data, "it's");
    dm_buf_free(&b);
}

/* ---- values ---- */

Test(json, equality_and_truth_as_in_python)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } table[] = {{"1", "1.0", true},
                 {"1", "true", true},
                 {"0.0", "false", true},
                 {"1", "\"1\"", false},
                 {"null", "false", false},
                 {"NaN", "NaN", false},
                 {"[1, 2]", "[1.0, 2]", true},
                 {"[1, 2]", "[2, 1]", false},
                 {"{\"a\": 1, \"b\": 2}", "{\"b\": 2, \"a\": 1.0}", true},
                 {"{\"a\": 1}", "{\"b\": 1}", false},
                 {"9007199254740993", "9007199254740992.0", false},
                 {"9007199254740992", "9007199254740992.0", true},
                 {"100000000000000000000", "1e20", true}};
    for (size_t i = 0; i < COUNT(table); i++) {
        cr_expect_eq(dm_value_equal(read_text(table[i].a), read_text(table[i].b)), table[i].equal,
                     "%s == %s", table[i].a, table[i].b);
        cr_expect_eq(dm_value_equal(read_text(table[i].b), read_text(table[i].a)), table[i].equal,
                     "%s == %s", table[i].b, table[i].a);
    }
    static const char *const truthy[] = {"1", "0.1", "\"0\"", "[0]", "{\"\":0}", "true", "NaN"},
                             *const falsy[] = {"0", "0.0", "\"\"", "[]", "{}", "false", "null"};
    for (size_t i = 0; i < COUNT(truthy); i++) {
        cr_expect(dm_value_truthy(read_text(truthy[i])), "%s", truthy[i]);
        cr_expect_not(dm_value_truthy(read_text(falsy[i])), "%s", falsy[i]);
    }
}

Test(json, whole_numbers)
{
    static const struct {
        const char *text;
        bool fits;
        int64_t want;
    } table[] = {{"0", true, 0},
                 {"9223372036854775807", true, INT64_MAX},
                 {"-9223372036854775808", true, INT64_MIN},
                 {"9223372036854775808", false, 0},
                 {"-9223372036854775809", false, 0},
                 {"1.0", false, 0},
                 {"true", false, 0}};
    for (size_t i = 0; i < COUNT(table); i++) {
        int64_t v = 0;
        cr_expect_eq(dm_value_to_int(read_text(table[i].text), &v), table[i].fits);
        cr_expect_eq(v, table[i].want);
    }
    cr_expect_str_eq(dm_value_digits(arena, DM_STR("-017"))->text.p, "-17");
    cr_expect_str_eq(dm_value_digits(arena, DM_STR("-000"))->text.p, "0");
    cr_expect_str_eq(dm_value_int(arena, INT64_MIN)->text.p, "-9223372036854775808");
}

Test(json, hash_knows_content_not_order)
{
    dm_hash a = dm_json_hash(read_text("{\"a\": [1, 2.0], \"b\": {\"x\": 1, \"y\": NaN}}")),
            b = dm_json_hash(read_text("{ \"b\":{\"y\":NaN,\"x\":1},\"a\":[1,2.0] }"));
    cr_expect(dm_hash_eq(&a, &b));
    static const char *const other[] = {"{\"a\": [1, 2], \"b\": {\"x\": 1, \"y\": NaN}}",
                                        "{\"a\": [1, 2.0], \"b\": {\"x\": 1, \"y\": null}}",
                                        "{\"a\": [2.0, 1], \"b\": {\"x\": 1, \"y\": NaN}}"};
    for (size_t i = 0; i < COUNT(other); i++) {
        b = dm_json_hash(read_text(other[i]));
        cr_expect_not(dm_hash_eq(&a, &b), "%s", other[i]);
    }
}

/* ---- Python literals: want NULL where ast.literal_eval raises ---- */

Test(json, python_literals)
{
    static const struct {
        const char *text, *want;
    } table[] = {{"5", "5"},
                 {"+3", "3"},
                 {"- 5", "-5"},
                 {"--5", NULL},
                 {"(5)", "5"},
                 {"(5,)", "[5]"},
                 {"1, 2", "[1, 2]"},
                 {"5,", "[5]"},
                 {"()", "[]"},
                 {"1_000", "1000"},
                 {"1__0", NULL},
                 {"1_", NULL},
                 {"017", NULL},
                 {"00", "0"},
                 {"0x1F", "31"},
                 {"0b11", "3"},
                 {"0o17", "15"},
                 {"-0xFFFFFFFFFFFFFFFFFFFF", "-1208925819614629174706175"},
                 {"5.", "5.0"},
                 {".5", "0.5"},
                 {"1e3", "1000.0"},
                 {"1e", NULL},
                 {"5x", NULL},
                 {"5 apples", NULL},
                 {"5 # c", "5"},
                 {"5\n# c\n", "5"},
                 {"5\n\n6", NULL},
                 {"# c\n5", "5"},
                 {"  5", "5"},
                 {"\n 5", NULL},
                 {"True", "true"},
                 {"None", "null"},
                 {"true", NULL},
                 {"[1, 'a', None,]", "[1, \"a\", null]"},
                 {"[1,\n # c\n 2]", "[1, 2]"},
                 {"[,]", NULL},
                 {"{'a': 1, 2: 'b'}", "{\"a\": 1, \"2\": \"b\"}"},
                 {"{1, 2, 1}", "[1, 2]"},
                 {"{}", "{}"},
                 {"{'a': 1, 2}", NULL},
                 {"'a' \"b\"", "\"ab\""},
                 {"'''a\n'b'''", "\"a\\n'b\""},
                 {"'a\nb'", NULL},
                 {"'\\x41\\u00e9\\101\\q\\''", "\"A\xC3\xA9"
                                               "A\\\\q'\""},
                 {"'\\ud800'", NULL},
                 {"u'x' r'\\n'", "\"x\\\\n\""},
                 {"'a", NULL},
                 {"[1", NULL},
                 {"x", NULL},
                 {"", NULL}};
    for (size_t i = 0; i < COUNT(table); i++) {
        const dm_value *v = dm_py_literal(arena, dm_str_of(table[i].text));
        if (!table[i].want)
            cr_expect_null(v, "%s: %s", table[i].text, text_of(v, DM_JSON_PYTHON));
        else
            cr_expect_str_eq(text_of(v, DM_JSON_PYTHON), table[i].want, "%s: %s", table[i].text,
                             text_of(v, DM_JSON_PYTHON));
    }
}

/* ---- getters ---- */

static const char job[] =
    "{\n \"n\": 3, \"f\": 2.5, \"t\": true, \"s\": \"x\", \"z\": \"a\\u0000\",\n"
    " \"many\": [\"a\", \"b\"], \"in\": {\"metrc\": [1, \"x\"]}, \"nul\": null\n}";

Test(json, getters_leave_what_is_absent)
{
    dm_at root = dm_at_root(read_text(job), "job.json", DM_E_JOB), no = dm_at_key(&root, "no");
    dm_error err = {DM_OK, ""};
    int64_t n = 7;
    double f = 7;
    bool t = true;
    dm_str s = DM_STR("7"), *list = NULL;
    size_t count = 7;
    cr_expect_eq(dm_get_int(&no, 0, 9, &n, &err), DM_OK);
    cr_expect_eq(dm_get_number(&no, 0, 9, &f, &err), DM_OK);
    cr_expect_eq(dm_get_bool(&no, &t, &err), DM_OK);
    cr_expect_eq(dm_get_string(&no, &s, &err), DM_OK);
    cr_expect_eq(dm_get_strings(&no, arena, &list, &count, &err), DM_OK);
    cr_expect(n == 7 && f == 7 && t && dm_str_is(s, "7") && !list && count == 7);
    dm_at many = dm_at_key(&root, "many"), one = dm_at_key(&root, "s");
    cr_expect_eq(dm_get_strings(&many, arena, &list, &count, &err), DM_OK);
    cr_expect(count == 2 && dm_str_is(list[1], "b"));
    cr_expect_eq(dm_get_strings(&one, arena, &list, &count, &err), DM_OK);
    cr_expect(count == 1 && dm_str_is(list[0], "x"));
}

static dm_status get(const dm_at *at, int kind, dm_error *err)
{
    static const char *const names[] = {"metric", "budget"};
    int64_t n;
    double f;
    bool t;
    dm_str s, *list;
    size_t count;
    return kind == 'i'   ? dm_get_int(at, 1, INT64_MAX, &n, err)
           : kind == 'j' ? dm_get_int(at, 0, 2, &n, err)
           : kind == 'f' ? dm_get_number(at, 0, 1, &f, err)
           : kind == 'b' ? dm_get_bool(at, &t, err)
           : kind == 's' ? dm_get_string(at, &s, err)
           : kind == 'l' ? dm_get_strings(at, arena, &list, &count, err)
                         : dm_get_known(at, names, COUNT(names), err);
}

Test(json, getters_say_where_and_what)
{
    static const struct {
        const char *key;
        int kind;
        const char *want;
    } table[] = {{"s", 'i', "job.json:2:36: s: a whole number from 1 on, not \"x\""},
                 {"n", 'j', "job.json:2:7: n: a whole number from 0 to 2, not 3"},
                 {"f", 'i', "job.json:2:15: f: a whole number from 1 on, not 2.5"},
                 {"f", 'f', "job.json:2:15: f: a number from 0 to 1, not 2.5"},
                 {"t", 'f', "job.json:2:25: t: a number from 0 to 1, not true"},
                 {"n", 'b', "job.json:2:7: n: true or false, not 3"},
                 {"n", 's', "job.json:2:7: n: a string, not 3"},
                 {"z", 's', "job.json:2:46: z: a string without U+0000, not \"a\\u0000\""},
                 {"nul", 's', "job.json:3:56: nul: a string, not null"},
                 {"n", 'l', "job.json:2:7: n: a string or a list of strings, not 3"},
                 {"s", 'k', "job.json:2:36: s: an object {...}, not \"x\""},
                 {"in", 'k', "job.json:3:38: in.metrc: unknown key; did you mean \"metric\"?"}};
    dm_at root = dm_at_root(read_text(job), "job.json", DM_E_JOB);
    for (size_t i = 0; i < COUNT(table); i++) {
        dm_error err = {DM_OK, ""};
        dm_at at = dm_at_key(&root, table[i].key);
        cr_expect_eq(get(&at, table[i].kind, &err), DM_E_JOB, "row %zu", i);
        cr_expect_str_eq(err.text, table[i].want);
    }
    dm_at in = dm_at_key(&root, "in"), metrc = dm_at_key(&in, "metrc"), one = dm_at_item(&metrc, 1);
    cr_expect_str_eq(one.path, "in.metrc[1]");
    cr_expect(dm_str_is(one.v->text, "x"));
    cr_expect_null(dm_at_item(&metrc, 2).v);
    cr_expect_null(dm_at_key(&one, "x").v);
}

/* ---- files ---- */

Test(json, files)
{
    char folder[] = "/tmp/dm-json-XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    char *path = dm_arena_printf(arena, "%s/f", folder);
    dm_error err = {DM_OK, ""};
    dm_str text;
    cr_expect_eq(dm_read_file(arena, path, 100, &text, &err), DM_E_DATA);
    cr_expect_not_null(strstr(err.text, "No such file or directory"), "%s", err.text);
    cr_expect_eq(dm_read_file(arena, folder, 100, &text, &err), DM_E_DATA, "a folder is no file");
    cr_expect_eq(dm_write_file(path, DM_STR("old"), &err), DM_OK);
    cr_expect_eq(dm_write_file(path, DM_STR("\xEF\xBB\xBFnew"), &err), DM_OK);
    cr_expect_eq(dm_read_file(arena, path, 6, &text, &err), DM_OK);
    cr_expect(dm_str_is(text, "new"), "the BOM is skipped");
    cr_expect_eq(dm_read_file(arena, path, 5, &text, &err), DM_E_LIMIT);
    cr_expect_neq(access(dm_arena_printf(arena, "%s.part", path), F_OK), 0, "no part is left");
    cr_expect_eq(dm_write_file(dm_arena_printf(arena, "%s/no/f", folder), DM_STR(""), &err),
                 DM_E_OUTPUT);
    cr_expect_eq(dm_write_file(folder, DM_STR(""), &err), DM_E_OUTPUT, "over a folder");
    unlink(path);
    rmdir(folder);
}

/* Strings are looked through eight bytes at a time: each byte at each place. */
Test(json, each_byte_at_each_place_of_a_string)
{
    static const char *const fill[] = {"x", "\xC3\xA9", " "};
    for (size_t f = 0; f < sizeof fill / sizeof *fill; f++)
        for (int place = 0; place < 20; place++)
            for (int c = 1; c < 0x80; c++) {
                dm_arena *a = dm_arena_new(0);
                dm_error err = {DM_OK, ""};
                dm_buf b;
                dm_buf_init(&b, 1000);
                dm_buf_text(&b, "[\"");
                for (int i = 0; i < place; i++)
                    dm_buf_text(&b, fill[f]);
                dm_buf_char(&b, (char)c);
                dm_buf_text(&b, "nnnnnnnnnnnn\", 7]");
                const dm_value *v = dm_json_read(a, dm_buf_view(&b), &err);
                size_t n = (size_t)place * strlen(fill[f]) + 13 - (c == '\\');
                bool fine = c >= 0x20 && c != '"';
                cr_expect_eq(v != NULL, fine, "%d behind %d of %s: %s", c, place, fill[f],
                             err.text);
                cr_expect(!v || (v->n == 2 && v->items[0]->text.n == n &&
                                 v->items[1]->column == (uint32_t)place + 19));
                dm_buf_free(&b);
                dm_arena_free(a);
            }
}
