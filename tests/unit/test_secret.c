/* A key in text from outside: whatever its form and place, and however short the text is cut. */
#include "base/mem.h"
#include "base/secret.h"
#include "base/utf8.h"
#include "json/json.h"
#include "lm/inside.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY "sk-proj-4f/Q+7\"z_A=k9T.0123456789abcdef"

static void put_base64(dm_buf *b, dm_str s, const char *last_two)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    for (size_t i = 0; i < s.n; i += 3) {
        unsigned v = 0;
        for (size_t k = 0; k < 3; k++)
            v = v << 8 | (i + k < s.n ? (unsigned char)s.p[i + k] : 0);
        for (size_t k = 0; k < 4; k++) {
            unsigned d = v >> (18 - 6 * k) & 63;
            bool there = i + k <= s.n;
            dm_buf_char(b, !there ? '=' : d < 62 ? digits[d] : last_two[d - 62]);
        }
    }
}

typedef enum form {
    RAW,
    JSON,       /* as a JSON string has it */
    JSON_SLASH, /* as PHP writes it */
    JSON_TWICE, /* a JSON string in a JSON string */
    JSON_ALL,   /* \u0041 */
    PYTHON_ALL, /* \x41 */
    URL,
    URL_LOW,
    URL_ALL,
    URL_TWICE,
    HTML,
    HTML_ALL,
    BASE64,
    BASE64_URL,
    BASE64_LINES,
    BASE64_IN_JSON,
    BASE64_IN_URL,
    BASE64_BEARER,
    BASE64_USER,
    BASE64_LONG_USER,
    FORMS
} form;

static void put_each(dm_buf *b, const char *special, const char *with, const char *without)
{
    for (const char *p = KEY; *p; p++)
        if (!special || strchr(special, *p))
            dm_buf_printf(b, with, (unsigned char)*p); /* NOLINT */
        else
            dm_buf_printf(b, without, *p); /* NOLINT */
}

static void put_coded(dm_buf *b, form f)
{
    dm_buf plain;
    dm_buf_init(&plain, 1000);
    switch (f) {
    case BASE64_BEARER:
        put_base64(b, DM_STR("Bearer " KEY), "+/");
        break;
    case BASE64_USER:
        put_base64(b, DM_STR("me:" KEY), "+/");
        break;
    case BASE64_LONG_USER:
        put_base64(b, DM_STR("user:" KEY "\n"), "-_");
        break;
    case BASE64_URL:
        put_base64(b, DM_STR(KEY), "-_");
        break;
    default:
        put_base64(&plain, DM_STR(KEY), "+/");
        for (size_t i = 0; i < plain.len; i++) {
            char c = plain.data[i];
            if (f == BASE64_LINES && i % 19 == 18)
                dm_buf_text(b, i % 2 ? "\r\n" : "\\n");
            if (f == BASE64_IN_JSON && c == '/')
                dm_buf_char(b, '\\');
            if (f == BASE64_IN_URL && strchr("+/=", c))
                dm_buf_printf(b, "%%%02X", c);
            else
                dm_buf_char(b, c);
        }
    }
    dm_buf_free(&plain);
}

static void put_form(dm_buf *b, form f)
{
    switch (f) {
    case RAW:
        dm_buf_text(b, KEY);
        break;
    case JSON:
        put_each(b, "\"", "\\%c", "%c");
        break;
    case JSON_SLASH:
        put_each(b, "\"/", "\\%c", "%c");
        break;
    case JSON_TWICE:
        put_each(b, "\"", "\\\\\\%c", "%c");
        break;
    case JSON_ALL:
        put_each(b, NULL, "\\u%04x", "");
        break;
    case PYTHON_ALL:
        put_each(b, NULL, "\\x%02x", "");
        break;
    case URL:
        put_each(b, "/+\"=", "%%%02X", "%c");
        break;
    case URL_LOW:
        put_each(b, "/+\"=", "%%%02x", "%c");
        break;
    case URL_ALL:
        put_each(b, NULL, "%%%02X", "");
        break;
    case URL_TWICE:
        put_each(b, "/+\"=", "%%25%02X", "%c");
        break;
    case HTML:
        put_each(b, "\"", "&quot;", "%c");
        break;
    case HTML_ALL:
        put_each(b, NULL, "&#%d;", "");
        break;
    default:
        put_coded(b, f);
    }
}

/* Whether the text holds 9 bytes of the form in a row: of base64, behind the bytes of what stands
 * before the key. */
