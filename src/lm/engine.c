#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "json/json.h"
#include "lm/inside.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define EMBEDDED_AT_ONCE 16   /* answers of the stand-in in one turn, so that other work goes on */
#define LONGEST_BACKOFF  60.0 /* s */
#define MAX_FDS          80

typedef struct call {
    struct call *next, *prev; /* ready, waiting, active or idle */
    uint64_t id;
    dm_lm *lm;
    dm_lm_model *model;
    dm_lm_request request;
    dm_lm_done *done;
    void *user;
    dm_usage usage;
    int64_t attempts; /* that failed */
    double not_before;
    dm_endpoint *endpoint;
    CURL *easy; /* kept for the next call */
    dm_buf body, reply;
    double estimate; /* tokens charged before the answer */
} call;

typedef struct call_list {
    call *first, *last;
    size_t n;
} call_list;

struct dm_lm {
    CURLM *multi;
    dm_lm_model models[DM_ROLES];
    dm_lm_model *of_role[DM_ROLES];
    size_t n_models;
    size_t slots;
    double rate_share, started;
    uint64_t seed, n_draws, next_id;
    call_list ready;   /* may be sent, first in first out */
    call_list waiting; /* for their not_before */
    call_list active;  /* sent */
    call_list idle;    /* to be used again */
    int rank;
};

const char *dm_fault_name(dm_fault f)
{
    static const char *const names[] = {"none",     "transport", "context_overflow",
                                        "parse",    "refused",   "content_filter",
                                        "endpoint", "program",   "metric"};
    return names[f];
}

void dm_usage_add(dm_usage *to, const dm_usage *u)
{
    to->requests += u->requests;
    to->answers += u->answers;
    to->prompt += u->prompt;
    to->completion += u->completion;
    to->cached += u->cached;
    to->retries += u->retries;
}

/* ---- lists ---- */

static void add(call_list *l, call *c)
{
    c->next = NULL;
    c->prev = l->last;
    *(l->last ? &l->last->next : &l->first) = c;
    l->last = c;
    l->n++;
}

static void take_out(call_list *l, call *c)
{
    *(c->prev ? &c->prev->next : &l->first) = c->next;
    *(c->next ? &c->next->prev : &l->last) = c->prev;
    l->n--;
}

/* ---- making ---- */

static char *sampling_text(const dm_lm_config *c, double temperature)
{
    dm_buf b;
    bool put = isnan(temperature);
    dm_buf_init(&b, DM_MAX_TEXT);
    for (size_t i = 0; i < c->sampling->n; i++) {
        const dm_member *m = &c->sampling->members[i];
        dm_buf_char(&b, ',');
        dm_json_write_string(&b, m->key);
        dm_buf_char(&b, ':');
        if (dm_str_is(m->key, "temperature") && !isnan(temperature)) {
            dm_py_float(&b, temperature);
            put = true;
        } else {
            dm_json_write(&b, m->value, DM_JSON_COMPACT);
        }
    }
    if (!put) {
        dm_buf_text(&b, ",\"temperature\":");
        dm_py_float(&b, temperature);
    }
    return dm_buf_take(&b, NULL);
}

static dm_status make_model(dm_lm *lm, dm_lm_model *m, const dm_lm_config *c, dm_error *err)
{
    m->config = c;
    m->sampling = sampling_text(c, NAN);
    if (c->provider == DM_EMBEDDED)
        return DM_OK;
    m->endpoints = dm_alloc_n(c->n_base, sizeof *m->endpoints);
    for (; m->n < c->n_base; m->n++) {
        dm_status st = dm_endpoint_init(&m->endpoints[m->n], c, c->api_base[m->n], lm->rank,
                                        (double)lm->slots, err);
        if (st != DM_OK)
            return st;
    }
    return DM_OK;
}

static void raise_file_limit(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &r);
    }
}

dm_lm *dm_lm_new(const dm_lm_options *o, dm_error *err)
{
    static bool curl_ready;
    if (!curl_ready) {
        curl_global_init(CURL_GLOBAL_DEFAULT);
        raise_file_limit();
        curl_ready = true;
    }
    dm_lm *lm = dm_alloc(sizeof *lm);
    lm->multi = curl_multi_init();
    lm->slots = (size_t)o->slots;
    lm->rate_share = o->rate_share;
    lm->seed = o->seed;
    lm->rank = o->rank;
    lm->next_id = 1;
    lm->started = dm_now();
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
    return lm;
}

