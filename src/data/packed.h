/* Data files that were packed: gzip and Zstandard. */
#ifndef DM_DATA_PACKED_H
#define DM_DATA_PACKED_H

#include "base/buf.h"

bool dm_is_packed(dm_str bytes); /* by its first bytes, whatever the file is called */
/* Whether a name ends in this (".csv"), in whatever case, and before what packed it (".csv.gz"). */
bool dm_is_named(const char *name, const char *ending);
/* Appends what is in it to out, whose ceiling holds whatever the file says of itself. DM_E_LIMIT:
 * it does not fit; DM_E_DATA: it is cut short or damaged. name: what errors call it. */
dm_status dm_unpack(dm_buf *out, const char *name, dm_str bytes, dm_error *err) DM_MUST_USE;

#endif
