/* Equal requests of a run are made once, whoever asks: at any number of ranks, under caps, over
 * kills; what they cost is charged by what an account's own work used; what failed is the
 * request's, whoever made it. */
#include "optimizer/mipro.h"
#include "pool/inside.h"
#include "world.h"

#include "base/random.h"

#include <criterion/criterion.h>
#include <unistd.h>

typedef struct outcome {
    dm_hash program, asked; /* the latter of the set of calls */
    dm_status status;
    double calls, told; /* at the servers, by the last line */
    size_t different, runs, repeated;
    bool died;
} outcome;

typedef union params {
    dm_params base;
    dm_random_search_params search;
    dm_mipro_params mipro;
} params;

static params params_of(const dm_optimizer *class)
{
    params p;
    dm_params_init(&p.base, class);
    if (class == &dm_optimizer_random_search)
        p.search.num_candidate_programs = 4;
    else
        p.mipro.auto_mode = DM_AUTO_LIGHT;
    return p;
}

/* Two steps at temperature 0. */
static world world_of(int ranks, dm_amount *cap)
{
    world w = world_new(TWO_PREDICTORS);
    dm_value *lm = (dm_value *)(uintptr_t)w.setup.lm[0];
    dm_value_set(w.arena, lm, DM_STR("temperature"), dm_value_int(w.arena, 0));
    w.val = questions(w.arena, 100, 40);
    w.setup.sets[1] = w.val;
    w.sim.run = golden_rule_and_proposals;
    w.sim.ranks = ranks;
    w.sim.seed = 3 + (uint64_t)ranks;
    w.setup.cap = cap;
    return w;
}

static outcome compile(world *w, const dm_optimizer *class)
{
    dm_error err = {DM_OK, ""};
    params p = params_of(class);
    dm_compile_output out;
    w->sim.user = w;
    dm_pool *pool = dm_pool_simulated_new(&w->setup, &w->sim, &w->stats, &err);
    cr_assert_not_null(pool, "%s", err.text);
    dm_compile_input in = {.params = &p.base,
                           .student = dm_candidate_seal(dm_candidate_new(w->arena, w->program)),
                           .trainset = w->train,
                           .valset = w->val};
    outcome o = {.status = dm_compile(pool, &in, &out, &err)};
    if (o.status >= 0)
        o.program = out.best->hash;
    for (size_t i = 0; i < pool->n_cells; i++)
        o.runs += pool->cells[i]->phase == DM_CELL_DONE;
    o.told = (double)dm_pool_stats_of(pool).usage.requests;
    dm_pool_free(pool);
    o.calls = (double)w->stats.calls;
    o.asked = w->stats.asked;
    o.different = w->stats.different;
    o.repeated = w->stats.repeated;
    o.died = w->stats.died;
    return o;
}

static outcome compile_at(const dm_optimizer *class, int ranks, dm_amount *cap)
{
    world w = world_of(ranks, cap);
    outcome o = compile(&w, class);
    cr_expect_geq(o.status, 0);
    dm_arena_free(w.arena);
    return o;
}

static const dm_optimizer *const classes[] = {&dm_optimizer_random_search, &dm_optimizer_mipro_v2};

