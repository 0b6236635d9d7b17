/* GEPA, and optimizers one after the other, as whole compilations on the simulated pool, in a world
 * whose metric says what is wrong and whose prompt model learns from that: the same bytes at any
 * number of ranks, under caps, and through kills of the coordinator behind any record. */
#include "optimizer/chain.h"
#include "optimizer/gepa.h"
#include "optimizer/mipro.h"
#include "world.h"

#include "base/random.h"
#include "program/state_file.h"
#include "study/frames.h"

#include <criterion/criterion.h>
#include <unistd.h>

#define FACTS 12

#define THREE_PREDICTORS                                                                           \
    "{\"steps\": [{\"name\": \"a\", \"predict\": \"question -> hint\"},"                           \
    " {\"name\": \"b\", \"predict\": \"question, hint -> clue\"},"                                 \
    " {\"name\": \"c\", \"predict\": \"question, clue -> answer\"}]}"

/* qN needs fact N % FACTS in the instruction of predictor N % n; a wrong answer shows which, and so
 * does what the metric says of it. The predictors before it know nothing of that, those behind it
 * pass on what they are shown: an answer follows from what its call shows, so that it does not
 * matter which candidate's run makes a call that several need. */
static bool knows(const dm_candidate_part *part, const char *fact)
{
    dm_str s = part->instructions;
    return memmem(s.p, s.n, fact, strlen(fact)) != NULL;
}

static void run_task(const dm_work *work, const dm_value *row, dm_arena *a, dm_run_result *out)
{
    const dm_program *p = work->candidate->program;
    dm_step *steps = dm_arena_alloc_n(a, p->n, sizeof *steps);
    const dm_value *question = dm_value_get(row, "question");
    int64_t n = strtoll(question->text.p + 1, NULL, 10);
    const char *fact = dm_arena_printf(a, "<%lld>", (long long)(n % FACTS)), *said = "yes";
    for (size_t i = 0; i < p->n; i++) {
        const dm_signature *s = p->predictors[i].signature;
        dm_value *outputs = dm_value_dict(a), *inputs = dm_value_dict(a);
        if ((size_t)n % p->n == i && !knows(&work->candidate->parts[i], fact))
            said = dm_arena_printf(a, "no, without %s", fact);
        dm_value_set(a, inputs, DM_STR("question"), question);
        for (size_t f = s->n_inputs; f < s->n_inputs + s->n_outputs; f++)
            dm_value_set(a, outputs, s->fields[f].name, dm_value_text(a, said));
        steps[i] = (dm_step){.predictor = i, .inputs = inputs, .outputs = outputs};
    }
    out->outputs = steps[p->n - 1].outputs;
    out->steps = steps;
    out->n_steps = p->n;
}

static bool in_a_block;   /* what the prompt model writes */
static size_t most_cases; /* that it was shown at once */
static size_t to_train_on = 40;

/* The present instruction and up to two of the facts that the feedback names. */
static dm_str learned(dm_arena *a, const dm_value *row)
{
    const dm_value *now = dm_value_get(row, "current_instruction"),
                   *cases = dm_value_get(row, "cases");
    dm_buf b;
    size_t taken = 0;
    most_cases = cases->n > most_cases ? cases->n : most_cases;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_buf_text(&b, in_a_block ? "```markdown\n" : "");
    dm_buf_str(&b, now->text);
    for (size_t i = 0; i < cases->n && taken < 2; i++) {
        const dm_value *said = dm_value_get(cases->items[i], "feedback");
        const char *fact = strchr(said->text.p, '<');
        int n = fact ? (int)strcspn(fact, ">") + 1 : 0;
        if (!fact || memmem(b.data, b.len, fact, (size_t)n))
            continue;
        dm_buf_printf(&b, " %.*s", n, fact);
        taken++;
    }
    dm_buf_text(&b, in_a_block ? "\n```" : "");
    dm_str s = {dm_arena_string(a, b.data, b.len), b.len};
    dm_buf_free(&b);
    return s;
}

