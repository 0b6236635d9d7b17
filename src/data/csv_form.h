/* What is at the head of a file of cells: its separator, and where its header row is. */
#ifndef DM_DATA_CSV_FORM_H
#define DM_DATA_CSV_FORM_H

#include "base/buf.h"

typedef struct dm_csv_form {
    char separator;
    dm_str text; /* from the header row on */
    size_t line; /* number of that row, from 1 */
} dm_csv_form;

/* Excel's "sep=;" is obeyed, and no row. Else the separator is the one of `likely`, comma,
 * semicolon, tab and | that cuts the header row and the rows after it into equally many cells, two
 * or more; else the first that cuts the header row; else `likely`. Empty rows before the header are
 * passed over. */
dm_csv_form dm_csv_form_of(dm_str text, char likely);

/* The quote that opens the cell at p, perhaps behind blanks, as in: "a", "b". NULL: it is in none.
 * Behind blanks it counts only where the quoted text is the whole cell. */
const char *dm_csv_open_quote(const char *p, const char *end, char separator);
/* Where the cell ends whose closing quote is just before p; blanks may follow. NULL: there is more
 * text in it. */
const char *dm_csv_ends_cell(const char *p, const char *end, char separator);

#endif
