#include "base/utf8.h"
#include "json/json.h"
#include "metric/judge_inside.h"

#include <math.h>
#include <string.h>

#define ADDRESS(name) &dm_metric_##name,
static const dm_metric_class *const classes[] = {DM_METRICS(ADDRESS)};
#define N_CLASSES   (sizeof classes / sizeof *classes)
#define MOST_JUDGES 8

static const dm_metric_class *find_class(const dm_at *at, dm_str name, dm_error *err)
{
    const char *names[N_CLASSES + MOST_JUDGES];
    size_t n = N_CLASSES;
    for (size_t i = 0; i < N_CLASSES; i++) {
        names[i] = classes[i]->name;
        if (dm_str_is(name, names[i]))
            return classes[i];
    }
    for (size_t i = 0; i < MOST_JUDGES && dm_judge_name(i); i++)
        names[n++] = dm_judge_name(i);
    const char *near = dm_nearest(name.p, names, n);
    if (near) {
        dm_at_fail(at, err, "no metric is called \"%.*s\"; did you mean \"%s\"?", DM_STR_ARG(name),
                   near);
        return NULL;
    }
    dm_buf all;
    dm_buf_init(&all, 4096);
    for (size_t i = 0; i < n; i++)
        dm_buf_printf(&all, "%s, ", names[i]);
    dm_at_fail(at, err, "no metric is called \"%.*s\"; there are %sand commands", DM_STR_ARG(name),
               all.data);
    dm_buf_free(&all);
    return NULL;
}

static bool is_input(const dm_program *p, dm_str name)
{
    for (size_t i = 0; i < p->n_inputs; i++)
        if (dm_str_eq(p->inputs[i], name))
            return true;
    return false;
}

const dm_field *dm_metric_output(const dm_program *p, dm_str name)
{
    size_t least = p->python ? 0 : p->n - 1; /* which gives the prediction only Python knows */
    for (size_t k = p->n; k-- > least;) {
        const dm_signature *s = p->predictors[k].signature;
        for (size_t i = s->n_inputs; i < s->n_inputs + s->n_outputs; i++)
            if (dm_str_eq(s->fields[i].name, name))
                return &s->fields[i];
    }
    return NULL;
}

/* The only column that is a label and an output at once. */
dm_status dm_metric_only_label(const dm_at *at, const dm_program *p, const dm_dataset *const *sets,
                               size_t n_sets, dm_str *field, dm_error *err)
{
    size_t found = 0;
    /* A row may be without its label: that is said of the row, and not of the data. */
    for (size_t r = 0; n_sets && r < sets[0]->n && found == 0; r++) {
        const dm_value *row = sets[0]->examples[r].row;
        for (size_t i = 0; i < row->n; i++) {
            dm_str name = row->members[i].key;
            if (is_input(p, name) || !dm_metric_output(p, name))
                continue;
            *field = name;
            found++;
        }
    }
    if (found == 1)
        return DM_OK;
    if (found == 0)
        return dm_at_fail(at, err,
                          "no column of the data is an output of the program; name the label with "
                          "{\"name\": ..., \"field\": ...}");
    return dm_at_fail(
        at, err, "the data has several labels; say which one with {\"name\": ..., \"field\": ...}");
}

static dm_status check_rows(const dm_metric *m, const dm_dataset *const *sets, size_t n_sets,
                            dm_error *err)
{
    for (size_t s = 0; s < n_sets; s++)
        for (size_t i = 0; i < sets[s]->n; i++) {
            if (dm_value_get_str(sets[s]->examples[i].row, m->field))
                continue;
            return dm_fail(
                err, DM_E_DATA,
                "%s: example %zu has no column \"%.*s\", which the metric %s compares with",
                sets[s]->path, i + 1, DM_STR_ARG(m->field), m->name);
        }
    return DM_OK;
}

const dm_param dm_metric_common[] = {
    {.name = "name",
     .kind = DM_PARAM_ANY,
     .value = "NAME",
     .help = "one of the built-in metrics",
     .absent = "required",
     .schema = "\"type\": \"string\""},
    {.name = "field",
     .kind = DM_PARAM_ANY,
     .value = "NAME",
     .help = "column of the data that holds the label",
     .absent = "the only one that is an output, or the metric's own",
     .schema = "\"type\": \"string\""},
    {.name = NULL},
};

bool dm_metric_about_of(size_t i, dm_metric_about *out)
{
    if (i >= N_CLASSES)
        return dm_metric_other_about(i - N_CLASSES, out);
    *out = (dm_metric_about){classes[i]->name, classes[i]->help, classes[i]->options};
    return true;
}

