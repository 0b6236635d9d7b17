/* dspy-mpi compile: optimize, write OUT/program.json and the evidence beside it. */
#include "base/clock.h"
#include "base/log.h"
#include "cmd/advise.h"
#include "cmd/commands.h"
#include "cmd/ensemble_text.h"
#include "cmd/evidence.h"
#include "cmd/history.h"
#include "cmd/job_plan.h"
#include "cmd/judge_trial.h"
#include "cmd/out.h"
#include "cmd/owned.h"
#include "cmd/plan_text.h"
#include "cmd/python_job.h"
#include "cmd/report.h"
#include "cmd/say.h"
#include "cmd/trials.h"
#include "cmd/watch.h"
#include "json/json.h"
#include "optimizer/optimizer.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define METRIC_SECONDS 20.0 /* of trying the metric */

typedef struct compilation {
    dm_arena *arena;
    dm_job *job;
    dm_metric *metric; /* tried before the first call */
    dm_session session;
    dm_watch watch;
    dm_compile_output result;
    dm_split_report splits[2];
    size_t n_splits;
    dm_pool_stats searched; /* when the search was over */
    dm_judge_noise noise;   /* of the judge; n 0: not known */
} compilation;

/* ---- before ---- */

static void announce(const dm_job *job)
{
    dm_say(stderr, "%s: %zu predictor%s, %s; train %zu, validation %zu%s, test %zu; %s%s\n",
           job->optimizer->class->name, job->program->n, job->program->n == 1 ? "" : "s",
           dm_adapter_shown(job->setup.adapter), job->trainset->n, job->valset ? job->valset->n : 0,
           job->valset_is_trainset ? " (the training set)" : "", job->testset ? job->testset->n : 0,
           job->model, job->stand_in ? " (stand-in, not a language model)" : "");
}

/* What the optimizer has to say about itself; the stand-in's calls need no filling. */
static void announce_optimizer(dm_arena *a, const dm_job *job)
{
    const dm_compile_input in = dm_job_input(job);
    dm_buf b;
    if (!in.params->class->announce)
        return;
    dm_buf_init(&b, 4096);
    in.params->class->announce(&b, a, &in, job->stand_in ? 0 : job->concurrency);
    dm_say_text(stderr, dm_buf_view(&b));
    dm_buf_free(&b);
}

#define CONFIRM_ABOVE 10.0 /* dollars, where nothing else is said */

