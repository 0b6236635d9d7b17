/* What ChatAdapter and JSONAdapter share. */
#ifndef DM_ADAPTER_INSIDE_H
#define DM_ADAPTER_INSIDE_H

#include "adapter/adapter.h"

/* Text of a field's value in a prompt (contract 2.5). DM_E_DATA: DSPy's TypeError. */
dm_status dm_format_value(dm_buf *b, const dm_field *f, const dm_value *v,
                          dm_error *err) DM_MUST_USE;
void dm_format_note(dm_buf *b,
                    const dm_type *t); /* "        # note: ...", or nothing (contract 2.4) */

/* Section texts of a chat completion by output field, the first of each name; .p NULL: none. */
void dm_chat_sections(dm_arena *a, const dm_signature *s, dm_str completion, dm_str *sections);

#endif
