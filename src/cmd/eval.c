/* dspy-mpi eval: score one program on one data set. */
#include "base/clock.h"
#include "cmd/asked.h"
#include "cmd/commands.h"
#include "cmd/out.h"
#include "cmd/say.h"
#include "cmd/session.h"
#include "json/json.h"
#include "optimizer/optimizer.h"

#include <stdio.h>
#include <string.h>

static const dm_dataset *choose(const dm_job *job, const dm_command_line *line, const char **name,
                                dm_error *err)
{
    const dm_value *split = dm_value_get(line->flags, "split");
    const struct {
        const char *name;
        const dm_dataset *set;
    } sets[] = {{"testset", job->testset}, {"valset", job->valset}, {"trainset", job->trainset}};
    for (int i = 0; i < 3; i++)
        if (split ? strcmp(split->text.p, sets[i].name) == 0 : sets[i].set && i < 2) {
            *name = sets[i].name;
            if (!sets[i].set)
                dm_fail(err, DM_E_JOB, "%s: there is no %s in the job", job->file, sets[i].name);
            return sets[i].set;
        }
    if (split)
        dm_fail(err, DM_E_USAGE, "--split is testset, valset or trainset, not \"%s\"",
                split->text.p);
    else
        dm_fail(err, DM_E_JOB,
                "%s: there is no testset and no valset to score on; --split=trainset scores on the "
                "training set",
                job->file);
    return NULL;
}

/* --out: what was answered, and the last line as a file that says whose it is. */
static dm_status keep(dm_arena *a, const dm_job *job, const dm_split_report *split,
                      const dm_value *last, dm_error *err)
{
    dm_value *d = dm_value_copy(a, last), *ours = dm_value_dict(a), *meta = dm_value_dict(a);
    dm_buf b;
    dm_value_set(a, ours, DM_STR("version"), dm_value_text(a, DM_VERSION));
    dm_value_set(a, ours, DM_STR("model"), dm_value_text(a, job->model));
    dm_value_set(a, ours, DM_STR("stand_in"), dm_value_bool(a, job->stand_in));
    dm_value_set(a, meta, DM_STR("dspy_mpi"), ours);
    dm_value_set(a, d, DM_STR("metadata"), meta);
    dm_buf_init(&b, DM_MAX_FILE);
    dm_report_predictions(&b, &job->setup, split, 1);
    dm_status st =
        b.full ? dm_fail(err, DM_E_OUTPUT, "predictions.jsonl would be over %zu bytes", DM_MAX_FILE)
               : dm_out_write(job, "predictions.jsonl", dm_buf_view(&b), err);
    dm_buf_reset(&b);
    dm_json_write(&b, d, DM_JSON_PYTHON_INDENT);
    dm_buf_char(&b, '\n');
    if (st == DM_OK)
        st = dm_out_write(job, "score.json", dm_buf_view(&b), err);
    dm_buf_free(&b);
    return st;
}

static int report(dm_arena *a, dm_session *s, const dm_command_line *line,
                  const dm_split_report *split, const dm_asked *asked, bool kept)
{
    dm_error err = {DM_OK, ""};
    dm_pool_stats stats = dm_pool_stats_of(s->pool);
    dm_report r = {.splits = split,
                   .n_splits = 1,
                   .stand_in = s->job->stand_in,
                   .usage = stats.usage,
                   .cost = stats.cost,
                   .seconds = dm_now() - s->started};
    dm_buf b;
    dm_score score = dm_score_of(split->baseline, split->set->n);
    dm_value *last = dm_last_line(a, s, DM_OK);
    dm_session_clear_line(s);
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_report_table(&b, &r);
    if (asked) {
        dm_asked_text(&b, s->job->ensemble, asked, split->set->n);
        dm_value_set(a, last, DM_STR("ensemble"),
                     dm_asked_json(a, s->job->ensemble, asked, split->set->n));
    }
    dm_say_text(stderr, dm_buf_view(&b));
    dm_buf_free(&b);
    dm_value_set(a, last, dm_str_of(split->name), dm_score_json(a, &score));
    dm_status st = kept ? keep(a, s->job, split, last, &err) : DM_OK;
    dm_print_last_line(last, line);
    if (st != DM_OK)
        return dm_say_failure(&err);
    if (score.failed == split->set->n) { /* nothing was scored */
        const dm_result *first = &split->baseline[0];
        bool ours = first->fault == DM_FAULT_METRIC || first->fault == DM_FAULT_PROGRAM;
        (void)dm_fail(&err, ours ? DM_E_DATA : DM_E_MODEL, "no answer could be used: %s",
                      first->error ? first->error : dm_fault_name(first->fault));
        return dm_say_failure(&err);
    }
    return 0;
}

/* Up to the first call. */
static dm_status prepare(dm_arena *a, const dm_command_line *line, dm_job *job, dm_asking *how,
                         dm_split_report *split, dm_error *err)
{
    const dm_job_wants wants = {.data = true, .metric = true, .model = true, .asked = true};
    DM_TRY(dm_job_read(a, line, wants, job, err));
    DM_TRY(dm_session_deadline(line, job, err));
    DM_TRY(dm_asking_read(line, job, how, err));
    split->set = choose(job, line, &split->name, err);
    if (!split->set)
        return err->status;
    dm_metric *metric = dm_job_metric(a, job, err);
    if (!metric)
        return err->status;
    dm_metric_free(metric);
    if (dm_value_get(line->keys, "out"))
        DM_TRY(dm_out_open_eval(a, job, err));
    return dm_job_settle(a, job, err);
}

int dm_cmd_eval(dm_arena *a, const dm_command_line *line)
{
    dm_job job;
    dm_session s;
    dm_error err = {DM_OK, ""};
    dm_split_report split = {0};
    dm_asking how = {.scored = true, .strict = true};
    dm_status st = prepare(a, line, &job, &how, &split, &err);
    if (st == DM_OK)
        st = dm_session_open(&s, &job, &err);
    if (st != DM_OK)
        return dm_say_failure(&err);
    dm_asked asked;
    if (!job.ensemble)
        st = dm_try_program(s.pool, job.student, split.set, &err);
    dm_pool_phase(s.pool, "eval", job.ensemble ? 0 : split.set->n); /* an ensemble: not known */
    if (st == DM_OK)
        st = dm_ask(&s, &how, split.set, &split.baseline, &asked, &err);
    int code;
    if (st == DM_OK) {
        code = report(a, &s, line, &split, job.ensemble ? &asked : NULL,
                      dm_value_get(line->keys, "out") != NULL);
    } else if (st > 0) {
        dm_session_clear_line(&s);
        dm_print_last_line(dm_last_line(a, &s, st), line);
        code = dm_exit_code(st);
    } else {
        dm_session_clear_line(&s);
        code = dm_say_failure(&err);
    }
    dm_session_close(&s);
    return code;
}
