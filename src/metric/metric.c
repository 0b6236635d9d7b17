#include "base/utf8.h"
#include "json/json.h"
#include "metric/inside.h"

#include <math.h>
#include <string.h>

static const struct builtin {
    const char *name;
    dm_builtin kind;
    const char *field;  /* used when none is given; NULL: the only label */
    const char *option; /* beside name and field; NULL: none */
} builtins[] = {{"answer_exact_match", DM_ANSWER_EXACT_MATCH, "answer", "frac"},
                {"exact_match", DM_EXACT_MATCH, NULL, NULL},
                {"f1", DM_F1, NULL, NULL},
                {"hotpot_f1", DM_HOTPOT_F1, "answer", NULL},
                {"answer_passage_match", DM_ANSWER_PASSAGE_MATCH, "answer", NULL},
                {"contains", DM_CONTAINS, NULL, NULL},
                {"regex", DM_REGEX, NULL, "pattern"},
                {"numeric", DM_NUMERIC, NULL, "tolerance"},
                {"json_fields", DM_JSON_FIELDS, NULL, NULL},
                {"any_of", DM_ANY_OF, NULL, NULL}};
#define N_BUILTINS (sizeof builtins / sizeof *builtins)

static const struct builtin *find_builtin(const dm_at *at, dm_str name, dm_error *err)
{
    const char *names[N_BUILTINS];
    for (size_t i = 0; i < N_BUILTINS; i++) {
        names[i] = builtins[i].name;
        if (dm_str_is(name, names[i]))
            return &builtins[i];
    }
    const char *near = dm_nearest(name.p, names, N_BUILTINS);
    dm_at_fail(at, err, "no metric is called \"%.*s\"; %s%s%s", DM_STR_ARG(name),
               near ? "did you mean \""
                    : "there are answer_exact_match, exact_match, f1, hotpot_f1, "
                      "answer_passage_match, contains, regex, numeric, json_fields, any_of, and "
                      "commands",
               near ? near : "", near ? "\"?" : "");
    return NULL;
}

static bool is_input(const dm_program *p, dm_str name)
{
    for (size_t i = 0; i < p->n_inputs; i++)
        if (dm_str_eq(p->inputs[i], name))
            return true;
    return false;
}

static const dm_field *output_field(const dm_program *p, dm_str name)
{
    const dm_signature *s = p->predictors[p->n - 1].signature;
    for (size_t i = s->n_inputs; i < s->n_inputs + s->n_outputs; i++)
        if (dm_str_eq(s->fields[i].name, name))
            return &s->fields[i];
    return NULL;
}

