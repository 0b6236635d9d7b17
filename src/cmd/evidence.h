/* OUT/evidence.json and OUT/scores.csv: what a report needs and no other file has. They hold times
 * and places, so they differ from run to run; nothing reads them but a report.
 *
 * evidence.json: {"dspy_mpi": version, "started", "ended", "ranks", "seconds",
 *   "usage": [{"phase", "role", "runs", "calls", "answers", "tokens", "cost"}],
 *   "rank": [{"rank", "runs", "busy_seconds", "median", "p95", "p99"}], "errors": {class:
 * examples}, "points": [[seconds, calls, busy, runs done in the phase, best score or null]],
 *   "candidates": [{"trial", "name", "calls", "seconds", "estimate", "prompt_tokens"}],
 *   "levels": see dm_searched, "start": {"instructions", "demos", "prompt_tokens"},
 *   "compiled": {"prompt_tokens"},
 *   "ensemble": {"field", "members": [{"from", "votes", "score", "low", "high", "n",
 *                "prompt_tokens"}], "disagree": [{"id", "answers", "label", "score"}],
 *                "rows", "differ"}}; what is not known is absent. Tokens of prompts are reckoned: 4
 * bytes a token, without the example.
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
