/* The job's judge, asked beside all else: about answers of which one knows whether they are right,
 * about answers that it has judged before, or which of several is the best. */
#ifndef DM_OPTIMIZER_JUDGE_ASK_H
#define DM_OPTIMIZER_JUDGE_ASK_H

#include "metric/judge.h"
#include "pool/pool.h"

typedef struct dm_judge_case { /* one answer */
    const dm_value *example, *outputs;
    dm_str parts; /* what its other parts came to, as in dm_judging_score */
} dm_judge_case;

typedef struct dm_judge_opinion {
    bool has;
    double score;         /* 0 to 1 */
    const char *feedback; /* NULL: nothing was said */
    const char *why;      /* without a score: why not */
} dm_judge_opinion;

/* All n at once, as runs with this rollout (-1: none), which equal questions of a run are not told
 * the answer of. out[n] in the pool's arena. > 0: the run stops, and there is nothing. */
dm_status dm_judge_ask(dm_pool *p, const dm_judging *j, const dm_judge_case *cases, size_t n,
                       int64_t rollout, dm_judge_opinion *out, dm_error *err) DM_MUST_USE;

/* A judge that was asked twice about the same answers. */
typedef struct dm_judge_noise {
    size_t n, changed; /* answers with both judgements; those that scored something else */
    double sd;         /* standard deviation of one judgement about its mean, 0 to 1 */
} dm_judge_noise;
void dm_judge_noise_add(dm_judge_noise *to, double first, double second); /* to begins as zeros */

enum { DM_JUDGED_TWICE = 16 }; /* answers of the winner that a compilation asks it about again */
/* Those of n results that have a score, spread over them, asked about again: DM_OK, also where a
 * cap does not hold them; then noise->n is 0. rows: what the results are on. */
dm_status dm_judge_again(dm_pool *p, const dm_judging *j, const dm_dataset *rows,
                         const dm_result *r, dm_judge_noise *noise, dm_error *err) DM_MUST_USE;

#endif
