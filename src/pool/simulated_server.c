#include "pool/simulated_server.h"
#include "base/random.h"
#include "json/json.h"
#include "pool/inside.h"
#include "pool/worker.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MODELS_SECONDS 0.01 /* until a server has said what it serves */
#define NOT_THERE      0.01 /* until a connection is refused */

typedef struct exchange { /* an attempt's, kept for the next one of its call */
    struct exchange *next;
    dm_attempt *attempt;
    double due;
    uint32_t asked_before; /* requests of this call */
    dm_fault fault;        /* that the rule says */
    unsigned no_formats;   /* response formats that the rule says are refused */
    bool odd;              /* its reply is never an answer */
    dm_buf content;
} exchange;

typedef struct rank_transport {
    dm_transport transport; /* first */
    dm_simulated_server *server;
    exchange *first, **end; /* under way, in the order of sending */
    size_t told;            /* since the last dm_simulated_turned */
    double until;           /* that the engine would have waited */
} rank_transport;

double dm_simulated_draw(dm_simulated_server *s)
{
    return dm_draw_double(s->sim.seed, 0x51, s->draws++);
}

/* ---- what a call is answered ---- */

static const dm_model *model_of(const dm_simulated_server *s, const dm_attempt *a)
{
    return &s->pool->models[s->pool->model_of[a->request->role]];
}

static const dm_value *outputs_of(const dm_run_result *r, size_t predictor)
{
    for (size_t i = 0; i < r->n_steps; i++)
        if (r->steps[i].predictor == predictor)
            return r->steps[i].outputs;
    return r->outputs;
}

/* The rule is asked once a call. A run that takes more calls than it has predictors falls back:
 * so many of its answers do not parse at first. */
static void ask_rule(dm_simulated_server *s, exchange *x, const dm_run_place *place)
{
    const dm_program *p = place->work->candidate->program;
    dm_work work = *place->work;
    dm_run_result r = {.score = NAN};
    dm_error err;
    work.trace = true; /* what each step gives */
    dm_arena_reset(s->scratch);
    s->sim.run(s->sim.user, &work, place->row, s->scratch, &r);
    bool falls_back = r.usage.requests - (int64_t)p->n > (int64_t)place->predictor &&
                      dm_adapter_fallback(place->adapter) != place->adapter;
    const dm_value *outputs = outputs_of(&r, place->predictor);
    x->fault = r.fault;
    x->no_formats = r.formats;
    dm_buf_reset(&x->content);
    if (r.fault == DM_FAULT_PARSE || falls_back)
        dm_buf_text(&x->content, "Let me see.");
    else if (r.fault != DM_FAULT_NONE)
        dm_buf_text(&x->content, r.error ? r.error : "");
    else if (!outputs || dm_adapter_completion(&x->content, s->scratch, place->adapter,
                                               p->predictors[place->predictor].signature, outputs,
                                               &err) != DM_OK)
        x->fault = DM_FAULT_SERVER;
}

/* What was done before may not be done again: what stood in the journal when it was opened. */
static bool was_done(const dm_simulated_server *s, const dm_run_place *place)
{
    const dm_cell *c = s->pool->cells[(uint32_t)dm_worker_task_of(place->user)];
    dm_replay *replay = s->pool->setup->replay;
    dm_str bytes;
    if (!replay || place->asks_only)
        return false;
    if (dm_replay_result(replay, &c->key).p)
        return true;
    for (size_t i = 0; (bytes = dm_replay_answer(replay, &place->key, i)).p; i++) {
        dm_record rec;
        dm_answer a;
        bool final = dm_open_answer(&rec, bytes, &a, NULL) && a.final;
        dm_record_free(&rec);
        if (final)
            return true;
    }
    return false;
}

static const dm_hash *key_of(const void *owner, uint32_t value)
{
    return &((const dm_simulated_server *)owner)->keys[value];
}

