/* The search, drawn. Up to MANY candidates each has its mark with a title; of more, the notable
 * ones do, and the others are one path. */
#include "report/page.h"

#include <stdlib.h>
#include <string.h>

#define MANY 200

/* ---- who is worth a word ---- */

typedef struct ranked {
    size_t number;
    const dm_story_trial *t;
} ranked;

static double worth(const dm_story_trial *t)
{
    return isnan(t->score.score) ? -1 : t->score.score;
}

static int by_score(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    double sx = worth(x->t), sy = worth(y->t);
    if (x->t->best != y->t->best)
        return y->t->best - x->t->best;
    if (x->t->score.n != y->t->score.n) /* what is known better */
        return x->t->score.n < y->t->score.n ? 1 : -1;
    return sx < sy ? 1 : sx > sy ? -1 : (x->number > y->number) - (x->number < y->number);
}

bool *dm_story_notable(const dm_story *s, size_t most)
{
    bool *mark = dm_arena_alloc_n(s->arena, s->n_trials + 1, sizeof *mark);
    ranked *r = dm_arena_alloc_n(s->arena, s->n_trials + 1, sizeof *r);
    for (size_t i = 0; i < s->n_trials; i++)
        r[i] = (ranked){i, &s->trials[i]};
    qsort(r, s->n_trials, sizeof *r, by_score);
    for (size_t i = 0; i < s->n_trials && i < most; i++)
        mark[r[i].number] = true;
    if (s->n_trials)
        mark[0] = true;
    return mark;
}

static size_t largest_n(const dm_story *s)
{
    size_t n = 1;
    for (size_t i = 0; i < s->n_trials; i++)
        n = s->trials[i].score.n > n ? s->trials[i].score.n : n;
    return n;
}

/* ---- marks ---- */

static const char *class_of(const dm_story_trial *t, size_t i)
{
    return t->best ? "c1" : i == 0 ? "c0" : "cx";
}

static void put_title(dm_buf *b, const dm_story_trial *t)
{
    dm_buf_text(b, "<title>");
    dm_page_text(b, t->name, 80);
    dm_buf_text(b, ": ");
    dm_page_percent(b, t->score.score);
    dm_buf_text(b, " % (");
    dm_page_interval(b, &t->score);
    dm_buf_printf(b, ") on %zu", t->score.n);
    if (!isnan(t->estimate))
        dm_buf_printf(b, ", the search's estimate %.1f", 100 * t->estimate);
    if (!isnan(t->tokens))
        dm_buf_printf(b, ", about %.0f tokens", t->tokens);
    dm_buf_text(b, "</title>");
}

static void put_mark(dm_buf *b, const dm_story_trial *t, size_t i, size_t full, double x, double y)
{
    double r = 3 + 4.5 * sqrt((double)t->score.n / (double)full);
    const char *class = class_of(t, i), *kind = t->score.n == full ? "dot" : "open";
    if (i == 0)
        dm_buf_printf(
            b, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" class=\"dot %s\"/>",
            x - r, y - r, 2 * r, 2 * r, class);
    else
        dm_buf_printf(b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" class=\"%s %s\"/>", x, y, r,
                      kind, class);
}

/* ---- axes ---- */

typedef struct axes {
    double left, right, top, bottom;
    double low, high; /* of x */
} axes;

static double at_x(const axes *a, double v)
{
    return a->left + (a->right - a->left) * (v - a->low) / fmax(1e-9, a->high - a->low);
}

static double at_y(const axes *a, double score)
{
    return a->bottom - (a->bottom - a->top) * fmin(1, fmax(0, score));
}

static void put_scores_axis(dm_buf *b, const axes *a)
{
    for (int v = 0; v <= 100; v += 20) {
        double y = at_y(a, v / 100.);
        dm_svg_line(b, a->left, y, a->right, y, "grid");
        dm_svg_text(b, a->left - 8, y + 4, "tick", "end", "%d", v);
    }
}

