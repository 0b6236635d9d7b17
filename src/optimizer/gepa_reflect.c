/* A reflection: the prompt model sees an instruction, what a predictor made of some inputs by it,
 * and what the metric says about that, and writes a better one (A.5). The wording is
 * ours. */
#include "base/log.h"
#include "base/utf8.h"
#include "json/json.h"
#include "optimizer/gepa.h"
#include "optimizer/leak.h"
#include "pool/question.h"

#include <math.h>
#include <string.h>

static const char instructions[] =
    "You improve the instruction of one step of a program that calls a language model. Whoever "
    "follows the instruction sees nothing but the instruction, the names of the fields, and the "
    "inputs of one case; no case that you see here, and no feedback.\n"
    "\n"
    "You see the instruction as it is now, and cases: what went in, what came out, and feedback on "
    "it. Read them for three things. What do the inputs look like, and what is asked for? Which "
    "facts and rules of the subject does the feedback reveal that a reader could not know? Which "
    "ways of going about it worked, and which did not?\n"
    "\n"
    "Then write a new instruction that holds all of it and can be understood by itself. Keep what "
    "is right in the present one. State rules in general terms: do not copy cases into it, and do "
    "not give away the answers of these. Say which form the output has to have, where cases fell "
    "short of it. Give the text of the instruction alone.";

static const char shortening[] =
    "You shorten an instruction for one step of a program that calls a language model. Keep each "
    "rule, each fact and what is said of the form of the output, in as few words as they take: the "
    "new instruction may have no more characters than are given. Give its text alone.";

/* ---- what is said about a row ---- */

static void say_field(dm_buf *b, const char *what, dm_str name, const dm_value *v)
{
    dm_buf_printf(b, "%s %.*s: ", what, DM_STR_ARG(name));
    dm_py_str(b, v);
    dm_buf_text(b, "\n");
}

/* The label and the answer, where a column and an output have the same name; else all columns
 * that are not inputs. */
static void compare_labels(dm_buf *b, const dm_program *p, const dm_value *row,
                           const dm_value *outputs)
{
    for (size_t i = 0; i < row->n; i++) {
        dm_str name = row->members[i].key;
        bool input = false;
        for (size_t k = 0; k < p->n_inputs && !input; k++)
            input = dm_str_eq(p->inputs[k], name);
        if (input || dm_str_is(name, "id"))
            continue;
        const dm_value *came = dm_value_get_str(outputs, name);
        say_field(b, "Expected", name, row->members[i].value);
        if (came && !dm_value_equal(came, row->members[i].value))
            say_field(b, "The program's", name, came);
    }
}

static dm_str text_of(dm_arena *a, dm_buf *b)
{
    dm_str s = {dm_arena_string(a, b->data ? b->data : "", b->len), b->len};
    dm_buf_free(b);
    return s;
}

/* Of a sum, what each part came to. */
static void say_parts(dm_buf *b, dm_arena *a, const dm_result *r)
{
    const dm_value *parts = r->parts.p ? dm_json_read(a, r->parts, NULL) : NULL;
    for (size_t i = 0; parts && parts->kind == DM_LIST && parts->n > 1 && i < parts->n; i++) {
        const dm_value *name = dm_value_get(parts->items[i], "metric"),
                       *score = dm_value_get(parts->items[i], "score");
        if (name && score && name->kind == DM_STRING && score->kind == DM_FLOAT)
            dm_buf_printf(b, "%s%.*s %.4g", i ? ", " : "Of it: ", DM_STR_ARG(name->text),
                          score->number);
    }
    if (parts && parts->kind == DM_LIST && parts->n > 1)
        dm_buf_text(b, ".\n");
}

/* What a command or a program in Python says about the predictor is all the feedback. Other
 * metrics give the score and what they say, or else the labels. A judge may not say what was
 * expected. */
static dm_str feedback_on(dm_arena *a, const dm_program *p, size_t predictor, const dm_example *e,
                          const dm_result *r, size_t step)
{
    dm_str said = dm_feedback_on(a, r->feedback, p->predictors[predictor].path, step);
    if (said.n && !r->parts.p)
        return said;
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_buf_printf(&b, "Score: %.4g of 1.\n", r->score);
    say_parts(&b, a, r);
    if (said.n)
        dm_buf_printf(&b, "%.*s\n", DM_STR_ARG(said));
    if (r->error)
        dm_buf_printf(&b, "%s\n", r->error);
    const dm_value *outputs = r->outputs.p ? dm_json_read(a, r->outputs, NULL) : NULL;
    if (!(r->score >= 1))
        compare_labels(&b, p, e->row, outputs);
    return text_of(a, &b);
}

