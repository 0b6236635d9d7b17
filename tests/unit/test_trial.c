/* Nothing is paid that cannot come to anything: the start program's first 20 examples decide, by
 * the data's order and the answers alone, whatever the optimizer and at any number of ranks. */
#include "world.h"
#include "optimizer/inside.h"
#include "optimizer/mipro.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

typedef struct rule {
    world w;
    dm_fault fault;
    int from, to;     /* validation examples that fail */
    bool train;       /* training examples do */
    bool demos_mend;  /* not where there are demonstrations */
    bool traced_only; /* only where demonstrations are bootstrapped */
} rule;

static bool has_demos(const dm_candidate *c)
{
    for (size_t i = 0; i < c->program->n; i++)
        if (c->parts[i].n_demos)
            return true;
    return false;
}

static bool fails(const rule *r, const dm_work *work, const dm_value *row)
{
    long number = strtol(dm_value_get(row, "question")->text.p + 1, NULL, 10) - 100;
    if (r->demos_mend && has_demos(work->candidate))
        return false;
    if (r->traced_only && work->role != DM_TEACHER)
        return false;
    return number < 0 ? r->train : number >= r->from && number < r->to;
}

static void run(void *user, const dm_work *work, const dm_value *row, dm_arena *a,
                dm_run_result *out)
{
    const rule *r = user;
    golden_rule_and_proposals((void *)&r->w, work, row, a, out);
    if (work->candidate->program != r->w.program || !fails(r, work, row))
        return;
    out->fault = r->fault;
    out->error = "as the test wants it";
}

typedef struct end {
    dm_status status;
    size_t calls;
    char text[1536];
} end;

static end compile(rule r, const dm_optimizer *name, int ranks, int64_t max_errors)
{
    union {
        dm_params base;
        dm_mipro_params mipro;
        dm_random_search_params search;
        dm_labeled_params labeled;
    } params;
    dm_error err = {DM_OK, ""};
    dm_compile_output out;
    r.w = world_new(ONE_PREDICTOR);
    r.w.val = questions(r.w.arena, 100, 60);
    r.w.setup.sets[1] = r.w.val;
    r.w.sim.ranks = ranks;
    r.w.sim.run = run;
    r.w.sim.user = &r;
    dm_params_init(&params.base, name);
    params.base.has_max_errors = max_errors > 0;
    params.base.max_errors = max_errors;
    dm_pool *pool = dm_pool_simulated_new(&r.w.setup, &r.w.sim, &r.w.stats, &err);
    cr_assert_not_null(pool, "%s", err.text);
    dm_compile_input in = {.params = &params.base,
                           .student = dm_candidate_seal(dm_candidate_new(r.w.arena, r.w.program)),
                           .trainset = r.w.train,
                           .valset = r.w.val};
    end e = {.status = dm_compile(pool, &in, &out, &err), .calls = r.w.stats.calls};
    snprintf(e.text, sizeof e.text, "%s", err.text);
    dm_pool_free(pool);
    dm_arena_free(r.w.arena);
    return e;
}

static const dm_optimizer *const all[] = {&dm_optimizer_labeled_few_shot,
                                          &dm_optimizer_bootstrap_few_shot,
                                          &dm_optimizer_random_search, &dm_optimizer_mipro_v2};
#define N_ALL (sizeof all / sizeof *all)

static void expect(const rule *r, dm_status status, size_t calls)
{
    for (size_t i = 0; i < N_ALL; i++)
        for (int ranks = 1; ranks <= 64; ranks *= 8) {
            end e = compile(*r, all[i], ranks, 0);
            cr_expect_eq(e.status, status, "%s at %d ranks: %d, %s", all[i]->name, ranks, e.status,
                         e.text);
            cr_expect(calls == 0 || e.calls == calls, "%s at %d ranks: %zu calls", all[i]->name,
                      ranks, e.calls);
        }
}

/* MIPROv2 draws the order in which it scores: the data's counts. */
Test(trial, first_twenty_refused)
{
    rule r = {.fault = DM_FAULT_REFUSED, .from = 0, .to = 20};
    expect(&r, DM_E_MODEL, 20);
}

Test(trial, one_of_them_is_enough)
{
    rule r = {.fault = DM_FAULT_REFUSED, .from = 1, .to = 60};
    expect(&r, DM_OK, 0);
    r = (rule){.fault = DM_FAULT_REFUSED, .from = 0, .to = 19};
    expect(&r, DM_OK, 0);
}

/* Each of them asks once more in JSON mode. */
Test(trial, never_parses)
{
    rule r = {.fault = DM_FAULT_PARSE, .from = 0, .to = 60, .train = true};
    expect(&r, DM_E_MODEL, 80);
}

Test(trial, demonstrations_mend_it)
{
    rule r = {.fault = DM_FAULT_PARSE, .from = 0, .to = 60, .demos_mend = true};
    expect(&r, DM_OK, 0);
}

