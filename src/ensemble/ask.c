#include "ensemble/ask.h"
#include "base/random.h"
#include "ensemble/pick.h"
#include "json/json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct voter {
    size_t member;
    uint32_t votes;
} voter;

typedef struct input {         /* one example: who votes on it, in the order of the vote */
    voter *voters;             /* [n] no two of one member */
    const dm_result **results; /* [n] NULL: not asked */
    size_t n, asked;           /* the first ones were asked */
    size_t pick;               /* the voter that a judge picked; SIZE_MAX: none */
} input;

typedef struct election {
    dm_pool *pool;
    const dm_ensemble *e;
    const dm_asking *how;
    const dm_dataset *set;
    input *inputs; /* [set->n] */
    dm_arena *arena;
    const dm_str *columns; /* [n_columns] that size and router go by */
    size_t n_columns;
} election;

/* ---- who votes ---- */

static void add_voter(input *in, size_t member, uint32_t votes)
{
    size_t k = 0;
    while (k < in->n && in->voters[k].member != member)
        k++;
    if (k == in->n)
        in->voters[in->n++] = (voter){member, 0};
    in->voters[k].votes += votes;
}

/* A draw may have a member several times: it counts where it stands first. */
static void draw_voters(const election *r, dm_pyrandom *stream, const dm_value *row, input *in)
{
    const dm_ensemble *e = r->e;
    size_t drawn[DM_COMMITTEE_MOST];
    if (e->dspy_draw) {
        dm_pyrandom_sample(stream, e->all, e->size, drawn);
    } else {
        dm_arena *a = dm_arena_new(0);
        dm_hash h = dm_json_hash(dm_example_inputs(a, row, r->columns, r->n_columns));
        dm_vote_draw(&h, e->all, e->size, drawn);
        dm_arena_free(a);
    }
    for (size_t k = 0; k < e->size; k++)
        add_voter(in, e->list[drawn[k]], 1);
}

static void choose_voters(election *r)
{
    const dm_ensemble *e = r->e;
    dm_pyrandom stream;
    dm_pyrandom_seed(&stream, r->how->seed);
    for (size_t i = 0; e->dspy_draw && i < r->how->before; i++) {
        size_t drawn[DM_COMMITTEE_MOST];
        dm_pyrandom_sample(&stream, e->all, e->size, drawn);
    }
    for (size_t i = 0; i < r->set->n; i++) {
        input *in = &r->inputs[i];
        const dm_value *row = r->set->examples[i].row;
        in->voters = dm_arena_alloc_n(r->arena, e->n, sizeof *in->voters);
        in->results = dm_arena_alloc_n(r->arena, e->n, sizeof *in->results);
        in->pick = SIZE_MAX;
        if (e->reduce == DM_REDUCE_BEST_PER_INPUT) {
            dm_features f = dm_features_of(r->arena, row, r->columns, r->n_columns);
            add_voter(in, dm_router_choose(e->router, &f), 1);
        } else if (e->size) {
            draw_voters(r, &stream, row, in);
        } else {
            for (size_t k = 0; k < e->n; k++)
                add_voter(in, k, e->votes[k]);
        }
    }
}

/* ---- asking ---- */

/* Submits the member's runs on the inputs whose voters up to `upto` it is among and was not asked;
 * which: their numbers. NULL: there are none. */
static dm_future *submit(election *r, size_t member, const size_t *upto, size_t *which, size_t *n)
{
    const dm_example **examples = dm_alloc_n(r->set->n, sizeof *examples);
    dm_work w = dm_work_of(r->e->members[member]);
    *n = 0;
    for (size_t i = 0; i < r->set->n; i++)
        for (size_t k = r->inputs[i].asked; k < upto[i]; k++)
            if (r->inputs[i].voters[k].member == member) {
                examples[*n] = &r->set->examples[i];
                which[(*n)++] = i;
            }
    w.scored = r->how->scored;
    w.role = r->e->role ? r->e->role[member] : DM_TASK;
    dm_future *f = *n ? dm_pool_submit(r->pool, &w, examples, *n) : NULL;
    free(examples);
    return f;
}

static void take_results(election *r, size_t member, const dm_result *results, const size_t *which,
                         size_t n)
{
    for (size_t i = 0; i < n; i++) {
        input *in = &r->inputs[which[i]];
        size_t k = 0;
        while (in->voters[k].member != member)
            k++;
        in->results[k] = &results[i];
    }
}

