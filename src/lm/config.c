#include "lm/config.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "json/json.h"
#include "lm/inside.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const dm_lm_keys[] = {
    "model", "api_base", "api_key_env", "api_key_file", "concurrency", "rpm", "tpm", "timeout",
    "num_retries", "wait", "outage", "price", "ca_file", "proxy", "cache_tag", "extra_body",
    /* sampling, by OpenAI's and vLLM's names, in the order in which they go out */
    "max_tokens", "max_completion_tokens", "temperature", "top_p", "seed", "frequency_penalty",
    "presence_penalty", "stop", "user", "logit_bias", "top_k", "min_p", "repetition_penalty",
    "length_penalty", "min_tokens", "stop_token_ids", "ignore_eos", "skip_special_tokens",
    "include_stop_str_in_output", "reasoning_effort", "service_tier", "verbosity"};
const size_t dm_n_lm_keys = sizeof dm_lm_keys / sizeof *dm_lm_keys;
#define FIRST_SAMPLING 16

static const struct {
    const char *name;
    dm_provider provider;
    const char *api_base;
} providers[] = {{"openai", DM_OPENAI, "https://api.openai.com/v1"},
                 {"hosted_vllm", DM_HOSTED_VLLM, "http://127.0.0.1:8000/v1"},
                 {"ollama_chat", DM_OLLAMA, "http://127.0.0.1:11434/v1"},
                 {"embedded", DM_EMBEDDED, ""}};
#define N_PROVIDERS (sizeof providers / sizeof *providers)

const char *dm_role_name(dm_role r)
{
    static const char *const names[] = {"task", "teacher", "prompt", "judge"};
    return names[r];
}

static dm_status read_model(dm_arena *a, const dm_at *at, dm_lm_config *c, dm_error *err)
{
    dm_str text = {NULL, 0};
    dm_status st = dm_get_string(at, &text, err);
    if (st != DM_OK)
        return st;
    const char *slash = text.n ? memchr(text.p, '/', text.n) : NULL;
    if (!slash || slash == text.p || slash[1] == 0)
        return dm_at_fail(at, err,
                          "a model is written provider/name, such as \"openai/gpt-4o-mini\" or "
                          "\"hosted_vllm/NAME\"");
    dm_str provider = {text.p, (size_t)(slash - text.p)};
    const char *names[N_PROVIDERS];
    for (size_t i = 0; i < N_PROVIDERS; i++) {
        names[i] = providers[i].name;
        if (!dm_str_is(provider, providers[i].name))
            continue;
        c->model = text.p;
        c->provider = providers[i].provider;
        c->name = slash + 1;
        return DM_OK;
    }
    const char *near = dm_nearest(dm_arena_string(a, provider.p, provider.n), names, N_PROVIDERS);
    return dm_at_fail(
        at, err,
        "no provider is called \"%.*s\"%s%s%s; there are openai, hosted_vllm, ollama_chat "
        "and embedded",
        DM_STR_ARG(provider), near ? ", did you mean \"" : "", near ? near : "", near ? "\"" : "");
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
        const char *own = c->provider == DM_OPENAI ? getenv("OPENAI_BASE_URL") : NULL;
        list = dm_arena_alloc(a, sizeof *list);
        *list = dm_str_of(own && *own ? own : providers[c->provider].api_base);
        c->n_base = 1;
    }
    c->api_base = dm_arena_alloc_n(a, c->n_base, sizeof *c->api_base);
    for (size_t i = 0; i < c->n_base; i++) {
        dm_str s = list[i];
        while (s.n && s.p[s.n - 1] == '/')
            s.n--;
        c->api_base[i] = dm_arena_string(a, s.p, s.n);
        const char *bad = c->provider == DM_EMBEDDED ? NULL : dm_bad_base(c->api_base[i]);
        if (bad)
            return dm_at_fail(at, err, "\"%s\": %s", dm_shown_url(a, c->api_base[i]), bad);
    }
    return DM_OK;
}

static dm_status read_price(const dm_at *at, dm_price *p, dm_error *err)
{
    static const char *const known[] = {"prompt", "completion", "cached"};
    if (!at->v)
        return DM_OK;
    dm_status st = dm_get_known(at, known, 3, err);
    dm_at prompt = dm_at_key(at, "prompt"), completion = dm_at_key(at, "completion"),
          cached = dm_at_key(at, "cached");
    if (st == DM_OK && (!prompt.v || !completion.v))
        return dm_at_fail(at, err, "a price has prompt and completion, each for a million tokens");
    if (st == DM_OK)
        st = dm_get_number(&prompt, 0, 1e9, &p->prompt, err);
    if (st == DM_OK)
        st = dm_get_number(&completion, 0, 1e9, &p->completion, err);
    p->cached = p->prompt;
    if (st == DM_OK)
        st = dm_get_number(&cached, 0, 1e9, &p->cached, err);
    p->known = true;
    return st;
}

/* api.openai.com alone knows max_tokens as max_completion_tokens (src/README.md §1). */
static bool at_openai(const dm_lm_config *c)
{
    return c->provider == DM_OPENAI && dm_same_origin(c->api_base[0], DM_OPENAI_HOST);
}

