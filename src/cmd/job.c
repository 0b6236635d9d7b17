#include "cmd/job.h"
#include "base/utf8.h"
#include "cmd/columns.h"
#include "cmd/job_models.h"
#include "cmd/job_table.h"
#include "cmd/param_files.h"
#include "cmd/paths.h"
#include "cmd/program_file.h"
#include "cmd/python_job.h"
#include "json/json.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A job that is being read. */
typedef struct reading {
    dm_arena *a;
    const dm_command_line *line;
    dm_job_wants wants;
    dm_at root;
    dm_job *job;
} reading;

/* ---- out ---- */

static dm_status read_out(const reading *r, dm_error *err)
{
    dm_arena *a = r->a;
    const dm_at *root = &r->root;
    dm_job *job = r->job;
    dm_at at = dm_at_key(root, "out");
    dm_str s = {NULL, 0};
    dm_status st = dm_get_string(&at, &s, err);
    if (st != DM_OK)
        return st;
    if (!s.p) {
        const char *slash = strrchr(job->file, '/'), *name = slash ? slash + 1 : job->file;
        size_t n = strlen(name);
        if (n > 5 && strcmp(name + n - 5, ".json") == 0)
            job->out = dm_path_beside(a, job->file, dm_arena_string(a, name, n - 5));
        else
            job->out = dm_path_beside(a, job->file, dm_arena_printf(a, "%s.out", name));
    } else {
        st = dm_path_expand(a, &at, s.p, &job->out, err);
        if (st == DM_OK && !*job->out) /* as --out=$OUT has it where OUT is not set */
            return dm_at_fail(&at, err, "the path of a folder, not an empty text");
        if (st == DM_OK)
            job->out = dm_path_beside(a, job->file, job->out);
    }
    job->setup.out = job->out;
    return st;
}

/* ---- program ---- */

static dm_status read_program(const reading *r, dm_error *err)
{
    dm_arena *a = r->a;
    const dm_at *root = &r->root;
    dm_job *job = r->job;
    dm_at at = dm_at_key(root, "program"), student = dm_at_key(root, "student"),
          teacher = dm_at_key(root, "teacher");
    const char *path = NULL, *teacher_path = NULL;
    const dm_value *provenance = NULL;
    dm_status st = DM_OK;
    if (at.v && at.v->kind == DM_STRING) /* a program file under `program` */
        st = dm_path_read(a, &at, &path, err);
    else if (dm_is_python_job(&at))
        st = dm_python_job_open(a, root, job, err);
    else if (at.v)
        job->program = dm_program_read(a, &at, err);
    if (st == DM_OK && student.v)
        st = dm_path_read(a, &student, &path, err);
    if (st == DM_OK && job->pick)
        st = dm_program_picked(a, path, job->pick, &path, err);
    if (st == DM_OK)
        st = dm_path_read(a, &teacher, &teacher_path, err);
    if (st != DM_OK || (at.v && at.v->kind != DM_STRING && !job->program))
        return st != DM_OK ? st : DM_E_JOB;
    if (!job->program && !path)
        return dm_at_fail(
            root, err,
            "program: a program is missing, such as {\"predict\": \"question -> answer\"}");
    if (path && r->wants.asked)
        st = dm_program_file_any(a, path, job->program, &job->student, &job->ensemble, &provenance,
                                 err);
    else if (path)
        st = dm_program_file_read(a, path, job->program, &job->student, &job->ensemble, &provenance,
                                  err);
    else
        job->student = dm_candidate_seal(dm_candidate_new(a, job->program));
    if (st != DM_OK)
        return st;
    job->program = (dm_program *)(uintptr_t)job->student->program;
    job->setup.program = job->program;
    if (path) /* it could be read */
        (void)!dm_program_path(a, path, &job->program_file, err);
    const dm_value *lm = dm_value_get(provenance, "role");
    if (lm && lm->kind == DM_STRING)
        job->lm = lm->text;
    if (teacher_path) {
        st = dm_program_file_read(a, teacher_path, job->program, &job->teacher, NULL, &provenance,
                                  err);
        job->teacher_compiled = provenance != NULL;
    }
    return st;
}

