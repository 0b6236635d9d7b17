/* The life of a run: ask -> answer -> parse (-> ask again in JSON mode -> parse) -> next predictor
 * -> metric -> done. */
#include "runner/prepared.h"

#include <math.h>
#include <string.h>

struct dm_run {
    dm_runner *runner;
    dm_prepared *prepared;
    const dm_value *row;
    dm_hash fingerprint;
    dm_arena *arena;
    const dm_answer *given; /* [n_given] */
    size_t n_given;
    dm_run_answered *answered;
    dm_run_done *done;
    void *user;

    size_t predictor;     /* the one that is asking */
    dm_adapter mode;      /* the fallback once an answer did not parse */
    const char *unparsed; /* what was wrong with that answer; NULL: it has not come to that */
    uint32_t call;
    uint64_t asked;
    uint64_t lm_id; /* of the call in flight; 0: none */
    dm_lm_request request;
    dm_hash key;        /* of the request, where answers are kept */
    int64_t most;       /* requests; 0: any number */
    int64_t requests;   /* made so far */
    int64_t odd_before; /* see dm_run_tried */
    bool asks_only;     /* see dm_run_ask_only */
    bool finding;       /* whether its answer is known already */
    unsigned refused;   /* formats, as dm_run_formats says */
    bool asks_format;
    const dm_value *held; /* outputs of the first step, while its question is out; else NULL */
    bool scoring;         /* the metric has the prediction */
    bool cancelled;
    const dm_value *fields; /* the row, and the outputs so far */
    dm_step *steps;         /* [program->n] */
    dm_run_result result;
    dm_answer newest; /* the last new answer, told only when the run goes on after it */
    bool untold;
    bool *ended; /* set when the run is freed; NULL: nobody asks */
};

static void ask(dm_run *run);

/* What an answer cost is told once: with it, or with the result. */
static void tell_answer(dm_run *run)
{
    if (run->untold && run->answered)
        run->answered(run->user, &run->newest);
    else if (run->untold)
        dm_usage_add(&run->result.usage, &run->newest.usage);
    run->untold = false;
}

static void finish(dm_run *run)
{
    if (run->ended)
        *run->ended = true;
    if (run->untold)
        dm_usage_add(&run->result.usage, &run->newest.usage);
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
        finish(run);
    } else {
        fail(run, DM_FAULT_METRIC, s->text);
    }
}

static void program_ended(dm_run *run, const dm_value *outputs)
{
    const dm_run_spec *spec = &run->prepared->spec;
    const dm_step *trace = spec->work.trace ? run->steps : NULL;
    size_t n_steps = spec->work.trace ? n_predictors(run) : 0;
    run->result.outputs = outputs;
    run->result.steps = trace;
    run->result.n_steps = n_steps;
    if (!spec->work.scored || !run->runner->metric) {
        finish(run);
        return;
    }
    bool ended = false;
    run->scoring = true;
    run->ended = &ended;
    dm_metric_submit(run->runner->metric, run->row, outputs, trace, n_steps,
                     spec->work.candidate->program, scored, run);
    if (ended)
        return;
    run->ended = NULL;
    tell_answer(run);
}

static void parsed(dm_run *run, const dm_value *outputs)
{
    dm_step *step = &run->steps[run->predictor];
    step->predictor = run->predictor;
    step->outputs = outputs;
    if (run->prepared->spec.work.trace)
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

/* The first step is answered. Which formats its model's servers take shows by this answer, where it
 * was in JSON mode, and else by a question of its own, after which the run goes on from here. */
static bool asks_for_formats(dm_run *run, const dm_value *outputs)
{
    if (!run->asks_format)
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
        run->result.fallback = true;
        ask(run);
    } else {
        run->result.starved = is_starved(content, truncated, usage);
        run->result.cut = usage->completion;
        run->result.reasoning = usage->reasoning;
        fail(run, DM_FAULT_PARSE, err.text);
    }
}

static bool keeps_answers(const dm_run *run)
{
    return !run->asks_only && run->runner->known.scope[run->prepared->spec.work.role] != NULL;
}

static void new_answer(dm_run *run, dm_str text, bool truncated, dm_usage usage)
{
    if (run->held) {
        dm_usage_add(&run->result.usage, &usage);
        format_told(run, false);
        return;
    }
    if (run->asks_format && run->request.format != DM_FORMAT_NONE)
        know_formats(run);
    dm_str content = {dm_arena_string(run->arena, text.p, text.n), text.n};
    run->newest = (dm_answer){.call = run->call,
                              .asked = run->asked,
                              .content = content,
                              .truncated = truncated,
                              .usage = usage};
    run->untold = true;
    run->odd_before = 0; /* of the call that is answered now */
    run->call++;
    take_answer(run, content, truncated, &usage);
}

