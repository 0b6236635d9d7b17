/* One request to a server: its body, and its way to the transport. */
#include "lm/provider.h"

#include <math.h>
#include <stdlib.h>

/* For each further server that is asked the same: all other work waits meanwhile, and one of them
 * may be silent. */
#define FURTHER_SECONDS 60.0

static void write_body(dm_call *c)
{
    const dm_lm_request *r = &c->request;
    const dm_lm_config *config = c->model->config;
    const dm_provider *p = config->provider;
    if (r->json.messages) {
        p->json(&c->body, config, r);
        return;
    }
    dm_outgoing o = {.config = config,
                     .head = r->head,
                     .head_hash = r->head_hash,
                     .user = r->user,
                     .sampling = c->model->sampling,
                     .format = p->format ? p->format(config, r->format) : DM_FORMAT_NONE,
                     .schema = r->schema};
    dm_buf own;
    dm_buf_init(&own, DM_MAX_TEXT);
    if (!isnan(r->temperature)) {
        p->sampling(&own, config, r->temperature);
        o.sampling = own.data ? own.data : "";
    }
    p->body(&c->body, &o);
    dm_buf_free(&own);
}

static double estimate_tokens(const dm_call *c)
{
    const dm_lm_config *f = c->model->config;
    return (double)c->body.len / 4 + (f->has_max_tokens ? (double)f->max_tokens : 256);
}

dm_taking dm_call_taking(const dm_call *c, const dm_endpoint *e)
{
    const dm_lm_config *f = c->model->config;
    size_t bytes = c->body.len ? c->body.len : c->request.head.n + c->request.user.n;
    return dm_limits_guess(&e->limits, (double)bytes,
                           f->has_max_tokens ? (double)f->max_tokens : 0);
}

/* Two requests an attempt at most: the transport may have to take another connection. */
static bool may_send(const dm_attempt *a)
{
    int64_t most = a->request->most_sends;
    return a->sends < 2 && (most == 0 || a->before + a->sends < most);
}

void dm_call_send(dm_call *c, dm_endpoint *e)
{
    dm_lm *lm = c->lm;
    if (c->body.len == 0)
        write_body(c);
    if (c->body.full) {
        dm_call_fail(c, DM_FAULT_OVERFLOW, "the prompt is larger than 64 MiB", 0);
        return;
    }
    dm_attempt *a = &c->attempt;
    a->config = e->config;
    a->url = e->url;
    a->headers = e->headers;
    a->proxy = e->proxy;
    a->timeout = c->kept ? fmin(e->config->timeout, FURTHER_SECONDS) : 0;
    a->body = &c->body;
    a->request = &c->request;
    a->user = c->user;
    a->before = c->usage.requests;
    a->may_send = may_send;
    c->endpoint = e;
    c->sent_at = dm_lm_now(lm);
    c->estimate = estimate_tokens(c);
    dm_endpoint_charge(e, c->estimate);
    c->taking = dm_call_taking(c, e);
    dm_limits_charge(&e->limits, &c->taking);
    e->in_flight++;
    dm_call_add(&lm->active, c);
    lm->transport->ops->send(lm->transport, a);
}
