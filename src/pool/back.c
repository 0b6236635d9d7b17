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

static bool may_go_back(dm_pool *p, const dm_cell *c, const dm_model *m)
{
    double now = p->link->ops->now(p->link);
    return c->tries + 1 < MIN_TRIES || now - c->way->failed_at < m->config->outage ||
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
 * job waits for servers that start. */
bool dm_may_ask_again(dm_pool *p, dm_cell *c, const dm_usage *usage)
{
    dm_model *m = &p->models[p->states[c->state].model];
    double now = p->link->ops->now(p->link);
    if (m->phase == DM_MODEL_GOOD)
        return true;
    m->in_vain += usage->requests;
    m->tries++;
    if (!dm_budget_is_spent(p, c, usage) ||
        (m->tries >= MIN_TRIES && m->in_vain > m->config->num_retries &&
         now - m->first_asked >= m->config->wait))
        return false;
    m->phase = DM_MODEL_UNTRIED;
    m->not_before = now + delay_after(m, m->tries - 1);
    return true;
}

static double delay_of(const dm_cell *c, const dm_model *m, dm_fault fault)
{
    if (fault == DM_FAULT_DENIED) /* it waits for an answer to something else, and for no more */
        return 0;
    if (fault != DM_FAULT_SERVER)
        return delay_after(m, c->tries);
    int more = c->tries > ODD_GOES ? c->tries - ODD_GOES : 0;
    return fmin(longest_delay(m), ldexp(ODD_DELAY, more < 16 ? more : 16));
}

static void put_back(dm_pool *p, uint32_t number, const dm_usage *usage, double delay, dm_str error)
{
    dm_cell *c = p->cells[number];
    double now = p->link->ops->now(p->link);
    dm_pool_count(p, c, usage);
    if (usage->requests > 0)
        dm_journal_answer(p, c, &(dm_answer){.call = DM_NO_CALL, .usage = *usage});
    dm_log(DM_DEBUG, "example %s goes back for %.0f s: %.*s", c->example->id, delay,
           DM_STR_ARG(error));
    struct dm_cell_way *way = dm_way_of(p, c);
    if (c->tries == 0)
        way->failed_at = now;
    if (!way->finds_out) {
        way->odd += usage->odd;
        way->failed_last = now;
    }
    way->finds_out = false;
    if (c->tries < UINT8_MAX)
        c->tries++;
    dm_schedule_again(p, number, usage, now + delay);
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

void dm_found_out(dm_pool *p, uint32_t number, const dm_result *r, const dm_usage *usage)
{
    dm_cell *c = p->cells[number];
    dm_model *m = &p->models[p->states[c->state].model];
    const char *error = r->error ? r->error : "";
    int64_t odd = c->way->odd;
    int denied = c->way->denied;
    if (r->fault == DM_FAULT_TRANSPORT || r->fault == DM_FAULT_SERVER) {
        if (r->fault == DM_FAULT_SERVER && dm_model_given_up(p, m, usage, error))
            return;
        m->failing = true;
        put_back(p, number, usage, delay_of(c, m, r->fault), dm_str_of(error));
        return;
    }
    dm_answer_came(p, c);
    c->way->odd = 0; /* not of this call */
    dm_doubt_answered(p, c, usage);
    c->way->odd = odd;
    c->way->denied = denied;
    c->way->seen = true;
    put_back(p, number, usage, 0, DM_STR("the model answers others"));
}

bool dm_goes_back(dm_pool *p, uint32_t number, const dm_result *r, const dm_usage *usage)
{
    dm_cell *c = p->cells[number];
    dm_model *m = &p->models[p->states[c->state].model];
    if (r->fault == DM_FAULT_TRANSPORT) {
        if (!may_go_back(p, c, m))
            return false;
        m->failing = true;
    } else if (r->fault == DM_FAULT_DENIED) {
        if (dm_way_of(p, c)->denied++ > 0 && c->way->seen)
            return false;
    } else if (r->fault != DM_FAULT_SERVER || dm_doubt_decided(p, c, usage)) {
        return false;
    }
    put_back(p, number, usage, delay_of(c, m, r->fault), dm_str_of(r->error ? r->error : ""));
    return true;
}
