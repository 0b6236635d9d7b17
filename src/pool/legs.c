/* A cell whose metric asks a model: once its program has run, it goes out again for each of the
 * judge's calls, as a run of the judge's program on a row made of example and prediction. It is one
 * cell all the while: one item of the ledger, reserved as a whole, and one result in the journal.
 * What a leg asks is found by its request's key as anything else is, so equal judgements are one
 * call, and a run that is resumed is told what it has paid for. */
#include "pool/inside.h"
#include "json/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

dm_status dm_legs_begin(dm_pool *p, dm_error *err)
{
    const dm_setup *s = p->setup;
    const dm_dataset *sets[3];
    dm_error local = {DM_OK, ""};
    size_t n = 0;
    if (!s->metric || !dm_metric_asks(s->metric))
        return DM_OK;
    for (size_t i = 0; i < 3; i++)
        if (s->sets[i])
            sets[n++] = s->sets[i];
    dm_at at = dm_at_root(s->metric, s->job_file, DM_E_JOB);
    p->judging = dm_judging_read(p->arena, &at, s->program, sets, n, &local);
    if (err && local.status != DM_OK)
        *err = local;
    if (local.status != DM_OK)
        return local.status;
    size_t calls = dm_judging_calls(p->judging);
    const dm_lm_config *judge = p->models[p->model_of[DM_JUDGE]].config;
    if (calls > 0 && !judge)
        return dm_fail(err, DM_E_JOB, "the metric asks a judge, and there is no model for it");
    double own = judge && judge->has_temperature ? NAN : 0;
    p->judges = dm_arena_alloc_n(p->arena, calls, sizeof *p->judges);
    for (size_t k = 0; k < calls; k++)
        p->judges[k] = dm_pool_state(p, &(dm_work){.candidate = dm_judging_candidate(p->judging, k),
                                                   .role = DM_JUDGE,
                                                   .rollout = -1,
                                                   .temperature = own});
    return DM_OK;
}

/* ---- one leg after another ---- */

static struct dm_legs *legs_new(dm_pool *p, const dm_cell *c, dm_str bytes)
{
    dm_arena *a = dm_arena_new(2048);
    struct dm_legs *l = dm_arena_alloc(a, sizeof *l);
    size_t calls = dm_judging_calls(p->judging);
    *l = (struct dm_legs){.arena = a,
                          .state = c->state,
                          .example = c->example,
                          .row = c->row,
                          .first = {dm_arena_string(a, bytes.p, bytes.n), bytes.n}};
    l->judgements = dm_arena_alloc_n(a, calls, sizeof *l->judgements);
    return l;
}

static void add_keys(struct dm_legs *l, const dm_paid *paid)
{
    dm_hash *all = dm_arena_alloc_n(l->arena, l->n_keys + paid->n_keys + 1, sizeof *all);
    if (l->n_keys)
        memcpy(all, l->keys, l->n_keys * sizeof *all);
    if (paid->n_keys)
        memcpy(all + l->n_keys, paid->keys, paid->n_keys * sizeof *all);
    l->keys = all;
    l->n_keys += paid->n_keys;
}

/* What the leg cost is the cell's: its requests by their keys, the rest in a record of its own, for
 * its model is another than that of the other legs. */
static void book(dm_pool *p, uint32_t number, const dm_paid *paid)
{
    dm_cell *c = p->cells[number];
    const dm_usage *u = &paid->usage;
    for (size_t i = 0; i < paid->n_keys; i++)
        dm_ledger_uses(p->budget.ledger, number,
                       p->keys[dm_key_of(p, c, c->state, &paid->keys[i])].cost);
    dm_pool_count(p, c, p->states[c->state].work.role, u);
    if (u->requests > 0 || u->prompt > 0 || u->completion > 0) {
        dm_hash key = dm_leg_key(c, c->legs != NULL);
        dm_journal_answer(p, c, &key, &(dm_answer){.usage = *u});
    }
    dm_budget_leg_done(p, number, u);
    dm_prefix_left(p, number);
}

/* The row of the next call; false: it cannot be asked for. */
static bool go_to(dm_pool *p, dm_cell *c, dm_error *err)
{
    struct dm_legs *l = c->legs;
    dm_result first;
    dm_paid paid;
    dm_example *e = dm_arena_alloc(l->arena, sizeof *e);
    const dm_value *outputs = NULL;
    if (dm_read_result(l->first, 0, NULL, &first, &paid) && first.outputs.p)
        outputs = dm_json_read(l->arena, first.outputs, NULL);
    e->row =
        outputs ? dm_judging_row(l->arena, p->judging, l->at, l->example->row, outputs, err) : NULL;
    if (!e->row)
        return false;
    e->fingerprint = dm_json_hash(e->row);
    e->id = l->example->id;
    c->state = p->judges[l->at];
    c->example = e;
    c->row = -1;
    c->answered = false;
    if (c->way)
        *c->way = (struct dm_cell_way){0};
    dm_cell_next_go(c);
    l->earlier = c->tries;
    return true;
}

