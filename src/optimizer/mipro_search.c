/* The search of MIPROv2 over futures: units are submitted ahead as far as the sampler decides
 * ahead, and waited for oldest first, so what it decides depends on scores alone.
 *
 * A candidate is a level for each slot: instruction and demo set of predictor 0, of predictor 1,
 * ... (without demo slots when zero-shot). Where enough candidates need no call, `factor` begins
 * with those while demo sets and proposals are still made. */
#include "base/log.h"
#include "json/json.h"
#include "optimizer/mipro.h"
#include "search/options.h"
#include "search/schedule.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_CONTENDERS 40 /* candidates without a complete row that are kept as evidence */

typedef struct unit { /* as it was handed out */
    size_t candidate, n, *examples;
    dm_search_kind kind;
    size_t trial;
    dm_future *future;
    const dm_result *results; /* [n] once told */
} unit;

typedef struct search {
    dm_mipro *m;
    dm_arena *a;
    dm_search *s;
    size_t n_slots, per_predictor; /* slots of a predictor: 2, or 1 when zero-shot */
    size_t *levels;                /* [n_slots] */
    bool own;                      /* method: factor or halving */
    bool guard;
    bool **leaks; /* [n_sets][predictor][valset->n], see leaks_of */
    bool ready;   /* all levels are there */
    size_t early; /* units that go out before */
    unit *units;  /* [n_units] */
    size_t n_units, cap, told;
    const dm_candidate **candidates; /* [n_candidates] made so far, by number */
    size_t n_candidates;
    const dm_result *start;    /* [valset->n] */
    size_t asked;              /* cells, the start's among them */
    size_t reflections, round; /* new instructions of a predictor in each; rounds so far */
    size_t budget, n_learned;  /* cells of the search, the start's aside; new instructions */
    dm_str *learned; /* [predictor][DM_REFLECTIVE_ROUNDS][reflections]; .p NULL: none came */
    int64_t *errors; /* [n_errors] of each candidate */
    size_t n_errors;
} search;

/* ---- levels ---- */

static bool has_demo_slot(const search *x)
{
    return x->per_predictor == 2;
}

/* Validation examples that stand in one predictor's demonstrations of a set: as they are shown
 * there, and those that bootstrapped ones of the set were made from, which a later step does not
 * show. The set has to be there. [valset->n] */
static const bool *leaks_of(const search *x, size_t set, size_t predictor)
{
    const dm_demo_set *d = dm_demo_sets_get(x->m->sets, set);
    const dm_dataset *val = x->m->valset, *train = x->m->in->trainset;
    bool **known = &x->leaks[set * x->m->in->student->program->n + predictor];
    if (*known)
        return *known;
    *known = dm_arena_alloc_n(x->a, val->n, sizeof **known);
    for (size_t i = 0; i < val->n; i++)
        (*known)[i] = dm_stands_in_demos(d->candidate, predictor, &val->examples[i]);
    for (size_t k = 0; d->used && k < train->n; k++)
        for (size_t i = 0; d->used[k] && i < val->n; i++)
            (*known)[i] |= dm_same_inputs(x->m->in->student->program, train->examples[k].row,
                                          val->examples[i].row);
    return *known;
}

static void declare_leaks(search *x, size_t set)
{
    for (size_t p = 0; x->guard && has_demo_slot(x) && p < x->m->in->student->program->n; p++) {
        const bool *leaks = leaks_of(x, set, p);
        for (size_t i = 0; i < x->m->valset->n; i++)
            if (leaks[i])
                dm_search_leak(x->s, 2 * p + 1, set, i);
    }
}

static bool is_ready_set(const search *x, size_t set)
{
    return x->m->plan->sets[set].kind != DM_SET_BOOTSTRAPPED;
}

static const dm_candidate_part *part_of(const search *x, size_t set, size_t predictor)
{
    return &dm_demo_sets_get(x->m->sets, set)->candidate->parts[predictor];
}

/* Sets that show a step the same, for what is in them and not in the other is never sent, are one
 * level of its slot. DSPy's schedules, and the samplers that are measured with them, have them all.
 * ready: only those that need no call are there. */
static bool shows_as_another(const search *x, size_t set, size_t predictor, bool ready)
{
    const dm_signature *s = x->m->in->student->program->predictors[predictor].signature;
    bool same = false;
    for (size_t i = 0; i < set && x->own && !same; i++)
        same = (!ready || is_ready_set(x, i)) &&
               dm_same_demos(s, part_of(x, i, predictor), part_of(x, set, predictor));
    return same;
}

