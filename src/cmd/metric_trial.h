/* What a metric says to answers of which one knows whether they are right. */
#ifndef DM_CMD_METRIC_TRIAL_H
#define DM_CMD_METRIC_TRIAL_H

#include "cmd/job.h"

typedef struct dm_trial_verdict {
    /* A sentence when the metric fails on a right answer, when right answers do not score 1, or
     * when wrong ones score nearly as much; NULL: none of that. */
    const char *odd;
    bool full;            /* every right answer scored 1 */
    bool no_label_scores; /* every right answer scored 0 */
    bool no_label_fits;   /* there are labels, and none is what the output's type allows */
    bool useless;         /* what odd says leaves nothing that could be learned from its scores */
    double right, wrong;  /* means over the pairs of a right and a wrong answer; NAN: no pairs */
    size_t pairs;
    size_t twice, changed; /* answers scored twice, and those that scored something else then */
    bool explains;         /* it says why beside a score */
} dm_trial_verdict;

/* Scores labels as if they were answers: some against their own example and against another one's,
 * these once more if `twice`, then further right ones, most in all, for at most seconds. DM_E_DATA:
 * its program does not run, or it fails on all right answers: nothing can come of the job. Whether
 * that is so depends on the metric's answers alone, not on the time that they take. Calls no model.
 */
dm_status dm_metric_trial(dm_arena *a, const dm_job *job, dm_metric *metric, size_t most,
                          bool twice, double seconds, dm_trial_verdict *out,
                          dm_error *err) DM_MUST_USE;

typedef struct dm_trial_answer {
    const dm_value *example, *right, *wrong; /* wrong NULL: all labels of the set are like it */
} dm_trial_answer;
/* Up to most examples, spread over the set, with their labels as the answer of the program's last
 * step, and another example's. How many they are. */
size_t dm_trial_answers(dm_arena *a, const dm_job *job, const dm_dataset *set, dm_trial_answer *out,
                        size_t most);
/* Waits until something of the metric's may be ready, but not beyond that dm_now() time. */
void dm_metric_turn(dm_metric *m, double until);

/* How many labels of the set the field's type cannot take, and the first one's row. */
size_t dm_label_misfits(const dm_field *f, const dm_dataset *set, size_t *first);
/* Labels that the type of their output cannot take: no answer can be right there. A line for each
 * output field that has some; nothing if all is well. */
void dm_label_trial(dm_buf *b, const dm_job *job, const dm_dataset *set);

#endif
