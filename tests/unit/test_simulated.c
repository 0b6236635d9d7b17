/* Disasters by the hundred: the program that comes out is the one that comes out without them. */
#include "world.h"
#include "base/random.h"

#include <criterion/criterion.h>
#include <unistd.h>

static dm_hash compile(world *w, const dm_params *params, dm_usage *usage)
{
    dm_error err = {DM_OK, ""};
    dm_pool *pool = dm_pool_simulated_new(&w->setup, &w->sim, &w->stats, &err);
    cr_assert_not_null(pool, "%s", err.text);
    dm_compile_input in = {.params = params,
                           .student = dm_candidate_seal(dm_candidate_new(w->arena, w->program)),
                           .trainset = w->train,
                           .valset = w->val};
    dm_compile_output out;
    cr_assert_eq(dm_compile(pool, &in, &out, &err), DM_OK, "seed %llu: %s",
                 (unsigned long long)w->sim.seed, err.text);
    dm_hash h = out.best->hash;
    for (size_t i = 0; i < out.n_scored; i++)
        for (size_t k = 0; k < w->val->n; k++)
            cr_assert(out.scored[i].results[k].present, "seed %llu: an example is lost",
                      (unsigned long long)w->sim.seed);
    if (usage)
        *usage = dm_pool_stats_of(pool).usage;
    dm_pool_free(pool);
    return h;
}

static dm_random_search_params search(void)
{
    dm_random_search_params p;
    dm_params_init(&p.demos.base, &dm_optimizer_random_search);
    p.demos.max_labeled_demos = 8;
    p.num_candidate_programs = 5;
    return p;
}

Test(simulated, same_program_at_any_rank_count)
{
    dm_random_search_params p = search();
    dm_hash first = {{0}};
    for (int ranks = 1; ranks <= 4096; ranks *= 4) {
        world w = world_new(ONE_PREDICTOR);
        w.sim.ranks = ranks;
        dm_hash h = compile(&w, &p.demos.base, NULL);
        if (ranks == 1)
            first = h;
        cr_expect(dm_hash_eq(&h, &first), "%d ranks", ranks);
        dm_arena_free(w.arena);
    }
}

/* The seed alone reproduces a run: SIMULATED_SEED=n runs that one, SIMULATED_RUNS how many. */
Test(simulated, disasters)
{
    const char *one = getenv("SIMULATED_SEED"), *many = getenv("SIMULATED_RUNS");
    uint64_t from = one ? strtoull(one, NULL, 10) : 1, runs = one    ? 1
                                                              : many ? strtoull(many, NULL, 10)
                                                                     : 200;
    dm_random_search_params p = search();
    world calm = world_new(ONE_PREDICTOR);
    dm_hash wanted = compile(&calm, &p.demos.base, NULL);
    dm_arena_free(calm.arena);
    size_t deaths = 0, hangs = 0, twice = 0;
    for (uint64_t seed = from; seed < from + runs; seed++) {
        world w = world_new(ONE_PREDICTOR);
        w.sim.seed = seed;
        w.sim.ranks = 3 + (int)(seed * 37 % 60);
        w.sim.death = 0.02;
        w.sim.hang = 0.01;
        w.sim.slow = 0.02;
        w.sim.duplicate = 0.1;
        w.sim.transport = 0.05;
        dm_hash h = compile(&w, &p.demos.base, NULL);
        cr_expect(dm_hash_eq(&h, &wanted), "seed %llu: another program", (unsigned long long)seed);
        cr_expect_lt(w.stats.seconds, 3000, "seed %llu: %.0f virtual seconds",
                     (unsigned long long)seed, w.stats.seconds);
        deaths += w.stats.deaths;
        hangs += w.stats.hangs;
        twice += w.stats.duplicates;
        dm_arena_free(w.arena);
    }
    if (!one)
        cr_expect(deaths > 0 && hangs > 0 && twice > 0, "nothing happened");
}

