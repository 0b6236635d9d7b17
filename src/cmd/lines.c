#include "cmd/lines.h"
#include "base/place.h"
#include "base/show.h"
#include "cmd/say.h"
#include "json/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static dm_status cannot(const dm_lines *l, dm_error *err)
{
    return dm_fail(err, DM_E_OUTPUT, "%s: cannot be written: %s", l->path, strerror(errno));
}

dm_status dm_lines_open(dm_lines *l, const char *path, bool begun, dm_error *err)
{
    *l = (dm_lines){.path = path};
    if (!path)
        return DM_OK;
    if (dm_place_check(path, err) != DM_OK)
        return DM_E_OUTPUT;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    l->to = fd >= 0 ? fdopen(fd, "r+") : NULL;
    if (!l->to) {
        dm_status st = cannot(l, err);
        if (fd >= 0)
            close(fd);
        return st;
    }
    l->reading = lseek(fd, 0, SEEK_END) > 0;
    rewind(l->to);
    if (begun || !l->reading)
        return DM_OK;
    fclose(l->to);
    l->to = NULL;
    return dm_fail(err, DM_E_OUTPUT,
                   "%s exists already, and no run of this program wrote it: " DM_MOVE_IT, path);
}

static bool is_error(dm_str line)
{
    dm_arena *a = dm_arena_new(4096);
    const dm_value *v = dm_json_read(a, line, NULL);
    bool error = !v || (v->kind == DM_DICT && dm_value_get(v, "error"));
    dm_arena_free(a);
    return error;
}

/* Whether the file's next line is this one; else it is cut off from there on, if it may be. */
static dm_status pass_over(dm_lines *l, dm_str text, bool *same, dm_error *err)
{
    char *line = NULL;
    size_t room = 0;
    off_t at = ftello(l->to);
    ssize_t n = getline(&line, &room, l->to);
    dm_str found = {line, n > 0 ? (size_t)n : 0};
    bool whole = n > 0 && line[n - 1] == '\n';
    dm_status st = DM_OK;
    *same = whole && dm_str_eq(found, text);
    if (whole && !*same && !is_error(found))
        st = dm_fail(err, DM_E_OUTPUT,
                     "%s:%zu: this line is not the one that this program gives for these inputs: "
                     "give another --out, or --fresh to move it aside",
                     l->path, l->n + 1);
    free(line);
    if (st != DM_OK || *same)
        return st;
    l->reading = false;
    if (at < 0 || ftruncate(fileno(l->to), at) != 0 || fseeko(l->to, at, SEEK_SET) != 0)
        return cannot(l, err);
    return DM_OK;
}

dm_status dm_lines_put(dm_lines *l, dm_str json, dm_error *err)
{
    if (!l->to) {
        dm_say_json(stdout, json);
        dm_say_json(stdout, DM_STR("\n"));
        l->left = fflush(stdout) != 0 || ferror(stdout);
        l->n += !l->left;
        return DM_OK;
    }
    dm_buf b;
    bool same = false;
    dm_buf_init(&b, SIZE_MAX / 2);
    dm_show(&b, json, DM_SHOW_JSON);
    dm_buf_char(&b, '\n');
    dm_status st = l->reading ? pass_over(l, dm_buf_view(&b), &same, err) : DM_OK;
    if (st == DM_OK && !same) {
        size_t n = fwrite(b.data, 1, b.len, l->to); /* shown by dm_show */
        st = n < b.len || fflush(l->to) != 0 ? cannot(l, err) : DM_OK;
    }
    l->n += st == DM_OK;
    l->found += same;
    dm_buf_free(&b);
    return st;
}

dm_status dm_lines_end(dm_lines *l, dm_error *err)
{
    char *line = NULL;
    size_t room = 0;
    if (!l->reading)
        return DM_OK;
    off_t at = ftello(l->to);
    ssize_t n = getline(&line, &room, l->to);
    bool whole = n > 0 && line[n - 1] == '\n';
    free(line);
    if (whole)
        return dm_fail(err, DM_E_OUTPUT,
                       "%s has more lines than these %zu rows: it belongs to other inputs; give "
                       "another --out, or --fresh to move it aside",
                       l->path, l->n);
    return n > 0 && (at < 0 || ftruncate(fileno(l->to), at) != 0) ? cannot(l, err) : DM_OK;
}

dm_status dm_lines_close(dm_lines *l, dm_error *err)
{
    if (!l->to)
        return DM_OK;
    bool failed = fsync(fileno(l->to)) != 0 && errno != EINVAL;
    failed |= fclose(l->to) != 0;
    l->to = NULL;
    return failed ? cannot(l, err) : DM_OK;
}