/* ---- data ---- */

static dm_status read_set(dm_arena *a, const dm_at *root, const dm_job *job, const char *key,
                          const dm_dataset **out, dm_error *err)
{
    dm_at at = dm_at_key(root, key);
    const char *path = NULL;
    dm_dataset *set = NULL;
    *out = NULL;
    dm_status st = dm_python_job_set(a, &at, key, job, out, err);
    if (st != DM_OK || *out)
        return st;
    st = dm_path_read(a, &at, &path, err);
    if (st == DM_OK && path)
        st = dm_dataset_read(a, path, &set, err);
    if (st == DM_OK)
        *out = job->program->python ? set : dm_columns_typed(a, job->program, set);
    return st;
}

/* A number of examples, or a share of them below 1. */
static dm_status read_size(const dm_at *root, const char *key, double v, size_t n, size_t *out,
                           dm_error *err)
{
    dm_at at = dm_at_key(root, key);
    if (v >= 1 && v != floor(v))
        return dm_at_fail(&at, err, "a whole number of examples, or a share below 1");
    *out = (size_t)(v < 1 ? floor(v * (double)n) : v);
    return DM_OK;
}

/* Cuts the sets that have no file of their own from the end of trainset: train | validation | test.
 */
static dm_status split(dm_arena *a, const dm_at *root, dm_job *job, dm_error *err)
{
    size_t n = job->trainset ? job->trainset->n : 0, val = 0, test = 0;
    dm_status st = read_size(root, "valset_size", job->valset_size, n, &val, err);
    if (st == DM_OK)
        st = read_size(root, "testset_size", job->testset_size, n, &test, err);
    if (st != DM_OK)
        return st;
    dm_at at = dm_at_key(root, val ? "valset_size" : "testset_size");
    if ((val && job->valset) || (test && job->testset))
        return dm_at_fail(&at, err, "there is a file for this set already: give one of the two");
    if (val + test > 0 && val + test >= n)
        return dm_at_fail(&at, err, "%zu of %zu examples would leave none to train on", val + test,
                          n);
    if (test)
        job->testset = dm_dataset_slice(a, job->trainset, n - test, test);
    if (val)
        job->valset = dm_dataset_slice(a, job->trainset, n - test - val, val);
    if (val + test)
        job->trainset = dm_dataset_slice(a, job->trainset, 0, n - val - test);
    return DM_OK;
}

static dm_status read_inputs(const reading *r, dm_error *err)
{
    dm_arena *a = r->a;
    const dm_at *root = &r->root;
    dm_job *job = r->job;
    dm_at at = dm_at_key(root, "inputs");
    dm_str *inputs = job->program->inputs;
    size_t n = job->program->n_inputs;
    dm_status st = dm_get_strings(&at, a, &inputs, &n, err);
    if (st != DM_OK)
        return st;
    for (size_t i = 0; i < job->program->n_inputs; i++) {
        bool named = false;
        for (size_t k = 0; k < n; k++)
            named |= dm_str_eq(inputs[k], job->program->inputs[i]);
        if (!named)
            return dm_at_fail(&at, err,
                              "the program needs the input \"%.*s\", which is not among them",
                              DM_STR_ARG(job->program->inputs[i]));
    }
    job->setup.inputs = inputs;
    job->setup.n_inputs = n;
    return DM_OK;
}

/* The optimizer's rule where there is no validation set. */
static dm_status choose_valset(dm_arena *a, const dm_at *root, dm_job *job, bool few, dm_error *err)
{
    if (!job->optimizer || job->valset || !job->trainset)
        return DM_OK;
    const dm_optimizer *o = job->optimizer->class;
    dm_valset_rule rule = dm_valset_rule_of(job->optimizer);
    if (rule == DM_VALSET_TRAINSET) {
        job->valset = job->trainset;
        job->valset_is_trainset = true;
    }
    if (rule != DM_VALSET_SPLIT)
        return DM_OK;
    size_t n = job->trainset->n, val = (size_t)(0.8 * (double)n);
    dm_at at = dm_at_key(root, "trainset");
    if (n < 2 && few)
        return DM_OK;
    if (n < 2)
        return dm_at_fail(&at, err, "%s needs two examples, or a validation set", o->name);
    val = val < 1 ? 1 : val > 1000 ? 1000 : val;
    job->valset = dm_dataset_slice(a, job->trainset, n - val, val);
    job->trainset = dm_dataset_slice(a, job->trainset, 0, n - val);
    return DM_OK;
}

