#include "base/secret.h"
#include "base/mem.h"
#include "base/show.h"
#include "base/utf8.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

#define SURE     8  /* bytes from which on a key is looked for in our own sentences */
#define LONG     16 /* from which on it is no word, digits or not */
#define ALONE    3  /* below, it has to stand alone */
#define MAX_RUN  8  /* backslashes, or line ends, in one place: what is longer is no escape */
#define ESCAPED  16 /* bytes that one byte takes up in an escaped form at the most */
#define N_BASE64 3
static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

typedef struct secret {
    char *text;
    size_t n;
    dm_mask_level level; /* the highest at which it is masked */
    /* Its base64, as it is after 0, 1 and 2 bytes of something else: the characters that depend on
     * it alone, and whether one before and one behind hold bits of it. */
    struct {
        char *text;
        size_t n;
        bool before, after;
    } coded[N_BASE64];
} secret;

static struct {
    secret *secrets; /* [n] the longest first: one may hold another */
    size_t n, longest;
    bool first[256]; /* bytes with which one may begin, in any form */
    struct taken {
        char *name, *value;
    } * taken; /* [n_taken] variables that are no longer in the environment */
    size_t n_taken;
} state;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- forms ---- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The number that n hexadecimal digits at p give; -1: they are none. */
static long hex(const char *p, const char *end, size_t n)
{
    long v = 0;
    if ((size_t)(end - p) < n)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (hex_digit(p[i]) < 0)
            return -1;
        v = v * 16 + hex_digit(p[i]);
    }
    return v;
}

/* JSON's and Python's: \/ \" and \u002f \x2f, with more backslashes where JSON stands in JSON. */
static size_t backslashed(const char *p, const char *end, char c)
{
    const char *q = p;
    while (q < end && *q == '\\' && q - p < MAX_RUN)
        q++;
    if (q == p || q == end)
        return 0;
    if (*q == 'u' && hex(q + 1, end, 4) == (unsigned char)c)
        return (size_t)(q - p) + 5;
    if (*q == 'x' && hex(q + 1, end, 2) == (unsigned char)c)
        return (size_t)(q - p) + 3;
    return *q == c ? (size_t)(q - p) + 1 : 0;
}

/* %2F, and %252F where it was encoded twice. */
static size_t percent(const char *p, const char *end, char c)
{
    const char *q = p + 1;
    if (*p != '%')
        return 0;
    while (end - q >= 4 && memcmp(q, "25", 2) == 0 && hex(q + 2, end, 2) >= 0 && q - p < MAX_RUN)
        q += 2;
    return hex(q, end, 2) == (unsigned char)c ? (size_t)(q - p) + 2 : 0;
}

/* HTML's: &amp; &#38; &#x26; */
static size_t entity(const char *p, const char *end, char c)
{
    static const struct {
        const char *name;
        char c;
    } named[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
    if (*p != '&')
        return 0;
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        size_t n = strlen(named[i].name);
        if (named[i].c == c && (size_t)(end - p) >= n && memcmp(p, named[i].name, n) == 0)
            return n;
    }
    char number[8] = "", *rest;
    size_t n = 2;
    for (; p + n < end && p[n] != ';' && n < 9; n++)
        number[n - 2] = p[n];
    if (end - p < 4 || p[1] != '#' || p + n >= end || p[n] != ';')
        return 0;
    bool x = number[0] == 'x' || number[0] == 'X';
    long v = strtol(number + x, &rest, x ? 16 : 10);
    return *rest == 0 && v == (unsigned char)c ? n + 1 : 0;
}

static bool same_char(char text, char c, bool coded)
{
    return text == c || (coded && ((c == '+' && text == '-') || (c == '/' && text == '_')));
}

/* Base64 may be broken into lines, also into escaped ones. */
static const char *skip_breaks(const char *p, const char *end)
{
    const char *from = p;
    while (p < end && p - from < MAX_RUN) {
        if (strchr("\r\n\t ", *p) && *p)
            p++;
        else if (end - p >= 2 && *p == '\\' && (p[1] == 'n' || p[1] == 'r'))
            p += 2;
        else
            break;
    }
    return p;
}

