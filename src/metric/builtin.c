/* The built-in metrics: a function and a class each. */
#include "base/utf8.h"
#include "json/json.h"
#include "metric/inside.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

size_t dm_metric_texts(dm_arena *a, const dm_value *v, dm_str **out)
{
    size_t n = v->kind == DM_LIST ? v->n : 1;
    *out = dm_arena_alloc_n(a, n, sizeof **out);
    for (size_t i = 0; i < n; i++)
        (*out)[i] = dm_metric_text(a, v->kind == DM_LIST ? v->items[i] : v);
    return n;
}

/* ---- answer_exact_match: own is the least F1 that counts ---- */

static const dm_param frac_table[] = {
    {.name = "frac",
     .kind = DM_PARAM_NUMBER,
     .high = 1,
     .value = "P",
     .help = "least F1 of the words that counts as equal",
     .fallback = "1"},
    {.name = NULL},
};

static dm_status answer_exact_match_suits(const dm_at *at, const dm_metric *m,
                                          const dm_field *output, dm_error *err)
{
    if (output->type->kind == DM_T_STR || output->type->kind == DM_T_LITERAL)
        return DM_OK;
    return dm_at_fail(
        at, err, "answer_exact_match compares strings, and \"%.*s\" is not one: use exact_match",
        DM_STR_ARG(m->field));
}

static dm_status answer_exact_match(const dm_metric *m, dm_arena *a, const dm_value *label,
                                    const dm_value *given, double *score, dm_error *err)
{
    const double *frac = m->own;
    dm_str *answers;
    if (label->kind != DM_STRING && label->kind != DM_LIST)
        return dm_fail(err, DM_E_DATA, "the label `%.*s` has to be a string or a list of strings",
                       DM_STR_ARG(m->field));
    if (given->kind != DM_STRING)
        return dm_fail(err, DM_E_DATA,
                       "answer_exact_match compares strings; for other types use exact_match");
    size_t n = dm_metric_texts(a, label, &answers);
    if (n == 0)
        return dm_fail(err, DM_E_DATA, "the label `%.*s` is an empty list", DM_STR_ARG(m->field));
    dm_str own = dm_normalize_text(a, given->text);
    *score = 0;
    for (size_t i = 0; i < n; i++) {
        bool hit = *frac >= 1 ? dm_str_eq(own, dm_normalize_text(a, answers[i]))
                              : dm_f1(a, given->text, answers[i]) >= *frac;
        *score = hit ? 1 : *score;
    }
    return DM_OK;
}

const dm_metric_class dm_metric_answer_exact_match = {
    .name = "answer_exact_match",
    .field = "answer",
    .help = "equal to the label `answer`, or to one of its list, normalised as DSPy does",
    .options = frac_table,
    .size = sizeof(double),
    .suits = answer_exact_match_suits,
    .score = answer_exact_match,
};

/* ---- exact_match ---- */

static dm_status exact_match(const dm_metric *m, dm_arena *a, const dm_value *label,
                             const dm_value *given, double *score, dm_error *err)
{
    (void)err;
    *score = dm_metric_alike(a, m->type, label, given);
    return DM_OK;
}

const dm_metric_class dm_metric_exact_match = {
    .name = "exact_match",
    .help = "the same value of the output's type, or equal as text, trimmed, in lower case",
    .score = exact_match};

/* ---- f1, hotpot_f1 ---- */

double dm_metric_best(dm_arena *a, const dm_value *label, const dm_value *given,
                      double (*score)(dm_arena *a, dm_str given, dm_str label))
{
    dm_str *labels, own = dm_metric_text(a, given);
    size_t n = dm_metric_texts(a, label, &labels);
    bool whole = label->kind == DM_LIST && given->kind == DM_LIST; /* it may be one value too */
    double best = whole ? score(a, own, dm_metric_text(a, label)) : 0;
    for (size_t i = 0; i < n; i++)
        best = fmax(best, score(a, own, labels[i]));
    return best;
}

static dm_status f1(const dm_metric *m, dm_arena *a, const dm_value *label, const dm_value *given,
                    double *score, dm_error *err)
{
    (void)m, (void)err;
    *score = dm_metric_best(a, label, given, dm_f1);
    return DM_OK;
}