/* About n steps of 1, 2 or 5 times a power of ten. */
static double step_of(double span, double n)
{
    double raw = fmax(1e-9, span / n), power = pow(10, floor(log10(raw))), m = raw / power;
    return power * (m < 1.5 ? 1 : m < 3.5 ? 2 : m < 7.5 ? 5 : 10);
}

static void put_x_axis(dm_buf *b, const axes *a, const char *what)
{
    double step = step_of(a->high - a->low, 8), from = ceil(a->low / step) * step;
    for (int k = 0; from + k * step <= a->high + step / 100; k++)
        dm_svg_text(b, at_x(a, from + k * step), a->bottom + 16, "tick", "middle", "%.6g",
                    from + k * step);
    dm_svg_text(b, (a->left + a->right) / 2, a->bottom + 34, "tick", "middle", "%s", what);
}

/* All points that have no mark of their own. x [n_trials]; NAN: none. */
static void put_rest(dm_buf *b, const dm_story *s, const axes *a, const bool *marked,
                     const double *x)
{
    bool open = false;
    for (size_t i = 0; i < s->n_trials; i++) {
        if (marked[i] || isnan(x[i]) || isnan(s->trials[i].score.score))
            continue;
        if (!open)
            dm_buf_text(b, "<path class=\"rest\" d=\"");
        open = true;
        dm_buf_printf(b, "M%.1f %.1fh0", at_x(a, x[i]), at_y(a, s->trials[i].score.score));
    }
    if (open)
        dm_buf_text(b, "\"/>");
}

/* ---- candidates in their order ---- */

void dm_chart_candidates(dm_buf *b, const dm_story *s)
{
    axes a = {46, 706, 14, 228, 0, (double)s->n_trials};
    size_t full = largest_n(s);
    bool few = s->n_trials <= 24;
    bool *marked = dm_story_notable(s, MANY);
    double *x = dm_arena_alloc_n(s->arena, s->n_trials + 1, sizeof *x);
    for (size_t i = 0; i < s->n_trials; i++)
        x[i] = (double)i + .5;
    dm_svg_open(b, 720, 266, "Each candidate's score with its 95 % interval");
    put_scores_axis(b, &a);
    put_rest(b, s, &a, marked, x);
    for (size_t i = 0; i < s->n_trials; i++) {
        const dm_story_trial *t = &s->trials[i];
        double px = at_x(&a, x[i]);
        if (marked[i] && !isnan(t->score.score)) {
            dm_buf_text(b, "<g>");
            put_title(b, t);
            dm_buf_printf(
                b, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" class=\"ci thin %s\"/>",
                px, px, at_y(&a, t->score.high), at_y(&a, t->score.low), class_of(t, i));
            put_mark(b, t, i, full, px, at_y(&a, t->score.score));
            dm_buf_text(b, "</g>");
        }
        if (!few)
            continue;
        if (t->instructions.n && t->instructions.n + t->demos.n < 8)
            dm_svg_text(b, px, a.bottom + 16, "tick", "middle", "%s%s%s", t->instructions.p,
                        t->demos.n ? "." : "", t->demos.p);
        else
            dm_svg_text(b, px, a.bottom + 16, "tick", "middle", "%zu", i);
        dm_svg_text(b, px, a.bottom + 31, "tick", "middle", "%zu", t->score.n);
    }
    if (few) {
        bool pairs = s->n_trials && s->trials[0].instructions.n;
        dm_svg_text(b, 0, a.bottom + 16, "tick", "", "%s", pairs ? "pair" : "no.");
        dm_svg_text(b, 0, a.bottom + 31, "tick", "", "runs");
    } else {
        put_x_axis(b, &a, "candidates, in their order");
    }
    dm_svg_close(b);
}

/* ---- over calls ---- */

static int by_calls(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return x->t->calls < y->t->calls   ? -1
           : x->t->calls > y->t->calls ? 1
                                       : (x->number > y->number) - (x->number < y->number);
}

