#include "rows.h"

#include "data/csv.h"

#include <criterion/criterion.h>
#include <malloc.h>
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

TestSuite(data, .init = set_up, .fini = tear_down);

static dm_dataset *parse(const char *name, const char *text)
{
    dm_error err = {DM_OK, ""};
    dm_dataset *d = NULL;
    cr_assert_eq(dm_dataset_parse(arena, name, dm_str_of(text), DM_FORMAT_GUESS, &d, &err), DM_OK,
                 "%s", err.text);
    return d;
}

Test(data, formats)
{
    static const struct {
        const char *name, *text, *want;
    } table[] = {{"d.jsonl", "{\"a\": 1}\n\n{\"a\": 2.0}\r\n", "{\"a\":1}\n{\"a\":2.0}\n"},
                 {"d.ndjson", "{\"b\": null, \"a\": [\"x\"]}", "{\"b\":null,\"a\":[\"x\"]}\n"},
                 {"d.json", "[{\"a\": 1},\n {\"b\": 2}]", "{\"a\":1}\n{\"b\":2}\n"},
                 {"d.json", "{\"a\": 1}\n{\"a\": 2}", "{\"a\":1}\n{\"a\":2}\n"},
                 {"d.txt", "  [{\"a\": 1}]", "{\"a\":1}\n"},
                 {"d.txt", "{\"a\": 1}", "{\"a\":1}\n"},
                 {"d.txt", "a,b\n1,2\n", "{\"a\":\"1\",\"b\":\"2\"}\n"},
                 {"d.tsv", "a\tb\n1,5\t\"x\ty\"\n", "{\"a\":\"1,5\",\"b\":\"x\\ty\"}\n"},
                 {"d.csv", "a,b\r\n1,2\r\n3,4",
                  "{\"a\":\"1\",\"b\":\"2\"}\n{\"a\":\"3\",\"b\":\"4\"}\n"},
                 {"d.csv", "q\n\"two\nlines, \"\"quoted\"\"\"\n",
                  "{\"q\":\"two\\nlines, \\\"quoted\\\"\"}\n"},
                 {"d.csv", "q\nx\n\n\r\n\"\"\n\n",
                  "{\"q\":\"x\"}\n{\"q\":\"\"}\n"}, /* empty is not blank */
                 {"d.csv", "a,b\n\"\",\n x ,5\" tall\n",
                  "{\"a\":\"\",\"b\":\"\"}\n{\"a\":\" x \",\"b\":\"5\\\" tall\"}\n"},
                 {"d.csv", "a,b\n1,x\ry\n", "{\"a\":\"1\",\"b\":\"x\\ry\"}\n"},
                 {"d.csv", "a;b\r\n\"x; y\";1,5\r\n", "{\"a\":\"x; y\",\"b\":\"1,5\"}\n"},
                 {"d.csv", "a, b\n\"1\", \"x, \"\"y\"\"\"\n2,  \"z\" \r\n",
                  "{\"a\":\"1\",\"b\":\"x, \\\"y\\\"\"}\n{\"a\":\"2\",\"b\":\"z\"}\n"},
                 {"d.csv", "\"a\" , \"b\"\n\"1\" ,\"2\n3\"  \n", "{\"a\":\"1\",\"b\":\"2\\n3\"}\n"},
                 {"d.csv", "a;b\n \"x; y\"; \"z\"\n", "{\"a\":\"x; y\",\"b\":\"z\"}\n"},
                 {"d.csv", "a,b\n1, \"no\" he said\n2, \"x\n3, \"y\n",
                  "{\"a\":\"1\",\"b\":\" \\\"no\\\" he said\"}\n{\"a\":\"2\",\"b\":\" \\\"x\"}\n"
                  "{\"a\":\"3\",\"b\":\" \\\"y\"}\n"},
                 {"d.csv", "sep= \n\"a\" \"b\"\n\"1 2\" 3\n", "{\"a\":\"1 2\",\"b\":\"3\"}\n"},
                 {"d.csv", "a;b,c\n1;2,3\n", "{\"a;b\":\"1;2\",\"c\":\"3\"}\n"}};
    for (size_t i = 0; i < COUNT(table); i++)
        cr_expect_str_eq(json_lines(arena, parse(table[i].name, table[i].text)), table[i].want,
                         "row %zu: %s", i, json_lines(arena, parse(table[i].name, table[i].text)));
}

