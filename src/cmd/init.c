/* dspy-mpi init: a job for a data file, with a sentence beside each key. */
#include "advice/advice.h"
#include "advice/guess.h"
#include "base/show.h"
#include "base/utf8.h"
#include "cmd/commands.h"
#include "cmd/say.h"
#include "cmd/session.h"
#include "json/json.h"
#include "program/signature.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct starting {
    dm_arena *arena;
    const char *paths[DM_SETS]; /* NULL: cut from the training set, or none */
    const dm_dataset *sets[DM_SETS];
    const dm_dataset *cut[DM_SETS]; /* as the job will have them */
    double share[DM_SETS];          /* that is cut off; 0: none */
    dm_guess guess;
    const char *unlabelled[DM_SETS]; /* files that are left out for that */
    const char *out, *model;
    bool sorted; /* the sets that are cut off are unlike the rest */
} starting;

/* ---- the files ---- */

static bool is_file(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode);
}

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The file beside one that is called "...train...", with another word in that place. */
static const char *beside(dm_arena *a, const char *train, const char *const *words)
{
    const char *at = strstr(base_of(train), "train");
    size_t length = at && strncmp(at, "training", 8) == 0 ? 8 : 5;
    for (size_t i = 0; at && words[i]; i++) {
        const char *path =
            dm_arena_printf(a, "%.*s%s%s", (int)(at - train), train, words[i], at + length);
        if (is_file(path))
            return path;
    }
    return NULL;
}

static const char *train_in(dm_arena *a, const char *folder)
{
    static const char *const ends[] = {"jsonl",    "json",   "csv",       "tsv",     "ndjson",
                                       "jsonl.gz", "csv.gz", "jsonl.zst", "csv.zst", NULL};
    size_t n = strlen(folder);
    while (n > 1 && folder[n - 1] == '/')
        n--;
    for (size_t i = 0; ends[i]; i++) {
        const char *path = dm_arena_printf(a, "%.*s/train.%s", (int)n, folder, ends[i]);
        if (is_file(path))
            return path;
    }
    return NULL;
}

static dm_status find_files(starting *s, const char *given, dm_error *err)
{
    static const char *const vals[] = {"dev", "val", "valid", "validation", "eval", NULL},
                             *const tests[] = {"test", "testing", NULL};
    struct stat of;
    const char *train = given;
    if (stat(given, &of) == 0 && S_ISDIR(of.st_mode) && !(train = train_in(s->arena, given)))
        return dm_fail(err, DM_E_DATA,
                       "%s: there is no train.jsonl, .json, .csv or .tsv in it: name "
                       "the file",
                       given);
    s->paths[DM_TRAIN] = train;
    s->paths[DM_VALIDATION] = beside(s->arena, train, vals);
    s->paths[DM_TEST] = beside(s->arena, train, tests);
    for (int i = 0; i < DM_SETS; i++) {
        dm_dataset *d = NULL;
        dm_status st = s->paths[i] ? dm_dataset_read(s->arena, s->paths[i], &d, err) : DM_OK;
        if (st != DM_OK)
            return st;
        s->sets[i] = s->cut[i] = d;
    }
    return DM_OK;
}

static bool has_labels(const dm_dataset *d, const char *label)
{
    for (size_t i = 0; i < d->n; i++) {
        const dm_value *v = dm_value_get(d->examples[i].row, label);
        if (v && v->kind != DM_NULL && !(v->kind == DM_STRING && dm_py_strip(v->text).n == 0))
            return true;
    }
    return false;
}

/* A set without labels, as competitions have them for a test, is left out: nothing can be scored on
 * it. */
static dm_status guess(starting *s, dm_error *err)
{
    const dm_dataset *const alone[DM_SETS] = {s->sets[DM_TRAIN], NULL, NULL};
    dm_status st = dm_guess_job(s->arena, alone, &s->guess, err);
    bool others = false;
    for (int i = DM_VALIDATION; i < DM_SETS && st == DM_OK; i++) {
        if (s->sets[i] && !has_labels(s->sets[i], s->guess.label)) {
            s->unlabelled[i] = s->paths[i];
            s->paths[i] = NULL;
            s->sets[i] = s->cut[i] = NULL;
        }
        others = others || s->sets[i];
    }
    return others ? dm_guess_job(s->arena, s->sets, &s->guess, err) : st;
}