/* Of rows that Python made each has its own inputs, where the job names none. */
static bool have_own_inputs(const dm_at *root, const char *set)
{
    dm_at at = dm_at_key(root, set), whole = dm_at_key(root, "trainset");
    return !dm_value_get(root->v, "inputs") && dm_is_python_job(at.v ? &at : &whole);
}

static dm_status read_data(const reading *r, dm_error *err)
{
    static const char *const names[] = {"trainset", "valset", "testset"};
    dm_arena *a = r->a;
    const dm_at *root = &r->root;
    dm_job *job = r->job;
    dm_status st = read_set(a, root, job, "trainset", &job->trainset, err);
    if (st == DM_OK)
        st = read_set(a, root, job, "valset", &job->valset, err);
    if (st == DM_OK)
        st = read_set(a, root, job, "testset", &job->testset, err);
    if (st == DM_OK)
        st = split(a, root, job, err);
    if (st != DM_OK)
        return st;
    st = choose_valset(a, root, job, r->wants.few, err);
    const dm_dataset *sets[] = {job->trainset, job->valset, job->testset};
    for (int i = 0; i < 3 && st == DM_OK; i++)
        if (sets[i] && !have_own_inputs(root, names[i]))
            st = dm_dataset_check(sets[i], job->setup.inputs, job->setup.n_inputs, err);
    memcpy(job->setup.sets, sets, sizeof sets);
    return st;
}

/* ---- the whole ---- */

/* The job's seed is the optimizer's; at: where the job says it. */
static dm_status settle_seed(const dm_at *at, dm_job *job, dm_error *err)
{
    dm_params *p = job->optimizer;
    if (at->v && p && p->has_seed && p->seed != job->seed)
        return dm_at_fail(at, err, "optimizer.seed is the same setting and says %lld",
                          (long long)p->seed);
    if (!at->v && p && p->has_seed)
        job->seed = p->seed;
    job->has_seed = at->v || (p && p->has_seed);
    job->setup.seed = (uint64_t)job->seed;
    if (p) {
        p->has_seed = job->has_seed;
        p->seed = job->seed;
    }
    return DM_OK;
}

/* The job's max_errors is the optimizer's. */
static dm_status settle_max_errors(const dm_at *root, dm_job *job, dm_error *err)
{
    dm_at at = dm_at_key(root, "max_errors");
    if (!at.v || !job->optimizer)
        return DM_OK;
    if (!dm_param_named(job->optimizer->class, "max_errors"))
        return dm_at_fail(&at, err, "%s runs nothing that max_errors could count",
                          job->optimizer->class->name);
    job->optimizer->max_errors = job->max_errors;
    job->optimizer->has_max_errors = true;
    return DM_OK;
}

static dm_status read_rest(const reading *r, dm_error *err)
{
    dm_arena *a = r->a;
    const dm_at *root = &r->root;
    dm_job *job = r->job;
    dm_at at = dm_at_key(root, "adapter"), optimizer = dm_at_key(root, "optimizer"),
          seed = dm_at_key(root, "seed");
    dm_status st = dm_adapter_read(&at, &job->setup.adapter, err);
    if (st == DM_OK && r->wants.optimizer && !optimizer.v)
        st = dm_at_fail(root, err,
                        "optimizer: an optimizer is missing, such as \"bootstrap_few_shot\"");
    if (st == DM_OK && optimizer.v)
        st = dm_optimizer_read(a, &optimizer, &job->optimizer, err);
    if (st == DM_OK)
        st = dm_params_read(a, dm_job_table, root, false, job, err);
    if (st == DM_OK)
        st = settle_seed(&seed, job, err);
    const dm_optimizer *o = job->optimizer ? job->optimizer->class : NULL;
    job->setup.any_score =
        !r->wants.optimizer || (o && o->any_score && o->any_score(job->optimizer));
    return st == DM_OK ? settle_max_errors(root, job, err) : st;
}

