/* Python's str() and repr(), number text included (contract 0.4). */
#include "base/utf8.h"
#include "json/number_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* Doubles lie twice as dense below a power of two as above it: there the nearest decimal may be too
 * far below while the next one above still reads back, and is what repr shows (2**-44). */
static bool above_reads_back(double v, int precision, char *text, size_t n)
{
    int exponent;
    if (precision < 0 || frexp(fabs(v), &exponent) != 0.5)
        return false;
    snprintf(text, n, "%.*e", precision, fabs(v));
    char *p = strchr(text, 'e') - 1;
    if (*p == '9') /* a carry would end in 0: then fewer digits had been enough */
        return false;
    ++*p;
    return strtod(text, NULL) == fabs(v);
}

/* The shortest digits that read back as v (v finite, not 0): d1 d2 ... times 10^(exponent - n + 1).
 */
static void shortest_digits(double v, char digits[18], int *n, int *exponent)
{
    /* Digits that suffice form an up-set of precisions, so a binary search finds the fewest. */
    char text[40];
    int low = 0, high = 16;
    while (low < high) {
        int middle = (low + high) / 2;
        snprintf(text, sizeof text, "%.*e", middle, fabs(v));
        if (strtod(text, NULL) == fabs(v))
            high = middle;
        else
            low = middle + 1;
    }
    if (!above_reads_back(v, low - 1, text, sizeof text))
        snprintf(text, sizeof text, "%.*e", low, fabs(v));
    char *e = strchr(text, 'e');
    *exponent = (int)strtol(e + 1, NULL, 10);
    *n = 0;
    for (char *p = text; p < e; p++)
        if (*p != '.')
            digits[(*n)++] = *p;
    while (*n > 1 && digits[*n - 1] == '0')
        (*n)--;
    digits[*n] = 0;
}

static void put_plain(dm_buf *b, const char *digits, int n, int exponent)
{
    if (exponent < 0) {
        dm_buf_text(b, "0.");
        for (int i = -1; i > exponent; i--)
            dm_buf_char(b, '0');
        dm_buf_add(b, digits, (size_t)n);
        return;
    }
    for (int i = 0; i < n || i <= exponent; i++) {
        if (i == exponent + 1)
            dm_buf_char(b, '.');
        dm_buf_char(b, i < n ? digits[i] : '0');
    }
    if (n <= exponent + 1)
        dm_buf_text(b, ".0");
}

static void put_exponent(dm_buf *b, const char *digits, int n, int exponent, bool python)
{
    dm_buf_char(b, digits[0]);
    if (n > 1) {
        dm_buf_char(b, '.');
        dm_buf_add(b, digits + 1, (size_t)n - 1);
    }
    dm_buf_char(b, 'e');
    dm_buf_char(b, exponent < 0 ? '-' : '+');
    if (python && abs(exponent) < 10)
        dm_buf_char(b, '0');
    dm_buf_printf(b, "%d", abs(exponent));
}

void dm_float_text(dm_buf *b, double v, bool python)
{
    char digits[18];
    int n, exponent;
    if (signbit(v))
        dm_buf_char(b, '-');
    if (v == 0) {
        dm_buf_text(b, "0.0");
        return;
    }
    shortest_digits(v, digits, &n, &exponent);
    if (exponent >= (python ? -4 : -5) && exponent < 16)
        put_plain(b, digits, n, exponent);
    else
        put_exponent(b, digits, n, exponent, python);
}

void dm_py_float(dm_buf *b, double v)
{
    if (isnan(v))
        dm_buf_text(b, "nan");
    else if (isinf(v))
        dm_buf_text(b, v < 0 ? "-inf" : "inf");
    else
        dm_float_text(b, v, true);
}

double dm_py_round2(double v)
{
    char text[400];
    if (!isfinite(v))
        return v;
    snprintf(text, sizeof text, "%.2f", v);
    return strtod(text, NULL);
}

