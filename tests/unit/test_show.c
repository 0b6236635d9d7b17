/* Foreign text as it is shown: nothing in it reaches a terminal as more than letters. */
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/show.h"
#include "base/utf8.h"
#include "json/json.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* What may go to a terminal: no control, no format character, nothing invalid; said anew here, from
 * utf8proc's tables. */
static bool is_plain(dm_str s, bool lines)
{
    for (size_t pos = 0; pos < s.n;) {
        size_t at = pos;
        uint32_t cp = dm_utf8_next(s, &pos);
        if (cp == 0xFFFD && pos - at == 1)
            return false;
        if (lines && (cp == '\n' || cp == '\t'))
            continue;
        const utf8proc_property_t *p = utf8proc_get_property((utf8proc_int32_t)cp);
        bool part_of_emoji = cp >= 0xFE00 && cp <= 0xFE0F;
        bool arabic =
            p->category == UTF8PROC_CATEGORY_CF && !p->ignorable; /* signs that are seen */
        if (p->category == UTF8PROC_CATEGORY_CC || p->category == UTF8PROC_CATEGORY_ZL ||
            p->category == UTF8PROC_CATEGORY_ZP || (p->ignorable && !part_of_emoji) ||
            (p->category == UTF8PROC_CATEGORY_CF && !arabic))
            return false;
    }
    return true;
}

static char *shown(dm_str text, dm_layout layout)
{
    dm_buf b;
    dm_buf_init(&b, SIZE_MAX / 2);
    dm_show(&b, text, layout);
    return dm_buf_take(&b, NULL);
}

Test(show, every_code_point)
{
    size_t escaped = 0;
    for (uint32_t cp = 0; cp <= 0x10FFFF; cp++) {
        dm_buf b;
        if (cp >= 0xD800 && cp <= 0xDFFF)
            continue;
        dm_buf_init(&b, 16);
        dm_buf_char(&b, 'a');
        dm_utf8_put(&b, cp);
        dm_buf_char(&b, 'z');
        for (int layout = 0; layout < 3; layout++) {
            char *s = shown(dm_buf_view(&b), (dm_layout)layout);
            cr_assert(is_plain(dm_str_of(s), layout != DM_SHOW_LINE), "U+%04X in layout %d: %s", cp,
                      layout, s);
            cr_assert(s[0] == 'a' && s[strlen(s) - 1] == 'z' && strlen(s) > 2, "U+%04X", cp);
            char *again = shown(dm_str_of(s), (dm_layout)layout);
            cr_assert_str_eq(again, s, "U+%04X: shown twice", cp);
            escaped += strcmp(s, b.data) != 0;
            free(again);
            free(s);
        }
        dm_buf_free(&b);
    }
    cr_expect(escaped > 3 * 4096 && escaped < 3 * 4400, "%zu", escaped); /* and the rest stays */
}

Test(show, every_byte_that_is_no_character)
{
    for (int byte = 0x80; byte < 0x100; byte++) {
        char text[] = {'a', (char)byte, 'z', 0}, want[8];
        snprintf(want, sizeof want, "a\\x%02xz", byte);
        char *s = shown(dm_str_of(text), DM_SHOW_LINE);
        cr_expect_str_eq(s, want);
        free(s);
    }
}