/* What it will come to; above --confirm-above a person on a terminal is asked. */
static dm_status announce_plan(const dm_job *job, const dm_plan *plan, const dm_command_line *line,
                               dm_error *err)
{
    const dm_value *limit = dm_value_get(line->flags, "confirm-above");
    dm_calibration c = dm_calibration_assumed();
    dm_estimate e = dm_estimate_of(job, plan, &c);
    double most = CONFIRM_ABOVE, expected = e.has_cost ? e.all.cost.expected : 0;
    dm_status st = DM_OK;
    dm_buf b;
    if (limit && limit->text.p[0] == '$') {
        st = dm_parse_money(limit->text.p, &most, err);
    } else if (limit) {
        st = dm_parse_count(limit->text.p, &most, err);
        expected = dm_plan_together(plan).expected;
    }
    if (st != DM_OK)
        return dm_error_wrap(err, st, "--confirm-above");
    dm_buf_init(&b, 4096);
    dm_estimate_line(&b, plan, &e);
    dm_buf_char(&b, '\n');
    dm_plan_advice(&b, job, plan, &e, NAN, 0);
    if (limit && limit->text.p[0] == '$' && !e.has_cost)
        dm_buf_text(&b, "--confirm-above: a model has no price, so it cannot be compared: give "
                        "`price`, or a number of calls\n");
    dm_say_text(stderr, dm_buf_view(&b));
    dm_buf_free(&b);
    if (expected <= most || !isatty(0) || !isatty(2))
        return DM_OK;
    char answer[16] = "";
    dm_say(stderr, "that is above --confirm-above; continue? [y/N] ");
    if (fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
        return DM_OK;
    return dm_fail(err, DM_E_USAGE, "not confirmed; nothing was called");
}

/* What -n and concurrency mean for this job; the stand-in keeps nobody waiting. */
static void announce_fill(const dm_job *job, const dm_plan *plan)
{
    dm_buf b;
    if (job->stand_in)
        return;
    dm_buf_init(&b, 2000);
    dm_plan_fill_text(&b, job, plan);
    dm_buf_text(&b, "\nranks: ");
    dm_plan_ranks_text(&b, job, plan, dm_model_ranks);
    dm_buf_char(&b, '\n');
    dm_say_text(stderr, dm_buf_view(&b));
    dm_buf_free(&b);
}

/* A wrong metric is cheaper to notice now. */
static dm_status try_metric(dm_arena *a, const dm_job *job, dm_metric *metric, dm_error *err)
{
    dm_trial_verdict v;
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_label_trial(&b, job, job->valset ? job->valset : job->trainset);
    dm_say_text(stderr, dm_buf_view(&b));
    dm_buf_free(&b);
    dm_say_findings(a, job);
    dm_status st = dm_metric_trial(a, job, metric, 0, false, METRIC_SECONDS, &v, err);
    if (v.odd)
        dm_say(stderr, "metric %s: %s\n", dm_metric_name(metric), v.odd);
    if (st == DM_OK && v.no_label_fits && dm_metric_compares(metric))
        st = dm_fail(err, DM_E_DATA, "%s: no label fits the output's type: no answer can be right",
                     job->file);
    return st;
}

/* ---- after: start and winner on validation and test set ---- */

/* The set that validation scores are on: the optimizer's own choice of it, if it made one. */
static const dm_dataset *valset_of(const compilation *c)
{
    return c->result.valset ? c->result.valset : c->job->valset;
}

/* The start program's results on that set; NULL: not known, the run was stopped before. */
static const dm_result *start_of(const compilation *c)
{
    for (size_t i = 0; i < c->n_splits; i++)
        if (c->splits[i].set == valset_of(c))
            return c->splits[i].baseline;
    return NULL;
}

static void take_splits(compilation *c, const dm_split *splits, size_t n)
{
    for (size_t i = 0; i < n; i++)
        c->splits[c->n_splits++] = (dm_split_report){splits[i].name, splits[i].set,
                                                     splits[i].baseline, splits[i].compiled};
}

/* Of an ensemble: the start beside the committee, or beside the best single program; it has scored
 * them itself. */
static void take_chosen(compilation *c, bool committee)
{
    const dm_ensemble_output *o = c->result.ensemble;
    for (size_t i = 0; i < o->n_splits; i++) {
        const dm_ensemble_split *s = &o->splits[i];
        if (!committee || s->committee.results)
            c->splits[c->n_splits++] =
                (dm_split_report){s->name, s->set, s->start,
                                  committee ? s->committee.results : s->single};
    }
}

static dm_status score_splits(compilation *c, dm_error *err)
{
    const dm_compile_input in = dm_job_input(c->job);
    dm_split splits[DM_SPLITS];
    size_t n;
    dm_status st = dm_score_splits(c->session.pool, &in, &c->result, splits, &n, err);
    take_splits(c, splits, n);
    return st;
}

/* How far a judge's word is to be trusted, on the answers that it has just judged. */
static dm_status ask_judge_again(compilation *c, dm_error *err)
{
    const dm_judging *j = dm_job_judging(c->arena, c->job);
    if (!j || c->n_splits == 0)
        return DM_OK;
    const dm_split_report *s = &c->splits[0];
    return dm_judge_again(c->session.pool, j, s->set, s->compiled, &c->noise, err);
}

/* ---- files ---- */

static dm_value *scores_json(const compilation *c)
{
    dm_arena *a = c->arena;
    dm_value *d = dm_value_dict(a);
    for (size_t i = 0; i < c->n_splits; i++) {
        const dm_split_report *s = &c->splits[i];
        dm_value *pair = dm_value_dict(a);
        dm_score baseline = dm_score_against(s->baseline, s->compiled, s->set->n),
                 compiled = dm_score_against(s->compiled, s->baseline, s->set->n);
        if (s->compiled == c->result.winner)
            dm_score_selected(&compiled, c->result.searched.optimism);
        dm_value_set(a, pair, DM_STR("baseline"), dm_score_json(a, &baseline));
        dm_value_set(a, pair, DM_STR("compiled"), dm_score_json(a, &compiled));
        dm_value_set(a, d, dm_str_of(s->name), pair);
    }
    return d;
}

static dm_status write_program(const compilation *c, const char *name,
                               const dm_candidate *candidate, const dm_value *scores, dm_error *err)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_FILE);
    dm_program_text(&b, c->arena, c->job, candidate, scores);
    dm_status st = dm_out_write(c->job, name, dm_buf_view(&b), err);
    dm_buf_free(&b);
    return st;
}

