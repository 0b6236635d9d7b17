#include "cmd/python_job.h"
#include "cmd/paths.h"
#include "cmd/say.h"
#include "base/log.h"
#include "base/path.h"
#include "host/trial.h"
#include "json/json.h"
#include "metric/metric.h"
#include "program/python_program.h"
#include "study/journal.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_TRIED    3  /* examples */
#define LEAST_THREADS 64 /* of a process */
#define MOST_THREADS  512

static const char *const sets[] = {"trainset", "valset", "testset"};
#define N_SETS (sizeof sets / sizeof *sets)

static dm_hosts *opened; /* ended with this process */

static void close_hosts(void)
{
    dm_hosts_free(opened);
    opened = NULL;
}

bool dm_is_python_job(const dm_at *program)
{
    return dm_value_get(program->v, "python") != NULL;
}

/* ---- where things are ---- */

/* The job's `python`, or the one that is found for all (base/path.h). */
static dm_status find_python(dm_arena *a, const dm_at *root, const char **out, dm_error *err)
{
    dm_at at = dm_at_key(root, "python");
    dm_str s = {NULL, 0};
    char found[PATH_MAX];
    dm_status st = dm_get_string(&at, &s, err);
    if (st != DM_OK)
        return st;
    if (s.p && !strchr(s.p, '/')) {
        *out = s.p;
    } else if (s.p) {
        st = dm_path_read(a, &at, out, err);
        if (st == DM_OK && access(*out, X_OK) != 0)
            st = dm_at_fail(&at, err, "there is no program %s", *out);
    } else {
        dm_python(found, sizeof found);
        *out = dm_arena_printf(a, "%s", found);
    }
    return st;
}

static dm_status find_script(dm_arena *a, const char **out, dm_error *err)
{
    char path[PATH_MAX];
    if (!dm_installed("dspy-host", path, sizeof path))
        return dm_fail(err, DM_E_INTERNAL,
                       "the script dspy-host, which runs Python programs, is not beside %s: "
                       "install again",
                       path);
    *out = dm_arena_printf(a, "%s", path);
    return DM_OK;
}

static const char *folder_of(dm_arena *a, const dm_job *job)
{
    char whole[PATH_MAX];
    const char *slash = strrchr(job->file, '/');
    const char *folder =
        slash ? dm_arena_string(a, job->file, (size_t)(slash - job->file + 1)) : ".";
    return dm_arena_printf(a, "%s", realpath(folder, whole) ? whole : folder);
}

/* ---- what the host is told ---- */

static const char *python_of(const dm_value *v)
{
    const dm_value *spec = dm_value_get(v, "python");
    return spec && spec->kind == DM_STRING ? spec->text.p : NULL;
}

static const char *model_of(const dm_value *lm)
{
    const dm_value *name = lm && lm->kind == DM_DICT ? dm_value_get(lm, "model") : lm;
    return name && name->kind == DM_STRING ? name->text.p : "openai/none";
}

/* What a model is set to, where DSPy's modules look at it or programs do; the engine sends it. */
static dm_value *settings_of(dm_arena *a, const dm_value *lm)
{
    static const char *const looked_at[] = {"temperature", "max_tokens", "top_p",
                                            "reasoning_effort"};
    dm_value *d = dm_value_dict(a);
    for (size_t i = 0; i < sizeof looked_at / sizeof *looked_at; i++) {
        const dm_value *v = lm && lm->kind == DM_DICT ? dm_value_get(lm, looked_at[i]) : NULL;
        if (v && (v->kind == DM_INT || v->kind == DM_FLOAT || v->kind == DM_STRING))
            dm_value_set(a, d, dm_str_of(looked_at[i]), v);
    }
    return d;
}

typedef struct models { /* as the host is told them, by their numbers */
    dm_value *names, *settings;
} models;

static void tell_model(dm_arena *a, const models *t, int role, const dm_value *lm)
{
    dm_str number = dm_str_of(dm_arena_printf(a, "%d", role));
    dm_value *settings = settings_of(a, lm);
    dm_value_set(a, t->names, number, dm_value_text(a, model_of(lm)));
    if (settings->n)
        dm_value_set(a, t->settings, number, settings);
}

/* Names and settings alone: what is wrong with a model is said when it is read. Their numbers are
 * the roles', and those of `lms` beside them, as cmd/job_models.c counts them. */
