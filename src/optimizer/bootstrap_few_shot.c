/* BootstrapFewShot (contract 8.2): the teacher runs the training examples in order; where the
 * metric accepts its answer, each predictor's inputs and outputs become a demonstration, until
 * there are enough. What is left of the demonstrations' number is filled with labelled examples.
 *
 * DSPy tries one example after another. As long as m successes are missing, the next m examples
 * will be tried in any case, so they are asked together: the same calls, the same choice, m times
 * as fast. */
#include "base/random.h"
#include "optimizer/inside.h"

#include <math.h>

typedef struct bootstrapping {
    dm_pool *pool;
    const dm_bootstrap *b;
    dm_arena *arena;
    const dm_candidate *teacher;
    dm_future **asked; /* [train.n] round 0 of each example */
    size_t n_asked;
    size_t ahead;            /* how many are asked at a time */
    bool *bootstrapped;      /* [train.n] */
    const dm_value ***demos; /* [predictor][n_demos[predictor]] */
    dm_str **live;           /* beside them */
    size_t *n_demos;         /* a predictor of a Python program need not have run in each success */
    size_t n_successes;
    int64_t n_errors;
} bootstrapping;

static const dm_candidate *make_teacher(dm_arena *a, const dm_bootstrap *b)
{
    const dm_candidate *teacher = b->teacher ? b->teacher : b->student;
    if (b->teacher_compiled || b->max_labeled_demos == 0)
        return teacher; /* as it is: a student too keeps its own demonstrations */
    return dm_label(a, teacher, b->train, b->max_labeled_demos, true, b->seed);
}

/* Rounds after the first ask with a rollout id of their own at temperature 1 (contract 8.2, 4). */
static dm_future *ask(const bootstrapping *s, size_t i, int64_t round)
{
    dm_work w = {.candidate = s->teacher,
                 .role = DM_TEACHER,
                 .scored = true,
                 .trace = true,
                 .drop_own_demo = true,
                 .rollout = round > 0 ? round : -1,
                 .temperature = round > 0 ? 1.0 : NAN};
    return dm_pool_submit(s->pool, &w, &s->b->train.examples[i], 1);
}

static void ask_ahead(bootstrapping *s, size_t position)
{
    size_t missing = (size_t)s->b->max_bootstrapped_demos - s->n_successes;
    size_t n = missing < s->ahead ? missing : s->ahead;
    for (; s->n_asked < s->b->train.n && s->n_asked < position + n; s->n_asked++)
        s->asked[s->n_asked] = ask(s, s->n_asked, 0);
}

/* A threshold of 0 is a threshold (contract 10.6, trap 6). */
static bool accepted(const bootstrapping *s, const dm_result *r)
{
    const dm_bootstrap_params *params = s->b->params;
    if (r->fault != DM_FAULT_NONE)
        return false;
    if (isnan(r->score)) /* no metric: what ran is good */
        return true;
    return params->has_metric_threshold ? r->score >= params->metric_threshold : r->score != 0;
}

static dm_value *demo_of(dm_arena *a, const dm_step *step)
{
    dm_value *d = dm_value_dict(a);
    dm_value_set(a, d, DM_STR("augmented"), dm_value_bool(a, true));
    for (size_t i = 0; i < step->inputs->n; i++)
        dm_value_set(a, d, step->inputs->members[i].key, step->inputs->members[i].value);
    for (size_t i = 0; i < step->outputs->n; i++)
        dm_value_set(a, d, step->outputs->members[i].key, step->outputs->members[i].value);
    return d;
}

static void keep(bootstrapping *s, size_t i, const dm_result *r)
{
    s->bootstrapped[i] = true;
    for (size_t k = 0; k < r->n_steps; k++) {
        size_t p = r->steps[k].predictor;
        s->live[p][s->n_demos[p]] = r->steps[k].live;
        s->demos[p][s->n_demos[p]++] = demo_of(s->arena, &r->steps[k]);
    }
    s->n_successes++;
}

/* Whether DSPy's teacher would have raised: its metric is asked later. */
static bool teacher_raised(const dm_result *r)
{
    return r->fault != DM_FAULT_NONE && r->fault != DM_FAULT_METRIC && r->fault != DM_FAULT_JUDGE;
}

