/* A value: what JSON and Python's plain data have in common, with nothing lost.
 *
 * cJSON keeps a number as a double only, so it cannot tell 1 from 1.0, loses digits beyond 2^53,
 * and ends a string at U+0000. Prompts show all three, so everything that can reach a prompt, a
 * program file or the data set is a dm_value, and so is all else that is JSON here.
 *
 * Values are immutable once built and live in an arena. Dictionaries keep insertion order; a
 * repeated key keeps its first place and takes the last value, as Python's json does. */
#ifndef DM_JSON_VALUE_H
#define DM_JSON_VALUE_H

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"

typedef enum dm_kind { DM_NULL, DM_BOOL, DM_INT, DM_FLOAT, DM_STRING, DM_LIST, DM_DICT } dm_kind;

typedef struct dm_value dm_value;
#define DM_LINE_FLAG UINT32_MAX

typedef struct dm_member {
    dm_str key; /* NUL-terminated too */
    const dm_value *value;
} dm_member;

struct dm_value {
    dm_kind kind;
    bool boolean; /* DM_BOOL */
    /* Where it began in the text it was read from, from 1; 0: was not read; DM_LINE_FLAG: given on
     * the command line. */
    uint32_t line, column;
    double number; /* DM_FLOAT (nan and inf are possible); DM_INT: nearest double */
    union {
        dm_str
            text; /* DM_STRING: UTF-8; DM_INT: canonical digits, any length; NUL-terminated too */
        struct {  /* DM_LIST, DM_DICT alone */
            union {
                const dm_value **items; /* DM_LIST: [n] */
                dm_member *members;     /* DM_DICT: [n] */
            };
            size_t n, cap;
            uint32_t *index; /* DM_DICT of many: member number + 1 by hash of the key, [slots] */
            size_t slots;    /* a power of two; 0: looked up one by one */
        };
    };
};

/* Builders; strings are copied into the arena. */
dm_value *dm_value_null(dm_arena *a);
dm_value *dm_value_bool(dm_arena *a, bool v);
dm_value *dm_value_int(dm_arena *a, int64_t v);
dm_value *dm_value_digits(dm_arena *a, dm_str digits); /* "-017" becomes -17 */
dm_value *dm_value_float(dm_arena *a, double v);
dm_value *dm_value_finite(dm_arena *a, double v); /* null for nan and inf */
dm_value *dm_value_string(dm_arena *a, dm_str s);
dm_value *dm_value_text(dm_arena *a, const char *s);
dm_value *dm_value_string_kept(dm_arena *a, dm_str s); /* s lives in the arena, with its NUL */
dm_value *dm_value_list(dm_arena *a);
void dm_value_append(dm_arena *a, dm_value *list, const dm_value *item);
dm_value *dm_value_strings(dm_arena *a, const dm_str *s, size_t n); /* a list of them */
dm_value *dm_value_dict(dm_arena *a);
void dm_value_set(dm_arena *a, dm_value *dict, dm_str key,
                  const dm_value *value); /* copies the key */
/* The same for a key that lives in the arena already, NUL-terminated. */
void dm_value_set_kept(dm_arena *a, dm_value *dict, dm_str key, const dm_value *value);
dm_value *dm_value_copy(dm_arena *a, const dm_value *v); /* deep */
/* The same; where the dict `like` (or NULL) has the same keys at the same places they are shared.
 */
dm_value *dm_value_copy_like(dm_arena *a, const dm_value *v, const dm_value *like);

const dm_value *dm_value_get(const dm_value *dict, const char *key); /* NULL: absent or no dict */
const dm_value *dm_value_get_str(const dm_value *dict, dm_str key);
dm_str dm_value_text_of(const dm_value *v); /* a DM_STRING's; of anything else, and of NULL, "" */
bool dm_value_to_int(const dm_value *v, int64_t *out); /* DM_INT within 64 bits */
bool dm_value_equal(const dm_value *a,
                    const dm_value *b);  /* Python's ==: 1 == 1.0 == True, dicts in any order */
bool dm_value_truthy(const dm_value *v); /* Python's bool() */

/* Python's str() and repr() of the value (contract 0.4). */
void dm_py_str(dm_buf *b, const dm_value *v);
void dm_py_repr(dm_buf *b, const dm_value *v);
void dm_py_repr_str(dm_buf *b, dm_str s); /* quoting as Python chooses it */
void dm_py_float(dm_buf *b, double v);    /* repr(float) */
double dm_py_round2(double v);            /* round(v, 2) */

/* The last number in a text, thousands commas allowed ("$1,234.50" is 1234.5); false: there is
 * none.
 */
bool dm_last_number(dm_arena *a, dm_str s, double *out);

#endif
