/* A program of steps: ask -> answer -> parse (-> ask again in JSON mode -> parse) -> next predictor
 * -> metric -> done. */
#include "runner/inside.h"

#include <math.h>
#include <string.h>

static void ask(dm_run *run);

/* For people who look at a result; the metric is given steps only where they are its trace. */
static const dm_value *steps_before(const dm_run *run)
{
    const dm_run_spec *spec = &run->prepared->spec;
    if (dm_run_has_steps(run) || run->predictor == 0)
        return NULL;
    dm_value *d = dm_value_dict(run->arena);
    for (size_t i = 0; i < run->predictor; i++)
        dm_value_set(run->arena, d, spec->work.candidate->program->predictors[i].step,
                     run->steps[i].outputs);
    return d;
}

static size_t n_predictors(const dm_run *run)
{
    return run->prepared->spec.work.candidate->program->n;
}

static const dm_signature *signature(const dm_run *run)
{
    return run->prepared->spec.work.candidate->program->predictors[run->predictor].signature;
}

/* A program of one module is called with the example's inputs, extras included; a step with the
 * fields of its signature (contract 6, trace entry). */
static const dm_value *call_inputs(dm_run *run)
{
    const dm_run_spec *spec = &run->prepared->spec;
    if (n_predictors(run) == 1)
        return dm_example_inputs(run->arena, run->row, spec->inputs, spec->n_inputs);
    const dm_signature *s = signature(run);
    dm_value *d = dm_value_dict(run->arena);
    for (size_t i = 0; i < s->n_inputs; i++) {
        const dm_value *v = dm_value_get_str(run->fields, s->fields[i].name);
        if (v)
            dm_value_set(run->arena, d, s->fields[i].name, v);
    }
    return d;
}

static const dm_value *with_outputs(dm_run *run, const dm_value *outputs)
{
    dm_value *d = dm_value_dict(run->arena);
    for (size_t i = 0; i < run->fields->n; i++)
        dm_value_set(run->arena, d, run->fields->members[i].key, run->fields->members[i].value);
    for (size_t i = 0; i < outputs->n; i++)
        dm_value_set(run->arena, d, outputs->members[i].key, outputs->members[i].value);
    return d;
}

static void program_ended(dm_run *run, const dm_value *outputs)
{
    const dm_run_spec *spec = &run->prepared->spec;
    const dm_step *trace = spec->work.trace ? run->steps : NULL;
    size_t n_steps = dm_run_has_steps(run) ? n_predictors(run) : 0;
    run->result.outputs = outputs;
    run->result.steps = n_steps ? run->steps : NULL;
    run->result.n_steps = n_steps;
    if (!spec->work.scored || !run->runner->metric) {
        dm_run_finish(run);
        return;
    }
    dm_run_score(run, outputs, trace, trace ? n_steps : 0);
}

static void parsed(dm_run *run, const dm_value *outputs)
{
    dm_step *step = &run->steps[run->predictor];
    step->predictor = run->predictor;
    step->outputs = outputs;
    if (dm_run_has_steps(run))
        step->inputs = call_inputs(run);
    if (run->predictor + 1 == n_predictors(run)) {
        program_ended(run, outputs);
        return;
    }
    run->fields = with_outputs(run, outputs);
    run->predictor++;
    run->unparsed = NULL;
    run->mode = run->prepared->spec.adapter;
    ask(run);
}

/* What a call in that mode asks for, as far as the servers take it. */
static dm_response_format format_of(const dm_run *run, dm_adapter mode)
{
    dm_response_format f = dm_adapter_format(mode, signature(run));
    while (f != DM_FORMAT_NONE && run->refused & DM_FORMAT_BIT(f))
        f = f == DM_FORMAT_SCHEMA ? DM_FORMAT_JSON_OBJECT : DM_FORMAT_NONE;
    return f;
}

/* JSON mode that its servers are known to refuse is not asked for. */
static bool falls_back(const dm_run *run)
{
    dm_adapter fallback = dm_adapter_fallback(run->mode);
    return run->prepared->spec.json_fallback && fallback != run->mode &&
           (format_of(run, fallback) != DM_FORMAT_NONE ||
            dm_adapter_format(fallback, signature(run)) == DM_FORMAT_NONE);
}

static void know_formats(dm_run *run)
{
    run->asks_format = false;
    run->result.formats = DM_FORMATS_ASKED | run->refused;
}

/* The first step is answered, by the model itself. Which formats its servers take shows by this
 * answer, where it was in JSON mode, and else by a question of its own, after which the run goes on
 * from here. */
static bool asks_for_formats(dm_run *run, const dm_value *outputs)
{
    if (!run->asks_format || !run->made)
        return false;
    bool own = run->mode == run->prepared->spec.adapter && falls_back(run);
    if (own && !dm_run_has_requests_left(run))
        return false;
    know_formats(run);
    if (!own)
        return false;
    run->held = outputs;
    run->mode = dm_adapter_fallback(run->mode);
    ask(run);
    return true;
}

/* Only that it was answered counts; a refusal may be of the one format alone. */
static void format_told(dm_run *run, bool refused)
{
    const dm_value *outputs = run->held;
    if (refused && run->request.format != DM_FORMAT_NONE) {
        run->refused |= DM_FORMAT_BIT(run->request.format);
        run->result.formats |= run->refused;
        if (format_of(run, run->mode) != DM_FORMAT_NONE && dm_run_has_requests_left(run)) {
            ask(run);
            return;
        }
    }
    run->held = NULL;
    run->mode = run->prepared->spec.adapter;
    parsed(run, outputs);
}

/* A call in JSON mode was refused: it may be for its format. True: it was asked again without it.
 */
