/* Texts that are nearly the same: the join of data.h, exact, over the distinct rows of all sets. */
#include "advice/inside.h"
#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define OVERLAP    .8
#define SHINGLE    3     /* words */
#define LEAST      8     /* shingles of a text: short ones are like others by chance */
#define MOST_TEXTS 20000 /* more are not compared */

typedef struct text {
    uint64_t *shingles; /* [n] distinct: the rarest first, then by value */
    size_t n;
    uint64_t numbers; /* hash of the words with a digit, in their order */
    uint32_t set, row;
} text;

typedef struct shingle { /* how many texts have it */
    uint64_t value;
    uint32_t texts, posted, first; /* posted: entries of its list so far, which begins at first */
} shingle;

static int by_value(const void *x, const void *y)
{
    uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
    return a < b ? -1 : a > b;
}

static uint64_t mixed(uint64_t h, uint64_t more)
{
    h ^= more + 0x9e3779b97f4a7c15u + (h << 6) + (h >> 2);
    return h * 0xff51afd7ed558ccdu;
}

static uint64_t hash_word(const char *p, size_t n, bool *digit)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < n; i++) {
        *digit = *digit || (p[i] >= '0' && p[i] <= '9');
        h = (h ^ (unsigned char)p[i]) * 0x100000001b3u;
    }
    return h;
}

/* The text's words as hashes, and the hash of its numbers. */
static size_t words_of(dm_str s, uint64_t **words, uint64_t *numbers)
{
    size_t n = 0, cap = 0;
    *words = NULL;
    for (size_t at = 0, end; at < s.n; at = end + 1) {
        const char *blank = memchr(s.p + at, ' ', s.n - at);
        end = blank ? (size_t)(blank - s.p) : s.n;
        bool digit = false;
        uint64_t h = hash_word(s.p + at, end - at, &digit);
        *words = dm_room(*words, n, &cap, sizeof **words);
        (*words)[n++] = h;
        if (digit)
            *numbers = mixed(*numbers, h);
    }
    return n;
}

static text text_of(const dm_looking *l, uint32_t set, uint32_t row)
{
    text t = {.set = set, .row = row};
    dm_arena *scratch = dm_arena_new(4096);
    uint64_t *words;
    dm_buf b;
    dm_buf_init(&b, SIZE_MAX / 2);
    dm_data_text(&b, l->data->sets[set]->examples[row].row, l->data->inputs, l->data->n_inputs);
    size_t n = words_of(dm_loose_text(scratch, dm_buf_view(&b)), &words, &t.numbers);
    dm_buf_free(&b);
    dm_arena_free(scratch);
    if (n >= SHINGLE)
        t.shingles = dm_alloc_n(n - SHINGLE + 1, sizeof *t.shingles);
    for (size_t i = 0; i + SHINGLE <= n; i++)
        t.shingles[i] = mixed(mixed(words[i], words[i + 1]), words[i + 2]);
    free(words);
    size_t all = n >= SHINGLE ? n - SHINGLE + 1 : 0;
    if (all)
        qsort(t.shingles, all, sizeof *t.shingles, by_value);
    for (size_t i = 0; i < all; i++)
        if (i == 0 || t.shingles[i] != t.shingles[t.n - 1])
            t.shingles[t.n++] = t.shingles[i];
    return t;
}

static shingle *find(shingle *all, size_t n, uint64_t value)
{
    return bsearch(&value, all, n, sizeof *all, by_value); /* value is a shingle's first member */
}

/* All shingles by value, with the number of texts that have each. */
static shingle *count_shingles(const text *texts, size_t n, size_t *n_all)
{
    size_t all = 0, k = 0;
    for (size_t i = 0; i < n; i++)
        all += texts[i].n;
    uint64_t *values = dm_alloc_n(all, sizeof *values);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < texts[i].n; j++)
            values[k++] = texts[i].shingles[j];
    qsort(values, all, sizeof *values, by_value);
    shingle *out = dm_alloc_n(all, sizeof *out);
    *n_all = 0;
    for (size_t i = 0; i < all; i++) {
        if (i == 0 || values[i] != values[i - 1])
            out[(*n_all)++].value = values[i];
        out[*n_all - 1].texts++;
    }
    free(values);
    return out;
}

typedef struct ranked {
    uint32_t texts;
    uint64_t value;
} ranked;