/* Score and length of each candidate, and which of them no other beats in both. */
static const dm_length_point *points_of(const compilation *c, bool **front)
{
    size_t n = c->result.n_scored;
    dm_length_point *all = dm_arena_alloc_n(c->arena, n, sizeof *all);
    *front = dm_arena_alloc_n(c->arena, n, sizeof **front);
    for (size_t i = 0; i < n; i++) {
        const dm_scored *t = &c->result.scored[i];
        dm_score s = dm_score_against(t->results, start_of(c), valset_of(c)->n);
        all[i] = (dm_length_point){s.score, dm_prompt_tokens(c->job, t->candidate), 0};
        for (size_t k = 0; t->results && k < valset_of(c)->n; k++)
            all[i].n += t->results[k].present || t->results[k].fault != DM_FAULT_NONE;
    }
    dm_front_of(all, n, *front);
    return all;
}

static dm_status write_trials(const compilation *c, dm_error *err)
{
    dm_buf b;
    bool *front;
    const dm_length_point *points = points_of(c, &front);
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_buf_text(&b, DM_TRIALS_HEADER);
    for (size_t i = 0; i < c->result.n_scored; i++) {
        const dm_scored *t = &c->result.scored[i];
        dm_score s = dm_score_against(t->results, start_of(c), valset_of(c)->n);
        dm_put_trial(&b, i, t->name, &s, i == c->result.best_index, t->levels, &points[i],
                     front[i]);
    }
    dm_status st = dm_out_write(c->job, "trials.csv", dm_buf_view(&b), err);
    dm_buf_free(&b);
    return st;
}

static dm_status write_candidates(const compilation *c, dm_error *err)
{
    dm_status st = DM_OK;
    char name[64];
    if (c->result.n_scored)
        (void)mkdir(dm_arena_printf(c->arena, "%s/candidates", c->job->out), 0777);
    for (size_t i = 0; i < c->result.n_scored && st == DM_OK; i++) {
        dm_score s = dm_score_against(c->result.scored[i].results, start_of(c), valset_of(c)->n);
        snprintf(name, sizeof name, "candidates/%03zu.json", i);
        st = write_program(c, name, c->result.scored[i].candidate, dm_trial_scores(c->arena, &s),
                           err);
    }
    if (st == DM_OK)
        dm_growth_trim(c->arena, c->job, c->result.n_scored);
    return st;
}

static dm_status write_ensemble(const compilation *c, const char *name, const dm_value *scores,
                                dm_error *err)
{
    const dm_ensemble_output *o = c->result.ensemble;
    dm_ensemble e = *o->ensemble;
    dm_buf b;
    e.more = dm_ensemble_more(c->arena, o, (const dm_ensemble_params *)c->job->optimizer,
                              c->job->setup.model);
    dm_buf_init(&b, DM_MAX_FILE);
    dm_ensemble_write(&b, c->arena, &e, dm_provenance(c->arena, c->job, scores));
    dm_status st = dm_out_write(c->job, name, dm_buf_view(&b), err);
    dm_buf_free(&b);
    return st;
}

static dm_status write_winner(const compilation *c, const dm_value *scores, dm_error *err)
{
    const dm_ensemble_output *o = c->result.ensemble;
    if (o && o->chosen)
        return write_ensemble(c, "program.json", scores, err);
    compilation own = *c;
    dm_job job = *c->job;
    own.job = &job;
    if (o)
        dm_job_name_model(&job, o->best.lm, o->best.role);
    dm_python_job_tell_models(c->job->student, c->result.best);
    return write_program(&own, "program.json", c->result.best, scores, err);
}

