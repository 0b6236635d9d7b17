/* What was spent by role and phase, and how long runs took, for people: it decides nothing. */
#include "pool/inside.h"

#include <math.h>
#include <string.h>

/* ---- what was spent ---- */

static const char *phase_of(const dm_pool *p, const dm_cell *c)
{
    const char *name = c && c->waiters ? c->waiters->future->phase_name
                       : p->running    ? p->running->progress->phase
                                       : p->progress.phase;
    return name ? name : "";
}

static dm_spent *spent_of(dm_pool *p, const dm_cell *c, dm_role role)
{
    const char *phase = phase_of(p, c);
    for (size_t i = 0; i < p->trials.n_spent; i++)
        if (p->trials.spent[i].role == (int)role && strcmp(p->trials.spent[i].phase, phase) == 0)
            return &p->trials.spent[i];
    p->trials.spent =
        dm_room(p->trials.spent, p->trials.n_spent, &p->trials.cap_spent, sizeof *p->trials.spent);
    dm_spent *s = &p->trials.spent[p->trials.n_spent++];
    *s = (dm_spent){.role = (int)role, .phase = phase};
    return s;
}

void dm_spent_count(dm_pool *p, const dm_cell *c, dm_role role, const dm_usage *usage, double cost)
{
    dm_spent *s = spent_of(p, c, role);
    dm_usage_add(&s->usage, usage);
    s->cost += cost;
}

void dm_spent_run(dm_pool *p, const dm_cell *c, dm_fault fault)
{
    spent_of(p, c, p->states[c->state].work.role)->runs++;
    p->trials.faults[fault]++;
}

/* ---- how long ---- */

void dm_times_sent(const dm_pool *p, dm_cell *c)
{
    c->sent_at = (float)(p->link->ops->now(p->link) - p->began);
}

void dm_times_left(dm_pool *p, const dm_cell *c)
{
    dm_times *t = &p->peers[c->worker].times;
    double took = fmax(0, p->link->ops->now(p->link) - p->began - (double)c->sent_at);
    double step = took > 1e-3 ? 8 * log2(took * 1e3) : 0;
    t->n[step < DM_TIMES - 1 ? (size_t)step : DM_TIMES - 1]++;
    t->all++;
    t->sum += took;
}

/* The middle of the step in which it lies. */
static double quantile(const dm_times *t, double q)
{
    double want = q * (double)t->all;
    size_t seen = 0;
    for (size_t i = 0; i < DM_TIMES; i++) {
        seen += t->n[i];
        if (t->n[i] && (double)seen >= want)
            return 1e-3 * exp2(((double)i + .5) / 8);
    }
    return NAN;
}

dm_rank_stats *dm_pool_ranks(const dm_pool *p, dm_arena *a, size_t *n)
{
    *n = (size_t)p->link->n_workers;
    dm_rank_stats *r = dm_arena_alloc_n(a, *n, sizeof *r);
    for (size_t i = 0; i < *n; i++) {
        const dm_times *t = &p->peers[i].times;
        r[i] = (dm_rank_stats){.runs = t->all,
                               .busy = t->sum,
                               .half = quantile(t, .5),
                               .most = quantile(t, .95),
                               .nearly_all = quantile(t, .99)};
    }
    return r;
}
