/* An ensemble asked on a simulated pool: its answers and scores are those of its members. */
#include "base/random.h"
#include "ensemble/ask.h"
#include "world.h"

#include <criterion/criterion.h>

enum { MEMBERS = 4, ROWS = 150 };

/* Member "Member K." gives an answer that follows from K and the question; member 1 fails on a
 * fifth of the questions with the fault that user points to. */
static void members_rule(void *user, const dm_work *work, const dm_value *row, dm_arena *a,
                         dm_run_result *out)
{
    static const char *const answers[] = {"yes", "Yes.", "no", "maybe", "A"};
    const dm_fault *fault = user;
    const dm_program *p = work->candidate->program;
    uint64_t member = (uint64_t)(work->candidate->parts[0].instructions.p[7] - '0');
    uint64_t number = strtoull(dm_value_get(row, "question")->text.p + 1, NULL, 10);
    uint64_t u = dm_draw(9, member, number);
    dm_value *outputs = dm_value_dict(a), *inputs = dm_value_dict(a);
    dm_step *step = dm_arena_alloc(a, sizeof *step);
    if (p->predictors[0].module == DM_CHAIN_OF_THOUGHT)
        dm_value_set(a, outputs, DM_STR("reasoning"), dm_value_text(a, "since"));
    dm_value_set(a, outputs, DM_STR("answer"),
                 dm_value_text(a, answers[u % 10 < 5 ? 0 : u % 10 - 5]));
    dm_value_set(a, inputs, DM_STR("question"), dm_value_get(row, "question"));
    *step = (dm_step){.inputs = inputs, .outputs = outputs};
    out->outputs = outputs;
    out->score = dm_value_equal(dm_value_get(outputs, "answer"), dm_value_get(row, "answer"));
    out->usage.requests = out->usage.answers = 1;
    if (work->trace) {
        out->steps = step;
        out->n_steps = 1;
    }
    if (member == 1 && number % 5 == 2)
        out->fault = *fault;
}

typedef struct scene {
    world w;
    dm_fault fault;
    dm_ensemble e;
    const dm_dataset *set;
} scene;

static const dm_candidate *member(scene *s, int k)
{
    dm_candidate *c = dm_candidate_new(s->w.arena, s->w.program);
    c->parts[0].instructions = dm_str_of(dm_arena_printf(s->w.arena, "Member %d.", k));
    return dm_candidate_seal(c);
}

/* Votes 2, 1, 1, 1. */
static void open_scene(scene *s, dm_fault fault, const char *rule)
{
    const dm_candidate *programs[MEMBERS + 1];
    dm_ensemble_rule r;
    dm_error err = {DM_OK, ""};
    s->w = world_new(ONE_PREDICTOR);
    s->fault = fault;
    s->w.sim.run = members_rule;
    s->w.sim.user = &s->fault;
    s->set = questions(s->w.arena, 0, ROWS);
    s->w.setup.sets[0] = s->set;
    s->w.setup.failure_score = .125;
    for (int i = 0; i <= MEMBERS; i++)
        programs[i] = member(s, i ? i - 1 : 0);
    const dm_value *v = dm_json_read(s->w.arena, dm_str_of(rule), &err);
    dm_at at = dm_at_root(v, "rule", DM_E_JOB);
    cr_assert_eq(dm_ensemble_rule_read(&at, &r, &err), DM_OK, "%s", err.text);
    cr_assert_eq(dm_ensemble_new(s->w.arena, "scene", programs, MEMBERS + 1, &r, &s->e, &err),
                 DM_OK, "%s", err.text);
    cr_assert_eq(s->e.n, MEMBERS);
}

typedef struct answered {
    dm_asked asked;
    dm_pool *pool; /* to be freed */
    int64_t calls;
} answered;

/* The job has an input that no member reads: nothing goes by that. */
static answered ask(scene *s, dm_asking how)
{
    static const dm_str inputs[] = {{"answer", 6}, {"question", 8}};
    answered out = {.pool = NULL};
    dm_error err = {DM_OK, ""};
    how.inputs = inputs;
    how.n_inputs = 2;
    out.pool = dm_pool_simulated_new(&s->w.setup, &s->w.sim, &s->w.stats, &err);
    cr_assert_not_null(out.pool, "%s", err.text);
    dm_status st = dm_ensemble_ask(out.pool, &s->e, &how, s->set, &out.asked, &err);
    cr_assert_eq(st, DM_OK, "%s", err.text);
    out.calls = dm_pool_stats_of(out.pool).usage.requests;
    return out;
}

