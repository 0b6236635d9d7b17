/* What a job file says about a model: `lm`, or one role of `lms` (src/README.md §1, Models). */
#ifndef DM_LM_CONFIG_H
#define DM_LM_CONFIG_H

#include "json/param.h"

typedef enum dm_role {
    DM_TASK,
    DM_TEACHER,
    DM_PROMPT,
    DM_JUDGE,
    DM_OWN /* from here on: models that the job names, for members of an ensemble to ask */
} dm_role;
#define DM_OWN_ROLES 8
#define DM_ROLES     (DM_OWN + DM_OWN_ROLES)
/* "task", "teacher", "prompt", "judge"; r < DM_OWN: the others have their names from the job. */
const char *dm_role_name(dm_role r);

typedef struct dm_provider dm_provider; /* a class: lm/provider.h */

typedef struct dm_price { /* per million tokens, any currency */
    bool known;
    double prompt, completion;
    double cached, cache_write; /* of the prompt: read from the server's cache, put into it */
    double flex;                /* what all is multiplied by where it is served as flex; 1: none */
} dm_price;

typedef struct dm_lm_config {
    const char *model; /* as given: "openai/gpt-4o-mini" */
    const dm_provider *provider;
    const char *name; /* what goes out as "model": "gpt-4o-mini" */
    const char *
        *api_base; /* [n_base], without a trailing slash; defaults filled in (api.openai.com,
                    * OPENAI_BASE_URL, http://127.0.0.1:8000/v1, http://127.0.0.1:11434/v1) */
    size_t n_base;
    const char *api_key_env, *api_key_file; /* NULL: not given */
    int64_t concurrency;         /* calls in flight for the whole job; default 32 an endpoint */
    double rpm, tpm;             /* 0: no limit; of the whole job, an endpoint */
    double timeout;              /* whole call, s; default 600 */
    double connect_timeout;      /* s; 10 */
    int64_t num_retries;         /* 3 */
    double wait;                 /* s, for a server that is not up yet; 0 */
    bool has_wait;               /* the job says so */
    double outage;               /* s without any answer that end the run, resumable; 120 */
    dm_price price;              /* the job's, else the provider's, where that knows it */
    const char *ca_file, *proxy; /* NULL: none */
    const char *cert_file, *key_file; /* who we are to the server; NULL: nobody; in cert_file */
    bool cache;                       /* whether equal requests get one answer (asked.c); true */
    const char *cache_tag;
    bool has_temperature, has_max_tokens;
    double temperature;
    int64_t max_tokens;
    const dm_value *sampling;   /* dict: the sampling keys as given, in the wire's order, with
                                 * temperature and max_tokens under the names that go out */
    const dm_value *extra_body; /* dict or NULL */
    /* Of requests, beside the provider's own: names and texts, names and variables that hold the
     * texts, what follows "?". Dicts or NULL. What they say is masked as keys are. */
    const dm_value *headers, *headers_env, *query;
    const char *api_version; /* Azure's; NULL: none */
    const char *prices;      /* file with prices; NULL: the installed one */
    bool drop_params;        /* sampling keys that the model refuses are left out (live.h) */
    bool flex;               /* service_tier is "flex" */
    const char *tokens_key;  /* how the job names max_tokens */
} dm_lm_config;

/* at: a string "provider/name" or an object. Unknown providers and keys are refused with the
 * nearest known one. Its keys go out of the environment and are known as secrets from here on; that
 * one is missing is said where it is needed. Opens no connection. */
dm_lm_config *dm_lm_config_read(dm_arena *a, const dm_at *at, dm_error *err) DM_MUST_USE;
/* The keys an object may have; what goes out under its own name, in that order, is marked. */
extern const dm_param dm_lm_table[];
#define DM_LM_SAMPLING 1u
/* The one that is meant by a word that is none, as others call it or with a slip; NULL: none is
 * near. */
const char *dm_lm_key_near(const char *word);
/* Names of variables, for a launcher: those that a key of "provider/name" may be in, and those that
 * addresses of any provider are read from. At most room; how many. */
size_t dm_lm_key_variables(dm_str model, const char **names, size_t room);
size_t dm_lm_address_variables(const char **names, size_t room);
/* What an answer depends on: model and sampling, never addresses or keys. For content keys. */
dm_value *dm_lm_identity(dm_arena *a, const dm_lm_config *c);
/* Whether this process answers for it, as the stand-in does: without server, key and money, and at
 * once, so that its answers are not worth keeping. */
bool dm_lm_in_process(const dm_lm_config *c);
/* DSPy asks it, in a process of the Python program (python/NAME). Where the job gives no address it
 * has this one, where nobody is; its key stands behind these words in the headers. */
#define DM_BY_HOST_BASE "http://dspy.invalid"
#define DM_BY_HOST_KEY  "Authorization: Bearer "
bool dm_lm_by_host(const dm_lm_config *c);
/* Tokens from which on its servers keep the beginning of a prompt for others that begin so; 0: they
 * do not. */
int64_t dm_lm_cached_from(const dm_lm_config *c);
/* The server that makes it so that the price is not known: one that may be anybody's, else the
 * first. */
const char *dm_lm_unpriced_at(const dm_lm_config *c);
/* prompt: all of it, what was cached and what was written to the cache among it. NAN: the price is
 * not known. */
double dm_price_of(const dm_price *p, int64_t prompt, int64_t completion, int64_t cached,
                   int64_t written);
/* Whatever the server's cache does. */
double dm_price_most(const dm_price *p, int64_t prompt, int64_t completion);

#endif
