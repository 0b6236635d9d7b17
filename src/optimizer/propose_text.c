/* What the proposer is shown, and how its answers are cleaned (contract 8.4, Grounded proposer). */
#include "base/utf8.h"
#include "json/json.h"
#include "optimizer/mipro.h"

#define MOST_SHOWN 3 /* demonstrations */

const char *dm_tip(size_t tip)
{
    static const char *const tips[DM_TIPS] = {
        "",
        "Take an unusual angle: a fresh wording may work where the obvious one does not.",
        "Keep it short and plain.",
        "Say in detail what is given, what is wanted and what to watch out for.",
        "Make clear that much hangs on the answer, so that it is worked out with care.",
        "Give the model a role that fits the task, and speak to it in that role."};
    return tips[tip < DM_TIPS ? tip : 0];
}

static dm_str taken(dm_arena *a, dm_buf *b)
{
    dm_str s = {dm_arena_string(a, b->data ? b->data : "", b->len), b->len};
    dm_buf_free(b);
    return s;
}

static void put_names(dm_buf *b, const dm_field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dm_buf_printf(b, "%s%.*s", i ? ", " : "", DM_STR_ARG(fields[i].name));
}

static const char *module_name(dm_module m)
{
    return m == DM_CHAIN_OF_THOUGHT ? "ChainOfThought" : "Predict";
}

dm_str dm_module_line(dm_arena *a, const dm_predictor *p)
{
    const dm_signature *s = p->signature;
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    if (p->step.n)
        dm_buf_printf(&b, "%.*s = ", DM_STR_ARG(p->step));
    dm_buf_printf(&b, "%s(", module_name(p->module));
    put_names(&b, s->fields, s->n_inputs);
    dm_buf_text(&b, ") -> ");
    put_names(&b, s->fields + s->n_inputs, s->n_outputs);
    return taken(a, &b);
}

/* Types and what the fields are said to be, where it is more than the name. */
static void put_fields(dm_buf *b, const dm_signature *s)
{
    for (size_t i = 0; i < s->n_inputs + s->n_outputs; i++) {
        const dm_field *f = &s->fields[i];
        dm_buf_printf(b, "    # %.*s: ", DM_STR_ARG(f->name));
        dm_type_python(b, f->type);
        if (f->desc.n && f->desc.p[0] != '$')
            dm_buf_printf(b, ", %.*s", DM_STR_ARG(f->desc));
        dm_buf_char(b, '\n');
    }
}

dm_str dm_program_outline(dm_arena *a, const dm_program *p)
{
    if (p->source)
        return dm_str_of(p->source);
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_buf_text(&b, "def program(");
    for (size_t i = 0; i < p->n_inputs; i++)
        dm_buf_printf(&b, "%s%.*s", i ? ", " : "", DM_STR_ARG(p->inputs[i]));
    dm_buf_text(&b, "):\n");
    for (size_t i = 0; i < p->n; i++) {
        const dm_predictor *x = &p->predictors[i];
        const dm_signature *s = x->signature;
        put_fields(&b, s);
        dm_buf_text(&b, "    ");
        put_names(&b, s->fields + s->n_inputs, s->n_outputs);
        dm_buf_printf(&b, " = %s%s%.*s(", module_name(x->module), x->step.n ? "_" : "",
                      DM_STR_ARG(x->step));
        put_names(&b, s->fields, s->n_inputs);
        dm_buf_text(&b, ")\n");
    }
    const dm_signature *last = p->predictors[p->n - 1].signature;
    dm_buf_text(&b, "    return ");
    put_names(&b, last->fields + last->n_inputs, last->n_outputs);
    return taken(a, &b);
}

dm_str dm_rows_text(dm_arena *a, const dm_dataset *d, size_t from, size_t n)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    for (size_t i = from; i < d->n && i < from + n; i++) {
        if (i > from)
            dm_buf_char(&b, '\n');
        dm_json_write(&b, d->examples[i].row, DM_JSON_PYTHON);
    }
    return taken(a, &b);
}

static void put_demo(dm_buf *b, const dm_signature *s, const dm_value *demo)
{
    bool first = true;
    for (size_t i = 0; i < s->n_inputs + s->n_outputs; i++) {
        const dm_value *v = dm_value_get_str(demo, s->fields[i].name);
        if (!v)
            continue;
        dm_buf_printf(b, "%s%.*s ", first ? "" : "\n", DM_STR_ARG(s->fields[i].prefix));
        dm_py_str(b, v);
        first = false;
    }
    dm_buf_text(b, "\n\n");
}

/* Demonstrations of one kind, from set `from` on and round; how many were put. */
static size_t put_demos(dm_buf *b, const dm_program *program, size_t predictor,
                        const dm_demo_sets *sets, size_t n_sets, size_t from, bool augmented)
{
    size_t n = 0;
    for (size_t i = 0; i < n_sets && n < MOST_SHOWN; i++) {
        const dm_demo_set *set = dm_demo_sets_get(sets, (from + i) % n_sets);
        const dm_candidate_part *part = &set->candidate->parts[predictor];
        for (size_t k = 0; k < part->n_demos && n < MOST_SHOWN; k++) {
            if ((dm_value_get(part->demos[k], "augmented") != NULL) != augmented)
                continue;
            put_demo(b, program->predictors[predictor].signature, part->demos[k]);
            n++;
        }
    }
    return n;
}

dm_str dm_task_demos(dm_arena *a, const dm_program *program, size_t predictor,
                     const dm_demo_sets *sets, size_t n_sets, size_t from)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    /* Where nothing was bootstrapped, DSPy shows none; labelled ones say what the task is. */
    if (put_demos(&b, program, predictor, sets, n_sets, from, true) == 0)
        put_demos(&b, program, predictor, sets, n_sets, from, false);
    return taken(a, &b);
}

/* ---- answers ---- */

static bool is_word_char(dm_str s, size_t *pos)
{
    size_t at = *pos;
    uint32_t c = dm_utf8_next(s, &at);
    if (c != '\'' && c != '-' && !dm_py_isword(c))
        return false;
    *pos = at;
    return true;
}

static size_t skip_spaces(dm_str s, size_t pos, bool stars)
{
    for (size_t at = pos; at < s.n;) {
        uint32_t c = dm_utf8_next(s, &at);
        if (!dm_py_isspace(c) && !(stars && c == '*'))
            break;
        pos = at;
    }
    return pos;
}

/* Length of up to five words and a colon behind them, with the blanks around; 0: no such start. */
static size_t prefix_length(dm_str s)
{
    size_t pos = skip_spaces(s, 0, true);
    for (int words = 0; words < 5; words++) {
        size_t start = pos;
        while (pos < s.n && is_word_char(s, &pos))
            ;
        if (pos == start)
            return 0;
        if (pos < s.n && s.p[pos] == ':')
            return skip_spaces(s, pos + 1, false);
        size_t next = skip_spaces(s, pos, false);
        if (next == pos)
            return 0;
        pos = next;
    }
    return 0;
}

dm_str dm_strip_prefix(dm_str s)
{
    size_t n = prefix_length(s);
    s = (dm_str){s.p + n, s.n - n};
    while (s.n && s.p[0] == '"')
        s = (dm_str){s.p + 1, s.n - 1};
    while (s.n && s.p[s.n - 1] == '"')
        s.n--;
    return s;
}
