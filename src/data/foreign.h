/* Files that hold data, but in a form that is not read here: named as what they are. */
#ifndef DM_DATA_FOREIGN_H
#define DM_DATA_FOREIGN_H

#include "base/buf.h"

/* DM_OK: the bytes may be a table of text. DM_E_DATA: they are something else; the error says what,
 * and what to type. name: the file's, as given. */
dm_status dm_foreign_check(const char *name, dm_str bytes, dm_error *err) DM_MUST_USE;

#endif