static void drop_repeated(search *x)
{
    for (size_t p = 0; has_demo_slot(x) && p < x->m->in->student->program->n; p++)
        for (size_t set = 1; set < x->m->plan->n_sets; set++)
            if ((x->early == 0 || !is_ready_set(x, set)) && shows_as_another(x, set, p, false))
                dm_search_drop_level(x->s, 2 * p + 1, set);
}

/* Waits for demo sets and instructions, and says what of them cannot be used. */
static dm_status await_levels(search *x, dm_error *err)
{
    if (x->ready)
        return DM_OK;
    dm_status st = x->m->sets ? dm_demo_sets_join(x->m->pool, x->m->sets, err) : DM_OK;
    if (st == DM_OK)
        st = dm_propose_join(x->m->pool, x->m->proposer, err);
    if (st != DM_OK)
        return st;
    x->ready = true;
    for (size_t set = 0; has_demo_slot(x) && set < x->m->plan->n_sets; set++)
        if (x->early == 0 || !is_ready_set(x, set))
            declare_leaks(x, set);
    drop_repeated(x);
    for (size_t p = 0; p < x->m->in->student->program->n; p++) {
        const dm_instructions *list = dm_propose_get(x->m->proposer, p);
        for (size_t i = 1; i < list->n; i++)
            if (!list->text[i].p)
                dm_search_drop_level(x->s, p * x->per_predictor, i);
    }
    dm_log(DM_DEBUG, "search: all instructions and demo sets are there");
    dm_pool_phase(x->m->pool, "search", x->m->plan->runs);
    return DM_OK;
}

/* Declares the levels that need no call, if they can carry the start of the search. */
static void declare_early(search *x, const dm_search_options *o)
{
    size_t start = o->constants.start;
    double candidates = 1;
    for (size_t p = 0; p < x->m->in->student->program->n; p++) {
        size_t sets = 0;
        for (size_t i = 0; has_demo_slot(x) && i < x->m->plan->n_sets; i++)
            sets += is_ready_set(x, i) && !shows_as_another(x, i, p, true);
        candidates *= (double)(dm_propose_get(x->m->proposer, p)->ready * (sets ? sets : 1));
    }
    double cells = (candidates - 1) * (double)x->m->valset->n;
    if (o->method != DM_SEARCH_FACTOR || cells < (double)(2 * start * 2 * x->m->plan->block))
        return;
    x->early = start;
    for (size_t p = 0; p < x->m->in->student->program->n; p++)
        for (size_t i = 0; i < dm_propose_get(x->m->proposer, p)->ready; i++)
            dm_search_early(x->s, p * x->per_predictor, i);
    for (size_t set = 0; has_demo_slot(x) && set < x->m->plan->n_sets; set++) {
        if (!is_ready_set(x, set))
            continue;
        for (size_t p = 0; p < x->m->in->student->program->n; p++)
            if (shows_as_another(x, set, p, true))
                dm_search_drop_level(x->s, 2 * p + 1, set);
            else
                dm_search_early(x->s, 2 * p + 1, set);
        declare_leaks(x, set);
    }
}

/* ---- candidates ---- */

static dm_str instruction_of(const search *x, size_t predictor, size_t level)
{
    const dm_instructions *list = dm_propose_get(x->m->proposer, predictor);
    size_t own = DM_REFLECTIVE_ROUNDS * x->reflections * predictor;
    return level < list->n ? list->text[level] : x->learned[own + level - list->n];
}

static const dm_candidate *make_candidate(const search *x, const uint16_t *levels)
{
    const dm_mipro *m = x->m;
    dm_candidate *c = dm_candidate_copy(x->a, m->in->student);
    for (size_t p = 0; p < c->program->n; p++) {
        c->parts[p].instructions = instruction_of(x, p, levels[p * x->per_predictor]);
        if (!has_demo_slot(x))
            continue;
        dm_part_copy_demos(&c->parts[p], part_of(x, levels[2 * p + 1], p));
    }
    return dm_candidate_seal(c);
}

static bool is_early(const search *x, const uint16_t *levels)
{
    for (size_t p = 0; p < x->m->in->student->program->n; p++) {
        if (levels[p * x->per_predictor] >= dm_propose_get(x->m->proposer, p)->ready)
            return false;
        if (has_demo_slot(x) && !is_ready_set(x, levels[2 * p + 1]))
            return false;
    }
    return true;
}

