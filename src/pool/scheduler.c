/* Who runs what: cells go from the queues to workers with free places, in batches; answers come
 * back; what failed on the way is put back. None of it is seen by an optimizer. */
#include "pool/inside.h"
#include "base/log.h"
#include "json/json.h"

#include <math.h>
#include <string.h>

#define MAX_PENDING 2 /* messages under way to one worker (cluster-notes §7.3) */
/* A cell that failed on the way goes back until it has been out MIN_TRIES times and the model's
 * outage has passed since it first failed; a model that answers nobody ends the run by then. The
 * delays double up to the eighth of the outage that is between MAX_DELAY and LAST_DELAY, so that
 * with the default of 2 minutes it is out nine times, each with num_retries + 1 attempts a call.
 * Only then does the failure stand, and the example is absent. */
#define MIN_TRIES  6
#define MAX_DELAY  30.0 /* s */
#define LAST_DELAY 300.0

void dm_pool_fail(dm_pool *p, dm_status status, const char *fmt, ...)
{
    if (p->failed)
        return; /* the first failure is the one to tell */
    char text[sizeof p->error.text];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    p->failed = dm_fail(&p->error, status < 0 ? status : DM_E_INTERNAL, "%s",
                        text[0] ? text : "a rank failed, and did not say why");
}

/* ---- places ---- */

static void send_slots(dm_pool *p, int worker)
{
    dm_buf msg;
    dm_writer out;
    dm_message_begin(&msg, &out, DM_MSG_SLOTS, 1);
    dm_write_array(&out, DM_ROLES);
    for (int m = 0; m < DM_ROLES; m++)
        dm_write_int(&out, (int64_t)p->peers[worker].slots[m]);
    p->link->ops->send(p->link, worker, &msg);
}

/* How many ranks a model's places are shared among. A rank's part of rpm goes with its places, and
 * below a request a second there is nothing to be parted. */
