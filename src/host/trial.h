/* A few examples with the stand-in's answers (lm/lm.h), before a model is asked: how many calls
 * there are, and whether the program asks the same when it runs again. */
#ifndef DM_HOST_TRIAL_H
#define DM_HOST_TRIAL_H

#include "host/host.h"

typedef struct dm_host_trial {
    double calls;        /* of a run, in the mean; 0: not known */
    const char *differs; /* what the first example did otherwise when it ran again: "it asked p
                            (...)"; NULL: nothing */
    size_t n_failed;     /* of n */
    const char *failure; /* the first one's: "KeyError: 'x' (m.py:3)"; NULL: none */
    bool by_metric;      /* all of them */
} dm_host_trial;

/* rows [n]; waits for them, as long as the program takes: what it returns depends on no clock.
 * Lives in a. */
dm_host_trial dm_hosts_try(dm_hosts *h, dm_arena *a, const dm_value *const *rows, size_t n,
                           const dm_value *inputs);

#endif
