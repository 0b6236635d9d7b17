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
/* Of all predictors together, without the example; reckoned by bytes. */
size_t dm_prompt_tokens(const dm_job *job, const dm_candidate *c);

typedef struct dm_length_point { /* a candidate by score and length */
    double score;                /* 0 to 1; NAN: it has none */
    size_t tokens;               /* of its prompts */
    size_t n;                    /* examples that it was run on */
} dm_length_point;
/* on[n]: of those that were run on as many examples as any, the ones that no other beats in score
 * and length. Of two that are alike, the first. */
void dm_front_of(const dm_length_point *points, size_t n, bool *on);
/* Those that are, as lines for people, and how to take one of OUT. Nothing where it is one alone.
 */
void dm_front_text(dm_buf *b, const dm_length_point *points, size_t n, const bool *on,
                   const char *out);

/* The line of candidate i; point NULL: it may yet be run on more. */
void dm_put_trial(dm_buf *b, size_t i, const char *name, const dm_score *s, bool best,
                  const char *levels, const dm_length_point *point, bool front);

/* A program's model, where it is not the job's; lm.p NULL: it is. */
void dm_job_name_model(dm_job *job, dm_str lm, dm_role role);
/* The job that would have made member `number` of an ensemble by itself; its out is in the whole
 * one's. */
dm_job dm_job_of_member(dm_arena *a, const dm_job *whole, size_t number,
                        const dm_compile_input *in);

#endif
