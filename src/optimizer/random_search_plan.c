/* Random search's parameters, and what it calls. */
#include "base/random.h"
#include "optimizer/inside.h"

#include <math.h>

/* ---- parameters ---- */

static dm_status read_race(dm_arena *a, const dm_at *at, void *params, dm_error *err)
{
    dm_random_search_params *p = params;
    bool on = false;
    (void)a;
    if (at->v->kind == DM_STRING && dm_str_is(at->v->text, "halving")) {
        p->race = DM_RACES_HALVING;
        return DM_OK;
    }
    if (at->v->kind == DM_STRING)
        return dm_at_fail(at, err, "true, false or \"halving\"");
    dm_status st = dm_get_bool(at, &on, err);
    p->race = on ? DM_RACES_BETTING : DM_RACES_OFF;
    return st;
}

/* What has no reader beside the other. */
dm_status dm_random_search_check(dm_arena *a, const dm_at *at, dm_params *params, dm_error *err)
{
    (void)a;
    const dm_random_search_params *p = (const dm_random_search_params *)params;
    dm_at stop = dm_at_key(at, "stop_at_score"), alpha = dm_at_key(at, "race_alpha");
    if (p->race != DM_RACES_OFF && p->has_stop_at_score)
        return dm_at_fail(&stop, err,
                          "it needs whole scores one after another, and a race has none before its "
                          "end: leave out race or stop_at_score");
    if (p->race != DM_RACES_BETTING && p->has_race_alpha)
        return dm_at_fail(&alpha, err, "only race = true reads it");
    return DM_OK;
}

const dm_param dm_random_search_table[] = {
    DM_PARAMS_OF_BOOTSTRAPPING("16"),
    DM_PARAM_MAX_ROUNDS,
    {.name = "num_candidate_programs",
     .kind = DM_PARAM_INT,
     .low = 0,
     .high = 1e15,
     .at = offsetof(dm_random_search_params, num_candidate_programs),
     .value = "N",
     .help = "candidates beside the first three",
     .fallback = "16"},
    {.name = "stop_at_score",
     .kind = DM_PARAM_NUMBER,
     .low = 0,
     .high = 100,
     .at = offsetof(dm_random_search_params, stop_at_score),
     .given = offsetof(dm_random_search_params, has_stop_at_score),
     .value = "P",
     .help = "per cent at which it stops",
     .absent = "never"},
    {.name = "labeled_sample",
     .kind = DM_PARAM_BOOL,
     .at = offsetof(dm_random_search_params, labeled_sample),
     .value = "BOOL",
     .help = "candidate -2 draws at random",
     .fallback = "true"},
    {.name = "restrict",
     .kind = DM_PARAM_INTS,
     .low = -3,
     .high = INT32_MAX,
     .at = offsetof(dm_random_search_params, restrict_seeds),
     .value = "LIST",
     .help = "only the candidates of these numbers",
     .absent = "all"},
    {.name = "race",
     .kind = DM_PARAM_OWN,
     .read = read_race,
     .value = "true|halving",
     .help = "drop candidates that cannot win any more",
     .absent = "false, which is DSPy's"},
    {.name = "race_alpha",
     .kind = DM_PARAM_NUMBER,
     .low = 1e-6,
     .high = .5,
     .at = offsetof(dm_random_search_params, race_alpha),
     .given = offsetof(dm_random_search_params, has_race_alpha),
     .value = "P",
     .help = "race = true: chance of losing full evaluation's winner",
     .fallback = "0.05"},
    DM_PARAM_SEED,
    {.name = NULL},
};

bool dm_is_restricted_to(const dm_random_search_params *p, int64_t number)
{
    for (size_t i = 0; i < p->restrict_seeds.n; i++)
        if (p->restrict_seeds.items[i] == number)
            return true;
    return !p->restrict_seeds.items;
}

/* ---- the plan ---- */

/* The number of demonstrations for candidate k (contract 8.3). */
static double candidate_size(const dm_random_search_params *p, int64_t k)
{
    dm_pyrandom rng;
    if (k == -1 || p->demos.max_bootstrapped_demos == 0)
        return (double)p->demos.max_bootstrapped_demos;
    dm_pyrandom_seed(&rng, 1000 * dm_seed_of(&p->demos.base) + k);
    return (double)dm_pyrandom_randint(&rng, 1, p->demos.max_bootstrapped_demos);
}

