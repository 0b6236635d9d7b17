/* The page: what came out first, then how, and how to make it again. */
#include "report/page.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/show.h"
#include "json/json.h"
#include "report/style.h"

#include <string.h>

#define MOST_ROWS 200 /* candidates in the table */

/* ---- the head ---- */

static void put_base64(dm_buf *b, const uint8_t *p, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) |
                     (i + 2 < n ? p[i + 2] : 0);
        for (size_t k = 0; k < 4; k++)
            dm_buf_char(b, k <= n - i ? digits[v >> (18 - 6 * k) & 63] : '=');
    }
}

/* Nothing may run or be fetched, and of styles only this one holds. */
static void put_head(dm_buf *b, const dm_story *s)
{
    dm_hash hash = dm_hash_of(page_style, sizeof page_style - 1);
    dm_buf_text(b, DM_REPORT_START " " DM_VERSION "\">\n<meta name=\"viewport\" "
                                   "content=\"width=device-width,initial-scale=1\"><meta "
                                   "http-equiv=\"Content-Security-Policy\" content=\"default-src "
                                   "'none'; style-src 'sha256-");
    put_base64(b, hash.b, sizeof hash.b);
    dm_buf_text(b, "'\">\n<title>");
    dm_page_string(b, s->title);
    dm_buf_text(b, ": compiled with dspy-mpi</title><style>");
    dm_buf_text(b, page_style);
    dm_buf_text(b, "</style></head>\n<body><main>\n");
}

/* ---- the sentence ---- */

static const char *optimizer_of(const dm_story *s)
{
    const dm_value *o = dm_value_get(s->job, "optimizer");
    return o && o->kind == DM_STRING ? o->text.p : dm_story_text(o, "name");
}

static const char *model_of(const dm_story *s)
{
    const dm_value *lm = dm_value_get(s->job, "lm");
    const char *said = dm_story_text(s->evidence, "model");
    if (*said)
        return said;
    return lm && lm->kind == DM_LIST && lm->n ? dm_story_text(lm->items[0], "model") : "";
}

static bool is_sure(const dm_story_split *p)
{
    return p->diff.n && strncmp(dm_verdict_text(&p->diff), "no ", 3) != 0;
}

/* Of a validation score that chose the program the corrected one is the honest one. */
static double honest(const dm_score *s)
{
    return isnan(s->corrected) ? s->score : s->corrected;
}

static void put_verdict(dm_buf *b, const dm_story_split *p, bool chosen)
{
    bool test = strcmp(p->name, "testset") == 0;
    bool better = p->diff.mean > 0;
    dm_buf_printf(b, "<p class=\"verdict%s\">On %zu %s example%s%s the compiled program scores <b>",
                  is_sure(p) ? "" : " no", p->n, test ? "unseen test" : "validation",
                  p->n == 1 ? "" : "s", test || !chosen ? "" : ", which chose it,");
    dm_page_percent(b, honest(&p->score[1]));
    dm_buf_text(b, "&nbsp;%</b>, the program as written ");
    dm_page_percent(b, p->score[0].score);
    dm_buf_text(b, "&nbsp;%: ");
    if (is_sure(p))
        dm_buf_printf(b, "<b>%s by %.1f points</b>", better ? "better" : "worse",
                      fabs(100 * p->diff.mean));
    else
        dm_buf_text(b, "no difference outside the noise");
    dm_buf_text(b, ".</p>\n<p class=\"lead\">");
    if (!p->diff.n) {
        dm_buf_text(b, "No example has a score of both.</p>");
        return;
    }
    dm_buf_printf(b,
                  "95 %% interval of the difference %+.1f to %+.1f points; %zu answer%s became %s, "
                  "%zu became %s",
                  100 * p->diff.low, 100 * p->diff.high, p->diff.up, p->diff.up == 1 ? "" : "s",
                  p->graded ? "better" : "right", p->diff.down, p->graded ? "worse" : "wrong");
    if (p->diff.binary)
        dm_buf_printf(b, " (p = %.3f, exact McNemar test)", dm_sign_test(&p->diff));
    dm_buf_text(b, ".</p>");
}