/* Every other text stays as long as it is. */
static dm_str shorter(const dm_value *row)
{
    dm_str now = dm_value_get(row, "current_instruction")->text;
    size_t most = (size_t)dm_value_get(row, "most_characters")->number;
    return now.n % 2 ? now : (dm_str){now.p + now.n - most, most};
}

static void rule(void *user, const dm_work *work, const dm_value *row, dm_arena *a,
                 dm_run_result *out)
{
    const world *w = user;
    if (work->candidate->program == w->program) {
        run_task(work, row, a, out);
        return;
    }
    const dm_signature *s = work->candidate->program->predictors[0].signature;
    dm_value *outputs = dm_value_dict(a);
    dm_str text =
        dm_value_get(row, "cases") ? learned(a, row)
        : dm_value_get(row, "most_characters")
            ? shorter(row)
            : dm_str_of(dm_arena_printf(a, "Answer, <%lld>.", (long long)(work->rollout % FACTS)));
    dm_value_set(a, outputs, s->fields[s->n_inputs].name, dm_value_string(a, text));
    out->outputs = outputs;
    out->usage.requests = out->usage.answers = 1;
}

/* ---- one compilation ---- */

typedef enum kind { EXACT, PARALLEL, CHAIN, REFLECTIVE, KINDS } kind;
static const char *const kind_names[] = {"exact", "parallel", "chain", "reflective"};

static dm_params *params_of(dm_arena *a, kind k, const char *own)
{
    static const char *const json[] = {
        "{\"name\": \"gepa\", \"search\": \"gepa\", \"max_metric_calls\": 400}",
        "{\"name\": \"gepa\", \"max_metric_calls\": 400}",
        "[{\"name\": \"mipro_v2\", \"auto\": null, \"num_candidates\": 3, \"num_trials\": 4, "
        "\"minibatch\": false}, {\"name\": \"gepa\", \"max_metric_calls\": 250}]",
        "{\"name\": \"mipro_v2\", \"auto\": null, \"num_candidates\": 3, \"num_trials\": 12, "
        "\"minibatch\": false, \"proposer\": \"reflective\", \"max_bootstrapped_demos\": 0, "
        "\"max_labeled_demos\": 0}"};
    const dm_value *v = dm_json_read(a, dm_str_of(own ? own : json[k]), NULL);
    dm_at at = dm_at_root(v, "optimizer", DM_E_JOB);
    dm_params *p;
    dm_error err = {DM_OK, ""};
    cr_assert_eq(dm_optimizer_read(a, &at, &p, &err), DM_OK, "%s", err.text);
    return p;
}

typedef struct made {
    dm_status status;
    dm_hash bytes; /* of its program's file, its candidates and all their scores */
    dm_hash asked; /* of the set of its calls */
    double first, best, charged, calls;
    size_t n, longest, length; /* of the instructions of any candidate, and of the program's */
    int64_t leaks, dropped, too_long;
    bool died, fenced; /* fenced: the program's instruction stands in a block */
} made;

static made made_of(dm_arena *a, const dm_compile_output *out)
{
    dm_sha256 s;
    dm_buf b;
    made m = {.n = out->n_scored};
    dm_sha256_init(&s);
    dm_buf_init(&b, DM_MAX_FILE);
    dm_state_write(&b, a, out->best, NULL);
    for (size_t i = 0; i < out->n_scored; i++) {
        const dm_scored *c = &out->scored[i];
        dm_buf_printf(&b, "%s %.17g\n", c->name, c->score);
        dm_buf_add(&b, c->candidate->hash.b, sizeof c->candidate->hash.b);
        if (!isnan(c->score))
            m.best = fmax(m.best, c->score);
        for (size_t k = 0; i > 0 && k < c->candidate->program->n; k++)
            m.longest = c->candidate->parts[k].instructions.n > m.longest
                            ? c->candidate->parts[k].instructions.n
                            : m.longest;
    }
    m.length = out->best->parts[0].instructions.n;
    m.fenced = m.length > 3 && memcmp(out->best->parts[0].instructions.p, "```", 3) == 0;
    const dm_value *told = dm_value_get(out->told, "gepa");
    if (told) {
        m.leaks = (int64_t)dm_value_get(told, "leaks")->number;
        m.dropped = (int64_t)dm_value_get(told, "leaks_dropped")->number;
        m.too_long = (int64_t)dm_value_get(told, "too_long")->number;
    }
    m.first = out->n_scored ? out->scored[0].score : NAN;
    dm_sha256_add(&s, b.data, b.len);
    m.bytes = dm_sha256_end(&s);
    dm_buf_free(&b);
    return m;
}