/* Asks voters asked, ..., upto[i] - 1 of each input i. All go out before the first is waited for.
 */
static dm_status ask(election *r, const size_t *upto, dm_error *err)
{
    size_t members = r->e->n, n = r->set->n;
    dm_future **futures = dm_alloc_n(members, sizeof *futures);
    size_t *which = dm_alloc_n(members * n, sizeof *which),
           *counts = dm_alloc_n(members, sizeof *counts);
    dm_status st = DM_OK;
    for (size_t k = 0; k < members; k++)
        futures[k] = submit(r, k, upto, which + k * n, &counts[k]);
    for (size_t k = 0; k < members && st == DM_OK; k++) {
        const dm_result *results;
        if (!futures[k])
            continue;
        st = dm_pool_wait(r->pool, futures[k], &results, err);
        if (st == DM_OK)
            take_results(r, k, results, which + k * n, counts[k]);
    }
    for (size_t i = 0; i < n; i++)
        r->inputs[i].asked = upto[i];
    free(futures);
    free(which);
    free(counts);
    return st;
}

/* ---- counting ---- */

static dm_verdict verdict_of(const election *r, const input *in)
{
    uint32_t votes[DM_COMMITTEE_MOST];
    for (size_t k = 0; k < in->n; k++)
        votes[k] = in->voters[k].votes;
    return dm_ensemble_verdict(r->e, in->results, votes, in->asked, in->n, r->how->strict);
}

static void settle(const election *r, size_t i, dm_asked *out)
{
    const input *in = &r->inputs[i];
    dm_verdict v = verdict_of(r, in);
    bool without = false, voted = v.voter != DM_NOBODY && v.voter != DM_ABSTAINS;
    for (size_t k = 0; k < in->asked; k++) {
        without |= dm_got_nothing(in->results[k]);
        out->calls += dm_program_calls(r->e->members[in->voters[k].member]->program);
    }
    out->runs += in->asked;
    out->all += in->n;
    out->without += without;
    out->abstained += v.voter == DM_ABSTAINS;
    if (in->pick != SIZE_MAX) {
        v.voter = in->pick;
        v.result = *in->results[in->pick];
    }
    out->results[i] = v.result;
    out->member[i] = voted ? in->voters[v.voter].member : v.voter;
}

/* ---- a judge that picks ---- */

typedef struct picking { /* of one input */
    dm_future *future;
    size_t voter[DM_COMMITTEE_MOST]; /* [n] the first that gave each value */
    size_t n;
} picking;

/* Asks where there is more than one value. */
static dm_status ask_judge(const election *r, size_t i, picking *p, dm_error *err)
{
    const input *in = &r->inputs[i];
    dm_arena *a = dm_pool_arena(r->pool);
    const dm_value *values[DM_COMMITTEE_MOST], *shown[DM_COMMITTEE_MOST];
    int class[DM_COMMITTEE_MOST], seen = 0;
    for (size_t k = 0; k < in->asked; k++)
        values[k] = dm_answer_of(a, in->results[k], r->e->field);
    dm_vote_classes(values, in->asked, dm_reduce_as_text(r->e->reduce, r->e->exact_field), class);
    for (size_t k = 0; k < in->asked; k++)
        if (class[k] == seen) {
            shown[p->n] = values[k];
            p->voter[p->n++] = k;
            seen++;
        }
    if (p->n < 2)
        return DM_OK;
    const dm_value *inputs =
        dm_example_inputs(a, r->set->examples[i].row, r->how->inputs, r->how->n_inputs);
    p->future = dm_pick_ask(r->pool, inputs, shown, p->n);
    return p->future ? DM_OK : dm_fail(err, DM_E_INTERNAL, "best_of: no question for the judge");
}

static dm_status pick(election *r, dm_asked *out, dm_error *err)
{
    picking *all = dm_arena_alloc_n(r->arena, r->set->n, sizeof *all);
    const dm_result *said;
    dm_status st = DM_OK;
    for (size_t i = 0; i < r->set->n && st == DM_OK; i++)
        if (!verdict_of(r, &r->inputs[i]).absent)
            st = ask_judge(r, i, &all[i], err);
    for (size_t i = 0; i < r->set->n && st == DM_OK; i++) {
        if (!all[i].future)
            continue;
        st = dm_pool_wait(r->pool, all[i].future, &said, err);
        if (st != DM_OK)
            break;
        size_t k = dm_pick_of(said, all[i].n);
        r->inputs[i].pick = k == SIZE_MAX ? k : all[i].voter[k];
        out->picked++;
        out->unread += k == SIZE_MAX;
    }
    return st;
}

