#include "cluster/remains.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fds.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PREFIX       "dspy-mpi."
#define SHARED       "/dev/shm"
#define LOOK_MS      50
#define PATIENCE     5.0 /* s, of the guard: mpirun leaves its ranks 1.9 s */
#define MOST_ENVIRON (8 << 20)
#define CLAIMS       100 /* starts at the same moment that may take a folder for a dead one's */

extern char **environ;

/* ---- processes: those that were started with the run's DM_STATUS_FILE ---- */

static bool has_variable(const char *pid, dm_str wanted)
{
    char path[64];
    dm_buf b;
    snprintf(path, sizeof path, "/proc/%.20s/environ", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    dm_buf_init(&b, MOST_ENVIRON + 65536);
    ssize_t n;
    char bytes[16384];
    dm_buf_char(&b, 0);
    while (b.len < MOST_ENVIRON && (n = read(fd, bytes, sizeof bytes)) > 0)
        dm_buf_add(&b, bytes, (size_t)n);
    close(fd);
    bool has = memmem(b.data, b.len, wanted.p, wanted.n) != NULL;
    dm_buf_free(&b);
    return has;
}

/* How many there are; number: sent to each, 0: nothing. */
static size_t signal_processes(const char *status, int number)
{
    char text[PATH_MAX + 64];
    DIR *d = opendir("/proc");
    size_t n = 0;
    if (!d)
        return 0;
    /* with the ends of the variable on both sides */
    dm_str wanted = {text,
                     1 + (size_t)snprintf(text, sizeof text, "%cDM_STATUS_FILE=%s", 0, status)};
    for (struct dirent *e; (e = readdir(d));) {
        pid_t pid = isdigit((unsigned char)e->d_name[0]) ? (pid_t)strtol(e->d_name, NULL, 10) : 0;
        if (pid <= 1 || pid == getpid() || !has_variable(e->d_name, wanted))
            continue;
        if (number == 0 || kill(pid, number) == 0)
            n++;
    }
    closedir(d);
    return n;
}

static void end_processes(const char *status, double patience)
{
    const struct timespec moment = {0, LOOK_MS * 1000000L};
    double began = dm_now();
    /* A stopped one has its TERM before it, and obeys when it goes on. */
    for (int number = SIGCONT; signal_processes(status, number) > 0; nanosleep(&moment, NULL)) {
        double waited = dm_now() - began;
        number = waited > patience ? SIGKILL : 0;
        if (waited > patience + PATIENCE) /* in the system's hands, where nothing reaches it */
            break;
    }
}

/* ---- files ---- */

static int remove_one(const char *path, const struct stat *s, int kind, struct FTW *at)
{
    (void)s, (void)kind, (void)at;
    (void)!remove(path);
    return 0;
}

static void remove_tree(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* Open MPI's segments of one job: "vader_segment.HOST.UID.JOB.RANK". */
static void remove_segments(const char *job)
{
    char part[64];
    struct stat s;
    DIR *d = opendir(SHARED);
    snprintf(part, sizeof part, ".%lu.%.32s.", (unsigned long)geteuid(), job);
    for (struct dirent *e; d && (e = readdir(d));)
        if ((strncmp(e->d_name, "vader_segment.", 14) == 0 ||
             strncmp(e->d_name, "sm_segment.", 11) == 0) &&
            strstr(e->d_name, part) && fstatat(dirfd(d), e->d_name, &s, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(s.st_mode) && s.st_uid == geteuid())
            (void)unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
}

/* One of MPI's in shared memory by its own name, such as MPICH's "mpich_shm_36b5ca34_0" and that of
 * UCX, "ucx_shm_posix_6eb26b1c": no job is in it, so a rank tells what it has. */
static bool is_segment(const char *name)
{
    static const char *const begins[] = {"mpich_shm_", "ucx_shm_posix_", "Intel_MPI_",
                                         "sm_segment.", "vader_segment."};
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
        if (strncmp(name, begins[i], strlen(begins[i])) == 0)
            return strcspn(name, "/ \n") == strlen(name);
    return false;
}

static void remove_segment(const char *name)
{
    char path[512];
    struct stat s;
    snprintf(path, sizeof path, SHARED "/%.256s", name);
    if (is_segment(name) && lstat(path, &s) == 0 && S_ISREG(s.st_mode) && s.st_uid == geteuid())
        (void)unlink(path);
}

static void remove_shared(const char *status)
{
    char path[PATH_MAX + 16], line[512], last[512] = "";
    snprintf(path, sizeof path, "%s.jobs", status);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, SHARED "/", sizeof SHARED) == 0)
            remove_segment(line + sizeof SHARED);
        else if (*line && strcmp(line, last) != 0) /* each rank says it */
            remove_segments(line);
        snprintf(last, sizeof last, "%s", line);
    }
    if (f)
        fclose(f);
}

