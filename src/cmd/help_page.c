#include "cmd/help_page.h"
#include "cmd/option_text.h"

#include <string.h>

/* A dot or a quote at the start of a line is an order to roff, and so is a backslash. */
static void put_roff(dm_buf *b, const char *text)
{
    if (*text == '.' || *text == '\'')
        dm_buf_text(b, "\\&");
    for (; *text; text++)
        if (*text == '\\')
            dm_buf_text(b, "\\e");
        else if (*text == '-')
            dm_buf_text(b, "\\-");
        else
            dm_buf_char(b, *text);
    dm_buf_char(b, '\n');
}

void dm_help_title(dm_help_page *p, const char *text)
{
    if (p->roff)
        dm_buf_text(p->out, p->within ? ".SS " : ".SH ");
    else if (p->out->len)
        dm_buf_char(p->out, '\n');
    for (const char *c = text; *c; c++)
        dm_buf_char(p->out,
                    p->roff && !p->within && *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c);
    dm_buf_char(p->out, '\n');
}

void dm_help_text(dm_help_page *p, const char *text)
{
    if (p->roff) {
        dm_buf_text(p->out, ".PP\n");
        put_roff(p->out, text);
    } else {
        dm_put_wrapped(p->out, 0, 0, text);
    }
}

void dm_help_item(dm_help_page *p, const char *term, const char *text)
{
    if (p->roff) {
        dm_buf_text(p->out, ".TP\n.B ");
        put_roff(p->out, term);
        put_roff(p->out, text);
    } else {
        dm_buf_printf(p->out, "  %s  ", term);
        dm_put_wrapped(p->out, strlen(term) + 4, 32, text);
    }
}

void dm_help_rows(dm_help_page *p, const char *prefix, const dm_param *table)
{
    for (const dm_param *row = table; row && row->name; row++)
        dm_help_item(p,
                     dm_arena_printf(p->a, "%s%s=%s", prefix, row->name, dm_param_value(p->a, row)),
                     dm_option_text(p->a, row));
}
