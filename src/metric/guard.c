/* The guard of a metric's child: this very program under another name, between a rank and the
 * child.
 *
 * It holds the read end of a pipe whose write end only the rank has. When the rank is gone, however
 * it went (kill -9 too), the pipe ends and the guard kills the child, even one that hangs, and all
 * that came of it. When the child ends, the guard clears away what that left and ends too. Should
 * the guard be killed, the system kills the child.
 *
 * What a child starts may leave its process group and its session, and lose its parent (a daemon).
 * The guard is a subreaper: such a process becomes its own child, and it ends when it has none.
 *
 * It is known by its argv[0] as the first thing of main, in each program that starts metrics: MPI
 * and libcurl are never set up in it. No constructor does it, for musl gives those no arguments. */
#include "metric/guard.h"
#include "base/fds.h"
#include "metric/child.h"
#include "metric/inside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const char dm_guard_name[] = "dspy-mpi-metric";

static int child_ended[2]; /* SIGCHLD writes here, so that poll sees it */

/* What a child could send to its parent: only the rank's end, or KILL, ends the guard. */
static const int unheard[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE};

static void on_child(int number)
{
    int before = errno;
    (void)number;
    (void)!write(child_ended[1], "", 1);
    errno = before;
}

static void say(const char *text)
{
    (void)!write(2, text, strlen(text)); /* shown by the rank */
}

static void run_metric(char **argv)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGCHLD, SIG_DFL);
    for (size_t i = 0; i < sizeof unheard / sizeof *unheard; i++)
        signal(unheard[i], SIG_DFL);
    close(DM_GUARD_LIFE);
    execvp(argv[0], argv);
    int why = errno;
    say("cannot start ");
    say(argv[0]);
    say(": ");
    say(strerror(why));
    say("\n");
    _exit(127);
}

/* Kills the children that are listed in a file of /proc; false: there is none. */
static bool kill_listed(const char *path)
{
    FILE *f = fopen(path, "r");
    char word[24];
    if (!f)
        return false;
    while (fscanf(f, "%23s", word) == 1) {
        pid_t pid = (pid_t)strtol(word, NULL, 10);
        if (pid > 1)
            kill(pid, SIGKILL);
    }
    fclose(f);
    return true;
}

/* The same where the system keeps no such file: by looking at everybody's parent. */
static void kill_by_parent(void)
{
    DIR *d = opendir("/proc");
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[300], text[512];
        snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
        FILE *f = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? fopen(path, "r") : NULL;
        size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
        if (f)
            fclose(f);
        text[n] = 0;
        char *end = strrchr(text, ')'); /* a name may hold anything */
        if (end && strlen(end) > 4 && strtol(end + 4, NULL, 10) == getpid()) /* ") S 123" */
            kill((pid_t)strtol(e->d_name, NULL, 10), SIGKILL);
    }
    if (d)
        closedir(d);
}

/* Each that dies leaves its own children to us; so in the end there are none. */
static void end_all(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    for (;;) {
        if (!kill_listed(path))
            kill_by_parent();
        pid_t got;
        while ((got = waitpid(-1, NULL, WNOHANG)) > 0)
            ;
        if (got < 0 && errno == ECHILD)
            return;
        const struct timespec moment = {0, 200000};
        nanosleep(&moment, NULL);
    }
}

/* Whether the child has ended. Of the others that did nobody else would ask. */
static bool has_ended(pid_t child)
{
    char bytes[256];
    pid_t got;
    bool it = false;
    while (read(child_ended[0], bytes, sizeof bytes) > 0)
        ;
    while ((got = waitpid(-1, NULL, WNOHANG)) > 0)
        it |= got == child;
    return it;
}

/* argv: the metric's own words. */
static void guard(char **argv)
{
    dm_close_range(DM_GUARD_LIFE + 1, ~0U); /* sockets of libcurl and MPI */
    prctl(PR_SET_NAME, dm_guard_name);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (pipe2(child_ended, O_CLOEXEC | O_NONBLOCK) != 0)
        _exit(71);
    signal(SIGCHLD, on_child);
    for (size_t i = 0; i < sizeof unheard / sizeof *unheard; i++)
        signal(unheard[i], SIG_IGN);
    pid_t pid = fork();
    if (pid < 0) {
        say("the metric's program cannot be started: no more processes\n");
        _exit(71);
    }
    if (pid == 0)
        run_metric(argv);
    setpgid(pid, pid); /* whoever comes first */
    for (int i = 0; i < 3; i++)
        close(i); /* the rank sees the child's own ends close */
    struct pollfd wait[2] = {{.fd = DM_GUARD_LIFE}, {.fd = child_ended[0], .events = POLLIN}};
    bool ended = false;
    while (!ended && !(wait[0].revents & (POLLHUP | POLLERR))) {
        wait[0].revents = 0;
        if (poll(wait, 2, -1) > 0 && wait[1].revents)
            ended = has_ended(pid);
    }
    if (!ended)
        kill(-pid, SIGKILL);
    end_all();
    _exit(0);
}

void dm_guard_enter(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[0], dm_guard_name) == 0)
        guard(argv + 1);
}
