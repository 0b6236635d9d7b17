/* What an optimizer declares of itself: its table of parameters, its names, its phases. */
#include "optimizer/mipro.h"
#include "world.h"

#include <criterion/criterion.h>

#include <string.h>

static size_t size_of(const dm_param *p)
{
    switch (p->kind) {
    case DM_PARAM_BOOL:
        return sizeof(bool);
    case DM_PARAM_INT:
        return sizeof(int64_t);
    case DM_PARAM_NUMBER:
    case DM_PARAM_AMOUNT:
        return sizeof(double);
    case DM_PARAM_TEXT:
        return sizeof(char *);
    case DM_PARAM_WORD:
        return sizeof(unsigned);
    case DM_PARAM_INTS:
        return sizeof(dm_ints);
    case DM_PARAM_FILE:
        return sizeof(dm_param_file);
    case DM_PARAM_PROGRAMS:
        return sizeof(dm_param_programs);
    case DM_PARAM_OPTIMIZERS:
        return sizeof(dm_param_optimizers);
    case DM_PARAM_ANY:
    case DM_PARAM_OWN:
        break;
    }
    return 0;
}

Test(optimizers, tables)
{
    for (size_t i = 0; i < dm_n_optimizers; i++) {
        const dm_optimizer *o = dm_optimizers[i];
        cr_expect(o->name && o->aliases && o->demos && o->run, "optimizer %zu", i);
        cr_expect_geq(o->size, sizeof(dm_params));
        for (const dm_param *p = o->params; p->name; p++) {
            bool own = p->kind == DM_PARAM_OWN;
            cr_expect_eq(dm_param_named(o, p->name), p, "%s: %s stands twice", o->name, p->name);
            cr_expect(own || (p->at >= sizeof p->at && p->at + size_of(p) <= o->size), "%s: %s",
                      o->name, p->name);
            cr_expect_lt(p->given, o->size, "%s: %s", o->name, p->name);
            cr_expect(p->low <= p->high, "%s: %s", o->name, p->name);
            cr_expect_eq(own, p->read != NULL, "%s: %s", o->name, p->name);
            cr_expect_eq(p->kind == DM_PARAM_WORD, p->words != NULL, "%s: %s", o->name, p->name);
            cr_expect_eq(p->kind == DM_PARAM_FILE, p->suits != NULL, "%s: %s", o->name, p->name);
        }
    }
}

static dm_params *read_params(dm_arena *a, const char *text, dm_error *err)
{
    const dm_value *v = dm_json_read(a, dm_str_of(text), err);
    cr_assert_not_null(v, "%s", err->text);
    dm_at at = dm_at_root(v, "job.json", DM_E_JOB);
    dm_params *p = NULL;
    return dm_optimizer_read(a, &at, &p, err) == DM_OK ? p : NULL;
}

static void expect_name(const dm_optimizer *o, const char *name)
{
    dm_arena *a = dm_arena_new(0);
    dm_error err = {DM_OK, ""};
    dm_params *p = read_params(a, dm_arena_printf(a, "\"%s\"", name), &err);
    cr_expect(p && p->class == o, "%s: %s", name, err.text);
    dm_arena_free(a);
}

Test(optimizers, every_name_and_alias_is_read)
{
    for (size_t i = 0; i < dm_n_optimizers; i++) {
        expect_name(dm_optimizers[i], dm_optimizers[i]->name);
        for (const char *const *alias = dm_optimizers[i]->aliases; *alias; alias++)
            expect_name(dm_optimizers[i], *alias);
    }
}

