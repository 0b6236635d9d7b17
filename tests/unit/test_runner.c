/* One example through a program: which answers are taken as given, what is asked, what it costs. */
#include "world.h"

#include "adapter/adapter.h"
#include "base/clock.h"
#include "runner/prepared.h"

#include <criterion/criterion.h>

typedef struct told {
    dm_hash key;
    dm_answer answer;
} told;

typedef struct bench {
    world w;
    dm_lm_config *config;
    dm_hash scope;
    dm_runner runner;
    dm_run_spec spec;
    dm_run *run;
    told told[8]; /* [n_told] answers of this run */
    size_t n_told;
    told known[8]; /* [n_known] what it is told */
    size_t n_known;
    uint32_t wanted; /* the call that it asks about; UINT32_MAX: none */
    dm_hash key;
    size_t n_finds;
    bool done;
    dm_fault fault;
    dm_usage usage, call;
    size_t n_keys, n_steps;
    char unread[64]; /* of the last step */
    dm_hash keys[8];
    char answer[64], error[256];
} bench;

static void find(void *user, uint32_t call, const dm_hash *key)
{
    bench *b = user;
    b->wanted = call;
    b->key = *key;
    b->n_finds++;
}

static void open_bench(bench *b, const char *program, const char *key, const dm_value *value)
{
    dm_error err = {DM_OK, ""};
    *b = (bench){.w = world_new(program)};
    if (key)
        dm_value_set(b->w.arena, (dm_value *)(uintptr_t)b->w.setup.lm[0], dm_str_of(key), value);
    dm_at at = dm_at_root(b->w.setup.lm[0], "test", DM_E_JOB);
    dm_lm_options o = {.slots = 4};
    b->config = dm_lm_config_read(b->w.arena, &at, &err);
    cr_assert_not_null(b->config, "%s", err.text);
    o.role[DM_TASK] = b->config;
    b->runner.lm = dm_lm_new(&o, &err);
    cr_assert_not_null(b->runner.lm, "%s", err.text);
    b->scope = dm_lm_scope(b->config);
    b->runner.known.find = find;
    b->runner.known.scope[DM_TASK] = &b->scope;
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

static void answered(void *user, const dm_hash *key, const dm_answer *a)
{
    bench *b = user;
    told *t = &b->told[b->n_told++];
    *t = (told){*key, *a};
    t->answer.content.p = dm_arena_string(b->w.arena, a->content.p, a->content.n);
}

static void done(void *user, const dm_run_result *r)
{
    bench *b = user;
    b->done = true;
    b->fault = r->fault;
    b->usage = r->usage;
    b->call = r->call;
    b->n_keys = r->n_keys;
    for (size_t i = 0; i < r->n_keys; i++)
        b->keys[i] = r->keys[i];
    b->n_steps = r->n_steps;
    const dm_step *last = r->n_steps ? &r->steps[r->n_steps - 1] : NULL;
    cr_expect(!last || (last->inputs && !last->outputs == (last->unread.p != NULL)));
    *b->unread = 0;
    if (last && last->unread.p)
        snprintf(b->unread, sizeof b->unread, "%.*s", DM_STR_ARG(last->unread));
    snprintf(b->error, sizeof b->error, "%s", r->error ? r->error : "");
    snprintf(b->answer, sizeof b->answer, "%s",
             r->outputs ? dm_value_get(r->outputs, "answer")->text.p : "");
}

static void tell(bench *b)
{
    const dm_answer *found = NULL;
    uint32_t call = b->wanted;
    for (size_t i = 0; i < b->n_known; i++)
        if (dm_hash_eq(&b->known[i].key, &b->key))
            found = &b->known[i].answer;
    b->wanted = UINT32_MAX;
    cr_expect(dm_run_finds(b->run, call) && !dm_run_finds(b->run, call + 1));
    dm_run_found(b->run, call + 1, found, 0); /* of another call: it goes on waiting */
    cr_expect(dm_run_finds(b->run, call));
    dm_run_found(b->run, call, found, 0);
}

static void run(bench *b, int64_t most)
{
    dm_prepared *p = dm_prepared_new(&b->spec);
    const dm_example *e = &b->w.val->examples[0];
    b->done = false;
    b->n_told = b->n_finds = 0;
    b->wanted = UINT32_MAX;
    b->run = dm_run_new(&b->runner, p, e->row, &e->fingerprint, answered, done, b);
    dm_run_limit(b->run, most);
    dm_run_go(b->run);
    for (int turn = 0; turn < 1000 && !b->done; turn++) {
        if (b->wanted != UINT32_MAX)
            tell(b);
        dm_lm_poll(b->runner.lm, NULL, 0, 0);
    }
    cr_assert(b->done);
    dm_prepared_free(p);
}

/* What a run is told by key it does not ask for; what it asks for it tells, with its cost, before
 * it goes on. The result names all keys. */
Test(runner, what_is_known_by_its_key_is_not_asked_for)
{
    bench b;
    open_bench(&b, TWO_PREDICTORS, NULL, NULL);
    run(&b, 0);
    cr_assert(b.fault == DM_FAULT_NONE && b.n_steps == 2 && b.n_told == 2 && b.n_finds == 2);
    cr_expect(b.told[0].answer.usage.requests == 1 && b.told[0].answer.final);
    cr_expect_eq(b.usage.requests + b.call.requests, 0, "all of it was told");
    cr_expect(b.n_keys == 2 && dm_hash_eq(&b.keys[0], &b.told[0].key) &&
              dm_hash_eq(&b.keys[1], &b.told[1].key));
    char whole[64];
    snprintf(whole, sizeof whole, "%s", b.answer);
    for (size_t n = 1; n <= 2; n++) {
        told both[2] = {b.told[0], b.told[1]};
        b.n_known = n;
        for (size_t i = 0; i < n; i++)
            b.known[i] = both[i];
        run(&b, 0);
        cr_expect(b.n_told == 2 - n && b.n_finds == 2 && b.n_keys == 2, "%zu are known: %zu told",
                  n, b.n_told);
        cr_expect_str_eq(b.answer, whole);
        b.n_known = 0;
        run(&b, 0);
    }
    close_bench(&b);
}

/* A trace goes as far as the run came: the answer that could not be read is its last step. */
Test(runner, a_trace_ends_with_what_could_not_be_read)
{
    bench b;
    open_bench(&b, TWO_PREDICTORS, NULL, NULL);
    b.spec.json_fallback = false;
    run(&b, 0);
    cr_expect(b.n_steps == 2 && *b.unread == 0);
    b.known[b.n_known++] =
        (told){b.told[1].key, {.final = true, .content = DM_STR("no header in it")}};
    run(&b, 0);
    cr_expect(b.fault == DM_FAULT_PARSE && b.n_steps == 2);
    cr_expect_str_eq(b.unread, "no header in it");
    b.spec.work.trace = false;
    run(&b, 0);
    cr_expect(b.fault == DM_FAULT_PARSE && b.n_steps == 0);
    b.spec.work.steps = true; /* the same, for those who look at steps alone */
    run(&b, 0);
    cr_expect(b.fault == DM_FAULT_PARSE && b.n_steps == 2);
    cr_expect_str_eq(b.unread, "no header in it");
    close_bench(&b);
}

/* What stands against a request ends the run in the same words. */
Test(runner, a_refusal_that_is_known_is_the_runs_own)
{
    bench b;
    open_bench(&b, TWO_PREDICTORS, NULL, NULL);
    run(&b, 0);
    b.known[b.n_known++] =
        (told){b.told[1].key,
               {.fault = DM_FAULT_REFUSED, .final = true, .content = DM_STR("too long")}};
    run(&b, 0);
    cr_expect(b.fault == DM_FAULT_REFUSED && b.n_told == 1 && b.n_keys == 2);
    cr_expect_str_eq(b.error, "too long");
    cr_expect_eq(b.usage.requests + b.call.requests, 0);
    close_bench(&b);
}

/* No more requests than were set aside; what is left undone fails on the way, to be gone on with.
 */
Test(runner, no_more_requests_than_were_set_aside)
{
    bench b;
    open_bench(&b, TWO_PREDICTORS, NULL, NULL);
    run(&b, 1);
    cr_expect(b.fault == DM_FAULT_TRANSPORT && b.n_told == 1 && b.n_keys == 2, "one of two");
    b.known[b.n_known++] = b.told[0];
    run(&b, 1);
    cr_expect_eq(b.fault, DM_FAULT_NONE);
    b.n_known = 0;
    run(&b, 2);
    cr_expect_eq(b.fault, DM_FAULT_NONE);
    close_bench(&b);
}

static dm_hash first_key(const char *key, const dm_value *value, const dm_work *how)
{
    bench b;
    open_bench(&b, ONE_PREDICTOR, key, value);
    b.spec.work.rollout = how->rollout;
    b.spec.work.temperature = how->temperature;
    run(&b, 0);
    close_bench(&b);
    return b.keys[0];
}

/* A key is made of what is sent, and of the rollout; of nothing else. */
Test(runner, what_a_key_is_made_of)
{
    dm_arena *a = dm_arena_new(0);
    dm_work plain = {.rollout = -1, .temperature = NAN}, cold = plain, warm = plain, again = plain;
    cold.temperature = 0;
    warm.temperature = 1;
    again.rollout = 3;
    dm_hash usual = first_key(NULL, NULL, &plain);
    const struct {
        const char *key;
        const dm_value *value;
        const dm_work *how;
        bool same;
    } row[] = {
        {NULL, NULL, &plain, true},
        {"api_base", dm_value_text(a, "http://127.0.0.1:9/v1"), &plain, true},
        {"concurrency", dm_value_int(a, 3), &plain, true},
        {"num_retries", dm_value_int(a, 0), &plain, true},
        {"timeout", dm_value_int(a, 7), &plain, true},
        {"temperature", dm_value_int(a, 0), &plain, false},
        {"max_tokens", dm_value_int(a, 100), &plain, false},
        {"top_p", dm_value_float(a, .5), &plain, false},
        {"cache_tag", dm_value_text(a, "other"), &plain, false},
        {NULL, NULL, &again, false},
        {NULL, NULL, &warm, false},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        dm_hash h = first_key(row[i].key, row[i].value, row[i].how);
        cr_expect_eq(dm_hash_eq(&h, &usual), row[i].same, "row %zu", i);
    }
    dm_hash own = first_key("temperature", dm_value_int(a, 0), &plain),
            asked = first_key(NULL, NULL, &cold),
            other = first_key("temperature", dm_value_float(a, .7), &cold);
    cr_expect(dm_hash_eq(&own, &asked) && dm_hash_eq(&asked, &other),
              "a temperature is the one that is sent, whoever says it");
    dm_arena_free(a);
}

/* Two calls of a run are two requests where answers are not to be shared. */
Test(runner, without_sharing_each_call_has_its_own_key)
{
    dm_arena *a = dm_arena_new(0);
    bench b;
    open_bench(&b, ONE_PREDICTOR, "cache", dm_value_bool(a, false));
    run(&b, 0);
    dm_hash own = b.keys[0];
    b.config->cache = true; /* of the same scope */
    run(&b, 0);
    cr_expect(!dm_hash_eq(&own, &b.keys[0]) && b.n_keys == 1);
    close_bench(&b);
    dm_arena_free(a);
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
