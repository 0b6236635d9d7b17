/* Racing random search's candidates (dspy_mpi/search.h, src/search/README.md §5): all run the next
 * block of validation examples, then those that can no longer be the best are dropped and what they
 * still have in flight is cancelled. Blocks are submitted ahead, results enter in the order of
 * submission, so the course depends on the answers alone.
 *
 * An example that stands in a candidate's demonstrations is not scored for it. */
#include "base/log.h"
#include "dspy_mpi/search.h"
#include "optimizer/inside.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define BLOCKS_AHEAD 2 /* one is being answered while the one before it is decided on */

/* ---- the race ---- */

typedef struct runner {
    dm_result *results; /* [valset->n] present where it ran and has a score */
    int64_t errors;
} runner;

typedef struct block {
    dm_race_unit unit;
    dm_future *future;
} block;

typedef struct racing {
    dm_pool *pool;
    const dm_compile_input *in;
    const dm_candidate *const *candidates; /* [n] */
    const dm_scored *scored;               /* [n] their names */
    size_t n;
    dm_race *race;
    runner *runners;            /* [n] */
    block *blocks;              /* [n_blocks] in the order of submission */
    size_t n_blocks, cap, next; /* next: the first that was not waited for */
    size_t runs, barred;
} racing;

static bool is_shown(const racing *r, const dm_candidate *c, size_t example)
{
    bool shown = false;
    for (size_t k = 0; k < c->program->n && !shown; k++)
        shown = dm_stands_in_demos(c, k, &r->in->valset->examples[example]);
    return shown;
}

static dm_status open_race(racing *r, dm_error *err)
{
    const dm_random_search_params *params = (const dm_random_search_params *)r->in->params;
    size_t n_examples = r->in->valset->n;
    bool halving = params->race == DM_RACES_HALVING;
    char why[120];
    dm_race_options o;
    dm_race_defaults(&o, r->n, n_examples);
    o.rule = halving ? DM_RACE_HALVING : DM_RACE_BETTING;
    o.alpha = params->race_alpha;
    o.window = halving ? 1 : BLOCKS_AHEAD;
    o.seed = (uint64_t)dm_seed_of(r->in->params);
    r->race = dm_race_new(&o, why, sizeof why);
    if (!r->race)
        return dm_fail(err, DM_E_JOB, "optimizer.race: %s", why);
    r->runners = dm_arena_alloc_n(dm_pool_arena(r->pool), r->n, sizeof *r->runners);
    for (size_t c = 0; c < r->n; c++) {
        r->runners[c].results =
            dm_arena_alloc_n(dm_pool_arena(r->pool), n_examples, sizeof(dm_result));
        for (size_t i = 0; i < n_examples; i++) {
            r->runners[c].results[i].score = NAN;
            if (!is_shown(r, r->candidates[c], i))
                continue;
            dm_race_leak(r->race, c, i);
            r->barred++;
        }
    }
    return DM_OK;
}

static void submit(racing *r, const dm_race_unit *u)
{
    dm_work w = dm_work_of(r->candidates[u->candidate]);
    const dm_example **examples = dm_alloc_n(u->n, sizeof *examples);
    for (size_t i = 0; i < u->n; i++)
        examples[i] = &r->in->valset->examples[u->examples[i]];
    r->blocks = dm_room(r->blocks, r->n_blocks, &r->cap, sizeof *r->blocks);
    r->blocks[r->n_blocks++] = (block){*u, dm_pool_submit(r->pool, &w, examples, u->n)};
    r->runs += u->n;
    free(examples);
}

/* The start program's results as far as it ran; NULL: it does not run here. */
static const dm_result *start_of(const racing *r)
{
    const dm_random_search_params *params = (const dm_random_search_params *)r->in->params;
    return dm_is_restricted_to(params, -3) ? r->runners[0].results : NULL;
}

/* Nobody waits for what a dropped candidate still has in flight. */
static void cancel_dropped(racing *r)
{
    for (size_t k = r->next; k < r->n_blocks; k++)
        if (r->blocks[k].future && !dm_race_alive(r->race, r->blocks[k].unit.candidate)) {
            dm_pool_cancel(r->pool, r->blocks[k].future);
            r->blocks[k].future = NULL;
        }
}

static dm_status take(racing *r, const block *b, dm_error *err)
{
    const dm_result *results;
    runner *c = &r->runners[b->unit.candidate];
    dm_status st = dm_pool_wait(r->pool, b->future, &results, err);
    if (st == DM_OK)
        st = dm_count_errors(r->pool, r->in->params, results, b->unit.n, &c->errors, err);
    if (st != DM_OK)
        return st;
    double *scores = dm_alloc_n(b->unit.n, sizeof *scores);
    bool *refused = dm_alloc_n(b->unit.n, sizeof *refused);
    for (size_t i = 0; i < b->unit.n; i++) {
        c->results[b->unit.examples[i]] = results[i];
        refused[i] = results[i].refused;
        scores[i] = isnan(results[i].score) ? NAN : fmin(1, fmax(0, results[i].score));
    }
    if (!dm_race_tell_refused(r->race, b->unit.id, scores, NULL, refused))
        st = dm_fail(err, DM_E_INTERNAL, "a block of the race came twice");
    size_t leads = dm_race_winner(r->race), known;
    dm_tell_tried(r->pool, r->in, b->unit.candidate, &r->scored[b->unit.candidate], results,
                  b->unit.n, start_of(r), b->unit.examples);
    if (leads != SIZE_MAX)
        dm_tell_best(r->pool, r->in, leads, dm_race_mean(r->race, leads, &known));
    free(scores);
    free(refused);
    return st;
}