#define BEHIND ": write one a line, with no comma after it"
#define QUOTE                                                                                      \
    ": put a cell with a \",\" or a line end in it in quotes, and keep the separators around an "  \
    "empty one"

Test(data, each_fault_has_its_own_sentence)
{
    static const struct {
        const char *name, *text, *want;
    } table[] = {
        {"d.jsonl", "", "d.jsonl: there is no example in it"},
        {"d.jsonl", " \n\n", "d.jsonl: there is no example in it"},
        {"d.json", "[]", "d.json: there is no example in it"},
        {"d.csv", "a,b\n", "d.csv: there is no example in it"},
        {"d.jsonl", "{\"a\":1}\n[1]\n", "d.jsonl:2:1: each line has to be an object {...}"},
        {"d.jsonl", "{\"a\":1}\n{\"a\":}\n", "d.jsonl:2:6: a value is missing here"},
        {"d.jsonl", "{\"\xC3\xA9\":1} x\n",
         "d.jsonl:1:8: there is more text after the object" BEHIND},
        {"d.jsonl", "{\"a\":\n{\"a\":1}\n", "d.jsonl:1:6: the text ends where a value is due"},
        {"d.jsonl", "{\n\"a\":\n}\n", "d.jsonl:3:1: a value is missing here"},
        {"d.jsonl", "{\n\"a\":1} x\n", "d.jsonl:2:7: there is more text after the object" BEHIND},
        {"d.jsonl", "{}\n{\"\xC3\xA9\":\"\xFF\"}",
         "d.jsonl:2:7: byte 0xff is not valid UTF-8; convert the file to UTF-8"},
        {"d.json", "[{\"a\":1},\n 2]", "d.json:2:2: each element has to be an object {...}"},
        {"d.json", "3", "d.json:1:1: a data set is an array of objects [{...}, ...]"},
        {"d.json", "[{\"a\":1},]", "d.json:1:10: a value is missing here"},
        {"d.csv", "a,b,a\n1,2,3\n", "d.csv:1: two columns are called \"a\": rename one"},
        {"d.csv", "a,\n1,2\n",
         "d.csv:1: column 2 has no name in the header row, and \"2\" in line 2: name it, or leave "
         "it "
         "out"},
        {"d.csv", ",a\n0,x\nmiddle,y\n",
         "d.csv:1: column 1 has no name in the header row, and \"middle\" in line 3: name it, or "
         "leave it out"},
        {"d.csv", "a,b\n1,\"2\n3\"\n4\n", "d.csv:4: 1 cells, the header row has 2 columns" QUOTE},
        {"d.csv", "a,b\n1,2,3\n", "d.csv:2: 3 cells, the header row has 2 columns" QUOTE},
        {"d.csv", "\n\nsep=;\na;b\n1;2\n3\n",
         "d.csv:6: 1 cells, the header row has 2 columns: put a cell with a \";\" or a line end in "
         "it in "
         "quotes, and keep the separators around an empty one"},
        {"d.csv", "a\n\"x\n\ny", "d.csv:2: a cell in quotes that begins here does not end"},
        {"d.csv", "a,b\n\xC3\xA9,\"x\"y\n",
         "d.csv:2:6: text after the closing quote of a cell: a quote "
         "inside a cell is written twice"}};
    for (size_t i = 0; i < COUNT(table); i++) {
        dm_error err = {DM_OK, ""};
        dm_dataset *d = NULL;
        cr_expect_eq(dm_dataset_parse(arena, table[i].name, dm_str_of(table[i].text),
                                      DM_FORMAT_GUESS, &d, &err),
                     DM_E_DATA, "row %zu", i);
        cr_expect_str_eq(err.text, table[i].want);
    }
}

