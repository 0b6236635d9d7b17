/* The labels that a field may take, and the clues to each: words of the question that stand in the
 * label's name, or in a clause of the instruction or of the field's description that names this
 * label alone ("refund: money back, returned goods; login: password").
 *
 * A word that k labels claim is worth 6 / k points where it is part of the name, 4 / k elsewhere
 * (whole numbers); function words are worth nothing. */
#include "base/utf8.h"
#include "lm/embedded.h"

#include <string.h>

#define NAME_POINTS 6
#define CLUE_POINTS 4

typedef struct claim {
    dm_words name, clues;
} claim;

static size_t split(dm_arena *a, dm_str list, const char *separator, dm_label **out)
{
    size_t n = 0, cap = 0;
    *out = NULL;
    while (list.p) {
        dm_str label = dm_py_strip(dm_text_up_to(list, separator));
        list = dm_text_after(list, separator);
        if (label.n == 0)
            continue;
        *out = dm_arena_room(a, *out, n, &cap, sizeof **out);
        (*out)[n++] = (dm_label){.text = label};
    }
    return n;
}

/* What the list of output fields says about the field, behind its type. */
static dm_str description(const dm_conversation *c, dm_str field)
{
    dm_str at = dm_text_after(c->notes, dm_arena_printf(c->arena, "`%.*s` (", DM_STR_ARG(field)));
    for (dm_str next = dm_text_after(at, "\n"); next.p; next = dm_text_after(next, "\n")) {
        size_t digits = 0;
        while (digits < next.n && next.p[digits] >= '0' && next.p[digits] <= '9')
            digits++;
        if (digits && dm_str_starts((dm_str){next.p + digits, next.n - digits}, ". `")) {
            at.n = (size_t)(next.p - at.p);
            break;
        }
    }
    return dm_text_after(at, "): ");
}

static bool all_in(const dm_words *some, const dm_words *all)
{
    for (size_t i = 0; i < some->n; i++)
        if (!dm_words_have(all, some->stems[i]))
            return false;
    return some->n > 0;
}

/* The one label that is named in text; n: none or several. */
static size_t only_one(dm_arena *a, dm_str text, const claim *claims, size_t n)
{
    dm_words w = dm_words_of(a, text, false);
    size_t found = n;
    for (size_t k = 0; k < n; k++)
        if (all_in(&claims[k].name, &w)) {
            if (found != n)
                return n;
            found = k;
        }
    return found;
}

static dm_words joined(dm_arena *a, dm_words x, dm_str text)
{
    dm_words y = dm_words_of(a, text, false),
             z = {dm_arena_alloc_n(a, x.n + y.n, sizeof *z.stems), 0};
    size_t i = 0, k = 0;
    while (i < x.n || k < y.n) {
        uint64_t s = k == y.n || (i < x.n && x.stems[i] <= y.stems[k]) ? x.stems[i] : y.stems[k];
        i += i < x.n && x.stems[i] == s;
        k += k < y.n && y.stems[k] == s;
        z.stems[z.n++] = s;
    }
    return z;
}

/* A clause ends at ; or at the line's or the sentence's end. */
static dm_str next_clause(dm_str *rest)
{
    size_t n = 0;
    while (n < rest->n && rest->p[n] != ';' && rest->p[n] != '\n' &&
           !(rest->p[n] == '.' && (n + 1 == rest->n || rest->p[n + 1] == ' ')))
        n++;
    dm_str clause = {rest->p, n};
    n += n < rest->n;
    *rest = (dm_str){rest->p + n, rest->n - n};
    return clause;
}

static void read_clues(dm_arena *a, dm_str text, claim *claims, size_t n)
{
    while (text.n) {
        dm_str clause = next_clause(&text), about = dm_text_after(clause, ":");
        size_t k = about.p ? only_one(a, dm_text_up_to(clause, ":"), claims, n) : n;
        if (k == n)
            k = only_one(a, about = clause, claims, n);
        if (k < n)
            claims[k].clues = joined(a, claims[k].clues, about);
    }
}

static void count_clues(const dm_conversation *c, const claim *claims, dm_label *labels, size_t n)
{
    for (size_t i = 0; i < c->question_words.n; i++) {
        uint64_t s = c->question_words.stems[i];
        size_t claimed = 0;
        if (s & 1)
            continue;
        for (size_t k = 0; k < n; k++)
            claimed += dm_words_have(&claims[k].name, s) || dm_words_have(&claims[k].clues, s);
        for (size_t k = 0; k < n && claimed; k++)
            if (dm_words_have(&claims[k].name, s))
                labels[k].clues += NAME_POINTS / claimed;
            else if (dm_words_have(&claims[k].clues, s))
                labels[k].clues += CLUE_POINTS / claimed;
    }
}

static size_t find_labels(const dm_conversation *c, dm_str field, dm_label **out, bool *strict)
{
    const char *header =
        dm_arena_printf(c->arena,
                        "{%.*s}        # note: the value you produce must exactly match (no extra "
                        "characters) one of: ",
                        DM_STR_ARG(field));
    dm_str list = dm_text_after(c->system, header);
    *strict = list.p != NULL;
    if (list.p)
        return split(c->arena, dm_text_up_to(c->json ? dm_text_up_to(list, "\"") : list, "\n"),
                     "; ", out);
    if (dm_str_is(field, "reasoning"))
        return 0;
    list = dm_text_after(c->instruction, "one of: ");
    return split(c->arena, dm_text_up_to(dm_text_up_to(list, "\n"), "."), ", ", out);
}

size_t dm_labels_of(const dm_conversation *c, dm_str field, dm_label **out, bool *strict)
{
    size_t n = find_labels(c, field, out, strict);
    *strict = *strict && n;
    if (n == 0)
        return 0;
    claim *claims = dm_arena_alloc_n(c->arena, n, sizeof *claims);
    for (size_t k = 0; k < n; k++)
        claims[k].name = dm_words_of(c->arena, (*out)[k].text, false);
    read_clues(c->arena, c->instruction, claims, n);
    read_clues(c->arena, description(c, field), claims, n);
    count_clues(c, claims, *out, n);
    return n;
}
