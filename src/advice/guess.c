#include "advice/guess.h"
#include "base/utf8.h"
#include "json/json.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define UNSEEN      .01 /* chance that the next label is one that was never seen */
#define MOST_LABEL  60  /* bytes of a class */
#define LEAST_NAMED 10  /* rows that tell names of rows from classes */
#define TIMES       5   /* that a class comes in the mean */

static const char *const ids[] = {"id",   "_id", "idx", "index",      "uid", "uuid",
                                  "guid", "row", "key", "Unnamed: 0", "",    NULL};
/* The likeliest first. */
static const char *const labels[] = {"answer",      "label",      "output",   "target",
                                     "response",    "completion", "summary",  "gold",
                                     "translation", "class",      "intent",   "topic",
                                     "sentiment",   "category",   "slots",    "entities",
                                     "result",      "answers",    "solution", "expected",
                                     "labels",      "tags",       "rating",   "stars",
                                     "score",       "y",          NULL};
static const char *const inputs[] = {
    "question", "text",    "input",       "inputs",    "prompt",     "claim",     "sentence",
    "premise",  "review",  "message",     "query",     "context",    "passage",   "passages",
    "choices",  "options", "document",    "documents", "article",    "dialogue",  "utterance",
    "body",     "content", "instruction", "paragraph", "hypothesis", "sentence1", "sentence2",
    "email",    "subject", "abstract",    "title",     NULL};
/* Of names in several words: "airline_sentiment". */
static const char *const last_words[] = {"label", "answer",   "class",     "intent", "topic",
                                         "gold",  "category", "sentiment", "target", NULL};
/* What tells the answer, or about the example. */
static const char *const asides[] = {"rationale",
                                     "reasoning",
                                     "explanation",
                                     "facts",
                                     "supporting_titles",
                                     "evidence",
                                     "decomposition",
                                     "equation",
                                     "hint",
                                     "source",
                                     "url",
                                     "type",
                                     "level",
                                     "num_hops",
                                     "difficulty",
                                     "split",
                                     "fine_label",
                                     "best_answer",
                                     "correct_answers",
                                     "incorrect_answers",
                                     "answers",
                                     "category",
                                     "metadata",
                                     "meta",
                                     "date",
                                     "timestamp",
                                     NULL};

static size_t place(const char *const *names, const char *name)
{
    size_t i = 0;
    while (names[i] && strcasecmp(names[i], name) != 0)
        i++;
    return names[i] ? i : SIZE_MAX;
}

/* What is behind the last _ of a name; NULL: it has none. */
static const char *last_word(const char *name)
{
    const char *low = strrchr(name, '_');
    return low && low > name ? low + 1 : NULL;
}

/* "ticket_id", "ticketId", "ticketID" */
static bool ends_like_id(const char *name)
{
    size_t n = strlen(name);
    const char *word = last_word(name);
    return (word && place(ids, word) < SIZE_MAX && *word) ||
           (n > 2 && strcasecmp(name + n - 2, "id") == 0 && name[n - 2] == 'I' &&
            islower((unsigned char)name[n - 3]));
}

/* ---- columns ---- */

typedef struct column {
    const char *name;
    size_t strings, ints, floats, bools, nulls, lists, dicts, missing; /* rows by kind of value */
    size_t empty;                                                      /* texts without a word */
    size_t different, present; /* values, rows that have one: counted where names do not tell */
    bool id;                   /* it names the row */
    bool filled;               /* some row has more than null or an empty text */
    bool plain;                /* lists and dicts hold texts alone */
    bool pairs;                /* lists hold dicts of texts alone */
} column;

static bool all_texts(const dm_value *v)
{
    for (size_t i = 0; i < v->n; i++)
        if ((v->kind == DM_LIST ? v->items[i] : v->members[i].value)->kind != DM_STRING)
            return false;
    return true;
}

static bool all_pairs(const dm_value *v)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->items[i]->kind != DM_DICT || !all_texts(v->items[i]))
            return false;
    return true;
}

