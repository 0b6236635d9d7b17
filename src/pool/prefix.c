/* Prompts that begin alike. Many servers keep what they have read of a prompt, and take the same
 * beginning for less, or at once, as soon as they have begun their first answer to it. All examples
 * of a candidate share system message and demonstrations; so the first run with a long beginning
 * goes out alone, and the others wait for its answer, as long as other work fills the places: none
 * is ever left empty for it. That is a matter of order, which no optimizer sees. */
#include "pool/inside.h"

#include <stdlib.h>

/* Or more: hardly a prefix that a server would keep is passed over. */
#define BYTES_OF_TOKEN 3
#define KEPT_FOR       300.0 /* s without use, after which a server may have forgotten it */
#define MOST_TRIES     20 /* runs that were to be the first, and came to no answer of the server */

typedef enum dm_prefix_phase { PREFIX_COLD, PREFIX_ASKED, PREFIX_WARM } dm_prefix_phase;

typedef struct dm_shared_prefix {
    dm_hash key; /* of the model's number and the head of its requests */
    dm_prefix_phase phase;
    uint32_t asked_by; /* the cell, while it is asked for the first time */
    int tries;
    double used;   /* when an answer came last */
    dm_queue held; /* cells that wait for it */
    bool listed;   /* among those of its model whose cells are held */
} dm_shared_prefix;

/* ---- which ones a state has ---- */

static const dm_hash *key_of_prefix(const void *owner, uint32_t value)
{
    const dm_pool *p = owner;
    return &p->prefixes.all[value].key;
}

static size_t bytes_of_value(const dm_value *v)
{
    size_t n = v->kind == DM_STRING ? v->text.n : 0;
    for (size_t i = 0; v->kind == DM_LIST && i < v->n; i++)
        n += bytes_of_value(v->items[i]);
    for (size_t i = 0; v->kind == DM_DICT && i < v->n; i++)
        n += v->members[i].key.n + bytes_of_value(v->members[i].value);
    return n;
}

/* False: it is short, which shows without rendering it. The bytes of its parts are taken twice, for
 * marks and escapes. */
static bool may_be_long(const dm_signature *s, const dm_candidate_part *part, size_t least)
{
    size_t n = 600 + part->instructions.n, fields = s->n_inputs + s->n_outputs;
    for (size_t i = 0; i < fields; i++) {
        const dm_field *f = &s->fields[i];
        dm_type_kind kind = f->type->kind;
        if (kind != DM_T_STR && kind != DM_T_BOOL && kind != DM_T_INT && kind != DM_T_FLOAT)
            return true; /* its schema may be of any length */
        n += 60 + 3 * f->name.n + f->desc.n + f->constraints.n;
    }
    for (size_t i = 0; i < part->n_demos && n < least; i++)
        n += bytes_of_value(part->demos[i]) + 30 * fields;
    return 2 * n >= least;
}

static uint32_t number_of(dm_pool *p, const dm_hash *key)
{
    struct dm_prefixes *all = &p->prefixes;
    uint32_t number;
    all->table.key_of = key_of_prefix;
    all->table.owner = p;
    if (dm_table_get(&all->table, key, &number))
        return number;
    all->all = dm_room(all->all, all->n, &all->cap, sizeof *all->all);
    number = (uint32_t)all->n++;
    all->all[number] = (dm_shared_prefix){.key = *key};
    dm_table_put(&all->table, number);
    return number;
}

/* Number + 1 of the predictor's beginning; 0: it is too short to be kept. */
static uint32_t prefix_of(dm_pool *p, const dm_state *s, size_t predictor)
{
    const dm_lm_config *config = p->models[s->model].config;
    const dm_candidate *c = s->work.candidate;
    const dm_candidate_part *part = &c->parts[predictor];
    const dm_signature *signature = c->program->predictors[predictor].signature;
    size_t least = BYTES_OF_TOKEN * (size_t)dm_lm_cached_from(config);
    uint32_t number = 0;
    dm_prefix prefix = {NULL, 0};
    dm_error err;
    if (!may_be_long(signature, part, least))
        return 0;
    dm_arena *a = dm_arena_new(0);
    dm_str head = {NULL, 0};
    if (dm_adapter_prefix(a, p->setup->adapter, signature, part->instructions, part->demos,
                          part->n_demos, &prefix, &err) == DM_OK)
        head = dm_lm_head(a, config, &prefix);
    if (head.n >= least) {
        dm_sha256 h;
        dm_sha256_init(&h);
        dm_sha256_add(&h, &s->model, sizeof s->model);
        dm_sha256_add(&h, head.p, head.n);
        dm_hash key = dm_sha256_end(&h);
        number = number_of(p, &key) + 1;
    }
    dm_arena_free(a);
    return number;
}

