/* Field types: the part of Python's annotations that data can have (contract 1.1, 2.3, 2.4). */
#ifndef DM_PROGRAM_TYPE_H
#define DM_PROGRAM_TYPE_H

#include "json/value.h"

typedef enum dm_type_kind {
    DM_T_STR,
    DM_T_INT,
    DM_T_FLOAT,
    DM_T_BOOL,
    DM_T_ANY,
    DM_T_NONE,
    DM_T_LITERAL, /* members */
    DM_T_LIST,
    DM_T_SET,
    DM_T_FROZENSET, /* args[0], or none: bare */
    DM_T_DICT,      /* args[0] key, args[1] value, or none: bare */
    DM_T_TUPLE,     /* args; variadic: tuple[args[0], ...]; none: bare */
    DM_T_UNION      /* args in declared order; Optional[X] is X, None; nested unions are flat */
} dm_type_kind;

typedef struct dm_type dm_type;
struct dm_type {
    dm_type_kind kind;
    const dm_type **args;     /* [n] */
    const dm_value **members; /* DM_T_LITERAL: [n] */
    size_t n;
    bool variadic;
};

/* Parses one annotation at the start of *rest (a Python type expression) and moves *rest behind it.
 */
const dm_type *dm_type_parse(dm_arena *a, dm_str *rest, dm_error *err) DM_MUST_USE;
void dm_type_name(dm_buf *b, const dm_type *t); /* "Union[int, NoneType]", contract 2.3 */
void dm_type_schema(
    dm_buf *b, const dm_type *t); /* JSON schema text, contract 2.4; keys sorted, `type` first */
void dm_type_python(dm_buf *b,
                    const dm_type *t); /* as one writes it in a signature: "list[str] | None" */
bool dm_type_allows_none(const dm_type *t);
bool dm_type_equal(const dm_type *a, const dm_type *b);

#endif
