/* A program in Python as the rest of the house sees it: predictors with names, instructions and
 * fields, of which candidates are made; what happens between them only its host knows.
 *
 *     {"python": "mymod:Program", "identity": HASH, "inputs": ["question"],
 *      "predictors": [{"name": "query.predict", "instructions": "...",
 *                      "fields": [{"name", "input": true, "prefix", "desc"}, ...],
 *                      "state": {...}}, ...],
 *      "parameters": [{"name": "retrieve", "after": 1, "state": {"k": 3}}, ...]}
 *
 * identity is a hash of all source that the program is made of, of DSPy's version and of those of
 * the packages that it uses: with it in its JSON, another program has other cells. state is what
 * DSPy's dump_state gives for the predictor: a program file has it, with demonstrations and
 * instructions of the candidate in their places. A field's type is Python's affair, and str here.
 * parameters, which may be missing, are what a file has beside the predictors, each after so many
 * of them: DSPy loads no file that lacks one.
 */
#ifndef DM_PROGRAM_PYTHON_PROGRAM_H
#define DM_PROGRAM_PYTHON_PROGRAM_H

#include "program/program.h"

dm_program *dm_python_program_read(dm_arena *a, const dm_at *at, dm_error *err) DM_MUST_USE;
/* The demonstrations that the predictor has as it is written; of other programs: none. */
void dm_python_demos(const dm_predictor *p, dm_candidate_part *part);
/* Whether the predictor asks a model of its own in whatever context it runs (DSPy's set_lm). */
bool dm_python_has_lm(const dm_predictor *p);
/* Into file, with the keys of their names after prefix, the parameters that stand behind so many
 * predictors; of other programs: none. */
void dm_python_put_parameters(dm_arena *a, dm_value *file, const char *prefix, const dm_program *p,
                              size_t after);
/* DSPy's state of the predictor in this candidate; NULL: it is no Python program's. */
dm_value *dm_python_state(dm_arena *a, const dm_predictor *p, const dm_candidate_part *part);

#endif
