/* What the calls of a plan come to: tokens, money, time. Whose plan it is, it does not know. */
#ifndef DM_CMD_ESTIMATE_H
#define DM_CMD_ESTIMATE_H

#include "cmd/job.h"
#include "optimizer/plan.h"

/* What was seen on some examples (plan --measure), or what is assumed without. */
typedef struct dm_calibration {
    size_t n;               /* examples; 0: assumed */
    double tokens_per_byte; /* of a prompt: 0.25, as English has */
    double prompt[2];       /* with n: tokens of a prompt without and with `demos` demonstrations */
    size_t demos;
    double completion; /* tokens of an answer; NAN: from the labels' lengths */
    double reasoning;  /* of them, what the model reasons; 0: not reported */
    double proposal;   /* tokens of an answer of the proposer: 120 */
    double seconds;    /* of a call: 2 */
    double score;      /* of the start program, 0 to 1; NAN */
    size_t failed;     /* of the n */
} dm_calibration;
dm_calibration dm_calibration_assumed(void);

typedef struct dm_estimate {
    struct dm_estimate_phase {
        dm_range prompt, completion, cost, seconds;
    } phase[DM_MOST_PHASES], all;
    bool has_cost; /* every model has a price */
    /* Expected costs otherwise: where no server's cache took anything, and where flex was not asked
     * for; 0: all the same. */
    double uncached, untiered;
} dm_estimate;

typedef struct dm_use {        /* of one run of the program */
    double prompt, completion; /* tokens */
    double cost;               /* NAN: the model has no price */
} dm_use;
/* With so many demonstrations, and without what a server's cache may take. */
dm_use dm_estimate_use(const dm_job *job, const dm_calibration *c, double demos);

/* The start program with the first n rows of the training set as demonstrations. */
const dm_candidate *dm_estimate_candidate(dm_arena *a, const dm_job *job, size_t n);

/* Prompts are rendered from the job's own examples, with as many demonstrations as the phase shows;
 * low and high are off by a tenth with a calibration, by two fifths without. Of prompts that a
 * server's cache takes, all of the prefix is taken for cached in low, nine tenths in expected,
 * nothing in high. Times are those of the calls over as many as are in flight, without waiting for
 * each other. */
dm_estimate dm_estimate_of(const dm_job *job, const dm_plan *plan, const dm_calibration *c);

#endif
