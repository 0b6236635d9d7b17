/* Votes, waves, committees and the file of an ensemble. What DSPy does stands in golden_ensemble.c.
 */
#include "base/random.h"
#include "ensemble/file.h"
#include "json/json.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static dm_arena *arena;

static void open_arena(void)
{
    arena = dm_arena_new(0);
}

static void close_arena(void)
{
    dm_arena_free(arena);
}

TestSuite(ensemble, .init = open_arena, .fini = close_arena);

static const dm_value *json(const char *text)
{
    dm_error err = {DM_OK, ""};
    const dm_value *v = dm_json_read(arena, dm_str_of(text), &err);
    cr_assert_not_null(v, "%s: %s", text, err.text);
    return v;
}

/* ---- votes ---- */

static size_t vote_of(dm_reduce r, const char *list, const uint32_t *votes)
{
    const dm_value *v = json(list);
    int class[16];
    dm_vote_classes(v->items, v->n, dm_reduce_as_text(r, false), class);
    return dm_vote(r, class, votes, v->n);
}

Test(ensemble, values_of_any_kind_vote_by_equality)
{
    static const struct {
        const char *list;
        size_t winner;
    } cases[] = {{"[4, 5, 5]", 1},
                 {"[true, false, false]", 1},
                 {"[2, 1, true, 1.0]", 1},
                 {"[null, null, 7]", 2},
                 {"[null, null]", 0},
                 {"[[\"a\"], [\"b\", \"c\"], [\"b\", \"c\"]]", 1},
                 {"[{\"a\": 1, \"b\": 2}, {\"a\": 2}, {\"b\": 2, \"a\": 1}]", 0},
                 {"[\"x\", [\"y\"], \"X\", [\"y\"], [\"y\"]]", 1},
                 {"[\"5\", 5, 5]", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int r = DM_REDUCE_MAJORITY; r <= DM_REDUCE_EXACT; r++)
            cr_expect_eq(vote_of((dm_reduce)r, cases[i].list, NULL), cases[i].winner, "%s by %s",
                         cases[i].list, dm_reduce_name((dm_reduce)r));
    cr_expect_eq(vote_of(DM_REDUCE_MAJORITY, "[\"A\", \"B\", \"A\", \"A\"]", NULL), 1);
    cr_expect_eq(vote_of(DM_REDUCE_EXACT, "[\"A\", \"B\", \"A\", \"A\"]", NULL), 0);
}

Test(ensemble, unanimous_answers_or_abstains)
{
    cr_expect_eq(vote_of(DM_REDUCE_UNANIMOUS, "[\"Yes\", \"yes.\", \"YES\"]", NULL), 0);
    cr_expect_eq(vote_of(DM_REDUCE_UNANIMOUS, "[\"yes\", \"yes\", \"no\"]", NULL), DM_ABSTAINS);
    cr_expect_eq(vote_of(DM_REDUCE_UNANIMOUS, "[\"\", \"yes\"]", NULL), 1, "no vote, no dissent");
    cr_expect_eq(vote_of(DM_REDUCE_UNANIMOUS, "[\"\", null]", NULL), DM_ABSTAINS);
    cr_expect_eq(vote_of(DM_REDUCE_UNANIMOUS, "[]", NULL), DM_NOBODY);
    /* By equality where the output is a Literal. */
    int class[2];
    dm_vote_classes(json("[\"yes\", \"Yes\"]")->items, 2,
                    dm_reduce_as_text(DM_REDUCE_UNANIMOUS, true), class);
    cr_expect_eq(dm_vote(DM_REDUCE_UNANIMOUS, class, NULL, 2), DM_ABSTAINS);
}

Test(ensemble, a_member_without_a_prediction_has_no_vote)
{
    const dm_value *values[4] = {NULL, json("\"x\""), NULL, json("\"y\"")};
    const uint32_t votes[4] = {5, 1, 5, 2};
    int class[4];
    dm_vote_classes(values, 4, true, class);
    cr_expect_eq(class[0], DM_NO_ANSWER);
    cr_expect_eq(dm_vote(DM_REDUCE_MAJORITY, class, votes, 4), 3);
    cr_expect_eq(dm_vote(DM_REDUCE_MAJORITY, class, NULL, 4), 1, "a tie: who stands first");
}

/* ---- two waves ---- */

enum { COMMITTEES = 200, INPUTS = 1000, MEMBERS = 9 };

typedef struct waves {
    size_t asked, all, rounds, differ;
} waves;

/* A committee of random members and votes; members are right often, give one of a few wrong
 * answers, nothing that votes, or fail. */
static void ask_committee(uint64_t seed, dm_reduce r, waves *w)
{
    size_t n = 2 + dm_draw(seed, 1, 0) % (MEMBERS - 1), kinds = 2 + dm_draw(seed, 1, 1) % 6;
    uint32_t votes[MEMBERS];
    for (size_t j = 0; j < n; j++)
        votes[j] = 1 + (uint32_t)(dm_draw(seed, 2, j) % 3);
    size_t wave = dm_vote_first_wave(votes, n);
    cr_assert(wave >= 1 && wave <= n);
    for (uint64_t i = 0; i < INPUTS; i++) {
        int class[MEMBERS];
        for (size_t j = 0; j < n; j++) {
            double u = dm_draw_double(seed, 3 + i, j);
            class[j] = u < .05   ? DM_NO_ANSWER
                       : u < .1  ? DM_NO_VOTE
                       : u < .55 ? 0
                                 : (int)(dm_draw(seed, 3 + i, 100 + j) % kinds);
        }
        size_t together = dm_vote(r, class, votes, n), asked = wave;
        if (dm_vote_is_open(r, class, votes, wave, n))
            asked = n;
        w->differ += dm_vote(r, class, votes, asked) != together;
        w->asked += asked;
        w->all += n;
        w->rounds += 1 + (asked > wave);
    }
}

Test(ensemble, two_waves_answer_as_asking_all)
{
    for (int r = DM_REDUCE_MAJORITY; r <= DM_REDUCE_UNANIMOUS; r++) {
        waves w = {0};
        for (uint64_t k = 0; k < COMMITTEES; k++)
            ask_committee(1000 * (uint64_t)r + k, (dm_reduce)r, &w);
        printf("%s, %d committees x %d inputs: %.2f calls an input for %.2f, %.2f waves, %zu "
               "answers differ\n",
               dm_reduce_name((dm_reduce)r), COMMITTEES, INPUTS,
               (double)w.asked / (COMMITTEES * INPUTS), (double)w.all / (COMMITTEES * INPUTS),
               (double)w.rounds / (COMMITTEES * INPUTS), w.differ);
        cr_expect_eq(w.differ, 0);
        cr_expect_lt((double)w.asked, .9 * (double)w.all, "two waves save calls");
    }
}

/* Every list of classes of four members with every number of votes: closed exactly where no vote of
 * the others could change the answer. */
Test(ensemble, a_vote_is_open_while_the_others_can_change_it)
{
    const uint32_t votes[4] = {2, 1, 1, 1};
    for (size_t code = 0; code < 6 * 6 * 6 * 6; code++) {
        int class[4];
        for (size_t j = 0, c = code; j < 4; j++, c /= 6)
            class[j] = (int)(c % 6) - 2;
        for (size_t asked = 1; asked < 4; asked++) {
            bool can = false;
            size_t now = dm_vote(DM_REDUCE_MAJORITY, class, votes, asked), left = 1;
            for (size_t j = asked; j < 4; j++)
                left *= 6;
            for (size_t others = 0; others < left; others++) {
                int all[4];
                memcpy(all, class, sizeof all);
                for (size_t j = asked, c = others; j < 4; j++, c /= 6)
                    all[j] = (int)(c % 6) - 2;
                can |= dm_vote(DM_REDUCE_MAJORITY, all, votes, 4) != now;
            }
            cr_expect_eq(dm_vote_is_open(DM_REDUCE_MAJORITY, class, votes, asked, 4), can,
                         "%d %d %d %d after %zu", class[0], class[1], class[2], class[3], asked);
        }
    }
}

Test(ensemble, the_first_wave_makes_more_than_half)
{
    cr_expect_eq(dm_vote_first_wave(NULL, 5), 3);
    cr_expect_eq(dm_vote_first_wave(NULL, 4), 3);
    cr_expect_eq(dm_vote_first_wave(NULL, 1), 1);
    cr_expect_eq(dm_vote_first_wave((uint32_t[]){3, 1, 1}, 3), 1);
    cr_expect_eq(dm_vote_first_wave((uint32_t[]){2, 2, 1}, 3), 2);
}

/* ---- size ---- */

Test(ensemble, a_draw_by_hash_is_the_same_again_and_fair)
{
    size_t count[7] = {0}, first[3], again[3];
    for (uint64_t i = 0; i < 7000; i++) {
        dm_hash h = dm_hash_of(&i, sizeof i);
        dm_vote_draw(&h, 7, 3, first);
        dm_vote_draw(&h, 7, 3, again);
        cr_assert(memcmp(first, again, sizeof first) == 0);
        cr_assert(first[0] < first[1] && first[1] < first[2] && first[2] < 7);
        for (size_t k = 0; k < 3; k++)
            count[first[k]]++;
    }
    for (size_t j = 0; j < 7; j++) /* 3,000 expected, 41 the standard deviation */
        cr_expect(count[j] > 2800 && count[j] < 3200, "member %zu: %zu", j, count[j]);
}

/* ---- committees ---- */

typedef struct made {
    dm_ballots b;
    int *class;
    double *score;
} made;

/* Candidate j is right with p[j]; wrong answers are one of `kinds`. */
static made ballots(size_t m, size_t n, const double *p, size_t kinds, uint64_t seed)
{
    made d = {.class = dm_arena_alloc_n(arena, m * n, sizeof *d.class),
              .score = dm_arena_alloc_n(arena, m * n, sizeof *d.score)};
    for (size_t j = 0; j < m; j++)
        for (size_t i = 0; i < n; i++) {
            bool right = dm_draw_double(seed, j, i) < p[j];
            d.class[j * n + i] = right ? 0 : 1 + (int)(dm_draw(seed, 100 + j, i) % kinds);
            d.score[j * n + i] = right;
        }
    d.b = (dm_ballots){.m = m, .n = n, .class = d.class, .score = d.score};
    return d;
}

/* The Brier score as its definition says, over all values. */
static double brier(const dm_ballots *b, const size_t *member, size_t k)
{
    double loss = 0;
    for (size_t i = 0; i < b->n; i++)
        for (int value = 0; value < 8; value++) {
            double share = 0;
            for (size_t q = 0; q < k; q++)
                share += (b->class[member[q] * b->n + i] == value) / (double)k;
            loss += (share - (value == 0)) * (share - (value == 0));
        }
    return loss;
}

Test(ensemble, greedy_is_lowest_in_brier_score_at_each_step)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        const double p[6] = {.7, .65, .6, .66, .5, .3};
        made d = ballots(6, 40, p, 3, seed);
        size_t member[5];
        uint32_t votes[6] = {0}, got[6] = {0};
        dm_committee c;
        for (size_t k = 0; k < 5; k++) {
            double lowest = INFINITY;
            size_t order[6], best = 0, n = 0;
            for (size_t j = 0; j < 6; j++) { /* the best single first decides ties */
                size_t at = n++;
                double sum = -brier(&d.b, &j, 1);
                for (; at > 0 && -brier(&d.b, &order[at - 1], 1) < sum; at--)
                    order[at] = order[at - 1];
                order[at] = j;
            }
            for (size_t j = 0; j < 6; j++) {
                member[k] = order[j];
                double loss = brier(&d.b, member, k + 1);
                if (loss < lowest - 1e-6) {
                    lowest = loss;
                    best = order[j];
                }
            }
            member[k] = best;
            votes[best]++;
        }
        dm_committee_choose(&d.b, NULL, 5, &c);
        for (size_t k = 0; k < c.n; k++) {
            got[c.member[k]] = c.votes[k];
            cr_expect(k == 0 || c.votes[k - 1] >= c.votes[k], "most votes first");
        }
        cr_expect(memcmp(votes, got, sizeof votes) == 0, "seed %d", (int)seed);
    }
}

