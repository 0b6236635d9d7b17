#include "base/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOST_ASIDE 10000
#ifndef RENAME_NOREPLACE /* musl */
#define RENAME_NOREPLACE 1
#endif

static const char *kind_of(mode_t mode)
{
    return S_ISLNK(mode)    ? "a symbolic link"
           : S_ISDIR(mode)  ? "a folder"
           : S_ISFIFO(mode) ? "a FIFO"
           : S_ISSOCK(mode) ? "a socket"
                            : "a device";
}

dm_status dm_place_check(const char *path, dm_error *err)
{
    struct stat s;
    if (lstat(path, &s) != 0)
        return errno == ENOENT ? DM_OK : dm_fail(err, DM_E_OUTPUT, "%s: %s", path, strerror(errno));
    if (S_ISREG(s.st_mode))
        return DM_OK;
    return dm_fail(err, DM_E_OUTPUT,
                   "%s is %s, where dspy-mpi writes a file of its own: " DM_MOVE_IT, path,
                   kind_of(s.st_mode));
}

int dm_place_open(const char *path, dm_error *err)
{
    struct stat s;
    if (dm_place_check(path, err) != DM_OK)
        return -1;
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
    if (fd < 0) {
        (void)dm_fail(err, DM_E_OUTPUT, "%s: %s", path, strerror(errno));
        return -1;
    }
    if (fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && s.st_nlink <= 1)
        return fd;
    (void)dm_fail(err, DM_E_OUTPUT,
                  "%s has a second name (a hard link), and writing here would change that file "
                  "too: put a copy in its place, or give --force to have it moved aside",
                  path);
    close(fd);
    return -1;
}

bool dm_place_holds(int fd, const char *path)
{
    struct stat mine, there;
    return fstat(fd, &mine) == 0 && lstat(path, &there) == 0 && mine.st_ino == there.st_ino &&
           mine.st_dev == there.st_dev;
}

/* Never over a file that came there meanwhile; file systems without that kind of rename are looked
 * at before. By the number of the call: C libraries have it by its name only lately. */
static int rename_to_free(const char *from, const char *to)
{
    struct stat s;
    if (syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return errno;
    if (lstat(to, &s) == 0)
        return EEXIST;
    return rename(from, to) == 0 ? 0 : errno;
}

dm_status dm_place_move_aside(const char *path, char aside[PATH_MAX], dm_error *err)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') /* beside a folder, not in it */
        n--;
    for (int i = 1; i < MOST_ASIDE; i++) {
        if (snprintf(aside, PATH_MAX, "%.*s.%d", (int)n, path, i) >= PATH_MAX)
            return dm_fail(err, DM_E_OUTPUT, "%s: the path is too long", path);
        int why = rename_to_free(path, aside);
        if (why == 0)
            return DM_OK;
        if (why != EEXIST && why != ENOTEMPTY)
            return dm_fail(err, DM_E_OUTPUT, "%s cannot be moved to %s: %s", path, aside,
                           strerror(why));
    }
    return dm_fail(err, DM_E_OUTPUT, "%s cannot be moved aside: there are too many old ones", path);
}