/* Of a run that has not ended, or whose files are not whole. */
static void put_state(dm_buf *b, const dm_story *s)
{
    const char *status = dm_story_text(s->status, "status"),
               *reason = dm_story_text(s->status, "reason");
    if (strcmp(status, "done") == 0 && s->n_splits)
        return;
    dm_buf_text(b, "<p class=\"warn\">");
    if (strcmp(status, "running") == 0) {
        dm_buf_text(
            b, "This run has not ended: it is still running, or it was killed; last heard from ");
        dm_page_string(b, dm_story_text(s->status, "renewed"));
        dm_buf_text(b, ". What follows is as far as it got.");
    } else if (strcmp(status, "done") == 0) {
        dm_buf_text(b, "Nothing was scored: the job has neither a validation nor a test set.");
    } else {
        dm_buf_text(b, strcmp(status, "failed") == 0 ? "This run has failed"
                                                     : "This run was stopped before its end");
        if (*reason) {
            dm_buf_text(b, ": ");
            dm_page_string(b, reason);
        }
        dm_buf_text(b, ". What follows is as far as it got.");
    }
    dm_buf_text(b, "</p>\n");
}

static void put_fact(dm_buf *b, const char *name)
{
    dm_buf_printf(b, "<div><dt>%s</dt><dd>", name);
}

static void put_facts(dm_buf *b, const dm_story *s)
{
    const dm_value *from = s->last ? s->last : s->progress, *tokens = dm_value_get(from, "tokens");
    double cost = dm_story_number(from, "cost"), seconds = dm_story_number(from, "seconds");
    if (!from)
        return;
    dm_buf_text(b, "<dl class=\"facts\">");
    put_fact(b, "calls");
    dm_page_count(b, dm_story_number(from, "calls"));
    dm_buf_text(b, "</dd></div>");
    put_fact(b, "tokens in, out");
    dm_print_count(b, dm_story_number(tokens, "prompt"));
    dm_buf_text(b, ", ");
    dm_print_count(b, dm_story_number(tokens, "completion"));
    dm_buf_text(b, "</dd></div>");
    put_fact(b, "time");
    if (!isnan(seconds))
        dm_print_seconds(b, seconds);
    dm_buf_text(b, "</dd></div>");
    put_fact(b, "cost");
    if (isnan(cost))
        dm_buf_text(b, "no price");
    else
        dm_buf_printf(b, "$%.2f", cost);
    dm_buf_text(b, "</dd></div></dl>\n");
}

/* What a judge's scores are worth: it was asked again about answers that it had judged. */
static void put_noise(dm_buf *b, const dm_story *s)
{
    const dm_value *noise = dm_value_get(s->last, "judge_noise");
    double n = dm_story_number(noise, "answers"), changed = dm_story_number(noise, "changed"),
           sd = dm_story_number(noise, "sd");
    if (!(n > 0))
        return;
    dm_buf_printf(b, "<p class=\"note\">The judge, asked twice about %.0f answers, ", n);
    if (changed > 0)
        dm_buf_printf(b,
                      "scored %.0f of them otherwise: one judgement is off by %.1f points, the "
                      "mean of 100 by %.2f.</p>\n",
                      changed, 100 * sd, 10 * sd);
    else
        dm_buf_text(b, "said the same each time.</p>\n");
}

static void put_header(dm_buf *b, const dm_story *s)
{
    const dm_value *stand_in = dm_value_get(s->evidence, "stand_in");
    dm_buf_text(b, "<header><h1>");
    dm_page_string(b, s->title);
    dm_buf_text(b, " · ");
    dm_page_string(b, optimizer_of(s));
    dm_buf_text(b, " · ");
    dm_page_string(b, model_of(s));
    dm_buf_text(b, "</h1>\n");
    if (s->n_splits && s->splits[0].two)
        put_verdict(b, &s->splits[0], dm_story_chosen(s));
    dm_buf_text(b, "</header>\n");
    put_state(b, s);
    if (stand_in && dm_value_truthy(stand_in))
        dm_buf_text(b, "<p class=\"warn\">The model was the built-in stand-in, not a language "
                       "model: these numbers show the machinery, nothing else.</p>\n");
    put_facts(b, s);
    put_noise(b, s);
}

/* ---- sections ---- */

