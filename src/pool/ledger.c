#include "pool/ledger.h"

#include <stdlib.h>
#include <string.h>

typedef struct entry { /* an item on an account */
    uint32_t item;
    bool released, settled;
    dm_amount reserve;
} entry;

struct dm_account {
    dm_account *next, *parent;
    dm_amount given;    /* in all */
    dm_amount charged;  /* in the subtree, each cost once */
    dm_amount reserved; /* for its own entries that are out */
    dm_amount each;     /* for the next n_each accounts under it */
    size_t n_each;
    entry *entries; /* [n] in the order in which they were asked for */
    size_t n, cap;
    size_t head;  /* none before it is in line */
    size_t n_out; /* released and not settled */
    bool cut, ended;
};

typedef struct post { /* an item on an account */
    struct post *next;
    dm_account *account;
    size_t entry;
} post;

typedef struct use { /* of a cost by an item */
    struct use *next;
    uint32_t cost;
} use;

typedef struct item {
    post *posts;
    use *uses;
    dm_amount out; /* reserved while it is on its way */
    bool sent;
} item;

typedef struct bearer { /* an account that is charged a cost */
    struct bearer *next;
    dm_account *account;
} bearer;

typedef struct cost {
    dm_amount amount;
    dm_amount taken; /* of it, what dm_ledger_take took from all accounts */
    bearer *bearers;
} cost;

struct dm_ledger {
    dm_arena *arena;
    dm_amount cap, lost;
    dm_amount spent; /* by results and answers, all attempts */
    dm_amount out;   /* reserved for what is on its way */
    dm_amount sent;  /* of it, what is at workers */
    dm_account *root, **end;
    item *items; /* [n] */
    size_t n;
    cost *costs; /* [n_costs] */
    size_t n_costs;
};

static double less_or_endless(double a, double b)
{
    return isinf(a) ? a : a - b;
}

/* No cap less anything is no cap. */
static dm_amount less(dm_amount a, dm_amount b)
{
    return (dm_amount){less_or_endless(a.calls, b.calls), less_or_endless(a.tokens, b.tokens),
                       less_or_endless(a.cost, b.cost)};
}

/* ---- accounts ---- */

static dm_account *new_account(dm_ledger *l, dm_account *parent, dm_amount share)
{
    dm_account *a = dm_arena_alloc(l->arena, sizeof *a);
    a->parent = parent;
    a->given = share;
    *l->end = a;
    l->end = &a->next;
    return a;
}

dm_ledger *dm_ledger_new(dm_amount cap, dm_amount lost, dm_amount known)
{
    dm_ledger *l = dm_alloc(sizeof *l);
    l->arena = dm_arena_new(0);
    l->cap = cap;
    l->lost = lost;
    l->spent = known;
    l->end = &l->root;
    (void)new_account(l, NULL, cap);
    return l;
}

void dm_ledger_free(dm_ledger *l)
{
    if (!l)
        return;
    for (dm_account *a = l->root; a; a = a->next)
        free(a->entries);
    free(l->items);
    free(l->costs);
    dm_arena_free(l->arena);
    free(l);
}

void dm_ledger_correct(dm_ledger *l, dm_amount more_lost, dm_amount more_known)
{
    l->lost = dm_amount_plus(l->lost, more_lost);
    l->spent = dm_amount_plus(l->spent, more_known);
}

bool dm_ledger_capped(const dm_ledger *l)
{
    return !isinf(l->cap.calls) || !isinf(l->cap.tokens) || !isinf(l->cap.cost);
}

dm_account *dm_ledger_root(const dm_ledger *l)
{
    return l->root;
}

dm_account *dm_account_next(const dm_account *a)
{
    return a->next;
}

dm_account *dm_account_open(dm_ledger *l, dm_account *parent)
{
    bool has = parent->n_each > 0;
    parent->n_each -= has;
    dm_amount none = {isinf(l->cap.calls) ? INFINITY : 0, isinf(l->cap.tokens) ? INFINITY : 0,
                      isinf(l->cap.cost) ? INFINITY : 0};
    return new_account(l, parent, has ? parent->each : none);
}

dm_amount dm_account_charged(const dm_account *a)
{
    return a->charged;
}

static bool in_line(const dm_account *a)
{
    size_t i = a->head;
    while (i < a->n && a->entries[i].released)
        i++;
    return i < a->n;
}

static bool any_open_under(const dm_account *a);

/* Whether it may still be charged. */
static bool is_open(const dm_account *a)
{
    return !a->ended || a->n_out > 0 || (in_line(a) && !a->cut) || any_open_under(a);
}

static bool any_open_under(const dm_account *a)
{
    for (const dm_account *b = a->next; b; b = b->next)
        if (b->parent == a && is_open(b))
            return true;
    return false;
}

/* What is set aside for others: the shares of accounts under it that are open, less what they were
 * charged (which it was charged too), and those that nobody has opened. */
