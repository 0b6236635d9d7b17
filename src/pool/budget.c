/* The budget: what work may go out (DESIGN.md §4).
 *
 * Under a cap the cells of each strand, and those of the optimizer itself, stand in an account in
 * the order in which they were asked for. A cell is released when what the account has spent, what
 * is out, and the most that the cell can cost stay within the account's share; else it waits until
 * what is out has settled. When nothing is out any more and it still does not fit, the account is
 * cut: waits on what it did not release say "stopped: budget". So the cut is a prefix of the
 * account's own order, which depends on answers alone: it is the same at any number of ranks (where
 * no attempt failed on the way).
 *
 * A cell that two accounts want is run once and charged to both; what that leaves over passes on
 * when the phase ends (dm_pool_merge). Released is what may be billed at the most, so the sum of
 * the shares, and with it the cap, is never passed. Before that sum grows, a mark goes into the
 * journal, and onto the disk: after a crash all up to the mark counts as spent. */
#include "pool/inside.h"
#include "base/log.h"
#include "json/json.h"

#include <stdlib.h>

#define BYTES_AROUND                                                                               \
    600                /* of a prompt beside its prefix and the example: marks, what is asked for */
#define SURE_RATIO 1.3 /* over the largest measured ratio of tokens to bytes */
#define MEASURED   8   /* cells that it takes */

typedef struct entry {
    uint32_t cell;
    bool released, settled;
    dm_amount reserve;
} entry;

struct dm_account {
    dm_account *next;
    dm_amount share, spent, reserved;
    entry *entries; /* [n] in the order they were asked for */
    size_t n, cap, head, unsettled;
    bool cut;
};

typedef struct charge { /* a cell stands in this account */
    struct charge *next;
    dm_account *account;
    size_t entry;
} charge;

struct dm_bill { /* of a cell */
    charge *charges;
    dm_amount out;   /* reserved while it is released */
    dm_usage before; /* of the job's earlier attempts */
    dm_usage told;   /* of answers since it was sent out the last time */
    dm_usage due;    /* what it cost in all, once done */
    bool sent;       /* it is at a worker */
    bool counted;    /* among what the run has spent */
};

static struct dm_bill *bill_of(dm_pool *p, dm_cell *c)
{
    if (!c->bill)
        c->bill = dm_arena_alloc(p->arena, sizeof *c->bill);
    return c->bill;
}

static dm_account *new_account(dm_pool *p, dm_amount share)
{
    dm_account *a = dm_arena_alloc(p->arena, sizeof *a), **end = &p->budget.accounts;
    a->share = share;
    while (*end)
        end = &(*end)->next;
    *end = a;
    return a;
}

static dm_account *current(const dm_pool *p)
{
    return p->running ? p->running->account : p->budget.main;
}

bool dm_pool_capped(const dm_pool *p)
{
    return p->budget.main != NULL;
}

/* ---- amounts ---- */

dm_amount dm_amount_of(const dm_pool *p, int model, const dm_usage *u)
{
    const dm_lm_config *c = p->models[model].config;
    dm_amount a = {(double)u->requests, (double)(u->prompt + u->completion), 0};
    if (c && c->price.known)
        a.cost = dm_price_of(&c->price, u->prompt, u->completion, u->cached);
    return a;
}

static double calls_of(const dm_pool *p, const dm_state *s)
{
    bool twice =
        p->setup->json_fallback && dm_adapter_fallback(p->setup->adapter) != p->setup->adapter;
    return (double)s->work.candidate->program->n * (twice ? 2 : 1);
}

static double bytes_of_json(const dm_value *v)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_json_write(&b, v, DM_JSON_PYTHON);
    double n = (double)b.len;
    dm_buf_free(&b);
    return n;
}

/* Of the prompts of all predictors together, without the example. */
static double bytes_of_state(dm_pool *p, dm_state *s)
{
    const dm_candidate *c = s->work.candidate;
    if (s->bytes > 0)
        return s->bytes;
    dm_arena *a = dm_arena_new(0);
    for (size_t i = 0; i < c->program->n; i++) {
        dm_prefix prefix = {NULL, 0, {NULL, 0}};
        dm_error err;
        if (dm_adapter_prefix(a, p->setup->adapter, c->program->predictors[i].signature,
                              c->parts[i].instructions, c->parts[i].demos, c->parts[i].n_demos,
                              &prefix, &err) == DM_OK)
            s->bytes += (double)prefix.json.n;
        s->bytes += BYTES_AROUND;
    }
    dm_arena_free(a);
    return s->bytes;
}

static double bytes_of_run(dm_pool *p, const dm_cell *c)
{
    dm_state *s = &p->states[c->state];
    return bytes_of_state(p, s) +
           (double)s->work.candidate->program->n * bytes_of_json(c->example->row);
}