static dm_status candidate_of(search *x, size_t number, const uint16_t *levels,
                              const dm_candidate **out, dm_error *err)
{
    dm_status st = is_early(x, levels) ? DM_OK : await_levels(x, err);
    if (st != DM_OK)
        return st;
    if (number >= x->n_candidates) {
        x->candidates = dm_grow(x->candidates, number + 1, sizeof *x->candidates);
        for (; x->n_candidates <= number; x->n_candidates++)
            x->candidates[x->n_candidates] = NULL;
    }
    if (!x->candidates[number])
        x->candidates[number] = number ? make_candidate(x, levels) : x->m->in->student;
    *out = x->candidates[number];
    return DM_OK;
}

/* ---- units ---- */

static dm_status submit(search *x, const dm_search_unit *u, dm_error *err)
{
    const dm_candidate *c;
    const dm_example **examples = dm_alloc_n(u->n, sizeof *examples);
    x->units = dm_room(x->units, x->n_units, &x->cap, sizeof *x->units);
    unit *v = &x->units[x->n_units++];
    *v = (unit){.candidate = u->candidate, .n = u->n, .kind = u->kind, .trial = u->trial};
    v->examples = dm_arena_alloc_n(x->a, u->n, sizeof *v->examples);
    for (size_t i = 0; i < u->n; i++) {
        v->examples[i] = u->examples[i];
        examples[i] = &x->m->valset->examples[u->examples[i]];
    }
    dm_status st = candidate_of(x, u->candidate, u->levels, &c, err);
    if (st == DM_OK) {
        dm_work w = dm_work_of(c);
        v->future = dm_pool_submit(x->m->pool, &w, examples, u->n);
        x->asked += u->n;
    }
    free(examples);
    return st;
}

static bool whole_evaluations(const search *x)
{
    return dm_mipro_whole(dm_mipro_params_of(x->m->in)->search);
}

static bool is_schedule(const search *x)
{
    return dm_mipro_params_of(x->m->in)->search == DM_MIPRO_SCHEDULE;
}

static const dm_result *as_scored(search *x, const char *name, const dm_result *r, size_t n)
{
    return is_schedule(x) ? dm_void_failed(x->a, x->m->in->params, name, r, n) : r;
}

/* DSPy counts by evaluation; where one is made in parts, those of a candidate go together. */
static dm_status count_errors(search *x, const unit *u, dm_error *err)
{
    int64_t one = 0, *count = &one;
    if (is_schedule(x))
        return DM_OK;
    if (!whole_evaluations(x)) {
        for (; x->n_errors <= u->candidate; x->n_errors++) {
            x->errors = dm_grow(x->errors, x->n_errors + 1, sizeof *x->errors);
            x->errors[x->n_errors] = 0;
        }
        count = &x->errors[u->candidate];
    }
    return dm_count_errors(x->m->pool, x->m->in->params, u->results, u->n, count, err);
}

/* For people: DSPy's schedules by trial, others by candidate. */
static void tell_tried(const search *x, const unit *u)
{
    dm_search_estimate e, leads;
    size_t c = u->candidate, best = dm_search_best(x->s), most = 0, row = best;
    bool whole = whole_evaluations(x);
    dm_scored s = {.candidate = c ? x->candidates[c] : x->m->in->student};
    dm_search_estimate_of(x->s, c, &e);
    s.levels = dm_mipro_levels_text(x->a, e.levels, x->n_slots, x->per_predictor);
    snprintf(s.name, sizeof s.name,
             whole ? "trial %zu"
             : c   ? "candidate %zu"
                   : "start",
             whole ? u->trial + 1 : c);
    dm_tell_tried(x->m->pool, x->m->in, whole ? u->trial : c, &s, u->results, u->n, x->start,
                  u->examples);
    for (size_t k = x->told + 1; whole && k > 0; k--) /* the best one's largest evaluation */
        if (x->units[k - 1].candidate == best && x->units[k - 1].n > most) {
            most = x->units[k - 1].n;
            row = x->units[k - 1].trial;
        }
    dm_search_estimate_of(x->s, best, &leads);
    dm_tell_best(x->m->pool, x->m->in, row, leads.mean);
}

