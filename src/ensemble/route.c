#include "ensemble/route.h"
#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- features ---- */

static uint32_t hash_of(dm_str s) /* FNV-1a */
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (uint8_t)s.p[i]) * 16777619u;
    return h;
}

static void count(uint32_t *counts, dm_str s)
{
    uint32_t h = hash_of(s);
    counts[(h ^ h >> 16) % DM_ROUTE_DIMS]++;
}

/* Where each character begins in s, and its end. */
static size_t *characters(dm_arena *a, dm_str s, size_t *n)
{
    size_t *at = dm_arena_alloc_n(a, s.n + 1, sizeof *at), pos = 0;
    *n = 0;
    while (pos < s.n) {
        at[(*n)++] = pos;
        (void)dm_utf8_next(s, &pos);
    }
    at[*n] = s.n;
    return at;
}

static void count_groups(uint32_t *counts, dm_arena *a, dm_str s)
{
    size_t n;
    const size_t *at = characters(a, s, &n);
    for (size_t length = 3; length <= 5; length++)
        for (size_t i = 0; i + length <= n; i++)
            count(counts, (dm_str){s.p + at[i], at[i + length] - at[i]});
}

static void count_words(uint32_t *counts, dm_str s) /* joined by single spaces */
{
    while (s.n) {
        const char *space = memchr(s.p, ' ', s.n);
        size_t n = space ? (size_t)(space - s.p) : s.n;
        count(counts, (dm_str){s.p, n});
        n += space != NULL;
        s = (dm_str){s.p + n, s.n - n};
    }
}

static dm_str collapsed(dm_arena *a, dm_str s)
{
    char *out = dm_arena_alloc(a, s.n + 1);
    size_t n = 0;
    bool gap = false;
    for (size_t pos = 0; pos < s.n;) {
        size_t at = pos;
        if (dm_py_isspace(dm_utf8_next(s, &pos))) {
            gap = n > 0;
            continue;
        }
        if (gap)
            out[n++] = ' ';
        gap = false;
        memcpy(out + n, s.p + at, pos - at);
        n += pos - at;
    }
    return (dm_str){out, n};
}

dm_features dm_features_of(dm_arena *a, const dm_value *row, const dm_str *inputs, size_t n_inputs)
{
    uint32_t counts[DM_ROUTE_DIMS] = {0};
    dm_arena *scratch = dm_arena_new(0);
    dm_features f = {NULL, NULL, 0};
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    for (size_t i = 0; i < n_inputs; i++) {
        const dm_value *v = dm_value_get_str(row, inputs[i]);
        if (v)
            dm_py_str(&b, v);
        dm_buf_char(&b, '\n');
    }
    dm_str text = collapsed(scratch, dm_py_lower(scratch, dm_buf_view(&b)));
    count_groups(counts, scratch, text);
    count_words(counts, text);
    dm_buf_free(&b);
    dm_arena_free(scratch);
    for (size_t d = 0; d < DM_ROUTE_DIMS; d++)
        f.n += counts[d] > 0;
    f.dim = dm_arena_alloc_n(a, f.n, sizeof *f.dim);
    f.count = dm_arena_alloc_n(a, f.n, sizeof *f.count);
    f.n = 0;
    for (size_t d = 0; d < DM_ROUTE_DIMS; d++)
        if (counts[d]) {
            f.dim[f.n] = (uint16_t)d;
            f.count[f.n++] = counts[d];
        }
    return f;
}

/* ---- likeness ---- */

struct dm_router {
    size_t m, n;
    const dm_features *rows; /* [n] */
    const double *score;     /* [m * n] */
    double *sum;             /* [m] of its scores */
    size_t *order;           /* [m] the best mean first */
    double rarity[DM_ROUTE_DIMS];
    double **weight; /* [n][rows[i].n], of length 1 */
};

static double *weights_of(dm_arena *a, const dm_router *r, const dm_features *f)
{
    double *w = dm_arena_alloc_n(a, f->n, sizeof *w), squares = 0;
    for (size_t k = 0; k < f->n; k++) {
        w[k] = log1p((double)f->count[k]) * r->rarity[f->dim[k]];
        squares += w[k] * w[k];
    }
    for (size_t k = 0; k < f->n; k++)
        w[k] /= sqrt(squares);
    return w;
}

static double likeness(const dm_features *x, const double *wx, const dm_features *y,
                       const double *wy)
{
    double sum = 0;
    for (size_t i = 0, k = 0; i < x->n && k < y->n;)
        if (x->dim[i] == y->dim[k])
            sum += wx[i++] * wy[k++];
        else if (x->dim[i] < y->dim[k])
            i++;
        else
            k++;
    return sum;
}

