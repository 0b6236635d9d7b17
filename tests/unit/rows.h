/* The rows of a data set as text, for tests. */
#ifndef DM_TESTS_ROWS_H
#define DM_TESTS_ROWS_H

#include "data/dataset.h"
#include "json/json.h"

/* One line of JSON each. */
static inline const char *json_lines(dm_arena *a, const dm_dataset *d)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    for (size_t i = 0; i < d->n; i++) {
        dm_json_write(&b, d->examples[i].row, DM_JSON_COMPACT);
        dm_buf_char(&b, '\n');
    }
    const char *s = dm_arena_string(a, b.data, b.len);
    dm_buf_free(&b);
    return s;
}

#endif
