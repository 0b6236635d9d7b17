#include "study/cache.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/place.h"
#include "base/table.h"
#include "json/json.h"
#include "study/frames.h"
#include "study/record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ENDING   ".answers"
#define FLUSH_AT ((size_t)1 << 20)

typedef struct file {
    char *path;
    int fd; /* opened when it is first read from; -1 */
    uint64_t bytes;
    double written; /* when */
} file;

typedef struct entry {
    uint64_t key; /* dm_hash_mix of it; the key itself is looked at when the record is read */
    uint64_t at;
    uint32_t file;
    uint32_t n; /* bytes of the record's payload */
} entry;

struct dm_cache {
    char *folder;
    file *files; /* [n_files]; the last one is this run's own, once it has written */
    size_t n_files;
    entry *entries; /* [n] */
    size_t n, cap;
    dm_index index; /* of entries by their keys */
    dm_buf buffer;  /* records that are not written yet */
    uint64_t own_size;
    int own;     /* file number; -1: none yet */
    bool broken; /* cannot be written */
};

/* ---- the index ---- */

static bool is_of_key(const void *owner, uint32_t number, const void *key)
{
    const dm_cache *c = owner;
    return c->entries[number].key == *(const uint64_t *)key;
}

static bool find(const dm_cache *c, uint64_t key, uint32_t *number)
{
    return dm_index_get(&c->index, key, is_of_key, c, &key, number);
}

static bool has(const dm_cache *c, const dm_hash *key)
{
    uint32_t number;
    return find(c, dm_hash_mix(key), &number);
}

static void add(dm_cache *c, const entry *e)
{
    uint32_t number;
    if (find(c, e->key, &number) || c->n == UINT32_MAX - 1)
        return;
    c->entries = dm_room(c->entries, c->n, &c->cap, sizeof *c->entries);
    c->entries[c->n] = *e;
    dm_index_put(&c->index, e->key, (uint32_t)c->n++);
}

/* ---- records: [key, content, truncated] ---- */

static bool read_record(dm_str payload, dm_hash *key, dm_str *content, bool *truncated)
{
    dm_record rec;
    dm_reader in;
    bool ok = dm_record_open(&rec, payload, NULL, &in);
    *key = dm_read_hash(&in);
    *content = dm_read_str(&in);
    *truncated = dm_read_bool(&in);
    ok = ok && !rec.bad && content->p;
    dm_record_free(&rec);
    return ok;
}

/* ---- files ---- */

/* Opened for reading; -1: gone meanwhile (err is not set), or none of ours. A link may lead to one:
 * nothing is written there. */
static int open_ours(const char *path, dm_frames *f, dm_error *err)
{
    struct stat s;
    *f = dm_frames_of_bytes((dm_str){"", 0});
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return -1;
    if (fd < 0 || fstat(fd, &s) != 0) {
        (void)dm_fail(err, DM_E_OUTPUT, "cache: %s: %s", path, strerror(errno));
    } else {
        *f = dm_frames_of_file(fd, S_ISREG(s.st_mode) ? (uint64_t)s.st_size : 0);
        size_t n = f->size < 4 ? (size_t)f->size : 4;
        const char *p = n ? dm_frames_view(f, 0, n) : "";
        if (S_ISREG(s.st_mode) && p && memcmp(p, DM_FRAME_MARK, n) == 0)
            return fd;
        (void)dm_fail(err, DM_E_OUTPUT,
                      "cache: %s is not a file of answers that this version of dspy-mpi wrote, and "
                      "is left as it is: " DM_MOVE_IT,
                      path);
    }
    dm_frames_free(f);
    if (fd >= 0)
        close(fd);
    return -1;
}

