/* mock-lm: an OpenAI-compatible server for tests, with planted rules and faults on demand. */
#include "base/mem.h"
#include "base/random.h"
#include "rules.h"
#include "server.h"

#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef struct fault {
    char kind[32];
    double rate;
} fault;

typedef struct seen { /* a request body, by hash */
    uint64_t hash;
    uint32_t attempts, answered;
} seen;

static struct {
    mock_rule rule;
    double latency, low, high; /* s; high > 0: random between low and high by the request's hash */
    bool by_arrival;           /* random latency by arrival instead */
    fault faults[32];
    size_t n_faults;
    int retry_after;
    const char *model, *key, *root;
    long max_model_len, fail_after, stall_after;
    double rpm, bucket, filled;
    FILE *record;
    uint64_t seed;

    seen *seen; /* [cap] open addressing */
    size_t n_seen, cap_seen;
    long requests, ok, statuses[600], repeats, authorized, faulted, in_flight, peak;
    double first, last, busy, busy_at; /* busy: integral of in_flight over time */
    char hosts[8][64], authorization[128];
    size_t n_hosts;
} m = {.model = "any",
       .seed = 1,
       .retry_after = 1,
       .max_model_len = 32768,
       .fail_after = -1,
       .stall_after = -1};

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

/* ---- what was seen ---- */

static seen *find_seen(uint64_t hash)
{
    if (2 * (m.n_seen + 1) > m.cap_seen) {
        size_t cap = m.cap_seen ? 2 * m.cap_seen : 1024;
        seen *bigger = dm_alloc_n(cap, sizeof *bigger);
        for (size_t i = 0; i < m.cap_seen; i++)
            if (m.seen[i].attempts) {
                size_t k = m.seen[i].hash & (cap - 1);
                while (bigger[k].attempts)
                    k = (k + 1) & (cap - 1);
                bigger[k] = m.seen[i];
            }
        free(m.seen);
        m.seen = bigger;
        m.cap_seen = cap;
    }
    size_t k = hash & (m.cap_seen - 1);
    while (m.seen[k].attempts && m.seen[k].hash != hash)
        k = (k + 1) & (m.cap_seen - 1);
    if (!m.seen[k].attempts) {
        m.seen[k].hash = hash;
        m.n_seen++;
    }
    return &m.seen[k];
}

static void count_flight(double now, int change)
{
    m.busy += (double)m.in_flight * (now - m.busy_at);
    m.busy_at = now;
    m.in_flight += change;
    m.peak = m.in_flight > m.peak ? m.in_flight : m.peak;
}

static void note_headers(const mock_http *r)
{
    char line[256];
    for (const char *p = r->headers.p, *end = p + r->headers.n; p < end;) {
        const char *eol = memmem(p, (size_t)(end - p), "\r\n", 2);
        if (!eol)
            return;
        snprintf(line, sizeof line, "%.*s", (int)(eol - p < 250 ? eol - p : 250), p);
        if (strncasecmp(line, "authorization: ", 15) == 0) {
            m.authorized++;
            snprintf(m.authorization, sizeof m.authorization, "%.120s", line + 15);
        } else if (strncasecmp(line, "host: ", 6) == 0) {
            size_t i = 0;
            while (i < m.n_hosts && strcmp(m.hosts[i], line + 6) != 0)
                i++;
            if (i == m.n_hosts && i < 8)
                snprintf(m.hosts[m.n_hosts++], sizeof *m.hosts, "%.60s", line + 6);
        }
        p = eol + 2;
    }
}

/* ---- answers ---- */

static void put_escaped(dm_buf *b, dm_str s)
{
    dm_buf_char(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\')
            dm_buf_printf(b, "\\%c", c);
        else if (c < 0x20)
            dm_buf_printf(b, "\\u%04x", c);
        else
            dm_buf_char(b, (char)c);
    }
    dm_buf_char(b, '"');
}

