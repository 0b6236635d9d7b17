/* What tests hold in their own hands, so that amounts and times are counted and not waited for: the
 * clock, the disk's syncs, a server whose answers the test gives one by one, and a crew of real
 * workers in this process. */
#ifndef DM_TESTS_BY_HAND_H
#define DM_TESTS_BY_HAND_H

#include "mock_lm/server.h"
#include "pool/link.h"
#include "pool/setup.h"

/* ---- clock and disk, in place of the system's for the whole test program ---- */

/* Stands still from now on, for us and for curl; time passes by hand_clock_go alone. */
void hand_clock_stop(void);
void hand_clock_go(double seconds);

extern struct hand_disk {
    size_t syncs; /* that the disk still does; SIZE_MAX: any number */
    size_t done;  /* fdatasync calls that were well */
    off_t kept;   /* bytes of the file at the last of them */
} hand_disk;

/* ---- a server ---- */

#define HAND_MOST 256

typedef struct hand_request { /* that waits for its answer */
    mock_conn *conn;
    uint64_t number; /* in the order in which they came, from 1 on */
    char *body;      /* text */
} hand_request;

typedef struct hand_server {
    mock_server *server;
    char base[64];                /* "http://127.0.0.1:9999/v1" */
    hand_request held[HAND_MOST]; /* [n_held] the oldest first */
    size_t n_held, peak, n_came;
    double tokens, cost; /* billed: of all answers, by the prices below */
    double prompt_price, completion_price;
} hand_server;

hand_server *hand_server_new(void);
void hand_server_free(hand_server *s);
void hand_server_turn(hand_server *s); /* reads what has come, and does not wait */
/* Answers held[i]; headers: "" or whole lines. */
void hand_refuse(hand_server *s, size_t i, int status, const char *headers);
void hand_answer(hand_server *s, size_t i, const char *content, long prompt, long completion);
void hand_close(hand_server *s, size_t i); /* ends the connection without a byte */

/* ---- a crew: a coordinator's link to real workers ---- */

#define CREW_MOST 8

typedef struct crew crew;
struct dm_worker;

typedef struct crew_member {
    struct dm_worker *worker;
    bool late;   /* what it says is held back */
    bool asleep; /* it does nothing */
} crew_member;

struct crew {
    dm_link link; /* first */
    crew_member member[CREW_MOST];
    hand_server *server;
    void (*act)(crew *c); /* after each turn: answers what the test wants to be answered */
    void *user;
    size_t idle; /* turns since something happened */
    int n_lost, lost[CREW_MOST];
    struct crew_message *first, **end, *current;
};

/* The pool frees the crew. setup->lm's api_base is the server's. */
dm_pool *crew_pool(crew **out, int n, const dm_setup *setup, hand_server *server,
                   void (*act)(crew *c), void *user);
void crew_lose(crew *c, int worker); /* it is silent, and the coordinator is told */

#endif
