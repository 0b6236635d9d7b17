/* Strands are threads with a baton: only the one that holds it runs, the main thread (which alone
 * touches MPI and curl) included. So they share the pool without a race, and a strand is ordinary C
 * with a stack of its own. */
#include "pool/inside.h"
#include "base/log.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STRAND_STACK ((size_t)512 * 1024)

void dm_strands_init(dm_pool *p)
{
    pthread_mutex_init(&p->baton, NULL);
    pthread_cond_init(&p->main_wake, NULL);
    pthread_mutex_lock(&p->baton);
}

/* Called with the baton; returns with it. */
static void give_to_main(dm_pool *p, dm_strand *self)
{
    p->running = NULL;
    pthread_cond_signal(&p->main_wake);
    while (p->running != self)
        pthread_cond_wait(&self->wake, &p->baton);
}

static void *strand_thread(void *arg)
{
    dm_strand *s = arg;
    dm_pool *p = s->pool;
    pthread_mutex_lock(&p->baton);
    while (p->running != s)
        pthread_cond_wait(&s->wake, &p->baton);
    s->status = s->main(p, s->arg, &s->error);
    s->finished = true;
    p->running = NULL;
    pthread_cond_signal(&p->main_wake);
    pthread_mutex_unlock(&p->baton);
    return NULL;
}

static bool can_go_on(const dm_pool *p, const dm_strand *s)
{
    return !s->finished && (p->failed || p->stop || !s->ready || s->ready(p, s->what));
}

static void run_strand(dm_pool *p, dm_strand *s)
{
    s->ready = NULL;
    p->running = s;
    if (!s->started) {
        pthread_attr_t attr;
        s->started = true;
        pthread_attr_init(&attr);
        pthread_attr_setstacksize(&attr, STRAND_STACK);
        sigset_t all, before; /* signals are the main thread's */
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, &before);
        int rc = pthread_create(&s->thread, &attr, strand_thread, s);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&attr);
        if (rc != 0) {
            s->started = false;
            s->finished = true;
            s->status = dm_fail(&s->error, DM_E_INTERNAL, "strand %s: %s", s->name, strerror(rc));
            p->running = NULL;
            return;
        }
    } else {
        pthread_cond_signal(&s->wake);
    }
    while (p->running)
        pthread_cond_wait(&p->main_wake, &p->baton);
}

/* Gives the baton to every strand that can go on; true: there was one. */
static bool run_strands(dm_pool *p)
{
    bool any = false, again = true;
    while (again) {
        again = false;
        for (dm_strand *s = p->strands; s; s = s->next)
            if (can_go_on(p, s)) {
                run_strand(p, s);
                if (s->finished)
                    dm_account_end(s->own);
                any = again = true;
            }
    }
    return any;
}

void dm_wait_until(dm_pool *p, dm_ready *ready, const void *what, bool patient)
{
    dm_strand *self = p->running;
    while (!ready(p, what) && (patient || (!p->failed && !p->stop))) {
        if (self) {
            self->ready = ready;
            self->what = what;
            give_to_main(p, self);
        } else if (!run_strands(p) && !dm_schedule_release(p) && !dm_resume_next(p)) {
            dm_pool_pump(p, INFINITY);
        }
    }
}

dm_strand *dm_strand_start(dm_pool *p, const char *name, dm_strand_main *main, void *arg)
{
    dm_strand *s = dm_arena_alloc(p->arena, sizeof *s), **end = &p->strands;
    dm_strand *parent = p->running;
    s->parent = parent;
    s->pool = p;
    s->main = main;
    s->arg = arg;
    s->own = s->account =
        dm_account_open(p->budget.ledger,
                        parent ? parent->account : dm_ledger_root(p->budget.ledger));
    s->progress = parent ? parent->progress : &p->progress;
    snprintf(s->name, sizeof s->name, "%s", name);
    pthread_cond_init(&s->wake, NULL);
    while (*end)
        end = &(*end)->next;
    *end = s;
    return s;
}

static bool is_finished(const dm_pool *p, const void *what)
{
    (void)p;
    return ((const dm_strand *)what)->finished;
}

dm_status dm_strand_join(dm_pool *p, dm_strand *s, dm_error *err)
{
    dm_wait_until(p, is_finished, s, true);
    if (s->status < 0 && err)
        *err = s->error;
    return s->status;
}

/* Whether all that the same caller started before are in turn, or have ended. */
static bool is_in_turn(const dm_pool *p, const void *what)
{
    const dm_strand *self = what;
    for (const dm_strand *s = p->strands; s != self; s = s->next)
        if (s->parent == self->parent && !s->in_turn && !s->finished)
            return false;
    return true;
}

void dm_strand_take_turn(dm_pool *p)
{
    dm_strand *self = p->running;
    if (dm_ledger_capped(p->budget.ledger))
        dm_wait_until(p, is_in_turn, self, false);
    dm_account_end(self->own);
    self->account = self->parent ? self->parent->account : dm_ledger_root(p->budget.ledger);
    self->in_turn = true;
}

void dm_strands_end(dm_pool *p)
{
    run_strands(p);
    pthread_mutex_unlock(&p->baton);
    for (dm_strand *s = p->strands; s; s = s->next) {
        if (s->started)
            pthread_join(s->thread, NULL);
        pthread_cond_destroy(&s->wake);
    }
    pthread_cond_destroy(&p->main_wake);
    pthread_mutex_destroy(&p->baton);
}
