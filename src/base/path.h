/* Programs by their names. */
#ifndef DM_BASE_PATH_H
#define DM_BASE_PATH_H

#include <stdbool.h>

/* Whether PATH has an executable of this name; otherwise: what is looked through where PATH is not
 * set. */
bool dm_in_path(const char *name, const char *otherwise);

#endif
