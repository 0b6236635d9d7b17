/* Cells between separators (RFC 4180, with a header row), as spreadsheets and pandas write them. */
#ifndef DM_DATA_CSV_H
#define DM_DATA_CSV_H

#include "data/dataset.h"

/* Appends a dict of strings for each row. likely: the separator of such a file; csv_form.h tells
 * when another one is taken. Left out are rows that are empty or have nothing but separators, empty
 * cells behind the last column, columns without a name that are empty, and whole numbers without a
 * name before the first column that has one: pandas' index. All else that does not fit is
 * DM_E_DATA, with the line. */
dm_status dm_csv_parse(dm_arena *a, const char *name, dm_str text, char likely, dm_value *rows,
                       dm_error *err) DM_MUST_USE;

/* Appends a cell of text as it may be opened in a spreadsheet: shown (base/show.h), quoted where it
 * has to be, and with an apostrophe before it where it would be a formula there: where = + - @,
 * also their full-width forms, or a tab or line end come first, blanks and quotes left aside. A
 * number stays one, whatever its sign. */
void dm_csv_put(dm_buf *b, dm_str text);

#endif
