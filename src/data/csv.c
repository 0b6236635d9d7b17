#include "data/csv.h"
#include "base/show.h"
#include "base/utf8.h"
#include "data/csv_form.h"

#include <string.h>

typedef struct scanner {
    dm_arena *arena;
    const char *name, *text, *p, *end;
    char separator;
    size_t line;
    bool filled; /* a cell of the record has something in it, or stands in quotes */
    dm_buf cell;
    dm_error *err;
} scanner;

static size_t column_of(const scanner *s)
{
    const char *start = s->p;
    while (start > s->text && start[-1] != '\n')
        start--;
    return dm_utf8_length((dm_str){start, (size_t)(s->p - start)}) + 1;
}

/* One cell at s->p; ends at its separator, line end or the end of the text. */
static dm_status read_cell(scanner *s)
{
    const char *open = dm_csv_open_quote(s->p, s->end, s->separator);
    dm_buf_reset(&s->cell);
    if (open) {
        size_t opened = s->line;
        s->p = open + 1;
        for (;;) {
            const char *from = s->p;
            while (s->p < s->end && *s->p != '"') {
                s->line += *s->p == '\n';
                s->p++;
            }
            dm_buf_add(&s->cell, from, (size_t)(s->p - from));
            if (s->p >= s->end)
                return dm_fail(s->err, DM_E_DATA,
                               "%s:%zu: a cell in quotes that begins here does not end", s->name,
                               opened);
            s->p++;
            if (s->p >= s->end || *s->p != '"')
                break;
            dm_buf_char(&s->cell, '"');
            s->p++;
        }
        const char *ends = dm_csv_ends_cell(s->p, s->end, s->separator);
        if (!ends)
            return dm_fail(s->err, DM_E_DATA,
                           "%s:%zu:%zu: text after the closing quote of a cell: a quote inside a "
                           "cell is written twice",
                           s->name, s->line, column_of(s));
        s->p = ends;
        s->filled = true;
    } else {
        const char *from = s->p;
        while (s->p < s->end && *s->p != s->separator && *s->p != '\n' &&
               !(*s->p == '\r' && (s->p + 1 == s->end || s->p[1] == '\n')))
            s->p++;
        dm_buf_add(&s->cell, from, (size_t)(s->p - from));
        s->filled |= dm_py_strip(dm_buf_view(&s->cell)).n > 0;
    }
    if (s->cell.full)
        return dm_fail(s->err, DM_E_DATA, "%s:%zu: a cell longer than %zu MiB", s->name, s->line,
                       DM_MAX_LINE >> 20);
    return DM_OK;
}

/* The cells of one record as a list of strings. */
static dm_status read_record(scanner *s, dm_value *cells)
{
    s->filled = false;
    for (;;) {
        dm_status st = read_cell(s);
        if (st != DM_OK)
            return st;
        dm_value_append(s->arena, cells, dm_value_string(s->arena, dm_buf_view(&s->cell)));
        if (s->p < s->end && *s->p == s->separator) {
            s->p++;
            continue;
        }
        if (s->p < s->end && *s->p == '\r')
            s->p++;
        if (s->p < s->end && *s->p == '\n')
            s->p++;
        return DM_OK;
    }
}

/* ---- columns ---- */

#define MAX_COLUMNS 4096 /* names are compared with each other */

/* Names without the blanks around them, which no field's name has. */
static dm_status read_header(scanner *s, dm_value *header)
{
    dm_value *cells = dm_value_list(s->arena);
    size_t line = s->line;
    dm_status st = read_record(s, cells);
    s->line++;
    if (st == DM_OK && cells->n > MAX_COLUMNS)
        return dm_fail(s->err, DM_E_DATA, "%s:%zu: more than %d columns", s->name, line,
                       MAX_COLUMNS);
    for (size_t i = 0; st == DM_OK && i < cells->n; i++) {
        const dm_value *name = dm_value_string(s->arena, dm_py_strip(cells->items[i]->text));
        for (size_t j = 0; j < i && name->text.n; j++)
            if (dm_value_equal(name, header->items[j]))
                return dm_fail(s->err, DM_E_DATA,
                               "%s:%zu: two columns are called \"%s\": rename one", s->name, line,
                               name->text.p);
        dm_value_append(s->arena, header, name);
    }
    return st;
}