/* Recomputed from the members' own evaluations: which calls nothing for members that were asked. */
static void check_against_members(scene *s, answered *r, dm_reduce reduce)
{
    const dm_result *alone[MEMBERS];
    dm_error err = {DM_OK, ""};
    dm_arena *a = s->w.arena;
    for (size_t k = 0; k < MEMBERS; k++) {
        dm_work w = dm_work_of(s->e.members[k]);
        dm_future *f = dm_pool_evaluate(r->pool, &w, s->set);
        cr_assert_eq(dm_pool_wait(r->pool, f, &alone[k], &err), DM_OK, "%s", err.text);
    }
    for (size_t i = 0; i < ROWS; i++) {
        const dm_value *values[MEMBERS];
        int class[MEMBERS];
        const dm_result *got = &r->asked.results[i];
        for (size_t k = 0; k < MEMBERS; k++)
            values[k] = alone[k][i].fault == DM_FAULT_NONE
                            ? dm_value_get(dm_json_read(a, alone[k][i].outputs, NULL), "answer")
                            : NULL;
        dm_vote_classes(values, MEMBERS, dm_reduce_as_text(reduce, false), class);
        size_t winner = dm_vote(reduce, class, s->e.votes, MEMBERS);
        cr_expect_eq(r->asked.member[i], winner, "row %zu", i);
        if (winner == DM_ABSTAINS) {
            cr_expect(!got->present && got->fault == DM_FAULT_NONE && isnan(got->score));
            continue;
        }
        cr_expect(dm_str_eq(got->outputs, alone[winner][i].outputs), "row %zu", i);
        cr_expect(got->present && got->score == alone[winner][i].score, "row %zu", i);
    }
}

Test(ensemble_ask, a_failing_member_fails_no_call_and_scores_are_the_members)
{
    static const dm_fault faults[] = {DM_FAULT_NONE, DM_FAULT_PARSE, DM_FAULT_REFUSED,
                                      DM_FAULT_FILTER, DM_FAULT_OVERFLOW};
    static const char *const rules[] = {"{\"reduce\": \"majority\"}", "{\"reduce\": \"exact\"}",
                                        "{\"reduce\": \"unanimous\"}"};
    for (size_t f = 0; f < sizeof faults / sizeof *faults; f++)
        for (int r = DM_REDUCE_MAJORITY; r <= DM_REDUCE_UNANIMOUS; r++)
            for (int once = 0; once < 2; once++) {
                scene s;
                open_scene(&s, faults[f], rules[r]);
                answered out =
                    ask(&s, (dm_asking){.scored = true, .strict = true, .at_once = once});
                check_against_members(&s, &out, (dm_reduce)r);
                cr_expect_eq(out.asked.all, MEMBERS * ROWS);
                cr_expect(once ? out.asked.runs == out.asked.all
                               : out.asked.runs < out.asked.all && out.asked.second > 0);
                cr_expect_eq(out.asked.without, 0);
                if (faults[f] == DM_FAULT_NONE)
                    cr_expect_eq((size_t)out.calls, out.asked.runs, "one call a run: %lld",
                                 (long long)out.calls);
                dm_pool_free(out.pool);
                dm_arena_free(s.w.arena);
            }
}

Test(ensemble_ask, the_same_at_any_number_of_ranks)
{
    dm_hash first = {{0}};
    for (int ranks = 1; ranks <= 64; ranks *= 8) {
        scene s;
        open_scene(&s, DM_FAULT_PARSE, "{\"size\": 3}");
        s.w.sim.ranks = ranks;
        answered out = ask(&s, (dm_asking){.scored = true, .strict = true});
        dm_hash h = dm_hash_of(out.asked.member, ROWS * sizeof *out.asked.member);
        if (ranks == 1)
            first = h;
        cr_expect(dm_hash_eq(&h, &first), "%d ranks", ranks);
        dm_pool_free(out.pool);
        dm_arena_free(s.w.arena);
    }
}

