/* The version of dspy-mpi: of the program, of the library, and of this header. The library's ABI
 * changes with the first number only, which is that of libdspympi.so. */
#ifndef DSPY_MPI_VERSION_H
#define DSPY_MPI_VERSION_H

#define DSPY_MPI_VERSION_MAJOR 0
#define DSPY_MPI_VERSION_MINOR 1
#define DSPY_MPI_VERSION_PATCH 0
#define DSPY_MPI_VERSION       "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* The version of the library that is running; DSPY_MPI_VERSION is that of the header. */
const char *dspy_mpi_version(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
