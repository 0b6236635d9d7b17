/* What goes back: a run that failed on the way, or at replies that were no answers, goes out again
 * later, until it is known whose fault it is (src/README.md §5). */
#include "base/log.h"
#include "pool/inside.h"

#include <math.h>

/* A cell that failed on the way goes back until it has been out MIN_TRIES times and the model's
 * outage has passed since it first failed; a model that answers nobody ends the run by then. The
 * delays double up to the eighth of the outage that is between MAX_DELAY and LAST_DELAY, so that
 * with the default of 2 minutes it is out nine times, each with num_retries + 1 attempts a call.
 * Only then does the failure stand, and the example is absent. */
#define MIN_TRIES  6
#define MAX_DELAY  30.0 /* s */
#define LAST_DELAY 300.0
#define ODD_DELAY  2.0 /* s between two goes at a server whose replies are no answers */
#define ODD_GOES   3   /* after so many goes the delay grows */
#define FIRST_ODD  12  /* replies that are none of a model which has answered nothing at all */
/* Goes that end at a 403 or 404 before anything is answered, where a journal has answers. */
#define FIRST_DENIED 3

static bool may_go_back(dm_pool *p, const dm_tries *t, const dm_model *m)
{
    double now = p->link->ops->now(p->link);
    return t->n + 1 < MIN_TRIES || now - t->failed_at < m->config->outage ||
           now - m->last_answer >= m->config->outage; /* then the run stops */
}

static double longest_delay(const dm_model *m)
{
    return fmax(MAX_DELAY, fmin(m->config->outage / 8, LAST_DELAY));
}

static double delay_after(const dm_model *m, int tries)
{
    return fmin(longest_delay(m), ldexp(1, tries < 16 ? tries : 16));
}

/* A run whose reserve was spent before its retries tells nothing of the model: one that has not
 * answered yet is asked again, with a new reserve each time and that of another cell where an
 * account has none left: MIN_TRIES times, at least as often as without a cap, and as long as the
 * job waits for servers that start. One that had answered in an earlier attempt, whose journal is
 * resumed, is waited for as any outage is. */
bool dm_may_ask_again(dm_pool *p, dm_cell *c, const dm_usage *usage)
{
    dm_model *m = &p->models[p->states[c->state].model];
    double now = p->link->ops->now(p->link);
    if (m->phase == DM_MODEL_GOOD)
        return true;
    m->in_vain += usage->requests;
    m->tries++;
    if (!m->kept && (!dm_budget_is_spent(p, c, usage) ||
                     (m->tries >= MIN_TRIES && m->in_vain > m->config->num_retries &&
                      now - m->first_asked >= m->config->wait)))
        return false;
    m->phase = DM_MODEL_UNTRIED;
    m->not_before = now + delay_after(m, m->tries - 1);
    return true;
}

static double delay_of(const dm_tries *t, const dm_model *m, dm_fault fault)
{
    if (fault == DM_FAULT_DENIED) /* it waits for an answer to something else, and for no more */
        return 0;
    if (fault != DM_FAULT_SERVER)
        return delay_after(m, t->n);
    int more = t->n > ODD_GOES ? t->n - ODD_GOES : 0;
    return fmin(longest_delay(m), ldexp(ODD_DELAY, more < 16 ? more : 16));
}

static dm_tries *tries_of(dm_pool *p, dm_cell *c, uint32_t key)
{
    struct dm_cell_way *way = dm_way_of(p, c);
    if (key != DM_NO_KEY)
        way->tries = dm_key_tries(p, key);
    else if (!way->tries)
        way->tries = dm_arena_alloc(p->arena, sizeof *way->tries);
    return way->tries;
}

