/* Asking servers what they serve, before they get a call: GET base/models. Of several servers of
 * one model those that are not there are set aside and asked again, and those that serve another
 * model are left out, by name. What a server does not tell is not held against it. */
#include "base/secret.h"
#include "lm/provider.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_SECONDS 5.0
#define ANSWER_SECONDS  10.0
#define LONGEST_PAUSE   5.0 /* s, between two tries */
#define ROLE_TRIES      3   /* of a model that no call has asked yet */

static void copy_text(char *out, size_t room, dm_str words)
{
    char *text = dm_outside(words, room - 1);
    snprintf(out, room, "%s", text);
    free(text);
}

static void read_list(dm_probe *p, const dm_lm_config *c)
{
    dm_arena *a = dm_arena_new(p->attempt.reply.len + 4096);
    dm_served s = dm_serves_read(a, c, dm_buf_view(&p->attempt.reply));
    p->has_list = s.has_list;
    p->lists |= s.lists;
    if (!*p->serves)
        copy_text(p->serves, sizeof p->serves, s.first);
    if (s.lists) {
        copy_text(p->root, sizeof p->root, s.root);
        p->max_model_len = s.max_model_len;
    }
    dm_arena_free(a);
}

/* ---- servers side by side ---- */

static const dm_endpoint *known_other(const dm_lm_model *m, const dm_endpoint *but)
{
    for (size_t i = 0; i < m->n; i++) {
        const dm_endpoint *e = &m->endpoints[i];
        if (e != but && !e->ejected && e->probe.lists)
            return e;
    }
    return NULL;
}

static void compare(dm_lm *lm, dm_lm_model *m, dm_endpoint *e)
{
    const dm_endpoint *other = known_other(m, e);
    dm_level level = dm_lm_level(lm);
    if (!other || e->ejected || !e->probe.has_list)
        return;
    if (!e->probe.lists) {
        e->ejected = true;
        snprintf(e->reason, sizeof e->reason, "it serves \"%s\", not \"%s\" as %s does",
                 e->probe.serves, m->config->name, other->base);
        dm_log(level, "%s is left out: %s", e->base, e->reason);
        return;
    }
    if (other->probe.max_model_len != e->probe.max_model_len && other < e)
        dm_log(level,
               "%s takes %lld tokens (max_model_len), %s takes %lld: what fits one of them may not "
               "fit the other",
               other->base, (long long)other->probe.max_model_len, e->base,
               (long long)e->probe.max_model_len);
    if (strcmp(other->probe.root, e->probe.root) != 0 && other < e)
        dm_log(level, "%s serves \"%s\" from %s, %s from %s: are they one model?", other->base,
               m->config->name, other->probe.root, e->base, e->probe.root);
}

static void settle(dm_lm *lm, dm_lm_model *m)
{
    m->settled = true;
    for (size_t i = 0; i < m->n; i++)
        compare(lm, m, &m->endpoints[i]);
    for (size_t i = 0; i < m->n; i++)
        if (m->endpoints[i].probe.wanted)
            dm_log(dm_lm_level(lm), "%s is set aside, and tried again: %s", m->endpoints[i].base,
                   m->endpoints[i].probe.failure);
}

/* ---- asking ---- */

static dm_endpoint *endpoint_of(const dm_probe *p)
{
    for (size_t i = 0; i < p->model->n; i++)
        if (&p->model->endpoints[i].probe == p)
            return &p->model->endpoints[i];
    return NULL;
}

/* Whether the server has not told what it serves, and may do so later. */
static bool is_failure(const dm_probe *p, const dm_attempt *a)
{
    return a->code != CURLE_OK || dm_is_of_the_way(a->status) || a->status == 529 ||
           (!p->wanted && (a->status == 401 || a->status == 403));
}

static void say_failure(dm_probe *p, dm_endpoint *e, const dm_attempt *a)
{
    dm_reply r = dm_reply_of(a, e);
    (void)dm_judge_reply(e->config->provider, &r);
    bool denied = a->code == CURLE_OK && (a->status == 401 || a->status == 403);
    snprintf(p->failure, sizeof p->failure, "%.300s%s%s", r.text, denied ? "; " : "",
             !denied    ? ""
             : r.advice ? r.advice
                        : dm_advice(a->code, a->status));
    if (r.loading)
        dm_lm_loads(p->lm, e);
    p->loading = r.loading;
}

