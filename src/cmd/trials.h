/* The files of candidates: a line of trials.csv, and a program with where it comes from. */
#ifndef DM_CMD_TRIALS_H
#define DM_CMD_TRIALS_H

#include "cmd/job.h"
#include "report/score.h"

/* metadata.dspy_mpi of a program. Never addresses, paths, ranks, times, calls or cost: the file is
 * the same however it was made. scores NULL: none. */
dm_value *dm_provenance(dm_arena *a, const dm_job *job, const dm_value *scores);
/* The program's file as bytes. */
void dm_program_text(dm_buf *b, dm_arena *a, const dm_job *job, const dm_candidate *c,
                     const dm_value *scores);
/* {"valset": score}, for a candidate's file. */
const dm_value *dm_trial_scores(dm_arena *a, const dm_score *s);
/* The line of candidate i. */
void dm_put_trial(dm_buf *b, size_t i, const char *name, const dm_score *s, bool best,
                  const char *levels);

/* A program's model, where it is not the job's; lm.p NULL: it is. */
void dm_job_name_model(dm_job *job, dm_str lm, dm_role role);
/* The job that would have made member `number` of an ensemble by itself; its out is in the whole
 * one's. */
dm_job dm_job_of_member(dm_arena *a, const dm_job *whole, size_t number,
                        const dm_compile_input *in);

#endif
