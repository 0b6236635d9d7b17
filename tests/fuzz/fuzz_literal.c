/* Python literals in a model's answer: what is read can be written, and its repr reads the same. */
#include "base/utf8.h"
#include "fuzz.h"
#include "json/json.h"

#include <stdlib.h>

int fuzz_literal(const uint8_t *data, size_t size)
{
    dm_arena *a = dm_arena_new(0);
    dm_str text = {(const char *)data, size};
    const dm_value *v = dm_utf8_valid(text) == size ? dm_py_literal(a, text) : NULL;
    if (v) {
        dm_buf b;
        dm_buf_init(&b, DM_MAX_TEXT);
        dm_json_write(&b, v, DM_JSON_PYTHON);
        if (dm_utf8_valid(dm_buf_view(&b)) != b.len)
            abort();
        dm_buf_free(&b);
    }
    dm_arena_free(a);
    return 0;
}
