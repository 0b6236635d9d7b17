/* The life of a run: ask -> answer -> parse (-> ask again in JSON mode -> parse) -> next predictor
 * -> metric -> done. */
#include "runner/prepared.h"

#include <math.h>
#include <string.h>

#define MOST_CALLS                                                                                 \
    6 /* of a predictor: its own form and its fallback, in each format until one is taken */

struct dm_run {
    dm_runner *runner;
    dm_prepared *prepared;
    const dm_value *row;
    dm_hash fingerprint;
    dm_arena *arena;
    dm_run_answered *answered;
    dm_run_done *done;
    void *user;

    size_t predictor;     /* the one that is asking */
    dm_adapter mode;      /* the fallback once an answer did not parse */
    const char *unparsed; /* what was wrong with that answer; NULL: it has not come to that */
    dm_str unread;        /* that answer */
    uint32_t call;
    uint64_t lm_id; /* of the call in flight; 0: none */
    dm_lm_request request;
    dm_hash *keys;      /* [result.n_keys] of its requests, the last one asked for now */
    int64_t most;       /* requests; 0: any number */
    int64_t requests;   /* made so far */
    int64_t odd_before; /* replies to this request that were no answers */
    bool asks_only;     /* see dm_run_ask_only */
    bool finding;       /* whether others have asked the same */
    bool made;          /* the newest answer is to a call of its own, so it has its place */
    unsigned refused;   /* formats, as dm_run_formats says */
    bool asks_format;
    const dm_value *held; /* outputs of the first step, while its question is out; else NULL */
    bool scoring;         /* the metric has the prediction */
    bool cancelled;
    const dm_value *fields; /* the row, and the outputs so far */
    dm_step *steps;         /* [program->n] */
    dm_run_result result;
};

static void ask(dm_run *run);

static bool has_steps(const dm_run *run)
{
    const dm_work *w = &run->prepared->spec.work;
    return w->trace || w->steps;
}

/* For people who look at a result; the metric is given steps only where they are its trace. */
static const dm_value *steps_before(const dm_run *run)
{
    const dm_run_spec *spec = &run->prepared->spec;
    if (has_steps(run) || run->predictor == 0)
        return NULL;
    dm_value *d = dm_value_dict(run->arena);
    for (size_t i = 0; i < run->predictor; i++)
        dm_value_set(run->arena, d, spec->work.candidate->program->predictors[i].step,
                     run->steps[i].outputs);
    return d;
}

static void finish(dm_run *run)
{
    run->result.before = steps_before(run);
    run->done(run->user, &run->result);
    dm_arena_free(run->arena);
}