static void tell_models(dm_arena *a, const dm_value *job, dm_value *hello)
{
    const dm_value *lms = dm_value_get(job, "lms"), *lm = dm_value_get(job, "lm");
    const dm_value *task = dm_value_get(lms, "task");
    const models t = {dm_value_dict(a), dm_value_dict(a)};
    int next = DM_OWN;
    for (int i = 0; i < DM_OWN; i++) {
        const dm_value *own = dm_value_get(lms, dm_role_name((dm_role)i));
        tell_model(a, &t, i, own ? own : lm ? lm : task);
    }
    for (size_t i = 0; lms && lms->kind == DM_DICT && i < lms->n; i++) {
        bool role = false;
        for (int k = 0; k < DM_OWN; k++)
            role |= dm_str_is(lms->members[i].key, dm_role_name((dm_role)k));
        if (!role)
            tell_model(a, &t, next++, lms->members[i].value);
    }
    dm_value_set(a, hello, DM_STR("models"), t.names);
    dm_value_set(a, hello, DM_STR("settings"), t.settings);
}

static int64_t threads_of(const dm_value *job)
{
    const dm_value *lms = dm_value_get(job, "lms"), *lm = dm_value_get(lms, "task");
    int64_t n = 0;
    lm = lm ? lm : dm_value_get(job, "lm");
    (void)dm_value_to_int(dm_value_get(lm, "concurrency"), &n);
    (void)(n || dm_value_to_int(dm_value_get(dm_value_get(job, "optimizer"), "num_threads"), &n));
    return n < LEAST_THREADS ? LEAST_THREADS : n > MOST_THREADS ? MOST_THREADS : n;
}

/* The job's folder, and those that it names, relative to it. */
static dm_status folders_json(dm_arena *a, const dm_at *program, const dm_job *job,
                              const char *folder, dm_value **out, dm_error *err)
{
    dm_at at = dm_at_key(program, "path");
    dm_str *more = NULL;
    size_t n = 0;
    dm_status st = dm_get_strings(&at, a, &more, &n, err);
    *out = dm_value_list(a);
    dm_value_append(a, *out, dm_value_text(a, folder));
    for (size_t i = 0; i < n && st == DM_OK; i++) {
        char whole[PATH_MAX];
        const char *path = dm_path_beside(a, job->file, more[i].p);
        if (!realpath(path, whole))
            st = dm_at_fail(&at, err, "there is no folder %s", path);
        else
            dm_value_append(a, *out, dm_value_text(a, whole));
    }
    return st;
}

static dm_value *sets_json(dm_arena *a, const dm_value *job)
{
    dm_value *d = dm_value_dict(a);
    for (size_t i = 0; i < N_SETS; i++) {
        const char *spec = python_of(dm_value_get(job, sets[i]));
        if (spec)
            dm_value_set(a, d, dm_str_of(sets[i]), dm_value_text(a, spec));
    }
    return d;
}

static dm_status hello_json(dm_arena *a, const dm_at *root, const dm_at *program, const dm_job *job,
                            const char *folder, dm_value **out, dm_error *err)
{
    const dm_value *metric = dm_metric_python(dm_value_get(root->v, "metric"));
    const dm_value *adapter = dm_value_get(root->v, "adapter");
    dm_value *d = *out = dm_value_dict(a), *folders = NULL;
    dm_at spec = dm_at_key(program, "python");
    dm_str name = {NULL, 0};
    dm_status st = dm_get_string(&spec, &name, err);
    if (st == DM_OK && (!name.p || !memchr(name.p, ':', name.n)))
        st = dm_at_fail(
            &spec, err,
            "a module and a name in it, such as \"mymod:Program\" or \"mymod.py:Program\"");
    if (st == DM_OK)
        st = folders_json(a, program, job, folder, &folders, err);
    if (st != DM_OK)
        return st;
    dm_value_set(a, d, DM_STR("op"), dm_value_text(a, "hello"));
    dm_value_set(a, d, DM_STR("program"), dm_value_string(a, name));
    if (metric)
        dm_value_set(a, d, DM_STR("metric"), metric);
    dm_value_set(a, d, DM_STR("data"), sets_json(a, root->v));
    dm_value_set(a, d, DM_STR("path"), folders);
    tell_models(a, root->v, d);
    if (adapter && adapter->kind == DM_STRING)
        dm_value_set(a, d, DM_STR("adapter"), adapter);
    dm_value_set(a, d, DM_STR("threads"), dm_value_int(a, threads_of(root->v)));
    return DM_OK;
}

/* ---- what it says ---- */

/* What the program is called with: the job's `inputs`, those of its own data, the names of its
 * forward, or the inputs of its first predictor. */
