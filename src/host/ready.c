/* What a process says once it has the program, and what of it has to be the same everywhere. */
#include "host/host.h"
#include "host/inside.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *dm_host_text(const dm_value *d, const char *key)
{
    return dm_value_text_of(dm_value_get(d, key)).p;
}

static const char *const same[] = {"dspy", "python", "platform", "identity"};
#define N_SAME (sizeof same / sizeof *same)

dm_value *dm_hosts_expected(dm_arena *a, const dm_value *ready)
{
    dm_value *d = dm_value_dict(a), *marks = dm_value_dict(a);
    const dm_value *data = dm_value_get(ready, "data");
    for (size_t i = 0; i < N_SAME; i++)
        dm_value_set(a, d, dm_str_of(same[i]), dm_value_text(a, dm_host_text(ready, same[i])));
    for (size_t i = 0; data && data->kind == DM_DICT && i < data->n; i++)
        dm_value_set(a, marks, data->members[i].key,
                     dm_value_text(a, dm_host_text(data->members[i].value, "marks")));
    dm_value_set(a, d, DM_STR("data"), marks);
    return d;
}

/* "dspy", "python" and the like have to be the same everywhere. */
static bool versions_fit(const dm_value *expect, const dm_value *ready, char *why, size_t room)
{
    char host[256] = "this machine";
    gethostname(host, sizeof host - 1);
    for (size_t i = 0; expect && i < N_SAME; i++) {
        const char *want = dm_host_text(expect, same[i]), *got = dm_host_text(ready, same[i]);
        if (!*want || strcmp(want, got) == 0)
            continue;
        if (strcmp(same[i], "identity") == 0)
            snprintf(why, room,
                     "%s has other files of the Python program, or other versions of the packages "
                     "that it imports, than rank 0: they have to be the same on all ranks",
                     host);
        else
            snprintf(why, room,
                     "%s has %s %s, rank 0 has %s: the versions have to be the same on all ranks",
                     host, same[i], got, want);
        return false;
    }
    return true;
}

static bool data_fits(const dm_value *expect, const dm_value *ready, char *why, size_t room)
{
    const dm_value *want = dm_value_get(expect, "data"), *got = dm_value_get(ready, "data");
    for (size_t i = 0; want && want->kind == DM_DICT && i < want->n; i++) {
        const char *name = want->members[i].key.p, *a = want->members[i].value->text.p,
                   *b = dm_host_text(dm_value_get(got, name), "marks");
        size_t row = 0;
        while (a[row] && a[row] == b[row])
            row++;
        if (a[row] == b[row])
            continue;
        snprintf(why, room,
                 "%s differs between two processes (row %zu): it is drawn or made without a seed",
                 name, row / 8 + 1);
        return false;
    }
    return true;
}

bool dm_ready_fits(const dm_value *expect, const dm_value *ready, char *why, size_t room)
{
    return versions_fit(expect, ready, why, room) && data_fits(expect, ready, why, room);
}

const char *dm_host_error_text(dm_arena *a, const dm_value *error)
{
    const char *type = dm_host_text(error, "type"), *text = dm_host_text(error, "message"),
               *where = dm_host_text(error, "where");
    return dm_arena_printf(a, "%s%s%s%s%s%s", type, *type && *text ? ": " : "", text,
                           *where ? " (" : "", where, *where ? ")" : "");
}
