/* The loop (A.3, A.8): parents, their minibatches, reflections, children on the same rows, and what
 * improves on its parent is validated. */
#include "gepa/inside.h"

#include <math.h>
#include <string.h>

#define SHARE_OF_GAIN .25 /* by tests/bench/bench_gepa.c, seeds 1 to 100 */

int64_t dm_gepa_auto_budget(size_t n, size_t n_components, size_t n_val)
{
    double a = 4 * (double)n_components * log2((double)n), b = 1.5 * (double)n;
    int64_t trials = (int64_t)(a > b ? a : b), v = (int64_t)n_val;
    int64_t full = (trials + 1) / 5 + 1 + (trials < 5 ? 1 : 0);
    return v + 5 * (int64_t)n + 35 * trials + full * v;
}

/* ---- candidates and fronts ---- */

static void update_fronts(dm_gepa *g, size_t k)
{
    const double *scores = g->candidates[k].scores;
    for (size_t v = 0; v < g->o->n_val; v++) {
        dm_gepa_front *f = &g->fronts[v];
        if (k == 0)
            *f = (dm_gepa_front){-INFINITY, dm_gepa_set_new(g->arena)};
        if (isnan(scores[v]) || scores[v] < f->best)
            continue;
        if (scores[v] > f->best)
            *f = (dm_gepa_front){scores[v], dm_gepa_set_new(g->arena)};
        dm_gepa_set_add(g->arena, &f->who, k);
    }
}

/* In the package's order, for the last digit's sake: scores that were kept (A.10) come before those
 * of the rows that were run, b's, which ascend. */
static void set_mean(dm_gepa_candidate *c, const dm_gepa_batch *b, size_t n_val)
{
    size_t n = 0;
    for (int run = 0; run < 2; run++)
        for (size_t v = 0, k = 0; v < n_val; v++) {
            bool is_run = k < b->n && b->rows[k] == v;
            k += is_run;
            if (is_run != run || isnan(c->scores[v]))
                continue;
            c->mean += c->scores[v];
            n++;
        }
    c->mean = n ? c->mean / (double)n : 0;
}

/* b: the runs that its validation took. */
static size_t add_candidate(dm_gepa *g, const dm_gepa_batch *b, const size_t *parents,
                            size_t n_parents, const double *scores)
{
    g->candidates = dm_arena_room(g->arena, g->candidates, g->n, &g->cap, sizeof *g->candidates);
    dm_gepa_candidate *c = &g->candidates[g->n];
    *c = (dm_gepa_candidate){.texts = b->texts, .scores = scores, .n_parents = n_parents};
    c->runs = b->n == g->o->n_val ? b->runs : NULL;
    c->found = n_parents ? g->result.counted : 0;
    for (size_t p = 0; p < n_parents; p++) {
        c->parents[p] = parents[p];
        c->next =
            g->candidates[parents[p]].next > c->next ? g->candidates[parents[p]].next : c->next;
    }
    set_mean(c, b, g->o->n_val);
    c->value = c->mean - dm_gepa_cost_of(g, b->texts);
    g->result.counted += (int64_t)b->paid;
    g->result.full_evaluations++;
    update_fronts(g, g->n);
    return g->n++;
}

static dm_status evaluate_start(dm_gepa *g, const dm_str *start, dm_error *err)
{
    dm_gepa_batch b = dm_gepa_batch_of(g, start, true, NULL, 0);
    dm_status st = dm_gepa_evaluate(g, &b, 1, err);
    if (st != DM_OK)
        return st;
    double *scores = dm_arena_alloc_n(g->arena, b.n, sizeof *scores);
    for (size_t v = 0; v < b.n; v++)
        scores[v] = g->o->wide && b.runs[v].absent ? NAN : b.runs[v].score;
    add_candidate(g, &b, NULL, 0, scores);
    return DM_OK;
}

/* ---- parents ---- */

/* The first proposal with the same text and the same rows; k itself if there is none before it. */
static size_t same_task(const dm_gepa *g, const dm_gepa_proposal *all, size_t k)
{
    for (size_t e = 0; e < k; e++)
        if (memcmp(all[e].ids, all[k].ids, all[k].n_ids * sizeof *all[k].ids) == 0 &&
            dm_gepa_same_texts(g, g->candidates[all[e].parent].texts,
                               g->candidates[all[k].parent].texts))
            return e;
    return k;
}

static dm_status run_counted(dm_gepa *g, dm_gepa_batch *b, size_t n, dm_error *err)
{
    dm_status st = dm_gepa_evaluate(g, b, n, err);
    for (size_t k = 0; k < n && st == DM_OK; k++) {
        g->result.counted += (int64_t)b[k].paid;
        dm_gepa_keep_scores(g, &b[k]);
    }
    return st;
}

