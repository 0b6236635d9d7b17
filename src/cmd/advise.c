/* dspy-mpi advise: whether a compilation is worth it, and what would decide. */
#include "base/clock.h"
#include "cmd/advise.h"
#include "cmd/commands.h"
#include "cmd/history.h"
#include "cmd/job_plan.h"
#include "cmd/say.h"
#include "json/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define METRIC_SECONDS 20.0 /* of trying the metric */
#define MOST_TRIED     100  /* right answers */

/* ---- without a call ---- */

static bool is_metric(const dm_job *job, const char *builtin)
{
    const dm_value *m = job->setup.metric, *name = dm_value_get(m, "name");
    name = name ? name : m;
    return name && name->kind == DM_STRING && dm_str_is(name->text, builtin);
}

static bool wants_equality(const dm_job *job)
{
    return !dm_value_get(job->setup.metric, "frac") &&
           (is_metric(job, "exact_match") || is_metric(job, "answer_exact_match") ||
            is_metric(job, "any_of"));
}

static dm_label_as compared_as(const dm_job *job)
{
    return is_metric(job, "numeric")  ? DM_LABEL_AS_NUMBER
           : is_metric(job, "any_of") ? DM_LABEL_AS_SET
                                      : DM_LABEL_AS_TEXT;
}

/* The output that the metric is told to look at, or looks at by itself; .p NULL: not known. */
static dm_str scored_field(const dm_job *job)
{
    const dm_value *m = job->setup.metric, *name = dm_value_get(m, "name"),
                   *field = dm_value_get(m, "field");
    name = name ? name : m;
    if (field && field->kind == DM_STRING)
        return field->text;
    if (name && name->kind == DM_STRING && dm_str_is(name->text, "answer_exact_match"))
        return DM_STR("answer");
    return (dm_str){NULL, 0};
}

static bool has_column(const dm_dataset *set, dm_str name)
{
    for (size_t i = 0; set && i < set->n; i++)
        if (dm_value_get_str(set->examples[i].row, name))
            return true;
    return false;
}

/* The outputs that the data has, what the metric looks at first. */
static void take_labels(const dm_job *job, dm_data *d, dm_str *labels)
{
    const dm_signature *s = job->program->predictors[job->program->n - 1].signature;
    dm_str scored = scored_field(job);
    for (size_t i = s->n_inputs; i < s->n_inputs + s->n_outputs; i++) {
        dm_str name = s->fields[i].name;
        bool there = false, first = scored.p && dm_str_eq(name, scored);
        for (int k = 0; k < DM_SETS; k++)
            there = there || has_column(d->sets[k], name);
        if (!there)
            continue;
        labels[d->n_labels] = name;
        if (first || d->n_labels == 0)
            d->closed =
                s->fields[i].type->kind == DM_T_LITERAL || s->fields[i].type->kind == DM_T_BOOL;
        if (first) {
            labels[d->n_labels] = labels[0];
            labels[0] = name;
        }
        d->n_labels++;
    }
    d->labels = labels;
    d->n_scored = d->n_labels && scored.p && dm_str_eq(labels[0], scored) ? 1 : 0;
}

/* Of the label that is scored. */
static void count_misfits(const dm_job *job, dm_data *d)
{
    const dm_signature *s = job->program->predictors[job->program->n - 1].signature;
    for (size_t i = s->n_inputs; d->n_labels && i < s->n_inputs + s->n_outputs; i++)
        for (int k = 0; k < DM_SETS && dm_str_eq(s->fields[i].name, d->labels[0]); k++)
            if (d->sets[k])
                d->misfits[k] = dm_label_misfits(&s->fields[i], d->sets[k], &d->misfit[k]);
}

/* What can be said of the job's data without a call. trial: what its metric was found to be; NULL:
 * that was not tried, and nothing is looked for that takes long. compares: it holds labels against
 * outputs and does nothing else. */
