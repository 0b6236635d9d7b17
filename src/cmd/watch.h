/* What is to be seen of a compile while it runs: status.json, renewed each second; trials.csv and
 * candidates/, which grow; the files of --events and --prometheus. All of it is for people and
 * their tools: the search does not depend on it, and what cannot be written is no failure of the
 * run. */
#ifndef DM_CMD_WATCH_H
#define DM_CMD_WATCH_H

#include "cmd/growth.h"
#include "cmd/out.h"

typedef struct dm_point { /* of a run, about once a second and then less often */
    double seconds;
    int64_t calls;
    size_t busy, done;
    double best; /* NAN: not known */
} dm_point;
#define DM_POINTS 240

typedef struct dm_watch {
    dm_arena *arena;
    const dm_job *job;
    dm_pool *pool;
    const dm_value *identity, *started; /* started: of the first attempt */
    const dm_value *options; /* list of the keys that were given as options, fit to be shown */
    double opened;           /* dm_now() */
    dm_progress progress;
    struct {
        size_t done;
        int64_t calls;
        time_t at; /* when either of them grew last */
    } newest;
    dm_growth growth;
    int events; /* -1: none */
    bool events_lost;
    double evidence_at;
    double event_at;            /* dm_now() of the newest event of progress */
    const char *prometheus;     /* NULL: none */
    dm_point points[DM_POINTS]; /* [n_points] */
    size_t n_points;
    double every; /* s between points */
} dm_watch;

/* Opens the files of the flags, and writes status.json. */
dm_status dm_watch_begin(dm_watch *w, dm_arena *a, const dm_job *job, const dm_command_line *line,
                         dm_error *err) DM_MUST_USE;
void dm_watch_pool(dm_watch *w, dm_pool *pool); /* it is this one's from now on */
void dm_watch_renew(void *watch, const dm_pool_stats *stats);
/* The last state, which is waited for. */
dm_status dm_watch_end(dm_watch *w, dm_pool *pool, const dm_out_state *state,
                       dm_error *err) DM_MUST_USE;
void dm_watch_free(dm_watch *w);

#endif
