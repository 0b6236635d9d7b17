/* A proposal: its parent and minibatch (A.4), what a reflection is shown of the parent's runs
 * (A.6), and the reflection (A.5). */
#include "gepa/inside.h"

#include <string.h>

/* ---- parents and minibatches ---- */

static size_t choose_top_k(dm_gepa *g, const double *mean, const dm_gepa_set *copies)
{
    enum { K = 5 };
    dm_gepa_set top = dm_gepa_set_new(g->arena), *cut;
    bool *taken = dm_arena_alloc_n(g->arena, g->n, sizeof *taken);
    size_t n = 0;
    for (size_t k = 0; k < K && k < g->n; k++) {
        size_t best = SIZE_MAX;
        for (size_t i = 0; i < g->n; i++)
            if (!taken[i] && (best == SIZE_MAX || mean[i] > mean[best]))
                best = i;
        taken[best] = true;
        dm_gepa_set_add(g->arena, &top, best);
    }
    cut = dm_arena_alloc_n(g->arena, g->o->n_val, sizeof *cut);
    for (size_t v = 0; v < g->o->n_val; v++) {
        cut[n] = dm_gepa_set_meet(g->arena, &copies[v], &top);
        n += cut[n].n > 0;
    }
    return n ? dm_gepa_choose_pareto(g->arena, &g->stream, cut, n, mean) : dm_gepa_best(mean, g->n);
}

static size_t choose_parent(dm_gepa *g)
{
    const double *mean = dm_gepa_means(g);
    size_t best = dm_gepa_best(dm_gepa_values(g), g->n);
    switch (g->o->parents) {
    case DM_GEPA_CURRENT_BEST:
        return best;
    case DM_GEPA_EPSILON_GREEDY:
        if (dm_pyrandom_random(&g->stream) >= .1)
            return best;
        return (size_t)dm_pyrandom_randint(&g->stream, 0, (int64_t)g->n - 1);
    case DM_GEPA_TOP_K_PARETO:
        return choose_top_k(g, mean, dm_gepa_front_copies(g));
    case DM_GEPA_PARETO:
        break;
    }
    return dm_gepa_choose_pareto(g->arena, &g->stream, dm_gepa_front_copies(g), g->o->n_val, mean);
}

/* When wide, up to half of the rows are drawn from those that the parent is known to have
 * failed, because a reflection learns from failures. The others come from the shuffled order, so
 * that no child is accepted only for rows on which its parent was unlucky. */
static const size_t *rows_of(dm_gepa *g, const dm_gepa_iteration *it, size_t parent)
{
    size_t b = g->sampler.b, taken = 0;
    const size_t *next = dm_gepa_minibatch(g->arena, &g->sampler, g->batches, it->number);
    if (!g->o->wide)
        return next;
    size_t *rows = dm_arena_alloc_n(g->arena, b, sizeof *rows);
    size_t n;
    const size_t *failed = dm_gepa_known_failures(g, g->candidates[parent].texts, &n);
    size_t most = n < b / 2 ? n : b / 2, *which = dm_arena_alloc_n(g->arena, most, sizeof *which);
    dm_pyrandom_sample(g->batches, n, most, which);
    for (size_t i = 0; i < most; i++)
        rows[taken++] = failed[which[i]];
    for (size_t i = 0; taken < b; i++)
        rows[taken++] = next[i];
    return rows;
}

static void add_proposal(dm_gepa *g, dm_gepa_iteration *it, dm_gepa_proposal *all, size_t parent)
{
    all[it->n_proposals++] = (dm_gepa_proposal){.parent = parent,
                                                .ids = rows_of(g, it, parent),
                                                .n_ids = g->sampler.b,
                                                .candidate = SIZE_MAX};
}

size_t dm_gepa_width(const dm_gepa_options *o)
{
    size_t n = o->sampled_batches;
    return o->sampling == DM_GEPA_ONE     ? 1
           : o->sampling == DM_GEPA_P_X_N ? o->sampled_parents * n
                                          : n;
}

dm_gepa_proposal *dm_gepa_sample(dm_gepa *g, dm_gepa_iteration *it, size_t most)
{
    const dm_gepa_options *o = g->o;
    size_t n = dm_gepa_width(o), parent = 0;
    size_t each =
        o->sampling == DM_GEPA_SAME_PARENT || o->sampling == DM_GEPA_P_X_N ? o->sampled_batches : 1;
    n = n < most ? n : most;
    dm_gepa_proposal *all = dm_arena_alloc_n(g->arena, n, sizeof *all);
    for (size_t k = 0; k < n; k++) {
        parent = k % each == 0 ? choose_parent(g) : parent;
        add_proposal(g, it, all, parent);
    }
    it->proposals = all;
    return all;
}

