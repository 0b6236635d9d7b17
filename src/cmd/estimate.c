#include "cmd/estimate.h"
#include "json/json.h"
#include "lm/config.h"

#include <math.h>

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
        const dm_value **demos = dm_arena_alloc_n(a, n, sizeof *demos);
        for (size_t k = 0; k < n; k++)
            demos[k] = train->examples[k].row;
        dm_part_set_demos(&c->parts[i], demos, n);
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

/* Of prompt and answer tokens. Of the prompt a share is a prefix that the server's cache takes, and
 * of that so much comes out of it; the rest is put into it. */
static double cost_of(const dm_price *price, double prompt, double share, double hits,
                      double completion)
{
    double prefix = hits * price->cached + (1 - hits) * price->cache_write;
    return (prompt * ((1 - share) * price->prompt + share * prefix) +
            completion * price->completion) /
           1e6;
}

static void estimate_cost(dm_estimate *e, struct dm_estimate_phase *x, const dm_lm_config *model,
                          const double share[3])
{
    const dm_price *price = &model->price;
    double tier = model->flex ? price->flex : 1;
    double full = cost_of(price, x->prompt.expected, share[1], CACHE_HITS, x->completion.expected);
    double uncached = cost_of(price, x->prompt.expected, 0, 0, x->completion.expected);
    x->cost.low = tier * cost_of(price, x->prompt.low, share[0], 1, x->completion.low);
    x->cost.expected = tier * full;
    x->cost.high = tier * cost_of(price, x->prompt.high, share[2], 0, x->completion.high);
    e->uncached += tier * uncached;
    e->untiered += full;
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

dm_use dm_estimate_use(const dm_job *job, const dm_calibration *c, double demos)
{
    const dm_lm_config *model = job->setup.model[DM_TASK];
    double n = (double)job->program->n;
    dm_use use = {n * prompt_tokens(job, c, demos),
                  n * (isnan(c->completion) ? answer_tokens(job) : c->completion), NAN};
    if (model && model->price.known)
        use.cost = cost_of(&model->price, use.prompt, 0, 0, use.completion);
    return use;
}

static dm_range times(const dm_range *calls, double low, double expected, double high)
{
    return (dm_range){calls->low * low, calls->expected * expected, calls->high * high};
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
    if (calls->high > 0) {
        const dm_lm_config *model = job->setup.model[phase->role];
        double share[] = {cached_share(job, phase, phase->demos.low, tokens[0]),
                          cached_share(job, phase, phase->demos.expected, tokens[1]),
                          cached_share(job, phase, phase->demos.high, tokens[2])};
        e->has_cost &= model && model->price.known;
        if (model && model->price.known)
            estimate_cost(e, x, model, share);
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
        dm_range_add(&e.all.prompt, &e.phase[i].prompt);
        dm_range_add(&e.all.completion, &e.phase[i].completion);
        dm_range_add(&e.all.cost, &e.phase[i].cost);
        dm_range_add(&e.all.seconds, &e.phase[i].seconds);
    }
    if (fabs(e.uncached - e.all.cost.expected) < 1e-9)
        e.uncached = 0;
    if (fabs(e.untiered - e.all.cost.expected) < 1e-9)
        e.untiered = 0;
    return e;
}
