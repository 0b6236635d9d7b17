/* Time and human units. */
#ifndef DM_BASE_CLOCK_H
#define DM_BASE_CLOCK_H

#include "base/buf.h"

/* s, monotonic: the only clock for durations and time-outs. The wall clock may be set at any moment
 * and is for people: names and ages of files. */
double dm_now(void);

/* A clock that somebody may hold in his own hands. */
typedef struct dm_clock {
    double (*now)(void *user); /* s, never goes back; NULL: dm_now */
    void *user;
} dm_clock;

static inline double dm_clock_now(const dm_clock *c)
{
    return c->now ? c->now(c->user) : dm_now();
}

/* "600", "90s", "2 min", "3h50m", "1.5h" -> seconds. The target is changed only on success. */
dm_status dm_parse_seconds(const char *s, double *seconds, dm_error *err) DM_MUST_USE;
/* "50M", "2k", "1.5e6", "300" -> count (powers of 1000). */
dm_status dm_parse_count(const char *s, double *count, dm_error *err) DM_MUST_USE;
/* "$20", "20", "12.50 USD" -> money. */
dm_status dm_parse_money(const char *s, double *money, dm_error *err) DM_MUST_USE;
void dm_print_seconds(dm_buf *b, double seconds); /* "4.1 s", "3 min 20 s", "3 h 50 min" */
void dm_print_count(dm_buf *b, double n);         /* "950", "12.3 k", "50 M" */

#endif
