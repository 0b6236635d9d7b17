/* What goes out is counted: curl with a server that ends its connections at every moment. The
 * server's own count of requests, of those whose whole body it has read, is never more than the
 * call's, and the call's never more than it was allowed. */
#include "base/clock.h"
#include "base/random.h"
#include "json/json.h"
#include "lm/inside.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum end {        /* of a connection */
           KEEP,  /* it is kept */
           LATER, /* it is closed after the answer, which promised to keep it */
           CLOSE, /* it is closed in order */
           RESET  /* it is reset */
};

typedef struct step { /* what the server does with a request */
    enum {
        HEADERS,
        PART,
        WHOLE
    } /* as far as it is read */
    read;
    const char *say; /* then */
    enum end end;
} step;

#define ANSWER(status, headers, body)                                                              \
    "HTTP/1.1 " status "\r\nContent-Type: application/json\r\n" headers "\r\n" body
#define GOOD        "{\"choices\":[{\"message\":{\"content\":\"yes\"}}]}"
#define GOOD_ANSWER ANSWER("200 OK", "Content-Length: 43\r\n", GOOD)
#define BAD_ANSWER  ANSWER("500 Error", "Content-Length: 2\r\n", "{}")

typedef struct server {
    int fd, port;
    pthread_t thread;
    const step *steps; /* [n]; the last one for all that follow */
    size_t n;
    atomic_size_t at;    /* steps done */
    atomic_int requests; /* whose body was read whole */
    atomic_int begun;    /* of whose body anything was read */
    atomic_bool over;
} server;

/* Reads until the body is there as far as the step says; false: the connection ended. */
static bool read_request(server *s, int fd, const step *st)
{
    static char in[1 << 16];
    char head[8192];
    size_t n = 0;
    char *end = NULL;
    while (!end) {
        ssize_t k = recv(fd, head + n, 1, 0); /* no byte of the body with the headers */
        if (k <= 0 || n + 2 > sizeof head)
            return false;
        n++;
        head[n] = 0;
        end = n >= 4 && memcmp(head + n - 4, "\r\n\r\n", 4) == 0 ? head + n : NULL;
    }
    cr_assert_null(strcasestr(head, "Expect"), "%s", head);
    if (st->read == HEADERS)
        return true;
    char *length = strcasestr(head, "Content-Length:");
    cr_assert_not_null(length, "%s", head);
    size_t left = strtoul(length + 15, NULL, 10), whole = left;
    while (left && !(st->read == PART && left < whole)) {
        ssize_t k = recv(fd, in, st->read == PART ? 1 : left < sizeof in ? left : sizeof in, 0);
        if (k <= 0)
            return false;
        s->begun += left == whole;
        left -= (size_t)k;
    }
    s->requests += left == 0;
    return true;
}

static void *serve(void *arg)
{
    server *s = arg;
    while (!s->over) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0)
            break;
        bool kept = true;
        while (kept && !s->over) {
            size_t at = s->at < s->n ? s->at : s->n - 1;
            const step *st = &s->steps[at];
            kept = read_request(s, fd, st);
            if (!kept)
                break;
            s->at++;
            if (st->say)
                send(fd, st->say, strlen(st->say), MSG_NOSIGNAL);
            kept = st->end == KEEP;
            if (st->end == RESET)
                setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0},
                           sizeof(struct linger));
        }
        close(fd);
    }
    return NULL;
}

static void start(server *s, const step *steps, size_t n)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    *s = (server){.steps = steps, .n = n, .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    cr_assert(bind(s->fd, (struct sockaddr *)&a, size) == 0 && listen(s->fd, 64) == 0);
    getsockname(s->fd, (struct sockaddr *)&a, &size);
    s->port = ntohs(a.sin_port);
    pthread_create(&s->thread, NULL, serve, s);
}

static void end(server *s)
{
    s->over = true;
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
}

typedef struct outcome {
    int calls;
    dm_usage usage; /* of all */
    dm_fault fault; /* of the last */
    char text[400];
} outcome;

static void done(void *user, const dm_lm_answer *a)
{
    outcome *o = user;
    o->calls++;
    o->fault = a->fault;
    dm_usage_add(&o->usage, &a->usage);
    snprintf(o->text, sizeof o->text, "%s", a->text ? a->text : "");
}

