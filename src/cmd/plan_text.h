/* A plan and its estimate in words, for eyes: of plan, check and compile. */
#ifndef DM_CMD_PLAN_TEXT_H
#define DM_CMD_PLAN_TEXT_H

#include "cmd/estimate.h"

/* "512 calls in flight asked for (lm.concurrency), this job fills at most 192 (search): ...", and
 * what to change. */
void dm_plan_fill_text(dm_buf *b, const dm_job *job, const dm_plan *plan);
/* "1 beside the coordinator is plenty ...". ranks: that run models; 0: not known yet. What they can
 * have in flight is no limit, one thread's CPU is. */
void dm_plan_ranks_text(dm_buf *b, const dm_job *job, const dm_plan *plan, size_t ranks);

/* The table of plan and, short, of compile. */
void dm_estimate_table(dm_buf *b, const dm_plan *plan, const dm_estimate *e);
/* What it would cost without the servers' caches, and without flex; and what is not in it. */
void dm_estimate_otherwise(dm_buf *b, const dm_job *job, const dm_estimate *e,
                           const dm_calibration *c);
void dm_estimate_line(dm_buf *b, const dm_plan *plan, const dm_estimate *e);
/* Fewer examples than are recommended, a budget that does not hold one round, whether it is worth
 * it: one sentence a line; nothing where there is nothing to say. start: score
 * on n examples, or NAN. */
void dm_plan_advice(dm_buf *b, const dm_job *job, const dm_plan *plan, const dm_estimate *e,
                    double start, size_t n);
/* "suggested: launch -n 2, ...": ranks, concurrency and time. */
void dm_plan_suggestion(dm_buf *b, const dm_job *job, const dm_plan *plan, const dm_estimate *e);

#endif