/* As the job cuts them: train | validation | test, by shares of the whole. */
static void cut_sets(starting *s)
{
    const dm_dataset *all = s->sets[DM_TRAIN];
    size_t n = all->n, size[DM_SETS] = {0}, from = n;
    if (!s->sets[DM_TEST] && !s->sets[DM_VALIDATION] && n >= 100)
        s->share[DM_TEST] = .2;
    if (!s->sets[DM_VALIDATION] && n >= 10)
        s->share[DM_VALIDATION] = .4;
    for (int i = DM_TEST; i > DM_TRAIN; i--) {
        size[i] = (size_t)(s->share[i] * (double)n);
        from -= size[i];
        if (size[i])
            s->cut[i] = dm_dataset_slice(s->arena, all, from, size[i]);
    }
    s->cut[DM_TRAIN] = dm_dataset_slice(s->arena, all, 0, from);
}

/* The sets are cut from the end: a file in the order of its labels gives sets that are unlike. Sets
 * with files of their own say nothing of it. */
static void look_at_order(starting *s)
{
    dm_str label = dm_str_of(s->guess.label);
    dm_data d = {.sets = {s->cut[DM_TRAIN]}, .labels = &label, .n_labels = 1};
    bool cut = s->share[DM_VALIDATION] > 0 || s->share[DM_TEST] > 0;
    for (int i = DM_VALIDATION; i < DM_SETS; i++)
        d.sets[i] = s->share[i] > 0 ? s->cut[i] : NULL;
    dm_findings f = dm_data_look(s->arena, &d);
    for (size_t i = 0; i < f.n && cut; i++)
        s->sorted = s->sorted || strcmp(f.list[i].code, "unseen_labels") == 0 ||
                    (strcmp(f.list[i].code, "one_label") == 0 && f.n_classes > 1) ||
                    strcmp(f.list[i].code, "label_shares") == 0;
}

/* ---- the job ---- */

/* As it stands in the job: relative to it where it is in its folder or below. */
static const char *path_in_job(dm_arena *a, const char *job, const char *path)
{
    char real[PATH_MAX], folder[PATH_MAX];
    const char *slash = strrchr(job, '/');
    const char *in = slash == job ? "/"
                     : slash      ? dm_arena_string(a, job, (size_t)(slash - job))
                                  : ".";
    if (!realpath(path, real) || !realpath(in, folder))
        return path;
    size_t n = strlen(folder);
    bool below = n > 1 && strncmp(real, folder, n) == 0 && real[n] == '/';
    return dm_arena_printf(a, "%s", below ? real + n + 1 : real);
}

static bool same_file(const char *x, const char *y)
{
    struct stat of[2];
    return stat(x, &of[0]) == 0 && stat(y, &of[1]) == 0 && of[0].st_dev == of[1].st_dev &&
           of[0].st_ino == of[1].st_ino;
}

/* By the data's name, or its folder's where that says only which set it is; in the working folder.
 */
static const char *job_name(dm_arena *a, const char *train)
{
    char real[PATH_MAX];
    const char *base = base_of(train);
    size_t n = strcspn(base, ".");
    if (n != 5 || strncmp(base, "train", 5) != 0) {
        const char *name = dm_arena_printf(a, "%.*s.json", (int)(n ? n : strlen(base)), base);
        return same_file(name, train)
                   ? dm_arena_printf(a, "%.*s-job.json", (int)strlen(name) - 5, name)
                   : name;
    }
    if (realpath(train, real) && strrchr(real, '/') != real) {
        *strrchr(real, '/') = 0;
        return dm_arena_printf(a, "%s.json", base_of(real));
    }
    return "job.json";
}

static void set(starting *s, dm_value *d, const char *key, const char *comment, const dm_value *v)
{
    if (comment)
        dm_value_set(s->arena, d, dm_str_of(dm_arena_printf(s->arena, "// %s", key)),
                     dm_value_text(s->arena, comment));
    dm_value_set(s->arena, d, dm_str_of(key), v);
}

