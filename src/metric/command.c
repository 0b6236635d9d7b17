/* One's own metric as a program of one's own: what a job says of it, and the questions that it gets
 * (talk.c has what is said then, child.c the processes). */
#include "base/hash.h"
#include "base/path.h"
#include "json/json.h"
#include "metric/child.h"
#include "metric/inside.h"
#include "metric/talk.h"

#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define START                                                                                      \
    30.0 /* s more for a child to read its first question: it has to load what it imports */

/* ---- asking ---- */

const dm_value *dm_metric_trace(dm_arena *a, const dm_step *trace, size_t n,
                                const dm_program *program)
{
    if (!trace)
        return dm_value_null(a);
    dm_value *list = dm_value_list(a);
    for (size_t i = 0; i < n; i++) {
        dm_value *step = dm_value_dict(a);
        dm_value_set(a, step, DM_STR("predictor"),
                     dm_value_string(a, program->predictors[trace[i].predictor].path));
        dm_value_set(a, step, DM_STR("inputs"), trace[i].inputs);
        dm_value_set(a, step, DM_STR("outputs"), trace[i].outputs);
        dm_value_append(a, list, step);
    }
    return list;
}

/* Of 53 bits, which every language's numbers hold. */
static int64_t id_of(dm_str question)
{
    dm_hash h = dm_hash_of(question.p, question.n);
    return (int64_t)(dm_hash_u64(&h) >> 11 | 1);
}

static void submit(void *self, const dm_value *example, const dm_value *prediction,
                   const dm_step *trace, size_t n_steps, const dm_program *program,
                   dm_metric_done *done, void *user)
{
    dm_metric_command *m = self;
    dm_question *q = dm_alloc(sizeof *q);
    dm_arena *a = dm_arena_new(4096);
    dm_value *d = dm_value_dict(a);
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_value_set(a, d, DM_STR("example"), example);
    dm_value_set(a, d, DM_STR("prediction"), prediction);
    dm_value_set(a, d, DM_STR("trace"), dm_metric_trace(a, trace, n_steps, program));
    dm_json_write(&b, d, DM_JSON_PYTHON);
    q->id = id_of(dm_buf_view(&b));
    b.len--; /* the dictionary goes on */
    dm_buf_printf(&b, ", \"id\": %lld}\n", (long long)q->id);
    q->line = dm_buf_take(&b, &q->n);
    q->done = done;
    q->user = user;
    *m->end = q;
    m->end = &q->next;
    dm_arena_free(a);
    dm_talk_ask(m);
}

static size_t fds_of(void *self, dm_wait_fd *fds, size_t max)
{
    dm_metric_command *m = self;
    if (max == 0 || isinf(dm_talk_due(m)))
        return 0;
    fds[0] = (dm_wait_fd){.fd = m->epoll};
    return 1;
}

static double due(const void *self)
{
    return dm_talk_due(self);
}

static void poll_children(void *self)
{
    dm_talk_hear(self);
}

