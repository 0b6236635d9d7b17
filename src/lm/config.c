#include "lm/config.h"
#include "base/secret.h"
#include "base/utf8.h"
#include "json/json.h"
#include "lm/provider.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FLEX         0.5   /* of the price, where lm.price does not say */
#define FLEX_SECONDS 900.0 /* for a call, as its servers advise */

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
    const char *names[100];
    size_t n = 0;
    for (const dm_param *row = dm_lm_table; row->name && n < 100; row++)
        names[n++] = row->name;
    return dm_nearest(word, names, n);
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

static dm_status read_bases(dm_arena *a, const dm_at *at, dm_lm_config *c, dm_error *err)
{
    dm_str *list = NULL;
    const char *by = "";
    dm_status st = dm_get_strings(at, a, &list, &c->n_base, err);
    if (st != DM_OK)
        return st;
    if (c->n_base == 0) {
        const char *name = "";
        char *own = dm_base_in_env(c->provider, &name);
        if (!c->provider->base && !own)
            return dm_at_fail(at, err, "%s", c->provider->wants_base);
        list = dm_arena_alloc(a, sizeof *list);
        *list = dm_str_of(own ? dm_arena_string(a, own, strlen(own)) : c->provider->base);
        by = own ? dm_arena_printf(a, " (from %s)", name) : "";
        free(own);
        c->n_base = 1;
    }
    c->api_base = dm_arena_alloc_n(a, c->n_base, sizeof *c->api_base);
    for (size_t i = 0; i < c->n_base; i++) {
        dm_str s = dm_secret_trim(list[i]);
        while (s.n && s.p[s.n - 1] == '/')
            s.n--;
        c->api_base[i] = dm_arena_string(a, s.p, s.n);
        const char *bad = dm_lm_in_process(c) ? NULL : dm_bad_base(c->api_base[i]);
        if (bad)
            return dm_at_fail(at, err, "\"%s\"%s: %s", dm_shown_url(a, c->api_base[i]), by, bad);
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

/* What goes out under its own name, in the order of the table. */
static void take_sampling(dm_arena *a, const dm_at *at, dm_lm_config *c)
{
    dm_value *sampling = dm_value_dict(a);
    for (const dm_param *row = dm_lm_table; row->name; row++) {
        const dm_value *v = row->mark == DM_LM_SAMPLING ? dm_value_get(at->v, row->name) : NULL;
        const char *name = row->name;
        if (!v || v->kind == DM_NULL)
            continue;
        if (c->provider->sampling_name)
            name = c->provider->sampling_name(c, name);
        dm_value_set(a, sampling, dm_str_of(name), v);
    }
    c->sampling = sampling;
    c->tokens_key = dm_value_get(at->v, "max_tokens") ? "max_tokens" : "max_completion_tokens";
    const dm_value *tier = dm_value_get(at->v, "service_tier");
    c->flex = tier && tier->kind == DM_STRING && dm_str_is(tier->text, "flex");
    if (c->flex && !dm_value_get(at->v, "timeout"))
        c->timeout = FLEX_SECONDS;
    if (c->provider->complete)
        c->provider->complete(a, c);
}

/* What depends on several keys. */
static dm_status settle(dm_arena *a, const dm_at *at, dm_lm_config *c, dm_error *err)
{
    dm_at bases = dm_at_key(at, "api_base"), price = dm_at_key(at, "price"),
          key_file = dm_at_key(at, "key_file");
    dm_status st = read_bases(a, &bases, c, err);
    if (st == DM_OK && c->key_file && !c->cert_file)
        st = dm_at_fail(&key_file, err, "a key needs its certificate: name it with cert_file");
    if (st != DM_OK)
        return st;
    if (!c->concurrency)
        c->concurrency = 32 * (int64_t)c->n_base;
    dm_key_know(c); /* a metric's program may be started before any server is asked */
    take_sampling(a, at, c);
    return read_price(&price, c, err);
}

static dm_status read_object(dm_arena *a, const dm_at *at, dm_lm_config *c, dm_error *err)
{
    dm_status st = dm_params_known(a, dm_lm_table, at, dm_lm_key_near, err);
    if (st == DM_OK && !dm_value_get(at->v, "model"))
        st = dm_at_fail(at, err, "a model needs its name under \"model\"");
    if (st == DM_OK)
        st = dm_params_read(a, dm_lm_table, at, false, c, err);
    return st == DM_OK ? settle(a, at, c, err) : st;
}

dm_lm_config *dm_lm_config_read(dm_arena *a, const dm_at *at, dm_error *err)
{
    dm_lm_config *c = dm_arena_alloc(a, sizeof *c);
    *c = (dm_lm_config){.connect_timeout = 10};
    dm_params_default(dm_lm_table, c);
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
    if (object.v->kind != DM_DICT) {
        dm_at_fail(at, err,
                   "a model, such as \"openai/gpt-5-mini\", or an object that has it as "
                   "\"model\"");
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