static void count_value(column *c, const dm_value *v)
{
    size_t *const by_kind[] = {
        [DM_NULL] = &c->nulls,   [DM_BOOL] = &c->bools,     [DM_INT] = &c->ints,
        [DM_FLOAT] = &c->floats, [DM_STRING] = &c->strings, [DM_LIST] = &c->lists,
        [DM_DICT] = &c->dicts};
    if (!v) {
        c->missing++;
        return;
    }
    ++*by_kind[v->kind];
    c->empty += v->kind == DM_STRING && dm_py_strip(v->text).n == 0;
    c->filled |= v->kind == DM_STRING ? dm_py_strip(v->text).n > 0 : v->kind != DM_NULL;
    if (v->kind == DM_LIST)
        c->pairs = c->pairs && all_pairs(v);
    if (v->kind == DM_LIST || v->kind == DM_DICT)
        c->plain = c->plain && all_texts(v);
}

/* Rows have their columns in the first one's order, as a rule. */
static const dm_value *value_at(const dm_value *row, size_t i, dm_str key)
{
    return i < row->n && dm_str_eq(row->members[i].key, key) ? row->members[i].value
                                                             : dm_value_get_str(row, key);
}

static int by_hash(const void *x, const void *y)
{
    return memcmp(x, y, sizeof(dm_hash));
}

static void count_different(const dm_dataset *const sets[DM_SETS], size_t i, column *c)
{
    size_t rows = 0, n = 0;
    for (int s = 0; s < DM_SETS; s++)
        rows += sets[s] ? sets[s]->n : 0;
    dm_hash *h = dm_alloc_n(rows, sizeof *h);
    for (int s = 0; s < DM_SETS; s++)
        for (size_t k = 0; sets[s] && k < sets[s]->n; k++) {
            const dm_value *v = value_at(sets[s]->examples[k].row, i, dm_str_of(c->name));
            if (v)
                h[n++] = dm_json_hash(v);
        }
    qsort(h, n, sizeof *h, by_hash);
    c->present = n;
    c->different = n > 0;
    for (size_t k = 1; k < n; k++)
        c->different += !dm_hash_eq(&h[k - 1], &h[k]);
    free(h);
}

/* [*n] in the order of the first row. */
static column *read_columns(dm_arena *a, const dm_dataset *const sets[DM_SETS], size_t *n)
{
    const dm_value *row = sets[DM_TRAIN]->examples[0].row;
    column *out = dm_arena_alloc_n(a, row->n, sizeof *out);
    *n = row->n;
    for (size_t i = 0; i < *n; i++) {
        dm_str key = row->members[i].key;
        out[i] = (column){.name = dm_arena_string(a, key.p, key.n), .plain = true, .pairs = true};
        for (int s = 0; s < DM_SETS; s++)
            for (size_t k = 0; sets[s] && k < sets[s]->n; k++)
                count_value(&out[i], value_at(sets[s]->examples[k].row, i, key));
        if (!out[i].filled) /* a column that is there in name alone */
            out[i].missing += out[i].nulls + out[i].strings;
        out[i].id = place(ids, out[i].name) != SIZE_MAX;
        if (ends_like_id(out[i].name) || *n == 2)
            count_different(sets, i, &out[i]);
        if (ends_like_id(out[i].name)) /* else it names a class */
            out[i].id |= out[i].present >= LEAST_NAMED && 2 * out[i].different > out[i].present;
    }
    return out;
}

/* As Python writes the type; "" for a text. */
static const char *type_of(const column *c)
{
    size_t n = c->strings + c->ints + c->floats + c->bools + c->lists + c->dicts;
    bool none = c->nulls > 0;
    if (n == 0 || c->strings == n)
        return none && n ? "str | None" : "";
    if (c->bools == n)
        return none ? "bool | None" : "bool";
    if (c->ints == n)
        return none ? "int | None" : "int";
    if (c->ints + c->floats == n)
        return none ? "float | None" : "float";
    if (c->lists == n && !none)
        return c->plain ? "list[str]" : c->pairs ? "list[dict[str, str]]" : "list[Any]";
    if (c->dicts == n && !none)
        return c->plain ? "dict[str, str]" : "dict[str, Any]";
    return "Any";
}

/* Of two columns that are called like nothing known, the one with few values. */
static bool are_classes(const column *c)
{
    return !c->missing && c->different > 1 && c->different * TIMES <= c->present;
}

