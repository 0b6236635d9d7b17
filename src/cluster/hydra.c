#include "cluster/hydra.h"

#include <string.h>

#define RULE    60   /* = at least; it writes 83 */
#define LONGEST 4096 /* of a line that is held */
#define ROOM    (1 << 20)

void dm_hydra_init(dm_hydra *h)
{
    *h = (dm_hydra){.where = DM_HYDRA_OUTSIDE};
    dm_buf_init(&h->line, ROOM);
    dm_buf_init(&h->rule, ROOM);
}

void dm_hydra_free(dm_hydra *h)
{
    dm_buf_free(&h->line);
    dm_buf_free(&h->rule);
}

static bool begins(dm_str line, const char *with)
{
    size_t n = strlen(with);
    return line.n >= n && memcmp(line.p, with, n) == 0;
}

static bool is_rule(dm_str line)
{
    size_t n = 0;
    while (n < line.n && line.p[n] == '=')
        n++;
    return n >= RULE && (n == line.n || line.p[n] == '\n');
}

/* MPICH's, which follow the frame. */
static bool is_advice(dm_str line)
{
    return begins(line, "YOUR APPLICATION TERMINATED WITH THE EXIT STRING") ||
           begins(line, "This typically refers to a problem with your application") ||
           begins(line, "Please see the FAQ page for debugging suggestions");
}

static void give_held(dm_hydra *h, dm_buf *out)
{
    if (h->blank)
        dm_buf_char(out, '\n');
    dm_buf_add(out, h->rule.data, h->rule.len);
    dm_buf_reset(&h->rule);
    h->blank = false;
    h->where = DM_HYDRA_OUTSIDE;
}

static void sort_line(dm_hydra *h, dm_str line, dm_buf *out, dm_buf *noise)
{
    if (h->where == DM_HYDRA_RULE && begins(line, "=   BAD TERMINATION")) {
        dm_buf_reset(&h->rule);
        h->blank = false;
        h->where = DM_HYDRA_INSIDE;
    } else if (h->where == DM_HYDRA_RULE || (h->where == DM_HYDRA_BEHIND && !is_advice(line))) {
        give_held(h, out);
    }
    if (h->where == DM_HYDRA_INSIDE || h->where == DM_HYDRA_BEHIND) {
        dm_buf_add(noise, line.p, line.n);
        if (is_rule(line))
            h->where = DM_HYDRA_BEHIND;
        return;
    }
    if (is_rule(line)) {
        dm_buf_add(&h->rule, line.p, line.n);
        h->where = DM_HYDRA_RULE;
        return;
    }
    bool empty = line.n == 1 && *line.p == '\n';
    give_held(h, out);
    h->blank = empty;
    if (!empty)
        dm_buf_add(out, line.p, line.n);
}

void dm_hydra_pass(dm_hydra *h, const char *bytes, size_t n, dm_buf *out, dm_buf *noise)
{
    for (size_t i = 0; i < n; i++) {
        char c = bytes[i];
        if (!h->passing && h->line.len == 0 && h->where == DM_HYDRA_OUTSIDE && c != '=' &&
            c != '\n') {
            give_held(h, out);
            h->passing = true;
        }
        if (h->passing) {
            dm_buf_char(out, c);
            h->passing = c != '\n';
            continue;
        }
        dm_buf_char(&h->line, c);
        if (c != '\n' && h->line.len < LONGEST)
            continue;
        sort_line(h, dm_buf_view(&h->line), out, noise);
        h->passing = c != '\n' && h->where == DM_HYDRA_OUTSIDE;
        dm_buf_reset(&h->line);
    }
}

void dm_hydra_end(dm_hydra *h, dm_buf *out, dm_buf *noise)
{
    if (h->line.len)
        sort_line(h, dm_buf_view(&h->line), out, noise);
    dm_buf_reset(&h->line);
    give_held(h, out);
    h->passing = false;
}
