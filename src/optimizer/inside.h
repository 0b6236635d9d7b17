/* What the optimizers share. */
#ifndef DM_OPTIMIZER_INSIDE_H
#define DM_OPTIMIZER_INSIDE_H

#include "optimizer/few_shot.h"

/* A training set in a custom order. */
typedef struct dm_train {
    const dm_example **examples; /* [n] */
    size_t n;
} dm_train;
dm_train dm_train_of(dm_arena *a, const dm_dataset *d);
dm_train dm_train_in_order(dm_arena *a, dm_train t, const size_t *order); /* NULL: as it is */

/* DSPy's reset_copy: the instructions stay, demonstrations and own models of predictors go. Not
 * sealed. */
dm_candidate *dm_reset_copy(dm_arena *a, const dm_candidate *c);

/* LabeledFewShot (contract 8.1). */
const dm_candidate *dm_label(dm_arena *a, const dm_candidate *student, dm_train train, int64_t k,
                             bool sample, int64_t seed);

typedef struct dm_bootstrap { /* BootstrapFewShot (contract 8.2) */
    const dm_bootstrap_params *params;
    const dm_candidate *student, *teacher;
    bool teacher_compiled;
    dm_train train;
    int64_t max_bootstrapped_demos, max_labeled_demos, max_rounds; /* instead of params' */
    int64_t seed;                                                  /* Random(seed), 0 in DSPy */
    bool *used; /* [train.n] out: which became bootstrapped demonstrations; NULL: not asked */
} dm_bootstrap;
dm_status dm_bootstrap_few_shot(dm_pool *p, const dm_bootstrap *b, const dm_candidate **out,
                                dm_error *err) DM_MUST_USE;

/* The seed, 0 where none is given: DSPy's. */
int64_t dm_seed_of(const dm_params *p);

/* Labelled examples alone, by the parameters of those that bootstrap. */
const dm_candidate *dm_bootstrap_labeled(dm_arena *a, const dm_compile_input *in);

/* random search, its file and its plan's */
bool dm_is_restricted_to(const dm_random_search_params *p, int64_t number);
extern const dm_param dm_random_search_table[];
dm_status dm_random_search_check(dm_arena *a, const dm_at *at, dm_params *p, dm_error *err);
void dm_random_search_plan(dm_arena *a, const dm_compile_input *in, dm_plan *plan);

/* Races out->scored's candidates, named already; sets their results (present where they ran), the
 * best, and why it stopped. params: random search's. */
dm_status dm_race_candidates(dm_pool *p, const dm_compile_input *in,
                             const dm_candidate *const *candidates, dm_compile_output *out,
                             dm_error *err) DM_MUST_USE;
/* Leak guard: a demonstration of this predictor of c was made from the example, as far as its
 * inputs tell; a step that has none of the program's inputs tells nothing. */
bool dm_stands_in_demos(const dm_candidate *c, size_t predictor, const dm_example *e);
/* Two rows are one example to the program. */
bool dm_same_inputs(const dm_program *p, const dm_value *a, const dm_value *b);

/* Whether challenger's results beat champion's: DSPy's percentage over the examples that one of
 * them answered, a refusal of the other's being its failure, strictly greater (src/README.md §5).
 * champion NULL: anything with a score does. */
bool dm_beats(const dm_result *challenger, const dm_result *champion, size_t n);
/* More than 5 % of the candidate's prompts are refused, in whatever words, not counting examples of
 * which the start program's are refused too (start NULL: not known): it is dropped (src/README.md
 * §5). */
bool dm_is_refused_too_often(const dm_result *r, const dm_result *start, size_t n);
void dm_tell_dropped(const char *name);
/* Says whether the compilation is worth it by the start program's results, and when all its scores
 * are the same. */
void dm_tell_start(const dm_compile_input *in, const dm_result *start, size_t n);
/* Whom people see: the chain that the compilation is a part of, or itself; and a candidate's name
 * there, "trial 7" or "mipro_v2 trial 7". */
const dm_compile_input *dm_who_of(const dm_compile_input *in);
const char *dm_step_name(dm_arena *a, const dm_compile_input *in, const char *name);
/* dm_pool_best. */
void dm_tell_best(dm_pool *p, const dm_compile_input *in, size_t number, double score);
/* dm_pool_tried of the compilation's candidate of this number (a number of results, start, rows: as
 * there). */
void dm_tell_tried(dm_pool *p, const dm_compile_input *in, size_t number, const dm_scored *s,
                   const dm_result *r, size_t n, const dm_result *start, const size_t *rows);
/* Appends what went wrong with most of those that failed, and what to do; the status says whose
 * fault it is. DM_OK: none failed. model: that was asked. */
dm_status dm_tell_faults(dm_buf *b, const dm_lm_config *model, const dm_result *r, size_t n);
/* An answer that cannot be read, as demonstrations might mend: it was not cut while the model still
 * thought. */
bool dm_is_unread(const dm_result *r);
#define DM_MAX_ERRORS 10 /* DSPy's max_errors */
/* Those that count as errors: neither the server's nor a judge's. */
size_t dm_count_failed(const dm_result *r, size_t n);
/* DSPy's MIPROv2 scores an evaluation with as many failures as max_errors allows 0, whatever the
 * other examples score, and goes on (eval_candidate_program). name: whose evaluation it is, for a
 * warning. r itself, or a copy in a with scores of 0. */
const dm_result *dm_void_failed(dm_arena *a, const dm_params *p, const char *name,
                                const dm_result *r, size_t n);
/* Failed examples of an evaluation, added to *count; a failure when there are as many as max_errors
 * allows, if that is given. */
dm_status dm_count_errors(const dm_pool *p, const dm_params *params, const dm_result *r, size_t n,
                          int64_t *count, dm_error *err) DM_MUST_USE;
/* The same of a bootstrapping pass, where 10 are allowed if nothing is given. */
dm_status dm_count_pass_errors(const dm_pool *p, const dm_params *params, const dm_result *r,
                               size_t n, int64_t *count, dm_error *err) DM_MUST_USE;
/* Tries the start program before all else; a failure when no answer of its first 20 examples can be
 * used, with demonstrations neither where those might mend it. A stop of the run is DM_OK here.
 * *tried: what was not waited for yet; NULL: nothing was tried. */
dm_status dm_try_start(dm_pool *p, const dm_compile_input *in, dm_future **tried,
                       dm_error *err) DM_MUST_USE;

#endif
