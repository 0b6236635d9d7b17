/* The stand-in: not a language model, but a small in-context learner, so that everything runs
 * without a key or a download. It sees the messages alone, as a server would, and computes with
 * integers alone, so it answers the same everywhere.
 *
 * With demonstrations it answers as the nearest ones do. Two texts are as near as the words that
 * they share weigh, against what they weigh together:
 *
 *     sim(q, d) = 1000 * W(q and d) / isqrt(W(q) * W(d)),   W(set) = sum of w over its distinct
 * words w(word)   = (1 + log2((n + 1) / demos that have it)) * (2 if the instruction has it too,
 * else 1)
 *
 * where a word is its first six letters in lower case. The three nearest vote with sim^2; ties go
 * to the earlier demonstration. Without a demonstration that shares a word it falls back on what is
 * offered: the labels of a Literal or those after "one of:" in the instruction, nearest by their
 * own words; plain arithmetic in the text; else the text's own last words. Asked for an instruction
 * or a description, it names words that stand out in what it was shown, which ones by the rollout
 * id. */
#include "base/hash.h"
#include "base/random.h"
#include "base/utf8.h"
#include "lm/lm.h"
#include "json/json.h"

#include <stdlib.h>
#include <string.h>

#define MAX_WORDS 4096
#define STEM      6
#define VOTERS    3

/* ---- words ---- */

static bool letter(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c >= 0x80;
}

static bool next_word(dm_str *rest, dm_str *word)
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

static uint64_t stem(dm_str word)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < word.n && i < STEM; i++) {
        unsigned char c = (unsigned char)word.p[i];
        h = (h ^ (c >= 'A' && c <= 'Z' ? c + 32u : c)) * 0x100000001b3u;
    }
    return h;
}

static int by_value(const void *x, const void *y)
{
    uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
    return (a > b) - (a < b);
}

typedef struct words { /* distinct stems, sorted */
    uint64_t *stems;
    size_t n;
} words;

static words words_of(dm_arena *a, dm_str text)
{
    words w = {dm_arena_alloc_n(a, text.n / 2 + 1 < MAX_WORDS ? text.n / 2 + 1 : MAX_WORDS,
                                sizeof *w.stems),
               0};
    dm_str word;
    while (w.n < MAX_WORDS && next_word(&text, &word))
        w.stems[w.n++] = stem(word);
    qsort(w.stems, w.n, sizeof *w.stems, by_value);
    size_t n = 0;
    for (size_t i = 0; i < w.n; i++)
        if (n == 0 || w.stems[n - 1] != w.stems[i])
            w.stems[n++] = w.stems[i];
    w.n = n;
    return w;
}

static bool has(const words *w, uint64_t s)
{
    return w->n && bsearch(&s, w->stems, w->n, sizeof s, by_value);
}

/* ---- the conversation ---- */

typedef struct demo {
    words in;
    const dm_value *out; /* dict of texts by field */
    uint64_t sim;
} demo;

typedef struct conversation {
    dm_arena *arena;
    dm_str system, instruction, question; /* question: the inputs alone */
    words instruction_words, question_words;
    demo *demos; /* [n] */
    size_t n;
    dm_value *asked; /* dict: field -> type's name ("str" if none) */
    bool json;
} conversation;

static dm_str after(dm_str text, const char *mark)
{
    const char *p = text.n ? memmem(text.p, text.n, mark, strlen(mark)) : NULL;
    if (!p)
        return (dm_str){NULL, 0};
    p += strlen(mark);
    return (dm_str){p, text.n - (size_t)(p - text.p)};
}

static dm_str up_to(dm_str text, const char *mark)
{
    const char *p = text.n ? memmem(text.p, text.n, mark, strlen(mark)) : NULL;
    return p ? (dm_str){text.p, (size_t)(p - text.p)} : text;
}

/* What stands behind [[ ## name ## ]] headers, as a dict of texts. */
static dm_value *sections(dm_arena *a, dm_str text)
{
    dm_value *d = dm_value_dict(a);
    dm_str rest = after(text, "[[ ## ");
    while (rest.p) {
        dm_str name = up_to(rest, " ## ]]"), body = after(rest, " ## ]]"),
               next = after(body, "[[ ## ");
        if (!body.p)
            break;
        dm_str value = dm_py_strip(up_to(body, "[[ ## "));
        if (!dm_str_is(name, "completed") && name.n < 200)
            dm_value_set(a, d, name, dm_value_string(a, value));
        rest = next;
    }
    return d;
}

