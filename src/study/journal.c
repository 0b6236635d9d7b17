#include "study/journal.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/place.h"
#include "json/json.h"
#include "study/frames.h"
#include "study/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_SECONDS 1.0 /* whether the file is still there, where nothing is written */
#define COPY         ((size_t)1 << 20)

struct dm_journal {
    int fd;
    char *path;
    dm_lock *lock;
    dm_fsync fsync;
    dm_buf buffer;
    uint64_t size, safe; /* bytes of whole records in the file; of them synced */
    double synced;       /* when */
    bool gone;           /* the file is not ours any more, or not in its place: said once */
    double looked;       /* when the file was last seen in its place */
    double spent;        /* s, on writing and syncing */
    size_t records;      /* of this attempt */
};

static void put_u32(char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (char)(v >> (8 * i));
}

size_t dm_journal_scan(dm_str bytes, dm_journal_visit *visit, void *user, bool *damaged,
                       dm_status *status, dm_error *err)
{
    dm_frames f = dm_frames_of_bytes(bytes);
    uint64_t good = dm_frames_scan(&f, visit, user, status, err);
    *damaged = *status == DM_OK && dm_frames_tail(&f, good) == DM_TAIL_MIDDLE;
    return (size_t)good;
}

/* ---- what the file begins with ---- */

static void put_header(dm_buf *frame, const dm_value *header, const dm_value *free_keys)
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
    dm_journal_frame(frame, DM_JOURNAL_HEADER, dm_buf_view(&b));
    dm_buf_free(&b);
    dm_arena_free(a);
}

/* header: the record that this run begins a journal with. *begun: how many bytes of it the file
 * has, where it has no more than a part of it: then nothing was kept there yet. */
static dm_status look_at_start(dm_frames *f, const char *path, dm_str header, uint64_t *begun,
                               dm_error *err)
{
    dm_frame first;
    size_t n = f->size < header.n ? (size_t)f->size : header.n;
    const char *p = n ? dm_frames_view(f, 0, n) : "";
    *begun = 0;
    if (!p)
        return dm_fail(err, DM_E_OUTPUT, "%s cannot be read: %s", path, strerror(f->failed));
    if (f->size < header.n && memcmp(p, header.p, n) == 0) {
        *begun = f->size;
        return DM_OK;
    }
    if (n >= 4 && memcmp(p, DM_FRAME_MARK, 3) == 0 && p[3] != DM_FRAME_MARK[3])
        return dm_fail(
            err, DM_E_OUTPUT,
            "%s is of another version of dspy-mpi (its records are %.3s%c, this version's "
            "are " DM_FRAME_MARK
            "): resume it with that version, or give --force to have it moved aside",
            path, DM_FRAME_MARK, p[3] > ' ' && p[3] < 127 ? p[3] : '?');
    if (dm_frame_read(f, 0, &first) && first.type == DM_JOURNAL_HEADER)
        return DM_OK;
    return dm_fail(err, DM_E_OUTPUT,
                   "%s is not a journal of dspy-mpi, or has lost its header, and is left as it "
                   "is: " DM_MOVE_IT,
                   path);
}

static dm_frames frames_of(int fd)
{
    struct stat s;
    return dm_frames_of_file(fd, fstat(fd, &s) == 0 && s.st_size > 0 ? (uint64_t)s.st_size : 0);
}

dm_status dm_journal_look(const char *path, const dm_value *header, const dm_value *free_keys,
                          dm_error *err)
{
    uint64_t begun;
    dm_buf frame;
    struct stat s;
    if (lstat(path, &s) != 0 && errno == ENOENT)
        return DM_OK;
    int fd = dm_place_open(path, err);
    if (fd < 0)
        return DM_E_OUTPUT;
    dm_frames f = frames_of(fd);
    dm_buf_init(&frame, DM_MAX_TEXT);
    put_header(&frame, header, free_keys);
    dm_status st = look_at_start(&f, path, dm_buf_view(&frame), &begun, err);
    dm_buf_free(&frame);
    dm_frames_free(&f);
    close(fd);
    return st;
}

/* a: NULL where only whether there is one is asked for. */
static bool first_record(const char *path, dm_arena *a, const dm_value **header)
{
    dm_frame first;
    struct stat s;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return false;
    dm_frames f = frames_of(fd);
    bool is = fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && dm_frame_read(&f, 0, &first) &&
              first.type == DM_JOURNAL_HEADER;
    if (is && a)
        *header = dm_json_read(a, first.payload, NULL);
    dm_frames_free(&f);
    close(fd);
    return is;
}