dm_status dm_metric_known(dm_arena *a, const dm_at *at, const dm_param *keys, dm_error *err)
{
    const dm_param *tables[] = {dm_metric_common, keys};
    const char **known = dm_arena_alloc_n(a, 100, sizeof *known);
    size_t n = 0;
    for (int i = 0; i < 2; i++)
        for (const dm_param *row = tables[i]; row && row->name && n < 100; row++)
            known[n++] = row->name;
    return dm_get_known(at, known, n, err);
}

static dm_status read_options(dm_arena *a, const dm_at *at, dm_metric *m, dm_error *err)
{
    const dm_metric_class *class = m->class;
    dm_at field = dm_at_key(at, "field");
    dm_status st = at->v->kind == DM_DICT ? dm_metric_known(a, at, class->options, err) : DM_OK;
    if (st == DM_OK)
        st = dm_get_string(&field, &m->field, err);
    if (class->size)
        m->own = dm_arena_alloc(a, class->size);
    if (st == DM_OK && class->options) {
        dm_params_default(class->options, m->own);
        st = dm_params_read(a, class->options, at, false, m->own, err);
    }
    if (st == DM_OK && class->read)
        st = class->read(a, at, m, err);
    return st;
}

static dm_status check_output(const dm_at *at, dm_metric *m, const dm_program *p, dm_error *err)
{
    const dm_field *f = dm_metric_output(p, m->output);
    m->type = f ? f->type : NULL;
    if (!f && m->class->output)
        return dm_at_fail(at, err, "%s needs an output \"%s\"", m->name, m->class->output);
    if (!f)
        return dm_at_fail(
            at, err,
            "the metric %s compares \"%.*s\", which is not an output of the program's last step",
            m->name, DM_STR_ARG(m->field));
    return m->class->suits ? m->class->suits(at, m, f, err) : DM_OK;
}

static dm_status make_builtin(dm_arena *a, const dm_at *at, dm_str name, dm_metric *m,
                              const dm_program *p, const dm_dataset *const *sets, size_t n_sets,
                              dm_error *err)
{
    const dm_metric_class *class = m->class = find_class(at, name, err);
    if (!class)
        return at->status;
    m->name = class->name;
    dm_status st = read_options(a, at, m, err);
    if (st != DM_OK)
        return st;
    if (!m->field.p && class->field)
        m->field = dm_str_of(class->field);
    if (!m->field.p)
        st = dm_metric_only_label(at, p, sets, n_sets, &m->field, err);
    if (st != DM_OK)
        return st;
    m->output = class->output ? dm_str_of(class->output) : m->field;
    st = check_output(at, m, p, err);
    return st == DM_OK ? check_rows(m, sets, n_sets, err) : st;
}

/* ---- built-in ones ---- */

static dm_status score(dm_metric *m, const dm_value *example, const dm_value *prediction,
                       double *out, dm_error *err)
{
    const dm_value *label = dm_value_get_str(example, m->field),
                   *given = dm_value_get_str(prediction, m->output);
    if (!label)
        return dm_fail(err, DM_E_DATA, "the example has no `%.*s`", DM_STR_ARG(m->field));
    if (!given && m->class->output)
        return dm_fail(err, DM_E_DATA, "%s needs an output `%s`", m->name, m->class->output);
    if (!given)
        return dm_fail(err, DM_E_DATA, "the prediction has no `%.*s`", DM_STR_ARG(m->field));
    if (!m->scratch)
        m->scratch = dm_arena_new(8192);
    dm_arena_reset(m->scratch);
    if (!m->class->as_given)
        label = dm_metric_typed(m->scratch, m->type, label);
    return m->class->score(m, m->scratch, label, given, out, err);
}

static void submit(void *self, const dm_value *example, const dm_value *prediction,
                   const dm_step *trace, size_t n_steps, const dm_program *program,
                   dm_metric_done *done, void *user)
{
    dm_error err = {DM_OK, ""};
    dm_metric_score s = {.ok = true};
    (void)trace;
    (void)n_steps;
    (void)program;
    s.ok = score(self, example, prediction, &s.score, &err) == DM_OK;
    s.text = s.ok ? NULL : err.text;
    done(user, &s);
}

static void free_builtin(void *self)
{
    dm_metric *m = self;
    if (m->class && m->class->close)
        m->class->close(m);
    dm_arena_free(m->scratch);
}

static const dm_metric_ops builtin_ops = {.submit = submit, .free = free_builtin};

/* ---- of a Python program: its host runs it beside the program (runner/python.c) ---- */