static dm_str without_headers(dm_arena *a, dm_str text)
{
    dm_buf b;
    const dm_value *d = sections(a, text);
    dm_buf_init(&b, DM_MAX_TEXT);
    for (size_t i = 0; i < d->n; i++) {
        dm_buf_str(&b, d->members[i].value->text);
        dm_buf_char(&b, '\n');
    }
    dm_str s = {dm_arena_string(a, b.data ? b.data : "", b.len), b.len};
    dm_buf_free(&b);
    return s;
}

static const dm_value *outputs_of(dm_arena *a, dm_str text)
{
    dm_str s = dm_py_strip(text);
    if (s.n && s.p[0] == '{') {
        const dm_value *v = dm_json_read(a, s, NULL);
        if (v && v->kind == DM_DICT)
            return v;
    }
    return sections(a, text);
}

/* The fields of the last sentence: `[[ ## f ## ]]` (must be formatted as a valid Python T), or `f`
 * in JSON mode. */
static void read_request(conversation *c, dm_str last)
{
    dm_str sentence = after(last, "Respond with a JSON object in the following order of fields: ");
    c->json = sentence.p != NULL;
    if (!c->json)
        sentence =
            after(last, "Respond with the corresponding output fields, starting with the field ");
    c->question = without_headers(c->arena, up_to(last, "\n\nRespond with "));
    c->asked = dm_value_dict(c->arena);
    const char *open = c->json ? "`" : "`[[ ## ", *close = c->json ? "`" : " ## ]]`";
    for (dm_str rest = after(sentence, open); rest.p; rest = after(rest, open)) {
        dm_str name = up_to(rest, close);
        rest = after(rest, close);
        if (!rest.p || dm_str_is(name, "completed"))
            break;
        dm_str type = DM_STR("str");
        if (dm_str_starts(rest, " (must be formatted as a valid Python ")) {
            type = after(rest, "valid Python ");
            dm_str end = up_to(type, "), ");
            type = end.n < type.n ? end : up_to(type, ").");
        }
        dm_value_set(c->arena, c->asked, name, dm_value_string(c->arena, type));
    }
}