/* Bytes at p that spell the key, in whatever mixture of forms; 0: they do not. */
static size_t spelled(const char *p, const char *end, dm_str key, bool coded)
{
    const char *at = p;
    for (size_t i = 0; i < key.n; i++) {
        char c = key.p[i];
        if (coded && i > 0)
            at = skip_breaks(at, end);
        if (at >= end)
            return 0;
        size_t n = 0;
        if (*at == '\\' || *at == '%' || *at == '&') {
            n = backslashed(at, end, c);
            n = n ? n : percent(at, end, c);
            n = n ? n : entity(at, end, c);
            if (n && *at == c) { /* it may also stand for itself */
                dm_str rest = {key.p + i + 1, key.n - i - 1};
                size_t more = rest.n ? spelled(at + 1, end, rest, coded) : 0;
                if (more)
                    return (size_t)(at + 1 - p) + more;
            }
            if (!n && coded && c == '+')
                n = percent(at, end, '-');
            if (!n && coded && c == '/')
                n = percent(at, end, '_');
        }
        if (!n && same_char(*at, c, coded))
            n = 1;
        if (!n)
            return 0;
        at += n;
    }
    return (size_t)(at - p);
}

/* ---- where secrets are ---- */

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_base64(char c)
{
    return (is_word(c) || c == '+' || c == '/' || c == '-') && c;
}

/* "Bearer%20x" ends in a digit, and x stands alone behind it. */
static bool stands_alone(dm_str text, size_t at, size_t n)
{
    bool escaped = at >= 3 && text.p[at - 3] == '%';
    return (at == 0 || escaped || !is_word(text.p[at - 1])) &&
           (at + n == text.n || !is_word(text.p[at + n]));
}

/* The bytes [*at, *at + n) of the text that hold s, if they begin at *at; n, 0: they do not. */
static size_t held(const secret *s, dm_str text, size_t least, size_t *at)
{
    const char *p = text.p + *at, *end = text.p + text.n;
    size_t n = spelled(p, end, (dm_str){s->text, s->n}, false);
    if (n && (s->n >= ALONE || stands_alone(text, *at, n)))
        return n;
    for (int i = 0; i < N_BASE64; i++) {
        dm_str coded = {s->coded[i].text, s->coded[i].n};
        n = coded.n ? spelled(p, end, coded, true) : 0;
        if (!n)
            continue;
        if (s->coded[i].before && *at > least && is_base64(text.p[*at - 1]))
            --*at, n++;
        if (s->coded[i].after && *at + n < text.n && is_base64(text.p[*at + n]))
            n++;
        return n;
    }
    return 0;
}

/* The first secret at or behind from: its bytes are [*at, *at + n). n, 0: there is none. */
static size_t find(dm_str text, size_t from, dm_mask_level level, size_t *at)
{
    if (state.n == 0)
        return 0;
    for (size_t i = from; i < text.n; i++) {
        if (!state.first[(unsigned char)text.p[i]])
            continue;
        for (size_t k = 0; k < state.n; k++) {
            *at = i;
            size_t n =
                state.secrets[k].level >= level ? held(&state.secrets[k], text, from, at) : 0;
            if (n)
                return n;
        }
    }
    return 0;
}

bool dm_secret_in(dm_str text, dm_mask_level level)
{
    size_t at;
    pthread_mutex_lock(&lock);
    bool in = find(text, 0, level, &at) > 0;
    pthread_mutex_unlock(&lock);
    return in;
}

/* What the bytes from `from` on give; a secret that begins before and ends behind is ***. */
static void mask_from(dm_buf *out, dm_str text, size_t from, dm_mask_level level)
{
    size_t done = 0, at, n;
    pthread_mutex_lock(&lock);
    while ((n = find(text, done, level, &at)) > 0) {
        size_t begin = done > from ? done : from;
        if (at > begin)
            dm_buf_add(out, text.p + begin, at - begin);
        done = at + n;
        if (done > from)
            dm_buf_text(out, "***");
    }
    pthread_mutex_unlock(&lock);
    size_t begin = done > from ? done : from;
    if (text.n > begin)
        dm_buf_add(out, text.p + begin, text.n - begin);
}

