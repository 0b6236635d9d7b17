/* The ledger: what may be spent, and on whose account. Arithmetic only: it is given amounts and
 * numbers of items, and gives verdicts; it knows no work, model, message or clock.
 *
 * Accounts form a tree, as strands do. An account is given a part of what its parent has, and holds
 * the items that were asked for on it in a line. The first in line goes out when what the account
 * was charged, what it has out, what it has given to accounts under it, and the most that the item
 * can cost stay within what it was given; else it waits until something settles or an account under
 * it has ended. When nothing is out any more, none under it is open, and it still does not fit, the
 * account is cut. What waits is only ever an upper bound, so whether an item goes out does not
 * depend on when that is decided: the cut is a prefix of the account's own line, and depends on
 * amounts alone. It is the same at any number of ranks (where no attempt failed in transport).
 *
 * What items cost is kept apart from them, for several may have used the same: an account is
 * charged each different cost that its own items used, once, whoever paid; so is each account above
 * it for its subtree, and the root for all. So what an account is charged follows from its own line
 * alone. What an account leaves when it has ended is its parent's again. What is out costs at the
 * most what was set aside for it, so the cap is never passed.
 *
 * What earlier attempts of the job spent and no account is charged, as what got lost when the
 * program was killed, is taken from all accounts at once, each by what it has left, when all that
 * is known was asked for again and nothing is out (dm_ledger_take). Until then accounts decide as
 * they did in the earlier attempt, from the whole cap; from then on each again by its own line. */
#ifndef DM_POOL_LEDGER_H
#define DM_POOL_LEDGER_H

#include "base/mem.h"
#include "study/amount.h"

#include <stddef.h>
#include <stdint.h>

typedef struct dm_ledger dm_ledger;
typedef struct dm_account dm_account;

/* cap: DM_NO_CAP for none. lost: what earlier attempts of the job may have spent without a trace;
 * known: what their results and answers cost, whether they are asked for again or not. */
dm_ledger *dm_ledger_new(dm_amount cap, dm_amount lost, dm_amount known);
void dm_ledger_free(dm_ledger *l);
/* What earlier attempts spent is known better now. */
void dm_ledger_correct(dm_ledger *l, dm_amount more_lost, dm_amount more_known);
/* Nothing is out: what of the cap the accounts may still be charged, and is spent. */
dm_amount dm_ledger_missing(const dm_ledger *l);
/* It is taken from all accounts, each by what it has left. Who uses a cost of it later
 * (dm_ledger_cost_taken, or a cost that nobody bears now) is given it back. */
void dm_ledger_take(dm_ledger *l, dm_amount gone);
bool dm_ledger_capped(const dm_ledger *l); /* in any measure */

/* ---- accounts; they live as long as the ledger ---- */

dm_account *dm_ledger_root(const dm_ledger *l);
/* The next n accounts that are opened under a are given part (0 to 1) of what it has left, in equal
 * shares. Nothing of a may be out; what is in line already comes after them. */
void dm_account_split(dm_account *a, size_t n, double part);
/* One of these shares; nothing if there is none left. */
dm_account *dm_account_open(dm_ledger *l, dm_account *parent);
/* Nothing more will be asked for on it. Once its line has run out, what it leaves is its parent's.
 */
void dm_account_end(dm_account *a);
/* In the order in which they were opened, the root first; NULL: that was the last. */
dm_account *dm_account_next(const dm_account *a);

bool dm_account_cut(const dm_account *a);
dm_amount dm_account_charged(const dm_account *a); /* in its subtree, each cost once */

/* ---- items, numbered by the caller ---- */

typedef enum dm_wanted {
    DM_WANTED_IN_LINE,
    DM_WANTED_OUT,    /* released before */
    DM_WANTED_SETTLED /* done, and its costs are charged to the account */
} dm_wanted;
/* Puts the item at the end of the account's line, if it was not asked for on it before. */
dm_wanted dm_account_want(dm_ledger *l, dm_account *a, uint32_t item);

/* The account's next item in line; false: there is none, or it is cut. */
bool dm_account_first(dm_account *a, uint32_t *item);
typedef enum dm_release {
    DM_RELEASED,
    DM_HELD,   /* until something settles */
    DM_CUT_OFF /* the account is cut, just now */
} dm_release;
/* Sets reserve aside for the account's next item. goes_out: it will cost something (it is neither
 * out already nor done). */
dm_release dm_account_release(dm_ledger *l, dm_account *a, dm_amount reserve, bool goes_out);

/* A released item is done, or was; gone was spent on its way since it went out, or may have been.
 * settled is called for each account that is charged what it used. */
typedef void dm_settled(void *user, uint32_t item, const dm_account *a);
void dm_ledger_done(dm_ledger *l, uint32_t item, dm_amount gone, dm_settled *settled, void *user);
/* A released item has failed in transport, likewise: the accounts that wait for it are charged what
 * it used so far, and it is back in line where it was. */
void dm_ledger_again(dm_ledger *l, uint32_t item, dm_amount gone);
dm_amount dm_ledger_reserve(const dm_ledger *l, uint32_t item); /* set aside for it now */

/* ---- costs, numbered by the caller ---- */

/* So much more was spent on it, or may have been. */
void dm_ledger_cost(dm_ledger *l, uint32_t cost, dm_amount more);
/* An earlier attempt spent that on it, and dm_ledger_take has taken it from all. */
void dm_ledger_cost_taken(dm_ledger *l, uint32_t cost, dm_amount more);
void dm_ledger_uses(dm_ledger *l, uint32_t item, uint32_t cost);

/* ---- what may be billed ---- */

void dm_ledger_sent(dm_ledger *l, uint32_t item); /* it is at a worker */
/* By now, over all attempts: lost, spent, and all that is at workers. */
dm_amount dm_ledger_committed(const dm_ledger *l);
/* Of the cap, beside that. */
dm_amount dm_ledger_left(const dm_ledger *l);

#endif
