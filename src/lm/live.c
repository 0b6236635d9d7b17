#include "lm/live.h"
#include "base/log.h"
#include "base/secret.h"
#include "json/json.h"
#include "lm/nearby.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LIST_SECONDS   10.0 /* for the list of models */
#define ANSWER_SECONDS 60.0
#define MOST_NAMES     400 /* bytes of the list that are shown */

/* Long enough for a speed, and JSON, as JSON mode needs it to be asked for. */
static const char question[] =
    "Answer with a JSON object with one key, \"numbers\": the list of the "
    "whole numbers from 1 to 40.";

/* A text from outside, kept. */
static const char *keep(dm_arena *a, dm_str text, size_t most)
{
    char *shown = dm_outside(text, most);
    const char *kept = dm_arena_string(a, shown, strlen(shown));
    free(shown);
    return kept;
}

/* ---- what it serves ---- */

/* vLLM says it one way, others have their own names for it. */
static int64_t context_of(const dm_value *model)
{
    static const char *const names[] = {"max_model_len",      "context_length", "context_window",
                                        "max_context_length", "n_ctx",          "n_ctx_train"};
    const dm_value *const places[] = {model, dm_value_get(model, "meta")};
    for (size_t p = 0; p < 2; p++)
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            int64_t n = dm_reply_count(places[p], names[i]);
            if (n > 0)
                return n;
        }
    return 0;
}

static void read_models(dm_arena *a, const dm_lm_config *c, dm_str reply, dm_live *out)
{
    const dm_value *root = dm_json_read_bytes(a, reply, NULL), *data = dm_value_get(root, "data");
    dm_buf names;
    dm_buf_init(&names, DM_MAX_LIST);
    for (size_t i = 0; data && data->kind == DM_LIST && i < data->n; i++) {
        const char *id = dm_reply_word(dm_value_get(data->items[i], "id"));
        dm_buf_printf(&names, "%s%s", names.len ? ", " : "", id);
        if (strcmp(id, c->name) != 0)
            continue;
        out->lists = true;
        out->context = context_of(data->items[i]);
    }
    out->models = keep(a, dm_buf_view(&names), MOST_NAMES);
    dm_buf_free(&names);
}

static void ask_models(dm_arena *a, const dm_endpoint *e, dm_live *out)
{
    dm_buf reply;
    out->models = "";
    if (!dm_serves_asks(e->config))
        return;
    if (dm_serves_ask(e, LIST_SECONDS, &reply))
        read_models(a, e->config, dm_buf_view(&reply), out);
    dm_buf_free(&reply);
}

/* ---- one answer ---- */

static void write_body(dm_buf *b, const dm_lm_config *c, const char *words,
                       dm_response_format format)
{
    dm_buf sampling;
    dm_buf_init(&sampling, DM_MAX_TEXT);
    c->provider->sampling(&sampling, c, NAN);
    dm_outgoing o = {.config = c,
                     .head = {"", 0},
                     .user = dm_str_of(words),
                     .sampling = sampling.data ? sampling.data : "",
                     .format = format};
    c->provider->body(b, &o);
    dm_buf_free(&sampling);
}

static size_t take_bytes(char *p, size_t size, size_t n, void *user)
{
    dm_buf *b = user;
    (void)size;
    dm_buf_add(b, p, n);
    return b->full ? 0 : n;
}

/* One request and its reply, in bytes, within the seconds of an answer. Returns how long it took.
 */
static double exchange(const dm_endpoint *e, const dm_buf *body, dm_attempt *t)
{
    CURL *easy = curl_easy_init();
    double limit = fmin(e->config->timeout, ANSWER_SECONDS);
    dm_buf_init(&t->reply, DM_MAX_LIST);
    dm_told_init(&t->told);
    dm_easy_defaults(easy, e->config, e->proxy);
    curl_easy_setopt(easy, CURLOPT_URL, e->url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, e->headers);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(1000 * limit));
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->error);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body->data);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->len);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &t->reply);
    double before = dm_now();
    t->code = curl_easy_perform(easy);
    double seconds = dm_now() - before;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &t->status);
    curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &t->connect_status);
    curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, (char **)&t->content_type);
    curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, (char **)&t->redirect);
    t->handle = easy; /* the type is in it */
    return seconds;
}

/* Whether it came to an answer; *refused: by an error that may be a matter of this request. */
static bool ask(dm_arena *a, const dm_endpoint *e, const char *words, dm_response_format format,
                dm_live *out, bool *refused)
{
    const dm_lm_config *c = e->config;
    dm_attempt t = {.code = CURLE_OK};
    dm_buf body;
    dm_buf_init(&body, DM_MAX_TEXT);
    write_body(&body, c, words, format);
    double seconds = exchange(e, &body, &t);
    dm_reply r = dm_reply_of(&t, e);
    dm_verdict v = dm_judge_reply(c->provider, &r);
    bool good = v == DM_GOOD;
    *refused = v == DM_FINAL || v == DM_ODD;
    if (good && r.completion > 0 && seconds > 0)
        out->speed = (double)r.completion / seconds;
    if (!good)
        out->why = keep(a, dm_str_of(r.text), MOST_NAMES);
    out->unfit = *r.param ? keep(a, dm_str_of(r.param), sizeof r.param) : "";
    free(r.content);
    curl_easy_cleanup(t.handle);
    dm_buf_free(&body);
    dm_buf_free(&t.reply);
    return good;
}

