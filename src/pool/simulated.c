#include "pool/simulated.h"
#include "base/random.h"
#include "json/json.h"
#include "pool/inside.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NOTICED 1.5 /* s until a lost worker is noticed (src/cluster/README.md §7.2) */

typedef struct event { /* a message on its way to the coordinator, or the notice of a loss */
    double due;
    uint64_t order; /* of two at one time the earlier made goes first */
    int worker;
    bool loss;
    dm_buf bytes;
} event;

typedef struct sim_state { /* a program state as a virtual worker knows it */
    dm_candidate *candidate;
    dm_work work;
} sim_state;

typedef struct sim_worker {
    bool dead, reported;
    bool deaf, mute;    /* what is sent to it, what it sends, gets lost */
    double free_at[64]; /* when each place of the worker is free */
    size_t slots;
} sim_worker;

typedef struct sim_link {
    dm_link link; /* first */
    dm_simulation sim;
    dm_simulated_stats *stats;
    const dm_setup *setup;
    dm_pool *pool; /* NULL: not made yet */
    dm_arena *arena;
    dm_rows rows;
    double now;
    uint64_t draws, orders;
    event *events; /* [n_events] heap by due */
    size_t n_events, cap_events;
    sim_worker *workers;
    sim_state *states; /* [n_states] shared: all workers are told the same */
    size_t n_states;
    dm_buf current;
} sim_link;

static double draw(sim_link *l)
{
    return dm_draw_double(l->sim.seed, 0x51, l->draws++);
}

/* ---- events: a binary heap ---- */

static bool before(const event *a, const event *b)
{
    return a->due < b->due || (a->due == b->due && a->order < b->order);
}