Test(once, requests_are_the_different_ones_at_any_number_of_ranks, .timeout = 200)
{
    for (size_t k = 0; k < 2; k++) {
        const char *name = classes[k]->name;
        outcome first = compile_at(classes[k], 1, NULL);
        cr_expect_eq(first.calls, (double)first.different, "%s: %g calls, %zu different", name,
                     first.calls, first.different);
        cr_expect(k == 0 || first.calls < .8 * 2 * (double)first.runs, "%s: %g calls of %zu runs",
                  name, first.calls, first.runs);
        for (int ranks = 4; ranks <= 64; ranks *= 4) {
            outcome o = compile_at(classes[k], ranks, NULL);
            cr_expect(dm_hash_eq(&o.program, &first.program), "%s, %d ranks: another program", name,
                      ranks);
            cr_expect(o.calls == first.calls && o.told == first.calls && o.runs == first.runs &&
                          dm_hash_eq(&o.asked, &first.asked),
                      "%s, %d ranks: %g calls, %g told", name, ranks, o.calls, o.told);
        }
        for (int part = 1; part <= 10; part++) {
            dm_amount cap = DM_NO_CAP;
            cap.calls = floor(first.calls * (part / 11. + .03));
            outcome one = compile_at(classes[k], 1, &cap);
            cr_expect_leq(one.calls, cap.calls);
            cr_expect(one.status != DM_STOP_BUDGET || one.calls > cap.calls - 4,
                      "%s: %g of %g are used", name, one.calls, cap.calls);
            for (int ranks = 4; ranks <= 16; ranks *= 4) {
                outcome o = compile_at(classes[k], ranks, &cap);
                cr_expect(o.calls == one.calls && dm_hash_eq(&o.program, &one.program) &&
                              dm_hash_eq(&o.asked, &one.asked),
                          "%s, %d ranks, cap %g: %g calls, %g at one", name, ranks, cap.calls,
                          o.calls, one.calls);
            }
        }
    }
}

static outcome attempt(const dm_optimizer *class, int ranks, uint64_t dies_at, dm_amount *cap)
{
    dm_error err = {DM_OK, ""};
    world w = world_of(ranks, cap);
    w.sim.dies_at = dies_at;
    w.setup.replay = dm_replay_of_file(journal_path("once"));
    w.setup.journal = dm_journal_open(journal_path("once"), DM_FSYNC_1S, dm_value_dict(w.arena),
                                      NULL, dm_replay_visit, w.setup.replay, &err);
    cr_assert_not_null(w.setup.journal, "%s", err.text);
    outcome o = compile(&w, class);
    (void)dm_journal_close(w.setup.journal, NULL);
    if (o.died)
        cr_assert_eq(truncate(journal_path("once"), (off_t)w.stats.journal_bytes), 0);
    dm_replay_free(w.setup.replay);
    dm_arena_free(w.arena);
    return o;
}

/* Killed three times at other numbers of ranks: nothing that was answered and kept is asked again,
 * and the end is the same. */
Test(once, over_three_kills, .timeout = 200)
{
    for (uint64_t round = 0; round < 12; round++) {
        const dm_optimizer *class = classes[round % 2];
        outcome whole = compile_at(class, 1, NULL), o = {.died = true};
        double calls = 0;
        int kills = 0;
        unlink(journal_path("once"));
        for (int n = 0; o.died; n++) {
            uint64_t turn = n < 3 ? 5 + dm_draw(21, round, (uint64_t)n) % 200 : 0;
            o = attempt(class, (int[]){1, 4, 16}[(round + (uint64_t)n) % 3], turn, NULL);
            cr_expect_eq(o.repeated, 0);
            calls += o.calls;
            kills += o.died;
        }
        cr_expect_eq(kills, 3);
        cr_expect(dm_hash_eq(&o.program, &whole.program), "round %d: another program", (int)round);
        cr_expect(calls >= whole.calls && calls <= whole.calls + 3 * 64, "%g calls, %g whole",
                  calls, whole.calls);
        cr_expect_eq(o.told, whole.calls, "the last line counts all that was kept: %g", o.told);
    }
    unlink(journal_path("once"));
}

/* ---- what is asked when many ask the same ---- */

typedef struct server {
    uint64_t seed;
    size_t asked;
    dm_fault fault; /* of the first `fails` requests */
    size_t fails;
} server;

static void one_rule(void *user, const dm_work *work, const dm_value *row, dm_arena *a,
                     dm_run_result *out)
{
    server *s = user;
    golden_rule(NULL, work, row, a, out);
    const char *question = dm_value_get(row, "question")->text.p;
    if (strcmp(question, "q1") != 0)
        return;
    if (s->asked++ < s->fails) {
        out->fault = s->fault;
        out->error = "so says the server";
    }
}

