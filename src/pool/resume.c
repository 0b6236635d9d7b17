/* A capped run that goes on from what earlier attempts left.
 *
 * Accounts are given their shares of the whole cap again, and so decide as they did. When all that
 * the journal knows was asked for, and before anything new goes out, what was spent and is on no
 * account (lost with the program that was killed) is taken from all accounts, each by what it has
 * left. What was taken, and where in the journal, is recorded: an attempt after that takes the same
 * at the same point, before it finds what came later. So no decision of any attempt is made again
 * otherwise, nothing that was paid is in vain, and each account's charges depend on its own line,
 * whatever others do and in which order. */
#include "pool/inside.h"

#include <stdlib.h>

typedef struct open_call { /* an answer that was paid for by a run which had not ended */
    uint64_t by;           /* dm_hash_mix of the key of the run's cell */
    uint64_t at;
    dm_hash key;
} open_call;

struct dm_resume {
    open_call *open; /* [n_open] by their cells */
    size_t n_open, cap_open;
    dm_replay_taken *taken; /* [n_taken] under this cap */
    size_t n_taken;
    size_t step; /* so many of them were taken again */
    bool over;
};

/* ---- what the journal says ---- */

typedef struct reading {
    const dm_pool *pool;
    struct dm_resume *resume;
    dm_amount known;
} reading;

/* Whether the run was out at the end of an attempt: such a point is between the two places. */
static bool was_open(const struct dm_resume *r, uint64_t asked, uint64_t done)
{
    for (size_t i = 0; i < r->n_taken; i++)
        if (asked < r->taken[i].at && r->taken[i].at <= done)
            return true;
    return done == UINT64_MAX;
}

static void add_open(struct dm_resume *r, dm_replay *replay, const dm_replayed *x, uint64_t by)
{
    if (by == 0 || !was_open(r, x->at, dm_replay_done_at(replay, by)))
        return;
    r->open = dm_room(r->open, r->n_open, &r->cap_open, sizeof *r->open);
    r->open[r->n_open++] = (open_call){by, x->at, x->key};
}

static void read_one(void *user, const dm_replayed *x)
{
    reading *in = user;
    dm_usage u = {0};
    dm_record rec;
    if (x->type == DM_JOURNAL_RESULT) {
        dm_result r;
        dm_paid paid;
        if (dm_read_result(x->bytes, 0, NULL, &r, &paid))
            u = paid.usage;
    } else {
        dm_answer a;
        uint64_t by;
        if (dm_open_answer(&rec, x->bytes, &a, &by)) {
            u = a.usage;
            add_open(in->resume, in->pool->setup->replay, x, by);
        }
        dm_record_free(&rec);
    }
    in->known = dm_amount_plus(in->known, dm_amount_at_most(in->pool, &u));
}

static int by_cell(const void *a, const void *b)
{
    const open_call *x = a, *y = b;
    return x->by != y->by ? (x->by > y->by) - (x->by < y->by) : (x->at > y->at) - (x->at < y->at);
}

static bool same(dm_amount a, dm_amount b)
{
    return a.calls == b.calls && a.tokens == b.tokens && a.cost == b.cost;
}

/* Under another cap the shares were others, and so were the decisions. */
static void find_taken(const dm_pool *p, struct dm_resume *r)
{
    size_t n;
    const dm_replay_taken *all = dm_replay_all_taken(p->setup->replay, &n);
    r->taken = dm_arena_alloc_n(p->arena, n, sizeof *r->taken);
    for (size_t i = 0; i < n; i++)
        if (same(all[i].cap, p->budget.cap))
            r->taken[r->n_taken++] = all[i];
}

/* Where the records end that are found before the next step. */
static uint64_t end_of_step(const struct dm_resume *r)
{
    return r->step < r->n_taken ? r->taken[r->step].at : UINT64_MAX;
}

void dm_resume_begin(dm_pool *p)
{
    if (!p->setup->replay || !dm_ledger_capped(p->budget.ledger))
        return;
    struct dm_resume *r = p->resume = dm_arena_alloc(p->arena, sizeof *r);
    find_taken(p, r);
    reading in = {.pool = p, .resume = r};
    dm_replay_each(p->setup->replay, read_one, &in);
    if (r->n_open > 0)
        qsort(r->open, r->n_open, sizeof *r->open, by_cell);
    dm_budget_found(p, in.known);
    dm_replay_window(p->setup->replay, 0, end_of_step(r));
}

void dm_resume_free(dm_pool *p)
{
    if (p->resume)
        free(p->resume->open);
}

/* ---- steps ---- */

static size_t first_open(const struct dm_resume *r, uint64_t by)
{
    size_t low = 0, high = r->n_open;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (r->open[middle].by < by)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* By the cell's key, or that of its judge's legs; state: who asked. */
static void book_open_of(dm_pool *p, uint32_t number, const dm_hash *cell, uint32_t state)
{
    const struct dm_resume *r = p->resume;
    uint64_t by = dm_hash_mix(cell);
    for (size_t i = first_open(r, by); i < r->n_open && r->open[i].by == by; i++) {
        if (r->open[i].at >= end_of_step(r))
            break;
        uint32_t key = dm_key_of_record(p, state, &r->open[i].key);
        dm_ledger_uses(p->budget.ledger, number, p->keys[key].cost);
    }
}

/* What runs paid for that had not ended then is theirs, as if it had failed on the way. */
static void book_open(dm_pool *p)
{
    for (size_t n = 0; n < p->n_cells; n++) {
        const dm_cell *c = p->cells[n];
        if (c->phase != DM_CELL_QUEUED)
            continue;
        book_open_of(p, (uint32_t)n, &c->key, c->state);
        dm_hash judged = dm_leg_key(c, true);
        if (dm_is_judged(p, c))
            book_open_of(p, (uint32_t)n, &judged, p->judges[0]);
    }
}

/* The attempt that took this at this point came so far. */
static void go_on(dm_pool *p)
{
    struct dm_resume *r = p->resume;
    dm_replay *replay = p->setup->replay;
    uint64_t at = r->taken[r->step].at;
    dm_ledger_take(p->budget.ledger, r->taken[r->step].gone);
    p->taken_until = at;
    r->step++;
    dm_replay_window(replay, at, end_of_step(r));
    for (size_t i = 0; i < p->n_keys; i++)
        dm_key_recall(p, (uint32_t)i);
    for (size_t i = 0; i < p->n_cells; i++)
        dm_schedule_replay(p, (uint32_t)i);
    dm_replay_window(replay, 0, end_of_step(r));
}

static void write_taken(dm_pool *p, dm_amount gone)
{
    const dm_amount both[] = {p->budget.cap, gone};
    dm_budget_record(p, DM_JOURNAL_TAKEN, both, 2);
}

static void end(dm_pool *p)
{
    dm_amount gone = dm_ledger_missing(p->budget.ledger);
    if (gone.calls > 0 || gone.tokens > 0 || gone.cost > 0) {
        dm_ledger_take(p->budget.ledger, gone);
        write_taken(p, gone);
    }
    p->taken_until = UINT64_MAX;
    p->resume->over = true;
}

bool dm_resume_next(dm_pool *p)
{
    struct dm_resume *r = p->resume;
    if (!r || r->over || p->stop || p->failed)
        return false;
    book_open(p);
    dm_schedule_take_back(p);
    if (r->step < r->n_taken)
        go_on(p);
    else
        end(p);
    return true;
}
