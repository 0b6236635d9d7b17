/* Cells, program states and the tables that find them by content. */
#include "pool/inside.h"
#include "base/log.h"
#include "json/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void dm_pool_fail(dm_pool *p, dm_status status, const char *fmt, ...)
{
    if (p->failed)
        return; /* the first failure is the one to tell */
    char text[sizeof p->error.text];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    p->failed = dm_fail(&p->error, status < 0 ? status : DM_E_INTERNAL, "%s",
                        text[0] ? text : "a rank failed, and did not say why");
}

void dm_answer_came(dm_pool *p, const dm_cell *c)
{
    dm_model *m = &p->models[p->states[c->state].model];
    m->phase = DM_MODEL_GOOD;
    m->failing = false;
    m->last_answer = p->link->ops->now(p->link);
}

void dm_journal_answer(dm_pool *p, const dm_cell *by, const dm_hash *key, const dm_answer *a)
{
    dm_buf b;
    dm_writer w;
    if (!p->setup->journal)
        return;
    dm_buf_init(&b, DM_MAX_MESSAGE);
    dm_writer_init(&w, &b);
    dm_hash cell = dm_leg_key(by, by->legs != NULL);
    dm_write_answer_record(&w, a, dm_hash_mix(&cell));
    dm_journal_cell(p->setup->journal, DM_JOURNAL_ANSWER, key, dm_buf_view(&b));
    dm_buf_free(&b);
}

void dm_pool_flush_journal(dm_pool *p)
{
    dm_error err = {DM_OK, ""};
    if (p->setup->journal &&
        dm_journal_flush(p->setup->journal, p->link->ops->now(p->link), &err) != DM_OK)
        dm_pool_fail(p, err.status, "%s", err.text);
}

static const dm_hash *row_key(const void *owner, uint32_t value)
{
    const dm_pool *p = owner;
    return &dm_row(&p->rows, value)->fingerprint;
}

static const dm_hash *cell_key(const void *owner, uint32_t value)
{
    const dm_pool *p = owner;
    return &p->cells[value]->key;
}

static const dm_hash *key_of_state(const void *owner, uint32_t value)
{
    const dm_pool *p = owner;
    return &p->states[value].key;
}

static const dm_hash *key_of_key(const void *owner, uint32_t value)
{
    const dm_pool *p = owner;
    return &p->keys[value].hash;
}

void dm_tables_init(dm_pool *p)
{
    p->row_table = (dm_table){.key_of = row_key, .owner = p};
    p->cell_table = (dm_table){.key_of = cell_key, .owner = p};
    p->state_table = (dm_table){.key_of = key_of_state, .owner = p};
    p->key_table = (dm_table){.key_of = key_of_key, .owner = p};
}

/* What a result depends on beside the example (src/README.md §2): program state, adapter, metric,
 * model, sampling, rollout. Addresses, ranks and limits are not among it. */
static dm_hash state_key(const dm_pool *p, const dm_work *w)
{
    dm_buf b;
    dm_writer out;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_writer_init(&out, &b);
    dm_write_hash(&out, &w->candidate->sent);
    dm_write_int(&out, p->setup->adapter);
    dm_write_bool(&out, p->setup->json_fallback);
    dm_hash model = dm_json_hash(p->models[p->model_of[w->role]].identity);
    dm_write_hash(&out, &model);
    if (w->scored && p->setup->metric) {
        dm_hash metric = dm_json_hash(p->setup->metric);
        dm_write_hash(&out, &metric);
        if (p->judging) { /* and on who judges */
            dm_hash judge = dm_json_hash(p->models[p->model_of[DM_JUDGE]].identity);
            dm_write_hash(&out, &judge);
        }
    }
    dm_write_how(&out, w);
    dm_hash h = dm_hash_of(b.data, b.len);
    dm_buf_free(&b);
    return h;
}

uint32_t dm_pool_state(dm_pool *p, const dm_work *w)
{
    dm_hash key = state_key(p, w);
    uint32_t number;
    if (dm_table_get(&p->state_table, &key, &number))
        return number;
    p->states = dm_room(p->states, p->n_states, &p->cap_states, sizeof *p->states);
    number = (uint32_t)p->n_states++;
    p->states[number] = (dm_state){
        .key = key,
        .work = *w,
        .model = p->model_of[w->role],
        .sent = dm_arena_alloc(p->arena, (size_t)(p->link->n_workers + 7) / 8),
    };
    dm_table_put(&p->state_table, number);
    return number;
}

void dm_pool_count(dm_pool *p, const dm_cell *c, dm_role role, const dm_usage *usage)
{
    const dm_lm_config *m = p->models[p->model_of[role]].config;
    double cost = m && m->price.known ? dm_cost_of(m, usage) : NAN;
    dm_usage_add(&p->usage, usage);
    if (role == DM_JUDGE)
        dm_usage_add(&p->judge, usage);
    p->cost += cost;
    dm_spent_count(p, c, role, usage, cost);
}

uint32_t dm_pool_cell(dm_pool *p, uint32_t state, const dm_example *e, bool *made)
{
    uint32_t number, row;
    dm_sha256 s;
    dm_sha256_init(&s);
    dm_sha256_add(&s, p->states[state].key.b, sizeof(dm_hash));
    dm_sha256_add(&s, e->fingerprint.b, sizeof(dm_hash));
    dm_hash key = dm_sha256_end(&s);
    *made = !dm_table_get(&p->cell_table, &key, &number);
    if (!*made)
        return number;
    p->cells = dm_room(p->cells, p->n_cells, &p->cap_cells, sizeof *p->cells);
    dm_cell *c = dm_arena_alloc(p->arena, sizeof *c);
    number = (uint32_t)p->n_cells++;
    p->cells[number] = c;
    c->key = key;
    c->example = e;
    c->state = state;
    bool by_number = p->link->one_process && dm_table_get(&p->row_table, &e->fingerprint, &row);
    c->row = by_number ? (int32_t)row : -1;
    dm_table_put(&p->cell_table, number);
    return number;
}

struct dm_cell_way *dm_way_of(dm_pool *p, dm_cell *c)
{
    if (!c->way)
        c->way = dm_arena_alloc(p->arena, sizeof *c->way);
    return c->way;
}

dm_result dm_cell_result(const dm_pool *p, const dm_cell *c, dm_arena *a)
{
    dm_result r = {0};
    dm_paid paid;
    if (!dm_read_result(c->result, p->setup->failure_score, a, &r, &paid))
        r.fault = DM_FAULT_TRANSPORT; /* checked when it came: cannot be */
    r.replayed = c->replayed;
    return r;
}
