/* Inside of src/data: comma- or tab-separated values (RFC 4180, with a header row). */
#ifndef DM_DATA_CSV_H
#define DM_DATA_CSV_H

#include "data/dataset.h"

dm_status dm_csv_parse(dm_arena *a, const char *name, dm_str text, char separator, dm_value *rows,
                       dm_error *err) DM_MUST_USE;

#endif
