/* What started this process, by its environment alone (src/cluster/README.md §6): nothing here
 * calls MPI, which would abort the process where it is not wanted. */
#ifndef DM_CLUSTER_WORLD_H
#define DM_CLUSTER_WORLD_H

#include <stdbool.h>

/* Whether what started the processes is still there. Its variables outlive it: in a shell that a
 * run has left behind, or in what a rank starts without its descriptors. */
typedef enum dm_starter {
    DM_STARTER_UNSEEN, /* the environment does not tell where it would be */
    DM_STARTER_THERE,
    DM_STARTER_GONE
} dm_starter;

typedef struct dm_world {
    long rank, size; /* of the processes that were started together; 0 of 1: it is alone */
    bool joins;      /* MPI can join them */
    bool apart;      /* it cannot, for their mpirun is of another MPI */
    const char *by;  /* "mpirun", "srun"; NULL: alone */
    dm_starter starter;
} dm_world;

/* First of all: takes away what Open MPI's mpirun has left to a process that another launcher has
 * started since, MPICH's or Intel's mpirun or srun with PMIx. Without it each of several would be
 * taken for the one that Open MPI had started. */
void dm_world_tidy(void);

/* open_mpi: the MPI that we use is Open MPI, which understands PMIx, not PMI; or there is none that
 * understands PMI. terminal:
 * the process has one; then a step's shell (srun --pty) is meant, which is alone, whatever the
 * step's tasks are. What is started from such a shell in a step of its own has none. */
dm_world dm_world_of(bool open_mpi, bool terminal);

/* In an allocation of SLURM: whether mpirun is to use its hosts, and reach them by srun; true where
 * there are several. In a container there is no srun, and a shell that came by ssh is in no step:
 * then all ranks run on this host. *hosts: of the allocation; 0: none. */
bool dm_world_by_slurm(long *hosts);

/* For a child that becomes mpirun: takes away what it would take for its own, and says which ways
 * to hosts it may use. far: other hosts are named. What the user has set stays. */
void dm_world_leave(bool by_slurm, bool far);

#endif
