/* Who runs what: cells are released as the ledger says, and go from the queues to workers with free
 * places, in batches. None of it is seen by an optimizer. */
#include "pool/inside.h"
#include "base/log.h"
#include "json/json.h"

#include <math.h>
#include <string.h>

/* Messages under way to one worker: two with work (src/cluster/README.md §7.3), and as many with
 * what it asked for. */
#define MAX_PENDING  4
#define MOST_PARKED  256 /* cells that wait at a worker, beside four for each place */
#define FIND_SENDS   3   /* requests to find out whether it answers */
#define FORMAT_TRIES 6   /* runs that are to find out which formats are taken, and may fail */
#define SHARD_BYTES                                                                                \
    ((size_t)4 << 20) /* more work waits for the next message: rows may be large                   \
                       */

/* ---- the phases of a cell ---- */

/* Not before that time; 0: at once. */
static void queue(dm_pool *p, uint32_t number, double not_before)
{
    dm_cell *c = p->cells[number];
    dm_model *m = &p->models[p->states[c->state].model];
    c->phase = DM_CELL_QUEUED;
    if (not_before > 0)
        dm_way_of(p, c)->not_before = not_before;
    else if (c->way)
        c->way->not_before = 0;
    dm_queue *ready = dm_is_chain(&p->states[c->state].work) ? &m->first : &m->queue;
    dm_queue_push(not_before > 0 ? &m->delayed : ready, number);
}

static void one_more(dm_future *f)
{
    dm_progress *g = f->progress;
    f->n_done++;
    if (f->phase == g->number && !(f->chain && g->total))
        g->done++;
}

/* The futures of the account that wait for the cell. */
static void wake(void *user, uint32_t number, const dm_account *a)
{
    dm_pool *p = user;
    for (dm_waiter **w = &p->cells[number]->waiters; *w;) {
        if ((*w)->future->account != a) {
            w = &(*w)->next;
            continue;
        }
        one_more((*w)->future);
        *w = (*w)->next;
    }
}

void dm_schedule_want(dm_pool *p, dm_future *f, uint32_t number)
{
    dm_cell *c = p->cells[number];
    dm_wanted wanted = dm_account_want(p->budget.ledger, f->account, number);
    if (wanted == DM_WANTED_SETTLED) {
        one_more(f);
        return;
    }
    dm_waiter *w = dm_arena_alloc(p->arena, sizeof *w);
    *w = (dm_waiter){c->waiters, f};
    c->waiters = w;
    if (wanted == DM_WANTED_OUT && c->phase == DM_CELL_IDLE)
        queue(p, number, 0); /* it was dropped when nobody waited for it any more */
}

bool dm_schedule_release(dm_pool *p)
{
    dm_ledger *l = p->budget.ledger;
    dm_amount nothing = {0, 0, 0};
    bool news = false;
    uint32_t number;
    if (p->stop || p->failed)
        return false;
    for (dm_account *a = dm_ledger_root(l); a; a = dm_account_next(a))
        while (dm_account_first(a, &number)) {
            dm_cell *c = p->cells[number];
            bool goes_out = c->phase == DM_CELL_IDLE;
            dm_release r = dm_account_release(l, a, dm_budget_reserve(p, c), goes_out);
            news |= r == DM_CUT_OFF || (r == DM_RELEASED && c->phase == DM_CELL_DONE);
            if (r != DM_RELEASED)
                break;
            if (goes_out)
                queue(p, number, c->way ? c->way->not_before : 0);
            else if (c->phase == DM_CELL_DONE)
                dm_ledger_done(l, number, nothing, wake, p);
        }
    return news;
}

static void count_score(dm_pool *p, const dm_cell *c, const dm_result *r)
{
    dm_progress *g = c->waiters   ? c->waiters->future->progress
                     : p->running ? p->running->progress
                                  : &p->progress;
    p->n_errors += r->fault != DM_FAULT_NONE;
    if (!p->first_error && r->fault != DM_FAULT_NONE && r->error && *r->error)
        p->first_error = dm_arena_printf(p->arena, "%s", r->error);
    dm_spent_run(p, c, r->fault);
    if (r->present && !isnan(r->score) && p->states[c->state].work.scored) {
        g->mean_sum += r->score;
        g->mean_n++;
    }
}

