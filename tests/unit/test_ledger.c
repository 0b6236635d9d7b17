/* The ledger against what it promises, on random trees of accounts and random orders of completion:
 * the cap is never passed, what is cut does not depend on the order, a member of several is charged
 * what it would be alone. */
#include "base/random.h"
#include "pool/ledger.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define MOST_ITEMS    400
#define MOST_ACCOUNTS 12

typedef struct market { /* items with what they cost, and the most that they could */
    double cost[MOST_ITEMS], most[MOST_ITEMS];
} market;

typedef struct run {
    dm_ledger *l;
    const market *m;
    dm_account *accounts[MOST_ACCOUNTS];
    size_t n_accounts;
    uint32_t flying[MOST_ITEMS]; /* [n_flying] */
    size_t n_flying;
    bool started[MOST_ITEMS], done[MOST_ITEMS];
    size_t settled[MOST_ACCOUNTS]; /* items charged to each */
    double spent, highest;
    uint64_t order, draws;
} run;

static market market_of(uint64_t seed)
{
    market m;
    for (uint64_t i = 0; i < MOST_ITEMS; i++) {
        m.most[i] = (double)(1 + dm_draw(seed, 1, i) % 4);
        m.cost[i] = (double)(1 + dm_draw(seed, 2, i) % (uint64_t)m.most[i]);
    }
    return m;
}

static dm_amount calls(double n)
{
    return (dm_amount){n, 0, 0};
}

static dm_amount cap_of(double n)
{
    return (dm_amount){n, INFINITY, INFINITY};
}

static void count(void *user, uint32_t item, const dm_account *a)
{
    run *r = user;
    (void)item;
    for (size_t i = 0; i < r->n_accounts; i++)
        r->settled[i] += r->accounts[i] == a;
}

/* Each item has a cost of its own, of that number. */
static void done(run *r, uint32_t item, double gone)
{
    dm_ledger_cost(r->l, item, calls(gone));
    dm_ledger_uses(r->l, item, item);
    dm_ledger_done(r->l, item, calls(gone), count, r);
}

/* Releases what can be released. */
static void release(run *r)
{
    bool again = true;
    while (again) {
        again = false;
        for (dm_account *a = dm_ledger_root(r->l); a; a = dm_account_next(a)) {
            uint32_t item;
            while (dm_account_first(a, &item)) {
                bool goes_out = !r->started[item];
                dm_release v = dm_account_release(r->l, a, calls(r->m->most[item]), goes_out);
                again |= v != DM_HELD; /* one that is cut may leave something to those above */
                if (v != DM_RELEASED)
                    break;
                if (r->done[item])
                    done(r, item, 0);
                else if (goes_out)
                    r->flying[r->n_flying++] = item;
                r->started[item] = true;
            }
        }
    }
}

/* Lands what is flying, one at a time, in an order of the run's own, up to so many. */
static void land(run *r, size_t most)
{
    for (size_t k = 0; k < most && r->n_flying; k++) {
        size_t i = dm_draw(r->order, 3, r->draws++) % r->n_flying;
        uint32_t item = r->flying[i];
        r->flying[i] = r->flying[--r->n_flying];
        dm_ledger_sent(r->l, item);
        r->highest = fmax(r->highest, dm_ledger_committed(r->l).calls);
        r->done[item] = true;
        r->spent += r->m->cost[item];
        done(r, item, r->m->cost[item]);
        release(r);
    }
}

/* A compilation: a first row on its own account, n strands with shares of a half, then what is left
 * goes into the rest. Steps alternate with landings of the run's own choosing. */