static dm_amount promised(const dm_account *a)
{
    dm_amount sum = a->n_each ? dm_amount_times(a->each, (double)a->n_each) : (dm_amount){0, 0, 0};
    for (const dm_account *b = a->next; b; b = b->next) /* opened after it */
        if (b->parent == a && is_open(b))
            sum = dm_amount_plus(sum, less(b->given, b->charged));
    return sum;
}

void dm_account_split(dm_account *a, size_t n, double part)
{
    a->n_each = 0;
    if (n == 0 || !(part > 0))
        return;
    dm_amount left = less(less(a->given, a->charged), promised(a));
    a->each = dm_amount_times(left, part / (double)n);
    a->n_each = n;
}

void dm_account_end(dm_account *a)
{
    a->ended = true;
}

bool dm_account_cut(const dm_account *a)
{
    return a->cut;
}

/* ---- items ---- */

/* The array with a place for that number; new ones are zeros. */
static void *with_place(void *array, uint32_t number, size_t *n, size_t size)
{
    if (number < *n)
        return array;
    size_t more = 2 * (size_t)number + 64;
    array = dm_grow(array, more, size);
    memset((char *)array + *n * size, 0, (more - *n) * size);
    *n = more;
    return array;
}

static item *item_of(dm_ledger *l, uint32_t number)
{
    l->items = with_place(l->items, number, &l->n, sizeof *l->items);
    return &l->items[number];
}

dm_wanted dm_account_want(dm_ledger *l, dm_account *a, uint32_t number)
{
    item *it = item_of(l, number);
    post *p = it->posts;
    while (p && p->account != a)
        p = p->next;
    if (p) {
        const entry *e = &a->entries[p->entry];
        return e->settled ? DM_WANTED_SETTLED : e->released ? DM_WANTED_OUT : DM_WANTED_IN_LINE;
    }
    a->entries = dm_room(a->entries, a->n, &a->cap, sizeof *a->entries);
    p = dm_arena_alloc(l->arena, sizeof *p);
    *p = (post){it->posts, a, a->n};
    it->posts = p;
    a->entries[a->n++] = (entry){.item = number};
    return DM_WANTED_IN_LINE;
}

/* ---- costs ---- */

static cost *cost_of(dm_ledger *l, uint32_t number)
{
    l->costs = with_place(l->costs, number, &l->n_costs, sizeof *l->costs);
    return &l->costs[number];
}

void dm_ledger_cost(dm_ledger *l, uint32_t number, dm_amount more)
{
    cost *c = cost_of(l, number);
    c->amount = dm_amount_plus(c->amount, more);
    for (bearer *b = c->bearers; b; b = b->next)
        b->account->charged = dm_amount_plus(b->account->charged, more);
}

void dm_ledger_cost_taken(dm_ledger *l, uint32_t number, dm_amount more)
{
    dm_ledger_cost(l, number, more);
    cost *c = &l->costs[number];
    c->taken = dm_amount_plus(c->taken, more);
    for (bearer *b = c->bearers; b; b = b->next)
        b->account->given = dm_amount_plus(b->account->given, more);
}

void dm_ledger_uses(dm_ledger *l, uint32_t number, uint32_t cost_number)
{
    item *it = item_of(l, number);
    use *u = it->uses;
    while (u && u->cost != cost_number)
        u = u->next;
    if (u)
        return;
    (void)cost_of(l, cost_number);
    u = dm_arena_alloc(l->arena, sizeof *u);
    *u = (use){it->uses, cost_number};
    it->uses = u;
}

/* To the account and all above it, unless it was charged there. */
static void charge_cost(dm_ledger *l, cost *c, dm_account *a)
{
    for (; a; a = a->parent) {
        bearer *b = c->bearers;
        while (b && b->account != a)
            b = b->next;
        if (b)
            return; /* and so it was above */
        b = dm_arena_alloc(l->arena, sizeof *b);
        *b = (bearer){c->bearers, a};
        c->bearers = b;
        a->charged = dm_amount_plus(a->charged, c->amount);
        a->given = dm_amount_plus(a->given, c->taken);
    }
}

static void charge(dm_ledger *l, const item *it, dm_account *a)
{
    for (const use *u = it->uses; u; u = u->next)
        charge_cost(l, &l->costs[u->cost], a);
}

bool dm_account_first(dm_account *a, uint32_t *number)
{
    while (a->head < a->n && a->entries[a->head].released)
        a->head++;
    if (a->cut || a->head == a->n)
        return false;
    *number = a->entries[a->head].item;
    return true;
}

static bool without_cap(const dm_account *a)
{
    return isinf(a->given.calls) && isinf(a->given.tokens) && isinf(a->given.cost);
}

static bool fits(const dm_account *a, dm_amount more)
{
    if (without_cap(a))
        return true;
    dm_amount sum = dm_amount_plus(dm_amount_plus(a->charged, a->reserved), promised(a));
    return dm_amount_within(dm_amount_plus(sum, more), a->given);
}

