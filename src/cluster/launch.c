#include "cluster/launch.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fds.h"
#include "base/mem.h"
#include "base/secret.h"
#include "cluster/hydra.h"
#include "cluster/mpirun.h"
#include "cluster/remains.h"
#include "cluster/watchdog.h"
#include "cluster/words.h"
#include "cluster/world.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_WORDS 512
/* s. mpirun may never return by itself (src/cluster/README.md §7.2): ended when the result is there
 * for SETTLE, when rank 0's watchdog has said nothing for SILENT, or nothing at all for BEGIN
 * (tests shorten it: DM_BEGIN_SECONDS). */
#define SETTLE     3.0
#define SILENT     12.0
#define ASK        20.0 /* for mpirun to say what it is */
#define KILL_AFTER 5.0
#define LEAVE      3.0 /* for what mpirun leaves behind */
#define ROOM       10 /* MiB that mpirun is to find in the temporary folder: Open MPI 4.1 takes 8 */
#define LONGEST    1.0  /* of one turn, in which we may have been stopped ourselves */
#define FILES_MIN  64   /* open files; with fewer mpirun of 4.1 hangs */
#define FILES      4096 /* not all that may be: some MPIs close each number up to the limit */
#define CODE       8    /* bytes of the file with rank 0's exit code, and what it has before */
#define NO_CODE    "       \n"
#define RESTARTS   3 /* of a compile, which resumes */
#define SAME_MS                                                                                    \
    500 /* the system may deliver a signal twice: `timeout` sends it to us and our group */

typedef struct pulse { /* what rank 0's watchdog last wrote, and when by the clock of the file */
    char text[DM_PULSE + 1];
    struct timespec written;
} pulse;

typedef struct launch {
    char program[PATH_MAX];
    dm_mpirun mpirun;
    bool script; /* mpirun is one */
    dm_run_folder folder;
    const char *ranks;
    long n, restarts;
    const char *passed[16]; /* [n_passed] options for mpirun itself */
    size_t n_passed;
    const char *const *exported; /* [n_exported] names of variables that every rank needs */
    size_t n_exported;
    char **command; /* NULL-terminated */
    pid_t pid;
    int err, out;  /* mpirun's stderr and stdout; -1: it has come to its end */
    bool far;      /* other hosts are named: rank 0 may be there, out of our sight */
    bool by_slurm; /* mpirun takes the hosts of SLURM's allocation, and goes there by srun */
    bool waited;   /* mpirun has ended, with this status */
    int wait_status, handed;
    pulse heard;
    /* s, by dm_now but for time in which we were stopped: of the last turn; since the start, since
     * a sign of rank 0, since the result was there and since mpirun was asked to end (-1: not) */
    double last, running, silent, over, ending;
    const char *why; /* it was ended by us */
    dm_words words;
    dm_hydra hydra;
    dm_buf answer; /* of stdout: what is behind the first `answered` bytes is still to be written */
    size_t answered;
    int out_failed; /* errno of writing stdout; 0: it goes well, or the reader has left */
} launch;

static volatile sig_atomic_t asked; /* to stop: how often */
static long long asked_ms;

static void on_signal(int number)
{
    struct timespec t;
    (void)number;
    clock_gettime(CLOCK_MONOTONIC, &t);
    long long ms = t.tv_sec * 1000LL + t.tv_nsec / 1000000;
    if (asked && ms - asked_ms < SAME_MS)
        return;
    asked_ms = ms;
    asked++;
}