static bool holds(const char *text, dm_str spelled, form f)
{
    size_t from = f == BASE64_BEARER ? 10 : f == BASE64_LONG_USER ? 7 : f == BASE64_USER ? 4 : 0;
    char part[10] = "";
    for (size_t i = from; i + 9 <= spelled.n; i++) {
        memcpy(part, spelled.p + i, 9);
        if (strstr(text, part))
            return true;
    }
    return false;
}

Test(secret, no_form_of_a_key_at_any_place_of_a_message)
{
    dm_buf spelled[FORMS];
    char message[4096];
    size_t wrong = 0, looked = 0, kept = 0;
    dm_secret_add(DM_STR("another-key-1234"));
    dm_secret_add(DM_STR(KEY));
    dm_secret_add(DM_STR("sk-proj-"));
    for (form f = 0; f < FORMS; f++) {
        dm_buf_init(&spelled[f], 4000);
        put_form(&spelled[f], f);
    }
    for (size_t n = 0; n <= sizeof message; n++)
        for (size_t offset = 0; offset < 64; offset++) {
            form f = (form)((n * 13 + offset * 7 + n / 64) % FORMS);
            dm_str s = dm_buf_view(&spelled[f]);
            if (n < s.n + offset)
                continue;
            size_t places = (n - s.n - offset) / 64 + 1, at = offset + 64 * ((n * 31) % places);
            memset(message, 'x', n);
            memcpy(message + at, s.p, s.n);
            if (at)
                message[at - 1] = ' ';
            char *most = dm_outside((dm_str){message, n}, n % 5 ? 239 : 8192);
            char *end = dm_outside_end((dm_str){message, n}, n % 3 ? 200 : 8192);
            looked++;
            wrong += holds(most, s, f) || holds(end, s, f);
            kept += at < 200 && strncmp(most, message, at > 1 ? at - 1 : 0) == 0;
            if (wrong && wrong < 5)
                cr_log_error("form %d, %zu bytes, at %zu: %.300s\n%.300s", f, n, at, most, end);
            free(most);
            free(end);
        }
    cr_expect(looked > 240000 && kept > 10000, "%zu looks, %zu kept", looked, kept);
    cr_expect_eq(wrong, 0);
    for (form f = 0; f < FORMS; f++)
        dm_buf_free(&spelled[f]);
}

/* Every form at each length of what stands before it, glued to it. */
Test(secret, no_form_of_a_key_behind_any_padding)
{
    dm_secret_add(DM_STR(KEY));
    for (form f = 0; f < FORMS; f++) {
        dm_buf b;
        dm_buf_init(&b, 8192);
        size_t wrong = 0;
        dm_buf s;
        dm_buf_init(&s, 4000);
        put_form(&s, f);
        for (size_t n = 0; n < 700; n++) {
            dm_buf_reset(&b);
            for (size_t i = 0; i < n; i++)
                dm_buf_char(&b, 'x');
            dm_buf_str(&b, dm_buf_view(&s));
            char *most = dm_outside(dm_buf_view(&b), 239);
            wrong += holds(most, dm_buf_view(&s), f);
            cr_expect(strlen(most) <= 239 && dm_utf8_valid(dm_str_of(most)) == strlen(most));
            free(most);
        }
        cr_expect_eq(wrong, 0, "form %d", f);
        dm_buf_free(&b);
        dm_buf_free(&s);
    }
}

static void expect_masked(const char *text, dm_mask_level level, const char *want)
{
    dm_buf b;
    dm_buf_init(&b, 1 << 20);
    dm_mask(&b, dm_str_of(text), level);
    cr_expect_str_eq(b.data ? b.data : "", want, "\"%s\" at %d: %s", text, level, b.data);
    dm_buf_free(&b);
}

/* What is a word may be a key too: it is masked where a message may hold it, never in an answer. */
Test(secret, short_keys_and_words)
{
    dm_secret_add(DM_STR("x"));
    dm_secret_add(DM_STR("none"));
    dm_secret_add(DM_STR("anything"));
    dm_secret_add(DM_STR("token-abc123"));
    expect_masked("bad key x, xml", DM_MASK_ALL, "bad key ***, xml");
    expect_masked("Basic%20x x1 x_ \"x\"", DM_MASK_ALL, "Basic%20*** x1 x_ \"***\"");
    expect_masked("QmVhcmVyIHg=", DM_MASK_ALL, "***="); /* Bearer x */
    expect_masked("xxxxnone", DM_MASK_ALL, "xxxx***");
    expect_masked("xxxx%6eone \\u006eone bm9uZQ==", DM_MASK_ALL, "xxxx*** *** ***==");
    expect_masked("x and none of anything", DM_MASK_LINES, "x and none of ***");
    expect_masked("x and none of anything", DM_MASK_ANSWERS, "x and none of anything");
    expect_masked("say token-abc123!", DM_MASK_ANSWERS, "say ***!");
    cr_expect(dm_secret_in(DM_STR("a token-abc123"), DM_MASK_ANSWERS));
    cr_expect_not(dm_secret_in(DM_STR("a token-abc12"), DM_MASK_ALL));
}