typedef struct setting {
    kind kind;
    int predictors;
    double cap;       /* calls */
    const char *json; /* instead of the kind's */
} setting;

/* path: of the journal, NULL: none; behind: it dies when that has so many bytes. 0: it does not. */
static made compile(const setting *x, int ranks, const char *path, uint64_t behind)
{
    dm_error err = {DM_OK, ""};
    dm_amount cap = DM_NO_CAP;
    world w = world_new(x->predictors == 1 ? ONE_PREDICTOR : THREE_PREDICTORS);
    w.train = questions(w.arena, 0, to_train_on);
    w.val = questions(w.arena, 100, 24);
    w.setup.sets[0] = w.train;
    w.setup.sets[1] = w.val;
    w.sim.run = rule;
    w.sim.ranks = ranks;
    w.sim.dies_behind = behind;
    cap.calls = x->cap;
    w.setup.cap = isinf(x->cap) ? NULL : &cap;
    if (path) {
        w.setup.replay = dm_replay_new();
        w.setup.journal = dm_journal_open(path, DM_FSYNC_1S, dm_value_dict(w.arena), NULL,
                                          dm_replay_visit, w.setup.replay, &err);
        cr_assert_not_null(w.setup.journal, "%s", err.text);
    }
    dm_pool *p = pool_of(&w);
    dm_params *own = params_of(w.arena, x->kind, x->json);
    dm_compile_input in = {.params = own,
                           .student = dm_candidate_seal(dm_candidate_new(w.arena, w.program)),
                           .trainset = w.train,
                           .valset = w.val};
    dm_compile_output out;
    dm_status st = dm_compile(p, &in, &out, &err);
    cr_assert(st >= DM_OK || w.stats.died, "%s", err.text);
    made m = {.status = st};
    if (st >= DM_OK) {
        m = made_of(w.arena, &out);
        m.charged = dm_pool_charged(p, NULL).calls;
    }
    m.status = st;
    m.died = w.stats.died;
    m.calls = (double)w.stats.calls;
    m.asked = w.stats.asked;
    dm_pool_free(p);
    if (path) {
        (void)dm_journal_close(w.setup.journal, NULL);
        if (behind)
            cr_assert_eq(truncate(path, (off_t)behind), 0);
        cr_expect_eq(w.stats.repeated, 0);
        dm_replay_free(w.setup.replay);
    }
    dm_arena_free(w.arena);
    return m;
}

static const char *name_of(const setting *x)
{
    static char text[80];
    snprintf(text, sizeof text, "%s, %d predictors, %g calls", kind_names[x->kind], x->predictors,
             x->cap);
    return text;
}

static double whole(kind k, int predictors)
{
    return compile(&(setting){k, predictors, INFINITY, NULL}, 3, NULL, 0).charged;
}

