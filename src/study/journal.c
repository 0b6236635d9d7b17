#include "study/journal.h"
#include "base/clock.h"
#include "base/log.h"
#include "json/json.h"
#include "study/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARK       "DMJ1"
#define HEAD       16 /* bytes before the payload */
#define MAX_RECORD ((uint32_t)256 << 20)

struct dm_journal {
    int fd;
    char *path;
    dm_lock *lock;
    dm_fsync fsync;
    dm_buf buffer;
    uint64_t size, safe; /* bytes of whole records in the file; of them synced */
    double synced;       /* when */
    double spent;        /* s, on writing and syncing */
    size_t records;      /* of this attempt */
};

static void put_u32(char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (char)(v >> (8 * i));
}

static uint32_t get_u32(const char *p)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++)
        v |= (uint32_t)(unsigned char)p[i] << (8 * i);
    return v;
}

/* ---- reading ---- */

static bool whole_record(dm_str bytes, size_t at, size_t *end, dm_journal_type *type,
                         dm_str *payload)
{
    if (bytes.n - at < HEAD || memcmp(bytes.p + at, MARK, 4) != 0)
        return false;
    uint32_t n = get_u32(bytes.p + at + 4);
    if (n > MAX_RECORD || bytes.n - at - HEAD < n)
        return false;
    uint32_t crc = dm_crc32c(dm_crc32c(0, bytes.p + at + 4, 8), bytes.p + at + HEAD, n);
    if (crc != get_u32(bytes.p + at + 12))
        return false;
    *type = (dm_journal_type)get_u32(bytes.p + at + 8);
    *payload = (dm_str){bytes.p + at + HEAD, n};
    *end = at + HEAD + n;
    return true;
}

static bool record_after(dm_str bytes, size_t at)
{
    dm_journal_type type;
    dm_str payload;
    size_t end;
    for (; at + HEAD <= bytes.n; at++) {
        const char *p = memchr(bytes.p + at, MARK[0], bytes.n - at - HEAD + 1);
        if (!p)
            return false;
        at = (size_t)(p - bytes.p);
        if (whole_record(bytes, at, &end, &type, &payload))
            return true;
    }
    return false;
}

size_t dm_journal_scan(dm_str bytes, dm_journal_visit *visit, void *user, bool *damaged,
                       dm_status *status, dm_error *err)
{
    size_t at = 0, end;
    dm_journal_type type;
    dm_str payload;
    *damaged = false;
    *status = DM_OK;
    while (at < bytes.n) {
        if (!whole_record(bytes, at, &end, &type, &payload)) {
            *damaged = record_after(bytes, at + 1);
            break;
        }
        *status = visit(user, type, payload, err);
        if (*status != DM_OK)
            break;
        at = end;
    }
    return at;
}

/* ---- opening ---- */

typedef struct opening {
    const dm_value *header;
    dm_journal_visit *visit;
    void *user;
    size_t n;
} opening;

static dm_status check_header(const dm_value *wanted, dm_str payload, dm_error *err)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *found = dm_json_read(a, payload, NULL);
    dm_status st = DM_OK;
    if (!found || found->kind != DM_DICT)
        st = dm_fail(err, DM_E_OUTPUT, "its header cannot be read");
    for (size_t i = 0; i < wanted->n && st == DM_OK; i++) {
        const dm_value *v = dm_value_get_str(found, wanted->members[i].key);
        if (!v || !dm_value_equal(v, wanted->members[i].value))
            st = dm_fail(
                err, DM_E_OUTPUT,
                "it belongs to another job: `%.*s` differs; give another `out`, or --fresh to move "
                "the old one aside",
                DM_STR_ARG(wanted->members[i].key));
    }
    dm_arena_free(a);
    return st;
}

static dm_status visit_checked(void *user, dm_journal_type type, dm_str payload, dm_error *err)
{
    opening *o = user;
    if ((o->n++ == 0) != (type == DM_JOURNAL_HEADER))
        return dm_fail(err, DM_E_OUTPUT, "it does not begin with one header");
    if (type == DM_JOURNAL_HEADER) {
        dm_status st = check_header(o->header, payload, err);
        if (st != DM_OK)
            return st;
    }
    return o->visit(o->user, type, payload, err);
}

