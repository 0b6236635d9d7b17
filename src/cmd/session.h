/* What the commands that run models share: the pool, signals, progress, the last line. */
#ifndef DM_CMD_SESSION_H
#define DM_CMD_SESSION_H

#include "cmd/job.h"
#include "report/report.h"

#define DM_RENEW_SECONDS 0.9 /* once at each tick of a second */

typedef struct dm_session {
    dm_job *job;
    dm_pool *pool;
    double started;
    bool terminal;  /* stderr shows a live line */
    double line_at; /* dm_now() of the last one */
    dm_progress progress;
    /* About once in DM_RENEW_SECONDS while the run goes on, set by the command; NULL: nothing. */
    void (*renew)(void *user, const dm_pool_stats *stats);
    void *user;
    double renewed_at;
} dm_session;

extern bool dm_under_mpi;     /* this is rank 0 of several */
extern size_t dm_model_ranks; /* ranks that run models; 1 where there is one process */

/* Before anything else: so that no signal finds the default action. */
void dm_signals_install(void);
/* hangup.c: ignores SIGHUP again where the program was started so. Before the others. */
void dm_keep_hangup(void);
/* "--deadline 3h50m" and "--drain 20s" of the flags. */
dm_status dm_session_deadline(const dm_command_line *line, dm_job *job, dm_error *err) DM_MUST_USE;
dm_status dm_session_open(dm_session *s, dm_job *job, dm_error *err) DM_MUST_USE;
/* After a stop: calls in flight may end, and what they give is journaled. */
void dm_session_drain(dm_session *s, dm_status stopped);
void dm_session_close(dm_session *s);
void dm_session_clear_line(dm_session *s);

/* Says a failure or a reason for stopping on stderr, returns its exit code. */
int dm_say_failure(const dm_error *err);

/* {"prompt", "completion", "cached"}, and where there are any "cache_written", "reasoning". */
dm_value *dm_tokens_json(dm_arena *a, const dm_usage *u);
/* The last line's common part; keys may be added before it is printed. */
dm_value *dm_last_line(dm_arena *a, const dm_session *s, dm_status stopped);
void dm_print_json(const dm_value *v); /* one line on stdout */
/* The same, where a script may read it: where stdout is no terminal, and with --json. */
void dm_print_last_line(const dm_value *v, const dm_command_line *line);

#endif