static dm_status tell_oldest(search *x, dm_error *err)
{
    unit *u = &x->units[x->told];
    dm_status st = dm_pool_wait(x->m->pool, u->future, &u->results, err);
    if (st != DM_OK)
        return st;
    u->results = as_scored(x, dm_arena_printf(x->a, "trial %zu", u->trial + 1), u->results, u->n);
    double *scores = dm_alloc_n(u->n, sizeof *scores);
    bool *absent = dm_alloc_n(u->n, sizeof *absent);
    for (size_t i = 0; i < u->n; i++) {
        absent[i] = !dm_counts_against(&u->results[i], &x->start[u->examples[i]]);
        scores[i] = u->results[i].score;
    }
    if (!dm_search_tell(x->s, x->told, scores, absent))
        st = dm_fail(err, DM_E_INTERNAL, "search: unit %zu is not in flight", x->told);
    free(scores);
    free(absent);
    tell_tried(x, u);
    x->told++;
    return st == DM_OK ? count_errors(x, u, err) : st;
}

/* ---- instructions that come while it runs ---- */

/* Those of a round enter as levels, but for what is there already. */
static void add_learned(search *x, const dm_str *texts)
{
    for (size_t p = 0; p < x->m->in->student->program->n; p++)
        for (size_t i = 0; i < x->reflections; i++) {
            dm_str text = texts[p * x->reflections + i];
            size_t n = dm_propose_get(x->m->proposer, p)->n, first = x->round * x->reflections + i;
            bool again = !text.p || text.n == 0;
            for (size_t l = 0; l < n + first && !again; l++) {
                dm_str other = instruction_of(x, p, l);
                again = other.p && dm_str_eq(other, text);
            }
            if (again)
                continue;
            x->learned[DM_REFLECTIVE_ROUNDS * x->reflections * p + first] = text;
            dm_search_add_level(x->s, p * x->per_predictor, n + first);
            x->n_learned++;
        }
}

/* After a third of the budget, and after two. All that is under way is waited for, so that which
 * candidate is the best does not depend on what came first. */
static dm_status learn(search *x, bool now, dm_error *err)
{
    const dm_candidate *best;
    dm_search_estimate e;
    size_t n = x->m->in->student->program->n;
    dm_str *texts = dm_arena_alloc_n(x->a, n * x->reflections, sizeof *texts);
    size_t due = (x->round + 1) * x->budget / (DM_REFLECTIVE_ROUNDS + 1);
    if (x->round == DM_REFLECTIVE_ROUNDS || x->reflections == 0 ||
        (!now && x->asked - x->m->valset->n < due))
        return DM_OK;
    dm_status st = await_levels(x, err);
    while (st == DM_OK && x->told < x->n_units)
        st = tell_oldest(x, err);
    if (st != DM_OK)
        return st;
    size_t number = dm_search_best(x->s);
    dm_search_estimate_of(x->s, number, &e);
    st = candidate_of(x, number, e.levels, &best, err);
    if (st == DM_OK)
        st = dm_mipro_reflect(x->m, best, x->round, texts, err);
    if (st == DM_OK)
        add_learned(x, texts);
    x->round++;
    return st;
}

/* It ended since all is known, with budget left for what is not written yet. */
static bool may_go_on(const search *x)
{
    dm_search_end end = dm_search_why(x->s);
    return x->reflections && x->round < DM_REFLECTIVE_ROUNDS &&
           (end == DM_SEARCH_KNOWN || end == DM_SEARCH_CERTAIN);
}

static dm_status go_on(search *x, dm_error *err)
{
    for (;;) {
        dm_search_unit u;
        dm_status st = x->n_units >= x->early ? await_levels(x, err) : DM_OK;
        if (st == DM_OK)
            st = learn(x, false, err);
        if (st != DM_OK)
            return st;
        switch (dm_search_ask(x->s, &u)) {
        case DM_SEARCH_UNIT:
            st = submit(x, &u, err);
            break;
        case DM_SEARCH_TELL:
            st = tell_oldest(x, err);
            break;
        case DM_SEARCH_DONE:
            while (x->told < x->n_units && st == DM_OK)
                st = tell_oldest(x, err);
            while (st == DM_OK && may_go_on(x))
                st = learn(x, true, err);
            if (st != DM_OK || dm_search_why(x->s) != DM_SEARCH_GOES_ON)
                return st;
            break;
        }
        if (st != DM_OK)
            return st;
    }
}

