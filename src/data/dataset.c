#include "data/dataset.h"
#include "base/utf8.h"
#include "data/csv.h"
#include "json/json.h"

#include <stdlib.h>
#include <string.h>

static const char *id_of(dm_arena *a, const dm_value *row, size_t number)
{
    const dm_value *id = dm_value_get(row, "id");
    if (!id || (id->kind != DM_STRING && id->kind != DM_INT))
        return dm_arena_printf(a, "%zu", number);
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

/* One line, read into `reading`; NULL in *row: it is empty. */
static dm_status parse_line(dm_arena *reading, const char *name, dm_str line, uint32_t number,
                            const dm_value **row, dm_error *err)
{
    *row = NULL;
    if (line.n > DM_MAX_LINE)
        return dm_fail(err, DM_E_DATA, "%s:%u:1: the line is longer than %zu MiB", name, number,
                       DM_MAX_LINE >> 20);
    if (dm_py_strip(line).n == 0)
        return DM_OK;
    dm_str rest = line;
    uint32_t at = number;
    *row = dm_json_read_next(reading, &rest, &at, err);
    if (!*row)
        return dm_json_error_in(err, DM_E_DATA, name);
    size_t column = dm_utf8_length((dm_str){line.p, line.n - rest.n}) + 1;
    if (dm_py_strip(rest).n > 0)
        return dm_fail(err, DM_E_DATA, "%s:%u:%zu: there is more text behind the object", name,
                       number, column);
    if ((*row)->kind != DM_DICT)
        return dm_fail(err, DM_E_DATA, "%s:%u:1: each line has to be an object {...}", name,
                       number);
    return DM_OK;
}

/* Each row is copied into `keep` at once: a large file is in memory once, not twice. */
static dm_status parse_lines(dm_arena *keep, const char *name, dm_str text, dm_arena *a,
                             dm_value *rows, dm_error *err)
{
    dm_arena *reading = dm_arena_new(0);
    const dm_value *row, *last = NULL;
    kept k = {0};
    dm_status st = DM_OK;
    for (uint32_t number = 1; text.n > 0 && st == DM_OK; number++) {
        const char *end = memchr(text.p, '\n', text.n);
        dm_str line = {text.p, end ? (size_t)(end - text.p) : text.n};
        text = (dm_str){text.p + line.n + (end != NULL), text.n - line.n - (end != NULL)};
        st = parse_line(reading, name, line, number, &row, err);
        if (st == DM_OK && row) {
            last = copy_row(keep, &k, row, last);
            dm_value_append(a, rows, last);
        }
        dm_arena_reset(reading);
    }
    dm_arena_free(reading);
    return st;
}

static dm_status parse_array(dm_arena *a, const char *name, dm_str text, dm_value *rows,
                             dm_error *err)
{
    dm_value *v = dm_json_read(a, text, err);
    if (!v)
        return dm_json_error_in(err, DM_E_DATA, name);
    if (v->kind != DM_LIST)
        return dm_fail(err, DM_E_DATA, "%s:%u:%u: a data set is an array of objects [{...}, ...]",
                       name, v->line, v->column);
    for (size_t i = 0; i < v->n; i++) {
        const dm_value *row = v->items[i];
        if (row->kind != DM_DICT)
            return dm_fail(err, DM_E_DATA, "%s:%u:%u: each element has to be an object {...}", name,
                           row->line, row->column);
        dm_value_append(a, rows, row);
    }
    return DM_OK;
}

static bool ends_in(const char *name, const char *ending)
{
    size_t n = strlen(name), m = strlen(ending);
    return n >= m && strcmp(name + n - m, ending) == 0;
}

static dm_format guess(const char *name, dm_str text)
{
    if (ends_in(name, ".jsonl") || ends_in(name, ".ndjson"))
        return DM_JSON_LINES;
    if (ends_in(name, ".csv"))
        return DM_CSV;
    if (ends_in(name, ".tsv"))
        return DM_TSV;
    dm_str s = dm_py_lstrip(text);
    if (s.n && s.p[0] == '[')
        return DM_JSON_ARRAY;
    return s.n && s.p[0] == '{' ? DM_JSON_LINES : ends_in(name, ".json") ? DM_JSON_ARRAY : DM_CSV;
}

/* Office programs write semicolons where the comma is the decimal sign. */
static char csv_separator(dm_str text)
{
    const char *end = memchr(text.p, '\n', text.n);
    size_t n = end ? (size_t)(end - text.p) : text.n;
    return n && !memchr(text.p, ',', n) && memchr(text.p, ';', n) ? ';' : ',';
}

/* Into rows, which lives in a; what a row holds lives in keep for JSON Lines, else in a. */
static dm_status parse_rows(dm_arena *a, dm_arena *keep, const char *name, dm_str text,
                            dm_format format, dm_value *rows, dm_error *err)
{
    if (format == DM_JSON_LINES)
        return parse_lines(keep, name, text, a, rows, err);
    if (format == DM_JSON_ARRAY)
        return parse_array(a, name, text, rows, err);
    return dm_csv_parse(a, name, text, format == DM_TSV ? '\t' : csv_separator(text), rows, err);
}

dm_status dm_dataset_parse(dm_arena *a, const char *name, dm_str text, dm_format format,
                           dm_dataset **out, dm_error *err)
{
    dm_status st = check_utf8(name, text, err);
    if (st != DM_OK)
        return st;
    if (format == DM_FORMAT_GUESS)
        format = guess(name, text);
    dm_arena *reading = dm_arena_new(0);
    dm_value *rows = dm_value_list(reading);
    st = parse_rows(reading, a, name, text, format, rows, err);
    if (st == DM_OK && rows->n == 0)
        st = dm_fail(err, DM_E_DATA, "%s: there is no example in it", name);
    if (st == DM_OK)
        *out = make_set(a, dm_arena_printf(a, "%s", name), rows, format == DM_JSON_LINES);
    dm_arena_free(reading);
    return st;
}

dm_status dm_dataset_read(dm_arena *a, const char *path, dm_dataset **out, dm_error *err)
{
    dm_str text;
    dm_arena *file = dm_arena_new(0); /* rows are copies: the text goes when they are made */
    dm_status st = dm_read_file(file, path, DM_MAX_DATA, &text, err);
    if (st == DM_OK)
        st = dm_dataset_parse(a, path, text, DM_FORMAT_GUESS, out, err);
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
