/* dspy-mpi check: the job and its data, without a call; --live asks each server once, and tries a
 * judge. */
#include "base/utf8.h"
#include "cmd/commands.h"
#include "cmd/job_plan.h"
#include "cmd/judge_trial.h"
#include "cmd/metric_trial.h"
#include "cmd/plan_text.h"
#include "cmd/say.h"
#include "cmd/session.h"
#include "json/json.h"
#include "lm/live.h"

#include <stdio.h>
#include <stdlib.h>

#define MOST_LABELS    40
#define METRIC_SECONDS 20.0 /* of trying the metric */
#define MOST_TRIED     500  /* right answers */

/* How often each value of a label stands in a set, if they are few. */
static void show_labels(dm_arena *a, const dm_dataset *set, dm_str field)
{
    dm_str values[MOST_LABELS];
    size_t counts[MOST_LABELS] = {0}, n = 0;
    for (size_t i = 0; i < set->n; i++) {
        const dm_value *v = dm_value_get_str(set->examples[i].row, field);
        dm_buf b;
        size_t k = 0;
        dm_buf_init(&b, DM_MAX_TEXT);
        if (v)
            dm_py_str(&b, v);
        while (k < n && !dm_str_eq(values[k], dm_buf_view(&b)))
            k++;
        if (k == n && n < MOST_LABELS)
            values[n++] = (dm_str){dm_arena_string(a, b.data ? b.data : "", b.len), b.len};
        else if (k == n)
            k = MOST_LABELS;
        dm_buf_free(&b);
        if (k == MOST_LABELS)
            return; /* too many to be classes */
        counts[k]++;
    }
    if (2 * n > set->n)
        return;
    dm_say(stdout, "  %.*s:", DM_STR_ARG(field));
    for (size_t k = 0; k < n; k++) {
        dm_str shown = values[k].n ? dm_utf8_head(values[k], 40) : DM_STR("(empty)");
        dm_say(stdout, " %.*s %zu%s", DM_STR_ARG(shown), counts[k], k + 1 < n ? "," : "");
    }
    dm_say(stdout, "\n");
}

static void show_set(dm_arena *a, const dm_job *job, const char *name, const dm_dataset *set)
{
    if (!set)
        return;
    const dm_value *row = set->examples[0].row;
    dm_say(stdout, "%-9s %zu examples, columns", name, set->n);
    for (size_t i = 0; i < row->n; i++)
        dm_say(stdout, "%s %.*s", i ? "," : "", DM_STR_ARG(row->members[i].key));
    dm_say(stdout, "\n");
    const dm_signature *s = job->program->predictors[job->program->n - 1].signature;
    for (size_t i = s->n_inputs; i < s->n_inputs + s->n_outputs; i++)
        if (dm_value_get_str(row, s->fields[i].name))
            show_labels(a, set, s->fields[i].name);
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_label_trial(&b, job, set);
    dm_say_text(stdout, dm_buf_view(&b));
    dm_buf_free(&b);
}

static void show_program(const dm_job *job)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    for (size_t k = 0; k < job->program->n; k++) {
        const dm_predictor *p = &job->program->predictors[k];
        const dm_signature *s = p->signature;
        dm_buf_printf(&b, "%-9s ", k ? "" : "program");
        if (p->step.n)
            dm_buf_printf(&b, "%.*s = ", DM_STR_ARG(p->step));
        dm_buf_text(&b, p->module == DM_CHAIN_OF_THOUGHT ? "chain_of_thought(" : "predict(");
        for (size_t i = 0; i < s->n_inputs + s->n_outputs; i++) {
            dm_buf_printf(&b, "%s%.*s",
                          i == s->n_inputs ? " -> "
                          : i              ? ", "
                                           : "",
                          DM_STR_ARG(s->fields[i].name));
            if (s->fields[i].type->kind != DM_T_STR) {
                dm_buf_text(&b, ": ");
                dm_type_python(&b, s->fields[i].type);
            }
        }
        dm_buf_text(&b, ")\n");
    }
    dm_say_text(stdout, dm_buf_view(&b));
    dm_buf_free(&b);
}

/* ---- --live ---- */

