#include "facts.h"
#include "base/hash.h"
#include "base/interval.h"
#include "base/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const facts_world facts_worlds[FACTS_WORLDS] = {{"facts", 12, .2, .85, .5, false},
                                                {"formats", 4, .05, .75, 1, false},
                                                {"nothing", 12, .55, .55, .5, false},
                                                {"tokens", 7, 0, 0, 1, true}};

/* ---- texts ---- */

static bool has(const facts_known *t, long k)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->k[i] == k)
            return true;
    return false;
}

void facts_learn(facts_known *t, long k)
{
    if (has(t, k) || t->n == FACTS_MOST)
        return;
    t->k[t->n++] = k;
    t->sum += k;
}

facts_known facts_read(dm_str text)
{
    facts_known t = {{0}, 0, 0};
    for (const char *p = text.p, *end = text.p + text.n; p < end; p++)
        if (*p == 'k' && t.n < FACTS_MOST) {
            t.k[t.n] = strtol(p + 1, NULL, 10);
            t.sum += t.k[t.n++];
        }
    return t;
}

static dm_str write_text(dm_arena *a, const facts_known *t, uint64_t wording)
{
    dm_buf b;
    dm_buf_init(&b, 4096);
    if (wording)
        dm_buf_printf(&b, "v%llu", (unsigned long long)wording % 1000000);
    for (size_t i = 0; i < t->n; i++)
        dm_buf_printf(&b, " k%ld", t->k[i]);
    dm_str s = {dm_arena_string(a, b.data ? b.data : "", b.len), b.len};
    dm_buf_free(&b);
    return s;
}

/* ---- the model ---- */

size_t facts_kind(const facts_world *w, uint64_t seed, uint64_t row)
{
    return w->tokens ? (row + 7 * seed) % 7 : dm_draw(seed, 1, row) % w->kinds;
}

static bool tokens_right(const facts_known *t, long n)
{
    return (has(t, n % 7) && (n + t->sum) % 5 != 0) || n % (3 + (long)t->n) == 0;
}

bool facts_right(const facts_world *w, uint64_t seed, uint64_t prompt, const facts_known *t,
                 uint64_t row)
{
    if (w->tokens)
        return tokens_right(t, (long)(row + 7 * seed));
    double p = has(t, (long)facts_kind(w, seed, row)) ? w->with : w->without;
    bool own = dm_draw(seed, 2, row) % 2 == 0;
    return (own ? dm_draw_double(seed, 3, row) : dm_draw_double(seed ^ prompt, 4, row)) < p;
}

double facts_mean(const facts_world *w, const facts_known *t)
{
    double sum = 0;
    if (!w->tokens) {
        for (size_t k = 0; k < w->kinds; k++)
            sum += has(t, (long)k) ? w->with : w->without;
        return sum / (double)w->kinds;
    }
    for (long n = 0; n < 840; n++)
        sum += tokens_right(t, n);
    return sum / 840;
}

/* ---- the reflection ---- */

/* As gepa.json has it: the token of the first row whose token is missing; the oldest goes where
 * there are four, or where none is missing. */
static dm_str reflect_tokens(dm_arena *a, const facts_world *w, uint64_t seed, dm_str text,
                             const uint64_t *rows, size_t n)
{
    facts_known t = facts_read(text), next = {{0}, 0, 0};
    long add = -1;
    for (size_t i = 0; i < n && add < 0; i++) {
        long k = (long)facts_kind(w, seed, rows[i]);
        add = has(&t, k) ? -1 : k;
    }
    for (size_t i = t.n && (t.n >= 4 || add < 0); i < t.n; i++)
        facts_learn(&next, t.k[i]);
    if (add >= 0)
        facts_learn(&next, add);
    return write_text(a, &next, 0);
}

dm_str facts_reflect(dm_arena *a, const facts_world *w, uint64_t seed, uint64_t draw, dm_str text,
                     const uint64_t *rows, const bool *failed, size_t n)
{
    facts_known t = facts_read(text), next = {{0}, 0, 0};
    if (w->tokens)
        return reflect_tokens(a, w, seed, text, rows, n);
    for (size_t i = 0; i < t.n; i++)
        if (dm_draw_double(draw, 5, (uint64_t)t.k[i]) >= .06)
            facts_learn(&next, t.k[i]);
    for (size_t i = 0; i < n; i++)
        if (failed[i] && dm_draw_double(draw, 6, i) < w->revealed)
            facts_learn(&next, (long)facts_kind(w, seed, rows[i]));
    return write_text(a, &next, dm_draw(draw, 7, 0) | 1);
}

/* ---- numbers ---- */

double facts_mean_of(const double *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[i];
    return sum / (double)n;
}

double facts_half_of(const double *v, size_t n)
{
    double mean = facts_mean_of(v, n), square = 0;
    for (size_t i = 0; i < n; i++)
        square += (v[i] - mean) * (v[i] - mean);
    return n < 2 ? 0 : dm_student(DM_Z95, n) * sqrt(square / (double)(n - 1) / (double)n);
}
