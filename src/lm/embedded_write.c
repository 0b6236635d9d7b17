/* What the stand-in does with no label and no demonstration: arithmetic, and text about what it was
 * shown.
 *
 * Arithmetic: the longest expression of whole numbers with + - * / x, plus, minus, times and
 * brackets in the text; else, in a question with "how many" or "how much", the numbers that stand
 * there: their product where it says each, every, per or times; the first less the others where it
 * says left, remain, away, fewer, less; else their sum.
 *
 * An instruction: an opening, and for each label of the task the words that stand beside it in the
 * demonstrations that were shown and beside no other label. The rollout id chooses among openings
 * and words. A demonstration is a paragraph of lines "Name: value", its last value the label. */
#include "base/random.h"
#include "base/utf8.h"
#include "lm/embedded.h"

#include <string.h>

/* ---- arithmetic ---- */

#define MOST  ((int64_t)1 << 40)
#define DEPTH 50

typedef struct reader {
    dm_str s;
    int depth, operations;
    bool failed;
} reader;

static void skip_blanks(reader *r)
{
    while (r->s.n && r->s.p[0] == ' ')
        r->s = (dm_str){r->s.p + 1, r->s.n - 1};
}

static bool take(reader *r, const char *mark)
{
    if (!dm_str_starts(r->s, mark))
        return false;
    r->s = (dm_str){r->s.p + strlen(mark), r->s.n - strlen(mark)};
    return true;
}

static bool is_digit(dm_str s)
{
    return s.n && s.p[0] >= '0' && s.p[0] <= '9';
}

static int64_t sum(reader *r);

static int64_t number(reader *r)
{
    int64_t v = 0;
    skip_blanks(r);
    if (take(r, "(")) {
        if (++r->depth > DEPTH) {
            r->failed = true;
            return 0;
        }
        v = sum(r);
        skip_blanks(r);
        r->failed |= !take(r, ")");
        r->depth--;
        return v;
    }
    bool minus = take(r, "-");
    if (minus && dm_str_starts(r->s, "("))
        return -number(r);
    r->failed |= !is_digit(r->s);
    while (is_digit(r->s) ||
           (r->s.n > 1 && r->s.p[0] == ',' && is_digit((dm_str){r->s.p + 1, r->s.n - 1}))) {
        if (r->s.p[0] != ',')
            v = v * 10 + (r->s.p[0] - '0');
        r->failed |= v > MOST;
        v = v > MOST ? 0 : v;
        r->s = (dm_str){r->s.p + 1, r->s.n - 1};
    }
    return minus ? -v : v;
}

/* Takes an operator of the level, with a number behind it; else leaves all as it was. */
static char operator_of(reader *r, bool products)
{
    static const struct {
        const char *mark;
        char op;
    } marks[] = {{"*", '*'},     {"x ", '*'}, {"/", '/'},      {"times ", '*'}, {"+", '+'},
                 {"plus ", '+'}, {"- ", '-'}, {"minus ", '-'}, {"-", '-'}};
    reader before = *r;
    skip_blanks(r);
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        bool product = marks[i].op == '*' || marks[i].op == '/';
        /* 2020-01-05 is no difference: outside of brackets a minus stands free */
        bool loose = strcmp(marks[i].mark, "-") == 0 && r->depth == 0;
        if (product != products || loose || !take(r, marks[i].mark))
            continue;
        reader ahead = *r;
        skip_blanks(&ahead);
        if (is_digit(ahead.s) || dm_str_starts(ahead.s, "(") ||
            (dm_str_starts(ahead.s, "-") && ahead.s.n > 1 &&
             is_digit((dm_str){ahead.s.p + 1, ahead.s.n - 1}))) {
            r->operations++;
            return marks[i].op;
        }
        break;
    }
    *r = before;
    return 0;
}

static int64_t within(reader *r, int64_t v)
{
    r->failed |= v > MOST || v < -MOST;
    return r->failed ? 0 : v;
}

static int64_t product(reader *r)
{
    int64_t v = number(r);
    for (char op; !r->failed && (op = operator_of(r, true));) {
        int64_t w = number(r);
        if (op == '/') {
            r->failed |= w == 0 || v % w != 0;
            v = r->failed ? 0 : v / w;
        } else {
            r->failed |= w && (v > MOST / (w < 0 ? -w : w) || v < -(MOST / (w < 0 ? -w : w)));
            v = r->failed ? 0 : v * w;
        }
    }
    return v;
}

