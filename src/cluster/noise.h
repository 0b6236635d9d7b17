/* What mpirun itself says, and nobody needs to read. */
#ifndef DM_CLUSTER_NOISE_H
#define DM_CLUSTER_NOISE_H

#include <stdbool.h>

bool dm_is_noise(const char *line);

#endif