static dm_status read_sampling(dm_arena *a, const dm_at *at, dm_lm_config *c, dm_error *err)
{
    dm_value *sampling = dm_value_dict(a);
    dm_at temperature = dm_at_key(at, "temperature"), tokens = dm_at_key(at, "max_tokens");
    if (!tokens.v)
        tokens = dm_at_key(at, "max_completion_tokens");
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
        if (strcmp(name, "max_tokens") == 0 && at_openai(c))
            name = "max_completion_tokens";
        dm_value_set(a, sampling, dm_str_of(name), v);
    }
    c->sampling = sampling;
    return DM_OK;
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

static dm_status read_object(dm_arena *a, const dm_at *at, dm_lm_config *c, dm_error *err)
{
    dm_at k;
    dm_status st = dm_get_known(at, dm_lm_keys, dm_n_lm_keys, err);
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
        st = read_text(at, "ca_file", &c->ca_file, err);
    if (st == DM_OK && c->ca_file && access(c->ca_file, R_OK) != 0)
        st = (k = dm_at_key(at, "ca_file"),
              dm_at_fail(&k, err, "%s cannot be read: %s", c->ca_file, strerror(errno)));
    if (st == DM_OK)
        st = read_text(at, "proxy", &c->proxy, err);
    if (st == DM_OK) /* a metric's program may be started before any server is asked */
        dm_key_know(c);
    if (st == DM_OK)
        st = read_text(at, "cache_tag", &c->cache_tag, err);
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
    if (st == DM_OK)
        st = (k = dm_at_key(at, "outage"), read_seconds(&k, &c->outage, err));
    if (st == DM_OK)
        st = (k = dm_at_key(at, "price"), read_price(&k, &c->price, err));
    if (st == DM_OK)
        st = read_sampling(a, at, c, err);
    k = dm_at_key(at, "extra_body");
    if (st == DM_OK && k.v && k.v->kind != DM_DICT)
        st = dm_at_fail(&k, err, "an object that is merged into the request");
    c->extra_body = k.v;
    return st;
}

dm_lm_config *dm_lm_config_read(dm_arena *a, const dm_at *at, dm_error *err)
{
    dm_lm_config *c = dm_arena_alloc(a, sizeof *c);
    *c = (dm_lm_config){.timeout = 600, .connect_timeout = 10, .num_retries = 3, .outage = 120};
    dm_at object = *at;
    if (at->v && at->v->kind == DM_STRING) { /* a string is an object with a model */
        dm_value *d = dm_value_dict(a);
        dm_value_set(a, d, DM_STR("model"), at->v);
        d->line = at->v->line;
        d->column = at->v->column;
        object.v = d;
    }
    if (!at->v) {
        dm_at_fail(at, err, "a model is missing, such as \"openai/gpt-4o-mini\"");
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
    if (c->cache_tag) /* answers of another tag are other answers */
        dm_value_set(a, d, DM_STR("cache_tag"), dm_value_text(a, c->cache_tag));
    return d;
}

dm_hash dm_lm_scope(const dm_lm_config *c)
{
    dm_arena *a = dm_arena_new(0);
    dm_value *d = dm_lm_identity(a, c), *bases = dm_value_list(a);
    const char **sorted = dm_arena_alloc_n(a, c->n_base, sizeof *sorted);
    for (size_t i = 0; i < c->n_base; i++) {
        size_t k = i;
        for (; k > 0 && strcmp(sorted[k - 1], c->api_base[i]) > 0; k--)
            sorted[k] = sorted[k - 1];
        sorted[k] = c->api_base[i];
    }
    for (size_t i = 0; i < c->n_base && !c->cache_tag; i++)
        dm_value_append(a, bases, dm_value_text(a, sorted[i]));
    dm_value_set(a, d, DM_STR("servers"), bases);
    dm_hash h = dm_json_hash(d);
    dm_arena_free(a);
    return h;
}

/* ---- prices: per million tokens, US dollars, as the providers list them in 2025; a job's own wins
 * ---- */

static const struct {
    const char *name;
    double prompt, completion, cached;
} prices[] = {{"gpt-4o-mini", 0.15, 0.60, 0.075},  {"gpt-4o", 2.50, 10.00, 1.25},
              {"gpt-4.1-nano", 0.10, 0.40, 0.025}, {"gpt-4.1-mini", 0.40, 1.60, 0.10},
              {"gpt-4.1", 2.00, 8.00, 0.50},       {"gpt-5-nano", 0.05, 0.40, 0.005},
              {"gpt-5-mini", 0.25, 2.00, 0.025},   {"gpt-5", 1.25, 10.00, 0.125},
              {"o4-mini", 1.10, 4.40, 0.275},      {"o3", 2.00, 8.00, 0.50}};

void dm_price_default(dm_lm_config *c)
{
    if (c->price.known)
        return;
    if (c->provider != DM_OPENAI) { /* what runs on one's own machines costs no money */
        c->price = (dm_price){.known = true};
        return;
    }
    for (size_t i = 0; i < sizeof prices / sizeof *prices; i++)
        if (strcmp(c->name, prices[i].name) == 0)
            c->price = (dm_price){true, prices[i].prompt, prices[i].completion, prices[i].cached};
}

double dm_price_of(const dm_price *p, int64_t prompt, int64_t completion, int64_t cached)
{
    if (!p->known)
        return NAN;
    return ((double)(prompt - cached) * p->prompt + (double)cached * p->cached +
            (double)completion * p->completion) /
           1e6;
}