Test(ensemble, the_committee_scores_as_the_member_it_returns)
{
    const int class[] = {1, 0, 0, DM_NO_VOTE, DM_NO_ANSWER, 2};
    const double score[] = {.25, .75, .5, .1, NAN, 1};
    dm_ballots b = {.m = 6, .n = 1, .class = class, .score = score};
    dm_committee c = {.n = 3, .member = {0, 1, 2}, .votes = {1, 1, 1}};
    cr_expect_eq(dm_committee_score(&b, &c, 0), .75, "the first of the value that wins");
    c.votes[0] = 2;
    cr_expect_eq(dm_committee_score(&b, &c, 0), .25, "a tie goes to who stands first");
    c = (dm_committee){.n = 3, .member = {4, 3, 5}, .votes = {2, 2, 1}};
    cr_expect_eq(dm_committee_score(&b, &c, 0), 1, "failed and empty ones do not vote");
    c.n = 1;
    cr_expect_eq(dm_committee_score(&b, &c, 0), 0, "nobody answered");
    const double failed[] = {.125, .125};
    const int none[] = {DM_NO_ANSWER, DM_NO_ANSWER};
    b = (dm_ballots){.m = 2, .n = 1, .class = none, .score = failed};
    c = (dm_committee){.n = 2, .member = {1, 0}, .votes = {3, 2}};
    cr_expect_eq(dm_committee_score(&b, &c, 0), .125, "failure_score is a failed example's score");
}

