/* What other programs export: each file is read as the rows that it has, or refused in a sentence.
 */
#include "rows.h"

#include "data/packed.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

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

TestSuite(exports, .init = set_up, .fini = tear_down);

/* The rows as one line of JSON each; or the error. */
static const char *rows_of(const char *name, dm_str text)
{
    dm_error err = {DM_OK, ""};
    dm_dataset *d = NULL;
    if (dm_dataset_parse(arena, name, text, DM_FORMAT_GUESS, &d, &err) != DM_OK)
        return dm_arena_printf(arena, "%s", err.text);
    return json_lines(arena, d);
}

#define TWO     "{\"q\":\"x\",\"a\":1}\n{\"q\":\"y\",\"a\":2}\n"
#define TEXTS   "{\"q\":\"x\",\"a\":\"1\"}\n{\"q\":\"y\",\"a\":\"2\"}\n"
#define RECORDS "to_json(FILE, orient=\"records\", lines=True)"
#define AS_ONE  "if it is one example, write it as [{...}]"

typedef struct file {
    const char *name, *text, *want;
} file;

static void expect_all(const file *table, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *got = rows_of(table[i].name, dm_str_of(table[i].text));
        cr_expect_str_eq(got, table[i].want, "%zu: %s", i, got);
    }
}

/* df.to_json() of pandas 2 with each orient, under any name, on one line or on many. */
Test(exports, pandas_json)
{
    static const file table[] = {
        {"d.json", "{\"q\":{\"0\":\"x\",\"1\":\"y\"},\"a\":{\"0\":1,\"1\":2}}", TWO},
        {"d.jsonl", "{\"q\":{\"0\":\"x\",\"1\":\"y\"},\"a\":{\"0\":1,\"1\":2}}\n", TWO},
        {"d",
         "{\n  \"q\":{\n    \"7\":\"x\",\n    \"3\":\"y\"\n  },\n  \"a\":{\n    \"7\":1,\n"
         "    \"3\":2\n  }\n}",
         TWO},
        {"d.json", "{\"q\":{\"0\":\"x\"},\"a\":{\"0\":null}}", "{\"q\":\"x\",\"a\":null}\n"},
        {"d.json", "{\"q\":{\"1609459200000\":\"x\",\"1609545600000\":\"y\"}}",
         "{\"q\":\"x\"}\n{\"q\":\"y\"}\n"},
        {"d.json", "{\"0\":{\"q\":\"x\",\"a\":1},\"1\":{\"q\":\"y\",\"a\":2}}", TWO},
        {"d.jsonl", "{\"5\":{\"q\":\"x\",\"a\":1},\"-2\":{\"q\":\"y\",\"a\":2}}", TWO},
        {"d.json", "[{\"q\":\"x\",\"a\":1},{\"q\":\"y\",\"a\":2}]", TWO},
        {"d.jsonl", "{\"q\":\"x\",\"a\":1}\n{\"q\":\"y\",\"a\":2}\n", TWO},
        {"d.json", "{\"columns\":[\"q\",\"a\"],\"index\":[0,1],\"data\":[[\"x\",1],[\"y\",2]]}",
         TWO},
        {"d.jsonl", "{\"columns\":[\"q\",\"a\"],\"data\":[[\"x\",1],[\"y\",2]]}", TWO},
        {"d.json",
         "{\"schema\":{\"fields\":[{\"name\":\"index\",\"type\":\"integer\"},{\"name\":\"q\","
         "\"type\":\"string\"},{\"name\":\"a\",\"type\":\"integer\"}],\"primaryKey\":[\"index\"],"
         "\"pandas_version\":\"1.4.0\"},\"data\":[{\"index\":0,\"q\":\"x\",\"a\":1},{\"index\":1,"
         "\"q\":\"y\",\"a\":2}]}",
         TWO},
        {"d.json",
         "{\"schema\":{\"fields\":[{\"name\":\"q\"},{\"name\":\"a\"}],\"primaryKey\":[\"q\"]},"
         "\"data\":[{\"q\":\"x\",\"a\":1},{\"q\":\"y\",\"a\":2}]}",
         TWO},
        {"d.json", "[[\"x\",1],[\"y\",2]]",
         "d.json:1:2: a row without the names of its columns: each element has to be an object "
         "{...} "
         "(with pandas, orient=\"records\")"},
        {"d.json", "{\"q\":{\"i\":\"x\",\"j\":\"y\"},\"a\":{\"i\":1,\"j\":2}}",
         "d.json:1:1: an object of objects: which are the columns, which the rows? With "
         "pandas, " RECORDS "; " AS_ONE},
        {"d.json", "{\"0\":{\"0\":\"x\",\"1\":\"y\"},\"1\":{\"0\":1,\"1\":2}}",
         "d.json:1:1: an object of objects whose keys are numbers at both levels: which are the "
         "columns? With pandas, " RECORDS},
        {"d.json", "{\"q\":[\"x\",\"y\"],\"a\":[1,2]}",
         "d.json:1:1: an object of lists of equal length: are they columns? With "
         "pandas, " RECORDS "; " AS_ONE},
        {"d.json", "{\"q\":[\"x\"],\"a\":[1]}",
         "d.json:1:1: an object of lists of equal length: are they columns? With "
         "pandas, " RECORDS "; " AS_ONE},
        {"d.jsonl", "{\"q\":[\"x\"],\"a\":[1]}", "{\"q\":[\"x\"],\"a\":[1]}\n"},
        {"d.json", "\"{\\\"q\\\":{\\\"0\\\":1}}\"",
         "d.json:1:1: JSON inside a JSON string: it was written twice (json.dumps of what "
         "to_json() "
         "gave); write that text itself"},
        {"d.json", "{\"columns\":[\"q\",\"a\"],\"index\":[0],\"data\":[[\"x\"]]}",
         "d.json:1:42: each row of `data` has to be a list with a value for each of `columns`"}};
    expect_all(table, COUNT(table));
}

