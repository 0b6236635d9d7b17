#include "program/program.h"
#include "base/utf8.h"
#include "json/json.h"
#include "program/python_program.h"

#include <string.h>

static const struct {
    const char *key;
    dm_module module;
} modules[] = {{"predict", DM_PREDICT},
               {"chain_of_thought", DM_CHAIN_OF_THOUGHT},
               {"Predict", DM_PREDICT},
               {"ChainOfThought", DM_CHAIN_OF_THOUGHT}};
#define N_MODULES (sizeof modules / sizeof *modules)

/* Reads the module of an object that has exactly one of the keys above. */
static dm_status read_module(dm_arena *a, const dm_at *at, dm_predictor *p, dm_error *err)
{
    const dm_signature *found = NULL;
    for (size_t i = 0; i < N_MODULES; i++) {
        dm_at sig = dm_at_key(at, modules[i].key);
        if (!sig.v)
            continue;
        if (found)
            return dm_at_fail(&sig, err, "one module only: predict or chain_of_thought");
        found = dm_signature_read(a, &sig, err);
        if (!found)
            return at->status;
        p->module = modules[i].module;
    }
    if (!found)
        return dm_at_fail(at, err,
                          "a module is missing: {\"predict\": \"question -> answer\"} or "
                          "{\"chain_of_thought\": ...}");
    p->signature = p->module == DM_CHAIN_OF_THOUGHT ? dm_signature_with_reasoning(a, found) : found;
    return DM_OK;
}

static dm_status check_step_name(const dm_at *at, dm_str name, const dm_program *p, size_t n,
                                 dm_error *err)
{
    if (name.n == 0)
        return dm_at_fail(at, err, "a step needs a name");
    for (size_t pos = 0; pos < name.n;)
        if (!dm_py_isword(dm_utf8_next(name, &pos)))
            return dm_at_fail(at, err, "a step's name is made of letters, digits and _");
    if (name.p[0] >= '0' && name.p[0] <= '9')
        return dm_at_fail(at, err, "a step's name must not begin with a digit");
    if (dm_str_is(name, "metadata"))
        return dm_at_fail(at, err,
                          "a step must not be called metadata: DSPy's files use that word");
    for (size_t i = 0; i < n; i++)
        if (dm_str_eq(p->predictors[i].step, name))
            return dm_at_fail(at, err, "two steps are called \"%.*s\"", DM_STR_ARG(name));
    return DM_OK;
}

static dm_status read_step(dm_arena *a, const dm_at *at, dm_program *p, size_t i, dm_error *err)
{
    static const char *const known[] = {"name", "predict", "chain_of_thought", "Predict",
                                        "ChainOfThought"};
    dm_predictor *step = &p->predictors[i];
    dm_at name = dm_at_key(at, "name");
    dm_str text = {"", 0};
    dm_status st = dm_get_known(at, known, sizeof known / sizeof *known, err);
    if (st == DM_OK)
        st = dm_get_string(&name, &text, err);
    if (st == DM_OK)
        st = check_step_name(name.v ? &name : at, text, p, i, err);
    if (st == DM_OK)
        st = read_module(a, at, step, err);
    step->step = text;
    step->path = text;
    if (st == DM_OK && step->module == DM_CHAIN_OF_THOUGHT)
        step->path = dm_str_of(dm_arena_printf(a, "%.*s.predict", DM_STR_ARG(text)));
    return st;
}

static bool given_before(const dm_program *p, size_t step, dm_str name)
{
    for (size_t i = 0; i < step; i++) {
        const dm_signature *s = p->predictors[i].signature;
        for (size_t k = s->n_inputs; k < s->n_inputs + s->n_outputs; k++)
            if (dm_str_eq(s->fields[k].name, name))
                return true;
    }
    return false;
}

/* What the program is called with: the inputs that no earlier step gives. */
static void find_inputs(dm_arena *a, dm_program *p)
{
    size_t most = 0;
    for (size_t i = 0; i < p->n; i++)
        most += p->predictors[i].signature->n_inputs;
    p->inputs = dm_arena_alloc_n(a, most, sizeof *p->inputs);
    for (size_t i = 0; i < p->n; i++)
        for (size_t k = 0; k < p->predictors[i].signature->n_inputs; k++) {
            dm_str name = p->predictors[i].signature->fields[k].name;
            bool known = given_before(p, i, name);
            for (size_t j = 0; j < p->n_inputs; j++)
                known |= dm_str_eq(p->inputs[j], name);
            if (!known)
                p->inputs[p->n_inputs++] = name;
        }
}

