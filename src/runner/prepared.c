#include "runner/prepared.h"
#include "json/json.h"
#include "program/python_program.h"

#include <stdlib.h>

dm_prepared *dm_prepared_new(const dm_run_spec *spec)
{
    dm_prepared *p = dm_alloc(sizeof *p);
    p->spec = *spec;
    p->arena = dm_arena_new(16384);
    p->parts = dm_arena_alloc_n(p->arena, spec->work.candidate->program->n, sizeof *p->parts);
    if (!spec->work.drop_own_demo)
        return p;
    for (size_t i = 0; i < spec->work.candidate->program->n; i++) {
        const dm_candidate_part *c = &spec->work.candidate->parts[i];
        p->parts[i].demo_hash = dm_arena_alloc_n(p->arena, c->n_demos, sizeof(dm_hash));
        for (size_t j = 0; j < c->n_demos; j++)
            p->parts[i].demo_hash[j] = dm_json_hash(c->demos[j]);
    }
    return p;
}

void dm_prepared_free(dm_prepared *p)
{
    if (!p)
        return;
    dm_host_state_free(p->host);
    dm_arena_free(p->arena);
    free(p);
}

static void render(dm_prepared *p, const dm_lm *lm, const dm_hash *scope, size_t i, dm_adapter kind,
                   const dm_value *const *demos, size_t n, dm_arena *a, dm_rendered *out)
{
    const dm_candidate *c = p->spec.work.candidate;
    out->made = true;
    out->status = dm_adapter_prefix(a, kind, c->program->predictors[i].signature,
                                    c->parts[i].instructions, demos, n, &out->prefix, &out->error);
    if (out->status == DM_OK) {
        out->head = dm_lm_head(a, dm_lm_config_of(lm, p->spec.work.role), &out->prefix);
        if (!scope)
            return;
        out->key = dm_lm_key_begin(scope, out->head);
        dm_sha256 h = out->key;
        dm_hash whole = dm_sha256_end(&h);
        out->hash = dm_hash_u64(&whole);
    }
}

static bool holds(const dm_prepared_part *part, size_t n, const dm_hash *fingerprint)
{
    for (size_t j = 0; j < n; j++)
        if (dm_hash_eq(&part->demo_hash[j], fingerprint))
            return true;
    return false;
}

/* The example is among its own demonstrations: they are rendered without it, for this run alone. */
static const dm_rendered *render_without(dm_prepared *p, const dm_lm *lm, const dm_hash *scope,
                                         size_t i, dm_adapter kind, const dm_hash *fingerprint,
                                         dm_arena *a)
{
    const dm_candidate_part *c = &p->spec.work.candidate->parts[i];
    const dm_value **kept = dm_arena_alloc_n(a, c->n_demos, sizeof *kept);
    size_t n = 0;
    for (size_t j = 0; j < c->n_demos; j++)
        if (!dm_hash_eq(&p->parts[i].demo_hash[j], fingerprint))
            kept[n++] = c->demos[j];
    dm_rendered *out = dm_arena_alloc(a, sizeof *out);
    render(p, lm, scope, i, kind, kept, n, a, out);
    return out;
}

const dm_rendered *dm_prepared_prefix(dm_prepared *p, const dm_lm *lm, size_t i, dm_adapter kind,
                                      const dm_hash *scope, const dm_hash *fingerprint, dm_arena *a)
{
    const dm_candidate_part *c = &p->spec.work.candidate->parts[i];
    dm_prepared_part *part = &p->parts[i];
    if (p->spec.work.drop_own_demo && holds(part, c->n_demos, fingerprint))
        return render_without(p, lm, scope, i, kind, fingerprint, a);
    dm_rendered *r = &part->by_adapter[kind];
    if (!r->made)
        render(p, lm, scope, i, kind, c->demos, c->n_demos, p->arena, r);
    return r;
}

dm_str dm_prepared_schema(dm_prepared *p, size_t i)
{
    dm_prepared_part *part = &p->parts[i];
    if (!part->schema.p) {
        dm_buf b;
        dm_buf_init(&b, DM_MAX_TEXT);
        dm_adapter_schema(&b, p->spec.work.candidate->program->predictors[i].signature);
        dm_str s = dm_buf_view(&b);
        part->schema = (dm_str){dm_arena_string(p->arena, s.p, s.n), s.n};
        dm_buf_free(&b);
    }
    return part->schema;
}

const dm_host_state *dm_prepared_host_state(dm_prepared *p, dm_hosts *hosts)
{
    const dm_candidate *c = p->spec.work.candidate;
    if (p->host)
        return p->host;
    dm_arena *a = dm_arena_new(0);
    dm_value *d = dm_value_dict(a);
    for (size_t i = 0; i < c->program->n; i++) {
        const dm_predictor *x = &c->program->predictors[i];
        dm_str name = x->path.n ? x->path : DM_STR("self");
        dm_value *state = dm_python_state(a, x, &c->parts[i]);
        if (c->parts[i].live)
            dm_value_set(a, state, DM_STR("live"), dm_live_list(a, &c->parts[i]));
        if (c->parts[i].loaded)
            dm_value_set(a, state, DM_STR("loaded"), dm_value_bool(a, true));
        dm_value_set(a, d, name, state);
    }
    p->host = dm_host_state_new(hosts, d);
    dm_arena_free(a);
    return p->host;
}
