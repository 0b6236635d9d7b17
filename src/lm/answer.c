/* What an HTTP answer means: the error table of src/README.md §5. */
#include "base/secret.h"
#include "base/utf8.h"
#include "json/json.h"
#include "lm/provider.h"

#include <stdlib.h>
#include <string.h>

#define MOST_WORDS 239 /* bytes of a server's message */

const char *dm_reply_word(const dm_value *v)
{
    return v && v->kind == DM_STRING ? v->text.p : "";
}

int64_t dm_reply_count(const dm_value *object, const char *key)
{
    const dm_value *v = dm_value_get(object, key);
    bool good =
        v && (v->kind == DM_INT || v->kind == DM_FLOAT) && v->number > 0 && v->number < 1e15;
    return good ? (int64_t)v->number : 0;
}

bool dm_reply_says(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcasestr(text, *words))
            return true;
    return false;
}

/* The server's own words, in one line and short. */
static void say(dm_reply *r, const char *what, const char *message)
{
    char *line = dm_outside(dm_str_of(message), MOST_WORDS);
    snprintf(r->text, sizeof r->text, "%s%s%s", what, *line ? ": " : "", line);
    free(line);
}

dm_verdict dm_reply_end(dm_reply *r, dm_verdict v, dm_fault fault, const char *what,
                        const char *message)
{
    r->fault = fault;
    say(r, what, message);
    return v;
}

static dm_verdict say_and(dm_verdict v, dm_reply *r, const char *what, const char *message)
{
    return dm_reply_end(r, v, DM_FAULT_NONE, what, message);
}

bool dm_is_of_the_way(long status)
{
    return status == 408 || status == 425 || (status >= 502 && status <= 504);
}

/* A 4xx that is not a matter of the way, the key or the address is one of this request, whatever
 * its words: by them it could be taken for a limit of speed that waiting helps against. */
static bool is_of_the_request(long status)
{
    return status >= 400 && status < 500 && status != 401 && status != 402 && status != 403 &&
           status != 404 && status != 408 && status != 425 && status != 429;
}

static dm_verdict refused(dm_reply *r, const dm_complaint *c, const char *what)
{
    dm_fault fault = c->means == DM_MEANS_TOO_LONG   ? DM_FAULT_OVERFLOW
                     : c->means == DM_MEANS_FILTERED ? DM_FAULT_FILTER
                                                     : DM_FAULT_REFUSED;
    return dm_reply_end(r, DM_FINAL, fault, what, c->message);
}

/* A live server that answers one request with an error may answer all others: it is a matter of
 * that request (src/README.md §5). */
dm_verdict dm_reply_error(const dm_provider *p, dm_reply *r, const dm_value *root)
{
    dm_complaint c = {"", "", r->status, DM_MEANS_STATUS};
    char what[64];
    p->complain(&c, root);
    snprintf(what, sizeof what, DM_HTTP_STATUS, r->status);
    if (is_of_the_request(c.status))
        return refused(r, &c, what);
    if (c.means == DM_MEANS_REFUSED || c.status == 402)
        return say_and(DM_EJECT, r, what, *c.message ? c.message : c.code);
    if (c.status == 429 || c.status == 529 || c.means == DM_MEANS_TOO_FAST)
        return say_and(DM_SLOW_DOWN, r, what, c.message);
    if (dm_is_of_the_way(r->status))
        return say_and(DM_RETRY, r, what, c.message);
    if (c.status >= 500 || c.status < 300 || dm_is_of_the_way(c.status))
        return say_and(DM_ODD, r, what, c.message);
    if (c.status == 403 || c.status == 404)
        return say_and(DM_DENIED, r, what, c.message);
    return say_and(DM_EJECT, r, what, c.message); /* 401, and what is no error's status */
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

dm_verdict dm_judge_reply(const dm_provider *p, dm_reply *r)
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
        v = p->read(p, r, root);
    else if (!fine)
        v = dm_reply_error(p, r, root);
    else
        v = say_and(DM_ODD, r, "an answer that is no JSON", err.text);
    dm_reply_check_counts(r);
    dm_arena_free(a);
    return v;
}
