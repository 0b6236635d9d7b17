#include "report/report.h"
#include "base/clock.h"
#include "base/secret.h"
#include "base/show.h"
#include "json/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the table ---- */

#define MOST_WORDS  300 /* bytes of what an example that failed says */
#define COLUMN      25  /* "57.0 % (47.2 to 66.3)" */
#define WIDE_COLUMN 37  /* "61.7 %, corrected 57.7 (45.1 to 68.9)" */

static void put_score(dm_buf *b, const dm_score *s, int width)
{
    if (s->n == 0) {
        dm_buf_printf(b, "%*s", width, "no answer");
        return;
    }
    char text[80], corrected[40] = "";
    if (!isnan(s->corrected)) /* the interval lies around this */
        snprintf(corrected, sizeof corrected, ", corrected %.1f", 100 * s->corrected);
    snprintf(text, sizeof text, "%.1f %%%s (%.1f to %.1f)", 100 * s->score, corrected, 100 * s->low,
             100 * s->high);
    dm_buf_printf(b, "%*s", width, text);
}

/* What the first that failed says: a rate alone does not tell what to mend. */
static void put_first(dm_buf *b, const dm_dataset *set, const dm_result *r)
{
    size_t i = 0;
    while (i < set->n && !(r[i].fault != DM_FAULT_NONE && r[i].error))
        i++;
    if (i == set->n)
        return;
    char *words = dm_outside(dm_str_of(r[i].error), MOST_WORDS);
    dm_show_printf(b, "  the first: %s: %s\n", set->examples[i].id, words);
    free(words);
}

static void put_rates(dm_buf *b, const char *who, const dm_score *s, const dm_dataset *set,
                      const dm_result *results)
{
    size_t n = set->n;
    double share = 100 / (double)n;
    if (s->failed + s->fallback + s->truncated == 0)
        return;
    dm_buf_printf(
        b,
        "  %s: %.1f %% failed (%zu of %zu; %zu did not parse, %zu refused), %.1f %% in JSON mode, "
        "%.1f %% cut off at max_tokens\n",
        who, share * (double)s->failed, s->failed, n, s->parse, s->refused,
        share * (double)s->fallback, share * (double)s->truncated);
    if (s->failed > 0)
        put_first(b, set, results);
}

static void put_split(dm_buf *b, const dm_split_report *s, double optimism, int width)
{
    dm_score start = dm_score_against(s->baseline, s->compiled, s->set->n);
    dm_buf_printf(b, "%-8s %6zu ", s->name, s->set->n);
    put_score(b, &start, COLUMN);
    if (s->compiled) {
        dm_score end = dm_score_against(s->compiled, s->baseline, s->set->n);
        dm_score_selected(&end, optimism);
        dm_difference d = dm_paired(s->baseline, s->compiled, s->set->n);
        dm_buf_char(b, ' ');
        put_score(b, &end, width);
        dm_buf_printf(b, "  %+.1f  %s\n", 100 * d.mean, dm_verdict_text(&d));
        put_rates(b, "start", &start, s->set, s->baseline);
        put_rates(b, "compiled", &end, s->set, s->compiled);
    } else {
        dm_buf_char(b, '\n');
        put_rates(b, "program", &start, s->set, s->baseline);
    }
}

void dm_report_table(dm_buf *b, const dm_report *r)
{
    bool two = r->n_splits && r->splits[0].compiled, test = false;
    if (r->stand_in)
        dm_buf_text(b, "(stand-in, not a language model)\n");
    int width = r->optimism > 0 ? WIDE_COLUMN : COLUMN;
    if (r->n_splits) {
        dm_buf_printf(b, "%-8s %6s %*s", "", "n", COLUMN, two ? "start (95 %)" : "score (95 %)");
        if (two)
            dm_buf_printf(b, " %*s  diff", width, "compiled (95 %)");
        dm_buf_char(b, '\n');
    }
    for (size_t i = 0; i < r->n_splits; i++) {
        bool is_test = strcmp(r->splits[i].name, "testset") == 0;
        put_split(b, &r->splits[i], is_test ? 0 : r->optimism, width);
        test |= is_test;
    }
    dm_buf_printf(b, "%lld calls, ", (long long)r->usage.requests);
    dm_print_count(b, (double)r->usage.prompt);
    dm_buf_text(b, " prompt and ");
    dm_print_count(b, (double)r->usage.completion);
    dm_buf_text(b, " completion tokens, ");
    if (!isnan(r->cost) && r->cost > 0)
        dm_buf_printf(b, "$%.2f, ", r->cost);
    dm_print_seconds(b, r->seconds);
    dm_buf_char(b, '\n');
    if (r->program)
        dm_show_printf(b, "%s\n", r->program);
    if (two && r->selected && !test)
        dm_buf_text(b, "validation score of a selected winner, optimistic\n");
}

