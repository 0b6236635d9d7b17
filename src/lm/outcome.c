/* What an attempt came to, and what follows: an answer, another attempt, another server. */
#include "base/log.h"
#include "base/random.h"
#include "lm/as_json.h"
#include "lm/nearby.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST_BACKOFF 60.0 /* s */
#define LONGEST_ASIDE   30.0 /* s */
#define TALLY_AT_ONCE   0.02 /* s between two that tell of a change */
#define TALLY_EVERY     0.1  /* s, of more of the same */
#define NEWS            0.5  /* s: what a server says within it again is known */
#define TELL_EVERY      1.0  /* s */
#define ASIDE_AFTER     3    /* failures in a row; fewer are any server's lot */
#define DEAD_RETRIES    3    /* where nobody was ever there; `wait` is for servers that start */
#define ODD_TRIES       3    /* replies that are no answers, until the work goes back */
#define LOADING_EVERY   2.0  /* s: how often a server is asked that loads its model */
#define LONGEST_LOADING 10.0 /* s: the most that it may ask for between two of them */

static double jitter(dm_lm *lm)
{
    return dm_draw_double(lm->seed, 0x6a69, lm->n_draws++);
}

static void try_again(dm_call *c, double delay)
{
    c->not_before = dm_lm_now(c->lm) + delay;
    c->usage.retries++;
    dm_call_add(delay > 0 ? &c->lm->waiting : &c->lm->ready, c);
}

static bool another_is_up(const dm_lm_model *m, const dm_endpoint *but, double now)
{
    for (size_t i = 0; i < m->n; i++)
        if (&m->endpoints[i] != but && !m->endpoints[i].ejected && !m->endpoints[i].probe.wanted &&
            m->endpoints[i].down_until <= now)
            return true;
    return false;
}

static bool ever_answered(const dm_lm_model *m)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->endpoints[i].answered)
            return true;
    return false;
}

bool dm_nobody_there(CURLcode code)
{
    return code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ||
           code == CURLE_COULDNT_RESOLVE_PROXY;
}

static dm_role role_of(const dm_lm *lm, const dm_lm_model *m)
{
    int r = 0;
    while (lm->of_role[r] != m)
        r++;
    return (dm_role)r;
}

static void tell_failing(dm_call *c, double now)
{
    if (!c->lm->failing || now < c->model->told_failing + TELL_EVERY)
        return;
    c->model->told_failing = now;
    c->lm->failing(c->lm->user, role_of(c->lm, c->model));
}

/* Whether it has sent all that the budget set aside for it. */
static bool is_spent(const dm_call *c)
{
    return c->request.most_sends > 0 && c->usage.requests >= c->request.most_sends;
}

double dm_backoff(int64_t failed, double retry_after, double draw)
{
    double longest = fmin(LONGEST_BACKOFF, ldexp(1, (int)fmin((double)failed - 1, 10)));
    return retry_after > 0 ? retry_after : draw * longest;
}

/* What may be wrong with a server of which nothing is heard. */
static const char *question(const dm_call *c, const dm_reply *r)
{
    bool closed = r->code == CURLE_SEND_ERROR || r->code == CURLE_RECV_ERROR ||
                  r->code == CURLE_SSL_CONNECT_ERROR;
    if (r->loading)
        return DM_WAIT_LONGER;
    if (r->proxy && *r->proxy && dm_nobody_there(r->code))
        return "is the proxy up, and is its address right?";
    if (closed && r->tls && !ever_answered(c->model))
        return "is the server up, and is the address right? one that wants a client certificate "
               "may close the connection like this, see cert_file";
    return "is the server up, and is the address right?";
}

