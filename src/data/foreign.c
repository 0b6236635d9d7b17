#include "data/foreign.h"
#include "base/show.h"
#include "base/utf8.h"
#include "data/packed.h"

#include <stdio.h>
#include <string.h>

typedef enum remedy {
    FROM_HF, /* scripts/from-hf reads it */
    UNPACK,  /* a program unpacks it: `tool` */
    SAY      /* `tool` is the sentence */
} remedy;

typedef struct kind {
    const char *start; /* its first bytes; letters alone may begin a text too */
    size_t n;
    const char *is; /* "this is ..." */
    remedy remedy;
    const char *tool;
} kind;

#define START(text) (text), sizeof(text) - 1
#define WEB_PAGE(s)                                                                                \
    {                                                                                              \
        START(s), "a web page", SAY, "download the data itself (a login may have been in the way)" \
    }
static const kind kinds[] = {
    {START("PAR1"), "a Parquet file", FROM_HF, NULL},
    {START("ARROW1"), "an Arrow file", FROM_HF, NULL},
    {START("\xFF\xFF\xFF\xFF"), "an Arrow stream", FROM_HF, NULL},
    {START("FEA1"), "a Feather file", FROM_HF, NULL},
    {START("ORC"), "an ORC file", FROM_HF, NULL},
    {START("\x1f\x8b"), "a gzip file inside another packed one", UNPACK, "gunzip -k"},
    {START("\x28\xb5\x2f\xfd"), "a Zstandard file inside another packed one", UNPACK, "unzstd"},
    {START("BZh"), "a bzip2 file", UNPACK, "bunzip2 -k"},
    {START("\xFD"
           "7zXZ\0"),
     "an xz file", UNPACK, "unxz -k"},
    {START("\x04\x22\x4D\x18"), "an lz4 file", UNPACK, "unlz4"},
    {START("7z\xBC\xAF\x27\x1C"), "a 7z archive", UNPACK, "7z x"},
    {START("Rar!"), "a RAR archive", UNPACK, "unrar x"},
    {START("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"), "an old Excel workbook (.xls)", SAY,
     "save it as CSV UTF-8 in a spreadsheet program"},
    {START("SQLite format 3"), "an SQLite database", SAY,
     "sqlite3 -header -csv FILE 'select * from TABLE' > NEW.csv writes a table of it as CSV"},
    {START("\x89HDF"), "an HDF5 file", SAY,
     "in Python, pandas.read_hdf(FILE).to_json(NEW, orient=\"records\", lines=True) writes it as "
     "JSON Lines"},
    {START("\x93NUMPY"), "a NumPy array", SAY, "write its rows as JSON Lines, with names"},
    {START("Obj\x01"), "an Avro file", SAY, "write its rows as JSON Lines"},
    {START("%PDF"), "a PDF", SAY, "a table of data is JSON Lines, JSON or CSV"},
    {START("version https://git-lfs"), "a Git LFS pointer, not the file itself", SAY,
     "git lfs pull fetches it"},
    WEB_PAGE("<!DOCTYPE html"),
    WEB_PAGE("<html"),
    WEB_PAGE("<head"),
    WEB_PAGE("<body"),
    WEB_PAGE("<table"),
    WEB_PAGE("<!--"),
    {START("<?xml"), "XML", SAY, "write its rows as JSON Lines"},
};

static dm_status tell(const char *name, const char *is, remedy how, const char *tool, dm_error *err)
{
    dm_buf b;
    dm_buf_init(&b, sizeof err->text);
    if (how == FROM_HF) {
        dm_buf_text(&b, "scripts/from-hf ");
        dm_put_word(&b, name);
        dm_buf_text(&b, " > NEW.jsonl writes it as JSON Lines");
    } else if (how == UNPACK) {
        dm_buf_printf(&b, "unpack it first: %s ", tool);
        dm_put_word(&b, name);
    } else {
        dm_buf_text(&b, tool);
    }
    dm_status st = dm_fail(err, DM_E_DATA, "%s: this is %s, which is not read: %s", name, is,
                           b.data ? b.data : "");
    dm_buf_free(&b);
    return st;
}

static bool has(dm_str s, const char *word)
{
    return memmem(s.p, s.n, word, strlen(word)) != NULL;
}

