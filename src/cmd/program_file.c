#include "cmd/program_file.h"
#include "json/json.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

dm_status dm_program_path(dm_arena *a, const char *path, const char **out, dm_error *err)
{
    struct stat s;
    *out = path;
    if (stat(path, &s) != 0 || !S_ISDIR(s.st_mode))
        return DM_OK;
    *out = dm_arena_printf(a, "%s/program.json", path);
    if (access(*out, F_OK) == 0)
        return DM_OK;
    bool begun = access(dm_arena_printf(a, "%s/status.json", path), F_OK) == 0;
    return dm_fail(err, DM_E_DATA,
                   begun ? "%s: the compile there has not written a program.json yet"
                         : "%s: a folder without a program.json is no OUT of a compile",
                   path);
}

dm_status dm_program_picked(dm_arena *a, const char *path, const char *pick, const char **out,
                            dm_error *err)
{
    static const char winner[] = "/program.json";
    size_t number = 0, n = 0, length = path ? strlen(path) : 0, end = sizeof winner - 1;
    struct stat s;
    if (length > end && strcmp(path + length - end, winner) == 0)
        path = dm_arena_string(a, path, length - end);
    if (!path || stat(path, &s) != 0 || !S_ISDIR(s.st_mode))
        return dm_fail(err, DM_E_USAGE,
                       "--pick takes a candidate of an OUT: give that folder as "
                       "the program");
    for (const char *p = pick; *p; p++) {
        if (*p < '0' || *p > '9' || p - pick > 8)
            return dm_fail(err, DM_E_USAGE,
                           "--pick: the number of a candidate in trials.csv, not \"%s\"", pick);
        number = 10 * number + (size_t)(*p - '0');
    }
    *out = dm_arena_printf(a, "%s/candidates/%03zu.json", path, number);
    if (*pick && access(*out, F_OK) == 0)
        return DM_OK;
    while (access(dm_arena_printf(a, "%s/candidates/%03zu.json", path, n), F_OK) == 0)
        n++;
    if (n == 0)
        return dm_fail(err, DM_E_USAGE, "--pick: %s has no candidates", path);
    return dm_fail(err, DM_E_USAGE, "--pick: %s has candidates 0 to %zu, and no \"%s\"", path,
                   n - 1, pick);
}

dm_status dm_no_job(const char *path, const dm_value *v, dm_error *err)
{
    struct stat s;
    if (!v && stat(path, &s) == 0 && S_ISDIR(s.st_mode))
        return dm_fail(err, DM_E_JOB,
                       "%s is a folder, and a job file is needed here: give JOB.json, with "
                       "--student=%s to start from the program in it",
                       path, path);
    if (!v && err)
        err->status = DM_E_JOB;
    if (!v)
        return DM_E_JOB;
    bool job =
        dm_value_get(v, "program") || dm_value_get(v, "trainset"); /* a state has an `lm` too */
    if (job || v->kind != DM_DICT || !dm_value_get(v, "metadata"))
        return DM_OK;
    return dm_fail(err, DM_E_JOB,
                   "%s is a program file, and a job file is needed here: give JOB.json, with "
                   "--student=%s to start from this program",
                   path, path);
}

/* The first of these members: whoever gives what it reads leaves none without. */
static const dm_candidate *with_most_inputs(const dm_ensemble *e)
{
    const dm_candidate *most = e->members[0];
    for (size_t k = 1; k < e->n; k++)
        if (e->members[k]->program->n_inputs > most->program->n_inputs)
            most = e->members[k];
    return most;
}

dm_status dm_program_file_read(dm_arena *a, const char *path, const dm_program *program,
                               const dm_candidate **out, const dm_ensemble **ensemble,
                               const dm_value **provenance, dm_error *err)
{
    dm_str text;
    dm_status st = dm_program_path(a, path, &path, err);
    if (st == DM_OK)
        st = dm_read_file(a, path, DM_MAX_TEXT, &text, err);
    if (st != DM_OK)
        return st;
    dm_arena *scratch = dm_arena_new(0);
    bool several = dm_ensemble_is(dm_json_read(scratch, text, NULL), program);
    dm_arena_free(scratch);
    if (!several)
        return dm_state_read(a, text, path, program, out, provenance, err);
    if (!ensemble)
        return dm_fail(err, DM_E_DATA,
                       "%s: this is an ensemble, and one program is needed here: give the file of "
                       "one of its members",
                       path);
    dm_ensemble *e = dm_arena_alloc(a, sizeof *e);
    st = dm_ensemble_read(a, text, path, program, e, provenance, err);
    if (st == DM_OK) {
        *out = with_most_inputs(e);
        *ensemble = e;
    }
    return st;
}

/* ---- another program than the job's ---- */

/* Whether p gives what the job's program is scored by: all its outputs, but for a reasoning. */
static bool gives_outputs_of(const dm_program *p, const dm_program *job)
{
    const dm_predictor *mine = &job->predictors[job->n - 1];
    const dm_signature *s = mine->signature, *other = p->predictors[p->n - 1].signature;
    for (size_t i = s->n_inputs; i < s->n_inputs + s->n_outputs; i++) {
        bool found =
            mine->module == DM_CHAIN_OF_THOUGHT && dm_str_is(s->fields[i].name, "reasoning");
        for (size_t k = other->n_inputs; k < other->n_inputs + other->n_outputs; k++)
            found |= dm_str_eq(s->fields[i].name, other->fields[k].name);
        if (!found)
            return false;
    }
    return true;
}

static const dm_program *as_other_module(dm_arena *a, const dm_program *p)
{
    bool plain = p->predictors[0].module == DM_PREDICT;
    return dm_program_as(a, p, plain ? DM_CHAIN_OF_THOUGHT : DM_PREDICT);
}

dm_status dm_program_file_any(dm_arena *a, const char *path, const dm_program *program,
                              const dm_candidate **out, const dm_ensemble **ensemble,
                              const dm_value **provenance, dm_error *err)
{
    dm_error unsaid = {DM_OK, ""};
    const dm_candidate *c = NULL;
    const dm_ensemble *several = NULL;
    const dm_value *made = NULL;
    dm_status st = dm_program_file_read(a, path, program, out, ensemble, provenance, err);
    if (st != DM_E_DATA || !program || program->python)
        return st;
    dm_status own =
        dm_program_file_read(a, path, NULL, &c, ensemble ? &several : NULL, &made, &unsaid);
    const dm_program *other = own != DM_OK ? as_other_module(a, program) : NULL;
    if (other)
        own = dm_program_file_read(a, path, other, &c, ensemble ? &several : NULL, &made, &unsaid);
    if (own != DM_OK || several || c->program->python || !gives_outputs_of(c->program, program))
        return st;
    *out = c;
    *provenance = made;
    *err = (dm_error){DM_OK, ""};
    return DM_OK;
}
