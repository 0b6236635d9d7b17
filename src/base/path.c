#include "base/path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool dm_path_of(const char *name, const char *otherwise, char *file, size_t room)
{
    const char *path = getenv("PATH");
    for (const char *at = path ? path : otherwise; *at;) {
        size_t n = strcspn(at, ":");
        snprintf(file, room, "%.*s/%s", (int)n, at, name);
        if (access(file, X_OK) == 0)
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
