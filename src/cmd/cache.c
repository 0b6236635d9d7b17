/* dspy-mpi cache: how much there is in an answer cache, and less of it. */
#include "study/cache.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "cmd/commands.h"
#include "cmd/say.h"
#include "cmd/session.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int usage(FILE *to)
{
    dm_say(to, "dspy-mpi cache stats FOLDER\n"
               "dspy-mpi cache prune FOLDER [--older-than TIME] [--max-bytes SIZE]\n"
               "the models' answers that runs with this `cache` keep\n\n"
               "  --older-than TIME  remove files last written longer ago than this: 30d, 12h\n"
               "  --max-bytes SIZE   then remove the oldest files until at most this much is left: "
               "500M\n");
    return to == stdout ? 0 : 64;
}

static int say(const char *what, const dm_cache_stats *s, bool answers)
{
    dm_arena *a = dm_arena_new(0);
    dm_value *d = dm_value_dict(a);
    dm_value_set(a, d, DM_STR("status"), dm_value_text(a, what));
    dm_value_set(a, d, DM_STR("files"), dm_value_int(a, (int64_t)s->files));
    if (answers)
        dm_value_set(a, d, DM_STR("answers"), dm_value_int(a, (int64_t)s->answers));
    dm_value_set(a, d, DM_STR("bytes"), dm_value_int(a, (int64_t)s->bytes));
    dm_value_set(a, d, DM_STR("oldest"), dm_value_float(a, s->oldest));
    dm_value_set(a, d, DM_STR("newest"), dm_value_float(a, s->newest));
    dm_print_json(d);
    dm_arena_free(a);
    return 0;
}

static int prune(const char *folder, int argc, char **argv)
{
    double age = INFINITY, bytes = INFINITY;
    dm_error err = {DM_OK, ""};
    dm_cache_stats removed;
    dm_status st = DM_OK;
    if (argc == 0)
        return usage(stderr);
    for (int i = 0; i + 1 < argc && st == DM_OK; i += 2) {
        if (strcmp(argv[i], "--older-than") == 0)
            st = dm_parse_seconds(argv[i + 1], &age, &err);
        else if (strcmp(argv[i], "--max-bytes") == 0)
            st = dm_parse_count(argv[i + 1], &bytes, &err);
        else
            return usage(stderr);
    }
    if (argc % 2)
        return usage(stderr);
    if (st != DM_OK)
        return dm_say_failure(&err);
    double before = isinf(age) ? -INFINITY : (double)time(NULL) - age;
    if (dm_cache_prune(folder, before, bytes, &removed, &err) != DM_OK)
        return dm_say_failure(&err);
    return say("pruned", &removed, false);
}

int dm_cmd_cache(int argc, char **argv)
{
    dm_error err = {DM_OK, ""};
    dm_cache_stats s;
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return usage(stdout);
    if (argc >= 1 && argv[0][0] != '-' && strcmp(argv[0], "prune") != 0 &&
        strcmp(argv[0], "stats") != 0) {
        const char *const names[] = {"stats", "prune"}, *near = dm_nearest(argv[0], names, 2);
        dm_say(stderr, "dspy-mpi: cache has no command \"%s\"; did you mean %s?\n", argv[0],
               near ? near : "stats or prune");
        return 64;
    }
    if (argc >= 2 && strcmp(argv[0], "prune") == 0)
        return prune(argv[1], argc - 2, argv + 2);
    if (argc != 2 || strcmp(argv[0], "stats") != 0)
        return usage(stderr);
    if (dm_cache_stats_of(argv[1], &s, &err) != DM_OK)
        return dm_say_failure(&err);
    return say("done", &s, true);
}