void dm_mask(dm_buf *out, dm_str text, dm_mask_level level)
{
    mask_from(out, text, 0, level);
}

size_t dm_secret_reach(void)
{
    pthread_mutex_lock(&lock);
    size_t reach = ESCAPED * state.longest + 2 * MAX_RUN;
    pthread_mutex_unlock(&lock);
    return reach;
}

/* ---- text from outside ---- */

char *dm_outside(dm_str text, size_t most)
{
    dm_buf masked, out;
    dm_buf_init(&masked, SIZE_MAX / 2);
    dm_buf_init(&out, SIZE_MAX / 2);
    mask_from(&masked, text, 0, DM_MASK_ALL);
    dm_show(&out, dm_utf8_head(dm_buf_view(&masked), 4 * most + 4), DM_SHOW_LINE);
    dm_str all = dm_buf_view(&out);
    bool whole = all.n <= most;
    dm_str head = whole ? all : dm_utf8_head(all, most > 3 ? most - 3 : most);
    char *line = dm_alloc(head.n + 4);
    memcpy(line, head.n ? head.p : "", head.n);
    if (!whole && most > 3)
        memcpy(line + head.n, "...", 4);
    dm_buf_free(&masked);
    dm_buf_free(&out);
    return line;
}

char *dm_outside_end(dm_str text, size_t most)
{
    dm_buf masked, out;
    size_t from = text.n > most ? text.n - most : 0;
    dm_buf_init(&masked, SIZE_MAX / 2);
    dm_buf_init(&out, SIZE_MAX / 2);
    while (from > 0 && from < text.n && ((unsigned char)text.p[from] & 0xC0) == 0x80)
        from++;
    mask_from(&masked, text, from, DM_MASK_ALL);
    dm_show(&out, dm_py_strip(dm_buf_view(&masked)), DM_SHOW_LINES);
    char *words = dm_copy_bytes(out.len ? out.data : "", out.len);
    dm_buf_free(&masked);
    dm_buf_free(&out);
    return words;
}

/* ---- knowing secrets ---- */

static bool has_digit(dm_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] >= '0' && s.p[i] <= '9')
            return true;
    return false;
}

/* What base64 makes of s behind `before` bytes of something else, in characters that depend on s
 * alone: those that hold no bit of a neighbour. */
static void encode(secret *s, int before)
{
    size_t first = ((size_t)before * 8 + 5) / 6, last = ((size_t)before + s->n) * 8 / 6;
    if (last < first + 3)
        return; /* too few to tell it by */
    char *out = dm_alloc(last - first + 1);
    for (size_t i = first; i < last; i++) {
        unsigned v = 0;
        for (size_t bit = 6 * i; bit < 6 * i + 6; bit++) {
            unsigned char byte = (unsigned char)s->text[bit / 8 - (size_t)before];
            v = v << 1 | (byte >> (7 - bit % 8) & 1u);
        }
        out[i - first] = base64[v];
    }
    s->coded[before].text = out;
    s->coded[before].n = last - first;
    s->coded[before].before = before > 0;
    s->coded[before].after = ((size_t)before + s->n) * 8 % 6 != 0;
}

static void may_begin(char c)
{
    state.first[(unsigned char)c] = true;
    if (c == '+')
        state.first['-'] = true;
    if (c == '/')
        state.first['_'] = true;
}

static dm_mask_level level_of(dm_str s)
{
    if (s.n < SURE)
        return DM_MASK_ALL;
    return s.n >= LONG || has_digit(s) ? DM_MASK_ANSWERS : DM_MASK_LINES;
}

