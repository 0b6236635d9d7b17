/* dspy-mpi: a compiler of language-model programs for clusters. */
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/utf8.h"
#include "cluster/cluster.h"
#include "cluster/launch.h"
#include "cluster/post.h"
#include "cmd/commands.h"
#include "cmd/help.h"
#include "cmd/job_schema.h"
#include "cmd/say.h"
#include "cmd/session.h"
#include "lm/authorities.h"
#include "lm/proxy.h"
#include "lm/transport.h"
#include "metric/guard.h"
#include "pool/wire.h"
#include "study/frames.h"

#include "dspy_mpi/version.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* What a report of a fault needs: libraries, and formats that others of our builds have to share.
 */
static void say_versions(void)
{
    char mpi[16384];
    dm_cluster_library(mpi, sizeof mpi);
    dm_say(stdout, "%s\n", mpi);
    dm_say(stdout, "%s\n", dm_transport_library());
    dm_say(stdout, "certificates: %s\n", dm_authorities_text());
    dm_say(stdout, "records of a journal " DM_FRAME_MARK ", messages between ranks %d\n",
           DM_WIRE_VERSION);
    dm_say(stdout, "job files %d, tables of MPI %d, library libdspympi.so.%d\n", DM_JOB_VERSION,
           DM_POST_VERSION, DSPY_MPI_VERSION_MAJOR);
}

static const dm_command commands[] = {
    {"compile", DM_FOR_COMPILE, dm_cmd_compile, true, "compile JOB.json",
     "optimize; writes OUT/program.json and the evidence"},
    {"eval", DM_FOR_EVAL, dm_cmd_eval, true, "eval JOB.json [--program=FILE]",
     "score a program on a data set"},
    {"run", DM_FOR_RUN, dm_cmd_run, true, "run PROGRAM.json --input NAME=TEXT",
     "answers, one JSON object a line"},
    {"show", DM_FOR_SHOW, dm_cmd_show, false, "show PROGRAM.json [--messages --input ...]",
     "instructions, demonstrations, or the messages that are sent"},
    {"export", DM_FOR_EXPORT, dm_cmd_export, false, "export PROGRAM.json [--format=FORMAT]",
     "the prompt, for use without DSPy: messages, text, jinja, promptfoo"},
    {"check", DM_FOR_CHECK, dm_cmd_check, false, "check JOB.json",
     "the job and its data, without a call; --live asks each server, and a judge"},
    {"plan", DM_FOR_PLAN, dm_cmd_plan, false, "plan JOB.json", "calls before a cent is spent"},
    {"advise", DM_FOR_ADVISE, dm_cmd_advise, true, "advise JOB.json",
     "says whether compiling is worth it, from data, metric, start program and headroom"},
    {"init", DM_FOR_INIT, dm_cmd_init, false, "init DATA",
     "writes a job for a data file, with notes on what to change"},
    {"ensemble", DM_FOR_ENSEMBLE, dm_cmd_ensemble, false, "ensemble A.json B.json > BOTH.json",
     "one file of several programs that vote"},
    {"report", DM_FOR_REPORT, dm_cmd_report, false, "report OUT",
     "writes OUT/report.html again, from the files there, also for a stopped run"},
    {"diff", DM_FOR_DIFF, dm_cmd_diff, false, "diff A B [--job=JOB.json]",
     "how two programs or OUTs differ, on which examples, and whether that is real"},
    {"status", DM_FOR_STATUS, dm_cmd_status, false, "status OUT [--watch]",
     "progress of the compile that writes OUT, and whether it is running"},
    {"stop", DM_FOR_STOP, dm_cmd_stop, false, "stop OUT",
     "asks the compile that writes OUT to stop; it can be resumed"},
};
#define N_COMMANDS (sizeof commands / sizeof *commands)
#define MAX_NAMES  64 /* of variables that ranks need */

static void out_of_memory(void)
{
    static const char text[] = "dspy-mpi: out of memory\n";
    dm_say_live_drop();
    (void)!write(2, text, sizeof text - 1); /* shown: it is ours */
    _exit(70);
}

