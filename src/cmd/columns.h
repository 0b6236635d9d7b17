/* Columns of a CSV with the types that the program's signatures give them. */
#ifndef DM_CMD_COLUMNS_H
#define DM_CMD_COLUMNS_H

#include "data/dataset.h"
#include "program/program.h"

/* Of a set that was read from cells, columns that are fields of another type than str: each becomes
 * that type, where all of its cells read as it, by the rules that labels have (metric/metric.h).
 * Else it stays text, and a warning names column, row and cell. Any other set is given back. */
const dm_dataset *dm_columns_typed(dm_arena *a, const dm_program *p, const dm_dataset *set);

#endif