/* n calls, one after another, of a body of about so many bytes; each may send `most`. */
static outcome ask(server *s, const char *more, int n, size_t bytes, int64_t most)
{
    dm_arena *a = dm_arena_new(0);
    dm_error err = {DM_OK, ""};
    char text[512];
    snprintf(text, sizeof text,
             "{\"model\": \"hosted_vllm/x\", \"api_base\": \"http://127.0.0.1:%d/v1\", "
             "\"timeout\": 10, %s}",
             s->port, more);
    const dm_value *v = dm_json_read(a, dm_str_of(text), &err);
    cr_assert_not_null(v, "%s", err.text);
    dm_at at = dm_at_root(v, "test", DM_E_JOB);
    dm_lm_options options = {.slots = 4};
    options.role[DM_TASK] = dm_lm_config_read(a, &at, &err);
    cr_assert_not_null(options.role[DM_TASK], "%s", err.text);
    dm_lm *lm = dm_lm_new(&options, &err);
    cr_assert_not_null(lm, "%s", err.text);
    char *user = dm_alloc(bytes + 1);
    memset(user, 'x', bytes);
    dm_prefix prefix = {NULL, 0};
    dm_lm_request r = {.prefix = &prefix,
                       .user = {user, bytes},
                       .temperature = NAN,
                       .rollout = -1,
                       .most_sends = most};
    outcome o = {.calls = 0};
    for (int i = 0; i < n; i++) {
        dm_lm_submit(lm, &r, done, &o);
        while (o.calls == i)
            dm_lm_poll(lm, NULL, 0, 1);
    }
    dm_lm_free(lm);
    free(user);
    dm_arena_free(a);
    return o;
}

/* ---- one story after another ---- */

#define NO_RETRIES "\"num_retries\": 0"

static void expect(const char *what, const step *steps, size_t n, const char *more, int calls,
                   size_t bytes, int64_t most, int requests)
{
    server s;
    start(&s, steps, n);
    outcome o = ask(&s, more, calls, bytes, most);
    end(&s);
    if (requests >= 0) /* else it is curl's affair whether it tries again */
        cr_expect_eq(s.requests, requests, "%s, %zu bytes: %d requests at the server, not %d: %s",
                     what, bytes, (int)s.requests, requests, o.text);
    cr_expect_geq(o.usage.requests, s.requests, "%s, %zu bytes: %lld counted, %d at the server",
                  what, bytes, (long long)o.usage.requests, (int)s.requests);
    cr_expect_leq(o.usage.requests, most * calls, "%s, %zu bytes: %lld counted, %lld allowed", what,
                  bytes, (long long)o.usage.requests, (long long)(most * calls));
}

Test(resend, a_kept_connection_that_is_closed_without_a_byte)
{
    static const step close_second[] = {{WHOLE, GOOD_ANSWER, KEEP}, {WHOLE, NULL, CLOSE}};
    static const step reset_second[] = {{WHOLE, GOOD_ANSWER, KEEP}, {WHOLE, NULL, RESET}};
    static const step close_head[] = {{WHOLE, GOOD_ANSWER, KEEP},
                                      {HEADERS, NULL, CLOSE},
                                      {WHOLE, GOOD_ANSWER, KEEP}};
    static const step reset_head[] = {{WHOLE, GOOD_ANSWER, KEEP},
                                      {HEADERS, NULL, RESET},
                                      {WHOLE, GOOD_ANSWER, KEEP}};
    for (size_t bytes = 100; bytes <= 4000000; bytes *= 200) {
        /* the second call is sent once, its resend is refused: one of its own */
        expect("closed", close_second, 2, NO_RETRIES, 2, bytes, 1, 2);
        expect("reset", reset_second, 2, NO_RETRIES, 2, bytes, 1, 2);
        /* with two, curl sends it again, and no third time */
        expect("closed", close_second, 2, NO_RETRIES, 2, bytes, 2, 3);
        expect("closed", close_second, 2, NO_RETRIES, 2, bytes, 9, 3);
        /* what the server saw of it was no request; it may have been sent whole all the same */
        expect("closed at the headers", close_head, 3, NO_RETRIES, 2, bytes, 2, -1);
        expect("reset at the headers", reset_head, 3, NO_RETRIES, 2, bytes, 9, -1);
    }
}

