#include "cmd/option_text.h"
#include "optimizer/optimizer.h"

#include <string.h>

#define COLUMNS 100

const char *dm_option_text(dm_arena *a, const dm_param *row)
{
    const char *standard = dm_param_default(a, row);
    return *standard ? dm_arena_printf(a, "%s (%s)", row->help, standard) : row->help;
}

/* The optimizers that mean the same by it as this row, from number `from` on: "gepa, ensemble";
 * NULL: all there are. Defaults that differ from this row's are appended to *standard. */
static const char *users(dm_arena *a, const dm_param *row, size_t from, const char **standard)
{
    const char *names = "";
    size_t n = 0;
    for (size_t i = from; i < dm_n_optimizers; i++) {
        const dm_param *other = dm_param_named(dm_optimizers[i], row->name);
        if (!other || strcmp(other->help, row->help) != 0)
            continue;
        const char *its = dm_param_default(a, other), *name = dm_optimizers[i]->name;
        names = dm_arena_printf(a, "%s%s%s", names, n++ ? ", " : "", name);
        if (strcmp(its, dm_param_default(a, row)) != 0)
            *standard = dm_arena_printf(a, "%s; %s: %s", *standard, name, its);
    }
    return n == dm_n_optimizers ? NULL : names;
}

static bool said_before(const dm_param *row, size_t optimizer)
{
    for (size_t i = 0; i < optimizer; i++) {
        const dm_param *other = dm_param_named(dm_optimizers[i], row->name);
        if (other && strcmp(other->help, row->help) == 0)
            return true;
    }
    return false;
}

const char *dm_parameter_text(dm_arena *a, const char *name, const char **value)
{
    const char *text = "";
    *value = NULL;
    for (size_t i = 0; i < dm_n_optimizers; i++) {
        const dm_param *row = dm_param_named(dm_optimizers[i], name);
        if (!row || said_before(row, i))
            continue;
        const char *shown = dm_param_value(a, row), *standard = dm_param_default(a, row);
        const char *who = users(a, row, i, &standard);
        text = dm_arena_printf(a, "%s%s%s%s%s (%s)", text, *text ? "; " : "", who ? who : "",
                               who ? ": " : "", row->help, standard);
        *value = !*value ? shown : strcmp(*value, shown) == 0 ? shown : "VALUE";
    }
    return text;
}

void dm_put_wrapped(dm_buf *b, size_t at, size_t indent, const char *text)
{
    bool first = true;
    if (at > indent) {
        while (b->len && b->data[b->len - 1] == ' ')
            b->data[--b->len] = 0;
        dm_buf_char(b, '\n');
        at = 0;
    }
    dm_buf_printf(b, "%*s", (int)(indent - at), "");
    at = indent;
    while (*text) {
        size_t n = strcspn(text, " ");
        if (!first && at + 1 + n > COLUMNS) {
            dm_buf_printf(b, "\n%*s", (int)indent, "");
            at = indent;
            first = true;
        }
        dm_buf_printf(b, "%s%.*s", first ? "" : " ", (int)n, text);
        at += n + !first;
        first = false;
        text += n;
        text += strspn(text, " ");
    }
    dm_buf_char(b, '\n');
}
