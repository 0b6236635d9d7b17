/* dspy-mpi export: the prompt of a compiled program, for use without DSPy. */
#include "base/utf8.h"
#include "cmd/commands.h"
#include "cmd/inputs.h"
#include "cmd/say.h"
#include "cmd/session.h"
#include "json/json.h"
#include "lm/openai.h"

#include <stdio.h>
#include <string.h>

/* How a text of a message and the place of an input are written. */
typedef struct dialect {
    void (*text)(dm_buf *b, dm_str text, bool before_input);
    void (*input)(dm_buf *b, dm_str name);
} dialect;

typedef struct part { /* of a message: text, or the place of an input */
    dm_str text;
    bool is_input; /* text is its name */
} part;

typedef struct prompt { /* of one step */
    const dm_predictor *predictor;
    dm_message *messages; /* [n]; the last one's content is in parts */
    size_t n;
    part *parts; /* [n_parts] */
    size_t n_parts;
} prompt;

/* ---- the messages, with places for the inputs ---- */

/* The adapter writes a text as it is, so a text that no prompt has marks the place of an input. */
static const char *mark_of(dm_arena *a, size_t i)
{
    return dm_arena_printf(a,
                           "\x1f"
                           "dspy-mpi input %zu"
                           "\x1f",
                           i);
}

static void add_part(prompt *p, dm_str text, bool is_input)
{
    if (text.n)
        p->parts[p->n_parts++] = (part){text, is_input};
}

static void split(dm_arena *a, prompt *p, dm_str content)
{
    const dm_signature *s = p->predictor->signature;
    p->parts = dm_arena_alloc_n(a, 2 * s->n_inputs + 1, sizeof *p->parts);
    for (size_t i = 0; i < s->n_inputs; i++) {
        const char *mark = mark_of(a, i);
        const char *at = memmem(content.p, content.n, mark, strlen(mark));
        if (!at)
            continue;
        size_t n = (size_t)(at - content.p);
        add_part(p, (dm_str){content.p, n}, false);
        add_part(p, s->fields[i].name, true);
        content.p += n + strlen(mark);
        content.n -= n + strlen(mark);
    }
    add_part(p, content, false);
}

static dm_status render(dm_arena *a, const dm_job *job, size_t step, prompt *out, dm_error *err)
{
    const dm_candidate_part *state = &job->student->parts[step];
    const dm_signature *s = job->program->predictors[step].signature;
    dm_value *marks = dm_value_dict(a);
    dm_prefix prefix;
    dm_str last;
    *out = (prompt){.predictor = &job->program->predictors[step]};
    for (size_t i = 0; i < s->n_inputs; i++)
        dm_value_set(a, marks, s->fields[i].name, dm_value_text(a, mark_of(a, i)));
    dm_status st = dm_adapter_prefix(a, job->setup.adapter, s, state->instructions, state->demos,
                                     state->n_demos, &prefix, err);
    if (st == DM_OK)
        st = dm_adapter_user(a, job->setup.adapter, s, marks, &last, err);
    if (st != DM_OK)
        return st;
    out->n = prefix.n + 1;
    out->messages = dm_arena_alloc_n(a, out->n, sizeof *out->messages);
    memcpy(out->messages, prefix.messages, prefix.n * sizeof *prefix.messages);
    out->messages[prefix.n] = (dm_message){DM_USER, {NULL, 0}};
    split(a, out, last);
    return DM_OK;
}

/* ---- dialects ---- */

static void plain_text(dm_buf *b, dm_str text, bool before_input)
{
    (void)before_input;
    dm_buf_str(b, text);
}

static void json_text(dm_buf *b, dm_str text, bool before_input)
{
    dm_buf quoted;
    (void)before_input;
    dm_buf_init(&quoted, SIZE_MAX / 2);
    dm_json_write_string(&quoted, text);
    dm_buf_str(b, (dm_str){quoted.data + 1, quoted.len - 2});
    dm_buf_free(&quoted);
}

/* A brace that a template would take for the beginning of a tag becomes a text in a tag; so does
 * the end of a comment, which nunjucks refuses where none began. */
static void braces(dm_buf *b, dm_str text, bool before_input)
{
    for (size_t i = 0; i < text.n; i++) {
        char next = i + 1 < text.n ? text.p[i + 1] : before_input ? '{' : 0;
        bool opens = text.p[i] == '{' && (next == '{' || next == '%' || next == '#');
        bool ends = text.p[i] == '}' && i > 0 && text.p[i - 1] == '#';
        if (opens || ends)
            dm_buf_printf(b, "{{ '%c' }}", text.p[i]);
        else
            dm_buf_char(b, text.p[i]);
    }
}

