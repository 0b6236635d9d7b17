#include "cmd/out.h"
#include "json/json.h"
#include "study/lock.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *in_out(dm_arena *a, const dm_job *job, const char *name)
{
    return dm_arena_printf(a, "%s/%s", job->out, name);
}

static dm_status make_folders(const char *path, dm_error *err)
{
    char part[PATH_MAX];
    if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part)
        return dm_fail(err, DM_E_OUTPUT, "out: the path is too long");
    for (char *slash = strchr(part + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = 0;
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            return dm_fail(err, DM_E_OUTPUT, "out: %s cannot be made: %s", part, strerror(errno));
        if (!slash)
            break;
        *slash = '/';
    }
    return access(path, W_OK | X_OK) == 0
               ? DM_OK
               : dm_fail(err, DM_E_OUTPUT, "out: %s: %s", path, strerror(errno));
}

static dm_status move_aside(dm_arena *a, const char *path, dm_error *err)
{
    for (int i = 1; i < 10000; i++) {
        const char *aside = dm_arena_printf(a, "%s.%d", path, i);
        if (access(aside, F_OK) == 0)
            continue;
        if (rename(path, aside) != 0)
            return dm_fail(err, DM_E_OUTPUT, "out: %s cannot be moved to %s: %s", path, aside,
                           strerror(errno));
        fprintf(stderr, "the old %s is now %s\n", path, aside);
        return DM_OK;
    }
    return dm_fail(err, DM_E_OUTPUT, "out: %s: there are too many old ones beside it", path);
}

/* The key that differs between the job and the one that OUT belongs to; NULL: none. */
static const char *difference(const dm_value *mine, const dm_value *theirs)
{
    for (size_t i = 0; i < mine->n; i++) {
        const dm_value *v = dm_value_get_str(theirs, mine->members[i].key);
        if (!v || !dm_value_equal(v, mine->members[i].value))
            return mine->members[i].key.p;
    }
    for (size_t i = 0; theirs && i < theirs->n; i++)
        if (!dm_value_get_str(mine, theirs->members[i].key))
            return theirs->members[i].key.p;
    return NULL;
}

dm_status dm_out_open(dm_arena *a, const dm_job *job, bool fresh, const dm_value **finished,
                      dm_error *err)
{
    const char *path = in_out(a, job, "status.json");
    dm_str text;
    *finished = NULL;
    if (fresh && (access(path, F_OK) == 0 || access(in_out(a, job, "journal"), F_OK) == 0)) {
        dm_lock *lock = dm_lock_take(in_out(a, job, "journal.lock"), err); /* not under a run */
        dm_lock_free(lock);
        dm_status st = lock ? move_aside(a, job->out, err) : err->status;
        if (st != DM_OK)
            return st;
    }
    dm_status st = make_folders(job->out, err);
    if (st != DM_OK || access(path, F_OK) != 0)
        return st;
    st = dm_read_file(a, path, DM_MAX_TEXT, &text, err);
    const dm_value *old = st == DM_OK ? dm_json_read(a, text, NULL) : NULL;
    if (!old)
        return dm_fail(err, DM_E_OUTPUT, "%s cannot be read; --fresh moves the old results aside",
                       path);
    const char *key = difference(dm_job_identity(a, job), dm_value_get(old, "job"));
    if (key)
        return dm_fail(err, DM_E_OUTPUT,
                       "%s holds the results of another job (`%s` differs): give another --out, or "
                       "--fresh to move them aside",
                       job->out, key);
    const dm_value *status = dm_value_get(old, "status"), *last = dm_value_get(old, "last");
    if (status && dm_value_equal(status, dm_value_text(a, "done")) && last)
        *finished = last;
    return DM_OK;
}

dm_status dm_out_write(const dm_job *job, const char *name, dm_str text, dm_error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", job->out, name);
    return dm_write_file(path, text, err);
}

dm_status dm_out_status(dm_arena *a, const dm_job *job, const char *status, const char *reason,
                        int code, const dm_value *last, dm_error *err)
{
    dm_value *d = dm_value_dict(a);
    dm_buf b;
    dm_value_set(a, d, DM_STR("status"), dm_value_text(a, status));
    dm_value_set(a, d, DM_STR("reason"), reason ? dm_value_text(a, reason) : dm_value_null(a));
    dm_value_set(a, d, DM_STR("exit"), code >= 0 ? dm_value_int(a, code) : dm_value_null(a));
    if (last)
        dm_value_set(a, d, DM_STR("last"), last);
    dm_value_set(a, d, DM_STR("job"), dm_job_identity(a, job));
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_json_write(&b, d, DM_JSON_PYTHON_INDENT);
    dm_buf_char(&b, '\n');
    dm_status st = dm_out_write(job, "status.json", dm_buf_view(&b), err);
    dm_buf_free(&b);
    return st;
}
