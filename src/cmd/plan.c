/* dspy-mpi plan: calls before a cent is spent (contract 9). */
#include "cmd/plan.h"
#include "base/random.h"
#include "base/clock.h"
#include "cmd/commands.h"
#include "cmd/estimate.h"
#include "cmd/session.h"
#include "optimizer/mipro.h"

#include <math.h>
#include <stdio.h>

#define CALLS_A_RANK 256 /* in flight; ranks do I/O (src/README.md §4) */

const char *dm_plan_phase_name(dm_plan_phase p)
{
    static const char *const names[] = {"bootstrap", "propose", "search", "score"};
    return names[p];
}

/* Program runs as calls: c a run, twice as many if every answer needs the JSON fallback. */
static void add_runs(dm_range *r, double c, double low, double expected, double high)
{
    r->low += c * low;
    r->expected += c * expected;
    r->high += 2 * c * high;
}

/* One bootstrapping of at most `size` demonstrations: it stops at the size-th success, so there are
 * at least that many attempts; that every other one succeeds is an assumption. */
static void add_bootstrap(dm_plan *p, double c, double n, double size, double rounds)
{
    add_runs(&p->calls[DM_PLAN_BOOTSTRAP], c, fmin(size, n), fmin(2 * size, n),
             size > 0 ? n * rounds : 0);
    p->fill[DM_PLAN_BOOTSTRAP] += fmin(size, n); /* looks ahead as far as successes are missing */
}

/* Random search's number of demonstrations for candidate k (contract 8.3). */
static double candidate_size(const dm_optimizer_params *p, int64_t k)
{
    dm_pyrandom rng;
    if (k == -1 || p->max_bootstrapped_demos == 0)
        return (double)p->max_bootstrapped_demos;
    dm_pyrandom_seed(&rng, 1000 * (p->has_seed ? p->seed : 0) + k);
    return (double)dm_pyrandom_randint(&rng, 1, p->max_bootstrapped_demos);
}

static bool is_candidate(const dm_optimizer_params *p, int64_t k)
{
    for (size_t i = 0; i < p->n_restrict; i++)
        if (p->restrict_seeds[i] == k)
            return true;
    return !p->restrict_seeds;
}

/* Program runs of a race of k candidates on v examples. Betting: a first block of 10 for all, with
 * the next already under way, then one alone; at most all. In the mean .72 of full evaluation with
 * 100 examples, .58 with 200, .46 with 500 (src/search/README.md §5). Halving: the better half at v
 * / 2^r examples. */
static dm_range race_runs(dm_races race, double k, double v)
{
    double first = fmin(20, v), runs = 0, from = 0, alive = k;
    if (race == DM_RACES_BETTING)
        return (dm_range){k * first + v - first, k * v * fmin(1, .25 + 4.7 / sqrt(v)), k * v};
    for (int rounds = (int)ceil(log2(k)); rounds > 0; rounds--) {
        double to = fmin(v, fmax(4, ceil(v / exp2(rounds - 1))));
        runs += alive * (to - from);
        alive = ceil(alive / 2);
        from = to;
    }
    return (dm_range){k > 1 ? runs : v, k > 1 ? runs : v, k > 1 ? runs : v};
}

