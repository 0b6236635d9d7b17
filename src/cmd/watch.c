#include "cmd/watch.h"
#include "base/clock.h"
#include "base/place.h"
#include "base/show.h"
#include "cmd/evidence.h"
#include "cmd/metrics_text.h"
#include "cmd/say.h"
#include "json/json.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EVENT_SECONDS    10.0 /* between events of progress */
#define EVIDENCE_SECONDS 10.0

/* ---- what is said ---- */

static dm_value *score_of_row(dm_arena *a, const dm_tried_row *row, double estimate)
{
    dm_score s = dm_score_of_tally(&row->tally);
    dm_value *d = dm_value_dict(a);
    if (row->what.part)
        dm_value_set(a, d, DM_STR("part"), dm_value_text(a, row->what.part));
    dm_value_set(a, d, DM_STR("name"), dm_value_text(a, row->what.name));
    dm_value_set(a, d, DM_STR("score"), dm_value_finite(a, s.score));
    dm_value_set(a, d, DM_STR("low"), dm_value_finite(a, s.low));
    dm_value_set(a, d, DM_STR("high"), dm_value_finite(a, s.high));
    dm_value_set(a, d, DM_STR("n"), dm_value_int(a, (int64_t)s.n));
    if (!isnan(estimate))
        dm_value_set(a, d, DM_STR("estimate"), dm_value_finite(a, estimate));
    return d;
}

static const dm_value *best_of(dm_arena *a, const dm_pool_stats *s)
{
    if (s->leader)
        return score_of_row(a, s->leader, s->best);
    if (isnan(s->best))
        return dm_value_null(a);
    dm_value *d = dm_value_dict(a);
    dm_value_set(a, d, DM_STR("score"), dm_value_finite(a, s->best));
    return d;
}

/* Of a run that has ended no time is left. */
static double time_left(const dm_watch *w, const dm_pool_stats *s, bool running)
{
    return running ? dm_progress_left(&w->progress, s, dm_now()) : NAN;
}

static dm_value *progress_json(dm_arena *a, const dm_watch *w, const dm_pool_stats *s, bool running)
{
    dm_value *d = dm_value_dict(a);
    double now = dm_now(), seconds = round(1000 * (now - w->opened)) / 1000;
    dm_value_set(a, d, DM_STR("phase"), dm_value_text(a, s->phase));
    dm_value_set(a, d, DM_STR("done"), dm_value_int(a, (int64_t)s->done));
    dm_value_set(a, d, DM_STR("total"),
                 s->total ? dm_value_int(a, (int64_t)s->total) : dm_value_null(a));
    dm_value_set(a, d, DM_STR("best"), best_of(a, s));
    dm_value_set(a, d, DM_STR("candidates"), dm_value_int(a, (int64_t)s->n_tried));
    dm_value_set(a, d, DM_STR("calls"), dm_value_int(a, s->usage.requests));
    dm_value_set(a, d, DM_STR("answers"), dm_value_int(a, s->usage.answers));
    dm_value_set(a, d, DM_STR("tokens"), dm_tokens_json(a, &s->usage));
    dm_value_set(a, d, DM_STR("cost"), dm_value_finite(a, s->cost));
    dm_value_set(a, d, DM_STR("seconds"), dm_value_float(a, seconds));
    dm_value_set(a, d, DM_STR("seconds_left"), dm_value_finite(a, time_left(w, s, running)));
    dm_value_set(a, d, DM_STR("calls_per_second"), dm_value_finite(a, w->progress.rate));
    dm_value_set(a, d, DM_STR("errors"), dm_value_int(a, (int64_t)s->errors));
    dm_value_set(a, d, DM_STR("busy"), dm_value_int(a, (int64_t)dm_pool_busy(s)));
    dm_value_set(a, d, DM_STR("places"), dm_value_int(a, (int64_t)s->slots));
    dm_value_set(a, d, DM_STR("ranks"), dm_value_int(a, (int64_t)s->ranks));
    dm_value_set(a, d, DM_STR("last_progress"), dm_time_text(a, w->newest.at));
    return d;
}

/* ---- events ---- */

