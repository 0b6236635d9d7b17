/* mock-lm: an OpenAI-compatible server for tests, with planted rules and faults on demand.
 * It ends with the process that started it (not with --orphan yes), on SIGTERM, and after
 * --max-seconds (600). Its options are in usage. */
#include "answers.h"
#include "base/mem.h"
#include "base/random.h"
#include "echo.h"
#include "limits.h"
#include "prefix.h"
#include "stats.h"
#include "strict.h"
#include "tools.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static struct {
    mock_rule rule;
    mock_faults faults;
    mock_stats stats;
    mock_prefixes prefixes;
    mock_limits limits;
    uint64_t seed;
    double latency, low, high, jitter; /* s; high > 0: random between low and high */
    bool by_arrival, orphan;           /* random latency by arrival, not by the request */
    bool mark;                         /* tokens are the request's mark */
    bool echo;                         /* what goes wrong says the key, see echo.h */
    const char *models, *key, *root, *cert, *cert_key, *clients, *port_file, *usage, *under;
    const char
        *too_long; /* "422:BODY": what is said of prompts over max_model_len; NULL: as vLLM */
    const char *strict, *tier, *with, *words; /* NULL: none */
    const char *format_fault;                 /* of requests with a response_format; NULL: none */
    long max_model_len, first_503, fail_after, stall_after, ill_after, cached, burst_every,
        burst_length, arrivals, first_429;
    double rpm, bucket, filled, seconds, start, loading, began;
    int port;
    FILE *record;
} m = {.models = "any",
       .seed = 1,
       .seconds = 600,
       .max_model_len = -1,
       .fail_after = -1,
       .stall_after = -1,
       .ill_after = -1,
       .faults = {.seed = 1, .retry_after = 1, .slow = 2}};

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

static void done(void *user, uint64_t mark, bool good, bool sent)
{
    (void)user;
    mock_stats_leave(&m.stats, mark, good, sent);
}

/* ---- chat ---- */

static double delay_of(uint64_t hash)
{
    double d = m.latency;
    uint64_t key = m.by_arrival ? (uint64_t)m.arrivals : hash;
    if (m.high > 0)
        d = m.low + (m.high - m.low) * dm_draw_double(m.seed, 77, key);
    return d + m.jitter * dm_draw_double(m.seed, 78, key);
}

/* So that a run under test cannot end before the test has done to it what it wants to do. */
static double until_there(const char *path)
{
    char file[256];
    const char *end = strstr(path, "/v1/");
    if (strncmp(path, "/until/", 7) != 0 || !end)
        return 0;
    snprintf(file, sizeof file, "%.*s", (int)(end - path - 6), path + 6);
    return access(file, F_OK) == 0 ? 0 : 0.5;
}

static bool known_model(const char *name)
{
    size_t n = strlen(name);
    if (strcmp(m.models, "any") == 0)
        return true;
    for (const char *p = m.models; n && (p = strstr(p, name)); p++)
        if ((p == m.models || p[-1] == ',') && (p[n] == ',' || p[n] == 0))
            return true;
    return false;
}

static int limit_rate(mock_conn *c)
{
    double now = mock_now(), most = fmax(1, m.rpm / 60);
    char wait[64];
    m.bucket = fmin(most, m.bucket + (now - m.filled) * m.rpm / 60);
    m.filled = now;
    if (m.bucket >= 1) {
        m.bucket -= 1;
        return 0;
    }
    snprintf(wait, sizeof wait, "Retry-After: %.0f\r\n", ceil((1 - m.bucket) * 60 / m.rpm));
    return mock_send_error(c, 429, wait, "requests", "\"rate_limit_exceeded\"",
                           "Rate limit reached", 0);
}

static int refuse_first(mock_conn *c)
{
    char headers[300] = "";
    if (m.with)
        snprintf(headers, sizeof headers, "%.290s\r\n", m.with);
    return m.words ? mock_send_words(c, 429, headers, m.words)
                   : mock_send_error(c, 429, headers, "requests", "\"rate_limit_exceeded\"",
                                     "Rate limit reached", 0);
}

