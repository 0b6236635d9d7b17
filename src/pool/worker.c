#include "pool/worker.h"
#include "base/log.h"
#include "json/json.h"
#include "host/way.h"
#include "lm/transport.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* An answer leaves when so many wait, one in so many places, or a time has passed. */
#define FLUSH_PLACES 16
#define FLUSH_AFTER  0.005 /* s */
#define FLUSH_BYTES  65536
#define MAX_FDS      64
#define BY_ID        1024

typedef struct task {
    struct task *next, *prev; /* queued, or running */
    struct task *same;        /* running, of the same number modulo BY_ID */
    struct task *after;       /* in the line of those that may ask */
    dm_worker *worker;
    int64_t id;
    const dm_shared_state *st;
    const dm_value *row;
    dm_hash fingerprint;
    dm_arena *arena;  /* of a row that came with the task; NULL: none */
    int64_t most;     /* requests; 0: any number */
    bool asks_only;   /* to find out whether its first call is answered */
    unsigned formats; /* as in dm_wire_task */
    bool asks_format;
    dm_run *run;
    bool placed;  /* it has one of its model's places */
    bool may_ask; /* it waits for a place, to make its call: */
    uint32_t call;
    int64_t odd; /* replies to it so far that were no answers */
} task;

typedef struct task_list {
    task *first, *last;
} task_list;

struct dm_worker {
    dm_worker_port port;
    dm_shared *shared;
    dm_runner runner;
    int64_t slots[DM_ROLES]; /* [model] */
    /* [model] until the result has left (src/README.md §4), but for those that wait to hear whether
     * others have asked the same */
    int64_t running[DM_ROLES];
    int64_t ended[DM_ROLES];   /* [model] of them, those whose result waits */
    task_list queue[DM_ROLES]; /* [model] */
    task_list active;
    task *by_id[BY_ID];                           /* of active */
    task *may_ask[DM_ROLES], **may_end[DM_ROLES]; /* [model] they do as soon as there is a place */
    size_t n_tasks;
    bool told_to_end, failed;
    bool draining, drained; /* no new calls; that none is in flight was said */

    bool asked; /* an item waits that is to leave at once */

    dm_buf result;      /* one result, being written */
    dm_wire_list items; /* that have not left */
    double oldest;      /* when the first of them came */
};

static void list_add(task_list *l, task *t)
{
    t->next = NULL;
    t->prev = l->last;
    if (l->last)
        l->last->next = t;
    else
        l->first = t;
    l->last = t;
}

static void list_remove(task_list *l, task *t)
{
    *(t->prev ? &t->prev->next : &l->first) = t->next;
    *(t->next ? &t->next->prev : &l->last) = t->prev;
}

static task **slot_of(dm_worker *w, int64_t id)
{
    task **at = &w->by_id[(uint64_t)id % BY_ID];
    while (*at && (*at)->id != id)
        at = &(*at)->same;
    return at;
}

/* It runs no longer. */
static void take_out(dm_worker *w, task *t)
{
    task **at = slot_of(w, t->id);
    while (*at && *at != t) /* somebody may have given two the same */
        at = &(*at)->same;
    if (*at)
        *at = t->same;
    list_remove(&w->active, t);
    w->n_tasks--;
}

static void task_free(task *t)
{
    dm_arena_free(t->arena);
    free(t);
}

/* ---- what goes out ---- */

static void flush(dm_worker *w)
{
    if (w->items.n == 0)
        return;
    dm_buf msg;
    dm_wire_put_results(&msg, &w->items);
    w->asked = false;
    for (int m = 0; m < DM_ROLES; m++) {
        w->running[m] -= w->ended[m];
        w->ended[m] = 0;
    }
    w->port.send(w->port.user, &msg);
}

static double now_of(const dm_worker *w)
{
    return dm_clock_now(&w->port.clock);
}

