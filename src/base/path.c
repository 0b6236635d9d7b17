#include "base/path.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_program(const char *file)
{
    struct stat s;
    return stat(file, &s) == 0 && S_ISREG(s.st_mode) && access(file, X_OK) == 0;
}

bool dm_path_of(const char *name, const char *otherwise, char *file, size_t room)
{
    const char *path = getenv("PATH");
    for (const char *at = path ? path : otherwise; *at;) {
        size_t n = strcspn(at, ":"); /* 0: the current folder, as execvp has it */
        snprintf(file, room, "%.*s/%s", n ? (int)n : 1, n ? at : ".", name);
        if (is_program(file))
            return true;
        at += n + (at[n] == ':');
    }
    return false;
}

bool dm_in_path(const char *name, const char *otherwise)
{
    char file[4096];
    return dm_path_of(name, otherwise, file, sizeof file);
}

static void own_folder(char *path, size_t room)
{
    ssize_t n = readlink("/proc/self/exe", path, room - 1);
    path[n > 0 ? n : 0] = 0;
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = 0;
}

bool dm_installed(const char *name, char *path, size_t room)
{
    static const char *const places[] = {"../share/dspy-mpi", "../scripts", "../../scripts"};
    char folder[PATH_MAX], there[2 * PATH_MAX], whole[PATH_MAX];
    own_folder(folder, sizeof folder);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(there, sizeof there, "%s/%s/%s", folder, places[i], name);
        if (access(there, R_OK) == 0 && realpath(there, whole)) {
            snprintf(path, room, "%s", whole);
            return true;
        }
    }
    snprintf(path, room, "%s", folder);
    return false;
}

static bool python_in(const char *folder, const char *below, char *path, size_t room)
{
    static const char *const names[] = {"python3", "python"};
    for (size_t i = 0; folder && *folder && i < 2; i++) {
        snprintf(path, room, "%s%s/%s", folder, below, names[i]);
        if (is_program(path))
            return true;
    }
    return false;
}

void dm_python(char *path, size_t room)
{
    const char *named = getenv("DSPY_MPI_PYTHON");
    char folder[PATH_MAX];
    own_folder(folder, sizeof folder);
    if (named && *named)
        snprintf(path, room, "%s", named);
    else if (!python_in(getenv("VIRTUAL_ENV"), "/bin", path, room) &&
             !python_in(getenv("CONDA_PREFIX"), "/bin", path, room) &&
             !python_in(folder, "", path, room))
        snprintf(path, room, "python3");
}