/* It goes out at once, from what is set aside for the cell; where its prompt turned out to be
 * larger than that allows, it waits for a new reserve. */
static void next_leg(dm_pool *p, uint32_t number)
{
    static const dm_usage nothing;
    if (dm_budget_covers_legs(p, number))
        queue(p, number, 0);
    else
        dm_schedule_again(p, number, &nothing, 0);
}

void dm_schedule_done(dm_pool *p, uint32_t number, dm_str bytes, const dm_result *r,
                      const dm_paid *paid)
{
    dm_cell *c = p->cells[number];
    dm_composed all;
    if (c->phase == DM_CELL_DONE)
        return; /* late or twice: results are taken once */
    switch (dm_legs_take(p, number, bytes, r, paid, &all)) {
    case DM_LEG_NEXT:
        next_leg(p, number);
        return;
    case DM_LEG_LAST:
        bytes = all.bytes;
        r = &all.r;
        paid = &all.paid;
        break;
    case DM_LEG_NONE:
        break;
    }
    c->phase = DM_CELL_DONE;
    c->good = r->fault == DM_FAULT_NONE;
    c->replied = r->fault != DM_FAULT_TRANSPORT && r->fault != DM_FAULT_SERVER &&
                 r->fault != DM_FAULT_ENDPOINT && r->fault != DM_FAULT_PROGRAM &&
                 r->fault != DM_FAULT_DENIED;
    if (c->replayed && c->replied)
        p->models[p->states[c->state].model].kept = true;
    c->result = (dm_str){dm_arena_string(p->arena, bytes.p, bytes.n), bytes.n};
    for (size_t i = 0; i < paid->n_keys; i++) {
        bool judged = i + paid->n_judged >= paid->n_keys && p->judging;
        uint32_t key = dm_key_of(p, c, judged ? p->judges[0] : c->state, &paid->keys[i]);
        dm_ledger_uses(p->budget.ledger, number, p->keys[key].cost);
    }
    if (p->setup->journal && !c->replayed)
        dm_journal_cell(p->setup->journal, DM_JOURNAL_RESULT, &c->key, c->result);
    dm_pool_count(p, c, p->states[c->state].work.role, &paid->usage);
    count_score(p, c, r);
    dm_budget_done(p, number, &paid->usage, wake);
    dm_prefix_left(p, number);
    dm_legs_free(c);
}

void dm_schedule_again(dm_pool *p, uint32_t number, const dm_usage *usage, double not_before)
{
    dm_cell *c = p->cells[number];
    dm_budget_again(p, number, usage);
    dm_prefix_left(p, number);
    c->phase = DM_CELL_IDLE;
    if (not_before > 0)
        dm_way_of(p, c)->not_before = not_before;
}

void dm_schedule_take_back(dm_pool *p)
{
    static const dm_usage nothing;
    for (size_t i = 0; i < p->n_cells; i++)
        if (p->cells[i]->phase == DM_CELL_QUEUED)
            dm_schedule_again(p, (uint32_t)i, &nothing, 0);
    for (int m = 0; m < DM_ROLES; m++) {
        dm_queue_free(&p->models[m].first);
        dm_queue_free(&p->models[m].queue);
        p->models[m].first = p->models[m].queue = (dm_queue){0};
    }
}

/* Work that stands in the journal is done; a cell that is not finds its answers there, one by one,
 * when it runs. What it cost beside them is counted either way. */
static void replay_own(dm_pool *p, uint32_t number, const dm_hash *key, dm_role role)
{
    dm_str bytes;
    for (size_t i = 0; (bytes = dm_replay_answer(p->setup->replay, key, i)).p; i++) {
        dm_record rec;
        dm_answer try;
        if (dm_open_answer(&rec, bytes, &try, NULL))
            dm_budget_before_own(p, number, role, &try.usage, dm_replay_place(p->setup->replay));
        dm_record_free(&rec);
    }
}