static dm_status write_files(const compilation *c, const dm_value *scores, dm_error *err)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_FILE);
    dm_report_predictions(&b, &c->job->setup, c->splits, c->n_splits);
    dm_status st = write_winner(c, scores, err);
    if (st == DM_OK && b.full)
        dm_say(stderr, "predictions.jsonl is left out: it would be over %zu bytes\n", DM_MAX_FILE);
    else if (st == DM_OK)
        st = dm_out_write(c->job, "predictions.jsonl", dm_buf_view(&b), err);
    if (st == DM_OK && c->result.n_scored)
        st = write_trials(c, err);
    if (st == DM_OK)
        st = write_candidates(c, err);
    if (st == DM_OK && c->result.n_scored)
        dm_scores_write(c->job, &c->result, valset_of(c), start_of(c));
    dm_buf_free(&b);
    return st;
}

/* What it would have written into an OUT of its own. */
static dm_status write_member(const compilation *c, const dm_compiled_member *m, dm_error *err)
{
    dm_job job = dm_job_of_member(c->arena, c->job, m->number, m->in);
    compilation alone = {.arena = c->arena, .job = &job, .result = m->out};
    (void)mkdir(job.out, 0777);
    take_splits(&alone, m->splits, m->n_splits);
    const dm_value *scores = scores_json(&alone);
    return write_files(&alone, scores->n ? scores : NULL, err);
}

/* The committee's own scores stand in its file, whatever was chosen. */
static dm_status write_members(compilation *c, dm_error *err)
{
    const dm_ensemble_output *o = c->result.ensemble;
    dm_status st = DM_OK;
    if (o->n)
        (void)mkdir(dm_arena_printf(c->arena, "%s/members", c->job->out), 0777);
    for (size_t i = 0; i < o->n && st == DM_OK; i++)
        st = write_member(c, &o->members[i], err);
    if (st != DM_OK || !o->ensemble)
        return st;
    compilation committee = {.arena = c->arena, .job = c->job, .result = c->result};
    take_chosen(&committee, true);
    const dm_value *scores = scores_json(&committee);
    return write_ensemble(c, "ensemble.json", scores->n ? scores : NULL, err);
}

/* What the search did, and what its score is worth (src/search/README.md §7.4). */
static dm_value *search_json(const compilation *c)
{
    const dm_searched *s = &c->result.searched;
    dm_arena *a = c->arena;
    dm_value *d = dm_value_dict(a);
    dm_value_set(a, d, DM_STR("method"), dm_value_text(a, s->method));
    dm_value_set(a, d, DM_STR("end"), dm_value_text(a, s->end));
    dm_value_set(a, d, DM_STR("runs"), dm_value_int(a, (int64_t)s->runs));
    dm_value_set(a, d, DM_STR("candidates"), dm_value_int(a, (int64_t)s->candidates));
    dm_value_set(a, d, DM_STR("barred"), dm_value_int(a, (int64_t)s->barred));
    if (s->learned)
        dm_value_set(a, d, DM_STR("learned"), dm_value_int(a, (int64_t)s->learned));
    return d;
}

static void print_search(const compilation *c)
{
    const dm_searched *s = &c->result.searched;
    const dm_dataset *set = valset_of(c);
    size_t overlap = 0;
    if (!s->method)
        return;
    bool planned = strcmp(s->end, "budget") == 0; /* the search's own, which nobody gave */
    dm_say(stderr, "search = %s ended %s%s: %zu program runs, %zu candidates", s->method,
           planned ? "as planned" : "by ", planned ? "" : s->end, s->runs, s->candidates);
    if (s->barred)
        dm_say(stderr, ", %zu not scored because they are in their demonstrations", s->barred);
    dm_say(stderr, "\n");
    for (size_t i = 0; s->in_demos && i < set->n; i++)
        overlap += s->in_demos[i] && c->result.winner[i].present;
    if (overlap) {
        dm_result *outside = dm_arena_alloc_n(c->arena, set->n, sizeof *outside),
                  *start = dm_arena_alloc_n(c->arena, set->n, sizeof *start);
        size_t n = 0;
        for (size_t i = 0; i < set->n; i++)
            if (!s->in_demos[i]) {
                start[n] = c->result.start[i];
                outside[n++] = c->result.winner[i];
            }
        dm_score rest = dm_score_against(outside, start, n);
        dm_say(stderr,
               "%zu validation examples are in the winner's demonstrations; on the %zu others it "
               "scores %.1f %%\n",
               overlap, rest.n, 100 * rest.score);
    }
}

