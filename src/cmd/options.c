#include "cmd/options.h"
#include "adapter/adapter.h"
#include "base/utf8.h"
#include "cmd/job_table.h"
#include "cmd/option_text.h"
#include "json/json.h"
#include "lm/config.h"
#include "optimizer/optimizer.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define J DM_FOR_JOB
#define R (DM_FOR_JOB | DM_FOR_RUN | DM_FOR_SHOW | DM_FOR_EXPORT)
#define C (DM_FOR_COMPILE | DM_FOR_PLAN | DM_FOR_CHECK | DM_FOR_ADVISE)

static char optimizer_names[1000];
#define PARAMETERS "optimizer.*" /* stands for the parameters of all optimizers */
#define CAPS       "budget.*"    /* stands for the budget's keys */

/* A row without help is described by the table that it is read by. */
static const dm_option rows[] = {
    /* what is compiled */
    {"program", DM_OPT_JOB, R, "JSON",
     "{\"predict\": SIG}, {\"chain_of_thought\": SIG} or {\"steps\": [...]}; with "
     "eval and run: a program FILE"},
    {"python", DM_OPT_JOB, R, "FILE",
     "Python interpreter for a program in Python (that of the active environment)"},
    {"student", DM_OPT_PATH, J, "FILE",
     "program file to start from, instead of the program as written"},
    {"teacher", DM_OPT_PATH, C, "FILE", "program file that bootstraps the demonstrations"},
    {"adapter", DM_OPT_JOB, R, DM_ADAPTER_NAMES, "how prompts are written and answers read (chat)"},
    /* data */
    {"trainset", DM_OPT_PATH, J, "FILE", "JSON Lines, a JSON array, or CSV with a header row"},
    {"valset", DM_OPT_PATH, J, "FILE", "examples that candidates are scored on"},
    {"testset", DM_OPT_PATH, J, "FILE",
     "examples that only the start program and the winner are scored on"},
    {"valset_size", DM_OPT_JOB, J, NULL, NULL},
    {"testset_size", DM_OPT_JOB, J, NULL, NULL},
    {"inputs", DM_OPT_JOB, J, "LIST", "columns that are inputs (the program's)"},
    {"metric", DM_OPT_JOB, J, "JSON",
     "a name, {\"name\": ..., \"field\": ...} or {\"command\": [...]}"},
    {"failure_score", DM_OPT_JOB, J, NULL, NULL},
    {"max_errors", DM_OPT_JOB, C, NULL, NULL},
    /* models */
    {"lm", DM_OPT_JOB, R, "MODEL", "provider/name, or an object (see the keys of a model)"},
    {"lm.*", DM_OPT_JOB, R, "...", "one key of the model (the list is at the end)"},
    {"lms", DM_OPT_JOB, R, "JSON",
     "models by role: task, teacher, prompt, judge; or by a name, for an ensemble's members"},
    {"lms.task", DM_OPT_JOB, R, "MODEL", "as lm, of one role"},
    {"lms.task.*", DM_OPT_JOB, R, "...", "as lm.*, of one role"},
    {"lms.teacher", DM_OPT_JOB, R, "MODEL", "likewise"},
    {"lms.teacher.*", DM_OPT_JOB, R, "...", "likewise"},
    {"lms.prompt", DM_OPT_JOB, R, "MODEL", "likewise"},
    {"lms.prompt.*", DM_OPT_JOB, R, "...", "likewise"},
    {"lms.judge", DM_OPT_JOB, R, "MODEL", "likewise"},
    {"lms.judge.*", DM_OPT_JOB, R, "...", "likewise"},
    /* optimizer */
    {"optimizer", DM_OPT_JOB, J, "NAME", optimizer_names},
    {"optimizer.name", DM_OPT_JOB, J, "NAME", "the same"},
    {PARAMETERS, DM_OPT_JOB, C, NULL, NULL},
    {"optimizer.num_threads", DM_OPT_JOB, C, "N", "DSPy's name for lm.concurrency"},
    /* the run */
    {"seed", DM_OPT_JOB, J, NULL, NULL},
    {"out", DM_OPT_PATH, C, "FOLDER", "where results go (the job file's name without .json)"},
    {"out", DM_OPT_PATH, DM_FOR_EVAL, "FOLDER",
     "keep predictions.jsonl and score.json there (nothing is kept)"},
    {"out", DM_OPT_FLAG, DM_FOR_RUN, "FILE",
     "write there instead; the same command resumes where it was stopped"},
    {"with-inputs", DM_OPT_SWITCH, DM_FOR_RUN, NULL,
     "write the inputs before the outputs on each line"},
    {"budget", DM_OPT_JOB, DM_FOR_JOB, "JSON",
     "caps on the whole job, over all its attempts (none)"},
    {CAPS, DM_OPT_JOB, DM_FOR_JOB, NULL, NULL},
    {"calls", DM_OPT_FLAG, DM_FOR_ADVISE, "N", "make at most this many calls (160)"},
    {"uses", DM_OPT_FLAG, DM_FOR_ADVISE, "N",
     "how often the program will be used: spreads the cost over the uses"},
    {"value", DM_OPT_FLAG, DM_FOR_ADVISE, "MONEY",
     "what one more right answer is worth: says after how many uses it pays off"},
    {"out", DM_OPT_FLAG, DM_FOR_INIT, "FILE", "the job file to write (by the name of the data)"},
    {"lm", DM_OPT_FLAG, DM_FOR_INIT, "MODEL", "provider/name, written into the job"},
    {"measure", DM_OPT_FLAG, DM_FOR_PLAN, "N",
     "run the start program on N examples, and estimate from them"},
    {"confirm-above", DM_OPT_FLAG, DM_FOR_COMPILE, "AMOUNT",
     "ask on a terminal when the estimate is above this: $5, or a number of calls ($10)"},
    {"cache", DM_OPT_PATH, DM_FOR_JOB, "FOLDER",
     "folder of answers kept across runs; runs may share it (none)"},
    {"offline", DM_OPT_SWITCH, DM_FOR_COMPILE | DM_FOR_EVAL | DM_FOR_ADVISE, NULL,
     "call no model: an answer that is not in the cache ends the run"},
    {"fresh", DM_OPT_SWITCH, DM_FOR_COMPILE | DM_FOR_RUN, NULL,
     "move an earlier OUT aside and start over"},
    {"fresh", DM_OPT_SWITCH, DM_FOR_ADVISE, NULL, "ask again for what an earlier advise has"},
    {"reuse", DM_OPT_SWITCH, DM_FOR_COMPILE, NULL,
     "move an OUT of another job aside, start over, and reuse the answers that it paid for"},
    {"force", DM_OPT_SWITCH, DM_FOR_COMPILE | DM_FOR_EVAL | DM_FOR_RUN, NULL,
     "move files aside, with a number, that are in the way and that dspy-mpi did not write"},
    {"resume", DM_OPT_SWITCH, DM_FOR_COMPILE, NULL, "resume an unfinished OUT (the default)"},
    {"fsync", DM_OPT_FLAG, DM_FOR_COMPILE, "each|1s|none",
     "what the journal may lose when the machine goes down (a killed run loses nothing): each: "
     "no result; 1s: a second's (the default); none: some 30 s"},
    {"accept-model-change", DM_OPT_SWITCH, DM_FOR_COMPILE | DM_FOR_RUN | DM_FOR_ADVISE, NULL,
     "continue although the server now serves another model than when this OUT was started"},
    {"deadline", DM_OPT_FLAG, DM_FOR_COMPILE | DM_FOR_EVAL | DM_FOR_ADVISE, "TIME",
     "stop after this time, resumable: 3h50m"},
    {"drain", DM_OPT_FLAG, DM_FOR_COMPILE, "TIME",
     "how long calls in flight may still take when the run is asked to stop (20s)"},
    {"split", DM_OPT_FLAG, DM_FOR_EVAL, "NAME",
     "trainset, valset or testset (testset if there is one)"},
    {"waves", DM_OPT_FLAG, DM_FOR_EVAL | DM_FOR_RUN, "1|2",
     "2: ask an ensemble's later members only where they can change the answer; 1: ask all at once "
     "(2)"},
    {"reduce", DM_OPT_FLAG, DM_FOR_ENSEMBLE, "RULE",
     "majority, exact, unanimous, or best_of: a judge picks (majority; exact where the output is "
     "no str)"},
    {"field", DM_OPT_FLAG, DM_FOR_ENSEMBLE, "NAME", "the output that is voted on (the last)"},
    {"size", DM_OPT_FLAG, DM_FOR_ENSEMBLE, "K", "ask only K of the programs for each input (all)"},
    {"size_draw", DM_OPT_FLAG, DM_FOR_ENSEMBLE, "hash|dspy",
     "how they are chosen: by hash of the input, or from Python's random stream as DSPy does "
     "(hash)"},
    {"job", DM_OPT_FLAG, DM_FOR_RUN | DM_FOR_SHOW | DM_FOR_EXPORT | DM_FOR_ENSEMBLE, "FILE",
     "job file that gives signature, model and adapter; without a program file, the program too"},
    {"job", DM_OPT_FLAG, DM_FOR_DIFF, "FILE",
     "run both programs on this job's test set, or its validation set, and compare that"},
    {"pick", DM_OPT_FLAG, DM_FOR_COMPILE | DM_FOR_EVAL | DM_FOR_RUN | DM_FOR_SHOW | DM_FOR_EXPORT,
     "N", "of an OUT that is the program, candidate N of its trials.csv (the winner)"},
    {"input", DM_OPT_LIST, DM_FOR_RUN | DM_FOR_SHOW, "NAME=TEXT", "one input; again for more"},
    {"input-json", DM_OPT_FLAG, DM_FOR_RUN | DM_FOR_SHOW, "OBJECT", "all inputs as a JSON object"},
    {"inputs-file", DM_OPT_FLAG, DM_FOR_RUN, "FILE",
     "many inputs, any form of a data set; - is stdin (also --inputs)"},
    {"live", DM_OPT_SWITCH, DM_FOR_CHECK, NULL,
     "ask each server once: is it up, what does it serve, how long a context, how fast; and a "
     "judge about right and wrong answers, twice"},
    {"messages", DM_OPT_SWITCH, DM_FOR_SHOW, NULL,
     "print the messages that are sent, as a JSON array"},
    {"format", DM_OPT_FLAG, DM_FOR_EXPORT, "messages|text|jinja|promptfoo",
     "JSON with {{ NAME }} for the inputs, plain text, a template that gives that JSON, or a "
     "promptfooconfig.json (messages)"},
    {"step", DM_OPT_FLAG, DM_FOR_EXPORT, "NAME", "of one step only (all)"},
    {"events", DM_OPT_FLAG, DM_FOR_COMPILE, "FILE",
     "append events, one JSON object a line: start, phase, candidate, progress, end (none)"},
    {"prometheus", DM_OPT_FLAG, DM_FOR_COMPILE, "FILE",
     "write there each second what status.json has, as Prometheus' node_exporter reads it (none)"},
    {"watch", DM_OPT_SWITCH, DM_FOR_STATUS, NULL, "repeat it each second until the run has ended"},
    {"json", DM_OPT_SWITCH,
     DM_FOR_COMPILE | DM_FOR_EVAL | DM_FOR_PLAN | DM_FOR_ADVISE | DM_FOR_INIT, NULL,
     "print the last line, one JSON object, on a terminal too"},
    {"json", DM_OPT_SWITCH, DM_FOR_STATUS | DM_FOR_DIFF, NULL, "the same as one JSON object"},
    {"verbose", DM_OPT_SWITCH, DM_FOR_ALL, NULL, "say more"},
};

