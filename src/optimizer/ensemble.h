/* The ensemble: several compilations in one run, and a committee of their best candidates.
 *
 * Each member is a strand that holds a whole compilation, with its scores on validation and test
 * set, on its own share of the cap: K shares of equal size, and one for what the committee takes.
 * So each is what it would be alone with its share. What members ask alike is asked once. */
#ifndef DM_OPTIMIZER_ENSEMBLE_H
#define DM_OPTIMIZER_ENSEMBLE_H

#include "ensemble/ask.h"
#include "ensemble/results.h"
#include "optimizer/optimizer.h"

typedef struct dm_ensemble_of { /* what a member is compiled with, beside its seed */
    const dm_params *params;
    const dm_value *json; /* as it would be under `optimizer`; NULL: a member made by hand */
    bool has_module;      /* instead of the job's, for a program of one module */
    dm_module module;
    dm_str lm; /* the model that it asks for the task, `lms.NAME` of the job; .p NULL: the job's */
    bool has_rows; /* from row `from` of the training set to row `behind` - 1 */
    size_t from, behind;
} dm_ensemble_of;

typedef enum dm_ensemble_select { DM_SELECT_BRIER, DM_SELECT_TOP } dm_ensemble_select;

typedef struct dm_ensemble_params {
    dm_params base;
    dm_param_optimizers given; /* as read */
    const dm_ensemble_of *of;  /* [n_of]; member i (from 0) has of[i % n_of] */
    size_t n_of;
    bool has_k;
    int64_t k;                       /* compilations: 4, or as many as `of` has */
    dm_params **each;                /* [k] parameters of the members: a copy each, with its seed */
    dm_param_programs members, from; /* program files; OUT folders */
    dm_ensemble_rule rule;
    size_t size; /* votes */
    dm_ensemble_select select;
    bool guard;
} dm_ensemble_params;

size_t dm_ensemble_k(const dm_ensemble_params *p);
const dm_ensemble_of *dm_ensemble_of_member(const dm_ensemble_params *p, size_t member);

/* The role whose model a member asks for the task. */
dm_role dm_ensemble_task_of(const dm_compile_input *member);

/* ---- what came of it ---- */

typedef struct dm_compiled_member {
    size_t number; /* from 1 on */
    const dm_compile_input *in;
    dm_compile_output out;
    dm_split splits[DM_SPLITS];
    size_t n_splits;
    dm_status status;  /* DM_OK, or why it was cut */
    dm_amount charged; /* each piece of work once, whoever had it made */
    dm_strand *strand;
} dm_compiled_member;

typedef struct dm_nominee { /* a candidate that may vote */
    const dm_candidate *candidate;
    const char *from; /* "member 2, seed -1"; a file's name */
    dm_str lm;        /* of its model, .p NULL: the job's own */
    dm_role role;     /* whose model it is */
    double estimate;
    const dm_result *row; /* [valset->n]; NULL: not had */
} dm_nominee;

typedef struct dm_ensemble_split { /* a data set: the best single program, and the committee */
    const char *name;
    const dm_dataset *set;
    const dm_result *start, *single; /* [set->n] */
    dm_asked committee;              /* results NULL: there is none, or they could not be had */
} dm_ensemble_split;

struct dm_ensemble_output {
    const dm_params *params;
    dm_compiled_member *members; /* [n] */
    size_t n;
    dm_nominee *pool;    /* [n_pool] the best by the searches' estimates, with their rows */
    size_t n_pool, of;   /* of so many different candidates */
    size_t single;       /* of the pool: the best alone */
    dm_nominee best;     /* it, or, before there was a choice, the best of what is known */
    size_t rows, usable; /* validation examples; those that are in no demonstration of the pool */
    dm_forecast forecast;
    dm_guard guard;
    const dm_ensemble *ensemble; /* the committee, whatever the guard says; NULL: there is none */
    bool chosen;                 /* it is the program; else the best single is */
    const char *why;             /* in words */
    dm_ensemble_split splits[DM_SPLITS];
    size_t n_splits;
};

/* "committee", "best_per_input" or "best single". */
const char *dm_ensemble_chosen(const dm_ensemble_output *o);

/* ---- inside ---- */

/* ensemble_params.c */
extern const dm_param dm_ensemble_table[];
void dm_ensemble_defaults(dm_params *p);
dm_status dm_ensemble_check(dm_arena *a, const dm_at *at, dm_params *p, dm_error *err);
dm_status dm_ensemble_fits(dm_arena *a, const dm_compile_input *in, dm_error *err);
const dm_params *dm_ensemble_part(const dm_params *p, size_t i);
size_t dm_ensemble_inner(dm_arena *a, const dm_compile_input *in, dm_compile_input **out);
bool dm_ensemble_asks(const dm_params *p, dm_str name);

/* ensemble_plan.c */
size_t dm_ensemble_demos(const dm_params *p);
void dm_ensemble_plan(dm_arena *a, const dm_compile_input *in, dm_plan *plan);
double dm_ensemble_least(dm_arena *a, const dm_compile_input *in);
void dm_ensemble_announce(dm_buf *b, dm_arena *a, const dm_compile_input *in, int64_t concurrency);

/* committee.c: from the members' candidates to what is chosen, and its scores. A stop is > 0, and
 * leaves what is known. */
dm_status dm_committee_run(dm_pool *p, const dm_compile_input *in, dm_ensemble_output *o,
                           dm_error *err) DM_MUST_USE;

#endif