void dm_schedule_replay(dm_pool *p, uint32_t number)
{
    dm_cell *c = p->cells[number];
    dm_arena *a = dm_arena_new(4096);
    dm_str result = dm_replay_result(p->setup->replay, &c->key);
    dm_hash judged = dm_leg_key(c, true);
    dm_paid paid;
    dm_result r;
    replay_own(p, number, &c->key, p->states[c->state].work.role);
    if (dm_is_judged(p, c))
        replay_own(p, number, &judged, DM_JUDGE);
    if (result.p && dm_read_result(result, p->setup->failure_score, a, &r, &paid)) {
        c->replayed = true;
        p->models[p->states[c->state].model].formats |= r.formats;
        dm_schedule_done(p, number, result, &r, &paid);
    }
    dm_arena_free(a);
}

/* ---- places ---- */

static void send_slots(dm_pool *p, int worker)
{
    dm_buf msg;
    dm_wire_slots slots;
    for (int m = 0; m < DM_ROLES; m++)
        slots.n[m] = (int64_t)p->peers[worker].slots[m];
    dm_wire_put_slots(&msg, &slots);
    p->link->ops->send(p->link, worker, &msg);
}

/* How many ranks a model's places are shared among. A rank's part of rpm goes with its places, and
 * below a request a second there is nothing to be parted. */
static size_t n_sharing(const dm_pool *p, const dm_model *m)
{
    size_t n = (size_t)p->n_ready;
    double rpm = m->config ? dm_servers_rpm(m) : 0;
    if (rpm > 0)
        n = (size_t)fmax(1, fmin((double)n, rpm * (double)m->config->n_base / 60));
    return n;
}

/* A rank whose places become fewer ends what it runs; until then others may not use them all. One
 * without places runs one cell after another (worker.c). */
static void set_over(dm_pool *p, dm_peer *peer, int m, size_t may_run)
{
    size_t least = peer->slots[m] == 0 && peer->in_flight[m] > 0;
    size_t over = may_run > peer->slots[m] ? may_run - peer->slots[m] : 0;
    over = over > least ? over : least;
    p->models[m].over += over - peer->over[m];
    peer->over[m] = over;
}

static size_t may_run(const dm_peer *peer, int m)
{
    size_t most = peer->slots[m] + peer->over[m];
    return peer->in_flight[m] < most ? peer->in_flight[m] : most;
}

static void free_place(dm_pool *p, const dm_cell *c)
{
    int m = p->states[c->state].model;
    dm_peer *peer = &p->peers[c->worker];
    size_t running = may_run(peer, m);
    if (p->models[m].asks_format && p->cells[p->models[m].asks_format - 1] == c)
        p->models[m].asks_format = 0;
    peer->in_flight[m]--;
    set_over(p, peer, m, running > 0 ? running - 1 : 0);
    p->models[m].in_flight--;
}

void dm_schedule_park(dm_pool *p, dm_cell *c)
{
    free_place(p, c);
    p->peers[c->worker].parked[p->states[c->state].model]++;
    c->parked = true;
}

void dm_schedule_unpark(dm_pool *p, dm_cell *c)
{
    int m = p->states[c->state].model;
    p->peers[c->worker].in_flight[m]++;
    p->peers[c->worker].parked[m]--;
    p->models[m].in_flight++;
    c->parked = false;
}

void dm_schedule_left(dm_pool *p, dm_cell *c)
{
    if (c->parked)
        dm_schedule_unpark(p, c);
    free_place(p, c);
    dm_times_left(p, c);
    c->out = false;
    c->asks = 0;
    p->n_sent--;
    dm_model *m = &p->models[p->states[c->state].model];
    if (m->phase == DM_MODEL_PROBED && m->in_flight == 0)
        m->phase = DM_MODEL_UNTRIED; /* unless its answer came, as the caller knows */
}

/* Whether one more at a rank with a free place would be one too many for the job. */
static bool all_taken(const dm_pool *p, int m)
{
    const dm_model *model = &p->models[m];
    size_t n = 0;
    for (int w = 0; w < p->link->n_workers && model->over > 0; w++)
        n += may_run(&p->peers[w], m);
    return model->over > 0 && n >= (size_t)model->config->concurrency;
}