static void open_section(dm_buf *b, const char *id, const char *title)
{
    dm_buf_printf(b, "<section aria-labelledby=\"%s\"><h2 id=\"%s\">%s</h2>\n", id, id, title);
}

static void open_wide(dm_buf *b, const char *label)
{
    dm_page_scroll(b, label);
    dm_buf_text(b, "<div class=\"wide\">\n");
}

static void put_rates(dm_buf *b, const dm_story_split *p)
{
    for (int w = 0; w < 2; w++) {
        const dm_score *s = &p->score[w];
        if (s->failed + s->fallback + s->truncated == 0)
            continue;
        dm_buf_printf(b,
                      "<p class=\"note\">%s, %s: %zu failed (%zu did not parse, %zu were refused), "
                      "%zu in JSON mode, %zu cut off at max_tokens.</p>",
                      p->name, w ? "compiled" : "as written", s->failed, s->parse, s->refused,
                      s->fallback, s->truncated);
    }
}

static void put_before_after(dm_buf *b, const dm_story *s)
{
    bool corrected = false;
    open_section(b, "before", "Before and after");
    open_wide(b, "scores before and after");
    dm_buf_text(b, "<div class=\"small\">");
    dm_chart_before_after(b, s);
    if (s->splits[0].two)
        dm_chart_difference(b, &s->splits[0]);
    dm_buf_text(b, "</div></div></div>\n");
    for (size_t i = 0; i < s->n_splits; i++) {
        corrected |= !isnan(s->splits[i].score[1].corrected);
        put_rates(b, &s->splits[i]);
    }
    dm_buf_text(b, "<p class=\"key\">■ as written, ● compiled");
    if (corrected)
        dm_buf_text(b, ", ○ before the correction");
    dm_buf_text(b, "; bars are 95 % intervals.");
    if (corrected)
        dm_buf_text(b, " The validation score chose this program, so it is corrected downwards.");
    else if (dm_story_chosen(s))
        dm_buf_text(b, " The validation score chose this program, so it is optimistic.");
    if (strcmp(s->splits[0].name, "testset") == 0)
        dm_buf_text(b, " The test set chose nothing.");
    dm_buf_text(b, "</p></section>\n");
}

static void put_answers(dm_buf *b, const dm_story_split *p)
{
    open_section(b, "answers", "Which answers changed");
    dm_buf_printf(b, "<p>%s, %zu example%s.</p>",
                  strcmp(p->name, "testset") == 0 ? "Test set" : "Validation set", p->n,
                  p->n == 1 ? "" : "s");
    open_wide(b, "what became of each example");
    dm_chart_flips(b, p);
    dm_chart_labels(b, p);
    dm_buf_text(b, "</div></div>\n");
    dm_page_examples(b, p, true);
    dm_page_examples(b, p, false);
    dm_buf_text(b, "</section>\n");
}

/* ---- the search ---- */

static void put_trial(dm_buf *b, const dm_story_trial *t, size_t i, bool estimates, bool levels)
{
    dm_buf_printf(b, "<tr><td>%zu ", i);
    dm_page_text(b, t->name, 80);
    dm_buf_text(b, t->best ? " ★</td><td>" : "</td><td>");
    if (levels) {
        dm_page_text(b, t->instructions, 40);
        dm_buf_text(b, t->demos.n ? " / " : "");
        dm_page_text(b, t->demos, 40);
        dm_buf_text(b, "</td><td>");
    }
    dm_page_percent(b, t->score.score);
    dm_buf_text(b, "</td><td>");
    dm_page_interval(b, &t->score);
    dm_buf_text(b, "</td><td>");
    if (estimates) {
        dm_page_percent(b, t->estimate);
        dm_buf_text(b, "</td><td>");
    }
    dm_buf_printf(b, "%zu</td><td>%zu</td><td>%zu</td><td>", t->score.n, t->score.failed,
                  t->score.parse);
    if (!isnan(t->tokens))
        dm_page_count(b, t->tokens);
    dm_buf_text(b, t->front ? " ◆</td></tr>\n" : "</td></tr>\n");
}