void dm_gepa_draw_again(dm_gepa *g, const dm_gepa_iteration *it, dm_gepa_proposal *p)
{
    p->ids = dm_gepa_minibatch(g->arena, &g->sampler, g->batches, it->number);
    p->skip = DM_GEPA_NOT_SKIPPED;
}

/* ---- what a reflection is shown (A.6) ---- */

static bool same_signature(const dm_gepa *g, const dm_str *texts, size_t x, size_t y)
{
    return g->o->shape[x] == g->o->shape[y] && dm_str_eq(texts[x], texts[y]);
}

/* The step of the run to be shown; NULL: none. */
static const dm_gepa_step *pick_step(dm_gepa *g, const dm_str *texts, size_t component,
                                     const dm_gepa_run *r)
{
    const dm_gepa_step **same = dm_arena_alloc_n(g->arena, r->n_steps, sizeof(dm_gepa_step *));
    size_t n = 0;
    for (size_t s = 0; s < r->n_steps; s++)
        if (same_signature(g, texts, r->steps[s].component, component) &&
            (g->o->format_feedback || !r->steps[s].failed))
            same[n++] = &r->steps[s];
    for (size_t s = 0; s < n; s++)
        if (same[s]->failed)
            return same[s];
    if (n == 0 || !r->answered)
        return NULL;
    return same[dm_pyrandom_below(&g->picks, n)];
}

static void show(dm_gepa *g, dm_gepa_proposal *p, size_t component)
{
    dm_gepa_shown *shown = dm_arena_alloc_n(g->arena, p->n_ids, sizeof *shown);
    size_t n = 0;
    for (size_t i = 0; i < p->n_ids; i++) {
        const dm_gepa_run *r = &p->before[i];
        const dm_gepa_step *s =
            r->crashed ? NULL : pick_step(g, g->candidates[p->parent].texts, component, r);
        if (s)
            shown[n++] = (dm_gepa_shown){p->ids[i], r, s};
    }
    p->shown[component] = n ? shown : NULL;
    p->n_shown[component] = n;
    p->asked = p->asked || n;
}

dm_gepa_skip dm_gepa_skip_of(const dm_gepa *g, const dm_gepa_proposal *p)
{
    bool any = false, perfect = g->o->skip_perfect;
    for (size_t i = 0; i < p->n_ids; i++) {
        any = any || !p->before[i].crashed;
        perfect =
            perfect && ((g->o->wide && p->before[i].absent) || p->before[i].score >= g->o->perfect);
    }
    return !any ? DM_GEPA_NO_TRAJECTORIES : perfect ? DM_GEPA_ALL_PERFECT : DM_GEPA_NOT_SKIPPED;
}

static void choose_components(dm_gepa *g, dm_gepa_proposal *p)
{
    dm_gepa_candidate *parent = &g->candidates[p->parent];
    size_t n = g->o->n_components;
    p->components = dm_arena_alloc_n(g->arena, n, sizeof *p->components);
    for (size_t c = 0; c < n && g->o->all_components; c++)
        p->components[p->n_components++] = c;
    if (!g->o->all_components) {
        p->components[p->n_components++] = parent->next;
        parent->next = (parent->next + 1) % n;
    }
    p->shown = dm_arena_alloc_n(g->arena, n, sizeof *p->shown);
    p->n_shown = dm_arena_alloc_n(g->arena, n, sizeof *p->n_shown);
    for (size_t k = 0; k < p->n_components; k++)
        show(g, p, p->components[k]);
}

void dm_gepa_prepare(dm_gepa *g, dm_gepa_proposal *all, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        all[k].skip = dm_gepa_skip_of(g, &all[k]);
        g->result.perfect_batches += all[k].skip == DM_GEPA_ALL_PERFECT && !g->o->wide;
        if (all[k].skip == DM_GEPA_NOT_SKIPPED)
            choose_components(g, &all[k]);
    }
}

/* ---- reflections (A.5) ---- */

static dm_gepa_question question_of(const dm_gepa *g, const dm_gepa_iteration *it,
                                    const dm_gepa_proposal *p, size_t component, bool again)
{
    return (dm_gepa_question){.iteration = it->number,
                              .proposal = (size_t)(p - it->proposals),
                              .again = again,
                              .texts = g->candidates[p->parent].texts,
                              .component = component,
                              .shown = p->shown[component],
                              .n_shown = p->n_shown[component]};
}