static void to_stderr(void *user, dm_level level, const char *line)
{
    char clock[16];
    (void)user;
    dm_say(stderr, "%s%s%s\n", dm_say_clock(clock), level >= DM_WARN ? "dspy-mpi: " : "", line);
}

static int help(FILE *to)
{
    dm_say(
        to,
        "dspy-mpi compiles language-model programs: it finds the instructions and demonstrations "
        "that make\n"
        "them score best. The result is a file that DSPy loads.\n\n");
    for (size_t i = 0; i < N_COMMANDS; i++)
        dm_say(to, "  dspy-mpi %-44s %s\n", commands[i].usage, commands[i].help);
    dm_say(to, "  dspy-mpi launch -n N COMMAND ...                      runs the command on N "
               "ranks, with the options that mpirun needs\n"
               "  dspy-mpi cache stats|prune FOLDER                     shows or prunes the "
               "answers kept across runs\n\n"
               "  dspy-mpi launch -n 64 compile JOB.json       the same on many ranks\n"
               "  dspy-mpi COMMAND --help                      the options of a command\n\n");
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_help_topics(&b);
    dm_say_text(to, dm_buf_view(&b));
    dm_buf_free(&b);
    return to == stdout ? 0 : 64;
}

static int help_command(const dm_command *c)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_options_help(&b, c->bit);
    dm_say(stdout, "dspy-mpi %s\n%s\n", c->usage, c->help);
    if (dm_options_are_keys(c->bit))
        dm_say(stdout, "\nAn option overrides the job file's key of the same name.\n");
    if (b.len)
        dm_say(stdout, "\n");
    dm_say_text(stdout, dm_buf_view(&b));
    dm_buf_free(&b);
    return 0;
}

static const dm_command *find_command(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(name, commands[i].name) == 0)
            return &commands[i];
    return NULL;
}

/* A word in the place of a command. A file there wants a command in front. */
static int no_command(const char *word)
{
    const char *names[N_COMMANDS + 2] = {"launch", "cache"};
    for (size_t i = 0; i < N_COMMANDS; i++)
        names[i + 2] = commands[i].name;
    const char *near = dm_nearest(word, names, N_COMMANDS + 2);
    size_t n = strlen(word);
    if (n > 5 && strcmp(word + n - 5, ".json") == 0)
        dm_say(stderr, "dspy-mpi: \"%s\" is not a command: did you mean dspy-mpi compile %s?\n",
               word, word);
    else if (near)
        dm_say(stderr, "dspy-mpi: there is no command \"%s\"; did you mean %s?\n", word, near);
    else
        dm_say(stderr, "dspy-mpi: there is no command \"%s\"; see dspy-mpi --help\n", word);
    return 64;
}

/* A job may stand on the command line alone, but not less than its program. */
static bool lacks_job(const dm_command *c, const dm_command_line *line)
{
    return (c->bit & DM_FOR_JOB) && !line->job_file && !dm_value_get(line->keys, "program") &&
           !dm_value_get(line->keys, "student");
}

static int run_command(const dm_command *c, int argc, char **argv)
{
    dm_arena *a = dm_arena_new(0);
    dm_command_line line;
    dm_error err = {DM_OK, ""};
    int code;
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            dm_arena_free(a);
            return help_command(c);
        }
    if (dm_command_line_read(a, c->bit, argc, argv, &line, &err) != DM_OK) {
        code = dm_say_failure(&err);
    } else if (lacks_job(c, &line)) {
        dm_say(stderr,
               "dspy-mpi: %s needs a job file: dspy-mpi %s JOB.json (dspy-mpi %s --help says what "
               "a job may have)\n",
               c->name, c->name, c->name);
        code = 64;
    } else {
        dm_log_set(to_stderr, NULL, dm_value_get(line.flags, "verbose") ? DM_DEBUG : DM_WARN);
        code = c->run(a, &line);
    }
    dm_arena_free(a);
    return code;
}

