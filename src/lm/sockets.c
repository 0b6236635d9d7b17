/* Waiting for many connections: an epoll set that curl keeps up to date, so that a wake-up costs
 * what came, not what is in flight (curl_multi_poll looks at all of it, several times). */
#include "base/clock.h"
#include "lm/inside.h"

#include <math.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#define MAX_FDS    80
#define MAX_EVENTS 128

static int on_socket(CURL *easy, curl_socket_t s, int what, void *user, void *known)
{
    dm_lm *lm = user;
    struct epoll_event e = {.data.fd = s};
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(lm->epoll, EPOLL_CTL_DEL, s, NULL);
        curl_multi_assign(lm->multi, s, NULL);
        return 0;
    }
    e.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    epoll_ctl(lm->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s, &e);
    if (!known)
        curl_multi_assign(lm->multi, s, lm);
    return 0;
}

/* Only noted: curl must not be called from inside its callbacks. */
static int on_timer(CURLM *multi, long ms, void *user)
{
    dm_lm *lm = user;
    (void)multi;
    lm->timer = ms < 0 ? INFINITY : dm_now() + (double)ms / 1000;
    return 0;
}

bool dm_sockets_open(dm_lm *lm)
{
    lm->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (lm->epoll < 0)
        return false;
    lm->timer = INFINITY;
    curl_multi_setopt(lm->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(lm->multi, CURLMOPT_SOCKETDATA, lm);
    curl_multi_setopt(lm->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(lm->multi, CURLMOPT_TIMERDATA, lm);
    return true;
}

void dm_sockets_close(dm_lm *lm)
{
    close(lm->epoll);
}

void dm_sockets_turn(dm_lm *lm)
{
    int running;
    if (dm_now() < lm->timer)
        return;
    lm->timer = INFINITY; /* curl says it anew */
    curl_multi_socket_action(lm->multi, CURL_SOCKET_TIMEOUT, 0, &running);
}

static void take_events(dm_lm *lm)
{
    struct epoll_event events[MAX_EVENTS];
    int running, n = epoll_wait(lm->epoll, events, MAX_EVENTS, 0);
    for (int i = 0; i < n; i++) {
        uint32_t e = events[i].events;
        int mask = (e & EPOLLIN ? CURL_CSELECT_IN : 0) | (e & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                   (e & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
        curl_multi_socket_action(lm->multi, events[i].data.fd, mask, &running);
    }
}

void dm_sockets_wait(dm_lm *lm, dm_wait_fd *fds, size_t n, double timeout)
{
    struct pollfd wait[MAX_FDS + 1] = {{.fd = lm->epoll, .events = POLLIN}};
    n = n < MAX_FDS ? n : MAX_FDS;
    for (size_t i = 0; i < n; i++)
        wait[i + 1] = (struct pollfd){.fd = fds[i].fd, .events = POLLIN};
    timeout = fmax(0, fmin(timeout, fmin(3600, lm->timer - dm_now())));
    /* Rounded up, or the loop spins for the rest of a millisecond. */
    poll(wait, n + 1, (int)ceil(1000 * timeout));
    for (size_t i = 0; i < n; i++)
        fds[i].readable = wait[i + 1].revents != 0;
    if (wait[0].revents)
        take_events(lm);
    dm_sockets_turn(lm);
}