/* ---- the whole table: the rows, with the optimizers' own in their place ---- */

#define MOST_OPTIONS 400
static dm_option options[MOST_OPTIONS]; /* [n_options] */
static size_t n_options;

static void add_option(dm_option o)
{
    if (n_options == MOST_OPTIONS)
        abort(); /* more than there is room for */
    options[n_options++] = o;
}

static dm_arena *texts; /* what the table says that is in no table as it is */

static dm_option_kind kind_of(const char *parameter)
{
    bool file = false, other = false;
    for (size_t i = 0; i < dm_n_optimizers; i++) {
        const dm_param *p = dm_param_named(dm_optimizers[i], parameter);
        file |= p && p->kind == DM_PARAM_FILE;
        other |= p && p->kind != DM_PARAM_FILE;
    }
    return file && other ? DM_OPT_EITHER : file ? DM_OPT_PATH : DM_OPT_JOB;
}

/* A parameter that several optimizers have is one option. */
static void add_parameters(const dm_option *like)
{
    for (size_t i = 0; i < dm_n_optimizers; i++)
        for (const dm_param *p = dm_optimizers[i]->params; p->name; p++) {
            bool again = false;
            for (size_t k = 0; k < i; k++)
                again |= dm_param_named(dm_optimizers[k], p->name) != NULL;
            if (again)
                continue;
            dm_option o = {dm_arena_printf(texts, "optimizer.%s", p->name), kind_of(p->name),
                           like->commands, NULL, NULL};
            o.help = dm_parameter_text(texts, p->name, &o.value);
            add_option(o);
        }
}