/* A run that ended before its choice was scored on all of the validation set. */
static void print_seen(const compilation *c, dm_buf *b)
{
    const dm_compile_output *r = &c->result;
    bool told = r->best_index >= r->n_scored || !valset_of(c);
    for (size_t i = 0; i < c->n_splits; i++)
        told |= c->splits[i].set == valset_of(c);
    if (told)
        return;
    const dm_scored *t = &r->scored[r->best_index];
    dm_score s = dm_score_against(t->results, start_of(c), valset_of(c)->n);
    dm_buf_printf(b,
                  "the program is %s, the best so far. It was scored on %zu of %zu validation "
                  "examples: %.1f %% (%.1f to %.1f)\n",
                  t->name, s.n, valset_of(c)->n, 100 * s.score, 100 * s.low, 100 * s.high);
}

static void print_table(const compilation *c, const char *program)
{
    dm_pool_stats stats = dm_pool_stats_of(c->session.pool);
    dm_report r = {.splits = c->splits,
                   .n_splits = c->n_splits,
                   .selected = c->result.n_scored > 0 || c->result.ensemble,
                   .optimism = c->result.searched.optimism,
                   .stand_in = c->job->stand_in,
                   .usage = stats.usage,
                   .cost = stats.cost,
                   .seconds = dm_now() - c->session.started,
                   .program = program};
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_report_table(&b, &r);
    if (c->result.told) {
        bool *front;
        const dm_length_point *points = points_of(c, &front);
        dm_front_text(&b, points, c->result.n_scored, front, c->job->out);
    }
    print_seen(c, &b);
    if (c->noise.n) {
        dm_buf_text(&b, "the judge: ");
        dm_judge_noise_text(&b, &c->noise);
        dm_buf_char(&b, '\n');
    }
    if (c->result.ensemble)
        dm_ensemble_text(&b, c->result.ensemble);
    if (!c->n_splits && !c->result.n_scored && !c->job->valset && !c->job->testset)
        dm_buf_text(&b, "nothing was scored: the job has neither a validation set (valset, "
                        "valset_size) nor a test set (testset, testset_size)\n");
    dm_say_text(stderr, dm_buf_view(&b));
    dm_buf_free(&b);
}

/* ---- the whole ---- */

/* Whose fault it is when every answer failed. */
static dm_status nothing_usable(const dm_result *r, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (r[i].fault != DM_FAULT_METRIC && r[i].fault != DM_FAULT_PROGRAM)
            return DM_E_MODEL;
    return DM_E_DATA;
}

static dm_status check_answers(const compilation *c, bool cut, dm_error *err)
{
    dm_usage u = dm_pool_stats_of(c->session.pool).usage;
    if (u.requests > 0 && u.answers == 0)
        return dm_fail(err, DM_E_MODEL, "%lld calls gave no usable answer%s; nothing was compiled",
                       (long long)u.requests,
                       cut ? ", and the rest of the budget does not cover another run" : "");
    return DM_OK;
}

/* Calls that gave nothing usable are no compilation (src/README.md §1, exit codes). */
static dm_status check_usable(const compilation *c, dm_error *err)
{
    size_t present = 0, all = 0;
    for (size_t i = 0; i < c->n_splits; i++)
        for (size_t k = 0; k < c->splits[i].set->n; k++) {
            all++;
            present += c->splits[i].compiled[k].fault == DM_FAULT_NONE;
        }
    const dm_pool_stats *s = &c->searched;
    size_t own = s->faults[DM_FAULT_METRIC] + s->faults[DM_FAULT_PROGRAM];
    if (all == 0 && s->done > 0 && s->errors >= s->done)
        return dm_fail(err, own >= s->errors ? DM_E_DATA : DM_E_MODEL,
                       "none of the %zu examples that were tried gave an answer that could be "
                       "used; nothing was compiled%s%s",
                       s->done, s->first_error ? "; the first: " : "",
                       s->first_error ? s->first_error : "");
    if (all > 0 && present == 0)
        return dm_fail(err, nothing_usable(c->splits[0].compiled, c->splits[0].set->n),
                       "no answer of the compiled program could be used: %s",
                       c->splits[0].compiled[0].error ? c->splits[0].compiled[0].error
                                                      : "see predictions.jsonl");
    return DM_OK;
}

