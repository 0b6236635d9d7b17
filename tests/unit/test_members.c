/* Several whole compilations as strands of one run: each is, byte for byte, the one that it would
 * be alone with its share of the cap, and is charged what that one was, at any number of ranks and
 * through kills of the coordinator. */
#include "optimizer/mipro.h"
#include "world.h"

#include "base/random.h"

#include <criterion/criterion.h>
#include <unistd.h>

#define K 4

typedef union params { /* of any of them */
    dm_params base;
    dm_bootstrap_params bootstrap;
    dm_random_search_params search;
    dm_mipro_params mipro;
} params;

typedef struct member {
    world *w;
    int number;
    dm_strand *strand;
    params params;
    dm_status status;
    dm_hash program;
    dm_hash scores; /* of all candidates, in their order */
    double charged; /* calls */
} member;

static params params_of(const dm_optimizer *class, int number)
{
    params p;
    dm_params_init(&p.base, class);
    p.base.has_seed = true;
    p.base.seed = number % 3; /* two of the four are the same */
    p.bootstrap.max_labeled_demos = 4;
    if (class == &dm_optimizer_random_search)
        p.search.num_candidate_programs = 4;
    if (class == &dm_optimizer_mipro_v2) {
        p.mipro.auto_mode = DM_AUTO_NONE;
        p.mipro.has_num_candidates = p.mipro.has_num_trials = true;
        p.mipro.num_candidates = 4;
        p.mipro.num_trials = 6;
        p.mipro.minibatch_size = 10;
        p.mipro.minibatch_full_eval_steps = 3;
        p.mipro.search = number % 2 ? DM_MIPRO_SCHEDULE : DM_MIPRO_FACTOR;
    }
    return p;
}

static dm_hash hash_of_scores(const dm_compile_output *out)
{
    dm_sha256 s;
    dm_sha256_init(&s);
    for (size_t i = 0; i < out->n_scored; i++)
        dm_sha256_add(&s, &out->scored[i].score, sizeof out->scored[i].score);
    return dm_sha256_end(&s);
}

static dm_status compile(dm_pool *pool, void *arg, dm_error *err)
{
    member *m = arg;
    dm_compile_input in = {.params = &m->params.base,
                           .student =
                               dm_candidate_seal(dm_candidate_new(m->w->arena, m->w->program)),
                           .trainset = m->w->train,
                           .valset = m->w->val};
    dm_compile_output out;
    m->status = dm_compile(pool, &in, &out, err);
    if (m->status >= DM_OK) {
        m->program = out.best->hash;
        m->scores = hash_of_scores(&out);
    }
    return m->status;
}

typedef struct all {
    member m[K];
    dm_status status;
    double calls; /* at the servers, in this attempt */
    bool died;
} all;

static world world_of(dm_amount *cap, int ranks, uint64_t seed)
{
    world w = world_new(TWO_PREDICTORS);
    w.val = questions(w.arena, 100, 15);
    w.setup.sets[1] = w.val;
    w.sim.run = golden_rule_and_proposals;
    w.sim.ranks = ranks;
    w.sim.seed = seed;
    w.setup.cap = isinf(cap->calls) ? NULL : cap;
    return w;
}

static dm_pool *pool_of(world *w)
{
    dm_error err = {DM_OK, ""};
    w->sim.user = w;
    dm_pool *p = dm_pool_simulated_new(&w->setup, &w->sim, &w->stats, &err);
    cr_assert_not_null(p, "%s", err.text);
    return p;
}

static all together(world *w, const dm_optimizer *name)
{
    all a = {.status = DM_OK};
    dm_error err = {DM_OK, ""};
    dm_pool *p = pool_of(w);
    dm_pool_split(p, K, 1);
    for (int k = 0; k < K; k++) {
        a.m[k] = (member){.w = w, .number = k, .params = params_of(name, k)};
        a.m[k].strand = dm_strand_start(p, "member", compile, &a.m[k]);
    }
    for (int k = 0; k < K; k++) {
        dm_status st = dm_strand_join(p, a.m[k].strand, &err);
        a.status = st < 0 ? st : a.status;
        a.m[k].charged = dm_pool_charged(p, a.m[k].strand).calls;
    }
    a.calls = (double)w->stats.calls;
    a.died = w->stats.died;
    dm_pool_free(p);
    return a;
}