/* One write for each line, so that none is torn by another writer. */
static void event(dm_watch *w, const char *what, const dm_value *more)
{
    if (w->events < 0)
        return;
    dm_arena *a = dm_arena_new(0);
    dm_value *d = dm_value_dict(a);
    dm_buf b, line;
    dm_value_set(a, d, DM_STR("time"), dm_time_text(a, time(NULL)));
    dm_value_set(a, d, DM_STR("seconds"),
                 dm_value_float(a, round(1000 * (dm_now() - w->opened)) / 1000));
    dm_value_set(a, d, DM_STR("event"), dm_value_text(a, what));
    for (size_t i = 0; more && i < more->n; i++)
        dm_value_set(a, d, more->members[i].key, more->members[i].value);
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_buf_init(&line, DM_MAX_FILE);
    dm_json_write(&b, d, DM_JSON_PYTHON);
    dm_show(&line, dm_buf_view(&b), DM_SHOW_JSON);
    dm_buf_char(&line, '\n');
    if (write(w->events, line.data, line.len) != (ssize_t)line.len && !w->events_lost) {
        w->events_lost = true;
        dm_say(stderr, "dspy-mpi: --events: some could not be written: %s\n", strerror(errno));
    }
    dm_buf_free(&b);
    dm_buf_free(&line);
    dm_arena_free(a);
}

static void on_news(void *user, const char *part, const char *phase, size_t total,
                    const dm_tried_row *row)
{
    dm_watch *w = user;
    if (w->events < 0)
        return;
    dm_arena *a = dm_arena_new(0);
    if (row) {
        dm_value *d = score_of_row(a, row, NAN);
        dm_value_set(a, d, DM_STR("calls"), dm_value_int(a, row->calls));
        event(w, "candidate", d);
    } else {
        dm_value *d = dm_value_dict(a);
        if (part)
            dm_value_set(a, d, DM_STR("part"), dm_value_text(a, part));
        dm_value_set(a, d, DM_STR("phase"), dm_value_text(a, phase));
        dm_value_set(a, d, DM_STR("total"),
                     total ? dm_value_int(a, (int64_t)total) : dm_value_null(a));
        event(w, "phase", d);
    }
    dm_arena_free(a);
}

static dm_status open_events(dm_watch *w, const char *path, dm_error *err)
{
    char last = '\n';
    struct stat s;
    w->events = open(path, O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC, 0666);
    if (w->events < 0) /* what can be written to alone */
        w->events = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC);
    if (w->events < 0)
        return dm_fail(err, DM_E_OUTPUT, "--events: %s cannot be opened: %s", path,
                       strerror(errno));
    if (fstat(w->events, &s) == 0 && S_ISREG(s.st_mode) && s.st_size > 0 &&
        pread(w->events, &last, 1, s.st_size - 1) == 1 && last != '\n')
        (void)!write(w->events, "\n", 1); /* a killed run may have left half a line */
    return DM_OK;
}

/* ---- metrics ---- */

static void put_metrics(const dm_watch *w, const dm_pool_stats *s, bool running)
{
    dm_buf b;
    dm_error unsaid;
    if (!w->prometheus || dm_metrics_owned(w->prometheus, NULL) != DM_OK)
        return;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_metrics_text(&b, w->job->out, s, running, time_left(w, s, running), w->newest.at);
    (void)!dm_put_file(w->prometheus, dm_buf_view(&b), &unsaid);
    dm_buf_free(&b);
}

/* ---- the run ---- */

/* When the first attempt began, as the status of an earlier one tells. */
static const dm_value *started(dm_arena *a, const dm_job *job)
{
    const dm_value *was =
        dm_value_get(dm_json_read_file(a, dm_arena_printf(a, "%s/status.json", job->out),
                                       DM_MAX_TEXT),
                     "started");
    return was && was->kind == DM_STRING ? was : dm_time_text(a, time(NULL));
}

/* For a report that is sent on: files without their folders; no address, and nothing that has to do
 * with a key. */
static const dm_value *options_of(dm_arena *a, const dm_command_line *line)
{
    static const char *const files[] = {"program", "student", "teacher", "python", "trainset",
                                        "valset",  "testset", "out",     "cache"};
    dm_value *list = dm_value_list(a);
    for (size_t i = 0; i < line->n_words; i++) {
        const char *word = line->words[i], *value = strchr(word, '=') + 1;
        size_t n = (size_t)(value - word);
        dm_str name = {word + 2, n - 3};
        const char *slash = strrchr(value, '/');
        bool file = false;
        for (size_t k = 0; k < sizeof files / sizeof *files; k++)
            file |= dm_str_is(name, files[k]) && *value != '{';
        dm_str head = {dm_arena_string(a, name.p, name.n), name.n};
        if (strstr(value, "://") || strstr(value, "key") || strstr(head.p, "key") ||
            strstr(head.p, "headers") || strstr(value, "headers"))
            continue;
        if (file && slash && slash[1])
            word = dm_arena_printf(a, "%.*s%s", (int)n, word, slash + 1);
        dm_value_append(a, list, dm_value_text(a, word));
    }
    return list;
}