static size_t find_by_name(const column *c, size_t n)
{
    size_t best = SIZE_MAX, rank = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        size_t r = place(labels, c[i].name);
        if (r < rank && c[i].missing == 0) {
            best = i;
            rank = r;
        }
    }
    for (size_t i = n; i-- > 0 && best == SIZE_MAX;) {
        const char *word = last_word(c[i].name);
        if (word && place(last_words, word) != SIZE_MAX && !c[i].id && !c[i].missing &&
            place(asides, c[i].name) == SIZE_MAX && place(inputs, c[i].name) == SIZE_MAX)
            best = i;
    }
    return best;
}

/* Else the last column; one that is called like an input only where there is no other. */
static size_t find_label(const column *c, size_t n)
{
    size_t best = find_by_name(c, n);
    if (best == SIZE_MAX && n == 2 && are_classes(&c[0]) && !are_classes(&c[1]) && !c[0].id)
        return 0;
    for (int round = 0; round < 2; round++)
        for (size_t i = n; i-- > 0 && best == SIZE_MAX;)
            if (!c[i].id && c[i].missing == 0 && (round || place(inputs, c[i].name) == SIZE_MAX))
                best = i;
    return best;
}

/* Those that are called like inputs, or stand before the label and are not called like asides. */
static bool is_input(const column *c, size_t i, size_t label)
{
    if (i == label || c[i].id || c[i].missing)
        return false;
    if (i > label && strcasecmp(c[i].name, "title") == 0)
        return false;
    return place(inputs, c[i].name) != SIZE_MAX ||
           (i < label && place(asides, c[i].name) == SIZE_MAX);
}

typedef struct choice {
    size_t label;
    bool *input; /* [columns] */
    size_t n_inputs;
    bool lists_choices;
} choice;

static choice choose(dm_arena *a, const column *c, size_t n)
{
    choice out = {.label = find_label(c, n), .input = dm_arena_alloc_n(a, n, sizeof(bool))};
    for (int round = 0; round < 2 && out.n_inputs == 0 && out.label != SIZE_MAX; round++)
        for (size_t i = 0; i < n; i++) {
            out.input[i] =
                round ? i != out.label && !c[i].missing && !c[i].id : is_input(c, i, out.label);
            out.n_inputs += out.input[i];
            out.lists_choices |=
                out.input[i] && c[i].lists > 0 &&
                (strcasecmp(c[i].name, "choices") == 0 || strcasecmp(c[i].name, "options") == 0);
        }
    return out;
}

/* ---- the label ---- */

/* Good's estimate (1953, Biometrika 40:237) of the chance that the next label is a new one: the
 * share of rows whose label came once. Then they are no list that is whole. */
static bool is_whole(const dm_findings *f)
{
    size_t once = 0, rows = 0;
    for (size_t i = 0; i < f->n_classes; i++) {
        size_t n = 0;
        for (int s = 0; s < DM_SETS; s++)
            n += f->classes[i].count[s];
        once += n == 1;
        rows += n;
    }
    return f->n_classes >= 2 && (double)once <= UNSEEN * (double)rows;
}

/* Letters of an alphabet, of which some may not have come yet. */
static bool are_alphabet(const dm_findings *f)
{
    for (size_t i = 0; i < f->n_classes; i++)
        if (f->classes[i].name[0] == 0 || f->classes[i].name[1] != 0)
            return false;
    return f->n_classes > 10;
}

static bool are_letters(const dm_findings *f)
{
    for (size_t i = 0; i < f->n_classes; i++) {
        const char *s = f->classes[i].name;
        s += *s == '(';
        if (!isupper((unsigned char)*s) || (s[1] && strcmp(s + 1, ")") != 0))
            return false;
    }
    return f->n_classes > 0;
}

static bool are_yes_and_no(const dm_findings *f)
{
    static const char *const words[] = {"yes", "no", "true", "false", NULL};
    for (size_t i = 0; i < f->n_classes; i++)
        if (place(words, f->classes[i].name) == SIZE_MAX)
            return false;
    return f->n_classes == 2;
}

static int by_name(const void *x, const void *y)
{
    return strcmp(((const dm_class *)x)->name, ((const dm_class *)y)->name);
}

/* *n: how many it lists; rows without a label are none. NULL: they are too long, or fewer than two.
 */