Test(ensemble, the_guard_takes_gains_and_refuses_noise)
{
    static const double alike[4] = {.7, .7, .7, .7}, one[4] = {.95, .3, .3, .3};
    size_t taken = 0, noise = 0;
    dm_committee c;
    for (uint64_t seed = 0; seed < 40; seed++) {
        made d = ballots(4, 100, alike, 3, seed); /* independent errors: votes gain */
        taken +=
            dm_committee_guarded(&d.b, dm_committee_choose, 5, seed, &c).verdict == DM_GUARD_GAINS;
        for (size_t k = 100; k < 400; k++) { /* all the same as the first: nothing to gain */
            d.class[k] = d.class[k % 100];
            d.score[k] = d.score[k % 100];
        }
        noise +=
            dm_committee_guarded(&d.b, dm_committee_choose, 5, seed, &c).verdict == DM_GUARD_GAINS;
    }
    cr_expect_geq(taken, 30, "%zu of 40", taken);
    cr_expect_eq(noise, 0, "%zu of 40", noise);
    made same = ballots(4, 100, alike, 3, 1);
    memset(same.class, 0, 400 * sizeof *same.class);
    for (size_t k = 0; k < 400; k++)
        same.score[k] = 1;
    dm_guard none = dm_committee_guarded(&same.b, dm_committee_top, 4, 1, &c);
    cr_expect(none.verdict == DM_GUARD_NOISE && none.gain == 0 && none.se == 0 && c.n == 4);
    made d = ballots(4, 100, one, 3, 7);
    dm_guard g = dm_committee_guarded(&d.b, dm_committee_choose, 5, 1, &c);
    cr_expect(g.verdict == DM_GUARD_ONE || g.verdict == DM_GUARD_NOISE);
    cr_expect_eq(c.member[0], 0);
}