/* A model's concurrency is that of the whole job: each rank that is there gets its part. Ranks come
 * and go in crowds, so the places are shared out once a turn, and only what changed is told. */
static void share_slots(dm_pool *p)
{
    size_t i = 0, sharing[DM_ROLES];
    p->slots_stale = false;
    for (int m = 0; m < DM_ROLES; m++)
        sharing[m] = n_sharing(p, &p->models[m]);
    for (int w = 0; w < p->link->n_workers; w++) {
        dm_peer *peer = &p->peers[w];
        if (!peer->ready || peer->lost)
            continue;
        bool changed = false;
        for (int m = 0; m < DM_ROLES; m++) {
            const dm_lm_config *c = p->models[m].config;
            size_t all = c ? (size_t)c->concurrency : 0, n = sharing[m];
            size_t slots = i < n ? all / n + (i < all % n) : 0;
            size_t running = may_run(peer, m);
            changed |= slots != peer->slots[m];
            peer->slots[m] = slots;
            set_over(p, peer, m, running);
        }
        if (changed)
            send_slots(p, w);
        i++;
    }
}

/* ---- sending ---- */

static void add_state(dm_pool *p, dm_peer *peer, int worker, uint32_t number)
{
    dm_state *s = &p->states[number];
    uint8_t bit = (uint8_t)(1u << (worker & 7));
    if (s->sent[worker >> 3] & bit)
        return;
    s->sent[worker >> 3] |= bit;
    dm_arena *a = dm_arena_new(0);
    const dm_program *program = s->work.candidate->program;
    dm_wire_state m = {.id = number, .work = s->work};
    m.candidate = dm_json_text(a, dm_candidate_pack(a, s->work.candidate), DM_JSON_PYTHON);
    if (program != p->setup->program)
        m.program = dm_json_text(a, dm_program_write(a, program), DM_JSON_PYTHON);
    dm_wire_add_state(&peer->states, &m);
    dm_arena_free(a);
}

/* Whether its run is to find out which formats the model's servers take: the first one's is, unless
 * the journal knows. `run` has one question, and does not probe. */
static bool finds_formats(dm_pool *p, uint32_t number, const dm_cell *witness)
{
    dm_model *m = &p->models[p->states[p->cells[number]->state].model];
    if (witness || m->formats & DM_FORMATS_ASKED || !p->setup->metric || p->setup->host ||
        !dm_lm_asks_format(m->config))
        return false;
    if (m->format_tries++ >= FORMAT_TRIES) {
        m->formats |= DM_FORMATS_ASKED;
        return false;
    }
    m->asks_format = number + 1;
    return true;
}

/* What a worker is to do for the cell: its run or, to find out whether the model answers at all,
 * the first call of another's. */
static void write_task(dm_pool *p, dm_peer *peer, uint32_t number, const dm_cell *witness)
{
    const dm_cell *c = p->cells[number], *runs = witness ? witness : c;
    dm_wire_task t = {.id = dm_task_of(number, c),
                      .state = runs->state,
                      .most = dm_budget_allowance(p, c),
                      .asks_only = witness != NULL,
                      .row = runs->row,
                      .formats = p->models[p->states[runs->state].model].formats,
                      .asks_format = finds_formats(p, number, witness)};
    dm_arena *a = dm_arena_new(1024);
    if (witness) {
        int64_t covered = dm_budget_covers(p, number, witness);
        t.most = covered < FIND_SENDS ? covered : FIND_SENDS;
    }
    if (runs->row < 0)
        t.json = dm_json_text(a, runs->example->row, DM_JSON_PYTHON);
    dm_wire_add_task(&peer->tasks, &t);
    dm_arena_free(a);
}