static size_t n_sharing(const dm_pool *p, const dm_lm_config *c)
{
    size_t n = (size_t)p->n_ready;
    if (c && c->rpm > 0)
        n = (size_t)fmax(1, fmin((double)n, c->rpm * (double)c->n_base / 60));
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
    size_t i = 0;
    p->slots_stale = false;
    for (int w = 0; w < p->link->n_workers; w++) {
        dm_peer *peer = &p->peers[w];
        if (!peer->ready || peer->lost)
            continue;
        bool changed = false;
        for (int m = 0; m < DM_ROLES; m++) {
            const dm_lm_config *c = p->models[m].config;
            size_t all = c ? (size_t)c->concurrency : 0, n = n_sharing(p, c);
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
    dm_buf text;
    dm_writer out;
    const dm_program *program = s->work.candidate->program;
    dm_writer_init(&out, &peer->states);
    dm_write_array(&out, 4);
    dm_write_int(&out, number);
    dm_buf_init(&text, DM_MAX_TEXT);
    if (program != p->setup->program)
        dm_json_write(&text, dm_program_write(a, program), DM_JSON_PYTHON);
    dm_write_str(&out, program == p->setup->program ? (dm_str){NULL, 0} : dm_buf_view(&text));
    dm_buf_reset(&text);
    dm_json_write(&text, dm_candidate_write(a, s->work.candidate), DM_JSON_PYTHON);
    dm_write_str(&out, dm_buf_view(&text));
    dm_write_work(&out, &s->work);
    dm_buf_free(&text);
    dm_arena_free(a);
    peer->n_states++;
}

static void add_task(dm_pool *p, int worker, uint32_t number)
{
    dm_peer *peer = &p->peers[worker];
    dm_cell *c = p->cells[number];
    dm_writer out;
    size_t n = 0;
    add_state(p, peer, worker, c->state);
    dm_writer_init(&out, &peer->tasks);
    dm_write_array(&out, 6);
    dm_write_int(&out, dm_task_of(number, c));
    dm_write_int(&out, c->state);
    dm_write_int(&out, dm_budget_allowance(p, c));
    dm_write_int(&out, c->row);
    if (c->row < 0) {
        dm_buf row;
        dm_buf_init(&row, DM_MAX_TEXT);
        dm_json_write(&row, c->example->row, DM_JSON_PYTHON);
        dm_write_str(&out, dm_buf_view(&row));
        dm_buf_free(&row);
    } else {
        dm_write_str(&out, (dm_str){NULL, 0});
    }
    for (dm_kept_answer *k = c->answers; k; k = k->next)
        n++;
    dm_write_array(&out, n);
    for (dm_kept_answer *k = c->answers; k; k = k->next)
        dm_write_answer(&out, &k->answer);
    dm_budget_sent(p, c);
    peer->n_tasks++;
    c->phase = DM_CELL_SENT;
    c->out = true;
    c->worker = worker;
    int m = p->states[c->state].model;
    peer->in_flight[m]++;
    if (p->models[m].in_flight++ == 0 && dm_queue_length(&p->models[m].delayed) == 0 &&
        c->tries == 0) {
        p->models[m].last_answer = p->link->ops->now(p->link);
        p->models[m].failing = false;
    }
    p->n_sent++;
}

static void send_shards(dm_pool *p)
{
    for (int w = 0; w < p->link->n_workers; w++) {
        dm_peer *peer = &p->peers[w];
        if (peer->n_tasks == 0)
            continue;
        dm_buf msg;
        dm_writer out;
        dm_message_begin(&msg, &out, DM_MSG_SHARD, 2);
        dm_write_array(&out, peer->n_states);
        dm_buf_str(&msg, dm_buf_view(&peer->states));
        dm_write_array(&out, peer->n_tasks);
        dm_buf_str(&msg, dm_buf_view(&peer->tasks));
        dm_buf_reset(&peer->states);
        dm_buf_reset(&peer->tasks);
        peer->n_states = peer->n_tasks = 0;
        if (msg.full) {
            dm_pool_fail(p, DM_E_LIMIT, "a message to worker %d is over %zu bytes", w, msg.max);
            dm_buf_free(&msg);
            return;
        }
        p->link->ops->send(p->link, w, &msg);
    }
}

/* The next worker, from the cursor on, with fewer than its places (plus extra) taken; -1: none. */
static int free_worker(dm_pool *p, int m, bool ahead)
{
    bool taken = all_taken(p, m);
    for (int i = 0; i < p->link->n_workers; i++) {
        int w = (p->cursor + i) % p->link->n_workers;
        const dm_peer *peer = &p->peers[w];
        size_t extra = ahead ? peer->slots[m] / 4 + 1 : 0;
        if (!peer->ready || peer->lost || peer->slots[m] == 0 ||
            peer->in_flight[m] >= peer->slots[m] + extra ||
            (taken && peer->in_flight[m] < peer->slots[m]) ||
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

static bool next_cell(dm_pool *p, dm_model *m, uint32_t *number)
{
    while (dm_queue_pop(&m->first, number) || dm_queue_pop(&m->queue, number)) {
        dm_cell *c = p->cells[*number];
        if (c->phase != DM_CELL_QUEUED)
            continue;
        if (wanted(c))
            return true;
        c->phase = DM_CELL_IDLE;
    }
    return false;
}

static size_t n_queued(const dm_model *m)
{
    return dm_queue_length(&m->first) + dm_queue_length(&m->queue);
}

static void schedule_model(dm_pool *p, int number)
{
    dm_model *m = &p->models[number];
    uint32_t cell;
    while (n_queued(m) > 0) {
        /* A model's first piece of work is held alone until it is answered (DESIGN.md §4). */
        if (m->phase == DM_MODEL_PROBED)
            return;
        int w = free_worker(p, number, false);
        if (w < 0 && n_queued(m) > (size_t)m->config->concurrency)
            w = free_worker(p, number,
                            true); /* so that no place is empty while a message travels */
        if (w < 0 || !next_cell(p, m, &cell))
            return;
        add_task(p, w, cell);
        if (m->phase == DM_MODEL_UNTRIED)
            m->phase = DM_MODEL_PROBED;
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

/* ---- receiving ---- */

static bool read_task(dm_pool *p, dm_reader *in, int64_t *task, uint32_t *number)
{
    *task = dm_read_int(in);
    *number = (uint32_t)*task;
    if (*task >= 0 && *number < p->n_cells)
        return true;
    *in->bad = true;
    return false;
}

static void answer_came(dm_pool *p, const dm_cell *c)
{
    dm_model *m = &p->models[p->states[c->state].model];
    m->phase = DM_MODEL_GOOD;
    m->failing = false;
    m->last_answer = p->link->ops->now(p->link);
}

static void journal_answer(dm_pool *p, const dm_cell *c, const dm_answer *a)
{
    dm_buf b;
    dm_writer w;
    if (!p->setup->journal)
        return;
    dm_buf_init(&b, DM_MAX_MESSAGE);
    dm_writer_init(&w, &b);
    dm_write_answer(&w, a);
    dm_journal_cell(p->setup->journal, DM_JOURNAL_ANSWER, &c->key, dm_buf_view(&b));
    dm_buf_free(&b);
}

static bool is_kept(const dm_cell *c, const dm_answer *a)
{
    const dm_kept_answer *k = c->answers;
    while (k && (k->answer.call != a->call || k->answer.asked != a->asked))
        k = k->next;
    return k != NULL;
}

static void take_answer(dm_pool *p, dm_reader *in)
{
    uint32_t number;
    int64_t task;
    if (!read_task(p, in, &task, &number))
        return;
    dm_answer a = dm_read_answer(in);
    dm_cell *c = p->cells[number];
    if (*in->bad || a.call == DM_NO_CALL || c->phase == DM_CELL_DONE || is_kept(c, &a))
        return; /* late or twice, too */
    dm_usage_add(&p->usage, &a.usage);
    dm_budget_told(p, c, &a.usage);
    dm_cell_keep_answer(p, number, &a);
    journal_answer(p, c, &a);
    answer_came(p, c);
}

/* Whether the worker is the one that has the cell now; if so, its place is free again. */
static bool came_from(dm_pool *p, dm_cell *c, int worker)
{
    if (!c->out || c->worker != worker || p->peers[worker].lost)
        return false;
    int m = p->states[c->state].model;
    c->out = false;
    dm_peer *peer = &p->peers[worker];
    size_t running = may_run(peer, m);
    peer->in_flight[m]--;
    set_over(p, peer, m, running > 0 ? running - 1 : 0);
    p->models[m].in_flight--;
    p->n_sent--;
    return true;
}

static bool may_go_back(dm_pool *p, const dm_cell *c, const dm_model *m)
{
    double now = p->link->ops->now(p->link);
    return c->tries + 1 < MIN_TRIES || now - c->way->failed_at < m->config->outage ||
           now - m->last_answer >= m->config->outage; /* then the run stops */
}

static void put_back(dm_pool *p, uint32_t number, const dm_usage *usage, dm_str error)
{
    dm_cell *c = p->cells[number];
    const dm_model *m = &p->models[p->states[c->state].model];
    p->models[p->states[c->state].model].failing = true;
    double longest = fmax(MAX_DELAY, fmin(m->config->outage / 8, LAST_DELAY));
    double delay = fmin(longest, ldexp(1, c->tries < 16 ? c->tries : 16));
    double now = p->link->ops->now(p->link);
    dm_usage_add(&p->usage, usage);
    if (usage->requests > 0)
        journal_answer(p, c, &(dm_answer){.call = DM_NO_CALL, .usage = *usage});
    if (dm_pool_capped(p) && !dm_budget_again(p, c, usage)) {
        c->phase = DM_CELL_IDLE;
        return;
    }
    dm_log(DM_DEBUG, "example %s goes back for %.0f s: %.*s", c->example->id, delay,
           DM_STR_ARG(error));
    dm_cell_requeue(p, number, now + delay);
    if (c->tries == 0)
        c->way->failed_at = now;
    if (c->tries < UINT8_MAX)
        c->tries++;
}

/* Whether the steps are those of the cell's program. */
static bool steps_fit(const dm_pool *p, const dm_cell *c, const dm_result *r)
{
    size_t n = p->states[c->state].work.candidate->program->n;
    bool fit = r->n_steps <= n;
    for (size_t i = 0; i < r->n_steps && fit; i++)
        fit = r->steps[i].predictor < n;
    return fit;
}

static void take_result(dm_pool *p, int worker, dm_reader *in)
{
    uint32_t number;
    dm_result r;
    dm_usage usage;
    int64_t task;
    if (!read_task(p, in, &task, &number))
        return;
    dm_str bytes = dm_read_str(in);
    dm_cell *c = p->cells[number];
    dm_arena *a = dm_arena_new(1024);
    if (*in->bad || !dm_read_result(bytes, p->setup->failure_score, a, &r, &usage) ||
        !steps_fit(p, c, &r)) {
        *in->bad = true;
        dm_arena_free(a);
        return;
    }
    dm_model *m = &p->models[p->states[c->state].model];
    const char *error = r.error ? r.error : "";
    bool expected = task == dm_task_of(number, c) && came_from(p, c, worker);
    if (c->phase == DM_CELL_DONE || (r.fault == DM_FAULT_TRANSPORT && !expected)) {
        ; /* late or twice */
    } else if (r.fault == DM_FAULT_ENDPOINT) {
        dm_pool_fail(p, DM_E_MODEL, "%s", error);
    } else if (r.fault == DM_FAULT_TRANSPORT && m->phase != DM_MODEL_GOOD) {
        dm_pool_fail(p, DM_E_MODEL, "%s", error);
    } else if (r.fault == DM_FAULT_TRANSPORT && may_go_back(p, c, m)) {
        put_back(p, number, &usage, dm_str_of(error));
    } else {
        if (r.fault != DM_FAULT_TRANSPORT)
            answer_came(p, c);
        dm_cell_done(p, number, bytes, &r, &usage);
    }
    dm_arena_free(a);
}

static void take_results(dm_pool *p, int worker, dm_reader *in)
{
    dm_reader list = dm_read_array(in);
    while (list.at < list.n && !*in->bad) {
        dm_reader it = dm_read_array(&list);
        switch (dm_read_int(&it)) {
        case 0:
            take_answer(p, &it);
            break;
        case 1:
            take_result(p, worker, &it);
            break;
        case 2:
            dm_known_find(p, worker, &it);
            break;
        case 3:
            dm_known_keep(p, &it);
            break;
        default:
            *in->bad = true;
        }
    }
}

static void take_hello(dm_pool *p, int worker, dm_reader *in)
{
    dm_str host = dm_read_str(in);
    (void)dm_read_int(in);
    if (*in->bad || p->peers[worker].ready)
        return;
    dm_log(DM_DEBUG, "worker %d is on %.*s", worker, DM_STR_ARG(host));
    p->peers[worker].ready = true;
    p->n_ready++;
    p->slots_stale = true;
}

static void take_failed(dm_pool *p, dm_reader *in)
{
    dm_status status = (dm_status)dm_read_int(in);
    dm_str text = dm_read_str(in);
    if (!*in->bad)
        dm_pool_fail(p, status < DM_OK ? status : DM_E_INTERNAL, "%.*s", DM_STR_ARG(text));
}

static void take_log(dm_reader *in)
{
    dm_level level = (dm_level)dm_read_size(in, DM_ERROR);
    dm_str line = dm_read_str(in);
    if (!*in->bad)
        dm_log(level, "%.*s", DM_STR_ARG(line));
}

/* What a server told one rank holds for all. */
static void hand_on(dm_pool *p, int from, dm_str bytes)
{
    for (int w = 0; w < p->link->n_workers; w++) {
        dm_buf copy;
        if (w == from || !p->peers[w].ready || p->peers[w].lost)
            continue;
        dm_buf_init(&copy, DM_MAX_MESSAGE);
        dm_buf_str(&copy, bytes);
        p->link->ops->send(p->link, w, &copy);
    }
}

void dm_pool_receive(dm_pool *p, int worker, dm_str bytes)
{
    dm_record rec;
    dm_reader in;
    dm_message_type type;
    bool ok = dm_message_open(&rec, bytes, &type, &in);
    if (ok) {
        switch (type) {
        case DM_MSG_HELLO:
            take_hello(p, worker, &in);
            break;
        case DM_MSG_RESULTS:
            take_results(p, worker, &in);
            break;
        case DM_MSG_FAILED:
            take_failed(p, &in);
            break;
        case DM_MSG_LOG:
            take_log(&in);
            break;
        case DM_MSG_FAILING:
            p->models[p->model_of[dm_read_size(&in, DM_ROLES - 1)]].failing = true;
            break;
        case DM_MSG_DRAIN:
            p->peers[worker].drained = true;
            break;
        case DM_MSG_SLOW:
            hand_on(p, worker, bytes);
            break;
        default:
            rec.bad = true;
        }
    }
    if (!ok || rec.bad)
        dm_pool_fail(p, DM_E_INTERNAL, "worker %d sent a message that cannot be read (%zu bytes)",
                     worker, bytes.n);
    dm_record_free(&rec);
}

/* What a lost worker had goes back to the front of nothing: to the end of the queue, with the
 * answers that came. Its results count if they come after all. */
void dm_pool_lost(dm_pool *p, int worker)
{
    dm_peer *peer = &p->peers[worker];
    if (peer->lost)
        return;
    for (size_t i = 0; i < p->n_cells; i++) {
        dm_cell *c = p->cells[i];
        if (!came_from(p, c, worker) || c->phase == DM_CELL_DONE)
            continue;
        c->phase = DM_CELL_IDLE;
        if (!dm_pool_capped(p) || dm_budget_again(p, c, NULL))
            dm_cell_requeue(p, (uint32_t)i, 0);
    }
    for (int m = 0; m < DM_ROLES; m++)
        if (p->models[m].phase == DM_MODEL_PROBED && p->models[m].in_flight == 0)
            p->models[m].phase = DM_MODEL_UNTRIED; /* its first piece of work was lost */
    peer->lost = true;
    p->n_ready -= peer->ready;
    dm_known_lost(p, worker);
    dm_log(DM_WARN, "worker %d is lost; its work goes to others", worker);
    if (p->n_ready == 0)
        dm_pool_fail(p, DM_E_INTERNAL, "all workers are lost");
    else
        p->slots_stale = true;
}

/* ---- time ---- */

void dm_release_delayed(dm_pool *p)
{
    double now = p->link->ops->now(p->link);
    for (int m = 0; m < DM_ROLES; m++) {
        dm_model *model = &p->models[m];
        for (size_t n = dm_queue_length(&model->delayed); n > 0; n--) {
            uint32_t number;
            if (!dm_queue_pop(&model->delayed, &number))
                break;
            if (p->cells[number]->phase != DM_CELL_QUEUED)
                continue; /* a worker that was lost had it after all */
            double due = p->cells[number]->way->not_before;
            dm_cell_requeue(p, number, due <= now ? 0 : due);
        }
    }
}

void dm_check_outage(dm_pool *p)
{
    double now = p->link->ops->now(p->link);
    for (int m = 0; m < DM_ROLES && !p->stop; m++) {
        const dm_model *model = &p->models[m];
        bool waits = model->in_flight > 0 || dm_queue_length(&model->delayed) > 0;
        if (!model->config || !waits || !model->failing ||
            now - model->last_answer <=
                model->config->outage + (model->phase == DM_MODEL_GOOD ? 0 : model->config->wait))
            continue;
        if (model->phase != DM_MODEL_GOOD) {
            dm_pool_fail(p, DM_E_MODEL, "%s has not answered for %g s", model->config->model,
                         model->config->outage);
            return;
        }
        dm_log(DM_WARN, "%s has not answered for %g s: stopping", model->config->model,
               model->config->outage);
        p->stop = DM_STOP_OUTAGE;
    }
}

double dm_pool_next_due(dm_pool *p)
{
    double now = p->link->ops->now(p->link), due = now + 0.5;
    for (int m = 0; m < DM_ROLES; m++) {
        const dm_queue *q = &p->models[m].delayed;
        for (size_t i = q->head; i < q->tail; i++)
            due = fmin(due, p->cells[q->items[i % q->cap]]->way->not_before);
    }
    if (p->tick)
        due = fmin(due, p->last_tick + p->tick_every);
    return fmax(0, due - now);
}
