#include "stats.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mock_seen *slot(mock_seen *seen, size_t cap, uint64_t hash)
{
    size_t k = hash & (cap - 1);
    while (seen[k].used && seen[k].hash != hash)
        k = (k + 1) & (cap - 1);
    return &seen[k];
}

static mock_seen *find(mock_stats *s, uint64_t hash)
{
    if (2 * (s->n_used + 1) > s->cap_seen) {
        size_t cap = s->cap_seen ? 2 * s->cap_seen : 1024;
        mock_seen *bigger = dm_alloc_n(cap, sizeof *bigger);
        for (size_t i = 0; i < s->cap_seen; i++)
            if (s->seen[i].used)
                *slot(bigger, cap, s->seen[i].hash) = s->seen[i];
        free(s->seen);
        s->seen = bigger;
        s->cap_seen = cap;
    }
    mock_seen *seen = slot(s->seen, s->cap_seen, hash);
    s->n_used += !seen->used;
    seen->used = true;
    seen->hash = hash;
    return seen;
}

/* Adds what was in flight since the last change to the integrals. */
static void integrate(mock_stats *s, double now)
{
    double from = s->busy_at - s->first, to = now - s->first;
    s->busy += (double)s->in_flight * (to - from);
    s->busy_at = now;
    for (size_t k = (size_t)from; s->in_flight && k < MOCK_SECONDS && from < to; k++) {
        double until = to < (double)(k + 1) ? to : (double)(k + 1);
        s->seconds[k] += (double)s->in_flight * (until - from);
        from = until;
    }
    s->peak = s->in_flight > s->peak ? s->in_flight : s->peak;
}

static void note_headers(mock_stats *s, const mock_http *http)
{
    dm_str key = mock_header(http->headers, "Authorization");
    dm_str host = mock_header(http->headers, "Host");
    dm_str agent = mock_header(http->headers, "User-Agent");
    size_t i = 0;
    s->authorized += key.p != NULL;
    if (key.p)
        snprintf(s->authorization, sizeof s->authorization, "%.*s", DM_STR_ARG(key));
    if (agent.p)
        snprintf(s->agent, sizeof s->agent, "%.*s", DM_STR_ARG(agent));
    while (i < s->n_hosts && !dm_str_is(host, s->hosts[i]))
        i++;
    if (host.p && i == s->n_hosts && i < 8)
        snprintf(s->hosts[s->n_hosts++], sizeof *s->hosts, "%.*s", DM_STR_ARG(host));
}

uint32_t mock_stats_arrive(mock_stats *s, const mock_http *http, uint64_t hash)
{
    double now = mock_now();
    if (s->requests++ == 0) {
        s->first = now - (s->busy_at > 0 && s->in_flight ? now - s->busy_at : 0);
        s->busy_at = s->first;
    }
    integrate(s, now);
    s->asked = now;
    s->busy_asked = s->busy;
    s->in_flight++;
    s->peak = s->in_flight > s->peak ? s->in_flight : s->peak;
    note_headers(s, http);
    mock_seen *seen = find(s, hash);
    s->n_seen += seen->attempts == 0;
    s->repeats += seen->answered > 0;
    seen->since++;
    s->known_again +=
        seen->known && seen->since + seen->known > (seen->whole ? seen->whole : seen->known);
    return seen->attempts++;
}

void mock_stats_leave(mock_stats *s, uint64_t hash, bool good, bool sent)
{
    double now = mock_now();
    integrate(s, now);
    s->in_flight--;
    s->last = now;
    s->unsent += !sent;
    if (good && sent) {
        mock_seen *seen = find(s, hash);
        s->good++;
        seen->answered += seen->attempts > 0;
    }
}

void mock_stats_free(mock_stats *s)
{
    free(s->seen);
    *s = (mock_stats){.seen = NULL};
}

void mock_stats_reset(mock_stats *s)
{
    mock_stats next = {.in_flight = s->in_flight};
    next.first = next.busy_at = mock_now();
    for (size_t i = 0; i < s->cap_seen; i++)
        if (s->seen[i].whole)
            find(&next, s->seen[i].hash)->whole = s->seen[i].whole;
    mock_stats_free(s);
    *s = next;
}

void mock_stats_whole(mock_stats *s)
{
    for (size_t i = 0; i < s->cap_seen; i++)
        s->seen[i].whole = s->seen[i].attempts;
    mock_stats_reset(s);
}

