/* One's own metric as a program: JSON Lines to its stdin, JSON Lines from its stdout, in order.
 *
 *     {"example": {...}, "prediction": {...}, "trace": null}  ->  {"score": 0.5} | {"error": "..."}
 *
 * Each child is asked one question at a time and is a process group of its own, so that what it
 * forks ends with it. It gets no key and none of MPI's variables. What it writes to stdout beside
 * answers, and to stderr, is kept for messages. */
#include "base/clock.h"
#include "base/log.h"
#include "json/json.h"
#include "metric/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

typedef struct question {
    struct question *next;
    char *line; /* to be sent, with its line end */
    size_t n;
    dm_metric_done *done;
    void *user;
} question;

typedef struct child {
    pid_t pid; /* 0: not running */
    int in, out, err;
    question *asked; /* NULL: free */
    size_t sent;
    double due;
    dm_buf answer, said; /* what came on stdout, and the newest of stderr */
} child;

struct dm_metric_command {
    char **argv;
    child *children; /* [n] */
    size_t n;
    double timeout;
    question *first, **end; /* waiting */
};

#define SAID 2000

/* ---- starting and ending children ---- */

static bool has_prefix(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* No key, and nothing that makes an MPI program believe it is a rank (cluster-notes §6). */
static bool may_pass(const char *variable)
{
    static const char *const refused[] = {"OMPI_", "PMIX_", "PMI_",     "ORTE_",
                                          "OPAL_", "PRTE_", "MPIEXEC_", "DM_"};
    size_t name = strcspn(variable, "=");
    if (has_prefix(variable, "OMPI_ALLOW_"))
        return true;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (has_prefix(variable, refused[i]))
            return false;
    char copy[128];
    snprintf(copy, sizeof copy, "%.*s", (int)(name < 127 ? name : 127), variable);
    return !strstr(copy, "API_KEY") && !strstr(copy, "_TOKEN") && !strstr(copy, "SECRET");
}

static char **clean_environment(void)
{
    size_t n = 0;
    for (char **e = environ; *e; e++)
        n++;
    char **out = dm_alloc_n(n + 1, sizeof *out), **to = out;
    for (char **e = environ; *e; e++)
        if (may_pass(*e))
            *to++ = *e;
    return out;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void end_child(child *c)
{
    close_fd(&c->in);
    close_fd(&c->out);
    close_fd(&c->err);
    if (c->pid > 0) {
        kill(-c->pid, SIGKILL);
        while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    c->pid = 0;
    c->sent = 0;
    dm_buf_reset(&c->answer);
}

static bool make_pipe(int fds[2])
{
    return pipe2(fds, O_CLOEXEC) == 0;
}

static void not_blocking(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static int spawn(dm_metric_command *m, child *c, int in, int out, int err)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, usual;
    char **env = clean_environment();
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in, 0);
    posix_spawn_file_actions_adddup2(&files, out, 1);
    posix_spawn_file_actions_adddup2(&files, err, 2);
    posix_spawnattr_init(&attr);
    sigemptyset(&none);
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    sigaddset(&usual, SIGINT);
    sigaddset(&usual, SIGTERM);
    sigaddset(&usual, SIGUSR1);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &usual);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                        POSIX_SPAWN_SETSIGDEF);
    int rc = posix_spawnp(&c->pid, m->argv[0], &files, &attr, m->argv, env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    free(env);
    return rc;
}

static int start_child(dm_metric_command *m, child *c)
{
    int in[2], out[2], err[2];
    if (!make_pipe(in))
        return errno;
    if (!make_pipe(out)) {
        close(in[0]), close(in[1]);
        return errno;
    }
    if (!make_pipe(err)) {
        close(in[0]), close(in[1]), close(out[0]), close(out[1]);
        return errno;
    }
    int rc = spawn(m, c, in[0], out[1], err[1]);
    close(in[0]);
    close(out[1]);
    close(err[1]);
    c->in = in[1];
    c->out = out[0];
    c->err = err[0];
    not_blocking(c->in);
    not_blocking(c->out);
    not_blocking(c->err);
    if (rc != 0) {
        c->pid = 0;
        end_child(c);
    }
    return rc;
}

/* ---- questions and answers ---- */

static void answer(child *c, const dm_metric_score *s)
{
    question *q = c->asked;
    c->asked = NULL;
    q->done(q->user, s);
    free(q->line);
    free(q);
}

/* The child is lost with its question: what it said last goes into the error. */
static void fail(child *c, const char *what)
{
    char text[SAID + 200];
    dm_str said = dm_buf_view(&c->said);
    while (said.n && strchr(" \r\n", said.p[said.n - 1]))
        said.n--;
    snprintf(text, sizeof text, "%s%s%.*s", what, said.n ? "; its last words: " : "",
             DM_STR_ARG(said));
    end_child(c);
    dm_buf_reset(&c->said);
    answer(c, &(dm_metric_score){.text = text});
}

static void take_line(child *c, dm_str line)
{
    dm_arena *a = dm_arena_new(4096);
    const dm_value *v = dm_json_read(a, line, NULL);
    const dm_value *score = dm_value_get(v, "score"), *error = dm_value_get(v, "error");
    dm_metric_score s = {.score = NAN};
    if (error) {
        s.text = error->kind == DM_STRING ? error->text.p : "the metric says error";
        answer(c, &s);
    } else if (score) {
        bool number = score->kind == DM_INT || score->kind == DM_FLOAT || score->kind == DM_BOOL;
        s.score = score->kind == DM_BOOL ? score->boolean : score->number;
        s.ok = number && s.score >= 0 && s.score <= 1;
        s.text = s.ok ? NULL : "the metric gave a score that is no number from 0 to 1";
        answer(c, &s);
    } else {
        dm_log(DM_INFO, "metric: %.*s", (int)(line.n < 500 ? line.n : 500), line.p);
    }
    dm_arena_free(a);
}

static void read_said(child *c)
{
    char bytes[4096];
    ssize_t n;
    while (c->err >= 0 && (n = read(c->err, bytes, sizeof bytes)) > 0) {
        size_t keep = (size_t)n < SAID ? (size_t)n : SAID;
        if (c->said.len + keep > SAID) { /* the newest words count */
            size_t drop = c->said.len + keep - SAID;
            drop = drop < c->said.len ? drop : c->said.len;
            memmove(c->said.data, c->said.data + drop, c->said.len - drop);
            c->said.len -= drop;
        }
        dm_buf_add(&c->said, bytes + n - keep, keep);
    }
}

static void write_question(child *c)
{
    while (c->asked && c->sent < c->asked->n) {
        ssize_t n = write(c->in, c->asked->line + c->sent, c->asked->n - c->sent);
        if (n < 0)
            return; /* full, or gone: reading tells */
        c->sent += (size_t)n;
    }
}

static void read_answer(child *c)
{
    char bytes[16384];
    ssize_t n = 0;
    while (c->out >= 0 && (n = read(c->out, bytes, sizeof bytes)) > 0) {
        dm_buf_add(&c->answer, bytes, (size_t)n);
        if (c->answer.full) {
            if (c->asked)
                fail(c, "the metric wrote a line that does not end");
            return;
        }
        char *end;
        while (c->answer.len && (end = memchr(c->answer.data, '\n', c->answer.len))) {
            size_t line = (size_t)(end - c->answer.data);
            if (c->asked)
                take_line(c, (dm_str){c->answer.data, line});
            memmove(c->answer.data, end + 1, c->answer.len - line - 1);
            c->answer.len -= line + 1;
        }
    }
    if (n == 0 && c->pid > 0) { /* end of file: it has ended */
        read_said(c);
        if (c->asked)
            fail(c, "the metric's program ended before it answered");
        else
            end_child(c);
    }
}

static void ask_next(dm_metric_command *m, child *c)
{
    if (c->asked || !m->first)
        return;
    c->asked = m->first;
    m->first = c->asked->next;
    if (!m->first)
        m->end = &m->first;
    c->sent = 0;
    c->due = dm_now() + m->timeout;
    if (c->pid == 0) {
        int rc = start_child(m, c);
        if (rc != 0) {
            char text[400];
            snprintf(text, sizeof text, "the metric's program %s cannot be started: %s", m->argv[0],
                     strerror(rc));
            answer(c, &(dm_metric_score){.text = text});
            return;
        }
    }
    write_question(c);
}

void dm_command_poll(dm_metric_command *m)
{
    for (size_t i = 0; i < m->n; i++) {
        child *c = &m->children[i];
        if (c->pid > 0) {
            read_said(c);
            write_question(c);
            read_answer(c);
        }
        if (c->asked && dm_now() >= c->due) {
            char text[100];
            snprintf(text, sizeof text, "the metric did not answer within %.3g s", m->timeout);
            fail(c, text);
        }
        ask_next(m, c);
    }
}

static void write_trace(dm_arena *a, dm_value *to, const dm_step *trace, size_t n,
                        const dm_program *program)
{
    dm_value *list = dm_value_list(a);
    for (size_t i = 0; i < n; i++) {
        dm_value *step = dm_value_dict(a);
        dm_value_set(a, step, DM_STR("predictor"),
                     dm_value_string(a, program->predictors[trace[i].predictor].path));
        dm_value_set(a, step, DM_STR("inputs"), trace[i].inputs);
        dm_value_set(a, step, DM_STR("outputs"), trace[i].outputs);
        dm_value_append(a, list, step);
    }
    dm_value_set(a, to, DM_STR("trace"), trace ? list : dm_value_null(a));
}

void dm_command_submit(dm_metric_command *m, const dm_value *example, const dm_value *prediction,
                       const dm_step *trace, size_t n_steps, const dm_program *program,
                       dm_metric_done *done, void *user)
{
    question *q = dm_alloc(sizeof *q);
    dm_arena *a = dm_arena_new(4096);
    dm_value *d = dm_value_dict(a);
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_value_set(a, d, DM_STR("example"), example);
    dm_value_set(a, d, DM_STR("prediction"), prediction);
    write_trace(a, d, trace, n_steps, program);
    dm_json_write(&b, d, DM_JSON_PYTHON);
    dm_buf_char(&b, '\n');
    q->line = dm_buf_take(&b, &q->n);
    q->done = done;
    q->user = user;
    *m->end = q;
    m->end = &q->next;
    dm_arena_free(a);
    for (size_t i = 0; i < m->n; i++)
        ask_next(m, &m->children[i]);
}

size_t dm_command_fds(dm_metric_command *m, dm_wait_fd *fds, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n && n < max; i++)
        if (m->children[i].asked && m->children[i].out >= 0)
            fds[n++] = (dm_wait_fd){.fd = m->children[i].out};
    return n;
}

