#include "cmd/inputs.h"
#include "cmd/program_file.h"
#include "cmd/say.h"
#include "base/utf8.h"
#include "json/json.h"
#include "program/state_file.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const dm_value *absolute(dm_arena *a, const char *path)
{
    char folder[PATH_MAX];
    if (path[0] == '/' || !getcwd(folder, sizeof folder))
        return dm_value_text(a, path);
    return dm_value_text(a, dm_arena_printf(a, "%s/%s", folder, path));
}

/* A job file says `trainset` or `program`; a state file has predictors and `metadata`. */
static bool is_job(const dm_value *v)
{
    return v && v->kind == DM_DICT && !dm_value_get(v, "metadata") &&
           (dm_value_get(v, "program") || dm_value_get(v, "trainset") || dm_value_get(v, "lm"));
}

/* Model and adapter that a compiled file names, where nothing else does. */
static void take_provenance(dm_arena *a, const dm_value *file, dm_value *keys)
{
    const dm_value *own = dm_value_get(dm_value_get(file, "metadata"), "dspy_mpi");
    const dm_value *model = dm_value_get(own, "model"), *adapter = dm_value_get(own, "adapter");
    if (model && !dm_value_get(keys, "lm"))
        dm_value_set(a, keys, DM_STR("lm"), model);
    if (adapter && !dm_value_get(keys, "adapter"))
        dm_value_set(a, keys, DM_STR("adapter"), adapter);
}

dm_status dm_program_job(dm_arena *a, const dm_command_line *line, bool model, dm_job *job,
                         dm_error *err)
{
    dm_command_line own = *line;
    const dm_value *job_flag = dm_value_get(line->flags, "job");
    dm_job_wants wants = {.model = model, .asked = true};
    dm_str text;
    const char *path = line->job_file;
    if (!path && !job_flag)
        return dm_fail(err, DM_E_USAGE,
                       "a program is missing: a program file, a job file, or the "
                       "folder OUT of a compile");
    if (!path) { /* the program of the job */
        own.job_file = job_flag->text.p;
        return dm_job_read(a, &own, wants, job, err);
    }
    dm_status st = dm_program_path(a, path, &path, err);
    if (st == DM_OK)
        st = dm_read_file(a, path, DM_MAX_TEXT, &text, err);
    if (st != DM_OK)
        return st;
    const dm_value *v = dm_json_read(a, text, err);
    if (!v)
        return dm_json_error_in(err, DM_E_DATA, path);
    if (!is_job(v)) {
        dm_value_set(a, own.keys, DM_STR("student"), absolute(a, path));
        if (!job_flag)
            take_provenance(a, v, own.keys);
        own.job_file = job_flag ? job_flag->text.p : NULL;
    } else if (job_flag) {
        return dm_fail(err, DM_E_USAGE, "%s is a job file itself: leave --job out", line->job_file);
    }
    return dm_job_read(a, &own, wants, job, err);
}

/* A name that no step asks for would go nowhere. */
static dm_status check_name(const dm_program *p, const char *flag, dm_str name, dm_error *err)
{
    const char **names = dm_alloc_n(p->n_inputs + 1, sizeof *names);
    dm_arena *a = dm_arena_new(1024);
    dm_buf all;
    bool known = false;
    dm_buf_init(&all, 4096);
    for (size_t i = 0; i < p->n_inputs; i++) {
        known |= dm_str_eq(p->inputs[i], name);
        names[i] = dm_arena_string(a, p->inputs[i].p, p->inputs[i].n);
        dm_buf_printf(&all, "%s%s", i ? ", " : "", names[i]);
    }
    dm_status st = DM_OK;
    const char *near =
        known ? NULL : dm_nearest(dm_arena_string(a, name.p, name.n), names, p->n_inputs);
    if (!known && near)
        st = dm_fail(err, DM_E_USAGE, "%s: the program has no input \"%.*s\"; did you mean \"%s\"?",
                     flag, DM_STR_ARG(name), near);
    else if (!known)
        st = dm_fail(err, DM_E_USAGE, "%s: the program has no input \"%.*s\"; it has %s", flag,
                     DM_STR_ARG(name), all.len ? all.data : "none");
    dm_buf_free(&all);
    dm_arena_free(a);
    free(names);
    return st;
}

dm_status dm_inputs_read(dm_arena *a, const dm_command_line *line, const dm_program *p,
                         dm_value **out, bool *given, dm_error *err)
{
    const dm_value *list = dm_value_get(line->flags, "input"),
                   *json = dm_value_get(line->flags, "input-json");
    dm_value *d = dm_value_dict(a);
    *given = list || json;
    if (json) {
        dm_error why = {DM_OK, ""};
        const dm_value *v = dm_json_read(a, json->text, &why);
        if (!v || v->kind != DM_DICT)
            return dm_fail(err, DM_E_USAGE, "--input-json: %s", v ? "an object {...}" : why.text);
        d = dm_value_copy(a, v);
        for (size_t i = 0; i < d->n; i++)
            if (check_name(p, "--input-json", d->members[i].key, err) != DM_OK)
                return DM_E_USAGE;
    }
    for (size_t i = 0; list && i < list->n; i++) {
        dm_str s = list->items[i]->text;
        const char *equals = memchr(s.p, '=', s.n);
        if (!equals)
            return dm_fail(err, DM_E_USAGE, "--input is NAME=TEXT, not \"%s\"", s.p);
        dm_str name = {s.p, (size_t)(equals - s.p)},
               value = {equals + 1, s.n - (size_t)(equals + 1 - s.p)};
        if (dm_utf8_valid(s) < s.n)
            return dm_fail(err, DM_E_USAGE, "--input %.*s: not valid UTF-8", DM_STR_ARG(name));
        if (check_name(p, "--input", name, err) != DM_OK)
            return DM_E_USAGE;
        dm_value_set(a, d, name, dm_value_string(a, value));
    }
    bool told = *given || dm_value_get(line->flags, "messages"); /* else nothing is rendered */
    for (size_t i = 0; told && i < p->n_inputs; i++)
        if (!dm_value_get_str(d, p->inputs[i]))
            dm_say(stderr, "dspy-mpi: the input \"%.*s\" is missing\n", DM_STR_ARG(p->inputs[i]));
    *out = d;
    return DM_OK;
}