static void add_item(dm_worker *w, const dm_wire_item *it)
{
    if (w->items.n == 0)
        w->oldest = now_of(w);
    dm_wire_add_item(&w->items, it);
}

static void cannot_go_on(dm_worker *w, const dm_error *err)
{
    dm_buf msg;
    flush(w);
    dm_wire_put_failed(&msg, err->status, dm_str_of(err->text));
    w->failed = true;
    w->port.send(w->port.user, &msg);
}

static void take_place(task *t)
{
    t->worker->running[t->st->model]++;
    t->placed = true;
}

static void give_place(task *t)
{
    t->worker->running[t->st->model] -= t->placed;
    t->placed = false;
}

/* It is free when what came of it has left. */
static void give_place_later(task *t)
{
    t->worker->ended[t->st->model] += t->placed;
    t->placed = false;
}

/* A run that goes on in Python needs no place for that. */
static void answered(void *user, const dm_hash *key, const dm_answer *a)
{
    task *t = user;
    if (t->st->python)
        give_place_later(t);
    add_item(t->worker, &(dm_wire_item){.kind = DM_ITEM_ANSWER,
                                        .task = t->id,
                                        .key = *key,
                                        .predictor = (uint32_t)dm_run_place_of(t->run).predictor,
                                        .answer = *a});
}

static void done(void *user, const dm_run_result *r)
{
    task *t = user;
    dm_worker *w = t->worker;
    dm_writer out;
    dm_buf_reset(&w->result);
    dm_writer_init(&out, &w->result);
    dm_write_result(&out, r);
    add_item(w, &(dm_wire_item){.kind = DM_ITEM_RESULT,
                                .task = t->id,
                                .result = dm_buf_view(&w->result),
                                .usage = r->call});
    give_place_later(t);
    take_out(w, t);
    task_free(t);
}

static void failing(void *user, dm_role role)
{
    dm_worker *w = user;
    dm_buf msg;
    dm_wire_put_failing(&msg, role);
    w->port.send(w->port.user, &msg);
}

static void slowed(void *user, dm_role role, size_t endpoint, double seconds)
{
    dm_worker *w = user;
    dm_buf msg;
    dm_wire_put_slow(&msg, &(dm_wire_slow){role, endpoint, seconds});
    w->port.send(w->port.user, &msg);
}

static void told(void *user, dm_role role, size_t endpoint, const double limit[DM_RATES])
{
    dm_worker *w = user;
    dm_buf msg;
    dm_wire_limits l = {.role = role, .endpoint = endpoint};
    memcpy(l.limit, limit, sizeof l.limit);
    dm_wire_put_limits(&msg, &l);
    w->port.send(w->port.user, &msg);
}

static void tally(void *user, dm_role role, size_t endpoint, int64_t answered, int64_t refused)
{
    dm_worker *w = user;
    dm_buf msg;
    dm_wire_put_tally(&msg, &(dm_wire_tally){role, endpoint, (size_t)answered, (size_t)refused});
    w->port.send(w->port.user, &msg);
}

static void unfit(void *user, const char *text)
{
    dm_error err = {DM_OK, ""};
    (void)dm_fail(&err, DM_E_JOB, "%s", text);
    cannot_go_on(user, &err);
}

/* ---- requests that others may have made ---- */

static void find(void *user, uint32_t call, const dm_hash *key)
{
    task *t = user;
    dm_worker *w = t->worker;
    give_place(t); /* another run has it meanwhile */
    add_item(w, &(dm_wire_item){.kind = DM_ITEM_FIND, .task = t->id, .key = *key, .call = call});
    w->asked = true;
}

static void know_answers(dm_worker *w)
{
    w->runner.known.find = find;
    const dm_shared *s = w->shared;
    for (int i = 0; i < DM_ROLES; i++)
        if (s->config[i] && !dm_lm_in_process(s->config[i]))
            w->runner.known.scope[i] = &s->scope[i];
}

