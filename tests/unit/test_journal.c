/* The reader of the journal: a window over a file of any size, what may be cut and what not, and
 * values that are read when they are asked for. */
#include "base/place.h"
#include "base/random.h"
#include "json/json.h"
#include "study/frames.h"
#include "study/record.h"
#include "study/replay.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[64];

static void write_path(dm_str bytes)
{
    snprintf(path, sizeof path, "/tmp/dspy-mpi-journal-%ld", (long)getpid());
    FILE *f = fopen(path, "wb");
    cr_assert(f && fwrite(bytes.p, 1, bytes.n, f) == bytes.n);
    cr_assert_eq(fclose(f), 0);
}

static bool holds(dm_str bytes)
{
    dm_arena *a = dm_arena_new(0);
    dm_str now;
    bool same = dm_read_file(a, path, DM_MAX_FILE, &now, NULL) == DM_OK && dm_str_eq(now, bytes);
    dm_arena_free(a);
    return same;
}

static dm_status ignore(void *user, dm_journal_type type, dm_str payload, dm_error *err)
{
    (void)type;
    (void)payload;
    (void)err;
    ++*(size_t *)user;
    return DM_OK;
}

static void put_cell(dm_buf *b, dm_journal_type type, uint64_t key, size_t n, char fill)
{
    dm_hash h = dm_hash_of(&key, sizeof key);
    char *text = dm_alloc(n + 1);
    dm_buf payload;
    dm_writer w;
    memset(h.b, 5, 8); /* keys that begin alike */
    memset(text, fill, n);
    dm_buf_init(&payload, DM_MAX_TEXT);
    dm_writer_init(&w, &payload);
    dm_write_array(&w, 2);
    dm_write_hash(&w, &h);
    dm_write_str(&w, (dm_str){text, n});
    dm_journal_frame(b, type, dm_buf_view(&payload));
    dm_buf_free(&payload);
    free(text);
}

/* 60 keys with three results or so each, answers among them, from nothing to three megabytes. */
static void make_cells(dm_buf *b)
{
    dm_buf_init(b, DM_MAX_FILE);
    for (uint64_t i = 0; i < 600; i++) {
        double size = dm_draw_double(1, 2, i);
        size_t n = i % 100 == 99 ? (size_t)(3e6 * size) : (size_t)(300 * size);
        put_cell(b, dm_draw_double(3, 4, i) < 0.3 ? DM_JOURNAL_RESULT : DM_JOURNAL_ANSWER,
                 (uint64_t)(60 * dm_draw_double(5, 6, i)), n, (char)('a' + i % 26));
    }
}

static dm_hash key_of(uint64_t key)
{
    dm_hash h = dm_hash_of(&key, sizeof key);
    memset(h.b, 5, 8);
    return h;
}

typedef struct told {
    dm_sha256 sum;
    size_t n;
} told;

static void add_told(void *user, const dm_replayed *x)
{
    told *t = user;
    dm_sha256_add(&t->sum, &x->type, sizeof x->type);
    dm_sha256_add(&t->sum, &x->key, sizeof x->key);
    dm_sha256_add(&t->sum, x->bytes.p, x->bytes.n);
    t->n++;
}

static dm_hash each_of(dm_replay *r, size_t *n)
{
    told t = {.n = 0};
    dm_sha256_init(&t.sum);
    dm_replay_each(r, add_told, &t);
    *n = t.n;
    return dm_sha256_end(&t.sum);
}

Test(journal, values_that_are_read_on_demand_are_those_that_were_kept)
{
    dm_buf b;
    dm_error err = {DM_OK, ""};
    bool damaged;
    dm_status st;
    make_cells(&b);
    write_path(dm_buf_view(&b));
    dm_replay *kept = dm_replay_new(), *read = dm_replay_of_file(path);
    cr_assert_eq(dm_journal_scan(dm_buf_view(&b), dm_replay_visit, kept, &damaged, &st, &err),
                 b.len);
    FILE *file = fopen(path, "rb");
    dm_frames f = dm_frames_of_file(fileno(file), b.len);
    cr_assert_eq(dm_frames_scan(&f, dm_replay_visit, read, &st, &err), b.len);
    cr_assert_eq(st, DM_OK);
    cr_assert_lt(f.window.cap, (size_t)8 << 20, "%zu bytes of window", f.window.cap);
    size_t results = 0, answers = 0, n, m;
    for (uint64_t key = 0; key < 61; key++) {
        dm_hash h = key_of(key);
        dm_str x = dm_replay_result(kept, &h), y = dm_replay_result(read, &h), u, v;
        results += x.p != NULL;
        cr_assert_eq(x.p == NULL, y.p == NULL);
        for (size_t i = 0; (u = dm_replay_answer(kept, &h, i)).p; i++) {
            v = dm_replay_answer(read, &h, i);
            cr_assert(v.p && dm_str_eq(u, v), "answer %zu", i);
            answers++;
        }
        cr_assert(!dm_replay_answer(read, &h, 1000).p);
        v = dm_replay_answer(read, &h, 1);
        u = dm_replay_answer(kept, &h, 1);
        cr_assert(v.p ? u.p && dm_str_eq(u, v) : !u.p, "out of order");
        cr_assert(!x.p || dm_str_eq(x, y), "a result stays while answers are asked for");
    }
    cr_assert(results > 30 && answers > 300, "%zu results, %zu answers", results, answers);
    dm_hash first = each_of(kept, &n), second = each_of(read, &m);
    cr_assert(dm_hash_eq(&first, &second) && n == m && n == results + answers);
    fclose(file);
    dm_frames_free(&f);
    dm_replay_free(kept);
    dm_replay_free(read);
    dm_buf_free(&b);
    unlink(path);
}

