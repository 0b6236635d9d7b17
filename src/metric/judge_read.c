/* What a job says of a judge: its question, and where that one's inputs come from. */
#include "json/json.h"
#include "metric/judge_inside.h"

#include <stdio.h>
#include <string.h>

/* ---- where a value comes from ---- */

static bool has_column(const dm_judge_world *w, dm_str name)
{
    for (size_t s = 0; s < w->n_sets; s++)
        if (w->sets[s]->n)
            return dm_value_get_str(w->sets[s]->examples[0].row, name) != NULL;
    return false;
}

static dm_str behind(dm_str s, const char *start)
{
    size_t n = strlen(start);
    bool begins = s.n > n && memcmp(s.p, start, n) == 0;
    return begins ? (dm_str){s.p + n, s.n - n} : (dm_str){NULL, 0};
}

/* False: there is no such column or output. */
static bool find_source(const dm_judge_world *w, dm_str name, dm_judge_input *in)
{
    dm_str predicted = behind(name, "predicted_"), expected = behind(name, "expected_");
    in->name = in->from = name;
    in->of_prediction = false;
    if (has_column(w, name))
        return true;
    in->of_prediction = true;
    if (dm_metric_output(w->program, name))
        return true;
    if (predicted.p && dm_metric_output(w->program, predicted)) {
        in->from = predicted;
        return true;
    }
    in->of_prediction = false;
    in->from = expected;
    return expected.p && has_column(w, expected);
}

static dm_status read_source(const dm_judge_world *w, const dm_at *inputs, dm_str name,
                             dm_judge_input *in, dm_error *err)
{
    dm_at at = dm_at_key(inputs, name.p);
    dm_str from = {NULL, 0};
    dm_status st = dm_get_string(&at, &from, err);
    if (st != DM_OK)
        return st;
    if (!from.p && find_source(w, name, in))
        return DM_OK;
    if (!from.p)
        return dm_at_fail(inputs, err,
                          "the judge is to be shown \"%.*s\", which is neither a column of the "
                          "data nor an output of the program: write {\"inputs\": {\"%.*s\": "
                          "\"prediction.OUTPUT\"}}, or \"example.COLUMN\"",
                          DM_STR_ARG(name), DM_STR_ARG(name));
    dm_str output = behind(from, "prediction."), column = behind(from, "example.");
    *in = (dm_judge_input){name, output.p ? output : column, output.p != NULL};
    if (output.p && dm_metric_output(w->program, output))
        return DM_OK;
    if (column.p && has_column(w, column))
        return DM_OK;
    return dm_at_fail(&at, err,
                      "\"prediction.OUTPUT\" with an output of the program's last step, or "
                      "\"example.COLUMN\" with a column of the data");
}

/* Every example has the columns that the judge is shown. */
static dm_status check_rows(const dm_judge_world *w, const dm_judge_call *call, const char *metric,
                            dm_error *err)
{
    for (size_t k = 0; k < call->n; k++)
        for (size_t s = 0; s < w->n_sets && !call->inputs[k].of_prediction; s++)
            for (size_t i = 0; i < w->sets[s]->n; i++)
                if (!dm_value_get_str(w->sets[s]->examples[i].row, call->inputs[k].from))
                    return dm_fail(err, DM_E_DATA,
                                   "%s: example %zu has no column \"%.*s\", which the metric %s "
                                   "shows the judge",
                                   w->sets[s]->path, i + 1, DM_STR_ARG(call->inputs[k].from),
                                   metric);
    return DM_OK;
}

/* ---- a signature of one's own ---- */

static dm_status read_program(const dm_judge_world *w, const dm_at *at, dm_judge_call *call,
                              dm_error *err)
{
    dm_at program = *at;
    if (!dm_is_native_program(at->v)) {
        dm_value *d = dm_value_dict(w->a);
        dm_value_set(w->a, d, DM_STR("predict"), at->v);
        program.v = d;
    }
    const dm_program *p = dm_program_read(w->a, &program, err);
    if (!p)
        return err->status;
    if (p->n != 1)
        return dm_at_fail(at, err, "a judge is one predictor, and has no steps");
    call->candidate = dm_candidate_seal(dm_candidate_new(w->a, p));
    return DM_OK;
}

static bool is_number(const dm_type *t)
{
    bool numbers = t->kind == DM_T_LITERAL && t->n > 0;
    for (size_t i = 0; numbers && i < t->n; i++)
        numbers = t->members[i]->kind == DM_INT || t->members[i]->kind == DM_BOOL;
    return numbers || t->kind == DM_T_BOOL || t->kind == DM_T_INT || t->kind == DM_T_FLOAT;
}

