#include "data/csv_form.h"

#include <string.h>
#include <strings.h>

#define LOOKED_AT 50 /* rows */

/* The quote that ends what begins at `open`; two of them are one inside the cell. NULL: none. */
static const char *close_quote(const char *open, const char *end)
{
    const char *close = open;
    do {
        close = memchr(close + 1, '"', (size_t)(end - close - 1));
    } while (close && close + 1 < end && close[1] == '"' && close++);
    return close;
}

static const char *skip_blanks(const char *p, const char *end)
{
    while (p < end && *p == ' ')
        p++;
    return p;
}

const char *dm_csv_open_quote(const char *p, const char *end, char separator)
{
    const char *open = skip_blanks(p, end);
    if (open == end || *open != '"')
        return NULL;
    if (open == p)
        return open;
    const char *close = separator == ' ' ? NULL : close_quote(open, end);
    return close && dm_csv_ends_cell(close + 1, end, separator) ? open : NULL;
}

const char *dm_csv_ends_cell(const char *p, const char *end, char separator)
{
    p = separator == ' ' ? p : skip_blanks(p, end);
    bool ends =
        p == end || *p == separator || *p == '\n' || (*p == '\r' && (p + 1 == end || p[1] == '\n'));
    return ends ? p : NULL;
}

/* Cells of the record at *p, which then is behind its line end; blank: all of them are empty. */
static size_t count_cells(const char **p, const char *end, char separator, bool *blank)
{
    size_t n = 1;
    bool begins = true;
    for (*blank = true; *p < end && **p != '\n'; ++*p) {
        const char *open = begins ? dm_csv_open_quote(*p, end, separator) : NULL;
        *p = open ? open : *p;
        begins = **p == separator;
        n += begins;
        *blank &= begins || **p == '\r' || **p == ' ';
        if (!open)
            continue;
        const char *close = close_quote(*p, end);
        if (!close)
            close = end - 1;
        *p = close;
    }
    *p += *p < end;
    return n;
}

static bool cuts_alike(dm_str text, char separator, size_t *header)
{
    const char *p = text.p, *end = p + text.n;
    bool blank;
    *header = count_cells(&p, end, separator, &blank);
    for (int row = 0; row < LOOKED_AT && p < end; row++)
        if (count_cells(&p, end, separator, &blank) != *header && !blank)
            return false;
    return *header > 1;
}

static char find_separator(dm_str text, char likely)
{
    const char all[] = {likely, ',', ';', '\t', '|'};
    char first = 0;
    for (size_t i = 0; i < sizeof all; i++) {
        size_t header;
        if (cuts_alike(text, all[i], &header))
            return all[i];
        if (header > 1 && !first)
            first = all[i];
    }
    return first ? first : likely;
}

/* sep=; also in quotes, and filled up with empty cells. */
static bool is_told(dm_str line, char *separator)
{
    size_t i = line.n && line.p[0] == '"';
    if (line.n < i + 5 || strncasecmp(line.p + i, "sep=", 4) != 0)
        return false;
    *separator = line.p[i + 4];
    for (size_t k = i + 5; k < line.n; k++)
        if (!strchr("\r\"", line.p[k]) && line.p[k] != *separator)
            return false;
    return !strchr("\r\n\"", *separator);
}

static dm_str first_line(dm_str text)
{
    const char *end = memchr(text.p, '\n', text.n);
    return (dm_str){text.p, end ? (size_t)(end - text.p) + 1 : text.n};
}

static bool is_empty(dm_str line)
{
    for (size_t i = 0; i < line.n; i++)
        if (!strchr(" ,;\t|\r\n", line.p[i]))
            return false;
    return true;
}

dm_csv_form dm_csv_form_of(dm_str text, char likely)
{
    dm_csv_form f = {likely, text, 1};
    char told = 0;
    while (f.text.n) {
        dm_str line = first_line(f.text), bare = line;
        bare.n -= line.n && line.p[line.n - 1] == '\n';
        if (!is_empty(line) && (told || !is_told(bare, &told)))
            break;
        f.text = (dm_str){f.text.p + line.n, f.text.n - line.n};
        f.line++;
    }
    f.separator = told ? told : find_separator(f.text, likely);
    return f;
}
