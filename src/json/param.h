/* Tables of keys. A row says what a key is called and takes, what it does, and what holds where it
 * is absent; the table drives the reader, the defaults, the flags, --help, the manual and the
 * schema of job files. A key that is not in its table is refused. */
#ifndef DM_JSON_PARAM_H
#define DM_JSON_PARAM_H

#include "json/get.h"

struct dm_program;

typedef enum dm_param_kind {
    DM_PARAM_BOOL,       /* bool */
    DM_PARAM_INT,        /* int64_t from low to high */
    DM_PARAM_NUMBER,     /* double from low to high */
    DM_PARAM_AMOUNT,     /* double from low to high, or a text that parse makes it of */
    DM_PARAM_WORD,       /* an enum: number of the word among words */
    DM_PARAM_TEXT,       /* const char *, for which bad has nothing to say */
    DM_PARAM_INTS,       /* dm_ints, each from low on */
    DM_PARAM_ANY,        /* kept as it is: whoever has the table looks at it */
    DM_PARAM_OWN,        /* what its read makes of it: an optimizer in the optimizer, too */
    DM_PARAM_FILE,       /* the optimizers' (optimizer/optimizer.h) from here on */
    DM_PARAM_PROGRAMS,   /* dm_param_programs */
    DM_PARAM_OPTIMIZERS, /* dm_param_optimizers, low to high of them */
} dm_param_kind;

typedef struct dm_ints {
    const int64_t *items; /* [n]; NULL: not given */
    size_t n;
} dm_ints;

typedef struct dm_param {
    const char *name; /* NULL: behind the last one */
    dm_param_kind kind;
    double low, high;
    size_t at;                /* where in the struct */
    size_t given;             /* where the bool that tells whether it was; 0: nowhere */
    const char *const *words; /* WORD: up to a NULL, numbered from 0, or from 1 where null is 0 */
    bool null_is_0;
    unsigned mark;                                                    /* of the table's owner */
    dm_status (*parse)(const char *text, double *out, dm_error *err); /* AMOUNT */
    /* TEXT: what is wrong with it; NULL: nothing. */
    const char *(*bad)(dm_arena *a, const char *text);
    dm_status (*read)(dm_arena *a, const dm_at *at, void *into, dm_error *err); /* OWN */
    const char *const *beside; /* OPTIMIZERS: keys among theirs that the holder reads, up to a NULL
                                */
    /* FILE: whether what is in it is right for the program. */
    dm_status (*suits)(const dm_value *json, const char *path, const struct dm_program *program,
                       dm_error *err);
    const char *value;    /* what stands for the value in --help; NULL: its words */
    const char *help;     /* a sentence, without the default */
    const char *fallback; /* the default as JSON; NULL: see absent */
    const char *absent;   /* in words, where no value says what holds without the key */
    const char *schema;   /* members of its JSON Schema, where the kind does not say them */
} dm_param;

/* Sets what the rows' fallback says in the struct `into`. */
void dm_params_default(const dm_param *table, void *into);
/* Reads one value that is there. */
dm_status dm_param_read(dm_arena *a, const dm_param *row, const dm_at *at, void *into,
                        dm_error *err) DM_MUST_USE;
/* Reads those keys of the object that are there, in the order of the table; null_absent: null says
 * as much as nothing. */
dm_status dm_params_read(dm_arena *a, const dm_param *table, const dm_at *at, bool null_absent,
                         void *into, dm_error *err) DM_MUST_USE;
/* All keys of the object are in the table; near as dm_get_known_by has it. */
dm_status dm_params_known(dm_arena *a, const dm_param *table, const dm_at *at,
                          const char *(*near)(const char *key), dm_error *err) DM_MUST_USE;
const dm_param *dm_param_find(const dm_param *table, const char *name); /* NULL: it has none */

/* What stands for the value, "N" or "light|medium|heavy|null"; its default, "16", "never". "" where
 * the table does not say. They live in a. */
const char *dm_param_value(dm_arena *a, const dm_param *row);
const char *dm_param_default(dm_arena *a, const dm_param *row);

#endif
