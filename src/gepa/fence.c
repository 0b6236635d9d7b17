/* The text between the fences of an answer. */
#include "gepa/gepa.h"

#include <string.h>

#define FENCE 3 /* three back-ticks */

static dm_str stripped(dm_str s)
{
    while (s.n && strchr(" \t\r\n\f\v", s.p[s.n - 1]))
        s.n--;
    while (s.n && strchr(" \t\r\n\f\v", *s.p)) {
        s.p++;
        s.n--;
    }
    return s;
}

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
        return stripped(
            without_language((dm_str){s.p + first + FENCE, last - first - FENCE}, false));
    dm_str all = stripped(s);
    if (is_fence(all, 0))
        return stripped(without_language((dm_str){all.p + FENCE, all.n - FENCE}, true));
    if (all.n >= FENCE && is_fence(all, all.n - FENCE))
        return stripped((dm_str){all.p, all.n - FENCE});
    return all;
}
