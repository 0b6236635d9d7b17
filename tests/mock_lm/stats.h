/* What the mock server saw: who asked what how often, and how many requests were in flight. */
#ifndef MOCK_STATS_H
#define MOCK_STATS_H

#include "server.h"

#define MOCK_SECONDS 4096

typedef struct mock_seen { /* a request body, by hash */
    uint64_t hash;
    bool used; /* the slot is taken */
    uint32_t attempts, answered;
    uint32_t whole; /* attempts of the undisturbed run, when there was one */
    uint32_t known; /* answers that stand in a journal, as the test says */
    uint32_t since; /* attempts since it said so */
} mock_seen;

typedef struct mock_stats {
    mock_seen *seen;                 /* [cap] open addressing */
    size_t n_seen, n_used, cap_seen; /* n_seen: with attempts */
    /* Tokens of all requests that a server may bill: of every one that was not refused (4xx but
     * 408, 503, 529), the prompt and the answer that was made, also where it never arrived. */
    long prompt, completion;
    long cached,
        cachable; /* with --prefix-cache: prompt tokens as told, and as they might have been */
    long requests, good, unsent, repeats, authorized, faulted, poisoned, in_flight, peak;
    long known_again; /* requests for more than was missing of what is known */
    long statuses[600];
    double first, last, busy, busy_at; /* busy: integral of in_flight over time */
    double asked, busy_asked;          /* when the last request came, and busy until then */
    double seconds[MOCK_SECONDS];      /* the same for each second since the first request */
    char hosts[8][64], authorization[128], agent[128];
    size_t n_hosts;
} mock_stats;

void mock_stats_free(mock_stats *s);  /* empty again */
void mock_stats_reset(mock_stats *s); /* what is in flight stays so */
/* A request with this body came. Counts a repeat if a good answer to it was sent before; returns
 * the number of earlier attempts. */
uint32_t mock_stats_arrive(mock_stats *s, const mock_http *http, uint64_t hash);
void mock_stats_leave(mock_stats *s, uint64_t hash, bool good, bool sent);
void mock_stats_print(mock_stats *s, dm_buf *b);
/* A request's mark: with --mark what its answer tells of tokens, by which a journal shows whose
 * answers it holds. They could be those of any request of a kilobyte. */
typedef struct mock_told {
    int64_t prompt, completion, cached;
} mock_told;
mock_told mock_stats_told(uint64_t hash);
int64_t mock_stats_mark(mock_told told); /* from 1 on */
/* What was seen until now is an undisturbed run; the counting begins anew, here and at a reset. */
void mock_stats_whole(mock_stats *s);
/* marks: decimal numbers, a line each: the answers that a journal holds now. Equal requests of
 * different cells are told apart by their number. Prints how many of the marks were ever asked for,
 * and how many requests, all of whose answers are known, were asked for more often than in the
 * undisturbed run until now. */
void mock_stats_known(mock_stats *s, dm_str marks, dm_buf *b);

#endif