Test(resend, answers_that_invite_another_request)
{
    static const struct {
        const char *what;
        step steps[2];
    } rows[] = {
        {"417", {{WHOLE, ANSWER("417 Expectation Failed", "Content-Length: 0\r\n", ""), KEEP}}},
        {"417 at the headers",
         {{HEADERS, ANSWER("417 Expectation Failed", "Content-Length: 0\r\n", ""), CLOSE}}},
        {"401 Digest",
         {{WHOLE,
           ANSWER("401 Unauthorized",
                  "WWW-Authenticate: Digest realm=\"x\", nonce=\"y\"\r\nContent-Length: 0\r\n", ""),
           KEEP}}},
        {"401 NTLM",
         {{WHOLE,
           ANSWER("401 Unauthorized",
                  "WWW-Authenticate: NTLM\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n",
                  ""),
           KEEP}}},
        {"407",
         {{WHOLE,
           ANSWER("407 Proxy Authentication Required",
                  "Proxy-Authenticate: Digest realm=\"x\", nonce=\"y\"\r\nContent-Length: 0\r\n",
                  ""),
           KEEP}}},
        {"307",
         {{WHOLE,
           ANSWER("307 Moved", "Location: /v1/chat/completions\r\nContent-Length: 0\r\n", ""),
           KEEP}}},
        {"421", {{WHOLE, ANSWER("421 Misdirected", "Content-Length: 0\r\n", ""), CLOSE}}},
        {"425", {{WHOLE, ANSWER("425 Too Early", "Content-Length: 0\r\n", ""), CLOSE}}},
        {"100, and closed", {{WHOLE, "HTTP/1.1 100 Continue\r\n\r\n", CLOSE}}},
        {"half a status line", {{WHOLE, "HTT", RESET}}},
        {"half a header", {{WHOLE, "HTTP/1.1 200 OK\r\nContent-", CLOSE}}},
        {"half a body", {{WHOLE, ANSWER("200 OK", "Content-Length: 400\r\n", "{"), CLOSE}}},
        {"half a chunk",
         {{WHOLE, ANSWER("200 OK", "Transfer-Encoding: chunked\r\n", "40\r\n{"), RESET}}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int kept = 0; kept < 2; kept++) { /* on a kept connection too */
            step steps[] = {{WHOLE, GOOD_ANSWER, KEEP}, rows[i].steps[0]};
            int seen = rows[i].steps[0].read == WHOLE;
            /* what is no whole line yet is nothing to curl: it sends again */
            int again = kept && strcmp(rows[i].what, "half a status line") == 0;
            expect(rows[i].what, steps + !kept, (size_t)(1 + kept), NO_RETRIES, 1 + kept, 1000, 9,
                   kept + seen + again);
        }
}

Test(resend, retries_stay_within_what_is_allowed)
{
    static const step all_bad[] = {{WHOLE, BAD_ANSWER, KEEP}};
    static const step bad_then_closed[] = {{WHOLE, BAD_ANSWER, KEEP}, {WHOLE, NULL, CLOSE}};
    static const step too_many[] = {
        {WHOLE, ANSWER("429 Slow", "Content-Length: 2\r\n", "{}"), KEEP}};
    static const step refused[] = {{WHOLE, ANSWER("400 Bad", "Content-Length: 2\r\n", "{}"), KEEP}};
    expect("500 for ever", all_bad, 1, "\"num_retries\": 2", 1, 1000, 9, 3);
    expect("500 for ever", all_bad, 1, "\"num_retries\": 9", 1, 1000, 2, 2);
    expect("500, then closed", bad_then_closed, 2, "\"num_retries\": 9", 1, 1000, 2, 2);
    expect("500, then closed", bad_then_closed, 2, "\"num_retries\": 9", 1, 1000, 3, 3);
    expect("429 for ever", too_many, 1, "\"num_retries\": 9", 1, 1000, 2, 2);
    expect("400", refused, 1, NO_RETRIES, 3, 1000, 1, 3);
}

/* Requests whose tokens nobody told. */
Test(resend, what_a_request_cost_is_told_or_it_is_not)
{
#define TOLD                                                                                       \
    "{\"choices\":[{\"message\":{\"content\":\"yes\"}}],\"usage\":{\"prompt_tokens\":9,"           \
    "\"completion_tokens\":1}}"
    static const struct {
        const char *what;
        step steps[3];
        int64_t requests, untold, tokens; /* of two calls, with two requests each at the most */
    } rows[] = {
        {"usage", {{WHOLE, ANSWER("200 OK", "Connection: close\r\n", TOLD), CLOSE}}, 2, 0, 20},
        {"no usage", {{WHOLE, GOOD_ANSWER, KEEP}}, 2, 2, 0},
        {"429", {{WHOLE, ANSWER("429 Slow", "Content-Length: 0\r\n", ""), KEEP}}, 2, 0, 0},
        {"400", {{WHOLE, ANSWER("400 Bad", "Content-Length: 0\r\n", ""), KEEP}}, 2, 0, 0},
        {"503", {{WHOLE, ANSWER("503 Busy", "Content-Length: 0\r\n", ""), KEEP}}, 2, 0, 0},
        {"408", {{WHOLE, ANSWER("408 Late", "Content-Length: 0\r\n", ""), KEEP}}, 2, 2, 0},
        {"500", {{WHOLE, BAD_ANSWER, KEEP}}, 2, 2, 0},
        {"504", {{WHOLE, ANSWER("504 Late", "Content-Length: 0\r\n", ""), KEEP}}, 2, 2, 0},
        {"no JSON", {{WHOLE, ANSWER("200 OK", "Content-Length: 3\r\n", "<p>"), KEEP}}, 2, 2, 0},
        {"half of it",
         {{WHOLE, ANSWER("200 OK", "Content-Length: 999\r\n", TOLD), CLOSE}},
         2,
         2,
         0},
        {"lost, sent again, and answered",
         {{WHOLE, ANSWER("200 OK", "Content-Length: 93\r\n", TOLD), KEEP},
          {WHOLE, NULL, CLOSE},
          {WHOLE, ANSWER("200 OK", "Content-Length: 93\r\n", TOLD), KEEP}},
         3,
         1,
         20},
    };
    cr_assert_eq(sizeof TOLD - 1, 93);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        server s;
        start(&s, rows[i].steps, rows[i].requests == 3 ? 3 : 1);
        outcome o = ask(&s, NO_RETRIES, 2, 1000, 2);
        end(&s);
        cr_expect(o.usage.requests == rows[i].requests && o.usage.untold == rows[i].untold &&
                      o.usage.prompt + o.usage.completion == rows[i].tokens,
                  "%s: %lld requests, %lld untold, %lld tokens: %s", rows[i].what,
                  (long long)o.usage.requests, (long long)o.usage.untold,
                  (long long)(o.usage.prompt + o.usage.completion), o.text);
    }
}

