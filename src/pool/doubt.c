/* A live server replied, and the reply was no answer: a 500, a body that cannot be read, an error
 * object. Is it the server, or is it this request? (src/README.md §5)
 *
 * The cell goes out again, a few requests at a time (a go), until so many replies of the kind in a
 * row are rarer than one in a million at the rate at which calls that were answered in the end met
 * them. Each go but the first begins after the model has answered something else; where nothing
 * else is under way, the cell goes out for a call that the model answered before (a witness), paid
 * from the cell's own reserve. If that is not answered either, the server is to blame: the rules of
 * an outage hold. So what is decided depends on the answers alone, and it is journaled as any
 * result is.
 *
 * A 403 or 404 goes the same way: a firewall or a gateway may have one request in mind, or a key or
 * a model may be gone. It is the request's own when it is said again after the model has answered
 * something else, and the endpoint's when it is said of a call that was answered before, or before
 * anything was. */
#include "pool/inside.h"

#include <math.h>

#define LEAST_REPLIES 6
#define BY_CHANCE     1e-6
#define PRIOR_ODD     1 /* of PRIOR replies that nobody has seen: a server not known yet may be bad */
#define PRIOR         4
#define LONG_RUN      2000 /* replies, after which the older ones count for half */
#define RECHECK       0.25 /* s */
#define HOLD          8    /* cells in doubt, from which on no new ones go out */

static dm_model *model_of(const dm_pool *p, const dm_cell *c)
{
    return (dm_model *)(uintptr_t)&p->models[p->states[c->state].model];
}

/* ---- what is usual ---- */

/* The newest are of calls that were answered in their first go: among those that are answered last
 * of many the unlucky ones are the rule. */
static void note(dm_replies *r, bool odd, bool first_go)
{
    if (first_go) {
        r->odd[r->at] = odd;
        r->at = (r->at + 1) % (sizeof r->odd / sizeof *r->odd);
        r->n += r->n < sizeof r->odd / sizeof *r->odd;
    }
    if (r->all >= LONG_RUN) {
        r->all /= 2;
        r->all_odd /= 2;
    }
    r->all++;
    r->all_odd += odd;
}

/* The larger of the newest rate and that of the long run: a server may have grown worse, and a
 * hundred replies may be lucky. */
static double rate(const dm_replies *r)
{
    size_t odd = 0;
    for (size_t i = 0; i < r->n; i++)
        odd += r->odd[i];
    return fmax((double)(odd + PRIOR_ODD) / (double)(r->n + PRIOR),
                (r->all_odd + PRIOR_ODD) / (r->all + PRIOR));
}

void dm_doubt_answered(dm_pool *p, const dm_cell *c, dm_tries *t, const dm_usage *usage)
{
    dm_model *m = model_of(p, c);
    int64_t before = t ? t->odd : 0, odd = usage->odd + before;
    for (int64_t i = 0; i < odd; i++)
        note(&m->replies, true, before == 0);
    for (int64_t i = 0; i < usage->answers || i < 1; i++)
        note(&m->replies, false, before == 0);
    if (t)
        t->odd = t->denied = 0;
    m->answered_at = p->link->ops->now(p->link);
}

/* ---- the verdict ---- */

bool dm_doubt_decided(dm_pool *p, const dm_cell *c, const dm_tries *t, const dm_usage *usage)
{
    if (!t->seen)
        return false;
    int64_t n = t->odd + usage->odd;
    double chance = (double)n * log(rate(&model_of(p, c)->replies));
    return n >= LEAST_REPLIES && chance <= log(BY_CHANCE) + 1e-9;
}

/* ---- finding out ---- */

bool dm_doubt_waits(const dm_model *m, const dm_tries *t)
{
    return (t->odd > 0 || t->denied > 0) && m->answered_at <= t->failed_last;
}

bool dm_doubt_holds(const dm_model *m)
{
    return m->phase == DM_MODEL_GOOD && m->doubted >= HOLD;
}

/* The newest one that is done; else one that got as far as an answer, which may be the cell itself.
 */
const dm_cell *dm_doubt_witness(const dm_pool *p, uint32_t number)
{
    const dm_cell *begun = NULL;
    const dm_model *m = model_of(p, p->cells[number]);
    for (size_t i = p->n_cells; i-- > 0;) {
        const dm_cell *other = p->cells[i];
        if (model_of(p, other) != m || (!other->replied && !other->answered) ||
            dm_budget_covers(p, number, other) < 1)
            continue;
        if (other->replied)
            return other;
        begun = other;
    }
    return begun;
}

dm_doubt dm_doubt_of(dm_pool *p, uint32_t number, double *again)
{
    dm_cell *c = p->cells[number];
    dm_model *m = model_of(p, c);
    bool queued = dm_model_queued(m) > 0;
    dm_tries *t = c->way->tries;
    *again = 0;
    t->seen = t->due = !dm_doubt_waits(m, t);
    if (t->seen)
        return DM_DOUBT_GO;
    if (m->asks || m->in_flight > 0 || (queued && !dm_doubt_holds(m))) { /* others will tell */
        *again = p->link->ops->now(p->link) + RECHECK;
        return DM_DOUBT_LATER;
    }
    if (!dm_doubt_witness(p, number)) { /* that it answered at all must do, if it did */
        t->seen = m->phase == DM_MODEL_GOOD;
        t->due = true;
        return DM_DOUBT_GO;
    }
    m->asks = number + 1;
    return DM_DOUBT_LATER;
}
