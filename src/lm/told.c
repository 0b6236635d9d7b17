#include "lm/told.h"

#include <ctype.h>
#include <curl/curl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define LONGEST 1e7 /* s: what is told beyond it is nonsense */
#define MINUTE  60.0

void dm_told_init(dm_told_limits *t)
{
    *t = (dm_told_limits){0};
    for (int k = 0; k < DM_RATES; k++)
        t->rate[k] = (dm_told_rate){0, -1, -1};
}

/* ---- values ---- */

static double sane(double seconds)
{
    return seconds >= 0 && seconds <= LONGEST ? seconds : -1;
}

/* "6m0s", "1s", "120ms", "1h2m3.5s", "20": seconds; negative: none of it. *end: behind it. */
static double read_duration(const char *p, const char **end)
{
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}, {"d", 86400},
                 {"h", 3600},  {"m", 60},    {"s", 1}};
    double sum = 0;
    bool any = false;
    while (isdigit((unsigned char)*p) || (*p == '.' && isdigit((unsigned char)p[1]))) {
        char *after;
        double n = strtod(p, &after);
        size_t u = 0;
        while (u < sizeof units / sizeof *units &&
               strncasecmp(after, units[u].unit, strlen(units[u].unit)) != 0)
            u++;
        any = true;
        if (u == sizeof units / sizeof *units) { /* seconds, and the last of it */
            sum += n;
            p = after;
            break;
        }
        sum += n * units[u].seconds;
        p = after + strlen(units[u].unit);
    }
    *end = p;
    return any ? sane(sum) : -1;
}

/* RFC 3339: "2026-11-28T12:34:56.5Z", "2026-11-28T14:34:56+02:00". Seconds since 1970; NAN: it is
 * none. */
static double read_time_3339(const char *p)
{
    struct tm t = {0};
    char *end = strptime(p, "%Y-%m-%dT%H:%M:%S", &t);
    if (!end && !(end = strptime(p, "%Y-%m-%dt%H:%M:%S", &t)) &&
        !(end = strptime(p, "%Y-%m-%d %H:%M:%S", &t)))
        return NAN;
    double when = (double)timegm(&t);
    if (*end == '.')
        when += strtod(end, &end);
    if (*end == '+' || *end == '-') {
        int hours = 0, minutes = 0;
        if (sscanf(end + 1, "%2d:%2d", &hours, &minutes) < 1)
            return NAN;
        when -= (*end == '-' ? -1 : 1) * (hours * 3600.0 + minutes * 60.0);
    }
    return when;
}

/* Seconds from now; negative: it cannot be read. A number beyond any wait is a time, in seconds or
 * milliseconds since 1970. */
static double read_wait(const char *p, double wall)
{
    const char *end;
    if (strlen(p) > 10 && p[4] == '-') {
        double when = read_time_3339(p);
        return isnan(when) ? -1 : sane(fmax(0, when - wall));
    }
    double plain = strtod(p, NULL);
    if (isdigit((unsigned char)*p) && plain > 1e9)
        return sane(fmax(0, (plain > 1e11 ? plain / 1000 : plain) - wall));
    if (isdigit((unsigned char)*p) || *p == '.')
        return read_duration(p, &end);
    time_t date = curl_getdate(p, NULL);
    return date == -1 ? -1 : sane(fmax(0, (double)date - wall));
}

/* ---- names ---- */

/* The kind that follows, up to what ends it; the rest of the name behind it, or NULL. */
static const char *read_kind(const char *p, dm_rate_kind *kind)
{
    static const char *const names[] = {"requests", "tokens", "input-tokens", "output-tokens"};
    for (int k = DM_RATES - 1; k >= 0; k--) {
        size_t n = strlen(names[k]);
        if (strncasecmp(p, names[k], n) != 0 || (p[n] && p[n] != '-'))
            continue;
        *kind = (dm_rate_kind)k;
        return p + n;
    }
    return NULL;
}

static void set(dm_told_rate *r, const char *what, const char *value, double wall)
{
    double number = strtod(value, NULL);
    if (strcasecmp(what, "limit") == 0 && number > 0 && number < 1e15)
        r->limit = number;
    else if (strcasecmp(what, "remaining") == 0 && isdigit((unsigned char)*value))
        r->remaining = number;
    else if (strcasecmp(what, "reset") == 0)
        r->reset = read_wait(value, wall);
}

