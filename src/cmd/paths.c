#include "cmd/paths.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Length of folder[0 ... n-1] without its last part, if ".." leads back from there (a link may lead
 * elsewhere); else n. */
static size_t parent(const char *folder, size_t n)
{
    char path[PATH_MAX];
    struct stat s;
    size_t start = n;
    while (start > 0 && folder[start - 1] != '/')
        start--;
    if (n - start == 0 || n >= sizeof path || folder[start] == '.')
        return n;
    snprintf(path, sizeof path, "%.*s", (int)n, folder);
    return lstat(path, &s) == 0 && S_ISDIR(s.st_mode) ? start - (start > 0) : n;
}

const char *dm_path_beside(dm_arena *a, const char *file, const char *path)
{
    const char *slash = strrchr(file, '/');
    if (path[0] == '/' || !slash)
        return dm_arena_printf(a, "%s", path);
    size_t n = (size_t)(slash - file);
    while (strncmp(path, "../", 3) == 0 && path[3] && path[3] != '/' && n > 0) {
        size_t less = parent(file, n);
        if (less == n)
            break;
        n = less;
        path += 3;
    }
    bool bare = n == 0 && file[0] != '/';
    return bare ? dm_arena_printf(a, "%s", path)
                : dm_arena_printf(a, "%.*s/%s", (int)n, file, path);
}

dm_status dm_path_read(dm_arena *a, const dm_at *at, const char **out, dm_error *err)
{
    dm_str s = {NULL, 0};
    dm_status st = dm_get_string(at, &s, err);
    if (st == DM_OK && s.p && s.n == 0)
        return dm_at_fail(at, err, "the path of a file or folder, not an empty text");
    if (st == DM_OK && s.p)
        *out = dm_path_beside(a, at->file, s.p);
    return st;
}

void dm_paths_of(dm_arena *a, const dm_at *at, const char *const *keys, size_t n)
{
    for (size_t i = 0; at->v && at->v->kind == DM_DICT && i < at->v->n; i++) {
        dm_member *m = &at->v->members[i];
        bool is_path = false;
        for (size_t k = 0; k < n; k++)
            is_path |= dm_str_is(m->key, keys[k]);
        if (!is_path || m->value->kind != DM_STRING || m->value->line == DM_LINE_FLAG)
            continue;
        dm_value *path = dm_value_text(a, dm_path_beside(a, at->file, m->value->text.p));
        path->line = m->value->line;
        path->column = m->value->column;
        m->value = path;
    }
}

dm_status dm_path_expand(dm_arena *a, const dm_at *at, const char *text, const char **out,
                         dm_error *err)
{
    dm_buf b;
    dm_status st = DM_OK;
    dm_buf_init(&b, PATH_MAX);
    while (*text && st == DM_OK) {
        const char *end = strncmp(text, "${", 2) == 0 ? strchr(text, '}') : NULL;
        if (!end) {
            dm_buf_char(&b, *text++);
            continue;
        }
        char *name = dm_arena_string(a, text + 2, (size_t)(end - text - 2));
        const char *value = getenv(name);
        if (!value)
            st = dm_at_fail(at, err, "there is no %s in the environment", name);
        else
            dm_buf_text(&b, value);
        text = end + 1;
    }
    *out = dm_arena_printf(a, "%s", b.data ? b.data : "");
    dm_buf_free(&b);
    return st;
}
