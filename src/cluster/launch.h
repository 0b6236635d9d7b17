/* dspy-mpi launch: starts mpirun on this very program, with what it needs seen to. */
#ifndef DM_CLUSTER_LAUNCH_H
#define DM_CLUSTER_LAUNCH_H

#include "base/status.h"

/* argv: the words behind `launch`: -n N [--hostfile F] [--host LIST] [--restarts K] COMMAND ...
 * Starts the command on N ranks: as root and oversubscribed where need be, mpirun's own noise kept
 * from stderr, the terminal handed on. *code gets the exit code that rank 0 wrote down, mpirun's
 * own says little (src/cluster/README.md §7.2). exported: names of environment variables, which go
 * to ranks on other hosts where they are set. A run that ends without one is started again at most
 * K times. DM_STOP_SIGNAL: it was asked to stop, and there was none. Other failures say why nothing
 * ran. Nothing of the run stays on this host, neither processes nor files, also after a kill -9 of
 * the caller (cluster/remains.h). */
dm_status dm_launch(int argc, char **argv, const char *const *exported, size_t n_exported,
                    int *code, dm_error *err) DM_MUST_USE;

/* As the first thing of the process: TERM, INT, USR1 and HUP (unless ignored: nohup) ask a launch
 * to stop, the first time in order, the second time at once. */
void dm_launch_catch_signals(void);

/* Rank 0, at its end: the exit code for the launcher. Does nothing when there is none. */
void dm_launch_report(int code);

#endif
