#include "cmd/estimate.h"
#include "base/clock.h"
#include "json/json.h"
#include "lm/config.h"

#include <math.h>
#include <stdio.h>

#define SHOWN        8    /* examples that are rendered */
#define ASSUMED      .4   /* low and high without a calibration: this far from expected */
#define MEASURED     .1   /* with one */
#define REASONING    60.0 /* tokens of a chain of thought, about */
#define MARKS        12.0 /* tokens around each field of an answer */
#define CACHE_HITS   .9   /* of what a server's cache may have */
#define PROPOSAL_ASK 1100 /* bytes of the proposer's prompts, beside rows and what it wrote */

dm_calibration dm_calibration_assumed(void)
{
    return (dm_calibration){
        .tokens_per_byte = .25, .completion = NAN, .proposal = 120, .seconds = 2, .score = NAN};
}

/* ---- bytes of prompts, tokens of answers: means over the predictors ---- */

static dm_candidate *with_demos(dm_arena *a, const dm_job *job, size_t n)
{
    dm_candidate *c = dm_candidate_copy(a, job->student);
    const dm_dataset *train = job->trainset;
    n = train && n > train->n ? train->n : n;
    for (size_t i = 0; i < c->program->n && n > c->parts[i].n_demos; i++) {
        c->parts[i].demos = dm_arena_alloc_n(a, n, sizeof *c->parts[i].demos);
        for (size_t k = 0; k < n; k++)
            c->parts[i].demos[k] = train->examples[k].row;
        c->parts[i].n_demos = n;
    }
    return c;
}

typedef struct prompt_size { /* bytes, in the mean */
    double all, prefix;      /* prefix: of it what is the same for all examples */
} prompt_size;

static prompt_size bytes_on(const dm_job *job, size_t demos, const dm_dataset *set, size_t most)
{
    dm_arena *a = dm_arena_new(0);
    const dm_candidate *c = with_demos(a, job, demos);
    double user_sum = 0, prefix_sum = 0, n = 0;
    for (size_t i = 0; i < c->program->n; i++) {
        const dm_signature *s = c->program->predictors[i].signature;
        dm_prefix prefix = {NULL, 0};
        if (dm_adapter_prefix(a, job->setup.adapter, s, c->parts[i].instructions, c->parts[i].demos,
                              c->parts[i].n_demos, &prefix, NULL) != DM_OK)
            continue;
        for (size_t k = 0; set && k < set->n && k < most; k++) {
            dm_str user = {NULL, 0};
            if (dm_adapter_user(a, job->setup.adapter, s, set->examples[k].row, &user, NULL) !=
                DM_OK)
                continue;
            user_sum += (double)user.n;
            for (size_t m = 0; m < prefix.n; m++)
                prefix_sum += (double)prefix.messages[m].content.n;
            n++;
        }
    }
    dm_arena_free(a);
    return n > 0 ? (prompt_size){(user_sum + prefix_sum) / n, prefix_sum / n}
                 : (prompt_size){1000, 0};
}

static prompt_size prompt_bytes(const dm_job *job, double demos)
{
    demos = round(demos);
    return bytes_on(job, (size_t)demos, job->trainset ? job->trainset : job->valset, SHOWN);
}

const dm_candidate *dm_estimate_candidate(dm_arena *a, const dm_job *job, size_t n)
{
    return dm_candidate_seal(with_demos(a, job, n));
}

size_t dm_estimate_demos(const dm_job *job)
{
    return job->optimizer ? job->optimizer->class->demos(job->optimizer) : 0;
}

/* Tokens of a prompt with so many demonstrations: on the line between what was measured, else by
 * its bytes. */
static double prompt_tokens(const dm_job *job, const dm_calibration *c, double demos)
{
    if (c->n == 0)
        return c->tokens_per_byte * prompt_bytes(job, demos).all;
    double slope = c->demos ? (c->prompt[1] - c->prompt[0]) / (double)c->demos : 0;
    return c->prompt[0] + slope * demos;
}

/* The share of the prompts' tokens that the model's servers may have cached. */
static double cached_share(const dm_job *job, const dm_plan_phase *phase, double demos,
                           double tokens)
{
    const dm_lm_config *model = job->setup.model[phase->role];
    double from = model ? (double)dm_lm_cached_from(model) : 0;
    if (from == 0 || phase->asks)
        return 0;
    prompt_size size = prompt_bytes(job, demos);
    double share = size.prefix / size.all;
    return share * tokens >= from ? share : 0;
}

/* Of prompt and answer tokens, so many of which (a share) come from a cache. */
static double cost_of(const dm_price *price, double prompt, double cached, double completion)
{
    return (prompt * ((1 - cached) * price->prompt + cached * price->cached) +
            completion * price->completion) /
           1e6;
}

/* Of prompts of an optimizer's own questions, in the mean: each batch of rows is in one of them,
 * two or three examples and what was answered about data, program and module in all. */
