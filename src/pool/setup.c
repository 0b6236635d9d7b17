/* The setup as JSON: made by the coordinator, read by every worker. */
#include "json/json.h"
#include "json/param.h"
#include "pool/setup.h"

#include <math.h>
#include <stddef.h>

int dm_setup_model_of(const dm_setup *s, int role)
{
    int first = 0;
    while (s->lm[first] != s->lm[role])
        first++;
    return first;
}

dm_status dm_setup_models(dm_arena *a, const dm_setup *s, const dm_lm_config *out[DM_ROLES],
                          dm_error *err)
{
    for (int i = 0; i < DM_ROLES; i++) {
        int first = dm_setup_model_of(s, i);
        out[i] = first < i ? out[first] : s->model[i];
        if (out[i] || !s->lm[i])
            continue;
        dm_at at = dm_at_root(s->lm[i], s->job_file, DM_E_JOB);
        out[i] = dm_lm_config_read(a, &at, err);
        if (!out[i])
            return err->status;
    }
    return DM_OK;
}

static dm_value *write_sample(dm_arena *a, const dm_setup *s)
{
    for (size_t i = 0; i < 3; i++)
        if (s->sets[i]) {
            dm_value *rows = dm_value_list(a);
            if (s->sets[i]->n)
                dm_value_append(a, rows, s->sets[i]->examples[0].row);
            return rows;
        }
    return dm_value_null(a);
}

static dm_value *write_lms(dm_arena *a, const dm_setup *s)
{
    dm_value *list = dm_value_list(a);
    for (size_t i = 0; i < DM_ROLES; i++) {
        const dm_value *v = s->lm[i] ? s->lm[i] : dm_value_null(a);
        for (size_t j = 0; j < i && s->lm[i]; j++)
            if (s->lm[i] == s->lm[j]) {
                v = dm_value_int(a, (int64_t)j);
                break;
            }
        dm_value_append(a, list, v);
    }
    return list;
}

void dm_setup_write(dm_buf *b, const dm_setup *s)
{
    dm_arena *a = dm_arena_new(0);
    dm_value *d = dm_value_dict(a);
    dm_value_set(a, d, DM_STR("program"), dm_program_write(a, s->program));
    dm_value_set(a, d, DM_STR("host"), s->host ? s->host : dm_value_null(a));
    dm_value_set(a, d, DM_STR("adapter"), dm_value_int(a, s->adapter));
    dm_value_set(a, d, DM_STR("json_fallback"), dm_value_bool(a, s->json_fallback));
    dm_value_set(a, d, DM_STR("any_score"), dm_value_bool(a, s->any_score));
    dm_value_set(a, d, DM_STR("job_file"), dm_value_text(a, s->job_file ? s->job_file : "job"));
    dm_value_set(a, d, DM_STR("lm"), write_lms(a, s));
    dm_value_set(a, d, DM_STR("metric"), s->metric ? s->metric : dm_value_null(a));
    dm_value_set(a, d, DM_STR("inputs"), dm_value_strings(a, s->inputs, s->n_inputs));
    dm_value_set(a, d, DM_STR("failure_score"), dm_value_float(a, s->failure_score));
    dm_value_set(a, d, DM_STR("seed"), dm_value_int(a, (int64_t)(s->seed & INT64_MAX)));
    dm_value_set(a, d, DM_STR("offline"), dm_value_bool(a, s->offline));
    dm_value_set(a, d, DM_STR("sample"), write_sample(a, s));
    dm_json_write(b, d, DM_JSON_PYTHON);
    dm_arena_free(a);
}

static const dm_value *item(const dm_value *list, size_t i)
{
    if (!list || list->kind != DM_LIST || i >= list->n)
        return NULL;
    const dm_value *v = list->items[i];
    int64_t same;
    if (v->kind == DM_INT && dm_value_to_int(v, &same) && same >= 0 && (size_t)same < i)
        return item(list, (size_t)same);
    return v->kind == DM_NULL ? NULL : v;
}

/* What goes over as it is. */
typedef struct carried {
    int64_t adapter, seed;
    bool json_fallback, any_score, offline;
    const char *job_file;
    double failure_score;
} carried;

#define CARRIED(key, type) .name = #key, .kind = DM_PARAM_##type, .at = offsetof(carried, key)

static const dm_param carried_table[] = {
    {CARRIED(adapter, INT), .high = DM_N_ADAPTERS - 1},
    {CARRIED(json_fallback, BOOL)},
    {CARRIED(any_score, BOOL)},
    {CARRIED(offline, BOOL)},
    {CARRIED(job_file, TEXT)},
    {CARRIED(failure_score, NUMBER), .low = -INFINITY, .high = INFINITY},
    {CARRIED(seed, INT), .high = 0x1.fffffffffffffp62},
    {.name = NULL},
};

static const dm_value *unless_null(const dm_value *v)
{
    return v && v->kind != DM_NULL ? v : NULL;
}

dm_status dm_setup_read(dm_arena *a, dm_str text, dm_setup *out, dm_error *err)
{
    const dm_value *d = dm_json_read(a, text, err);
    if (!d)
        return DM_E_INTERNAL;
    dm_at at = dm_at_root(d, "setup", DM_E_INTERNAL), program = dm_at_key(&at, "program"),
          names = dm_at_key(&at, "inputs");
    carried c = {.adapter = DM_CHAT, .job_file = "job"};
    dm_str *inputs = NULL;
    *out = (dm_setup){.deadline = INFINITY};
    out->program = dm_program_read(a, &program, err);
    dm_status st = out->program ? DM_OK : DM_E_INTERNAL;
    if (st == DM_OK)
        st = dm_params_read(a, carried_table, &at, false, &c, err);
    if (st == DM_OK)
        st = dm_get_strings(&names, a, &inputs, &out->n_inputs, err);
    if (st != DM_OK)
        return st;
    out->adapter = (dm_adapter)c.adapter;
    out->json_fallback = c.json_fallback;
    out->any_score = c.any_score;
    out->offline = c.offline;
    out->job_file = c.job_file;
    out->failure_score = c.failure_score;
    out->seed = (uint64_t)c.seed;
    out->inputs = inputs;
    for (size_t i = 0; i < DM_ROLES; i++)
        out->lm[i] = item(dm_value_get(d, "lm"), i);
    out->host = unless_null(dm_value_get(d, "host"));
    out->metric = unless_null(dm_value_get(d, "metric"));
    const dm_value *sample = dm_value_get(d, "sample");
    if (sample && sample->kind == DM_LIST)
        out->sets[0] = dm_dataset_of(a, "sample", sample);
    return dm_setup_models(a, out, out->model, err);
}

dm_rows dm_setup_rows(const dm_setup *s)
{
    dm_rows rows = {{NULL}, 0, 0};
    for (size_t i = 0; i < 3; i++) {
        bool again = !s->sets[i];
        for (size_t j = 0; j < i; j++)
            again |= s->sets[j] == s->sets[i];
        if (again)
            continue;
        rows.sets[rows.n_sets++] = s->sets[i];
        rows.n += s->sets[i]->n;
    }
    return rows;
}

const dm_example *dm_row(const dm_rows *r, size_t i)
{
    size_t k = 0;
    while (i >= r->sets[k]->n)
        i -= r->sets[k++]->n;
    return &r->sets[k]->examples[i];
}
