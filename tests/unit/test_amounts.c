/* Amounts and times of the pool, on the simulated cluster: how often an example goes out, what a
 * share, a cap and a crash leave, what makes two works one, when the disk is synced, where a search
 * stops. */
#include "by_hand.h"
#include "world.h"

#include "optimizer/inside.h"
#include "pool/inside.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static dm_pool *open_pool(world *w)
{
    dm_error err = {DM_OK, ""};
    dm_pool *p = dm_pool_simulated_new(&w->setup, &w->sim, &w->stats, &err);
    cr_assert_not_null(p, "%s", err.text);
    return p;
}

static void set_lm(world *w, const char *key, dm_value *v)
{
    dm_value_set(w->arena, (dm_value *)(uintptr_t)w->setup.lm[0], dm_str_of(key), v);
}

static const dm_candidate *student(const world *w)
{
    return dm_candidate_seal(dm_candidate_new(w->arena, w->program));
}

/* ---- how often an example goes out ---- */

typedef struct unlucky {
    const char *question;
    size_t runs;
} unlucky;

/* One question never gets through; the others go on answering. */
static void one_never_gets_through(void *user, const dm_work *work, const dm_value *row,
                                   dm_arena *a, dm_run_result *out)
{
    unlucky *u = user;
    golden_rule(NULL, work, row, a, out);
    if (strcmp(dm_value_get(row, "question")->text.p, u->question) != 0)
        return;
    u->runs++;
    out->fault = DM_FAULT_TRANSPORT;
    out->error = "on the way";
}

/* At least six times, and until the outage has passed since it first failed: after 1, 2, 4, 8, 16
 * and then always 30 s. Then it is absent, and the run goes on. */
Test(amounts, how_often_an_example_goes_out)
{
    static const struct {
        int outage;
        size_t times;
    } row[] = {{10, 6}, {29, 6}, {50, 7}, {120, 9}, {150, 10}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        world w = world_new(ONE_PREDICTOR);
        unlucky u = {"q3", 0};
        const dm_result *r;
        dm_error err = {DM_OK, ""};
        w.val = questions(w.arena, 100, 600);
        w.sim.ranks = 1;
        w.sim.latency = .8;
        w.sim.run = one_never_gets_through;
        w.sim.user = &u;
        set_lm(&w, "outage", dm_value_int(w.arena, row[i].outage));
        set_lm(&w, "concurrency", dm_value_int(w.arena, 2));
        set_lm(&w, "num_retries", dm_value_int(w.arena, 0)); /* times a rank tries are others' */
        dm_pool *p = open_pool(&w);
        dm_work work = dm_work_of(student(&w)), first = work;
        first.trace = true; /* chains go first, so it does not stand at the end of the queue */
        const dm_example *third = &w.train->examples[3], *one = &w.train->examples[0];
        cr_assert_eq(dm_pool_wait(p, dm_pool_submit(p, &work, &one, 1), &r, &err), DM_OK);
        dm_future *all = dm_pool_evaluate(p, &work, w.val);
        cr_assert_eq(dm_pool_wait(p, dm_pool_submit(p, &first, &third, 1), &r, &err), DM_OK);
        cr_expect(!r[0].present && r[0].fault == DM_FAULT_TRANSPORT);
        cr_expect_eq(u.runs, row[i].times, "outage %d s: it went out %zu times", row[i].outage,
                     u.runs);
        cr_expect_eq(dm_pool_wait(p, all, &r, &err), DM_OK, "%s", err.text);
        dm_pool_free(p);
        dm_arena_free(w.arena);
    }
}

/* ---- what makes two works one ---- */