Test(optimizers, values_arrive)
{
    dm_arena *a = dm_arena_new(0);
    dm_error err = {DM_OK, ""};
    dm_mipro_params *m = (dm_mipro_params *)read_params(
        a,
        "{\"name\": \"MIPROv2\", \"auto\": null, \"num_candidates\": 3, \"num_trials\": 7, "
        "\"search\": \"tpe\", \"seed\": 5, \"max_errors\": null, \"minibatch\": false, "
        "\"init_temperature\": 0.5, \"proposals\": \"p.json\", \"num_threads\": 2}",
        &err);
    cr_assert_not_null(m, "%s", err.text);
    cr_expect(m->auto_mode == DM_AUTO_NONE && m->has_num_candidates && m->num_candidates == 3);
    cr_expect(m->has_num_trials && m->num_trials == 7 && m->search == DM_MIPRO_TPE);
    cr_expect(m->demos.base.has_seed && m->demos.base.seed == 5 && !m->demos.base.has_max_errors);
    cr_expect(m->has_minibatch && !m->minibatch && m->init_temperature == .5);
    cr_expect(strcmp(m->proposals.name, "p.json") == 0 && !m->proposals.json);
    cr_expect(m->demos.max_labeled_demos == 4 && m->minibatch_size == 35 && !m->has_runs);
    m = (dm_mipro_params *)read_params(a, "{\"name\": \"mipro_v2\", \"auto\": \"heavy\"}", &err);
    cr_assert(m && m->auto_mode == DM_AUTO_HEAVY, "%s", err.text);
    dm_random_search_params *r = (dm_random_search_params *)read_params(
        a, "{\"name\": \"BootstrapRS\", \"restrict\": [-3, 4], \"race\": \"halving\"}", &err);
    cr_assert_not_null(r, "%s", err.text);
    cr_expect(r->restrict_seeds.n == 2 && r->restrict_seeds.items[1] == 4);
    cr_expect(r->race == DM_RACES_HALVING && r->demos.max_labeled_demos == 16);
    dm_arena_free(a);
}

