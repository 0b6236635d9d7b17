#include "cmd/session.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/show.h"
#include "cluster/cluster.h"
#include "cmd/say.h"
#include "json/json.h"
#include "metric/judge.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

bool dm_under_mpi;
size_t dm_model_ranks = 1;

/* ---- signals: the first asks the run to stop, the second ends it; the journal is whole either way
 * ---- */

#define SAME_SIGNAL_MS                                                                             \
    500 /* the system may deliver one twice: mpirun passes it on, the group has it */
#define TERM_DRAIN    1.0 /* s: mpirun leaves its ranks 1.9 s after TERM and INT */
#define DRAIN_SECONDS 20.0

static volatile sig_atomic_t caught, soon; /* soon: by TERM or INT */
static long long first_ms;
static dm_pool *volatile running;

static void on_alarm(int number)
{
    (void)number;
    dm_say_live_drop();
    _exit(75);
}

static void on_signal(int number)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    long long ms = t.tv_sec * 1000LL + t.tv_nsec / 1000000;
    soon |= number != SIGUSR1;
    dm_asked_to_stop = 1;
    if (!caught) {
        caught = 1;
        first_ms = ms;
    } else if (ms - first_ms < SAME_SIGNAL_MS) {
        return;
    } else if (caught++ == 1) { /* no drain; what is best is saved */
        signal(SIGALRM, on_alarm);
        alarm(2);
        if (running)
            dm_pool_hurry(running);
    } else {
        dm_say_live_drop();
        _exit(75);
    }
    if (running)
        dm_pool_stop(running, DM_STOP_SIGNAL);
}

void dm_signals_install(void)
{
    struct sigaction a = {.sa_handler = on_signal};
    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    sigaction(SIGUSR1, &a, NULL);
    struct sigaction before;
    if (sigaction(SIGHUP, NULL, &before) != 0 || before.sa_handler != SIG_IGN) /* nohup */
        sigaction(SIGHUP, &a, NULL); /* the terminal was closed */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file at the system's limit is a disk that is full */
}

dm_status dm_session_deadline(const dm_command_line *line, dm_job *job, dm_error *err)
{
    const dm_value *v = dm_value_get(line->flags, "drain");
    double seconds;
    job->drain = DRAIN_SECONDS;
    if (v && dm_parse_seconds(v->text.p, &job->drain, err) != DM_OK)
        return dm_error_wrap(err, DM_E_USAGE, "--drain");
    v = dm_value_get(line->flags, "deadline");
    if (!v)
        return DM_OK;
    dm_status st = dm_parse_seconds(v->text.p, &seconds, err);
    if (st == DM_OK)
        job->setup.deadline = dm_now() + seconds;
    return st == DM_OK ? st : dm_error_wrap(err, st, "--deadline");
}

/* ---- progress ---- */

#define LINE_SECONDS 60.0 /* between lines of progress where there is no terminal */

void dm_session_clear_line(dm_session *s)
{
    if (s->terminal)
        dm_say_live(stderr, DM_STR(""));
}

static void show_progress(void *user, const dm_pool_stats *stats)
{
    dm_session *s = user;
    double now = dm_now();
    char clock[16];
    dm_buf b;
    if (s->renew && now - s->renewed_at >= DM_RENEW_SECONDS) {
        s->renewed_at = now;
        s->renew(s->user, stats);
    }
    if (!s->terminal && now - s->line_at < LINE_SECONDS)
        return;
    s->line_at = now;
    dm_buf_init(&b, 1000);
    /* the last column stays free: a terminal goes to the next line behind it */
    dm_progress_line(&b, &s->progress, stats, now,
                     s->terminal ? dm_say_columns(getenv("DM_TTY")) - 1 : SIZE_MAX);
    if (s->terminal)
        dm_say_live(stderr, dm_buf_view(&b));
    else
        dm_say(stderr, "%s%.*s\n", dm_say_clock(clock), (int)b.len, b.data ? b.data : "");
    fflush(stderr);
    dm_buf_free(&b);
}

/* Under mpirun rank 0 has no terminal; the launcher says whether there is one. */
static bool has_terminal(void)
{
    return dm_is_screen(2) || getenv("DM_TTY");
}

/* --verbose: who is asked, and where. */
static void log_models(const dm_job *job)
{
    for (int i = 0; i < DM_ROLES; i++) {
        const dm_lm_config *c = job->setup.model[i];
        if (!c || dm_setup_model_of(&job->setup, i) != i)
            continue;
        if (dm_lm_in_process(c))
            dm_log(DM_DEBUG, "model %s: a stand-in, not a language model", c->model);
        if (dm_lm_by_host(c))
            dm_log(c->api_key_env || c->api_key_file ? DM_WARN : DM_DEBUG,
                   "model %s is asked by DSPy, in the program's own processes%s", c->model,
                   c->api_key_env || c->api_key_file ? ", which are told its key for that" : "");
        for (size_t k = 0; !dm_lm_in_process(c) && !dm_lm_by_host(c) && k < c->n_base; k++)
            dm_log(DM_DEBUG, "model %s at %s", c->model, c->api_base[k]);
    }
}

dm_status dm_session_open(dm_session *s, dm_job *job, dm_error *err)
{
    log_models(job);
    *s = (dm_session){.job = job, .started = dm_now(), .terminal = has_terminal()};
    s->progress.started = s->line_at = s->renewed_at = s->started;
    bool capped = !isinf(job->cap.calls) || !isinf(job->cap.tokens) || !isinf(job->cap.cost);
    job->setup.cap = capped ? &job->cap : NULL;
    job->setup.time_cap = job->time_cap > 0 ? s->started + job->time_cap : 0;
    if (job->cache && !(job->setup.cache = dm_cache_open(job->cache, job->force, err)))
        return err->status;
    s->pool =
        dm_under_mpi ? dm_cluster_pool_new(&job->setup, err) : dm_pool_local_new(&job->setup, err);
    if (!s->pool) {
        (void)dm_cache_close(job->setup.cache, NULL);
        return err->status;
    }
    dm_pool_on_tick(s->pool, s->terminal ? 0.2 : 1, show_progress, s);
    running = s->pool;
    dm_say_dated(true);
    if (caught)
        dm_pool_stop(s->pool, DM_STOP_SIGNAL);
    return DM_OK;
}

