#include "cluster/cluster.h"
#include "base/clock.h"
#include "base/log.h"
#include "cluster/launch.h"
#include "cluster/post.h"
#include "cluster/remains.h"
#include "cluster/transport.h"
#include "cluster/watchdog.h"
#include "cluster/world.h"
#include "lm/proxy.h"
#include "pool/link.h"
#include "pool/worker.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NODE_NAME     256
#define LEAVE_SECONDS 5 /* for the last messages, and for MPI_Finalize */
/* Silence after which a worker is lost; one that has not yet said anything (it reads the data); and
 * after which a worker takes the coordinator for lost, which may have work of its own. */
#define LOST_SECONDS  6.0
#define START_SECONDS 120.0
#define LEASE_SECONDS 900.0
#define ALONE_SECONDS 1e6 /* one process has no loop that tells its watchdog that it moves */

static struct {
    const dm_post *post; /* started */
    dm_transport *transport;
    int rank, size;
    bool dismissed; /* the other ranks were told that it is over */
    bool *heard_of; /* [size] a message came from it */
    bool *lost;     /* [size] */
    int n_lost;
} here;

/* Libraries that come with MPI (UCX, PSM2) catch signals as soon as they are loaded. These are
 * ours: keep looks at who has them, restore gives them back. */
static const int our_signals[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ};
#define N_SIGNALS (sizeof our_signals / sizeof *our_signals)

static void keep_signals(struct sigaction kept[N_SIGNALS])
{
    for (size_t i = 0; i < N_SIGNALS; i++)
        sigaction(our_signals[i], NULL, &kept[i]);
}

static void restore_signals(const struct sigaction kept[N_SIGNALS])
{
    for (size_t i = 0; i < N_SIGNALS; i++)
        sigaction(our_signals[i], &kept[i], NULL);
}

static const dm_post *find_table(dm_error *err)
{
    struct sigaction kept[N_SIGNALS];
    keep_signals(kept);
    const dm_post *post = dm_post_find(err);
    restore_signals(kept);
    return post;
}

/* "MPICH Version:      5.0.2", "Open MPI v4.1.4, package: ...": in words. */
static void name_of(const dm_post *post, char *name, size_t room)
{
    static const char word[] = " Version:";
    size_t n = 0;
    char text[256];
    post->library(text, sizeof text);
    text[strcspn(text, ",")] = 0;
    char *extra = strstr(text, word);
    if (extra)
        memmove(extra, extra + sizeof word - 1, strlen(extra + sizeof word - 1) + 1);
    for (const char *p = text; *p && n + 1 < room; p++)
        if (!isspace((unsigned char)*p))
            name[n++] = *p;
        else if (n && name[n - 1] != ' ')
            name[n++] = ' ';
    name[n] = 0;
}

/* Who has the standard ABI has its own ways of starting ranks all the same. */
static bool is_open_mpi(const dm_post *post)
{
    char name[256];
    name_of(post, name, sizeof name);
    return strcmp(post->abi, "openmpi") == 0 || strncmp(name, "Open MPI", 8) == 0;
}

/* Whether our library is one that launchers with PMI start. Where it is loaded, that takes a look;
 * so it is asked for only where PMI is. */
static bool speaks_pmi(void)
{
    const dm_post *post = find_table(NULL);
    return post && !is_open_mpi(post);
}

static dm_world world(void)
{
    int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return dm_world_of(!getenv("PMI_RANK") || !speaks_pmi(), fd >= 0);
}

void dm_cluster_tidy(void)
{
    dm_world_tidy();
}

void dm_cluster_library(char *text, size_t room)
{
    char name[256];
    dm_error err = {DM_OK, ""};
    const dm_post *post = find_table(&err);
    if (!post) {
        snprintf(text, room, "MPI: %s", err.text);
        return;
    }
    name_of(post, name, sizeof name);
    snprintf(text, room, "MPI: %s, table %s %d, library %s", name, post->abi, post->version,
             dm_post_origin());
}

bool dm_cluster_is_rank(void)
{
    return world().joins;
}

long dm_cluster_task(long *size, const char **by)
{
    dm_world w = world();
    *size = w.size;
    *by = w.by;
    return w.rank;
}

bool dm_cluster_has_starter(bool *gone)
{
    dm_starter s = world().starter;
    *gone = s == DM_STARTER_GONE;
    return s == DM_STARTER_THERE;
}

