/* The grounded proposer (contract 8.4): small programs asked of the prompt model. What the data
 * are like and what the program does is described once, what a module is for once a predictor;
 * then each instruction is asked for with a tip, a rollout id and demonstrations of its own. The
 * wording is ours.
 *
 *   data summary        \
 *   program description  >  module description -> instructions (all at once) -> duplicates again
 *   demo sets           /
 *
 * An instruction that is empty, cannot be read, or stands there already is asked for once more,
 * with those that are there to see. Then it is kept, as DSPy keeps it; what still cannot be read is
 * left out. Number 0 is the program's own instruction, which DSPy asks for and throws away. */
#include "base/log.h"
#include "base/utf8.h"
#include "json/json.h"
#include "optimizer/mipro.h"
#include "pool/question.h"

#include <math.h>
#include <string.h>

#define MOST_BATCHES 9 /* of the data, after the first */
#define MOST_SKIPS   5 /* of them that say nothing new */

typedef struct module {
    dm_proposer *all;
    size_t predictor;
    dm_instructions instructions;
    size_t failed_on_the_way; /* proposals without an answer, by no fault of the answer */
    dm_strand *strand;
} module;

struct dm_proposer {
    dm_pool *pool;
    const dm_compile_input *in;
    const dm_mipro_plan *plan;
    dm_demo_sets *sets;
    dm_str outline, summary, description; /* .p NULL: none */
    dm_strand *summarizing, *describing;
    module *modules;   /* [program->n] */
    const char *error; /* why the last answer could not be had */
};

/* ---- one question, and what came of it ---- */

static dm_future *want(dm_model_question *q, const char *name, const char *desc, int64_t rollout,
                       double temperature)
{
    return dm_model_question_ask(q, name, desc,
                                 (dm_work){.role = DM_PROMPT,
                                           .rollout = rollout,
                                           .temperature = temperature});
}

/* The answer's field; .p NULL where there is none: a stop or a failure of the run alone is an
 * error. */
static dm_status answer(dm_proposer *r, dm_future *f, const char *field, dm_str *out,
                        const dm_result **result, dm_error *err)
{
    const dm_result *got;
    *out = (dm_str){NULL, 0};
    if (!f)
        return dm_fail(err, DM_E_INTERNAL, "proposer: no program for %s", field);
    dm_status st = dm_pool_wait(r->pool, f, &got, err);
    if (result)
        *result = st == DM_OK ? got : NULL;
    if (st != DM_OK)
        return st;
    if (got->fault != DM_FAULT_NONE || !got->outputs.p) {
        r->error = got->error ? got->error : dm_fault_name(got->fault);
        return DM_OK;
    }
    const dm_value *d = dm_json_read(dm_pool_arena(r->pool), got->outputs, NULL);
    const dm_value *v = dm_value_get(d, field);
    if (v && v->kind == DM_STRING)
        *out = v->text;
    return DM_OK;
}

/* ---- the data ---- */

static dm_status observe(dm_proposer *r, size_t from, dm_str before, dm_str *out, dm_error *err)
{
    dm_arena *a = dm_pool_arena(r->pool);
    size_t n = (size_t)dm_mipro_params_of(r->in)->view_data_batch_size;
    dm_model_question q = dm_model_question_new(
        r->pool,
        before.p ? "You see more rows of a data set, and what was noticed about it before. Write "
                   "down only what is new. If nothing is, answer COMPLETE."
                 : "You see rows of the data set of a task, as JSON. Write down what you notice: "
                   "what the inputs are about, what is wanted, how answers look, how much the "
                   "rows differ, and what is hard about them. Do not solve them.");
    dm_model_question_show(&q, "examples", "rows of the data set",
                           dm_rows_text(a, r->in->trainset, from, n));
    dm_model_question_show(&q, "earlier_observations", "what was noticed before", before);
    return answer(r, want(&q, "observations", "what you notice", -1, 1.0), "observations", out,
                  NULL, err);
}

