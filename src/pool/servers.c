/* What a server told one rank of pauses and limits holds for all: one limiter a server, for the
 * whole job. Each rank keeps its part of it, as its places are. */
#include "base/log.h"
#include "pool/inside.h"

#include <math.h>
#include <string.h>
#include <time.h>

static dm_server *server_of(dm_pool *p, dm_role role, size_t endpoint)
{
    dm_model *m = &p->models[p->model_of[role]];
    if (!m->config || endpoint >= m->config->n_base)
        return NULL;
    if (!m->servers)
        m->servers = dm_arena_alloc_n(p->arena, m->config->n_base, sizeof *m->servers);
    return &m->servers[endpoint];
}

/* A worker that can be told what another one, from, has told; from < 0: what nobody told. */
static bool hears(const dm_pool *p, int worker, int from)
{
    return worker != from && p->peers[worker].ready && !p->peers[worker].lost;
}

static void send_to(dm_pool *p, int worker, const dm_wire_limits *l)
{
    dm_buf msg;
    dm_wire_put_limits(&msg, l);
    p->link->ops->send(p->link, worker, &msg);
}

static void send_pace_to(dm_pool *p, int worker, const dm_wire_pace *pace)
{
    dm_wire_pace own = *pace;
    dm_buf msg;
    own.offset = (worker + 1.0) / p->link->n_workers;
    dm_wire_put_pace(&msg, &own);
    p->link->ops->send(p->link, worker, &msg);
}

static bool same_limits(const double *a, const double *b)
{
    for (size_t i = 0; i < DM_RATES; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

bool dm_servers_limits(dm_pool *p, int from, dm_wire_message *m)
{
    dm_wire_limits l;
    if (!dm_wire_get_limits(m, &l))
        return false;
    dm_server *s = server_of(p, l.role, l.endpoint);
    if (!s || same_limits(s->limit, l.limit))
        return true;
    p->slots_stale |= s->limit[DM_RATE_REQUESTS] != l.limit[DM_RATE_REQUESTS];
    dm_log(DM_DEBUG, "%s allows %.0f requests and %.0f tokens a minute",
           p->models[p->model_of[l.role]].config->api_base[l.endpoint], l.limit[DM_RATE_REQUESTS],
           l.limit[DM_RATE_TOKENS]);
    memcpy(s->limit, l.limit, sizeof s->limit);
    for (int w = 0; w < p->link->n_workers; w++)
        if (hears(p, w, from))
            send_to(p, w, &l);
    return true;
}

void dm_servers_greet(dm_pool *p, int worker)
{
    for (int role = 0; role < DM_ROLES; role++) {
        const dm_model *m = &p->models[role];
        for (size_t i = 0; m->servers && i < m->config->n_base; i++) {
            dm_wire_limits l = {.role = (dm_role)role, .endpoint = i};
            memcpy(l.limit, m->servers[i].limit, sizeof l.limit);
            send_to(p, worker, &l);
            send_pace_to(p, worker,
                         &(dm_wire_pace){.role = (dm_role)role,
                                         .endpoint = i,
                                         .pace = m->servers[i].pace.rate});
        }
    }
}

double dm_servers_rpm(const dm_model *m)
{
    double rpm = m->config->rpm > 0 ? m->config->rpm : INFINITY;
    for (size_t i = 0; m->servers && i < m->config->n_base; i++)
        if (m->servers[i].limit[DM_RATE_REQUESTS] > 0)
            rpm = fmin(rpm, m->servers[i].limit[DM_RATE_REQUESTS]);
    return isinf(rpm) ? 0 : rpm;
}

/* ---- paces ---- */

static void send_pace(dm_pool *p, const dm_wire_pace *pace)
{
    for (int w = 0; w < p->link->n_workers; w++)
        if (hears(p, w, -1))
            send_pace_to(p, w, pace);
}

bool dm_servers_tally(dm_pool *p, dm_wire_message *m)
{
    dm_wire_tally t;
    if (!dm_wire_get_tally(m, &t))
        return false;
    dm_server *s = server_of(p, t.role, t.endpoint);
    double now = p->link->ops->now(p->link);
    if (!s || !dm_pace_saw(&s->pace, now, (double)t.answered, (double)t.refused))
        return true;
    dm_log(DM_DEBUG, "%s is asked %.0f times a minute",
           p->models[p->model_of[t.role]].config->api_base[t.endpoint], s->pace.rate);
    send_pace(p, &(dm_wire_pace){.role = t.role, .endpoint = t.endpoint, .pace = s->pace.rate});
    return true;
}

/* ---- pauses ---- */

static void say_until(const dm_lm_config *c, size_t endpoint, double seconds)
{
    char when[64];
    time_t until = time(NULL) + (time_t)ceil(seconds);
    struct tm t;
    dm_buf b;
    dm_buf_init(&b, 64);
    dm_print_seconds(&b, seconds);
    gmtime_r(&until, &t);
    strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S UTC", &t);
    dm_log(DM_WARN,
           "%s: model %s: the server takes no request until %s (for %s), which is longer than "
           "lm.outage (%g s): stopping; run the same command again then",
           c->api_base[endpoint], c->name, when, b.data, c->outage);
    dm_buf_free(&b);
}

/* A pause beyond what an outage may last, of all the model's servers: nobody is to be held for it.
 */
static void stop_for_long(dm_pool *p, const dm_wire_slow *slow)
{
    const dm_model *m = &p->models[p->model_of[slow->role]];
    double now = p->link->ops->now(p->link), least = INFINITY;
    dm_server *s = server_of(p, slow->role, slow->endpoint);
    if (!s)
        return;
    s->until = fmax(s->until, now + slow->seconds);
    for (size_t i = 0; i < m->config->n_base; i++)
        least = fmin(least, m->servers[i].until - now);
    if (least <= m->config->outage || p->stop)
        return;
    say_until(m->config, slow->endpoint, least);
    p->stop = DM_STOP_OUTAGE;
}

bool dm_servers_slow(dm_pool *p, int from, dm_wire_message *m)
{
    dm_wire_slow slow;
    if (!dm_wire_get_slow(m, &slow))
        return false;
    stop_for_long(p, &slow);
    for (int w = 0; w < p->link->n_workers; w++) {
        dm_buf msg;
        if (!hears(p, w, from))
            continue;
        dm_wire_put_slow(&msg, &slow);
        p->link->ops->send(p->link, w, &msg);
    }
    return true;
}