Test(ensemble, rows_in_demonstrations_are_left_out_and_few_rows_choose_nothing)
{
    const double p[3] = {.7, .7, .7};
    made d = ballots(3, 40, p, 3, 3);
    bool present[3 * 40], in_demos[3 * 40] = {false}, usable[40];
    memset(present, true, sizeof present);
    for (size_t i = 0; i < 8; i++)
        in_demos[(i % 3) * 40 + i] = true;
    present[2 * 40 + 20] = false;
    cr_expect_eq(dm_ballots_usable(present, NULL, 3, 40, usable), 39);
    cr_expect_eq(dm_ballots_usable(present, in_demos, 3, 40, usable), 31);
    cr_expect(!usable[0] && !usable[7] && !usable[20] && usable[8] && usable[39]);
    dm_committee c, other;
    d.b.usable = usable;
    dm_guard g = dm_committee_guarded(&d.b, dm_committee_choose, 5, 1, &c);
    cr_expect(g.verdict != DM_GUARD_FEW_ROWS && g.n == 31);
    for (size_t i = 0; i < 8; i++) /* whatever they say, they say nothing */
        d.score[i] = 1 - d.score[i];
    dm_committee_guarded(&d.b, dm_committee_choose, 5, 1, &other);
    cr_expect(memcmp(&c, &other, sizeof c) == 0);
    usable[8] = usable[9] = false;
    g = dm_committee_guarded(&d.b, dm_committee_choose, 5, 1, &c);
    cr_expect(g.verdict == DM_GUARD_FEW_ROWS && g.n == 29 && isnan(g.gain) && c.n > 0);
}