static void free_call(dm_lm *lm, call *c)
{
    if (c->easy) {
        curl_multi_remove_handle(lm->multi, c->easy);
        curl_easy_cleanup(c->easy);
    }
    dm_buf_free(&c->body);
    dm_buf_free(&c->reply);
    free(c);
}

static void free_calls(dm_lm *lm, call_list *l)
{
    while (l->first) {
        call *c = l->first;
        take_out(l, c);
        free_call(lm, c);
    }
}

void dm_lm_free(dm_lm *lm)
{
    if (!lm)
        return;
    free_calls(lm, &lm->ready);
    free_calls(lm, &lm->waiting);
    free_calls(lm, &lm->active);
    free_calls(lm, &lm->idle);
    curl_multi_cleanup(lm->multi);
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
    call *c = lm->idle.last;
    if (c) {
        take_out(&lm->idle, c);
    } else {
        c = dm_alloc(sizeof *c);
        dm_buf_init(&c->body, DM_MAX_REQUEST);
        dm_buf_init(&c->reply, DM_MAX_ANSWER);
    }
    c->id = lm->next_id++;
    c->lm = lm;
    c->model = lm->of_role[r->role];
    c->request = *r;
    c->done = done;
    c->user = user;
    c->usage = (dm_usage){0};
    c->attempts = 0;
    dm_buf_reset(&c->body);
    add(&lm->ready, c);
    return c->id;
}

static call *find(call_list *l, uint64_t id)
{
    for (call *c = l->first; c; c = c->next)
        if (c->id == id)
            return c;
    return NULL;
}

void dm_lm_cancel(dm_lm *lm, uint64_t id)
{
    call_list *lists[] = {&lm->ready, &lm->waiting, &lm->active};
    for (int i = 0; i < 3; i++) {
        call *c = find(lists[i], id);
        if (!c)
            continue;
        take_out(lists[i], c);
        if (i == 2) {
            curl_multi_remove_handle(lm->multi, c->easy);
            c->endpoint->in_flight--;
        }
        add(&lm->idle, c);
        return;
    }
}

/* ---- answers ---- */

static void finish(call *c, const dm_lm_answer *answer)
{
    dm_lm *lm = c->lm;
    dm_lm_answer a = *answer;
    a.usage = c->usage;
    c->done(c->user, &a);
    add(&lm->idle, c);
}

static void finish_with(call *c, dm_fault fault, const char *text, int status)
{
    finish(c, &(dm_lm_answer){
                  .fault = fault, .content = {"", 0}, .text = text, .http_status = status});
}

/* ---- the stand-in ---- */

static void answer_embedded(call *c)
{
    const dm_prefix *p = c->request.prefix;
    dm_message *all = dm_alloc_n(p->n + 1, sizeof *all);
    size_t bytes = c->request.user.n;
    for (size_t i = 0; i < p->n; i++) {
        all[i] = p->messages[i];
        bytes += p->messages[i].content.n;
    }
    all[p->n] = (dm_message){DM_USER, c->request.user};
    dm_buf_reset(&c->reply);
    dm_embedded_answer(&c->reply, all, p->n + 1, c->request.rollout);
    free(all);
    c->usage.requests++;
    c->usage.answers++;
    c->usage.prompt += (int64_t)(bytes / 4);
    c->usage.completion += (int64_t)(c->reply.len / 4);
    finish(c, &(dm_lm_answer){.content = dm_buf_view(&c->reply)});
}

/* ---- requests ---- */

static size_t keep_reply(char *p, size_t size, size_t n, void *user)
{
    call *c = user;
    (void)size;
    dm_buf_add(&c->reply, p, n);
    return c->reply.full ? 0 : n; /* 0 of n ends the transfer: the ceiling */
}

