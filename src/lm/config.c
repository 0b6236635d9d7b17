#include "lm/config.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "json/json.h"
#include "lm/provider.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

const char *const dm_lm_keys[] = {
    "model", "api_base", "api_key_env", "api_key_file", "concurrency", "rpm", "tpm", "timeout",
    "num_retries", "wait", "outage", "price", "prices", "ca_file", "cert_file", "key_file", "proxy",
    "cache", "cache_tag", "extra_body", "headers", "headers_env", "query", "api_version",
    "drop_params",
    /* sampling, by OpenAI's and vLLM's names, in the order in which they go out */
    "max_tokens", "max_completion_tokens", "temperature", "top_p", "seed", "frequency_penalty",
    "presence_penalty", "stop", "user", "logit_bias", "top_k", "min_p", "repetition_penalty",
    "length_penalty", "min_tokens", "stop_token_ids", "ignore_eos", "skip_special_tokens",
    "include_stop_str_in_output", "reasoning_effort", "service_tier", "verbosity"};
const size_t dm_n_lm_keys = sizeof dm_lm_keys / sizeof *dm_lm_keys;
#define FIRST_SAMPLING 25
#define FLEX           0.5   /* of the price, where lm.price does not say */
#define FLEX_SECONDS   900.0 /* for a call, as its servers advise */

const char *dm_lm_key_near(const char *word)
{
    static const char *const others[][2] = {/* what DSPy, LiteLLM, OpenAI and vLLM call it */
                                            {"base_url", "api_base"},
                                            {"api_url", "api_base"},
                                            {"url", "api_base"},
                                            {"endpoint", "api_base"},
                                            {"host", "api_base"},
                                            {"name", "model"},
                                            {"api_key", "api_key_env"},
                                            {"key", "api_key_env"},
                                            {"num_threads", "concurrency"},
                                            {"threads", "concurrency"},
                                            {"max_retries", "num_retries"},
                                            {"retries", "num_retries"},
                                            {"request_timeout", "timeout"},
                                            {"max_new_tokens", "max_tokens"},
                                            {"max_output_tokens", "max_tokens"},
                                            {"stop_sequences", "stop"},
                                            {"num_predict", "max_tokens"},
                                            {"repeat_penalty", "repetition_penalty"}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcasecmp(word, others[i][0]) == 0)
            return others[i][1];
    return dm_nearest(word, dm_lm_keys, dm_n_lm_keys);
}

bool dm_lm_in_process(const dm_lm_config *c)
{
    return c->provider->answer != NULL;
}

int64_t dm_lm_cached_from(const dm_lm_config *c)
{
    const dm_provider *p = c->provider;
    return p->cached_from_of ? p->cached_from_of(c) : p->cached_from;
}

const char *dm_role_name(dm_role r)
{
    static const char *const names[] = {"task", "teacher", "prompt", "judge"};
    return names[r];
}

static dm_status no_provider(dm_arena *a, const dm_at *at, dm_str name, dm_error *err)
{
    const char **names = dm_arena_alloc_n(a, dm_n_providers, sizeof *names);
    dm_buf b;
    dm_buf_init(&b, 1000);
    for (size_t i = 0; i < dm_n_providers; i++) {
        names[i] = dm_providers[i]->name;
        const char *comma = i == 0 ? "" : i + 1 == dm_n_providers ? " and " : ", ";
        dm_buf_printf(&b, "%s%s", comma, names[i]);
    }
    const char *near = dm_nearest(dm_arena_string(a, name.p, name.n), names, dm_n_providers);
    dm_status st =
        dm_at_fail(at, err, "no provider is called \"%.*s\"%s%s%s; there are %s", DM_STR_ARG(name),
                   near ? ", did you mean \"" : "", near ? near : "", near ? "\"" : "", b.data);
    dm_buf_free(&b);
    return st;
}

static dm_status read_model(dm_arena *a, const dm_at *at, dm_lm_config *c, dm_error *err)
{
    dm_str text = {NULL, 0};
    dm_status st = dm_get_string(at, &text, err);
    if (st != DM_OK)
        return st;
    if (dm_str_is(text, "embedded")) /* it has one model */
        text = DM_STR("embedded/stand-in");
    const char *slash = text.n ? memchr(text.p, '/', text.n) : NULL;
    if (!slash || slash == text.p || slash[1] == 0)
        return dm_at_fail(at, err,
                          "a model is written provider/name, such as \"openai/gpt-5-mini\" or "
                          "\"hosted_vllm/NAME\"");
    dm_str provider = {text.p, (size_t)(slash - text.p)};
    for (size_t i = 0; i < dm_n_providers && !c->provider; i++)
        if (dm_str_is(provider, dm_providers[i]->name))
            c->provider = dm_providers[i];
    if (!c->provider)
        return no_provider(a, at, provider, err);
    c->model = text.p;
    c->name = slash + 1;
    return DM_OK;
}