/* What else there is, where it gives no answer: another model, another path. */
static void look_nearby(dm_arena *a, const dm_endpoint *e, dm_live *out)
{
    const char *bases[DM_NEARBY_BASES];
    size_t n = dm_nearby_bases(a, e->base, bases);
    dm_buf reply, more;
    dm_buf_init(&more, 1024);
    if (dm_serves_ask(e, LIST_SECONDS, &reply)) {
        (void)dm_nearby_serves(&more, e->config, dm_buf_view(&reply));
        n = 0;
    }
    for (size_t i = 0; i < n && more.len == 0; i++) {
        dm_endpoint other = *e;
        other.base = bases[i];
        dm_buf_free(&reply);
        if (dm_serves_ask(&other, LIST_SECONDS, &reply) &&
            dm_nearby_answers(200, dm_buf_view(&reply)))
            dm_buf_printf(&more, "did you mean %s?", other.base);
    }
    dm_buf_free(&reply);
    if (more.len)
        out->why = dm_arena_printf(a, "%s; %s", out->why, more.data);
    dm_buf_free(&more);
}

dm_status dm_lm_live(dm_arena *a, const dm_lm_config *c, size_t number, dm_live *out, dm_error *err)
{
    dm_endpoint e;
    bool refused;
    *out = (dm_live){.why = "", .unfit = ""};
    dm_status st = dm_endpoint_init(&e, c, c->api_base[number], 0, 1, err);
    if (st != DM_OK)
        return st;
    ask_models(a, &e, out);
    out->up = ask(a, &e, question, DM_FORMAT_JSON_OBJECT, out, &refused);
    if (out->up) {
        out->format = DM_TAKES_IT;
    } else if (refused) { /* by the format, or by what would be sent in any case? */
        out->up = ask(a, &e, question, DM_FORMAT_NONE, out, &refused);
        out->format = out->up ? DM_TAKES_IT_NOT : DM_TAKES_UNKNOWN;
    }
    if (!out->up && dm_serves_asks(c) && strncmp(out->why, "HTTP ", 5) == 0)
        look_nearby(a, &e, out);
    dm_endpoint_free(&e);
    return DM_OK;
}

/* ---- what it does not take ---- */

/* The first server that answers, or refuses a key. */
static dm_status ask_any(dm_arena *a, const dm_lm_config *c, dm_live *out, dm_error *err)
{
    double until = dm_now() + c->wait;
    for (size_t i = 0;; i = (i + 1) % c->n_base) {
        dm_endpoint e;
        bool refused;
        *out = (dm_live){.why = "", .unfit = ""};
        dm_status st = dm_endpoint_init(&e, c, c->api_base[i], 0, 1, err);
        if (st == DM_OK)
            out->up = ask(a, &e, "Say OK.", DM_FORMAT_NONE, out, &refused);
        dm_endpoint_free(&e);
        if (st != DM_OK || out->up || *out->unfit)
            return st;
        if (i + 1 < c->n_base)
            continue;
        if (dm_now() >= until)
            return dm_fail(
                err, DM_E_MODEL,
                "%s: model %s: %s; lm.drop_params asks it before the run which keys it takes",
                c->api_base[i], c->name, out->why);
        nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    }
}

static dm_value *without(dm_arena *a, const dm_value *dict, const char *key)
{
    dm_value *d = dm_value_dict(a);
    for (size_t i = 0; i < dict->n; i++)
        if (!dm_str_is(dict->members[i].key, key))
            dm_value_set(a, d, dict->members[i].key, dict->members[i].value);
    d->line = dict->line;
    d->column = dict->column;
    return d;
}

static const dm_value *drop(dm_arena *a, const dm_lm_config *c, const dm_value *lm,
                            const char *param, dm_value *dropped)
{
    const char *key = dm_job_key(c, param);
    const dm_value *extra = dm_value_get(lm, "extra_body");
    if (dm_value_get(lm, key)) {
        dm_value_append(a, dropped, dm_value_text(a, key));
        return without(a, lm, key);
    }
    if (!dm_value_get(extra, param))
        return NULL; /* it is none of the job's */
    dm_value_append(a, dropped, dm_value_text(a, dm_arena_printf(a, "extra_body.%s", param)));
    dm_value *d = without(a, lm, "extra_body");
    dm_value_set(a, d, DM_STR("extra_body"), without(a, extra, param));
    return d;
}

dm_status dm_lm_settle(dm_arena *a, const char *job_file, const dm_value *lm, const dm_value **out,
                       dm_value *dropped, dm_error *err)
{
    dm_live live;
    *out = lm;
    for (;;) {
        dm_at at = dm_at_root(*out, job_file, DM_E_JOB);
        const dm_lm_config *c = dm_lm_config_read(a, &at, err);
        if (!c)
            return err->status;
        if (!c->drop_params || dm_lm_in_process(c) || dm_lm_by_host(c))
            return DM_OK;
        dm_status st = ask_any(a, c, &live, err);
        if (st != DM_OK || !*live.unfit)
            return st;
        const dm_value *less = drop(a, c, *out, live.unfit, dropped);
        if (!less)
            return dm_fail(err, DM_E_MODEL, "%s: model %s: %s", c->api_base[0], c->name, live.why);
        dm_log(DM_WARN, "lm.%s is dropped (lm.drop_params): model %s refuses it: %s",
               dropped->items[dropped->n - 1]->text.p, c->name, live.why);
        *out = less;
    }
}