static void note_key(dm_simulated_server *s, const dm_run_place *place)
{
    uint32_t number;
    s->key_table.key_of = key_of;
    s->key_table.owner = s;
    if (place->asks_only || dm_table_get(&s->key_table, &place->key, &number))
        return;
    s->keys = dm_room(s->keys, s->stats->different, &s->cap_keys, sizeof *s->keys);
    s->keys[s->stats->different] = place->key;
    dm_table_put(&s->key_table, (uint32_t)s->stats->different++);
    for (size_t i = 0; i < sizeof place->key.b; i++)
        s->stats->asked.b[i] ^= place->key.b[i];
}

static bool is_poisoned(const dm_simulated_server *s, const dm_value *row)
{
    if (s->sim.poison <= 0)
        return false;
    dm_hash hash = dm_json_hash(row);
    return dm_draw_double(s->sim.seed, 0x55, dm_hash_u64(&hash)) < s->sim.poison;
}

static void begin_call(dm_simulated_server *s, exchange *x, const dm_attempt *a)
{
    const dm_run_place place = dm_run_place_of(a->user);
    bool good = model_of(s, a)->phase == DM_MODEL_GOOD;
    x->asked_before = 0;
    ask_rule(s, x, &place);
    x->odd = is_poisoned(s, place.row);
    if (place.first && good && s->sim.transport > 0 && dm_simulated_draw(s) < s->sim.transport)
        x->fault = DM_FAULT_TRANSPORT;
    s->stats->runs += place.first && !place.asks_only;
    s->stats->repeated += was_done(s, &place);
    note_key(s, &place);
}

/* ---- what a request costs, and what comes of it ---- */

static void bill(dm_simulated_server *s, const dm_attempt *a, int64_t *prompt, int64_t *completion)
{
    const dm_lm_config *m = model_of(s, a)->config;
    uint64_t most = m->has_max_tokens ? (uint64_t)m->max_tokens : 10;
    dm_hash key = dm_run_place_of(a->user).key;
    double unlike = 0.95 + 0.1 * dm_draw_double(s->sim.seed, 0x52, dm_hash_u64(&key));
    *prompt = (int64_t)(unlike * (double)(a->request->head.n + a->request->user.n) / 4);
    *completion = 1 + (int64_t)(dm_draw(s->sim.seed, 0x53, s->stats->calls) % most);
    s->stats->longest = fmax(s->stats->longest, (double)*prompt);
    s->stats->tokens += (double)(*prompt + *completion);
    s->stats->cost += m->price.known ? dm_price_of(&m->price, *prompt, *completion, 0, 0) : 0;
}

static void reply_error(dm_attempt *a, long status, const char *code, dm_str message)
{
    a->status = status;
    dm_buf_printf(&a->reply, "{\"error\": {\"code\": \"%s\", \"message\": ", code);
    dm_json_write_string(&a->reply, message);
    dm_buf_text(&a->reply, "}}");
}

/* Costs nothing. */
static void refuse(dm_simulated_server *s, dm_attempt *a)
{
    static const long status[] = {429, 503, 529, 429};
    double u = dm_simulated_draw(s);
    reply_error(a, status[(int)(4 * u)], "", DM_STR("simulated refusal"));
    a->told.retry_after = u < 0.05 ? 1 : 0;
}

/* ---- limits of speed ---- */

static double most_left(const dm_simulation *sim, double per_minute)
{
    return sim->fixed ? per_minute : fmax(1, per_minute / 60 * sim->kept);
}

static void refill(dm_simulated_server *s)
{
    const dm_simulation *sim = &s->sim;
    const double limit[2] = {sim->rpm, sim->tpm};
    bool first = s->stats->calls <= 1;
    for (int k = 0; k < 2; k++) {
        double most = most_left(sim, limit[k]);
        if (first || (sim->fixed && floor(s->now / 60) > floor(s->filled / 60)))
            s->left[k] = most;
        else if (!sim->fixed)
            s->left[k] = fmin(most, s->left[k] + (s->now - s->filled) * limit[k] / 60);
    }
    s->filled = s->now;
}

static void tell_limits(const dm_simulated_server *s, dm_attempt *a)
{
    const dm_simulation *sim = &s->sim;
    const double limit[2] = {sim->rpm, sim->tpm};
    static const dm_rate_kind kind[2] = {DM_RATE_REQUESTS, DM_RATE_TOKENS};
    for (int k = 0; k < 2; k++)
        a->told.rate[kind[k]] =
            (dm_told_rate){.limit = limit[k],
                           .remaining = floor(fmax(0, s->left[k])),
                           .reset = sim->fixed ? 60 - fmod(s->now, 60)
                                               : (most_left(sim, limit[k]) - s->left[k]) /
                                                     (limit[k] / 60)};
}

