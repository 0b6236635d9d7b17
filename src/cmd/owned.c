#include "cmd/owned.h"
#include "base/place.h"
#include "cmd/evidence.h"
#include "cmd/say.h"
#include "json/json.h"
#include "report/report.h"
#include "report/story.h"
#include "study/lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- one file ---- */

static bool begins_with(const char *path, const char *start)
{
    char text[128];
    size_t n = strlen(start);
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    ssize_t got = fd < 0 || n > sizeof text ? -1 : read(fd, text, n);
    if (fd >= 0)
        close(fd);
    return got == (ssize_t)n && memcmp(text, start, n) == 0;
}

/* Programs say who compiled them, in metadata.dspy_mpi; the status says of which job it is. */
static bool is_json_of_ours(const char *path, bool status)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *v = dm_json_read_file(a, path, DM_MAX_FILE), *mark = NULL;
    if (!status)
        mark = dm_value_get(dm_value_get(v, "metadata"), "dspy_mpi");
    else if (dm_value_get(v, "status"))
        mark = dm_value_get(v, "job");
    bool ours = mark && mark->kind == DM_DICT;
    dm_arena_free(a);
    return ours;
}

static bool looks_like_ours(const char *path, const char *name)
{
    static const char *const starts[][2] = {
        {"predictions.jsonl", DM_PREDICTIONS_START},
        {"trials.csv", DM_TRIALS_COLUMNS},
        {"scores.csv", DM_SCORES_START},
        {"evidence.json", DM_EVIDENCE_START},
        {"report.html", DM_REPORT_START},
    };
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (strcmp(name, starts[i][0]) == 0)
            return begins_with(path, starts[i][1]);
    return is_json_of_ours(path, strcmp(name, "status.json") == 0);
}

static bool is_empty(const char *path)
{
    struct stat s;
    return lstat(path, &s) != 0 || (S_ISREG(s.st_mode) && s.st_size == 0);
}

dm_status dm_owned_file(const char *path, const char *name, dm_error *err)
{
    dm_status st = dm_place_check(path, err);
    if (st != DM_OK || is_empty(path) || looks_like_ours(path, name))
        return st;
    return dm_fail(err, DM_E_OUTPUT,
                   "%s was not written by dspy-mpi and is not overwritten: " DM_MOVE_IT, path);
}

dm_status dm_owned_move_aside(const char *path, dm_error *err)
{
    char aside[PATH_MAX];
    dm_status st = dm_place_move_aside(path, aside, err);
    if (st == DM_OK)
        dm_say(stderr, "the old %s is now %s\n", path, aside);
    return st;
}

/* ---- all of them ---- */

/* A result that is there before any run of this job. */
static dm_status check_result(const char *path, const char *name, bool begun, dm_error *err)
{
    dm_status st = dm_owned_file(path, name, err);
    if (st != DM_OK || begun || is_empty(path))
        return st;
    return dm_fail(err, DM_E_OUTPUT,
                   "%s exists already, and no run of this job wrote it: " DM_MOVE_IT, path);
}

static bool is_candidate(const char *name)
{
    size_t n = strspn(name, "0123456789");
    return n >= 3 && strcmp(name + n, ".json") == 0;
}

static dm_status check_candidates(dm_arena *a, const char *path, bool begun, dm_error *err)
{
    struct stat s;
    if (lstat(path, &s) != 0)
        return DM_OK;
    DIR *d = S_ISDIR(s.st_mode) ? opendir(path) : NULL;
    if (!d && S_ISDIR(s.st_mode))
        return dm_fail(err, DM_E_OUTPUT, "%s: %s", path, strerror(errno));
    if (!d)
        return dm_fail(err, DM_E_OUTPUT,
                       "%s is not a folder, where dspy-mpi keeps the candidates: " DM_MOVE_IT,
                       path);
    dm_status st = DM_OK;
    for (struct dirent *e; st == DM_OK && (e = readdir(d));)
        if (is_candidate(e->d_name))
            st = check_result(dm_arena_printf(a, "%s/%s", path, e->d_name), e->d_name, begun, err);
    closedir(d);
    return st;
}

/* An empty one is what `dspy-mpi stop` leaves, and is removed. */
static dm_status check_stop(const char *path, dm_error *err)
{
    if (dm_place_check(path, err) != DM_OK)
        return DM_E_OUTPUT;
    return is_empty(path)
               ? DM_OK
               : dm_fail(err, DM_E_OUTPUT,
                         "%s is the file that asks a run to stop, but it is not empty: " DM_MOVE_IT,
                         path);
}

static dm_status settle(const char *path, dm_status found, bool force, dm_error *err)
{
    return found != DM_OK && force ? dm_owned_move_aside(path, err) : found;
}

/* What a compilation writes into one folder. */
static dm_status check_results(dm_arena *a, const char *folder, bool begun, bool force,
                               dm_error *err)
{
    static const char *const results[] = {"program.json",  "predictions.jsonl", "trials.csv",
                                          "ensemble.json", "evidence.json",     "scores.csv",
                                          "report.html"};
    dm_status st = DM_OK;
    for (size_t i = 0; i < sizeof results / sizeof *results && st == DM_OK; i++) {
        const char *path = dm_arena_printf(a, "%s/%s", folder, results[i]);
        st = settle(path, check_result(path, results[i], begun, err), force, err);
    }
    const char *path = dm_arena_printf(a, "%s/candidates", folder);
    return st == DM_OK ? settle(path, check_candidates(a, path, begun, err), force, err) : st;
}

/* Those of members, where the optimizer holds several. */
static dm_status check_members(dm_arena *a, const dm_job *job, bool begun, bool force,
                               dm_error *err)
{
    const dm_compile_input in = dm_job_input(job);
    dm_compile_input *members;
    size_t k = job->optimizer && job->optimizer->class->inner
                   ? job->optimizer->class->inner(a, &in, &members)
                   : 0;
    const char *folder = dm_arena_printf(a, "%s/members", job->out);
    struct stat s;
    dm_status st = DM_OK;
    if (k == 0 || lstat(folder, &s) != 0)
        return DM_OK;
    if (!S_ISDIR(s.st_mode))
        st = settle(folder,
                    dm_fail(err, DM_E_OUTPUT,
                            "%s is not a folder, where dspy-mpi keeps the members: " DM_MOVE_IT,
                            folder),
                    force, err);
    for (size_t i = 1; i <= k && st == DM_OK; i++)
        st = check_results(a, dm_arena_printf(a, "%s/%zu", folder, i), begun, force, err);
    return st;
}

dm_status dm_owned_check(dm_arena *a, const dm_job *job, bool begun, bool force, dm_error *err)
{
    const char *path = dm_arena_printf(a, "%s/journal.lock", job->out);
    dm_status st = settle(path, dm_lock_look(path, err), force, err);
    path = dm_arena_printf(a, "%s/stop", job->out);
    if (st == DM_OK)
        st = settle(path, check_stop(path, err), force, err);
    if (st == DM_OK)
        st = check_results(a, job->out, begun, force, err);
    return st == DM_OK ? check_members(a, job, begun, force, err) : st;
}
