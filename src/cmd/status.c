/* dspy-mpi status: how far the compile that writes an OUT is, from anywhere that sees the folder.
 */
#include "base/clock.h"
#include "base/show.h"
#include "cmd/commands.h"
#include "cmd/say.h"
#include "cmd/session.h"
#include "json/json.h"
#include "report/story.h"
#include "study/lock.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct look {
    const dm_value *status; /* status.json */
    dm_lock_state lock;
    bool runs;
} look;

/* ---- reading ---- */

static dm_status read_look(dm_arena *a, const char *out, look *l, dm_error *err)
{
    dm_str text;
    const char *path = dm_arena_printf(a, "%s/status.json", out);
    *l = (look){.lock = DM_LOCK_FREE};
    if (access(out, F_OK) != 0)
        return dm_fail(err, DM_E_USAGE, "status: %s: %s", out, strerror(errno));
    if (access(path, F_OK) != 0)
        return dm_fail(err, DM_E_USAGE, "status: no compile has begun in %s: it has no status.json",
                       out);
    dm_status st = dm_read_file(a, path, DM_MAX_TEXT, &text, err);
    if (st != DM_OK)
        return st;
    l->status = dm_json_read(a, text, err);
    if (!l->status || !dm_value_get(l->status, "status") || !dm_value_get(l->status, "job"))
        return dm_fail(err, DM_E_DATA, "status: %s was not written by a compile of dspy-mpi", path);
    if (strcmp(dm_story_text(l->status, "status"), "running") == 0)
        l->lock = dm_lock_state_of(dm_arena_printf(a, "%s/journal.lock", out));
    l->runs = l->lock == DM_LOCK_HELD;
    return DM_OK;
}

/* ---- words ---- */

/* s since a time of status.json; NAN: it is none. */
static double seconds_since(const char *text)
{
    struct tm t = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &t);
    return end && !*end ? fmax(0, difftime(time(NULL), timegm(&t))) : NAN;
}

static void put_ago(dm_buf *b, const char *text)
{
    double s = seconds_since(text);
    dm_buf_text(b, text);
    if (isnan(s))
        return;
    dm_buf_text(b, " (");
    dm_print_seconds(b, s);
    dm_buf_text(b, " ago)");
}

static void put_percent(dm_buf *b, const dm_value *best)
{
    dm_buf_printf(b, "%.1f %%", 100 * dm_story_number(best, "score"));
    if (!isnan(dm_story_number(best, "low")))
        dm_buf_printf(b, " (%.1f to %.1f, %.0f examples)", 100 * dm_story_number(best, "low"),
                      100 * dm_story_number(best, "high"), dm_story_number(best, "n"));
}

static void put_phase(dm_buf *b, const dm_value *p, bool runs)
{
    double total = dm_story_number(p, "total"), left = dm_story_number(p, "seconds_left");
    dm_show_printf(b, "%s ", dm_story_text(p, "phase"));
    dm_buf_printf(b, "%.0f", dm_story_number(p, "done"));
    if (!isnan(total))
        dm_buf_printf(b, " of %.0f", total);
    dm_buf_text(b, " runs");
    if (isnan(left) || !runs)
        return;
    dm_buf_text(b, ", ");
    dm_print_seconds(b, left);
    dm_buf_text(b, " left");
}

static void put_spent(dm_buf *b, const dm_value *p)
{
    const dm_value *tokens = dm_value_get(p, "tokens");
    double cost = dm_story_number(p, "cost");
    dm_buf_printf(b, "%.0f calls, ", dm_story_number(p, "calls"));
    dm_print_count(b, dm_story_number(tokens, "prompt"));
    dm_buf_text(b, " prompt and ");
    dm_print_count(b, dm_story_number(tokens, "completion"));
    dm_buf_text(b, " completion tokens");
    if (cost > 0)
        dm_buf_printf(b, ", $%.2f", cost);
}

static void put_state(dm_buf *b, const look *l)
{
    const char *status = dm_story_text(l->status, "status"),
               *reason = dm_story_text(l->status, "reason");
    if (strcmp(status, "running") != 0) {
        dm_show_printf(b, "%s%s%s, ", status, *reason ? ": " : "", reason);
        put_ago(b, dm_story_text(l->status, "renewed"));
    } else if (l->runs) {
        dm_show_printf(b, "running, process %.0f on %s", dm_story_number(l->status, "pid"),
                       dm_story_text(l->status, "host"));
    } else if (l->lock == DM_LOCK_UNSURE) {
        dm_show_printf(b, "process %.0f on %s gives no sign of life; last heard from ",
                       dm_story_number(l->status, "pid"), dm_story_text(l->status, "host"));
        put_ago(b, dm_story_text(l->status, "renewed"));
    } else {
        dm_buf_text(b, "not running since ");
        put_ago(b, dm_story_text(l->status, "renewed"));
        dm_buf_text(b, ": it was killed or lost, and the same command resumes from there");
    }
}