static int64_t sum(reader *r)
{
    int64_t v = product(r);
    for (char op; !r->failed && (op = operator_of(r, false));) {
        int64_t w = product(r);
        v = within(r, op == '+' ? v + w : v - w);
    }
    return v;
}

static bool expression(dm_str text, int64_t *result)
{
    size_t longest = 0;
    text = dm_utf8_head(text, 4000);
    for (size_t i = 0; i < text.n;) {
        dm_str rest = {text.p + i, text.n - i};
        bool begins = is_digit(rest) || rest.p[0] == '(' ||
                      (rest.p[0] == '-' && rest.n > 1 &&
                       (rest.p[1] == '(' || is_digit((dm_str){rest.p + 1, rest.n - 1})));
        if (!begins) {
            i++;
            continue;
        }
        reader r = {.s = rest};
        int64_t v = sum(&r);
        size_t used = (size_t)(r.s.p - rest.p);
        bool good = !r.failed && r.operations > 0;
        if (good && used > longest) {
            longest = used;
            *result = v;
        }
        i += good ? used : 1;
        while (!good && is_digit(rest) && i < text.n && text.p[i] >= '0' && text.p[i] <= '9')
            i++; /* not from the middle of a number */
    }
    return longest > 0;
}

static bool says_any(const dm_words *w, const char *const *list)
{
    for (; *list; list++)
        if (dm_words_have(w, dm_stem(dm_str_of(*list))))
            return true;
    return false;
}

static bool word_sum(dm_arena *a, dm_str text, int64_t *result)
{
    static const char *const asks[] = {"many", "much", NULL},
                             *const products[] = {"each", "every", "per", "times", NULL},
                             *const differences[] = {"left",  "remain", "away",
                                                     "fewer", "less",   NULL};
    dm_words w = dm_words_of(a, text, false);
    if (!says_any(&w, asks))
        return false;
    int64_t numbers[16];
    size_t n = 0;
    for (reader r = {.s = text}; r.s.n && n < 16;) {
        if (is_digit(r.s))
            numbers[n++] = number(&r);
        else
            r.s = (dm_str){r.s.p + 1, r.s.n - 1};
        if (r.failed)
            return false;
    }
    if (n < 2)
        return false;
    reader check = {.s = text};
    int64_t v = numbers[0];
    if (says_any(&w, products)) {
        check.failed = numbers[1] && v > MOST / numbers[1];
        v = check.failed ? 0 : v * numbers[1];
    } else {
        bool less = says_any(&w, differences);
        for (size_t i = 1; i < n; i++)
            v = less ? v - numbers[i] : v + numbers[i];
    }
    *result = v;
    return !check.failed;
}

bool dm_arithmetic(dm_str text, int64_t *result)
{
    if (expression(text, result))
        return true;
    dm_arena *a = dm_arena_new(4096);
    bool found = word_sum(a, text, result);
    dm_arena_free(a);
    return found;
}

/* ---- proposals ---- */

#define MOST_LABELS 24
#define MOST_DEMOS  64

typedef struct shown { /* a demonstration in the request */
    dm_str name, label, text;
    dm_words words;
} shown;

static dm_str next_paragraph(dm_str *rest)
{
    dm_str p = dm_text_up_to(*rest, "\n\n");
    *rest = p.n == rest->n ? (dm_str){"", 0} : dm_text_after(*rest, "\n\n");
    return p;
}

static dm_str value_of(dm_str line)
{
    return dm_py_strip(dm_text_after(line, ": "));
}

static size_t read_shown(const dm_conversation *c, shown *out)
{
    size_t n = 0;
    for (dm_str rest = c->question; rest.n && n < MOST_DEMOS;) {
        dm_str p = dm_py_strip(next_paragraph(&rest)), last = p, word;
        for (dm_str next = dm_text_after(last, "\n"); next.p; next = dm_text_after(last, "\n"))
            last = next;
        dm_str label = value_of(last), count = label;
        size_t words = 0;
        while (dm_next_word(&count, &word))
            words++;
        if (last.p == p.p || words == 0 || words > 3 || label.n > 40)
            continue;
        dm_str text = {p.p, (size_t)(last.p - p.p)};
        out[n++] =
            (shown){dm_text_up_to(last, ": "), label, text, dm_words_of(c->arena, text, false)};
    }
    return n;
}