/* The most that a run of the cell can cost. */
static dm_amount reserve_of(dm_pool *p, const dm_cell *c)
{
    const dm_state *s = &p->states[c->state];
    const dm_model *m = &p->models[s->model];
    dm_amount r = {.calls = calls_of(p, s)};
    if (isinf(p->budget.cap.tokens) && isinf(p->budget.cap.cost))
        return r;
    double n = (double)s->work.candidate->program->n, most = (double)m->config->max_tokens;
    double ratio = m->measured >= MEASURED ? fmin(1, SURE_RATIO * m->ratio) : 1;
    /* a later step may be shown what the earlier ones wrote */
    double prompt = r.calls / n * (ratio * bytes_of_run(p, c) + most * n * (n - 1) / 2);
    double completion = r.calls * most;
    r.tokens = prompt + completion;
    if (m->config->price.known)
        r.cost = dm_price_of(&m->config->price, (int64_t)ceil(prompt), (int64_t)completion, 0);
    return r;
}

static void measure(dm_pool *p, const dm_cell *c, const dm_usage *u)
{
    dm_state *s = &p->states[c->state];
    dm_model *m = &p->models[s->model];
    if (u->answers <= 0 || u->prompt <= 0 ||
        (isinf(p->budget.cap.tokens) && isinf(p->budget.cap.cost)))
        return;
    double calls = (double)u->answers / (double)s->work.candidate->program->n;
    m->ratio = fmax(m->ratio, (double)u->prompt / (calls * bytes_of_run(p, c)));
    m->measured++;
}

/* ---- the mark in the journal ---- */

/* What may be billed by now, all attempts. */
static dm_amount committed(const dm_pool *p)
{
    dm_amount sum = dm_amount_plus(p->budget.lost, p->budget.spent);
    return dm_amount_plus(sum, p->budget.sent);
}

static void write_mark(dm_pool *p, dm_amount mark)
{
    dm_buf b;
    dm_writer w;
    p->budget.mark = mark;
    if (!p->setup->journal)
        return;
    dm_buf_init(&b, 4096);
    dm_writer_init(&w, &b);
    dm_write_array(&w, 3);
    dm_write_double(&w, mark.calls);
    dm_write_double(&w, mark.tokens);
    dm_write_double(&w, mark.cost);
    dm_journal_add(p->setup->journal, DM_JOURNAL_USAGE, dm_buf_view(&b));
    dm_buf_free(&b);
    dm_error err = {DM_OK, ""};
    if (dm_journal_sync(p->setup->journal, p->link->ops->now(p->link), &err) != DM_OK)
        dm_pool_fail(p, err.status, "%s", err.text);
}

/* A hundredth of the cap ahead, so that a mark is rare. */
static void keep_ahead(dm_pool *p)
{
    dm_amount now = committed(p), cap = p->budget.cap;
    if (dm_amount_within(now, p->budget.mark))
        return;
    dm_amount ahead = {isinf(cap.calls) ? 64 : cap.calls / 100,
                       isinf(cap.tokens) ? 1e5 : cap.tokens / 100,
                       isinf(cap.cost) ? 1 : cap.cost / 100};
    write_mark(p, dm_amount_plus(now, ahead));
}

/* ---- entries ---- */

static charge *charge_of(const dm_cell *c, const dm_account *a)
{
    charge *k = c->bill ? c->bill->charges : NULL;
    while (k && k->account != a)
        k = k->next;
    return k;
}

static void wake_waiters(dm_cell *c, const dm_account *a)
{
    for (dm_waiter **w = &c->waiters; *w;) {
        if ((*w)->future->account != a) {
            w = &(*w)->next;
            continue;
        }
        (*w)->future->n_done++;
        *w = (*w)->next;
    }
}

static void settle(dm_account *a, entry *e, dm_amount actual)
{
    a->reserved = dm_amount_minus(a->reserved, e->reserve);
    a->spent = dm_amount_plus(a->spent, actual);
    a->unsettled--;
    e->settled = true;
}

/* What the cell cost in all, however many attempts of the job it took. */
static void settle_done(dm_pool *p, dm_cell *c, dm_account *a, entry *e)
{
    struct dm_bill *bill = bill_of(p, c);
    dm_amount actual = dm_amount_of(p, p->states[c->state].model, &bill->due);
    settle(a, e, actual);
    if (!bill->counted)
        p->budget.charged = dm_amount_plus(p->budget.charged, actual);
    bill->counted = true;
    wake_waiters(c, a);
}

void dm_budget_before(dm_pool *p, dm_cell *c, const dm_usage *usage)
{
    if (p->setup->cap)
        dm_usage_add(&bill_of(p, c)->before, usage);
}

void dm_budget_told(dm_pool *p, dm_cell *c, const dm_usage *usage)
{
    if (p->setup->cap)
        dm_usage_add(&bill_of(p, c)->told, usage);
}

