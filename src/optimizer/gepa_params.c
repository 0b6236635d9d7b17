/* GEPA's parameters, what the search is asked to do by them, and what it calls. */
#include "optimizer/gepa.h"

#include <math.h>

/* Chosen on planted worlds (src/gepa/README.md, "search = parallel"). */
enum { MINIBATCH = 8 };

static const char *const autos[] = {"light", "medium", "heavy", NULL};
static const char *const searches[] = {"parallel", "gepa", NULL};
static const char *const parents[] = {"pareto", "current_best", "epsilon_greedy", "top_k_pareto",
                                      NULL};
static const char *const components[] = {"round_robin", "all", NULL};
static const char *const criteria[] = {"strict_improvement", "improvement_or_equal", NULL};
static const char *const samplings[] = {"one", "independent", "same_parent", "p_x_n", NULL};
static const char *const leaks[] = {"report", "reject", NULL};
static const char *const keeps[] = {"all_improvements", "best_improvement", "top_k", NULL};

#define GEPA_DOES_NOT                                                                              \
    "search = gepa decides as the package does, which has no such thing: leave out one of them"

dm_status dm_gepa_check(dm_arena *a, const dm_at *at, dm_params *params, dm_error *err)
{
    dm_gepa_params *p = (dm_gepa_params *)params;
    bool exact = p->search == DM_GEPA_EXACT;
    (void)a;
    if (!p->has_minibatch_size)
        p->reflection_minibatch_size = exact ? 3 : MINIBATCH;
    if (!p->has_sampling && !exact)
        p->sampling_strategy = DM_GEPA_INDEPENDENT;
    if (!p->has_selection && !exact)
        p->selection_strategy = DM_GEPA_BEST;
    bool several = p->sampling_strategy != DM_GEPA_ONE;
    const struct {
        const char *key;
        bool wrong;
        const char *why;
    } rules[] = {
        {"max_full_evals", p->has_max_full_evals && p->auto_mode,
         "auto says how long it searches: leave out one of them"},
        {"max_metric_calls", p->has_max_metric_calls && p->auto_mode,
         "auto says how long it searches: leave out one of them"},
        {"max_metric_calls", p->has_max_metric_calls && p->has_max_full_evals,
         "max_full_evals says how long it searches: leave out one of them"},
        {"proposals", p->has_proposals && !several,
         "only a sampling_strategy of several proposals reads it: independent, same_parent or "
         "p_x_n"},
        {"parents", p->has_parents && p->sampling_strategy != DM_GEPA_P_X_N,
         "only sampling_strategy = p_x_n reads it"},
        {"top_k", p->has_top_k && p->selection_strategy != DM_GEPA_TOP_K,
         "only selection_strategy = top_k reads it"},
        {"leak", p->leak && exact, GEPA_DOES_NOT},
        {"max_chars", p->has_max_chars && exact, GEPA_DOES_NOT},
        {"length_weight", p->length_weight > 0 && exact, GEPA_DOES_NOT},
        {"cache_evaluation", p->cache_evaluation && !exact,
         "only search = gepa repeats this defect of the package; here nothing is asked for twice "
         "anyway"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        dm_at key = dm_at_key(at, rules[i].key);
        if (rules[i].wrong)
            return dm_at_fail(&key, err, "%s", rules[i].why);
    }
    return DM_OK;
}

#define AT(member)    .at = offsetof(dm_gepa_params, member)
#define GIVEN(member) .given = offsetof(dm_gepa_params, member)

const dm_param dm_gepa_table[] = {
    {.name = "auto",
     .kind = DM_PARAM_WORD,
     AT(auto_mode),
     .words = autos,
     .null_is_0 = true,
     .help = "DSPy's budgets",
     .absent = "light, where no other budget is given"},
    {.name = "max_full_evals",
     .kind = DM_PARAM_INT,
     .low = 1,
     .high = 1e9,
     AT(max_full_evals),
     GIVEN(has_max_full_evals),
     .value = "N",
     .help = "its budget, in evaluations of training and validation set",
     .absent = "auto's"},
    {.name = "max_metric_calls",
     .kind = DM_PARAM_INT,
     .low = 1,
     .high = 1e15,
     AT(max_metric_calls),
     GIVEN(has_max_metric_calls),
     .value = "N",
     .help = "its budget, in program runs and reflections; search = gepa: program runs",
     .absent = "auto's"},
    {.name = "search",
     .kind = DM_PARAM_WORD,
     AT(search),
     .words = searches,
     .help = "ours, with proposals side by side, or gepa: every decision of the package gepa 0.1.4",
     .fallback = "\"parallel\""},
    {.name = "reflection_minibatch_size",
     .kind = DM_PARAM_INT,
     .low = 1,
     .high = 1e6,
     AT(reflection_minibatch_size),
     GIVEN(has_minibatch_size),
     .value = "N",
     .help = "examples that a reflection sees and a child is tried on",
     .absent = "8; search = gepa: 3"},
    {.name = "candidate_selection_strategy",
     .kind = DM_PARAM_WORD,
     AT(candidate_selection_strategy),
     .words = parents,
     .help = "which candidate a proposal starts from",
     .fallback = "\"pareto\""},
    {.name = "skip_perfect_score",
     .kind = DM_PARAM_BOOL,
     AT(skip_perfect_score),
     .value = "BOOL",
     .help = "no reflection on a minibatch that is all perfect",
     .fallback = "true"},
    {.name = "perfect_score",
     .kind = DM_PARAM_NUMBER,
     .low = 0,
     .high = 1,
     AT(perfect_score),
     .value = "S",
     .help = "the score from which on an answer is perfect",
     .fallback = "1"},
    {.name = "add_format_failure_as_feedback",
     .kind = DM_PARAM_BOOL,
     AT(add_format_failure_as_feedback),
     .value = "BOOL",
     .help = "a reflection also sees answers that could not be read",
     .fallback = "false"},
    {.name = "component_selector",
     .kind = DM_PARAM_WORD,
     AT(component_selector),
     .words = components,
     .help = "which predictors a proposal changes",
     .fallback = "\"round_robin\""},
    {.name = "use_merge",
     .kind = DM_PARAM_BOOL,
     AT(use_merge),
     .value = "BOOL",
     .help = "candidates with a common ancestor are merged",
     .fallback = "true"},
    {.name = "max_merge_invocations",
     .kind = DM_PARAM_INT,
     .low = 0,
     .high = 1e6,
     AT(max_merge_invocations),
     .value = "N",
     .help = "maximum number of merges",
     .fallback = "5"},
    {.name = "acceptance_criterion",
     .kind = DM_PARAM_WORD,
     AT(acceptance_criterion),
     .words = criteria,
     .help = "when a child is validated",
     .fallback = "\"strict_improvement\""},
    {.name = "sampling_strategy",
     .kind = DM_PARAM_WORD,
     AT(sampling_strategy),
     GIVEN(has_sampling),
     .words = samplings,
     .help = "proposals of an iteration",
     .absent = "independent; search = gepa: one"},
    {.name = "proposals",
     .kind = DM_PARAM_INT,
     .low = 1,
     .high = 1000,
     AT(proposals),
     GIVEN(has_proposals),
     .value = "N",
     .help = "how many there are in an iteration; with p_x_n, of each parent",
     .absent = "2; independent: one for 160 of the budget, 2 to 4"},
    {.name = "parents",
     .kind = DM_PARAM_INT,
     .low = 1,
     .high = 1000,
     AT(parents),
     GIVEN(has_parents),
     .value = "N",
     .help = "p of sampling_strategy = p_x_n",
     .fallback = "2"},
    {.name = "selection_strategy",
     .kind = DM_PARAM_WORD,
     AT(selection_strategy),
     GIVEN(has_selection),
     .words = keeps,
     .help = "which improvements of an iteration are validated",
     .absent = "best_improvement; search = gepa: all_improvements"},
    {.name = "top_k",
     .kind = DM_PARAM_INT,
     .low = 1,
     .high = 1000,
     AT(top_k),
     GIVEN(has_top_k),
     .value = "N",
     .help = "k of selection_strategy = top_k",
     .fallback = "1"},
    {.name = "cache_evaluation",
     .kind = DM_PARAM_BOOL,
     AT(cache_evaluation),
     .value = "BOOL",
     .help = "scores are kept by row number, whichever set the row is in, as in gepa",
     .fallback = "false"},
    {.name = "max_reflection_failures",
     .kind = DM_PARAM_INT,
     .low = 0,
     .high = 1e6,
     AT(max_reflection_failures),
     .value = "N",
     .help = "it ends after so many iterations in a row without a usable reflection; 0: never",
     .fallback = "5"},
    {.name = "leak",
     .kind = DM_PARAM_WORD,
     AT(leak),
     GIVEN(has_leak),
     .words = leaks,
     .help = "an instruction that copies eight words in a row of an example: it is reported, or "
             "dropped",
     .fallback = "\"report\""},
    {.name = "max_chars",
     .kind = DM_PARAM_INT,
     .low = 1,
     .high = 1e9,
     AT(max_chars),
     GIVEN(has_max_chars),
     .value = "N",
     .help = "characters of an instruction; a longer one is asked for again, once, and then "
             "dropped",
     .absent = "any number"},
    {.name = "length_weight",
     .kind = DM_PARAM_NUMBER,
     .low = 0,
     .high = 1e4,
     AT(length_weight),
     GIVEN(has_length_weight),
     .value = "POINTS",
     .help = "points that 100 tokens of instructions cost a candidate",
     .fallback = "0"},
    DM_PARAM_SEED,
    {.name = NULL},
};

/* ---- what the search is asked to do ---- */

static bool same_field(const dm_field *x, const dm_field *y)
{
    return dm_str_eq(x->name, y->name) && dm_str_eq(x->desc, y->desc) &&
           dm_str_eq(x->constraints, y->constraints) && dm_str_eq(x->prefix, y->prefix) &&
           dm_type_equal(x->type, y->type);
}

/* But for its instruction. */
static bool same_shape(const dm_signature *x, const dm_signature *y)
{
    if (x->n_inputs != y->n_inputs || x->n_outputs != y->n_outputs)
        return false;
    for (size_t i = 0; i < x->n_inputs + x->n_outputs; i++)
        if (!same_field(&x->fields[i], &y->fields[i]))
            return false;
    return true;
}

static const size_t *shapes(dm_arena *a, const dm_program *p)
{
    size_t *shape = dm_arena_alloc_n(a, p->n, sizeof *shape);
    for (size_t i = 0; i < p->n; i++) {
        shape[i] = i;
        for (size_t k = i; k-- > 0;)
            if (same_shape(p->predictors[k].signature, p->predictors[i].signature))
                shape[i] = shape[k];
    }
    return shape;
}

static int64_t budget_of(const dm_gepa_params *p, const dm_compile_input *in)
{
    static const size_t sizes[] = {6, 6, 12, 18};
    int64_t train = (int64_t)in->trainset->n, val = (int64_t)in->valset->n;
    if (p->has_max_metric_calls)
        return p->max_metric_calls;
    if (p->has_max_full_evals)
        return p->max_full_evals * (train + (in->valset == in->trainset ? 0 : val));
    return dm_gepa_auto_budget(sizes[p->auto_mode], in->student->program->n, in->valset->n);
}

/* Of fewer rows the package repeats some. A reflection learns nothing from that. */
static size_t minibatch_of(const dm_gepa_params *p, const dm_compile_input *in)
{
    size_t b = (size_t)p->reflection_minibatch_size, n = in->trainset->n;
    return p->search == DM_GEPA_PARALLEL && n < b ? n : b;
}

/* A search waits for its iterations one after another, so a large budget makes few of many
 * proposals. What that costs is in gepa/README.md. */
#define FOR_A_PROPOSAL 160
#define MOST_PROPOSALS 4

static size_t proposals_of(const dm_gepa_params *p, const dm_compile_input *in)
{
    if (p->has_proposals)
        return (size_t)p->proposals;
    bool many = p->search == DM_GEPA_PARALLEL && p->sampling_strategy == DM_GEPA_INDEPENDENT;
    int64_t n = many ? budget_of(p, in) / FOR_A_PROPOSAL : 2;
    return n < 2 ? 2 : n > MOST_PROPOSALS ? MOST_PROPOSALS : (size_t)n;
}

dm_gepa_options dm_gepa_options_of(dm_arena *a, const dm_compile_input *in)
{
    const dm_gepa_params *p = dm_gepa_params_of(in);
    return (dm_gepa_options){
        .n_components = in->student->program->n,
        .shape = shapes(a, in->student->program),
        .n_train = in->trainset->n,
        .n_val = in->valset->n,
        .seed = dm_seed_of(in->params),
        .minibatch = minibatch_of(p, in),
        .budget = budget_of(p, in),
        .skip_perfect = p->skip_perfect_score,
        .perfect = p->perfect_score,
        .format_feedback = p->add_format_failure_as_feedback,
        .merge = p->use_merge,
        .max_merges = (size_t)p->max_merge_invocations,
        .parents = p->candidate_selection_strategy,
        .all_components = p->component_selector == 1,
        .equal_is_enough = p->acceptance_criterion == 1,
        .sampling = p->sampling_strategy,
        .sampled_parents = (size_t)p->parents,
        .sampled_batches = proposals_of(p, in),
        .keep = p->selection_strategy,
        .keep_k = (size_t)p->top_k,
        .cache = p->cache_evaluation,
        .wide = p->search == DM_GEPA_PARALLEL,
        .length_weight = p->length_weight,
        .asks = p->has_max_chars ? 2 : 1,
        .max_reflection_failures = (size_t)p->max_reflection_failures,
    };
}

/* ---- the plan ---- */

/* How many of the children improve on their minibatch and are validated. This is an assumption:
 * in our runs of the real package .2 to .7 do. */
#define ACCEPTED .4

/* An iteration runs parent and child on a minibatch, and validates some children. */
void dm_gepa_plan(dm_arena *a, const dm_compile_input *in, dm_plan *plan)
{
    dm_gepa_options o = dm_gepa_options_of(a, in);
    double v = (double)o.n_val, b = 2 * (double)o.minibatch, budget = (double)o.budget;
    double width = (double)dm_gepa_width(&o);
    double asked = o.all_components ? (double)o.n_components : 1;
    double validated = o.keep == DM_GEPA_BEST ? 1 - pow(1 - ACCEPTED, width) : ACCEPTED * width;
    double left = fmax(0, budget - v), each = b + validated / width * v;
    dm_plan_phase *search = dm_plan_add(plan, "search", DM_TASK);
    dm_plan_runs(plan, search, v, fmax(v, budget),
                 fmax(v, budget) + (o.wide ? 0 : width * (v + b)));
    search->fill = fmax(v, width * b / 2);
    search->limited = true;
    dm_plan_phase *reflect = dm_plan_add(plan, "reflect", DM_PROMPT);
    reflect->asks = true;
    double most = 2 * asked * (double)o.asks; /* where one fails, or is too long */
    reflect->calls = (dm_range){0, asked * left / each, most * ceil(left / (b / 2) + width)};
    reflect->fill = left > 0 ? (o.wide ? width * asked : 1) : 0;
    reflect->rows = reflect->calls.expected * (double)o.minibatch;
    plan->unscored = (dm_range){0, 0, 0};
}
