/* A program in Python: the host runs it and asks, here its requests are answered like those of any
 * run, one after another.
 *
 * The host is told what stands against a request itself (too long, filtered, refused), and its
 * program may go on with that. What is of the way is never told: the run ends here, its cell goes
 * out again when the model can be had, and the answers that it had are known by then. So a program
 * that catches all exceptions makes no score of an outage. */
#include "base/log.h"
#include "host/host.h"
#include "json/json.h"
#include "program/python_program.h"
#include "runner/inside.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct question { /* a call of the program's that is not answered yet */
    struct question *next;
    int64_t number; /* the host's; 0: nobody waits for it any more */
    const dm_value *request;
    dm_arena *arena; /* that it lives in */
} question;

struct dm_python_run {
    dm_host_run *host; /* NULL: it has ended there */
    question *first, **last;
    bool asking; /* the first of them is asked */
    int64_t refusals;
    dm_fault refused;      /* the last of them */
    const dm_value *ended; /* what it came to, while an answer to a call of it is out */
};

/* ---- what is asked ---- */

static dm_status bad(dm_error *err, const char *what)
{
    return dm_fail(err, DM_E_INTERNAL,
                   "the program asks a model in a way that dspy-mpi does not "
                   "know yet: %s",
                   what);
}

/* Texts alone, the user's last: what all providers are asked. */
static bool are_plain(const dm_value *list)
{
    dm_message_role role = DM_SYSTEM;
    bool plain = list && list->kind == DM_LIST && list->n > 0;
    for (size_t i = 0; plain && i < list->n; i++) {
        const dm_value *m = list->items[i], *content = dm_value_get(m, "content");
        plain = m->kind == DM_DICT && m->n == 2 && content && content->kind == DM_STRING &&
                dm_message_role_read(m, &role);
    }
    return plain && role == DM_USER;
}

static const dm_value *schema_of(const dm_value *format)
{
    const dm_value *json = dm_value_get(format, "json_schema");
    return dm_value_get(json, "schema");
}

/* False: it is one that only a request as it stands can say. */
static bool take_format(dm_run *run, const dm_value *format, dm_lm_request *r)
{
    const dm_value *type = dm_value_get(format, "type");
    if (!format || format->kind == DM_NULL)
        return true;
    if (!type || type->kind != DM_STRING)
        return false;
    if (dm_str_is(type->text, "json_object")) {
        r->format = DM_FORMAT_JSON_OBJECT;
        return true;
    }
    const dm_value *schema = schema_of(format);
    if (!dm_str_is(type->text, "json_schema") || !schema)
        return false;
    r->format = DM_FORMAT_SCHEMA;
    r->schema = dm_json_text(run->arena, schema, DM_JSON_COMPACT);
    return true;
}

/* Of what may be set beside the messages: temperature and format are every provider's. False: there
 * is something else. */
static bool take_settings(dm_run *run, const dm_value *kwargs, dm_lm_request *r)
{
    for (size_t i = 0; kwargs && kwargs->kind == DM_DICT && i < kwargs->n; i++) {
        dm_str key = kwargs->members[i].key;
        const dm_value *v = kwargs->members[i].value;
        bool number = v->kind == DM_INT || v->kind == DM_FLOAT;
        if (dm_str_is(key, "temperature") && number)
            r->temperature = v->number;
        else if (dm_str_is(key, "n") && v->kind == DM_INT && v->number == 1)
            ;
        else if (!dm_str_is(key, "response_format") || !take_format(run, v, r))
            return false;
    }
    return true;
}

static void take_messages(dm_run *run, const dm_value *list, dm_lm_request *r)
{
    dm_prefix *prefix = dm_arena_alloc(run->arena, sizeof *prefix);
    dm_message *m = dm_arena_alloc_n(run->arena, list->n, sizeof *m);
    for (size_t i = 0; i < list->n; i++) {
        (void)dm_message_role_read(list->items[i], &m[i].role);
        m[i].content = dm_value_get(list->items[i], "content")->text;
    }
    prefix->messages = m;
    prefix->n = list->n - 1;
    r->prefix = prefix;
    r->user = m[list->n - 1].content;
}

