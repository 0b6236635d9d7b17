/* Labels: are they classes, do the sets have the same ones, and can an answer repeat them. */
#include "advice/inside.h"
#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_CLASSES 200
#define TIMES        5      /* that a class comes in the mean */
#define MOST_NUMBERS 10     /* classes that are numbers */
#define MOVED        .2     /* share of rows that would have to change for equal shares */
#define CHANCE       3.0902 /* standard normal, 1 in 1,000 */
#define FROM_INPUT   .9     /* of a label's words: it is copied, not written */
#define SHOWN        40     /* bytes of a label in a sentence */

typedef struct value {
    uint64_t hash;
    uint32_t set, row;
} value;

static int by_hash(const void *x, const void *y)
{
    const value *a = x, *b = y;
    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    if (a->set != b->set)
        return a->set < b->set ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

static dm_str label_of(dm_arena *a, const dm_data *d, uint32_t set, uint32_t row)
{
    const dm_value *v = dm_value_get_str(d->sets[set]->examples[row].row, d->labels[0]);
    dm_buf b;
    dm_buf_init(&b, SIZE_MAX / 2);
    if (v)
        dm_py_str(&b, v);
    dm_str s = dm_py_strip(dm_buf_view(&b));
    s.p = dm_arena_string(a, s.n ? s.p : "", s.n);
    dm_buf_free(&b);
    return s;
}

static bool is_number(dm_str s)
{
    bool digit = false;
    for (size_t i = 0; i < s.n; i++) {
        digit = digit || (s.p[i] >= '0' && s.p[i] <= '9');
        if (!memchr("0123456789.,-+%$ ", s.p[i], 17))
            return false;
    }
    return digit;
}

static size_t total(const dm_class *c)
{
    return c->count[DM_TRAIN] + c->count[DM_VALIDATION] + c->count[DM_TEST];
}

static int commonest_first(const void *x, const void *y)
{
    const dm_class *a = x, *b = y;
    if (total(a) != total(b))
        return total(a) > total(b) ? -1 : 1;
    return strcmp(a->name, b->name);
}

static value *all_values(const dm_looking *l, size_t *n)
{
    const dm_data *d = l->data;
    size_t all = 0, k = 0;
    for (int s = 0; s < DM_SETS; s++)
        all += d->sets[s] ? d->sets[s]->n : 0;
    value *v = dm_alloc_n(all, sizeof *v);
    for (uint32_t s = 0; s < DM_SETS; s++)
        for (uint32_t i = 0; d->sets[s] && i < d->sets[s]->n; i++) {
            dm_arena *scratch = dm_arena_new(1024);
            dm_str text = label_of(scratch, d, s, i);
            dm_hash h = dm_hash_of(text.p, text.n);
            v[k++] = (value){dm_hash_u64(&h), s, i};
            dm_arena_free(scratch);
        }
    qsort(v, k, sizeof *v, by_hash);
    *n = k;
    return v;
}

/* Fills out->classes if the labels are any. Returns how many different labels there are. */
static size_t group(dm_looking *l)
{
    size_t n, different = 0, numbers = 0;
    value *v = all_values(l, &n);
    dm_class *classes = dm_arena_alloc_n(l->arena, MOST_CLASSES, sizeof *classes);
    for (size_t i = 0, k; i < n; i = k, different++) {
        dm_class c = {.name = NULL};
        for (k = i; k < n && v[k].hash == v[i].hash; k++)
            c.count[v[k].set]++;
        if (different >= MOST_CLASSES)
            continue;
        dm_str text = label_of(l->arena, l->data, v[i].set, v[i].row);
        c.name = text.p;
        numbers += is_number(text);
        classes[different] = c;
    }
    free(v);
    bool few = different <= MOST_CLASSES && different * TIMES <= n &&
               (2 * numbers < different || different <= MOST_NUMBERS);
    if (different == 0 || different > MOST_CLASSES || !(few || l->data->closed))
        return different;
    qsort(classes, different, sizeof *classes, commonest_first);
    l->out->classes = classes;
    l->out->n_classes = different;
    return different;
}

/* ---- classes ---- */

static const char *shown(dm_looking *l, const char *name)
{
    dm_str head = dm_utf8_head(dm_str_of(*name ? name : "(empty)"), SHOWN);
    return DM_TEXT(l, "%.*s%s", DM_STR_ARG(head), strlen(name) > head.n ? "..." : "");
}

static void tell_unseen(dm_looking *l, int set)
{
    const dm_findings *f = l->out;
    size_t rows = 0, labels = 0, all = f->sets[set].n;
    dm_buf b;
    dm_buf_init(&b, 4096);
    for (size_t i = 0; i < f->n_classes; i++) {
        const dm_class *c = &f->classes[i];
        if (c->count[set] == 0 || c->count[DM_TRAIN] > 0)
            continue;
        if (labels < 3)
            dm_buf_printf(&b, "%s%s", labels ? ", " : "", shown(l, c->name));
        labels++;
        rows += c->count[set];
    }
    if (labels)
        dm_find(l, "unseen_labels", (double)rows >= DM_LEAK_SHARE * (double)all,
                DM_TEXT(l,
                        "%zu of %zu %s examples have a label that the training set never has: "
                        "%s%s",
                        rows, all, dm_set_name(set), b.data, labels > 3 ? ", ..." : ""));
    dm_buf_free(&b);
}

/* Labels that are learned and never scored. */
static void tell_unscored(dm_looking *l, int set)
{
    const dm_findings *f = l->out;
    size_t rows = 0, labels = 0;
    const char *first = NULL;
    for (size_t i = 0; i < f->n_classes; i++) {
        const dm_class *c = &f->classes[i];
        if (c->count[DM_TRAIN] == 0 || c->count[set] > 0)
            continue;
        first = first ? first : c->name;
        labels++;
        rows += c->count[DM_TRAIN];
    }
    if ((double)rows >= DM_LEAK_SHARE * (double)f->sets[DM_TRAIN].n && rows > 0)
        dm_find(l, "unscored_labels", false,
                DM_TEXT(l,
                        "%zu of %zu training examples have a label that the %s set never has: %s%s",
                        rows, f->sets[DM_TRAIN].n, dm_set_name(set), shown(l, first),
                        labels > 1 ? ", ..." : ""));
}

static void tell_one_label(dm_looking *l)
{
    const dm_findings *f = l->out;
    const dm_class *only = NULL;
    size_t labels = 0;
    for (size_t i = 0; i < f->n_classes; i++)
        if (f->classes[i].count[DM_TRAIN] > 0) {
            labels++;
            only = &f->classes[i];
        }
    if (labels == 1 && f->sets[DM_TRAIN].n > 1)
        dm_find(l, "one_label", true,
                DM_TEXT(l,
                        "all %zu training examples have the label %s: there is nothing to tell "
                        "apart",
                        f->sets[DM_TRAIN].n, shown(l, only->name)));
}

/* Of the set that scores are on. */
static void tell_constant(dm_looking *l)
{
    const dm_findings *f = l->out;
    int set = l->data->sets[DM_VALIDATION] ? DM_VALIDATION : DM_TRAIN;
    const dm_class *top = NULL;
    for (size_t i = 0; i < f->n_classes; i++)
        if (!top || f->classes[i].count[set] > top->count[set])
            top = &f->classes[i];
    double share = top ? (double)top->count[set] / (double)f->sets[set].n : 0;
    if (f->n_classes < 2 || share < DM_CONSTANT_SHARE || !(l->data->exact || l->data->full))
        return;
    dm_find(l, "one_label_rules", true,
            DM_TEXT(l,
                    "%zu of %zu %s examples have the label %s: a program that always answers that "
                    "scores %.0f %%, so score on a set where the labels are more even, or use a "
                    "metric that weights all labels equally",
                    top->count[set], f->sets[set].n, dm_set_name(set), shown(l, top->name),
                    100 * share));
}

/* Whether sets x and y have the classes in different shares, beyond chance and by enough to matter;
 * *top: the class that differs most. */
static bool differs(const dm_findings *f, int x, int y, size_t *top)
{
    double n[] = {(double)f->sets[x].n, (double)f->sets[y].n}, chi = 0, moved = 0, most = -1;
    double free = 0;
    for (size_t i = 0; i < f->n_classes; i++) {
        double a = (double)f->classes[i].count[x], b = (double)f->classes[i].count[y];
        double gap = fabs(a / n[0] - b / n[1]), expected = (a + b) * n[0] / (n[0] + n[1]);
        if (a + b <= 0)
            continue;
        free++;
        moved += gap / 2;
        *top = gap > most ? i : *top;
        most = fmax(most, gap);
        chi +=
            pow(a - expected, 2) / expected + pow(b - (a + b - expected), 2) / (a + b - expected);
    }
    free--;
    if (free < 1 || moved < MOVED)
        return false;
    double v = 2 / (9 * free);
    return (cbrt(chi / free) - (1 - v)) / sqrt(v) > CHANCE;
}

static void tell_shares(dm_looking *l, int x, int y)
{
    const dm_findings *f = l->out;
    size_t top = 0;
    if (!l->data->sets[x] || !l->data->sets[y] || !differs(f, x, y, &top))
        return;
    const dm_class *c = &f->classes[top];
    /* A training set may be balanced on purpose; what is scored on has to be like the test. */
    dm_find(l, "label_shares", x == DM_VALIDATION,
            DM_TEXT(l, "the label %s is %.0f %% of the %s set and %.0f %% of the %s set", //
                    shown(l, c->name), 100 * (double)c->count[x] / (double)f->sets[x].n,
                    dm_set_name(x), 100 * (double)c->count[y] / (double)f->sets[y].n,
                    dm_set_name(y)));
}

/* ---- prose ---- */

static int by_number(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return a < b ? -1 : a > b;
}

/* A text, or the first one of a list of texts; of anything else an empty one. */
static dm_str prose_of(const dm_value *v)
{
    if (v && v->kind == DM_LIST && v->n)
        v = v->items[0];
    return dm_value_text_of(v);
}

/* Share of the label's words that stand in the inputs. */
static double copied(dm_looking *l, uint32_t row)
{
    dm_arena *a = dm_arena_new(4096);
    const dm_data *d = l->data;
    dm_str label = dm_loose_text(a, label_of(a, d, DM_TRAIN, row));
    dm_buf b;
    dm_buf_init(&b, SIZE_MAX / 2);
    dm_data_text(&b, d->sets[DM_TRAIN]->examples[row].row, d->inputs, d->n_inputs);
    dm_str input = dm_loose_text(a, dm_buf_view(&b));
    const char *text = dm_arena_printf(a, " %.*s ", DM_STR_ARG(input));
    size_t found = 0, all = 0;
    for (size_t at = 0, end; at < label.n; at = end + 1) {
        const char *blank = memchr(label.p + at, ' ', label.n - at);
        end = blank ? (size_t)(blank - label.p) : label.n;
        const char *word = dm_arena_printf(a, " %.*s ", (int)(end - at), label.p + at);
        found += strstr(text, word) != NULL;
        all++;
    }
    dm_buf_free(&b);
    dm_arena_free(a);
    return all ? (double)found / (double)all : 0;
}

static void look_at_prose(dm_looking *l, size_t different)
{
    const dm_dataset *set = l->data->sets[DM_TRAIN];
    double *words = dm_alloc_n(set->n, sizeof *words), from_input = 0;
    size_t latin = 0;
    for (uint32_t i = 0; i < set->n; i++) {
        dm_str text = prose_of(dm_value_get_str(set->examples[i].row, l->data->labels[0]));
        words[i] = (double)dm_count_words(text);
        latin += dm_is_latin(text);
        from_input += copied(l, i);
    }
    qsort(words, set->n, sizeof *words, by_number);
    l->out->words = words[set->n / 2];
    l->out->latin = 2 * latin >= set->n;
    free(words);
    l->out->free_text = l->out->n_classes == 0 && l->out->words >= DM_FREE_WORDS &&
                        2 * different > set->n && from_input < FROM_INPUT * (double)set->n;
    if (l->out->free_text && l->data->exact)
        dm_find(l, "open_ended", true,
                DM_TEXT(l,
                        "the labels are prose, %.0f words at the median, and the metric compares "
                        "them word for word: use %s",
                        l->out->words,
                        l->out->latin ? "f1 or rouge_l, or your own judge"
                                      : "your own judge, or f1 if blanks separate the words"));
}

void dm_look_at_labels(dm_looking *l)
{
    size_t different = group(l);
    if (l->data->sets[DM_TRAIN])
        look_at_prose(l, different);
    if (l->out->n_classes == 0)
        return;
    if (l->data->sets[DM_TRAIN])
        tell_one_label(l);
    for (int s = DM_VALIDATION; s < DM_SETS && l->data->sets[DM_TRAIN]; s++)
        if (l->data->sets[s]) {
            tell_unseen(l, s);
            tell_unscored(l, s);
        }
    tell_constant(l);
    tell_shares(l, DM_VALIDATION, DM_TEST);
    tell_shares(l, DM_TRAIN, DM_VALIDATION);
    tell_shares(l, DM_TRAIN, DM_TEST);
}
