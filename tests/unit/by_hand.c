#include "by_hand.h"

#include "base/clock.h"
#include "base/mem.h"
#include "json/json.h"
#include "pool/inside.h"
#include "pool/worker.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* ---- clock and disk ---- */

static struct timespec stopped;
static bool stands;

int clock_gettime(clockid_t id, struct timespec *t)
{
    if (stands && id == CLOCK_MONOTONIC) {
        *t = stopped;
        return 0;
    }
    return (int)syscall(SYS_clock_gettime, id, t);
}

void hand_clock_stop(void)
{
    clock_gettime(CLOCK_MONOTONIC, &stopped);
    stands = true;
}

void hand_clock_go(double seconds)
{
    double whole = floor(seconds);
    stopped.tv_sec += (time_t)whole;
    stopped.tv_nsec += (long)ceil(1e9 * (seconds - whole));
    if (stopped.tv_nsec >= 1000000000) {
        stopped.tv_nsec -= 1000000000;
        stopped.tv_sec++;
    }
}

struct hand_disk hand_disk = {.syncs = SIZE_MAX};

int fdatasync(int fd)
{
    struct stat s;
    if (hand_disk.syncs == 0) {
        errno = EIO;
        return -1;
    }
    if (hand_disk.syncs != SIZE_MAX)
        hand_disk.syncs--;
    hand_disk.done++;
    if (fstat(fd, &s) == 0)
        hand_disk.kept = s.st_size;
    return (int)syscall(SYS_fdatasync, fd);
}

/* ---- a server ---- */

static void came(void *user, mock_conn *conn, const mock_http *r)
{
    hand_server *s = user;
    hand_request h = {.conn = conn, .number = ++s->n_came};
    cr_assert_lt(s->n_held, (size_t)HAND_MOST);
    h.body = dm_alloc(r->body.n + 1);
    memcpy(h.body, r->body.p, r->body.n);
    s->held[s->n_held++] = h;
    s->peak = s->n_held > s->peak ? s->n_held : s->peak;
    mock_mark(conn, h.number, true);
}

/* Answered, or the caller has gone. */
static void left(void *user, uint64_t number, bool good, bool sent)
{
    hand_server *s = user;
    size_t i = 0;
    (void)good;
    (void)sent;
    while (i < s->n_held && s->held[i].number != number)
        i++;
    if (i == s->n_held)
        return;
    free(s->held[i].body);
    for (s->n_held--; i < s->n_held; i++)
        s->held[i] = s->held[i + 1];
}

hand_server *hand_server_new(void)
{
    hand_server *s = dm_alloc(sizeof *s);
    s->server = mock_server_new(0, NULL, came, left, s);
    cr_assert(s->server && mock_server_listen(s->server), "no server: %s", strerror(errno));
    snprintf(s->base, sizeof s->base, "http://127.0.0.1:%d/v1", mock_server_port(s->server));
    return s;
}

void hand_server_free(hand_server *s)
{
    mock_server_free(s->server);
    free(s);
}

void hand_server_turn(hand_server *s)
{
    mock_server_turn(s->server, 0);
}

void hand_refuse(hand_server *s, size_t i, int status, const char *headers)
{
    dm_buf b;
    dm_buf_init(&b, 65536);
    mock_status(&b, status, headers, DM_STR("{\"error\": {\"message\": \"by hand\"}}"));
    mock_send(s->held[i].conn, &b, 0, 0, MOCK_KEEP);
}

void hand_answer(hand_server *s, size_t i, const char *content, long prompt, long completion)
{
    dm_buf body, b;
    dm_buf_init(&body, 1 << 22);
    dm_buf_init(&b, 1 << 22);
    dm_buf_text(&body, "{\"choices\": [{\"message\": {\"content\": ");
    dm_json_write_string(&body, dm_str_of(content));
    dm_buf_printf(&body,
                  "}, \"finish_reason\": \"stop\"}], \"usage\": {\"prompt_tokens\": %ld, "
                  "\"completion_tokens\": %ld}}",
                  prompt, completion);
    mock_status(&b, 200, "", dm_buf_view(&body));
    s->tokens += (double)(prompt + completion);
    s->cost += ((double)prompt * s->prompt_price + (double)completion * s->completion_price) / 1e6;
    mock_send(s->held[i].conn, &b, 0, 0, MOCK_KEEP);
    dm_buf_free(&body);
}