/* What the program says itself, for the messages of which the provider has no other form. */
static dm_status take_as_it_stands(dm_run *run, const dm_value *messages, const dm_value *kwargs,
                                   dm_lm_request *r, dm_error *err)
{
    const dm_lm_config *c = dm_lm_config_of(run->runner->lm, r->role);
    dm_prefix *prefix = dm_arena_alloc(run->arena, sizeof *prefix);
    if (!messages || messages->kind != DM_LIST || messages->n == 0)
        return bad(err, "without messages");
    if (!dm_lm_takes_json(c))
        return dm_fail(err, DM_E_INTERNAL,
                       "the program sends %s what is sent unchanged only to servers with OpenAI's "
                       "interface (pictures, tools, or settings beside the messages)",
                       c->model);
    r->prefix = prefix;
    r->json.messages = messages;
    r->json.settings = kwargs && kwargs->kind == DM_DICT ? kwargs : NULL;
    return DM_OK;
}

/* A rollout id may be any value; what counts is that others have others. */
static int64_t number_of(const dm_value *v)
{
    dm_hash h = dm_json_hash(v);
    return (int64_t)(dm_hash_u64(&h) & INT64_MAX);
}

static dm_status read_request(dm_run *run, const dm_value *m, dm_lm_request *r, dm_error *err)
{
    const dm_value *messages = dm_value_get(m, "messages"), *kwargs = dm_value_get(m, "kwargs");
    int64_t role = run->prepared->spec.work.role, rollout = -1;
    (void)dm_value_to_int(dm_value_get(m, "role"), &role);
    const dm_value *v = dm_value_get(m, "rollout");
    if (v && v->kind != DM_NULL && !dm_value_to_int(v, &rollout))
        rollout = number_of(v);
    *r = (dm_lm_request){.role = (dm_role)role, .temperature = NAN, .rollout = rollout};
    if (role < 0 || role >= DM_ROLES || !dm_lm_config_of(run->runner->lm, r->role))
        return bad(err, "of a role that the job has no model for");
    if (are_plain(messages) && take_settings(run, kwargs, r)) {
        take_messages(run, messages, r);
        return DM_OK;
    }
    r->format = DM_FORMAT_NONE;
    r->temperature = NAN;
    return take_as_it_stands(run, messages, kwargs, r, err);
}

/* For whoever looks at the run: whose request it is. */
static size_t predictor_of(const dm_run *run, const dm_value *m)
{
    const dm_program *p = run->prepared->spec.work.candidate->program;
    const dm_value *name = dm_value_get(m, "predictor");
    for (size_t i = 0; name && name->kind == DM_STRING && i < p->n; i++)
        if (dm_str_eq(p->predictors[i].path, name->text))
            return i;
    return 0;
}

static void ask_next(dm_run *run)
{
    struct dm_python_run *x = run->python;
    dm_error err = {DM_OK, ""};
    if (x->asking || !x->first)
        return;
    x->asking = true;
    run->predictor = predictor_of(run, x->first->request);
    if (read_request(run, x->first->request, &run->request, &err) != DM_OK) {
        dm_run_fail(run, DM_FAULT_PROGRAM, err.text);
        return;
    }
    dm_lm_request *r = &run->request;
    r->asker = x->host ? dm_host_number(x->host) : 0;
    const dm_hash *scope = dm_run_scope(run, r->role);
    dm_sha256 begun = {0};
    r->head = dm_lm_head(run->arena, dm_lm_config_of(run->runner->lm, r->role), r->prefix);
    if (scope) {
        begun = dm_lm_key_begin(scope, r->head);
        dm_sha256 h = begun;
        dm_hash whole = dm_sha256_end(&h);
        r->head_hash = dm_hash_u64(&whole);
    }
    dm_run_ask(run, &begun);
}