/* As the real server of that kind, and within its limits; 0: nothing is refused. */
static int refuse_strictly(mock_conn *c, const mock_http *http, const mock_request *r,
                           size_t tokens)
{
    dm_buf b;
    dm_buf_init(&b, 65536);
    int status = m.strict ? mock_strict(m.strict, m.key, http, &b) : 0;
    if (status)
        mock_send_words(c, status, "", b.data);
    dm_buf_free(&b);
    if (status || m.limits.rpm <= 0)
        return status;
    double all = (double)tokens + (double)(r->max_tokens > 0 ? r->max_tokens : 0);
    if (!mock_limits_refuse(&m.limits, all, mock_now()))
        return 0;
    return mock_send_error(c, 429, m.limits.headers, "requests", "\"rate_limit_exceeded\"",
                           "Rate limit reached", 0);
}

/* What a server refuses before it asks the model; 0: nothing. */
static int refuse(mock_conn *c, const mock_http *http, const mock_request *r, size_t tokens)
{
    char text[300];
    dm_str given = mock_header(http->headers, "Authorization");
    int strict = refuse_strictly(c, http, r, tokens);
    if (strict)
        return strict;
    snprintf(text, sizeof text, "Bearer %.200s", m.key ? m.key : "");
    if (m.key && !m.strict && !(given.p && dm_str_is(given, text)))
        return mock_send_error(c, 401, "", "invalid_request_error", "\"invalid_api_key\"",
                               "Incorrect API key provided", 0);
    snprintf(text, sizeof text, "The model `%.200s` does not exist.", r->model);
    if (!known_model(r->model))
        return mock_send_error(c, 404, "", "NotFoundError", "404", text, 0);
    if (m.arrivals <= m.first_429)
        return refuse_first(c);
    if (m.arrivals <= m.first_503)
        return mock_send_error(c, 503, "", "server_error", "null", "overloaded", 0);
    if (m.burst_every && m.arrivals % m.burst_every < m.burst_length)
        return mock_send_error(c, 429, "", "requests", "\"rate_limit_exceeded\"",
                               "Rate limit reached", 0);
    int status = m.rpm > 0 ? limit_rate(c) : 0;
    if (status || m.max_model_len < 0 || tokens <= (size_t)m.max_model_len)
        return status;
    if (m.too_long)
        return mock_send_words(c, (int)strtol(m.too_long, NULL, 10), "",
                               strchr(m.too_long, ':') + 1);
    snprintf(text, sizeof text,
             "This model's maximum context length is %ld tokens. However, your request has %zu "
             "input tokens. Please reduce the length of the input messages.",
             m.max_model_len, tokens);
    return mock_send_error(c, 400, "", "BadRequestError", "400", text, 0);
}

static void put_header(dm_buf *b, const mock_http *http, const char *name)
{
    dm_str v = mock_header(http->headers, name);
    dm_buf_printf(b, ", \"%s\": ", name);
    if (v.p)
        mock_put_escaped(b, v);
    else
        dm_buf_text(b, "null");
}

/* A line of --record. Its body is the request's JSON, or a string where that was none. */
static void record(const mock_http *http, bool json, int status, const char *fault,
                   uint32_t attempt, dm_str content)
{
    dm_buf b;
    char hex[65];
    if (!m.record)
        return;
    dm_hash h = dm_hash_of(http->body.p, http->body.n);
    dm_hash_hex(&h, hex);
    dm_buf_init(&b, DM_MAX_MESSAGE);
    dm_buf_printf(&b, "{\"status\": %d, \"fault\": \"%s\", \"attempt\": %u, \"sha256\": \"%s\"",
                  status, fault ? fault : "", attempt, hex);
    dm_buf_text(&b, ", \"path\": ");
    mock_put_escaped(&b, dm_str_of(http->path));
    put_header(&b, http, "Host");
    put_header(&b, http, "Authorization");
    put_header(&b, http, "User-Agent");
    put_header(&b, http, "Content-Type");
    dm_buf_text(&b, ", \"content\": ");
    mock_put_escaped(&b, content);
    dm_buf_text(&b, ", \"body\": ");
    if (!json)
        mock_put_escaped(&b, http->body);
    for (size_t i = 0; json && i < http->body.n; i++) /* a line end in JSON is white space */
        dm_buf_char(&b, strchr("\r\n", http->body.p[i]) ? ' ' : http->body.p[i]);
    dm_buf_text(&b, "}\n");
    fwrite(b.data, 1, b.len, m.record);
    fflush(m.record);
    dm_buf_free(&b);
}

