/* The pace at which a server may be asked that refuses for speed (429) and tells no limits: made
 * on rank 0 of what all ranks were answered and refused, since one rank alone sees too little of
 * it. Many servers count what they refuse, so that asking on at full speed is answered by nothing.
 *
 * Additive increase and multiplicative decrease as of TCP's congestion control (Jacobson 1988), of
 * a rate in place of a window, with a probing that gets bolder the longer nothing is refused (as
 * CUBIC, Ha et al. 2008). Numbers in, numbers out. */
#ifndef DM_POOL_PACE_H
#define DM_POOL_PACE_H

#include <stdbool.h>

#define DM_PACE_SECONDS 75 /* a minute, and what it takes to see that it is over */

typedef struct dm_pace {
    double rate;   /* requests a minute of the whole job; 0: none is set */
    double level;  /* likewise, what the server seems to take */
    double share;  /* of the last requests, the part that was refused: moving mean, [0, 1] */
    double recent; /* of those, how many there are yet */
    double of_second[DM_PACE_SECONDS]; /* what was let through, a ring */
    double second;                     /* the last of them, from 0 */
    double shut_at;                    /* when it began to let nothing through */
    double cut_at, raised_at;
    double answered; /* since the rate was last changed */
    double step;     /* factor of the next raise */
    double until;    /* none is set before: the last one was in vain */
    int row;         /* cuts, with nothing let through between */
    int vain;        /* cuts that did not lower the share */
} dm_pace;

/* What the ranks saw since the last call. True: the rate has changed, and all should know.
 * now: s, of any clock that only goes forward. */
bool dm_pace_saw(dm_pace *p, double now, double answered, double refused);

#endif
