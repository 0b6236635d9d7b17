#include "base/clock.h"
#include "base/fds.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/random.h"
#include "base/sha256.h"
#include "base/table.h"
#include "base/utf8.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

static dm_str utf8(const char *s)
{
    return dm_str_of(s);
}

/* ---- status ---- */

Test(base, exit_codes)
{
    static const struct {
        dm_status status;
        int code;
        const char *name;
    } table[] = {{DM_OK, 0, "ok"},
                 {DM_STOP_BUDGET, 0, "budget"},
                 {DM_STOP_SIGNAL, 75, "signal"},
                 {DM_STOP_DEADLINE, 75, "deadline"},
                 {DM_STOP_OUTAGE, 75, "outage"},
                 {DM_E_USAGE, 64, "usage"},
                 {DM_E_DATA, 65, "data"},
                 {DM_E_PARSE, 65, "parse"},
                 {DM_E_LIMIT, 65, "limit"},
                 {DM_E_MODEL, 69, "model"},
                 {DM_E_INTERNAL, 70, "internal"},
                 {DM_E_OUTPUT, 73, "output"},
                 {DM_E_JOB, 78, "job"}};
    for (size_t i = 0; i < COUNT(table); i++) {
        cr_expect_eq(dm_exit_code(table[i].status), table[i].code, "%s", table[i].name);
        cr_expect_str_eq(dm_status_name(table[i].status), table[i].name);
    }
}

Test(base, an_error_is_a_chain_of_links)
{
    dm_error err = {DM_OK, ""};
    cr_expect_eq(dm_fail(&err, DM_E_DATA, "no column \"%s\"", "label"), DM_E_DATA);
    cr_expect_eq(dm_error_wrap(&err, DM_E_JOB, "job.json: metric"), DM_E_DATA, "the first counts");
    cr_expect_str_eq(err.text, "job.json: metric: no column \"label\"");
    cr_expect_eq(dm_fail(NULL, DM_E_JOB, "nobody listens"), DM_E_JOB);
    cr_expect_eq(dm_error_wrap(NULL, DM_E_JOB, "nobody listens"), DM_E_JOB);
}

Test(base, a_long_error_is_cut_between_characters)
{
    char text[2001] = "";
    dm_error err = {DM_OK, ""};
    for (int i = 0; i < 1000; i++)
        memcpy(text + 2 * i, "\xC3\xA9", 3);
    for (int shift = 0; shift < 2; shift++) {
        cr_expect_eq(dm_fail(&err, DM_E_DATA, "%s%s", shift ? "x" : "", text), DM_E_DATA);
        size_t n = strlen(err.text);
        cr_expect(n < sizeof err.text && strcmp(err.text + n - 3, "...") == 0);
        cr_expect_eq(dm_utf8_valid(dm_str_of(err.text)), n);
    }
}

/* ---- buffer and arena ---- */

Test(base, a_buffer_stops_at_its_ceiling)
{
    dm_buf b;
    dm_buf_init(&b, 5);
    dm_buf_text(&b, "abc");
    dm_buf_printf(&b, "%d", 42);
    cr_expect(!b.full && strcmp(b.data, "abc42") == 0);
    dm_buf_char(&b, 'x');
    cr_expect(b.full && b.len == 5);
    dm_buf_add(&b, "", 0);
    cr_expect(b.full && strcmp(b.data, "abc42") == 0, "it stays full");
    dm_buf_reset(&b);
    dm_buf_text(&b, "123456");
    cr_expect(b.full && b.len == 0, "all or nothing");
    dm_buf_free(&b);
    size_t n = 9;
    char *empty = dm_buf_take(&b, &n);
    cr_expect(n == 0 && *empty == 0);
    free(empty);
}