Test(secret, three_characters)
{
    dm_secret_add(DM_STR("q7z"));
    expect_masked("xxxxq7z,q7zx", DM_MASK_ALL, "xxxx***,***x");
    expect_masked("Basic dXNlcjpxN3o= bWU6cTd6 QmVhcmVyIHE3eg==", DM_MASK_ALL,
                  "Basic dXNlcj***= bWU6*** QmVhcmVyI***==");
}

Test(secret, a_message_is_one_line_of_characters)
{
    static const struct {
        const char *text;
        size_t most;
        const char *want;
    } rows[] = {{"a\nb\tc\x1b[2Jd\x7f", 99, "a b c\\x1b[2Jd\\x7f"},
                {"\xC2\x9B"
                 "2J",
                 99, "\\x9b2J"},
                {"half \xE2\x82", 99, "half \\xe2\\x82"},
                {"12345678", 8, "12345678"},
                {"123456789", 8, "12345..."},
                {"1234\xE2\x82\xAC"
                 "890",
                 8, "1234..."},
                {"", 8, ""},
                {"abc", 2, "ab"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *got = dm_outside(dm_str_of(rows[i].text), rows[i].most);
        cr_expect_str_eq(got, rows[i].want, "row %zu: \"%s\"", i, got);
        free(got);
    }
    char *end = dm_outside_end(DM_STR("first\nlast \xFF\n"), 8);
    cr_expect_str_eq(end, "last \\xff", "%s", end);
    free(end);
}

/* A program's words are cut in front: the rest of a key that they begin with is not told. */
Test(secret, last_words_that_begin_inside_a_key)
{
    char text[6000];
    dm_secret_add(DM_STR(KEY));
    for (size_t shift = 0; shift < 64; shift++) {
        size_t n = 0;
        while (n + sizeof KEY + shift < sizeof text) {
            memcpy(text + n, KEY, sizeof KEY - 1);
            n += sizeof KEY - 1;
        }
        size_t most = n - dm_secret_reach() - shift;
        char *end = dm_outside_end((dm_str){text + shift, n - shift}, most);
        cr_expect(!strpbrk(end, "abcdef0123456789"), "%zu: %.80s", shift, end);
        free(end);
    }
}

/* An answer of a server is adversarial text: no form makes the search slow. */
Test(secret, a_search_is_linear, .timeout = 60)
{
    static const char *const patterns[] = {"\\",           "%25",    "&#",   "sk-proj-4f/",
                                           "c2stcHJvai00", "&#x26;", "\\u00"};
    dm_secret_add(DM_STR(KEY));
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        dm_buf b;
        dm_buf_init(&b, 20 << 20);
        while (b.len < 2 << 20)
            dm_buf_text(&b, patterns[i]);
        cr_expect_not(dm_secret_in(dm_buf_view(&b), DM_MASK_ANSWERS));
        dm_buf_free(&b);
    }
}

/* ---- the environment ---- */

static bool environ_holds(const char *what)
{
    static char bytes[1 << 20];
    int fd = open("/proc/self/environ", O_RDONLY);
    ssize_t n = read(fd, bytes, sizeof bytes);
    close(fd);
    return memmem(bytes, n > 0 ? (size_t)n : 0, what, strlen(what)) != NULL;
}

extern char **environ;

/* The bytes of the process's own block are what /proc shows: a test has to be started anew to have
 * keys there. */
