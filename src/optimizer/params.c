/* Names, defaults and the reading of optimizer parameters (contract 8). */
#include "base/utf8.h"
#include "optimizer/optimizer.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef enum param_kind { P_BOOL, P_INT, P_NUMBER, P_RACE, P_OWN } param_kind;

#define L (1u << DM_LABELED_FEW_SHOT)
#define B (1u << DM_BOOTSTRAP_FEW_SHOT)
#define R (1u << DM_RANDOM_SEARCH)
#define M (1u << DM_MIPRO_V2)

#define AT(field)  offsetof(dm_optimizer_params, field)
#define NONE       SIZE_MAX
#define ANY_NUMBER -HUGE_VAL, HUGE_VAL
#define FROM(low)  low, 1e15

static const struct param {
    const char *name;
    unsigned optimizers; /* that have it */
    param_kind kind;
    double low, high;
    size_t value, given; /* where it is kept, and the flag that says so */
} params[] = {
    {"k", L, P_INT, FROM(0), AT(k), NONE},
    {"sample", L, P_BOOL, 0, 0, AT(sample), NONE},
    {"max_bootstrapped_demos", B | R | M, P_INT, FROM(0), AT(max_bootstrapped_demos), NONE},
    {"max_labeled_demos", B | R | M, P_INT, FROM(0), AT(max_labeled_demos), NONE},
    {"max_rounds", B | R, P_INT, FROM(1), AT(max_rounds), NONE},
    {"metric_threshold", B | R | M, P_NUMBER, ANY_NUMBER, AT(metric_threshold),
     AT(has_metric_threshold)},
    {"max_errors", B | R | M, P_INT, FROM(1), AT(max_errors), AT(has_max_errors)},
    {"num_candidate_programs", R, P_INT, FROM(0), AT(num_candidate_programs), NONE},
    {"stop_at_score", R | M, P_NUMBER, 0, 100, AT(stop_at_score), AT(has_stop_at_score)},
    {"labeled_sample", R, P_BOOL, 0, 0, AT(labeled_sample), NONE},
    {"restrict", R, P_OWN, 0, 0, 0, NONE},
    {"race", R, P_RACE, 0, 0, 0, NONE},
    {"race_alpha", R, P_NUMBER, 1e-6, .5, AT(race_alpha), AT(has_race_alpha)},
    {"auto", M, P_OWN, 0, 0, 0, NONE},
    {"num_candidates", M, P_INT, 1, 60000, AT(num_candidates), AT(has_num_candidates)},
    {"num_trials", M, P_INT, 1, 1e6, AT(num_trials), AT(has_num_trials)},
    {"minibatch", M, P_BOOL, 0, 0, AT(minibatch), AT(has_minibatch)},
    {"minibatch_size", M, P_INT, FROM(1), AT(minibatch_size), NONE},
    {"minibatch_full_eval_steps", M, P_INT, FROM(1), AT(minibatch_full_eval_steps), NONE},
    {"program_aware_proposer", M, P_BOOL, 0, 0, AT(program_aware_proposer), NONE},
    {"data_aware_proposer", M, P_BOOL, 0, 0, AT(data_aware_proposer), NONE},
    {"tip_aware_proposer", M, P_BOOL, 0, 0, AT(tip_aware_proposer), NONE},
    {"fewshot_aware_proposer", M, P_BOOL, 0, 0, AT(fewshot_aware_proposer), NONE},
    {"view_data_batch_size", M, P_INT, FROM(1), AT(view_data_batch_size), NONE},
    {"init_temperature", M, P_NUMBER, 0, 10, AT(init_temperature), NONE},
    {"search", M, P_OWN, 0, 0, 0, NONE},
    {"runs", M, P_INT, FROM(1), AT(runs), AT(has_runs)},
    {"in_flight", M, P_INT, 1, 1e6, AT(in_flight), AT(has_in_flight)},
    {"patience", M, P_INT, FROM(1), AT(patience), AT(has_patience)},
    {"leak_guard", M, P_BOOL, 0, 0, AT(leak_guard), AT(has_leak_guard)},
    {"proposals", M, P_OWN, 0, 0, 0, NONE},
    {"seed", L | B | R | M, P_INT, FROM(0), AT(seed), AT(has_seed)},
};
#define N_PARAMS (sizeof params / sizeof *params)

