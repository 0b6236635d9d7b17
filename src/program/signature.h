/* Signatures (contract 1). Fields are all inputs, then all outputs, each in declared order. */
#ifndef DM_PROGRAM_SIGNATURE_H
#define DM_PROGRAM_SIGNATURE_H

#include "json/get.h"
#include "program/type.h"

typedef struct dm_field {
    dm_str name;
    const dm_type *type;
    bool typed;         /* an annotation was given */
    dm_str desc;        /* "${name}" unless given */
    dm_str prefix;      /* "Question:", contract 1.3; stored, never shown */
    dm_str constraints; /* "greater than or equal to: 0, ...", contract 1.4; n == 0: none */
} dm_field;

typedef struct dm_signature {
    dm_field *fields; /* [n_inputs + n_outputs] */
    size_t n_inputs, n_outputs;
    dm_str instructions; /* cleandoc'ed; the default text when none was given (contract 1.5) */
} dm_signature;

/* "question, context: list[str] -> answer: Literal['a', 'b']". The error shows the text with a
 * mark. */
dm_signature *dm_signature_parse(dm_arena *a, dm_str text, dm_error *err) DM_MUST_USE;
/* A string, or {"signature", "instructions", "fields": {name: {desc, gt, ge, lt, le, min_length,
 * max_length, multiple_of}}}. */
dm_signature *dm_signature_read(dm_arena *a, const dm_at *at, dm_error *err) DM_MUST_USE;
/* With `reasoning: str` as first output (ChainOfThought, contract 1.6). */
dm_signature *dm_signature_with_reasoning(dm_arena *a, const dm_signature *s);
dm_str dm_signature_prefix(dm_arena *a, dm_str name); /* contract 1.3 */
/* {"signature": "...", "instructions", "fields"}: what dm_signature_read reads back to an equal
 * one. */
dm_value *dm_signature_write(dm_arena *a, const dm_signature *s);

#endif