static void judge(dm_probe *p, dm_endpoint *e, const dm_attempt *a)
{
    double now = dm_lm_now(p->lm);
    *p->failure = 0;
    if (is_failure(p, a))
        say_failure(p, e, a);
    if (!*p->failure) {
        if (a->status == 200)
            read_list(p, e->config);
        p->wanted = false;
        return;
    }
    e->times_aside++;
    e->aside = p->wanted;
    e->aside_at = now;
    p->again_at = now + fmin(LONGEST_PAUSE, ldexp(1, e->times_aside < 4 ? e->times_aside - 1 : 3));
    if (p->wanted)
        e->down_until = p->again_at;
}

static void end_attempt(dm_lm *lm, dm_probe *p)
{
    lm->transport->ops->forget(lm->transport, &p->attempt);
    p->asking = false;
}

static void ended(dm_attempt *a)
{
    dm_probe *p = (dm_probe *)a;
    dm_endpoint *e = endpoint_of(p);
    dm_lm *lm = p->lm;
    p->model->asking--;
    bool late = p->model->settled;
    judge(p, e, a);
    end_attempt(lm, p);
    dm_buf_free(&a->reply);
    if (late)
        compare(lm, p->model, e);
    else if (p->model->asking == 0)
        settle(lm, p->model);
}

void dm_probe_start(dm_lm *lm, dm_lm_model *m, dm_endpoint *e)
{
    dm_probe *p = &e->probe;
    p->lm = lm;
    p->model = m;
    p->asking = true;
    if (!p->url) {
        dm_buf url;
        dm_buf_init(&url, 65536);
        e->config->provider->models_url(&url, e->config, e->base);
        p->url = dm_buf_take(&url, NULL);
    }
    p->attempt = (dm_attempt){.config = e->config,
                              .url = p->url,
                              .headers = e->headers,
                              .proxy = e->proxy,
                              .connect_timeout = CONNECT_SECONDS,
                              .timeout = ANSWER_SECONDS,
                              .ended = ended};
    dm_buf_init(&p->attempt.reply, DM_MAX_LIST);
    m->asking++;
    lm->transport->ops->send(lm->transport, &p->attempt);
}

void dm_probe_free(dm_lm *lm, dm_probe *p)
{
    if (p->asking) {
        lm->transport->ops->drop(lm->transport, &p->attempt);
        end_attempt(lm, p);
    }
    dm_buf_free(&p->attempt.reply);
    free(p->url);
}

/* ---- what they came to ---- */

static bool is_waited_for(const dm_endpoint *e, double now)
{
    return e->probe.loading && now - e->loading_from < dm_loading_wait(e->config);
}

bool dm_probes_failed(const dm_lm *lm, const dm_lm_model *m, double now, char *text, size_t room)
{
    size_t used = 0;
    bool loading = false;
    if (m->n < 2 || !m->settled || now - lm->started < m->config->wait)
        return false;
    for (size_t i = 0; i < m->n; i++)
        if (!m->endpoints[i].ejected &&
            (!m->endpoints[i].probe.wanted || !*m->endpoints[i].probe.failure ||
             is_waited_for(&m->endpoints[i], now)))
            return false;
    for (size_t i = 0; i < m->n && used < room; i++) {
        const dm_endpoint *e = &m->endpoints[i];
        loading |= !e->ejected && e->probe.loading;
        used += (size_t)snprintf(text + used, room - used, "%s%s: %s", i ? "; " : "", e->base,
                                 e->ejected ? e->reason : e->probe.failure);
    }
    if (used < room)
        snprintf(text + used, room - used, "; no server of %s is left; %s", m->config->model,
                 loading ? DM_WAIT_LONGER : "are they up, and are the addresses right?");
    return true;
}

const char *dm_lm_trouble(dm_lm *lm)
{
    double now = dm_lm_now(lm);
    for (size_t i = 0; i < lm->n_models; i++) {
        dm_lm_model *m = &lm->models[i];
        dm_endpoint *e = m->endpoints;
        if (m->n != 1 || e->answered || !*e->probe.failure || e->probe.asking ||
            m->config->wait > 0)
            continue;
        if (e->times_aside >= ROLE_TRIES && !is_waited_for(e, now)) {
            snprintf(lm->trouble, sizeof lm->trouble, "%s: model %s: %s; %s", e->base,
                     m->config->name, e->probe.failure,
                     e->probe.loading ? DM_WAIT_LONGER
                                      : "is the server up, and is the address right?");
            return lm->trouble;
        }
        if (now >= e->probe.again_at)
            dm_probe_start(lm, m, e);
    }
    return NULL;
}
