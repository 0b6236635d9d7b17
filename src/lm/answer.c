/* What an HTTP answer means: the error table of src/README.md §5. */
#include "base/secret.h"
#include "base/utf8.h"
#include "json/json.h"
#include "lm/inside.h"

#include <stdlib.h>
#include <string.h>

#define MOST_WORDS 239 /* bytes of a server's message */

/* Strings end at U+0000 here: these are codes and words for people. */
static const char *text_of(const dm_value *v)
{
    return v && v->kind == DM_STRING ? v->text.p : "";
}

static bool is_number(const dm_value *v)
{
    return v && (v->kind == DM_INT || v->kind == DM_FLOAT);
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
    char *line = dm_outside(dm_str_of(message), MOST_WORDS);
    snprintf(r->text, sizeof r->text, "%s%s%s", what, *line ? ": " : "", line);
    free(line);
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

/* What an error object says. */
typedef struct complaint {
    const char *code, *type, *message;
    long status; /* of the reply, or what an error object in a 200 says that it is */
} complaint;

static complaint read_complaint(const dm_reply *r, const dm_value *root)
{
    const dm_value *error = dm_value_get(root, "error"), *code = dm_value_get(error, "code");
    complaint c = {text_of(code), text_of(dm_value_get(error, "type")), text_of(error), r->status};
    const char *const messages[] = {text_of(dm_value_get(error, "message")),
                                    text_of(dm_value_get(root, "message")),
                                    text_of(dm_value_get(root, "detail"))};
    for (size_t i = 0; i < 3 && !*c.message; i++)
        c.message = messages[i];
    if (!*c.code)
        c.code = c.type;
    if (r->status < 300 && is_number(code) && code->number > 0 && code->number < 1000)
        c.status = (long)code->number;
    return c;
}

bool dm_is_of_the_way(long status)
{
    return status == 408 || status == 425 || (status >= 502 && status <= 504);
}

/* An error object, in a 200 or with a status of its own. A live server that answers one request so
 * may answer all others: it is a matter of that request (src/README.md §5). */
static dm_verdict judge_error(dm_reply *r, const dm_value *root)
{
    complaint c = read_complaint(r, root);
    char what[64];
    snprintf(what, sizeof what, "HTTP %ld", r->status);
    if (strcmp(c.code, "insufficient_quota") == 0 || strcmp(c.code, "model_not_found") == 0 ||
        c.status == 402)
        return say_and(DM_EJECT, r, what, *c.message ? c.message : c.code);
    if (c.status == 429 || c.status == 529 || strcmp(c.code, "rate_limit_exceeded") == 0)
        return say_and(DM_SLOW_DOWN, r, what, c.message);
    if (dm_is_of_the_way(r->status))
        return say_and(DM_RETRY, r, what, c.message);
    if (c.status >= 500 || c.status < 300 || dm_is_of_the_way(c.status))
        return say_and(DM_ODD, r, what, c.message);
    if (c.status == 401 || c.status == 403 || c.status == 404 || c.status < 400)
        return say_and(DM_EJECT, r, what, c.message);
    if (is_overflow(c.code, c.message))
        return final(r, DM_FAULT_OVERFLOW, what, c.message);
    return final(r, is_filter(c.code) ? DM_FAULT_FILTER : DM_FAULT_REFUSED, what, c.message);
}

/* A string, or a list of parts of which those of type "text" count; all else is as good as empty,
 * for DSPy too (contract 4.2). */
static void put_content(dm_buf *b, const dm_value *content)
{
    if (content && content->kind == DM_STRING)
        dm_buf_str(b, content->text);
    for (size_t i = 0; content && content->kind == DM_LIST && i < content->n; i++) {
        const dm_value *part = content->items[i], *text = dm_value_get(part, "text");
        if (text && text->kind == DM_STRING &&
            strcmp(text_of(dm_value_get(part, "type")), "text") == 0)
            dm_buf_str(b, text->text);
    }
}

/* Tokens, as the server counts: what cannot be a count is none. */
static int64_t count_of(const dm_value *o, const char *key)
{
    const dm_value *v = dm_value_get(o, key);
    bool good = is_number(v) && v->number > 0 && v->number < 1e15;
    return good ? (int64_t)v->number : 0;
}

static void take_usage(dm_reply *r, const dm_value *usage)
{
    r->prompt = count_of(usage, "prompt_tokens");
    r->completion = count_of(usage, "completion_tokens");
    r->cached = count_of(dm_value_get(usage, "prompt_tokens_details"), "cached_tokens");
}

/* An answer without content is one that does not parse: that is for whoever asked. */
static dm_verdict judge_choice(dm_reply *r, const dm_value *root)
{
    const dm_value *choices = dm_value_get(root, "choices");
    if (!choices || choices->kind != DM_LIST || choices->n == 0 ||
        choices->items[0]->kind != DM_DICT)
        return dm_value_get(root, "error") ? judge_error(r, root)
                                           : say_and(DM_ODD, r, "an answer without choices", "");
    const dm_value *choice = choices->items[0];
    const char *reason = text_of(dm_value_get(choice, "finish_reason"));
    take_usage(r, dm_value_get(root, "usage"));
    r->truncated = strcmp(reason, "length") == 0;
    if (strcmp(reason, "content_filter") == 0)
        return final(r, DM_FAULT_FILTER, "the provider's content filter stopped the answer", "");
    dm_buf b;
    dm_buf_init(&b, 2 * DM_MAX_ANSWER);
    put_content(&b, dm_value_get(dm_value_get(choice, "message"), "content"));
    r->content = dm_buf_take(&b, &r->n);
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
    case CURLE_SEND_FAIL_REWIND: /* no further request was allowed: see request.c */
    case CURLE_ABORTED_BY_CALLBACK:
        return say_and(DM_RETRY, r, "the connection was closed without an answer", "");
    case CURLE_WRITE_ERROR:
        return say_and(DM_ODD, r, "an answer larger than 16 MiB", "");
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_WEIRD_SERVER_REPLY:
        return say_and(DM_ODD, r, what, "");
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
    bool fine = r->status >= 200 && r->status < 300;
    dm_arena *a = dm_arena_new(r->body.n + 4096);
    dm_error err = {DM_OK, ""};
    const dm_value *root = dm_json_read_bytes(a, r->body, &err);
    dm_verdict v;
    if (root && fine)
        v = judge_choice(r, root);
    else if (!fine)
        v = judge_error(r, root);
    else
        v = say_and(DM_ODD, r, "an answer that is no JSON", err.text);
    dm_arena_free(a);
    return v;
}