static void called(void *user, const dm_lm_answer *answer)
{
    dm_run *run = user;
    bool good = answer->fault == DM_FAULT_NONE;
    run->lm_id = 0;
    run->requests += answer->usage.requests;
    if (keeps_answers(run))
        run->runner->known.keep(run->user, &run->key, good ? answer->content : (dm_str){NULL, 0},
                                answer->truncated);
    if (!good || run->asks_only)
        dm_usage_add(&run->result.usage, &answer->usage);
    if (!good && run->held) {
        format_told(run, dm_is_refusal(answer->fault));
        return;
    }
    if (!good && dm_is_refusal(answer->fault) && asked_without(run))
        return;
    if (!good && run->asks_format && !run->unparsed)
        run->result.formats = 0; /* it was not for its format */
    if (!good && dm_is_refusal(answer->fault) && run->unparsed) {
        fail(run, DM_FAULT_PARSE, run->unparsed); /* the answer stays what it was */
        return;
    }
    if (!good) {
        fail(run, answer->fault, answer->text);
        return;
    }
    if (run->asks_only) {
        finish(run);
        return;
    }
    new_answer(run, answer->content, answer->truncated, answer->usage);
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

void dm_run_found(dm_run *run, dm_str content, bool truncated)
{
    run->finding = false;
    if (content.p)
        new_answer(run, content, truncated, (dm_usage){0});
    else
        call(run);
}

/* All that the answer depends on; no address and no key of a server. */
static dm_hash key_of_request(const dm_run *run)
{
    const dm_lm_request *r = &run->request;
    dm_sha256 s;
    dm_sha256_init(&s);
    dm_sha256_add(&s, run->runner->known.scope[r->role]->b, sizeof(dm_hash));
    double temperature = isnan(r->temperature) ? -1 : r->temperature;
    dm_sha256_add(&s, &temperature, sizeof temperature);
    dm_sha256_add(&s, &r->rollout, sizeof r->rollout);
    dm_sha256_add(&s, &r->format, sizeof r->format);
    dm_str parts[] = {r->schema, r->head, r->user};
    for (size_t i = 0; i < 3; i++) {
        dm_sha256_add(&s, &parts[i].n, sizeof parts[i].n);
        dm_sha256_add(&s, parts[i].p ? parts[i].p : "", parts[i].n);
    }
    return dm_sha256_end(&s);
}

/* FNV-1a, 64 bit: tells whether an answer kept by its place still belongs to what is asked. */
static uint64_t hash_of_asked(uint64_t h, dm_str user, dm_adapter mode)
{
    h ^= (uint64_t)mode;
    for (size_t i = 0; i < user.n; i++)
        h = (h ^ (unsigned char)user.p[i]) * 0x100000001b3u;
    return h & INT64_MAX; /* msgpack's and the journal's integers are signed */
}

static const dm_answer *given_answer(const dm_run *run)
{
    for (size_t i = 0; i < run->n_given; i++)
        if (run->given[i].call == run->call && run->given[i].asked == run->asked)
            return &run->given[i];
    return NULL;
}

static void ask(dm_run *run)
{
    const dm_run_spec *spec = &run->prepared->spec;
    const dm_rendered *rendered = dm_prepared_prefix(run->prepared, run->runner->lm, run->predictor,
                                                     run->mode, &run->fingerprint, run->arena);
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
    run->asked = hash_of_asked(rendered->hash, user, run->mode);
    const dm_answer *given = run->held ? NULL : given_answer(run);
    if (given) {
        run->call++;
        take_answer(run, given->content, given->truncated, &given->usage);
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
    if (r->format == DM_FORMAT_SCHEMA)
        r->schema = dm_prepared_schema(run->prepared, run->predictor);
    tell_answer(run);
    if (!keeps_answers(run)) {
        call(run);
        return;
    }
    run->finding = true;
    run->key = key_of_request(run);
    run->runner->known.find(run->user, &run->key);
}

static const dm_answer *copy_given(dm_arena *a, const dm_answer *given, size_t n)
{
    dm_answer *copy = dm_arena_alloc_n(a, n, sizeof *copy);
    for (size_t i = 0; i < n; i++) {
        copy[i] = given[i];
        copy[i].content.p = dm_arena_string(a, given[i].content.p, given[i].content.n);
    }
    return copy;
}

dm_run *dm_run_new(dm_runner *r, dm_prepared *p, const dm_value *row, const dm_hash *fingerprint,
                   const dm_answer *given, size_t n_given, dm_run_answered *answered,
                   dm_run_done *done, void *user)
{
    dm_arena *a = dm_arena_new(2048);
    dm_run *run = dm_arena_alloc(a, sizeof *run);
    run->arena = a;
    run->runner = r;
    run->prepared = p;
    run->row = row;
    run->fingerprint = *fingerprint;
    run->given = copy_given(a, given, n_given);
    run->n_given = n_given;
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

void dm_run_tried(dm_run *run, int64_t odd_before)
{
    run->odd_before = odd_before;
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
    return (dm_run_place){.work = &run->prepared->spec.work,
                          .row = run->row,
                          .adapter = run->mode,
                          .predictor = run->predictor,
                          .call = run->call,
                          .asked = run->asked,
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