static void put_trials(dm_buf *b, const dm_story *s, bool estimates, bool levels)
{
    const bool *marked = dm_story_notable(s, MOST_ROWS);
    bool all = s->n_trials <= MOST_ROWS;
    dm_buf_printf(b, "<details><summary>%s candidates as a table</summary>",
                  all ? "All" : "The best");
    dm_page_table(b, "candidates", "num");
    dm_page_head(b, "candidate");
    if (levels)
        dm_page_head(b, "instruction / demonstrations");
    dm_page_head(b, "score");
    dm_page_head(b, "95 % interval");
    if (estimates)
        dm_page_head(b, "estimate");
    dm_page_head(b, "examples");
    dm_page_head(b, "failed");
    dm_page_head(b, "not parsed");
    dm_page_head(b, "prompt tokens");
    dm_page_rows(b);
    for (size_t i = 0; i < s->n_trials; i++)
        if (marked[i])
            put_trial(b, &s->trials[i], i, estimates, levels);
    dm_page_table_end(b);
    dm_buf_text(b, "<p class=\"key\">★ the best; ◆ no other beats it both in score and in length: "
                   "<code>--pick</code> takes it</p>");
    if (!all)
        dm_buf_printf(b, "<p class=\"note\">all %zu are in <code>trials.csv</code></p>",
                      s->n_trials);
    dm_buf_text(b, "</details>\n");
}

/* What came of reflections. */
static void put_learned(dm_buf *b, const dm_value *gepa)
{
    static const char *const rows[][2] = {{"iterations", " iterations, "},
                                          {"reflections", " reflections, "},
                                          {"accepted", " children validated, "},
                                          {"merges", " merges taken, "},
                                          {"leaks", " instructions that copied words of a row. "}};
    for (size_t i = 0; gepa && i < sizeof rows / sizeof *rows; i++) {
        dm_page_count(b, dm_story_number(gepa, rows[i][0]));
        dm_buf_text(b, rows[i][1]);
    }
}

static void put_search_words(dm_buf *b, const dm_story *s, bool estimates)
{
    const dm_value *search = dm_value_get(s->last, "search");
    size_t full = 0;
    for (size_t i = 0; i < s->n_trials; i++)
        full = s->trials[i].score.n > full ? s->trials[i].score.n : full;
    dm_buf_text(b, "<p>");
    if (search) {
        dm_page_count(b, dm_story_number(search, "runs"));
        dm_buf_text(b, " program runs, ");
        dm_page_count(b, dm_story_number(search, "candidates"));
        dm_buf_text(b, " candidates; it ended by ");
        dm_page_string(b, dm_story_text(search, "end"));
        dm_buf_text(b, ". ");
    }
    put_learned(b, dm_value_get(s->last, "gepa"));
    dm_buf_printf(b,
                  "%zu candidate%s listed. A filled point was run on all %zu examples, an open "
                  "one on as many as its size says: its mean is of few runs, and the bar says what "
                  "that is worth.",
                  s->n_trials, s->n_trials == 1 ? " is" : "s are", full);
    if (estimates)
        dm_buf_text(b, " The estimate is the search's own, from all runs that share an instruction "
                       "or a demonstration set with it.");
    dm_buf_text(b, "</p>");
}

/* The texts behind the numbers of instructions. */
static void put_levels(dm_buf *b, const dm_story *s)
{
    const dm_value *levels = dm_value_get(s->evidence, "levels");
    for (size_t p = 0; levels && levels->kind == DM_DICT && p < levels->n; p++) {
        const dm_value *texts = dm_value_get(levels->members[p].value, "instructions");
        if (!texts || texts->kind != DM_LIST || texts->n < 2)
            continue;
        dm_buf_text(b, "<details><summary>Instructions of ");
        dm_page_text(b, levels->members[p].key, 80);
        dm_buf_text(b, " that were tried, by number</summary><ol start=\"0\">");
        for (size_t i = 0; i < texts->n; i++) {
            dm_buf_text(b, "<li>");
            if (texts->items[i]->kind == DM_STRING)
                dm_page_text(b, texts->items[i]->text, 2000);
            else
                dm_buf_text(b, "not available");
            dm_buf_text(b, "</li>\n");
        }
        dm_buf_text(b, "</ol></details>\n");
    }
}