/* The model's server is away for a time that is shorter than the outage that ends a run: nothing is
 * lost, and the program is the same. */
Test(simulated, a_server_that_restarts)
{
    dm_random_search_params p = search();
    world calm = world_new(ONE_PREDICTOR);
    dm_hash wanted = compile(&calm, &p.demos.base, NULL);
    dm_arena_free(calm.arena);
    static const double away[] = {5, 60, 110};
    for (size_t i = 0; i < sizeof away / sizeof *away; i++) {
        world w = world_new(ONE_PREDICTOR);
        dm_value_set(w.arena, (dm_value *)(uintptr_t)w.setup.lm[0], DM_STR("outage"),
                     dm_value_int(w.arena, 120));
        w.sim.down_from = 4;
        w.sim.down_to = 4 + away[i];
        dm_hash h = compile(&w, &p.demos.base, NULL);
        cr_expect(dm_hash_eq(&h, &wanted), "%.0f s: another program", away[i]);
        cr_expect_gt(w.stats.seconds, away[i]);
        dm_arena_free(w.arena);
    }
}

/* What an evaluation of n rows comes to: how many failed, and whether each of them is a row that is
 * never answered. */
static size_t evaluate(world *w, dm_hash *results)
{
    dm_error err = {DM_OK, ""};
    dm_pool *pool = dm_pool_simulated_new(&w->setup, &w->sim, &w->stats, &err);
    cr_assert_not_null(pool, "%s", err.text);
    dm_work work = dm_work_of(dm_candidate_seal(dm_candidate_new(w->arena, w->program)));
    const dm_result *r;
    cr_assert_eq(dm_pool_wait(pool, dm_pool_evaluate(pool, &work, w->val), &r, &err), DM_OK, "%s",
                 err.text);
    size_t failed = 0;
    dm_sha256 s;
    dm_sha256_init(&s);
    for (size_t i = 0; i < w->val->n; i++) {
        dm_hash row = dm_json_hash(w->val->examples[i].row);
        bool poisoned = dm_draw_double(w->sim.seed, 0x55, dm_hash_u64(&row)) < w->sim.poison;
        cr_expect_eq(r[i].fault, poisoned ? DM_FAULT_SERVER : DM_FAULT_NONE,
                     "row %zu at %d ranks: %s", i, w->sim.ranks, dm_fault_name(r[i].fault));
        cr_expect(r[i].present);
        failed += r[i].fault != DM_FAULT_NONE;
        dm_sha256_add(&s, &r[i].score, sizeof r[i].score);
    }
    *results = dm_sha256_end(&s);
    dm_pool_free(pool);
    return failed;
}

typedef struct denials {
    size_t calls, after; /* from that call on everything is denied */
} denials;

/* A firewall in front of the server takes offence at every fourth question. */
static void denying_rule(void *user, const dm_work *work, const dm_value *row, dm_arena *a,
                         dm_run_result *out)
{
    denials *d = user;
    int64_t n = strtoll(dm_value_get(row, "question")->text.p + 1, NULL, 10);
    golden_rule(NULL, work, row, a, out);
    if (d->calls++ >= d->after || (n % 4 == 3 && n != 103))
        *out = (dm_run_result){.fault = DM_FAULT_DENIED, .score = NAN, .error = "blocked"};
}

/* A 403 to one request, of a server that answers others, is that request's, whoever asked when; one
 * to all, from the start or from some time on, is the endpoint's, and no score. */
