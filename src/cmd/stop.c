/* dspy-mpi stop: asks the compile that writes an OUT to stop, from anywhere that sees the folder.
 */
#include "base/place.h"
#include "cmd/commands.h"
#include "cmd/say.h"
#include "cmd/session.h"
#include "json/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Whether there is a run that did not come to its end: a job may be queued to go on with it. */
static bool goes_on(dm_arena *a, const char *out)
{
    const dm_value *status =
        dm_value_get(dm_json_read_file(a, dm_arena_printf(a, "%s/status.json", out), DM_MAX_TEXT),
                     "status");
    return status && status->kind == DM_STRING && !dm_str_is(status->text, "done") &&
           !dm_str_is(status->text, "failed");
}

int dm_cmd_stop(dm_arena *a, const dm_command_line *line)
{
    dm_error err = {DM_OK, ""};
    const char *out = line->job_file;
    if (!out) {
        (void)dm_fail(&err, DM_E_USAGE, "stop needs the folder OUT of the run: dspy-mpi stop OUT");
        return dm_say_failure(&err);
    }
    if (access(out, F_OK) != 0) {
        (void)dm_fail(&err, DM_E_USAGE, "stop: %s: %s", out, strerror(errno));
        return dm_say_failure(&err);
    }
    bool runs = access(dm_arena_printf(a, "%s/journal.lock", out), F_OK) == 0;
    if (!runs && !goes_on(a, out)) {
        dm_say(stderr, "nothing is running in %s\n", out);
        return 0;
    }
    const char *path = dm_arena_printf(a, "%s/stop", out);
    if (dm_place_check(path, &err) != DM_OK)
        return dm_say_failure(&err);
    int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0) {
        (void)dm_fail(&err, DM_E_OUTPUT, "%s: %s", path, strerror(errno));
        return dm_say_failure(&err);
    }
    close(fd);
    if (!runs) {
        dm_say(stderr,
               "nothing is running in %s now; a SLURM job of jobs/compile.sbatch that is queued "
               "again to resume there will end at once\n",
               out);
        return 0;
    }
    dm_say(stderr, "asked to stop; it ends when the calls in flight have, after 20 s at the latest "
                   "(--drain), and the same command resumes from there\n");
    return 0;
}
