#include "pool/shared.h"
#include "json/json.h"

#include <stdlib.h>
#include <string.h>

dm_shared *dm_shared_new(const dm_setup *setup, dm_metric *metric)
{
    dm_shared *s = dm_alloc(sizeof *s);
    s->arena = dm_arena_new(0);
    s->setup = setup;
    s->metric = metric;
    return s;
}

void dm_shared_free(dm_shared *s)
{
    dm_metric_free(s->metric); /* ends runs that wait for it, which read their states */
    for (size_t i = 0; i < s->n_states; i++)
        if (s->states[i])
            dm_prepared_free(s->states[i]->prepared);
    free(s->states);
    dm_hosts_free(s->own_hosts);
    dm_arena_free(s->arena);
    free(s);
}

static dm_status read_models(dm_shared *s, dm_error *err)
{
    dm_status st = dm_setup_models(s->arena, s->setup, s->config, err);
    for (int i = 0; i < DM_ROLES && st == DM_OK; i++) {
        s->model_of[i] = dm_setup_model_of(s->setup, i);
        if (s->config[i])
            s->scope[i] = dm_lm_scope(s->config[i]);
    }
    return st;
}

static dm_status read_metric(dm_shared *s, dm_error *err)
{
    if (!s->setup->metric || s->metric)
        return DM_OK;
    dm_at at = dm_at_root(s->setup->metric, s->setup->job_file, DM_E_JOB);
    const dm_dataset *sets[3];
    size_t n = 0;
    for (size_t i = 0; i < 3; i++)
        if (s->setup->sets[i])
            sets[n++] = s->setup->sets[i];
    s->metric = dm_metric_new(s->arena, &at, s->setup->program, sets, n, err);
    return s->metric ? DM_OK : err->status;
}

dm_status dm_shared_start(dm_shared *s, dm_str json, dm_error *err)
{
    dm_status st = DM_OK;
    if (s->started)
        return st;
    if (!s->setup) {
        st = dm_setup_read(s->arena, json, &s->own, err);
        s->setup = &s->own;
    } else {
        s->rows = dm_setup_rows(s->setup);
    }
    if (st == DM_OK)
        st = read_models(s, err);
    if (st == DM_OK)
        st = read_metric(s, err);
    s->hosts = s->setup->hosts;
    if (st == DM_OK && !s->hosts && s->setup->host)
        s->hosts = s->own_hosts = dm_hosts_new(s->setup->host);
    s->started = st == DM_OK;
    return st;
}

/* ---- program states ---- */

static dm_candidate *read_candidate(dm_shared *s, dm_str program, dm_str text, dm_error *err)
{
    const dm_program *p = s->setup->program;
    if (program.p) {
        const dm_value *v = dm_json_read(s->arena, program, err);
        if (!v)
            return NULL;
        dm_at at = dm_at_root(v, "state", DM_E_INTERNAL);
        p = dm_program_read(s->arena, &at, err);
    }
    const dm_value *v = p ? dm_json_read(s->arena, text, err) : NULL;
    if (!v)
        return NULL;
    dm_at at = dm_at_root(v, "state", DM_E_INTERNAL);
    return dm_candidate_read(s->arena, p, &at, err);
}

dm_status dm_shared_learn(dm_shared *s, const dm_wire_state *state, dm_error *err)
{
    size_t id = state->id;
    if (dm_shared_find(s, id))
        return DM_OK;
    dm_candidate *c = read_candidate(s, state->program, state->candidate, err);
    if (!c)
        return err->status;
    dm_run_spec spec = {.work = state->work,
                        .adapter = s->setup->adapter,
                        .json_fallback = s->setup->json_fallback,
                        .inputs = state->program.p ? c->program->inputs : s->setup->inputs,
                        .n_inputs = state->program.p ? c->program->n_inputs : s->setup->n_inputs};
    spec.work.candidate = c;
    if (id >= s->n_states) {
        size_t n = id * 2 + 16;
        s->states = dm_grow(s->states, n, sizeof *s->states);
        memset(s->states + s->n_states, 0, (n - s->n_states) * sizeof *s->states);
        s->n_states = n;
    }
    dm_shared_state *st = dm_arena_alloc(s->arena, sizeof *st);
    st->prepared = dm_prepared_new(&spec);
    st->model = s->model_of[state->work.role];
    st->python = c->program->python != NULL;
    s->states[id] = st;
    return DM_OK;
}

const dm_shared_state *dm_shared_find(const dm_shared *s, size_t id)
{
    return id < s->n_states ? s->states[id] : NULL;
}
