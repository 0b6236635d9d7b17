#include "study/lock.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/place.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BEAT_SECONDS  2
#define STILL_SECONDS 15.0
#define LOOK_MS       250
#define MARK          "dspy-mpi "
#define TEXT          512 /* bytes of the file, padded with spaces: one write replaces all */

typedef struct holder {
    char host[256];
    long pid;
    unsigned long long started; /* the process, in clock ticks since boot */
    uint64_t counter;
} holder;

struct dm_lock {
    int fd;
    char *path;
    holder own;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool ending;
    atomic_bool lost;
};

/* ---- who ---- */

/* State and start time of a process; false: there is none. */
static bool look_at_process(long pid, char *state, unsigned long long *started)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return false;
    text[n] = 0;
    const char *p = strrchr(text, ')'); /* the name may hold anything */
    if (!p || !p[1])
        return false;
    *state = p[2];
    p += 2;
    for (int i = 0; i < 19 && p; i++) /* from field 3 to field 22 */
        p = strchr(p + 1, ' ');
    *started = p ? strtoull(p, NULL, 10) : 0;
    return p != NULL;
}

static bool lives(const holder *h)
{
    char state;
    unsigned long long started;
    return look_at_process(h->pid, &state, &started) && started == h->started && state != 'Z' &&
           state != 'X';
}

static holder this_process(void)
{
    holder h = {.pid = (long)getpid()};
    char state;
    if (gethostname(h.host, sizeof h.host - 1) != 0 || !h.host[0])
        snprintf(h.host, sizeof h.host, "unknown");
    if (!look_at_process(h.pid, &state, &h.started))
        h.started = 0;
    return h;
}

static bool same_process(const holder *a, const holder *b)
{
    return a->pid == b->pid && a->started == b->started && strcmp(a->host, b->host) == 0;
}

/* ---- the file ---- */

/* false: empty, or not written yet: nobody's. */
static bool read_holder(int fd, holder *h)
{
    char text[TEXT + 1];
    ssize_t n = pread(fd, text, TEXT, 0);
    *h = (holder){.pid = 0};
    if (n <= 0)
        return false;
    text[n] = 0;
    if (strncmp(text, MARK, sizeof MARK - 1) != 0)
        return false;
    const char *p = text + sizeof MARK - 1;
    size_t room = strcspn(p, " ");
    char *end;
    if (room == 0 || room >= sizeof h->host)
        return false;
    memcpy(h->host, p, room);
    h->pid = strtol(p + room, &end, 10);
    h->started = strtoull(end, &end, 10);
    h->counter = strtoull(end, &end, 10);
    return h->pid > 0;
}

static bool write_holder(const dm_lock *l)
{
    char text[TEXT + 1];
    int n = snprintf(text, sizeof text, MARK "%s %ld %llu %" PRIu64, l->own.host, l->own.pid,
                     l->own.started, l->own.counter);
    memset(text + n, ' ', (size_t)(TEXT - n));
    text[TEXT - 1] = '\n';
    return pwrite(l->fd, text, TEXT, 0) == TEXT;
}

static void pause_ms(long ms)
{
    struct timespec t = {ms / 1000, (ms % 1000) * 1000000L};
    nanosleep(&t, NULL);
}

static dm_status held(const dm_lock *l, const holder *h, dm_error *err)
{
    if (strcmp(h->host, l->own.host) == 0)
        return dm_fail(err, DM_E_OUTPUT,
                       "%s: process %ld is writing there: one run of a job at a time", l->path,
                       h->pid);
    return dm_fail(err, DM_E_OUTPUT,
                   "%s: process %ld on %s is writing there: one run of a job at a time", l->path,
                   h->pid, h->host);
}

/* Of another host one sees nothing but whether its counter moves. */
static dm_status watch_counter(const dm_lock *l, const holder *first, dm_error *err)
{
    double began = dm_now();
    dm_log(DM_WARN,
           "%s: process %ld on %s was writing there; looking for %.0f s whether it still is",
           l->path, first->pid, first->host, STILL_SECONDS);
    while (dm_now() - began < STILL_SECONDS) {
        holder h;
        pause_ms(LOOK_MS);
        if (dm_asked_to_stop)
            return dm_stopped(err, "waiting for another host's lock");
        if (read_holder(l->fd, &h) && (h.counter != first->counter || !same_process(&h, first)))
            return held(l, &h, err);
    }
    dm_log(DM_WARN, "%s: taken over from process %ld on %s, which has been silent for %.0f s",
           l->path, first->pid, first->host, STILL_SECONDS);
    return DM_OK;
}

/* Empty, or with the beginning of what we write. */
static dm_status check_ours(int fd, const char *path, dm_error *err)
{
    char text[sizeof MARK - 1];
    ssize_t n = pread(fd, text, sizeof text, 0);
    if (n >= 0 && memcmp(text, MARK, (size_t)n) == 0)
        return DM_OK;
    return dm_fail(err, DM_E_OUTPUT,
                   "%s is not a lock of dspy-mpi and is left as it is: " DM_MOVE_IT, path);
}

dm_status dm_lock_look(const char *path, dm_error *err)
{
    dm_status st = dm_place_check(path, err);
    int fd = st == DM_OK ? open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;
    if (fd < 0)
        return st;
    st = check_ours(fd, path, err);
    close(fd);
    return st;
}

