/* One process: coordinator and worker in one loop, their messages in two queues. */
#include "base/clock.h"
#include "pool/inside.h"
#include "pool/worker.h"

#include <math.h>
#include <stdlib.h>

typedef struct message {
    struct message *next;
    dm_buf bytes;
} message;

typedef struct local_link {
    dm_link link; /* first */
    dm_worker *worker;
    message *first, **end; /* to the coordinator */
    message *current;      /* what receive gave last */
} local_link;

static void message_free(message *m)
{
    if (m)
        dm_buf_free(&m->bytes);
    free(m);
}

static void to_coordinator(void *user, dm_buf *bytes)
{
    local_link *l = user;
    message *m = dm_alloc(sizeof *m);
    m->bytes = *bytes;
    *l->end = m;
    l->end = &m->next;
}

static void to_worker(dm_link *link, int worker, dm_buf *bytes)
{
    local_link *l = (local_link *)link;
    (void)worker;
    dm_worker_receive(l->worker, dm_buf_view(bytes));
    dm_buf_free(bytes);
}

static size_t pending(dm_link *link, int worker)
{
    (void)link;
    (void)worker;
    return 0;
}

static bool receive(dm_link *link, int *worker, dm_str *bytes)
{
    local_link *l = (local_link *)link;
    message_free(l->current);
    l->current = l->first;
    if (!l->current)
        return false;
    l->first = l->current->next;
    if (!l->first)
        l->end = &l->first;
    *worker = 0;
    *bytes = dm_buf_view(&l->current->bytes);
    return true;
}

static int lost(dm_link *link)
{
    (void)link;
    return -1;
}

static void wait_local(dm_link *link, double timeout)
{
    local_link *l = (local_link *)link;
    (void)dm_worker_step(l->worker, NULL, 0, l->first ? 0 : timeout);
}

static double now(dm_link *link)
{
    (void)link;
    return dm_now();
}

static void close_local(dm_link *link)
{
    local_link *l = (local_link *)link;
    message_free(l->current);
    while (l->first) {
        message *m = l->first;
        l->first = m->next;
        message_free(m);
    }
    dm_worker_free(l->worker);
    free(l);
}

static const dm_link_ops ops = {to_worker, pending, receive, lost, wait_local, now, close_local};

dm_pool *dm_pool_local_new(const dm_setup *s, dm_error *err)
{
    local_link *l = dm_alloc(sizeof *l);
    l->link = (dm_link){&ops, 1, true};
    l->end = &l->first;
    l->worker = dm_worker_new((dm_worker_port){.send = to_coordinator, .user = l}, s);
    return dm_pool_new(&l->link, s, err);
}