void hand_close(hand_server *s, size_t i)
{
    dm_buf b;
    dm_buf_init(&b, 16);
    mock_send(s->held[i].conn, &b, 0, 0, MOCK_CLOSE);
}

/* ---- a crew ---- */

struct crew_message {
    struct crew_message *next;
    int worker;
    dm_buf bytes;
};

typedef struct port { /* of a worker */
    crew *crew;
    int worker;
} port;

static port ports[CREW_MOST];

static void from_worker(void *user, dm_buf *bytes)
{
    const port *p = user;
    struct crew_message *m = dm_alloc(sizeof *m);
    *m = (struct crew_message){.worker = p->worker, .bytes = *bytes};
    *p->crew->end = m;
    p->crew->end = &m->next;
    p->crew->idle = 0;
}

static void to_worker(dm_link *link, int worker, dm_buf *msg)
{
    crew *c = (crew *)link;
    dm_worker_receive(c->member[worker].worker, dm_buf_view(msg));
    dm_buf_free(msg);
    c->idle = 0;
}

static size_t pending(dm_link *link, int worker)
{
    (void)link;
    (void)worker;
    return 0;
}

static void message_free(struct crew_message *m)
{
    if (m)
        dm_buf_free(&m->bytes);
    free(m);
}

static bool receive(dm_link *link, int *worker, dm_str *bytes)
{
    crew *c = (crew *)link;
    message_free(c->current);
    c->current = NULL;
    for (struct crew_message **m = &c->first; *m; m = &(*m)->next) {
        if (c->member[(*m)->worker].late)
            continue;
        c->current = *m;
        *m = c->current->next;
        if (!*m)
            c->end = m;
        *worker = c->current->worker;
        *bytes = dm_buf_view(&c->current->bytes);
        return true;
    }
    return false;
}

static int lost(dm_link *link)
{
    crew *c = (crew *)link;
    return c->n_lost ? c->lost[--c->n_lost] : -1;
}

/* A turn of all; time passes where nothing happens. */
static void wait_by_hand(dm_link *link, double timeout)
{
    crew *c = (crew *)link;
    size_t came_before = c->server->n_came, held = c->server->n_held;
    (void)timeout;
    for (int k = 0; k < link->n_workers; k++)
        if (!c->member[k].asleep)
            (void)dm_worker_step(c->member[k].worker, NULL, 0, 0);
    mock_server_turn(c->server->server, c->idle > 20 ? .0005 : 0); /* the system may be behind */
    c->idle = c->server->n_came == came_before && c->server->n_held == held ? c->idle + 1 : 0;
    c->act(c);
    if (c->idle > 2)
        hand_clock_go(c->idle > 20 ? .05 : .002);
    cr_assert_lt(c->idle, (size_t)20000, "nothing happens any more");
}

static double now(dm_link *link)
{
    (void)link;
    return dm_now();
}

static void close_crew(dm_link *link)
{
    crew *c = (crew *)link;
    message_free(c->current);
    while (c->first) {
        struct crew_message *m = c->first;
        c->first = m->next;
        message_free(m);
    }
    for (int k = 0; k < link->n_workers; k++)
        dm_worker_free(c->member[k].worker);
    free(c);
}

dm_pool *crew_pool(crew **out, int n, const dm_setup *setup, hand_server *server,
                   void (*act)(crew *c), void *user)
{
    static const dm_link_ops ops = {to_worker,    pending, receive,   lost,
                                    wait_by_hand, now,     close_crew};
    crew *c = dm_alloc(sizeof *c);
    dm_error err = {DM_OK, ""};
    c->link = (dm_link){&ops, n, true};
    c->server = server;
    c->act = act;
    c->user = user;
    c->end = &c->first;
    for (int k = 0; k < n; k++) {
        ports[k] = (port){c, k};
        c->member[k].worker =
            dm_worker_new((dm_worker_port){.send = from_worker, .user = &ports[k]}, setup);
    }
    *out = c;
    dm_pool *p = dm_pool_new(&c->link, setup, &err);
    cr_assert_not_null(p, "%s", err.text);
    return p;
}

void crew_lose(crew *c, int worker)
{
    c->member[worker].asleep = c->member[worker].late = true;
    c->lost[c->n_lost++] = worker;
}