static void write_body(call *c)
{
    const dm_lm_request *r = &c->request;
    dm_buf *b = &c->body;
    dm_response_format format = dm_supported_format(c->model->config, r->format);
    dm_buf_text(b, "{\"model\":");
    dm_json_write_string(b, dm_str_of(c->model->config->name));
    dm_buf_text(b, ",\"messages\":[");
    dm_buf_str(b, r->prefix->json);
    dm_buf_text(b, r->prefix->json.n ? ",{\"role\":\"user\",\"content\":"
                                     : "{\"role\":\"user\",\"content\":");
    dm_json_write_string(b, r->user);
    dm_buf_text(b, "}]");
    if (isnan(r->temperature)) {
        dm_buf_text(b, c->model->sampling);
    } else {
        char *own = sampling_text(c->model->config, r->temperature);
        dm_buf_text(b, own);
        free(own);
    }
    if (format == DM_FORMAT_JSON_OBJECT)
        dm_buf_text(b, ",\"response_format\":{\"type\":\"json_object\"}");
    else if (format == DM_FORMAT_SCHEMA)
        dm_buf_printf(b,
                      ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":"
                      "\"DSPyProgramOutputs\",\"schema\":%.*s,\"strict\":true}}",
                      DM_STR_ARG(r->schema));
    const dm_value *extra = c->model->config->extra_body;
    for (size_t i = 0; extra && i < extra->n; i++) {
        dm_buf_char(b, ',');
        dm_json_write_string(b, extra->members[i].key);
        dm_buf_char(b, ':');
        dm_json_write(b, extra->members[i].value, DM_JSON_COMPACT);
    }
    dm_buf_char(b, '}');
}

static void set_options(call *c)
{
    const dm_lm_config *f = c->model->config;
    CURL *e = c->easy;
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 4096L); /* answers are small, and there are many */
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_PROXY, f->proxy ? f->proxy : "");
    curl_easy_setopt(e, CURLOPT_CAINFO, f->ca_file);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "dspy-mpi/" DM_VERSION);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, keep_reply);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(e, CURLOPT_PRIVATE, c);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)(1000 * f->connect_timeout));
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)(1000 * f->timeout));
}

static double estimate_tokens(const call *c)
{
    const dm_lm_config *f = c->model->config;
    return (double)c->body.len / 4 + (f->has_max_tokens ? (double)f->max_tokens : 256);
}

static void send_call(call *c, dm_endpoint *e)
{
    dm_lm *lm = c->lm;
    if (c->body.len == 0)
        write_body(c);
    if (c->body.full) {
        finish_with(c, DM_FAULT_OVERFLOW, "the prompt is larger than 64 MiB", 0);
        return;
    }
    if (!c->easy)
        c->easy = curl_easy_init();
    else
        curl_easy_reset(c->easy);
    set_options(c);
    dm_buf_reset(&c->reply);
    curl_easy_setopt(c->easy, CURLOPT_URL, e->url);
    curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, e->headers);
    curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, c->body.data);
    curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body.len);
    c->endpoint = e;
    c->estimate = estimate_tokens(c);
    dm_endpoint_charge(e, c->estimate);
    e->in_flight++;
    add(&lm->active, c);
    curl_multi_add_handle(lm->multi, c->easy);
}

/* ---- what an attempt came to ---- */

static double jitter(dm_lm *lm)
{
    return dm_draw_double(lm->seed, 0x6a69, lm->n_draws++);
}

static void try_again(call *c, double delay)
{
    c->not_before = dm_now() + delay;
    c->usage.retries++;
    add(delay > 0 ? &c->lm->waiting : &c->lm->ready, c);
}

static bool another_is_up(const dm_lm_model *m, const dm_endpoint *but, double now)
{
    for (size_t i = 0; i < m->n; i++)
        if (&m->endpoints[i] != but && !m->endpoints[i].ejected &&
            m->endpoints[i].down_until <= now)
            return true;
    return false;
}

