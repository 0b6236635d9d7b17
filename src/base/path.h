/* Programs by their names, and what is installed with ours. */
#ifndef DM_BASE_PATH_H
#define DM_BASE_PATH_H

#include <stdbool.h>
#include <stddef.h>

/* Whether PATH has an executable of this name; otherwise: what is looked through where PATH is not
 * set. */
bool dm_in_path(const char *name, const char *otherwise);
/* The same, and which one: its path goes into file, of so many bytes. */
bool dm_path_of(const char *name, const char *otherwise, char *file, size_t room);

/* A script that is installed with the program, found from where the program is: share/dspy-mpi/NAME
 * beside its bin, or scripts/NAME of the sources that it is built in. false: there is none, and
 * path is the folder that the program is in. */
bool dm_installed(const char *name, char *path, size_t room);
/* The Python that scripts run with: DSPY_MPI_PYTHON; that of the environment that is active; the
 * one beside the program, as where a wheel is in a venv that is not active; else "python3", which
 * PATH may have or not. */
void dm_python(char *path, size_t room);

#endif
