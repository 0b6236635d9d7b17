/* What comes in: answers, results, the other messages of workers, and the loss of a worker. */
#include "pool/inside.h"
#include "base/log.h"

#include <math.h>

static void take_answer(dm_pool *p, int worker, const dm_wire_item *it)
{
    uint32_t number = (uint32_t)it->task;
    dm_cell *c = p->cells[number];
    const dm_answer *a = &it->answer;
    uint32_t key = dm_key_of(p, c, c->state, &it->key);
    bool now = c->out && c->asks == key + 1 && c->worker == worker &&
               it->task == dm_task_of(number, c) && !p->peers[worker].lost;
    if (!a->final) {
        if (now)
            dm_known_open(p, number, key, a);
        return;
    }
    bool taken = dm_known_answered(p, number, key, a, now);
    if (now)
        c->asks = 0;
    if (!taken)
        return;
    dm_answer_came(p, c);
    if (a->usage.answers > 0)
        dm_prefix_answered(p, c, it->predictor);
    if (a->usage.answers > 0 || (dm_is_refusal(a->fault) && a->fault != DM_FAULT_DENIED))
        dm_doubt_answered(p, c, p->keys[key].tries, &a->usage);
}

/* Whether the worker is the one that has the cell now; if so, its place is free again. */
static bool came_from(dm_pool *p, dm_cell *c, int worker)
{
    if (!c->out || c->worker != worker || p->peers[worker].lost)
        return false;
    dm_schedule_left(p, c);
    return true;
}

/* asked: it made the last call itself. */
static void end_cell(dm_pool *p, uint32_t number, dm_str bytes, const dm_ended *e,
                     const dm_paid *paid, bool asked)
{
    dm_cell *c = p->cells[number];
    dm_fault fault = e->r->fault;
    bool denied = fault == DM_FAULT_DENIED;
    if (fault != DM_FAULT_TRANSPORT && fault != DM_FAULT_SERVER && !denied)
        dm_answer_came(p, c);
    if (e->usage.answers > 0 || (asked && dm_is_refusal(fault) && !denied))
        dm_doubt_answered(p, c, e->key == DM_NO_KEY ? NULL : p->keys[e->key].tries,
                          e->key == DM_NO_KEY ? &e->usage : &e->call);
    if (e->key != DM_NO_KEY && asked)
        dm_known_refused(p, number, e);
    dm_schedule_done(p, number, bytes, e->r, paid);
}

/* Whether the steps are those of the cell's program. */
static bool steps_fit(const dm_pool *p, const dm_cell *c, const dm_result *r)
{
    const dm_program *program = p->states[c->state].work.candidate->program;
    size_t n = program->n;
    bool fit = program->python || r->n_steps <= n; /* which may ask a predictor several times */
    for (size_t i = 0; i < r->n_steps && fit; i++)
        fit = r->steps[i].predictor < n;
    return fit;
}

/* Faults that a call ends with, and no answer. */
static bool is_of_call(dm_fault f)
{
    return f != DM_FAULT_NONE && f != DM_FAULT_PARSE && f != DM_FAULT_PROGRAM &&
           f != DM_FAULT_METRIC;
}

/* A run has ended: is its cell done, or does it go out again, or is the run over? asked: it made
 * the last call itself. */
static void judge(dm_pool *p, uint32_t number, dm_str bytes, const dm_ended *e, const dm_paid *paid,
                  bool asked)
{
    dm_cell *c = p->cells[number];
    dm_model *m = &p->models[p->states[c->state].model];
    const char *error = e->r->error ? e->r->error : "";
    dm_fault fault = e->r->fault;
    dm_usage u = e->usage;
    dm_usage_add(&u, &e->call);
    if (e->key != DM_NO_KEY && !asked &&
        p->keys[e->key].phase == DM_KEY_KNOWN) { /* what stands against another's call */
        end_cell(p, number, bytes, e, paid, false);
    } else if (fault == DM_FAULT_ENDPOINT) {
        dm_pool_fail(p, DM_E_MODEL, "%s", error);
    } else if (fault == DM_FAULT_DENIED && dm_model_denies_all(p, number, error)) {
        ;
    } else if (fault == DM_FAULT_TRANSPORT && !dm_may_ask_again(p, c, &u)) {
        dm_pool_fail(p, DM_E_MODEL, "%s", error);
    } else if (e->now && c->way && c->way->finds_out) {
        dm_found_out(p, number, e);
    } else if (fault == DM_FAULT_SERVER && dm_model_given_up(p, m, &u, error)) {
        ;
    } else if (!dm_goes_back(p, number, e)) {
        end_cell(p, number, bytes, e, paid, asked);
    }
}