/* Work that differs in what is done with the answers alone asks nothing anew. */
Test(amounts, equal_work_is_one_and_every_field_makes_another)
{
    static const size_t calls[9] = {1, 2, 3, 3, 3, 3, 4, 5, 5};
    world w = world_new(ONE_PREDICTOR);
    dm_value *other = dm_value_dict(w.arena);
    const dm_result *r;
    dm_error err = {DM_OK, ""};
    dm_value_set(w.arena, other, DM_STR("model"), dm_value_text(w.arena, "embedded/other"));
    w.setup.lm[DM_TEACHER] = other;
    dm_pool *p = open_pool(&w);
    const dm_candidate *c = student(&w);
    dm_candidate *instructed = dm_candidate_new(w.arena, w.program);
    instructed->parts[0].instructions = DM_STR("Another instruction.");
    dm_work works[9];
    for (size_t i = 0; i < 9; i++)
        works[i] = dm_work_of(c);
    works[1].candidate = dm_candidate_seal(instructed);
    works[2].role = DM_TEACHER;
    works[3].scored = false;
    works[4].trace = true;
    works[5].drop_own_demo = true;
    works[6].rollout = 3;
    works[7].temperature = .5;
    works[8].steps = true;
    const dm_example *e = &w.val->examples[0];
    for (size_t i = 0; i < 9; i++)
        for (int again = 0; again < 2; again++) {
            dm_future *f = dm_pool_submit(p, &works[i], &e, 1);
            cr_assert_eq(dm_pool_wait(p, f, &r, &err), DM_OK, "%s", err.text);
            cr_expect_eq(p->n_cells, i + 1, "work %zu, time %d: %zu cells", i, again, p->n_cells);
            cr_expect_eq(w.stats.calls, calls[i], "work %zu, time %d: %zu calls", i, again,
                         w.stats.calls);
        }
    dm_pool_free(p);
    dm_arena_free(w.arena);
}

static dm_hash key_of(world *w, const dm_work *work)
{
    dm_pool *p = open_pool(w);
    uint32_t number = dm_pool_state(p, work);
    dm_hash key = p->states[number].key;
    dm_pool_free(p);
    return key;
}

/* What a result does not depend on does not make it another one; what it does, does. */
Test(amounts, what_of_the_setup_a_result_depends_on)
{
    world w = world_new(ONE_PREDICTOR);
    dm_work work = dm_work_of(student(&w));
    dm_hash keys[6] = {key_of(&w, &work)};
    set_lm(&w, "concurrency", dm_value_int(w.arena, 5));
    set_lm(&w, "num_retries", dm_value_int(w.arena, 9));
    w.sim.ranks = 7;
    w.setup.failure_score = .5;
    keys[1] = key_of(&w, &work);
    cr_expect(dm_hash_eq(&keys[0], &keys[1]), "addresses, limits and ranks are not in it");
    w.setup.adapter = DM_JSON;
    keys[1] = key_of(&w, &work);
    w.setup.json_fallback = false;
    keys[2] = key_of(&w, &work);
    w.setup.metric = dm_value_text(w.arena, "contains");
    keys[3] = key_of(&w, &work);
    set_lm(&w, "temperature", dm_value_float(w.arena, .7));
    keys[4] = key_of(&w, &work);
    set_lm(&w, "model", dm_value_text(w.arena, "embedded/other"));
    keys[5] = key_of(&w, &work);
    for (size_t i = 0; i < 6; i++)
        for (size_t k = 0; k < i; k++)
            cr_expect_not(dm_hash_eq(&keys[i], &keys[k]), "setups %zu and %zu", k, i);
    dm_arena_free(w.arena);
}

/* ---- shares ---- */

typedef struct strand_of {
    world *w;
    int64_t number;
    size_t done;
} strand_of;

static dm_status as_many_as_it_may(dm_pool *p, void *arg, dm_error *err)
{
    strand_of *s = arg;
    dm_status st = DM_OK;
    dm_work work = dm_work_of(student(s->w));
    work.rollout = s->number;
    for (size_t i = 0; i < s->w->val->n && st == DM_OK; i++) {
        const dm_result *r;
        const dm_example *e = &s->w->val->examples[i];
        st = dm_pool_wait(p, dm_pool_submit(p, &work, &e, 1), &r, err);
        s->done += st == DM_OK;
    }
    return st;
}

/* n strands have equal shares of the part; what they leave over is the caller's again. */
Test(amounts, strands_have_equal_shares_of_the_part)
{
    for (size_t n = 1; n <= 5; n++) {
        world w = world_new(ONE_PREDICTOR);
        strand_of s[6];
        dm_strand *strand[5];
        dm_amount cap = {400, INFINITY, INFINITY};
        dm_error err = {DM_OK, ""};
        w.val = questions(w.arena, 100, 450);
        w.setup.json_fallback = false; /* a run is a call */
        w.setup.cap = &cap;
        dm_pool *p = open_pool(&w);
        dm_pool_split(p, n, .6);
        for (size_t i = 0; i < n; i++) {
            s[i] = (strand_of){&w, (int64_t)i, 0};
            strand[i] = dm_strand_start(p, "strand", as_many_as_it_may, &s[i]);
        }
        size_t each = 240 / n;
        for (size_t i = 0; i < n; i++) {
            cr_expect_eq(dm_strand_join(p, strand[i], &err), DM_STOP_BUDGET);
            cr_expect_eq(s[i].done, each, "strand %zu of %zu: %zu calls, not %zu", i, n, s[i].done,
                         each);
        }
        s[5] = (strand_of){&w, 100, 0};
        cr_expect_eq(as_many_as_it_may(p, &s[5], &err), DM_STOP_BUDGET);
        cr_expect_eq(s[5].done, 400 - n * each, "after %zu strands: %zu", n, s[5].done);
        cr_expect_eq(w.stats.calls, 400, "%zu calls", w.stats.calls);
        dm_pool_free(p);
        dm_arena_free(w.arena);
    }
}

