/* dspy-mpi report: the page of an OUT, made again of its files. */
#include "cmd/report.h"
#include "cmd/commands.h"
#include "cmd/owned.h"
#include "cmd/say.h"
#include "cmd/session.h"
#include "json/json.h"
#include "report/story.h"

static dm_status write_report(dm_arena *a, const char *out, const char **path, dm_error *err)
{
    dm_story s;
    dm_buf b;
    dm_status st = dm_story_read(a, out, &s, err);
    *path = dm_arena_printf(a, "%s/report.html", out);
    if (st == DM_OK)
        st = dm_owned_file(*path, "report.html", err);
    if (st != DM_OK)
        return st;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_story_html(&b, &s);
    st = b.full ? dm_fail(err, DM_E_LIMIT, "%s: it would be over %zu bytes", *path, b.max)
                : dm_put_file(*path, dm_buf_view(&b), err);
    dm_buf_free(&b);
    return st;
}

void dm_report_put(const dm_job *job)
{
    dm_error err = {DM_OK, ""};
    dm_arena *a = dm_arena_new(0);
    const char *path;
    if (write_report(a, job->out, &path, &err) != DM_OK)
        dm_say(stderr, "dspy-mpi: report.html is left out: %s\n", err.text);
    dm_arena_free(a);
}

int dm_cmd_report(dm_arena *a, const dm_command_line *line)
{
    dm_error err = {DM_OK, ""};
    const char *path;
    if (!line->job_file) {
        (void)dm_fail(&err, DM_E_USAGE,
                      "report needs the folder OUT of a compile: dspy-mpi report OUT");
        return dm_say_failure(&err);
    }
    if (write_report(a, line->job_file, &path, &err) != DM_OK)
        return dm_say_failure(&err);
    dm_say(stdout, "%s\n", path);
    return 0;
}