Test(secret, keys_go_out_of_the_environment)
{
    char block[] = "FIRST=1\0MY_KEY= " KEY "\r\n\0OTHER=Bearer " KEY "\0SAME=" KEY "\0MY_KEY=" KEY
                   "\0SHORT=none\0NONE=none\0LAST=1";
    char *own[16];
    size_t n = 0;
    for (size_t i = 0; i < sizeof block; i += strlen(block + i) + 1)
        own[n++] = block + i;
    own[n] = NULL;
    environ = own;
    const char *key = dm_secret_env("MY_KEY");
    cr_expect_str_eq(key, " " KEY "\r\n");
    cr_expect(!memmem(block, sizeof block, KEY, strlen(KEY)) && !getenv("MY_KEY"));
    cr_expect(!getenv("OTHER") && !getenv("SAME"));
    cr_expect_str_eq(dm_secret_env("SAME"), KEY);
    cr_expect_str_eq(dm_secret_env("MY_KEY"), " " KEY "\r\n");
    cr_expect_str_eq(dm_secret_env("SHORT"), "none");
    cr_expect_str_eq(getenv("NONE"), "none"); /* a word: other variables may have it */
    cr_expect_null(dm_secret_env("NOT_THERE"));
    cr_expect_null(dm_secret_taken("FIRST"));
    cr_expect_str_eq(getenv("FIRST"), "1");
    setenv("MY_KEY", "sk-another-one-9", 1); /* as a launcher's child does */
    cr_expect_str_eq(dm_secret_env("MY_KEY"), "sk-another-one-9");
    expect_masked("sk-another-one-9 " KEY, DM_MASK_LINES, "*** ***");
    dm_secret_wipe_env();
    cr_expect(!memmem(block, sizeof block, "FIRST", 5) && !getenv("LAST"));
    cr_expect_not(environ_holds(KEY));
}

/* ---- what can be a key ---- */

static dm_status find_key(const char *json, char **key, dm_error *err)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *v = dm_json_read(a, dm_str_of(json), err);
    dm_at at = dm_at_root(v, "job.json", DM_E_JOB);
    dm_lm_config *c = v ? dm_lm_config_read(a, &at, err) : NULL;
    *key = NULL;
    dm_status st = c ? dm_key_find(c, c->api_base[0], 0, key, err) : err->status;
    dm_arena_free(a);
    return st;
}

static const struct {
    const char *value;
    size_t n;
    const char *key, *says; /* NULL: it is one */
} values[] = {
#define ROW(value, key, says)                                                                      \
    {                                                                                              \
        value, sizeof value - 1, key, says                                                         \
    }
    ROW("sk-1234", "sk-1234", NULL),
    ROW("sk-1234\n", "sk-1234", NULL),
    ROW("\xEF\xBB\xBFsk-1234\r\n\r\n", "sk-1234", NULL),
    ROW(" \t\n sk-1234 \t", "sk-1234", NULL),
    ROW("\n\xEF\xBB\xBF sk-1234\xEF\xBB\xBF\n", "sk-1234", NULL),
    ROW("k", "k", NULL),
    ROW("", NULL, "there is no"),
    ROW(" \r\n", NULL, "there is no"),
    ROW("\xEF\xBB\xBF", NULL, "there is no"),
    ROW("sk-12 34", NULL, "blank inside"),
    ROW("sk-12\t34", NULL, "blank inside"),
    ROW("sk-12\n34", NULL, "more than one line"),
    ROW("sk-12\r34\n", NULL, "more than one line"),
    ROW("sk-12\x01"
        "34",
        NULL, "control character"),
    ROW("sk-12\x7F"
        "34",
        NULL, "control character"),
    ROW("sk-12\xC3\xA4"
        "34",
        NULL, "not ASCII"),
    ROW("sk-12\xC2\xA0", NULL, "not ASCII"), /* a no-break space, as web pages have them */
    ROW("Bearer sk-1234", NULL, "\"Bearer\""),
    ROW("\"sk-1234\"", NULL, "in quotes"),
    ROW("'sk-1234'\n", NULL, "in quotes"),
    ROW("sk-12\0"
        "34",
        NULL, "NUL"),
    ROW("sk-1234\0", NULL, "NUL"),
    ROW("\xFF\xFEs\0k\0-\0001\0002\0", NULL, "UTF-16"),
    ROW("\xFE\xFF\0s\0k\0-\0001\0002", NULL, "UTF-16"),
    ROW("s\0k\0-\0001\0002\0", NULL, "UTF-16"),
#undef ROW
};

