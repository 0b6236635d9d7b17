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
    mock_conn *next_dead;
    dm_buf in, out;
    size_t sent;
    bool waiting; /* a request is being answered */
    bool close_after, dead;
    size_t timer; /* place in the heap + 1; 0: none */
    double due;
    bool reset;
};

struct mock_server {
    int fd, epoll, port;
    mock_handler *handler;
    void *user;
    mock_conn **heap; /* [n_heap] by due */
    size_t n_heap, cap_heap;
    mock_conn *dead;
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
    if (s->n_heap == s->cap_heap) {
        s->cap_heap = s->cap_heap ? 2 * s->cap_heap : 64;
        s->heap = dm_grow(s->heap, s->cap_heap, sizeof *s->heap);
    }
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

static void end_conn(mock_conn *c, bool reset)
{
    if (c->dead)
        return;
    drop_timer(c);
    if (reset) {
        struct linger now = {1, 0};
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    close(c->fd);
    c->dead = true;
    c->next_dead = c->server->dead;
    c->server->dead = c;
}

static void flush(mock_conn *c)
{
    while (c->sent < c->out.len) {
        ssize_t n = send(c->fd, c->out.data + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            end_conn(c, false);
            return;
        }
        c->sent += (size_t)n;
    }
    if (c->out.len == 0)
        return;
    dm_buf_reset(&c->out);
    c->sent = 0;
    c->waiting = false;
    if (c->close_after)
        end_conn(c, false);
}

void mock_send(mock_conn *c, dm_buf *bytes, double delay, bool close_after)
{
    dm_buf_free(&c->out);
    c->out = *bytes;
    c->close_after = close_after;
    if (delay > 0)
        set_timer(c, delay);
    else
        flush(c);
}

void mock_reset(mock_conn *c, double delay)
{
    c->reset = true;
    set_timer(c, delay);
}

void mock_silence(mock_conn *c)
{
    (void)c;
}

void mock_status(dm_buf *b, int status, const char *headers, dm_str body)
{
    dm_buf_printf(
        b, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n",
        status, status == 200 ? "OK" : "Error", body.n, headers);
    dm_buf_str(b, body);
}

/* ---- requests ---- */

static dm_str header_value(dm_str headers, const char *name)
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

/* Hands over a whole request; false: it is not all here. */
static bool take_request(mock_conn *c)
{
    char *end = c->in.len ? memmem(c->in.data, c->in.len, "\r\n\r\n", 4) : NULL;
    if (!end)
        return false;
    mock_http r = {.headers = {c->in.data, (size_t)(end + 2 - c->in.data)}};
    dm_str length = header_value(r.headers, "Content-Length");
    size_t n = length.p ? strtoul(length.p, NULL, 10) : 0, head = r.headers.n + 2;
    if (c->in.len < head + n)
        return false;
    r.body = (dm_str){c->in.data + head, n};
    if (sscanf(c->in.data, "%7s %255s", r.method, r.path) != 2) {
        end_conn(c, false);
        return false;
    }
    c->waiting = true;
    c->server->handler(c->server->user, c, &r);
    size_t used = head + n;
    memmove(c->in.data, c->in.data + used, c->in.len - used);
    c->in.len -= used;
    return !c->dead;
}

static void readable(mock_conn *c)
{
    char bytes[65536];
    for (;;) {
        ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
        if (n > 0) {
            dm_buf_add(&c->in, bytes, (size_t)n);
            if (n < (ssize_t)sizeof bytes)
                break;
            continue;
        }
        if (n == 0 || errno != EAGAIN) {
            end_conn(c, false);
            return;
        }
        break;
    }
    while (!c->dead && !c->waiting && take_request(c))
        ;
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
        if (c->reset) {
            end_conn(c, true);
            continue;
        }
        flush(c);
        while (!c->dead && !c->waiting && take_request(c))
            ;
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
        if (!c->dead && (events[i].events & EPOLLOUT) && !c->timer && c->out.len)
            flush(c);
        if (!c->dead && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
            readable(c);
    }
    run_timers(s);
    bury(s);
}

mock_server *mock_server_new(int port, mock_handler *handler, void *user)
{
    mock_server *s = dm_alloc(sizeof *s);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t n = sizeof a;
    struct epoll_event e = {.events = EPOLLIN};
    int one = 1;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->handler = handler;
    s->user = user;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s->fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(s->fd, 4096) != 0) {
        free(s);
        return NULL;
    }
    getsockname(s->fd, (struct sockaddr *)&a, &n);
    s->port = ntohs(a.sin_port);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->fd, &e);
    return s;
}

int mock_server_port(const mock_server *s)
{
    return s->port;
}

void mock_server_free(mock_server *s)
{
    close(s->fd);
    close(s->epoll);
    bury(s);
    free(s->heap);
    free(s);
}
