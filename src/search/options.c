/* The options of a search: their defaults, and each by its name. */
#include "search/options.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So few cells, though so many of them for each candidate: scales are hardly learned and
 * difficulties hardly known. A wider prior then, as recorded matrices show it, and fewer examples
 * chosen by difficulty. */
#define FEW_CELLS         1200
#define CELLS_A_CANDIDATE 10

void dm_search_defaults(dm_search_options *o, dm_search_method method, size_t n_examples,
                        size_t budget)
{
    *o = (dm_search_options){
        .method = method,
        .n_slots = o->n_slots,
        .levels = o->levels,
        .names = o->names,
        .n_examples = n_examples,
        .budget = budget,
        .window = 1,
        .minibatch = n_examples > 50,
        .minibatch_size = 35,
        .full_eval_steps = 5,
        .stop_at_score = 2,
        .constants = {.start = 18,
                      .refit_percent = 2,
                      .passes = 3,
                      .effect = .7,
                      .rest = .5,
                      .trust_effect = 6,
                      .trust_rest = 10,
                      .difficulty = 4,
                      .explore_until = .8,
                      .explore = .6,
                      .temperature = .85,
                      .informed = .75,
                      .contender = 1.5,
                      .finalists = 3,
                      .finals_share = .15},
    };
    double space = 1;
    for (size_t i = 0; i < o->n_slots && o->levels; i++)
        space *= (double)o->levels[i];
    if (budget < FEW_CELLS && (double)budget >= CELLS_A_CANDIDATE * space) {
        o->constants.effect = 1.4;
        o->constants.informed = .5;
    }
}

/* ---- by name ---- */

/* Amounts are size_t, but for the seed; both are 8 bytes where this is built. */
_Static_assert(sizeof(size_t) == sizeof(uint64_t), "amounts and the seed are read alike");
#define MOST_WHOLE 0x1p53 /* what a double counts without a gap */

static const struct row {
    dm_search_option about;
    size_t at; /* in dm_search_options */
} rows[] = {
    {{"budget", "cells that may be handed out, which mipro's trials say too", DM_SEARCH_WHOLE,
      false},
     offsetof(dm_search_options, budget)},
    {{"window", "units in flight; part of the search, not of the cluster", DM_SEARCH_WHOLE, false},
     offsetof(dm_search_options, window)},
    {{"seed", "of all that is drawn", DM_SEARCH_WHOLE, false}, offsetof(dm_search_options, seed)},
    {{"trials", "mipro: candidates that are drawn", DM_SEARCH_WHOLE, false},
     offsetof(dm_search_options, trials)},
    {{"minibatch", "mipro: trials on some examples, not on all", DM_SEARCH_BOOL, false},
     offsetof(dm_search_options, minibatch)},
    {{"minibatch_size", "mipro: examples of a minibatch", DM_SEARCH_WHOLE, false},
     offsetof(dm_search_options, minibatch_size)},
    {{"full_eval_steps", "mipro: a full evaluation after so many minibatches", DM_SEARCH_WHOLE,
      false},
     offsetof(dm_search_options, full_eval_steps)},
    {{"random_sampler", "mipro: draw at random in place of TPE", DM_SEARCH_BOOL, false},
     offsetof(dm_search_options, random_sampler)},
    {{"stop_at_score", "mean over all examples at which to stop; above 1: never", DM_SEARCH_REAL,
      false},
     offsetof(dm_search_options, stop_at_score)},
    {{"patience", "stop when the best has not changed for so many cells; 0: never", DM_SEARCH_WHOLE,
      false},
     offsetof(dm_search_options, patience)},
    {{"block", "cells of a first unit; 0: from the budget", DM_SEARCH_WHOLE, true},
     offsetof(dm_search_options, constants.block)},
    {{"block_max", "cells of a later unit; 0: twice those of a first one", DM_SEARCH_WHOLE, true},
     offsetof(dm_search_options, constants.block_max)},
    {{"start", "balanced random units before the model decides", DM_SEARCH_WHOLE, true},
     offsetof(dm_search_options, constants.start)},
    {{"refit_percent", "the model is fitted when the known cells grew by so much", DM_SEARCH_WHOLE,
      true},
     offsetof(dm_search_options, constants.refit_percent)},
    {{"passes", "Newton passes of a fit", DM_SEARCH_WHOLE, true},
     offsetof(dm_search_options, constants.passes)},
    {{"effect", "prior standard deviation of a level's effect, in logits", DM_SEARCH_REAL, true},
     offsetof(dm_search_options, constants.effect)},
    {{"rest", "prior variance of a candidate's own part over effect^2", DM_SEARCH_REAL, true},
     offsetof(dm_search_options, constants.rest)},
    {{"trust_effect", "weight of the prior of effects, in levels; 0: never learn", DM_SEARCH_REAL,
      true},
     offsetof(dm_search_options, constants.trust_effect)},
    {{"trust_rest", "weight of the prior of the rest, in candidates; 0: never learn",
      DM_SEARCH_REAL, true},
     offsetof(dm_search_options, constants.trust_rest)},
    {{"difficulty", "prior variance of an example's difficulty", DM_SEARCH_REAL, true},
     offsetof(dm_search_options, constants.difficulty)},
    {{"explore_until", "share of the budget in which units may explore", DM_SEARCH_REAL, true},
     offsetof(dm_search_options, constants.explore_until)},
    {{"explore", "chance that such a unit explores", DM_SEARCH_REAL, true},
     offsetof(dm_search_options, constants.explore)},
    {{"temperature", "of the Thompson draw; 1 is the posterior itself", DM_SEARCH_REAL, true},
     offsetof(dm_search_options, constants.temperature)},
    {{"informed", "share of a unit's examples that are chosen as the most informative",
      DM_SEARCH_REAL, true},
     offsetof(dm_search_options, constants.informed)},
    {{"contender", "further than this behind the leader a candidate gets no more cells, in logits",
      DM_SEARCH_REAL, true},
     offsetof(dm_search_options, constants.contender)},
    {{"finalists", "the best so many are completed at the end; 0: none", DM_SEARCH_WHOLE, true},
     offsetof(dm_search_options, constants.finalists)},
    {{"finals_share", "at most this share of the budget is kept for that", DM_SEARCH_REAL, true},
     offsetof(dm_search_options, constants.finals_share)},
};