/* Read as what it is, or its name is said to be wrong. */
Test(data, files_by_the_wrong_name)
{
    static const struct {
        const char *name, *text, *want;
    } table[] = {
        {"d.csv", "{\"a\": 1, \"b\": \"x\"}\n{\"a\": 2, \"b\": \"y\"}\n",
         "{\"a\":1,\"b\":\"x\"}\n{\"a\":2,\"b\":\"y\"}\n"},
        {"d.csv", "[{\"a\": 1}, {\"a\": 2}]", "{\"a\":1}\n{\"a\":2}\n"},
        {"d.tsv", " [\n {\"a\": 1}]", "{\"a\":1}\n"},
        {"d.csv", "[id],{name}\n1,x\n", "{\"[id]\":\"1\",\"{name}\":\"x\"}\n"},
        {"d.jsonl", "\xEF\xBB\xBF{\"a\": 1}\n\xEF\xBB\xBF{\"a\": 2}\n", "{\"a\":1}\n{\"a\":2}\n"},
        {"d.jsonl", "question,answer\nx,y\n",
         "d.jsonl: this is not JSON, and begins \"question,answer\": if it is a table, give it a "
         "name that ends in .csv or .tsv"},
        {"d.json", "a\tb\n1\t2\n",
         "d.json: this is not JSON, and begins \"a\tb\": if it is a table, give it a name that "
         "ends in .csv or .tsv"},
        {"d.ndjson", "404: Not Found",
         "d.ndjson: this is not JSON, and begins \"404: Not Found\": if it is a table, give it a "
         "name that ends in .csv or .tsv"},
        {"d.jsonl", "\"x\"\n\"y\"\n", "d.jsonl:1:1: each line has to be an object {...}"},
        {"d.jsonl", "// made by hand\n{\"a\": 1}\n",
         "d.jsonl: this is not JSON, and begins \"// made by hand\": if it is a table, give it a "
         "name that ends in .csv or .tsv"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        dm_error err = {DM_OK, ""};
        dm_dataset *d = NULL;
        dm_status st = dm_dataset_parse(arena, table[i].name, dm_str_of(table[i].text),
                                        DM_FORMAT_GUESS, &d, &err);
        const char *got = st == DM_OK ? json_lines(arena, d) : err.text;
        cr_expect_str_eq(got, table[i].want, "row %zu: %s", i, got);
    }
}

Test(data, lines_and_cells_have_a_ceiling)
{
    size_t n = DM_MAX_LINE + 100;
    char *text = dm_alloc(n + 1);
    dm_error err = {DM_OK, ""};
    dm_dataset *d = NULL;
    memset(text, ' ', n);
    memcpy(text, "{\"a\": 1}\n{", 10);
    cr_expect_eq(dm_dataset_parse(arena, "d", (dm_str){text, n}, DM_JSON_LINES, &d, &err),
                 DM_E_DATA);
    cr_expect_str_eq(err.text, "d:2:1: the line is longer than 16 MiB");
    memset(text, 'x', n);
    memcpy(text, "a\nb\n", 4);
    cr_expect_eq(dm_dataset_parse(arena, "d", (dm_str){text, n}, DM_CSV, &d, &err), DM_E_DATA);
    cr_expect_str_eq(err.text, "d:3: a cell longer than 16 MiB");
    free(text);
}

Test(data, files)
{
    char path[] = "/tmp/dm-data-XXXXXX.csv";
    dm_error err = {DM_OK, ""};
    dm_dataset *d = NULL;
    cr_expect_eq(dm_dataset_read(arena, "/tmp/no/such.jsonl", &d, &err), DM_E_DATA);
    cr_expect_str_eq(err.text, "/tmp/no/such.jsonl: cannot be opened: No such file or directory");
    int fd = mkstemps(path, 4);
    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, "\xEF\xBB\xBFq,a\nx,y\n", 11), 11);
    close(fd);
    cr_expect_eq(dm_dataset_read(arena, path, &d, &err), DM_OK, "%s", err.text);
    unlink(path);
    cr_expect_str_eq(json_lines(arena, d), "{\"q\":\"x\",\"a\":\"y\"}\n",
                     "no BOM in the first name");
    cr_expect_str_eq(d->path, path);
}