static dm_status check_zip(const char *name, dm_str s, dm_error *err)
{
    if (has(s, "xl/workbook") || has(s, "xl/worksheets"))
        return tell(name, "an Excel workbook", FROM_HF, NULL, err);
    if (has(s, "opendocument.spreadsheet"))
        return tell(name, "an OpenDocument spreadsheet", SAY,
                    "save it as CSV UTF-8 in a spreadsheet program", err);
    return tell(name, "a zip archive", UNPACK, "unzip", err);
}

/* "---", or a list of "- key: value", in a file that is not called a table. */
static bool is_yaml(const char *name, dm_str s)
{
    if (dm_is_named(name, ".yaml") || dm_is_named(name, ".yml"))
        return true;
    if (dm_is_named(name, ".csv") || dm_is_named(name, ".tsv"))
        return false;
    s = dm_py_lstrip(s);
    const char *end = s.n ? memchr(s.p, '\n', s.n) : NULL;
    dm_str line = dm_py_rstrip((dm_str){s.p, end ? (size_t)(end - s.p) : s.n});
    return dm_str_is(line, "---") ||
           (dm_str_starts(line, "- ") && (has(line, ": ") || line.p[line.n - 1] == ':'));
}

/* Python's: protocol 2 to 5, and a full stop at the end. */
static bool is_pickle(dm_str s)
{
    return s.n > 3 && s.p[0] == '\x80' && s.p[1] >= 2 && s.p[1] <= 5 && s.p[s.n - 1] == '.';
}

/* Without a mark and blanks before it. */
static dm_str text_in(dm_str s)
{
    s = dm_str_past_mark(s);
    while (s.n && strchr(" \t\r\n", *s.p) && *s.p)
        s.p++, s.n--;
    return s;
}

static bool begins_so(dm_str s, dm_str text, const kind *k, bool binary)
{
    if (k->start[0] == '<' || k->start[0] == 'v')
        return text.n >= k->n && strncasecmp(text.p, k->start, k->n) == 0;
    return s.n >= k->n && binary && memcmp(s.p, k->start, k->n) == 0;
}

/* A line of nothing but dashes and what crosses them: "|---|:--:|", "---+---", "+---+". */
static bool is_ruler(dm_str line)
{
    bool crossed = false;
    for (size_t i = 0; i < line.n; i++) {
        if (!line.p[i] || !strchr(" \t\r|+:-=", line.p[i]))
            return false;
        crossed |= line.p[i] == '|' || line.p[i] == '+';
    }
    return crossed && (has(line, "---") || has(line, "==="));
}

/* Markdown's, psql's or mysql's: one of the first two lines is a ruler, or the first is a corner of
 * a box (U+250C, U+2554). */
static bool is_drawn(dm_str text)
{
    for (int i = 0; i < 2 && text.n; i++) {
        const char *end = memchr(text.p, '\n', text.n);
        dm_str line = {text.p, end ? (size_t)(end - text.p) : text.n};
        if (is_ruler(line) || dm_str_starts(line, "\xE2\x94\x8C") ||
            dm_str_starts(line, "\xE2\x95\x94"))
            return true;
        text = (dm_str){text.p + line.n + (end != NULL), text.n - line.n - (end != NULL)};
    }
    return false;
}

dm_status dm_foreign_check(const char *name, dm_str s, dm_error *err)
{
    bool binary = s.n && (memchr(s.p, 0, s.n) || dm_utf8_valid(s) < s.n);
    dm_str text = text_in(s);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (begins_so(s, text, &kinds[i], binary))
            return tell(name, kinds[i].is, kinds[i].remedy, kinds[i].tool, err);
    if (s.n >= 4 && memcmp(s.p, "PK\3\4", 4) == 0)
        return check_zip(name, s, err);
    if (s.n > 262 && memcmp(s.p + 257, "ustar", 5) == 0)
        return tell(name, "a tar archive", UNPACK, "tar xf", err);
    if (is_pickle(s))
        return tell(name, "a Python pickle", SAY,
                    "in Python, pandas.read_pickle(FILE).to_json(NEW, orient=\"records\", "
                    "lines=True) writes a table as JSON Lines",
                    err);
    if (is_drawn(text))
        return tell(name, "a table that is drawn for people, with lines", SAY,
                    "export it as CSV (psql --csv, mysql --batch), or write its rows as JSON Lines",
                    err);
    if (is_yaml(name, s))
        return tell(name, "YAML", FROM_HF, NULL, err);
    return DM_OK;
}
