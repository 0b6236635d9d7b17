/* A model as a job describes it, for tests. */
#ifndef DM_TESTS_CONFIGS_H
#define DM_TESTS_CONFIGS_H

#include "json/json.h"
#include "lm/config.h"

#include <criterion/criterion.h>

/* json: what stands at "lm"; a test fails where it is refused. */
static inline dm_lm_config *config(dm_arena *a, const char *json)
{
    dm_error err = {DM_OK, ""};
    dm_at root = dm_at_root(dm_json_read(a, dm_str_of(json), &err), "lm", DM_E_JOB);
    dm_lm_config *c = dm_lm_config_read(a, &root, &err);
    cr_assert_not_null(c, "%s: %s", json, err.text);
    return c;
}

#endif
