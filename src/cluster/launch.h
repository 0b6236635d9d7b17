/* dspy-mpi launch: starts mpirun on this very program, with what it needs seen to. */
#ifndef DM_CLUSTER_LAUNCH_H
#define DM_CLUSTER_LAUNCH_H

#include "base/status.h"

/* argv: the words behind `launch`: -n N [--hostfile F] [--host LIST] [--restarts K] COMMAND ...
 * Starts the command on N ranks: as root and oversubscribed where need be, mpirun's own noise kept
 * from stderr, the terminal handed on. *code gets the exit code that rank 0 wrote down, mpirun's
 * own says little (src/cluster/README.md §7.2). exported: names of environment variables, which go
 * to ranks on other hosts where they are set. A run that ends without one is started again at most
 * K times. A failure says why nothing ran. */
dm_status dm_launch(int argc, char **argv, const char *const *exported, size_t n_exported,
                    int *code, dm_error *err) DM_MUST_USE;

/* Rank 0, at its end: the exit code for the launcher. Does nothing when there is none. */
void dm_launch_report(int code);

#endif
