/* One's own metric as a program: JSON Lines to its stdin, JSON Lines from its stdout, in order.
 *
 *     {"example": {...}, "prediction": {...}, "trace": null}  ->  {"score": 0.5} | {"error": "..."}
 *
 * Each child is asked one question at a time and is a process group of its own under a guard
 * (guard.c), so that it and what it forks end with this process. It gets no key, none of MPI's
 * variables and none of our files. Lines on its stdout that are no answers go to the log; the end
 * of what it wrote to stderr goes into an error.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
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
#include <time.h>
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
    pid_t pid; /* its guard; 0: not running */
    int in, out, err;
    int life;        /* the guard's pipe: closed when this process ends */
    question *asked; /* NULL: free */
    size_t sent;
    double look;   /* when to see whether it lives */
    bool answered; /* something, since it was started */
    bool reading;  /* its answers are being handed out: what is submitted meanwhile waits */
    double due;
    dm_buf answer, said; /* what came on stdout, and the newest of stderr */
} child;

struct dm_metric_command {
    char **argv;     /* the guard's name, and the words of the command */
    char *folder;    /* "DSPY_MPI_JOB_DIR=...": where scripts/metric-host looks for modules */
    child *children; /* [n] */
    size_t n;
    double timeout;
    question *first, **end; /* waiting */
};

#define SAID    2000
#define START   30.0 /* s more for the first answer of a child: it has to load what it imports */
#define LOOK_AT 1.0  /* s between looks at a child that says nothing: it may have died */

/* ---- starting and ending children ---- */

static bool has_prefix(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* No key, and nothing that makes an MPI program believe it is a rank (src/cluster/README.md §6). */
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
    if (strstr(copy, "API_KEY") || strstr(copy, "_TOKEN") || strstr(copy, "SECRET"))
        return false;
    return !dm_secret_in(dm_str_of(variable), DM_MASK_LINES);
}

