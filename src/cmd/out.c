#include "cmd/out.h"
#include "base/place.h"
#include "base/show.h"
#include "cmd/history.h"
#include "cmd/owned.h"
#include "cmd/say.h"
#include "json/json.h"
#include "study/lock.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
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

/* OUT is a folder, or a link to one, or nothing yet. */
static dm_status check_folder(const dm_job *job, bool force, dm_error *err)
{
    struct stat s;
    if (lstat(job->out, &s) != 0 || (stat(job->out, &s) == 0 && S_ISDIR(s.st_mode)))
        return DM_OK;
    if (force)
        return dm_owned_move_aside(job->out, err);
    return dm_fail(err, DM_E_OUTPUT,
                   "out: %s is not a folder: give another `out`, or --force to have it moved aside",
                   job->out);
}

/* ---- --fresh ---- */

static bool is_within(const char *path, const char *folder)
{
    char inner[PATH_MAX], outer[PATH_MAX];
    if (!realpath(path, inner) || !realpath(folder, outer))
        return false;
    size_t n = strlen(outer);
    return strncmp(inner, outer, n) == 0 && (inner[n] == '/' || inner[n] == 0 || n == 1);
}

static bool has_bytes(const char *path)
{
    struct stat s;
    return lstat(path, &s) == 0 && (!S_ISREG(s.st_mode) || s.st_size > 0);
}

/* A journal or a status that dspy-mpi wrote. */
static bool is_an_out(dm_arena *a, const dm_job *job)
{
    const char *status = in_out(a, job, "status.json"), *journal = in_out(a, job, "journal");
    return (has_bytes(status) && dm_owned_file(status, "status.json", NULL) == DM_OK) ||
           dm_journal_is_one(journal);
}

/* The folder as a whole; behind a link, the one that it leads to. */
static dm_status move_out_aside(dm_arena *a, const dm_job *job, const char *flag,
                                char aside[PATH_MAX], dm_error *err)
{
    char real[PATH_MAX];
    struct stat s;
    const char *folder = job->out;
    if (is_within(job->file, folder) || is_within(".", folder))
        return dm_fail(err, DM_E_OUTPUT,
                       "--%s would move %s aside with the %s in it: give another `out`", flag,
                       folder, is_within(".", folder) ? "working folder" : "job file");
    if (lstat(folder, &s) == 0 && S_ISLNK(s.st_mode) && realpath(folder, real))
        folder = real;
    dm_lock *lock = dm_lock_take(in_out(a, job, "journal.lock"), err); /* not under a run */
    dm_lock_free(lock);
    dm_status st = lock ? dm_place_move_aside(folder, aside, err) : err->status;
    if (st == DM_OK)
        dm_say(stderr, "the old %s is now %s\n", folder, aside);
    return st == DM_OK && folder == real ? make_folders(real, err) : st;
}

/* ---- whose it is ---- */

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

static dm_status read_status(dm_arena *a, const dm_job *job, const char *path,
                             const dm_value **finished, dm_error *err)
{
    const dm_value *old = dm_json_read_file(a, path, DM_MAX_TEXT);
    if (!old)
        return dm_fail(err, DM_E_OUTPUT, "%s cannot be read; --fresh moves the old results aside",
                       path);
    const char *key = difference(dm_job_identity(a, job), dm_value_get(old, "job"));
    if (key)
        return dm_fail(err, DM_E_OUTPUT,
                       "%s holds the results of another job (`%s` differs): give another --out, or "
                       "--fresh to move them aside, or --reuse to take its answers as well",
                       job->out, key);
    const dm_value *status = dm_value_get(old, "status"), *last = dm_value_get(old, "last");
    if (status && dm_value_equal(status, dm_value_text(a, "done")) && last)
        *finished = last;
    return DM_OK;
}

/* ---- --reuse ---- */

static bool is_another_jobs(dm_arena *a, const dm_job *job)
{
    const dm_value *theirs =
        dm_value_get(dm_json_read_file(a, in_out(a, job, "status.json"), DM_MAX_TEXT), "job");
    return theirs && theirs->kind == DM_DICT && difference(dm_job_identity(a, job), theirs);
}

/* Another job's OUT goes aside, and its journal is found from the new one, in this attempt and in
 * those that follow. One that cannot be read stays where it is. */
static dm_status begin_anew_with_answers(dm_arena *a, const dm_job *job, dm_error *err)
{
    char aside[PATH_MAX];
    dm_replay *old = dm_replay_open(in_out(a, job, "journal"), err);
    if (!old)
        return err->status;
    dm_replay_free(old);
    dm_status st = move_out_aside(a, job, "reuse", aside, err);
    if (st == DM_OK)
        st = make_folders(job->out, err);
    const char *from = dm_arena_printf(a, "%s/journal", aside);
    if (st == DM_OK && link(from, in_out(a, job, DM_EARLIER_JOURNAL)) != 0)
        st = dm_fail(err, DM_E_OUTPUT,
                     "--reuse: %s cannot be linked to %s/" DM_EARLIER_JOURNAL ": %s: copy it there "
                     "and start the same command again",
                     from, job->out, strerror(errno));
    return st;
}

