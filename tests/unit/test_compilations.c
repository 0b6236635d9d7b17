/* The optimizer `ensemble` as a whole: each member is, byte for byte, the compilation that it would
 * be alone with its share of the cap, and is charged what that one was; what is chosen is the same
 * at any number of ranks and through kills of the coordinator behind any record. */
#include "optimizer/ensemble.h"
#include "optimizer/mipro.h"
#include "world.h"

#include "base/random.h"
#include "program/state_file.h"
#include "study/frames.h"

#include <criterion/criterion.h>
#include <unistd.h>

#define K 4

typedef union params { /* of any of them */
    dm_params base;
    dm_bootstrap_params bootstrap;
    dm_random_search_params search;
    dm_mipro_params mipro;
} params;

static const dm_optimizer *const names[] = {&dm_optimizer_bootstrap_few_shot,
                                            &dm_optimizer_random_search, &dm_optimizer_mipro_v2};

/* The same rule by a model that says the opposite to every seventh question. */
static void rule_of_two_models(void *user, const dm_work *work, const dm_value *row, dm_arena *a,
                               dm_run_result *out)
{
    const world *w = user;
    const dm_value *question = dm_value_get(row, "question");
    golden_rule_and_proposals(user, work, row, a, out);
    if (w->setup.lm[work->role] != w->setup.lm[DM_OWN] || work->candidate->program != w->program ||
        strtoll(question->text.p + 1, NULL, 10) % 7)
        return;
    dm_value *outputs = dm_value_copy(a, out->outputs);
    bool yes = dm_value_equal(dm_value_get(outputs, "answer"), dm_value_get(row, "answer"));
    dm_value_set(a, outputs, DM_STR("answer"), dm_value_text(a, yes ? "no" : "yes"));
    out->outputs = outputs;
    out->score = !yes;
    if (out->n_steps)
        ((dm_step *)(uintptr_t)out->steps)[out->n_steps - 1].outputs = outputs;
}

/* Role DM_OWN gets a model of its own; so do all, with everybody. */
static void add_model(world *w, bool everybody)
{
    dm_value *other = dm_value_copy(w->arena, w->setup.lm[0]);
    dm_value_set(w->arena, other, DM_STR("temperature"), dm_value_float(w->arena, .5));
    for (int i = everybody ? 0 : DM_OWN; i < (everybody ? DM_ROLES : DM_OWN + 1); i++)
        w->setup.lm[i] = other;
    w->sim.run = rule_of_two_models;
}

static int trials = 6; /* of MIPROv2 */

static params params_of(const dm_optimizer *class)
{
    params p;
    dm_params_init(&p.base, class);
    p.bootstrap.max_labeled_demos = 4;
    if (class == &dm_optimizer_random_search)
        p.search.num_candidate_programs = 4;
    if (class == &dm_optimizer_mipro_v2) {
        p.mipro.auto_mode = DM_AUTO_NONE;
        p.mipro.has_num_candidates = p.mipro.has_num_trials = true;
        p.mipro.num_candidates = 4;
        p.mipro.num_trials = trials;
        p.mipro.minibatch_size = 10;
        p.mipro.minibatch_full_eval_steps = 3;
        p.mipro.search = DM_MIPRO_FACTOR;
    }
    return p;
}

/* ---- one compilation, alone or as a member ---- */

typedef struct made {
    dm_status status;
    dm_hash bytes; /* of its program's file, its candidates' scores and all that it scored */
    double charged;
} made;

static void add_results(dm_sha256 *s, const dm_result *r, size_t n)
{
    for (size_t i = 0; r && i < n; i++) {
        char text[80];
        int length = snprintf(text, sizeof text, "%.17g %d\n", r[i].score, r[i].present);
        dm_sha256_add(s, text, (size_t)length);
        dm_sha256_add(s, r[i].outputs.p ? r[i].outputs.p : "", r[i].outputs.n);
    }
}

