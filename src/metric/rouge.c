/* ROUGE-L: the F-measure of the longest common subsequence of tokens, as the package rouge-score
 * has it without a stemmer: lower case, and a token is a run of a-z and 0-9. */
#include "base/utf8.h"
#include "metric/inside.h"

#include <stdlib.h>

typedef struct token {
    dm_str text;
    size_t at; /* number in its text */
} token;

typedef struct tokens {
    token *items;
    size_t n;
} tokens;

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static tokens tokens_of(dm_arena *a, dm_str text)
{
    dm_str s = dm_py_lower(a, text);
    tokens t = {dm_arena_alloc_n(a, s.n / 2 + 1, sizeof *t.items), 0};
    for (size_t i = 0; i < s.n; i++) {
        size_t start = i;
        while (i < s.n && is_letter(s.p[i]))
            i++;
        if (i > start) {
            t.items[t.n] = (token){{s.p + start, i - start}, t.n};
            t.n++;
        }
    }
    return t;
}

static int by_text(const void *x, const void *y)
{
    const token *s = x, *t = y;
    int c = dm_str_cmp(s->text, t->text);
    return c ? c : (s->at > t->at) - (s->at < t->at);
}

/* The first token of sorted with this text, or where it would stand. */
static size_t find(tokens sorted, dm_str text)
{
    size_t low = 0, high = sorted.n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (dm_str_cmp(sorted.items[mid].text, text) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* A row of the table of lengths as bits: a 0 where the length grows by one (Hyyro 2004). here has a
 * bit for each place of the label where the row's token stands. So a row takes a 64th of the time:
 * answers may be long. */
static void next_row(uint64_t *row, const uint64_t *here, size_t n_words)
{
    uint64_t carry = 0;
    for (size_t i = 0; i < n_words; i++) {
        uint64_t old = row[i], both = old & here[i], sum = old + both;
        uint64_t over = sum < old;
        sum += carry;
        over |= sum < carry;
        carry = over;
        row[i] = sum | (old & ~here[i]);
    }
}

/* Sorts the label's tokens. */
static size_t common(dm_arena *a, tokens label, tokens given)
{
    size_t n_words = label.n / 64 + 1, length = 0;
    uint64_t *row = dm_arena_alloc_n(a, n_words, sizeof *row),
             *here = dm_arena_alloc_n(a, n_words, sizeof *here);
    for (size_t i = 0; i < n_words; i++)
        row[i] = UINT64_MAX;
    qsort(label.items, label.n, sizeof *label.items, by_text);
    for (size_t k = 0; k < given.n; k++) {
        dm_str text = given.items[k].text;
        size_t first = find(label, text), end = first;
        for (; end < label.n && dm_str_eq(label.items[end].text, text); end++)
            here[label.items[end].at / 64] |= UINT64_C(1) << label.items[end].at % 64;
        if (end > first) /* else the row stays as it is */
            next_row(row, here, n_words);
        for (size_t i = first; i < end; i++)
            here[label.items[i].at / 64] = 0;
    }
    for (size_t i = 0; i < label.n; i++)
        length += !(row[i / 64] >> i % 64 & 1);
    return length;
}

static double f_measure(dm_arena *a, dm_str given_text, dm_str label_text)
{
    tokens given = tokens_of(a, given_text), label = tokens_of(a, label_text);
    if (given.n == 0 || label.n == 0)
        return 0;
    double same = (double)common(a, label, given);
    double precision = same / (double)given.n, recall = same / (double)label.n;
    return same > 0 ? 2 * precision * recall / (precision + recall) : 0;
}

static dm_status rouge_l(const dm_metric *m, dm_arena *a, const dm_value *label,
                         const dm_value *given, double *score, dm_error *err)
{
    (void)m, (void)err;
    *score = dm_metric_best(a, label, given, f_measure);
    return DM_OK;
}

const dm_metric_class dm_metric_rouge_l = {
    .name = "rouge_l",
    .help = "longest common subsequence of words (the F-measure of the package rouge-score)",
    .score = rouge_l};
