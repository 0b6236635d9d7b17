/* The Python that loads an ensemble: fresh modules, as many as the file has, and its rule. */
#include "ensemble/file.h"

#include <string.h>

static const char *module_name(const dm_predictor *p)
{
    return p->module == DM_CHAIN_OF_THOUGHT ? "dspy.ChainOfThought" : "dspy.Predict";
}

/* dspy.ChainOfThought("message -> topic: Literal['a', 'b']") */
static void put_module(dm_buf *b, const dm_value *step, const dm_predictor *p)
{
    const dm_value *signature =
        dm_value_get(step, p->module == DM_CHAIN_OF_THOUGHT ? "chain_of_thought" : "predict");
    const dm_value *text =
        signature->kind == DM_DICT ? dm_value_get(signature, "signature") : signature;
    dm_buf_printf(b, "%s(", module_name(p));
    dm_py_repr(b, text);
    dm_buf_char(b, ')');
}

static void put_steps(dm_buf *b, const dm_value *written, const dm_program *p, size_t number)
{
    const dm_value *steps = dm_value_get(written, "steps");
    dm_buf_printf(b,
                  "class Program%zu(dspy.Module):\n    def __init__(self):\n"
                  "        super().__init__()\n",
                  number);
    for (size_t i = 0; i < p->n; i++) {
        dm_buf_printf(b, "        self.%.*s = ", DM_STR_ARG(p->predictors[i].step));
        put_module(b, steps->items[i], &p->predictors[i]);
        dm_buf_char(b, '\n');
    }
    dm_buf_text(b, "\n    def forward(self, **f):\n");
    for (size_t i = 0; i < p->n; i++) {
        const dm_signature *s = p->predictors[i].signature;
        dm_buf_printf(b, "        last = self.%.*s(", DM_STR_ARG(p->predictors[i].step));
        for (size_t k = 0; k < s->n_inputs; k++)
            dm_buf_printf(b, "%s%.*s=f[\"%.*s\"]", k ? ", " : "", DM_STR_ARG(s->fields[k].name),
                          DM_STR_ARG(s->fields[k].name));
        dm_buf_text(b, ")\n");
        if (i + 1 < p->n)
            dm_buf_text(b, "        f.update(last.toDict())\n");
    }
    dm_buf_text(b, "        return last\n\n");
}

/* What makes modules of a program in Python, named by module and name, file and name, or a pickle
 * (scripts/dspy-host). */
static void put_source(dm_buf *b, const dm_value *python)
{
    const dm_value *spec = dm_value_get(python, "python");
    dm_str from = spec && spec->kind == DM_STRING ? spec->text : DM_STR("program:program");
    size_t colon = from.n;
    while (colon && from.p[colon - 1] != ':')
        colon--;
    dm_str name = {from.p + colon, from.n - colon};
    from.n = colon ? colon - 1 : 0;
    if (dm_str_is(from, "pickle")) {
        dm_buf_text(b, "import cloudpickle\n\nsource = cloudpickle.load(open(");
        dm_py_repr_str(b, name);
        dm_buf_text(b, ", \"rb\"))\n");
    } else {
        size_t slash = from.n;
        while (slash && from.p[slash - 1] != '/')
            slash--;
        if (slash) {
            dm_buf_text(b, "import sys\n\nsys.path.insert(0, ");
            dm_py_repr_str(b, (dm_str){from.p, slash});
            dm_buf_text(b, ")\n");
        }
        dm_str module = {from.p + slash, from.n - slash};
        if (module.n > 3 && strncmp(module.p + module.n - 3, ".py", 3) == 0)
            module.n -= 3;
        dm_buf_printf(b, "import %.*s\n\nsource = %.*s.%.*s\n", DM_STR_ARG(module),
                      DM_STR_ARG(module), DM_STR_ARG(name));
    }
    dm_buf_text(b, "\ndef fresh():\n"
                   "    return source.deepcopy() if isinstance(source, dspy.Module) else source()\n"
                   "\n");
}

