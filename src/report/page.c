#include "report/page.h"
#include "base/show.h"
#include "base/utf8.h"
#include "json/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void dm_page_text(dm_buf *b, dm_str text, size_t most)
{
    dm_buf shown;
    dm_buf_init(&shown, DM_MAX_FILE);
    dm_str head = most && text.n > most ? dm_utf8_head(text, most) : text;
    dm_show(&shown, head, DM_SHOW_LINES);
    for (size_t i = 0; i < shown.len; i++) {
        char c = shown.data[i];
        switch (c) {
        case '&':
            dm_buf_text(b, "&amp;");
            break;
        case '<':
            dm_buf_text(b, "&lt;");
            break;
        case '>':
            dm_buf_text(b, "&gt;");
            break;
        case '"':
            dm_buf_text(b, "&quot;");
            break;
        case '\'':
            dm_buf_text(b, "&#39;");
            break;
        default:
            dm_buf_char(b, c);
        }
    }
    if (head.n < text.n)
        dm_buf_text(b, "…");
    dm_buf_free(&shown);
}

void dm_page_string(dm_buf *b, const char *text)
{
    dm_page_text(b, dm_str_of(text), 0);
}

void dm_page_value(dm_buf *b, const dm_value *v, size_t most)
{
    dm_buf json;
    if (v && v->kind == DM_STRING) {
        dm_page_text(b, v->text, most);
        return;
    }
    dm_buf_init(&json, DM_MAX_FILE);
    if (v)
        dm_json_write(&json, v, DM_JSON_PYTHON);
    dm_page_text(b, dm_buf_view(&json), most);
    dm_buf_free(&json);
}

void dm_page_count(dm_buf *b, double n)
{
    char digits[40];
    if (!isfinite(n)) {
        dm_buf_text(b, "not known");
        return;
    }
    int len = snprintf(digits, sizeof digits, "%.0f", n), first = digits[0] == '-';
    for (int i = 0; i < len; i++) {
        if (i > first && (len - i) % 3 == 0)
            dm_buf_char(b, ',');
        dm_buf_char(b, digits[i]);
    }
}

void dm_page_percent(dm_buf *b, double v)
{
    if (isnan(v))
        dm_buf_text(b, "not known");
    else
        dm_buf_printf(b, "%.1f", 100 * v);
}

void dm_page_interval(dm_buf *b, const dm_score *s)
{
    if (isnan(s->low) || isnan(s->high))
        dm_buf_text(b, "not known");
    else
        dm_buf_printf(b, "%.1f to %.1f", 100 * s->low, 100 * s->high);
}

void dm_page_scroll(dm_buf *b, const char *label)
{
    dm_buf_printf(b, "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"%s\">",
                  label);
}

void dm_page_table(dm_buf *b, const char *label, const char *class)
{
    dm_page_scroll(b, label);
    dm_buf_printf(b, "<table class=\"%s\"><thead><tr>", class);
}

void dm_page_head(dm_buf *b, const char *text)
{
    dm_buf_printf(b, "<th scope=\"col\">%s</th>", text);
}

void dm_page_heads(dm_buf *b, const char *const *texts)
{
    for (; *texts; texts++)
        dm_page_head(b, *texts);
}

void dm_page_rows(dm_buf *b)
{
    dm_buf_text(b, "</tr></thead><tbody>");
}

void dm_page_table_end(dm_buf *b)
{
    dm_buf_text(b, "</tbody></table></div>");
}

void dm_page_next_count(dm_buf *b, double n)
{
    dm_buf_text(b, "</td><td>");
    dm_page_count(b, n);
}

/* ---- drawings ---- */

void dm_svg_open(dm_buf *b, int w, int h, const char *title)
{
    dm_buf_printf(b, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", w, h);
    dm_page_string(b, title);
    dm_buf_text(b, "\" preserveAspectRatio=\"xMinYMin meet\"><title>");
    dm_page_string(b, title);
    dm_buf_text(b, "</title>");
}

void dm_svg_close(dm_buf *b)
{
    dm_buf_text(b, "</svg>\n");
}

static void open_text(dm_buf *b, double x, double y, const char *class, const char *anchor)
{
    dm_buf_printf(b, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\"", x, y, class);
    if (*anchor)
        dm_buf_printf(b, " text-anchor=\"%s\"", anchor);
    dm_buf_char(b, '>');
}

void dm_svg_text(dm_buf *b, double x, double y, const char *class, const char *anchor,
                 const char *fmt, ...)
{
    char text[200];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    open_text(b, x, y, class, anchor);
    dm_buf_text(b, text);
    dm_buf_text(b, "</text>");
}

void dm_svg_words(dm_buf *b, double x, double y, const char *class, const char *anchor, dm_str text,
                  size_t most)
{
    open_text(b, x, y, class, anchor);
    dm_page_text(b, text, most);
    dm_buf_text(b, "</text>");
}

void dm_svg_line(dm_buf *b, double x1, double y1, double x2, double y2, const char *class)
{
    dm_buf_printf(b, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>", x1, y1,
                  x2, y2, class);
}