Test(gepa_runs, same_bytes_at_any_number_of_ranks, .timeout = 300)
{
    for (kind k = 0; k < KINDS; k++)
        for (int predictors = 1; predictors <= 3; predictors += 2) {
            double all = whole(k, predictors);
            for (int part = 0; part < 3; part++) {
                setting x = {k, predictors, part == 2 ? INFINITY : floor(all * (.4 + .4 * part)),
                             NULL};
                made first = compile(&x, 1, NULL, 0);
                cr_expect_leq(first.charged, x.cap, "%s", name_of(&x));
                cr_expect(part < 2 || first.status == DM_OK, "%s", name_of(&x));
                cr_expect(part < 2 || first.best > first.first + .2, "%s: nothing was learned, %g",
                          name_of(&x), first.best);
                static const int ranks[] = {2, 5, 16, 64};
                for (size_t i = 0; i < 4; i++) {
                    made m = compile(&x, ranks[i], NULL, 0);
                    cr_expect(dm_hash_eq(&m.bytes, &first.bytes), "%s: other bytes at %d ranks",
                              name_of(&x), ranks[i]);
                    cr_expect_eq(m.charged, first.charged, "%s, %d ranks: %g, %g", name_of(&x),
                                 ranks[i], m.charged, first.charged);
                    cr_expect(dm_hash_eq(&m.asked, &first.asked), "%s: other calls at %d ranks",
                              name_of(&x), ranks[i]);
                    cr_expect_eq(m.status, first.status, "%s, %d ranks", name_of(&x), ranks[i]);
                }
            }
        }
}

/* ---- relatives: the same calls too ---- */

#define MIPRO(MORE)                                                                                \
    "{\"name\": \"mipro_v2\", \"auto\": null, \"num_candidates\": 3, \"num_trials\": 8, "          \
    "\"max_labeled_demos\": 2, \"max_bootstrapped_demos\": 2, " MORE "}"
#define GEPA "{\"name\": \"gepa\", \"max_metric_calls\": 150}"

static const char *const relatives[] = {
    MIPRO("\"minibatch\": false"),
    MIPRO("\"search\": \"mipro\", \"minibatch_size\": 8"),
    MIPRO("\"search\": \"halving\", \"minibatch\": false"),
    MIPRO("\"minibatch\": false, \"proposer\": \"reflective\""),
    MIPRO("\"minibatch\": false, \"program_aware_proposer\": false, \"fewshot_aware_proposer\": "
          "false"),
    "{\"name\": \"gepa\", \"max_metric_calls\": 300, \"proposals\": 4, \"max_chars\": 70}",
    "{\"name\": \"bootstrap_few_shot_with_random_search\", \"num_candidate_programs\": 4}",
    "[" GEPA ", " MIPRO("\"minibatch\": false") ", " GEPA "]",
    "{\"name\": \"ensemble\", \"k\": 3, \"of\": " GEPA "}",
    "{\"name\": \"ensemble\", \"k\": 2, \"of\": [" MIPRO("\"minibatch\": false") ", " GEPA "]}",
};

Test(gepa_runs, same_calls_at_any_number_of_ranks, .timeout = 300)
{
    for (size_t r = 0; r < sizeof relatives / sizeof *relatives; r++)
        for (int predictors = 1; predictors <= 3; predictors += 2) {
            static const int ranks[] = {1, 2, 5, 16, 64};
            setting x = {KINDS, predictors, INFINITY, relatives[r]};
            made first = {.status = DM_OK};
            for (size_t i = 0; i < 5; i++) {
                made m = compile(&x, ranks[i], NULL, 0);
                first = i ? first : m;
                cr_expect_eq(m.status, DM_OK, "%s", relatives[r]);
                cr_expect(dm_hash_eq(&m.bytes, &first.bytes) &&
                              dm_hash_eq(&m.asked, &first.asked) && m.charged == first.charged,
                          "%s, %d predictors, %d ranks: %g calls, %g at one", relatives[r],
                          predictors, ranks[i], m.charged, first.charged);
            }
        }
}