/* What looks like a table and is one example, or the other way round. */
Test(exports, other_json)
{
    static const file table[] = {
        {"d.jsonl", "{\n \"q\": \"x\",\n \"a\": 1\n}\n{\n \"q\": \"y\",\n \"a\": 2\n}\n", TWO},
        {"d.jsonl", "{\"q\": \"x\", \"a\": 1}\n{\n \"q\": \"y\",\n \"a\": 2}", TWO},
        {"d.json", "{\n \"q\": \"x\",\n \"a\": [{\"b\":\n 1}]}\n\n{\"q\": 1}",
         "{\"q\":\"x\",\"a\":[{\"b\":1}]}\n{\"q\":1}\n"},
        {"d.jsonl", "[\n {\"q\": \"x\", \"a\": 1},\n {\"q\": \"y\", \"a\": 2}\n]\n", TWO},
        {"d.ndjson", " [{\"q\":\"x\",\"a\":1},{\"q\":\"y\",\"a\":2}]", TWO},
        {"d.jsonl", "[{\"q\":1}]\n[{\"q\":2}]\n",
         "d.jsonl:1:1: each line has to be an object {...}; a list has no names of columns"},
        {"d.jsonl", "[\"q\",\"a\"]\n[\"x\",1]\n",
         "d.jsonl:1:1: each line has to be an object {...}; a list has no names of columns"},
        {"d.json",
         "{\n \"version\": \"1.1\",\n \"data\": [{\"title\": \"t\"}, {\"title\": \"u\"}]}",
         "d.json:1:1: one object, and `data` in it is a list of 2: if those are the examples, jq "
         "-c "
         "'.[\"data\"][]' OLD > NEW.jsonl writes them one a line; " AS_ONE},
        {"d.json", "{\"train\": [{\"q\": \"x\"}], \"test\": [{\"q\": \"y\"}]}",
         "d.json:1:1: one object, and `train` in it is a list of 1: if those are the examples, jq "
         "-c '.[\"train\"][]' OLD > NEW.jsonl writes them one a line; " AS_ONE},
        {"d.json",
         "{\"features\": [{\"name\": \"q\"}], \"rows\": [{\"row_idx\": 0, \"row\": {\"q\": "
         "\"x\"}, \"truncated_cells\": []}]}",
         "d.json:1:1: one object, and `rows` in it is a list of 1: if those are the examples, jq "
         "-c '.[\"rows\"][].row' OLD > NEW.jsonl writes them one a line; " AS_ONE},
        {"d.json", "{\"columns\": [{\"id\": 1}], \"records\": [{\"q\": 1}, {\"q\": 2}]}",
         "d.json:1:1: one object, and `records` in it is a list of 2: if those are the examples, "
         "jq "
         "-c '.[\"records\"][]' OLD > NEW.jsonl writes them one a line; " AS_ONE},
        {"d.jsonl",
         "{\"messages\":[{\"role\":\"user\"},{\"role\":\"assistant\"}],"
         "\"tools\":[{\"n\":1},{\"n\":2}]}\n",
         "{\"messages\":[{\"role\":\"user\"},{\"role\":\"assistant\"}],\"tools\":[{\"n\":1},"
         "{\"n\":2}]}\n"},
        {"d.jsonl", "{\"messages\":[{\"role\":\"user\"}],\"a\":1}\n",
         "{\"messages\":[{\"role\":\"user\"}],\"a\":1}\n"},
        {"d.jsonl", "{\"context\":[\"p\",\"r\"],\"q\":\"x\"}",
         "{\"context\":[\"p\",\"r\"],\"q\":\"x\"}\n"},
        {"d.jsonl", "{\"record\":{\"name\":\"n\"}}", "{\"record\":{\"name\":\"n\"}}\n"},
        {"d.json", "{\"q\":\"x\",\"a\":1}", "{\"q\":\"x\",\"a\":1}\n"},
        {"d.json", "[{\"q\":{\"0\":\"x\"},\"a\":{\"0\":1}}]",
         "{\"q\":{\"0\":\"x\"},\"a\":{\"0\":1}}\n"},
        {"d.jsonl", "{\"q\":{\"0\":\"x\"}}\n{\"q\":{\"0\":\"y\"}}\n",
         "{\"q\":{\"0\":\"x\"}}\n{\"q\":{\"0\":\"y\"}}\n"},
        {"d.jsonl", "{\"q\":\"x\",\"a\":1}\r{\"q\":\"y\",\"a\":2}\r", TWO},
        {"d.jsonl", "\xEF\xBB\xBF{\"q\":\"x\",\"a\":1}\n{\"q\":\"y\",\"a\":2}", TWO}};
    expect_all(table, COUNT(table));
}