static dm_status read_steps(dm_arena *a, const dm_at *at, dm_program *p, dm_error *err)
{
    if (at->v->kind != DM_LIST || at->v->n == 0)
        return dm_at_fail(at, err, "a list of steps [{\"name\": ..., \"predict\": ...}, ...]");
    p->n = at->v->n;
    p->predictors = dm_arena_alloc_n(a, p->n, sizeof *p->predictors);
    for (size_t i = 0; i < p->n; i++) {
        dm_at step = dm_at_item(at, i);
        dm_status st = read_step(a, &step, p, i, err);
        if (st != DM_OK)
            return st;
    }
    return DM_OK;
}

static const char *const known[] = {"predict", "chain_of_thought", "steps", "Predict",
                                    "ChainOfThought"};
#define N_KNOWN (sizeof known / sizeof *known)

bool dm_is_native_program(const dm_value *v)
{
    for (size_t i = 0; i < N_KNOWN; i++)
        if (dm_value_get(v, known[i]))
            return true;
    return false;
}

dm_program *dm_program_read(dm_arena *a, const dm_at *at, dm_error *err)
{
    if (dm_value_get(at->v, "python"))
        return dm_python_program_read(a, at, err);
    dm_program *p = dm_arena_alloc(a, sizeof *p);
    dm_status st =
        at->v ? dm_get_known(at, known, N_KNOWN, err) : dm_at_fail(at, err, "a program is missing");
    if (st != DM_OK)
        return NULL;
    dm_at steps = dm_at_key(at, "steps");
    if (steps.v) {
        if (at->v->n > 1)
            st = dm_at_fail(at, err, "steps, or one module: not both");
        else
            st = read_steps(a, &steps, p, err);
    } else {
        p->n = 1;
        p->predictors = dm_arena_alloc(a, sizeof *p->predictors);
        st = read_module(a, at, p->predictors, err);
        p->predictors->step = (dm_str){"", 0};
        p->predictors->path =
            p->predictors->module == DM_CHAIN_OF_THOUGHT ? DM_STR("predict") : (dm_str){"", 0};
    }
    if (st != DM_OK)
        return NULL;
    find_inputs(a, p);
    return p;
}

/* The signature as it was written: a chain of thought's reasoning is added again when it is read.
 */
static dm_value *write_signature(dm_arena *a, const dm_predictor *p)
{
    dm_signature s = *p->signature;
    const dm_field *r = &s.fields[s.n_inputs];
    bool own = r->typed && r->type->kind == DM_T_STR && dm_str_is(r->desc, "${reasoning}") &&
               !r->constraints.n;
    if (p->module != DM_CHAIN_OF_THOUGHT || !own || s.n_outputs == 1)
        return dm_signature_write(a, &s);
    s.fields = dm_arena_alloc_n(a, s.n_inputs + s.n_outputs, sizeof *s.fields);
    size_t n = 0;
    for (size_t i = 0; i < s.n_inputs + s.n_outputs; i++)
        if (i != s.n_inputs)
            s.fields[n++] = p->signature->fields[i];
    s.n_outputs--;
    return dm_signature_write(a, &s);
}

dm_value *dm_program_write(dm_arena *a, const dm_program *p)
{
    dm_value *d = dm_value_dict(a), *steps = dm_value_list(a);
    if (p->python)
        return dm_value_copy(a, p->python);
    for (size_t i = 0; i < p->n; i++) {
        const dm_predictor *x = &p->predictors[i];
        dm_value *step = dm_value_dict(a);
        if (x->step.n)
            dm_value_set(a, step, DM_STR("name"), dm_value_string(a, x->step));
        dm_value_set(a, step, dm_str_of(modules[x->module].key), write_signature(a, x));
        if (!x->step.n)
            return step;
        dm_value_append(a, steps, step);
    }
    dm_value_set(a, d, DM_STR("steps"), steps);
    return d;
}

const dm_program *dm_program_as(dm_arena *a, const dm_program *p, dm_module module)
{
    dm_value *d = dm_value_dict(a);
    dm_error err;
    if (p->n != 1 || p->predictors[0].step.n || p->python)
        return NULL;
    dm_value_set(a, d, dm_str_of(modules[module].key), write_signature(a, p->predictors));
    dm_at at = dm_at_root(d, "the other module", DM_E_DATA);
    return dm_program_read(a, &at, &err);
}

