/* What an OUT tells, read from its files alone: status.json, predictions.jsonl, trials.csv,
 * evidence.json and the programs. For report.html, made of it without a call, also of a run that
 * was stopped or killed. */
#ifndef DM_REPORT_STORY_H
#define DM_REPORT_STORY_H

#include "ensemble/file.h"
#include "report/report.h"

typedef struct dm_story_example {
    dm_str id;
    const dm_value *inputs, *label; /* dicts */
    const dm_value *outputs[2];     /* dicts, of start and compiled; NULL: none */
    const char *error[2];           /* class; NULL: none */
    bool there[2];                  /* whether there is a line of it */
} dm_story_example;

typedef struct dm_story_split {
    const char *name; /* "valset", "testset" */
    dm_story_example *examples;
    dm_result *results[2]; /* [n] of start and compiled: score and present alone */
    size_t n;
    bool two;           /* there are both */
    dm_score score[2];  /* as the last line has them, else from these lines */
    dm_difference diff; /* from these lines, where there are both */
    bool graded;        /* some score is neither 0 nor 1 */
    dm_str label;       /* the column that answers are compared with; .p NULL: not known */
} dm_story_split;

typedef struct dm_story_trial { /* a line of trials.csv, and what evidence.json has of it */
    bool front;                 /* no other beats it both in score and in length */
    dm_str name, file, instructions, demos;
    dm_score score;
    bool best;
    double calls, seconds, estimate, tokens; /* NAN: not known */
} dm_story_trial;

typedef struct dm_story {
    dm_arena *arena;
    const char *out;                                           /* the folder as given */
    const char *title;                                         /* its name */
    const dm_value *status, *last, *progress, *job, *evidence; /* NULL: not there */
    dm_story_split splits[2];                                  /* [n_splits]; the test set first */
    size_t n_splits;
    dm_story_trial *trials; /* [n_trials] */
    size_t n_trials;
    const dm_candidate *start, *compiled; /* NULL: cannot be read, or an ensemble */
    const dm_value *committee;            /* of the evidence */
    char sum[65];                         /* SHA-256 of program.json; "": there is none */
} dm_story;

#define DM_REPORT_START                                                                            \
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"generator\" "   \
    "content=\"dspy-mpi"

/* Everything lives in a. DM_E_USAGE: there is no run in out; DM_E_DATA: a file of it cannot be
 * read. */
dm_status dm_story_read(dm_arena *a, const char *out, dm_story *s, dm_error *err) DM_MUST_USE;
/* The page: one file, nothing in it runs or is fetched, and all foreign text is text. */
void dm_story_html(dm_buf *b, const dm_story *s);

/* The validation set chose the program: among candidates, or whether a committee is it. */
bool dm_story_chosen(const dm_story *s);

/* Values of such files: NAN or "" where it is none. */
double dm_story_number(const dm_value *v, const char *key);
const char *dm_story_text(const dm_value *v, const char *key);

#endif