/* A number of seconds, or text such as "2 min". */
static dm_status read_seconds(const dm_at *at, double *out, dm_error *err)
{
    dm_error why = {DM_OK, ""};
    if (!at->v || at->v->kind != DM_STRING)
        return dm_get_number(at, 0, 1e9, out, err);
    return dm_parse_seconds(at->v->text.p, out, &why) == DM_OK
               ? DM_OK
               : dm_at_fail(at, err, "%s", why.text);
}

static dm_status read_count(const dm_at *at, double *out, dm_error *err)
{
    dm_error why = {DM_OK, ""};
    if (!at->v || at->v->kind != DM_STRING)
        return dm_get_number(at, 0, 1e15, out, err);
    return dm_parse_count(at->v->text.p, out, &why) == DM_OK ? DM_OK
                                                             : dm_at_fail(at, err, "%s", why.text);
}

static dm_status read_bases(dm_arena *a, const dm_at *at, dm_lm_config *c, dm_error *err)
{
    dm_str *list = NULL;
    dm_status st = dm_get_strings(at, a, &list, &c->n_base, err);
    if (st != DM_OK)
        return st;
    if (c->n_base == 0) {
        const char *own = c->provider->base_env ? getenv(c->provider->base_env) : NULL;
        if (!c->provider->base && !(own && *own))
            return dm_at_fail(at, err, "%s", c->provider->wants_base);
        list = dm_arena_alloc(a, sizeof *list);
        *list = dm_str_of(own && *own ? own : c->provider->base);
        c->n_base = 1;
    }
    c->api_base = dm_arena_alloc_n(a, c->n_base, sizeof *c->api_base);
    for (size_t i = 0; i < c->n_base; i++) {
        dm_str s = list[i];
        while (s.n && s.p[s.n - 1] == '/')
            s.n--;
        c->api_base[i] = dm_arena_string(a, s.p, s.n);
        const char *bad = dm_lm_in_process(c) ? NULL : dm_bad_base(c->api_base[i]);
        if (bad)
            return dm_at_fail(at, err, "\"%s\": %s", dm_shown_url(a, c->api_base[i]), bad);
        if (c->provider->base_of)
            c->api_base[i] = c->provider->base_of(a, c->api_base[i]);
    }
    return DM_OK;
}

/* The job's, else what the provider knows. Where only prompt and completion are given, the cache
 * makes no difference. */
static dm_status read_price(const dm_at *at, dm_lm_config *c, dm_error *err)
{
    dm_price *p = &c->price;
    static const char *const known[] = {"prompt", "cached", "cache_write", "completion", "flex"};
    double *const into[] = {&p->prompt, &p->cached, &p->cache_write, &p->completion};
    p->flex = FLEX;
    if (!at->v) {
        (void)c->provider->price(c, p);
        return DM_OK;
    }
    dm_status st = dm_get_known(at, known, 5, err);
    if (st == DM_OK && (!dm_at_key(at, "prompt").v || !dm_at_key(at, "completion").v))
        return dm_at_fail(at, err, "a price has prompt and completion, each for a million tokens");
    for (size_t i = 0; i < 4 && st == DM_OK; i++) {
        dm_at number = dm_at_key(at, known[i]);
        *into[i] = p->prompt;
        st = dm_get_number(&number, 0, 1e9, into[i], err);
    }
    dm_at flex = dm_at_key(at, "flex");
    if (st == DM_OK)
        st = dm_get_number(&flex, 0, 1, &p->flex, err);
    p->known = true;
    return st;
}