static dm_status hotpot_f1(const dm_metric *m, dm_arena *a, const dm_value *label,
                           const dm_value *given, double *score, dm_error *err)
{
    (void)m, (void)err;
    *score = dm_metric_best(a, label, given, dm_hotpot_f1);
    return DM_OK;
}

const dm_metric_class dm_metric_f1 = {
    .name = "f1",
    .help = "words that output and label share, normalised (the F-measure)",
    .score = f1};
const dm_metric_class dm_metric_hotpot_f1 = {.name = "hotpot_f1",
                                             .help =
                                                 "as f1; but yes, no and noanswer have to be equal",
                                             .field = "answer",
                                             .score = hotpot_f1};

/* ---- answer_passage_match: given are the passages ---- */

static dm_status passage_match(const dm_metric *m, dm_arena *a, const dm_value *label,
                               const dm_value *given, double *score, dm_error *err)
{
    dm_str *answers, *passages;
    size_t n = dm_metric_texts(a, label, &answers),
           n_passages = dm_metric_texts(a, given, &passages);
    (void)m, (void)err;
    *score = dm_passage_match(a, passages, n_passages, answers, n);
    return DM_OK;
}

const dm_metric_class dm_metric_answer_passage_match = {
    .name = "answer_passage_match",
    .help = "a passage of the output `context` holds the answer",
    .field = "answer",
    .output = "context",
    .as_given = true,
    .score = passage_match};

/* ---- any_of, contains ---- */

/* Of an output that is a list itself, the label may be one as well, or a list of such. */
static bool one_of(const dm_metric *m, dm_arena *a, const dm_value *label, const dm_value *given)
{
    if (label->kind != DM_LIST || (given->kind == DM_LIST && dm_metric_same(m->type, label, given)))
        return dm_metric_alike(a, m->type, label, given);
    for (size_t i = 0; i < label->n; i++)
        if (dm_metric_alike(a, m->type, label->items[i], given))
            return true;
    return false;
}

static dm_status any_of(const dm_metric *m, dm_arena *a, const dm_value *label,
                        const dm_value *given, double *score, dm_error *err)
{
    (void)err;
    *score = one_of(m, a, label, given);
    return DM_OK;
}

static dm_status contains(const dm_metric *m, dm_arena *a, const dm_value *label,
                          const dm_value *given, double *score, dm_error *err)
{
    dm_str own = dm_metric_plain(a, given), wanted = dm_metric_plain(a, label);
    (void)m, (void)err;
    *score = wanted.n == 0 || (own.n && memmem(own.p, own.n, wanted.p, wanted.n));
    return DM_OK;
}

const dm_metric_class dm_metric_any_of = {.name = "any_of",
                                          .help = "equals one of the label's list",
                                          .score = any_of};
const dm_metric_class dm_metric_contains = {.name = "contains",
                                            .help = "the output holds the label",
                                            .score = contains};

/* ---- numeric: own is the tolerance ---- */

static const dm_param tolerance_table[] = {
    {.name = "tolerance",
     .kind = DM_PARAM_NUMBER,
     .high = 1e300,
     .value = "X",
     .help = "difference up to which two numbers are equal",
     .fallback = "1e-9"},
    {.name = NULL},
};

static dm_status numeric(const dm_metric *m, dm_arena *a, const dm_value *label,
                         const dm_value *given, double *score, dm_error *err)
{
    const double *tolerance = m->own;
    double want, have;
    if (!dm_last_number(a, dm_metric_text(a, label), &want))
        return dm_fail(err, DM_E_DATA, "there is no number in the label `%.*s`",
                       DM_STR_ARG(m->field));
    /* 1.05 against 1 within 0.05: what floating point adds is no difference */
    double allowed = *tolerance + 1e-12 * fabs(want);
    *score = dm_last_number(a, dm_metric_text(a, given), &have) && fabs(have - want) <= allowed;
    return DM_OK;
}

const dm_metric_class dm_metric_numeric = {
    .name = "numeric",
    .help = "the last number of output and label is the same",
    .options = tolerance_table,
    .size = sizeof(double),
    .score = numeric,
};