/* No more than max_tokens, at the end of a character. */
static dm_str cut(dm_str content, long max_tokens, const char **finish)
{
    if (max_tokens < 0 || content.n <= 4 * (size_t)max_tokens)
        return content;
    content.n = 4 * (size_t)max_tokens;
    while (content.n && ((unsigned char)content.p[content.n] & 0xC0) == 0x80)
        content.n--;
    *finish = "length";
    return content;
}

static void put_mark(const mock_request *r, mock_out *o)
{
    mock_told told = mock_stats_told(r->hash);
    o->prompt_tokens = (size_t)told.prompt;
    o->completion_tokens = (size_t)told.completion;
    o->cached_tokens = (size_t)told.cached;
}

static void read_prefix(const mock_request *r, mock_out *o)
{
    double now = mock_now();
    size_t possible;
    o->cached_tokens = mock_prefix_read(&m.prefixes, r, now, now + o->delay, &possible);
    m.stats.cached += (long)o->cached_tokens;
    m.stats.cachable += (long)possible;
}

static void answer(mock_conn *c, const mock_http *http, const mock_request *r, uint32_t attempt)
{
    mock_reply reply = {.finish = "stop"};
    const char *poison = mock_poison_of(&m.faults, r->user);
    const char *kind = poison ? poison : mock_faults_choose(&m.faults, r->hash, attempt);
    static const char format[] = "\"response_format\":";
    if (m.format_fault && memmem(http->body.p, http->body.n, format, sizeof format - 1))
        kind = m.format_fault;
    if (m.ill_after >= 0 && m.arrivals > m.ill_after) /* it is there, and says 500 to everybody */
        kind = "500";
    size_t tokens = http->body.n / 4;
    long completion = 0;
    dm_buf_init(&reply.content, (size_t)16 << 20);
    int status = refuse(c, http, r, tokens);
    if (!status) {
        int said = mock_answer(&m.rule, r, &reply);
        mock_out o = {.request = r,
                      .finish = reply.finish,
                      .prompt_tokens = tokens,
                      .cached_tokens = tokens * (size_t)m.cached / 100,
                      .usage = m.usage,
                      .anthropic = strstr(http->path, "/messages") != NULL,
                      .tier = m.tier,
                      .headers = m.limits.rpm > 0 ? m.limits.headers : NULL,
                      .delay = delay_of(r->hash) + until_there(http->path)};
        if (m.mark)
            put_mark(r, &o);
        if (m.prefixes.block > 0 && !kind && said == 200)
            read_prefix(r, &o);
        o.content = reply.content.len ? dm_buf_view(&reply.content) : DM_STR("");
        o.content = cut(o.content, r->max_tokens, &o.finish);
        completion = (long)(o.content.n + 3) / 4;
        mock_mark(c, r->hash, (!kind || strcmp(kind, "duplicate_answer") == 0) && said == 200);
        m.stats.faulted += kind != NULL;
        m.stats.poisoned += poison != NULL;
        if (kind)
            status = mock_send_fault(&m.faults, kind, c, &o);
        else if (said != 200)
            status = mock_send_error(c, said, "", "scripted", "null",
                                     reply.content.len ? reply.content.data : "scripted", o.delay);
        else
            status = mock_send_completion(c, &o);
    }
    m.stats.statuses[status]++;
    if (status < 400 || status == 408 || (status >= 500 && status != 503 && status != 529)) {
        m.stats.prompt += (long)tokens;
        m.stats.completion += completion;
    }
    record(http, true, status, kind, attempt,
           reply.content.len ? dm_buf_view(&reply.content) : DM_STR(""));
    dm_buf_free(&reply.content);
}

static void chat(mock_conn *c, const mock_http *http)
{
    mock_request r;
    bool good = mock_request_read(&r, http->body);
    uint32_t attempt = mock_stats_arrive(&m.stats, http, r.hash);
    r.before = attempt;
    mock_mark(c, r.hash, false);
    m.arrivals++;
    if (m.echo)
        mock_echo_make(mock_header(http->headers, "Authorization"), (size_t)m.arrivals);
    if (m.fail_after >= 0 && m.arrivals > m.fail_after) {
        stop = 1; /* every connection ends with the server */
        mock_silence(c);
    } else if (m.stall_after >= 0 && m.arrivals > m.stall_after) {
        mock_silence(c);
    } else if (!good) {
        m.stats.statuses[400]++;
        mock_send_error(c, 400, "", "BadRequestError", "400", "no chat request", 0);
        record(http, false, 400, NULL, attempt, DM_STR(""));
    } else {
        answer(c, http, &r, attempt);
    }
    mock_request_free(&r);
}