/* ---- the journal: crashes and syncs ---- */

static dm_journal *open_journal(world *w, dm_fsync fsync)
{
    dm_error err = {DM_OK, ""};
    w->setup.replay = dm_replay_new();
    w->setup.journal = dm_journal_open(journal_path("amounts"), fsync, dm_value_dict(w->arena),
                                       NULL, dm_replay_visit, w->setup.replay, &err);
    cr_assert_not_null(w->setup.journal, "%s", err.text);
    return w->setup.journal;
}

static void close_journal(world *w)
{
    cr_assert_eq(dm_journal_close(w->setup.journal, NULL), DM_OK);
    dm_replay_free(w->setup.replay);
}

/* One attempt of a job under a cap; returns the calls that were made. */
static size_t attempt(int64_t rollout, uint64_t dies_at, dm_amount cap, double *known)
{
    world w = world_new(ONE_PREDICTOR);
    const dm_result *r;
    dm_error err = {DM_OK, ""};
    w.val = questions(w.arena, 100, 200);
    w.setup.json_fallback = false;
    w.setup.cap = &cap;
    w.sim.dies_at = dies_at;
    set_lm(&w, "concurrency", dm_value_int(w.arena, 16));
    open_journal(&w, DM_FSYNC_1S);
    *known = (double)dm_replay_results(w.setup.replay);
    dm_pool *p = open_pool(&w);
    dm_work work = dm_work_of(student(&w));
    work.rollout = rollout;
    dm_status st = dm_pool_wait(p, dm_pool_evaluate(p, &work, w.val), &r, &err);
    cr_expect(st == DM_STOP_BUDGET || w.stats.died);
    dm_pool_free(p);
    size_t calls = w.stats.calls;
    close_journal(&w);
    dm_arena_free(w.arena);
    return calls;
}

/* What was out when the coordinator was killed (16 places, and seven that were sent ahead) may have
 * been billed, and counts, also where the next attempt asks for other work than the one before. */
Test(amounts, what_a_crash_lost_counts_against_the_cap)
{
    size_t lost = 0;
    for (uint64_t dies_at = 4; dies_at < 120; dies_at += 5) {
        double known;
        dm_amount cap = {120, INFINITY, INFINITY};
        unlink(journal_path("amounts"));
        size_t first = attempt(1, dies_at, cap, &known), second = attempt(2, 0, cap, &known);
        lost += first - (size_t)known;
        cr_expect_leq(first + second, (size_t)120, "killed at turn %d: %zu and %zu calls",
                      (int)dies_at, first, second);
        cr_expect_geq(first + second, (size_t)96, "killed at turn %d: only %zu and %zu calls",
                      (int)dies_at, first, second);
    }
    cr_expect_gt(lost, 20);
    unlink(journal_path("amounts"));
}

/* --fsync=1s: once a second of the given clock while there is something new, and what came last is
 * synced a second later; each: at every flush; none: never. */
Test(amounts, how_often_the_disk_is_synced)
{
    static const struct {
        dm_fsync mode;
        size_t syncs, after;
    } row[] = {{DM_FSYNC_1S, 10, 11}, {DM_FSYNC_EACH, 87, 87}, {DM_FSYNC_NONE, 0, 0}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        world w = world_new(ONE_PREDICTOR);
        dm_error err = {DM_OK, ""};
        unlink(journal_path("amounts"));
        dm_journal *j = open_journal(&w, row[i].mode);
        size_t before = hand_disk.done;
        for (int k = 1; k <= 87; k++) {
            dm_journal_add(j, DM_JOURNAL_ATTEMPT, DM_STR("{}"));
            cr_assert_eq(dm_journal_flush(j, k / 8., &err), DM_OK, "%s", err.text);
        }
        cr_expect_eq(hand_disk.done - before, row[i].syncs, "mode %d: %zu syncs", row[i].mode,
                     hand_disk.done - before);
        for (int k = 88; k <= 400; k++) /* nothing new */
            cr_assert_eq(dm_journal_flush(j, k / 8., &err), DM_OK);
        cr_expect_eq(hand_disk.done - before, row[i].after, "mode %d, later: %zu syncs",
                     row[i].mode, hand_disk.done - before);
        cr_expect((dm_journal_safe(j) == dm_journal_size(j)) == (row[i].mode != DM_FSYNC_NONE));
        close_journal(&w);
        dm_arena_free(w.arena);
    }
    unlink(journal_path("amounts"));
}