static dm_findings findings_of(dm_arena *a, const dm_job *job, const dm_trial_verdict *trial,
                               bool compares)
{
    const dm_signature *s = job->program->predictors[job->program->n - 1].signature;
    dm_data d = {.sets = {job->trainset, job->valset_is_trainset ? NULL : job->valset,
                          job->testset},
                 .inputs = job->program->inputs,
                 .n_inputs = job->program->n_inputs,
                 .exact = wants_equality(job),
                 .compared = compared_as(job),
                 .full = trial && trial->full,
                 .similar = trial != NULL};
    take_labels(job, &d, dm_arena_alloc_n(a, s->n_outputs, sizeof(dm_str)));
    if (compares)
        count_misfits(job, &d);
    return dm_data_look(a, &d);
}

void dm_say_findings(dm_arena *a, const dm_job *job)
{
    dm_findings f = findings_of(a, job, NULL, false);
    if (f.n && f.list[0].fix)
        dm_say(stderr, "advice: %s: %s (dspy-mpi advise says more)\n",
               dm_advice_words(DM_ADVICE_FIX_FIRST), f.list[0].text);
}

/* A metric that cannot be used is a finding; anything else that goes wrong ends the command. */
static dm_status try_metric(dm_advising *v, dm_metric *metric, dm_error *err)
{
    dm_status st = dm_metric_trial(v->arena, v->job, metric, MOST_TRIED, true, METRIC_SECONDS,
                                   &v->metric, err);
    if (st == DM_E_DATA) {
        v->metric_fault = dm_arena_printf(v->arena, "%s", err->text);
        return DM_OK;
    }
    if (st == DM_OK && v->metric.no_label_fits && dm_metric_compares(metric))
        v->metric_fault = "no label fits the output's type: no answer can be right";
    else if (st == DM_OK && v->metric.no_label_scores)
        v->metric_fault = "metric: every label scores 0 when it is given as the answer";
    return st;
}

static bool has_to_be_fixed(const dm_advising *v)
{
    bool fix = v->metric_fault || v->metric.useless;
    for (size_t i = 0; i < v->data.n; i++)
        fix = fix || v->data.list[i].fix;
    return fix;
}

static size_t count_train(const dm_advising *v)
{
    const dm_value *json = v->job->json;
    bool given = dm_value_get(json, "valset") || dm_value_get(json, "valset_size");
    return v->data.sets[DM_TRAIN].distinct + (given ? 0 : v->data.sets[DM_VALIDATION].distinct);
}

/* ---- with calls ---- */

#define DONE "advice.json" /* what a run that was through has written */

/* Beside OUT, so that it is no compilation's: OUT.advice has a journal of its own. A run that was
 * cut short goes on with it; a new one has a new journal, and pays for nothing that the last one
 * knows. Where nothing can be written it goes without. */
static dm_status open_journal(dm_advising *v, const dm_command_line *line, dm_error *err)
{
    dm_job *job = v->job;
    dm_arena *a = v->arena;
    const char *folder = dm_arena_printf(a, "%s.advice", job->out);
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
        job->setup.out = NULL;
        return DM_OK;
    }
    job->out = job->setup.out = v->folder = folder;
    const char *journal = dm_arena_printf(a, "%s/journal", folder),
               *done = dm_arena_printf(a, "%s/" DONE, folder),
               *earlier = dm_arena_printf(a, "%s/" DM_EARLIER_JOURNAL, folder);
    if (dm_value_get(line->flags, "fresh") && dm_journal_is_one(journal)) {
        (void)unlink(journal);
        (void)unlink(earlier);
    }
    bool over = access(done, F_OK) == 0 || dm_journal_look(journal, dm_job_identity(a, job),
                                                           dm_history_more(a, job), NULL) != DM_OK;
    if (dm_journal_is_one(journal) && over && rename(journal, earlier) != 0)
        return dm_fail(err, DM_E_OUTPUT, "%s cannot be moved aside: %s", journal, strerror(errno));
    (void)unlink(done);
    return dm_history_open(a, job, line, DM_FSYNC_1S, err);
}

