/* What reads a model's answer: repair and Python's text functions. The answer is
 * valid UTF-8 by then (an HTTP answer that is not is refused), so is what comes out. */
#include "fuzz.h"
#include "base/utf8.h"
#include "json/json.h"

#include <stdlib.h>

static void check(const dm_value *v)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_json_write(&b, v, DM_JSON_PYTHON);
    if (dm_utf8_valid(dm_buf_view(&b)) != b.len)
        abort();
    dm_buf_free(&b);
}

int fuzz_repair(const uint8_t *data, size_t size)
{
    dm_arena *a = dm_arena_new(0);
    dm_str text = {(const char *)data, size}, rest = text, line;
    if (dm_utf8_valid(text) == size) {
        check(dm_json_repair(a, text));
        dm_py_cleandoc(a, text);
        dm_py_lower(a, text);
        dm_nfd(a, dm_py_strip(text));
        while (dm_py_next_line(&rest, &line))
            if (line.p < text.p || line.p + line.n > text.p + text.n)
                abort();
    }
    dm_arena_free(a);
    return 0;
}
