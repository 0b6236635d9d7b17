#include "study/cache.h"
#include "base/buf.h"
#include "base/log.h"
#include "json/json.h"
#include "study/journal.h"
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
#define MAX_FILE ((size_t)4 << 30)
#define FLUSH_AT ((size_t)1 << 20)

typedef struct file {
    char *path;
    int fd; /* opened when it is first read from; -1 */
    uint64_t bytes;
    double written; /* when */
} file;

typedef struct entry {
    dm_hash key;
    uint32_t file;
    uint32_t n; /* bytes of the record's payload */
    uint64_t at;
} entry;

struct dm_cache {
    char *folder;
    file *files; /* [n_files]; the last one is this run's own, once it has written */
    size_t n_files;
    entry *entries;  /* [n] */
    uint32_t *slots; /* [cap] number + 1; 0: free */
    size_t n, cap, cap_entries;
    dm_buf buffer; /* records that are not written yet */
    uint64_t own_size;
    int own;     /* file number; -1: none yet */
    bool broken; /* cannot be written */
};

/* ---- the index ---- */

static uint32_t *slot_of(const dm_cache *c, const dm_hash *key)
{
    size_t i = dm_hash_u64(key) & (c->cap - 1);
    while (c->slots[i] && !dm_hash_eq(&c->entries[c->slots[i] - 1].key, key))
        i = (i + 1) & (c->cap - 1);
    return &c->slots[i];
}

static void grow(dm_cache *c)
{
    if (3 * (c->n + 1) <= 2 * c->cap)
        return;
    free(c->slots);
    c->cap = c->cap ? 2 * c->cap : 1024;
    c->slots = dm_alloc_n(c->cap, sizeof *c->slots);
    for (size_t i = 0; i < c->n; i++)
        *slot_of(c, &c->entries[i].key) = (uint32_t)i + 1;
}

static bool has(const dm_cache *c, const dm_hash *key)
{
    return c->cap && *slot_of(c, key);
}

static void add(dm_cache *c, const entry *e)
{
    grow(c);
    uint32_t *slot = slot_of(c, &e->key);
    if (*slot)
        return;
    if (c->n == c->cap_entries) {
        c->cap_entries = c->cap_entries ? 2 * c->cap_entries : 1024;
        c->entries = dm_grow(c->entries, c->cap_entries, sizeof *c->entries);
    }
    c->entries[c->n++] = *e;
    *slot = (uint32_t)c->n;
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

typedef struct scan {
    dm_cache *cache;
    uint32_t file;
    const char *start;
} scan;

static dm_status take_record(void *user, dm_journal_type type, dm_str payload, dm_error *err)
{
    scan *s = user;
    dm_hash key;
    dm_str content;
    bool truncated;
    (void)err;
    if (type == DM_JOURNAL_ANSWER && read_record(payload, &key, &content, &truncated))
        add(s->cache,
            &(entry){key, s->file, (uint32_t)payload.n, (uint64_t)(payload.p - s->start)});
    return DM_OK;
}

/* ---- files ---- */

static void scan_file(dm_cache *c, uint32_t number)
{
    dm_arena *a = dm_arena_new(0);
    dm_error err = {DM_OK, ""};
    dm_str bytes;
    bool damaged = false;
    dm_status st = dm_read_file(a, c->files[number].path, MAX_FILE, &bytes, &err);
    if (st == DM_OK) {
        scan s = {c, number, bytes.p};
        size_t good = dm_journal_scan(bytes, take_record, &s, &damaged, &st, &err);
        c->files[number].bytes = bytes.n;
        if (damaged)
            dm_log(DM_WARN, "%s: damaged at byte %zu; what follows is not used",
                   c->files[number].path, good);
    } else {
        dm_log(DM_WARN, "%s is not used: %s", c->files[number].path, err.text);
    }
    dm_arena_free(a);
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

dm_cache *dm_cache_open(const char *folder, dm_error *err)
{
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
        dm_fail(err, DM_E_OUTPUT, "cache: %s: %s", folder, strerror(errno));
        return NULL;
    }
    if (access(folder, W_OK | X_OK) != 0) {
        dm_fail(err, DM_E_OUTPUT, "cache: %s: %s", folder, strerror(errno));
        return NULL;
    }
    dm_cache *c = open_folder(folder, err);
    for (size_t i = 0; c && i < c->n_files; i++)
        scan_file(c, (uint32_t)i);
    return c;
}

/* ---- writing ---- */

static void stop_writing(dm_cache *c)
{
    dm_log(DM_WARN, "cache: %s: %s; the run goes on, new answers are not kept there", c->folder,
           strerror(errno));
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

void dm_cache_flush(dm_cache *c)
{
    size_t at = 0;
    if (c->broken || c->buffer.len == 0)
        return;
    if (!make_own(c)) {
        stop_writing(c);
        return;
    }
    while (at < c->buffer.len) {
        ssize_t n = write(c->files[c->own].fd, c->buffer.data + at, c->buffer.len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            stop_writing(c);
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
    dm_journal_frame(&c->buffer, DM_JOURNAL_ANSWER, dm_buf_view(&b));
    dm_buf_free(&b);
    uint64_t at = c->own_size + c->buffer.len - payload;
    if (c->buffer.len >= FLUSH_AT)
        dm_cache_flush(c);
    if (!c->broken && make_own(c))
        add(c, &(entry){*key, (uint32_t)c->own, (uint32_t)payload, at});
}

/* ---- reading ---- */

bool dm_cache_get(dm_cache *c, const dm_hash *key, dm_arena *a, dm_str *content, bool *truncated)
{
    if (!has(c, key))
        return false;
    entry e = c->entries[*slot_of(c, key) - 1];
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
    free(c->slots);
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
        scan_file(c, (uint32_t)i);
        count(out, &c->files[i]);
    }
    out->answers = c->n;
    return dm_cache_close(c, err);
}

static int by_age(const void *x, const void *y)
{
    const file *a = x, *b = y;
    return (a->written > b->written) - (a->written < b->written);
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
        if (f->written >= before && left <= max_bytes)
            continue;
        if (unlink(f->path) != 0 && errno != ENOENT)
            st = dm_fail(err, DM_E_OUTPUT, "cache: %s: %s", f->path, strerror(errno));
        left -= (double)f->bytes;
        count(removed, f);
    }
    (void)dm_cache_close(c, NULL);
    return st;
}
