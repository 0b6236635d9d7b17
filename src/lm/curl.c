/* The transport over the network: curl's multi interface, and the waiting for its sockets with
 * epoll. An epoll set of our own is kept by curl's callbacks, so that a wake-up costs what came,
 * not what is in flight (curl_multi_poll looks at all of it, several times). */
#include "base/clock.h"
#include "base/fds.h"
#include "lm/authorities.h"
#include "lm/proxy.h"
#include "lm/transport.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define MAX_FDS    80
#define MAX_EVENTS 128

typedef struct curl_transport {
    dm_transport transport; /* first */
    const dm_clock *clock;
    CURLM *multi;
    int epoll;    /* curl's sockets */
    double timer; /* when curl wants to be called; INFINITY: not */
} curl_transport;

/* ---- what curl sends, and sends again ----
 *
 * curl by itself sends a request anew on another connection when a kept one was closed without a
 * byte, up to five times. The first may have been billed, so each is counted before it goes out,
 * and refused beyond what was set aside. From 7.80 on curl asks before each, and has the body
 * itself, so that head and body leave together. */

#if LIBCURL_VERSION_NUM >= 0x075000
static int before_request(void *user, char *ip, char *own_ip, int port, int own_port)
{
    dm_attempt *a = user;
    (void)ip;
    (void)own_ip;
    (void)port;
    (void)own_port;
    if (!a->body)
        return CURL_PREREQFUNC_OK;
    if (!a->may_send(a))
        return CURL_PREREQFUNC_ABORT;
    a->sends++;
    return CURL_PREREQFUNC_OK;
}
#else
/* An older one takes the body from here, piece by piece, and has to come back for it. A request of
 * which no byte of the body was taken cannot be answered by anybody, and is none. (A seek is asked
 * for only when something was taken before; so the beginnings are counted, not the seeks.) */
static size_t give_body(char *p, size_t size, size_t n, void *user)
{
    dm_attempt *a = user;
    size_t left = a->body->len - a->given, room = size * n;
    if (a->given == 0) {
        if (!a->may_send(a))
            return CURL_READFUNC_ABORT;
        a->sends++;
    }
    n = left < room ? left : room;
    memcpy(p, a->body->data + a->given, n);
    a->given += n;
    return n;
}

static int begin_again(void *user, curl_off_t offset, int origin)
{
    dm_attempt *a = user;
    if (origin != SEEK_SET || offset != 0 || !a->may_send(a))
        return CURL_SEEKFUNC_FAIL;
    a->given = 0;
    return CURL_SEEKFUNC_OK;
}
#endif

static size_t keep_reply(char *p, size_t size, size_t n, void *user)
{
    dm_attempt *a = user;
    (void)size;
    dm_buf_add(&a->reply, p, n);
    return a->reply.full ? 0 : n; /* 0 of n ends the transfer: the ceiling */
}

static size_t keep_head(char *p, size_t size, size_t n, void *user)
{
    dm_attempt *a = user;
    (void)size;
    dm_told_header(&a->told, (dm_str){p, n}, (double)time(NULL));
    return n;
}

/* Whose certificates are believed, and who we are ourselves. Nothing asks for a password: there may
 * be no terminal, or 64 ranks at one. */
static void set_certificates(CURL *e, const dm_lm_config *c)
{
    dm_authorities known = dm_authorities_of(c);
    if (known.file) {
        curl_easy_setopt(e, CURLOPT_CAINFO, known.file);
        curl_easy_setopt(e, CURLOPT_PROXY_CAINFO, known.file);
    }
    if (known.folder) {
        curl_easy_setopt(e, CURLOPT_CAPATH, known.folder);
        curl_easy_setopt(e, CURLOPT_PROXY_CAPATH, known.folder);
    }
    if (!c->cert_file)
        return;
    curl_easy_setopt(e, CURLOPT_SSLCERT, c->cert_file);
    curl_easy_setopt(e, CURLOPT_SSLKEY, c->key_file ? c->key_file : c->cert_file);
    curl_easy_setopt(e, CURLOPT_KEYPASSWD, "");
}