static void let_ask(dm_worker *w, task *t, const dm_wire_found *f)
{
    int m = t->st->model;
    t->call = f->call;
    t->odd = f->odd;
    t->after = NULL;
    t->may_ask = true;
    *(w->may_ask[m] ? w->may_end[m] : &w->may_ask[m]) = t;
    w->may_end[m] = &t->after;
}

static void take_one_found(dm_worker *w, const dm_wire_found *f)
{
    task *t = *slot_of(w, f->task);
    if (!t || t->may_ask || !dm_run_finds(t->run, f->call))
        return;
    switch (f->kind) {
    case DM_FOUND_ASK:
        let_ask(w, t, f);
        break;
    case DM_FOUND_ANSWER:
        if (!t->st->python)
            take_place(t);
        dm_run_found(t->run, f->call, &f->answer, 0);
        break;
    case DM_FOUND_BACK:
        take_out(w, t);
        dm_run_cancel(t->run);
        task_free(t);
        break;
    case DM_FOUND_KINDS:
        break;
    }
}

static bool take_found(dm_worker *w, dm_wire_message *m)
{
    dm_reader list;
    dm_wire_found f;
    if (!dm_wire_get_found(m, &list))
        return false;
    while (dm_wire_next_found(&list, &f))
        take_one_found(w, &f);
    return !m->record.bad;
}

/* ---- what comes in ---- */

static bool take_slow(dm_worker *w, dm_wire_message *m)
{
    dm_wire_slow s;
    if (!dm_wire_get_slow(m, &s))
        return false;
    if (w->runner.lm)
        dm_lm_slow(w->runner.lm, s.role, s.endpoint, s.seconds);
    return true;
}

static bool take_limits(dm_worker *w, dm_wire_message *m)
{
    dm_wire_limits l;
    if (!dm_wire_get_limits(m, &l))
        return false;
    if (w->runner.lm)
        dm_lm_learn(w->runner.lm, l.role, l.endpoint, l.limit);
    return true;
}

static bool take_pace(dm_worker *w, dm_wire_message *m)
{
    dm_wire_pace p;
    if (!dm_wire_get_pace(m, &p))
        return false;
    if (w->runner.lm)
        dm_lm_pace(w->runner.lm, p.role, p.endpoint, p.pace, p.offset);
    return true;
}

static bool asks_by_host(const dm_shared *s)
{
    bool any = false;
    for (int i = 0; i < DM_ROLES; i++)
        any |= s->config[i] && dm_lm_by_host(s->config[i]);
    return any;
}

static dm_status start(dm_worker *w, const dm_wire_setup *m, dm_error *err)
{
    const dm_shared *s = w->shared;
    dm_status st = dm_shared_start(w->shared, m->json, err);
    if (st != DM_OK)
        return st;
    int number = (int)m->worker;
    bool alone = s->setup != &s->own && !w->port.shared; /* one process */
    dm_lm_options o = {.slots = 1 << 20,
                       .seed = s->setup->seed + (uint64_t)number,
                       .probe = s->setup->metric && !s->setup->offline, /* run does not */
                       .slowed = slowed,
                       .told = told,
                       .tally = tally,
                       .unfit = unfit,
                       .failing = failing,
                       .user = w,
                       .rank = alone ? 0 : number + 1,
                       .clock = w->port.clock,
                       .transport = w->port.transport};
    for (int i = 0; i < DM_ROLES; i++)
        o.role[i] = s->config[i];
    w->port.transport = NULL;
    if (s->hosts && !o.transport && asks_by_host(s) &&
        (o.transport = dm_transport_curl(&w->port.clock)))
        o.transport = dm_host_way(s->hosts, o.transport);
    w->runner.lm = dm_lm_new(&o, err);
    if (!w->runner.lm)
        return err->status;
    w->runner.metric = s->metric;
    w->runner.hosts = s->hosts;
    w->runner.any_score = s->setup->any_score;
    know_answers(w);
    return DM_OK;
}