static member alone(const dm_optimizer *name, int number, double share)
{
    dm_amount cap = DM_NO_CAP;
    dm_error err = {DM_OK, ""};
    cap.calls = share;
    world w = world_of(&cap, 3, 1);
    dm_pool *p = pool_of(&w);
    member m = {.w = &w, .number = number, .params = params_of(name, number)};
    (void)compile(p, &m, &err);
    m.charged = dm_pool_charged(p, NULL).calls;
    cr_expect_eq(m.charged, (double)w.stats.calls);
    dm_pool_free(p);
    dm_arena_free(w.arena);
    return m;
}

static void expect_same(const member *got, const member *want, const char *where)
{
    cr_expect_eq(got->status, want->status, "member %d, %s: %d, alone %d", want->number, where,
                 got->status, want->status);
    cr_expect(dm_hash_eq(&got->program, &want->program), "member %d, %s: another program",
              want->number, where);
    cr_expect(dm_hash_eq(&got->scores, &want->scores), "member %d, %s: other scores", want->number,
              where);
    cr_expect_eq(got->charged, want->charged, "member %d, %s: charged %g, alone %g", want->number,
                 where, got->charged, want->charged);
}

/* What an optimizer takes without a cap, the largest of the members. */
static double whole(const dm_optimizer *name)
{
    double most = 0;
    for (int k = 0; k < K; k++)
        most = fmax(most, alone(name, k, INFINITY).charged);
    return most;
}

static const dm_optimizer *const names[] = {&dm_optimizer_bootstrap_few_shot,
                                            &dm_optimizer_random_search, &dm_optimizer_mipro_v2};

Test(members, each_as_if_it_were_alone, .timeout = 300)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        double most = whole(names[i]);
        for (int part = 0; part < 5; part++) {
            double share = part == 4 ? INFINITY : floor(most * (.35 + .25 * part));
            member want[K];
            for (int k = 0; k < K; k++)
                want[k] = alone(names[i], k, share);
            for (int ranks = 1; ranks <= 64; ranks *= 8) {
                dm_amount cap = DM_NO_CAP;
                char where[80];
                cap.calls = K * share;
                world w = world_of(&cap, ranks, 5 + (uint64_t)ranks);
                all a = together(&w, names[i]);
                snprintf(where, sizeof where, "%s, %g calls, %d ranks", names[i]->name, share,
                         ranks);
                cr_expect_leq(a.calls, cap.calls, "%s", where);
                for (int k = 0; k < K; k++)
                    expect_same(&a.m[k], &want[k], where);
                dm_arena_free(w.arena);
            }
        }
    }
}

/* One attempt on the journal, killed at that turn (0: not). */
static all attempt(const char *path, const dm_optimizer *name, dm_amount *cap, int ranks,
                   uint64_t turn, world *w)
{
    dm_error err = {DM_OK, ""};
    *w = world_of(cap, ranks, 77 + turn);
    w->sim.dies_at = turn;
    w->setup.replay = dm_replay_new();
    w->setup.journal = dm_journal_open(path, DM_FSYNC_1S, dm_value_dict(w->arena), NULL,
                                       dm_replay_visit, w->setup.replay, &err);
    cr_assert_not_null(w->setup.journal, "%s", err.text);
    all a = together(w, name);
    (void)dm_journal_close(w->setup.journal, NULL);
    if (a.died)
        cr_assert_eq(truncate(path, (off_t)w->stats.journal_bytes), 0);
    cr_expect_eq(w->stats.repeated, 0);
    return a;
}

Test(members, killed_and_resumed, .timeout = 300)
{
    char path[80];
    size_t kills = 0;
    snprintf(path, sizeof path, "%s/members-%ld",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (long)getpid());
    for (uint64_t round = 0; round < 54; round++) {
        const dm_optimizer *name = names[round % 3];
        double share = floor(whole(name) * (round % 2 ? .6 : 10));
        dm_amount cap = DM_NO_CAP;
        double spent = 0;
        all a = {.died = true};
        cap.calls = K * share;
        unlink(path);
        for (uint64_t n = 0; a.died; n++) {
            world w;
            uint64_t turn = n < 3 ? 1 + dm_draw(11, round, n) % 300 : 0;
            a = attempt(path, name, &cap, (int[]){1, 4, 64}[(round + n) % 3], turn, &w);
            kills += a.died;
            spent += a.calls;
            dm_replay_free(w.setup.replay);
            dm_arena_free(w.arena);
        }
        cr_expect_leq(spent, cap.calls, "round %d", (int)round);
        for (int k = 0; k < K && round % 2 == 0; k++) { /* enough for all: nothing is cut */
            member want = alone(name, k, share);
            expect_same(&a.m[k], &want, "resumed");
        }
    }
    unlink(path);
    cr_expect_gt(kills, 50);
}