dm_status dm_out_open(dm_arena *a, const dm_job *job, const dm_command_line *line,
                      const dm_value **finished, dm_error *err)
{
    bool fresh = dm_value_get(line->flags, "fresh") != NULL;
    bool force = job->force, reuse = dm_value_get(line->flags, "reuse") != NULL;
    char aside[PATH_MAX];
    const char *path = in_out(a, job, "status.json"), *journal = in_out(a, job, "journal");
    *finished = NULL;
    dm_status st = check_folder(job, force, err);
    if (st == DM_OK && fresh && is_an_out(a, job))
        st = move_out_aside(a, job, "fresh", aside, err);
    else if (st == DM_OK && reuse && is_another_jobs(a, job) && has_bytes(journal))
        st = begin_anew_with_answers(a, job, err);
    if (st == DM_OK)
        st = make_folders(job->out, err);
    if (st == DM_OK && dm_owned_file(path, "status.json", err) != DM_OK)
        st = force ? dm_owned_move_aside(path, err) : err->status;
    bool begun = st == DM_OK && has_bytes(path);
    if (begun)
        st = read_status(a, job, path, finished, err);
    if (st != DM_OK || *finished)
        return st;
    if (dm_journal_look(journal, dm_job_identity(a, job), dm_history_more(a, job), err) != DM_OK)
        st = force ? dm_owned_move_aside(journal, err) : err->status;
    if (st == DM_OK && begun && !has_bytes(journal))
        dm_say(stderr,
               "%s is missing or empty, though a run was started here: what it paid for is "
               "requested again\n",
               journal);
    begun |= has_bytes(journal);
    return st == DM_OK ? dm_owned_check(a, job, begun, force, err) : st;
}

dm_status dm_out_open_eval(dm_arena *a, const dm_job *job, dm_error *err)
{
    static const char *const names[] = {"predictions.jsonl", "score.json"};
    dm_status st = check_folder(job, job->force, err);
    if (st == DM_OK && is_an_out(a, job))
        st = dm_fail(err, DM_E_OUTPUT, "out: %s holds the results of a compile: give another --out",
                     job->out);
    if (st == DM_OK)
        st = make_folders(job->out, err);
    for (int i = 0; i < 2 && st == DM_OK; i++) {
        const char *path = in_out(a, job, names[i]);
        st = dm_owned_file(path, names[i], err);
        if (st != DM_OK && job->force)
            st = dm_owned_move_aside(path, err);
    }
    return st;
}

static dm_status write_to(const dm_job *job, const char *name, dm_str text,
                          dm_status (*write)(const char *path, dm_str text, dm_error *err),
                          dm_error *err)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", job->out, name) >= (int)sizeof path)
        return dm_fail(err, DM_E_OUTPUT, "out: the path is too long");
    dm_status st = dm_owned_file(path, name, err); /* it may have come there since the start */
    return st == DM_OK ? write(path, text, err) : st;
}

dm_status dm_out_write(const dm_job *job, const char *name, dm_str text, dm_error *err)
{
    return write_to(job, name, text, dm_write_file, err);
}

dm_status dm_out_put(const dm_job *job, const char *name, dm_str text, dm_error *err)
{
    return write_to(job, name, text, dm_put_file, err);
}

/* Who writes it, and when: so that nobody takes a dead run for one that goes on. */
static void put_writer(dm_arena *a, dm_value *d)
{
    char host[256] = "";
    (void)gethostname(host, sizeof host - 1);
    dm_value_set(a, d, DM_STR("host"), dm_value_text(a, host));
    dm_value_set(a, d, DM_STR("pid"), dm_value_int(a, getpid()));
    dm_value_set(a, d, DM_STR("renewed"), dm_time_text(a, time(NULL)));
}

dm_value *dm_time_text(dm_arena *a, time_t t)
{
    char text[32] = "";
    struct tm utc;
    if (gmtime_r(&t, &utc))
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return dm_value_text(a, text);
}

dm_status dm_out_status(dm_arena *a, const dm_job *job, const dm_out_state *s, dm_error *err)
{
    dm_value *d = dm_value_dict(a);
    dm_buf b, shown;
    dm_value_set(a, d, DM_STR("status"), dm_value_text(a, s->status));
    dm_value_set(a, d, DM_STR("reason"),
                 s->reason ? dm_value_text(a, s->reason) : dm_value_null(a));
    dm_value_set(a, d, DM_STR("exit"),
                 s->last || s->failed ? dm_value_int(a, s->code) : dm_value_null(a));
    dm_value_set(a, d, DM_STR("version"), dm_value_text(a, DM_VERSION));
    if (s->started)
        dm_value_set(a, d, DM_STR("started"), s->started);
    put_writer(a, d);
    if (s->progress)
        dm_value_set(a, d, DM_STR("progress"), s->progress);
    if (s->last)
        dm_value_set(a, d, DM_STR("last"), s->last);
    dm_value_set(a, d, DM_STR("job"), s->identity ? s->identity : dm_job_identity(a, job));
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_json_write(&b, d, DM_JSON_PYTHON_INDENT);
    dm_buf_char(&b, '\n');
    dm_buf_init(&shown, DM_MAX_FILE);
    dm_show(&shown, dm_buf_view(&b), DM_SHOW_JSON);
    bool ended = s->last || s->failed;
    dm_status st = ended ? dm_out_write(job, "status.json", dm_buf_view(&shown), err)
                         : dm_out_put(job, "status.json", dm_buf_view(&shown), err);
    dm_buf_free(&b);
    dm_buf_free(&shown);
    return st;
}