/* False: it is no result of that cell. */
static bool take_result(dm_pool *p, int worker, const dm_wire_item *it)
{
    uint32_t number = (uint32_t)it->task;
    dm_result r;
    dm_paid paid;
    dm_cell *c = p->cells[number];
    dm_arena *a = dm_arena_new(960); /* below 1 KiB with its head: malloc keeps such blocks ready */
    bool fits = dm_read_result(it->result, p->setup->failure_score, a, &r, &paid);
    if (fits && dm_leg_is_over(c, it->task)) {
        dm_arena_free(a);
        return true;
    }
    if (!fits || !steps_fit(p, c, &r)) {
        dm_arena_free(a);
        return false;
    }
    bool asked = c->asks || it->usage.requests > 0;
    dm_ended e = {&r, paid.usage, it->usage, DM_NO_KEY, false};
    if (is_of_call(r.fault) && paid.n_keys > 0)
        e.key = dm_key_of(p, c, c->state, &paid.keys[paid.n_keys - 1]);
    e.now = it->task == dm_task_of(number, c) && came_from(p, c, worker);
    dm_model *m = &p->models[p->states[c->state].model];
    if (!(m->formats & DM_FORMATS_ASKED))
        m->formats |= r.formats;
    bool failed =
        r.fault == DM_FAULT_TRANSPORT || r.fault == DM_FAULT_SERVER || r.fault == DM_FAULT_DENIED;
    if (c->phase != DM_CELL_DONE &&
        (e.now || (!failed && !dm_is_judged(p, c)))) /* else late, twice */
        judge(p, number, it->result, &e, &paid, asked);
    if (e.key != DM_NO_KEY)
        dm_known_let_go(p, e.key, worker, it->task);
    dm_arena_free(a);
    return true;
}

static bool take_item(dm_pool *p, int worker, const dm_wire_item *it)
{
    uint32_t number = (uint32_t)it->task;
    if (it->task < 0 || number >= p->n_cells)
        return false;
    switch (it->kind) {
    case DM_ITEM_ANSWER:
        take_answer(p, worker, it);
        return true;
    case DM_ITEM_RESULT:
        return take_result(p, worker, it);
    case DM_ITEM_FIND:
        dm_known_find(p, worker, it->task, it->call, &it->key);
        return true;
    case DM_ITEM_KINDS:
        break;
    }
    return false;
}

static bool take_results(dm_pool *p, int worker, dm_wire_message *m)
{
    dm_reader list;
    dm_wire_item it;
    if (!dm_wire_get_results(m, &list))
        return false;
    while (dm_wire_next_item(&list, &it))
        if (!take_item(p, worker, &it))
            return false;
    return !m->record.bad;
}

static bool take_hello(dm_pool *p, int worker, dm_wire_message *m)
{
    dm_wire_hello hello;
    if (!dm_wire_get_hello(m, &hello))
        return false;
    if (!dm_wire_same_build(hello.build)) {
        dm_pool_fail(p, DM_E_INTERNAL,
                     "rank %d runs %.*s, rank 0 runs %s: the same program has to be on all nodes",
                     worker + 1, DM_STR_ARG(hello.build), DM_BUILD);
    } else if (!p->peers[worker].ready) {
        dm_log(DM_DEBUG, "worker %d is on %.*s", worker, DM_STR_ARG(hello.host));
        p->peers[worker].ready = true;
        p->n_ready++;
        p->slots_stale = true;
        dm_servers_greet(p, worker);
    }
    return true;
}

static bool take_failed(dm_pool *p, dm_wire_message *m)
{
    dm_wire_failed failed;
    if (!dm_wire_get_failed(m, &failed))
        return false;
    dm_pool_fail(p, failed.status, "%.*s", DM_STR_ARG(failed.text));
    return true;
}