static void compile(run *r, dm_account *own, uint64_t seed, size_t n)
{
    dm_account *under[8];
    for (uint32_t i = 0; i < 12; i++)
        (void)dm_account_want(r->l, own, (uint32_t)(dm_draw(seed, 4, i) % MOST_ITEMS));
    dm_account_split(own, n, .5);
    for (size_t k = 0; k < n; k++)
        under[k] = dm_account_open(r->l, own);
    release(r);
    for (size_t k = 0; k < n; k++) {
        for (uint64_t i = 0; i < 30; i++)
            (void)dm_account_want(r->l, under[k],
                                  (uint32_t)(dm_draw(seed, 5 + k, i) % (MOST_ITEMS / 2)));
        release(r);
        land(r, dm_draw(r->order, 6, r->draws++) % 20);
        dm_account_end(under[k]);
    }
    for (uint64_t i = 0; i < 150; i++)
        (void)dm_account_want(r->l, own, (uint32_t)(dm_draw(seed, 40, i) % MOST_ITEMS));
    release(r);
}

static run run_new(const market *m, double cap, uint64_t order)
{
    run r = {.l = dm_ledger_new(cap_of(cap), calls(0), calls(0)), .m = m, .order = order};
    return r;
}

static run alone(const market *m, double cap, uint64_t seed, uint64_t order)
{
    run r = run_new(m, cap, order);
    r.accounts[r.n_accounts++] = dm_ledger_root(r.l);
    compile(&r, r.accounts[0], seed, 1 + seed % 5);
    land(&r, SIZE_MAX);
    return r;
}

Test(ledger, the_cut_does_not_depend_on_the_order)
{
    size_t cut = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        market m = market_of(seed);
        double cap = (double)(30 + dm_draw(9, seed, 0) % 500);
        run first = alone(&m, cap, seed, 0);
        cut += dm_account_cut(first.accounts[0]);
        cr_expect_leq(first.highest, cap);
        for (uint64_t order = 1; order < 12; order++) {
            run r = alone(&m, cap, seed, order);
            cr_expect_eq(r.spent, first.spent, "seed %d order %d: %g, not %g", (int)seed,
                         (int)order, r.spent, first.spent);
            cr_expect_eq(memcmp(r.started, first.started, sizeof r.started), 0);
            cr_expect_eq(r.settled[0], first.settled[0]);
            cr_expect_leq(r.highest, cap);
            dm_ledger_free(r.l);
        }
        if (dm_account_cut(first.accounts[0])) /* what is left is less than the next could cost */
            cr_expect_lt(dm_ledger_left(first.l).calls, 4);
        dm_ledger_free(first.l);
    }
    cr_expect_gt(cut, 100);
}

/* K members in one ledger, each with its share: charged what it would be alone, however much they
 * have in common; the root pays each item once. */
Test(ledger, a_member_is_charged_what_it_would_be_alone)
{
    for (uint64_t seed = 0; seed < 200; seed++) {
        market m = market_of(seed);
        double cap = (double)(4 * (30 + dm_draw(9, seed, 1) % 300));
        run r = run_new(&m, cap, seed + 7);
        dm_account *root = dm_ledger_root(r.l);
        dm_account_split(root, 4, 1);
        for (; r.n_accounts < 4; r.n_accounts++)
            r.accounts[r.n_accounts] = dm_account_open(r.l, root);
        for (size_t k = 0; k < 4; k++)
            compile(&r, r.accounts[k], seed + k % 3, 1 + (seed + k % 3) % 5);
        land(&r, SIZE_MAX);
        double paid = 0;
        for (size_t k = 0; k < 4; k++) {
            run one = alone(&m, cap / 4, seed + k % 3, 99);
            cr_expect_eq(r.settled[k], one.settled[0], "seed %d member %d", (int)seed, (int)k);
            cr_expect_eq(dm_account_charged(r.accounts[k]).calls,
                         dm_account_charged(one.accounts[0]).calls);
            cr_expect_eq(dm_account_charged(one.accounts[0]).calls, one.spent);
            dm_ledger_free(one.l);
        }
        for (size_t i = 0; i < MOST_ITEMS; i++)
            paid += r.done[i] ? m.cost[i] : 0;
        cr_expect_eq(dm_account_charged(root).calls, paid);
        cr_expect_eq(r.spent, paid);
        cr_expect_leq(r.highest, cap);
        dm_ledger_free(r.l);
    }
}