/* Twenty rows with one question between others; each is an example of its own. */
static dm_dataset *alike(dm_arena *a, int n)
{
    dm_value *rows = dm_value_list(a);
    for (int i = 0; i < n; i++) {
        dm_value *row = dm_value_dict(a);
        int number = i % 2 ? 1 : 200 + i;
        dm_value_set(a, row, DM_STR("question"),
                     dm_value_text(a, dm_arena_printf(a, "q%d", number)));
        dm_value_set(a, row, DM_STR("answer"), dm_value_text(a, "yes"));
        dm_value_set(a, row, DM_STR("id"), dm_value_int(a, i));
        dm_value_append(a, rows, row);
    }
    return dm_dataset_of(a, "alike", rows);
}

typedef struct asked_for {
    size_t absent, failed, right, lost;
    dm_status status;
    double calls;
} asked_for;

static asked_for ask_alike(server *s, int ranks, double death, const char *key,
                           const dm_value *value)
{
    world w = world_new(ONE_PREDICTOR);
    const dm_result *r;
    dm_error err = {DM_OK, ""};
    asked_for o = {0};
    dm_value *lm = (dm_value *)(uintptr_t)w.setup.lm[0];
    if (key)
        dm_value_set(w.arena, lm, dm_str_of(key), value);
    dm_value_set(w.arena, lm, DM_STR("outage"), dm_value_int(w.arena, 120));
    dm_value_set(w.arena, lm, DM_STR("num_retries"), dm_value_int(w.arena, 0));
    w.val = alike(w.arena, 40);
    w.setup.sets[1] = w.val;
    w.sim.run = one_rule;
    w.sim.user = s;
    w.sim.ranks = ranks;
    w.sim.death = death;
    w.sim.hang = w.sim.slow = death / 2;
    w.sim.seed = s->seed;
    dm_pool *p = dm_pool_simulated_new(&w.setup, &w.sim, &w.stats, &err);
    cr_assert_not_null(p, "%s", err.text);
    dm_work work = dm_work_of(dm_candidate_seal(dm_candidate_new(w.arena, w.program)));
    o.status = dm_pool_wait(p, dm_pool_evaluate(p, &work, w.val), &r, &err);
    cr_assert_eq(o.status, DM_OK, "%d %s", o.status, err.text);
    for (size_t i = 0; i < w.val->n; i++) {
        o.absent += !r[i].present;
        o.failed += r[i].fault != DM_FAULT_NONE;
        o.right += r[i].present && r[i].score == 1;
        if (r[i].fault != DM_FAULT_NONE)
            cr_expect(i % 2 == 1 && strstr(r[i].error, "so says the server"), "%s", r[i].error);
    }
    o.calls = (double)w.stats.calls;
    o.lost = w.stats.deaths + w.stats.hangs;
    for (size_t i = 0; i < p->n_cells; i++)
        cr_expect(!p->cells[i]->parked);
    cr_expect_eq(p->n_asked, 0);
    dm_pool_free(p);
    dm_arena_free(w.arena);
    return o;
}

Test(once, an_answer_and_a_refusal_are_told_to_all_who_ask)
{
    for (int ranks = 1; ranks <= 16; ranks *= 4) {
        server good = {1, 0, DM_FAULT_NONE, 0}, bad = {1, 0, DM_FAULT_OVERFLOW, SIZE_MAX};
        asked_for o = ask_alike(&good, ranks, 0, NULL, NULL);
        cr_expect(o.calls == 21 && good.asked == 1 && o.failed == 0, "%g calls", o.calls);
        o = ask_alike(&bad, ranks, 0, NULL, NULL);
        cr_expect(o.calls == 21 && bad.asked == 1 && o.failed == 20,
                  "%d ranks: %g calls, %zu failed", ranks, o.calls, o.failed);
    }
}

/* What gets lost on the way a few times is asked for as often as if one alone had asked, and then
 * all have it. */