static bool take_log(dm_wire_message *m)
{
    dm_wire_log log;
    if (!dm_wire_get_log(m, &log))
        return false;
    dm_log(log.level, "%.*s", DM_STR_ARG(log.line));
    return true;
}

static bool take_failing(dm_pool *p, dm_wire_message *m)
{
    dm_role role;
    if (!dm_wire_get_failing(m, &role))
        return false;
    p->models[p->model_of[role]].failing = true;
    return true;
}

static bool take_message(dm_pool *p, int worker, dm_wire_message *m)
{
    switch (m->type) {
    case DM_MSG_HELLO:
        return take_hello(p, worker, m);
    case DM_MSG_RESULTS:
        return take_results(p, worker, m);
    case DM_MSG_FAILED:
        return take_failed(p, m);
    case DM_MSG_LOG:
        return take_log(m);
    case DM_MSG_FAILING:
        return take_failing(p, m);
    case DM_MSG_DRAIN:
        p->peers[worker].drained = true;
        return true;
    case DM_MSG_SLOW:
        return dm_servers_slow(p, worker, m);
    case DM_MSG_LIMITS:
        return dm_servers_limits(p, worker, m);
    case DM_MSG_TALLY:
        return dm_servers_tally(p, m);
    case DM_MSG_SETUP:
    case DM_MSG_SHARD:
    case DM_MSG_SLOTS:
    case DM_MSG_BYE:
    case DM_MSG_FOUND:
    case DM_MSG_PACE:
    case DM_MESSAGE_TYPES:
        break;
    }
    return false;
}

void dm_pool_receive(dm_pool *p, int worker, dm_str bytes)
{
    dm_wire_message m;
    if (!dm_wire_open(&m, bytes) || !take_message(p, worker, &m))
        dm_pool_fail(p, DM_E_INTERNAL, "worker %d sent a message that cannot be read (%zu bytes)",
                     worker, bytes.n);
    dm_wire_close(&m);
}

/* What a lost worker had goes back to the front of nothing: to the end of the queue, with the
 * answers that came. Its results count if they come after all. */
void dm_pool_lost(dm_pool *p, int worker)
{
    static const dm_usage nothing;
    dm_peer *peer = &p->peers[worker];
    if (peer->lost)
        return;
    for (size_t i = 0; i < p->n_cells; i++) {
        dm_cell *c = p->cells[i];
        bool sent = c->asks || (c->way && c->way->finds_out); /* it may have */
        if (!came_from(p, c, worker) || c->phase == DM_CELL_DONE)
            continue;
        dm_schedule_again(p, (uint32_t)i, sent ? NULL : &nothing, 0);
    }
    peer->lost = true;
    p->n_ready -= peer->ready;
    dm_known_lost(p, worker);
    dm_log(DM_WARN, "worker %d is lost; its work goes to others", worker);
    if (p->n_ready == 0)
        dm_pool_fail(p, DM_E_INTERNAL, "all workers are lost");
    else
        p->slots_stale = true;
}

void dm_check_outage(dm_pool *p)
{
    double now = p->link->ops->now(p->link);
    for (int m = 0; m < DM_ROLES && !p->stop; m++) {
        const dm_model *model = &p->models[m];
        bool held = model->kept && model->phase != DM_MODEL_GOOD && dm_model_queued(model) > 0;
        bool waits =
            held || model->in_flight > 0 || model->asks || dm_queue_length(&model->delayed) > 0;
        if (!model->config || !waits || !model->failing ||
            now - model->last_answer <=
                model->config->outage + (model->phase == DM_MODEL_GOOD ? 0 : model->config->wait))
            continue;
        if (model->phase != DM_MODEL_GOOD && !model->kept) {
            dm_pool_fail(p, DM_E_MODEL, "%s has not answered for %g s", model->config->model,
                         model->config->outage);
            return;
        }
        dm_log(DM_WARN, "%s has not answered for %g s: stopping", model->config->model,
               model->config->outage);
        p->stop = DM_STOP_OUTAGE;
    }
}
