/* What a journal holds, and a kill at a given byte of it: for the tests that pull the plug. */
#include "base/clock.h"
#include "json/json.h"
#include "pool/result.h"
#include "study/journal.h"
#include "tools.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
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
        printf("%lld\n", (long long)u->prompt);
}

static dm_status list_record(void *user, dm_journal_type type, dm_str payload, dm_error *err)
{
    listing *l = user;
    dm_record rec;
    dm_reader in;
    dm_result r;
    dm_usage usage;
    (void)err;
    if (type == DM_JOURNAL_RESULT || type == DM_JOURNAL_ANSWER) {
        bool ok = dm_record_open(&rec, payload, NULL, &in);
        (void)dm_read_hash(&in);
        dm_str bytes = dm_read_str(&in);
        if (ok && type == DM_JOURNAL_ANSWER) {
            dm_record inner;
            dm_answer a = {0};
            bool good = dm_open_answer(&inner, bytes, &a);
            dm_record_free(&inner);
            put_call(l, good ? &a.usage : &(dm_usage){0});
        } else if (ok && dm_read_result(bytes, 0, NULL, &r, &usage)) {
            put_call(l, &usage);
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