static const dm_value *inputs_json(dm_arena *a, const dm_value *job, const dm_value *ready)
{
    const dm_value *given = dm_value_get(job, "inputs"), *data = dm_value_get(ready, "data");
    if (given && given->kind != DM_NULL)
        return given;
    for (size_t i = 0; i < N_SETS; i++) {
        const dm_value *names = dm_value_get(dm_value_get(data, sets[i]), "inputs");
        if (names && names->kind == DM_LIST && names->n)
            return names;
    }
    const dm_value *called = dm_value_get(ready, "inputs");
    if (called && called->kind == DM_LIST && called->n)
        return called;
    const dm_value *predictors = dm_value_get(ready, "predictors");
    dm_value *list = dm_value_list(a);
    const dm_value *fields = predictors && predictors->kind == DM_LIST && predictors->n
                                 ? dm_value_get(predictors->items[0], "fields")
                                 : NULL;
    for (size_t i = 0; fields && fields->kind == DM_LIST && i < fields->n; i++) {
        const dm_value *input = dm_value_get(fields->items[i], "input");
        if (input && input->kind == DM_BOOL && input->boolean)
            dm_value_append(a, list, dm_value_get(fields->items[i], "name"));
    }
    return list;
}

static dm_status take_program(dm_arena *a, const dm_at *root, const dm_value *hello,
                              const dm_value *ready, dm_job *job, dm_error *err)
{
    dm_value *d = dm_value_dict(a);
    const dm_value *predictors = dm_value_get(ready, "predictors"),
                   *parameters = dm_value_get(ready, "parameters"),
                   *source = dm_value_get(ready, "source");
    if (!predictors || predictors->kind != DM_LIST || predictors->n == 0)
        return dm_at_fail(root, err, "program: there is no predictor in %s",
                          dm_value_get(hello, "program")->text.p);
    dm_value_set(a, d, DM_STR("python"), dm_value_get(hello, "program"));
    dm_value_set(a, d, DM_STR("identity"), dm_value_get(ready, "identity"));
    dm_value_set(a, d, DM_STR("inputs"), inputs_json(a, root->v, ready));
    dm_value_set(a, d, DM_STR("predictors"), predictors);
    if (parameters && parameters->kind == DM_LIST && parameters->n)
        dm_value_set(a, d, DM_STR("parameters"), parameters);
    dm_at at = dm_at_root(d, job->file, DM_E_JOB);
    job->program = dm_python_program_read(a, &at, err);
    if (job->program && source && source->kind == DM_STRING)
        job->program->source = source->text.p;
    return job->program ? DM_OK : err->status;
}

static void say_time(const dm_value *ready)
{
    const dm_value *seconds = dm_value_get(ready, "seconds");
    if (seconds)
        dm_log(DM_DEBUG, "the Python program is ready after %.1f s, with DSPy %s and Python %s",
               seconds->number, dm_value_get(ready, "dspy")->text.p,
               dm_value_get(ready, "python")->text.p);
}

dm_status dm_python_job_open(dm_arena *a, const dm_at *root, dm_job *job, dm_error *err)
{
    static const char *const known[] = {"python", "path", "hosts", "timeout", "memory"};
    dm_at program = dm_at_key(root, "program"), hosts = dm_at_key(&program, "hosts"),
          timeout = dm_at_key(&program, "timeout"), memory = dm_at_key(&program, "memory");
    const char *interpreter = NULL, *script = NULL, *folder = folder_of(a, job);
    dm_value *spec = dm_value_dict(a), *hello = NULL;
    int64_t n = 0;
    double seconds = 60, gib = 0;
    DM_TRY(dm_get_known(&program, known, sizeof known / sizeof *known, err));
    DM_TRY(dm_get_int(&hosts, 1, 256, &n, err));
    DM_TRY(dm_get_number(&timeout, 1e-3, 1e6, &seconds, err));
    DM_TRY(dm_get_number(&memory, 1e-3, 1e6, &gib, err));
    DM_TRY(find_python(a, root, &interpreter, err));
    DM_TRY(find_script(a, &script, err));
    DM_TRY(hello_json(a, root, &program, job, folder, &hello, err));
    if (gib > 0)
        dm_value_set(a, hello, DM_STR("memory"), dm_value_float(a, gib));
    dm_value_set(a, spec, DM_STR("interpreter"), dm_value_text(a, interpreter));
    dm_value_set(a, spec, DM_STR("script"), dm_value_text(a, script));
    dm_value_set(a, spec, DM_STR("folder"), dm_value_text(a, folder));
    dm_value_set(a, spec, DM_STR("processes"), dm_value_int(a, n));
    dm_value_set(a, spec, DM_STR("timeout"), dm_value_float(a, seconds));
    dm_value_set(a, spec, DM_STR("hello"), hello);
    if (!opened)
        atexit(close_hosts);
    close_hosts();
    opened = dm_hosts_new(spec);
    const dm_value *ready = dm_hosts_ready(opened, a, err);
    if (!ready)
        return dm_error_wrap(err, DM_E_JOB, "%s", job->file);
    say_time(ready);
    dm_value *told = dm_value_copy(a, spec);
    dm_value_set(a, told, DM_STR("expect"), dm_hosts_expected(a, ready));
    job->setup.host = told;
    job->setup.hosts = opened;
    job->python = ready;
    return take_program(a, root, hello, ready, job, err);
}

