#include "cmd/param_files.h"
#include "cmd/paths.h"
#include "cmd/program_file.h"
#include "json/json.h"

/* A file that is a parameter, as it stands beside the job. */
static dm_status read_param_file(dm_arena *a, const dm_at *root, const dm_param *param, dm_job *job,
                                 dm_error *err)
{
    dm_param_file *value = (dm_param_file *)(void *)((char *)job->optimizer + param->at);
    dm_at optimizer = dm_at_key(root, "optimizer"), at = dm_at_key(&optimizer, param->name);
    const char *path = NULL;
    dm_str text;
    if (!value->name)
        return DM_OK;
    dm_status st = dm_path_read(a, &at, &path, err);
    if (st == DM_OK)
        st = dm_read_file(a, path, DM_MAX_TEXT, &text, err);
    if (st != DM_OK)
        return dm_error_wrap(err, st, "optimizer.%s", param->name);
    value->json = dm_json_read_written(a, text, path, err);
    if (!value->json)
        return dm_json_error_in(err, DM_E_JOB, path);
    return param->suits(value->json, path, job->program, err);
}

static dm_param_programs *programs_of(const dm_job *job, const dm_param *param)
{
    return (dm_param_programs *)(void *)((char *)job->optimizer + param->at);
}

/* A program file, or the one of an OUT folder; of an ensemble come all its members. */
static dm_status read_programs_at(dm_arena *a, size_t at, dm_job *job, dm_param_programs *out,
                                  dm_error *err)
{
    const char *name = out->names[at].p, *path = dm_path_beside(a, job->file, name);
    const dm_candidate *one, **grown;
    const dm_ensemble *several = NULL;
    const dm_value *provenance;
    dm_status st = dm_program_file_any(a, path, job->program, &one, &several, &provenance, err);
    if (st != DM_OK)
        return st;
    size_t more = several ? several->n : 1, n = out->n_programs;
    const char **from = dm_arena_alloc_n(a, n + more, sizeof *from);
    dm_str *lms = dm_arena_alloc_n(a, n + more, sizeof *lms), none = {NULL, 0};
    const dm_value *role = several ? NULL : dm_value_get(provenance, "role");
    grown = dm_arena_alloc_n(a, n + more, sizeof *grown);
    for (size_t i = 0; i < n + more; i++) {
        grown[i] = i < n ? out->programs[i] : several ? several->members[i - n] : one;
        from[i] = i < n ? out->from[i] : name;
        lms[i] = i < n                             ? out->lms[i]
                 : several && several->lm          ? several->lm[i - n]
                 : role && role->kind == DM_STRING ? role->text
                                                   : none;
    }
    out->programs = grown;
    out->from = from;
    out->lms = lms;
    out->n_programs = n + more;
    out->ensembles[at] = several;
    return DM_OK;
}

static dm_status read_param_programs(dm_arena *a, const dm_param *param, dm_job *job, dm_error *err)
{
    dm_param_programs *out = programs_of(job, param);
    dm_status st = DM_OK;
    out->n_programs = 0;
    out->ensembles = dm_arena_alloc_n(a, out->n, sizeof(dm_ensemble *));
    for (size_t i = 0; i < out->n && st == DM_OK; i++)
        st = read_programs_at(a, i, job, out, err);
    return st == DM_OK ? st : dm_error_wrap(err, st, "optimizer.%s", param->name);
}

dm_status dm_param_files_read(dm_arena *a, const dm_at *root, dm_job *job, dm_error *err)
{
    dm_status st = DM_OK;
    const dm_param *param = job->optimizer ? job->optimizer->class->params : NULL;
    for (; param && param->name && st == DM_OK; param++)
        if (param->kind == DM_PARAM_FILE)
            st = read_param_file(a, root, param, job, err);
        else if (param->kind == DM_PARAM_PROGRAMS)
            st = read_param_programs(a, param, job, err);
    return st;
}

/* What stands in the files, not where they are. */
static dm_value *hashes_of(dm_arena *a, const dm_param_programs *programs)
{
    dm_value *list = dm_value_list(a);
    char hex[65];
    for (size_t i = 0; i < programs->n_programs; i++) {
        dm_hash_hex(&programs->programs[i]->hash, hex);
        dm_value_append(a, list, dm_value_text(a, hex));
        if (programs->lms[i].p) /* and whom it asks */
            dm_value_append(a, list, dm_value_string(a, programs->lms[i]));
    }
    return list;
}

void dm_param_files_identity(dm_arena *a, const dm_job *job, dm_value *d)
{
    char hex[65];
    for (const dm_param *p = job->optimizer->class->params; p->name; p++) {
        if (p->kind == DM_PARAM_PROGRAMS && programs_of(job, p)->n)
            dm_value_set(a, d, dm_str_of(p->name), hashes_of(a, programs_of(job, p)));
        const dm_param_file *file =
            (const dm_param_file *)(const void *)((const char *)job->optimizer + p->at);
        if (p->kind != DM_PARAM_FILE || !file->json)
            continue; /* a file: what it says, not where it is */
        dm_hash h = dm_json_hash(file->json);
        dm_hash_hex(&h, hex);
        dm_value_set(a, d, dm_str_of(p->name), dm_value_text(a, hex));
    }
}
