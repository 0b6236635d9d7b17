#include "ensemble/vote.h"
#include "metric/metric.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[DM_REDUCES] = {"majority", "exact", "unanimous", "best_per_input",
                                              "best_of"};

const char *dm_reduce_name(dm_reduce r)
{
    return names[r];
}

bool dm_reduce_named(dm_str name, dm_reduce *reduce)
{
    for (int i = 0; i < DM_REDUCES; i++)
        if (dm_str_is(name, names[i])) {
            *reduce = (dm_reduce)i;
            return true;
        }
    return false;
}

bool dm_reduce_as_text(dm_reduce r, bool exact_field)
{
    bool by_field = r == DM_REDUCE_UNANIMOUS || r == DM_REDUCE_BEST_OF;
    return r == DM_REDUCE_MAJORITY || (by_field && !exact_field);
}

/* ---- classes ---- */

typedef struct given { /* a value, and what it is compared by */
    const dm_value *value;
    dm_str text; /* normalised; .p NULL: by equality of values */
} given;

static bool same(const given *x, const given *y)
{
    if (x->text.p || y->text.p)
        return x->text.p && y->text.p && dm_str_eq(x->text, y->text);
    return dm_value_equal(x->value, y->value);
}

/* How one vote is compared does not depend on what others voted: so one that comes later cannot
 * make two classes of one, or one of two. */
static int class_of(const given *all, const int *class, size_t i, int *n_classes)
{
    if (!all[i].value)
        return DM_NO_ANSWER;
    if (all[i].value->kind == DM_NULL || (all[i].text.p && all[i].text.n == 0))
        return DM_NO_VOTE;
    for (size_t k = 0; k < i; k++)
        if (class[k] >= 0 && same(&all[k], &all[i]))
            return class[k];
    return (*n_classes)++;
}

void dm_vote_classes(const dm_value *const *values, size_t n, bool as_text, int *class)
{
    dm_arena *a = dm_arena_new(0);
    given *all = dm_arena_alloc_n(a, n, sizeof *all);
    int n_classes = 0;
    for (size_t i = 0; i < n; i++) {
        all[i].value = values[i];
        if (as_text && values[i] && values[i]->kind == DM_STRING) {
            all[i].text = dm_normalize_text(a, values[i]->text);
            if (!all[i].text.p)
                all[i].text.p = "";
        }
        class[i] = class_of(all, class, i, &n_classes);
    }
    dm_arena_free(a);
}

/* ---- counting ---- */

typedef struct tally { /* of a list of classes */
    uint64_t *count;   /* [n] votes for what member i gave, at the first who gave it; else 0 */
    size_t values;     /* different ones that were voted for */
    size_t leader;     /* who first gave the value with the most votes, of equal ones the first */
} tally;

static uint64_t votes_of(const uint32_t *votes, size_t i)
{
    return votes ? votes[i] : 1;
}

static tally counted(const int *class, const uint32_t *votes, size_t n)
{
    tally t = {dm_alloc_n(n, sizeof *t.count), 0, DM_NOBODY};
    for (size_t i = 0; i < n; i++) {
        size_t first = 0;
        if (class[i] < 0)
            continue;
        while (class[first] != class[i])
            first++;
        t.count[first] += votes_of(votes, i);
        t.values += first == i;
    }
    for (size_t i = 0; i < n; i++)
        if (t.count[i] > 0 && (t.leader == DM_NOBODY || t.count[i] > t.count[t.leader]))
            t.leader = i;
    return t;
}

size_t dm_vote(dm_reduce r, const int *class, const uint32_t *votes, size_t n)
{
    tally t = counted(class, votes, n);
    size_t first = 0;
    free(t.count);
    while (first < n && class[first] == DM_NO_ANSWER)
        first++;
    if (first == n)
        return DM_NOBODY;
    if (r == DM_REDUCE_UNANIMOUS && t.values != 1)
        return DM_ABSTAINS;
    return t.leader != DM_NOBODY ? t.leader : first;
}

/* ---- waves ---- */

static uint64_t votes_from(const uint32_t *votes, size_t from, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = from; i < n; i++)
        sum += votes_of(votes, i);
    return sum;
}

size_t dm_vote_first_wave(const uint32_t *votes, size_t n)
{
    uint64_t all = votes_from(votes, 0, n), sum = 0;
    size_t k = 0;
    while (k < n && 2 * sum <= all)
        sum += votes_of(votes, k++);
    return k;
}

bool dm_vote_is_open(dm_reduce r, const int *class, const uint32_t *votes, size_t asked, size_t n)
{
    if (asked >= n)
        return false;
    if (r == DM_REDUCE_BEST_OF) /* any value may be the one that is picked */
        return true;
    tally t = counted(class, votes, asked);
    uint64_t left = votes_from(votes, asked, n);
    uint64_t lead = t.leader != DM_NOBODY ? t.count[t.leader] : 0;
    /* A value that nobody gave yet stands behind the leader's: it needs more votes than that has.
     */
    bool open = t.leader == DM_NOBODY || left > lead;
    for (size_t i = 0; i < asked; i++)
        if (t.count[i] > 0 && i != t.leader)
            open |= t.count[i] + left > lead || (t.count[i] + left == lead && i < t.leader);
    free(t.count);
    return r == DM_REDUCE_UNANIMOUS ? t.values < 2 : open;
}

/* ---- size ---- */

typedef struct drawn {
    uint64_t key;
    size_t member;
} drawn;

static int by_key(const void *x, const void *y)
{
    const drawn *a = x, *b = y;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return a->member < b->member ? -1 : a->member > b->member;
}

static int by_member(const void *x, const void *y)
{
    size_t a = *(const size_t *)x, b = *(const size_t *)y;
    return a < b ? -1 : a > b;
}

void dm_vote_draw(const dm_hash *input, size_t n, size_t k, size_t *members)
{
    drawn *all = dm_alloc_n(n, sizeof *all);
    for (size_t i = 0; i < n; i++) {
        dm_sha256 s;
        uint64_t number = i;
        uint8_t bytes[8];
        for (int b = 0; b < 8; b++)
            bytes[b] = (uint8_t)(number >> (8 * b));
        dm_sha256_init(&s);
        dm_sha256_add(&s, input->b, sizeof input->b);
        dm_sha256_add(&s, bytes, sizeof bytes);
        dm_hash h = dm_sha256_end(&s);
        all[i] = (drawn){0, i};
        for (int b = 0; b < 8; b++)
            all[i].key = all[i].key << 8 | h.b[b];
    }
    qsort(all, n, sizeof *all, by_key);
    for (size_t i = 0; i < k; i++)
        members[i] = all[i].member;
    qsort(members, k, sizeof *members, by_member);
    free(all);
}