/* What is too long is asked for again; what stays so is dropped, and both are within the budget. */
Test(gepa_runs, nothing_longer_than_it_may_be)
{
    static const char *const json[] = {
        "{\"name\": \"gepa\", \"max_metric_calls\": 400}",
        "{\"name\": \"gepa\", \"max_metric_calls\": 400, \"max_chars\": 70}"};
    made m[2];
    for (int i = 0; i < 2; i++)
        m[i] = compile(&(setting){PARALLEL, 1, INFINITY, json[i]}, 3, NULL, 0);
    cr_expect_gt(m[0].longest, 70);
    cr_expect_leq(m[1].longest, 70);
    cr_expect_gt(m[1].too_long, 0);
    cr_expect_gt(m[1].best, m[1].first);
    cr_expect_leq(m[1].calls, 400);
}

/* A block of markdown around a whole instruction is not part of it; DSPy's GEPA takes it along. */
Test(gepa_runs, a_block_around_an_instruction)
{
    made bare[2], block[2];
    for (kind k = EXACT; k <= PARALLEL; k++) {
        bare[k] = compile(&(setting){k, 1, INFINITY, NULL}, 3, NULL, 0);
        in_a_block = true;
        block[k] = compile(&(setting){k, 1, INFINITY, NULL}, 3, NULL, 0);
        in_a_block = false;
        cr_expect_gt(block[k].best, block[k].first, "%s", kind_names[k]);
    }
    cr_expect(block[EXACT].fenced && !bare[EXACT].fenced);
    cr_expect(dm_hash_eq(&block[PARALLEL].bytes, &bare[PARALLEL].bytes));
}

static char shown[2000]; /* the last cases that the prompt model saw */

static void note_cases(void *user, const dm_work *work, const dm_value *row, dm_arena *a,
                       dm_run_result *out)
{
    dm_value *outputs = dm_value_dict(a);
    (void)user;
    (void)work;
    const dm_value *feedback = dm_value_get(dm_value_get(row, "cases")->items[0], "feedback");
    snprintf(shown, sizeof shown, "%s", feedback->text.p);
    dm_value_set(a, outputs, DM_STR("new_instruction"), dm_value_text(a, "Better."));
    out->outputs = outputs;
    out->usage.requests = out->usage.answers = 1;
}

/* What was said on other predictors is not shown, and nothing is no feedback. */
Test(gepa_runs, feedback_of_its_own)
{
    static const struct {
        const char *each, *whole, *shown;
    } rows[] = {
        {"{\"b\": [\"on b\", \"on b again\"]}", NULL, "on b again"},
        {"{\"a\": [\"on a\", null]}", NULL, "Score: 0 of 1.\nExpected answer: yes\n"},
        {"{\"a\": [\"on a\", null], \"b\": [\"\", \"\"]}", NULL,
         "Score: 0 of 1.\nExpected answer: yes\n"},
        {"{\"a\": [\"on a\", null], \"\": \"on all\"}", NULL, "on all"},
        {NULL, "on all", "on all"},
        {NULL, "", "Score: 0 of 1.\nExpected answer: yes\n"},
        {NULL, NULL, "Score: 0 of 1.\nExpected answer: yes\n"},
    };
    world w = world_new(THREE_PREDICTORS);
    w.sim.run = note_cases;
    dm_pool *p = pool_of(&w);
    const dm_compile_input in = {.student = dm_candidate_seal(dm_candidate_new(w.arena, w.program)),
                                 .trainset = w.train};
    const dm_value *inputs = dm_json_read(w.arena, DM_STR("{\"question\": \"q1\"}"), NULL);
    const dm_step steps[2] = {{.predictor = 1, .inputs = inputs, .outputs = inputs},
                              {.predictor = 1, .inputs = inputs, .outputs = inputs}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_result r = {.steps = steps, .n_steps = 2, .feedback = rows[i].whole};
        if (rows[i].each)
            r.feedback =
                dm_feedback_on_each(w.arena, dm_json_read(w.arena, dm_str_of(rows[i].each), NULL));
        const dm_gepa_step s = {1, false, &steps[1]};
        const dm_gepa_run run = {.of = &r};
        const dm_gepa_shown one = {0, &run, &s};
        const dm_str texts[3] = {DM_STR("a"), dm_str_of(dm_arena_printf(w.arena, "b %zu", i)),
                                 DM_STR("c")};
        const dm_gepa_question q = {.texts = texts, .component = 1, .shown = &one, .n_shown = 1};
        dm_gepa_asking asking = {.pool = p, .in = &in};
        dm_str text;
        cr_assert_eq(dm_gepa_ask(&asking, &q, 1, &text, NULL), DM_OK);
        cr_expect(dm_str_is(text, "Better."));
        cr_expect_str_eq(shown, rows[i].shown, "%zu: %s", i, shown);
    }
    dm_pool_free(p);
    dm_arena_free(w.arena);
}