/* ---- at random ---- */

Test(resend, at_random, .timeout = 120)
{
    static const step kinds[] = {{WHOLE, GOOD_ANSWER, KEEP},  {WHOLE, GOOD_ANSWER, KEEP},
                                 {WHOLE, GOOD_ANSWER, LATER}, {WHOLE, BAD_ANSWER, KEEP},
                                 {WHOLE, BAD_ANSWER, LATER},  {WHOLE, NULL, CLOSE},
                                 {WHOLE, NULL, RESET},        {PART, NULL, CLOSE},
                                 {PART, NULL, RESET},         {HEADERS, NULL, CLOSE},
                                 {HEADERS, NULL, RESET},      {HEADERS, BAD_ANSWER, CLOSE},
                                 {PART, BAD_ANSWER, RESET}};
    int counted = 0, seen = 0;
    for (uint64_t seed = 0; seed < 150; seed++) {
        step steps[40];
        server s;
        for (size_t i = 0; i < 40; i++)
            steps[i] = kinds[dm_draw(11, seed, i) % (sizeof kinds / sizeof *kinds)];
        start(&s, steps, 40);
        int64_t most = (int64_t)(1 + dm_draw(12, seed, 0) % 3);
        size_t bytes = dm_draw(12, seed, 1) % 4 ? 200 : 300000;
        outcome o = ask(&s, NO_RETRIES, 20, bytes, most);
        end(&s);
        cr_expect_leq(s.requests, o.usage.requests, "seed %llu: %d at the server, %lld counted",
                      (unsigned long long)seed, (int)s.requests, (long long)o.usage.requests);
        cr_expect_leq(o.usage.requests, 20 * most, "seed %llu: %lld counted, %lld allowed",
                      (unsigned long long)seed, (long long)o.usage.requests,
                      (long long)(20 * most));
        counted += (int)o.usage.requests;
        seen += s.requests;
    }
    cr_log_info("%d counted, %d at the server", counted, seen);
    cr_expect_geq(seen, counted * 4 / 10, "%d of %d were seen: the test tells little", seen,
                  counted);
}
