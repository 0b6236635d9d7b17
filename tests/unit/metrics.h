/* What tests of metrics and of what reads JSON share. */
#ifndef DM_TESTS_METRICS_H
#define DM_TESTS_METRICS_H

#include "json/json.h"
#include "metric/metric.h"

#include <criterion/criterion.h>
#include <stdio.h>

static inline const dm_value *json(dm_arena *a, const char *text)
{
    dm_error err = {DM_OK, ""};
    const dm_value *v = dm_json_read(a, dm_str_of(text), &err);
    cr_assert_not_null(v, "%s: %s", text, err.text);
    return v;
}

static inline const dm_program *program(dm_arena *a, const char *signature)
{
    dm_error err = {DM_OK, ""};
    dm_value *d = dm_value_dict(a);
    dm_value_set(a, d, DM_STR("predict"), dm_value_text(a, signature));
    dm_at at = dm_at_root(d, "job.json", DM_E_JOB);
    const dm_program *p = dm_program_read(a, &at, &err);
    cr_assert_not_null(p, "%s", err.text);
    return p;
}

typedef struct got {
    int n;
    bool ok;
    double score;
    char text[3000];
} got;

static inline void take(void *user, const dm_metric_score *s)
{
    got *g = user;
    g->n++;
    g->ok = s->ok;
    g->score = s->score;
    snprintf(g->text, sizeof g->text, "%s", s->text ? s->text : "");
}

#endif
