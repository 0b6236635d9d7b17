/* Pieces of the page: text that stays text, and the drawings. */
#ifndef DM_REPORT_PAGE_H
#define DM_REPORT_PAGE_H

#include "report/story.h"

#include <math.h>

/* Foreign text in an element or between the quotes of an attribute, as it is shown (base/show.h);
 * line ends stay. Cut behind most bytes with an ellipsis; 0: not. */
void dm_page_text(dm_buf *b, dm_str text, size_t most);
void dm_page_string(dm_buf *b, const char *text);
/* A JSON value: strings as they are, others as JSON. */
void dm_page_value(dm_buf *b, const dm_value *v, size_t most);
void dm_page_count(dm_buf *b, double n);             /* 1,343 */
void dm_page_percent(dm_buf *b, double v);           /* 43.8; "not known" for NAN */
void dm_page_interval(dm_buf *b, const dm_score *s); /* "33.4 to 54.7" */

/* What is wider than a screen: it scrolls, by keyboard too, and label says what it is. The caller
 * closes the div. */
void dm_page_scroll(dm_buf *b, const char *label);
/* A table in such a div, of a class of style.h, up to its head, which takes cells; then rows; then
 * the end of both. */
void dm_page_table(dm_buf *b, const char *label, const char *class);
void dm_page_head(dm_buf *b, const char *text);
void dm_page_heads(dm_buf *b, const char *const *texts); /* up to a NULL */
void dm_page_rows(dm_buf *b);
void dm_page_table_end(dm_buf *b);
void dm_page_next_count(dm_buf *b, double n); /* the next cell of a row */

/* A drawing of w by h units; title is said of it. */
void dm_svg_open(dm_buf *b, int w, int h, const char *title);
void dm_svg_close(dm_buf *b);
void dm_svg_text(dm_buf *b, double x, double y, const char *class, const char *anchor,
                 const char *fmt, ...) DM_PRINTF(6, 7); /* escapes nothing: for numbers */
void dm_svg_words(dm_buf *b, double x, double y, const char *class, const char *anchor, dm_str text,
                  size_t most);
void dm_svg_line(dm_buf *b, double x1, double y1, double x2, double y2, const char *class);

/* charts.c */
void dm_chart_before_after(dm_buf *b, const dm_story *s);
void dm_chart_difference(dm_buf *b, const dm_story_split *p);
void dm_chart_flips(dm_buf *b, const dm_story_split *p);
void dm_chart_labels(dm_buf *b, const dm_story_split *p); /* nothing where labels are no classes */

/* charts_search.c; nothing where there is nothing to draw */
void dm_chart_candidates(dm_buf *b, const dm_story *s);
void dm_chart_calls(dm_buf *b, const dm_story *s);  /* best so far over calls */
bool dm_chart_grid(dm_buf *b, const dm_story *s);   /* instruction x demonstration set */
void dm_chart_length(dm_buf *b, const dm_story *s); /* score against length */
void dm_chart_busy(dm_buf *b, const dm_story *s);
/* The `most` candidates that are worth a word of their own: the best one, the start, then by score;
 * marked [n_trials]. */
bool *dm_story_notable(const dm_story *s, size_t most);

/* changes.c */
void dm_page_changes(dm_buf *b, const dm_story *s);
void dm_page_examples(dm_buf *b, const dm_story_split *p, bool gained);
/* Whether the answer became better or worse: 1, -1, 0. */
int dm_story_change(const dm_story_split *p, size_t i);

/* ensemble_page.c */
void dm_page_committee(dm_buf *b, const dm_story *s);

#endif
