/* What a journal holds, and a kill at a given byte of it: for the tests that pull the plug. */
#include "base/clock.h"
#include "json/json.h"
#include "pool/result.h"
#include "stats.h"
#include "study/journal.h"
#include "tools.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

typedef struct listing {
    const char *start;
    bool marks;
    int64_t calls;
} listing;

/* A record tells the calls that no record before it told: one at the most. */
static void put_call(listing *l, const dm_usage *u)
{
    l->calls += u->requests;
    if (l->marks && u->requests)
        printf("%lld\n",
               (long long)mock_stats_mark((mock_told){u->prompt, u->completion, u->cached}));
}

static dm_status list_record(void *user, dm_journal_type type, dm_str payload, dm_error *err)
{
    listing *l = user;
    dm_record rec;
    dm_reader in;
    dm_result r;
    dm_paid paid;
    (void)err;
    if (type == DM_JOURNAL_RESULT || type == DM_JOURNAL_ANSWER) {
        bool ok = dm_record_open(&rec, payload, NULL, &in);
        (void)dm_read_hash(&in);
        dm_str bytes = dm_read_str(&in);
        if (ok && type == DM_JOURNAL_ANSWER) {
            dm_record inner;
            dm_answer a = {0};
            bool good = dm_open_answer(&inner, bytes, &a, NULL);
            dm_record_free(&inner);
            put_call(l, good ? &a.usage : &(dm_usage){0});
        } else if (ok && dm_read_result(bytes, 0, NULL, &r, &paid)) {
            put_call(l, &paid.usage);
        }
        dm_record_free(&rec);
    }
    if (!l->marks)
        printf("%zu %lld\n", (size_t)(payload.p + payload.n - l->start), (long long)l->calls);
    return DM_OK;
}

int mock_list_journal(const char *path, bool marks)
{
    dm_arena *a = dm_arena_new(0);
    dm_str bytes;
    dm_error err = {DM_OK, ""};
    dm_status st = dm_read_file(a, path, DM_MAX_FILE, &bytes, &err);
    if (st == DM_OK) {
        listing l = {.start = bytes.p, .marks = marks};
        bool damaged;
        (void)dm_journal_scan(bytes, list_record, &l, &damaged, &st, &err);
    }
    dm_arena_free(a);
    return st == DM_OK ? 0 : 65;
}

int mock_kill_at(const char *path, const char *bytes, const char *pid)
{
    double until = dm_now() + 60;
    long size = strtol(bytes, NULL, 10), group = strtol(pid, NULL, 10);
    struct timespec nap = {0, 100000};
    struct stat s;
    while (dm_now() < until && kill((pid_t)group, 0) == 0) {
        if (stat(path, &s) == 0 && s.st_size >= size) {
            kill((pid_t)-group, SIGKILL);
            return 0;
        }
        nanosleep(&nap, NULL);
    }
    return 1;
}

/* ---- journals that nobody's run wrote ---- */

static void put_crafted(dm_buf *out, const char *kind, uint64_t i, dm_str copy)
{
    dm_buf b;
    dm_writer w;
    dm_hash key = dm_hash_of(&i, sizeof i);
    dm_buf_init(&b, DM_MAX_FILE);
    if (strcmp(kind, "copies") == 0) {
        dm_buf_str(out, copy);
    } else if (strcmp(kind, "claims") == 0) { /* heads of records that are longer than the file */
        dm_buf_add(out, "DMJ1\0\0\x80\0\3\0\0\0crc!", 16);
    } else if (strcmp(kind, "attempts") == 0) {
        dm_buf_printf(&b, "{\"serves\": {\"task\": {\"n\": %llu}, \"%llu\": 1}}",
                      (unsigned long long)i, (unsigned long long)i);
        dm_journal_frame(out, DM_JOURNAL_ATTEMPT, dm_buf_view(&b));
    } else if (strcmp(kind, "nested") == 0) {
        for (int k = 0; k < 100000; k++)
            dm_buf_char(&b, i % 2 ? '[' : (char)0x91);
        dm_journal_frame(out, i % 2 ? DM_JOURNAL_ATTEMPT : DM_JOURNAL_END, dm_buf_view(&b));
    } else { /* tiny, alike (keys that begin alike), long */
        static const char text[1000];
        if (strcmp(kind, "alike") == 0)
            memset(key.b, 7, 8);
        dm_writer_init(&w, &b);
        dm_write_array(&w, 2);
        dm_write_hash(&w, &key);
        dm_write_str(&w, (dm_str){text, strcmp(kind, "long") == 0 ? sizeof text : 0});
        dm_journal_frame(out, DM_JOURNAL_ANSWER, dm_buf_view(&b));
    }
    dm_buf_free(&b);
}

typedef struct last_cell {
    dm_journal_type type;
    dm_str payload;
} last_cell;

static dm_status find_cell(void *user, dm_journal_type type, dm_str payload, dm_error *err)
{
    (void)err;
    if (type == DM_JOURNAL_ANSWER || type == DM_JOURNAL_RESULT)
        *(last_cell *)user = (last_cell){type, payload};
    return DM_OK;
}

int mock_grow_journal(const char *path, const char *kind, const char *bytes)
{
    dm_arena *a = dm_arena_new(0);
    dm_buf b, copy;
    dm_str text = {"", 0};
    dm_status st;
    bool damaged;
    last_cell last = {DM_JOURNAL_END, {NULL, 0}};
    uint64_t more = strtoull(bytes, NULL, 10), done = 0;
    FILE *f = fopen(path, "ab");
    if (!f || dm_read_file(a, path, DM_MAX_FILE, &text, NULL) != DM_OK)
        return 65;
    (void)dm_journal_scan(text, find_cell, &last, &damaged, &st, NULL);
    dm_buf_init(&b, DM_MAX_FILE);
    dm_buf_init(&copy, DM_MAX_FILE);
    if (last.payload.p)
        dm_journal_frame(&copy, last.type, last.payload);
    for (uint64_t i = 0; done < more; i++) {
        put_crafted(&b, kind, i, dm_buf_view(&copy));
        done += b.len;
        if (b.len == 0 || fwrite(b.data, 1, b.len, f) != b.len)
            break;
        dm_buf_reset(&b);
    }
    dm_buf_free(&b);
    dm_buf_free(&copy);
    dm_arena_free(a);
    return fclose(f) == 0 && done >= more ? 0 : 73;
}