static dm_status read_sampling(dm_arena *a, const dm_at *at, dm_lm_config *c, dm_error *err)
{
    dm_value *sampling = dm_value_dict(a);
    dm_at temperature = dm_at_key(at, "temperature"), tokens = dm_at_key(at, "max_tokens");
    c->tokens_key = tokens.v ? "max_tokens" : "max_completion_tokens";
    if (!tokens.v)
        tokens = dm_at_key(at, c->tokens_key);
    dm_status st = dm_get_number(&temperature, 0, 10, &c->temperature, err);
    if (st == DM_OK)
        st = dm_get_int(&tokens, 1, INT32_MAX, &c->max_tokens, err);
    if (st != DM_OK)
        return st;
    c->has_temperature = temperature.v != NULL;
    c->has_max_tokens = tokens.v != NULL;
    for (size_t i = FIRST_SAMPLING; i < dm_n_lm_keys; i++) {
        const dm_value *v = dm_value_get(at->v, dm_lm_keys[i]);
        const char *name = dm_lm_keys[i];
        if (!v || v->kind == DM_NULL)
            continue;
        if (c->provider->sampling_name)
            name = c->provider->sampling_name(c, name);
        dm_value_set(a, sampling, dm_str_of(name), v);
    }
    c->sampling = sampling;
    const dm_value *tier = dm_value_get(at->v, "service_tier");
    c->flex = tier && tier->kind == DM_STRING && dm_str_is(tier->text, "flex");
    if (c->provider->complete)
        c->provider->complete(a, c);
    return DM_OK;
}

/* An object of names and texts; dm_key_know makes secrets of the texts. */
static dm_status read_texts(const dm_at *at, const char *key, const dm_value **out, dm_error *err)
{
    dm_at k = dm_at_key(at, key);
    if (!k.v)
        return DM_OK;
    if (k.v->kind != DM_DICT)
        return dm_at_fail(&k, err, "an object of names and texts");
    for (size_t i = 0; i < k.v->n; i++) {
        const dm_member *m = &k.v->members[i];
        dm_at each = dm_at_key(&k, m->key.p);
        if (m->value->kind != DM_STRING)
            return dm_at_fail(&each, err, "a text");
        if (dm_bad_header(m->key, m->value->text))
            return dm_at_fail(&each, err, "%s", dm_bad_header(m->key, m->value->text));
    }
    *out = k.v;
    return DM_OK;
}

static dm_status read_gateway(const dm_at *at, dm_lm_config *c, dm_error *err)
{
    dm_status st = read_texts(at, "headers", &c->headers, err);
    if (st == DM_OK)
        st = read_texts(at, "headers_env", &c->headers_env, err);
    if (st == DM_OK)
        st = read_texts(at, "query", &c->query, err);
    for (size_t i = 0; st == DM_OK && c->headers_env && i < c->headers_env->n; i++) {
        const char *bad = dm_bad_key_name(c->headers_env->members[i].value->text.p);
        dm_at k = dm_at_key(at, "headers_env");
        if (bad)
            st = dm_at_fail(&k, err, "%s", bad);
    }
    return st;
}

static dm_status read_text(const dm_at *at, const char *key, const char **out, dm_error *err)
{
    dm_at k = dm_at_key(at, key);
    dm_str s = {NULL, 0};
    dm_status st = dm_get_string(&k, &s, err);
    if (s.p)
        *out = s.p;
    return st;
}

static dm_status read_file_name(const dm_at *at, const char *key, const char **out, dm_error *err)
{
    dm_at k = dm_at_key(at, key);
    dm_status st = read_text(at, key, out, err);
    if (st == DM_OK && *out && access(*out, R_OK) != 0)
        st = dm_at_fail(&k, err, "%s cannot be read: %s", *out, strerror(errno));
    return st;
}

static dm_status read_certificates(const dm_at *at, dm_lm_config *c, dm_error *err)
{
    dm_at k = dm_at_key(at, "key_file");
    dm_status st = read_file_name(at, "ca_file", &c->ca_file, err);
    if (st == DM_OK)
        st = read_file_name(at, "cert_file", &c->cert_file, err);
    if (st == DM_OK)
        st = read_file_name(at, "key_file", &c->key_file, err);
    if (st == DM_OK && c->key_file && !c->cert_file)
        st = dm_at_fail(&k, err, "a key needs its certificate: name it with cert_file");
    return st;
}