static void submit_elsewhere(void *self, const dm_value *example, const dm_value *prediction,
                             const dm_step *trace, size_t n_steps, const dm_program *program,
                             dm_metric_done *done, void *user)
{
    const dm_metric_score s = {.text = "the metric gave no score"};
    (void)self;
    (void)example;
    (void)prediction;
    (void)trace;
    (void)n_steps;
    (void)program;
    done(user, &s);
}

static const dm_metric_ops python_ops = {.submit = submit_elsewhere};

const dm_value *dm_metric_python(const dm_value *spec)
{
    const dm_value *python = dm_value_get(spec, "python"), *name = python ? python : spec;
    bool is =
        name && name->kind == DM_STRING && (python || memchr(name->text.p, ':', name->text.n));
    return is ? name : NULL;
}

/* by_host: of a program in Python, which calls the function; else metric-host does, as a command.
 */
static dm_metric *make_python(dm_arena *a, const dm_at *at, bool by_host, dm_error *err)
{
    static const char *const known[] = {"python"};
    dm_at whole = *at;
    if (whole.v->kind == DM_STRING) {
        dm_value *d = dm_value_dict(a);
        dm_value_set(a, d, DM_STR("python"), at->v);
        whole.v = d;
    }
    dm_at spec = dm_at_key(&whole, "python");
    dm_str text = {NULL, 0};
    if (dm_get_string(&spec, &text, err) != DM_OK)
        return NULL;
    void *self = by_host ? NULL : dm_command_new(a, &whole, err);
    if (by_host ? dm_get_known(&whole, known, 1, err) != DM_OK : !self)
        return NULL;
    dm_metric *m = dm_metric_of(a, text.p, self ? &dm_command_ops : &python_ops, self);
    m->spec = at->v;
    return m;
}

/* ---- any ---- */

dm_metric *dm_metric_single(dm_arena *a, const dm_at *at, const dm_program *program, bool part,
                            const dm_dataset *const *sets, size_t n_sets, dm_error *err)
{
    dm_metric *m = dm_arena_alloc(a, sizeof *m);
    dm_str name = {NULL, 0};
    m->spec = at->v;
    m->ops = &builtin_ops;
    m->self = m;
    dm_at command = dm_at_key(at, "command");
    if (dm_value_get(at->v, "python") || dm_metric_python(at->v))
        return make_python(a, at, program->python && !part, err);
    if (command.v) {
        void *self = dm_command_new(a, at, err);
        if (!self)
            return NULL;
        m = dm_metric_of(a, "command", &dm_command_ops, self);
        m->spec = at->v;
        return m;
    }
    if (dm_value_get(at->v, "library")) {
        struct dm_metric_library *self = dm_library_new(a, at, err);
        if (!self)
            return NULL;
        m = dm_metric_of(a, dm_library_name(self), &dm_library_ops, self);
        m->spec = at->v;
        return m;
    }
    dm_at name_at = at->v->kind == DM_DICT ? dm_at_key(at, "name") : *at;
    if (dm_get_string(&name_at, &name, err) != DM_OK)
        return NULL;
    if (!name.p) {
        dm_at_fail(at, err, "a metric needs a name, a command or a library");
        return NULL;
    }
    if (make_builtin(a, at, name, m, program, sets, n_sets, err) == DM_OK)
        return m;
    dm_metric_free(m);
    return NULL;
}

void dm_metric_free(dm_metric *m)
{
    if (!m)
        return;
    if (m->ops->free)
        m->ops->free(m->self);
}

bool dm_metric_compares(const dm_metric *m)
{
    return m->class != NULL;
}

const char *dm_metric_name(const dm_metric *m)
{
    return m->name;
}

dm_metric *dm_metric_of(dm_arena *a, const char *name, const dm_metric_ops *ops, void *self)
{
    dm_metric *m = dm_arena_alloc(a, sizeof *m);
    m->name = name;
    m->ops = ops;
    m->self = self;
    return m;
}

void dm_metric_submit(dm_metric *m, const dm_value *example, const dm_value *prediction,
                      const dm_step *trace, size_t n_steps, const dm_program *program,
                      dm_metric_done *done, void *user)
{
    m->ops->submit(m->self, example, prediction, trace, n_steps, program, done, user);
}

size_t dm_metric_fds(dm_metric *m, dm_wait_fd *fds, size_t max)
{
    return m->ops->fds ? m->ops->fds(m->self, fds, max) : 0;
}

double dm_metric_due(const dm_metric *m)
{
    return m->ops->due ? m->ops->due(m->self) : INFINITY;
}

void dm_metric_poll(dm_metric *m)
{
    if (m->ops->poll)
        m->ops->poll(m->self);
}

const char *dm_metric_trouble(const dm_metric *m)
{
    return m->ops->trouble ? m->ops->trouble(m->self) : NULL;
}
