/* What a job will call, before it calls anything (contract 9). */
#ifndef DM_CMD_PLAN_H
#define DM_CMD_PLAN_H

#include "cmd/job.h"
#include "optimizer/plan.h"

dm_plan dm_plan_of(const dm_job *job);
/* Under a cap on calls: tells an optimizer that wants to know how many program runs its search has
 * left by the expected figures of the other phases, 1 at least. DM_E_JOB: it does not fit then. */
dm_status dm_plan_limit(dm_job *job, dm_error *err) DM_MUST_USE;
/* "512 calls in flight asked for (lm.concurrency), this job fills at most 192 (search): ...", and
 * what to change. */
void dm_plan_fill_text(dm_buf *b, const dm_job *job, const dm_plan *plan);
/* "1 beside the coordinator is plenty ...". ranks: that run models; 0: not known yet. What they can
 * have in flight is no limit, one thread's CPU is. */
void dm_plan_ranks_text(dm_buf *b, const dm_job *job, const dm_plan *plan, size_t ranks);

#endif