static int by_rarity(const void *x, const void *y)
{
    const ranked *a = x, *b = y;
    if (a->texts != b->texts)
        return a->texts < b->texts ? -1 : 1;
    return a->value < b->value ? -1 : a->value > b->value;
}

static void rarest_first(text *t, shingle *all, size_t n_all)
{
    ranked *r = dm_alloc_n(t->n, sizeof *r);
    for (size_t i = 0; i < t->n; i++)
        r[i] = (ranked){find(all, n_all, t->shingles[i])->texts, t->shingles[i]};
    qsort(r, t->n, sizeof *r, by_rarity);
    for (size_t i = 0; i < t->n; i++)
        t->shingles[i] = r[i].value;
    free(r);
}

/* So many of its rarest: two texts that overlap enough share one of them. */
static size_t prefix_of(const text *t)
{
    return t->n - (size_t)ceil(OVERLAP * (double)t->n) + 1;
}

static bool is_similar(const text *a, const text *b)
{
    size_t both = 0;
    if (a->numbers != b->numbers || (double)a->n < OVERLAP * (double)b->n ||
        (double)b->n < OVERLAP * (double)a->n)
        return false;
    uint64_t *sorted = dm_copy_bytes(b->shingles, b->n * sizeof *b->shingles);
    qsort(sorted, b->n, sizeof *sorted, by_value);
    for (size_t i = 0; i < a->n; i++)
        both += bsearch(&a->shingles[i], sorted, b->n, sizeof *sorted, by_value) != NULL;
    free(sorted);
    return (double)both >= OVERLAP * (double)(a->n + b->n - both);
}

/* Texts before this one (by set, then by row) that share one of the rarest with it. */
static void compare(dm_looking *l, const text *texts, size_t i, shingle *all, size_t n_all,
                    const uint32_t *posted)
{
    const text *t = &texts[i];
    uint16_t *bits = &l->rows[t->set][t->row];
    for (size_t k = 0; k < prefix_of(t); k++) {
        const shingle *s = find(all, n_all, t->shingles[k]);
        for (uint32_t e = 0; e < s->posted; e++) {
            const text *o = &texts[posted[s->first + e]];
            uint16_t bit = o->set == t->set     ? DM_ROW_SIMILAR
                           : o->set == DM_TRAIN ? DM_ROW_NEAR_TRAIN
                                                : DM_ROW_NEAR_VALID;
            if (!(*bits & bit) && is_similar(t, o))
                *bits |= bit;
        }
    }
}

static void join(dm_looking *l, text *texts, size_t n)
{
    size_t n_all, room = 0;
    shingle *all = count_shingles(texts, n, &n_all);
    for (size_t i = 0; i < n_all; i++) {
        all[i].first = (uint32_t)room;
        room += all[i].texts;
    }
    uint32_t *posted = dm_alloc_n(room, sizeof *posted);
    for (size_t i = 0; i < n; i++) {
        rarest_first(&texts[i], all, n_all);
        compare(l, texts, i, all, n_all, posted);
        for (size_t k = 0; k < prefix_of(&texts[i]); k++) {
            shingle *s = find(all, n_all, texts[i].shingles[k]);
            posted[s->first + s->posted++] = (uint32_t)i;
        }
    }
    free(posted);
    free(all);
}

/* Rows that repeat another one, here or in the training set, are said already. */
void dm_look_at_similar(dm_looking *l)
{
    size_t n = 0, most = 0;
    for (int s = 0; s < DM_SETS; s++)
        most += l->out->sets[s].distinct;
    if (most > MOST_TEXTS)
        return;
    text *texts = dm_alloc_n(most, sizeof *texts);
    for (uint32_t s = 0; s < DM_SETS; s++)
        for (size_t k = 0; k < l->out->sets[s].distinct; k++) {
            uint32_t row = (uint32_t)l->out->sets[s].rows[k];
            if (l->rows[s][row] & (DM_ROW_IN_TRAIN | DM_ROW_IN_VALID | DM_ROW_CONTRADICTED))
                continue;
            texts[n] = text_of(l, s, row);
            if (texts[n].n >= LEAST)
                n++;
            else
                free(texts[n].shingles);
        }
    join(l, texts, n);
    for (size_t i = 0; i < n; i++)
        free(texts[i].shingles);
    free(texts);
}
