#include "ensemble/committee.h"
#include "base/mem.h"
#include "base/random.h"
#include "ensemble/vote.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STREAM_FOLDS = 0x656e73 }; /* of dm_draw: the folds' own */

static bool counts(const dm_ballots *b, const bool *in, size_t row)
{
    return (!b->usable || b->usable[row]) && (!in || in[row]);
}

static double score_of(const dm_ballots *b, size_t candidate, size_t row)
{
    double s = b->score[candidate * b->n + row];
    return isnan(s) ? 0 : s;
}

static size_t pool_of(const dm_ballots *b)
{
    return b->m < DM_COMMITTEE_POOL ? b->m : DM_COMMITTEE_POOL;
}

size_t dm_ballots_usable(const bool *present, const bool *in_demos, size_t m, size_t n,
                         bool *usable)
{
    size_t there = 0;
    for (size_t i = 0; i < n; i++) {
        usable[i] = true;
        for (size_t j = 0; j < m; j++)
            usable[i] &= present[j * n + i] && !(in_demos && in_demos[j * n + i]);
        there += usable[i];
    }
    return there;
}

/* ---- choosing ---- */

static double sum_of(const dm_ballots *b, const bool *in, size_t candidate)
{
    double sum = 0;
    for (size_t i = 0; i < b->n; i++)
        if (counts(b, in, i))
            sum += score_of(b, candidate, i);
    return sum;
}

/* Candidates of the pool, the best sum of scores first, equal ones as they came. */
static void rank(const dm_ballots *b, const bool *in, size_t n, size_t *order)
{
    double sum[DM_COMMITTEE_MOST];
    for (size_t j = 0; j < n; j++) {
        size_t at = j;
        sum[j] = sum_of(b, in, j);
        for (; at > 0 && sum[order[at - 1]] < sum[j]; at--)
            order[at] = order[at - 1];
        order[at] = j;
    }
}

size_t dm_committee_single(const dm_ballots *b, const bool *in)
{
    size_t order[DM_COMMITTEE_MOST] = {0};
    rank(b, in, pool_of(b), order);
    return order[0];
}

/* One more vote for the candidate. Members stay with most votes first; of equal ones, who was
 * chosen first. */
static void add_vote(dm_committee *c, size_t candidate)
{
    size_t at = 0;
    while (at < c->n && c->member[at] != candidate)
        at++;
    if (at == c->n) {
        c->member[c->n] = candidate;
        c->votes[c->n++] = 0;
    }
    c->votes[at]++;
    for (; at > 0 && c->votes[at - 1] < c->votes[at]; at--) {
        size_t member = c->member[at];
        uint32_t votes = c->votes[at];
        c->member[at] = c->member[at - 1];
        c->votes[at] = c->votes[at - 1];
        c->member[at - 1] = member;
        c->votes[at - 1] = votes;
    }
}

/* Votes that members gave for the value of the candidate on a row; nobody's where it is none. */
static double votes_for(const dm_ballots *b, const dm_committee *c, size_t candidate, size_t row)
{
    int class = b->class[candidate * b->n + row];
    double sum = 0;
    for (size_t k = 0; class >= 0 && k < c->n; k++)
        if (b->class[c->member[k] * b->n + row] == class)
            sum += c->votes[k];
    return sum;
}

/* What one more vote of the candidate adds to the sums that the Brier score is made of: squares of
 * the counts (of a value with v votes 2 v + 1 more), and votes by how right they are. */
static void added(const dm_ballots *b, const bool *in, const dm_committee *c, size_t candidate,
                  double *squares, double *right)
{
    for (size_t i = 0; i < b->n; i++) {
        if (!counts(b, in, i))
            continue;
        *squares += 2 * votes_for(b, c, candidate, i) + 1;
        *right += score_of(b, candidate, i);
    }
}

void dm_committee_choose(const dm_ballots *b, const bool *in, size_t size, dm_committee *c)
{
    size_t order[DM_COMMITTEE_MOST], n = pool_of(b);
    double squares = 0, right = 0; /* of the votes so far, summed over the rows */
    *c = (dm_committee){0};
    rank(b, in, n, order);
    for (size_t k = 0; k < size && n; k++) {
        double lowest = INFINITY, best_squares = 0, best_right = 0, votes = (double)k + 1;
        size_t best = order[0];
        for (size_t p = 0; p < n; p++) {
            double s = squares, g = right;
            added(b, in, c, order[p], &s, &g);
            double loss = s / (votes * votes) - 2 * g / votes;
            if (loss < lowest - 1e-9) {
                lowest = loss;
                best = order[p];
                best_squares = s;
                best_right = g;
            }
        }
        squares = best_squares;
        right = best_right;
        add_vote(c, best);
    }
}

void dm_committee_top(const dm_ballots *b, const bool *in, size_t size, dm_committee *c)
{
    size_t order[DM_COMMITTEE_MOST], n = pool_of(b);
    *c = (dm_committee){0};
    rank(b, in, n, order);
    for (size_t k = 0; k < size && k < n; k++)
        add_vote(c, order[k]);
}