static const char *literal(dm_arena *a, const dm_findings *f, size_t *n)
{
    dm_class *sorted = dm_arena_alloc_n(a, f->n_classes, sizeof *sorted);
    dm_buf b;
    memcpy(sorted, f->classes, f->n_classes * sizeof *sorted);
    qsort(sorted, f->n_classes, sizeof *sorted, by_name);
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_buf_text(&b, "Literal[");
    bool fits = true;
    *n = 0;
    for (size_t i = 0; i < f->n_classes; i++) {
        fits &= strlen(sorted[i].name) <= MOST_LABEL;
        if (!*sorted[i].name)
            continue;
        dm_buf_text(&b, (*n)++ ? ", " : "");
        dm_py_repr_str(&b, dm_str_of(sorted[i].name));
    }
    dm_buf_char(&b, ']');
    const char *s = fits && *n > 1 ? dm_arena_string(a, b.data, b.len) : NULL;
    dm_buf_free(&b);
    return s;
}

/* Labels as texts: what they are like. */
typedef struct texts {
    size_t n, numbers, single; /* numbers; words of one letter alone */
} texts;

/* "-12", "1,234.5", "3,5"; no date, version or address. */
static bool is_number(dm_str s)
{
    size_t digits = 0, points = 0, commas = 0, i = s.n && s.p[0] == '-';
    for (; i < s.n; i++) {
        digits += isdigit((unsigned char)s.p[i]) != 0;
        points += s.p[i] == '.';
        commas += s.p[i] == ',';
        if (!isdigit((unsigned char)s.p[i]) && s.p[i] != '.' && s.p[i] != ',')
            return false;
    }
    return digits > 0 && (points < 2 || commas == 1);
}

static texts read_texts(const dm_dataset *const sets[DM_SETS], const char *label)
{
    texts t = {0};
    for (int s = 0; s < DM_SETS; s++)
        for (size_t i = 0; sets[s] && i < sets[s]->n; i++) {
            const dm_value *v = dm_value_get(sets[s]->examples[i].row, label);
            if (!v || v->kind != DM_STRING)
                continue;
            dm_str x = dm_py_strip(v->text);
            bool single = true;
            if (x.n == 0)
                continue;
            for (size_t k = 1; k < x.n && single; k += 2)
                single = x.p[k] == ' ';
            t.n++;
            t.numbers += is_number(x);
            t.single += single;
        }
    return t;
}

static void fit_text(const dm_findings *f, const texts *t, dm_guess *g)
{
    if (f->free_text && !f->latin) { /* rouge_l knows no other letters */
        g->metric = "f1";
        g->why_metric =
            "The labels are prose: f1 counts the words that an answer shares with "
            "them, separated by blanks, not the sense; a metric of your own is a Python "
            "function, \"module:function\".";
    } else if (f->free_text) {
        g->metric = "rouge_l";
        g->why_metric =
            "The labels are prose: rouge_l looks at the words that an answer shares with them, "
            "not at the sense; a metric of your own is a Python function, "
            "\"module:function\".";
    } else if (t->single * 10 > t->n) {
        g->metric = "exact_match";
        g->why_metric = "An answer is right when it equals the label, ignoring case.";
    } else {
        g->metric = "answer_exact_match";
        g->field = strcmp(g->label, "answer") != 0;
        g->why_metric = "An answer is right when it has the label's words. Case, punctuation and "
                        "articles are ignored; f1 would count shared words.";
    }
}

/* Type and metric of the label. */
static const char *fit_label(dm_arena *a, const column *c, const dm_findings *f, const texts *t,
                             dm_guess *g)
{
    const char *type = type_of(c), *classes;
    bool text = !*type;
    size_t listed;
    g->metric = "exact_match";
    g->why_metric = "An answer is right when it equals the label.";
    g->why_type = "The label's type limits what an answer may be.";
    if (text && t->numbers == t->n && f->n_classes == 0) {
        g->metric = "numeric";
        g->thinks = true;
        g->why_metric = "The labels are numbers: the last number of an answer counts.";
    } else if (text && is_whole(f) && !are_alphabet(f) && (classes = literal(a, f, &listed))) {
        type = classes;
        g->thinks = are_letters(f) || are_yes_and_no(f);
        g->why_type = dm_arena_printf(a,
                                      "There are %zu labels, and each occurs more than once: no "
                                      "other answer is allowed. Add any that are missing.",
                                      listed);
    } else if (text) {
        fit_text(f, t, g);
    } else if (c->floats || c->ints) {
        g->metric = c->floats ? "numeric" : "exact_match";
        g->thinks = true;
    } else if (c->dicts && !c->lists && !c->strings) {
        g->metric = "json_fields";
        g->why_metric = "The score is the share of the label's fields that agree.";
    } else if (c->lists && c->plain && place(asides, c->name) != SIZE_MAX) {
        type = ""; /* "answers": any of them is right */
        g->metric = "any_of";
        g->why_metric = "An answer is right when it is in the label's list.";
    }
    return type;
}