/* An answer that could not be written is no success; a reader that has left has had enough. */
static int check_stdout(int code)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    int why = errno;
    struct pollfd out = {.fd = 1, .events = POLLOUT};
    if (poll(&out, 1, 0) > 0 && (out.revents & POLLERR))
        return code;
    dm_say(stderr, "dspy-mpi: standard output cannot be written%s%s\n", why ? ": " : "",
           why ? strerror(why) : "");
    return code ? code : 73;
}

static int help_launch(void)
{
    dm_say(
        stdout,
        "dspy-mpi launch -n N [--restarts K] [--hostfile F] [--host H] [--map-by M] [--mca K V] "
        "COMMAND "
        "...\n"
        "the command on N ranks; sees to root, oversubscription, mpirun's noise, the terminal and "
        "the exit code\n\n"
        "  -n N            ranks; rank 0 coordinates, the others call models\n"
        "  --restarts K    start again, resumed, up to K times when the run was lost (compile: 3, "
        "else 0)\n"
        "The others are handed to mpirun, as far as it has them: --map-by and --mca are not "
        "everybody's.\n");
    return 0;
}

/* Names of the variables that a model's key, address or way is read from, on every rank; the keys
 * are taken out of the environment. What is wrong with the command's words, the command will say.
 */
static size_t take_keys(dm_arena *a, int argc, char **argv, const char **names, size_t room)
{
    const dm_command *c = NULL;
    dm_command_line line;
    size_t n = 0;
    while (argc > 0 && !(c = find_command(*argv)))
        argc--, argv++;
    names[n++] = "OPENAI_API_KEY";
    if (c && dm_command_line_read(a, c->bit, argc - 1, argv + 1, &line, NULL) == DM_OK)
        n += dm_job_key_names(a, &line, names + n, room - n);
    for (size_t i = 0; i < n; i++)
        (void)dm_secret_env(names[i]);
    n += dm_lm_address_variables(names + n, room - n);
    for (const char *const *name = dm_proxy_variables; *name && n < room; name++)
        names[n++] = *name;
    return n;
}

/* Of this program itself, and of the Python that it starts for metrics and programs. */
static const char *const everywhere[] = {"DSPY_MPI_LIBMPI", "DSPY_MPI_PRICES", "DSPY_MPI_PYTHON",
                                         "VIRTUAL_ENV",     "CONDA_PREFIX",    "PYTHONPATH"};

static int launch(int argc, char **argv)
{
    int code = 70;
    dm_error err = {DM_OK, ""};
    const char *names[MAX_NAMES];
    long size;
    const char *by;
    bool gone = false;
    (void)dm_cluster_task(&size, &by);
    (void)dm_cluster_has_starter(&gone);
    if (by && !gone) {
        dm_say(stderr,
               "dspy-mpi: %s started several copies of this: launch starts mpirun itself, so start "
               "it once\n",
               by);
        return 64;
    }
    dm_arena *a = dm_arena_new(0);
    size_t n = take_keys(a, argc, argv, names, MAX_NAMES);
    for (size_t i = 0; i < sizeof everywhere / sizeof *everywhere && n < MAX_NAMES; i++)
        names[n++] = everywhere[i];
    if (dm_launch(argc, argv, names, n, &code, &err) != DM_OK)
        code = dm_say_failure(&err);
    dm_arena_free(a);
    return code;
}

static int run_alone(int argc, char **argv)
{
    if (argc < 2)
        return help(stderr);
    const dm_command *asked = argc > 2 ? find_command(argv[2]) : NULL;
    bool helped = strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0 ||
                  strcmp(argv[1], "-h") == 0;
    if (helped && argc > 2 && strcmp(argv[2], "launch") == 0)
        return help_launch();
    if (helped && argc > 2 && strcmp(argv[2], "cache") == 0)
        return dm_cmd_cache(1, (char *[]){"--help"});
    if (helped && argc > 2 && !asked)
        return dm_help_on(argv[2], commands, N_COMMANDS);
    if (helped)
        return asked ? help_command(asked) : help(stdout);
    if (strcmp(argv[1], "--version") == 0) {
        dm_say(stdout, "dspy-mpi " DM_VERSION "\n");
        if (argc > 2 && strcmp(argv[2], "--verbose") == 0)
            say_versions();
        return 0;
    }
    if (strcmp(argv[1], "launch") == 0 && argc > 2 && strcmp(argv[2], "--help") == 0)
        return help_launch();
    if (strcmp(argv[1], "launch") == 0)
        return launch(argc - 2, argv + 2);
    if (strcmp(argv[1], "cache") == 0)
        return dm_cmd_cache(argc - 2, argv + 2);
    const dm_command *c = find_command(argv[1]);
    if (c)
        return run_command(c, argc - 2, argv + 2);
    return no_command(argv[1]);
}