/* Until the race is over and all that counts is there, or the run is stopping. */
static dm_status run_race(racing *r, dm_error *err)
{
    for (;;) {
        dm_race_unit u;
        dm_search_answer a = dm_race_ask(r->race, &u);
        cancel_dropped(r);
        if (a == DM_SEARCH_UNIT) {
            submit(r, &u);
            continue;
        }
        while (r->next < r->n_blocks && !r->blocks[r->next].future)
            r->next++;
        if (r->next == r->n_blocks)
            return DM_OK;
        dm_status st = take(r, &r->blocks[r->next], err);
        if (st != DM_OK)
            return st;
        r->next++;
    }
}

/* ---- the end ---- */

static bool may_be_dropped(size_t c, const dm_result *start)
{
    return c > 0 || !start; /* the first one is the start program, if that runs */
}

static size_t stopped_winner(const racing *r, const dm_compile_output *out, const dm_result *start)
{
    size_t c = dm_race_winner(r->race);
    if (c == SIZE_MAX || !may_be_dropped(c, start) ||
        !dm_is_refused_too_often(out->scored[c].results, start, r->in->valset->n))
        return c;
    dm_tell_dropped(out->scored[c].name);
    return SIZE_MAX;
}

/* Of those that reached the end the earliest of the highest, on the examples that both were scored
 * on; of a race that was stopped, the one that leads. */
static void name_winner(const racing *r, dm_compile_output *out)
{
    size_t n = r->in->valset->n;
    const dm_result *start = start_of(r);
    if (out->stopped)
        out->best_index = stopped_winner(r, out, start);
    for (size_t c = 0; c < r->n && !out->stopped; c++) {
        const dm_result *best =
            out->best_index != SIZE_MAX ? out->scored[out->best_index].results : NULL;
        if (!dm_race_alive(r->race, c))
            continue;
        if (may_be_dropped(c, start) && dm_is_refused_too_often(out->scored[c].results, start, n))
            dm_tell_dropped(out->scored[c].name);
        else if (dm_beats(out->scored[c].results, best, n))
            out->best_index = c;
    }
    if (out->best_index != SIZE_MAX)
        out->best = r->candidates[out->best_index];
}

static void tell(const racing *r, const dm_compile_output *out)
{
    const dm_random_search_params *params = (const dm_random_search_params *)r->in->params;
    size_t full = r->n * r->in->valset->n, left = 0;
    for (size_t c = 0; c < r->n; c++)
        left += dm_race_alive(r->race, c);
    char rule[80] = "halving, without a claim";
    if (params->race == DM_RACES_BETTING)
        snprintf(rule, sizeof rule, "full evaluation's winner lost with a chance of at most %g",
                 params->race_alpha);
    dm_log(DM_WARN,
           "race: %zu of %zu candidates left; at most %zu of %zu program runs, %.0f %% saved (%s)",
           left, r->n, r->runs, full, 100 * (1 - (double)r->runs / (double)full), rule);
    if (!r->barred)
        return;
    dm_log(DM_INFO,
           "race: %zu program runs left out, on validation examples that are in the candidate's "
           "own demonstrations",
           r->barred);
    if (out->best_index == SIZE_MAX)
        return;
    size_t own = 0;
    for (size_t i = 0; i < r->in->valset->n; i++)
        own += is_shown(r, out->best, i);
    if (own)
        dm_log(DM_WARN,
               "%zu validation examples are in the winner's demonstrations; its score without them "
               "is %.1f %%",
               own, 100 * out->scored[out->best_index].score);
}

dm_status dm_race_candidates(dm_pool *p, const dm_compile_input *in,
                             const dm_candidate *const *candidates, dm_compile_output *out,
                             dm_error *err)
{
    racing r = {
        .pool = p, .in = in, .candidates = candidates, .scored = out->scored, .n = out->n_scored};
    dm_status st = open_race(&r, err);
    if (st == DM_OK)
        st = run_race(&r, err);
    if (st >= 0) {
        out->stopped = st;
        for (size_t c = 0; c < r.n; c++) {
            out->scored[c].results = r.runners[c].results;
            out->scored[c].score =
                dm_mean_against(r.runners[c].results, start_of(&r), in->valset->n);
        }
        name_winner(&r, out);
        tell(&r, out);
    }
    dm_race_free(r.race);
    free(r.blocks);
    return st;
}