/* ---- launcher and library of two MPIs ---- */

/* One rank speaks for all, which are no ranks to each other; another one that ended with a failure
 * would make mpirun end that one before it has spoken. Where no mpirun is seen there may be no
 * other one. A further attempt would end the same way. */
static dm_status refuse(const dm_world *w, const dm_error *err)
{
    if (w->rank > 0 && w->starter == DM_STARTER_THERE)
        _exit(0);
    dm_launch_report(dm_exit_code(err->status));
    return err->status;
}

static dm_status two_families(const dm_world *w, const dm_post *post, dm_error *err)
{
    char name[256];
    bool open_mpi = getenv("OMPI_COMM_WORLD_SIZE") != NULL;
    name_of(post, name, sizeof name);
    return dm_fail(err, DM_E_INTERNAL,
                   "%s mpirun started %ld of this, but the MPI library here is %s (%s): start it "
                   "with the mpirun of that MPI",
                   open_mpi ? "Open MPI's" : "MPICH's or Intel's", w->size, name, dm_post_origin());
}

/* The variables that say that others were started with this process. */
static const char *by_which(char text[64])
{
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"};
    size_t n = 0;
    *text = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i]))
            n += (size_t)snprintf(text + n, 64 - n, "%s%s", n ? " " : "", names[i]);
    return text;
}

/* MPI would crash on what is left of a launcher. */
static dm_status starter_is_gone(const dm_world *w, dm_error *err)
{
    char names[64];
    return dm_fail(err, DM_E_INTERNAL,
                   "the environment says that this is a rank of several, and %s, which started "
                   "them, has ended or cannot be reached from here: where its variables are left "
                   "over, unset %s",
                   w->by, by_which(names));
}

dm_status dm_cluster_apart(dm_error *err)
{
    dm_world w = world();
    dm_error why = {DM_OK, ""};
    if (!w.apart)
        return DM_OK;
    const dm_post *post = find_table(&why);
    if (w.starter == DM_STARTER_GONE)
        starter_is_gone(&w, &why);
    else if (post)
        two_families(&w, post, &why);
    if (err)
        *err = why;
    return refuse(&w, &why);
}

/* Before MPI starts, where it is plain; it might abort the process. */
static dm_status find_post(const dm_world *w, dm_error *err)
{
    if (w->starter == DM_STARTER_GONE) {
        starter_is_gone(w, err);
        return refuse(w, err);
    }
    here.post = find_table(err);
    if (!here.post)
        return refuse(w, err);
    if (getenv("OMPI_COMM_WORLD_SIZE") && !is_open_mpi(here.post)) {
        two_families(w, here.post, err);
        return refuse(w, err);
    }
    return DM_OK;
}

/* A library that knows nothing of its launcher takes each rank for one that is alone. A step of
 * several parts (srun ... : ...) is told the size of one. */
static dm_status count_ranks(const dm_world *w, dm_error *err)
{
    char name[256];
    bool part = strcmp(w->by, "srun") == 0 && here.size > w->size;
    if (w->size == here.size || w->size == LONG_MAX || part)
        return DM_OK;
    dm_world seen = *w;
    char names[64];
    bool unseen = w->starter == DM_STARTER_UNSEEN;
    alarm(LEAVE_SECONDS);
    here.post->end();
    alarm(0);
    name_of(here.post, name, sizeof name);
    dm_fail(
        err, DM_E_INTERNAL,
        "%s started %ld of this, but the MPI library here, %s (%s), joins %d: start it with the "
        "mpirun of that MPI%s%s",
        w->by, w->size, name, dm_post_origin(), here.size,
        unseen ? ", or, where the variables of an earlier one are left over, unset " : "",
        unseen ? by_which(names) : "");
    if (here.size > 1) { /* MPI knows better */
        seen.rank = here.rank;
        seen.starter = DM_STARTER_THERE;
    }
    return refuse(&seen, err);
}

/* The launcher gave mpirun one of its own, which goes with the run: metrics are to use the user's.
 */
static void restore_temporary_folder(void)
{
    const char *users = getenv("DM_TMPDIR");
    if (users)
        setenv("TMPDIR", users, 1);
    else if (getenv("DM_STATUS_FILE"))
        unsetenv("TMPDIR");
}