/* Program runs of a race of k candidates on v examples. Betting: a first block of 10 for all, with
 * the next already under way, then one alone; at most all. In the mean .72 of full evaluation with
 * 100 examples, .58 with 200, .46 with 500 (src/search/README.md §5). Halving: the better half at v
 * / 2^r examples. */
static dm_range race_runs(dm_races race, double k, double v)
{
    double first = fmin(20, v), runs = 0, from = 0, alive = k;
    if (race == DM_RACES_BETTING)
        return (dm_range){k * first + v - first, k * v * fmin(1, .25 + 4.7 / sqrt(v)), k * v};
    for (int rounds = (int)ceil(log2(k)); rounds > 0; rounds--) {
        double to = fmin(v, fmax(4, ceil(v / exp2(rounds - 1))));
        runs += alive * (to - from);
        alive = ceil(alive / 2);
        from = to;
    }
    return (dm_range){k > 1 ? runs : v, k > 1 ? runs : v, k > 1 ? runs : v};
}

static bool has_demos(const dm_candidate *student)
{
    for (size_t i = 0; i < student->program->n; i++)
        if (student->parts[i].n_demos)
            return true;
    return false;
}

/* The bootstrapping of all candidates; how many they are. */
static double plan_candidates(const dm_compile_input *in, dm_plan *plan, dm_plan_phase *phase)
{
    const dm_random_search_params *p = (const dm_random_search_params *)in->params;
    double candidates = 0, first = 0; /* at stop_at_score it may end after the first */
    for (int64_t k = -3; k < p->num_candidate_programs; k++) {
        if (!dm_is_restricted_to(p, k))
            continue;
        if (k >= -1)
            dm_plan_bootstrap(plan, phase, (double)in->trainset->n, candidate_size(p, k),
                              (double)p->demos.max_rounds);
        if (++candidates == 1)
            first = phase->calls.low;
    }
    if (p->has_stop_at_score)
        phase->calls.low = first;
    /* Candidates whose teachers are one program ask it the same. */
    if (p->demos.max_labeled_demos == 0 || in->teacher_compiled)
        phase->calls.low =
            fmin(phase->calls.low, plan->predictors * (p->demos.max_bootstrapped_demos > 0));
    return candidates;
}

/* What the search has not scored: the start, unless it is a candidate; rows that a race has not
 * finished. The winner may be the start. */
static dm_range unscored(const dm_compile_input *in, double v)
{
    const dm_random_search_params *p = (const dm_random_search_params *)in->params;
    bool start_scored = !has_demos(in->student) && dm_is_restricted_to(p, -3);
    double own = start_scored ? 0 : v, rest = 0;
    if (p->race != DM_RACES_OFF)
        rest = in->valset == in->trainset ? 2 * v : v;
    return (dm_range){own, own + rest / 2, own + rest};
}

/* Candidates -3 ... N-1, each on the whole validation set. */
void dm_random_search_plan(dm_arena *a, const dm_compile_input *in, dm_plan *plan)
{
    const dm_random_search_params *p = (const dm_random_search_params *)in->params;
    double v = (double)in->valset->n, most = (double)dm_bootstrap_demos(in->params);
    double candidates = plan_candidates(in, plan, dm_bootstrap_phase(plan, &p->demos));
    dm_plan_phase *search = dm_plan_add(plan, "search", DM_TASK);
    (void)a;
    double surely = p->has_stop_at_score ? 1 : candidates;
    if (p->demos.max_bootstrapped_demos == 0 ||
        p->demos.max_labeled_demos == 0) /* some may be the same */
        surely = fmin(surely, 1);
    dm_range runs = {surely * v, candidates * v, candidates * v};
    if (p->race != DM_RACES_OFF) {
        runs = race_runs(p->race, candidates, v);
        runs.low = fmin(runs.low, surely * v);
        if (in->valset == in->trainset) /* the leak guard leaves some out */
            runs.low = fmax(0, runs.low - candidates * (double)p->demos.max_labeled_demos);
    }
    dm_plan_runs(plan, search, runs.low, runs.expected, runs.high);
    search->fill = p->has_stop_at_score          ? v
                   : p->race == DM_RACES_BETTING ? candidates * fmin(20, v)
                                                 : candidates * v;
    /* one candidate of them shows none */
    double n = (double)p->num_candidate_programs;
    search->demos = (dm_range){0, (n + 2) / (n + 3) * most, most};
    plan->unscored = unscored(in, v);
}