static void put_search(dm_buf *b, const dm_story *s)
{
    bool estimates = false, levels = false;
    for (size_t i = 0; i < s->n_trials; i++) {
        estimates |= !isnan(s->trials[i].estimate);
        levels |= s->trials[i].instructions.n > 0;
    }
    open_section(b, "search", "The search");
    put_search_words(b, s, estimates);
    open_wide(b, "candidates");
    dm_chart_candidates(b, s);
    dm_chart_calls(b, s);
    if (dm_chart_grid(b, s))
        dm_buf_text(b, "<p class=\"note\">Raw means, with the number of runs of each; the interval "
                       "of each and its estimate are in the table.</p>");
    dm_chart_length(b, s);
    dm_buf_text(b, "</div></div>\n");
    put_trials(b, s, estimates, levels);
    put_levels(b, s);
    dm_buf_text(b, "</section>\n");
}

/* ---- calls and time ---- */

static void put_usage(dm_buf *b, const dm_value *usage)
{
    static const char *const heads[] = {"phase, role", "runs", "calls", "tokens in",
                                        "out",         "cost", NULL};
    dm_page_table(b, "by phase and role", "num");
    dm_page_heads(b, heads);
    dm_page_rows(b);
    for (size_t i = 0; i < usage->n; i++) {
        const dm_value *u = usage->items[i], *t = dm_value_get(u, "tokens");
        double cost = dm_story_number(u, "cost");
        dm_buf_text(b, "<tr><td>");
        dm_page_string(b, dm_story_text(u, "phase"));
        dm_buf_text(b, ", ");
        dm_page_string(b, dm_story_text(u, "role"));
        dm_page_next_count(b, dm_story_number(u, "runs"));
        dm_page_next_count(b, dm_story_number(u, "calls"));
        dm_page_next_count(b, dm_story_number(t, "prompt"));
        dm_page_next_count(b, dm_story_number(t, "completion"));
        dm_buf_text(b, "</td><td>");
        if (isnan(cost))
            dm_buf_text(b, "no price");
        else
            dm_buf_printf(b, "$%.4g", cost);
        dm_buf_text(b, "</td></tr>\n");
    }
    dm_page_table_end(b);
}

static void put_time(dm_buf *b, double s)
{
    if (isnan(s))
        dm_buf_text(b, "not known");
    else if (s < 1)
        dm_buf_printf(b, "%.0f ms", 1000 * s);
    else
        dm_print_seconds(b, s);
}

static void put_ranks(dm_buf *b, const dm_story *s, const dm_value *ranks)
{
    double seconds = dm_story_number(s->evidence, "seconds");
    static const char *const heads[] = {"rank", "runs", "slots busy, mean", "median", "95 %",
                                        "99 %", NULL};
    dm_buf_text(b, "<h3>By rank</h3>");
    dm_page_table(b, "by rank", "num");
    dm_page_heads(b, heads);
    dm_page_rows(b);
    for (size_t i = 0; i < ranks->n && i < 64; i++) {
        const dm_value *r = ranks->items[i];
        dm_buf_printf(b, "<tr><td>%.0f</td><td>", dm_story_number(r, "rank"));
        dm_page_count(b, dm_story_number(r, "runs"));
        dm_buf_printf(b, "</td><td>%.1f</td><td>",
                      dm_story_number(r, "busy_seconds") / fmax(1e-3, seconds));
        put_time(b, dm_story_number(r, "median"));
        dm_buf_text(b, "</td><td>");
        put_time(b, dm_story_number(r, "p95"));
        dm_buf_text(b, "</td><td>");
        put_time(b, dm_story_number(r, "p99"));
        dm_buf_text(b, "</td></tr>\n");
    }
    dm_page_table_end(b);
    dm_buf_text(b, "<p class=\"note\">Times of a program run, from going out "
                   "to its result, to within a tenth; of the last attempt.</p>");
    if (ranks->n > 64)
        dm_buf_printf(b,
                      "<p class=\"note\">the others of %zu are in <code>evidence.json</code></p>",
                      ranks->n);
}