/* Candidates -3 ... N-1, each on the whole validation set. */
static void plan_random_search(dm_plan *plan, const dm_job *job, double c, double n, double v)
{
    const dm_optimizer_params *p = &job->optimizer;
    double candidates = 0;
    dm_plan first = {0}; /* at stop_at_score it may end after the first */
    for (int64_t k = -3; k < p->num_candidate_programs; k++) {
        if (!is_candidate(p, k))
            continue;
        if (k >= -1)
            add_bootstrap(plan, c, n, candidate_size(p, k), (double)p->max_rounds);
        if (++candidates == 1)
            first = *plan;
    }
    double surely = p->has_stop_at_score ? 1 : candidates;
    if (p->max_bootstrapped_demos == 0 || p->max_labeled_demos == 0) /* some may be the same */
        surely = fmin(surely, 1);
    dm_range runs = {surely * v, candidates * v, candidates * v};
    if (p->race != DM_RACES_OFF) {
        runs = race_runs(p->race, candidates, v);
        runs.low = fmin(runs.low, surely * v);
        if (job->valset_is_trainset) /* the leak guard leaves some out */
            runs.low = fmax(0, runs.low - candidates * (double)p->max_labeled_demos);
    }
    add_runs(&plan->calls[DM_PLAN_SEARCH], c, runs.low, runs.expected, runs.high);
    plan->fill[DM_PLAN_SEARCH] = p->has_stop_at_score          ? v
                                 : p->race == DM_RACES_BETTING ? candidates * fmin(20, v)
                                                               : candidates * v;
    if (p->has_stop_at_score)
        plan->calls[DM_PLAN_BOOTSTRAP].low = first.calls[DM_PLAN_BOOTSTRAP].low;
    /* Candidates whose teachers are one program ask it the same. */
    if (p->max_labeled_demos == 0 || job->teacher_compiled)
        plan->calls[DM_PLAN_BOOTSTRAP].low =
            fmin(plan->calls[DM_PLAN_BOOTSTRAP].low, c * (p->max_bootstrapped_demos > 0));
}

/* Demo sets, proposals, and the search with the start's score in it; the winner's row may be
 * completed beyond that. */
static void plan_mipro(dm_plan *plan, const dm_job *job, double c, double n)
{
    const dm_optimizer_params *p = &job->optimizer;
    dm_mipro_plan m;
    if (dm_mipro_plan_make(job->arena, p, job->program->n, job->trainset->n, job->valset->n, &m,
                           NULL) != DM_OK)
        return; /* said when the job was read */
    double v = (double)m.n_val, runs = (double)m.runs;
    for (size_t i = 0; i < m.n_sets && dm_mipro_needs_sets(p, &m, job->program); i++)
        if (m.sets[i].kind == DM_SET_BOOTSTRAPPED)
            add_bootstrap(plan, c, n, (double)m.sets[i].size, 1);
    dm_proposer_calls calls = dm_mipro_proposer_calls(p, &m, job->program, job->trainset->n);
    add_runs(&plan->calls[DM_PLAN_PROPOSE], 1, calls.low, calls.expected, calls.high);
    plan->fill[DM_PLAN_PROPOSE] = calls.high > 0 ? (double)(job->program->n * m.n_instructions) : 0;
    /* A draw that comes again costs nothing, and the best may be certain early. */
    bool schedule = p->search == DM_MIPRO_SCHEDULE;
    double space = 1, expected = runs;
    for (size_t i = 0; i < job->program->n; i++)
        space *= (double)m.n_instructions * (m.zero_shot ? 1 : (double)m.n_sets);
    if (schedule) /* the share that is not asked a second time, src/search/README.md §7.1 */
        expected = runs * (p->auto_mode == DM_AUTO_HEAVY    ? .97
                           : p->auto_mode == DM_AUTO_MEDIUM ? .93
                                                            : .78);
    expected = fmin(expected, .94 * space * v);
    add_runs(&plan->calls[DM_PLAN_SEARCH], c, schedule ? v : fmin(2 * v, runs), expected,
             schedule ? runs : runs + v);
    double fill = p->search == DM_MIPRO_HALVING  ? runs - v
                  : p->search == DM_MIPRO_FACTOR ? (double)(m.window * m.block_max)
                                                 : (double)m.window * v;
    plan->fill[DM_PLAN_SEARCH] = fmax(v, fill);
}

static bool has_demos(const dm_candidate *student)
{
    for (size_t i = 0; i < student->program->n; i++)
        if (student->parts[i].n_demos)
            return true;
    return false;
}

