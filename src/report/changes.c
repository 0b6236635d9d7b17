/* What changed: instructions word by word, demonstrations, and the answers that became others. */
#include "report/page.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#define MOST_WORDS    1200 /* of an instruction that is compared word by word */
#define MOST_TEXT     600  /* bytes of a value in a table */
#define MOST_EXAMPLES 20

/* ---- words ---- */

typedef struct words {
    dm_str *w; /* with the blanks behind them */
    size_t n;
} words;

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static words split(dm_arena *a, dm_str text)
{
    words r = {dm_arena_alloc_n(a, text.n + 1, sizeof *r.w), 0};
    for (size_t i = 0; i < text.n;) {
        size_t from = i;
        while (i < text.n && !is_blank(text.p[i]))
            i++;
        while (i < text.n && is_blank(text.p[i]))
            i++;
        r.w[r.n++] = (dm_str){text.p + from, i - from};
    }
    return r;
}

static bool same_word(dm_str a, dm_str b)
{
    while (a.n && is_blank(a.p[a.n - 1]))
        a.n--;
    while (b.n && is_blank(b.p[b.n - 1]))
        b.n--;
    return dm_str_eq(a, b);
}

static void put_run(dm_buf *b, const char *tag, const words *w, size_t from, size_t to)
{
    if (from == to)
        return;
    dm_str text = {w->w[from].p, (size_t)(w->w[to - 1].p + w->w[to - 1].n - w->w[from].p)};
    if (tag)
        dm_buf_printf(b, "<%s>", tag);
    dm_page_text(b, text, 0);
    if (tag)
        dm_buf_printf(b, "</%s>", tag);
}

/* By the longest common sequence of words. */
static void put_word_diff(dm_buf *b, dm_arena *a, dm_str from, dm_str to)
{
    words x = split(a, from), y = split(a, to);
    if (x.n > MOST_WORDS || y.n > MOST_WORDS) {
        put_run(b, "del", &x, 0, x.n);
        put_run(b, "ins", &y, 0, y.n);
        return;
    }
    uint16_t *best = dm_alloc_n((x.n + 1) * (y.n + 1), sizeof *best);
    size_t wide = y.n + 1, i = 0, k = 0;
    for (i = x.n; i-- > 0;)
        for (k = y.n; k-- > 0;) {
            uint16_t down = best[(i + 1) * wide + k], right = best[i * wide + k + 1];
            best[i * wide + k] = same_word(x.w[i], y.w[k])
                                     ? (uint16_t)(best[(i + 1) * wide + k + 1] + 1)
                                 : down > right ? down
                                                : right;
        }
    for (i = k = 0; i < x.n || k < y.n;) {
        size_t gone, come = k;
        while (i < x.n && k < y.n && same_word(x.w[i], y.w[k]))
            i++, k++;
        put_run(b, NULL, &y, come, k);
        gone = i, come = k;
        while ((i < x.n || k < y.n) && !(i < x.n && k < y.n && same_word(x.w[i], y.w[k])))
            if (k == y.n || (i < x.n && best[(i + 1) * wide + k] >= best[i * wide + k + 1]))
                i++;
            else
                k++;
        put_run(b, "del", &x, gone, i);
        put_run(b, "ins", &y, come, k);
    }
    free(best);
}

/* ---- programs ---- */

static void put_demos(dm_buf *b, const dm_candidate_part *part)
{
    dm_buf_text(b, "<ol class=\"demos\">");
    for (size_t i = 0; i < part->n_demos; i++) {
        const dm_value *d = part->demos[i], *made = dm_value_get(d, "augmented");
        bool bootstrapped = made && dm_value_truthy(made);
        dm_buf_printf(b, "<li><span class=\"tag\">%s</span><dl>",
                      bootstrapped ? "bootstrapped" : "labelled");
        for (size_t k = 0; k < d->n; k++) {
            if (dm_str_is(d->members[k].key, "augmented"))
                continue;
            dm_buf_text(b, "<dt>");
            dm_page_text(b, d->members[k].key, 80);
            dm_buf_text(b, "</dt><dd>");
            dm_page_value(b, d->members[k].value, MOST_TEXT);
            dm_buf_text(b, "</dd>");
        }
        dm_buf_text(b, "</dl></li>\n");
    }
    dm_buf_text(b, "</ol>");
}

static void put_part(dm_buf *b, const dm_story *s, size_t i)
{
    const dm_candidate_part *w = &s->compiled->parts[i], *a = s->start ? &s->start->parts[i] : NULL;
    dm_str name = dm_predictor_label(&s->compiled->program->predictors[i]);
    dm_buf_text(b, "<h3>Instruction of <code>");
    dm_page_text(b, name, 80);
    dm_buf_text(b, "</code></h3>");
    if (!a || dm_str_eq(a->instructions, w->instructions)) {
        dm_buf_text(b, "<blockquote class=\"same\">");
        dm_page_text(b, w->instructions, 0);
        dm_buf_printf(b, "</blockquote><p class=\"note\">%s</p>",
                      a ? "as written" : "what it was at the start is not known");
    } else {
        dm_buf_text(b, "<blockquote>");
        put_word_diff(b, s->arena, a->instructions, w->instructions);
        dm_buf_text(b, "</blockquote>");
    }
    dm_buf_text(b, "<h3>Demonstrations of <code>");
    dm_page_text(b, name, 80);
    dm_buf_text(b, "</code>: ");
    if (a)
        dm_buf_printf(b, "%zu → ", a->n_demos);
    dm_buf_printf(b, "%zu</h3>", w->n_demos);
    if (w->n_demos)
        put_demos(b, w);
}

