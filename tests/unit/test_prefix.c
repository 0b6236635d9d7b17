/* Prompts that begin alike: the first run of a prefix goes alone where others have work, the places
 * are as busy as they would be without, and the program is the same. All in virtual time. */
#include "world.h"

#include <criterion/criterion.h>

typedef struct outcome {
    dm_hash program;
    dm_simulated_stats stats;
} outcome;

static uint64_t seed = 1; /* tests run in processes of their own */

#define LONG 9000 /* bytes of instructions: beyond the 1,024 tokens that servers keep */

/* Random search; hosted_vllm's servers keep prefixes, ollama_chat's do not. */
static outcome compile(const char *program, const char *provider, int ranks, int64_t places,
                       size_t bytes, void disaster(dm_simulation *sim))
{
    outcome o;
    dm_error err = {DM_OK, ""};
    world w = world_new(program);
    dm_value *lm = dm_value_dict(w.arena);
    dm_value_set(w.arena, lm, DM_STR("model"),
                 dm_value_text(w.arena, dm_arena_printf(w.arena, "%s/x", provider)));
    dm_value_set(w.arena, lm, DM_STR("outage"), dm_value_int(w.arena, 100000));
    dm_value_set(w.arena, lm, DM_STR("concurrency"), dm_value_int(w.arena, places));
    for (int i = 0; i < DM_ROLES; i++)
        w.setup.lm[i] = lm;
    w.setup.sets[1] = w.val = questions(w.arena, 100, 60);
    w.sim.ranks = ranks;
    w.sim.seed = seed;
    w.sim.steady = true;
    if (disaster)
        disaster(&w.sim);
    dm_candidate *student = dm_candidate_new(w.arena, w.program);
    for (size_t i = 0; i < w.program->n && bytes > 0; i++) {
        char *text = dm_arena_alloc(w.arena, bytes + 1);
        memset(text, 'x', bytes);
        student->parts[i].instructions = (dm_str){text, bytes};
    }
    dm_random_search_params p;
    dm_params_init(&p.demos.base, &dm_optimizer_random_search);
    p.demos.max_labeled_demos = 8;
    p.num_candidate_programs = 8;
    dm_pool *pool = dm_pool_simulated_new(&w.setup, &w.sim, &w.stats, &err);
    cr_assert_not_null(pool, "%s", err.text);
    dm_compile_input in = {.params = &p.demos.base,
                           .student = dm_candidate_seal(student),
                           .trainset = w.train,
                           .valset = w.val};
    dm_compile_output out;
    cr_assert_eq(dm_compile(pool, &in, &out, &err), DM_OK, "%s", err.text);
    o.program = out.best->hash;
    dm_pool_free(pool);
    o.stats = w.stats;
    dm_arena_free(w.arena);
    return o;
}

Test(prefix, the_first_run_of_a_prefix_goes_alone)
{
    static const struct {
        const char *program;
        int64_t places;
        double least; /* of what can be cached; all of the calls that fill the places at first are
                         too early */
    } rows[] = {{ONE_PREDICTOR, 8, .99}, {ONE_PREDICTOR, 16, .99}, {ONE_PREDICTOR, 32, .96},
                {ONE_PREDICTOR, 64, .9}, {TWO_PREDICTORS, 8, .98}, {TWO_PREDICTORS, 16, .96},
                {TWO_PREDICTORS, 32, .9}};
    double held_seconds = 0, plain_seconds = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int ranks = 1; ranks <= 16; ranks *= 4) {
            int64_t n = rows[i].places;
            outcome held = compile(rows[i].program, "hosted_vllm", ranks, n, LONG, NULL);
            outcome plain = compile(rows[i].program, "ollama_chat", ranks, n, LONG, NULL);
            double share = held.stats.cached / held.stats.cachable;
            cr_expect(held.stats.cachable > 0 && share >= rows[i].least,
                      "row %zu, %d ranks: %.3f are cached", i, ranks, share);
            cr_expect_leq(held.stats.seconds, 1.15 * plain.stats.seconds,
                          "row %zu, %d ranks: %.1f s, and %.1f s where nobody waits", i, ranks,
                          held.stats.seconds, plain.stats.seconds);
            cr_expect(dm_hash_eq(&held.program, &plain.program), "row %zu, %d ranks", i, ranks);
            cr_expect_eq(held.stats.calls, plain.stats.calls);
            held_seconds += held.stats.seconds;
            plain_seconds += plain.stats.seconds;
        }
    /* the order is another one, and a long call may come last: only together they tell */
    cr_expect_leq(held_seconds, 1.02 * plain_seconds, "%.1f s, and %.1f s where nobody waits",
                  held_seconds, plain_seconds);
}

/* What is too short to be kept waits for nothing: all is as without. */
Test(prefix, short_ones_are_left_alone)
{
    outcome one = compile(ONE_PREDICTOR, "hosted_vllm", 4, 16, 0, NULL),
            other = compile(ONE_PREDICTOR, "ollama_chat", 4, 16, 0, NULL);
    cr_expect(one.stats.prefixed == 0 && one.stats.seconds == other.stats.seconds &&
              one.stats.turns == other.stats.turns);
}

/* Virtual seconds of two evaluations, one after the other: nothing but the candidate's own rows
 * could fill the places.
 */