/* x-ratelimit-limit-requests and its kin; "-minute" behind it says what it is, "-day" another one.
 */
static void openai_header(dm_told_limits *t, const char *p, const char *value, double wall)
{
    static const char *const what[] = {"limit", "remaining", "reset"};
    if (strcasecmp(p, "reset") == 0) /* of a limit that is not named: for a refusal's wait alone */
        set(&t->rate[DM_RATE_REQUESTS], p, value, wall);
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(what[i]);
        dm_rate_kind kind;
        if (strncasecmp(p, what[i], n) != 0 || p[n] != '-')
            continue;
        const char *rest = read_kind(p + n + 1, &kind);
        if (rest && (!*rest || strcasecmp(rest, "-minute") == 0))
            set(&t->rate[kind], what[i], value, wall);
    }
}

/* anthropic-ratelimit-input-tokens-remaining and its kin. */
static void anthropic_header(dm_told_limits *t, const char *p, const char *value, double wall)
{
    dm_rate_kind kind;
    const char *rest = read_kind(p, &kind);
    if (rest && *rest == '-')
        set(&t->rate[kind], rest + 1, value, wall);
}

static void take(dm_told_limits *t, const char *name, const char *value, double wall)
{
    double wait = 0;
    if (strncasecmp(name, "x-ratelimit-", 12) == 0)
        openai_header(t, name + 12, value, wall);
    else if (strncasecmp(name, "anthropic-ratelimit-", 20) == 0)
        anthropic_header(t, name + 20, value, wall);
    else if (strcasecmp(name, "retry-after-ms") == 0 ||
             strcasecmp(name, "x-ms-retry-after-ms") == 0)
        wait = sane(strtod(value, NULL) / 1000);
    else if (strcasecmp(name, "retry-after") == 0 && t->retry_after == 0)
        wait = read_wait(value, wall);
    if (wait > 0) /* in milliseconds it is the finer one, wherever it stands */
        t->retry_after = wait;
}

void dm_told_header(dm_told_limits *t, dm_str line, double wall)
{
    char text[256];
    if (line.n > 5 && strncasecmp(line.p, "HTTP/", 5) == 0) {
        dm_told_init(t);
        return;
    }
    if (line.n == 0 || !strchr("rRxXaA", *line.p) || line.n >= sizeof text)
        return;
    memcpy(text, line.p, line.n);
    text[line.n] = 0;
    char *value = strchr(text, ':');
    if (!value)
        return;
    *value++ = 0;
    value += strspn(value, " \t");
    size_t n = strlen(value);
    while (n && isspace((unsigned char)value[n - 1]))
        value[--n] = 0;
    take(t, text, value, wall);
}

double dm_told_in_words(const char *message)
{
    static const char *const before[] = {"try again in ", "retry in ", "retry after "};
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        const char *p = strcasestr(message, before[i]), *end;
        double seconds = p ? read_duration(p + strlen(before[i]), &end) : -1;
        if (p && seconds > 0 && strncasecmp(end, " minute", 7) == 0)
            seconds *= 60;
        else if (p && seconds > 0 && strncasecmp(end, " hour", 5) == 0)
            seconds *= 3600;
        if (seconds > 0)
            return seconds;
    }
    return 0;
}

/* A bucket that is empty, and has just begun to fill again, has a whole minute to its reset. */
static bool is_filling(const dm_told_rate *r)
{
    return r->limit > 0 && r->remaining == 0 && fabs(r->reset - MINUTE) < MINUTE / 20;
}

double dm_told_wait(const dm_told_limits *t)
{
    double used_up = 0, least = 0;
    bool filling = false;
    if (t->retry_after > 0)
        return t->retry_after;
    for (int k = 0; k < DM_RATES; k++) {
        const dm_told_rate *r = &t->rate[k];
        filling |= is_filling(r);
        if (r->reset <= 0 || is_filling(r))
            continue;
        least = least > 0 ? fmin(least, r->reset) : r->reset;
        if (r->remaining == 0)
            used_up = fmax(used_up, r->reset);
    }
    return used_up > 0 ? used_up : filling ? 0 : least;
}
