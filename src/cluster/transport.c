#include "cluster/transport.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cluster/signs.h"

#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define BEAT_SECONDS 1.0 /* a machine may be busy: 4 times what src/cluster/README.md §7.2 says */
/* Messages that say no more than that we live: those of the coordinator are for ranks that hear no
 * datagrams, and wait long. Few, so that not many queue for one that is dead (src/cluster/README.md
 * §7.3). */
#define SPEAK_SECONDS   1.0
#define COMMAND_SECONDS 20.0
#define TRY_SECONDS     3.0  /* for the first datagrams: a machine starts many ranks at once */
#define AGAIN_SECONDS   0.05 /* between two of them */
#define PROBES          4 /* a fresh message shows only in the next probe (src/cluster/README.md §2) */

typedef struct parcel { /* one message, under way */
    struct parcel *next;
    int rank;
    char *bytes;
    size_t n;
    dm_post_request request;
    bool done;
} parcel;

typedef struct parcels {
    parcel *first, **end;
    size_t n;
} parcels;

struct dm_transport {
    pthread_t thread; /* the one that may call */
    const dm_post *post;
    int rank, size;
    dm_doorbell *bell;
    parcels out, in; /* in: in the order in which they were matched */
    size_t *pending; /* [size] */
    parcel *current; /* what receive gave last */
    parcels dead;    /* sends to ranks that are lost: MPI may still look at the bytes */
    dm_signs *signs;
    double looked;           /* dm_now() of the last turn */
    double *beaten, *spoken; /* [size] when a datagram, and a message, went to it */
    struct sign {
        dm_post_request request;
        bool under_way;
    } * alive; /* [size] the last message without a byte: there is nothing to read or to write */
    int n_apart, apart; /* ranks that datagrams did not join with rank 0 at the start, and one */
};

/* MPI was started with MPI_THREAD_FUNNELED: a call from a strand would end who knows where. */
static void only_main_thread(const dm_transport *t)
{
    assert(pthread_equal(t->thread, pthread_self()));
}

static void add(parcels *l, parcel *p)
{
    if (!l->end)
        l->end = &l->first;
    *l->end = p;
    l->end = &p->next;
    l->n++;
}

static void parcel_free(parcel *p)
{
    if (p)
        free(p->bytes);
    free(p);
}

/* ---- start ---- */

static dm_status exchange_bells(dm_transport *t, dm_error *err)
{
    t->bell = dm_doorbell_new(t->post->one_host(), getenv("DM_INTERFACE"), err);
    size_t len = 0;
    const void *mine = t->bell ? dm_doorbell_address(t->bell, &len) : NULL;
    uint64_t token = (uint64_t)(1e9 * dm_now()); /* no clock that is set gives one twice */
    int n = (int)len, longest = 0, shortest = 0;
    t->post->extremes(n, &shortest, &longest);
    if (!t->bell)
        return err->status;
    if (shortest == 0) /* all end, or those that have one would wait for the others */
        return dm_fail(err, DM_E_INTERNAL, "the ranks' bell: another rank has none");
    if (t->rank == 0)
        (void)!getrandom(&token, sizeof token, 0);
    t->post->spread(&token, (int)sizeof token);
    dm_doorbell_token(t->bell, token);
    char *all = dm_alloc_n((size_t)t->size, (size_t)longest), *own = dm_alloc((size_t)longest);
    memcpy(own, mine, len);
    (void)t->post->gather(own, all, longest);
    dm_doorbell_peers(t->bell, all, (size_t)longest, t->size);
    free(own);
    free(all);
    return DM_OK;
}

static bool is_partner(const dm_transport *t, int rank)
{
    return rank != t->rank && (t->rank == 0 || rank == 0);
}

static void heard_datagram(void *t, int rank)
{
    dm_signs_heard(((dm_transport *)t)->signs, rank, DM_ROAD_DATAGRAM);
}

/* Beats to all partners each AGAIN_SECONDS while they last, and what comes is heard. */
static void exchange_beats(dm_transport *t, double *last)
{
    struct pollfd fd = {dm_doorbell_fd(t->bell), POLLIN, 0};
    if (dm_now() - *last >= AGAIN_SECONDS) {
        *last = dm_now();
        for (int i = 0; i < t->size; i++)
            if (is_partner(t, i))
                (void)dm_doorbell_beat(t->bell, i, t->rank);
    }
    poll(&fd, 1, 5);
    dm_signs_listen(t->signs, dm_now());
    (void)dm_doorbell_hush(t->bell, heard_datagram, t);
}

