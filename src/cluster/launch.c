#include "cluster/launch.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <mpi.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEPT                                                                                       \
    16384 /* bytes of mpirun's own words that are kept for the case that nothing else tells */
#define MAX_WORDS 512
/* s. mpirun may never return by itself (src/cluster/README.md §7.2): ended when the result is there
 * for SETTLE, when rank 0's watchdog has said nothing for SILENT, or nothing at all for BEGIN. */
#define SETTLE     3.0
#define SILENT     12.0
#define BEGIN      180.0
#define KILL_AFTER 5.0
#define RESTARTS   3 /* of a compile, which resumes */

typedef struct launch {
    char program[PATH_MAX], status[PATH_MAX];
    const char *ranks;
    long n, restarts;
    const char *passed[16]; /* [n_passed] options for mpirun itself */
    size_t n_passed;
    const char *const *exported; /* [n_exported] names of variables that every rank needs */
    size_t n_exported;
    char **command; /* NULL-terminated */
    pid_t pid;
    int err;             /* mpirun's stderr */
    bool far;            /* other hosts are named: rank 0 may be there, out of our sight */
    bool in_block;       /* between two lines of dashes: mpirun speaks */
    double over, ending; /* see end_mpirun */
    dm_buf line, kept;
} launch;

static volatile sig_atomic_t asked; /* to stop: how often */

static void on_signal(int number)
{
    (void)number;
    asked++;
}

/* ---- words ---- */

static dm_status read_words(launch *l, int argc, char **argv, dm_error *err)
{
    static const char *const with_value[] = {"--hostfile", "--host", "--map-by", "--mca"};
    for (int i = 0; i < argc; i++) {
        bool pair = i + 1 < argc, known = false;
        if (pair && (strcmp(argv[i], "-n") == 0 || strcmp(argv[i], "-np") == 0)) {
            l->ranks = argv[++i];
            continue;
        }
        if (pair && strcmp(argv[i], "--restarts") == 0) {
            char *rest;
            l->restarts = strtol(argv[++i], &rest, 10);
            if (*rest || rest == argv[i] || l->restarts < 0 || l->restarts > 1000)
                return dm_fail(err, DM_E_USAGE, "launch: --restarts takes a number from 0 to 1000");
            continue;
        }
        for (size_t k = 0; k < 4 && pair && !known; k++)
            known = strcmp(argv[i], with_value[k]) == 0;
        if (known && l->n_passed + 3 < 16) {
            l->far |= strncmp(argv[i], "--host", 6) == 0;
            bool mca = strcmp(argv[i], "--mca") == 0;
            l->passed[l->n_passed++] = argv[i];
            l->passed[l->n_passed++] = argv[++i];
            if (mca && i + 1 < argc)
                l->passed[l->n_passed++] = argv[++i];
            continue;
        }
        if (argv[i][0] == '-')
            return dm_fail(err, DM_E_USAGE, "launch: unknown option %s before the command",
                           argv[i]);
        l->command = argv + i;
        break;
    }
    if ((size_t)argc + 2 * l->n_exported + 32 > MAX_WORDS) /* 32: our own and mpirun's */
        return dm_fail(err, DM_E_USAGE, "launch: over %d words are too many", MAX_WORDS - 32);
    char *end = NULL;
    l->n = l->ranks ? strtol(l->ranks, &end, 10) : 0;
    if (!l->ranks || *end || l->n < 1 || l->n > 1000000)
        return dm_fail(err, DM_E_USAGE,
                       "launch needs a number of ranks: dspy-mpi launch -n 4 compile JOB.json");
    if (!l->command)
        return dm_fail(err, DM_E_USAGE,
                       "launch needs a command: dspy-mpi launch -n 4 compile JOB.json");
    return DM_OK;
}

static dm_status find_program(launch *l, dm_error *err)
{
    ssize_t n = readlink("/proc/self/exe", l->program, sizeof l->program - 1);
    if (n <= 0)
        return dm_fail(err, DM_E_INTERNAL, "launch: /proc/self/exe: %s", strerror(errno));
    l->program[n] = 0;
    /* mpirun with recovery hangs on what cannot be started (src/cluster/README.md §7.3). */
    if (access(l->program, X_OK) != 0)
        return dm_fail(err, DM_E_INTERNAL, "launch: %s: %s", l->program, strerror(errno));
    const char *folder = getenv("TMPDIR");
    snprintf(l->status, sizeof l->status, "%s/dspy-mpi.XXXXXX",
             folder && *folder ? folder : "/tmp");
    int fd = mkstemp(l->status);
    if (fd < 0)
        return dm_fail(err, DM_E_OUTPUT, "launch: %s: %s", l->status, strerror(errno));
    close(fd);
    return DM_OK;
}

