#include "lm/told.h"

#include <ctype.h>
#include <curl/curl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define LONGEST        1e7 /* s: what is told beyond it is nonsense */
#define MINUTE         60.0
#define LONGEST_WINDOW 3600.0 /* s that a pace is made of */
#define SHORT_WINDOW   2.0    /* s in which what is left tells nothing */

void dm_told_init(dm_told_limits *t)
{
    *t = (dm_told_limits){.plain = {0, -1, -1}};
    for (int k = 0; k < DM_RATES; k++)
        t->rate[k] = (dm_told_rate){0, -1, -1};
}

/* ---- values ---- */

static double sane(double seconds)
{
    return seconds >= 0 && seconds <= LONGEST ? seconds : -1;
}

/* The seconds of the unit at p, perhaps behind a blank, as a letter or as a word; 0: there is none.
 * *end: behind it. */
static double read_unit(const char *p, const char **end)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"ms", 1e-3}, {"msec", 1e-3}, {"millisecond", 1e-3}, {"us", 1e-6}, {"ns", 1e-9},
                 {"d", 86400}, {"day", 86400}, {"h", 3600},           {"hr", 3600}, {"hour", 3600},
                 {"m", 60},    {"min", 60},    {"minute", 60},        {"s", 1},     {"sec", 1},
                 {"second", 1}};
    const char *word = p + strspn(p, " ");
    size_t n = 0;
    while (isalpha((unsigned char)word[n]))
        n++;
    size_t bare = n > 2 && tolower((unsigned char)word[n - 1]) == 's' ? n - 1 : n;
    *end = word + n;
    for (size_t u = 0; u < sizeof units / sizeof *units; u++)
        if (strlen(units[u].name) == bare && strncasecmp(word, units[u].name, bare) == 0)
            return units[u].seconds;
    *end = p;
    return 0;
}

/* "6m0s", "1s", "120ms", "1h2m3.5s", "2 minutes", "20": seconds; negative: none of it. */
static double read_duration(const char *p)
{
    double sum = 0;
    bool any = false;
    while (isdigit((unsigned char)*p) || (*p == '.' && isdigit((unsigned char)p[1]))) {
        char *after;
        double n = strtod(p, &after), unit = read_unit(after, &p);
        any = true;
        sum += n * (unit > 0 ? unit : 1);
        if (unit <= 0) /* seconds, and the last of it */
            break;
        p += strspn(p, " ");
    }
    return any ? sane(sum) : -1;
}

static int two_digits(const char *p) /* -1: they are none */
{
    bool good = p[0] >= '0' && p[0] <= '9' && p[1] >= '0' && p[1] <= '9';
    return good ? (p[0] - '0') * 10 + p[1] - '0' : -1;
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
        int hours = two_digits(end + 1), minutes = hours < 0 ? -1 : 0;
        if (hours >= 0 && end[3])
            minutes = two_digits(end + 3 + (end[3] == ':'));
        if (minutes < 0)
            return NAN;
        when -= (*end == '-' ? -1 : 1) * (hours * 3600.0 + minutes * 60.0);
    }
    return when;
}

/* Seconds from now; negative: it cannot be read. A number beyond any wait is a time, in seconds or
 * milliseconds since 1970. */
static double read_wait(const char *p, double wall)
{
    if (strlen(p) > 10 && p[4] == '-') {
        double when = read_time_3339(p);
        return isnan(when) ? -1 : sane(fmax(0, when - wall));
    }
    double plain = strtod(p, NULL);
    if (isdigit((unsigned char)*p) && plain > 1e9)
        return sane(fmax(0, (plain > 1e11 ? plain / 1000 : plain) - wall));
    if (isdigit((unsigned char)*p) || *p == '.')
        return read_duration(p);
    time_t date = curl_getdate(p, NULL);
    return date == -1 ? -1 : sane(fmax(0, (double)date - wall));
}

/* ---- names ---- */

/* The kind that follows, up to what ends it; the rest of the name behind it, or NULL. */
static const char *read_kind(const char *p, dm_rate_kind *kind)
{
    static const struct {
        const char *name;
        dm_rate_kind kind;
    } names[] = {{"requests", DM_RATE_REQUESTS},
                 {"req", DM_RATE_REQUESTS}, /* Mistral's */
                 {"tokens", DM_RATE_TOKENS},
                 {"input-tokens", DM_RATE_INPUT},
                 {"output-tokens", DM_RATE_OUTPUT}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i].name);
        if (strncasecmp(p, names[i].name, n) != 0 || (p[n] && p[n] != '-'))
            continue;
        *kind = names[i].kind;
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

/* ---- limits of a window ---- */

/* A limit of so many in so many seconds, as one a minute. One of days is a budget, which no pace
 * helps; of several the strictest counts. */
static void take_window(dm_rate_kind kind, dm_told_limits *t, double quota, double seconds)
{
    dm_told_rate *r = &t->rate[kind];
    double a_minute = quota * MINUTE / seconds;
    if (!(quota > 0 && quota < 1e15) || !(seconds > 0 && seconds <= LONGEST_WINDOW))
        return;
    double known = kind == DM_RATE_REQUESTS ? t->windowed : r->limit;
    if (known <= 0 || a_minute < known)
        r->limit = a_minute;
    if (kind == DM_RATE_REQUESTS)
        t->windowed = r->limit;
}