/* Of those that were run on everything, for the mean of a few is no score to be led by. */
void dm_chart_calls(dm_buf *b, const dm_story *s)
{
    axes a = {46, 700, 12, 188, 0, 1};
    size_t n = 0, full = largest_n(s);
    double best = -1, *x = dm_arena_alloc_n(s->arena, s->n_trials + 1, sizeof *x);
    ranked *r = dm_arena_alloc_n(s->arena, s->n_trials + 1, sizeof *r);
    bool *marked = dm_story_notable(s, MANY);
    for (size_t i = 0; i < s->n_trials; i++) {
        x[i] = s->trials[i].calls;
        if (!isnan(x[i]) && !isnan(s->trials[i].score.score)) {
            r[n++] = (ranked){i, &s->trials[i]};
            a.high = fmax(a.high, x[i]);
        }
    }
    if (n < 2)
        return;
    qsort(r, n, sizeof *r, by_calls);
    dm_buf_text(b, "<h3>Best so far, over calls</h3>");
    dm_svg_open(b, 720, 226, "Scores over the calls at which they were known, and the best so far");
    put_scores_axis(b, &a);
    put_x_axis(b, &a, "calls of the whole run when the candidate was decided");
    put_rest(b, s, &a, marked, x);
    dm_buf_text(b, "<path class=\"front\" d=\"");
    for (size_t k = 0; k < n; k++)
        if (r[k].t->score.n == full && r[k].t->score.score > best) {
            double px = at_x(&a, r[k].t->calls), py = at_y(&a, r[k].t->score.score);
            if (best < 0)
                dm_buf_printf(b, "M%.1f %.1f", px, py);
            else
                dm_buf_printf(b, "H%.1fV%.1f", px, py);
            best = r[k].t->score.score;
        }
    if (best < 0)
        dm_buf_text(b, "M46 188");
    dm_buf_printf(b, "H%.1f\"/>", a.right);
    for (size_t k = 0; k < n; k++)
        if (marked[r[k].number]) {
            dm_buf_text(b, "<g>");
            put_title(b, r[k].t);
            put_mark(b, r[k].t, r[k].number, full, at_x(&a, r[k].t->calls),
                     at_y(&a, r[k].t->score.score));
            dm_buf_text(b, "</g>");
        }
    dm_svg_close(b);
}

/* ---- instruction x demonstration set ---- */

#define MOST_LEVELS 24

typedef struct sum {
    double score;
    size_t n;
    const dm_story_trial *t; /* the one with the most runs */
} sum;

static bool level(dm_str text, size_t *out)
{
    if (!text.n || text.n > 3 || !dm_str_is_whole(text) || *text.p == '-')
        return false;
    *out = (size_t)strtoul(text.p, NULL, 10);
    return *out < MOST_LEVELS;
}

static void put_cell(dm_buf *b, double x, double y, double w, const sum *c, double low, double high)
{
    if (!c->n) {
        dm_buf_printf(b,
                      "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"41\" rx=\"4\" "
                      "class=\"none\"/>",
                      x, y + 1, w - 3);
        return;
    }
    double mean = c->score / (double)c->n;
    dm_buf_text(b, "<g>");
    if (c->t) {
        put_title(b, c->t);
        dm_buf_printf(b,
                      "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"41\" rx=\"4\" "
                      "class=\"%s\" fill-opacity=\"%.2f\"/>",
                      x, y + 1, w - 3, c->t->best ? "heat win" : "heat",
                      .06 + .36 * (mean - low) / fmax(1e-9, high - low));
    }
    dm_svg_text(b, x + w / 2, y + 20, "cellv", "middle", "%.1f", 100 * mean);
    if (c->t && w > 80)
        dm_svg_text(b, x + w / 2, y + 35, "tick", "middle", "%.0f–%.0f of %zu",
                    100 * c->t->score.low, 100 * c->t->score.high, c->n);
    else
        dm_svg_text(b, x + w / 2, y + 35, "tick", "middle", "of %zu", c->n);
    dm_buf_text(b, "</g>");
}