/* No proxy is asked for what is on the job's own nodes. */
static void know_nodes(void)
{
    char own[NODE_NAME] = "", *all = dm_alloc_n((size_t)here.size, NODE_NAME);
    gethostname(own, sizeof own - 1);
    if (here.post->gather(own, all, NODE_NAME))
        for (int i = 0; i < here.size; i++)
            if (i == 0 || strcmp(all + i * NODE_NAME, all + (i - 1) * NODE_NAME) != 0)
                dm_proxy_know_node(all + i * NODE_NAME);
    free(all);
}

dm_status dm_cluster_start_alone(dm_error *err)
{
    if (!getenv("DM_STATUS_FILE"))
        return DM_OK;
    dm_status st = dm_watchdog_start(world().rank, err);
    dm_run_note_job();
    restore_temporary_folder();
    dm_watchdog_begun();
    dm_watchdog_expect(ALONE_SECONDS);
    return st;
}

/* MPI runs, and has joined as many as were started. */
static dm_status start_mpi(const dm_world *w, int *argc, char ***argv, dm_error *err)
{
    struct sigaction kept[N_SIGNALS];
    dm_status st = find_post(w, err);
    if (st == DM_OK)
        st = dm_watchdog_start(w->rank, err);
    if (st != DM_OK)
        return st;
    dm_run_note_job();
    signal(SIGPIPE, SIG_IGN); /* tcp writes to ranks that are gone */
    keep_signals(kept);
    bool started = here.post->start(argc, argv, &here.rank, &here.size);
    restore_signals(kept);
    return started ? count_ranks(w, err) : dm_fail(err, DM_E_INTERNAL, "MPI_Init failed");
}

dm_status dm_cluster_start(int *argc, char ***argv, int *rank, int *size, dm_error *err)
{
    dm_world w = world();
    dm_status st = start_mpi(&w, argc, argv, err);
    if (st != DM_OK)
        return st;
    restore_temporary_folder();
    *rank = here.rank;
    *size = here.size;
    here.heard_of = dm_alloc_n((size_t)here.size, sizeof *here.heard_of);
    here.lost = dm_alloc_n((size_t)here.size, sizeof *here.lost);
    if (here.rank > 0) { /* rank 0 ends the run in order; the others serve it until then */
        signal(SIGUSR1, SIG_IGN);
        signal(SIGTERM, SIG_IGN);
        signal(SIGINT, SIG_IGN);
        signal(SIGHUP, SIG_IGN);
    }
    here.transport = dm_transport_new(here.post, here.rank, here.size, err);
    if (!here.transport)
        return DM_E_INTERNAL;
    know_nodes();
    dm_run_note_memory();
    dm_watchdog_begun();
    return DM_OK;
}

/* ---- rank 0: the link ---- */

static void link_send(dm_link *l, int worker, dm_buf *msg)
{
    (void)l;
    dm_watchdog_expect(DM_TURN_SECONDS);
    dm_transport_send(here.transport, worker + 1, msg);
    dm_watchdog_expect(DM_WORK_SECONDS);
}

static size_t link_pending(dm_link *l, int worker)
{
    (void)l;
    return dm_transport_pending(here.transport, worker + 1);
}

static bool link_receive(dm_link *l, int *worker, dm_str *bytes)
{
    int rank;
    bool got;
    (void)l;
    dm_watchdog_expect(DM_TURN_SECONDS);
    do /* what a lost one still says comes too late: its work went to others */
        got = dm_transport_receive(here.transport, &rank, bytes);
    while (got && here.lost[rank]);
    dm_watchdog_expect(DM_WORK_SECONDS);
    if (!got)
        return false;
    here.heard_of[rank] = true;
    *worker = rank - 1;
    return true;
}

static int link_lost(dm_link *l)
{
    (void)l;
    for (int rank = 1; rank < here.size; rank++) {
        double limit = here.heard_of[rank] ? LOST_SECONDS : START_SECONDS;
        if (here.lost[rank] || (dm_transport_heartbeat(here.transport, rank) &&
                                dm_transport_silence(here.transport, rank) <= limit))
            continue;
        here.lost[rank] = true;
        here.n_lost++;
        dm_transport_forget(here.transport, rank);
        return rank - 1;
    }
    return -1;
}

static void link_wait(dm_link *l, double timeout)
{
    struct pollfd fd = {dm_transport_bell(here.transport), POLLIN, 0};
    (void)l;
    poll(&fd, 1, (int)ceil(1000 * fmin(timeout, dm_transport_patience(here.transport))));
    dm_transport_hear(here.transport, fd.revents != 0);
}