static void read_conversation(conversation *c, const dm_message *messages, size_t n)
{
    c->demos = dm_arena_alloc_n(c->arena, n / 2 + 1, sizeof *c->demos);
    for (size_t i = 0; i + 1 < n; i++) {
        if (messages[i].role == DM_SYSTEM)
            c->system = messages[i].content;
        if (messages[i].role != DM_USER || messages[i + 1].role != DM_ASSISTANT)
            continue;
        demo *d = &c->demos[c->n++];
        d->in = words_of(c->arena, without_headers(c->arena, messages[i].content));
        d->out = outputs_of(c->arena, messages[i + 1].content);
    }
    c->instruction = after(c->system, "your objective is: ");
    read_request(c, n ? messages[n - 1].content : (dm_str){"", 0});
    c->instruction_words = words_of(c->arena, c->instruction);
    c->question_words = words_of(c->arena, c->question);
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

static uint64_t weight(const conversation *c, uint64_t s)
{
    uint64_t in = 0;
    for (size_t i = 0; i < c->n; i++)
        in += has(&c->demos[i].in, s);
    uint64_t w = 1 + log2_of((c->n + 1) / (in ? in : 1));
    return has(&c->instruction_words, s) ? 2 * w : w;
}

static void measure(conversation *c)
{
    words *q = &c->question_words;
    uint64_t *w = dm_arena_alloc_n(c->arena, q->n, sizeof *w), own = 0;
    for (size_t i = 0; i < q->n; i++)
        own += w[i] = weight(c, q->stems[i]);
    for (size_t k = 0; k < c->n; k++) {
        demo *d = &c->demos[k];
        uint64_t shared = 0, theirs = 0;
        for (size_t i = 0; i < q->n; i++)
            shared += has(&d->in, q->stems[i]) ? w[i] : 0;
        for (size_t i = 0; i < d->in.n; i++)
            theirs += weight(c, d->in.stems[i]);
        uint64_t together = isqrt(own * theirs);
        d->sim = together ? 1000 * shared / together : 0;
    }
}

static const dm_value *vote(const conversation *c, dm_str field)
{
    const demo *top[VOTERS] = {NULL};
    for (size_t k = 0; k < c->n; k++) {
        const demo *d = &c->demos[k];
        const dm_value *v = dm_value_get_str(d->out, field);
        if (d->sim == 0 || !v ||
            (v->kind == DM_STRING && dm_str_starts(v->text, "Not supplied for this")))
            continue;
        for (int i = 0; i < VOTERS; i++)
            if (!top[i] || d->sim > top[i]->sim) {
                memmove(top + i + 1, top + i, (size_t)(VOTERS - 1 - i) * sizeof *top);
                top[i] = d;
                break;
            }
    }
    const dm_value *best = NULL;
    uint64_t most = 0;
    for (int i = 0; i < VOTERS && top[i]; i++) {
        const dm_value *v = dm_value_get_str(top[i]->out, field);
        uint64_t sum = 0;
        for (int k = 0; k < VOTERS && top[k]; k++)
            if (dm_value_equal(dm_value_get_str(top[k]->out, field), v))
                sum += top[k]->sim * top[k]->sim;
        if (sum > most) {
            most = sum;
            best = v;
        }
    }
    return best;
}

/* ---- without demonstrations ---- */

/* The label whose own words stand in the text most; the first if none does. list: "a; b; c". */
static dm_str nearest_label(const conversation *c, dm_str list, const char *separator)
{
    dm_str best = {NULL, 0};
    size_t most = 0;
    while (list.n) {
        dm_str label = dm_py_strip(up_to(list, separator)), rest = label, word;
        dm_str following = after(list, separator);
        size_t score = 0, n = 0;
        while (next_word(&rest, &word) && ++n)
            score += has(&c->question_words, stem(word));
        score = n ? 1000 * score / n : 0;
        if (!best.p || score > most) {
            best = label;
            most = score;
        }
        list = following.p ? following : (dm_str){"", 0};
    }
    return best;
}

static dm_str offered_label(const conversation *c, dm_str field)
{
    char *header = dm_arena_printf(c->arena,
                                   "{%.*s}        # note: the value you produce must exactly match "
                                   "(no extra characters) one of: ",
                                   DM_STR_ARG(field));
    dm_str list = after(c->system, header);
    if (list.p)
        return nearest_label(c, up_to(c->json ? up_to(list, "\"") : list, "\n"), "; ");
    list = after(c->instruction, "one of: ");
    return list.p ? nearest_label(c, up_to(up_to(list, "\n"), "."), ", ") : list;
}

/* "12 + 3", "12 plus 3" in the text. */
static bool arithmetic(dm_str text, int64_t *result)
{
    static const struct {
        const char *name;
        char op;
    } ops[] = {{"+", '+'}, {"-", '-'},    {"*", '*'},     {"x", '*'},
               {"/", '/'}, {"plus", '+'}, {"minus", '-'}, {"times", '*'}};
    char *copy = dm_copy_bytes(text.p, text.n), *p = copy, *end;
    bool found = false;
    for (; *p && !found; p++) {
        if (*p < '0' || *p > '9')
            continue;
        long long x = strtoll(p, &end, 10);
        char *rest = end + strspn(end, " ");
        for (size_t i = 0; i < sizeof ops / sizeof *ops && !found; i++) {
            size_t n = strlen(ops[i].name);
            if (strncmp(rest, ops[i].name, n) != 0)
                continue;
            char *from = rest + n + strspn(rest + n, " ");
            if (*from < '0' || *from > '9' || x > 1000000000)
                continue;
            long long y = strtoll(from, NULL, 10);
            if (y > 1000000000 || (ops[i].op == '/' && y == 0))
                continue;
            *result = ops[i].op == '+'   ? x + y
                      : ops[i].op == '-' ? x - y
                      : ops[i].op == '*' ? x * y
                                         : x / y;
            found = true;
        }
        p = end - 1;
    }
    free(copy);
    return found;
}

static dm_str last_words(const conversation *c)
{
    dm_str s = dm_py_strip(c->question), word, rest = s, start = s;
    size_t n = 0;
    while (next_word(&rest, &word))
        n++;
    rest = s;
    for (size_t i = 0; i + 3 < n && next_word(&rest, &word); i++)
        start = rest;
    return dm_py_strip(start);
}

static dm_value *fallback(conversation *c, dm_str field, dm_str type)
{
    dm_arena *a = c->arena;
    int64_t number;
    dm_str label = offered_label(c, field);
    if (label.p)
        return dm_value_string(a, label);
    if (arithmetic(c->question, &number))
        return dm_value_int(a, number);
    if (dm_str_is(type, "bool"))
        return dm_value_bool(a, true);
    if (dm_str_is(type, "int") || dm_str_is(type, "float"))
        return dm_value_int(a, 0);
    if (dm_str_starts(type, "list") || dm_str_starts(type, "tuple") || dm_str_starts(type, "set") ||
        dm_str_starts(type, "frozenset"))
        return dm_value_list(a);
    if (dm_str_starts(type, "dict"))
        return dm_value_dict(a);
    if (dm_str_starts(type, "Union") || dm_str_starts(type, "Optional"))
        return dm_value_null(a);
    return dm_value_string(a, last_words(c));
}

/* ---- proposals and descriptions ---- */

static bool names(dm_str field, const char *part)
{
    return memmem(field.p, field.n, part, strlen(part)) != NULL;
}

/* Some of the longer words that were shown, which ones by the rollout id. */
static void put_standing_out(const conversation *c, dm_buf *b, uint64_t rollout, int n)
{
    dm_str rest = c->question, word;
    size_t all = 0, k = 0;
    while (next_word(&rest, &word))
        all += word.n >= 5;
    for (int i = 0; i < n && all; i++) {
        size_t wanted = dm_draw(rollout, 1, (uint64_t)i) % all;
        rest = c->question;
        for (k = 0; next_word(&rest, &word);)
            if (word.n >= 5 && k++ == wanted)
                break;
        dm_buf_printf(b, "%s%.*s", i ? ", " : "", (int)(word.n < 24 ? word.n : 24), word.p);
    }
}

static dm_value *proposal(conversation *c, dm_str field, int64_t rollout)
{
    static const char *const openings[] = {
        "Read the text and give the answer", "Decide by the words that matter",
        "Compare with the examples and answer as the nearest one does",
        "Answer in the same manner as the examples"};
    dm_buf b;
    uint64_t seed = (uint64_t)rollout;
    dm_buf_init(&b, DM_MAX_TEXT);
    if (names(field, "instruction")) {
        dm_buf_printf(&b, "%s. Pay attention to: ", openings[dm_draw(seed, 0, 0) % 4]);
        put_standing_out(c, &b, seed, 4);
        dm_buf_char(&b, '.');
    } else {
        dm_buf_text(&b, "It is about: ");
        put_standing_out(c, &b, seed, 6);
        dm_buf_char(&b, '.');
    }
    dm_value *v = dm_value_string(c->arena, dm_buf_view(&b));
    dm_buf_free(&b);
    return v;
}

/* ---- the answer ---- */

static const dm_value *value_for(conversation *c, dm_str field, dm_str type, int64_t rollout)
{
    const dm_value *v = c->n ? vote(c, field) : NULL;
    if (v)
        return v;
    if (dm_str_is(field, "reasoning"))
        return dm_value_text(c->arena, c->n ? "The nearest examples answer this way."
                                            : "There is no example to go by.");
    if (c->n == 0 && (names(field, "instruction") || names(field, "description") ||
                      names(field, "summary") || names(field, "observations")))
        return proposal(c, field, rollout);
    return fallback(c, field, type);
}

void dm_embedded_answer(dm_buf *out, const dm_message *messages, size_t n, int64_t rollout)
{
    conversation c = {.arena = dm_arena_new(0)};
    read_conversation(&c, messages, n);
    measure(&c);
    dm_value *answer = dm_value_dict(c.arena);
    for (size_t i = 0; i < c.asked->n; i++)
        dm_value_set(c.arena, answer, c.asked->members[i].key,
                     value_for(&c, c.asked->members[i].key, c.asked->members[i].value->text,
                               rollout));
    if (c.json) {
        dm_json_write(out, answer, DM_JSON_PYTHON);
    } else {
        for (size_t i = 0; i < answer->n; i++) {
            const dm_value *v = answer->members[i].value;
            dm_buf_printf(out, "[[ ## %.*s ## ]]\n", DM_STR_ARG(answer->members[i].key));
            if (v->kind == DM_LIST || v->kind == DM_DICT)
                dm_json_write(out, v, DM_JSON_PYTHON);
            else
                dm_py_str(out, v);
            dm_buf_text(out, "\n\n");
        }
        dm_buf_text(out, "[[ ## completed ## ]]");
    }
    dm_arena_free(c.arena);
}