/* A run syncs by the pool's clock, as often as its seconds say. */
Test(amounts, a_run_syncs_once_a_second)
{
    world w = world_new(ONE_PREDICTOR);
    const dm_result *r;
    dm_error err = {DM_OK, ""};
    unlink(journal_path("amounts"));
    w.val = questions(w.arena, 100, 300);
    w.sim.latency = .2;
    set_lm(&w, "concurrency", dm_value_int(w.arena, 4));
    open_journal(&w, DM_FSYNC_1S);
    dm_pool *p = open_pool(&w);
    dm_work work = dm_work_of(student(&w));
    size_t before = hand_disk.done;
    cr_assert_eq(dm_pool_wait(p, dm_pool_evaluate(p, &work, w.val), &r, &err), DM_OK);
    size_t syncs = hand_disk.done - before;
    cr_expect(w.stats.seconds > 10 && (double)syncs <= w.stats.seconds &&
                  (double)syncs >= .7 * w.stats.seconds,
              "%zu syncs in %.1f s", syncs, w.stats.seconds);
    dm_pool_free(p);
    close_journal(&w);
    unlink(journal_path("amounts"));
    dm_arena_free(w.arena);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit r;
    getrlimit(RLIMIT_FSIZE, &r);
    r.rlim_cur = bytes < r.rlim_max ? bytes : r.rlim_max;
    setrlimit(RLIMIT_FSIZE, &r);
}

/* A disk that is full in the middle of a record: none of it stays. */
Test(amounts, no_half_record_stays_on_a_full_disk)
{
    world w = world_new(ONE_PREDICTOR);
    dm_error err = {DM_OK, ""};
    struct stat s;
    signal(SIGXFSZ, SIG_IGN);
    unlink(journal_path("amounts"));
    dm_journal *j = open_journal(&w, DM_FSYNC_NONE);
    uint64_t good = dm_journal_size(j);
    limit_files(good + 20);
    dm_journal_add(j, DM_JOURNAL_ATTEMPT, DM_STR("{\"version\": \"a record of some length\"}"));
    cr_expect_eq(dm_journal_flush(j, 1, &err), DM_E_OUTPUT);
    cr_expect(strstr(err.text, "free some space"), "%s", err.text);
    cr_expect(stat(journal_path("amounts"), &s) == 0 && (uint64_t)s.st_size == good,
              "%ld bytes, %ld good", (long)s.st_size, (long)good);
    limit_files(RLIM_INFINITY);
    cr_expect_eq(dm_journal_flush(j, 2, &err), DM_OK, "it goes on when there is room");
    close_journal(&w);
    open_journal(&w, DM_FSYNC_NONE); /* refuses what is damaged */
    close_journal(&w);
    unlink(journal_path("amounts"));
    dm_arena_free(w.arena);
}

/* ---- answers that came ahead ---- */

static void say(dm_pool *p, int64_t task, dm_item_kind kind, uint32_t call, uint64_t asked)
{
    dm_buf msg;
    dm_wire_list l;
    dm_answer a = {.final = true,
                   .content = DM_STR("an answer"),
                   .usage = {.requests = 1, .answers = 1}};
    dm_hash key = dm_hash_of(&asked, sizeof asked);
    dm_wire_list_init(&l);
    dm_wire_add_item(
        &l, &(dm_wire_item){.kind = kind, .task = task, .key = key, .call = call, .answer = a});
    dm_wire_put_results(&msg, &l);
    dm_wire_list_free(&l);
    dm_pool_receive(p, 0, dm_buf_view(&msg));
    dm_buf_free(&msg);
}

/* An answer is known by what was asked: the same twice counts once, one that a lost worker had
 * after all counts, and what nobody was told to ask for a second time does not. */