static void completion(dm_buf *out, const mock_request *r, size_t prompt, dm_str content,
                       const char *finish)
{
    dm_buf_printf(out,
                  "{\"id\":\"mock\",\"object\":\"chat.completion\",\"model\":\"%s\",\"choices\":[{"
                  "\"index\":0,"
                  "\"message\":{\"role\":\"assistant\",\"content\":",
                  r->model);
    if (content.p)
        put_escaped(out, content);
    else
        dm_buf_text(out, "null");
    dm_buf_printf(
        out,
        "},\"finish_reason\":\"%s\"}],\"usage\":{\"prompt_tokens\":%zu,\"completion_tokens\":%zu,"
        "\"total_tokens\":%zu}}",
        finish, prompt / 4, content.n / 4, prompt / 4 + content.n / 4);
}

static void send_body(mock_conn *c, int status, const char *headers, dm_str body, double delay)
{
    dm_buf out;
    dm_buf_init(&out, (size_t)256 << 20);
    mock_status(&out, status, headers, body);
    m.statuses[status]++;
    m.ok += status == 200;
    mock_send(c, &out, delay, false);
}

static void send_error(mock_conn *c, int status, const char *headers, const char *code,
                       const char *message, double delay)
{
    char body[512];
    snprintf(body, sizeof body, "{\"error\":{\"message\":\"%s\",\"type\":\"%s\",\"code\":\"%s\"}}",
             message, code, code);
    send_body(c, status, headers, dm_str_of(body), delay);
}

/* ---- faults ---- */

static const char *choose_fault(uint64_t hash, uint32_t attempt)
{
    double u = dm_draw_double(m.seed, hash, attempt), sum = 0;
    for (size_t i = 0; i < m.n_faults; i++) {
        sum += m.faults[i].rate;
        if (u < sum)
            return m.faults[i].kind;
    }
    return NULL;
}

static void send_raw(mock_conn *c, const char *head, dm_str body, double delay, bool close_after)
{
    dm_buf out;
    dm_buf_init(&out, (size_t)256 << 20);
    dm_buf_text(&out, head);
    dm_buf_str(&out, body);
    m.statuses[200]++;
    mock_send(c, &out, delay, close_after);
}

static bool error_fault(mock_conn *c, const char *kind, double delay)
{
    static const struct {
        const char *kind;
        int status;
        const char *code, *message;
    } errors[] = {{"429_plain", 429, "rate_limit_exceeded", "slow down"},
                  {"500", 500, "server_error", "internal error"},
                  {"503", 503, "unavailable", "overloaded"},
                  {"529", 529, "overloaded", "overloaded"},
                  {"408", 408, "timeout", "timeout"},
                  {"400", 400, "bad_request", "this request is refused"},
                  {"422", 422, "unprocessable", "this request cannot be processed"},
                  {"401", 401, "invalid_api_key", "wrong key"},
                  {"403", 403, "forbidden", "forbidden"},
                  {"404", 404, "model_not_found", "no such model"},
                  {"quota", 429, "insufficient_quota", "the quota is spent"},
                  {"400_context", 400, "context_length_exceeded",
                   "maximum context length is 10 tokens"},
                  {"content_filter", 400, "content_filter", "filtered"}};
    char retry[64];
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (strcmp(kind, errors[i].kind) == 0) {
            send_error(c, errors[i].status, "", errors[i].code, errors[i].message, delay);
            return true;
        }
    if (strcmp(kind, "429") == 0) {
        snprintf(retry, sizeof retry, "Retry-After: %d\r\n", m.retry_after);
        send_error(c, 429, retry, "rate_limit_exceeded", "slow down", delay);
    } else if (strcmp(kind, "redirect") == 0) {
        send_error(c, 302, "Location: http://127.0.0.2:9/v1\r\n", "moved", "moved", delay);
    } else {
        return false;
    }
    return true;
}