/* ---- options ---- */

static void name_slots(search *x, const char **names)
{
    static const char *const what[] = {"instruction", "demos"};
    for (size_t i = 0; i < x->n_slots; i++)
        names[i] = dm_arena_printf(x->a, "%zu_predictor_%s", i / x->per_predictor,
                                   what[i % x->per_predictor]);
}

static dm_status open_search(search *x, dm_search_options *o, dm_error *err)
{
    const dm_mipro_params *p = dm_mipro_params_of(x->m->in);
    const dm_mipro_plan *plan = x->m->plan;
    const char **names = dm_arena_alloc_n(x->a, x->n_slots, sizeof *names);
    char why[200] = "";
    name_slots(x, names);
    *o = (dm_search_options){.n_slots = x->n_slots, .levels = x->levels, .names = names};
    dm_search_defaults(o, (dm_search_method)p->search, plan->n_val,
                       plan->runs - (x->own ? plan->n_val : 0) -
                           (x->reflections ? dm_mipro_reflective_calls(x->m->in) : 0));
    x->budget = o->budget;
    o->window = plan->window;
    o->seed = p->demos.base.has_seed ? (uint64_t)p->demos.base.seed : 9;
    o->trials = plan->trials;
    o->minibatch = plan->minibatch;
    o->minibatch_size = plan->minibatch_size;
    o->full_eval_steps = plan->full_eval_steps;
    o->constants.block = plan->block;
    o->constants.block_max = plan->block_max;
    if (p->has_stop_at_score)
        o->stop_at_score = p->stop_at_score / 100;
    if (p->has_patience)
        o->patience = (size_t)p->patience;
    x->s = dm_search_new(o, why, sizeof why);
    if (!x->s)
        return dm_fail(err, DM_E_JOB, "optimizer: %s", why);
    for (size_t k = 0; k < x->m->in->student->program->n; k++) /* they come later */
        for (size_t l = dm_propose_get(x->m->proposer, k)->n; l < x->levels[k * x->per_predictor];
             l++)
            dm_search_drop_level(x->s, k * x->per_predictor, l);
    if (p->search == DM_MIPRO_SCHEDULE)
        dm_search_use_random(x->s, &plan->minibatches);
    for (size_t k = 0; p->search == DM_MIPRO_SCHEDULE && k < x->m->in->student->program->n; k++)
        if (has_demo_slot(x) && x->m->in->student->parts[k].n_demos > 0) /* which are in no set */
            dm_search_written_apart(x->s);
    return DM_OK;
}

static void set_up(search *x)
{
    const dm_mipro_params *p = dm_mipro_params_of(x->m->in);
    size_t n = x->m->in->student->program->n;
    x->own = p->search == DM_MIPRO_FACTOR || p->search == DM_MIPRO_HALVING;
    x->per_predictor = x->m->plan->zero_shot ? 1 : 2;
    x->reflections = dm_mipro_reflections_that_fit(x->m->in, x->m->plan);
    x->learned =
        dm_arena_alloc_n(x->a, DM_REFLECTIVE_ROUNDS * x->reflections * n, sizeof *x->learned);
    x->n_slots = n * x->per_predictor;
    x->levels = dm_arena_alloc_n(x->a, x->n_slots, sizeof *x->levels);
    for (size_t i = 0; i < n; i++) {
        x->levels[i * x->per_predictor] =
            dm_propose_get(x->m->proposer, i)->n + DM_REFLECTIVE_ROUNDS * x->reflections;
        if (has_demo_slot(x))
            x->levels[2 * i + 1] = x->m->plan->n_sets;
    }
    x->leaks = dm_arena_alloc_n(x->a, n * x->m->plan->n_sets, sizeof *x->leaks);
    x->guard = p->has_leak_guard ? p->leak_guard
                                 : p->search != DM_MIPRO_SCHEDULE && p->search != DM_MIPRO_TPE;
}

