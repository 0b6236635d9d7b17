/* One turn of the event loop: what may go out goes, what came in is taken. */
#include "pool/inside.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#define STOP_FILE_SECONDS 0.5

static void tick(dm_pool *p)
{
    double now = p->link->ops->now(p->link);
    if (!p->tick || now - p->last_tick < p->tick_every)
        return;
    p->last_tick = now;
    dm_pool_stats s = dm_pool_stats_of(p);
    p->tick(p->tick_user, &s);
}

/* dspy-mpi stop OUT leaves a file there. */
static void look_for_stop_file(dm_pool *p)
{
    char path[PATH_MAX];
    double now = p->link->ops->now(p->link);
    if (p->stop || !p->setup->journal || !p->setup->out ||
        now - p->looked_for_file < STOP_FILE_SECONDS)
        return;
    p->looked_for_file = now;
    snprintf(path, sizeof path, "%s/stop", p->setup->out);
    if (access(path, F_OK) == 0)
        p->stop = DM_STOP_FILE;
}

void dm_pool_pump(dm_pool *p, double timeout)
{
    int worker;
    dm_str bytes;
    if (!p->stop && p->link->ops->now(p->link) >= p->setup->deadline)
        p->stop = DM_STOP_DEADLINE;
    look_for_stop_file(p);
    if (!p->stop && p->setup->time_cap > 0 && p->link->ops->now(p->link) >= p->setup->time_cap)
        p->stop = DM_STOP_BUDGET;
    dm_release_delayed(p);
    if (dm_schedule_release(p))
        timeout = 0;
    dm_schedule(p);
    p->link->ops->wait(p->link, fmin(timeout, dm_pool_next_due(p)));
    while (p->link->ops->receive(p->link, &worker, &bytes))
        dm_pool_receive(p, worker, bytes);
    while ((worker = p->link->ops->lost(p->link)) >= 0)
        dm_pool_lost(p, worker);
    dm_check_outage(p);
    dm_pool_flush_journal(p); /* before any strand sees what came, or any worker hears of it */
    dm_known_send(p);
    tick(p);
}