Test(amounts, an_answer_is_kept_by_what_was_asked)
{
    static const struct {
        dm_item_kind kind;
        uint32_t call;
        uint64_t asked;
        int64_t requests; /* that are counted by then */
    } row[] = {{DM_ITEM_FIND, 0, 11, 0},   {DM_ITEM_FIND, 0, 11, 0},   {DM_ITEM_ANSWER, 0, 11, 1},
               {DM_ITEM_ANSWER, 0, 11, 1}, {DM_ITEM_FIND, 1, 12, 1},   {DM_ITEM_ANSWER, 0, 11, 1},
               {DM_ITEM_ANSWER, 1, 12, 2}, {DM_ITEM_ANSWER, 1, 12, 2}, {DM_ITEM_FIND, 2, 11, 2}};
    world w = world_new(TWO_PREDICTORS);
    dm_pool *p = open_pool(&w);
    dm_work work = dm_work_of(student(&w));
    const dm_example *e = &w.val->examples[0];
    (void)dm_pool_submit(p, &work, &e, 1);
    dm_pool_pump(p, 1); /* hello */
    dm_pool_pump(p, 0);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        say(p, dm_task_of(0, p->cells[0]), row[i].kind, row[i].call, row[i].asked);
        cr_expect_eq(dm_pool_stats_of(p).usage.requests, row[i].requests, "after %zu: %d", i + 1,
                     (int)dm_pool_stats_of(p).usage.requests);
    }
    cr_expect(p->n_keys == 2 && p->n_asked == 0);
    dm_pool_free(p);
    dm_arena_free(w.arena);
}

/* ---- where a search stops ---- */

static size_t scored_until(double stop, const dm_amount *cap, double *scores)
{
    world w = world_new(ONE_PREDICTOR);
    dm_error err = {DM_OK, ""};
    dm_random_search_params params;
    dm_compile_output out;
    dm_params_init(&params.demos.base, &dm_optimizer_random_search);
    params.demos.max_labeled_demos = 8;
    params.num_candidate_programs = 5;
    params.has_stop_at_score = !isnan(stop);
    params.stop_at_score = stop;
    w.setup.cap = cap;
    dm_pool *p = open_pool(&w);
    dm_compile_input in = {.params = &params.demos.base,
                           .student = student(&w),
                           .trainset = w.train,
                           .valset = w.val};
    cr_assert_eq(dm_compile(p, &in, &out, &err), DM_OK, "%s", err.text);
    for (size_t i = 0; scores && i < out.n_scored; i++)
        scores[i] = 100 * out.scored[i].score;
    dm_pool_free(p);
    dm_arena_free(w.arena);
    return out.n_scored;
}

/* stop_at_score is in per cent: the first candidate at or above it is the last one. */
Test(amounts, a_search_stops_at_the_first_candidate_at_or_above_the_score)
{
    double scores[16];
    dm_amount cap = {100000, INFINITY, INFINITY};
    size_t all = scored_until(NAN, NULL, scores), last = SIZE_MAX;
    bool differ = false;
    for (size_t i = 0; i < all; i++) {
        for (int more = -1; more <= 1; more++) {
            double stop = scores[i] + .001 * more;
            size_t wanted = 0;
            while (wanted < all && scores[wanted++] < stop)
                ;
            differ |= wanted != last && last != SIZE_MAX;
            last = wanted;
            cr_expect_eq(scored_until(stop, NULL, NULL), wanted, "at %.3f", stop);
            cr_expect_eq(scored_until(stop, &cap, NULL), wanted, "at %.3f, under a cap", stop);
        }
    }
    cr_expect(differ, "all stop alike: nothing is tested");
    cr_expect_eq(scored_until(100.1, NULL, NULL), all);
}

/* Bootstrapping asks for as many examples as it takes for the last demonstration, and no more. */
Test(amounts, bootstrapping_stops_at_the_last_demonstration)
{
    static const struct {
        int64_t wanted;
        size_t runs; /* the teacher is right where the number is no multiple of 3 */
    } row[] = {{0, 0}, {1, 2}, {2, 3}, {3, 5}, {4, 6}, {6, 9}, {13, 20}, {14, 20}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        world w = world_new(ONE_PREDICTOR);
        dm_error err = {DM_OK, ""};
        dm_bootstrap_params params;
        dm_compile_output out;
        dm_params_init(&params.base, &dm_optimizer_bootstrap_few_shot);
        params.max_bootstrapped_demos = row[i].wanted;
        params.max_labeled_demos = 0;
        dm_pool *p = open_pool(&w);
        dm_compile_input in = {.params = &params.base, .student = student(&w), .trainset = w.train};
        cr_assert_eq(dm_compile(p, &in, &out, &err), DM_OK, "%s", err.text);
        cr_expect_eq(w.stats.runs, row[i].runs, "%d wanted: %zu runs", (int)row[i].wanted,
                     w.stats.runs);
        dm_pool_free(p);
        dm_arena_free(w.arena);
    }
}