static void add_choice(dm_arena *a, const dm_ensemble_output *o, dm_value *last)
{
    dm_value_set(a, last, DM_STR("chosen"), dm_value_text(a, dm_ensemble_chosen(o)));
    dm_value_set(a, last, DM_STR("why"), dm_value_text(a, o->why));
    dm_value_set(a, last, DM_STR("ensemble"), dm_ensemble_json(a, o));
}

/* Scores, and whether they differ. */
static void put_split(const compilation *c, dm_value *last, const dm_value *scores,
                      const dm_split_report *s)
{
    dm_value *set = dm_value_copy(c->arena, dm_value_get(scores, s->name));
    dm_difference d = dm_paired(s->baseline, s->compiled, s->set->n);
    dm_value_set(c->arena, set, DM_STR("difference"), dm_difference_json(c->arena, &d));
    dm_value_set(c->arena, last, dm_str_of(s->name), set);
}

/* For a report, and the report. */
static void write_evidence(compilation *c)
{
    dm_pool_stats stats = dm_pool_stats_of(c->session.pool);
    dm_evidence_write(&c->watch, &stats, &c->result);
    dm_report_put(c->job);
}

static int finish(compilation *c, const dm_command_line *line, dm_status stopped, dm_error *err)
{
    c->session.renew = NULL; /* its last state is written now */
    dm_value *scores = scores_json(c), *last = dm_last_line(c->arena, &c->session, stopped);
    const char *program = dm_arena_printf(c->arena, "%s/program.json", c->job->out);
    dm_status st = stopped ? DM_OK : check_usable(c, err); /* it knows the server's words */
    if (st == DM_OK && (!stopped || stopped == DM_STOP_BUDGET))
        st = check_answers(c, stopped == DM_STOP_BUDGET, err);
    if (st == DM_OK)
        st = write_files(c, scores->n ? scores : NULL, err);
    if (st == DM_OK && c->result.ensemble)
        st = write_members(c, err);
    if (st != DM_OK)
        return dm_say_failure(err);
    dm_session_clear_line(&c->session);
    print_search(c);
    print_table(c, program);
    dm_value_set(c->arena, last, DM_STR("program"), dm_value_text(c->arena, program));
    for (size_t i = 0; i < c->n_splits; i++)
        put_split(c, last, scores, &c->splits[i]);
    if (c->noise.n)
        dm_value_set(c->arena, last, DM_STR("judge_noise"),
                     dm_judge_noise_json(c->arena, &c->noise));
    if (c->result.ensemble)
        add_choice(c->arena, c->result.ensemble, last);
    if (c->result.searched.method)
        dm_value_set(c->arena, last, DM_STR("search"), search_json(c));
    for (size_t i = 0; c->result.told && i < c->result.told->n; i++)
        dm_value_set(c->arena, last, c->result.told->members[i].key,
                     c->result.told->members[i].value);
    int code = dm_exit_code(stopped);
    st = dm_watch_end(&c->watch, c->session.pool,
                      &(dm_out_state){.status = stopped ? "stopped" : "done",
                                      .reason = stopped ? dm_status_name(stopped) : NULL,
                                      .code = code,
                                      .last = last},
                      err);
    if (st != DM_OK)
        return dm_say_failure(err);
    write_evidence(c);
    dm_print_last_line(last, line);
    return code;
}