double dm_committee_score(const dm_ballots *b, const dm_committee *c, size_t row)
{
    int class[DM_COMMITTEE_MOST];
    for (size_t k = 0; k < c->n; k++)
        class[k] = b->class[c->member[k] * b->n + row];
    size_t winner = dm_vote(DM_REDUCE_EXACT, class, c->votes, c->n);
    if (c->n == 0)
        return 0;
    return score_of(b, c->member[winner == DM_NOBODY ? 0 : winner], row); /* all failed: as one */
}

/* ---- the guard ---- */

/* rows[n]: the usable ones, shuffled by seed. */
static size_t shuffled_rows(const dm_ballots *b, uint64_t seed, size_t *rows)
{
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++)
        if (counts(b, NULL, i))
            rows[n++] = i;
    for (size_t i = n; i > 1; i--) {
        size_t at = (size_t)(dm_draw(seed, STREAM_FOLDS, i) % i), row = rows[at];
        rows[at] = rows[i - 1];
        rows[i - 1] = row;
    }
    return n;
}

/* Mean and standard error of what the committee gains on rows that did not choose it. */
static void cross_validate(const dm_ballots *b, dm_committee_rule *rule, size_t size,
                           const size_t *rows, dm_guard *g)
{
    bool *in = dm_alloc_n(b->n, sizeof *in);
    double sum = 0, squares = 0;
    for (size_t fold = 0; fold < DM_COMMITTEE_FOLDS; fold++) {
        dm_committee c;
        memset(in, 0, b->n * sizeof *in);
        for (size_t k = 0; k < g->n; k++)
            in[rows[k]] = k % DM_COMMITTEE_FOLDS != fold;
        rule(b, in, size, &c);
        size_t single = dm_committee_single(b, in);
        for (size_t k = fold; k < g->n; k += DM_COMMITTEE_FOLDS) {
            double d = dm_committee_score(b, &c, rows[k]) - score_of(b, single, rows[k]);
            sum += d;
            squares += d * d;
        }
    }
    double n = (double)g->n;
    g->gain = sum / n;
    g->se = sqrt(fmax(0, squares / n - g->gain * g->gain) / n);
    free(in);
}

dm_guard dm_committee_guarded(const dm_ballots *b, dm_committee_rule *rule, size_t size,
                              uint64_t seed, dm_committee *c)
{
    dm_guard g = {DM_GUARD_FEW_ROWS, NAN, NAN, 0};
    size_t *rows = dm_alloc_n(b->n, sizeof *rows);
    *c = (dm_committee){0};
    g.n = shuffled_rows(b, seed, rows);
    if (g.n && b->m)
        rule(b, NULL, size, c);
    if (g.n >= DM_COMMITTEE_ROWS && b->m) {
        cross_validate(b, rule, size, rows, &g);
        bool gains = g.gain > DM_COMMITTEE_SE * g.se;
        g.verdict = c->n == 1 ? DM_GUARD_ONE : gains ? DM_GUARD_GAINS : DM_GUARD_NOISE;
    }
    free(rows);
    return g;
}

/* ---- the forecast ---- */

typedef struct pair_sums {
    double n, a, b, both; /* rows; right by the one, the other, both */
    double wrong, same;   /* rows that both get wrong; with the same value */
} pair_sums;

static pair_sums sums_of_pair(const dm_ballots *b, size_t x, size_t y)
{
    pair_sums s = {0};
    for (size_t i = 0; i < b->n; i++) {
        if (!counts(b, NULL, i))
            continue;
        bool right_x = score_of(b, x, i) >= .5, right_y = score_of(b, y, i) >= .5;
        int class = b->class[x * b->n + i];
        s.n++;
        s.a += right_x;
        s.b += right_y;
        s.both += right_x && right_y;
        s.wrong += !right_x && !right_y;
        s.same += !right_x && !right_y && class >= 0 && class == b->class[y * b->n + i];
    }
    return s;
}

dm_forecast dm_committee_forecast(const dm_ballots *b)
{
    size_t order[DM_COMMITTEE_MOST], n = pool_of(b);
    double correlation = 0, same = 0;
    size_t correlated = 0, wrong = 0;
    rank(b, NULL, n, order);
    n = n < 5 ? n : 5;
    for (size_t x = 0; x < n; x++)
        for (size_t y = 0; y < x; y++) {
            pair_sums s = sums_of_pair(b, order[x], order[y]);
            double spread = s.a * (s.n - s.a) * s.b * (s.n - s.b);
            if (spread > 0) {
                correlation += (s.n * s.both - s.a * s.b) / sqrt(spread);
                correlated++;
            }
            if (s.wrong > 0) {
                same += s.same / s.wrong;
                wrong++;
            }
        }
    return (dm_forecast){correlated ? correlation / (double)correlated : NAN,
                         wrong ? same / (double)wrong : NAN, n};
}

bool dm_forecast_is_poor(const dm_forecast *f)
{
    return f->correlation >= .7 || f->same_wrong >= .8;
}