static dm_str *texts_of_parent(const dm_gepa *g, const dm_gepa_proposal *p)
{
    dm_str *texts = dm_arena_alloc_n(g->arena, g->o->n_components, sizeof *texts);
    memcpy(texts, g->candidates[p->parent].texts, g->o->n_components * sizeof *texts);
    return texts;
}

static bool is_usable(dm_str text)
{
    return text.p && text.n > 0;
}

/* p->texts stays NULL where an answer could not be used. Then the remaining components are not
 * asked for. */
static dm_status reflect(dm_gepa *g, const dm_gepa_iteration *it, dm_gepa_proposal *p, bool again,
                         dm_error *err)
{
    dm_str *texts = texts_of_parent(g, p);
    for (size_t k = 0; k < p->n_components; k++) {
        size_t c = p->components[k];
        if (!p->shown[c])
            continue;
        const dm_gepa_question q = question_of(g, it, p, c, again);
        g->result.reflections++;
        dm_status st = g->world->reflect(g->world->user, &q, 1, &texts[c], err);
        if (st != DM_OK || !is_usable(texts[c]))
            return st;
    }
    p->texts = texts;
    return DM_OK;
}

/* All at once: what fails is no proposal. */
static dm_status reflect_at_once(dm_gepa *g, const dm_gepa_iteration *it, dm_gepa_proposal *all,
                                 dm_error *err)
{
    size_t most = it->n_proposals * g->o->n_components, n = 0;
    dm_gepa_question *q = dm_arena_alloc_n(g->arena, most, sizeof *q);
    dm_str *texts = dm_arena_alloc_n(g->arena, most, sizeof *texts);
    for (size_t p = 0; p < it->n_proposals; p++)
        for (size_t k = 0; all[p].asked && k < all[p].n_components; k++)
            if (all[p].shown[all[p].components[k]])
                q[n++] = question_of(g, it, &all[p], all[p].components[k], false);
    g->result.reflections += n;
    dm_status st = n ? g->world->reflect(g->world->user, q, n, texts, err) : DM_OK;
    for (size_t i = 0, first = 0; i < n && st == DM_OK; i++) {
        dm_gepa_proposal *p = &all[q[i].proposal];
        first = i > 0 && q[i - 1].proposal == q[i].proposal ? first : i;
        dm_str *own = i == first ? texts_of_parent(g, p) : (dm_str *)p->texts;
        p->dropped = p->dropped || (texts[i].p && texts[i].n == 0);
        p->texts = own && is_usable(texts[i]) ? own : NULL;
        if (p->texts)
            own[q[i].component] = texts[i];
    }
    return st;
}

static dm_status reflect_each(dm_gepa *g, const dm_gepa_iteration *it, dm_gepa_proposal *all,
                              bool until_one_fails, bool *one_failed, dm_error *err)
{
    *one_failed = false;
    for (size_t k = 0; k < it->n_proposals && !(until_one_fails && *one_failed); k++) {
        if (!all[k].asked)
            continue;
        all[k].texts = NULL;
        dm_status st = reflect(g, it, &all[k], !until_one_fails, err);
        if (st != DM_OK)
            return st;
        *one_failed = *one_failed || !all[k].texts;
    }
    return DM_OK;
}

/* One after another. If one fails, all are asked for again, each on its own. */
static dm_status reflect_in_a_row(dm_gepa *g, const dm_gepa_iteration *it, dm_gepa_proposal *all,
                                  dm_error *err)
{
    bool failed;
    dm_status st = reflect_each(g, it, all, true, &failed, err);
    return st == DM_OK && failed ? reflect_each(g, it, all, false, &failed, err) : st;
}

dm_status dm_gepa_reflect(dm_gepa *g, const dm_gepa_iteration *it, dm_gepa_proposal *all,
                          dm_error *err)
{
    bool asked = false, any = false;
    dm_status st =
        g->o->wide ? reflect_at_once(g, it, all, err) : reflect_in_a_row(g, it, all, err);
    for (size_t k = 0; k < it->n_proposals; k++) {
        asked = asked || all[k].asked;
        any = any || all[k].texts || all[k].dropped;
    }
    if (st == DM_OK && asked) {
        g->failed_in_a_row = any ? 0 : g->failed_in_a_row + 1;
        g->result.failed_reflections += !any;
    }
    return st;
}