static void note(const char *status, const char *text, size_t n)
{
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s.jobs", status);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    (void)!write(fd, text, n);
    close(fd);
}

void dm_run_note_job(void)
{
    const char *status = getenv("DM_STATUS_FILE"), *name = getenv("PMIX_NAMESPACE");
    char line[32], *end;
    unsigned long number = name ? strtoul(name, &end, 10) : 0;
    if (!status || !number || *end || number > 0xffffffffUL)
        return;
    int n = snprintf(line, sizeof line, "%lx\n", number);
    note(status, line, (size_t)n);
}

void dm_run_note_memory(void)
{
    const char *status = getenv("DM_STATUS_FILE");
    char line[PATH_MAX + 128];
    FILE *f = status ? fopen("/proc/self/maps", "re") : NULL;
    while (f && fgets(line, sizeof line, f)) {
        const char *path = strstr(line, " " SHARED "/");
        line[strcspn(line, "\n")] = 0;
        if (!path || !is_segment(path + 1 + sizeof SHARED))
            continue;
        dm_buf b;
        dm_buf_init(&b, PATH_MAX + 128);
        dm_buf_printf(&b, "%s\n", path + 1);
        note(status, b.data, b.len);
        dm_buf_free(&b);
    }
    if (f)
        fclose(f);
}

/* ---- the folder ---- */

static void name_files(dm_run_folder *f)
{
    snprintf(f->status, sizeof f->status, "%s/status", f->path);
    snprintf(f->tmp, sizeof f->tmp, "%s/tmp", f->path);
}

void dm_run_folder_clear(const dm_run_folder *f, double patience)
{
    static const char *const ends[] = {"", ".part", ".alive", ".jobs"};
    char path[PATH_MAX + 32];
    end_processes(f->status, patience);
    remove_shared(f->status);
    remove_tree(f->tmp);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(path, sizeof path, "%s%s", f->status, ends[i]);
        (void)unlink(path);
    }
}

static void owner_of(const dm_run_folder *f, char path[PATH_MAX + 8])
{
    snprintf(path, PATH_MAX + 8, "%s/owner", f->path);
}

static void host_name(char name[256])
{
    memset(name, 0, 256);
    if (gethostname(name, 255) != 0 || !*name)
        snprintf(name, 256, "unknown");
}

/* A folder of ours on this host whose launcher and guard have both been killed. One that was killed
 * before it wrote who owns the folder left it empty, or with an empty owner's file: nobody can tell
 * that from a launcher that is about to write, which therefore looks again (claim). */
static void clear_if_dead(dm_run_folder *f)
{
    char path[PATH_MAX + 8], host[256], text[256] = "";
    struct stat s;
    name_files(f);
    owner_of(f, path);
    if (lstat(f->path, &s) != 0 || !S_ISDIR(s.st_mode) || s.st_uid != geteuid())
        return;
    f->lock = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (f->lock < 0) {
        if (errno == ENOENT)
            (void)rmdir(f->path); /* refused where there is anything in it */
        return;
    }
    host_name(host);
    ssize_t n = read(f->lock, text, sizeof text - 1);
    bool other = n > 0 && strcmp(text, host) != 0;
    if (!other && flock(f->lock, LOCK_EX | LOCK_NB) == 0) {
        n = pread(f->lock, text, sizeof text - 1, 0); /* it may have been written meanwhile */
        if (n > 0 && strcmp(text, host) == 0) {
            dm_run_folder_clear(f, PATIENCE);
            remove_tree(f->path);
        } else if (n == 0 && unlink(path) == 0) {
            (void)rmdir(f->path);
        }
    }
    close(f->lock);
}

static void clear_dead(const char *base)
{
    DIR *d = opendir(base);
    for (struct dirent *e; d && (e = readdir(d));)
        if (strncmp(e->d_name, PREFIX, strlen(PREFIX)) == 0 &&
            strlen(e->d_name) == strlen(PREFIX) + 6) {
            dm_run_folder f = {.guard = -1};
            if (snprintf(f.path, sizeof f.path, "%s/%s", base, e->d_name) < (int)sizeof f.path)
                clear_if_dead(&f);
        }
    if (d)
        closedir(d);
}

