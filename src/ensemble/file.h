/* The file of an ensemble: what dspy.Ensemble saves and loads.
 *
 * Keys are "programs[0]....", "programs[1]....", as many as there are votes: a member with two
 * votes is written out twice, so that dspy.majority over them, which knows no weights, is the
 * weighted vote. What DSPy does not save is in metadata.dspy_mpi:
 *
 *     "program": the members' program, where they have one;
 *     "ensemble": {"reduce": "majority", "field": "answer", "votes": [2, 1], "size": 3,
 *                  "size_draw": "dspy", "programs": [one for each key, where they differ],
 *                  "roles": [names of models of their own or null, where any has one],
 *                  "router": route.h's, ... and what the writer adds} */
#ifndef DM_ENSEMBLE_FILE_H
#define DM_ENSEMBLE_FILE_H

#include "ensemble/route.h"
#include "ensemble/vote.h"
#include "lm/config.h"
#include "program/state_file.h"

typedef struct dm_ensemble {
    const dm_candidate **members; /* [n] no two alike, in the order of the vote */
    uint32_t *votes;              /* [n] 1 or more */
    size_t n, all;                /* members; votes: as many as DSPy has programs */
    size_t *list;                 /* [all] member of each of DSPy's programs */
    const dm_str *lm; /* [n] its model's name among the job's `lms`; .p NULL: the job's own. NULL:
                         no member has one */
    const dm_role *role; /* [n] of these models in this run (dm_ensemble_find_models); NULL: the
                            task's for all */
    dm_reduce reduce;
    dm_str field;     /* the output that is voted on; every member's last step has it */
    bool exact_field; /* it is no str, or a Literal: its values are told apart by equality */
    size_t size;      /* of DSPy's programs so many are asked for an input; 0: all */
    bool dspy_draw;   /* they are drawn from Python's global stream, as DSPy does; else by hash */
    const dm_router *router; /* best_per_input; else NULL */
    const dm_value *more;    /* dict: other keys of metadata.dspy_mpi.ensemble; NULL: none */
} dm_ensemble;

/* Settings that a job or a file can give; absent ones have their defaults. */
typedef struct dm_ensemble_rule {
    bool has_reduce;
    dm_reduce reduce;
    dm_str field; /* .p NULL: the last output of the first member */
    size_t size;
    bool dspy_draw;
    const dm_str *lms; /* [programs] whose model each asks, as dm_ensemble.lm; NULL: the job's */
} dm_ensemble_rule;

/* Models that a job names beside those of its roles: `lms.NAME`. */
typedef struct dm_own_models {
    const char *name[DM_OWN_ROLES]; /* [n] that of role DM_OWN + i */
    size_t n;
    bool given[DM_OWN]; /* roles for which the job names a model; the others have the task's */
} dm_own_models;
/* The role of that name; DM_TASK: .p NULL. false: there is none. */
bool dm_own_model_named(const dm_own_models *m, dm_str name, dm_role *role);

/* The keys "reduce", "field", "size", "size_draw" of an object (absent: defaults). Rules that were
 * measured and never gained are refused by name in one sentence. */
dm_status dm_ensemble_rule_read(const dm_at *at, dm_ensemble_rule *rule, dm_error *err) DM_MUST_USE;

/* programs [n]: as DSPy has them, repeats included; equal ones become one member with votes. The
 * reduce is `exact` by default where the output is no str, or a Literal. DM_E_DATA: the members do
 * not fit together, or the rule does not fit them. file: what errors call the source. */
dm_status dm_ensemble_new(dm_arena *a, const char *file, const dm_candidate *const *programs,
                          size_t n, const dm_ensemble_rule *rule, dm_ensemble *out,
                          dm_error *err) DM_MUST_USE;

/* The inputs that programs [n] read, each once, as they come: what size and router go by, whatever
 * else a job has for an input. false: a program in Python does not tell. */
bool dm_ensemble_inputs(dm_arena *a, const dm_candidate *const *programs, size_t n,
                        const dm_str **inputs, size_t *n_inputs);

/* Sets e->role by the job's names; false: *missing is not among them. */
bool dm_ensemble_find_models(dm_arena *a, dm_ensemble *e, const dm_own_models *own,
                             dm_str *missing);

/* provenance (NULL: none): further keys of metadata.dspy_mpi. e->more goes to its ensemble. */
void dm_ensemble_write(dm_buf *b, dm_arena *a, const dm_ensemble *e, const dm_value *provenance);

/* Whether it has keys of members, "programs[...". Not where these are the keys of one program,
 * which has a list of that name: as our own file says, or as the program's predictors are called
 * (NULL: it is not known). */
bool dm_ensemble_is(const dm_value *file, const dm_program *program);

/* A file of ours, or of DSPy. DSPy's says no program: then that of `program` (a job's) is taken,
 * and of a program of one module also the same as predict or chain_of_thought. A member that is
 * missing, as DSPy leaves out what is in its list twice and what BootstrapFewShot returned, is
 * DM_E_DATA. Our file ignores program. provenance (may be NULL) gets metadata.dspy_mpi or NULL. */
dm_status dm_ensemble_read(dm_arena *a, dm_str text, const char *name, const dm_program *program,
                           dm_ensemble *out, const dm_value **provenance,
                           dm_error *err) DM_MUST_USE;

/* Python that loads the file at path and votes by the same rule: for `show`. */
void dm_ensemble_python(dm_buf *b, dm_arena *a, const dm_ensemble *e, const char *path);

#endif