static dm_status score_start(search *x, dm_error *err)
{
    static const uint16_t written[512];
    int64_t errors = 0;
    dm_status st = dm_pool_wait(x->m->pool, x->m->start, &x->start, err);
    if (st == DM_OK)
        x->start = as_scored(x, "the start program", x->start, x->m->valset->n);
    if (st == DM_OK && !is_schedule(x))
        st = dm_count_errors(x->m->pool, x->m->in->params, x->start, x->m->valset->n, &errors, err);
    if (st != DM_OK)
        return st;
    dm_tell_start(x->m->in, x->start, x->m->valset->n);
    x->asked = whole_evaluations(x) ? 0 : x->m->valset->n; /* there it is the first unit */
    for (size_t i = 0; i < x->m->valset->n; i++)
        if (x->start[i].present)
            dm_search_known(x->s, written, i, x->start[i].score);
    if (!whole_evaluations(x)) {
        dm_scored s = {.candidate = x->m->in->student, .name = "start"};
        s.levels = dm_mipro_levels_text(x->a, written, x->n_slots, x->per_predictor);
        dm_tell_tried(x->m->pool, x->m->in, 0, &s, x->start, x->m->valset->n, NULL, NULL);
    }
    return DM_OK;
}

/* ---- the result ---- */

/* What is known of a candidate: [valset->n], what was not run is absent. */
static dm_result *row_of(const search *x, size_t candidate)
{
    dm_result *row = dm_arena_alloc_n(x->a, x->m->valset->n, sizeof *row);
    for (size_t i = 0; i < x->m->valset->n; i++)
        row[i] = candidate == 0 && x->start ? x->start[i] : (dm_result){.score = NAN};
    for (size_t k = 0; k < x->told; k++)
        for (size_t i = 0; x->units[k].candidate == candidate && i < x->units[k].n; i++)
            row[x->units[k].examples[i]] = x->units[k].results[i];
    return row;
}

/* Runs what the candidate's row still misses. */
static dm_status complete_row(search *x, size_t candidate, dm_error *err)
{
    dm_search_estimate e;
    size_t *missing = dm_arena_alloc_n(x->a, x->m->valset->n, sizeof *missing);
    dm_search_unit u = {.candidate = candidate, .kind = DM_SEARCH_COMPLETE, .examples = missing};
    dm_search_estimate_of(x->s, candidate, &e);
    u.levels = e.levels;
    u.trial = x->n_units;
    u.n = candidate == 0 ? 0 : dm_search_missing(x->s, candidate, missing);
    if (u.n == 0)
        return DM_OK;
    dm_status st = submit(x, &u, err);
    unit *v = &x->units[x->n_units - 1];
    if (st == DM_OK)
        st = dm_pool_wait(x->m->pool, v->future, &v->results, err);
    if (st == DM_OK)
        tell_tried(x, v);
    x->told += st == DM_OK;
    return st;
}

static dm_scored *add_scored(const search *x, dm_compile_output *out, size_t candidate,
                             const dm_result *row)
{
    dm_search_estimate e;
    dm_scored *s = &out->scored[out->n_scored++];
    dm_search_estimate_of(x->s, candidate, &e);
    *s = (dm_scored){.candidate = candidate ? x->candidates[candidate] : x->m->in->student,
                     .results = row,
                     .score = dm_mean_against(row, x->start, x->m->valset->n),
                     .estimate = e.mean};
    s->levels = dm_mipro_levels_text(x->a, e.levels, x->n_slots, x->per_predictor);
    return s;
}

/* DSPy's schedules: a row for each trial, under the number of DSPy's log. */
static void list_trials(const search *x, dm_compile_output *out, size_t best)
{
    size_t n;
    const dm_trial *trials = dm_search_trials(x->s, &n);
    static const char *const kinds[] = {"start", "minibatch", "full", "full"};
    out->scored = dm_arena_alloc_n(x->a, n, sizeof *out->scored);
    for (size_t t = 0; t < n; t++) {
        const unit *u = NULL;
        for (size_t k = 0; k < x->told && !u; k++)
            if (x->units[k].trial == trials[t].number)
                u = &x->units[k];
        dm_result *row = dm_arena_alloc_n(x->a, x->m->valset->n, sizeof *row);
        for (size_t i = 0; i < x->m->valset->n; i++)
            row[i] = (dm_result){.score = NAN};
        for (size_t i = 0; u && i < u->n; i++)
            row[u->examples[i]] = u->results[i];
        if (!u) /* a candidate that was drawn again: its score was told again, unpaid */
            row = row_of(x, trials[t].candidate);
        dm_scored *s = add_scored(x, out, trials[t].candidate, row);
        snprintf(s->name, sizeof s->name, "trial %zu %s", trials[t].number + 1,
                 kinds[trials[t].kind]);
        bool first_whole = out->best_index == SIZE_MAX && trials[t].kind != DM_TRIAL_MINIBATCH;
        if (trials[t].candidate == best && (trials[t].improved || first_whole))
            out->best_index = t;
    }
}