void dm_budget_want(dm_pool *p, uint32_t number, dm_future *f)
{
    dm_account *a = current(p);
    dm_cell *c = p->cells[number];
    charge *k = charge_of(c, a);
    struct dm_bill *bill = bill_of(p, c);
    f->account = a;
    if (k && a->entries[k->entry].settled && c->phase == DM_CELL_DONE) {
        f->n_done++;
        return;
    }
    dm_waiter *w = dm_arena_alloc(p->arena, sizeof *w);
    *w = (dm_waiter){c->waiters, f};
    c->waiters = w;
    if (k)
        return;
    if (a->n == a->cap) {
        size_t cap = a->cap ? 2 * a->cap : 64;
        entry *more = dm_arena_alloc_n(p->arena, cap, sizeof *more);
        for (size_t i = 0; i < a->n; i++)
            more[i] = a->entries[i];
        a->entries = more;
        a->cap = cap;
    }
    k = dm_arena_alloc(p->arena, sizeof *k);
    *k = (charge){bill->charges, a, a->n};
    bill->charges = k;
    a->entries[a->n++] = (entry){.cell = number};
}

static bool fits(const dm_account *a, dm_amount more)
{
    return dm_amount_within(dm_amount_plus(dm_amount_plus(a->spent, a->reserved), more), a->share);
}

/* Where an earlier attempt spent on what this one does not ask for. */
static bool may_go_out(const dm_pool *p, const dm_cell *c, dm_amount reserve)
{
    dm_amount sum = dm_amount_plus(p->budget.lost, p->budget.spent);
    sum = dm_amount_plus(dm_amount_plus(sum, p->budget.out), reserve);
    return c->phase != DM_CELL_IDLE || dm_amount_within(sum, p->budget.cap);
}

static void release(dm_pool *p, dm_account *a, entry *e, dm_amount reserve)
{
    dm_cell *c = p->cells[e->cell];
    e->released = true;
    e->reserve = reserve;
    a->reserved = dm_amount_plus(a->reserved, reserve);
    a->unsettled++;
    if (c->phase == DM_CELL_DONE) {
        settle_done(p, c, a, e);
    } else if (c->phase == DM_CELL_IDLE) {
        c->bill->out = reserve;
        p->budget.out = dm_amount_plus(p->budget.out, reserve);
        dm_cell_requeue(p, e->cell, 0);
    }
}

bool dm_budget_release(dm_pool *p)
{
    bool news = false;
    if (p->stop || p->failed)
        return false;
    for (dm_account *a = p->budget.accounts; a; a = a->next) {
        while (a->head < a->n && !a->cut) {
            entry *e = &a->entries[a->head];
            dm_amount reserve = reserve_of(p, p->cells[e->cell]);
            if (!fits(a, reserve) || !may_go_out(p, p->cells[e->cell], reserve)) {
                a->cut = a->unsettled == 0;
                news |= a->cut;
                break;
            }
            release(p, a, e, reserve);
            a->head++;
            news |= e->settled;
        }
    }
    return news;
}

void dm_budget_sent(dm_pool *p, dm_cell *c)
{
    if (!dm_pool_capped(p))
        return;
    c->bill->sent = true;
    p->budget.sent = dm_amount_plus(p->budget.sent, c->bill->out);
    keep_ahead(p);
}

static void take_off(dm_pool *p, dm_cell *c)
{
    struct dm_bill *bill = bill_of(p, c);
    p->budget.out = dm_amount_minus(p->budget.out, bill->out);
    if (bill->sent)
        p->budget.sent = dm_amount_minus(p->budget.sent, bill->out);
    bill->out = (dm_amount){0, 0, 0};
    bill->sent = false;
}

void dm_budget_done(dm_pool *p, dm_cell *c, const dm_usage *usage)
{
    struct dm_bill *bill = bill_of(p, c);
    dm_usage u = *usage;
    take_off(p, c);
    dm_usage_add(&u, &bill->told);
    if (!c->replayed)
        p->budget.spent =
            dm_amount_plus(p->budget.spent, dm_amount_of(p, p->states[c->state].model, &u));
    dm_usage_add(&u, &bill->before);
    measure(p, c, &u);
    bill->due = u;
    for (charge *k = bill->charges; k; k = k->next) {
        entry *e = &k->account->entries[k->entry];
        if (e->released && !e->settled)
            settle_done(p, c, k->account, e);
    }
}

