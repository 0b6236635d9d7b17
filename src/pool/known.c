/* Equal requests are made once in a run (src/README.md §4). A worker asks by key before it calls a
 * model: it is told the answer, or that the call is its own to make, or it waits for one that is
 * under way. An answer is on its way to the disk before anybody is told (turn.c). What failed
 * belongs to the request, whoever made it: what stands is told to all who wait; else they go out
 * again as its tries allow. */
#include "pool/inside.h"

#include <math.h>
#include <stdlib.h>

#define MOST_TOLD (DM_MAX_MESSAGE / 4)

/* ---- who is told what ---- */

static void send_found(dm_pool *p, int worker)
{
    dm_peer *peer = &p->peers[worker];
    dm_buf msg;
    if (peer->found.n == 0)
        return;
    dm_wire_put_found(&msg, &peer->found);
    p->link->ops->send(p->link, worker, &msg);
}

/* Many may wait for a long answer: what is over a message goes ahead, once it is in the journal. */
static void tell(dm_pool *p, int worker, const dm_wire_found *f)
{
    dm_peer *peer = &p->peers[worker];
    if (peer->lost || p->failed)
        return;
    if (peer->found.bytes.len + f->answer.content.n > MOST_TOLD) {
        dm_pool_flush_journal(p);
        if (p->failed)
            return;
        send_found(p, worker);
    }
    dm_wire_add_found(&peer->found, f);
}

static void tell_answer(dm_pool *p, dm_cell *c, const dm_asker *w, const dm_answer *a)
{
    c->answered |= a->fault == DM_FAULT_NONE;
    tell(p, w->worker, &(dm_wire_found){w->task, w->call, DM_FOUND_ANSWER, 0, *a});
}

/* The cell whose run waits there still; NULL: none does. */
static dm_cell *waiting(const dm_pool *p, const dm_asker *w)
{
    uint32_t number = (uint32_t)w->task;
    dm_cell *c = p->cells[number];
    bool waits = c->parked && c->worker == w->worker && w->task == dm_task_of(number, c) &&
                 !p->peers[w->worker].lost;
    return waits ? c : NULL;
}

/* The call is the task's own to make. */
static void let_ask(dm_pool *p, uint32_t key, dm_asked *asked, const dm_asker *w)
{
    const dm_tries *t = p->keys[key].tries;
    asked->worker = w->worker;
    asked->task = w->task;
    p->cells[(uint32_t)w->task]->asks = key + 1;
    tell(p, w->worker, &(dm_wire_found){w->task, w->call, DM_FOUND_ASK, t ? t->odd : 0, {0}});
}

static void begin_asking(dm_pool *p, uint32_t key, const dm_asker *w)
{
    dm_asked *asked = dm_alloc(sizeof *asked);
    *asked = (dm_asked){.key = key, .at = p->n_asked, .end = &asked->first};
    p->asked = dm_room(p->asked, p->n_asked, &p->cap_asked, sizeof *p->asked);
    p->asked[p->n_asked++] = asked;
    p->keys[key].phase = DM_KEY_ASKED;
    p->keys[key].u.asked = asked;
    let_ask(p, key, asked, w);
}

/* Nobody asks any more. Gives who waited. */
static dm_asker *end_asking(dm_pool *p, uint32_t key)
{
    dm_key *k = &p->keys[key];
    if (k->phase != DM_KEY_ASKED)
        return NULL;
    dm_asked *asked = k->u.asked;
    dm_asker *first = asked->first;
    p->asked[asked->at] = p->asked[--p->n_asked];
    p->asked[asked->at]->at = asked->at;
    free(asked);
    k->phase = DM_KEY_OPEN;
    return first;
}

static void tell_all(dm_pool *p, dm_asker *first, const dm_answer *a)
{
    for (dm_asker *w = first; w; w = w->next) {
        dm_cell *c = waiting(p, w);
        if (!c)
            continue;
        dm_schedule_unpark(p, c);
        tell_answer(p, c, w, a);
    }
}

/* The next of those who wait makes the call; the others go on waiting. */
static void pass_on(dm_pool *p, uint32_t key)
{
    dm_asked *asked = p->keys[key].u.asked;
    for (;;) {
        dm_asker *next = asked->first;
        if (!next) {
            (void)end_asking(p, key);
            return;
        }
        dm_cell *c = waiting(p, next);
        asked->first = next->next;
        if (!asked->first)
            asked->end = &asked->first;
        if (!c)
            continue;
        dm_schedule_unpark(p, c);
        let_ask(p, key, asked, next);
        return;
    }
}

void dm_known_let_go(dm_pool *p, uint32_t key, int worker, int64_t task)
{
    const dm_key *k = &p->keys[key];
    if (k->phase == DM_KEY_ASKED && k->u.asked->worker == worker && k->u.asked->task == task)
        pass_on(p, key);
}

void dm_known_lost(dm_pool *p, int worker)
{
    for (size_t i = p->n_asked; i-- > 0;)
        if (p->asked[i]->worker == worker)
            pass_on(p, p->asked[i]->key);
}

/* ---- a run asks ---- */

static void waits_again(dm_pool *p, uint32_t number, dm_tries *t)
{
    static const dm_usage nothing;
    dm_cell *c = p->cells[number];
    dm_way_of(p, c)->tries = t;
    dm_cell_next_go(c);
    dm_schedule_again(p, number, &nothing, fmax(t->not_before, p->link->ops->now(p->link)));
}

/* A run whose cell is done already, or whose request may not be made now, is dropped. */
static void send_back(dm_pool *p, const dm_asker *w, dm_tries *t)
{
    uint32_t number = (uint32_t)w->task;
    dm_cell *c = p->cells[number];
    tell(p, w->worker, &(dm_wire_found){w->task, w->call, DM_FOUND_BACK, 0, {0}});
    dm_schedule_left(p, c);
    if (c->phase != DM_CELL_DONE)
        waits_again(p, number, t);
}

