/* GEPA as an optimizer: its parameters, and how the search (gepa/gepa.h) is asked of a pool. */
#ifndef DM_OPTIMIZER_GEPA_H
#define DM_OPTIMIZER_GEPA_H

#include "gepa/gepa.h"
#include "optimizer/inside.h"

enum { DM_GEPA_PARALLEL, DM_GEPA_EXACT };

/* DSPy's names and defaults (A.1). Of the first three at most one is given. */
typedef struct dm_gepa_params {
    dm_params base;
    int auto_mode; /* 0: not given, or light, medium, heavy: light where there is no other budget */
    bool has_max_full_evals, has_max_metric_calls;
    int64_t max_full_evals, max_metric_calls;
    int search; /* 0: parallel, ours; 1: gepa, the package's decisions */
    bool has_minibatch_size, has_sampling, has_selection;
    int64_t reflection_minibatch_size; /* DM_GEPA_MINIBATCH; search = gepa: 3 */
    dm_gepa_parents candidate_selection_strategy;
    bool skip_perfect_score; /* true */
    double perfect_score;    /* 1 */
    bool add_format_failure_as_feedback;
    int component_selector; /* 0: round_robin, 1: all */
    bool use_merge;         /* true */
    int64_t max_merge_invocations;
    int acceptance_criterion;           /* 0: strict_improvement, 1: improvement_or_equal */
    dm_gepa_sampling sampling_strategy; /* independent; search = gepa: one */
    bool has_proposals, has_parents, has_top_k;
    int64_t proposals, parents;      /* n, and p, of the sampling strategy */
    dm_gepa_keep selection_strategy; /* best_improvement; search = gepa: all_improvements */
    int64_t top_k;
    bool cache_evaluation;
    int64_t max_reflection_failures; /* 5; ours, as the following */
    int leak;                        /* 0: reported, 1: dropped */
    bool has_max_chars, has_leak, has_length_weight;
    int64_t max_chars;    /* of an instruction; 0: any */
    double length_weight; /* points per 100 tokens */
} dm_gepa_params;

static inline const dm_gepa_params *dm_gepa_params_of(const dm_compile_input *in)
{
    return (const dm_gepa_params *)in->params;
}

extern const dm_param dm_gepa_table[];
dm_status dm_gepa_check(dm_arena *a, const dm_at *at, dm_params *p, dm_error *err);
/* What the search is asked to do. All that it points to lives in a. */
dm_gepa_options dm_gepa_options_of(dm_arena *a, const dm_compile_input *in);
void dm_gepa_plan(dm_arena *a, const dm_compile_input *in, dm_plan *plan);

/* ---- gepa_reflect.c ---- */

typedef struct dm_gepa_asking { /* how, and what came of it so far */
    dm_pool *pool;
    const dm_compile_input *in;
    size_t max_chars; /* 0: any */
    bool drop_leaks;
    bool verbatim;         /* fences around the whole text stay, as in DSPy */
    size_t more, too_long; /* calls for something shorter; texts that stayed too long */
    size_t leaks, dropped; /* texts that copy a row; of them, those that were dropped for it */
    const char *why;       /* the newest answer that gave no text; NULL: each gave one */
} dm_gepa_asking;

/* Asks the prompt model n questions at once, each for a better instruction of one predictor by what
 * some runs showed; then for shorter ones of what is too long. The rows' `of` are dm_result, the
 * steps' dm_step. texts[n] as dm_gepa_world's reflect has them. */
dm_status dm_gepa_ask(dm_gepa_asking *x, const dm_gepa_question *q, size_t n, dm_str *texts,
                      dm_error *err);

#endif
