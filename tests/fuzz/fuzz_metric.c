/* A line that a metric's program wrote. */
#include "base/utf8.h"
#include "fuzz.h"
#include "metric/talk.h"

#include <stdlib.h>
#include <string.h>

int fuzz_metric(const uint8_t *data, size_t size)
{
    dm_arena *a = dm_arena_new(4096);
    dm_metric_score s;
    int64_t id;
    bool answer = dm_talk_read(a, (dm_str){(const char *)data, size}, &s, &id);
    if (id < -1 || id >= (int64_t)1 << 53)
        abort();
    if (answer && s.ok && !(s.score >= 0 && s.score <= 1))
        abort();
    if (answer && !s.ok && (!s.text || dm_utf8_valid(dm_str_of(s.text)) != strlen(s.text)))
        abort();
    dm_arena_free(a);
    return 0;
}