static void scan_records(dm_cache *c, uint32_t number, dm_frames *f)
{
    uint64_t at = 0;
    dm_frame frame;
    dm_hash key;
    dm_str content;
    bool truncated;
    for (; at < f->size && !dm_asked_to_stop && dm_frame_read(f, at, &frame); at = frame.end)
        if (frame.type == DM_JOURNAL_CACHED &&
            read_record(frame.payload, &key, &content, &truncated))
            add(c,
                &(entry){dm_hash_mix(&key), at + DM_FRAME_HEAD, number, (uint32_t)frame.payload.n});
    c->files[number].bytes = f->size;
    if (!dm_asked_to_stop && dm_frames_tail(f, at) > DM_TAIL_TORN)
        dm_log(DM_WARN, "%s: damaged at byte %llu; what follows is not used", c->files[number].path,
               (unsigned long long)at);
}

/* DM_E_OUTPUT: none of ours. */
static dm_status scan_file(dm_cache *c, uint32_t number, dm_error *err)
{
    dm_frames f;
    dm_error local = {DM_OK, ""};
    int fd = open_ours(c->files[number].path, &f, &local);
    if (fd >= 0) {
        scan_records(c, number, &f);
        dm_frames_free(&f);
        close(fd);
    }
    if (dm_asked_to_stop)
        return dm_stopped(err, "reading the cache");
    return local.status == DM_OK ? DM_OK : dm_fail(err, local.status, "%s", local.text);
}

static uint32_t new_file(dm_cache *c, const char *name)
{
    dm_buf b;
    dm_buf_init(&b, 65536);
    dm_buf_printf(&b, "%s/%s", c->folder, name);
    c->files = dm_grow(c->files, c->n_files + 1, sizeof *c->files);
    c->files[c->n_files] = (file){.path = dm_buf_take(&b, NULL), .fd = -1};
    return (uint32_t)c->n_files++;
}

static bool is_ours(const char *name)
{
    size_t n = strlen(name), e = strlen(ENDING);
    return n > e && strcmp(name + n - e, ENDING) == 0;
}

static int by_path(const void *x, const void *y)
{
    return strcmp(((const file *)x)->path, ((const file *)y)->path);
}

static dm_status list_files(dm_cache *c, dm_error *err)
{
    DIR *d = opendir(c->folder);
    struct stat s;
    if (!d)
        return dm_fail(err, DM_E_OUTPUT, "cache: %s: %s", c->folder, strerror(errno));
    for (struct dirent *e; (e = readdir(d));)
        if (is_ours(e->d_name)) {
            uint32_t number = new_file(c, e->d_name);
            file *f = &c->files[number];
            if (stat(f->path, &s) == 0) {
                f->bytes = (uint64_t)s.st_size;
                f->written = (double)s.st_mtime;
            }
        }
    closedir(d);
    if (c->n_files)
        qsort(c->files, c->n_files, sizeof *c->files, by_path);
    return DM_OK;
}

static dm_cache *open_folder(const char *folder, dm_error *err)
{
    dm_cache *c = dm_alloc(sizeof *c);
    c->folder = dm_copy_string(folder);
    c->own = -1;
    dm_buf_init(&c->buffer, (size_t)1 << 31);
    if (list_files(c, err) == DM_OK)
        return c;
    (void)dm_cache_close(c, NULL);
    return NULL;
}

static dm_status move_aside(const char *path, dm_error *err)
{
    char aside[PATH_MAX];
    dm_status st = dm_place_move_aside(path, aside, err);
    if (st == DM_OK)
        dm_log(DM_WARN, "cache: the old %s is now %s", path, aside);
    return st;
}

static dm_status make_folder(const char *folder, bool force, dm_error *err)
{
    struct stat s;
    if (lstat(folder, &s) == 0 && (stat(folder, &s) != 0 || !S_ISDIR(s.st_mode))) {
        if (!force)
            return dm_fail(err, DM_E_OUTPUT, "cache: %s is not a folder: " DM_MOVE_IT, folder);
        dm_status st = move_aside(folder, err);
        if (st != DM_OK)
            return st;
    }
    if ((mkdir(folder, 0777) != 0 && errno != EEXIST) || access(folder, W_OK | X_OK) != 0)
        return dm_fail(err, DM_E_OUTPUT, "cache: %s: %s", folder, strerror(errno));
    return DM_OK;
}

