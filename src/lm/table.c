/* The keys of a model. */
#include "base/clock.h"
#include "base/utf8.h"
#include "lm/config.h"
#include "lm/provider.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

/* ---- readers of those that are no plain value ---- */

static dm_status read_model(dm_arena *a, const dm_at *at, void *into, dm_error *err)
{
    dm_lm_config *c = into;
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
        return dm_at_fail(at, err, "%s", dm_no_provider(a, provider, dm_str_of(slash + 1)));
    c->model = text.p;
    c->name = slash + 1;
    return DM_OK;
}

/* An object of names and texts; dm_key_know makes secrets of the texts. */
static dm_status read_texts(const dm_at *at, const dm_value **out, dm_error *err)
{
    if (at->v->kind != DM_DICT)
        return dm_at_fail(at, err, "an object of names and texts");
    for (size_t i = 0; i < at->v->n; i++) {
        const dm_member *m = &at->v->members[i];
        dm_at each = dm_at_key(at, m->key.p);
        if (m->value->kind != DM_STRING)
            return dm_at_fail(&each, err, "a text");
        if (dm_bad_header(m->key, m->value->text))
            return dm_at_fail(&each, err, "%s", dm_bad_header(m->key, m->value->text));
    }
    *out = at->v;
    return DM_OK;
}

static dm_status read_headers(dm_arena *a, const dm_at *at, void *into, dm_error *err)
{
    (void)a;
    return read_texts(at, &((dm_lm_config *)into)->headers, err);
}

static dm_status read_headers_env(dm_arena *a, const dm_at *at, void *into, dm_error *err)
{
    dm_lm_config *c = into;
    dm_status st = read_texts(at, &c->headers_env, err);
    (void)a;
    for (size_t i = 0; st == DM_OK && i < at->v->n; i++) {
        const char *bad = dm_bad_key_name(at->v->members[i].value->text.p);
        if (bad)
            st = dm_at_fail(at, err, "%s", bad);
    }
    return st;
}

static dm_status read_query(dm_arena *a, const dm_at *at, void *into, dm_error *err)
{
    (void)a;
    return read_texts(at, &((dm_lm_config *)into)->query, err);
}

static dm_status read_extra_body(dm_arena *a, const dm_at *at, void *into, dm_error *err)
{
    (void)a;
    if (at->v->kind != DM_DICT)
        return dm_at_fail(at, err, "an object that is merged into the request");
    ((dm_lm_config *)into)->extra_body = at->v;
    return DM_OK;
}

/* The same number under another name, which counts where max_tokens is not given. */
static dm_status read_completion_tokens(dm_arena *a, const dm_at *at, void *into, dm_error *err)
{
    dm_lm_config *c = into;
    (void)a;
    if (c->has_max_tokens)
        return DM_OK;
    c->has_max_tokens = true;
    return dm_get_int(at, 1, INT32_MAX, &c->max_tokens, err);
}

static const char *unfit(dm_arena *a, const char *name)
{
    (void)a;
    return dm_bad_key_name(name);
}

static const char *unreadable(dm_arena *a, const char *path)
{
    return access(path, R_OK) == 0
               ? NULL
               : dm_arena_printf(a, "%s cannot be read: %s", path, strerror(errno));
}

/* ---- the table ---- */

#define AT(member) .at = offsetof(dm_lm_config, member)
#define TEXT(key, member, shown, text, otherwise)                                                  \
    {                                                                                              \
        .name = (key), .kind = DM_PARAM_TEXT, AT(member), .value = (shown), .help = (text),        \
        .absent = (otherwise)                                                                      \
    }
#define READABLE(key, member, text, otherwise)                                                     \
    {                                                                                              \
        .name = (key), .kind = DM_PARAM_TEXT, AT(member), .bad = unreadable, .value = "FILE",      \
        .help = (text), .absent = (otherwise)                                                      \
    }
#define TEXTS(key, reader, text)                                                                   \
    {                                                                                              \
        .name = (key), .kind = DM_PARAM_OWN, .read = (reader), .value = "JSON", .help = (text),    \
        .absent = "none",                                                                          \
        .schema = "\"type\": \"object\", \"additionalProperties\": {\"type\": \"string\"}"         \
    }