dm_status dm_python_job_set(dm_arena *a, const dm_at *at, const char *name, const dm_job *job,
                            const dm_dataset **out, dm_error *err)
{
    static const char *const known[] = {"python"};
    if (!python_of(at->v))
        return DM_OK;
    if (dm_get_known(at, known, 1, err) != DM_OK)
        return at->status;
    const dm_value *rows =
        dm_value_get(dm_value_get(dm_value_get(job->python, "data"), name), "rows");
    if (!rows)
        return dm_at_fail(at, err, "a data set in Python needs a program in Python");
    *out = dm_dataset_of(a, name, rows);
    return DM_OK;
}

/* A run that begins anew, or is another job's, takes nothing from what stands in OUT. */
static bool known_calls(dm_arena *a, const dm_command_line *line, const dm_job *job,
                        const dm_value *mine, double *calls)
{
    const char *path = dm_arena_printf(a, "%s/journal", job->out);
    bool anew = dm_value_get(line->flags, "fresh") || dm_value_get(line->flags, "reuse");
    const dm_value *header = anew ? NULL : dm_journal_header(a, path),
                   *v = dm_value_get(header, DM_CALLS_TRIED);
    for (size_t i = 0; header && i < mine->n; i++) {
        const dm_value *theirs = dm_value_get_str(header, mine->members[i].key);
        if (!theirs || !dm_value_equal(theirs, mine->members[i].value))
            return false;
    }
    if (!v || (v->kind != DM_FLOAT && v->kind != DM_INT) || !(v->number >= 0))
        return false;
    *calls = v->number;
    return true;
}

void dm_python_job_try(dm_arena *a, const dm_command_line *line, dm_job *job,
                       const dm_value *identity)
{
    const dm_dataset *set = job->trainset ? job->trainset : job->testset;
    const dm_value *rows[MOST_TRIED];
    size_t n = 0;
    if (!job->setup.hosts || !set || known_calls(a, line, job, identity, &job->program->calls))
        return;
    for (; n < MOST_TRIED && n < set->n; n++)
        rows[n] = set->examples[n].row;
    dm_host_trial t = dm_hosts_try(job->setup.hosts, a, rows, n,
                                   dm_value_strings(a, job->setup.inputs, job->setup.n_inputs));
    job->program->calls = t.calls;
    if (t.differs)
        dm_log(
            DM_WARN,
            "the program is not the same twice: when its first example ran again, %s; results may "
            "differ between runs",
            t.differs);
    if (t.failure && t.by_metric && t.n_failed == n)
        job->metric_fails =
            dm_arena_printf(a, "the metric failed on %s that %s tried with made-up answers: %s",
                            n == 1 ? "the example" : dm_arena_printf(a, "each of %zu examples", n),
                            n == 1 ? "was" : "were", t.failure);
    if (job->metric_fails)
        dm_log(DM_WARN, "%s", job->metric_fails);
    else if (t.failure)
        dm_log(DM_INFO, "%zu of %zu examples failed when they were tried with made-up answers: %s",
               t.n_failed, n, t.failure);
}

void dm_python_job_tell_models(const dm_candidate *start, const dm_candidate *best)
{
    for (size_t i = 0; best->program == start->program && i < best->program->n; i++)
        if (best->parts[i].without_lm && !start->parts[i].without_lm)
            dm_log(DM_WARN,
                   "predictor \"%.*s\" lost the model of its own, as DSPy's BootstrapFewShot has "
                   "it: to keep it, call the predictor under dspy.context(lm=...) in forward",
                   DM_STR_ARG(best->program->predictors[i].path));
}