typedef struct grid {
    sum cell[MOST_LEVELS][MOST_LEVELS], row[MOST_LEVELS], column[MOST_LEVELS];
    size_t rows, columns, filled;
    double low, high;
} grid;

static void add_to(sum *c, const dm_story_trial *t)
{
    c->score += t->score.score * (double)t->score.n;
    c->n += t->score.n;
}

/* A pair that was tried twice is shown as the one with the most runs. */
static void fill(grid *g, const dm_story *s)
{
    size_t i, d;
    for (size_t k = 0; k < s->n_trials; k++) {
        const dm_story_trial *t = &s->trials[k];
        if (!level(t->instructions, &i) || !level(t->demos, &d) || !t->score.n)
            continue;
        if (g->cell[i][d].t && g->cell[i][d].t->score.n >= t->score.n)
            continue;
        g->filled += !g->cell[i][d].t;
        g->cell[i][d] = (sum){t->score.score * (double)t->score.n, t->score.n, t};
        g->rows = i + 1 > g->rows ? i + 1 : g->rows;
        g->columns = d + 1 > g->columns ? d + 1 : g->columns;
    }
    for (i = 0; i < g->rows; i++)
        for (d = 0; d < g->columns; d++)
            if (g->cell[i][d].t) {
                add_to(&g->row[i], g->cell[i][d].t);
                add_to(&g->column[d], g->cell[i][d].t);
                g->low = fmin(g->low, g->cell[i][d].t->score.score);
                g->high = fmax(g->high, g->cell[i][d].t->score.score);
            }
}

bool dm_chart_grid(dm_buf *b, const dm_story *s)
{
    grid *g = dm_arena_alloc(s->arena, sizeof *g);
    g->low = 1;
    fill(g, s);
    if (g->filled < 2 || g->rows * g->columns < 2)
        return false;
    double left = 130, w = fmin(86, (720 - left) / (double)(g->columns + 1)), y = 26;
    dm_buf_text(b, "<h3>What each instruction and each demonstration set scored</h3>");
    dm_svg_open(b, 720, 70 + 44 * (int)g->rows,
                "Scores by instruction and demonstration set, with how many runs each");
    for (size_t d = 0; d <= g->columns; d++)
        if (d == g->columns)
            dm_svg_text(b, left + w * ((double)d + .5) + 6, 16, "tick", "middle", "all");
        else
            dm_svg_text(b, left + w * ((double)d + .5), 16, "tick", "middle", "%s%zu",
                        g->columns < 8 ? "demos " : "d", d);
    for (size_t i = 0; i < g->rows; i++) {
        if (i)
            dm_svg_text(b, left - 10, y + 26, "lab", "end", "instruction %zu", i);
        else
            dm_svg_text(b, left - 10, y + 26, "lab", "end", "as written");
        for (size_t d = 0; d < g->columns; d++)
            put_cell(b, left + w * (double)d, y, w, &g->cell[i][d], g->low, g->high);
        if (g->row[i].n)
            put_cell(b, left + w * (double)g->columns + 6, y, w, &g->row[i], 0, 1);
        y += 44;
    }
    dm_svg_text(b, left - 10, y + 26, "lab", "end", "all");
    for (size_t d = 0; d < g->columns; d++)
        if (g->column[d].n)
            put_cell(b, left + w * (double)d, y, w, &g->column[d], 0, 1);
    dm_svg_close(b);
    return true;
}

/* ---- score against length ---- */

static int by_tokens(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return x->t->tokens < y->t->tokens ? -1
           : x->t->tokens > y->t->tokens
               ? 1
               : (x->t->score.score < y->t->score.score) - (x->t->score.score > y->t->score.score);
}

