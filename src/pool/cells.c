/* Cells, program states and the tables that find them by content. */
#include "pool/inside.h"
#include "base/log.h"
#include "json/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void dm_queue_push(dm_queue *q, uint32_t cell)
{
    if (q->tail - q->head == q->cap) {
        size_t cap = q->cap ? 2 * q->cap : 64, n = q->tail - q->head;
        uint32_t *items = dm_alloc_n(cap, sizeof *items);
        for (size_t i = 0; i < n; i++)
            items[i] = q->items[(q->head + i) % q->cap];
        free(q->items);
        *q = (dm_queue){items, 0, n, cap};
    }
    q->items[q->tail++ % q->cap] = cell;
}

bool dm_queue_pop(dm_queue *q, uint32_t *cell)
{
    if (q->head == q->tail)
        return false;
    *cell = q->items[q->head++ % q->cap];
    return true;
}

size_t dm_queue_length(const dm_queue *q)
{
    return q->tail - q->head;
}

static const dm_hash *row_key(const dm_pool *p, uint32_t value)
{
    return &dm_row(&p->rows, value)->fingerprint;
}

static const dm_hash *cell_key(const dm_pool *p, uint32_t value)
{
    return &p->cells[value]->key;
}

static const dm_hash *key_of_state(const dm_pool *p, uint32_t value)
{
    return &p->states[value].key;
}

void dm_tables_init(dm_pool *p)
{
    p->row_table.key_of = row_key;
    p->cell_table.key_of = cell_key;
    p->state_table.key_of = key_of_state;
}

static struct dm_slot *find_slot(const dm_pool *p, const dm_table *t, const dm_hash *key)
{
    uint64_t h = dm_hash_u64(key);
    size_t i = (h >> 32) & (t->cap - 1);
    while (t->slots[i].value && (t->slots[i].start != (uint32_t)h ||
                                 !dm_hash_eq(t->key_of(p, t->slots[i].value - 1), key)))
        i = (i + 1) & (t->cap - 1);
    return &t->slots[i];
}

bool dm_table_get(const dm_pool *p, const dm_table *t, const dm_hash *key, uint32_t *value)
{
    if (t->cap == 0)
        return false;
    const struct dm_slot *s = find_slot(p, t, key);
    if (!s->value)
        return false;
    *value = s->value - 1;
    return true;
}

void dm_table_put(const dm_pool *p, dm_table *t, uint32_t value)
{
    if (3 * (t->n + 1) > 2 * t->cap) {
        dm_table bigger = {t->key_of, NULL, t->n, t->cap ? 2 * t->cap : 64};
        bigger.slots = dm_alloc_n(bigger.cap, sizeof *bigger.slots);
        for (size_t i = 0; i < t->cap; i++)
            if (t->slots[i].value)
                *find_slot(p, &bigger, t->key_of(p, t->slots[i].value - 1)) = t->slots[i];
        free(t->slots);
        *t = bigger;
    }
    const dm_hash *key = t->key_of(p, value);
    *find_slot(p, t, key) = (struct dm_slot){(uint32_t)dm_hash_u64(key), value + 1};
    t->n++;
}

/* What a result depends on beside the example (src/README.md §2): program state, adapter, metric,
 * model, sampling, rollout. Addresses, ranks and limits are not among it. */
static dm_hash state_key(const dm_pool *p, const dm_work *w)
{
    dm_buf b;
    dm_writer out;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_writer_init(&out, &b);
    dm_write_hash(&out, &w->candidate->hash);
    dm_write_int(&out, p->setup->adapter);
    dm_write_bool(&out, p->setup->json_fallback);
    dm_hash model = dm_json_hash(p->models[p->model_of[w->role]].identity);
    dm_write_hash(&out, &model);
    if (w->scored && p->setup->metric) {
        dm_hash metric = dm_json_hash(p->setup->metric);
        dm_write_hash(&out, &metric);
    }
    dm_write_bool(&out, w->trace);
    dm_write_bool(&out, w->drop_own_demo);
    dm_write_int(&out, w->rollout);
    dm_write_double(&out, isnan(w->temperature) ? -1 : w->temperature);
    dm_hash h = dm_hash_of(b.data, b.len);
    dm_buf_free(&b);
    return h;
}

uint32_t dm_pool_state(dm_pool *p, const dm_work *w)
{
    dm_hash key = state_key(p, w);
    uint32_t number;
    if (dm_table_get(p, &p->state_table, &key, &number))
        return number;
    if (p->n_states == p->cap_states) {
        p->cap_states = p->cap_states ? 2 * p->cap_states : 16;
        p->states = dm_grow(p->states, p->cap_states, sizeof *p->states);
    }
    number = (uint32_t)p->n_states++;
    p->states[number] = (dm_state){
        .key = key,
        .work = *w,
        .model = p->model_of[w->role],
        .sent = dm_arena_alloc(p->arena, (size_t)(p->link->n_workers + 7) / 8),
    };
    dm_table_put(p, &p->state_table, number);
    return number;
}

static dm_result read_result(const dm_pool *p, dm_str bytes, dm_arena *a, dm_usage *usage)
{
    dm_result r = {0};
    *usage = (dm_usage){0};
    if (!dm_read_result(bytes, p->setup->failure_score, a, &r, usage))
        r.fault = DM_FAULT_TRANSPORT; /* checked when it came: cannot be */
    return r;
}