static void put_spent(dm_buf *b, const dm_story *s)
{
    const dm_value *usage = dm_value_get(s->evidence, "usage"),
                   *ranks = dm_value_get(s->evidence, "rank"),
                   *errors = dm_value_get(s->evidence, "errors");
    if (!usage || usage->kind != DM_LIST)
        return;
    open_section(b, "spent", "Where the calls and the time went");
    put_usage(b, usage);
    if (ranks && ranks->kind == DM_LIST && ranks->n)
        put_ranks(b, s, ranks);
    open_wide(b, "places busy");
    dm_chart_busy(b, s);
    dm_buf_text(b, "</div></div>\n<p>Examples that failed: ");
    for (size_t i = 0; errors && errors->kind == DM_DICT && i < errors->n; i++) {
        dm_buf_text(b, i ? ", " : "");
        dm_page_value(b, errors->members[i].value, 0);
        dm_buf_char(b, ' ');
        dm_page_text(b, errors->members[i].key, 80);
    }
    dm_buf_text(b, errors && errors->kind == DM_DICT && errors->n ? ".</p>" : "none.</p>");
    dm_buf_text(b, "</section>\n");
}

/* ---- to make it again ---- */

static void put_row(dm_buf *b, const char *name, const dm_value *v)
{
    if (!v)
        return;
    dm_buf_printf(b, "<tr><th scope=\"row\">%s</th><td><code>", name);
    if (v->kind == DM_NULL)
        dm_buf_text(b, "the optimizer's own");
    else
        dm_page_value(b, v, 400);
    dm_buf_text(b, "</code></td></tr>\n");
}

/* As a shell takes it for one. */
static void put_word(dm_buf *b, const char *word)
{
    dm_buf quoted;
    dm_buf_init(&quoted, DM_MAX_TEXT);
    dm_put_word(&quoted, word);
    dm_buf_char(b, ' ');
    dm_page_text(b, dm_buf_view(&quoted), 0);
    dm_buf_free(&quoted);
}

static void put_again(dm_buf *b, const dm_story *s)
{
    static const char *const keys[] = {"program", "teacher", "trainset",  "valset", "testset",
                                       "metric",  "adapter", "optimizer", "seed",   "lm"};
    const char *job = dm_story_text(s->evidence, "job_file"), *slash = strrchr(job, '/');
    const dm_value *options = dm_value_get(s->evidence, "options");
    job = slash ? slash + 1 : job; /* whose folders there are is nobody's business */
    open_section(b, "again", "To reproduce it");
    if (*job && strcmp(job, "command line") != 0) {
        dm_buf_text(b, "<pre tabindex=\"0\">dspy-mpi compile");
        put_word(b, job);
        for (size_t i = 0; options && options->kind == DM_LIST && i < options->n; i++)
            if (options->items[i]->kind == DM_STRING)
                put_word(b, options->items[i]->text.p);
        dm_buf_text(b, " --fresh</pre>\n");
    }
    dm_page_scroll(b, "what it was made of");
    dm_buf_text(b, "<table><tbody>");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        put_row(b, keys[i], dm_value_get(s->job, keys[i]));
    put_row(b, "version", dm_value_get(s->status, "version"));
    put_row(b, "started", dm_value_get(s->status, "started"));
    put_row(b, "ended", dm_value_get(s->evidence, "ended"));
    put_row(b, "ranks that ran models", dm_value_get(s->evidence, "ranks"));
    if (s->sum[0])
        dm_buf_printf(b,
                      "<tr><th scope=\"row\">program.json</th><td><code>sha256 "
                      "%s</code></td></tr>\n",
                      s->sum);
    dm_page_table_end(b);
    dm_buf_text(b, "</section>\n");
}

void dm_story_html(dm_buf *b, const dm_story *s)
{
    put_head(b, s);
    put_header(b, s);
    if (s->n_splits)
        put_before_after(b, s);
    if (s->compiled || s->committee) {
        open_section(b, "changed", s->compiled ? "What changed" : "The ensemble");
        if (s->compiled)
            dm_page_changes(b, s);
        else
            dm_page_committee(b, s);
        dm_buf_text(b, "</section>\n");
    }
    if (s->compiled && dm_value_get(s->last, "ensemble")) {
        open_section(b, "ensemble", "The ensemble");
        dm_page_committee(b, s);
        dm_buf_text(b, "</section>\n");
    }
    if (s->n_splits && s->splits[0].two)
        put_answers(b, &s->splits[0]);
    if (s->n_trials)
        put_search(b, s);
    put_spent(b, s);
    put_again(b, s);
    dm_buf_text(b, "</main></body></html>\n");
}
