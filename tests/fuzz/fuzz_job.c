/* Job files: refused in a sentence that names the file, or read; then its identity can be made. No
 * data file is opened. */
#include "cmd/job.h"
#include "fuzz.h"
#include "json/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int fuzz_job(const uint8_t *data, size_t size)
{
    static char path[64];
    if (!path[0])
        snprintf(path, sizeof path, "%s/fuzz-%ld.json",
                 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (long)getpid());
    FILE *f = fopen(path, "wb");
    if (!f)
        return 0;
    fwrite(data, 1, size, f);
    fclose(f);
    dm_arena *a = dm_arena_new(0);
    dm_command_line line = {.job_file = path, .keys = dm_value_dict(a), .flags = dm_value_dict(a)};
    dm_error err = {DM_OK, ""};
    dm_job job;
    dm_job_wants wants = {.optimizer = true, .model = true};
    dm_status st = dm_job_read(a, &line, wants, &job, &err);
    if (st != DM_OK && (st > 0 || !err.text[0]))
        abort();
    dm_arena_free(a);
    unlink(path);
    return 0;
}