/* What has no reader with the optimizer that was chosen. */
static dm_status refuse_unread(const reading *r, dm_error *err)
{
    const dm_at *root = &r->root;
    const dm_job *job = r->job;
    dm_at teacher = dm_at_key(root, "teacher");
    const dm_optimizer *o = job->optimizer ? job->optimizer->class : NULL;
    if (o && !(dm_roles_of(job->optimizer) >> DM_TEACHER & 1) && teacher.v)
        return dm_at_fail(&teacher, err, "%s has no teacher: leave it out", o->name);
    return DM_OK;
}

/* Of the job behind a program file only the program and how it is run is looked at. */
static dm_value *program_only(dm_arena *a, const dm_value *job)
{
    static const char *const keys[] = {"program", "student", "lm",    "lms",
                                       "adapter", "python",  "inputs"};
    static const char *const sets[] = {"trainset", "valset", "testset"};
    dm_value *d = dm_value_dict(a);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (dm_value_get(job, keys[i]))
            dm_value_set(a, d, dm_str_of(keys[i]), dm_value_get(job, keys[i]));
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) /* they tell what its inputs are */
        if (dm_value_get(dm_value_get(job, sets[i]), "python"))
            dm_value_set(a, d, dm_str_of(sets[i]), dm_value_get(job, sets[i]));
    return d;
}

dm_compile_input dm_job_input(const dm_job *job)
{
    const dm_dataset *none = dm_dataset_of(job->arena, "", dm_value_list(job->arena));
    return (dm_compile_input){.params = job->optimizer,
                              .student = job->student,
                              .teacher = job->teacher,
                              .own = &job->own,
                              .teacher_compiled = job->teacher_compiled,
                              .inputs = job->setup.inputs,
                              .n_inputs = job->setup.n_inputs,
                              .trainset = job->trainset ? job->trainset : none,
                              .valset = job->valset ? job->valset : none,
                              .testset = job->testset};
}

/* Whether the optimizer's numbers fit program and data. */
static dm_status check_fit(const reading *r, dm_error *err)
{
    dm_arena *a = r->a;
    const dm_job *job = r->job;
    const dm_compile_input in = dm_job_input(job);
    return job->optimizer->class->fits ? job->optimizer->class->fits(a, &in, err) : DM_OK;
}

/* Keys that begin with "//" are for whoever reads the file, at any depth. The value was just read,
 * and nobody else has it. */
static void drop_comments(dm_value *v)
{
    size_t kept = 0, n = v->kind == DM_LIST || v->kind == DM_DICT ? v->n : 0;
    for (size_t i = 0; i < n; i++) {
        bool dict = v->kind == DM_DICT;
        if (dict && dm_str_starts(v->members[i].key, "//"))
            continue;
        drop_comments((dm_value *)(uintptr_t)(dict ? v->members[i].value : v->items[i]));
        if (dict)
            v->members[kept++] = v->members[i];
    }
    if (v->kind == DM_DICT && kept < v->n) {
        v->n = kept;
        v->index = NULL; /* it knows the members by their places */
        v->slots = 0;
    }
}

static dm_status read_job_file(dm_arena *a, const char *path, const dm_value **out, dm_error *err)
{
    dm_str text;
    dm_status st = dm_read_file(a, path, DM_MAX_TEXT, &text, err);
    if (st != DM_OK)
        return dm_no_job(path, NULL, err);
    dm_value *v = dm_json_read_written(a, text, path, err);
    if (!v)
        return dm_json_error_in(err, DM_E_JOB, path);
    drop_comments(v);
    *out = v;
    return dm_no_job(path, v, err);
}

/* With a hash of the command's files, which makes it another metric when they change. What is
 * Python beside a program in Python is in that program's identity. */
