#include "cluster/cluster.h"
#include "base/clock.h"
#include "base/log.h"
#include "cluster/transport.h"
#include "pool/inside.h"
#include "pool/worker.h"

#include <math.h>
#include <mpi.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define LEAVE_SECONDS 5 /* for the last messages, and for MPI_Finalize */

static struct {
    dm_transport *transport;
    int rank, size;
    bool dismissed; /* the other ranks were told that it is over */
} here;

bool dm_cluster_is_rank(void)
{
    return getenv("OMPI_COMM_WORLD_SIZE") || getenv("PMIX_RANK") || getenv("PMI_RANK");
}

dm_status dm_cluster_start(int *argc, char ***argv, int *rank, int *size, dm_error *err)
{
    int provided;
    signal(SIGPIPE, SIG_IGN); /* tcp writes to ranks that are gone */
    if (MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS)
        return dm_fail(err, DM_E_INTERNAL, "MPI_Init failed");
    MPI_Comm_rank(MPI_COMM_WORLD, &here.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &here.size);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    *rank = here.rank;
    *size = here.size;
    here.transport = dm_transport_new(here.rank, here.size, err);
    return here.transport ? DM_OK : DM_E_INTERNAL;
}

/* ---- rank 0: the link ---- */

static void link_send(dm_link *l, int worker, dm_buf *msg)
{
    (void)l;
    dm_transport_send(here.transport, worker + 1, msg);
}

static size_t link_pending(dm_link *l, int worker)
{
    (void)l;
    return dm_transport_pending(here.transport, worker + 1);
}

static bool link_receive(dm_link *l, int *worker, dm_str *bytes)
{
    int rank;
    (void)l;
    if (!dm_transport_receive(here.transport, &rank, bytes))
        return false;
    *worker = rank - 1;
    return true;
}

static int link_lost(dm_link *l)
{
    (void)l;
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

dm_pool *dm_cluster_pool_new(const dm_setup *s, dm_error *err)
{
    if (here.size < 2)
        return dm_pool_local_new(s, err);
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
        dm_writer out;
        dm_message_begin(&msg, &out, DM_MSG_BYE, 0);
        dm_transport_send(here.transport, rank, &msg);
    }
    dm_transport_drain(here.transport, LEAVE_SECONDS);
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
    dm_writer out;
    (void)user;
    dm_message_begin(&msg, &out, DM_MSG_LOG, 2);
    dm_write_int(&out, level);
    dm_write_str(&out, dm_str_of(line));
    dm_transport_send(here.transport, 0, &msg);
}

void dm_cluster_worker(void)
{
    dm_worker *w = dm_worker_new((dm_worker_port){to_coordinator, NULL}, NULL);
    dm_wait_fd bell = {.fd = dm_transport_bell(here.transport)};
    bool told = false;
    dm_log_set(send_log, NULL, DM_WARN);
    while (!told) {
        int rank;
        dm_str bytes;
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
    /* MPI_Finalize hangs when a rank is stopped or gone (cluster-notes §7.2): SIGALRM ends that. */
    if (here.rank == 0 && code != 0)
        signal(SIGALRM, SIG_DFL);
    alarm(LEAVE_SECONDS);
    dm_transport_free(here.transport);
    here.transport = NULL;
    MPI_Finalize();
    alarm(0);
}
