#include "advice/inside.h"
#include "base/utf8.h"

#include <stdlib.h>

#define FIRST_IDS 3 /* that a sentence names */
#define PROSE     4 /* words of a label, at the least */

/* ---- equal rows ---- */

typedef struct record {
    uint64_t key, label; /* label 0: there is none */
    uint64_t decisive;   /* the label, where another one contradicts it: without its prose */
    uint32_t set, row;
    bool prose; /* the label is: another wording is no other label */
} record;

static int by_key(const void *x, const void *y)
{
    const record *a = x, *b = y;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    if (a->set != b->set)
        return a->set < b->set ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

static uint64_t hash_of(dm_str s)
{
    dm_hash h = dm_hash_of(s.p, s.n);
    return dm_hash_u64(&h);
}

/* What makes rows one. */
typedef enum likeness {
    SAME_INPUTS,  /* but for blanks */
    LOOSE_INPUTS, /* without case, blanks and punctuation */
    LOOSE_ROWS    /* the same, with the label */
} likeness;

/* Without blanks at the ends and more than one between words. */
static dm_str one_blank(dm_arena *a, dm_str text)
{
    dm_buf b;
    dm_buf_init(&b, SIZE_MAX / 2);
    for (size_t pos = 0; pos < text.n;) {
        uint32_t cp = dm_utf8_next(text, &pos);
        if (!dm_py_isspace(cp))
            dm_utf8_put(&b, cp);
        else if (b.len && b.data[b.len - 1] != ' ')
            dm_buf_char(&b, ' ');
    }
    while (b.len && b.data[b.len - 1] == ' ')
        b.len--;
    dm_str out = {dm_arena_string(a, b.data ? b.data : "", b.len), b.len};
    dm_buf_free(&b);
    return out;
}

static uint64_t hash_of_label(dm_arena *scratch, const dm_value *v, dm_label_as as)
{
    uint64_t sum = 0;
    double number;
    dm_buf b;
    if (v->kind == DM_DICT) {
        for (size_t i = 0; i < v->n; i++)
            sum += (hash_of(v->members[i].key) | 1) *
                   hash_of_label(scratch, v->members[i].value, DM_LABEL_AS_TEXT);
        return sum + 1;
    }
    if (v->kind == DM_LIST && as == DM_LABEL_AS_SET) {
        for (size_t i = 0; i < v->n; i++)
            sum += hash_of_label(scratch, v->items[i], DM_LABEL_AS_TEXT);
        return sum + 2;
    }
    dm_buf_init(&b, SIZE_MAX / 2);
    dm_py_str(&b, v);
    if (as == DM_LABEL_AS_NUMBER && dm_last_number(scratch, dm_buf_view(&b), &number))
        sum = hash_of((dm_str){(const char *)&number, sizeof number});
    else
        sum = hash_of(dm_loose_text(scratch, dm_buf_view(&b)));
    dm_buf_free(&b);
    return sum;
}

static record record_of(dm_arena *scratch, const dm_data *d, const dm_value *row, likeness how)
{
    record r = {0};
    size_t n = d->n_scored ? d->n_scored : d->n_labels;
    dm_buf b;
    dm_buf_init(&b, SIZE_MAX / 2);
    for (size_t i = 0; i < n; i++) {
        const dm_value *v = dm_value_get_str(row, d->labels[i]);
        uint64_t label = v ? hash_of_label(scratch, v, d->compared) : 0;
        dm_buf_reset(&b);
        dm_data_text(&b, row, &d->labels[i], 1);
        bool prose = d->compared != DM_LABEL_AS_NUMBER && dm_count_words(dm_buf_view(&b)) >= PROSE;
        r.label = r.label * 0x9e3779b97f4a7c15u + label + 1;
        r.decisive = r.decisive * 0x9e3779b97f4a7c15u + (prose && !d->exact ? 0 : label + 1);
    }
    dm_buf_reset(&b);
    dm_data_text(&b, row, d->labels, n);
    r.prose = dm_count_words(dm_buf_view(&b)) >= PROSE;
    dm_buf_reset(&b);
    dm_data_text(&b, row, d->inputs, d->n_inputs);
    r.key = hash_of(how == SAME_INPUTS ? one_blank(scratch, dm_buf_view(&b))
                                       : dm_loose_text(scratch, dm_buf_view(&b)));
    if (how == LOOSE_ROWS)
        r.key ^= r.label * 0x9e3779b97f4a7c15u;
    dm_buf_free(&b);
    return r;
}

static size_t collect(const dm_looking *l, likeness how, record *out)
{
    size_t n = 0;
    for (uint32_t s = 0; s < DM_SETS; s++) {
        const dm_dataset *set = l->data->sets[s];
        for (uint32_t i = 0; set && i < set->n; i++) {
            dm_arena *scratch = dm_arena_new(4096);
            out[n] = record_of(scratch, l->data, set->examples[i].row, how);
            out[n].set = s;
            out[n++].row = i;
            dm_arena_free(scratch);
        }
    }
    qsort(out, n, sizeof *out, by_key);
    return n;
}

/* Rows with one key: sets in their order, rows in theirs. */
static void mark_equal(dm_looking *l, const record *r, size_t n, likeness how)
{
    const record *first[DM_SETS] = {NULL};
    bool two[DM_SETS] = {false};
    for (size_t i = 0; i < n; i++) {
        uint16_t *bits = &l->rows[r[i].set][r[i].row];
        const record *own = first[r[i].set];
        if (!own)
            first[r[i].set] = &r[i];
        else if (how == LOOSE_ROWS)
            *bits |= DM_ROW_REPEATS;
        bool leaks = how != LOOSE_INPUTS || r[i].prose; /* else case may be what decides */
        if (leaks && r[i].set != DM_TRAIN && first[DM_TRAIN])
            *bits |= DM_ROW_IN_TRAIN;
        if (leaks && r[i].set == DM_TEST && first[DM_VALIDATION])
            *bits |= DM_ROW_IN_VALID;
        if (how != LOOSE_ROWS && own && own->decisive != r[i].decisive) {
            if (!two[r[i].set] && how == SAME_INPUTS)
                *bits |= DM_ROW_CONTRADICTS;
            two[r[i].set] = true;
        }
    }
    for (size_t i = 0; i < n; i++) {
        uint16_t *bits = &l->rows[r[i].set][r[i].row];
        if (two[r[i].set] && how == SAME_INPUTS)
            *bits |= DM_ROW_CONTRADICTED;
        else if (two[r[i].set])
            *bits |= DM_ROW_DISAGREES;
    }
}

static void mark(dm_looking *l, likeness how)
{
    size_t n = 0;
    for (int s = 0; s < DM_SETS; s++)
        n += l->data->sets[s] ? l->data->sets[s]->n : 0;
    record *r = dm_alloc_n(n, sizeof *r);
    n = collect(l, how, r);
    for (size_t i = 0, k; i < n; i = k) {
        for (k = i + 1; k < n && r[k].key == r[i].key;)
            k++;
        mark_equal(l, r + i, k - i, how);
    }
    free(r);
}

/* How many rows of a set have the bit, and the ids of the first: "r0, r1, r2, ...". */
static size_t count(dm_looking *l, int set, unsigned bit, const char **ids)
{
    const dm_dataset *d = l->data->sets[set];
    size_t n = 0;
    dm_buf b;
    dm_buf_init(&b, 4096);
    for (size_t i = 0; d && i < d->n; i++) {
        if (!(l->rows[set][i] & bit))
            continue;
        if (n < FIRST_IDS)
            dm_buf_printf(&b, "%s%s", n ? ", " : "", d->examples[i].id);
        n++;
    }
    if (n > FIRST_IDS)
        dm_buf_text(&b, ", ...");
    *ids = dm_arena_string(l->arena, b.data ? b.data : "", b.len);
    dm_buf_free(&b);
    return n;
}

static void tell_leak(dm_looking *l, int set, unsigned bit, const char *code, const char *where)
{
    const char *ids;
    size_t n = count(l, set, bit, &ids), all = l->data->sets[set] ? l->data->sets[set]->n : 0;
    if (n == 0)
        return;
    dm_find(l, code, (double)n >= DM_LEAK_SHARE * (double)all,
            DM_TEXT(l, "%zu of %zu %s example%s %s also in the %s set: %s", n, all,
                    dm_set_name(set), all == 1 ? "" : "s", n == 1 ? "is" : "are", where, ids));
}

/* Now and then case may well decide; of many rows it is a fault of the labels. */
static void tell_disagreeing(dm_looking *l, int set)
{
    const dm_dataset *d = l->data->sets[set];
    const char *ids;
    for (size_t i = 0; i < d->n; i++)
        if (l->rows[set][i] & DM_ROW_CONTRADICTED) /* said already */
            l->rows[set][i] &= (uint16_t)~DM_ROW_DISAGREES;
    size_t n = count(l, set, DM_ROW_DISAGREES, &ids);
    if (n)
        dm_find(l, "near_contradictions", (double)n >= DM_DISAGREE_SHARE * (double)d->n,
                DM_TEXT(l,
                        "%zu of %zu %s examples have the inputs of another one but for case and "
                        "punctuation, and another label: %s",
                        n, d->n, dm_set_name(set), ids));
}

static void tell_set(dm_looking *l, int set)
{
    struct dm_set_facts *f = &l->out->sets[set];
    const dm_dataset *d = l->data->sets[set];
    const char *ids;
    size_t *rows = dm_arena_alloc_n(l->arena, d->n, sizeof *rows);
    for (size_t i = 0; i < d->n; i++)
        if (!(l->rows[set][i] & DM_ROW_REPEATS))
            rows[f->distinct++] = i;
    f->n = d->n;
    f->rows = rows;
    size_t inputs = count(l, set, DM_ROW_CONTRADICTS, &ids),
           rows_of = count(l, set, DM_ROW_CONTRADICTED, &ids);
    if (inputs)
        dm_find(l, "contradictions", (double)rows_of >= DM_LEAK_SHARE * (double)d->n,
                DM_TEXT(l, "%zu input%s of the %s set ha%s two labels, %zu of %zu rows: %s", inputs,
                        inputs == 1 ? "" : "s", dm_set_name(set), inputs == 1 ? "s" : "ve", rows_of,
                        d->n, ids));
    tell_disagreeing(l, set);
    size_t repeats = count(l, set, DM_ROW_REPEATS, &ids);
    if (repeats)
        dm_find(l, "duplicates", false,
                DM_TEXT(l, "only %zu of %zu %s examples are distinct; the others repeat them: %s",
                        f->distinct, d->n, dm_set_name(set), ids));
}

/* Repeats, leaks, contradictions. */
static void look_at_rows(dm_looking *l)
{
    mark(l, SAME_INPUTS);
    mark(l, LOOSE_INPUTS);
    mark(l, LOOSE_ROWS);
    tell_leak(l, DM_VALIDATION, DM_ROW_IN_TRAIN, "leak_validation", "training");
    tell_leak(l, DM_TEST, DM_ROW_IN_TRAIN, "leak_test", "training");
    tell_leak(l, DM_TEST, DM_ROW_IN_VALID, "leak_test", "validation");
    for (int s = 0; s < DM_SETS; s++)
        if (l->data->sets[s])
            tell_set(l, s);
}

static void tell_near(dm_looking *l, int set, unsigned bit, const char *where)
{
    const char *ids;
    size_t n = count(l, set, bit, &ids);
    if (n)
        dm_find(
            l, "near_leak", false,
            DM_TEXT(l, "%zu of %zu %s examples are nearly the same as an example of the %s set: %s",
                    n, l->out->sets[set].n, dm_set_name(set), where, ids));
}

static void tell_similar(dm_looking *l, int set)
{
    const char *ids;
    size_t n = count(l, set, DM_ROW_SIMILAR, &ids);
    l->out->sets[set].similar = n;
    if (n)
        dm_find(l, "near_duplicates", false,
                DM_TEXT(l, "%zu of %zu %s examples are nearly the same as an earlier one: %s", n,
                        l->out->sets[set].n, dm_set_name(set), ids));
    tell_near(l, set, DM_ROW_NEAR_TRAIN, "training");
    tell_near(l, set, DM_ROW_NEAR_VALID, "validation");
}

/* Labels that no answer can be like. */
static void tell_misfits(dm_looking *l, int set)
{
    size_t n = l->data->misfits[set], all = l->data->sets[set]->n;
    if (n)
        dm_find(l, "label_type", (double)n >= DM_LEAK_SHARE * (double)all,
                DM_TEXT(l,
                        "%zu of %zu %s labels are not of the output's type, so no answer can be "
                        "right there; the first is %s",
                        n, all, dm_set_name(set),
                        l->data->sets[set]->examples[l->data->misfit[set]].id));
}

dm_findings dm_data_look(dm_arena *a, const dm_data *d)
{
    dm_findings out = {.list = dm_arena_alloc_n(a, DM_MOST_FINDINGS, sizeof *out.list)};
    dm_looking l = {.arena = a, .data = d, .out = &out};
    for (int s = 0; s < DM_SETS; s++)
        l.rows[s] = dm_arena_alloc_n(a, d->sets[s] ? d->sets[s]->n : 0, sizeof *l.rows[s]);
    look_at_rows(&l);
    for (int s = 0; s < DM_SETS; s++)
        if (d->sets[s])
            tell_misfits(&l, s);
    if (d->similar)
        dm_look_at_similar(&l);
    for (int s = 0; s < DM_SETS && d->similar; s++)
        if (d->sets[s])
            tell_similar(&l, s);
    if (d->n_labels)
        dm_look_at_labels(&l);
    return out;
}