mock_told mock_stats_told(uint64_t hash)
{
    mock_told t = {1 + (int64_t)(hash % 4096), 1 + (int64_t)(hash / 4096 % 256), 0};
    t.cached = (int64_t)(hash / 4096 / 256 % (uint64_t)t.prompt);
    return t;
}

int64_t mock_stats_mark(mock_told t)
{
    return (t.prompt * 256 + t.completion - 1) * 4096 + t.cached;
}

static mock_seen *find_mark(const mock_stats *s, int64_t mark)
{
    for (size_t i = 0; i < s->cap_seen; i++)
        if (s->seen[i].used && mock_stats_mark(mock_stats_told(s->seen[i].hash)) == mark)
            return &s->seen[i];
    return NULL;
}

void mock_stats_known(mock_stats *s, dm_str marks, dm_buf *b)
{
    long asked = 0, more = 0;
    int64_t mark = 0;
    for (size_t i = 0; i < s->cap_seen; i++)
        s->seen[i].known = s->seen[i].since = 0;
    for (size_t i = 0; i < marks.n; i++) {
        if (marks.p[i] != '\n') {
            mark = 10 * mark + (marks.p[i] - '0');
            continue;
        }
        mock_seen *seen = find_mark(s, mark);
        asked += seen && seen->attempts > seen->known;
        if (seen)
            seen->known++;
        mark = 0;
    }
    for (size_t i = 0; i < s->cap_seen; i++)
        more += s->seen[i].known && s->seen[i].known >= s->seen[i].whole &&
                s->seen[i].attempts > s->seen[i].known;
    dm_buf_printf(b, "{\"asked\": %ld, \"asked_more\": %ld}\n", asked, more);
}

static void put_text(dm_buf *b, const char *s)
{
    dm_buf_char(b, '"');
    for (; *s; s++)
        if (*s == '"' || *s == '\\' || (unsigned char)*s < ' ')
            dm_buf_printf(b, "\\u%04x", (unsigned)(unsigned char)*s);
        else
            dm_buf_char(b, *s);
    dm_buf_char(b, '"');
}

void mock_stats_print(mock_stats *s, dm_buf *b)
{
    const char *comma = "";
    if (s->in_flight)
        integrate(s, mock_now());
    double end = s->in_flight ? s->busy_at : s->last;
    double span = end > s->first ? end - s->first : 0;
    dm_buf_printf(b,
                  "{\"requests\": %ld, \"prompt\": %ld, \"completion\": %ld, \"cached\": %ld, "
                  "\"cachable\": %ld, \"good\": %ld, "
                  "\"faulted\": %ld, \"poisoned\": %ld, \"distinct\": %zu, "
                  "\"repeats\": %ld, \"known_again\": %ld, \"unsent\": %ld, \"authorized\": %ld, "
                  "\"in_flight\": %ld, \"peak\": %ld, \"span\": %.6f, \"busy\": %.6f, "
                  "\"mean_in_flight\": %.3f",
                  s->requests, s->prompt, s->completion, s->cached, s->cachable, s->good,
                  s->faulted, s->poisoned, s->n_seen, s->repeats, s->known_again, s->unsent,
                  s->authorized, s->in_flight, s->peak, span, s->busy,
                  span > 0 ? s->busy / span : 0);
    dm_buf_printf(b, ", \"mean_while_asked\": %.3f",
                  s->asked > s->first ? s->busy_asked / (s->asked - s->first) : 0);
    dm_buf_text(b, ", \"per_second\": [");
    for (size_t k = 0; k < MOCK_SECONDS && (double)k < span; k++)
        dm_buf_printf(b, "%s%.3f", k ? ", " : "", s->seconds[k]);
    dm_buf_text(b, "], \"hosts\": [");
    for (size_t i = 0; i < s->n_hosts; i++) {
        dm_buf_text(b, i ? ", " : "");
        put_text(b, s->hosts[i]);
    }
    dm_buf_text(b, "], \"authorization\": ");
    put_text(b, s->authorization);
    dm_buf_text(b, ", \"agent\": ");
    put_text(b, s->agent);
    dm_buf_text(b, ", \"statuses\": {");
    for (int i = 0; i < 600; i++)
        if (s->statuses[i]) {
            dm_buf_printf(b, "%s\"%d\": %ld", comma, i, s->statuses[i]);
            comma = ", ";
        }
    dm_buf_text(b, "}}\n");
}
