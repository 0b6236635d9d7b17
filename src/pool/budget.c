/* The budget: what work may cost, and the mark in the journal (src/README.md §4). The arithmetic of
 * shares and cuts is the ledger's.
 *
 * What is set aside for a run is what it may send: so many requests, its retries and curl's resends
 * among them, each at the price of the dearest of its calls. A run that has sent them all comes
 * back, what it cost is booked, and it waits for a new reserve where it stood. A request whose
 * tokens no server told is booked as the dearest of them, with max_tokens.
 *
 * Before the sum of what may be billed grows, a mark goes into the journal, and onto the disk:
 * after a crash all up to the mark counts as spent. */
#include "pool/inside.h"
#include "base/log.h"
#include "json/json.h"

#include <math.h>
#include <stdlib.h>

#define BYTES_AROUND 100 /* of a prompt beside its text: roles, and a chat template's marks */
#define SURE_RATIO   1.3 /* over the largest measured ratio of tokens to bytes */
#define MEASURED     8   /* cells that it takes */
#define UNSEEN       4   /* tokens to a byte of what is known of a Python program's prompts */
#define OTHER_TOKENS 2   /* what is one token to a model may be so many to another */

/* ---- amounts ---- */

dm_amount dm_amount_of(const dm_pool *p, int model, const dm_usage *u)
{
    const dm_lm_config *c = p->models[model].config;
    dm_amount a = {(double)u->requests, (double)(u->prompt + u->completion), 0};
    if (c && c->price.known)
        a.cost = dm_cost_of(c, u);
    return a;
}

static double calls_of(const dm_pool *p, const dm_state *s)
{
    bool twice =
        p->setup->json_fallback && dm_adapter_fallback(p->setup->adapter) != p->setup->adapter;
    return ceil(dm_program_calls(s->work.candidate->program)) * (twice ? 2 : 1);
}

static double bytes_of_json(const dm_value *v)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_json_write(&b, v, DM_JSON_PYTHON);
    double n = (double)b.len;
    dm_buf_free(&b);
    return n;
}

/* Of a prompt without the example's own values. */
static double bytes_of_prompt(const dm_pool *p, const dm_state *s, size_t predictor,
                              dm_adapter adapter)
{
    const dm_candidate *c = s->work.candidate;
    const dm_signature *signature = c->program->predictors[predictor].signature;
    dm_arena *a = dm_arena_new(0);
    dm_prefix prefix = {NULL, 0};
    dm_error err;
    double bytes = BYTES_AROUND;
    dm_value *empty = dm_value_dict(a);
    dm_str user;
    for (size_t i = 0; i < signature->n_inputs; i++)
        dm_value_set(a, empty, signature->fields[i].name, dm_value_text(a, ""));
    if (dm_adapter_user(a, adapter, signature, empty, &user, &err) == DM_OK)
        bytes += (double)user.n;
    if (dm_adapter_prefix(a, adapter, signature, c->parts[predictor].instructions,
                          c->parts[predictor].demos, c->parts[predictor].n_demos, &prefix,
                          &err) == DM_OK)
        bytes += (double)dm_lm_head(a, p->models[s->model].config, &prefix).n;
    dm_arena_free(a);
    return bytes;
}

/* Of the prompts, without the example: of all predictors together, and of the longest. */
static void measure_prompts(const dm_pool *p, dm_state *s)
{
    dm_adapter adapter = p->setup->adapter, fallback = dm_adapter_fallback(adapter);
    if (s->bytes > 0)
        return;
    for (size_t i = 0; i < s->work.candidate->program->n; i++) {
        double bytes = bytes_of_prompt(p, s, i, adapter);
        s->bytes += bytes;
        if (p->setup->json_fallback && fallback != adapter)
            bytes = fmax(bytes, bytes_of_prompt(p, s, i, fallback));
        s->longest = fmax(s->longest, bytes);
    }
}

