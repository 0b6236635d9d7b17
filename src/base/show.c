#include "base/show.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHELL_PLAIN "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/+=,:@%"

/* ---- characters ---- */

/* Unicode's controls, separators and Default_Ignorable_Code_Point, but for U+FE00 to U+FE0F. */
static const struct {
    uint32_t from, to;
} hidden[] = {
    {0x0000, 0x001F},   {0x007F, 0x009F},   {0x00AD, 0x00AD},   {0x034F, 0x034F}, {0x061C, 0x061C},
    {0x115F, 0x1160},   {0x17B4, 0x17B5},   {0x180B, 0x180F},   {0x200B, 0x200F}, {0x2028, 0x202E},
    {0x2060, 0x206F},   {0x3164, 0x3164},   {0xFEFF, 0xFEFF},   {0xFFA0, 0xFFA0}, {0xFFF0, 0xFFFB},
    {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A}, {0xE0000, 0xE0FFF},
};

static bool is_hidden(uint32_t cp)
{
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden && cp >= hidden[i].from; i++)
        if (cp <= hidden[i].to)
            return true;
    return false;
}

static void put_code(dm_buf *out, uint32_t cp, bool json)
{
    if (json && cp > 0xFFFF)
        dm_buf_printf(out, "\\u%04x\\u%04x", 0xD800 + ((cp - 0x10000) >> 10),
                      0xDC00 + ((cp - 0x10000) & 0x3FF));
    else if (!json && cp < 0x100)
        dm_buf_printf(out, "\\x%02x", cp);
    else
        dm_buf_printf(out, cp > 0xFFFF ? "\\U%08x" : "\\u%04x", cp);
}

/* Line ends and tabs, where the layout has a place for them; how many bytes, 0: it is none. */
static size_t put_space(dm_buf *out, dm_str rest, dm_layout layout)
{
    bool pair = rest.n > 1 && rest.p[0] == '\r' && rest.p[1] == '\n';
    if (!pair && rest.p[0] != '\n' && rest.p[0] != '\t')
        return 0;
    dm_buf_char(out, layout == DM_SHOW_LINE ? ' ' : pair ? '\n' : rest.p[0]);
    return pair ? 2 : 1;
}

void dm_show(dm_buf *out, dm_str text, dm_layout layout)
{
    for (size_t pos = 0, n; pos < text.n;) {
        size_t at = pos;
        while (pos < text.n && text.p[pos] >= ' ' && text.p[pos] < 0x7F)
            pos++;
        if (pos > at)
            dm_buf_add(out, text.p + at, pos - at);
        if (pos == text.n)
            break;
        if ((n = put_space(out, (dm_str){text.p + pos, text.n - pos}, layout))) {
            pos += n;
            continue;
        }
        at = pos;
        uint32_t cp = dm_utf8_next(text, &pos);
        if (cp == 0xFFFD && pos - at == 1) /* a byte that is no UTF-8 */
            put_code(out, layout == DM_SHOW_JSON ? cp : (unsigned char)text.p[at],
                     layout == DM_SHOW_JSON);
        else if (is_hidden(cp))
            put_code(out, cp, layout == DM_SHOW_JSON);
        else
            dm_buf_add(out, text.p + at, pos - at);
    }
}

/* ---- printf ---- */

typedef struct conversion { /* "%-*.3zu" */
    char spec[64];          /* for snprintf; its stars are filled in */
    bool left;
    size_t width;
    int precision; /* -1: none */
    char length[3], kind;
} conversion;

static int read_number(const char **p, va_list *ap)
{
    if (**p == '*') {
        (*p)++;
        return va_arg(*ap, int);
    }
    char *end;
    long n = strtol(*p, &end, 10);
    *p = end;
    return (int)n;
}