static void keep(const dm_advising *v, const dm_value *json)
{
    dm_buf b;
    dm_error unsaid;
    if (!v->folder || (v->stopped && v->stopped != DM_STOP_BUDGET))
        return;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_json_write(&b, json, DM_JSON_PYTHON_INDENT);
    dm_buf_char(&b, '\n');
    (void)!dm_write_file(dm_arena_printf(v->arena, "%s/" DONE, v->folder), dm_buf_view(&b),
                         &unsaid);
    dm_buf_free(&b);
}

static dm_status ask(dm_advising *v, const dm_command_line *line, dm_error *err)
{
    dm_job *job = v->job;
    dm_session s;
    bool own = job->cap.calls < v->most || !isinf(job->cap.tokens) || !isinf(job->cap.cost);
    job->cap.calls = v->most = fmin(job->cap.calls, v->most);
    dm_status st = dm_job_settle(v->arena, job, err);
    if (st == DM_OK)
        st = open_journal(v, line, err);
    if (st == DM_OK)
        st = dm_session_open(&s, job, err);
    if (st == DM_OK) {
        st = dm_advise_ask(v, &s, err);
        v->capped = own && v->stopped == DM_STOP_BUDGET;
        dm_session_close(&s);
    }
    dm_replay_free(job->setup.replay);
    dm_replay_free(job->setup.earlier);
    dm_error second = {DM_OK, ""};
    if (job->setup.journal && dm_journal_close(job->setup.journal, &second) != DM_OK && st == DM_OK)
        st = dm_fail(err, second.status, "%s", second.text);
    return st;
}

/* ---- what a compilation would be ---- */

static bool fits(const dm_job *job, size_t train, size_t val)
{
    const dm_optimizer *o = job->optimizer ? job->optimizer->class : NULL;
    return o && train >= o->few_train && val >= o->few_val;
}

/* The job, or the job with the optimizer that fits the data. */
static void choose_optimizer(dm_advising *v, const dm_command_line *line)
{
    size_t train = v->n_train,
           val = v->data.sets[v->job->valset_is_trainset ? DM_TRAIN : DM_VALIDATION].distinct;
    const char *name = dm_fitting_optimizer(train, val);
    dm_job_wants wants = {.data = true, .metric = true, .optimizer = true, .model = true};
    dm_command_line other = *line;
    dm_job *job = dm_arena_alloc(v->arena, sizeof *job);
    other.keys = dm_value_copy(v->arena, line->keys);
    v->own = fits(v->job, train, val) ||
             (v->job->optimizer && strcmp(v->job->optimizer->class->name, name) == 0);
    if (!v->own) {
        dm_value *flag = dm_value_text(v->arena, name);
        flag->line = DM_LINE_FLAG;
        dm_value_set(v->arena, other.keys, DM_STR("optimizer"), flag);
    }
    dm_error unsaid = {DM_OK, ""};
    if (dm_job_read(v->arena, &other, wants, job, &unsaid) != DM_OK ||
        dm_plan_limit(job, &unsaid) != DM_OK)
        return;
    v->compile = job;
    dm_plan plan = dm_plan_of(job);
    dm_estimate e = dm_estimate_of(job, &plan, &v->measured);
    v->calls = dm_plan_together(&plan);
    v->tokens = e.all.prompt;
    dm_range_add(&v->tokens, &e.all.completion);
    v->cost = e.all.cost;
    v->has_cost = e.has_cost && e.all.cost.high > 0;
    v->after_demos = dm_plan_demos(job);
    v->before = dm_estimate_use(v->job, &v->measured, 0);
    v->after = dm_estimate_use(v->job, &v->measured, (double)v->after_demos);
}

/* ---- the whole ---- */

