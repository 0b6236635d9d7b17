/* OUT/evidence.json and OUT/scores.csv: what a report needs and no other file has.
 *
 * evidence.json holds times and places, so it differs from run to run:
 *   {"dspy_mpi": version, "started", "ended", "seconds" (of the last attempt), "ranks", "places",
 *    "stand_in", "model", "job_file",
 *    "usage": [{"phase", "role", "runs", "calls", "answers", "retries", "tokens", "cost"}],
 *    "rank": [{"rank", "runs", "busy_seconds", "median", "p95", "p99"}],
 *    "errors": {class: examples},
 *    "points": [[seconds, calls, busy, runs done in the phase, best score or null]],
 *    "start": {"instructions", "demos", "prompt_tokens"}, "compiled": {"prompt_tokens"},
 *    "candidates": [{"trial", "name", "calls", "seconds", "estimate", "prompt_tokens"}],
 *    "levels": see dm_searched,
 *    "ensemble": {"field", "chosen", "members": [{"from", "votes", "score", "low", "high", "n",
 *                 "prompt_tokens"}], "rows", "differ", "disagree": [{"id", "answers", "scores",
 *                 "label"}]}}
 * What is not known is absent. Tokens of prompts are estimated: 4 bytes a token, without the
 * example.
 *
 * scores.csv: a line for each candidate, under the number that it has in trials.csv, a column for
 * each validation example; empty: not run. */
#ifndef DM_CMD_EVIDENCE_H
#define DM_CMD_EVIDENCE_H

#include "cmd/watch.h"

#define DM_EVIDENCE_START "{\"dspy_mpi\": "
#define DM_SCORES_START   "trial/example"

/* result NULL: the run goes on. valset: what its candidates are scored on; start: the start
 * program's results there, or NULL. What cannot be written is no failure. */
void dm_evidence_write(const dm_watch *w, const dm_pool_stats *stats,
                       const dm_compile_output *result);
void dm_scores_write(const dm_job *job, const dm_compile_output *result, const dm_dataset *valset,
                     const dm_result *start);

#endif