/* Start and winner on validation and test set, but for what the search has scored already. */
static void plan_score(dm_plan *plan, const dm_job *job, double c, double v)
{
    const dm_optimizer_params *p = &job->optimizer;
    double test = job->testset ? (double)job->testset->n : 0;
    bool search = p->name == DM_RANDOM_SEARCH;
    bool start_scored = search && !has_demos(job->student) && is_candidate(p, -3);
    double own = (start_scored ? 0 : v) + (search ? 0 : v);
    /* The winner may be the start. */
    double low = search ? (start_scored ? 0 : v) : v, rest = 0;
    if (search && p->race != DM_RACES_OFF) /* rows that the race has not finished */
        rest = job->valset_is_trainset ? 2 * v : v;
    add_runs(&plan->calls[DM_PLAN_SCORE], c, low + test, own + rest / 2 + 2 * test,
             own + rest + 2 * test);
    plan->fill[DM_PLAN_SCORE] = own + rest + 2 * test;
}

dm_plan dm_plan_of(const dm_job *job)
{
    const dm_optimizer_params *p = &job->optimizer;
    dm_plan plan = {0};
    double c = (double)job->program->n, v = job->valset ? (double)job->valset->n : 0,
           n = job->trainset ? (double)job->trainset->n : 0;
    if (!job->has_optimizer) {
        double set = job->testset ? (double)job->testset->n : v > 0 ? v : n;
        add_runs(&plan.calls[DM_PLAN_SCORE], c, set, set, set); /* what eval does */
        plan.fill[DM_PLAN_SCORE] = set;
        return plan;
    }
    if (p->name == DM_BOOTSTRAP_FEW_SHOT)
        add_bootstrap(&plan, c, n, (double)p->max_bootstrapped_demos, (double)p->max_rounds);
    if (p->name == DM_RANDOM_SEARCH)
        plan_random_search(&plan, job, c, n, v);
    if (p->name == DM_MIPRO_V2) {
        plan_mipro(&plan, job, c, n);
        v = 0; /* start and winner are scored by the search */
    }
    plan_score(&plan, job, c, v);
    return plan;
}

int64_t dm_plan_runs_that_fit(const dm_job *job)
{
    const dm_optimizer_params *p = &job->optimizer;
    if (p->name != DM_MIPRO_V2 || p->has_runs || isinf(job->cap.calls))
        return 0;
    dm_plan plan = dm_plan_of(job);
    double left = job->cap.calls;
    for (int i = 0; i < DM_PLAN_PHASES; i++)
        if (i != DM_PLAN_SEARCH)
            left -= plan.calls[i].expected;
    return (int64_t)fmax(1, floor(left / (double)job->program->n));
}

static double most_in_flight(const dm_plan *plan)
{
    double most = 0;
    for (int i = 0; i < DM_PLAN_PHASES; i++)
        most = fmax(most, plan->fill[i]);
    return most;
}

void dm_plan_fill_text(dm_buf *b, const dm_job *job, const dm_plan *plan)
{
    double most = most_in_flight(plan), asked = (double)job->concurrency;
    const char *comma = "";
    dm_buf_printf(b, "%.0f calls in flight asked for (lm.concurrency), this job fills at most",
                  asked);
    for (int i = 0; i < DM_PLAN_PHASES; i++)
        if (plan->fill[i] > 0) {
            dm_buf_printf(b, "%s %.0f (%s)", comma, plan->fill[i],
                          dm_plan_phase_name((dm_plan_phase)i));
            comma = ",";
        }
    if (most == 0)
        dm_buf_text(b, " none");
    else if (job->stand_in)
        return;
    else if (most < asked)
        dm_buf_text(b, ": more examples or candidates would fill it");
    else if (most > asked)
        dm_buf_text(b, ": raise concurrency as far as the servers go");
}