static const dm_value *metric_of(dm_arena *a, const dm_value *spec, const dm_job *job)
{
    dm_hash source;
    char hex[65];
    const dm_value *python = dm_metric_python(spec);
    dm_value *d = dm_value_dict(a);
    if (spec && spec->kind == DM_STRING && python) {
        dm_value_set(a, d, DM_STR("python"), python);
        spec = d;
    }
    if (!spec || spec->kind != DM_DICT || (python && job->program && job->program->python) ||
        !dm_metric_source(a, job->file, spec, &source))
        return spec;
    d = dm_value_copy(a, spec);
    dm_hash_hex(&source, hex);
    dm_value_set(a, d, DM_STR("source"), dm_value_text(a, hex));
    return d;
}

/* ---- budget ---- */

/* Tokens and money are reserved before a call: what it may write at the most has to be known. */
static dm_status check_role(const dm_job *job, const dm_at *root, int role, dm_error *err)
{
    const dm_lm_config *c = job->setup.model[role];
    bool tokens = !isinf(job->cap.tokens), cost = !isinf(job->cap.cost);
    if (!c || dm_lm_in_process(c) || !dm_job_asks_role(job, role))
        return DM_OK;
    if (cost && !c->price.known)
        return dm_at_fail(root, err,
                          "budget.cost: %s has no price here: give one, such as \"price\": "
                          "{\"prompt\": 3, \"completion\": 15} (per million tokens), or zeros if "
                          "%s is your own server",
                          c->model, dm_lm_by_host(c) ? "it" : dm_lm_unpriced_at(c));
    if ((tokens || cost) && !c->has_max_tokens)
        return dm_at_fail(root, err,
                          "budget.%s: %s needs max_tokens, so that no answer can exceed the cap",
                          tokens ? "tokens" : "cost", c->model);
    return DM_OK;
}

static dm_status read_budget(const reading *r, dm_error *err)
{
    dm_arena *a = r->a;
    const dm_at *root = &r->root;
    dm_job *job = r->job;
    dm_at at = dm_at_key(root, "budget");
    job->cap = DM_NO_CAP;
    if (!at.v)
        return DM_OK;
    if (at.v->kind != DM_DICT)
        return dm_at_fail(&at, err, "an object such as {\"calls\": 5000, \"cost\": \"$20\"}");
    dm_status st = dm_params_known(a, dm_budget_table, &at, NULL, err);
    if (st == DM_OK)
        st = dm_params_read(a, dm_budget_table, &at, true, job, err);
    for (int i = 0; i < DM_ROLES && st == DM_OK; i++)
        st = check_role(job, root, i, err);
    if (st == DM_OK && job->python)
        dm_job_reckon_dearest(a, job);
    return st;
}

/* ---- step by step ---- */

/* The cache, and what only the command line says. */
static dm_status read_flags(const reading *r, dm_error *err)
{
    dm_job *job = r->job;
    dm_at cache = dm_at_key(&r->root, "cache");
    dm_status st = dm_path_read(r->a, &cache, &job->cache, err);
    job->force = dm_value_get(r->line->flags, "force") != NULL;
    job->setup.offline = dm_value_get(r->line->flags, "offline") != NULL;
    if (st == DM_OK && job->setup.offline && !job->cache)
        st = dm_fail(err, DM_E_USAGE,
                     "--offline needs a cache to take the answers from: give --cache=FOLDER");
    return st;
}

static dm_status refuse_ensemble(const reading *r, dm_error *err)
{
    return r->job->ensemble
               ? dm_at_fail(&r->root, err,
                            "student: an ensemble cannot be compiled further: give the file of "
                            "one of its members")
               : DM_OK;
}

static dm_status read_param_files(const reading *r, dm_error *err)
{
    return dm_param_files_read(r->a, &r->root, r->job, err);
}

static dm_status read_models(const reading *r, dm_error *err)
{
    return dm_job_read_models(r->a, &r->root, r->wants, r->job, err);
}

static dm_status need_trainset(const reading *r, dm_error *err)
{
    return r->job->trainset ? DM_OK
                            : dm_at_fail(&r->root, err, "trainset: a training set is missing");
}

static dm_status read_metric(const reading *r, dm_error *err)
{
    r->job->setup.metric = metric_of(r->a, dm_value_get(r->job->json, "metric"), r->job);
    return r->job->setup.metric
               ? DM_OK
               : dm_at_fail(&r->root, err, "metric: a metric is missing, such as \"exact_match\"");
}

