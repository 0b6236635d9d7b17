/* What a server is like before a job is given to it: for `check --live`. */
#ifndef DM_LM_LIVE_H
#define DM_LM_LIVE_H

#include "lm/config.h"

typedef enum dm_takes { DM_TAKES_UNKNOWN, DM_TAKES_IT, DM_TAKES_IT_NOT } dm_takes;

typedef struct dm_live {
    bool up;            /* it gave an answer */
    const char *why;    /* not up: what went wrong */
    const char *models; /* that it lists, with commas; "": it lists none */
    bool lists;         /* the job's model is among them */
    int64_t context;    /* tokens, of the job's model; 0: not said */
    dm_takes format;    /* response_format, as JSON mode sends it */
    double speed;       /* tokens a second of the one answer; 0: not known */
    const char *unfit;  /* a key of the request that the model refuses, as it is sent; "": none */
} dm_live;

/* Asks the number-th of the model's servers what it serves, and for one answer in JSON mode (for a
 * second one without where that is refused). Blocks; texts live in a. DM_E_MODEL: its key is
 * missing. Not for a model that answers in this process. */
dm_status dm_lm_live(dm_arena *a, const dm_lm_config *c, size_t number, dm_live *out,
                     dm_error *err) DM_MUST_USE;

/* With drop_params: the job's lm without the keys that the model refuses, into *out (lm itself
 * where there are none), and their names, as the job has them, appended to the list dropped. Its
 * servers are asked with a call of a few tokens, once for each key and once more; they are waited
 * for as `wait` says. Blocks. Not for a model that answers in this process, and nothing without
 * drop_params. DM_E_MODEL: none of them answers. */
dm_status dm_lm_settle(dm_arena *a, const char *job_file, const dm_value *lm, const dm_value **out,
                       dm_value *dropped, dm_error *err) DM_MUST_USE;

#endif