#define COUNT(key, member, text)                                                                   \
    {                                                                                              \
        .name = (key), .kind = DM_PARAM_AMOUNT, .high = 1e15, AT(member), .parse = dm_parse_count, \
        .value = "N", .help = (text), .absent = "as the server reports, else none"                 \
    }
#define SECONDS(key, member, standard, text)                                                       \
    {                                                                                              \
        .name = (key), .kind = DM_PARAM_AMOUNT, .high = 1e9, AT(member),                           \
        .parse = dm_parse_seconds, .value = "TIME", .help = (text), .fallback = (standard)         \
    }
#define BOOL(key, member, standard, text)                                                          \
    {                                                                                              \
        .name = (key), .kind = DM_PARAM_BOOL, AT(member), .value = "BOOL", .help = (text),         \
        .fallback = (standard)                                                                     \
    }
/* Goes out as it is: what it may be the server says. */
#define SENT(key, shown, text)                                                                     \
    {                                                                                              \
        .name = (key), .kind = DM_PARAM_ANY, .mark = DM_LM_SAMPLING, .value = (shown),             \
        .help = (text), .absent = "not sent"                                                       \
    }

const dm_param dm_lm_table[] = {
    {.name = "model",
     .kind = DM_PARAM_OWN,
     .read = read_model,
     .value = "NAME",
     .help = "provider/name, such as openai/gpt-5-mini or hosted_vllm/NAME",
     .absent = "required",
     .schema = "\"type\": \"string\", \"pattern\": \"^(embedded$|[^/]+/.)\""},
    {.name = "api_base",
     .kind = DM_PARAM_ANY,
     .value = "URL",
     .help = "address of the server, or a list of several that serve the same model",
     .absent = "the provider's own",
     .schema = "\"type\": [\"string\", \"array\"], \"items\": {\"type\": \"string\"}"},
    {.name = "api_key_env",
     .kind = DM_PARAM_TEXT,
     AT(api_key_env),
     .bad = unfit,
     .value = "VARIABLE",
     .help = "environment variable that holds the key",
     .absent = "the provider's own"},
    TEXT("api_key_file", api_key_file, "FILE", "file that holds the key", "none"),
    {.name = "concurrency",
     .kind = DM_PARAM_INT,
     .low = 1,
     .high = 1000000,
     AT(concurrency),
     .value = "N",
     .help = "calls in flight, of the whole job over all ranks and servers",
     .absent = "32 for each server"},
    COUNT("rpm", rpm, "requests a minute that each server gets from the whole job: 500, 20k"),
    COUNT("tpm", tpm, "tokens a minute that each server gets from the whole job: 2M"),
    SECONDS("timeout", timeout, "600",
            "how long one call may take: 90, 2m; with service_tier = flex 900 if not given"),
    {.name = "num_retries",
     .kind = DM_PARAM_INT,
     .high = 1000,
     AT(num_retries),
     .value = "N",
     .help = "how often a failed call is sent again before its work goes back to be tried later",
     .fallback = "3"},
    {.name = "wait",
     .kind = DM_PARAM_AMOUNT,
     .high = 1e9,
     AT(wait),
     .given = offsetof(dm_lm_config, has_wait),
     .parse = dm_parse_seconds,
     .value = "TIME",
     .help = "how long to wait for a server that is not up yet: 10 min",
     .fallback = "0"},
    SECONDS("outage", outage, "120",
            "how long no server may answer before the run ends, resumable"),
    {.name = "price",
     .kind = DM_PARAM_ANY,
     .value = "JSON",
     .help = "for a million tokens: {\"prompt\": 3, \"completion\": 15}, with cached, cache_write "
             "and flex where they differ",
     .absent = "of the table of prices",
     .schema = "\"type\": \"object\", \"required\": [\"prompt\", \"completion\"], "
               "\"additionalProperties\": {\"type\": \"number\", \"minimum\": 0}, "
               "\"propertyNames\": {\"enum\": [\"prompt\", \"cached\", \"cache_write\", "
               "\"completion\", \"flex\"]}"},
    TEXT("prices", prices, "FILE", "table of prices", "the installed one"),
    READABLE("ca_file", ca_file,
             "certificates of authorities that a server's certificate is checked against",
             "the system's"),
    READABLE("cert_file", cert_file, "client certificate, for a server that wants one", "none"),
    READABLE("key_file", key_file, "the key of cert_file", "in cert_file"),
    TEXT("proxy", proxy, "URL", "proxy to all servers of this model",
         "http_proxy and related variables"),
    BOOL("cache", cache, "true", "equal requests get one answer"),
    TEXT("cache_tag", cache_tag, "TEXT", "answers are shared only under the same tag", "none"),
    {.name = "extra_body",
     .kind = DM_PARAM_OWN,
     .read = read_extra_body,
     .value = "JSON",
     .help = "an object that is merged into each request",
     .absent = "nothing",
     .schema = "\"type\": \"object\""},
    TEXTS("headers", read_headers, "extra headers of each request"),
    TEXTS("headers_env", read_headers_env,
          "extra headers, each with the environment variable that holds its text"),
    TEXTS("query", read_query, "what comes after ? in the address"),
    TEXT("api_version", api_version, "TEXT", "api-version of an Azure deployment", "none"),
    BOOL("drop_params", drop_params, "false",
         "sampling keys that the model refuses are left out, instead of an error"),
    /* sampling, by OpenAI's and vLLM's names, in the order in which they go out */
    {.name = "max_tokens",
     .kind = DM_PARAM_INT,
     .low = 1,
     .high = INT32_MAX,
     AT(max_tokens),
     .given = offsetof(dm_lm_config, has_max_tokens),
     .mark = DM_LM_SAMPLING,
     .value = "N",
     .help = "maximum tokens of an answer; a budget of tokens or money needs it",
     .absent = "not sent; anthropic: 16384"},
    {.name = "max_completion_tokens",
     .kind = DM_PARAM_OWN,
     .read = read_completion_tokens,
     .mark = DM_LM_SAMPLING,
     .value = "N",
     .help = "the same, by the name that models that reason know",
     .absent = "not sent",
     .schema = "\"type\": \"integer\", \"minimum\": 1"},
    {.name = "temperature",
     .kind = DM_PARAM_NUMBER,
     .high = 10,
     AT(temperature),
     .given = offsetof(dm_lm_config, has_temperature),
     .mark = DM_LM_SAMPLING,
     .value = "T",
     .help = "0: the likeliest answer; higher: more varied ones",
     .absent = "not sent"},
    SENT("top_p", "P", "only the likeliest tokens, up to this total probability"),
    SENT("seed", "N", "seed of the server's sampling"),
    SENT("frequency_penalty", "X", "penalty on tokens by how often they were used"),
    SENT("presence_penalty", "X", "penalty on tokens that were used at all"),
    SENT("stop", "JSON", "texts at which an answer ends"),
    SENT("user", "TEXT", "the end user, for the provider's records"),
    SENT("logit_bias", "JSON", "bias added to single tokens: {\"5\": 1}"),
    SENT("top_k", "N", "only the N likeliest tokens"),
    SENT("min_p", "P", "only tokens with at least this share of the likeliest one's probability"),
    SENT("repetition_penalty", "X", "penalty on tokens that are already in prompt or answer"),
    SENT("length_penalty", "X", "penalty on short or long answers in a beam search"),
    SENT("min_tokens", "N", "minimum tokens of an answer"),
    SENT("stop_token_ids", "JSON", "tokens at which an answer ends, by number"),
    SENT("ignore_eos", "BOOL", "an answer continues after its end"),
    SENT("skip_special_tokens", "BOOL", "special tokens are left out of the answer"),
    SENT("include_stop_str_in_output", "BOOL", "the text at which the answer ended stays in it"),
    SENT("reasoning_effort", "WORD", "how much a model thinks: low, medium, high"),
    SENT("service_tier", "WORD", "flex: slower, at half the price"),
    SENT("verbosity", "WORD", "how long answers are: low, medium, high"),
    {.name = NULL},
};
