/* A metric's process is a process group of its own under a guard (guard.c), so that it and what it
 * forks end with this process. It gets no key, none of MPI's variables and none of our files. */
#include "metric/child.h"
#include "base/clock.h"
#include "base/secret.h"
#include "metric/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

#define USUAL_PIPE 65536 /* bytes, as the system makes them */
#define GUARD_ENDS 10.0  /* s that a guard has to end all that is under it */

static bool has_prefix(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* No key, and nothing that makes an MPI program believe it is a rank (src/cluster/README.md §6). */
static bool may_pass(const char *variable)
{
    static const char *const refused[] = {"OMPI_", "PMIX_",  "PMI_",     "ORTE_",
                                          "OPAL_", "PRTE_",  "MPIEXEC_", "MPI_LOCAL",
                                          "HYDI_", "HYDRA_", "I_MPI_",   "DM_"};
    size_t name = strcspn(variable, "=");
    if (has_prefix(variable, "OMPI_ALLOW_") || has_prefix(variable, "I_MPI_ROOT="))
        return true;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (has_prefix(variable, refused[i]))
            return false;
    char copy[128];
    snprintf(copy, sizeof copy, "%.*s", (int)(name < 127 ? name : 127), variable);
    if (strstr(copy, "API_KEY") || strstr(copy, "_TOKEN") || strstr(copy, "SECRET"))
        return false;
    return !dm_secret_in(dm_str_of(variable), DM_MASK_LINES);
}

static char **clean_environment(char *folder)
{
    size_t n = 0;
    for (char **e = environ; *e; e++)
        n++;
    char **out = dm_alloc_n(n + 2, sizeof *out), **to = out;
    for (char **e = environ; *e; e++)
        if (may_pass(*e) && !has_prefix(*e, "DSPY_MPI_JOB_DIR="))
            *to++ = *e;
    *to = folder;
    return out;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void dm_child_init(dm_child *c, int epoll, dm_endings *ends)
{
    *c = (dm_child){.in = -1, .out = -1, .err = -1, .life = -1, .epoll = epoll, .ends = ends};
}

/* The guard ends the child and all that came of it as soon as its pipe ends. */
static void end_guard(dm_child *c)
{
    dm_endings *e = c->ends;
    close_fd(&c->life);
    kill(c->pid, SIGCONT); /* the child may have stopped it */
    if (e->n == e->cap) {
        struct dm_ending *list = dm_alloc_n(e->cap = 2 * e->n + 4, sizeof *list);
        if (e->n)
            memcpy(list, e->list, e->n * sizeof *list);
        free(e->list);
        e->list = list;
    }
    e->list[e->n++] = (struct dm_ending){c->pid, dm_now()};
}

/* One that takes too long is killed, and the system then kills its child. */
static bool has_gone(struct dm_ending *g)
{
    pid_t got = waitpid(g->pid, NULL, WNOHANG);
    if (got == g->pid || (got < 0 && errno != EINTR))
        return true;
    if (dm_now() > g->since + GUARD_ENDS)
        kill(g->pid, SIGKILL);
    return false;
}

void dm_endings_clear(dm_endings *e, bool wait)
{
    const struct timespec moment = {0, 500000};
    do {
        size_t left = 0;
        for (size_t i = 0; i < e->n; i++)
            if (!has_gone(&e->list[i]))
                e->list[left++] = e->list[i];
        e->n = left;
        if (left > 0 && wait)
            nanosleep(&moment, NULL);
    } while (e->n > 0 && wait);
    if (wait) {
        free(e->list);
        *e = (dm_endings){.n = 0};
    }
}

void dm_child_end(dm_child *c)
{
    close_fd(&c->in);
    close_fd(&c->out);
    close_fd(&c->err);
    if (c->pid > 0)
        end_guard(c);
    close_fd(&c->life);
    c->pid = 0;
    c->waits = c->narrow = false;
}

static int spawn(pid_t *pid, char **argv, char *folder, int in, int out, int err, int life)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, usual;
    char **env = clean_environment(folder);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in, 0);
    posix_spawn_file_actions_adddup2(&files, out, 1);
    posix_spawn_file_actions_adddup2(&files, err, 2);
    posix_spawn_file_actions_adddup2(&files, life, DM_GUARD_LIFE); /* which closes all others */
    posix_spawnattr_init(&attr);
    sigemptyset(&none);
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    sigaddset(&usual, SIGINT);
    sigaddset(&usual, SIGTERM);
    sigaddset(&usual, SIGUSR1);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &usual);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                        POSIX_SPAWN_SETSIGDEF);
    int rc = posix_spawn(pid, "/proc/self/exe", &files, &attr, argv, env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    free(env);
    return rc;
}

