/* How far the run is, for people only: each strand that names a phase has a count of its own. */
#include "pool/inside.h"

#include <math.h>
#include <string.h>

void dm_pool_phase(dm_pool *p, const char *name, size_t units)
{
    dm_strand *s = p->running;
    dm_progress *inherited = s && s->parent ? s->parent->progress : &p->progress;
    dm_progress *g = s ? s->progress : &p->progress;
    if (s && g == inherited) { /* from now on it counts for itself */
        g = s->progress = dm_arena_alloc(p->arena, sizeof *g);
        g->next = p->progress.next;
        p->progress.next = g;
    }
    *g = (dm_progress){.next = g->next,
                       .number = g->number + 1,
                       .phase = dm_arena_printf(p->arena, "%s", name),
                       .total = units};
    while (s && s->parent)
        s = s->parent;
    if (p->trials.news)
        p->trials.news(p->trials.user, s ? s->name : NULL, g->phase, units, NULL);
}

/* A phase whose runs are not known beforehand, or are more than was thought, has those that are
 * done, where others are known. */
static void add_up(const dm_pool *p, dm_pool_stats *s)
{
    double sum = 0;
    size_t n = 0;
    bool known = false;
    for (const dm_progress *g = &p->progress; g; g = g->next)
        known |= g->total > 0;
    for (const dm_progress *g = &p->progress; g; g = g->next) {
        if (g->phase)
            s->phase = g->phase;
        s->done += g->done;
        s->total += known && g->done > g->total ? g->done : g->total;
        sum += g->mean_sum;
        n += g->mean_n;
    }
    s->mean = n ? sum / (double)n : NAN;
}

dm_pool_stats dm_pool_stats_of(const dm_pool *p)
{
    dm_pool_stats s = {.phase = "",
                       .errors = p->n_errors,
                       .first_error = p->first_error,
                       .in_flight = p->n_sent,
                       .usage = p->usage,
                       .judge = p->judge,
                       .cost = NAN,
                       .best = p->has_best ? p->best : NAN,
                       .left = dm_budget_left(p),
                       .ranks = (size_t)p->n_ready,
                       .tried = (const dm_tried_row *const *)p->trials.rows,
                       .n_tried = p->trials.n,
                       .leader = p->has_best ? p->trials.leader : NULL,
                       .spent = p->trials.spent,
                       .n_spent = p->trials.n_spent};
    memcpy(s.faults, p->trials.faults, sizeof s.faults);
    add_up(p, &s);
    for (int m = 0; m < DM_ROLES; m++)
        if (p->models[m].config)
            s.slots += (size_t)p->models[m].config->concurrency;
    const dm_lm_config *task = p->models[p->model_of[DM_TASK]].config;
    if (task && task->price.known)
        s.cost = p->cost;
    return s;
}

void dm_pool_on_tick(dm_pool *p, double seconds, void (*fn)(void *user, const dm_pool_stats *s),
                     void *user)
{
    p->tick = fn;
    p->tick_user = user;
    p->tick_every = seconds;
    p->last_tick = p->link->ops->now(p->link);
}