/* No more cases are shown than there are examples; the package pads. */
Test(gepa_runs, few_examples)
{
    static const size_t most[2][3] = {{3, 3, 3}, {1, 2, 5}};
    static const size_t train[] = {1, 2, 5};
    for (kind k = EXACT; k <= PARALLEL; k++)
        for (size_t i = 0; i < 3; i++) {
            most_cases = 0;
            to_train_on = train[i];
            made m = compile(&(setting){k, 1, INFINITY, NULL}, 3, NULL, 0);
            cr_expect_eq(m.status, DM_OK);
            cr_expect_eq(most_cases, most[k][i], "%s, %zu examples: %zu cases", kind_names[k],
                         train[i], most_cases);
        }
}

/* A fact is worth two of 24 examples, 8 points, and takes about a token: at 1,000 points for 100
 * tokens it does not pay. */
Test(gepa_runs, length_has_its_price)
{
    static const char *const json[] = {
        "{\"name\": \"gepa\", \"max_metric_calls\": 400, \"length_weight\": 1000}",
        "{\"name\": \"gepa\", \"max_metric_calls\": 400, \"length_weight\": 0.5}",
        "{\"name\": \"gepa\", \"max_metric_calls\": 400}"};
    made m[3];
    for (int i = 0; i < 3; i++)
        m[i] = compile(&(setting){PARALLEL, 1, INFINITY, json[i]}, 3, NULL, 0);
    cr_expect(dm_hash_eq(&m[1].bytes, &m[2].bytes), "what costs little changes nothing here");
    cr_expect_lt(m[0].length, m[2].length);
}

/* ---- kills ---- */

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

/* BIG=1: 50 cuts of each. A cap that is ample is never near, so that nothing depends on what a
 * killed run lost. */
Test(gepa_runs, killed_behind_records, .timeout = 3600)
{
    const char *path = journal_path("gepa-runs"), *big = getenv("BIG");
    uint64_t cuts = big ? 50 : 5;
    size_t died = 0;
    for (kind k = 0; k < KINDS; k++)
        for (int predictors = 1; predictors <= 3; predictors += 2)
            for (int ample = 0; ample < 2; ample++) {
                double all = whole(k, predictors);
                setting x = {k, predictors, ample ? 10 * all : floor(.7 * all), NULL};
                unlink(path);
                made want = compile(&x, 4, path, 0);
                ends e = ends_of(path);
                for (uint64_t c = 0; c < cuts; c++) {
                    static const int ranks[] = {1, 2, 5, 16, 64};
                    uint64_t end = e.at[dm_draw(5, c, (uint64_t)(10 * k + predictors)) % (e.n - 1)];
                    unlink(path);
                    made killed = compile(&x, ranks[c % 5], path, end);
                    made m = compile(&x, ranks[(c + 3) % 5], path, 0);
                    died += killed.died;
                    if (ample)
                        cr_expect(dm_hash_eq(&m.bytes, &want.bytes),
                                  "%s, killed behind byte %llu: other bytes", name_of(&x),
                                  (unsigned long long)end);
                    cr_expect_leq(killed.calls + m.calls, x.cap, "%s", name_of(&x));
                }
                free(e.at);
            }
    unlink(path);
    cr_expect_gt(died, (size_t)(10 * cuts), "few kills hit: %zu", died);
}