/* p: behind the %; returns what is behind the conversion. */
static const char *read_conversion(conversion *c, const char *p, va_list *ap)
{
    char flags[8], width[12] = "", precision[13] = "";
    size_t n = strspn(p, "-+ #0");
    *c = (conversion){.precision = -1};
    snprintf(flags, sizeof flags, "%.*s", (int)n, p);
    p += n;
    int wide = *p == '*' || (*p >= '0' && *p <= '9') ? read_number(&p, ap) : 0;
    if (*p == '.') {
        p++;
        c->precision = read_number(&p, ap);
    }
    n = strspn(p, "hlzjt");
    snprintf(c->length, sizeof c->length, "%.*s", (int)n, p);
    p += n;
    c->left = wide < 0 || strchr(flags, '-');
    c->width = (size_t)abs(wide);
    c->kind = *p;
    if (wide)
        snprintf(width, sizeof width, "%zu", c->width);
    if (c->precision >= 0)
        snprintf(precision, sizeof precision, ".%d", c->precision);
    snprintf(c->spec, sizeof c->spec, "%%%s%s%s%s%s%c", flags, wide < 0 ? "-" : "", width,
             precision, c->length, c->kind);
    return *p ? p + 1 : p;
}

static void put_text(dm_buf *out, const conversion *c, const char *text)
{
    dm_buf shown;
    size_t n = c->precision >= 0 ? strnlen(text, (size_t)c->precision) : strlen(text);
    dm_buf_init(&shown, SIZE_MAX / 2);
    dm_show(&shown, (dm_str){text, n}, DM_SHOW_LINE);
    size_t length = dm_utf8_length(dm_buf_view(&shown));
    if (c->left)
        dm_buf_str(out, dm_buf_view(&shown));
    for (; length < c->width; length++)
        dm_buf_char(out, ' ');
    if (!c->left)
        dm_buf_str(out, dm_buf_view(&shown));
    dm_buf_free(&shown);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the caller's format was checked */
static void put_number(dm_buf *out, const conversion *c, va_list *ap)
{
    char text[400];
    if (strchr("gfeGFE", c->kind))
        snprintf(text, sizeof text, c->spec, va_arg(*ap, double));
    else if (strcmp(c->length, "ll") == 0)
        snprintf(text, sizeof text, c->spec, va_arg(*ap, long long));
    else if (*c->length == 'l')
        snprintf(text, sizeof text, c->spec, va_arg(*ap, long));
    else if (*c->length == 'z' || *c->length == 't')
        snprintf(text, sizeof text, c->spec, va_arg(*ap, size_t));
    else if (*c->length == 'j')
        snprintf(text, sizeof text, c->spec, va_arg(*ap, intmax_t));
    else
        snprintf(text, sizeof text, c->spec, va_arg(*ap, int));
    dm_show(out, dm_str_of(text), DM_SHOW_LINE); /* %c */
}
#pragma GCC diagnostic pop

void dm_show_vprintf(dm_buf *out, const char *fmt, va_list given)
{
    va_list ap;
    va_copy(ap, given);
    while (*fmt) {
        size_t n = strcspn(fmt, "%");
        conversion c;
        dm_buf_add(out, fmt, n);
        fmt += n;
        if (!*fmt)
            break;
        fmt = read_conversion(&c, fmt + 1, &ap);
        if (c.kind == '%')
            dm_buf_char(out, '%');
        else if (c.kind == 's')
            put_text(out, &c, va_arg(ap, const char *));
        else
            put_number(out, &c, &ap);
    }
    va_end(ap);
}

void dm_show_printf(dm_buf *out, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    dm_show_vprintf(out, fmt, ap);
    va_end(ap);
}

bool dm_is_screen(int fd)
{
    const char *kind = getenv("TERM");
    return isatty(fd) && kind && *kind && strcmp(kind, "dumb") != 0;
}

void dm_put_word(dm_buf *b, const char *word)
{
    if (*word && strspn(word, SHELL_PLAIN) == strlen(word)) {
        dm_buf_text(b, word);
        return;
    }
    dm_buf_char(b, '\'');
    for (; *word; word++)
        if (*word == '\'')
            dm_buf_text(b, "'\\''");
        else
            dm_buf_char(b, *word);
    dm_buf_char(b, '\'');
}
