#include "base/path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool dm_in_path(const char *name, const char *otherwise)
{
    const char *path = getenv("PATH");
    for (const char *at = path ? path : otherwise; *at;) {
        char file[4096];
        size_t n = strcspn(at, ":");
        snprintf(file, sizeof file, "%.*s/%s", (int)n, at, name);
        if (access(file, X_OK) == 0)
            return true;
        at += n + (at[n] == ':');
    }
    return false;
}