static double question_tokens(const dm_job *job, const dm_calibration *c,
                              const dm_plan_phase *phase)
{
    const dm_dataset *train = job->trainset;
    double bytes = 0, n = 0, rows = phase->rows / fmax(1, phase->calls.expected);
    for (size_t k = 0; k < train->n && k < SHOWN; k++) {
        dm_buf b;
        dm_buf_init(&b, DM_MAX_TEXT);
        dm_json_write(&b, train->examples[k].row, DM_JSON_PYTHON);
        bytes += (double)b.len;
        n++;
        dm_buf_free(&b);
    }
    return c->tokens_per_byte * (PROPOSAL_ASK + (rows + 2) * bytes / fmax(1, n)) + 3 * c->proposal;
}

static double label_tokens(const dm_dataset *set, dm_str field)
{
    double sum = 0, n = 0;
    for (size_t k = 0; set && k < set->n && k < SHOWN; k++) {
        const dm_value *v = dm_value_get_str(set->examples[k].row, field);
        dm_buf b;
        if (!v)
            continue;
        dm_buf_init(&b, DM_MAX_TEXT);
        dm_py_str(&b, v);
        sum += (double)b.len / 4 + 1;
        n++;
        dm_buf_free(&b);
    }
    return n > 0 ? sum / n : REASONING;
}

static double answer_tokens(const dm_job *job)
{
    double sum = 0;
    const dm_dataset *set = job->trainset ? job->trainset : job->valset;
    for (size_t i = 0; i < job->program->n; i++) {
        const dm_signature *s = job->program->predictors[i].signature;
        for (size_t k = 0; k < s->n_outputs; k++)
            sum += MARKS + label_tokens(set, s->fields[s->n_inputs + k].name);
    }
    return sum / (double)job->program->n;
}

static dm_range times(const dm_range *calls, double low, double expected, double high)
{
    return (dm_range){calls->low * low, calls->expected * expected, calls->high * high};
}

static void add(dm_range *to, const dm_range *r)
{
    to->low += r->low;
    to->expected += r->expected;
    to->high += r->high;
}

static bool price_of(const dm_job *job, dm_role role, dm_price *out)
{
    const dm_lm_config *c = job->setup.model[role];
    if (c)
        *out = c->price;
    return c && c->price.known;
}

static void estimate_phase(dm_estimate *e, const dm_job *job, const dm_plan_phase *phase,
                           struct dm_estimate_phase *x, const dm_calibration *c)
{
    const dm_range *calls = &phase->calls;
    double off = c->n ? MEASURED : ASSUMED;
    double tokens[] = {prompt_tokens(job, c, phase->demos.low),
                       prompt_tokens(job, c, phase->demos.expected),
                       prompt_tokens(job, c, phase->demos.high)};
    double answer = isnan(c->completion) ? answer_tokens(job) : c->completion;
    if (phase->asks) {
        tokens[0] = tokens[1] = tokens[2] = question_tokens(job, c, phase);
        answer = c->proposal;
        off = .6;
    }
    x->prompt = times(calls, tokens[0] * (1 - off), tokens[1], tokens[2] * (1 + off));
    x->completion = times(calls, answer * (1 - off), answer, answer * (1 + off));
    dm_price price = {0};
    if (calls->high > 0) {
        e->has_cost &= price_of(job, phase->role, &price);
        double share[] = {cached_share(job, phase, phase->demos.low, tokens[0]),
                          cached_share(job, phase, phase->demos.expected, tokens[1])};
        x->cost.low = cost_of(&price, x->prompt.low, share[0], x->completion.low);
        x->cost.expected =
            cost_of(&price, x->prompt.expected, CACHE_HITS * share[1], x->completion.expected);
        x->cost.high = cost_of(&price, x->prompt.high, 0, x->completion.high);
    }
    double flight = fmax(1, fmin(phase->fill, (double)job->concurrency));
    double call = job->stand_in ? 1e-4 : c->seconds;
    x->seconds = times(calls, call * (1 - off) / flight, call / flight, call * (1 + off) / flight);
}

dm_estimate dm_estimate_of(const dm_job *job, const dm_plan *plan, const dm_calibration *c)
{
    dm_estimate e = {.has_cost = true};
    for (size_t i = 0; i < plan->n; i++) {
        estimate_phase(&e, job, &plan->phases[i], &e.phase[i], c);
        add(&e.all.prompt, &e.phase[i].prompt);
        add(&e.all.completion, &e.phase[i].completion);
        add(&e.all.cost, &e.phase[i].cost);
        add(&e.all.seconds, &e.phase[i].seconds);
    }
    return e;
}

/* ---- words ---- */

static void put_count(dm_buf *b, double n, int width)
{
    dm_buf t;
    dm_buf_init(&t, 64);
    dm_print_count(&t, round(n));
    dm_buf_printf(b, " %*.*s", width, (int)t.len, t.data);
    dm_buf_free(&t);
}