static double bytes_of_run(const dm_pool *p, const dm_cell *c)
{
    dm_state *s = &p->states[c->state];
    measure_prompts(p, s);
    const dm_program *program = s->work.candidate->program;
    return s->bytes * dm_program_calls(program) / (double)program->n +
           dm_program_calls(program) * bytes_of_json(c->example->row);
}

static bool counts_tokens(const dm_pool *p)
{
    return !isinf(p->budget.cap.tokens) || !isinf(p->budget.cap.cost);
}

/* The most that a call of a run of the state can cost, in tokens and money, on a row of so many
 * bytes and behind so many tokens that others wrote; sure: over the largest measured ratio of
 * tokens to bytes. */
static dm_amount most_of(const dm_pool *p, uint32_t state, double row, double behind, double sure)
{
    dm_state *s = &p->states[state];
    const dm_model *m = &p->models[s->model];
    if (!counts_tokens(p))
        return (dm_amount){1, 0, 0};
    measure_prompts(p, s);
    const dm_program *program = s->work.candidate->program;
    double n = dm_program_calls(program), most = (double)m->config->max_tokens;
    double ratio = m->measured >= MEASURED ? sure * m->ratio : 1;
    if (program->python) /* what it puts into its prompts beside fields is not known before */
        ratio = fmax(1, m->measured >= MEASURED ? ratio : UNSEEN);
    else
        ratio = fmin(1, ratio);
    /* a later step may be shown what the earlier ones wrote */
    double prompt = ceil(ratio * (s->longest + row) + most * (n - 1) + behind);
    dm_amount r = {1, prompt + most, 0};
    if (m->config->price.known)
        r.cost = dm_price_most(&m->config->price, (int64_t)prompt, (int64_t)most);
    return r;
}

static dm_amount most_of_call(const dm_pool *p, const dm_cell *c, double sure)
{
    double row = counts_tokens(p) ? bytes_of_json(c->example->row) : 0;
    return most_of(p, c->state, row, 0, sure);
}

/* Of the judge's calls that follow, each on what of the example's row is there and what the program
 * may have written, in another model's tokens. */
static dm_amount most_of_judge(const dm_pool *p, const dm_cell *c)
{
    dm_amount sum = {0, 0, 0};
    size_t calls = dm_legs_left(p, c) ? dm_judging_calls(p->judging) : 0;
    const dm_example *e = calls ? dm_leg_example(c) : NULL;
    const dm_lm_config *task = calls ? p->models[dm_leg_model(p, c)].config : NULL;
    double row = calls && counts_tokens(p) ? bytes_of_json(e->row) : 0;
    for (size_t k = calls - dm_legs_left(p, c); k < calls; k++) {
        double wrote =
            OTHER_TOKENS * (double)task->max_tokens * (double)dm_judging_shown(p->judging, k);
        dm_amount one = most_of(p, p->judges[k], row, wrote, SURE_RATIO);
        sum = dm_amount_plus(sum, dm_amount_times(one, calls_of(p, &p->states[p->judges[k]])));
    }
    return sum;
}

/* All its requests may be of the dearest call. */
dm_amount dm_budget_reserve(const dm_pool *p, const dm_cell *c)
{
    dm_amount own =
        dm_amount_times(most_of_call(p, c, SURE_RATIO), calls_of(p, &p->states[c->state]));
    return dm_amount_plus(own, most_of_judge(p, c));
}

/* What a run that is out has cost: what was told, and what was not (see dm_usage.untold). */
static dm_amount amount_of_run(const dm_pool *p, uint32_t number, const dm_usage *u)
{
    const dm_cell *c = p->cells[number];
    dm_amount a = dm_amount_of(p, p->states[c->state].model, u),
              out = dm_ledger_reserve(p->budget.ledger, number);
    if (out.calls > 0 && u->untold > 0) {
        dm_amount each = most_of_call(p, c, 1);
        a.tokens += fmin(each.tokens, out.tokens / out.calls) * (double)u->untold;
        a.cost += fmin(each.cost, out.cost / out.calls) * (double)u->untold;
    }
    return a;
}