static made made_of(dm_arena *a, const dm_compile_output *out, const dm_split *splits, size_t n,
                    dm_status status, double charged)
{
    made m = {status, {{0}}, charged};
    dm_sha256 s;
    dm_buf b;
    dm_sha256_init(&s);
    dm_buf_init(&b, DM_MAX_FILE);
    dm_state_write(&b, a, out->best, NULL);
    dm_sha256_add(&s, b.data, b.len);
    for (size_t i = 0; i < out->n_scored; i++) {
        dm_sha256_add(&s, out->scored[i].name, strlen(out->scored[i].name));
        dm_sha256_add(&s, out->scored[i].candidate->hash.b, sizeof out->best->hash.b);
        dm_sha256_add(&s, &out->scored[i].score, sizeof out->scored[i].score);
    }
    for (size_t i = 0; i < n; i++) {
        add_results(&s, splits[i].baseline, splits[i].set->n);
        add_results(&s, splits[i].compiled, splits[i].set->n);
    }
    m.bytes = dm_sha256_end(&s);
    dm_buf_free(&b);
    return m;
}

static world world_of(const dm_amount *cap, int ranks, uint64_t seed)
{
    world w = world_new(TWO_PREDICTORS);
    w.val = questions(w.arena, 100, 32);
    w.setup.sets[1] = w.val;
    w.setup.sets[2] = questions(w.arena, 300, 12);
    w.sim.run = golden_rule_and_proposals;
    w.sim.ranks = ranks;
    w.sim.seed = seed;
    w.setup.cap = isinf(cap->calls) ? NULL : cap;
    return w;
}

static dm_compile_input input_of(const world *w, const dm_params *own)
{
    return (dm_compile_input){.params = own,
                              .student = dm_candidate_seal(dm_candidate_new(w->arena, w->program)),
                              .trainset = w->train,
                              .valset = w->val,
                              .testset = w->setup.sets[2]};
}

typedef enum models { ONE_MODEL, JOBS_OF_TWO, OTHER_OF_TWO } models;

static made alone_with(models which, const dm_optimizer *class, int number, double share)
{
    dm_amount cap = DM_NO_CAP;
    dm_error err = {DM_OK, ""};
    cap.calls = share;
    world w = world_of(&cap, 3, 1);
    if (which != ONE_MODEL)
        add_model(&w, which == OTHER_OF_TWO);
    dm_pool *p = pool_of(&w);
    params own = params_of(class);
    own.base.has_seed = true;
    own.base.seed = number;
    dm_compile_input in = input_of(&w, &own.base);
    dm_compile_output out;
    dm_split splits[DM_SPLITS];
    size_t n = 0;
    dm_status st = dm_compile(p, &in, &out, &err);
    if (st == DM_OK)
        st = dm_score_splits(p, &in, &out, splits, &n, &err);
    cr_assert_geq(st, DM_OK, "%s", err.text);
    made m = made_of(w.arena, &out, splits, n, st, dm_pool_charged(p, NULL).calls);
    dm_pool_free(p);
    dm_arena_free(w.arena);
    return m;
}

static made alone(const dm_optimizer *class, int number, double share)
{
    return alone_with(ONE_MODEL, class, number, share);
}

/* ---- four of them and the committee ---- */

typedef struct all {
    made m[K];
    dm_status status;
    char chosen[20];
    dm_hash program, ensemble; /* bytes of the two files; zeros: there is none */
    size_t usable, pool;
    double calls; /* at the servers, in this attempt */
    bool died;
} all;

static dm_hash hash_of(const dm_buf *b)
{
    dm_sha256 s;
    dm_sha256_init(&s);
    dm_sha256_add(&s, b->data, b->len);
    return dm_sha256_end(&s);
}

static void take_committee(dm_arena *a, const dm_compile_output *out, all *r)
{
    const dm_ensemble_output *o = out->ensemble;
    dm_buf b;
    dm_buf_init(&b, DM_MAX_FILE);
    dm_state_write(&b, a, out->best, NULL);
    r->program = hash_of(&b);
    dm_buf_reset(&b);
    if (o->ensemble) {
        dm_ensemble_write(&b, a, o->ensemble, NULL);
        dm_buf_text(&b, o->why);
        r->ensemble = hash_of(&b);
    }
    dm_buf_free(&b);
    snprintf(r->chosen, sizeof r->chosen, "%s", dm_ensemble_chosen(o));
    r->usable = o->usable;
    r->pool = o->n_pool;
}