/* What pandas calls a column whose name it did not find: "Unnamed: 0", "Unnamed: 0.1". */
static bool is_nameless(dm_str name)
{
    static const char unnamed[] = "Unnamed: ";
    if (name.n == 0)
        return true;
    if (!dm_str_starts(name, unnamed))
        return false;
    for (size_t i = sizeof unnamed - 1; i < name.n; i++)
        if (name.p[i] != '.' && (name.p[i] < '0' || name.p[i] > '9'))
            return false;
    return true;
}

static bool any_nameless(const dm_value *header)
{
    for (size_t i = 0; i < header->n; i++)
        if (is_nameless(header->items[i]->text))
            return true;
    return false;
}

/* What stands under a nameless column. */
typedef struct column {
    bool filled, other; /* something; something that is no whole number */
    size_t line;        /* of the first cell that decides */
    const char *sample;
} column;

static dm_status read_cells(scanner *s, const dm_value *header, dm_value *cells, bool *row);

static dm_status look_at_columns(scanner *s, const dm_value *header, column *columns)
{
    scanner ahead = *s; /* its cell buffer is taken back below */
    dm_arena *reading = dm_arena_new(0);
    dm_status st = DM_OK;
    ahead.arena = reading;
    while (st == DM_OK && ahead.p < ahead.end) {
        size_t line = ahead.line;
        bool row;
        dm_value *cells = dm_value_list(reading);
        st = read_cells(&ahead, header, cells, &row);
        for (size_t i = 0; st == DM_OK && row && i < header->n; i++) {
            dm_str cell = dm_py_strip(cells->items[i]->text);
            column *c = &columns[i];
            if (cell.n == 0 || c->other || !is_nameless(header->items[i]->text))
                continue;
            c->other = !dm_str_is_whole(cell);
            if (!c->filled || c->other) {
                dm_str shown = dm_utf8_head(cell, 40);
                c->line = line;
                c->sample = dm_arena_string(s->arena, shown.p, shown.n);
            }
            c->filled = true;
        }
        dm_arena_reset(reading);
    }
    s->cell = ahead.cell;
    dm_arena_free(reading);
    return st;
}

/* A column without a name goes when it is empty, as spreadsheets leave them, or when it counts the
 * rows: the index that pandas and R write first. keep[i]: column i is one of the rows'. */
static dm_status choose_columns(scanner *s, const dm_value *header, size_t line, bool *keep)
{
    column *columns = dm_arena_alloc_n(s->arena, header->n, sizeof *columns);
    bool first = true; /* no column with a name of its own has come yet */
    dm_status st = any_nameless(header) ? look_at_columns(s, header, columns) : DM_OK;
    for (size_t i = 0; i < header->n && st == DM_OK; i++) {
        bool nameless = is_nameless(header->items[i]->text), index = first && !columns[i].other;
        keep[i] = !nameless || (columns[i].filled && !index);
        first &= nameless && !keep[i];
        if (keep[i] && header->items[i]->text.n == 0)
            st = dm_fail(s->err, DM_E_DATA,
                         "%s:%zu: column %zu has no name in the header row, and \"%s\" in line "
                         "%zu: name it, or leave it out",
                         s->name, line, i + 1, columns[i].sample, columns[i].line);
    }
    return st;
}

/* ---- rows ---- */

static bool skip_empty_line(scanner *s)
{
    const char *p = s->p + (*s->p == '\r');
    if (p < s->end && *p != '\n')
        return false;
    s->p = p < s->end ? p + 1 : p;
    s->line++;
    return true;
}

/* Empty cells behind the last column are none. */
static void drop_empty_cells(const dm_value *header, dm_value *cells)
{
    while (cells->n > header->n && dm_py_strip(cells->items[cells->n - 1]->text).n == 0)
        cells->n--;
}

/* The next record's cells, one a column. *row false: there is none in the line, which is empty, or
 * has nothing but separators. */
static dm_status read_cells(scanner *s, const dm_value *header, dm_value *cells, bool *row)
{
    size_t line = s->line;
    *row = false;
    if (skip_empty_line(s))
        return DM_OK;
    dm_status st = read_record(s, cells);
    if (st != DM_OK)
        return st;
    s->line++;
    if (!s->filled && cells->n > 1)
        return DM_OK;
    drop_empty_cells(header, cells);
    *row = true;
    if (cells->n == header->n)
        return DM_OK;
    return dm_fail(s->err, DM_E_DATA,
                   "%s:%zu: %zu cells, the header row has %zu columns: put a cell with a \"%s\" or "
                   "a line end in it in quotes, and keep the separators around an empty one",
                   s->name, line, cells->n, header->n,
                   s->separator == '\t' ? "tab" : (char[]){s->separator, 0});
}