void dm_easy_defaults(CURL *e, const dm_lm_config *c, const char *proxy)
{
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 4096L); /* answers are small, and there are many */
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(e, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_PROXY, proxy ? proxy : "");
    curl_easy_setopt(e, CURLOPT_NOPROXY, ""); /* what the environment says is read in proxy.c */
    curl_easy_setopt(e, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE); /* no key with CONNECT */
    set_certificates(e, c);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "dspy-mpi/" DM_VERSION);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)(1000 * c->connect_timeout));
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)(1000 * c->timeout));
}

/* What stays the same as long as the handle's attempts go to one address, with one time-out. */
static void set_options(dm_attempt *a)
{
    if (!a->handle)
        a->handle = curl_easy_init();
    else
        curl_easy_reset(a->handle);
    CURL *e = a->handle;
    a->set_for = a->url;
    a->set_timeout = a->timeout;
    dm_easy_defaults(e, a->config, a->proxy);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, a->error);
    curl_easy_setopt(e, CURLOPT_URL, a->url);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, a->headers);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, keep_reply);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, a);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, keep_head);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, a);
    curl_easy_setopt(e, CURLOPT_PRIVATE, a);
    if (a->connect_timeout > 0)
        curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)(1000 * a->connect_timeout));
    if (a->timeout > 0)
        curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)(1000 * a->timeout));
    if (!a->body)
        return;
    curl_easy_setopt(e, CURLOPT_POST, 1L);
#if LIBCURL_VERSION_NUM >= 0x075000
    curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, before_request);
    curl_easy_setopt(e, CURLOPT_PREREQDATA, a);
#else
    curl_easy_setopt(e, CURLOPT_READFUNCTION, give_body);
    curl_easy_setopt(e, CURLOPT_READDATA, a);
    curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, begin_again);
    curl_easy_setopt(e, CURLOPT_SEEKDATA, a);
#endif
}

static void send_attempt(dm_transport *t, dm_attempt *a)
{
    if (a->set_for != a->url || a->set_timeout < a->timeout || a->set_timeout > a->timeout)
        set_options(a);
    dm_buf_reset(&a->reply);
    a->sends = 0;
    a->given = 0;
    *a->error = 0;
    dm_told_init(&a->told);
    if (a->body) {
        curl_easy_setopt(a->handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)a->body->len);
#if LIBCURL_VERSION_NUM >= 0x075000
        curl_easy_setopt(a->handle, CURLOPT_POSTFIELDS, a->body->data);
#endif
    }
    curl_multi_add_handle(((curl_transport *)t)->multi, a->handle);
}

static void drop(dm_transport *t, dm_attempt *a)
{
    curl_multi_remove_handle(((curl_transport *)t)->multi, a->handle);
}

static void forget(dm_transport *t, dm_attempt *a)
{
    (void)t;
    if (a->handle)
        curl_easy_cleanup(a->handle);
    a->handle = NULL;
    a->set_for = NULL;
}

/* ---- what ended ---- */

static bool collect(curl_transport *t)
{
    CURLMsg *m;
    int left;
    bool any = false;
    while ((m = curl_multi_info_read(t->multi, &left))) {
        dm_attempt *a;
        CURL *easy = m->easy_handle;
        CURLcode code = m->data.result;
        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&a);
        a->code = code;
        a->status = 0;
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &a->status);
        a->connect_status = 0;
        if (code != CURLE_OK)
            curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &a->connect_status);
        curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, (char **)&a->content_type);
        curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, (char **)&a->redirect);
        curl_multi_remove_handle(t->multi, easy);
        a->ended(a);
        any = true;
    }
    return any;
}

/* ---- sockets and timers ---- */

