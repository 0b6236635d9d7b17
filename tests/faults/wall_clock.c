/* Preloaded by launch.sh: a wall clock that is set in mid-run. Its seconds are shifted by the
 * number that stands in the file WALL_SHIFT, read anew each time; the monotonic clock is left
 * alone. And a rank that never comes to MPI_Init: that of the number in HANGING_RANK. And a library
 * that catches SIGHUP when it is loaded, as some of MPI's do: with CATCH_HANGUP. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long shift(void)
{
    char text[32] = "";
    const char *path = getenv("WALL_SHIFT");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return 0;
    (void)!read(fd, text, sizeof text - 1);
    close(fd);
    return atol(text);
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    long rc = syscall(SYS_clock_gettime, id, t);
    if (rc == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        t->tv_sec += shift();
    return (int)rc;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    t->tv_sec = now.tv_sec;
    t->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

__attribute__((constructor)) static void hang(void)
{
    const char *which = getenv("HANGING_RANK"), *rank = getenv("OMPI_COMM_WORLD_RANK");
    while (which && rank && strcmp(which, rank) == 0)
        pause();
}

static void caught(int sig)
{
    _exit(128 + sig);
}

__attribute__((constructor)) static void catch_hangup(void)
{
    if (getenv("CATCH_HANGUP"))
        signal(SIGHUP, caught);
}
