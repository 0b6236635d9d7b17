/* What an HTTP answer means: the error table of src/README.md §5. */
#include "base/log.h"
#include "base/utf8.h"
#include "lm/inside.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static const cJSON *get(const cJSON *o, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(o, key);
}

static const char *text_of(const cJSON *o)
{
    return cJSON_IsString(o) && o->valuestring ? o->valuestring : "";
}

static bool any_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcasestr(text, *words))
            return true;
    return false;
}

static bool is_overflow(const char *code, const char *message)
{
    static const char *const words[] = {"maximum context length", "context length",
                                        "context window",         "context size",
                                        "too many tokens",        "prompt is too long",
                                        "max_model_len",          NULL};
    return strcmp(code, "context_length_exceeded") == 0 ||
           strcmp(code, "exceed_context_size_error") == 0 || any_of(message, words);
}

static bool is_filter(const char *code)
{
    static const char *const words[] = {"content_filter", "content_policy", NULL};
    return any_of(code, words);
}

/* The server's own words, in one line and short. */
static void say(dm_reply *r, const char *what, const char *message)
{
    char line[240];
    size_t n = 0;
    for (const char *p = message; *p && n + 1 < sizeof line; p++)
        line[n++] = (unsigned char)*p < 0x20 ? ' ' : *p;
    while (n > 0 && ((unsigned char)line[n - 1] & 0xC0) == 0x80 && n + 1 >= sizeof line)
        n--;
    line[n] = 0;
    if (dm_utf8_valid((dm_str){line, n}) < n)
        line[dm_utf8_valid((dm_str){line, n})] = 0;
    dm_log_mask(line);
    snprintf(r->text, sizeof r->text, "%s%s%s", what, *line ? ": " : "", line);
}

static dm_verdict final(dm_reply *r, dm_fault fault, const char *what, const char *message)
{
    r->fault = fault;
    say(r, what, message);
    return DM_FINAL;
}

static dm_verdict say_and(dm_verdict v, dm_reply *r, const char *what, const char *message)
{
    say(r, what, message);
    return v;
}

/* An error object, in a 200 or with a status of its own. */
static dm_verdict judge_error(dm_reply *r, const cJSON *root)
{
    const cJSON *error = get(root, "error");
    const cJSON *code_item = get(error, "code");
    const char *code = text_of(code_item), *type = text_of(get(error, "type"));
    const char *message = cJSON_IsString(error) ? text_of(error) : text_of(get(error, "message"));
    char what[64];
    if (!*message)
        message = text_of(get(root, "message"));
    if (!*message)
        message = text_of(get(root, "detail"));
    if (!*code)
        code = type;
    long status = r->status;
    if (status == 200 && cJSON_IsNumber(code_item) && code_item->valuedouble > 0 &&
        code_item->valuedouble < 1000)
        status = (long)code_item->valuedouble;
    snprintf(what, sizeof what, "HTTP %ld", r->status);
    if (strcmp(code, "insufficient_quota") == 0 || strcmp(code, "model_not_found") == 0 ||
        status == 402)
        return say_and(DM_EJECT, r, what, *message ? message : code);
    if (status == 429 || status == 529 || strcmp(code, "rate_limit_exceeded") == 0)
        return say_and(DM_SLOW_DOWN, r, what, message);
    if (status == 408 || status == 425 || status >= 500 || status == 200)
        return say_and(DM_RETRY, r, what, message);
    if (status == 401 || status == 403 || status == 404 || (status >= 300 && status < 400))
        return say_and(DM_EJECT, r, what, message);
    if (is_overflow(code, message))
        return final(r, DM_FAULT_OVERFLOW, what, message);
    return final(r, is_filter(code) ? DM_FAULT_FILTER : DM_FAULT_REFUSED, what, message);
}

static char *join_parts(const cJSON *content, size_t *n)
{
    dm_buf b;
    const cJSON *part;
    dm_buf_init(&b, DM_MAX_ANSWER);
    cJSON_ArrayForEach(part, content) dm_buf_text(&b, text_of(get(part, "text")));
    return dm_buf_take(&b, n);
}

/* Tokens, as the server counts: what cannot be a count is none. */
static int64_t count_of(const cJSON *o, const char *key)
{
    const cJSON *v = get(o, key);
    bool good = cJSON_IsNumber(v) && v->valuedouble > 0 && v->valuedouble < 1e15;
    return good ? (int64_t)v->valuedouble : 0;
}

static void take_usage(dm_reply *r, const cJSON *usage)
{
    r->prompt = count_of(usage, "prompt_tokens");
    r->completion = count_of(usage, "completion_tokens");
    r->cached = count_of(get(usage, "prompt_tokens_details"), "cached_tokens");
}

static dm_verdict judge_choice(dm_reply *r, cJSON *root)
{
    const cJSON *choice = cJSON_GetArrayItem(get(root, "choices"), 0);
    if (!choice)
        return get(root, "error") ? judge_error(r, root)
                                  : say_and(DM_RETRY, r, "an answer without choices", "");
    const char *reason = text_of(get(choice, "finish_reason"));
    cJSON *content = (cJSON *)(uintptr_t)get(get(choice, "message"), "content");
    take_usage(r, get(root, "usage"));
    r->truncated = strcmp(reason, "length") == 0;
    if (strcmp(reason, "content_filter") == 0)
        return final(r, DM_FAULT_FILTER, "the provider's content filter stopped the answer", "");
    if (cJSON_IsString(content) && content->valuestring) {
        r->content = content->valuestring; /* taken over: cJSON frees what is left */
        r->n = strlen(r->content);
        content->valuestring = NULL;
    } else {
        r->content = join_parts(content, &r->n);
    }
    if (r->n == 0 && !r->truncated && !get(get(choice, "message"), "tool_calls"))
        return say_and(DM_RETRY, r, "an empty answer", "");
    return DM_GOOD;
}

static dm_verdict judge_transfer(dm_reply *r)
{
    char what[300];
    snprintf(what, sizeof what, "%s", curl_easy_strerror(r->code));
    switch (r->code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
        return say_and(DM_EJECT, r, what, "");
    case CURLE_ABORTED_BY_CALLBACK:
        return say_and(DM_RETRY, r, "two connections were closed without an answer", "");
    case CURLE_WRITE_ERROR:
        return say_and(DM_RETRY, r, "an answer larger than 16 MiB", "");
    default:
        return say_and(DM_RETRY, r, what, "");
    }
}

dm_verdict dm_judge_reply(dm_reply *r)
{
    if (r->code != CURLE_OK)
        return judge_transfer(r);
    if (r->status >= 300 && r->status < 400)
        return say_and(DM_EJECT, r, "a redirect, which is not followed", "");
    bool text = dm_utf8_valid(r->body) == r->body.n;
    cJSON *root = text ? cJSON_ParseWithLength(r->body.p, r->body.n) : NULL;
    dm_verdict v;
    if (root && r->status == 200) {
        v = judge_choice(r, root);
    } else if (root || r->status != 200) {
        v = judge_error(r, root);
    } else {
        v = say_and(DM_RETRY, r, text ? "an answer that is no JSON" : "an answer that is no UTF-8",
                    "");
    }
    cJSON_Delete(root);
    return v;
}