static void measure(dm_pool *p, const dm_cell *c, const dm_usage *u)
{
    dm_state *s = &p->states[c->state];
    dm_model *m = &p->models[s->model];
    /* Of a run that made all its calls itself: those that it shared are of any length. */
    if ((double)u->answers < dm_program_calls(s->work.candidate->program) || u->prompt <= 0 ||
        u->untold > 0 || !counts_tokens(p))
        return;
    double calls = (double)u->answers / dm_program_calls(s->work.candidate->program);
    m->ratio = fmax(m->ratio, (double)u->prompt / (calls * bytes_of_run(p, c)));
    m->measured++;
}

/* ---- the mark in the journal ---- */

void dm_budget_record(dm_pool *p, dm_journal_type type, const dm_amount *amounts, size_t n)
{
    dm_buf b;
    dm_writer w;
    if (!p->setup->journal)
        return;
    dm_buf_init(&b, 4096);
    dm_writer_init(&w, &b);
    dm_write_array(&w, 3 * n);
    for (size_t i = 0; i < n; i++) {
        dm_write_double(&w, amounts[i].calls);
        dm_write_double(&w, amounts[i].tokens);
        dm_write_double(&w, amounts[i].cost);
    }
    dm_journal_add(p->setup->journal, type, dm_buf_view(&b));
    dm_buf_free(&b);
}

static void write_mark(dm_pool *p, dm_amount mark)
{
    p->budget.mark = mark;
    if (!p->setup->journal)
        return;
    dm_budget_record(p, DM_JOURNAL_USAGE, &mark, 1);
    dm_error err = {DM_OK, ""};
    if (dm_journal_sync(p->setup->journal, p->link->ops->now(p->link), &err) != DM_OK)
        dm_pool_fail(p, err.status, "%s", err.text);
}

/* A hundredth of the cap ahead, so that a mark is rare. */
static void keep_ahead(dm_pool *p)
{
    dm_amount now = dm_ledger_committed(p->budget.ledger), cap = p->budget.cap;
    if (dm_amount_within(now, p->budget.mark)) /* without a cap always */
        return;
    dm_amount ahead = {isinf(cap.calls) ? 64 : cap.calls / 100,
                       isinf(cap.tokens) ? 1e5 : cap.tokens / 100,
                       isinf(cap.cost) ? 1 : cap.cost / 100};
    write_mark(p, dm_amount_plus(now, ahead));
}

/* ---- what earlier attempts spent ---- */

/* What a record of the journal says was spent. Of which role it was shows only when the work is
 * asked for again; until then the dearest model's price stands for it. */
dm_amount dm_amount_at_most(const dm_pool *p, const dm_usage *u)
{
    dm_amount most = {0, 0, 0};
    for (int m = 0; m < DM_ROLES; m++)
        most = dm_amount_most(most, dm_amount_of(p, m, u));
    return most;
}

/* What earlier attempts may have spent is never less than their mark. */
static void account_known(dm_pool *p, dm_amount known)
{
    dm_amount lost = dm_amount_minus(p->budget.mark_found, known);
    lost = dm_amount_most(lost, (dm_amount){0, 0, 0});
    dm_ledger_correct(p->budget.ledger, dm_amount_minus(lost, p->budget.lost),
                      dm_amount_minus(known, p->budget.known));
    p->budget.lost = lost;
    p->budget.known = known;
}

static void price_known(dm_pool *p, int model, const dm_usage *u)
{
    dm_amount less = dm_amount_minus(dm_amount_at_most(p, u), dm_amount_of(p, model, u));
    if (p->resume && less.cost > 0)
        account_known(p, dm_amount_minus(p->budget.known, less));
}

struct dm_bill {    /* of a cell, beside its result */
    dm_usage paid;  /* for requests, since it was sent out the last time */
    uint32_t cost;  /* of what has no key; NO_COST: nothing yet */
    dm_amount legs; /* what its earlier legs took of what is set aside for it */
};
#define NO_COST UINT32_MAX