Test(ensemble, top_k_and_forecast)
{
    const double p[4] = {.5, .8, .6, .7};
    made d = ballots(4, 200, p, 1, 5);
    dm_committee c;
    dm_committee_top(&d.b, NULL, 3, &c);
    cr_expect(c.n == 3 && c.member[0] == 1 && c.member[1] == 3 && c.member[2] == 2);
    cr_expect_eq(dm_committee_single(&d.b, NULL), 1);
    dm_forecast f = dm_committee_forecast(&d.b); /* independent; one wrong answer */
    cr_expect(fabs(f.correlation) < .15 && f.same_wrong == 1 && dm_forecast_is_poor(&f));
    for (size_t i = 0; i < 800; i++)
        if (d.class[i] > 0)
            d.class[i] = 1 + (int)(i / 200);
    f = dm_committee_forecast(&d.b);
    cr_expect(f.same_wrong == 0 && f.candidates == 4 && !dm_forecast_is_poor(&f));
    for (size_t i = 200; i < 800; i++) {
        d.class[i] = d.class[i % 200];
        d.score[i] = d.score[i % 200];
    }
    f = dm_committee_forecast(&d.b);
    cr_expect(fabs(f.correlation - 1) < 1e-9 && f.same_wrong == 1 && dm_forecast_is_poor(&f));
}

/* ---- best per input ---- */

static dm_features features(const char *question)
{
    dm_value *row = dm_value_dict(arena);
    dm_str name = DM_STR("question");
    dm_value_set(arena, row, name, dm_value_text(arena, question));
    return dm_features_of(arena, row, &name, 1);
}

static const char *question(size_t i)
{
    static const char *const animals[] = {"lion", "whale", "sparrow", "salmon", "badger"};
    static const char *const towns[] = {"Lisbon", "Oslo", "Vienna", "Madrid", "Dublin"};
    return i % 2 ? dm_arena_printf(arena, "How many legs has a %s, number %zu?", animals[i / 2 % 5],
                                   i)
                 : dm_arena_printf(arena, "Which country is the town of %s in, number %zu?",
                                   towns[i / 2 % 5], i);
}

/* Two experts, each right on its half; and two that are right on the same rows. */
static dm_router *router_of(bool experts)
{
    dm_features rows[60];
    double score[2 * 60];
    for (size_t i = 0; i < 60; i++) {
        bool half = experts ? i % 2 : i / 2 % 2;
        rows[i] = features(question(i));
        score[i] = half ? 1 : experts ? 0 : .5;
        score[60 + i] = experts ? !half : half;
    }
    return dm_router_new(arena, rows, score, 2, 60);
}

Test(ensemble, two_experts_are_told_apart_by_the_input)
{
    const dm_router *r = router_of(true);
    dm_guard g = dm_router_guarded(r);
    cr_expect(g.verdict == DM_GUARD_GAINS && g.gain > .4, "gain %.3f +- %.3f", g.gain, g.se);
    for (size_t i = 60; i < 100; i++) {
        dm_features f = features(question(i));
        cr_expect_eq(dm_router_choose(r, &f), i % 2 ? 0 : 1, "%s", question(i));
    }
    g = dm_router_guarded(router_of(false));
    cr_expect(g.verdict == DM_GUARD_ONE || g.verdict == DM_GUARD_NOISE);
}

/* What members score has nothing to do with the input: no more is accepted than one-sided 95 %
 * let through. */
Test(ensemble, the_router_is_refused_where_inputs_tell_nothing)
{
    dm_features rows[60];
    double score[8 * 60];
    size_t taken = 0;
    for (size_t i = 0; i < 60; i++)
        rows[i] = features(question(i));
    for (uint64_t seed = 0; seed < 100; seed++) {
        for (size_t i = 0; i < 8 * 60; i++)
            score[i] = dm_draw_double(seed, 7, i) < .5;
        taken +=
            dm_router_guarded(dm_router_new(arena, rows, score, 8, 60)).verdict == DM_GUARD_GAINS;
    }
    cr_expect_leq(taken, 4, "%zu of 100", taken);
    printf("a router where inputs tell nothing: accepted in %zu of 100\n", taken);
}

