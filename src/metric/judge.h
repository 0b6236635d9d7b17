/* Metrics of several parts, and parts that a model judges:
 *
 *     {"judge": SIG, "score": FIELD, "feedback": FIELD, "range": [0, 1], "inputs": {NAME: FROM}}
 *     semantic_f1             field, question, decompositional, threshold (.66)
 *     complete_and_grounded   field, question, context, threshold (.66)
 *     {"sum": [{"metric": METRIC, "weight": .7}, {"judge": ..., "weight": .3}]}
 *
 * A judge is a program of one predictor for each of its calls, which the pool runs after the
 * program (src/README.md §4), on a row made of the example and the prediction. Its inputs are, by
 * their names: NAME as given in `inputs`, "example.COLUMN" or "prediction.OUTPUT"; else
 * predicted_OUTPUT, expected_COLUMN; else a column of the example, else an output. In SIG a text is
 * {"predict": text}.
 *
 * Where the score is one judge's and threshold is given, a run with a trace (bootstrapping) scores
 * 1 from there on, else 0, as a metric of DSPy's that answers True and False. */
#ifndef DM_METRIC_JUDGE_H
#define DM_METRIC_JUDGE_H

#include "metric/metric.h"

typedef struct dm_judging dm_judging; /* lives in the arena of dm_judging_read */

/* How many calls of a model the metric, as the job says it, makes for a score; 0: it asks none. */
size_t dm_metric_asks(const dm_value *spec);

/* at: a metric as for dm_metric_new. NULL with err->status DM_OK: it has no parts, and asks no
 * model. */
const dm_judging *dm_judging_read(dm_arena *a, const dm_at *at, const dm_program *program,
                                  const dm_dataset *const *sets, size_t n_sets,
                                  dm_error *err) DM_MUST_USE;

size_t dm_judging_calls(const dm_judging *j); /* 0: a sum of parts that ask none */
/* What call k runs: a program of one predictor, sealed. */
const dm_candidate *dm_judging_candidate(const dm_judging *j, size_t k);
/* How many of its inputs are outputs of the program. */
size_t dm_judging_shown(const dm_judging *j, size_t k);
/* The row of call k; outputs: the prediction. NULL: it lacks what the judge is to be shown. */
const dm_value *dm_judging_row(dm_arena *a, const dm_judging *j, size_t k, const dm_value *example,
                               const dm_value *outputs, dm_error *err) DM_MUST_USE;

typedef struct dm_judged {
    double score;         /* NAN: there is none */
    const char *feedback; /* NULL: nothing was said */
    dm_str parts;         /* JSON text of a list: what each part came to; with no score of one that
                             has none, but what its judge said */
} dm_judged;

/* parts: what the worker scored (dm_metric_score); judgements: [calls] outputs, NULL: was not had.
 * With trace as for dm_metric_submit. DM_E_DATA: a judgement is none, such as a score that is no
 * number. All that is returned lives in a. */
dm_status dm_judging_score(dm_arena *a, const dm_judging *j, dm_str parts,
                           const dm_value *const *judgements, bool trace, dm_judged *out,
                           dm_error *err) DM_MUST_USE;

#endif