static size_t first_wave(const election *r, const input *in)
{
    uint32_t votes[DM_COMMITTEE_MOST];
    for (size_t k = 0; k < in->n; k++)
        votes[k] = in->voters[k].votes;
    return r->how->at_once || r->e->reduce == DM_REDUCE_BEST_OF ? in->n
                                                                : dm_vote_first_wave(votes, in->n);
}

dm_status dm_ensemble_ask(dm_pool *p, const dm_ensemble *e, const dm_asking *how,
                          const dm_dataset *set, dm_asked *out, dm_error *err)
{
    dm_arena *a = dm_arena_new(0), *kept = dm_pool_arena(p);
    election r = {p, e,           how,          set, dm_arena_alloc_n(a, set->n, sizeof *r.inputs),
                  a, how->inputs, how->n_inputs};
    size_t *upto = dm_arena_alloc_n(a, set->n, sizeof *upto);
    *out = (dm_asked){.results = dm_arena_alloc_n(kept, set->n, sizeof *out->results),
                      .member = dm_arena_alloc_n(kept, set->n, sizeof *out->member)};
    (void)dm_ensemble_inputs(a, e->members, e->n, &r.columns, &r.n_columns);
    choose_voters(&r);
    for (size_t i = 0; i < set->n; i++)
        upto[i] = first_wave(&r, &r.inputs[i]);
    dm_status st = ask(&r, upto, err);
    for (size_t i = 0; i < set->n && st == DM_OK; i++)
        if (verdict_of(&r, &r.inputs[i]).open) {
            upto[i] = r.inputs[i].n;
            out->second++;
        }
    if (st == DM_OK && out->second)
        st = ask(&r, upto, err);
    if (st == DM_OK && e->reduce == DM_REDUCE_BEST_OF)
        st = pick(&r, out, err);
    for (size_t i = 0; i < set->n && st == DM_OK; i++)
        settle(&r, i, out);
    dm_arena_free(a);
    return st;
}

/* ---- saying it ---- */

void dm_asked_text(dm_buf *b, const dm_ensemble *e, const dm_asked *r, size_t n)
{
    double inputs = n ? (double)n : 1;
    dm_buf_printf(b, "%zu member%s, %zu vote%s, %s on %.*s: %.2f asked an input", e->n,
                  e->n == 1 ? "" : "s", e->all, e->all == 1 ? "" : "s", dm_reduce_name(e->reduce),
                  DM_STR_ARG(e->field), (double)r->runs / inputs);
    if (r->all > r->runs || r->second)
        dm_buf_printf(b, ", %.2f in one wave; a second wave for %.1f %%", (double)r->all / inputs,
                      100 * (double)r->second / inputs);
    if (e->reduce == DM_REDUCE_BEST_OF)
        dm_buf_printf(b, "; a judge picked on %.1f %%, and of that %zu times said nothing usable",
                      100 * (double)r->picked / inputs, r->unread);
    if (e->reduce == DM_REDUCE_UNANIMOUS)
        dm_buf_printf(b, "; abstained on %.1f %%, the score is that of the rest",
                      100 * (double)r->abstained / inputs);
    dm_buf_char(b, '\n');
}

dm_value *dm_asked_json(dm_arena *a, const dm_ensemble *e, const dm_asked *r, size_t n)
{
    dm_value *d = dm_value_dict(a);
    const struct {
        const char *name;
        size_t n;
    } counts[] = {{"members", e->n}, {"votes", e->all},        {"inputs", n},
                  {"runs", r->runs}, {"runs_at_once", r->all}, {"second_wave", r->second}};
    dm_value_set(a, d, DM_STR("reduce"), dm_value_text(a, dm_reduce_name(e->reduce)));
    dm_value_set(a, d, DM_STR("field"), dm_value_string(a, e->field));
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        dm_value_set(a, d, dm_str_of(counts[i].name), dm_value_int(a, (int64_t)counts[i].n));
    if (e->reduce == DM_REDUCE_BEST_OF)
        dm_value_set(a, d, DM_STR("picked"), dm_value_int(a, (int64_t)r->picked));
    if (e->reduce == DM_REDUCE_UNANIMOUS)
        dm_value_set(a, d, DM_STR("abstained"), dm_value_int(a, (int64_t)r->abstained));
    return d;
}