bool dm_journal_is_one(const char *path)
{
    return first_record(path, NULL, NULL);
}

const dm_value *dm_journal_header(dm_arena *a, const char *path)
{
    const dm_value *header = NULL;
    return first_record(path, a, &header) ? header : NULL;
}

/* ---- opening ---- */

typedef struct opening {
    const dm_value *header;
    dm_journal_visit *visit;
    void *user;
    size_t n;
    bool other_version; /* of the program, by the header */
    char version[64];
} opening;

static void read_version(opening *o, const dm_value *found)
{
    const dm_value *v = dm_value_get(found, "version");
    if (!v || v->kind != DM_STRING || dm_str_is(v->text, DM_VERSION))
        return;
    o->other_version = true;
    snprintf(o->version, sizeof o->version, "%.*s", v->text.n < 60 ? (int)v->text.n : 60,
             v->text.p);
}

static dm_status check_header(opening *o, dm_str payload, dm_error *err)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *found = dm_json_read(a, payload, NULL), *wanted = o->header;
    dm_status st = DM_OK;
    if (!found || found->kind != DM_DICT)
        st = dm_fail(err, DM_E_OUTPUT, "its header cannot be read");
    else
        read_version(o, found);
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
        dm_status st = check_header(o, payload, err);
        if (st != DM_OK)
            return st;
    }
    return o->visit(o->user, type, payload, err);
}

/* Behind the last whole record: what a crash tore is cut off, all else is somebody's. */
static dm_status cut_tail(dm_journal *j, dm_frames *f, uint64_t good, const opening *o,
                          dm_error *err)
{
    unsigned long long at = good, more = f->size - good;
    dm_tail tail = dm_frames_tail(f, good);
    if (dm_asked_to_stop)
        return dm_stopped(err, "reading what an earlier run kept");
    if (tail == DM_TAIL_NONE)
        return DM_OK;
    if (tail == DM_TAIL_MIDDLE)
        return dm_fail(
            err, DM_E_OUTPUT,
            "%s: damaged at byte %llu, with whole records after it: restore the file from a copy, "
            "or cut it there (truncate -s %llu) and pay again for what follows",
            j->path, at, at);
    if (tail == DM_TAIL_FOREIGN)
        return dm_fail(
            err, DM_E_OUTPUT,
            "%s: from byte %llu on there is something that dspy-mpi did not write (%llu bytes): "
            "restore the file from a copy, or save that and cut it there (truncate -s %llu)",
            j->path, at, more, at);
    if (o->other_version)
        return dm_fail(err, DM_E_OUTPUT,
                       "%s: a torn record at byte %llu of a journal that version %s of dspy-mpi "
                       "started: resume it with that version, or cut it there (truncate -s %llu)",
                       j->path, at, o->version, at);
    dm_log(DM_WARN, "%s: a torn record at its end (%llu bytes) is cut off", j->path, more);
    if (ftruncate(j->fd, (off_t)good) != 0)
        return dm_fail(err, DM_E_OUTPUT, "%s: cannot be cut: %s", j->path, strerror(errno));
    return DM_OK;
}

static dm_status read_all(dm_journal *j, dm_frames *f, opening *o, dm_error *err)
{
    dm_status st;
    uint64_t good = dm_frames_scan(f, visit_checked, o, &st, err);
    if (st > 0)
        return st;
    if (st != DM_OK)
        return dm_error_wrap(err, st, "%s", j->path);
    st = cut_tail(j, f, good, o, err);
    if (st != DM_OK)
        return st;
    j->size = good;
    if (lseek(j->fd, (off_t)good, SEEK_SET) < 0)
        return dm_fail(err, DM_E_OUTPUT, "%s: %s", j->path, strerror(errno));
    return DM_OK;
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
    uint64_t begun;
    dm_buf header;
    j->fd = dm_place_open(j->path, err);
    if (j->fd < 0)
        return DM_E_OUTPUT;
    dm_frames f = frames_of(j->fd);
    dm_buf_init(&header, DM_MAX_TEXT);
    put_header(&header, o->header, free_keys);
    dm_status st = look_at_start(&f, j->path, dm_buf_view(&header), &begun, err);
    if (st == DM_OK && (begun > 0 || f.size == 0)) {
        if (begun > 0)
            dm_log(DM_WARN, "%s: an earlier start was interrupted before it had kept anything",
                   j->path);
        if (begun > 0 && ftruncate(j->fd, 0) != 0)
            st = dm_fail(err, DM_E_OUTPUT, "%s: cannot be cut: %s", j->path, strerror(errno));
        dm_buf_str(&j->buffer, dm_buf_view(&header));
        j->records++;
    } else if (st == DM_OK) {
        st = read_all(j, &f, o, err);
    }
    dm_buf_free(&header);
    dm_frames_free(&f);
    return st == DM_OK ? dm_journal_sync(j, 0, err) : st;
}

