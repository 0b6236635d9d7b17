#include "optimizer/leak.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

/* A rolling hash over eight words. Texts are few and short, and data may be long, so the windows
 * of the texts are kept in a table and all rows are compared with it. */
#define BASE UINT64_C(0x9E3779B97F4A7C15)
static const uint64_t seed = UINT64_C(0xCBF29CE484222325), prime = UINT64_C(0x100000001B3);

typedef struct window { /* of a text */
    uint64_t hash;
    uint32_t text;
    bool own; /* it stands in the start program */
} window;

typedef struct windows {
    window *all; /* [size], hash 0: free */
    size_t size, n;
} windows;

typedef struct words { /* goes over the words of a text */
    dm_str s;
    size_t at;
} words;

/* The next character in lower case; 0: it is of no word. */
static uint32_t next_letter(dm_str s, size_t *at)
{
    unsigned char c = (unsigned char)s.p[*at];
    if (c >= 0x80) {
        uint32_t cp = dm_utf8_next(s, at);
        return dm_is_of_word(cp) ? dm_lower(cp) : 0;
    }
    (*at)++;
    if (c >= 'A' && c <= 'Z')
        return c | 0x20u;
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ? c : 0;
}

/* The next word's hash; from and to: its bytes. */
static bool next_word(words *w, uint64_t *hash, size_t *from, size_t *to)
{
    uint32_t letter = 0;
    for (size_t at = w->at; w->at < w->s.n && !(letter = next_letter(w->s, &at));)
        w->at = at;
    if (!letter)
        return false;
    *from = w->at;
    *hash = seed;
    for (size_t at = w->at; w->at < w->s.n && (letter = next_letter(w->s, &at)); w->at = at)
        *hash = (*hash ^ letter) * prime;
    *to = w->at;
    return true;
}

typedef struct roll {
    uint64_t last[DM_LEAK_WORDS], sum, top; /* top: BASE to the power of DM_LEAK_WORDS */
    size_t from[DM_LEAK_WORDS];             /* bytes where the words begin */
    size_t n;                               /* words so far */
} roll;

static roll roll_new(void)
{
    roll r = {.top = 1};
    for (int i = 0; i < DM_LEAK_WORDS; i++)
        r.top *= BASE;
    return r;
}

/* The hash of the window that ends with the word; 0: there are fewer words. */
static uint64_t roll_on(roll *r, uint64_t word, size_t from)
{
    size_t k = r->n % DM_LEAK_WORDS;
    r->sum = r->sum * BASE + word - (r->n >= DM_LEAK_WORDS ? r->last[k] * r->top : 0);
    r->last[k] = word;
    r->from[k] = from;
    r->n++;
    return r->n < DM_LEAK_WORDS ? 0 : r->sum ? r->sum : 1;
}

static void put(windows *w, uint64_t hash, uint32_t text, bool own)
{
    size_t i = (size_t)(hash * BASE >> 20) % w->size;
    for (; w->all[i].hash; i = (i + 1) % w->size)
        if (w->all[i].hash == hash && w->all[i].text == text)
            return;
    w->all[i] = (window){hash, text, own};
    w->n++;
}

static bool is_in(const windows *w, uint64_t hash, uint32_t text)
{
    for (size_t i = (size_t)(hash * BASE >> 20) % w->size; w->all[i].hash; i = (i + 1) % w->size)
        if (w->all[i].hash == hash && w->all[i].text == text)
            return !w->all[i].own;
    return false;
}

static void put_text(windows *w, dm_str s, uint32_t text, bool own)
{
    words all = {s, 0};
    roll r = roll_new();
    uint64_t word, hash;
    size_t from, to;
    while (next_word(&all, &word, &from, &to))
        if ((hash = roll_on(&r, word, from)))
            put(w, hash, text, own);
}

typedef struct search {
    windows w;
    size_t n;      /* texts */
    size_t *run;   /* [n] words of the run that goes on, 0: none does */
    size_t *begun; /* [n] bytes at which it began */
    const char *set, *id;
    size_t row;
    dm_leak *out;
} search;

static void read_text(search *x, dm_str s)
{
    words all = {s, 0};
    roll r = roll_new();
    uint64_t word, hash;
    size_t from, to;
    memset(x->run, 0, x->n * sizeof *x->run);
    while (next_word(&all, &word, &from, &to)) {
        hash = roll_on(&r, word, from);
        for (size_t k = 0; hash && k < x->n; k++) {
            if (!is_in(&x->w, hash, (uint32_t)k)) {
                x->run[k] = 0;
                continue;
            }
            if (x->run[k] == 0) {
                x->run[k] = DM_LEAK_WORDS - 1;
                x->begun[k] = r.from[r.n % DM_LEAK_WORDS];
            }
            x->run[k]++;
            if (x->run[k] > x->out[k].words)
                x->out[k] = (dm_leak){
                    x->run[k], x->set, x->row, x->id, {s.p + x->begun[k], to - x->begun[k]}};
        }
    }
}

static void read_value(search *x, const dm_value *v)
{
    if (v->kind == DM_STRING)
        read_text(x, v->text);
    for (size_t i = 0; v->kind == DM_LIST && i < v->n; i++)
        read_value(x, v->items[i]);
    for (size_t i = 0; v->kind == DM_DICT && i < v->n; i++)
        read_value(x, v->members[i].value);
}

static void read_row(search *x, const dm_example *e)
{
    x->id = e->id;
    read_value(x, e->row);
}

static size_t room_for(const dm_str *texts, size_t n, const dm_candidate *start)
{
    size_t bytes = 0;
    for (size_t k = 0; k < n; k++)
        bytes += texts[k].n;
    for (size_t i = 0; i < start->program->n; i++)
        bytes += n * start->parts[i].instructions.n;
    return 2 * (bytes / 2 + 1); /* a word has a byte at least, and one behind it */
}

void dm_leaks_find(const dm_compile_input *in, const dm_str *texts, size_t n, dm_leak *out)
{
    static const char *const names[] = {"trainset", "valset", "testset"};
    const dm_dataset *sets[] = {in->trainset, in->valset, in->testset};
    search x = {.n = n, .out = out};
    memset(out, 0, n * sizeof *out);
    if (n == 0)
        return;
    x.w.size = room_for(texts, n, in->student);
    x.w.all = dm_alloc_n(x.w.size, sizeof *x.w.all);
    x.run = dm_alloc_n(n, sizeof *x.run);
    x.begun = dm_alloc_n(n, sizeof *x.begun);
    for (size_t k = 0; k < n; k++) {
        for (size_t i = 0; i < in->student->program->n; i++)
            put_text(&x.w, in->student->parts[i].instructions, (uint32_t)k, true);
        put_text(&x.w, texts[k], (uint32_t)k, false);
    }
    for (size_t s = 0; s < 3; s++) {
        x.set = names[s];
        for (x.row = 0; sets[s] && !(s == 1 && sets[1] == sets[0]) && x.row < sets[s]->n; x.row++)
            read_row(&x, &sets[s]->examples[x.row]);
    }
    free(x.w.all);
    free(x.run);
    free(x.begun);
}