static void asked(void *user, int64_t call, const dm_value *request, dm_arena *a)
{
    dm_run *run = user;
    struct dm_python_run *x = run->python;
    question *q = dm_arena_alloc(a, sizeof *q);
    *q = (question){.number = call, .request = request, .arena = a};
    *x->last = q;
    x->last = &q->next;
    ask_next(run);
}

/* The first question is answered, and the next one's turn has come. */
static void take_off(struct dm_python_run *x)
{
    question *q = x->first;
    x->first = q->next;
    if (!x->first)
        x->last = &x->first;
    x->asking = false;
    dm_arena_free(q->arena);
}

/* ---- what is answered ---- */

static void conclude(dm_run *run);

static void tell(dm_run *run, const dm_buf *members)
{
    struct dm_python_run *x = run->python;
    int64_t number = x->first->number;
    take_off(x);
    if (number > 0 && x->host)
        dm_host_answer(x->host, number, dm_buf_view(members));
    if (x->ended)
        conclude(run);
    else
        ask_next(run);
}

static void answer(dm_run *run, dm_str content, bool truncated, const dm_usage *usage)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_FILE);
    run->odd_before = 0;
    run->call++;
    run->result.truncated |= truncated;
    if (run->request.json.messages) {
        dm_buf_printf(&b, "\"response\":%.*s", DM_STR_ARG(content));
    } else {
        dm_buf_text(&b, "\"text\":");
        dm_json_write_string(&b, content);
        dm_buf_printf(&b, ",\"truncated\":%s,\"tokens\":[%lld,%lld]", truncated ? "true" : "false",
                      (long long)usage->prompt, (long long)usage->completion);
    }
    tell(run, &b);
    dm_buf_free(&b);
}

static const char *class_of(dm_fault refusal)
{
    return refusal == DM_FAULT_OVERFLOW ? "context_window"
           : refusal == DM_FAULT_FILTER ? "content_filter"
                                        : "invalid";
}

static bool bears(const dm_run *run, dm_fault refusal)
{
    (void)run;
    return refusal != DM_FAULT_DENIED; /* which may be the server's word to all requests */
}

/* made: by a call of the run's own; a 403 or 404 that somebody else met stands by now. */
static void no_answer(dm_run *run, dm_fault fault, const char *text)
{
    struct dm_python_run *x = run->python;
    bool told = dm_is_refusal(fault) && !run->asks_only && (fault != DM_FAULT_DENIED || !run->made);
    dm_buf b;
    if (!told) {
        dm_run_fail(run, fault, text);
        return;
    }
    run->odd_before = 0;
    run->call++;
    x->refusals++;
    x->refused = fault;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_buf_printf(&b, "\"error\":{\"class\":\"%s\",\"message\":", class_of(fault));
    dm_json_write_string(&b, dm_str_of(text ? text : ""));
    dm_buf_char(&b, '}');
    tell(run, &b);
    dm_buf_free(&b);
}

/* ---- the end ---- */

static dm_str text_in(const dm_value *d, const char *key)
{
    return dm_value_text_of(dm_value_get(d, key));
}

static dm_fault fault_of(const dm_run *run, dm_str class)
{
    if (dm_str_is(class, "parse"))
        return DM_FAULT_PARSE;
    if (dm_str_is(class, "metric"))
        return DM_FAULT_METRIC;
    bool refused = dm_str_is(class, "context_window") || dm_str_is(class, "content_filter") ||
                   dm_str_is(class, "invalid");
    return refused && run->python->refusals > 0 ? run->python->refused : DM_FAULT_PROGRAM;
}

static void end_with_error(dm_run *run, const dm_value *e)
{
    dm_run_fail(run, fault_of(run, text_in(e, "class")), dm_host_error_text(run->arena, e));
}