/* Keeps those whose last line has the name that most have. */
static size_t of_one_field(shown *demos, size_t n)
{
    dm_str name = {"", 0};
    size_t most = 0, kept = 0;
    for (size_t i = 0; i < n; i++) {
        size_t same = 0;
        for (size_t k = 0; k < n; k++)
            same += dm_str_eq(demos[k].name, demos[i].name);
        if (same > most) {
            most = same;
            name = demos[i].name;
        }
    }
    for (size_t i = 0; i < n; i++)
        if (dm_str_eq(demos[i].name, name))
            demos[kept++] = demos[i];
    return kept;
}

static bool has_label(const shown *demos, size_t n, dm_str label)
{
    for (size_t i = 0; i < n; i++)
        if (dm_str_eq(demos[i].label, label))
            return true;
    return false;
}

/* Words that stand with this label alone; which of them, by the seed. */
static bool put_clues(dm_buf *b, const shown *demos, size_t n, dm_str label, uint64_t seed)
{
    size_t put = 0;
    for (int pass = 0; pass < 2 && put < 4; pass++)
        for (size_t i = 0; i < n && put < 4; i++) {
            if (!dm_str_eq(demos[i].label, label))
                continue;
            dm_str rest = demos[i].text, word;
            for (size_t k = 0; dm_next_word(&rest, &word) && put < 4; k++) {
                bool other = dm_is_function_word(word) || word.n < 4 ||
                             (rest.n && rest.p[0] == ':'); /* the field's name */
                for (size_t j = 0; j < n && !other; j++)
                    other = !dm_str_eq(demos[j].label, label) &&
                            dm_words_have(&demos[j].words, dm_stem(word));
                if (other || dm_draw(seed, 7 + i, k) % 2 != (uint64_t)pass)
                    continue;
                dm_buf_printf(b, "%s%.*s", put++ ? ", " : "", DM_STR_ARG(word));
            }
        }
    return put > 0;
}

/* Some of the longer words that were shown. */
static void put_standing_out(const dm_conversation *c, dm_buf *b, uint64_t seed, int n)
{
    dm_str rest = c->question, word;
    size_t all = 0, k = 0;
    while (dm_next_word(&rest, &word))
        all += word.n >= 5;
    for (int i = 0; i < n && all; i++) {
        size_t wanted = dm_draw(seed, 1, (uint64_t)i) % all;
        rest = c->question;
        for (k = 0; dm_next_word(&rest, &word);)
            if (word.n >= 5 && k++ == wanted)
                break;
        word = dm_utf8_head(word, 24);
        dm_buf_printf(b, "%s%.*s", i ? ", " : "", DM_STR_ARG(word));
    }
}

static void put_instruction(const dm_conversation *c, dm_buf *b, uint64_t seed)
{
    static const char *const openings[] = {
        "Read the text and give the answer", "Decide by the words that matter",
        "Compare with the examples and answer as the nearest one does",
        "Answer in the same manner as the examples"};
    shown demos[MOST_DEMOS];
    size_t n = of_one_field(demos, read_shown(c, demos)), labels = 0;
    dm_buf_printf(b, "%s.", openings[dm_draw(seed, 0, 0) % 4]);
    for (size_t i = 0; i < n && labels < MOST_LABELS; i++) {
        if (has_label(demos, i, demos[i].label))
            continue;
        dm_buf_printf(b, "%s%.*s: ", labels++ ? "; " : " Signs of each answer.\n",
                      DM_STR_ARG(demos[i].label));
        if (!put_clues(b, demos, n, demos[i].label, seed))
            dm_buf_text(b, "anything else");
    }
    if (labels == 0) {
        dm_buf_text(b, " Pay attention to: ");
        put_standing_out(c, b, seed, 4);
    }
    dm_buf_char(b, '.');
}

dm_value *dm_proposal(const dm_conversation *c, dm_str field, int64_t rollout)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    if (memmem(field.p, field.n, "instruction", strlen("instruction"))) {
        put_instruction(c, &b, (uint64_t)rollout);
    } else {
        dm_buf_text(&b, "It is about: ");
        put_standing_out(c, &b, (uint64_t)rollout, 6);
        dm_buf_char(&b, '.');
    }
    dm_value *v = dm_value_string(c->arena, dm_buf_view(&b));
    dm_buf_free(&b);
    return v;
}