/* True: it was refused, and counted all the same. */
static bool too_fast(dm_simulated_server *s, dm_attempt *a)
{
    double tokens = (double)(a->request->head.n + a->request->user.n) / 4 +
                    (double)(a->config->has_max_tokens ? a->config->max_tokens : 10);
    if (s->sim.rpm <= 0)
        return false;
    refill(s);
    if (s->stats->calls <= 1)
        s->stats->first = s->now;
    s->stats->last = s->now;
    bool refused = s->left[0] < 1 || s->left[1] < tokens;
    s->left[0] = fmax(s->left[0] - 1, 0);
    s->left[1] -= refused ? 0 : tokens;
    if (s->sim.headers)
        tell_limits(s, a);
    s->stats->limited += refused;
    s->stats->let_through += refused ? 0 : tokens;
    if (refused)
        reply_error(a, 429, "rate_limit_exceeded", DM_STR("simulated limit"));
    return refused;
}

/* A live server's reply that is no answer. */
static void spoil(dm_simulated_server *s, dm_attempt *a)
{
    double u = dm_simulated_draw(s);
    if (u < 0.6) {
        reply_error(a, 500, "", DM_STR("simulated 500"));
        return;
    }
    a->status = 200;
    dm_buf_text(&a->reply, u < 0.7   ? "<html>simulated</html>"
                           : u < 0.8 ? "{\"object\": \"chat.completion\""
                           : u < 0.9 ? "{\"choices\": []}"
                                     : "{\"error\": {\"message\": \"simulated\"}}");
}

static void answer(dm_simulated_server *s, dm_attempt *a, const exchange *x)
{
    int64_t prompt, completion;
    bill(s, a, &prompt, &completion);
    a->status = 200;
    dm_buf_text(&a->reply, "{\"choices\": [{\"message\": {\"content\": ");
    dm_json_write_string(&a->reply, dm_buf_view(&x->content));
    dm_buf_printf(&a->reply,
                  "}, \"finish_reason\": \"%s\"}], \"usage\": {\"prompt_tokens\": %lld, "
                  "\"completion_tokens\": %lld}}",
                  x->fault == DM_FAULT_FILTER ? "content_filter" : "stop", (long long)prompt,
                  (long long)completion);
}

static void reply(dm_simulated_server *s, dm_attempt *a, const exchange *x)
{
    dm_str words = dm_buf_view(&x->content);
    dm_response_format format = a->request->format;
    if (format != DM_FORMAT_NONE && x->no_formats & DM_FORMAT_BIT(format)) {
        reply_error(a, 400, "", DM_STR("simulated refusal of a format"));
        return;
    }
    switch (x->fault) {
    case DM_FAULT_OVERFLOW:
        reply_error(a, 400, "context_length_exceeded", words);
        break;
    case DM_FAULT_REFUSED:
        reply_error(a, 400, "", words);
        break;
    case DM_FAULT_DENIED:
        reply_error(a, 403, "", words);
        break;
    case DM_FAULT_ENDPOINT:
        reply_error(a, 401, "", words);
        break;
    case DM_FAULT_SERVER:
        reply_error(a, 500, "", words);
        break;
    case DM_FAULT_NONE:
    case DM_FAULT_TRANSPORT:
    case DM_FAULT_PARSE:
    case DM_FAULT_FILTER:
    case DM_FAULT_PROGRAM: /* these three come from no server */
    case DM_FAULT_METRIC:
    case DM_FAULT_JUDGE:
        answer(s, a, x);
        break;
    }
}

/* Whether requests fail by themselves now: a model that does not answer at all ends the run, which
 * is another story. */
static bool fails(const dm_simulated_server *s, const dm_attempt *a, const exchange *x)
{
    const dm_model *m = model_of(s, a);
    return m->phase == DM_MODEL_GOOD ||
           (a->request->most_sends > 0 && m->in_vain == 0 && x->asked_before <= 2);
}