double dm_command_due(const dm_metric_command *m)
{
    double due = INFINITY;
    for (size_t i = 0; i < m->n; i++) {
        const child *c = &m->children[i];
        if (!c->asked)
            continue;
        /* A question larger than the pipe waits for the child to read: look again soon. */
        due = fmin(due, c->sent < c->asked->n ? dm_now() + 0.001 : c->due);
    }
    return due;
}

/* ---- making ---- */

dm_metric_command *dm_command_new(dm_arena *a, const dm_at *at, dm_error *err)
{
    static const char *const known[] = {"command", "processes", "timeout", "name"};
    dm_metric_command *m = dm_arena_alloc(a, sizeof *m);
    dm_str *argv = NULL;
    size_t n = 0;
    int64_t processes = 1;
    dm_at k = dm_at_key(at, "command");
    dm_status st = dm_get_known(at, known, sizeof known / sizeof *known, err);
    if (st == DM_OK && k.v->kind != DM_LIST)
        st = dm_at_fail(&k, err, "a list: the program and its arguments (there is no shell)");
    if (st == DM_OK)
        st = dm_get_strings(&k, a, &argv, &n, err);
    if (st == DM_OK && (n == 0 || argv[0].n == 0))
        st = dm_at_fail(&k, err, "the program's name is missing");
    m->timeout = 60;
    if (st == DM_OK)
        st = (k = dm_at_key(at, "processes"), dm_get_int(&k, 1, 64, &processes, err));
    if (st == DM_OK)
        st = (k = dm_at_key(at, "timeout"), dm_get_number(&k, 0.001, 86400, &m->timeout, err));
    if (st != DM_OK)
        return NULL;
    m->argv = dm_arena_alloc_n(a, n + 1, sizeof *m->argv);
    for (size_t i = 0; i < n; i++)
        m->argv[i] = dm_arena_string(a, argv[i].p, argv[i].n);
    m->n = (size_t)processes;
    m->children = dm_arena_alloc_n(a, m->n, sizeof *m->children);
    m->end = &m->first;
    for (size_t i = 0; i < m->n; i++) {
        child *c = &m->children[i];
        c->in = c->out = c->err = -1;
        dm_buf_init(&c->answer, DM_MAX_ANSWER);
        dm_buf_init(&c->said, SAID + 1);
    }
    signal(SIGPIPE, SIG_IGN); /* a child that has ended is seen by reading */
    return m;
}

void dm_command_free(dm_metric_command *m)
{
    for (size_t i = 0; i < m->n; i++) {
        child *c = &m->children[i];
        end_child(c);
        if (c->asked)
            answer(c, &(dm_metric_score){.text = "the run has ended"});
        dm_buf_free(&c->answer);
        dm_buf_free(&c->said);
    }
    while (m->first) {
        question *q = m->first;
        m->first = q->next;
        q->done(q->user, &(dm_metric_score){.text = "the run has ended"});
        free(q->line);
        free(q);
    }
}