static const struct {
    const char *name;
    dm_optimizer optimizer;
} names[] = {
    {"labeled_few_shot", DM_LABELED_FEW_SHOT},
    {"bootstrap_few_shot", DM_BOOTSTRAP_FEW_SHOT},
    {"bootstrap_few_shot_with_random_search", DM_RANDOM_SEARCH},
    {"mipro_v2", DM_MIPRO_V2},
    {"LabeledFewShot", DM_LABELED_FEW_SHOT},
    {"BootstrapFewShot", DM_BOOTSTRAP_FEW_SHOT},
    {"BootstrapFewShotWithRandomSearch", DM_RANDOM_SEARCH},
    {"BootstrapRS", DM_RANDOM_SEARCH},
    {"MIPROv2", DM_MIPRO_V2},
};
#define N_NAMES (sizeof names / sizeof *names)

const char *dm_optimizer_name(dm_optimizer o)
{
    return names[o].name;
}

static const char *const autos[] = {NULL, "light", "medium", "heavy"};
static const char *const searches[] = {"factor", "mipro", "tpe", "random", "halving"};

const char *dm_mipro_search_name(dm_mipro_search s)
{
    return searches[s];
}

void dm_optimizer_defaults(dm_optimizer_params *p, dm_optimizer name)
{
    *p = (dm_optimizer_params){.name = name,
                               .k = 16,
                               .sample = true,
                               .max_bootstrapped_demos = 4,
                               .max_labeled_demos = name == DM_MIPRO_V2 ? 4 : 16,
                               .max_rounds = 1,
                               .num_candidate_programs = 16,
                               .labeled_sample = true,
                               .race_alpha = .05,
                               .auto_mode = DM_AUTO_LIGHT,
                               .minibatch = true,
                               .minibatch_size = 35,
                               .minibatch_full_eval_steps = 5,
                               .program_aware_proposer = true,
                               .data_aware_proposer = true,
                               .tip_aware_proposer = true,
                               .fewshot_aware_proposer = true,
                               .view_data_batch_size = 10,
                               .init_temperature = 1.0};
}

static dm_status read_name(const dm_at *at, dm_optimizer *out, dm_error *err)
{
    dm_str name = {NULL, 0};
    dm_status st = dm_get_string(at, &name, err);
    if (st != DM_OK)
        return st;
    if (!name.p)
        return dm_at_fail(at, err, "an optimizer needs a name, such as \"%s\"",
                          names[DM_BOOTSTRAP_FEW_SHOT].name);
    const char *all[N_NAMES];
    for (size_t i = 0; i < N_NAMES; i++) {
        all[i] = names[i].name[0] >= 'a' ? names[i].name : ""; /* our own names are suggested */
        if (dm_str_is(name, names[i].name)) {
            *out = names[i].optimizer;
            return DM_OK;
        }
    }
    const char *near = dm_nearest(name.p, all, N_NAMES);
    return dm_at_fail(at, err, "no optimizer is called \"%.*s\"; %s%s%s", DM_STR_ARG(name),
                      near ? "did you mean \""
                           : "there are labeled_few_shot, bootstrap_few_shot, "
                             "bootstrap_few_shot_with_random_search and mipro_v2",
                      near ? near : "", near ? "\"?" : "");
}

