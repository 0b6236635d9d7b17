#include "cluster/watchdog.h"
#include "base/clock.h"
#include "base/fds.h"
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS       200
#define STOP_SECONDS  8.0
#define BEGIN_SECONDS 180.0

static struct page { /* shared by rank and child */
    atomic_uint count, limit_ms, begun;
} * page;

static bool is_stopped(pid_t pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    const char *p = strrchr(text, ')');
    return p && p[1] && (p[2] == 'T' || p[2] == 't');
}

/* In place: a disk that is full takes it, for the launcher made the file. */
static void write_pulse(const char *path, unsigned counter)
{
    char text[64];
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    snprintf(text, sizeof text, "%s %010u\n", page->begun ? DM_PULSE_WORKS : DM_PULSE_START,
             counter);
    if (pwrite(fd, text, DM_PULSE, 0) != DM_PULSE)
        (void)!futimens(fd, NULL);
    close(fd);
}

static void watch(pid_t rank, const char *alive)
{
    unsigned last = page->count, counter = 0, begun = 2;
    double now = dm_now(), moved = now, ran = now, told = 0;
    while (getppid() == rank) {
        now = dm_now();
        if (page->count != last) {
            last = page->count;
            moved = now;
        }
        if (!is_stopped(rank))
            ran = now;
        if (now - moved > page->limit_ms / 1000.0 || now - ran > STOP_SECONDS) {
            kill(rank, SIGKILL);
        } else if (*alive && (now - told >= 1 || begun != page->begun)) {
            begun = page->begun;
            told = now;
            write_pulse(alive, ++counter);
        }
        struct timespec t = {0, LOOK_MS * 1000000L};
        nanosleep(&t, NULL);
    }
    _exit(0);
}

double dm_watchdog_longest_start(void)
{
    const char *text = getenv("DM_BEGIN_SECONDS");
    double seconds = text ? strtod(text, NULL) : 0;
    return seconds > 0 ? seconds : BEGIN_SECONDS;
}

dm_status dm_watchdog_start(long rank, dm_error *err)
{
    char alive[PATH_MAX] = "";
    const char *status = getenv("DM_STATUS_FILE");
    pid_t own = getpid();
    page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        page = NULL;
        return dm_fail(err, DM_E_INTERNAL, "the rank's watchdog: %s", strerror(errno));
    }
    dm_watchdog_expect(dm_watchdog_longest_start());
    if (status && rank == 0)
        snprintf(alive, sizeof alive, "%s.alive", status);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* mpirun gone: this rank too */
    pid_t child = fork();
    if (child < 0)
        return dm_fail(err, DM_E_INTERNAL, "the rank's watchdog: %s", strerror(errno));
    if (child > 0)
        return DM_OK;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dm_secret_wipe_env();     /* the rank takes its keys out of its own */
    signal(SIGUSR1, SIG_IGN); /* mpirun signals the whole group */
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    dm_close_range(0, ~0U); /* else mpirun waits for our copies of its pipes */
    watch(own, alive);
    return DM_OK; /* not reached */
}

void dm_watchdog_begun(void)
{
    if (page)
        page->begun = 1;
    dm_watchdog_expect(DM_WORK_SECONDS);
}

void dm_watchdog_expect(double seconds)
{
    if (!page)
        return;
    page->limit_ms = (unsigned)(1000 * seconds);
    page->count++;
}