static void become_mpirun(const launch *l, int err)
{
    const char *words[MAX_WORDS];
    size_t n = 0;
    words[n++] = "mpirun";
    if (l->n > sysconf(_SC_NPROCESSORS_ONLN) && !getenv("SLURM_JOB_ID"))
        words[n++] = "--oversubscribe";
#ifdef OPEN_MPI /* 4.1 and 5 know it; a dead rank does not end the others */
    words[n++] = "--enable-recovery";
    setenv("OMPI_MCA_orte_allowed_exit_without_sync", "1", 1); /* 4.1; _exit is no failure */
    setenv("DM_RECOVERY", "1", 1);
    for (size_t i = 0; i < l->n_exported; i++)
        if (getenv(l->exported[i])) { /* by name: no value is on a command line */
            words[n++] = "-x";
            words[n++] = l->exported[i];
        }
#endif
    words[n++] = "--bind-to"; /* ranks wait for the network: no core is theirs */
    words[n++] = "none";
    for (size_t i = 0; i < l->n_passed; i++)
        words[n++] = l->passed[i];
    words[n++] = "-n";
    words[n++] = l->ranks;
    words[n++] = l->program;
    for (char **w = l->command; *w && n + 1 < MAX_WORDS; w++)
        words[n++] = *w;
    words[n] = NULL;
    if (isatty(2))
        setenv("DM_TTY", "1", 1);
    if (geteuid() == 0) {
        setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
        setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    }
    setenv("DM_STATUS_FILE", l->status, 1);
    dup2(err, 2);
    setpgid(0, 0); /* signals reach it through us alone */
    execvp("mpirun", (char **)(uintptr_t)words);
    dprintf(2, "mpirun: %s\n", strerror(errno));
    _exit(127);
}

/* ---- mpirun's words ---- */

static bool is_noise(const char *line)
{
    static const char *const words[] = {"Forwarding signal",
                                        "mpirun: Forwarding",
                                        "mpirun noticed",
                                        "mpirun has exited",
                                        "mpirun detected",
                                        "PMIX ERROR",
                                        "btl_tcp_",
                                        "find reachable pairing", /* its end; ranks write at once */
                                        "ORTE_ERROR_LOG",
                                        "more process has sent help message",
                                        "orte_base_help_aggregate",
                                        "[hwloc/"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(line, words[i]))
            return true;
    return false;
}

static void keep(launch *l, const char *line)
{
    if (l->kept.len < KEPT)
        dm_buf_printf(&l->kept, "%s", line);
}

static void pass_line(launch *l)
{
    const char *line = l->line.data ? l->line.data : "";
    if (strncmp(line, "----------", 10) == 0) {
        l->in_block = !l->in_block;
        keep(l, line);
    } else if (l->in_block || is_noise(line)) {
        keep(l, line);
    } else {
        (void)!write(2, line, l->line.len);
    }
    dm_buf_reset(&l->line);
}

static void pass(launch *l, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        dm_buf_char(&l->line, bytes[i]);
        /* A live line ends in "erase the rest" instead of a line end. */
        bool live = l->line.len >= 3 && memcmp(l->line.data + l->line.len - 3, "\033[K", 3) == 0;
        if (bytes[i] == '\n' || live || l->line.len > 65536)
            pass_line(l);
    }
}

/* ---- one attempt ---- */

static bool start(launch *l)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return false;
    l->pid = fork();
    if (l->pid == 0)
        become_mpirun(l, fds[1]);
    close(fds[1]);
    l->err = fds[0];
    return l->pid > 0;
}

/* The first request to stop is gentle: mpirun passes USR1 on to all ranks, and rank 0 ends the run
 * in order. The second ends mpirun, which gives its ranks two seconds. */
static void hand_on_signals(launch *l, int *handed)
{
    while (*handed < asked) {
        ++*handed;
        kill(l->pid, *handed == 1 ? SIGUSR1 : *handed == 2 ? SIGTERM : SIGKILL);
    }
}