static dm_status read_number(const dm_command_line *line, const char *name, bool money, double *out,
                             dm_error *err)
{
    const dm_value *flag = dm_value_get(line->flags, name);
    if (!flag)
        return DM_OK;
    dm_status st =
        money ? dm_parse_money(flag->text.p, out, err) : dm_parse_count(flag->text.p, out, err);
    if (st == DM_OK && !(*out > 0))
        st = dm_fail(err, DM_E_USAGE, "more than 0");
    return st == DM_OK ? st : dm_error_wrap(err, DM_E_USAGE, "--%s", name);
}

static dm_status read_flags(dm_advising *v, const dm_command_line *line, dm_error *err)
{
    dm_status st = read_number(line, "calls", false, &v->most, err);
    if (st == DM_OK)
        st = read_number(line, "uses", false, &v->uses, err);
    return st == DM_OK ? read_number(line, "value", true, &v->value, err) : st;
}

static dm_status look(dm_advising *v, const dm_command_line *line, dm_error *err)
{
    dm_status st = read_flags(v, line, err);
    if (st == DM_OK)
        st = dm_session_deadline(line, v->job, err);
    dm_metric *metric = st == DM_OK ? dm_job_metric(v->arena, v->job, err) : NULL;
    if (st == DM_OK && !metric)
        st = err->status;
    if (st == DM_OK)
        st = try_metric(v, metric, err);
    if (st == DM_OK) {
        v->data = findings_of(v->arena, v->job, &v->metric, dm_metric_compares(metric));
        v->n_train = count_train(v);
    }
    dm_metric_free(metric);
    v->measured = dm_calibration_assumed();
    if (st == DM_OK && !has_to_be_fixed(v))
        st = ask(v, line, err);
    return st;
}

/* Half of what would have been asked is no advice. */
static int tell_stop(const dm_advising *v, const dm_command_line *line)
{
    dm_arena *a = v->arena;
    dm_value *d = dm_value_dict(a);
    dm_value_set(a, d, DM_STR("status"), dm_value_text(a, "stopped"));
    dm_value_set(a, d, DM_STR("reason"), dm_value_text(a, dm_status_name(v->stopped)));
    dm_value_set(a, d, DM_STR("verdict"), dm_value_null(a));
    dm_value_set(a, d, DM_STR("reasons"), dm_value_list(a));
    dm_value_set(a, d, DM_STR("calls"), dm_value_int(a, v->stats.usage.requests));
    dm_say(stderr, "dspy-mpi: stopped (%s) after %lld calls; the same command resumes from there\n",
           dm_status_name(v->stopped), (long long)v->stats.usage.requests);
    dm_print_last_line(d, line);
    return dm_exit_code(v->stopped);
}

int dm_cmd_advise(dm_arena *a, const dm_command_line *line)
{
    dm_job job;
    dm_error err = {DM_OK, ""};
    dm_job_wants wants = {.data = true, .metric = true, .model = true, .few = true};
    dm_advising v = {.arena = a,
                     .job = &job,
                     .line = line,
                     .most = DM_ADVISE_CALLS,
                     .uses = NAN,
                     .value = NAN,
                     .start = {NAN, NAN, NAN, 0}};
    dm_status st = dm_job_read(a, line, wants, &job, &err);
    if (st == DM_OK && job.ensemble)
        st = dm_fail(&err, DM_E_JOB, "%s: an ensemble cannot be compiled further: give one program",
                     job.file);
    if (st == DM_OK && !job.trainset)
        st = dm_fail(&err, DM_E_JOB, "%s: trainset: a training set is missing", job.file);
    if (st == DM_OK)
        st = look(&v, line, &err);
    if (st != DM_OK)
        return dm_say_failure(&err);
    if (v.stopped && v.stopped != DM_STOP_BUDGET)
        return tell_stop(&v, line);
    choose_optimizer(&v, line);
    dm_advise_judge(&v);
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_advise_text(&b, &v);
    dm_say_text(stderr, dm_buf_view(&b));
    dm_buf_free(&b);
    dm_value *json = dm_advise_json(&v);
    keep(&v, json);
    dm_print_last_line(json, line);
    return 0;
}