/* The form that an answer of the predictor has to have. */
static dm_str expected_form(dm_arena *a, const dm_signature *s)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_buf_text(&b, "The answer could not be read. It has to give");
    for (size_t i = s->n_inputs; i < s->n_inputs + s->n_outputs; i++) {
        dm_buf_printf(&b, "%s `%.*s`", i == s->n_inputs ? "" : ",", DM_STR_ARG(s->fields[i].name));
        if (s->fields[i].typed) {
            dm_buf_text(&b, ": ");
            dm_type_python(&b, s->fields[i].type);
        }
    }
    dm_buf_text(&b, ", each in the form that is asked for.");
    return text_of(a, &b);
}

/* component: the predictor that it is about; the step may be that of another with its signature. */
static const dm_value *row_of(dm_arena *a, const dm_compile_input *in, const dm_gepa_shown *shown,
                              size_t component)
{
    const dm_step *step = shown->step->of;
    const dm_result *run = shown->run->of;
    const dm_program *p = in->student->program;
    dm_value *d = dm_value_dict(a);
    bool failed = shown->step->failed;
    dm_value_set(a, d, DM_STR("inputs"), step->inputs);
    dm_value_set(a, d, DM_STR("outputs"),
                 failed ? dm_value_string(a, step->unread) : step->outputs);
    dm_str said = failed ? expected_form(a, p->predictors[step->predictor].signature)
                         : feedback_on(a, p, component, &in->trainset->examples[shown->row], run,
                                       (size_t)(step - run->steps));
    dm_value_set(a, d, DM_STR("feedback"), dm_value_string(a, said));
    return d;
}

/* ---- the question ---- */

/* An answer in JSON with another key, which nobody asked for. */
static bool is_object(dm_str s)
{
    return s.n > 1 && s.p[0] == '{' && s.p[s.n - 1] == '}';
}

/* The field. Where the answer could not be read, the text between fences in it. */
static dm_str instruction_in(const dm_gepa_asking *x, const dm_result *r)
{
    dm_arena *a = dm_pool_arena(x->pool);
    const dm_value *v =
        r->outputs.p ? dm_value_get(dm_json_read(a, r->outputs, NULL), "new_instruction") : NULL;
    if (v && v->kind == DM_STRING)
        return x->verbatim ? dm_py_strip(v->text) : dm_gepa_unwrapped(v->text);
    dm_str unread = r->n_steps ? r->steps[r->n_steps - 1].unread : (dm_str){NULL, 0};
    bool fenced = r->fault == DM_FAULT_PARSE && unread.p && memmem(unread.p, unread.n, "```", 3);
    dm_str text = fenced ? dm_gepa_fenced(unread) : (dm_str){NULL, 0};
    return is_object(text) ? (dm_str){NULL, 0} : text;
}

static dm_future *ask(const dm_gepa_asking *x, const dm_gepa_question *q)
{
    dm_arena *a = dm_pool_arena(x->pool);
    dm_model_question asked = dm_model_question_new(x->pool, instructions);
    dm_value *cases = dm_value_list(a);
    for (size_t i = 0; i < q->n_shown; i++)
        dm_value_append(a, cases, row_of(a, x->in, &q->shown[i], q->component));
    dm_model_question_show_value(&asked, "current_instruction", NULL,
                                 "the instruction as it is now",
                                 dm_value_string(a, q->texts[q->component]));
    dm_model_question_show_value(&asked, "cases", "list[dict]",
                                 "what it led to: inputs, outputs, and feedback on the outputs",
                                 cases);
    if (x->max_chars)
        dm_model_question_show_value(&asked, "most_characters", "int",
                                     "how many the new instruction may have",
                                     dm_value_int(a, (int64_t)x->max_chars));
    return dm_model_question_ask(&asked, "new_instruction", "the better instruction, whole",
                                 (dm_work){.role = DM_PROMPT,
                                           .steps = true,
                                           .rollout = q->again ? 1 : -1,
                                           .temperature = NAN});
}

static dm_future *ask_shorter(const dm_gepa_asking *x, dm_str text)
{
    dm_arena *a = dm_pool_arena(x->pool);
    dm_model_question asked = dm_model_question_new(x->pool, shortening);
    dm_model_question_show(&asked, "current_instruction", "the instruction as it is now", text);
    dm_model_question_show_value(&asked, "most_characters", "int",
                                 "how many the new instruction may have",
                                 dm_value_int(a, (int64_t)x->max_chars));
    return dm_model_question_ask(
        &asked, "new_instruction", "the shorter instruction, whole",
        (dm_work){.role = DM_PROMPT, .steps = true, .rollout = -1, .temperature = NAN});
}