Test(exports, cells)
{
    static const file table[] = {
        /* df.to_csv(), shuffled, read and written again; R's write.csv */
        {"d.csv", ",q,a\n0,x,1\n1,y,2\n", TEXTS},
        {"d.csv", ",q,a\n17,x,1\n3,y,2\n", TEXTS},
        {"d.csv", ",Unnamed: 0,q,a\n0,0,x,1\n1,5,y,2\n", TEXTS},
        {"d.csv", "Unnamed: 0.1,Unnamed: 0,q,a\n0,0,x,1\n1,5,y,2\n", TEXTS},
        {"d.csv", "\"\",\"q\",\"a\"\n\"1\",\"x\",\"1\"\n\"2\",\"y\",\"2\"\n", TEXTS},
        {"d.csv", "Unnamed: 0,q\nmy,x\n", "{\"Unnamed: 0\":\"my\",\"q\":\"x\"}\n"},
        {"d.tsv", "\tq\ta\n0\tx\t1\n1\ty\t2\n", TEXTS},
        {"d.csv", "q,,a\nx,5,1\ny,6,2\n",
         "d.csv:1: column 2 has no name in the header row, and \"5\" in line 2: name it, or leave "
         "it "
         "out"},
        /* Excel */
        {"d.csv", "sep=;\nq;a\nx;1\ny;2\n", TEXTS},
        {"d.csv", "\xEF\xBB\xBFsep=;\r\nq;a\r\nx;1\r\ny;2\r\n", TEXTS},
        {"d.csv", "\"sep=|\"\nq|a\nx|1\ny|2\n", TEXTS},
        {"d.csv", "SEP=\t\nq\ta\nx\t1\ny\t2\n", TEXTS},
        {"d.csv", "sep=,\nq;a,b\nx,1\n", "{\"q;a\":\"x\",\"b\":\"1\"}\n"},
        {"d.csv", "q,a\nx,1\ny,2\n,\n,\n", TEXTS},
        {"d.csv", "q,a\r\n,\r\nx,1\r\n , \r\ny,2\r\n,,,\r\n", TEXTS},
        {"d.csv", ",,\nq,a,\nx,1,\ny,2,\n", TEXTS},
        {"d.csv", "q,a,,\nx,1,,\ny,2,,\n", TEXTS},
        {"d.csv", "q,a\nx,1,,\ny,2,\n", TEXTS},
        {"d.csv", "q,a\rx,1\ry,2\r", TEXTS},
        {"d.csv", "q;a\nx;1\ny;2\n;\n", TEXTS},
        {"d.csv", "q\ta\nx\t1\ny\t2\n", TEXTS},
        {"d.csv", "q|a\nx|1\ny|2\n", TEXTS},
        {"d.tsv", "q,a\nx,1\ny,2\n", TEXTS},
        {"d.CSV", "q, a\nx,1\ny,2\n", TEXTS},
        {"d.csv", "\"q, or so\";a\nx;1\n", "{\"q, or so\":\"x\",\"a\":\"1\"}\n"},
        {"d.csv", "q;a, b\nx;1\ny, z;2\n",
         "{\"q\":\"x\",\"a, b\":\"1\"}\n{\"q\":\"y, z\",\"a, b\":\"2\"}\n"},
        {"d.csv", "q,a\n\"x; y\",\"1\n2\"\n", "{\"q\":\"x; y\",\"a\":\"1\\n2\"}\n"},
        {"d.csv", "q,a\n,1\nx,\n", "{\"q\":\"\",\"a\":\"1\"}\n{\"q\":\"x\",\"a\":\"\"}\n"},
        {"d.csv", ",\n,\n", "d.csv: there is no example in it"},
        {"d.csv", "sep=;\n", "d.csv: there is no example in it"}};
    expect_all(table, COUNT(table));
}