static void say_hello(dm_worker *w)
{
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    dm_buf msg;
    dm_wire_put_hello(&msg, dm_str_of(host), getpid());
    w->port.send(w->port.user, &msg);
}

static bool take_setup(dm_worker *w, dm_wire_message *m)
{
    dm_error err = {DM_OK, ""};
    dm_wire_setup s;
    if (w->runner.lm || !dm_wire_get_setup(m, &s))
        return false; /* it has one */
    if (!dm_wire_same_build(s.build)) {
        say_hello(w); /* the coordinator names both */
        return w->failed = true;
    }
    if (start(w, &s, &err) == DM_OK)
        say_hello(w);
    else
        cannot_go_on(w, &err);
    return true;
}

static bool take_state(dm_worker *w, const dm_wire_state *s)
{
    dm_error err = {DM_OK, ""};
    if (dm_shared_learn(w->shared, s, &err) == DM_OK)
        return true;
    dm_error_wrap(&err, DM_E_INTERNAL, "a program state from the coordinator");
    cannot_go_on(w, &err);
    return false;
}

/* A row of this process by its number; others travel with the task. */
static bool read_row(dm_worker *w, task *t, const dm_wire_task *m)
{
    if (m->row >= 0 && (size_t)m->row < w->shared->rows.n) {
        const dm_example *e = dm_row(&w->shared->rows, (size_t)m->row);
        t->row = e->row;
        t->fingerprint = e->fingerprint;
        return true;
    }
    t->arena = dm_arena_new(4096);
    t->row = m->json.p ? dm_json_read(t->arena, m->json, NULL) : NULL;
    if (!t->row || t->row->kind != DM_DICT)
        return false;
    t->fingerprint = dm_json_hash(t->row);
    return true;
}

static bool take_task(dm_worker *w, dm_wire_task *m)
{
    task *t = dm_alloc(sizeof *t);
    t->worker = w;
    t->id = m->id;
    t->most = m->most;
    t->formats = m->formats;
    t->asks_format = m->asks_format;
    t->asks_only = m->asks_only;
    t->st = dm_shared_find(w->shared, m->state);
    bool ok = read_row(w, t, m) && t->st;
    if (!ok) {
        task_free(t);
        return false;
    }
    list_add(&w->queue[t->st->model], t);
    w->n_tasks++;
    return true;
}

static bool take_shard(dm_worker *w, dm_wire_message *m)
{
    dm_reader states, tasks;
    dm_wire_state s;
    dm_wire_task t;
    if (!w->runner.lm || !dm_wire_get_shard(m, &states, &tasks))
        return false; /* work before the setup */
    while (dm_wire_next_state(&states, &s))
        if (!take_state(w, &s))
            return true;
    while (dm_wire_next_task(&tasks, &t))
        if (!take_task(w, &t))
            return false;
    return !m->record.bad;
}

static bool take_slots(dm_worker *w, dm_wire_message *m)
{
    dm_wire_slots s;
    if (!dm_wire_get_slots(m, &s))
        return false;
    for (int i = 0; i < DM_ROLES; i++) {
        w->slots[i] = s.n[i];
        /* Work that is here already goes on with one place, should all be given to others. */
        const dm_lm_config *c = w->shared->config[i];
        if (w->runner.lm && c && w->shared->model_of[i] == i)
            dm_lm_share(w->runner.lm, (dm_role)i,
                        (double)(w->slots[i] > 0 ? w->slots[i] : 1) / (double)c->concurrency);
    }
    return true;
}