/* The whole is a template whose outcome is JSON: its texts are JSON before and after. */
static void jinja_text(dm_buf *b, dm_str text, bool before_input)
{
    dm_buf json;
    dm_buf_init(&json, SIZE_MAX / 2);
    json_text(&json, text, false);
    braces(b, dm_buf_view(&json), before_input);
    dm_buf_free(&json);
}

/* Each text is a template (nunjucks, which promptfoo runs on the texts in a prompt that is JSON).
 */
static void template_text(dm_buf *b, dm_str text, bool before_input)
{
    dm_buf escaped;
    dm_buf_init(&escaped, SIZE_MAX / 2);
    braces(&escaped, text, before_input);
    json_text(b, dm_buf_view(&escaped), false);
    dm_buf_free(&escaped);
}

static void place(dm_buf *b, dm_str name)
{
    dm_buf_printf(b, "{{ %.*s }}", DM_STR_ARG(name));
}

static void jinja_place(dm_buf *b, dm_str name)
{
    dm_buf_printf(b, "{{ (%.*s | default('') | string | tojson)[1:-1] }}", DM_STR_ARG(name));
}

static const dialect plain = {plain_text, place}, json = {json_text, place},
                     jinja = {jinja_text, jinja_place}, nunjucks = {template_text, place};

static void put_content(dm_buf *b, const prompt *p, size_t i, const dialect *d)
{
    if (i + 1 < p->n) {
        d->text(b, p->messages[i].content, false);
        return;
    }
    for (size_t k = 0; k < p->n_parts; k++) {
        bool before_input = k + 1 < p->n_parts && p->parts[k + 1].is_input;
        if (p->parts[k].is_input)
            d->input(b, p->parts[k].text);
        else
            d->text(b, p->parts[k].text, before_input);
    }
}

static void put_messages(dm_buf *b, const prompt *p, const dialect *d, const char *indent)
{
    dm_buf_char(b, '[');
    for (size_t i = 0; i < p->n; i++) {
        dm_buf_printf(b, "%s\n%s  {\"role\": \"%s\", \"content\": \"", i ? "," : "", indent,
                      dm_message_role_name(p->messages[i].role));
        put_content(b, p, i, d);
        dm_buf_text(b, "\"}");
    }
    dm_buf_printf(b, "\n%s]", indent);
}

/* ---- formats ---- */

typedef struct exported {
    const dm_job *job;
    prompt *prompts; /* [n] */
    size_t n;
} exported;

static dm_str name_of(const prompt *p)
{
    return p->predictor->step.n ? p->predictor->step : DM_STR("prompt");
}

/* The messages of one step, or an object of those of each. */
static void put_steps(dm_buf *b, const exported *e, const dialect *d)
{
    if (e->n == 1) {
        put_messages(b, &e->prompts[0], d, "");
        dm_buf_char(b, '\n');
        return;
    }
    dm_buf_char(b, '{');
    for (size_t i = 0; i < e->n; i++) {
        dm_buf_text(b, i ? ",\n  " : "\n  ");
        dm_json_write_string(b, name_of(&e->prompts[i]));
        dm_buf_text(b, ": ");
        put_messages(b, &e->prompts[i], d, "  ");
    }
    dm_buf_text(b, "\n}\n");
}

static void put_as_messages(dm_buf *b, dm_arena *a, const exported *e)
{
    (void)a;
    put_steps(b, e, &json);
}

static void put_as_jinja(dm_buf *b, dm_arena *a, const exported *e)
{
    (void)a;
    put_steps(b, e, &jinja);
}

static void put_as_text(dm_buf *b, dm_arena *a, const exported *e)
{
    (void)a;
    for (size_t i = 0; i < e->n; i++) {
        if (e->n > 1)
            dm_buf_printf(b, "%s===== %.*s\n\n", i ? "\n" : "",
                          DM_STR_ARG(name_of(&e->prompts[i])));
        for (size_t k = 0; k < e->prompts[i].n; k++) {
            dm_buf_printf(b, "%s--- %s\n", k ? "\n" : "",
                          dm_message_role_name(e->prompts[i].messages[k].role));
            put_content(b, &e->prompts[i], k, &plain);
            dm_buf_char(b, '\n');
        }
    }
}

/* Providers by promptfoo's names; base: where ours is, if a job does not say. */
static const struct provider {
    const char *ours, *theirs, *base;
} providers[] = {{"openai", "openai:chat:", NULL},
                 {"hosted_vllm", "openai:chat:", "http://127.0.0.1:8000/v1"},
                 {"ollama_chat", "ollama:chat:", NULL},
                 {"anthropic", "anthropic:messages:", NULL},
                 {"azure", "azure:chat:", NULL},
                 {"gemini", "google:", NULL}};