dm_cache *dm_cache_open(const char *folder, bool force, dm_error *err)
{
    dm_error local = {DM_OK, ""};
    err = err ? err : &local;
    dm_status st = make_folder(folder, force, err);
    dm_cache *c = st == DM_OK ? open_folder(folder, err) : NULL;
    for (size_t i = 0; c && i < c->n_files && st == DM_OK; i++) {
        st = scan_file(c, (uint32_t)i, err);
        if (st == DM_E_OUTPUT && force)
            st = move_aside(c->files[i].path, err);
    }
    if (st == DM_OK)
        return c;
    if (c)
        (void)dm_cache_close(c, NULL);
    return NULL;
}

/* ---- writing ---- */

static void stop_writing(dm_cache *c, const char *why)
{
    dm_log(DM_WARN, "cache: %s: %s; the run goes on, new answers are not kept there", c->folder,
           why);
    c->broken = true;
    dm_buf_reset(&c->buffer);
}

static bool make_own(dm_cache *c)
{
    char host[128] = "host", name[256];
    if (c->own >= 0)
        return true;
    gethostname(host, sizeof host - 1);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "%lld-%s-%ld-%d" ENDING, (long long)time(NULL), host,
                 (long)getpid(), i);
        uint32_t number = new_file(c, name);
        file *f = &c->files[number];
        f->fd = open(f->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (f->fd >= 0) {
            c->own = (int)number;
            return true;
        }
        free(f->path);
        c->n_files--;
        if (errno != EEXIST)
            break;
    }
    return false;
}

static bool own_is_there(const dm_cache *c)
{
    struct stat s;
    const file *f = &c->files[c->own];
    return fstat(f->fd, &s) == 0 && (uint64_t)s.st_size == c->own_size &&
           dm_place_holds(f->fd, f->path);
}

void dm_cache_flush(dm_cache *c)
{
    size_t at = 0;
    if (c->broken || c->buffer.len == 0)
        return;
    if (!make_own(c)) {
        stop_writing(c, strerror(errno));
        return;
    }
    if (!own_is_there(c)) {
        stop_writing(c, "this run's file was removed, moved or changed by somebody else");
        return;
    }
    while (at < c->buffer.len) {
        ssize_t n = write(c->files[c->own].fd, c->buffer.data + at, c->buffer.len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            stop_writing(c, strerror(errno));
            return;
        }
        at += (size_t)n;
    }
    c->own_size += c->buffer.len;
    dm_buf_reset(&c->buffer);
}

void dm_cache_put(dm_cache *c, const dm_hash *key, dm_str content, bool truncated)
{
    dm_buf b;
    dm_writer w;
    if (c->broken || has(c, key))
        return;
    dm_buf_init(&b, (size_t)256 << 20);
    dm_writer_init(&w, &b);
    dm_write_array(&w, 3);
    dm_write_hash(&w, key);
    dm_write_str(&w, content);
    dm_write_bool(&w, truncated);
    size_t payload = b.len;
    if (b.full) {
        dm_buf_free(&b);
        return;
    }
    dm_journal_frame(&c->buffer, DM_JOURNAL_CACHED, dm_buf_view(&b));
    dm_buf_free(&b);
    uint64_t at = c->own_size + c->buffer.len - payload;
    if (c->buffer.len >= FLUSH_AT)
        dm_cache_flush(c);
    if (!c->broken && make_own(c))
        add(c, &(entry){dm_hash_mix(key), at, (uint32_t)c->own, (uint32_t)payload});
}

/* ---- reading ---- */