static void set_data(starting *s, dm_value *d)
{
    static const char *const names[] = {"trainset", "valset", "testset"};
    dm_arena *a = s->arena;
    const char *comment =
        s->sorted
            ? "The rows are sorted by label, and sets are cut from the end: shuffle the file first."
        : s->share[DM_VALIDATION] > 0
            ? "Sets without a file are cut from the end of this one: candidates are scored on the "
              "validation set, and only the start program and the winner on the test set."
            : "Candidates are scored on the validation set, and only the start program and the "
              "winner on a test set.";
    for (int i = 0; i < DM_SETS; i++) {
        if (s->paths[i])
            set(s, d, names[i], i == DM_TRAIN ? comment : NULL,
                dm_value_text(a, path_in_job(a, s->out, s->paths[i])));
        else if (s->share[i] > 0)
            set(s, d, dm_arena_printf(a, "%s_size", names[i]), NULL,
                dm_value_float(a, s->share[i]));
    }
    set(s, d, "inputs", NULL, dm_value_strings(a, s->guess.inputs, s->guess.n_inputs));
}

static dm_value *program_json(starting *s)
{
    dm_arena *a = s->arena;
    dm_value *program = dm_value_dict(a), *full = dm_value_dict(a);
    const dm_value *signature = dm_value_text(a, s->guess.signature);
    if (s->guess.instructions) {
        dm_value_set(a, full, DM_STR("signature"), signature);
        dm_value_set(a, full, DM_STR("instructions"), dm_value_text(a, s->guess.instructions));
        signature = full;
    }
    set(s, program, s->guess.thinks ? "chain_of_thought" : "predict",
        s->guess.thinks
            ? "The model thinks before it answers; predict would answer at once, in fewer tokens."
            : "The model answers at once; chain_of_thought would let it think first.",
        signature);
    return program;
}

static const dm_value *metric_json(starting *s)
{
    dm_arena *a = s->arena;
    dm_value *d = dm_value_dict(a);
    if (!s->guess.field)
        return dm_value_text(a, s->guess.metric);
    dm_value_set(a, d, DM_STR("name"), dm_value_text(a, s->guess.metric));
    dm_value_set(a, d, DM_STR("field"), dm_value_text(a, s->guess.label));
    return d;
}

static dm_value *lm_json(starting *s)
{
    dm_arena *a = s->arena;
    dm_value *d = dm_value_dict(a);
    dm_value_set(a, d, DM_STR("model"), dm_value_text(a, s->model ? s->model : "hosted_vllm/NAME"));
    if (!s->model)
        dm_value_set(a, d, DM_STR("api_base"), dm_value_text(a, "http://127.0.0.1:8000/v1"));
    dm_value_set(a, d, DM_STR("temperature"), dm_value_int(a, 0));
    dm_value_set(a, d, DM_STR("max_tokens"), dm_value_int(a, s->guess.thinks ? 1000 : 500));
    return d;
}

static dm_value *job_json(starting *s)
{
    dm_arena *a = s->arena;
    dm_value *d = dm_value_dict(a);
    const dm_dataset *val = s->cut[DM_VALIDATION];
    dm_value_set(a, d, DM_STR("//"),
                 dm_value_text(a, "Written by dspy-mpi init. Keys that begin with // are ignored. "
                                  "Look at program and metric, name your model in lm, then: "
                                  "dspy-mpi advise."));
    set(s, d, "program", dm_arena_printf(a, "%s %s", s->guess.why_columns, s->guess.why_type),
        program_json(s));
    set_data(s, d);
    set(s, d, "metric", s->guess.why_metric, metric_json(s));
    set(s, d, "optimizer",
        dm_arena_printf(a, "What fits %zu examples to train on and %zu to validate on.",
                        s->cut[DM_TRAIN]->n, val ? val->n : 0),
        dm_value_text(a, dm_fitting_optimizer(s->cut[DM_TRAIN]->n, val ? val->n : 0)));
    set(s, d, "lm",
        s->model ? "max_tokens limits the length of an answer."
                 : "Your model as provider/name, such as openai/gpt-4.1-mini or "
                   "ollama_chat/llama3.2; api_base for your own server.",
        lm_json(s));
    return d;
}