static void add_caps(const dm_option *like)
{
    for (const dm_param *p = dm_budget_table; p->name; p++)
        add_option((dm_option){dm_arena_printf(texts, "budget.%s", p->name), like->kind,
                               like->commands, p->value, dm_option_text(texts, p)});
}

static void add_row(dm_option o)
{
    const dm_param *p = o.help ? NULL : dm_param_find(dm_job_table, o.name);
    if (p) {
        o.value = p->value;
        o.help = dm_option_text(texts, p);
    }
    add_option(o);
}

static void make_table(void)
{
    size_t used = 0;
    if (n_options)
        return;
    texts = dm_arena_new(0);
    for (size_t i = 0; i < dm_n_optimizers; i++)
        used += (size_t)snprintf(optimizer_names + used, sizeof optimizer_names - used, "%s%s",
                                 i ? ", " : "", dm_optimizers[i]->name);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].name, PARAMETERS) == 0)
            add_parameters(&rows[i]);
        else if (strcmp(rows[i].name, CAPS) == 0)
            add_caps(&rows[i]);
        else
            add_row(rows[i]);
}

const dm_option *dm_option_at(size_t i)
{
    make_table();
    return i < n_options ? &options[i] : NULL;
}

bool dm_options_are_keys(unsigned command)
{
    make_table();
    for (size_t i = 0; i < n_options; i++)
        if ((options[i].commands & command) && options[i].kind <= DM_OPT_PATH)
            return true;
    return false;
}