static void replay_answer(dm_pool *p, uint32_t number, dm_str bytes, bool done)
{
    dm_record rec;
    dm_reader in;
    if (dm_record_open(&rec, bytes, NULL, &in)) {
        dm_answer a = dm_read_answer_fields(&in);
        if (!rec.bad) {
            dm_usage_add(&p->usage, &a.usage);
            dm_budget_before(p, p->cells[number], &a.usage);
            if (!done && a.call != DM_NO_CALL)
                dm_cell_keep_answer(p, number, &a);
        }
    }
    dm_record_free(&rec);
}

/* Work that stands in the journal is done; an unfinished cell goes on behind its kept answers. What
 * each answer cost is counted either way. */
static void replay_cell(dm_pool *p, uint32_t number)
{
    dm_cell *c = p->cells[number];
    dm_str result = dm_replay_result(p->setup->replay, &c->key), answer;
    for (size_t i = 0; (answer = dm_replay_answer(p->setup->replay, &c->key, i)).p; i++)
        replay_answer(p, number, answer, result.p != NULL);
    if (result.p) {
        dm_usage usage;
        dm_result r = read_result(p, result, NULL, &usage);
        c->replayed = true;
        dm_cell_done(p, number, result, &r, &usage);
    }
}

uint32_t dm_pool_cell(dm_pool *p, uint32_t state, const dm_example *e)
{
    uint32_t number, row;
    dm_sha256 s;
    dm_sha256_init(&s);
    dm_sha256_add(&s, p->states[state].key.b, sizeof(dm_hash));
    dm_sha256_add(&s, e->fingerprint.b, sizeof(dm_hash));
    dm_hash key = dm_sha256_end(&s);
    if (dm_table_get(p, &p->cell_table, &key, &number))
        return number;
    if (p->n_cells == p->cap_cells) {
        p->cap_cells = p->cap_cells ? 2 * p->cap_cells : 256;
        p->cells = dm_grow(p->cells, p->cap_cells, sizeof *p->cells);
    }
    dm_cell *c = dm_arena_alloc(p->arena, sizeof *c);
    number = (uint32_t)p->n_cells++;
    p->cells[number] = c;
    c->key = key;
    c->example = e;
    c->state = state;
    c->row = dm_table_get(p, &p->row_table, &e->fingerprint, &row) ? (int32_t)row : -1;
    dm_table_put(p, &p->cell_table, number);
    if (p->setup->replay)
        replay_cell(p, number);
    return number;
}

void dm_cell_requeue(dm_pool *p, uint32_t number, double not_before)
{
    dm_cell *c = p->cells[number];
    dm_model *m = &p->models[p->states[c->state].model];
    c->phase = DM_CELL_QUEUED;
    if (not_before > 0 && !c->way)
        c->way = dm_arena_alloc(p->arena, sizeof *c->way);
    if (c->way)
        c->way->not_before = not_before;
    /* Bootstrapping and proposals are chains of calls, evaluations are wide: chains go first. */
    const dm_work *w = &p->states[c->state].work;
    dm_queue *ready = w->trace || !w->scored ? &m->first : &m->queue;
    dm_queue_push(not_before > 0 ? &m->delayed : ready, number);
}

static void count_progress(dm_pool *p, const dm_cell *c, const dm_result *r, const dm_usage *usage)
{
    p->phase_done++;
    dm_usage_add(&p->usage, usage);
    p->n_errors += r->fault != DM_FAULT_NONE;
    if (r->present && !isnan(r->score) && p->states[c->state].work.scored) {
        p->mean_sum += r->score;
        p->mean_n++;
    }
}

void dm_cell_keep_answer(dm_pool *p, uint32_t number, const dm_answer *a)
{
    dm_kept_answer *k = dm_arena_alloc(p->arena, sizeof *k), **end = &p->cells[number]->answers;
    k->answer = *a;
    k->answer.content.p = dm_arena_string(p->arena, a->content.p ? a->content.p : "", a->content.n);
    while (*end)
        end = &(*end)->next;
    *end = k;
}

void dm_cell_done(dm_pool *p, uint32_t number, dm_str bytes, const dm_result *r,
                  const dm_usage *usage)
{
    dm_cell *c = p->cells[number];
    if (c->phase == DM_CELL_DONE)
        return; /* late or twice: results are taken once */
    c->phase = DM_CELL_DONE;
    c->result = (dm_str){dm_arena_string(p->arena, bytes.p, bytes.n), bytes.n};
    c->answers = NULL;
    if (p->setup->journal && !c->replayed)
        dm_journal_cell(p->setup->journal, DM_JOURNAL_RESULT, &c->key, c->result);
    count_progress(p, c, r, usage);
    if (p->setup->cap) {
        dm_budget_done(p, c, usage);
        return;
    }
    for (dm_waiter *w = c->waiters; w; w = w->next)
        w->future->n_done++;
    c->waiters = NULL;
}

dm_result dm_cell_result(const dm_pool *p, const dm_cell *c, dm_arena *a, dm_usage *usage)
{
    dm_result r = read_result(p, c->result, a, usage);
    r.replayed = c->replayed;
    return r;
}