static void retry(dm_call *c, const dm_reply *r)
{
    dm_endpoint *e = c->endpoint;
    double now = dm_lm_now(c->lm);
    int64_t most = c->model->config->num_retries;
    bool known = ever_answered(c->model);
    tell_failing(c, now);
    if (!known && r->loading)
        dm_lm_loads(c->lm, e);
    /* A server that is not up yet, or still loads its model, is waited for as long as the job says.
     */
    bool absent = dm_nobody_there(r->code) || r->status == 502 || r->status == 503;
    bool sent = is_spent(c);
    if (!known && absent && now - c->lm->started < e->config->wait && !sent) {
        try_again(c, 0.5);
        return;
    }
    if (!known && r->loading && now - e->loading_from < dm_loading_wait(e->config) && !sent) {
        try_again(c, fmax(LOADING_EVERY, fmin(r->retry_after, LONGEST_LOADING)));
        return;
    }
    if (!known && dm_nobody_there(r->code) && most > DEAD_RETRIES)
        most = DEAD_RETRIES;
    if (++c->attempts > most || sent) {
        char text[1024];
        snprintf(text, sizeof text, "%s: model %s: %s, after %lld attempts; %s", e->base,
                 c->model->config->name, r->text, (long long)c->attempts, question(c, r));
        dm_call_fail(c, DM_FAULT_TRANSPORT, text, (int)r->status);
        return;
    }
    double delay = dm_backoff(c->attempts, r->retry_after, jitter(c->lm));
    bool paced = e->limits.pace > 0 && r->retry_after == 0; /* which is wait enough */
    try_again(c, paced || another_is_up(c->model, e, now) ? 0 : delay);
}

/* The server is there, and what it said is no answer. It is asked again, another one if there is
 * one; whether it is to blame or this request is for the pool to find out, which knows what else
 * was answered. */
static void ask_again(dm_call *c, const dm_reply *r)
{
    dm_endpoint *e = c->endpoint;
    e->failures = 0; /* of the way */
    c->usage.odd++;
    c->but = e;
    int64_t most = c->model->config->num_retries + 1;
    if (c->usage.odd >= (most < ODD_TRIES ? most : ODD_TRIES) || is_spent(c)) {
        char text[1024];
        snprintf(text, sizeof text, "%s: model %s: %s, after %lld attempts", e->base,
                 c->model->config->name, r->text,
                 (long long)c->request.odd_before + (long long)c->usage.odd);
        dm_call_fail(c, DM_FAULT_SERVER, text, (int)r->status);
        return;
    }
    double delay = dm_backoff(c->usage.odd, r->retry_after, jitter(c->lm));
    try_again(c, another_is_up(c->model, e, dm_lm_now(c->lm)) ? 0 : delay);
}

/* A server that is not there, or fails several times in a row, is set aside, longer each time, as
 * long as there are others. Then it is tried with one call at a time until one is answered. */
static void set_aside(dm_call *c, const dm_reply *r)
{
    dm_endpoint *e = c->endpoint;
    double now = dm_lm_now(c->lm);
    if (e->aside && c->sent_at < e->aside_at)
        return; /* it was sent before, and tells nothing new */
    e->failures++;
    if ((!dm_nobody_there(r->code) && !e->aside && e->failures < ASIDE_AFTER) ||
        !another_is_up(c->model, e, now))
        return;
    e->times_aside++;
    e->aside = true;
    e->aside_at = now;
    e->down_until =
        now + fmin(LONGEST_ASIDE, ldexp(1, e->times_aside < 6 ? e->times_aside - 1 : 5));
    dm_log(dm_lm_level(c->lm), "%s is set aside for %.0f s: %s", e->base, e->down_until - now,
           r->text);
}

static void is_well(dm_lm *lm, dm_endpoint *e)
{
    if (e->aside)
        dm_log(dm_lm_level(lm), "%s answers again", e->base);
    e->answered = true;
    e->aside = false;
    e->failures = e->times_aside = e->denials = 0;
    e->limit = fmin((double)lm->slots, e->limit + 1 / e->limit);
}

static void cut(dm_endpoint *e, double now)
{
    e->limit = fmax(1, fmin(e->limit, (double)e->in_flight + 1) / 2);
    e->cut_at = now;
}

/* 429 and 529: half as many at once. Of many that were sent together the first one counts. */
static void slow_down(dm_call *c, const dm_reply *r)
{
    dm_endpoint *e = c->endpoint;
    double now = dm_lm_now(c->lm), until = now + r->retry_after;
    bool news = c->sent_at >= e->cut_at || (r->retry_after > 0 && until > e->down_until + NEWS);
    if (c->sent_at >= e->cut_at)
        cut(e, now);
    if (r->retry_after > 0)
        e->down_until = fmax(e->down_until, until);
    if (news && c->lm->slowed)
        c->lm->slowed(c->lm->user, role_of(c->lm, c->model), (size_t)(e - c->model->endpoints),
                      r->retry_after);
}