/* What is left, and until when. Of several the one that has least left counts. In a window of a
 * second or two what is left comes and goes faster than answers do. */
static void take_left(dm_told_rate *r, double left, double reset)
{
    if (left < 0 || (left > 0 && reset >= 0 && reset <= SHORT_WINDOW) ||
        (r->remaining >= 0 && r->remaining <= left))
        return;
    r->remaining = left;
    r->reset = reset;
}

/* The number behind "name=" among the parameters of an item, up to its end; negative: none. */
static double parameter(const char *item, size_t n, const char *name)
{
    size_t k = strlen(name);
    for (const char *p = item; p < item + n; p += 1 + strcspn(p, ";, ")) {
        p += strspn(p, ";, ");
        if (strncasecmp(p, name, k) == 0 && p[k] == '=' && isdigit((unsigned char)p[k + 1]))
            return strtod(p + k + 1, NULL);
    }
    return -1;
}

/* The IETF's draft in its versions: "RateLimit-Policy: "default";q=100;w=60, 5000;w=3600", with
 * "RateLimit: "default";r=50;t=30"; earlier "RateLimit: limit=100, remaining=50, reset=5". */
static void ietf_list(dm_told_limits *t, const char *value, bool policy)
{
    size_t whole = strlen(value);
    double left = policy ? -1 : parameter(value, whole, "remaining");
    if (left >= 0) {
        take_left(&t->rate[DM_RATE_REQUESTS], left, sane(parameter(value, whole, "reset")));
        t->plain.limit = fmax(0, parameter(value, whole, "limit"));
        return;
    }
    for (const char *p = value; *p; p += *p == ',') {
        size_t n = strcspn(p, ",");
        const char *unit = memmem(p, n, "qu=\"", 4);
        bool tokens = unit && strncasecmp(unit + 4, "tokens\"", 7) == 0;
        dm_rate_kind kind = tokens ? DM_RATE_TOKENS : DM_RATE_REQUESTS;
        double q = parameter(p, n, "q"), bare = strtod(p, NULL);
        if (unit && !tokens && strncasecmp(unit + 4, "requests\"", 9) != 0)
            ; /* bytes, or what runs at once */
        else if (policy)
            take_window(kind, t, q >= 0 ? q : bare, parameter(p, n, "w"));
        else
            take_left(&t->rate[kind], parameter(p, n, "r"), sane(parameter(p, n, "t")));
        p += n;
    }
}

/* What is said of no kind is of requests; of no window it is taken for a minute's, if the time to
 * its reset is one within a minute. */
static void use_plain(dm_told_limits *t)
{
    dm_told_rate *r = &t->rate[DM_RATE_REQUESTS];
    const dm_told_rate *p = &t->plain;
    bool by_minute = p->limit > 0 && p->reset > SHORT_WINDOW && p->reset <= MINUTE;
    if (by_minute && t->windowed <= 0)
        r->limit = p->limit;
    if (by_minute || t->windowed > 0 || p->remaining == 0)
        take_left(r, p->remaining, p->reset);
    if (r->reset < 0)
        r->reset = p->reset;
}

/* "limit", "remaining-minute": of no kind; a window may stand behind, as gateways have it. */
static void plain_header(dm_told_limits *t, const char *p, const char *value, double wall)
{
    static const struct {
        const char *name;
        double seconds;
    } windows[] = {{"-second", 1}, {"-minute", MINUTE}, {"-hour", 3600}};
    size_t n = strcspn(p, "-");
    char what[16];
    snprintf(what, sizeof what, "%.*s", (int)(n < 15 ? n : 15), p);
    for (size_t i = 0; p[n] && i < 3; i++)
        if (strcasecmp(p + n, windows[i].name) == 0 && strcasecmp(what, "limit") == 0)
            take_window(DM_RATE_REQUESTS, t, strtod(value, NULL), windows[i].seconds);
        else if (strcasecmp(p + n, windows[i].name) == 0 && i > 0 && isdigit((unsigned char)*value))
            take_left(&t->rate[DM_RATE_REQUESTS], strtod(value, NULL), -1);
    if (p[n])
        return;
    set(&t->plain, what, value, wall);
    if (strcasecmp(what, "limit") == 0 && strstr(value, "w=")) /* "100, 100;w=60" */
        ietf_list(t, value + strcspn(value, ","), true);
    use_plain(t);
}

/* x-ratelimit-limit-requests and its kin; "-minute" behind it says what it is, "-day" another one.
 */
static void openai_header(dm_told_limits *t, const char *p, const char *value, double wall)
{
    static const char *const what[] = {"limit", "remaining", "reset"};
    plain_header(t, p, value, wall);
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
    else if (strcasecmp(name, "ratelimit") == 0 || strcasecmp(name, "ratelimit-policy") == 0)
        ietf_list(t, value, name[9] != 0), use_plain(t);
    else if (strncasecmp(name, "ratelimit-", 10) == 0)
        plain_header(t, name + 10, value, wall);
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
        const char *p = strcasestr(message, before[i]);
        double seconds = p ? read_duration(p + strlen(before[i])) : -1;
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
