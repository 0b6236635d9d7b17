/* Programs by their names. */
#ifndef DM_BASE_PATH_H
#define DM_BASE_PATH_H

#include <stdbool.h>
#include <stddef.h>

/* Whether PATH has an executable of this name; otherwise: what is looked through where PATH is not
 * set. */
bool dm_in_path(const char *name, const char *otherwise);
/* The same, and which one: its path goes into file, of so many bytes. */
bool dm_path_of(const char *name, const char *otherwise, char *file, size_t room);

#endif