static bool body_fault(mock_conn *c, const char *kind, dm_str good, double delay)
{
    char head[200];
    dm_buf b;
    if (strcmp(kind, "truncated_json") == 0) {
        send_body(c, 200, "", (dm_str){good.p, good.n / 2}, delay);
    } else if (strcmp(kind, "wrong_json") == 0) {
        send_body(c, 200, "", DM_STR("<html><body>bad gateway</body></html>"), delay);
    } else if (strcmp(kind, "empty_choices") == 0) {
        send_body(c, 200, "", DM_STR("{\"choices\":[]}"), delay);
    } else if (strcmp(kind, "error_in_200") == 0) {
        send_body(c, 200, "", DM_STR("{\"error\":{\"message\":\"backend died\",\"code\":500}}"),
                  delay);
    } else if (strcmp(kind, "invalid_utf8") == 0) {
        dm_buf_init(&b, 1 << 20);
        dm_buf_str(&b, good);
        b.data[b.len / 2] = (char)0xFF;
        send_body(c, 200, "", dm_buf_view(&b), delay);
        dm_buf_free(&b);
    } else if (strcmp(kind, "wrong_length") == 0) {
        snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", good.n + 100);
        send_raw(c, head, good, delay, true);
    } else if (strcmp(kind, "reset_after_headers") == 0) {
        snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", good.n);
        send_raw(c, head, (dm_str){good.p, good.n / 3}, delay, true);
    } else if (strcmp(kind, "stall_body") == 0) {
        snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", good.n);
        send_raw(c, head, (dm_str){good.p, good.n / 3}, delay, false);
    } else if (strcmp(kind, "duplicate_answer") == 0) {
        dm_buf_init(&b, (size_t)256 << 20);
        mock_status(&b, 200, "", good);
        mock_status(&b, 200, "", good);
        m.statuses[200]++;
        m.ok++;
        mock_send(c, &b, delay, false);
    } else if (strcmp(kind, "huge_body") == 0) {
        dm_buf_init(&b, (size_t)200 << 20);
        dm_buf_text(&b, "HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n");
        memset(dm_buf_room(&b, 104857600), ' ', 104857600);
        b.len += 104857600;
        mock_send(c, &b, delay, true);
    } else {
        return false;
    }
    return true;
}

static void send_fault(mock_conn *c, const char *kind, const mock_request *r, dm_str content,
                       size_t prompt, double delay)
{
    dm_buf good;
    dm_buf_init(&good, (size_t)64 << 20);
    m.faulted++;
    if (strcmp(kind, "null_content") == 0)
        completion(&good, r, prompt, (dm_str){NULL, 0}, "stop");
    else if (strcmp(kind, "empty_content") == 0)
        completion(&good, r, prompt, DM_STR(""), "stop");
    else if (strcmp(kind, "filter_reason") == 0)
        completion(&good, r, prompt, content, "content_filter");
    else if (strcmp(kind, "length") == 0)
        completion(&good, r, prompt, (dm_str){content.p, content.n / 4}, "length");
    else if (strcmp(kind, "no_parse") == 0 || (strcmp(kind, "garbage") == 0 && !r->json))
        completion(&good, r, prompt, DM_STR("I would rather not say."), "stop");
    else
        completion(&good, r, prompt, content, "stop");
    if (strcmp(kind, "reset_before_headers") == 0)
        mock_reset(c, delay);
    else if (strcmp(kind, "slow_first_byte") == 0)
        send_body(c, 200, "", dm_buf_view(&good), delay + 3600);
    else if (!error_fault(c, kind, delay) && !body_fault(c, kind, dm_buf_view(&good), delay))
        send_body(c, 200, "", dm_buf_view(&good), delay);
    dm_buf_free(&good);
}

/* ---- requests ---- */

static double delay_of(uint64_t hash)
{
    if (m.high <= 0)
        return m.latency;
    uint64_t key = m.by_arrival ? (uint64_t)m.requests : hash;
    return m.low + (m.high - m.low) * dm_draw_double(m.seed, 77, key);
}

static bool refuse(mock_conn *c, const mock_http *http, const mock_request *r)
{
    char wanted[128];
    if (m.key) {
        snprintf(wanted, sizeof wanted, "Authorization: Bearer %.100s\r\n", m.key);
        if (!memmem(http->headers.p, http->headers.n, wanted, strlen(wanted))) {
            send_error(c, 401, "", "invalid_api_key", "wrong key", 0);
            return true;
        }
    }
    if (strcmp(m.model, "any") != 0 && strcmp(m.model, r->model) != 0) {
        send_error(c, 404, "", "model_not_found", "the model does not exist", 0);
        return true;
    }
    if (m.rpm > 0) {
        double now = mock_now();
        m.bucket = fmin(fmax(1, m.rpm / 60), m.bucket + (now - m.filled) * m.rpm / 60);
        m.filled = now;
        if (m.bucket < 1) {
            send_error(c, 429, "Retry-After: 1\r\n", "rate_limit_exceeded", "slow down", 0);
            return true;
        }
        m.bucket -= 1;
    }
    return false;
}