/* As many as there were: a predictor may have been asked several times. The one whose answer could
 * not be read is the last. */
static void read_steps(dm_run *run, const dm_value *list)
{
    size_t n = run->prepared->spec.work.candidate->program->n;
    if (!list || list->kind != DM_LIST || list->n == 0 || !dm_run_has_steps(run))
        return;
    run->steps = dm_arena_alloc_n(run->arena, list->n, sizeof *run->steps);
    for (size_t i = 0; i < list->n; i++) {
        const dm_value *s = list->items[i], *in = dm_value_get(s, "inputs"),
                       *out = dm_value_get(s, "outputs");
        int64_t predictor = -1;
        dm_str unread = text_in(s, "unread"), live = text_in(s, "live");
        if (!dm_value_to_int(dm_value_get(s, "predictor"), &predictor) || predictor < 0 ||
            predictor >= (int64_t)n || !in || (!out && !dm_value_get(s, "unread")))
            continue;
        run->steps[run->result.n_steps++] = (dm_step){.predictor = (size_t)predictor,
                                                      .inputs = in,
                                                      .outputs = out,
                                                      .unread = unread,
                                                      .live = live.n ? live : (dm_str){NULL, 0}};
    }
    run->result.steps = run->steps;
}

/* On the whole, or on each predictor by its name; "" is what was said on the whole. */
static void take_feedback(dm_run *run, const dm_value *m)
{
    dm_str whole = text_in(m, "feedback");
    const dm_value *each = dm_value_get(m, "feedback_on");
    if (!dm_run_has_steps(run))
        return;
    if (each && each->kind == DM_DICT && each->n > 0) {
        dm_value *all = dm_value_copy(run->arena, each);
        if (whole.n)
            dm_value_set(run->arena, all, DM_STR(""), dm_value_string(run->arena, whole));
        run->result.feedback = dm_feedback_on_each(run->arena, all);
    } else if (whole.n) {
        run->result.feedback = dm_arena_string(run->arena, whole.p, whole.n);
    }
}

/* Questions that nobody waits for any more; the one that is out is answered all the same. */
static void drop_questions(struct dm_python_run *x)
{
    question *keep = x->asking ? x->first : NULL;
    for (question *q = keep ? keep->next : x->first, *next; q; q = next) {
        next = q->next;
        dm_arena_free(q->arena);
    }
    x->first = keep;
    x->last = keep ? &keep->next : &x->first;
    if (keep) {
        keep->next = NULL;
        keep->number = 0;
    }
}

static bool is_power_of_10(size_t n)
{
    while (n % 10 == 0)
        n /= 10;
    return n == 1;
}

/* An answer that was made without the model's is scored like any other. */
static void say_swallowed(dm_runner *r)
{
    if (is_power_of_10(++r->swallowed))
        dm_log(DM_WARN,
               "%zu example%s so far went on after a model had refused a request of the program, "
               "which caught the error",
               r->swallowed, r->swallowed == 1 ? "" : "s");
}

/* A metric that fails only when it is asked about a predictor has given its score. */
static void say_unsaid(const dm_run *run, const dm_value *error)
{
    dm_runner *r = run->runner;
    if (is_power_of_10(++r->unsaid))
        dm_log(DM_WARN,
               "asked for feedback on a predictor, the metric failed on %zu example%s so far: %s",
               r->unsaid, r->unsaid == 1 ? "" : "s", dm_host_error_text(run->arena, error));
}