/* The only number among the outputs; a name that is given is that of a number. */
static dm_status find_score(const dm_at *at, const dm_program *p, dm_judge_part *part,
                            dm_error *err)
{
    const dm_signature *s = p->predictors[0].signature;
    size_t n = 0;
    bool given = part->score.p != NULL;
    for (size_t i = s->n_inputs; i < s->n_inputs + s->n_outputs; i++) {
        const dm_field *f = &s->fields[i];
        bool named = given && dm_str_eq(f->name, part->score);
        if (named && is_number(f->type))
            return DM_OK;
        if (!given && is_number(f->type) && n++ == 0)
            part->score = f->name;
    }
    if (n == 1)
        return DM_OK;
    return dm_at_fail(at, err,
                      "score: name an output of the judge that is a bool, an int, a float or a "
                      "Literal of such, such "
                      "as {\"judge\": \"question, answer, predicted_answer -> right: bool\", "
                      "\"score\": \"right\"}");
}

static dm_status find_feedback(const dm_at *at, const dm_program *p, dm_judge_part *part,
                               dm_error *err)
{
    if (!part->feedback.p && p->predictors[0].module == DM_CHAIN_OF_THOUGHT)
        part->feedback = DM_STR("reasoning");
    if (!part->feedback.p || dm_metric_output(p, part->feedback))
        return DM_OK;
    dm_at feedback = dm_at_key(at, "feedback");
    return dm_at_fail(&feedback, err, "\"%.*s\" is not an output of the judge",
                      DM_STR_ARG(part->feedback));
}

static dm_status read_range(const dm_at *at, dm_judge_part *p, dm_error *err)
{
    dm_at range = dm_at_key(at, "range");
    p->low = 0;
    p->high = 1;
    if (!range.v)
        return DM_OK;
    if (range.v->kind != DM_LIST || range.v->n != 2)
        return dm_at_fail(&range, err, "the lowest and the highest score, such as [1, 5]");
    dm_at low = dm_at_item(&range, 0), high = dm_at_item(&range, 1);
    DM_TRY(dm_get_number(&low, -1e9, 1e9, &p->low, err));
    DM_TRY(dm_get_number(&high, -1e9, 1e9, &p->high, err));
    return p->low >= p->high
               ? dm_at_fail(&range, err, "the lowest and the highest score, such as [1, 5]")
               : DM_OK;
}

/* A score that the judge may give and that is no score would be told only once it is paid for; of 1
 * to 5 the 1 would even be taken for the best. */
static dm_status check_range(const dm_at *at, const dm_program *p, const dm_judge_part *part,
                             dm_error *err)
{
    const dm_type *t = dm_metric_output(p, part->score)->type;
    for (size_t i = 0; t->kind == DM_T_LITERAL && i < t->n; i++) {
        const dm_value *v = t->members[i];
        double x = v->kind == DM_BOOL ? v->boolean : v->number;
        if (x < part->low || x > part->high)
            return dm_at_fail(at, err,
                              "the judge's `%.*s` may be %g, and scores are from %g to %g: say "
                              "which are the lowest and the highest with {\"range\": [1, 5]}",
                              DM_STR_ARG(part->score), x, part->low, part->high);
    }
    return DM_OK;
}

static dm_status read_inputs(const dm_judge_world *w, const dm_at *at, dm_judge_call *call,
                             dm_error *err)
{
    const dm_program *p = call->candidate->program;
    dm_at inputs = dm_at_key(at, "inputs");
    const char **names = dm_arena_alloc_n(w->a, p->n_inputs, sizeof *names);
    call->n = p->n_inputs;
    call->inputs = dm_arena_alloc_n(w->a, call->n, sizeof *call->inputs);
    for (size_t i = 0; i < call->n; i++)
        names[i] = p->inputs[i].p;
    dm_status st = dm_get_known(&inputs, names, call->n, err);
    if (!inputs.v)
        snprintf(inputs.path, sizeof inputs.path, "%s", at->path);
    for (size_t i = 0; i < call->n && st == DM_OK; i++)
        st = read_source(w, &inputs, p->inputs[i], &call->inputs[i], err);
    return st;
}

static bool shows_prediction(const dm_judge_call *call)
{
    for (size_t i = 0; i < call->n; i++)
        if (call->inputs[i].of_prediction)
            return true;
    return false;
}

dm_status dm_judge_read_own(const dm_judge_world *w, const dm_at *at, dm_judge_part *p,
                            dm_judge_call *call, dm_error *err)
{
    dm_at judge = dm_at_key(at, "judge"), score = dm_at_key(at, "score"),
          feedback = dm_at_key(at, "feedback");
    p->class = &dm_judge_own;
    p->name = p->class->name;
    DM_TRY(dm_params_known(w->a, p->class->keys, at, NULL, err));
    DM_TRY(read_program(w, &judge, call, err));
    DM_TRY(dm_get_string(&score, &p->score, err));
    DM_TRY(dm_get_string(&feedback, &p->feedback, err));
    DM_TRY(find_score(at, call->candidate->program, p, err));
    DM_TRY(find_feedback(at, call->candidate->program, p, err));
    DM_TRY(read_range(at, p, err));
    DM_TRY(check_range(at, call->candidate->program, p, err));
    DM_TRY(read_inputs(w, at, call, err));
    if (!shows_prediction(call))
        return dm_at_fail(&judge, err,
                          "the judge is shown nothing of what the program answers: add "
                          "predicted_NAME to its inputs, where NAME is an output of the program");
    return check_rows(w, call, p->name, err);
}