static dm_status replay(dm_journal *j, dm_str bytes, opening *o, dm_error *err)
{
    bool damaged;
    dm_status st;
    size_t good = dm_journal_scan(bytes, visit_checked, o, &damaged, &st, err);
    if (st != DM_OK)
        return dm_error_wrap(err, st, "%s", j->path);
    if (damaged)
        return dm_fail(
            err, DM_E_OUTPUT,
            "%s: damaged at byte %zu, with whole records behind it: restore the file from a "
            "copy, or cut it there (truncate -s %zu) and pay again for what follows",
            j->path, good, good);
    if (good < bytes.n) {
        dm_log(DM_WARN, "%s: a torn record at its end (%zu bytes) is cut off", j->path,
               bytes.n - good);
        if (ftruncate(j->fd, (off_t)good) != 0)
            return dm_fail(err, DM_E_OUTPUT, "%s: cannot be cut: %s", j->path, strerror(errno));
    }
    j->size = good;
    if (lseek(j->fd, (off_t)good, SEEK_SET) < 0)
        return dm_fail(err, DM_E_OUTPUT, "%s: %s", j->path, strerror(errno));
    return DM_OK;
}

static void add_header(dm_journal *j, const dm_value *header, const dm_value *free_keys)
{
    dm_arena *a = dm_arena_new(0);
    dm_value *all = dm_value_dict(a);
    dm_buf b;
    for (size_t i = 0; i < header->n; i++)
        dm_value_set(a, all, header->members[i].key, header->members[i].value);
    for (size_t i = 0; free_keys && i < free_keys->n; i++)
        dm_value_set(a, all, free_keys->members[i].key, free_keys->members[i].value);
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_json_write(&b, all, DM_JSON_PYTHON);
    dm_journal_add(j, DM_JOURNAL_HEADER, dm_buf_view(&b));
    dm_buf_free(&b);
    dm_arena_free(a);
}

static dm_status take_lock(dm_journal *j, dm_error *err)
{
    dm_buf path;
    dm_buf_init(&path, 65536);
    dm_buf_printf(&path, "%s.lock", j->path);
    j->lock = dm_lock_take(path.data, err);
    dm_buf_free(&path);
    return j->lock ? DM_OK : err->status;
}