static bool asked_without(dm_run *run)
{
    bool own = run->asks_format && run->mode == run->prepared->spec.adapter;
    if (run->request.format == DM_FORMAT_NONE || !(run->unparsed || own))
        return false;
    run->refused |= DM_FORMAT_BIT(run->request.format);
    if (run->asks_format) /* of its own adapter's call it is not sure before that is answered */
        run->result.formats = run->refused | (run->unparsed ? DM_FORMATS_ASKED : 0);
    if (run->unparsed && format_of(run, run->mode) == DM_FORMAT_NONE)
        return false;
    run->call++;
    run->odd_before = 0;
    ask(run);
    return true;
}

/* A model that thinks was cut before it came to an answer: no demonstration mends that. Its
 * thoughts are told as tokens, or are missing, or stand in the answer. */
static bool is_starved(dm_str content, bool truncated, const dm_usage *usage)
{
    static const char begin[] = "<think>", end[] = "</think>";
    size_t blank = 0;
    while (blank < content.n && strchr(" \t\r\n", content.p[blank]))
        blank++;
    const char *p = content.p + blank;
    size_t n = content.n - blank;
    bool thinks = n >= strlen(begin) && memcmp(p, begin, strlen(begin)) == 0;
    return truncated && (n == 0 || 2 * usage->reasoning > usage->completion ||
                         (thinks && !memmem(p, n, end, strlen(end))));
}

/* What came before, and the answer that could not be read. */
static void trace_unread(dm_run *run, dm_str content)
{
    if (!dm_run_has_steps(run))
        return;
    run->steps[run->predictor] =
        (dm_step){.predictor = run->predictor, .inputs = call_inputs(run), .unread = content};
    run->result.steps = run->steps;
    run->result.n_steps = run->predictor + 1;
}

static void take_answer(dm_run *run, dm_str content, bool truncated, const dm_usage *usage)
{
    const dm_value *outputs = NULL;
    dm_error err = {DM_OK, ""};
    dm_status st;
    run->result.truncated |= truncated;
    if (content.n == 0)
        st = dm_fail(&err, DM_E_PARSE, "The LM returned an empty or null response.");
    else
        st = dm_adapter_parse(run->arena, run->mode, signature(run), content, &outputs, &err);
    if (st == DM_OK) {
        if (!asks_for_formats(run, outputs))
            parsed(run, outputs);
    } else if (st == DM_E_PARSE && falls_back(run)) {
        run->mode = dm_adapter_fallback(run->mode);
        run->unparsed = dm_arena_printf(run->arena, "%s", err.text);
        run->unread = content;
        run->result.fallback = true;
        ask(run);
    } else {
        run->result.starved = is_starved(content, truncated, usage);
        run->result.cut = usage->completion;
        run->result.reasoning = usage->reasoning;
        trace_unread(run, content);
        dm_run_fail(run, DM_FAULT_PARSE, err.text);
    }
}

static void answer(dm_run *run, dm_str content, bool truncated, const dm_usage *usage)
{
    if (run->held) {
        format_told(run, false);
        return;
    }
    if (run->asks_format && run->made && run->request.format != DM_FORMAT_NONE)
        know_formats(run);
    run->odd_before = 0; /* of the call that is answered now */
    run->call++;
    take_answer(run, content, truncated, usage);
}

/* Whether a refusal of its newest call is not the end of the run. */
static bool bears(const dm_run *run, dm_fault refusal)
{
    (void)refusal;
    bool own = run->asks_format && run->mode == run->prepared->spec.adapter &&
               run->request.format != DM_FORMAT_NONE;
    return run->held || run->unparsed || own;
}

static void no_answer(dm_run *run, dm_fault fault, const char *text)
{
    bool refusal = dm_is_refusal(fault);
    if (run->held) {
        format_told(run, refusal);
        return;
    }
    if (refusal && asked_without(run))
        return;
    if (run->asks_format && !run->unparsed)
        run->result.formats = 0;    /* it was not for its format */
    if (refusal && run->unparsed) { /* the answer stays what it was */
        trace_unread(run, run->unread);
        dm_run_fail(run, DM_FAULT_PARSE, run->unparsed);
    } else {
        dm_run_fail(run, fault, text);
    }
}

static void ask(dm_run *run)
{
    const dm_run_spec *spec = &run->prepared->spec;
    const dm_rendered *rendered =
        dm_prepared_prefix(run->prepared, run->runner->lm, run->predictor, run->mode,
                           dm_run_scope(run, spec->work.role), &run->fingerprint, run->arena);
    dm_error err = rendered->error;
    dm_status st = rendered->status;
    dm_str user = {NULL, 0};
    if (st == DM_OK)
        st = dm_adapter_user(run->arena, run->mode, signature(run), run->fields, &user, &err);
    if (st != DM_OK && run->held) {
        format_told(run, false);
        return;
    }
    if (st != DM_OK) {
        dm_run_fail(run, DM_FAULT_PROGRAM, err.text);
        return;
    }
    dm_lm_request *r = &run->request;
    *r = (dm_lm_request){.role = spec->work.role,
                         .prefix = &rendered->prefix,
                         .head = rendered->head,
                         .head_hash = rendered->hash,
                         .user = user,
                         .temperature = spec->work.temperature,
                         .rollout = spec->work.rollout};
    r->format = format_of(run, run->mode);
    r->of_all = r->format != DM_FORMAT_NONE && (run->asks_format || run->held);
    if (r->format == DM_FORMAT_SCHEMA)
        r->schema = dm_prepared_schema(run->prepared, run->predictor);
    dm_run_ask(run, &rendered->key);
}

static void end(dm_run *run)
{
    run->result.before = steps_before(run);
}

const dm_run_kind dm_run_steps = {
    .go = ask, .answer = answer, .no_answer = no_answer, .bears = bears, .end = end};
