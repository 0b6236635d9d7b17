/* One example through a program: which answers are taken as given, what is asked, what it costs. */
#include "world.h"

#include "adapter/adapter.h"
#include "base/clock.h"
#include "runner/prepared.h"

#include <criterion/criterion.h>

typedef struct bench {
    world w;
    dm_lm_config *config;
    dm_runner runner;
    dm_run_spec spec;
    dm_answer told[8];
    size_t n_told;
    bool done;
    dm_fault fault;
    dm_usage usage;
    size_t n_steps;
    char answer[64];
} bench;

static void open_bench(bench *b, const char *program)
{
    dm_error err = {DM_OK, ""};
    *b = (bench){.w = world_new(program)};
    dm_at at = dm_at_root(b->w.setup.lm[0], "test", DM_E_JOB);
    dm_lm_options o = {.slots = 4};
    b->config = dm_lm_config_read(b->w.arena, &at, &err);
    cr_assert_not_null(b->config, "%s", err.text);
    o.role[DM_TASK] = b->config;
    b->runner.lm = dm_lm_new(&o, &err);
    cr_assert_not_null(b->runner.lm, "%s", err.text);
    b->spec = (dm_run_spec){.work = dm_work_of(
                                dm_candidate_seal(dm_candidate_new(b->w.arena, b->w.program))),
                            .json_fallback = true,
                            .inputs = b->w.setup.inputs,
                            .n_inputs = 1};
    b->spec.work.scored = false;
    b->spec.work.trace = true;
}

static void close_bench(bench *b)
{
    dm_lm_free(b->runner.lm);
    dm_arena_free(b->w.arena);
}

static void answered(void *user, const dm_answer *a)
{
    bench *b = user;
    dm_answer copy = *a;
    copy.content.p = dm_arena_string(b->w.arena, a->content.p, a->content.n);
    b->told[b->n_told++] = copy;
}

static void done(void *user, const dm_run_result *r)
{
    bench *b = user;
    b->done = true;
    b->fault = r->fault;
    b->usage = r->usage;
    b->n_steps = r->n_steps;
    snprintf(b->answer, sizeof b->answer, "%s",
             r->outputs ? dm_value_get(r->outputs, "answer")->text.p : "");
}

static void run(bench *b, const dm_answer *given, size_t n, int64_t most)
{
    dm_prepared *p = dm_prepared_new(&b->spec);
    const dm_example *e = &b->w.val->examples[0];
    b->done = false;
    b->n_told = 0;
    dm_run *r = dm_run_new(&b->runner, p, e->row, &e->fingerprint, given, n, answered, done, b);
    dm_run_limit(r, most);
    dm_run_go(r);
    for (int turn = 0; turn < 1000 && !b->done; turn++)
        dm_lm_poll(b->runner.lm, NULL, 0, 0);
    cr_assert(b->done);
    dm_prepared_free(p);
}

/* An answer of an earlier attempt is taken at its place and for what was asked; any other is asked
 * for anew. What was told ahead is not told again with the result. */
Test(runner, given_answers_are_taken_with_the_hash_of_what_was_asked)
{
    bench b;
    open_bench(&b, TWO_PREDICTORS);
    run(&b, NULL, 0, 0);
    cr_assert(b.fault == DM_FAULT_NONE && b.n_steps == 2 && b.n_told == 1, "%s", b.answer);
    cr_expect_eq(b.told[0].usage.requests, 1);
    cr_expect_eq(b.usage.requests, 1, "the last answer comes with the result, the first was told");
    char whole[64];
    snprintf(whole, sizeof whole, "%s", b.answer);
    dm_answer given = b.told[0];
    run(&b, &given, 1, 0);
    cr_expect(b.n_told == 0 && b.usage.requests == 1, "one is given: %d requests",
              (int)b.usage.requests);
    cr_expect_str_eq(b.answer, whole);
    given.asked ^= 1;
    run(&b, &given, 1, 0);
    cr_expect(b.n_told == 1 && b.usage.requests == 1, "it belongs to another question");
    given.asked ^= 1;
    given.call = 1;
    run(&b, &given, 1, 0);
    cr_expect(b.n_told == 1 && b.usage.requests == 1, "it stands at another place");
    close_bench(&b);
}

/* No more requests than were set aside; what is left undone fails on the way, to be gone on with.
 */
Test(runner, no_more_requests_than_were_set_aside)
{
    bench b;
    open_bench(&b, TWO_PREDICTORS);
    run(&b, NULL, 0, 1);
    cr_expect(b.fault == DM_FAULT_TRANSPORT && b.n_told == 1, "one of two");
    dm_answer given = b.told[0];
    run(&b, &given, 1, 1);
    cr_expect_eq(b.fault, DM_FAULT_NONE);
    run(&b, NULL, 0, 2);
    cr_expect_eq(b.fault, DM_FAULT_NONE);
    close_bench(&b);
}

/* ---- response_format ---- */

/* As DSPy: a dict with named types is no schema that servers take, a bare one is. */
Test(runner, response_format_by_type)
{
    static const struct {
        const char *output;
        dm_response_format format;
    } row[] = {{"answer", DM_FORMAT_SCHEMA},
               {"answer: dict", DM_FORMAT_SCHEMA},
               {"answer: dict[str, int]", DM_FORMAT_JSON_OBJECT},
               {"answer: list[dict[str, int]]", DM_FORMAT_SCHEMA},
               {"note, answer: dict[str, str]", DM_FORMAT_JSON_OBJECT},
               {"answer: list[str]", DM_FORMAT_SCHEMA}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char json[200];
        snprintf(json, sizeof json, "{\"predict\": \"question -> %s\"}", row[i].output);
        world w = world_new(json);
        cr_assert_not_null(w.program, "%s", json);
        cr_expect_eq(dm_adapter_format(DM_JSON, w.program->predictors[0].signature), row[i].format,
                     "%s", row[i].output);
        dm_arena_free(w.arena);
    }
}