/* Those that have no runs yet. */
static dm_status run_parents(dm_gepa *g, dm_gepa_proposal *all, size_t n, dm_error *err)
{
    dm_gepa_batch *b = dm_arena_alloc_n(g->arena, n, sizeof *b);
    size_t n_b = 0;
    for (size_t k = 0; k < n; k++) {
        if (all[k].before)
            continue;
        size_t first = same_task(g, all, k);
        if (first == k) {
            b[n_b] = dm_gepa_batch_of(g, g->candidates[all[k].parent].texts, false, all[k].ids,
                                      all[k].n_ids);
            all[k].before = b[n_b++].runs;
        } else {
            all[k].before = all[first].before;
        }
    }
    return run_counted(g, b, n_b, err);
}

/* ---- children ---- */

static dm_status run_children(dm_gepa *g, dm_gepa_proposal *all, size_t n, dm_error *err)
{
    dm_gepa_batch *b = dm_arena_alloc_n(g->arena, n, sizeof *b);
    size_t n_b = 0;
    for (size_t k = 0; k < n; k++)
        if (all[k].texts) {
            b[n_b] = dm_gepa_batch_of(g, all[k].texts, false, all[k].ids, all[k].n_ids);
            all[k].after = b[n_b++].runs;
        }
    return run_counted(g, b, n_b, err);
}

/* What a child has to make up for on its rows because it is longer than its parent. */
static double longer(const dm_gepa *g, const dm_gepa_proposal *p)
{
    return (double)p->n_ids *
           (dm_gepa_cost_of(g, p->texts) - dm_gepa_cost_of(g, g->candidates[p->parent].texts));
}

/* The children of an iteration are ranked by this. As the package does it, it is how much better
 * they do than their parents. When wide, it is how good they may be: their parents' value and a
 * quarter of the gain. The gain is worth less than it seems, since the rows are few and up to
 * half of them are there because the parent failed them. */
static double worth(const dm_gepa *g, const dm_gepa_proposal *p)
{
    double before, after;
    dm_gepa_sums(g, p->before, p->after, p->n_ids, &before, &after);
    if (!g->o->wide)
        return after - before;
    double rows = (double)p->n_ids;
    return g->candidates[p->parent].value +
           (SHARE_OF_GAIN * (after - before) - longer(g, p)) / rows;
}

static bool improves(const dm_gepa *g, const dm_gepa_proposal *p)
{
    double before, after;
    dm_gepa_sums(g, p->before, p->after, p->n_ids, &before, &after);
    if (g->o->length_weight > 0)
        before += longer(g, p);
    double least = g->o->wide ? 1e-9 : 0; /* sums of the same scores may differ in a last digit */
    return g->o->equal_is_enough ? after >= before - least : after > before + least;
}

/* Descending, stable. */
static void sort_by_worth(const dm_gepa *g, dm_gepa_proposal **p, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        dm_gepa_proposal *moved = p[i];
        size_t k = i;
        for (; k > 0 && worth(g, p[k - 1]) < worth(g, moved); k--)
            p[k] = p[k - 1];
        p[k] = moved;
    }
}

static bool is_candidate(const dm_gepa *g, const dm_str *texts)
{
    for (size_t k = 0; k < g->n; k++)
        if (dm_gepa_same_texts(g, g->candidates[k].texts, texts))
            return true;
    return false;
}

/* Which improvements are validated, equal ones once. */
static size_t select_children(const dm_gepa *g, dm_gepa_proposal *all, size_t n,
                              dm_gepa_proposal **out)
{
    size_t n_out = 0, kept = 0;
    for (size_t k = 0; k < n; k++)
        if (all[k].after && improves(g, &all[k]) && !(g->o->wide && is_candidate(g, all[k].texts)))
            out[n_out++] = &all[k];
    if (g->o->keep != DM_GEPA_ALL) {
        size_t most = g->o->keep == DM_GEPA_BEST ? 1 : g->o->keep_k;
        sort_by_worth(g, out, n_out);
        n_out = n_out < most ? n_out : most;
    }
    for (size_t k = 0; k < n_out; k++) {
        bool known = false;
        for (size_t e = 0; e < kept && !known; e++)
            known = dm_gepa_same_texts(g, out[e]->texts, out[k]->texts);
        if (!known)
            out[kept++] = out[k];
    }
    return kept;
}