/* ---- the end ---- */

static dm_str composed_bytes(const dm_run_result *r, dm_arena *a)
{
    dm_buf b;
    dm_writer w;
    dm_buf_init(&b, DM_MAX_MESSAGE);
    dm_writer_init(&w, &b);
    dm_write_result(&w, r);
    dm_str s = {dm_arena_string(a, b.data, b.len), b.len};
    dm_buf_free(&b);
    return s;
}

static const dm_value *dict_of(dm_arena *a, dm_str text)
{
    return text.p ? dm_json_read(a, text, NULL) : NULL;
}

static void set_fault(dm_arena *a, dm_run_result *out, dm_fault fault, const char *text)
{
    out->fault = fault;
    out->score = NAN;
    out->error = dm_arena_printf(a, "%s", text);
}

/* The program's result, with what the judge made of it. */
static void compose(dm_pool *p, dm_cell *c, dm_fault fault, const char *why, dm_composed *out)
{
    struct dm_legs *l = c->legs;
    dm_result first;
    dm_paid paid;
    dm_judged judged = {0};
    dm_error err = {DM_OK, ""};
    if (!dm_read_result(l->first, 0, l->arena, &first, &paid))
        return; /* cannot be: it was read when it came */
    bool trace = p->states[l->state].work.trace;
    dm_run_result r = {.outputs = dict_of(l->arena, first.outputs),
                       .steps = first.steps,
                       .n_steps = first.n_steps,
                       .before = dict_of(l->arena, first.before),
                       .fallback = first.fallback,
                       .truncated = first.truncated,
                       .formats = first.formats,
                       .parts = first.parts,
                       .n_judged = l->n_keys};
    dm_status st =
        dm_judging_score(l->arena, p->judging, first.parts, l->judgements, trace, &judged, &err);
    if (fault != DM_FAULT_NONE)
        set_fault(l->arena, &r, fault, why);
    else if (st != DM_OK)
        set_fault(l->arena, &r, DM_FAULT_JUDGE, err.text);
    if (judged.parts.p)
        r.parts = judged.parts;
    if (r.fault == DM_FAULT_NONE) {
        r.score = judged.score;
        r.feedback = first.n_steps ? judged.feedback : NULL;
    }
    struct dm_legs all = {.arena = l->arena};
    add_keys(&all, &paid);
    add_keys(&all, &(dm_paid){.keys = l->keys, .n_keys = l->n_keys});
    r.keys = all.keys;
    r.n_keys = all.n_keys;
    out->bytes = composed_bytes(&r, l->arena);
    bool ours = dm_read_result(out->bytes, p->setup->failure_score, l->arena, &out->r, &out->paid);
    if (!ours)
        dm_pool_fail(p, DM_E_INTERNAL, "a judged result that cannot be read");
    c->state = l->state;
    c->example = l->example;
    c->row = l->row;
}

/* One that is the judge's, in its own words. */
static const char *judges_words(dm_arena *a, const dm_result *r)
{
    return dm_arena_printf(a, "the judge: %s",
                           r->error && *r->error ? r->error : dm_fault_name(r->fault));
}

static dm_leg take(dm_pool *p, uint32_t number, const dm_result *r, const dm_paid *paid,
                   dm_composed *out)
{
    dm_cell *c = p->cells[number];
    struct dm_legs *l = c->legs;
    dm_error err = {DM_OK, ""};
    add_keys(l, paid);
    if (r->fault != DM_FAULT_NONE) {
        bool absent = r->fault == DM_FAULT_TRANSPORT;
        compose(p, c, absent ? DM_FAULT_TRANSPORT : DM_FAULT_JUDGE, judges_words(l->arena, r), out);
        return DM_LEG_LAST;
    }
    l->judgements[l->at++] = dict_of(l->arena, r->outputs);
    if (l->at == dm_judging_calls(p->judging))
        compose(p, c, DM_FAULT_NONE, NULL, out);
    else if (!go_to(p, c, &err))
        compose(p, c, DM_FAULT_METRIC, err.text, out);
    else
        return DM_LEG_NEXT;
    return DM_LEG_LAST;
}

dm_leg dm_legs_take(dm_pool *p, uint32_t number, dm_str bytes, const dm_result *r,
                    const dm_paid *paid, dm_composed *out)
{
    dm_cell *c = p->cells[number];
    dm_error err = {DM_OK, ""};
    if (!c->legs && (c->replayed || !dm_is_judged(p, c) || r->fault != DM_FAULT_NONE))
        return DM_LEG_NONE;
    book(p, number, paid);
    if (c->legs)
        return take(p, number, r, paid, out);
    c->legs = legs_new(p, c, bytes);
    if (go_to(p, c, &err))
        return DM_LEG_NEXT;
    compose(p, c, DM_FAULT_METRIC, err.text, out);
    return DM_LEG_LAST;
}