Test(ensemble, a_router_is_the_same_behind_a_file)
{
    const dm_router *r = router_of(true);
    dm_router *again = NULL;
    dm_error err = {DM_OK, ""};
    dm_at at = dm_at_root(dm_router_write(arena, r), "file", DM_E_DATA);
    cr_assert_eq(dm_router_read(arena, &at, 2, &again, &err), DM_OK, "%s", err.text);
    for (size_t i = 0; i < 200; i++) {
        dm_features f = features(dm_arena_printf(arena, "%s%zu", i % 3 ? question(i) : "Oh? ", i));
        cr_expect_eq(dm_router_choose(r, &f), dm_router_choose(again, &f));
    }
    static const char *const bad[] = {
        "{\"rows\": [], \"scores\": [[], []]}",
        "{\"rows\": [\"1:1\"], \"scores\": [[1]]}",
        "{\"rows\": [\"1:1\"], \"scores\": [[1], [2]]}",
        "{\"rows\": [\"1:1\"], \"scores\": [[1], [0, 1]]}",
        "{\"rows\": [\"2:1 1:1\"], \"scores\": [[1], [0]]}",
        "{\"rows\": [\"2048:1\"], \"scores\": [[1], [0]]}",
        "{\"rows\": [\"1:0\"], \"scores\": [[1], [0]]}",
        "{\"rows\": [\"1:1 \"], \"scores\": [[1], [0]]}",
        "{\"rows\": [\"1\"], \"scores\": [[1], [0]]}",
        "{\"rows\": [7], \"scores\": [[1], [0]]}",
        "{\"rows\": [\"1:1\"], \"scores\": [[1], [0]], \"more\": 1}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        at = dm_at_root(json(bad[i]), "file", DM_E_DATA);
        cr_expect_eq(dm_router_read(arena, &at, 2, &again, &err), DM_E_DATA, "%s", bad[i]);
    }
}

/* ---- the file ---- */

static const dm_candidate *candidate(const char *program, const char *instructions)
{
    dm_error err = {DM_OK, ""};
    dm_at at = dm_at_root(json(program), "program", DM_E_JOB);
    const dm_program *p = dm_program_read(arena, &at, &err);
    cr_assert_not_null(p, "%s", err.text);
    dm_candidate *c = dm_candidate_new(arena, p);
    c->parts[0].instructions = dm_str_of(instructions);
    return dm_candidate_seal(c);
}

#define ONE   "{\"predict\": \"question -> answer\"}"
#define OTHER "{\"chain_of_thought\": \"question -> answer\"}"

static dm_ensemble ensemble_of(const char *const *programs, const char *words, const char *rule)
{
    const dm_candidate *members[8];
    dm_ensemble_rule r;
    dm_ensemble e;
    dm_error err = {DM_OK, ""};
    size_t n = strlen(words);
    dm_at at = dm_at_root(json(rule), "rule", DM_E_JOB);
    cr_assert_eq(dm_ensemble_rule_read(&at, &r, &err), DM_OK, "%s", err.text);
    for (size_t i = 0; i < n; i++)
        members[i] = candidate(programs[i % 2], dm_arena_printf(arena, "Say %c.", words[i]));
    cr_assert_eq(dm_ensemble_new(arena, "test", members, n, &r, &e, &err), DM_OK, "%s", err.text);
    return e;
}

static const char *text_of_file(const dm_ensemble *e)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_FILE);
    dm_ensemble_write(&b, arena, e, NULL);
    const char *text = dm_arena_string(arena, b.data, b.len);
    dm_buf_free(&b);
    return text;
}

Test(ensemble, repeats_are_votes_and_come_back_from_the_file)
{
    static const char *const same[] = {ONE, ONE}, *const mixed[] = {ONE, OTHER};
    static const char *const *const all[] = {same, mixed};
    for (size_t k = 0; k < 2; k++) {
        dm_ensemble e = ensemble_of(all[k], "aabbc", "{\"reduce\": \"exact\", \"size\": 3}"), again;
        const char *text = text_of_file(&e);
        dm_error err = {DM_OK, ""};
        cr_assert_eq(dm_ensemble_read(arena, dm_str_of(text), "f", NULL, &again, NULL, &err), DM_OK,
                     "%s", err.text);
        cr_expect_eq(e.n, k ? 5 : 3, "another program is another member");
        cr_expect(again.n == e.n && again.all == 5 && again.size == 3 && !again.dspy_draw);
        cr_expect_eq(again.reduce, DM_REDUCE_EXACT);
        for (size_t i = 0; i < e.n; i++) {
            cr_expect_eq(again.votes[i], e.votes[i]);
            cr_expect(dm_hash_eq(&again.members[i]->hash, &e.members[i]->hash));
        }
        cr_expect_str_eq(text, text_of_file(&again));
    }
}

