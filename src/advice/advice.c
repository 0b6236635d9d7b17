#include "advice/advice.h"
#include "base/interval.h"

#include <math.h>

/* ---- scores, looked at several times ---- */

size_t dm_look_at(size_t planned, size_t look)
{
    size_t n = (planned * look + DM_LOOKS - 1) / DM_LOOKS;
    return n < planned ? n : planned;
}

double dm_look_width(size_t n, size_t planned)
{
    return 2.113 * pow((double)planned / (double)n, .25);
}

static double variance_of(const double *x, size_t n, double mean)
{
    double squares = 0;
    for (size_t i = 0; i < n; i++)
        squares += (x[i] - mean) * (x[i] - mean);
    return n > 1 ? squares / (double)(n - 1) : 0;
}

static dm_mean wilson(double p, size_t count, double z)
{
    dm_mean m = {.mean = p, .n = count};
    dm_wilson(p, (double)count, z, &m.low, &m.high);
    return m;
}

dm_mean dm_mean_of(const double *scores, size_t n, double z)
{
    double sum = 0;
    bool binary = true;
    for (size_t i = 0; i < n; i++) {
        sum += scores[i];
        binary = binary && (scores[i] <= 0 || scores[i] >= 1);
    }
    if (n == 0)
        return (dm_mean){NAN, NAN, NAN, 0};
    double mean = sum / (double)n, variance = variance_of(scores, n, mean);
    if (binary || n < 20 || variance <= 0 || variance >= mean * (1 - mean))
        return wilson(mean, n, z);
    double half = dm_student(z, n) * sqrt(variance / (double)n);
    return (dm_mean){mean, fmax(0, mean - half), fmin(1, mean + half), n};
}

dm_mean dm_mean_known(double mean, size_t n, double z)
{
    return n == 0 || isnan(mean) ? (dm_mean){NAN, NAN, NAN, 0} : wilson(mean, n, z);
}

dm_side dm_side_of(const dm_mean *start)
{
    if (start->n == 0)
        return DM_SIDE_OPEN;
    if (start->high < DM_WORTH_BELOW)
        return DM_SIDE_BELOW;
    if (start->low > DM_LITTLE_ABOVE)
        return DM_SIDE_ABOVE;
    return start->low >= DM_WORTH_BELOW && start->high <= DM_LITTLE_ABOVE ? DM_SIDE_BETWEEN
                                                                          : DM_SIDE_OPEN;
}

size_t dm_examples_to_decide(double score)
{
    for (size_t n = 20; n <= 10000; n += 20) {
        dm_mean m = wilson(score, n, dm_look_width(n, n));
        if (dm_side_of(&m) != DM_SIDE_OPEN)
            return n;
    }
    return 0;
}

/* ---- gains ---- */

/* 97.5 % of the normal distribution, or so much more that `tests` of them hold together, by
 * Newton's steps. */
static double width_for(size_t tests)
{
    double tail = .025 / (double)(tests ? tests : 1), z = 2;
    for (int i = 0; i < 50; i++)
        z += (erfc(z / sqrt(2)) / 2 - tail) * sqrt(2 * M_PI) * exp(z * z / 2);
    return z;
}

dm_mean dm_gain_of(const double *a, const double *b, size_t n, size_t tests)
{
    double sum = 0, squares = 0, up = 0, down = 0, count = (double)n, z = width_for(tests);
    bool binary = true;
    if (n == 0)
        return (dm_mean){NAN, NAN, NAN, 0};
    for (size_t i = 0; i < n; i++) {
        sum += b[i] - a[i];
        up += b[i] > a[i];
        down += b[i] < a[i];
        binary = binary && (a[i] <= 0 || a[i] >= 1) && (b[i] <= 0 || b[i] >= 1);
    }
    double mean = sum / count;
    if (binary) {
        double p = (up + 1) / (count + 2), q = (down + 1) / (count + 2), d = p - q;
        double half = z * sqrt((p + q - d * d) / (count + 2));
        return (dm_mean){mean, fmax(-1, d - half), fmin(1, d + half), n};
    }
    for (size_t i = 0; i < n; i++)
        squares += pow(b[i] - a[i] - mean, 2);
    if (n < 5)
        return (dm_mean){mean, -1, 1, n};
    if (squares < 1e-12) { /* all alike is no proof: as with one more of 1 and one of -1 */
        double d = sum / (count + 2), spread = (count * mean * mean + 2) / (count + 2) - d * d;
        double half = z * sqrt(spread / (count + 2));
        return (dm_mean){mean, fmax(-1, d - half), fmin(1, d + half), n};
    }
    double half = dm_student(z, n) * sqrt(squares / (count - 1) / count);
    return (dm_mean){mean, fmax(-1, mean - half), fmin(1, mean + half), n};
}

double dm_smallest_gain(size_t n)
{
    for (size_t gained = 2; gained + 1 <= n && gained < 64; gained++) {
        double all = (double)(gained + 1), chance = 2 * (1 + all) * pow(.5, all);
        if (chance < .05)
            return (double)(gained - 1) / (double)n;
    }
    return NAN;
}

/* ---- the verdict ---- */

const char *dm_advice_name(dm_worth a)
{
    static const char *const names[] = {"worth_it", "little_to_gain", "fix_first", "more_examples",
                                        "unclear"};
    return names[a];
}

const char *dm_advice_words(dm_worth a)
{
    static const char *const words[] = {"worth it", "little to gain", "something to fix first",
                                        "more examples first", "unclear"};
    return words[a];
}

dm_worth dm_advise(const dm_known *k)
{
    dm_side side = dm_side_of(&k->start);
    bool gains = false;
    for (size_t i = 0; i < k->n_gains; i++)
        gains = gains || (k->gains[i].n > 0 && k->gains[i].low > 0);
    if (k->fix)
        return DM_ADVICE_FIX_FIRST;
    if (side == DM_SIDE_ABOVE || (k->start.n > 0 && k->needed > 1 - k->start.low))
        return DM_ADVICE_LITTLE;
    if (k->n_train < DM_FEW_TRAIN)
        return DM_ADVICE_MORE_EXAMPLES;
    return side == DM_SIDE_BELOW || gains ? DM_ADVICE_WORTH_IT : DM_ADVICE_UNCLEAR;
}

const char *dm_fitting_optimizer(size_t n_train, size_t n_val)
{
    if (n_train < DM_SOME_TRAIN)
        return "bootstrap_few_shot";
    return n_train < DM_MANY_TRAIN || n_val < 50 ? "bootstrap_few_shot_with_random_search"
                                                 : "mipro_v2";
}