/* What failed on the way is paid, stands in line where it stood, and is not passed by others. */
Test(ledger, what_failed_goes_out_again_in_its_place)
{
    market m = market_of(1);
    run r = run_new(&m, 10, 0);
    dm_account *root = dm_ledger_root(r.l);
    uint32_t first;
    r.accounts[r.n_accounts++] = root;
    for (uint32_t i = 0; i < 3; i++)
        (void)dm_account_want(r.l, root, i);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert(dm_account_first(root, &first) && first == i);
        cr_assert_eq(dm_account_release(r.l, root, calls(3), true), DM_RELEASED);
    }
    dm_ledger_sent(r.l, 0);
    dm_ledger_cost(r.l, 0, calls(3));
    dm_ledger_uses(r.l, 0, 0);
    dm_ledger_again(r.l, 0, calls(3));
    cr_assert(dm_account_first(root, &first) && first == 0);
    cr_expect_eq(dm_account_release(r.l, root, calls(3), true), DM_HELD); /* 3 + 6 + 3 > 10 */
    done(&r, 1, 1);
    cr_assert(dm_account_first(root, &first) && first == 0);
    cr_expect_eq(dm_account_release(r.l, root, calls(3), true), DM_RELEASED); /* 4 + 3 + 3 */
    cr_expect_eq(dm_ledger_reserve(r.l, 0).calls, 3);
    done(&r, 0, 2);
    done(&r, 2, 3);
    cr_expect_eq(r.settled[0], 3);
    cr_expect_eq(dm_account_charged(root).calls, 9);
    cr_expect_eq(dm_ledger_left(r.l).calls, 1);
    dm_ledger_free(r.l);
}

/* What a run of shared work cost in vain is paid by each account that waits for it, and once above
 * them. */
Test(ledger, what_failed_for_two_is_paid_once_above_them)
{
    market m = market_of(1);
    run r = run_new(&m, 40, 0);
    dm_account *root = dm_ledger_root(r.l);
    dm_account_split(root, 2, 1);
    for (; r.n_accounts < 2; r.n_accounts++) {
        dm_account *a = r.accounts[r.n_accounts] = dm_account_open(r.l, root);
        (void)dm_account_want(r.l, a, 0);
        cr_assert_eq(dm_account_release(r.l, a, calls(4), r.n_accounts == 0), DM_RELEASED);
    }
    dm_ledger_sent(r.l, 0);
    dm_ledger_cost(r.l, 0, calls(3));
    dm_ledger_uses(r.l, 0, 0);
    dm_ledger_again(r.l, 0, calls(3));
    cr_expect_eq(dm_account_charged(r.accounts[0]).calls, 3);
    cr_expect_eq(dm_account_charged(r.accounts[1]).calls, 3);
    cr_expect_eq(dm_account_charged(root).calls, 3);
    cr_expect_eq(dm_ledger_left(r.l).calls, 37);
    dm_ledger_free(r.l);
}

/* Two items that used the same are charged it once, in any order, also what is known of it only
 * later; two accounts each, and once above them. */
Test(ledger, what_several_used_is_charged_once)
{
    for (int order = 0; order < 2; order++) {
        market m = market_of(1);
        run r = run_new(&m, 100, 0);
        dm_account *root = dm_ledger_root(r.l);
        dm_account_split(root, 2, 1);
        for (; r.n_accounts < 2; r.n_accounts++)
            r.accounts[r.n_accounts] = dm_account_open(r.l, root);
        for (uint32_t i = 0; i < 4; i++) { /* 0 and 1 of the first, 2 and 3 of the second */
            (void)dm_account_want(r.l, r.accounts[i / 2], i);
            cr_assert_eq(dm_account_release(r.l, r.accounts[i / 2], calls(4), true), DM_RELEASED);
            dm_ledger_uses(r.l, i, 7); /* all the same; 1 and 2 another one too */
            dm_ledger_uses(r.l, i, 7);
            if (i == 1 || i == 2)
                dm_ledger_uses(r.l, i, 8);
        }
        dm_ledger_cost(r.l, 7, calls(3));
        dm_ledger_cost(r.l, 8, calls(2));
        for (uint32_t k = 0; k < 4; k++) {
            uint32_t i = order ? 3 - k : k;
            dm_ledger_done(r.l, i, calls(i == 0 ? 3 : i == 1 ? 2 : 0), count, &r);
        }
        for (int k = 0; k < 2; k++)
            cr_expect_eq(dm_account_charged(r.accounts[k]).calls, 5, "account %d: %g", k,
                         dm_account_charged(r.accounts[k]).calls);
        cr_expect_eq(dm_account_charged(root).calls, 5);
        cr_expect_eq(dm_ledger_left(r.l).calls, 95);
        dm_ledger_cost(r.l, 8, calls(1));
        cr_expect_eq(dm_account_charged(root).calls, 6);
        cr_expect_eq(dm_account_charged(r.accounts[0]).calls, 6);
        dm_ledger_free(r.l);
    }
}