double dm_program_calls(const dm_program *p)
{
    return p->calls > 0 ? p->calls : (double)p->n;
}

/* ---- candidates ---- */

dm_candidate *dm_candidate_new(dm_arena *a, const dm_program *p)
{
    dm_candidate *c = dm_arena_alloc(a, sizeof *c);
    c->program = p;
    c->parts = dm_arena_alloc_n(a, p->n, sizeof *c->parts);
    for (size_t i = 0; i < p->n; i++) {
        c->parts[i].instructions = p->predictors[i].signature->instructions;
        dm_python_demos(&p->predictors[i], &c->parts[i]);
    }
    return c;
}

dm_candidate *dm_candidate_copy(dm_arena *a, const dm_candidate *c)
{
    dm_candidate *copy = dm_candidate_new(a, c->program);
    memcpy(copy->parts, c->parts, c->program->n * sizeof *copy->parts);
    return copy;
}

void dm_part_set_demos(dm_candidate_part *part, const dm_value **demos, size_t n)
{
    part->demos = demos;
    part->n_demos = n;
    part->live = NULL;
    part->loaded = false;
}

void dm_part_copy_demos(dm_candidate_part *part, const dm_candidate_part *from)
{
    part->demos = from->demos;
    part->n_demos = from->n_demos;
    part->live = from->live;
    part->loaded = from->loaded;
}

dm_value *dm_candidate_write(dm_arena *a, const dm_candidate *c)
{
    dm_value *d = dm_value_dict(a), *instructions = dm_value_list(a), *demos = dm_value_list(a),
             *without_lm = dm_value_list(a);
    bool any_without = false;
    for (size_t i = 0; i < c->program->n; i++) {
        any_without |= c->parts[i].without_lm;
        dm_value_append(a, without_lm, dm_value_bool(a, c->parts[i].without_lm));
        dm_value *list = dm_value_list(a);
        for (size_t k = 0; k < c->parts[i].n_demos; k++)
            dm_value_append(a, list, c->parts[i].demos[k]);
        dm_value_append(a, demos, list);
        dm_value_append(a, instructions, dm_value_string(a, c->parts[i].instructions));
    }
    dm_value_set(a, d, DM_STR("instructions"), instructions);
    dm_value_set(a, d, DM_STR("demos"), demos);
    if (any_without)
        dm_value_set(a, d, DM_STR("without_lm"), without_lm);
    return d;
}

bool dm_demo_is_sent(const dm_signature *s, const dm_value *demo)
{
    bool all = true, any_input = false, any_output = false;
    for (size_t i = 0; i < s->n_inputs + s->n_outputs; i++) {
        const dm_value *v = dm_value_get_str(demo, s->fields[i].name);
        all = all && v && v->kind != DM_NULL;
        any_input |= v && i < s->n_inputs;
        any_output |= v && i >= s->n_inputs;
    }
    return all || (any_input && any_output);
}

static size_t next_sent(const dm_signature *s, const dm_candidate_part *part, size_t i)
{
    while (i < part->n_demos && !dm_demo_is_sent(s, part->demos[i]))
        i++;
    return i;
}

bool dm_same_demos(const dm_signature *s, const dm_candidate_part *a, const dm_candidate_part *b)
{
    size_t i = next_sent(s, a, 0), k = next_sent(s, b, 0);
    while (i < a->n_demos && k < b->n_demos && dm_value_equal(a->demos[i], b->demos[k])) {
        i = next_sent(s, a, i + 1);
        k = next_sent(s, b, k + 1);
    }
    return i == a->n_demos && k == b->n_demos;
}

const dm_value *dm_live_list(dm_arena *a, const dm_candidate_part *part)
{
    if (!part->live)
        return dm_value_null(a);
    dm_value *list = dm_value_list(a);
    for (size_t k = 0; k < part->n_demos; k++)
        dm_value_append(a, list,
                        part->live[k].p ? dm_value_string(a, part->live[k]) : dm_value_null(a));
    return list;
}

dm_value *dm_candidate_pack(dm_arena *a, const dm_candidate *c)
{
    dm_value *d = dm_candidate_write(a, c), *live = dm_value_list(a), *loaded = dm_value_list(a);
    bool any_live = false, any_loaded = false;
    for (size_t i = 0; i < c->program->n; i++) {
        any_live |= c->parts[i].live != NULL;
        any_loaded |= c->parts[i].loaded;
        dm_value_append(a, live, dm_live_list(a, &c->parts[i]));
        dm_value_append(a, loaded, dm_value_bool(a, c->parts[i].loaded));
    }
    if (any_live)
        dm_value_set(a, d, DM_STR("live"), live);
    if (any_loaded)
        dm_value_set(a, d, DM_STR("loaded"), loaded);
    return d;
}