/* Without the row among its demonstrations; c itself where it shows it nowhere. */
static const dm_candidate *without(dm_arena *a, const dm_candidate *c, const dm_value *row)
{
    dm_candidate *rest = dm_candidate_copy(a, c);
    bool shown = false;
    for (size_t i = 0; i < c->program->n; i++) {
        const dm_candidate_part *had = &c->parts[i];
        const dm_value **demos = dm_arena_alloc_n(a, had->n_demos, sizeof *demos);
        dm_str *live = had->live ? dm_arena_alloc_n(a, had->n_demos, sizeof *live) : NULL;
        size_t n = 0;
        for (size_t k = 0; k < had->n_demos; k++) {
            if (dm_value_equal(had->demos[k], row))
                continue;
            demos[n] = had->demos[k];
            if (live)
                live[n] = had->live[k];
            n++;
        }
        shown |= n < had->n_demos;
        rest->parts[i].demos = demos;
        rest->parts[i].n_demos = n;
        rest->parts[i].live = live;
    }
    return shown ? dm_candidate_seal(rest) : c;
}

/* DSPy takes the example out of the teacher's demonstrations before the attempt, and puts it back
 * only where the teacher comes to an end (contract 8.2, 4). What was asked ahead was asked of a
 * teacher that still showed it: it is waited for, so that what is paid does not depend on time.
 * As long as examples fail, no more is asked in vain. */
static dm_status leave_out(bootstrapping *s, size_t i, dm_error *err)
{
    const dm_candidate *rest = without(s->arena, s->teacher, s->b->train.examples[i]->row);
    dm_status st = DM_OK;
    if (rest == s->teacher)
        return st;
    s->teacher = rest;
    s->ahead = 0;
    while (s->n_asked > i + 1 && st == DM_OK) {
        const dm_result *unused;
        st = dm_pool_wait(s->pool, s->asked[--s->n_asked], &unused, err);
    }
    return st;
}

static dm_status try_example(bootstrapping *s, size_t i, dm_error *err)
{
    for (int64_t round = 0; round < s->b->max_rounds; round++) {
        const dm_result *r;
        dm_future *f = round == 0 ? s->asked[i] : ask(s, i, round);
        dm_status st = dm_pool_wait(s->pool, f, &r, err);
        if (st == DM_OK)
            st = dm_count_pass_errors(s->pool, &s->b->params->base, r, 1, &s->n_errors, err);
        if (st != DM_OK)
            return st;
        if (accepted(s, r)) {
            keep(s, i, r);
            return DM_OK;
        }
        if (teacher_raised(r) && (st = leave_out(s, i, err)) != DM_OK)
            return st;
    }
    return DM_OK;
}

static const dm_candidate *fill(bootstrapping *s)
{
    const dm_bootstrap *b = s->b;
    dm_candidate *c = dm_reset_copy(s->arena, b->student);
    size_t *raw = dm_arena_alloc_n(s->arena, b->train.n, sizeof *raw);
    size_t *chosen = dm_arena_alloc_n(s->arena, b->train.n, sizeof *chosen), n_raw = 0;
    dm_pyrandom rng;
    for (size_t i = 0; i < b->train.n; i++)
        if (!s->bootstrapped[i])
            raw[n_raw++] = i;
    dm_pyrandom_seed(&rng, b->seed);
    dm_pyrandom_shuffle(&rng, raw, n_raw);
    dm_pyrandom_seed(&rng, b->seed);
    for (size_t k = 0; k < c->program->n; k++) {
        int64_t room = b->max_labeled_demos - (int64_t)s->n_demos[k];
        size_t n = room <= 0 ? 0 : (size_t)room < n_raw ? (size_t)room : n_raw;
        dm_candidate_part *part = &c->parts[k];
        part->demos = dm_arena_alloc_n(s->arena, s->n_demos[k] + n, sizeof *part->demos);
        dm_str *live = dm_arena_alloc_n(s->arena, s->n_demos[k] + n, sizeof *live);
        for (size_t j = 0; j < s->n_demos[k]; j++) {
            live[part->n_demos] = s->live[k][j];
            if (live[part->n_demos].p)
                part->live = live;
            part->demos[part->n_demos++] = s->demos[k][j];
        }
        dm_pyrandom_sample(&rng, n_raw, n, chosen);
        for (size_t j = 0; j < n; j++)
            part->demos[part->n_demos++] = b->train.examples[raw[chosen[j]]]->row;
    }
    return dm_candidate_seal(c);
}

