#include "cluster/doorbell.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_ADDRESSES 8 /* of a host, tried until it is heard of */

typedef struct card {   /* what the others are given: how we may be reached */
    sa_family_t family; /* AF_UNSPEC: not at all */
    socklen_t len;      /* of un */
    struct sockaddr_un un;
    in_port_t port;
    size_t n;
    struct in_addr in[MAX_ADDRESSES];
} card;

typedef struct neighbour {
    card card;
    bool known; /* its datagrams come from there */
    struct sockaddr_in from;
} neighbour;

struct dm_doorbell {
    int fd;
    card own;
    neighbour *peers; /* [n] */
    int n;
    uint64_t token;
};

typedef struct beat { /* a ring is one byte */
    uint64_t token;
    int32_t rank;
} beat;

/* Not by the host's name: Debian resolves it to 127.0.1.1. */
static void list_addresses(card *own)
{
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) != 0)
        all = NULL;
    for (struct ifaddrs *i = all; i && own->n < MAX_ADDRESSES; i = i->ifa_next)
        if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET && (i->ifa_flags & IFF_UP) &&
            !(i->ifa_flags & IFF_LOOPBACK))
            own->in[own->n++] = ((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr;
    freeifaddrs(all);
    if (own->n == 0)
        own->in[own->n++] = (struct in_addr){htonl(INADDR_LOOPBACK)};
}

static bool bind_unix(dm_doorbell *b)
{
    struct sockaddr_un autobind = {.sun_family = AF_UNIX};
    b->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    b->own.family = AF_UNIX;
    b->own.len = sizeof b->own.un;
    return b->fd >= 0 &&
           bind(b->fd, (struct sockaddr *)&autobind, sizeof autobind.sun_family) == 0 &&
           getsockname(b->fd, (struct sockaddr *)&b->own.un, &b->own.len) == 0;
}

static bool bind_udp(dm_doorbell *b, const char *wanted)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_ANY)}};
    socklen_t len = sizeof at;
    b->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    b->own.family = AF_INET;
    if (b->fd < 0)
        return false;
    if (wanted && inet_pton(AF_INET, wanted, &at.sin_addr) == 1 &&
        bind(b->fd, (struct sockaddr *)&at, sizeof at) == 0) {
        b->own.in[b->own.n++] = at.sin_addr;
    } else {
        at.sin_addr.s_addr = htonl(INADDR_ANY);
        if (bind(b->fd, (struct sockaddr *)&at, sizeof at) != 0)
            return false;
        list_addresses(&b->own);
    }
    if (getsockname(b->fd, (struct sockaddr *)&at, &len) != 0)
        return false;
    b->own.port = at.sin_port;
    return true;
}

dm_doorbell *dm_doorbell_new(bool one_host, const char *interface_address, dm_error *err)
{
    dm_doorbell *b = dm_alloc(sizeof *b);
    b->fd = -1;
    if (one_host ? bind_unix(b) : bind_udp(b, interface_address))
        return b;
    if (b->fd >= 0)
        close(b->fd);
    memset(&b->own, 0, sizeof b->own);
    b->own.family = AF_UNSPEC;
    b->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); /* what loops sleep on; nobody writes to it */
    if (b->fd >= 0)
        return b;
    dm_fail(err, DM_E_INTERNAL, "the ranks' bell: %s", strerror(errno));
    dm_doorbell_free(b);
    return NULL;
}

void dm_doorbell_free(dm_doorbell *b)
{
    if (!b)
        return;
    if (b->fd >= 0)
        close(b->fd);
    free(b->peers);
    free(b);
}

const void *dm_doorbell_address(const dm_doorbell *b, size_t *len)
{
    *len = sizeof b->own;
    return &b->own;
}

void dm_doorbell_peers(dm_doorbell *b, const void *addresses, size_t len_each, int n)
{
    b->n = n;
    b->peers = dm_alloc_n((size_t)n, sizeof *b->peers);
    for (int i = 0; i < n && len_each == sizeof(card); i++) {
        card *c = &b->peers[i].card;
        memcpy(c, (const char *)addresses + (size_t)i * len_each, sizeof *c);
        if (c->family != b->own.family || c->len > sizeof c->un || c->n > MAX_ADDRESSES)
            c->family = AF_UNSPEC;
    }
}

static int send_to(const dm_doorbell *b, const struct sockaddr_in *to, const void *bytes, size_t n)
{
    if (sendto(b->fd, bytes, n, MSG_DONTWAIT, (const struct sockaddr *)to, sizeof *to) >= 0)
        return 0;
    return errno;
}

/* errno, 0 where it left; of several addresses 0 where it left to one. */
static int send_datagram(const dm_doorbell *b, int to, const void *bytes, size_t n)
{
    if (to < 0 || to >= b->n)
        return 0;
    const neighbour *p = &b->peers[to];
    if (p->card.family == AF_UNIX)
        return sendto(b->fd, bytes, n, MSG_DONTWAIT, (const struct sockaddr *)&p->card.un,
                      p->card.len) >= 0
                   ? 0
                   : errno;
    if (p->card.family != AF_INET)
        return 0;
    if (p->known)
        return send_to(b, &p->from, bytes, n);
    int why = 0, sent = 0;
    for (size_t i = 0; i < p->card.n; i++) {
        struct sockaddr_in at = {.sin_family = AF_INET,
                                 .sin_port = p->card.port,
                                 .sin_addr = p->card.in[i]};
        int e = send_to(b, &at, bytes, n);
        sent += e == 0;
        why = e ? e : why;
    }
    return sent ? 0 : why;
}

void dm_doorbell_ring(dm_doorbell *b, int peer)
{
    (void)send_datagram(b, peer, "", 1); /* EAGAIN: its queue is full, so it is awake */
}

int dm_doorbell_fd(const dm_doorbell *b)
{
    return b->fd;
}

static void learn(neighbour *p, const struct sockaddr_in *from, socklen_t len)
{
    if (p->card.family != AF_INET || len != sizeof *from || from->sin_family != AF_INET)
        return;
    p->from = *from;
    p->known = true;
}

bool dm_doorbell_hush(dm_doorbell *b, void (*heard)(void *user, int rank), void *user)
{
    beat it;
    bool rang = false;
    ssize_t n;
    if (b->own.family == AF_UNSPEC)
        return false;
    for (;;) {
        struct sockaddr_storage from = {0};
        socklen_t len = sizeof from;
        n = recvfrom(b->fd, &it, sizeof it, MSG_DONTWAIT, (struct sockaddr *)&from, &len);
        if (n < 0)
            break;
        if (n < (ssize_t)sizeof it) {
            rang = true;
        } else if (it.token == b->token && it.rank >= 0 && it.rank < b->n) {
            learn(&b->peers[it.rank], (struct sockaddr_in *)(void *)&from, len);
            if (heard)
                heard(user, it.rank);
        }
    }
    return rang;
}

dm_beat dm_doorbell_beat(dm_doorbell *b, int peer, int rank)
{
    beat it;
    memset(&it, 0, sizeof it);
    it.token = b->token;
    it.rank = rank;
    int why = send_datagram(b, peer, &it, sizeof it);
    if (why == ECONNREFUSED && b->own.family == AF_UNIX)
        return DM_BEAT_GONE;
    return why == EAGAIN || why == ENOBUFS ? DM_BEAT_FULL : DM_BEAT_SENT;
}

void dm_doorbell_search(dm_doorbell *b, int peer)
{
    b->peers[peer].known = false;
}

void dm_doorbell_token(dm_doorbell *b, uint64_t token)
{
    b->token = token;
}