Test(data, ids_and_fingerprints)
{
    dm_dataset *d =
        parse("d.jsonl", "{\"id\": \"x7\", \"a\": 1}\n{\"id\": 12, \"a\": 1}\n{\"a\": 1}\n"
                         "{\"id\": null, \"a\": 1}\n");
    static const char *const ids[] = {"x7", "12", "row 3", "row 4"};
    for (size_t i = 0; i < COUNT(ids); i++)
        cr_expect_str_eq(d->examples[i].id, ids[i]);
    dm_dataset *other = parse("e.json", "[{\"a\":1,\"id\":\"x7\"},{\"a\":1,\"id\":12},{\"a\":1},"
                                        "{\"a\":1,\"id\":null}]"),
               *less = dm_dataset_slice(arena, d, 0, 3), *turned;
    cr_expect(dm_hash_eq(&d->fingerprint, &other->fingerprint),
              "content, not form or order of keys");
    cr_expect_not(dm_hash_eq(&d->fingerprint, &less->fingerprint));
    turned = dm_dataset_pick(arena, d, (size_t[]){3, 2, 1, 0}, 4);
    cr_expect_not(dm_hash_eq(&d->fingerprint, &turned->fingerprint));
    cr_expect_str_eq(turned->examples[0].id, "row 4", "an id stays with its example");
    cr_expect(less->n == 3 &&
              dm_hash_eq(&less->examples[1].fingerprint, &d->examples[1].fingerprint));
}

Test(data, inputs)
{
    dm_dataset *d = parse("d.jsonl", "{\"q\": 1, \"a\": 2, \"c\": 3}\n{\"q\": 1, \"c\": 3}\n");
    dm_str good[] = {DM_STR("c"), DM_STR("q")}, bad[] = {DM_STR("q"), DM_STR("a")};
    dm_error err = {DM_OK, ""};
    cr_expect_eq(dm_dataset_check(d, good, 2, &err), DM_OK);
    cr_expect_eq(dm_dataset_check(d, bad, 2, &err), DM_E_DATA);
    cr_expect_str_eq(err.text, "d.jsonl: example 2 has no column \"a\"; it has q, c");
    const dm_value *in = dm_example_inputs(arena, d->examples[0].row, good, 2);
    cr_expect(in->n == 2 && dm_str_is(in->members[0].key, "q") &&
              dm_str_is(in->members[1].key, "c"));
}

/* glibc tells from 2.33 on what malloc gave; the sanitizer's malloc never does. */
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
#if __GLIBC_PREREQ(2, 33)
#define MALLOC_TELLS
#endif
#endif

/* Labels repeat, and take no place of their own; whatever the columns do from row to row, the rows
 * are what was read. */
Test(data, many_rows)
{
    dm_buf text;
    dm_buf_init(&text, DM_MAX_TEXT);
    for (int i = 0; i < 2000; i++)
        dm_buf_printf(&text,
                      i % 3 ? "{\"q\":\"item %d\",\"label\":\"label-%d\"}\n"
                      : i % 2
                          ? "{\"label\":\"item %d\",\"q\":\"label-%d\"}\n"
                          : "{\"q\":\"item %d\",\"n\":[1,{\"a\":null}],\"label\":\"label-%d\"}\n",
                      i, i % 5);
    dm_arena *own = dm_arena_new(0);
#ifdef MALLOC_TELLS
    size_t before = mallinfo2().uordblks;
#endif
    dm_dataset *lines = NULL, *again = NULL;
    dm_error err = {DM_OK, ""};
    cr_assert_eq(dm_dataset_parse(own, "d.jsonl", dm_buf_view(&text), DM_JSON_LINES, &lines, &err),
                 DM_OK, "%s", err.text);
#ifdef MALLOC_TELLS
    size_t each = (mallinfo2().uordblks - before) / lines->n;
    cr_expect(each > 0 && each < 400, "%zu bytes a row", each);
#endif
    cr_expect_str_eq(json_lines(arena, lines), text.data);
    const dm_value *a = dm_value_get(lines->examples[1].row, "label"),
                   *b = dm_value_get(lines->examples[11].row, "label");
    cr_expect_eq(a, b, "the same label is the same value");
    dm_value *rows = dm_value_list(arena);
    for (size_t i = 0; i < lines->n; i++)
        dm_value_append(arena, rows, lines->examples[i].row);
    again = dm_dataset_of(own, "again", rows);
    cr_expect(dm_hash_eq(&lines->fingerprint, &again->fingerprint));
    dm_arena_free(own);
    dm_buf_free(&text);
}