/* ---- regex: own is the pcre2_code of a pattern that is given ---- */

static pcre2_code *compile(dm_str pattern, dm_error *err)
{
    int code;
    PCRE2_SIZE at;
    pcre2_code *p =
        pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n, PCRE2_UTF | PCRE2_UCP, &code, &at, NULL);
    if (!p) {
        PCRE2_UCHAR text[200];
        pcre2_get_error_message(code, text, sizeof text);
        dm_fail(err, DM_E_DATA, "the pattern \"%.*s\" is wrong at character %zu: %s",
                DM_STR_ARG(pattern), (size_t)at, (char *)text);
    }
    return p;
}

typedef struct dm_regex {
    const char *pattern; /* NULL: the label is it */
    pcre2_code *code;    /* of the pattern */
} dm_regex;

static const dm_param pattern_table[] = {
    {.name = "pattern",
     .kind = DM_PARAM_TEXT,
     .at = offsetof(dm_regex, pattern),
     .value = "PATTERN",
     .help = "regular expression (PCRE2) that the output matches",
     .absent = "the label is it"},
    {.name = NULL},
};

static dm_status regex_read(dm_arena *a, const dm_at *at, dm_metric *m, dm_error *err)
{
    dm_regex *own = m->own;
    dm_at k = dm_at_key(at, "pattern");
    dm_error why = {DM_OK, ""};
    (void)a;
    if (!own->pattern)
        return DM_OK;
    own->code = compile(dm_str_of(own->pattern), &why);
    return own->code ? DM_OK : dm_at_fail(&k, err, "%s", why.text);
}

static void regex_close(dm_metric *m)
{
    const dm_regex *own = m->own;
    if (own)
        pcre2_code_free(own->code);
}

static dm_status regex_score(const dm_metric *m, dm_arena *a, const dm_value *label,
                             const dm_value *given, double *score, dm_error *err)
{
    const dm_regex *regex = m->own;
    pcre2_code *p = regex->code ? regex->code : compile(dm_metric_text(a, label), err);
    dm_str own = dm_metric_text(a, given);
    if (!p)
        return DM_E_DATA;
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(p, NULL);
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    pcre2_set_match_limit(limits, 1000000); /* a pattern must not hold up the run */
    int rc = pcre2_match(p, (PCRE2_SPTR)own.p, own.n, 0, 0, data, limits);
    pcre2_match_context_free(limits);
    pcre2_match_data_free(data);
    if (p != regex->code)
        pcre2_code_free(p);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH)
        return dm_fail(err, DM_E_DATA, "the pattern takes too long on this output (%d)", rc);
    *score = rc >= 0;
    return DM_OK;
}

const dm_metric_class dm_metric_regex = {
    .name = "regex",
    .help = "the output matches the pattern, or the label as one",
    .options = pattern_table,
    .size = sizeof(dm_regex),
    .as_given = true,
    .read = regex_read,
    .score = regex_score,
    .close = regex_close,
};

/* ---- json_fields ---- */

static const dm_value *object_of(dm_arena *a, const dm_value *v)
{
    if (v->kind == DM_STRING)
        v = dm_json_repair(a, v->text);
    return v->kind == DM_DICT ? v : NULL;
}

static dm_status json_fields(const dm_metric *m, dm_arena *a, const dm_value *label,
                             const dm_value *given, double *score, dm_error *err)
{
    const dm_value *want = object_of(a, label), *have = object_of(a, given);
    if (!want)
        return dm_fail(err, DM_E_DATA, "the label `%.*s` is not a JSON object",
                       DM_STR_ARG(m->field));
    size_t same = 0;
    for (size_t i = 0; have && i < want->n; i++) {
        const dm_value *x = want->members[i].value,
                       *y = dm_value_get_str(have, want->members[i].key);
        same += y && dm_metric_alike(a, NULL, x, y);
    }
    if (want->n == 0)
        *score = have && have->n == 0; /* nothing is to be found, and nothing is said */
    else
        *score = (double)same / (double)want->n;
    return DM_OK;
}

const dm_metric_class dm_metric_json_fields = {.name = "json_fields",
                                               .help = "share of the label's fields that agree",
                                               .score = json_fields};