static void fail(dm_run *run, dm_fault fault, const char *text)
{
    run->result.fault = fault;
    run->result.score = NAN;
    run->result.error = dm_arena_printf(run->arena, "%s", text ? text : "");
    finish(run);
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

static void scored(void *user, const dm_metric_score *s)
{
    dm_run *run = user;
    run->scoring = false;
    if (run->cancelled) {
        dm_arena_free(run->arena);
    } else if (s->ok) {
        run->result.score = s->score;
        if (s->parts.p)
            run->result.parts =
                (dm_str){dm_arena_string(run->arena, s->parts.p, s->parts.n), s->parts.n};
        if (s->feedback && has_steps(run))
            run->result.feedback = dm_arena_printf(run->arena, "%s", s->feedback);
        finish(run);
    } else {
        fail(run, DM_FAULT_METRIC, s->text);
    }
}

static void program_ended(dm_run *run, const dm_value *outputs)
{
    const dm_run_spec *spec = &run->prepared->spec;
    const dm_step *trace = spec->work.trace ? run->steps : NULL;
    size_t n_steps = has_steps(run) ? n_predictors(run) : 0;
    run->result.outputs = outputs;
    run->result.steps = n_steps ? run->steps : NULL;
    run->result.n_steps = n_steps;
    if (!spec->work.scored || !run->runner->metric) {
        finish(run);
        return;
    }
    run->scoring = true;
    dm_metric_submit(run->runner->metric, run->row, outputs, trace, trace ? n_steps : 0,
                     spec->work.candidate->program, scored, run);
}

static void parsed(dm_run *run, const dm_value *outputs)
{
    dm_step *step = &run->steps[run->predictor];
    step->predictor = run->predictor;
    step->outputs = outputs;
    if (has_steps(run))
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

static bool has_requests_left(const dm_run *run)
{
    return run->most == 0 || run->requests < run->most;
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
    if (own && !has_requests_left(run))
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
        if (format_of(run, run->mode) != DM_FORMAT_NONE && has_requests_left(run)) {
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
    if (!has_steps(run))
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
        fail(run, DM_FAULT_PARSE, err.text);
    }
}

/* NULL: its requests have no keys. */
static const dm_hash *scope(const dm_run *run)
{
    return run->runner->known.scope[run->prepared->spec.work.role];
}

/* The question about formats has none: it is this run's, and of what it comes to nothing is told.
 */
static bool has_key(const dm_run *run)
{
    return !run->asks_only && !run->held && scope(run) != NULL;
}

static void new_answer(dm_run *run, dm_str text, bool truncated, const dm_usage *usage)
{
    if (run->asks_format && run->made && run->request.format != DM_FORMAT_NONE)
        know_formats(run);
    dm_str content = {dm_arena_string(run->arena, text.p, text.n), text.n};
    run->odd_before = 0; /* of the call that is answered now */
    run->call++;
    take_answer(run, content, truncated, usage);
}

/* Whether a refusal of its newest call is not the end of the run. */
static bool bears_refusal(const dm_run *run)
{
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
        fail(run, DM_FAULT_PARSE, run->unparsed);
    } else {
        fail(run, fault, text);
    }
}

/* What its newest request came to is told at once, unless the run ends with it. A 403 or 404 to the
 * first of all may be the server's word to all requests: it does not stand, and is not told. */
static void tell(dm_run *run, const dm_lm_answer *answer)
{
    bool good = answer->fault == DM_FAULT_NONE;
    bool open = answer->fault == DM_FAULT_DENIED && !run->unparsed && bears_refusal(run);
    if (!has_key(run))
        dm_usage_add(&run->result.usage, &answer->usage);
    else if (!good && !(dm_is_refusal(answer->fault) && bears_refusal(run)))
        run->result.call = answer->usage;
    else if (run->answered)
        run->answered(run->user, &run->keys[run->result.n_keys - 1],
                      &(dm_answer){.fault = answer->fault,
                                   .final = !open,
                                   .content = good ? answer->content : dm_str_of(answer->text),
                                   .truncated = answer->truncated,
                                   .usage = answer->usage});
}

/* What an answer cost is told once: with it, or, where there is none, with the result. */
static void called(void *user, const dm_lm_answer *answer)
{
    dm_run *run = user;
    run->lm_id = 0;
    run->requests += answer->usage.requests;
    run->made = true;
    tell(run, answer);
    if (answer->fault != DM_FAULT_NONE)
        no_answer(run, answer->fault, answer->text);
    else if (run->asks_only)
        finish(run);
    else if (run->held)
        format_told(run, false);
    else
        new_answer(run, answer->content, answer->truncated, &answer->usage);
}

static void call(dm_run *run)
{
    run->request.most_sends = run->most ? run->most - run->requests : 0;
    run->request.odd_before = run->odd_before;
    if (run->most && run->request.most_sends <= 0) {
        fail(run, DM_FAULT_TRANSPORT, "the requests that were set aside for the example are used");
        return;
    }
    run->lm_id = dm_lm_submit(run->runner->lm, &run->request, called, run);
}

bool dm_run_finds(const dm_run *run, uint32_t number)
{
    return run->finding && run->call == number;
}

void dm_run_found(dm_run *run, uint32_t number, const dm_answer *answer, int64_t odd_before)
{
    if (!dm_run_finds(run, number))
        return;
    run->finding = false;
    run->odd_before = odd_before;
    run->made = false;
    if (!answer)
        call(run);
    else if (answer->fault == DM_FAULT_NONE)
        new_answer(run, answer->content, answer->truncated, &answer->usage);
    else
        no_answer(run, answer->fault,
                  dm_arena_string(run->arena, answer->content.p, answer->content.n));
}

/* Where a model's answers are not to be shared, not even two of one run are the same request. */
static void add_key(dm_run *run, const dm_sha256 *begun)
{
    const dm_lm_config *c = dm_lm_config_of(run->runner->lm, run->request.role);
    size_t n = run->result.n_keys++;
    if (!run->keys)
        run->keys = dm_arena_alloc_n(run->arena, MOST_CALLS * n_predictors(run), sizeof *run->keys);
    run->result.keys = run->keys;
    run->keys[n] = dm_lm_key(c, begun, &run->request);
    if (c->cache)
        return;
    dm_sha256 s;
    dm_sha256_init(&s);
    dm_sha256_add(&s, run->keys[n].b, sizeof run->keys[n].b);
    dm_sha256_add(&s, &run->call, sizeof run->call);
    run->keys[n] = dm_sha256_end(&s);
}

static void ask(dm_run *run)
{
    const dm_run_spec *spec = &run->prepared->spec;
    const dm_rendered *rendered =
        dm_prepared_prefix(run->prepared, run->runner->lm, run->predictor, run->mode, scope(run),
                           &run->fingerprint, run->arena);
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
        fail(run, DM_FAULT_PROGRAM, err.text);
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
    if (!has_key(run)) {
        call(run);
        return;
    }
    add_key(run, &rendered->key);
    run->finding = true;
    run->runner->known.find(run->user, run->call, &run->keys[run->result.n_keys - 1]);
}

dm_run *dm_run_new(dm_runner *r, dm_prepared *p, const dm_value *row, const dm_hash *fingerprint,
                   dm_run_answered *answered, dm_run_done *done, void *user)
{
    dm_arena *a = dm_arena_new(2048);
    dm_run *run = dm_arena_alloc(a, sizeof *run);
    run->arena = a;
    run->runner = r;
    run->prepared = p;
    run->row = row;
    run->fingerprint = *fingerprint;
    run->answered = answered;
    run->done = done;
    run->user = user;
    run->mode = p->spec.adapter;
    run->fields = row;
    run->result.score = NAN;
    run->steps = dm_arena_alloc_n(a, p->spec.work.candidate->program->n, sizeof *run->steps);
    return run;
}

void dm_run_limit(dm_run *run, int64_t requests)
{
    run->most = requests;
}

void dm_run_formats(dm_run *run, unsigned refused, bool asks)
{
    run->refused = refused;
    run->asks_format = asks;
}

void dm_run_ask_only(dm_run *run)
{
    run->asks_only = true;
}

void dm_run_go(dm_run *run)
{
    ask(run);
}

dm_run_place dm_run_place_of(const dm_run *run)
{
    bool keyed = run->result.n_keys > 0;
    return (dm_run_place){.work = &run->prepared->spec.work,
                          .row = run->row,
                          .adapter = run->mode,
                          .predictor = run->predictor,
                          .call = run->call,
                          .key = keyed ? run->keys[run->result.n_keys - 1] : (dm_hash){{0}},
                          .first = run->requests == 0,
                          .asks_only = run->asks_only,
                          .user = run->user};
}

void dm_run_cancel(dm_run *run)
{
    if (run->lm_id)
        dm_lm_cancel(run->runner->lm, run->lm_id);
    if (run->scoring)
        run->cancelled = true; /* the metric still reads the run's memory; scored() frees it */
    else
        dm_arena_free(run->arena);
}
