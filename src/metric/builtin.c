#include "base/utf8.h"
#include "json/json.h"
#include "metric/inside.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static dm_str text_of(dm_arena *a, const dm_value *v)
{
    dm_buf b;
    if (v->kind == DM_STRING)
        return v->text;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_py_str(&b, v);
    dm_str s = {dm_arena_string(a, b.data ? b.data : "", b.len), b.len};
    dm_buf_free(&b);
    return s;
}

/* "Paris " and "paris" are the same: str(), trimmed, in lower case. */
static dm_str plain(dm_arena *a, const dm_value *v)
{
    return dm_py_lower(a, dm_py_strip(text_of(a, v)));
}

/* The strings of a label: one, or a list of them. */
static size_t texts_of(dm_arena *a, const dm_value *v, dm_str **out)
{
    size_t n = v->kind == DM_LIST ? v->n : 1;
    *out = dm_arena_alloc_n(a, n, sizeof **out);
    for (size_t i = 0; i < n; i++)
        (*out)[i] = text_of(a, v->kind == DM_LIST ? v->items[i] : v);
    return n;
}

static dm_status answer_exact_match(const dm_metric *m, dm_arena *a, const dm_value *label,
                                    const dm_value *given, double *score, dm_error *err)
{
    dm_str *answers;
    if (label->kind != DM_STRING && label->kind != DM_LIST)
        return dm_fail(err, DM_E_DATA, "the label `%.*s` has to be a string or a list of strings",
                       DM_STR_ARG(m->field));
    if (given->kind != DM_STRING)
        return dm_fail(err, DM_E_DATA,
                       "answer_exact_match compares strings; for other types take exact_match");
    size_t n = texts_of(a, label, &answers);
    if (n == 0)
        return dm_fail(err, DM_E_DATA, "the label `%.*s` is an empty list", DM_STR_ARG(m->field));
    dm_str own = dm_normalize_text(a, given->text);
    *score = 0;
    for (size_t i = 0; i < n; i++) {
        bool hit = m->frac >= 1 ? dm_str_eq(own, dm_normalize_text(a, answers[i]))
                                : dm_f1(a, given->text, answers[i]) >= m->frac;
        *score = hit ? 1 : *score;
    }
    return DM_OK;
}

static double best_f1(const dm_metric *m, dm_arena *a, const dm_value *label, const dm_value *given)
{
    dm_str *golds, own = text_of(a, given);
    size_t n = texts_of(a, label, &golds);
    double best = 0;
    for (size_t i = 0; i < n; i++)
        best =
            fmax(best, m->kind == DM_F1 ? dm_f1(a, own, golds[i]) : dm_hotpot_f1(a, own, golds[i]));
    return best;
}

static dm_status passage_match(dm_arena *a, const dm_value *label, const dm_value *prediction,
                               double *score, dm_error *err)
{
    const dm_value *context = dm_value_get(prediction, "context");
    dm_str *answers, *passages;
    if (!context)
        return dm_fail(err, DM_E_DATA, "answer_passage_match needs an output `context`");
    size_t n = texts_of(a, label, &answers), n_passages = texts_of(a, context, &passages);
    *score = dm_passage_match(a, passages, n_passages, answers, n);
    return DM_OK;
}

static bool one_of(dm_arena *a, const dm_value *label, const dm_value *given)
{
    dm_str own = plain(a, given);
    if (label->kind != DM_LIST)
        return dm_str_eq(plain(a, label), own);
    for (size_t i = 0; i < label->n; i++)
        if (dm_str_eq(plain(a, label->items[i]), own))
            return true;
    return false;
}

static bool contains(dm_arena *a, const dm_value *label, const dm_value *given)
{
    dm_str own = plain(a, given), wanted = plain(a, label);
    return wanted.n == 0 || (own.n && memmem(own.p, own.n, wanted.p, wanted.n));
}

/* ---- numbers: the last one in the text, thousands commas allowed ("$1,234.50" is 1234.5) ---- */

static bool last_number(dm_arena *a, const dm_value *v, double *out)
{
    dm_str s = text_of(a, v);
    char *number = dm_arena_alloc(a, s.n + 3);
    bool found = false;
    for (size_t i = 0; i < s.n;) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            i++;
            continue;
        }
        size_t n = 0, start = i;
        if (i > 0 && s.p[i - 1] == '-' && (i < 2 || s.p[i - 2] < '0' || s.p[i - 2] > '9'))
            number[n++] = '-';
        if (i > 0 && s.p[i - 1] == '.')
            number[n++] = '.';
        while (i < s.n) {
            char c = s.p[i];
            bool digit = c >= '0' && c <= '9',
                 more = i + 1 < s.n && s.p[i + 1] >= '0' && s.p[i + 1] <= '9';
            bool exponent = (c == 'e' || c == 'E') && i > start &&
                            (more || (i + 2 < s.n && strchr("+-", s.p[i + 1]) &&
                                      s.p[i + 2] >= '0' && s.p[i + 2] <= '9'));
            if (!digit && !(c == '.' && more) && !(c == ',' && more) && !exponent)
                break;
            if (c != ',')
                number[n++] = c;
            if (exponent && strchr("+-", s.p[i + 1]))
                number[n++] = s.p[++i];
            i++;
        }
        number[n] = 0;
        *out = strtod(number, NULL);
        found = true;
    }
    return found;
}