static dm_status validate(dm_gepa *g, dm_gepa_iteration *it, dm_gepa_proposal *all, dm_error *err)
{
    dm_gepa_proposal **kids = dm_arena_alloc_n(g->arena, it->n_proposals, sizeof(void *));
    size_t n = select_children(g, all, it->n_proposals, kids);
    size_t *accepted = dm_arena_alloc_n(g->arena, n, sizeof *accepted);
    dm_gepa_batch *b = dm_arena_alloc_n(g->arena, n, sizeof *b);
    for (size_t k = 0; k < n; k++)
        b[k] = dm_gepa_batch_of(g, kids[k]->texts, true, NULL, 0);
    dm_status st = dm_gepa_evaluate(g, b, n, err);
    if (st != DM_OK)
        return st;
    for (size_t k = 0; k < n; k++) {
        const double *scores = dm_gepa_validation_scores(g, &b[k]);
        kids[k]->candidate = add_candidate(g, &b[k], &kids[k]->parent, 1, scores);
        accepted[it->n_accepted++] = kids[k]->candidate;
        g->fresh = g->o->merge;
        g->merges_due += g->o->merge && g->merges < g->o->max_merges;
    }
    g->result.accepted += n;
    it->accepted = accepted;
    return DM_OK;
}

/* What has been spent of the budget. When wide, reflections count too: a search whose runs are
 * all known would go on reflecting for ever. */
static int64_t spent(const dm_gepa *g)
{
    size_t more = g->o->more ? *g->o->more : 0;
    return g->result.counted + (g->o->wide ? (int64_t)(g->result.reflections + more) : 0);
}

/* How many proposals the budget covers, each with its reflections, beside the validation of one
 * child. */
static size_t most_proposals(const dm_gepa *g)
{
    int64_t left = g->o->budget - spent(g) - (int64_t)g->o->n_val;
    size_t asks = g->o->asks ? g->o->asks : 1;
    size_t each = 2 * g->o->minibatch + asks * (g->o->all_components ? g->o->n_components : 1);
    return left > 0 ? (size_t)left / each : 0;
}

/* Minibatches that are all perfect are drawn again, and their parents run on the new ones. */
static dm_status run_again(dm_gepa *g, dm_gepa_iteration *it, dm_gepa_proposal *all, dm_error *err)
{
    enum { TIMES = 3 };
    bool any = true;
    dm_status st = DM_OK;
    for (int t = 0; t < TIMES && any && st == DM_OK && most_proposals(g) >= it->n_proposals; t++) {
        any = false;
        for (size_t k = 0; k < it->n_proposals; k++)
            if (dm_gepa_skip_of(g, &all[k]) == DM_GEPA_ALL_PERFECT) {
                g->result.perfect_batches++;
                any = true;
                all[k].before = NULL;
                dm_gepa_draw_again(g, it, &all[k]);
            }
        if (any)
            st = run_parents(g, all, it->n_proposals, err);
    }
    return st;
}

static dm_status propose(dm_gepa *g, dm_gepa_iteration *it, dm_error *err)
{
    dm_gepa_proposal *all = dm_gepa_sample(g, it, g->o->wide ? most_proposals(g) : SIZE_MAX);
    dm_status st = run_parents(g, all, it->n_proposals, err);
    if (st == DM_OK && g->o->wide)
        st = run_again(g, it, all, err);
    if (st == DM_OK) {
        dm_gepa_prepare(g, all, it->n_proposals);
        st = dm_gepa_reflect(g, it, all, err);
    }
    if (st == DM_OK)
        st = run_children(g, all, it->n_proposals, err);
    return st == DM_OK ? validate(g, it, all, err) : st;
}

/* ---- merge ---- */

static dm_status take_merge(dm_gepa *g, dm_gepa_iteration *it, dm_gepa_merge *m,
                            const dm_str *texts, dm_error *err)
{
    size_t *accepted = dm_arena_alloc(g->arena, sizeof *accepted);
    const size_t parents[2] = {m->i, m->j};
    dm_gepa_batch b = dm_gepa_batch_of(g, texts, true, NULL, 0);
    dm_status st = dm_gepa_evaluate(g, &b, 1, err);
    if (st != DM_OK)
        return st;
    m->candidate = add_candidate(g, &b, parents, 2, dm_gepa_validation_scores(g, &b));
    *accepted = m->candidate;
    it->accepted = accepted;
    it->n_accepted = 1;
    g->merges_due--;
    g->merges++;
    return DM_OK;
}

