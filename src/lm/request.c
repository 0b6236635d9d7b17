/* One request to a server: its body, its options, its way into curl. */
#include "base/clock.h"
#include "lm/provider.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t keep_reply(char *p, size_t size, size_t n, void *user)
{
    dm_call *c = user;
    (void)size;
    dm_buf_add(&c->reply, p, n);
    return c->reply.full ? 0 : n; /* 0 of n ends the transfer: the ceiling */
}

static void write_body(dm_call *c)
{
    const dm_lm_request *r = &c->request;
    const dm_lm_config *config = c->model->config;
    const dm_provider *p = config->provider;
    dm_outgoing o = {.config = config,
                     .head = r->head,
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

/* ---- what curl sends, and sends again ----
 *
 * curl takes the body from here, piece by piece, and has to come back for it whenever it sends a
 * request anew: by itself it does so on another connection when a kept one was closed without a
 * byte, up to five times. The first may have been billed, so each beginning of the body is counted,
 * and refused beyond what was set aside. A request of which no byte of the body was taken cannot be
 * answered by anybody, and is none. (A seek is asked for only when something was taken before; so
 * the beginnings are counted, not the seeks.) */

static bool may_send(const dm_call *c)
{
    int64_t most = c->request.most_sends;
    return c->sends < 2 && (most == 0 || c->usage.requests + c->sends < most);
}

static size_t give_body(char *p, size_t size, size_t n, void *user)
{
    dm_call *c = user;
    size_t left = c->body.len - c->given, room = size * n;
    if (c->given == 0) {
        if (!may_send(c))
            return CURL_READFUNC_ABORT;
        c->sends++;
    }
    n = left < room ? left : room;
    memcpy(p, c->body.data + c->given, n);
    c->given += n;
    return n;
}

static int begin_again(void *user, curl_off_t offset, int origin)
{
    dm_call *c = user;
    if (origin != SEEK_SET || offset != 0 || !may_send(c))
        return CURL_SEEKFUNC_FAIL;
    c->given = 0;
    return CURL_SEEKFUNC_OK;
}

void dm_easy_defaults(CURL *e, const dm_lm_config *c)
{
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 4096L); /* answers are small, and there are many */
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(e, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_PROXY, c->proxy ? c->proxy : "");
    curl_easy_setopt(e, CURLOPT_NOPROXY, ""); /* the environment has no say in it */
    if (c->ca_file)
        curl_easy_setopt(e, CURLOPT_CAINFO, c->ca_file);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "dspy-mpi/" DM_VERSION);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)(1000 * c->connect_timeout));
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)(1000 * c->timeout));
}

/* What stays the same as long as the handle's calls go to one endpoint. */
static void set_options(dm_call *c, const dm_endpoint *to)
{
    if (!c->easy)
        c->easy = curl_easy_init();
    else
        curl_easy_reset(c->easy);
    CURL *e = c->easy;
    c->set_for = to;
    dm_easy_defaults(e, to->config);
    curl_easy_setopt(e, CURLOPT_URL, to->url);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, to->headers);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, keep_reply);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(e, CURLOPT_PRIVATE, &c->transfer);
    curl_easy_setopt(e, CURLOPT_POST, 1L);
    curl_easy_setopt(e, CURLOPT_READFUNCTION, give_body);
    curl_easy_setopt(e, CURLOPT_READDATA, c);
    curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, begin_again);
    curl_easy_setopt(e, CURLOPT_SEEKDATA, c);
}

static double estimate_tokens(const dm_call *c)
{
    const dm_lm_config *f = c->model->config;
    return (double)c->body.len / 4 + (f->has_max_tokens ? (double)f->max_tokens : 256);
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
    if (c->set_for != e)
        set_options(c, e);
    dm_buf_reset(&c->reply);
    curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body.len);
    c->endpoint = e;
    c->sends = 0;
    c->given = 0;
    c->sent_at = dm_now();
    c->estimate = estimate_tokens(c);
    dm_endpoint_charge(e, c->estimate);
    e->in_flight++;
    dm_call_add(&lm->active, c);
    curl_multi_add_handle(lm->multi, c->easy);
}