/* Others: the start, every complete row, and the candidates that the most is known of. */
static void list_candidates(const search *x, dm_compile_output *out, size_t best)
{
    size_t n = dm_search_candidates(x->s), listed = 0, contenders = 0;
    bool *list = dm_alloc_n(n, sizeof *list);
    size_t *known = dm_alloc_n(n, sizeof *known);
    for (size_t c = 0; c < n; c++) {
        dm_search_estimate e;
        dm_search_estimate_of(x->s, c, &e);
        known[c] = e.known;
        list[c] = c == 0 || c == best || (e.complete && e.known);
    }
    for (size_t least = x->m->valset->n; least > 0 && contenders < MOST_CONTENDERS; least--)
        for (size_t c = 0; c < n && contenders < MOST_CONTENDERS; c++)
            if (known[c] == least && !list[c]) {
                list[c] = true;
                contenders++;
            }
    for (size_t c = 0; c < n; c++)
        listed += list[c];
    out->scored = dm_arena_alloc_n(x->a, listed, sizeof *out->scored);
    for (size_t c = 0; c < n; c++) {
        if (!list[c] || (c && (c >= x->n_candidates || !x->candidates[c])))
            continue;
        dm_scored *s = add_scored(x, out, c, row_of(x, c));
        snprintf(s->name, sizeof s->name, c ? "candidate %zu" : "start", c);
        if (c == best)
            out->best_index = out->n_scored - 1;
    }
    free(list);
    free(known);
}

static void mark_demos(const search *x, size_t candidate, dm_compile_output *out)
{
    const dm_candidate *student = x->m->in->student;
    const dm_dataset *val = x->m->valset;
    dm_search_estimate e;
    if (!has_demo_slot(x) || !x->ready)
        return;
    bool *in_demos = dm_arena_alloc_n(x->a, val->n, sizeof *in_demos);
    dm_search_estimate_of(x->s, candidate, &e);
    for (size_t p = 0; p < student->program->n; p++) {
        const bool *leaks = leaks_of(x, e.levels[2 * p + 1], p);
        for (size_t i = 0; i < val->n; i++)
            in_demos[i] |= candidate ? leaks[i] : dm_stands_in_demos(student, p, &val->examples[i]);
    }
    out->searched.in_demos = in_demos;
}

static size_t count_barred(const search *x)
{
    size_t n = 0, predictors = x->m->in->student->program->n;
    if (!x->guard || !has_demo_slot(x) || !x->ready)
        return 0;
    for (size_t c = 1; c < dm_search_candidates(x->s); c++) {
        dm_search_estimate e;
        dm_search_estimate_of(x->s, c, &e);
        for (size_t i = 0; e.known && i < x->m->valset->n; i++) {
            bool leaks = false;
            for (size_t p = 0; p < predictors; p++)
                leaks |= leaks_of(x, e.levels[2 * p + 1], p)[i];
            n += leaks;
        }
    }
    return n;
}

/* ---- the winner ---- */

static bool is_dropped(const search *x, size_t candidate, const dm_result *row)
{
    return candidate && x->start && dm_is_refused_too_often(row, x->start, x->m->valset->n);
}

/* Scores are compared on the same examples (src/README.md §5), and the search knows means alone: so
 * of the whole evaluations the earliest of the highest is found here, two at a time. */
static size_t best_of_whole(const search *x)
{
    size_t n, best = SIZE_MAX;
    const dm_trial *trials = dm_search_trials(x->s, &n);
    const dm_result *best_row = NULL;
    for (size_t t = 0; t < n; t++) {
        size_t c = trials[t].candidate;
        if (trials[t].kind == DM_TRIAL_MINIBATCH || c == best)
            continue;
        const dm_result *row = row_of(x, c);
        if (!is_dropped(x, c, row) && dm_beats(row, best_row, x->m->valset->n)) {
            best = c;
            best_row = row;
        }
    }
    return best == SIZE_MAX ? 0 : best;
}