static void retry(call *c, const dm_reply *r)
{
    dm_endpoint *e = c->endpoint;
    double now = dm_now();
    /* A server that is not up yet, or still loads its model, is waited for as long as the job says.
     */
    bool loading = r->code == CURLE_COULDNT_CONNECT || r->status == 502 || r->status == 503;
    if (!e->answered && loading && now - c->lm->started < e->config->wait) {
        try_again(c, 0.5);
        return;
    }
    if (++c->attempts > c->model->config->num_retries) {
        char text[1024];
        snprintf(text, sizeof text,
                 "%s: %s, after %lld attempts; is the server up, and is the address right?",
                 e->base, r->text, (long long)c->attempts);
        finish_with(c, DM_FAULT_TRANSPORT, text, (int)r->status);
        return;
    }
    double most = fmin(LONGEST_BACKOFF, ldexp(1, (int)fmin((double)c->attempts - 1, 10)));
    double delay = r->retry_after > 0 ? r->retry_after : jitter(c->lm) * most;
    if (r->retry_after <= 0 && another_is_up(c->model, e, now))
        delay = 0;
    try_again(c, delay);
}

/* A failure of the way sets the endpoint aside, longer each time, as long as there are others. */
static void set_aside(call *c)
{
    dm_endpoint *e = c->endpoint;
    double now = dm_now();
    e->failures++;
    if (!another_is_up(c->model, e, now))
        return;
    e->down_until = now + fmin(30, ldexp(1, e->failures < 6 ? e->failures - 1 : 5));
    dm_log(DM_WARN, "%s is set aside for %.0f s", e->base, e->down_until - now);
}

static void slow_down(call *c, const dm_reply *r)
{
    dm_endpoint *e = c->endpoint;
    e->limit = fmax(1, fmin(e->limit, (double)e->in_flight + 1) / 2);
    if (r->retry_after > 0)
        e->down_until = fmax(e->down_until, dm_now() + r->retry_after);
}

static const char *advice(long status)
{
    switch (status) {
    case 401:
    case 403:
        return "check the key (api_key_env, api_key_file)";
    case 402:
    case 429:
        return "raise the quota, or give another key";
    case 404:
        return "check api_base and the model's name";
    default:
        return "check api_base";
    }
}

static void eject(call *c, const dm_reply *r)
{
    dm_endpoint *e = c->endpoint;
    char text[1024];
    if (!e->ejected) {
        e->ejected = true;
        snprintf(e->reason, sizeof e->reason, "%s", r->text);
        dm_log(DM_WARN, "%s is left out: %s", e->base, r->text);
    }
    for (size_t i = 0; i < c->model->n; i++)
        if (!c->model->endpoints[i].ejected) {
            try_again(c, 0);
            return;
        }
    snprintf(text, sizeof text, "%s: model %s: %s; %s", e->base, c->model->config->name, r->text,
             advice(r->status));
    finish_with(c, DM_FAULT_ENDPOINT, text, (int)r->status);
}

static void count(call *c, const dm_reply *r, dm_verdict v)
{
    bool sent = r->code != CURLE_COULDNT_CONNECT && r->code != CURLE_COULDNT_RESOLVE_HOST &&
                r->code != CURLE_COULDNT_RESOLVE_PROXY && r->code != CURLE_URL_MALFORMAT &&
                r->code != CURLE_UNSUPPORTED_PROTOCOL;
    bool refused = r->code == CURLE_OK && r->status >= 300 && r->status < 500;
    c->usage.requests += sent && !refused; /* what a server may have billed */
    c->usage.answers += v == DM_GOOD;
    c->usage.prompt += r->prompt;
    c->usage.completion += r->completion;
    c->usage.cached += r->cached;
    if (c->model->config->tpm > 0)
        c->endpoint->tokens += c->estimate - (double)(r->prompt + r->completion);
}

static void attempt_done(call *c, CURLcode code)
{
    dm_reply r = {.code = code, .body = dm_buf_view(&c->reply)};
    curl_off_t after = 0;
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &r.status);
    curl_easy_getinfo(c->easy, CURLINFO_RETRY_AFTER, &after);
    r.retry_after = (double)after;
    dm_endpoint *e = c->endpoint;
    curl_multi_remove_handle(c->lm->multi, c->easy);
    take_out(&c->lm->active, c);
    e->in_flight--;
    dm_verdict v = dm_judge_reply(&r);
    count(c, &r, v);
    e->answered |= v == DM_GOOD || v == DM_FINAL;
    switch (v) {
    case DM_GOOD:
    case DM_FINAL:
        e->failures = 0;
        e->limit = fmin((double)c->lm->slots, e->limit + 1 / e->limit);
        if (v == DM_GOOD)
            finish(c, &(dm_lm_answer){.content = {r.content, r.n},
                                      .truncated = r.truncated,
                                      .http_status = 200});
        else
            finish_with(c, r.fault, r.text, (int)r.status);
        break;
    case DM_SLOW_DOWN:
        slow_down(c, &r);
        retry(c, &r);
        break;
    case DM_RETRY:
        set_aside(c);
        retry(c, &r);
        break;
    case DM_EJECT:
        eject(c, &r);
        break;
    }
    free(r.content);
}