static void refuse(dm_result *r, dm_fault fault, double failure_score)
{
    *r = (dm_result){.fault = fault, .refused = true, .score = failure_score};
}

/* The earliest of the best wins; more than 5 % of prompts that are refused drop a candidate. */
Test(amounts, who_beats_whom)
{
    dm_result a[100] = {0}, b[100] = {0};
    for (size_t i = 0; i < 100; i++) {
        a[i].present = b[i].present = true;
        a[i].score = i < 40;
        b[i].score = i >= 60;
    }
    cr_expect_not(dm_beats(b, a, 100), "as good is not better");
    b[0].score = 1;
    cr_expect(dm_beats(b, a, 100) && !dm_beats(a, b, 100));
    b[0].present = false; /* then it does not count for the other either */
    cr_expect(dm_beats(b, a, 100), "40 of 99 beat 39 of 99");
    static const dm_fault words[] = {DM_FAULT_OVERFLOW, DM_FAULT_REFUSED, DM_FAULT_FILTER};
    for (size_t i = 0; i < 5; i++)
        refuse(&a[i], words[i % 3], 0);
    cr_expect_not(dm_is_refused_too_often(a, b, 100));
    cr_expect_not(dm_is_refused_too_often(a, NULL, 100));
    refuse(&a[5], DM_FAULT_REFUSED, 0);
    cr_expect(dm_is_refused_too_often(a, b, 100));
    cr_expect(dm_is_refused_too_often(a, NULL, 100));
    refuse(&b[5], DM_FAULT_OVERFLOW, 0); /* the start's too: that is the example */
    cr_expect_not(dm_is_refused_too_often(a, b, 100));
}

/* A refusal is the candidate's where the other one has an answer, the example's where it has none;
 * whoever is the challenger, and whatever the words. */
Test(amounts, whose_fault_a_refusal_is)
{
    static const dm_fault words[] = {DM_FAULT_OVERFLOW, DM_FAULT_REFUSED, DM_FAULT_FILTER};
    for (size_t k = 0; k < 3; k++) {
        dm_result a[30] = {0},
                  b[30] = {0}; /* the field's case: 15 of 30 right, 17 and 10 refused */
        for (size_t i = 0; i < 30; i++) {
            a[i] = (dm_result){.present = true, .score = i % 2 == 0};
            b[i] = (dm_result){.present = true, .score = i < 17};
            if (i >= 20)
                refuse(&b[i], words[k], 0);
        }
        cr_expect_float_eq(dm_mean_against(a, b, 30), .5, 1e-12);
        cr_expect_float_eq(dm_mean_against(b, a, 30), 17. / 30, 1e-12);
        cr_expect(dm_beats(b, a, 30) && !dm_beats(a, b, 30));
        for (size_t i = 14; i < 17; i++)
            refuse(&b[i], words[k], 0);
        cr_expect(dm_beats(a, b, 30) && !dm_beats(b, a, 30), "14 of 30, not 14 of 17");
        for (size_t i = 14; i < 30; i++)
            refuse(&a[i], words[(k + 1) % 3], 0); /* then 7 and 14 of 17: the rest is out */
        for (size_t i = 17; i < 20; i++)
            b[i] = (dm_result){.present = true, .score = 0};
        cr_expect_float_eq(dm_mean_against(a, b, 30), 7. / 17, 1e-12);
        cr_expect_float_eq(dm_mean_against(b, a, 30), 14. / 17, 1e-12);
        cr_expect(dm_beats(b, a, 30) && !dm_beats(a, b, 30));
        b[0] = (dm_result){.score = NAN, .fault = DM_FAULT_TRANSPORT}; /* never a score */
        cr_expect(dm_beats(b, a, 30), "13 and 6 of 16");
        cr_expect_float_eq(dm_mean_against(b, a, 30), 13. / 16, 1e-12);
    }
}
