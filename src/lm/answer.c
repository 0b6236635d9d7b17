/* What an HTTP answer means: the error table of src/README.md §5. */
#include "base/secret.h"
#include "base/utf8.h"
#include "data/packed.h"
#include "json/json.h"
#include "lm/authorities.h"
#include "lm/provider.h"
#include "lm/words.h"

#include <stdlib.h>
#include <string.h>

#define MOST_WORDS 239 /* bytes of a server's message */

const char *dm_reply_word(const dm_value *v)
{
    return dm_value_text_of(v).p;
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

/* The same of a body that is no JSON, which tells more of who wrote it than of what went wrong. */
static void say_odd(dm_reply *r)
{
    dm_buf b;
    dm_buf_init(&b, sizeof r->text - 1);
    dm_buf_printf(&b, DM_HTTP_STATUS ", ", r->status);
    dm_said_odd(&b, r->body, r->content_type);
    snprintf(r->text, sizeof r->text, "%s", b.data);
    dm_buf_free(&b);
}

bool dm_is_of_the_way(long status)
{
    return status == 408 || status == 425 || (status >= 502 && status <= 504);
}

dm_reply dm_reply_of(const dm_attempt *a, const dm_endpoint *e)
{
    return (dm_reply){.code = a->code,
                      .status = a->status,
                      .retry_after = dm_told_wait(&a->told),
                      .body = dm_buf_view(&a->reply),
                      .content_type = a->content_type,
                      .redirect = a->redirect,
                      .proxy = e->shown_proxy,
                      .tls = strncasecmp(e->base, "https:", 6) == 0,
                      .connect_status = a->connect_status,
                      .error = a->error,
                      .config = e->config};
}

/* A 4xx that is not a matter of the way, the key or the address is one of this request, whatever
 * its words: by them it could be taken for a limit of speed that waiting helps against. */
static bool is_of_the_request(long status)
{
    return status >= 400 && status < 500 && status != 401 && status != 402 && status != 403 &&
           status != 404 && status != 407 && status != 408 && status != 425 && status != 429;
}

static dm_verdict refused(dm_reply *r, const dm_complaint *c, const char *what)
{
    dm_fault fault = c->means == DM_MEANS_TOO_LONG   ? DM_FAULT_OVERFLOW
                     : c->means == DM_MEANS_FILTERED ? DM_FAULT_FILTER
                                                     : DM_FAULT_REFUSED;
    return dm_reply_end(r, DM_FINAL, fault, what, c->message);
}

/* Whether the words name the key: in quotes of any kind, or at their beginning. */
static bool names(const char *message, dm_str key)
{
    if (key.n == 0 || strlen(key.p) != key.n) /* no word can be it */
        return false;
    for (const char *p = message; (p = strcasestr(p, key.p)); p++) {
        char before = p > message ? p[-1] : '"', after = p[key.n];
        if (strchr("'\"`", before) && (!after || strchr("'\"`: ", after)))
            return true;
    }
    return false;
}

static bool take_param(dm_reply *r, const dm_value *sent, const dm_complaint *c)
{
    for (size_t i = 0; sent && i < sent->n; i++) {
        dm_str key = sent->members[i].key;
        if (*c->param ? !dm_str_is(key, c->param) : !names(c->message, key))
            continue;
        snprintf(r->param, sizeof r->param, "%.*s", DM_STR_ARG(key));
        return true;
    }
    return false;
}

/* A key of the request, or its value, that the model does not take: as its code says, or its words.
 * What is too long for the model is another story. */
static void find_unfit(dm_reply *r, const dm_complaint *c)
{
    static const char *const words[] = {"unsupported",
                                        "not supported",
                                        "not support",
                                        "unknown",
                                        "unrecognized",
                                        "extra inputs",
                                        "not permitted",
                                        "deprecated",
                                        "cannot find field",
                                        "only the default",
                                        "maximum allowed",
                                        "not allowed",
                                        "range:",
                                        "must be",
                                        "extra fields",
                                        "cannot both be",
                                        "unexpected",
                                        "invalid value",
                                        "at most",
                                        NULL};
    static const char *const of_the_prompt[] = {"context", "input tokens", "prompt", NULL};
    if (!r->config || dm_reply_says(c->message, of_the_prompt) ||
        !(dm_reply_says(c->message, words) || dm_reply_says(c->code, words)))
        return;
    if (!take_param(r, r->config->sampling, c))
        (void)take_param(r, r->config->extra_body, c);
}

/* As llama.cpp, Ollama, Hugging Face's and KServe's servers say it. */
static bool is_loading(long status, const char *message)
{
    static const char *const words[] = {"loading",     "not ready",    "warming up", "warmup",
                                        "starting up", "initializing", NULL};
    return status == 503 && dm_reply_says(message, words);
}

/* A live server that answers one request with an error may answer all others: it is a matter of
 * that request (src/README.md §5). */
static dm_verdict judge_error(dm_reply *r, const dm_complaint *said)
{
    dm_complaint c = *said;
    char what[64];
    snprintf(what, sizeof what, DM_HTTP_STATUS, r->status);
    r->loading = is_loading(c.status, c.message);
    if (r->retry_after == 0)
        r->retry_after = dm_told_in_words(c.message);
    if (c.status == 429 && c.means == DM_MEANS_NO_ROOM)
        return say_and(DM_NO_ROOM, r, what, c.message);
    if ((c.status == 400 || c.status == 422) && c.means == DM_MEANS_STATUS)
        find_unfit(r, &c);
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

dm_verdict dm_reply_error(const dm_provider *p, dm_reply *r, const dm_value *root)
{
    dm_complaint c = {"", "", "", r->status, DM_MEANS_STATUS};
    dm_buf words;
    dm_buf_init(&words, DM_MAX_ANSWER);
    if (root)
        dm_said_words(&words, root);
    else
        dm_buf_str(&words, r->body);
    if (words.data)
        c.message = words.data;
    p->complain(&c, dm_said_object(root));
    dm_verdict v = judge_error(r, &c);
    if (!root)
        say_odd(r);
    dm_buf_free(&words);
    return v;
}

/* ---- proxies ---- */

static bool has_proxy(const dm_reply *r)
{
    return r->proxy && *r->proxy;
}

#define LET_THROUGH                                                                                \
    "the proxy has to let the host through, or the host has to be in no_proxy, if the "            \
    "environment names the proxy"
#define WHO_WE_ARE                                                                                 \
    "give the proxy's address with a user and a password, as http://USER:PASSWORD@HOST:PORT"

/* What a proxy says in its own name: puts its name before it. Without TLS it answers in the
 * server's place, and is known by what no server of models says. */
static dm_verdict judge_proxys(dm_reply *r, dm_verdict v, const dm_value *root)
{
    bool page = !root && dm_is_page(r->body, r->content_type);
    bool denial = !root && (r->status == 403 || dm_is_of_the_way(r->status));
    char own[sizeof r->text];
    if (r->status == 407)
        r->advice =
            has_proxy(r) ? WHO_WE_ARE : "give the proxy between here and the server as lm.proxy";
    if (!has_proxy(r) || r->tls || !(page || denial || r->status == 407))
        return v;
    snprintf(own, sizeof own, "%s", r->text);
    char *asks = strstr(own, DM_SAID_BY_WHOM);
    if (asks) /* it is known */
        *asks = 0;
    snprintf(r->text, sizeof r->text, "the proxy %.120s says: %.260s", r->proxy, own);
    if (r->status == 407 || v == DM_GOOD || v == DM_FINAL || v == DM_DENIED) {
        r->advice = r->status == 407 ? WHO_WE_ARE : LET_THROUGH;
        return DM_EJECT;
    }
    return v;
}

/* It opened no way to a server in TLS. */
static dm_verdict judge_connect(dm_reply *r)
{
    long s = r->connect_status;
    bool refuses = s >= 400 && s < 500 && s != 408 && s != 425 && s != 429;
    snprintf(r->text, sizeof r->text, "the proxy %.200s says: " DM_HTTP_STATUS "%s", r->proxy, s,
             s == 407  ? ", it wants a user and a password"
             : refuses ? ", it does not allow connections to this host"
                       : ", it cannot reach this host");
    r->advice = s == 407 ? WHO_WE_ARE : LET_THROUGH;
    return refuses ? DM_EJECT : DM_RETRY;
}

/* ---- connections ---- */

/* A server that asks who we are says so by an alert, which curl knows as a handshake or a
 * connection that failed. */
static bool wants_certificate(const dm_reply *r)
{
    static const char *const words[] = {"certificate required",
                                        "bad certificate",
                                        "unknown ca",
                                        "certificate unknown",
                                        "unsupported certificate",
                                        "certificate expired",
                                        "alert handshake failure",
                                        NULL};
    bool tls = r->code == CURLE_SSL_CONNECT_ERROR || r->code == CURLE_RECV_ERROR ||
               r->code == CURLE_SEND_ERROR;
    return tls && r->error && strcasestr(r->error, "alert") && dm_reply_says(r->error, words);
}

#define ANSWERS_IN_PLAIN "it answers without TLS: is it an http:// address?"

/* TLS was begun, and an answer in HTTP came. */
static bool is_plain_http(const dm_reply *r)
{
    static const char *const words[] = {"wrong version number", "http request",
                                        "packet length was received", NULL};
    return r->code == CURLE_SSL_CONNECT_ERROR && r->error && dm_reply_says(r->error, words);
}

/* What is wrong with it besides that nobody vouches for it, where a further authority would not
 * help; in the words of OpenSSL, GnuTLS and others. NULL: nothing else. */
static const char *what_certificate_needs(const dm_reply *r)
{
    static const char *const over[] = {"expired", "expiration", NULL};
    static const char *const early[] = {"not yet valid", "activation", NULL};
    static const char *const other[] = {"subject name", "does not match", "mismatch", NULL};
    if (!r->error)
        return NULL;
    if (dm_reply_says(r->error, over))
        return "the server needs a new certificate, unless the clock of this host is wrong";
    if (dm_reply_says(r->error, early))
        return "is the clock of this host right?";
    if (dm_reply_says(r->error, other))
        return "api_base has to name the host as the server's certificate does";
    return NULL;
}

/* By whose certificates the server was to be known: what names them; NULL: nothing does. */
static const char *who_is_believed(const dm_reply *r)
{
    const char *by = r->config ? dm_authorities_of(r->config).named_by : NULL;
    return by && *by ? by : NULL;
}

static dm_verdict refuse_certificate(dm_reply *r)
{
    char what[300], more[300];
    const char *by = who_is_believed(r);
    r->advice = what_certificate_needs(r);
    bool either = has_proxy(r) && strncasecmp(r->proxy, "https:", 6) == 0;
    snprintf(what, sizeof what, "%s was not accepted%s%.150s",
             either ? "its certificate, or its proxy's," : "its certificate",
             has_proxy(r) ? ", by the proxy " : "", has_proxy(r) ? r->proxy : "");
    const char *said = r->error ? r->error : "";
    bool told = by && !r->advice;
    snprintf(more, sizeof more, "%.160s%s%s%s", said, told && *said ? ", " : "",
             told ? "with the authorities of " : "", told ? by : "");
    return say_and(DM_EJECT, r, what, more);
}

static dm_verdict judge_transfer(dm_reply *r)
{
    char what[300];
    bool tls = r->code == CURLE_SSL_CONNECT_ERROR || r->code == CURLE_SSL_CERTPROBLEM ||
               r->code == CURLE_SSL_CACERT_BADFILE;
    const char *more = is_plain_http(r)                            ? ANSWERS_IN_PLAIN
                       : r->error && (tls || wants_certificate(r)) ? r->error
                                                                   : "";
    if (has_proxy(r) && r->connect_status >= 400)
        return judge_connect(r);
    snprintf(what, sizeof what, "%s%s%.150s", curl_easy_strerror(r->code),
             has_proxy(r) ? ", by the proxy " : "", has_proxy(r) ? r->proxy : "");
    if (wants_certificate(r)) {
        r->advice = "the server wants a client certificate: name one that it knows with cert_file, "
                    "and its key with key_file";
        return say_and(DM_EJECT, r, what, more);
    }
    switch (r->code) {
    case CURLE_SSL_CERTPROBLEM:
        r->advice = "cert_file and key_file have to be a certificate in PEM and its key, without a "
                    "password";
        return say_and(DM_EJECT, r, what, more);
    case CURLE_SSL_CACERT_BADFILE:
        if (r->config && !who_is_believed(r))
            r->advice = dm_authorities_missing()
                            ? dm_authorities_missing()
                            : "install ca-certificates again, or name a file of certificates with "
                              "ca_file or SSL_CERT_FILE";
        return say_and(DM_EJECT, r, what, more);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
        return refuse_certificate(r);
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
        return say_and(DM_RETRY, r, what, more);
    }
}

/* It is not followed, which could carry a key elsewhere. */
static dm_verdict judge_redirect(dm_reply *r)
{
    dm_arena *a = dm_arena_new(1024);
    dm_verdict v = say_and(DM_EJECT, r, "a redirect, which is not followed",
                           r->redirect ? dm_shown_url(a, r->redirect) : "");
    dm_arena_free(a);
    return v;
}

dm_str dm_reply_plain(dm_arena *a, dm_str body)
{
    dm_buf b;
    dm_str plain = body;
    if (!dm_is_packed(body))
        return body;
    dm_buf_init(&b, DM_MAX_ANSWER);
    if (dm_unpack(&b, "reply", body, NULL) == DM_OK)
        plain = (dm_str){dm_arena_string(a, b.data ? b.data : "", b.len), b.len};
    dm_buf_free(&b);
    return plain;
}

dm_verdict dm_judge_reply(const dm_provider *p, dm_reply *r)
{
    if (r->code != CURLE_OK)
        return judge_transfer(r);
    if (r->status >= 300 && r->status < 400)
        return judge_redirect(r);
    bool fine = r->status >= 200 && r->status < 300;
    dm_arena *a = dm_arena_new(r->body.n + 4096);
    const dm_str came = r->body;
    r->body = dm_reply_plain(a, came);
    const dm_value *root = dm_json_read_bytes(a, r->body, NULL);
    dm_verdict v;
    if (root && fine)
        v = p->read(p, r, root);
    else if (!fine)
        v = dm_reply_error(p, r, root);
    else
        v = say_and(DM_ODD, r, "", ""), say_odd(r);
    if (!root && fine && dm_is_packed(r->body))
        v = say_and(DM_ODD, r, "a compressed answer that is damaged, or more than 16 MiB", "");
    dm_reply_check_counts(r);
    v = judge_proxys(r, v, root);
    r->body = came;
    dm_arena_free(a);
    return v;
}