/* Members are the drawn ones and no others: by hash, and by Python's stream. */
Test(ensemble_ask, size_asks_so_many_programs)
{
    static const char *const rules[] = {"{\"size\": 2}", "{\"size\": 2, \"size_draw\": \"dspy\"}"};
    for (size_t k = 0; k < 2; k++) {
        scene s;
        open_scene(&s, DM_FAULT_NONE, rules[k]);
        answered out = ask(&s, (dm_asking){.scored = true, .at_once = true, .seed = 3});
        dm_pyrandom stream;
        size_t twice = 0, drawn[2];
        dm_pyrandom_seed(&stream, 3);
        for (size_t i = 0; i < ROWS; i++) {
            dm_hash h = dm_json_hash(
                dm_example_inputs(s.w.arena, s.set->examples[i].row, s.w.setup.inputs, 1));
            if (k)
                dm_pyrandom_sample(&stream, MEMBERS + 1, 2, drawn);
            else
                dm_vote_draw(&h, MEMBERS + 1, 2, drawn);
            size_t x = s.e.list[drawn[0]], y = s.e.list[drawn[1]];
            twice += x == y;
            cr_expect(out.asked.member[i] == x || out.asked.member[i] == y, "row %zu", i);
        }
        cr_expect(twice > 0 && twice < ROWS / 2, "a member with two votes may be drawn twice");
        cr_expect_eq(out.asked.runs, 2 * ROWS - twice);
        dm_pool_free(out.pool);
        dm_arena_free(s.w.arena);
    }
}

Test(ensemble_ask, best_per_input_asks_one)
{
    scene s;
    open_scene(&s, DM_FAULT_NONE, "{\"reduce\": \"best_per_input\"}");
    dm_arena *a = s.w.arena;
    dm_value *list = dm_value_list(a);
    for (size_t i = 0; i < ROWS; i++) {
        dm_value *row = dm_value_dict(a);
        const char *text =
            dm_arena_printf(a, i % 2 ? "q%zu legs of a lion" : "q%zu town of Oslo", i);
        dm_value_set(a, row, DM_STR("question"), dm_value_text(a, text));
        dm_value_set(a, row, DM_STR("answer"), dm_value_text(a, "yes"));
        dm_value_append(a, list, row);
    }
    s.set = dm_dataset_of(a, "kinds", list);
    s.w.setup.sets[0] = s.set;
    dm_features *rows = dm_arena_alloc_n(a, ROWS, sizeof *rows);
    double *score = dm_arena_alloc_n(a, MEMBERS * ROWS, sizeof *score);
    for (size_t i = 0; i < ROWS; i++) {
        rows[i] = dm_features_of(a, s.set->examples[i].row, s.w.setup.inputs, 1);
        score[(1 + i % 2) * ROWS + i] = 1; /* a member for each kind */
    }
    s.e.router = dm_router_new(a, rows, score, MEMBERS, ROWS);
    answered out = ask(&s, (dm_asking){.scored = true});
    for (size_t i = 0; i < ROWS; i++)
        cr_expect_eq(out.asked.member[i], 1 + i % 2, "row %zu", i);
    cr_expect(out.asked.runs == ROWS && out.calls == ROWS, "one call an input");
    cr_expect_float_eq(out.asked.calls, ROWS, 1e-9);
    dm_pool_free(out.pool);
    dm_arena_free(a);
}

Test(ensemble_ask, members_may_be_of_several_programs)
{
    scene s;
    open_scene(&s, DM_FAULT_NONE, "{}");
    const dm_value *v =
        dm_json_read(s.w.arena, DM_STR("{\"predict\": \"question -> answer\"}"), NULL);
    dm_at at = dm_at_root(v, "other", DM_E_JOB);
    dm_candidate *other = dm_candidate_new(s.w.arena, dm_program_read(s.w.arena, &at, NULL));
    other->parts[0].instructions = DM_STR("Member 3.");
    s.e.members[3] = dm_candidate_seal(other);
    answered out = ask(&s, (dm_asking){.scored = true, .at_once = true});
    check_against_members(&s, &out, DM_REDUCE_MAJORITY);
    dm_pool_free(out.pool);
    dm_arena_free(s.w.arena);
}

/* ---- verdicts from results that were made by hand ---- */

static dm_result result_of(const char *outputs, dm_fault fault, double score)
{
    bool absent = fault == DM_FAULT_TRANSPORT || fault == DM_FAULT_ENDPOINT ||
                  fault == DM_FAULT_REFUSED || fault == DM_FAULT_FILTER;
    return (dm_result){.outputs = outputs ? dm_str_of(outputs) : (dm_str){NULL, 0},
                       .fault = fault,
                       .score = absent ? NAN : score,
                       .present = !absent};
}

#define SAYS(text) result_of("{\"answer\": \"" text "\"}", DM_FAULT_NONE, 1)