/* A request that has gone out. False: its answer gets lost, and it was billed all the same. */
static bool serve(dm_simulated_server *s, dm_attempt *a, exchange *x)
{
    const dm_simulation *sim = &s->sim;
    int64_t prompt, completion;
    a->sends++;
    x->asked_before++;
    s->stats->calls++;
    if (too_fast(s, a))
        return true;
    s->stats->poisoned += x->odd;
    if (x->odd || (sim->odd > 0 && dm_simulated_draw(s) < sim->odd)) {
        spoil(s, a);
        return true;
    }
    double u = fails(s, a, x) ? dm_draw_double(sim->seed, 0x54, s->stats->calls) : 1;
    if (u < sim->refused) {
        refuse(s, a);
        return true;
    }
    if (x->fault == DM_FAULT_TRANSPORT || u < sim->refused + sim->unanswered) {
        bill(s, a, &prompt, &completion);
        return false;
    }
    reply(s, a, x);
    return true;
}

/* A connection that is closed without a byte: one that was kept is taken for stale by curl, which
 * sends the request again on another one, if it may. */
static void exchange_all(dm_simulated_server *s, dm_attempt *a, exchange *x)
{
    if (!a->may_send(a)) {
        a->code = CURLE_ABORTED_BY_CALLBACK;
        return;
    }
    if (a->before == 0)
        begin_call(s, x, a);
    while (!serve(s, a, x)) {
        bool kept = dm_simulated_draw(s) < 0.5;
        if (kept && a->may_send(a))
            continue;
        a->code = kept                         ? CURLE_SEND_FAIL_REWIND
                  : dm_simulated_draw(s) < 0.5 ? CURLE_GOT_NOTHING
                                               : CURLE_RECV_ERROR;
        break;
    }
    bool spent = a->request->most_sends > 0 && a->before + a->sends >= a->request->most_sends;
    s->stats->spent += spent && (a->code != CURLE_OK || a->status != 200);
}

static bool is_down(const dm_simulated_server *s, const dm_attempt *a)
{
    return s->now >= s->sim.down_from && s->now < s->sim.down_to &&
           model_of(s, a)->phase == DM_MODEL_GOOD;
}

/* [0, 1): from what is asked alone, and not from the model that is asked. */
static double draw_of_call(const dm_simulated_server *s, const dm_run_place *place)
{
    const dm_candidate *c = place->work->candidate;
    dm_hash row = dm_json_hash(place->row);
    return dm_draw_double(s->sim.seed ^ dm_hash_u64(&c->hash), 0x56 + place->predictor,
                          dm_hash_u64(&row));
}

/* Of a call of a run that has as many as predictors. */
static double latency(dm_simulated_server *s, const dm_attempt *a)
{
    const dm_run_place place = dm_run_place_of(a->user);
    double u = s->sim.steady ? draw_of_call(s, &place) : dm_simulated_draw(s);
    return s->sim.latency / (double)place.work->candidate->program->n * (0.2 + 4.8 * pow(u, 3));
}

/* ---- prefixes that the servers keep ---- */

static const dm_hash *key_of_prefix(const void *owner, uint32_t value)
{
    const dm_simulated_server *s = owner;
    return &s->prefixes[value].key;
}

/* A request that is answered then. */
static void note_prefix(dm_simulated_server *s, const dm_attempt *a, double then)
{
    double tokens = (double)a->request->head.n / 4, from = (double)dm_lm_cached_from(a->config);
    dm_hash key = {{0}};
    uint32_t number;
    if (from == 0 || tokens < from)
        return;
    memcpy(key.b, &a->request->head_hash, sizeof a->request->head_hash);
    s->prefix_table.key_of = key_of_prefix;
    s->prefix_table.owner = s;
    s->stats->prefixed += tokens;
    if (dm_table_get(&s->prefix_table, &key, &number)) {
        struct dm_simulated_prefix *x = &s->prefixes[number];
        s->stats->cachable += tokens;
        s->stats->cached += x->answered <= s->now ? tokens : 0;
        x->answered = fmin(x->answered, then);
        return;
    }
    s->prefixes = dm_room(s->prefixes, s->n_prefixes, &s->cap_prefixes, sizeof *s->prefixes);
    s->prefixes[s->n_prefixes] = (struct dm_simulated_prefix){key, then};
    dm_table_put(&s->prefix_table, (uint32_t)s->n_prefixes++);
}