/* ---- finding ---- */

static bool matches(const dm_option *o, const char *name)
{
    size_t n = strlen(o->name);
    if (o->name[n - 1] != '*')
        return strcmp(o->name, name) == 0;
    return strncmp(o->name, name, n - 1) == 0 && dm_param_find(dm_lm_table, name + n - 1);
}

static const dm_option *find(unsigned command, const char *name)
{
    for (size_t i = 0; i < n_options; i++)
        if ((options[i].commands & command) && matches(&options[i], name))
            return &options[i];
    return NULL;
}

bool dm_option_is_for(unsigned command, const char *word)
{
    char name[256];
    size_t n = strcspn(word + 2, "=");
    make_table();
    return n < sizeof name && snprintf(name, sizeof name, "%.*s", (int)n, word + 2) > 0 &&
           find(command, name) != NULL;
}

/* A key of a model, behind the part of the name that says which: "lm.", "lms.judge."; NULL: none.
 */
static const char *behind_model(const char *name)
{
    if (strncmp(name, "lm.", 3) == 0)
        return name + 3;
    const char *dot = strncmp(name, "lms.", 4) == 0 ? strchr(name + 4, '.') : NULL;
    return dot ? dot + 1 : NULL;
}

static dm_status unknown(dm_arena *a, unsigned command, const char *word, const char *name,
                         dm_error *err)
{
    const char *names[MOST_OPTIONS], *key = behind_model(name);
    size_t n = 0;
    for (size_t i = 0; i < n_options; i++)
        if ((options[i].commands & command) && !strchr(options[i].name, '*'))
            names[n++] = options[i].name;
    for (size_t i = 0; i < n_options; i++)
        if (matches(&options[i], name))
            return dm_fail(err, DM_E_USAGE, "%s is not an option of this command", word);
    const char *near = key ? dm_lm_key_near(key) : dm_nearest(name, names, n);
    if (key && near && find(command, dm_arena_printf(a, "lm.%s", near)))
        near = dm_arena_printf(a, "%.*s%s", (int)(key - name), name, near);
    return near ? dm_fail(err, DM_E_USAGE, "unknown option %s; did you mean --%s?", word, near)
                : dm_fail(err, DM_E_USAGE, "unknown option %s; see --help", word);
}

/* ---- the command line ---- */