static char **clean_environment(char *folder)
{
    size_t n = 0;
    for (char **e = environ; *e; e++)
        n++;
    char **out = dm_alloc_n(n + 2, sizeof *out), **to = out;
    for (char **e = environ; *e; e++)
        if (may_pass(*e) && !has_prefix(*e, "DSPY_MPI_JOB_DIR="))
            *to++ = *e;
    *to = folder;
    return out;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* The guard ends the child and what that forked as soon as its pipe ends. One that does not (it was
 * stopped) is killed, and the system then kills the child. */
static void end_guard(child *c)
{
    const struct timespec moment = {0, 500000};
    close_fd(&c->life);
    for (int i = 0; i < 4000; i++) {
        pid_t got = waitpid(c->pid, NULL, WNOHANG);
        if (got == c->pid || (got < 0 && errno != EINTR))
            return;
        nanosleep(&moment, NULL);
    }
    kill(c->pid, SIGKILL);
    while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

static void end_child(child *c)
{
    close_fd(&c->in);
    close_fd(&c->out);
    close_fd(&c->err);
    if (c->pid > 0)
        end_guard(c);
    close_fd(&c->life);
    c->pid = 0;
    c->sent = 0;
    c->answered = false;
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

static int spawn(dm_metric_command *m, child *c, int in, int out, int err, int life)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, usual;
    char **env = clean_environment(m->folder);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in, 0);
    posix_spawn_file_actions_adddup2(&files, out, 1);
    posix_spawn_file_actions_adddup2(&files, err, 2);
    posix_spawn_file_actions_adddup2(&files, life, DM_GUARD_LIFE);
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
    posix_spawn_file_actions_addclosefrom_np(&files,
                                             DM_GUARD_LIFE + 1); /* sockets of libcurl and MPI */
#endif
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
    int rc = posix_spawn(&c->pid, "/proc/self/exe", &files, &attr, m->argv, env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    free(env);
    return rc;
}

static int start_child(dm_metric_command *m, child *c)
{
    int pipes[4][2]; /* stdin, stdout, stderr, life */
    for (int i = 0; i < 4; i++)
        if (!make_pipe(pipes[i])) {
            int why = errno;
            while (i-- > 0)
                close(pipes[i][0]), close(pipes[i][1]);
            return why;
        }
    int rc = spawn(m, c, pipes[0][0], pipes[1][1], pipes[2][1], pipes[3][0]);
    close(pipes[0][0]);
    close(pipes[1][1]);
    close(pipes[2][1]);
    close(pipes[3][0]);
    c->in = pipes[0][1];
    c->out = pipes[1][0];
    c->err = pipes[2][0];
    c->life = pipes[3][1];
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
    c->answered = c->pid > 0;
    q->done(q->user, s);
    free(q->line);
    free(q);
}

/* The child is lost with its question: what it said last goes into the error. */
static void fail(child *c, const char *what, bool ended)
{
    char *said = dm_outside_end(dm_buf_view(&c->said), SAID);
    dm_buf text;
    dm_buf_init(&text, DM_MAX_TEXT);
    dm_buf_printf(&text, "%s%s%s", what, *said ? "; its last words: " : "", said);
    free(said);
    dm_buf_reset(&c->said);
    end_child(c);
    answer(c, &(dm_metric_score){.text = text.data, .ended = ended});
    dm_buf_free(&text);
}

static const char *words_of(dm_arena *a, dm_str error)
{
    char *own = dm_outside_end(error, error.n);
    const char *words = dm_arena_string(a, own, strlen(own));
    free(own);
    return words;
}

bool dm_command_answer(dm_arena *a, dm_str line, dm_metric_score *s)
{
    const dm_value *v = dm_json_read(a, line, NULL);
    const dm_value *score = dm_value_get(v, "score"), *error = dm_value_get(v, "error");
    *s = (dm_metric_score){.score = NAN};
    if (error && error->kind != DM_NULL) {
        s->text = error->kind == DM_STRING ? words_of(a, error->text) : "the metric says error";
    } else if (score) {
        bool number = score->kind == DM_INT || score->kind == DM_FLOAT || score->kind == DM_BOOL;
        s->score = score->kind == DM_BOOL ? score->boolean : score->number;
        s->ok = number && s->score >= 0 && s->score <= 1;
        s->text = s->ok ? NULL : "the metric gave a score that is no number from 0 to 1";
    } else {
        return false;
    }
    return true;
}

static void take_line(child *c, dm_str line)
{
    dm_arena *a = dm_arena_new(4096);
    dm_metric_score s;
    if (c->asked && dm_command_answer(a, line, &s)) {
        answer(c, &s);
    } else {
        char *words = dm_outside(line, 500);
        dm_log(DM_INFO, "metric: %s", words);
        free(words);
    }
    dm_arena_free(a);
}

/* Keeps the newest words, and before them what a key may take up that they begin in the middle of:
 * it is masked when they are told. */
static void read_said(child *c)
{
    char bytes[4096];
    ssize_t n;
    size_t most = SAID + dm_secret_reach();
    while (c->err >= 0 && (n = read(c->err, bytes, sizeof bytes)) != 0) {
        if (n < 0)
            return;
        dm_buf_add(&c->said, bytes, (size_t)n);
        if (c->said.len > 2 * most) {
            memmove(c->said.data, c->said.data + c->said.len - most, most);
            c->said.len = most;
        }
    }
    close_fd(&c->err); /* it closed its stderr */
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

static void take_lines(child *c)
{
    size_t from = 0;
    char *end;
    while (from < c->answer.len &&
           (end = memchr(c->answer.data + from, '\n', c->answer.len - from))) {
        size_t n = (size_t)(end - c->answer.data) - from;
        take_line(c, (dm_str){c->answer.data + from, n});
        from += n + 1;
    }
    if (from) {
        memmove(c->answer.data, c->answer.data + from, c->answer.len - from);
        c->answer.len -= from;
    }
}

static bool has_died(const child *c)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid;
}

/* A child that had answered others may have died of them: a fresh one is asked again, once. */
static void ended_early(dm_metric_command *m, child *c)
{
    bool again = c->answered;
    read_said(c);
    if (again) {
        end_child(c);
        again = start_child(m, c) == 0;
    }
    if (!again) {
        fail(c, "the metric's program ended before it answered", true);
        return;
    }
    dm_buf_reset(&c->said);
    c->due = dm_now() + m->timeout + START;
    write_question(c);
}

static void read_answer(dm_metric_command *m, child *c)
{
    char bytes[16384];
    ssize_t n = 0;
    c->reading = true;
    while (c->out >= 0 && (n = read(c->out, bytes, sizeof bytes)) > 0 && !c->answer.full) {
        dm_buf_add(&c->answer, bytes, (size_t)n);
        take_lines(c);
    }
    bool ended = n == 0;
    if (!ended && !c->answer.full && dm_now() >= c->look) { /* a fork of it may hold the pipe */
        c->look = dm_now() + LOOK_AT;
        ended = has_died(c);
    }
    if (c->answer.full && c->asked)
        fail(c, "the metric wrote a line that does not end", false);
    else if (ended && c->asked)
        ended_early(m, c);
    else if (ended)
        end_child(c);
    c->reading = false;
}

static void ask_next(dm_metric_command *m, child *c)
{
    while (!c->asked && !c->reading && m->first) {
        c->asked = m->first;
        m->first = c->asked->next;
        if (!m->first)
            m->end = &m->first;
        c->sent = 0;
        c->look = dm_now() + LOOK_AT;
        c->due = dm_now() + m->timeout + (c->answered ? 0 : START);
        dm_buf_reset(&c->said);
        int rc = c->pid == 0 ? start_child(m, c) : 0;
        if (rc == 0) {
            write_question(c);
            return;
        }
        char text[400];
        snprintf(text, sizeof text, "the metric's program %s cannot be started: %s", m->argv[1],
                 strerror(rc));
        c->reading = true; /* no deeper: the loop asks the next one */
        answer(c, &(dm_metric_score){.text = text, .ended = true});
        c->reading = false;
    }
}

static void poll_children(void *self)
{
    dm_metric_command *m = self;
    for (size_t i = 0; i < m->n; i++) {
        child *c = &m->children[i];
        if (c->pid > 0) {
            read_said(c);
            write_question(c);
            read_answer(m, c);
        }
        if (c->asked && dm_now() >= c->due) {
            char text[100];
            snprintf(text, sizeof text, "the metric did not answer within %.3g s", m->timeout);
            fail(c, text, false);
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

static void submit(void *self, const dm_value *example, const dm_value *prediction,
                   const dm_step *trace, size_t n_steps, const dm_program *program,
                   dm_metric_done *done, void *user)
{
    dm_metric_command *m = self;
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

static size_t fds_of(void *self, dm_wait_fd *fds, size_t max)
{
    dm_metric_command *m = self;
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        const child *c = &m->children[i];
        if (c->asked && c->out >= 0 && n < max)
            fds[n++] = (dm_wait_fd){.fd = c->out};
        if (c->asked && c->err >= 0 && n < max) /* a full pipe would hold the child up */
            fds[n++] = (dm_wait_fd){.fd = c->err};
    }
    return n;
}

static double due(const void *self)
{
    const dm_metric_command *m = self;
    double first = INFINITY;
    for (size_t i = 0; i < m->n; i++) {
        const child *c = &m->children[i];
        if (!c->asked)
            continue;
        /* A question larger than the pipe waits for the child to read: look again soon. */
        double next = c->sent < c->asked->n ? dm_now() + 0.001 : fmin(c->due, c->look);
        first = fmin(first, next);
    }
    return first;
}

/* ---- making ---- */

/* Paths in a job file are relative to it: an argument that names a file beside it is that file. */
static char *beside_job(dm_arena *a, const char *file, dm_str argument, bool program)
{
    const char *slash = file ? strrchr(file, '/') : NULL;
    char *own = dm_arena_string(a, argument.p, argument.n);
    if (!slash || own[0] == '/' || own[0] == '-' || !own[0] || (program && !strchr(own, '/')))
        return own;
    char *there = dm_arena_printf(a, "%.*s%s", (int)(slash - file) + 1, file, own);
    return access(there, F_OK) == 0 ? there : own;
}

static bool can_run(const char *program)
{
    const char *path = getenv("PATH");
    if (strchr(program, '/'))
        return access(program, X_OK) == 0;
    for (const char *at = path ? path : "/bin:/usr/bin"; *at;) {
        char file[4096];
        size_t n = strcspn(at, ":");
        snprintf(file, sizeof file, "%.*s/%s", (int)n, at, program);
        if (access(file, X_OK) == 0)
            return true;
        at += n + (at[n] == ':');
    }
    return false;
}

static char *job_folder(dm_arena *a, const char *file)
{
    const char *slash = file ? strrchr(file, '/') : NULL;
    char *folder = slash ? dm_arena_string(a, file, (size_t)(slash - file) + 1) : NULL,
         *full = realpath(folder ? folder : ".", NULL);
    char *out = dm_arena_printf(a, "DSPY_MPI_JOB_DIR=%s", full ? full : ".");
    free(full);
    return out;
}

dm_metric_command *dm_command_new(dm_arena *a, const dm_at *at, dm_error *err)
{
    static const char *const known[] = {"command", "processes", "timeout", "name", "source"};
    dm_metric_command *m = dm_arena_alloc(a, sizeof *m);
    dm_str *argv = NULL;
    size_t n = 0;
    int64_t processes = 1;
    dm_at k = dm_at_key(at, "command"), k_command = k;
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
    m->argv = dm_arena_alloc_n(a, n + 2, sizeof *m->argv);
    m->argv[0] = dm_arena_printf(a, "%s", dm_guard_name);
    for (size_t i = 0; i < n; i++)
        m->argv[i + 1] = beside_job(a, at->file, argv[i], i == 0);
    if (!can_run(m->argv[1])) {
        dm_at_fail(&k_command, err, "there is no program \"%s\" to run here", m->argv[1]);
        return NULL;
    }
    m->folder = job_folder(a, at->file);
    m->n = (size_t)processes;
    m->children = dm_arena_alloc_n(a, m->n, sizeof *m->children);
    m->end = &m->first;
    for (size_t i = 0; i < m->n; i++) {
        child *c = &m->children[i];
        c->in = c->out = c->err = c->life = -1;
        dm_buf_init(&c->answer, DM_MAX_ANSWER);
        dm_buf_init(&c->said, DM_MAX_TEXT);
    }
    signal(SIGPIPE, SIG_IGN); /* a child that has ended is seen by reading */
    return m;
}

static void free_command(void *self)
{
    dm_metric_command *m = self;
    for (size_t i = 0; i < m->n; i++)
        m->children[i].reading = true; /* no child is started any more */
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

const dm_metric_ops dm_command_ops = {submit, fds_of, due, poll_children, free_command};