dm_journal *dm_journal_open(const char *path, dm_fsync fsync, const dm_value *header,
                            const dm_value *free_keys, dm_journal_visit *visit, void *user,
                            dm_error *err)
{
    dm_journal *j = dm_alloc(sizeof *j);
    opening o = {.header = header, .visit = visit, .user = user};
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

/* ---- whether it is still there ---- */

static dm_status write_bytes(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return DM_E_OUTPUT;
        p += w;
        n -= (size_t)w;
    }
    return DM_OK;
}

/* All is still to be had by our descriptor, also of a file that has no name any more. */
static dm_status copy_records(const dm_journal *j, int to)
{
    char *block = dm_alloc(COPY);
    dm_status st = DM_OK;
    for (uint64_t at = 0; at < j->size && st == DM_OK;) {
        uint64_t left = j->size - at;
        ssize_t n = pread(j->fd, block, left < COPY ? (size_t)left : COPY, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        st = n > 0 ? write_bytes(to, block, (size_t)n) : DM_E_OUTPUT;
        at += n > 0 ? (uint64_t)n : 0;
    }
    if (st == DM_OK)
        st = write_bytes(to, j->buffer.data, j->buffer.len);
    free(block);
    return st == DM_OK && fsync(to) != 0 ? DM_E_OUTPUT : st;
}

/* Whether the folder of the journal is there; one that was removed is made again. */
static bool has_folder(const dm_journal *j, bool make)
{
    char folder[PATH_MAX];
    struct stat s;
    snprintf(folder, sizeof folder, "%s", j->path);
    char *slash = strrchr(folder, '/');
    if (!slash || slash == folder)
        return true;
    *slash = 0;
    return stat(folder, &s) == 0 || (make && mkdir(folder, 0777) == 0);
}

/* Writes all records to the path again, or, where something else stands there now, to path.1 or the
 * first number that is free. */
static dm_status rescue(dm_journal *j, dm_error *err)
{
    char name[PATH_MAX];
    int fd = -1;
    snprintf(name, sizeof name, "%s", j->path);
    for (int i = 0, tries = 0; tries < 1000 && fd < 0; i++, tries++) {
        if (i > 0)
            snprintf(name, sizeof name, "%s.%d", j->path, i);
        fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno == ENOENT && has_folder(j, true)) /* it is being removed just now */
            i--;
        else if (fd < 0 && errno != EEXIST)
            break;
    }
    dm_status st = fd >= 0 ? copy_records(j, fd) : DM_E_OUTPUT;
    int why = errno;
    if (fd >= 0 && close(fd) != 0)
        st = DM_E_OUTPUT;
    if (st != DM_OK)
        return dm_fail(err, DM_E_OUTPUT,
                       "%s was removed while the run wrote to it, and its records could not be "
                       "saved: %s",
                       j->path, strerror(why));
    if (strcmp(name, j->path) == 0)
        return dm_fail(err, DM_E_OUTPUT,
                       "%s was moved or removed while the run wrote to it; all its records are "
                       "there again: start the same command again",
                       j->path);
    return dm_fail(
        err, DM_E_OUTPUT,
        "%s was replaced while the run wrote to it; all its records are in %s: move that "
        "back and start the same command again",
        j->path, name);
}

/* Nothing may be paid for that is kept where nobody finds it. What stands in the buffer is saved
 * where it can be. */
static dm_status still_there(dm_journal *j, double now, dm_error *err)
{
    struct stat s;
    if (fstat(j->fd, &s) != 0)
        return dm_fail(err, DM_E_OUTPUT, "%s: %s", j->path, strerror(errno));
    if ((uint64_t)s.st_size != j->size)
        return dm_fail(err, DM_E_OUTPUT,
                       "%s was %s by somebody else while the run wrote to it (%llu bytes, not "
                       "%llu): nothing more is written; the complete records in it remain valid: "
                       "start the same command again",
                       j->path, (uint64_t)s.st_size < j->size ? "cut" : "written to",
                       (unsigned long long)s.st_size, (unsigned long long)j->size);
    j->looked = now;
    if (dm_place_holds(j->fd, j->path))
        return DM_OK;
    if (has_folder(j, s.st_nlink == 0))
        return rescue(j, err);
    if (write_bytes(j->fd, j->buffer.data, j->buffer.len) == DM_OK)
        j->size += j->buffer.len;
    dm_buf_reset(&j->buffer);
    return dm_fail(err, DM_E_OUTPUT,
                   "%s was moved away with its folder while the run wrote to it: move it back and "
                   "start the same command again",
                   j->path);
}

