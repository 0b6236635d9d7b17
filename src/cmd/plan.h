/* What a job will call, before it calls anything (contract 9). */
#ifndef DM_CMD_PLAN_H
#define DM_CMD_PLAN_H

#include "cmd/job.h"

typedef struct dm_range { /* calls */
    double low, expected, high;
} dm_range;

typedef enum dm_plan_phase {
    DM_PLAN_BOOTSTRAP,
    DM_PLAN_PROPOSE,
    DM_PLAN_SEARCH,
    DM_PLAN_SCORE
} dm_plan_phase;
#define DM_PLAN_PHASES 4
const char *dm_plan_phase_name(dm_plan_phase p);

typedef struct dm_plan {
    dm_range calls[DM_PLAN_PHASES];
    double fill[DM_PLAN_PHASES]; /* calls in flight that the phase can keep going; 0: no phase */
} dm_plan;

/* Without attempts that fail on the way. */
dm_plan dm_plan_of(const dm_job *job);
/* Under a cap on calls: the program runs that MIPROv2's search has left by the expected figures of
 * the other phases, 1 at least. 0: no cap, or runs are given. */
int64_t dm_plan_runs_that_fit(const dm_job *job);
/* "512 calls in flight asked for (lm.concurrency), this job fills at most 192 (search): ...", and
 * what to change. */
void dm_plan_fill_text(dm_buf *b, const dm_job *job, const dm_plan *plan);
/* "1 beside the coordinator is plenty ...". ranks: that run models; 0: not known yet. What they can
 * have in flight is no limit, one thread's CPU is. */
void dm_plan_ranks_text(dm_buf *b, const dm_job *job, const dm_plan *plan, size_t ranks);

#endif