bool dm_cache_get(dm_cache *c, const dm_hash *key, dm_arena *a, dm_str *content, bool *truncated)
{
    uint32_t number;
    if (!find(c, dm_hash_mix(key), &number))
        return false;
    entry e = c->entries[number];
    if ((int)e.file == c->own)
        dm_cache_flush(c);
    file *f = &c->files[e.file];
    if (f->fd < 0)
        f->fd = open(f->path, O_RDONLY | O_CLOEXEC);
    char *bytes = dm_arena_alloc_n(a, e.n, 1);
    size_t got = 0;
    for (ssize_t n; f->fd >= 0 && got < e.n; got += (size_t)n)
        if ((n = pread(f->fd, bytes + got, e.n - got, (off_t)(e.at + got))) <= 0)
            break;
    dm_hash found;
    return got == e.n && read_record((dm_str){bytes, e.n}, &found, content, truncated) &&
           dm_hash_eq(&found, key);
}

dm_status dm_cache_close(dm_cache *c, dm_error *err)
{
    if (!c)
        return DM_OK;
    dm_cache_flush(c);
    dm_status st =
        c->broken ? dm_fail(err, DM_E_OUTPUT, "cache: %s could not be written", c->folder) : DM_OK;
    for (size_t i = 0; i < c->n_files; i++) {
        if (c->files[i].fd >= 0)
            close(c->files[i].fd);
        free(c->files[i].path);
    }
    free(c->files);
    free(c->entries);
    dm_index_free(&c->index);
    dm_buf_free(&c->buffer);
    free(c->folder);
    free(c);
    return st;
}

/* ---- looking after it ---- */

static void count(dm_cache_stats *s, const file *f)
{
    s->oldest = s->files == 0 || f->written < s->oldest ? f->written : s->oldest;
    s->newest = f->written > s->newest ? f->written : s->newest;
    s->files++;
    s->bytes += f->bytes;
}

dm_status dm_cache_stats_of(const char *folder, dm_cache_stats *out, dm_error *err)
{
    *out = (dm_cache_stats){0};
    dm_cache *c = open_folder(folder, err);
    if (!c)
        return DM_E_OUTPUT;
    for (size_t i = 0; i < c->n_files; i++) {
        dm_error why = {DM_OK, ""};
        if (scan_file(c, (uint32_t)i, &why) == DM_OK)
            count(out, &c->files[i]);
        else
            dm_log(DM_WARN, "%s", why.text);
    }
    out->answers = c->n;
    return dm_cache_close(c, err);
}

static int by_age(const void *x, const void *y)
{
    const file *a = x, *b = y;
    return (a->written > b->written) - (a->written < b->written);
}

/* Somebody's file is not ours to remove; it is said. */
static bool is_prunable(const char *path)
{
    dm_frames f;
    dm_error err = {DM_OK, ""};
    int fd = open_ours(path, &f, &err);
    if (fd >= 0) {
        dm_frames_free(&f);
        close(fd);
    } else if (err.status != DM_OK) {
        dm_log(DM_WARN, "%s", err.text);
    }
    return fd >= 0;
}

dm_status dm_cache_prune(const char *folder, double before, double max_bytes,
                         dm_cache_stats *removed, dm_error *err)
{
    *removed = (dm_cache_stats){0};
    dm_cache *c = open_folder(folder, err);
    if (!c)
        return DM_E_OUTPUT;
    double left = 0;
    dm_status st = DM_OK;
    if (c->n_files)
        qsort(c->files, c->n_files, sizeof *c->files, by_age);
    for (size_t i = 0; i < c->n_files; i++)
        left += (double)c->files[i].bytes;
    for (size_t i = 0; i < c->n_files && st == DM_OK; i++) {
        const file *f = &c->files[i];
        if ((f->written >= before && left <= max_bytes) || !is_prunable(f->path))
            continue;
        if (unlink(f->path) != 0 && errno != ENOENT)
            st = dm_fail(err, DM_E_OUTPUT, "cache: %s: %s", f->path, strerror(errno));
        left -= (double)f->bytes;
        count(removed, f);
    }
    (void)dm_cache_close(c, NULL);
    return st;
}
