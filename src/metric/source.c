/* What a metric of one's own is made of: the files that a command's words name, or a library.
 * Scores of one version of it must not be taken for those of another. */
#include "json/json.h"
#include "metric/inside.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SCRIPT  ((size_t)8 << 20) /* models and the like that a word may name are not read */
#define LIBRARY ((size_t)1 << 30)

static bool add_file(dm_arena *a, dm_sha256 *sum, const char *path, size_t largest)
{
    struct stat st;
    dm_str text;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || (size_t)st.st_size > largest ||
        dm_read_file(a, path, largest + 1, &text, NULL) != DM_OK)
        return false;
    dm_hash h = dm_hash_of(text.p, text.n);
    dm_sha256_add(sum, &h, sizeof h);
    return true;
}

/* A path, as given or beside the job file; without its ":function", and pkg.mod as pkg/mod.py. */
static bool add_word(dm_arena *a, dm_sha256 *sum, const char *job_file, dm_str word)
{
    const char *slash = job_file ? strrchr(job_file, '/') : NULL;
    dm_str folder = {slash ? job_file : "", slash ? (size_t)(slash - job_file) + 1 : 0};
    char *own = dm_arena_string(a, word.p, word.n), *colon = strrchr(own, ':');
    for (int with_function = 1; with_function >= 0; with_function--) {
        if (!with_function && !colon)
            break;
        if (!with_function)
            *colon = 0;
        char *module = dm_arena_printf(a, "%s.py", own);
        for (char *dot = module; (dot = strchr(dot, '.')) && strcmp(dot, ".py") != 0;)
            *dot = '/';
        const char *names[] = {own, with_function ? NULL : module};
        for (int i = 0; i < 2; i++)
            if (names[i] && *names[i] &&
                (add_file(a, sum,
                          names[i][0] == '/'
                              ? names[i]
                              : dm_arena_printf(a, "%.*s%s", DM_STR_ARG(folder), names[i]),
                          SCRIPT) ||
                 add_file(a, sum, names[i], SCRIPT)))
                return true;
    }
    return false;
}

bool dm_metric_source(dm_arena *a, const char *job_file, const dm_value *spec, dm_hash *out)
{
    const dm_value *command = dm_value_get(spec, "command"), *python = dm_metric_python(spec),
                   *library = dm_value_get(spec, "library");
    dm_sha256 sum;
    bool any = false;
    dm_sha256_init(&sum);
    if (python)
        any = add_word(a, &sum, job_file, python->text);
    else if (library && library->kind == DM_STRING)
        any = add_file(a, &sum, dm_library_path(a, job_file, library->text), LIBRARY);
    else if (!command || command->kind != DM_LIST)
        return false;
    for (size_t i = command && command->n > 1; command && i < command->n;
         i++) /* the first of several is an interpreter */
        if (command->items[i]->kind == DM_STRING)
            any |= add_word(a, &sum, job_file, command->items[i]->text);
    *out = dm_sha256_end(&sum);
    return any;
}