Test(exports, other_encodings)
{
    static const char csv[] = "q\ta\r\nx\xE4\t1\r\n", json[] = "{\"q\":\"x\"}\n";
    static const char *const marks[] = {"\xFF\xFE", "\xFE\xFF", "", ""};
    for (int form = 0; form < 4; form++)
        for (int which = 0; which < 2; which++) {
            const char *text = which ? json : csv;
            char wide[100];
            size_t n = strlen(marks[form]);
            memcpy(wide, marks[form], n);
            for (; *text; text++) {
                wide[n + !(form & 1)] = 0;
                wide[n + (form & 1)] = *text;
                n += 2;
            }
            cr_expect_str_eq(rows_of(which ? "d.jsonl" : "d.csv", (dm_str){wide, n}),
                             which ? "{\"q\":\"x\"}\n" : "{\"q\":\"x\xC3\xA4\",\"a\":\"1\"}\n");
            cr_expect_str_eq(rows_of("d", (dm_str){wide, n - 1}),
                             "d: this is UTF-16 that is cut short or damaged, or not text");
        }
}

#define BYTES(text)                                                                                \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }
#define PAGE(name)                                                                                 \
    name ": this is a web page, which is not read: download the data itself (a login may have "    \
         "been in the way)"
#define DRAWN(name)                                                                                \
    name ": this is a table that is drawn for people, with lines, which is not read: export it "   \
         "as CSV (psql --csv, mysql --batch), or write its rows as JSON Lines"