/* The only column that is a label and an output at once. */
static dm_status only_label(const dm_at *at, const dm_program *p, const dm_dataset *const *sets,
                            size_t n_sets, dm_str *field, dm_error *err)
{
    size_t found = 0;
    const dm_value *row = n_sets && sets[0]->n ? sets[0]->examples[0].row : NULL;
    for (size_t i = 0; row && i < row->n; i++) {
        dm_str name = row->members[i].key;
        if (is_input(p, name) || !output_field(p, name))
            continue;
        *field = name;
        found++;
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

static dm_status read_options(const struct builtin *b, const dm_at *at, dm_metric *m, dm_error *err)
{
    const char *known[3] = {"name", "field", b->option};
    dm_at k;
    dm_str pattern = {NULL, 0};
    if (at->v->kind != DM_DICT)
        return DM_OK;
    dm_status st = dm_get_known(at, known, b->option ? 3 : 2, err);
    if (st == DM_OK)
        st = (k = dm_at_key(at, "field"), dm_get_string(&k, &m->field, err));
    if (st == DM_OK)
        st = (k = dm_at_key(at, "frac"), dm_get_number(&k, 0, 1, &m->frac, err));
    if (st == DM_OK)
        st = (k = dm_at_key(at, "tolerance"), dm_get_number(&k, 0, 1e300, &m->tolerance, err));
    if (st == DM_OK)
        st = (k = dm_at_key(at, "pattern"), dm_get_string(&k, &pattern, err));
    if (st != DM_OK || !pattern.p)
        return st;
    dm_error why = {DM_OK, ""};
    m->pattern = dm_builtin_compile(pattern, &why);
    return m->pattern ? DM_OK : dm_at_fail(&k, err, "%s", why.text);
}

static dm_status make_builtin(const dm_at *at, dm_str name, dm_metric *m, const dm_program *p,
                              const dm_dataset *const *sets, size_t n_sets, dm_error *err)
{
    const struct builtin *b = find_builtin(at, name, err);
    if (!b)
        return at->status;
    m->name = b->name;
    m->kind = b->kind;
    m->frac = 1;
    m->tolerance = 1e-9;
    dm_status st = read_options(b, at, m, err);
    if (st != DM_OK)
        return st;
    if (!m->field.p && b->field)
        m->field = dm_str_of(b->field);
    if (!m->field.p)
        st = only_label(at, p, sets, n_sets, &m->field, err);
    if (st != DM_OK)
        return st;
    const dm_field *f = output_field(p, m->field);
    if (!f && m->kind != DM_ANSWER_PASSAGE_MATCH)
        return dm_at_fail(
            at, err,
            "the metric %s compares \"%.*s\", which is no output of the program's last step",
            m->name, DM_STR_ARG(m->field));
    if (m->kind == DM_ANSWER_PASSAGE_MATCH && !output_field(p, DM_STR("context")))
        return dm_at_fail(at, err, "answer_passage_match needs an output \"context\"");
    if (m->kind == DM_ANSWER_EXACT_MATCH && f->type->kind != DM_T_STR &&
        f->type->kind != DM_T_LITERAL)
        return dm_at_fail(
            at, err, "answer_exact_match compares strings, and \"%.*s\" is none: take exact_match",
            DM_STR_ARG(m->field));
    return check_rows(m, sets, n_sets, err);
}

dm_metric *dm_metric_new(dm_arena *a, const dm_at *at, const dm_program *program,
                         const dm_dataset *const *sets, size_t n_sets, dm_error *err)
{
    dm_metric *m = dm_arena_alloc(a, sizeof *m);
    dm_str name = {NULL, 0};
    m->spec = at->v;
    if (!at->v) {
        dm_at_fail(at, err, "a metric is missing, such as \"exact_match\"");
        return NULL;
    }
    dm_at command = dm_at_key(at, "command");
    if (command.v) {
        m->name = "command";
        m->command = dm_command_new(a, at, err);
        return m->command ? m : NULL;
    }
    dm_at name_at = at->v->kind == DM_DICT ? dm_at_key(at, "name") : *at;
    if (dm_get_string(&name_at, &name, err) != DM_OK)
        return NULL;
    if (!name.p) {
        dm_at_fail(at, err, "a metric needs a name or a command");
        return NULL;
    }
    if (make_builtin(at, name, m, program, sets, n_sets, err) == DM_OK)
        return m;
    dm_metric_free(m);
    return NULL;
}

void dm_metric_free(dm_metric *m)
{
    if (!m)
        return;
    if (m->pattern)
        dm_builtin_free_pattern(m->pattern);
    if (m->command)
        dm_command_free(m->command);
    dm_arena_free(m->scratch);
}

const char *dm_metric_name(const dm_metric *m)
{
    return m->name;
}

void dm_metric_submit(dm_metric *m, const dm_value *example, const dm_value *prediction,
                      const dm_step *trace, size_t n_steps, const dm_program *program,
                      dm_metric_done *done, void *user)
{
    if (m->command) {
        dm_command_submit(m->command, example, prediction, trace, n_steps, program, done, user);
        return;
    }
    dm_error err = {DM_OK, ""};
    dm_metric_score s = {.ok = true};
    s.ok = dm_builtin_score(m, example, prediction, &s.score, &err) == DM_OK;
    s.text = s.ok ? NULL : err.text;
    done(user, &s);
}

size_t dm_metric_fds(dm_metric *m, dm_wait_fd *fds, size_t max)
{
    return m->command ? dm_command_fds(m->command, fds, max) : 0;
}

double dm_metric_due(const dm_metric *m)
{
    return m->command ? dm_command_due(m->command) : INFINITY;
}

void dm_metric_poll(dm_metric *m)
{
    if (m->command)
        dm_command_poll(m->command);
}
