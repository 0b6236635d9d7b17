#include "report/score.h"
#include "base/interval.h"

#include <math.h>

/* 97.5 % of Student's t for the mean of n; dm_student is too small for the first three. */
static double student(size_t n)
{
    static const double first[] = {12.706204736, 4.302652730, 3.182446305};
    return n <= 4 ? first[n - 2] : dm_student(DM_Z95, n);
}

static bool is_binary(double score)
{
    return score == 0 || score == 1;
}

static bool is_beyond(double score)
{
    return score < 0 || score > 1;
}

dm_score dm_score_of(const dm_result *r, size_t n)
{
    return dm_score_against(r, NULL, n);
}

static bool counts(const dm_result *r, const dm_result *other, size_t i)
{
    return dm_counts_against(&r[i], other ? &other[i] : NULL);
}

/* Where no score is beyond 0 and 1, neither is the interval. squares: of the scores' differences
 * from their mean. */
static void put_interval(dm_score *s, const dm_tally *t, double squares)
{
    double n = (double)s->n, most = t->beyond ? INFINITY : 1, least = t->beyond ? -INFINITY : 0;
    if (!t->graded) {
        dm_wilson(s->score, n, DM_Z95, &s->low, &s->high);
        return;
    }
    double half = s->n > 1 ? student(s->n) * sqrt(squares / (n - 1) / n) : 1;
    s->low = fmax(least, s->score - half);
    s->high = fmin(most, s->score + half);
}

static dm_score counted(const dm_tally *t)
{
    return (dm_score){.score = t->n ? t->sum / (double)t->n : NAN,
                      .low = NAN,
                      .high = NAN,
                      .corrected = NAN,
                      .n = t->n,
                      .failed = t->failed,
                      .fallback = t->fallback,
                      .truncated = t->truncated,
                      .parse = t->parse,
                      .refused = t->refused};
}

dm_score dm_score_of_tally(const dm_tally *t)
{
    dm_score s = counted(t);
    if (t->n)
        put_interval(&s, t, fmax(0, t->squares - t->sum * t->sum / (double)t->n));
    return s;
}

dm_score dm_score_against(const dm_result *r, const dm_result *other, size_t n)
{
    dm_tally t = {0};
    double squares = 0;
    for (size_t i = 0; r && i < n; i++)
        dm_tally_add(&t, &r[i], other ? &other[i] : NULL);
    dm_score s = counted(&t);
    for (size_t i = 0; t.graded && i < n; i++)
        if (counts(r, other, i))
            squares += (r[i].score - s.score) * (r[i].score - s.score);
    if (t.n)
        put_interval(&s, &t, squares);
    return s;
}

void dm_score_selected(dm_score *s, double se)
{
    double by = s->n ? se * (s->high - s->low) / (2 * DM_Z95) : 0;
    if (by == 0)
        return;
    double least = s->low < 0 ? -INFINITY : 0;
    s->corrected = fmax(least, s->score - by);
    s->low = fmax(least, s->low - by);
    s->high = fmax(s->low, s->high - by);
}

dm_value *dm_score_json(dm_arena *a, const dm_score *s)
{
    dm_value *d = dm_value_dict(a);
    dm_value_set(a, d, DM_STR("score"), dm_value_finite(a, s->score));
    dm_value_set(a, d, DM_STR("low"), dm_value_finite(a, s->low));
    dm_value_set(a, d, DM_STR("high"), dm_value_finite(a, s->high));
    if (!isnan(s->corrected))
        dm_value_set(a, d, DM_STR("corrected"), dm_value_finite(a, s->corrected));
    dm_value_set(a, d, DM_STR("n"), dm_value_int(a, (int64_t)s->n));
    dm_value_set(a, d, DM_STR("failed"), dm_value_int(a, (int64_t)s->failed));
    dm_value_set(a, d, DM_STR("parse"), dm_value_int(a, (int64_t)s->parse));
    dm_value_set(a, d, DM_STR("refused"), dm_value_int(a, (int64_t)s->refused));
    dm_value_set(a, d, DM_STR("fallback"), dm_value_int(a, (int64_t)s->fallback));
    dm_value_set(a, d, DM_STR("truncated"), dm_value_int(a, (int64_t)s->truncated));
    return d;
}

dm_difference dm_paired(const dm_result *a, const dm_result *b, size_t n)
{
    dm_difference d = {0, 0, 0, 0, 0, 0, true};
    double sum = 0, squares = 0;
    bool beyond = false;
    for (size_t i = 0; i < n; i++)
        if (counts(a, b, i) && counts(b, a, i)) {
            sum += b[i].score - a[i].score;
            d.n++;
            d.up += b[i].score > a[i].score;
            d.down += b[i].score < a[i].score;
            d.binary = d.binary && is_binary(a[i].score) && is_binary(b[i].score);
            beyond |= is_beyond(a[i].score) || is_beyond(b[i].score);
        }
    if (d.n == 0)
        return d;
    d.mean = sum / (double)d.n;
    for (size_t i = 0; i < n; i++)
        if (counts(a, b, i) && counts(b, a, i))
            squares += pow(b[i].score - a[i].score - d.mean, 2);
    double half = d.n > 1 ? student(d.n) * sqrt(squares / (double)(d.n - 1) / (double)d.n) : 2;
    double most = beyond ? INFINITY : 1; /* that two scores are apart */
    d.low = fmax(-most, d.mean - half);
    d.high = fmin(most, d.mean + half);
    return d;
}

/* Two-sided chance of so uneven a split of n fair coins, or a more uneven one. */
static double coin_test(size_t less, size_t n)
{
    double tail = 0, all = (double)n;
    for (size_t k = 0; k <= less; k++)
        tail += exp(lgamma(all + 1) - lgamma((double)k + 1) - lgamma(all - (double)k + 1) -
                    all * log(2));
    return fmin(1, 2 * tail);
}

double dm_sign_test(const dm_difference *d)
{
    return coin_test(d->up < d->down ? d->up : d->down, d->up + d->down);
}

static bool outside_noise(const dm_difference *d)
{
    if (d->binary)
        return dm_sign_test(d) < 0.05;
    return d->up + d->down >= 6 && (d->low > 0 || d->high < 0);
}

dm_value *dm_difference_json(dm_arena *a, const dm_difference *d)
{
    dm_value *v = dm_value_dict(a);
    dm_value_set(a, v, DM_STR("mean"), dm_value_finite(a, d->n ? d->mean : NAN));
    dm_value_set(a, v, DM_STR("low"), dm_value_finite(a, d->n ? d->low : NAN));
    dm_value_set(a, v, DM_STR("high"), dm_value_finite(a, d->n ? d->high : NAN));
    dm_value_set(a, v, DM_STR("n"), dm_value_int(a, (int64_t)d->n));
    dm_value_set(a, v, DM_STR("better"), dm_value_int(a, (int64_t)d->up));
    dm_value_set(a, v, DM_STR("worse"), dm_value_int(a, (int64_t)d->down));
    dm_value_set(a, v, DM_STR("test"),
                 dm_value_text(a, d->binary ? "McNemar, exact" : "Student, paired"));
    dm_value_set(a, v, DM_STR("p"),
                 d->binary ? dm_value_finite(a, dm_sign_test(d)) : dm_value_null(a));
    dm_value_set(a, v, DM_STR("verdict"), dm_value_text(a, dm_verdict_text(d)));
    return v;
}

const char *dm_verdict_text(const dm_difference *d)
{
    if (!outside_noise(d))
        return "no difference outside the noise";
    return d->mean > 0 ? "better" : "worse";
}
