/* The golden files: outputs of the real DSPy. DM_GOLDEN names their folder. */
#ifndef DM_TESTS_GOLDEN_H
#define DM_TESTS_GOLDEN_H

#include "json/json.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

/* The file as a value; the test is skipped, with a message, where the folder is absent. */
static inline const dm_value *golden(dm_arena *a, const char *name)
{
    const char *folder = getenv("DM_GOLDEN") ? getenv("DM_GOLDEN") : "../shared/dspy-golden";
    char *path = dm_arena_printf(a, "%s/%s", folder, name);
    dm_error err = {DM_OK, ""};
    dm_str text;
    if (access(path, R_OK) != 0)
        cr_skip_test("%s is not here", path);
    cr_assert_eq(dm_read_file(a, path, DM_MAX_FILE, &text, &err), DM_OK, "%s", err.text);
    const dm_value *v = dm_json_read(a, text, &err);
    cr_assert_not_null(v, "%s: %s", path, err.text);
    return v;
}

/* The same from tests/golden/data, which is part of the sources: it has to be there. */
static inline const dm_value *golden_own(dm_arena *a, const char *name)
{
    char *path = dm_arena_printf(a, "tests/golden/data/%s", name);
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