void dm_plan_ranks_text(dm_buf *b, const dm_job *job, const dm_plan *plan, size_t ranks)
{
    double useful =
        fmax(1, ceil(fmin(most_in_flight(plan), (double)job->concurrency) / CALLS_A_RANK));
    const char *s = useful > 1 ? "s" : "", *are = useful > 1 ? "are" : "is";
    if (ranks == 0)
        dm_buf_printf(b, "%.0f beside the coordinator %s plenty (mpirun -n %.0f)", useful, are,
                      useful + 1);
    else if ((double)ranks > useful)
        dm_buf_printf(b, "%zu for models; %.0f would do, unless the metric needs the CPU", ranks,
                      useful);
    else if ((double)ranks < useful)
        dm_buf_printf(b, "%zu for models; %.0f rank%s would be better: mpirun -n %.0f", ranks,
                      useful, s, useful + 1);
    else
        dm_buf_printf(b, "%zu for models, which is right", ranks);
}

/* ---- the command ---- */

static dm_value *range_json(dm_arena *a, const dm_range *r, bool whole)
{
    dm_value *d = dm_value_dict(a);
    const double v[] = {whole ? floor(r->low) : r->low, whole ? round(r->expected) : r->expected,
                        whole ? ceil(r->high) : r->high};
    static const char *const names[] = {"low", "expected", "high"};
    for (int i = 0; i < 3; i++)
        dm_value_set(a, d, dm_str_of(names[i]),
                     whole ? dm_value_int(a, (int64_t)v[i])
                           : dm_value_float(a, round(1e4 * v[i]) / 1e4));
    return d;
}

/* How long the prompt model's answers are, from one of the proposer's questions. */
static dm_status measure_proposal(dm_pool *pool, dm_job *job, dm_calibration *c, dm_error *err)
{
    const dm_compile_input in = {.params = &job->optimizer,
                                 .student = job->student,
                                 .trainset = job->trainset,
                                 .valset = job->valset};
    const dm_result *r;
    dm_mipro_plan m;
    dm_usage before = dm_pool_stats_of(pool).usage;
    if (dm_mipro_plan_make(job->arena, in.params, job->program->n, in.trainset->n, in.valset->n, &m,
                           NULL) != DM_OK)
        return DM_OK; /* said when the job was read */
    dm_status st = dm_pool_wait(pool, dm_propose_sample(pool, &in, &m), &r, err);
    dm_usage u = dm_pool_stats_of(pool).usage;
    if (st == DM_OK && u.answers > before.answers)
        c->proposal =
            (double)(u.completion - before.completion) / (double)(u.answers - before.answers);
    return st;
}

/* Runs the start program on the first n examples of the training set, and one with demonstrations
 * on a few; and asks one of the proposer's questions where the job asks any. */
static dm_status measure(dm_job *job, size_t n, dm_calibration *c, dm_error *err)
{
    dm_session s;
    const dm_result *r[2];
    size_t few = n < 5 ? n : 5, most = job->trainset->n;
    const dm_dataset *set[] = {dm_dataset_slice(job->arena, job->trainset, 0, n < most ? n : most),
                               dm_dataset_slice(job->arena, job->trainset, most - few, few)};
    dm_usage u[2] = {{0}, {0}};
    dm_status st = dm_session_open(&s, job, err);
    if (st != DM_OK)
        return st;
    *c = dm_calibration_assumed();
    c->demos = dm_estimate_demos(job);
    double began = dm_now(), took = 0;
    bool proposes = dm_plan_of(job).calls[DM_PLAN_PROPOSE].high > 0;
    dm_pool_phase(s.pool, "measure", set[0]->n + few + proposes);
    for (int i = 0; i < 2 && st == DM_OK; i++) {
        dm_work w = dm_work_of(i ? dm_estimate_candidate(job->arena, job, c->demos) : job->student);
        st = dm_pool_wait(s.pool, dm_pool_evaluate(s.pool, &w, set[i]), &r[i], err);
        u[i] = dm_pool_stats_of(s.pool).usage;
        took = i ? took : dm_now() - began;
    }
    double first = (double)u[0].answers, second = (double)(u[1].answers - u[0].answers);
    if (st == DM_OK && first > 0 && second > 0) {
        c->n = set[0]->n;
        c->prompt[0] = (double)u[0].prompt / first;
        c->prompt[1] = (double)(u[1].prompt - u[0].prompt) / second;
        c->completion = (double)u[1].completion / (double)u[1].answers;
        c->seconds = took * fmin((double)job->concurrency, first) / first;
        c->score = dm_mean_score(r[0], set[0]->n);
    }
    if (st == DM_OK && proposes)
        st = measure_proposal(s.pool, job, c, err);
    dm_session_close(&s);
    return st;
}