/* The first member with an equal program: its class is this one's too. */
static size_t first_like(const dm_value *const *written, size_t k)
{
    size_t i = 0;
    while (!dm_value_equal(written[i], written[k]))
        i++;
    return i;
}

static void put_new(dm_buf *b, const dm_ensemble *e, const dm_value *const *written, size_t k)
{
    const dm_program *p = e->members[k]->program;
    if (p->python)
        dm_buf_text(b, "fresh()");
    else if (p->predictors[0].step.n)
        dm_buf_printf(b, "Program%zu()", first_like(written, k) + 1);
    else
        put_module(b, written[k], &p->predictors[0]);
}

static void put_members(dm_buf *b, const dm_ensemble *e, const dm_value *const *written)
{
    bool one = true;
    for (size_t k = 1; k < e->n; k++)
        one &= first_like(written, k) == 0;
    if (one) {
        dm_buf_char(b, '[');
        put_new(b, e, written, 0);
        dm_buf_printf(b, " for _ in range(%zu)]", e->all);
        return;
    }
    dm_buf_text(b, "[\n");
    for (size_t i = 0; i < e->all; i++) {
        dm_buf_text(b, "    ");
        put_new(b, e, written, e->list[i]);
        dm_buf_text(b, ",\n");
    }
    dm_buf_char(b, ']');
}

static void put_normalize(dm_buf *b)
{
    dm_buf_text(b, "from dspy.predict.aggregation import default_normalize\n\n");
}

/* By equality of values, where dspy.majority raises TypeError or needs what can be hashed; texts
 * among them as DSPy normalises them, or as they are. */
static void put_most_votes(dm_buf *b, const dm_ensemble *e)
{
    const char *value = "p[field]";
    if (e->reduce == DM_REDUCE_MAJORITY) {
        put_normalize(b);
        dm_buf_text(b, "def value(v):\n"
                       "    return default_normalize(v) if isinstance(v, str) else v\n\n");
        value = "value(p[field])";
    }
    dm_buf_printf(b,
                  "def most_votes(predictions, field=\"%.*s\"):\n"
                  "    values = [%s for p in predictions]\n"
                  "    voted = [v for v in values if v is not None]\n"
                  "    best = max(voted, key=voted.count, default=None)\n"
                  "    return predictions[values.index(best)]\n\n",
                  DM_STR_ARG(e->field), value);
}

static void put_unanimous(dm_buf *b, const dm_ensemble *e)
{
    bool text = dm_reduce_as_text(e->reduce, e->exact_field);
    if (text)
        put_normalize(b);
    dm_buf_printf(b,
                  "def unanimous(predictions, field=\"%.*s\"):  # None where they differ\n"
                  "    values = [%s for p in predictions]\n"
                  "    voted = [v for v in values if v is not None]\n"
                  "    same = voted and all(v == voted[0] for v in voted)\n"
                  "    return predictions[values.index(voted[0])] if same else None\n\n",
                  DM_STR_ARG(e->field), text ? "default_normalize(p[field])" : "p[field]");
}

/* Whether all values that the output can have are texts, as dspy.majority needs them. */
static bool is_text(const dm_field *f)
{
    if (!f)
        return false;
    bool text = f->type->kind == DM_T_STR || f->type->kind == DM_T_LITERAL;
    for (size_t i = 0; f->type->kind == DM_T_LITERAL && i < f->type->n; i++)
        text &= f->type->members[i]->kind == DM_STRING;
    return text;
}

/* What is voted on, as an output of the last predictor; NULL: what a program in Python makes of its
 * predictors' outputs. */
static const dm_field *field_of(const dm_ensemble *e)
{
    const dm_program *p = e->members[0]->program;
    const dm_signature *s = p->predictors[p->n - 1].signature;
    for (size_t i = s->n_inputs; i < s->n_inputs + s->n_outputs; i++)
        if (dm_str_eq(s->fields[i].name, e->field))
            return &s->fields[i];
    return NULL;
}

