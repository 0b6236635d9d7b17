#include "pool/simulated.h"
#include "base/random.h"
#include "json/json.h"
#include "pool/inside.h"
#include "pool/simulated_server.h"
#include "pool/worker.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NOTICED 1.5   /* s until a lost worker is noticed (src/cluster/README.md §7.2) */
#define TRAVEL  0.001 /* s that a message takes */

typedef struct event { /* a message on its way to the coordinator, the notice of a loss, or a time
                          at which a rank has something to do */
    double due;
    uint64_t order; /* of two at one time the earlier made goes first */
    int rank;
    bool loss;
    dm_buf bytes;
} event;

typedef struct heap { /* by due */
    event *events;    /* [n] */
    size_t n, cap;
} heap;

typedef struct sim_rank {
    struct sim_link *link;
    dm_worker *worker; /* NULL: it has had no work yet, and costs nothing */
    dm_transport *transport;
    dm_buf *mail; /* [n_mail] that came before any work did */
    size_t n_mail;
    bool reported, late; /* it is taken for lost; what it says comes late */
    bool deaf, mute;     /* what is sent to it, what it sends, gets lost */
    bool dead, starting, sent;
    double dies_at; /* or stops for good; INFINITY */
    double due;     /* when it has something to do; INFINITY */
} sim_rank;

typedef struct sim_link {
    dm_link link; /* first */
    dm_simulated_server server;
    const dm_simulation *sim;
    dm_simulated_stats *stats;
    dm_setup setup; /* of the ranks */
    dm_pool *pool;  /* NULL: not made yet */
    dm_shared *shared;
    dm_arena *arena;
    uint64_t orders;
    heap mail, wakes;
    sim_rank *ranks;
    dm_buf current;
} sim_link;

static double draw(sim_link *l)
{
    return dm_simulated_draw(&l->server);
}

/* ---- events: two binary heaps ---- */

static bool before(const event *a, const event *b)
{
    return a->due < b->due || (a->due == b->due && a->order < b->order);
}