Test(once, tries_belong_to_the_request)
{
    for (size_t fails = 1; fails <= 4; fails++)
        for (int ranks = 1; ranks <= 16; ranks *= 4) {
            server s = {1, 0, DM_FAULT_TRANSPORT, fails};
            asked_for o = ask_alike(&s, ranks, 0, NULL, NULL);
            cr_expect(s.asked == fails + 1 && o.failed == 0,
                      "%d ranks: it was asked for %zu times, %zu failed", ranks, s.asked, o.failed);
        }
}

/* A request whose replies are no answers is made as often as if one alone had asked, and then its
 * failure is that of all who ask, in the server's words. */
Test(once, a_doubt_belongs_to_the_request)
{
    for (int ranks = 1; ranks <= 16; ranks *= 4) {
        server s = {1, 0, DM_FAULT_SERVER, SIZE_MAX};
        asked_for o = ask_alike(&s, ranks, 0, NULL, NULL);
        cr_expect(o.failed == 20 && o.absent == 0 && o.right + o.failed <= 40,
                  "%d ranks: %zu failed", ranks, o.failed);
        cr_expect(s.asked >= 2 && s.asked <= 12, "%d ranks: in %zu goes", ranks, s.asked);
    }
}

/* A model that answers nothing is given up after as many requests as ever, where one example asks
 * and where many do. */
Test(once, a_model_that_answers_nothing)
{
    for (int ranks = 1; ranks <= 16; ranks *= 4)
        for (size_t n = 1; n <= 40; n += 39) {
            world w = world_of(ranks, NULL);
            const dm_example *all[40];
            const dm_result *r;
            dm_error err = {DM_OK, ""};
            for (size_t i = 0; i < n; i++)
                all[i] = &w.val->examples[i];
            w.sim.poison = 1;
            w.sim.limit = 10000;
            w.sim.user = &w;
            dm_pool *p = dm_pool_simulated_new(&w.setup, &w.sim, &w.stats, &err);
            dm_work work = dm_work_of(dm_candidate_seal(dm_candidate_new(w.arena, w.program)));
            dm_status st = dm_pool_wait(p, dm_pool_submit(p, &work, all, n), &r, &err);
            cr_expect(st == DM_E_MODEL && w.stats.calls <= 16 && w.stats.seconds < 1000,
                      "%zu at %d ranks: %d: %s after %zu calls", n, ranks, st, err.text,
                      w.stats.calls);
            dm_pool_free(p);
            dm_arena_free(w.arena);
        }
}

/* What stood against a request stands on resume too, also for the first one that asks. */
Test(once, a_failure_is_resumed)
{
    double calls[2];
    unlink(journal_path("once"));
    for (int attempt = 0; attempt < 2; attempt++) {
        world w = world_new(ONE_PREDICTOR);
        const dm_result *r;
        dm_error err = {DM_OK, ""};
        server s = {1, 0, DM_FAULT_SERVER, SIZE_MAX};
        dm_dataset *rows = alike(w.arena, 40);
        const dm_example *all[40];
        for (size_t i = 0; i < 40; i++) /* what fails goes first on resume */
            all[i] = &rows->examples[attempt ? 39 - i : i];
        w.sim.run = one_rule;
        w.sim.user = &s;
        w.sim.limit = 100000;
        w.setup.replay = dm_replay_of_file(journal_path("once"));
        w.setup.journal = dm_journal_open(journal_path("once"), DM_FSYNC_1S, dm_value_dict(w.arena),
                                          NULL, dm_replay_visit, w.setup.replay, &err);
        dm_pool *p = dm_pool_simulated_new(&w.setup, &w.sim, &w.stats, &err);
        dm_work work = dm_work_of(dm_candidate_seal(dm_candidate_new(w.arena, w.program)));
        work.trace = attempt == 1; /* other work that asks the same */
        cr_assert_eq(dm_pool_wait(p, dm_pool_submit(p, &work, all, 40), &r, &err), DM_OK, "%s",
                     err.text);
        size_t failed = 0;
        for (size_t i = 0; i < 40; i++)
            failed += r[i].fault == DM_FAULT_SERVER;
        cr_expect_eq(failed, 20, "attempt %d: %zu failed", attempt, failed);
        calls[attempt] = (double)w.stats.calls;
        dm_pool_free(p);
        (void)dm_journal_close(w.setup.journal, NULL);
        dm_replay_free(w.setup.replay);
        dm_arena_free(w.arena);
    }
    cr_expect(calls[0] > 20 && calls[1] == 0, "%g calls, %g on resume", calls[0], calls[1]);
    unlink(journal_path("once"));
}