static void put_back(dm_pool *p, uint32_t number, const dm_ended *e, double delay, const char *why)
{
    dm_cell *c = p->cells[number];
    dm_tries *t = tries_of(p, c, e->key);
    double now = p->link->ops->now(p->link);
    dm_pool_count(p, c, p->states[c->state].work.role, &e->usage);
    dm_hash own = dm_leg_key(c, c->legs != NULL);
    if (e->usage.requests > 0)
        dm_journal_answer(p, c, &own, &(dm_answer){.fault = e->r->fault, .usage = e->usage});
    dm_log(DM_DEBUG, "example %s waits %.0f s for its next try: %s", c->example->id, delay, why);
    if (t->n == 0)
        t->failed_at = now;
    if (!c->way->finds_out) {
        t->odd += e->call.odd + e->usage.odd;
        t->failed_last = now;
        t->seen = t->due = false;
    }
    t->n++;
    t->not_before = now + delay;
    c->way->finds_out = false;
    if (e->key != DM_NO_KEY && e->call.requests > 0) /* else the next one makes it at once */
        dm_known_failed(p, number, e);
    dm_cell_next_go(c);
    dm_schedule_again(p, number, &e->usage, t->not_before);
}

bool dm_model_given_up(dm_pool *p, dm_model *m, const dm_usage *usage, const char *error)
{
    if (m->phase == DM_MODEL_GOOD)
        return false;
    m->first_odd += usage->odd;
    if (m->first_odd >= FIRST_ODD) {
        dm_pool_fail(p, DM_E_MODEL, "%s", error);
        return true;
    }
    m->phase = DM_MODEL_UNTRIED;
    return false;
}

bool dm_model_denies_all(dm_pool *p, uint32_t number, const char *text)
{
    const dm_cell *c = p->cells[number];
    dm_model *m = &p->models[p->states[c->state].model];
    bool answered_before = c->way && c->way->finds_out;
    if (!answered_before && m->phase == DM_MODEL_GOOD)
        return false;
    if (!answered_before && ++m->first_denied <= FIRST_DENIED && dm_doubt_witness(p, number)) {
        m->phase = DM_MODEL_UNTRIED;
        m->asks = number + 1; /* what the journal says that it answered tells more than another */
        return false;
    }
    dm_buf b;
    dm_buf_init(&b, 4096);
    dm_lm_denied_text(&b, m->config, text);
    dm_pool_fail(p, DM_E_MODEL, "%s", b.data);
    dm_buf_free(&b);
    return true;
}

void dm_found_out(dm_pool *p, uint32_t number, const dm_ended *e)
{
    dm_cell *c = p->cells[number];
    dm_model *m = &p->models[p->states[c->state].model];
    dm_fault fault = e->r->fault;
    const char *error = e->r->error ? e->r->error : "";
    if (fault == DM_FAULT_TRANSPORT || fault == DM_FAULT_SERVER) {
        if (fault == DM_FAULT_SERVER && dm_model_given_up(p, m, &e->usage, error))
            return;
        m->failing = true;
        put_back(p, number, e, delay_of(c->way->tries, m, fault), error);
        return;
    }
    dm_answer_came(p, c);
    dm_doubt_answered(p, c, NULL, &e->usage); /* it was another call */
    put_back(p, number, e, 0, "the model answers others");
    c->way->tries->seen = true;
}

bool dm_goes_back(dm_pool *p, uint32_t number, const dm_ended *e)
{
    dm_cell *c = p->cells[number];
    dm_model *m = &p->models[p->states[c->state].model];
    dm_fault fault = e->r->fault;
    dm_usage u = e->usage;
    dm_usage_add(&u, &e->call);
    if (fault != DM_FAULT_TRANSPORT && fault != DM_FAULT_SERVER && fault != DM_FAULT_DENIED)
        return false;
    dm_tries *t = tries_of(p, c, e->key);
    bool stands = fault == DM_FAULT_TRANSPORT ? !may_go_back(p, t, m)
                  : fault == DM_FAULT_SERVER  ? dm_doubt_decided(p, c, t, &u)
                                              : t->denied++ > 0 && t->seen;
    if (stands)
        return false;
    m->failing |= fault == DM_FAULT_TRANSPORT;
    put_back(p, number, e, delay_of(t, m, fault), e->r->error ? e->r->error : "");
    return true;
}