/* The metric is Python's, and has run there, or one of those here. */
static void conclude(dm_run *run)
{
    const dm_value *m = run->python->ended, *error = dm_value_get(m, "error"),
                   *score = dm_value_get(m, "score"), *outputs = dm_value_get(m, "outputs"),
                   *unsaid = dm_value_get(m, "unsaid");
    int64_t swallowed = 0;
    if (error && error->kind == DM_DICT) {
        read_steps(run, dm_value_get(m, "steps"));
        end_with_error(run, error);
        return;
    }
    run->result.outputs = outputs && outputs->kind == DM_DICT ? outputs : dm_value_dict(run->arena);
    read_steps(run, dm_value_get(m, "steps"));
    take_feedback(run, m);
    if (dm_value_to_int(dm_value_get(m, "swallowed"), &swallowed) && swallowed > 0)
        say_swallowed(run->runner);
    if (unsaid && unsaid->kind == DM_DICT)
        say_unsaid(run, unsaid);
    bool scored = run->prepared->spec.work.scored && run->runner->metric;
    bool number = score && (score->kind == DM_INT || score->kind == DM_FLOAT);
    if (scored && !number) {
        dm_run_score(run, run->result.outputs, NULL, 0);
        return;
    }
    if (scored && !run->runner->any_score && (score->number < 0 || score->number > 1))
        dm_hosts_refuse_score(run->runner->hosts, score->number);
    if (scored)
        run->result.score = score->number;
    dm_run_finish(run);
}

/* A call that is out belongs to the run until it is answered: others may wait for it. */
static void ended(void *user, const dm_value *m)
{
    dm_run *run = user;
    struct dm_python_run *x = run->python;
    x->host = NULL;
    x->ended = dm_value_copy(run->arena, m);
    drop_questions(x);
    if (!x->asking)
        conclude(run);
}

/* It begins anew elsewhere: what it asked so far is nobody's, but for the request that is out. */
static void again(void *user)
{
    drop_questions(((dm_run *)user)->python);
}

static void end(dm_run *run)
{
    struct dm_python_run *x = run->python;
    if (!x)
        return;
    if (x->host)
        dm_host_drop(x->host);
    x->host = NULL;
    while (x->first)
        take_off(x);
}

static void put_flag(dm_buf *b, const char *name, bool set)
{
    if (set)
        dm_buf_printf(b, ",\"%s\":true", name);
}

static void go(dm_run *run)
{
    static const dm_host_events events = {asked, ended, again};
    const dm_run_spec *spec = &run->prepared->spec;
    const dm_work *w = &spec->work;
    const dm_value *inputs = dm_value_strings(run->arena, spec->inputs, spec->n_inputs);
    dm_buf b;
    run->python = dm_arena_alloc(run->arena, sizeof *run->python);
    run->python->last = &run->python->first;
    if (!run->runner->hosts) {
        dm_run_fail(run, DM_FAULT_PROGRAM,
                    "a program in Python runs beside its job: give that with --job");
        return;
    }
    dm_buf_init(&b, DM_MAX_FILE);
    dm_buf_text(&b, "\"example\":");
    dm_json_write(&b, run->row, DM_JSON_COMPACT);
    dm_buf_text(&b, ",\"inputs\":");
    dm_json_write(&b, inputs, DM_JSON_COMPACT);
    dm_buf_printf(&b, ",\"role\":%d", (int)w->role);
    put_flag(&b, "scored", w->scored);
    put_flag(&b, "trace", w->trace);
    put_flag(&b, "steps", w->steps);
    put_flag(&b, "drop_own", w->drop_own_demo);
    if (w->rollout >= 0)
        dm_buf_printf(&b, ",\"rollout_id\":%lld", (long long)w->rollout);
    if (!isnan(w->temperature)) {
        dm_buf_text(&b, ",\"temperature\":");
        dm_py_float(&b, w->temperature);
    }
    run->python->host =
        dm_host_begin(run->runner->hosts, dm_prepared_host_state(run->prepared, run->runner->hosts),
                      dm_buf_view(&b), &events, run);
    dm_buf_free(&b);
}

const dm_run_kind dm_run_python = {
    .go = go, .answer = answer, .no_answer = no_answer, .bears = bears, .end = end};