/* Since when there is nothing to wait for any more; INFINITY: there is. */
static double over_since(const launch *l, double began, double before)
{
    char alive[PATH_MAX + 8];
    struct stat s;
    double now = dm_now();
    snprintf(alive, sizeof alive, "%s.alive", l->status);
    bool there = stat(alive, &s) == 0;
    bool ended = stat(l->status, &s) == 0 && s.st_size > 0;
    if (ended)
        return isinf(before) ? now : before;
    if (there && stat(alive, &s) == 0 && dm_wall() - (double)s.st_mtime > SILENT)
        return now - SETTLE;
    if (!there && !l->far && now - began > BEGIN)
        return now - SETTLE;
    return INFINITY;
}

/* Ends an mpirun that does not end by itself. */
static void end_mpirun(launch *l, double began)
{
    double now = dm_now();
    if (l->ending == 0) {
        l->over = over_since(l, began, l->over);
        if (now - l->over < SETTLE)
            return;
        l->ending = now;
        kill(l->pid, SIGTERM);
    } else if (now - l->ending > KILL_AFTER) {
        kill(l->pid, SIGKILL);
        l->ending = now;
    }
}

static int attend(launch *l)
{
    char bytes[8192];
    int status = 0, handed = 0;
    double began = dm_now();
    l->over = INFINITY;
    l->ending = 0;
    for (;;) {
        struct pollfd fd = {l->err, POLLIN, 0};
        poll(&fd, 1, 200);
        hand_on_signals(l, &handed);
        end_mpirun(l, began);
        if (l->ending > 0 && waitpid(l->pid, &status, WNOHANG) == l->pid) {
            close(l->err);
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
        if (!fd.revents)
            continue;
        ssize_t n = read(l->err, bytes, sizeof bytes);
        if (n > 0)
            pass(l, bytes, (size_t)n);
        else if (n == 0 || errno != EINTR)
            break;
    }
    if (l->line.len)
        pass_line(l);
    close(l->err);
    while (waitpid(l->pid, &status, 0) < 0 && errno == EINTR)
        hand_on_signals(l, &handed);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool read_status(const launch *l, int *code)
{
    char text[16] = "";
    int fd = open(l->status, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return false;
    *code = (int)strtol(text, NULL, 10);
    return true;
}

static dm_status ended_without_word(const launch *l, int rc, dm_error *err)
{
    dm_str words = dm_buf_view(&l->kept);
    if (rc == 127)
        return dm_fail(err, DM_E_INTERNAL,
                       "launch: mpirun is not there; scripts/install-deps installs Open MPI");
    return dm_fail(err, DM_E_INTERNAL, "the ranks ended without a result (mpirun: exit %d)%s%.*s",
                   rc, words.n ? ":\n" : "", (int)(words.n < 900 ? words.n : 900), words.p);
}

static dm_status run(launch *l, int *code, dm_error *err)
{
    char alive[PATH_MAX + 8];
    snprintf(alive, sizeof alive, "%s.alive", l->status);
    for (long attempt = 0;; attempt++) {
        unlink(alive);
        if (truncate(l->status, 0) != 0 || !start(l))
            return dm_fail(err, DM_E_INTERNAL, "launch: %s", strerror(errno));
        int rc = attend(l);
        unlink(alive);
        if (read_status(l, code))
            return DM_OK;
        if (attempt >= l->restarts || asked || rc == 127)
            return ended_without_word(l, rc, err);
        dprintf(2, "dspy-mpi: the ranks ended without a result; attempt %ld of %ld\n", attempt + 2,
                l->restarts + 1);
    }
}

dm_status dm_launch(int argc, char **argv, const char *const *exported, size_t n_exported,
                    int *code, dm_error *err)
{
    launch l = {.restarts = -1, .exported = exported, .n_exported = n_exported};
    dm_status st = read_words(&l, argc, argv, err);
    if (st == DM_OK)
        st = find_program(&l, err);
    if (st != DM_OK)
        return st;
    struct sigaction a = {.sa_handler = on_signal};
    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    sigaction(SIGUSR1, &a, NULL);
    dm_buf_init(&l.line, 1 << 20);
    dm_buf_init(&l.kept, 2 * KEPT + 65536);
    if (l.restarts < 0)
        l.restarts = strcmp(l.command[0], "compile") == 0 ? RESTARTS : 0;
    st = run(&l, code, err);
    unlink(l.status);
    dm_buf_free(&l.line);
    dm_buf_free(&l.kept);
    return st;
}

void dm_launch_report(int code)
{
    const char *path = getenv("DM_STATUS_FILE");
    char part[PATH_MAX];
    if (!path)
        return;
    snprintf(part, sizeof part, "%s.part", path);
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    bool good = dprintf(fd, "%d\n", code) > 0;
    if (close(fd) == 0 && good)
        (void)!rename(part, path);
}