dm_router *dm_router_new(dm_arena *a, const dm_features *rows, const double *score, size_t m,
                         size_t n)
{
    dm_router *r = dm_arena_alloc(a, sizeof *r);
    dm_features *own = dm_arena_alloc_n(a, n, sizeof *own);
    double *scores = dm_arena_alloc_n(a, m * n, sizeof *scores);
    size_t seen[DM_ROUTE_DIMS] = {0};
    *r = (dm_router){.m = m, .n = n, .rows = own, .score = scores};
    r->sum = dm_arena_alloc_n(a, m, sizeof *r->sum);
    r->order = dm_arena_alloc_n(a, m, sizeof *r->order);
    r->weight = dm_arena_alloc_n(a, n, sizeof *r->weight);
    for (size_t i = 0; i < n; i++) {
        own[i] = (dm_features){dm_arena_alloc_n(a, rows[i].n, sizeof *own[i].dim),
                               dm_arena_alloc_n(a, rows[i].n, sizeof *own[i].count), rows[i].n};
        for (size_t k = 0; k < rows[i].n; k++) {
            own[i].dim[k] = rows[i].dim[k];
            own[i].count[k] = rows[i].count[k];
            seen[rows[i].dim[k]]++;
        }
    }
    for (size_t d = 0; d < DM_ROUTE_DIMS; d++)
        r->rarity[d] = log((1 + (double)n) / (1 + (double)seen[d])) + 1;
    for (size_t i = 0; i < n; i++)
        r->weight[i] = weights_of(a, r, &own[i]);
    for (size_t j = 0; j < m; j++) {
        size_t at = j;
        for (size_t i = 0; i < n; i++) {
            scores[j * n + i] = isnan(score[j * n + i]) ? 0 : score[j * n + i];
            r->sum[j] += scores[j * n + i];
        }
        for (; at > 0 && r->sum[r->order[at - 1]] < r->sum[j]; at--)
            r->order[at] = r->order[at - 1];
        r->order[at] = j;
    }
    return r;
}

typedef struct neighbours {
    size_t n, row[DM_ROUTE_NEAR];
    double likeness[DM_ROUTE_NEAR]; /* falling; equal ones as the rows come */
} neighbours;

static void put(neighbours *near, size_t row, double like)
{
    size_t at = near->n;
    if (at == DM_ROUTE_NEAR && like <= near->likeness[at - 1])
        return;
    if (at < DM_ROUTE_NEAR)
        near->n++;
    else
        at--;
    for (; at > 0 && near->likeness[at - 1] < like; at--) {
        near->likeness[at] = near->likeness[at - 1];
        near->row[at] = near->row[at - 1];
    }
    near->likeness[at] = like;
    near->row[at] = row;
}

/* without: a row that is not looked at; r->n: none. */
static size_t choose(const dm_router *r, const dm_features *f, const double *w, size_t without)
{
    neighbours near = {0};
    double best = -1, others = (double)(r->n - (without < r->n));
    size_t member = r->order[0];
    for (size_t i = 0; i < r->n; i++)
        if (i != without)
            put(&near, i, likeness(f, w, &r->rows[i], r->weight[i]));
    for (size_t p = 0; p < r->m && others > 0; p++) {
        size_t j = r->order[p];
        const double *score = r->score + j * r->n;
        double mean = (r->sum[j] - (without < r->n ? score[without] : 0)) / others;
        double value = DM_ROUTE_SHRINK * mean;
        for (size_t k = 0; k < near.n; k++)
            value += score[near.row[k]];
        if (value > best + 1e-9) {
            best = value;
            member = j;
        }
    }
    return member;
}

size_t dm_router_choose(const dm_router *r, const dm_features *input)
{
    dm_arena *a = dm_arena_new(0);
    size_t member = choose(r, input, weights_of(a, r, input), r->n);
    dm_arena_free(a);
    return member;
}

dm_guard dm_router_guarded(const dm_router *r)
{
    dm_guard g = {DM_GUARD_FEW_ROWS, NAN, NAN, r->n};
    double sum = 0, squares = 0, n = (double)r->n;
    bool several = false;
    if (r->n < DM_COMMITTEE_ROWS)
        return g;
    for (size_t i = 0; i < r->n; i++) {
        size_t member = choose(r, &r->rows[i], r->weight[i], i);
        double d = r->score[member * r->n + i] - r->score[r->order[0] * r->n + i];
        several |= member != r->order[0];
        sum += d;
        squares += d * d;
    }
    g.gain = sum / n;
    g.se = sqrt(fmax(0, squares / n - g.gain * g.gain) / n);
    g.verdict = !several                          ? DM_GUARD_ONE
                : g.gain > DM_COMMITTEE_SE * g.se ? DM_GUARD_GAINS
                                                  : DM_GUARD_NOISE;
    return g;
}