static void put_summary(dm_buf *b, const dm_story *s)
{
    size_t n = s->compiled->program->n, kept = 0, demos = 0, made = 0;
    double before = dm_story_number(dm_value_get(s->evidence, "start"), "prompt_tokens"),
           after = dm_story_number(dm_value_get(s->evidence, "compiled"), "prompt_tokens");
    for (size_t i = 0; i < n; i++) {
        const dm_candidate_part *w = &s->compiled->parts[i];
        kept += s->start && dm_str_eq(s->start->parts[i].instructions, w->instructions);
        demos += w->n_demos;
        for (size_t k = 0; k < w->n_demos; k++) {
            const dm_value *boot = dm_value_get(w->demos[k], "augmented");
            made += boot && dm_value_truthy(boot);
        }
    }
    dm_buf_text(b, "<p>");
    if (s->start && kept == n)
        dm_buf_text(b, n == 1 ? "The instruction is as written. "
                              : "All instructions are as written. ");
    else if (s->start)
        dm_buf_printf(b, n == 1 ? "The instruction is new. " : "%zu of %zu instructions are new. ",
                      n - kept, n);
    dm_buf_printf(b, "The program has %zu demonstration%s", demos, demos == 1 ? "" : "s");
    if (demos)
        dm_buf_printf(b, ", %zu of them bootstrapped", made);
    if (!isnan(before) && !isnan(after))
        dm_buf_printf(b, "; a prompt has about %.0f tokens without its example, %.0f at the start",
                      after, before);
    dm_buf_text(b, ".</p>");
}

void dm_page_changes(dm_buf *b, const dm_story *s)
{
    put_summary(b, s);
    for (size_t i = 0; i < s->compiled->program->n; i++)
        put_part(b, s, i);
}

/* ---- answers ---- */

static void put_inputs(dm_buf *b, const dm_value *inputs)
{
    for (size_t i = 0; inputs && i < inputs->n; i++) {
        if (i)
            dm_buf_text(b, "<br>");
        if (inputs->n > 1) {
            dm_buf_text(b, "<span class=\"soft\">");
            dm_page_text(b, inputs->members[i].key, 80);
            dm_buf_text(b, "</span> ");
        }
        dm_page_value(b, inputs->members[i].value, MOST_TEXT);
    }
}

static void put_answer(dm_buf *b, const dm_story_split *p, size_t i, int which, bool right)
{
    const dm_story_example *e = &p->examples[i];
    const dm_value *out = e->outputs[which],
                   *v = out && p->label.p ? dm_value_get_str(out, p->label) : NULL;
    dm_buf_printf(b, "<td class=\"%s\">", p->graded ? "plain" : right ? "goodt" : "badt");
    if (e->error[which])
        dm_page_string(b, e->error[which]);
    else
        dm_page_value(b, v ? v : out, MOST_TEXT);
    if (p->graded && p->results[which][i].present)
        dm_buf_printf(b, " <span class=\"soft\">%.3g</span>", p->results[which][i].score);
    dm_buf_text(b, "</td>");
}

void dm_page_examples(dm_buf *b, const dm_story_split *p, bool gained)
{
    static const char *const heads[] = {"id", "input", "label", "as written", "compiled", NULL};
    char label[64];
    snprintf(label, sizeof label, "answers that became %s, %s", gained ? "better" : "worse",
             p->name);
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        n += dm_story_change(p, i) == (gained ? 1 : -1);
    dm_buf_printf(b, "<details%s><summary>%zu answer%s became %s</summary>", gained ? " open" : "",
                  n, n == 1 ? "" : "s",
                  p->graded ? (gained ? "better" : "worse") : (gained ? "right" : "wrong"));
    if (n == 0) {
        dm_buf_text(b, "<p class=\"note\">none</p></details>");
        return;
    }
    dm_page_table(b, label, "flips");
    dm_page_heads(b, heads);
    dm_page_rows(b);
    size_t shown = 0;
    for (size_t i = 0; i < p->n && shown < MOST_EXAMPLES; i++) {
        const dm_story_example *e = &p->examples[i];
        if (dm_story_change(p, i) != (gained ? 1 : -1))
            continue;
        shown++;
        dm_buf_text(b, "<tr><td class=\"id\">");
        dm_page_text(b, e->id, 80);
        dm_buf_text(b, "</td><td>");
        put_inputs(b, e->inputs);
        dm_buf_text(b, "</td><td class=\"gold\">");
        if (e->label)
            dm_page_value(b, p->label.p ? dm_value_get_str(e->label, p->label) : e->label,
                          MOST_TEXT);
        dm_buf_text(b, "</td>");
        put_answer(b, p, i, 0, !gained);
        put_answer(b, p, i, 1, gained);
        dm_buf_text(b, "</tr>\n");
    }
    dm_page_table_end(b);
    if (n > shown)
        dm_buf_printf(b, "<p class=\"note\">and %zu more in <code>predictions.jsonl</code></p>",
                      n - shown);
    dm_buf_text(b, "</details>");
}