/* With two models every other member asks the other one. */
static all together_with(bool two_models, world *w, const dm_optimizer *class)
{
    params of = params_of(class), each[K];
    dm_params *list[K];
    dm_ensemble_of one[] = {{.params = &of.base}, {.params = &of.base, .lm = DM_STR("other")}};
    static const dm_own_models own = {.name = {"other"}, .n = 1};
    dm_ensemble_params e;
    if (two_models)
        add_model(w, false);
    dm_params_init(&e.base, &dm_optimizer_ensemble);
    for (int i = 0; i < K; i++) {
        each[i] = of;
        list[i] = &each[i].base;
    }
    e.of = one;
    e.n_of = two_models ? 2 : 1;
    e.has_k = true;
    e.k = K;
    e.each = list;
    dm_pool *p = pool_of(w);
    dm_compile_input in = input_of(w, &e.base);
    in.own = two_models ? &own : NULL;
    dm_compile_output out;
    dm_error err = {DM_OK, ""};
    all r = {.status = dm_compile(p, &in, &out, &err)};
    cr_assert(r.status >= DM_OK || w->stats.died, "%s", err.text);
    r.calls = (double)w->stats.calls;
    r.died = w->stats.died;
    if (r.status >= DM_OK) {
        for (int i = 0; i < K; i++) {
            const dm_compiled_member *m = &out.ensemble->members[i];
            cr_expect_eq(m->in->params->seed, i + 1);
            r.m[i] =
                made_of(w->arena, &m->out, m->splits, m->n_splits, m->status, m->charged.calls);
        }
        take_committee(w->arena, &out, &r);
    }
    dm_pool_free(p);
    return r;
}

static all together(world *w, const dm_optimizer *class)
{
    return together_with(false, w, class);
}

static void expect_members(const all *got, const made *want, const char *where)
{
    for (int k = 0; k < K; k++) {
        cr_expect_eq(got->m[k].status, want[k].status, "member %d, %s: %d, alone %d", k + 1, where,
                     got->m[k].status, want[k].status);
        cr_expect(dm_hash_eq(&got->m[k].bytes, &want[k].bytes), "member %d, %s: other bytes", k + 1,
                  where);
        cr_expect_eq(got->m[k].charged, want[k].charged, "member %d, %s: charged %g, alone %g",
                     k + 1, where, got->m[k].charged, want[k].charged);
    }
}

static void expect_same_choice(const all *got, const all *want, const char *where)
{
    cr_expect_str_eq(got->chosen, want->chosen, "%s", where);
    cr_expect(dm_hash_eq(&got->program, &want->program), "%s: another program", where);
    cr_expect(dm_hash_eq(&got->ensemble, &want->ensemble), "%s: another committee", where);
    cr_expect_eq(got->usable, want->usable, "%s", where);
}

/* What an optimizer takes without a cap, the largest of the members. */
static double whole(const dm_optimizer *class)
{
    double most = 0;
    for (int k = 0; k < K; k++)
        most = fmax(most, alone(class, k + 1, INFINITY).charged);
    return most;
}

Test(compilations, members_as_if_alone_at_any_number_of_ranks, .timeout = 300)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        double most = whole(names[i]);
        for (int part = 0; part < 4; part++) {
            double share = part == 3 ? INFINITY : floor(most * (.3 + .3 * part));
            made want[K];
            all first = {.calls = 0};
            for (int k = 0; k < K; k++)
                want[k] = alone(names[i], k + 1, share);
            for (int ranks = 1; ranks <= 64; ranks *= ranks == 1 ? 4 : 16) {
                dm_amount cap = DM_NO_CAP;
                char where[80];
                cap.calls = (K + 1) * share;
                world w = world_of(&cap, ranks, 5 + (uint64_t)ranks);
                all a = together(&w, names[i]);
                snprintf(where, sizeof where, "%s, %g calls, %d ranks", names[i]->name, share,
                         ranks);
                cr_expect_leq(a.calls, cap.calls, "%s", where);
                expect_members(&a, want, where);
                if (ranks == 1)
                    first = a;
                expect_same_choice(&a, &first, where);
                if (part == 3) {
                    cr_expect_gt(a.usable, 0);
                    cr_expect(a.pool > 1 || i == 0, "%s: %zu in the pool", where, a.pool);
                }
                dm_arena_free(w.arena);
            }
        }
    }
}