Test(base, an_arena_gives_zeroed_aligned_memory)
{
    dm_arena *a = dm_arena_new(256);
    for (size_t size = 0; size < 2000; size += 37) {
        unsigned char *p = dm_arena_alloc(a, size);
        cr_expect_eq((uintptr_t)p % sizeof(double), 0);
        for (size_t i = 0; i < size; i++)
            cr_expect_eq(p[i], 0);
        memset(p, 0xFF, size);
    }
    dm_arena_reset(a);
    char *again = dm_arena_alloc(a, 200);
    for (size_t i = 0; i < 200; i++)
        cr_expect_eq(again[i], 0, "after a reset");
    cr_expect_str_eq(dm_arena_printf(a, "%s-%d", "x", 7), "x-7");
    dm_arena_free(a);
    dm_arena_free(NULL);
}

/* ---- UTF-8 and Python's text ---- */

static bool is_square(const void *owner, uint32_t value, const void *key)
{
    const uint64_t *squares = owner;
    return squares[value] == *(const uint64_t *)key;
}

/* Also where many hashes are the same, or differ in what a slot does not keep. */
Test(base, an_index_finds_what_was_put)
{
    enum { N = 3000 };
    static uint64_t squares[N];
    static const uint64_t spread[] = {0x9e3779b97f4a7c15, (uint64_t)1 << 32, 1, 0};
    for (size_t k = 0; k < sizeof spread / sizeof *spread; k++) {
        dm_index x = {0};
        uint32_t n = k < 2 ? N : N / 10, value = 7;
        uint64_t none = 2;
        cr_expect_not(dm_index_get(&x, 2 * spread[k], is_square, squares, &none, &value));
        for (uint32_t i = 0; i < n; i++) {
            squares[i] = (uint64_t)i * i;
            dm_index_put(&x, squares[i] * spread[k], i);
        }
        for (uint32_t i = 0; i < n; i++) {
            uint64_t other = squares[i] + 2; /* no square is two more than another */
            cr_expect(
                dm_index_get(&x, squares[i] * spread[k], is_square, squares, &squares[i], &value) &&
                value == i);
            cr_expect_not(dm_index_get(&x, other * spread[k], is_square, squares, &other, &value));
        }
        dm_index_free(&x);
    }
}

Test(base, arrays_grow)
{
    dm_arena *a = dm_arena_new(0);
    size_t cap = 0, in_arena = 0;
    int *p = NULL, *q = NULL;
    for (int i = 0; i < 1000; i++) {
        p = dm_room(p, (size_t)i, &cap, sizeof *p);
        q = dm_arena_room(a, q, (size_t)i, &in_arena, sizeof *q);
        p[i] = q[i] = i;
        cr_assert(cap > (size_t)i && in_arena > (size_t)i);
    }
    for (int i = 0; i < 1000; i++)
        cr_expect(p[i] == i && q[i] == i);
    free(p);
    dm_arena_free(a);
}

Test(base, what_is_valid_utf8)
{
    static const struct {
        const char *text;
        size_t valid;
    } table[] = {{"", 0},
                 {"a\xC3\xA9z", 4},
                 {"\xF0\x9F\x98\x80", 4},
                 {"a\xFF", 1},
                 {"a\x80", 1},
                 {"\xC0\xAF", 0},         /* overlong */
                 {"\xE0\x80\xAF", 0},     /* overlong */
                 {"\xED\xA0\x80", 0},     /* a surrogate */
                 {"\xF4\x90\x80\x80", 0}, /* beyond U+10FFFF */
                 {"ab\xE2\x82", 2}};      /* cut */
    for (size_t i = 0; i < COUNT(table); i++)
        cr_expect_eq(dm_utf8_valid(utf8(table[i].text)), table[i].valid, "row %zu", i);
}

Test(base, strip_knows_unicode_space)
{
    static const struct {
        const char *text, *want;
    } table[] = {{"  a b\t\n", "a b"},
                 {"\xC2\xA0\xE3\x80\x80x\xE2\x80\x83", "x"},
                 {"\x1C\x1Fx\xC2\x85", "x"},
                 {"\xE2\x80\x8Bx\xEF\xBB\xBF", "\xE2\x80\x8Bx\xEF\xBB\xBF"}, /* not space */
                 {" \n ", ""},
                 {"", ""}};
    for (size_t i = 0; i < COUNT(table); i++)
        cr_expect(dm_str_is(dm_py_strip(utf8(table[i].text)), table[i].want), "row %zu", i);
}

