/* The public face: checks options, keeps the units in flight, and enters results in the units'
 * order. */
#include "search/factor.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const dm_method *const METHODS[] = {[DM_SEARCH_FACTOR] = &dm_method_factor,
                                           [DM_SEARCH_MIPRO] = &dm_method_mipro,
                                           [DM_SEARCH_TPE] = &dm_method_full,
                                           [DM_SEARCH_RANDOM] = &dm_method_full,
                                           [DM_SEARCH_HALVING] = &dm_method_halving};

DM_PRINTF(3, 4) static bool wrong(char *why, size_t size, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (why && size)
        vsnprintf(why, size, fmt, ap);
    va_end(ap);
    return false;
}

static bool within(char *why, size_t size, const char *name, double v, double low, double high)
{
    return v >= low && v <= high
               ? true
               : wrong(why, size, "%s is %g: a number from %g to %g", name, v, low, high);
}

static bool check_constants(const dm_search_constants *c, char *why, size_t size)
{
    const struct {
        const char *name;
        double v, low, high;
    } row[] = {{"block", (double)c->block, 0, 1e6},
               {"block_max", (double)c->block_max, (double)c->block, 1e6},
               {"start", (double)c->start, 1, 1e6},
               {"refit_percent", (double)c->refit_percent, 0, 100},
               {"passes", (double)c->passes, 1, 100},
               {"effect", c->effect, 1e-3, 100},
               {"rest", c->rest, 1e-6, 1e3},
               {"trust_effect", c->trust_effect, 0, 1e9},
               {"trust_rest", c->trust_rest, 0, 1e9},
               {"difficulty", c->difficulty, 1e-3, 1e3},
               {"explore_until", c->explore_until, 0, 1},
               {"explore", c->explore, 0, 1},
               {"temperature", c->temperature, 0, 10},
               {"informed", c->informed, 0, 1},
               {"contender", c->contender, 0, 100},
               {"finals_share", c->finals_share, 0, 1}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (!within(why, size, row[i].name, row[i].v, row[i].low, row[i].high))
            return false;
    return true;
}

static bool check(const dm_search_options *o, char *why, size_t size)
{
    if (o->method > DM_SEARCH_HALVING)
        return wrong(why, size, "no such method: %d", (int)o->method);
    if (o->n_slots < 1 || o->n_slots > 256 || !o->levels)
        return wrong(why, size, "%zu slots: from 1 to 256", o->n_slots);
    for (size_t i = 0; i < o->n_slots; i++)
        if (o->levels[i] < 1 || o->levels[i] > UINT16_MAX)
            return wrong(why, size, "slot %zu has %zu levels: from 1 to 65535", i, o->levels[i]);
    if (o->n_examples < 1 || o->n_examples > UINT32_MAX)
        return wrong(why, size, "%zu examples: from 1 on", o->n_examples);
    if (o->window < 1 || o->window > 1000000)
        return wrong(why, size, "a window of %zu units: from 1 to 1000000", o->window);
    if (o->method == DM_SEARCH_MIPRO) {
        if (o->minibatch && (o->minibatch_size < 1 || o->minibatch_size > o->n_examples))
            return wrong(why, size, "minibatches of %zu: from 1 to the %zu examples",
                         o->minibatch_size, o->n_examples);
        if (o->minibatch && o->full_eval_steps < 1)
            return wrong(why, size, "full_eval_steps is 0: from 1 on");
    } else if (o->budget < 1) {
        return wrong(why, size, "a budget of 0 cells: from 1 on");
    }
    return o->method != DM_SEARCH_FACTOR || check_constants(&o->constants, why, size);
}

static void copy_names(dm_search *s, const char *const *names)
{
    const char **own = dm_alloc_n(s->o.n_slots, sizeof *own);
    for (size_t i = 0; i < s->o.n_slots; i++) {
        char text[32];
        snprintf(text, sizeof text, "%03zu", i);
        own[i] = dm_copy_string(names ? names[i] : text);
    }
    s->o.names = own;
}

dm_search *dm_search_new(const dm_search_options *o, char *why, size_t size)
{
    if (!check(o, why, size))
        return NULL;
    dm_search *s = dm_alloc(sizeof *s);
    s->o = *o;
    s->o.levels = dm_copy_bytes(o->levels, o->n_slots * sizeof *o->levels);
    copy_names(s, o->names);
    s->offset = dm_alloc_n(o->n_slots + 1, sizeof *s->offset);
    for (size_t i = 0; i < o->n_slots; i++)
        s->offset[i + 1] = s->offset[i] + o->levels[i];
    size_t levels = s->offset[o->n_slots];
    s->dropped = dm_alloc_n(levels, sizeof *s->dropped);
    s->early = dm_alloc_n(levels, sizeof *s->early);
    s->leak = dm_alloc_n(levels, sizeof *s->leak);
    if (o->method == DM_SEARCH_MIPRO) /* each trial is drawn from all before it */
        s->o.window = 1;
    s->ring_size = s->o.window;
    s->ring = dm_alloc_n(s->ring_size, sizeof *s->ring);
    s->last_best = DM_NONE;
    s->method = METHODS[o->method];
    s->state = s->method->make(s);
    return s;
}

static void free_unit(dm_unit *u)
{
    if (!u)
        return;
    free(u->examples);
    free(u->scores);
    free(u);
}

void dm_search_free(dm_search *s)
{
    if (!s)
        return;
    s->method->free(s->state);
    for (size_t i = 0; i < s->ring_size; i++)
        free_unit(s->ring[i]);
    for (size_t j = 0; j < s->n_arms; j++) {
        free(s->arms[j].x);
        free(s->arms[j].taken);
        free(s->arms[j].scored);
        free(s->arms[j].example);
        free(s->arms[j].score);
    }
    for (size_t i = 0; i < s->o.n_slots; i++)
        free((void *)s->o.names[i]);
    for (size_t l = 0; l < s->offset[s->o.n_slots]; l++)
        free(s->leak[l]);
    free((void *)s->o.names);
    free((void *)s->o.levels);
    free(s->offset);
    free(s->dropped);
    free(s->early);
    free(s->leak);
    free(s->arms);
    dm_index_free(&s->index);
    free(s->ring);
    free(s);
}

void dm_search_early(dm_search *s, size_t slot, size_t level)
{
    s->has_early = true;
    s->early[s->offset[slot] + level] = true;
}

void dm_search_drop_level(dm_search *s, size_t slot, size_t level)
{
    if (level > 0)
        s->dropped[s->offset[slot] + level] = true;
}

void dm_search_add_level(dm_search *s, size_t slot, size_t level)
{
    bool over = s->end == DM_SEARCH_KNOWN || s->end == DM_SEARCH_CERTAIN;
    s->dropped[s->offset[slot] + level] = false;
    if (over && s->o.method == DM_SEARCH_FACTOR)
        dm_factor_reopen(s);
}

void dm_search_leak(dm_search *s, size_t slot, size_t level, size_t example)
{
    uint64_t **bits = &s->leak[s->offset[slot] + level];
    if (!*bits)
        *bits = dm_alloc_n((s->o.n_examples + 63) / 64, sizeof **bits);
    dm_set_bit(*bits, example);
}

static void enter(dm_arm *a, size_t example, double score)
{
    if (dm_bit(a->scored, example)) /* mipro: a minibatch met this cell before */
        return;
    if (a->known == a->cap) {
        a->cap = a->cap ? 2 * a->cap : 8;
        a->example = dm_grow(a->example, a->cap, sizeof *a->example);
        a->score = dm_grow(a->score, a->cap, sizeof *a->score);
    }
    dm_set_bit(a->scored, example);
    a->example[a->known] = (uint32_t)example;
    a->score[a->known++] = score;
}

void dm_search_known(dm_search *s, const uint16_t *levels, size_t example, double score)
{
    if (!s->method->model || s->next > 0)
        return;
    static const uint16_t written[256];
    dm_search_arm(s, written);             /* is candidate 0 in any case */
    size_t arm = dm_search_arm(s, levels); /* may move the arms */
    dm_arm *a = &s->arms[arm];
    if (dm_bit(a->taken, example))
        return;
    dm_set_bit(a->taken, example);
    a->issued++;
    a->told++;
    s->known_told++;
    enter(a, example, score);
}

static void commit(dm_search *s, dm_unit *u)
{
    dm_arm *a = &s->arms[u->u.candidate];
    for (size_t i = 0; i < u->u.n; i++)
        if (!isnan(u->scores[i]))
            enter(a, u->examples[i], u->scores[i]);
    a->told += u->u.n;
    s->known_told += u->u.n;
    if (s->method->commit)
        s->method->commit(s, u);
}

/* Enters what was told, oldest first, up to unit `until`; later ones wait even if they are there.
 */
static void settle(dm_search *s, size_t until)
{
    while (s->committed < until) {
        dm_unit **u = &s->ring[s->committed % s->ring_size];
        if (!(*u)->told)
            return;
        commit(s, *u);
        free_unit(*u);
        *u = NULL;
        s->committed++;
    }
}

dm_search_answer dm_search_ask(dm_search *s, dm_search_unit *out)
{
    size_t window = s->ring_size;
    /* To see a part of what is in flight would depend on who came first. */
    if (s->waits && s->end == DM_SEARCH_GOES_ON) {
        settle(s, s->next);
        if (s->committed < s->next)
            return DM_SEARCH_TELL;
        s->waits = false;
    }
    if (s->end == DM_SEARCH_GOES_ON && s->next >= window)
        settle(s, s->next - window + 1);
    if (s->end != DM_SEARCH_GOES_ON) {
        settle(s, s->next);
        return DM_SEARCH_DONE;
    }
    if (s->next - s->committed >= window)
        return DM_SEARCH_TELL;
    dm_unit *u = dm_alloc(sizeof *u);
    u->u.id = u->u.trial = s->next;
    dm_search_answer answer = s->method->decide(s, u);
    if (answer != DM_SEARCH_UNIT) {
        free_unit(u);
        if (answer == DM_SEARCH_TELL && s->next > s->committed) {
            s->waits = true;
            return dm_search_ask(s, out);
        }
        settle(s, s->next);
        return DM_SEARCH_DONE;
    }
    u->u.levels = s->arms[u->u.candidate].x;
    u->u.examples = u->examples;
    u->scores = dm_alloc_n(u->u.n, sizeof *u->scores);
    s->ring[s->next++ % window] = u;
    *out = u->u;
    return DM_SEARCH_UNIT;
}

bool dm_search_tell(dm_search *s, size_t id, const double *scores, const bool *absent)
{
    if (id >= s->next || id < s->committed)
        return false;
    dm_unit *u = s->ring[id % s->ring_size];
    if (u->told)
        return false;
    for (size_t i = 0; i < u->u.n; i++)
        u->scores[i] = absent && absent[i] ? NAN : scores[i];
    u->told = true;
    if (s->end != DM_SEARCH_GOES_ON)
        settle(s, s->next);
    return true;
}

void dm_search_stop(dm_search *s)
{
    if (s->end == DM_SEARCH_GOES_ON)
        s->end = DM_SEARCH_STOPPED;
    settle(s, s->next);
}

dm_search_end dm_search_why(const dm_search *s)
{
    return s->end;
}

size_t dm_search_best(const dm_search *s)
{
    return s->method->best(s);
}

double dm_search_best_mean(const dm_search *s)
{
    dm_search_estimate e;
    if (s->n_arms == 0)
        return NAN;
    dm_search_estimate_of(s, dm_search_best(s), &e);
    return e.mean;
}

size_t dm_search_candidates(const dm_search *s)
{
    return s->n_arms;
}

size_t dm_search_missing(const dm_search *s, size_t candidate, size_t *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s->o.n_examples; i++)
        if (!dm_bit(s->arms[candidate].taken, i)) {
            if (out)
                out[n] = i;
            n++;
        }
    return n;
}

double dm_search_score(const dm_search *s, size_t candidate, size_t example)
{
    const dm_arm *a = &s->arms[candidate];
    for (size_t k = 0; k < a->known; k++)
        if (a->example[k] == example)
            return a->score[k];
    return NAN;
}

const char *dm_search_end_name(dm_search_end e)
{
    static const char *const name[] = {"goes on", "budget",  "known",  "score",
                                       "stale",   "certain", "stopped"};
    return (size_t)e < sizeof name / sizeof *name ? name[e] : "unknown";
}