dm_release dm_account_release(dm_ledger *l, dm_account *a, dm_amount reserve, bool goes_out)
{
    entry *e = &a->entries[a->head];
    item *it = &l->items[e->item];
    if (!fits(a, reserve)) {
        if (a->n_out > 0 || any_open_under(a))
            return DM_HELD;
        if (a->n_each > 0) { /* shares that nobody has opened */
            a->n_each = 0;
            return dm_account_release(l, a, reserve, goes_out);
        }
        a->cut = true;
        return DM_CUT_OFF;
    }
    e->released = true;
    e->reserve = reserve;
    a->reserved = dm_amount_plus(a->reserved, reserve);
    a->n_out++;
    a->head++;
    if (goes_out) {
        it->out = reserve;
        l->out = dm_amount_plus(l->out, reserve);
    }
    return DM_RELEASED;
}

dm_amount dm_ledger_reserve(const dm_ledger *l, uint32_t number)
{
    return number < l->n ? l->items[number].out : (dm_amount){0, 0, 0};
}

/* It is on its way no longer. */
static void take_off(dm_ledger *l, item *it)
{
    l->out = dm_amount_minus(l->out, it->out);
    if (it->sent)
        l->sent = dm_amount_minus(l->sent, it->out);
    it->out = (dm_amount){0, 0, 0};
    it->sent = false;
}

static void free_reserve(dm_account *a, entry *e)
{
    a->reserved = a->n_out == 1 ? (dm_amount){0, 0, 0} : dm_amount_minus(a->reserved, e->reserve);
    a->n_out--;
}

void dm_ledger_done(dm_ledger *l, uint32_t number, dm_amount gone, dm_settled *settled, void *user)
{
    item *it = item_of(l, number);
    take_off(l, it);
    l->spent = dm_amount_plus(l->spent, gone);
    for (post *p = it->posts; p; p = p->next) {
        entry *e = &p->account->entries[p->entry];
        if (!e->released || e->settled)
            continue;
        free_reserve(p->account, e);
        e->settled = true;
        charge(l, it, p->account);
        settled(user, number, p->account);
    }
}

void dm_ledger_again(dm_ledger *l, uint32_t number, dm_amount gone)
{
    item *it = item_of(l, number);
    take_off(l, it);
    l->spent = dm_amount_plus(l->spent, gone);
    for (post *p = it->posts; p; p = p->next) {
        dm_account *a = p->account;
        entry *e = &a->entries[p->entry];
        if (!e->released || e->settled)
            continue;
        charge(l, it, a);
        free_reserve(a, e);
        e->released = false;
        a->head = p->entry < a->head ? p->entry : a->head;
    }
}

/* ---- what earlier attempts spent ---- */

/* Of what may be charged yet, so much is not there. */
static double missing(double cap, double committed, double given, double charged)
{
    return isinf(cap) ? 0 : fmax(0, given - charged - (cap - committed));
}

/* What is given when of the root's rest so much is missing, and each has its part in that. */
static double cut_down(double given, double charged, double rest, double gone)
{
    if (isinf(given) || given <= charged || gone <= 0)
        return given;
    return gone < rest ? charged + (given - charged) * (rest - gone) / rest : charged;
}

static dm_amount all_cut_down(dm_amount given, dm_amount charged, dm_amount rest, dm_amount gone)
{
    return (dm_amount){cut_down(given.calls, charged.calls, rest.calls, gone.calls),
                       cut_down(given.tokens, charged.tokens, rest.tokens, gone.tokens),
                       cut_down(given.cost, charged.cost, rest.cost, gone.cost)};
}

dm_amount dm_ledger_missing(const dm_ledger *l)
{
    dm_amount gone = dm_ledger_committed(l);
    const dm_account *a = l->root;
    return (dm_amount){missing(l->cap.calls, gone.calls, a->given.calls, a->charged.calls),
                       missing(l->cap.tokens, gone.tokens, a->given.tokens, a->charged.tokens),
                       missing(l->cap.cost, gone.cost, a->given.cost, a->charged.cost)};
}

void dm_ledger_take(dm_ledger *l, dm_amount gone)
{
    dm_amount rest = less(l->root->given, l->root->charged), none = {0, 0, 0};
    for (dm_account *a = l->root; a; a = a->next) {
        a->given = all_cut_down(a->given, a->charged, rest, gone);
        a->each = all_cut_down(a->each, none, rest, gone);
    }
    for (size_t i = 0; i < l->n_costs; i++)
        if (!l->costs[i].bearers)
            l->costs[i].taken = l->costs[i].amount;
}

/* ---- what may be billed ---- */

void dm_ledger_sent(dm_ledger *l, uint32_t number)
{
    item *it = item_of(l, number);
    if (it->sent)
        return;
    it->sent = true;
    l->sent = dm_amount_plus(l->sent, it->out);
}

dm_amount dm_ledger_committed(const dm_ledger *l)
{
    return dm_amount_plus(dm_amount_plus(l->lost, l->spent), l->sent);
}

dm_amount dm_ledger_left(const dm_ledger *l)
{
    return less(l->cap, dm_ledger_committed(l));
}