static void expect_key(size_t i, const char *json, const char *named)
{
    char *key;
    dm_error err = {DM_OK, ""};
    dm_status st = find_key(json, &key, &err);
    if (values[i].key) {
        cr_expect(st == DM_OK && key && strcmp(key, values[i].key) == 0, "row %zu: %s, %s", i, key,
                  err.text);
    } else {
        cr_expect(st == DM_E_MODEL && !key && strstr(err.text, values[i].says), "row %zu: %s", i,
                  err.text);
        cr_expect(strstr(err.text, named) && !strstr(err.text, "sk-") && !strstr(err.text, "34"),
                  "row %zu: %s", i, err.text);
    }
    free(key);
}

Test(secret, what_a_variable_may_hold)
{
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        if (memchr(values[i].value, 0, values[i].n))
            continue;
        setenv("TEST_LM_KEY", values[i].value, 1);
        expect_key(i, "{\"model\": \"hosted_vllm/m\", \"api_key_env\": \"TEST_LM_KEY\"}",
                   "TEST_LM_KEY");
    }
}

Test(secret, what_a_file_may_hold)
{
    char path[] = "/tmp/dspy-mpi-key.XXXXXX", json[200];
    int fd = mkstemp(path);
    snprintf(json, sizeof json, "{\"model\": \"hosted_vllm/m\", \"api_key_file\": \"%s\"}", path);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        cr_assert(ftruncate(fd, 0) == 0 &&
                  pwrite(fd, values[i].value, values[i].n, 0) == (ssize_t)values[i].n);
        expect_key(i, json, path);
    }
    char *key;
    dm_error err = {DM_OK, ""};
    cr_assert_eq(ftruncate(fd, 100000000), 0);
    cr_expect_eq(find_key(json, &key, &err), DM_E_MODEL);
    cr_expect(strstr(err.text, path) && strstr(err.text, "larger than"), "%s", err.text);
    cr_assert_eq(ftruncate(fd, 0), 0);
    for (int i = 0; i < 20000; i++)
        cr_assert_eq(write(fd, "k", 1), 1);
    cr_expect_eq(find_key(json, &key, &err), DM_E_MODEL);
    cr_expect(strstr(err.text, path) && strstr(err.text, "longer than any key"), "%s", err.text);
    close(fd);
    unlink(path);
    cr_expect_eq(find_key(json, &key, &err), DM_E_MODEL);
    cr_expect(strstr(err.text, path) && strstr(err.text, "No such file"), "%s", err.text);
    cr_expect_eq(find_key("{\"model\": \"hosted_vllm/m\", \"api_key_file\": \"/tmp\"}", &key, &err),
                 DM_E_MODEL);
    cr_expect(strstr(err.text, "directory"), "%s", err.text);
}

/* A key in the wrong place: it is refused there, and not shown. */
Test(secret, a_key_in_another_place)
{
    static const char *const jobs[] = {
        "{\"model\": \"hosted_vllm/m\", \"api_key_env\": \"sk-proj-0123456789abcdef\"}",
        "{\"model\": \"hosted_vllm/m\", \"api_key_env\": \"gsk_proj_0123456789abcdef\"}",
        "{\"model\": \"hosted_vllm/m\", \"api_key_file\": \"sk-proj-0123456789abcdef\"}",
        "{\"model\": \"hosted_vllm/m\", \"api_base\": \"http://me:0123456789abcdef@node07/v1\"}",
        "{\"model\": \"hosted_vllm/m\", \"api_base\": \"http://node07/v1?key=0123456789abcdef\"}",
        "{\"model\": \"hosted_vllm/m\", \"api_base\": \"0123456789abcdef@node07\"}",
        "{\"model\": \"hosted_vllm/m\", \"api_key\": \"sk-0123456789abcdef\"}"};
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
        char *key;
        dm_error err = {DM_OK, ""};
        cr_expect_neq(find_key(jobs[i], &key, &err), DM_OK);
        cr_expect(*err.text && !strstr(err.text, "0123456789"), "row %zu: %s", i, err.text);
        free(key);
    }
}

Test(secret, a_proxys_password)
{
    char *key;
    dm_error err = {DM_OK, ""};
    cr_expect_eq(
        find_key("{\"model\": \"hosted_vllm/m\", \"proxy\": \"http://me:pa%73s-word9@p:1\"}", &key,
                 &err),
        DM_OK);
    expect_masked("me: pass-word9 pa%73s-word9", DM_MASK_LINES, "me: *** ***");
    cr_expect_eq(find_key("{\"model\": \"hosted_vllm/m\", \"proxy\": \"http://a-token-77@p:1\"}",
                          &key, &err),
                 DM_OK);
    expect_masked("a-token-77", DM_MASK_LINES, "***");
}