static struct dm_bill *bill_of(dm_pool *p, dm_cell *c)
{
    if (!c->bill) {
        c->bill = dm_arena_alloc(p->arena, sizeof *c->bill);
        c->bill->cost = NO_COST;
    }
    return c->bill;
}

/* What it spent on no request that others could make. taken: by an earlier attempt, before that was
 * taken from all accounts. */
static void add_own(dm_pool *p, uint32_t number, dm_amount more, bool taken)
{
    struct dm_bill *b = bill_of(p, p->cells[number]);
    if (b->cost == NO_COST)
        b->cost = p->n_costs++;
    if (taken)
        dm_ledger_cost_taken(p->budget.ledger, b->cost, more);
    else
        dm_ledger_cost(p->budget.ledger, b->cost, more);
    dm_ledger_uses(p->budget.ledger, number, b->cost);
}

void dm_budget_before(dm_pool *p, dm_role role, uint32_t cost, const dm_usage *usage, uint64_t at)
{
    int model = p->model_of[role];
    dm_amount amount = dm_amount_of(p, model, usage);
    dm_pool_count(p, NULL, role, usage);
    if (at < p->taken_until)
        dm_ledger_cost_taken(p->budget.ledger, cost, amount);
    else
        dm_ledger_cost(p->budget.ledger, cost, amount);
    price_known(p, model, usage);
}

void dm_budget_before_own(dm_pool *p, uint32_t number, dm_role role, const dm_usage *usage,
                          uint64_t at)
{
    int model = p->model_of[role];
    dm_pool_count(p, p->cells[number], role, usage);
    add_own(p, number, dm_amount_of(p, model, usage), at < p->taken_until);
    price_known(p, model, usage);
}

void dm_budget_begin(dm_pool *p)
{
    dm_amount none = {0, 0, 0};
    p->budget.cap = p->setup->cap ? *p->setup->cap : DM_NO_CAP;
    p->budget.ledger = dm_ledger_new(p->budget.cap, none, none);
    p->budget.mark = dm_ledger_capped(p->budget.ledger) ? none : DM_NO_CAP;
}

void dm_budget_found(dm_pool *p, dm_amount known)
{
    p->budget.mark = p->budget.mark_found = dm_replay_mark(p->setup->replay);
    account_known(p, known);
}

void dm_budget_end(dm_pool *p)
{
    /* What is still out may be billed all the same. */
    if (p->budget.ledger && dm_ledger_capped(p->budget.ledger))
        write_mark(p, dm_ledger_committed(p->budget.ledger));
    dm_ledger_free(p->budget.ledger);
}

/* ---- booking ---- */

void dm_budget_paid(dm_pool *p, uint32_t number, uint32_t cost, const dm_usage *usage, bool now)
{
    dm_cell *c = p->cells[number];
    dm_pool_count(p, c, p->states[c->state].work.role, usage);
    dm_ledger_cost(p->budget.ledger, cost, amount_of_run(p, number, usage));
    dm_ledger_uses(p->budget.ledger, number, cost);
    if (now) /* else its whole reserve was booked when it was lost */
        dm_usage_add(&bill_of(p, c)->paid, usage);
}

void dm_budget_sent(dm_pool *p, uint32_t number)
{
    dm_ledger_sent(p->budget.ledger, number);
    keep_ahead(p);
}

/* Since it was sent out the last time. */
static dm_usage usage_of_run(const dm_cell *c, const dm_usage *beside)
{
    dm_usage u = *beside;
    if (c->bill)
        dm_usage_add(&u, &c->bill->paid);
    return u;
}

/* A run has ended: what it spent, in all; what of it has no key is booked. taken: see add_own. */
static dm_amount take_bill(dm_pool *p, uint32_t number, const dm_usage *usage, bool taken)
{
    dm_usage u = usage_of_run(p->cells[number], usage);
    if (usage->requests > 0 || usage->prompt > 0 || usage->completion > 0)
        add_own(p, number, amount_of_run(p, number, usage), taken);
    dm_amount gone = amount_of_run(p, number, &u);
    const struct dm_bill *b = p->cells[number]->bill;
    return b ? dm_amount_plus(gone, b->legs) : gone;
}