/* ---- the loop ---- */

/* The endpoint with the fewest calls in flight that can take one now; else when one can. */
static dm_endpoint *pick(dm_lm *lm, dm_lm_model *m, double now, double *wait)
{
    dm_endpoint *best = NULL;
    *wait = INFINITY;
    for (size_t i = 0; i < m->n; i++) {
        dm_endpoint *e = &m->endpoints[i];
        double w = dm_endpoint_wait(e, now, lm->rate_share);
        *wait = fmin(*wait, w);
        if (w == 0 && (!best || e->in_flight < best->in_flight))
            best = e;
    }
    return best;
}

/* Sends what is ready. Returns the seconds until it is worth trying again. */
static double send_ready(dm_lm *lm)
{
    double now = dm_now(), next = INFINITY;
    size_t embedded = 0;
    for (call *c = lm->ready.first, *following; c && lm->active.n < lm->slots; c = following) {
        following = c->next;
        if (c->model->config->provider == DM_EMBEDDED) {
            if (embedded++ >= EMBEDDED_AT_ONCE)
                return 0;
            take_out(&lm->ready, c);
            answer_embedded(c);
            following = lm->ready.first;
            continue;
        }
        double wait;
        dm_endpoint *e = pick(lm, c->model, now, &wait);
        if (!e && isinf(wait)) { /* all were ejected before this call was sent */
            char text[600];
            take_out(&lm->ready, c);
            snprintf(text, sizeof text, "%s: %s", c->model->endpoints[0].base,
                     c->model->endpoints[0].reason);
            finish_with(c, DM_FAULT_ENDPOINT, text, 0);
            following = lm->ready.first;
        } else if (!e) {
            next = fmin(next, wait);
        } else {
            take_out(&lm->ready, c);
            send_call(c, e);
        }
    }
    return next;
}

static double release_waiting(dm_lm *lm)
{
    double now = dm_now(), next = INFINITY;
    for (call *c = lm->waiting.first, *following; c; c = following) {
        following = c->next;
        if (c->not_before <= now) {
            take_out(&lm->waiting, c);
            add(&lm->ready, c);
        } else {
            next = fmin(next, c->not_before - now);
        }
    }
    return next;
}

static bool collect(dm_lm *lm)
{
    CURLMsg *m;
    int left;
    bool any = false;
    while ((m = curl_multi_info_read(lm->multi, &left))) {
        call *c;
        CURLcode code = m->data.result;
        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
        attempt_done(c, code);
        any = true;
    }
    return any;
}

void dm_lm_poll(dm_lm *lm, dm_wait_fd *fds, size_t n, double timeout)
{
    struct curl_waitfd wait[MAX_FDS];
    int running;
    timeout = fmin(timeout, release_waiting(lm));
    timeout = fmin(timeout, send_ready(lm));
    curl_multi_perform(lm->multi, &running);
    if (collect(lm))
        timeout = 0; /* somebody may have more to ask now */
    if (lm->ready.n && lm->ready.first->model->config->provider == DM_EMBEDDED)
        timeout = 0;
    n = n < MAX_FDS ? n : MAX_FDS;
    for (size_t i = 0; i < n; i++)
        wait[i] = (struct curl_waitfd){.fd = fds[i].fd, .events = CURL_WAIT_POLLIN};
    double ms = ceil(1000 * fmin(timeout, 3600));
    if (n || ms > 0)
        curl_multi_poll(lm->multi, wait, (unsigned)n, (int)ms, NULL);
    for (size_t i = 0; i < n; i++)
        fds[i].readable = wait[i].revents != 0;
    if (ms > 0) {
        curl_multi_perform(lm->multi, &running);
        collect(lm);
    }
}