/* The best by whole rows, where the search's own choice is dropped. */
static size_t next_best(const search *x)
{
    size_t best = 0;
    const dm_result *best_row = x->start;
    for (size_t c = 1; c < dm_search_candidates(x->s); c++) {
        dm_search_estimate e;
        dm_search_estimate_of(x->s, c, &e);
        if (!e.complete || !e.known)
            continue;
        const dm_result *row = row_of(x, c);
        if (!is_dropped(x, c, row) && dm_beats(row, best_row, x->m->valset->n)) {
            best = c;
            best_row = row;
        }
    }
    return best;
}

/* The search's choice, once its row is there; the start where the model thought better of it than
 * the examples do. */
static size_t choose_best(const search *x, size_t best, bool whole_row)
{
    if (whole_evaluations(x))
        return x->start ? best_of_whole(x) : best;
    if (is_dropped(x, best, row_of(x, best))) {
        dm_tell_dropped(dm_arena_printf(x->a, "candidate %zu", best));
        return next_best(x);
    }
    bool beaten =
        best && x->start && whole_row && !dm_beats(row_of(x, best), x->start, x->m->valset->n);
    return beaten ? 0 : best;
}

static const dm_value *levels_json(const search *x)
{
    const dm_program *program = x->m->in->student->program;
    dm_value *all = dm_value_dict(x->a);
    for (size_t p = 0; x->ready && p < program->n; p++) {
        const dm_instructions *list = dm_propose_get(x->m->proposer, p);
        dm_value *d = dm_value_dict(x->a), *texts = dm_value_list(x->a),
                 *sets = dm_value_list(x->a);
        for (size_t i = 0; i < list->n + DM_REFLECTIVE_ROUNDS * x->reflections; i++) {
            dm_str text = instruction_of(x, p, i);
            dm_value_append(x->a, texts,
                            text.p ? dm_value_string(x->a, text) : dm_value_null(x->a));
        }
        for (size_t i = 0; has_demo_slot(x) && i < x->m->plan->n_sets; i++) {
            const dm_candidate_part *part = part_of(x, i, p);
            dm_value *demos = dm_value_list(x->a);
            for (size_t k = 0; k < part->n_demos; k++)
                dm_value_append(x->a, demos, part->demos[k]);
            dm_value_append(x->a, sets, demos);
        }
        dm_value_set(x->a, d, DM_STR("instructions"), texts);
        dm_value_set(x->a, d, DM_STR("demos"), sets);
        dm_value_set(x->a, all, dm_predictor_label(&program->predictors[p]), d);
    }
    return x->ready ? all : NULL;
}

static dm_status finish(search *x, dm_status st, dm_compile_output *out, dm_error *err)
{
    const dm_mipro_params *p = dm_mipro_params_of(x->m->in);
    size_t best;
    if (st > 0)
        dm_search_stop(x->s);
    best = dm_search_best(x->s);
    if (st == DM_OK)
        st = complete_row(x, best, err);
    if (st < 0)
        return st;
    best = choose_best(x, best, st == DM_OK);
    out->best = best && best < x->n_candidates && x->candidates[best] ? x->candidates[best]
                                                                      : x->m->in->student;
    if (whole_evaluations(x))
        list_trials(x, out, best);
    else
        list_candidates(x, out, best);
    if (st == DM_OK) {
        out->start = row_of(x, 0);
        out->winner = row_of(x, best);
        mark_demos(x, best, out);
    }
    out->searched.method = dm_mipro_search_name(p->search);
    out->searched.end = dm_search_end_name(dm_search_why(x->s));
    out->searched.runs = x->asked;
    out->searched.learned = x->n_learned;
    out->searched.candidates = dm_search_candidates(x->s);
    out->searched.barred = count_barred(x);
    out->searched.levels = levels_json(x);
    out->searched.optimism = best == 0 ? 0 : p->search == DM_MIPRO_SCHEDULE ? .45 : .65;
    return st;
}

dm_status dm_mipro_search_run(dm_mipro *m, dm_compile_output *out, dm_error *err)
{
    search x = {.m = m, .a = dm_pool_arena(m->pool)};
    dm_search_options o;
    set_up(&x);
    dm_status st = open_search(&x, &o, err);
    if (st != DM_OK)
        return st;
    declare_early(&x, &o);
    st = score_start(&x, err);
    if (st == DM_OK)
        st = go_on(&x, err);
    if (st >= 0)
        st = finish(&x, st, out, err);
    dm_search_free(x.s);
    free(x.units);
    free(x.candidates);
    free(x.errors);
    return st;
}