/* Do datagrams get through? Each rank goes on sending until all have told rank 0 what they heard: a
 * slow one needs those of the others. Nobody waits inside of MPI. */
static void try_datagrams(dm_transport *t)
{
    int *hears = dm_alloc_n((size_t)t->size, sizeof *hears), mine = 0;
    double began = dm_now(), last = began - AGAIN_SECONDS;
    bool told = false, all_told = false;
    dm_post_request telling;
    for (int i = 0; i < t->size; i++)
        dm_signs_expect(t->signs, i, is_partner(t, i));
    while (!all_told) {
        exchange_beats(t, &last);
        bool enough = !dm_signs_deaf(t->signs) || dm_now() - began > TRY_SECONDS;
        if (!told && enough) {
            mine = !dm_signs_deaf(t->signs);
            t->post->collect(&mine, hears, &telling);
            told = true;
        }
        all_told = told && t->post->done(&telling);
    }
    for (int i = t->size - 1; i > 0 && t->rank == 0; i--)
        if (!hears[i] || !dm_signs_hears(t->signs, i, DM_ROAD_DATAGRAM)) {
            t->n_apart++;
            t->apart = i;
        }
    free(hears);
}

dm_transport *dm_transport_new(const dm_post *post, int rank, int size, dm_error *err)
{
    dm_transport *t = dm_alloc(sizeof *t);
    dm_error local = {DM_OK, ""};
    t->post = post;
    t->thread = pthread_self();
    t->rank = rank;
    t->size = size;
    t->pending = dm_alloc_n((size_t)size, sizeof *t->pending);
    t->beaten = dm_alloc_n((size_t)size, sizeof *t->beaten);
    t->spoken = dm_alloc_n((size_t)size, sizeof *t->spoken);
    t->alive = dm_alloc_n((size_t)size, sizeof *t->alive);
    t->looked = dm_now();
    t->signs = dm_signs_new(size, t->looked);
    if (exchange_bells(t, &local) != DM_OK) {
        if (err)
            *err = local;
        dm_transport_free(t);
        return NULL;
    }
    try_datagrams(t);
    return t;
}

int dm_transport_apart(const dm_transport *t, int *one)
{
    *one = t->apart;
    return t->n_apart;
}

void dm_transport_free(dm_transport *t)
{
    if (!t)
        return;
    only_main_thread(t);
    parcel_free(t->current);
    if (t->bell)
        dm_doorbell_free(t->bell);
    free(t->pending);
    dm_signs_free(t->signs);
    free(t->beaten);
    free(t->spoken);
    free(t->alive); /* what is in it has no bytes that MPI might still look at */
    free(t);
}

/* ---- sending ---- */

void dm_transport_send(dm_transport *t, int rank, dm_buf *msg)
{
    only_main_thread(t);
    parcel *p = dm_alloc(sizeof *p);
    p->rank = rank;
    p->bytes = dm_buf_take(msg, &p->n);
    if (!t->post->send(p->bytes, p->n, rank, DM_POST_PARCEL, &p->request)) {
        dm_log(DM_WARN, "a message to rank %d could not be sent", rank);
        parcel_free(p);
        return;
    }
    add(&t->out, p);
    t->pending[rank]++;
    t->spoken[rank] = dm_now();
    dm_signs_traffic(t->signs, t->spoken[rank]); /* an answer may come soon */
    dm_doorbell_ring(t->bell, rank);
}

static void finish_sends(dm_transport *t)
{
    parcel **at = &t->out.first;
    while (*at) {
        parcel *p = *at;
        if (!t->post->done(&p->request)) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        t->pending[p->rank]--;
        t->out.n--;
        parcel_free(p);
    }
    t->out.end = at;
}

size_t dm_transport_pending(const dm_transport *t, int rank)
{
    only_main_thread(t);
    return t->pending[rank];
}

/* ---- receiving ---- */

/* Of the messages that only say that their rank lives. They are no reason to stay awake. */
static void hear_the_living(dm_transport *t)
{
    int rank;
    size_t n;
    while (t->post->match(DM_POST_SIGN, &rank, &n)) {
        t->post->drop();
        dm_signs_heard(t->signs, rank, DM_ROAD_MESSAGE);
    }
}