/* ---- those with a name ---- */

/* Column or output of the value, by its option. */
static dm_status find_field(const dm_judge_world *w, const dm_at *at, dm_str *field, dm_error *err)
{
    dm_at own = dm_at_key(at, "field");
    dm_status st = dm_get_string(&own, field, err);
    if (st != DM_OK)
        return st;
    if (!field->p && has_column(w, DM_STR("response")) &&
        dm_metric_output(w->program, DM_STR("response")))
        *field = DM_STR("response");
    if (!field->p)
        st = dm_metric_only_label(at, w->program, w->sets, w->n_sets, field, err);
    if (st != DM_OK)
        return st;
    if (!dm_metric_output(w->program, *field))
        return dm_at_fail(at, err, "\"%.*s\" is not an output of the program's last step",
                          DM_STR_ARG(*field));
    return DM_OK;
}

static dm_status find_question(const dm_judge_world *w, const dm_at *at, dm_str *question,
                               dm_error *err)
{
    dm_at own = dm_at_key(at, "question");
    dm_status st = dm_get_string(&own, question, err);
    if (st != DM_OK)
        return st;
    if (!question->p && has_column(w, DM_STR("question")))
        *question = DM_STR("question");
    if (!question->p && w->program->n_inputs == 1)
        *question = w->program->inputs[0];
    if (!question->p || (w->n_sets && !has_column(w, *question)))
        return dm_at_fail(at, err,
                          "say which column of the data is the question with {\"question\": ...}");
    return DM_OK;
}

static dm_status find_context(const dm_judge_world *w, const dm_at *at, dm_judge_input *in,
                              dm_error *err)
{
    dm_at own = dm_at_key(at, "context");
    dm_str from = DM_STR("context");
    dm_status st = dm_get_string(&own, &from, err);
    if (st != DM_OK)
        return st;
    *in = (dm_judge_input){DM_STR("passages"), from, dm_metric_output(w->program, from) != NULL};
    if (in->of_prediction || has_column(w, from))
        return DM_OK;
    return dm_at_fail(at, err,
                      "\"%.*s\" is neither an output of the program's last step nor a column of "
                      "the data: say where the passages are with {\"context\": ...}",
                      DM_STR_ARG(from));
}

static dm_status read_call(const dm_judge_world *w, const char *text, dm_judge_call *call,
                           dm_error *err)
{
    const dm_value *v = dm_json_read(w->a, dm_str_of(text), err);
    if (!v)
        return DM_E_INTERNAL;
    dm_at at = dm_at_root(v, "judge", DM_E_INTERNAL);
    return read_program(w, &at, call, err);
}

/* The inputs of a question of ours are named in it. */
static void set_inputs(const dm_judge_world *w, dm_judge_call *call, dm_str question, dm_str field,
                       const dm_judge_input *passages)
{
    const dm_program *p = call->candidate->program;
    call->n = p->n_inputs;
    call->inputs = dm_arena_alloc_n(w->a, call->n, sizeof *call->inputs);
    for (size_t i = 0; i < call->n; i++) {
        dm_str name = p->inputs[i];
        call->inputs[i] = dm_str_is(name, "question") ? (dm_judge_input){name, question, false}
                          : dm_str_is(name, "passages")
                              ? *passages
                              : (dm_judge_input){name, field, dm_str_is(name, "given")};
    }
}

dm_status dm_judge_read_named(const dm_judge_world *w, const dm_at *at, dm_judge_part *p,
                              dm_judge_call *calls, double *threshold, dm_error *err)
{
    const dm_judge_class *class = p->class;
    dm_str field = {NULL, 0}, question = {NULL, 0};
    dm_judge_input passages = {{NULL, 0}, {NULL, 0}, false};
    bool by_ideas = false;
    dm_at ideas = dm_at_key(at, "decompositional");
    p->name = class->name;
    *threshold = class->threshold;
    dm_status st = at->v->kind == DM_DICT ? dm_metric_known(w->a, at, class->keys, err) : DM_OK;
    if (st == DM_OK)
        st = dm_get_bool(&ideas, &by_ideas, err);
    if (st == DM_OK)
        st = find_field(w, at, &field, err);
    if (st == DM_OK)
        st = find_question(w, at, &question, err);
    if (st == DM_OK && class->context)
        st = find_context(w, at, &passages, err);
    for (size_t k = 0; k < class->n_calls && st == DM_OK; k++) {
        st = read_call(w, by_ideas ? class->by_ideas[k] : class->asks[k], &calls[k], err);
        if (st != DM_OK)
            break;
        set_inputs(w, &calls[k], question, field, &passages);
        st = check_rows(w, &calls[k], p->name, err);
    }
    return st;
}
