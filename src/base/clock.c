#include "base/clock.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double dm_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static const char *skip_space(const char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    return s;
}

/* A number and the word of letters behind it. */
static bool number_and_unit(const char **s, double *v, char unit[8])
{
    char *end;
    *s = skip_space(*s);
    if (!isdigit((unsigned char)**s) && **s != '.')
        return false;
    *v = strtod(*s, &end);
    *s = skip_space(end);
    size_t n = 0;
    while (isalpha((unsigned char)**s) && n < 7)
        unit[n++] = (char)tolower((unsigned char)*(*s)++);
    unit[n] = 0;
    *s = skip_space(*s);
    return isfinite(*v);
}

static double seconds_of(const char *unit)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"s", 1},        {"sec", 1},     {"second", 1},   {"seconds", 1},  {"m", 60},
                 {"min", 60},     {"minute", 60}, {"minutes", 60}, {"h", 3600},     {"hour", 3600},
                 {"hours", 3600}, {"d", 86400},   {"day", 86400},  {"days", 86400}, {"ms", 0.001}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(unit, units[i].name) == 0)
            return units[i].seconds;
    return NAN;
}

dm_status dm_parse_seconds(const char *text, double *seconds, dm_error *err)
{
    const char *s = text;
    double total = 0, v;
    char unit[8];
    do {
        if (!number_and_unit(&s, &v, unit))
            goto bad;
        if (!*unit && (*s || total > 0))
            goto bad;
        double u = *unit ? seconds_of(unit) : 1;
        if (isnan(u))
            goto bad;
        total += v * u;
    } while (*s);
    *seconds = total;
    return DM_OK;
bad:
    return dm_fail(err, DM_E_USAGE,
                   "\"%s\" is not a duration; write 90s, 20min, 3h50m or a number of seconds",
                   text);
}

dm_status dm_parse_count(const char *text, double *count, dm_error *err)
{
    const char *s = text;
    double v;
    char unit[8];
    if (number_and_unit(&s, &v, unit) && !*s) {
        double f = !*unit                                             ? 1
                   : strcmp(unit, "k") == 0                           ? 1e3
                   : strcmp(unit, "m") == 0                           ? 1e6
                   : strcmp(unit, "g") == 0 || strcmp(unit, "b") == 0 ? 1e9
                                                                      : NAN;
        if (!isnan(f)) {
            *count = v * f;
            return DM_OK;
        }
    }
    return dm_fail(err, DM_E_USAGE, "\"%s\" is not a count; write 50M, 2k or 300", text);
}

dm_status dm_parse_money(const char *text, double *money, dm_error *err)
{
    const char *s = skip_space(text);
    double v;
    char unit[8];
    if (*s == '$')
        s++;
    if (number_and_unit(&s, &v, unit) && !*s && (!*unit || strcmp(unit, "usd") == 0)) {
        *money = v;
        return DM_OK;
    }
    return dm_fail(err, DM_E_USAGE, "\"%s\" is not an amount of money; write $20 or 12.50", text);
}

void dm_print_seconds(dm_buf *b, double s)
{
    if (s < 59.95) {
        dm_buf_printf(b, "%.1f s", s);
        return;
    }
    long long n = (long long)(s + 0.5);
    if (n < 3600)
        dm_buf_printf(b, "%lld min %lld s", n / 60, n % 60);
    else
        dm_buf_printf(b, "%lld h %lld min", n / 3600, n % 3600 / 60);
}

/* One digit behind the point, none where it would be 0. */
static void print_scaled(dm_buf *b, double n, char unit)
{
    double tenths = round(n * 10);
    if (fmod(tenths, 10) == 0)
        dm_buf_printf(b, "%.0f %c", tenths / 10, unit);
    else
        dm_buf_printf(b, "%.1f %c", tenths / 10, unit);
}

void dm_print_count(dm_buf *b, double n)
{
    if (n < 1e4)
        dm_buf_printf(b, "%.0f", n);
    else if (n < 999950)
        print_scaled(b, n / 1e3, 'k');
    else
        print_scaled(b, n / 1e6, 'M');
}
