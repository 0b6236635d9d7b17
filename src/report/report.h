/* What people look at: the live line, the table at the end, the evidence files in OUT. */
#ifndef DM_REPORT_REPORT_H
#define DM_REPORT_REPORT_H

#include "pool/setup.h"
#include "report/score.h"

typedef struct dm_split_report { /* one data set */
    const char *name;            /* "valset", "testset" */
    const dm_dataset *set;
    const dm_result *baseline, *compiled; /* [set->n]; compiled NULL: only one program (eval) */
} dm_split_report;

typedef struct dm_report {
    const dm_split_report *splits; /* [n_splits] */
    size_t n_splits;
    bool selected;   /* the winner was chosen by the validation score */
    double optimism; /* standard errors by which that is too high in the mean; 0: not known */
    bool stand_in;   /* the embedded model ran */
    dm_usage usage;
    double cost, seconds; /* cost NAN: not known */
    const char *program;  /* path; NULL: none */
} dm_report;

#define DM_PREDICTIONS_START "{\"split\": \"" /* what each line begins with */
void dm_report_table(dm_buf *b, const dm_report *r);
/* predictions.jsonl: a line for each split, program and example, as JSON is shown: id (the data's
 * own, or "row N"), inputs, label (all other columns), outputs, what each step put out where there
 * are several, score, error. setup says which columns are inputs, and the steps. */
void dm_report_predictions(dm_buf *b, const dm_setup *setup, const dm_split_report *splits,
                           size_t n);

/* One line of progress: "search 1,040 of 2,080 runs, best 84.5 %  42.0 calls/s  1.2 M tokens  0
 * errors  2 min 3 s left"; parts are left out where it would have more than width characters. */
typedef struct dm_progress {
    double started, last; /* dm_now() */
    int64_t last_calls;
    double rate;    /* calls/s, smoothed */
    char phase[32]; /* what the time that is left is estimated for */
    double phase_started;
    size_t phase_done; /* when it was first seen: what a resumed run has already */
} dm_progress;
/* Takes note of where the run is: what rate and time left are estimated by. */
void dm_progress_note(dm_progress *p, const dm_pool_stats *s, double now);
/* s that are left of the phase, by the rate so far; NAN: not known. */
double dm_progress_left(const dm_progress *p, const dm_pool_stats *s, double now);
void dm_progress_line(dm_buf *b, dm_progress *p, const dm_pool_stats *s, double now, size_t width);

#endif