dm_status dm_watch_begin(dm_watch *w, dm_arena *a, const dm_job *job, const dm_command_line *line,
                         dm_error *err)
{
    const dm_value *events = dm_value_get(line->flags, "events"),
                   *prometheus = dm_value_get(line->flags, "prometheus");
    *w = (dm_watch){.arena = a,
                    .job = job,
                    .identity = dm_job_identity(a, job),
                    .started = started(a, job),
                    .options = options_of(a, line),
                    .opened = dm_now(),
                    .growth = {.arena = a, .job = job},
                    .events = -1,
                    .prometheus = prometheus ? prometheus->text.p : NULL,
                    .every = 1};
    w->newest.at = time(NULL);
    w->progress.started = w->opened;
    dm_status st = events ? open_events(w, events->text.p, err) : DM_OK;
    if (st == DM_OK && prometheus)
        st = dm_metrics_owned(w->prometheus, err);
    dm_out_state s = {.status = "running", .started = w->started, .identity = w->identity};
    if (st == DM_OK)
        st = dm_out_status(a, job, &s, err);
    if (st != DM_OK)
        return st;
    dm_value *d = dm_value_dict(a);
    dm_value_set(a, d, DM_STR("version"), dm_value_text(a, DM_VERSION));
    dm_value_set(a, d, DM_STR("out"), dm_value_text(a, job->out));
    event(w, "start", d);
    return DM_OK;
}

void dm_watch_pool(dm_watch *w, dm_pool *pool)
{
    w->pool = pool;
    dm_pool_on_news(pool, on_news, w);
}

static void note(dm_watch *w, const dm_pool_stats *s)
{
    double now = dm_now(), seconds = now - w->opened;
    dm_progress_note(&w->progress, s, now);
    if (s->done != w->newest.done || s->usage.requests != w->newest.calls)
        w->newest.at = time(NULL);
    w->newest.done = s->done;
    w->newest.calls = s->usage.requests;
    if (w->n_points && seconds - w->points[w->n_points - 1].seconds < w->every)
        return;
    if (w->n_points == DM_POINTS) { /* every second one makes room for as long again */
        for (size_t i = 0; i < DM_POINTS / 2; i++)
            w->points[i] = w->points[2 * i + 1];
        w->n_points = DM_POINTS / 2;
        w->every *= 2;
    }
    w->points[w->n_points++] =
        (dm_point){seconds, s->usage.requests, dm_pool_busy(s), s->done, s->best};
}

void dm_watch_renew(void *watch, const dm_pool_stats *stats)
{
    dm_watch *w = watch;
    dm_error unsaid; /* what cannot be written now is said when the run ends */
    dm_arena *a = dm_arena_new(0);
    note(w, stats);
    dm_out_state s = {.status = "running",
                      .progress = progress_json(a, w, stats, true),
                      .started = w->started,
                      .identity = w->identity};
    (void)!dm_out_status(a, w->job, &s, &unsaid);
    put_metrics(w, stats, true);
    if (dm_now() - w->event_at >= EVENT_SECONDS) {
        w->event_at = dm_now();
        event(w, "progress", s.progress);
    }
    dm_growth_write(&w->growth, stats);
    if (dm_now() - w->evidence_at >= EVIDENCE_SECONDS) {
        w->evidence_at = dm_now();
        dm_evidence_write(w, stats, NULL);
    }
    dm_arena_free(a);
}

dm_status dm_watch_end(dm_watch *w, dm_pool *pool, const dm_out_state *state, dm_error *err)
{
    dm_pool_stats stats = dm_pool_stats_of(pool);
    dm_out_state s = *state;
    note(w, &stats);
    s.progress = progress_json(w->arena, w, &stats, false);
    s.started = w->started;
    s.identity = w->identity;
    dm_status st = dm_out_status(w->arena, w->job, &s, err);
    put_metrics(w, &stats, false);
    dm_value *d = dm_value_dict(w->arena);
    dm_value_set(w->arena, d, DM_STR("status"), dm_value_text(w->arena, s.status));
    dm_value_set(w->arena, d, DM_STR("reason"),
                 s.reason ? dm_value_text(w->arena, s.reason) : dm_value_null(w->arena));
    dm_value_set(w->arena, d, DM_STR("exit"), dm_value_int(w->arena, s.code));
    if (s.last)
        dm_value_set(w->arena, d, DM_STR("last"), s.last);
    event(w, "end", d);
    return st;
}

void dm_watch_free(dm_watch *w)
{
    if (!w->job)
        return;
    if (w->events >= 0)
        close(w->events);
    dm_growth_free(&w->growth);
}