static bool match_one(dm_transport *t)
{
    int rank = 0;
    size_t n = 0;
    bool found = false;
    for (int i = 0; i < PROBES && !found; i++)
        found = t->post->match(DM_POST_PARCEL, &rank, &n);
    if (!found)
        return false;
    dm_signs_heard(t->signs, rank, DM_ROAD_MESSAGE);
    parcel *p = dm_alloc(sizeof *p);
    p->rank = rank;
    p->n = n;
    p->bytes = dm_alloc(n + 1);
    t->post->take(p->bytes, n, &p->request);
    add(&t->in, p);
    return true;
}

static void finish_receives(dm_transport *t)
{
    for (parcel *p = t->in.first; p; p = p->next) {
        bool done = p->done || t->post->done(&p->request);
        if (!done)
            dm_doorbell_ring(t->bell, p->rank); /* the body moves only while both are inside MPI */
        p->done = done;
    }
}

bool dm_transport_receive(dm_transport *t, int *rank, dm_str *bytes)
{
    only_main_thread(t);
    parcel_free(t->current);
    t->current = NULL;
    finish_sends(t);
    while (match_one(t))
        ;
    hear_the_living(t);
    finish_receives(t);
    parcel *p = t->in.first;
    if (!p || !p->done)
        return false;
    t->in.first = p->next;
    if (!t->in.first)
        t->in.end = &t->in.first;
    t->in.n--;
    t->current = p;
    dm_signs_traffic(t->signs, dm_now());
    dm_signs_heard(t->signs, p->rank, DM_ROAD_MESSAGE);
    *rank = p->rank;
    *bytes = (dm_str){p->bytes, p->n};
    return true;
}

/* ---- sleeping ---- */

double dm_transport_patience(const dm_transport *t)
{
    only_main_thread(t);
    return dm_signs_patience(t->signs, dm_now(), t->out.n + t->in.n > 0);
}

int dm_transport_bell(const dm_transport *t)
{
    only_main_thread(t);
    return dm_doorbell_fd(t->bell);
}

/* ---- signs of life ---- */

/* Without a byte, and one at a time: where MPI holds the last one back, nothing is added. */
static void speak(dm_transport *t, int other)
{
    double every = t->rank == 0 ? COMMAND_SECONDS : SPEAK_SECONDS;
    struct sign *last = &t->alive[other];
    if (t->looked - t->spoken[other] < every)
        return;
    if (last->under_way && !t->post->done(&last->request))
        return;
    t->spoken[other] = t->looked;
    last->under_way = t->post->send(NULL, 0, other, DM_POST_SIGN, &last->request);
}

bool dm_transport_heartbeat(dm_transport *t, int other)
{
    only_main_thread(t);
    speak(t, other);
    if (t->looked - t->beaten[other] < BEAT_SECONDS)
        return true;
    bool joined = dm_signs_hears(t->signs, other, DM_ROAD_DATAGRAM);
    if (!joined)
        dm_doorbell_search(t->bell, other);
    dm_beat b = dm_doorbell_beat(t->bell, other, t->rank);
    if (b != DM_BEAT_FULL)
        t->beaten[other] = t->looked;
    return b != DM_BEAT_GONE || !joined;
}

double dm_transport_silence(const dm_transport *t, int other)
{
    only_main_thread(t);
    return dm_signs_silence(t->signs, other);
}

void dm_transport_forget(dm_transport *t, int rank)
{
    only_main_thread(t);
    parcel **at = &t->out.first;
    while (*at) {
        parcel *p = *at;
        if (p->rank != rank) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        t->out.n--;
        p->next = NULL;
        add(&t->dead, p);
    }
    t->out.end = at;
    t->pending[rank] = 0;
    dm_signs_expect(t->signs, rank, false);
}

void dm_transport_hear(dm_transport *t, bool rang)
{
    only_main_thread(t);
    t->looked = dm_now();
    dm_signs_listen(t->signs, t->looked);
    if (rang && dm_doorbell_hush(t->bell, heard_datagram, t))
        dm_signs_traffic(t->signs, t->looked);
    else
        dm_signs_idle(t->signs);
}

void dm_transport_drain(dm_transport *t, double seconds)
{
    only_main_thread(t);
    double until = dm_now() + seconds;
    while (t->out.n > 0 && dm_now() < until) {
        struct pollfd fd = {dm_transport_bell(t), POLLIN, 0};
        finish_sends(t);
        if (t->out.n > 0)
            poll(&fd, 1, 1);
    }
}
