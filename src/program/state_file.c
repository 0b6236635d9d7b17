#include "program/state_file.h"
#include "base/log.h"
#include "base/utf8.h"
#include "json/json.h"
#include "program/python_program.h"

#include <string.h>

/* ---- writing (contract 5.1, 5.3) ---- */

static dm_value *write_fields(dm_arena *a, const dm_signature *s)
{
    dm_value *list = dm_value_list(a);
    for (size_t i = 0; i < s->n_inputs + s->n_outputs; i++) {
        dm_value *f = dm_value_dict(a);
        dm_value_set(a, f, DM_STR("prefix"), dm_value_string(a, s->fields[i].prefix));
        dm_value_set(a, f, DM_STR("description"), dm_value_string(a, s->fields[i].desc));
        dm_value_append(a, list, f);
    }
    return list;
}

static const dm_value *write_predictor(dm_arena *a, const dm_predictor *p,
                                       const dm_candidate_part *part)
{
    if (p->state)
        return dm_python_state(a, p, part);
    dm_value *d = dm_value_dict(a), *demos = dm_value_list(a), *signature = dm_value_dict(a);
    for (size_t i = 0; i < part->n_demos; i++)
        dm_value_append(a, demos, part->demos[i]);
    dm_value_set(a, signature, DM_STR("instructions"), dm_value_string(a, part->instructions));
    dm_value_set(a, signature, DM_STR("fields"), write_fields(a, p->signature));
    dm_value_set(a, d, DM_STR("traces"), dm_value_list(a));
    dm_value_set(a, d, DM_STR("train"), dm_value_list(a));
    dm_value_set(a, d, DM_STR("demos"), demos);
    dm_value_set(a, d, DM_STR("signature"), signature);
    dm_value_set(a, d, DM_STR("lm"), dm_value_null(a));
    return d;
}

/* A subclass of Predict that holds predictors of its own: DSPy saves the state of the whole alone,
 * flat, and loads whatever stands beside it into the object. So theirs are where DSPy does not
 * look. NULL: there are none. */
static const dm_value *write_inner(dm_arena *a, const dm_candidate *c)
{
    const dm_program *p = c->program;
    dm_value *d = dm_value_dict(a);
    for (size_t i = 1; i < p->n; i++)
        dm_value_set(a, d, p->predictors[i].path,
                     write_predictor(a, &p->predictors[i], &c->parts[i]));
    return d->n ? d : NULL;
}

static dm_value *write_metadata(dm_arena *a, const dm_program *p, const dm_value *inner,
                                const dm_value *provenance)
{
    dm_value *m = dm_value_dict(a), *own = dm_value_dict(a);
    dm_value_set(a, own, DM_STR("program"), dm_program_write(a, p));
    if (inner)
        dm_value_set(a, own, DM_STR("predictors"), inner);
    for (size_t i = 0; provenance && i < provenance->n; i++)
        dm_value_set(a, own, provenance->members[i].key, provenance->members[i].value);
    /* Empty: whatever the reader's versions are, DSPy loads it without a warning. */
    dm_value_set(a, m, DM_STR("dependency_versions"), dm_value_dict(a));
    dm_value_set(a, m, DM_STR("dspy_mpi"), own);
    return m;
}

/* The key of a predictor: "query.predict", "programs[1]", "programs[1].query.predict". */
static dm_str key_of(dm_arena *a, const char *prefix, const dm_predictor *p)
{
    const char *dot = *prefix && p->path.n ? "." : "";
    return dm_str_of(dm_arena_printf(a, "%s%s%.*s", prefix, dot, DM_STR_ARG(p->path)));
}

void dm_state_put(dm_arena *a, dm_value *file, const char *prefix, const dm_candidate *c)
{
    const dm_program *p = c->program;
    for (size_t i = 0; i < p->n; i++) {
        dm_python_put_parameters(a, file, prefix, p, i);
        dm_value_set(a, file, key_of(a, prefix, &p->predictors[i]),
                     write_predictor(a, &p->predictors[i], &c->parts[i]));
    }
    dm_python_put_parameters(a, file, prefix, p, p->n);
}