Test(ensemble, the_rule_follows_from_the_output)
{
    static const struct {
        const char *program;
        dm_reduce reduce;
    } cases[] = {{ONE, DM_REDUCE_MAJORITY},
                 {"{\"predict\": \"q -> a: str\"}", DM_REDUCE_MAJORITY},
                 {"{\"predict\": \"q -> a: int\"}", DM_REDUCE_EXACT},
                 {"{\"predict\": \"q -> a: list[str]\"}", DM_REDUCE_EXACT},
                 {"{\"predict\": \"q -> a: Literal['A', 'B']\"}", DM_REDUCE_EXACT},
                 {"{\"predict\": \"q -> n: int, a\"}", DM_REDUCE_MAJORITY}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *programs[2] = {cases[i].program, cases[i].program};
        cr_expect_eq(ensemble_of(programs, "ab", "{}").reduce, cases[i].reduce, "%s",
                     cases[i].program);
    }
}

static const char *refusal(const char *program, const char *rule)
{
    const dm_candidate *members[2] = {candidate(ONE, "a"), candidate(program, "b")};
    dm_ensemble_rule r;
    dm_ensemble e;
    dm_error err = {DM_OK, ""};
    dm_at at = dm_at_root(json(rule), "job.json", DM_E_JOB);
    dm_status st = dm_ensemble_rule_read(&at, &r, &err);
    if (st == DM_OK)
        st = dm_ensemble_new(arena, "test", members, 2, &r, &e, &err);
    return st == DM_OK ? "" : dm_arena_string(arena, err.text, strlen(err.text));
}

Test(ensemble, what_never_gained_or_does_not_fit_is_refused)
{
    cr_expect_str_eq(refusal(OTHER, "{}"), "");
    cr_expect_str_eq(refusal(OTHER, "{\"reduce\": \"majority\", \"size\": null}"), "");
    cr_expect(strstr(refusal(OTHER, "{\"reduce\": \"log_odds\"}"), "never gained"));
    cr_expect(strstr(refusal(OTHER, "{\"reduce\": \"cascade\"}"), "never gained"));
    cr_expect(strstr(refusal(OTHER, "{\"reduce\": \"mean\"}"), "not \"mean\""));
    cr_expect(strstr(refusal(OTHER, "{\"size\": 3}"), "size 3 of 2 members"));
    cr_expect(strstr(refusal(OTHER, "{\"size\": 1, \"size_draw\": \"x\"}"), "hash or dspy"));
    cr_expect(
        strstr(refusal("{\"predict\": \"question -> label\"}", "{}"), "no output \"answer\""));
}

static const char *read_failure(const char *text)
{
    dm_ensemble e;
    dm_error err = {DM_OK, ""};
    dm_status st = dm_ensemble_read(arena, dm_str_of(text), "f.json", NULL, &e, NULL, &err);
    return st == DM_OK ? "" : dm_arena_string(arena, err.text, strlen(err.text));
}