static void suggest(dm_buf *b, const dm_job *job, const dm_plan *plan, const dm_estimate *e)
{
    double most = most_in_flight(plan);
    double ranks = fmax(1, ceil(fmin(most, (double)job->concurrency) / CALLS_A_RANK)) + 1;
    double hours = ceil(e->all.seconds.high * 1.5 / 60) / 60;
    dm_buf_printf(
        b, "suggested: mpirun -n %.0f, lm.concurrency up to %.0f, SLURM --time=%02d:%02d:00\n",
        ranks, most, (int)hours, (int)fmax(1, round(60 * (hours - floor(hours)))));
}

static void print_plan(const dm_job *job, const dm_plan *plan, const dm_estimate *e,
                       const dm_calibration *c)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_estimate_table(&b, plan, e);
    if (c->n)
        dm_buf_printf(
            &b,
            "measured on %zu examples: %.0f tokens a prompt, %.0f with %zu demonstrations, %.0f an "
            "answer, %.2f s a call\n",
            c->n, c->prompt[0], c->prompt[1], c->demos, c->completion, c->seconds);
    dm_plan_fill_text(&b, job, plan);
    dm_buf_char(&b, '\n');
    dm_plan_advice(&b, job, plan, e, c->score);
    suggest(&b, job, plan, e);
    fwrite(b.data, 1, b.len, stderr);
    dm_buf_free(&b);
}

static void print_line(dm_arena *a, const dm_plan *plan, const dm_estimate *e)
{
    dm_value *last = dm_value_dict(a), *tokens = dm_value_dict(a);
    dm_range all = dm_plan_together(plan);
    dm_value_set(a, tokens, DM_STR("prompt"), range_json(a, &e->all.prompt, true));
    dm_value_set(a, tokens, DM_STR("completion"), range_json(a, &e->all.completion, true));
    dm_value_set(a, last, DM_STR("status"), dm_value_text(a, "done"));
    dm_value_set(a, last, DM_STR("calls"), range_json(a, &all, true));
    dm_value_set(a, last, DM_STR("tokens"), tokens);
    dm_value_set(a, last, DM_STR("cost"),
                 e->has_cost ? range_json(a, &e->all.cost, false) : dm_value_null(a));
    dm_value_set(a, last, DM_STR("seconds"), range_json(a, &e->all.seconds, false));
    dm_print_json(last);
}

int dm_cmd_plan(dm_arena *a, const dm_command_line *line)
{
    dm_job job;
    dm_error err = {DM_OK, ""};
    dm_job_wants wants = {.data = true, .metric = true, .optimizer = true, .model = true};
    dm_status st = dm_job_read(a, line, wants, &job, &err);
    dm_metric *metric = st == DM_OK ? dm_job_metric(a, &job, &err) : NULL;
    if (!metric)
        return dm_say_failure(&err);
    dm_metric_free(metric);
    dm_calibration c = dm_calibration_assumed();
    const dm_value *n = dm_value_get(line->flags, "measure");
    double count = 0;
    if (n)
        st = dm_parse_count(n->text.p, &count, &err);
    if (st == DM_OK && n && count < 1)
        st = dm_fail(&err, DM_E_USAGE, "--measure needs a number of examples");
    if (st == DM_OK && n)
        st = measure(&job, (size_t)count, &c, &err);
    if (st < 0)
        return dm_say_failure(&err);
    if (st > 0)
        return dm_exit_code(st);
    job.optimizer.runs_that_fit = dm_plan_runs_that_fit(&job);
    dm_plan plan = dm_plan_of(&job);
    dm_estimate e = dm_estimate_of(&job, &plan, &c);
    print_plan(&job, &plan, &e, &c);
    print_line(a, &plan, &e);
    return 0;
}