static dm_status read_restrict(dm_arena *a, const dm_at *at, dm_optimizer_params *p, dm_error *err)
{
    if (!at->v || at->v->kind == DM_NULL)
        return DM_OK;
    if (at->v->kind != DM_LIST)
        return dm_at_fail(at, err, "a list of whole numbers from -3 on");
    int64_t *list = dm_arena_alloc_n(a, at->v->n, sizeof *list);
    for (size_t i = 0; i < at->v->n; i++) {
        dm_at item = dm_at_item(at, i);
        dm_status st = dm_get_int(&item, -3, INT32_MAX, &list[i], err);
        if (st != DM_OK)
            return st;
    }
    p->restrict_seeds = list;
    p->n_restrict = at->v->n;
    return DM_OK;
}

static dm_status read_race(const dm_at *at, dm_optimizer_params *p, dm_error *err)
{
    bool on = false;
    if (at->v && at->v->kind == DM_STRING && dm_str_is(at->v->text, "halving")) {
        p->race = DM_RACES_HALVING;
        return DM_OK;
    }
    if (at->v && at->v->kind == DM_STRING)
        return dm_at_fail(at, err, "true, false or \"halving\"");
    dm_status st = dm_get_bool(at, &on, err);
    p->race = on ? DM_RACES_BETTING : DM_RACES_OFF;
    return st;
}

/* What has no reader beside the other. */
static dm_status check_race(const dm_at *at, const dm_optimizer_params *p, dm_error *err)
{
    dm_at stop = dm_at_key(at, "stop_at_score"), alpha = dm_at_key(at, "race_alpha");
    if (p->race != DM_RACES_OFF && p->has_stop_at_score)
        return dm_at_fail(&stop, err,
                          "it needs whole scores one after another, and a race has none before its "
                          "end: leave out race or stop_at_score");
    if (p->race != DM_RACES_BETTING && p->has_race_alpha)
        return dm_at_fail(&alpha, err, "only race = true reads it");
    return DM_OK;
}

/* One of the words from `first` on; *out is its place. */
static dm_status read_word(const dm_at *at, const char *const *words, size_t first, size_t n,
                           size_t *out, dm_error *err)
{
    dm_str word = {NULL, 0};
    dm_status st = dm_get_string(at, &word, err);
    if (st != DM_OK || !word.p)
        return st;
    for (*out = first; *out < n; ++*out)
        if (dm_str_is(word, words[*out]))
            return DM_OK;
    char text[200] = "";
    size_t used = 0;
    for (size_t i = first; i < n; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i > first ? ", " : "",
                                 words[i]);
    return dm_at_fail(at, err, "one of %s, not \"%.*s\"", text, DM_STR_ARG(word));
}

/* What is neither a number nor a boolean. */
static dm_status read_own(dm_arena *a, const struct param *param, const dm_at *at,
                          dm_optimizer_params *p, dm_error *err)
{
    size_t word = 0;
    dm_str text = {NULL, 0};
    dm_status st = DM_OK;
    if (strcmp(param->name, "restrict") == 0)
        return read_restrict(a, at, p, err);
    if (!at->v)
        return DM_OK;
    if (strcmp(param->name, "auto") == 0) {
        if (at->v->kind != DM_NULL) /* Python's None: the two numbers are given */
            st = read_word(at, autos, DM_AUTO_LIGHT, sizeof autos / sizeof *autos, &word, err);
        p->auto_mode = (dm_auto)word;
    } else if (strcmp(param->name, "search") == 0) {
        st = read_word(at, searches, 0, sizeof searches / sizeof *searches, &word, err);
        p->search = (dm_mipro_search)word;
    } else {
        st = dm_get_string(at, &text, err);
        p->proposals_file = text.p;
    }
    return st;
}

