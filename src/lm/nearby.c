#include "lm/nearby.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/utf8.h"
#include "json/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CONNECT_SECONDS 5.0
#define ANSWER_SECONDS  5.0
#define MOST_NAMES      8
#define MOST_NAME       100 /* bytes */

/* ---- other addresses ---- */

static size_t add_base(const char **out, size_t n, const char *base, const char *but)
{
    bool known = strcmp(base, but) == 0 || n == DM_NEARBY_BASES;
    for (size_t i = 0; i < n; i++)
        known |= strcmp(out[i], base) == 0;
    if (!known)
        out[n++] = base;
    return n;
}

static bool ends_with(const char *base, const char *end)
{
    size_t n = strlen(base), k = strlen(end);
    return n > k && strcasecmp(base + n - k, end) == 0;
}

size_t dm_nearby_bases(dm_arena *a, const char *base, const char *out[DM_NEARBY_BASES])
{
    static const char *const requests[] = {"/chat/completions", "/completions", "/responses",
                                           "/messages", "/models"};
    size_t n = 0;
    const char *scheme = strstr(base, "://"), *host = scheme ? scheme + 3 : base;
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
        if (ends_with(base, requests[i])) {
            size_t len = strlen(base) - strlen(requests[i]);
            n = add_base(out, n, dm_arena_string(a, base, len), base);
            break;
        }
    if (n == 0 && !ends_with(base, "/v1"))
        n = add_base(out, n, dm_arena_printf(a, "%s/v1", base), base);
    int root = (int)(host - base) + (int)strcspn(host, "/");
    return add_base(out, n, dm_arena_printf(a, "%.*s/v1", root, base), base);
}

/* ---- replies ---- */

bool dm_nearby_answers(long status, dm_str reply)
{
    dm_arena *a = dm_arena_new(reply.n + 4096);
    const dm_value *root =
        status == 200 ? dm_json_read_bytes(a, dm_reply_plain(a, reply), NULL) : NULL;
    bool answers = root && root->kind == DM_DICT && dm_value_get(root, "data");
    dm_arena_free(a);
    return answers;
}

static void put_names(dm_buf *b, const dm_served *s)
{
    size_t shown = s->list->n < MOST_NAMES ? s->list->n : MOST_NAMES;
    for (size_t i = 0; i < shown; i++) {
        const dm_value *id = dm_value_get(s->list->items[i], "id");
        char *name =
            dm_outside(id && id->kind == DM_STRING ? id->text : (dm_str){"", 0}, MOST_NAME);
        bool last = i + 1 == s->list->n;
        dm_buf_printf(b, "%s\"%s\"", i == 0 ? "" : last ? " and " : ", ", name);
        free(name);
    }
    if (s->list->n > shown)
        dm_buf_printf(b, " and %zu more", s->list->n - shown);
}

static void put_nearest(dm_buf *b, dm_arena *a, const dm_served *s, const char *name)
{
    const char **names = dm_arena_alloc_n(a, s->list->n, sizeof *names);
    for (size_t i = 0; i < s->list->n; i++)
        names[i] = dm_reply_word(dm_value_get(s->list->items[i], "id"));
    const char *near = dm_nearest(name, names, s->list->n);
    if (!near)
        return;
    char *shown = dm_outside(dm_str_of(near), MOST_NAME);
    dm_buf_printf(b, "; did you mean \"%s\"?", shown);
    free(shown);
}

bool dm_nearby_serves(dm_buf *b, const dm_lm_config *c, dm_str reply)
{
    dm_arena *a = dm_arena_new(reply.n + 4096);
    dm_served s = dm_serves_read(a, c, reply);
    bool other = s.list && !s.lists;
    if (other) {
        dm_buf_text(b, "the server serves ");
        put_names(b, &s);
        put_nearest(b, a, &s, c->name);
    }
    dm_arena_free(a);
    return other;
}

/* ---- within the engine ---- */

static void end_call(dm_call *c)
{
    char text[2048];
    const char *more = c->endpoint->nearby.text;
    snprintf(text, sizeof text, "%s%s%s", c->held, *more ? "; " : "", more);
    free(c->held);
    c->held = NULL;
    dm_call_fail(c, c->held_fault, text, c->held_status);
}