static dm_status merge(dm_gepa *g, dm_gepa_iteration *it, bool *no_weight, dm_error *err)
{
    dm_gepa_merge *m = dm_arena_alloc(g->arena, sizeof *m);
    const dm_str *texts = NULL;
    if (!dm_gepa_find_merge(g, m, &texts, no_weight))
        return DM_OK;
    dm_gepa_batch b = dm_gepa_batch_of(g, texts, true, m->ids, m->n_ids);
    dm_status st = dm_gepa_evaluate_merge(g, &b, err);
    if (st != DM_OK)
        return st;
    g->result.counted += (int64_t)b.paid;
    m->after = b.runs;
    it->merge = m;
    return dm_gepa_merge_is_good(g, m) ? take_merge(g, it, m, texts, err) : DM_OK;
}

/* ---- the search ---- */

static dm_status iterate(dm_gepa *g, dm_gepa_iteration *it, dm_error *err)
{
    bool no_weight = false;
    dm_status st = DM_OK;
    it->merge_due = g->o->merge && g->merges_due > 0 && g->fresh;
    g->fresh = false;
    if (it->merge_due)
        st = merge(g, it, &no_weight, err);
    if (no_weight)
        g->result.end = DM_GEPA_END_ANCESTOR;
    if (st == DM_OK && !it->merge && !no_weight)
        st = propose(g, it, err);
    return st;
}

static void tell(dm_gepa *g, dm_gepa_iteration *it)
{
    it->counted = g->result.counted;
    it->stream = g->stream;
    it->candidates = g->candidates;
    it->n_candidates = g->n;
    if (g->world->tell)
        g->world->tell(g->world->user, it);
}

static bool goes_on(const dm_gepa *g)
{
    if (g->o->wide && most_proposals(g) == 0)
        return false;
    return g->result.end == DM_GEPA_END_BUDGET && spent(g) < g->o->budget;
}

static dm_status run(dm_gepa *g, const dm_str *start, dm_error *err)
{
    enum { DRY = 20 }; /* iterations in a row in which nothing ran that had not run before */
    size_t dry = 0;
    dm_status st = evaluate_start(g, start, err);
    for (size_t i = 0; st == DM_OK && goes_on(g); i++) {
        dm_gepa_iteration it = {.number = i};
        int64_t before = g->result.counted;
        st = iterate(g, &it, err);
        if (st != DM_OK)
            break;
        dry = g->result.counted == before ? dry + 1 : 0;
        if (dry == DRY)
            g->result.end = DM_GEPA_END_DRY;
        g->result.iterations++;
        tell(g, &it);
        if (g->o->max_reflection_failures && g->failed_in_a_row >= g->o->max_reflection_failures)
            g->result.end = DM_GEPA_END_REFLECTION;
    }
    return st;
}

static void finish(dm_gepa *g, dm_status stopped)
{
    const size_t **fronts = dm_arena_alloc_n(g->arena, g->o->n_val, sizeof *fronts);
    size_t *n_front = dm_arena_alloc_n(g->arena, g->o->n_val, sizeof *n_front);
    for (size_t v = 0; v < g->o->n_val && g->n; v++) {
        fronts[v] = dm_gepa_set_items(g->arena, &g->fronts[v].who);
        n_front[v] = g->fronts[v].who.n;
    }
    g->result.fronts = fronts;
    g->result.n_front = n_front;
    g->result.candidates = g->candidates;
    g->result.n = g->n;
    g->result.best = dm_gepa_best(dm_gepa_values(g), g->n);
    g->result.merges = g->merges;
    g->result.stopped = stopped;
    if (stopped)
        g->result.end = DM_GEPA_END_STOPPED;
}

dm_status dm_gepa_search(dm_arena *a, const dm_gepa_options *o, const dm_str *start,
                         const dm_gepa_world *world, dm_gepa_result *result, dm_error *err)
{
    dm_gepa *g = dm_arena_alloc(a, sizeof *g);
    *g = (dm_gepa){.arena = a, .o = o, .world = world};
    g->sampler = (dm_gepa_sampler){.n = o->n_train, .b = o->minibatch};
    g->fronts = dm_arena_alloc_n(a, o->n_val, sizeof *g->fronts);
    dm_pyrandom_seed(&g->stream, o->seed);
    dm_pyrandom_seed(&g->picks, o->seed);
    dm_pyrandom_seed(&g->own[0], 3 * o->seed + 1);
    dm_pyrandom_seed(&g->own[1], 3 * o->seed + 2);
    g->batches = o->wide ? &g->own[0] : &g->stream;
    g->merger = o->wide ? &g->own[1] : &g->stream;
    dm_status st = run(g, start, err);
    if (st < 0)
        return st;
    finish(g, st);
    *result = g->result;
    return DM_OK;
}