static bool know(dm_str text)
{
    size_t at = 0;
    while (at < state.n && state.secrets[at].n > text.n)
        at++;
    for (size_t i = at; i < state.n && state.secrets[i].n == text.n; i++)
        if (memcmp(state.secrets[i].text, text.p, text.n) == 0)
            return false;
    secret s = {.text = dm_copy_bytes(text.p, text.n), .n = text.n, .level = level_of(text)};
    may_begin(s.text[0]);
    may_begin('\\');
    may_begin('%');
    may_begin('&');
    for (int i = 0; i < N_BASE64; i++) {
        encode(&s, i);
        if (s.coded[i].n)
            may_begin(s.coded[i].text[0]);
    }
    state.secrets = dm_grow(state.secrets, state.n + 1, sizeof *state.secrets);
    memmove(state.secrets + at + 1, state.secrets + at, (state.n - at) * sizeof *state.secrets);
    state.secrets[at] = s;
    state.n++;
    state.longest = s.n > state.longest ? s.n : state.longest;
    return true;
}

/* ---- the environment ---- */

static struct taken *taken_of(const char *name, size_t n)
{
    for (size_t i = 0; i < state.n_taken; i++)
        if (strncmp(state.taken[i].name, name, n) == 0 && !state.taken[i].name[n])
            return &state.taken[i];
    return NULL;
}

/* Overwrites "NAME=value" where it lies, after its value was copied. */
static void take(char *variable)
{
    size_t n = strcspn(variable, "=");
    char *value = variable + n + (variable[n] == '=');
    struct taken *t = taken_of(variable, n);
    if (!t) {
        state.taken = dm_grow(state.taken, state.n_taken + 1, sizeof *state.taken);
        t = &state.taken[state.n_taken++];
        *t = (struct taken){.name = dm_copy_bytes(variable, n)};
    }
    free(t->value);
    t->value = dm_copy_string(value);
    explicit_bzero(value, strlen(value));
    for (char **e = environ; *e; e++) /* one name may stand there twice */
        if (strncmp(*e, t->name, n) == 0 && (*e)[n] == '=')
            explicit_bzero(*e + n + 1, strlen(*e + n + 1));
    unsetenv(t->name);
}

static bool holds(dm_str value, dm_str key)
{
    if (key.n >= LONG)
        return memmem(value.p, value.n, key.p, key.n) != NULL;
    return dm_str_eq(dm_secret_trim(value), key); /* a short one may be part of a path */
}

static void take_holders(dm_str key)
{
    for (char **e = environ; e && *e;) {
        const char *value = strchr(*e, '=');
        if (value && value > *e && holds(dm_str_of(value + 1), key)) {
            take(*e);
            e = environ; /* unsetenv has moved them */
        } else {
            e++;
        }
    }
}

void dm_secret_add(dm_str key)
{
    if (key.n == 0)
        return;
    pthread_mutex_lock(&lock);
    bool news = know(key);
    if (news && key.n < ALONE) { /* too short for base64 of its own */
        char bearer[16];
        int n = snprintf(bearer, sizeof bearer, "Bearer %.*s", DM_STR_ARG(key));
        know((dm_str){bearer, (size_t)n});
    }
    if (news && level_of(key) == DM_MASK_ANSWERS)
        take_holders(key);
    pthread_mutex_unlock(&lock);
}

static bool is_edge(char c)
{
    return c && strchr(" \t\r\n\v\f", c);
}

dm_str dm_secret_trim(dm_str s)
{
    static const char mark[] = "\xEF\xBB\xBF";
    for (size_t n = 1; n && s.n; s.p += n, s.n -= n)
        n = is_edge(s.p[0]) ? 1 : dm_str_starts(s, mark) ? 3 : 0;
    for (size_t n = 1; n && s.n; s.n -= n)
        n = is_edge(s.p[s.n - 1]) ? 1 : s.n >= 3 && memcmp(s.p + s.n - 3, mark, 3) == 0 ? 3 : 0;
    return s;
}

const char *dm_secret_taken(const char *name)
{
    const struct taken *t = taken_of(name, strlen(name));
    return t ? t->value : NULL;
}

const char *dm_secret_env(const char *name)
{
    char *value = getenv(name);
    if (value)
        take(value - strlen(name) - 1);
    const char *taken = dm_secret_taken(name);
    if (taken)
        dm_secret_add(dm_secret_trim(dm_str_of(taken)));
    return taken;
}

void dm_secret_wipe_env(void)
{
    for (char **e = environ; e && *e; e++)
        explicit_bzero(*e, strlen(*e));
    clearenv();
}