static dm_status try_python(const reading *r, dm_error *err)
{
    (void)err;
    if (r->job->optimizer)
        dm_python_job_try(r->a, r->line, r->job, dm_job_identity(r->a, r->job));
    return DM_OK;
}

/* In this order, for each leans on those before. A step is taken by commands that want all that
 * it is for. */
static const struct step {
    dm_status (*read)(const reading *r, dm_error *err);
    dm_job_wants of;
} steps[] = {
    {read_rest, {0}},
    {refuse_unread, {0}},
    {read_program, {0}},
    {refuse_ensemble, {.optimizer = true}},
    {read_param_files, {.data = true}},
    {read_inputs, {0}},
    {read_models, {.model = true}},
    {read_budget, {.model = true}},
    {read_data, {.data = true}},
    {need_trainset, {.data = true, .optimizer = true}},
    {check_fit, {.data = true, .optimizer = true}},
    {read_out, {.data = true}},
    {read_flags, {0}},
    {read_metric, {.metric = true}},
    {try_python, {.data = true}},
};

static bool taken(const struct step *s, dm_job_wants w)
{
    return (w.data || !s->of.data) && (w.metric || !s->of.metric) &&
           (w.optimizer || !s->of.optimizer) && (w.model || !s->of.model);
}

static const char *name_of(const dm_command_line *line)
{
    return line->job_file ? line->job_file : "command line";
}

/* The job's file and the options of the command line as one value. */
static dm_status merge(dm_arena *a, const dm_command_line *line, dm_value **out, dm_error *err)
{
    const dm_value *file = NULL;
    dm_status st = line->job_file ? read_job_file(a, line->job_file, &file, err) : DM_OK;
    return st == DM_OK ? dm_options_merge(a, file, name_of(line), line->keys, out, err) : st;
}

dm_status dm_job_read(dm_arena *a, const dm_command_line *line, dm_job_wants wants, dm_job *job,
                      dm_error *err)
{
    dm_value *merged = NULL;
    const dm_value *pick = dm_value_get(line->flags, "pick");
    *job = (dm_job){.arena = a, .file = name_of(line)};
    dm_params_default(dm_job_table, job);
    job->setup.deadline = INFINITY;
    job->setup.json_fallback = true;
    job->setup.job_file = job->file;
    job->pick = pick ? pick->text.p : NULL;
    dm_status st = merge(a, line, &merged, err);
    if (st != DM_OK)
        return st;
    if (!wants.data)
        merged = program_only(a, merged);
    job->json = merged;
    const reading r = {a, line, wants, dm_at_root(merged, job->file, DM_E_JOB), job};
    for (size_t i = 0; i < sizeof steps / sizeof *steps && st == DM_OK; i++)
        if (taken(&steps[i], wants))
            st = steps[i].read(&r, err);
    return st;
}

/* What the model names, and where the key is otherwise. */
static size_t add_key_names(const dm_value *model, const char **names, size_t n, size_t room)
{
    const dm_value *headers = dm_value_get(model, "headers_env");
    dm_str own = dm_value_text_of(dm_value_get(model, "api_key_env"));
    dm_str name =
        dm_value_text_of(model && model->kind == DM_DICT ? dm_value_get(model, "model") : model);
    if (own.n && n < room)
        names[n++] = own.p;
    for (size_t i = 0; headers && headers->kind == DM_DICT && i < headers->n && n < room; i++)
        if (dm_value_text_of(headers->members[i].value).n)
            names[n++] = headers->members[i].value->text.p;
    return own.n ? n : n + dm_lm_key_variables(name, names + n, room - n);
}

size_t dm_job_key_names(dm_arena *a, const dm_command_line *line, const char **names, size_t room)
{
    dm_value *merged = NULL;
    dm_error err = {DM_OK, ""};
    struct stat of;
    if (line->job_file && (stat(line->job_file, &of) != 0 || !S_ISREG(of.st_mode)))
        return 0; /* a pipe could not be read again */
    if (merge(a, line, &merged, &err) != DM_OK)
        return 0;
    const dm_value *lms = dm_value_get(merged, "lms");
    size_t n = add_key_names(dm_value_get(merged, "lm"), names, 0, room);
    for (size_t i = 0; lms && lms->kind == DM_DICT && i < lms->n; i++)
        n = add_key_names(lms->members[i].value, names, n, room);
    return n;
}