/* Whoever makes the request may be lost: the next one makes it. */
Test(once, the_one_that_asks_may_be_lost)
{
    size_t lost = 0, again = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        server s = {seed, 0, DM_FAULT_NONE, 0};
        asked_for o = ask_alike(&s, 16, .3, NULL, NULL);
        cr_expect(o.failed == 0 && o.absent == 0, "seed %d: %zu failed", (int)seed, o.failed);
        lost += o.lost;
        again += s.asked - 1;
    }
    cr_expect(lost > 100 && again > 5 && again < 60, "%zu lost, asked again %zu times", lost,
              again);
}

/* A model whose answers are not to be shared is asked each time. */
Test(once, not_where_the_model_says_so)
{
    dm_arena *a = dm_arena_new(0);
    server s = {1, 0, DM_FAULT_NONE, 0};
    asked_for o = ask_alike(&s, 4, 0, "cache", dm_value_bool(a, false));
    cr_expect(s.asked == 20 && o.calls == 40, "%zu times", s.asked);
    dm_arena_free(a);
}

/* ---- a format that is refused in mid-run ---- */

#define BOTH_FORMATS (DM_FORMAT_BIT(DM_FORMAT_SCHEMA) | DM_FORMAT_BIT(DM_FORMAT_JSON_OBJECT))

/* Of one question the answer does not parse, and JSON mode is refused for it, though the first
 * row's is taken. */
static void format_rule(void *user, const dm_work *work, const dm_value *row, dm_arena *a,
                        dm_run_result *out)
{
    golden_rule(user, work, row, a, out);
    if (strcmp(dm_value_get(row, "question")->text.p, "q1") != 0)
        return;
    out->usage.requests = 2;
    out->formats = BOTH_FORMATS;
}

typedef struct refused_formats {
    double calls, told;
    size_t parse, right, repeated;
    dm_status status;
} refused_formats;

static refused_formats refuse_formats(int ranks, dm_amount *cap, uint64_t dies_at, bool journaled)
{
    world w = world_new(ONE_PREDICTOR);
    const dm_result *r = NULL;
    dm_error err = {DM_OK, ""};
    refused_formats o = {0};
    dm_value *lm = (dm_value *)(uintptr_t)w.setup.lm[0];
    dm_value_set(w.arena, lm, DM_STR("model"), dm_value_text(w.arena, "openai/gpt-4o-mini"));
    dm_value_set(w.arena, lm, DM_STR("api_base"), dm_value_text(w.arena, "http://host/v1"));
    dm_value_set(w.arena, lm, DM_STR("num_retries"), dm_value_int(w.arena, 0));
    w.val = alike(w.arena, 40);
    w.setup.sets[1] = w.val;
    w.setup.cap = cap;
    w.sim.run = format_rule;
    w.sim.ranks = ranks;
    w.sim.dies_at = dies_at;
    if (journaled) {
        w.setup.replay = dm_replay_of_file(journal_path("once"));
        w.setup.journal = dm_journal_open(journal_path("once"), DM_FSYNC_1S, dm_value_dict(w.arena),
                                          NULL, dm_replay_visit, w.setup.replay, &err);
    }
    dm_pool *p = dm_pool_simulated_new(&w.setup, &w.sim, &w.stats, &err);
    cr_assert_not_null(p, "%s", err.text);
    dm_work work = dm_work_of(dm_candidate_seal(dm_candidate_new(w.arena, w.program)));
    o.status = dm_pool_wait(p, dm_pool_evaluate(p, &work, w.val), &r, &err);
    for (size_t i = 0; i < w.val->n && o.status == DM_OK; i++) {
        o.parse += r[i].fault == DM_FAULT_PARSE;
        o.right += r[i].present && r[i].score == 1;
        cr_expect(r[i].fault == DM_FAULT_NONE || !strstr(r[i].error, "simulated refusal"),
                  "the answer stays what it was: %s", r[i].error);
    }
    o.calls = (double)w.stats.calls;
    o.told = (double)dm_pool_stats_of(p).usage.requests;
    o.repeated = w.stats.repeated;
    if (!w.stats.died)
        cr_expect_eq(p->n_asked, 0);
    dm_pool_free(p);
    if (journaled) {
        (void)dm_journal_close(w.setup.journal, NULL);
        if (w.stats.died)
            cr_assert_eq(truncate(journal_path("once"), (off_t)w.stats.journal_bytes), 0);
        dm_replay_free(w.setup.replay);
    }
    dm_arena_free(w.arena);
    return o;
}

