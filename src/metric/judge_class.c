/* The kinds of judges: what they ask and how their judgements become a score. To add one: a row of
 * DM_JUDGES with its class. The formulas of the two that DSPy has are DSPy's (src/metric/judge.h);
 * the questions are our own. */
#include "metric/judge_inside.h"

#include <math.h>
#include <string.h>

static const dm_value *field_of(const dm_value *judgement, dm_str name)
{
    return judgement ? dm_value_get_str(judgement, name) : NULL;
}

static dm_status number_of(const dm_value *judgement, dm_str name, double *out, dm_error *err)
{
    const dm_value *v = field_of(judgement, name);
    bool number = v && (v->kind == DM_INT || v->kind == DM_FLOAT || v->kind == DM_BOOL);
    *out = !number ? NAN : v->kind == DM_BOOL ? (v->boolean ? 1 : 0) : v->number;
    if (!isnan(*out))
        return DM_OK;
    return dm_fail(err, DM_E_DATA, "the judge's `%.*s` is not a number", DM_STR_ARG(name));
}

static double within_1(double x)
{
    return fmax(0, fmin(1, x));
}

/* Both clamped to 0 to 1, infinities too; 0 where both are 0. */
static double harmonic(double a, double b)
{
    a = within_1(a);
    b = within_1(b);
    return a + b == 0 ? 0 : 2 * (a * b) / (a + b);
}

/* ---- a signature of one's own ---- */

static dm_status score_own(const dm_judge_part *p, const dm_value *const *judgements, double *out,
                           dm_error *err)
{
    double x;
    dm_status st = number_of(judgements[0], p->score, &x, err);
    if (st != DM_OK)
        return st;
    if (x < p->low || x > p->high)
        return dm_fail(err, DM_E_DATA, "the judge's `%.*s` is %g, which is not from %g to %g",
                       DM_STR_ARG(p->score), x, p->low, p->high);
    *out = (x - p->low) / (p->high - p->low);
    return DM_OK;
}

const dm_judge_class dm_judge_own = {.name = "judge",
                                     .keys = dm_judge_own_keys,
                                     .n_calls = 1,
                                     .score = score_own};

/* ---- semantic_f1 ---- */

#define QUESTION_AND_ANSWERS                                                                       \
    "\"question\": {\"desc\": \"what was asked\"}, "                                               \
    "\"expected\": {\"desc\": \"an answer known to be right\"}, "                                  \
    "\"given\": {\"desc\": \"the answer to be judged\"}, "
#define IDEAS                                                                                      \
    "\"expected_ideas\": {\"desc\": \"numbered list of what the expected answer says\"}, "         \
    "\"given_ideas\": {\"desc\": \"numbered list of what the given answer says\"}, "               \
    "\"discussion\": {\"desc\": \"which of them agree, and which do not\"}, "
#define RECALL_AND_PRECISION                                                                       \
    "\"recall\": {\"desc\": \"share, from 0 to 1, of the expected answer that is in the given "    \
    "one\"}, "                                                                                     \
    "\"precision\": {\"desc\": \"share, from 0 to 1, of the given answer that is in the "          \
    "expected one\"}"

static const char semantic_f1[] =
    "{\"chain_of_thought\": {\"signature\": \"question, expected, given -> recall: float, "
    "precision: float\", \"instructions\": \"Compare an answer with the expected one, by what they "
    "say and not by their words. Tell how much of the expected answer the given one covers, and "
    "how much of the given answer the expected one supports.\", "
    "\"fields\": {" QUESTION_AND_ANSWERS RECALL_AND_PRECISION "}}}";
static const char semantic_f1_by_ideas[] =
    "{\"chain_of_thought\": {\"signature\": \"question, expected, given -> expected_ideas, "
    "given_ideas, discussion, recall: float, precision: float\", \"instructions\": \"Compare an "
    "answer with the expected one, by what they say and not by their words. List the ideas of "
    "both, discuss where they agree, then tell how much of the expected answer the given one "
    "covers, and how much of the given answer the expected one supports.\", "
    "\"fields\": {" QUESTION_AND_ANSWERS IDEAS RECALL_AND_PRECISION "}}}";

static dm_status score_f1(const dm_judge_part *p, const dm_value *const *judgements, double *out,
                          dm_error *err)
{
    double recall, precision;
    (void)p;
    dm_status st = number_of(judgements[0], DM_STR("recall"), &recall, err);
    if (st == DM_OK)
        st = number_of(judgements[0], DM_STR("precision"), &precision, err);
    if (st == DM_OK)
        *out = harmonic(precision, recall);
    return st;
}

const dm_judge_class dm_judge_semantic_f1 = {.name = "semantic_f1",
                                             .keys = dm_semantic_f1_keys,
                                             .asks = {semantic_f1},
                                             .by_ideas = {semantic_f1_by_ideas},
                                             .n_calls = 1,
                                             .threshold = .66,
                                             .score = score_f1};

/* ---- complete_and_grounded ---- */

static const char complete[] =
    "{\"chain_of_thought\": {\"signature\": \"question, expected, given -> expected_ideas, "
    "given_ideas, discussion, completeness: float\", \"instructions\": \"Tell how much of the "
    "expected answer the given one covers, by what they say and not by their words. List the "
    "ideas of both and discuss where they agree first.\", "
    "\"fields\": {" QUESTION_AND_ANSWERS IDEAS
    "\"completeness\": {\"desc\": \"share, from 0 to 1, of the expected answer that is in the "
    "given one\"}}}}";
static const char grounded[] =
    "{\"chain_of_thought\": {\"signature\": \"question, passages, given -> claims, discussion, "
    "groundedness: float\", \"instructions\": \"Tell how much of an answer is supported by the "
    "passages, or is common knowledge. List what it claims and discuss which of it the passages "
    "support first.\", \"fields\": {\"question\": {\"desc\": \"what was asked\"}, \"passages\": "
    "{\"desc\": \"what the answer should rest on\"}, \"given\": {\"desc\": \"the answer to be "
    "judged\"}, \"claims\": {\"desc\": \"numbered list of what the answer claims beyond common "
    "knowledge\"}, \"discussion\": {\"desc\": \"which claims the passages support\"}, "
    "\"groundedness\": {\"desc\": \"share, from 0 to 1, of the answer that the passages or common "
    "knowledge support\"}}}}";

static dm_status score_grounded(const dm_judge_part *p, const dm_value *const *judgements,
                                double *out, dm_error *err)
{
    double completeness, groundedness;
    (void)p;
    dm_status st = number_of(judgements[0], DM_STR("completeness"), &completeness, err);
    if (st == DM_OK)
        st = number_of(judgements[1], DM_STR("groundedness"), &groundedness, err);
    if (st == DM_OK)
        *out = harmonic(groundedness, completeness);
    return st;
}

const dm_judge_class dm_judge_complete_and_grounded = {.name = "complete_and_grounded",
                                                       .keys = dm_grounded_keys,
                                                       .asks = {complete, grounded},
                                                       .n_calls = 2,
                                                       .context = true,
                                                       .threshold = .66,
                                                       .score = score_grounded};

/* ---- all ---- */

#define ADDRESS(name) &dm_judge_##name,
static const dm_judge_class *const classes[] = {DM_JUDGES(ADDRESS)};

const dm_judge_class *dm_judge_named(dm_str name)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (dm_str_is(name, classes[i]->name))
            return classes[i];
    return NULL;
}

const char *dm_judge_name(size_t i)
{
    return i < sizeof classes / sizeof *classes ? classes[i]->name : NULL;
}
