#include "data/csv.h"
#include "base/show.h"
#include "base/utf8.h"

#include <string.h>

typedef struct scanner {
    dm_arena *arena;
    const char *name, *text, *p, *end;
    char separator;
    size_t line;
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
    dm_buf_reset(&s->cell);
    if (s->p < s->end && *s->p == '"') {
        size_t opened = s->line;
        s->p++;
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
        if (s->p < s->end && *s->p != s->separator && *s->p != '\n' &&
            !(*s->p == '\r' && (s->p + 1 == s->end || s->p[1] == '\n')))
            return dm_fail(s->err, DM_E_DATA, "%s:%zu:%zu: text behind the closing quote of a cell",
                           s->name, s->line, column_of(s));
    } else {
        const char *from = s->p;
        while (s->p < s->end && *s->p != s->separator && *s->p != '\n' &&
               !(*s->p == '\r' && (s->p + 1 == s->end || s->p[1] == '\n')))
            s->p++;
        dm_buf_add(&s->cell, from, (size_t)(s->p - from));
    }
    if (s->cell.full)
        return dm_fail(s->err, DM_E_DATA, "%s:%zu: a cell longer than %zu MiB", s->name, s->line,
                       DM_MAX_LINE >> 20);
    return DM_OK;
}

/* The cells of one record as a list of strings. */
static dm_status read_record(scanner *s, dm_value *cells)
{
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

#define MAX_COLUMNS 4096 /* names are compared with each other */

static dm_status check_header(const scanner *s, const dm_value *header)
{
    if (header->n > MAX_COLUMNS)
        return dm_fail(s->err, DM_E_DATA, "%s:1: more than %d columns", s->name, MAX_COLUMNS);
    for (size_t i = 0; i < header->n; i++) {
        if (header->items[i]->text.n == 0)
            return dm_fail(s->err, DM_E_DATA, "%s:1: column %zu has no name in the header row",
                           s->name, i + 1);
        for (size_t j = 0; j < i; j++)
            if (dm_value_equal(header->items[i], header->items[j]))
                return dm_fail(s->err, DM_E_DATA, "%s:1: two columns are called \"%s\"", s->name,
                               header->items[i]->text.p);
    }
    return DM_OK;
}

static bool skip_empty_line(scanner *s)
{
    const char *p = s->p + (*s->p == '\r');
    if (p < s->end && *p != '\n')
        return false;
    s->p = p < s->end ? p + 1 : p;
    s->line++;
    return true;
}

static dm_status read_rows(scanner *s, const dm_value *header, dm_value *rows)
{
    while (s->p < s->end) {
        size_t line = s->line;
        if (skip_empty_line(s))
            continue;
        dm_value *cells = dm_value_list(s->arena);
        dm_status st = read_record(s, cells);
        if (st != DM_OK)
            return st;
        s->line++;
        if (cells->n != header->n)
            return dm_fail(s->err, DM_E_DATA, "%s:%zu: %zu cells, the header row has %zu columns",
                           s->name, line, cells->n, header->n);
        dm_value *row = dm_value_dict(s->arena);
        for (size_t i = 0; i < cells->n; i++)
            dm_value_set(s->arena, row, header->items[i]->text, cells->items[i]);
        dm_value_append(s->arena, rows, row);
    }
    return DM_OK;
}

dm_status dm_csv_parse(dm_arena *a, const char *name, dm_str text, char separator, dm_value *rows,
                       dm_error *err)
{
    scanner s = {.arena = a,
                 .name = name,
                 .text = text.p,
                 .p = text.p,
                 .end = text.p + text.n,
                 .separator = separator,
                 .line = 1,
                 .err = err};
    dm_value *header = dm_value_list(a);
    if (text.n == 0)
        return DM_OK;
    dm_buf_init(&s.cell, DM_MAX_LINE);
    dm_status st = read_record(&s, header);
    s.line++;
    if (st == DM_OK)
        st = check_header(&s, header);
    if (st == DM_OK)
        st = read_rows(&s, header, rows);
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