static int run(compilation *c, const dm_command_line *line, dm_error *err)
{
    const dm_job *job = c->job;
    const dm_compile_input in = dm_job_input(job);
    c->session.renew = dm_watch_renew;
    c->session.user = &c->watch;
    dm_watch_pool(&c->watch, c->session.pool);
    dm_status st = dm_compile(c->session.pool, &in, &c->result, err);
    c->searched = dm_pool_stats_of(c->session.pool);
    if (c->result.ensemble)
        take_chosen(c, c->result.ensemble->chosen);
    else if (st == DM_OK)
        st = score_splits(c, err);
    if (st == DM_OK)
        st = ask_judge_again(c, err);
    if (st < 0) {
        int code = dm_exit_code(err->status);
        c->session.renew = NULL;
        dm_session_clear_line(&c->session);
        dm_error second;
        if (dm_watch_end(&c->watch, c->session.pool,
                         &(dm_out_state){
                             .status = "failed", .reason = err->text, .failed = true, .code = code},
                         &second) != DM_OK &&
            st != DM_E_OUTPUT) /* the first one says it all */
            dm_say_failure(&second);
        return dm_say_failure(err);
    }
    if (st > 0)
        dm_session_drain(&c->session, st);
    return finish(c, line, st, err);
}

/* Of a run that is over, from its last line. */
static void say_scores(const dm_value *last)
{
    static const char *const sets[] = {"valset", "testset"};
    for (int i = 0; i < 2; i++) {
        const dm_value *set = dm_value_get(last, sets[i]);
        const dm_value *from = dm_value_get(dm_value_get(set, "baseline"), "score"),
                       *to = dm_value_get(dm_value_get(set, "compiled"), "score");
        if (from && to && from->kind == DM_FLOAT && to->kind == DM_FLOAT)
            dm_say(stderr, "%s: %.1f %% at the start, %.1f %% compiled\n", sets[i],
                   100 * from->number, 100 * to->number);
    }
}

/* Up to the first call: job, metric, plan, OUT, journal. finished: the last line of a run that is
 * over already, or NULL. */
static dm_status prepare(compilation *c, const dm_command_line *line, const dm_value **finished,
                         dm_error *err)
{
    const dm_job_wants wants = {.data = true, .metric = true, .optimizer = true, .model = true};
    dm_arena *a = c->arena;
    dm_job *job = c->job;
    dm_fsync sync;
    DM_TRY(dm_job_read(a, line, wants, job, err));
    DM_TRY(dm_session_deadline(line, job, err));
    DM_TRY(dm_history_fsync(line, &sync, err));
    c->metric = dm_job_metric(a, job, err);
    if (!c->metric)
        return err->status;
    DM_TRY(dm_plan_limit(job, err));
    DM_TRY(dm_job_settle(a, job, err));
    DM_TRY(dm_out_open(a, job, line, finished, err));
    if (*finished)
        return DM_OK;
    DM_TRY(try_metric(a, job, c->metric, err));
    DM_TRY(dm_history_open(a, job, line, sync, err));
    return dm_watch_begin(&c->watch, a, job, line, err);
}

/* What a user can still say no to. */
static dm_status announce_all(compilation *c, const dm_command_line *line, dm_error *err)
{
    const dm_plan calls = dm_plan_of(c->job);
    announce(c->job);
    announce_optimizer(c->arena, c->job);
    DM_TRY(announce_plan(c->job, &calls, line, err));
    announce_fill(c->job, &calls);
    return DM_OK;
}

int dm_cmd_compile(dm_arena *a, const dm_command_line *line)
{
    dm_job job = {.arena = a};
    dm_error err = {DM_OK, ""};
    const dm_value *finished = NULL;
    compilation c = {.arena = a, .job = &job};
    dm_status st = prepare(&c, line, &finished, &err);
    dm_metric_free(c.metric);
    if (st == DM_OK && finished) {
        dm_say(stderr, "%s is finished; --fresh starts over\n", job.out);
        say_scores(finished);
        dm_print_last_line(finished, line);
        return 0;
    }
    if (st == DM_OK)
        st = announce_all(&c, line, &err);
    if (st == DM_OK)
        st = dm_session_open(&c.session, &job, &err);
    int code = st == DM_OK ? run(&c, line, &err) : dm_say_failure(&err);
    if (st == DM_OK)
        dm_session_close(&c.session);
    dm_watch_free(&c.watch);
    dm_replay_free(job.setup.replay);
    dm_replay_free(job.setup.earlier);
    if (dm_journal_close(job.setup.journal, &err) != DM_OK)
        return dm_say_failure(&err);
    return code;
}