dm_status dm_bootstrap_few_shot(dm_pool *p, const dm_bootstrap *b, const dm_candidate **out,
                                dm_error *err)
{
    dm_arena *a = dm_pool_arena(p);
    bootstrapping s = {.pool = p, .b = b, .arena = a, .teacher = make_teacher(a, b)};
    size_t wanted = (size_t)b->max_bootstrapped_demos;
    s.ahead = wanted;
    s.asked = dm_arena_alloc_n(a, b->train.n, sizeof(dm_future *));
    s.bootstrapped = dm_arena_alloc_n(a, b->train.n, sizeof *s.bootstrapped);
    s.demos = dm_arena_alloc_n(a, b->student->program->n, sizeof *s.demos);
    s.n_demos = dm_arena_alloc_n(a, b->student->program->n, sizeof *s.n_demos);
    s.live = dm_arena_alloc_n(a, b->student->program->n, sizeof *s.live);
    size_t most = wanted < b->train.n ? wanted : b->train.n;
    for (size_t k = 0; k < b->student->program->n; k++) {
        s.demos[k] = dm_arena_alloc_n(a, most, sizeof **s.demos);
        s.live[k] = dm_arena_alloc_n(a, most, sizeof **s.live);
    }
    for (size_t i = 0; i < b->train.n && s.n_successes < wanted; i++) {
        ask_ahead(&s, i);
        dm_status st = try_example(&s, i, err);
        s.ahead = s.ahead == 0 ? 1 : s.ahead < wanted ? 2 * s.ahead : s.ahead;
        if (st == DM_STOP_BUDGET && dm_pool_share_is_used(p))
            break; /* what there is makes a program */
        if (st != DM_OK)
            return st;
    }
    for (size_t i = 0; b->used && i < b->train.n; i++)
        b->used[i] = s.bootstrapped[i];
    *out = fill(&s);
    return DM_OK;
}

/* ---- the optimizer ---- */

size_t dm_bootstrap_demos(const dm_params *p)
{
    const dm_bootstrap_params *b = (const dm_bootstrap_params *)p;
    return (size_t)fmax((double)b->max_bootstrapped_demos, (double)b->max_labeled_demos);
}

dm_plan_phase *dm_bootstrap_phase(dm_plan *plan, const dm_bootstrap_params *p)
{
    dm_plan_phase *phase = dm_plan_add(plan, "bootstrap", DM_TEACHER);
    double labeled = (double)p->max_labeled_demos;
    phase->demos = (dm_range){labeled, labeled, labeled};
    return phase;
}

const dm_candidate *dm_bootstrap_labeled(dm_arena *a, const dm_compile_input *in)
{
    const dm_bootstrap_params *p = (const dm_bootstrap_params *)in->params;
    return dm_label(a, in->student, dm_train_of(a, in->trainset), p->max_labeled_demos, true,
                    dm_seed_of(in->params));
}

static void plan(dm_arena *a, const dm_compile_input *in, dm_plan *out)
{
    const dm_bootstrap_params *p = (const dm_bootstrap_params *)in->params;
    (void)a;
    dm_plan_bootstrap(out, dm_bootstrap_phase(out, p), (double)in->trainset->n,
                      (double)p->max_bootstrapped_demos, (double)p->max_rounds);
}

static dm_status run(dm_pool *p, const dm_compile_input *in, dm_compile_output *out, dm_error *err)
{
    const dm_bootstrap_params *params = (const dm_bootstrap_params *)in->params;
    dm_bootstrap b = {.params = params,
                      .student = in->student,
                      .teacher = in->teacher,
                      .teacher_compiled = in->teacher_compiled,
                      .train = dm_train_of(dm_pool_arena(p), in->trainset),
                      .max_bootstrapped_demos = params->max_bootstrapped_demos,
                      .max_labeled_demos = params->max_labeled_demos,
                      .max_rounds = params->max_rounds,
                      .seed = dm_seed_of(in->params)};
    dm_pool_phase(p, "bootstrap", 0);
    return dm_bootstrap_few_shot(p, &b, &out->best, err);
}

static const dm_param params[] = {
    DM_PARAM_MAX_BOOTSTRAPPED,
    DM_PARAM_MAX_LABELED("16"),
    DM_PARAM_MAX_ROUNDS,
    DM_PARAM_METRIC_THRESHOLD,
    DM_PARAM_MAX_ERRORS,
    DM_PARAM_SEED,
    {.name = NULL},
};

static bool any_score(const dm_params *p)
{
    (void)p;
    return true;
}

const dm_optimizer dm_optimizer_bootstrap_few_shot = {
    .name = "bootstrap_few_shot",
    .aliases = (const char *const[]){"BootstrapFewShot", NULL},
    .size = sizeof(dm_bootstrap_params),
    .params = params,
    .roles = 1u << DM_TEACHER,
    .few_train = 20,
    .few_val = 50,
    .demos = dm_bootstrap_demos,
    .labeled = dm_bootstrap_labeled,
    .plan = plan,
    .any_score = any_score,
    .run = run,
};
