/* Comma- or tab-separated values (RFC 4180, with a header row). */
#ifndef DM_DATA_CSV_H
#define DM_DATA_CSV_H

#include "data/dataset.h"

dm_status dm_csv_parse(dm_arena *a, const char *name, dm_str text, char separator, dm_value *rows,
                       dm_error *err) DM_MUST_USE;

/* Appends a cell of text as it may be opened in a spreadsheet: shown (base/show.h), quoted where it
 * has to be, and with an apostrophe before it where it would be a formula there: where = + - @,
 * also their full-width forms, or a tab or line end come first, blanks and quotes left aside. A
 * number stays one, whatever its sign. */
void dm_csv_put(dm_buf *b, dm_str text);

#endif