/* ---- writing ---- */

void dm_journal_frame(dm_buf *b, dm_journal_type type, dm_str payload)
{
    char head[DM_FRAME_HEAD];
    memcpy(head, DM_FRAME_MARK, 4);
    put_u32(head + 4, (uint32_t)payload.n);
    put_u32(head + 8, (uint32_t)type);
    put_u32(head + 12, dm_crc32c(dm_crc32c(0, head + 4, 8), payload.p, payload.n));
    dm_buf_add(b, head, DM_FRAME_HEAD);
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
                           "%s: cannot be written: %s; what is in it remains valid: free some "
                           "space and start the same command again",
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
        return dm_fail(err, DM_E_OUTPUT,
                       "%s: cannot be synced: %s; what was synced before remains valid: start the "
                       "same command again once the disk works",
                       j->path, strerror(errno));
    j->safe = j->size;
    return DM_OK;
}

static dm_status write_and_sync(dm_journal *j, bool sync, double now, dm_error *err)
{
    double began = dm_now();
    dm_status st = j->gone ? dm_fail(err, DM_E_OUTPUT, "%s is no longer written to", j->path)
                           : still_there(j, now, err);
    if (st == DM_OK)
        st = dm_lock_check(j->lock, j->path, err);
    j->gone = st != DM_OK;
    if (st == DM_OK && j->buffer.len > 0)
        st = write_all(j, err);
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
    if (due || j->buffer.len > 0)
        return write_and_sync(j, due, now, err);
    return now - j->looked >= LOOK_SECONDS ? write_and_sync(j, false, now, err) : DM_OK;
}

dm_status dm_journal_sync(dm_journal *j, double now, dm_error *err)
{
    return write_and_sync(j, true, now, err);
}

dm_status dm_journal_close(dm_journal *j, dm_error *err)
{
    if (!j)
        return DM_OK;
    dm_status st = j->gone ? DM_OK : dm_journal_sync(j, dm_now(), err);
    dm_log(DM_DEBUG, "journal: %zu records, %.3f s spent on them", j->records, j->spent);
    if (close(j->fd) != 0 && st == DM_OK)
        st = dm_fail(err, DM_E_OUTPUT, "%s: %s", j->path, strerror(errno));
    dm_lock_free(j->lock);
    dm_buf_free(&j->buffer);
    free(j->path);
    free(j);
    return st;
}

uint64_t dm_journal_next(const dm_journal *j)
{
    return j->size + j->buffer.len;
}

static bool read_bytes(const dm_journal *j, uint64_t at, char *to, size_t n)
{
    if (at >= j->size) { /* a record is written whole */
        if (at - j->size + n > j->buffer.len)
            return false;
        memcpy(to, j->buffer.data + (at - j->size), n);
        return true;
    }
    for (size_t got = 0; got < n;) {
        ssize_t more = pread(j->fd, to + got, n - got, (off_t)(at + got));
        if (more < 0 && errno == EINTR)
            continue;
        if (more <= 0)
            return false;
        got += (size_t)more;
    }
    return true;
}

bool dm_journal_read(const dm_journal *j, uint64_t at, dm_arena *a, dm_str *payload)
{
    unsigned char head[DM_FRAME_HEAD];
    if (!read_bytes(j, at, (char *)head, sizeof head))
        return false;
    size_t n = head[4] | (size_t)head[5] << 8 | (size_t)head[6] << 16 | (size_t)head[7] << 24;
    char *bytes = n <= DM_FRAME_MOST ? dm_arena_alloc_n(a, n + 1, 1) : NULL;
    *payload = (dm_str){bytes, n};
    return bytes && read_bytes(j, at + DM_FRAME_HEAD, bytes, n);
}

uint64_t dm_journal_size(const dm_journal *j)
{
    return j->size;
}

uint64_t dm_journal_safe(const dm_journal *j)
{
    return j->safe;
}
