#include "answers.h"
#include "base/random.h"
#include "echo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOCK_CEILING ((size_t)64 << 20)
#define HUGE_BODY    ((size_t)100 << 20)

void mock_put_escaped(dm_buf *b, dm_str s)
{
    dm_buf_char(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\') {
            dm_buf_char(b, '\\');
            dm_buf_char(b, (char)c);
        } else if (c < 0x20) {
            dm_buf_printf(b, "\\u%04x", c);
        } else {
            dm_buf_char(b, (char)c);
        }
    }
    dm_buf_char(b, '"');
}

#define THOUGHT 480 /* tokens of 500, of a model that thinks */

/* Half of a prompt with marks is read from the cache, a quarter is put there. */
static void message(dm_buf *b, const mock_out *o, dm_str content, const char *finish)
{
    size_t tokens = o->completion_tokens ? o->completion_tokens : (content.n + 3) / 4;
    size_t cached = o->prompt_tokens / 2, written = o->prompt_tokens / 4;
    dm_buf_text(b, "{\"id\":\"msg_mock\",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
    mock_put_escaped(b, dm_str_of(o->request->model));
    dm_buf_text(b, ",\"content\":[");
    if (content.p && content.n) {
        dm_buf_text(b, "{\"type\":\"text\",\"text\":");
        mock_put_escaped(b, content);
        dm_buf_char(b, '}');
    }
    dm_buf_printf(b, "],\"stop_reason\":\"%s\",\"stop_sequence\":null,\"usage\":",
                  strcmp(finish, "length") == 0           ? "max_tokens"
                  : strcmp(finish, "content_filter") == 0 ? "refusal"
                                                          : "end_turn");
    if (o->usage)
        dm_buf_printf(b, "%s}", o->usage);
    else
        dm_buf_printf(b,
                      "{\"input_tokens\":%zu,\"output_tokens\":%zu,"
                      "\"cache_creation_input_tokens\":%zu,\"cache_read_input_tokens\":%zu}}",
                      o->prompt_tokens - cached - written, tokens, written, cached);
}

static void completion(dm_buf *b, const mock_out *o, dm_str content, const char *finish,
                       bool thinks)
{
    if (o->anthropic) {
        message(b, o, content, finish);
        return;
    }
    size_t prompt = o->prompt_tokens, tokens = o->completion_tokens ? o->completion_tokens
                                               : thinks             ? 500
                                                                    : (content.n + 3) / 4;
    dm_buf_text(b, "{\"id\":\"mock\",\"object\":\"chat.completion\",\"model\":");
    mock_put_escaped(b, dm_str_of(o->request->model));
    dm_buf_text(b, ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
    if (content.p)
        mock_put_escaped(b, content);
    else
        dm_buf_text(b, "null");
    dm_buf_printf(b, "},\"finish_reason\":\"%s\"}]", finish);
    if (o->tier)
        dm_buf_printf(b, ",\"service_tier\":\"%s\"", o->tier);
    dm_buf_text(b, ",\"usage\":");
    if (o->usage) {
        dm_buf_printf(b, "%s}", o->usage);
        return;
    }
    dm_buf_printf(b, "{\"prompt_tokens\":%zu,\"completion_tokens\":%zu,\"total_tokens\":%zu",
                  prompt, tokens, prompt + tokens);
    if (o->cached_tokens)
        dm_buf_printf(b, ",\"prompt_tokens_details\":{\"cached_tokens\":%zu}", o->cached_tokens);
    if (thinks)
        dm_buf_printf(b, ",\"completion_tokens_details\":{\"reasoning_tokens\":%d}", THOUGHT);
    dm_buf_text(b, "}}");
}

static int send_body(mock_conn *c, int status, const char *headers, dm_str body, double delay)
{
    dm_buf out;
    dm_buf_init(&out, MOCK_CEILING);
    mock_status(&out, status, headers, body);
    mock_send(c, &out, 0, delay, MOCK_KEEP);
    return status;
}

int mock_send_error(mock_conn *c, int status, const char *headers, const char *type,
                    const char *code, const char *message, double delay)
{
    dm_buf words, body;
    dm_buf_init(&words, MOCK_CEILING);
    dm_buf_init(&body, MOCK_CEILING);
    dm_buf_text(&words, message);
    dm_buf_str(&words, mock_echo());
    dm_buf_text(&body, "{\"error\":{\"message\":");
    mock_put_escaped(&body, dm_buf_view(&words));
    dm_buf_printf(&body, ",\"type\":\"%s\",\"param\":null,\"code\":%s}}", type, code);
    send_body(c, status, headers, dm_buf_view(&body), delay);
    dm_buf_free(&words);
    dm_buf_free(&body);
    return status;
}

int mock_send_words(mock_conn *c, int status, const char *headers, const char *body)
{
    return send_body(c, status, headers, dm_str_of(body), 0);
}

int mock_send_completion(mock_conn *c, const mock_out *o)
{
    dm_buf b;
    dm_buf_init(&b, MOCK_CEILING);
    completion(&b, o, o->content, o->finish, false);
    int status = send_body(c, 200, o->headers ? o->headers : "", dm_buf_view(&b), o->delay);
    dm_buf_free(&b);
    return status;
}

/* ---- faults ---- */

static const struct error {
    const char *kind;
    int status;
    const char *type, *code, *message;
} errors[] = {
    {"429", 429, "requests", "\"rate_limit_exceeded\"", "Rate limit reached"},
    {"429_date", 429, "requests", "\"rate_limit_exceeded\"", "Rate limit reached"},
    {"429_plain", 429, "requests", "\"rate_limit_exceeded\"", "Rate limit reached"},
    {"quota", 429, "insufficient_quota", "\"insufficient_quota\"",
     "You exceeded your current quota, please check your plan and billing details."},
    {"500", 500, "server_error", "null", "internal error"},
    {"502", 502, "server_error", "null", "bad gateway"},
    {"503", 503, "server_error", "null", "overloaded"},
    {"504", 504, "server_error", "null", "gateway timeout"},
    {"529", 529, "overloaded_error", "null", "Overloaded"},
    {"408", 408, "timeout", "null", "timeout"},
    {"425", 425, "too_early", "null", "too early"},
    {"400", 400, "invalid_request_error", "\"bad_request\"", "this request is refused"},
    {"400_temperature", 400, "invalid_request_error", "\"unsupported_value\"",
     "Unsupported value: 'temperature' does not support 0 with this model."},
    {"400_format", 400, "invalid_request_error", "null", "response_format is not supported"},
    {"422", 422, "invalid_request_error", "null", "this request cannot be processed"},
    {"401", 401, "invalid_request_error", "\"invalid_api_key\"", "Incorrect API key provided"},
    {"403", 403, "permission_error", "\"forbidden\"", "forbidden"},
    {"404", 404, "NotFoundError", "404", "The model does not exist."},
    {"400_context", 400, "invalid_request_error", "\"context_length_exceeded\"",
     "This model's maximum context length is 10 tokens."},
    {"400_context_vllm", 400, "BadRequestError", "400",
     "This model's maximum context length is 10 tokens. However, you requested 20 tokens in the "
     "messages, Please reduce the length of the messages."},
    {"content_filter", 400, "invalid_request_error", "\"content_filter\"",
     "The response was filtered"},
    {"redirect", 302, "moved", "null", "moved"},
};

/* Answers of status 200 whose HTTP is right and whose completion is another one. */
static const char *const wrong_completions[] = {"null_content", "empty_content", "filter_reason",
                                                "length",       "no_parse",      "garbage",
                                                "thinks"};
/* And those whose body, length or connection is not. */
static const char *const wrong_bodies[] = {"truncated_json",
                                           "wrong_json",
                                           "empty_choices",
                                           "error_in_200",
                                           "invalid_utf8",
                                           "wrong_length",
                                           "short_length",
                                           "reset_after_headers",
                                           "duplicate_answer",
                                           "stall_body",
                                           "reset_before_headers",
                                           "slow_first_byte",
                                           "close_before_headers",
                                           "huge_body",
                                           "reset_after_answer",
                                           "close_after_answer",
                                           "half_headers",
                                           "close_kept",
                                           "reset_kept",
                                           "500_close",
                                           "502_in_200",
                                           "null_error_in_200",
                                           "half_character",
                                           "overlong",
                                           "event_stream",
                                           "no_content",
                                           "refusal",
                                           "no_text_parts",
                                           "html_500",
                                           "empty_body",
                                           "nul",
                                           "lone_surrogate"};

static const char *in_list(const char *const *list, size_t n, dm_str kind)
{
    for (size_t i = 0; i < n; i++)
        if (dm_str_is(kind, list[i]))
            return list[i];
    return NULL;
}

#define N_OF(a) (sizeof(a) / sizeof *(a))

static const struct error *find_error(dm_str kind)
{
    for (size_t i = 0; i < N_OF(errors); i++)
        if (dm_str_is(kind, errors[i].kind))
            return &errors[i];
    return NULL;
}

static const char *find_kind(dm_str kind)
{
    const struct error *e = find_error(kind);
    const char *name = e ? e->kind : in_list(wrong_bodies, N_OF(wrong_bodies), kind);
    return name ? name : in_list(wrong_completions, N_OF(wrong_completions), kind);
}

void mock_faults_list(void)
{
    for (size_t i = 0; i < N_OF(errors); i++)
        puts(errors[i].kind);
    for (size_t i = 0; i < N_OF(wrong_bodies); i++)
        puts(wrong_bodies[i]);
    for (size_t i = 0; i < N_OF(wrong_completions); i++)
        puts(wrong_completions[i]);
}

bool mock_poison_add(mock_faults *f, const char *text)
{
    const char *colon = strrchr(text, ':');
    const char *kind = colon ? find_kind(dm_str_of(colon + 1)) : NULL;
    if (!kind || f->n_poisons == MOCK_FAULTS) {
        fprintf(stderr, "mock-lm: --poison %s: not TEXT:KIND\n", text);
        return false;
    }
    f->poisons[f->n_poisons].match = (dm_str){text, (size_t)(colon - text)};
    f->poisons[f->n_poisons++].kind = kind;
    return true;
}

const char *mock_poison_of(const mock_faults *f, const char *user)
{
    for (size_t i = 0; i < f->n_poisons; i++)
        if (memmem(user, strlen(user), f->poisons[i].match.p, f->poisons[i].match.n))
            return f->poisons[i].kind;
    return NULL;
}

bool mock_faults_add(mock_faults *f, const char *text)
{
    double sum = 0;
    while (*text) {
        size_t n = strcspn(text, ","), name = strcspn(text, "=,");
        const char *kind = find_kind((dm_str){text, name});
        if (!kind || f->n == MOCK_FAULTS) {
            fprintf(stderr, "mock-lm: --fault %.*s: no such kind\n", (int)n, text);
            return false;
        }
        f->list[f->n].kind = kind;
        f->list[f->n++].rate = name < n ? strtod(text + name + 1, NULL) : 1;
        text += n + (text[n] == ',');
    }
    for (size_t i = 0; i < f->n; i++)
        sum += f->list[i].rate;
    if (sum > 1 + 1e-9)
        fputs("mock-lm: --fault: the rates pass 1\n", stderr);
    return sum <= 1 + 1e-9;
}

const char *mock_faults_choose(const mock_faults *f, uint64_t hash, uint32_t attempt)
{
    double u = dm_draw_double(f->seed, hash, attempt), sum = 0;
    double first = dm_draw_double(f->seed, hash, 0);
    for (size_t i = 0; i < f->n; i++) {
        bool pair = strcmp(f->list[i].kind, "500_close") == 0;
        double from = sum;
        sum += f->list[i].rate;
        if (pair && first >= from && first < sum && attempt < 2)
            return attempt ? "close_kept" : "500"; /* and then no more of it */
        if (!pair && u >= from && u < sum)
            return f->list[i].kind;
    }
    return NULL;
}

static int send_raw(mock_conn *c, size_t length, dm_str body, size_t fill, double delay,
                    mock_end end)
{
    dm_buf out;
    dm_buf_init(&out, MOCK_CEILING);
    dm_buf_printf(&out,
                  "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
                  "%zu\r\n\r\n",
                  length);
    dm_buf_str(&out, body);
    mock_send(c, &out, fill, delay, end);
    return 200;
}

static int send_nothing(mock_conn *c, double delay, mock_end end)
{
    dm_buf out;
    dm_buf_init(&out, 0);
    mock_send(c, &out, 0, delay, end);
    return 0;
}

static int send_half_headers(mock_conn *c, double delay)
{
    dm_buf out;
    dm_buf_init(&out, 1024);
    dm_buf_text(&out, "HTTP/1.1 200 OK\r\nContent-Le");
    mock_send(c, &out, 0, delay, MOCK_CLOSE);
    return 0;
}

static int send_twice(mock_conn *c, dm_str body, double delay)
{
    dm_buf out;
    dm_buf_init(&out, MOCK_CEILING);
    mock_status(&out, 200, "", body);
    mock_status(&out, 200, "", body);
    mock_send(c, &out, 0, delay, MOCK_KEEP);
    return 200;
}

/* The good answer with other bytes in its content's first place. */
static int send_spoilt(mock_conn *c, dm_str body, dm_str bytes, double delay)
{
    dm_buf b;
    const char *content = memmem(body.p, body.n, "\"content\":\"", 11);
    size_t at = content ? (size_t)(content - body.p) + 11 : body.n / 2;
    dm_buf_init(&b, MOCK_CEILING);
    dm_buf_str(&b, (dm_str){body.p, at});
    dm_buf_str(&b, bytes);
    dm_buf_str(&b, (dm_str){body.p + at, body.n - at});
    int status = send_body(c, 200, "", dm_buf_view(&b), delay);
    dm_buf_free(&b);
    return status;
}

#define TEXT(s)                                                                                    \
    {                                                                                              \
        (s), sizeof(s) - 1                                                                         \
    }
#define MESSAGE(fields)                                                                            \
    TEXT(                                                                                          \
        "{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\"" fields                    \
        "},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":9}}")

/* Whole bodies that are always the same. */
static const struct fixed {
    const char *kind;
    int status;
    dm_str body;
} fixed[] = {
    {"wrong_json", 200, TEXT("<html><body>bad gateway</body></html>")},
    {"empty_choices", 200, TEXT("{\"choices\":[]}")},
    {"error_in_200", 200, TEXT("{\"error\":{\"message\":\"backend died\",\"code\":500}}")},
    {"502_in_200", 200, TEXT("{\"error\":{\"message\":\"flagged\",\"code\":502}}")},
    {"null_error_in_200", 200, TEXT("{\"error\":{\"message\":null,\"code\":null}}")},
    {"event_stream", 200, TEXT("data: {\"choices\":[]}\n\ndata: [DONE]\n\n")},
    {"html_500", 500, TEXT("<html><h1>Internal Server Error</h1></html>")},
    {"empty_body", 200, TEXT("")},
    {"no_content", 200, MESSAGE("")},
    {"refusal", 200, MESSAGE(",\"content\":null,\"refusal\":\"I will not\"")},
    {"no_text_parts", 200, MESSAGE(",\"content\":[{\"type\":\"image_url\"}]")},
    {"nul", 200, MESSAGE(",\"content\":\"[[ ## answer ## ]]\\na\\u0000b\"")},
    {"lone_surrogate", 200, MESSAGE(",\"content\":\"[[ ## answer ## ]]\\na\\ud83db\"")},
};

static int send_no_utf8(mock_conn *c, dm_str body, double delay)
{
    dm_buf b;
    const char *content = memmem(body.p, body.n, "\"content\":\"", 11);
    dm_buf_init(&b, MOCK_CEILING);
    dm_buf_str(&b, body);
    b.data[content ? (size_t)(content - body.p) + 11 : body.n / 2] = (char)0xFF;
    int status = send_body(c, 200, "", dm_buf_view(&b), delay);
    dm_buf_free(&b);
    return status;
}

static int send_around(mock_conn *c, const char *before, dm_str words, const char *behind,
                       double delay)
{
    dm_buf b;
    dm_buf_init(&b, MOCK_CEILING);
    dm_buf_text(&b, before);
    dm_buf_str(&b, words);
    dm_buf_text(&b, behind);
    int status = send_body(c, 200, "", dm_buf_view(&b), delay);
    dm_buf_free(&b);
    return status;
}

static int send_dead_backend(mock_conn *c, double delay)
{
    dm_buf words, escaped;
    dm_buf_init(&words, MOCK_CEILING);
    dm_buf_init(&escaped, MOCK_CEILING);
    dm_buf_text(&words, "backend died");
    dm_buf_str(&words, mock_echo());
    mock_put_escaped(&escaped, dm_buf_view(&words));
    int status =
        send_around(c, "{\"error\":{\"message\":", dm_buf_view(&escaped), ",\"code\":500}}", delay);
    dm_buf_free(&words);
    dm_buf_free(&escaped);
    return status;
}

static int send_wrong_body(mock_conn *c, const char *kind, dm_str good, double delay, double slow)
{
#define IS(name) (strcmp(kind, name) == 0)
    dm_str third = {good.p, good.n / 3};
    if (IS("wrong_json") && mock_echo().n)
        return send_around(c, "<html><body>bad gateway ", mock_echo(), "</body></html>", delay);
    if (IS("error_in_200") && mock_echo().n)
        return send_dead_backend(c, delay);
    for (size_t i = 0; i < N_OF(fixed); i++)
        if (IS(fixed[i].kind))
            return send_body(c, fixed[i].status, "", fixed[i].body, delay);
    if (IS("half_character"))
        return send_spoilt(c, good, DM_STR("\xE2\x9C"), delay);
    if (IS("overlong"))
        return send_spoilt(c, good, DM_STR("\xC0\xAF"), delay);
    if (IS("truncated_json"))
        return send_body(c, 200, "", (dm_str){good.p, good.n / 2}, delay);
    if (IS("invalid_utf8"))
        return send_no_utf8(c, good, delay);
    if (IS("wrong_length"))
        return send_raw(c, good.n + 100, good, 0, delay, MOCK_CLOSE);
    if (IS("short_length"))
        return send_raw(c, good.n - good.n / 4, good, 0, delay, MOCK_KEEP);
    if (IS("reset_after_headers"))
        return send_raw(c, good.n, third, 0, delay, MOCK_RESET);
    if (IS("stall_body"))
        return send_raw(c, good.n, third, 0, delay, MOCK_STALL);
    if (IS("duplicate_answer"))
        return send_twice(c, good, delay);
    if (IS("huge_body"))
        return send_raw(c, HUGE_BODY, (dm_str){good.p, 0}, HUGE_BODY, delay, MOCK_CLOSE);
    if (IS("reset_after_answer") || IS("close_after_answer"))
        return send_raw(c, good.n, good, 0, delay,
                        IS("close_after_answer") ? MOCK_CLOSE : MOCK_RESET);
    if (IS("half_headers"))
        return send_half_headers(c, delay);
    if (IS("close_kept") || IS("reset_kept")) { /* where nothing was kept it is a good answer */
        if (mock_is_kept(c))
            return send_nothing(c, delay, IS("close_kept") ? MOCK_CLOSE : MOCK_RESET);
        return send_body(c, 200, "", good, delay);
    }
    if (IS("reset_before_headers"))
        return send_nothing(c, delay, MOCK_RESET);
    if (IS("close_before_headers"))
        return send_nothing(c, delay, MOCK_CLOSE);
    return send_body(c, 200, "", good, delay + slow); /* slow_first_byte */
#undef IS
}

static void put_date(char *headers, size_t room, int after)
{
    time_t when = time(NULL) + after;
    struct tm t;
    gmtime_r(&when, &t);
    strftime(headers, room, "Retry-After: %a, %d %b %Y %H:%M:%S GMT\r\n", &t);
}

int mock_send_fault(const mock_faults *f, const char *kind, mock_conn *c, const mock_out *o)
{
    const struct error *e = find_error(dm_str_of(kind));
    char headers[64] = "";
    if (strcmp(kind, "429") == 0)
        snprintf(headers, sizeof headers, "Retry-After: %d\r\n", f->retry_after);
    else if (strcmp(kind, "429_date") == 0)
        put_date(headers, sizeof headers, f->retry_after);
    else if (strcmp(kind, "redirect") == 0)
        snprintf(headers, sizeof headers, "Location: http://127.0.0.2:9/v1\r\n");
    if (e && (o->request->format || strcmp(kind, "400_format") != 0))
        return mock_send_error(c, e->status, headers, e->type, e->code, e->message, o->delay);

    dm_str content = o->content;
    const char *finish = o->finish;
    bool thinks = strcmp(kind, "thinks") == 0;
    if (thinks)
        finish = "length";
    if (thinks || strcmp(kind, "null_content") == 0)
        content = (dm_str){NULL, 0};
    else if (strcmp(kind, "empty_content") == 0)
        content.n = 0;
    else if (strcmp(kind, "filter_reason") == 0)
        finish = "content_filter";
    else if (strcmp(kind, "length") == 0) {
        content.n /= 4;
        finish = "length";
    } else if (strcmp(kind, "no_parse") == 0 || (strcmp(kind, "garbage") == 0 && !o->request->json))
        content = mock_echo().n ? mock_echo() : DM_STR("I would rather not say.");
    dm_buf b;
    dm_buf_init(&b, MOCK_CEILING);
    completion(&b, o, content, finish, thinks);
    dm_str body = dm_buf_view(&b);
    int status = in_list(wrong_bodies, N_OF(wrong_bodies), dm_str_of(kind))
                     ? send_wrong_body(c, kind, body, o->delay, f->slow)
                     : send_body(c, 200, "", body, o->delay);
    dm_buf_free(&b);
    return status;
}