void dm_state_write(dm_buf *b, dm_arena *a, const dm_candidate *c, const dm_value *provenance)
{
    const dm_program *p = c->program;
    dm_value *d = dm_value_dict(a);
    const dm_value *inner = NULL;
    if (p->predictors[0].path.n == 0) {
        d = dm_value_copy(a, write_predictor(a, &p->predictors[0], &c->parts[0]));
        inner = write_inner(a, c);
    } else {
        dm_state_put(a, d, "", c);
    }
    dm_value_set(a, d, DM_STR("metadata"), write_metadata(a, p, inner, provenance));
    dm_json_write(b, d, DM_JSON_ORJSON_INDENT);
    dm_buf_char(b, '\n');
}

/* ---- reading (contract 5.2) ---- */

static dm_status read_demos(dm_arena *a, const dm_at *at, dm_candidate_part *part, dm_error *err)
{
    if (!at->v)
        return DM_OK;
    if (at->v->kind != DM_LIST)
        return dm_at_fail(at, err, "a list of demonstrations");
    part->n_demos = at->v->n;
    part->demos = dm_arena_alloc_n(a, at->v->n, sizeof *part->demos);
    for (size_t i = 0; i < at->v->n; i++) {
        dm_at demo = dm_at_item(at, i);
        if (demo.v->kind != DM_DICT)
            return dm_at_fail(&demo, err, "a demonstration is an object");
        part->demos[i] = demo.v;
    }
    return DM_OK;
}

/* The file keeps no names or types of fields, only prefixes; these tell another program's file. */
static dm_status check_fields(const dm_at *at, const dm_signature *s, dm_error *err)
{
    size_t n = s->n_inputs + s->n_outputs;
    if (!at->v || at->v->kind != DM_LIST)
        return dm_at_fail(at, err, "a list of fields is missing");
    if (at->v->n != n)
        return dm_at_fail(at, err,
                          "this is the file of another program: %zu fields, the program has %zu",
                          at->v->n, n);
    for (size_t i = 0; i < n; i++) {
        dm_at field = dm_at_item(at, i), prefix = dm_at_key(&field, "prefix");
        dm_str text = {NULL, 0};
        dm_status st = dm_get_string(&prefix, &text, err);
        if (st != DM_OK)
            return st;
        if (!text.p || !dm_value_get(field.v, "description"))
            return dm_at_fail(&field, err, "a field has a prefix and a description");
        if (!dm_str_eq(text, s->fields[i].prefix))
            return dm_at_fail(&prefix, err,
                              "this is the file of another program: field %zu is \"%.*s\", the "
                              "program has \"%.*s\"",
                              i + 1, DM_STR_ARG(text), DM_STR_ARG(s->fields[i].prefix));
    }
    return DM_OK;
}

/* The file's descriptions take the place of the program's, as DSPy's load does. */
static bool take_descriptions(dm_arena *a, const dm_value *fields, dm_predictor *p)
{
    dm_signature *s = dm_arena_alloc(a, sizeof *s);
    size_t n = p->signature->n_inputs + p->signature->n_outputs;
    bool changed = false;
    *s = *p->signature;
    s->fields = dm_arena_alloc_n(a, n, sizeof *s->fields);
    memcpy(s->fields, p->signature->fields, n * sizeof *s->fields);
    for (size_t i = 0; i < n; i++) {
        const dm_value *desc = dm_value_get(fields->items[i], "description");
        if (desc->kind != DM_STRING || dm_str_eq(desc->text, s->fields[i].desc))
            continue;
        s->fields[i].desc = desc->text;
        changed = true;
    }
    if (changed)
        p->signature = s;
    return changed;
}

static dm_status read_predictor(dm_arena *a, const dm_at *at, const dm_predictor *p,
                                dm_candidate_part *part, dm_error *err)
{
    dm_at signature = dm_at_key(at, "signature"), demos = dm_at_key(at, "demos"),
          lm = dm_at_key(at, "lm");
    dm_at instructions = dm_at_key(&signature, "instructions"),
          fields = dm_at_key(&signature, "fields");
    dm_str text = {NULL, 0};
    dm_status st = DM_OK;
    if (instructions.v && instructions.v->kind == DM_STRING)
        text = instructions.v->text; /* a model's words may have U+0000, which is DSPy's too */
    else
        st = dm_get_string(&instructions, &text, err);
    if (st == DM_OK && !text.p)
        st = dm_at_fail(&instructions, err,
                        "no instructions: this is not a state file of a DSPy program");
    if (st == DM_OK)
        st = check_fields(&fields, p->signature, err);
    if (st == DM_OK)
        st = read_demos(a, &demos, part, err);
    if (st != DM_OK)
        return st;
    bool named = lm.v && lm.v->kind != DM_NULL;
    part->loaded = p->state != NULL;
    part->without_lm = dm_python_has_lm(p) && !named;
    if (named && !dm_python_has_lm(p))
        dm_log(DM_WARN, "%s: %s: the model named there is not used; the job's is", at->file,
               lm.path);
    /* An empty instruction falls back on the default text (contract 0.3). */
    part->instructions = text.n ? dm_py_cleandoc(a, text) : p->signature->instructions;
    return DM_OK;
}

