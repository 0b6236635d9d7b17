#include "data/dataset.h"
#include "base/utf8.h"
#include "data/csv.h"
#include "data/foreign.h"
#include "data/packed.h"
#include "data/shapes.h"
#include "json/json.h"

#include <stdlib.h>
#include <string.h>

static const char *id_of(dm_arena *a, const dm_value *row, size_t number)
{
    const dm_value *id = dm_value_get(row, "id");
    if (!id || (id->kind != DM_STRING && id->kind != DM_INT))
        return dm_arena_printf(a, "row %zu", number);
    return id->text.p;
}

/* Labels repeat: what a column had a few rows ago is not copied again. */
#define KEPT_COLUMNS 16
#define KEPT_VALUES  8
typedef struct kept {
    const dm_value *values[KEPT_COLUMNS][KEPT_VALUES];
    unsigned next[KEPT_COLUMNS];
} kept;

static const dm_value *copy_value(dm_arena *a, kept *k, size_t column, const dm_value *v)
{
    if (v->kind != DM_STRING)
        return dm_value_copy(a, v);
    for (size_t i = 0; i < KEPT_VALUES; i++)
        if (k->values[column][i] && dm_str_eq(k->values[column][i]->text, v->text))
            return k->values[column][i];
    return k->values[column][k->next[column]++ % KEPT_VALUES] = dm_value_copy(a, v);
}

/* A row that outlives what it was read from; keys are shared with the row before where they are the
 * same. */
static const dm_value *copy_row(dm_arena *a, kept *k, const dm_value *row, const dm_value *last)
{
    if (row->n > KEPT_COLUMNS) /* it has an index too */
        return dm_value_copy_like(a, row, last);
    dm_value *copy = dm_value_dict(a);
    copy->line = row->line;
    copy->column = row->column;
    copy->n = copy->cap = row->n;
    copy->members = dm_arena_alloc_n(a, row->n, sizeof *copy->members);
    for (size_t i = 0; i < row->n; i++) {
        dm_str key = row->members[i].key;
        bool same = last && i < last->n && dm_str_eq(last->members[i].key, key);
        copy->members[i].key =
            same ? last->members[i].key : (dm_str){dm_arena_string(a, key.p, key.n), key.n};
        copy->members[i].value = copy_value(a, k, i, row->members[i].value);
    }
    return copy;
}

/* Rows are copied, so that what read them may go, unless they are in the arena already. */
static dm_dataset *make_set(dm_arena *a, const char *path, const dm_value *rows, bool here)
{
    dm_dataset *d = dm_arena_alloc(a, sizeof *d);
    dm_sha256 s;
    kept k = {0};
    dm_sha256_init(&s);
    d->path = path;
    d->n = rows->n;
    d->examples = dm_arena_alloc_n(a, d->n, sizeof *d->examples);
    for (size_t i = 0; i < d->n; i++) {
        const dm_value *row = rows->items[i];
        if (!here)
            row = copy_row(a, &k, row, i ? d->examples[i - 1].row : NULL);
        d->examples[i] = (dm_example){row, dm_json_hash(row), id_of(a, row, i + 1)};
        dm_sha256_add(&s, d->examples[i].fingerprint.b, sizeof(dm_hash));
    }
    d->fingerprint = dm_sha256_end(&s);
    return d;
}

dm_dataset *dm_dataset_of(dm_arena *a, const char *name, const dm_value *rows)
{
    return make_set(a, dm_arena_printf(a, "%s", name), rows, false);
}

/* ---- reading ---- */

static dm_status check_utf8(const char *name, dm_str text, dm_error *err)
{
    size_t bad = dm_utf8_valid(text), line = 1, start = 0;
    if (bad == text.n)
        return DM_OK;
    for (size_t i = 0; i < bad; i++)
        if (text.p[i] == '\n') {
            line++;
            start = i + 1;
        }
    size_t column = dm_utf8_length((dm_str){text.p + start, bad - start}) + 1;
    return dm_fail(err, DM_E_DATA,
                   "%s:%zu:%zu: byte 0x%02x is not valid UTF-8; convert the file to UTF-8", name,
                   line, column, (unsigned char)text.p[bad]);
}

/* A text that is read line by line. */
typedef struct lines {
    const char *name;
    dm_str rest;     /* from the next line on */
    uint32_t number; /* of the next line */
    dm_arena *reading;
    dm_error *err;
} lines;

static dm_str take_line(lines *l)
{
    const char *end = memchr(l->rest.p, '\n', l->rest.n);
    dm_str line = {l->rest.p, end ? (size_t)(end - l->rest.p) : l->rest.n};
    l->rest = (dm_str){l->rest.p + line.n + (end != NULL), l->rest.n - line.n - (end != NULL)};
    l->number++;
    return line;
}

