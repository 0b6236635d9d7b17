/* Names, defaults and the reading of optimizer parameters (contract 8). */
#include "base/utf8.h"
#include "optimizer/optimizer.h"

#include <math.h>
#include <stddef.h>

typedef enum param_kind { P_BOOL, P_INT, P_NUMBER, P_LIST, P_RACE } param_kind;

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
    {"stop_at_score", R, P_NUMBER, 0, 100, AT(stop_at_score), AT(has_stop_at_score)},
    {"labeled_sample", R, P_BOOL, 0, 0, AT(labeled_sample), NONE},
    {"restrict", R, P_LIST, 0, 0, 0, NONE},
    {"race", R, P_RACE, 0, 0, 0, NONE},
    {"race_alpha", R, P_NUMBER, 1e-6, .5, AT(race_alpha), AT(has_race_alpha)},
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
                               .race_alpha = .05};
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

static dm_status read_param(dm_arena *a, const struct param *param, const dm_at *at,
                            dm_optimizer_params *p, dm_error *err)
{
    char *base = (char *)p;
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
    case P_LIST:
        return read_restrict(a, at, p, err);
    case P_RACE:
        break;
    }
    return read_race(at, p, err);
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
    return st == DM_OK ? check_race(at, p, err) : st;
}