Test(optimizers, refusals)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"\"copro\"", "there are labeled_few_shot, bootstrap_few_shot, "
                      "bootstrap_few_shot_with_random_search, mipro_v2, ensemble, gepa and chain"},
        {"\"bootstrap_few_shots\"", "did you mean \"bootstrap_few_shot\"?"},
        {"{\"k\": 3}", "needs a name"},
        {"{\"name\": \"mipro_v2\", \"k\": 3}", "optimizer.k: mipro_v2 does not read it"},
        {"{\"name\": \"mipro_v2\", \"seach\": \"tpe\"}", "did you mean \"search\"?"},
        {"{\"name\": \"mipro_v2\", \"search\": \"tp\"}",
         "one of factor, mipro, tpe, random, halving, not \"tp\""},
        {"{\"name\": \"mipro_v2\", \"auto\": \"none\"}",
         "one of light, medium, heavy, not \"none\""},
        {"{\"name\": \"mipro_v2\", \"auto\": null}", "needs both num_candidates and num_trials"},
        {"{\"name\": \"labeled_few_shot\", \"k\": -1}", "a whole number from 0 on"},
        {"{\"name\": \"gepa\", \"auto\": \"light\", \"max_metric_calls\": 9}",
         "optimizer.max_metric_calls: auto says how long it searches"},
        {"{\"name\": \"gepa\", \"max_full_evals\": 2, \"max_metric_calls\": 9}",
         "max_full_evals says how long it searches"},
        {"{\"name\": \"GEPA\", \"search\": \"gepa\", \"proposals\": 2}", "of several proposals"},
        {"{\"name\": \"GEPA\", \"cache_evaluation\": true}", "nothing is asked for twice"},
        {"{\"name\": \"GEPA\", \"parents\": 2}", "only sampling_strategy = p_x_n"},
        {"{\"name\": \"GEPA\", \"top_k\": 2}", "only selection_strategy = top_k"},
        {"{\"name\": \"BootstrapRS\", \"restrict\": 3}",
         "a list of whole numbers, each at least -3"},
        {"{\"name\": \"BootstrapRS\", \"race\": true, \"stop_at_score\": 90}", "race"},
        {"{\"name\": \"ensemble\", \"k\": 3}", "`of` is missing"},
        {"{\"name\": \"ensemble\", \"of\": \"ensemble\"}", "list its own optimizers"},
        {"{\"name\": \"ensemble\", \"of\": []}", "1 to 64 optimizers"},
        {"{\"name\": \"ensemble\", \"of\": [\"mipro_v2\", {\"name\": \"mipro_v2\", \"autoo\": 1}]}",
         "optimizer.of[1].autoo: unknown key; did you mean \"auto\"?"},
        {"{\"name\": \"ensemble\", \"of\": {\"name\": \"mipro_v2\", \"lms\": {}}}",
         "names one of the job's models"},
        {"{\"name\": \"ensemble\", \"of\": {\"name\": \"mipro_v2\", \"proposals\": \"p.json\"}}",
         "a file cannot be given for one member"},
        {"{\"name\": \"ensemble\", \"of\": {\"name\": \"mipro_v2\", \"num_threads\": 4}}",
         "beside `of`"},
        {"{\"name\": \"ensemble\", \"of\": {\"name\": \"mipro_v2\", \"rows\": [5, 5]}}",
         "a whole number from 6 to"},
        {"{\"name\": \"ensemble\", \"of\": {\"name\": \"mipro_v2\", \"module\": \"react\"}}",
         "predict or chain_of_thought"},
        {"{\"name\": \"ensemble\", \"of\": \"mipro_v2\", \"reduce\": \"weighted\"}",
         "never gained"},
        {"{\"name\": \"ensemble\", \"of\": \"mipro_v2\", \"reduce\": \"cascade\"}", "never gained"},
        {"{\"name\": \"ensemble\", \"of\": \"mipro_v2\", \"select\": \"all\"}", "never gained"},
        {"{\"name\": \"ensemble\", \"of\": \"mipro_v2\", \"reduce\": \"unanimous\"}",
         "set \"guard\": false"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_arena *a = dm_arena_new(0);
        dm_error err = {DM_OK, ""};
        char text[300];
        snprintf(text, sizeof text, "{\"optimizer\": %s}", rows[i].text);
        dm_at root = dm_at_root(dm_json_read(a, dm_str_of(text), &err), "job.json", DM_E_JOB),
              at = dm_at_key(&root, "optimizer");
        dm_params *p;
        cr_expect_eq(dm_optimizer_read(a, &at, &p, &err), DM_E_JOB, "%s was taken", text);
        cr_expect_not_null(strstr(err.text, rows[i].says), "%s: %s", text, err.text);
        dm_arena_free(a);
    }
}

/* A phase asks models of the roles that the optimizer declares, and has a name of its own. */
Test(optimizers, phases)
{
    static const char *const names[] = {"",
                                        "bootstrap",
                                        "bootstrap search",
                                        "bootstrap propose search",
                                        "committee",
                                        "search reflect",
                                        ""};
    world w = world_new(ONE_PREDICTOR);
    for (size_t i = 0; i < dm_n_optimizers; i++) {
        const dm_optimizer *o = dm_optimizers[i];
        dm_params *p = dm_arena_alloc(w.arena, o->size);
        dm_plan plan = {.predictors = 1};
        char all[100] = "";
        dm_params_init(p, o);
        dm_compile_input in = {.params = p,
                               .student = dm_candidate_seal(dm_candidate_new(w.arena, w.program)),
                               .trainset = w.train,
                               .valset = w.val};
        if (o->plan)
            o->plan(w.arena, &in, &plan);
        for (size_t k = 0; k < plan.n; k++) {
            const dm_plan_phase *f = &plan.phases[k];
            size_t used = strlen(all);
            snprintf(all + used, sizeof all - used, "%s%s", k ? " " : "", f->name);
            cr_expect(f->role == DM_TASK || (o->roles >> f->role & 1), "%s: %s", o->name, f->name);
            cr_expect(f->calls.low <= f->calls.expected && f->calls.expected <= f->calls.high,
                      "%s: %s", o->name, f->name);
        }
        cr_expect_str_eq(all, names[i], "%s", o->name);
    }
    dm_arena_free(w.arena);
}