/* ---- in a file ---- */

dm_value *dm_router_write(dm_arena *a, const dm_router *r)
{
    dm_value *d = dm_value_dict(a), *rows = dm_value_list(a), *scores = dm_value_list(a);
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    for (size_t i = 0; i < r->n; i++) {
        dm_buf_reset(&b);
        for (size_t k = 0; k < r->rows[i].n; k++)
            dm_buf_printf(&b, "%s%u:%u", k ? " " : "", (unsigned)r->rows[i].dim[k],
                          (unsigned)r->rows[i].count[k]);
        dm_value_append(a, rows, dm_value_string(a, dm_buf_view(&b)));
    }
    dm_buf_free(&b);
    for (size_t j = 0; j < r->m; j++) {
        dm_value *list = dm_value_list(a);
        for (size_t i = 0; i < r->n; i++)
            dm_value_append(a, list, dm_value_float(a, r->score[j * r->n + i]));
        dm_value_append(a, scores, list);
    }
    dm_value_set(a, d, DM_STR("rows"), rows);
    dm_value_set(a, d, DM_STR("scores"), scores);
    return d;
}

static bool read_number(const char **p, const char *end, uint64_t most, uint64_t *out)
{
    const char *start = *p;
    for (*out = 0; *p < end && **p >= '0' && **p <= '9'; (*p)++) {
        *out = *out * 10 + (uint64_t)(**p - '0');
        if (*out > most)
            return false;
    }
    return *p > start;
}

static dm_status read_features(dm_arena *a, const dm_at *at, dm_features *f, dm_error *err)
{
    dm_str s = {NULL, 0};
    dm_status st = dm_get_string(at, &s, err);
    if (st != DM_OK)
        return st;
    const char *p = s.p, *end = s.p + s.n;
    f->n = 0;
    f->dim = dm_arena_alloc_n(a, DM_ROUTE_DIMS, sizeof *f->dim);
    f->count = dm_arena_alloc_n(a, DM_ROUTE_DIMS, sizeof *f->count);
    while (p < end) {
        uint64_t dim, times;
        bool good = (f->n == 0 || *p++ == ' ') && read_number(&p, end, DM_ROUTE_DIMS - 1, &dim) &&
                    p < end && *p++ == ':' && read_number(&p, end, UINT32_MAX, &times) && times > 0;
        if (!good || (f->n && dim <= f->dim[f->n - 1]))
            return dm_at_fail(at, err, "counts as \"12:1 90:2\", numbers rising, below %d",
                              DM_ROUTE_DIMS);
        f->dim[f->n] = (uint16_t)dim;
        f->count[f->n++] = (uint32_t)times;
    }
    return DM_OK;
}

static dm_status read_scores(const dm_at *at, size_t m, size_t n, double *score, dm_error *err)
{
    if (!at->v || at->v->kind != DM_LIST || at->v->n != m)
        return dm_at_fail(at, err, "a list of scores for each of the %zu members", m);
    for (size_t j = 0; j < m; j++) {
        dm_at list = dm_at_item(at, j);
        if (list.v->kind != DM_LIST || list.v->n != n)
            return dm_at_fail(&list, err, "a score for each of the %zu rows", n);
        for (size_t i = 0; i < n; i++) {
            dm_at item = dm_at_item(&list, i);
            dm_status st = dm_get_number(&item, 0, 1, &score[j * n + i], err);
            if (st != DM_OK)
                return st;
        }
    }
    return DM_OK;
}

dm_status dm_router_read(dm_arena *a, const dm_at *at, size_t m, dm_router **out, dm_error *err)
{
    static const char *const known[] = {"rows", "scores"};
    dm_at rows = dm_at_key(at, "rows"), scores = dm_at_key(at, "scores");
    dm_status st = dm_get_known(at, known, 2, err);
    if (st != DM_OK)
        return st;
    if (!rows.v || rows.v->kind != DM_LIST || rows.v->n == 0)
        return dm_at_fail(&rows, err, "a list of rows, one at least");
    size_t n = rows.v->n;
    dm_features *f = dm_alloc_n(n, sizeof *f);
    double *score = dm_alloc_n(m * n, sizeof *score);
    dm_arena *scratch = dm_arena_new(0);
    for (size_t i = 0; st == DM_OK && i < n; i++) {
        dm_at row = dm_at_item(&rows, i);
        st = read_features(scratch, &row, &f[i], err);
    }
    if (st == DM_OK)
        st = read_scores(&scores, m, n, score, err);
    if (st == DM_OK)
        *out = dm_router_new(a, f, score, m, n);
    dm_arena_free(scratch);
    free(score);
    free(f);
    return st;
}