static void add_task(dm_pool *p, int worker, uint32_t number, const dm_cell *witness)
{
    dm_peer *peer = &p->peers[worker];
    dm_cell *c = p->cells[number];
    add_state(p, peer, worker, witness ? witness->state : c->state);
    write_task(p, peer, number, witness);
    if (c->way)
        c->way->finds_out = witness != NULL;
    dm_budget_sent(p, number);
    c->phase = DM_CELL_SENT;
    c->out = true;
    c->worker = worker;
    dm_times_sent(p, c);
    int m = p->states[c->state].model;
    peer->in_flight[m]++;
    if (p->models[m].in_flight++ == 0 && dm_queue_length(&p->models[m].delayed) == 0 &&
        dm_leg_tries(c) == 0 && p->models[m].tries == 0) {
        p->models[m].last_answer = p->link->ops->now(p->link);
        p->models[m].failing = false;
    }
    p->n_sent++;
}

static void send_shards(dm_pool *p)
{
    for (int w = 0; w < p->link->n_workers; w++) {
        dm_peer *peer = &p->peers[w];
        if (peer->tasks.n == 0)
            continue;
        dm_buf msg;
        dm_wire_put_shard(&msg, &peer->states, &peer->tasks);
        if (msg.full) {
            dm_pool_fail(p, DM_E_LIMIT, "a message to worker %d is over %zu bytes", w, msg.max);
            dm_buf_free(&msg);
            return;
        }
        p->link->ops->send(p->link, w, &msg);
    }
}

/* Runs of a Python program have a place for each call alone, so that as many more may be under way:
 * those that are in Python. */
static size_t more_for_python(const dm_pool *p, size_t places)
{
    return p->setup->host ? places : 0;
}

/* Whether the places of all workers together are taken: then there is no need to look at each. */
static bool all_busy(const dm_pool *p, const dm_model *m, bool ahead)
{
    size_t all = m->config ? (size_t)m->config->concurrency : 0;
    all += more_for_python(p, all);
    return m->in_flight >= all + (ahead ? all / 4 + (size_t)p->n_ready : 0);
}

/* The next worker, from the cursor on, with fewer than its places (plus extra) taken; -1: none. */
static int free_worker(dm_pool *p, int m, bool ahead)
{
    if (all_busy(p, &p->models[m], ahead))
        return -1;
    bool taken = all_taken(p, m);
    for (int i = 0; i < p->link->n_workers; i++) {
        int w = (p->cursor + i) % p->link->n_workers;
        const dm_peer *peer = &p->peers[w];
        size_t extra = (ahead ? peer->slots[m] / 4 + 1 : 0) + more_for_python(p, peer->slots[m]);
        if (!peer->ready || peer->lost || peer->slots[m] == 0 ||
            peer->in_flight[m] >= peer->slots[m] + extra ||
            peer->states.bytes.len + peer->tasks.bytes.len > SHARD_BYTES ||
            (taken && peer->in_flight[m] < peer->slots[m]) ||
            peer->parked[m] > MOST_PARKED + 4 * peer->slots[m] ||
            p->link->ops->pending(p->link, w) >= MAX_PENDING)
            continue;
        p->cursor = (w + 1) % p->link->n_workers;
        return w;
    }
    return -1;
}

/* Whether anybody still waits for the cell. A cancelled one is dropped from the queue; a later
 * submit puts it back. */
static bool wanted(const dm_cell *c)
{
    for (const dm_waiter *w = c->waiters; w; w = w->next)
        if (!w->future->cancelled)
            return true;
    return false;
}

/* Whether a cell that was queued is still to be sent. */
static bool is_due(dm_cell *c)
{
    if (c->phase != DM_CELL_QUEUED)
        return false;
    if (!wanted(c))
        c->phase = DM_CELL_IDLE;
    return c->phase == DM_CELL_QUEUED;
}

/* ahead: it goes to a place that is not free yet, and so not before a prefix that it waits for. */
static bool next_cell(dm_pool *p, dm_model *m, bool ahead, uint32_t *number)
{
    while (dm_queue_pop(&m->first, number) || dm_queue_pop(&m->released, number) ||
           dm_queue_pop(&m->queue, number))
        if (is_due(p->cells[*number]) && !dm_prefix_holds(p, *number))
            return true;
    while (!ahead && dm_prefix_next(p, m, number))
        if (is_due(p->cells[*number]))
            return true;
    return false;
}