/* 20 other questions and the first one's in JSON mode; of this one the answer, and a refusal of
 * each format, whoever asks. */
#define FORMAT_CALLS (20 + 1 + 3)

Test(once, a_format_that_is_refused_is_refused_to_all_who_wait)
{
    for (int ranks = 1; ranks <= 16; ranks *= 4) {
        refused_formats o = refuse_formats(ranks, NULL, 0, false);
        cr_expect(o.status == DM_OK && o.parse == 20 && o.calls == FORMAT_CALLS &&
                      o.told == FORMAT_CALLS,
                  "%d ranks: %d, %zu do not parse, %g calls, %g told", ranks, o.status, o.parse,
                  o.calls, o.told);
    }
}

Test(once, a_format_that_is_refused_under_caps)
{
    for (int calls = 4; calls <= 64; calls += 6) {
        dm_amount cap = DM_NO_CAP;
        cap.calls = calls;
        refused_formats one = refuse_formats(1, &cap, 0, false);
        cr_expect_leq(one.calls, calls);
        cr_expect(one.status == DM_STOP_BUDGET ||
                      (one.status == DM_OK && one.calls == FORMAT_CALLS && one.parse == 20),
                  "cap %d: %d, %g calls, %zu", calls, one.status, one.calls, one.parse);
        cr_expect(calls < FORMAT_CALLS || one.status == DM_OK, "cap %d is enough", calls);
        for (int ranks = 4; ranks <= 16; ranks *= 4) {
            refused_formats o = refuse_formats(ranks, &cap, 0, false);
            cr_expect(o.status == one.status && o.calls == one.calls && o.parse == one.parse,
                      "cap %d at %d ranks: %d, %g calls, %g at one", calls, ranks, o.status,
                      o.calls, one.calls);
        }
    }
}

Test(once, a_format_that_is_refused_is_resumed)
{
    for (uint64_t turn = 2; turn < 60; turn += 3) {
        double calls = 0;
        unlink(journal_path("once"));
        refused_formats o = refuse_formats(4, NULL, turn, true);
        calls += o.calls;
        o = refuse_formats(turn % 2 ? 1 : 16, NULL, 0, true);
        calls += o.calls;
        cr_expect(o.status == DM_OK && o.parse == 20 && o.repeated == 0,
                  "killed at %d: %d, %zu do not parse, %zu again", (int)turn, o.status, o.parse,
                  o.repeated);
        cr_expect(calls >= FORMAT_CALLS && calls <= FORMAT_CALLS + 24 + 6, "killed at %d: %g calls",
                  (int)turn, calls);
        o = refuse_formats(4, NULL, 0, true);
        cr_expect(o.calls == 0 && o.parse == 20, "%g calls of a finished one", o.calls);
    }
    unlink(journal_path("once"));
}

/* A server that says 403 to everything is to blame, also where the first thing that it refuses asks
 * for a format and may be refused for that. */