static dm_status read_rows(scanner *s, const dm_value *header, const bool *keep, dm_value *rows)
{
    while (s->p < s->end) {
        bool filled;
        dm_value *cells = dm_value_list(s->arena);
        dm_status st = read_cells(s, header, cells, &filled);
        if (st != DM_OK)
            return st;
        if (!filled)
            continue;
        dm_value *row = dm_value_dict(s->arena);
        for (size_t i = 0; i < cells->n; i++)
            if (keep[i])
                dm_value_set(s->arena, row, header->items[i]->text, cells->items[i]);
        dm_value_append(s->arena, rows, row);
    }
    return DM_OK;
}

dm_status dm_csv_parse(dm_arena *a, const char *name, dm_str text, char likely, dm_value *rows,
                       dm_error *err)
{
    dm_csv_form form = dm_csv_form_of(text, likely);
    scanner s = {.arena = a,
                 .name = name,
                 .text = text.p,
                 .p = form.text.p,
                 .end = form.text.p + form.text.n,
                 .separator = form.separator,
                 .line = form.line,
                 .err = err};
    dm_value *header = dm_value_list(a);
    if (form.text.n == 0)
        return DM_OK;
    dm_buf_init(&s.cell, DM_MAX_LINE);
    dm_status st = read_header(&s, header);
    bool *keep = dm_arena_alloc_n(a, header->n, sizeof *keep);
    if (st == DM_OK)
        st = choose_columns(&s, header, form.line, keep);
    if (st == DM_OK)
        st = read_rows(&s, header, keep, rows);
    dm_buf_free(&s.cell);
    return st;
}

/* ---- writing ---- */

/* "-12.5e3" */
static bool is_number(dm_str s)
{
    size_t i = s.n && (s.p[0] == '-' || s.p[0] == '+'), digits = 0;
    for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
        digits++;
    if (i < s.n && s.p[i] == '.')
        for (i++; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
            digits++;
    if (digits && i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
        i += 1 + (i + 1 < s.n && (s.p[i + 1] == '-' || s.p[i + 1] == '+'));
        for (digits = 0; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
            digits++;
    }
    return digits && i == s.n;
}

static bool is_one_of(uint32_t cp, const uint32_t *set)
{
    while (*set && *set != cp)
        set++;
    return *set != 0;
}

/* A spreadsheet would reckon with it. */
static bool is_formula(dm_str s)
{
    static const uint32_t signs[] = {'=',  '+',    '-',    '@',    '\t',   '\n',
                                     '\r', 0xFF1D, 0xFF0B, 0xFF0D, 0xFF20, 0},
                          passed[] = {'"',    '\'',   '`',    0x2018, 0x2019,
                                      0x201C, 0x201D, 0xFF02, 0xFF07, 0};
    for (size_t pos = 0; pos < s.n;) {
        uint32_t cp = dm_utf8_next(s, &pos);
        if (is_one_of(cp, signs))
            return true;
        if (!dm_py_isspace(cp) && !is_one_of(cp, passed))
            return false;
    }
    return false;
}

void dm_csv_put(dm_buf *b, dm_str text)
{
    dm_buf cell;
    dm_buf_init(&cell, SIZE_MAX / 2);
    dm_show(&cell, text, DM_SHOW_LINES);
    dm_str s = dm_buf_view(&cell);
    bool guarded = is_formula(s) && !is_number(s), quoted = guarded;
    for (size_t i = 0; i < s.n && !quoted; i++)
        quoted = strchr(",;\t\n\"\'", s.p[i]) || (s.p[i] == ' ' && (i == 0 || i + 1 == s.n));
    if (quoted)
        dm_buf_char(b, '"');
    if (guarded)
        dm_buf_char(b, '\'');
    for (size_t i = 0; i < s.n; i++) {
        dm_buf_char(b, s.p[i]);
        if (s.p[i] == '"')
            dm_buf_char(b, '"');
    }
    if (quoted)
        dm_buf_char(b, '"');
    dm_buf_free(&cell);
}