static void put_front(dm_buf *b, const axes *a, ranked *r, size_t n, size_t full)
{
    double best = -1;
    qsort(r, n, sizeof *r, by_tokens);
    for (size_t k = 0; k < n; k++) {
        double score = r[k].t->score.score;
        if (r[k].t->score.n != full || score <= best)
            continue;
        if (best < 0)
            dm_buf_printf(b, "<path class=\"front\" d=\"M%.1f %.1f", at_x(a, r[k].t->tokens),
                          at_y(a, score));
        else
            dm_buf_printf(b, "H%.1fV%.1f", at_x(a, r[k].t->tokens), at_y(a, score));
        best = score;
    }
    if (best >= 0)
        dm_buf_printf(b, "H%.1f\"/>", a->right);
}

void dm_chart_length(dm_buf *b, const dm_story *s)
{
    axes a = {46, 700, 12, 188, 0, 1};
    size_t full = largest_n(s), n = 0;
    bool *marked = dm_story_notable(s, MANY);
    double *x = dm_arena_alloc_n(s->arena, s->n_trials + 1, sizeof *x);
    ranked *r = dm_arena_alloc_n(s->arena, s->n_trials + 1, sizeof *r);
    for (size_t i = 0; i < s->n_trials; i++) {
        x[i] = s->trials[i].tokens;
        if (!isnan(x[i]) && !isnan(s->trials[i].score.score)) {
            r[n++] = (ranked){i, &s->trials[i]};
            a.high = fmax(a.high, 1.05 * x[i]);
        }
    }
    if (n < 2)
        return;
    dm_buf_text(b, "<h3>Score against length</h3>");
    dm_svg_open(b, 720, 226,
                "Score against the length of the prompt; the line joins those that nothing shorter "
                "beats");
    put_scores_axis(b, &a);
    put_x_axis(b, &a, "tokens of a prompt without its example, about (4 bytes a token)");
    put_rest(b, s, &a, marked, x);
    put_front(b, &a, r, n, full);
    for (size_t k = 0; k < n; k++)
        if (marked[r[k].number]) {
            dm_buf_text(b, "<g>");
            put_title(b, r[k].t);
            put_mark(b, r[k].t, r[k].number, full, at_x(&a, r[k].t->tokens),
                     at_y(&a, r[k].t->score.score));
            dm_buf_text(b, "</g>");
        }
    dm_svg_close(b);
}

/* ---- places busy over time ---- */

void dm_chart_busy(dm_buf *b, const dm_story *s)
{
    const dm_value *points = dm_value_get(s->evidence, "points");
    double places = dm_story_number(s->evidence, "places");
    axes a = {46, 700, 10, 108, 0, 1};
    size_t n = points && points->kind == DM_LIST ? points->n : 0;
    if (n < 3 || !(places > 0))
        return;
    const dm_value *last = points->items[n - 1];
    if (last->kind != DM_LIST || last->n < 3)
        return;
    a.high = fmax(1e-3, last->items[0]->number);
    dm_buf_text(b, "<h3>Slots busy over time</h3>");
    dm_svg_open(b, 720, 146, "Examples in flight over time");
    for (int k = 0; k <= 2; k++) {
        double y = at_y(&a, k / 2.);
        dm_svg_line(b, a.left, y, a.right, y, "grid");
        dm_svg_text(b, a.left - 8, y + 4, "tick", "end", "%.0f", k * places / 2);
    }
    dm_buf_printf(b, "<path class=\"area\" d=\"M%.1f %.1f", a.left, a.bottom);
    for (size_t i = 0; i < n; i++) {
        const dm_value *p = points->items[i];
        if (p->kind == DM_LIST && p->n >= 3)
            dm_buf_printf(b, "L%.1f %.1f", at_x(&a, p->items[0]->number),
                          at_y(&a, p->items[2]->number / places));
    }
    dm_buf_printf(b, "V%.1fZ\"/>", a.bottom);
    put_x_axis(b, &a, "seconds of the last attempt");
    dm_svg_close(b);
}