/* Sends the cell that is to find out whether the model answers. */
static void find_out(dm_pool *p, int number)
{
    dm_model *m = &p->models[number];
    if (!m->asks || m->phase == DM_MODEL_PROBED)
        return;
    dm_cell *c = p->cells[m->asks - 1];
    const dm_cell *witness = wanted(c) ? dm_doubt_witness(p, m->asks - 1) : NULL;
    int w = witness ? free_worker(p, number, false) : -1;
    if (witness && w < 0)
        return;
    if (!witness)
        c->phase = c->phase == DM_CELL_QUEUED ? DM_CELL_IDLE : c->phase;
    else if (c->phase == DM_CELL_QUEUED)
        add_task(p, w, m->asks - 1, witness);
    if (c->phase == DM_CELL_SENT && m->phase == DM_MODEL_UNTRIED)
        m->phase = DM_MODEL_PROBED;
    m->asks = 0;
}

static void schedule_model(dm_pool *p, int number)
{
    dm_model *m = &p->models[number];
    uint32_t cell;
    find_out(p, number);
    while (dm_model_queued(m) > 0 && !dm_doubt_holds(m)) {
        /* A model's first piece of work is held alone until it is answered (src/README.md §4), also
         * while it waits to go out again. */
        if (m->phase == DM_MODEL_PROBED || m->asks_format ||
            (m->phase == DM_MODEL_UNTRIED && m->not_before > p->link->ops->now(p->link)))
            return;
        int w = free_worker(p, number, false);
        bool ahead = w < 0; /* so that no place is empty while a message travels */
        if (ahead && dm_model_queued(m) > (size_t)m->config->concurrency)
            w = free_worker(p, number, true);
        if (w < 0 || !next_cell(p, m, ahead, &cell))
            return;
        add_task(p, w, cell, NULL);
        dm_prefix_sent(p, cell);
        if (m->phase == DM_MODEL_UNTRIED) {
            m->phase = DM_MODEL_PROBED;
            if (m->tries == 0)
                m->first_asked = p->link->ops->now(p->link);
        }
    }
}

void dm_schedule(dm_pool *p)
{
    if (p->failed || p->stop || p->n_ready == 0)
        return;
    if (p->slots_stale)
        share_slots(p);
    for (int m = 0; m < DM_ROLES; m++)
        if (p->models[m].config)
            schedule_model(p, m);
    if (!p->failed) /* as when the journal cannot take the budget's mark for them */
        send_shards(p);
}

/* ---- time ---- */

void dm_release_delayed(dm_pool *p)
{
    double now = p->link->ops->now(p->link);
    for (int m = 0; m < DM_ROLES; m++) {
        dm_model *model = &p->models[m];
        size_t doubted = 0;
        for (size_t n = dm_queue_length(&model->delayed); n > 0; n--) {
            uint32_t number;
            double again;
            if (!dm_queue_pop(&model->delayed, &number))
                break;
            if (p->cells[number]->phase != DM_CELL_QUEUED)
                continue; /* a worker that was lost had it after all */
            double due = p->cells[number]->way->not_before;
            doubted += model->phase == DM_MODEL_GOOD &&
                       dm_doubt_waits(model, p->cells[number]->way->tries);
            if (due > now)
                queue(p, number, due);
            else if (dm_doubt_of(p, number, &again) == DM_DOUBT_GO)
                queue(p, number, 0);
            else if (again > 0)
                queue(p, number, again);
        }
        model->doubted = doubted;
    }
}

double dm_pool_next_due(dm_pool *p)
{
    double now = p->link->ops->now(p->link), due = now + 0.5;
    for (int m = 0; m < DM_ROLES; m++) {
        const dm_queue *q = &p->models[m].delayed;
        for (size_t i = 0; i < dm_queue_length(q); i++)
            due = fmin(due, p->cells[dm_queue_at(q, i)]->way->not_before);
    }
    if (p->tick)
        due = fmin(due, p->last_tick + p->tick_every);
    return fmax(0, due - now);
}