static const dm_value *model_of(dm_arena *a, const dm_job *job)
{
    const dm_value *lm = dm_value_get(dm_value_get(job->json, "lms"), "task");
    lm = lm ? lm : dm_value_get(job->json, "lm");
    if (lm && lm->kind == DM_DICT)
        return lm;
    dm_value *d = dm_value_dict(a);
    if (lm)
        dm_value_set(a, d, DM_STR("model"), lm);
    return d;
}

/* The model under promptfoo's name for it, and what the job says of its sampling; the stand-in, and
 * where there is none: promptfoo's own provider that gives the prompt back. */
static dm_value *provider_of(dm_arena *a, const dm_job *job)
{
    static const char *const sampling[] = {"temperature",
                                           "max_tokens",
                                           "max_completion_tokens",
                                           "top_p",
                                           "frequency_penalty",
                                           "presence_penalty",
                                           "seed",
                                           "stop",
                                           "reasoning_effort"};
    const dm_value *lm = model_of(a, job), *name = dm_value_get(lm, "model"),
                   *base = dm_value_get(lm, "api_base");
    dm_value *config = dm_value_dict(a), *d = dm_value_dict(a);
    const char *model = name && name->kind == DM_STRING ? name->text.p : "embedded",
               *slash = strchr(model, '/'), *id = "echo";
    for (size_t i = 0; slash && i < sizeof providers / sizeof *providers; i++) {
        const struct provider *p = &providers[i];
        if (!dm_str_is((dm_str){model, (size_t)(slash - model)}, p->ours))
            continue;
        id = dm_arena_printf(a, "%s%s", p->theirs, slash + 1);
        if (base && base->kind == DM_LIST && base->n)
            base = base->items[0];
        if (!base && p->base)
            base = dm_value_text(a, p->base);
        if (base && base->kind == DM_STRING && dm_str_is(dm_str_of(p->ours), "hosted_vllm"))
            base = dm_value_text(a, dm_base_at_root(a, base->text.p)); /* as we ask it */
        if (base)
            dm_value_set(a, config, DM_STR("apiBaseUrl"), base);
    }
    for (size_t i = 0; i < sizeof sampling / sizeof *sampling; i++)
        if (dm_value_get(lm, sampling[i]))
            dm_value_set(a, config, dm_str_of(sampling[i]), dm_value_get(lm, sampling[i]));
    dm_value_set(a, d, DM_STR("id"), dm_value_text(a, id));
    if (config->n)
        dm_value_set(a, d, DM_STR("config"), config);
    return d;
}

/* One test that shows which variables there are: of the program's inputs and the steps' between. */
static dm_value *tests_of(dm_arena *a, const exported *e)
{
    dm_value *vars = dm_value_dict(a), *test = dm_value_dict(a), *list = dm_value_list(a);
    for (size_t i = 0; i < e->n; i++) {
        const dm_signature *s = e->prompts[i].predictor->signature;
        for (size_t k = 0; k < s->n_inputs; k++)
            dm_value_set(a, vars, s->fields[k].name,
                         dm_value_text(a, dm_arena_printf(a, "the %.*s",
                                                          DM_STR_ARG(s->fields[k].name))));
    }
    dm_value_set(a, test, DM_STR("vars"), vars);
    dm_value_append(a, list, test);
    return list;
}

static void put_as_promptfoo(dm_buf *b, dm_arena *a, const exported *e)
{
    dm_value *d = dm_value_dict(a), *prompts = dm_value_list(a), *models = dm_value_list(a);
    for (size_t i = 0; i < e->n; i++) {
        dm_value *p = dm_value_dict(a);
        dm_buf raw;
        dm_buf_init(&raw, DM_MAX_FILE);
        put_messages(&raw, &e->prompts[i], &nunjucks, "");
        dm_value_set(a, p, DM_STR("id"), dm_value_string(a, name_of(&e->prompts[i])));
        dm_value_set(a, p, DM_STR("label"), dm_value_string(a, name_of(&e->prompts[i])));
        dm_value_set(a, p, DM_STR("raw"), dm_value_text(a, dm_arena_string(a, raw.data, raw.len)));
        dm_value_append(a, prompts, p);
        dm_buf_free(&raw);
    }
    dm_value_append(a, models, provider_of(a, e->job));
    dm_value_set(a, d, DM_STR("description"),
                 dm_value_text(a, dm_arena_printf(a, "%s, compiled by dspy-mpi", e->job->file)));
    dm_value_set(a, d, DM_STR("prompts"), prompts);
    dm_value_set(a, d, DM_STR("providers"), models);
    dm_value_set(a, d, DM_STR("tests"), tests_of(a, e));
    dm_json_write(b, d, DM_JSON_PYTHON);
    dm_buf_char(b, '\n');
}

