/* What a metric says to answers of which one knows whether they are right. */
#ifndef DM_CMD_METRIC_TRIAL_H
#define DM_CMD_METRIC_TRIAL_H

#include "cmd/job.h"

/* Scores some labels as if they were answers, against their own example and against another one's,
 * for at most seconds. *odd gets a sentence when a perfect answer does not score 1, when right and
 * wrong answers score the same, or when the metric fails; else NULL. DM_E_DATA: its program does
 * not run. Calls no model. */
dm_status dm_metric_trial(dm_arena *a, const dm_job *job, dm_metric *metric, double seconds,
                          const char **odd, dm_error *err) DM_MUST_USE;

/* Labels that the type of their output cannot take: no answer can be right there. A line for each
 * output field that has some; nothing if all is well. */
void dm_label_trial(dm_buf *b, const dm_job *job, const dm_dataset *set);

#endif
