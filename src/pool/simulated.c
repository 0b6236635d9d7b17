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
    size_t prefix[8]; /* bytes */
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
    dm_wire_put_hello(&msg, DM_STR("simulated"), worker);
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
    int64_t most;   /* requests; 0: any number */
    bool asks_only; /* one call, to see whether it is answered */
} sim_task;

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
        dm_answer a;
        bool same = dm_open_answer(&rec, bytes, &a) && a.call == call;
        dm_record_free(&rec);
        if (same)
            return true;
    }
    return false;
}

static void put_item(dm_buf *msg, const dm_wire_item *it)
{
    dm_wire_list l;
    dm_wire_list_init(&l);
    dm_wire_add_item(&l, it);
    dm_wire_put_results(msg, &l);
    dm_wire_list_free(&l);
}

static void send_answer(sim_link *l, int worker, const sim_task *t, size_t call,
                        const dm_usage *usage, double at)
{
    dm_buf msg;
    dm_answer a = {.call = (uint32_t)call,
                   .asked = asked_of(t, call),
                   .content = DM_STR("simulated"),
                   .usage = *usage};
    put_item(&msg, &(dm_wire_item){.kind = DM_ITEM_ANSWER, .task = t->id, .answer = a});
    post(l, at, worker, &msg);
}

/* ---- requests ---- */

/* Of the prompt, about four bytes each. */
static int64_t prompt_tokens(sim_link *l, const sim_task *t, size_t call)
{
    const sim_state *s = t->state;
    dm_arena *a = dm_arena_new(1024);
    dm_str user = {NULL, 0};
    dm_error err;
    size_t predictor = call % s->candidate->program->n;
    if (dm_adapter_user(a, DM_CHAT, s->candidate->program->predictors[predictor].signature, t->row,
                        &user, &err) != DM_OK)
        user.n = 0;
    dm_arena_free(a);
    double unlike = 0.95 + 0.1 * dm_draw_double(l->sim.seed, 0x52, asked_of(t, call));
    return (int64_t)(unlike * (double)(s->prefix[predictor & 7] + user.n) / 4);
}

static const dm_lm_config *model_of(const sim_link *l, dm_role role)
{
    return l->pool->models[l->pool->model_of[role]].config;
}

/* One request; false: it failed. What the server bills is in the stats, what it told in u. */
static bool send_request(sim_link *l, const sim_task *t, size_t call, double fails, dm_usage *u)
{
    const dm_lm_config *m = model_of(l, t->state->work.role);
    int64_t most = m->has_max_tokens ? m->max_tokens : 10;
    int64_t prompt = prompt_tokens(l, t, call);
    double what = fails > 0 ? dm_draw_double(l->sim.seed, 0x54, l->stats->calls) : 1;
    int64_t completion =
        1 + (int64_t)(dm_draw(l->sim.seed, 0x53, l->stats->calls) % (uint64_t)most);
    u->requests++;
    l->stats->calls++;
    l->stats->longest = fmax(l->stats->longest, (double)prompt);
    if (what < l->sim.refused * fails)
        return false;
    l->stats->tokens += (double)(prompt + completion);
    l->stats->cost += m->price.known ? dm_price_of(&m->price, prompt, completion, 0) : 0;
    if (what < (l->sim.refused + l->sim.unanswered) * fails) {
        u->untold++;
        return false;
    }
    u->answers++;
    u->prompt += prompt;
    u->completion += completion;
    return true;
}

typedef struct sim_run { /* of a task */
    int64_t made;        /* requests */
    bool spent;          /* those that were set aside did not do */
    bool failed;         /* on the way */
    bool odd;            /* at replies that were no answers */
    dm_usage rest;       /* beside what was told */
} sim_run;

static bool is_poisoned(const sim_link *l, const sim_task *t)
{
    dm_hash row = dm_json_hash(t->row);
    return dm_draw_double(l->sim.seed, 0x55, dm_hash_u64(&row)) < l->sim.poison;
}