void dm_session_drain(dm_session *s, dm_status stopped)
{
    double seconds = s->job->drain;
    if (soon && dm_under_mpi)
        seconds = fmin(seconds, TERM_DRAIN);
    if (caught < 2 && stopped != DM_STOP_BUDGET && stopped != DM_STOP_OUTAGE)
        dm_pool_drain(s->pool, seconds);
}

void dm_session_close(dm_session *s)
{
    running = NULL;
    dm_say_dated(false);
    dm_session_clear_line(s);
    dm_pool_free(s->pool);
    s->pool = NULL;
    (void)dm_cache_close(s->job->setup.cache, NULL); /* said when it happened */
    s->job->setup.cache = NULL;
}

/* ---- words ---- */

int dm_say_failure(const dm_error *err)
{
    char text[sizeof err->text];
    size_t n = 0; /* one line, whatever a model said; dm_fail has masked it */
    for (const char *p = err->text; *p; p++)
        if (*p != '\n' || (n && text[n - 1] != ' '))
            text[n++] = *p == '\n' ? ' ' : *p;
    text[n] = 0;
    dm_say(stderr, "dspy-mpi: %s\n", text);
    return dm_exit_code(err->status);
}

dm_value *dm_tokens_json(dm_arena *a, const dm_usage *u)
{
    dm_value *d = dm_value_dict(a);
    dm_value_set(a, d, DM_STR("prompt"), dm_value_int(a, u->prompt));
    dm_value_set(a, d, DM_STR("completion"), dm_value_int(a, u->completion));
    dm_value_set(a, d, DM_STR("cached"), dm_value_int(a, u->cached));
    if (u->written > 0)
        dm_value_set(a, d, DM_STR("cache_written"), dm_value_int(a, u->written));
    if (u->reasoning > 0) /* they are among those of the completions */
        dm_value_set(a, d, DM_STR("reasoning"), dm_value_int(a, u->reasoning));
    return d;
}

/* Of each cap that was given. */
static dm_value *left(dm_arena *a, const dm_amount *l)
{
    dm_value *d = dm_value_dict(a);
    if (!isinf(l->calls))
        dm_value_set(a, d, DM_STR("calls"), dm_value_int(a, (int64_t)l->calls));
    if (!isinf(l->tokens))
        dm_value_set(a, d, DM_STR("tokens"), dm_value_int(a, (int64_t)l->tokens));
    if (!isinf(l->cost))
        dm_value_set(a, d, DM_STR("cost"), dm_value_float(a, l->cost));
    return d;
}

dm_value *dm_last_line(dm_arena *a, const dm_session *s, dm_status stopped)
{
    dm_pool_stats stats = dm_pool_stats_of(s->pool);
    dm_value *d = dm_value_dict(a);
    dm_value_set(a, d, DM_STR("status"), dm_value_text(a, stopped ? "stopped" : "done"));
    dm_value_set(a, d, DM_STR("reason"),
                 stopped ? dm_value_text(a, dm_status_name(stopped)) : dm_value_null(a));
    dm_value_set(a, d, DM_STR("program"), dm_value_null(a));
    dm_value_set(a, d, DM_STR("calls"), dm_value_int(a, stats.usage.requests));
    dm_value_set(a, d, DM_STR("answers"), dm_value_int(a, stats.usage.answers));
    dm_value_set(a, d, DM_STR("tokens"), dm_tokens_json(a, &stats.usage));
    dm_value_set(a, d, DM_STR("cost"), dm_value_finite(a, stats.cost));
    if (dm_metric_asks(s->job->setup.metric)) {
        dm_value *judge = dm_value_dict(a);
        dm_value_set(a, judge, DM_STR("calls"), dm_value_int(a, stats.judge.requests));
        dm_value_set(a, judge, DM_STR("answers"), dm_value_int(a, stats.judge.answers));
        dm_value_set(a, judge, DM_STR("tokens"), dm_tokens_json(a, &stats.judge));
        dm_value_set(a, d, DM_STR("judge"), judge);
    }
    if (s->job->setup.cap)
        dm_value_set(a, d, DM_STR("left"), left(a, &stats.left));
    dm_value_set(a, d, DM_STR("seconds"),
                 dm_value_float(a, round(1000 * (dm_now() - s->started)) / 1000));
    return d;
}

/* Under mpirun stdout may be a terminal that mpirun made for its rank, a single one too: the
 * launcher says what its own is. Where mpirun was started by hand nobody does, and the line is
 * printed. */
static bool out_is_terminal(void)
{
    bool by_mpirun =
        dm_cluster_is_rank() || getenv("OMPI_COMM_WORLD_SIZE") || getenv("DM_STATUS_FILE");
    return by_mpirun ? getenv("DM_TTY_OUT") != NULL : isatty(1);
}

void dm_print_last_line(const dm_value *v, const dm_command_line *line)
{
    if (dm_value_get(line->flags, "json") || !out_is_terminal())
        dm_print_json(v);
}

void dm_print_json(const dm_value *v)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_json_write(&b, v, DM_JSON_PYTHON);
    dm_buf_char(&b, '\n');
    dm_say_json(stdout, dm_buf_view(&b));
    fflush(stdout);
    dm_buf_free(&b);
}