/* ---- the other endpoints ---- */

static void list_models(dm_buf *b)
{
    dm_buf_text(b, "{\"object\":\"list\",\"data\":[");
    for (const char *p = m.models; *p;) {
        size_t n = strcspn(p, ",");
        dm_str name = {p, n};
        dm_buf_text(b, p > m.models ? ",{\"id\":" : "{\"id\":");
        mock_put_escaped(b, name);
        dm_buf_text(b, ",\"object\":\"model\",\"owned_by\":\"mock\",\"root\":");
        mock_put_escaped(b, m.root ? dm_str_of(m.root) : m.echo ? mock_echo() : name);
        dm_buf_printf(b, ",\"max_model_len\":%ld}", m.max_model_len < 0 ? 32768 : m.max_model_len);
        p += n + (p[n] == ',');
    }
    dm_buf_text(b, "]}");
}

/* As servers answer that have nothing there. */
static bool is_elsewhere(mock_conn *c, const char *path)
{
    bool there = !m.under || strncmp(path, m.under, strlen(m.under)) == 0 ||
                 strcmp(path, "/stats") == 0 || strcmp(path, "/reset") == 0;
    dm_buf out;
    if (there)
        return false;
    dm_buf_init(&out, 1 << 20);
    dm_buf_text(&out, "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n"
                      "Content-Length: 18\r\n\r\n404 page not found");
    mock_send(c, &out, 0, 0, MOCK_KEEP);
    return true;
}

static bool is_loading(mock_conn *c, const char *path)
{
    bool loads = strstr(path, "/v1/") && mock_now() < m.began + m.loading;
    if (loads)
        mock_send_error(c, 503, "", "unavailable_error", "503", "Loading model", 0);
    return loads;
}

static void handle(void *user, mock_conn *c, const mock_http *r)
{
    dm_buf body, out;
    int status = 200;
    (void)user;
    bool post = strcmp(r->method, "POST") == 0;
    if (is_elsewhere(c, r->path) || is_loading(c, r->path))
        return;
    if (post && (strstr(r->path, "/chat/completions") || strstr(r->path, "/messages"))) {
        chat(c, r);
        return;
    }
    dm_buf_init(&body, 1 << 20);
    dm_buf_init(&out, 1 << 20);
    if (!post && strcmp(r->path, "/stats") == 0) {
        mock_stats_print(&m.stats, &body);
    } else if (post && strcmp(r->path, "/reset") == 0) {
        mock_stats_reset(&m.stats);
        mock_prefixes_free(&m.prefixes);
        m.arrivals = 0;
        m.bucket = fmax(1, m.rpm / 60);
        dm_buf_text(&body, "{}");
    } else if (post && strcmp(r->path, "/go") == 0) {
        m.stall_after = -1;
        dm_buf_text(&body, "{}");
    } else if (post && strcmp(r->path, "/whole") == 0) {
        mock_stats_whole(&m.stats);
        dm_buf_text(&body, "{}");
    } else if (post && strcmp(r->path, "/known") == 0) {
        mock_stats_known(&m.stats, r->body, &body);
    } else if (!post && strstr(r->path, "/models")) {
        if (m.echo)
            mock_echo_make(mock_header(r->headers, "Authorization"), (size_t)m.arrivals);
        list_models(&body);
    } else {
        status = 404;
        dm_buf_text(&body, "{\"detail\":\"Not Found\"}");
    }
    mock_status(&out, status, "", dm_buf_view(&body));
    mock_send(c, &out, 0, 0, MOCK_KEEP);
    dm_buf_free(&body);
}

/* ---- options ---- */

static int set_range(char *v, bool by_arrival)
{
    char *colon;
    m.low = strtod(v, &colon) / 1000;
    m.high = *colon == ':' ? strtod(colon + 1, NULL) / 1000 : 0;
    m.by_arrival = by_arrival;
    return m.high > 0 && m.high >= m.low ? 0 : 64;
}