/* The functions above, where they are needed; gives the expression for reduce_fn. */
static const char *put_reduce(dm_buf *b, dm_arena *a, const dm_ensemble *e)
{
    const dm_field *f = field_of(e);
    const dm_program *p = e->members[0]->program;
    const dm_signature *s = p->predictors[p->n - 1].signature;
    if (e->reduce == DM_REDUCE_BEST_PER_INPUT) {
        dm_buf_text(b, "# DSPy has no rule that asks one member by the input: this gives the list "
                       "of all predictions.\n# dspy-mpi run asks one.\n");
        return "None";
    }
    if (e->reduce == DM_REDUCE_BEST_OF)
        dm_buf_text(b, "# DSPy's rules are not given the inputs, so no judge can pick: this is the "
                       "vote.\n# dspy-mpi run asks the judge.\n");
    if (e->reduce == DM_REDUCE_UNANIMOUS) {
        put_unanimous(b, e);
        return "unanimous";
    }
    if (e->reduce == DM_REDUCE_EXACT || !is_text(f)) {
        put_most_votes(b, e);
        return "most_votes";
    }
    if (f == &s->fields[s->n_inputs + s->n_outputs - 1] && !p->python)
        return "dspy.majority";
    return dm_arena_printf(a, "lambda p: dspy.majority(p, field=\"%.*s\")", DM_STR_ARG(e->field));
}

/* A model's name, or it and its settings: {"model": "openai/gpt-4o-mini", "temperature": 0.7}. */
static void put_model(dm_buf *b, size_t program, const dm_value *lm)
{
    const dm_value *name = lm->kind == DM_DICT ? dm_value_get(lm, "model") : lm;
    if (!name || name->kind != DM_STRING)
        return;
    dm_buf_printf(b, "ensemble.programs[%zu].set_lm(dspy.LM(", program);
    dm_py_repr(b, name);
    for (size_t i = 0; lm->kind == DM_DICT && i < lm->n; i++)
        if (lm->members[i].value != name) {
            dm_buf_printf(b, ", %.*s=", DM_STR_ARG(lm->members[i].key));
            dm_py_repr(b, lm->members[i].value);
        }
    dm_buf_text(b, "))\n");
}

/* Members that have models of their own: "lms" in the file, one or null for each program. */
static void put_models(dm_buf *b, const dm_ensemble *e)
{
    const dm_value *lms = e->more ? dm_value_get(e->more, "lms") : NULL;
    for (size_t i = 0; lms && lms->kind == DM_LIST && i < lms->n && i < e->all; i++)
        put_model(b, i, lms->items[i]);
}

void dm_ensemble_python(dm_buf *b, dm_arena *a, const dm_ensemble *e, const char *path)
{
    const dm_value **written = dm_arena_alloc_n(a, e->n, sizeof *written);
    dm_buf_text(b, "import dspy\n\n");
    if (e->members[0]->program->python)
        put_source(b, e->members[0]->program->python);
    for (size_t k = 0; k < e->n; k++)
        written[k] = dm_program_write(a, e->members[k]->program);
    for (size_t k = 0; k < e->n; k++)
        if (!e->members[k]->program->python && e->members[k]->program->predictors[0].step.n &&
            first_like(written, k) == k)
            put_steps(b, written[k], e->members[k]->program, k + 1);
    const char *reduce = put_reduce(b, a, e);
    dm_buf_printf(b, "ensemble = dspy.Ensemble(reduce_fn=%s", reduce);
    if (e->size)
        dm_buf_printf(b, ", size=%zu", e->size);
    dm_buf_text(b, ").compile(");
    put_members(b, e, written);
    dm_buf_text(b, ")  # a module of its own for each: [p] * n would be one\nensemble.load(");
    dm_py_repr_str(b, dm_str_of(path));
    dm_buf_text(b, ")\n");
    put_models(b, e);
}