static void push(sim_link *l, double due, int worker, bool loss, const dm_buf *bytes)
{
    if (l->n_events == l->cap_events) {
        l->cap_events = l->cap_events ? 2 * l->cap_events : 64;
        l->events = dm_grow(l->events, l->cap_events, sizeof *l->events);
    }
    size_t i = l->n_events++;
    event e = {due, l->orders++, worker, loss, bytes ? *bytes : (dm_buf){0}};
    while (i > 0 && before(&e, &l->events[(i - 1) / 2])) {
        l->events[i] = l->events[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    l->events[i] = e;
}

static event pop(sim_link *l)
{
    event top = l->events[0], last = l->events[--l->n_events];
    size_t i = 0;
    for (;;) {
        size_t k = 2 * i + 1;
        if (k + 1 < l->n_events && before(&l->events[k + 1], &l->events[k]))
            k++;
        if (k >= l->n_events || !before(&l->events[k], &last))
            break;
        l->events[i] = l->events[k];
        i = k;
    }
    l->events[i] = last;
    return top;
}

/* ---- virtual workers ---- */

static bool spared(const sim_link *l, int worker)
{
    return worker < l->sim.survivors;
}

static void lose_worker(sim_link *l, int worker)
{
    if (!l->workers[worker].reported)
        push(l, l->now + NOTICED, worker, true, NULL);
    l->workers[worker].reported = true;
}

static bool gets_lost(sim_link *l, int worker, double chance, bool *all)
{
    if (!*all && !spared(l, worker) && chance > 0 && draw(l) < chance) {
        *all = true;
        lose_worker(l, worker);
    }
    l->stats->lost_messages += *all;
    return *all;
}

/* Takes the bytes of msg. */
static void post(sim_link *l, double due, int worker, dm_buf *msg)
{
    if (gets_lost(l, worker, l->sim.lost_from, &l->workers[worker].mute)) {
        dm_buf_free(msg);
        return;
    }
    if (draw(l) < l->sim.duplicate) {
        dm_buf copy;
        dm_buf_init(&copy, DM_MAX_MESSAGE);
        dm_buf_str(&copy, dm_buf_view(msg));
        push(l, due + 10 * draw(l), worker, false, &copy);
        l->stats->duplicates++;
    }
    push(l, due, worker, false, msg);
}

static void send_hello(sim_link *l, int worker)
{
    dm_buf msg;
    dm_writer out;
    dm_message_begin(&msg, &out, DM_MSG_HELLO, 2);
    dm_write_str(&out, DM_STR("simulated"));
    dm_write_int(&out, worker);
    post(l, l->now + 0.001, worker, &msg);
}

/* Whether the worker is lost with this shard; what it would have said is lost too, or comes late.
 */
static bool strike(sim_link *l, int worker, bool *late)
{
    sim_worker *w = &l->workers[worker];
    *late = false;
    if (spared(l, worker) || w->reported)
        return w->dead;
    double u = draw(l);
    if (u >= l->sim.death + l->sim.hang + l->sim.slow)
        return false;
    bool dies = u < l->sim.death, hangs = !dies && u < l->sim.death + l->sim.hang;
    l->stats->deaths += dies;
    l->stats->hangs += hangs;
    w->dead = dies || hangs;
    *late = !w->dead;
    lose_worker(l, worker);
    return w->dead;
}

typedef struct sim_task { /* one that a worker was given */
    int64_t id;
    const sim_state *state;
    const dm_value *row;
    dm_answer given[8]; /* [n_given] */
    size_t n_given;
    int64_t most; /* requests; 0: any number */
} sim_task;

/* What a run comes to, of which n_calls calls were made here, and the answers of told of them were
 * told; more calls when the rule says that it takes more than one a predictor. spent: the calls
 * that were set aside for it did not do. */
static void make_result(sim_link *l, const sim_task *t, int64_t n_calls, int64_t told, bool spent,
                        dm_arena *a, dm_buf *out)
{
    const sim_state *s = t->state;
    dm_run_result r = {.score = NAN};
    dm_writer w;
    l->stats->runs++;
    /* a model that does not answer at all ends the run: another story */
    bool probe = l->pool->models[l->pool->model_of[s->work.role]].phase != DM_MODEL_GOOD;
    bool down = l->now >= l->sim.down_from && l->now < l->sim.down_to;
    if (!probe && (down || (l->sim.transport > 0 && draw(l) < l->sim.transport))) {
        r.fault = DM_FAULT_TRANSPORT;
        r.error = "simulated failure of the way";
    } else {
        l->sim.run(l->sim.user, &s->work, t->row, a, &r);
        int64_t more = r.usage.requests - (int64_t)s->candidate->program->n;
        spent = spent || (t->most > 0 && n_calls + more > t->most);
        if (n_calls > 0 && more > 0 && !spent) {
            n_calls += more;
            l->stats->calls += (size_t)more;
        }
    }
    if (spent) {
        r = (dm_run_result){.score = NAN, .fault = DM_FAULT_TRANSPORT};
        r.error = "the requests that were set aside are used";
    }
    n_calls -= told;
    r.usage = (dm_usage){.requests = n_calls,
                         .answers = n_calls - (r.fault != DM_FAULT_NONE && n_calls > 0),
                         .prompt = 100 * n_calls,
                         .completion = 10 * n_calls};
    dm_writer_init(&w, out);
    dm_write_result(&w, &r);
}

static uint64_t asked_of(const sim_task *t, size_t call)
{
    dm_hash row = dm_json_hash(t->row);
    return (dm_hash_u64(&t->state->candidate->hash) ^ dm_hash_u64(&row) ^ call) & INT64_MAX;
}

static bool is_given(const sim_task *t, size_t call)
{
    for (size_t i = 0; i < t->n_given; i++)
        if (t->given[i].call == call && t->given[i].asked == asked_of(t, call))
            return true;
    return false;
}

/* What was done before may not be done again: what the coordinator has, and what stood in the
 * journal when it was opened. */
static bool was_done(const sim_link *l, const sim_task *t, size_t call)
{
    const dm_cell *c = l->pool->cells[(uint32_t)t->id];
    dm_replay *replay = l->setup->replay;
    if (c->phase == DM_CELL_DONE || (replay && dm_replay_result(replay, &c->key).p))
        return true;
    dm_str bytes;
    for (size_t i = 0; replay && (bytes = dm_replay_answer(replay, &c->key, i)).p; i++) {
        dm_record rec;
        dm_reader in;
        bool same =
            dm_record_open(&rec, bytes, NULL, &in) && dm_read_answer_fields(&in).call == call;
        dm_record_free(&rec);
        if (same)
            return true;
    }
    return false;
}

static void begin_item(dm_buf *msg, dm_writer *out, int kind, int64_t id)
{
    dm_message_begin(msg, out, DM_MSG_RESULTS, 1);
    dm_write_array(out, 1);
    dm_write_array(out, 3);
    dm_write_int(out, kind);
    dm_write_int(out, id);
}

static void send_answer(sim_link *l, int worker, const sim_task *t, size_t call, double at)
{
    dm_buf msg;
    dm_writer out;
    dm_answer a = {.call = (uint32_t)call,
                   .asked = asked_of(t, call),
                   .content = DM_STR("simulated"),
                   .usage = {.requests = 1, .answers = 1, .prompt = 100, .completion = 10}};
    begin_item(&msg, &out, 0, t->id);
    dm_write_answer(&out, &a);
    post(l, at, worker, &msg);
}

/* Makes the calls that are not given, one after another on the place that is free first; tells the
 * answers as they come, and the result. */
static void do_task(sim_link *l, int worker, const sim_task *t, bool lost, bool late)
{
    sim_worker *w = &l->workers[worker];
    size_t best = 0, n = t->state->candidate->program->n;
    int64_t made = 0, told = 0;
    for (size_t i = 0; i < w->slots && i < 64; i++)
        if (w->free_at[i] < w->free_at[best])
            best = i;
    double at = fmax(w->free_at[best], l->now), after = late ? 4 * NOTICED : 0;
    bool spent = false;
    for (size_t call = 0; call < n; call++) {
        if (is_given(t, call))
            continue;
        spent = t->most > 0 && made == t->most;
        if (spent)
            break;
        at += l->sim.latency / (double)n * (0.2 + 4.8 * pow(draw(l), 3));
        made++;
        l->stats->calls++;
        l->stats->repeated += was_done(l, t, call);
        if (call + 1 < n && !lost) {
            send_answer(l, worker, t, call, at + after);
            told++;
        }
    }
    w->free_at[best] = at;
    dm_arena *a = dm_arena_new(4096);
    dm_buf msg, result;
    dm_writer out;
    dm_buf_init(&result, DM_MAX_MESSAGE);
    make_result(l, t, made, told, spent, a, &result);
    begin_item(&msg, &out, 1, t->id);
    dm_write_str(&out, dm_buf_view(&result));
    dm_buf_free(&result);
    dm_arena_free(a);
    if (lost)
        dm_buf_free(&msg);
    else
        post(l, at + after, worker, &msg);
}

static void take_task(sim_link *l, int worker, dm_reader *task, bool lost, bool late)
{
    sim_task t = {.id = dm_read_int(task)};
    dm_arena *a = dm_arena_new(1024);
    t.state = &l->states[dm_read_size(task, l->n_states ? l->n_states - 1 : 0)];
    t.most = dm_read_int(task);
    int64_t row = dm_read_int(task);
    dm_str json = dm_read_str(task);
    t.row = row >= 0 && (size_t)row < l->rows.n ? dm_row(&l->rows, (size_t)row)->row
                                                : dm_json_read(a, json, NULL);
    dm_reader given = dm_read_array(task);
    while (given.at < given.n && t.n_given < 8)
        t.given[t.n_given++] = dm_read_answer(&given);
    do_task(l, worker, &t, lost, late);
    dm_arena_free(a);
}

static void learn_state(sim_link *l, dm_reader *s)
{
    size_t id = dm_read_size(s, 1 << 24);
    dm_str program = dm_read_str(s), text = dm_read_str(s);
    dm_work work = dm_read_work(s);
    if (id >= l->n_states) {
        l->states = dm_grow(l->states, id + 1, sizeof *l->states);
        memset(l->states + l->n_states, 0, (id + 1 - l->n_states) * sizeof *l->states);
        l->n_states = id + 1;
    }
    if (l->states[id].candidate)
        return;
    const dm_program *p = l->setup->program;
    if (program.p) {
        dm_at at = dm_at_root(dm_json_read(l->arena, program, NULL), "state", DM_E_INTERNAL);
        p = dm_program_read(l->arena, &at, NULL);
    }
    dm_at at = dm_at_root(dm_json_read(l->arena, text, NULL), "state", DM_E_INTERNAL);
    work.candidate = l->states[id].candidate = dm_candidate_read(l->arena, p, &at, NULL);
    l->states[id].work = work;
}

static void take_shard(sim_link *l, int worker, dm_reader *in)
{
    dm_reader states = dm_read_array(in), tasks;
    while (states.at < states.n) {
        dm_reader s = dm_read_array(&states);
        learn_state(l, &s);
    }
    tasks = dm_read_array(in);
    bool late, lost = strike(l, worker, &late);
    while (tasks.at < tasks.n) {
        dm_reader t = dm_read_array(&tasks);
        take_task(l, worker, &t, lost, late);
    }
}

static void sim_send(dm_link *link, int worker, dm_buf *msg)
{
    sim_link *l = (sim_link *)link;
    dm_record rec;
    dm_reader in;
    dm_message_type type;
    if (dm_message_open(&rec, dm_buf_view(msg), &type, &in) && !l->workers[worker].dead &&
        !gets_lost(l, worker, l->sim.lost_to, &l->workers[worker].deaf)) {
        if (type == DM_MSG_SETUP)
            send_hello(l, worker);
        else if (type == DM_MSG_SHARD)
            take_shard(l, worker, &in);
        else if (type == DM_MSG_SLOTS) {
            dm_reader slots = dm_read_array(&in);
            int64_t n = dm_read_int(&slots);
            l->workers[worker].slots = n < 1 ? 1 : n > 64 ? 64 : (size_t)n;
        }
    }
    dm_record_free(&rec);
    dm_buf_free(msg);
}

/* ---- the link ---- */

static size_t sim_pending(dm_link *link, int worker)
{
    (void)link;
    (void)worker;
    return 0;
}

static bool due(const sim_link *l, bool loss)
{
    return l->n_events && l->events[0].due <= l->now && l->events[0].loss == loss;
}

/* The coordinator is killed: all that it does from here on is to unwind. What it has in its
 * journal's buffer may be in the file or not, or torn: the caller cuts it. */
static void kill_coordinator(sim_link *l)
{
    l->stats->died = true;
    l->stats->journal_bytes = l->setup->journal ? dm_journal_size(l->setup->journal) : 0;
    l->stats->journal_safe = l->setup->journal ? dm_journal_safe(l->setup->journal) : 0;
    dm_pool_fail(l->pool, DM_E_INTERNAL, "the coordinator is killed");
}

static bool sim_receive(dm_link *link, int *worker, dm_str *bytes)
{
    sim_link *l = (sim_link *)link;
    dm_buf_free(&l->current);
    if (++l->stats->turns == l->sim.dies_at)
        kill_coordinator(l);
    if (l->stats->died || !due(l, false))
        return false;
    event e = pop(l);
    l->current = e.bytes;
    *worker = e.worker;
    *bytes = dm_buf_view(&l->current);
    return true;
}

static int sim_lost(dm_link *link)
{
    sim_link *l = (sim_link *)link;
    return due(l, true) ? pop(l).worker : -1;
}

static void sim_wait(dm_link *link, double timeout)
{
    sim_link *l = (sim_link *)link;
    double until = l->now + timeout;
    l->now = l->n_events && l->events[0].due < until ? fmax(l->now, l->events[0].due) : until;
    l->stats->seconds = l->now;
    if (l->sim.limit > 0 && l->now > l->sim.limit)
        dm_pool_fail(l->pool, DM_E_INTERNAL, "no end after %.0f virtual seconds", l->now);
}

static double sim_now(dm_link *link)
{
    return ((sim_link *)link)->now;
}

static void sim_close(dm_link *link)
{
    sim_link *l = (sim_link *)link;
    while (l->n_events) {
        event e = pop(l);
        dm_buf_free(&e.bytes);
    }
    dm_buf_free(&l->current);
    free(l->events);
    free(l->workers);
    free(l->states);
    dm_arena_free(l->arena);
    free(l);
}

dm_pool *dm_pool_simulated_new(const dm_setup *s, const dm_simulation *sim,
                               dm_simulated_stats *stats, dm_error *err)
{
    static const dm_link_ops ops = {sim_send, sim_pending, sim_receive, sim_lost,
                                    sim_wait, sim_now,     sim_close};
    sim_link *l = dm_alloc(sizeof *l);
    *stats = (dm_simulated_stats){0};
    l->link = (dm_link){&ops, sim->ranks, true};
    l->sim = *sim;
    l->stats = stats;
    l->setup = s;
    l->arena = dm_arena_new(0);
    l->rows = dm_setup_rows(s);
    l->workers = dm_alloc_n((size_t)sim->ranks, sizeof *l->workers);
    for (int i = 0; i < sim->ranks; i++)
        l->workers[i].slots = 1;
    return l->pool = dm_pool_new(&l->link, s, err);
}