static void wait_for(dm_pool *p, dm_asked *asked, const dm_asker *asker)
{
    dm_asker *w = dm_arena_alloc(p->arena, sizeof *w);
    dm_cell *c = p->cells[(uint32_t)asker->task];
    if (asked->worker == asker->worker && asked->task == asker->task)
        return; /* the message came twice */
    *w = *asker;
    *asked->end = w;
    asked->end = &w->next;
    dm_schedule_park(p, c);
}

/* False: it is not known. */
static bool tell_known(dm_pool *p, uint32_t key, dm_cell *c, const dm_asker *w)
{
    dm_answer a;
    if (p->keys[key].phase != DM_KEY_KNOWN)
        return false;
    dm_arena *arena = dm_arena_new(4096);
    bool known = dm_key_read(p, key, arena, &a);
    if (known)
        tell_answer(p, c, w, &a);
    dm_arena_free(arena);
    return known;
}

/* Whether the request has failed, and its next go is not due. */
static bool may_not_be_made(const dm_pool *p, const dm_tries *t)
{
    return t && (t->not_before > p->link->ops->now(p->link) || (t->odd > 0 && !t->due));
}

void dm_known_find(dm_pool *p, int worker, int64_t task, uint32_t call, const dm_hash *key)
{
    dm_cell *c = p->cells[(uint32_t)task];
    const dm_asker w = {NULL, worker, task, call};
    if (task != dm_task_of((uint32_t)task, c) || !c->out || c->worker != worker || c->parked ||
        p->peers[worker].lost)
        return; /* late or twice */
    if (c->phase == DM_CELL_DONE) {
        send_back(p, &w, NULL);
        return;
    }
    uint32_t number = dm_key_of(p, c, c->state, key);
    if (p->keys[number].phase == DM_KEY_OPEN)
        dm_key_look_elsewhere(p, c, number);
    dm_key *k = &p->keys[number];
    if (k->phase == DM_KEY_ASKED) {
        wait_for(p, k->u.asked, &w);
    } else if (tell_known(p, number, c, &w)) {
        ;
    } else if (p->setup->offline) {
        dm_pool_fail(p, DM_E_MODEL,
                     "--offline: the cache does not have an answer that is needed (example %s); "
                     "run without --offline to ask the model",
                     c->example->id);
    } else if (may_not_be_made(p, k->tries)) {
        send_back(p, &w, k->tries);
    } else {
        begin_asking(p, number, &w);
    }
}

/* ---- what came of it ---- */

bool dm_known_answered(dm_pool *p, uint32_t number, uint32_t known, const dm_answer *a, bool now)
{
    dm_cell *c = p->cells[number];
    bool first = p->keys[known].phase != DM_KEY_KNOWN;
    if (!first && !now)
        return false; /* late or twice */
    dm_budget_paid(p, number, p->keys[known].cost, &a->usage, now);
    c->answered |= a->fault == DM_FAULT_NONE;
    if (!first) { /* one that was lost had answered it after all */
        dm_journal_answer(p, c, &p->keys[known].hash, &(dm_answer){.usage = a->usage});
        return true;
    }
    dm_asker *waited = end_asking(p, known);
    dm_key_keep(p, c, known, a);
    dm_key_share(p, c, known, a);
    tell_all(p, waited, a);
    return true;
}

void dm_known_open(dm_pool *p, uint32_t number, uint32_t key, const dm_answer *a)
{
    dm_cell *c = p->cells[number];
    dm_budget_paid(p, number, p->keys[key].cost, &a->usage, true);
    dm_journal_answer(p, c, &p->keys[key].hash, &(dm_answer){.fault = a->fault, .usage = a->usage});
    c->asks = 0;
    dm_known_let_go(p, key, c->worker, dm_task_of(number, c));
}

void dm_known_refused(dm_pool *p, uint32_t number, const dm_ended *e)
{
    const dm_cell *c = p->cells[number];
    dm_key *k = &p->keys[e->key];
    const char *error = e->r->error ? e->r->error : "";
    dm_answer a = {.fault = e->r->fault,
                   .final = true,
                   .content = dm_str_of(error),
                   .usage = e->call};
    dm_budget_paid(p, number, k->cost, &e->call, e->now);
    if (k->phase == DM_KEY_KNOWN) {
        dm_journal_answer(p, c, &k->hash, &(dm_answer){.usage = e->call});
        return;
    }
    dm_asker *waited = end_asking(p, e->key);
    dm_key_keep(p, c, e->key, &a);
    tell_all(p, waited, &a);
}

void dm_known_failed(dm_pool *p, uint32_t number, const dm_ended *e)
{
    dm_key *k = &p->keys[e->key];
    if (e->call.requests > 0) {
        dm_budget_paid(p, number, k->cost, &e->call, e->now);
        dm_journal_answer(p, p->cells[number], &k->hash,
                          &(dm_answer){.fault = e->r->fault, .usage = e->call});
    }
    for (dm_asker *w = end_asking(p, e->key); w; w = w->next) {
        dm_cell *c = waiting(p, w);
        if (!c)
            continue;
        dm_schedule_unpark(p, c);
        send_back(p, w, k->tries);
    }
}

/* ---- sending ---- */

void dm_known_send(dm_pool *p)
{
    for (int w = 0; w < p->link->n_workers && !p->failed; w++)
        send_found(p, w);
    if (p->setup->cache)
        dm_cache_flush(p->setup->cache);
}

void dm_known_free(dm_pool *p)
{
    for (size_t i = 0; i < p->n_asked; i++)
        free(p->asked[i]);
    free(p->asked);
    free(p->keys);
}