static int option(const char *name, char *v)
{
    const struct {
        const char *name;
        const char **text;
        long *number;
        double *real, scale;
    } plain[] = {{"--port-file", .text = &m.port_file},
                 {"--tls", .text = &m.cert},
                 {"--tls-key", .text = &m.cert_key},
                 {"--tls-clients", .text = &m.clients},
                 {"--under", .text = &m.under},
                 {"--model", .text = &m.models},
                 {"--root", .text = &m.root},
                 {"--key", .text = &m.key},
                 {"--usage", .text = &m.usage},
                 {"--format-fault", .text = &m.format_fault},
                 {"--tier", .text = &m.tier},
                 {"--with", .text = &m.with},
                 {"--words", .text = &m.words},
                 {"--tell", .text = &m.limits.tell},
                 {"--first-429", .number = &m.first_429},
                 {"--max-model-len", .number = &m.max_model_len},
                 {"--first-503", .number = &m.first_503},
                 {"--fail-after", .number = &m.fail_after},
                 {"--stall-after", .number = &m.stall_after},
                 {"--ill-after", .number = &m.ill_after},
                 {"--cached", .number = &m.cached},
                 {"--max-seconds", .real = &m.seconds, .scale = 1},
                 {"--delay-start", .real = &m.start, .scale = 1},
                 {"--loading", .real = &m.loading, .scale = 1},
                 {"--latency", .real = &m.latency, .scale = 0.001},
                 {"--latency-jitter", .real = &m.jitter, .scale = 0.001},
                 {"--slow", .real = &m.faults.slow, .scale = 0.001},
                 {"--rpm", .real = &m.rpm, .scale = 1}};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        char *end = v + strlen(v);
        if (strcmp(name, plain[i].name) != 0)
            continue;
        if (plain[i].text)
            *plain[i].text = v;
        else if (plain[i].number)
            *plain[i].number = strtol(v, &end, 10);
        else
            *plain[i].real = plain[i].scale * strtod(v, &end);
        return *end || !*v ? 64 : 0;
    }
    if (strcmp(name, "--port") == 0)
        m.port = (int)strtol(v, NULL, 10);
    else if (strcmp(name, "--rule") == 0)
        return mock_rule_parse(&m.rule, v) ? 0 : 64;
    else if (strcmp(name, "--seed") == 0)
        m.seed = m.rule.seed = m.faults.seed = strtoull(v, NULL, 10);
    else if (strcmp(name, "--latency-random") == 0)
        return set_range(v, false);
    else if (strcmp(name, "--latency-arrival") == 0)
        return set_range(v, true);
    else if (strcmp(name, "--fault") == 0)
        return mock_faults_add(&m.faults, v) ? 0 : 64;
    else if (strcmp(name, "--poison") == 0)
        return mock_poison_add(&m.faults, v) ? 0 : 64;
    else if (strcmp(name, "--too-long") == 0)
        return strchr(m.too_long = v, ':') ? 0 : 64;
    else if (strcmp(name, "--retry-after") == 0)
        m.faults.retry_after = (int)strtol(v, NULL, 10);
    else if (strcmp(name, "--burst-429") == 0)
        return sscanf(v, "%ld:%ld", &m.burst_every, &m.burst_length) == 2 ? 0 : 64;
    else if (strcmp(name, "--prefix-cache") == 0)
        return sscanf(v, "%ld:%ld", &m.prefixes.block, &m.prefixes.least) == 2 ? 0 : 64;
    else if (strcmp(name, "--limits") == 0)
        return mock_limits_parse(&m.limits, v) ? 0 : 64;
    else if (strcmp(name, "--strict") == 0)
        return mock_strict_known(m.strict = v) ? 0 : 64;
    else if (strcmp(name, "--orphan") == 0)
        m.orphan = strcmp(v, "yes") == 0;
    else if (strcmp(name, "--echo") == 0)
        m.echo = strcmp(v, "yes") == 0;
    else if (strcmp(name, "--mark") == 0)
        m.mark = strcmp(v, "yes") == 0;
    else if (strcmp(name, "--record") == 0)
        return (m.record = fopen(v, "w")) ? 0 : 73;
    else
        return 64;
    return 0;
}

/* ---- running ---- */

static bool tell_port(int port)
{
    char part[4096];
    if (m.port_file) {
        snprintf(part, sizeof part, "%s.part", m.port_file);
        FILE *f = fopen(part, "w");
        if (!f)
            return false;
        bool good = fprintf(f, "%d\n", port) > 0;
        if (fclose(f) != 0 || !good || rename(part, m.port_file) != 0)
            return false;
    }
    printf("listening 127.0.0.1:%d\n", port);
    fflush(stdout);
    return true;
}