static double link_now(dm_link *l)
{
    (void)l;
    return dm_now();
}

static void link_close(dm_link *l)
{
    here.dismissed = true; /* the pool has said it */
    dm_transport_drain(here.transport, LEAVE_SECONDS);
    free(l);
}

static const dm_link_ops link_ops = {link_send, link_pending, link_receive, link_lost,
                                     link_wait, link_now,     link_close};

/* It is slower by some milliseconds a call, and takes some of each core: no reason to end. */
static void say_apart(void)
{
    int one, n = dm_transport_apart(here.transport, &one);
    if (n > 0)
        dm_log(DM_WARN,
               "no UDP between rank 0 and %d of the %d other ranks, for example rank %d (a "
               "firewall?): they and rank 0 poll for messages every 1 to 50 ms instead",
               n, here.size - 1, one);
}

dm_pool *dm_cluster_pool_new(const dm_setup *s, dm_error *err)
{
    if (here.size < 2)
        return dm_pool_local_new(s, err);
    say_apart();
    dm_link *l = dm_alloc(sizeof *l);
    *l = (dm_link){&link_ops, here.size - 1, false};
    return dm_pool_new(l, s, err);
}

void dm_cluster_dismiss(void)
{
    if (here.dismissed)
        return;
    here.dismissed = true;
    for (int rank = 1; rank < here.size; rank++) {
        dm_buf msg;
        dm_wire_put_empty(&msg, DM_MSG_BYE);
        dm_transport_send(here.transport, rank, &msg);
    }
    dm_transport_drain(here.transport, LEAVE_SECONDS);
}

bool dm_cluster_alone(void)
{
    return here.size > 1 && here.n_lost == here.size - 1;
}

/* ---- other ranks ---- */

static void to_coordinator(void *user, dm_buf *msg)
{
    (void)user;
    dm_transport_send(here.transport, 0, msg);
}

static void send_log(void *user, dm_level level, const char *line)
{
    dm_buf msg;
    (void)user;
    dm_wire_put_log(&msg, level, dm_str_of(line));
    dm_transport_send(here.transport, 0, &msg);
}

void dm_cluster_worker(void)
{
    dm_worker *w = dm_worker_new((dm_worker_port){.send = to_coordinator}, NULL);
    dm_wait_fd bell = {.fd = dm_transport_bell(here.transport)};
    bool told = false;
    dm_log_set(send_log, NULL, DM_WARN);
    while (!told) {
        int rank;
        dm_str bytes;
        double silent = dm_transport_silence(here.transport, 0);
        if (silent > LEASE_SECONDS ||
            (!dm_transport_heartbeat(here.transport, 0) && silent > LOST_SECONDS))
            _exit(0); /* the coordinator is gone; what it had is in its journal */
        dm_watchdog_expect(DM_WORK_SECONDS);
        while (dm_transport_receive(here.transport, &rank, &bytes) && !told) {
            dm_worker_receive(w, bytes);
            told = dm_worker_told_to_end(w);
        }
        double patience = dm_transport_patience(here.transport);
        bell.readable = false;
        if (dm_worker_step(w, &bell, 1, patience))
            dm_transport_hear(here.transport, bell.readable);
        else {
            struct pollfd fd = {bell.fd, POLLIN, 0};
            poll(&fd, 1, (int)ceil(1000 * patience));
            dm_transport_hear(here.transport, fd.revents != 0);
        }
    }
    dm_log_set(NULL, NULL, DM_ERROR);
    dm_worker_free(w);
    dm_transport_drain(here.transport, LEAVE_SECONDS);
}

void dm_cluster_end(int code)
{
    /* MPI_Finalize would wait for the lost; under the launcher's recovery nobody needs it. */
    if (here.n_lost || getenv("DM_RECOVERY")) {
        fflush(NULL);
        _exit(code);
    }
    /* MPI_Finalize hangs when a rank is stopped (src/cluster/README.md §7.2): SIGALRM ends that. */
    if (here.rank == 0 && code != 0)
        signal(SIGALRM, SIG_DFL);
    alarm(LEAVE_SECONDS);
    dm_transport_free(here.transport);
    here.transport = NULL;
    here.post->end();
    alarm(0);
}
