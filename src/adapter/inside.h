/* An adapter as a class, and what they share. */
#ifndef DM_ADAPTER_INSIDE_H
#define DM_ADAPTER_INSIDE_H

#include "adapter/adapter.h"

/* Texts are DSPy's, byte for byte. Nobody else knows an adapter's name. A status that is not DM_OK
 * is DM_E_DATA for what cannot be written, DSPy's TypeError; of parse it is DM_E_PARSE. */
typedef struct dm_adapter_class {
    const char *name, *shown; /* "chat", "chat adapter" */
    const char *dspy;         /* its class, for DSPy's error texts */
    /* The system message's account of the form, behind its first sentence. */
    void (*structure)(dm_buf *b, dm_arena *a, const dm_signature *s);
    /* One input in a user turn; a blank line between two is put by the caller. */
    dm_status (*input)(dm_buf *b, const dm_field *f, const dm_value *v, dm_error *err);
    void (*requirements)(dm_buf *b, const dm_signature *s); /* the last sentence of the user turn */
    dm_status (*outputs)(dm_buf *b, dm_arena *a, const dm_signature *s, const dm_value *demo,
                         dm_error *err); /* the assistant's turn of a demonstration */
    dm_status (*parse)(dm_arena *a, const dm_signature *s, dm_str completion,
                       const dm_value **fields, dm_error *err);
    dm_response_format (*format)(const dm_signature *s); /* NULL: never any */
    dm_adapter fallback;                                 /* itself: none */
} dm_adapter_class;

#define DM_ADAPTER_DECLARE(number, name) extern const dm_adapter_class dm_adapter_##name;
DM_ADAPTERS(DM_ADAPTER_DECLARE)

/* ---- render.c ---- */

#define DM_ADAPTER_INDENT "        "
/* What stands for an output that a demonstration does not have. */
extern const char dm_adapter_missing[];
const dm_field *dm_adapter_output(const dm_signature *s, size_t i);
/* Text of a field's value in a prompt (contract 2.5). DM_E_DATA: DSPy's TypeError. */
dm_status dm_format_value(dm_buf *b, const dm_field *f, const dm_value *v,
                          dm_error *err) DM_MUST_USE;
void dm_format_note(dm_buf *b,
                    const dm_type *t); /* "        # note: ...", or nothing (contract 2.4) */
/* " (must be formatted as a valid Python T)", or nothing for a str (contract 2.6). */
void dm_format_python_type(dm_buf *b, const dm_type *t);
/* str.strip() of what follows start. */
void dm_format_trim(dm_buf *b, size_t start);

/* dm_adapter_user and dm_adapter_prefix, of this adapter. */
dm_status dm_render_user(dm_arena *a, const dm_adapter_class *c, const dm_signature *s,
                         const dm_value *inputs, dm_str *out, dm_error *err) DM_MUST_USE;
dm_status dm_render_prefix(dm_arena *a, const dm_adapter_class *c, const dm_signature *s,
                           dm_str instructions, const dm_value *const *demos, size_t n_demos,
                           dm_prefix *out, dm_error *err) DM_MUST_USE;

/* ---- chat.c: JSON mode has its inputs from here ---- */

dm_status dm_chat_input(dm_buf *b, const dm_field *f, const dm_value *v, dm_error *err);
/* Headers of fields with {name} under each, and with the notes of their types. */
void dm_chat_structure(dm_buf *b, const dm_field *fields, size_t n, bool notes);

/* ---- parse.c: errors in DSPy's words (contract 3.1) ---- */

/* found: dict of the fields that could be read; NULL: not said. */
dm_status dm_parse_error(const dm_adapter_class *c, const char *message, const dm_signature *s,
                         dm_str completion, const dm_value *found, dm_error *err);
/* v, of field f, cannot be what the type asks. */
dm_status dm_parse_misfit(const dm_adapter_class *c, const dm_signature *s, const dm_field *f,
                          const dm_value *v, const dm_error *why, dm_str completion,
                          const dm_value *found, dm_error *err);
/* Adds to the fields found what may be missing (None where the type allows it), in the signature's
 * order; the error of what is missing else. */
dm_status dm_parse_complete(const dm_adapter_class *c, dm_arena *a, const dm_signature *s,
                            dm_str completion, const dm_value *found, const dm_value **fields,
                            dm_error *err) DM_MUST_USE;

/* ---- coerce.c ---- */

/* pydantic's lax validation alone; NULL: v does not fit. */
const dm_value *dm_validate(dm_arena *a, const dm_type *t, const dm_value *v);

#endif
