/* The strict reader and the writers: what was read is written and read back as the same value. */
#include "fuzz.h"
#include "base/utf8.h"
#include "json/json.h"

#include <stdlib.h>

static void same_again(dm_arena *a, const dm_value *v, dm_json_style style)
{
    dm_error err = {DM_OK, ""};
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_json_write(&b, v, style);
    const dm_value *again = dm_json_read(a, dm_buf_view(&b), &err);
    dm_hash h = dm_json_hash(v), k = again ? dm_json_hash(again) : h;
    if (!again || !dm_hash_eq(&h, &k))
        abort();
    dm_buf_free(&b);
}

int fuzz_json(const uint8_t *data, size_t size)
{
    dm_arena *a = dm_arena_new(0);
    dm_str text = {(const char *)data, size}, rest = text;
    dm_error err = {DM_OK, ""};
    uint32_t line = 1;
    const dm_value *v = dm_json_read(a, text, &err);
    if (v) {
        same_again(a, v, DM_JSON_PYTHON);
        same_again(a, v, DM_JSON_PYTHON_INDENT);
        dm_buf b;
        dm_buf_init(&b, DM_MAX_TEXT);
        dm_json_write(&b, v, DM_JSON_ORJSON_INDENT);
        dm_py_repr(&b, v);
        if (!b.full && dm_utf8_valid(dm_buf_view(&b)) != b.len)
            abort();
        dm_buf_free(&b);
    } else if (err.status != DM_E_DATA || !err.text[0]) {
        abort();
    }
    while (rest.n > 0 && dm_json_read_next(a, &rest, &line, NULL))
        ;
    dm_arena_free(a);
    return 0;
}
