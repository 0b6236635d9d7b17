/* What came out, drawn: before and after, the difference, what became of each answer. */
#include "report/page.h"
#include "json/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- before and after ---- */

#define LEFT  78.0
#define RIGHT 440.0

static double across(double share)
{
    return LEFT + (RIGHT - LEFT) * fmin(1, fmax(0, share));
}

static const char *shown_name(const dm_story *s, const char *split)
{
    if (strcmp(split, "testset") == 0)
        return "test set";
    return dm_story_chosen(s) ? "validation set, which chose it" : "validation set";
}

static void put_program(dm_buf *b, const dm_score *s, bool compiled, double y)
{
    const char *class = compiled ? "c1" : "c0";
    double middle = isnan(s->corrected) ? s->score : s->corrected;
    dm_svg_text(b, LEFT - 10, y + 4, "lab", "end", "%s", compiled ? "compiled" : "as written");
    if (isnan(s->score)) {
        dm_svg_text(b, LEFT, y + 4, "val", "", "no answer");
        return;
    }
    dm_buf_printf(b, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.0f\" y2=\"%.0f\" class=\"ci %s\"/>",
                  across(s->low), across(s->high), y, y, class);
    if (!isnan(s->corrected))
        dm_buf_printf(b, "<circle cx=\"%.1f\" cy=\"%.0f\" r=\"5\" class=\"ring %s\"/>",
                      across(s->score), y, class);
    if (compiled)
        dm_buf_printf(b, "<circle cx=\"%.1f\" cy=\"%.0f\" r=\"6\" class=\"dot %s\"/>",
                      across(middle), y, class);
    else
        dm_buf_printf(b,
                      "<rect x=\"%.1f\" y=\"%.0f\" width=\"10\" height=\"10\" class=\"dot %s\"/>",
                      across(middle) - 5, y - 5, class);
    double x = fmin(across(s->high) + 9, RIGHT + 2);
    if (isnan(s->corrected))
        dm_svg_text(b, x, y + 4, "val", "", "%.1f %%", 100 * middle);
    else
        dm_svg_text(b, x, y + 4, "val", "", "%.1f %% (was %.1f)", 100 * middle, 100 * s->score);
}

void dm_chart_before_after(dm_buf *b, const dm_story *s)
{
    int h = 22 + 77 * (int)s->n_splits;
    double y = 0;
    dm_svg_open(b, 560, h, "Scores of the program as written and compiled, with 95 % intervals");
    for (int v = 0; v <= 100; v += 20) {
        dm_svg_line(b, across(v / 100.), 8, across(v / 100.), h - 18, "grid");
        dm_svg_text(b, across(v / 100.), h - 4, "tick", "middle", "%d%s", v, v == 100 ? " %" : "");
    }
    for (size_t i = 0; i < s->n_splits; i++) {
        const dm_story_split *p = &s->splits[i];
        y += 12;
        dm_buf_printf(b, "<rect x=\"0\" y=\"%.0f\" width=\"290\" height=\"17\" class=\"paper\"/>",
                      y - 11);
        dm_svg_text(b, 0, y + 2, "labb", "", "%s, %zu example%s", shown_name(s, p->name), p->n,
                    p->n == 1 ? "" : "s");
        y += 20;
        put_program(b, &p->score[0], false, y);
        y += 22;
        if (p->two)
            put_program(b, &p->score[1], true, y);
        y += 23;
    }
    dm_svg_close(b);
}

void dm_chart_difference(dm_buf *b, const dm_story_split *p)
{
    const dm_difference *d = &p->diff;
    char title[160];
    bool sure = strcmp(dm_verdict_text(d), "no difference outside the noise") != 0;
    const char *class = !sure ? "unsure" : d->mean > 0 ? "good" : "bad";
    double most = fmin(1, fmax(.1, ceil(10 * fmax(fabs(d->low), fabs(d->high))) / 10));
    if (d->n == 0)
        return;
    snprintf(title, sizeof title,
             "Difference example by example on the %s: %+.1f points, %+.1f to %+.1f", p->name,
             100 * d->mean, 100 * d->low, 100 * d->high);
    dm_svg_open(b, 560, 70, title);
    for (int k = -2; k <= 2; k++) {
        double x = across((k + 2) / 4.);
        dm_svg_line(b, x, 20, x, 52, k ? "grid" : "zero");
        if (k)
            dm_svg_text(b, x, 66, "tick", "middle", "%+.0f", 50 * k * most);
        else
            dm_svg_text(b, x, 66, "tick", "middle", "same");
    }
    dm_svg_text(b, 0, 12, "labb", "", "difference on the %s, example by example",
                strcmp(p->name, "testset") == 0 ? "test set" : "validation set");
    dm_buf_printf(b, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"37\" y2=\"37\" class=\"ci %s\"/>",
                  across((d->low + most) / (2 * most)), across((d->high + most) / (2 * most)),
                  class);
    dm_buf_printf(b, "<circle cx=\"%.1f\" cy=\"37\" r=\"6\" class=\"dot %s\"/>",
                  across((d->mean + most) / (2 * most)), class);
    dm_svg_text(b, LEFT - 10, 41, "val", "end", "%+.1f", 100 * d->mean);
    dm_svg_close(b);
}

/* ---- what became of each answer ---- */

int dm_story_change(const dm_story_split *p, size_t i)
{
    const dm_result *a = &p->results[0][i], *w = &p->results[1][i];
    if (!p->two || !a->present || !w->present)
        return 0;
    return (w->score > a->score) - (w->score < a->score);
}

typedef struct became {
    const char *name, *class;
    size_t n;
} became;

