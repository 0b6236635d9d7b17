/* Data for tests and benches that need rows and not what is in them. */
#ifndef DM_TESTS_QUESTIONS_H
#define DM_TESTS_QUESTIONS_H

#include "data/dataset.h"

/* n rows {"question": "qI", "answer": "yes"}, with I from `from` on. */
static inline dm_dataset *questions(dm_arena *a, size_t from, size_t n)
{
    dm_value *rows = dm_value_list(a);
    for (size_t i = from; i < from + n; i++) {
        dm_value *row = dm_value_dict(a);
        dm_value_set(a, row, DM_STR("question"), dm_value_text(a, dm_arena_printf(a, "q%zu", i)));
        dm_value_set(a, row, DM_STR("answer"), dm_value_text(a, "yes"));
        dm_value_append(a, rows, row);
    }
    return dm_dataset_of(a, "questions", rows);
}

#endif