/* A member that asks another model is the compilation with that one, under a cap too. */
Test(compilations, members_with_a_model_of_their_own, .timeout = 300)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int capped = 0; capped < 2; capped++) {
            double share = capped ? floor(.6 * whole(names[i])) : INFINITY;
            made want[K];
            dm_amount cap = DM_NO_CAP;
            char where[80];
            cap.calls = (K + 1) * share;
            for (int k = 0; k < K; k++)
                want[k] = alone_with(k % 2 ? OTHER_OF_TWO : JOBS_OF_TWO, names[i], k + 1, share);
            cr_expect(!dm_hash_eq(&want[0].bytes, &want[1].bytes));
            for (int ranks = 1; ranks <= 4; ranks += 3) {
                world w = world_of(&cap, ranks, 5);
                all a = together_with(true, &w, names[i]);
                snprintf(where, sizeof where, "%s, %g calls, %d ranks", names[i]->name, share,
                         ranks);
                cr_expect_leq(a.calls, cap.calls, "%s", where);
                expect_members(&a, want, where);
                dm_arena_free(w.arena);
            }
        }
}

/* ---- kills ---- */

/* One attempt on the journal; behind: it dies when that has so many bytes. 0: it does not. */
static all attempt(const char *path, const dm_optimizer *class, const dm_amount *cap, int ranks,
                   uint64_t behind)
{
    dm_error err = {DM_OK, ""};
    world w = world_of(cap, ranks, 77);
    w.sim.dies_behind = behind;
    w.setup.replay = dm_replay_new();
    w.setup.journal = dm_journal_open(path, DM_FSYNC_1S, dm_value_dict(w.arena), NULL,
                                      dm_replay_visit, w.setup.replay, &err);
    cr_assert_not_null(w.setup.journal, "%s", err.text);
    all a = together_with(class == &dm_optimizer_random_search, &w, class); /* of two models */
    (void)dm_journal_close(w.setup.journal, NULL);
    if (behind)
        cr_assert_eq(truncate(path, (off_t)behind), 0);
    cr_expect_eq(w.stats.repeated, 0);
    dm_replay_free(w.setup.replay);
    dm_arena_free(w.arena);
    return a;
}

typedef struct ends {
    uint64_t *at; /* [n] where each record of a journal ends */
    size_t n, cap;
} ends;

static dm_status add_end(void *user, dm_journal_type type, dm_str payload, dm_error *err)
{
    ends *e = user;
    (void)type;
    (void)err;
    e->at = dm_room(e->at, e->n, &e->cap, sizeof *e->at);
    e->at[e->n] = (e->n ? e->at[e->n - 1] : 0) + DM_FRAME_HEAD + payload.n;
    e->n++;
    return DM_OK;
}

static ends ends_of(const char *path)
{
    dm_arena *a = dm_arena_new(0);
    dm_str bytes;
    ends e = {0};
    bool damaged;
    dm_status st;
    dm_error err;
    cr_assert_eq(dm_read_file(a, path, DM_MAX_FILE, &bytes, &err), DM_OK, "%s", err.text);
    cr_assert_eq(dm_journal_scan(bytes, add_end, &e, &damaged, &st, &err), bytes.n);
    dm_arena_free(a);
    return e;
}

/* MEMBERS_CUTS=500: so many. A cap that is ample is never near, so that nothing depends on what a
 * killed run lost; under one that is not the whole stays below it, and no call comes twice. */