/* One overload is told by each process that met it, and is to be answered once. */
void dm_lm_slow(dm_lm *lm, dm_role role, size_t endpoint, double seconds)
{
    dm_lm_model *m = lm->of_role[role];
    if (!m || endpoint >= m->n)
        return;
    dm_endpoint *e = &m->endpoints[endpoint];
    double now = dm_lm_now(lm);
    if (now > e->cut_at + NEWS)
        cut(e, now);
    if (seconds > 0)
        e->down_until = fmax(e->down_until, now + seconds);
}

void dm_lm_learn(dm_lm *lm, dm_role role, size_t endpoint, const double limit[DM_RATES])
{
    dm_lm_model *m = lm->of_role[role];
    if (m && endpoint < m->n)
        dm_limits_learn(&m->endpoints[endpoint].limits, limit);
}

void dm_lm_pace(dm_lm *lm, dm_role role, size_t endpoint, double pace, double offset)
{
    dm_lm_model *m = lm->of_role[role];
    if (!m || endpoint >= m->n)
        return;
    dm_endpoint *e = &m->endpoints[endpoint];
    dm_limits_pace(&e->limits, dm_lm_now(lm), pace, offset);
    e->tally.refused = 0; /* what is not told yet was of the old pace */
}

/* Where a server tells no limits: what it lets through and what not. A refusal of what was sent
 * before the pace was lowered tells nothing new. Changes are told quickly, more of the same now and
 * then. */
static void count_for_pace(dm_call *c, bool refused)
{
    dm_lm *lm = c->lm;
    dm_endpoint *e = c->endpoint;
    dm_heard *t = &e->tally;
    double now = dm_lm_now(lm);
    if (!lm->tally || e->limits.rate[DM_RATE_REQUESTS].limit > 0 ||
        (refused && c->sent_at < e->limits.paced_at))
        return;
    t->wanted |= refused;
    t->refused += refused;
    t->answered += !refused;
    if (!t->wanted || now < t->told_at + (refused == t->of_refusal ? TALLY_EVERY : TALLY_AT_ONCE))
        return;
    lm->tally(lm->user, role_of(lm, c->model), (size_t)(e - c->model->endpoints), t->answered,
              t->refused);
    *t = (dm_heard){.told_at = now, .of_refusal = refused, .wanted = true};
}

/* What the call took of the server's limits, and what its reply's head says of them. */
static void take_limits(dm_call *c, const dm_reply *r)
{
    dm_lm *lm = c->lm;
    dm_endpoint *e = c->endpoint;
    const dm_told_limits *told = &c->attempt.told;
    double prompt = (double)r->prompt, completion = (double)r->completion, limit[DM_RATES];
    dm_taking really = {{1, prompt + completion, prompt - (double)r->cached, completion}, 0};
    bool known = prompt + completion > 0 || (r->code == CURLE_OK && r->status >= 400);
    dm_limits_settle(&e->limits, &c->taking, known ? &really : NULL);
    if (r->code != CURLE_OK || r->status == 0 ||
        !dm_limits_hear(&e->limits, dm_lm_now(lm), c->model->share, told) || !lm->told)
        return;
    for (int k = 0; k < DM_RATES; k++)
        limit[k] = told->rate[k].limit;
    lm->told(lm->user, role_of(lm, c->model), (size_t)(e - c->model->endpoints), limit);
}

/* Its reason stands. */
static void leave_out(dm_call *c, dm_endpoint *e)
{
    if (!e->ejected && c->model->n > 1)
        dm_log(dm_lm_level(c->lm), "%s is left out: %s", e->base, e->reason);
    e->ejected = true;
}

/* A server that has answered nothing yet may not know the address, or the model: what it has is
 * part of what is said. */
static void fail(dm_call *c, const dm_reply *r, dm_fault fault, const char *text)
{
    bool of_model = fault == DM_FAULT_REFUSED && (r->status == 400 || r->status == 422) &&
                    strcasestr(text, "model");
    bool unknown = r->code == CURLE_OK && (r->status == 404 || r->status == 405 || of_model);
    if (unknown && !*r->param && !c->endpoint->answered)
        dm_nearby_fail(c, fault, text, (int)r->status);
    else
        dm_call_fail(c, fault, text, (int)r->status);
}