static const char *changed(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    cr_assert_not_null(at, "%s", from);
    return dm_arena_printf(arena, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

Test(ensemble, a_file_that_was_changed_is_refused)
{
    static const char *const same[] = {ONE, ONE};
    dm_ensemble e = ensemble_of(same, "aab", "{}");
    const char *text = text_of_file(&e);
    cr_expect_str_eq(read_failure(text), "");
    cr_expect(strstr(read_failure(changed(text, "programs[1]", "programs[3]")), "programs[1]"));
    cr_expect(strstr(read_failure(changed(text, "programs[2]", "programs[64]")), "more than 64"));
    cr_expect(strstr(read_failure(changed(text, "programs[2]", "program[2]")), "3 votes"));
    cr_expect(strstr(read_failure(changed(text, "majority", "best_per_input")), "a router"));
    cr_expect(strstr(read_failure(changed(text, "Question:", "Task:")), "another program"));
    cr_expect(strstr(read_failure("{\"predict\": {}}"), "no member"));
    cr_expect(strstr(read_failure("[]"), "an object"));
}

static const char *python_of(const char *const *programs, const char *rule, const char *more)
{
    dm_ensemble e = ensemble_of(programs, "aab", rule);
    dm_buf b;
    e.more = json(more);
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_ensemble_python(&b, arena, &e, "out/ensemble.json");
    const char *text = dm_arena_string(arena, b.data, b.len);
    dm_buf_free(&b);
    return text;
}

Test(ensemble, the_python_has_a_fresh_module_for_each)
{
    static const char *const same[] = {ONE, ONE}, *const mixed[] = {ONE, OTHER};
    cr_expect_str_eq(python_of(same, "{}", "{}"),
                     "import dspy\n\n"
                     "ensemble = dspy.Ensemble(reduce_fn=dspy.majority).compile("
                     "[dspy.Predict('question -> answer') for _ in range(3)])  # a module of its "
                     "own for each: [p] * n would be one\n"
                     "ensemble.load('out/ensemble.json')\n");
    cr_expect(strstr(python_of(mixed, "{\"size\": 2}", "{}"),
                     "size=2).compile([\n    dspy.Predict('question -> answer'),\n"
                     "    dspy.ChainOfThought('question -> answer'),\n"
                     "    dspy.Predict('question -> answer'),\n])"));
    cr_expect(strstr(python_of(same, "{\"reduce\": \"exact\"}", "{}"), "reduce_fn=most_votes"));
    cr_expect(strstr(python_of(same, "{\"reduce\": \"unanimous\"}", "{}"), "reduce_fn=unanimous"));
    cr_expect(strstr(python_of(same, "{}", "{\"lms\": [null, \"openai/gpt-4o-mini\", null]}"),
                     "ensemble.programs[1].set_lm(dspy.LM('openai/gpt-4o-mini'))"));
}

#define PROSE ", \"prefix\": \"P:\", \"desc\": \"d\"}"
#define IN_PYTHON(from)                                                                            \
    "{\"python\": \"" from                                                                         \
    "\", \"inputs\": [\"question\"], \"predictors\": [{\"name\": \"last\", "                       \
    "\"instructions\": \"Say.\", \"fields\": [{\"name\": \"question\", \"input\": true" PROSE      \
    ", {\"name\": \"answer\", \"input\": false" PROSE "], "                                        \
    "\"state\": {\"demos\": [], \"signature\": {}}}]}"

Test(ensemble, the_python_of_a_program_in_python_takes_it_from_there)
{
    static const struct {
        const char *program, *source;
    } cases[] = {
        {IN_PYTHON("hops:program"), "import dspy\n\nimport hops\n\nsource = hops.program\n\n"},
        {IN_PYTHON("a.b:Outer.made"), "import a.b\n\nsource = a.b.Outer.made\n\n"},
        {IN_PYTHON("src/hops.py:Hops"),
         "import sys\n\nsys.path.insert(0, 'src/')\nimport hops\n\nsource = hops.Hops\n\n"},
        {IN_PYTHON("pickle:a/b.pkl"),
         "import cloudpickle\n\nsource = cloudpickle.load(open('a/b.pkl', \"rb\"))\n\n"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *programs[2] = {cases[i].program, cases[i].program};
        const char *text = python_of(programs, "{\"field\": \"label\"}", "{}");
        cr_expect(strstr(text, cases[i].source), "%s", text);
        cr_expect(strstr(text, "def fresh():"), "%s", text);
        cr_expect(strstr(text, ".compile([fresh() for _ in range(3)])"), "%s", text);
        cr_expect(strstr(text, "def most_votes(predictions, field=\"label\")"), "%s", text);
        text = python_of(programs, "{}", "{}");
        cr_expect(strstr(text, "dspy.majority(p, field=\"answer\")"), "%s", text);
    }
}

Test(ensemble, a_program_with_a_list_of_that_name_is_one_program)
{
    dm_predictor predictors[] = {{.path = DM_STR("programs[0].predict")}, {.path = DM_STR("last")}};
    dm_program p = {.predictors = predictors, .n = 2},
               other = {.predictors = predictors + 1, .n = 1};
    const dm_value *dspys = json("{\"programs[0].predict\": {}, \"last\": {}}"),
                   *members = json("{\"programs[0].predict\": {}, \"programs[1].predict\": {}}"),
                   *own = json("{\"programs[0].predict\": {}, \"last\": {}, \"metadata\": "
                               "{\"dspy_mpi\": {\"program\": {}}}}"),
                   *own_members = json(
                       "{\"programs[0].predict\": {}, \"last\": {}, \"metadata\": {\"dspy_mpi\": "
                       "{\"program\": {}, \"ensemble\": {}}}}");
    cr_expect(!dm_ensemble_is(dspys, &p));
    cr_expect(dm_ensemble_is(members, &p));
    cr_expect(dm_ensemble_is(members, &other));
    cr_expect(dm_ensemble_is(members, NULL));
    cr_expect(!dm_ensemble_is(own, NULL) && !dm_ensemble_is(own, &other));
    cr_expect(dm_ensemble_is(own_members, &p));
    cr_expect(!dm_ensemble_is(NULL, NULL) && !dm_ensemble_is(json("[]"), &p));
}