static dm_value *marked(dm_value *v)
{
    v->line = DM_LINE_FLAG;
    for (size_t i = 0; (v->kind == DM_LIST || v->kind == DM_DICT) && i < v->n; i++)
        marked((dm_value *)(uintptr_t)(v->kind == DM_LIST ? v->items[i] : v->members[i].value));
    return v;
}

/* A value that parses as JSON is JSON, else it is a string. */
static const dm_value *value_of(dm_arena *a, const char *text)
{
    dm_value *v = dm_json_read(a, dm_str_of(text), NULL);
    return marked(v ? v : dm_value_text(a, text));
}

static const dm_value *absolute(dm_arena *a, const char *path)
{
    char folder[PATH_MAX];
    if (!path[0] || path[0] == '/' || strncmp(path, "${", 2) == 0 || !getcwd(folder, sizeof folder))
        return marked(dm_value_text(a, path));
    return marked(dm_value_text(a, dm_arena_printf(a, "%s/%s", folder, path)));
}

/* Puts v at "a.b.c" of dict d, making objects on the way; a string model becomes an object. */
static void put_at(dm_arena *a, dm_value *d, const char *path, const dm_value *v)
{
    const char *dot = strchr(path, '.');
    if (!dot) {
        dm_value_set(a, d, dm_str_of(path), v);
        return;
    }
    dm_str key = {path, (size_t)(dot - path)};
    const dm_value *old = dm_value_get_str(d, key);
    dm_value *inner = dm_value_dict(a);
    if (old && old->kind == DM_DICT)
        for (size_t i = 0; i < old->n; i++)
            dm_value_set(a, inner, old->members[i].key, old->members[i].value);
    else if (old && old->kind == DM_LIST && dm_str_is(key, "optimizer")) {
        dm_value_set(a, inner, DM_STR("name"), dm_value_text(a, "chain"));
        dm_value_set(a, inner, DM_STR("of"), old);
    } else if (old && old->kind == DM_STRING)
        dm_value_set(a, inner,
                     dm_str_is(key, "optimizer") || dm_str_is(key, "metric") ? DM_STR("name")
                                                                             : DM_STR("model"),
                     old);
    if (old) {
        inner->line = old->line;
        inner->column = old->column;
    }
    put_at(a, inner, dot + 1, v);
    dm_value_set(a, d, key, inner);
}

static void append_flag(dm_arena *a, dm_value *flags, const char *name, const char *text)
{
    const dm_value *old = dm_value_get(flags, name);
    dm_value *list = dm_value_list(a);
    for (size_t i = 0; old && i < old->n; i++)
        dm_value_append(a, list, old->items[i]);
    dm_value_append(a, list, dm_value_text(a, text));
    dm_value_set(a, flags, dm_str_of(name), list);
}

static dm_status take_option(dm_arena *a, const dm_option *o, const char *name, const char *text,
                             dm_command_line *out)
{
    const dm_value *v =
        o->kind == DM_OPT_JOB || o->kind == DM_OPT_EITHER ? value_of(a, text) : NULL;
    switch (o->kind) {
    case DM_OPT_JOB:
        if (strcmp(name, "program") == 0 && text[0] != '{') /* a program file */
            put_at(a, out->keys, "student", absolute(a, text));
        else
            put_at(a, out->keys, name, v);
        break;
    case DM_OPT_EITHER:
        put_at(a, out->keys, name, v->kind == DM_STRING ? absolute(a, text) : v);
        break;
    case DM_OPT_PATH:
        put_at(a, out->keys, name, absolute(a, text));
        break;
    case DM_OPT_FLAG:
        dm_value_set(a, out->flags, dm_str_of(name), dm_value_text(a, text));
        break;
    case DM_OPT_SWITCH:
        dm_value_set(a, out->flags, dm_str_of(name), dm_value_bool(a, true));
        break;
    case DM_OPT_LIST:
        append_flag(a, out->flags, name, text);
        break;
    }
    return DM_OK;
}