#define WATCH_SECONDS 5.0 /* two beats */

dm_lock_state dm_lock_state_of(const char *path)
{
    holder own = this_process(), first, h;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    dm_lock_state state = DM_LOCK_FREE;
    if (fd < 0)
        return state;
    if (read_holder(fd, &first) && strcmp(first.host, own.host) == 0) {
        state = lives(&first) ? DM_LOCK_HELD : DM_LOCK_FREE;
    } else if (first.pid > 0) {
        state = DM_LOCK_UNSURE;
        for (double began = dm_now();
             state == DM_LOCK_UNSURE && dm_now() - began < WATCH_SECONDS && !dm_asked_to_stop;) {
            pause_ms(LOOK_MS);
            if (read_holder(fd, &h) && h.counter != first.counter)
                state = DM_LOCK_HELD;
        }
    }
    close(fd);
    return state;
}

static dm_status lock_file(dm_lock *l, dm_error *err)
{
    for (int i = 0; i < 100; i++) {
        l->fd = dm_place_open(l->path, err);
        if (l->fd < 0 || check_ours(l->fd, l->path, err) != DM_OK)
            return DM_E_OUTPUT;
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        /* Other failures: a file system without locks; what the file says has to do. */
        if (fcntl(l->fd, F_SETLK, &lock) != 0 && (errno == EAGAIN || errno == EACCES)) {
            holder h;
            if (!read_holder(l->fd, &h)) /* it is only just beginning */
                h = (holder){.pid = fcntl(l->fd, F_GETLK, &lock) == 0 ? (long)lock.l_pid : 0};
            if (!h.host[0])
                snprintf(h.host, sizeof h.host, "%s", l->own.host);
            return held(l, &h, err);
        }
        if (dm_place_holds(l->fd, l->path))
            return DM_OK; /* its last holder may have removed it between our opening and locking */
        close(l->fd);
        l->fd = -1;
    }
    return dm_fail(err, DM_E_OUTPUT, "%s: it comes and goes: other runs are using it", l->path);
}

static dm_status take(dm_lock *l, dm_error *err)
{
    holder h;
    dm_status st = lock_file(l, err);
    if (st != DM_OK)
        return st;
    if (read_holder(l->fd, &h) && !same_process(&h, &l->own)) {
        if (strcmp(h.host, l->own.host) != 0)
            st = watch_counter(l, &h, err);
        else if (lives(&h))
            st = held(l, &h, err);
        if (st != DM_OK)
            return st;
    }
    if (!write_holder(l))
        return dm_fail(err, DM_E_OUTPUT, "%s: cannot be written: %s", l->path, strerror(errno));
    return DM_OK;
}

/* ---- the counter ---- */

static void *beat(void *arg)
{
    dm_lock *l = arg;
    pthread_mutex_lock(&l->mutex);
    while (!l->ending) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += BEAT_SECONDS;
        (void)pthread_cond_timedwait(&l->wake, &l->mutex, &until);
        holder h;
        if (l->ending)
            break;
        if (read_holder(l->fd, &h) && !same_process(&h, &l->own)) {
            l->lost = true;
            break;
        }
        l->own.counter++;
        (void)write_holder(l); /* a full disk is the journal's to tell */
    }
    pthread_mutex_unlock(&l->mutex);
    return NULL;
}

static int start_thread(dm_lock *l)
{
    sigset_t all, before; /* signals are the main thread's */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int rc = pthread_create(&l->thread, NULL, beat, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static void release(dm_lock *l, bool remove)
{
    if (remove && !l->lost && l->fd >= 0 && dm_place_holds(l->fd, l->path))
        unlink(l->path);
    if (l->fd >= 0)
        close(l->fd);
    pthread_cond_destroy(&l->wake);
    pthread_mutex_destroy(&l->mutex);
    free(l->path);
    free(l);
}

/* By the clock that nobody sets: set back by a day, it would leave the counter still for a day. */
static void init_wake(dm_lock *l)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&l->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

dm_lock *dm_lock_take(const char *path, dm_error *err)
{
    dm_lock *l = dm_alloc(sizeof *l);
    l->fd = -1;
    l->path = dm_copy_string(path);
    l->own = this_process();
    pthread_mutex_init(&l->mutex, NULL);
    init_wake(l);
    bool taken = take(l, err) == DM_OK;
    int rc = taken ? start_thread(l) : 0;
    if (taken && rc == 0)
        return l;
    if (rc != 0)
        (void)dm_fail(err, DM_E_INTERNAL, "%s: no thread to keep it: %s", path, strerror(rc));
    release(l, taken);
    return NULL;
}

dm_status dm_lock_check(const dm_lock *l, const char *what, dm_error *err)
{
    if (l->lost)
        return dm_fail(err, DM_E_OUTPUT,
                       "%s: another run has taken it over, because this one was silent for too "
                       "long; nothing more is written here",
                       what);
    if (!dm_place_holds(l->fd, l->path))
        return dm_fail(
            err, DM_E_OUTPUT,
            "%s was removed or replaced while the run held it, so that another run could "
            "begin: nothing more is written; start the same command again",
            l->path);
    return DM_OK;
}

void dm_lock_free(dm_lock *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->mutex);
    l->ending = true;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->mutex);
    pthread_join(l->thread, NULL);
    release(l, true);
}
