#include "json/json.h"
#include "json/number_text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static char short_escape(unsigned char c)
{
    switch (c) {
    case '"':
    case '\\':
        return (char)c;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

void dm_json_write_string(dm_buf *b, dm_str s)
{
    static const char hex[] = "0123456789abcdef";
    size_t from = 0;
    dm_buf_char(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        dm_buf_add(b, s.p + from, i - from);
        from = i + 1;
        char letter = short_escape(c);
        if (letter) {
            char pair[2] = {'\\', letter};
            dm_buf_add(b, pair, 2);
        } else {
            char code[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
            dm_buf_add(b, code, 6);
        }
    }
    dm_buf_add(b, s.p + from, s.n - from);
    dm_buf_char(b, '"');
}

static void write_float(dm_buf *b, double v, bool python)
{
    if (isfinite(v))
        dm_float_text(b, v, python);
    else if (!python)
        dm_buf_text(b, "null");
    else
        dm_buf_text(b, isnan(v) ? "NaN" : v < 0 ? "-Infinity" : "Infinity");
}

static void new_line(dm_buf *b, int depth)
{
    dm_buf_char(b, '\n');
    for (int i = 0; i < depth; i++)
        dm_buf_text(b, "  ");
}

static void write_value(dm_buf *b, const dm_value *v, dm_json_style style, int depth)
{
    bool python = style == DM_JSON_PYTHON || style == DM_JSON_PYTHON_INDENT;
    bool indent = style == DM_JSON_PYTHON_INDENT || style == DM_JSON_ORJSON_INDENT;
    switch (v->kind) {
    case DM_NULL:
        dm_buf_text(b, "null");
        return;
    case DM_BOOL:
        dm_buf_text(b, v->boolean ? "true" : "false");
        return;
    case DM_INT:
        dm_buf_str(b, v->text);
        return;
    case DM_FLOAT:
        write_float(b, v->number, python);
        return;
    case DM_STRING:
        dm_json_write_string(b, v->text);
        return;
    case DM_LIST:
    case DM_DICT:
        break;
    }
    bool dict = v->kind == DM_DICT;
    dm_buf_char(b, dict ? '{' : '[');
    for (size_t i = 0; i < v->n; i++) {
        if (i)
            dm_buf_text(b, style == DM_JSON_PYTHON ? ", " : ",");
        if (indent)
            new_line(b, depth + 1);
        if (dict) {
            dm_json_write_string(b, v->members[i].key);
            dm_buf_text(b, style == DM_JSON_COMPACT ? ":" : ": ");
        }
        write_value(b, dict ? v->members[i].value : v->items[i], style, depth + 1);
    }
    if (indent && v->n)
        new_line(b, depth);
    dm_buf_char(b, dict ? '}' : ']');
}

void dm_json_write(dm_buf *b, const dm_value *v, dm_json_style style)
{
    write_value(b, v, style, 0);
}

/* ---- hash ---- */

static int by_key(const void *x, const void *y)
{
    const dm_member *const *a = x, *const *b = y;
    return dm_str_cmp((*a)->key, (*b)->key);
}

static void write_sorted(dm_buf *b, const dm_value *v)
{
    if (v->kind == DM_LIST) {
        dm_buf_char(b, '[');
        for (size_t i = 0; i < v->n; i++) {
            if (i)
                dm_buf_char(b, ',');
            write_sorted(b, v->items[i]);
        }
        dm_buf_char(b, ']');
    } else if (v->kind == DM_DICT) {
        const dm_member **sorted = dm_alloc_n(v->n, sizeof *sorted);
        for (size_t i = 0; i < v->n; i++)
            sorted[i] = &v->members[i];
        if (v->n)
            qsort(sorted, v->n, sizeof *sorted, by_key);
        dm_buf_char(b, '{');
        for (size_t i = 0; i < v->n; i++) {
            if (i)
                dm_buf_char(b, ',');
            dm_json_write_string(b, sorted[i]->key);
            dm_buf_char(b, ':');
            write_sorted(b, sorted[i]->value);
        }
        dm_buf_char(b, '}');
        free(sorted);
    } else {
        write_value(b, v, DM_JSON_PYTHON, 0); /* nan and inf differ from null here */
    }
}

dm_hash dm_json_hash(const dm_value *v)
{
    dm_buf b;
    dm_buf_init(&b, SIZE_MAX / 2);
    write_sorted(&b, v);
    dm_hash h = dm_hash_of(b.data, b.len);
    dm_buf_free(&b);
    return h;
}

dm_str dm_json_text(dm_arena *a, const dm_value *v, dm_json_style style)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_json_write(&b, v, style);
    dm_str s = {dm_arena_string(a, b.data ? b.data : "", b.len), b.len};
    dm_buf_free(&b);
    return s;
}
