#include "base/clock.h"
#include "base/random.h"
#include "lm/as_json.h"
#include "lm/nearby.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HERE_AT_ONCE 16 /* answers of this process in one turn, so that other work goes on */

/* ---- making ---- */

static dm_status make_model(dm_lm *lm, dm_lm_model *m, const dm_lm_config *c, dm_error *err)
{
    m->config = c;
    m->share = 1;
    if (dm_lm_in_process(c))
        return DM_OK;
    dm_buf sampling;
    dm_buf_init(&sampling, DM_MAX_TEXT);
    c->provider->sampling(&sampling, c, NAN);
    m->sampling = dm_buf_take(&sampling, NULL);
    m->turn = (size_t)lm->rank;
    m->settled = !dm_serves_asks(c);
    m->endpoints = dm_alloc_n(c->n_base, sizeof *m->endpoints);
    for (; m->n < c->n_base; m->n++) {
        dm_status st = dm_endpoint_init(&m->endpoints[m->n], c, c->api_base[m->n], lm->rank,
                                        (double)lm->slots, err);
        if (st != DM_OK)
            return st;
        m->endpoints[m->n].filled = lm->started;
        dm_limits_init(&m->endpoints[m->n].limits, lm->started);
    }
    return DM_OK;
}

/* Who stands between us and the servers: each proxy once, with the first server behind it. */
static void name_proxies(const dm_lm *lm)
{
    const char *last = "";
    for (size_t i = 0; i < lm->n_models; i++)
        for (size_t k = 0; k < lm->models[i].n; k++) {
            const dm_endpoint *e = &lm->models[i].endpoints[k];
            if (*e->proxy && strcmp(e->proxy, last) != 0)
                dm_log(dm_lm_level(lm), "%s is asked through the proxy %s, as %s says", e->base,
                       e->shown_proxy, e->proxy_named_by);
            last = e->proxy;
        }
}

/* One rank is enough to learn early that a model is not to be had; of several servers each rank
 * has to know which it may ask. */
static void start_probes(dm_lm *lm)
{
    for (size_t i = 0; lm->probes && i < lm->n_models; i++) {
        dm_lm_model *m = &lm->models[i];
        for (size_t k = 0; k < m->n && dm_serves_asks(m->config); k++)
            if (m->n > 1 || (lm->n_models > 1 && lm->rank <= 1)) {
                m->endpoints[k].probe.wanted = m->n > 1;
                dm_probe_start(lm, m, &m->endpoints[k]);
            }
    }
}

dm_lm *dm_lm_new(const dm_lm_options *o, dm_error *err)
{
    dm_lm *lm = dm_alloc(sizeof *lm);
    lm->clock = o->clock;
    lm->transport = o->transport ? o->transport : dm_transport_curl(&lm->clock);
    if (!lm->transport) {
        (void)dm_fail(err, DM_E_INTERNAL, "no way to wait for connections: %s", strerror(errno));
        free(lm);
        return NULL;
    }
    lm->slots = (size_t)o->slots;
    lm->seed = o->seed;
    lm->rank = o->rank;
    lm->probes = o->probe;
    lm->slowed = o->slowed;
    lm->tally = o->tally;
    lm->told = o->told;
    lm->unfit = o->unfit;
    lm->failing = o->failing;
    lm->user = o->user;
    lm->next_id = 1;
    lm->started = dm_lm_now(lm);
    for (int r = 0; r < DM_ROLES; r++) {
        for (size_t i = 0; i < lm->n_models; i++)
            if (o->role[r] && lm->models[i].config == o->role[r])
                lm->of_role[r] = &lm->models[i];
        if (!o->role[r] || lm->of_role[r])
            continue;
        lm->of_role[r] = &lm->models[lm->n_models++];
        if (make_model(lm, lm->of_role[r], o->role[r], err) != DM_OK) {
            dm_lm_free(lm);
            return NULL;
        }
    }
    name_proxies(lm);
    start_probes(lm);
    return lm;
}

const dm_lm_config *dm_lm_config_of(const dm_lm *lm, dm_role role)
{
    return lm->of_role[role] ? lm->of_role[role]->config : NULL;
}

bool dm_lm_asks_format(const dm_lm_config *c)
{
    const dm_provider *p = c->provider;
    return p->format && p->format(c, DM_FORMAT_SCHEMA) != DM_FORMAT_NONE &&
           !(p->key_host && dm_same_origin(c->api_base[0], p->key_host));
}

void dm_lm_share(dm_lm *lm, dm_role role, double share)
{
    if (lm->of_role[role])
        lm->of_role[role]->share = share;
}