void dm_launch_catch_signals(void)
{
    static const int caught[] = {SIGINT, SIGTERM, SIGUSR1, SIGHUP};
    struct sigaction a = {.sa_handler = on_signal}, before;
    sigemptyset(&a.sa_mask);
    for (size_t i = 0; i < sizeof caught / sizeof *caught; i++)
        if (caught[i] != SIGHUP || sigaction(SIGHUP, NULL, &before) != 0 ||
            before.sa_handler != SIG_IGN) /* nohup */
            sigaction(caught[i], &a, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* ---- words ---- */

#define NEEDS(what) "launch needs " what ": dspy-mpi launch -n 4 compile JOB.json"

/* Options with a value, as Open MPI, MPICH and people write them; MPI: handed to mpirun by the
 * first of its names. */
enum { OWN_RANKS, OWN_RESTARTS, MPI_HOSTFILE, MPI_HOST, MPI_MAP_BY, MPI_MCA, N_WITH_VALUE };
static const char *const with_value[N_WITH_VALUE][6] = {{"-n", "-np", "--np"},
                                                        {"--restarts"},
                                                        {"--hostfile", "-hostfile", "--machinefile",
                                                         "-machinefile", "-f"},
                                                        {"--host", "-host", "-H", "--hosts",
                                                         "-hosts"},
                                                        {"--map-by", "-map-by"},
                                                        {"--mca", "-mca"}};

/* Which of them the word is, "NAME" or "NAME=VALUE"; *value: behind the sign, NULL: there is none.
 */
static int option_of(char *word, char **value)
{
    size_t n = strcspn(word, "=");
    *value = word[n] ? word + n + 1 : NULL;
    for (int k = 0; k < N_WITH_VALUE; k++)
        for (size_t i = 0; i < 6 && with_value[k][i]; i++)
            if (strlen(with_value[k][i]) == n && strncmp(word, with_value[k][i], n) == 0)
                return k;
    return -1;
}

static dm_status take_option(launch *l, int k, const char *word, char *value, dm_error *err)
{
    char *rest;
    if (!value || !*value)
        return dm_fail(err, DM_E_USAGE, "launch: %.*s needs a value", (int)strcspn(word, "="),
                       word);
    if (k == OWN_RANKS) {
        l->ranks = value;
        return DM_OK;
    }
    if (k == OWN_RESTARTS) {
        l->restarts = strtol(value, &rest, 10);
        if (*rest || l->restarts < 0 || l->restarts > 1000)
            return dm_fail(err, DM_E_USAGE, "launch: --restarts takes a number from 0 to 1000");
        return DM_OK;
    }
    if (k == MPI_HOSTFILE && access(value, R_OK) != 0)
        return dm_fail(err, DM_E_USAGE, "launch: %s %s: %s", with_value[k][0], value,
                       strerror(errno));
    if (l->n_passed + 3 >= 16)
        return dm_fail(err, DM_E_USAGE, "launch: too many options for mpirun, from %s on", word);
    l->far |= k == MPI_HOSTFILE || k == MPI_HOST;
    l->passed[l->n_passed++] = with_value[k][0];
    l->passed[l->n_passed++] = value;
    return DM_OK;
}

static dm_status read_words(launch *l, int argc, char **argv, dm_error *err)
{
    for (int i = 0; i < argc && !l->command; i++) {
        char *word = argv[i], *value;
        int k = option_of(word, &value);
        if (k < 0 && word[0] == '-')
            return dm_fail(err, DM_E_USAGE, "launch: unknown option %s before the command", word);
        if (k < 0) {
            l->command = argv + i;
            break;
        }
        if (!value && i + 1 < argc)
            value = argv[++i];
        dm_status st = take_option(l, k, word, value, err);
        if (st != DM_OK)
            return st;
        if (k == MPI_MCA && i + 1 < argc)
            l->passed[l->n_passed++] = argv[++i];
    }
    if ((size_t)argc + 2 * l->n_exported + 32 > MAX_WORDS) /* 32: our own and mpirun's */
        return dm_fail(err, DM_E_USAGE, "launch: over %d words are too many", MAX_WORDS - 32);
    char *end = NULL;
    l->n = l->ranks ? strtol(l->ranks, &end, 10) : 0;
    if (!l->ranks || *end || l->n < 1 || l->n > 1000000)
        return dm_fail(err, DM_E_USAGE, NEEDS("a number of ranks"));
    if (!l->command)
        return dm_fail(err, DM_E_USAGE, NEEDS("a command"));
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
    return DM_OK;
}

static dm_status make_room_for_files(dm_error *err)
{
    size_t n = dm_fds_allow(FILES);
    if (n >= FILES_MIN)
        return DM_OK;
    return dm_fail(err, DM_E_INTERNAL,
                   "launch: %zu open files are allowed here, and mpirun needs %d or more: raise "
                   "the limit (ulimit -n)",
                   n, FILES_MIN);
}

/* Its temporary folder is ours, to be removed; ranks on this host get the user's back. */
static void prepare_environment(const launch *l)
{
    const char *folder = getenv("TMPDIR");
    char columns[24];
    snprintf(columns, sizeof columns, "%zu", dm_words_columns());
    unsetenv("DM_TTY"); /* a launcher above this one may have had a terminal */
    unsetenv("DM_TTY_OUT");
    if (l->words.terminal)
        setenv("DM_TTY", columns, 1); /* a rank has none to ask */
    if (isatty(1))
        setenv("DM_TTY_OUT", "1", 1);
    if (geteuid() == 0) {
        setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
        setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    }
    if (folder)
        setenv("DM_TMPDIR", folder, 1);
    else
        unsetenv("DM_TMPDIR");
    setenv("TMPDIR", l->folder.tmp, 1);
    setenv("DM_STATUS_FILE", l->folder.status, 1);
    dm_world_leave(l->by_slurm, l->far);
    dm_mpirun_prepare(l->mpirun, l->by_slurm, l->far);
}

static void become_mpirun(const launch *l, int out, int err, pid_t launcher)
{
    const char *words[MAX_WORDS];
    size_t n = 0;
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* the launcher killed: mpirun ends the ranks */
    if (getppid() != launcher)
        _exit(127);
    prepare_environment(l);
    for (size_t i = 0; i < l->n_exported; i++) {
        const char *key = dm_secret_taken(l->exported[i]); /* here it is in this child alone */
        if (key)
            setenv(l->exported[i], key, 1);
    }
    dm_mpirun_order order = {
        .ranks = l->ranks,
        .oversubscribe = !l->by_slurm && (!l->far || l->n > sysconf(_SC_NPROCESSORS_ONLN)),
        .passed = l->passed,
        .n_passed = l->n_passed,
        .exported = l->exported,
        .n_exported = l->n_exported,
    };
    n = dm_mpirun_words(l->mpirun, &order, words);
    words[n++] = l->program;
    for (char **w = l->command; *w && n + 1 < MAX_WORDS; w++)
        words[n++] = *w;
    words[n] = NULL;
    dup2(out, 1);
    dup2(err, 2);
    signal(SIGPIPE, SIG_DFL);
    setpgid(0, 0);            /* signals reach it through us alone */
    signal(SIGTTIN, SIG_IGN); /* which is the terminal's background: no reason to stop */
    signal(SIGTTOU, SIG_IGN);
    if (l->script) { /* it stays until what it runs, which has handlers, has ended */
        signal(SIGUSR1, SIG_IGN);
        signal(SIGTERM, SIG_IGN);
    }
    execvp("mpirun", (char **)(uintptr_t)words);
    dprintf(2, "mpirun: %s\n", strerror(errno)); /* shown by the launcher */
    _exit(127);
}

/* ---- SLURM ---- */

static void look_at_slurm(launch *l)
{
    char text[256];
    long hosts;
    l->by_slurm = dm_world_by_slurm(&hosts);
    if (hosts < 2 || l->by_slurm || l->far)
        return;
    snprintf(text, sizeof text,
             "dspy-mpi: SLURM gave %ld hosts, and srun is not in PATH here: all ranks run on this "
             "one; launch outside the container, or name hosts: --hostfile\n",
             hosts);
    dm_words_say(&l->words, dm_str_of(text));
}

/* ---- one attempt ---- */

static void alive_of(const launch *l, char path[PATH_MAX + 16])
{
    snprintf(path, PATH_MAX + 16, "%s.alive", l->folder.status);
}

/* mpirun's ranks crash, or hang, where its files have no room; errno says why there is none. */
static bool has_room(const launch *l)
{
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/room", l->folder.tmp);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int why = fd < 0 ? errno : posix_fallocate(fd, 0, ROOM << 20);
    if (fd >= 0)
        close(fd);
    (void)unlink(path);
    errno = why;
    return why == 0 || why == EOPNOTSUPP || why == EINVAL;
}

static bool make_file(const char *path, const char *text, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool good = fd >= 0 && write(fd, text, n) == (ssize_t)n;
    if (fd >= 0)
        close(fd);
    return good;
}

/* The files have their room from here on: a disk that fills up does not silence rank 0. */
static bool prepare_files(const launch *l)
{
    char path[PATH_MAX + 16];
    if (mkdir(l->folder.tmp, 0700) != 0 || !has_room(l))
        return false;
    alive_of(l, path);
    if (!make_file(path, DM_PULSE_NONE, DM_PULSE))
        return false;
    snprintf(path, sizeof path, "%s.part", l->folder.status);
    return make_file(path, NO_CODE, CODE);
}

static bool start(launch *l)
{
    int err[2], out[2];
    if (!prepare_files(l) || pipe2(err, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
        return false; /* and the launcher ends */
    pid_t launcher = getpid();
    l->pid = fork();
    if (l->pid == 0)
        become_mpirun(l, out[1], err[1], launcher);
    close(out[1]);
    close(err[1]);
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    fcntl(err[0], F_SETFL, O_NONBLOCK);
    l->out = out[0];
    l->err = err[0];
    l->last = dm_now();
    l->running = l->silent = 0;
    l->over = l->ending = -1;
    l->handed = 0;
    l->why = NULL;
    l->waited = false;
    l->heard = (pulse){.text = DM_PULSE_NONE};
    dm_hydra_free(&l->hydra); /* of the attempt before, whose last words may be missing */
    dm_hydra_init(&l->hydra);
    return l->pid > 0;
}

/* Of a script what it runs is meant, which is in its group; ranks are in none of mpirun's. */
static void signal_mpirun(const launch *l, int number)
{
    kill(l->script ? -l->pid : l->pid, number);
}

/* A stopped one gets no signal but KILL before it goes on. */
static void ask_to_end(launch *l)
{
    signal_mpirun(l, SIGTERM);
    signal_mpirun(l, SIGCONT);
    l->ending = 0;
}

/* The first request to stop is gentle: mpirun passes USR1 on to all ranks, and rank 0 ends the run
 * in order. The second ends mpirun, which gives its ranks two seconds; so does the first before
 * rank 0 works, when USR1 would end what does not expect it. */
static void hand_on_signals(launch *l)
{
    bool works = l->far || strncmp(l->heard.text, DM_PULSE_WORKS, 8) == 0;
    while (l->handed < asked) {
        l->handed++;
        if (l->handed == 1 && works) {
            signal_mpirun(l, SIGUSR1);
            signal_mpirun(l, SIGCONT);
        } else if (l->handed <= 2) {
            ask_to_end(l);
        } else {
            signal_mpirun(l, SIGKILL);
        }
    }
}

/* Whether rank 0's watchdog has said something new. The time of the file is compared with no clock
 * but its own: the wall clock may be set. */
static bool hear(launch *l)
{
    char path[PATH_MAX + 16];
    pulse p = {.text = ""};
    struct stat s;
    alive_of(l, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : pread(fd, p.text, DM_PULSE, 0);
    bool there = n == DM_PULSE && fstat(fd, &s) == 0;
    if (fd >= 0)
        close(fd);
    if (!there || strcmp(p.text, DM_PULSE_NONE) == 0)
        return false;
    p.written = s.st_mtim;
    bool fresh = strcmp(p.text, l->heard.text) != 0 ||
                 p.written.tv_sec != l->heard.written.tv_sec ||
                 p.written.tv_nsec != l->heard.written.tv_nsec;
    l->heard = p;
    return fresh;
}

static void move_clocks(launch *l)
{
    double now = dm_now(), step = fmin(now - l->last, LONGEST);
    struct stat s;
    l->last = now;
    l->running += step;
    l->silent = hear(l) ? 0 : l->silent + step;
    if (l->over >= 0)
        l->over += step;
    else if (stat(l->folder.status, &s) == 0 && s.st_size > 0)
        l->over = 0;
    if (l->ending >= 0)
        l->ending += step;
}

/* Ends an mpirun that does not end by itself. */
static void end_mpirun(launch *l)
{
    bool begun = strcmp(l->heard.text, DM_PULSE_NONE) != 0;
    if (l->ending >= 0) {
        if (l->ending > KILL_AFTER)
            signal_mpirun(l, SIGKILL);
        return;
    }
    if (l->over < 0 && begun && l->silent > SILENT)
        l->why = "nothing was heard from rank 0 for 12 s";
    else if (l->over < 0 && !begun && !l->far && l->running > dm_watchdog_longest_start())
        l->why = "mpirun started no rank in 3 min";
    else if (l->over < SETTLE)
        return;
    ask_to_end(l);
}

static void read_words_of_mpirun(launch *l)
{
    char bytes[8192];
    for (int i = 0; i < 64 && l->err >= 0; i++) {
        ssize_t n = read(l->err, bytes, sizeof bytes);
        if (n > 0) {
            dm_words_pass(&l->words, bytes, (size_t)n);
        } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
            close(l->err);
            l->err = -1;
        } else if (errno == EAGAIN) {
            return;
        }
    }
}

/* ---- answers: stdout, byte for byte. mpirun would not tell that they could not be written ---- */

static bool has_answer(const launch *l)
{
    return l->answered < l->answer.len;
}

/* Whether something came, or came to its end; what had come before was written. */
static bool read_answers(launch *l)
{
    char bytes[4096];
    ssize_t n = read(l->out, bytes, sizeof bytes);
    bool end = n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN);
    dm_buf_reset(&l->answer);
    l->answered = 0;
    if (n > 0 && l->mpirun == DM_OPEN_MPI)
        dm_buf_add(&l->answer, bytes, (size_t)n);
    else if (n > 0)
        dm_hydra_pass(&l->hydra, bytes, (size_t)n, &l->answer, &l->words.kept);
    if (end) {
        dm_hydra_end(&l->hydra, &l->answer, &l->words.kept);
        close(l->out);
        l->out = -1;
    }
    return n > 0 || end;
}

/* Whether there was something to do; waits for nothing. */
static bool hand_on_answers(launch *l)
{
    bool came = !has_answer(l) && l->out >= 0 && read_answers(l);
    if (!has_answer(l))
        return came;
    struct pollfd fd = {1, POLLOUT, 0};
    if (poll(&fd, 1, 0) <= 0 || !fd.revents)
        return false;
    dm_words_clear(&l->words);                         /* stdout may be the same terminal */
    ssize_t n = write(1, l->answer.data + l->answered, /* shown by rank 0 */
                      l->answer.len - l->answered);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return false;
    if (n < 0 && errno != EPIPE)
        l->out_failed = errno;
    l->answered = n < 0 ? l->answer.len : l->answered + (size_t)n; /* the run itself goes on */
    return true;
}

static void wait_for_words(const launch *l, int ms)
{
    bool full = has_answer(l);
    struct pollfd fds[] = {{l->err, POLLIN, 0},
                           {full ? -1 : l->out, POLLIN, 0},
                           {full ? 1 : -1, POLLOUT, 0}};
    poll(fds, 3, ms);
}

static int attend(launch *l)
{
    while (!l->waited) {
        wait_for_words(l, l->err < 0 && l->out < 0 ? 20 : 200);
        move_clocks(l);
        hand_on_signals(l);
        end_mpirun(l);
        l->waited = waitpid(l->pid, &l->wait_status, WNOHANG) == l->pid;
        read_words_of_mpirun(l);
        for (int i = 0; i < 64 && hand_on_answers(l); i++)
            ;
    }
    /* What it wrote is in the pipe; a reader may be slow, and a second signal waits for none. */
    while (hand_on_answers(l) || (has_answer(l) && asked < 2))
        if (has_answer(l))
            wait_for_words(l, 200);
    dm_words_end(&l->words);
    if (l->out >= 0)
        close(l->out);
    if (l->err >= 0)
        close(l->err); /* somebody else holds its other end: they are ended next */
    return WIFEXITED(l->wait_status) ? WEXITSTATUS(l->wait_status) : 128 + WTERMSIG(l->wait_status);
}

static bool read_status(const launch *l, int *code)
{
    char text[16] = "";
    int fd = open(l->folder.status, O_RDONLY | O_CLOEXEC);
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
    dm_str words = dm_buf_view(&l->words.kept);
    if (asked)
        return dm_fail(
            err, DM_STOP_SIGNAL,
            "stopped before the ranks had a result; the same command resumes from the journal");
    if (l->why)
        return dm_fail(err, DM_E_INTERNAL, "the ranks ended without a result: %s", l->why);
    return dm_fail(err, DM_E_INTERNAL, "the ranks ended without a result (mpirun: exit %d)%s%.*s",
                   rc, words.n ? ":\n" : "", (int)(words.n < 900 ? words.n : 900), words.p);
}

static dm_status not_started(const launch *l, int why, dm_error *err)
{
    if (why == EMFILE || why == ENFILE || why == EAGAIN || why == ENOMEM)
        return dm_fail(err, DM_E_INTERNAL, "launch: %s", strerror(why));
    return dm_fail(err, DM_E_OUTPUT,
                   "launch: %s: %s: mpirun needs %d MB there; set TMPDIR to a folder that has them",
                   l->folder.tmp, strerror(why), ROOM);
}

static dm_status run(launch *l, int *code, dm_error *err)
{
    for (long attempt = 0;; attempt++) {
        if (asked)
            return ended_without_word(l, 0, err);
        if (!start(l))
            return not_started(l, errno, err);
        int rc = attend(l);
        bool told = read_status(l, code);
        dm_run_folder_clear(&l->folder, LEAVE);
        /* A rank that was stopped goes on when mpirun ends it, and says that it was asked to. */
        bool again = !asked && attempt < l->restarts && (!told || (l->why && *code == 75));
        if (told && !again)
            return DM_OK;
        if (!again || rc == 127) /* it cannot be run */
            return ended_without_word(l, rc, err);
        dm_buf line;
        dm_buf_init(&line, 1000);
        dm_buf_printf(&line, "dspy-mpi: the ranks ended without a result%s%s; attempt %ld of %ld\n",
                      l->why ? ": " : "", l->why ? l->why : "", attempt + 2, l->restarts + 1);
        dm_words_say(&l->words, dm_buf_view(&line));
        dm_buf_free(&line);
    }
}

static dm_status make_folder(launch *l, dm_error *err)
{
    dm_status st = dm_run_folder_new(&l->folder, err);
    if (st != DM_E_OUTPUT || !err)
        return st;
    dm_error why = *err;
    return dm_fail(err, st, "%s: a run keeps a folder there, set TMPDIR to one that can be written",
                   why.text);
}

dm_status dm_launch(int argc, char **argv, const char *const *exported, size_t n_exported,
                    int *code, dm_error *err)
{
    launch l = {.restarts = -1, .exported = exported, .n_exported = n_exported, .out = -1};
    dm_status st = read_words(&l, argc, argv, err);
    if (st == DM_OK)
        st = find_program(&l, err);
    if (st == DM_OK)
        st = make_room_for_files(err);
    if (st == DM_OK)
        st = dm_mpirun_find(l.program, fmin(ASK, dm_watchdog_longest_start()), &asked, &l.mpirun,
                            &l.script, err);
    if (st == DM_OK)
        st = dm_mpirun_takes(l.mpirun, l.passed, l.n_passed, err);
    if (st == DM_OK)
        st = make_folder(&l, err);
    if (st != DM_OK)
        return st;
    dm_words_init(&l.words);
    dm_hydra_init(&l.hydra);
    dm_buf_init(&l.answer, 1 << 20); /* at most what is held of a line, and what is read at once */
    look_at_slurm(&l);
    if (l.restarts < 0)
        l.restarts = strcmp(l.command[0], "compile") == 0 ? RESTARTS : 0;
    st = run(&l, code, err);
    if (st == DM_OK && *code == 0 && l.out_failed)
        st = dm_fail(err, DM_E_OUTPUT, "standard output cannot be written: %s",
                     strerror(l.out_failed));
    dm_run_folder_remove(&l.folder);
    dm_words_free(&l.words);
    dm_hydra_free(&l.hydra);
    dm_buf_free(&l.answer);
    return st;
}

void dm_launch_report(int code)
{
    const char *path = getenv("DM_STATUS_FILE");
    char part[PATH_MAX];
    if (!path)
        return;
    snprintf(part, sizeof part, "%s.part", path);
    int fd = open(part, O_WRONLY | O_CREAT | O_CLOEXEC, 0600); /* it has its room already */
    if (fd < 0)
        return;
    bool good = dprintf(fd, "%-*d\n", CODE - 1, code) > 0;
    if (close(fd) == 0 && good)
        (void)!rename(part, path);
}