/* Shares are set aside from the split on, whether or not somebody has opened them yet; one that
 * nobody will open does not keep its parent from its own work for ever. */
Test(ledger, shares_that_nobody_has_opened)
{
    market m = market_of(1);
    run r = run_new(&m, 10, 0);
    dm_account *root = dm_ledger_root(r.l);
    dm_account_split(root, 2, .8);
    for (uint32_t i = 0; i < 3; i++)
        (void)dm_account_want(r.l, root, i);
    cr_expect_eq(dm_account_release(r.l, root, calls(2), true), DM_RELEASED);
    cr_expect_eq(dm_account_release(r.l, root, calls(2), true), DM_HELD); /* 2 + 8 + 2 > 10 */
    dm_account *a = dm_account_open(r.l, root);
    (void)dm_account_want(r.l, a, 10);
    cr_expect_eq(dm_account_release(r.l, a, calls(4), true), DM_RELEASED);
    dm_account_end(a);
    done(&r, 10, 1); /* three come back to the root */
    cr_expect_eq(dm_account_release(r.l, root, calls(2), true), DM_RELEASED);
    done(&r, 0, 2);
    done(&r, 1, 2);
    cr_expect_eq(dm_account_release(r.l, root, calls(2), true), DM_RELEASED); /* 5 + 2 */
    dm_ledger_free(r.l);
}

/* ---- earlier attempts ---- */

static void take(run *r)
{
    dm_ledger_take(r->l, dm_ledger_missing(r->l));
}

/* Results of earlier attempts that nobody asks for again were paid all the same. */
Test(ledger, what_is_known_of_earlier_attempts_is_spent)
{
    market m = market_of(1);
    run r = {.l = dm_ledger_new(cap_of(10), calls(2), calls(5)), .m = &m};
    dm_account *root = dm_ledger_root(r.l);
    take(&r);
    for (uint32_t i = 0; i < 4; i++)
        (void)dm_account_want(r.l, root, i);
    cr_expect_eq(dm_ledger_left(r.l).calls, 3);
    cr_expect_eq(dm_ledger_missing(r.l).calls, 0);
    cr_expect_eq(dm_account_release(r.l, root, calls(2), true), DM_RELEASED);
    cr_expect_eq(dm_account_release(r.l, root, calls(2), true), DM_HELD); /* 2 + 5 + 2 + 2 > 10 */
    done(&r, 0, 2);
    cr_expect_eq(dm_account_release(r.l, root, calls(2), true), DM_CUT_OFF); /* 2 + 7 + 2 > 10 */
    dm_ledger_free(r.l);
}