static void record(const mock_http *http, int status)
{
    if (!m.record)
        return;
    dm_buf b;
    dm_buf_init(&b, (size_t)256 << 20);
    dm_buf_printf(&b, "{\"status\": %d, \"body\": ", status);
    dm_buf_str(&b, http->body);
    dm_buf_text(&b, "}\n");
    fwrite(b.data, 1, b.len, m.record);
    fflush(m.record);
    dm_buf_free(&b);
}

static void chat(mock_conn *c, const mock_http *http)
{
    mock_request r;
    mock_reply reply = {.finish = "stop"};
    double now = mock_now();
    m.requests++;
    if (m.first == 0)
        m.first = m.busy_at = now;
    note_headers(http);
    if ((m.fail_after >= 0 && m.requests > m.fail_after) ||
        (m.stall_after >= 0 && m.requests > m.stall_after)) {
        if (m.fail_after >= 0)
            mock_reset(c, 0);
        else
            mock_silence(c);
        return;
    }
    if (!mock_request_read(&r, http->body)) {
        send_error(c, 400, "", "bad_request", "no chat request", 0);
        mock_request_free(&r);
        return;
    }
    seen *s = find_seen(r.hash);
    const char *kind = choose_fault(r.hash, s->attempts++);
    dm_buf_init(&reply.content, 1 << 24);
    if (refuse(c, http, &r)) {
        record(http, 0);
    } else {
        int status = mock_answer(&m.rule, &r, &reply);
        double delay = delay_of(r.hash);
        count_flight(now, 1);
        m.last = now + delay;
        if (kind) {
            send_fault(c, kind, &r, dm_buf_view(&reply.content), http->body.n, delay);
        } else if (status != 200) {
            send_error(c, status, "", "scripted", "scripted", delay);
        } else {
            dm_buf body;
            dm_buf_init(&body, 1 << 24);
            completion(&body, &r, http->body.n, dm_buf_view(&reply.content), reply.finish);
            m.repeats += s->answered++ > 0;
            send_body(c, 200, "", dm_buf_view(&body), delay);
            dm_buf_free(&body);
        }
        m.busy += delay; /* each request keeps a place busy for its latency */
        count_flight(now, -1);
        record(http, kind ? 0 : 200);
    }
    dm_buf_free(&reply.content);
    mock_request_free(&r);
}

static void stats(mock_conn *c)
{
    dm_buf b;
    dm_buf_init(&b, 65536);
    double span = m.last > m.first ? m.last - m.first : 0;
    dm_buf_printf(
        &b,
        "{\"requests\": %ld, \"ok\": %ld, \"faulted\": %ld, \"distinct\": %zu, \"repeats\": %ld, "
        "\"authorized\": %ld, \"span\": %.6f, \"busy\": %.6f, \"mean_in_flight\": %.3f, \"hosts\": "
        "[",
        m.requests, m.ok, m.faulted, m.n_seen, m.repeats, m.authorized, span, m.busy,
        span > 0 ? m.busy / span : 0);
    for (size_t i = 0; i < m.n_hosts; i++)
        dm_buf_printf(&b, "%s\"%s\"", i ? ", " : "", m.hosts[i]);
    dm_buf_printf(&b, "], \"authorization\": \"%s\", \"statuses\": {", m.authorization);
    const char *comma = "";
    for (int i = 0; i < 600; i++)
        if (m.statuses[i]) {
            dm_buf_printf(&b, "%s\"%d\": %ld", comma, i, m.statuses[i]);
            comma = ", ";
        }
    dm_buf_text(&b, "}}\n");
    dm_buf out;
    dm_buf_init(&out, 131072);
    mock_status(&out, 200, "", dm_buf_view(&b));
    mock_send(c, &out, 0, false);
    dm_buf_free(&b);
}