/* Bytes that look like the beginnings of records, each of which claims all that follows: reading
 * them takes a few times their length, counted in bytes, and they are called damage. */
Test(journal, the_search_behind_damage_is_linear)
{
    for (size_t size = 1 << 20; size <= (size_t)4 << 20; size *= 2) {
        dm_buf b;
        size_t n = 0;
        dm_status st;
        dm_buf_init(&b, DM_MAX_FILE);
        dm_journal_frame(&b, DM_JOURNAL_HEADER, DM_STR("{}"));
        size_t good = b.len;
        while (b.len < size) {
            uint32_t claim = (uint32_t)(size - b.len) / 2;
            char head[16] = "DMJ1    \3\0\0\0sum!";
            for (int i = 0; i < 4; i++)
                head[4 + i] = (char)(claim >> (8 * i));
            dm_buf_add(&b, head, sizeof head);
        }
        write_path(dm_buf_view(&b));
        FILE *file = fopen(path, "rb");
        for (int from_file = 0; from_file < 2; from_file++) {
            dm_frames f = from_file ? dm_frames_of_file(fileno(file), b.len)
                                    : dm_frames_of_bytes(dm_buf_view(&b));
            cr_assert_eq(dm_frames_scan(&f, ignore, &n, &st, NULL), good);
            cr_assert_eq(dm_frames_tail(&f, good), DM_TAIL_MIDDLE);
            cr_assert_lt(f.read, 8 * size + ((uint64_t)16 << 20), "%llu bytes read of %zu",
                         (unsigned long long)f.read, size);
            dm_frames_free(&f);
        }
        fclose(file);
        dm_buf_free(&b);
    }
    unlink(path);
}

static dm_journal *open_it(const char *version, dm_error *err)
{
    dm_arena *a = dm_arena_new(0);
    size_t n = 0;
    dm_value *header = dm_value_dict(a), *more = dm_value_dict(a);
    dm_value_set(a, header, DM_STR("job"), dm_value_text(a, "this"));
    dm_value_set(a, more, DM_STR("version"), dm_value_text(a, version));
    dm_journal *j = dm_journal_open(path, DM_FSYNC_NONE, header, more, ignore, &n, err);
    dm_arena_free(a);
    return j;
}

static size_t make_journal(const char *version, dm_buf *whole)
{
    dm_error err = {DM_OK, ""};
    dm_arena *a = dm_arena_new(0);
    dm_str bytes;
    write_path(DM_STR(""));
    dm_journal *j = open_it(version, &err);
    cr_assert(j, "%s", err.text);
    size_t header = (size_t)dm_journal_size(j);
    for (int i = 0; i < 3; i++)
        dm_journal_add(j, DM_JOURNAL_END, DM_STR("some words"));
    cr_assert_eq(dm_journal_close(j, &err), DM_OK);
    cr_assert_eq(dm_read_file(a, path, DM_MAX_FILE, &bytes, &err), DM_OK);
    dm_buf_init(whole, DM_MAX_FILE);
    dm_buf_str(whole, bytes);
    dm_arena_free(a);
    return header;
}

/* opens: true if it does; else it is refused with 73 and the file is as it was. */
static bool opens(dm_str bytes)
{
    dm_error err = {DM_OK, ""};
    write_path(bytes);
    dm_journal *j = open_it(DM_VERSION, &err);
    if (!j)
        cr_assert(err.status == DM_E_OUTPUT && strstr(err.text, path) && holds(bytes), "%s",
                  err.text);
    (void)dm_journal_close(j, NULL);
    return j != NULL;
}

