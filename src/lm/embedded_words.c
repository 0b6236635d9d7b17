/* Words, and how near two texts are (see embedded.c). */
#include "lm/embedded.h"

#include <stdlib.h>
#include <string.h>

#define MAX_WORDS 4096
#define STEM      5

dm_str dm_text_after(dm_str text, const char *mark)
{
    const char *p = text.n ? memmem(text.p, text.n, mark, strlen(mark)) : NULL;
    if (!p)
        return (dm_str){NULL, 0};
    p += strlen(mark);
    return (dm_str){p, text.n - (size_t)(p - text.p)};
}

dm_str dm_text_up_to(dm_str text, const char *mark)
{
    const char *p = text.n ? memmem(text.p, text.n, mark, strlen(mark)) : NULL;
    return p ? (dm_str){text.p, (size_t)(p - text.p)} : text;
}

static bool letter(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c >= 0x80;
}

bool dm_next_word(dm_str *rest, dm_str *word)
{
    while (rest->n && !letter((unsigned char)rest->p[0]))
        *rest = (dm_str){rest->p + 1, rest->n - 1};
    size_t n = 0;
    while (n < rest->n && letter((unsigned char)rest->p[n]))
        n++;
    *word = (dm_str){rest->p, n};
    *rest = (dm_str){rest->p + n, rest->n - n};
    return n > 0;
}

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

static int by_spelling(const void *key, const void *entry)
{
    const dm_str *word = key;
    const char *other = *(const char *const *)entry;
    for (size_t i = 0; i < word->n; i++) {
        int d = lower(word->p[i]) - (unsigned char)other[i];
        if (d)
            return d;
    }
    return -(unsigned char)other[word->n];
}

/* No, not and never are not among them: they decide. */
bool dm_is_function_word(dm_str word)
{
    static const char *const list[] = {
        "a",    "about", "am",     "an",   "and",   "any",  "are",  "as",    "at",   "be",
        "been", "but",   "by",     "can",  "could", "d",    "did",  "do",    "does", "for",
        "from", "had",   "has",    "have", "he",    "her",  "his",  "i",     "if",   "in",
        "is",   "it",    "its",    "just", "ll",    "m",    "me",   "my",    "of",   "on",
        "or",   "our",   "please", "re",   "s",     "she",  "so",   "some",  "t",    "that",
        "the",  "their", "them",   "then", "there", "they", "this", "to",    "up",   "us",
        "ve",   "was",   "we",     "were", "which", "will", "with", "would", "you",  "your"};
    return word.n < 7 &&
           bsearch(&word, list, sizeof list / sizeof *list, sizeof *list, by_spelling) != NULL;
}

/* A hash of the first letters; the lowest bit says that it is a function word. */
uint64_t dm_stem(dm_str word)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < word.n && i < STEM; i++)
        h = (h ^ lower(word.p[i])) * 0x100000001b3u;
    return (h & ~(uint64_t)1) | dm_is_function_word(word);
}

static int by_value(const void *x, const void *y)
{
    uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
    return (a > b) - (a < b);
}

dm_words dm_words_of(dm_arena *a, dm_str text, bool pairs)
{
    size_t most = pairs ? text.n : text.n / 2;
    most = most + 2 < MAX_WORDS ? most + 2 : MAX_WORDS;
    dm_words w = {dm_arena_alloc_n(a, most, sizeof *w.stems), 0};
    dm_str word;
    uint64_t before = 1;
    while (w.n + 1 < most && dm_next_word(&text, &word)) {
        uint64_t s = dm_stem(word);
        w.stems[w.n++] = s;
        if (pairs && !(s & before & 1)) /* not two function words */
            w.stems[w.n++] = (before * 31 + s) * 0x9e3779b97f4a7c15u & ~(uint64_t)1;
        before = s;
    }
    if (w.n)
        qsort(w.stems, w.n, sizeof *w.stems, by_value);
    size_t n = 0;
    for (size_t i = 0; i < w.n; i++)
        if (n == 0 || w.stems[n - 1] != w.stems[i])
            w.stems[n++] = w.stems[i];
    w.n = n;
    return w;
}

bool dm_words_have(const dm_words *w, uint64_t s)
{
    return w->n && bsearch(&s, w->stems, w->n, sizeof s, by_value);
}

/* ---- nearness ---- */

static uint64_t log2_of(uint64_t v)
{
    return v ? 63 - (uint64_t)__builtin_clzll(v) : 0;
}

static uint64_t isqrt(uint64_t v)
{
    uint64_t r = 0;
    for (uint64_t bit = (uint64_t)1 << 62; bit; bit >>= 2) {
        if (v >= r + bit) {
            v -= r + bit;
            r = (r >> 1) + bit;
        } else {
            r >>= 1;
        }
    }
    return r;
}

/* How many demonstrations have a word: open addressing, 0 is empty (no stem of ours). */
typedef struct counts {
    uint64_t *stems;
    uint32_t *n;
    size_t mask;
} counts;

static size_t place(const counts *t, uint64_t s)
{
    size_t i = (s * 0x9e3779b97f4a7c15u >> 20) & t->mask;
    while (t->stems[i] && t->stems[i] != s)
        i = (i + 1) & t->mask;
    return i;
}

static counts count_words(const dm_conversation *c)
{
    size_t all = 1, size = 16;
    for (size_t k = 0; k < c->n; k++)
        all += c->demos[k].in.n;
    while (size < 2 * all)
        size *= 2;
    counts t = {dm_arena_alloc_n(c->arena, size, sizeof *t.stems),
                dm_arena_alloc_n(c->arena, size, sizeof *t.n), size - 1};
    for (size_t k = 0; k < c->n; k++)
        for (size_t i = 0; i < c->demos[k].in.n; i++) {
            size_t at = place(&t, c->demos[k].in.stems[i]);
            t.stems[at] = c->demos[k].in.stems[i];
            t.n[at]++;
        }
    return t;
}

static uint64_t weight(const dm_conversation *c, const counts *t, uint64_t s)
{
    if (s & 1)
        return 1;
    uint64_t in = t->n[place(t, s)];
    in = in ? in : 1;
    uint64_t w = 2 + log2_of((c->n + 1) * (c->n + 1) / (in * in));
    return dm_words_have(&c->instruction_words, s) ? 2 * w : w;
}

void dm_measure(dm_conversation *c)
{
    counts t = count_words(c);
    dm_words *q = &c->question_words;
    uint64_t own = 0;
    for (size_t i = 0; i < q->n; i++)
        own += weight(c, &t, q->stems[i]);
    for (size_t k = 0; k < c->n; k++) {
        dm_seen_demo *d = &c->demos[k];
        uint64_t shared = 0, theirs = 0;
        for (size_t i = 0, j = 0; i < d->in.n; i++) {
            uint64_t s = d->in.stems[i], w = weight(c, &t, s);
            while (j < q->n && q->stems[j] < s)
                j++;
            theirs += w;
            shared += j < q->n && q->stems[j] == s ? w : 0;
        }
        uint64_t together = isqrt(own * theirs);
        d->sim = together ? 1000 * shared / together : 0;
    }
}