static void push(sim_link *l, heap *h, double due, int rank, bool loss, const dm_buf *bytes)
{
    h->events = dm_room(h->events, h->n, &h->cap, sizeof *h->events);
    size_t i = h->n++;
    event e = {due, l->orders++, rank, loss, bytes ? *bytes : (dm_buf){0}};
    while (i > 0 && before(&e, &h->events[(i - 1) / 2])) {
        h->events[i] = h->events[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    h->events[i] = e;
}

static event pop(heap *h)
{
    event top = h->events[0], last = h->events[--h->n];
    size_t i = 0;
    for (;;) {
        size_t k = 2 * i + 1;
        if (k + 1 < h->n && before(&h->events[k + 1], &h->events[k]))
            k++;
        if (k >= h->n || !before(&h->events[k], &last))
            break;
        h->events[i] = h->events[k];
        i = k;
    }
    h->events[i] = last;
    return top;
}

static double next_due(const heap *h)
{
    return h->n ? h->events[0].due : INFINITY;
}

/* ---- losses ---- */

static bool spared(const sim_link *l, int rank)
{
    return rank < l->sim->survivors;
}

static void lose_rank(sim_link *l, int rank, double at)
{
    if (!l->ranks[rank].reported)
        push(l, &l->mail, at + NOTICED, rank, true, NULL);
    l->ranks[rank].reported = true;
}

static bool gets_lost(sim_link *l, int rank, double chance, bool *all)
{
    if (!*all && !spared(l, rank) && chance > 0 && draw(l) < chance) {
        *all = true;
        lose_rank(l, rank, l->server.now);
    }
    l->stats->lost_messages += *all;
    return *all;
}

/* To the coordinator. Takes the bytes. */
static void post(sim_link *l, int rank, dm_buf *msg)
{
    sim_rank *r = &l->ranks[rank];
    double due = l->server.now + TRAVEL + (r->late ? 4 * NOTICED : 0);
    if (gets_lost(l, rank, l->sim->lost_from, &r->mute)) {
        dm_buf_free(msg);
        return;
    }
    if (draw(l) < l->sim->duplicate) {
        dm_buf copy;
        dm_buf_init(&copy, DM_MAX_MESSAGE);
        dm_buf_str(&copy, dm_buf_view(msg));
        push(l, &l->mail, due + 10 * draw(l), rank, false, &copy);
        l->stats->duplicates++;
    }
    push(l, &l->mail, due, rank, false, msg);
}

/* Whether anything happens to the rank while it has this shard. */
static void strike(sim_link *l, int rank)
{
    sim_rank *r = &l->ranks[rank];
    const dm_simulation *sim = l->sim;
    if (spared(l, rank) || r->reported)
        return;
    double u = draw(l);
    if (u >= sim->death + sim->hang + sim->slow)
        return;
    bool dies = u < sim->death, hangs = !dies && u < sim->death + sim->hang;
    double at = l->server.now;
    l->stats->deaths += dies;
    l->stats->hangs += hangs;
    r->late = !dies && !hangs;
    if (!r->late)
        at = r->dies_at = at + 2 * sim->latency * draw(l); /* in the middle of its work */
    lose_rank(l, rank, at);
}

/* ---- ranks ---- */

static double now_of(void *user)
{
    return ((const dm_simulated_server *)user)->now;
}

static bool is_hello(const dm_buf *msg)
{
    dm_wire_message m;
    bool hello = dm_wire_open(&m, dm_buf_view(msg)) && m.type == DM_MSG_HELLO;
    dm_wire_close(&m);
    return hello;
}

static void from_rank(void *user, dm_buf *msg)
{
    sim_rank *r = user;
    r->sent = true;
    if (r->starting && is_hello(msg))
        dm_buf_free(msg); /* it was said when the rank was given its setup */
    else
        post(r->link, (int)(r - r->link->ranks), msg);
}

static void wake(sim_link *l, int rank, double due)
{
    sim_rank *r = &l->ranks[rank];
    due = fmin(due, r->dies_at);
    if (due == r->due || isinf(due))
        return;
    r->due = due;
    push(l, &l->wakes, due, rank, false, NULL);
}

static void forget_mail(sim_rank *r)
{
    for (size_t i = 0; i < r->n_mail; i++)
        dm_buf_free(&r->mail[i]);
    free(r->mail);
    r->mail = NULL;
    r->n_mail = 0;
}

static void end_rank(sim_rank *r)
{
    dm_worker_free(r->worker);
    r->worker = NULL;
    forget_mail(r);
}

/* All of its turns until there is nothing to do at this time. */
static void step(sim_link *l, int rank)
{
    sim_rank *r = &l->ranks[rank];
    double due;
    r->due = INFINITY;
    if (!r->worker || r->dead)
        return;
    if (r->dies_at <= l->server.now) {
        r->dead = true;
        end_rank(r);
        return;
    }
    do {
        r->sent = false;
        if (!dm_worker_step(r->worker, NULL, 0, INFINITY))
            return; /* it has failed, and said so */
    } while (dm_simulated_turned(r->transport, &due) || r->sent);
    wake(l, rank, due);
}

static void start_rank(sim_link *l, int rank)
{
    sim_rank *r = &l->ranks[rank];
    r->transport = dm_simulated_transport(&l->server);
    r->worker = dm_worker_new((dm_worker_port){.send = from_rank,
                                               .user = r,
                                               .clock = {now_of, &l->server},
                                               .transport = r->transport,
                                               .shared = l->shared},
                              NULL);
    r->starting = true;
    for (size_t i = 0; i < r->n_mail; i++)
        dm_worker_receive(r->worker, dm_buf_view(&r->mail[i]));
    r->starting = false;
    forget_mail(r);
}

static void say_hello(sim_link *l, int rank)
{
    dm_buf msg;
    dm_wire_put_hello(&msg, DM_STR("simulated"), rank);
    post(l, rank, &msg);
}

static void keep_mail(sim_rank *r, dm_buf *msg)
{
    r->mail = dm_grow(r->mail, r->n_mail + 1, sizeof *r->mail);
    r->mail[r->n_mail++] = *msg;
    *msg = (dm_buf){0};
}

/* Nothing that is done goes out again. */
static void check_shard(sim_link *l, dm_wire_message *m)
{
    dm_reader states, tasks;
    dm_wire_task t;
    if (!dm_wire_get_shard(m, &states, &tasks))
        return;
    while (dm_wire_next_task(&tasks, &t))
        l->stats->repeated += !t.asks_only && l->pool->cells[(uint32_t)t.id]->phase == DM_CELL_DONE;
}

/* A rank that has no work keeps what it is told, until it has; a slow server is nothing to it. */
static void deliver(sim_link *l, int rank, dm_wire_message *m, dm_buf *msg)
{
    sim_rank *r = &l->ranks[rank];
    if (m->type == DM_MSG_SHARD) {
        check_shard(l, m);
        strike(l, rank);
    }
    if (!r->worker && m->type == DM_MSG_SETUP)
        say_hello(l, rank);
    if (!r->worker && m->type != DM_MSG_SHARD && m->type != DM_MSG_DRAIN) {
        if (m->type != DM_MSG_SLOW) /* limits are kept */
            keep_mail(r, msg);
        return;
    }
    if (!r->worker)
        start_rank(l, rank);
    dm_worker_receive(r->worker, dm_buf_view(msg));
    wake(l, rank, l->server.now);
}

static void sim_send(dm_link *link, int rank, dm_buf *msg)
{
    sim_link *l = (sim_link *)link;
    sim_rank *r = &l->ranks[rank];
    dm_wire_message m;
    if (dm_wire_open(&m, dm_buf_view(msg)) && !r->dead &&
        !gets_lost(l, rank, l->sim->lost_to, &r->deaf))
        deliver(l, rank, &m, msg);
    dm_wire_close(&m);
    dm_buf_free(msg);
}

/* ---- the link ---- */

static size_t sim_pending(dm_link *link, int rank)
{
    (void)link;
    (void)rank;
    return 0;
}

static bool due(const sim_link *l, bool loss)
{
    return next_due(&l->mail) <= l->server.now && l->mail.events[0].loss == loss;
}

/* The coordinator is killed: all that it does from here on is to unwind. What it has in its
 * journal's buffer may be in the file or not, or torn: the caller cuts it. */
static void kill_coordinator(sim_link *l)
{
    l->stats->died = true;
    dm_journal *j = l->pool->setup->journal;
    l->stats->journal_bytes = j ? dm_journal_size(j) : 0;
    l->stats->journal_safe = j ? dm_journal_safe(j) : 0;
    dm_pool_fail(l->pool, DM_E_INTERNAL, "the coordinator is killed");
}

static bool journal_has(const sim_link *l, uint64_t bytes)
{
    const dm_journal *j = l->pool->setup->journal;
    return bytes > 0 && j && dm_journal_size(j) >= bytes;
}

static bool sim_receive(dm_link *link, int *worker, dm_str *bytes)
{
    sim_link *l = (sim_link *)link;
    dm_buf_free(&l->current);
    bool now = ++l->stats->turns == l->sim->dies_at || journal_has(l, l->sim->dies_behind);
    if (now && !l->stats->died)
        kill_coordinator(l);
    if (l->stats->died || !due(l, false))
        return false;
    event e = pop(&l->mail);
    l->current = e.bytes;
    *worker = e.rank;
    *bytes = dm_buf_view(&l->current);
    return true;
}

static int sim_lost(dm_link *link)
{
    sim_link *l = (sim_link *)link;
    return due(l, true) ? pop(&l->mail).rank : -1;
}

static void sim_wait(dm_link *link, double timeout)
{
    sim_link *l = (sim_link *)link;
    double *now = &l->server.now, until = *now + timeout, due;
    /* The ranks go with their coordinator. */
    while (!l->stats->died && (due = next_due(&l->wakes)) <= until && due <= next_due(&l->mail)) {
        event e = pop(&l->wakes);
        *now = fmax(*now, due);
        if (l->ranks[e.rank].due == due)
            step(l, e.rank);
    }
    *now = fmax(*now, fmin(until, next_due(&l->mail)));
    l->stats->seconds = *now;
    if (l->sim->limit > 0 && *now > l->sim->limit)
        dm_pool_fail(l->pool, DM_E_INTERNAL, "no end after %.0f virtual seconds", *now);
}

static double sim_now(dm_link *link)
{
    return ((sim_link *)link)->server.now;
}

static void sim_close(dm_link *link)
{
    sim_link *l = (sim_link *)link;
    for (size_t i = 0; i < l->mail.n; i++)
        dm_buf_free(&l->mail.events[i].bytes);
    for (int i = 0; i < link->n_workers; i++)
        end_rank(&l->ranks[i]);
    dm_buf_free(&l->current);
    free(l->mail.events);
    free(l->wakes.events);
    free(l->ranks);
    dm_shared_free(l->shared);
    dm_simulated_server_free(&l->server);
    dm_arena_free(l->arena);
    free(l);
}

/* The fake server is behind every model, stand-ins too. */
static const dm_value *served(dm_arena *a, const dm_value *lm)
{
    const dm_value *model = dm_value_get(lm, "model");
    dm_value *d = dm_value_dict(a);
    const char *name = model && model->kind == DM_STRING ? strchr(model->text.p, '/') : NULL;
    if (!name || !dm_str_starts(model->text, "embedded/"))
        return lm;
    for (size_t i = 0; i < lm->n; i++)
        dm_value_set(a, d, lm->members[i].key, lm->members[i].value);
    dm_value_set(a, d, DM_STR("model"),
                 dm_value_text(a, dm_arena_printf(a, "hosted_vllm%s", name)));
    return d;
}

static dm_setup setup_of_ranks(dm_arena *a, const dm_setup *s)
{
    dm_setup own = *s;
    for (int i = 0; i < DM_ROLES; i++) {
        int same = s->lm[i] ? dm_setup_model_of(s, i) : i;
        own.lm[i] = !s->lm[i] ? NULL : same < i ? own.lm[same] : served(a, s->lm[i]);
    }
    return own;
}

dm_pool *dm_pool_simulated_new(const dm_setup *s, const dm_simulation *sim,
                               dm_simulated_stats *stats, dm_error *err)
{
    static const dm_link_ops ops = {sim_send, sim_pending, sim_receive, sim_lost,
                                    sim_wait, sim_now,     sim_close};
    sim_link *l = dm_alloc(sizeof *l);
    *stats = (dm_simulated_stats){0};
    l->link = (dm_link){&ops, sim->ranks, true};
    l->server = (dm_simulated_server){.sim = *sim, .stats = stats, .scratch = dm_arena_new(4096)};
    l->sim = &l->server.sim;
    l->stats = stats;
    l->arena = dm_arena_new(0);
    l->setup = setup_of_ranks(l->arena, s);
    l->shared = dm_shared_new(&l->setup, NULL);
    l->ranks = dm_alloc_n((size_t)sim->ranks, sizeof *l->ranks);
    for (int i = 0; i < sim->ranks; i++)
        l->ranks[i] = (sim_rank){.link = l, .dies_at = INFINITY, .due = INFINITY};
    l->pool = dm_pool_new(&l->link, s, err);
    l->server.pool = l->pool;
    return l->pool;
}
