/* Several whole compilations as strands of one run: each is, byte for byte, the one that it would
 * be alone with its share of the cap, and is charged what that one was, at any number of ranks and
 * through kills of the coordinator. */
#include "optimizer/mipro.h"
#include "world.h"

#include "base/random.h"
#include "base/table.h"
#include "pool/inside.h"
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
    double charged; /* calls, to all accounts together */
    double known;   /* calls by the journal that it began with, */
    double lost;    /* and those that may have been made without a trace there */
} all;

static world world_of(const dm_amount *cap, int ranks, uint64_t seed)
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

static double charged(const dm_account *a)
{
    return dm_account_charged(a).calls;
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
        a.m[k].charged = charged(a.m[k].strand->own);
    }
    a.charged = charged(dm_ledger_root(p->budget.ledger));
    a.calls = (double)w->stats.calls;
    a.died = w->stats.died;
    dm_pool_free(p);
    return a;
}

static dm_journal *open_journal(world *w, const char *path)
{
    dm_error err = {DM_OK, ""};
    w->setup.replay = dm_replay_new();
    w->setup.journal = dm_journal_open(path, DM_FSYNC_1S, dm_value_dict(w->arena), NULL,
                                       dm_replay_visit, w->setup.replay, &err);
    cr_assert_not_null(w->setup.journal, "%s", err.text);
    return w->setup.journal;
}

typedef struct hashes hashes;
static void add_asked(const dm_pool *p, hashes *h);

/* path: of a journal to go on from; NULL: none is kept. asked, if not NULL, gets what was asked. */
static member alone_from(const char *path, const dm_optimizer *name, int number, double share,
                         hashes *asked)
{
    dm_amount cap = DM_NO_CAP;
    dm_error err = {DM_OK, ""};
    cap.calls = share;
    world w = world_of(&cap, 3, 1);
    dm_journal *j = path ? open_journal(&w, path) : NULL;
    dm_pool *p = pool_of(&w);
    member m = {.w = &w, .number = number, .params = params_of(name, number)};
    (void)compile(p, &m, &err);
    m.charged = charged(dm_ledger_root(p->budget.ledger));
    if (!path)
        cr_expect_eq(m.charged, (double)w.stats.calls);
    if (asked)
        add_asked(p, asked);
    dm_pool_free(p);
    (void)dm_journal_close(j, NULL);
    dm_replay_free(w.setup.replay);
    dm_arena_free(w.arena);
    return m;
}