static void free_call(dm_lm *lm, dm_call *c)
{
    lm->transport->ops->forget(lm->transport, &c->attempt);
    dm_buf_free(&c->body);
    dm_buf_free(&c->attempt.reply);
    free(c->held);
    free(c->kept);
    free(c);
}

static void free_calls(dm_lm *lm, dm_call_list *l)
{
    while (l->first) {
        dm_call *c = l->first;
        dm_call_take_out(l, c);
        free_call(lm, c);
    }
}

void dm_lm_free(dm_lm *lm)
{
    if (!lm)
        return;
    for (dm_call *c = lm->active.first; c; c = c->next)
        lm->transport->ops->drop(lm->transport, &c->attempt);
    free_calls(lm, &lm->ready);
    free_calls(lm, &lm->waiting);
    free_calls(lm, &lm->active);
    free_calls(lm, &lm->idle);
    for (size_t i = 0; i < lm->n_models; i++)
        for (size_t k = 0; k < lm->models[i].n; k++) {
            dm_probe_free(lm, &lm->models[i].endpoints[k].probe);
            dm_nearby_free(lm, &lm->models[i].endpoints[k].nearby);
        }
    lm->transport->ops->close(lm->transport);
    for (size_t i = 0; i < lm->n_models; i++) {
        for (size_t k = 0; k < lm->models[i].n; k++)
            dm_endpoint_free(&lm->models[i].endpoints[k]);
        free(lm->models[i].endpoints);
        free(lm->models[i].sampling);
    }
    free(lm);
}

/* ---- taking calls ---- */

uint64_t dm_lm_submit(dm_lm *lm, const dm_lm_request *r, dm_lm_done *done, void *user)
{
    dm_call *c = lm->idle.last;
    if (c) {
        dm_call_take_out(&lm->idle, c);
    } else {
        c = dm_alloc(sizeof *c);
        c->attempt.ended = dm_call_attempted;
        dm_buf_init(&c->body, DM_MAX_REQUEST);
        dm_buf_init(&c->attempt.reply, DM_MAX_ANSWER);
    }
    c->id = lm->next_id++;
    c->lm = lm;
    c->model = lm->of_role[r->role];
    c->request = *r;
    c->done = done;
    c->user = user;
    c->usage = (dm_usage){0};
    c->attempts = 0;
    c->but = NULL;
    c->denied = c->asked = 0;
    dm_buf_reset(&c->body);
    dm_call_add(&lm->ready, c);
    return c->id;
}

static dm_call *find(dm_call_list *l, uint64_t id)
{
    for (dm_call *c = l->first; c; c = c->next)
        if (c->id == id)
            return c;
    return NULL;
}

void dm_lm_cancel(dm_lm *lm, uint64_t id)
{
    dm_call_list *lists[] = {&lm->ready, &lm->waiting, &lm->active};
    for (int i = 0; i < 3; i++) {
        dm_call *c = find(lists[i], id);
        if (!c)
            continue;
        dm_call_take_out(lists[i], c);
        free(c->held);
        c->held = NULL;
        free(c->kept);
        c->kept = NULL;
        if (i == 2) {
            lm->transport->ops->drop(lm->transport, &c->attempt);
            c->endpoint->in_flight--;
            dm_limits_settle(&c->endpoint->limits, &c->taking, NULL);
        }
        dm_call_add(&lm->idle, c);
        return;
    }
}

/* ---- models that answer in this process ---- */

static void answer_here(dm_call *c)
{
    if (c->request.json.messages) {
        dm_json_answer_here(c);
        return;
    }
    const dm_prefix *p = c->request.prefix;
    dm_message *all = dm_alloc_n(p->n + 1, sizeof *all);
    size_t bytes = c->request.user.n;
    for (size_t i = 0; i < p->n; i++) {
        all[i] = p->messages[i];
        bytes += p->messages[i].content.n;
    }
    all[p->n] = (dm_message){DM_USER, c->request.user};
    dm_buf *reply = &c->attempt.reply;
    dm_buf_reset(reply);
    c->model->config->provider->answer(reply, all, p->n + 1, c->request.rollout);
    free(all);
    c->usage.requests++;
    c->usage.answers++;
    c->usage.prompt += (int64_t)(bytes / 4);
    c->usage.completion += (int64_t)(reply->len / 4);
    dm_call_finish(c, &(dm_lm_answer){.content = dm_buf_view(reply)});
}

/* ---- the loop ---- */