Test(journal, only_our_header_is_begun_anew_and_only_a_torn_tail_is_cut)
{
    dm_buf whole;
    size_t header = make_journal(DM_VERSION, &whole);
    for (size_t n = 0; n <= whole.len; n++)
        cr_assert(opens((dm_str){whole.data, n}), "cut at %zu", n);
    for (size_t n = 1; n < whole.len; n++) {
        char was = whole.data[n - 1];
        whole.data[n - 1] ^= 1; /* a torn start that is not ours; damage at the end of the rest */
        bool mark = n > header && whole.len >= n && (n - 1 - header) % 26 < 4;
        cr_assert_eq(opens((dm_str){whole.data, n}), n > header && !mark, "byte %zu", n - 1);
        if (n <= header)
            cr_assert(!opens((dm_str){whole.data, whole.len}), "byte %zu of the header", n - 1);
        whole.data[n - 1] = was;
    }
    dm_buf_text(&whole, "dear diary");
    cr_assert(!opens(dm_buf_view(&whole)));
    dm_buf_free(&whole);
    unlink(path);
}

Test(journal, one_of_another_program_version_is_read_and_never_cut)
{
    dm_buf whole;
    size_t header = make_journal("99.0", &whole);
    cr_assert(opens(dm_buf_view(&whole)));
    for (size_t n = header; n < whole.len; n++)
        cr_assert_eq(opens((dm_str){whole.data, n}), (n - header) % 26 == 0, "cut at %zu", n);
    for (size_t n = 1; n < header; n++)
        cr_assert(n <= 4 || !opens((dm_str){whole.data, n}), "its header cut at %zu", n);
    dm_buf_free(&whole);
    unlink(path);
}

static dm_status nothing(void *user, dm_journal_type type, dm_str payload, dm_error *err)
{
    (void)user, (void)type, (void)payload, (void)err;
    return DM_OK;
}

/* A record is read where it stands, whether or not it has left the buffer; nowhere else. */
Test(journal, a_record_is_read_where_it_stands)
{
    dm_arena *a = dm_arena_new(0);
    dm_error err = {DM_OK, ""};
    uint64_t at[40];
    dm_str found;
    write_path(DM_STR(""));
    dm_journal *j =
        dm_journal_open(path, DM_FSYNC_NONE, dm_value_dict(a), NULL, nothing, NULL, &err);
    cr_assert_not_null(j, "%s", err.text);
    for (size_t i = 0; i < 40; i++) {
        char text[1000];
        memset(text, (int)('a' + i % 26), sizeof text);
        at[i] = dm_journal_next(j);
        cr_assert(!dm_journal_read(j, at[i], a, &found), "it is not there yet");
        dm_journal_add(j, DM_JOURNAL_ANSWER, (dm_str){text, 25 * i});
        for (size_t k = 0; k <= i; k++)
            cr_assert(dm_journal_read(j, at[k], a, &found) && found.n == 25 * k &&
                          (k == 0 || (found.p[0] == (char)('a' + k % 26) &&
                                      found.p[found.n - 1] == found.p[0])),
                      "record %zu of %zu", k, i);
        if (i % 7 == 6)
            cr_assert_eq(dm_journal_flush(j, 1, &err), DM_OK);
    }
    cr_assert_eq(dm_journal_close(j, &err), DM_OK);
    dm_arena_free(a);
    unlink(path);
}

/* A journal that nobody writes to is read as far as it is whole; what kept answers otherwise is
 * refused. */
Test(journal, the_one_of_an_earlier_job)
{
    dm_buf b;
    dm_error err = {DM_OK, ""};
    make_cells(&b);
    size_t whole = b.len;
    dm_buf_text(&b, "DMJ1torn");
    write_path(dm_buf_view(&b));
    dm_replay *r = dm_replay_open(path, &err);
    cr_assert_not_null(r, "%s", err.text);
    cr_expect_gt(dm_replay_results(r), (size_t)100);
    dm_replay_free(r);
    b.len = whole;
    put_cell(&b, DM_JOURNAL_CACHED, 3, 10, 'x');
    write_path(dm_buf_view(&b));
    cr_expect_null(dm_replay_open(path, &err));
    cr_expect(strstr(err.text, path) && strstr(err.text, "--fresh"), "%s", err.text);
    unlink(path);
    cr_expect_null(dm_replay_open(path, &err));
    dm_buf_free(&b);
}

Test(journal, moving_aside_overwrites_nothing)
{
    char aside[PATH_MAX], name[80];
    dm_error err = {DM_OK, ""};
    write_path(DM_STR("first"));
    cr_assert_eq(dm_place_move_aside(path, aside, &err), DM_OK);
    cr_assert(strcmp(aside + strlen(path), ".1") == 0);
    snprintf(name, sizeof name, "%s.2", path);
    cr_assert_eq(symlink("nowhere", name), 0);
    write_path(DM_STR("second"));
    cr_assert_eq(dm_place_move_aside(path, aside, &err), DM_OK);
    cr_assert(strcmp(aside + strlen(path), ".3") == 0);
    for (int i = 1; i <= 3; i++) {
        snprintf(name, sizeof name, "%s.%d", path, i);
        cr_assert_eq(unlink(name), 0);
    }
}