static dm_verdict verdict(const dm_ensemble *e, const dm_result *a, const dm_result *b,
                          const dm_result *c, bool strict)
{
    static const uint32_t votes[3] = {2, 1, 1};
    const dm_result *all[3] = {a, b, c};
    return dm_ensemble_verdict(e, all, votes, 3, 3, strict);
}

Test(ensemble_ask, by_the_way_an_example_is_absent_and_run_lets_the_others_vote)
{
    dm_ensemble e = {.reduce = DM_REDUCE_MAJORITY, .field = DM_STR("answer")};
    dm_result x = SAYS("x"), y = SAYS("y"), lost = result_of(NULL, DM_FAULT_TRANSPORT, 0),
              closed = result_of(NULL, DM_FAULT_ENDPOINT, 0),
              parse = result_of(NULL, DM_FAULT_PARSE, .125),
              refused = result_of(NULL, DM_FAULT_REFUSED, 0),
              metric = result_of("{\"answer\": \"m\"}", DM_FAULT_METRIC, .125);
    dm_verdict v = verdict(&e, &lost, &x, &y, true);
    cr_expect(v.absent && v.voter == DM_NOBODY && !v.result.present);
    cr_expect_eq(v.result.fault, DM_FAULT_TRANSPORT);
    v = verdict(&e, &x, &y, &closed, true);
    cr_expect(v.absent && v.result.fault == DM_FAULT_ENDPOINT);
    v = verdict(&e, &lost, &x, &y, false);
    cr_expect(!v.absent && v.voter == 1, "those vote that answered");
    v = verdict(&e, &lost, &closed, &lost, false);
    cr_expect(v.voter == DM_NOBODY && v.result.fault == DM_FAULT_TRANSPORT);
    for (int strict = 0; strict < 2; strict++) {
        v = verdict(&e, &parse, &x, &y, strict);
        cr_expect(v.voter == 1 && v.result.score == 1, "its own fault: no vote");
        v = verdict(&e, &refused, &x, &x, strict);
        cr_expect(v.voter == 1 && v.result.present, "refused, where another got an answer");
        v = verdict(&e, &refused, &parse, &parse, strict);
        cr_expect(v.voter == DM_NOBODY && v.result.fault == DM_FAULT_PARSE && v.result.present);
        cr_expect_eq(v.result.score, .125);
        v = verdict(&e, &refused, &refused, &refused, strict);
        cr_expect(v.voter == DM_NOBODY && !v.result.present);
        v = verdict(&e, &metric, &x, &y, strict);
        cr_expect(v.voter == 0 && v.result.fault == DM_FAULT_METRIC, "it has an answer");
    }
}

Test(ensemble_ask, ballots_are_what_candidates_gave)
{
    dm_arena *a = dm_arena_new(0);
    dm_result rows[3][3] = {{SAYS("x"), SAYS("A"), SAYS("x")},
                            {SAYS("X."), SAYS("z"), result_of(NULL, DM_FAULT_PARSE, .125)},
                            {SAYS("y"), SAYS("z"), result_of(NULL, DM_FAULT_REFUSED, 0)}};
    const dm_result *results[3] = {rows[0], rows[1], rows[2]};
    static const int as_text[3][3] = {{0, DM_NO_VOTE, 0},
                                      {0, 0, DM_NO_ANSWER},
                                      {1, 0, DM_NO_ANSWER}},
                     exact[3][3] = {{0, 0, 0}, {1, 1, DM_NO_ANSWER}, {2, 1, DM_NO_ANSWER}};
    bool in_demos[9] = {false};
    for (int k = 0; k < 2; k++) {
        dm_ballots b = dm_ballots_of(a, results, 3, 3, DM_STR("answer"), k == 0, in_demos);
        for (size_t j = 0; j < 3; j++)
            for (size_t i = 0; i < 3; i++)
                cr_expect_eq(b.class[3 * j + i], k ? exact[j][i] : as_text[j][i], "%zu %zu", j, i);
        cr_expect(b.usable[0] && b.usable[1] && !b.usable[2], "one row is absent for one");
        cr_expect_eq(b.score[3 * 1 + 2], .125);
    }
    in_demos[3 * 2 + 1] = true;
    dm_ballots b = dm_ballots_of(a, results, 3, 3, DM_STR("answer"), true, in_demos);
    cr_expect(b.usable[0] && !b.usable[1]);
    dm_arena_free(a);
}