/* DSPy's: ten of one pass, anew for each; a number that is given holds instead. */
Test(trial, errors_of_a_pass)
{
    rule r = {.fault = DM_FAULT_PARSE, .train = true, .traced_only = true};
    end e = compile(r, &dm_optimizer_bootstrap_few_shot, 3, 0);
    cr_expect_eq(e.status, DM_E_MODEL);
    cr_expect(strstr(e.text, "10 examples failed in one bootstrapping pass"), "%s", e.text);
    cr_expect_leq(e.calls, 20 + 2 * (10 + 3));
    e = compile(r, &dm_optimizer_bootstrap_few_shot, 3, 4);
    cr_expect_eq(e.status, DM_E_DATA);
    cr_expect(strstr(e.text, "4 examples failed in one bootstrapping pass"), "%s", e.text);
    e = compile(r, &dm_optimizer_bootstrap_few_shot, 3, 21); /* there are 20 */
    cr_expect_eq(e.status, DM_OK, "%s", e.text);
}

/* What is refused ends a pass only where a number is given: the candidate is dropped instead. */
Test(trial, refusals_of_a_pass)
{
    rule r = {.fault = DM_FAULT_OVERFLOW, .train = true, .traced_only = true};
    for (size_t i = 1; i < N_ALL; i++) {
        end e = compile(r, all[i], 3, 0);
        cr_expect_eq(e.status, DM_OK, "%s: %s", all[i]->name, e.text);
    }
    end e = compile(r, &dm_optimizer_bootstrap_few_shot, 3, 10);
    cr_expect_eq(e.status, DM_E_DATA);
    cr_expect(strstr(e.text, "10 examples failed in one bootstrapping pass"), "%s", e.text);
}

/* Of each candidate's evaluation, and only where it is given: 12 fail in each. */
Test(trial, errors_of_an_evaluation)
{
    rule r = {.fault = DM_FAULT_PARSE, .from = 30, .to = 42};
    for (size_t i = 2; i < N_ALL; i++) {
        end e = compile(r, all[i], 3, 0);
        cr_expect_eq(e.status, DM_OK, "%s: %s", all[i]->name, e.text);
        e = compile(r, all[i], 3, 13);
        cr_expect_eq(e.status, DM_OK, "%s: %s", all[i]->name, e.text);
        e = compile(r, all[i], 3, 12);
        cr_expect_eq(e.status, DM_E_DATA, "%s: %s", all[i]->name, e.text);
        cr_expect(strstr(e.text, "max_errors"), "%s", e.text);
    }
}

static dm_status told(const char *lm, dm_result *r, char *text, size_t room)
{
    dm_arena *a = dm_arena_new(0);
    dm_at at = dm_at_root(dm_json_read(a, dm_str_of(lm), NULL), "lm", DM_E_JOB);
    dm_buf b;
    dm_buf_init(&b, 10000);
    dm_status st = dm_tell_faults(&b, dm_lm_config_read(a, &at, NULL), r, 1);
    snprintf(text, room, "%s", b.data);
    dm_buf_free(&b);
    dm_arena_free(a);
    return st;
}

Test(trial, whose_fault)
{
    static const char *const with = "{\"model\": \"hosted_vllm/m\", \"max_tokens\": 500, "
                                    "\"temperature\": 0.3}";
    static const char *const without = "\"hosted_vllm/m\"";
    const struct {
        dm_result r;
        const char *lm;
        dm_status status;
        const char *words;
    } table[] = {
        {{.fault = DM_FAULT_METRIC, .error = "None"}, with, DM_E_DATA, "the metric failed: None"},
        {{.fault = DM_FAULT_PROGRAM, .error = "no q"}, with, DM_E_DATA, "no q"},
        {{.fault = DM_FAULT_REFUSED, .error = "HTTP 400: Temperature is fixed"},
         with,
         DM_E_JOB,
         "take `temperature` out"},
        {{.fault = DM_FAULT_REFUSED, .error = "HTTP 400: Temperature is fixed"},
         without,
         DM_E_MODEL,
         "HTTP 400"},
        {{.fault = DM_FAULT_PARSE, .starved = true, .cut = 500, .reasoning = 480},
         with,
         DM_E_JOB,
         "cut at max_tokens=500, 480 of them reasoning: raise it, or lower lm.reasoning_effort"},
        {{.fault = DM_FAULT_PARSE, .starved = true, .cut = 700},
         without,
         DM_E_MODEL,
         "at 700 tokens, the most that the server gives"},
        {{.fault = DM_FAULT_PARSE,
          .error = "Adapter ChatAdapter failed to parse the LM response. \n\nLM Response: Well, "
                   "no. \n\nExpected to find output fields in the LM response: [answer] \n\n"},
         with,
         DM_E_MODEL,
         "the first: Well, no."},
        {{.fault = DM_FAULT_SERVER, .error = "HTTP 500"}, with, DM_E_MODEL, "HTTP 500"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        dm_result r = table[i].r;
        char text[2000];
        cr_expect_eq(told(table[i].lm, &r, text, sizeof text), table[i].status, "%zu: %s", i, text);
        cr_expect(strstr(text, table[i].words), "%zu: %s", i, text);
    }
}