static dm_status summarize_data(dm_pool *p, void *arg, dm_error *err)
{
    dm_proposer *r = arg;
    dm_arena *a = dm_pool_arena(p);
    size_t batch = (size_t)dm_mipro_params_of(r->in)->view_data_batch_size, skips = 0, batches = 0;
    dm_str seen, more;
    dm_status st = observe(r, 0, (dm_str){NULL, 0}, &seen, err);
    if (st != DM_OK || !seen.p)
        return st;
    for (size_t from = batch; from < r->in->trainset->n && batches < MOST_BATCHES; from += batch) {
        batches++;
        st = observe(r, from, seen, &more, err);
        if (st != DM_OK)
            return st;
        if (!more.p)
            break;
        if (more.n >= 8 && strncasecmp(more.p, "COMPLETE", 8) == 0) {
            if (++skips >= MOST_SKIPS)
                break;
            continue;
        }
        seen = dm_str_of(dm_arena_printf(a, "%.*s\n%.*s", DM_STR_ARG(seen), DM_STR_ARG(more)));
    }
    dm_model_question q = dm_model_question_new(
        r->pool, "Sum up these observations about a data set in two or three sentences, "
                 "for somebody who has to write an instruction for its task.");
    dm_model_question_show(&q, "observations", "what was noticed about the data set", seen);
    st = answer(r, want(&q, "summary", "two or three sentences", -1, 1.0), "summary", &more, NULL,
                err);
    if (st == DM_OK && more.p)
        r->summary = dm_strip_prefix(more);
    return st;
}

/* ---- the program and its modules ---- */

static dm_future *ask_description(dm_proposer *r)
{
    dm_model_question q = dm_model_question_new(
        r->pool, "You see the outline of a program that calls a language model, and a row "
                 "of the data that it works on. Say in a few sentences which task it "
                 "solves and how.");
    dm_model_question_show(&q, "program_outline", "the program in outline", r->outline);
    dm_model_question_show(&q, "example", "a row of its data",
                           dm_rows_text(dm_pool_arena(r->pool), r->in->trainset, 0, 1));
    /* the rollout ids of the instructions that are not asked for serve the descriptions */
    return want(&q, "program_description", "task and way of the program",
                r->plan->proposals[0].rollout, dm_mipro_params_of(r->in)->init_temperature);
}

static dm_status describe_program(dm_pool *p, void *arg, dm_error *err)
{
    dm_proposer *r = arg;
    dm_str text;
    (void)p;
    dm_status st = answer(r, ask_description(r), "program_description", &text, NULL, err);
    if (st == DM_OK && text.p)
        r->description = dm_strip_prefix(text);
    return st;
}

static dm_status describe_module(module *m, dm_str line, dm_str *out, dm_error *err)
{
    dm_proposer *r = m->all;
    size_t first = m->predictor * r->plan->n_instructions;
    dm_model_question q = dm_model_question_new(
        r->pool, "You see the outline of a program that calls a language model, what it "
                 "does, and one of its modules. Say in a few sentences what this module "
                 "is for within the program.");
    dm_model_question_show(&q, "program_outline", "the program in outline", r->outline);
    dm_model_question_show(&q, "program_description", "what the program does", r->description);
    dm_model_question_show(&q, "module", "the module in question", line);
    return answer(r,
                  want(&q, "module_description", "what the module is for",
                       r->plan->proposals[first].rollout,
                       dm_mipro_params_of(r->in)->init_temperature),
                  "module_description", out, NULL, err);
}

/* ---- instructions ---- */

typedef struct asking { /* for instruction number `set` of a module */
    module *m;
    dm_str line, description;
} asking;

static dm_str as_list(dm_arena *a, const dm_instructions *list)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    for (size_t i = 0; i < list->n; i++)
        if (list->text[i].p)
            dm_buf_printf(&b, "- %.*s\n", DM_STR_ARG(list->text[i]));
    dm_str s = {dm_arena_string(a, b.data ? b.data : "", b.len), b.len};
    dm_buf_free(&b);
    return s;
}