static dm_status open_file(dm_journal *j, opening *o, const dm_value *free_keys, dm_error *err)
{
    j->fd = open(j->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (j->fd < 0)
        return dm_fail(err, DM_E_OUTPUT, "%s: %s", j->path, strerror(errno));
    dm_arena *a = dm_arena_new(0);
    dm_str bytes = {"", 0};
    struct stat s;
    dm_status st = DM_OK;
    if (fstat(j->fd, &s) == 0 && s.st_size > 0)
        st = dm_read_file(a, j->path, SIZE_MAX / 2, &bytes, err);
    if (st == DM_OK)
        st = replay(j, bytes, o, err);
    dm_arena_free(a);
    if (st == DM_OK && j->size == 0)
        add_header(j, o->header, free_keys);
    return st == DM_OK ? dm_journal_sync(j, 0, err) : st;
}

dm_journal *dm_journal_open(const char *path, dm_fsync fsync, const dm_value *header,
                            const dm_value *free_keys, dm_journal_visit *visit, void *user,
                            dm_error *err)
{
    dm_journal *j = dm_alloc(sizeof *j);
    opening o = {header, visit, user, 0};
    j->path = dm_copy_string(path);
    j->fsync = fsync;
    j->fd = -1;
    dm_error local = {DM_OK, ""};
    if (!err)
        err = &local;
    dm_buf_init(&j->buffer, (size_t)1 << 31);
    if (take_lock(j, err) == DM_OK && open_file(j, &o, free_keys, err) == DM_OK)
        return j;
    if (j->fd >= 0)
        close(j->fd);
    dm_lock_free(j->lock);
    dm_buf_free(&j->buffer);
    free(j->path);
    free(j);
    return NULL;
}

/* ---- writing ---- */

void dm_journal_frame(dm_buf *b, dm_journal_type type, dm_str payload)
{
    char head[HEAD];
    memcpy(head, MARK, 4);
    put_u32(head + 4, (uint32_t)payload.n);
    put_u32(head + 8, (uint32_t)type);
    put_u32(head + 12, dm_crc32c(dm_crc32c(0, head + 4, 8), payload.p, payload.n));
    dm_buf_add(b, head, HEAD);
    dm_buf_str(b, payload);
}

void dm_journal_add(dm_journal *j, dm_journal_type type, dm_str payload)
{
    dm_journal_frame(&j->buffer, type, payload);
    j->records++;
}

static dm_status write_all(dm_journal *j, dm_error *err)
{
    size_t at = 0;
    if (dm_lock_lost(j->lock))
        return dm_fail(err, DM_E_OUTPUT,
                       "%s: another run has taken it over, since this one had stood still for too "
                       "long; nothing more is written here",
                       j->path);
    while (at < j->buffer.len) {
        ssize_t n = write(j->fd, j->buffer.data + at, j->buffer.len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int why = errno;
            /* half a record would hide what a later attempt appends */
            if (ftruncate(j->fd, (off_t)j->size) == 0)
                (void)lseek(j->fd, (off_t)j->size, SEEK_SET);
            return dm_fail(err, DM_E_OUTPUT,
                           "%s: cannot be written: %s; what is in it stays good: free "
                           "some space and start the same command again",
                           j->path, strerror(why));
        }
        at += (size_t)n;
    }
    j->size += j->buffer.len;
    dm_buf_reset(&j->buffer);
    return DM_OK;
}

static dm_status sync_file(dm_journal *j, dm_error *err)
{
    if (j->safe == j->size || j->fsync == DM_FSYNC_NONE)
        return DM_OK;
    if (fdatasync(j->fd) != 0 && errno != EINVAL) /* EINVAL: a pipe or the like */
        return dm_fail(
            err, DM_E_OUTPUT,
            "%s: cannot be synced: %s; what was synced before stays good: start the same "
            "command again once the disk works",
            j->path, strerror(errno));
    j->safe = j->size;
    return DM_OK;
}

static dm_status write_and_sync(dm_journal *j, bool sync, double now, dm_error *err)
{
    double began = dm_now();
    dm_status st = j->buffer.len > 0 ? write_all(j, err) : DM_OK;
    if (st == DM_OK && sync) {
        j->synced = now;
        st = sync_file(j, err);
    }
    j->spent += dm_now() - began;
    return st;
}

dm_status dm_journal_flush(dm_journal *j, double now, dm_error *err)
{
    bool due = j->fsync == DM_FSYNC_EACH || (j->fsync == DM_FSYNC_1S && now - j->synced >= 1);
    return due || j->buffer.len > 0 ? write_and_sync(j, due, now, err) : DM_OK;
}

dm_status dm_journal_sync(dm_journal *j, double now, dm_error *err)
{
    return write_and_sync(j, true, now, err);
}

dm_status dm_journal_close(dm_journal *j, dm_error *err)
{
    if (!j)
        return DM_OK;
    dm_status st = dm_journal_sync(j, dm_now(), err);
    dm_log(DM_DEBUG, "journal: %zu records, %.3f s spent on them", j->records, j->spent);
    if (close(j->fd) != 0 && st == DM_OK)
        st = dm_fail(err, DM_E_OUTPUT, "%s: %s", j->path, strerror(errno));
    dm_lock_free(j->lock);
    dm_buf_free(&j->buffer);
    free(j->path);
    free(j);
    return st;
}

uint64_t dm_journal_size(const dm_journal *j)
{
    return j->size;
}

uint64_t dm_journal_safe(const dm_journal *j)
{
    return j->safe;
}
