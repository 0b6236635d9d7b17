#include "cluster/noise.h"

#include <stddef.h>
#include <string.h>

bool dm_is_noise(const char *line)
{
    static const char *const words[] = {"Forwarding signal", "mpirun: Forwarding", "mpirun noticed",
                                        "mpirun has exited", "mpirun detected", "PMIX ERROR",
                                        "btl_tcp_",
                                        "find reachable pairing", /* its end; ranks write at once */
                                        "ORTE_ERROR_LOG", "sent help message",
                                        "orte_base_help_aggregate",
                                        /* on other hosts, where ours is not: they use /tmp */
                                        "Unable to create TMPDIR", "Setting TMPDIR to", "[hwloc/"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(line, words[i]))
            return true;
    return false;
}