dm_metric *dm_job_metric(dm_arena *a, const dm_job *job, dm_error *err)
{
    dm_at at = dm_at_root(job->setup.metric, job->file, DM_E_JOB);
    const dm_dataset *sets[3];
    size_t n = 0;
    snprintf(at.path, sizeof at.path, "metric");
    for (size_t i = 0; i < 3; i++)
        if (job->setup.sets[i])
            sets[n++] = job->setup.sets[i];
    return dm_metric_new(a, &at, job->program, sets, n, err);
}

/* ---- identity ---- */

static void put_hash(dm_arena *a, dm_value *d, const char *key, const dm_hash *h)
{
    char hex[65];
    dm_hash_hex(h, hex);
    dm_value_set(a, d, dm_str_of(key), dm_value_text(a, hex));
}

static dm_value *optimizer_json(dm_arena *a, const dm_job *job)
{
    const dm_value *given = dm_value_get(job->json, "optimizer");
    dm_value *d = dm_value_dict(a);
    dm_value_set(a, d, DM_STR("name"), dm_value_text(a, job->optimizer->class->name));
    if (given && given->kind == DM_LIST)
        dm_value_set(a, d, DM_STR("of"), given);
    for (size_t i = 0; given && given->kind == DM_DICT && i < given->n; i++)
        if (!dm_str_is(given->members[i].key, "name") &&
            !dm_str_is(given->members[i].key, "num_threads") &&
            !dm_str_is(given->members[i].key, "in_flight") &&
            !dm_str_is(given->members[i].key, "seed"))
            dm_value_set(a, d, given->members[i].key, given->members[i].value);
    dm_param_files_identity(a, job, d);
    return d;
}

dm_value *dm_job_identity(dm_arena *a, const dm_job *job)
{
    static const char *const sets[] = {"trainset", "valset", "testset"};
    dm_value *d = dm_value_dict(a), *models = dm_value_list(a), *own = dm_value_dict(a);
    put_hash(a, d, "program", &job->student->hash);
    if (job->teacher)
        put_hash(a, d, "teacher", &job->teacher->hash);
    for (int i = 0; i < 3; i++)
        if (job->setup.sets[i])
            put_hash(a, d, sets[i], &job->setup.sets[i]->fingerprint);
    for (int i = 0; i < DM_OWN; i++) {
        const dm_lm_config *c = job->setup.model[i];
        dm_value_append(a, models, c ? dm_lm_identity(a, c) : dm_value_null(a));
    }
    dm_value_set(a, d, DM_STR("lm"), models);
    for (size_t i = 0; i < job->own.n; i++)
        dm_value_set(a, own, dm_str_of(job->own.name[i]),
                     dm_lm_identity(a, job->setup.model[DM_OWN + i]));
    if (own->n)
        dm_value_set(a, d, DM_STR("lms"), own);
    if (job->setup.metric)
        dm_value_set(a, d, DM_STR("metric"), job->setup.metric);
    dm_value_set(a, d, DM_STR("adapter"), dm_value_text(a, dm_adapter_name(job->setup.adapter)));
    dm_value_set(a, d, DM_STR("inputs"),
                 dm_value_strings(a, job->setup.inputs, job->setup.n_inputs));
    dm_value_set(a, d, DM_STR("failure_score"), dm_value_float(a, job->setup.failure_score));
    if (job->optimizer)
        dm_value_set(a, d, DM_STR("optimizer"), optimizer_json(a, job));
    const dm_value *in_flight = dm_value_get(dm_value_get(job->json, "optimizer"), "in_flight");
    if (in_flight)
        dm_value_set(a, d, DM_STR("in_flight"), in_flight);
    dm_value_set(a, d, DM_STR("seed"),
                 job->has_seed ? dm_value_int(a, job->seed) : dm_value_null(a));
    return d;
}