static void put_row(dm_buf *b, const char *name, const dm_range *calls,
                    const struct dm_estimate_phase *x, bool cost)
{
    dm_buf_printf(b, "%-10s %8.0f %8.0f %8.0f ", name, calls->low, calls->expected, calls->high);
    put_count(b, x->prompt.expected, 8);
    put_count(b, x->completion.expected, 8);
    if (cost)
        dm_buf_printf(b, " %8.2f", x->cost.expected);
    dm_buf_text(b, "   ");
    dm_print_seconds(b, x->seconds.expected);
    dm_buf_char(b, '\n');
}

dm_range dm_plan_together(const dm_plan *plan)
{
    dm_range all = {0, 0, 0};
    for (size_t i = 0; i < plan->n; i++)
        add(&all, &plan->phases[i].calls);
    return all;
}

void dm_estimate_table(dm_buf *b, const dm_plan *plan, const dm_estimate *e)
{
    bool cost = e->has_cost && e->all.cost.high > 0;
    dm_range all = dm_plan_together(plan);
    dm_buf_printf(b, "%-10s %8s %8s %8s  %8s %8s%s   %s\n", "calls", "low", "expected", "high",
                  "prompt", "answers", cost ? "     cost" : "", "time, expected");
    for (size_t i = 0; i < plan->n; i++)
        if (plan->phases[i].calls.high > 0)
            put_row(b, plan->phases[i].name, &plan->phases[i].calls, &e->phase[i], cost);
    put_row(b, "together", &all, &e->all, cost);
}

void dm_estimate_line(dm_buf *b, const dm_plan *plan, const dm_estimate *e)
{
    dm_range all = dm_plan_together(plan);
    dm_buf_printf(b, "plan: %.0f calls (%.0f to %.0f),", all.expected, all.low, all.high);
    put_count(b, e->all.prompt.expected, 0);
    dm_buf_text(b, " prompt and");
    put_count(b, e->all.completion.expected, 0);
    dm_buf_text(b, " completion tokens");
    if (e->has_cost && e->all.cost.high > 0)
        dm_buf_printf(b, ", cost %.2f (%.2f to %.2f)", e->all.cost.expected, e->all.cost.low,
                      e->all.cost.high);
}

static void short_budget(dm_buf *b, const char *key, const char *cap, const char *least)
{
    dm_buf_printf(b,
                  "budget.%s: %s do not hold one round of the optimizer, which takes %s at least: "
                  "the best program that they find is written\n",
                  key, cap, least);
}

static void advise_budget(dm_buf *b, const dm_amount *cap, const dm_range *calls,
                          const dm_estimate *e)
{
    char have[40], least[40];
    double tokens = e->all.prompt.low + e->all.completion.low;
    if (cap->calls < calls->low) {
        snprintf(have, sizeof have, "%.0f", cap->calls);
        snprintf(least, sizeof least, "%.0f", calls->low);
        short_budget(b, "calls", have, least);
    }
    if (cap->tokens < tokens) {
        snprintf(have, sizeof have, "%.0f", cap->tokens);
        snprintf(least, sizeof least, "%.0f", tokens);
        short_budget(b, "tokens", have, least);
    }
    if (e->has_cost && cap->cost < e->all.cost.low) {
        snprintf(have, sizeof have, "$%.2f", cap->cost);
        snprintf(least, sizeof least, "$%.2f", e->all.cost.low);
        short_budget(b, "cost", have, least);
    }
}

void dm_plan_advice(dm_buf *b, const dm_job *job, const dm_plan *plan, const dm_estimate *e,
                    double start)
{
    size_t train = job->trainset ? job->trainset->n : 0, val = job->valset ? job->valset->n : 0;
    if (!job->optimizer)
        return;
    const dm_optimizer *o = job->optimizer->class;
    if (train < o->few_train)
        dm_buf_printf(b, "%zu examples to train on: from %zu on the choice gets better\n", train,
                      o->few_train);
    if (val > 0 && val < o->few_val)
        dm_buf_printf(b,
                      "%zu examples to validate: from %zu on candidates can be told apart better\n",
                      val, o->few_val);
    dm_range all = dm_plan_together(plan);
    advise_budget(b, &job->cap, &all, e);
    switch (dm_worth_of(start, train)) {
    case DM_WORTH_LITTLE:
        dm_buf_printf(b, "the start scores %.0f %% already: there is little to gain\n",
                      100 * start);
        break;
    case DM_WORTH_MORE_EXAMPLES:
        dm_buf_printf(b, "the start scores %.0f %%, with %zu examples: more examples first\n",
                      100 * start, train);
        break;
    case DM_WORTH_IT:
        dm_buf_printf(b, "the start scores %.0f %%: worth it\n", 100 * start);
        break;
    case DM_WORTH_UNSAID:
        break;
    }
}