/* A server of a class that knows what people leave out, and which has it, is asked there. */
static bool adopt(dm_nearby *n, const char *base)
{
    dm_endpoint *e = n->endpoint;
    const dm_provider *p = e->config->provider;
    dm_buf b;
    if (!p->base_of || n->base)
        return false;
    dm_log(dm_lm_level(n->lm), "%s does not know this path, %s does: requests go there", e->base,
           base);
    n->base = dm_copy_bytes(base, strlen(base));
    e->base = n->base;
    dm_buf_init(&b, 65536);
    p->url(&b, e->config, e->base);
    n->old_url = e->url; /* handles are known by it */
    e->url = dm_buf_take(&b, NULL);
    *e->reason = 0;
    e->ejected = false;
    return true;
}

static void finish(dm_nearby *n, const char *base)
{
    dm_lm *lm = n->lm;
    n->asking = false;
    n->done = true;
    bool again = base && adopt(n, base);
    for (dm_call *c = lm->waiting.first, *following; c; c = following) {
        following = c->next;
        if (!c->held || c->endpoint != n->endpoint)
            continue;
        dm_call_take_out(&lm->waiting, c);
        if (again) {
            free(c->held);
            c->held = NULL;
            c->denied &= ~dm_endpoint_bit(c, n->endpoint);
            dm_call_add(&lm->ready, c);
        } else {
            end_call(c);
            following = lm->waiting.first; /* its owner may have submitted, or dropped, others */
        }
    }
    dm_arena_free(n->arena);
    n->arena = NULL;
}

static void ask(dm_nearby *n, const char *base);

static void told(dm_attempt *a)
{
    dm_nearby *n = (dm_nearby *)a;
    dm_buf b;
    dm_str reply = dm_buf_view(&a->reply);
    bool answers = a->code == CURLE_OK && dm_nearby_answers(a->status, reply);
    const char *base = n->step ? n->bases[n->step - 1] : NULL;
    dm_buf_init(&b, sizeof n->text - 1);
    if (answers && base)
        dm_buf_printf(&b, "did you mean %s?", base);
    else if (answers)
        (void)dm_nearby_serves(&b, n->endpoint->config, reply);
    snprintf(n->text, sizeof n->text, "%s", b.data ? b.data : "");
    dm_buf_free(&b);
    dm_buf_free(&a->reply);
    n->lm->transport->ops->forget(n->lm->transport, a);
    if (answers || a->code != CURLE_OK || n->step == n->n_bases)
        finish(n, answers ? base : NULL);
    else
        ask(n, n->bases[n->step++]);
}

static void ask(dm_nearby *n, const char *base)
{
    const dm_endpoint *e = n->endpoint;
    dm_buf url;
    dm_buf_init(&url, 65536);
    e->config->provider->models_url(&url, e->config, base);
    n->attempt = (dm_attempt){.config = e->config,
                              .url = dm_arena_string(n->arena, url.data, url.len),
                              .headers = e->headers,
                              .proxy = e->proxy,
                              .connect_timeout = CONNECT_SECONDS,
                              .timeout = ANSWER_SECONDS,
                              .ended = told};
    dm_buf_free(&url);
    dm_buf_init(&n->attempt.reply, DM_MAX_LIST);
    n->asking = true;
    n->lm->transport->ops->send(n->lm->transport, &n->attempt);
}

void dm_nearby_fail(dm_call *c, dm_fault fault, const char *text, int status)
{
    dm_nearby *n = &c->endpoint->nearby;
    c->held = dm_copy_bytes(text, strlen(text));
    c->held_fault = fault;
    c->held_status = status;
    if (n->done || c->lm->draining || !dm_serves_asks(c->endpoint->config)) {
        end_call(c);
        return;
    }
    c->not_before = INFINITY;
    dm_call_add(&c->lm->waiting, c);
    if (n->asking)
        return;
    n->lm = c->lm;
    n->endpoint = c->endpoint;
    n->arena = dm_arena_new(1024);
    n->n_bases = dm_nearby_bases(n->arena, c->endpoint->base, n->bases);
    ask(n, c->endpoint->base);
}

void dm_nearby_free(dm_lm *lm, dm_nearby *n)
{
    if (n->asking) {
        lm->transport->ops->drop(lm->transport, &n->attempt);
        lm->transport->ops->forget(lm->transport, &n->attempt);
        dm_buf_free(&n->attempt.reply);
    }
    dm_arena_free(n->arena);
    free(n->base);
    free(n->old_url);
}
