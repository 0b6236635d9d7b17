/* What advise knows of a job, and how it is printed. */
#ifndef DM_CMD_ADVISE_H
#define DM_CMD_ADVISE_H

#include "advice/advice.h"
#include "advice/data.h"
#include "cmd/estimate.h"
#include "cmd/metric_trial.h"
#include "cmd/session.h"

#define DM_PROBES         3
#define DM_ADVISE_CALLS   160
#define DM_PROBE_EXAMPLES 20
#define DM_MOST_REASONS   24

typedef struct dm_probe {
    const char *name; /* "4 demonstrations"; NULL: it was left out */
    size_t demos;
    double start, score; /* means on the examples that both have */
    dm_mean gain;        /* at 95 % for all probes together */
    double prompt;       /* tokens of a call; NAN */
} dm_probe;

typedef struct dm_advising {
    dm_arena *arena;
    dm_job *job;
    const dm_command_line *line;
    const char *folder; /* where the journal is; NULL: nowhere */
    double most;        /* calls */
    double uses, value; /* NAN: not given */
    dm_findings data;
    /* Different examples to train on; where the job leaves it to the optimizer to cut off a
     * validation set, all that there are, as `valset_size` gives either as many as one likes. */
    size_t n_train;
    dm_trial_verdict metric;
    const char *metric_fault; /* why it cannot be used at all; NULL */
    /* ---- what was asked ---- */
    size_t available; /* different examples that the start could be scored on, about */
    size_t rows;      /* of them, as many as the calls could do for */
    size_t planned;   /* for which they are meant */
    size_t looks;
    dm_mean start; /* n 0: not asked */
    size_t failed, unread, truncated, asked, metric_failed;
    dm_probe probes[DM_PROBES];
    dm_calibration measured;
    dm_pool_stats stats; /* requests 0: nobody was asked */
    double seconds;
    dm_status stopped; /* > 0: before it was through */
    bool capped;       /* by the job's own budget */
    /* ---- what follows ---- */
    dm_job *compile; /* as it should be compiled: the job, or with another optimizer; NULL: there is
                        none that fits */
    bool own;        /* it is the job as it stands */
    dm_range calls, tokens, cost;
    bool has_cost;
    dm_use before, after;
    size_t after_demos;
    dm_worth verdict;
    const char *reasons[DM_MOST_REASONS]; /* [n_reasons] what decided first */
    size_t n_reasons;
    const char *next; /* the command to type */
} dm_advising;

/* Of what can be said of the job's data without a call the first that has to be mended, in a line
 * on stderr; nothing if there is none. */
void dm_say_findings(dm_arena *a, const dm_job *job);

/* Asks for the start's scores, in looks, and for the probes'. A failure ends the command; a stop is
 * kept. */
dm_status dm_advise_ask(dm_advising *v, dm_session *s, dm_error *err) DM_MUST_USE;

void dm_advise_judge(dm_advising *v); /* verdict, reasons, and what to type next */
void dm_advise_text(dm_buf *b, const dm_advising *v);
dm_value *dm_advise_json(const dm_advising *v);

#endif