static void handle(void *user, mock_conn *c, const mock_http *r)
{
    char body[512];
    dm_buf out;
    (void)user;
    if (strcmp(r->method, "POST") == 0 && strstr(r->path, "/chat/completions")) {
        chat(c, r);
        return;
    }
    if (strcmp(r->path, "/stats") == 0) {
        stats(c);
        return;
    }
    dm_buf_init(&out, 65536);
    if (strstr(r->path, "/models")) {
        snprintf(body, sizeof body,
                 "{\"object\":\"list\",\"data\":[{\"id\":\"%s\",\"root\":\"%s\",\"max_model_len\":%"
                 "ld}]}",
                 m.model, m.root ? m.root : m.model, m.max_model_len);
        mock_status(&out, 200, "", dm_str_of(body));
    } else {
        mock_status(&out, 404, "", DM_STR("{\"detail\":\"Not Found\"}"));
    }
    mock_send(c, &out, 0, false);
}

/* ---- options ---- */

static void add_faults(const char *text)
{
    while (*text && m.n_faults < 32) {
        fault *f = &m.faults[m.n_faults++];
        size_t n = strcspn(text, "=");
        snprintf(f->kind, sizeof f->kind, "%.*s", (int)(n < 31 ? n : 31), text);
        f->rate = text[n] ? strtod(text + n + 1, NULL) : 1;
        text += n;
        text += strcspn(text, ",");
        text += *text == ',';
    }
}

/* --json-get a.b.c: prints that value of the JSON text on stdin (its last line, if there are
 * several). */
static int json_get(char *path)
{
    dm_buf b;
    int ch;
    dm_buf_init(&b, 1 << 26);
    while ((ch = getchar()) != EOF)
        dm_buf_char(&b, (char)ch);
    cJSON *root = cJSON_ParseWithOpts(b.data ? b.data : "", NULL, true);
    while (!root && b.len) { /* JSON Lines: the last one */
        while (b.len && b.data[b.len - 1] == '\n')
            b.data[--b.len] = 0;
        char *line = memrchr(b.data, '\n', b.len);
        root = cJSON_Parse(line ? line + 1 : b.data);
        break;
    }
    cJSON *v = root;
    char *save = NULL;
    for (char *key = strtok_r(path, ".", &save); key && v; key = strtok_r(NULL, ".", &save))
        v = cJSON_IsArray(v) ? cJSON_GetArrayItem(v, (int)strtol(key, NULL, 10))
                             : cJSON_GetObjectItemCaseSensitive(v, key);
    if (!v)
        return 1;
    char *text = cJSON_IsString(v) ? strdup(v->valuestring) : cJSON_PrintUnformatted(v);
    puts(text);
    free(text);
    cJSON_Delete(root);
    dm_buf_free(&b);
    return 0;
}

