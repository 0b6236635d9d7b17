/* A whole table in one JSON value, as programs export them. */
#ifndef DM_DATA_SHAPES_H
#define DM_DATA_SHAPES_H

#include "json/value.h"

/* v is the only value of a file, an object: one example, or a table of pandas' to_json() (columns,
 * index, split, table). Appends its rows, made in a of v's own values; the list lives in `list`.
 * one_line: it is one line of a file of lines, where an object with lists of objects is an
 * example. DM_E_DATA: its form is ambiguous, or is not a table. */
dm_status dm_rows_of_object(dm_arena *a, const char *name, const dm_value *v, bool one_line,
                            dm_arena *list, dm_value *rows, dm_error *err) DM_MUST_USE;
/* The same of any other value: an array of objects, or DM_E_DATA. */
dm_status dm_rows_of_value(dm_arena *list, const char *name, const dm_value *v, dm_value *rows,
                           dm_error *err) DM_MUST_USE;

#endif