static void eject(dm_call *c, const dm_reply *r)
{
    dm_endpoint *e = c->endpoint;
    char text[1024];
    bool others = false;
    snprintf(text, sizeof text, "model %s: %s; %s", c->model->config->name, r->text,
             r->advice ? r->advice : dm_advice(r->code, r->status));
    if (!e->ejected)
        snprintf(e->reason, sizeof e->reason, "%s", text);
    leave_out(c, e);
    for (size_t i = 0; i < c->model->n; i++)
        others |= !c->model->endpoints[i].ejected;
    char whole[1536];
    snprintf(whole, sizeof whole, "%s: %s", e->base, text);
    if (others && !is_spent(c))
        try_again(c, 0);
    else
        fail(c, r, others ? DM_FAULT_TRANSPORT : DM_FAULT_ENDPOINT, whole);
}

/* Once a server: it tells the same of every request. */
static void say_doubt(dm_call *c, const dm_reply *r)
{
    dm_endpoint *e = c->endpoint;
    if (!r->doubt || e->told_doubt)
        return;
    e->told_doubt = true;
    dm_log(dm_lm_level(c->lm), "%s: model %s: the server reports %s; %s", e->base,
           c->model->config->name, r->doubt,
           r->prompt > 0 ? "none count as cached"
                         : "such counts are left out, and a cap takes the prompt's bytes and "
                           "max_tokens in their place");
}

/* Another server may answer it: then this one is to blame, or is after a few times. If none does,
 * the pool knows whether others of the model's calls are answered. */
static void deny(dm_call *c, const dm_reply *r)
{
    dm_endpoint *e = c->endpoint;
    bool others = false;
    e->failures = 0; /* of the way */
    c->denied |= dm_endpoint_bit(c, e);
    if (!e->ejected)
        snprintf(e->reason, sizeof e->reason, "model %s: %s; %s", c->model->config->name, r->text,
                 r->advice ? r->advice : dm_advice(r->code, r->status));
    for (size_t i = 0; i < c->model->n; i++) {
        const dm_endpoint *x = &c->model->endpoints[i];
        others |= !x->ejected && !(c->denied & dm_endpoint_bit(c, x));
    }
    if (others && !is_spent(c))
        try_again(c, 0);
    else
        fail(c, r, others ? DM_FAULT_TRANSPORT : DM_FAULT_DENIED, r->text);
}

/* The call is answered: what of those that denied it? */
static void blame_who_denied(dm_call *c)
{
    for (size_t i = 0; c->denied && i < c->model->n; i++) {
        dm_endpoint *e = &c->model->endpoints[i];
        if (e == c->endpoint || e->ejected || !(c->denied & dm_endpoint_bit(c, e)) || !*e->reason)
            continue;
        if (!e->answered || ++e->denials >= ASIDE_AFTER)
            leave_out(c, e);
    }
}

/* Room for flex comes back by itself, and nothing was billed: the call waits, longer each time, and
 * as long as it takes; the other calls go on. */
static void wait_for_room(dm_call *c, const dm_reply *r)
{
    dm_endpoint *e = c->endpoint;
    e->failures = 0;
    tell_failing(c, dm_lm_now(c->lm));
    if (!e->told_room)
        dm_log(dm_lm_level(c->lm),
               "%s: model %s: no capacity for service_tier flex now: waiting; %s", e->base,
               c->model->config->name, r->text);
    e->told_room = true;
    if (is_spent(c)) {
        dm_call_fail(c, DM_FAULT_TRANSPORT, r->text, (int)r->status);
        return;
    }
    try_again(c, dm_backoff(++c->attempts, r->retry_after, 0.5 + jitter(c->lm) / 2));
}

/* A key that the job gave is refused: so is every call, and the job has to change. What an
 * optimizer asks with for itself is another matter. */
static void say_unfit(dm_call *c, const dm_reply *r)
{
    const dm_lm_config *f = c->model->config;
    bool own = strcmp(r->param, "temperature") == 0 && !isnan(c->request.temperature);
    if (own || !c->lm->unfit)
        return;
    dm_buf b;
    dm_buf_init(&b, 4096);
    dm_lm_unfit_text(&b, f, r->param, r->text);
    c->lm->unfit(c->lm->user, b.data);
    dm_buf_free(&b);
}

