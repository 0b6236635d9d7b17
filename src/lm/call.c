/* What all parts of the engine stand on: lists of calls, the end of one, words. */
#include "base/log.h"
#include "base/secret.h"
#include "lm/authorities.h"
#include "lm/provider.h"

#include <string.h>

#include <stdlib.h>

const char *dm_fault_name(dm_fault f)
{
    static const char *const names[] = {"none",    "transport",      "context_overflow", "parse",
                                        "refused", "content_filter", "endpoint",         "program",
                                        "metric",  "server",         "refused",          "judge"};
    return names[f];
}

bool dm_is_refusal(dm_fault f)
{
    return f == DM_FAULT_OVERFLOW || f == DM_FAULT_REFUSED || f == DM_FAULT_FILTER ||
           f == DM_FAULT_DENIED;
}

void dm_usage_add(dm_usage *to, const dm_usage *u)
{
    to->requests += u->requests;
    to->answers += u->answers;
    to->prompt += u->prompt;
    to->completion += u->completion;
    to->reasoning += u->reasoning;
    to->cached += u->cached;
    to->retries += u->retries;
    to->untold += u->untold;
    to->odd += u->odd;
    to->written += u->written;
    to->flex += u->flex;
}

/* ---- lists ---- */

void dm_call_add(dm_call_list *l, dm_call *c)
{
    c->next = NULL;
    c->prev = l->last;
    *(l->last ? &l->last->next : &l->first) = c;
    l->last = c;
    l->n++;
}

void dm_call_take_out(dm_call_list *l, dm_call *c)
{
    *(c->prev ? &c->prev->next : &l->first) = c->next;
    *(c->next ? &c->next->prev : &l->last) = c->prev;
    l->n--;
}

/* ---- the end of a call ---- */

void dm_call_finish(dm_call *c, const dm_lm_answer *answer)
{
    dm_lm *lm = c->lm;
    dm_lm_answer a = *answer;
    dm_buf masked; /* an answer that repeats the key goes into demos, journal and cache */
    dm_buf_init(&masked, SIZE_MAX / 2);
    if (dm_secret_in(a.content, DM_MASK_ANSWERS)) {
        dm_mask(&masked, a.content, DM_MASK_ANSWERS);
        a.content = dm_buf_view(&masked);
    }
    a.usage = c->usage;
    c->done(c->user, &a);
    dm_buf_free(&masked);
    free(c->kept);
    c->kept = NULL;
    dm_call_add(&lm->idle, c);
}

void dm_call_finish_kept(dm_call *c)
{
    dm_call_finish(c, &(dm_lm_answer){.content = {c->kept, c->n_kept},
                                      .truncated = c->kept_truncated,
                                      .http_status = 200});
}

void dm_call_fail(dm_call *c, dm_fault fault, const char *text, int status)
{
    dm_call_finish(c, &(dm_lm_answer){
                          .fault = fault, .content = {"", 0}, .text = text, .http_status = status});
}

/* ---- words ---- */

dm_level dm_lm_level(const dm_lm *lm)
{
    return lm->rank <= 1 ? DM_WARN : DM_DEBUG;
}

#define LOADING_WAIT 60.0 /* s */

double dm_loading_wait(const dm_lm_config *c)
{
    return c->has_wait ? c->wait : LOADING_WAIT;
}

void dm_lm_loads(dm_lm *lm, dm_endpoint *e)
{
    if (e->loading_from > 0)
        return;
    e->loading_from = dm_lm_now(lm);
    dm_log(dm_lm_level(lm), "%s is loading its model: waiting for it, for at most %.0f s (lm.wait)",
           e->base, dm_loading_wait(e->config));
}

const char *dm_advice(CURLcode code, long status)
{
    switch (code) {
    case CURLE_OK:
        break;
    case CURLE_SSL_CACERT_BADFILE:
        return "ca_file, or what SSL_CERT_FILE or CURL_CA_BUNDLE names, has to be a file of "
               "certificates in PEM that every rank can read";
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
        return dm_authorities_missing()
                   ? dm_authorities_missing()
                   : "if the server is yours, name the certificate of its authority (or its own) "
                     "with ca_file";
    default:
        return "check api_base";
    }
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

void dm_lm_denied_text(dm_buf *b, const dm_lm_config *c, const char *text)
{
    bool told = dm_str_starts(dm_str_of(text), DM_HTTP);
    long status = told ? strtol(text + strlen(DM_HTTP), NULL, 10) : 0;
    dm_buf_printf(b, "%s: model %s: %s; %s", c->api_base[0], c->name, text,
                  dm_advice(CURLE_OK, status));
}

const char *dm_job_key(const dm_lm_config *c, const char *param)
{
    if (strcmp(param, "max_tokens") == 0 || strcmp(param, "max_completion_tokens") == 0)
        return c->tokens_key;
    return strcmp(param, "stop_sequences") == 0 ? "stop" : param;
}

void dm_lm_unfit_text(dm_buf *b, const dm_lm_config *c, const char *param, const char *text)
{
    bool extra = dm_value_get(c->extra_body, param) && !dm_value_get(c->sampling, param);
    const char *key = extra ? param : dm_job_key(c, param);
    dm_buf_printf(b,
                  "lm.%s%s: model %s at %s refuses it (%s): take `%s` out of the job's model, give "
                  "another value, or set lm.drop_params to true",
                  extra ? "extra_body." : "", key, c->name, c->api_base[0], text, key);
}
