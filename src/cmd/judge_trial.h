/* The job's judge on answers of which one knows whether they are right, and asked twice. */
#ifndef DM_CMD_JUDGE_TRIAL_H
#define DM_CMD_JUDGE_TRIAL_H

#include "cmd/job.h"
#include "optimizer/judge_ask.h"

/* NULL: the job's metric asks none. It was read before, so it can be again. */
const dm_judging *dm_job_judging(dm_arena *a, const dm_job *job);

/* check --live: some labels against their own example and against another one's, both asked twice.
 * What came of it goes to stdout. DM_E_MODEL: no judgement could be had. DM_E_DATA: each right
 * answer scored 0. metric: the job's. */
dm_status dm_judge_trial(dm_arena *a, dm_job *job, dm_metric *metric, dm_error *err) DM_MUST_USE;

/* "asked again about 16 answers, ...". n is not 0. */
void dm_judge_noise_text(dm_buf *b, const dm_judge_noise *noise);
/* {"answers", "changed", "sd"} */
dm_value *dm_judge_noise_json(dm_arena *a, const dm_judge_noise *noise);

#endif