static dm_hash hash_of_candidate(const dm_candidate *c)
{
    dm_arena *a = dm_arena_new(0);
    dm_value *all = dm_value_list(a);
    dm_buf b;
    dm_value_append(a, all, dm_program_write(a, c->program));
    dm_value_append(a, all, dm_candidate_write(a, c));
    dm_buf_init(&b, DM_MAX_FILE);
    dm_json_write(
        &b, all,
        DM_JSON_PYTHON); /* the order of a demo's keys does not reach the prompt, but the file */
    dm_hash h = dm_hash_of(b.data, b.len);
    dm_buf_free(&b);
    dm_arena_free(a);
    return h;
}

const dm_candidate *dm_candidate_seal(dm_candidate *c)
{
    dm_arena *a = dm_arena_new(0);
    dm_candidate *sent = dm_candidate_copy(a, c);
    bool all = true;
    for (size_t i = 0; i < c->program->n; i++) {
        dm_candidate_part *part = &sent->parts[i];
        part->demos = dm_arena_alloc_n(a, c->parts[i].n_demos, sizeof *part->demos);
        part->n_demos = 0;
        for (size_t k = 0; k < c->parts[i].n_demos; k++)
            if (dm_demo_is_sent(c->program->predictors[i].signature, c->parts[i].demos[k]))
                part->demos[part->n_demos++] = c->parts[i].demos[k];
        all &= part->n_demos == c->parts[i].n_demos;
    }
    c->hash = hash_of_candidate(c);
    c->sent = all ? c->hash : hash_of_candidate(sent);
    dm_arena_free(a);
    return c;
}

static bool read_live(dm_arena *a, const dm_at *all, size_t i, dm_candidate_part *part)
{
    dm_at list = all->v ? dm_at_item(all, i) : *all;
    if (!list.v || list.v->kind == DM_NULL)
        return true;
    if (list.v->kind != DM_LIST || list.v->n != part->n_demos)
        return false;
    dm_str *live = dm_arena_alloc_n(a, part->n_demos, sizeof *live);
    for (size_t k = 0; k < part->n_demos; k++)
        if (list.v->items[k]->kind == DM_STRING)
            live[k] = list.v->items[k]->text;
    part->live = live;
    return true;
}

dm_candidate *dm_candidate_read(dm_arena *a, const dm_program *p, const dm_at *at, dm_error *err)
{
    dm_candidate *c = dm_candidate_new(a, p);
    dm_at instructions = dm_at_key(at, "instructions"), demos = dm_at_key(at, "demos"),
          without_lm = dm_at_key(at, "without_lm"), live = dm_at_key(at, "live"),
          loaded = dm_at_key(at, "loaded");
    for (size_t i = 0; i < p->n; i++) {
        dm_at text = dm_at_item(&instructions, i), list = dm_at_item(&demos, i),
              without = without_lm.v ? dm_at_item(&without_lm, i) : without_lm,
              is_loaded = loaded.v ? dm_at_item(&loaded, i) : loaded;
        if (!text.v || text.v->kind != DM_STRING || !list.v || list.v->kind != DM_LIST) {
            dm_at_fail(at, err, "instructions and demos for %zu predictors", p->n);
            return NULL;
        }
        if (without.v && dm_get_bool(&without, &c->parts[i].without_lm, err) != DM_OK)
            return NULL;
        c->parts[i].instructions = text.v->text;
        c->parts[i].demos = list.v->items;
        c->parts[i].n_demos = list.v->n;
        for (size_t k = 0; k < list.v->n; k++)
            if (list.v->items[k]->kind != DM_DICT) {
                dm_at_fail(&list, err, "a demonstration is an object");
                return NULL;
            }
        if (!read_live(a, &live, i, &c->parts[i])) {
            dm_at_fail(&live, err, "a list as long as that of the demonstrations");
            return NULL;
        }
        if (is_loaded.v && dm_get_bool(&is_loaded, &c->parts[i].loaded, err) != DM_OK)
            return NULL;
    }
    dm_candidate_seal(c);
    return c;
}

dm_str dm_predictor_label(const dm_predictor *p)
{
    return p->step.n ? p->step : DM_STR("program");
}