/* ---- the whole ---- */

static void put_field(dm_buf *b, const char *comma, const char *name, const char *type)
{
    dm_buf_printf(b, "%s%s%s%s", comma, name, *type ? ": " : "", type);
}

static const char *taken(dm_arena *a, dm_buf *b)
{
    const char *s = dm_arena_string(a, b->data ? b->data : "", b->len);
    dm_buf_free(b);
    return s;
}

static void write_columns(dm_arena *a, const column *c, size_t n, const choice *ch, dm_guess *g)
{
    dm_str *names = dm_arena_alloc_n(a, ch->n_inputs, sizeof *names);
    dm_buf in, out;
    dm_buf_init(&in, DM_MAX_TEXT);
    dm_buf_init(&out, DM_MAX_TEXT);
    g->inputs = names;
    for (size_t i = 0; i < n; i++) {
        if (ch->input[i]) {
            names[g->n_inputs++] = dm_str_of(c[i].name);
            dm_buf_printf(&in, "%s%s", in.len ? ", " : "", c[i].name);
        } else if (i != ch->label) {
            dm_buf_printf(&out, "%s%s%s", out.len ? ", " : "", c[i].name,
                          c[i].missing ? " (not in every row)" : "");
        }
    }
    const char *shown = taken(a, &in), *left = taken(a, &out);
    g->why_columns = dm_arena_printf(a, "The program is given %s and outputs %s.%s%s%s", shown,
                                     g->label, *left ? " It is not given " : "", left,
                                     *left ? ": add what it may see to the signature." : "");
}

static dm_findings look(dm_arena *a, const dm_dataset *const sets[DM_SETS], const dm_guess *g)
{
    dm_str label = dm_str_of(g->label);
    dm_data d = {.sets = {sets[0], sets[1], sets[2]},
                 .inputs = g->inputs,
                 .n_inputs = g->n_inputs,
                 .labels = &label,
                 .n_labels = 1};
    return dm_data_look(a, &d);
}

dm_status dm_guess_job(dm_arena *a, const dm_dataset *const sets[DM_SETS], dm_guess *out,
                       dm_error *err)
{
    size_t n;
    const column *c = read_columns(a, sets, &n);
    choice ch = choose(a, c, n);
    dm_buf b;
    if (ch.label == SIZE_MAX || ch.n_inputs == 0)
        return dm_fail(err, DM_E_DATA,
                       "%s: there are no two columns that every row has, one for input and one for "
                       "output: is this a data set?",
                       sets[DM_TRAIN]->path);
    *out = (dm_guess){.label = c[ch.label].name};
    write_columns(a, c, n, &ch, out);
    if (c[ch.label].empty)
        out->why_columns =
            dm_arena_printf(a, "%s In %zu rows the label is empty: fill it in, or leave them out.",
                            out->why_columns, c[ch.label].empty);
    dm_findings f = look(a, sets, out);
    texts t = read_texts(sets, out->label);
    const char *type = fit_label(a, &c[ch.label], &f, &t, out), *comma = "";
    if (ch.lists_choices && are_letters(&f))
        out->instructions = "Which of the choices is right? A stands for the first one, B for the "
                            "second, and so on.";
    dm_buf_init(&b, DM_MAX_TEXT);
    for (size_t i = 0; i < n; i++)
        if (ch.input[i]) {
            put_field(&b, comma, c[i].name, type_of(&c[i]));
            comma = ", ";
        }
    put_field(&b, " -> ", out->label, type);
    out->signature = taken(a, &b);
    return DM_OK;
}
