/* GEPA's default search: what it may spend, and that it ends. (Its other decisions are seen in
 * tests/golden/golden_gepa.c and tests/bench/bench_gepa.c.) */
#include "gepa/gepa.h"

#include <criterion/criterion.h>
#include <sys/resource.h>

typedef struct counting {
    dm_arena *arena;
    void (*tell)(void *user, const dm_gepa_iteration *it);
    int64_t seed;
    bool rugged;                     /* how good a text is follows from its number */
    size_t chosen, unlike;           /* children of several; those that did not gain the most */
    size_t runs, reflections, texts; /* that a reflection gives, at most; 0: none, ever */
    bool perfect;                    /* all answers are */
    bool alike;                      /* all answers score .5, whatever the text */
    bool absent;                     /* those of the start to even rows have no score */
    size_t rows;                     /* to train on; 0: 20 */
} counting;

static dm_status evaluate(void *user, dm_gepa_batch *b, size_t n, dm_error *err)
{
    counting *c = user;
    (void)err;
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < b[k].n; i++) {
            dm_gepa_step *s = dm_arena_alloc(c->arena, sizeof *s);
            double score = c->perfect || (b[k].rows[i] + b[k].texts[0].n) % 3 == 0;
            bool absent = c->absent && b[k].rows[i] % 2 == 0 && dm_str_is(b[k].texts[0], "start");
            score = absent ? 0 : c->alike ? .5 : score;
            uint64_t number = strtoul(b[k].texts[0].p, NULL, 10);
            if (c->rugged)
                score = dm_draw(b[k].val, number, b[k].rows[i]) % 100 < number * 37 % 60;
            b[k].runs[i] = (dm_gepa_run){
                .score = score, .answered = !absent, .absent = absent, .steps = s, .n_steps = 1};
            c->runs++;
        }
    return DM_OK;
}

static dm_status reflect(void *user, const dm_gepa_question *q, size_t n, dm_str *texts,
                         dm_error *err)
{
    counting *c = user;
    (void)q;
    (void)err;
    for (size_t i = 0; i < n; i++) {
        size_t k = c->texts ? c->reflections % c->texts : 0;
        char *text = dm_arena_printf(c->arena, "%zu%.*s", k, (int)(k % 7), "......");
        texts[i] = c->texts ? dm_str_of(text) : (dm_str){NULL, 0};
        c->reflections++;
    }
    return DM_OK;
}

static dm_gepa_result search(counting *c, int64_t budget, size_t proposals, size_t failures)
{
    static const size_t shape[1] = {0};
    const dm_gepa_options o = {.n_components = 1,
                               .shape = shape,
                               .n_train = c->rows ? c->rows : 20,
                               .n_val = 12,
                               .seed = c->seed,
                               .minibatch = 5,
                               .budget = budget,
                               .skip_perfect = true,
                               .perfect = 1,
                               .merge = true,
                               .max_merges = 5,
                               .sampling = DM_GEPA_INDEPENDENT,
                               .sampled_batches = proposals,
                               .keep = DM_GEPA_BEST,
                               .wide = true,
                               .max_reflection_failures = failures};
    const dm_gepa_world world = {c, evaluate, reflect, c->tell};
    const dm_str start = DM_STR("start");
    dm_gepa_result r;
    cr_assert_eq(dm_gepa_search(c->arena, &o, &start, &world, &r, NULL), DM_OK);
    cr_expect_eq(r.counted, (int64_t)c->runs);
    cr_expect_eq(r.reflections, c->reflections);
    return r;
}

/* Runs and reflections together are within the budget, whatever it is. */
Test(gepa, the_budget_is_never_passed)
{
    for (int64_t budget = 12; budget < 600; budget += 13)
        for (size_t proposals = 1; proposals < 6; proposals++) {
            counting c = {.arena = dm_arena_new(0), .texts = 1000, .perfect = budget % 2};
            dm_gepa_result r = search(&c, budget, proposals, 0);
            cr_expect_leq(c.runs + c.reflections, (size_t)budget, "%zu runs, %zu reflections of %d",
                          c.runs, c.reflections, (int)budget);
            cr_expect(r.n > 0 && (c.perfect || r.end == DM_GEPA_END_BUDGET));
            dm_arena_free(c.arena);
        }
}

/* A text is run on a row once, so a search that is told few texts soon has nothing to run. */
Test(gepa, without_new_texts_it_ends)
{
    for (size_t texts = 1; texts < 4; texts++) {
        counting c = {.arena = dm_arena_new(0), .texts = texts};
        dm_gepa_result r = search(&c, 1000000, 2, 0);
        cr_expect_eq(r.end, DM_GEPA_END_DRY);
        cr_expect_leq(c.runs, (texts + 1) * (20 + 12));
        cr_expect_lt(c.reflections, 400);
        dm_arena_free(c.arena);
    }
    counting perfect = {.arena = dm_arena_new(0), .texts = 9, .perfect = true};
    dm_gepa_result r = search(&perfect, 1000000, 2, 0);
    cr_expect(r.end == DM_GEPA_END_DRY && perfect.reflections == 0 && perfect.runs == 32);
    dm_arena_free(perfect.arena);
    counting mute = {.arena = dm_arena_new(0)};
    r = search(&mute, 1000000, 2, 5);
    cr_expect(r.end == DM_GEPA_END_REFLECTION && r.failed_reflections == 5);
    dm_arena_free(mute.arena);
}