static bool is_printable(uint32_t cp)
{
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return false;
    case UTF8PROC_CATEGORY_ZS:
        return cp == ' ';
    default:
        return true;
    }
}

void dm_py_repr_str(dm_buf *b, dm_str s)
{
    bool single = s.n && memchr(s.p, '\'', s.n), twice = s.n && memchr(s.p, '"', s.n);
    char quote = single && !twice ? '"' : '\'';
    dm_buf_char(b, quote);
    for (size_t pos = 0; pos < s.n;) {
        size_t at = pos;
        uint32_t cp = dm_utf8_next(s, &pos);
        if (cp == (uint32_t)quote || cp == '\\')
            dm_buf_printf(b, "\\%c", (int)cp);
        else if (cp == '\n')
            dm_buf_text(b, "\\n");
        else if (cp == '\r')
            dm_buf_text(b, "\\r");
        else if (cp == '\t')
            dm_buf_text(b, "\\t");
        else if (is_printable(cp))
            dm_buf_add(b, s.p + at, pos - at);
        else if (cp < 0x100)
            dm_buf_printf(b, "\\x%02x", cp);
        else if (cp < 0x10000)
            dm_buf_printf(b, "\\u%04x", cp);
        else
            dm_buf_printf(b, "\\U%08x", cp);
    }
    dm_buf_char(b, quote);
}

void dm_py_repr(dm_buf *b, const dm_value *v)
{
    switch (v->kind) {
    case DM_NULL:
        dm_buf_text(b, "None");
        break;
    case DM_BOOL:
        dm_buf_text(b, v->boolean ? "True" : "False");
        break;
    case DM_INT:
        dm_buf_str(b, v->text);
        break;
    case DM_FLOAT:
        dm_py_float(b, v->number);
        break;
    case DM_STRING:
        dm_py_repr_str(b, v->text);
        break;
    case DM_LIST:
        dm_buf_char(b, '[');
        for (size_t i = 0; i < v->n; i++) {
            dm_buf_text(b, i ? ", " : "");
            dm_py_repr(b, v->items[i]);
        }
        dm_buf_char(b, ']');
        break;
    case DM_DICT:
        dm_buf_char(b, '{');
        for (size_t i = 0; i < v->n; i++) {
            dm_buf_text(b, i ? ", " : "");
            dm_py_repr_str(b, v->members[i].key);
            dm_buf_text(b, ": ");
            dm_py_repr(b, v->members[i].value);
        }
        dm_buf_char(b, '}');
        break;
    }
}

void dm_py_str(dm_buf *b, const dm_value *v)
{
    if (v->kind == DM_STRING)
        dm_buf_str(b, v->text);
    else
        dm_py_repr(b, v);
}

bool dm_last_number(dm_arena *a, dm_str s, double *out)
{
    char *number = dm_arena_alloc(a, s.n + 3);
    bool found = false;
    for (size_t i = 0; i < s.n;) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            i++;
            continue;
        }
        size_t n = 0, start = i;
        if (i > 0 && s.p[i - 1] == '-' && (i < 2 || s.p[i - 2] < '0' || s.p[i - 2] > '9'))
            number[n++] = '-';
        if (i > 0 && s.p[i - 1] == '.')
            number[n++] = '.';
        while (i < s.n) {
            char c = s.p[i];
            bool digit = c >= '0' && c <= '9',
                 more = i + 1 < s.n && s.p[i + 1] >= '0' && s.p[i + 1] <= '9';
            bool exponent = (c == 'e' || c == 'E') && i > start &&
                            (more || (i + 2 < s.n && strchr("+-", s.p[i + 1]) &&
                                      s.p[i + 2] >= '0' && s.p[i + 2] <= '9'));
            if (!digit && !(c == '.' && more) && !(c == ',' && more) && !exponent)
                break;
            if (c != ',')
                number[n++] = c;
            if (exponent && strchr("+-", s.p[i + 1]))
                number[n++] = s.p[++i];
            i++;
        }
        number[n] = 0;
        *out = strtod(number, NULL);
        found = true;
    }
    return found;
}