Test(compilations, killed_behind_records, .timeout = 3600)
{
    const char *path = journal_path("compilations"), *many = getenv("MEMBERS_CUTS");
    uint64_t cuts = many ? strtoull(many, NULL, 10) : 100;
    for (size_t i = 0; i < 3; i++) {
        double most = whole(names[i]);
        for (int ample = 0; ample < 2; ample++) {
            dm_amount cap = DM_NO_CAP;
            cap.calls = (K + 1) * floor(most * (ample ? 10 : .6));
            unlink(path);
            all want = attempt(path, names[i], &cap, 4, 0);
            for (uint64_t c = ample; c < cuts; c += 6) {
                char where[120];
                ends e = ends_of(path);
                size_t record = 1 + dm_draw(12, c, i) % (e.n - 1);
                uint64_t end = e.at[record - 1];
                free(e.at);
                unlink(path);
                all killed = attempt(path, names[i], &cap, (int[]){1, 4, 64}[c % 3], end);
                all a = attempt(path, names[i], &cap, (int[]){1, 4, 64}[c / 3 % 3], 0);
                snprintf(where, sizeof where, "%s, %g calls, behind record %zu", names[i]->name,
                         cap.calls, record);
                cr_expect_leq(killed.calls + a.calls, cap.calls, "%s", where);
                if (!ample)
                    continue;
                expect_members(&a, want.m, where);
                expect_same_choice(&a, &want, where);
            }
        }
    }
    unlink(path);
}

/* ---- time, by the simulation's clock ---- */

typedef struct effort {
    double seconds;
    size_t calls;
} effort;

/* Of the compilation of this seed, or of four (0), with so many calls in flight. */
static effort effort_of(const dm_optimizer *class, int64_t concurrency, int number)
{
    dm_amount none = DM_NO_CAP;
    dm_error err = {DM_OK, ""};
    world w = world_of(&none, 3, 1);
    dm_value *lm = dm_value_copy(w.arena, w.setup.lm[0]);
    dm_value_set(w.arena, lm, DM_STR("concurrency"), dm_value_int(w.arena, concurrency));
    for (int i = 0; i < DM_ROLES; i++)
        w.setup.lm[i] = lm;
    w.val = questions(w.arena, 100, 80);
    w.setup.sets[1] = w.val;
    w.sim.latency = .2;
    w.sim.steady = true;
    if (number == 0) {
        (void)together(&w, class);
    } else {
        dm_pool *p = pool_of(&w);
        params own = params_of(class);
        own.base.has_seed = true;
        own.base.seed = number;
        dm_compile_input in = input_of(&w, &own.base);
        dm_compile_output out;
        dm_split splits[DM_SPLITS];
        size_t n;
        cr_assert_eq(dm_compile(p, &in, &out, &err), DM_OK, "%s", err.text);
        cr_assert_eq(dm_score_splits(p, &in, &out, splits, &n, &err), DM_OK, "%s", err.text);
        dm_pool_free(p);
    }
    effort e = {w.stats.seconds, w.stats.calls};
    dm_arena_free(w.arena);
    return e;
}

/* Of four alone the one that takes longest. */
static effort longest(const dm_optimizer *class, int64_t concurrency)
{
    effort most = {0, 0};
    for (int k = 1; k <= K; k++) {
        effort e = effort_of(class, concurrency, k);
        most = e.seconds > most.seconds ? e : most;
    }
    return most;
}

/* No member waits for another one: with four times the places four take as long as one; with the
 * same ones as much longer as they have more calls, or hardly any longer where one leaves places
 * empty. */
Test(compilations, take_the_time_of_one_at_as_many_places_for_each, .timeout = 300)
{
    trials = 15; /* `light` has 10 to 20 */
    for (size_t i = 0; i < 3; i++)
        for (int64_t c = 4; c <= 64; c *= 4) {
            effort one = longest(names[i], c), wide = effort_of(names[i], 4 * c, 0),
                   same = effort_of(names[i], c, 0);
            printf("%s, 200 ms a call, %d in flight: one %.2f s, %zu calls; four at 4x as many "
                   "%.2f of that; at as many %.2f, %zu calls\n",
                   names[i]->name, (int)c, one.seconds, one.calls, wide.seconds / one.seconds,
                   same.seconds / one.seconds, same.calls);
            cr_expect_leq(wide.seconds, 1.1 * one.seconds, "%s, %d", names[i]->name, (int)c);
            cr_expect_leq(same.seconds / one.seconds,
                          fmax(1.5, 1.1 * (double)same.calls / (double)one.calls), "%s, %d",
                          names[i]->name, (int)c);
            if (i == 2 && c == 64)
                cr_expect_leq(same.seconds, 1.5 * one.seconds);
        }
}
