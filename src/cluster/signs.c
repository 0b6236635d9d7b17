#include "cluster/signs.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

#define AWAY_SECONDS 0.5 /* the most that one turn counts as listening */
/* Datagrams are sent each second; a machine may be busy. It is less than what makes a rank lost. */
#define DEAF_SECONDS 4.0
#define LOOK_SHORT   0.001
#define LOOK_LONG    0.050
#define LOOK_SHARE   20 /* of the time since the last traffic: calls of 200 ms cost 10 at most */
#define BELL_LONG    0.100

struct dm_signs {
    int size;
    bool *expected;          /* [size] */
    double *heard[DM_ROADS]; /* [size] when, by the listening clock; -INFINITY: never */
    double listened, looked; /* the listening clock, and when it was last moved */
    double traffic;          /* when there was some */
    int idle;                /* turns since then */
    int n_deaf;              /* of expected ones; kept by listen and expect */
};

static void count_deaf(dm_signs *s)
{
    s->n_deaf = 0;
    for (int i = 0; i < s->size; i++)
        s->n_deaf += s->expected[i] && !dm_signs_hears(s, i, DM_ROAD_DATAGRAM);
}

dm_signs *dm_signs_new(int size, double now)
{
    dm_signs *s = dm_alloc(sizeof *s);
    s->size = size;
    s->expected = dm_alloc_n((size_t)size, sizeof *s->expected);
    for (int road = 0; road < DM_ROADS; road++) {
        s->heard[road] = dm_alloc_n((size_t)size, sizeof *s->heard[road]);
        for (int i = 0; i < size; i++)
            s->heard[road][i] = -INFINITY;
    }
    s->looked = s->traffic = now;
    return s;
}

void dm_signs_free(dm_signs *s)
{
    if (!s)
        return;
    for (int road = 0; road < DM_ROADS; road++)
        free(s->heard[road]);
    free(s->expected);
    free(s);
}

void dm_signs_expect(dm_signs *s, int rank, bool expected)
{
    s->expected[rank] = expected;
    count_deaf(s);
}

void dm_signs_listen(dm_signs *s, double now)
{
    s->listened += fmin(now - s->looked, AWAY_SECONDS);
    s->looked = now;
    count_deaf(s);
}

void dm_signs_heard(dm_signs *s, int rank, dm_road road)
{
    s->heard[road][rank] = s->listened;
}

double dm_signs_silence(const dm_signs *s, int rank)
{
    double last = fmax(s->heard[DM_ROAD_DATAGRAM][rank], s->heard[DM_ROAD_MESSAGE][rank]);
    return s->listened - fmax(last, 0); /* never: since we began */
}

bool dm_signs_hears(const dm_signs *s, int rank, dm_road road)
{
    return s->listened - s->heard[road][rank] <= DEAF_SECONDS;
}

bool dm_signs_deaf(const dm_signs *s)
{
    return s->n_deaf > 0;
}

void dm_signs_traffic(dm_signs *s, double now)
{
    s->traffic = now;
    s->idle = 0;
}

void dm_signs_idle(dm_signs *s)
{
    if (s->idle < 10)
        s->idle++;
}

double dm_signs_patience(const dm_signs *s, double now, bool under_way)
{
    double longest = s->idle < 3 ? 0 : s->idle < 10 ? (1 << (s->idle - 3)) / 1000.0 : BELL_LONG;
    if (dm_signs_deaf(s))
        longest = fmin(fmax((now - s->traffic) / LOOK_SHARE, LOOK_SHORT), LOOK_LONG);
    return under_way ? fmin(longest, LOOK_SHORT) : longest;
}