static dm_status numeric(const dm_metric *m, dm_arena *a, const dm_value *label,
                         const dm_value *given, double *score, dm_error *err)
{
    double want, have;
    if (!last_number(a, label, &want))
        return dm_fail(err, DM_E_DATA, "there is no number in the label `%.*s`",
                       DM_STR_ARG(m->field));
    /* 1.05 against 1 within 0.05: what floating point adds is no difference */
    double allowed = m->tolerance + 1e-12 * fabs(want);
    *score = last_number(a, given, &have) && fabs(have - want) <= allowed;
    return DM_OK;
}

/* ---- regular expressions ---- */

void *dm_builtin_compile(dm_str pattern, dm_error *err)
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

void dm_builtin_free_pattern(void *pattern)
{
    pcre2_code_free(pattern);
}

static dm_status regex(const dm_metric *m, dm_arena *a, const dm_value *label,
                       const dm_value *given, double *score, dm_error *err)
{
    pcre2_code *p = m->pattern ? m->pattern : dm_builtin_compile(text_of(a, label), err);
    dm_str own = text_of(a, given);
    if (!p)
        return DM_E_DATA;
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(p, NULL);
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    pcre2_set_match_limit(limits, 1000000); /* a pattern must not hold up the run */
    int rc = pcre2_match(p, (PCRE2_SPTR)own.p, own.n, 0, 0, data, limits);
    pcre2_match_context_free(limits);
    pcre2_match_data_free(data);
    if (p != m->pattern)
        pcre2_code_free(p);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH)
        return dm_fail(err, DM_E_DATA, "the pattern takes too long on this output (%d)", rc);
    *score = rc >= 0;
    return DM_OK;
}

/* ---- share of the fields of a JSON label that agree ---- */

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
        return dm_fail(err, DM_E_DATA, "the label `%.*s` is no JSON object", DM_STR_ARG(m->field));
    size_t same = 0;
    for (size_t i = 0; have && i < want->n; i++) {
        const dm_value *x = want->members[i].value,
                       *y = dm_value_get_str(have, want->members[i].key);
        same += y && (dm_value_equal(x, y) || dm_str_eq(plain(a, x), plain(a, y)));
    }
    if (want->n == 0)
        *score = have && have->n == 0; /* nothing is to be found, and nothing is said */
    else
        *score = (double)same / (double)want->n;
    return DM_OK;
}

dm_status dm_builtin_score(dm_metric *m, const dm_value *example, const dm_value *prediction,
                           double *score, dm_error *err)
{
    const dm_value *label = dm_value_get_str(example, m->field),
                   *given = dm_value_get_str(prediction, m->field);
    if (!label)
        return dm_fail(err, DM_E_DATA, "the example has no `%.*s`", DM_STR_ARG(m->field));
    if (!given && m->kind != DM_ANSWER_PASSAGE_MATCH)
        return dm_fail(err, DM_E_DATA, "the prediction has no `%.*s`", DM_STR_ARG(m->field));
    if (!m->scratch)
        m->scratch = dm_arena_new(8192);
    dm_arena *a = m->scratch;
    dm_status st = DM_OK;
    dm_arena_reset(a);
    switch (m->kind) {
    case DM_ANSWER_EXACT_MATCH:
        st = answer_exact_match(m, a, label, given, score, err);
        break;
    case DM_EXACT_MATCH:
        *score = dm_str_eq(plain(a, label), plain(a, given));
        break;
    case DM_F1:
    case DM_HOTPOT_F1:
        *score = best_f1(m, a, label, given);
        break;
    case DM_ANSWER_PASSAGE_MATCH:
        st = passage_match(a, label, prediction, score, err);
        break;
    case DM_CONTAINS:
        *score = contains(a, label, given);
        break;
    case DM_REGEX:
        st = regex(m, a, label, given, score, err);
        break;
    case DM_NUMERIC:
        st = numeric(m, a, label, given, score, err);
        break;
    case DM_JSON_FIELDS:
        st = json_fields(m, a, label, given, score, err);
        break;
    case DM_ANY_OF:
        *score = one_of(a, label, given);
        break;
    }
    return st;
}
