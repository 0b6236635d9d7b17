#include "server.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct mock_conn {
    int fd;
    mock_server *server;
    void *tls;                          /* NULL: plain */
    mock_conn *next_dead, *next, *prev; /* prev, next: all that live */
    dm_buf in, out;
    size_t sent, fill; /* bytes of out that went; spaces that follow */
    size_t requests;   /* so far */
    bool waiting;      /* a request is being answered */
    bool marked, good, continued, dead, last;
    mock_end end;
    uint64_t mark;
    size_t timer; /* place in the heap + 1; 0: none */
    double due;
};

struct mock_server {
    int fd, epoll, port;
    mock_tls *tls;
    mock_handler *handler;
    mock_done *done;
    void *user;
    mock_conn **heap; /* [n_heap] by due */
    size_t n_heap, cap_heap;
    mock_conn *dead, *living;
};

double mock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- timers: a binary heap ---- */

static void put(mock_server *s, size_t i, mock_conn *c)
{
    s->heap[i] = c;
    c->timer = i + 1;
}

static void sift(mock_server *s, size_t i)
{
    mock_conn *c = s->heap[i];
    while (i > 0 && s->heap[(i - 1) / 2]->due > c->due) {
        put(s, i, s->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    for (;;) {
        size_t k = 2 * i + 1;
        if (k + 1 < s->n_heap && s->heap[k + 1]->due < s->heap[k]->due)
            k++;
        if (k >= s->n_heap || s->heap[k]->due >= c->due)
            break;
        put(s, i, s->heap[k]);
        i = k;
    }
    put(s, i, c);
}

static void set_timer(mock_conn *c, double delay)
{
    mock_server *s = c->server;
    c->due = mock_now() + delay;
    s->heap = dm_room(s->heap, s->n_heap, &s->cap_heap, sizeof *s->heap);
    s->heap[s->n_heap] = c;
    sift(s, s->n_heap++);
}

static void drop_timer(mock_conn *c)
{
    mock_server *s = c->server;
    if (!c->timer)
        return;
    size_t i = c->timer - 1;
    c->timer = 0;
    mock_conn *last = s->heap[--s->n_heap];
    if (last != c) {
        put(s, i, last);
        sift(s, i);
    }
}

/* ---- connections ---- */

static void answered(mock_conn *c, bool sent)
{
    if (c->marked)
        c->server->done(c->server->user, c->mark, c->good, sent);
    c->marked = false;
}

static void end_conn(mock_conn *c, bool reset)
{
    if (c->dead)
        return;
    drop_timer(c);
    answered(c, false);
    if (reset) {
        struct linger now = {1, 0};
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    if (c->tls)
        mock_tls_close(c->tls);
    close(c->fd);
    c->dead = true;
    c->next_dead = c->server->dead;
    c->server->dead = c;
    if (c->next)
        c->next->prev = c->prev;
    if (c->prev)
        c->prev->next = c->next;
    else
        c->server->living = c->next;
}

static ssize_t receive(mock_conn *c, char *p, size_t n)
{
    return c->tls ? mock_tls_recv(c->tls, p, n) : recv(c->fd, p, n, 0);
}

/* Sends what it can of n bytes and returns how many; the connection may be dead after it. */
static size_t send_some(mock_conn *c, const char *p, size_t n)
{
    size_t sent = 0;
    while (sent < n) {
        ssize_t k = c->tls ? mock_tls_send(c->tls, p + sent, n - sent)
                           : send(c->fd, p + sent, n - sent, MSG_NOSIGNAL);
        if (k > 0)
            sent += (size_t)k;
        else if (k < 0 && errno == EINTR)
            continue;
        else {
            if (k == 0 || errno != EAGAIN)
                end_conn(c, false);
            break;
        }
    }
    return sent;
}

static void flush(mock_conn *c)
{
    static char spaces[65536];
    c->sent += send_some(c, c->out.data + c->sent, c->out.len - c->sent);
    if (c->dead || c->sent < c->out.len)
        return;
    if (!*spaces)
        memset(spaces, ' ', sizeof spaces);
    while (c->fill) {
        size_t n = c->fill < sizeof spaces ? c->fill : sizeof spaces, k = send_some(c, spaces, n);
        if (c->dead)
            return;
        c->fill -= k;
        if (k < n)
            return;
    }
    dm_buf_reset(&c->out);
    c->sent = 0;
    if (c->end == MOCK_STALL)
        return;
    if (c->end == MOCK_KEEP || c->end == MOCK_CLOSE)
        answered(c, true);
    c->waiting = false;
    if (c->end != MOCK_KEEP || c->last)
        end_conn(c, c->end == MOCK_RESET);
}

void mock_mark(mock_conn *c, uint64_t mark, bool good)
{
    c->marked = true;
    c->mark = mark;
    c->good = good;
}

void mock_send(mock_conn *c, dm_buf *bytes, size_t n_fill, double delay, mock_end end)
{
    dm_buf_free(&c->out);
    c->out = *bytes;
    c->sent = 0;
    c->fill = n_fill;
    c->end = end;
    if (delay > 0)
        set_timer(c, delay);
    else
        flush(c);
}

bool mock_is_kept(const mock_conn *c)
{
    return c->requests > 1;
}

void mock_silence(mock_conn *c)
{
    c->end = MOCK_STALL;
}

void mock_status(dm_buf *b, int status, const char *headers, dm_str body)
{
    dm_buf_printf(
        b, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n",
        status, status == 200 ? "OK" : "Error", body.n, headers);
    dm_buf_str(b, body);
}

/* ---- requests ---- */

dm_str mock_header(dm_str headers, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = headers.p, *end = headers.p + headers.n; p < end;) {
        const char *eol = memmem(p, (size_t)(end - p), "\r\n", 2);
        if (!eol)
            break;
        if ((size_t)(eol - p) > n && strncasecmp(p, name, n) == 0 && p[n] == ':') {
            p += n + 1;
            while (*p == ' ')
                p++;
            return (dm_str){p, (size_t)(eol - p)};
        }
        p = eol + 2;
    }
    return (dm_str){NULL, 0};
}

/* Who sends a long body may wait to be told that it is wanted (RFC 9110, 10.1.1). */
static void ask_on(mock_conn *c, dm_str headers)
{
    static const char go[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (!c->continued && mock_header(headers, "Expect").p)
        send_some(c, go, sizeof go - 1);
    c->continued = true;
}

/* Hands over a whole request; false: it is not all here. */
static bool take_request(mock_conn *c)
{
    char *end = c->in.len ? memmem(c->in.data, c->in.len, "\r\n\r\n", 4) : NULL;
    if (!end)
        return false;
    mock_http r = {.headers = {c->in.data, (size_t)(end + 2 - c->in.data)}};
    dm_str length = mock_header(r.headers, "Content-Length");
    dm_str connection = mock_header(r.headers, "Connection");
    size_t n = length.p ? strtoul(length.p, NULL, 10) : 0, head = r.headers.n + 2;
    if (c->in.len < head + n) {
        ask_on(c, r.headers);
        return false;
    }
    r.body = (dm_str){c->in.data + head, n};
    if (sscanf(c->in.data, "%7s %255s", r.method, r.path) != 2) {
        end_conn(c, false);
        return false;
    }
    c->waiting = true;
    c->requests++;
    c->continued = false;
    c->last = connection.n == 5 && strncasecmp(connection.p, "close", 5) == 0;
    c->server->handler(c->server->user, c, &r);
    size_t used = head + n;
    memmove(c->in.data, c->in.data + used, c->in.len - used);
    c->in.len -= used;
    return !c->dead;
}

static void take_requests(mock_conn *c)
{
    while (!c->dead && !c->waiting && take_request(c))
        ;
}

static void readable(mock_conn *c)
{
    char bytes[65536];
    for (;;) {
        ssize_t n = receive(c, bytes, sizeof bytes);
        if (n > 0) {
            dm_buf_add(&c->in, bytes, (size_t)n);
            if (n < (ssize_t)sizeof bytes && !c->tls)
                break;
            continue;
        }
        if (n == 0 || errno != EAGAIN) {
            end_conn(c, false);
            return;
        }
        break;
    }
    take_requests(c);
}

static void take_connections(mock_server *s)
{
    int fd, one = 1;
    while ((fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        mock_conn *c = dm_alloc(sizeof *c);
        struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
        c->fd = fd;
        c->server = s;
        dm_buf_init(&c->in, (size_t)256 << 20);
        dm_buf_init(&c->out, (size_t)256 << 20);
        c->tls = s->tls ? mock_tls_open(s->tls, fd) : NULL;
        c->next = s->living;
        if (c->next)
            c->next->prev = c;
        s->living = c;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e);
    }
}

static void run_timers(mock_server *s)
{
    double now = mock_now();
    while (s->n_heap && s->heap[0]->due <= now) {
        mock_conn *c = s->heap[0];
        drop_timer(c);
        flush(c);
        take_requests(c);
    }
}

static void bury(mock_server *s)
{
    while (s->dead) {
        mock_conn *c = s->dead;
        s->dead = c->next_dead;
        dm_buf_free(&c->in);
        dm_buf_free(&c->out);
        free(c);
    }
}

void mock_server_turn(mock_server *s, double timeout)
{
    struct epoll_event events[256];
    double now = mock_now(), wait = timeout;
    if (s->n_heap && s->heap[0]->due - now < wait)
        wait = s->heap[0]->due - now;
    int n = epoll_wait(s->epoll, events, 256, wait <= 0 ? 0 : (int)(1000 * wait) + 1);
    for (int i = 0; i < n; i++) {
        mock_conn *c = events[i].data.ptr;
        if (!c) {
            take_connections(s);
            continue;
        }
        if (!c->dead && (events[i].events & EPOLLOUT) && !c->timer && (c->out.len || c->fill)) {
            flush(c);
            take_requests(c);
        }
        if (!c->dead && (c->tls || (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))))
            readable(c);
    }
    run_timers(s);
    bury(s);
}

mock_server *mock_server_new(int port, mock_tls *tls, mock_handler *handler, mock_done *done,
                             void *user)
{
    mock_server *s = dm_alloc(sizeof *s);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t n = sizeof a;
    int one = 1;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->tls = tls;
    s->handler = handler;
    s->done = done;
    s->user = user;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s->fd, (struct sockaddr *)&a, sizeof a) != 0) {
        close(s->fd);
        close(s->epoll);
        free(s);
        return NULL;
    }
    getsockname(s->fd, (struct sockaddr *)&a, &n);
    s->port = ntohs(a.sin_port);
    return s;
}

bool mock_server_listen(mock_server *s)
{
    struct epoll_event e = {.events = EPOLLIN};
    return listen(s->fd, 4096) == 0 && epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->fd, &e) == 0;
}

int mock_server_port(const mock_server *s)
{
    return s->port;
}

void mock_server_free(mock_server *s)
{
    while (s->living)
        end_conn(s->living, false);
    bury(s);
    close(s->fd);
    close(s->epoll);
    free(s->heap);
    free(s);
}