/* The endpoint with the fewest calls in flight that can take one now, else when one can; but only
 * if no other can. Of equals the one after the last that was taken, and each rank begins at
 * another: ranks with a call or two each must not all ask the first server. */
static dm_endpoint *pick(dm_lm *lm, const dm_call *c, double now, double *wait)
{
    dm_lm_model *m = c->model;
    const dm_endpoint *but = c->but;
    dm_endpoint *best = NULL;
    *wait = m->n > 1 && lm->probes && !m->settled ? 3600 : INFINITY;
    for (size_t i = 0; i < m->n; i++) {
        dm_endpoint *e = &m->endpoints[(m->turn + i) % m->n];
        if ((c->denied | c->asked) & dm_endpoint_bit(c, e))
            continue;
        double w = dm_endpoint_wait(e, now, m->share);
        if (w < 3600) {
            dm_taking t = dm_call_taking(c, e);
            w = fmax(w, dm_limits_wait(&e->limits, now, m->share, &t));
        }
        if (w == 0 && e->probe.wanted && m->settled) { /* it was not there, or has come back */
            dm_probe_start(lm, m, e);
            w = 3600;
        }
        *wait = fmin(*wait, w);
        /* before all are asked it is not known whether others serve the model by name */
        bool may_be_wrong = !m->settled && e->probe.has_list && !e->probe.lists;
        if (e->probe.wanted || may_be_wrong)
            continue;
        if (w == 0 && (!best || best == but || (e != but && e->in_flight < best->in_flight)))
            best = e;
    }
    if (best)
        m->turn = (size_t)(best - m->endpoints) + 1;
    return best;
}

/* Sends what is ready. Returns the seconds until it is worth trying again. */
static double send_ready(dm_lm *lm)
{
    double now = dm_lm_now(lm), next = INFINITY;
    size_t here = 0;
    if (lm->draining)
        return INFINITY;
    for (dm_call *c = lm->ready.first, *following; c && lm->active.n < lm->slots; c = following) {
        following = c->next;
        if (c->model->config->provider->answer) {
            if (here++ >= HERE_AT_ONCE)
                return 0;
            dm_call_take_out(&lm->ready, c);
            answer_here(c);
            following = lm->ready.first;
            continue;
        }
        double wait;
        char text[1536];
        if (dm_probes_failed(lm, c->model, now, text, sizeof text)) {
            dm_call_take_out(&lm->ready, c);
            dm_call_fail(c, DM_FAULT_TRANSPORT, text, 0);
            following = lm->ready.first;
            continue;
        }
        dm_endpoint *e = pick(lm, c, now, &wait);
        if (!e && isinf(wait) && c->kept) { /* those that are left are gone meanwhile */
            dm_call_take_out(&lm->ready, c);
            dm_call_finish_kept(c);
            following = lm->ready.first;
        } else if (!e && isinf(wait)) { /* all were ejected before this call was sent */
            dm_call_take_out(&lm->ready, c);
            snprintf(text, sizeof text, "%s: %s", c->model->endpoints[0].base,
                     c->model->endpoints[0].reason);
            dm_call_fail(c, c->denied ? DM_FAULT_DENIED : DM_FAULT_ENDPOINT, text, 0);
            following = lm->ready.first;
        } else if (!e) {
            next = fmin(next, wait);
        } else {
            dm_call_take_out(&lm->ready, c);
            dm_call_send(c, e);
        }
    }
    return next;
}

static double release_waiting(dm_lm *lm)
{
    double now = dm_lm_now(lm), next = INFINITY;
    for (dm_call *c = lm->waiting.first, *following; c; c = following) {
        following = c->next;
        if (c->not_before <= now) {
            dm_call_take_out(&lm->waiting, c);
            dm_call_add(&lm->ready, c);
        } else {
            next = fmin(next, c->not_before - now);
        }
    }
    return next;
}

void dm_lm_drain(dm_lm *lm)
{
    lm->draining = true;
}

size_t dm_lm_in_flight(const dm_lm *lm)
{
    return lm->active.n;
}

void dm_lm_poll(dm_lm *lm, dm_wait_fd *fds, size_t n, double timeout)
{
    timeout = fmin(timeout, release_waiting(lm));
    timeout = fmin(timeout, send_ready(lm));
    if (lm->transport->ops->turn(lm->transport))
        timeout = 0; /* somebody may have more to ask now */
    if (!lm->draining && lm->ready.n && lm->ready.first->model->config->provider->answer)
        timeout = 0;
    lm->transport->ops->wait(lm->transport, fds, n, timeout);
}