/* ---- calls of all servers ---- */

/* One that is there, and was not asked yet. */
static bool another_to_ask(const dm_call *c)
{
    double now = dm_lm_now(c->lm);
    for (size_t i = 0; i < c->model->n; i++) {
        const dm_endpoint *e = &c->model->endpoints[i];
        if (!e->ejected && !e->probe.wanted && !e->probe.asking && e->down_until <= now &&
            !((c->asked | c->denied) & dm_endpoint_bit(c, e)))
            return true;
    }
    return false;
}

/* What one of them came to. False: as any other call. What is wrong with a server but that it
 * refuses this is for other calls to find out. */
static bool went_to_one(dm_call *c, dm_reply *r, dm_verdict v)
{
    if (!c->request.of_all || v == DM_FINAL || (v != DM_GOOD && !c->kept))
        return false;
    if (v == DM_GOOD)
        is_well(c->lm, c->endpoint);
    if (!c->kept) {
        c->kept = r->content;
        c->n_kept = r->n;
        c->kept_truncated = r->truncated;
        r->content = NULL;
        blame_who_denied(c);
    }
    c->asked |= dm_endpoint_bit(c, c->endpoint);
    if (another_to_ask(c) && !is_spent(c))
        dm_call_add(&c->lm->ready, c);
    else
        dm_call_finish_kept(c);
    return true;
}

/* Every request that went out is counted, whatever came of it: a cap is on what is sent. */
static void count(dm_call *c, const dm_reply *r, dm_verdict v)
{
    long s = r->status;
    bool refused =
        r->code == CURLE_OK && ((s >= 300 && s < 500 && s != 408) || s == 503 || s == 529);
    int sends = c->attempt.sends;
    bool told = sends > 0 && (refused || r->prompt + r->completion > 0);
    c->usage.requests += sends;
    c->usage.untold += sends - told;
    c->usage.answers += v == DM_GOOD;
    c->usage.prompt += r->prompt;
    c->usage.completion += r->completion;
    c->usage.reasoning += r->reasoning;
    c->usage.cached += r->cached;
    c->usage.written += r->written;
    c->usage.flex += v == DM_GOOD && strcmp(r->tier, "flex") == 0;
    if (c->model->config->tpm > 0)
        c->endpoint->tokens += c->estimate - (double)(r->prompt + r->completion);
}

void dm_call_attempted(dm_attempt *a)
{
    dm_call *c = (dm_call *)a;
    dm_endpoint *e = c->endpoint;
    dm_reply r = dm_reply_of(a, e);
    r.sent = c->body.len;
    dm_call_take_out(&c->lm->active, c);
    e->in_flight--;
    dm_verdict v = dm_judge_reply(c->model->config->provider, &r);
    count(c, &r, v);
    take_limits(c, &r);
    say_doubt(c, &r);
    if (went_to_one(c, &r, v)) {
        free(r.content);
        return;
    }
    switch (v) {
    case DM_GOOD:
        is_well(c->lm, e);
        count_for_pace(c, false);
        blame_who_denied(c);
        if (c->request.json.messages)
            dm_json_answer(&r);
        dm_call_finish(c, &(dm_lm_answer){.content = {r.content, r.n},
                                          .truncated = r.truncated,
                                          .http_status = 200});
        break;
    case DM_FINAL:
        if (*r.param && !c->request.json.messages)
            say_unfit(c, &r);
        fail(c, &r, r.fault, r.text); /* with what it was known of before */
        is_well(c->lm, e);
        break;
    case DM_SLOW_DOWN:
        slow_down(c, &r);
        if (r.status != 529) /* it is overloaded by all who ask it */
            count_for_pace(c, true);
        retry(c, &r);
        break;
    case DM_NO_ROOM:
        wait_for_room(c, &r);
        break;
    case DM_RETRY:
        set_aside(c, &r);
        retry(c, &r);
        break;
    case DM_ODD:
        ask_again(c, &r);
        break;
    case DM_DENIED:
        deny(c, &r);
        break;
    case DM_EJECT:
        eject(c, &r);
        break;
    }
    free(r.content);
}
