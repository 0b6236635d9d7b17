#include "json/json.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

dm_status dm_json_error_in(dm_error *err, dm_status status, const char *name)
{
    if (err) {
        dm_error was = *err;
        dm_fail(err, status, "%s:%s", name, was.text);
    }
    return status;
}

dm_status dm_read_file(dm_arena *a, const char *path, size_t max, dm_str *text, dm_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return dm_fail(err, DM_E_DATA, "%s: cannot be opened: %s", path, strerror(errno));
    dm_buf b;
    struct stat s;
    dm_buf_init(&b, max + 65536);
    dm_status st = DM_OK;
    ssize_t n = 1;
    if (fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && (uint64_t)s.st_size > max)
        n = 0, st = dm_fail(err, DM_E_LIMIT, "%s: larger than %zu bytes", path, max);
    while (n > 0 && b.len <= max) {
        char *to = dm_buf_room(&b, 65536);
        n = read(fd, to, 65536);
        if (n > 0)
            b.len += (size_t)n;
        else if (n < 0 && errno == EINTR)
            n = 1;
        else if (n < 0)
            st = dm_fail(err, DM_E_DATA, "%s: cannot be read: %s", path, strerror(errno));
    }
    if (st == DM_OK && b.len > max)
        st = dm_fail(err, DM_E_LIMIT, "%s: larger than %zu bytes", path, max);
    close(fd);
    if (st == DM_OK) {
        dm_str all = dm_str_past_mark(dm_buf_view(&b));
        *text = (dm_str){dm_arena_string(a, all.p, all.n), all.n};
    }
    dm_buf_free(&b);
    return st;
}

const dm_value *dm_json_read_file(dm_arena *a, const char *path, size_t max)
{
    dm_str text;
    return dm_read_file(a, path, max, &text, NULL) == DM_OK ? dm_json_read(a, text, NULL) : NULL;
}

static dm_status write_part(int fd, const char *part, dm_str text, bool sync, dm_error *err)
{
    for (size_t at = 0; at < text.n;) {
        ssize_t n = write(fd, text.p + at, text.n - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dm_fail(err, DM_E_OUTPUT, "%s: cannot be written: %s", part, strerror(errno));
        at += (size_t)n;
    }
    if (sync && fsync(fd) != 0 && errno != EINVAL)
        return dm_fail(err, DM_E_OUTPUT, "%s: cannot be synced: %s", part, strerror(errno));
    return DM_OK;
}

static void sync_folder(const char *path)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        *(slash == folder ? slash + 1 : slash) = 0;
    int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd); /* not every file system can */
        close(fd);
    }
}

/* A file path.part that is there is somebody's, or of a run that was killed: it is left alone. */
static int make_part(const char *path, char part[PATH_MAX], dm_error *err)
{
    int fd = -1;
    if (snprintf(part, PATH_MAX, "%s.part", path) >= PATH_MAX - 4) {
        (void)dm_fail(err, DM_E_OUTPUT, "%s: the path is too long", path);
        return -1;
    }
    for (int i = 1; i < 1000 && fd < 0; i++) {
        fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST)
            break;
        if (fd < 0)
            snprintf(part, PATH_MAX, "%s.part%d", path, i);
    }
    if (fd < 0)
        (void)dm_fail(err, DM_E_OUTPUT, "%s: cannot be made: %s", part, strerror(errno));
    return fd;
}

static dm_status write_whole(const char *path, dm_str text, bool sync, dm_error *err)
{
    char part[PATH_MAX];
    int fd = make_part(path, part, err);
    if (fd < 0)
        return DM_E_OUTPUT;
    dm_status st = write_part(fd, part, text, sync, err);
    if (close(fd) != 0 && st == DM_OK)
        st = dm_fail(err, DM_E_OUTPUT, "%s: %s", part, strerror(errno));
    if (st == DM_OK && rename(part, path) != 0)
        st = dm_fail(err, DM_E_OUTPUT, "%s: cannot be renamed: %s", part, strerror(errno));
    if (st != DM_OK)
        unlink(part);
    else if (sync)
        sync_folder(path);
    return st;
}

dm_status dm_write_file(const char *path, dm_str text, dm_error *err)
{
    return write_whole(path, text, true, err);
}

dm_status dm_put_file(const char *path, dm_str text, dm_error *err)
{
    return write_whole(path, text, false, err);
}
