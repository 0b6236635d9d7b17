#include "dspy_mpi/version.h"

const char *dspy_mpi_version(void)
{
    return DSPY_MPI_VERSION;
}