static int on_socket(CURL *easy, curl_socket_t s, int what, void *user, void *known)
{
    curl_transport *t = user;
    struct epoll_event e = {.data.fd = s};
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(t->epoll, EPOLL_CTL_DEL, s, NULL);
        curl_multi_assign(t->multi, s, NULL);
        return 0;
    }
    e.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    epoll_ctl(t->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s, &e);
    if (!known)
        curl_multi_assign(t->multi, s, t);
    return 0;
}

/* Only noted: curl must not be called from inside its callbacks. */
static int on_timer(CURLM *multi, long ms, void *user)
{
    curl_transport *t = user;
    (void)multi;
    t->timer = ms < 0 ? INFINITY : dm_clock_now(t->clock) + (double)ms / 1000;
    return 0;
}

/* curl's timers, the sending of what was added among them. */
static void run_timers(curl_transport *t)
{
    int running;
    if (dm_clock_now(t->clock) < t->timer)
        return;
    t->timer = INFINITY; /* curl says it anew */
    curl_multi_socket_action(t->multi, CURL_SOCKET_TIMEOUT, 0, &running);
}

static void take_events(curl_transport *t)
{
    struct epoll_event events[MAX_EVENTS];
    int running, n = epoll_wait(t->epoll, events, MAX_EVENTS, 0);
    for (int i = 0; i < n; i++) {
        uint32_t e = events[i].events;
        int mask = (e & EPOLLIN ? CURL_CSELECT_IN : 0) | (e & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                   (e & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
        curl_multi_socket_action(t->multi, events[i].data.fd, mask, &running);
    }
}

static bool turn(dm_transport *transport)
{
    curl_transport *t = (curl_transport *)transport;
    run_timers(t);
    return collect(t);
}

static void wait_for_any(dm_transport *transport, dm_wait_fd *fds, size_t n, double timeout)
{
    curl_transport *t = (curl_transport *)transport;
    struct pollfd wait[MAX_FDS + 1] = {{.fd = t->epoll, .events = POLLIN}};
    n = n < MAX_FDS ? n : MAX_FDS;
    for (size_t i = 0; i < n; i++)
        wait[i + 1] = (struct pollfd){.fd = fds[i].fd, .events = POLLIN};
    timeout = fmax(0, fmin(timeout, fmin(3600, t->timer - dm_clock_now(t->clock))));
    /* Rounded up, or the loop spins for the rest of a millisecond. */
    poll(wait, n + 1, (int)ceil(1000 * timeout));
    for (size_t i = 0; i < n; i++)
        fds[i].readable = wait[i + 1].revents != 0;
    if (wait[0].revents)
        take_events(t);
    run_timers(t);
    collect(t);
}

static void close_curl(dm_transport *transport)
{
    curl_transport *t = (curl_transport *)transport;
    curl_multi_cleanup(t->multi);
    if (t->epoll >= 0)
        close(t->epoll);
    free(t);
}

dm_transport *dm_transport_curl(const dm_clock *clock)
{
    static const dm_transport_ops ops = {send_attempt, drop,         forget,
                                         turn,         wait_for_any, close_curl};
    static bool curl_ready;
    if (!curl_ready) {
        curl_global_init(CURL_GLOBAL_DEFAULT);
        dm_fds_allow(SIZE_MAX);
        curl_ready = true;
    }
    curl_transport *t = dm_alloc(sizeof *t);
    t->transport.ops = &ops;
    t->clock = clock;
    t->timer = INFINITY;
    t->multi = curl_multi_init();
    t->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!t->multi || t->epoll < 0) {
        int why = errno;
        close_curl(&t->transport);
        errno = why;
        return NULL;
    }
    curl_multi_setopt(t->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(t->multi, CURLMOPT_SOCKETDATA, t);
    curl_multi_setopt(t->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(t->multi, CURLMOPT_TIMERDATA, t);
    return &t->transport;
}

const char *dm_transport_library(void)
{
    return curl_version();
}