static void put_block(dm_buf *b, const look *l)
{
    const dm_value *p = dm_value_get(l->status, "progress"), *best = dm_value_get(p, "best");
    dm_buf_text(b, "state     ");
    put_state(b, l);
    dm_buf_text(b, "\nstarted   ");
    put_ago(b, dm_story_text(l->status, "started"));
    dm_buf_char(b, '\n');
    if (!p)
        return;
    dm_buf_text(b, "phase     ");
    put_phase(b, p, l->runs);
    if (!isnan(dm_story_number(best, "score"))) {
        dm_show_printf(b, "\nbest      %s%s", dm_story_text(best, "name"),
                       *dm_story_text(best, "name") ? ": " : "");
        put_percent(b, best);
    }
    dm_buf_text(b, "\nspent     ");
    put_spent(b, p);
    dm_buf_printf(b, "\nslots     %.0f of %.0f busy on %.0f rank%s; %.0f error%s\n",
                  dm_story_number(p, "busy"), dm_story_number(p, "places"),
                  dm_story_number(p, "ranks"), dm_story_number(p, "ranks") > 1 ? "s" : "",
                  dm_story_number(p, "errors"),
                  dm_story_number(p, "errors") > 1 || dm_story_number(p, "errors") < 1 ? "s" : "");
    dm_buf_text(b, "progress  ");
    put_ago(b, dm_story_text(p, "last_progress"));
    dm_buf_char(b, '\n');
}

static void put_line(dm_buf *b, const look *l)
{
    const dm_value *p = dm_value_get(l->status, "progress"), *best = dm_value_get(p, "best");
    if (!l->runs || !p) {
        put_state(b, l);
        return;
    }
    put_phase(b, p, l->runs);
    if (!isnan(dm_story_number(best, "score"))) {
        dm_buf_text(b, ", best ");
        put_percent(b, best);
    }
    dm_buf_text(b, ", ");
    put_spent(b, p);
    dm_buf_printf(b, ", %.0f of %.0f slots busy", dm_story_number(p, "busy"),
                  dm_story_number(p, "places"));
}

static void print_json(dm_arena *a, const look *l)
{
    dm_value *d = dm_value_copy(a, l->status);
    dm_value_set(a, d, DM_STR("runs"),
                 l->lock == DM_LOCK_UNSURE ? dm_value_null(a) : dm_value_bool(a, l->runs));
    dm_print_json(d);
}

/* ---- the command ---- */

/* A line each second, in one place on a terminal; else where it says something new. */
static dm_status watch(const char *out, look *l, dm_error *err)
{
    bool terminal = dm_is_screen(1);
    dm_buf b, before;
    dm_status st = DM_OK;
    dm_buf_init(&b, DM_MAX_LINE);
    dm_buf_init(&before, DM_MAX_LINE);
    while (st == DM_OK && !dm_asked_to_stop) {
        dm_arena *a = dm_arena_new(0);
        st = read_look(a, out, l, err);
        bool runs = l->runs;
        dm_buf_reset(&b);
        if (st == DM_OK && runs)
            put_line(&b, l);
        dm_arena_free(a);
        if (!runs)
            break;
        if (terminal) {
            dm_str text = dm_buf_view(&b);
            size_t width = dm_say_columns(NULL) - 1;
            dm_say_live(stderr, (dm_str){text.p, text.n < width ? text.n : width});
        } else if (!dm_str_eq(dm_buf_view(&b), dm_buf_view(&before))) {
            dm_say(stdout, "%.*s\n", (int)b.len, b.data);
        }
        fflush(stdout);
        dm_buf_reset(&before);
        dm_buf_str(&before, dm_buf_view(&b));
        struct timespec t = {1, 0};
        nanosleep(&t, NULL);
    }
    if (terminal)
        dm_say_live(stderr, DM_STR(""));
    dm_buf_free(&b);
    dm_buf_free(&before);
    return st;
}

int dm_cmd_status(dm_arena *a, const dm_command_line *line)
{
    dm_error err = {DM_OK, ""};
    const char *out = line->job_file;
    look l;
    dm_buf b;
    if (!out) {
        (void)dm_fail(&err, DM_E_USAGE,
                      "status needs the folder OUT of a compile: dspy-mpi status OUT");
        return dm_say_failure(&err);
    }
    dm_status st = dm_value_get(line->flags, "watch") ? watch(out, &l, &err) : DM_OK;
    if (st == DM_OK)
        st = read_look(a, out, &l, &err);
    if (st != DM_OK)
        return dm_say_failure(&err);
    if (dm_value_get(line->flags, "json")) {
        print_json(a, &l);
        return 0;
    }
    dm_buf_init(&b, DM_MAX_TEXT);
    put_block(&b, &l);
    dm_say_text(stdout, dm_buf_view(&b));
    dm_buf_free(&b);
    return 0;
}
