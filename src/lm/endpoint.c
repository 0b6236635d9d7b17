/* One server: its key, its limits, its health. */
#include "base/clock.h"
#include "lm/authorities.h"
#include "lm/provider.h"
#include "lm/proxy.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static dm_status key_in_the_clear(const dm_endpoint *e, dm_error *err)
{
    return dm_fail(err, DM_E_MODEL,
                   "%s: its key would go to the proxy %s in the clear, as %s says: if that is "
                   "meant, name the proxy with lm.proxy; if not, name the host in no_proxy",
                   e->base, e->shown_proxy, e->proxy_named_by);
}

/* Proxy and certificates. */
static dm_status find_way(dm_endpoint *e, bool has_key, dm_error *err)
{
    dm_arena *a = dm_arena_new(1024);
    dm_proxy p = dm_proxy_of(e->config, e->base);
    const char *shown = dm_shown_url(a, p.url);
    dm_authorities known = dm_authorities_of(e->config);
    bool tls = strncasecmp(e->base, "https:", 6) == 0;
    e->proxy = dm_copy_bytes(p.url, strlen(p.url));
    e->shown_proxy = dm_copy_bytes(shown, strlen(shown));
    e->proxy_named_by = p.named_by;
    dm_arena_free(a);
    if (*e->proxy && !e->config->proxy && has_key && !tls)
        return key_in_the_clear(e, err);
    if (tls && known.file && access(known.file, R_OK) != 0)
        return dm_fail(err, DM_E_MODEL, "%s: %s, which %s names, cannot be read: %s", e->base,
                       known.file, known.named_by, strerror(errno));
    return DM_OK;
}

static void add_header(dm_endpoint *e, dm_buf *b, dm_str name, dm_str value)
{
    dm_buf_printf(b, "%.*s: %.*s", DM_STR_ARG(name), DM_STR_ARG(value));
    e->headers = curl_slist_append(e->headers, b->data);
    explicit_bzero(b->data, b->len);
    dm_buf_reset(b);
}

/* The job's own, for gateways. */
static dm_status add_headers(dm_endpoint *e, const dm_lm_config *c, int rank, dm_buf *b,
                             dm_error *err)
{
    for (size_t i = 0; c->headers && i < c->headers->n; i++)
        add_header(e, b, c->headers->members[i].key, c->headers->members[i].value->text);
    for (size_t i = 0; c->headers_env && i < c->headers_env->n; i++) {
        dm_str value;
        if (dm_header_find(c->headers_env->members[i].value->text.p, rank, &value, err) != DM_OK)
            return DM_E_MODEL;
        add_header(e, b, c->headers_env->members[i].key, value);
    }
    return DM_OK;
}

/* As if nothing had been found: it may be freed once more. */
static void leave(dm_endpoint *e)
{
    dm_endpoint_free(e);
    *e = (dm_endpoint){.config = e->config, .base = e->base};
}

dm_status dm_endpoint_init(dm_endpoint *e, const dm_lm_config *c, const char *base, int rank,
                           double slots, dm_error *err)
{
    char *key;
    dm_buf b;
    *e =
        (dm_endpoint){.config = c, .base = base, .limit = slots, .filled = dm_now(), .requests = 1};
    dm_status st = dm_key_find(c, base, rank, &key, err);
    if (st == DM_OK)
        st = find_way(e, key || c->headers || c->headers_env, err);
    if (st != DM_OK) {
        free(key);
        leave(e);
        return st;
    }
    dm_buf_init(&b, 65536);
    c->provider->url(&b, c, base);
    e->url = dm_buf_take(&b, NULL);
    e->headers = curl_slist_append(NULL, "Content-Type: application/json");
    e->headers = curl_slist_append(e->headers, "Expect:");
    for (const char *const *h = c->provider->headers; h && *h; h++)
        e->headers = curl_slist_append(e->headers, *h);
    st = add_headers(e, c, rank, &b, err);
    if (key) {
        dm_buf_printf(&b, "%s%s", c->provider->key_header, key);
        e->headers = curl_slist_append(e->headers, b.data);
        explicit_bzero(b.data, b.len);
        explicit_bzero(key, strlen(key));
    }
    dm_buf_free(&b);
    free(key);
    if (st != DM_OK)
        leave(e);
    return st;
}

void dm_endpoint_free(dm_endpoint *e)
{
    curl_slist_free_all(e->headers);
    free(e->url);
    free(e->proxy);
    free(e->shown_proxy);
}

/* ---- rates ---- */

double dm_endpoint_wait(dm_endpoint *e, double now, double share)
{
    double rpm = e->config->rpm * share, tpm = e->config->tpm * share;
    if (e->ejected)
        return INFINITY;
    if (e->probe.asking)
        return 3600; /* until it is answered */
    double wait = fmax(0, e->down_until - now), passed = now - e->filled;
    e->filled = now;
    e->requests = dm_bucket_filled(e->requests, passed, rpm, 1, 1);
    e->tokens = dm_bucket_filled(e->tokens, passed, tpm, 0, 1);
    if (rpm > 0 && e->requests < 1)
        wait = fmax(wait, (1 - e->requests) / dm_bucket_per_second(rpm, 1));
    if (tpm > 0 && e->tokens < 0)
        wait = fmax(wait, -e->tokens / dm_bucket_per_second(tpm, 0));
    double most = e->aside ? 1 : fmax(1, floor(e->limit));
    if (wait == 0 && (double)e->in_flight >= most)
        wait = 3600; /* until one comes back */
    return wait;
}

void dm_endpoint_charge(dm_endpoint *e, double tokens)
{
    e->requests -= 1;
    e->tokens -= tokens;
}