static bool take_message(dm_worker *w, dm_wire_message *m)
{
    switch (m->type) {
    case DM_MSG_SETUP:
        return take_setup(w, m);
    case DM_MSG_SHARD:
        return take_shard(w, m);
    case DM_MSG_SLOTS:
        return take_slots(w, m);
    case DM_MSG_SLOW:
        return take_slow(w, m);
    case DM_MSG_LIMITS:
        return take_limits(w, m);
    case DM_MSG_PACE:
        return take_pace(w, m);
    case DM_MSG_DRAIN:
        w->draining = true;
        if (w->runner.lm)
            dm_lm_drain(w->runner.lm);
        return true;
    case DM_MSG_BYE:
        return w->told_to_end = true;
    case DM_MSG_FOUND:
        return take_found(w, m);
    case DM_MSG_HELLO:
    case DM_MSG_RESULTS:
    case DM_MSG_FAILED:
    case DM_MSG_LOG:
    case DM_MSG_TALLY:
    case DM_MSG_FAILING:
    case DM_MESSAGE_TYPES:
        break;
    }
    return false;
}

void dm_worker_receive(dm_worker *w, dm_str bytes)
{
    dm_wire_message m;
    bool ok = dm_wire_open(&m, bytes);
    bool deaf = ok && w->failed && m.type != DM_MSG_BYE;
    if (!ok || (!deaf && !take_message(w, &m))) {
        dm_error err;
        (void)dm_fail(&err, DM_E_INTERNAL, "a worker was sent a message it cannot read (%zu bytes)",
                      bytes.n);
        cannot_go_on(w, &err);
    }
    dm_wire_close(&m);
}

/* ---- the loop ---- */

static void start_run(dm_worker *w, task *t)
{
    list_remove(&w->queue[t->st->model], t);
    list_add(&w->active, t);
    t->same = *slot_of(w, t->id);
    *slot_of(w, t->id) = t;
    t->run = dm_run_new(&w->runner, t->st->prepared, t->row, &t->fingerprint, answered, done, t);
    dm_run_limit(t->run, t->most);
    dm_run_formats(t->run, t->formats, t->asks_format);
    if (t->asks_only)
        dm_run_ask_only(t->run);
    dm_run_go(t->run);
}

static void go_on(dm_worker *w, task *t)
{
    w->may_ask[t->st->model] = t->after;
    t->may_ask = false;
    dm_run_found(t->run, t->call, NULL, t->odd);
}

/* Its run begins with the question whether others have asked the same, which takes no place. */
static bool asks_first(const dm_worker *w, const task *t)
{
    return t && !t->asks_only && w->runner.known.scope[t->st->model];
}

/* A task that has no place yet asks as soon as it is here whether its answer is known, so that no
 * place is empty while the question travels. A run that was found to be the one to ask has its
 * place before those that have not begun. */
static bool start_runs(dm_worker *w)
{
    bool any = false;
    for (int m = 0; m < DM_ROLES && !w->draining; m++) {
        for (; asks_first(w, w->queue[m].first); any = true) {
            if (!w->queue[m].first->st->python)
                take_place(w->queue[m].first);
            start_run(w, w->queue[m].first);
        }
        while ((w->may_ask[m] || w->queue[m].first) &&
               (w->running[m] < w->slots[m] || w->running[m] == 0)) {
            any = true;
            take_place(w->may_ask[m] ? w->may_ask[m] : w->queue[m].first);
            if (w->may_ask[m])
                go_on(w, w->may_ask[m]);
            else
                start_run(w, w->queue[m].first);
        }
    }
    return any;
}

static int64_t places(const dm_worker *w)
{
    int64_t n = 0;
    for (int m = 0; m < DM_ROLES; m++)
        n += w->slots[m];
    return n;
}

static double until_flush(const dm_worker *w, double now)
{
    if (w->items.n == 0)
        return INFINITY;
    if (w->items.bytes.len >= FLUSH_BYTES || w->n_tasks == 0 || w->asked ||
        FLUSH_PLACES * (int64_t)w->items.n >= places(w))
        return 0;
    return fmax(0, w->oldest + FLUSH_AFTER - now);
}