/* Whether the reply to one request is no answer; what it cost is not told. */
static bool is_odd(sim_link *l, const sim_task *t, dm_usage *u)
{
    bool poisoned = l->sim.poison > 0 && is_poisoned(l, t);
    if (!poisoned && (l->sim.odd <= 0 || draw(l) >= l->sim.odd))
        return false;
    l->stats->poisoned += poisoned;
    l->stats->calls++;
    u->requests++;
    u->untold++;
    u->odd++;
    return true;
}

/* A call with its retries. */
static bool make_call(sim_link *l, const sim_task *t, size_t call, sim_run *r, dm_usage *u)
{
    /* a model that does not answer at all ends the run: another story */
    const dm_model *m = &l->pool->models[l->pool->model_of[t->state->work.role]];
    bool good = m->phase == DM_MODEL_GOOD, first = t->most > 0 && m->in_vain == 0;
    for (int i = 0; i <= m->config->num_retries; i++) {
        if (t->most > 0 && r->made == t->most) {
            r->spent = true;
            return false;
        }
        r->made++;
        if (is_odd(l, t, u)) {
            r->odd = i == m->config->num_retries || u->odd == 3;
            if (r->odd)
                return false;
            continue;
        }
        if (send_request(l, t, call, good || (first && i < 2), u))
            return true;
        r->failed = i == m->config->num_retries;
    }
    return false;
}

/* What a run comes to; it takes more calls when the rule says that it takes more than one a
 * predictor. */
static void make_result(sim_link *l, const sim_task *t, sim_run *run, dm_arena *a, dm_buf *out)
{
    const sim_state *s = t->state;
    dm_run_result r = {.score = NAN};
    dm_writer w;
    l->stats->runs++;
    bool probe = l->pool->models[l->pool->model_of[s->work.role]].phase != DM_MODEL_GOOD;
    bool down = l->now >= l->sim.down_from && l->now < l->sim.down_to;
    bool ok = !run->spent && !run->failed && !run->odd && !t->asks_only;
    if (ok && !probe && (down || (l->sim.transport > 0 && draw(l) < l->sim.transport))) {
        run->failed = true;
    } else if (ok) {
        l->sim.run(l->sim.user, &s->work, t->row, a, &r);
        int64_t n = (int64_t)s->candidate->program->n;
        for (int64_t more = r.usage.requests - n; run->made > 0 && more > 0 && ok; more--)
            ok = make_call(l, t, (size_t)(n + more), run, &run->rest);
    }
    if (run->odd) {
        r = (dm_run_result){.score = NAN, .fault = DM_FAULT_SERVER, .error = "simulated 500"};
    } else if (run->spent || run->failed) {
        r = (dm_run_result){.score = NAN, .fault = DM_FAULT_TRANSPORT};
        r.error = run->spent ? "the requests that were set aside are used"
                             : "simulated failure of the way";
        l->stats->spent += run->spent;
    }
    r.usage = run->rest;
    dm_writer_init(&w, out);
    dm_write_result(&w, &r);
}

/* Makes the calls that are not given, one after another on the place that is free first; tells the
 * answers as they come, and the result. */
static void do_task(sim_link *l, int worker, const sim_task *t, bool lost, bool late)
{
    sim_worker *w = &l->workers[worker];
    size_t best = 0, n = t->asks_only ? 1 : t->state->candidate->program->n;
    sim_run run = {0};
    for (size_t i = 0; i < w->slots && i < 64; i++)
        if (w->free_at[i] < w->free_at[best])
            best = i;
    double at = fmax(w->free_at[best], l->now), after = late ? 4 * NOTICED : 0;
    for (size_t call = 0; call < n && !run.spent && !run.failed && !run.odd; call++) {
        dm_usage u = {0};
        if (is_given(t, call))
            continue;
        bool again = was_done(l, t, call);
        at += l->sim.latency / (double)n * (0.2 + 4.8 * pow(draw(l), 3));
        if (make_call(l, t, call, &run, &u) && call + 1 < n && !lost)
            send_answer(l, worker, t, call, &u, at + after);
        else
            dm_usage_add(&run.rest, &u);
        l->stats->repeated += again && u.requests > 0 && !t->asks_only;
    }
    w->free_at[best] = at;
    dm_arena *a = dm_arena_new(4096);
    dm_buf msg, result;
    dm_buf_init(&result, DM_MAX_MESSAGE);
    make_result(l, t, &run, a, &result);
    put_item(&msg, &(dm_wire_item){.kind = DM_ITEM_RESULT,
                                   .task = t->id,
                                   .result = dm_buf_view(&result)});
    dm_buf_free(&result);
    dm_arena_free(a);
    if (lost)
        dm_buf_free(&msg);
    else
        post(l, at + after, worker, &msg);
}