/* What is written for a spreadsheet: no cell is a formula there, and each comes back as it was, but
 * for the apostrophe. */
Test(data, csv_cells_are_no_formulas)
{
    static const struct {
        const char *text, *cell;
    } rows[] = {{"seed -2", "seed -2"},
                {"=1+1", "\"'=1+1\""},
                {"+cmd|' /C calc'!A0", "\"'+cmd|' /C calc'!A0\""},
                {"-2+3", "\"'-2+3\""},
                {"-x", "\"'-x\""},
                {"-", "\"'-\""},
                {"@SUM(A1)", "\"'@SUM(A1)\""},
                {"\t=1", "\"'\t=1\""},
                {"\n=1", "\"'\n=1\""},
                {"\r=1", "\\x0d=1"},
                {" =1", "\"' =1\""},
                {"\"=1\"", "\"'\"\"=1\"\"\""},
                {"'=1", "\"''=1\""},
                {"\xEF\xBC\x9D"
                 "1",
                 "\"'\xEF\xBC\x9D"
                 "1\""},
                {"\xEF\xBC\x8B", "\"'\xEF\xBC\x8B\""},
                {"\xEF\xBC\x8D", "\"'\xEF\xBC\x8D\""},
                {"\xEF\xBC\xA0", "\"'\xEF\xBC\xA0\""},
                {"\xE2\x80\x9D=1", "\"'\xE2\x80\x9D=1\""},
                {"\xEF\xBB\xBF=1", "\\ufeff=1"},
                {"-1", "-1"},
                {"-0.5", "-0.5"},
                {"+3", "+3"},
                {"-1.5e-3", "-1.5e-3"},
                {"-.5", "-.5"},
                {"-1e", "\"'-1e\""},
                {"-1 ", "\"'-1 \""},
                {"0.25", "0.25"},
                {"", ""},
                {"a,b", "\"a,b\""},
                {"a;=1", "\"a;=1\""},
                {"say \"x\"", "\"say \"\"x\"\"\""},
                {"two\nlines", "\"two\nlines\""},
                {"1.0 2.3", "1.0 2.3"},
                {"\x1b[1m", "\\x1b[1m"}};
    dm_arena *a = dm_arena_new(0);
    dm_buf all;
    dm_buf_init(&all, 1 << 20);
    dm_buf_text(&all, "n,cell,end\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t from = all.len;
        dm_csv_put(&all, dm_str_of(rows[i].text));
        cr_expect(dm_str_is((dm_str){all.data + from, all.len - from}, rows[i].cell), "%s: %s",
                  rows[i].text, all.data + from);
        all.len = from;
        dm_buf_printf(&all, "%zu,", i);
        dm_csv_put(&all, dm_str_of(rows[i].text));
        dm_buf_text(&all, ",end\n");
    }
    dm_value *read = dm_value_list(a);
    cr_assert_eq(dm_csv_parse(a, "x.csv", dm_buf_view(&all), ',', read, NULL), DM_OK);
    cr_assert_eq(read->n, sizeof rows / sizeof *rows);
    for (size_t i = 0; i < read->n; i++) {
        const char *got = dm_value_get(read->items[i], "cell")->text.p;
        bool guarded = strncmp(rows[i].cell, "\"'", 2) == 0, shown = strchr(rows[i].cell, '\\');
        cr_expect_str_eq(got + guarded, shown ? rows[i].cell : rows[i].text, "row %zu", i);
        cr_expect_str_eq(dm_value_get(read->items[i], "end")->text.p, "end");
    }
    dm_buf_free(&all);
    dm_arena_free(a);
}