/* ---- the whole ---- */

static dm_status write_job(starting *s, const dm_value *job, dm_error *err)
{
    struct stat of;
    dm_buf b;
    if (lstat(s->out, &of) == 0)
        return dm_fail(err, DM_E_OUTPUT,
                       "%s exists already, and is not overwritten: give another name, --out=FILE",
                       s->out);
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_json_write(&b, job, DM_JSON_PYTHON_INDENT);
    dm_buf_char(&b, '\n');
    dm_status st = dm_write_file(s->out, dm_buf_view(&b), err);
    dm_buf_free(&b);
    return st;
}

/* Names that are no field's are told before anything is written. */
static dm_status check_signature(starting *s, dm_error *err)
{
    dm_error why = {DM_OK, ""};
    if (dm_signature_parse(s->arena, dm_str_of(s->guess.signature), &why))
        return DM_OK;
    return dm_fail(err, DM_E_DATA,
                   "%s: its columns cannot all be names of fields (%s): letters, digits and _ are "
                   "fine, Python keywords are not; rename the column",
                   s->paths[DM_TRAIN], why.text);
}

static void tell(starting *s, const dm_command_line *line)
{
    dm_arena *a = s->arena;
    dm_value *last = dm_value_dict(a);
    dm_buf b;
    dm_buf_init(&b, DM_MAX_LINE);
    if (s->sorted)
        dm_buf_printf(&b, "shuffle %s, then ", s->paths[DM_TRAIN]);
    dm_buf_text(&b, "dspy-mpi advise ");
    dm_put_word(&b, s->out);
    const char *next = dm_arena_string(a, b.data, b.len);
    dm_buf_free(&b);
    for (int i = 0; i < DM_SETS; i++)
        if (s->unlabelled[i])
            dm_say(stderr, "%s is left out: it has no %s\n", s->unlabelled[i], s->guess.label);
    dm_say(stderr, "%s: %s\nmetric %s: %s\n%s\n", s->out, s->guess.signature, s->guess.metric,
           s->guess.why_metric, s->guess.why_columns);
    if (s->sorted)
        dm_say(stderr, "the rows are sorted by label, and sets are cut from the end: shuffle the "
                       "file first\n");
    dm_say(stderr, "%snext: %s\n", s->model ? "" : "name your model in lm\n", next);
    dm_value_set(a, last, DM_STR("status"), dm_value_text(a, "done"));
    dm_value_set(a, last, DM_STR("job"), dm_value_text(a, s->out));
    dm_value_set(a, last, DM_STR("signature"), dm_value_text(a, s->guess.signature));
    dm_value_set(a, last, DM_STR("metric"), dm_value_text(a, s->guess.metric));
    dm_value_set(a, last, DM_STR("next"), dm_value_text(a, next));
    dm_print_last_line(last, line);
}

int dm_cmd_init(dm_arena *a, const dm_command_line *line)
{
    starting s = {.arena = a};
    dm_error err = {DM_OK, ""};
    const dm_value *out = dm_value_get(line->flags, "out"), *lm = dm_value_get(line->flags, "lm");
    if (!line->job_file) {
        (void)dm_fail(&err, DM_E_USAGE,
                      "init needs a data file, or a folder with train.jsonl: "
                      "dspy-mpi init DATA");
        return dm_say_failure(&err);
    }
    s.model = lm ? lm->text.p : NULL;
    dm_status st = find_files(&s, line->job_file, &err);
    if (st == DM_OK) {
        s.out = out ? out->text.p : job_name(a, s.paths[DM_TRAIN]);
        st = guess(&s, &err);
    }
    if (st == DM_OK)
        st = check_signature(&s, &err);
    if (st == DM_OK) {
        cut_sets(&s);
        look_at_order(&s);
        st = write_job(&s, job_json(&s), &err);
    }
    if (st != DM_OK)
        return dm_say_failure(&err);
    tell(&s, line);
    return 0;
}