/* Each pays by what it has left, and what is left to it depends on nobody. */
Test(ledger, what_was_lost_is_taken_by_what_each_has_left)
{
    market m = market_of(1);
    run r = {.l = dm_ledger_new(cap_of(40), calls(9), calls(10)), .m = &m};
    dm_account *root = dm_ledger_root(r.l);
    dm_account_split(root, 2, 1);
    dm_account *a = dm_account_open(r.l, root), *b = dm_account_open(r.l, root), *c;
    (void)dm_account_want(r.l, a, 0); /* known, as all that was */
    cr_expect_eq(dm_account_release(r.l, a, calls(10), false), DM_RELEASED);
    dm_ledger_cost(r.l, 0, calls(10));
    dm_ledger_uses(r.l, 0, 0);
    dm_ledger_done(r.l, 0, calls(0), count, &r);
    dm_account_split(a, 2, 1); /* 5 each; one is not opened yet */
    c = dm_account_open(r.l, a);
    cr_expect_eq(dm_ledger_missing(r.l).calls, 9);
    take(&r); /* of 10 and 20 a third; 7 and 14 are left */
    cr_expect_eq(dm_ledger_missing(r.l).calls, 0);
    for (uint32_t i = 1; i < 9; i++)
        (void)dm_account_want(r.l, i < 3 ? c : i < 5 ? a : b, i);
    cr_expect_eq(dm_account_release(r.l, b, calls(14), true), DM_RELEASED);
    cr_expect_eq(dm_account_release(r.l, b, calls(.5), true), DM_HELD);
    cr_expect_eq(dm_account_release(r.l, c, calls(3.5), true), DM_RELEASED);
    cr_expect_eq(dm_account_release(r.l, c, calls(.5), true), DM_HELD);
    cr_expect_eq(dm_account_release(r.l, a, calls(.5), true), DM_HELD); /* the other share */
    done(&r, 5, 14);
    cr_expect_eq(dm_account_release(r.l, b, calls(.5), true), DM_CUT_OFF);
    cr_expect_eq(dm_ledger_left(r.l).calls, 7);
    dm_ledger_free(r.l);
}

/* What was paid before and is asked for after all is charged, and given back: of ten calls five
 * were known, and five are left, whenever the five are asked for; each cost once, in each account.
 */
Test(ledger, what_is_asked_for_after_all_is_given_back)
{
    for (int way = 0; way < 3; way++) {
        market m = market_of(1);
        run r = {.l = dm_ledger_new(cap_of(10), calls(0), calls(5)), .m = &m};
        dm_account *root = dm_ledger_root(r.l);
        for (uint32_t i = 0; i < 4; i++)
            (void)dm_account_want(r.l, root, i);
        if (way == 0) { /* it was known whose it is, but not asked for */
            dm_ledger_cost(r.l, 7, calls(5));
            dm_ledger_uses(r.l, 1, 7);
            dm_ledger_uses(r.l, 2, 7);
        }
        take(&r);
        if (way == 1) /* it shows before it is charged, or after */
            dm_ledger_cost_taken(r.l, 7, calls(5));
        dm_ledger_uses(r.l, 1, 7);
        dm_ledger_uses(r.l, 2, 7);
        for (uint32_t i = 0; i < 4; i++) {
            cr_expect_eq(dm_account_release(r.l, root, calls(1), true), DM_RELEASED, "%d", way);
            done(&r, i, 1);
            if (way == 2 && i == 1)
                dm_ledger_cost_taken(r.l, 7, calls(5));
        }
        cr_expect_eq(dm_account_charged(root).calls, 9);
        cr_expect_eq(dm_ledger_left(r.l).calls, 1);
        (void)dm_account_want(r.l, root, 4);
        (void)dm_account_want(r.l, root, 5);
        cr_expect_eq(dm_account_release(r.l, root, calls(1), true), DM_RELEASED);
        cr_expect_eq(dm_account_release(r.l, root, calls(1), true), DM_HELD);
        dm_ledger_free(r.l);
    }
}

Test(ledger, without_a_cap_everything_goes_out)
{
    market m = market_of(2);
    run r = {.l = dm_ledger_new(DM_NO_CAP, calls(0), calls(0)), .m = &m};
    r.accounts[r.n_accounts++] = dm_ledger_root(r.l);
    compile(&r, r.accounts[0], 3, 4);
    land(&r, SIZE_MAX);
    cr_expect(!dm_ledger_capped(r.l));
    cr_expect(!dm_account_cut(r.accounts[0]));
    cr_expect_eq(dm_account_charged(r.accounts[0]).calls, r.spent);
    dm_ledger_free(r.l);
}