bool dm_budget_again(dm_pool *p, dm_cell *c, const dm_usage *usage)
{
    struct dm_bill *bill = bill_of(p, c);
    dm_amount gone = bill->out;
    bool any = false;
    if (usage) {
        dm_usage u = *usage;
        dm_usage_add(&u, &bill->told);
        gone = dm_amount_of(p, p->states[c->state].model, &u);
    }
    bill->told = (dm_usage){0};
    take_off(p, c);
    p->budget.spent = dm_amount_plus(p->budget.spent, gone);
    p->budget.charged = dm_amount_plus(p->budget.charged, gone);
    for (charge *k = c->bill->charges; k; k = k->next) {
        dm_account *a = k->account;
        entry *e = &a->entries[k->entry];
        if (!e->released || e->settled)
            continue;
        settle(a, e, gone);
        e->settled = false;
        if (a->cut || !fits(a, e->reserve)) { /* it stays undone: what waits for it is cut */
            a->cut = true;
            e->settled = true;
            continue;
        }
        a->reserved = dm_amount_plus(a->reserved, e->reserve);
        a->unsettled++;
        c->bill->out = e->reserve;
        any = true;
    }
    p->budget.out = dm_amount_plus(p->budget.out, c->bill->out);
    return any;
}

bool dm_budget_cut(const dm_account *a)
{
    return a && a->cut && a->unsettled == 0;
}

int64_t dm_budget_allowance(const dm_pool *p, const dm_cell *c)
{
    return dm_pool_capped(p) ? (int64_t)calls_of(p, &p->states[c->state]) : 0;
}

/* ---- phases ---- */

static bool any_unsettled(const dm_pool *p)
{
    for (const dm_account *a = p->budget.accounts; a; a = a->next)
        if (a->unsettled)
            return true;
    return false;
}

static void settle_all(dm_pool *p)
{
    while (any_unsettled(p) && !p->failed && !p->stop)
        dm_pool_pump(p, INFINITY);
}

void dm_pool_split(dm_pool *p, size_t n, double part)
{
    dm_account *m = p->budget.main;
    if (!m || n == 0)
        return;
    dm_amount left = dm_amount_minus(m->share, m->spent);
    dm_amount each = dm_amount_times(left, part / (double)n);
    m->share = dm_amount_minus(m->share, dm_amount_times(left, part));
    if (isnan(m->share.calls))
        m->share.calls = INFINITY; /* no cap less no cap */
    if (isnan(m->share.tokens))
        m->share.tokens = INFINITY;
    if (isnan(m->share.cost))
        m->share.cost = INFINITY;
    p->budget.each = each;
    p->budget.n_each = n;
}

void dm_pool_merge(dm_pool *p)
{
    dm_account *m = p->budget.main;
    if (!m)
        return;
    settle_all(p);
    p->budget.n_each = 0;
    dm_amount left =
        dm_amount_minus(p->budget.cap, dm_amount_plus(p->budget.lost, p->budget.charged));
    m->share = dm_amount_plus(m->spent, left);
    m->cut = false;
}

void dm_budget_strand(dm_pool *p, dm_strand *s)
{
    if (!dm_pool_capped(p))
        return;
    bool has = p->budget.n_each > 0;
    p->budget.n_each -= has;
    s->account = new_account(p, has ? p->budget.each : (dm_amount){0, 0, 0});
}

/* ---- beginning and end ---- */

typedef struct counting {
    const dm_pool *pool;
    dm_amount *known;
} counting;

/* Results and answers of the journal; of which role they were is not known, the task's prices
 * stand for all. */
static void add_known(void *user, dm_journal_type type, dm_str bytes)
{
    const counting *k = user;
    dm_usage u = {0};
    dm_record rec;
    dm_reader in;
    if (type == DM_JOURNAL_RESULT) {
        dm_result r;
        (void)!dm_read_result(bytes, 0, NULL, &r, &u);
    } else {
        if (dm_record_open(&rec, bytes, NULL, &in)) {
            dm_answer a = dm_read_answer_fields(&in);
            if (!rec.bad)
                u = a.usage;
        }
        dm_record_free(&rec);
    }
    *k->known = dm_amount_plus(*k->known, dm_amount_of(k->pool, k->pool->model_of[DM_TASK], &u));
}

void dm_budget_begin(dm_pool *p)
{
    const dm_setup *s = p->setup;
    if (!s->cap)
        return;
    dm_amount known = {0, 0, 0}, mark = {0, 0, 0};
    if (s->replay) {
        dm_replay_each(s->replay, add_known, &(counting){p, &known});
        mark = dm_replay_mark(s->replay);
    }
    p->budget.lost = dm_amount_most(dm_amount_minus(mark, known), (dm_amount){0, 0, 0});
    p->budget.spent = known;
    p->budget.mark = mark;
    p->budget.cap = *s->cap;
    p->budget.main = new_account(p, dm_amount_minus(p->budget.cap, p->budget.lost));
}

void dm_budget_end(dm_pool *p)
{
    if (!dm_pool_capped(p))
        return;
    /* What is still out may be billed all the same. */
    write_mark(p, committed(p));
}