static void show_server(const dm_lm_config *c, const char *base, const dm_live *l)
{
    dm_say(stdout, "server    %s: ", base);
    if (!l->up) {
        dm_say(stdout, "gives no answer: %s\n", l->why);
        return;
    }
    dm_say(stdout, "up");
    if (*l->models)
        dm_say(stdout, "; serves %s%s", l->models,
               l->lists ? "" : ", none of which is the job's model");
    if (l->context)
        dm_say(stdout, "; context %lld tokens", (long long)l->context);
    else
        dm_say(stdout, "; does not report the context length of %s", c->name);
    dm_say(stdout, "; response_format is %s", l->format == DM_TAKES_IT ? "taken" : "refused");
    if (l->speed > 0)
        dm_say(stdout, "; %.1f tokens/s in one answer", l->speed);
    dm_say(stdout, "\n");
}

/* DM_E_MODEL: a model has no server that answers. */
static dm_status ask_servers(dm_arena *a, const dm_job *job, dm_error *err)
{
    const dm_lm_config *models[DM_ROLES];
    dm_status st = dm_setup_models(a, &job->setup, models, err);
    for (int i = 0; i < DM_ROLES && st == DM_OK; i++) {
        const dm_lm_config *c = models[i];
        size_t up = 0;
        if (!c || dm_setup_model_of(&job->setup, i) != i || dm_lm_in_process(c) || dm_lm_by_host(c))
            continue;
        for (size_t k = 0; k < c->n_base && st == DM_OK; k++) {
            dm_live l;
            st = dm_lm_live(a, c, k, &l, err);
            if (st == DM_OK)
                show_server(c, c->api_base[k], &l);
            up += st == DM_OK && l.up;
        }
        if (st == DM_OK && up == 0)
            st = dm_fail(err, DM_E_MODEL,
                         "no server of %s answers; are they up, and are the "
                         "addresses right?",
                         c->model);
    }
    return st;
}

int dm_cmd_check(dm_arena *a, const dm_command_line *line)
{
    dm_job job;
    dm_error err = {DM_OK, ""};
    dm_job_wants wants = {.data = true, .metric = true, .model = true};
    dm_status st = dm_job_read(a, line, wants, &job, &err);
    dm_metric *metric = st == DM_OK ? dm_job_metric(a, &job, &err) : NULL;
    if (!metric)
        return dm_say_failure(&err);
    show_program(&job);
    show_set(a, &job, "trainset", job.trainset);
    if (job.valset_is_trainset)
        dm_say(stdout, "valset    the training set\n");
    else
        show_set(a, &job, "valset", job.valset);
    show_set(a, &job, "testset", job.testset);
    dm_trial_verdict v;
    st = dm_metric_trial(a, &job, metric, MOST_TRIED, true, METRIC_SECONDS, &v, &err);
    if (st != DM_OK) {
        dm_metric_free(metric);
        return dm_say_failure(&err);
    }
    dm_say(stdout, "metric    %s%s%s\nmodel     %s%s\n", dm_metric_name(metric), v.odd ? ": " : "",
           v.odd ? v.odd : "", job.model, job.stand_in ? " (stand-in, not a language model)" : "");
    if (job.optimizer)
        dm_say(stdout, "optimizer %s\nout       %s\n", job.optimizer->class->name, job.out);
    dm_plan plan = dm_plan_of(&job);
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_buf_text(&b, "calls     ");
    dm_plan_fill_text(&b, &job, &plan);
    dm_buf_text(&b, "\nranks     ");
    dm_plan_ranks_text(&b, &job, &plan, 0);
    dm_buf_char(&b, '\n');
    dm_say_text(stdout, dm_buf_view(&b));
    dm_buf_free(&b);
    bool live = dm_value_get(line->flags, "live") != NULL;
    st = live ? ask_servers(a, &job, &err) : DM_OK;
    if (st == DM_OK && live)
        st = dm_judge_trial(a, &job, metric, &err);
    dm_metric_free(metric);
    if (job.metric_fails)
        st = dm_fail(&err, DM_E_DATA, "metric: it failed on every example that was tried");
    if (v.no_label_fits || v.no_label_scores)
        st = dm_fail(&err, DM_E_DATA, "%s: %s", job.file,
                     v.no_label_fits ? "no label fits the output's type: no answer can be right"
                                     : "metric: every label scores 0 when it is given as the "
                                       "answer: nothing can be learned from that");
    return st == DM_OK ? 0 : dm_say_failure(&err);
}
