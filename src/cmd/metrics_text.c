#include "cmd/metrics_text.h"
#include "base/place.h"
#include "base/show.h"
#include "report/score.h"

#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#define START "# HELP dspy_mpi_"

dm_status dm_metrics_owned(const char *path, dm_error *err)
{
    char text[sizeof START - 1];
    dm_status st = dm_place_check(path, err);
    int fd = st == DM_OK ? open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;
    if (fd < 0)
        return st;
    ssize_t n = read(fd, text, sizeof text);
    close(fd);
    if (n <= 0 || (n == (ssize_t)sizeof text && memcmp(text, START, sizeof text) == 0))
        return DM_OK;
    return dm_fail(err, DM_E_OUTPUT,
                   "--prometheus: %s was not written by dspy-mpi and is not overwritten: give "
                   "another name",
                   path);
}

/* A label's value: as it is shown, so it is UTF-8 in one line, and backslash and quote are escaped.
 */
static void put_label(dm_buf *b, const char *name, const char *value)
{
    dm_buf shown;
    dm_buf_init(&shown, DM_MAX_TEXT);
    dm_show(&shown, dm_str_of(value), DM_SHOW_LINE);
    dm_buf_printf(b, "%s=\"", name);
    for (size_t i = 0; i < shown.len; i++) {
        if (shown.data[i] == '\\' || shown.data[i] == '"')
            dm_buf_char(b, '\\');
        dm_buf_char(b, shown.data[i]);
    }
    dm_buf_char(b, '"');
    dm_buf_free(&shown);
}

static void put_head(dm_buf *b, const char *name, const char *type, const char *help)
{
    dm_buf_printf(b, START "%s %s\n# TYPE dspy_mpi_%s %s\ndspy_mpi_%s{", name, help, name, type,
                  name);
}

static void put_value(dm_buf *b, double v)
{
    if (isnan(v))
        dm_buf_text(b, "} NaN\n");
    else
        dm_buf_printf(b, "} %.17g\n", v);
}

static void put(dm_buf *b, const char *out, const char *name, const char *type, double v,
                const char *help)
{
    put_head(b, name, type, help);
    put_label(b, "out", out);
    put_value(b, v);
}

void dm_metrics_text(dm_buf *b, const char *out, const dm_pool_stats *s, bool running, double left,
                     time_t last_progress)
{
    dm_score best = {NAN, NAN, NAN, NAN, 0, 0, 0, 0, 0, 0};
    if (s->leader)
        best = dm_score_of_tally(&s->leader->tally);
    else
        best.score = s->best;
    put_head(b, "info", "gauge", "The run: its version, and the phase it is in.");
    put_label(b, "out", out);
    dm_buf_text(b, ",version=\"" DM_VERSION "\",");
    put_label(b, "phase", s->phase);
    put_value(b, 1);
    put(b, out, "running", "gauge", running, "1 while it runs, 0 once it has ended.");
    put(b, out, "phase_done", "gauge", (double)s->done, "Program runs of the phase that are done.");
    put(b, out, "phase_planned", "gauge", s->total ? (double)s->total : NAN,
        "Program runs of the phase in all; NaN: not known.");
    put(b, out, "seconds_left", "gauge", left,
        "Time left in the phase, at the rate so far; NaN: not known.");
    put(b, out, "candidates", "gauge", (double)s->n_tried, "Candidates with a score.");
    put(b, out, "best_score", "gauge", best.score, "Score of the best candidate so far, 0 to 1.");
    put(b, out, "best_score_low", "gauge", best.low, "Lower end of its 95 % interval.");
    put(b, out, "best_score_high", "gauge", best.high, "Upper end of its 95 % interval.");
    put(b, out, "calls_total", "counter", (double)s->usage.requests, "Requests sent to models.");
    put(b, out, "answers_total", "counter", (double)s->usage.answers, "Usable answers.");
    put(b, out, "prompt_tokens_total", "counter", (double)s->usage.prompt, "Tokens sent.");
    put(b, out, "completion_tokens_total", "counter", (double)s->usage.completion,
        "Tokens answered.");
    put(b, out, "cost_dollars_total", "counter", s->cost,
        "Money spent; NaN: a model has no price.");
    put(b, out, "errors_total", "counter", (double)s->errors, "Examples that failed.");
    put(b, out, "busy", "gauge", (double)dm_pool_busy(s), "Examples that are running now.");
    put(b, out, "places", "gauge", (double)s->slots, "Slots for running examples, over all ranks.");
    put(b, out, "ranks", "gauge", (double)s->ranks, "Ranks that run models.");
    put(b, out, "last_progress_timestamp_seconds", "gauge", (double)last_progress,
        "When a run or a call was last added.");
}