static dm_future *ask_instruction(const asking *x, size_t number, bool again)
{
    module *m = x->m;
    dm_proposer *r = m->all;
    dm_arena *a = dm_pool_arena(r->pool);
    const dm_mipro_params *params = dm_mipro_params_of(r->in);
    size_t place = number < r->plan->n_instructions ? number : r->plan->n_instructions - 1;
    const dm_proposal_plan *plan =
        &r->plan->proposals[m->predictor * r->plan->n_instructions + place];
    dm_model_question q = dm_model_question_new(
        r->pool,
        again ? "Write an instruction for one step of a program that calls a language model. "
                "Use what is known about the program, the step and its data, and say something "
                "else than the instructions that are there already. Give the instruction alone."
              : "Write an instruction for one step of a program that calls a language model, so "
                "that the model does this step as well as it can. Use what is known about the "
                "program, the step and its data. Give the instruction alone.");
    dm_model_question_show(&q, "data_summary", "about the data set", r->summary);
    if (r->description.p) {
        dm_model_question_show(&q, "program_outline", "the program in outline", r->outline);
        dm_model_question_show(&q, "program_description", "what the program does", r->description);
    }
    dm_model_question_show(&q, "module", "the step that the instruction is for", x->line);
    dm_model_question_show(&q, "module_description", "what the step is for", x->description);
    if (r->sets && params->fewshot_aware_proposer)
        dm_model_question_show(&q, "task_demos", "examples of the step's inputs and outputs",
                               dm_task_demos(a, r->in->student->program, m->predictor, r->sets,
                                             r->plan->n_sets, place));
    dm_model_question_show(&q, "basic_instruction", "the instruction as it is now",
                           m->instructions.text[0]);
    if (again)
        dm_model_question_show(&q, "instructions_so_far", "those that are there already",
                               as_list(a, &m->instructions));
    dm_model_question_show(&q, "tip", "a hint for the manner of the instruction",
                           dm_str_of(dm_tip(plan->tip)));
    return want(&q, "proposed_instruction", "the instruction alone, without a heading",
                plan->rollout + again, params->init_temperature);
}

static dm_str cleaned(dm_arena *a, dm_str s)
{
    s = dm_py_strip(dm_strip_prefix(dm_strip_prefix(dm_py_strip(s))));
    return dm_py_cleandoc(a, s);
}

static bool stands_already(const dm_instructions *list, size_t number)
{
    for (size_t i = 0; i < number; i++)
        if (list->text[i].p && dm_str_eq(list->text[i], list->text[number]))
            return true;
    return false;
}

static dm_status take(module *m, dm_future *f, size_t number, dm_error *err)
{
    dm_proposer *r = m->all;
    const dm_result *result = NULL;
    dm_str text;
    dm_status st = answer(r, f, "proposed_instruction", &text, &result, err);
    if (st != DM_OK)
        return st;
    m->failed_on_the_way += !result->present || result->fault == DM_FAULT_SERVER;
    if (text.p)
        text = cleaned(dm_pool_arena(r->pool), text);
    if (text.p && text.n)
        m->instructions.text[number] = text;
    return DM_OK;
}

static dm_status ask_all(const asking *x, size_t from, dm_error *err)
{
    module *m = x->m;
    dm_instructions *list = &m->instructions;
    dm_arena *a = dm_pool_arena(m->all->pool);
    dm_future **first = dm_arena_alloc_n(a, list->n, sizeof *first),
              **second = dm_arena_alloc_n(a, list->n, sizeof *second);
    dm_status st = DM_OK;
    for (size_t i = from; i < list->n; i++)
        first[i] = ask_instruction(x, i, false);
    for (size_t i = from; i < list->n && st == DM_OK; i++)
        st = take(m, first[i], i, err);
    for (size_t i = from; i < list->n && st == DM_OK; i++)
        if (!list->text[i].p || stands_already(list, i))
            second[i] = ask_instruction(x, i, true);
    for (size_t i = from; i < list->n && st == DM_OK; i++)
        if (second[i])
            st = take(m, second[i], i, err);
    for (size_t i = from; i < list->n && st == DM_OK; i++)
        if (!list->text[i].p)
            dm_log(DM_WARN, "proposal %zu for predictor %zu is left out: %s", i, m->predictor,
                   m->all->error ? m->all->error : "an empty answer");
    return st;
}

/* At a cap the proposer goes on with what it has. */
static dm_status unless_cut(const dm_pool *p, dm_status st)
{
    return st == DM_STOP_BUDGET && dm_pool_share_is_used(p) ? DM_OK : st;
}