static member alone(const dm_optimizer *name, int number, double share)
{
    return alone_from(NULL, name, number, share, NULL);
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

/* ---- kills ---- */

typedef struct death { /* of the coordinator; zeros: it is not */
    uint64_t turn;     /* at that one */
    uint64_t behind;   /* when its journal has so many bytes, the end of a record */
} death;

static void add_calls(void *user, const dm_replayed *x)
{
    double *calls = user;
    dm_usage u;
    dm_result r;
    dm_paid paid;
    dm_answer a;
    dm_record rec;
    if (x->type == DM_JOURNAL_RESULT) {
        cr_assert_eq(dm_read_result(x->bytes, 0, NULL, &r, &paid), true);
        u = paid.usage;
    } else {
        cr_assert(dm_open_answer(&rec, x->bytes, &a, NULL));
        u = a.usage;
        dm_record_free(&rec);
    }
    *calls += (double)u.requests;
}

/* One attempt on the journal. */
static all attempt(const char *path, const dm_optimizer *name, const dm_amount *cap, int ranks,
                   death k)
{
    world w = world_of(cap, ranks, 77 + k.turn);
    w.sim.dies_at = k.turn;
    w.sim.dies_behind = k.behind;
    (void)open_journal(&w, path);
    double known = 0;
    dm_replay_each(w.setup.replay, add_calls, &known);
    all a = together(&w, name);
    a.known = known;
    a.lost = fmax(0, dm_replay_mark(w.setup.replay).calls - known);
    (void)dm_journal_close(w.setup.journal, NULL);
    if (a.died || k.behind)
        cr_assert_eq(truncate(path, (off_t)(k.behind ? k.behind : w.stats.journal_bytes)), 0);
    cr_expect_eq(w.stats.repeated, 0);
    dm_replay_free(w.setup.replay);
    dm_arena_free(w.arena);
    return a;
}

Test(members, killed_and_resumed, .timeout = 300)
{
    const char *path = journal_path("members");
    size_t kills = 0;
    for (uint64_t round = 0; round < 54; round++) {
        const dm_optimizer *name = names[round % 3];
        double share = floor(whole(name) * (round % 2 ? .6 : 10));
        dm_amount cap = DM_NO_CAP;
        double spent = 0;
        all a = {.died = true};
        cap.calls = K * share;
        unlink(path);
        for (uint64_t n = 0; a.died; n++) {
            death k = {.turn = n < 3 ? 1 + dm_draw(11, round, n) % 300 : 0};
            a = attempt(path, name, &cap, (int[]){1, 4, 64}[(round + n) % 3], k);
            kills += a.died;
            spent += a.calls;
        }
        cr_expect_leq(spent, cap.calls, "round %d", (int)round);
        cr_expect_eq(a.charged, a.known + a.calls, "round %d: %g of %g known calls are of use",
                     (int)round, a.charged - a.calls, a.known);
        for (int k = 0; k < K && round % 2 == 0; k++) { /* enough for all: nothing is cut */
            member want = alone(name, k, share);
            expect_same(&a.m[k], &want, "resumed");
        }
    }
    unlink(path);
    cr_expect_gt(kills, 50);
}

/* ---- kills behind records ---- */

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

static dm_str file_bytes(dm_arena *a, const char *path)
{
    dm_str bytes;
    dm_error err;
    cr_assert_eq(dm_read_file(a, path, DM_MAX_FILE, &bytes, &err), DM_OK, "%s", err.text);
    return bytes;
}

static ends ends_of(dm_str bytes)
{
    ends e = {0};
    bool damaged;
    dm_status st;
    dm_error err;
    cr_assert_eq(dm_journal_scan(bytes, add_end, &e, &damaged, &st, &err), bytes.n);
    return e;
}

static void put_bytes(const char *path, dm_str bytes)
{
    FILE *f = fopen(path, "w");
    cr_assert(f && fwrite(bytes.p, 1, bytes.n, f) == bytes.n && fclose(f) == 0);
}

typedef struct cut { /* a run that is killed behind a record, and then goes on */
    const dm_optimizer *name;
    double share; /* of each member */
    dm_amount cap;
    bool ample;  /* the cap: nobody comes near it */
    bool again;  /* it was killed twice */
    bool raised; /* the cap, since then: another budget, other decisions */
    int ranks;   /* of the killed run */
    size_t record, records;
    double made, whole; /* calls of the killed run, and of one that is not */
    dm_str journal;     /* that it left */
    bool has_want;
    member want[K];
} cut;

/* Runs on the journal at path until it is killed behind a record of its own; gives its calls. */
static double kill_behind(cut *c, dm_arena *a, const char *path, uint64_t number)
{
    dm_str before = access(path, F_OK) == 0 ? file_bytes(a, path) : DM_STR("");
    c->whole = attempt(path, c->name, &c->cap, c->ranks, (death){0}).calls;
    ends e = ends_of(file_bytes(a, path)), first = ends_of(before);
    c->records = e.n;
    c->record = e.n;
    if (e.n > first.n + 1)
        c->record = first.n + 1 + dm_draw(12, number, 0) % (e.n - first.n - 1);
    uint64_t end = e.at[c->record - 1];
    free(e.at);
    free(first.at);
    put_bytes(path, before);
    double made = attempt(path, c->name, &c->cap, c->ranks, (death){.behind = end}).calls;
    c->journal = file_bytes(a, path);
    e = ends_of(c->journal);
    cr_assert_eq(e.n, c->record);
    free(e.at);
    return made;
}

/* ---- what a member would be ---- */

struct hashes {
    dm_hash *all; /* [n] */
    size_t n, cap;
    dm_table table;
};

static const dm_hash *hash_at(const void *owner, uint32_t number)
{
    return &((const hashes *)owner)->all[number];
}

static bool has(const hashes *h, const dm_hash *key)
{
    uint32_t number;
    return dm_table_get(&h->table, key, &number);
}

static void add(hashes *h, const dm_hash *key)
{
    if (has(h, key))
        return;
    h->all = dm_room(h->all, h->n, &h->cap, sizeof *h->all);
    h->all[h->n] = *key;
    dm_table_put(&h->table, (uint32_t)h->n++);
}

static hashes no_hashes(const hashes *at)
{
    return (hashes){.table = {.key_of = hash_at, .owner = at}};
}

static void free_hashes(hashes *h)
{
    dm_table_free(&h->table);
    free(h->all);
}

/* The cells that somebody has waited for, and their requests; requests of runs that had not ended.
 * What was known and is still waited for is not among it: others have paid for that. */
static void add_asked(const dm_pool *p, hashes *h)
{
    hashes others = no_hashes(&others);
    for (size_t i = 0; i < p->n_cells; i++) {
        const dm_cell *c = p->cells[i];
        dm_arena *a = dm_arena_new(0);
        dm_result r;
        dm_paid paid = {.n_keys = 0};
        if (c->phase == DM_CELL_DONE)
            cr_assert(dm_read_result(c->result, 0, a, &r, &paid));
        for (size_t k = 0; k < paid.n_keys; k++) {
            dm_hash own = p->keys[dm_key_of((dm_pool *)p, c, c->state, &paid.keys[k])].hash;
            add(c->waiters ? &others : h, &own);
        }
        if (!c->waiters)
            add(h, &c->key);
        dm_arena_free(a);
    }
    for (size_t i = 0; i < p->n_keys; i++)
        if (!has(&others, &p->keys[i].hash))
            add(h, &p->keys[i].hash);
    free_hashes(&others);
}

typedef struct part { /* of a journal: what a member asked for */
    const hashes *of;
    dm_buf bytes;
    double calls;
} part;

static dm_status add_part(void *user, dm_journal_type type, dm_str payload, dm_error *err)
{
    part *x = user;
    dm_replayed record = {.type = type};
    bool keeps = type != DM_JOURNAL_USAGE && type != DM_JOURNAL_TAKEN;
    (void)err;
    if (type == DM_JOURNAL_ANSWER || type == DM_JOURNAL_RESULT) {
        cr_assert(dm_journal_cell_read(payload, &record.key, &record.bytes));
        keeps = has(x->of, &record.key);
        if (keeps)
            add_calls(&x->calls, &record);
    }
    if (keeps)
        dm_journal_frame(&x->bytes, type, payload);
    return DM_OK;
}

static void add_mark(dm_buf *journal, double calls)
{
    dm_buf b;
    dm_writer w;
    dm_buf_init(&b, 4096);
    dm_writer_init(&w, &b);
    dm_write_array(&w, 3);
    dm_write_double(&w, calls);
    dm_write_double(&w, 0);
    dm_write_double(&w, 0);
    dm_journal_frame(journal, DM_JOURNAL_USAGE, dm_buf_view(&b));
    dm_buf_free(&b);
}

static void scan(dm_str bytes, dm_journal_visit *visit, void *user)
{
    bool damaged;
    dm_status st;
    dm_error err;
    cr_assert_eq(dm_journal_scan(bytes, visit, user, &damaged, &st, &err), bytes.n);
}

/* What the member had asked for of all that the journal knows. All of its share is lost, so that it
 * comes no further. */
static void asked_by(const cut *c, const char *path, int number, hashes *h)
{
    dm_buf b;
    dm_buf_init(&b, SIZE_MAX / 4);
    dm_buf_add(&b, c->journal.p, c->journal.n);
    add_mark(&b, 1e9);
    put_bytes(path, dm_buf_view(&b));
    dm_buf_free(&b);
    (void)alone_from(path, c->name, number, c->share, h);
}

/* The member alone with its share, killed at the same record: its journal has what the common one
 * has of its work, and of what was lost its part, by what each had left. */
static member killed_alone(const cut *c, const all *got, int number)
{
    char path[100];
    hashes h = no_hashes(&h);
    part x = {.of = &h};
    snprintf(path, sizeof path, "%s-alone", journal_path("members"));
    asked_by(c, path, number, &h);
    dm_buf_init(&x.bytes, SIZE_MAX / 4);
    scan(c->journal, add_part, &x);
    double left = c->share - x.calls, rest = c->cap.calls - got->known;
    double pays = got->lost < rest ? left * (rest - got->lost) / rest : 0;
    add_mark(&x.bytes, c->share - pays);
    put_bytes(path, dm_buf_view(&x.bytes));
    member m = alone_from(path, c->name, number, c->share, NULL);
    unlink(path);
    dm_buf_free(&x.bytes);
    free_hashes(&h);
    return m;
}

/* What the killed run knew is of use, whoever it was for, and what it lost all pay. */
static void go_on(cut *c, const char *path, int ranks)
{
    char where[160];
    put_bytes(path, c->journal);
    all a = attempt(path, c->name, &c->cap, ranks, (death){0});
    snprintf(where, sizeof where, "%s, %g calls, record %zu of %zu at %d ranks, then %d",
             c->name->name, c->cap.calls, c->record, c->records, c->ranks, ranks);
    cr_expect_leq(c->made + a.calls, c->cap.calls, "%s", where);
    cr_expect_leq(a.known + a.lost + a.calls, c->cap.calls, "%s", where);
    if (!c->raised)
        cr_expect_eq(a.charged, a.known + a.calls, "%s: %g of %g known calls are of use", where,
                     a.charged - a.calls, a.known);
    if (c->ample && !c->again)
        cr_expect_eq(a.calls, c->whole - a.known, "%s: %g calls of %g, %g known", where, a.calls,
                     c->whole, a.known);
    for (int k = 0; k < K; k++) {
        if (!c->has_want)
            c->want[k] = c->again   ? a.m[k]
                         : c->ample ? alone(c->name, k, c->share)
                                    : killed_alone(c, &a, k);
        expect_same(&a.m[k], &c->want[k], where);
    }
    c->has_want = true;
}

static uint64_t n_cuts(void)
{
    const char *many = getenv("MEMBERS_CUTS");
    return many ? strtoull(many, NULL, 10) : 50;
}

static cut cut_of(uint64_t i, double most)
{
    cut c = {.name = names[i % 3],
             .cap = DM_NO_CAP,
             .ample = i / 3 % 2 == 0,
             .ranks = (int[]){1, 4, 64}[i / 6 % 3]};
    c.share = floor(most * (c.ample ? 10 : .35 + .25 * (double)(i / 18 % 3)));
    c.cap.calls = K * c.share;
    return c;
}

/* MEMBERS_CUTS=500: so many. */
Test(members, killed_behind_records, .timeout = 3600)
{
    const char *path = journal_path("members");
    double most[3];
    for (int i = 0; i < 3; i++)
        most[i] = whole(names[i]);
    for (uint64_t i = 0; i < n_cuts(); i++) {
        dm_arena *a = dm_arena_new(0);
        cut c = cut_of(i, most[i % 3]);
        unlink(path);
        c.made = kill_behind(&c, a, path, i);
        for (int r = 0; r < 3; r++)
            go_on(&c, path, (int[]){1, 4, 64}[r]);
        dm_arena_free(a);
    }
    unlink(path);
}

/* Killed behind a record, and again while it goes on: what was decided then is decided so again,
 * and each member is the same at any number of ranks; under a raised cap as well. */
Test(members, killed_again, .timeout = 3600)
{
    const char *path = journal_path("members");
    double most[3];
    for (int i = 0; i < 3; i++)
        most[i] = whole(names[i]);
    for (uint64_t i = 0; i < n_cuts(); i += 2) {
        dm_arena *a = dm_arena_new(0);
        cut c = cut_of(3 + i % 3 + 6 * (i / 3), most[i % 3]);
        unlink(path);
        c.made = kill_behind(&c, a, path, 1000 + i);
        put_bytes(path, c.journal);
        c.ranks = (int[]){64, 1, 4}[i % 3];
        c.made += kill_behind(&c, a, path, 2000 + i);
        c.again = true;
        for (int r = 0; r < 3; r++)
            go_on(&c, path, (int[]){1, 4, 64}[r]);
        c.raised = true;
        c.has_want = false;
        c.cap.calls = floor(1.3 * c.cap.calls);
        for (int r = 0; r < 3; r++)
            go_on(&c, path, (int[]){1, 4, 64}[r]);
        dm_arena_free(a);
    }
    unlink(path);
}