static const char *trouble(const void *self)
{
    const dm_metric_command *m = self;
    return *m->trouble ? m->trouble : NULL;
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
    return strchr(program, '/') ? access(program, X_OK) == 0 : dm_in_path(program, "/bin:/usr/bin");
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

static double longest_start(void)
{
    const char *text = getenv("DM_METRIC_START_SECONDS");
    double seconds = text ? strtod(text, NULL) : 0;
    return seconds > 0 ? seconds : START;
}

typedef struct command_options {
    int64_t processes;
    double timeout;
} command_options;

/* What a command and a Python function have in common. */
#define ROWS                                                                                       \
    {.name = "processes",                                                                          \
     .kind = DM_PARAM_INT,                                                                         \
     .low = 1,                                                                                     \
     .high = 64,                                                                                   \
     .at = offsetof(command_options, processes),                                                   \
     .value = "N",                                                                                 \
     .help = "how many of it a rank starts",                                                       \
     .fallback = "1"},                                                                             \
        {.name = "timeout",                                                                        \
         .kind = DM_PARAM_NUMBER,                                                                  \
         .low = 0.001,                                                                             \
         .high = 86400,                                                                            \
         .at = offsetof(command_options, timeout),                                                 \
         .value = "SECONDS",                                                                       \
         .help = "how long it may take over one answer before it is stopped",                      \
         .fallback = "60"},                                                                        \
        {.name = "name",                                                                           \
         .kind = DM_PARAM_ANY,                                                                     \
         .value = "TEXT",                                                                          \
         .help = "what people call it; nothing reads it",                                          \
         .absent = "none"},                                                                        \
        DM_METRIC_SOURCE_KEY,                                                                      \
    {                                                                                              \
        .name = NULL                                                                               \
    }

const dm_param dm_command_table[] = {
    {.name = "command",
     .kind = DM_PARAM_ANY,
     .value = "JSON",
     .help = "the program and its arguments, as a list; there is no shell",
     .absent = "required",
     .schema = "\"type\": \"array\", \"items\": {\"type\": \"string\"}, \"minItems\": 1"},
    ROWS};
const dm_param dm_python_table[] = {
    {.name = "python",
     .kind = DM_PARAM_ANY,
     .value = "SPEC",
     .help = "module:function or file.py:function, as DSPy calls a metric",
     .absent = "it is needed"},
    ROWS};

/* The words of a function's command. The folder of the job is for metric-host to look in. */
static dm_status python_words(dm_arena *a, const dm_at *at, dm_str **argv, size_t *n, dm_error *err)
{
    char python[PATH_MAX], host[PATH_MAX];
    if (!dm_installed("metric-host", host, sizeof host))
        return dm_at_fail(at, err,
                          "the script metric-host, which runs Python functions, is not beside %s: "
                          "install again",
                          host);
    dm_python(python, sizeof python);
    *n = 3;
    *argv = dm_arena_alloc_n(a, *n, sizeof **argv);
    (*argv)[0] = dm_str_of(dm_arena_printf(a, "%s", python));
    (*argv)[1] = dm_str_of(dm_arena_printf(a, "%s", host));
    return dm_get_string(at, &(*argv)[2], err);
}

static dm_status words_of(dm_arena *a, const dm_at *command, dm_str **argv, size_t *n,
                          dm_error *err)
{
    if (command->v->kind != DM_LIST)
        return dm_at_fail(command, err,
                          "a list: the program and its arguments (there is no shell)");
    dm_status st = dm_get_strings(command, a, argv, n, err);
    if (st == DM_OK && (*n == 0 || (*argv)[0].n == 0))
        st = dm_at_fail(command, err, "the program's name is missing");
    return st;
}

dm_metric_command *dm_command_new(dm_arena *a, const dm_at *at, dm_error *err)
{
    dm_metric_command *m = dm_arena_alloc(a, sizeof *m);
    dm_str *argv = NULL;
    size_t n = 0;
    command_options o;
    bool python = !dm_value_get(at->v, "command");
    const dm_param *table = python ? dm_python_table : dm_command_table;
    dm_at k = dm_at_key(at, table->name);
    dm_status st = dm_params_known(a, table, at, NULL, err);
    if (st == DM_OK)
        st = python ? python_words(a, &k, &argv, &n, err) : words_of(a, &k, &argv, &n, err);
    dm_params_default(table, &o);
    if (st == DM_OK)
        st = dm_params_read(a, table, at, false, &o, err);
    if (st != DM_OK)
        return NULL;
    m->timeout = o.timeout;
    m->start = longest_start();
    m->argv = dm_arena_alloc_n(a, n + 2, sizeof *m->argv);
    m->argv[0] = dm_arena_printf(a, "%s", dm_guard_name);
    for (size_t i = 0; i < n; i++)
        m->argv[i + 1] = python ? dm_arena_string(a, argv[i].p, argv[i].n)
                                : beside_job(a, at->file, argv[i], i == 0);
    if (!can_run(m->argv[1])) {
        dm_at_fail(&k, err, "there is no program \"%s\" to run here", m->argv[1]);
        return NULL;
    }
    m->folder = job_folder(a, at->file);
    m->n = (size_t)o.processes;
    m->children = dm_arena_alloc_n(a, m->n, sizeof *m->children);
    m->end = &m->first;
    m->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < m->n; i++) {
        dm_talker *c = &m->children[i];
        dm_child_init(&c->child, m->epoll, &m->endings);
        dm_buf_init(&c->line, 2 * DM_MAX_ANSWER);
        dm_buf_init(&c->said, DM_MAX_TEXT);
    }
    signal(SIGPIPE, SIG_IGN); /* a child that has ended is seen by reading */
    return m;
}

static void free_command(void *self)
{
    dm_metric_command *m = self;
    dm_talk_end(m);
    close(m->epoll);
}

const dm_metric_ops dm_command_ops = {.submit = submit,
                                      .fds = fds_of,
                                      .due = due,
                                      .poll = poll_children,
                                      .trouble = trouble,
                                      .free = free_command};
