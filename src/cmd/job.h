/* A job: the job file and the flags, read and checked. */
#ifndef DM_CMD_JOB_H
#define DM_CMD_JOB_H

#include "cmd/options.h"
#include "ensemble/file.h"
#include "optimizer/optimizer.h"
#include "pool/setup.h"

typedef struct dm_job {
    dm_arena *arena;
    const char *file;     /* its name as given, or "command line" */
    const dm_value *json; /* the merged dict */
    dm_program *program;
    const dm_candidate *student; /* the program as written, or the program file */
    const char *program_file;    /* what it is in; NULL: the job itself */
    const dm_ensemble *ensemble; /* the program file has several, which vote; the student is one of
                                    them. NULL: it has not */
    dm_own_models own;           /* that `lms` has beside those of the roles */
    dm_str lm; /* the one of them that the program file says it asks; of a member the one
                  that it asks. .p NULL: none */
    const dm_candidate *teacher; /* NULL: the student */
    bool teacher_compiled;
    bool valset_is_trainset;
    dm_params *optimizer; /* NULL: none */
    bool has_seed;
    int64_t seed, max_errors;         /* 0: not given */
    double valset_size, testset_size; /* as given; 0: not given */
    const dm_dataset *trainset, *valset, *testset;
    double drain;           /* s, for calls in flight when the run stops */
    const char *out;        /* folder */
    const char *cache;      /* folder of answers across runs; NULL: none */
    const char *pick;       /* a candidate of the OUT that the program is; NULL: the winner */
    bool force;             /* what is in the way is moved aside */
    bool stand_in;          /* one of the models is the embedded one */
    int64_t concurrency;    /* calls in flight asked for, of the task model */
    const char *model;      /* the task model's name as given */
    dm_amount cap;          /* setup.cap points here */
    double time_cap;        /* s; 0: none */
    const dm_value *python; /* what the host of a Python program says of it; NULL: there is none */
    const char *metric_fails; /* on each example of it that was tried; NULL: it does not */
    dm_value *dropped; /* list: keys that models do not take, by dm_job_settle; NULL: not yet */
    dm_setup setup;
} dm_job;

/* What a command needs of a job: data sets and metric are read only where they are wanted. Without
 * data (run, show) only program, models and adapter are looked at. */
typedef struct dm_job_wants {
    bool data, metric, optimizer, model;
    bool few;   /* sets that are too small for its optimizer will do */
    bool asked; /* its program is only asked: another than the job's will do, too */
} dm_job_wants;

dm_status dm_job_read(dm_arena *a, const dm_command_line *line, dm_job_wants wants, dm_job *job,
                      dm_error *err) DM_MUST_USE;
/* What makes two jobs the same: program, data, metric, optimizer, models, seed. Dict of key ->
 * text. */
dm_value *dm_job_identity(dm_arena *a, const dm_job *job);
/* What the job's optimizer is given. Sets that are missing are empty. */
dm_compile_input dm_job_input(const dm_job *job);
/* Checks the metric against the data; gives it back for use (free it). */
dm_metric *dm_job_metric(dm_arena *a, const dm_job *job, dm_error *err) DM_MUST_USE;
/* The variables that the keys and headers of the job's models are read from, at most room; none
 * where the job cannot be read. Opens no other file than the job's. They live in a. */
size_t dm_job_key_names(dm_arena *a, const dm_command_line *line, const char **names, size_t room);

/* Asks models with drop_params which of their sampling keys they refuse, and leaves these out of
 * setup.lm and setup.model, before the job's identity is formed. */
dm_status dm_job_settle(dm_arena *a, dm_job *job, dm_error *err) DM_MUST_USE;

#endif