static const struct format {
    const char *name;
    void (*put)(dm_buf *b, dm_arena *a, const exported *e);
    bool is_text;
} formats[] = {{"messages", put_as_messages, false},
               {"text", put_as_text, true},
               {"jinja", put_as_jinja, false},
               {"promptfoo", put_as_promptfoo, false}};
#define N_FORMATS (sizeof formats / sizeof *formats)

static dm_status choose_format(const dm_command_line *line, const struct format **out,
                               dm_error *err)
{
    const dm_value *given = dm_value_get(line->flags, "format");
    const char *names[N_FORMATS];
    *out = &formats[0];
    for (size_t i = 0; given && i < N_FORMATS; i++) {
        names[i] = formats[i].name;
        *out = &formats[i];
        if (dm_str_is(given->text, names[i]))
            return DM_OK;
    }
    if (!given)
        return DM_OK;
    const char *near = dm_nearest(given->text.p, names, N_FORMATS);
    return dm_fail(err, DM_E_USAGE,
                   "--format is messages, text, jinja or promptfoo, not \"%s\"%s%s%s",
                   given->text.p, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

/* All steps, or the one that --step names. */
static dm_status render_all(dm_arena *a, const dm_command_line *line, const dm_job *job,
                            exported *e, dm_error *err)
{
    const dm_value *only = dm_value_get(line->flags, "step");
    const dm_program *p = job->program;
    dm_status st = DM_OK;
    *e = (exported){.job = job, .prompts = dm_arena_alloc_n(a, p->n, sizeof *e->prompts)};
    for (size_t i = 0; i < p->n && st == DM_OK; i++)
        if (!only || dm_str_eq(only->text, p->predictors[i].step))
            st = render(a, job, i, &e->prompts[e->n++], err);
    if (st != DM_OK || e->n)
        return st;
    const char **names = dm_arena_alloc_n(a, p->n, sizeof *names);
    for (size_t i = 0; i < p->n; i++)
        names[i] = dm_arena_string(a, p->predictors[i].step.p, p->predictors[i].step.n);
    const char *near = dm_nearest(only->text.p, names, p->n);
    return dm_fail(err, DM_E_USAGE, "--step: the program has no step \"%s\"%s%s%s", only->text.p,
                   near && *near ? "; did you mean " : "", near ? near : "",
                   near && *near ? "?" : "");
}

static bool is_json(const dm_type *t)
{
    bool inside = t->kind >= DM_T_LIST && t->kind <= DM_T_TUPLE;
    for (size_t i = 0; t->kind == DM_T_UNION && i < t->n; i++)
        inside |= is_json(t->args[i]);
    return inside;
}

/* Texts and numbers stand in a prompt as a template writes them; lists and objects as JSON. */
static void tell_of_json(const exported *e)
{
    for (size_t i = 0; i < e->n; i++) {
        const dm_signature *s = e->prompts[i].predictor->signature;
        for (size_t k = 0; k < s->n_inputs; k++)
            if (is_json(s->fields[k].type))
                dm_say(stderr,
                       "dspy-mpi: give the input \"%.*s\" as text, in JSON: json.dumps(value, "
                       "ensure_ascii=False)\n",
                       DM_STR_ARG(s->fields[k].name));
    }
}

int dm_cmd_export(dm_arena *a, const dm_command_line *line)
{
    dm_job job;
    dm_buf b;
    exported e;
    const struct format *f = NULL;
    dm_error err = {DM_OK, ""};
    dm_status st = choose_format(line, &f, &err);
    if (st == DM_OK)
        st = dm_program_job(a, line, false, &job, &err);
    if (st == DM_OK && job.ensemble)
        st = dm_fail(&err, DM_E_USAGE,
                     "%s: this is an ensemble, and a prompt belongs to one program: give the file "
                     "of a member",
                     job.program_file);
    if (st == DM_OK)
        st = render_all(a, line, &job, &e, &err);
    if (st != DM_OK)
        return dm_say_failure(&err);
    dm_buf_init(&b, DM_MAX_FILE);
    f->put(&b, a, &e);
    if (f->is_text)
        dm_say_text(stdout, dm_buf_view(&b));
    else
        dm_say_json(stdout, dm_buf_view(&b));
    tell_of_json(&e);
    dm_buf_free(&b);
    return 0;
}