dm_status dm_command_line_read(dm_arena *a, unsigned command, int argc, char **argv,
                               dm_command_line *out, dm_error *err)
{
    make_table();
    *out = (dm_command_line){.files = dm_arena_alloc_n(a, (size_t)argc + 1, sizeof *out->files),
                             .words = dm_arena_alloc_n(a, (size_t)argc + 1, sizeof *out->words),
                             .keys = dm_value_dict(a),
                             .flags = dm_value_dict(a)};
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        if (strncmp(word, "--", 2) != 0 || !word[2]) {
            if ((out->job_file && !(command & (DM_FOR_ENSEMBLE | DM_FOR_DIFF))) || word[0] == '-')
                return dm_fail(err, DM_E_USAGE, "unexpected argument \"%s\"", word);
            out->job_file = out->job_file ? out->job_file : word;
            out->files[out->n_files++] = word;
            continue;
        }
        const char *equals = strchr(word, '=');
        char *name =
            dm_arena_string(a, word + 2, equals ? (size_t)(equals - word - 2) : strlen(word + 2));
        if (command == DM_FOR_RUN && strcmp(name, "inputs") == 0)
            name = dm_arena_printf(a, "inputs-file");
        const dm_option *o = find(command, name);
        if (!o)
            return unknown(a, command, word, name, err);
        const char *text = equals ? equals + 1 : "";
        if (o->kind == DM_OPT_SWITCH && equals)
            return dm_fail(err, DM_E_USAGE, "--%s takes no value", name);
        if (o->kind != DM_OPT_SWITCH && !equals) {
            if (i + 1 >= argc)
                return dm_fail(err, DM_E_USAGE, "--%s needs a value: %s", name, o->value);
            text = argv[++i];
        }
        dm_status st = take_option(a, o, name, text, out);
        if (st != DM_OK)
            return st;
        if (o->kind == DM_OPT_JOB || o->kind == DM_OPT_EITHER || o->kind == DM_OPT_PATH)
            out->words[out->n_words++] = dm_arena_printf(a, "--%s=%s", name, text);
    }
    return DM_OK;
}

/* ---- merging ---- */

static void flatten(dm_arena *a, dm_value *to, const dm_value *keys, const char *prefix)
{
    for (size_t i = 0; i < keys->n; i++) {
        const dm_member *m = &keys->members[i];
        char *path = dm_arena_printf(a, "%s%s%s", prefix, *prefix ? "." : "", m->key.p);
        bool own = m->value->kind == DM_DICT &&
                   m->value->line == 0; /* made by put_at, not by JSON on a flag */
        if (own)
            flatten(a, to, m->value, path);
        else
            put_at(a, to, path, m->value);
    }
}

dm_status dm_options_merge(dm_arena *a, const dm_value *job, const char *file, const dm_value *keys,
                           dm_value **out, dm_error *err)
{
    const char *names[64];
    size_t n = 0;
    make_table();
    dm_at at = dm_at_root(job, file, DM_E_JOB);
    for (size_t i = 0; i < n_options && n < 60; i++)
        if (options[i].kind <= DM_OPT_PATH && !strchr(options[i].name, '.'))
            names[n++] = options[i].name;
    names[n++] = "$schema"; /* for editors (jobs/job.schema.json) */
    dm_status st = dm_get_known(&at, names, n, err);
    if (st != DM_OK)
        return st;
    dm_value *d = dm_value_dict(a);
    for (size_t i = 0; job && i < job->n; i++)
        dm_value_set(a, d, job->members[i].key, job->members[i].value);
    flatten(a, d, keys, "");
    *out = d;
    return DM_OK;
}

/* ---- help ---- */

static void put_model_keys(dm_buf *b)
{
    const char *keys = "";
    for (const dm_param *row = dm_lm_table; row->name; row++)
        keys = dm_arena_printf(texts, "%s%s%s", keys, *keys ? " " : "", row->name);
    dm_buf_text(b, "\nKeys of a model:\n");
    dm_put_wrapped(b, 0, 2, keys);
}

void dm_options_help(dm_buf *b, unsigned command)
{
    bool models = false;
    make_table();
    for (size_t i = 0; i < n_options; i++) {
        const dm_option *o = &options[i];
        size_t before = b->len;
        if (!(o->commands & command))
            continue;
        models |= strcmp(o->name, "lm.*") == 0;
        dm_buf_printf(b, "  --%s%s%s", o->name, o->value ? "=" : "", o->value ? o->value : "");
        dm_buf_text(b, "  ");
        dm_put_wrapped(b, b->len - before, 40, o->help);
    }
    if (models)
        put_model_keys(b);
}