static dm_status read_object(dm_arena *a, const dm_at *at, dm_lm_config *c, dm_error *err)
{
    dm_at k;
    dm_status st = dm_get_known_by(at, dm_lm_keys, dm_n_lm_keys, dm_lm_key_near, err);
    k = dm_at_key(at, "model");
    if (st == DM_OK)
        st = k.v ? read_model(a, &k, c, err)
                 : dm_at_fail(at, err, "a model needs its name under \"model\"");
    if (st == DM_OK)
        st = (k = dm_at_key(at, "api_base"), read_bases(a, &k, c, err));
    c->concurrency = 32 * (int64_t)(c->n_base ? c->n_base : 1);
    if (st == DM_OK)
        st = read_text(at, "api_key_env", &c->api_key_env, err);
    if (st == DM_OK)
        st = read_text(at, "api_key_file", &c->api_key_file, err);
    const char *bad_name = c->api_key_env ? dm_bad_key_name(c->api_key_env) : NULL;
    if (st == DM_OK && bad_name)
        st = (k = dm_at_key(at, "api_key_env"), dm_at_fail(&k, err, "%s", bad_name));
    if (st == DM_OK)
        st = read_certificates(at, c, err);
    if (st == DM_OK)
        st = read_text(at, "proxy", &c->proxy, err);
    if (st == DM_OK)
        st = read_text(at, "api_version", &c->api_version, err);
    if (st == DM_OK)
        st = read_text(at, "prices", &c->prices, err);
    if (st == DM_OK)
        st = read_gateway(at, c, err);
    if (st == DM_OK)
        st = (k = dm_at_key(at, "drop_params"), dm_get_bool(&k, &c->drop_params, err));
    if (st == DM_OK) /* a metric's program may be started before any server is asked */
        dm_key_know(c);
    if (st == DM_OK)
        st = read_text(at, "cache_tag", &c->cache_tag, err);
    if (st == DM_OK)
        st = (k = dm_at_key(at, "cache"), dm_get_bool(&k, &c->cache, err));
    if (st == DM_OK)
        st = (k = dm_at_key(at, "concurrency"), dm_get_int(&k, 1, 1000000, &c->concurrency, err));
    if (st == DM_OK)
        st = (k = dm_at_key(at, "rpm"), read_count(&k, &c->rpm, err));
    if (st == DM_OK)
        st = (k = dm_at_key(at, "tpm"), read_count(&k, &c->tpm, err));
    if (st == DM_OK)
        st = (k = dm_at_key(at, "timeout"), read_seconds(&k, &c->timeout, err));
    if (st == DM_OK)
        st = (k = dm_at_key(at, "num_retries"), dm_get_int(&k, 0, 1000, &c->num_retries, err));
    if (st == DM_OK)
        st = (k = dm_at_key(at, "wait"), read_seconds(&k, &c->wait, err));
    c->has_wait = k.v != NULL;
    if (st == DM_OK)
        st = (k = dm_at_key(at, "outage"), read_seconds(&k, &c->outage, err));
    if (st == DM_OK)
        st = read_sampling(a, at, c, err);
    if (st == DM_OK && c->flex && !dm_at_key(at, "timeout").v)
        c->timeout = FLEX_SECONDS;
    if (st == DM_OK)
        st = (k = dm_at_key(at, "price"), read_price(&k, c, err));
    k = dm_at_key(at, "extra_body");
    if (st == DM_OK && k.v && k.v->kind != DM_DICT)
        st = dm_at_fail(&k, err, "an object that is merged into the request");
    c->extra_body = k.v;
    return st;
}

dm_lm_config *dm_lm_config_read(dm_arena *a, const dm_at *at, dm_error *err)
{
    dm_lm_config *c = dm_arena_alloc(a, sizeof *c);
    *c = (dm_lm_config){
        .timeout = 600, .connect_timeout = 10, .num_retries = 3, .outage = 120, .cache = true};
    dm_at object = *at;
    if (at->v && at->v->kind == DM_STRING) { /* a string is an object with a model */
        dm_value *d = dm_value_dict(a);
        dm_value_set(a, d, DM_STR("model"), at->v);
        d->line = at->v->line;
        d->column = at->v->column;
        object.v = d;
    }
    if (!at->v) {
        dm_at_fail(at, err, "a model is missing, such as \"openai/gpt-5-mini\"");
        return NULL;
    }
    return read_object(a, &object, c, err) == DM_OK ? c : NULL;
}

dm_value *dm_lm_identity(dm_arena *a, const dm_lm_config *c)
{
    dm_value *d = dm_value_dict(a);
    dm_value_set(a, d, DM_STR("model"), dm_value_text(a, c->model));
    dm_value_set(a, d, DM_STR("sampling"), c->sampling);
    if (c->extra_body)
        dm_value_set(a, d, DM_STR("extra_body"), c->extra_body);
    if (!c->cache)
        dm_value_set(a, d, DM_STR("cache"), dm_value_bool(a, false));
    if (c->cache_tag) /* answers of another tag are other answers */
        dm_value_set(a, d, DM_STR("cache_tag"), dm_value_text(a, c->cache_tag));
    return d;
}