/* ---- evidence ---- */

static bool is_input(const dm_setup *s, dm_str name)
{
    for (size_t i = 0; i < s->n_inputs; i++)
        if (dm_str_eq(s->inputs[i], name))
            return true;
    return false;
}

/* The row's columns that are inputs, or those that are not. */
static void put_columns(dm_buf *b, const dm_setup *s, const dm_value *row, bool inputs)
{
    bool first = true;
    dm_buf_char(b, '{');
    for (size_t i = 0; row && i < row->n; i++) {
        dm_str name = row->members[i].key;
        if (is_input(s, name) != inputs || (!inputs && dm_str_is(name, "id")))
            continue;
        dm_buf_text(b, first ? "" : ", ");
        dm_json_write_string(b, name);
        dm_buf_text(b, ": ");
        dm_json_write(b, row->members[i].value, DM_JSON_PYTHON);
        first = false;
    }
    dm_buf_char(b, '}');
}

/* The data's own as it is there. */
static void put_id(dm_buf *b, const dm_example *e)
{
    const dm_value *own = e->row ? dm_value_get(e->row, "id") : NULL;
    if (own && own->kind == DM_INT)
        dm_json_write(b, own, DM_JSON_PYTHON);
    else
        dm_json_write_string(b, dm_str_of(e->id));
}

/* {"query": {...}, "answer": {...}}: those before the last, which end in }, and the last. */
static void put_steps(dm_buf *b, const dm_setup *s, const dm_result *r)
{
    const dm_program *p = s->program;
    if (!p || p->n < 2 || !r->before.p || r->before.n < 2)
        return;
    dm_buf_text(b, ", \"steps\": ");
    dm_buf_add(b, r->before.p, r->before.n - 1);
    if (r->outputs.p) {
        dm_buf_text(b, ", ");
        dm_json_write_string(b, p->predictors[p->n - 1].step);
        dm_buf_text(b, ": ");
        dm_buf_str(b, r->outputs);
    }
    dm_buf_char(b, '}');
}

static void put_prediction(dm_buf *b, const dm_setup *setup, const dm_split_report *split,
                           bool compiled, size_t i)
{
    const dm_example *e = &split->set->examples[i];
    const dm_result *all = compiled ? split->compiled : split->baseline,
                    *others = compiled ? split->baseline : split->compiled, *r = &all[i];
    dm_buf_printf(b, DM_PREDICTIONS_START "%s\", \"program\": \"%s\", \"id\": ", split->name,
                  compiled ? "compiled" : "start");
    put_id(b, e);
    dm_buf_text(b, ", \"inputs\": ");
    put_columns(b, setup, e->row, true);
    dm_buf_text(b, ", \"label\": ");
    put_columns(b, setup, e->row, false);
    dm_buf_text(b, ", \"outputs\": ");
    dm_buf_str(b, r->outputs.p ? r->outputs : DM_STR("null"));
    put_steps(b, setup, r);
    dm_buf_text(b, ", \"score\": ");
    if (dm_counts_against(r, others ? &others[i] : NULL))
        dm_py_float(b, r->score);
    else
        dm_buf_text(b, "null");
    if (r->parts.p) {
        dm_buf_text(b, ", \"parts\": ");
        dm_buf_str(b, r->parts);
    }
    dm_buf_text(b, ", \"error\": ");
    if (r->fault == DM_FAULT_NONE)
        dm_buf_text(b, "null");
    else
        dm_buf_printf(b, "\"%s\"", dm_fault_name(r->fault));
    if (r->error) {
        dm_buf_text(b, ", \"message\": ");
        dm_json_write_string(b, dm_str_of(r->error));
    }
    dm_buf_text(b, "}\n");
}

void dm_report_predictions(dm_buf *b, const dm_setup *setup, const dm_split_report *splits,
                           size_t n)
{
    dm_buf line;
    dm_buf_init(&line, b->max);
    for (size_t i = 0; i < n; i++)
        for (int which = 0; which < 2; which++) {
            const dm_result *r = which ? splits[i].compiled : splits[i].baseline;
            for (size_t k = 0; r && k < splits[i].set->n; k++) {
                dm_buf_reset(&line);
                put_prediction(&line, setup, &splits[i], which, k);
                dm_show(b, dm_buf_view(&line), DM_SHOW_JSON);
                b->full |= line.full;
            }
        }
    dm_buf_free(&line);
}