Test(simulated, denied_by_a_firewall_or_by_a_key)
{
    static const int ranks[] = {1, 2, 5, 16};
    for (size_t i = 0; i < 4; i++) {
        for (size_t after = 0; after < 3; after++) {
            world w = world_new(ONE_PREDICTOR);
            dm_error err = {DM_OK, ""};
            denials d = {.after = after == 0 ? SIZE_MAX : after == 1 ? 30 : 0};
            w.sim.ranks = ranks[i];
            w.sim.survivors = ranks[i];
            w.sim.run = denying_rule;
            w.sim.user = &d;
            w.setup.sets[1] = w.val = questions(w.arena, 100, 80);
            dm_pool *pool = dm_pool_simulated_new(&w.setup, &w.sim, &w.stats, &err);
            dm_work work = dm_work_of(dm_candidate_seal(dm_candidate_new(w.arena, w.program)));
            const dm_result *r = NULL;
            dm_status st = dm_pool_wait(pool, dm_pool_evaluate(pool, &work, w.val), &r, &err);
            cr_expect_eq(st, after ? DM_E_MODEL : DM_OK, "%d ranks: %s", ranks[i], err.text);
            for (size_t k = 0; st == DM_OK && k < w.val->n; k++) {
                bool wanted = k % 4 == 3 && k != 3;
                cr_expect(r[k].refused == wanted && r[k].present == !wanted &&
                              strcmp(dm_fault_name(r[k].fault), wanted ? "refused" : "none") == 0,
                          "row %zu at %d ranks: %s", k, ranks[i], dm_fault_name(r[k].fault));
            }
            if (after) {
                cr_expect(strstr(err.text, "HTTP 403: blocked"), "%s", err.text);
                cr_expect(strstr(err.text, "check the key"), "%s", err.text);
            }
            if (after == 2)
                cr_expect_eq(w.stats.calls, 1, "a wrong key costs %zu calls", w.stats.calls);
            if (after == 0) /* each twice, and hardly anything to find out */
                cr_expect_leq(w.stats.calls, 80 + 2 * 19 + 10, "%zu calls", w.stats.calls);
            dm_pool_free(pool);
            dm_arena_free(w.arena);
        }
    }
}

/* A rank that cannot begin ends the run: here its metric finds a row without a label, of whichever
 * set. The virtual hour is what a wait without end would take. */
Test(simulated, a_rank_that_cannot_begin)
{
    for (int ranks = 1; ranks <= 16; ranks *= 4)
        for (int set = 0; set < 3; set++) {
            world w = world_new(ONE_PREDICTOR);
            dm_error err = {DM_OK, ""};
            const dm_result *r;
            w.sim.ranks = ranks;
            w.sim.limit = 3600;
            dm_dataset *bare = questions(w.arena, 500, 3);
            dm_value *row = dm_value_dict(w.arena);
            dm_value_set(w.arena, row, DM_STR("question"), dm_value_text(w.arena, "q501"));
            bare->examples[1].row = row;
            w.setup.sets[set] = bare;
            dm_pool *pool = dm_pool_simulated_new(&w.setup, &w.sim, &w.stats, &err);
            dm_work work = dm_work_of(dm_candidate_seal(dm_candidate_new(w.arena, w.program)));
            dm_status st = dm_pool_wait(pool, dm_pool_evaluate(pool, &work, w.val), &r, &err);
            cr_expect_eq(st, DM_E_DATA, "set %d at %d ranks: %d", set, ranks, st);
            cr_expect(strstr(err.text, "example 2 has no column \"answer\""), "%s", err.text);
            cr_expect_eq(w.stats.calls, 0);
            dm_pool_free(pool);
            dm_arena_free(w.arena);
        }
}

/* ODD_ROWS: how many rows. At a server that spoils a quarter of its replies none is lost. */
Test(simulated, none_is_lost_to_chance)
{
    const char *many = getenv("ODD_ROWS");
    world w = world_new(ONE_PREDICTOR);
    dm_hash h;
    w.setup.sets[1] = w.val = questions(w.arena, 100, many ? (int)strtol(many, NULL, 10) : 60000);
    w.sim.odd = 0.25;
    w.sim.ranks = 20;
    cr_expect_eq(evaluate(&w, &h), 0);
    dm_arena_free(w.arena);
}

/* Rows that are never answered fail, and no others, whatever the rank count, and cost a few
 * requests each: four goes of three at a bad server, or five where few rows are left over, since
 * the replies that come last are those of calls that had to pause, and make it look worse. */