/* out->v NULL: DSPy keeps it in no file (write_inner); it stays as it is written. */
static dm_status predictor_at(dm_arena *a, const dm_at *root, const char *prefix,
                              const dm_program *program, size_t i, dm_at *out, dm_error *err)
{
    dm_str key = key_of(a, prefix, &program->predictors[i]);
    *out = *root;
    if (key.n == 0) {
        for (size_t k = 0; !dm_value_get(root->v, "signature") && k < root->v->n; k++)
            if (dm_value_get(root->v->members[k].value, "signature"))
                return dm_at_fail(
                    root, err, "this is the file of another program: it has a predictor \"%.*s\"",
                    DM_STR_ARG(root->v->members[k].key));
        return DM_OK;
    }
    *out = dm_at_key(root, key.p);
    if (out->v && out->v->kind == DM_DICT)
        return DM_OK;
    if (i > 0 && program->predictors[0].path.n == 0) {
        dm_at metadata = dm_at_key(root, "metadata"), own = dm_at_key(&metadata, "dspy_mpi"),
              inner = dm_at_key(&own, "predictors");
        *out = dm_at_key(&inner, key.p);
        return DM_OK;
    }
    return dm_at_fail(root, err,
                      "this is the file of another program: it has no predictor \"%.*s\"",
                      DM_STR_ARG(key));
}

dm_status dm_state_take(dm_arena *a, const dm_at *root, const char *prefix,
                        const dm_program *program, const dm_candidate **out, dm_error *err)
{
    dm_candidate *c = dm_candidate_new(a, program);
    dm_program *own_program = dm_arena_alloc(a, sizeof *own_program);
    bool changed = false;
    *own_program = *program;
    own_program->predictors = dm_arena_alloc_n(a, program->n, sizeof *own_program->predictors);
    memcpy(own_program->predictors, program->predictors,
           program->n * sizeof *own_program->predictors);
    for (size_t i = 0; i < program->n; i++) {
        dm_at at;
        dm_status st = predictor_at(a, root, prefix, program, i, &at, err);
        if (st == DM_OK && at.v)
            st = read_predictor(a, &at, &program->predictors[i], &c->parts[i], err);
        if (st != DM_OK)
            return st;
        if (!at.v)
            continue;
        const dm_value *signature = dm_value_get(at.v, "signature");
        changed |=
            take_descriptions(a, dm_value_get(signature, "fields"), &own_program->predictors[i]);
    }
    if (changed)
        c->program = own_program;
    *out = dm_candidate_seal(c);
    return DM_OK;
}

dm_status dm_state_read(dm_arena *a, dm_str text, const char *name, const dm_program *program,
                        const dm_candidate **out, const dm_value **provenance, dm_error *err)
{
    const dm_value *v = dm_json_read(a, text, err);
    if (!v)
        return dm_json_error_in(err, DM_E_DATA, name);
    dm_at root = dm_at_root(v, name, DM_E_DATA);
    if (v->kind != DM_DICT)
        return dm_at_fail(&root, err, "a program file is an object {...}");
    dm_at metadata = dm_at_key(&root, "metadata"), own = dm_at_key(&metadata, "dspy_mpi");
    dm_at written = dm_at_key(&own, "program");
    if (provenance)
        *provenance = own.v;
    if (!program) {
        if (!written.v)
            return dm_at_fail(
                &root, err,
                "the file does not say which signature it belongs to (DSPy wrote it): "
                "give a job file that does, with --job");
        program = dm_program_read(a, &written, err);
        if (!program)
            return DM_E_DATA;
    }
    return dm_state_take(a, &root, "", program, out, err);
}