static void wait_for_all(dm_worker *w, dm_wait_fd *fds, size_t n, double timeout)
{
    dm_wait_fd all[MAX_FDS];
    n = n < MAX_FDS ? n : MAX_FDS;
    if (n)
        memcpy(all, fds, n * sizeof *fds);
    size_t total = n;
    if (w->runner.metric) {
        total += dm_metric_fds(w->runner.metric, all + n, MAX_FDS - n);
        timeout = fmin(timeout, fmax(0, dm_metric_due(w->runner.metric) - now_of(w)));
    }
    if (w->runner.hosts) {
        total += dm_hosts_fds(w->runner.hosts, all + total, MAX_FDS - total);
        timeout = fmin(timeout, fmax(0, dm_hosts_due(w->runner.hosts) - now_of(w)));
    }
    dm_lm_poll(w->runner.lm, all, total, timeout);
    if (n)
        memcpy(fds, all, n * sizeof *fds);
    if (w->runner.metric)
        dm_metric_poll(w->runner.metric);
    if (w->runner.hosts)
        dm_hosts_poll(w->runner.hosts);
}

static void say_drained(dm_worker *w)
{
    dm_buf msg;
    if (!w->draining || w->drained || dm_lm_in_flight(w->runner.lm) > 0 ||
        (w->runner.metric && !isinf(dm_metric_due(w->runner.metric))))
        return;
    flush(w);
    w->drained = true;
    dm_wire_put_empty(&msg, DM_MSG_DRAIN);
    w->port.send(w->port.user, &msg);
}

bool dm_worker_step(dm_worker *w, dm_wait_fd *fds, size_t n, double timeout)
{
    if (w->failed || !w->runner.lm)
        return false;
    const char *trouble = dm_lm_trouble(w->runner.lm),
               *metric = w->runner.metric ? dm_metric_trouble(w->runner.metric) : NULL,
               *host = w->runner.hosts ? dm_hosts_trouble(w->runner.hosts) : NULL;
    if (trouble || metric || host) {
        dm_error err;
        (void)dm_fail(&err,
                      trouble                                           ? DM_E_MODEL
                      : host && !dm_hosts_blame_metric(w->runner.hosts) ? DM_E_JOB
                                                                        : DM_E_DATA,
                      "%s",
                      trouble ? trouble
                      : host  ? host
                              : metric);
        cannot_go_on(w, &err);
        return true;
    }
    if (start_runs(w))
        timeout = 0;
    if (w->asked) { /* whether there is a call to wait for is known only then */
        flush(w);
        return true;
    }
    wait_for_all(w, fds, n, fmin(timeout, until_flush(w, now_of(w))));
    start_runs(w);
    if (until_flush(w, now_of(w)) <= 0)
        flush(w);
    say_drained(w);
    return true;
}

int64_t dm_worker_task_of(const void *user)
{
    return ((const task *)user)->id;
}

bool dm_worker_told_to_end(const dm_worker *w)
{
    return w->told_to_end;
}

dm_worker *dm_worker_new(dm_worker_port port, const dm_setup *setup)
{
    dm_worker *w = dm_alloc(sizeof *w);
    w->port = port;
    w->shared = port.shared ? port.shared : dm_shared_new(setup, NULL);
    dm_wire_list_init(&w->items);
    dm_buf_init(&w->result, DM_MAX_MESSAGE);
    return w;
}

void dm_worker_free(dm_worker *w)
{
    if (!w)
        return;
    while (w->active.first) {
        task *t = w->active.first;
        list_remove(&w->active, t);
        dm_run_cancel(t->run);
        task_free(t);
    }
    for (int m = 0; m < DM_ROLES; m++)
        while (w->queue[m].first) {
            task *t = w->queue[m].first;
            list_remove(&w->queue[m], t);
            task_free(t);
        }
    dm_lm_free(w->runner.lm);
    if (!w->port.shared)
        dm_shared_free(w->shared);
    if (w->port.transport) /* it has not got as far as a model */
        w->port.transport->ops->close(w->port.transport);
    dm_wire_list_free(&w->items);
    dm_buf_free(&w->result);
    free(w);
}
