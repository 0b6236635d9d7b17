/* The text between the fences of an answer. */
#include "base/utf8.h"
#include "gepa/gepa.h"

#include <string.h>

#define FENCE 3 /* three back-ticks */

static bool is_fence(dm_str s, size_t at)
{
    return at + FENCE <= s.n && memcmp(s.p + at, "```", FENCE) == 0;
}

/* Without a first line that is one word: the language. */
static dm_str without_language(dm_str s, bool to_the_end)
{
    size_t n = 0;
    while (n < s.n && !strchr(" \t\r\n\f\v", s.p[n]))
        n++;
    if (n < s.n && s.p[n] == '\n')
        n++;
    else if (!to_the_end)
        return s;
    return (dm_str){s.p + n, s.n - n};
}

dm_str dm_gepa_fenced(dm_str s)
{
    size_t first = 0, last = s.n;
    while (first < s.n && !is_fence(s, first))
        first++;
    while (last > 0 && !is_fence(s, last))
        last--;
    if (first + FENCE < last) /* two */
        return dm_py_strip(
            without_language((dm_str){s.p + first + FENCE, last - first - FENCE}, false));
    dm_str all = dm_py_strip(s);
    if (is_fence(all, 0))
        return dm_py_strip(without_language((dm_str){all.p + FENCE, all.n - FENCE}, true));
    if (all.n >= FENCE && is_fence(all, all.n - FENCE))
        return dm_py_strip((dm_str){all.p, all.n - FENCE});
    return all;
}

static size_t count_fences(dm_str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i += is_fence(s, i) ? FENCE : 1)
        n += is_fence(s, i);
    return n;
}

/* Whether the block that the first line opens is closed by the last line, and by none before it.
 * Back-ticks alone in a line close the newest block; with a word behind them they open one. */
static bool is_one_block(dm_str s)
{
    size_t open = 0;
    dm_str line;
    while (dm_py_next_line(&s, &line)) {
        line = dm_py_strip(line);
        if (!is_fence(line, 0))
            continue;
        open = open > 0 && line.n == FENCE ? open - 1 : open + 1;
        if (open == 0)
            return s.n == 0;
    }
    return false;
}

dm_str dm_gepa_unwrapped(dm_str s)
{
    s = dm_py_strip(s);
    bool ends = s.n >= (size_t)2 * FENCE && is_fence(s, 0) && is_fence(s, s.n - FENCE);
    return ends && (count_fences(s) == 2 || is_one_block(s)) ? dm_gepa_fenced(s) : s;
}