static long most_kib(void)
{
    struct rusage u;
    cr_assert_eq(getrusage(RUSAGE_SELF, &u), 0);
    return u.ru_maxrss;
}

/* What is kept of each text is as much as was run of it. */
Test(gepa, many_rows_take_no_more_memory_than_their_order)
{
    counting c = {.arena = dm_arena_new(0), .texts = 1000, .rows = 400000};
    long before = most_kib();
    dm_gepa_result r = search(&c, 600, 2, 0);
    cr_expect(r.reflections > 20 && r.n > 1);
    cr_expect_lt(most_kib() - before, 100000);
    dm_arena_free(c.arena);
}

/* A row that has no score, as where a judge's words could not be read, is no 0: neither in a mean
 * nor where a child is compared with its parent. */
Test(gepa, what_has_no_score_is_left_out)
{
    counting c = {.arena = dm_arena_new(0), .texts = 1000, .alike = true, .absent = true};
    dm_gepa_result r = search(&c, 1000, 2, 0);
    cr_expect_eq(r.candidates[0].mean, .5);
    cr_expect_eq(r.accepted, 0, "%zu children that are no better", r.accepted);
    cr_expect_eq(r.best, 0);
    dm_arena_free(c.arena);
    counting some = {.arena = dm_arena_new(0), .texts = 1000, .absent = true};
    r = search(&some, 1000, 2, 0);
    double sum = 0;
    for (size_t v = 1; v < 12; v += 2) /* of the start, the odd rows */
        sum += (v + 5) % 3 == 0;
    cr_expect_float_eq(r.candidates[0].mean, sum / 6, 1e-15);
    cr_expect(r.accepted > 0);
    for (size_t v = 0; v < 12; v += 2)
        for (size_t i = 0; i < r.n_front[v]; i++)
            cr_expect_neq(r.fronts[v][i], 0, "the start is on the front of row %zu", v);
    dm_arena_free(some.arena);
}

/* ---- which child is validated ---- */

static double sum_of(const dm_gepa_run *runs, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += runs[i].score;
    return sum;
}

/* Of several that gain, the one whose parent's value and a quarter of its gain are the most. */
static void look_at_choice(void *user, const dm_gepa_iteration *it)
{
    counting *c = user;
    size_t n = 0;
    double best = -1, most = -1, gain_of_best = 0;
    const dm_gepa_proposal *chosen = NULL;
    for (size_t k = 0; k < it->n_proposals; k++) {
        const dm_gepa_proposal *p = &it->proposals[k];
        bool known = !p->after;
        for (size_t i = 0; i < it->n_candidates && !known; i++)
            known = i != p->candidate && dm_str_eq(it->candidates[i].texts[0], p->texts[0]);
        double gain = known ? 0 : sum_of(p->after, p->n_ids) - sum_of(p->before, p->n_ids);
        if (gain <= 1e-9)
            continue;
        double worth = it->candidates[p->parent].mean + gain / 4 / (double)p->n_ids;
        n++;
        most = gain > most ? gain : most;
        if (worth > best) {
            best = worth;
            chosen = p;
            gain_of_best = gain;
        }
    }
    if (n < 2)
        return;
    cr_expect(chosen->candidate != SIZE_MAX, "iteration %zu validates another child", it->number);
    cr_expect_eq(it->n_accepted, 1);
    c->chosen++;
    c->unlike += gain_of_best < most;
}

Test(gepa, a_good_parent_counts_more_than_a_lucky_minibatch)
{
    counting c = {.arena = dm_arena_new(0), .texts = 1000, .rugged = true, .tell = look_at_choice};
    for (int k = 0; k < 20; k++) {
        c.seed = k;
        (void)search(&c, 800, 3, 0);
        c.runs = c.reflections = 0;
    }
    cr_expect_gt(c.chosen, 20);
    cr_expect_gt(c.unlike, 5, "little here tells it from the largest gain: %zu", c.unlike);
    dm_arena_free(c.arena);
}

/* ---- the text of an answer ---- */

Test(gepa, fences_that_are_part_of_a_text_stay)
{
    static const char *const texts[][2] = {
        {"Answer yes.", "Answer yes."},
        {" \u00a0\u3000Answer.\u2028 ", "Answer."},
        {"```\nAnswer yes.\n```", "Answer yes."},
        {"\n```markdown\nAnswer\nyes.\n```\n", "Answer\nyes."},
        {"```Answer yes.```", "Answer yes."},
        {"```\nAnswer yes.```", "Answer yes."},
        {"```\n```", ""},
        {"``````", ""},
        {"Answer as here:\n```\nyes\n```\nBe brief.", "Answer as here:\n```\nyes\n```\nBe brief."},
        {"Answer as here:\n```\nyes\n```", "Answer as here:\n```\nyes\n```"},
        {"```\nyes\n```\nis the form.", "```\nyes\n```\nis the form."},
        {"```\nyes\n```\nor\n```\nno\n```", "```\nyes\n```\nor\n```\nno\n```"},
        {"```json\n{}\n```\nor\n```json\n[]\n```", "```json\n{}\n```\nor\n```json\n[]\n```"},
        {"```\nAs here:\n```json\n{}\n```\nBe brief.\n```",
         "As here:\n```json\n{}\n```\nBe brief."},
        {"Put it between ``` and ```.", "Put it between ``` and ```."},
        {"```", "```"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        dm_str got = dm_gepa_unwrapped(dm_str_of(texts[i][0]));
        cr_expect(dm_str_is(got, texts[i][1]), "%zu: '%.*s'", i, DM_STR_ARG(got));
    }
}