Test(base, splitlines)
{
    static const struct {
        const char *text, *want; /* lines, each with a | behind it */
    } table[] = {{"a\nb", "a|b|"},
                 {"a\r\nb\rc\n", "a|b|c|"},
                 {"a\n\n", "a||"},
                 {"\v\f\x1C\x1D\x1E\xC2\x85\xE2\x80\xA8\xE2\x80\xA9", "||||||||"},
                 {"a\x1F"
                  "b",
                  "a\x1F"
                  "b|"},
                 {"", ""}};
    for (size_t i = 0; i < COUNT(table); i++) {
        dm_str rest = utf8(table[i].text), line;
        dm_buf b;
        dm_buf_init(&b, 100);
        dm_buf_text(&b, "");
        while (dm_py_next_line(&rest, &line)) {
            dm_buf_str(&b, line);
            dm_buf_char(&b, '|');
        }
        cr_expect(dm_str_is(dm_buf_view(&b), table[i].want), "row %zu: %s", i, b.data);
        dm_buf_free(&b);
    }
}

Test(base, cleandoc)
{
    static const struct {
        const char *text, *want;
    } table[] = {{"Do this:\n  - one\n  - two\n    nested", "Do this:\n- one\n- two\n  nested"},
                 {"  first\n\n    second  \n\n\n", "first\n\nsecond  "},
                 {"a\n\tb\n\t\tc", "a\nb\n        c"},
                 {"\n\n  x\n  ", "x"},
                 {"", ""},
                 {"one", "one"},
                 {"a\r\n  b", "a\r\nb"}};
    dm_arena *a = dm_arena_new(0);
    for (size_t i = 0; i < COUNT(table); i++) {
        dm_str got = dm_py_cleandoc(a, utf8(table[i].text));
        cr_expect(dm_str_is(got, table[i].want), "row %zu: <%s>", i, got.p);
    }
    dm_arena_free(a);
}

Test(base, lower_case_and_words)
{
    static const struct {
        const char *text, *want;
    } table[] = {{"ABC xyz 1", "abc xyz 1"},
                 {"\xC3\x89T\xC3\x89", "\xC3\xA9t\xC3\xA9"},
                 {"\xC4\xB0", "i\xCC\x87"},                /* I with a dot */
                 {"\xCE\x9F\xCE\xA3", "\xCE\xBF\xCF\x82"}, /* final sigma */
                 {"\xCE\x9F\xCE\xA3'", "\xCE\xBF\xCF\x82'"},
                 {"\xCE\x9F\xCE\xA3\xCE\x9F", "\xCE\xBF\xCF\x83\xCE\xBF"},
                 {"\xCE\xA3", "\xCF\x83"},                                  /* alone */
                 {"\xCE\x91\xCE\xA3\xC2\xAA", "\xCE\xB1\xCF\x83\xC2\xAA"}}; /* cased without case */
    static const struct {
        uint32_t cp;
        bool word;
    } letters[] = {{'a', true},    {'_', true},    {'-', false},  {0xE9, true},
                   {0xB2, true},   {0x2160, true}, {0xBD, true},  {0x4E2D, true},
                   {0x301, false}, {0x20, false},  {0xB7, false}, {0x1F600, false}};
    dm_arena *a = dm_arena_new(0);
    for (size_t i = 0; i < COUNT(table); i++)
        cr_expect(dm_str_is(dm_py_lower(a, utf8(table[i].text)), table[i].want), "row %zu", i);
    for (size_t i = 0; i < COUNT(letters); i++)
        cr_expect_eq(dm_py_isword(letters[i].cp), letters[i].word, "U+%04X", letters[i].cp);
    cr_expect(dm_str_is(dm_nfd(a, utf8("\xC3\xA9")), "e\xCC\x81"));
    cr_expect(dm_str_is(dm_nfd(a, utf8("plain")), "plain"));
    dm_arena_free(a);
}

