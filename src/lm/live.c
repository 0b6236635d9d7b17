#include "lm/live.h"
#include "base/secret.h"
#include "json/json.h"
#include "lm/nearby.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

static void write_body(dm_buf *b, const dm_lm_config *c, dm_response_format format)
{
    dm_buf sampling;
    dm_buf_init(&sampling, DM_MAX_TEXT);
    c->provider->sampling(&sampling, c, NAN);
    dm_outgoing o = {.config = c,
                     .head = {"", 0},
                     .user = {question, strlen(question)},
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
    t->handle = easy; /* the type is in it */
    return seconds;
}

/* Whether it came to an answer; *refused: by an error that may be a matter of this request. */
static bool ask(dm_arena *a, const dm_endpoint *e, dm_response_format format, dm_live *out,
                bool *refused)
{
    const dm_lm_config *c = e->config;
    dm_attempt t = {.code = CURLE_OK};
    dm_buf body;
    dm_buf_init(&body, DM_MAX_TEXT);
    write_body(&body, c, format);
    double seconds = exchange(e, &body, &t);
    dm_reply r = dm_reply_of(&t, e);
    dm_verdict v = dm_judge_reply(c->provider, &r);
    bool good = v == DM_GOOD;
    *refused = v == DM_FINAL || v == DM_ODD;
    if (good && r.completion > 0 && seconds > 0)
        out->speed = (double)r.completion / seconds;
    if (!good)
        out->why = keep(a, dm_str_of(r.text), MOST_NAMES);
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
    *out = (dm_live){.why = ""};
    dm_status st = dm_endpoint_init(&e, c, c->api_base[number], 0, 1, err);
    if (st != DM_OK)
        return st;
    ask_models(a, &e, out);
    out->up = ask(a, &e, DM_FORMAT_JSON_OBJECT, out, &refused);
    if (out->up) {
        out->format = DM_TAKES_IT;
    } else if (refused) { /* by the format, or by what would be sent in any case? */
        out->up = ask(a, &e, DM_FORMAT_NONE, out, &refused);
        out->format = out->up ? DM_TAKES_IT_NOT : DM_TAKES_UNKNOWN;
    }
    if (!out->up && dm_serves_asks(c) && strncmp(out->why, "HTTP ", 5) == 0)
        look_nearby(a, &e, out);
    dm_endpoint_free(&e);
    return DM_OK;
}
