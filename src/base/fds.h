/* Closing all descriptors of a process but a few, and how many there may be. */
#ifndef DM_BASE_FDS_H
#define DM_BASE_FDS_H

#include <stddef.h>

/* Closes those from low to high, both included; nothing where low > high. By the kernel's own call
 * where it has one (5.9), else one by one: the C library has it from 2.34 on. */
void dm_close_range(unsigned low, unsigned high);
/* The second of the two ways, for the test. */
void dm_close_each(unsigned low, unsigned high);

/* Raises how many there may be, soft limit, to `wanted` or as far as is allowed; it is never
 * lowered. How many there may be then; SIZE_MAX: not known. */
size_t dm_fds_allow(size_t wanted);

#endif