static double alone(const char *provider, int ranks)
{
    dm_error err = {DM_OK, ""};
    world w = world_new(ONE_PREDICTOR);
    dm_value *lm = dm_value_dict(w.arena);
    dm_value_set(w.arena, lm, DM_STR("model"),
                 dm_value_text(w.arena, dm_arena_printf(w.arena, "%s/x", provider)));
    dm_value_set(w.arena, lm, DM_STR("concurrency"), dm_value_int(w.arena, 16));
    for (int i = 0; i < DM_ROLES; i++)
        w.setup.lm[i] = lm;
    w.setup.sets[1] = w.val = questions(w.arena, 100, 48);
    w.sim.ranks = ranks;
    w.sim.seed = seed;
    w.sim.steady = true;
    dm_pool *pool = dm_pool_simulated_new(&w.setup, &w.sim, &w.stats, &err);
    cr_assert_not_null(pool, "%s", err.text);
    for (int i = 0; i < 4; i++) {
        char *text = dm_arena_alloc(w.arena, LONG + 1);
        memset(text, "abcd"[i], LONG);
        dm_candidate *c = dm_candidate_new(w.arena, w.program);
        c->parts[0].instructions = (dm_str){text, LONG};
        dm_work work = dm_work_of(dm_candidate_seal(c));
        const dm_result *r;
        cr_assert_eq(dm_pool_wait(pool, dm_pool_evaluate(pool, &work, w.val), &r, &err), DM_OK,
                     "%s", err.text);
    }
    dm_pool_free(pool);
    dm_arena_free(w.arena);
    return w.stats.seconds;
}

Test(prefix, no_place_is_left_empty)
{
    for (int ranks = 1; ranks <= 4; ranks *= 4) {
        double held = 0, plain = 0;
        for (seed = 1; seed <= 8; seed++) {
            held += alone("hosted_vllm", ranks);
            plain += alone("ollama_chat", ranks);
        }
        /* over several ranks cells go to others */
        cr_expect_leq(held, (ranks > 1 ? 1.02 : 1.001) * plain,
                      "%d ranks: %.2f s, and %.2f s where nobody waits", ranks, held, plain);
    }
}

static void disaster(dm_simulation *sim)
{
    sim->seed = seed;
    sim->death = sim->slow = 0.02;
    sim->hang = 0.01;
    sim->duplicate = sim->transport = 0.05;
    sim->refused = sim->unanswered = sim->odd = 0.03;
}

/* The first run may be lost with its rank, come back from a server that did not answer, or never
 * end. */
Test(prefix, disasters)
{
    dm_hash wanted = compile(TWO_PREDICTORS, "ollama_chat", 3, 16, LONG, NULL).program;
    for (seed = 1; seed <= 25; seed++) {
        int ranks = 3 + (int)(seed * 37 % 20);
        outcome o = compile(TWO_PREDICTORS, "hosted_vllm", ranks, 16, LONG, disaster);
        cr_expect(dm_hash_eq(&o.program, &wanted), "seed %llu: another program",
                  (unsigned long long)seed);
        cr_expect_lt(o.stats.seconds, 3000, "seed %llu: %.0f virtual seconds",
                     (unsigned long long)seed, o.stats.seconds);
        cr_expect_geq(o.stats.cached, 0.8 * o.stats.cachable, "seed %llu: %.2f",
                      (unsigned long long)seed, o.stats.cached / o.stats.cachable);
    }
}

static void refused(void *user, const dm_work *work, const dm_value *row, dm_arena *a,
                    dm_run_result *out)
{
    (void)user;
    (void)work;
    (void)row;
    (void)a;
    out->fault = DM_FAULT_REFUSED;
    out->error = "too much of it";
}

/* A prefix that every server refuses is waited for a few times, and then by nobody. */
Test(prefix, one_that_is_never_answered)
{
    dm_error err = {DM_OK, ""};
    world w = world_new(ONE_PREDICTOR);
    dm_value *lm = dm_value_dict(w.arena);
    dm_value_set(w.arena, lm, DM_STR("model"), dm_value_text(w.arena, "hosted_vllm/x"));
    dm_value_set(w.arena, lm, DM_STR("concurrency"), dm_value_int(w.arena, 16));
    for (int i = 0; i < DM_ROLES; i++)
        w.setup.lm[i] = lm;
    w.setup.sets[1] = w.val = questions(w.arena, 100, 1000);
    w.sim.run = refused;
    dm_candidate *c[2];
    dm_future *f[2];
    dm_pool *pool = dm_pool_simulated_new(&w.setup, &w.sim, &w.stats, &err);
    cr_assert_not_null(pool, "%s", err.text);
    for (int i = 0; i < 2; i++) {
        char *text = dm_arena_alloc(w.arena, LONG + 1);
        memset(text, "ab"[i], LONG);
        c[i] = dm_candidate_new(w.arena, w.program);
        c[i]->parts[0].instructions = (dm_str){text, LONG};
        dm_work work = dm_work_of(dm_candidate_seal(c[i]));
        f[i] = dm_pool_evaluate(pool, &work, w.val);
    }
    for (int i = 0; i < 2; i++) {
        const dm_result *r;
        cr_assert_eq(dm_pool_wait(pool, f[i], &r, &err), DM_OK, "%s", err.text);
        for (size_t k = 0; k < w.val->n; k++)
            cr_expect_eq(r[k].fault, DM_FAULT_REFUSED);
    }
    dm_pool_free(pool);
    cr_expect_eq(w.stats.calls, 2000);
    /* a call takes 1.4 s in the mean, and 16 are out at once */
    cr_expect_lt(w.stats.seconds, 1.2 * 1.4 * 2000 / 16, "%.1f s", w.stats.seconds);
    dm_arena_free(w.arena);
}