/* Of graded scores only better, worse and the same can be told. */
static size_t count_kinds(const dm_story_split *p, became k[5])
{
    size_t missing = 0;
    const char *const names[2][4] = {{"right in both", "now right", "now wrong", "wrong in both"},
                                     {"the same", "better", "worse", ""}};
    static const char *const classes[4] = {"b0", "b1", "b2", "b3"};
    for (int i = 0; i < 4; i++)
        k[i] = (became){names[p->graded][i], classes[i], 0};
    for (size_t i = 0; i < p->n; i++) {
        const dm_result *a = &p->results[0][i], *w = &p->results[1][i];
        int change = dm_story_change(p, i);
        if (!a->present || !w->present)
            missing++;
        else
            k[change > 0 ? 1 : change < 0 ? 2 : p->graded || a->score > .5 ? 0 : 3].n++;
    }
    k[4] = (became){"without a score", "b4", missing};
    return 5;
}

void dm_chart_flips(dm_buf *b, const dm_story_split *p)
{
    became k[5];
    size_t n = count_kinds(p, k);
    double x = 0, key = 0;
    dm_svg_open(b, 720, 58, "What became of each example");
    for (size_t i = 0; i < n; i++) {
        double w = 720 * (double)k[i].n / (double)p->n;
        if (k[i].n == 0)
            continue;
        dm_buf_printf(b,
                      "<rect x=\"%.1f\" y=\"0\" width=\"%.1f\" height=\"30\" rx=\"3\" class=\"%s\">"
                      "<title>%s: %zu of %zu</title></rect>",
                      x, fmax(1, w - 2), k[i].class, k[i].name, k[i].n, p->n);
        if (w > 28)
            dm_svg_text(b, x + 9, 20, i >= 3 ? "inb" : "in", "", "%zu", k[i].n);
        x += w;
    }
    for (size_t i = 0; i < n; i++) {
        if (k[i].n == 0 && (i == 4 || !*k[i].name))
            continue;
        dm_buf_printf(b,
                      "<rect x=\"%.0f\" y=\"41\" width=\"10\" height=\"10\" rx=\"2\" "
                      "class=\"%s\"/>",
                      key, k[i].class);
        dm_svg_text(b, key + 15, 51, "tick", "", "%s %zu", k[i].name, k[i].n);
        key += 144;
    }
    dm_svg_close(b);
}

/* ---- by label ---- */

#define MOST_CLASSES 24

typedef struct class_row {
    const dm_value *label;
    size_t n;
    double sum[2];
} class_row;

static int by_gain(const void *a, const void *b)
{
    const class_row *x = a, *y = b;
    double gx = (x->sum[1] - x->sum[0]) / (double)x->n, gy = (y->sum[1] - y->sum[0]) / (double)y->n;
    return (gy > gx) - (gy < gx);
}

/* 0: they are no classes. */
static size_t classes_of(const dm_story_split *p, class_row rows[MOST_CLASSES])
{
    size_t n = 0;
    for (size_t i = 0; i < p->n && p->label.p; i++) {
        const dm_value *v =
            p->examples[i].label ? dm_value_get_str(p->examples[i].label, p->label) : NULL;
        size_t k = 0;
        if (!v || v->kind == DM_LIST || v->kind == DM_DICT || v->kind == DM_FLOAT)
            return 0;
        if (!p->results[0][i].present || !p->results[1][i].present)
            continue;
        while (k < n && !dm_value_equal(rows[k].label, v))
            k++;
        if (k == MOST_CLASSES)
            return 0;
        if (k == n)
            rows[n++] = (class_row){.label = v};
        rows[k].n++;
        for (int w = 0; w < 2; w++)
            rows[k].sum[w] += p->results[w][i].score;
    }
    return n >= 2 && p->n >= 3 * n ? n : 0;
}

void dm_chart_labels(dm_buf *b, const dm_story_split *p)
{
    class_row rows[MOST_CLASSES];
    size_t n = p->two ? classes_of(p, rows) : 0;
    double left = 170, right = 580;
    if (n == 0)
        return;
    qsort(rows, n, sizeof *rows, by_gain);
    int h = 26 * (int)n + 34;
    dm_buf_text(b, "<h3>By label</h3>");
    dm_svg_open(b, 720, h, "Scores by label, as written and compiled");
    for (int v = 0; v <= 100; v += 25) {
        double x = left + (right - left) * v / 100;
        dm_svg_line(b, x, 6, x, h - 26, "grid");
        dm_svg_text(b, x, h - 10, "tick", "middle", "%d", v);
    }
    for (size_t i = 0; i < n; i++) {
        double y = 20 + 26 * (double)i, all = (double)rows[i].n,
               a = left + (right - left) * rows[i].sum[0] / all,
               w = left + (right - left) * rows[i].sum[1] / all;
        dm_buf name;
        dm_buf_init(&name, DM_MAX_TEXT);
        dm_py_str(&name, rows[i].label);
        dm_svg_words(b, left - 10, y + 4, "lab", "end", dm_buf_view(&name), 22);
        dm_buf_free(&name);
        dm_svg_line(b, a, y, w, y, w > a ? "link good" : w < a ? "link bad" : "link unsure");
        dm_buf_printf(b,
                      "<rect x=\"%.1f\" y=\"%.1f\" width=\"9\" height=\"9\" class=\"dot c0\"/>"
                      "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5.5\" class=\"dot c1\"/>",
                      a - 4.5, y - 4.5, w, y);
        dm_svg_text(b, right + 18, y + 4, "tick", "",
                    p->graded ? "%.1f → %.1f of %.0f" : "%.0f → %.0f of %.0f", rows[i].sum[0],
                    rows[i].sum[1], all);
    }
    dm_svg_close(b);
}