Test(show, notation)
{
    static const struct {
        const char *text, *line, *lines, *json;
    } rows[] = {
        {"plain", "plain", "plain", "plain"},
        {"a\x1b[2Jb", "a\\x1b[2Jb", "a\\x1b[2Jb", "a\\u001b[2Jb"},
        {"a\nb\tc", "a b c", "a\nb\tc", "a\nb\tc"},
        {"a\r\nb", "a b", "a\nb", "a\nb"},
        {"ok\rbad", "ok\\x0dbad", "ok\\x0dbad", "ok\\u000dbad"},
        {"\x07\b\x7f", "\\x07\\x08\\x7f", "\\x07\\x08\\x7f", "\\u0007\\u0008\\u007f"},
        {"\xC2\x9B"
         "2J",
         "\\x9b2J", "\\x9b2J", "\\u009b2J"},
        {"\x9B"
         "2J",
         "\\x9b2J", "\\x9b2J", "\\ufffd2J"},
        {"\xE2\x80\xAE"
         "evil",
         "\\u202eevil", "\\u202eevil", "\\u202eevil"},
        {"\xE2\x80\xA8", "\\u2028", "\\u2028", "\\u2028"},
        {"\xF3\xA0\x81\x81", "\\U000e0041", "\\U000e0041", "\\udb40\\udc41"},
        {"\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80", "\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80",
         "\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80", "\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"},
        {"\xEF\xBF\xBD", "\xEF\xBF\xBD", "\xEF\xBF\xBD", "\xEF\xBF\xBD"},
        {"half \xE2\x82", "half \\xe2\\x82", "half \\xe2\\x82", "half \\ufffd\\ufffd"},
        {"", "", "", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *want[] = {rows[i].line, rows[i].lines, rows[i].json};
        for (int layout = 0; layout < 3; layout++) {
            char *s = shown(dm_str_of(rows[i].text), (dm_layout)layout);
            cr_expect_str_eq(s, want[layout], "row %zu, layout %d: %s", i, layout, s);
            free(s);
        }
    }
}

/* What a program reads keeps its value. */
Test(show, json_of_the_same_value)
{
    dm_arena *a = dm_arena_new(0);
    dm_buf text, json, out;
    dm_buf_init(&text, 1 << 24);
    dm_buf_init(&json, 1 << 26);
    dm_buf_init(&out, 1 << 26);
    for (uint32_t cp = 0; cp <= 0x10FFFF; cp += cp < 0x10000 ? 1 : 61)
        if (cp < 0xD800 || cp > 0xDFFF)
            dm_utf8_put(&text, cp);
    for (uint32_t cp = 0xE0000; cp < 0xE1000; cp++)
        dm_utf8_put(&text, cp);
    dm_json_write_string(&json, dm_buf_view(&text));
    dm_show(&out, dm_buf_view(&json), DM_SHOW_JSON);
    cr_expect(is_plain(dm_buf_view(&out), false));
    const dm_value *v = dm_json_read(a, dm_buf_view(&out), NULL);
    cr_assert(v && v->kind == DM_STRING);
    cr_expect(dm_str_eq(v->text, dm_buf_view(&text)));
    dm_buf_free(&text);
    dm_buf_free(&json);
    dm_buf_free(&out);
    dm_arena_free(a);
}

static void DM_PRINTF(1, 2) expect_as_printf(const char *fmt, ...)
{
    va_list ap;
    char *want;
    dm_buf b;
    dm_buf_init(&b, 1 << 20);
    va_start(ap, fmt);
    cr_assert(vasprintf(&want, fmt, ap) >= 0);
    va_end(ap);
    va_start(ap, fmt);
    dm_show_vprintf(&b, fmt, ap);
    va_end(ap);
    cr_expect_str_eq(b.data ? b.data : "", want);
    dm_buf_free(&b);
    free(want);
}

Test(show, printf_as_the_c_library_has_it)
{
    expect_as_printf("%d %i %u %x %5d|%-5d|%05d|%+d", 1, -2, 3u, 0xabcu, 4, 5, 6, 7);
    expect_as_printf("%ld %lu %lld %llu %zu %03zu", 1L, 2UL, -3LL, 4ULL, (size_t)5, (size_t)6);
    expect_as_printf("%g %.1f %+.1f %.0f %8.3f|%-8.2f|%.15g %e", 1.5, 2.25, 3.0, 4.6, 5.1, 6.2, 0.1,
                     1e9);
    expect_as_printf("%s %9s|%-9s|%.2s %.*s|%*s|%-*s|%*s", "a", "b", "c", "def", 2, "ghi", 4, "j",
                     5, "k", -6, "l");
    expect_as_printf("100 %% %c%c", 'x', 'y');
    expect_as_printf("no conversion\n");
    expect_as_printf("%s", "");
}

Test(show, printf_shows_its_texts_and_keeps_its_own_lines)
{
    dm_buf b;
    dm_buf_init(&b, 1 << 20);
    dm_show_printf(&b, "\r%s:\t%.*s\n%-4s|\n", "a\nb", 5, "\x1b[1mx", "\x07");
    cr_expect_str_eq(b.data, "\ra b:\t\\x1b[1mx\n\\x07|\n");
    dm_buf_reset(&b);
    dm_show_printf(&b, "%-4s|%4s|", "\xC3\xA9", "\xC3\xA9"); /* width in characters */
    cr_expect_str_eq(b.data, "\xC3\xA9   |   \xC3\xA9|");
    dm_buf_free(&b);
}

#define EVIL "e\x1b]0;x\x07\xC2\x9B\x9B\x7f\xE2\x80\xAE\r\xF3\xA0\x81\x81"
#define GOOD "e\\x1b]0;x\\x07\\x9b\\x9b\\x7f\\u202e\\x0d\\U000e0041"

static char logged[400];

static void take_log(void *user, dm_level level, const char *line)
{
    (void)user, (void)level;
    snprintf(logged, sizeof logged, "%s", line);
}

Test(show, errors_and_the_log)
{
    dm_error err = {DM_OK, ""};
    (void)dm_fail(&err, DM_E_DATA, "%s: line\n%d", EVIL, 2);
    cr_expect_str_eq(err.text, GOOD ": line\n2");
    (void)dm_error_wrap(&err, DM_E_DATA, "%s", EVIL);
    cr_expect_str_eq(err.text, GOOD ": " GOOD ": line\n2");
    dm_log_set(take_log, NULL, DM_DEBUG);
    dm_log(DM_WARN, "%s\n%s", EVIL, err.text);
    cr_expect_str_eq(logged, GOOD " " GOOD ": " GOOD ": line 2");
    char *words = dm_outside(DM_STR(EVIL "\nx"), 200),
         *last = dm_outside_end(DM_STR(EVIL "\nx"), 200);
    cr_expect_str_eq(words, GOOD " x");
    cr_expect_str_eq(last, GOOD "\nx");
    free(words);
    free(last);
}

/* A long one is cut where it still is one. */
Test(show, long_errors)
{
    dm_error err;
    char text[4000];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i % 7 ? 'x' : '\x1b';
    (void)dm_fail(&err, DM_E_DATA, "%.*s", (int)sizeof text, text);
    cr_expect(strlen(err.text) < sizeof err.text);
    cr_expect(is_plain(dm_str_of(err.text), false));
    cr_expect(strcmp(err.text + strlen(err.text) - 3, "...") == 0);
}