/* An object that begins on a line and ends on a later one. `line` has shown not to be enough, and
 * l->err says so; where the lines after it do not help, that stays the error, unless the line is no
 * more than a bracket. */
static const dm_value *read_over_lines(lines *l, dm_str line, dm_str *behind)
{
    uint32_t number = l->number - 1;
    dm_str rest = {line.p, (size_t)(l->rest.p + l->rest.n - line.p)};
    dm_error further = {DM_OK, ""};
    const dm_value *v = dm_json_read_next(l->reading, &rest, &number, &further);
    if (!v) {
        if (dm_py_strip(line).n == 1 && l->err)
            *l->err = further;
        (void)dm_json_error_in(l->err, DM_E_DATA, l->name);
        return NULL;
    }
    const char *end = memchr(rest.p, '\n', rest.n);
    *behind = (dm_str){rest.p, end ? (size_t)(end - rest.p) : rest.n};
    l->rest = (dm_str){rest.p + behind->n + (end != NULL), rest.n - behind->n - (end != NULL)};
    l->number = number + 1;
    return v;
}

/* The next object; NULL in *row: an empty line. */
static dm_status parse_line(lines *l, const dm_value **row)
{
    dm_str line = take_line(l);
    uint32_t number = l->number - 1, at = number;
    *row = NULL;
    line = dm_str_past_mark(line); /* of a file that was appended to another */
    if (line.n > DM_MAX_LINE)
        return dm_fail(l->err, DM_E_DATA, "%s:%u:1: the line is longer than %zu MiB", l->name,
                       number, DM_MAX_LINE >> 20);
    if (dm_py_strip(line).n == 0)
        return DM_OK;
    dm_str rest = line;
    *row = dm_json_read_next(l->reading, &rest, &at, l->err);
    if (!*row && rest.n == 0)
        *row = read_over_lines(l, line, &rest);
    else if (!*row)
        (void)dm_json_error_in(l->err, DM_E_DATA, l->name);
    if (!*row)
        return DM_E_DATA;
    if (dm_py_strip(rest).n > 0) {
        const char *start = rest.p;
        while (start > line.p && start[-1] != '\n')
            start--;
        return dm_fail(l->err, DM_E_DATA,
                       "%s:%u:%zu: there is more text after the object: write one a line, with no "
                       "comma after it",
                       l->name, l->number - 1,
                       dm_utf8_length((dm_str){start, (size_t)(rest.p - start)}) + 1);
    }
    if ((*row)->kind != DM_DICT)
        return dm_fail(l->err, DM_E_DATA, "%s:%u:1: each line has to be an object {...}", l->name,
                       number);
    return DM_OK;
}

/* A file that holds one object alone may be a whole table. */
static dm_status look_at_only_one(dm_arena *keep, const char *name, dm_str text, dm_arena *a,
                                  dm_value *rows, dm_error *err)
{
    const dm_value *v = rows->items[0];
    bool lined = dm_is_named(name, ".jsonl") || dm_is_named(name, ".ndjson");
    dm_str inner = dm_py_strip(text);
    rows->n = 0;
    return dm_rows_of_object(keep, name, v, lined && !memchr(inner.p, '\n', inner.n), a, rows, err);
}

/* Each row is copied into `keep` at once: a large file is in memory once, not twice. */
static dm_status parse_objects(dm_arena *keep, const char *name, dm_str text, dm_arena *a,
                               dm_value *rows, dm_error *err)
{
    lines l = {name, text, 1, dm_arena_new(0), err};
    const dm_value *row, *last = NULL;
    kept k = {0};
    dm_status st = DM_OK;
    while (l.rest.n > 0 && st == DM_OK) {
        st = parse_line(&l, &row);
        if (st == DM_OK && row) {
            last = copy_row(keep, &k, row, last);
            dm_value_append(a, rows, last);
        }
        dm_arena_reset(l.reading);
    }
    dm_arena_free(l.reading);
    return st == DM_OK && rows->n == 1 ? look_at_only_one(keep, name, text, a, rows, err) : st;
}

static dm_status parse_array(dm_arena *a, const char *name, dm_str text, dm_value *rows,
                             dm_error *err)
{
    dm_value *v = dm_json_read(a, text, err);
    if (!v)
        return dm_json_error_in(err, DM_E_DATA, name);
    return dm_rows_of_value(a, name, v, rows, err);
}