/* ---- progress ---- */

/* 1,040 */
static void put_thousands(dm_buf *b, size_t n)
{
    if (n >= 1000) {
        put_thousands(b, n / 1000);
        dm_buf_printf(b, ",%03zu", n % 1000);
    } else {
        dm_buf_printf(b, "%zu", n);
    }
}

double dm_progress_left(const dm_progress *p, const dm_pool_stats *s, double now)
{
    if (s->total <= s->done || s->done <= p->phase_done)
        return NAN;
    return (now - p->phase_started) * (double)(s->total - s->done) /
           (double)(s->done - p->phase_done);
}

static void put_left(dm_buf *b, const dm_progress *p, const dm_pool_stats *s, double now)
{
    double left = dm_progress_left(p, s, now);
    if (isnan(left))
        return;
    dm_buf_text(b, "  ");
    dm_print_seconds(b, left);
    dm_buf_text(b, " left");
}

/* The parts in their order, without those that there is no room for; the first one stays, cut. */
static void put_progress(dm_buf *b, const dm_progress *p, const dm_pool_stats *s, double now,
                         size_t width)
{
    enum { COUNT, SCORE, RATE, TOKENS, ERRORS, LEFT, N_PARTS };
    static const int worth[N_PARTS] = {SCORE, LEFT, ERRORS, RATE, TOKENS}; /* behind the count */
    size_t done = s->total && s->done > s->total ? s->total : s->done; /* the total was a guess */
    dm_buf part[N_PARTS];
    bool room[N_PARTS] = {[COUNT] = true};
    for (int i = 0; i < N_PARTS; i++)
        dm_buf_init(&part[i], 200);
    dm_buf_printf(&part[COUNT], "%s ", s->phase);
    put_thousands(&part[COUNT], done);
    if (s->total) {
        dm_buf_text(&part[COUNT], " of ");
        put_thousands(&part[COUNT], s->total);
    }
    dm_buf_text(&part[COUNT], done == 1 && !s->total ? " run" : " runs");
    if (!isnan(s->best))
        dm_buf_printf(&part[SCORE], ", best %.1f %%", 100 * s->best);
    else if (!isnan(s->mean))
        dm_buf_printf(&part[SCORE], ", mean %.1f %%", 100 * s->mean);
    dm_buf_printf(&part[RATE], "  %.1f calls/s", p->rate);
    dm_buf_text(&part[TOKENS], "  ");
    dm_print_count(&part[TOKENS], (double)(s->usage.prompt + s->usage.completion));
    dm_buf_text(&part[TOKENS], " tokens");
    dm_buf_printf(&part[ERRORS], "  %zu error%s", s->errors, s->errors == 1 ? "" : "s");
    put_left(&part[LEFT], p, s, now);
    size_t used = part[COUNT].len;
    for (int i = 0; i + 1 < N_PARTS; i++) {
        room[worth[i]] = used + part[worth[i]].len <= width;
        used += room[worth[i]] ? part[worth[i]].len : 0;
    }
    for (int i = 0; i < N_PARTS; i++) {
        dm_str text = dm_buf_view(&part[i]);
        text.n = text.n < width ? text.n : width;
        if (room[i])
            dm_buf_str(b, text);
        dm_buf_free(&part[i]);
    }
}

void dm_progress_note(dm_progress *p, const dm_pool_stats *s, double now)
{
    double passed = now - p->last;
    if (p->last > 0 && passed > 0) {
        double newest = (double)(s->usage.requests - p->last_calls) / passed;
        p->rate = p->rate > 0 ? 0.7 * p->rate + 0.3 * newest : newest;
    }
    if (p->last == 0 || strcmp(p->phase, s->phase) != 0 || s->done < p->phase_done) {
        snprintf(p->phase, sizeof p->phase, "%s", s->phase);
        p->phase_started = p->last > 0 ? p->last : p->started;
        p->phase_done = p->last > 0 ? 0 : s->done;
    }
    p->last = now;
    p->last_calls = s->usage.requests;
}

void dm_progress_line(dm_buf *b, dm_progress *p, const dm_pool_stats *s, double now, size_t width)
{
    dm_progress_note(p, s, now);
    put_progress(b, p, s, now, width);
}