/* Started by mpirun: rank 0 does what one process does, the others work for it. */
static int run_as_rank(int argc, char **argv)
{
    int rank, size, code = 0;
    dm_error err = {DM_OK, ""};
    if (dm_cluster_start(&argc, &argv, &rank, &size, &err) != DM_OK)
        return dm_say_failure(&err);
    dm_under_mpi = size > 1;
    dm_model_ranks = size > 1 ? (size_t)size - 1 : 1;
    if (rank > 0) {
        dm_cluster_worker();
    } else {
        code = check_stdout(run_alone(argc, argv));
        dm_cluster_dismiss();
        if (!dm_cluster_alone() || code == 0)
            dm_launch_report(code);
    }
    dm_cluster_end(code);
    return code;
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

/* Without MPI: one process, or what needs no other. Of several that were started together one does
 * it for all, where MPI would have joined them; else each was started for itself. */
static int run_without_mpi(int argc, char **argv, const dm_command *c)
{
    long size;
    const char *by;
    bool gone;
    long task = dm_cluster_task(&size, &by);
    dm_error err = {DM_OK, ""};
    if (c && c->ranks && !asks_for_help(argc, argv) && dm_cluster_apart(&err) != DM_OK)
        return dm_say_failure(&err);
    if (dm_cluster_is_rank() && task > 0 && dm_cluster_has_starter(&gone))
        return 0;
    if (by && !dm_cluster_is_rank() && c && c->ranks && task == 0)
        dm_say(
            stderr,
            "dspy-mpi: %s started %ld copies of this, which MPI does not join here: each runs by "
            "itself. For one run on all of them: dspy-mpi launch -n %ld, or srun --mpi=pmix\n",
            by, size, size);
    if (dm_cluster_start_alone(&err) != DM_OK)
        return dm_say_failure(&err);
    int code = check_stdout(run_alone(argc, argv));
    dm_launch_report(code);
    return code;
}

/* A core would hold the keys and the environment. A limit of 1 byte is below any core, and makes
 * the system give none to its own handler either (core(5)). */
static void leave_no_core(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_CORE, &r) != 0)
        return;
    r.rlim_cur = r.rlim_max < 1 ? r.rlim_max : 1;
    (void)setrlimit(RLIMIT_CORE, &r);
}

/* Before the first child, and before other ranks can have one: children of the same user read
 * /proc/PID/environ. */
static void hide_keys(int argc, char **argv)
{
    const char *names[MAX_NAMES];
    dm_arena *a = dm_arena_new(0);
    (void)take_keys(a, argc, argv, names, MAX_NAMES);
    dm_arena_free(a);
}

int main(int argc, char **argv)
{
    dm_guard_enter(argc, argv);
    dm_say_close_gaps();
    leave_no_core();
    dm_keep_hangup();
    dm_set_nomem(out_of_memory);
    dm_cluster_tidy();
    const dm_command *c = argc > 1 ? find_command(argv[1]) : NULL;
    if (argc > 1 && strcmp(argv[1], "launch") == 0)
        dm_launch_catch_signals();
    else
        dm_signals_install();
    hide_keys(argc - 1, argv + 1);
    return c && c->ranks && !asks_for_help(argc, argv) && dm_cluster_is_rank()
               ? run_as_rank(argc, argv)
               : run_without_mpi(argc, argv, c);
}
