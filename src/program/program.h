/* A program: predictors in a line, wired by field name (src/README.md §1). A step's inputs come
 * from the example's inputs and from the outputs of earlier steps; a later output of the same name
 * wins. The prediction of the program is the last step's prediction, joined by no other output. */
#ifndef DM_PROGRAM_PROGRAM_H
#define DM_PROGRAM_PROGRAM_H

#include "program/signature.h"

typedef enum dm_module { DM_PREDICT, DM_CHAIN_OF_THOUGHT } dm_module;

typedef struct dm_predictor {
    dm_str step; /* name of the step; "" for a program of one module */
    dm_str
        path; /* key in DSPy's state file: "" (bare Predict), "predict", "query", "query.predict" */
    dm_module module;
    const dm_signature *signature; /* with `reasoning` for a chain of thought */
    const dm_value *state;         /* of a Python program: what DSPy saves of it; else NULL */
} dm_predictor;

typedef struct dm_program {
    dm_predictor *predictors; /* [n], in the order they run; also DSPy's order */
    size_t n;
    dm_str *inputs; /* [n_inputs] fields that no earlier step gives, in first-use order */
    size_t n_inputs;
    /* A program in Python, which a host runs (src/host): what was found in it, as it is written;
     * NULL: its steps are all there is. */
    const dm_value *python;
    const char *source; /* of such a program, for whoever reads it; NULL: not known here */
    double calls;       /* that a run of it makes, as far as was tried; 0: one a predictor */
} dm_program;

/* What people call it: its step, or "program" where there are no steps. */
dm_str dm_predictor_label(const dm_predictor *p);
/* Calls that a run makes where each answer can be read. */
double dm_program_calls(const dm_program *p);

/* {"predict": SIG} | {"chain_of_thought": SIG} | {"steps": [...]}; aliases Predict, ChainOfThought.
 * {"python": "module:name", "predictors": [...], ...} as dm_program_write writes it
 * (python_program.h). */
dm_program *dm_program_read(dm_arena *a, const dm_at *at, dm_error *err) DM_MUST_USE;
/* Whether v has a key of a program of steps or of one module, which python is not. */
bool dm_is_native_program(const dm_value *v);
dm_value *dm_program_write(dm_arena *a, const dm_program *p); /* what dm_program_read reads */
/* A program of one module as another module, with the same signature; NULL: it has steps. */
const dm_program *dm_program_as(dm_arena *a, const dm_program *p, dm_module module);

/* A candidate: what the optimizers change. Immutable; lives in the arena of the job. */
typedef struct dm_candidate_part {
    dm_str instructions;
    const dm_value **demos; /* [n_demos] DM_DICT; bootstrapped ones have "augmented": true first */
    size_t n_demos;
    /* [n_demos], of a predictor in Python: the values of which JSON has only the text (objects of
     * the program's own classes, tuples), as its host wrote them and reads them again; .p NULL: the
     * JSON is all. They change what adapters show, but no file has them, and no hash. NULL: none.
     */
    const dm_str *live;
    bool loaded; /* the demos come from a file, and are what DSPy has once it has loaded one */
    bool
        without_lm; /* of a predictor in Python that has a model of its own: that it is not asked */
} dm_candidate_part;

typedef struct dm_candidate {
    const dm_program *program;
    dm_candidate_part *parts; /* [program->n] */
    dm_hash hash;             /* of program, instructions and demos; set by dm_candidate_seal */
    dm_hash sent;             /* the same without the demos that are never sent */
} dm_candidate;

/* Whether a demo of the predictor reaches the model: with an input and an output of it, or with all
 * that it has (contract 2.7). */
bool dm_demo_is_sent(const dm_signature *s, const dm_value *demo);
/* Whether two of a predictor show the model the same demonstrations. */
bool dm_same_demos(const dm_signature *s, const dm_candidate_part *a, const dm_candidate_part *b);

/* The program as written: the signatures' instructions, no demos. Change parts, then seal. */
dm_candidate *dm_candidate_new(dm_arena *a, const dm_program *p);
dm_candidate *dm_candidate_copy(dm_arena *a, const dm_candidate *c); /* parts may be replaced */
const dm_candidate *dm_candidate_seal(dm_candidate *c);
/* In place of those that it has. */
void dm_part_set_demos(dm_candidate_part *part, const dm_value **demos, size_t n);
void dm_part_copy_demos(dm_candidate_part *part, const dm_candidate_part *from);
/* For files: {"instructions": [...], "demos": [[...], ...]}, and where a predictor is without its
 * own model "without_lm": [false, true, ...]. dm_candidate_pack, for the wire: and with what hosts
 * make of the demos, "live": [[text or null, ...] or null, ...] and "loaded": [false, true, ...],
 * where there is any. */
dm_value *dm_candidate_write(dm_arena *a, const dm_candidate *c);
dm_value *dm_candidate_pack(dm_arena *a, const dm_candidate *c);
/* One predictor's of "live". */
const dm_value *dm_live_list(dm_arena *a, const dm_candidate_part *part);
dm_candidate *dm_candidate_read(dm_arena *a, const dm_program *p, const dm_at *at,
                                dm_error *err) DM_MUST_USE;

#endif