Test(exports, foreign_files_are_named)
{
    static const struct {
        const char *name;
        dm_str text;
        const char *want;
    } table[] = {
        {"x.parquet", BYTES("PAR1\x15\0PAR1"),
         "x.parquet: this is a Parquet file, which is not read: scripts/from-hf x.parquet > "
         "NEW.jsonl "
         "writes it as JSON Lines"},
        {"my data.jsonl", BYTES("PAR1\x15\0PAR1"),
         "my data.jsonl: this is a Parquet file, which is not read: scripts/from-hf 'my "
         "data.jsonl' > "
         "NEW.jsonl writes it as JSON Lines"},
        {"x.xlsx", BYTES("PK\3\4\x14\0[Content_Types].xml xl/workbook.xml"),
         "x.xlsx: this is an Excel workbook, which is not read: scripts/from-hf x.xlsx > NEW.jsonl "
         "writes it as JSON Lines"},
        {"x.csv", BYTES("PK\3\4\x14\0inner.csv"),
         "x.csv: this is a zip archive, which is not read: unpack it first: unzip x.csv"},
        {"x.xls", BYTES("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1\0"),
         "x.xls: this is an old Excel workbook (.xls), which is not read: save it as CSV UTF-8 in "
         "a "
         "spreadsheet program"},
        {"x.yaml", BYTES("- q: x\n  a: y\n"),
         "x.yaml: this is YAML, which is not read: scripts/from-hf x.yaml > NEW.jsonl writes it as "
         "JSON Lines"},
        {"x.yaml.gz", BYTES("- q: x\n  a: y\n"), /* unpacked by now */
         "x.yaml.gz: this is YAML, which is not read: scripts/from-hf x.yaml.gz > NEW.jsonl writes "
         "it as JSON Lines"},
        {"x.txt", BYTES("---\nq: x\n"),
         "x.txt: this is YAML, which is not read: scripts/from-hf x.txt > NEW.jsonl writes it as "
         "JSON "
         "Lines"},
        {"x.bz2", BYTES("BZh91AY&SY\0"),
         "x.bz2: this is a bzip2 file, which is not read: unpack it first: bunzip2 -k x.bz2"},
        {"x.arrow", BYTES("\xFF\xFF\xFF\xFF\x10\0"),
         "x.arrow: this is an Arrow stream, which is not read: scripts/from-hf x.arrow > NEW.jsonl "
         "writes it as JSON Lines"},
        {"x.jsonl", BYTES("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
         "x.jsonl: this is a Git LFS pointer, not the file itself, which is not read: git lfs pull "
         "fetches it"},
        {"x.csv", BYTES("<!doctype html><html>"),
         "x.csv: this is a web page, which is not read: download the data itself (a login may have "
         "been in the way)"},
        {"x.pkl", BYTES("\x80\x04\x95\0."),
         "x.pkl: this is a Python pickle, which is not read: in Python, "
         "pandas.read_pickle(FILE).to_json(NEW, orient=\"records\", lines=True) writes a table as "
         "JSON Lines"},
        {"x.html", BYTES("\n  <!DOCTYPE html>\n<html>"), PAGE("x.html")},
        {"x.csv", BYTES("\xEF\xBB\xBF<!-- saved --><html>"), PAGE("x.csv")},
        {"x.csv", BYTES("<table border=\"1\" class=\"dataframe\">\n<tr>"), PAGE("x.csv")},
        {"x.md", BYTES("| q | a |\n|---|:--:|\n| x | 1 |\n"), DRAWN("x.md")},
        {"x.csv", BYTES("q | a\r\n--- | ---\r\nx | 1\r\n"), DRAWN("x.csv")},
        {"x.csv", BYTES("\n| q | a |\n| :------- | ---: |\n| x | 1 |\n"), DRAWN("x.csv")},
        {"x.txt", BYTES(" q | a \n---+---\n x | 1\n(1 row)\n"), DRAWN("x.txt")},
        {"x.csv", BYTES("+---+---+\n| q | a |\n+---+---+\n| x | 1 |\n+---+---+\n"), DRAWN("x.csv")},
        {"x.csv",
         BYTES("\xE2\x94\x8C\xE2\x94\x80\xE2\x94\x80\xE2\x94\x90\n\xE2\x94\x82 q "
               "\xE2\x94\x82\n"),
         DRAWN("x.csv")},
        {"x.csv", BYTES("q|a\n-|-\nx|1\n"),
         "{\"q\":\"-\",\"a\":\"-\"}\n{\"q\":\"x\",\"a\":\"1\"}\n"},
        {"x.csv", BYTES("q,a\n---,---\n"), "{\"q\":\"---\",\"a\":\"---\"}\n"},
        {"x.csv", BYTES("<b>q</b>,a\nx,1\n"), "{\"<b>q</b>\":\"x\",\"a\":\"1\"}\n"},
        {"x.csv", BYTES("ORCHID,a\nx,1\n"), "{\"ORCHID\":\"x\",\"a\":\"1\"}\n"},
        {"x.csv", BYTES("- q: x,a\ny,1\n"), "{\"- q: x\":\"y\",\"a\":\"1\"}\n"}};
    for (size_t i = 0; i < COUNT(table); i++) {
        const char *got = rows_of(table[i].name, table[i].text);
        cr_expect_str_eq(got, table[i].want, "%s", got);
    }
}

/* A table that begins like YAML is one by its name, packed or not. */
Test(exports, names_behind_what_packed_them)
{
    static const char *const names[] = {"x.csv", "x.csv.gz", "x.CSV.zst"};
    for (size_t i = 0; i < COUNT(names); i++)
        cr_expect_str_eq(rows_of(names[i], DM_STR("- a: b,message\n1,2\n")),
                         "{\"- a: b\":\"1\",\"message\":\"2\"}\n", "%s", names[i]);
    cr_expect(dm_is_named("a.csv.gz", ".csv") && dm_is_named("A.CSV", ".csv") &&
              !dm_is_named("a.csv.gz.gz", ".csv") && !dm_is_named("csv", ".csv"));
}

/* ---- packed ---- */

static size_t gzip(const char *text, size_t n, char *out, size_t room)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)text, .avail_in = (uInt)n};
    cr_assert_eq(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_out = (Bytef *)out;
    z.avail_out = (uInt)room;
    cr_assert_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return room - z.avail_out;
}

