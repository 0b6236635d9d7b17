/* The golden files: outputs of the real DSPy (data/README.md). DM_GOLDEN names another folder. */
#ifndef DM_TESTS_GOLDEN_H
#define DM_TESTS_GOLDEN_H

#include "json/json.h"

#include <criterion/criterion.h>
#include <stdlib.h>

/* The file as a value. A file that is not there fails the test: golden tests are never skipped. */
static inline const dm_value *golden(dm_arena *a, const char *name)
{
    const char *folder = getenv("DM_GOLDEN") ? getenv("DM_GOLDEN") : "tests/golden/data";
    char *path = dm_arena_printf(a, "%s/%s", folder, name);
    dm_error err = {DM_OK, ""};
    dm_str text;
    cr_assert_eq(dm_read_file(a, path, DM_MAX_FILE, &text, &err), DM_OK, "%s", err.text);
    const dm_value *v = dm_json_read(a, text, &err);
    cr_assert_not_null(v, "%s: %s", path, err.text);
    return v;
}

static inline const char *golden_text(dm_arena *a, const dm_value *v)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_json_write(&b, v, DM_JSON_PYTHON);
    const char *s = dm_arena_string(a, b.data, b.len);
    dm_buf_free(&b);
    return s;
}

#endif
