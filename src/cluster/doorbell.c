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
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct address {
    socklen_t len;
    union {
        struct sockaddr any;
        struct sockaddr_un un;
        struct sockaddr_in in;
    } a;
} address;

struct dm_doorbell {
    int fd;
    address own;
    address *peers; /* [n] */
    int n;
    uint64_t token;
};

typedef struct beat { /* a ring is one byte */
    uint64_t token;
    int32_t rank;
} beat;

/* Not by the host's name: Debian resolves it to 127.0.1.1. */
static struct in_addr own_address(const char *wanted)
{
    struct in_addr found = {htonl(INADDR_LOOPBACK)};
    struct ifaddrs *all = NULL;
    if (wanted && inet_pton(AF_INET, wanted, &found) == 1)
        return found;
    if (getifaddrs(&all) != 0)
        return found;
    for (struct ifaddrs *i = all; i; i = i->ifa_next)
        if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET && (i->ifa_flags & IFF_UP) &&
            !(i->ifa_flags & IFF_LOOPBACK)) {
            found = ((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr;
            break;
        }
    freeifaddrs(all);
    return found;
}

static bool bind_unix(dm_doorbell *b)
{
    struct sockaddr_un autobind = {.sun_family = AF_UNIX};
    b->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    b->own.len = sizeof b->own.a.un;
    return b->fd >= 0 &&
           bind(b->fd, (struct sockaddr *)&autobind, sizeof autobind.sun_family) == 0 &&
           getsockname(b->fd, &b->own.a.any, &b->own.len) == 0;
}

static bool bind_udp(dm_doorbell *b, const char *wanted)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = own_address(wanted)};
    b->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    b->own.len = sizeof b->own.a.in;
    return b->fd >= 0 && bind(b->fd, (struct sockaddr *)&any, sizeof any) == 0 &&
           getsockname(b->fd, &b->own.a.any, &b->own.len) == 0;
}

dm_doorbell *dm_doorbell_new(bool one_host, const char *interface_address, dm_error *err)
{
    dm_doorbell *b = dm_alloc(sizeof *b);
    b->fd = -1;
    if (one_host ? bind_unix(b) : bind_udp(b, interface_address))
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
    for (int i = 0; i < n; i++)
        memcpy(&b->peers[i], (const char *)addresses + (size_t)i * len_each,
               len_each < sizeof(address) ? len_each : sizeof(address));
}

void dm_doorbell_ring(dm_doorbell *b, int peer)
{
    if (peer >= 0 && peer < b->n &&
        b->peers[peer].len > 0) /* EAGAIN: its queue is full, so it is awake */
        (void)sendto(b->fd, "", 1, MSG_DONTWAIT, &b->peers[peer].a.any, b->peers[peer].len);
}

int dm_doorbell_fd(const dm_doorbell *b)
{
    return b->fd;
}

bool dm_doorbell_hush(dm_doorbell *b, double *heard, double now)
{
    beat it;
    bool rang = false;
    ssize_t n;
    while ((n = recv(b->fd, &it, sizeof it, MSG_DONTWAIT)) >= 0)
        if (n < (ssize_t)sizeof it)
            rang = true;
        else if (heard && it.token == b->token && it.rank >= 0 && it.rank < b->n)
            heard[it.rank] = now;
    return rang;
}

dm_beat dm_doorbell_beat(dm_doorbell *b, int peer, int rank)
{
    beat it;
    memset(&it, 0, sizeof it);
    it.token = b->token;
    it.rank = rank;
    if (peer < 0 || peer >= b->n || b->peers[peer].len == 0 ||
        sendto(b->fd, &it, sizeof it, MSG_DONTWAIT, &b->peers[peer].a.any, b->peers[peer].len) >= 0)
        return DM_BEAT_SENT;
    return errno == ECONNREFUSED ? DM_BEAT_GONE : DM_BEAT_FULL;
}

void dm_doorbell_token(dm_doorbell *b, uint64_t token)
{
    b->token = token;
}