static size_t pack(bool zstd, const char *text, size_t n, char *out, size_t room)
{
    return zstd ? ZSTD_compress(out, room, text, n, 9) : gzip(text, n, out, room);
}

Test(exports, packed)
{
    static const char text[] = "q,a\nx,1\n", more[] = "y,2\n";
    for (int zstd = 0; zstd < 2; zstd++) {
        char packed[1000], path[] = "/tmp/dm-packed-XXXXXX.csv.gz";
        size_t n = pack(zstd, text, strlen(text), packed, sizeof packed);
        n += pack(zstd, more, strlen(more), packed + n, sizeof packed - n);
        dm_error err = {DM_OK, ""};
        dm_dataset *d = NULL;
        int fd = mkstemps(path, 7);
        cr_assert_eq(write(fd, packed, n), (ssize_t)n);
        cr_expect_eq(dm_dataset_read(arena, path, &d, &err), DM_OK, "%s", err.text);
        cr_assert(d && d->n == 2 && d->cells, "members and frames follow one another");
        cr_expect(dm_value_equal(dm_value_get(d->examples[1].row, "a"), dm_value_text(arena, "2")));
        for (size_t cut = 4; cut < n; cut++) { /* at each byte: never half of the rows */
            dm_buf out;
            dm_buf_init(&out, 1000);
            dm_status st = dm_unpack(&out, "d", (dm_str){packed, cut}, &err);
            bool whole = st == DM_OK && dm_str_is(dm_buf_view(&out), text);
            cr_expect(whole || (st == DM_E_DATA && strstr(err.text, "cut short or damaged")),
                      "%d, %zu: %d %s", zstd, cut, st, err.text);
            dm_buf_free(&out);
        }
        close(fd);
        unlink(path);
    }
}

/* A bomb costs what the ceiling allows, whatever it would become; to the byte. */
Test(exports, bombs_are_bounded)
{
    size_t n = 3 << 20;
    char *zeros = dm_alloc(n), *packed = dm_alloc(n);
    for (int zstd = 0; zstd < 2; zstd++) {
        size_t size = pack(zstd, zeros, n, packed, n);
        for (int room = -1; room <= 1; room++) {
            dm_buf out;
            dm_error err = {DM_OK, ""};
            dm_buf_init(&out, n + (size_t)room);
            dm_status st = dm_unpack(&out, "d.gz", (dm_str){packed, size}, &err);
            cr_expect_eq(st, room < 0 ? DM_E_LIMIT : DM_OK, "%s", err.text);
            cr_expect_eq(out.len, n + (size_t)(room < 0 ? room : 0));
            if (room < 0)
                cr_expect_str_eq(err.text, "d.gz: larger than 3145727 bytes when it is unpacked: "
                                           "split it into smaller files");
            dm_buf_free(&out);
        }
    }
    free(zeros);
    free(packed);
}