static void denying_rule(void *user, const dm_work *work, const dm_value *row, dm_arena *a,
                         dm_run_result *out)
{
    golden_rule(user, work, row, a, out);
    out->fault = DM_FAULT_DENIED;
    out->error = "who are you";
}

Test(once, a_403_to_the_first_format_of_all_is_no_answer)
{
    for (int ranks = 1; ranks <= 16; ranks *= 4) {
        world w = world_new(ONE_PREDICTOR);
        const dm_result *r;
        dm_error err = {DM_OK, ""};
        dm_value *lm = (dm_value *)(uintptr_t)w.setup.lm[0];
        dm_value_set(w.arena, lm, DM_STR("model"), dm_value_text(w.arena, "openai/gpt-4o-mini"));
        dm_value_set(w.arena, lm, DM_STR("api_base"), dm_value_text(w.arena, "http://host/v1"));
        w.setup.adapter = DM_JSON;
        w.sim.run = denying_rule;
        w.sim.ranks = ranks;
        dm_pool *p = dm_pool_simulated_new(&w.setup, &w.sim, &w.stats, &err);
        cr_assert_not_null(p, "%s", err.text);
        dm_work work = dm_work_of(dm_candidate_seal(dm_candidate_new(w.arena, w.program)));
        dm_status st = dm_pool_wait(p, dm_pool_evaluate(p, &work, w.val), &r, &err);
        cr_expect(st == DM_E_MODEL && w.stats.calls == 3 && strstr(err.text, "who are you"),
                  "%d ranks: %d, %zu calls, %s", ranks, st, w.stats.calls, err.text);
        dm_pool_free(p);
        dm_arena_free(w.arena);
    }
}

/* ---- demonstrations that are never sent ---- */

Test(once, a_demonstration_that_is_never_sent_makes_no_other_candidate)
{
    world w = world_new(TWO_PREDICTORS);
    const dm_result *r;
    dm_error err = {DM_OK, ""};
    dm_candidate *plain = dm_candidate_new(w.arena, w.program), *shown, *silent;
    const dm_value **demos = dm_arena_alloc_n(w.arena, 1, sizeof *demos);
    dm_value *bare = dm_value_dict(w.arena);
    dm_value_set(w.arena, bare, DM_STR("question"), dm_value_text(w.arena, "q7"));
    demos[0] = bare;
    silent = dm_candidate_copy(w.arena, plain);
    silent->parts[1].demos = demos;
    silent->parts[1].n_demos = 1;
    shown = dm_candidate_copy(w.arena, plain);
    shown->parts[1].demos = &w.train->examples[0].row;
    shown->parts[1].n_demos = 1;
    dm_candidate_seal(plain);
    dm_candidate_seal(silent);
    dm_candidate_seal(shown);
    cr_expect(!dm_hash_eq(&plain->hash, &silent->hash), "as a file it is another one");
    cr_expect(dm_hash_eq(&plain->sent, &silent->sent) && !dm_hash_eq(&plain->sent, &shown->sent));
    dm_pool *p = dm_pool_simulated_new(&w.setup, &w.sim, &w.stats, &err);
    const dm_candidate *all[] = {plain, silent, shown};
    static const size_t cells[] = {30, 30, 60};
    for (size_t i = 0; i < 3; i++) {
        dm_work work = dm_work_of(all[i]);
        cr_assert_eq(dm_pool_wait(p, dm_pool_evaluate(p, &work, w.val), &r, &err), DM_OK);
        cr_expect_eq(p->n_cells, cells[i], "candidate %zu: %zu cells", i, p->n_cells);
    }
    dm_pool_free(p);
    dm_arena_free(w.arena);
}

#define A_QUERY_FIRST                                                                              \
    "{\"steps\": [{\"name\": \"query\", \"predict\": \"question -> query\"},"                      \
    " {\"name\": \"answer\", \"predict\": \"question, query -> answer\"}]}"

/* The first step's output is no column of the data, so labelled demonstrations are not sent there.
 */
