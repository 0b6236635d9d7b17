/* The guard of a metric's child: this very program under another name, between a rank and the
 * child.
 *
 * It holds the read end of a pipe whose write end only the rank has. When the rank is gone, however
 * it went (kill -9 too), the pipe ends and the guard kills the child's process group: the child,
 * even one that hangs, and what it forked. When the child ends, the guard clears away what that
 * left and ends too. Should the guard be killed, the system kills the child.
 *
 * It is known by its argv[0] before main, so that each program that links this room can start it,
 * and MPI and libcurl are never set up in it. */
#include "metric/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

const char dm_guard_name[] = "dspy-mpi-metric";

static int child_ended[2]; /* SIGCHLD writes here, so that poll sees it */

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

/* argv: the metric's own words. */
static void guard(char **argv)
{
    prctl(PR_SET_NAME, dm_guard_name);
    if (pipe2(child_ended, O_CLOEXEC | O_NONBLOCK) != 0)
        _exit(71);
    signal(SIGCHLD, on_child);
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
    while (poll(wait, 2, -1) < 0 && errno == EINTR)
        ;
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    _exit(0);
}

__attribute__((constructor)) static void guard_before_main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[0], dm_guard_name) == 0)
        guard(argv + 1);
}