static dm_status propose(dm_pool *p, void *arg, dm_error *err)
{
    module *m = arg;
    dm_proposer *r = m->all;
    const dm_predictor *predictor = &r->in->student->program->predictors[m->predictor];
    asking x = {m, dm_module_line(dm_pool_arena(p), predictor), {NULL, 0}};
    dm_status st = r->describing ? unless_cut(p, dm_strand_join(p, r->describing, err)) : DM_OK;
    if (st == DM_OK && r->description.p)
        st = unless_cut(p, describe_module(m, x.line, &x.description, err));
    if (st == DM_OK && r->summarizing)
        st = unless_cut(p, dm_strand_join(p, r->summarizing, err));
    if (st == DM_OK && r->sets)
        st = dm_demo_sets_join(p, r->sets, err);
    return st == DM_OK ? ask_all(&x, m->instructions.ready, err) : st;
}

/* ---- the whole ---- */

static void list_ready(dm_proposer *r, module *m)
{
    dm_arena *a = dm_pool_arena(r->pool);
    const dm_candidate *student = r->in->student;
    const dm_predictor *predictor = &student->program->predictors[m->predictor];
    bool instead;
    const dm_value *own =
        dm_proposals_of(dm_mipro_params_of(r->in)->proposals.json, predictor, &instead);
    dm_instructions *list = &m->instructions;
    list->ready = 1 + (own ? own->n : 0);
    list->n = list->ready + dm_proposals_asked(dm_mipro_params_of(r->in), r->plan, predictor);
    list->text = dm_arena_alloc_n(a, list->n, sizeof *list->text);
    list->text[0] = student->parts[m->predictor].instructions;
    for (size_t i = 1; i < list->ready; i++)
        list->text[i] = dm_py_cleandoc(a, own->items[i - 1]->text);
}

dm_future *dm_propose_sample(dm_pool *p, const dm_compile_input *in, const dm_mipro_plan *plan)
{
    dm_proposer r = {.pool = p,
                     .in = in,
                     .plan = plan,
                     .outline = dm_program_outline(dm_pool_arena(p), in->student->program)};
    return ask_description(&r);
}

dm_proposer *dm_propose_start(dm_pool *p, const dm_compile_input *in, const dm_mipro_plan *plan,
                              dm_demo_sets *sets)
{
    dm_arena *a = dm_pool_arena(p);
    const dm_program *program = in->student->program;
    dm_proposer *r = dm_arena_alloc(a, sizeof *r);
    bool any = false;
    *r = (dm_proposer){.pool = p,
                       .in = in,
                       .plan = plan,
                       .sets = dm_mipro_params_of(in)->fewshot_aware_proposer ? sets : NULL,
                       .outline = dm_program_outline(a, program),
                       .modules = dm_arena_alloc_n(a, program->n, sizeof *r->modules)};
    for (size_t i = 0; i < program->n; i++) {
        r->modules[i] = (module){.all = r, .predictor = i};
        list_ready(r, &r->modules[i]);
        any |= r->modules[i].instructions.n > r->modules[i].instructions.ready;
    }
    if (any && dm_mipro_params_of(in)->data_aware_proposer)
        r->summarizing = dm_strand_start(p, "data summary", summarize_data, r);
    if (any && dm_mipro_params_of(in)->program_aware_proposer)
        r->describing = dm_strand_start(p, "program description", describe_program, r);
    for (size_t i = 0; i < program->n; i++)
        if (r->modules[i].instructions.n > r->modules[i].instructions.ready)
            r->modules[i].strand = dm_strand_start(p, "proposals", propose, &r->modules[i]);
    return r;
}

dm_status dm_propose_join(dm_pool *p, dm_proposer *r, dm_error *err)
{
    size_t asked = 0, none = 0, way = 0;
    for (size_t i = 0; i < r->in->student->program->n; i++) {
        module *m = &r->modules[i];
        dm_status st = m->strand ? unless_cut(p, dm_strand_join(p, m->strand, err)) : DM_OK;
        if (st != DM_OK)
            return st;
        for (size_t k = m->instructions.ready; k < m->instructions.n; k++) {
            asked++;
            none += !m->instructions.text[k].p;
        }
        way += m->failed_on_the_way;
    }
    if (asked && none == asked && way >= asked)
        return dm_fail(err, DM_E_MODEL, "the prompt model gave no instruction at all: %s",
                       r->error ? r->error : "no answer");
    return DM_OK;
}

const dm_instructions *dm_propose_get(const dm_proposer *r, size_t predictor)
{
    return &r->modules[predictor].instructions;
}