void dm_budget_leg_done(dm_pool *p, uint32_t number, const dm_usage *usage)
{
    static const dm_usage nothing;
    dm_cell *c = p->cells[number];
    dm_usage u = usage_of_run(c, usage);
    dm_amount gone = take_bill(p, number, usage, false);
    struct dm_bill *b = bill_of(p, c);
    measure(p, c, &u);
    b->legs = gone;
    b->paid = nothing;
}

bool dm_budget_covers_legs(dm_pool *p, uint32_t number)
{
    const dm_cell *c = p->cells[number];
    dm_amount out = dm_ledger_reserve(p->budget.ledger, number), most = dm_budget_reserve(p, c);
    if (!dm_ledger_capped(p->budget.ledger))
        return true;
    return dm_amount_within(dm_amount_plus(bill_of(p, p->cells[number])->legs, most), out);
}

void dm_budget_done(dm_pool *p, uint32_t number, const dm_usage *usage, dm_settled *settled)
{
    dm_cell *c = p->cells[number];
    dm_usage u = usage_of_run(c, usage);
    bool taken =
        c->replayed && dm_replay_done_at(p->setup->replay, dm_hash_mix(&c->key)) < p->taken_until;
    dm_amount gone = take_bill(p, number, usage, taken);
    if (c->replayed) {
        gone = (dm_amount){0, 0, 0};
        price_known(p, p->states[c->state].model, usage);
    }
    measure(p, c, &u);
    dm_ledger_done(p->budget.ledger, number, gone, settled, p);
}

void dm_budget_again(dm_pool *p, uint32_t number, const dm_usage *usage)
{
    static const dm_usage nothing;
    dm_cell *c = p->cells[number];
    dm_amount gone = dm_ledger_reserve(p->budget.ledger, number);
    if (usage) {
        gone = take_bill(p, number, usage, false);
    } else { /* what its answers cost is booked with them */
        dm_usage paid = usage_of_run(c, &nothing);
        dm_amount spent = amount_of_run(p, number, &paid);
        if (c->bill)
            spent = dm_amount_plus(spent, c->bill->legs);
        dm_amount rest = dm_amount_minus(gone, spent);
        add_own(p, number, dm_amount_most(rest, (dm_amount){0, 0, 0}), false);
    }
    if (c->bill) {
        c->bill->paid = nothing;
        c->bill->legs = (dm_amount){0, 0, 0};
    }
    dm_ledger_again(p->budget.ledger, number, gone);
}

bool dm_budget_is_spent(const dm_pool *p, const dm_cell *c, const dm_usage *usage)
{
    int64_t most = dm_budget_allowance(p, c);
    return most > 0 && usage_of_run(c, usage).requests >= most;
}

dm_amount dm_budget_left(const dm_pool *p)
{
    return dm_amount_most(dm_ledger_left(p->budget.ledger), (dm_amount){0, 0, 0});
}

int64_t dm_budget_allowance(const dm_pool *p, const dm_cell *c)
{
    bool any = !dm_ledger_capped(p->budget.ledger);
    return any ? 0 : (int64_t)calls_of(p, &p->states[c->state]);
}

int64_t dm_budget_covers(const dm_pool *p, uint32_t number, const dm_cell *other)
{
    if (dm_budget_allowance(p, other) == 0)
        return INT64_MAX;
    dm_amount one = dm_budget_reserve(p, other), out = dm_ledger_reserve(p->budget.ledger, number);
    one = dm_amount_times(one, 1 / one.calls);
    double n = out.calls - (p->cells[number]->bill ? p->cells[number]->bill->legs.calls : 0);
    if (one.tokens > 0 && !isinf(p->budget.cap.tokens))
        n = fmin(n, out.tokens / one.tokens);
    if (one.cost > 0 && !isinf(p->budget.cap.cost))
        n = fmin(n, out.cost / one.cost);
    return (int64_t)(n * (1 + 1e-9));
}
