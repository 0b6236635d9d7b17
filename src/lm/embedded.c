/* The stand-in: not a language model, but a small in-context learner, so that everything runs
 * without a key or a download. It sees the messages alone, as a server would, and computes with
 * integers alone, so it answers the same everywhere.
 *
 * Nearness of two texts (embedded_words.c): what the words that they share weigh, against what
 * they weigh together. A word is its first five letters in lower case; each pair of neighbours
 * counts as a word too.
 *
 *     sim(q, d) = 1000 W(q and d) / isqrt(W(q) W(d)),  W(set) = sum of w over its distinct words
 *     w = 1 for the, of, is, ...;  else (2 + log2(((n + 1) / demos that have it)^2)), twice that
 *         if the instruction has the word too
 *
 * A field of any type but a Literal takes the value that the three nearest demonstrations give
 * most of sim^2 to; ties go to the nearer, then to the earlier one. A Literal takes the label with
 * the most of sim^2 + 20,000 a point of clues: words of the question that the label's name has, or
 * that the instruction or the field's description say of it (embedded_labels.c). So demonstrations
 * and instructions both matter.
 *
 * Without a demonstration that shares a word it falls back on what is offered: labels by their
 * clues, plain arithmetic and simple word sums, else the text's own last words. Asked for an
 * instruction or a description, it says what stands out in what it was shown, in a way that the
 * rollout id varies (embedded_write.c). */
#include "base/utf8.h"
#include "lm/embedded.h"
#include "lm/openai.h"

#include <string.h>

#define VOTERS 3
#define CLUE   20000

/* ---- the conversation ---- */

