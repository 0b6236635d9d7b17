/* What a table of data asks for: which columns are inputs, which is the label, of what type, and
 * what metric fits. A guess to begin with, by names and values; the words say why. */
#ifndef DM_ADVICE_GUESS_H
#define DM_ADVICE_GUESS_H

#include "advice/data.h"

typedef struct dm_guess {
    const char *signature;    /* "question, choices: list[str] -> answer: Literal['A', 'B']" */
    const char *instructions; /* NULL: those of the signature will do */
    bool thinks;              /* a chain of thought rather than a bare prediction */
    const char *metric;       /* a built-in metric's name */
    bool field;               /* which needs the label's name */
    const char *label;
    const char *why_columns, *why_type, *why_metric; /* sentences */
    const dm_str *inputs;                            /* [n_inputs] columns */
    size_t n_inputs;
} dm_guess;

/* sets as in dm_data, the first one there. DM_E_DATA: a row has one column alone, or a column that
 * is needed cannot be a field's name. */
dm_status dm_guess_job(dm_arena *a, const dm_dataset *const sets[DM_SETS], dm_guess *out,
                       dm_error *err) DM_MUST_USE;

#endif