static void query_rule(void *user, const dm_work *work, const dm_value *row, dm_arena *a,
                       dm_run_result *out)
{
    golden_rule_and_proposals(user, work, row, a, out);
    if (work->candidate->program != ((const world *)user)->program)
        return;
    for (size_t i = 0; i < out->n_steps; i++)
        dm_value_set(a, (dm_value *)(uintptr_t)out->steps[i].outputs, DM_STR("query"),
                     dm_value_get(row, "question"));
}

Test(once, a_search_has_no_two_candidates_that_are_sent_alike)
{
    for (dm_mipro_search method = 0; method <= DM_MIPRO_HALVING; method++) {
        if (method != DM_MIPRO_FACTOR && method != DM_MIPRO_HALVING)
            continue;
        world w = world_new(A_QUERY_FIRST);
        dm_error err = {DM_OK, ""};
        params p = params_of(&dm_optimizer_mipro_v2);
        dm_compile_output out;
        size_t alike = 0;
        p.mipro.search = method;
        w.val = questions(w.arena, 100, 40);
        w.setup.sets[1] = w.val;
        w.sim.run = query_rule;
        w.sim.user = &w;
        dm_pool *pool = dm_pool_simulated_new(&w.setup, &w.sim, &w.stats, &err);
        dm_compile_input in = {.params = &p.base,
                               .student = dm_candidate_seal(dm_candidate_new(w.arena, w.program)),
                               .trainset = w.train,
                               .valset = w.val};
        cr_assert_eq(dm_compile(pool, &in, &out, &err), DM_OK, "%s", err.text);
        cr_expect_gt(out.n_scored, 5);
        for (size_t i = 0; i < out.n_scored; i++)
            for (size_t k = 0; k < i; k++)
                alike += dm_hash_eq(&out.scored[i].candidate->sent, &out.scored[k].candidate->sent);
        cr_expect_eq(alike, 0, "search %d: %zu pairs of %zu candidates", (int)method, alike,
                     out.n_scored);
        dm_pool_free(pool);
        dm_arena_free(w.arena);
    }
}

/* ---- places, by the simulation's clock ---- */

/* Virtual seconds of an evaluation of 4,000 examples on eight ranks, with 64 places. */
static double evaluation(double latency)
{
    dm_error err = {DM_OK, ""};
    world w = world_new(ONE_PREDICTOR);
    dm_value *lm = dm_value_dict(w.arena);
    const dm_result *r;
    dm_value_set(w.arena, lm, DM_STR("model"), dm_value_text(w.arena, "ollama_chat/x"));
    dm_value_set(w.arena, lm, DM_STR("concurrency"), dm_value_int(w.arena, 64));
    for (int i = 0; i < DM_ROLES; i++)
        w.setup.lm[i] = lm;
    w.setup.sets[1] = w.val = questions(w.arena, 100, 4000);
    w.sim.ranks = 8;
    w.sim.latency = latency;
    w.sim.steady = true;
    dm_pool *pool = dm_pool_simulated_new(&w.setup, &w.sim, &w.stats, &err);
    cr_assert_not_null(pool, "%s", err.text);
    dm_work work = dm_work_of(dm_candidate_seal(dm_candidate_new(w.arena, w.program)));
    cr_assert_eq(dm_pool_wait(pool, dm_pool_evaluate(pool, &work, w.val), &r, &err), DM_OK, "%s",
                 err.text);
    dm_pool_free(pool);
    dm_arena_free(w.arena);
    return w.stats.seconds;
}

/* Calls of 4 ms, beside which messages of 1 ms are long, and of 100 ms, beside which they are
 * nothing: a question to rank 0 travels while the places have other work. */
Test(once, no_place_is_empty_while_a_question_travels)
{
    double little = evaluation(.004), much = evaluation(.1);
    cr_expect_leq(25 * little, 1.095 * much, "%.4f s, and %.4f s", 25 * little, much);
}

/* ---- memory ---- */

Test(once, a_key_costs_about_a_hundred_bytes)
{
    cr_expect_leq(sizeof(dm_key), (size_t)64);
}