Test(base, the_nearest_name)
{
    static const char *const names[] = {"metric", "trainset",    "valset",   "optimizer",
                                        "lm",     "exact_match", "mipro_v2", "fuzzy_match"};
    static const struct {
        const char *word, *want;
    } table[] = {{"metrc", "metric"},
                 {"valsets", "valset"},
                 {"optimiser", "optimizer"},
                 {"ml", NULL},
                 {"budget", NULL},
                 {"colour", NULL},
                 /* however it is written, and the beginning or the end of one alone */
                 {"MIPROv2", "mipro_v2"},
                 {"Exact-Match", "exact_match"},
                 {"exact", "exact_match"},
                 {"match", NULL},
                 {"set", NULL},
                 {"ex", NULL}};
    for (size_t i = 0; i < COUNT(table); i++) {
        const char *got = dm_nearest(table[i].word, names, COUNT(names));
        cr_expect(got == table[i].want || (got && table[i].want && !strcmp(got, table[i].want)),
                  "%s: %s", table[i].word, got ? got : "none");
    }
}

/* ---- hashes: the examples of FIPS 180-4 and RFC 3720 B.4 ---- */

Test(base, hashes)
{
    static const struct {
        const char *text, *sha256;
    } table[] = {{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
                 {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
                 {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"}};
    char hex[65];
    for (size_t i = 0; i < COUNT(table); i++) {
        dm_hash h = dm_hash_of(table[i].text, strlen(table[i].text));
        dm_hash_hex(&h, hex);
        cr_expect_str_eq(hex, table[i].sha256);
    }
    char million[1000];
    memset(million, 'a', sizeof million);
    dm_sha256 s;
    dm_sha256_init(&s);
    for (int i = 0; i < 1000; i++) { /* in uneven parts */
        dm_sha256_add(&s, million, (size_t)i);
        dm_sha256_add(&s, million, 1000 - (size_t)i);
    }
    dm_hash h = dm_sha256_end(&s);
    dm_hash_hex(&h, hex);
    cr_expect_str_eq(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    uint8_t zeros[32] = {0}, rising[32];
    for (uint8_t i = 0; i < 32; i++)
        rising[i] = i;
    cr_expect_eq(dm_crc32c(0, zeros, 32), 0x8a9136aau);
    cr_expect_eq(dm_crc32c(0, rising, 32), 0x46dd794eu);
    cr_expect_eq(dm_crc32c(dm_crc32c(0, rising, 5), rising + 5, 27), 0x46dd794eu, "in parts");
}

Test(base, hashes_of_each_length)
{
    uint8_t bytes[201];
    char hex[65];
    dm_sha256 all;
    dm_sha256_init(&all);
    for (size_t n = 0; n < sizeof bytes; n++) { /* padding begins at each place of a block */
        dm_hash h = dm_hash_of(bytes, n);
        dm_sha256_add(&all, h.b, sizeof h.b);
        bytes[n] = (uint8_t)(n % 251);
    }
    dm_hash h = dm_sha256_end(&all);
    dm_hash_hex(&h, hex);
    cr_expect_str_eq(hex, "64ef7c229fce2408b5336b6a542fea0e078c3a87d2da85cb3fc52e2008b65021",
                     "what Python's hashlib gives");
}

/* Which of the two a run takes depends on its machine. */
Test(base, a_processor_hashes_as_c_does)
{
    dm_sha256_blocks *silicon = dm_sha256_in_silicon();
    uint32_t c[8], s[8];
    uint8_t blocks[5 * 64];
    uint64_t draws = 0;
    for (uint64_t round = 0; silicon && round < 500; round++) {
        size_t n = round % (sizeof blocks / 64 + 1);
        for (size_t i = 0; i < 8; i++)
            c[i] = s[i] = (uint32_t)dm_draw(1, round, draws++);
        for (size_t i = 0; i < sizeof blocks; i++)
            blocks[i] = (uint8_t)dm_draw(2, round, draws++);
        dm_sha256_in_c(c, blocks, n);
        silicon(s, blocks, n);
        cr_assert_arr_eq(s, c, sizeof c, "%zu blocks", n);
    }
    static const uint8_t abc[64] = {'a', 'b', 'c', 0x80, [63] = 24};
    uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                     0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    dm_sha256_in_c(h, abc, 1);
    cr_expect_eq(h[0], 0xba7816bfu);
    cr_expect_eq(h[7], 0xf20015adu);
}

/* ---- random: Python's streams are in tests/golden/golden_rng.c ---- */

Test(base, draws_depend_on_their_keys_alone)
{
    uint64_t first = dm_draw(1, 2, 3);
    cr_expect_eq(dm_draw(1, 2, 3), first);
    cr_expect_neq(dm_draw(2, 2, 3), first);
    cr_expect_neq(dm_draw(1, 3, 3), first);
    cr_expect_neq(dm_draw(1, 2, 4), first);
    double sum = 0;
    int low = 0;
    for (uint64_t i = 0; i < 10000; i++) {
        double u = dm_draw_double(7, 1, i);
        cr_assert(u >= 0 && u < 1);
        sum += u;
        low += u < 0.1;
    }
    cr_expect(sum > 4850 && sum < 5150, "mean %g", sum / 10000); /* 5 sigma */
    cr_expect(low > 850 && low < 1150, "%d of 10000 below 0.1", low);
}

/* numpy.random.RandomState(9).random_sample(3), of numpy 2.4.6 */
Test(base, numpy_stream)
{
    dm_nprandom r;
    dm_nprandom_seed(&r, 9);
    cr_expect_eq(dm_nprandom_double(&r), 0.010374153885699955);
    cr_expect_eq(dm_nprandom_double(&r), 0.5018745921487388);
    cr_expect_eq(dm_nprandom_double(&r), 0.4957732931341461);
}

/* ---- units ---- */

Test(base, human_units)
{
    static const struct {
        const char *text;
        double want; /* < 0: refused */
    } seconds[] = {{"600", 600},   {"90s", 90},    {"2 min", 120},   {"3h50m", 13800},
                   {"1.5h", 5400}, {"1 d", 86400}, {"250ms", .25},   {"2 minutes", 120},
                   {"", -1},       {"-5", -1},     {"5 parsec", -1}, {"3h 5", -1},
                   {"nan", -1},    {"1e999", -1}},
      counts[] = {{"50M", 5e7}, {"2k", 2000}, {"1.5e6", 1.5e6}, {"300", 300},
                  {"3 G", 3e9}, {"M", -1},    {"5 x", -1},      {"1 2", -1}},
      money[] = {{"$20", 20}, {"20", 20}, {"12.50 USD", 12.5}, {"$ 0.5", .5},
                 {"20k", -1}, {"-3", -1}, {"20 EUR", -1},      {"", -1}};
    dm_error err;
    for (size_t i = 0; i < COUNT(seconds); i++) {
        double v = -1;
        dm_status st = dm_parse_seconds(seconds[i].text, &v, &err);
        cr_expect(v == seconds[i].want && (st == DM_OK) == (v >= 0), "%s: %g", seconds[i].text, v);
    }
    for (size_t i = 0; i < COUNT(counts); i++) {
        double v = -1;
        dm_status st = dm_parse_count(counts[i].text, &v, &err);
        cr_expect(v == counts[i].want && (st == DM_OK) == (v >= 0), "%s: %g", counts[i].text, v);
    }
    for (size_t i = 0; i < COUNT(money); i++) {
        double v = -1;
        dm_status st = dm_parse_money(money[i].text, &v, &err);
        cr_expect(v == money[i].want && (st == DM_OK) == (v >= 0), "%s: %g", money[i].text, v);
    }
}

Test(base, units_for_eyes)
{
    static const struct {
        double v;
        const char *seconds, *count;
    } table[] = {{4.06, "4.1 s", "4"},
                 {59.97, "1 min 0 s", "60"},
                 {200, "3 min 20 s", "200"},
                 {950, "15 min 50 s", "950"},
                 {13800, "3 h 50 min", "13.8 k"},
                 {12345, "3 h 25 min", "12.3 k"},
                 {50e6, "13888 h 53 min", "50 M"},
                 {999960, "277 h 46 min", "1 M"}};
    for (size_t i = 0; i < COUNT(table); i++) {
        dm_buf b;
        dm_buf_init(&b, 100);
        dm_print_seconds(&b, table[i].v);
        cr_expect_str_eq(b.data, table[i].seconds);
        dm_buf_reset(&b);
        dm_print_count(&b, table[i].v);
        cr_expect_str_eq(b.data, table[i].count);
        dm_buf_free(&b);
    }
}

/* ---- log ---- */

static void keep(void *user, dm_level level, const char *line)
{
    (void)level;
    dm_buf_text(user, line);
    dm_buf_char(user, '\n');
}

Test(base, the_log_masks_secrets)
{
    dm_buf b;
    dm_buf_init(&b, 1 << 20);
    dm_log(DM_ERROR, "nobody listens yet");
    dm_log_set(keep, &b, DM_INFO);
    dm_secret_add(DM_STR("short"));
    dm_secret_add(DM_STR("sk-12345678"));
    dm_secret_add(DM_STR("sk-12345678-and-more"));
    dm_secret_add(DM_STR("sk-12345678"));
    dm_log(DM_DEBUG, "not this one");
    dm_log(DM_INFO, "a short key %s, %s.", "sk-12345678-and-more", "sk-12345678");
    cr_expect_str_eq(b.data, "a short key ***, ***.\n");
    dm_buf_reset(&b);
    char padding[4100]; /* a line is not cut before it is searched */
    memset(padding, 'x', sizeof padding - 1);
    padding[sizeof padding - 1] = 0;
    for (size_t n = 4080; n < 4099; n++)
        dm_log(DM_INFO, "%s%s", padding + n - 4080, "sk-12345678");
    cr_expect_null(strstr(b.data, "sk-"));
    dm_error err = {DM_OK, ""};
    for (size_t n = 2500; n < 4099; n++) { /* nor is an error */
        (void)dm_fail(&err, DM_E_DATA, "%s%s", padding + n, "sk-12345678-and-more");
        cr_expect(!strstr(err.text, "sk-1"), "%zu bytes", 4099 - n);
        (void)dm_error_wrap(&err, DM_E_DATA, "%s%s", padding + n, "sk-12345678-and-more");
        cr_expect(!strstr(err.text, "sk-1"), "%zu bytes, wrapped", 4099 - n);
    }
    dm_log_set(NULL, NULL, DM_ERROR);
    dm_buf_free(&b);
}

/* ---- descriptors ---- */

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* With the kernel's call and without it. */
Test(base, a_range_of_descriptors_is_closed)
{
    void (*const ways[])(unsigned, unsigned) = {dm_close_range, dm_close_each};
    for (int way = 0; way < 2; way++) {
        for (int fd = 200; fd < 210; fd++)
            cr_assert_eq(dup2(0, fd), fd);
        ways[way](202, 204);
        ways[way](207, 206); /* none */
        for (int fd = 200; fd < 210; fd++)
            cr_expect_eq(is_open(fd), fd < 202 || fd > 204, "%d", fd);
        ways[way](200, ~0U);
        for (int fd = 200; fd < 210; fd++)
            cr_expect_not(is_open(fd), "%d", fd);
        cr_expect(is_open(0) && is_open(2));
    }
}