/* Lines, or one array that somebody called so. */
static dm_status parse_lines(dm_arena *keep, const char *name, dm_str text, dm_arena *a,
                             dm_value *rows, dm_error *err)
{
    dm_str s = dm_py_lstrip(text);
    uint32_t line = 1;
    if (s.n == 0 || s.p[0] != '[')
        return parse_objects(keep, name, text, a, rows, err);
    s = text;
    dm_value *v = dm_json_read_next(a, &s, &line, err);
    if (!v)
        return dm_json_error_in(err, DM_E_DATA, name);
    if (dm_py_strip(s).n > 0)
        return dm_fail(err, DM_E_DATA,
                       "%s:%u:%u: each line has to be an object {...}; a list has no names of "
                       "columns",
                       name, v->line, v->column);
    dm_value *list = dm_value_list(a);
    dm_status st = dm_rows_of_value(a, name, v, list, err);
    kept k = {0};
    for (size_t i = 0; st == DM_OK && i < list->n; i++)
        dm_value_append(a, rows, copy_row(keep, &k, list->items[i], i ? rows->items[i - 1] : NULL));
    return st;
}

/* JSON that is called a table: {"..., or [ and {. No header begins so. */
static dm_format json_in_it(dm_str text)
{
    dm_str s = dm_py_lstrip(text);
    if (s.n < 2 || (s.p[0] != '{' && s.p[0] != '['))
        return DM_FORMAT_GUESS;
    dm_str rest = dm_py_lstrip((dm_str){s.p + 1, s.n - 1});
    if (!rest.n || rest.p[0] != (s.p[0] == '{' ? '"' : '{'))
        return DM_FORMAT_GUESS;
    return s.p[0] == '{' ? DM_JSON_LINES : DM_JSON_ARRAY;
}

static dm_format guess(const char *name, dm_str text)
{
    dm_format json = json_in_it(text);
    if (dm_is_named(name, ".jsonl") || dm_is_named(name, ".ndjson"))
        return DM_JSON_LINES;
    if (dm_is_named(name, ".csv"))
        return json != DM_FORMAT_GUESS ? json : DM_CSV;
    if (dm_is_named(name, ".tsv"))
        return json != DM_FORMAT_GUESS ? json : DM_TSV;
    dm_str s = dm_py_lstrip(text);
    if (s.n && s.p[0] == '[')
        return DM_JSON_ARRAY;
    return s.n && s.p[0] == '{'         ? DM_JSON_LINES
           : dm_is_named(name, ".json") ? DM_JSON_ARRAY
                                        : DM_CSV;
}

/* A file that is called JSON and has something else in it: a table, or what a server said in place
 * of the file. */
static dm_status refuse_text(const char *name, dm_str text, dm_error *err)
{
    dm_str s = dm_py_lstrip(text);
    const char *end = s.n ? memchr(s.p, '\n', s.n) : NULL;
    dm_str line = dm_py_rstrip((dm_str){s.p, end ? (size_t)(end - s.p) : s.n});
    dm_arena *a = dm_arena_new(0);
    bool json = !s.n || s.p[0] == '{' || s.p[0] == '[' || dm_json_read(a, line, NULL);
    dm_arena_free(a);
    if (json)
        return DM_E_DATA; /* it is told what is wrong with it */
    dm_str begin = dm_utf8_head(line, 60);
    return dm_fail(err, DM_E_DATA,
                   "%s: this is not JSON, and begins \"%.*s\": if it is a table, give it a name "
                   "that ends in .csv or .tsv",
                   name, DM_STR_ARG(begin));
}

/* Into rows, which lives in a; what a row holds lives in keep for JSON Lines, else in a. */
static dm_status parse_rows(dm_arena *a, dm_arena *keep, const char *name, dm_str text,
                            dm_format format, dm_value *rows, dm_error *err)
{
    if (format == DM_JSON_LINES)
        return parse_lines(keep, name, text, a, rows, err);
    if (format == DM_JSON_ARRAY)
        return parse_array(a, name, text, rows, err);
    return dm_csv_parse(a, name, text, format == DM_TSV ? '\t' : ',', rows, err);
}

/* Spreadsheets save "Unicode text" as UTF-16, and Macs of old ended lines with CR alone. */
static dm_status to_plain_text(dm_arena *a, const char *name, dm_str *text, dm_error *err)
{
    const char *p = text->p;
    bool marked = text->n > 1 && (memcmp(p, "\xFF\xFE", 2) == 0 || memcmp(p, "\xFE\xFF", 2) == 0);
    bool wide = marked || (text->n > 3 && ((!p[0] && !p[2]) || (!p[1] && !p[3])));
    if (wide && dm_json_decode(a, *text, text, err) != DM_OK)
        return dm_fail(err, DM_E_DATA,
                       "%s: this is UTF-16 that is cut short or damaged, or not text", name);
    *text = dm_str_past_mark(*text);
    dm_status st = check_utf8(name, *text, err);
    if (st != DM_OK || !memchr(text->p, '\r', text->n) || memchr(text->p, '\n', text->n))
        return st;
    char *copy = dm_arena_string(a, text->p, text->n);
    for (size_t i = 0; i < text->n; i++)
        copy[i] = copy[i] == '\r' ? '\n' : copy[i];
    text->p = copy;
    return DM_OK;
}