void dm_simulated_server_free(dm_simulated_server *s)
{
    dm_table_free(&s->key_table);
    free(s->keys);
    dm_arena_free(s->scratch);
    free(s->prefixes);
    dm_table_free(&s->prefix_table);
}

/* ---- the transport ---- */

static void list_models(dm_attempt *a)
{
    a->status = 200;
    dm_buf_text(&a->reply, "{\"data\": [{\"id\": ");
    dm_json_write_string(&a->reply, dm_str_of(a->config->name));
    dm_buf_text(&a->reply, "}]}");
}

static void send_attempt(dm_transport *transport, dm_attempt *a)
{
    rank_transport *t = (rank_transport *)transport;
    dm_simulated_server *s = t->server;
    exchange *x = a->handle;
    if (!x) {
        a->handle = x = dm_alloc(sizeof *x);
        dm_buf_init(&x->content, DM_MAX_ANSWER);
    }
    dm_buf_reset(&a->reply);
    a->sends = 0;
    a->code = CURLE_OK;
    a->status = 0;
    dm_told_init(&a->told);
    x->attempt = a;
    x->next = NULL;
    if (!a->request) {
        list_models(a);
        x->due = s->now + MODELS_SECONDS;
    } else if (is_down(s, a)) {
        a->code = CURLE_COULDNT_CONNECT;
        x->due = s->now + NOT_THERE;
    } else {
        x->due = s->now + latency(s, a);
        exchange_all(s, a, x);
        if (a->code == CURLE_OK && a->status == 200)
            note_prefix(s, a, x->due);
    }
    *t->end = x;
    t->end = &x->next;
}

static void take_out(rank_transport *t, exchange **at)
{
    exchange *x = *at;
    *at = x->next;
    if (!*at)
        t->end = at;
}

static void drop(dm_transport *transport, dm_attempt *a)
{
    rank_transport *t = (rank_transport *)transport;
    exchange **at = &t->first;
    while ((*at)->attempt != a)
        at = &(*at)->next;
    take_out(t, at);
}

static void forget(dm_transport *t, dm_attempt *a)
{
    exchange *x = a->handle;
    (void)t;
    if (x)
        dm_buf_free(&x->content);
    free(x);
    a->handle = NULL;
}

static bool turn(dm_transport *transport)
{
    rank_transport *t = (rank_transport *)transport;
    size_t before = t->told;
    for (exchange **at = &t->first; *at;) {
        exchange *x = *at;
        if (x->due > t->server->now) {
            at = &x->next;
            continue;
        }
        take_out(t, at);
        t->told++;
        x->attempt->ended(x->attempt);
        at = &t->first; /* it may have sent another one */
    }
    return t->told > before;
}

/* Whole milliseconds, as on the real way. */
static void note_wait(dm_transport *transport, dm_wait_fd *fds, size_t n, double timeout)
{
    rank_transport *t = (rank_transport *)transport;
    for (size_t i = 0; i < n; i++)
        fds[i].readable = false;
    t->until = t->server->now + ceil(1000 * timeout) / 1000;
    (void)turn(transport);
}

bool dm_simulated_turned(dm_transport *transport, double *due)
{
    rank_transport *t = (rank_transport *)transport;
    bool told = t->told > 0 || t->until <= t->server->now;
    t->told = 0;
    *due = t->until;
    for (const exchange *x = t->first; x; x = x->next)
        *due = fmin(*due, x->due);
    return told;
}

static void close_transport(dm_transport *t)
{
    free(t);
}

dm_transport *dm_simulated_transport(dm_simulated_server *s)
{
    static const dm_transport_ops ops = {send_attempt, drop,      forget,
                                         turn,         note_wait, close_transport};
    rank_transport *t = dm_alloc(sizeof *t);
    t->transport.ops = &ops;
    t->server = s;
    t->end = &t->first;
    return &t->transport;
}
