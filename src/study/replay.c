#include "study/replay.h"
#include "study/record.h"

#include <stdlib.h>
#include <string.h>

typedef struct entry {
    dm_hash key;
    dm_journal_type type;
    size_t order; /* in the journal */
    dm_str bytes;
} entry;

struct dm_replay {
    dm_arena *arena;
    entry *entries; /* [n], sorted by key, results first, then in order */
    size_t n, cap, results;
    bool sorted;
    dm_amount mark; /* the last */
};

dm_replay *dm_replay_new(void)
{
    dm_replay *r = dm_alloc(sizeof *r);
    r->arena = dm_arena_new(1 << 20);
    return r;
}

void dm_replay_free(dm_replay *r)
{
    if (!r)
        return;
    dm_arena_free(r->arena);
    free(r->entries);
    free(r);
}

static dm_status read_mark(dm_replay *r, dm_str payload, dm_error *err)
{
    dm_record rec;
    dm_reader in;
    bool ok = dm_record_open(&rec, payload, NULL, &in);
    dm_amount mark = {dm_read_double(&in), 0, 0};
    mark.tokens = dm_read_double(&in);
    mark.cost = dm_read_double(&in);
    ok = ok && !rec.bad;
    dm_record_free(&rec);
    if (!ok)
        return dm_fail(err, DM_E_OUTPUT, "a record that cannot be read");
    r->mark = mark;
    return DM_OK;
}

dm_amount dm_replay_mark(const dm_replay *r)
{
    return r->mark;
}

dm_status dm_replay_visit(void *user, dm_journal_type type, dm_str payload, dm_error *err)
{
    dm_replay *r = user;
    dm_record rec;
    dm_reader in;
    if (type == DM_JOURNAL_USAGE)
        return read_mark(r, payload, err);
    if (type != DM_JOURNAL_RESULT && type != DM_JOURNAL_ANSWER)
        return DM_OK;
    bool ok = dm_record_open(&rec, payload, NULL, &in);
    dm_hash key = dm_read_hash(&in);
    dm_str bytes = dm_read_str(&in);
    ok = ok && !rec.bad && bytes.p;
    if (ok) {
        if (r->n == r->cap) {
            r->cap = r->cap ? 2 * r->cap : 256;
            r->entries = dm_grow(r->entries, r->cap, sizeof *r->entries);
        }
        bytes.p = dm_arena_string(r->arena, bytes.p, bytes.n);
        r->entries[r->n] = (entry){key, type, r->n, bytes};
        r->n++;
        r->results += type == DM_JOURNAL_RESULT;
        r->sorted = false;
    }
    dm_record_free(&rec);
    return ok ? DM_OK : dm_fail(err, DM_E_OUTPUT, "a record that cannot be read");
}

static int by_key(const void *x, const void *y)
{
    const entry *a = x, *b = y;
    int c = memcmp(a->key.b, b->key.b, sizeof a->key.b);
    if (c)
        return c;
    if (a->type != b->type)
        return a->type == DM_JOURNAL_RESULT ? -1 : 1;
    return (a->order > b->order) - (a->order < b->order);
}

static const entry *find(dm_replay *r, const dm_hash *key)
{
    if (!r->sorted && r->n)
        qsort(r->entries, r->n, sizeof *r->entries, by_key);
    r->sorted = true;
    size_t low = 0, high = r->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (memcmp(r->entries[middle].key.b, key->b, sizeof key->b) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < r->n && dm_hash_eq(&r->entries[low].key, key) ? &r->entries[low] : NULL;
}

void dm_replay_each(dm_replay *r, void (*visit)(void *user, dm_journal_type type, dm_str bytes),
                    void *user)
{
    const entry *done = NULL;
    if (!r->sorted && r->n)
        qsort(r->entries, r->n, sizeof *r->entries, by_key);
    r->sorted = true;
    for (const entry *e = r->entries; e && e < r->entries + r->n; e++) {
        bool result = e->type == DM_JOURNAL_RESULT;
        if (!result || !done || !dm_hash_eq(&done->key, &e->key))
            visit(user, e->type, e->bytes);
        if (result)
            done = e;
    }
}

size_t dm_replay_results(const dm_replay *r)
{
    return r->results;
}

dm_str dm_replay_result(dm_replay *r, const dm_hash *key)
{
    const entry *e = find(r, key);
    return e && e->type == DM_JOURNAL_RESULT ? e->bytes : (dm_str){NULL, 0};
}

dm_str dm_replay_answer(dm_replay *r, const dm_hash *key, size_t i)
{
    const entry *e = find(r, key);
    size_t at = e ? (size_t)(e - r->entries) : r->n;
    while (at < r->n && r->entries[at].type == DM_JOURNAL_RESULT &&
           dm_hash_eq(&r->entries[at].key, key))
        at++;
    return i < r->n - at && dm_hash_eq(&r->entries[at + i].key, key) ? r->entries[at + i].bytes
                                                                     : (dm_str){NULL, 0};
}

void dm_journal_cell(dm_journal *j, dm_journal_type type, const dm_hash *key, dm_str bytes)
{
    dm_buf b;
    dm_writer w;
    dm_buf_init(&b, (size_t)256 << 20);
    dm_writer_init(&w, &b);
    dm_write_array(&w, 2);
    dm_write_hash(&w, key);
    dm_write_str(&w, bytes);
    dm_journal_add(j, type, dm_buf_view(&b));
    dm_buf_free(&b);
}