static const struct row *find(const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].about.name, name) == 0)
            return &rows[i];
    return NULL;
}

bool dm_search_option_at(size_t i, dm_search_option *out)
{
    if (i >= sizeof rows / sizeof *rows)
        return false;
    *out = rows[i].about;
    return true;
}

bool dm_search_option_set(dm_search_options *o, const char *name, double value, char *why,
                          size_t size)
{
    const struct row *r = find(name);
    const char *wanted = NULL;
    if (!r)
        wanted = "there is no such option";
    else if (r->about.kind == DM_SEARCH_BOOL && value != 0 && value != 1)
        wanted = "it is 0 or 1";
    else if (r->about.kind == DM_SEARCH_WHOLE &&
             !(value >= 0 && value <= MOST_WHOLE && value == floor(value)))
        wanted = "it is a whole number from 0 to 2^53";
    else if (isnan(value))
        wanted = "it is a number";
    if (wanted) {
        if (why && size)
            snprintf(why, size, r ? "%s: %s, not %g" : "%s: %s", name, wanted, value);
        return false;
    }
    char *field = (char *)o + r->at;
    if (r->about.kind == DM_SEARCH_BOOL)
        *(bool *)field = value != 0;
    else if (r->about.kind == DM_SEARCH_WHOLE)
        *(size_t *)field = (size_t)value;
    else
        *(double *)field = value;
    return true;
}

double dm_search_option_get(const dm_search_options *o, const char *name)
{
    const struct row *r = find(name);
    if (!r)
        return NAN;
    const char *field = (const char *)o + r->at;
    if (r->about.kind == DM_SEARCH_BOOL)
        return *(const bool *)field;
    if (r->about.kind == DM_SEARCH_WHOLE)
        return (double)*(const size_t *)field;
    return *(const double *)field;
}

/* ---- making ---- */

dm_search_options *dm_search_options_new(dm_search_method method, const size_t *levels,
                                         size_t n_slots, size_t n_examples, size_t budget)
{
    dm_search_options *o = dm_alloc(sizeof *o);
    o->n_slots = n_slots;
    o->levels = levels ? dm_copy_bytes(levels, n_slots * sizeof *levels) : NULL;
    dm_search_defaults(o, method, n_examples, budget);
    return o;
}

static void free_names(dm_search_options *o)
{
    for (size_t i = 0; o->names && i < o->n_slots; i++)
        free((char *)o->names[i]);
    free((void *)o->names);
    o->names = NULL;
}

void dm_search_options_names(dm_search_options *o, const char *const *names)
{
    free_names(o);
    const char **own = dm_alloc_n(o->n_slots, sizeof *own);
    for (size_t i = 0; i < o->n_slots; i++)
        own[i] = dm_copy_string(names[i]);
    o->names = own;
}

void dm_search_options_free(dm_search_options *o)
{
    if (!o)
        return;
    free_names(o);
    free((void *)o->levels);
    free(o);
}