/* What stands behind [[ ## name ## ]] headers, as a dict of texts. */
static dm_value *sections(dm_arena *a, dm_str text)
{
    dm_value *d = dm_value_dict(a);
    dm_str rest = dm_text_after(text, "[[ ## ");
    while (rest.p) {
        dm_str name = dm_text_up_to(rest, " ## ]]"), body = dm_text_after(rest, " ## ]]"),
               next = dm_text_after(body, "[[ ## ");
        if (!body.p)
            break;
        dm_str value = dm_py_strip(dm_text_up_to(body, "[[ ## "));
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
        dm_buf_text(&b, "\n\n");
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
static void read_request(dm_conversation *c, dm_str last)
{
    dm_str sentence =
        dm_text_after(last, "Respond with a JSON object in the following order of fields: ");
    c->json = sentence.p != NULL;
    if (!c->json)
        sentence =
            dm_text_after(last,
                          "Respond with the corresponding output fields, starting with the field ");
    c->question = without_headers(c->arena, dm_text_up_to(last, "\n\nRespond with "));
    c->asked = dm_value_dict(c->arena);
    const char *open = c->json ? "`" : "`[[ ## ", *close = c->json ? "`" : " ## ]]`";
    for (dm_str rest = dm_text_after(sentence, open); rest.p; rest = dm_text_after(rest, open)) {
        dm_str name = dm_text_up_to(rest, close);
        rest = dm_text_after(rest, close);
        if (!rest.p || dm_str_is(name, "completed"))
            break;
        dm_str type = DM_STR("str");
        if (dm_str_starts(rest, " (must be formatted as a valid Python ")) {
            type = dm_text_after(rest, "valid Python ");
            dm_str end = dm_text_up_to(type, "), ");
            type = end.n < type.n ? end : dm_text_up_to(type, ").");
        }
        dm_value_set(c->arena, c->asked, name, dm_value_string(c->arena, type));
    }
}

static void read_conversation(dm_conversation *c, const dm_message *messages, size_t n)
{
    c->demos = dm_arena_alloc_n(c->arena, n / 2 + 1, sizeof *c->demos);
    for (size_t i = 0; i + 1 < n; i++) {
        if (messages[i].role == DM_SYSTEM)
            c->system = messages[i].content;
        if (messages[i].role != DM_USER || messages[i + 1].role != DM_ASSISTANT)
            continue;
        dm_seen_demo *d = &c->demos[c->n++];
        d->in = dm_words_of(c->arena, without_headers(c->arena, messages[i].content), true);
        d->out = outputs_of(c->arena, messages[i + 1].content);
    }
    c->instruction = dm_text_after(c->system, "your objective is: ");
    c->notes = dm_text_up_to(dm_text_after(c->system, "Your output fields are:\n"),
                             "\nAll interactions will be structured");
    read_request(c, n ? messages[n - 1].content : (dm_str){"", 0});
    c->instruction_words = dm_words_of(c->arena, c->instruction, false);
    c->question_words = dm_words_of(c->arena, c->question, true);
}

/* ---- by demonstrations ---- */

static const dm_value *value_in(const dm_seen_demo *d, dm_str field)
{
    const dm_value *v = d->sim ? dm_value_get_str(d->out, field) : NULL;
    return v && v->kind == DM_STRING && dm_str_starts(v->text, "Not supplied for this") ? NULL : v;
}

/* The nearest ones that have the field, nearest first; NULL behind the last. */
static void find_voters(const dm_conversation *c, dm_str field, const dm_seen_demo *top[VOTERS])
{
    for (int i = 0; i < VOTERS; i++)
        top[i] = NULL;
    for (size_t k = 0; k < c->n; k++) {
        const dm_seen_demo *d = &c->demos[k];
        if (!value_in(d, field))
            continue;
        for (int i = 0; i < VOTERS; i++)
            if (!top[i] || d->sim > top[i]->sim) {
                memmove(top + i + 1, top + i, (size_t)(VOTERS - 1 - i) * sizeof *top);
                top[i] = d;
                break;
            }
    }
}

static const dm_value *vote(const dm_conversation *c, dm_str field)
{
    const dm_seen_demo *top[VOTERS];
    const dm_value *best = NULL;
    uint64_t most = 0;
    find_voters(c, field, top);
    for (int i = 0; i < VOTERS && top[i]; i++) {
        const dm_value *v = value_in(top[i], field);
        uint64_t sum = 0;
        for (int k = 0; k < VOTERS && top[k]; k++)
            if (dm_value_equal(value_in(top[k], field), v))
                sum += top[k]->sim * top[k]->sim;
        if (sum > most) {
            most = sum;
            best = v;
        }
    }
    return best;
}

static bool says(const dm_value *v, dm_str label)
{
    if (v->kind == DM_STRING)
        return dm_str_eq(v->text, label);
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_py_str(&b, v);
    bool same = dm_str_eq(dm_buf_view(&b), label);
    dm_buf_free(&b);
    return same;
}

static dm_value *choose_label(const dm_conversation *c, dm_str field, dm_label *labels, size_t n)
{
    const dm_seen_demo *top[VOTERS];
    find_voters(c, field, top);
    size_t best = 0, first = n; /* first: what the nearest one says, which wins ties */
    for (int i = 0; i < VOTERS && top[i]; i++)
        for (size_t k = 0; k < n; k++)
            if (says(value_in(top[i], field), labels[k].text)) {
                labels[k].votes += top[i]->sim * top[i]->sim;
                first = first == n ? k : first;
            }
    best = first == n ? 0 : first;
    for (size_t k = 0; k < n; k++)
        if (labels[k].votes + CLUE * labels[k].clues >
            labels[best].votes + CLUE * labels[best].clues)
            best = k;
    return dm_value_string(c->arena, labels[best].text);
}

/* ---- without ---- */

static dm_str last_words(const dm_conversation *c)
{
    dm_str s = dm_py_strip(c->question), word, rest = s, start = s;
    size_t n = 0;
    while (dm_next_word(&rest, &word))
        n++;
    rest = s;
    for (size_t i = 0; i + 3 < n && dm_next_word(&rest, &word); i++)
        start = rest;
    return dm_py_strip(start);
}

static dm_value *fallback(dm_conversation *c, dm_str type)
{
    dm_arena *a = c->arena;
    int64_t number;
    if (dm_str_is(type, "bool"))
        return dm_value_bool(a, true);
    if (dm_str_starts(type, "list") || dm_str_starts(type, "tuple") || dm_str_starts(type, "set") ||
        dm_str_starts(type, "frozenset"))
        return dm_value_list(a);
    if (dm_str_starts(type, "dict"))
        return dm_value_dict(a);
    if (dm_arithmetic(c->question, &number))
        return dm_value_int(a, number);
    if (dm_str_is(type, "int") || dm_str_is(type, "float"))
        return dm_value_int(a, 0);
    if (dm_str_starts(type, "Union") || dm_str_starts(type, "Optional"))
        return dm_value_null(a);
    return dm_value_string(a, last_words(c));
}

/* ---- the answer ---- */

static bool names(dm_str field, const char *part)
{
    return memmem(field.p, field.n, part, strlen(part)) != NULL;
}

static bool asks_for_text(dm_str field)
{
    return names(field, "instruction") || names(field, "description") || names(field, "summary") ||
           names(field, "observations");
}

static const dm_value *value_for(dm_conversation *c, dm_str field, dm_str type, int64_t rollout)
{
    dm_label *labels;
    bool strict = false;
    size_t n = dm_labels_of(c, field, &labels, &strict);
    if (strict)
        return choose_label(c, field, labels, n);
    const dm_value *v = c->n ? vote(c, field) : NULL;
    if (v)
        return v;
    if (dm_str_is(field, "reasoning"))
        return dm_value_text(c->arena, c->n ? "The nearest examples answer this way."
                                            : "There is no example to go by.");
    if (c->n == 0 && dm_str_is(type, "str") && asks_for_text(field))
        return dm_proposal(c, field, rollout);
    return n ? choose_label(c, field, labels, n) : fallback(c, type);
}

void dm_embedded_answer(dm_buf *out, const dm_message *messages, size_t n, int64_t rollout)
{
    dm_conversation c = {.arena = dm_arena_new(0)};
    read_conversation(&c, messages, n);
    dm_measure(&c);
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

static bool price(const dm_lm_config *c, dm_price *out)
{
    (void)c;
    *out = (dm_price){.known = true};
    return true;
}

/* Its head tells states apart, and goes nowhere. */
const dm_provider dm_provider_embedded = {.name = "embedded",
                                          .base = "",
                                          .price = price,
                                          .head = dm_openai_head,
                                          .answer = dm_embedded_answer};
