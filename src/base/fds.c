#include "base/fds.h"

#include <dirent.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The folder's own descriptor is closed last, by its owner. */
static void close_listed(DIR *d, unsigned low, unsigned high)
{
    const struct dirent *e;
    int own = dirfd(d);
    while ((e = readdir(d))) {
        char *end;
        unsigned long fd = strtoul(e->d_name, &end, 10);
        if (*e->d_name && !*end && fd >= low && fd <= high && (int)fd != own)
            close((int)fd);
    }
}

void dm_close_each(unsigned low, unsigned high)
{
    DIR *d = low <= high ? opendir("/proc/self/fd") : NULL;
    struct rlimit r;
    if (d) {
        close_listed(d, low, high);
        closedir(d);
        return;
    }
    if (low > high || getrlimit(RLIMIT_NOFILE, &r) != 0)
        return;
    for (rlim_t fd = low; fd <= high && fd < r.rlim_max && fd < 1u << 20; fd++)
        close((int)fd);
}

void dm_close_range(unsigned low, unsigned high)
{
    if (low > high)
        return;
#ifdef SYS_close_range
    if (syscall(SYS_close_range, low, high, 0) == 0)
        return;
#endif
    dm_close_each(low, high);
}

size_t dm_fds_allow(size_t wanted)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return SIZE_MAX;
    rlim_t most = r.rlim_max < wanted ? r.rlim_max : wanted, now = r.rlim_cur;
    if (now < most) {
        r.rlim_cur = most;
        now = setrlimit(RLIMIT_NOFILE, &r) == 0 ? most : now;
    }
    return (size_t)now;
}