static const char *why_none(const dm_result *r)
{
    if (r->fault == DM_FAULT_NONE)
        return "an instruction without text";
    if (r->fault == DM_FAULT_PARSE)
        return "an answer that could not be read";
    return r->error && *r->error ? r->error : dm_fault_name(r->fault);
}

/* futures[n], NULL: nothing is asked there, and texts[i] stays. */
static dm_status await(dm_gepa_asking *x, dm_future **futures, size_t n, dm_str *texts,
                       dm_error *err)
{
    const dm_result *r = NULL;
    for (size_t i = 0; i < n; i++) {
        dm_status st = futures[i] ? dm_pool_wait(x->pool, futures[i], &r, err) : DM_OK;
        if (st != DM_OK)
            return st;
        if (futures[i])
            texts[i] = instruction_in(x, r);
        if (texts[i].n == 0)
            texts[i].p = NULL;
        if (futures[i] && !texts[i].p)
            x->why = why_none(r);
    }
    return DM_OK;
}

static bool is_too_long(const dm_gepa_asking *x, dm_str text)
{
    return x->max_chars && text.p && dm_utf8_length(text) > x->max_chars;
}

/* What is too long is asked for once more. */
static dm_status shorten(dm_gepa_asking *x, dm_str *texts, size_t n, dm_error *err)
{
    dm_future **futures = dm_arena_alloc_n(dm_pool_arena(x->pool), n, sizeof(dm_future *));
    for (size_t i = 0; i < n; i++) {
        if (!is_too_long(x, texts[i]))
            continue;
        futures[i] = ask_shorter(x, texts[i]);
        x->more++;
        if (!futures[i])
            return dm_fail(err, DM_E_INTERNAL, "gepa: no program for a shorter instruction");
    }
    dm_status st = await(x, futures, n, texts, err);
    for (size_t i = 0; i < n && st == DM_OK; i++)
        if (is_too_long(x, texts[i])) {
            x->too_long++;
            texts[i] = (dm_str){"", 0};
        }
    return st;
}

/* Whether a row that was shown has a run of it that is as long. Then that row is the one to
 * report. */
static bool was_shown(const dm_gepa_asking *x, const dm_gepa_question *q, dm_str text, dm_leak *l)
{
    dm_arena *a = dm_pool_arena(x->pool);
    size_t *rows = dm_arena_alloc_n(a, q->n_shown, sizeof *rows);
    dm_compile_input shown = *x->in;
    dm_leak found;
    for (size_t i = 0; i < q->n_shown; i++)
        rows[i] = q->shown[i].row;
    shown.trainset = dm_dataset_pick(a, x->in->trainset, rows, q->n_shown);
    shown.valset = shown.testset = NULL;
    dm_leaks_find(&shown, &text, 1, &found);
    if (found.words < l->words)
        return false;
    *l = found;
    return true;
}

static void look_for_leaks(dm_gepa_asking *x, const dm_gepa_question *q, size_t n, dm_str *texts)
{
    dm_leak *leaks = dm_arena_alloc_n(dm_pool_arena(x->pool), n, sizeof *leaks);
    dm_leaks_find(x->in, texts, n, leaks);
    for (size_t i = 0; i < n; i++) {
        if (leaks[i].words == 0)
            continue;
        x->leaks++;
        bool shown = was_shown(x, &q[i], texts[i], &leaks[i]);
        dm_str run = dm_utf8_head(leaks[i].run, 100);
        dm_log(DM_WARN,
               "iteration %zu: a proposed instruction copies %zu words of the %s, %s, which it was "
               "%sshown, and is %s: %.*s",
               q[i].iteration + 1, leaks[i].words, leaks[i].set, leaks[i].id, shown ? "" : "not ",
               x->drop_leaks ? "dropped" : "kept", DM_STR_ARG(run));
        if (!x->drop_leaks)
            continue;
        x->dropped++;
        texts[i] = (dm_str){"", 0};
    }
}

dm_status dm_gepa_ask(dm_gepa_asking *x, const dm_gepa_question *q, size_t n, dm_str *texts,
                      dm_error *err)
{
    dm_future **futures = dm_arena_alloc_n(dm_pool_arena(x->pool), n, sizeof(dm_future *));
    for (size_t i = 0; i < n; i++) {
        futures[i] = ask(x, &q[i]);
        if (!futures[i])
            return dm_fail(err, DM_E_INTERNAL, "gepa: no program for a reflection");
    }
    dm_status st = await(x, futures, n, texts, err);
    if (st == DM_OK)
        st = shorten(x, texts, n, err);
    if (st == DM_OK)
        look_for_leaks(x, q, n, texts);
    return st;
}