static void prepare(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (!m.orphan)
        prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    signal(SIGPIPE, SIG_IGN);
    m.filled = m.began = mock_now();
    m.bucket = fmax(1, m.rpm / 60);
}

static int serve(void)
{
    double from = mock_now(), now = from;
    const char *key = m.cert_key ? m.cert_key : m.cert;
    mock_tls *tls = m.cert ? mock_tls_new(m.cert, key, m.clients) : NULL;
    if (m.cert && !tls)
        return 69;
    prepare();
    mock_server *s = mock_server_new(m.port, tls, handle, done, NULL);
    if (!s) {
        perror("mock-lm");
        return 69;
    }
    /* The port is known before it is open where the start is delayed. */
    bool listening = m.start <= 0 && mock_server_listen(s);
    int code = tell_port(mock_server_port(s)) ? 0 : 73;
    while (!code && !stop && now < from + m.seconds) {
        if (!listening && now >= from + m.start)
            listening = mock_server_listen(s);
        mock_server_turn(s, listening ? 0.5 : fmin(0.5, fmax(0, from + m.start - now)));
        now = mock_now();
    }
    if (!code && !stop)
        fprintf(stderr, "mock-lm: --max-seconds %g are over\n", m.seconds);
    mock_server_free(s);
    mock_tls_free(tls);
    mock_stats_free(&m.stats);
    mock_prefixes_free(&m.prefixes);
    mock_rule_free(&m.rule);
    if (m.record)
        fclose(m.record);
    return code;
}

static const char usage[] =
    "mock-lm: an OpenAI-compatible server for tests, with planted rules and faults on demand\n"
    "\n"
    "  mock-lm [--port P] [--port-file F] [--max-seconds S] [--delay-start S] [--orphan yes]\n"
    "          [--tls CERT --tls-key KEY] [--tls-clients CERTS]\n"
    "          [--rule NAME[:params]] [--seed S] [--model A,B] [--root R] [--key K]\n"
    "          [--max-model-len N [--too-long STATUS:BODY]] [--under PATH] [--loading S]\n"
    "          [--latency MS | --latency-random LOW:HIGH | --latency-arrival LOW:HIGH]\n"
    "          [--latency-jitter MS] [--slow MS]\n"
    "          [--fault KIND=RATE,...] [--poison TEXT:KIND]... [--format-fault KIND]\n"
    "          [--retry-after S] [--rpm N] [--burst-429 EVERY:LENGTH] [--first-503 N]\n"
    "          [--first-429 N [--with 'HEADER: VALUE'] [--words BODY]]\n"
    "          [--fail-after N] [--stall-after N] [--ill-after N]\n"
    "          [--limits RPM:TPM:KEPT [--tell openai|anthropic]] [--tier NAME]\n"
    "          [--cached PERCENT] [--prefix-cache BLOCK:LEAST] [--usage JSON]\n"
    "          [--strict anthropic|azure|gemini|reasons]\n"
    "          [--record FILE] [--mark yes] [--echo yes]\n"
    "\n"
    "POST /v1/chat/completions, GET /v1/models, GET /stats, POST /reset, POST /go (no more of\n"
    "--stall-after), POST /whole and /known (stats.h). Behind a base of /until/FILE/v1 each "
    "answer\n"
    "takes half a second more as long as FILE is not there. Answers are a pure function of the\n"
    "request; whether one is spoilt is one of seed, request and attempt. --under: all other paths\n"
    "are 404 in plain text. --loading: 503 for S seconds. --prefix-cache in tokens: 128:1024 is\n"
    "OpenAI's, 16:16 is vLLM's. --strict refuses what the real one refuses.\n";

int main(int argc, char **argv)
{
    int tool = mock_tool(argc, argv);
    if (tool >= 0)
        return tool;
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(usage, stdout);
        return 0;
    }
    mock_rule_init(&m.rule);
    for (int i = 1; i < argc; i += 2) {
        int code = i + 1 < argc ? option(argv[i], argv[i + 1]) : 64;
        if (code) {
            fprintf(stderr, "mock-lm: %s: %s; see mock-lm --help\n", argv[i],
                    i + 1 < argc ? "unknown, or its value is wrong"
                                 : "needs a value, or is unknown");
            return code;
        }
    }
    return serve();
}