/* Writes who owns it. again: another launcher took it for a dead one's, and removed it. */
static dm_status claim(dm_run_folder *f, bool *again, dm_error *err)
{
    char path[PATH_MAX + 8], host[256];
    struct stat s;
    owner_of(f, path);
    host_name(host);
    f->lock = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    *again = f->lock < 0 && errno == ENOENT;
    if (f->lock < 0 && !*again)
        return dm_fail(err, DM_E_OUTPUT, "launch: %s: %s", path, strerror(errno));
    if (*again)
        return DM_OK;
    /* held by another: it judges this very folder. Where there are no locks, none is taken over. */
    *again = flock(f->lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (!*again && write(f->lock, host, strlen(host)) != (ssize_t)strlen(host))
        return dm_fail(err, DM_E_OUTPUT, "launch: %s: %s", path, strerror(errno));
    *again |= fstat(f->lock, &s) == 0 && s.st_nlink == 0;
    if (*again) {
        close(f->lock);
        f->lock = -1;
    }
    return DM_OK;
}

static dm_status make(dm_run_folder *f, dm_error *err)
{
    char base[PATH_MAX];
    const char *wanted = getenv("TMPDIR");
    wanted = wanted && *wanted ? wanted : "/tmp";
    if (!realpath(wanted, base) || strlen(base) + 64 > sizeof base)
        return dm_fail(err, DM_E_OUTPUT, "launch: TMPDIR %s: %s", wanted, strerror(errno));
    clear_dead(base);
    dm_status st = DM_OK;
    bool again = true;
    for (int i = 0; i < CLAIMS && st == DM_OK && again; i++) {
        snprintf(f->path, sizeof f->path, "%.*s/" PREFIX "XXXXXX", PATH_MAX - 64, base);
        if (!mkdtemp(f->path))
            return dm_fail(err, DM_E_OUTPUT, "launch: %s: %s", f->path, strerror(errno));
        name_files(f);
        st = claim(f, &again, err);
    }
    if (st == DM_OK && again)
        return dm_fail(err, DM_E_OUTPUT, "launch: %s: it is removed as soon as it is made",
                       f->path);
    return st;
}

/* ---- the guard ---- */

/* Until the launcher says that all is done, or is no more. */
static void stand_guard(dm_run_folder *f)
{
    char word = 0;
    ssize_t n;
    for (char **e = environ; *e; e++) /* it may hold keys, and nothing here needs it */
        memset(*e, 0, strlen(*e));
    static const int ignored[] = {SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    prctl(PR_SET_NAME, "dspy-mpi guard");
    (void)!chdir("/");
    unsigned low = (unsigned)(f->guard < f->lock ? f->guard : f->lock);
    unsigned high = (unsigned)(f->guard < f->lock ? f->lock : f->guard);
    if (low > 0)
        dm_close_range(0, low - 1);
    dm_close_range(low + 1, high - 1);
    dm_close_range(high + 1, ~0U);
    while ((n = read(f->guard, &word, 1)) < 0 && errno == EINTR)
        ;
    if (n <= 0) {
        dm_run_folder_clear(f, PATIENCE);
        remove_tree(f->path);
    }
    _exit(0);
}

/* Not a child of the launcher: it would end with its session, and mpirun is the only child. */
static bool start_guard(dm_run_folder *f)
{
    int ends[2], status = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return false;
    pid_t pid = fork();
    if (pid == 0) {
        f->guard = ends[1];
        close(ends[0]);
        setsid();
        pid = fork();
        if (pid == 0)
            stand_guard(f);
        _exit(pid < 0);
    }
    close(ends[1]);
    f->guard = ends[0];
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return pid > 0 && status == 0;
}

static void dismiss_guard(dm_run_folder *f)
{
    struct pollfd fd = {f->guard, POLLIN, 0};
    if (f->guard < 0)
        return;
    if (send(f->guard, "q", 1, MSG_NOSIGNAL) == 1)
        poll(&fd, 1, 1000); /* its end */
    close(f->guard);
    f->guard = -1;
}

dm_status dm_run_folder_new(dm_run_folder *f, dm_error *err)
{
    *f = (dm_run_folder){.lock = -1, .guard = -1};
    dm_status st = make(f, err);
    if (st == DM_OK && !start_guard(f))
        st =
            dm_fail(err, DM_E_INTERNAL, "launch: no process to guard the run: %s", strerror(errno));
    if (st != DM_OK)
        dm_run_folder_remove(f);
    return st;
}

void dm_run_folder_remove(dm_run_folder *f)
{
    if (!*f->path)
        return;
    if (*f->status)
        dm_run_folder_clear(f, PATIENCE);
    if (*f->status)
        remove_tree(f->path);
    dismiss_guard(f);
    if (f->lock >= 0)
        close(f->lock);
    *f->path = 0;
}