/* --fetch HOST:PORT PATH: GET of a loopback server, the body to stdout. */
static int fetch(char *host, const char *path)
{
    char *colon = strchr(host, ':'), request[512], bytes[65536];
    struct sockaddr_in a = {.sin_family = AF_INET};
    if (!colon || strncmp(host, "127.", 4) != 0)
        return 64;
    *colon = 0;
    inet_pton(AF_INET, host, &a.sin_addr);
    a.sin_port = htons((uint16_t)strtol(colon + 1, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0)
        return 69;
    int n = snprintf(request, sizeof request,
                     "GET %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\n\r\n", path, host);
    if (write(fd, request, (size_t)n) != n)
        return 69;
    ssize_t got = read(fd, bytes, sizeof bytes - 1);
    close(fd);
    if (got <= 0)
        return 69;
    bytes[got] = 0;
    char *body = strstr(bytes, "\r\n\r\n");
    fputs(body ? body + 4 : "", stdout);
    return 0;
}

static int make_data(long n, uint64_t seed, long from)
{
    for (long i = from; i < from + n; i++)
        printf("{\"question\": \"item %ld: what is its label?\", \"answer\": \"%s\"}\n", i,
               mock_planted_label(seed, i));
    return 0;
}

static int option(const char *name, char *v, int *port, const char **port_file, double *seconds,
                  double *start)
{
    if (strcmp(name, "--port") == 0)
        *port = (int)strtol(v, NULL, 10);
    else if (strcmp(name, "--port-file") == 0)
        *port_file = v;
    else if (strcmp(name, "--max-seconds") == 0)
        *seconds = strtod(v, NULL);
    else if (strcmp(name, "--delay-start") == 0)
        *start = strtod(v, NULL);
    else if (strcmp(name, "--rule") == 0)
        m.rule.name = v;
    else if (strcmp(name, "--script") == 0) {
        m.rule.name = "script";
        return mock_rule_load_script(&m.rule, v) ? 0 : 64;
    } else if (strcmp(name, "--seed") == 0)
        m.seed = m.rule.seed = strtoull(v, NULL, 10);
    else if (strcmp(name, "--latency") == 0)
        m.latency = strtod(v, NULL) / 1000;
    else if (strcmp(name, "--latency-random") == 0 || strcmp(name, "--latency-arrival") == 0) {
        char *colon;
        m.low = strtod(v, &colon) / 1000;
        m.high = *colon ? strtod(colon + 1, NULL) / 1000 : m.low;
        m.by_arrival = strcmp(name, "--latency-arrival") == 0;
    } else if (strcmp(name, "--fault") == 0)
        add_faults(v);
    else if (strcmp(name, "--retry-after") == 0)
        m.retry_after = (int)strtol(v, NULL, 10);
    else if (strcmp(name, "--model") == 0)
        m.model = v;
    else if (strcmp(name, "--root") == 0)
        m.root = v;
    else if (strcmp(name, "--max-model-len") == 0)
        m.max_model_len = strtol(v, NULL, 10);
    else if (strcmp(name, "--key") == 0)
        m.key = v;
    else if (strcmp(name, "--rpm") == 0)
        m.rpm = m.bucket = strtod(v, NULL);
    else if (strcmp(name, "--fail-after") == 0)
        m.fail_after = strtol(v, NULL, 10);
    else if (strcmp(name, "--stall-after") == 0)
        m.stall_after = strtol(v, NULL, 10);
    else if (strcmp(name, "--record") == 0)
        return (m.record = fopen(v, "w")) ? 0 : 73;
    else
        return 64;
    return 0;
}

static int serve(int port, const char *port_file, double seconds, double start)
{
    struct rlimit files;
    double until = mock_now() + seconds;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* ends with the test that started it */
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    for (double from = mock_now(); start > 0 && mock_now() < from + start && !stop;) {
        struct timespec t = {0, 50000000};
        nanosleep(&t, NULL);
    }
    mock_server *s = mock_server_new(port, handle, NULL);
    if (!s) {
        perror("mock-lm");
        return 69;
    }
    if (port_file) {
        char part[4096];
        snprintf(part, sizeof part, "%s.part", port_file);
        FILE *f = fopen(part, "w");
        if (!f || fprintf(f, "%d\n", mock_server_port(s)) < 0 || fclose(f) != 0 ||
            rename(part, port_file) != 0)
            return 73;
    }
    printf("listening 127.0.0.1:%d\n", mock_server_port(s));
    fflush(stdout);
    while (!stop && mock_now() < until)
        mock_server_turn(s, 0.5);
    mock_server_free(s);
    free(m.seen);
    if (m.record)
        fclose(m.record);
    return 0;
}

int main(int argc, char **argv)
{
    int port = 0;
    const char *port_file = NULL;
    double seconds = 600, start = 0;
    m.rule.name = "echo";
    m.rule.seed = 1;
    m.filled = mock_now();
    if (argc == 3 && strcmp(argv[1], "--json-get") == 0)
        return json_get(argv[2]);
    if (argc == 4 && strcmp(argv[1], "--fetch") == 0)
        return fetch(argv[2], argv[3]);
    if (argc == 5 && strcmp(argv[1], "--make-data") == 0) /* --make-data N SEED FROM */
        return make_data(strtol(argv[2], NULL, 10), strtoull(argv[3], NULL, 10),
                         strtol(argv[4], NULL, 10));
    for (int i = 1; i < argc; i += 2) {
        int code =
            i + 1 < argc ? option(argv[i], argv[i + 1], &port, &port_file, &seconds, &start) : 64;
        if (code) {
            fprintf(stderr, "mock-lm: %s: unknown, or its value is wrong\n", argv[i]);
            return code;
        }
    }
    return serve(port, port_file, seconds, start);
}