static void watch(const dm_child *c, int fd)
{
    struct epoll_event e = {.events = EPOLLIN};
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    epoll_ctl(c->epoll, EPOLL_CTL_ADD, fd, &e);
}

enum { IN, OUT, ERR, LIFE, N_PIPES };

static void close_pipes(int pipes[][2], int n)
{
    while (n-- > 0) {
        close_fd(&pipes[n][0]);
        close_fd(&pipes[n][1]);
    }
}

static int make_pipes(int pipes[N_PIPES][2], bool by_socket)
{
    for (int i = 0; i < N_PIPES; i++) {
        int rc = i == IN && by_socket ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pipes[i])
                                      : pipe2(pipes[i], O_CLOEXEC);
        if (rc != 0) {
            int why = errno;
            close_pipes(pipes, i);
            return why;
        }
    }
    return 0;
}

/* Our ends are the child's, and the others are closed. */
static void take_pipes(dm_child *c, int pipes[N_PIPES][2])
{
    close_fd(&pipes[IN][0]);
    close_fd(&pipes[OUT][1]);
    close_fd(&pipes[ERR][1]);
    close_fd(&pipes[LIFE][0]);
    c->in = pipes[IN][1];
    c->out = pipes[OUT][0];
    c->err = pipes[ERR][0];
    c->life = pipes[LIFE][1];
    fcntl(c->in, F_SETFL, fcntl(c->in, F_GETFL) | O_NONBLOCK);
    watch(c, c->out);
    watch(c, c->err);
}

int dm_child_start(dm_child *c, char **argv, char *folder)
{
    int pipes[N_PIPES][2], why = make_pipes(pipes, c->by_socket);
    if (why != 0)
        return why;
    int rc =
        spawn(&c->pid, argv, folder, pipes[IN][0], pipes[OUT][1], pipes[ERR][1], pipes[LIFE][0]);
    take_pipes(c, pipes);
    if (rc != 0) {
        c->pid = 0;
        dm_child_end(c);
    }
    return rc;
}

int dm_child_fork(dm_child *c, const dm_child *parent)
{
    int pipes[N_PIPES][2], why = make_pipes(pipes, false);
    if (why != 0)
        return why;
    const int given[N_PIPES] = {pipes[IN][0], pipes[OUT][1], pipes[ERR][1], pipes[LIFE][0]};
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof given)];
    } control = {.bytes = {0}};
    char byte = 'f';
    struct iovec data = {&byte, 1};
    struct msghdr m = {.msg_iov = &data,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    struct cmsghdr *head = CMSG_FIRSTHDR(&m);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof given);
    memcpy(CMSG_DATA(head), given, sizeof given);
    if (sendmsg(parent->in, &m, MSG_NOSIGNAL | MSG_DONTWAIT) != 1) {
        why = errno;
        close_pipes(pipes, N_PIPES);
        return why;
    }
    take_pipes(c, pipes);
    return 0;
}

bool dm_child_has_died(const dm_child *c)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid;
}

/* ---- its stdin ---- */

size_t dm_child_unread(const dm_child *c)
{
    int n = 0;
    return c->in >= 0 && ioctl(c->in, FIONREAD, &n) == 0 && n > 0 ? (size_t)n : 0;
}

/* Once, as soon as there is room: a child that has closed its stdin would wake us for ever. */
static void wait_for_room(dm_child *c)
{
    struct epoll_event e = {.events = EPOLLOUT | EPOLLONESHOT};
    epoll_ctl(c->epoll, c->waits ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->in, &e);
    c->waits = true;
}

ssize_t dm_child_write(dm_child *c, const char *p, size_t n)
{
    size_t done = 0;
    if (c->narrow)
        fcntl(c->in, F_SETPIPE_SZ, USUAL_PIPE);
    c->narrow = false;
    while (c->in >= 0 && done < n) {
        ssize_t got = write(c->in, p + done, n - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno != EAGAIN)
            return -1;
        if (got < 0) {
            wait_for_room(c);
            break;
        }
        done += (size_t)got;
    }
    return (ssize_t)done;
}

/* In a pipe of one page a single byte leaves no room, so that there is room when it was read. */
bool dm_child_nudge(dm_child *c, char byte)
{
    c->narrow = fcntl(c->in, F_SETPIPE_SZ, 1) > 0;
    if (write(c->in, &byte, 1) != 1)
        return false;
    wait_for_room(c);
    return true;
}
