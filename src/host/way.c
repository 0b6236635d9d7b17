#include "host/way.h"
#include "base/clock.h"
#include "host/inside.h"
#include "json/json.h"
#include "lm/told.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct going { /* an attempt that a process makes, or has made */
    struct going *next;
    dm_attempt *attempt;
    int64_t number;
    const dm_process *process;
    double until;
    bool over;
} going;

typedef struct host_way {
    dm_transport transport; /* first */
    dm_transport *inner;
    dm_hosts *hosts;
    going *list;
    int64_t next;
} host_way;

static bool is_ours(const dm_attempt *a)
{
    return a->request && a->config && dm_lm_by_host(a->config);
}

static void end_with(going *g, CURLcode code, const char *words)
{
    g->attempt->code = code;
    snprintf(g->attempt->error, sizeof g->attempt->error, "%s", words);
    g->over = true;
}

/* ---- out ---- */

static const char *key_of(const dm_attempt *a)
{
    size_t n = strlen(DM_BY_HOST_KEY);
    for (const struct curl_slist *h = a->headers; h; h = h->next)
        if (strncmp(h->data, DM_BY_HOST_KEY, n) == 0)
            return h->data + n;
    return NULL;
}

static void put_text(dm_buf *b, const char *name, const char *text)
{
    dm_buf_printf(b, ",\"%s\":", name);
    dm_json_write_string(b, dm_str_of(text));
}

/* The key goes by the pipe alone, with the request that it is for. */
static void write_request(dm_buf *b, const going *g)
{
    const dm_attempt *a = g->attempt;
    const dm_lm_config *c = a->config;
    const char *key = key_of(a);
    dm_buf_printf(b, "{\"op\":\"go\",\"id\":%lld,\"role\":%d", (long long)g->number,
                  (int)a->request->role);
    if (key)
        put_text(b, "key", key);
    if (key && c->api_key_env)
        put_text(b, "variable", c->api_key_env);
    if (strcmp(c->api_base[0], DM_BY_HOST_BASE) != 0)
        put_text(b, "base", c->api_base[0]);
    dm_buf_text(b, ",\"body\":");
    dm_buf_add(b, a->body->data, a->body->len);
    dm_buf_text(b, "}\n");
}

static void send_attempt(dm_transport *t, dm_attempt *a)
{
    host_way *w = (host_way *)t;
    if (!is_ours(a)) {
        w->inner->ops->send(w->inner, a);
        return;
    }
    going *g = dm_alloc(sizeof *g);
    double seconds = a->timeout > 0 ? a->timeout : a->config->timeout;
    dm_buf b;
    *g = (going){.next = w->list,
                 .attempt = a,
                 .number = ++w->next,
                 .until = dm_now() + seconds,
                 .process = dm_hosts_process(w->hosts, a->request->asker)};
    w->list = g;
    dm_buf_reset(&a->reply);
    a->sends = 0;
    a->given = 0;
    a->status = a->connect_status = 0;
    a->content_type = a->redirect = NULL;
    *a->error = 0;
    dm_told_init(&a->told);
    if (!g->process) {
        end_with(g, CURLE_COULDNT_CONNECT, "no process of the Python program is there now");
        return;
    }
    if (a->may_send && !a->may_send(a)) {
        end_with(g, CURLE_ABORTED_BY_CALLBACK, "");
        return;
    }
    a->sends = 1;
    a->given = a->body->len;
    dm_buf_init(&b, DM_MAX_FILE);
    write_request(&b, g);
    dm_process_send((dm_process *)(uintptr_t)g->process, dm_buf_view(&b));
    dm_buf_free(&b);
}

static void drop(dm_transport *t, dm_attempt *a)
{
    host_way *w = (host_way *)t;
    for (going **at = &w->list; *at; at = &(*at)->next)
        if ((*at)->attempt == a) {
            going *g = *at;
            *at = g->next;
            free(g);
            return;
        }
    w->inner->ops->drop(w->inner, a);
}

static void forget(dm_transport *t, dm_attempt *a)
{
    host_way *w = (host_way *)t;
    w->inner->ops->forget(w->inner, a);
}

/* ---- back ---- */

/* {"op": "done", "id", "status", "reply"}, as a server would say it; a way that failed is a 503. */
static void done(void *user, const dm_value *m)
{
    const host_way *w = user;
    const dm_value *reply = dm_value_get(m, "reply");
    int64_t number = 0, status = 0;
    if (!dm_value_to_int(dm_value_get(m, "id"), &number))
        return;
    for (going *g = w->list; g; g = g->next) {
        if (g->number != number || g->over)
            continue;
        if (!reply || !dm_value_to_int(dm_value_get(m, "status"), &status))
            return;
        g->attempt->status = (long)status;
        g->attempt->content_type = "application/json";
        dm_json_write(&g->attempt->reply, reply, DM_JSON_COMPACT);
        end_with(g, CURLE_OK, "");
        return;
    }
}

static void lost(void *user, const dm_process *p)
{
    const host_way *w = user;
    for (going *g = w->list; g; g = g->next)
        if (g->process == p && !g->over)
            end_with(g, CURLE_RECV_ERROR, "the process of the Python program ended");
}

static bool end_what_is_over(host_way *w)
{
    double now = w->list ? dm_now() : 0;
    bool any = false;
    for (going **at = &w->list; *at;) {
        going *g = *at;
        if (!g->over && now > g->until)
            end_with(g, CURLE_OPERATION_TIMEDOUT, "no answer in time");
        if (!g->over) {
            at = &g->next;
            continue;
        }
        *at = g->next;
        dm_attempt *a = g->attempt;
        free(g);
        a->ended(a); /* which may send it again, or another one */
        any = true;
        at = &w->list;
    }
    return any;
}

static bool turn(dm_transport *t)
{
    host_way *w = (host_way *)t;
    bool any = w->inner->ops->turn(w->inner);
    return end_what_is_over(w) || any;
}

static void wait_for_any(dm_transport *t, dm_wait_fd *fds, size_t n, double timeout)
{
    host_way *w = (host_way *)t;
    double now = w->list ? dm_now() : 0;
    for (const going *g = w->list; g; g = g->next) {
        double left = g->over ? 0 : g->until - now;
        timeout = left < timeout ? (left > 0 ? left : 0) : timeout;
    }
    w->inner->ops->wait(w->inner, fds, n, timeout);
    (void)end_what_is_over(w);
}

static void close_way(dm_transport *t)
{
    host_way *w = (host_way *)t;
    dm_hosts_on_go(w->hosts, NULL, NULL, NULL);
    w->inner->ops->close(w->inner);
    while (w->list) {
        going *g = w->list;
        w->list = g->next;
        free(g);
    }
    free(w);
}

dm_transport *dm_host_way(dm_hosts *h, dm_transport *inner)
{
    static const dm_transport_ops ops = {send_attempt, drop, forget, turn, wait_for_any, close_way};
    host_way *w = dm_alloc(sizeof *w);
    w->transport.ops = &ops;
    w->inner = inner;
    w->hosts = h;
    dm_hosts_on_go(h, done, lost, w);
    return &w->transport;
}
