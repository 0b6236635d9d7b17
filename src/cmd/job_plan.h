/* What a job will call, before it calls anything (contract 9): the phases of its optimizer, and the
 * scores of start and winner. What that comes to in tokens, money and time is estimate.h's. */
#ifndef DM_CMD_JOB_PLAN_H
#define DM_CMD_JOB_PLAN_H

#include "cmd/job.h"
#include "optimizer/plan.h"

dm_plan dm_plan_of(const dm_job *job);
size_t dm_plan_demos(const dm_job *job); /* that the job's candidates show at the most */
/* Under a cap on calls: tells an optimizer that wants to know how many program runs its search has
 * left by the expected figures of the other phases, 1 at least. DM_E_JOB: it does not fit then. */
dm_status dm_plan_limit(dm_job *job, dm_error *err) DM_MUST_USE;

#endif
