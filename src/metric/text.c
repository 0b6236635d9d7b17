/* DSPy's normalisation of answers and the scores on it (contract 7.1, 7.2). */
#include "base/utf8.h"
#include "metric/inside.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static bool is_ascii_punctuation(uint32_t cp)
{
    return cp < 0x80 && cp > 0x20 && strchr("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", (int)cp);
}

/* A text that is written into room for as much as it is made from: none of the steps adds. */
typedef struct shorter {
    char *p;
    size_t n;
} shorter;

static shorter room_for(dm_arena *a, dm_str s)
{
    return (shorter){dm_arena_alloc(a, s.n + 1), 0};
}

static void copy(shorter *to, const char *p, size_t n)
{
    if (n == 1)
        to->p[to->n] = *p;
    else
        memcpy(to->p + to->n, p, n);
    to->n += n;
}

static dm_str without_punctuation(dm_arena *a, dm_str s)
{
    shorter out = room_for(a, s);
    for (size_t pos = 0; pos < s.n;) {
        size_t at = pos;
        if (!is_ascii_punctuation(dm_utf8_next(s, &pos)))
            copy(&out, s.p + at, pos - at);
    }
    return (dm_str){out.p, out.n};
}

/* \b(a|an|the)\b becomes a space; \b is Unicode's, so a combining mark ends a word. */
static dm_str without_articles(dm_arena *a, dm_str s)
{
    static const char *const articles[] = {"an", "a", "the"};
    bool in_word = false;
    shorter out = room_for(a, s);
    for (size_t pos = 0; pos < s.n;) {
        size_t skip = 0, after;
        for (size_t i = 0; i < 3 && !in_word && !skip; i++) {
            dm_str rest = {s.p + pos, s.n - pos};
            size_t n = strlen(articles[i]);
            after = n;
            if (dm_str_starts(rest, articles[i]) &&
                (n == rest.n || !dm_py_isword(dm_utf8_next(rest, &after))))
                skip = n;
        }
        if (skip) {
            copy(&out, " ", 1);
            pos += skip;
            in_word = true; /* as the article's last letter is: no article begins right behind it */
            continue;
        }
        size_t at = pos;
        in_word = dm_py_isword(dm_utf8_next(s, &pos));
        copy(&out, s.p + at, pos - at);
    }
    return (dm_str){out.p, out.n};
}

static dm_str joined_by_spaces(dm_arena *a, dm_str s)
{
    bool gap = false;
    shorter out = room_for(a, s);
    for (size_t pos = 0; pos < s.n;) {
        size_t at = pos;
        if (dm_py_isspace(dm_utf8_next(s, &pos))) {
            gap = true;
            continue;
        }
        if (gap && out.n)
            copy(&out, " ", 1);
        gap = false;
        copy(&out, s.p + at, pos - at);
    }
    return (dm_str){out.p, out.n};
}

dm_str dm_normalize_text(dm_arena *a, dm_str s)
{
    s = dm_py_lower(a, dm_nfd(a, s));
    s = without_articles(a, without_punctuation(a, s));
    return joined_by_spaces(a, s);
}

/* ---- F1 ---- */

typedef struct tokens {
    dm_str *items;
    size_t n;
} tokens;

static tokens split(dm_arena *a, dm_str s) /* s is joined by single spaces */
{
    tokens t = {dm_arena_alloc_n(a, s.n / 2 + 1, sizeof *t.items), 0};
    while (s.n) {
        const char *space = memchr(s.p, ' ', s.n);
        size_t n = space ? (size_t)(space - s.p) : s.n;
        t.items[t.n++] = (dm_str){s.p, n};
        s = (dm_str){s.p + n + (space != NULL), s.n - n - (space != NULL)};
    }
    return t;
}

static int by_text(const void *x, const void *y)
{
    return dm_str_cmp(*(const dm_str *)x, *(const dm_str *)y);
}

static double f1_of(tokens p, tokens g)
{
    size_t same = 0, i = 0, k = 0;
    if (p.n)
        qsort(p.items, p.n, sizeof *p.items, by_text);
    if (g.n)
        qsort(g.items, g.n, sizeof *g.items, by_text);
    while (i < p.n && k < g.n) { /* the overlap of multisets */
        int c = dm_str_cmp(p.items[i], g.items[k]);
        same += c == 0;
        i += c <= 0;
        k += c >= 0;
    }
    if (same == 0)
        return 0;
    double precision = 1.0 * (double)same / (double)p.n, recall = 1.0 * (double)same / (double)g.n;
    return (2 * precision * recall) / (precision + recall);
}

double dm_f1(dm_arena *a, dm_str prediction, dm_str gold)
{
    return f1_of(split(a, dm_normalize_text(a, prediction)), split(a, dm_normalize_text(a, gold)));
}

static bool is_verdict(dm_str s)
{
    return dm_str_is(s, "yes") || dm_str_is(s, "no") || dm_str_is(s, "noanswer");
}

double dm_hotpot_f1(dm_arena *a, dm_str prediction, dm_str gold)
{
    dm_str p = dm_normalize_text(a, prediction), g = dm_normalize_text(a, gold);
    if ((is_verdict(p) || is_verdict(g)) && !dm_str_eq(p, g))
        return 0;
    return f1_of(split(a, p), split(a, g));
}

/* ---- passages: DPR's tokens ---- */

typedef enum token_class { NOTHING, WORD, SIGN } token_class;

/* [\p{L}\p{N}\p{M}]+ are words, any other [^\p{Z}\p{C}] is a token of its own. */
static token_class class_of(uint32_t cp)
{
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return WORD;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
        return NOTHING;
    default:
        return SIGN;
    }
}

static tokens dpr_tokens(dm_arena *a, dm_str text)
{
    dm_str s = dm_py_lower(a, dm_nfd(a, dm_normalize_text(a, text)));
    tokens t = {dm_arena_alloc_n(a, s.n + 1, sizeof *t.items), 0};
    bool in_word = false;
    for (size_t pos = 0; pos < s.n;) {
        size_t at = pos;
        token_class c = class_of(dm_utf8_next(s, &pos));
        if (c == WORD && in_word)
            t.items[t.n - 1].n += pos - at;
        else if (c != NOTHING)
            t.items[t.n++] = (dm_str){s.p + at, pos - at};
        in_word = c == WORD;
    }
    return t;
}

static bool contains(tokens passage, tokens answer)
{
    for (size_t i = 0; i + answer.n <= passage.n; i++) {
        size_t k = 0;
        while (k < answer.n && dm_str_eq(passage.items[i + k], answer.items[k]))
            k++;
        if (k == answer.n)
            return true;
    }
    return false;
}

bool dm_passage_match(dm_arena *a, const dm_str *passages, size_t n, const dm_str *answers,
                      size_t n_answers)
{
    for (size_t i = 0; i < n; i++) {
        tokens passage = dpr_tokens(a, passages[i]);
        for (size_t k = 0; k < n_answers; k++)
            if (contains(passage, dpr_tokens(a, answers[k])))
                return true;
    }
    return false;
}

void dm_metric_mend(char *text, size_t n)
{
    for (size_t at = 0; at < n;) {
        at += dm_utf8_valid((dm_str){text + at, n - at});
        if (at < n)
            text[at++] = '?';
    }
}