/* [program->n] NULL: none of them is long enough. */
static const uint32_t *prefixes_of(dm_pool *p, uint32_t state)
{
    dm_state *s = &p->states[state];
    if (s->prefixes_known || s->work.candidate->program->python ||
        dm_lm_cached_from(p->models[s->model].config) == 0)
        return s->prefixes;
    size_t n = s->work.candidate->program->n, found = 0;
    uint32_t *list = dm_arena_alloc_n(p->arena, n, sizeof *list);
    for (size_t i = 0; i < n; i++) {
        list[i] = prefix_of(p, s, i);
        found += list[i] > 0;
    }
    s->prefixes_known = true;
    s->prefixes = found ? list : NULL;
    return s->prefixes;
}

static size_t n_of(const dm_pool *p, const dm_cell *c)
{
    return p->states[c->state].work.candidate->program->n;
}

/* NULL: a short one. */
static dm_shared_prefix *at(const dm_pool *p, const dm_cell *c, size_t predictor)
{
    const uint32_t *list = p->states[c->state].prefixes;
    return list && list[predictor] ? &p->prefixes.all[list[predictor] - 1] : NULL;
}

/* ---- who waits ---- */

static void forget_old(const dm_pool *p, dm_shared_prefix *x)
{
    if (x->phase != PREFIX_WARM || p->link->ops->now(p->link) - x->used < KEPT_FOR)
        return;
    x->phase = PREFIX_COLD;
    x->tries = 0;
}

bool dm_prefix_holds(dm_pool *p, uint32_t number)
{
    const dm_cell *c = p->cells[number];
    const uint32_t *list = prefixes_of(p, c->state);
    dm_model *m = &p->models[p->states[c->state].model];
    for (size_t i = 0; list && i < n_of(p, c); i++) {
        dm_shared_prefix *x = at(p, c, i);
        if (x)
            forget_old(p, x);
        if (!x || x->phase != PREFIX_ASKED || x->tries >= MOST_TRIES)
            continue;
        dm_queue_push(&x->held, number);
        m->n_held++;
        if (!x->listed)
            dm_queue_push(&m->holding, list[i] - 1);
        x->listed = true;
        return true;
    }
    return false;
}

bool dm_prefix_next(dm_pool *p, dm_model *m, uint32_t *number)
{
    while (m->n_held > 0 && dm_queue_length(&m->holding) > 0) {
        uint32_t first = dm_queue_at(&m->holding, 0), none;
        dm_shared_prefix *x = &p->prefixes.all[first];
        if (dm_queue_pop(&x->held, number)) {
            m->n_held--;
            return true;
        }
        x->listed = false;
        (void)dm_queue_pop(&m->holding, &none);
    }
    return false;
}

/* Those who waited for it go before all that was asked for later. */
static void let_go(dm_pool *p, dm_model *m, dm_shared_prefix *x)
{
    uint32_t number;
    while (dm_queue_pop(&x->held, &number)) {
        const dm_work *w = &p->states[p->cells[number]->state].work;
        dm_queue_push(dm_is_chain(w) ? &m->first : &m->released, number);
        m->n_held--;
    }
}

void dm_prefix_sent(dm_pool *p, uint32_t number)
{
    const dm_cell *c = p->cells[number];
    for (size_t i = 0; i < n_of(p, c); i++) {
        dm_shared_prefix *x = at(p, c, i);
        if (!x || x->phase != PREFIX_COLD)
            continue;
        x->phase = PREFIX_ASKED;
        x->asked_by = number;
    }
}

static void warm(dm_pool *p, dm_model *m, dm_shared_prefix *x)
{
    x->used = p->link->ops->now(p->link);
    x->phase = PREFIX_WARM;
    x->tries = 0;
    let_go(p, m, x);
}

void dm_prefix_answered(dm_pool *p, const dm_cell *c, size_t predictor)
{
    dm_shared_prefix *x = predictor < n_of(p, c) ? at(p, c, predictor) : NULL;
    if (x)
        warm(p, &p->models[p->states[c->state].model], x);
}

void dm_prefix_left(dm_pool *p, uint32_t number)
{
    const dm_cell *c = p->cells[number];
    if (!p->states[c->state].prefixes || c->replayed)
        return;
    for (size_t i = 0; i < n_of(p, c); i++) {
        dm_shared_prefix *x = at(p, c, i);
        if (!x || x->phase != PREFIX_ASKED || x->asked_by != number)
            continue;
        x->phase = PREFIX_COLD; /* the next one tries */
        x->tries++;
        let_go(p, &p->models[p->states[c->state].model], x);
    }
}

void dm_prefixes_free(dm_pool *p)
{
    for (size_t i = 0; i < p->prefixes.n; i++)
        dm_queue_free(&p->prefixes.all[i].held);
    free(p->prefixes.all);
    dm_table_free(&p->prefixes.table);
}