/* What goes together (contract 8.4 b), and what has a reader with the search that was chosen. */
static dm_status check_mipro(const dm_at *at, const dm_optimizer_params *p, dm_error *err)
{
    const char *search = searches[p->search];
    bool schedule = p->search == DM_MIPRO_SCHEDULE, model = p->search == DM_MIPRO_FACTOR,
         automatic = p->auto_mode != DM_AUTO_NONE;
    const struct {
        const char *key;
        bool wrong;
        const char *why;
    } rules[] = {
        {"num_candidates", automatic && p->has_num_candidates,
         "auto sets it; say \"auto\": null to give num_candidates and num_trials yourself"},
        {"num_trials", automatic && p->has_num_trials,
         "auto sets it; say \"auto\": null to give num_candidates and num_trials yourself"},
        {"auto", !automatic && !(p->has_num_candidates && p->has_num_trials),
         "null needs both num_candidates and num_trials"},
        {"minibatch", automatic && p->has_minibatch && !p->minibatch,
         "auto uses minibatches where there are more than 50 validation examples: leave it out, "
         "or set auto to null"},
        {"runs", schedule && p->has_runs, "search = mipro runs what its trials need"},
        {"in_flight", (schedule || p->search == DM_MIPRO_HALVING) && p->has_in_flight,
         "this search decides nothing while results are under way"},
        {"patience", !model && p->has_patience, "only search = factor reads it"},
        {"stop_at_score", p->search == DM_MIPRO_HALVING && p->has_stop_at_score,
         "search = halving has no complete rows before its end"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        dm_at key = dm_at_key(at, rules[i].key);
        if (rules[i].wrong)
            return dm_at_fail(&key, err, "%s (search is %s)", rules[i].why, search);
    }
    return DM_OK;
}

static dm_status read_param(dm_arena *a, const struct param *param, const dm_at *at,
                            dm_optimizer_params *p, dm_error *err)
{
    char *base = (char *)p;
    if (param->kind == P_OWN)
        return read_own(a, param, at, p, err);
    if (!at->v || at->v->kind == DM_NULL)
        return DM_OK; /* Python's None: not given */
    if (param->given != NONE)
        *(bool *)(base + param->given) = true;
    switch (param->kind) {
    case P_BOOL:
        return dm_get_bool(at, (bool *)(base + param->value), err);
    case P_INT:
        return dm_get_int(at, (int64_t)param->low, (int64_t)param->high,
                          (int64_t *)(void *)(base + param->value), err);
    case P_NUMBER:
        return dm_get_number(at, param->low, param->high, (double *)(void *)(base + param->value),
                             err);
    case P_RACE:
        return read_race(at, p, err);
    case P_OWN:
        break;
    }
    return DM_OK;
}

dm_status dm_optimizer_read(dm_arena *a, const dm_at *at, dm_optimizer_params *p, dm_error *err)
{
    bool object = at->v && at->v->kind == DM_DICT;
    dm_at name_at = object ? dm_at_key(at, "name") : *at;
    dm_optimizer name = DM_BOOTSTRAP_FEW_SHOT;
    dm_status st = read_name(&name_at, &name, err);
    if (st != DM_OK)
        return st;
    dm_optimizer_defaults(p, name);
    if (!object)
        return DM_OK;
    const char *known[N_PARAMS + 2] = {"name", "num_threads"};
    size_t n = 2;
    for (size_t i = 0; i < N_PARAMS; i++)
        if (params[i].optimizers & (1u << name))
            known[n++] = params[i].name;
    for (size_t i = 0; i < N_PARAMS; i++) {
        dm_at value = dm_at_key(at, params[i].name);
        if (value.v && !(params[i].optimizers & (1u << name)))
            return dm_at_fail(&value, err, "%s does not read it: leave it out",
                              dm_optimizer_name(name));
    }
    st = dm_get_known(at, known, n, err);
    for (size_t i = 0; i < N_PARAMS && st == DM_OK; i++) {
        dm_at value = dm_at_key(at, params[i].name);
        if (params[i].optimizers & (1u << name))
            st = read_param(a, &params[i], &value, p, err);
    }
    if (st == DM_OK)
        st = check_race(at, p, err);
    return st == DM_OK && name == DM_MIPRO_V2 ? check_mipro(at, p, err) : st;
}
