/* The servers of a simulated cluster: a transport for each virtual rank's engine. What a call is
 * answered follows from the rule of the simulation; that it is refused, gets lost or is spoilt,
 * from the seed. Time is the simulation's, and nothing waits. */
#ifndef DM_POOL_SIMULATED_SERVER_H
#define DM_POOL_SIMULATED_SERVER_H

#include "base/table.h"
#include "lm/transport.h"
#include "pool/simulated.h"

typedef struct dm_simulated_server { /* all of them */
    dm_simulation sim;
    dm_simulated_stats *stats;
    dm_pool *pool;
    double now;
    uint64_t draws;
    double left[2], filled; /* of requests and tokens that may be asked for, and when */
    dm_arena *scratch;      /* of one answer */
    struct dm_simulated_prefix {
        dm_hash key;
        double answered; /* when its first answer comes */
    } * prefixes;        /* [n_prefixes] */
    size_t n_prefixes, cap_prefixes;
    dm_table prefix_table;
    dm_hash *keys; /* [stats->different] of the calls that were made */
    size_t cap_keys;
    dm_table key_table;
} dm_simulated_server;

void dm_simulated_server_free(dm_simulated_server *s); /* what it holds */
/* [0, 1): the next draw of the seed. */
double dm_simulated_draw(dm_simulated_server *s);

dm_transport *dm_simulated_transport(dm_simulated_server *s);
/* After a step of the worker: true: it has had an answer since the last time, and has to be asked
 * again now; else *due is when it has something to do (INFINITY: nothing). */
bool dm_simulated_turned(dm_transport *t, double *due);

#endif