static void take_task(sim_link *l, int worker, dm_wire_task *m, bool lost, bool late)
{
    sim_task t = {.id = m->id, .state = &l->states[m->state], .most = m->most};
    dm_arena *a = dm_arena_new(1024);
    t.row = m->row >= 0 ? dm_row(&l->rows, (size_t)m->row)->row : dm_json_read(a, m->json, NULL);
    while (t.n_given < 8 && dm_wire_next_answer(&m->given, &t.given[t.n_given]))
        t.n_given++;
    t.asks_only = m->odd < 0;
    do_task(l, worker, &t, lost, late);
    dm_arena_free(a);
}

static void learn_state(sim_link *l, const dm_wire_state *s)
{
    size_t id = s->id;
    if (id >= l->n_states) {
        l->states = dm_grow(l->states, id + 1, sizeof *l->states);
        memset(l->states + l->n_states, 0, (id + 1 - l->n_states) * sizeof *l->states);
        l->n_states = id + 1;
    }
    if (l->states[id].candidate)
        return;
    const dm_program *p = l->setup->program;
    if (s->program.p) {
        dm_at at = dm_at_root(dm_json_read(l->arena, s->program, NULL), "state", DM_E_INTERNAL);
        p = dm_program_read(l->arena, &at, NULL);
    }
    dm_at at = dm_at_root(dm_json_read(l->arena, s->candidate, NULL), "state", DM_E_INTERNAL);
    l->states[id].candidate = dm_candidate_read(l->arena, p, &at, NULL);
    l->states[id].work = s->work;
    l->states[id].work.candidate = l->states[id].candidate;
    for (size_t i = 0; i < p->n && i < 8; i++) {
        dm_arena *a = dm_arena_new(0);
        const dm_candidate_part *part = &l->states[id].candidate->parts[i];
        dm_prefix prefix;
        dm_error err;
        if (dm_adapter_prefix(a, DM_CHAT, p->predictors[i].signature, part->instructions,
                              part->demos, part->n_demos, &prefix, &err) == DM_OK)
            l->states[id].prefix[i] = dm_lm_head(a, model_of(l, s->work.role), &prefix).n;
        dm_arena_free(a);
    }
}

static void take_shard(sim_link *l, int worker, dm_wire_message *m)
{
    dm_reader states, tasks;
    dm_wire_state s;
    dm_wire_task t;
    if (!dm_wire_get_shard(m, &states, &tasks))
        return;
    while (dm_wire_next_state(&states, &s))
        learn_state(l, &s);
    bool late, lost = strike(l, worker, &late);
    while (dm_wire_next_task(&tasks, &t))
        take_task(l, worker, &t, lost, late);
}

static void sim_send(dm_link *link, int worker, dm_buf *msg)
{
    sim_link *l = (sim_link *)link;
    dm_wire_message m;
    dm_wire_slots slots;
    if (dm_wire_open(&m, dm_buf_view(msg)) && !l->workers[worker].dead &&
        !gets_lost(l, worker, l->sim.lost_to, &l->workers[worker].deaf)) {
        if (m.type == DM_MSG_SETUP)
            send_hello(l, worker);
        else if (m.type == DM_MSG_SHARD)
            take_shard(l, worker, &m);
        else if (m.type == DM_MSG_SLOTS && dm_wire_get_slots(&m, &slots))
            l->workers[worker].slots = slots.n[0] < 1    ? 1
                                       : slots.n[0] > 64 ? 64
                                                         : (size_t)slots.n[0];
    }
    dm_wire_close(&m);
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
