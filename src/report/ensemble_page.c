/* An ensemble: who votes, what each of them scores and costs, and where they disagree. */
#include "report/page.h"

#include <string.h>

#define MOST_ROWS 20

static void put_members(dm_buf *b, const dm_value *members)
{
    static const char *const heads[] = {"member",   "votes",
                                        "score",    "95 % interval",
                                        "examples", "prompt tokens, about",
                                        NULL};
    dm_page_table(b, "members", "num");
    dm_page_heads(b, heads);
    dm_page_rows(b);
    for (size_t i = 0; i < members->n; i++) {
        const dm_value *m = members->items[i];
        const dm_score s = {.score = dm_story_number(m, "score"),
                            .low = dm_story_number(m, "low"),
                            .high = dm_story_number(m, "high")};
        dm_buf_printf(b, "<tr><td>%zu: ", i + 1);
        dm_page_string(b, dm_story_text(m, "from"));
        dm_page_next_count(b, dm_story_number(m, "votes"));
        dm_buf_text(b, "</td><td>");
        dm_page_percent(b, s.score);
        dm_buf_text(b, "</td><td>");
        dm_page_interval(b, &s);
        dm_page_next_count(b, dm_story_number(m, "n"));
        dm_page_next_count(b, dm_story_number(m, "prompt_tokens"));
        dm_buf_text(b, "</td></tr>\n");
    }
    dm_page_table_end(b);
}

static void put_disagreement(dm_buf *b, const dm_value *c, size_t members)
{
    const dm_value *rows = dm_value_get(c, "disagree");
    dm_buf_printf(b,
                  "<h3>Where they disagree</h3><p>They give different answers on %.0f of %.0f "
                  "validation examples.</p>",
                  dm_story_number(c, "differ"), dm_story_number(c, "rows"));
    if (!rows || rows->kind != DM_LIST || rows->n == 0)
        return;
    dm_page_table(b, "where members disagree", "flips");
    dm_page_head(b, "id");
    dm_page_head(b, "label");
    for (size_t k = 0; k < members; k++)
        dm_buf_printf(b, "<th scope=\"col\">member %zu</th>", k + 1);
    dm_page_rows(b);
    for (size_t i = 0; i < rows->n && i < MOST_ROWS; i++) {
        const dm_value *r = rows->items[i], *answers = dm_value_get(r, "answers"),
                       *scores = dm_value_get(r, "scores");
        dm_buf_text(b, "<tr><td class=\"id\">");
        dm_page_string(b, dm_story_text(r, "id"));
        dm_buf_text(b, "</td><td class=\"gold\">");
        dm_page_value(b, dm_value_get(r, "label"), 120);
        dm_buf_text(b, "</td>");
        for (size_t k = 0; answers && answers->kind == DM_LIST && k < answers->n; k++) {
            bool right =
                scores && scores->kind == DM_LIST && k < scores->n && scores->items[k]->number > .5;
            dm_buf_printf(b, "<td class=\"%s\">", right ? "goodt" : "badt");
            dm_page_value(b, answers->items[k], 120);
            dm_buf_text(b, "</td>");
        }
        dm_buf_text(b, "</tr>\n");
    }
    dm_page_table_end(b);
    if (rows->n > MOST_ROWS)
        dm_buf_text(b, "<p class=\"note\">the others are in <code>evidence.json</code></p>");
}

void dm_page_committee(dm_buf *b, const dm_story *s)
{
    const dm_value *c = s->committee, *members = dm_value_get(c, "members"),
                   *calls = dm_value_get(dm_value_get(s->last, "ensemble"), "calls");
    const char *chosen = dm_story_text(s->last, "chosen"), *why = dm_story_text(s->last, "why");
    if (*chosen) {
        dm_buf_text(b, "<p>The program is the <b>");
        dm_page_string(b, chosen);
        dm_buf_text(b, "</b>: ");
        dm_page_string(b, why);
        dm_buf_text(b, ".</p>");
    }
    if (!members || members->kind != DM_LIST) {
        dm_buf_text(b, "<p class=\"note\">There is no committee.</p>");
    } else {
        bool one = strcmp(dm_story_text(c, "reduce"), "best_per_input") == 0;
        dm_buf_text(b, one ? "<p>For each input one member is asked, by what members score on "
                             "validation examples like it; what counts is <code>"
                           : "<p>The committee votes on <code>");
        dm_page_string(b, dm_story_text(c, "field"));
        dm_buf_text(b, "</code>; it is in <code>ensemble.json</code> whatever was chosen. Scores "
                       "are on the validation set.</p>");
        put_members(b, members);
        put_disagreement(b, c, members->n);
    }
    if (calls && calls->kind == DM_LIST && calls->n) {
        dm_buf_text(b, "<h3>What each compilation cost</h3><p>");
        for (size_t i = 0; i < calls->n; i++) {
            dm_buf_printf(b, "%smember %zu: ", i ? ", " : "", i + 1);
            dm_page_count(b, calls->items[i]->number);
        }
        dm_buf_text(b, " calls, each as it is alone: what members asked alike was paid once. Their "
                       "candidates and predictions are in <code>members/</code>.</p>");
    }
}