Test(simulated, rows_that_are_never_answered)
{
    static const struct {
        double odd, poison;
        size_t most; /* requests a row, on average */
    } rows[] = {{0, 0.02, 6}, {0, 0.5, 6}, {0.25, 0.02, 15}, {0.25, 0.5, 13}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_hash first = {{0}}, h;
        for (int ranks = 1; ranks <= 256; ranks *= 4) {
            world w = world_new(ONE_PREDICTOR);
            w.setup.sets[1] = w.val = questions(w.arena, 100, 1000);
            w.sim.odd = rows[i].odd;
            w.sim.poison = rows[i].poison;
            w.sim.ranks = ranks;
            size_t failed = evaluate(&w, &h);
            first = ranks == 1 ? h : first;
            cr_expect(failed > 0 && dm_hash_eq(&h, &first), "%d ranks", ranks);
            cr_expect_leq(w.stats.poisoned, failed * rows[i].most,
                          "%zu requests for %zu rows, %d ranks", w.stats.poisoned, failed, ranks);
            dm_arena_free(w.arena);
        }
    }
}

/* Down when a run is resumed is an outage, and waited for; down from the first is a wrong address,
 * also where a journal has answers of another model. */
static void down_rule(void *user, const dm_work *work, const dm_value *row, dm_arena *a,
                      dm_run_result *out)
{
    golden_rule(NULL, work, row, a, out);
    if (*(const bool *)user) {
        out->fault = DM_FAULT_TRANSPORT;
        out->error = "connection refused";
    }
}

Test(simulated, a_server_that_is_down_when_a_run_is_resumed)
{
    char path[64];
    snprintf(path, sizeof path, "/tmp/dm-down.%ld", (long)getpid());
    for (int ranks = 1; ranks <= 16; ranks *= 4)
        for (int kind = 0; kind < 3; kind++) { /* fresh, resumed, resumed with another model */
            unlink(path);
            for (int attempt = kind ? 0 : 1; attempt < 2; attempt++) {
                world w = world_new(ONE_PREDICTOR);
                const dm_result *r;
                dm_error err = {DM_OK, ""};
                bool down = attempt == 1;
                w.sim.ranks = w.sim.survivors = ranks;
                dm_value *lm = (dm_value *)(uintptr_t)w.setup.lm[0];
                dm_value_set(w.arena, lm, DM_STR("outage"), dm_value_int(w.arena, 120));
                if (kind == 2 && down)
                    dm_value_set(w.arena, lm, DM_STR("model"),
                                 dm_value_text(w.arena, "hosted_vllm/another"));
                w.sim.run = down_rule;
                w.sim.user = &down;
                w.setup.replay = dm_replay_of_file(path);
                w.setup.journal = dm_journal_open(path, DM_FSYNC_1S, dm_value_dict(w.arena), NULL,
                                                  dm_replay_visit, w.setup.replay, &err);
                dm_pool *p = dm_pool_simulated_new(&w.setup, &w.sim, &w.stats, &err);
                dm_work work = dm_work_of(dm_candidate_seal(dm_candidate_new(w.arena, w.program)));
                const dm_example *all[8];
                size_t n = attempt ? 8 : 4;
                for (size_t i = 0; i < n; i++)
                    all[i] = &w.val->examples[i];
                dm_status st = dm_pool_wait(p, dm_pool_submit(p, &work, all, n), &r, &err);
                dm_status right = !down ? DM_OK : kind == 1 ? DM_STOP_OUTAGE : DM_E_MODEL;
                cr_expect_eq(st, right, "kind %d, attempt %d at %d ranks: %d: %s", kind, attempt,
                             ranks, st, err.text);
                cr_expect(!down || w.stats.seconds < 400, "kind %d: %g s", kind, w.stats.seconds);
                dm_pool_free(p);
                (void)dm_journal_close(w.setup.journal, NULL);
                dm_replay_free(w.setup.replay);
                dm_arena_free(w.arena);
            }
        }
    unlink(path);
}