dm_status dm_dataset_parse(dm_arena *a, const char *name, dm_str text, dm_format format,
                           dm_dataset **out, dm_error *err)
{
    if (!text.p)
        text = DM_STR("");
    dm_status st = dm_foreign_check(name, text, err);
    dm_arena *reading = dm_arena_new(0);
    dm_value *rows = dm_value_list(reading);
    if (st == DM_OK)
        st = to_plain_text(reading, name, &text, err);
    if (st == DM_OK && format == DM_FORMAT_GUESS)
        format = guess(name, text);
    if (st == DM_OK)
        st = parse_rows(reading, a, name, text, format, rows, err);
    if (st == DM_E_DATA && (format == DM_JSON_LINES || format == DM_JSON_ARRAY))
        st = refuse_text(name, text, err);
    if (st == DM_OK && rows->n == 0)
        st = dm_fail(err, DM_E_DATA, "%s: there is no example in it", name);
    if (st == DM_OK) {
        *out = make_set(a, dm_arena_printf(a, "%s", name), rows, format == DM_JSON_LINES);
        (*out)->cells = format == DM_CSV || format == DM_TSV;
    }
    dm_arena_free(reading);
    return st;
}

dm_status dm_dataset_read(dm_arena *a, const char *path, dm_dataset **out, dm_error *err)
{
    dm_str text;
    dm_buf unpacked;
    dm_arena *file = dm_arena_new(0); /* rows are copies: the text goes when they are made */
    dm_buf_init(&unpacked, DM_MAX_DATA);
    dm_status st = dm_read_file(file, path, DM_MAX_DATA, &text, err);
    if (st == DM_OK && dm_is_packed(text)) {
        st = dm_unpack(&unpacked, path, text, err);
        text = dm_buf_view(&unpacked);
    }
    if (st == DM_OK)
        st = dm_dataset_parse(a, path, text, DM_FORMAT_GUESS, out, err);
    dm_buf_free(&unpacked);
    dm_arena_free(file);
    return st;
}

/* ---- use ---- */

static void name_columns(dm_buf *b, const dm_value *row)
{
    for (size_t i = 0; i < row->n; i++) {
        dm_buf_text(b, i ? ", " : "");
        dm_buf_str(b, row->members[i].key);
    }
}

dm_status dm_dataset_check(const dm_dataset *d, const dm_str *inputs, size_t n_inputs,
                           dm_error *err)
{
    for (size_t i = 0; i < d->n; i++)
        for (size_t k = 0; k < n_inputs; k++) {
            if (dm_value_get_str(d->examples[i].row, inputs[k]))
                continue;
            dm_buf b;
            dm_buf_init(&b, 512);
            name_columns(&b, d->examples[i].row);
            dm_fail(err, DM_E_DATA, "%s: example %zu has no column \"%.*s\"; it has %s", d->path,
                    i + 1, DM_STR_ARG(inputs[k]), b.len ? b.data : "none");
            dm_buf_free(&b);
            return DM_E_DATA;
        }
    return DM_OK;
}

dm_dataset *dm_dataset_pick(dm_arena *a, const dm_dataset *d, const size_t *index, size_t n)
{
    dm_dataset *s = dm_arena_alloc(a, sizeof *s);
    dm_sha256 h;
    dm_sha256_init(&h);
    s->path = d->path;
    s->cells = d->cells;
    s->n = n;
    s->examples = dm_arena_alloc_n(a, n, sizeof *s->examples);
    for (size_t i = 0; i < n; i++) {
        s->examples[i] = d->examples[index[i]];
        dm_sha256_add(&h, s->examples[i].fingerprint.b, sizeof(dm_hash));
    }
    s->fingerprint = dm_sha256_end(&h);
    return s;
}

dm_dataset *dm_dataset_slice(dm_arena *a, const dm_dataset *d, size_t from, size_t n)
{
    size_t *index = dm_alloc_n(n, sizeof *index);
    for (size_t i = 0; i < n; i++)
        index[i] = from + i;
    dm_dataset *s = dm_dataset_pick(a, d, index, n);
    free(index);
    return s;
}

dm_value *dm_example_inputs(dm_arena *a, const dm_value *row, const dm_str *inputs, size_t n_inputs)
{
    dm_value *d = dm_value_dict(a);
    for (size_t i = 0; i < row->n; i++)
        for (size_t k = 0; k < n_inputs; k++)
            if (dm_str_eq(row->members[i].key, inputs[k]))
                dm_value_set(a, d, row->members[i].key, row->members[i].value);
    return d;
}
